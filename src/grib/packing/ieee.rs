//! IEEE floats: GRIB 2 template 5.4, 32 or 64 bits, big-endian, not scaled.

use std::ops::Range;

use super::malformed;
use super::sample::Sample;
use crate::grib::Result;

/// Decodes the values `range` of `bytes` (4 or 8) bytes each.
///
/// # Errors
/// Fewer bytes than values.
pub(crate) fn decode<T: Sample>(data: &[u8], bytes: u8, range: Range<usize>, out: &mut [T]) -> Result<()> {
    let size = usize::from(bytes);
    let part = range.start.checked_mul(size).zip(range.end.checked_mul(size)).and_then(|(a, b)| data.get(a..b));
    let Some(part) = part else {
        return Err(malformed(7, 0, format!("{} bytes for {} floats of {bytes} bytes", data.len(), range.end)));
    };
    if bytes == 4 {
        for (value, float) in out.iter_mut().zip(part.as_chunks::<4>().0) {
            *value = T::from_f64(f64::from(f32::from_be_bytes(*float)));
        }
    } else {
        for (value, float) in out.iter_mut().zip(part.as_chunks::<8>().0) {
            *value = T::from_f64(f64::from_be_bytes(*float));
        }
    }
    Ok(())
}
