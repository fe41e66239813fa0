//! Big-endian numbers inside a section, by the octet numbers of the WMO manual minus one.
//!
//! Every function answers `None` past the end of the slice.

pub(crate) fn u8_at(section: &[u8], index: usize) -> Option<u8> {
    section.get(index).copied()
}

pub(crate) fn u16_at(section: &[u8], index: usize) -> Option<u16> {
    section.get(index..)?.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))
}

pub(crate) fn u24_at(section: &[u8], index: usize) -> Option<u32> {
    section.get(index..)?.first_chunk::<3>().map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]))
}

pub(crate) fn u32_at(section: &[u8], index: usize) -> Option<u32> {
    section.get(index..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

pub(crate) fn u64_at(section: &[u8], index: usize) -> Option<u64> {
    section.get(index..)?.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Sign and magnitude in one octet (regulation 92.1.5).
pub(crate) fn i8_at(section: &[u8], index: usize) -> Option<i8> {
    let raw = u8_at(section, index)?;
    let magnitude = (raw & 0x7f) as i8;
    Some(if raw & 0x80 == 0 { magnitude } else { -magnitude })
}

/// Sign and magnitude in two octets.
pub(crate) fn i16_at(section: &[u8], index: usize) -> Option<i16> {
    let raw = u16_at(section, index)?;
    let magnitude = (raw & 0x7fff) as i16;
    Some(if raw & 0x8000 == 0 { magnitude } else { -magnitude })
}

/// Sign and magnitude in four octets.
pub(crate) fn i32_at(section: &[u8], index: usize) -> Option<i32> {
    let raw = u32_at(section, index)?;
    let magnitude = (raw & 0x7fff_ffff) as i32;
    Some(if raw & 0x8000_0000 == 0 { magnitude } else { -magnitude })
}

/// 63 bits of FNV-1a: tells byte strings apart inside one key, where nobody chooses the bytes to collide.
pub(crate) fn short_digest(bytes: &[u8]) -> i64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_is_the_highest_bit() {
        assert_eq!(i8_at(&[0x82], 0), Some(-2));
        assert_eq!(i16_at(&[0x80, 0x05], 0), Some(-5));
        assert_eq!(i32_at(&[9, 0x80, 0, 0, 6], 1), Some(-6));
        assert_eq!(i32_at(&[0x7f, 0xff, 0xff, 0xff], 0), Some(i32::MAX));
    }

    #[test]
    fn nothing_is_read_past_the_end() {
        assert_eq!(u24_at(&[1, 2], 0), None);
        assert_eq!(u32_at(&[1, 2, 3, 4], 1), None);
        assert_eq!(u64_at(&[0; 8], usize::MAX), None);
    }
}
