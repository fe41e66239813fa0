//! Dates of the proleptic Gregorian calendar as seconds since 1970-01-01T00:00:00Z, without leap seconds.

use crate::grib::time::{self, CivilTime};

/// Seconds since 1970-01-01T00:00:00Z of a proleptic Gregorian date-time from the year 1; None when there is no such
/// date-time.
pub fn seconds_since_1970(year: i64, month: i64, day: i64, second_of_day: i64) -> Option<i64> {
    if year < 1 || !(0..86_400).contains(&second_of_day) {
        return None;
    }
    let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    Some(time::seconds_since_1970(year, month, day, 0, 0, 0)? + second_of_day)
}

/// `2026-11-21T00:00:00Z`; years outside 0000-9999 get more digits or a sign.
pub fn date_time_text(seconds: i64) -> String {
    let CivilTime { year, month, day, hour, minute, second } = CivilTime::from_seconds_since_1970(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_four_hundred_years_go_there_and_back() {
        assert_eq!(seconds_since_1970(1970, 1, 1, 0), Some(0));
        assert_eq!(seconds_since_1970(2000, 2, 29, 0), Some(951_782_400));
        assert_eq!(seconds_since_1970(1900, 2, 29, 0), None);
        assert_eq!(seconds_since_1970(1900, 3, 1, 0), Some(-2_203_891_200));
        assert_eq!(date_time_text(-1), "1969-12-31T23:59:59Z");
        let mut expected = seconds_since_1970(1800, 1, 1, 12).unwrap_or_default();
        for year in 1800..2200 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let Some(seconds) = seconds_since_1970(year, month, day, 12) else { continue };
                    assert_eq!(seconds, expected);
                    assert_eq!(date_time_text(seconds), format!("{year}-{month:02}-{day:02}T00:00:12Z"));
                    expected += 86_400;
                }
            }
        }
    }
}
