//! A layout from samples.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::grib::decode::ParameterIdentity;
use crate::grib::grid::{Grid, GridShape};
use crate::grib::key::FieldKey;
use crate::selection::Selection;

use super::layout::{CycleSteps, Group, Layout, Level, LevelChoice, Product, Selector, Variable};
use super::name::{self, Window};
use super::select;

/// A field that a layout is made from.
#[derive(Debug, Clone)]
pub struct SampleField {
    /// What the field is.
    pub key: FieldKey,
    /// Where its points are.
    pub grid: std::sync::Arc<Grid>,
    /// Where it was seen, for messages.
    pub location: String,
}

/// What the user wants other than what the samples show. Every `None` means "as in the samples".
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct LayoutOptions {
    /// Reference times, seconds since 1970.
    pub times: Option<Vec<i64>>,
    /// Steps in seconds.
    pub steps: Option<Vec<i64>>,
    /// The steps of cycles that start at certain hours.
    pub cycles: Vec<CycleSteps>,
    /// Ensemble members; 0 is the control.
    pub members: Option<Vec<u32>>,
    /// MARS stream and type (`oper/fc`) of deterministic fields that are the control, member 0.
    pub control: Option<String>,
    /// Only fields of this selection become part of the cube.
    pub select: Option<Selection>,
    /// The group of the home product; the root group otherwise.
    pub group: Option<String>,
    /// The home product, when it is not that of the first sample: a cube that grows keeps its own.
    pub home: Option<Product>,
    /// Types of level that get a dimension even with one level.
    pub level_dimensions: Vec<String>,
}

impl LayoutOptions {
    /// Sets [`times`](Self::times).
    pub fn times(mut self, times: Vec<i64>) -> Self {
        self.times = Some(times);
        self
    }

    /// Sets [`steps`](Self::steps).
    pub fn steps(mut self, seconds: Vec<i64>) -> Self {
        self.steps = Some(seconds);
        self
    }

    /// Sets [`members`](Self::members).
    pub fn members(mut self, members: Vec<u32>) -> Self {
        self.members = Some(members);
        self
    }

    /// Sets [`select`](Self::select).
    pub fn select(mut self, selection: Selection) -> Self {
        self.select = Some(selection);
        self
    }

    /// Sets [`group`](Self::group).
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.group = Some(name.into());
        self
    }
}

/// Makes a layout. The first sample's product (centre, MARS origin and grid) is the home product, whose variables go into
/// the root group; others go into groups named after them.
pub fn build(samples: &[SampleField], options: &LayoutOptions) -> Result<Layout> {
    let chosen: Vec<&SampleField> =
        samples.iter().filter(|s| options.select.as_ref().is_none_or(|select| selects(select, &s.key))).collect();
    let Some(first) = chosen.first() else {
        return Err(Error::invalid(
            "no field to make a cube of",
            "give GRIB files or index sidecars with the fields, or widen --select",
        ));
    };
    let home = options.home.clone().unwrap_or_else(|| Product::of(&first.key));
    let home_group = options.group.clone().unwrap_or_default();
    check_group_name(&home_group)?;

    let mut parts: BTreeMap<String, Vec<&SampleField>> = BTreeMap::new();
    for sample in chosen {
        let path = name::group_path(&Product::of(&sample.key), &sample.key.derived, &home, &home_group);
        parts.entry(path).or_default().push(sample);
    }
    let select = options.select.as_ref().map(ToString::to_string);
    let control = options.control.clone();
    let mut layout = Layout { home: Some(home), home_group, select, control, groups: BTreeMap::new() };
    for (path, fields) in parts {
        let group = build_group(&path, &fields, options)?;
        layout.groups.insert(path, group);
    }
    Ok(layout)
}

/// Whether a field belongs to a selection; keys that are not a field's (latitude, ...) do not restrict it.
pub fn selects(selection: &Selection, key: &FieldKey) -> bool {
    select::selects_field(selection, key, &select::variable_names(key))
}

fn build_group(path: &str, fields: &[&SampleField], options: &LayoutOptions) -> Result<Group> {
    let Some(first) = fields.first() else {
        return Err(Error::Layout { group: path.into(), reason: "no fields".into() });
    };
    let sampled_steps: BTreeSet<i64> = fields.iter().map(|f| f.key.step).collect();
    let times: BTreeSet<i64> = match &options.times {
        Some(times) => times.iter().copied().collect(),
        None => fields.iter().filter_map(|f| f.key.time).collect(),
    };
    let mut steps: BTreeSet<i64> = match &options.steps {
        Some(steps) => steps.iter().copied().collect(),
        None if options.cycles.is_empty() => sampled_steps.clone(),
        None => BTreeSet::new(),
    };
    steps.extend(options.cycles.iter().flat_map(|cycle| &cycle.steps));
    let members: BTreeSet<u32> = match &options.members {
        Some(members) => members.iter().copied().collect(),
        None => fields.iter().filter_map(|f| f.key.number).collect(),
    };
    if times.is_empty() {
        return Err(Error::invalid(
            "the messages of the samples have no reference time (a year is missing, as in climatologies)",
            "such fields have no place on a time dimension: leave them out",
        ));
    }
    if steps.is_empty() {
        return Err(Error::invalid("the cube has no steps", "give --steps"));
    }

    let seen = collect_variables(fields)?;
    let levels = level_dimensions(&seen, options);
    let steps: Vec<i64> = steps.into_iter().collect();
    let mut variables = BTreeMap::new();
    for (variable_name, seen) in seen {
        variables.insert(variable_name.clone(), seen.finish(&levels, &steps, &sampled_steps));
    }
    let (grid_shape, grid_dimensions) = grid_layout(&first.grid);
    Ok(Group {
        product: Product::of(&first.key),
        times: times.into_iter().collect(),
        steps,
        cycles: if options.cycles.is_empty() { sampled_cycles(fields) } else { options.cycles.clone() },
        members: members.into_iter().collect(),
        levels,
        variables,
        grid_type: first.grid.grid_type.to_string(),
        grid_shape,
        grid_dimensions,
        grid: Some((*first.grid).clone()),
    })
}

/// The steps of each hour of the day, where the samples show cycles of several hours with different steps.
fn sampled_cycles(fields: &[&SampleField]) -> Vec<CycleSteps> {
    let mut by_hour: BTreeMap<u8, BTreeSet<i64>> = BTreeMap::new();
    for key in fields.iter().map(|f| &f.key) {
        if let Some(time) = key.time {
            by_hour.entry((time.rem_euclid(86_400) / 3600) as u8).or_default().insert(key.step);
        }
    }
    let mut cycles: Vec<CycleSteps> = Vec::new();
    for (hour, steps) in by_hour {
        let steps: Vec<i64> = steps.into_iter().collect();
        match cycles.iter_mut().find(|cycle| cycle.steps == steps) {
            Some(cycle) => cycle.hours.push(hour),
            None => cycles.push(CycleSteps { hours: vec![hour], steps }),
        }
    }
    if cycles.len() > 1 { cycles } else { Vec::new() }
}

pub(crate) fn grid_layout(grid: &Grid) -> (Vec<u64>, Vec<String>) {
    let shape = match grid.shape() {
        GridShape::Rows { ny, nx } => vec![ny as u64, nx as u64],
        GridShape::Values { points } => vec![points as u64],
    };
    (shape, grid.dimension_names().iter().map(|n| n.to_string()).collect())
}

/// What the samples show of one variable.
struct SeenVariable {
    key: FieldKey,
    window: Window,
    number: bool,
    steps: BTreeSet<i64>,
    levels: BTreeSet<Level>,
    no_level: bool,
}

fn collect_variables(fields: &[&SampleField]) -> Result<BTreeMap<String, SeenVariable>> {
    // A window from the start is a run total, and a bucket only where buckets that do not start at 0 are seen too.
    let mut buckets: BTreeSet<String> = BTreeSet::new();
    let mut totals: BTreeMap<String, bool> = BTreeMap::new();
    for field in fields {
        let key = &field.key;
        if key.step_start.is_some_and(|start| start != 0) {
            buckets.extend(name::windows(key).into_iter().map(|w| name::variable_name(key, w)));
        }
    }
    for field in fields {
        let key = &field.key;
        if key.step_start == Some(0) {
            let covered = name::windows(key)
                .into_iter()
                .any(|w| w != Window::FromStart && buckets.contains(&name::variable_name(key, w)));
            let needed = totals.entry(name::variable_name(key, Window::FromStart)).or_insert(false);
            *needed |= !covered;
        }
    }
    let mut seen: BTreeMap<String, SeenVariable> = BTreeMap::new();
    for field in fields {
        let key = &field.key;
        for window in name::windows(key) {
            let variable_name = name::variable_name(key, window);
            let wanted = match window {
                Window::Instant => true,
                Window::FromStart => totals.get(&variable_name).copied().unwrap_or(true),
                Window::Length(_) if key.step_start == Some(0) && name::windows(key).len() > 1 => {
                    buckets.contains(&variable_name)
                }
                Window::Length(_) => true,
            };
            if !wanted {
                continue;
            }
            let entry = seen.entry(variable_name.clone()).or_insert_with(|| SeenVariable {
                key: key.clone(),
                window,
                number: key.number.is_some(),
                steps: BTreeSet::new(),
                levels: BTreeSet::new(),
                no_level: false,
            });
            // Members decide: a deterministic field of the same product has no place among them, and is refused at ingest.
            if key.number.is_some() && !entry.number {
                entry.number = true;
                entry.steps.clear();
                entry.levels.clear();
            } else if key.number.is_none() && entry.number {
                continue;
            }
            entry.steps.insert(key.step);
            match Level::of(key) {
                Some(level) => {
                    entry.levels.insert(level);
                }
                None => entry.no_level = true,
            }
        }
    }
    Ok(seen)
}

/// A type of level gets a dimension where the group's variables of that type, taken together, have several levels.
fn level_dimensions(seen: &BTreeMap<String, SeenVariable>, options: &LayoutOptions) -> BTreeMap<String, Vec<Level>> {
    let mut levels: BTreeMap<String, BTreeSet<Level>> = BTreeMap::new();
    for variable in seen.values().filter(|v| !v.no_level && !name::level_in_name(&v.key)) {
        levels.entry(variable.key.type_of_level.to_string()).or_default().extend(variable.levels.iter().copied());
    }
    levels
        .into_iter()
        .filter(|(kind, levels)| levels.len() > 1 || options.level_dimensions.contains(kind))
        .map(|(kind, levels)| {
            let mut levels: Vec<Level> = levels.into_iter().collect();
            let value = |l: &Level| (l.level.to_f64(), l.level2.map_or(0.0, |l| l.to_f64()));
            levels.sort_by(|a, b| value(a).partial_cmp(&value(b)).unwrap_or(std::cmp::Ordering::Equal));
            if kind.starts_with("isobaric") {
                levels.reverse();
            }
            (kind, levels)
        })
        .collect()
}

impl SeenVariable {
    fn finish(self, levels: &BTreeMap<String, Vec<Level>>, steps: &[i64], sampled_steps: &BTreeSet<i64>) -> Variable {
        let key = &self.key;
        let dimension = levels.get(key.type_of_level).filter(|_| !self.no_level && !name::level_in_name(key));
        let level = match (dimension, self.levels.first()) {
            (Some(_), _) => LevelChoice::Dimension,
            (None, Some(&only)) => LevelChoice::One(only),
            (None, None) => LevelChoice::None,
        };
        let levels_not_expected =
            dimension.into_iter().flatten().filter(|l| !self.levels.contains(l)).copied().collect();
        let steps_not_expected = steps
            .iter()
            .copied()
            .filter(|step| match self.window {
                _ if sampled_steps.contains(step) => !self.steps.contains(step),
                Window::Instant => false,
                Window::FromStart => *step == 0,
                Window::Length(seconds) => *step < seconds,
            })
            .collect();
        Variable {
            selector: Selector {
                parameter: ParameterIdentity::of(key),
                type_of_level: key.type_of_level.to_string(),
                surfaces: key.surfaces,
                level,
                step_type: key.step_type,
                window: self.window,
                derived: key.derived,
                extra: key.extra.iter().map(|(name, value)| (name.to_string(), *value)).collect(),
            },
            number: self.number,
            steps_not_expected,
            levels_not_expected,
            expected_since: None,
            finalised: false,
            short_name: key.short_name().into_owned(),
            cf_name: key.names.map_or("", |n| n.cf_name).to_string(),
            name: key.names.map_or("", |n| n.name).to_string(),
            units: key.names.map_or("", |n| n.units).to_string(),
            param_id: key.names.map_or(0, |n| n.param_id),
        }
    }
}

fn check_group_name(group: &str) -> Result<()> {
    let good = group.is_empty()
        || group.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('_')
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        });
    if good { Ok(()) } else { Err(Error::invalid(format!("group name {group:?}"), "use letters, digits, - _ . and /")) }
}
