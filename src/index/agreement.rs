//! Where a line contradicts the header of its message.

use super::{Keys, Product, StepKind};
use crate::grib::key::{Decimal, Derived, FieldKey, ParameterNumbers, StepType};

/// One sentence for each contradiction; what only one side says is none.
pub(super) fn contradictions(line: &Keys, message: &FieldKey) -> Vec<String> {
    let mut found = Vec::new();
    if let (Some(said), Some(is)) = (line.time, message.time)
        && said != is
    {
        found.push(format!("reference time {said} in the index, {is} in the message (seconds since 1970)"));
    }
    step(line, message, &mut found);
    member(line, message, &mut found);
    level(line, message, &mut found);
    parameter(line, message, &mut found);
    found
}

fn step(line: &Keys, message: &FieldKey, found: &mut Vec<String>) {
    if let Some(said) = line.step.filter(|said| *said != message.step) {
        found.push(format!("step {said} s in the index, {} s in the message", message.step));
    } else if let Some(said) = line.step_start {
        // A window of no length is an instant to some encoders.
        let is = message.step_start.unwrap_or(message.step);
        if said != is {
            found.push(format!("the window starts at {said} s in the index, at {is} s in the message"));
        }
    } else if let (StepKind::Instant, Some(start)) = (line.step_kind, message.step_start)
        && start != message.step
    {
        found.push(format!("an instant in the index, a window from {start} s in the message"));
    }
    let agrees = match (line.step_kind, message.step_type) {
        (StepKind::Accumulation, is) => matches!(is, StepType::Accumulation | StepType::Sum),
        (StepKind::Average, is) => is == StepType::Average,
        (StepKind::Maximum, is) => is == StepType::Maximum,
        (StepKind::Minimum, is) => is == StepType::Minimum,
        (StepKind::Instant | StepKind::Unknown, _) => true,
    };
    if !agrees {
        found.push(format!("{:?} in the index, {:?} in the message", line.step_kind, message.step_type));
    }
}

fn member(line: &Keys, message: &FieldKey, found: &mut Vec<String>) {
    match (line.number, message.number) {
        (Some(said), Some(is)) if said != is => found.push(format!("member {said} in the index, {is} in the message")),
        (Some(said), None) if said > 0 => found.push(format!("member {said} in the index, no member in the message")),
        _ => {}
    }
    // ECMWF's own products are coded in several ways; the plain ones and wgrib2's words are not.
    let agrees = match line.text.product {
        Product::Control | Product::Member => message.derived == Derived::Forecast,
        Product::Forecast => {
            line.text.param_is_short_name || matches!(message.derived, Derived::Forecast | Derived::Other(_))
        }
        _ if line.text.param_is_short_name => true,
        Product::Mean => matches!(message.derived, Derived::Ensemble(_)),
        Product::Spread => matches!(message.derived, Derived::Ensemble(_)),
        Product::Probability => matches!(message.derived, Derived::Probability { .. }),
        Product::Percentile => matches!(message.derived, Derived::Percentile(_)),
        Product::Other => true,
    };
    if !agrees {
        found.push(format!("{:?} in the index, {:?} in the message", line.text.product, message.derived));
    }
}

fn level(line: &Keys, message: &FieldKey, found: &mut Vec<String>) {
    let said = match (&*line.text.level, line.level) {
        ("pl" | "mb", Some(level)) => Said { grib2: 100, grib1: Some(100), value: Some(f64::from(level)) },
        // 105 hybrid, 118 hybrid height, 119 hybrid pressure: the kind is not told.
        ("ml", Some(level)) => Said { grib2: message.surfaces.0, grib1: None, value: Some(f64::from(level)) },
        ("sfc" | "sol", None) => {
            if message.surfaces.0 == 100 {
                found.push(format!("{} in the index, {} in the message", line.level_text(), message.type_of_level));
            }
            return;
        }
        (text, _) if !line.text.param_is_short_name => match surface(text) {
            Some(said) => said,
            None => return,
        },
        _ => return,
    };
    let code = if message.edition == 2 { Some(said.grib2) } else { said.grib1 };
    let other_surface = code.is_some_and(|code| code != message.surfaces.0);
    let other_value = match (said.value, message.level) {
        (Some(said), Some(is)) => {
            let is = number(is) * if message.type_of_level == "isobaricInPa" { 0.01 } else { 1.0 };
            // Relative: decimal fractions are not exact.
            (said - is).abs() > 1e-9 * said.abs().max(1.0)
        }
        _ => false,
    };
    if other_surface || other_value {
        let is = message.level.map(number);
        let is = is.map_or_else(String::new, |is| format!(" {is}"));
        found.push(format!("level {} in the index, {}{is} in the message", line.level_text(), message.type_of_level));
    }
}

/// What a level's words claim: code table 4.5, GRIB 1's table 3, and the value in the unit of the key's `level`.
struct Said {
    grib2: u8,
    grib1: Option<u8>,
    value: Option<f64>,
}

/// wgrib2's words for common levels; None for words not in this list.
fn surface(text: &str) -> Option<Said> {
    let fixed = match text {
        "surface" => Some(1),
        "cloud base" => Some(2),
        "cloud top" => Some(3),
        "0C isotherm" => Some(4),
        "max wind" => Some(6),
        "tropopause" => Some(7),
        "top of atmosphere" => Some(8),
        "entire atmosphere" => Some(10),
        "mean sea level" => Some(101),
        "entire atmosphere (considered as a single layer)" => Some(200),
        "low cloud layer" => Some(214),
        "middle cloud layer" => Some(224),
        "high cloud layer" => Some(234),
        "planetary boundary layer" => Some(220),
        _ => None,
    };
    if let Some(code) = fixed {
        return Some(Said { grib2: code, grib1: None, value: None });
    }
    let (value, unit) = text.split_once(' ')?;
    // The key's unit is only sure where wgrib2's is the same; layers have two values.
    let (code, comparable) = match unit {
        "mb" => (100, true),
        "m above mean sea level" => (102, false),
        "m above ground" => (103, true),
        "sigma level" | "sigma layer" => (104, false),
        "hybrid level" => (105, true),
        "m below ground" => (106, false),
        "mb above ground" => (108, false),
        _ => return None,
    };
    let value = value.parse::<f64>().ok().filter(|_| comparable);
    Some(Said { grib2: code, grib1: None, value })
}

fn number(decimal: Decimal) -> f64 {
    decimal.value as f64 / 10_f64.powi(i32::from(decimal.scale))
}

fn parameter(line: &Keys, message: &FieldKey, found: &mut Vec<String>) {
    if line.text.param_is_short_name {
        let Some(names) = message.names else { return };
        let said = &*line.text.param;
        // `10fg` and `10fg3` are one message's name at different lead times; `swvl1` and `swvl2` are two parameters.
        let without_hours = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let same = said == names.short_name
            || said == names.cf_var_name
            || (said.len() > 1 && said == without_hours(names.short_name))
            || (names.short_name.len() > 1 && without_hours(said) == names.short_name);
        if !same {
            found.push(format!("parameter {said} in the index, {} in the message", names.short_name));
        }
        return;
    }
    let ParameterNumbers::Grib2 { discipline, category, number, .. } = message.parameter else { return };
    let is = (i32::from(discipline), i32::from(category), i32::from(number));
    let said = match line.text.unknown_parameter {
        Some(unknown) => Some((unknown.discipline, unknown.category, unknown.number)),
        None => abbreviation(&line.text.param),
    };
    if let Some(said) = said.filter(|said| *said != is) {
        found.push(format!("parameter {} {said:?} in the index, {is:?} in the message", line.text.param));
    }
}

/// Discipline, category and number of NCEP abbreviations that have always meant one parameter (WMO code table 4.2).
fn abbreviation(name: &str) -> Option<(i32, i32, i32)> {
    Some(match name {
        "TMP" => (0, 0, 0),
        "TMAX" => (0, 0, 4),
        "TMIN" => (0, 0, 5),
        "DPT" => (0, 0, 6),
        "SPFH" => (0, 1, 0),
        "RH" => (0, 1, 1),
        "PWAT" => (0, 1, 3),
        "PRATE" => (0, 1, 7),
        "APCP" => (0, 1, 8),
        "NCPCP" => (0, 1, 9),
        "ACPCP" => (0, 1, 10),
        "SNOD" => (0, 1, 11),
        "WEASD" => (0, 1, 13),
        "WDIR" => (0, 2, 0),
        "WIND" => (0, 2, 1),
        "UGRD" => (0, 2, 2),
        "VGRD" => (0, 2, 3),
        "VVEL" => (0, 2, 8),
        "DZDT" => (0, 2, 9),
        "ABSV" => (0, 2, 10),
        "GUST" => (0, 2, 22),
        "PRES" => (0, 3, 0),
        "PRMSL" => (0, 3, 1),
        "HGT" => (0, 3, 5),
        "TCDC" => (0, 6, 1),
        "CAPE" => (0, 7, 6),
        "CIN" => (0, 7, 7),
        "VIS" => (0, 19, 0),
        "HTSGW" => (10, 0, 3),
        "ICEC" => (10, 2, 0),
        _ => return None,
    })
}
