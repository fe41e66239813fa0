//! The Zarr v3 store over a snapshot or a transaction.
//!
//! [`ZarrStore`] serves the keys of a Zarr hierarchy from a [`ChunkSource`] in one of two [`View`]s:
//!
//! - *decoded*: arrays whose only codec is `gribchunk` (or `gribberish`) look as if their codec were `bytes` little-endian.
//!   Sizes and byte ranges are those of decoded values. Values that are written pass through the inner codec chain;
//!   metadata that is written back keeps the stored `codecs`. Any Zarr library reads it without our codec.
//! - *stored*: metadata and payloads as they are on disk; the reader needs our codec.
//!
//! All other arrays and all groups are the same in both views. A key that does not exist is None, also when only a part of
//! it is read. The synchronous traits run on threads of our own, so they may be called from within another runtime.
//!
//! As in Icechunk, chunks belong to their array: erasing an array's `zarr.json` erases its chunks, chunks cannot be written
//! before it, and keys that are neither `zarr.json` nor a chunk (`c/0/1`) do not exist.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adapters;
mod blocking;
mod field_array;
mod icechunk_source;
mod key;
mod source;
#[cfg(test)]
mod tests;
mod zarr;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use zarrs::storage::byte_range::{ByteRange, InvalidByteRangeError};
use zarrs::storage::{StorageError, StoreKey, StorePrefix};

pub use blocking::block_on;
pub use field_array::{FieldArray, FieldCodec};
pub use icechunk_source::{DecodeSlot, IcechunkSource, ResolveVirtual};
pub use source::{ChunkAddress, ChunkKind, ChunkSource, StoredChunk};

use crate::error::Error;
use key::Key;

/// How arrays with a GRIB codec are presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// As plain arrays of little-endian values.
    #[default]
    Decoded,
    /// As on disk.
    Stored,
}

/// A Zarr v3 store: implements zarrs' readable, listable and writable storage traits, synchronous and asynchronous.
///
/// Clones are cheap and share everything.
#[derive(Clone)]
pub struct ZarrStore {
    source: Arc<dyn ChunkSource>,
    view: View,
    /// The field arrays that were seen, by node, with the metadata they were made of.
    arrays: Arc<Mutex<HashMap<String, SeenArray>>>,
}

impl std::fmt::Debug for ZarrStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZarrStore").field("view", &self.view).finish_non_exhaustive()
    }
}

/// Stored metadata and what was made of them.
type SeenArray = (Bytes, Option<Arc<FieldArray>>);

type StorageResult<T> = Result<T, StorageError>;

impl ZarrStore {
    /// The store of `source` in the given view.
    #[must_use]
    pub fn new(source: Arc<dyn ChunkSource>, view: View) -> Self {
        Self { source, view, arrays: Arc::default() }
    }

    /// How arrays are presented.
    #[must_use]
    pub fn view(&self) -> View {
        self.view
    }

    /// The array of `node` when this view decodes it; None for groups, other arrays, and in the stored view.
    async fn field_array(&self, node: &str) -> Result<Option<Arc<FieldArray>>, Error> {
        if self.view == View::Stored {
            return Ok(None);
        }
        let Some(metadata) = self.source.metadata(node).await? else { return Ok(None) };
        let locked = || self.arrays.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, array)) = locked().get(node)
            && *seen == metadata
        {
            return Ok(array.clone());
        }
        let array = FieldArray::from_metadata(node, &metadata)?.map(Arc::new);
        locked().insert(node.to_string(), (metadata, array.clone()));
        Ok(array)
    }

    /// `zarr.json` as this view shows it.
    async fn metadata(&self, node: &str) -> StorageResult<Option<Bytes>> {
        let Some(stored) = self.source.metadata(node).await.map_err(storage_error)? else { return Ok(None) };
        if self.view == View::Stored {
            return Ok(Some(stored));
        }
        field_array::presented_metadata(node, &stored).map(Some).map_err(storage_error)
    }

    async fn chunk_size(&self, chunk: &ChunkAddress) -> StorageResult<Option<u64>> {
        let Some(stored) = self.source.chunk_kind(chunk).await.map_err(storage_error)? else { return Ok(None) };
        Ok(Some(match self.field_array(&chunk.array).await.map_err(storage_error)? {
            Some(array) => array.chunk_bytes(),
            None => stored.length,
        }))
    }

    async fn size(&self, key: &StoreKey) -> StorageResult<Option<u64>> {
        match Key::parse(key) {
            Some(Key::Metadata { node }) => Ok(self.metadata(&node).await?.map(|bytes| bytes.len() as u64)),
            Some(Key::Chunk(chunk)) => self.chunk_size(&chunk).await,
            None => Ok(None),
        }
    }

    /// The given parts of the value, or None when the key does not exist.
    async fn parts(&self, key: &StoreKey, ranges: &[ByteRange]) -> StorageResult<Option<Vec<Bytes>>> {
        let chunk = match Key::parse(key) {
            Some(Key::Chunk(chunk)) => chunk,
            Some(Key::Metadata { node }) => {
                let Some(value) = self.metadata(&node).await? else { return Ok(None) };
                let ranges = resolved(ranges, value.len() as u64)?;
                return ranges.iter().map(|range| slice(&value, range, 0)).collect::<StorageResult<_>>().map(Some);
            }
            None => return Ok(None),
        };
        let Some(stored) = self.source.chunk_kind(&chunk).await.map_err(storage_error)? else { return Ok(None) };
        let array = self.field_array(&chunk.array).await.map_err(storage_error)?;
        let size = array.as_ref().map_or(stored.length, |array| array.chunk_bytes());
        let ranges = resolved(ranges, size)?;
        let Some(start) = ranges.iter().map(|range| range.start).min() else { return Ok(Some(Vec::new())) };
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(start);
        if start == end {
            return Ok(Some(vec![Bytes::new(); ranges.len()]));
        }
        // Everything between the first and the last byte is taken in one go; the parts are slices of it.
        let (start, span) = match array {
            Some(array) => {
                let elements = array.elements_of(start..end);
                let start = array.bytes_before(elements.start);
                (start, self.source.decoded(&array, &chunk, elements).await)
            }
            None if start == 0 && end == size => (0, self.source.payload(&chunk).await),
            None => (start, self.source.payload_range(&chunk, start..end).await),
        };
        let Some(span) = span.map_err(storage_error)? else { return Ok(None) };
        ranges.iter().map(|range| slice(&span, range, start)).collect::<StorageResult<_>>().map(Some)
    }

    async fn set_value(&self, key: &StoreKey, value: Bytes) -> StorageResult<()> {
        if self.source.read_only().await {
            return Err(StorageError::ReadOnly);
        }
        match Key::parse(key) {
            Some(Key::Metadata { node }) => {
                check_metadata(&node, &value).map_err(storage_error)?;
                let value = match self.view {
                    View::Stored => value,
                    View::Decoded => {
                        let stored = self.source.metadata(&node).await.map_err(storage_error)?;
                        field_array::stored_metadata(&node, stored.as_deref(), &value).map_err(storage_error)?
                    }
                };
                self.source.set_metadata(&node, value).await.map_err(storage_error)
            }
            Some(Key::Chunk(chunk)) => {
                let payload = match self.field_array(&chunk.array).await.map_err(storage_error)? {
                    Some(array) => {
                        let name = chunk.to_string();
                        blocking::compute(move || array.encode(&name, &value)).await.map_err(storage_error)?
                    }
                    None => value,
                };
                self.source.set_payload(&chunk, payload).await.map_err(storage_error)
            }
            None => Err(StorageError::Unsupported(format!(
                "{key}: this store has only zarr.json and chunks (as array/c/0/1); change the key"
            ))),
        }
    }

    async fn set_parts(&self, key: &StoreKey, parts: Vec<(u64, Bytes)>) -> StorageResult<()> {
        let array = match Key::parse(key) {
            Some(Key::Chunk(chunk)) => self.field_array(&chunk.array).await.map_err(storage_error)?,
            _ => None,
        };
        let mut value = match self.parts(key, &[ByteRange::FromStart(0, None)]).await?.and_then(|mut all| all.pop()) {
            Some(value) => Vec::from(value),
            None => array.as_ref().map(|array| array.filled_chunk()).unwrap_or_default(),
        };
        for (offset, part) in parts {
            let too_large = || StorageError::Other(format!("{key}: offset {offset} is too large"));
            let start = usize::try_from(offset).map_err(|_| too_large())?;
            let end = start.checked_add(part.len()).ok_or_else(too_large)?;
            if end > value.len() {
                if end as u64 > PARTIAL_WRITE_LIMIT {
                    return Err(too_large());
                }
                value.resize(end, 0);
            }
            value.get_mut(start..end).ok_or_else(too_large)?.copy_from_slice(&part);
        }
        self.set_value(key, value.into()).await
    }

    async fn erase_value(&self, key: &StoreKey) -> StorageResult<()> {
        if self.source.read_only().await {
            return Err(StorageError::ReadOnly);
        }
        match Key::parse(key) {
            Some(Key::Metadata { node }) => self.source.delete_node(&node).await.map_err(storage_error),
            Some(Key::Chunk(chunk)) => {
                self.source.delete_chunks(&chunk.array, vec![chunk.indices]).await.map_err(storage_error)
            }
            None => Ok(()),
        }
    }

    async fn erase_all(&self, prefix: &StorePrefix) -> StorageResult<()> {
        if self.source.read_only().await {
            return Err(StorageError::ReadOnly);
        }
        let node = key::node_of(prefix);
        let nodes = self.source.nodes(&node).await.map_err(storage_error)?;
        // Children first: a group is gone before a later step asks for its children otherwise.
        for node in nodes.iter().rev() {
            self.source.delete_node(node).await.map_err(storage_error)?;
        }
        if !nodes.is_empty() {
            return Ok(());
        }
        let Some((array, chunks)) = self.chunks_below(prefix).await? else { return Ok(()) };
        self.source.delete_chunks(&array, chunks).await.map_err(storage_error)
    }

    /// The array and the chunks of a prefix that reaches into an array (`t2m/c/0/`).
    async fn chunks_below(&self, prefix: &StorePrefix) -> StorageResult<Option<(String, Vec<Vec<u32>>)>> {
        for array in key::arrays_around(prefix) {
            if self.source.metadata(&array).await.map_err(storage_error)?.is_some() {
                let chunks = self.source.chunks(&array).await.map_err(storage_error)?;
                let inside = |indices: &Vec<u32>| key::chunk_text(&array, indices).starts_with(prefix.as_str());
                return Ok(Some((array.clone(), chunks.into_iter().filter(inside).collect())));
            }
        }
        Ok(None)
    }

    /// Every key below `prefix`, sorted.
    async fn keys_below(&self, prefix: &StorePrefix) -> StorageResult<Vec<StoreKey>> {
        let mut texts = Vec::new();
        let nodes = self.source.nodes(&key::node_of(prefix)).await.map_err(storage_error)?;
        for node in &nodes {
            texts.push(key::metadata_text(node));
            let chunks = self.source.chunks(node).await.map_err(storage_error)?;
            texts.extend(chunks.iter().map(|indices| key::chunk_text(node, indices)));
        }
        if nodes.is_empty()
            && let Some((array, chunks)) = self.chunks_below(prefix).await?
        {
            texts.extend(chunks.iter().map(|indices| key::chunk_text(&array, indices)));
        }
        texts.sort();
        texts.dedup();
        texts.into_iter().map(|text| StoreKey::new(text).map_err(StorageError::from)).collect()
    }

    /// The keys and prefixes directly below `prefix`, sorted.
    async fn children(&self, prefix: &StorePrefix) -> StorageResult<(Vec<StoreKey>, Vec<StorePrefix>)> {
        let below = {
            let nodes = self.source.nodes(&key::node_of(prefix)).await.map_err(storage_error)?;
            let mut texts: Vec<String> = nodes.iter().map(|node| key::metadata_text(node)).collect();
            match nodes.first() {
                // The chunks of arrays further down do not show here: only those of the node itself are listed.
                Some(node) if *node == key::node_of(prefix) => {
                    let chunks = self.source.chunks(node).await.map_err(storage_error)?;
                    texts.extend(chunks.iter().map(|indices| key::chunk_text(node, indices)));
                }
                Some(_) => {}
                None => {
                    if let Some((array, chunks)) = self.chunks_below(prefix).await? {
                        texts.extend(chunks.iter().map(|indices| key::chunk_text(&array, indices)));
                    }
                }
            }
            texts
        };
        let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
        for text in below {
            let Some(rest) = text.strip_prefix(prefix.as_str()) else { continue };
            match rest.split_once('/') {
                Some((first, _)) => prefixes.push(format!("{}{first}/", prefix.as_str())),
                None => keys.push(text.clone()),
            }
        }
        keys.sort();
        prefixes.sort();
        prefixes.dedup();
        let keys = keys.into_iter().map(StoreKey::new).collect::<Result<_, _>>()?;
        Ok((keys, prefixes.into_iter().map(StorePrefix::new).collect::<Result<_, _>>()?))
    }

    async fn size_below(&self, prefix: &StorePrefix) -> StorageResult<u64> {
        let mut total = 0u64;
        for key in self.keys_below(prefix).await? {
            total = total.saturating_add(self.size(&key).await?.unwrap_or(0));
        }
        Ok(total)
    }
}

/// A value that is written in parts may not grow beyond this many bytes.
const PARTIAL_WRITE_LIMIT: u64 = 1 << 32;

/// The crate's error inside of one that a store gave to zarrs, if it came from here.
#[must_use]
pub fn cause(error: &StorageError) -> Option<&Error> {
    let StorageError::IOError(inner) = error else { return None };
    inner.get_ref()?.downcast_ref::<Failure>().map(|failure| &failure.error)
}

/// An error with all causes in one line.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Failure {
    text: String,
    #[source]
    error: Error,
}

/// Icechunk takes any JSON with a `node_type` that it knows; what else Zarr needs is checked here.
fn check_metadata(node: &str, metadata: &[u8]) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::invalid(format!("{node}: zarr.json {why}"), "write Zarr v3 metadata"));
    let value = match serde_json::from_slice::<serde_json::Value>(metadata) {
        Ok(value) => value,
        Err(error) => return refuse(&format!("is not JSON: {error}")),
    };
    if value.get("zarr_format").and_then(serde_json::Value::as_u64) != Some(3) {
        return refuse("has not \"zarr_format\": 3");
    }
    match value.get("node_type").and_then(serde_json::Value::as_str) {
        Some("array" | "group") => Ok(()),
        _ => refuse("is neither of an array nor of a group"),
    }
}

/// What zarrs is told.
fn storage_error(error: Error) -> StorageError {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(source) = next {
        let source_text = source.to_string();
        // Wrapped errors often repeat their cause.
        if !text.contains(&source_text) {
            text = format!("{text}: {source_text}");
        }
        next = source.source();
    }
    StorageError::IOError(Arc::new(std::io::Error::other(Failure { text, error })))
}

/// The ranges with their ends, all of them inside a value of `size` bytes.
fn resolved(ranges: &[ByteRange], size: u64) -> StorageResult<Vec<Range<u64>>> {
    ranges
        .iter()
        .map(|range| {
            let bounds = match *range {
                ByteRange::FromStart(start, None) => Some(start..size),
                ByteRange::FromStart(start, Some(length)) => start.checked_add(length).map(|end| start..end),
                ByteRange::Suffix(length) => size.checked_sub(length).map(|start| start..size),
            };
            bounds
                .filter(|bounds| bounds.start <= bounds.end && bounds.end <= size)
                .ok_or_else(|| InvalidByteRangeError::new(*range, size).into())
        })
        .collect()
}

/// `range` of a value of which `span` holds the bytes from `start` on.
fn slice(span: &Bytes, range: &Range<u64>, start: u64) -> StorageResult<Bytes> {
    let inside = || {
        let from = usize::try_from(range.start.checked_sub(start)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(start)?).ok()?;
        (from <= to && to <= span.len()).then(|| span.slice(from..to))
    };
    inside().ok_or_else(|| StorageError::Other(format!("bytes {range:?} were not delivered, the value is shorter")))
}
