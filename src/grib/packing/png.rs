//! PNG: GRIB 2 template 5.41. A pixel is a code: 1 to 16 bits of grey, or 24 or 32 bits in three or four channels.

use std::io::Cursor;

use png::{BitDepth, ColorType, DecodeOptions, Decoder, Limits};

use super::kernel::{self, Job, Kernel};
use super::malformed;
use super::sample::{Sample, Scale};
use crate::grib::{GribError, Result};

/// Decodes all values of the field; `bits` is the header's bitsPerValue.
///
/// # Errors
/// Not a PNG, or one whose size or depth contradicts the field's.
pub(crate) fn decode<T: Sample>(data: &[u8], bits: u32, scale: Scale, out: &mut [T]) -> Result<()> {
    let mut options = DecodeOptions::default();
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(data), options);
    // Room for rows and the text-like chunks, which are not needed; the image itself goes straight to `out`.
    decoder.set_limits(Limits { bytes: out.len().saturating_mul(8).saturating_add(1 << 16) });
    let mut reader = decoder.read_info().map_err(not_png)?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    if width.checked_mul(height) != Some(out.len()) {
        let what = format!("a PNG of {width} x {height} for {} values", out.len());
        return Err(malformed(7, 5, what));
    }
    let channels = match info.color_type {
        ColorType::Grayscale => 1,
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
        ColorType::Indexed | ColorType::GrayscaleAlpha => {
            return Err(malformed(7, 5, "a PNG with a palette, or grey with transparency"));
        }
    };
    let depth = match info.bit_depth {
        BitDepth::One => 1,
        BitDepth::Two => 2,
        BitDepth::Four => 4,
        BitDepth::Eight => 8,
        BitDepth::Sixteen => 16,
    };
    let pixel = channels * depth;
    if pixel < bits || pixel > 32 {
        return Err(malformed(7, 5, format!("a PNG of {pixel} bits a pixel for {bits} bits a value")));
    }
    if info.interlaced {
        let size = reader.output_buffer_size().filter(|size| *size <= out.len().saturating_mul(5));
        let mut image = vec![0u8; size.ok_or_else(|| malformed(7, 5, "an interlaced PNG of unexpected size"))?];
        reader.next_frame(&mut image).map_err(not_png)?;
        let row_bytes = image.len() / height.max(1);
        let rows = image.chunks(row_bytes.max(1)).zip(out.chunks_mut(width.max(1)));
        rows.for_each(|(row, out)| kernel::run(Row { row, pixel, scale, out }));
        return Ok(());
    }
    for out in out.chunks_mut(width.max(1)) {
        let row = reader.next_row().map_err(not_png)?;
        let row = row.ok_or_else(|| malformed(7, 5, "a PNG with fewer rows than it says"))?;
        kernel::run(Row { row: row.data(), pixel, scale, out });
    }
    Ok(())
}

fn not_png(error: png::DecodingError) -> GribError {
    malformed(7, 5, format!("PNG: {error}"))
}

struct Row<'a, T> {
    row: &'a [u8],
    pixel: u32,
    scale: Scale,
    out: &'a mut [T],
}

impl<T: Sample> Job for Row<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        kernel.unpack_scaled(self.row, 0, self.pixel, &self.scale, self.out);
    }
}
