//! Coverage: for each variable and slot, not expected, missing, virtual, materialised or failed; from the manifests and
//! the ledger alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::StreamExt;
use serde::Serialize;

use crate::cube::layout::{Group, Variable};
use crate::cube::place::join;
use crate::cube::ranges::tuples;
use crate::cube::select::{ChosenSlots, check_keys, chosen_slots};
use crate::error::{Error, Result};
use crate::read::{ChunkState, Snapshot};
use crate::repository::ledger::{self, FileRecord};
use crate::selection::Selection;

/// What one slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SlotState {
    /// The product has no such field (`tp` at step 0).
    NotExpected,
    /// Nothing arrived.
    Missing,
    /// A message elsewhere.
    Virtual,
    /// Decoded and stored.
    Materialised,
    /// A field arrived and was refused, and there is nothing else.
    Failed,
    /// A field arrived and was refused; the older one is still there.
    ReplacementFailed,
}

/// How many slots are what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageCounts {
    /// The sum of the others.
    pub expected: u64,
    /// [`SlotState::Missing`].
    pub missing: u64,
    /// [`SlotState::Virtual`].
    #[serde(rename = "virtual")]
    pub virtual_: u64,
    /// [`SlotState::Materialised`].
    pub materialised: u64,
    /// [`SlotState::Failed`].
    pub failed: u64,
    /// [`SlotState::ReplacementFailed`].
    pub replacement_failed: u64,
}

impl CoverageCounts {
    fn count(&mut self, state: SlotState) {
        match state {
            SlotState::NotExpected => return,
            SlotState::Missing => self.missing += 1,
            SlotState::Virtual => self.virtual_ += 1,
            SlotState::Materialised => self.materialised += 1,
            SlotState::Failed => self.failed += 1,
            SlotState::ReplacementFailed => self.replacement_failed += 1,
        }
        self.expected += 1;
    }

    /// Every expected slot is virtual or materialised.
    pub fn is_complete(&self) -> bool {
        self.missing == 0 && self.failed == 0
    }

    /// Adds the counts of other slots.
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.missing += other.missing;
        self.virtual_ += other.virtual_;
        self.materialised += other.materialised;
        self.failed += other.failed;
        self.replacement_failed += other.replacement_failed;
    }
}

/// The coverage of one variable.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VariableCoverage {
    /// Path below `/`.
    pub variable: String,
    /// Names of the dimensions that the states are over.
    pub dimensions: Vec<String>,
    /// The coordinate values of these, as text.
    pub coordinates: Vec<Vec<String>>,
    /// How many of the states are what.
    pub counts: CoverageCounts,
    /// One state a slot, in C order over `dimensions`.
    pub states: Vec<SlotState>,
}

/// A field that was refused, or a file of which nothing could be read.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedField {
    /// The source file.
    pub url: String,
    /// First byte of the message; `None` when the whole file is bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What it is, as far as that is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// Where it belongs, as far as that is known: `/t2m[0,1,2]` or `/t2m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Why it has no place.
    pub reason: String,
    /// When it was recorded, RFC 3339.
    pub recorded: String,
}

/// The coverage of a selection.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Id of the snapshot that was looked at.
    pub snapshot: String,
    /// The sum over the variables.
    pub total: CoverageCounts,
    /// One for each variable of which the selection takes something, sorted by path.
    pub variables: Vec<VariableCoverage>,
    /// All refused fields and bad files on record, whatever the selection.
    pub failures: Vec<FailedField>,
}

/// The states of all chunks of an array that are not missing, by slot index.
pub async fn chunk_states(snapshot: &Snapshot, array: &str) -> Result<Vec<(Vec<u32>, ChunkState)>> {
    let info = snapshot.array(array).await?;
    let slots = snapshot
        .layout()
        .variable(&info.name)
        .map_or(info.shape.len(), |(group, variable)| group.slot_shape(variable).len());
    let session = std::sync::Arc::clone(snapshot.session());
    let chunks = session.array_chunk_iterator(&info.path).await;
    let mut chunks = std::pin::pin!(chunks);
    let mut states = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(Error::repository(format!("listing the chunks of /{array}")))?;
        let mut index = chunk.coord.0;
        index.truncate(slots);
        states.push((index, snapshot.state_of(&chunk.payload)?));
    }
    Ok(states)
}

/// The coverage of what a selection takes; of everything without one.
pub async fn coverage(snapshot: &Snapshot, selection: Option<&Selection>) -> Result<Coverage> {
    let latest_complete = match selection {
        Some(selection) => {
            check_keys(selection, snapshot.layout().groups.values())?;
            latest_complete(snapshot, selection).await?
        }
        None => None,
    };
    let records = ledger::read_all(snapshot.session()).await?;
    let refused = refused_slots(&records);
    let mut result = Coverage {
        snapshot: snapshot.id(),
        total: CoverageCounts::default(),
        variables: Vec::new(),
        failures: failures(records),
    };
    for (path, group) in &snapshot.layout().groups {
        for (name, variable) in &group.variables {
            let array = join(path, name);
            let Some(chosen) = chosen_slots(group, &array, variable, selection, latest_complete) else { continue };
            let coverage = variable_coverage(snapshot, group, &array, variable, &chosen, &refused).await?;
            result.total.add(&coverage.counts);
            result.variables.push(coverage);
        }
    }
    Ok(result)
}

async fn variable_coverage(
    snapshot: &Snapshot,
    group: &Group,
    array: &str,
    variable: &Variable,
    chosen: &ChosenSlots,
    refused: &HashSet<String>,
) -> Result<VariableCoverage> {
    let present: HashMap<Vec<u32>, ChunkState> = chunk_states(snapshot, array).await?.into_iter().collect();
    let mut counts = CoverageCounts::default();
    let mut states = Vec::with_capacity(chosen.count() as usize);
    for index in tuples(&chosen.indices) {
        let failed = !refused.is_empty() && {
            let slot = crate::cube::place::Slot { array: array.to_string(), index: index.clone() };
            refused.contains(&slot.to_string())
        };
        let state = match (present.get(&index), failed) {
            (Some(ChunkState::Virtual { .. } | ChunkState::Materialised { .. }), true) => SlotState::ReplacementFailed,
            (Some(ChunkState::Virtual { .. }), false) => SlotState::Virtual,
            (Some(ChunkState::Materialised { .. }), false) => SlotState::Materialised,
            (_, true) => SlotState::Failed,
            (_, false) if group.is_expected(variable, &index) => SlotState::Missing,
            (_, false) => SlotState::NotExpected,
        };
        counts.count(state);
        states.push(state);
    }
    let dimensions = group.dimensions(variable);
    let dimensions = dimensions.get(..chosen.indices.len()).unwrap_or_default().to_vec();
    let coordinates = dimensions
        .iter()
        .zip(&chosen.indices)
        .map(|(dimension, indices)| indices.iter().map(|&i| label(group, variable, dimension, i as usize)).collect())
        .collect();
    Ok(VariableCoverage { variable: array.to_string(), dimensions, coordinates, counts, states })
}

fn label(group: &Group, variable: &Variable, dimension: &str, i: usize) -> String {
    let text = match dimension {
        "time" => group.times.get(i).map(|t| crate::time::compact(*t)),
        "step" => group.steps.get(i).map(|s| crate::cube::name::duration(*s)),
        "number" => group.members.get(i).map(ToString::to_string),
        _ => group.level_dimension(variable).get(i).map(ToString::to_string),
    };
    text.unwrap_or_default()
}

/// Slots that a recorded refusal names. A later record of the same URL replaced the earlier one, so what was repaired
/// is no longer there.
fn refused_slots(records: &[FileRecord]) -> HashSet<String> {
    let slots = records.iter().flat_map(|r| &r.refused).filter_map(|f| f.slot.clone());
    slots.filter(|slot| slot.ends_with(']')).collect()
}

fn failures(records: Vec<FileRecord>) -> Vec<FailedField> {
    let mut failures: Vec<FailedField> = Vec::new();
    for record in records {
        failures.extend(record.error.map(|reason| FailedField {
            url: record.url.clone(),
            offset: None,
            field: String::new(),
            slot: None,
            reason,
            recorded: record.recorded.clone(),
        }));
        failures.extend(record.refused.into_iter().map(|refused| FailedField {
            url: record.url.clone(),
            offset: Some(refused.offset),
            field: refused.field,
            slot: refused.slot,
            reason: refused.reason,
            recorded: record.recorded.clone(),
        }));
    }
    failures.sort_by(|a, b| (&a.url, a.offset).cmp(&(&b.url, b.offset)));
    failures
}

/// The last reference time at which everything else that a selection takes is complete.
pub async fn latest_complete(snapshot: &Snapshot, selection: &Selection) -> Result<Option<i64>> {
    let asked = selection.get("time").into_iter().flatten().any(|term| term.to_string().contains("latest-complete"));
    if !asked {
        return Ok(None);
    }
    let mut rest = selection.clone();
    rest.terms.retain(|(key, _)| key != "time");
    let mut missing: BTreeMap<i64, u64> = BTreeMap::new();
    for (path, group) in &snapshot.layout().groups {
        for (name, variable) in &group.variables {
            let array = join(path, name);
            let Some(chosen) = chosen_slots(group, &array, variable, Some(&rest), None) else { continue };
            let present: HashSet<Vec<u32>> =
                chunk_states(snapshot, &array).await?.into_iter().map(|(index, _)| index).collect();
            for index in tuples(&chosen.indices) {
                let Some(time) = index.first().and_then(|&i| group.times.get(i as usize)) else { continue };
                let lacks = group.is_expected(variable, &index) && !present.contains(&index);
                *missing.entry(*time).or_default() += u64::from(lacks);
            }
        }
    }
    Ok(missing.into_iter().rev().find(|(_, count)| *count == 0).map(|(time, _)| time))
}
