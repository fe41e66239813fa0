//! Numbers of a grid section, addressed by the octet numbers of the WMO manual (from 1).

use crate::grib::GribError;

/// A grid section (GRIB 2 section 3, GRIB 1 section 2) with checked access.
#[derive(Debug, Clone, Copy)]
pub(super) struct Octets<'a> {
    bytes: &'a [u8],
    section: u8,
}

impl<'a> Octets<'a> {
    /// `bytes` from the section's first octet; cut to the length the section declares.
    pub(super) fn new(bytes: &'a [u8], section: u8) -> Result<Self, GribError> {
        let whole = Self { bytes, section };
        let declared = whole.unsigned(1, if section == 3 { 4 } else { 3 })?;
        let cut = usize::try_from(declared).ok().and_then(|length| bytes.get(..length));
        match cut {
            Some(bytes) => Ok(Self { bytes, section }),
            None => Err(GribError::Truncated {
                offset: 0,
                section,
                needed: u64::from(declared),
                available: bytes.len() as u64,
            }),
        }
    }

    pub(super) fn malformed(&self, octet: usize, what: impl Into<String>) -> GribError {
        GribError::Malformed { offset: octet.saturating_sub(1) as u64, section: self.section, what: what.into() }
    }

    /// Big-endian, `size` octets (1 to 4).
    pub(super) fn unsigned(&self, octet: usize, size: usize) -> Result<u32, GribError> {
        let start = octet.saturating_sub(1);
        let end = start.saturating_add(size);
        let bytes = self.bytes.get(start..end).ok_or(GribError::Truncated {
            offset: start as u64,
            section: self.section,
            needed: end as u64,
            available: self.bytes.len() as u64,
        })?;
        Ok(bytes.iter().fold(0, |value: u32, &byte| value << 8 | u32::from(byte)))
    }

    pub(super) fn byte(&self, octet: usize) -> Result<u8, GribError> {
        Ok((self.unsigned(octet, 1)? & 0xff) as u8)
    }

    /// None when every bit is 1 (WMO: missing).
    pub(super) fn optional(&self, octet: usize, size: usize) -> Result<Option<u32>, GribError> {
        let value = self.unsigned(octet, size)?;
        Ok((value != all_ones(size)).then_some(value))
    }

    /// Sign bit and magnitude, `size` octets.
    pub(super) fn signed(&self, octet: usize, size: usize) -> Result<i64, GribError> {
        let value = self.unsigned(octet, size)?;
        let magnitude = i64::from(value & (all_ones(size) >> 1));
        Ok(if value > all_ones(size) >> 1 { -magnitude } else { magnitude })
    }

    /// As [`Octets::signed`] with four octets; some producers write two's complement instead, which shows when only
    /// that is within +-`limit`.
    pub(super) fn signed_or_complement(&self, octet: usize, limit: i64) -> Result<i64, GribError> {
        let value = self.signed(octet, 4)?;
        let complement = i64::from(self.unsigned(octet, 4)?.cast_signed());
        Ok(if value.abs() > limit && complement.abs() <= limit { complement } else { value })
    }

    /// IEEE 32-bit.
    pub(super) fn ieee(&self, octet: usize) -> Result<f64, GribError> {
        Ok(f64::from(f32::from_bits(self.unsigned(octet, 4)?)))
    }

    /// IBM System/360 32-bit.
    pub(super) fn ibm(&self, octet: usize) -> Result<f64, GribError> {
        let bits = self.unsigned(octet, 4)?;
        let exponent = ((bits >> 24) & 0x7f) as i32 - 64;
        let magnitude = f64::from(bits & 0x00ff_ffff) / 16_777_216.0 * 16f64.powi(exponent);
        Ok(if bits >> 31 == 1 { -magnitude } else { magnitude })
    }

    /// `count` unsigned numbers of `size` octets from `octet` on; None when the section ends before.
    pub(super) fn list(&self, octet: usize, size: usize, count: usize) -> Option<Vec<u32>> {
        let start = octet.checked_sub(1)?;
        let end = start.checked_add(count.checked_mul(size)?)?;
        let bytes = self.bytes.get(start..end)?;
        Some(bytes.chunks_exact(size).map(|item| item.iter().fold(0, |v: u32, &b| v << 8 | u32::from(b))).collect())
    }
}

fn all_ones(size: usize) -> u32 {
    match size {
        1 => 0xff,
        2 => 0xffff,
        3 => 0x00ff_ffff,
        _ => u32::MAX,
    }
}
