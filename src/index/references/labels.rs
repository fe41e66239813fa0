//! What a list says about its fields, beside their places: compared with the messages, never trusted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::collect::split_key;
use crate::grib::key::FieldKey;

/// Longer coordinates are not compared.
const LONGEST: usize = 1 << 17;

/// What a list says about an array.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ArrayLabels {
    /// Names of the array's dimensions.
    pub dimensions: Vec<String>,
    /// ecCodes `paramId`.
    pub param_id: Option<u64>,
    /// `time`, `step`, `valid_time`, `number` and the level, as far as the list holds them.
    pub coordinates: BTreeMap<String, Arc<Coordinate>>,
}

/// Values of a coordinate: times and steps in seconds, levels in their own unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Coordinate {
    pub dimensions: Vec<String>,
    pub values: Vec<f64>,
}

impl Coordinate {
    pub(super) fn read(bytes: &[u8], type_name: &str, units: &str, dimensions: Vec<String>) -> Option<Self> {
        let width = type_name.get(2..)?.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()?;
        if !matches!(width, 1 | 2 | 4 | 8) || bytes.len() > LONGEST * 8 || !bytes.len().is_multiple_of(width) {
            return None;
        }
        let big = type_name.starts_with('>');
        let kind = type_name.chars().nth(1)?;
        let value = |raw: &[u8]| -> Option<f64> {
            let mut wide = [0; 8];
            let part = wide.get_mut(..width)?;
            part.copy_from_slice(raw);
            if big {
                part.reverse();
            }
            let unused = 64 - 8 * width as u32;
            let unsigned = u64::from_le_bytes(wide);
            let signed = (unsigned << unused) as i64 >> unused;
            Some(match (kind, width) {
                ('f', 8) => f64::from_bits(unsigned),
                ('f', 4) => f64::from(f32::from_bits(unsigned as u32)),
                ('i' | 'm' | 'M', _) => signed as f64,
                ('u', _) => unsigned as f64,
                _ => return None,
            })
        };
        let mut values = bytes.chunks_exact(width).map(value).collect::<Option<Vec<f64>>>()?;
        let (unit, since) = units.split_once(" since ").map_or((units, None), |(unit, since)| (unit, Some(since)));
        let epoch = match since {
            None => 0,
            Some(text) => epoch(text)?,
        };
        let scale = match unit.trim().to_lowercase().as_str() {
            "nanoseconds" => 1e-9,
            "seconds" | "second" | "s" => 1.0,
            "minutes" | "minute" => 60.0,
            "hours" | "hour" | "h" => 3600.0,
            "days" | "day" => 86_400.0,
            _ if type_name.contains("[ns]") => 1e-9,
            _ if type_name.contains("[s]") => 1.0,
            _ => 0.0,
        };
        if scale > 0.0 {
            values.iter_mut().for_each(|value| *value = *value * scale + epoch as f64);
        }
        Some(Self { dimensions, values })
    }

    /// The value for a chunk, when the coordinate has one for it.
    fn at(&self, dimensions: &[String], index: &[u64]) -> Option<f64> {
        if let [only] = self.values.as_slice() {
            return Some(*only);
        }
        let [dimension] = self.dimensions.as_slice() else { return None };
        let position = dimensions.iter().position(|d| d == dimension)?;
        self.values.get(usize::try_from(*index.get(position)?).ok()?).copied()
    }
}

/// `1970-01-01T00:00:00` and shorter ones, in seconds since 1970.
fn epoch(text: &str) -> Option<i64> {
    let mut digits = text.split(|c: char| !c.is_ascii_digit()).filter(|p| !p.is_empty()).map(|p| p.parse::<u32>().ok());
    let mut next = |default: Option<u32>| digits.next().flatten().or(default);
    let (year, month, day) = (next(None)?, next(Some(1))?, next(Some(1))?);
    let (hour, minute, second) = (next(Some(0))?, next(Some(0))?, next(Some(0))?);
    let date = chrono::NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some(date.and_hms_opt(hour, minute, second)?.and_utc().timestamp())
}

/// What one key claims about its field. Times and steps in seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// Reference time, since 1970.
    pub time: Option<i64>,
    /// Lead time.
    pub step: Option<i64>,
    /// Since 1970.
    pub valid_time: Option<i64>,
    /// Member.
    pub number: Option<i64>,
    /// In the units of the message's type of level.
    pub level: Option<f64>,
    /// ecCodes short name.
    pub short_name: Option<String>,
    /// ecCodes `paramId`.
    pub param_id: Option<u64>,
    /// The key is of the form `step_003/t/pl/ens01`, which has no place for a level.
    pub level_is_lost: bool,
}

impl Labels {
    /// What a list says about the field of a key; `type_of_level` is that of the message.
    pub fn of(arrays: &BTreeMap<String, ArrayLabels>, key: &str, type_of_level: &str) -> Self {
        let (array, index) = split_key(key);
        if let Some(labels) = Self::of_step_key(key) {
            return labels;
        }
        let Some(array) = arrays.get(array) else { return Self::default() };
        let index: Vec<u64> = index.split(['.', '/']).filter_map(|part| part.parse().ok()).collect();
        let value = |name: &str| array.coordinates.get(name)?.at(&array.dimensions, &index).filter(|v| v.is_finite());
        let seconds = |name: &str| value(name).map(|v| v.round() as i64);
        Self {
            time: seconds("time"),
            step: seconds("step"),
            valid_time: seconds("valid_time"),
            number: seconds("number"),
            level: value(type_of_level),
            short_name: None,
            param_id: array.param_id,
            level_is_lost: false,
        }
    }

    /// `step_003/t/pl/ens01/0.0.0`: step in hours, short name, level type, member.
    fn of_step_key(key: &str) -> Option<Self> {
        let mut parts = key.split('/');
        let hours: i64 = parts.next()?.strip_prefix("step_")?.parse().ok()?;
        let (short_name, level_type, member) = (parts.next()?, parts.next()?, parts.next()?);
        let digits: String = member.chars().filter(char::is_ascii_digit).collect();
        let number = if member.contains("control") { Some(0) } else { digits.parse().ok() };
        Some(Self {
            step: hours.checked_mul(3600),
            short_name: Some(short_name.to_string()),
            number,
            level_is_lost: matches!(level_type, "pl" | "sol" | "ml" | "pv"),
            ..Self::default()
        })
    }

    /// One kind and one sentence for each contradiction with the message.
    pub fn disagreements(&self, message: &FieldKey) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if let (Some(said), Some(is)) = (self.time, message.time)
            && said != is
        {
            let (said, is) = (crate::time::format(said), crate::time::format(is));
            found.push(("stale time", format!("reference time {said} in the list, {is} in the message")));
        }
        if let Some(said) = self.step.filter(|said| *said != message.step) {
            let (said, is) = (said as f64 / 3600.0, message.step_hours());
            found.push(("step", format!("step {said} h in the list, {is} h in the message")));
        }
        if let (None, Some(said), Some(time)) = (self.time, self.valid_time, message.time)
            && time.checked_add(message.step) != Some(said)
        {
            let said = crate::time::format(said);
            found.push(("stale time", format!("valid time {said} in the list, not so in the message")));
        }
        let number = i64::from(message.number.unwrap_or(0));
        if let Some(said) = self.number.filter(|said| *said != number) {
            found.push(("member", format!("member {said} in the list, {number} in the message")));
        }
        let level = message.level_f64();
        if let Some(said) = self.level.filter(|said| (said - level).abs() > 1e-6 * said.abs().max(1.0)) {
            found.push(("level", format!("level {said} in the list, {level} in the message")));
        }
        self.parameter(message, &mut found);
        found
    }

    fn parameter(&self, message: &FieldKey, found: &mut Vec<(&'static str, String)>) {
        let Some(names) = message.names else { return };
        if let Some(said) = self.param_id.filter(|said| *said != u64::from(names.param_id)) {
            let is = (names.param_id, names.short_name);
            found.push(("parameter", format!("paramId {said} in the list, {} ({}) in the message", is.0, is.1)));
        }
        // `10fg` is called `10fg3` at some steps.
        let bare = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        if let Some(said) = &self.short_name
            && ![names.short_name, names.cf_var_name].iter().any(|is| bare(is) == bare(said))
        {
            found.push(("parameter", format!("{said} in the list, {} in the message", names.short_name)));
        }
    }
}

/// The run hours that a path of ECMWF's open data gives twice: `.../20260106/06z/.../20260106060000-0h-enfo-ef`.
/// Returns the folder's and the file name's, when both are there.
pub fn run_hour_in(url: &str) -> Option<(u8, u8)> {
    let name = url.rsplit('/').next()?;
    let stamp = name.split_once('-')?.0;
    if stamp.len() != 14 || !stamp.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let of_name = stamp.get(8..10)?.parse().ok()?;
    let folder = url.split('/').rev().skip(1).find_map(|part| {
        let hour = part.strip_suffix('z')?;
        (hour.len() == 2).then(|| hour.parse::<u8>().ok()).flatten()
    })?;
    Some((folder, of_name))
}
