//! Where a store's metadata and chunks come from and go to.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::blocking;
use super::field_array::FieldArray;
use super::key;
use crate::error::{Error, Result};

/// One chunk of one array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChunkAddress {
    /// Absolute path of the array: `/group/t2m`.
    pub array: String,
    /// Indices in the chunk grid.
    pub indices: Vec<u32>,
}

impl fmt::Display for ChunkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&key::chunk_text(&self.array, &self.indices))
    }
}

/// What a chunk that is there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkKind {
    /// A byte range somewhere else.
    Virtual,
    /// Bytes in the repository.
    Materialised,
}

/// A chunk that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredChunk {
    /// Virtual or materialised.
    pub kind: ChunkKind,
    /// Bytes of the payload.
    pub length: u64,
}

/// A snapshot or a transaction, as the store sees it. Nodes are absolute paths (`/`, `/group/t2m`).
///
/// Everything here is about *stored* metadata and payloads, except [`ChunkSource::decoded`].
#[async_trait]
pub trait ChunkSource: Send + Sync + 'static {
    /// `zarr.json` of a node as stored; None when there is no such node.
    async fn metadata(&self, node: &str) -> Result<Option<Bytes>>;

    /// What the chunk is; None when it is missing, or outside the array, or the array does not exist.
    async fn chunk_kind(&self, chunk: &ChunkAddress) -> Result<Option<StoredChunk>>;

    /// The payload; None when the chunk is missing.
    async fn payload(&self, chunk: &ChunkAddress) -> Result<Option<Bytes>>;

    /// Bytes `range` of the payload; None when the chunk is missing.
    async fn payload_range(&self, chunk: &ChunkAddress, range: Range<u64>) -> Result<Option<Bytes>> {
        let Some(payload) = self.payload(chunk).await? else { return Ok(None) };
        let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        match bounds {
            Some((start, end)) if start <= end && end <= payload.len() => Ok(Some(payload.slice(start..end))),
            _ => Err(Error::Source {
                location: chunk.to_string(),
                reason: format!("bytes {range:?} were asked for, but the payload has {}", payload.len()),
            }),
        }
    }

    /// Elements `elements` (array order) of the chunk of a field array as little-endian bytes; None when it is missing.
    ///
    /// The place for whole-key checks and for a cache of decoded fields.
    async fn decoded(
        &self,
        array: &Arc<FieldArray>,
        chunk: &ChunkAddress,
        elements: Range<usize>,
    ) -> Result<Option<Bytes>> {
        let Some(payload) = self.payload(chunk).await? else { return Ok(None) };
        let (array, name) = (array.clone(), chunk.to_string());
        blocking::compute(move || array.decode(&name, &payload, elements)).await.map(Some)
    }

    /// The paths of `parent` (if it is a node) and of all nodes below it, sorted, parents before children.
    async fn nodes(&self, parent: &str) -> Result<Vec<String>>;

    /// The indices of all chunks of an array that are there; none for a group.
    async fn chunks(&self, array: &str) -> Result<Vec<Vec<u32>>>;

    /// Whether writing is refused.
    async fn read_only(&self) -> bool {
        true
    }

    /// Stores `zarr.json` of a node.
    async fn set_metadata(&self, node: &str, _metadata: Bytes) -> Result<()> {
        Err(read_only_error(node))
    }

    /// Stores the payload of a materialised chunk.
    async fn set_payload(&self, chunk: &ChunkAddress, _payload: Bytes) -> Result<()> {
        Err(read_only_error(&chunk.array))
    }

    /// Makes chunks missing. Chunks that are missing already, or cannot exist, are no error.
    async fn delete_chunks(&self, array: &str, _chunks: Vec<Vec<u32>>) -> Result<()> {
        Err(read_only_error(array))
    }

    /// Removes a node with its chunks and children. A node that does not exist is no error.
    async fn delete_node(&self, node: &str) -> Result<()> {
        Err(read_only_error(node))
    }
}

fn read_only_error(node: &str) -> Error {
    Error::Invalid { what: format!("{node} is read-only"), remedy: "write in a transaction".into() }
}
