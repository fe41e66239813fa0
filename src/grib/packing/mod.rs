//! From packed bytes to values, one file per data representation.
//!
//! Values come in the order of the message. A missing value is the quiet NaN [`Sample::MISSING`]. Sizes are checked against
//! the sections and the grid's number of points before anything is allocated or decoded.

use std::ops::Range;

use super::sections::FieldSections;
use super::{GribError, Result};

mod bitmap;
mod bits;
mod ccsds;
mod complex;
mod differencing;
mod header;
mod ieee;
mod jpeg;
mod kernel;
mod logarithm;
mod offsets;
mod openjpeg;
mod png;
mod rows;
mod run_length;
mod sample;
mod second_order;
mod simple;
mod staging;
mod unary;

pub use header::{Packing, PackingKeys};
pub use offsets::Offsets;
pub use sample::Sample;

use bitmap::{Bitmap, Ranks};
use ccsds::BlockOffset;
use complex::{Checkpoint, Wanted};
use header::{GRIB1_DATA, Method};
use offsets::CodeOffsets;

/// What a decoding found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeReport {
    /// Missing values among those decoded.
    pub missing: usize,
    /// The decoder's name: "simple", "complex", "ccsds", ...
    pub decoder: &'static str,
}

/// Decodes a field: `out[i]` is the value of point i of the message. `points` is the grid's number of points.
///
/// # Errors
/// [`GribError::Unsupported`] for packings that are not decoded here, with the reason; [`GribError::Malformed`] where the
/// sections contradict each other or the grid. `out` may have been written to then.
pub fn decode<T: Sample>(sections: &FieldSections<'_>, points: usize, out: &mut [T]) -> Result<DecodeReport> {
    Field::new(sections, points)?.decode(0..points, None, None, out)
}

/// As [`decode`], with the offsets that let [`decode_range`] begin in the middle.
///
/// # Errors
/// As [`decode`].
pub fn decode_with_offsets<T: Sample>(
    sections: &FieldSections<'_>,
    points: usize,
    out: &mut [T],
) -> Result<(DecodeReport, Offsets)> {
    let field = Field::new(sections, points)?;
    let data = field.data().map_or(0, <[u8]>::len);
    let mut offsets =
        Offsets { points, data, ranks: field.bitmap.as_ref().map(Ranks::of), codes: CodeOffsets::default() };
    let report = field.decode(0..points, None, Some(&mut offsets.codes), out)?;
    Ok((report, offsets))
}

/// The offsets of a field with codes of a fixed width: counts of its bitmap's points. None without a bitmap.
///
/// # Errors
/// As [`decode`].
pub fn offsets_of_bitmap(sections: &FieldSections<'_>, points: usize) -> Result<Option<Offsets>> {
    let Some(bitmap) = Field::new(sections, points)?.bitmap else { return Ok(None) };
    Ok(Some(Offsets { points, data: 0, ranks: Some(Ranks::of(&bitmap)), codes: CodeOffsets::default() }))
}

/// Decodes the points `range` only: `out[i]` is the value of point `range.start + i`.
///
/// Fixed-width codes are reached by arithmetic. CCSDS and complex packing begin at the nearest of `offsets` (from
/// [`decode_with_offsets`] on the same message), without them at the front. Other packings are decoded whole.
///
/// # Errors
/// As [`decode`], and where `range` is not within the points or `out` does not have its length.
pub fn decode_range<T: Sample>(
    sections: &FieldSections<'_>,
    points: usize,
    range: Range<usize>,
    offsets: Option<&Offsets>,
    out: &mut [T],
) -> Result<DecodeReport> {
    Field::new(sections, points)?.decode(range, offsets.filter(|offsets| offsets.points == points), None, out)
}

/// The bytes of section 7 (GRIB 1: section 4) that [`decode_range`] needs for the points `range`, counted from the
/// section's first octet, where codes have a fixed width, or for CCSDS with offsets. None: all of the section.
pub fn byte_range_for(
    sections: &FieldSections<'_>,
    points: usize,
    range: Range<usize>,
    offsets: Option<&Offsets>,
) -> Option<Range<u64>> {
    let field = Field::new(sections, points).ok()?;
    let codes = field.codes(&field.check(&range, range.len()).ok()?, offsets);
    if field.needs_no_data() {
        return Some(0..0);
    }
    let bytes = match &field.packing.method {
        Method::Ccsds(_) => field.interval_bytes(&codes, offsets)?,
        method => simple::bytes(method.fixed_width()?, &codes)?,
    };
    let header = field.data_start() as u64;
    Some(header + bytes.start..header + bytes.end)
}

/// As [`decode_range`] where only `bytes` were read of section 7 (GRIB 1: section 4): those that [`byte_range_for`] names
/// for the same arguments. `sections.data` is not used; GRIB 1's `representation` needs its first 11 octets only.
///
/// # Errors
/// As [`decode_range`]; [`GribError::Unsupported`] for packings of which [`byte_range_for`] names no part.
pub fn decode_range_from<T: Sample>(
    sections: &FieldSections<'_>,
    points: usize,
    range: Range<usize>,
    offsets: Option<&Offsets>,
    (bytes, out): (&[u8], &mut [T]),
) -> Result<DecodeReport> {
    let offsets = offsets.filter(|offsets| offsets.points == points);
    Field::new(sections, points)?.decode_part(range, offsets, bytes, out)
}

/// Runs `decode` with the portable kernels, to compare with the vector ones.
#[cfg(fuzzing)]
pub fn with_portable_kernels<R>(decode: impl FnOnce() -> R) -> R {
    kernel::PORTABLE.set(true);
    let result = decode();
    kernel::PORTABLE.set(false);
    result
}

/// A field whose sizes have been checked.
struct Field<'a, 'b> {
    sections: &'b FieldSections<'a>,
    packing: Packing,
    bitmap: Option<Bitmap<'a>>,
    points: usize,
}

impl<'a, 'b> Field<'a, 'b> {
    fn new(sections: &'b FieldSections<'a>, points: usize) -> Result<Self> {
        let packing = Packing::from_sections(sections)?;
        if let Method::Refused(why) = packing.method {
            let template = packing.keys().data_representation_template_number;
            let section = if template.is_some() { 5 } else { 4 };
            return Err(unsupported(section, template.unwrap_or_default(), why));
        }
        let bitmap = Bitmap::of(sections, points)?;
        Ok(Field { sections, packing, bitmap, points })
    }

    /// With a bitmap and nothing coded, all points are missing, whatever the bitmap says.
    fn has_no_codes(&self) -> bool {
        self.bitmap.is_some() && self.packing.coded == Some(0)
    }

    /// Whether the header alone tells the values.
    fn needs_no_data(&self) -> bool {
        self.has_no_codes() || matches!(self.packing.method, Method::Constant(_) | Method::AllMissing)
    }

    fn check(&self, range: &Range<usize>, length: usize) -> Result<Range<usize>> {
        if range.start > range.end || range.end > self.points || range.end - range.start != length {
            let what = "points of a range that the field or the output does not have";
            return Err(GribError::TooLarge { what, declared: range.end as u64, limit: self.points as u64 });
        }
        Ok(range.clone())
    }

    /// The numbers of the codes of the points `range`.
    fn codes(&self, range: &Range<usize>, offsets: Option<&Offsets>) -> Range<usize> {
        let Some(bitmap) = &self.bitmap else { return range.clone() };
        let start = match offsets.and_then(|offsets| offsets.ranks.as_ref()) {
            Some(ranks) => ranks.before(bitmap, range.start),
            None => bitmap.ones(0..range.start),
        };
        start..start + bitmap.ones(range.clone())
    }

    /// The bytes of packed data between the offsets around `codes`. None: they are not known.
    fn interval_bytes(&self, codes: &Range<usize>, offsets: Option<&Offsets>) -> Option<Range<u64>> {
        let offsets = offsets.filter(|offsets| offsets.points == self.points)?;
        let blocks = offsets.codes.blocks.as_deref()?;
        let (start, end) = BlockOffset::around(blocks, codes);
        Some(start..end.unwrap_or(offsets.data as u64))
    }

    /// The packed data: section 7 behind its header.
    fn data(&self) -> Option<&'a [u8]> {
        self.sections.data.and_then(|data| data.get(self.data_start()..))
    }

    fn data_start(&self) -> usize {
        if self.sections.edition == 1 { GRIB1_DATA } else { 5 }
    }

    /// The number of codes of the whole field.
    fn count(&self, offsets: Option<&Offsets>) -> Result<usize> {
        let coded = match (&self.bitmap, offsets.and_then(|offsets| offsets.ranks.as_ref())) {
            (None, _) => self.points,
            (_, Some(ranks)) => ranks.total,
            (Some(bitmap), None) => bitmap.ones(0..self.points),
        };
        match self.packing.coded {
            Some(packed) if packed != coded => {
                let what = format!("{packed} values are coded, {coded} of {} points have one", self.points);
                Err(malformed(5, 5, what))
            }
            _ => Ok(coded),
        }
    }

    /// Decodes codes of a fixed width to `values`. `data` is all data, or the part that begins with the byte of the
    /// first code. None: the width is not fixed.
    fn decode_fixed<T: Sample>(
        &self,
        data: &[u8],
        codes: &Range<usize>,
        is_part: bool,
        values: &mut [T],
    ) -> Option<Result<()>> {
        let width = self.packing.method.fixed_width()?;
        let Some(position) = codes.start.checked_mul(width as usize) else {
            return Some(Err(malformed(7, 5, "more codes than can be addressed")));
        };
        let position = if is_part { position % 8 } else { position };
        let scale = self.packing.scale;
        Some(match &self.packing.method {
            Method::Ieee { bytes } => ieee::decode(data, *bytes, position / 8, values),
            Method::Logarithm { offset, .. } => logarithm::decode(data, (width, *offset), scale, position, values),
            _ => simple::decode(data, width, scale, position, values),
        })
    }

    fn decode_part<T: Sample>(
        &self,
        range: Range<usize>,
        offsets: Option<&Offsets>,
        bytes: &[u8],
        out: &mut [T],
    ) -> Result<DecodeReport> {
        if self.needs_no_data() {
            return self.decode(range, offsets, None, out);
        }
        let interval = match self.packing.method {
            Method::Ccsds(_) => self.interval_bytes(&self.codes(&self.check(&range, out.len())?, offsets), offsets),
            _ => None,
        };
        if self.packing.method.fixed_width().is_none() && interval.is_none() {
            return Err(unsupported(5, 0, "a part of the data section is not enough for this packing"));
        }
        let range = self.check(&range, out.len())?;
        let (count, codes) = (self.count(offsets)?, self.codes(&range, offsets));
        if codes.end > count {
            return Err(malformed(6, 6, "the offsets are those of another message"));
        }
        let uncoded = out.len() - codes.len();
        let values = out.get_mut(uncoded..).unwrap_or_default();
        if let (Method::Ccsds(header), Some(interval)) = (&self.packing.method, interval) {
            let blocks = offsets.and_then(|offsets| offsets.codes.blocks.as_deref()).unwrap_or_default();
            let from = BlockOffset::in_part(blocks, codes.start, interval.start);
            ccsds::decode(bytes, header, self.packing.scale, codes, (&[from], None), values)?;
        } else {
            self.decode_fixed(bytes, &codes, true, values).unwrap_or(Ok(()))?;
        }
        if let Some(bitmap) = &self.bitmap {
            bitmap.expand(range, out)?;
        }
        Ok(DecodeReport { missing: uncoded, decoder: self.packing.decoder() })
    }

    fn decode<T: Sample>(
        &self,
        range: Range<usize>,
        offsets: Option<&Offsets>,
        record: Option<&mut CodeOffsets>,
        out: &mut [T],
    ) -> Result<DecodeReport> {
        let range = self.check(&range, out.len())?;
        let decoder = self.packing.decoder();
        let data = self.data().ok_or_else(|| malformed(7, 0, "the data section is missing or too short"));
        let scale = self.packing.scale;
        match &self.packing.method {
            Method::AllMissing => {
                out.fill(T::MISSING);
                return Ok(DecodeReport { missing: out.len(), decoder });
            }
            _ if self.has_no_codes() => {
                out.fill(T::MISSING);
                return Ok(DecodeReport { missing: out.len(), decoder });
            }
            Method::Constant(value) => {
                out.fill(T::from_f64(*value));
                let Some(bitmap) = &self.bitmap else { return Ok(DecodeReport { missing: 0, decoder }) };
                bitmap.expand(range.clone(), out)?;
                return Ok(DecodeReport { missing: range.len() - bitmap.ones(range), decoder });
            }
            Method::SecondOrder(header) => {
                let missing = self.whole(range, out, |whole| {
                    second_order::decode(self.sections, header, scale, self.bitmap.as_ref(), whole)
                })?;
                return Ok(DecodeReport { missing, decoder });
            }
            _ => {}
        }
        let (data, count, codes) = (data?, self.count(offsets)?, self.codes(&range, offsets));
        if codes.end > count {
            return Err(malformed(6, 6, "the offsets are those of another message"));
        }
        let uncoded = out.len() - codes.len();
        let values = out.get_mut(uncoded..).unwrap_or_default();
        let code_offsets = offsets.map(|offsets| &offsets.codes);
        let whole = count == codes.len();
        let mut missing = 0;
        match &self.packing.method {
            method if method.fixed_width().is_some() => {
                self.decode_fixed(data, &codes, false, values).unwrap_or(Ok(()))?;
            }
            Method::Ccsds(header) => {
                let from = code_offsets.and_then(|offsets| offsets.blocks.as_deref()).unwrap_or_default();
                let record = record.map(|record| record.blocks.insert(Vec::new()));
                ccsds::decode(data, header, scale, codes, (from, record), values)?;
            }
            Method::Complex(header) => {
                let from = code_offsets.and_then(|offsets| offsets.checkpoints.as_ref());
                let from = from.map_or(Checkpoint::default(), |from| Checkpoint::before(from, codes.start));
                let checkpoints = record.map(|record| record.checkpoints.insert(Vec::new()));
                missing =
                    complex::decode(data, header, scale, Wanted { count, range: codes, from, checkpoints }, values)?;
            }
            method => {
                let decode = |all: &mut [T]| match method {
                    Method::Png { bits } => png::decode(data, *bits, scale, all).map(|()| 0),
                    Method::Jpeg { .. } => jpeg::decode(data, scale, all).map(|()| 0),
                    Method::RunLength(header) => run_length::decode(data, header, all),
                    _ => Err(malformed(5, 9, "no decoder")),
                };
                missing = if whole { decode(values)? } else { part_of(count, codes, values, decode)? };
            }
        }
        if let Some(bitmap) = &self.bitmap {
            bitmap.expand(range, out)?;
        }
        Ok(DecodeReport { missing: missing + uncoded, decoder })
    }

    /// Decodes all points where only a range is wanted.
    fn whole<T: Sample>(
        &self,
        range: Range<usize>,
        out: &mut [T],
        decode: impl FnOnce(&mut [T]) -> Result<usize>,
    ) -> Result<usize> {
        if range.len() == self.points { decode(out) } else { part_of(self.points, range, out, decode) }
    }
}

/// Decodes all of `count` values and keeps those of `range`; returns the number of missing ones among these.
fn part_of<T: Sample>(
    count: usize,
    range: Range<usize>,
    out: &mut [T],
    decode: impl FnOnce(&mut [T]) -> Result<usize>,
) -> Result<usize> {
    let mut all = Vec::new();
    all.try_reserve_exact(count).map_err(|_| GribError::TooLarge {
        what: "values of a field",
        declared: count as u64,
        limit: isize::MAX as u64,
    })?;
    all.resize(count, T::MISSING);
    decode(&mut all)?;
    for (value, decoded) in out.iter_mut().zip(all.get(range).unwrap_or_default()) {
        *value = *decoded;
    }
    Ok(out.iter().filter(|value| value.is_missing()).count())
}

#[cold]
fn malformed(section: u8, offset: usize, what: impl Into<String>) -> GribError {
    GribError::Malformed { offset: offset as u64, section, what: what.into() }
}

#[cold]
fn unsupported(section: u8, template: u16, what: impl Into<String>) -> GribError {
    GribError::Unsupported { section, template, what: what.into() }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
mod test_walk;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
mod tests;
