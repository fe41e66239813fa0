//! The words of a cube's layout and how they are stored (`storage-spec/layout.md`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::grib::decode::{ParameterIdentity, read_digest, write_digest};
use crate::grib::grid::Grid;
use crate::grib::key::{Decimal, Derived, FieldKey, GridDigest, StepType};

use crate::selection::Selection;

use super::name::Window;

/// The version of the layout in group attributes. Readers refuse a larger one.
pub const LAYOUT_VERSION: u32 = 1;

/// Who made the fields and on which grid: fields that differ in these never share a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// WMO common code table C-11 (ecCodes `centre` as a number).
    pub centre: u16,
    /// MARS keys of the message's local section, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// MARS `stream`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// MARS `expver`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expver: Option<String>,
    /// The digest of the grid section; in JSON, as in the codec's configuration, 32 hexadecimal digits.
    #[serde(serialize_with = "write_digest", deserialize_with = "read_digest")]
    pub grid: GridDigest,
}

impl Product {
    /// The product of a field.
    pub fn of(key: &FieldKey) -> Self {
        let mars = key.mars.as_ref();
        Self {
            centre: key.centre,
            class: mars.map(|m| m.class.to_string()),
            stream: mars.map(|m| m.stream.to_string()),
            expver: mars.map(|m| String::from_utf8_lossy(&m.expver).into_owned()),
            grid: key.grid,
        }
    }

    /// `ecmf-od-enfo-0001_1a2b3c4d`: centre, MARS keys where there are any, and the start of the grid's digest.
    pub fn group_name(&self) -> String {
        let mut name = crate::grib::names::centre(self.centre)
            .map_or_else(|| format!("centre{}", self.centre), |abbreviation| abbreviation.to_string());
        for part in [&self.class, &self.stream, &self.expver].into_iter().flatten() {
            name.push('-');
            name.extend(part.chars().filter(char::is_ascii_alphanumeric));
        }
        let digest = self.grid.to_string();
        format!("{name}_{}", digest.get(..8).unwrap_or(&digest))
    }
}

/// A level, or the two sides of a layer, in the unit of its type of level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Level {
    /// The level, or the upper side of a layer.
    pub level: Decimal,
    /// The lower side of a layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level2: Option<Decimal>,
}

impl Level {
    /// The level of a field; `None` when its type of level has no value.
    pub fn of(key: &FieldKey) -> Option<Self> {
        key.level.map(|level| Self { level, level2: key.level2 })
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.level2 {
            Some(level2) => write!(f, "{}-{level2}", self.level),
            None => write!(f, "{}", self.level),
        }
    }
}

/// How a variable's level is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LevelChoice {
    /// The level type has no value (surface, mean sea level, ...).
    None,
    /// One level: a scalar coordinate.
    One(Level),
    /// A dimension named after the type of level.
    Dimension,
}

/// Which fields are a variable's: everything of a field key that its dimensions do not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// What is measured.
    pub parameter: ParameterIdentity,
    /// ecCodes `typeOfLevel`.
    pub type_of_level: String,
    /// Code table 4.5 numbers: these tell level types apart that have no name.
    pub surfaces: (u8, u8),
    /// How the level of the variable's fields is chosen.
    pub level: LevelChoice,
    /// How values are made from the interval.
    pub step_type: StepType,
    /// The interval that they speak about.
    pub window: Window,
    /// Forecast, ensemble mean, probability, ...
    pub derived: Derived,
    /// Other ecCodes keys that tell fields apart, with their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, i64>,
}

/// One variable of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Which fields are the variable's.
    pub selector: Selector,
    /// Whether the array has a `number` dimension.
    pub number: bool,
    /// Steps in seconds at which the product has no such field (`tp` at step 0).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps_not_expected: Vec<i64>,
    /// Levels of the dimension on which the product has no such field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels_not_expected: Vec<Level>,
    /// The first reference time that has such fields, for a variable that was added to a cube.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_since: Option<i64>,
    /// The array has standard Zarr codecs: it takes no virtual chunks any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub finalised: bool,
    /// The names as they were when the layout was made: for attributes and reports.
    pub short_name: String,
    /// CF `standard_name`; empty when there is none.
    pub cf_name: String,
    /// ecCodes `name`.
    pub name: String,
    /// ecCodes `units`.
    pub units: String,
    /// ecCodes `paramId`; 0 when there is none.
    pub param_id: u32,
}

/// The steps of the cycles that start at some hours of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CycleSteps {
    /// Hours of the day, UTC.
    pub hours: Vec<u8>,
    /// Seconds after the reference time, ascending.
    pub steps: Vec<i64>,
}

/// A group: one product, its dimensions and variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The product of all its fields.
    pub product: Product,
    /// Reference times, seconds since 1970, in the order in which they were allocated.
    pub times: Vec<i64>,
    /// Seconds after the reference time; ascending, but for steps that were added later.
    pub steps: Vec<i64>,
    /// Which of the steps a cycle has, by its hour; every cycle has all where there is none.
    pub cycles: Vec<CycleSteps>,
    /// ecCodes `number`, ascending; 0 is the control.
    pub members: Vec<u32>,
    /// The dimension of each type of level that has one.
    pub levels: BTreeMap<String, Vec<Level>>,
    /// The variables by name.
    pub variables: BTreeMap<String, Variable>,
    /// ecCodes `gridType`.
    pub grid_type: String,
    /// The array's spatial shape: `[ny, nx]` or `[points]`.
    pub grid_shape: Vec<u64>,
    /// Names of the spatial dimensions.
    pub grid_dimensions: Vec<String>,
    /// The grid itself while a layout is being made; a layout that was read from a repository has none.
    pub grid: Option<Grid>,
}

/// Everything: groups by path (no leading slash; the root is "").
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// The product whose variables are in the home group; `None` without a cube.
    pub home: Option<Product>,
    /// Path of the home product's group; empty: the root.
    pub home_group: String,
    /// The selection that the cube was made with: other fields are left out without a complaint.
    pub select: Option<String>,
    /// MARS stream and type (`oper/fc`) of deterministic fields that fill member 0.
    pub control: Option<String>,
    /// The groups that hold a product, by path.
    pub groups: BTreeMap<String, Group>,
}

impl Layout {
    /// The selection that the cube was made with (`init --select`), read; fields outside of it are left out.
    pub fn selection(&self) -> Option<Selection> {
        self.select.as_deref().and_then(|text| Selection::parse(text).ok())
    }
}

/// What is stored under the key `gribchunk` of a group's attributes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredGroup {
    /// [`LAYOUT_VERSION`] of the writer.
    pub version: u32,
    /// The product of all its fields.
    pub product: Product,
    /// ecCodes `gridType`.
    pub grid_type: String,
    /// The variables by name.
    pub variables: BTreeMap<String, Variable>,
    /// Levels as exact decimals; the coordinate arrays hold the same as float64.
    #[serde(default)]
    pub levels: BTreeMap<String, Vec<Level>>,
    /// [`Group::cycles`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cycles: Vec<CycleSteps>,
}

/// What is stored under the key `gribchunk` of the root group's attributes, beside its own [`StoredGroup`] if it has one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredRoot {
    /// [`LAYOUT_VERSION`] of the writer.
    pub version: u32,
    /// [`Layout::home`].
    pub home: Product,
    /// Path of the home product's group; empty: the root.
    pub home_group: String,
    /// [`Layout::select`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// [`Layout::control`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// Paths of all groups that hold a product.
    pub groups: Vec<String>,
}

impl Group {
    /// Names of an array's dimensions, in order.
    pub fn dimensions(&self, variable: &Variable) -> Vec<String> {
        let mut dimensions = vec!["time".to_string(), "step".to_string()];
        if variable.number {
            dimensions.push("number".to_string());
        }
        if variable.selector.level == LevelChoice::Dimension {
            dimensions.push(variable.selector.type_of_level.clone());
        }
        dimensions.extend(self.grid_dimensions.iter().cloned());
        dimensions
    }

    /// The lengths of the dimensions that are not spatial.
    pub fn slot_shape(&self, variable: &Variable) -> Vec<u64> {
        let mut shape = vec![self.times.len() as u64, self.steps.len() as u64];
        if variable.number {
            shape.push(self.members.len() as u64);
        }
        if variable.selector.level == LevelChoice::Dimension {
            shape.push(self.level_dimension(variable).len() as u64);
        }
        shape
    }

    /// The levels of a variable's level dimension; empty without one.
    pub fn level_dimension(&self, variable: &Variable) -> &[Level] {
        if variable.selector.level != LevelChoice::Dimension {
            return &[];
        }
        self.levels.get(&variable.selector.type_of_level).map_or(&[], Vec::as_slice)
    }

    /// Whether a run fills this slot; indices over the non-spatial dimensions.
    pub fn is_expected(&self, variable: &Variable, slot: &[u32]) -> bool {
        let at = |values: &[i64], axis: usize| slot.get(axis).and_then(|&i| values.get(i as usize)).copied();
        let (Some(time), Some(step)) = (at(&self.times, 0), at(&self.steps, 1)) else { return false };
        if !self.has_step(variable, time, step) {
            return false;
        }
        if variable.levels_not_expected.is_empty() {
            return true;
        }
        let level =
            slot.get(2 + usize::from(variable.number)).and_then(|&i| self.level_dimension(variable).get(i as usize));
        level.is_none_or(|level| !variable.levels_not_expected.contains(level))
    }

    /// Whether the cycle of a reference time has a variable's fields at a step.
    fn has_step(&self, variable: &Variable, time: i64, step: i64) -> bool {
        let hour = time.rem_euclid(86_400) / 3600;
        let cycle = self.cycles.iter().find(|cycle| cycle.hours.iter().any(|&h| i64::from(h) == hour));
        variable.expected_since.is_none_or(|since| time >= since)
            && cycle.is_none_or(|cycle| cycle.steps.binary_search(&step).is_ok())
            && !variable.steps_not_expected.contains(&step)
    }

    /// How many slots of a variable the runs of all times fill.
    pub fn expected_slots(&self, variable: &Variable) -> u64 {
        let members = if variable.number { self.members.len() as u64 } else { 1 };
        let levels = match variable.selector.level {
            LevelChoice::Dimension => {
                let all = self.level_dimension(variable);
                all.iter().filter(|l| !variable.levels_not_expected.contains(l)).count() as u64
            }
            _ => 1,
        };
        let steps = |time: i64| self.steps.iter().filter(|&&step| self.has_step(variable, time, step)).count() as u64;
        self.times.iter().map(|&time| steps(time)).sum::<u64>() * members * levels
    }
}
