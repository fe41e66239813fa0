//! Reading objects, and their versions.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::LocalStorageError;
use super::directory::{ObjectDirectory, Place, Result, is_absent};

/// An object that was read.
#[derive(Debug)]
pub(super) enum Reading {
    Absent,
    /// It has the version that the reader holds.
    Unchanged,
    Found {
        version: String,
        /// The first piece.
        first: Bytes,
        /// What has not been read yet.
        rest: Remainder,
    },
}

/// The part of an object that has not been read. Holds the file open, so that deletion does not disturb the reader.
#[derive(Debug)]
pub(super) struct Remainder {
    open: Option<(File, PathBuf)>,
    range: Range<u64>,
}

impl ObjectDirectory {
    /// Reads `range` (all by default) of an object in pieces of at most `piece` bytes, unless its version is `unless`.
    pub(super) fn read(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        unless: Option<&str>,
        piece: u64,
    ) -> Result<Reading> {
        let place = self.place(key)?;
        let Some((file, metadata)) = self.open(&place)? else { return Ok(Reading::Absent) };
        let size = metadata.len();
        let range = range.unwrap_or(0..size);
        if range.start > range.end || range.end > size {
            return Err(LocalStorageError::RangeOutsideObject { path: place.path, range, size });
        }
        let mut rest = Remainder { open: Some((file, place.path.clone())), range };
        if place.digested {
            let all = Remainder { open: rest.open.take(), range: 0..size }.read_now(size)?;
            let version = digest(&all);
            if unless == Some(version.as_str()) {
                return Ok(Reading::Unchanged);
            }
            let part = usize::try_from(rest.range.start).ok().zip(usize::try_from(rest.range.end).ok());
            let Some((start, end)) = part else {
                return Err(LocalStorageError::OutOfMemory { path: place.path, size });
            };
            let first = all.slice(start..end);
            rest.range = 0..0;
            return Ok(Reading::Found { version, first, rest });
        }
        let version = stamp(&metadata);
        if unless == Some(version.as_str()) {
            return Ok(Reading::Unchanged);
        }
        let first = rest.read_now(piece)?;
        Ok(Reading::Found { version, first, rest })
    }

    pub(super) fn last_modified(&self, key: &str) -> Result<Option<SystemTime>> {
        let place = self.place(key)?;
        let Some((_, metadata)) = self.open(&place)? else { return Ok(None) };
        let modified = metadata.modified();
        modified.map(Some).map_err(|source| LocalStorageError::io("read the time of", &place.path, source))
    }

    pub(super) fn open(&self, place: &Place) -> Result<Option<(File, fs::Metadata)>> {
        self.check_parents(place)?;
        // Without O_NONBLOCK, opening a pipe waits for its writer.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&place.path) {
            Ok(file) => file,
            Err(source) if is_absent(&source) => return Ok(None),
            Err(source) if source.raw_os_error() == Some(libc::ELOOP) => {
                return Err(LocalStorageError::NotPlain { path: place.path.clone() });
            }
            Err(source) => return Err(LocalStorageError::io("open", &place.path, source)),
        };
        let metadata = file.metadata().map_err(|source| LocalStorageError::io("look at", &place.path, source))?;
        if metadata.is_file() {
            Ok(Some((file, metadata)))
        } else if metadata.is_dir() {
            // As in an object store: `chunks` is the beginning of keys, not a key.
            Ok(None)
        } else {
            Err(LocalStorageError::NotPlain { path: place.path.clone() })
        }
    }

    pub(super) fn read_whole(&self, place: &Place) -> Result<Option<(Bytes, String)>> {
        let Some((file, metadata)) = self.open(place)? else { return Ok(None) };
        let size = metadata.len();
        let bytes = Remainder { open: Some((file, place.path.clone())), range: 0..size }.read_now(size)?;
        let version = if place.digested { digest(&bytes) } else { stamp(&metadata) };
        Ok(Some((bytes, version)))
    }

    pub(super) fn version(&self, place: &Place) -> Result<Option<String>> {
        if place.digested {
            return Ok(self.read_whole(place)?.map(|(_, version)| version));
        }
        Ok(self.open(place)?.map(|(_, metadata)| stamp(&metadata)))
    }
}

impl Remainder {
    /// The next piece, or `None` at the end.
    pub(super) fn next(mut self, piece: u64) -> Result<Option<(Bytes, Self)>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let bytes = self.read_now(piece)?;
        Ok(Some((bytes, self)))
    }

    fn read_now(&mut self, piece: u64) -> Result<Bytes> {
        let Some((file, path)) = &mut self.open else { return Ok(Bytes::new()) };
        let wanted = self.range.end.saturating_sub(self.range.start).min(piece);
        let out_of_memory = || LocalStorageError::OutOfMemory { path: path.clone(), size: wanted };
        let mut bytes = Vec::new();
        let capacity = usize::try_from(wanted).map_err(|_| out_of_memory())?;
        bytes.try_reserve_exact(capacity).map_err(|_| out_of_memory())?;
        let failed = |source| LocalStorageError::io("read", path, source);
        file.seek(SeekFrom::Start(self.range.start)).map_err(failed)?;
        file.take(wanted).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() != capacity {
            let size = self.range.start.saturating_add(bytes.len() as u64);
            return Err(LocalStorageError::RangeOutsideObject { path: path.clone(), range: self.range.clone(), size });
        }
        self.range.start = self.range.start.saturating_add(wanted);
        Ok(bytes.into())
    }
}

/// Version by content: size and the first half of the SHA-256 digest.
pub(super) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{}-", bytes.len());
    for byte in Sha256::digest(bytes).iter().take(16) {
        // Writing to a string cannot fail.
        let _ok = write!(text, "{byte:02x}");
    }
    text
}

/// Version of an object that never changes, without reading it.
pub(super) fn stamp(metadata: &fs::Metadata) -> String {
    format!("{}-{}.{:09}-{}", metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino())
}
