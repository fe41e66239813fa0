//! Big-endian fields of bytes and bit streams. Nothing here panics; what lies behind the end reads as zero, so sizes are
//! checked once by the callers.

/// `width` (at most 57) bits from bit `position` of `data`, most significant first.
#[inline(always)]
pub(crate) fn bits_at(data: &[u8], position: usize, width: u32) -> u64 {
    if width == 0 {
        return 0;
    }
    (window_at(data, position / 8) << (position % 8)) >> (64 - width)
}

/// Eight bytes from byte `byte` on as one big-endian number.
#[inline(always)]
pub(crate) fn window_at(data: &[u8], byte: usize) -> u64 {
    match data.get(byte..).and_then(<[u8]>::first_chunk::<8>) {
        Some(window) => u64::from_be_bytes(*window),
        None => window_at_end(data, byte),
    }
}

#[cold]
fn window_at_end(data: &[u8], byte: usize) -> u64 {
    let mut window = [0u8; 8];
    for (to, from) in window.iter_mut().zip(data.get(byte..).unwrap_or_default()) {
        *to = *from;
    }
    u64::from_be_bytes(window)
}

/// A big-endian unsigned number of `size` (at most 8) bytes at byte `byte`; None when the bytes are not all there.
pub(crate) fn unsigned(data: &[u8], byte: usize, size: usize) -> Option<u64> {
    let bytes = data.get(byte..byte.checked_add(size)?)?;
    Some(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

/// A number whose first bit is its sign and whose other bits are its absolute value (GRIB regulation 92.1.5).
pub(crate) fn sign_magnitude(number: u64, bits: u32) -> i64 {
    if bits == 0 || bits > 63 {
        return 0;
    }
    let sign = 1u64 << (bits - 1);
    let magnitude = i64::try_from(number & (sign - 1)).unwrap_or_default();
    if number & sign == 0 { magnitude } else { -magnitude }
}

/// Bytes that `count` codes of `width` bits take; None when that is beyond what a usize of bits can address.
pub(crate) fn packed_bytes(count: u64, width: u32) -> Option<u64> {
    Some(count.checked_mul(u64::from(width))?.checked_add(7)? / 8)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn reads_across_bytes_and_past_the_end() {
        let data = [0b1010_0101, 0xff, 0x00, 0x81];
        assert_eq!(bits_at(&data, 0, 4), 0b1010);
        assert_eq!(bits_at(&data, 5, 7), 0b101_1111);
        assert_eq!(bits_at(&data, 24, 32), 0x8100_0000);
        assert_eq!(bits_at(&data, 400, 32), 0);
        assert_eq!(bits_at(&data, 0, 0), 0);
        let long: Vec<u8> = (0..20).collect();
        assert_eq!(bits_at(&long, 8 * 9 + 4, 32), 0x90a0_b0c0);
    }

    #[test]
    fn signs_and_sizes() {
        assert_eq!(sign_magnitude(0x8003, 16), -3);
        assert_eq!(sign_magnitude(0x0003, 16), 3);
        assert_eq!(unsigned(&[1, 2, 3], 1, 2), Some(0x0203));
        assert_eq!(unsigned(&[1, 2, 3], 2, 2), None);
        assert_eq!(packed_bytes(3, 3), Some(2));
        assert_eq!(packed_bytes(u64::MAX, 3), None);
    }
}
