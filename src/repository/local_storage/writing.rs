//! Writing objects: staged, then named.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::LocalStorageError;
use super::directory::{LOCK_FILE, ObjectDirectory, Place, Result, is_absent, is_staged};
use super::file_system::{FileSystemSupport, file_system_of};
use super::reading::{digest, stamp};

/// Age from which a staged file has no writer any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// When an object may be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Precondition {
    /// Always.
    None,
    /// When it does not exist.
    Absent,
    /// When it exists with this version.
    Version(String),
}

impl ObjectDirectory {
    pub(super) fn create_root(&self) -> Result<()> {
        self.create_directories(&self.root)?;
        self.check_root()
    }

    /// Puts an object and returns its version, or `None` when the precondition does not hold.
    pub(super) fn put(&self, key: &str, bytes: &[u8], precondition: &Precondition) -> Result<Option<String>> {
        let place = self.place(key)?;
        self.prepare_for_writing()?;
        let staged = self.stage(bytes)?;
        let version = if place.digested { digest(bytes) } else { stamp(&staged.metadata()?) };
        let done = match precondition {
            // Nobody else writes to this name, so there is nobody to exclude.
            Precondition::None if place.immutable => {
                self.sync_before_naming(&staged, &place)?;
                self.replace(staged, &place)?
            }
            Precondition::None => {
                let _lock = self.lock()?;
                self.sync_before_naming(&staged, &place)?;
                self.replace(staged, &place)?
            }
            Precondition::Absent => {
                self.sync_before_naming(&staged, &place)?;
                self.create(staged, &place)?
            }
            Precondition::Version(expected) => {
                // Locked while waiting for the disk: who comes second learns it without having waited for its own data.
                let _lock = self.lock()?;
                if self.version(&place)?.as_ref() == Some(expected) {
                    self.sync_before_naming(&staged, &place)?;
                    self.replace(staged, &place)?
                } else {
                    false
                }
            }
        };
        if !done {
            return Ok(None);
        }
        // The lock is free again: who builds on this object synchronises the same directory before being acknowledged.
        if !place.immutable {
            self.sync_parent(&place.path)?;
        }
        Ok(Some(version))
    }

    /// Copies an object: `None` when there is none, `Some(false)` when its version is not `expected`.
    pub(super) fn copy(&self, from: &str, to: &str, expected: Option<&str>) -> Result<Option<bool>> {
        let (from, to) = (self.place(from)?, self.place(to)?);
        if to.immutable {
            self.prepare_for_writing()?;
            let Some((_, metadata)) = self.open(&from)? else { return Ok(None) };
            // Objects are replaced, never written in place, so a second name for the same file is a copy.
            let staged = Staged::reserve(&self.own_directory());
            if fs::hard_link(&from.path, &staged.path).is_ok() {
                let place = Place { path: staged.path.clone(), ..from };
                if let Some(expected) = expected
                    && self.version(&place)?.as_deref() != Some(expected)
                {
                    return Ok(Some(false));
                }
                // The copy is as old as the copying, for those who clean up by age. Not possible for another user's file.
                if let Ok(file) = File::open(&staged.path) {
                    let _kept = file.set_modified(SystemTime::now());
                }
                return self.replace(staged, &to).map(Some);
            }
            drop((staged, metadata));
        }
        match self.read_whole(&from)? {
            None => Ok(None),
            Some((_, version)) if expected.is_some_and(|expected| expected != version) => Ok(Some(false)),
            Some((bytes, _)) => {
                let key = self.key_of(&to);
                self.put(&key, &bytes, &Precondition::None).map(|version| Some(version.is_some()))
            }
        }
    }

    /// Deletes an object and returns whether it existed.
    pub(super) fn delete(&self, key: &str) -> Result<bool> {
        let place = self.place(key)?;
        self.check_parents(&place)?;
        let _lock = if place.immutable { None } else { Some(self.lock()?) };
        match fs::remove_file(&place.path) {
            Ok(()) => {
                if !place.immutable {
                    self.sync_parent(&place.path)?;
                }
                Ok(true)
            }
            Err(source) if is_absent(&source) => Ok(false),
            Err(source) => Err(LocalStorageError::io("delete", &place.path, source)),
        }
    }

    /// See [`super::clean_temporary_files`].
    pub(super) fn remove_abandoned_files(&self) -> Result<u64> {
        let directory = self.own_directory();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(source) if is_absent(&source) => return Ok(0),
            Err(source) => return Err(LocalStorageError::io("list", &directory, source)),
        };
        let now = SystemTime::now();
        let mut removed = 0_u64;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let staged = name.to_str().is_some_and(|name| is_staged(name) && name != LOCK_FILE);
            let modified = entry.metadata().ok().and_then(|metadata| metadata.modified().ok());
            // A time in the future (a clock was set) is no age.
            let age = modified.and_then(|modified| now.duration_since(modified).ok());
            if staged && age.is_some_and(|age| age > ABANDONED_AFTER) && fs::remove_file(entry.path()).is_ok() {
                removed = removed.saturating_add(1);
            }
        }
        Ok(removed)
    }

    /// Checks the file system and cleans up, once.
    pub(super) fn prepare_for_writing(&self) -> Result<()> {
        if self.prepared.get().is_some() {
            return Ok(());
        }
        if !self.options.allow_unsupported_file_system
            && let Ok(file_system) = file_system_of(&self.root)
            && let FileSystemSupport::Refused(reason) = file_system.support
        {
            let path = self.root.clone();
            return Err(LocalStorageError::UnsupportedFileSystem { path, type_name: file_system.type_name, reason });
        }
        let directory = self.own_directory();
        match fs::create_dir(&directory) {
            Ok(()) => {}
            Err(source) if source.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(LocalStorageError::io("create", &directory, source)),
        }
        // A directory of leftovers that cannot be read is no reason not to write.
        let _removed = self.remove_abandoned_files();
        let _first = self.prepared.set(());
        Ok(())
    }

    /// Writes the bytes to a staged file.
    pub(super) fn stage(&self, bytes: &[u8]) -> Result<Staged> {
        let directory = self.own_directory();
        loop {
            let mut staged = Staged::reserve(&directory);
            let mut file = match OpenOptions::new().write(true).create_new(true).open(&staged.path) {
                Ok(file) => file,
                Err(source) if source.kind() == ErrorKind::AlreadyExists => {
                    // Another machine's writer has this name; it is not ours to remove.
                    staged.disarm();
                    continue;
                }
                Err(source) if source.kind() == ErrorKind::NotFound && self.root.is_dir() => {
                    // Somebody removed the directory.
                    fs::create_dir(&directory).map_err(|source| LocalStorageError::io("create", &directory, source))?;
                    continue;
                }
                Err(source) => return Err(LocalStorageError::io("create", &staged.path, source)),
            };
            file.write_all(bytes).map_err(|source| LocalStorageError::io("write", &staged.path, source))?;
            staged.file = Some(file);
            return Ok(staged);
        }
    }

    /// Gives the staged file its name, over any other that had it.
    pub(super) fn replace(&self, staged: Staged, place: &Place) -> Result<bool> {
        self.check_parents(place)?;
        self.with_parent(place, || fs::rename(&staged.path, &place.path))
            .map_err(|source| LocalStorageError::io("write", &place.path, source))?;
        self.step("rename", &place.path);
        // The guard still removes the staged name: a rename between two names of one file leaves both.
        Ok(true)
    }

    /// Gives the staged file its name, if nothing has it.
    pub(super) fn create(&self, staged: Staged, place: &Place) -> Result<bool> {
        self.check_parents(place)?;
        match self.with_parent(place, || fs::hard_link(&staged.path, &place.path)) {
            Ok(()) => {
                self.step("link", &place.path);
                Ok(true)
            }
            // On NFS the answer to a link that was made can get lost, and the repeated request fails.
            Err(source) if source.kind() == ErrorKind::AlreadyExists => Ok(staged.metadata()?.nlink() == 2),
            Err(source) if lacks_links(&source) => {
                let _lock = self.lock()?;
                match fs::symlink_metadata(&place.path) {
                    Ok(_) => Ok(false),
                    Err(source) if is_absent(&source) => self.replace(staged, place),
                    Err(source) => Err(LocalStorageError::io("look at", &place.path, source)),
                }
            }
            Err(source) => Err(LocalStorageError::io("create", &place.path, source)),
        }
    }

    /// Runs `name`, and once more after making the parent directory, if that is what it lacked.
    pub(super) fn with_parent(&self, place: &Place, name: impl Fn() -> io::Result<()>) -> io::Result<()> {
        match (name(), place.path.parent()) {
            (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound && self.root.is_dir() => {
                self.create_directories(parent).map_err(io::Error::other)?;
                name()
            }
            (result, _) => result,
        }
    }

    /// Makes a directory and its parents, each durable in its own parent.
    pub(super) fn create_directories(&self, path: &Path) -> Result<()> {
        let made = match fs::create_dir(path) {
            Err(source) if source.kind() == ErrorKind::NotFound => {
                let Some(parent) = path.parent() else {
                    return Err(LocalStorageError::io("create", path, source));
                };
                self.create_directories(parent)?;
                fs::create_dir(path)
            }
            made => made,
        };
        match made {
            Ok(()) => self.sync_parent(path),
            Err(source) if source.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(source) => Err(LocalStorageError::io("create", path, source)),
        }
    }
}

/// A file that no reader sees yet; removed when dropped.
#[derive(Debug)]
pub(super) struct Staged {
    pub path: PathBuf,
    /// Open for writing, unless this is a link to another object.
    pub file: Option<File>,
    armed: bool,
}

impl Staged {
    /// A name that no other writer of this machine has.
    fn reserve(directory: &Path) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = directory.join(format!("{}-{number}#{nanoseconds}", std::process::id()));
        Self { path, file: None, armed: true }
    }

    fn metadata(&self) -> Result<fs::Metadata> {
        fs::metadata(&self.path).map_err(|source| LocalStorageError::io("look at", &self.path, source))
    }

    fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.armed {
            // What cannot be removed now is removed as abandoned later.
            let _gone = fs::remove_file(&self.path);
        }
    }
}

/// Whether a link failed because the file system has none (FAT, some network and user-space file systems), or the kernel
/// forbids links to this file.
fn lacks_links(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied | ErrorKind::TooManyLinks)
}
