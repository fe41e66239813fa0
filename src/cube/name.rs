//! Where a field goes, by its own key alone: the group of its product and the name of its variable.
//!
//! The rules are part of the stored format (`storage-spec/naming.md`): the same field lands at the same path in every
//! run, whatever else is there.

use crate::grib::key::{Decimal, Derived, FieldKey, StepType};

use super::layout::Product;

/// The interval that a variable's values speak about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Window {
    /// No interval: values at the step.
    Instant,
    /// From the reference time to the step: a run total (or mean, maximum, ...).
    FromStart,
    /// The given number of seconds before the step: a bucket.
    Length(i64),
}

/// The windows that a field can stand for. A message from 0 to 6 h is the run total at step 6 and the 6-hour bucket
/// that ends there: it fills every one of these that the layout has.
pub fn windows(key: &FieldKey) -> Vec<Window> {
    match key.step_start {
        None => vec![Window::Instant],
        Some(start) if window_in_name(key, key.step - start) => vec![Window::Length(key.step - start)],
        Some(0) if key.step == 0 => vec![Window::FromStart],
        Some(0) => vec![Window::FromStart, Window::Length(key.step)],
        Some(start) => vec![Window::Length(key.step - start)],
    }
}

/// The variable's name for one of [`windows`].
///
/// `{cfVarName}[_{typeOfLevel}][_{stepType}][_{window}][_{limits}][_{extra}...]`; each part is left out where the
/// parameter's own definition says it already.
pub fn variable_name(key: &FieldKey, window: Window) -> String {
    let mut name = key.cf_var_name().into_owned();
    if key.type_of_level != home_type_of_level(key) {
        name.push('_');
        name.push_str(key.type_of_level);
        if key.type_of_level == "unknown" {
            name.push_str(&format!("{}", key.surfaces.0));
            if key.surfaces.1 != 255 {
                name.push_str(&format!("x{}", key.surfaces.1));
            }
        }
    }
    if let Some(statistic) = statistic_suffix(key) {
        name.push('_');
        name.push_str(&statistic);
    }
    if let Window::Length(seconds) = window
        && !window_in_name(key, seconds)
    {
        name.push('_');
        name.push_str(&duration(seconds));
    }
    match &key.derived {
        Derived::Probability { kind, lower, upper } => {
            // Code table 4.9 says which of the limits counts.
            let (word, limits) = match kind {
                0 => ("below".to_string(), [*lower, None]),
                1 => ("above".to_string(), [None, *upper]),
                2 => ("between".to_string(), [*lower, *upper]),
                3 => ("above".to_string(), [*lower, None]),
                4 => ("below".to_string(), [None, *upper]),
                other => (format!("probability{other}"), [*lower, *upper]),
            };
            name.push_str(&format!("_{word}"));
            for limit in limits.iter().flatten() {
                name.push_str(&limit_text(*limit));
            }
        }
        Derived::Percentile(p) => name.push_str(&format!("_p{p}")),
        _ => {}
    }
    for (extra, value) in &key.extra {
        name.push_str(&format!("_{extra}{}", value.to_string().replace('-', "m")));
    }
    name
}

/// Whether the parameter's name fixes the level (`2t`, `10u`): such a variable has no level dimension.
pub fn level_in_name(key: &FieldKey) -> bool {
    if key.type_of_level != "heightAboveGround" || key.level2.is_some() {
        return false;
    }
    let (Some(level), Some(names)) = (key.level, key.names) else { return false };
    level.scale == 0 && number_runs(names.short_name).any(|run| run == level.value)
}

/// The group of a product below `/`: empty for the layout's home product.
pub fn group_path(product: &Product, derived: &Derived, home: &Product, home_group: &str) -> String {
    let base = if product == home { home_group.to_string() } else { product.group_name() };
    let part = match derived {
        Derived::Forecast => return base,
        Derived::Ensemble(0) => "mean".to_string(),
        Derived::Ensemble(1) => "weighted_mean".to_string(),
        Derived::Ensemble(2) => "standard_deviation".to_string(),
        Derived::Ensemble(4) => "spread".to_string(),
        Derived::Ensemble(8) => "minimum".to_string(),
        Derived::Ensemble(9) => "maximum".to_string(),
        Derived::Ensemble(code) => format!("derived_forecast{code}"),
        Derived::Probability { .. } => "probability".to_string(),
        Derived::Percentile(_) => "percentile".to_string(),
        Derived::Other(template) => format!("product_template{template}"),
    };
    if base.is_empty() { part } else { format!("{base}/{part}") }
}

/// `6h`, `90m`, `10s`, `2d` is written `48h`: hours as in forecasts, minutes or seconds below.
pub fn duration(seconds: i64) -> String {
    match seconds {
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// Parameters that models publish on many levels: their plain name means pressure levels. paramId of ECMWF's table 128
/// pressure-level fields and the international ones that share them.
const UPPER_AIR: &[u32] = &[
    54, 60, 75, 76, 77, 129, 130, 131, 132, 133, 135, 138, 155, 156, 157, 203, 246, 247, 248, 3041, 3031, 3005, 10,
    260018, 260028, 260238, 260021, 260019, 260020, 133, 1, 2, 3, 4, 53, 194, 235100, 300033,
];

/// Parameters whose plain name means the value at an instant although accumulations of them are published too.
const INSTANT_AT_HOME: &[u32] = &[141, 228141, 260056, 3066, 3065];

fn home_type_of_level(key: &FieldKey) -> &'static str {
    let Some(names) = key.names else { return "isobaricInhPa" };
    if UPPER_AIR.contains(&names.param_id) {
        return "isobaricInhPa";
    }
    if level_in_name(key) {
        return "heightAboveGround";
    }
    match crate::grib::names::implied_type_of_level(names.param_id) {
        // ECMWF's GRIB 1 calls everything that is not on levels "surface": 2t, msl, tcc.
        Some(_) if key.edition == 1 && key.type_of_level == "surface" => "surface",
        Some(implied) => implied,
        // ECMWF's waves are of the mean sea level, others' of the surface.
        None if names.param_id / 1000 == 140 && key.centre == 98 => "meanSea",
        None => home_by_name(names.name),
    }
}

/// Where the definition leaves the level open, the long name often says it.
fn home_by_name(name: &str) -> &'static str {
    let lower = name.to_ascii_lowercase();
    if lower.contains("mean sea level") || lower.ends_with(" msl") {
        "meanSea"
    } else if lower.contains("soil") {
        "depthBelowLandLayer"
    } else {
        "surface"
    }
}

fn statistic_suffix(key: &FieldKey) -> Option<String> {
    let implied = key.names.and_then(|n| crate::grib::names::implied_statistic(n.param_id)).map(StepType::from_grib2);
    if implied == Some(key.step_type) {
        return None;
    }
    let suffix = match key.step_type {
        StepType::Instant => return None,
        StepType::Accumulation => {
            return key.names.is_some_and(|n| INSTANT_AT_HOME.contains(&n.param_id)).then(|| "accum".to_string());
        }
        StepType::Average => "avg",
        StepType::Maximum => "max",
        StepType::Minimum => "min",
        StepType::Difference => "diff",
        StepType::RootMeanSquare => "rms",
        StepType::StandardDeviation => "sd",
        StepType::Covariance => "cov",
        StepType::Ratio => "ratio",
        StepType::Sum => "sum",
        StepType::Other(code) => return Some(format!("statistic{code}")),
    };
    Some(suffix.to_string())
}

/// `mx2t3` at 3 hours: the last number of the short name is the window in hours.
fn window_in_name(key: &FieldKey, seconds: i64) -> bool {
    let Some(names) = key.names else { return false };
    let ends_in_digit = names.short_name.bytes().last().is_some_and(|b| b.is_ascii_digit());
    ends_in_digit && number_runs(names.short_name).last().is_some_and(|hours| hours * 3600 == seconds)
}

fn number_runs(text: &str) -> impl Iterator<Item = i64> + '_ {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|run| run.parse().ok())
}

fn limit_text(limit: Decimal) -> String {
    format!("_{limit}").replace('-', "m")
}
