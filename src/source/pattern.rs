//! Patterns: names with `{time:%Y%m%d}`, `{step}` (hours, `{step:03d}` with zeros in front) and `{member}`.

use crate::error::{Error, Result};

/// More names than this are a mistake.
const MOST_NAMES: usize = 1_000_000;

/// What the placeholders of a pattern stand for. Without values a placeholder matches whatever is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct PatternValues {
    /// Reference times, seconds since 1970.
    pub times: Option<Vec<i64>>,
    /// Steps in seconds.
    pub steps: Option<Vec<i64>>,
    /// Member numbers.
    pub members: Option<Vec<u32>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// strftime.
    Time(String),
    Step {
        width: usize,
    },
    Member {
        width: usize,
    },
}

/// Whether a source is a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    ["{time", "{step", "{member", "{number"].iter().any(|start| text.contains(start))
}

/// All names of a pattern, sorted by time, step and member; with `*` for placeholders without values.
pub(super) fn expand(pattern: &str, values: &PatternValues) -> Result<Vec<String>> {
    let parts = parse(pattern)?;
    let bad = |remedy: String| Error::invalid(format!("the pattern {pattern}"), remedy);
    let has = |wanted: fn(&Part) -> bool| parts.iter().any(wanted);
    let times = choices(has(|p| matches!(p, Part::Time(_))), values.times.as_deref());
    let steps = choices(has(|p| matches!(p, Part::Step { .. })), values.steps.as_deref());
    let members = choices(has(|p| matches!(p, Part::Member { .. })), values.members.as_deref());
    let names = times.len().checked_mul(steps.len()).and_then(|n| n.checked_mul(members.len()));
    if names.is_none_or(|names| names > MOST_NAMES) {
        return Err(bad(format!("it stands for more than {MOST_NAMES} names; give fewer times")));
    }
    let mut all = Vec::new();
    for time in &times {
        for step in &steps {
            for member in &members {
                let mut name = String::new();
                for part in &parts {
                    write(&mut name, part, *time, *step, *member).map_err(bad)?;
                }
                all.push(name);
            }
        }
    }
    Ok(all)
}

fn choices<T: Copy>(used: bool, values: Option<&[T]>) -> Vec<Option<T>> {
    match values {
        Some(values) if used => values.iter().copied().map(Some).collect(),
        _ => vec![None],
    }
}

fn write(
    name: &mut String,
    part: &Part,
    time: Option<i64>,
    step: Option<i64>,
    member: Option<u32>,
) -> std::result::Result<(), String> {
    use std::fmt::Write;
    let written = match (part, time, step, member) {
        (Part::Text(text), ..) => write!(name, "{text}"),
        (Part::Time(format), Some(time), ..) => {
            let time = chrono::DateTime::from_timestamp(time, 0).ok_or("a time is outside of all calendars")?;
            write!(name, "{}", time.format(format))
        }
        (Part::Step { width }, _, Some(step), _) => {
            if step % 3600 != 0 {
                return Err(format!("the step of {step} s is not a number of hours"));
            }
            write!(name, "{:0width$}", step / 3600)
        }
        (Part::Member { width }, _, _, Some(member)) => write!(name, "{member:0width$}"),
        _ => write!(name, "*"),
    };
    written.map_err(|_| "its time format cannot be understood; use %Y %m %d %H %M %j".to_string())
}

fn parse(pattern: &str) -> Result<Vec<Part>> {
    let bad = |remedy: String| Error::invalid(format!("the pattern {pattern}"), remedy);
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some((text, after)) = rest.split_once('{') {
        parts.push(Part::Text(text.to_string()));
        let (inside, after) = after.split_once('}').ok_or_else(|| bad("a { has no }".into()))?;
        let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
        let width = || match format {
            "" | "d" => Ok(0),
            format => format
                .strip_suffix('d')
                .unwrap_or(format)
                .parse::<usize>()
                .ok()
                .filter(|w| *w <= 20)
                .ok_or_else(|| bad(format!("{{{inside}}}: write {{{name}}} or {{{name}:03d}}"))),
        };
        parts.push(match name {
            "time" => Part::Time(if format.is_empty() { "%Y%m%d%H".into() } else { format.to_string() }),
            "step" => Part::Step { width: width()? },
            "member" | "number" => Part::Member { width: width()? },
            _ => return Err(bad(format!("{{{inside}}} is not {{time:...}}, {{step}} or {{member}}"))),
        });
        rest = after;
    }
    parts.push(Part::Text(rest.to_string()));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_ecmwf_s_open_data() {
        let pattern =
            "s3://ecmwf-forecasts/{time:%Y%m%d}/{time:%H}z/ifs/0p25/enfo/{time:%Y%m%d%H}0000-{step}h-enfo-ef.grib2";
        let values = PatternValues {
            times: Some(vec![1_795_240_800]),
            steps: Some(vec![0, 3 * 3600, 144 * 3600]),
            members: None,
        };
        let names = expand(pattern, &values).unwrap();
        assert_eq!(
            names,
            [0, 3, 144].map(|step| format!(
                "s3://ecmwf-forecasts/20261121/06z/ifs/0p25/enfo/20261121060000-{step}h-enfo-ef.grib2"
            ))
        );
    }

    #[test]
    fn zeros_in_front_and_wildcards() {
        let values = PatternValues { members: Some(vec![0, 12]), ..Default::default() };
        assert_eq!(expand("x/gep{member:02d}.f{step:03d}", &values).unwrap(), ["x/gep00.f*", "x/gep12.f*"]);
        let values = PatternValues { steps: Some(vec![6 * 3600]), ..Default::default() };
        assert_eq!(expand("f{step:03d}", &values).unwrap(), ["f006"]);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let values =
            PatternValues { times: Some(vec![0]), steps: Some(vec![900]), members: Some((0..2_000_000).collect()) };
        for pattern in ["{time:%Q}", "{step}", "{member}", "{step", "{time}{other}", "{step:xyz}"] {
            assert!(expand(pattern, &values).is_err(), "{pattern}");
        }
        assert!(!is_pattern("a{b}c"));
    }
}
