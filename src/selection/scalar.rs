//! Single values and their types.

use super::{SelectionError, error};
use crate::calendar::seconds_since_1970;

/// One value as it was written. Its type depends on the key, so it is read by the accessors.
#[derive(Debug, Clone)]
pub struct Scalar {
    text: String,
    position: usize,
}

/// Equal when written equally, wherever.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Scalar {}

/// A reference time, or a word for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePoint {
    /// Seconds since 1970-01-01T00:00:00Z.
    At(i64),
    /// The last time that anything arrived for.
    Latest,
    /// The last time whose expected slots are all there.
    LatestComplete,
}

/// A term with typed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds<T> {
    /// One value.
    Value(T),
    /// As written: `from` may be above `to` (latitudes from north to south, longitudes that wrap).
    Range {
        /// The first.
        from: Option<T>,
        /// The last.
        to: Option<T>,
        /// Every how many.
        stride: Option<T>,
    },
}

impl Scalar {
    pub(super) fn new(text: &str, position: usize) -> Scalar {
        Scalar { text: text.to_owned(), position }
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Byte in the selection's text where it stood.
    pub fn position(&self) -> usize {
        self.position
    }

    /// A step or duration in seconds: `6` and `6h` are hours, `15m` minutes, `2d` days, `30s` seconds, `1.5h` 90 minutes.
    pub fn seconds(&self) -> Result<i64, SelectionError> {
        duration(&self.text).ok_or_else(|| {
            let remedy = "a step is a number of hours, or has a unit: 15m, 6h, 2d, 30s";
            error(self.position, format!("{:?} is not a step", self.text), remedy)
        })
    }

    /// A time.
    pub fn time(&self) -> Result<TimePoint, SelectionError> {
        match self.text.as_str() {
            "latest" => Ok(TimePoint::Latest),
            "latest-complete" => Ok(TimePoint::LatestComplete),
            text => parse_time(text).map(TimePoint::At).ok_or_else(|| {
                let remedy = "a time is YYYYMMDDHH, 2026-11-21T00:00, latest or latest-complete";
                error(self.position, format!("{text:?} is not a time"), remedy)
            }),
        }
    }

    /// A whole number.
    pub fn number(&self) -> Result<i64, SelectionError> {
        let remedy = "write digits only";
        let wrong = || error(self.position, format!("{:?} is not a whole number", self.text), remedy);
        self.text.parse().map_err(|_| wrong())
    }

    /// A finite number.
    pub fn float(&self) -> Result<f64, SelectionError> {
        let value = self.text.parse::<f64>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| {
            error(self.position, format!("{:?} is not a number", self.text), "write a number, as in -12.5")
        })
    }
}

/// `YYYYMMDD[HH[MM[SS]]]` or `YYYY-MM-DD[(T| )HH[:MM[:SS]]][Z]`, in UTC, as seconds since 1970-01-01T00:00:00Z.
pub fn parse_time(text: &str) -> Option<i64> {
    let digits = |text: &str| -> Option<i64> {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let bytes = text.bytes();
    if text.len() >= 8 && bytes.clone().all(|byte| byte.is_ascii_digit()) {
        let (date, clock) = text.split_at_checked(8)?;
        let date = digits(date)?;
        let clock = match clock.len() {
            0 => 0,
            2 => digits(clock)?.checked_mul(10_000)?,
            4 => digits(clock)?.checked_mul(100)?,
            6 => digits(clock)?,
            _ => return None,
        };
        return at(date, clock);
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).map_or((text, None), |(date, clock)| (date, Some(clock)));
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    let date = digits(year)?.checked_mul(10_000)? + digits(month)?.checked_mul(100)? + digits(day)?;
    let mut number = 0;
    if let Some(clock) = clock {
        let mut parts = clock.split(':');
        for unit in [10_000, 100, 1] {
            match parts.next() {
                Some(part) if part.len() == 2 => number += digits(part)? * unit,
                Some(_) => return None,
                None => {}
            }
        }
        if parts.next().is_some() {
            return None;
        }
    }
    at(date, number)
}

/// `YYYYMMDD` and `HHMMSS` as numbers.
fn at(date: i64, clock: i64) -> Option<i64> {
    let (hour, minute, second) = (clock / 10_000, clock / 100 % 100, clock % 100);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    seconds_since_1970(date / 10_000, date / 100 % 100, date % 100, hour * 3600 + minute * 60 + second)
}

/// Whether the colon at `at` belongs to the ISO date-time that `text` begins with: `2026-11-21T00:00`.
pub(super) fn inside_date_time(text: &str, at: usize) -> bool {
    let Some((before, after)) = text.split_at_checked(at) else { return false };
    let before = before.trim_start();
    let shape = |pattern: &str| {
        before.len() == pattern.len()
            && before.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b' '),
                _ => byte == wanted,
            })
    };
    let clock = shape("0000-00-00T00") || shape("0000-00-00T00:00");
    let mut behind = after.bytes().skip(1);
    let digits = behind.by_ref().take(2).filter(u8::is_ascii_digit).count();
    // More digits or a unit: the next end of the range, or its stride.
    clock
        && digits == 2
        && !behind.next().is_some_and(|byte| byte.is_ascii_alphanumeric() && byte != b'Z' || byte == b'.')
}

pub(super) fn duration(text: &str) -> Option<i64> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (text.get(..at)?, 1),
        (at, 'm') => (text.get(..at)?, 60),
        (at, 'h') => (text.get(..at)?, 3600),
        (at, 'd') => (text.get(..at)?, 86_400),
        _ => (text, 3600),
    };
    let (number, negative) = number.strip_prefix('-').map_or((number, false), |number| (number, true));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    if number.contains('.') && fraction.is_empty() {
        return None;
    }
    let mut seconds = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    if !fraction.is_empty() {
        let scale = 10_i64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = fraction.parse::<i64>().ok()?.checked_mul(unit)?;
        if part % scale != 0 {
            return None;
        }
        seconds = seconds.checked_add(part / scale)?;
    }
    Some(if negative { -seconds } else { seconds })
}

impl<T: PartialOrd> Bounds<T> {
    /// Whether both ends are there and the first is above the second.
    pub fn is_backwards(&self) -> bool {
        matches!(self, Bounds::Range { from: Some(from), to: Some(to), .. } if from > to)
    }

    fn has(&self, value: &T) -> bool {
        match self {
            Bounds::Value(only) => only == value,
            Bounds::Range { from: Some(from), to: Some(to), .. } if from > to => value <= from && value >= to,
            Bounds::Range { from, to, .. } => {
                from.as_ref().is_none_or(|from| value >= from) && to.as_ref().is_none_or(|to| value <= to)
            }
        }
    }
}

impl Bounds<i64> {
    /// Whether a value is selected. A stride counts from the first end, or from 0 when that is open.
    pub fn contains(&self, value: &i64) -> bool {
        let on_stride = match self {
            Bounds::Range { from, stride: Some(stride), .. } => value
                .checked_sub(from.unwrap_or(0))
                .and_then(|distance| distance.checked_rem(*stride))
                .is_some_and(|rest| rest == 0),
            _ => true,
        };
        on_stride && self.has(value)
    }
}

impl Bounds<f64> {
    /// Whether a value is within the ends. Longitudes need [`Bounds::contains_longitude`]. The stride is not looked at.
    pub fn contains(&self, value: f64) -> bool {
        self.has(&value)
    }

    /// Whether a longitude is selected, whatever multiple of 360 degrees it and the ends are written with. A range runs
    /// eastward from its first end, so 350:10 crosses Greenwich; one of 360 degrees or more is the whole circle.
    pub fn contains_longitude(&self, value: f64) -> bool {
        match self {
            Bounds::Value(only) => (value - only).rem_euclid(360.0) == 0.0,
            Bounds::Range { from: Some(from), to: Some(to), .. } => {
                let width = if to - from >= 360.0 { 360.0 } else { (to - from).rem_euclid(360.0) };
                (value - from).rem_euclid(360.0) <= width
            }
            Bounds::Range { .. } => self.has(&value),
        }
    }
}

impl Bounds<TimePoint> {
    /// Puts times in for the words; None when one of them is needed and not known.
    pub fn resolve(&self, latest: Option<i64>, latest_complete: Option<i64>) -> Option<Bounds<i64>> {
        let at = |point: &TimePoint| match point {
            TimePoint::At(time) => Some(*time),
            TimePoint::Latest => latest,
            TimePoint::LatestComplete => latest_complete,
        };
        let end = |point: &Option<TimePoint>| match point {
            None => Some(None),
            Some(point) => at(point).map(Some),
        };
        Some(match self {
            Bounds::Value(point) => Bounds::Value(at(point)?),
            Bounds::Range { from, to, stride } => {
                Bounds::Range { from: end(from)?, to: end(to)?, stride: end(stride)? }
            }
        })
    }
}
