//! The bytes behind a virtual chunk reference, if they are the ones that were ingested.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};

use bytes::Bytes;
use icechunk::format::manifest::{Checksum, VirtualChunkRef};

use crate::error::{Error, Result};
use crate::repository::Access;
use crate::repository::access::is_file;
use crate::source::{Condition, Location, MESSAGE_GAP, RemoteUrl};

/// A reference to more bytes than this is a mistake or an attack.
const LONGEST_MESSAGE: u64 = 4 << 30;

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
        let (file, now) = open_local(access, location, reference.checksum.as_ref(), require_verified)?;
        let end = reference.offset.checked_add(reference.length);
        if end.is_none_or(|end| end > now.size) {
            return Err(too_short(location, reference.offset.saturating_add(reference.length), now.size));
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

/// Fetches the bytes of a reference. `location` is the reference's, with `vcc://` resolved.
///
/// # Errors
/// When the place is not allowed, the source is gone, or it is not the one that was ingested; when the reference cannot be
/// verified and `require_verified` is set.
pub async fn fetch(
    access: &Access,
    location: &str,
    reference: &VirtualChunkRef,
    require_verified: bool,
) -> Result<Bytes> {
    if is_file(location) {
        return super::snapshot::blocking(|| {
            LocalMessage::open(access, location, reference, require_verified)?.read_all()
        });
    }
    let mut fetched = fetch_remote(access, &[(location, reference)], require_verified).await;
    fetched.pop().unwrap_or_else(|| Err(Error::Source { location: location.into(), reason: "no answer".into() }))
}

/// Ranges of one object, and which references they are of.
type Wanted = (Vec<usize>, Vec<Range<u64>>);

/// Fetches many references to remote objects at the same time; near ranges of one object share a request. The results are
/// in the order of the references.
pub async fn fetch_remote(
    access: &Access,
    references: &[(&str, &VirtualChunkRef)],
    require_verified: bool,
) -> Vec<Result<Bytes>> {
    let mut results: Vec<Option<Result<Bytes>>> = references.iter().map(|_| None).collect();
    let mut objects: HashMap<(RemoteUrl, Condition), Wanted> = HashMap::new();
    for ((index, (location, reference)), result) in references.iter().enumerate().zip(&mut results) {
        match plan(access, location, reference, require_verified) {
            Ok((object, range)) => {
                let (indices, ranges) = objects.entry(object).or_default();
                indices.push(index);
                ranges.push(range);
            }
            Err(error) => *result = Some(Err(error)),
        }
    }
    // The remote storage bounds how many requests are under way.
    let reads = objects.into_iter().map(|((url, condition), (indices, ranges))| async move {
        let read = access.remote().read_many(&url, &ranges, &condition, MESSAGE_GAP).await;
        indices.into_iter().zip(read).collect::<Vec<_>>()
    });
    for (index, read) in futures::future::join_all(reads).await.into_iter().flatten() {
        if let Some(result) = results.get_mut(index) {
            *result = Some(read);
        }
    }
    let lost = |location: &str| Err(Error::Source { location: location.into(), reason: "no answer".into() });
    results
        .into_iter()
        .zip(references)
        .map(|(result, (location, _))| result.unwrap_or_else(|| lost(location)))
        .collect()
}

fn plan(
    access: &Access,
    location: &str,
    reference: &VirtualChunkRef,
    require_verified: bool,
) -> Result<((RemoteUrl, Condition), Range<u64>)> {
    let Location::Remote(url) = access.check(location)? else {
        return Err(Error::Source { location: location.into(), reason: "not a remote object".into() });
    };
    let condition = condition(reference.checksum.as_ref());
    if require_verified && condition == Condition::None {
        return Err(Error::Unverified { location: location.into() });
    }
    let end = reference.offset.checked_add(reference.length).filter(|_| reference.length <= LONGEST_MESSAGE);
    let end = end.ok_or_else(|| Error::Source {
        location: location.into(),
        reason: format!("{} bytes at {} are no message", reference.length, reference.offset),
    })?;
    Ok(((url, condition), reference.offset..end))
}

/// Looks at the source of references without reading it: it is allowed, there, the version that was ingested, and not
/// shorter than `end`.
pub async fn check_source(access: &Access, location: &str, checksum: Option<&Checksum>, end: u64) -> Result<()> {
    let size = if is_file(location) {
        super::snapshot::blocking(|| open_local(access, location, checksum, false).map(|(_, now)| now.size))?
    } else {
        let Location::Remote(url) = access.check(location)? else {
            return Err(Error::Source { location: location.into(), reason: "not a remote object".into() });
        };
        access.remote().head_of(&url, &condition(checksum)).await?.size
    };
    if end > size { Err(too_short(location, end, size)) } else { Ok(()) }
}

fn condition(checksum: Option<&Checksum>) -> Condition {
    match checksum {
        Some(Checksum::ETag(etag)) => Condition::ETag(etag.0.clone()),
        Some(Checksum::LastModified(seconds)) => Condition::NotModifiedSince(seconds.0.into()),
        None => Condition::None,
    }
}

fn too_short(location: &str, end: u64, size: u64) -> Error {
    let reason = format!("the reference ends at byte {end}, the file at {size}");
    Error::SourceChanged { location: location.to_string(), reason }
}

/// Opens a local file that may be read and is the one that was ingested.
fn open_local(
    access: &Access,
    location: &str,
    checksum: Option<&Checksum>,
    require_verified: bool,
) -> Result<(File, Fingerprint)> {
    let Location::Local(path) = access.check(location)? else {
        return Err(Error::Source { location: location.into(), reason: "not a local file".into() });
    };
    let unreadable = |e: std::io::Error| Error::Source { location: location.to_string(), reason: e.to_string() };
    let file = File::open(&path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::Source { location: location.into(), reason: "not a regular file".into() });
    }
    let now = Fingerprint::of(&metadata);
    let changed = |reason: String| Error::SourceChanged { location: location.to_string(), reason };
    match (parse_location(location).1, checksum) {
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
    Ok((file, now))
}
