//! A snapshot or a transaction of Icechunk as the source of a store.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use icechunk::Store;
use icechunk::format::manifest::{ChunkPayload, VirtualChunkRef};
use icechunk::format::snapshot::{ArrayShape, NodeData, NodeSnapshot};
use icechunk::format::{ByteRange, ChunkIndices, Path};
use icechunk::session::{Session, SessionError, SessionErrorKind};
use tokio::sync::RwLock;

use super::field_array::FieldArray;
use super::source::{ChunkAddress, ChunkKind, ChunkSource, StoredChunk};
use super::{blocking, key};
use crate::error::{Error, Result};

/// Fetches what a virtual chunk refers to, in the place of Icechunk's own fetch.
#[async_trait]
pub trait ResolveVirtual: Send + Sync {
    /// The bytes of the reference, exactly as many as it says.
    async fn fetch(&self, array: &str, indices: &[u32], reference: &VirtualChunkRef) -> Result<Bytes>;
}

/// Decodes a chunk of a field array, in the place of fetching it and asking the codec: checks of the whole key, a cache.
#[async_trait]
pub trait DecodeSlot: Send + Sync {
    /// Elements `elements` (array order) as little-endian bytes. `source` fetches the payload
    /// ([`IcechunkSource::fetch`]), `array` decodes it ([`FieldArray::decode`]).
    async fn decode(
        &self,
        source: &IcechunkSource,
        array: &Arc<FieldArray>,
        chunk: &ChunkAddress,
        reference: &ChunkPayload,
        elements: Range<usize>,
    ) -> Result<Bytes>;
}

/// The nodes and chunks of an Icechunk session.
#[derive(Clone)]
pub struct IcechunkSource {
    session: Arc<RwLock<Session>>,
    resolver: Option<Arc<dyn ResolveVirtual>>,
    slots: Option<Arc<dyn DecodeSlot>>,
}

impl IcechunkSource {
    /// The session's own view of itself: virtual chunks are fetched by Icechunk.
    #[must_use]
    pub fn new(session: Arc<RwLock<Session>>) -> Self {
        Self { session, resolver: None, slots: None }
    }

    /// With another way to fetch virtual chunks.
    #[must_use]
    pub fn with_resolver(self, resolver: Arc<dyn ResolveVirtual>) -> Self {
        Self { resolver: Some(resolver), ..self }
    }

    /// With another way to decode chunks of field arrays.
    #[must_use]
    pub fn with_slots(self, slots: Arc<dyn DecodeSlot>) -> Self {
        Self { slots: Some(slots), ..self }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Arc<RwLock<Session>> {
        &self.session
    }

    /// The chunk's reference; None when it is missing, outside of the array, or there is no such array.
    ///
    /// # Errors
    /// When the manifests cannot be read.
    pub async fn reference(&self, chunk: &ChunkAddress) -> Result<Option<ChunkPayload>> {
        let session = self.session.read().await;
        let Some(NodeSnapshot { path, node_data: NodeData::Array { shape, .. }, .. }) =
            node(&session, &chunk.array).await?
        else {
            return Ok(None);
        };
        let indices = ChunkIndices(chunk.indices.clone());
        if !is_inside(&shape, &indices) {
            return Ok(None);
        }
        let found = session.get_chunk_ref(&path, &indices).await;
        found.map_err(Error::repository(format!("reading the reference of {chunk}")))
    }

    /// The payload behind `reference`, which is the chunk's.
    ///
    /// # Errors
    /// When it cannot be fetched: gone, changed, not allowed.
    pub async fn fetch(&self, chunk: &ChunkAddress, reference: &ChunkPayload) -> Result<Bytes> {
        match (reference, &self.resolver) {
            (ChunkPayload::Inline(bytes), _) => Ok(bytes.clone()),
            (ChunkPayload::Virtual(reference), Some(resolver)) => {
                let bytes = resolver.fetch(&chunk.array, &chunk.indices, reference).await?;
                if bytes.len() as u64 == reference.length {
                    return Ok(bytes);
                }
                let reason = format!("{} bytes were delivered for {chunk}, not {}", bytes.len(), reference.length);
                Err(Error::Source { location: reference.location.url().into(), reason })
            }
            _ => self.fetch_range(chunk, &ByteRange::ALL).await,
        }
    }

    /// A part of a chunk that is there, by Icechunk.
    async fn fetch_range(&self, chunk: &ChunkAddress, range: &ByteRange) -> Result<Bytes> {
        let path = path_of(&chunk.array)?;
        let indices = ChunkIndices(chunk.indices.clone());
        let session = self.session.read().await;
        let context = || format!("reading {chunk}");
        let reader = session.get_chunk_reader(&path, &indices, range).await.map_err(Error::repository(context()))?;
        match reader {
            Some(reader) => reader.await.map_err(Error::repository(context())),
            None => Err(Error::not_found(chunk.to_string(), "it was erased while it was read; read it again")),
        }
    }

    async fn writing<T>(
        &self,
        what: String,
        write: impl AsyncFnOnce(&mut Session) -> Result<T, SessionError>,
    ) -> Result<T> {
        let mut session = self.session.write().await;
        write(&mut session).await.map_err(Error::repository(what))
    }
}

fn is_inside(shape: &ArrayShape, indices: &ChunkIndices) -> bool {
    shape.len() == indices.0.len() && shape.valid_chunk_coord(indices)
}

fn path_of(node: &str) -> Result<Path> {
    Path::new(node).map_err(|error| Error::invalid(format!("{node} is not a path ({error})"), "use names without //"))
}

async fn node(session: &Session, node: &str) -> Result<Option<NodeSnapshot>> {
    let Ok(path) = path_of(node) else { return Ok(None) };
    match session.get_node(&path).await {
        Ok(found) => Ok(Some(found)),
        Err(SessionError { kind: SessionErrorKind::NodeNotFound { .. }, .. }) => Ok(None),
        Err(error) => Err(Error::repository(format!("looking for {node}"))(error)),
    }
}

#[async_trait]
impl ChunkSource for IcechunkSource {
    async fn metadata(&self, path: &str) -> Result<Option<Bytes>> {
        let session = self.session.read().await;
        Ok(node(&session, path).await?.map(|node| node.user_data))
    }

    async fn chunk_kind(&self, chunk: &ChunkAddress) -> Result<Option<StoredChunk>> {
        Ok(self.reference(chunk).await?.map(|payload| StoredChunk {
            kind: match payload {
                ChunkPayload::Virtual(_) => ChunkKind::Virtual,
                _ => ChunkKind::Materialised,
            },
            length: payload.length(),
        }))
    }

    async fn payload(&self, chunk: &ChunkAddress) -> Result<Option<Bytes>> {
        match self.reference(chunk).await? {
            Some(reference) => self.fetch(chunk, &reference).await.map(Some),
            None => Ok(None),
        }
    }

    async fn payload_range(&self, chunk: &ChunkAddress, range: Range<u64>) -> Result<Option<Bytes>> {
        match self.reference(chunk).await? {
            None => Ok(None),
            Some(reference @ ChunkPayload::Virtual(_)) if self.resolver.is_some() => {
                // The resolver delivers and checks whole messages.
                let payload = self.fetch(chunk, &reference).await?;
                let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
                let inside = bounds.filter(|(start, end)| start <= end && *end <= payload.len());
                let reason = format!("bytes {range:?} of {} were asked for", payload.len());
                let outside = || Error::Source { location: chunk.to_string(), reason };
                inside.map(|(start, end)| Some(payload.slice(start..end))).ok_or_else(outside)
            }
            Some(_) => self.fetch_range(chunk, &ByteRange::Bounded(range)).await.map(Some),
        }
    }

    async fn decoded(
        &self,
        array: &Arc<FieldArray>,
        chunk: &ChunkAddress,
        elements: Range<usize>,
    ) -> Result<Option<Bytes>> {
        let Some(reference) = self.reference(chunk).await? else { return Ok(None) };
        if let Some(slots) = &self.slots {
            return slots.decode(self, array, chunk, &reference, elements).await.map(Some);
        }
        let payload = self.fetch(chunk, &reference).await?;
        let (array, name) = (array.clone(), chunk.to_string());
        blocking::compute(move || array.decode(&name, &payload, elements)).await.map(Some)
    }

    async fn nodes(&self, parent: &str) -> Result<Vec<String>> {
        let Ok(path) = path_of(parent) else { return Ok(Vec::new()) };
        let session = self.session.read().await;
        let context = || format!("listing the nodes below {parent}");
        let below = if parent == "/" { "/".to_string() } else { format!("{parent}/") };
        let mut paths = Vec::new();
        if node(&session, parent).await?.is_none() && parent != "/" {
            return Ok(paths);
        }
        for node in session.list_nodes(&path).await.map_err(Error::repository(context()))? {
            let path = node.map_err(Error::repository(context()))?.path.to_string();
            if path == parent || path.starts_with(&below) {
                paths.push(path);
            }
        }
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    async fn chunks(&self, array: &str) -> Result<Vec<Vec<u32>>> {
        let session = self.session.read().await;
        let Some(NodeSnapshot { path, node_data: NodeData::Array { shape, .. }, .. }) = node(&session, array).await?
        else {
            return Ok(Vec::new());
        };
        let found = session.array_chunk_iterator(&path).await;
        let indices = found.map_ok(|chunk| chunk.coord);
        let indices: Vec<ChunkIndices> =
            indices.try_collect().await.map_err(Error::repository(format!("listing the chunks of {array}")))?;
        // After an array was made smaller, chunks outside of it still stand in the manifests.
        Ok(indices.into_iter().filter(|indices| is_inside(&shape, indices)).map(|indices| indices.0).collect())
    }

    async fn read_only(&self) -> bool {
        self.session.read().await.read_only()
    }

    async fn set_metadata(&self, node: &str, metadata: Bytes) -> Result<()> {
        let store = Store::from_session(self.session.clone()).await;
        let written = store.set(&key::metadata_text(node), metadata).await;
        written.map_err(Error::repository(format!("writing the metadata of {node}")))
    }

    async fn set_payload(&self, chunk: &ChunkAddress, payload: Bytes) -> Result<()> {
        let path = path_of(&chunk.array)?;
        let indices = ChunkIndices(chunk.indices.clone());
        let context = || format!("writing {chunk}");
        // The session is locked for the reference only, not while the bytes are written.
        let write = {
            let session = self.session.read().await;
            // Icechunk itself would take indices of any dimensionality.
            let inside = match node(&session, &chunk.array).await? {
                Some(NodeSnapshot { node_data: NodeData::Array { shape, .. }, .. }) => is_inside(&shape, &indices),
                _ => return Err(Error::not_found(format!("array {}", chunk.array), "write its metadata first")),
            };
            if !inside {
                return Err(Error::invalid(
                    format!("{chunk} is outside of its array"),
                    "change the array's shape first",
                ));
            }
            session.get_chunk_writer(&path, &indices).map_err(Error::repository(context()))?
        };
        let reference = write(payload).await.map_err(Error::repository(context()))?;
        self.writing(context(), async |session| session.set_chunk_ref(path, indices, Some(reference)).await).await
    }

    async fn delete_chunks(&self, array: &str, chunks: Vec<Vec<u32>>) -> Result<()> {
        let path = path_of(array)?;
        let present = {
            let session = self.session.read().await;
            match node(&session, array).await? {
                Some(NodeSnapshot { node_data: NodeData::Array { shape, .. }, .. }) => chunks
                    .into_iter()
                    .map(ChunkIndices)
                    .filter(|indices| is_inside(&shape, indices))
                    .collect::<Vec<_>>(),
                _ => return Ok(()),
            }
        };
        let context = format!("erasing chunks of {array}");
        self.writing(context, async |session| session.delete_chunks(&path, present).await).await
    }

    async fn delete_node(&self, path: &str) -> Result<()> {
        let mut session = self.session.write().await;
        match node(&session, path).await? {
            Some(node) => session.delete_node(node).await.map_err(Error::repository(format!("erasing {path}"))),
            None => Ok(()),
        }
    }
}
