//! The read path of one slot: what a reader would do, step by step, and where it would stop.

use icechunk::format::manifest::{Checksum, ChunkPayload, VirtualChunkRef};
use serde::Serialize;
use serde_json::Value;

use crate::cube::place::Slot;
use crate::cube::select::{check_keys, chosen_slots};
use crate::error::{Error, Result};
use crate::grib::decode;
use crate::grib::grid::{Grid, GridKeys};
use crate::grib::header::FieldHeader;
use crate::grib::key::FieldKey;
use crate::grib::packing::{Packing, PackingKeys};
use crate::grib::sections::FieldSections;
use crate::read::{ArrayInfo, ChunkState, Snapshot, describe_slot, field_of_slot, parse_location};
use crate::repository::ledger;
use crate::selection::Selection;

use super::coverage::latest_complete;
use super::listing::{FieldValues, field_values, statistics};

/// One thing that a reader looks at before it gives a value out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedCheck {
    /// What is looked at: `location`, `allowed`, `unchanged`, `message`, `whole key`, `grid`, `decode`, ...
    pub check: &'static str,
    /// Whether a read goes on.
    pub passed: bool,
    /// What was found, or why a read stops.
    pub detail: String,
}

/// What a slot's chunk is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum ExplainedReference {
    /// Nothing arrived: reads give the fill value.
    Missing,
    /// A byte range of a message.
    Virtual {
        /// As stored, with what the source was in the fragment.
        location: String,
        /// Without the fragment, `vcc://` resolved.
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// First byte of the message.
        offset: u64,
        /// Length of the message in bytes.
        length: u64,
        /// What tells another version of the source: `size`, `mtime_ns`, `lastModified`, `eTag`.
        checksum: Vec<String>,
    },
    /// Bytes in the repository, in an object of its own.
    Stored {
        /// Path of the object below the repository.
        object: String,
        /// First byte of the chunk in it.
        offset: u64,
        /// Length of the chunk as stored, in bytes.
        length: u64,
    },
    /// Bytes in the manifest itself.
    Inline {
        /// Length of the chunk as stored, in bytes.
        length: u64,
    },
}

/// The read path of one slot.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The snapshot that was asked.
    pub snapshot: String,
    /// Path below `/`.
    pub array: String,
    /// The slot in coordinates.
    pub slot: String,
    /// The slot's indices.
    pub index: Vec<u32>,
    /// The chunk's key in the Zarr hierarchy.
    pub zarr_key: String,
    /// Points of a chunk along each dimension.
    pub chunk_shape: Vec<u64>,
    /// The array's codecs as stored.
    pub codecs: Value,
    /// Whether a run fills this slot.
    pub expected: bool,
    /// What the slot's chunk is.
    pub reference: ExplainedReference,
    /// What a reader looks at, in this order; the last one that is here may have failed.
    pub checks: Vec<ExplainedCheck>,
    /// The message's header, under ecCodes' key names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<FieldHeader>,
    /// The message's grid, under ecCodes' key names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<GridKeys>,
    /// How the message is packed, under ecCodes' key names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packing: Option<PackingKeys>,
    /// Which decoder made the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// Statistics of the values that a read gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<FieldValues>,
    /// Where a read stops and why; none when it gives values (or, for a missing slot, NaN).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stops: Option<String>,
    /// Fields that were refused for this slot, with file and reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

impl Explanation {
    fn pass(&mut self, check: &'static str, detail: impl Into<String>) {
        self.checks.push(ExplainedCheck { check, passed: true, detail: detail.into() });
    }

    fn stop(&mut self, check: &'static str, reason: impl std::fmt::Display) {
        let detail = reason.to_string();
        self.stops = Some(format!("{check}: {detail}"));
        self.checks.push(ExplainedCheck { check, passed: false, detail });
    }
}

/// Explains the slot that a selection takes of an array.
///
/// # Errors
/// When the selection does not take exactly one slot, or the repository's own metadata cannot be read. What stops a read is
/// in [`Explanation::stops`].
pub async fn explain(snapshot: &Snapshot, array: &str, selection: &Selection) -> Result<Explanation> {
    let info = snapshot.array(array).await?;
    let slot = the_slot(snapshot, &info, selection).await?;
    let layout = std::sync::Arc::clone(snapshot.layout());
    let expected =
        layout.variable(&slot.array).is_some_and(|(group, variable)| group.is_expected(variable, &slot.index));
    let mut chunk: Vec<String> = slot.index.iter().map(ToString::to_string).collect();
    chunk.resize(info.shape.len(), "0".into());
    let payload = snapshot.payload(&info, &slot.index).await?;
    let mut explanation = Explanation {
        snapshot: snapshot.id(),
        array: info.name.clone(),
        slot: describe_slot(&layout, &slot),
        index: slot.index.clone(),
        zarr_key: format!("{}/c/{}", info.name, chunk.join("/")),
        chunk_shape: info.chunk_shape.clone(),
        codecs: info.metadata["codecs"].clone(),
        expected,
        reference: reference_of(snapshot, payload.as_ref()),
        checks: Vec::new(),
        header: None,
        grid: None,
        packing: None,
        decoder: None,
        values: None,
        stops: None,
        refused: refused(snapshot, &slot).await?,
    };
    match payload {
        None => {
            let why = if expected { "nothing has arrived yet" } else { "a run has no such field" };
            explanation.pass("reference", format!("none: {why}, reads give NaN"));
        }
        Some(ChunkPayload::Virtual(reference)) => {
            explain_virtual(snapshot, &info, &slot, &reference, &mut explanation).await;
        }
        Some(_) => explain_stored(snapshot, &info, &slot, &mut explanation).await,
    }
    Ok(explanation)
}

/// The one slot of a selection.
async fn the_slot(snapshot: &Snapshot, info: &ArrayInfo, selection: &Selection) -> Result<Slot> {
    let layout = snapshot.layout();
    let Some((group, variable)) = layout.variable(&info.name) else {
        return Err(Error::invalid(
            format!("/{} is not an array of a cube", info.name),
            "explain speaks of slots: name a variable that `gribchunk show` lists",
        ));
    };
    check_keys(selection, layout.groups.values())?;
    let latest = latest_complete(snapshot, selection).await?;
    let Some(chosen) = chosen_slots(group, &info.name, variable, Some(selection), latest) else {
        return Err(Error::invalid(
            format!("the selection {selection} takes nothing of /{}", info.name),
            "see its coordinates with `gribchunk show`",
        ));
    };
    if chosen.count() != 1 {
        let open: Vec<String> = group
            .dimensions(variable)
            .iter()
            .zip(&chosen.indices)
            .filter(|(_, indices)| indices.len() > 1)
            .map(|(name, indices)| format!("{name} ({} values)", indices.len()))
            .collect();
        return Err(Error::invalid(
            format!("the selection {selection} takes {} slots of /{}", chosen.count(), info.name),
            format!("explain speaks of one: give --select one value of {}", open.join(", ")),
        ));
    }
    let index = chosen.indices.iter().filter_map(|axis| axis.first().copied()).collect();
    Ok(Slot { array: info.name.clone(), index })
}

fn reference_of(snapshot: &Snapshot, payload: Option<&ChunkPayload>) -> ExplainedReference {
    match payload {
        None => ExplainedReference::Missing,
        Some(ChunkPayload::Virtual(reference)) => {
            let resolved = snapshot.resolved(reference).ok();
            let (url, fingerprint) = resolved.as_deref().map(parse_location).unzip();
            let mut checksum = Vec::new();
            if let Some(fingerprint) = fingerprint.flatten() {
                checksum.push(format!("size {}", fingerprint.size));
                checksum.push(format!("mtime_ns {}", fingerprint.mtime_ns));
            }
            match &reference.checksum {
                Some(Checksum::LastModified(seconds)) => checksum.push(format!("lastModified {}", seconds.0)),
                Some(Checksum::ETag(tag)) => checksum.push(format!("eTag {}", tag.0)),
                None => {}
            }
            ExplainedReference::Virtual {
                location: reference.location.url().to_string(),
                url: url.map(String::from),
                offset: reference.offset,
                length: reference.length,
                checksum,
            }
        }
        Some(ChunkPayload::Ref(chunk)) => ExplainedReference::Stored {
            object: format!("chunks/{}", chunk.id),
            offset: chunk.offset,
            length: chunk.length,
        },
        Some(payload) => ExplainedReference::Inline { length: payload.length() },
    }
}

/// What the ledger says of fields that did not get into this slot.
async fn refused(snapshot: &Snapshot, slot: &Slot) -> Result<Vec<String>> {
    let name = slot.to_string();
    let records = ledger::read_all(snapshot.session()).await?;
    let ours = records.iter().flat_map(|record| {
        let of_slot = record.refused.iter().filter(|field| field.slot.as_deref() == Some(name.as_str()));
        of_slot.map(|field| format!("{} at byte {}: {}", record.url, field.offset, field.reason))
    });
    Ok(ours.collect())
}

async fn explain_virtual(
    snapshot: &Snapshot,
    info: &ArrayInfo,
    slot: &Slot,
    reference: &VirtualChunkRef,
    explanation: &mut Explanation,
) {
    let location = match snapshot.resolved(reference) {
        Ok(location) => location,
        Err(error) => return explanation.stop("location", error),
    };
    match snapshot.access().check(&location) {
        Ok(place) => explanation.pass("allowed", place.to_string()),
        Err(error) => return explanation.stop("allowed", error),
    }
    let message = match snapshot.fetch(&location, reference).await {
        Ok(message) => message,
        Err(error) => return explanation.stop("unchanged", error),
    };
    let payload = ChunkPayload::Virtual(reference.clone());
    let verified = matches!(snapshot.state_of(&payload), Ok(ChunkState::Virtual { verified: true, .. }));
    let detail =
        if verified { "the source is the one that was ingested" } else { "unverified: the reference has no checksum" };
    explanation.pass("unchanged", detail);
    let place = format!("{location} at byte {}", reference.offset);
    let fields = match decode::fields_of(&message) {
        Ok(fields) => fields,
        Err(error) => return explanation.stop("message", error),
    };
    explanation.pass("message", format!("whole, {} fields", fields.len()));
    let field = field_of_slot(snapshot.layout(), slot, &place, &message);
    // What is there instead is shown too.
    if let Some(sections) = field.as_ref().map_or(fields.first(), |(sections, _)| Some(sections)) {
        describe(sections, explanation);
    }
    let (sections, key) = match field {
        Ok(found) => found,
        Err(error) => return explanation.stop("whole key", error),
    };
    explanation.pass("whole key", key.to_string());
    explain_values(info, &sections, &key, explanation);
}

fn describe(sections: &FieldSections<'_>, explanation: &mut Explanation) {
    explanation.header = FieldHeader::from_sections(sections).ok();
    explanation.grid = Grid::keys_of(sections).ok();
    explanation.packing = Packing::from_sections(sections).ok().map(|packing| packing.keys().clone());
}

fn explain_values(info: &ArrayInfo, sections: &FieldSections<'_>, key: &FieldKey, explanation: &mut Explanation) {
    match Grid::from_sections(sections) {
        Ok(grid) if Some(grid.points()) == info.chunk_elements() => {
            explanation.pass("grid", format!("{}, {} points", key.grid, grid.points()));
        }
        Ok(grid) => {
            let wanted = info.chunk_elements().unwrap_or(0);
            return explanation.stop("grid", format!("{} points, the chunk has {wanted}", grid.points()));
        }
        Err(error) => return explanation.stop("grid", error),
    }
    match field_values(sections) {
        Ok((values, decoder)) => {
            explanation.pass("decode", format!("{} values, {} missing", values.count, values.missing));
            explanation.decoder = Some(decoder);
            explanation.values = Some(values);
        }
        Err(error) => explanation.stop("decode", error),
    }
}

async fn explain_stored(snapshot: &Snapshot, info: &ArrayInfo, slot: &Slot, explanation: &mut Explanation) {
    let bytes = match snapshot.chunk_bytes(&info.name, &slot.index).await {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(error) => return explanation.stop("stored chunk", error),
    };
    explanation.pass("stored chunk", format!("{} bytes are there", bytes.len()));
    match snapshot.read_chunk(&info.name, &slot.index).await {
        Ok(values) => {
            let values: Vec<f64> = values.iter().flat_map(|v| v.iter()).map(|v| f64::from(*v)).collect();
            explanation.pass("decode", format!("{} values, as many as the chunk has points", values.len()));
            explanation.decoder = Some("zstd, little-endian float32".into());
            explanation.values = Some(statistics(&values));
        }
        Err(error) => explanation.stop("decode", error),
    }
}
