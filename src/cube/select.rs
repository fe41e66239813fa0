//! Selections against field keys, slots and coordinates.

use crate::error::{Error, Result};
use crate::grib::key::FieldKey;
use crate::selection::{Bounds, Selection, Term, TimePoint};

use super::layout::{Group, LevelChoice, Variable};
use super::name;

/// Keys that name neither a dimension nor a type of level.
const FIELD_KEYS: &[&str] =
    &["variable", "shortName", "paramId", "typeOfLevel", "level", "levelist", "stepType", "centre", "gridType"];
const SLOT_KEYS: &[&str] = &["time", "valid_time", "step", "endStep", "number", "perturbationNumber"];
const SPATIAL_KEYS: &[&str] = &["latitude", "longitude", "y", "x", "values"];

/// Refuses keys that mean nothing here, so that a misspelt key does not silently select everything.
///
/// # Errors
/// [`Error::Invalid`] that names the key and what there is.
pub fn check_keys(
    selection: &Selection,
    groups: impl Iterator<Item = impl std::ops::Deref<Target = Group>>,
) -> Result<()> {
    let mut kinds: Vec<String> = groups
        .flat_map(|g| g.variables.values().map(|v| v.selector.type_of_level.clone()).collect::<Vec<_>>())
        .collect();
    kinds.sort();
    kinds.dedup();
    for key in selection.keys() {
        let known = FIELD_KEYS.contains(&key) || SLOT_KEYS.contains(&key) || SPATIAL_KEYS.contains(&key);
        if !known && !kinds.iter().any(|kind| kind == key) && !is_type_of_level(key) {
            return Err(Error::invalid(
                format!("selection key {key:?}"),
                format!(
                    "use variable, time, step, number, {}, latitude, longitude or an ecCodes key ({})",
                    kinds.join(", "),
                    FIELD_KEYS.join(", ")
                ),
            ));
        }
    }
    Ok(())
}

fn is_type_of_level(key: &str) -> bool {
    const KINDS: &[&str] = &[
        "isobaricInhPa",
        "isobaricInPa",
        "heightAboveGround",
        "heightAboveSea",
        "hybrid",
        "surface",
        "meanSea",
        "depthBelowLand",
        "depthBelowLandLayer",
        "sigma",
        "potentialVorticity",
        "theta",
        "entireAtmosphere",
        "soilLayer",
        "pressureFromGroundLayer",
        "heightAboveGroundLayer",
        "isobaricLayer",
    ];
    KINDS.contains(&key)
}

/// Whether a field belongs to a selection. `variables` are the names that it has in the cube. Keys that speak of
/// something else than fields (latitude, ...), and types of level that the field does not have, do not restrict it.
pub fn selects_field(selection: &Selection, key: &FieldKey, variables: &[String]) -> bool {
    selection.terms.iter().all(|(name, terms)| {
        let any = |test: &dyn Fn(&Term) -> bool| terms.iter().any(test);
        match name.as_str() {
            "variable" => any(&|t| variables.iter().any(|v| t.is_text(v))),
            "shortName" => any(&|t| t.is_text(&key.short_name())),
            "typeOfLevel" => any(&|t| t.is_text(key.type_of_level)),
            "stepType" => any(&|t| t.is_text(&key.step_type.ec_codes_name())),
            "centre" => any(&|t| {
                t.is_text(crate::grib::names::centre(key.centre).unwrap_or("")) || t.is_text(&key.centre.to_string())
            }),
            "paramId" => any(&|t| key.names.is_some_and(|n| number_in(t, i64::from(n.param_id)))),
            "step" | "endStep" => any(&|t| t.seconds().is_ok_and(|b| b.contains(&key.step))),
            "time" => any(&|t| key.time.is_some_and(|time| time_in(t, time, None, None))),
            "valid_time" => any(&|t| key.time.is_some_and(|time| time_in(t, time + key.step, None, None))),
            "number" | "perturbationNumber" => key.number.is_none_or(|n| any(&|t| number_in(t, i64::from(n)))),
            kind if kind == "level" || kind == "levelist" || kind == key.type_of_level => {
                any(&|t| key.level.is_some_and(|l| t.floats().is_ok_and(|b| b.contains(l.to_f64()))))
            }
            _ => true,
        }
    })
}

fn number_in(term: &Term, value: i64) -> bool {
    term.numbers().is_ok_and(|bounds| bounds.contains(&value))
}

/// `latest` and `latest-complete` are true of every time while they are not known.
fn time_in(term: &Term, time: i64, latest: Option<i64>, latest_complete: Option<i64>) -> bool {
    let Ok(bounds) = term.times() else { return false };
    let open = match &bounds {
        Bounds::Value(TimePoint::At(_)) => false,
        Bounds::Value(_) => latest.is_none() && latest_complete.is_none(),
        Bounds::Range { from, to, .. } => [from, to]
            .into_iter()
            .flatten()
            .any(|end| !matches!(end, TimePoint::At(_)) && latest.is_none() && latest_complete.is_none()),
    };
    open || bounds.resolve(latest, latest_complete).is_some_and(|bounds| bounds.contains(&time))
}

/// The slots of a variable that a selection takes: for each non-spatial dimension the indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenSlots {
    /// In the order of the dimensions, each ascending.
    pub indices: Vec<Vec<u32>>,
}

impl ChosenSlots {
    /// Whether the slot is one of them.
    pub fn contains(&self, slot: &[u32]) -> bool {
        slot.len() == self.indices.len() && self.indices.iter().zip(slot).all(|(all, i)| all.binary_search(i).is_ok())
    }

    /// How many slots there are.
    pub fn count(&self) -> u64 {
        self.indices.iter().map(|i| i.len() as u64).product()
    }
}

/// Which slots of a variable a selection takes; `None` when it takes none of this variable. `latest_complete` stands in
/// for the word of that name.
pub fn chosen_slots(
    group: &Group,
    path: &str,
    variable: &Variable,
    selection: Option<&Selection>,
    latest_complete: Option<i64>,
) -> Option<ChosenSlots> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let everything = Selection::default();
    let selection = selection.unwrap_or(&everything);
    let selector = &variable.selector;
    let text = |key: &str, value: &str| selection.allows_text(key, value);
    let in_variables = text("variable", name) || text("variable", path) || text("variable", &format!("/{path}"));
    let param_id =
        selection.get("paramId").is_none_or(|terms| terms.iter().any(|t| number_in(t, i64::from(variable.param_id))));
    let single_level = match selector.level {
        LevelChoice::One(level) => ["level", "levelist", selector.type_of_level.as_str()].iter().all(|key| {
            let value = level.level.to_f64();
            selection.get(key).is_none_or(|terms| terms.iter().any(|t| t.floats().is_ok_and(|b| b.contains(value))))
        }),
        _ => true,
    };
    if !in_variables
        || !param_id
        || !single_level
        || !text("shortName", &variable.short_name)
        || !text("typeOfLevel", &selector.type_of_level)
        || !text("stepType", &selector.step_type.ec_codes_name())
        || !text("gridType", &group.grid_type)
    {
        return None;
    }
    let latest = group.times.iter().copied().max();
    let choose = |key: &str, count: usize, test: &dyn Fn(&Term, usize) -> bool| -> Vec<u32> {
        let terms = selection.get(key);
        (0..count)
            .filter(|&i| terms.is_none_or(|terms| terms.iter().any(|term| test(term, i))))
            .map(|i| i as u32)
            .collect()
    };
    let at = |values: &[i64], i: usize| values.get(i).copied().unwrap_or_default();
    let mut indices = vec![
        choose("time", group.times.len(), &|t, i| time_in(t, at(&group.times, i), latest, latest_complete)),
        choose("step", group.steps.len(), &|t, i| t.seconds().is_ok_and(|b| b.contains(&at(&group.steps, i)))),
    ];
    if variable.number {
        indices.push(choose("number", group.members.len(), &|t, i| {
            group.members.get(i).is_some_and(|&m| number_in(t, i64::from(m)))
        }));
    }
    if selector.level == LevelChoice::Dimension {
        let levels = group.level_dimension(variable);
        let key = ["level", "levelist"].into_iter().find(|k| selection.get(k).is_some());
        indices.push(choose(key.unwrap_or(&selector.type_of_level), levels.len(), &|t, i| {
            levels.get(i).is_some_and(|l| t.floats().is_ok_and(|b| b.contains(l.level.to_f64())))
        }));
    }
    let chosen = ChosenSlots { indices };
    (chosen.count() > 0).then_some(chosen)
}

/// Indices of the coordinate values that a selection takes, in the order of the coordinate; all without a term for `key`.
/// A single value takes the nearest point, a longitude range may wrap.
pub fn chosen_points(selection: &Selection, key: &str, values: &[f64]) -> Result<Vec<u64>> {
    let Some(terms) = selection.get(key) else { return Ok((0..values.len() as u64).collect()) };
    let longitude = key == "longitude";
    let mut chosen = std::collections::BTreeSet::new();
    let mut order = Vec::new();
    for term in terms {
        let bounds = term.floats().map_err(|e| Error::invalid(e.to_string(), e.remedy))?;
        if let Bounds::Value(wanted) = bounds {
            let distance = |value: f64| {
                let difference = (value - wanted).abs();
                if longitude { (difference % 360.0).min(360.0 - difference % 360.0) } else { difference }
            };
            let nearest = (0..values.len()).min_by(|&a, &b| {
                let of = |i: usize| values.get(i).map_or(f64::INFINITY, |v| distance(*v));
                of(a).total_cmp(&of(b))
            });
            order.extend(nearest.filter(|n| chosen.insert(*n)));
            continue;
        }
        let bounds = ordered(bounds, longitude);
        let inside: Vec<usize> = (0..values.len())
            .filter(|&i| {
                values
                    .get(i)
                    .is_some_and(|v| if longitude { bounds.contains_longitude(*v) } else { bounds.contains(*v) })
            })
            .collect();
        // A range that wraps starts behind the gap: 350:10 gives 350 .. 359, 0 .. 10.
        let gap = inside.windows(2).position(|w| matches!(w, [a, b] if b - a > 1)).map_or(0, |p| p + 1);
        let (tail, head) = inside.split_at(if longitude { gap } else { 0 });
        order.extend(head.iter().chain(tail).copied().filter(|i| chosen.insert(*i)));
    }
    if order.is_empty() {
        let ends = (values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN));
        return Err(Error::invalid(
            format!("{key} selects no point"),
            format!("the coordinate runs from {} to {}", ends.0, ends.1),
        ));
    }
    Ok(order.into_iter().map(|i| i as u64).collect())
}

/// A latitude range may be written in either direction.
fn ordered(bounds: Bounds<f64>, longitude: bool) -> Bounds<f64> {
    match bounds {
        Bounds::Range { from: Some(from), to: Some(to), stride } if !longitude && from > to => {
            Bounds::Range { from: Some(to), to: Some(from), stride }
        }
        other => other,
    }
}

/// The names that a field has in a cube.
pub fn variable_names(key: &FieldKey) -> Vec<String> {
    name::windows(key).into_iter().map(|w| name::variable_name(key, w)).collect()
}
