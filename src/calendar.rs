//! Dates of the proleptic Gregorian calendar as seconds since 1970-01-01T00:00:00Z, without leap seconds.

/// Seconds since 1970-01-01T00:00:00Z of a proleptic Gregorian date-time; None when there is no such date-time.
pub fn seconds_since_1970(year: i64, month: i64, day: i64, second_of_day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days_in_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=9999).contains(&year) || !(1..=days_in_month).contains(&day) || !(0..86_400).contains(&second_of_day) {
        return None;
    }
    // Years that begin in March put the leap day last; 719,468 days lie between 0000-03-01 and 1970-01-01.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era - 719_468) * 86_400 + second_of_day)
}

/// `2026-11-21T00:00:00Z`; years outside 0000-9999 get more digits or a sign.
pub fn date_time_text(seconds: i64) -> String {
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let day = day + 719_468;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + i64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
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
