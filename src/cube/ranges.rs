//! Many slots in few lines: blocks of neighbouring slots, and their names in coordinates.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde::Serialize;

use super::layout::{Group, LevelChoice, Variable};
use super::name;

/// A block of slots: for each dimension the first and the last index, both included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SlotRange {
    /// In the order of the array's dimensions.
    pub bounds: Vec<(u32, u32)>,
}

impl SlotRange {
    /// How many slots it holds.
    pub fn count(&self) -> u64 {
        self.bounds.iter().map(|&(first, last)| u64::from(last) - u64::from(first) + 1).product()
    }

    /// Whether a slot is one of them.
    pub fn contains(&self, slot: &[u32]) -> bool {
        slot.len() == self.bounds.len()
            && self.bounds.iter().zip(slot).all(|(&(first, last), i)| (first..=last).contains(i))
    }

    /// Its slots in C order.
    pub fn slots(&self) -> impl Iterator<Item = Vec<u32>> + '_ {
        (0..self.count()).map(|mut n| {
            let mut slot: Vec<u32> = Vec::with_capacity(self.bounds.len());
            for &(first, last) in self.bounds.iter().rev() {
                let length = u64::from(last) - u64::from(first) + 1;
                slot.push(first + (n % length) as u32);
                n /= length;
            }
            slot.reverse();
            slot
        })
    }
}

/// All index tuples over the given indices of each axis, in C order.
pub(crate) fn tuples(axes: &[Vec<u32>]) -> Vec<Vec<u32>> {
    axes.iter().fold(vec![Vec::new()], |tuples, axis| {
        let longer = |tuple: &Vec<u32>| axis.iter().map(|&i| [tuple.as_slice(), &[i]].concat()).collect::<Vec<_>>();
        tuples.iter().flat_map(longer).collect()
    })
}

/// The slots of one array as few blocks: runs along the last dimension are joined first, then equal runs that lie side by
/// side, dimension by dimension. No slot is in two blocks.
pub fn collapse(slots: impl IntoIterator<Item = Vec<u32>>) -> Vec<SlotRange> {
    type Bounds = Vec<(u32, u32)>;
    let mut blocks: Vec<Bounds> = slots.into_iter().map(|slot| slot.into_iter().map(|i| (i, i)).collect()).collect();
    let dimensions = blocks.iter().map(Vec::len).max().unwrap_or(0);
    for dimension in (0..dimensions).rev() {
        let others = |a: &Bounds, b: &Bounds| {
            let (ours, theirs) = (a.iter().enumerate(), b.iter().enumerate());
            ours.filter(|(i, _)| *i != dimension).cmp(theirs.filter(|(i, _)| *i != dimension))
        };
        blocks.sort_by(|a, b| others(a, b).then_with(|| a.get(dimension).cmp(&b.get(dimension))));
        let mut joined: Vec<Bounds> = Vec::with_capacity(blocks.len());
        for block in blocks {
            if let Some(last) = joined.last_mut()
                && others(last, &block).is_eq()
                && let (Some(end), Some(next)) = (last.get_mut(dimension), block.get(dimension))
                && next.0 <= end.1.saturating_add(1)
            {
                end.1 = end.1.max(next.1);
            } else {
                joined.push(block);
            }
        }
        blocks = joined;
    }
    blocks.sort();
    blocks.into_iter().map(|bounds| SlotRange { bounds }).collect()
}

impl Group {
    /// A block of a variable's slots in coordinates, as the selection language writes them: `time 2026112100 step 6:48
    /// number 3`.
    pub fn describe_range(&self, variable: &Variable, range: &SlotRange) -> String {
        let mut bounds = range.bounds.iter().copied();
        let mut parts = Vec::new();
        if let Some(times) = bounds.next() {
            parts.push(format!("time {}", from_to(&self.times, times, |t| *t as f64, |t| crate::time::compact(*t))));
        }
        if let Some(steps) = bounds.next() {
            parts.push(format!("step {}", from_to(&self.steps, steps, |s| *s as f64, |s| step(*s))));
        }
        if variable.number
            && let Some(members) = bounds.next()
        {
            parts.push(format!("number {}", from_to(&self.members, members, |m| f64::from(*m), ToString::to_string)));
        }
        if variable.selector.level == LevelChoice::Dimension
            && let Some(levels) = bounds.next()
        {
            let all = self.level_dimension(variable);
            parts.push(format!(
                "{} {}",
                variable.selector.type_of_level,
                from_to(all, levels, |l| l.level.to_f64(), ToString::to_string)
            ));
        }
        parts.join(" ")
    }
}

/// Plain hours, or with a suffix: `6`, `15m`.
fn step(seconds: i64) -> String {
    let text = name::duration(seconds);
    text.strip_suffix('h').map(String::from).unwrap_or(text)
}

/// `low:high` where that means exactly these values, otherwise all of them: what a cube gained later stands at the end of
/// a dimension, whatever its value.
fn from_to<T>(
    values: &[T],
    (first, last): (u32, u32),
    number: impl Fn(&T) -> f64,
    text: impl Fn(&T) -> String,
) -> String {
    let these = values.get(first as usize..=last as usize).unwrap_or_default();
    let [one, _, ..] = these else {
        return these.first().map_or_else(|| format!("[{first}:{last}]"), text);
    };
    let low = these.iter().fold(one, |low, value| if number(value) < number(low) { value } else { low });
    let high = these.iter().fold(one, |high, value| if number(value) > number(high) { value } else { high });
    let bounds = number(low)..=number(high);
    if values.iter().filter(|value| bounds.contains(&number(value))).count() == these.len() {
        format!("{}:{}", text(low), text(high))
    } else {
        these.iter().map(text).collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(axes: &[std::ops::Range<u32>]) -> Vec<Vec<u32>> {
        axes.iter().fold(vec![Vec::new()], |slots, axis| {
            let longer = |slot: &Vec<u32>| axis.clone().map(|i| [slot.clone(), vec![i]].concat()).collect::<Vec<_>>();
            slots.iter().flat_map(longer).collect()
        })
    }

    #[test]
    fn a_full_block_is_one_range_in_any_order() {
        let mut slots = all(&[0..2, 3..9, 0..51]);
        slots.reverse();
        let ranges = collapse(slots);
        assert_eq!(ranges.len(), 1);
        assert_eq!(ranges[0].bounds, vec![(0, 1), (3, 8), (0, 50)]);
        assert_eq!(ranges[0].count(), 2 * 6 * 51);
    }

    #[test]
    fn ranges_hold_exactly_the_slots_each_once() {
        // A hole in the middle, a single slot apart, and one slot named twice.
        let mut slots: Vec<Vec<u32>> = all(&[0..1, 0..5, 0..4]).into_iter().filter(|s| s[1..] != [2, 1]).collect();
        slots.push(vec![4, 9, 0]);
        let mut expected = slots.clone();
        expected.sort();
        slots.push(vec![0, 0, 0]);
        let ranges = collapse(slots);
        let mut found: Vec<Vec<u32>> = ranges.iter().flat_map(|r| r.slots().collect::<Vec<_>>()).collect();
        found.sort();
        assert_eq!(found, expected);
        assert!(ranges.len() <= 6, "{ranges:?}");
        assert!(ranges.iter().any(|r| r.contains(&[4, 9, 0])));
        assert!(!ranges.iter().any(|r| r.contains(&[0, 2, 1])));
    }

    #[test]
    fn a_range_is_written_only_where_it_means_these_values() {
        let text = |values: &[i64], bounds| from_to(values, bounds, |v| *v as f64, ToString::to_string);
        assert_eq!(text(&[0, 6, 12, 18], (1, 2)), "6:12");
        assert_eq!(text(&[1000, 850, 500], (0, 2)), "500:1000");
        assert_eq!(text(&[0, 12, 6], (0, 1)), "0/12");
        assert_eq!(text(&[0, 12, 6], (1, 2)), "6:12");
        assert_eq!(text(&[0, 12, 6], (2, 2)), "6");
        assert_eq!(text(&[0, 12, 6], (5, 6)), "[5:6]");
    }
}
