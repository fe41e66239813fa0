//! Field key -> slots.

use crate::grib::decode::ParameterIdentity;
use crate::grib::key::FieldKey;

use super::layout::{Group, Layout, Level, LevelChoice, Product, Variable};
use super::name::{self, Window};

/// One position of a variable over the non-spatial dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// The array's path below `/`: `t2m` or `mean/t2m`.
    pub array: String,
    /// Indices over `(time, step, [number], [level])`.
    pub index: Vec<u32>,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/{}[", self.array)?;
        for (i, index) in self.index.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{index}")?;
        }
        f.write_str("]")
    }
}

/// Why a field has no place in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The array it would belong to, as far as that is known.
    pub array: Option<String>,
    /// Why, for the user.
    pub reason: String,
    /// The reference time is not there yet: allocating it would make a place.
    pub new_time: Option<i64>,
}

impl Layout {
    /// The slots of a field: one for nearly all, more for a window that is both a run total and a bucket.
    pub fn place(&self, key: &FieldKey) -> Result<Vec<Slot>, Refusal> {
        match self.as_control(key) {
            Some(key) => self.place_key(&key),
            None => self.place_key(key),
        }
    }

    /// The key of member 0 when the field is one of those that were declared to be the control (`--control oper/fc`).
    /// Open data hold no MARS keys: there every deterministic forecast of the centre on the cube's grid is one.
    fn as_control(&self, key: &FieldKey) -> Option<FieldKey> {
        let (stream, kind) = self.control.as_deref()?.split_once('/')?;
        let home = self.home.as_ref()?;
        let declared = key.mars.as_ref().is_none_or(|mars| mars.stream == stream && mars.kind == kind);
        let deterministic = key.number.is_none() && key.derived == crate::grib::key::Derived::Forecast;
        if !declared || !deterministic || key.centre != home.centre || key.grid != home.grid {
            return None;
        }
        let mut control = key.clone();
        control.number = Some(0);
        if let (Some(mars), Some(class), Some(stream)) = (&mut control.mars, &home.class, &home.stream) {
            mars.class = class.clone().into();
            mars.stream = stream.clone().into();
        }
        Some(control)
    }

    fn place_key(&self, key: &FieldKey) -> Result<Vec<Slot>, Refusal> {
        let refuse = |array: Option<String>, reason: String| Refusal { array, reason, new_time: None };
        let Some(home) = &self.home else {
            return Err(refuse(None, "the repository has no layout: run init first".into()));
        };
        let product = Product::of(key);
        let path = name::group_path(&product, &key.derived, home, &self.home_group);
        let Some(group) = self.groups.get(&path) else {
            return Err(refuse(None, self.why_no_group(&product, &path)));
        };
        let mut slots = Vec::with_capacity(1);
        let mut reasons = Vec::new();
        for window in name::windows(key) {
            let variable_name = name::variable_name(key, window);
            let Some(variable) = group.variables.get(&variable_name) else {
                reasons.push((None, format!("variable {variable_name} is not in the layout")));
                continue;
            };
            let array = join(&path, &variable_name);
            if let Err(reason) = matches(variable, key, window) {
                return Err(refuse(Some(array), reason));
            }
            match group.slot_index(variable, key) {
                Ok(index) => slots.push(Slot { array, index }),
                Err(mut refusal) => {
                    refusal.array = Some(array);
                    return Err(refusal);
                }
            }
        }
        if slots.is_empty() {
            let (array, reason) = reasons.into_iter().next().unwrap_or((None, "no variable for it".into()));
            return Err(refuse(array, reason));
        }
        Ok(slots)
    }

    /// The group and variable of an array path.
    pub fn variable(&self, array: &str) -> Option<(&Group, &Variable)> {
        let (path, name) = array.rsplit_once('/').unwrap_or(("", array));
        let group = self.groups.get(path)?;
        Some((group, group.variables.get(name)?))
    }

    fn why_no_group(&self, product: &Product, path: &str) -> String {
        let Some(home) = &self.home else { return "no layout".into() };
        if product.grid != home.grid && product.centre == home.centre {
            format!("grid {} is not the cube's ({}); init it into a group of its own", product.grid, home.grid)
        } else {
            format!("product {} (group /{path}) is not in the layout", product.group_name())
        }
    }
}

/// `group/name`, or `name` in the root group.
pub fn join(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_string() } else { format!("{group}/{name}") }
}

/// Whether a field is one of a variable's, whatever its time, step, member and level.
pub fn matches(variable: &Variable, key: &FieldKey, window: Window) -> Result<(), String> {
    let selector = &variable.selector;
    let extra_equal = selector.extra.len() == key.extra.len()
        && key.extra.iter().all(|(name, value)| selector.extra.get(*name) == Some(value));
    let differs = if !selector.parameter.matches(key) {
        format!("parameter {}, not {}", ParameterIdentity::of(key), selector.parameter)
    } else if selector.type_of_level != key.type_of_level
        || (key.type_of_level == "unknown" && selector.surfaces != key.surfaces)
    {
        format!(
            "level type {} {:?}, not {} {:?}",
            key.type_of_level, key.surfaces, selector.type_of_level, selector.surfaces
        )
    } else if selector.step_type != key.step_type {
        format!("statistic {:?}, not {:?}", key.step_type, selector.step_type)
    } else if selector.window != window {
        format!("window {window:?}, not {:?}", selector.window)
    } else if selector.derived != key.derived {
        format!("{:?}, not {:?}", key.derived, selector.derived)
    } else if !extra_equal {
        format!("{:?}, not {:?}", key.extra, selector.extra)
    } else {
        return Ok(());
    };
    Err(format!("the field is {differs}"))
}

impl Group {
    fn slot_index(&self, variable: &Variable, key: &FieldKey) -> Result<Vec<u32>, Refusal> {
        let refuse = |reason: String| Refusal { array: None, reason, new_time: None };
        let Some(time) = key.time else { return Err(refuse("the message has no reference time".into())) };
        let time_index = self.times.iter().position(|&t| t == time);
        let Some(step_index) = self.steps.iter().position(|&s| s == key.step) else {
            return Err(refuse(format!("step {} is not in the layout", name::duration(key.step))));
        };
        let mut index = vec![time_index.unwrap_or(0) as u32, step_index as u32];
        match (variable.number, key.number) {
            (true, Some(number)) => match self.members.iter().position(|&m| m == number) {
                Some(i) => index.push(i as u32),
                None => return Err(refuse(format!("number {number} is not in the layout"))),
            },
            (true, None) => {
                return Err(refuse("the field is not an ensemble member, the variable's fields are".into()));
            }
            (false, Some(number)) => {
                return Err(refuse(format!("the field is ensemble member {number}, the variable has no members")));
            }
            (false, None) => {}
        }
        let level = Level::of(key);
        match variable.selector.level {
            LevelChoice::None if level.is_none() => {}
            LevelChoice::One(only) if level == Some(only) => {}
            LevelChoice::Dimension => {
                let found = level.and_then(|level| self.level_dimension(variable).iter().position(|&l| l == level));
                match (found, level) {
                    (Some(i), _) => index.push(i as u32),
                    (None, Some(level)) => {
                        return Err(refuse(format!("{} {level} is not in the layout", key.type_of_level)));
                    }
                    (None, None) => {
                        return Err(refuse("the field has no level, the variable has a level dimension".into()));
                    }
                }
            }
            LevelChoice::None | LevelChoice::One(_) => {
                let level = level.map_or("no level".to_string(), |l| format!("level {l}"));
                let wanted = match variable.selector.level {
                    LevelChoice::One(only) => format!("level {only}"),
                    _ => "no level".into(),
                };
                return Err(refuse(format!("the field has {level}, the variable {wanted}")));
            }
        }
        if time_index.is_none() {
            // Everything else has its place: allocating the time makes one.
            let reason = format!("time {} is not allocated: run allocate", crate::time::format(time));
            return Err(Refusal { array: None, reason, new_time: Some(time) });
        }
        Ok(index)
    }
}
