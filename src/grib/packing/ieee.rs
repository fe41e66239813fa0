//! IEEE floats: GRIB 2 template 5.4, 32 or 64 bits, big-endian, not scaled.

use super::malformed;
use super::sample::Sample;
use crate::grib::Result;

/// Decodes values of `bytes` (4 or 8) bytes each from byte `start` of `data`.
///
/// # Errors
/// Fewer bytes than values.
pub(crate) fn decode<T: Sample>(data: &[u8], bytes: u8, start: usize, out: &mut [T]) -> Result<()> {
    let length = out.len().checked_mul(usize::from(bytes));
    let part = length.and_then(|length| data.get(start..)?.get(..length));
    let Some(part) = part else {
        return Err(malformed(7, 5, format!("{} bytes for {} floats of {bytes} bytes", data.len(), out.len())));
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
