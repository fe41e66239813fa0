//! Output element types and the arithmetic from codes to values.
#![allow(unsafe_code)] // storing vectors

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256d, _mm256_cvtpd_ps, _mm256_set_m128, _mm256_storeu_pd, _mm256_storeu_ps};

/// A type that fields are decoded to: `f32` or `f64`.
pub trait Sample: Copy + Send + Sync + sealed::Lanes + 'static {
    /// The quiet NaN that stands for a missing value: `0x7fc00000` or `0x7ff8000000000000`.
    const MISSING: Self;
    /// The one rounding, after all arithmetic in float64.
    fn from_f64(value: f64) -> Self;
    /// Whether this is a NaN.
    fn is_missing(self) -> bool;
}

impl Sample for f32 {
    const MISSING: Self = f32::from_bits(0x7fc0_0000);
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn is_missing(self) -> bool {
        self.is_nan()
    }
}

impl Sample for f64 {
    const MISSING: Self = f64::from_bits(0x7ff8_0000_0000_0000);
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn is_missing(self) -> bool {
        self.is_nan()
    }
}

/// How codes become values: `((X * 2^E) + R) * 10^-D` in float64, every operation rounded, as ecCodes does it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// R
    pub reference: f64,
    /// 2^E
    pub binary: f64,
    /// 10^-D
    pub decimal: f64,
}

impl Scale {
    pub fn new(reference: f64, binary_scale_factor: i32, decimal_scale_factor: i32) -> Self {
        Scale { reference, binary: power(2.0, binary_scale_factor), decimal: power(10.0, -decimal_scale_factor) }
    }

    /// The value of code `code`.
    #[inline(always)]
    pub fn value(&self, code: f64) -> f64 {
        ((code * self.binary) + self.reference) * self.decimal
    }
}

/// `base^exponent` by repeated multiplication or division: the rounding of ecCodes' `codes_power`.
pub(crate) fn power(base: f64, exponent: i32) -> f64 {
    let mut result = 1.0;
    for _ in 0..exponent.unsigned_abs() {
        if exponent < 0 {
            result /= base;
        } else {
            result *= base;
        }
        // More factors change nothing: scale factors reach 32767, and tiny messages must stay cheap.
        if result == 0.0 || result == f64::INFINITY {
            break;
        }
    }
    result
}

/// IBM System/360 single precision float (GRIB 1 reference value), exact in float64.
pub(crate) fn ibm_float(bits: u32) -> f64 {
    let sign = if bits & 0x8000_0000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::try_from((bits >> 24) & 0x7f).unwrap_or_default() - 64;
    sign * f64::from(bits & 0x00ff_ffff) * power(2.0, 4 * exponent - 24)
}

pub(crate) mod sealed {
    /// What the vector kernels need of an output type.
    pub trait Lanes: Sized {
        /// Rounds (where needed) and stores eight values, `low` first.
        ///
        /// # Safety
        /// The processor has AVX.
        #[cfg(target_arch = "x86_64")]
        unsafe fn store8(low: super::__m256d, high: super::__m256d, to: &mut [Self; 8]);
    }
}

impl sealed::Lanes for f32 {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn store8(low: __m256d, high: __m256d, to: &mut [Self; 8]) {
        // SAFETY: AVX by the caller's promise; `to` is 32 writable bytes and the store needs no alignment.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low))) }
    }
}

impl sealed::Lanes for f64 {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn store8(low: __m256d, high: __m256d, to: &mut [Self; 8]) {
        let (first, second) = to.split_at_mut(4);
        // SAFETY: AVX by the caller's promise; each half is 32 writable bytes and the stores need no alignment.
        unsafe {
            _mm256_storeu_pd(first.as_mut_ptr(), low);
            _mm256_storeu_pd(second.as_mut_ptr(), high);
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn powers_and_ibm_floats() {
        assert_eq!(power(10.0, 3), 1000.0);
        assert_eq!(power(10.0, -1), 0.1);
        assert_eq!(power(2.0, -1074), f64::from_bits(1));
        assert_eq!(power(10.0, 32767), f64::INFINITY);
        assert_eq!(power(10.0, -32767), 0.0);
        assert_eq!(ibm_float(0xc276_a000), -118.625);
        assert_eq!(ibm_float(0), 0.0);
        assert_eq!(ibm_float(0x4110_0000), 1.0);
    }
}
