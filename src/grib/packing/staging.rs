//! Codes on their way to values: decoders put codes of consecutive points here, whole runs are scaled at once into the part
//! of the output that was asked for.

use std::ops::Range;

use super::kernel::{Kernel, SPARE};
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
}

impl<'a, T: Sample> Staging<'a, T> {
    /// `first` is the number of the code that comes first, `wanted` the numbers of those that go to `out`
    /// (`out.len() == wanted.len()`).
    pub fn new(scale: Scale, first: usize, wanted: Range<usize>, out: &'a mut [T]) -> Self {
        let codes = vec![0; STAGE + SPARE];
        Staging { scale, wanted, out, codes, fill: 0, first, with_missing: false, full_range: false }
    }

    pub fn with_missing(mut self, yes: bool) -> Self {
        self.with_missing = yes;
        self
    }

    pub fn with_full_range(mut self, yes: bool) -> Self {
        self.full_range = yes;
        self
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
        if count <= STAGE / 8 && let (false, Ok(code)) = (self.full_range, i32::try_from(code)) {
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
        self.flush(kernel);
        self.target(count).0.fill(T::MISSING);
        self.first += count;
    }

    /// A code that does not fit 32 bits. None: missing.
    #[cold]
    pub fn wide<K: Kernel>(&mut self, kernel: K, code: Option<i64>) {
        self.flush(kernel);
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
        let codes = std::mem::take(&mut self.codes);
        let (scale, with_missing, full_range) = (self.scale, self.with_missing, self.full_range);
        let (out, from) = self.target(count);
        let staged = codes.get(from..from + out.len()).unwrap_or_default();
        if full_range {
            for (value, code) in out.iter_mut().zip(staged) {
                *value = T::from_f64(scale.value(f64::from(*code as u32)));
            }
        } else if with_missing {
            kernel.scale_or_missing(staged, &scale, out);
        } else {
            kernel.scale(staged, &scale, out);
        }
        self.codes = codes;
        self.first += count;
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
