//! Bitmaps (GRIB 2 section 6, GRIB 1 section 3): which points have a coded value.

use std::ops::Range;

use super::super::sections::FieldSections;
use super::sample::Sample;
use super::{malformed, unsupported};
use crate::grib::{GribError, Result};

/// Points a block of `Ranks` covers.
const BLOCK: usize = 4096;
const BLOCK_BYTES: usize = BLOCK / 8;

/// The bits of a bitmap, most significant first, 1 = the point has a coded value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bitmap<'a> {
    bits: &'a [u8],
    points: usize,
}

impl<'a> Bitmap<'a> {
    /// The field's bitmap, None when all points are coded.
    ///
    /// # Errors
    /// Another bitmap than one in the message, or one that does not have `points` bits.
    pub fn of(sections: &FieldSections<'a>, points: usize) -> Result<Option<Self>> {
        let Some(section) = sections.bitmap else { return Ok(None) };
        let (number, own) = if sections.edition == 1 {
            (3, section.get(4..6) == Some(&[0, 0]))
        } else {
            (6, section.get(5) == Some(&0))
        };
        let Some(bits) = section.get(6..) else { return Err(malformed(number, 0, "the bitmap section is too short")) };
        if !own {
            return Err(unsupported(number, 0, "a bitmap predefined by the centre is not in the message"));
        }
        if bits.len() < points.div_ceil(8) {
            let what = format!("a bitmap of {} bytes for {points} points", bits.len());
            return Err(malformed(number, 6, what));
        }
        Ok(Some(Bitmap { bits: bits.get(..points.div_ceil(8)).unwrap_or_default(), points }))
    }

    /// Bits that are set in `range` (of points).
    pub fn ones(&self, range: Range<usize>) -> usize {
        let (start, end) = (range.start.min(self.points), range.end.min(self.points));
        if start >= end {
            return 0;
        }
        let (first, last) = (start / 8, end / 8);
        let head = 0xffu8 >> (start % 8);
        let tail = !(0xffu8.checked_shr(u32::try_from(end % 8).unwrap_or_default()).unwrap_or_default());
        let byte = |at: usize| self.bits.get(at).copied().unwrap_or_default();
        if first == last {
            return (byte(first) & head & tail).count_ones() as usize;
        }
        let middle = self.bits.get(first + 1..last).unwrap_or_default();
        let (words, rest) = middle.as_chunks::<8>();
        let count: u32 = words.iter().map(|word| u64::from_ne_bytes(*word).count_ones()).sum();
        let rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
        let ends = (byte(first) & head).count_ones() + if end % 8 == 0 { 0 } else { (byte(last) & tail).count_ones() };
        (count + rest + ends) as usize
    }

    /// Spreads the values that stand in the last elements of `out`, one for each point of `range` that has one, to the
    /// points; the others become missing.
    pub fn expand<T: Sample>(&self, range: Range<usize>, out: &mut [T]) -> Result<()> {
        let ones = self.ones(range.clone());
        let Some(mut from) = out.len().checked_sub(ones) else {
            return Err(malformed(6, 0, "more points in the bitmap than in the field"));
        };
        // Reading is never behind writing: as many missing points lie between as are still to be written.
        let mut to = 0;
        let mut point = range.start;
        while to < out.len() {
            if from == to {
                // No missing point is left, so the values stand where they belong.
                break;
            }
            let byte = self.bits.get(point / 8).copied().unwrap_or_default();
            let left = (8 - point % 8).min(out.len() - to);
            if left == 8 && byte == 0xff {
                out.copy_within(from..from + 8, to);
                from += 8;
            } else {
                for bit in 0..left {
                    let coded = byte & (0x80 >> (point % 8 + bit)) != 0;
                    let value = if coded { out.get(from).copied() } else { None };
                    from += usize::from(coded);
                    if let Some(target) = out.get_mut(to + bit) {
                        *target = value.unwrap_or(T::MISSING);
                    }
                }
            }
            to += left;
            point += left;
        }
        Ok(())
    }
}

/// Counts of set bits before every 4096th point: a position in the grid to the position of its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranks {
    before: Vec<u32>,
    pub total: usize,
}

impl Ranks {
    pub fn of(bitmap: &Bitmap<'_>) -> Self {
        let mut total = 0usize;
        let before = bitmap
            .bits
            .chunks(BLOCK_BYTES)
            .enumerate()
            .map(|(block, _)| {
                let before = total;
                total += bitmap.ones(block * BLOCK..(block + 1) * BLOCK);
                u32::try_from(before).unwrap_or(u32::MAX)
            })
            .collect();
        Ranks { before, total }
    }

    /// Bits set before `point`.
    pub fn before(&self, bitmap: &Bitmap<'_>, point: usize) -> usize {
        match self.before.get(point / BLOCK) {
            Some(before) => *before as usize + bitmap.ones(point / BLOCK * BLOCK..point),
            None => self.total,
        }
    }

    pub fn bytes(&self) -> usize {
        self.before.len() * 4
    }
}

/// The number of bits a GRIB 1 bitmap section has.
pub(crate) fn grib1_bits(section: &[u8]) -> Result<usize, GribError> {
    let unused = usize::from(section.get(3).copied().unwrap_or_default());
    let bits = section.len().checked_sub(6).and_then(|bytes| bytes.checked_mul(8)?.checked_sub(unused));
    bits.ok_or_else(|| malformed(3, 3, "the bitmap section is too short"))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn bitmap(bits: &[bool]) -> Vec<u8> {
        bits.chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |number, (i, bit)| number | (u8::from(*bit) << (7 - i))))
            .collect()
    }

    #[test]
    fn counts_and_expands_any_range() {
        let pattern: Vec<bool> =
            (0..10_007u32).map(|i| i.wrapping_mul(2_654_435_761) >> 29 != 0 || (40..90).contains(&i)).collect();
        let bytes = bitmap(&pattern);
        let map = Bitmap { bits: &bytes, points: pattern.len() };
        let ranks = Ranks::of(&map);
        for (start, end) in [(0, 10_007), (0, 0), (3, 5), (7, 8), (8, 16), (1, 4097), (4095, 9000), (10_000, 10_007)] {
            let expected = pattern[start..end].iter().filter(|bit| **bit).count();
            assert_eq!(map.ones(start..end), expected, "{start}..{end}");
            let before = pattern[..start].iter().filter(|bit| **bit).count();
            assert_eq!(ranks.before(&map, start), before);
            let mut out = vec![0f64; end - start];
            let first = out.len() - expected;
            out[first..].iter_mut().enumerate().for_each(|(i, value)| *value = i as f64);
            map.expand(start..end, &mut out).unwrap();
            let mut next = 0.0;
            for (value, coded) in out.iter().zip(&pattern[start..end]) {
                if *coded {
                    assert_eq!(*value, next);
                    next += 1.0;
                } else {
                    assert!(value.is_nan());
                }
            }
        }
    }
}
