//! Decode virtual chunks and replace them by stored ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use icechunk::format::manifest::ChunkPayload;
use serde::Serialize;
use serde_json::json;

use crate::cube::layout::Layout;
use crate::cube::place::Slot;
use crate::cube::select::{check_keys, chosen_slots};
use crate::error::{Error, Result};
use crate::grib::decode;
use crate::grib::grid::Grid;
use crate::read::{ChunkState, Snapshot};
use crate::repository::{Conflict, Reference, Repository, Transaction, nodes};
use crate::selection::Selection;
use crate::source::{MESSAGE_GAP, Remote};

use super::place::PlacedField;
use super::scan::ScannedFile;

/// A field that was decoded for storing.
pub(super) struct Decoded<'a> {
    pub placed: &'a PlacedField,
    pub encoded: Result<Bytes>,
}

/// Decodes fields of one file and encodes them as the default inner chain does, on all cores.
pub(super) async fn decode_and_encode<'a>(
    layout: &Layout,
    scanned: &ScannedFile,
    fields: &'a [PlacedField],
    remote: &Remote,
) -> Result<Vec<Decoded<'a>>> {
    let file = scanned.open(remote).await?;
    let ranges: Vec<(u64, u64)> = fields.iter().map(|placed| (placed.field.offset, placed.field.length)).collect();
    let messages = file.read_many(&ranges, MESSAGE_GAP).await;
    let work: Vec<(&'a PlacedField, Result<Bytes>)> = fields.iter().zip(messages).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).max(1);
    let share = fields.len().div_ceil(threads).max(1);
    let decode_one = |(placed, message): &(&'a PlacedField, Result<Bytes>)| Decoded {
        placed,
        encoded: match message {
            Ok(message) => encode_field(layout, scanned, message, placed),
            Err(error) => Err(Error::Source { location: scanned.url.clone(), reason: error.to_string() }),
        },
    };
    let decode_one = &decode_one;
    let parts: Vec<Vec<Decoded<'a>>> = std::thread::scope(|scope| {
        let running: Vec<_> = work
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(decode_one).collect::<Vec<_>>()))
            .collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let decoded: Vec<Decoded<'a>> = parts.into_iter().flatten().collect();
    if decoded.len() != fields.len() {
        return Err(Error::Source { location: scanned.url.clone(), reason: "a decoder stopped unexpectedly".into() });
    }
    Ok(decoded)
}

fn encode_field(layout: &Layout, scanned: &ScannedFile, message: &[u8], placed: &PlacedField) -> Result<Bytes> {
    let place = format!("{} at byte {}", scanned.url, placed.field.offset);
    let (sections, _) = crate::read::field_of_slot(layout, &placed.slot, &place, message)?;
    let grid = Grid::from_sections(&sections).map_err(Error::grib(place.as_str()))?;
    let mut values = vec![f32::NAN; grid.points()];
    decode::decode_field(&sections, &grid, &mut values).map_err(|e| crate::read::decode_error(&place, e))?;
    encode_values(&values)
}

fn encode_values(values: &[f32]) -> Result<Bytes> {
    let mut plain = Vec::with_capacity(values.len() * 4);
    values.iter().for_each(|value| plain.extend_from_slice(&value.to_le_bytes()));
    nodes::encode(&plain)
}

/// What is materialised, and in how many commits.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct MaterialiseOptions {
    /// Everything that is virtual, when there is none.
    pub select: Option<Selection>,
    /// Slots in a commit; one commit for all when there is none.
    pub batch: Option<usize>,
}

/// What a materialise did.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MaterialiseReport {
    /// Slots that were virtual and are stored now.
    pub materialised: u64,
    /// Bytes that were stored.
    pub bytes: u64,
    /// Slots that stay virtual, and why.
    pub failed: Vec<FailedSlot>,
    /// Snapshot ids of the commits that were made.
    pub snapshots: Vec<String>,
}

/// A slot that could not be materialised.
#[derive(Debug, Clone, Serialize)]
pub struct FailedSlot {
    pub slot: String,
    pub field: String,
    pub reason: String,
}

/// Decodes the virtual chunks of a selection and stores them. A reader sees each slot virtual or materialised, with the
/// same values, never missing.
pub async fn materialise(repository: &Repository, options: &MaterialiseOptions) -> Result<MaterialiseReport> {
    let snapshot = repository.snapshot(&Reference::default()).await?;
    let slots = virtual_slots(&snapshot, options.select.as_ref()).await?;
    let mut report = MaterialiseReport::default();
    let size = options.batch.unwrap_or(slots.len()).max(1);
    for part in slots.chunks(size) {
        materialise_part(repository, &snapshot, part, &mut report).await?;
    }
    Ok(report)
}

async fn virtual_slots(snapshot: &Snapshot, select: Option<&Selection>) -> Result<Vec<Slot>> {
    let mut slots = Vec::new();
    let latest_complete = match select {
        Some(select) => {
            check_keys(select, snapshot.layout().groups.values())?;
            crate::inspect::latest_complete(snapshot, select).await?
        }
        None => None,
    };
    for (path, group) in &snapshot.layout().groups {
        for (name, variable) in &group.variables {
            let array = crate::cube::place::join(path, name);
            let Some(chosen) = chosen_slots(group, &array, variable, select, latest_complete) else { continue };
            for (index, state) in crate::inspect::chunk_states(snapshot, &array).await? {
                if matches!(state, ChunkState::Virtual { .. }) && chosen.contains(&index) {
                    slots.push(Slot { array: array.clone(), index });
                }
            }
        }
    }
    slots.sort();
    Ok(slots)
}

async fn materialise_part(
    repository: &Repository,
    snapshot: &Snapshot,
    slots: &[Slot],
    report: &mut MaterialiseReport,
) -> Result<()> {
    let mut transaction = repository.transaction("main").await?;
    let stored = store_slots(&mut transaction, snapshot, slots, report).await?;
    if stored == 0 {
        return Ok(());
    }
    let changes = BTreeMap::from([
        ("action".to_string(), json!("materialise")),
        ("materialised".to_string(), json!(stored)),
        ("failed".to_string(), json!(report.failed.len())),
    ]);
    // A slot that another writer filled meanwhile keeps the other's chunk: it is newer than what was decoded here.
    let id = transaction.commit(&format!("materialise {stored} slots"), changes, Conflict::Keep).await?;
    report.materialised += stored;
    report.snapshots.push(id.to_string());
    Ok(())
}

/// Materialises in a transaction that somebody else commits: the virtual slots of a selection as they are in `snapshot`,
/// the state that the transaction began with.
pub async fn materialise_within(
    transaction: &mut Transaction,
    snapshot: &Snapshot,
    select: Option<&Selection>,
) -> Result<MaterialiseReport> {
    let slots = virtual_slots(snapshot, select).await?;
    let mut report = MaterialiseReport::default();
    report.materialised = store_slots(transaction, snapshot, &slots, &mut report).await?;
    Ok(report)
}

/// Decodes and stores slots, and puts them into a transaction. Returns how many.
async fn store_slots(
    transaction: &mut Transaction,
    snapshot: &Snapshot,
    slots: &[Slot],
    report: &mut MaterialiseReport,
) -> Result<u64> {
    let mut stored = 0u64;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for part in slots.chunks(threads * 4) {
        // A slot that another writer changed since the snapshot is left to the next run.
        let mut unchanged = Vec::new();
        for slot in part {
            let info = snapshot.array(&slot.array).await?;
            let then = snapshot.payload(&info, &slot.index).await?;
            if then.is_some() && transaction.chunk(slot).await? == then {
                unchanged.push(slot);
            }
        }
        // Streams of owned slots and of futures that are there: otherwise this future would not be `Send`.
        let owned: Vec<Slot> = unchanged.iter().map(|&slot| slot.clone()).collect();
        let results: Vec<Result<Bytes>> = futures::stream::iter(owned)
            .map(|slot| {
                let snapshot = snapshot.clone();
                let work = tokio::spawn(async move { encode_slot(&snapshot, &slot).await });
                async move { work.await.unwrap_or_else(|e| Err(Error::repository("decoding")(e))) }
            })
            .buffered(threads)
            .collect()
            .await;
        let encoded: Vec<(&Slot, Result<Bytes>)> = unchanged.into_iter().zip(results).collect();
        let mut uploads = Vec::new();
        for (slot, encoded) in encoded {
            match encoded {
                Ok(bytes) => uploads.push((slot, bytes)),
                Err(error) => report.failed.push(FailedSlot {
                    slot: slot.to_string(),
                    field: crate::read::describe_slot(snapshot.layout(), slot),
                    reason: error.to_string(),
                }),
            }
        }
        let payloads: Vec<(&Slot, u64, ChunkPayload)> = {
            let transaction = &*transaction;
            let upload = |(slot, bytes): (_, Bytes)| async move {
                let length = bytes.len() as u64;
                Ok::<_, Error>((slot, length, transaction.upload(slot, bytes).await?))
            };
            let uploads: Vec<_> = uploads.into_iter().map(upload).collect();
            futures::stream::iter(uploads).buffered(16).try_collect().await?
        };
        for (slot, length, payload) in payloads {
            transaction.set_stored(slot, Some(payload)).await?;
            stored += 1;
            report.bytes += length;
        }
    }
    Ok(stored)
}

async fn encode_slot(snapshot: &Snapshot, slot: &Slot) -> Result<Bytes> {
    let values: Option<Arc<[f32]>> = snapshot.read_chunk(&slot.array, &slot.index).await?;
    match values {
        Some(values) => encode_values(&values),
        None => Err(Error::not_found(slot.to_string(), "the slot is missing now")),
    }
}
