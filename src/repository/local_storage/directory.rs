//! A directory of objects: which file an object is, and what there is.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use object_store::path::Path as ObjectPath;
use serde::{Deserialize, Serialize};

use super::synchronisation::Synchronisation;
use super::{LocalStorageError, LocalStorageOptions};

pub(super) type Result<T> = std::result::Result<T, LocalStorageError>;

/// Directory of the lock and of staged files, beside the objects.
const OWN_DIRECTORY: &str = ".gribchunk";

/// Name of the lock. The suffix keeps object_store, and so plain Icechunk, from listing it.
pub(super) const LOCK_FILE: &str = "lock#0";

/// Directories whose objects have random names and never change (Icechunk specification, "Storage layout").
pub(super) const IMMUTABLE: [&str; 5] = ["chunks", "manifests", "snapshots", "transactions", "overwritten"];

/// Those of them that only the committing process writes.
const DEFERRED: [&str; 3] = ["manifests", "snapshots", "transactions"];

/// Objects that were changing ones before; links to `repo`, whose time a later copy can touch.
const OVERWRITTEN: &str = "overwritten";

/// Objects in one page of a listing.
const PAGE: usize = 1000;

/// A directory of objects.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ObjectDirectory {
    pub(super) root: PathBuf,
    pub(super) options: LocalStorageOptions,
    #[serde(skip)]
    pub(super) synchronisation: Arc<Synchronisation>,
    /// Set when the first write has looked at the file system and cleaned up.
    #[serde(skip)]
    pub(super) prepared: Arc<OnceLock<()>>,
    #[cfg(test)]
    #[serde(skip)]
    pub(super) steps: Arc<std::sync::Mutex<Vec<String>>>,
}

/// An object in a listing.
#[derive(Debug)]
pub(super) struct ListedObject {
    /// Relative to the listed prefix.
    pub key: String,
    pub modified: SystemTime,
    pub size: u64,
}

/// Where an object lies.
#[derive(Debug)]
pub(super) struct Place {
    pub path: PathBuf,
    /// Its name is given once and its bytes never change.
    pub immutable: bool,
    /// Its version is a digest of its bytes; of other objects size, time and inode do, since nobody replaces them.
    pub digested: bool,
    /// Its bytes may reach the disk as late as its name does. Not chunks: the worker that writes them can be another
    /// process than the one that commits them.
    pub deferred: bool,
}

impl ObjectDirectory {
    pub(super) fn new(root: PathBuf, options: LocalStorageOptions) -> Self {
        Self {
            root,
            options,
            synchronisation: Arc::default(),
            prepared: Arc::default(),
            #[cfg(test)]
            steps: Arc::default(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn options(&self) -> LocalStorageOptions {
        self.options
    }

    pub(super) fn check_root(&self) -> Result<()> {
        match fs::metadata(&self.root) {
            Ok(metadata) if !metadata.is_dir() => Err(LocalStorageError::NotADirectory { path: self.root.clone() }),
            Ok(_) => Ok(()),
            Err(source) if source.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) if source.kind() == ErrorKind::NotADirectory => {
                Err(LocalStorageError::NotADirectory { path: self.root.clone() })
            }
            Err(source) => Err(LocalStorageError::io("look at", &self.root, source)),
        }
    }

    /// False when every write would fail for a reason that can be seen beforehand.
    pub(super) fn looks_writable(&self) -> bool {
        fs::metadata(&self.root).is_ok_and(|metadata| !metadata.permissions().readonly())
            || matches!(fs::metadata(&self.root), Err(error) if error.kind() == ErrorKind::NotFound)
    }

    /// Hands every object under `prefix` to `take`, in pages, until it returns false. Staged files, links and special
    /// files are no objects. A directory that does not exist has none.
    pub(super) fn list(&self, prefix: &str, mut take: impl FnMut(Vec<ListedObject>) -> bool) -> Result<()> {
        let parts = ObjectPath::from(prefix);
        let start = parts.parts().fold(self.root.clone(), |path, part| path.join(part.as_ref()));
        let mut page = Vec::new();
        let mut directories = vec![(start, String::new())];
        while let Some((directory, relative)) = directories.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(source) if is_absent(&source) => continue,
                Err(source) => return Err(LocalStorageError::io("list", &directory, source)),
            };
            for entry in entries {
                let entry = entry.map_err(|source| LocalStorageError::io("list", &directory, source))?;
                let name = entry.file_name();
                let Some(name) = name.to_str().filter(|name| !is_staged(name) && *name != OWN_DIRECTORY) else {
                    continue;
                };
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    // Deleted since the directory was read.
                    Err(source) if is_absent(&source) => continue,
                    Err(source) => return Err(LocalStorageError::io("look at", &entry.path(), source)),
                };
                if metadata.is_dir() {
                    directories.push((entry.path(), format!("{relative}{name}/")));
                } else if metadata.is_file() {
                    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
                    page.push(ListedObject { key: format!("{relative}{name}"), modified, size: metadata.len() });
                    if page.len() >= PAGE && !take(std::mem::take(&mut page)) {
                        return Ok(());
                    }
                }
            }
        }
        if !page.is_empty() {
            take(page);
        }
        Ok(())
    }

    pub(super) fn own_directory(&self) -> PathBuf {
        self.root.join(OWN_DIRECTORY)
    }

    /// The file of a key. Parts are encoded as object_store (and so plain Icechunk) does it, which leaves no `..`, no `/`
    /// and no `#` in a name: no key leads out of the repository or to a staged file.
    pub(super) fn place(&self, key: &str) -> Result<Place> {
        let invalid = |reason| LocalStorageError::InvalidKey { key: key.to_owned(), reason };
        let encoded = ObjectPath::from(key);
        let mut path = self.root.clone();
        let mut parts = 0_usize;
        for part in encoded.parts() {
            path.push(part.as_ref());
            parts = parts.saturating_add(1);
        }
        let first = encoded.parts().next().ok_or_else(|| invalid("it is empty"))?;
        if first.as_ref() == OWN_DIRECTORY {
            return Err(invalid("that directory holds the lock and staged files"));
        }
        let immutable = parts == 2 && IMMUTABLE.contains(&first.as_ref());
        Ok(Place {
            path,
            immutable,
            digested: !immutable || first.as_ref() == OVERWRITTEN,
            deferred: immutable && DEFERRED.contains(&first.as_ref()),
        })
    }

    pub(super) fn key_of(&self, place: &Place) -> String {
        place.path.strip_prefix(&self.root).unwrap_or(&place.path).to_string_lossy().into_owned()
    }

    /// Refuses links on the way from the root to an object: they could lead out of the repository.
    pub(super) fn check_parents(&self, place: &Place) -> Result<()> {
        for parent in place.path.ancestors().skip(1).take_while(|parent| *parent != self.root) {
            match fs::symlink_metadata(parent) {
                Ok(metadata) if !metadata.is_dir() => {
                    return Err(LocalStorageError::NotPlain { path: parent.to_path_buf() });
                }
                Ok(_) => {}
                Err(source) if is_absent(&source) => {}
                Err(source) => return Err(LocalStorageError::io("look at", parent, source)),
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn step(&self, what: &str, path: &Path) {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        let mut steps = self.steps.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        steps.push(format!("{what} {}", path.display()));
    }

    #[cfg(not(test))]
    #[inline]
    pub(super) fn step(&self, _what: &str, _path: &Path) {}
}

/// Whether a name is that of a staged file, ours or object_store's: it ends in `#` and digits.
pub(super) fn is_staged(name: &str) -> bool {
    name.split_once('#').is_some_and(|(_, rest)| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
