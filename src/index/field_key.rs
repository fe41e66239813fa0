//! From one header read to the field keys of a whole group of lines.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::keys::LineText;
use super::{Entry, StepKind};
use crate::grib::key::{Decimal, FieldKey, StepType};

/// Everything that must be equal for the header of one line to speak for another: the words of the line (parameter,
/// type of level, and the level unless it is a number to put in; MARS keys; ensemble product; whatever else was
/// said), the kind of step, and the shape of the window.
#[derive(Debug, Clone)]
pub struct GroupKey {
    text: Arc<LineText>,
    rest: (StepKind, Window, bool, bool, Option<u32>),
}

/// The shape of a line's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Window {
    /// Step 0: some products have an instant there where they have a window later, and it shows no window's length.
    AtStart,
    /// No window in the line: an instant, or a window that only the header knows.
    NotSaid,
    /// From step 0.
    FromStart,
    /// Of so many seconds.
    Length(i64),
    /// The line's time could not be understood.
    NotUnderstood,
}

impl PartialEq for GroupKey {
    fn eq(&self, other: &Self) -> bool {
        self.rest == other.rest && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for GroupKey {}

impl Hash for GroupKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A part of the words is enough to tell groups apart, and cheap.
        self.text.param.hash(state);
        self.text.level.hash(state);
        self.text.product.hash(state);
        self.rest.hash(state);
    }
}

/// Why the sample's header does not speak for a line: read the line's own header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disagreement {
    /// The sample's line and its own message differ; see [`Entry::disagreement`].
    #[error("the index contradicts the message: {}", .0.join("; "))]
    Contradiction(Vec<String>),
    /// It may differ in what only headers say.
    #[error("the line is not of the sample's group")]
    OtherGroup,
    /// The line overlaps another, so its bytes may not be its message.
    #[error("the line overlaps another line")]
    Overlap,
    /// The line does not say what differs from the sample.
    #[error("the line does not say its {0}")]
    NotSaid(&'static str),
    /// The sample's window starts at 0 or depends on the spacing of steps: nothing says where this line's window starts.
    #[error("the start of the window cannot be known without the message's header")]
    UnknownWindow,
}

impl Entry {
    /// The group whose lines share one header read.
    pub fn group(&self) -> GroupKey {
        let keys = &self.keys;
        let window = match (keys.step_start, keys.step) {
            (_, None) => Window::NotUnderstood,
            (_, Some(0)) => Window::AtStart,
            (None, Some(_)) => Window::NotSaid,
            (Some(0), Some(_)) => Window::FromStart,
            (Some(start), Some(end)) => Window::Length(end.saturating_sub(start)),
        };
        let fixed_level = keys.level.filter(|_| !self.level_is_substituted());
        let rest = (keys.step_kind, window, keys.time.is_some(), keys.number.is_some(), fixed_level);
        GroupKey { text: Arc::clone(&keys.text), rest }
    }

    /// The field key of this line, given `sample`, the key that was read from the header of `sample_entry`, a line of the
    /// same group. Time, step, window, member and level come from this line, everything else from the sample.
    ///
    /// An error means that this line's own header must be read; nothing is guessed.
    pub fn key_from_sample(&self, sample_entry: &Entry, sample: &FieldKey) -> Result<FieldKey, Disagreement> {
        if self.group() != sample_entry.group() {
            return Err(Disagreement::OtherGroup);
        }
        if self.overlaps || sample_entry.overlaps {
            return Err(Disagreement::Overlap);
        }
        let contradictions = sample_entry.disagreement(sample);
        if !contradictions.is_empty() {
            return Err(Disagreement::Contradiction(contradictions));
        }
        if (self.line, self.offset) == (sample_entry.line, sample_entry.offset) {
            return Ok(sample.clone());
        }
        let (keys, sample_keys) = (&self.keys, &sample_entry.keys);
        let mut key = sample.clone();
        let time = keys.time.ok_or(Disagreement::NotSaid("reference time"))?;
        if sample.time.is_none() {
            return Err(Disagreement::NotSaid("reference time"));
        }
        key.time = Some(time);
        let step = keys.step.ok_or(Disagreement::NotSaid("step"))?;
        key.step_start = self.window_start(step, sample)?;
        key.step = step;
        match (keys.number, sample.number) {
            (Some(number), Some(_)) => key.number = Some(number),
            // A control that is coded as a deterministic forecast: the message wins.
            (Some(0), None) => {}
            (Some(_), None) => return Err(Disagreement::NotSaid("member as the messages number it")),
            (None, None) => {}
            (None, Some(_)) => return Err(Disagreement::NotSaid("member")),
        }
        if keys.level != sample_keys.level {
            let level = keys.level.ok_or(Disagreement::NotSaid("level"))?;
            key.level = Some(whole(i64::from(level)));
        }
        Ok(key)
    }

    /// [`Entry::key_from_sample`] for a sample from another file of the same product. Less is taken from it: the length of
    /// a window may change along the steps, so only a total since the start that lasts longer than this line's, and
    /// windows that the line or its name gives, are understood.
    pub fn key_from_other_file(&self, sample_entry: &Entry, sample: &FieldKey) -> Result<FieldKey, Disagreement> {
        let (mut entry, mut key) = (sample_entry.clone(), sample.clone());
        // Equal line numbers mean nothing here.
        entry.line = 0;
        if self.keys.step == Some(0) && entry.keys.step != Some(0) {
            // What is an instant later is one at step 0.
            if key.step_start.is_some() {
                return Err(Disagreement::UnknownWindow);
            }
            entry.keys.step = Some(0);
            key.step = 0;
        } else if let (Some(start), None) = (key.step_start, self.keys.step_start)
            && self.keys.step != Some(key.step)
        {
            let total = start == 0 && self.keys.step < Some(key.step);
            let named = named_hours(&self.keys.text.param).map(|hours| hours.saturating_mul(3600));
            if !total && named != Some(key.step.saturating_sub(start)) {
                return Err(Disagreement::UnknownWindow);
            }
        }
        self.key_from_sample(&entry, &key)
    }

    /// The group that this line would be of at a later step.
    pub fn later_group(&self) -> GroupKey {
        let mut later = self.clone();
        later.keys.step = later.keys.step.map(|step| step.max(1));
        later.group()
    }

    /// Where this line contradicts `message`, the key in the header of the message it points to: one sentence each. The message wins.
    pub fn disagreement(&self, message: &FieldKey) -> Vec<String> {
        super::agreement::contradictions(&self.keys, message)
    }

    fn level_is_substituted(&self) -> bool {
        matches!(&*self.keys.text.level, "mb" | "pl" | "ml")
    }

    fn window_start(&self, step: i64, sample: &FieldKey) -> Result<Option<i64>, Disagreement> {
        let Some(sample_start) = sample.step_start else { return Ok(None) };
        if let Some(start) = self.keys.step_start {
            return Ok(Some(start));
        }
        if step == sample.step {
            return Ok(Some(sample_start));
        }
        let length = sample.step.checked_sub(sample_start).ok_or(Disagreement::UnknownWindow)?;
        let window =
            || step.checked_sub(length).filter(|start| *start >= 0).map(Some).ok_or(Disagreement::UnknownWindow);
        // `mx2t3`, `10fg6`: the name has the hours.
        if named_hours(&self.keys.text.param).and_then(|hours| hours.checked_mul(3600)) == Some(length) {
            return window();
        }
        match sample.step_type {
            StepType::Accumulation | StepType::Average if sample_start == 0 => Ok(Some(0)),
            StepType::Accumulation | StepType::Average => window(),
            // "since previous post-processing": as long as the steps are apart.
            _ => Err(Disagreement::UnknownWindow),
        }
    }
}

/// The number at the end of a short name.
fn named_hours(param: &str) -> Option<i64> {
    let stem = param.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.is_empty() {
        return None;
    }
    param.strip_prefix(stem)?.parse().ok()
}

/// A whole number as a level, in the form that a header read gives it.
pub(super) fn whole(value: i64) -> Decimal {
    Decimal { value, scale: 0 }
}
