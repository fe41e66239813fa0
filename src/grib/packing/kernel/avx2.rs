//! Vector kernels for x86-64 with AVX2 and BMI.
//!
//! All loads and stores go through arrays of known length taken from checked slices, so only these and the first call
//! with the instruction set are unsafe. What does not fill a vector goes to the portable kernel.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::shuffle::{Shuffle, WIDEST, table};
use super::{Job, Kernel, MISSING_CODE, Scalar, undo_one};
use crate::grib::packing::sample::{Sample, Scale};

/// Proof that the processor has AVX2, BMI1, BMI2, LZCNT and POPCNT.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        all.then_some(Avx2(()))
    }

    pub fn run<J: Job>(self, job: J) -> J::Output {
        // SAFETY: a value of this type exists only where the processor has the features.
        unsafe { compiled(self, job) }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn compiled<J: Job>(kernel: Avx2, job: J) -> J::Output {
    job.run(kernel)
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn load(from: &[i32; 8]) -> __m256i {
    // SAFETY: the array has 32 readable bytes and the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn store(value: __m256i, to: &mut [i32; 8]) {
    // SAFETY: the array has 32 writable bytes and the store needs no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) }
}

/// Takes eight codes of one width from bytes.
#[derive(Clone, Copy)]
struct Taker {
    bytes: __m256i,
    shifts: __m256i,
    mask: __m256i,
    second: usize,
}

impl Taker {
    /// For codes of `width` (1 to `WIDEST`) bits that begin at bit `offset` (0 to 7) of a byte.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn new(width: u32, offset: usize) -> Option<Self> {
        let shuffle: &Shuffle = table().get(width as usize * 8 + offset)?;
        Some(Taker {
            // SAFETY: the array has 32 readable bytes and the load needs no alignment.
            bytes: unsafe { _mm256_loadu_si256(shuffle.bytes.as_ptr().cast()) },
            shifts: load(&shuffle.shifts),
            mask: _mm256_set1_epi32(((1u64 << width) - 1) as i32),
            second: usize::from(shuffle.second),
        })
    }

    /// The eight codes that begin in the byte `at`; None too near to the end of the data.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn take(&self, data: &[u8], at: usize) -> Option<__m256i> {
        let part = data.get(at..)?;
        let first = part.first_chunk::<16>()?;
        let second = part.get(self.second..)?.first_chunk::<16>()?;
        // SAFETY: both arrays have 16 readable bytes and the loads need no alignment.
        let (low, high) = unsafe { (_mm_loadu_si128(first.as_ptr().cast()), _mm_loadu_si128(second.as_ptr().cast())) };
        let spread = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), self.bytes);
        Some(_mm256_and_si256(_mm256_srlv_epi32(spread, self.shifts), self.mask))
    }
}

/// A scale in all lanes.
#[derive(Clone, Copy)]
struct Scaler {
    reference: __m256d,
    binary: __m256d,
    decimal: __m256d,
}

impl Scaler {
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn new(scale: &Scale) -> Self {
        Scaler {
            reference: _mm256_set1_pd(scale.reference),
            binary: _mm256_set1_pd(scale.binary),
            decimal: _mm256_set1_pd(scale.decimal),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn four(&self, codes: __m128i) -> __m256d {
        let scaled = _mm256_mul_pd(_mm256_cvtepi32_pd(codes), self.binary);
        _mm256_mul_pd(_mm256_add_pd(scaled, self.reference), self.decimal)
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn put<T: Sample>(&self, codes: __m256i, to: &mut [T; 8]) {
        let low = self.four(_mm256_castsi256_si128(codes));
        let high = self.four(_mm256_extracti128_si256(codes, 1));
        // SAFETY: this function has AVX.
        unsafe { T::store8(low, high, to) }
    }

    /// As `put`; lanes that hold `MISSING_CODE` become the missing value.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn put_or_missing<T: Sample>(&self, codes: __m256i, to: &mut [T; 8]) {
        let missing = _mm256_cmpeq_epi32(codes, _mm256_set1_epi32(MISSING_CODE));
        let nan = _mm256_castsi256_pd(_mm256_set1_epi64x(0x7ff8_0000_0000_0000));
        let (low, high) = (_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
        let missing_low = _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(missing)));
        let missing_high = _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm256_extracti128_si256(missing, 1)));
        let low = _mm256_blendv_pd(self.four(low), nan, missing_low);
        let high = _mm256_blendv_pd(self.four(high), nan, missing_high);
        // SAFETY: this function has AVX. Rounding the NaN to float32 gives the float32 NaN.
        unsafe { T::store8(low, high, to) }
    }
}

impl Kernel for Avx2 {
    #[inline(always)]
    fn unpack(self, data: &[u8], position: usize, width: u32, add: i32, out: &mut [i32], count: usize) {
        // SAFETY: a value of this type exists only where the processor has the features.
        unsafe { self::unpack(data, position, width, add, out, count) }
    }

    #[inline(always)]
    fn unpack_scaled<T: Sample>(self, data: &[u8], position: usize, width: u32, scale: &Scale, out: &mut [T]) {
        // SAFETY: a value of this type exists only where the processor has the features.
        unsafe { self::unpack_scaled(data, position, width, scale, out) }
    }

    #[inline(always)]
    fn scale<T: Sample>(self, codes: &[i32], scale: &Scale, out: &mut [T]) {
        // SAFETY: a value of this type exists only where the processor has the features.
        unsafe { self::scale(codes, scale, out) }
    }

    #[inline(always)]
    fn scale_or_missing<T: Sample>(self, codes: &[i32], scale: &Scale, out: &mut [T]) {
        // SAFETY: a value of this type exists only where the processor has the features.
        unsafe { self::scale_or_missing(codes, scale, out) }
    }

    #[inline(always)]
    fn undo_preprocessor(self, samples: &mut [i32], last: u32, maximum: u32) -> u32 {
        // SAFETY: a value of this type exists only where the processor has the features.
        unsafe { self::undo_preprocessor(samples, last, maximum) }
    }

    #[inline(always)]
    fn join_split(self, data: &[u8], position: usize, width: u32, ends: &[i32], out: &mut [i32], count: usize) {
        // SAFETY: a value of this type exists only where the processor has the features.
        unsafe { self::join_split(data, position, width, ends, out, count) }
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn unpack(data: &[u8], position: usize, width: u32, add: i32, out: &mut [i32], count: usize) {
    if width == 0 {
        return out.iter_mut().take(count).for_each(|value| *value = add);
    }
    let mut done = 0;
    if let Some(taker) = (width <= WIDEST).then(|| Taker::new(width, position % 8)).flatten() {
        let add = _mm256_set1_epi32(add);
        let mut at = position / 8;
        for eight in out.as_chunks_mut::<8>().0 {
            if done >= count {
                return;
            }
            let Some(codes) = taker.take(data, at) else { break };
            store(_mm256_add_epi32(codes, add), eight);
            done += 8;
            at += width as usize;
        }
    }
    if done < count {
        let rest = out.get_mut(done..).unwrap_or_default();
        Scalar.unpack(data, position + done * width as usize, width, add, rest, count - done);
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn unpack_scaled<T: Sample>(data: &[u8], position: usize, width: u32, scale: &Scale, out: &mut [T]) {
    let mut done = 0;
    if let Some(taker) = (width <= WIDEST).then(|| Taker::new(width, position % 8)).flatten() {
        let scaler = Scaler::new(scale);
        let mut at = position / 8;
        for eight in out.as_chunks_mut::<8>().0 {
            let Some(codes) = taker.take(data, at) else { break };
            scaler.put(codes, eight);
            done += 8;
            at += width as usize;
        }
    }
    let rest = out.get_mut(done..).unwrap_or_default();
    Scalar.unpack_scaled(data, position + done * width as usize, width, scale, rest);
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn scale<T: Sample>(codes: &[i32], scale: &Scale, out: &mut [T]) {
    let scaler = Scaler::new(scale);
    let ((eights, rest), (to, out)) = (codes.as_chunks::<8>(), out.as_chunks_mut::<8>());
    eights.iter().zip(to).for_each(|(codes, to)| scaler.put(load(codes), to));
    Scalar.scale(rest, scale, out);
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn scale_or_missing<T: Sample>(codes: &[i32], scale: &Scale, out: &mut [T]) {
    let scaler = Scaler::new(scale);
    let ((eights, rest), (to, out)) = (codes.as_chunks::<8>(), out.as_chunks_mut::<8>());
    eights.iter().zip(to).for_each(|(codes, to)| scaler.put_or_missing(load(codes), to));
    Scalar.scale_or_missing(rest, scale, out);
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn undo_preprocessor(samples: &mut [i32], last: u32, maximum: u32) -> u32 {
    let mut last = last;
    let maxima = _mm256_set1_epi32(maximum as i32);
    let middle = _mm256_set1_epi32((maximum / 2 + 1) as i32);
    let (eights, rest) = samples.as_chunks_mut::<8>();
    for eight in eights {
        // Supposes that no difference reaches the nearer bound, as nearly always; then they are signed numbers, and
        // the samples their running sums. Where one does, the eight are done one by one.
        let (sums, fit) = {
            let (one, zero) = (_mm256_set1_epi32(1), _mm256_setzero_si256());
            let mapped = load(eight);
            let odd = _mm256_and_si256(mapped, one);
            let halves = _mm256_srli_epi32(mapped, 1);
            let magnitude = _mm256_add_epi32(halves, odd);
            let mut sums = _mm256_xor_si256(halves, _mm256_sub_epi32(zero, odd));
            sums = _mm256_add_epi32(sums, _mm256_slli_si256(sums, 4));
            sums = _mm256_add_epi32(sums, _mm256_slli_si256(sums, 8));
            let lower_total = _mm256_permutevar8x32_epi32(sums, _mm256_set1_epi32(3));
            sums = _mm256_add_epi32(sums, _mm256_blend_epi32(zero, lower_total, 0xf0));
            let base = _mm256_set1_epi32(last as i32);
            sums = _mm256_add_epi32(sums, base);
            let shifted = _mm256_permutevar8x32_epi32(sums, _mm256_setr_epi32(0, 0, 1, 2, 3, 4, 5, 6));
            let before = _mm256_blend_epi32(shifted, base, 1);
            let upper = _mm256_cmpeq_epi32(_mm256_and_si256(before, middle), middle);
            let bound = _mm256_xor_si256(_mm256_and_si256(upper, maxima), before);
            let fit = _mm256_cmpeq_epi32(_mm256_max_epu32(magnitude, bound), bound);
            (sums, _mm256_movemask_epi8(fit) == -1)
        };
        if fit {
            store(sums, eight);
            last = eight[7] as u32;
        } else {
            for sample in eight {
                last = undo_one(*sample as u32, last, maximum);
                *sample = last as i32;
            }
        }
    }
    Scalar.undo_preprocessor(rest, last, maximum)
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn join_split(data: &[u8], position: usize, width: u32, ends: &[i32], out: &mut [i32], count: usize) {
    let mut done = 0;
    let taker = (1..=WIDEST).contains(&width).then(|| Taker::new(width, position % 8)).flatten();
    if width == 0 || taker.is_some() {
        let shift = _mm_cvtsi32_si128(width as i32);
        let mut at = position / 8;
        let following = ends.get(1..).unwrap_or_default();
        let ends = ends.as_chunks::<8>().0.iter().zip(following.as_chunks::<8>().0);
        for (eight, (before, this)) in out.as_chunks_mut::<8>().0.iter_mut().zip(ends) {
            if done >= count {
                return;
            }
            let high = {
                let zeros = _mm256_sub_epi32(_mm256_sub_epi32(load(this), load(before)), _mm256_set1_epi32(1));
                _mm256_sll_epi32(zeros, shift)
            };
            match &taker {
                None => store(high, eight),
                Some(taker) => {
                    let Some(low) = taker.take(data, at) else { break };
                    store(_mm256_or_si256(high, low), eight);
                }
            }
            done += 8;
            at += width as usize;
        }
    }
    if done < count {
        let (ends, rest) = (ends.get(done..).unwrap_or_default(), out.get_mut(done..).unwrap_or_default());
        Scalar.join_split(data, position + done * width as usize, width, ends, rest, count - done);
    }
}
