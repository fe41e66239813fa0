//! Simple packing of logarithms: GRIB 2 template 5.61.

use super::header::logarithm_value;
use super::sample::{Sample, Scale};
use super::simple;
use crate::grib::Result;

/// Decodes `out.len()` codes of `width` bits from bit `position` of `data`; `offset` is the parameter of the preprocessing.
///
/// # Errors
/// As simple packing.
pub(crate) fn decode<T: Sample>(
    data: &[u8],
    (width, offset): (u32, f64),
    scale: Scale,
    position: usize,
    out: &mut [T],
) -> Result<()> {
    // The exponential is taken of the float64 value, in pieces so that the output type does not limit it.
    let mut packed = [0f64; 1024];
    let mut position = position;
    for values in out.chunks_mut(packed.len()) {
        let Some(packed) = packed.get_mut(..values.len()) else { continue };
        simple::decode(data, width, scale, position, packed)?;
        position += values.len() * width as usize;
        for (value, packed) in values.iter_mut().zip(packed) {
            *value = T::from_f64(logarithm_value(*packed, offset));
        }
    }
    Ok(())
}
