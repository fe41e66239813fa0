//! Any region of an array into one buffer, many chunks in parallel.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use icechunk::format::manifest::{ChunkPayload, VirtualChunkRef};

use crate::cube::place::Slot;
use crate::cube::ranges::tuples;
use crate::error::{Error, Result};
use crate::grib::decode::{self, DecodeError};
use crate::grib::sections;
use crate::repository::access::is_file;

use super::array::ArrayInfo;
use super::fetch;
use super::parts::{self, Known};
use super::snapshot::{CacheKey, Shared, Snapshot, blocking, decode_error, field_among, lock};

/// Slots whose stored bytes are held at a time.
const BATCH: usize = 64;
/// Stored chunks that are fetched at a time.
const CONCURRENT_FETCHES: usize = 16;

/// Elements of a field from which on it pays to decode it on several threads.
const SPLIT_ELEMENTS: usize = 1 << 16;

/// Where a slot's values come from.
enum Source {
    Missing,
    /// Held here, so that it cannot leave the cache before it is used.
    Cached(Arc<[f32]>),
    /// In a local file, opened by the thread that decodes it.
    Virtual {
        location: String,
        reference: VirtualChunkRef,
    },
    /// Fetched from a remote object.
    Fetched(Fetched),
    Stored(Bytes),
}

/// A message of a remote object, or the part of one that a block needs.
struct Fetched {
    /// Where it is, for errors.
    place: String,
    /// Of the message.
    length: u64,
    /// First byte of the part in the message, and what told that it is enough.
    part: Option<(u64, Arc<Known>)>,
    bytes: Bytes,
}

impl Snapshot {
    /// The values of a region of a cube array in C order; missing slots are NaN.
    ///
    /// `region` has one range of elements per dimension.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a region outside the array or an array that is not a cube's; whatever stops a virtual chunk
    /// from being read, naming the source. No part of the result is given out then.
    pub async fn read(&self, array: &str, region: &[Range<u64>]) -> Result<Vec<f32>> {
        let elements = region.iter().try_fold(1usize, |n, r| {
            usize::try_from(r.end.saturating_sub(r.start)).ok().and_then(|length| n.checked_mul(length))
        });
        let Some(elements) = elements else {
            return Err(Error::invalid(format!("region {region:?}"), "it has more elements than memory"));
        };
        self.check_region(&*self.array(array).await?, region)?;
        let mut values = vec![f32::NAN; elements];
        self.read_into(array, region, &mut values).await?;
        Ok(values)
    }

    /// [`Snapshot::read`] into a buffer of the caller, which must have as many elements as the region.
    pub async fn read_into(&self, array: &str, region: &[Range<u64>], out: &mut [f32]) -> Result<()> {
        let info = self.array(array).await?;
        let slots = self.check_region(&info, region)?;
        let (leading, spatial) = region.split_at(slots);
        let block = Block::new(&info, slots, spatial);
        if block.elements.checked_mul(count(leading)) != Some(out.len()) {
            return Err(Error::invalid(
                format!("a buffer of {} elements for the region {region:?}", out.len()),
                "its length must be the region's number of elements",
            ));
        }
        self.read_slots(&info, &slot_indices(leading), &block, out).await
    }

    /// The same part of each of these slots, one after the other.
    async fn read_slots(&self, info: &ArrayInfo, indices: &[Vec<u32>], block: &Block, out: &mut [f32]) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        for (batch, part) in indices.chunks(BATCH).zip(out.chunks_mut(BATCH * block.elements)) {
            // Not a stream that maps references: this future would not be `Send`.
            let looks: Vec<_> = batch.iter().map(|index| self.source(info, index)).collect();
            let mut sources: Vec<Source> =
                futures::stream::iter(looks).buffered(CONCURRENT_FETCHES).try_collect().await?;
            self.fetch_remote(info, batch, block, &mut sources).await?;
            blocking(|| self.shared.assemble(self, info, batch, &sources, block, part))?;
        }
        Ok(())
    }

    /// All values of one chunk; `None` for a missing one. Kept in the snapshot's cache.
    pub async fn read_chunk(&self, array: &str, index: &[u32]) -> Result<Option<Arc<[f32]>>> {
        let info = self.array(array).await?;
        let Some(slots) = info.slot_dimensions() else {
            return Err(Error::invalid(format!("/{array} has another chunk grid"), "read it through zarrs"));
        };
        let index = index.get(..slots).unwrap_or(index).to_vec();
        let key = CacheKey { array: info.name.clone(), index: index.clone() };
        if let Some(values) = self.shared.cache.get(&key) {
            return Ok(Some(values));
        }
        let whole: Vec<Range<u64>> = info.shape.iter().skip(slots).map(|&n| 0..n).collect();
        let block = Block::new(&info, slots, &whole);
        let mut source = self.source(&info, &index).await?;
        self.fetch_remote(&info, std::slice::from_ref(&index), &block, std::slice::from_mut(&mut source)).await?;
        if matches!(source, Source::Missing) {
            return Ok(None);
        }
        let mut values: Arc<[f32]> = std::iter::repeat_n(f32::NAN, block.chunk_elements).collect();
        if let Some(out) = Arc::get_mut(&mut values) {
            let target = Target { snapshot: self, info: &info, index: &index };
            blocking(|| self.shared.decode_chunk(&target, &source, out))?;
        }
        self.shared.cache.insert(key, Arc::clone(&values));
        Ok(Some(values))
    }

    /// The values at the given indices of every dimension, in C order: orthogonal (outer) indexing. Indices may be in
    /// any order and repeat.
    pub async fn read_outer(&self, array: &str, indices: &[Vec<u64>]) -> Result<Vec<f32>> {
        let info = self.array(array).await?;
        let bounds = bounds_of(indices);
        let slots = self.check_region(&info, &bounds)?;
        let (slot_axes, spatial_axes) = indices.split_at(slots);
        let block = Block::new(&info, slots, bounds.get(slots..).unwrap_or_default());
        let slots = tuples(&slot_axes.iter().map(|axis| axis.iter().map(|&i| i as u32).collect()).collect::<Vec<_>>());
        // Positions of the wanted elements in the block around them.
        let positions =
            spatial_axes.iter().zip(&block.spatial).fold(vec![0], |positions: Vec<usize>, (axis, range)| {
                let length = (range.end - range.start) as usize;
                let inner = |position| axis.iter().map(move |i| position * length + (i - range.start) as usize);
                positions.into_iter().flat_map(inner).collect()
            });
        let mut values = Vec::with_capacity(slots.len() * positions.len());
        for batch in slots.chunks(BATCH) {
            let mut blocks = vec![f32::NAN; batch.len() * block.elements];
            self.read_slots(&info, batch, &block, &mut blocks).await?;
            for one in blocks.chunks(block.elements.max(1)) {
                values.extend(positions.iter().map(|&p| one.get(p).copied().unwrap_or(f32::NAN)));
            }
        }
        Ok(values)
    }

    /// The values at points: each has one index in every dimension (`indices[dimension][point]`). Every slot is read once.
    ///
    /// # Errors
    /// As [`Snapshot::read`]; [`Error::Invalid`] when the dimensions have different numbers of indices.
    pub async fn read_points(&self, array: &str, indices: &[Vec<u64>]) -> Result<Vec<f32>> {
        let info = self.array(array).await?;
        let points = indices.first().map_or(1, Vec::len);
        if indices.iter().any(|axis| axis.len() != points) {
            return Err(Error::invalid("points", "every dimension needs as many indices as there are points"));
        }
        let slots = self.check_region(&info, &bounds_of(indices))?;
        let (slot_axes, spatial_axes) = indices.split_at(slots);
        let block = Block::new(&info, slots, &bounds_of(spatial_axes));
        let mut by_slot: BTreeMap<Vec<u32>, Vec<(usize, usize)>> = BTreeMap::new();
        for point in 0..points {
            let slot = slot_axes.iter().filter_map(|axis| axis.get(point)).map(|&i| i as u32).collect();
            let inside = spatial_axes.iter().filter_map(|axis| axis.get(point)).copied();
            by_slot.entry(slot).or_default().push((point, block.position(inside)));
        }
        let (tuples, wanted): (Vec<_>, Vec<_>) = by_slot.into_iter().unzip();
        let mut values = vec![f32::NAN; points];
        for (batch, wanted) in tuples.chunks(BATCH).zip(wanted.chunks(BATCH)) {
            let mut blocks = vec![f32::NAN; batch.len() * block.elements];
            self.read_slots(&info, batch, &block, &mut blocks).await?;
            for (one, wanted) in blocks.chunks(block.elements.max(1)).zip(wanted) {
                for &(point, position) in wanted {
                    if let (Some(value), Some(out)) = (one.get(position), values.get_mut(point)) {
                        *out = *value;
                    }
                }
            }
        }
        Ok(values)
    }

    fn check_region(&self, info: &ArrayInfo, region: &[Range<u64>]) -> Result<usize> {
        if region.len() != info.shape.len() {
            return Err(Error::invalid(
                format!("a region of {} dimensions for /{}", region.len(), info.name),
                format!("it has {}: {}", info.shape.len(), info.dimension_names.join(", ")),
            ));
        }
        for ((range, &length), name) in region.iter().zip(&info.shape).zip(&info.dimension_names) {
            if range.start > range.end || range.end > length {
                return Err(Error::invalid(
                    format!("{name} {}..{} of /{}", range.start, range.end, info.name),
                    format!("the dimension has {length} elements"),
                ));
            }
        }
        if !info.is_cube_array() {
            return Err(Error::invalid(
                format!("/{} is not an array of a cube", info.name),
                "read it through zarrs: `zarrs::array::Array::open` on the snapshot's store",
            ));
        }
        Ok(info.slot_dimensions().unwrap_or(0))
    }

    async fn source(&self, info: &ArrayInfo, index: &[u32]) -> Result<Source> {
        if let Some(values) = self.shared.cache.get(&CacheKey { array: info.name.clone(), index: index.to_vec() }) {
            return Ok(Source::Cached(values));
        }
        Ok(match self.payload(info, index).await? {
            None => Source::Missing,
            Some(ChunkPayload::Virtual(reference)) => {
                Source::Virtual { location: self.resolved(&reference)?, reference }
            }
            Some(payload) => Source::Stored(self.stored_bytes(info, index, &payload).await?),
        })
    }
}

impl Snapshot {
    /// Replaces references to remote objects by what a block needs of their messages, all fetched at the same time.
    async fn fetch_remote(
        &self,
        info: &ArrayInfo,
        indices: &[Vec<u32>],
        block: &Block,
        sources: &mut [Source],
    ) -> Result<()> {
        let mut wanted: Vec<(String, VirtualChunkRef)> = Vec::new();
        let mut waiting = Vec::new();
        for (source, index) in sources.iter_mut().zip(indices) {
            let Source::Virtual { location, reference } = source else { continue };
            if is_file(location) {
                continue;
            }
            let place = format!("{location} at byte {}", reference.offset);
            let mut fetched = Fetched { place, length: reference.length, part: None, bytes: Bytes::new() };
            let mut part = reference.clone();
            let target = Target { snapshot: self, info, index };
            if let Some(known) = self.shared.known.get(&target.key()).filter(|_| !block.is_whole()) {
                let mut range = known.bytes_for(block).map_err(|error| decode_error(&fetched.place, error))?;
                if range.is_empty() {
                    // A constant field: no more is read than tells whether the object is still the same.
                    range = reference.length.saturating_sub(1)..reference.length;
                }
                part.offset = part.offset.saturating_add(range.start);
                part.length = range.end - range.start;
                fetched.part = Some((range.start, known));
            }
            wanted.push((std::mem::take(location), part));
            waiting.push((source, fetched));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted: Vec<(&str, &VirtualChunkRef)> = wanted.iter().map(|(l, r)| (l.as_str(), r)).collect();
        let answers = fetch::fetch_remote(&self.shared.access, &wanted, self.shared.require_verified).await;
        for ((source, fetched), bytes) in waiting.into_iter().zip(answers) {
            *source = Source::Fetched(Fetched { bytes: bytes?, ..fetched });
        }
        Ok(())
    }
}

/// The part of every chunk that a region takes.
#[derive(Clone)]
pub(super) struct Block {
    spatial: Vec<Range<u64>>,
    /// The chunk's spatial shape.
    shape: Vec<u64>,
    elements: usize,
    pub chunk_elements: usize,
}

impl Block {
    fn new(info: &ArrayInfo, slots: usize, spatial: &[Range<u64>]) -> Self {
        let shape = info.shape.get(slots..).unwrap_or_default().to_vec();
        Self {
            elements: count(spatial),
            chunk_elements: info.chunk_elements().unwrap_or(0),
            spatial: spatial.to_vec(),
            shape,
        }
    }

    /// Where an element of the chunk stands in the block.
    fn position(&self, index: impl Iterator<Item = u64>) -> usize {
        index
            .zip(&self.spatial)
            .fold(0, |n, (i, range)| n * (range.end - range.start) as usize + (i.saturating_sub(range.start)) as usize)
    }

    fn is_whole(&self) -> bool {
        self.elements == self.chunk_elements
    }

    /// The block's elements in the chunk, in array order, as runs within one row; where rows follow each other without a
    /// gap and may be `joined`, as longer runs.
    pub fn runs(&self, joined: bool) -> Vec<Range<usize>> {
        let Some((columns, outer)) = self.spatial.split_last() else {
            return std::iter::once(0..self.elements).collect();
        };
        let mut runs: Vec<Range<usize>> = Vec::new();
        for row in slot_indices(outer) {
            let start = row.iter().zip(&self.shape).fold(0, |n, (&i, &length)| n * length as usize + i as usize);
            let start = start * self.shape.last().copied().unwrap_or(1) as usize;
            let run = start + columns.start as usize..start + columns.end as usize;
            match runs.last_mut() {
                Some(last) if joined && last.end == run.start => last.end = run.end,
                _ => runs.push(run),
            }
        }
        runs
    }

    /// Copies the block out of a whole chunk, run by run.
    fn copy(&self, chunk: &[f32], out: &mut [f32]) {
        let mut out = out;
        for run in self.runs(true) {
            let (to, rest) = out.split_at_mut_checked(run.len()).unwrap_or_default();
            out = rest;
            if let Some(values) = chunk.get(run) {
                to.copy_from_slice(values);
            }
        }
    }

    /// The block in up to `pieces` pieces along its first dimension.
    fn split(&self, pieces: usize) -> Vec<Self> {
        let Some((first, inner)) = self.spatial.split_first() else { return vec![self.clone()] };
        let step = (first.end - first.start).div_ceil(pieces.max(1) as u64).max(1);
        let starts = (first.start..first.end).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        let piece = |start: u64| {
            let rows = start..first.end.min(start + step);
            let spatial: Vec<_> = std::iter::once(rows).chain(inner.iter().cloned()).collect();
            Self { elements: count(&spatial), spatial, shape: self.shape.clone(), chunk_elements: self.chunk_elements }
        };
        starts.map(piece).collect()
    }
}

/// A slot that is read.
#[derive(Clone, Copy)]
struct Target<'a> {
    snapshot: &'a Snapshot,
    info: &'a ArrayInfo,
    index: &'a [u32],
}

impl Target<'_> {
    fn key(&self) -> CacheKey {
        CacheKey { array: self.info.name.clone(), index: self.index.to_vec() }
    }

    fn slot(&self) -> Result<Slot> {
        let reason = || "not an array of the layout".to_string();
        let unknown = || Error::Layout { group: self.info.name.clone(), reason: reason() };
        self.snapshot.slot(self.info, self.index).ok_or_else(unknown)
    }
}

/// One piece of work: a block of one slot.
struct Job<'a> {
    target: Target<'a>,
    source: &'a Source,
    block: Block,
    out: &'a mut [f32],
}

impl Shared {
    /// Decodes a batch of slots into consecutive blocks of `out`, on as many threads as there are cores.
    fn assemble(
        &self,
        snapshot: &Snapshot,
        info: &ArrayInfo,
        indices: &[Vec<u32>],
        sources: &[Source],
        block: &Block,
        out: &mut [f32],
    ) -> Result<()> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        // Fewer fields than processors: fields that can be entered in the middle are decoded by several threads each.
        let pieces = if block.elements < SPLIT_ELEMENTS { 1 } else { processors / indices.len().max(1) };
        let mut jobs = Vec::with_capacity(indices.len());
        for ((index, source), out) in indices.iter().zip(sources).zip(out.chunks_mut(block.elements)) {
            let target = Target { snapshot, info, index };
            let can_split = matches!(source, Source::Virtual { .. }) && self.known.contains_key(&target.key());
            if pieces < 2 || !can_split {
                jobs.push(Job { target, source, block: block.clone(), out });
                continue;
            }
            let mut out = out;
            for block in block.split(pieces) {
                let (part, rest) = out.split_at_mut_checked(block.elements).unwrap_or_default();
                out = rest;
                jobs.push(Job { target, source, block, out: part });
            }
        }
        let threads = processors.min(jobs.len());
        if threads < 2 {
            let mut scratch = Vec::new();
            return jobs.into_iter().try_for_each(|job| self.fill(job, &mut scratch));
        }
        let jobs: Vec<_> = jobs.into_iter().map(|job| std::sync::Mutex::new(Some(job))).collect();
        let next = AtomicUsize::new(0);
        let failed = std::sync::Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut scratch = Vec::new();
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let Some(job) = lock(job).take() else { continue };
                        if let Err(error) = self.fill(job, &mut scratch) {
                            next.store(jobs.len(), Ordering::Relaxed);
                            lock(&failed).get_or_insert(error);
                        }
                    }
                });
            }
        });
        failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// `scratch` is memory for a whole field that is used again.
    fn fill(&self, job: Job<'_>, scratch: &mut Vec<f32>) -> Result<()> {
        let Job { target, source, block, out } = job;
        match source {
            Source::Missing => out.fill(f32::NAN),
            Source::Cached(values) => block.copy(values, out),
            _ if block.is_whole() => self.decode_chunk(&target, source, out)?,
            Source::Virtual { location, reference } => {
                let message = self.open_message(location, reference)?;
                let message = Message {
                    place: format!("{location} at byte {}", reference.offset),
                    length: reference.length,
                    read: &|range| message.read(range),
                };
                self.decode_block(&target, &message, &block, scratch, out)?;
            }
            Source::Fetched(Fetched { place, part: Some((start, known)), bytes, .. }) => {
                known.decode(*start, bytes, &block, out).map_err(|error| decode_error(place, error))?;
            }
            Source::Fetched(Fetched { place, length, bytes, .. }) => {
                let read = |range: Range<u64>| {
                    let outside = || Error::Source { location: place.clone(), reason: "bytes behind its end".into() };
                    let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
                    let inside = start.ok().zip(end.ok()).filter(|(s, e)| s <= e && *e <= bytes.len());
                    inside.map(|(start, end)| bytes.slice(start..end)).ok_or_else(outside)
                };
                let message = Message { place: place.clone(), length: *length, read: &read };
                self.decode_block(&target, &message, &block, scratch, out)?;
            }
            Source::Stored(_) => {
                let mut values = vec![f32::NAN; block.chunk_elements];
                self.decode_chunk(&target, source, &mut values)?;
                block.copy(&values, out);
                self.cache.insert(target.key(), values.into());
            }
        }
        Ok(())
    }

    /// All values of a chunk.
    fn decode_chunk(&self, target: &Target<'_>, source: &Source, out: &mut [f32]) -> Result<()> {
        match source {
            Source::Missing => out.fill(f32::NAN),
            Source::Cached(values) => out.iter_mut().zip(values.iter()).for_each(|(out, value)| *out = *value),
            Source::Virtual { location, reference } => {
                let message = self.open_message(location, reference)?.read_all()?;
                self.decode_message(target, &format!("{location} at byte {}", reference.offset), &message, out)?;
            }
            Source::Fetched(Fetched { place, bytes, .. }) => {
                self.decode_message(target, place, bytes, out)?;
            }
            Source::Stored(bytes) if bytes.starts_with(b"GRIB") => {
                let place = format!("the stored message of /{} {:?}", target.info.name, target.index);
                self.decode_message(target, &place, bytes, out)?;
            }
            Source::Stored(bytes) => decode_stored(target.info, target.index, bytes, out)?,
        }
        Ok(())
    }

    /// All values of the slot's field of a message. Returns whether parts of it can be read from now on.
    fn decode_message(&self, target: &Target<'_>, place: &str, message: &[u8], out: &mut [f32]) -> Result<bool> {
        let (sections, key) = self.field_of_slot(&target.slot()?, place, message)?;
        let grid = self.grid(&sections, &key, place)?;
        let located = |error: DecodeError| decode_error(place, error);
        let (_, offsets) = decode::decode_field_with_offsets(&sections, &grid, out).map_err(located)?;
        let known = Known::of_message(message, &sections, grid, offsets);
        let can_be_read_in_part = known.is_some();
        if let Some(known) = known {
            self.known.insert(target.key(), Arc::new(known));
        }
        Ok(can_be_read_in_part)
    }

    /// A part of the values of the slot's field of a message, from the bytes that it needs where they are known.
    fn decode_block(
        &self,
        target: &Target<'_>,
        message: &Message<'_>,
        block: &Block,
        scratch: &mut Vec<f32>,
        out: &mut [f32],
    ) -> Result<()> {
        let located = |error: DecodeError| decode_error(&message.place, error);
        let known = match self.known.get(&target.key()) {
            Some(known) => Some(known),
            None => self.learn_from_header(target, message)?,
        };
        if let Some(known) = known {
            let range = known.bytes_for(block).map_err(located)?;
            let bytes = if range.is_empty() { Bytes::new() } else { (message.read)(range.clone())? };
            return known.decode(range.start, &bytes, block, out).map_err(located);
        }
        scratch.resize(block.chunk_elements, f32::NAN);
        let bytes = (message.read)(0..message.length)?;
        let in_part = self.decode_message(target, &message.place, &bytes, scratch)?;
        block.copy(scratch, out);
        if !in_part {
            self.cache.insert(target.key(), scratch.as_slice().into());
        }
        Ok(())
    }

    /// What the header of a message tells when its codes have a fixed width: enough to read parts of it.
    fn learn_from_header(&self, target: &Target<'_>, message: &Message<'_>) -> Result<Option<Arc<Known>>> {
        let length = message.length;
        let Some(range) = parts::first_header(length) else { return Ok(None) };
        let mut header = (message.read)(range)?;
        let Some(needed) = parts::header_length(&header, length) else { return Ok(None) };
        if needed > header.len() as u64 {
            header = (message.read)(0..needed)?;
        }
        let Some(Ok(sections)) = sections::fields_of_prefix(&header, length).next() else { return Ok(None) };
        let slot = target.slot()?;
        let (sections, key) = field_among(&self.layout, &slot, &message.place, vec![sections])?;
        let grid = self.grid(&sections, &key, &message.place)?;
        let Some(known) = Known::of_header(header.clone(), length, grid) else { return Ok(None) };
        let known = Arc::new(known);
        self.known.insert(target.key(), Arc::clone(&known));
        Ok(Some(known))
    }
}

/// A message that is read in ranges.
struct Message<'a> {
    /// Where it is, for errors.
    place: String,
    length: u64,
    read: &'a dyn Fn(Range<u64>) -> Result<Bytes>,
}

/// A materialised chunk of the default inner chain: zstd, little-endian float32.
fn decode_stored(info: &ArrayInfo, index: &[u32], bytes: &[u8], out: &mut [f32]) -> Result<()> {
    let bad = |reason: String| Error::Source {
        location: format!("stored chunk {index:?} of /{}", info.name),
        reason: format!("{reason}; the repository is damaged: materialise it again from its source"),
    };
    let plain = zstd::bulk::decompress(bytes, out.len() * 4).map_err(|e| bad(e.to_string()))?;
    if plain.len() != out.len() * 4 {
        return Err(bad(format!("{} bytes instead of {}", plain.len(), out.len() * 4)));
    }
    for (out, value) in out.iter_mut().zip(plain.as_chunks::<4>().0) {
        *out = f32::from_le_bytes(*value);
    }
    Ok(())
}

/// The smallest region that holds the indices of every dimension.
fn bounds_of(indices: &[Vec<u64>]) -> Vec<Range<u64>> {
    let bounds = |axis: &Vec<u64>| {
        axis.iter().min().copied().unwrap_or(0)..axis.iter().max().map_or(0, |max| max.saturating_add(1))
    };
    indices.iter().map(bounds).collect()
}

fn count(ranges: &[Range<u64>]) -> usize {
    ranges.iter().map(|r| (r.end - r.start) as usize).product()
}

/// All index tuples of a region in C order.
fn slot_indices(ranges: &[Range<u64>]) -> Vec<Vec<u32>> {
    let axis = |range: &Range<u64>| range.clone().map(|i| i as u32).collect();
    tuples(&ranges.iter().map(axis).collect::<Vec<_>>())
}
