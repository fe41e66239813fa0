//! Coverage in the terminal.

use gribchunk::inspect::{SlotState, VariableCoverage};

/// What the signs mean.
pub const LEGEND: &str =
    "·  missing   v  virtual   #  materialised   !  failed   ~  replacement failed   (blank: not expected)";

/// What the signs of a summary mean.
pub const SUMMARY_LEGEND: &str =
    "·  nothing   1-9  tenths arrived   v  all   #  all materialised   !  some failed   (blank: not expected)";

/// Columns of a picture.
const WIDTH: usize = 100;
/// How many variables that look the same are named in one line.
const NAMED: usize = 12;

/// The pictures of all variables; those that look the same share one.
pub fn pictures(variables: &[VariableCoverage]) -> String {
    let mut groups: Vec<Vec<&VariableCoverage>> = Vec::new();
    for variable in variables {
        let alike = groups.iter_mut().find(|group| {
            group.first().is_some_and(|other| {
                other.dimensions == variable.dimensions
                    && other.coordinates == variable.coordinates
                    && other.states == variable.states
            })
        });
        match alike {
            Some(group) => group.push(variable),
            None => groups.push(vec![variable]),
        }
    }
    let mut text = String::new();
    for group in groups {
        let Some(first) = group.first() else { continue };
        let names: Vec<&str> = group.iter().map(|variable| variable.variable.as_str()).collect();
        for (i, part) in names.chunks(NAMED).enumerate() {
            text.push_str(if i > 0 { ",\n" } else { "" });
            text.push_str(&part.join(", "));
        }
        let each = if group.len() > 1 { " each" } else { "" };
        text.push_str(&format!(": {} of {} slots{each}\n{}", done(first), first.counts.expected, picture(first)));
    }
    text
}

fn done(variable: &VariableCoverage) -> u64 {
    let counts = variable.counts;
    counts.virtual_ + counts.materialised + counts.replacement_failed
}

/// One row a member, one column a step, for each time and level. Members, levels and times that lie side by side and look
/// the same are drawn once.
pub fn picture(coverage: &VariableCoverage) -> String {
    let Some(axes) = Axes::of(coverage) else { return String::new() };
    let times: Vec<Vec<(String, String)>> = (0..axes.length(Some(axes.time))).map(|t| axes.levels_of(t)).collect();
    let mut text = String::new();
    for (times, levels) in alike(&times) {
        for (level, rows) in levels {
            text.push_str(&format!("  {}{level}  steps {}\n{rows}", axes.labels(axes.time, times), axes.steps()));
        }
    }
    text
}

/// Runs of equal neighbours: first and last index, and the value.
fn alike<T: PartialEq>(values: &[T]) -> Vec<((usize, usize), &T)> {
    let mut runs: Vec<((usize, usize), &T)> = Vec::new();
    for (i, value) in values.iter().enumerate() {
        match runs.last_mut() {
            Some((bounds, last)) if *last == value => bounds.1 = i,
            _ => runs.push(((i, i), value)),
        }
    }
    runs
}

/// One line a variable and time: for each step how much has arrived over members and levels.
pub fn summary(variables: &[VariableCoverage]) -> String {
    let width = variables.iter().map(|v| v.variable.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut heading = String::new();
    for variable in variables {
        let Some(axes) = Axes::of(variable) else { continue };
        for t in 0..axes.length(Some(axes.time)) {
            let title = format!("{:width$} {:>15}  steps {}\n", "", "arrived", axes.steps());
            if heading != title {
                text.push_str(&title);
                heading = title;
            }
            let (mut arrived, mut expected) = (0, 0);
            let signs: String = (0..axes.length(Some(axes.step)))
                .map(|s| {
                    let members =
                        (0..axes.length(axes.number)).flat_map(|n| (0..axes.length(axes.level)).map(move |l| (n, l)));
                    let states: Vec<SlotState> = members.map(|(n, l)| axes.state(t, s, n, l)).collect();
                    let (here, of, sign) = summarise(&states);
                    arrived += here;
                    expected += of;
                    sign
                })
                .collect();
            let time = axes.label(axes.time, t);
            text.push_str(&format!(
                "{:width$} {:>15}  {signs}  {time}\n",
                variable.variable,
                format!("{arrived}/{expected}")
            ));
        }
    }
    text
}

/// How many slots arrived of how many that are expected, and the sign for that.
fn summarise(states: &[SlotState]) -> (usize, usize, char) {
    let count = |wanted: &[SlotState]| states.iter().filter(|state| wanted.contains(state)).count();
    let expected = states.len() - count(&[SlotState::NotExpected]);
    let materialised = count(&[SlotState::Materialised]);
    let arrived = materialised + count(&[SlotState::Virtual, SlotState::ReplacementFailed]);
    let sign = match arrived {
        _ if count(&[SlotState::Failed, SlotState::ReplacementFailed]) > 0 => '!',
        _ if expected == 0 => ' ',
        0 => '·',
        _ if materialised == expected => '#',
        _ if arrived == expected => 'v',
        // A tenth that has begun counts: something is there.
        _ => char::from_digit((arrived * 10 / expected).clamp(1, 9) as u32, 10).unwrap_or('?'),
    };
    (arrived, expected, sign)
}

/// Which dimension is which.
struct Axes<'a> {
    coverage: &'a VariableCoverage,
    lengths: Vec<usize>,
    time: usize,
    step: usize,
    number: Option<usize>,
    level: Option<usize>,
}

impl<'a> Axes<'a> {
    fn of(coverage: &'a VariableCoverage) -> Option<Self> {
        let axis = |name: &str| coverage.dimensions.iter().position(|d| d == name);
        let lengths: Vec<usize> = coverage.coordinates.iter().map(Vec::len).collect();
        let (time, step, number) = (axis("time")?, axis("step")?, axis("number"));
        let level = (0..lengths.len()).find(|a| ![Some(time), Some(step), number].contains(&Some(*a)));
        Some(Self { coverage, lengths, time, step, number, level })
    }

    /// 1 for a dimension that is not there.
    fn length(&self, axis: Option<usize>) -> usize {
        axis.and_then(|a| self.lengths.get(a)).copied().unwrap_or(1)
    }

    fn label(&self, axis: usize, i: usize) -> &str {
        self.coverage.coordinates.get(axis).and_then(|c| c.get(i)).map_or("", String::as_str)
    }

    /// `0:50`
    fn labels(&self, axis: usize, (first, last): (usize, usize)) -> String {
        match first == last {
            true => self.label(axis, first).to_string(),
            false => format!("{}:{}", self.label(axis, first), self.label(axis, last)),
        }
    }

    /// The levels of a time and their pictures.
    fn levels_of(&self, t: usize) -> Vec<(String, String)> {
        let pictures: Vec<String> = (0..self.length(self.level)).map(|l| self.members_of(t, l)).collect();
        let name = |bounds| {
            let of = |a: usize| format!("  {} {}", self.coverage.dimensions[a], self.labels(a, bounds));
            self.level.map(of).unwrap_or_default()
        };
        alike(&pictures).into_iter().map(|(bounds, picture)| (name(bounds), picture.clone())).collect()
    }

    /// The rows of a time and level.
    fn members_of(&self, t: usize, l: usize) -> String {
        let row = |n: usize| (0..self.length(Some(self.step))).map(|s| sign(self.state(t, s, n, l))).collect();
        let rows: Vec<String> = (0..self.length(self.number)).map(row).collect();
        let mut text = String::new();
        for (bounds, row) in alike(&rows) {
            let members = self.number.map(|a| self.labels(a, bounds)).unwrap_or_default();
            push_row(&mut text, &members, row);
        }
        text
    }

    /// `0h .. 48h`
    fn steps(&self) -> String {
        let last = self.length(Some(self.step)).saturating_sub(1);
        format!("{} .. {}", self.label(self.step, 0), self.label(self.step, last))
    }

    fn state(&self, t: usize, s: usize, n: usize, l: usize) -> SlotState {
        let index = (0..self.lengths.len()).map(|a| match a {
            a if a == self.time => t,
            a if a == self.step => s,
            a if Some(a) == self.number => n,
            _ => l,
        });
        let flat = index.zip(&self.lengths).fold(0, |flat, (i, &length)| flat * length + i);
        self.coverage.states.get(flat).copied().unwrap_or(SlotState::Missing)
    }
}

fn push_row(text: &mut String, members: &str, row: &str) {
    for (i, part) in row.chars().collect::<Vec<_>>().chunks(WIDTH).enumerate() {
        let members = if i == 0 { members } else { "" };
        text.push_str(&format!("  {members:>7} {}\n", part.iter().collect::<String>()));
    }
}

fn sign(state: SlotState) -> char {
    match state {
        SlotState::NotExpected => ' ',
        SlotState::Missing => '·',
        SlotState::Virtual => 'v',
        SlotState::Materialised => '#',
        SlotState::Failed => '!',
        SlotState::ReplacementFailed => '~',
    }
}

#[cfg(test)]
mod tests {
    use gribchunk::inspect::CoverageCounts;

    use super::*;

    fn variable(name: &str, states: Vec<SlotState>) -> VariableCoverage {
        let texts = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
        VariableCoverage {
            variable: name.into(),
            dimensions: texts(&["time", "step", "number"]),
            coordinates: vec![texts(&["2026112100"]), texts(&["0h", "3h"]), texts(&["0", "1", "2"])],
            counts: CoverageCounts { expected: 6, ..Default::default() },
            states,
        }
    }

    #[test]
    fn variables_and_members_that_look_the_same_are_drawn_once() {
        use SlotState::{Missing, Virtual};
        let half = vec![Virtual, Virtual, Virtual, Missing, Missing, Virtual];
        let text = pictures(&[variable("t2m", half.clone()), variable("u10", half), variable("tp", vec![Missing; 6])]);
        assert!(text.contains("t2m, u10: 0 of 6 slots each\n"), "{text}");
        assert_eq!(text.matches("steps 0h .. 3h").count(), 2, "{text}");
        assert!(text.contains("      0:1 v·\n        2 vv\n"), "{text}");
        assert!(text.contains("      0:2 ··\n"), "{text}");
    }

    #[test]
    fn a_summary_counts_over_members() {
        use SlotState::{Failed, Materialised, Missing, NotExpected, Virtual};
        let text = summary(&[
            variable("a", vec![Virtual, Virtual, Missing, Materialised, Materialised, Materialised]),
            variable("b", vec![NotExpected, NotExpected, NotExpected, Virtual, Failed, Virtual]),
            variable("c", vec![Virtual, Materialised, Virtual, Missing, Missing, Missing]),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[1].starts_with("a ") && lines[1].ends_with("5/6  6#  2026112100"), "{text}");
        assert!(lines[2].ends_with("2/3   !  2026112100"), "{text}");
        assert!(lines[3].ends_with("3/6  v·  2026112100"), "{text}");
    }
}
