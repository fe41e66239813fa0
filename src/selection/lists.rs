//! Lists of steps, members and times for the command line: `0:144:3,150:360:6`.

use super::scalar::Scalar;
use super::{SelectionError, TimePoint, error, pieces, split_range};

/// More values than any product has; keeps a slip of the pen from filling the memory.
const LIMIT: usize = 100_000;

/// `0:144:3,150:360:6` (or with `/`) as seconds, ascending, each once. Plain numbers are hours, and so is a stride that
/// is left out: `0:48` is every hour.
pub fn parse_steps(text: &str) -> Result<Vec<i64>, SelectionError> {
    list(text, Some(3600), Scalar::seconds, Scalar::seconds)
}

/// `0:50` or `0,1,5:10`, ascending, each once.
pub fn parse_members(text: &str) -> Result<Vec<u32>, SelectionError> {
    let member = |scalar: &Scalar| {
        let number = scalar.number()?;
        if u32::try_from(number).is_err() {
            let remedy = "members are numbered from 0, the control";
            return Err(error(scalar.position(), format!("{number} is not a member"), remedy));
        }
        Ok(number)
    };
    Ok(list(text, Some(1), member, Scalar::number)?
        .into_iter()
        .filter_map(|number| u32::try_from(number).ok())
        .collect())
}

/// `2026112100,2026112106` or `2026112100:2026113018:6`, as seconds since 1970-01-01T00:00:00Z, ascending, each once. The stride
/// of a range is in hours and must be given.
pub fn parse_times(text: &str) -> Result<Vec<i64>, SelectionError> {
    let time = |scalar: &Scalar| match scalar.time()? {
        TimePoint::At(time) => Ok(time),
        _ => {
            let remedy = "latest is only known of data that have arrived: write YYYYMMDDHH";
            Err(error(scalar.position(), format!("{} in a list of times", scalar.text()), remedy))
        }
    };
    list(text, None, time, Scalar::seconds)
}

fn list(
    text: &str,
    usual_stride: Option<i64>,
    end: impl Fn(&Scalar) -> Result<i64, SelectionError>,
    step: impl Fn(&Scalar) -> Result<i64, SelectionError>,
) -> Result<Vec<i64>, SelectionError> {
    let mut values = Vec::new();
    let parts = pieces(text, 0, ',').flat_map(|(position, part)| {
        // `pieces` trims and gives the position of what it kept.
        pieces(part, position, '/').collect::<Vec<_>>()
    });
    for (position, part) in parts {
        if part.is_empty() {
            return Err(error(position, "an empty value".into(), "separate values by single commas"));
        }
        let scalars: Vec<Scalar> =
            split_range(part, position).into_iter().map(|(position, text)| Scalar::new(text, position)).collect();
        match scalars.as_slice() {
            [value] => values.push(end(value)?),
            [from, to] => {
                let Some(stride) = usual_stride else {
                    let remedy = "write from:to:stride with the stride in hours, as in 2026112100:2026112218:6";
                    return Err(error(position, format!("{part:?} has no stride"), remedy));
                };
                extend(&mut values, position, (end(from)?, end(to)?, stride))?;
            }
            [from, to, stride] => extend(&mut values, position, (end(from)?, end(to)?, step(stride)?))?,
            _ => return Err(error(position, format!("{part:?} has too many colons"), "write from:to:stride")),
        }
        if values.len() > LIMIT {
            return Err(error(position, format!("more than {LIMIT} values"), "use a longer stride or a shorter range"));
        }
    }
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

fn extend(values: &mut Vec<i64>, position: usize, (from, to, stride): (i64, i64, i64)) -> Result<(), SelectionError> {
    if from > to {
        return Err(error(position, "a range that runs backwards".into(), "put the smaller end first"));
    }
    if stride <= 0 {
        return Err(error(position, "a stride that is not above 0".into(), "leave the stride out"));
    }
    let mut value = Some(from);
    while let Some(next) = value.filter(|value| *value <= to) {
        if values.len() > LIMIT {
            return Err(error(position, format!("more than {LIMIT} values"), "use a longer stride or a shorter range"));
        }
        values.push(next);
        value = next.checked_add(stride);
    }
    Ok(())
}
