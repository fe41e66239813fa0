//! Times as seconds since 1970-01-01T00:00:00Z.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};

/// `2026-11-21T06:00Z`, with seconds where they are not 0.
pub fn format(seconds: i64) -> String {
    match DateTime::<Utc>::from_timestamp(seconds, 0) {
        Some(time) if seconds % 60 == 0 => time.format("%Y-%m-%dT%H:%MZ").to_string(),
        Some(time) => time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        None => format!("{seconds} s"),
    }
}

/// `2026112106`, the compact form of the command's arguments.
pub fn compact(seconds: i64) -> String {
    match DateTime::<Utc>::from_timestamp(seconds, 0) {
        Some(time) if seconds % 3600 == 0 => time.format("%Y%m%d%H").to_string(),
        Some(time) => time.format("%Y%m%d%H%M").to_string(),
        None => seconds.to_string(),
    }
}

/// ecCodes' `dataDate` and `dataTime`.
pub fn date_and_time(seconds: i64) -> Option<(i64, i64)> {
    let time = DateTime::<Utc>::from_timestamp(seconds, 0)?;
    let date = i64::from(time.year()) * 10000 + i64::from(time.month()) * 100 + i64::from(time.day());
    let text = time.format("%H%M").to_string();
    Some((date, text.parse().ok()?))
}

/// Reads `2026112106`, `20261121`, `202611210630`, `2026-11-21T06:30[:00][Z]` or `2026-11-21`.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let seconds = |time: NaiveDateTime| time.and_utc().timestamp();
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let date = NaiveDate::parse_from_str(text.get(..8)?, "%Y%m%d").ok()?;
        let (hour, minute) = match text.len() {
            8 => (0, 0),
            10 => (text.get(8..10)?.parse().ok()?, 0),
            12 => (text.get(8..10)?.parse().ok()?, text.get(10..12)?.parse().ok()?),
            _ => return None,
        };
        return date.and_hms_opt(hour, minute, 0).map(seconds);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp());
    }
    let plain = text.strip_suffix('Z').unwrap_or(text);
    for format in ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(plain, format) {
            return Some(seconds(time));
        }
    }
    if let Some((date, hour)) = plain.split_once('T')
        && let (Ok(date), Ok(hour)) = (NaiveDate::parse_from_str(date, "%Y-%m-%d"), hour.parse())
    {
        return date.and_hms_opt(hour, 0, 0).map(seconds);
    }
    NaiveDate::parse_from_str(plain, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0).map(seconds)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_form_is_read_and_written() {
        let expected = 1_795_240_800;
        for text in ["2026112106", "202611210600", "2026-11-21T06", "2026-11-21T06:00Z", "2026-11-21T07:00:00+01:00"] {
            assert_eq!(super::parse(text), Some(expected), "{text}");
        }
        assert_eq!(super::format(expected), "2026-11-21T06:00Z");
        assert_eq!(super::compact(expected), "2026112106");
        assert_eq!(super::date_and_time(expected), Some((20261121, 600)));
        assert_eq!(super::parse("yesterday"), None);
    }
}
