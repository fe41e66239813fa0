//! Unary codes ("fundamental sequences"): zeros up to a one.

use super::bits::window_at;

/// The zeros of the code at bit `bit`, and the position behind its one. None: the data end before.
#[inline(always)]
pub(crate) fn read_unary(data: &[u8], bit: usize) -> Option<(u32, usize)> {
    let mut at = bit;
    loop {
        if at / 8 >= data.len() {
            return None;
        }
        let window = window_at(data, at / 8) << (at % 8);
        if window != 0 {
            at += window.leading_zeros() as usize;
            return Some((u32::try_from(at - bit).ok()?, at + 1));
        }
        at += 64 - at % 8;
    }
}

/// The ends of `count` codes from bit `bit` on, relative to `bit`: `ends[i + 1]` is where the one of code i stands and
/// `ends[0]` is -1. Returns the position behind the last one. None: the data end before, or `ends` is too short for
/// `count + 1` elements and four more that may be overwritten.
#[inline(always)]
pub(crate) fn unary_ends(data: &[u8], bit: usize, count: usize, ends: &mut [i32]) -> Option<usize> {
    *ends.first_mut()? = -1;
    let mut found = 0;
    let mut at = bit;
    while found < count {
        if at / 8 >= data.len() {
            return None;
        }
        let base = i32::try_from(at - bit).ok()?;
        // The first bit in the lowest place: finding and clearing it are single instructions then.
        let mut window = window_at(data, at / 8).reverse_bits() >> (at % 8);
        let ones = (window.count_ones() as usize).min(count - found);
        let mut left = ones;
        let mut to = ends.get_mut(found + 1..)?;
        while left > 0 {
            // Four at a time, the surplus is overwritten by what follows.
            let (four, behind) = to.split_first_chunk_mut::<4>()?;
            for end in four {
                *end = base.wrapping_add(window.trailing_zeros() as i32);
                window &= window.wrapping_sub(1);
            }
            to = behind;
            left = left.saturating_sub(4);
        }
        found += ones;
        at += 64 - at % 8;
    }
    Some(bit + usize::try_from(*ends.get(count)?).ok()? + 1)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn finds_codes_in_and_across_windows() {
        let mut data = vec![0u8; 40];
        let ones = [3usize, 4, 17, 63, 64, 65, 70, 200, 263, 264, 319];
        for one in ones {
            data[one / 8] |= 0x80 >> (one % 8);
        }
        let mut at = 2;
        for one in ones {
            let (zeros, behind) = read_unary(&data, at).unwrap();
            assert_eq!((zeros as usize, behind), (one - at, one + 1));
            at = behind;
        }
        assert_eq!(read_unary(&data, at), None);
        let mut ends = [0i32; 20];
        assert_eq!(unary_ends(&data, 2, ones.len(), &mut ends), Some(320));
        let expected: Vec<i32> = ones.iter().map(|one| *one as i32 - 2).collect();
        assert_eq!(&ends[1..=ones.len()], &expected[..]);
        assert_eq!(ends[0], -1);
        assert_eq!(unary_ends(&data, 2, ones.len() + 1, &mut ends), None);
    }
}
