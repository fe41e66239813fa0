//! References that others made: kerchunk JSON, kerchunk parquet, and tables of `[key, value]`.
//!
//! All formats say the same thing: a Zarr key is the bytes `[offset, offset + length)` of a URL, or some bytes given at
//! once. Only references to GRIB messages can be carried into a cube; what is not, is named in
//! [`ReferenceList::not_carried`]. The names that a list gives its fields are labels, no more: the message says what it is.

mod collect;
mod labels;
pub(super) mod python_literal;
pub(super) mod table;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

pub(super) use collect::Collector;
pub use labels::{ArrayLabels, Labels, run_hour_in};

/// So many references are read from one list.
pub(super) const REFERENCE_LIMIT: usize = 10_000_000;
/// So large may a list be after decompression, in bytes.
const TEXT_LIMIT: u64 = 2 << 30;

/// Bytes of a source that a list says are a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// URL or path, as the list gives it, with templates put in.
    pub url: Arc<str>,
    /// First byte.
    pub offset: u64,
    /// Bytes; `None`: the whole object.
    pub length: Option<u64>,
    /// The Zarr key, or what else the list calls it.
    pub key: String,
}

/// A part of a list that cannot be used, or must be used with care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceProblem {
    /// The key or array that it is about; empty for the list.
    pub key: String,
    /// What is wrong, in words.
    pub reason: String,
}

/// Why chunks of an array do not get into a cube.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotCarriedKind {
    /// A coordinate whose values are in the list: a cube has coordinates of its own, from the messages.
    InlineCoordinate,
    /// Data whose values are in the list.
    InlineData,
    /// A whole GRIB message in the list: there is no source that a chunk could refer to.
    InlineMessage,
    /// A coordinate that is computed from a message's grid.
    DerivedCoordinate,
    /// Bytes in another format than GRIB, by the array's codec.
    OtherCodec,
    /// Chunks that are stored in the repository that was given as a source.
    StoredChunks,
    /// An array that has metadata and no reference.
    NoReference,
}

/// Chunks of one array that are not carried, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotCarried {
    /// Path of the array in the list.
    pub array: String,
    /// Why they are not.
    pub kind: NotCarriedKind,
    /// How many chunks.
    pub count: u64,
}

impl NotCarriedKind {
    /// Whether data are lost, rather than coordinates that the messages give anyway.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::InlineData | Self::InlineMessage | Self::OtherCodec | Self::StoredChunks)
    }

    /// What it is, for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::InlineCoordinate => "inline coordinates, which the messages give",
            Self::InlineData => "inline data",
            Self::InlineMessage => "GRIB messages inside the list, which have no source to refer to",
            Self::DerivedCoordinate => "coordinates derived from grids, which the messages give",
            Self::OtherCodec => "references to data that are not GRIB messages",
            Self::StoredChunks => "chunks stored in that repository",
            Self::NoReference => "arrays without a reference",
        }
    }
}

/// What a list holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReferenceList {
    /// In the order of the list.
    pub entries: Vec<Reference>,
    /// What cannot be used, or must be used with care.
    pub problems: Vec<ReferenceProblem>,
    /// Sorted by array.
    pub not_carried: Vec<NotCarried>,
    /// What the list says about its fields, for comparison with the messages; by array path.
    pub arrays: BTreeMap<String, ArrayLabels>,
}

/// Why bytes are not a list of references at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferencesError {
    /// The text is not JSON; why.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// Something else; what.
    #[error("this is {0}, not a list of references")]
    NotReferences(String),
    /// The file cannot be read as parquet; why.
    #[error("not a parquet file that can be read: {0}")]
    NotParquet(String),
    /// A parquet table of something else.
    #[error("its columns are {found}; a list of references has {wanted}")]
    WrongColumns {
        /// The columns that are there.
        found: String,
        /// Those that a list has.
        wanted: &'static str,
    },
    /// It stands for more than is read: a mistake or an attack.
    #[error("{what}: more than {limit}")]
    TooMany {
        /// What there is too much of.
        what: String,
        /// The most that is taken.
        limit: u64,
    },
    /// A part of the list cannot be read; which and why.
    #[error("{0}")]
    Unreadable(String),
}

/// Reads a list that is one file: kerchunk JSON (also compressed with gzip or zstd), or a parquet table.
///
/// # Errors
/// When the bytes are something else. Smaller faults are in [`ReferenceList::problems`].
pub fn parse_references(bytes: Vec<u8>) -> Result<ReferenceList, ReferencesError> {
    let bytes = decompressed(bytes)?;
    if bytes.starts_with(b"PAR1") {
        return super::gik::parse(bytes.into());
    }
    super::kerchunk::parse(&bytes)
}

fn decompressed(bytes: Vec<u8>) -> Result<Vec<u8>, ReferencesError> {
    let unreadable = |e: std::io::Error| ReferencesError::Unreadable(format!("cannot be decompressed: {e}"));
    let mut text = Vec::new();
    let read = if bytes.starts_with(b"\x1f\x8b") {
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(TEXT_LIMIT).read_to_end(&mut text)
    } else if bytes.starts_with(b"\x28\xb5\x2f\xfd") {
        let decoder = zstd::Decoder::new(bytes.as_slice()).map_err(unreadable)?;
        decoder.take(TEXT_LIMIT).read_to_end(&mut text)
    } else {
        return Ok(bytes);
    };
    if read.map_err(unreadable)? as u64 >= TEXT_LIMIT {
        return Err(ReferencesError::TooMany { what: "bytes after decompression".into(), limit: TEXT_LIMIT });
    }
    Ok(text)
}
