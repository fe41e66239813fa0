//! Stores over a snapshot and a transaction: our fetch (allowed places, unchanged sources), our whole-key checks.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use icechunk::format::manifest::{ChunkPayload, VirtualChunkRef};
use tokio::sync::RwLock;

use super::field_array::FieldArray;
use super::icechunk_source::{DecodeSlot, IcechunkSource, ResolveVirtual};
use super::source::ChunkAddress;
use super::{View, ZarrStore, blocking};
use crate::cube::layout::Layout;
use crate::cube::place::Slot;
use crate::error::{Error, Result};
use crate::read::{Snapshot, decode_error, fetch, field_of_slot};
use crate::repository::{Access, Transaction};

impl Snapshot {
    /// The snapshot as a Zarr store, read-only.
    pub fn store(&self, view: View) -> ZarrStore {
        let reader = Arc::new(SnapshotReader(self.clone()));
        let session = (**self.session()).clone();
        let source = IcechunkSource::new(Arc::new(RwLock::new(session)))
            .with_resolver(Arc::clone(&reader) as Arc<dyn ResolveVirtual>)
            .with_slots(reader);
        ZarrStore::new(Arc::new(source), view)
    }
}

impl Transaction {
    /// The transaction as a Zarr store: what is written becomes visible to others with the commit. `access` says where
    /// virtual chunks may be read from.
    pub fn store(&self, view: View, access: &Arc<Access>) -> ZarrStore {
        let reader = Arc::new(TransactionReader { layout: Arc::clone(self.layout()), access: Arc::clone(access) });
        let source = IcechunkSource::new(Arc::clone(self.session()))
            .with_resolver(Arc::clone(&reader) as Arc<dyn ResolveVirtual>)
            .with_slots(reader);
        ZarrStore::new(Arc::new(source), view)
    }
}

struct SnapshotReader(Snapshot);

#[async_trait]
impl ResolveVirtual for SnapshotReader {
    async fn fetch(&self, array: &str, indices: &[u32], _reference: &VirtualChunkRef) -> Result<Bytes> {
        let bytes = self.0.chunk_bytes(array, indices).await?;
        bytes.ok_or_else(|| Error::not_found(format!("chunk {indices:?} of {array}"), "open the snapshot again"))
    }
}

#[async_trait]
impl DecodeSlot for SnapshotReader {
    async fn decode(
        &self,
        source: &IcechunkSource,
        array: &Arc<FieldArray>,
        chunk: &ChunkAddress,
        reference: &ChunkPayload,
        elements: Range<usize>,
    ) -> Result<Bytes> {
        let info = self.0.array(&chunk.array).await?;
        if info.is_cube_array()
            && self.0.layout().variable(&info.name).is_some()
            && let Some(values) = self.0.read_chunk(&chunk.array, &chunk.indices).await?
            && let Some(values) = values.get(elements.clone())
        {
            return Ok(little_endian(values));
        }
        by_the_codec(source, array, chunk, reference, elements).await
    }
}

struct TransactionReader {
    layout: Arc<Layout>,
    access: Arc<Access>,
}

#[async_trait]
impl ResolveVirtual for TransactionReader {
    async fn fetch(&self, _array: &str, _indices: &[u32], reference: &VirtualChunkRef) -> Result<Bytes> {
        fetch(&self.access, reference.location.url(), reference, false).await
    }
}

#[async_trait]
impl DecodeSlot for TransactionReader {
    async fn decode(
        &self,
        source: &IcechunkSource,
        array: &Arc<FieldArray>,
        chunk: &ChunkAddress,
        reference: &ChunkPayload,
        elements: Range<usize>,
    ) -> Result<Bytes> {
        let name = chunk.array.trim_matches('/');
        let (ChunkPayload::Virtual(virtual_reference), Some((group, variable))) =
            (reference, self.layout.variable(name))
        else {
            return by_the_codec(source, array, chunk, reference, elements).await;
        };
        let location = virtual_reference.location.url();
        let message = source.fetch(chunk, reference).await?;
        let index = chunk.indices.iter().copied().take(group.slot_shape(variable).len()).collect();
        let slot = Slot { array: name.to_string(), index };
        let (sections, _) = field_of_slot(&self.layout, &slot, location, &message)?;
        let grid = crate::grib::grid::Grid::from_sections(&sections).map_err(Error::grib(location))?;
        let mut values = vec![f32::NAN; grid.points()];
        crate::grib::decode::decode_field(&sections, &grid, &mut values).map_err(|e| decode_error(location, e))?;
        match values.get(elements.clone()) {
            Some(values) => Ok(little_endian(values)),
            None => Err(Error::invalid(format!("elements {elements:?} of {chunk}"), "the field has fewer")),
        }
    }
}

/// One copy, by whole values: a chain of single bytes costs more than decoding.
fn little_endian(values: &[f32]) -> Bytes {
    let mut bytes = Vec::with_capacity(size_of_val(values));
    values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    bytes.into()
}

/// What the array's codec says: parameter, type of level and grid are checked.
async fn by_the_codec(
    source: &IcechunkSource,
    array: &Arc<FieldArray>,
    chunk: &ChunkAddress,
    reference: &ChunkPayload,
    elements: Range<usize>,
) -> Result<Bytes> {
    let payload = source.fetch(chunk, reference).await?;
    let (array, name) = (Arc::clone(array), chunk.to_string());
    blocking::compute(move || array.decode(&name, &payload, elements)).await
}
