//! Which fields of a file go where, before anything is written.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use crate::cube::build::selects;
use crate::cube::layout::Layout;
use crate::cube::place::Slot;
use crate::error::Result;
use crate::grib::decode::FieldSelector;
use crate::repository::ledger::RefusedField;
use crate::selection::Selection;
use crate::source::{MESSAGE_GAP, Remote};

use super::report::FileReport;
use super::scan::{ScannedField, ScannedFile};

/// A field and one of its slots.
#[derive(Debug, Clone)]
pub struct PlacedField {
    pub slot: Slot,
    pub field: ScannedField,
    /// Decode and store it, rather than refer to it.
    pub materialise: bool,
}

/// What of a file gets a slot.
#[derive(Debug, Default)]
pub struct Placement {
    pub placed: Vec<PlacedField>,
    pub report: FileReport,
}

/// Places the fields of a file. Fields that cannot be told from another one of their message by the codec's selector, and
/// those of finalised variables, are marked to be materialised.
pub async fn place(
    layout: &Layout,
    scanned: &ScannedFile,
    materialise: Option<&Selection>,
    remote: &Remote,
) -> Result<Placement> {
    let mut report = FileReport {
        url: scanned.url.clone(),
        size: scanned.fingerprint.size,
        fields: scanned.fields.len() as u64,
        refused: scanned.refused.clone(),
        warnings: scanned.warnings.clone(),
        ..Default::default()
    };
    let ambiguous = fields_the_codec_cannot_pick(&scanned.fields);
    let chosen = layout.selection();
    let mut by_slot: BTreeMap<Slot, Vec<ScannedField>> = BTreeMap::new();
    for field in &scanned.fields {
        match layout.place(&field.key) {
            Ok(slots) => {
                for slot in slots {
                    by_slot.entry(slot).or_default().push(field.clone());
                }
            }
            Err(_) if chosen.as_ref().is_some_and(|chosen| !selects(chosen, &field.key)) => report.not_selected += 1,
            Err(refusal) => report.refused.push(RefusedField {
                offset: field.offset,
                submessage: field.submessage,
                field: field.key.to_string(),
                slot: refusal.array.map(|array| format!("/{array}")),
                reason: refusal.reason,
            }),
        }
    }
    let mut placed = Vec::with_capacity(by_slot.len());
    for (slot, mut fields) in by_slot {
        if fields.len() > 1 {
            report.duplicates += remove_identical(scanned, &mut fields, remote).await?;
        }
        if let [first, second, ..] = fields.as_slice() {
            let reason = format!(
                "two fields for one slot, neither is taken: {} at byte {}, and {} at byte {}",
                first.key, first.offset, second.key, second.offset
            );
            report.refused.extend(fields.iter().map(|field| RefusedField {
                offset: field.offset,
                submessage: field.submessage,
                field: field.key.to_string(),
                slot: Some(slot.to_string()),
                reason: reason.clone(),
            }));
            continue;
        }
        let Some(field) = fields.pop() else { continue };
        let wanted = materialise.is_some_and(|selection| selects(selection, &field.key));
        // A finalised array has standard codecs only, which no GRIB message would pass.
        let finalised = layout.variable(&slot.array).is_some_and(|(_, variable)| variable.finalised);
        let materialise = wanted || finalised || ambiguous.contains(&(field.offset, field.submessage));
        placed.push(PlacedField { slot, field, materialise });
    }
    Ok(Placement { placed, report })
}

/// Fields of messages in which another field has the same parameter, type of level and grid.
fn fields_the_codec_cannot_pick(fields: &[ScannedField]) -> HashSet<(u64, u32)> {
    let mut seen: HashMap<(u64, FieldSelector), Vec<u32>> = HashMap::new();
    for field in fields.iter().filter(|f| f.submessages > 1) {
        seen.entry((field.offset, FieldSelector::of(&field.key))).or_default().push(field.submessage);
    }
    let several = seen.into_iter().filter(|(_, fields)| fields.len() > 1);
    several.flat_map(|((offset, _), fields)| fields.into_iter().map(move |f| (offset, f))).collect()
}

/// Keeps one of the fields whose messages are the same bytes. Returns how many went.
async fn remove_identical(scanned: &ScannedFile, fields: &mut Vec<ScannedField>, remote: &Remote) -> Result<u64> {
    let file = scanned.open(remote).await?;
    let parts: Vec<(u64, u64)> = fields.iter().map(|field| (field.offset, field.length)).collect();
    let read = file.read_many(&parts, MESSAGE_GAP).await;
    let mut kept: Vec<(ScannedField, Bytes)> = Vec::new();
    let before = fields.len();
    for (field, bytes) in fields.drain(..).zip(read) {
        let bytes = bytes?;
        let same = |(other, other_bytes): &(ScannedField, Bytes)| {
            other.key == field.key && other.submessage == field.submessage && *other_bytes == bytes
        };
        if !kept.iter().any(same) {
            kept.push((field, bytes));
        }
    }
    fields.extend(kept.into_iter().map(|(field, _)| field));
    Ok((before - fields.len()) as u64)
}
