//! Dates and steps as indexes write them.

use super::number;
use crate::calendar::seconds_since_1970;

/// `YYYYMMDD` or `YYYY-MM-DD`, and `HHMM`, `HMM`, `HH`, `HHMMSS`, `HH:MM` or nothing.
pub(super) fn date_and_time(date: &[u8], time: &[u8]) -> Option<i64> {
    let (year, rest) = date.split_at_checked(4)?;
    let dashed = rest.strip_prefix(b"-");
    let (month, day) = dashed.unwrap_or(rest).split_at_checked(2)?;
    let day = if dashed.is_some() { day.strip_prefix(b"-")? } else { day };
    if day.len() != 2 {
        return None;
    }
    let (hours, minutes, seconds) = match time.len() {
        0 => (0, 0, 0),
        1 | 2 => {
            let value: i64 = number(time)?;
            // The integer 30 can only be 00:30.
            if value < 24 { (value, 0, 0) } else { (0, value, 0) }
        }
        3 | 4 => {
            let value: i64 = number(time)?;
            (value / 100, value % 100, 0)
        }
        5 => {
            let (hours, minutes) = time.split_at_checked(2)?;
            (number(hours)?, number(minutes.strip_prefix(b":")?)?, 0)
        }
        6 => {
            let value: i64 = number(time)?;
            (value / 10_000, value / 100 % 100, value % 100)
        }
        _ => return None,
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    seconds_since_1970(number(year)?, number(month)?, number(day)?, hours * 3600 + minutes * 60 + seconds)
}

/// A MARS step: hours (`135`), with a unit (`15m`, `1h30m`, `90s`, `2d`) or a range (`0-24`). (start, end) in seconds.
pub(super) fn mars_step(text: &[u8]) -> Option<(Option<i64>, i64)> {
    if let Some(hours) = number::<i64>(text) {
        return Some((None, hours.checked_mul(3600)?));
    }
    let dash = text.iter().position(|byte| *byte == b'-')?;
    if dash == 0 {
        return None;
    }
    let (start, rest) = text.split_at_checked(dash)?;
    let (start, end) = (duration(start)?, duration(rest.get(1..)?)?);
    (start <= end).then_some((Some(start), end))
}

/// [`mars_step`], also without a range but with units.
pub(super) fn mars_step_or_duration(text: &[u8]) -> Option<(Option<i64>, i64)> {
    mars_step(text).or_else(|| Some((None, duration(text)?)))
}

fn duration(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    let (mut total, mut rest) = (0_i64, text);
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (value, after) = rest.split_at_checked(digits)?;
        let value: i64 = number(value)?;
        let (unit, after) = match after.split_first() {
            None => (3600, after),
            Some((b's', after)) => (1, after),
            Some((b'm', after)) => (60, after),
            Some((b'h', after)) => (3600, after),
            Some((b'd', after)) => (86_400, after),
            Some(_) => return None,
        };
        total = total.checked_add(value.checked_mul(unit)?)?;
        rest = after;
    }
    Some(total)
}
