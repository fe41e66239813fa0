//! What the fuzz targets share.
#![cfg_attr(not(fuzzing), allow(dead_code))]

use gribchunk::grib::FieldSections;

pub mod known;
pub mod worker;

/// Numbers that depend on the input only, for choices that the input does not spell out.
pub struct Choices(u64);

impl Choices {
    pub fn of(data: &[u8]) -> Self {
        Choices(
            data.iter()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
                | 1,
        )
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }

    /// Two numbers up to `limit`, the smaller first.
    pub fn range(&mut self, limit: usize) -> std::ops::Range<usize> {
        let (a, b) = (self.below(limit + 1), self.below(limit + 1));
        a.min(b)..a.max(b)
    }
}

/// The sections of a field in the form of the corpus of `packing`: edition, points (two octets), the lengths of sections 5,
/// 6, 3 and 4 (two octets each), these sections, section 7. GRIB 1: section 4 stands for sections 5 and 7.
pub struct Parts<'a> {
    pub points: usize,
    pub sections: FieldSections<'a>,
}

impl<'a> Parts<'a> {
    pub fn of(data: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = data.split_first_chunk::<11>()?;
        let mut part = |at: usize| {
            let length = usize::from(u16::from_be_bytes([head[at], head[at + 1]])).min(rest.len());
            let (part, behind) = rest.split_at(length);
            rest = behind;
            part
        };
        let (representation, bitmap, grid, product) = (part(3), part(5), part(7), part(9));
        let edition = if head[0] == 1 { 1 } else { 2 };
        let points = usize::from(u16::from_be_bytes([head[1], head[2]])).min(20_000);
        let sections = FieldSections {
            edition,
            discipline: 0,
            submessage: 0,
            identification: product,
            local: None,
            grid,
            product,
            representation: if edition == 1 { rest } else { representation },
            bitmap: (!bitmap.is_empty()).then_some(bitmap),
            data: Some(rest),
        };
        Some(Parts { points, sections })
    }
}

/// Bits, with one NaN for all: computations need not keep the bits of a NaN.
pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}
