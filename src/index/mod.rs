//! Index sidecars: which field lies where in a GRIB file, as text, without I/O.
//!
//! Two families: ECMWF `.index` (one JSON object per line, and look-alikes) and NOAA `.idx` / `.inv` (wgrib2
//! inventories). A line says less than the message's header (no grid, mostly no window start, no exact level type), so
//! one header is read per [`GroupKey`] and [`Entry::key_from_sample`] gives the whole [`FieldKey`] of every other line of
//! that group. Where a line and its message disagree, the message wins.
//!
//! ```
//! # use gribchunk::index::{parse, Format};
//! let text = b"1:0:d=2025080100:TMP:500 mb:6 hour fcst:ENS=+1\n2:1200:d=2025080100:TMP:850 mb:6 hour fcst:ENS=+1\n";
//! let index = parse(text, Some(2500))?;
//! assert_eq!(index.format, Format::Wgrib2);
//! assert_eq!(index.entries[1].length, Some(1300));
//! assert_eq!(index.entries[0].group(), index.entries[1].group());
//! # Ok::<(), gribchunk::index::IndexError>(())
//! ```
//!
//! [`FieldKey`]: crate::grib::key::FieldKey
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agreement;
mod ecmwf;
mod field_key;
mod keys;
mod ranges;
mod sidecar;
#[cfg(test)]
mod tests;
mod time;
mod wgrib2;

pub use field_key::{Disagreement, GroupKey};
pub use keys::{Keys, LineText, Product, StepKind, UnknownParameter};
pub use sidecar::{grib_of_sidecar, sidecar_candidates};

/// What kind of index a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON lines with MARS keys, `_offset` and `_length` (ECMWF open data, MARS look-alikes), or with
    /// `offset`, `length`, `variable`, `lead_hours`, `ensemble_member`.
    Ecmwf,
    /// `number[.sub]:offset:d=YYYYMMDDHH:variable:level:time[:more]`
    Wgrib2,
}

/// A parsed index: what could be read, and what could not.
#[derive(Debug, Clone)]
pub struct Index {
    /// Which kind of index it is.
    pub format: Format,
    /// In the order of the lines.
    pub entries: Vec<Entry>,
    /// In the order of the lines.
    pub problems: Vec<LineProblem>,
}

/// One line: where a field is and what the line says about it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Number of the line, from 1.
    pub line: u32,
    /// Byte in the GRIB file where the message starts.
    pub offset: u64,
    /// Bytes of the message: as the line says, or up to the next distinct offset, or for the last message up to the end
    /// of the file. None: last message of a file of unknown size.
    pub length: Option<u64>,
    /// Position among the fields of its message, from 0; None when the message holds one field as far as the index says.
    pub submessage: Option<u32>,
    /// The line's bytes are also claimed by another line (see [`Reason::Overlap`]): its header must be read.
    pub overlaps: bool,
    /// What the line says of the field.
    pub keys: Keys,
}

/// A line that gives no entry, or one to be careful with, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineProblem {
    /// Number of the line, from 1.
    pub line: u32,
    /// The line, at most 200 bytes of it.
    pub text: String,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with a line; the error texts say it.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    #[error("not text (invalid UTF-8)")]
    NotText,
    #[error("not a JSON object: {0}")]
    NotJson(String),
    #[error("the key {0} is not there")]
    MissingKey(&'static str),
    #[error("{key}: cannot read {value:?}")]
    BadValue { key: &'static str, value: String },
    #[error("fewer than the six fields number:offset:d=date:variable:level:time")]
    TooFewFields,
    /// The first line whose offset lost bits; they were put back, and all lines are kept.
    #[error("offsets are 32-bit numbers that wrapped; they were taken as growing from line to line")]
    WrappedOffsets,
    /// The line is left out: its bytes cannot be there.
    #[error("ends at byte {end}, past the end of the file ({file_size} bytes): is this the index of another file?")]
    PastEnd { end: u64, file_size: u64 },
    /// The line is left out.
    #[error("a message of zero bytes")]
    ZeroLength,
    /// The line is left out: it says what an earlier line says.
    #[error("the same field as line {line}")]
    Duplicate { line: u32 },
    /// Both lines are kept, with [`Entry::overlaps`] set.
    #[error("overlaps the bytes of line {line}")]
    Overlap { line: u32 },
}

/// Why bytes are not an index at all; the error texts say it.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    #[error("the index is empty")]
    Empty,
    #[error("this is {what}, not an index of JSON lines or a wgrib2 inventory")]
    NotAnIndex { what: &'static str },
    #[error("none of {lines} lines can be used; line {first_line}: {first_reason}")]
    NoUsableLine { lines: usize, first_line: u32, first_reason: Reason },
    #[error("more than {limit} lines")]
    TooManyLines { limit: u32 },
}

/// Reads an index, telling the format from its first lines.
///
/// `file_size` is the size in bytes of the GRIB file that the index belongs to; with it, lines that point past the end
/// are found and the last message of a wgrib2 inventory has a length. A bad line never stops the good ones: it goes to
/// [`Index::problems`].
pub fn parse(bytes: &[u8], file_size: Option<u64>) -> Result<Index, IndexError> {
    let format = sniff(bytes)?;
    let mut lines = match format {
        Format::Ecmwf => ecmwf::parse(bytes)?,
        Format::Wgrib2 => wgrib2::parse(bytes)?,
    };
    let read = lines.entries.len();
    ranges::settle(&mut lines, bytes, file_size);
    let Lines { entries, mut problems } = lines;
    problems.sort_by_key(|problem| problem.line);
    if let (true, 0, Some(first)) = (entries.is_empty(), read, problems.first()) {
        return Err(IndexError::NoUsableLine {
            lines: problems.len(),
            first_line: first.line,
            first_reason: first.reason.clone(),
        });
    }
    if entries.is_empty() && problems.is_empty() {
        return Err(IndexError::Empty);
    }
    Ok(Index { format, entries, problems })
}

impl Index {
    /// For each group the entry whose header should be read: the one with the longest step, since a window
    /// that starts at 0 there can only be a total since the start. Indices into [`Index::entries`], ascending.
    pub fn samples(&self) -> Vec<usize> {
        let mut best: std::collections::HashMap<GroupKey, (Option<i64>, usize)> = std::collections::HashMap::new();
        for (position, entry) in self.entries.iter().enumerate() {
            let step = entry.keys.step;
            let held = best.entry(entry.group()).or_insert((step, position));
            if step > held.0 {
                *held = (step, position);
            }
        }
        let mut samples: Vec<usize> = best.into_values().map(|(_, position)| position).collect();
        samples.sort_unstable();
        samples
    }
}

/// What the two parsers hand back, before lengths and overlaps are settled.
#[derive(Default)]
struct Lines {
    entries: Vec<Entry>,
    problems: Vec<LineProblem>,
}

impl Lines {
    fn problem(&mut self, line: u32, text: &[u8], reason: Reason) {
        self.problems.push(LineProblem { line, text: excerpt(text), reason });
    }
}

/// Lines are numbered by `u32`.
const LINE_LIMIT: u32 = u32::MAX;
/// So much of a bad line is kept.
const EXCERPT: usize = 200;
/// So many lines are looked at to tell the format.
const SNIFFED_LINES: usize = 16;

fn excerpt(text: &[u8]) -> String {
    let text = text.trim_ascii();
    String::from_utf8_lossy(text.get(..EXCERPT).unwrap_or(text)).into_owned()
}

fn sniff(bytes: &[u8]) -> Result<Format, IndexError> {
    let bytes = without_byte_order_mark(bytes);
    let head = bytes.get(..512).unwrap_or(bytes);
    if head.trim_ascii().is_empty() && bytes.trim_ascii().is_empty() {
        return Err(IndexError::Empty);
    }
    if bytes.starts_with(b"GRIB") {
        return Err(IndexError::NotAnIndex { what: "a GRIB file" });
    }
    if bytes.starts_with(b"!GFHDR!") {
        return Err(IndexError::NotAnIndex { what: "a binary NCEP grb2index file (GB2IX1)" });
    }
    if bytes.starts_with(b"PAR1") {
        return Err(IndexError::NotAnIndex { what: "a parquet file" });
    }
    if bytes.starts_with(b"\x1f\x8b") || bytes.starts_with(b"\x28\xb5\x2f\xfd") {
        return Err(IndexError::NotAnIndex { what: "a compressed file" });
    }
    if head.contains(&0) {
        return Err(IndexError::NotAnIndex { what: "a binary file" });
    }
    for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|l| !l.is_empty()).take(SNIFFED_LINES)
    {
        if line.starts_with(b"{") {
            return Ok(Format::Ecmwf);
        }
        if wgrib2::looks_like(line) {
            return Ok(Format::Wgrib2);
        }
    }
    let what = match head.trim_ascii().first() {
        Some(b'<') => "a web page or XML (an error answer of a server?)",
        Some(b'[') => "a JSON list",
        _ => "something else",
    };
    Err(IndexError::NotAnIndex { what })
}

fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Lines and their numbers from 1, blank ones left out, without line ends.
fn numbered_lines(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    without_byte_order_mark(bytes)
        .split(|byte| *byte == b'\n')
        .zip(1..=LINE_LIMIT)
        .map(|(line, number)| (number, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty())
}

/// Digits only; None also when the number does not fit.
fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}
