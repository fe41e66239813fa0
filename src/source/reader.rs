//! One source file that is read in ranges.

use std::borrow::Cow;

use bytes::Bytes;

use super::remote::{Condition, ObjectInfo, Remote};
use super::{LocalFile, Location, RemoteUrl};
use crate::error::{Error, Result};
use crate::grib::walk::RangedRead;
use crate::read::Fingerprint;

/// Headers that lie closer together than this are fetched by one request.
pub(crate) const HEADER_GAP: u64 = 4096;
/// Messages that lie closer together than this are fetched by one request.
pub(crate) const MESSAGE_GAP: u64 = 256 << 10;
/// A remote file of at most so many bytes is fetched whole when its messages must be looked for.
const WHOLE_FILE: u64 = 32 << 20;

/// A file that was opened: what it was then is what all reads must find.
#[derive(Debug)]
pub enum Reader {
    /// An open local file.
    Local(LocalFile),
    /// A remote object.
    Remote {
        /// The way to it.
        remote: Remote,
        /// Where it is.
        url: RemoteUrl,
        /// What it was.
        info: ObjectInfo,
    },
}

impl Reader {
    /// Opens a local file, or looks at a remote one unless a listing said what it is.
    pub async fn open(location: &Location, listed: Option<&ObjectInfo>, remote: &Remote) -> Result<Self> {
        Ok(match location {
            Location::Local(path) => Self::Local(LocalFile::open(path)?),
            Location::Remote(url) => {
                let info = match listed {
                    Some(info) => info.clone(),
                    None => remote.head(url).await?,
                };
                Self::Remote { remote: remote.clone(), url: url.clone(), info }
            }
        })
    }

    /// Size and modification time.
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Local(file) => file.fingerprint(),
            Self::Remote { info, .. } => Fingerprint { size: info.size, mtime_ns: info.modified_ns },
        }
    }

    /// What the listing or the first look said about a remote file.
    pub fn info(&self) -> Option<&ObjectInfo> {
        match self {
            Self::Local(_) => None,
            Self::Remote { info, .. } => Some(info),
        }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.fingerprint().size
    }

    /// The file, when it is local.
    pub fn local(&self) -> Option<&LocalFile> {
        match self {
            Self::Local(file) => Some(file),
            Self::Remote { .. } => None,
        }
    }

    /// Exactly `length` bytes.
    pub async fn read_exact(&self, offset: u64, length: u64) -> Result<Bytes> {
        let mut read = self.read_many(&[(offset, length)], 0).await;
        read.pop().unwrap_or_else(|| Err(Error::invalid("a read", "no answer")))
    }

    /// Many pairs of offset and length. Remote ones are fetched at the same time, those less than `gap` bytes apart by one
    /// request.
    pub async fn read_many(&self, parts: &[(u64, u64)], gap: u64) -> Vec<Result<Bytes>> {
        let (remote, url, info) = match self {
            Self::Local(file) => {
                return parts
                    .iter()
                    .map(|(offset, length)| file.read_exact(*offset, *length).map(Bytes::from))
                    .collect();
            }
            Self::Remote { remote, url, info } => (remote, url, info),
        };
        // Nothing behind the end is asked for: the lengths are claims of an index.
        let outside = |(offset, length): &(u64, u64)| offset.checked_add(*length).is_none_or(|end| end > info.size);
        let ranges: Vec<_> =
            parts.iter().filter(|p| !outside(p)).map(|(offset, length)| *offset..offset + length).collect();
        let mut read = remote.read_many(url, &ranges, &info.condition(), gap).await.into_iter();
        let one = |part: &(u64, u64)| {
            if outside(part) {
                let reason = format!("{} bytes at {} lie behind its end at {}", part.1, part.0, info.size);
                return Err(Error::Source { location: url.to_string(), reason });
            }
            read.next().unwrap_or_else(|| Err(Error::invalid("a read", "no answer")))
        };
        parts.iter().map(one).collect()
    }

    /// A remote file in a form in which its messages can be looked for: in memory, or by ranges. Only for threads that may
    /// block.
    pub async fn walkable(&self, runtime: tokio::runtime::Handle) -> Result<Walkable> {
        match self {
            Self::Remote { remote, url, info } if info.size > WHOLE_FILE => Ok(Walkable::Ranges(RemoteRanges {
                remote: remote.clone(),
                url: url.clone(),
                size: info.size,
                condition: info.condition(),
                runtime,
            })),
            _ => Ok(Walkable::Memory(self.read_exact(0, self.size()).await?)),
        }
    }
}

/// A remote file whose messages are looked for.
pub enum Walkable {
    Memory(Bytes),
    Ranges(RemoteRanges),
}

/// A remote file that a thread which may block reads by ranges.
pub struct RemoteRanges {
    remote: Remote,
    url: RemoteUrl,
    size: u64,
    condition: Condition,
    runtime: tokio::runtime::Handle,
}

impl RangedRead for Walkable {
    fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Ranges(ranges) => ranges.size,
        }
    }

    fn read(&self, offset: u64, length: usize) -> std::io::Result<Cow<'_, [u8]>> {
        let end = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).map_err(|_| end())?;
                let range = start..start.checked_add(length).ok_or_else(end)?;
                bytes.get(range).map(Cow::Borrowed).ok_or_else(end)
            }
            Self::Ranges(ranges) => {
                let range = offset..offset.checked_add(length as u64).filter(|e| *e <= ranges.size).ok_or_else(end)?;
                let read = ranges.remote.read(&ranges.url, range, &ranges.condition);
                let bytes = ranges.runtime.block_on(read).map_err(std::io::Error::other)?;
                Ok(Cow::Owned(bytes.to_vec()))
            }
        }
    }
}
