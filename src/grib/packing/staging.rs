//! Codes on their way to values: decoders put codes of consecutive points here, whole runs are scaled at once into the part
//! of the output that was asked for.

use std::ops::Range;

use super::differencing::{Differencing, Sums};
use super::kernel::{Kernel, MISSING_CODE, SPARE};
use super::sample::{Sample, Scale};

/// Codes that are scaled at once: they stay in the first-level cache.
pub(crate) const STAGE: usize = 4096;

/// Collects codes and writes the values of `wanted`.
pub(crate) struct Staging<'a, T> {
    scale: Scale,
    wanted: Range<usize>,
    out: &'a mut [T],
    codes: Vec<i32>,
    fill: usize,
    /// Number of the code that `codes[0]` is.
    first: usize,
    /// Staged codes may be `MISSING_CODE`.
    with_missing: bool,
    /// Codes are unsigned and may have 32 bits.
    full_range: bool,
    /// Codes are differences with the bias; they are summed to `summed` first.
    differencing: Option<Differencing>,
    sums: Sums,
    summed: Vec<i32>,
}

impl<'a, T: Sample> Staging<'a, T> {
    /// `first` is the number of the code that comes first, `wanted` the numbers of those that go to `out`
    /// (`out.len() == wanted.len()`).
    pub fn new(scale: Scale, first: usize, wanted: Range<usize>, out: &'a mut [T]) -> Self {
        let codes = vec![0; STAGE + SPARE];
        Staging {
            scale,
            wanted,
            out,
            codes,
            fill: 0,
            first,
            with_missing: false,
            full_range: false,
            differencing: None,
            sums: Sums::default(),
            summed: Vec::new(),
        }
    }

    pub fn with_missing(mut self, yes: bool) -> Self {
        self.with_missing = yes;
        self
    }

    pub fn with_full_range(mut self, yes: bool) -> Self {
        self.full_range = yes;
        self
    }

    /// What is put are differences; `sums` are those at the first of them.
    pub fn with_differencing(mut self, differencing: Option<Differencing>, sums: Sums) -> Self {
        self.differencing = differencing;
        self.sums = sums;
        if differencing.is_some() {
            self.summed = vec![0; STAGE];
        }
        self
    }

    /// Whether differences are put.
    #[inline(always)]
    pub fn is_summing(&self) -> bool {
        self.differencing.is_some()
    }

    /// The sums behind the last flush.
    pub fn sums(&self) -> Sums {
        self.sums
    }

    /// Codes put so far, counted from the field's first.
    #[inline(always)]
    pub fn position(&self) -> usize {
        self.first + self.fill
    }

    /// All wanted codes are there.
    #[inline(always)]
    pub fn is_done(&self) -> bool {
        self.position() >= self.wanted.end
    }

    /// Room for `count` codes and `SPARE` more; `count` is at most `STAGE`. Follow with `advance`.
    #[inline(always)]
    pub fn room<K: Kernel>(&mut self, kernel: K, count: usize) -> &mut [i32] {
        if self.fill + count > STAGE {
            self.flush(kernel);
        }
        self.codes.get_mut(self.fill..).unwrap_or_default()
    }

    /// How many codes can be put before the next flush.
    #[inline(always)]
    pub fn free(&self) -> usize {
        STAGE - self.fill
    }

    /// The last `count` codes of `room` are filled in.
    #[inline(always)]
    pub fn advance(&mut self, count: usize) {
        self.fill += count;
    }

    /// `count` codes of the same value.
    pub fn repeat<K: Kernel>(&mut self, kernel: K, code: i64, count: usize) {
        if count <= STAGE / 8
            && let (false, Ok(code)) = (self.full_range, i32::try_from(code))
        {
            let room = self.room(kernel, count);
            room.iter_mut().take(count).for_each(|value| *value = code);
            self.advance(count);
            return;
        }
        self.flush(kernel);
        let value = T::from_f64(self.scale.value(code as f64));
        self.target(count).0.fill(value);
        self.first += count;
    }

    /// `count` missing values.
    pub fn repeat_missing<K: Kernel>(&mut self, kernel: K, count: usize) {
        if count <= STAGE / 8 && self.with_missing {
            let room = self.room(kernel, count);
            room.iter_mut().take(count).for_each(|value| *value = MISSING_CODE);
            return self.advance(count);
        }
        self.flush(kernel);
        self.target(count).0.fill(T::MISSING);
        self.first += count;
    }

    /// One code of any size. None: missing.
    pub fn one<K: Kernel>(&mut self, kernel: K, code: Option<i64>) {
        let staged = match code {
            None => self.with_missing.then_some(MISSING_CODE),
            // The least number is `MISSING_CODE`.
            Some(code) => i32::try_from(code).ok().filter(|code| *code != MISSING_CODE && !self.full_range),
        };
        match staged {
            Some(staged) => {
                if let Some(room) = self.room(kernel, 1).first_mut() {
                    *room = staged;
                }
                self.advance(1);
            }
            None => self.wide(kernel, code),
        }
    }

    /// A code that does not fit 32 bits. None: missing.
    #[cold]
    fn wide<K: Kernel>(&mut self, kernel: K, code: Option<i64>) {
        self.flush(kernel);
        let code = match (code, &self.differencing) {
            (Some(step), Some(differencing)) => Some(differencing.next(&mut self.sums, step)),
            (code, _) => code,
        };
        let value = code.map_or(T::MISSING, |code| T::from_f64(self.scale.value(code as f64)));
        self.target(1).0.fill(value);
        self.first += 1;
    }

    /// Leaves `count` codes out that are not wanted.
    pub fn skip<K: Kernel>(&mut self, kernel: K, count: usize) {
        self.flush(kernel);
        self.first += count;
    }

    /// The numbers of the codes that are wanted.
    pub fn wanted(&self) -> &Range<usize> {
        &self.wanted
    }

    /// Scales what is staged. Call it at the end.
    pub fn flush<K: Kernel>(&mut self, kernel: K) {
        let count = std::mem::take(&mut self.fill);
        let (codes, mut summed) = (std::mem::take(&mut self.codes), std::mem::take(&mut self.summed));
        let staged = codes.get(..count).unwrap_or_default();
        match self.differencing {
            None => self.put(kernel, staged),
            Some(differencing) => {
                let target = summed.get_mut(..count).unwrap_or_default();
                match differencing.sum(self.sums, staged, target, self.with_missing) {
                    Some(sums) => {
                        self.sums = sums;
                        self.put(kernel, target);
                    }
                    None => self.put_wide(&differencing, staged),
                }
            }
        }
        (self.codes, self.summed) = (codes, summed);
        self.first += count;
    }

    fn put<K: Kernel>(&mut self, kernel: K, codes: &[i32]) {
        let (scale, with_missing, full_range) = (self.scale, self.with_missing, self.full_range);
        let (out, from) = self.target(codes.len());
        let codes = codes.get(from..from + out.len()).unwrap_or_default();
        if full_range {
            for (value, code) in out.iter_mut().zip(codes) {
                *value = T::from_f64(scale.value(f64::from(*code as u32)));
            }
        } else if with_missing {
            kernel.scale_or_missing(codes, &scale, out);
        } else {
            kernel.scale(codes, &scale, out);
        }
    }

    /// Sums that do not fit 32 bits.
    #[cold]
    fn put_wide(&mut self, differencing: &Differencing, steps: &[i32]) {
        let (scale, with_missing, mut sums) = (self.scale, self.with_missing, self.sums);
        let (out, from) = self.target(steps.len());
        for (index, step) in steps.iter().enumerate() {
            let missing = with_missing && *step == MISSING_CODE;
            let code = (!missing).then(|| differencing.next(&mut sums, i64::from(*step)));
            let value = code.map_or(T::MISSING, |code| T::from_f64(scale.value(code as f64)));
            if let Some(target) = index.checked_sub(from).and_then(|index| out.get_mut(index)) {
                *target = value;
            }
        }
        self.sums = sums;
    }

    /// Where the wanted ones of the next `count` codes go, and how many unwanted ones come before.
    fn target(&mut self, count: usize) -> (&mut [T], usize) {
        let start = self.first.max(self.wanted.start);
        let end = self.first.saturating_add(count).min(self.wanted.end);
        if start >= end {
            return (&mut [], 0);
        }
        let out = self.out.get_mut(start - self.wanted.start..end - self.wanted.start).unwrap_or_default();
        (out, start - self.first)
    }
}
