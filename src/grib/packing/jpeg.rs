//! JPEG 2000: GRIB 2 template 5.40. The code stream is decoded by OpenJPEG, as ecCodes does it; its sizes are checked here
//! before, and its integers are scaled here.

use super::bits::unsigned;
use super::kernel::{self, Job, Kernel};
use super::sample::{Sample, Scale};
use super::{malformed, openjpeg};
use crate::grib::Result;

/// Decodes all values of the field.
///
/// # Errors
/// Not a code stream of one component of `out.len()` samples, or one that OpenJPEG does not decode.
pub(crate) fn decode<T: Sample>(data: &[u8], scale: Scale, out: &mut [T]) -> Result<()> {
    check_size(data, out.len())?;
    let count = out.len();
    openjpeg::decode(data, count, |codes, precision| kernel::run(Codes { codes, precision, scale, out }))
        .map_err(|what| malformed(7, 5, format!("JPEG 2000: {what}")))
}

struct Codes<'a, T> {
    codes: &'a [i32],
    precision: u32,
    scale: Scale,
    out: &'a mut [T],
}

impl<T: Sample> Job for Codes<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        let mask = (1i32 << self.precision).wrapping_sub(1);
        let mut masked = [0i32; 1024];
        for (codes, out) in self.codes.chunks(masked.len()).zip(self.out.chunks_mut(masked.len())) {
            masked.iter_mut().zip(codes).for_each(|(masked, code)| *masked = code & mask);
            kernel.scale(masked.get(..codes.len()).unwrap_or_default(), &self.scale, out);
        }
    }
}

/// Reads the SIZ marker segment (ISO 15444-1, A.5.1), which comes first.
fn check_size(data: &[u8], count: usize) -> Result<()> {
    let field = |byte: usize, size: usize| {
        unsigned(data, byte, size).ok_or_else(|| malformed(7, 5 + byte, "the JPEG 2000 code stream is too short"))
    };
    if field(0, 4)? != 0xff4f_ff51 {
        return Err(malformed(7, 5, "not a JPEG 2000 code stream"));
    }
    let [width, height, left, top, tile_width, tile_height] =
        [field(8, 4)?, field(12, 4)?, field(16, 4)?, field(20, 4)?, field(24, 4)?, field(28, 4)?];
    let samples = width.saturating_sub(left).checked_mul(height.saturating_sub(top));
    let tiles = width.div_ceil(tile_width.max(1)).saturating_mul(height.div_ceil(tile_height.max(1)));
    let (components, precision, steps) = (field(40, 2)?, field(42, 1)?, field(43, 2)?);
    if samples != Some(count as u64) || components != 1 || steps != 0x0101 {
        let what =
            format!("JPEG 2000: {width} x {height} from ({left}, {top}), {components} components, for {count} values");
        return Err(malformed(7, 13, what));
    }
    // Bit 7: signed. GRIB's codes are unsigned; the library keeps 31 bits.
    if precision > 30 || tiles == 0 || tiles > 65_535 {
        return Err(malformed(7, 47, format!("JPEG 2000: precision byte {precision}, {tiles} tiles")));
    }
    Ok(())
}
