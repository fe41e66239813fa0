//! A layout grows: times, steps, members, levels and variables are added; nothing that is there moves.

use std::collections::BTreeSet;

use super::layout::{Group, Layout, Level, LevelChoice};
use super::place::join;

/// What an extension added, and what of it could not be taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    /// New reference times.
    pub times: usize,
    /// New steps.
    pub steps: usize,
    /// New members.
    pub members: usize,
    /// New levels.
    pub levels: usize,
    /// Paths of new arrays.
    pub variables: Vec<String>,
    /// Paths of new groups; "" is the root.
    pub groups: Vec<String>,
    /// What cannot be added to arrays that are there, and why.
    pub refused: Vec<String>,
}

impl Extension {
    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.times + self.steps + self.members + self.levels == 0 && self.variables.is_empty() && self.groups.is_empty()
    }
}

impl Layout {
    /// This layout with everything that `other` has besides. Indices of what is there stay: additions are appended.
    ///
    /// A variable that has one level keeps it: an array cannot gain a dimension.
    pub fn extended(&self, other: &Layout) -> (Layout, Extension) {
        let mut layout = self.clone();
        let mut extension = Extension::default();
        for (path, new) in &other.groups {
            match layout.groups.get_mut(path) {
                Some(group) => group.extend(path, new, &mut extension),
                None => {
                    extension.groups.push(path.clone());
                    extension.variables.extend(new.variables.keys().map(|name| join(path, name)));
                    layout.groups.insert(path.clone(), new.clone());
                }
            }
        }
        (layout, extension)
    }

    /// This layout with further reference times in every group.
    pub fn with_times(&self, times: &[i64]) -> (Layout, Extension) {
        let mut layout = self.clone();
        let mut added = BTreeSet::new();
        for group in layout.groups.values_mut() {
            let new: BTreeSet<i64> = times.iter().copied().filter(|t| !group.times.contains(t)).collect();
            group.times.extend(&new);
            added.extend(new);
        }
        (layout, Extension { times: added.len(), ..Default::default() })
    }
}

impl Group {
    fn extend(&mut self, path: &str, new: &Group, extension: &mut Extension) {
        if self.product != new.product {
            extension.refused.push(format!("group /{path} holds another product ({})", self.product.group_name()));
            return;
        }
        if self.grid.is_none() {
            self.grid.clone_from(&new.grid);
        }
        let first_new_time = new.times.iter().copied().filter(|t| !self.times.contains(t)).min();
        extension.times = extension.times.max(append(&mut self.times, &new.times));
        extension.members = extension.members.max(append(&mut self.members, &new.members));
        let old_steps = self.steps.clone();
        extension.steps = extension.steps.max(append(&mut self.steps, &new.steps));
        for (kind, levels) in &new.levels {
            let there = self.levels.entry(kind.clone()).or_default();
            extension.levels += append(there, levels);
        }
        let old_names: Vec<String> = self.variables.keys().cloned().collect();
        let dimensions = self.levels.clone();
        let all_steps = self.steps.clone();
        for (name, variable) in &new.variables {
            let array = join(path, name);
            let Some(old) = self.variables.get_mut(name) else {
                let mut variable = variable.clone();
                variable.expected_since = first_new_time.or_else(|| new.times.iter().copied().min());
                // A product with several levels of a type has the dimension, whatever the new samples show.
                if let LevelChoice::One(level) = variable.selector.level
                    && let Some(levels) = dimensions.get(&variable.selector.type_of_level)
                {
                    variable.selector.level = LevelChoice::Dimension;
                    variable.levels_not_expected = levels.iter().filter(|&&l| l != level).copied().collect();
                }
                let missing = all_steps.iter().filter(|s| !new.steps.contains(s));
                variable.steps_not_expected.extend(missing);
                extension.variables.push(array);
                self.variables.insert(name.clone(), variable);
                continue;
            };
            match (old.selector.level, variable.selector.level) {
                (LevelChoice::Dimension, LevelChoice::One(level)) => old.levels_not_expected.retain(|&l| l != level),
                (LevelChoice::Dimension, LevelChoice::Dimension) => {
                    let absent = &variable.levels_not_expected;
                    let new_levels = new.levels.get(&variable.selector.type_of_level);
                    let has =
                        |level: &Level| new_levels.is_some_and(|all| all.contains(level)) && !absent.contains(level);
                    old.levels_not_expected.retain(|level| !has(level));
                }
                (old_level, new_level) if old_level != new_level => extension.refused.push(format!(
                    "/{array} has one level and cannot gain others; make the cube with --level-dimension {}",
                    variable.selector.type_of_level
                )),
                _ => {}
            }
            if old.number != variable.number {
                extension.refused.push(format!("/{array} cannot gain or lose its members"));
            }
            let absent = new.steps.iter().filter(|s| variable.steps_not_expected.contains(s) && !old_steps.contains(s));
            old.steps_not_expected.extend(absent);
        }
        // Steps and levels that came with other variables are not expected of those that the samples do not show.
        for name in old_names.iter().filter(|name| !new.variables.contains_key(*name)) {
            let Some(old) = self.variables.get_mut(name) else { continue };
            old.steps_not_expected.extend(all_steps.iter().filter(|s| !old_steps.contains(s)));
        }
        for (name, variable) in &mut self.variables {
            let LevelChoice::Dimension = variable.selector.level else { continue };
            let shown = new.variables.get(name);
            for level in new.levels.get(&variable.selector.type_of_level).into_iter().flatten() {
                let expected = shown.is_some_and(|v| !v.levels_not_expected.contains(level));
                let was_there = old_names.contains(name) && !variable.levels_not_expected.contains(level);
                if !expected && shown.is_none() && !was_there {
                    variable.levels_not_expected.push(*level);
                }
            }
        }
        for cycle in &new.cycles {
            if !self.cycles.iter().any(|c| c.hours.iter().any(|h| cycle.hours.contains(h))) {
                self.cycles.push(cycle.clone());
            }
        }
    }
}

/// Appends what is not there; returns how much that was.
fn append<T: PartialEq + Copy>(there: &mut Vec<T>, new: &[T]) -> usize {
    let before = there.len();
    for value in new {
        if !there.contains(value) {
            there.push(*value);
        }
    }
    there.len() - before
}
