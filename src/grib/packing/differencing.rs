//! Spatial differencing (GRIB 2 template 5.3): from differences to codes by running sums.

use super::kernel::MISSING_CODE;

/// What a field says about its differences.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Differencing {
    /// 1 or 2.
    pub order: u8,
    /// The first values that are not missing, as they are.
    pub first: [i64; 2],
    /// Is to be added to all differences.
    pub bias: i64,
}

/// The running sums at some place of a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    value: i64,
    difference: i64,
    /// How many values that are not missing came before, up to the order: the first ones are given, not summed.
    known: u8,
}

impl Differencing {
    /// The value that follows, given its difference with the bias; wrapping as ecCodes' 64-bit arithmetic.
    pub fn next(&self, sums: &mut Sums, step: i64) -> i64 {
        let [first, second] = self.first;
        match (self.order, sums.known) {
            (_, 0) => sums.value = first,
            (1, _) => sums.value = sums.value.wrapping_add(step),
            (_, 1) => {
                sums.difference = second.wrapping_sub(first);
                sums.value = second;
            }
            _ => {
                sums.difference = sums.difference.wrapping_add(step);
                sums.value = sums.value.wrapping_add(sums.difference);
            }
        }
        sums.known = (sums.known + 1).min(self.order);
        sums.value
    }

    /// Sums `steps` (differences with the bias, `MISSING_CODE` between them where `with_missing`) to `codes`. None, and
    /// nothing of use in `codes`: a sum leaves 32 bits.
    pub fn sum(&self, mut sums: Sums, steps: &[i32], codes: &mut [i32], with_missing: bool) -> Option<Sums> {
        let mut begun = 0;
        let mut beyond = 0u64;
        // The least number would be taken for `MISSING_CODE`.
        let check = |value: i64| value.wrapping_add(i64::from(i32::MAX)) as u64;
        for (step, code) in steps.iter().zip(codes.iter_mut()) {
            if sums.known >= self.order {
                break;
            }
            begun += 1;
            if with_missing && *step == MISSING_CODE {
                *code = MISSING_CODE;
            } else {
                let value = self.next(&mut sums, i64::from(*step));
                beyond |= check(value);
                *code = value as i32;
            }
        }
        let rest = steps.get(begun..).unwrap_or_default().iter().zip(codes.get_mut(begun..).unwrap_or_default());
        let (mut value, mut difference) = (sums.value, sums.difference);
        match (self.order, with_missing) {
            (1, _) => rest.for_each(|(step, code)| {
                let missing = with_missing && *step == MISSING_CODE;
                value = value.wrapping_add(if missing { 0 } else { i64::from(*step) });
                beyond |= check(value);
                *code = if missing { MISSING_CODE } else { value as i32 };
            }),
            (_, false) => rest.for_each(|(step, code)| {
                difference = difference.wrapping_add(i64::from(*step));
                value = value.wrapping_add(difference);
                beyond |= check(value);
                *code = value as i32;
            }),
            (_, true) => rest.for_each(|(step, code)| {
                let missing = *step == MISSING_CODE;
                difference = difference.wrapping_add(if missing { 0 } else { i64::from(*step) });
                value = value.wrapping_add(if missing { 0 } else { difference });
                beyond |= check(value);
                *code = if missing { MISSING_CODE } else { value as i32 };
            }),
        }
        (beyond >> 32 == 0).then_some(Sums { value, difference, known: sums.known })
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_single_steps() {
        for order in [1, 2] {
            for with_missing in [false, true] {
                let differencing = Differencing { order, first: [100, 90], bias: 0 };
                let mut steps: Vec<i32> = (0..200).map(|i| (i * 37 % 11) - 5).collect();
                if with_missing {
                    [0, 3, 4, 199].into_iter().for_each(|at| steps[at] = MISSING_CODE);
                }
                let mut sums = Sums::default();
                let expected: Vec<i32> = steps
                    .iter()
                    .map(|step| match *step {
                        MISSING_CODE => MISSING_CODE,
                        step => differencing.next(&mut sums, i64::from(step)) as i32,
                    })
                    .collect();
                let mut codes = vec![0; steps.len()];
                // In two parts, as over two stages.
                let first = differencing.sum(Sums::default(), &steps[..1], &mut codes[..1], with_missing).unwrap();
                let all = differencing.sum(first, &steps[1..], &mut codes[1..], with_missing);
                assert_eq!(all, Some(sums));
                assert_eq!(codes, expected);
                steps[20] = i32::MAX;
                steps[21] = i32::MAX;
                assert_eq!(differencing.sum(first, &steps[1..], &mut codes[1..], with_missing), None);
            }
        }
    }
}
