//! The lock of a repository's writers.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::LocalStorageError;
use super::directory::{LOCK_FILE, ObjectDirectory, Result};

/// Held while a changing object is compared and replaced. The file comes first, so that the lock between processes is
/// freed before the one between threads.
#[derive(Debug)]
pub(super) struct WriterLock {
    _file: File,
    _thread: MutexGuard<'static, ()>,
}

impl ObjectDirectory {
    /// Excludes all other writers of changing objects, in this process and in others, until dropped. Waits as long as
    /// another writer holds it; the kernel frees the lock of a process that dies.
    pub(super) fn lock(&self) -> Result<WriterLock> {
        let path = self.own_directory().join(LOCK_FILE);
        let failed = |source| LocalStorageError::io("lock", &path, source);
        self.prepare_for_writing()?;
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(failed)?;
            let identity = identity(&file.metadata().map_err(failed)?);
            // On NFS a lock belongs to the process, so threads exclude each other by a mutex.
            let thread = thread_gate(identity).lock().unwrap_or_else(PoisonError::into_inner);
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => loop {
                    match file.lock() {
                        Err(source) if source.kind() == ErrorKind::Interrupted => {}
                        other => break other.map_err(failed)?,
                    }
                },
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // Somebody may have removed the file while we waited; then another writer locks the new one.
            if fs::metadata(&path).is_ok_and(|current| self::identity(&current) == identity) {
                return Ok(WriterLock { _file: file, _thread: thread });
            }
        }
    }
}

/// Device and inode of a file.
type Identity = (u64, u64);

/// The mutex of the threads that write to the repository with this lock file.
fn thread_gate(identity: Identity) -> &'static Mutex<()> {
    static GATES: LazyLock<Mutex<HashMap<Identity, &'static Mutex<()>>>> = LazyLock::new(Mutex::default);
    let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
    // Leaked: a few bytes for each repository that this process ever writes to.
    gates.entry(identity).or_insert_with(|| Box::leak(Box::default()))
}

fn identity(metadata: &fs::Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}
