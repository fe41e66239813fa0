//! Simple packing: GRIB 2 template 5.0, GRIB 1 without second order.

use std::ops::Range;

use super::kernel::{self, Job, Kernel};
use super::sample::{Sample, Scale};
use super::{malformed, unsupported};
use crate::grib::Result;

/// Decodes `out.len()` codes of `width` bits each from bit `position` of `data`.
///
/// # Errors
/// Codes of more than 32 bits, or fewer bytes than codes.
pub(crate) fn decode<T: Sample>(data: &[u8], width: u32, scale: Scale, position: usize, out: &mut [T]) -> Result<()> {
    if !(1..=32).contains(&width) {
        return Err(unsupported(5, 0, format!("codes of {width} bits")));
    }
    let needed = out.len().checked_mul(width as usize).and_then(|bits| bits.checked_add(position));
    if needed.is_none_or(|needed| needed.div_ceil(8) > data.len()) {
        let what = format!("{} codes of {width} bits from bit {position} on in {} bytes", out.len(), data.len());
        return Err(malformed(7, 5, what));
    }
    kernel::run(Simple { data, width, scale, position, out });
    Ok(())
}

/// The bytes of the packed data that the codes `range` are in.
pub(crate) fn bytes(width: u32, range: &Range<usize>) -> Option<Range<u64>> {
    let start = (range.start as u64).checked_mul(u64::from(width))? / 8;
    let end = (range.end as u64).checked_mul(u64::from(width))?.checked_add(7)? / 8;
    Some(start..end)
}

struct Simple<'a, T> {
    data: &'a [u8],
    width: u32,
    scale: Scale,
    position: usize,
    out: &'a mut [T],
}

impl<T: Sample> Job for Simple<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        kernel.unpack_scaled(self.data, self.position, self.width, &self.scale, self.out);
    }
}
