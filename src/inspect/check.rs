//! Whether what a repository refers to is there, and is what it says.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use icechunk::format::manifest::{Checksum, ChunkPayload, VirtualChunkRef};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cube::place::{Slot, join};
use crate::error::{Error, Result};
use crate::grib::key::FieldKey;
use crate::grib::sections;
use crate::read::{Snapshot, describe_slot, field_of_slot, parse_location};

/// Bytes of a message that hold everything before the data, in nearly all files.
const HEADER_BYTES: u64 = 4096;
/// The end of a message: `7777`.
const END_BYTES: u64 = 4;
/// Sources that are looked at at a time.
const CONCURRENT_SOURCES: usize = 32;

/// What is checked.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct CheckOptions {
    /// Each source file once too: its length and what says that it is the one that was ingested.
    pub sources: bool,
    /// Which part of the chunks, from 0 to 1; all without. The same repository gives the same sample.
    pub subset: Option<f64>,
}

impl CheckOptions {
    /// Each source file once too.
    pub fn sources(mut self) -> Self {
        self.sources = true;
        self
    }

    /// Only this part of the chunks, from 0 to 1.
    pub fn subset(mut self, part: f64) -> Self {
        self.subset = Some(part);
        self
    }
}

/// Something that a reader would stumble over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Path of the array below `/`; empty for a source file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub array: String,
    /// The slot in coordinates: `t2m time 2026-11-21T00:00Z step 6h number 3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// The chunk's indices over the slot's dimensions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub index: Vec<u32>,
    /// Where the bytes should come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// First byte of the message there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What is wrong, and what to do about it.
    pub reason: String,
}

/// What was checked, and what is bad.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// The snapshot that was checked.
    pub snapshot: String,
    /// Arrays that were looked at, coordinates included.
    pub arrays: u64,
    /// Chunks that are there; of these the next two were looked at.
    pub chunks: u64,
    /// Virtual chunks that were checked.
    #[serde(rename = "virtual")]
    pub virtual_: u64,
    /// Stored chunks that were checked.
    pub materialised: u64,
    /// Virtual chunks that were checked and whose source's change would not be noticed.
    pub unverified: u64,
    /// Source files that were checked.
    pub sources: u64,
    /// Checked chunks without a problem.
    pub good: u64,
    /// Slots of cubes among the checked chunks.
    pub slots: u64,
    /// Slots without a problem.
    pub good_slots: u64,
    /// Everything that is bad, by array and slot; sources last.
    pub problems: Vec<Problem>,
}

impl CheckReport {
    /// Nothing bad was found.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// Nothing that was checked can be used: no slot, or (outside of cubes) no chunk.
    pub fn is_all_bad(&self) -> bool {
        !self.is_good() && if self.slots > 0 { self.good_slots == 0 } else { self.good == 0 }
    }
}

/// Checks a snapshot: manifests can be read; stored chunks decode to the right size; the headers of the messages that
/// virtual chunks refer to say that they are the fields of their slots, by the whole key; sources are the ones that were
/// ingested. No data section is read of a virtual chunk.
///
/// # Errors
/// When the snapshot's nodes cannot be listed. Everything else is a [`Problem`].
pub async fn check(snapshot: &Snapshot, options: &CheckOptions) -> Result<CheckReport> {
    if options.subset.is_some_and(|part| !(part > 0.0 && part <= 1.0)) {
        return Err(Error::invalid("the part of the chunks to check", "use more than 0 % and at most 100 %"));
    }
    let mut report = CheckReport { snapshot: snapshot.id(), ..Default::default() };
    let arrays = snapshot.arrays().await?;
    for (path, group) in &snapshot.layout().groups {
        for name in group.variables.keys().map(|name| join(path, name)).filter(|name| !arrays.contains(name)) {
            report.problems.push(problem_of_array(&name, "the layout names it, but it is not there".into()));
        }
    }
    let mut sources = BTreeMap::new();
    for array in &arrays {
        report.arrays += 1;
        if let Err(error) = check_array(snapshot, array, options, &mut report, &mut sources).await {
            report.problems.push(problem_of_array(array, error.to_string()));
        }
    }
    if options.sources {
        check_sources(snapshot, &sources, &mut report).await;
    }
    Ok(report)
}

fn problem_of_array(array: &str, reason: String) -> Problem {
    Problem { array: array.to_string(), slot: None, index: Vec::new(), source: None, offset: None, reason }
}

/// Locations of sources with their fingerprints, and the checksums of the references to them; what these say of size (the
/// largest end) and number.
type Sources = BTreeMap<(String, String), SourceUse>;

#[derive(Default)]
struct SourceUse {
    slots: u64,
    end: u64,
    checksum: Option<Checksum>,
}

/// Chunks that are checked at a time.
fn concurrency() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) * 2
}

async fn check_array(
    snapshot: &Snapshot,
    array: &str,
    options: &CheckOptions,
    report: &mut CheckReport,
    sources: &mut Sources,
) -> Result<()> {
    let info = snapshot.array(array).await?;
    let slots = snapshot.layout().variable(array).map(|(group, variable)| group.slot_shape(variable).len());
    let mut jobs = Vec::new();
    {
        let session = std::sync::Arc::clone(snapshot.session());
        let chunks = session.array_chunk_iterator(&info.path).await;
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(Error::repository("its manifests cannot be read"))?;
            report.chunks += 1;
            let mut index = chunk.coord.0;
            index.truncate(slots.unwrap_or(info.shape.len()));
            if options.sources
                && let ChunkPayload::Virtual(reference) = &chunk.payload
                && let Ok(location) = snapshot.resolved(reference)
            {
                let source = sources.entry((location, format!("{:?}", reference.checksum))).or_default();
                source.checksum.clone_from(&reference.checksum);
                source.slots += 1;
                source.end = source.end.max(reference.offset.saturating_add(reference.length));
            }
            if is_sampled(array, &index, options.subset) {
                jobs.push((index, chunk.payload));
            }
        }
    }
    let mut results = futures::stream::iter(jobs)
        .map(|(index, payload)| {
            let (snapshot, array) = (snapshot.clone(), array.to_string());
            let checked = (index.clone(), payload.clone());
            let work = tokio::spawn(async move { check_chunk(&snapshot, &array, &index, &payload).await });
            async move { (checked, work.await.unwrap_or_else(|e| Err(Error::repository("checking")(e)))) }
        })
        .buffered(concurrency());
    while let Some(((index, payload), result)) = results.next().await {
        let mut problem = problem_of_array(array, String::new());
        match &payload {
            ChunkPayload::Virtual(reference) => {
                report.virtual_ += 1;
                let location = snapshot.resolved(reference).unwrap_or_else(|_| reference.location.url().to_string());
                let (url, fingerprint) = parse_location(&location);
                report.unverified += u64::from(fingerprint.is_none() && reference.checksum.is_none());
                problem.source = Some(url.to_string());
                problem.offset = Some(reference.offset);
            }
            _ => report.materialised += 1,
        }
        report.slots += u64::from(slots.is_some());
        match result {
            Ok(()) => {
                report.good += 1;
                report.good_slots += u64::from(slots.is_some());
            }
            Err(error) => {
                problem.reason = error.to_string();
                let slot = Slot { array: array.to_string(), index: index.clone() };
                problem.slot = Some(describe_slot(snapshot.layout(), &slot));
                problem.index = index;
                report.problems.push(problem);
            }
        }
    }
    Ok(())
}

async fn check_chunk(snapshot: &Snapshot, array: &str, index: &[u32], payload: &ChunkPayload) -> Result<()> {
    let info = snapshot.array(array).await?;
    match payload {
        ChunkPayload::Virtual(reference) => check_message(snapshot, array, index, reference).await,
        _ if info.is_cube_array() => snapshot.read_chunk(array, index).await.map(|_| ()),
        // Coordinates have one chunk, so this reads what is checked.
        _ if info.shape == info.chunk_shape => snapshot.read_whole(array).await.map(|_| ()),
        payload => snapshot.stored_bytes(&info, index, payload).await.map(|_| ()),
    }
}

/// The header of a virtual chunk's message: the source is allowed and unchanged, the message is whole, and its field is the
/// one of the slot.
async fn check_message(snapshot: &Snapshot, array: &str, index: &[u32], reference: &VirtualChunkRef) -> Result<()> {
    let location = snapshot.resolved(reference)?;
    let place = format!("{location} at byte {}", reference.offset);
    let broken = |reason: &str| Error::Source { location: place.clone(), reason: reason.to_string() };
    let part = async |skip: u64, length: u64| {
        let offset =
            reference.offset.checked_add(skip).ok_or_else(|| broken("the reference ends behind every file"))?;
        let part = VirtualChunkRef { offset, length, ..reference.clone() };
        snapshot.fetch(&location, &part).await
    };
    let Some(end) = reference.length.checked_sub(END_BYTES) else {
        return Err(broken("the reference is shorter than a message"));
    };
    let (tail, head) = futures::try_join!(part(end, END_BYTES), part(0, reference.length.min(HEADER_BYTES)))?;
    if !head.starts_with(b"GRIB") || tail != b"7777"[..] {
        return Err(broken("no whole GRIB message there: it does not begin with GRIB and end in 7777"));
    }
    let slot = Slot { array: array.to_string(), index: index.to_vec() };
    let layout = snapshot.layout();
    if layout.variable(array).is_none() {
        return Ok(());
    }
    let is_of_slot = |key: &FieldKey| layout.place(key).is_ok_and(|slots| slots.contains(&slot));
    for field in sections::fields_of_prefix(&head, reference.length) {
        match field.and_then(|sections| FieldKey::from_sections(&sections)) {
            Ok(key) if is_of_slot(&key) => return Ok(()),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    // Another field of the message, or a header that is longer than usual; the message says what it is instead.
    let message = part(0, reference.length).await?;
    field_of_slot(layout, &slot, &place, &message).map(|_| ())
}

/// Each source file once: its length, and what says that it is the one that was ingested.
async fn check_sources(snapshot: &Snapshot, sources: &Sources, report: &mut CheckReport) {
    let mut checked = futures::stream::iter(sources)
        .map(|((location, _), used)| async move {
            (location, used, snapshot.check_source(location, used.checksum.as_ref(), used.end).await)
        })
        .buffered(CONCURRENT_SOURCES);
    let mut files = BTreeSet::new();
    while let Some((location, used, result)) = checked.next().await {
        let (url, _) = parse_location(location);
        files.insert(url.to_string());
        if let Err(error) = result {
            report.problems.push(Problem {
                array: String::new(),
                slot: None,
                index: Vec::new(),
                source: Some(url.to_string()),
                offset: None,
                reason: format!("{error} ({} slots refer to it)", used.slots),
            });
        }
    }
    report.sources = files.len() as u64;
}

/// Whether a chunk is in the sample: decided by its name alone, so that a second run looks at the same ones.
fn is_sampled(array: &str, index: &[u32], subset: Option<f64>) -> bool {
    let Some(part) = subset else { return true };
    let mut hash = Sha256::new();
    hash.update(array.as_bytes());
    index.iter().for_each(|i| hash.update(i.to_le_bytes()));
    let digest = hash.finalize();
    let number = digest.iter().take(8).fold(0u64, |n, &byte| n << 8 | u64::from(byte));
    (number as f64) < part * (u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_its_share_and_grows_with_it() {
        let slots = || (0..40u32).flat_map(|step| (0..50u32).map(move |number| vec![0, step, number]));
        let taken = |part| slots().filter(|s| is_sampled("t2m", s, Some(part))).collect::<Vec<_>>();
        let (few, more) = (taken(0.05), taken(0.2));
        assert!((60..140).contains(&few.len()), "{}", few.len());
        assert!((340..460).contains(&more.len()), "{}", more.len());
        assert!(few.iter().all(|slot| more.contains(slot)));
        assert_eq!(taken(1.0).len(), 2000);
        assert_ne!(few, slots().filter(|s| is_sampled("u10", s, Some(0.05))).collect::<Vec<_>>());
    }
}
