//! The bytes behind a virtual chunk reference, if they are the ones that were ingested.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};

use bytes::Bytes;
use icechunk::format::manifest::{Checksum, VirtualChunkRef};

use crate::error::{Error, Result};
use crate::repository::Access;

/// What a local file was when its references were made: kept in the URL's fragment, which Icechunk keeps and ignores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: u64,
}

impl Fingerprint {
    /// Of a file as it is now.
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        let nanoseconds = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Self { size: metadata.size(), mtime_ns: u64::try_from(nanoseconds).unwrap_or(0) }
    }

    /// `#size=...&mtime_ns=...`
    pub fn fragment(&self) -> String {
        format!("#size={}&mtime_ns={}", self.size, self.mtime_ns)
    }

    /// # Errors
    /// How the file `now` differs from what it was.
    fn compare(&self, now: Fingerprint) -> std::result::Result<(), String> {
        if *self == now {
            Ok(())
        } else if self.size == now.size {
            Err("its modification time differs".into())
        } else {
            Err(format!("{} bytes then, {} bytes now", self.size, now.size))
        }
    }

    /// For Icechunk's own check: whole seconds, rounded up.
    pub fn last_modified(&self) -> Option<Checksum> {
        let seconds = u32::try_from(self.mtime_ns.div_ceil(1_000_000_000)).ok()?;
        Some(Checksum::LastModified(icechunk::format::manifest::SecondsSinceEpoch(seconds)))
    }
}

/// A location without its fragment, and the fingerprint that the fragment holds.
pub fn parse_location(location: &str) -> (&str, Option<Fingerprint>) {
    let Some((url, fragment)) = location.split_once('#') else { return (location, None) };
    let mut fingerprint = Fingerprint { size: 0, mtime_ns: 0 };
    let mut seen = (false, false);
    for part in fragment.split('&') {
        match part.split_once('=') {
            Some(("size", value)) => (fingerprint.size, seen.0) = (value.parse().unwrap_or(u64::MAX), true),
            Some(("mtime_ns", value)) => (fingerprint.mtime_ns, seen.1) = (value.parse().unwrap_or(u64::MAX), true),
            _ => {}
        }
    }
    (url, (seen == (true, true)).then_some(fingerprint))
}

/// A message in a local file that was opened and found to be the one that was ingested.
#[derive(Debug)]
pub struct LocalMessage<'a> {
    file: File,
    location: &'a str,
    offset: u64,
    length: u64,
    fingerprint: Fingerprint,
}

impl<'a> LocalMessage<'a> {
    /// Opens the source of a reference. `location` is the reference's, with `vcc://` resolved.
    ///
    /// # Errors
    /// When the place is not allowed, the source is gone, or it is not the one that was ingested; when the reference
    /// cannot be verified and `require_verified` is set.
    pub fn open(
        access: &Access,
        location: &'a str,
        reference: &VirtualChunkRef,
        require_verified: bool,
    ) -> Result<LocalMessage<'a>> {
        let path = access.check(location)?;
        let unreadable = |e: std::io::Error| Error::Source { location: location.to_string(), reason: e.to_string() };
        let file = File::open(&path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Error::Source { location: location.into(), reason: "not a regular file".into() });
        }
        let now = Fingerprint::of(&metadata);
        let changed = |reason: String| Error::SourceChanged { location: location.to_string(), reason };
        match (parse_location(location).1, &reference.checksum) {
            (Some(then), _) => then.compare(now).map_err(changed)?,
            (None, Some(Checksum::LastModified(then))) => {
                if now.mtime_ns.div_ceil(1_000_000_000) > u64::from(then.0) {
                    return Err(changed("it was modified later".into()));
                }
            }
            // Icechunk's ETags of local files never match: they verify nothing.
            (None, _) if require_verified => return Err(Error::Unverified { location: location.into() }),
            (None, _) => {}
        }
        let end = reference.offset.checked_add(reference.length);
        if end.is_none_or(|end| end > now.size) {
            return Err(changed(format!(
                "the reference ends at byte {}, the file at {}",
                reference.offset.saturating_add(reference.length),
                now.size
            )));
        }
        Ok(Self { file, location, offset: reference.offset, length: reference.length, fingerprint: now })
    }

    /// Bytes `range` of the message.
    ///
    /// # Errors
    /// When they cannot be read, or the file was changed in the meantime.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let unreadable =
            |e: std::io::Error| Error::Source { location: self.location.to_string(), reason: e.to_string() };
        if range.start > range.end || range.end > self.length {
            return Err(unreadable(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_exact_at(&mut bytes, self.offset + range.start).map_err(unreadable)?;
        let now = Fingerprint::of(&self.file.metadata().map_err(unreadable)?);
        let changed = |reason| Error::SourceChanged { location: self.location.to_string(), reason };
        self.fingerprint.compare(now).map_err(changed)?;
        Ok(bytes.into())
    }

    /// The whole message.
    ///
    /// # Errors
    /// As [`LocalMessage::read`].
    pub fn read_all(&self) -> Result<Bytes> {
        self.read(0..self.length)
    }
}

/// Fetches the bytes of a reference.
///
/// # Errors
/// As [`LocalMessage::open`].
pub fn fetch(access: &Access, location: &str, reference: &VirtualChunkRef, require_verified: bool) -> Result<Bytes> {
    LocalMessage::open(access, location, reference, require_verified)?.read_all()
}
