//! Dates, and steps as ecCodes computes and prints them.

use std::fmt;

/// Seconds since 1970-01-01T00:00:00Z of a date of the proleptic Gregorian calendar; `None` when there is no such time.
#[must_use]
pub fn seconds_since_1970(year: i64, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 24 || minute > 59 || second > 60 || !(0..=9999).contains(&year) {
        return None;
    }
    // Days from 0000-03-01, so that the leap day ends the year.
    let shifted_year = year - i64::from(month <= 2);
    let shifted_month = (i64::from(month) + 9) % 12;
    let days = 365 * shifted_year + shifted_year.div_euclid(4) - shifted_year.div_euclid(100)
        + shifted_year.div_euclid(400)
        + (153 * shifted_month + 2) / 5
        + i64::from(day)
        - 1;
    const FROM_YEAR_0_TO_1970: i64 = 719_468;
    let seconds_of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some((days - FROM_YEAR_0_TO_1970) * 86_400 + seconds_of_day)
}

/// A time as numbers: the inverse of [`seconds_since_1970`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CivilTime {
    pub year: i64,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

impl CivilTime {
    #[must_use]
    pub fn from_seconds_since_1970(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400).saturating_add(719_468);
        let second_of_day = seconds.rem_euclid(86_400);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        CivilTime {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u8,
            hour: (second_of_day / 3600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
        }
    }
}

/// ISO 8601, as short as the time allows: `2026-11-21T00`, `2026-11-21T00:30`, `2026-11-21T00:30:05`.
impl fmt::Display for CivilTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}T{:02}", self.year, self.month, self.day, self.hour)?;
        if self.minute != 0 || self.second != 0 {
            write!(f, ":{:02}", self.minute)?;
        }
        if self.second != 0 {
            write!(f, ":{:02}", self.second)?;
        }
        Ok(())
    }
}

/// HHMM, as ecCodes writes a time: a missing hour is noon, a missing minute 0.
pub(crate) fn hours_and_minutes(hour: u8, minute: u8) -> i64 {
    let hour = if hour == 255 { 12 } else { i64::from(hour) };
    let minute = if minute == 255 { 0 } else { i64::from(minute) };
    hour * 100 + minute
}

/// Seconds in a unit of code table 4.4 (GRIB 2). Months have 30 days and years 365, as in ecCodes, whose 14 and 15 are a
/// quarter and half an hour.
pub(crate) fn grib2_unit_seconds(unit: u8) -> Option<i64> {
    Some(match unit {
        13 => 1,
        14 => 900,
        15 => 1800,
        _ => return common_unit_seconds(unit),
    })
}

/// Seconds in a unit of GRIB 1 code table 4.
pub(crate) fn grib1_unit_seconds(unit: u8) -> Option<i64> {
    Some(match unit {
        13 => 900,
        14 => 1800,
        254 => 1,
        _ => return common_unit_seconds(unit),
    })
}

fn common_unit_seconds(unit: u8) -> Option<i64> {
    const DAY: i64 = 86_400;
    Some(match unit {
        0 => 60,
        1 => 3600,
        2 => DAY,
        3 => 30 * DAY,
        4 => 365 * DAY,
        5 => 3650 * DAY,
        6 => 10_950 * DAY,
        7 => 36_500 * DAY,
        10 => 3 * 3600,
        11 => 6 * 3600,
        12 => 12 * 3600,
        _ => return None,
    })
}

/// The unit in which a step is printed (ecCodes `stepUnits`): hours if the step has whole hours, else minutes, else
/// seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepUnit {
    Second,
    Minute,
    Hour,
}

impl StepUnit {
    /// The largest unit that divides both ends of a step.
    #[must_use]
    pub fn of(start: i64, end: i64) -> Self {
        match [StepUnit::Hour, StepUnit::Minute].into_iter().find(|unit| {
            let seconds = unit.seconds();
            start % seconds == 0 && end % seconds == 0
        }) {
            Some(unit) => unit,
            None => StepUnit::Second,
        }
    }

    #[must_use]
    pub fn seconds(self) -> i64 {
        match self {
            StepUnit::Second => 1,
            StepUnit::Minute => 60,
            StepUnit::Hour => 3600,
        }
    }

    /// As ecCodes writes it.
    #[must_use]
    pub fn abbreviation(self) -> &'static str {
        match self {
            StepUnit::Second => "s",
            StepUnit::Minute => "m",
            StepUnit::Hour => "h",
        }
    }
}

/// One end of a step as ecCodes writes it: `6`, `30m`, `5s`; numbers above a million as C's `%g`.
pub(crate) fn step_text(seconds: i64, unit: StepUnit) -> String {
    let value = seconds / unit.seconds();
    let number = if value.unsigned_abs() < 1_000_000 { value.to_string() } else { general_format(value) };
    match unit {
        StepUnit::Hour => number,
        _ => number + unit.abbreviation(),
    }
}

/// A step range as ecCodes writes it, given how it writes one end.
pub(crate) fn range_text(start: i64, end: i64, text: impl Fn(i64) -> String) -> String {
    if start == end { text(end) } else { format!("{}-{}", text(start), text(end)) }
}

/// C's `%g` of an integer of more than six digits.
fn general_format(value: i64) -> String {
    let scientific = format!("{:.5e}", value as f64);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    format!("{mantissa}e+{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_of_the_calendar() {
        assert_eq!(seconds_since_1970(1970, 1, 1, 0, 0, 0), Some(0));
        assert_eq!(seconds_since_1970(2026, 11, 25, 3, 30, 1), Some(1_795_577_401));
        assert_eq!(seconds_since_1970(2000, 2, 29, 0, 0, 0), Some(951_782_400));
        assert_eq!(seconds_since_1970(1900, 2, 29, 0, 0, 0), None);
        assert_eq!(seconds_since_1970(2026, 13, 1, 0, 0, 0), None);
        assert_eq!(seconds_since_1970(2026, 1, 0, 0, 0, 0), None);
        for day in (-200_000..200_000).step_by(37) {
            let civil = CivilTime::from_seconds_since_1970(day * 86_400 + 3661);
            let CivilTime { year, month, day: of_month, hour, minute, second } = civil;
            assert_eq!(seconds_since_1970(year, month, of_month, hour, minute, second), Some(day * 86_400 + 3661));
        }
    }

    #[test]
    fn times_print_short() {
        assert_eq!(CivilTime::from_seconds_since_1970(1_795_577_400).to_string(), "2026-11-25T03:30");
        assert_eq!(CivilTime::from_seconds_since_1970(0).to_string(), "1970-01-01T00");
    }

    #[test]
    fn steps_print_as_ec_codes_does() {
        let text = |seconds| step_text(seconds, StepUnit::of(seconds, seconds));
        assert_eq!(text(6 * 3600), "6");
        assert_eq!(text(90 * 60), "90m");
        assert_eq!(text(-360), "-6m");
        assert_eq!(text(3), "3s");
        assert_eq!(text(5_184_000 * 3600), "5.184e+06");
        assert_eq!(text(-1_576_800 * 3600), "-1.5768e+06");
    }
}
