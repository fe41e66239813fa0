//! Simple packing: GRIB 2 template 5.0, GRIB 1 without second order.

use std::ops::Range;

use super::kernel::{self, Job, Kernel};
use super::sample::{Sample, Scale};
use super::{malformed, unsupported};
use crate::grib::Result;

/// Decodes the codes `range` of `width` bits each from the start of `data`.
///
/// # Errors
/// Codes of more than 32 bits, or fewer bytes than codes.
pub(crate) fn decode<T: Sample>(data: &[u8], width: u32, scale: Scale, range: Range<usize>, out: &mut [T]) -> Result<()> {
    check(data, width, range.end)?;
    kernel::run(Simple { data, width, scale, first: range.start, out });
    Ok(())
}

/// The bytes of the packed data that the codes `range` are in.
pub(crate) fn bytes(width: u32, range: &Range<usize>) -> Option<Range<u64>> {
    let start = (range.start as u64).checked_mul(u64::from(width))? / 8;
    let end = (range.end as u64).checked_mul(u64::from(width))?.checked_add(7)? / 8;
    Some(start..end)
}

fn check(data: &[u8], width: u32, count: usize) -> Result<()> {
    if width > 32 {
        return Err(unsupported(5, 0, format!("codes of {width} bits")));
    }
    match bytes(width, &(0..count)) {
        Some(needed) if needed.end <= data.len() as u64 => Ok(()),
        _ => Err(malformed(7, 0, format!("{} bytes for {count} codes of {width} bits", data.len()))),
    }
}

struct Simple<'a, T> {
    data: &'a [u8],
    width: u32,
    scale: Scale,
    first: usize,
    out: &'a mut [T],
}

impl<T: Sample> Job for Simple<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        kernel.unpack_scaled(self.data, self.first * self.width as usize, self.width, &self.scale, self.out);
    }
}
