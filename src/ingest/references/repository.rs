//! The virtual references of another Icechunk repository.

use std::path::Path;

use futures::StreamExt;
use icechunk::format::manifest::ChunkPayload;

use crate::error::{Error, Result};
use crate::index::references::{NotCarried, NotCarriedKind};
use crate::index::{Reference, ReferenceList};
use crate::read::{ArrayInfo, Snapshot, Storage};
use crate::repository::{Access, OpenOptions, Repository};

/// The references of all arrays of the branch `main`, and what this user allowed for that repository.
pub(super) async fn references(path: &Path) -> Result<(ReferenceList, std::sync::Arc<Access>)> {
    let repository = Repository::open(path, OpenOptions::default()).await?;
    let snapshot = repository.snapshot(&crate::repository::Reference::default()).await?;
    let mut list = ReferenceList::default();
    for name in snapshot.arrays().await? {
        let info = match snapshot.array(&name).await {
            Ok(info) => info,
            Err(error) => {
                let reason = error.to_string();
                list.problems.push(crate::index::references::ReferenceProblem { key: name, reason });
                continue;
            }
        };
        array_references(&snapshot, &info, &mut list).await?;
    }
    Ok((list, std::sync::Arc::clone(repository.access())))
}

async fn array_references(snapshot: &Snapshot, info: &ArrayInfo, list: &mut ReferenceList) -> Result<()> {
    let not_a_field = match info.storage {
        Storage::Gribberish if is_derived(info) => Some(NotCarriedKind::DerivedCoordinate),
        Storage::Gribberish | Storage::Default | Storage::Gribchunk => None,
        Storage::Standard | Storage::Finalised => Some(NotCarriedKind::OtherCodec),
    };
    let (mut stored, mut left_out) = (0, 0);
    let chunks = snapshot.session().array_chunk_iterator(&info.path).await;
    let mut chunks = std::pin::pin!(chunks);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(Error::repository(format!("listing the chunks of /{}", info.name)))?;
        let ChunkPayload::Virtual(reference) = &chunk.payload else {
            stored += 1;
            continue;
        };
        if not_a_field.is_some() {
            left_out += 1;
            continue;
        }
        let location = snapshot.resolved(reference).unwrap_or_else(|_| reference.location.url().to_string());
        let index: Vec<String> = chunk.coord.0.iter().map(u32::to_string).collect();
        list.entries.push(Reference {
            url: location.into(),
            offset: reference.offset,
            length: Some(reference.length),
            key: format!("{}/{}", info.name, index.join(".")),
        });
    }
    let stored_kind = if is_coordinate(info) { NotCarriedKind::InlineCoordinate } else { NotCarriedKind::StoredChunks };
    for (kind, count) in [(stored_kind, stored), (not_a_field.unwrap_or(NotCarriedKind::OtherCodec), left_out)] {
        if count > 0 {
            list.not_carried.push(NotCarried { array: info.name.clone(), kind, count });
        }
    }
    Ok(())
}

fn is_derived(info: &ArrayInfo) -> bool {
    matches!(info.metadata["codecs"][0]["configuration"]["var"].as_str(), Some("latitude" | "longitude"))
}

/// Arrays that carry the name of a dimension, or are what CF calls auxiliary coordinates in such files.
fn is_coordinate(info: &ArrayInfo) -> bool {
    let name = info.name.rsplit('/').next().unwrap_or(&info.name);
    let auxiliary = ["latitude", "longitude", "valid_time", "time", "step", "number", "spatial_ref", "crs", "x", "y"];
    info.dimension_names.iter().any(|d| d == name) || auxiliary.contains(&name) || name.ends_with("_bounds")
}
