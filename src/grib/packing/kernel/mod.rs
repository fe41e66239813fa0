//! The inner loops, once portable and once with vector instructions, behind one checked interface.
//!
//! A decoder is a [`Job`] that is generic over [`Kernel`]; [`run`] compiles and calls it for the best instruction set that
//! the processor has. Both kernels give the same bits.

use super::bits::bits_at;
use super::sample::{Sample, Scale};

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
mod shuffle;

#[cfg(any(test, fuzzing))]
thread_local! {
    /// Decoders of this thread run with the portable kernel.
    pub(crate) static PORTABLE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Marks a missing value among staged codes; no code of a valid field is staged as this number.
pub(crate) const MISSING_CODE: i32 = i32::MIN;

/// Spare elements behind the counted ones that kernels may overwrite: they work in steps of eight.
pub(crate) const SPARE: usize = 8;

/// The loops that are worth vector instructions.
pub(crate) trait Kernel: Copy {
    /// `out[i] = code[i] + add` (wrapping) for the `count` codes of `width` (0 to 32) bits from bit `position` of `data`.
    /// Up to `SPARE` further elements of `out` may change. Codes behind the end of `data` are zero.
    fn unpack(self, data: &[u8], position: usize, width: u32, add: i32, out: &mut [i32], count: usize);

    /// `out[i] = scale(code[i])` for the unsigned codes of `width` (1 to 32) bits from bit `position` of `data`.
    fn unpack_scaled<T: Sample>(self, data: &[u8], position: usize, width: u32, scale: &Scale, out: &mut [T]);

    /// `out[i] = scale(codes[i])`.
    fn scale<T: Sample>(self, codes: &[i32], scale: &Scale, out: &mut [T]);

    /// As `scale`, with `MISSING_CODE` for a missing value.
    fn scale_or_missing<T: Sample>(self, codes: &[i32], scale: &Scale, out: &mut [T]);

    /// Undoes the CCSDS preprocessor for unsigned samples: `samples` holds mapped differences to the sample before and
    /// becomes the samples. `last` is the sample before; returns the last sample.
    fn undo_preprocessor(self, samples: &mut [i32], last: u32, maximum: u32) -> u32;

    /// Joins the two parts of CCSDS split samples: `out[i] = (ends[i + 1] - ends[i] - 1) << width | code[i]`, with codes of
    /// `width` (0 to 31) bits from bit `position` of `data`. `ends` has `count + 1` elements and `SPARE` more, `out` has
    /// `SPARE` more.
    fn join_split(self, data: &[u8], position: usize, width: u32, ends: &[i32], out: &mut [i32], count: usize);
}

/// A computation that is compiled for every instruction set. `run` must be `#[inline(always)]`.
pub(crate) trait Job {
    type Output;
    fn run<K: Kernel>(self, kernel: K) -> Self::Output;
}

/// Runs `job` with the best kernel of this processor.
pub(crate) fn run<J: Job>(job: J) -> J::Output {
    #[cfg(any(test, fuzzing))]
    if PORTABLE.get() {
        return job.run(Scalar);
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = avx2::Avx2::detect() {
        return kernel.run(job);
    }
    job.run(Scalar)
}

/// The portable kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar;

impl Kernel for Scalar {
    #[inline(always)]
    fn unpack(self, data: &[u8], position: usize, width: u32, add: i32, out: &mut [i32], count: usize) {
        let mut at = position;
        for value in out.iter_mut().take(count) {
            *value = (bits_at(data, at, width) as u32 as i32).wrapping_add(add);
            at += width as usize;
        }
    }

    #[inline(always)]
    fn unpack_scaled<T: Sample>(self, data: &[u8], position: usize, width: u32, scale: &Scale, out: &mut [T]) {
        let mut at = position;
        for value in out.iter_mut() {
            *value = T::from_f64(scale.value(bits_at(data, at, width) as f64));
            at += width as usize;
        }
    }

    #[inline(always)]
    fn scale<T: Sample>(self, codes: &[i32], scale: &Scale, out: &mut [T]) {
        for (value, code) in out.iter_mut().zip(codes) {
            *value = T::from_f64(scale.value(f64::from(*code)));
        }
    }

    #[inline(always)]
    fn scale_or_missing<T: Sample>(self, codes: &[i32], scale: &Scale, out: &mut [T]) {
        for (value, code) in out.iter_mut().zip(codes) {
            *value = if *code == MISSING_CODE { T::MISSING } else { T::from_f64(scale.value(f64::from(*code))) };
        }
    }

    #[inline(always)]
    fn undo_preprocessor(self, samples: &mut [i32], last: u32, maximum: u32) -> u32 {
        let mut last = last;
        for sample in samples {
            last = undo_one(*sample as u32, last, maximum);
            *sample = last as i32;
        }
        last
    }

    #[inline(always)]
    fn join_split(self, data: &[u8], position: usize, width: u32, ends: &[i32], out: &mut [i32], count: usize) {
        let mut at = position;
        for (value, end) in out.iter_mut().zip(ends.windows(2)).take(count) {
            let &[before, this] = end else { return };
            let zeros = this.wrapping_sub(before).wrapping_sub(1) as u32;
            *value = ((zeros << width) | bits_at(data, at, width) as u32) as i32;
            at += width as usize;
        }
    }
}

/// One step of the inverse of the CCSDS 121.0 unit-delay predictor and mapper for samples in `0..=maximum`, where
/// `maximum` is one less than a power of two.
#[inline(always)]
pub(crate) fn undo_one(mapped: u32, last: u32, maximum: u32) -> u32 {
    let half = (mapped >> 1) + (mapped & 1);
    // The distance to the nearer bound, as in "theta" of the standard: small differences alternate in sign below it.
    let mask = if last & (maximum / 2 + 1) != 0 { maximum } else { 0 };
    if half <= (mask ^ last) { last.wrapping_add((mapped >> 1) ^ (mapped & 1).wrapping_neg()) } else { mask ^ mapped }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
mod tests;
