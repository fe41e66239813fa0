//! Files that arrive in local directories: what is whole now, and what is still written.
//!
//! A file is whole when it was closed or renamed into place (or its sidecar was) and ends with a whole message, or when it
//! did not change for a while. The file system tells of changes at once; the directories are also listed now and then,
//! for file systems that do not tell (network mounts) and for events that were lost.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::error::{Error, Result};
use crate::index;
use crate::read::Fingerprint;
use crate::source::looks_like_grib;

/// Directories below a landing directory that are looked into.
const DEEPEST: usize = 32;
/// What files that are still written, or are none of ours, end in.
const UNFINISHED_SUFFIXES: &[&str] = &["tmp", "temp", "part", "partial", "crdownload", "filepart", "swp", "lock"];

/// What is known of a file.
#[derive(Debug)]
struct Seen {
    fingerprint: Fingerprint,
    /// When it was seen to change.
    since: Instant,
    /// It was closed, renamed into place, or its sidecar was.
    closed: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Perhaps still written.
    Waiting,
    /// Given out, or of no use until it changes.
    Done,
}

/// A file that is whole, and when that was noticed.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub path: PathBuf,
    pub noticed: Instant,
}

/// Something that happened to a path, from the file system's events.
#[derive(Debug)]
struct Happening {
    path: PathBuf,
    closed: bool,
}

/// Watches directories.
pub(super) struct Arrivals {
    directories: Vec<PathBuf>,
    settle: Duration,
    files: BTreeMap<PathBuf, Seen>,
    events: UnboundedReceiver<Happening>,
    /// Dropping it ends the events.
    _watcher: Option<RecommendedWatcher>,
    listed: Option<Instant>,
    /// Why there are no events.
    pub without_events: Option<String>,
}

impl Arrivals {
    /// Watches directories and what is below them. A file counts as whole after `settle` without a change.
    ///
    /// # Errors
    /// When a directory is not there.
    pub fn watch(directories: Vec<PathBuf>, settle: Duration) -> Result<Self> {
        let (sender, events) = unbounded_channel();
        let directories = directories
            .into_iter()
            .map(|directory| directory.canonicalize().map_err(Error::io(directory)))
            .collect::<Result<Vec<_>>>()?;
        let (watcher, without_events) = match watcher(&directories, sender) {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let files = BTreeMap::new();
        Ok(Self { directories, settle, files, events, _watcher: watcher, listed: None, without_events })
    }

    /// Files that are whole now and were not given out, by path. Waits up to `patience` for one.
    pub async fn next(&mut self, patience: Duration) -> Vec<Arrival> {
        let until = Instant::now() + patience;
        loop {
            let every = self.settle.clamp(Duration::from_millis(100), Duration::from_secs(5));
            if self.listed.is_none_or(|listed| listed.elapsed() >= every) {
                self.list();
            }
            let mut happened = Vec::new();
            while let Ok(happening) = self.events.try_recv() {
                happened.push(happening);
            }
            happened.into_iter().for_each(|happening| self.notice(happening));
            let ready = self.take_ready();
            let now = Instant::now();
            if !ready.is_empty() || now >= until {
                return ready;
            }
            let next_look = self.listed.map_or(now, |listed| listed + every);
            let settled = self.files.values().filter(|seen| seen.state == State::Waiting);
            let settled = settled.map(|seen| seen.since + self.settle).min().unwrap_or(until);
            let wake = until.min(next_look).min(settled.max(now + Duration::from_millis(1)));
            if let Ok(Some(happening)) = tokio::time::timeout_at(wake.into(), self.events.recv()).await {
                self.notice(happening);
            }
        }
    }

    /// Files that are perhaps still written.
    pub fn waiting(&self) -> usize {
        self.files.values().filter(|seen| seen.state == State::Waiting).count()
    }

    fn notice(&mut self, happening: Happening) {
        let name = happening.path.to_string_lossy();
        let mut path = happening.path.clone();
        let mut closed = happening.closed;
        let described = index::grib_of_sidecar(&name);
        if !described.is_empty() {
            // Who writes a sidecar has finished the file.
            match described.into_iter().map(PathBuf::from).find(|grib| grib.is_file()) {
                Some(grib) => path = grib,
                None => return,
            }
        } else if is_unfinished(&path) {
            return;
        }
        if path.is_dir() {
            // A whole directory was renamed into place.
            closed = false;
            self.list_directory(&path.clone(), DEEPEST);
        }
        self.look_at(path, closed);
    }

    fn look_at(&mut self, path: PathBuf, closed: bool) {
        let Ok(metadata) = std::fs::metadata(&path) else {
            self.files.remove(&path);
            return;
        };
        if !metadata.is_file() {
            return;
        }
        let fingerprint = Fingerprint::of(&metadata);
        match self.files.get_mut(&path) {
            Some(seen) if seen.fingerprint == fingerprint => seen.closed |= closed,
            _ => {
                // A file that has not changed for long was finished before we came.
                let age = metadata.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
                let since = Instant::now().checked_sub(age.min(self.settle)).unwrap_or_else(Instant::now);
                self.files.insert(path, Seen { fingerprint, since, closed, state: State::Waiting });
            }
        }
    }

    fn list(&mut self) {
        self.listed = Some(Instant::now());
        for directory in self.directories.clone() {
            self.list_directory(&directory, DEEPEST);
        }
        self.files.retain(|path, _| path.exists());
    }

    fn list_directory(&mut self, directory: &Path, depth: usize) {
        let Ok(entries) = std::fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if is_unfinished(&path) {
                continue;
            }
            // Links to directories are not followed: they may lead in a circle.
            if kind.is_dir() {
                if depth > 0 {
                    self.list_directory(&path, depth - 1);
                }
            } else if !index::grib_of_sidecar(&path.to_string_lossy()).is_empty() {
                continue;
            } else if self.files.contains_key(&path) || looks_like_grib(&path) {
                self.look_at(path, false);
            }
        }
    }

    fn take_ready(&mut self) -> Vec<Arrival> {
        let now = Instant::now();
        let mut ready = Vec::new();
        for (path, seen) in &mut self.files {
            if seen.state == State::Done {
                continue;
            }
            let settled = now.saturating_duration_since(seen.since) >= self.settle;
            let whole = settled || (seen.closed && ends_whole(path, seen.fingerprint.size));
            if !whole {
                continue;
            }
            seen.state = State::Done;
            if looks_like_grib(path) {
                ready.push(Arrival { path: path.clone(), noticed: now });
            }
        }
        ready
    }
}

fn watcher(directories: &[PathBuf], sender: UnboundedSender<Happening>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let closed = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both | RenameMode::Any)) => true,
            // A hard link is made of a file that is there.
            EventKind::Create(CreateKind::File | CreateKind::Folder | CreateKind::Any) => false,
            EventKind::Modify(_) | EventKind::Remove(_) => false,
            _ => return,
        };
        for path in event.paths {
            // The receiver is gone when nobody watches any longer.
            let _ = sender.send(Happening { path, closed });
        }
    })?;
    for directory in directories {
        watcher.watch(directory, RecursiveMode::Recursive)?;
    }
    Ok(watcher)
}

fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let suffix = path.extension().map(|suffix| suffix.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.starts_with('.') || name.ends_with('~') || UNFINISHED_SUFFIXES.contains(&suffix.as_str())
}

/// Whether the file ends where a message ends.
fn ends_whole(path: &Path, size: u64) -> bool {
    let mut end = [0; 4];
    let Some(start) = size.checked_sub(4) else { return false };
    File::open(path).and_then(|file| file.read_exact_at(&mut end, start)).is_ok() && end == *b"7777"
}
