//! Coverage in the terminal.

use gribchunk::inspect::{SlotState, VariableCoverage};

/// What the signs mean.
pub const LEGEND: &str =
    "·  missing   v  virtual   #  materialised   !  failed   ~  replacement failed   (blank: not expected)";

/// Columns of a picture.
const WIDTH: usize = 100;

/// One row a member (or one row), one column a step, for each time and level.
pub fn picture(coverage: &VariableCoverage) -> String {
    let lengths: Vec<usize> = coverage.coordinates.iter().map(Vec::len).collect();
    let axis = |name: &str| coverage.dimensions.iter().position(|d| d == name);
    let (Some(time), Some(step)) = (axis("time"), axis("step")) else { return String::new() };
    let number = axis("number");
    let level = (0..lengths.len()).find(|a| ![Some(time), Some(step), number].contains(&Some(*a)));
    let length = |axis: Option<usize>| axis.and_then(|a| lengths.get(a)).copied().unwrap_or(1);
    let label =
        |axis: usize, i: usize| coverage.coordinates.get(axis).and_then(|c| c.get(i)).map_or("", String::as_str);
    let state = |t: usize, s: usize, n: usize, l: usize| {
        let index = (0..lengths.len()).map(|a| match Some(a) {
            a if a == Some(time) => t,
            a if a == Some(step) => s,
            a if a == number => n,
            _ => l,
        });
        let flat = index.zip(&lengths).fold(0, |flat, (i, &length)| flat * length + i);
        coverage.states.get(flat).copied().unwrap_or(SlotState::Missing)
    };
    let mut text = String::new();
    for t in 0..length(Some(time)) {
        for l in 0..length(level) {
            let level = level.map(|a| format!("  {} {}", coverage.dimensions[a], label(a, l))).unwrap_or_default();
            let steps = length(Some(step));
            let ends = format!("{} .. {}", label(step, 0), label(step, steps.saturating_sub(1)));
            text.push_str(&format!("  {}{level}  steps {ends}\n", label(time, t)));
            for n in 0..length(number) {
                let member = number.map_or("", |a| label(a, n));
                let row: String = (0..steps).map(|s| sign(state(t, s, n, l))).collect();
                for (i, part) in row.chars().collect::<Vec<_>>().chunks(WIDTH).enumerate() {
                    let member = if i == 0 { member } else { "" };
                    text.push_str(&format!("  {member:>4} {}\n", part.iter().collect::<String>()));
                }
            }
        }
    }
    text
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
