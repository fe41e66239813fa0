//! Any region of an array into one buffer, many chunks in parallel.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use icechunk::format::manifest::{ChunkPayload, VirtualChunkRef};

use crate::error::{Error, Result};
use crate::grib::decode;

use super::array::ArrayInfo;
use super::snapshot::{CacheKey, Shared, Snapshot, blocking, decode_error, lock};

/// Slots whose stored bytes are held at a time.
const BATCH: usize = 64;
/// Stored chunks that are fetched at a time.
const CONCURRENT_FETCHES: usize = 16;

/// Where a slot's values come from.
enum Source {
    Missing,
    /// Held here, so that it cannot leave the cache before it is used.
    Cached(Arc<[f32]>),
    Virtual {
        location: String,
        reference: VirtualChunkRef,
    },
    Stored(Bytes),
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
            let sources: Vec<Source> = futures::stream::iter(batch.iter())
                .map(|index| self.source(info, index))
                .buffered(CONCURRENT_FETCHES)
                .try_collect()
                .await?;
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
        let source = self.source(&info, &index).await?;
        if matches!(source, Source::Missing) {
            return Ok(None);
        }
        let mut values: Arc<[f32]> = std::iter::repeat_n(f32::NAN, block.chunk_elements).collect();
        if let Some(out) = Arc::get_mut(&mut values) {
            blocking(|| self.shared.decode_chunk(self, &info, &index, &source, out))?;
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
        let tuples = outer(slot_axes);
        let part = outer(spatial_axes);
        // Positions of the wanted elements in the block around them.
        let positions: Vec<usize> =
            part.iter().map(|tuple| block.position(tuple.iter().map(|&i| u64::from(i)))).collect();
        let mut values = Vec::with_capacity(tuples.len() * positions.len());
        for batch in tuples.chunks(BATCH) {
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

/// The part of every chunk that a region takes.
struct Block {
    spatial: Vec<Range<u64>>,
    /// The chunk's spatial shape.
    shape: Vec<u64>,
    elements: usize,
    chunk_elements: usize,
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

    /// Copies the block out of a whole chunk, row by row.
    fn copy(&self, chunk: &[f32], out: &mut [f32]) {
        let Some((columns, outer)) = self.spatial.split_last() else {
            if let (Some(out), Some(value)) = (out.first_mut(), chunk.first()) {
                *out = *value;
            }
            return;
        };
        let width = (columns.end - columns.start) as usize;
        if width == 0 {
            return;
        }
        for (row, out) in slot_indices(outer).iter().zip(out.chunks_mut(width)) {
            let start = row.iter().zip(&self.shape).fold(0, |n, (&i, &length)| n * length as usize + i as usize);
            let start = start * self.shape.last().copied().unwrap_or(1) as usize + columns.start as usize;
            if let Some(values) = chunk.get(start..start + out.len()) {
                out.copy_from_slice(values);
            }
        }
    }
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
        let jobs: Vec<_> = indices.iter().zip(sources).zip(out.chunks_mut(block.elements)).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
        let work = |((index, source), out): ((&Vec<u32>, &Source), &mut [f32])| {
            self.fill(snapshot, info, index, source, block, out)
        };
        if threads < 2 {
            return jobs.into_iter().try_for_each(work);
        }
        let jobs: Vec<_> = jobs.into_iter().map(|job| std::sync::Mutex::new(Some(job))).collect();
        let next = AtomicUsize::new(0);
        let failed = std::sync::Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let Some(job) = lock(job).take() else { continue };
                        if let Err(error) = work(job) {
                            next.store(jobs.len(), Ordering::Relaxed);
                            lock(&failed).get_or_insert(error);
                        }
                    }
                });
            }
        });
        failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn fill(
        &self,
        snapshot: &Snapshot,
        info: &ArrayInfo,
        index: &[u32],
        source: &Source,
        block: &Block,
        out: &mut [f32],
    ) -> Result<()> {
        match source {
            Source::Missing => out.fill(f32::NAN),
            Source::Cached(values) => block.copy(values, out),
            _ if block.is_whole() => self.decode_chunk(snapshot, info, index, source, out)?,
            _ => {
                let mut values = vec![f32::NAN; block.chunk_elements];
                self.decode_chunk(snapshot, info, index, source, &mut values)?;
                block.copy(&values, out);
                self.cache.insert(CacheKey { array: info.name.clone(), index: index.to_vec() }, values.into());
            }
        }
        Ok(())
    }

    /// All values of a chunk.
    fn decode_chunk(
        &self,
        snapshot: &Snapshot,
        info: &ArrayInfo,
        index: &[u32],
        source: &Source,
        out: &mut [f32],
    ) -> Result<()> {
        match source {
            Source::Missing => out.fill(f32::NAN),
            Source::Cached(values) => out.iter_mut().zip(values.iter()).for_each(|(out, value)| *out = *value),
            Source::Virtual { location, reference } => {
                let message = self.fetch(location, reference)?;
                let place = format!("{location} at byte {}", reference.offset);
                let Some(slot) = snapshot.slot(info, index) else {
                    return Err(Error::Layout {
                        group: info.name.clone(),
                        reason: "not an array of the layout".into(),
                    });
                };
                let (sections, key) = self.field_of_slot(&slot, &place, &message)?;
                let grid = self.grid(&sections, &key, &place)?;
                decode::decode_field(&sections, &grid, out).map_err(|e| decode_error(&place, e))?;
            }
            Source::Stored(bytes) => decode_stored(info, index, bytes, out)?,
        }
        Ok(())
    }
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
    outer(&ranges.iter().map(|range| range.clone().collect()).collect::<Vec<Vec<u64>>>())
}

fn outer(axes: &[Vec<u64>]) -> Vec<Vec<u32>> {
    axes.iter().fold(vec![Vec::new()], |tuples, axis| {
        let extend = |tuple: &Vec<u32>| -> Vec<Vec<u32>> {
            axis.iter().map(|&i| tuple.iter().copied().chain([i as u32]).collect()).collect()
        };
        tuples.iter().flat_map(extend).collect()
    })
}
