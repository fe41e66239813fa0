//! Placed fields -> references and stored chunks -> one commit for whole files.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use icechunk::format::manifest::{ChunkPayload, VirtualChunkLocation, VirtualChunkRef};
use serde_json::json;

use crate::cube::place::Slot;
use crate::error::{Error, Result};
use crate::read::Fingerprint;
use crate::repository::ledger::{FileRecord, RefusedField};
use crate::repository::{Conflict, Repository, Transaction};
use crate::selection::Selection;
use crate::source::{Location, PatternValues, Remote, RemoteUrl, SourceFile};

use super::materialise::{Decoded, decode_and_encode};
use super::place::{PlacedField, Placement, place};
use super::references::{self, Input, Inputs};
use super::report::{FileReport, IngestReport};
use super::scan::{ScannedFile, scan_inputs};

/// References in one commit: Icechunk takes more, but one commit should stay below a second.
const REFERENCES_PER_COMMIT: usize = 1_000_000;
/// How often an ingest is done again when the cube's metadata changed under it.
const ATTEMPTS: usize = 20;
/// Ledger elements named in a commit's metadata, which Icechunk copies into a file that every commit rewrites.
const NAMED_ELEMENTS: usize = 16;

/// What happens to fields of a reference time that the cube does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewTimes {
    /// The time is allocated first, in a commit of its own.
    #[default]
    Allocate,
    /// The fields are refused.
    Refuse,
}

/// How files are ingested.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct IngestOptions {
    /// Fields that are decoded and stored at once; the others become virtual.
    pub materialise: Option<Selection>,
    /// What happens to a slot that is filled already.
    pub on_conflict: Conflict,
    /// One commit for each file, rather than one for all.
    pub commit_each: bool,
    /// What happens to fields of a reference time that the cube does not have.
    pub new_times: NewTimes,
    /// Take remote files too whose server says nothing by which a change could be noticed.
    pub unverified: bool,
}

impl IngestOptions {
    /// Sets [`materialise`](Self::materialise).
    pub fn materialise(mut self, selection: Selection) -> Self {
        self.materialise = Some(selection);
        self
    }

    /// Sets [`on_conflict`](Self::on_conflict).
    pub fn on_conflict(mut self, conflict: Conflict) -> Self {
        self.on_conflict = conflict;
        self
    }

    /// Sets [`unverified`](Self::unverified).
    pub fn unverified(mut self) -> Self {
        self.unverified = true;
        self
    }

    /// Sets [`commit_each`](Self::commit_each).
    pub fn commit_each(mut self) -> Self {
        self.commit_each = true;
        self
    }
}

/// Ingests files, directories or globs. All fields of a file become visible in one commit; files share commits unless
/// [`IngestOptions::commit_each`] is set. A file that was ingested and did not change changes nothing. `done` is called
/// with each file's report as it is committed.
///
/// # Errors
/// When a source does not exist or nothing could be committed. Bad files and fields are in the report, and in the ledger.
pub async fn ingest(
    repository: &Repository,
    sources: &[String],
    options: &IngestOptions,
    done: impl FnMut(&FileReport),
) -> Result<IngestReport> {
    let inputs = references::find(sources, repository.access(), &PatternValues::default()).await?;
    ingest_inputs(repository, inputs, options, done).await
}

/// [`ingest`] for sources that were found already.
pub async fn ingest_inputs(
    repository: &Repository,
    inputs: Inputs,
    options: &IngestOptions,
    mut done: impl FnMut(&FileReport),
) -> Result<IngestReport> {
    let remote = repository.access().remote();
    let Inputs { files, lists, .. } = inputs;
    add_sources(repository, &files).await?;
    let mut report = IngestReport::default();
    lists.iter().for_each(&mut done);
    report.files.extend(lists);
    let mut batch = Vec::new();
    let (mut references, mut left) = (0, files.len());
    let mut scans = scan_inputs(files, remote).await;
    while let Some((file, scanned)) = scans.next().await {
        let scanned = scanned.and_then(|scanned| verifiable(scanned, options));
        references += scanned.as_ref().map_or(0, |s| s.fields.len());
        left -= 1;
        batch.push((file, scanned));
        if options.commit_each || references >= REFERENCES_PER_COMMIT || left == 0 {
            let (files, snapshot) = commit_batch(repository, &std::mem::take(&mut batch), options).await?;
            files.iter().for_each(&mut done);
            report.files.extend(files);
            report.snapshots.extend(snapshot);
            references = 0;
        }
    }
    Ok(report)
}

/// A source whose change nobody would notice is taken only when the user says so.
fn verifiable(scanned: ScannedFile, options: &IngestOptions) -> Result<ScannedFile> {
    if options.unverified || scanned.checksum().is_some() {
        return Ok(scanned);
    }
    Err(Error::Source {
        location: scanned.url,
        reason: "the server gives neither ETag nor Last-Modified, so a change would not be noticed; \
                 --unverified takes it all the same"
            .into(),
    })
}

/// The directories and prefixes of the files become sources.
async fn add_sources(repository: &Repository, inputs: &[Input]) -> Result<()> {
    let (prefixes, directories) = places_of(inputs)?;
    for prefix in prefixes {
        repository.add_remote_source(&prefix).await?;
    }
    for directory in directories {
        repository.add_source(&directory).await?;
    }
    Ok(())
}

/// The deepest common directory of files that share a parent, and of each bucket or host. Where a list leads, its directory
/// alone becomes a source: the list was not written by this user.
fn places_of(inputs: &[Input]) -> Result<(BTreeSet<RemoteUrl>, BTreeSet<PathBuf>)> {
    let (mut prefixes, mut directories) = (BTreeSet::new(), BTreeSet::new());
    let mut buckets: BTreeMap<RemoteUrl, RemoteUrl> = BTreeMap::new();
    let mut parents: BTreeSet<&Path> = BTreeSet::new();
    for input in inputs {
        match &input.file.location {
            Location::Local(path) if input.is_referred_to() => directories.extend(path.parent().map(PathBuf::from)),
            Location::Local(path) => parents.extend(path.parent()),
            Location::Remote(url) if input.is_referred_to() => drop(prefixes.insert(url.parent())),
            Location::Remote(url) => {
                let common = buckets.entry(url.root()).or_insert_with(|| url.parent());
                while !common.holds(url) {
                    *common = common.with_key(common.key.trim_end_matches('/'))?.parent();
                }
            }
        }
    }
    prefixes.extend(buckets.into_values());
    let mut common: Option<PathBuf> = None;
    for directory in &parents {
        common = Some(match common {
            None => directory.to_path_buf(),
            Some(common) => common.ancestors().find(|a| directory.starts_with(a)).unwrap_or(Path::new("/")).into(),
        });
    }
    match common {
        Some(common) if common.components().count() > 2 => drop(directories.insert(common)),
        // Directories that have only the root (or a top directory) in common are sources of their own.
        _ => directories.extend(parents.into_iter().map(PathBuf::from)),
    }
    Ok((prefixes, directories))
}

type Scanned = (SourceFile, Result<ScannedFile>);

// Boxed: the compiler cannot see otherwise that the future of an ingest is `Send`.
fn commit_batch<'a>(
    repository: &'a Repository,
    batch: &'a [Scanned],
    options: &'a IngestOptions,
) -> BoxFuture<'a, Result<(Vec<FileReport>, Option<String>)>> {
    Box::pin(async move {
        if options.new_times == NewTimes::Allocate {
            allocate_new_times(repository, batch).await?;
        }
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            match try_commit(repository, batch, options).await {
                // Another writer was faster: it changed the cube's metadata, over which Icechunk cannot rebase chunk changes, or
                // it filled a slot that must not be filled twice. On its state everything is decided anew.
                Err(error @ Error::Conflict { .. }) => {
                    last = Some(error);
                    tokio::time::sleep(std::time::Duration::from_millis(2 << attempt.min(7))).await;
                }
                result => return result,
            }
        }
        Err(last.unwrap_or_else(|| Error::invalid("ingest", "no attempt was made")))
    })
}

/// Allocates the times of fields that have everything but their time in the cube.
async fn allocate_new_times(repository: &Repository, batch: &[Scanned]) -> Result<()> {
    let transaction = repository.transaction("main").await?;
    let layout = transaction.layout();
    let mut times = std::collections::BTreeSet::new();
    for field in batch.iter().filter_map(|(_, scanned)| scanned.as_ref().ok()).flat_map(|s| &s.fields) {
        // Placing is for the commit: here only fields matter whose time some group does not have.
        let Some(time) = field.key.time else { continue };
        if times.contains(&time) || layout.groups.values().all(|group| group.times.contains(&time)) {
            continue;
        }
        times.extend(layout.place(&field.key).err().and_then(|refusal| refusal.new_time));
    }
    if !times.is_empty() {
        let times: Vec<i64> = times.into_iter().collect();
        super::init::allocate(repository, &times).await?;
    }
    Ok(())
}

async fn try_commit(
    repository: &Repository,
    batch: &[Scanned],
    options: &IngestOptions,
) -> Result<(Vec<FileReport>, Option<String>)> {
    let mut transaction = repository.transaction("main").await?;
    if transaction.layout().home.is_none() {
        return Err(Error::not_found(
            format!("a cube in {}", repository.location()),
            "make one with `gribchunk init`, or ingest with --create",
        ));
    }
    let mut writer = BatchWriter {
        options,
        remote: repository.access().remote(),
        taken: HashMap::new(),
        virtual_references: BTreeMap::new(),
    };
    let mut reports = Vec::with_capacity(batch.len());
    let mut records = Vec::new();
    for (file, scanned) in batch {
        let (report, record) = match scanned {
            Ok(scanned) => {
                if scanned.first_time().is_some() {
                    transaction.forget_bad_file(&scanned.url).await?;
                }
                writer.file(&mut transaction, scanned).await?
            }
            Err(error) => bad_file(&transaction, file, error).await?,
        };
        records.extend(record);
        reports.push(report);
    }
    writer.flush(&mut transaction).await?;
    let mut elements = Vec::new();
    for (record, first_time) in records {
        let element = transaction.record_file(record, first_time).await?;
        elements.push(element);
    }
    if !transaction.has_changes().await {
        return Ok((reports, None));
    }
    elements.sort_unstable();
    elements.dedup();
    let more = elements.len().saturating_sub(NAMED_ELEMENTS);
    elements.truncate(NAMED_ELEMENTS);
    let sum = |count: fn(&FileReport) -> u64| reports.iter().map(count).sum::<u64>();
    let (placed, refused) = (sum(|f| f.placed), sum(|f| f.refused.len() as u64));
    let changes = BTreeMap::from([
        ("action".to_string(), json!("ingest")),
        ("files".to_string(), json!(reports.len())),
        ("badFiles".to_string(), json!(reports.iter().filter(|f| f.error.is_some()).count())),
        ("fields".to_string(), json!(placed)),
        ("materialised".to_string(), json!(sum(|f| f.materialised))),
        ("refused".to_string(), json!(refused)),
        ("ledger".to_string(), json!(elements)),
        ("ledgerMore".to_string(), json!(more)),
    ]);
    let message = match reports.as_slice() {
        [one] => format!("ingest {}: {placed} fields", name_of(&one.url)),
        many => format!("ingest {} files: {placed} fields", many.len()),
    };
    let id = transaction.commit(&message, changes, options.on_conflict).await?;
    Ok((reports, Some(id.to_string())))
}

fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// A file of which nothing could be read: recorded once, whatever happens to it later.
async fn bad_file(
    transaction: &Transaction,
    file: &SourceFile,
    error: &Error,
) -> Result<(FileReport, Option<(FileRecord, Option<i64>)>)> {
    let url = file.location.url()?;
    let fingerprint = match (file.path(), &file.listed) {
        (Some(path), _) => std::fs::metadata(path).ok().as_ref().map(Fingerprint::of),
        (None, Some(info)) => Some(Fingerprint { size: info.size, mtime_ns: info.modified_ns }),
        (None, None) => None,
    };
    let record = FileRecord {
        url: url.clone(),
        size: fingerprint.map_or(0, |f| f.size),
        mtime_ns: fingerprint.map_or(0, |f| f.mtime_ns),
        etag: file.listed.as_ref().and_then(|info| info.etag.clone()),
        placed: 0,
        materialised: 0,
        kept: 0,
        refused: Vec::new(),
        refused_more: 0,
        error: Some(error.to_string()),
        recorded: now(),
    };
    let report = FileReport { url, size: record.size, error: Some(error.to_string()), ..Default::default() };
    let known = transaction.file_record(&record.url, None).await?;
    let new = known.is_none_or(|known| !known.same_file(&record) || known.error != record.error);
    Ok((report, new.then_some((record, None))))
}

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// What a batch writes, collected so that each array is touched once.
struct BatchWriter<'a> {
    options: &'a IngestOptions,
    remote: &'a Remote,
    /// Slots that files of this batch filled, with the field that is there.
    taken: HashMap<Slot, String>,
    virtual_references: BTreeMap<String, BTreeMap<Slot, VirtualChunkRef>>,
}

impl BatchWriter<'_> {
    async fn file(
        &mut self,
        transaction: &mut Transaction,
        scanned: &ScannedFile,
    ) -> Result<(FileReport, Option<(FileRecord, Option<i64>)>)> {
        let first_time = scanned.first_time();
        let known = transaction.file_record(&scanned.record_url(), first_time).await?;
        let known = known.filter(|k| k.is_of(scanned.fingerprint, scanned.etag()));
        let layout = transaction.layout().clone();
        let Placement { mut placed, mut report } =
            place(&layout, scanned, self.options.materialise.as_ref(), self.remote).await?;
        if let Some(known) = &known {
            // Only what was refused then can be new: the cube may have a place for it now.
            let refused: HashSet<(u64, u32)> = known.refused.iter().map(|r| (r.offset, r.submessage)).collect();
            let before = placed.len();
            if known.refused_more == 0 {
                placed.retain(|p| refused.contains(&(p.field.offset, p.field.submessage)));
            }
            report.unchanged = placed.is_empty();
            report.placed = 0;
            if placed.is_empty() && before > 0 {
                return Ok((report, None));
            }
        }
        let mut filled: HashSet<(u64, u32)> = HashSet::new();
        let mut to_store = Vec::new();
        for placed in placed {
            if !self.may_place(transaction, &placed, &mut report).await? {
                continue;
            }
            filled.insert((placed.field.offset, placed.field.submessage));
            if placed.materialise {
                to_store.push(placed);
            } else {
                let reference = reference(scanned, &placed)?;
                self.virtual_references.entry(placed.slot.array.clone()).or_default().insert(placed.slot, reference);
            }
        }
        self.store(transaction, scanned, to_store, &mut filled, &mut report).await?;
        report.placed = filled.len() as u64;
        let earlier = known.as_ref().map_or(0, |k| k.placed);
        let record = FileRecord {
            url: scanned.record_url(),
            size: scanned.fingerprint.size,
            mtime_ns: scanned.fingerprint.mtime_ns,
            etag: scanned.etag().map(String::from),
            placed: report.placed + earlier,
            materialised: report.materialised + known.as_ref().map_or(0, |k| k.materialised),
            kept: report.kept,
            refused: report.refused.clone(),
            refused_more: 0,
            error: None,
            recorded: now(),
        };
        let same = known.as_ref().is_some_and(|k| k.placed == record.placed && k.refused == record.refused);
        report.unchanged = same;
        Ok((report, (!same).then_some((record, first_time))))
    }

    /// Decides about a slot that is taken, by the policy.
    async fn may_place(
        &mut self,
        transaction: &Transaction,
        placed: &PlacedField,
        report: &mut FileReport,
    ) -> Result<bool> {
        let policy = self.options.on_conflict;
        let other = match self.taken.get(&placed.slot) {
            Some(other) => Some(other.clone()),
            None if policy == Conflict::Replace => None,
            None => transaction.chunk(&placed.slot).await?.map(|chunk| describe(&chunk)),
        };
        match (policy, other) {
            (Conflict::Keep, Some(_)) => {
                report.kept += 1;
                return Ok(false);
            }
            (Conflict::Fail, Some(other)) => {
                report.refused.push(RefusedField {
                    offset: placed.field.offset,
                    submessage: placed.field.submessage,
                    field: placed.field.key.to_string(),
                    slot: Some(placed.slot.to_string()),
                    reason: format!("the slot is filled already, by {other} (--on-conflict fail)"),
                });
                return Ok(false);
            }
            _ => {}
        }
        self.taken.insert(placed.slot.clone(), format!("{} at byte {}", report.url, placed.field.offset));
        Ok(true)
    }

    async fn store(
        &mut self,
        transaction: &mut Transaction,
        scanned: &ScannedFile,
        fields: Vec<PlacedField>,
        filled: &mut HashSet<(u64, u32)>,
        report: &mut FileReport,
    ) -> Result<()> {
        let layout = transaction.layout().clone();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for part in fields.chunks(threads * 4) {
            let decoded = decode_and_encode(&layout, scanned, part, self.remote).await?;
            let uploads: Vec<(Slot, ChunkPayload)> = {
                let transaction = &*transaction;
                let stored = decoded.iter().filter_map(|Decoded { placed, encoded }| {
                    encoded.as_ref().ok().map(|encoded| (placed.slot.clone(), encoded.clone()))
                });
                // Not a lazy iterator across an await: the future would not be `Send`.
                let stored: Vec<(Slot, bytes::Bytes)> = stored.collect();
                futures::stream::iter(stored)
                    .map(|(slot, encoded)| async move {
                        let payload = transaction.upload(&slot, encoded).await?;
                        Ok::<_, Error>((slot, payload))
                    })
                    .buffered(16)
                    .try_collect()
                    .await?
            };
            for (slot, payload) in uploads {
                if let Some(references) = self.virtual_references.get_mut(&slot.array) {
                    references.remove(&slot);
                }
                transaction.set_stored(&slot, Some(payload)).await?;
                report.materialised += 1;
            }
            for Decoded { placed, encoded } in decoded {
                if let Err(error) = encoded {
                    filled.remove(&(placed.field.offset, placed.field.submessage));
                    self.taken.remove(&placed.slot);
                    report.refused.push(RefusedField {
                        offset: placed.field.offset,
                        submessage: placed.field.submessage,
                        field: placed.field.key.to_string(),
                        slot: Some(placed.slot.to_string()),
                        reason: error.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    async fn flush(&mut self, transaction: &mut Transaction) -> Result<()> {
        for (array, references) in std::mem::take(&mut self.virtual_references) {
            transaction.set_virtual(&array, references.into_iter().collect()).await?;
        }
        Ok(())
    }
}

fn reference(scanned: &ScannedFile, placed: &PlacedField) -> Result<VirtualChunkRef> {
    let location = scanned.location();
    Ok(VirtualChunkRef {
        location: VirtualChunkLocation::from_url(&location).map_err(Error::repository(location.clone()))?,
        offset: placed.field.offset,
        length: placed.field.length,
        checksum: scanned.checksum(),
    })
}

fn describe(chunk: &ChunkPayload) -> String {
    match chunk {
        ChunkPayload::Virtual(reference) => format!("{} at byte {}", reference.location.url(), reference.offset),
        _ => "a materialised chunk".into(),
    }
}
