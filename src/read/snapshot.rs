//! A pinned snapshot.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use icechunk::format::manifest::{Checksum, ChunkPayload, VirtualChunkRef};
use icechunk::format::{ByteRange, ChunkIndices};
use icechunk::session::Session;

use crate::cube::layout::Layout;
use crate::cube::place::Slot;
use crate::error::{Error, Result};
use crate::grib::decode;
use crate::grib::grid::Grid;
use crate::grib::key::{FieldKey, GridDigest};
use crate::grib::sections::FieldSections;
use crate::repository::access::is_file;
use crate::repository::{Access, OpenOptions, nodes};

use super::array::{ArrayInfo, Storage};
use super::fetch::{self, LocalMessage};
use super::parts::Known;

/// Bytes of decoded fields that a snapshot keeps by default.
const DEFAULT_CACHE_BYTES: usize = 256 << 20;

/// Bytes of headers and offsets of messages that a snapshot keeps: those of some thousand fields.
const KNOWN_BYTES: u64 = 64 << 20;

/// What a slot's chunk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkState {
    /// Nothing has arrived: reads give the fill value.
    Missing,
    /// A GRIB message elsewhere.
    Virtual {
        /// The source's URL, without the fragment that holds its fingerprint.
        location: String,
        /// First byte of the message in the source.
        offset: u64,
        /// Length of the message in bytes.
        length: u64,
        /// Whether the source's change would be noticed.
        verified: bool,
    },
    /// Decoded, stored in the repository.
    Materialised {
        /// Bytes as stored.
        length: u64,
    },
}

/// One moment of a repository: whatever is committed later, reads through it do not change.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub session: Arc<Session>,
    pub layout: Arc<Layout>,
    pub access: Arc<Access>,
    pub require_verified: bool,
    arrays: Mutex<HashMap<String, Arc<ArrayInfo>>>,
    grids: Mutex<HashMap<GridDigest, Arc<Grid>>>,
    /// Decoded chunks by what they were decoded from.
    pub cache: moka::sync::Cache<CacheKey, Arc<[f32]>>,
    /// What was learnt of messages that were read in part.
    pub known: moka::sync::Cache<CacheKey, Arc<Known>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CacheKey {
    pub array: String,
    pub index: Vec<u32>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(crate) async fn new(session: Session, access: Arc<Access>, options: &OpenOptions) -> Result<Self> {
        let layout = Arc::new(nodes::read_layout(&session).await?);
        let cache = moka::sync::Cache::builder()
            .weigher(|_: &CacheKey, values: &Arc<[f32]>| u32::try_from(values.len() * 4).unwrap_or(u32::MAX))
            .max_capacity(options.cache_bytes.unwrap_or(DEFAULT_CACHE_BYTES) as u64)
            .build();
        let known = moka::sync::Cache::builder()
            .weigher(|_: &CacheKey, known: &Arc<Known>| u32::try_from(known.bytes()).unwrap_or(u32::MAX))
            .max_capacity(KNOWN_BYTES)
            .build();
        let shared = Shared {
            session: Arc::new(session),
            layout,
            access,
            require_verified: options.require_verified,
            arrays: Mutex::default(),
            grids: Mutex::default(),
            cache,
            known,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The Icechunk snapshot id.
    pub fn id(&self) -> String {
        self.shared.session.snapshot_id().to_string()
    }

    /// The cube's layout; empty for a repository that has none of ours.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.shared.layout
    }

    /// The Icechunk session behind it.
    pub fn session(&self) -> &Arc<Session> {
        &self.shared.session
    }

    /// The places that virtual chunks may be read from.
    pub(crate) fn access(&self) -> &Access {
        &self.shared.access
    }

    /// The bytes of a reference, behind all checks of its source.
    pub(crate) async fn fetch(&self, location: &str, reference: &VirtualChunkRef) -> Result<Bytes> {
        fetch::fetch(&self.shared.access, location, reference, self.shared.require_verified).await
    }

    /// Whether the source of references is the one that was ingested, and reaches to `end`.
    pub(crate) async fn check_source(&self, location: &str, checksum: Option<&Checksum>, end: u64) -> Result<()> {
        fetch::check_source(&self.shared.access, location, checksum, end).await
    }

    /// The array at a path (`t2m`, `/mean/t2m`).
    pub async fn array(&self, path: &str) -> Result<Arc<ArrayInfo>> {
        let name = path.trim_matches('/');
        if let Some(info) = lock(&self.shared.arrays).get(name) {
            return Ok(Arc::clone(info));
        }
        let Some((node, metadata)) = nodes::node(&self.shared.session, name).await? else {
            return Err(Error::not_found(format!("the array /{name}"), self.names_like(name).await?));
        };
        let mut info = ArrayInfo::parse(name, node.path, metadata)?;
        if info.storage == Storage::Standard && info.has_default_chain() && self.layout().variable(name).is_some() {
            info.storage = Storage::Finalised;
        }
        let info = Arc::new(info);
        lock(&self.shared.arrays).insert(name.to_string(), Arc::clone(&info));
        Ok(info)
    }

    /// Paths of all arrays, hidden ones left out, sorted.
    pub async fn arrays(&self) -> Result<Vec<String>> {
        let root = nodes::node_path("")?;
        let listed = self.shared.session.list_nodes(&root).await.map_err(Error::repository("listing arrays"))?;
        let mut names = Vec::new();
        for node in listed {
            let node = node.map_err(Error::repository("listing arrays"))?;
            let name = node.path.to_string().trim_matches('/').to_string();
            if node.node_type() == icechunk::format::snapshot::NodeType::Array && !name.starts_with("_gribchunk") {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// What a chunk is, from the manifests alone: no data are read. `index` is over all dimensions of the chunk grid, or
    /// over the slot's only.
    pub async fn chunk_state(&self, array: &str, index: &[u32]) -> Result<ChunkState> {
        let info = self.array(array).await?;
        Ok(match self.payload(&info, index).await? {
            None => ChunkState::Missing,
            Some(payload) => self.state_of(&payload)?,
        })
    }

    pub(crate) fn state_of(&self, payload: &ChunkPayload) -> Result<ChunkState> {
        Ok(match payload {
            ChunkPayload::Virtual(reference) => {
                // What no container resolves is virtual all the same: reading it is what fails.
                let location = self.resolved(reference).unwrap_or_else(|_| reference.location.url().to_string());
                let (url, fingerprint) =
                    if is_file(&location) { fetch::parse_location(&location) } else { (location.as_str(), None) };
                let verified = fingerprint.is_some()
                    || match &reference.checksum {
                        Some(Checksum::LastModified(_)) => true,
                        // Icechunk's ETags of local files never match.
                        Some(Checksum::ETag(_)) => !is_file(&location),
                        None => false,
                    };
                let (offset, length) = (reference.offset, reference.length);
                ChunkState::Virtual { location: url.to_string(), offset, length, verified }
            }
            payload => ChunkState::Materialised { length: payload.length() },
        })
    }

    /// The stored bytes of a chunk: a whole GRIB message, or an encoded chunk; `None` for a missing one.
    pub async fn chunk_bytes(&self, array: &str, index: &[u32]) -> Result<Option<Bytes>> {
        let info = self.array(array).await?;
        match self.payload(&info, index).await? {
            None => Ok(None),
            Some(ChunkPayload::Virtual(reference)) => {
                let location = self.resolved(&reference)?;
                let bytes = self.fetch(&location, &reference).await?;
                if let Some(slot) = self.slot(&info, index) {
                    self.shared.field_of_slot(&slot, &location, &bytes)?;
                }
                Ok(Some(bytes))
            }
            Some(payload) => Ok(Some(self.stored_bytes(&info, index, &payload).await?)),
        }
    }

    /// The message or inner chunk behind a payload that is not virtual.
    pub(crate) async fn stored_bytes(&self, info: &ArrayInfo, index: &[u32], payload: &ChunkPayload) -> Result<Bytes> {
        if let ChunkPayload::Inline(bytes) = payload {
            return Ok(bytes.clone());
        }
        let context = || format!("reading chunk {index:?} of /{}", info.name);
        let index = full_index(info, index);
        let reader = self
            .shared
            .session
            .get_chunk_reader(&info.path, &index, &ByteRange::ALL)
            .await
            .map_err(Error::repository(context()))?;
        match reader {
            Some(reader) => reader.await.map_err(Error::repository(context())),
            None => Err(Error::not_found(format!("chunk {index:?} of /{}", info.name), "open the snapshot again")),
        }
    }

    pub(crate) async fn payload(&self, info: &ArrayInfo, index: &[u32]) -> Result<Option<ChunkPayload>> {
        self.shared
            .session
            .get_chunk_ref(&info.path, &full_index(info, index))
            .await
            .map_err(Error::repository(format!("reading the chunk reference {index:?} of /{}", info.name)))
    }

    /// The location of a reference with `vcc://` resolved by the repository's containers.
    pub(crate) fn resolved(&self, reference: &VirtualChunkRef) -> Result<String> {
        let location = reference.location.url();
        self.shared
            .session
            .resolve_virtual_location(&reference.location)
            .map_err(Error::repository(format!("resolving {location}")))
    }

    /// The slot that a chunk index is, for arrays of our layout.
    pub(super) fn slot(&self, info: &ArrayInfo, index: &[u32]) -> Option<Slot> {
        let (group, variable) = self.shared.layout.variable(&info.name)?;
        let slots = group.slot_shape(variable).len();
        Some(Slot { array: info.name.clone(), index: index.get(..slots)?.to_vec() })
    }

    async fn names_like(&self, name: &str) -> Result<String> {
        let names = self.arrays().await?;
        let wanted = name.to_lowercase();
        let close = names.iter().filter(|n| n.to_lowercase().contains(&wanted) || wanted.contains(&n.to_lowercase()));
        let close: Vec<&str> = close.take(5).map(String::as_str).collect();
        Ok(match (close.is_empty(), names.is_empty()) {
            (_, true) => "the repository has no arrays yet: run `gribchunk init`".into(),
            (true, _) => "see `gribchunk show` for what there is".into(),
            (false, _) => format!("did you mean {}?", close.join(", ")),
        })
    }
}

impl Shared {
    /// The message of a reference to a local file, opened and checked.
    pub fn open_message<'a>(&self, location: &'a str, reference: &VirtualChunkRef) -> Result<LocalMessage<'a>> {
        LocalMessage::open(&self.access, location, reference, self.require_verified)
    }

    /// The field of a message that belongs into a slot, by its whole key: promise 3.
    pub fn field_of_slot<'a>(
        &self,
        slot: &Slot,
        location: &str,
        message: &'a [u8],
    ) -> Result<(FieldSections<'a>, FieldKey)> {
        field_of_slot(&self.layout, slot, location, message)
    }

    /// The grid of a field; equal grids are parsed once.
    pub fn grid(&self, sections: &FieldSections<'_>, key: &FieldKey, location: &str) -> Result<Arc<Grid>> {
        if let Some(grid) = lock(&self.grids).get(&key.grid) {
            return Ok(Arc::clone(grid));
        }
        let grid = Arc::new(Grid::from_sections(sections).map_err(Error::grib(location))?);
        lock(&self.grids).insert(key.grid, Arc::clone(&grid));
        Ok(grid)
    }
}

/// The field of a message whose place is the slot.
pub(crate) fn field_of_slot<'a>(
    layout: &Layout,
    slot: &Slot,
    location: &str,
    message: &'a [u8],
) -> Result<(FieldSections<'a>, FieldKey)> {
    let fields = decode::fields_of(message).map_err(|e| decode_error(location, e))?;
    field_among(layout, slot, location, fields)
}

/// The one of some fields whose place is the slot.
pub(super) fn field_among<'a>(
    layout: &Layout,
    slot: &Slot,
    location: &str,
    fields: Vec<FieldSections<'a>>,
) -> Result<(FieldSections<'a>, FieldKey)> {
    let mut found = Vec::new();
    for sections in fields {
        let key = FieldKey::from_sections(&sections).map_err(Error::grib(location))?;
        if layout.place(&key).is_ok_and(|slots| slots.contains(slot)) {
            return Ok((sections, key));
        }
        found.push(key.to_string());
    }
    Err(Error::WrongField {
        location: location.to_string(),
        slot: slot.to_string(),
        expected: describe_slot(layout, slot),
        found: found.join("; "),
    })
}

/// A slot in coordinates: `t2m time 2026-11-21T00:00Z step 6h number 3`.
pub fn describe_slot(layout: &Layout, slot: &Slot) -> String {
    let Some((group, variable)) = layout.variable(&slot.array) else { return slot.to_string() };
    let mut text = slot.array.clone();
    let mut index = slot.index.iter().map(|&i| i as usize);
    if let Some(time) = index.next().and_then(|i| group.times.get(i)) {
        text.push_str(&format!(" time {}", crate::time::format(*time)));
    }
    if let Some(step) = index.next().and_then(|i| group.steps.get(i)) {
        text.push_str(&format!(" step {}", crate::cube::name::duration(*step)));
    }
    if variable.number
        && let Some(number) = index.next().and_then(|i| group.members.get(i))
    {
        text.push_str(&format!(" number {number}"));
    }
    if let Some(level) = index.next().and_then(|i| group.level_dimension(variable).get(i)) {
        text.push_str(&format!(" {} {level}", variable.selector.type_of_level));
    }
    text
}

pub(crate) fn decode_error(location: &str, error: decode::DecodeError) -> Error {
    match error {
        decode::DecodeError::Grib(error) => Error::Grib { location: location.to_string(), error },
        other => Error::Source { location: location.to_string(), reason: other.to_string() },
    }
}

fn full_index(info: &ArrayInfo, index: &[u32]) -> ChunkIndices {
    let mut full = index.to_vec();
    full.resize(info.shape.len(), 0);
    ChunkIndices(full)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs blocking work on this thread; on a multi-threaded tokio runtime the other tasks are moved away first.
pub(super) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|h| h.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

impl ArrayInfo {
    /// Whether this crate's own reader serves the array; others go through zarrs.
    pub fn is_cube_array(&self) -> bool {
        matches!(self.storage, Storage::Default | Storage::Finalised)
            && self.data_type == "float32"
            && self.slot_dimensions().is_some()
    }
}
