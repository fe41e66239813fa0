//! Vector kernels for x86-64 with AVX2 and BMI.

use super::{Job, Kernel, Scalar};
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

impl Kernel for Avx2 {
    #[inline(always)]
    fn unpack(self, data: &[u8], position: usize, width: u32, add: i32, out: &mut [i32], count: usize) {
        Scalar.unpack(data, position, width, add, out, count);
    }
    #[inline(always)]
    fn unpack_scaled<T: Sample>(self, data: &[u8], position: usize, width: u32, scale: &Scale, out: &mut [T]) {
        Scalar.unpack_scaled(data, position, width, scale, out);
    }
    #[inline(always)]
    fn scale<T: Sample>(self, codes: &[i32], scale: &Scale, out: &mut [T]) {
        Scalar.scale(codes, scale, out);
    }
    #[inline(always)]
    fn scale_or_missing<T: Sample>(self, codes: &[i32], scale: &Scale, out: &mut [T]) {
        Scalar.scale_or_missing(codes, scale, out);
    }
    #[inline(always)]
    fn undo_preprocessor(self, samples: &mut [i32], last: u32, maximum: u32) -> u32 {
        Scalar.undo_preprocessor(samples, last, maximum)
    }
    #[inline(always)]
    fn join_split(self, data: &[u8], position: usize, width: u32, ends: &[i32], out: &mut [i32], count: usize) {
        Scalar.join_split(data, position, width, ends, out, count);
    }
}
