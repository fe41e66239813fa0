//! Icechunk storage on the local disk that loses no acknowledged commit.
//!
//! What it does that Icechunk's own local storage does not:
//!
//! - **Compare and swap.** Objects that change (`repo`, `config.yaml`, references of format V1) are replaced under an
//!   exclusive lock of the repository, after their *content* was compared with the version that the writer read.
//!   Creation is a `link(2)`, which fails when the object exists, and needs no lock.
//! - **Whole objects.** Bytes go to a staged file first; a rename makes them visible.
//! - **Durability.** The bytes of every object are synchronised when it is put. The directories of immutable objects are
//!   synchronised once, before the next changing object is replaced, and so are durable before `repo` points to them.
//!
//! Staged files and the lock live in `.gribchunk/` beside the objects. Their names end in `#digits`, so that plain
//! Icechunk, which can read the same directory, does not list them. Plain Icechunk takes no lock: as long as it writes to a
//! repository too, nothing can be promised.
//!
//! It is not: a cache, a server, or safe on file systems without locks; see [`file_system_of`].

mod directory;
mod file_system;
mod lock;
mod reading;
mod synchronisation;
#[cfg(test)]
mod tests;
mod writing;

use std::fmt;
use std::num::{NonZeroU16, NonZeroU64};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use icechunk_storage::{
    ConcurrencySettings, DeleteObjectsResult, GetModifiedResult, ListInfo, RetriesSettings, Settings, Storage,
    StorageContext, StorageError, StorageErrorKind, StorageInfo, StorageResult, VersionInfo, VersionedUpdateResult,
    sealed,
};
use serde::{Deserialize, Serialize};

use directory::ObjectDirectory;
pub use file_system::{FileSystem, FileSystemSupport, file_system_of};
use reading::Reading;
use writing::Precondition;

/// Opens (it need not exist yet) the repository storage in the directory `path`, with full durability.
///
/// Nothing is written before Icechunk creates a repository or puts an object.
///
/// # Errors
/// [`LocalStorageError::NotADirectory`] when `path` is a file, [`LocalStorageError::Io`] when it cannot be looked at.
pub async fn local_storage(path: &Path) -> Result<Arc<dyn Storage + Send + Sync>, LocalStorageError> {
    local_storage_with(path, LocalStorageOptions::default()).await
}

/// [`local_storage`] with options.
///
/// # Errors
/// As [`local_storage`].
pub async fn local_storage_with(
    path: &Path,
    options: LocalStorageOptions,
) -> Result<Arc<dyn Storage + Send + Sync>, LocalStorageError> {
    // A storage is serialised into forked sessions, which may run in a process with another working directory.
    let root = std::path::absolute(path).map_err(|source| LocalStorageError::io("find", path, source))?;
    let directory = ObjectDirectory::new(root, options);
    blocking({
        let directory = directory.clone();
        move || directory.check_root()
    })
    .await?;
    Ok(Arc::new(LocalStorage { directory }))
}

/// Removes staged files that crashed writers left behind more than an hour ago, and never younger ones: their writer may
/// still be at work. The first write of every storage does this by itself.
///
/// Returns how many files were removed.
///
/// # Errors
/// [`LocalStorageError::Io`] when the staging directory cannot be read. A file that cannot be removed is passed over.
pub async fn clean_temporary_files(path: &Path) -> Result<u64, LocalStorageError> {
    let directory = ObjectDirectory::new(path.to_path_buf(), LocalStorageOptions::default());
    blocking(move || directory.remove_abandoned_files()).await
}

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Power loss and crashes of the operating system: files and directories are synchronised with the disk.
    #[default]
    Full,
    /// Crashes of the process only: nothing is synchronised. For tests, benchmarks and data that can be made again.
    ProcessCrashOnly,
}

/// Options of [`local_storage_with`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalStorageOptions {
    durability: Durability,
    allow_unsupported_file_system: bool,
}

impl LocalStorageOptions {
    /// What an acknowledged write survives; [`Durability::Full`] by default.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Writes also to file systems that [`file_system_of`] reports as [`FileSystemSupport::Refused`]. Concurrent commits
    /// may be lost there.
    #[must_use]
    pub fn allow_unsupported_file_system(mut self) -> Self {
        self.allow_unsupported_file_system = true;
        self
    }
}

/// Why the local storage failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalStorageError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}{}", path.display(), remedy(source))]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The path of the repository, or of one of its parts, is not a directory.
    #[error("{} is not a directory: name the directory that holds (or will hold) the repository", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// An object key that cannot name a file of the repository.
    #[error("the object key {key:?} cannot be stored: {reason}")]
    InvalidKey {
        /// The key as Icechunk gave it.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A symbolic link or special file where an object or a directory of objects should be; it could lead out of the
    /// repository.
    #[error(
        "{} is not a plain file or directory: move the data itself there, or link the whole repository instead of a part",
        path.display()
    )]
    NotPlain {
        /// The link or special file.
        path: PathBuf,
    },
    /// A byte range that the object does not have: it was cut short, or the reference to it is wrong.
    #[error(
        "bytes {}..{} of {} were asked for but it has {size}: the object is damaged, restore it from a copy",
        range.start, range.end, path.display()
    )]
    RangeOutsideObject {
        /// The file.
        path: PathBuf,
        /// The range asked for.
        range: Range<u64>,
        /// Size of the object in bytes.
        size: u64,
    },
    /// Writing to this file system could lose commits.
    #[error(
        "{} is on {type_name}, where commits could be lost ({reason}): use a local disk, or the cloud storage by its own \
         URL, or allow it by `allow_unsupported_file_system` if only one process ever writes",
        path.display()
    )]
    UnsupportedFileSystem {
        /// The repository.
        path: PathBuf,
        /// File system type as the kernel names it, for example `fuse.s3fs`.
        type_name: String,
        /// What it lacks.
        reason: &'static str,
    },
    /// The object is too large to hold in memory.
    #[error("no memory for {size} bytes of {}", path.display())]
    OutOfMemory {
        /// The file.
        path: PathBuf,
        /// How many bytes were to be read.
        size: u64,
    },
    /// The runtime is shutting down, so file work was not started or not finished.
    #[error("file work was cut off because the async runtime is shutting down")]
    Stopped,
}

impl LocalStorageError {
    fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source }
    }
}

fn remedy(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::StorageFull => " (free some space; nothing was committed)",
        ErrorKind::QuotaExceeded => " (raise the quota; nothing was committed)",
        ErrorKind::PermissionDenied => " (check owner and mode of the repository's files and directories)",
        ErrorKind::ReadOnlyFilesystem => " (the file system is mounted read-only)",
        ErrorKind::NotFound => " (create the repository first)",
        ErrorKind::Unsupported => " (this file system lacks a needed operation: use another)",
        _ => "",
    }
}

impl From<LocalStorageError> for StorageErrorKind {
    fn from(error: LocalStorageError) -> Self {
        StorageErrorKind::ObjectStore(Box::new(error))
    }
}

/// Piece in which objects are read and handed on, in bytes. One piece is one read of the disk.
const PIECE: u64 = 8 * 1024 * 1024;

/// An Icechunk [`Storage`] in a local directory; made by [`local_storage`].
#[derive(Debug, Serialize, Deserialize)]
pub struct LocalStorage {
    #[serde(flatten)]
    directory: ObjectDirectory,
}

impl fmt::Display for LocalStorage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LocalStorage(path={})", self.directory.root().display())
    }
}

impl LocalStorage {
    /// Runs `work` on the directory on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ObjectDirectory) -> Result<T, LocalStorageError> + Send + 'static,
    ) -> StorageResult<T> {
        let directory = self.directory.clone();
        blocking(move || work(&directory)).await.map_err(captured)
    }

    /// Reads `key`, unless its version is `unless`.
    async fn read(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        unless: Option<String>,
    ) -> StorageResult<Option<(ObjectStream, VersionInfo)>> {
        let key = key.to_owned();
        match self.run(move |directory| directory.read(&key, range, unless.as_deref(), PIECE)).await? {
            Reading::Absent => Err(StorageError::capture(StorageErrorKind::ObjectNotFound)),
            Reading::Unchanged => Ok(None),
            Reading::Found { version, first, rest } => {
                let first = stream::once(async move { Ok(first) });
                let rest = stream::try_unfold(rest, |rest| async move {
                    blocking(move || rest.next(PIECE)).await.map_err(captured)
                });
                Ok(Some((Box::pin(first.chain(rest)), VersionInfo::from_etag_only(version))))
            }
        }
    }
}

type ObjectStream = Pin<Box<dyn Stream<Item = Result<Bytes, StorageError>> + Send>>;

impl sealed::Sealed for LocalStorage {}

#[async_trait]
#[typetag::serde(name = "gribchunk_local")]
impl Storage for LocalStorage {
    fn storage_info(&self) -> StorageInfo {
        StorageInfo {
            backend_type: "local disk (gribchunk)",
            fields: vec![
                ("path", self.directory.root().display().to_string()),
                ("durability", format!("{:?}", self.directory.options().durability)),
            ],
        }
    }

    async fn default_settings(&self) -> StorageResult<Settings> {
        Ok(Settings {
            concurrency: Some(ConcurrencySettings {
                max_concurrent_requests_for_object: NonZeroU16::new(8),
                ideal_concurrent_request_size: NonZeroU64::new(PIECE),
            }),
            // Only a record: conditions are kept whatever a stored configuration says (a repository made by plain
            // Icechunk may say `false`), since a commit without them can be lost.
            unsafe_use_conditional_update: Some(true),
            unsafe_use_conditional_create: Some(true),
            // Files carry no user metadata; Icechunk needs none to read them.
            unsafe_use_metadata: Some(false),
            // A disk that failed once fails again.
            retries: Some(RetriesSettings {
                max_tries: Some(NonZeroU16::MIN),
                initial_backoff_ms: Some(0),
                max_backoff_ms: Some(0),
            }),
            ..Settings::default()
        })
    }

    async fn can_write(&self) -> StorageResult<bool> {
        Ok(self.directory.looks_writable())
    }

    async fn create_location_if_needed(&self) -> StorageResult<()> {
        self.run(ObjectDirectory::create_root).await
    }

    async fn get_object_range(
        &self,
        _context: &StorageContext<'_>,
        path: &str,
        range: Option<&Range<u64>>,
    ) -> StorageResult<(ObjectStream, VersionInfo)> {
        match self.read(path, range.cloned(), None).await? {
            Some(found) => Ok(found),
            None => Err(StorageError::capture(StorageErrorKind::ObjectNotFound)),
        }
    }

    async fn get_object_conditional(
        &self,
        _context: &StorageContext<'_>,
        path: &str,
        previous_version: Option<&VersionInfo>,
    ) -> StorageResult<GetModifiedResult> {
        let unless = previous_version.and_then(|version| version.etag().cloned());
        Ok(match self.read(path, None, unless).await? {
            Some((stream, new_version)) => {
                let pieces: Vec<Bytes> = stream.try_collect().await?;
                let whole = match pieces.as_slice() {
                    [only] => only.clone(),
                    several => several.concat().into(),
                };
                GetModifiedResult::Modified { data: Box::pin(std::io::Cursor::new(whole)), new_version }
            }
            None => GetModifiedResult::OnLatestVersion,
        })
    }

    async fn get_object_last_modified(
        &self,
        _context: &StorageContext<'_>,
        path: &str,
    ) -> StorageResult<DateTime<Utc>> {
        let key = path.to_owned();
        let modified = self.run(move |directory| directory.last_modified(&key)).await?;
        modified.map(DateTime::from).ok_or_else(|| StorageError::capture(StorageErrorKind::ObjectNotFound))
    }

    async fn put_object(
        &self,
        _context: &StorageContext<'_>,
        path: &str,
        bytes: Bytes,
        _content_type: Option<&str>,
        _metadata: Vec<(String, String)>,
        previous_version: Option<&VersionInfo>,
    ) -> StorageResult<VersionedUpdateResult> {
        let key = path.to_owned();
        let precondition = match previous_version {
            None => Precondition::None,
            Some(version) => match version.etag() {
                Some(etag) => Precondition::Version(etag.clone()),
                None => Precondition::Absent,
            },
        };
        Ok(updated(self.run(move |directory| directory.put(&key, &bytes, &precondition)).await?))
    }

    async fn copy_object(
        &self,
        _context: &StorageContext<'_>,
        from: &str,
        to: &str,
        _content_type: Option<&str>,
        version: &VersionInfo,
    ) -> StorageResult<VersionedUpdateResult> {
        let (from, to, expected) = (from.to_owned(), to.to_owned(), version.etag().cloned());
        let copied = self.run(move |directory| directory.copy(&from, &to, expected.as_deref())).await?;
        match copied {
            None => Err(StorageError::capture(StorageErrorKind::ObjectNotFound)),
            Some(true) => Ok(VersionedUpdateResult::Updated { new_version: version.clone() }),
            Some(false) => Ok(VersionedUpdateResult::NotOnLatestVersion),
        }
    }

    async fn list_objects<'a>(
        &'a self,
        _context: &StorageContext<'_>,
        prefix: &str,
    ) -> StorageResult<BoxStream<'a, StorageResult<ListInfo<String>>>> {
        // Two pages under way at most, so that a listing of millions of chunks is never held as a whole.
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        let (directory, prefix) = (self.directory.clone(), prefix.to_owned());
        drop(tokio::task::spawn_blocking(move || {
            let result = directory.list(&prefix, |page| sender.blocking_send(Ok(page)).is_ok());
            if let Err(error) = result {
                // A receiver that is gone wants no error either.
                let _gone = sender.blocking_send(Err(error));
            }
        }));
        let pages = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
        let objects = pages.flat_map(|page| {
            stream::iter(match page {
                Ok(objects) => objects.into_iter().map(|object| Ok(list_info(object))).collect(),
                Err(error) => vec![Err(captured(error))],
            })
        });
        Ok(objects.boxed())
    }

    async fn delete_batch(
        &self,
        _context: &StorageContext<'_>,
        prefix: &str,
        batch: Vec<(String, u64)>,
    ) -> StorageResult<DeleteObjectsResult> {
        let prefix = prefix.to_owned();
        self.run(move |directory| {
            let mut result = DeleteObjectsResult::default();
            for (id, size) in batch {
                let key = if prefix.is_empty() { id } else { format!("{prefix}/{id}") };
                match directory.delete(&key) {
                    // As on S3, deleting what is gone succeeds: two collectors at work at once are no failure.
                    Ok(existed) => {
                        result.deleted_objects = result.deleted_objects.saturating_add(1);
                        let size = if existed { size } else { 0 };
                        result.deleted_bytes = result.deleted_bytes.saturating_add(size);
                    }
                    // Icechunk takes the shortfall for failures, and counts them.
                    Err(error) => tracing::error!(%error, key, "an object was not deleted"),
                }
            }
            Ok(result)
        })
        .await
    }
}

fn updated(version: Option<String>) -> VersionedUpdateResult {
    match version {
        Some(etag) => VersionedUpdateResult::Updated { new_version: VersionInfo::from_etag_only(etag) },
        None => VersionedUpdateResult::NotOnLatestVersion,
    }
}

fn list_info(object: directory::ListedObject) -> ListInfo<String> {
    ListInfo { id: object.key, created_at: DateTime::from(object.modified), size_bytes: object.size }
}

fn captured(error: LocalStorageError) -> StorageError {
    StorageError::capture(error.into())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LocalStorageError> + Send + 'static,
) -> Result<T, LocalStorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(LocalStorageError::Stopped),
    }
}
