//! Getting bytes and names onto the disk, with few flushes.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::directory::{IMMUTABLE, ObjectDirectory, Place, Result};
use super::writing::Staged;
use super::{Durability, LocalStorageError};

/// Files that wait to be synchronised at most, so that we do not run out of file descriptors.
const WAITING_FILES: usize = 64;

/// Threads that synchronise at once. The disk merges what arrives together into few flushes.
const SYNCHRONISING_THREADS: usize = 12;

/// What is not durable yet.
#[derive(Debug, Default)]
pub(super) struct Synchronisation {
    /// Objects whose bytes wait for the next changing object.
    waiting: Mutex<Vec<(File, PathBuf)>>,
    /// Locked while somebody synchronises what waited; who comes then waits for it, since it may be theirs.
    round: Mutex<()>,
    /// A round failed.
    failed: AtomicBool,
}

impl ObjectDirectory {
    /// Makes durable what must be before the staged file gets the name of an object.
    pub(super) fn sync_before_naming(&self, staged: &Staged, place: &Place) -> Result<()> {
        match (&staged.file, self.options.durability) {
            (_, Durability::ProcessCrashOnly) | (None, Durability::Full) => Ok(()),
            (Some(file), Durability::Full) if place.immutable => self.sync_or_defer(file, &staged.path, place),
            (Some(file), Durability::Full) => {
                side_by_side(&[&|| self.sync_file(file, &staged.path), &|| self.sync_immutable()])
            }
        }
    }

    /// Makes the bytes of an immutable object durable now, or lets them wait for the next changing object.
    fn sync_or_defer(&self, file: &File, path: &Path, place: &Place) -> Result<()> {
        if place.deferred {
            let mut waiting = self.synchronisation.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() < WAITING_FILES
                && let Ok(file) = file.try_clone()
            {
                waiting.push((file, place.path.clone()));
                return Ok(());
            }
        }
        self.sync_file(file, path)
    }

    /// Makes the bytes and the names of all immutable objects durable. Names of objects of other processes are included:
    /// a session can be forked, its chunks written there, and committed here.
    fn sync_immutable(&self) -> Result<()> {
        let state = &*self.synchronisation;
        let _round = state.round.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed.load(Ordering::SeqCst) {
            // The kernel forgets what it could not write, so trying once more would succeed and mean nothing.
            let source = io::Error::other("an earlier object could not be synchronised: open the repository anew");
            return Err(LocalStorageError::io("synchronise", &self.root, source));
        }
        let files = std::mem::take(&mut *state.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        // `chunks` itself may be new, made by another process that has not come to synchronising it: so the root too.
        let directories = IMMUTABLE.iter().map(|name| self.root.join(name)).chain([self.root.clone()]);
        let mut work: Vec<(Option<File>, PathBuf)> = directories.map(|path| (None, path)).collect();
        work.extend(files.into_iter().map(|(file, path)| (Some(file), path)));
        let share = work.len().div_ceil(SYNCHRONISING_THREADS);
        let tasks: Vec<_> = work
            .chunks(share)
            .map(|share| {
                move || {
                    share.iter().try_for_each(|(file, path)| match file {
                        Some(file) => self.sync_file(file, path),
                        None => self.sync_directory(path),
                    })
                }
            })
            .collect();
        let tasks: Vec<Task<'_>> = tasks.iter().map(|task| task as Task<'_>).collect();
        let result = side_by_side(&tasks);
        if result.is_err() {
            state.failed.store(true, Ordering::SeqCst);
        }
        result
    }

    fn sync_file(&self, file: &File, path: &Path) -> Result<()> {
        file.sync_data().map_err(|source| LocalStorageError::io("synchronise", path, source))?;
        self.step("sync file", path);
        Ok(())
    }

    pub(super) fn sync_parent(&self, path: &Path) -> Result<()> {
        path.parent().map_or(Ok(()), |parent| self.sync_directory(parent))
    }

    pub(super) fn sync_directory(&self, path: &Path) -> Result<()> {
        if self.options.durability == Durability::ProcessCrashOnly {
            return Ok(());
        }
        match File::open(path).and_then(|directory| directory.sync_all()) {
            Ok(()) => {
                self.step("sync directory", path);
                Ok(())
            }
            Err(source) if source.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(LocalStorageError::io("synchronise", path, source)),
        }
    }
}

type Task<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// Runs the tasks at once, the first here and each other on a thread, if there are threads to be had.
fn side_by_side(tasks: &[Task<'_>]) -> Result<()> {
    let Some((here, others)) = tasks.split_first() else { return Ok(()) };
    std::thread::scope(|scope| {
        let spawn = |task| std::thread::Builder::new().spawn_scoped(scope, task);
        let threads: Vec<_> = others.iter().map(|task| (task, spawn(*task))).collect();
        let mut result = here();
        for (task, thread) in threads {
            let one = match thread {
                Ok(thread) => thread.join().unwrap_or(Err(LocalStorageError::Stopped)),
                Err(_) => task(),
            };
            result = result.and(one);
        }
        result
    })
}
