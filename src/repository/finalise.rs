//! Finalising: a fully materialised array becomes a standard Zarr array, by a change of metadata alone.

use std::collections::BTreeMap;

use futures::StreamExt;
use icechunk::format::manifest::ChunkPayload;
use serde::Serialize;
use serde_json::json;

use crate::cube::ranges;
use crate::error::{Error, Result};
use crate::read::{ArrayInfo, Storage};

use super::{Conflict, Repository, Transaction, nodes};

/// How often a finalise is done again when others commit meanwhile.
const ATTEMPTS: u32 = 20;

/// What became of the arrays that were to be finalised.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FinaliseReport {
    /// Arrays that have standard codecs now.
    pub finalised: Vec<String>,
    /// Standard arrays already.
    pub already: Vec<String>,
    /// Arrays that stay as they are.
    pub refused: Vec<NotFinalised>,
    /// The commit; none when nothing was to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// An array that stays as it is.
#[derive(Debug, Clone, Serialize)]
pub struct NotFinalised {
    /// Path below `/`.
    pub array: String,
    /// What stands in the way, and what to do about it.
    pub reason: String,
    /// The slots that stand in the way, in coordinates.
    pub slots: Vec<String>,
}

impl Repository {
    /// Gives arrays standard Zarr codecs (the inner chain of ours), in one commit of metadata. Any Zarr library reads them
    /// then, without our codec and without our store: chunks are not touched, they were standard ones all the time. Missing
    /// slots stay missing and may still arrive; `ingest` materialises fields of a finalised array, since a GRIB message is
    /// no standard chunk. There is no way back.
    ///
    /// An array that has virtual chunks left, or another codec than ours, is refused with its reason.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an array that no group's layout names; [`Error::Conflict`] when others do not stop committing.
    pub async fn finalise(&self, arrays: &[String]) -> Result<FinaliseReport> {
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            match self.try_finalise(arrays).await {
                Err(error @ Error::Conflict { .. }) => {
                    // What was materialised may be replaced by virtual chunks meanwhile: look again.
                    last = Some(error);
                    tokio::time::sleep(std::time::Duration::from_millis(2 << attempt.min(7))).await;
                }
                result => return result,
            }
        }
        Err(last.unwrap_or_else(|| Error::invalid("finalise", "no attempt was made")))
    }

    async fn try_finalise(&self, arrays: &[String]) -> Result<FinaliseReport> {
        let mut transaction = self.transaction("main").await?;
        let mut report = FinaliseReport::default();
        for name in arrays {
            let array = name.trim_matches('/').to_string();
            if report.finalised.contains(&array) || report.already.contains(&array) {
                continue;
            }
            match transaction.obstacle(&array).await? {
                Obstacle::None => report.finalised.push(array),
                Obstacle::Already => report.already.push(array),
                Obstacle::Reason { reason, slots } => report.refused.push(NotFinalised { array, reason, slots }),
            }
        }
        if report.finalised.is_empty() {
            return Ok(report);
        }
        transaction.set_standard_codecs(&report.finalised).await?;
        let message = format!("finalise {}", report.finalised.join(", "));
        let changes = BTreeMap::from([
            ("action".to_string(), json!("finalise")),
            ("arrays".to_string(), json!(report.finalised.len())),
        ]);
        let id = transaction.commit(&message, changes, Conflict::Fail).await?;
        report.snapshot = Some(id.to_string());
        Ok(report)
    }
}

enum Obstacle {
    None,
    Already,
    Reason { reason: String, slots: Vec<String> },
}

impl Transaction {
    /// What keeps an array from being a standard one.
    async fn obstacle(&self, array: &str) -> Result<Obstacle> {
        let layout = self.layout().clone();
        let Some((group, variable)) = layout.variable(array) else {
            return Err(Error::not_found(
                format!("the array /{array} of a cube"),
                "name variables that `gribchunk show` lists, with their group if they are not in the root",
            ));
        };
        let session = self.session().read().await;
        let Some((node, metadata)) = nodes::node(&session, array).await? else {
            return Err(Error::Layout {
                group: array.into(),
                reason: "the layout names it, but it is not there".into(),
            });
        };
        let info = ArrayInfo::parse(array, node.path, metadata)?;
        match info.storage {
            _ if variable.finalised => return Ok(Obstacle::Already),
            Storage::Default => {}
            // Somebody changed the metadata by other means: the layout does not know it yet.
            Storage::Standard if info.has_default_chain() => {}
            _ => {
                let reason = format!("its codecs are {}", info.metadata["codecs"]);
                return Ok(Obstacle::Reason { reason, slots: Vec::new() });
            }
        }
        let dimensions = group.slot_shape(variable).len();
        let mut virtual_slots = Vec::new();
        let chunks = session.array_chunk_iterator(&info.path).await;
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(Error::repository(format!("listing the chunks of /{array}")))?;
            if matches!(chunk.payload, ChunkPayload::Virtual(_)) {
                let mut slot = chunk.coord.0;
                slot.truncate(dimensions);
                virtual_slots.push(slot);
            }
        }
        if virtual_slots.is_empty() {
            return Ok(Obstacle::None);
        }
        let reason = format!(
            "{} slots are virtual: run `gribchunk materialise --select variable={array}` first",
            virtual_slots.len()
        );
        let slots = ranges::collapse(virtual_slots).iter().map(|range| group.describe_range(variable, range)).collect();
        Ok(Obstacle::Reason { reason, slots })
    }
}
