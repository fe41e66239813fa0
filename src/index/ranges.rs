//! Lengths, and lines whose bytes cannot be or are claimed twice.

use std::collections::HashMap;

use super::{Entry, Lines, Reason, excerpt, numbered_lines};

/// Fills missing lengths, takes out lines that cannot be, and marks overlaps.
pub(super) fn settle(lines: &mut Lines, bytes: &[u8], file_size: Option<u64>) {
    let mut found: Vec<(u32, Reason)> = Vec::new();
    // Before lines are dropped: a message that the file cuts off ends where the next line begins, not with the file.
    let order = by_offset(&lines.entries);
    fill_lengths(&mut lines.entries, &order, file_size);
    drop_impossible(&mut lines.entries, file_size, &mut found);
    let order = if found.is_empty() { order } else { by_offset(&lines.entries) };
    let duplicates = mark_overlaps(&mut lines.entries, &order, &mut found);
    if !duplicates.is_empty() {
        lines.entries.retain(|entry| !duplicates.contains_key(&entry.line));
        found.extend(duplicates.into_iter().map(|(line, first)| (line, Reason::Duplicate { line: first })));
    }
    if found.is_empty() {
        return;
    }
    found.sort_by_key(|(line, _)| *line);
    let mut texts = numbered_lines(bytes).peekable();
    for (line, reason) in found {
        while texts.next_if(|(number, _)| *number < line).is_some() {}
        let text = texts.peek().map(|(_, text)| excerpt(text)).unwrap_or_default();
        lines.problems.push(super::LineProblem { line, text, reason });
    }
}

/// Positions of the entries, by offset and then by line.
fn by_offset(entries: &[Entry]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..).take(entries.len()).collect();
    if !entries.is_sorted_by_key(|entry| entry.offset) {
        order.sort_unstable_by_key(|position| entries.get(*position as usize).map(|entry| (entry.offset, entry.line)));
    }
    order
}

fn drop_impossible(entries: &mut Vec<Entry>, file_size: Option<u64>, found: &mut Vec<(u32, Reason)>) {
    entries.retain(|entry| {
        if entry.length == Some(0) {
            found.push((entry.line, Reason::ZeroLength));
            return false;
        }
        // Without a length at least one byte is needed.
        let end = entry.offset.checked_add(entry.length.unwrap_or(1));
        let past = match (end, file_size) {
            (Some(end), Some(size)) => (end > size).then_some((end, size)),
            (None, size) => Some((u64::MAX, size.unwrap_or(u64::MAX))),
            (Some(_), None) => None,
        };
        if let Some((end, file_size)) = past {
            found.push((entry.line, Reason::PastEnd { end, file_size }));
        }
        past.is_none()
    });
}

fn fill_lengths(entries: &mut [Entry], order: &[u32], file_size: Option<u64>) {
    // From the end: `next` is the smallest distinct offset behind the entry.
    let (mut next, mut here) = (file_size, None);
    for position in order.iter().rev() {
        let Some(entry) = entries.get_mut(*position as usize) else { continue };
        if here != Some(entry.offset) {
            next = here.or(next);
            here = Some(entry.offset);
        }
        if entry.length.is_none() {
            entry.length = next.and_then(|next| next.checked_sub(entry.offset)).filter(|length| *length > 0);
        }
    }
}

/// Marks overlapping entries; duplicates (line, line of the first) are returned.
fn mark_overlaps(entries: &mut [Entry], order: &[u32], found: &mut Vec<(u32, Reason)>) -> HashMap<u32, u32> {
    let mut duplicates = HashMap::new();
    let mut same_offset: Vec<u32> = Vec::new();
    // The entry so far that reaches farthest.
    let mut farthest: Option<(u32, u64)> = None;
    for position in order.iter().copied() {
        let Some(entry) = entries.get(position as usize) else { continue };
        let (line, offset) = (entry.line, entry.offset);
        let first_here = same_offset.first().and_then(|first| entries.get(*first as usize));
        if first_here.is_some_and(|first| first.offset != offset) {
            same_offset.clear();
        }
        // A message holds few fields; a bound keeps hostile indexes from a quadratic search.
        let equal = same_offset.iter().rev().take(64).filter_map(|p| entries.get(*p as usize)).find(|other| {
            other.length == entry.length && other.submessage == entry.submessage && same_keys(other, entry)
        });
        if let Some(equal) = equal {
            duplicates.insert(line, equal.line);
            continue;
        }
        let end = entry.length.and_then(|length| offset.checked_add(length));
        let other = match same_offset.first().and_then(|p| entries.get(*p as usize).map(|e| (*p, e))) {
            // Fields of one message share its bytes.
            Some((_, first))
                if first.submessage.is_some() && entry.submessage.is_some() && first.length == entry.length =>
            {
                None
            }
            Some((first, _)) => Some(first),
            None => farthest.filter(|(_, reach)| *reach > offset).map(|(position, _)| position),
        };
        same_offset.push(position);
        if let Some(other) = other {
            let other_line = entries.get(other as usize).map_or(0, |other| other.line);
            found.push((line, Reason::Overlap { line: other_line }));
            for position in [other, position] {
                if let Some(entry) = entries.get_mut(position as usize) {
                    entry.overlaps = true;
                }
            }
        }
        if let Some(end) = end.filter(|end| farthest.is_none_or(|(_, reach)| *end > reach)) {
            farthest = Some((position, end));
        }
    }
    duplicates
}

fn same_keys(a: &Entry, b: &Entry) -> bool {
    let (a, b) = (&a.keys, &b.keys);
    (a.time, a.step, a.step_start, a.step_kind) == (b.time, b.step, b.step_start, b.step_kind)
        && (a.level, a.number) == (b.level, b.number)
        && (std::sync::Arc::ptr_eq(&a.text, &b.text) || a.text == b.text)
}
