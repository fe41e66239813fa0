//! Source file -> located fields with their keys; no data section is read.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use icechunk::format::manifest::{Checksum, SecondsSinceEpoch};
use icechunk_types::ETag;

use crate::error::{Error, Result};
use crate::grib::KeyMemory;
use crate::grib::key::FieldKey;
use crate::grib::sections;
use crate::grib::sections::FieldSections;
use crate::grib::walk::{self, Found, RangedRead};
use crate::index::{self, Entry};
use crate::read::Fingerprint;
use crate::repository::ledger::RefusedField;
use crate::source::{Condition, HEADER_GAP, LocalFile, Location, ObjectInfo, Reader, Remote, Sidecar, SourceFile};

use super::samples::SampleMemory;

/// Bytes of a message that hold everything before the data, in nearly all files.
const HEADER_BYTES: u64 = 4096;
/// Tried when these are too few, before the whole message is.
const LONG_HEADER_BYTES: u64 = 64 << 10;
/// Remote files that are scanned at a time.
const CONCURRENT_FILES: usize = 16;
/// A larger remote file is not searched for what a bad index leaves out: that takes a request for each message.
const SEARCHED_REMOTE_BYTES: u64 = 32 << 20;

/// A field that was found.
#[derive(Debug, Clone)]
pub struct ScannedField {
    /// The message's first byte in the file.
    pub offset: u64,
    /// The message's length in bytes.
    pub length: u64,
    /// The field's position in its message, from 0.
    pub submessage: u32,
    /// How many fields the message has.
    pub submessages: u32,
    /// What the field is.
    pub key: FieldKey,
}

/// What a file holds.
#[derive(Debug, Clone)]
pub struct ScannedFile {
    /// `file:///...`, without a fragment.
    pub url: String,
    /// Where it was found.
    pub source: SourceFile,
    /// Size and modification time.
    pub fingerprint: Fingerprint,
    /// What the server said about a remote file.
    pub info: Option<ObjectInfo>,
    /// In the order of the file.
    pub fields: Vec<ScannedField>,
    /// Messages and index lines that gave no field.
    pub refused: Vec<RefusedField>,
    /// What is odd but kept no field out.
    pub warnings: Vec<String>,
}

impl ScannedFile {
    /// The first reference time: where the ledger keeps the file's record.
    pub fn first_time(&self) -> Option<i64> {
        self.fields.iter().filter_map(|f| f.key.time).min()
    }

    /// The file's URL; a local file's with what it is now in the fragment.
    pub fn location(&self) -> String {
        match self.info {
            None => format!("{}{}", self.url, self.fingerprint.fragment()),
            Some(_) => self.url.clone(),
        }
    }

    /// The ETag of a remote file.
    pub fn etag(&self) -> Option<&str> {
        self.info.as_ref()?.etag.as_deref()
    }

    /// What references to the file carry, so that a later change is noticed; `None` when the server says nothing that
    /// would show one.
    pub fn checksum(&self) -> Option<Checksum> {
        let Some(info) = &self.info else { return self.fingerprint.last_modified() };
        match info.condition() {
            // No server lets a weak ETag match a condition, which is how plain Icechunk checks it.
            Condition::ETag(etag) if etag.starts_with("W/") && info.modified_ns > 0 => self.fingerprint.last_modified(),
            Condition::ETag(etag) => Some(Checksum::ETag(ETag(etag))),
            Condition::NotModifiedSince(seconds) => {
                Some(Checksum::LastModified(SecondsSinceEpoch(u32::try_from(seconds).ok()?)))
            }
            Condition::None => None,
        }
    }

    /// Opens the file that was scanned; what is read later must be that version.
    pub async fn open(&self, remote: &Remote) -> Result<Reader> {
        Reader::open(&self.source.location, self.info.as_ref(), remote).await
    }
}

/// Scans files, several at a time; the results are in the order of the files.
///
/// Remote files of one product share the headers that are read: the file with the last step is scanned first, since what
/// its windows are tells those of the steps before.
pub(super) async fn scan_files(
    files: Vec<SourceFile>,
    remote: &Remote,
) -> impl Stream<Item = (SourceFile, Result<ScannedFile>)> + Unpin {
    let memory = SampleMemory::default();
    let any_remote = files.iter().any(|file| file.path().is_none());
    let mut first: HashMap<Location, Result<ScannedFile>> = HashMap::new();
    for file in memory.first_of_each_product(&files) {
        first.insert(file.location.clone(), scan_in_product(file.clone(), remote.clone(), memory.clone()).await);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let remote = remote.clone();
    let scans = futures::stream::iter(files).map(move |file| {
        let done = first.remove(&file.location);
        let scan = done.is_none().then(|| tokio::spawn(scan_in_product(file.clone(), remote.clone(), memory.clone())));
        async move {
            let scanned = match (done, scan) {
                (Some(scanned), _) => scanned,
                (None, Some(scan)) => scan.await.unwrap_or_else(|e| Err(Error::repository("scanning a source")(e))),
                (None, None) => Err(Error::invalid("a scan", "it was lost")),
            };
            (file, scanned)
        }
    });
    Box::pin(scans.buffered(if any_remote { CONCURRENT_FILES } else { threads }))
}

async fn scan_in_product(file: SourceFile, remote: Remote, memory: SampleMemory) -> Result<ScannedFile> {
    scan(&file, &remote, Some(&memory)).await
}

/// Finds the fields of a file: by its sidecar and one header per group of lines, or by walking all headers.
///
/// # Errors
/// When nothing of the file can be read. Everything smaller is in [`ScannedFile::refused`].
pub fn scan_file(source: &SourceFile) -> Result<ScannedFile> {
    let source = source.clone();
    crate::store::block_on(async move { scan(&source, &Remote::default(), None).await })?
}

async fn scan(source: &SourceFile, remote: &Remote, memory: Option<&SampleMemory>) -> Result<ScannedFile> {
    let file = Reader::open(&source.location, source.listed.as_ref(), remote).await?;
    let mut scanned = ScannedFile {
        url: source.location.url()?,
        source: source.clone(),
        fingerprint: file.fingerprint(),
        info: file.info().cloned(),
        fields: Vec::new(),
        refused: Vec::new(),
        warnings: Vec::new(),
    };
    if file.size() == 0 {
        return Err(Error::Source {
            location: scanned.url,
            reason: "the file is empty; ingest it again when it is complete".into(),
        });
    }
    let sidecar = sidecar(source, remote, memory, &mut scanned.warnings).await?;
    match sidecar {
        Some((name, text)) => match index::parse(&text, Some(file.size())) {
            Ok(index) => {
                let memory = memory.filter(|_| file.local().is_none());
                scan_index(&file, index, memory, &mut scanned).await?;
            }
            Err(error) => {
                scanned.warnings.push(format!("{name}: {error}; the messages were read instead"));
                scan_messages(&file, &mut scanned).await?;
            }
        },
        None => {
            scan_messages(&file, &mut scanned).await?;
        }
    }
    if scanned.fields.is_empty() && scanned.refused.is_empty() {
        return Err(Error::Source { location: scanned.url, reason: "no GRIB message in it".into() });
    }
    Ok(scanned)
}

/// The name and text of a file's sidecar, if there is one. One that went away since it was listed is none.
async fn sidecar(
    source: &SourceFile,
    remote: &Remote,
    memory: Option<&SampleMemory>,
    warnings: &mut Vec<String>,
) -> Result<Option<(String, Bytes)>> {
    let (candidates, url) = match (&source.sidecar, &source.location) {
        (Some(Sidecar::At(Location::Local(path))), _) => {
            let text = std::fs::read(path).map_err(Error::io(path))?;
            return Ok(Some((path.display().to_string(), text.into())));
        }
        (Some(Sidecar::At(Location::Remote(url))), _) => (vec![url.key.clone()], url),
        (Some(Sidecar::Unknown), Location::Remote(url)) => {
            let mut candidates = index::sidecar_candidates(&url.key);
            if let Some(memory) = memory {
                candidates.sort_by_key(|candidate| !memory.is_usual_sidecar(&url.key, candidate));
            }
            (candidates, url)
        }
        _ => return Ok(None),
    };
    for key in candidates {
        let sidecar = url.with_key(key)?;
        match remote.get(&sidecar).await {
            Ok(Some((text, _))) => {
                if let Some(memory) = memory {
                    memory.found_sidecar(&url.key, &sidecar.key);
                }
                return Ok(Some((sidecar.to_string(), text)));
            }
            Ok(None) => {}
            // A file that may be read beside an index that may not: its own headers tell as much.
            Err(error) => {
                warnings.push(format!("the index cannot be read, the messages were read instead: {error}"));
                return Ok(None);
            }
        }
    }
    Ok(None)
}

/// Finds fields without an index. Returns where a message begins that the file's end cuts off.
async fn scan_messages(file: &Reader, scanned: &mut ScannedFile) -> Result<Option<u64>> {
    let unreadable = |e: std::io::Error| Error::Source { location: scanned.url.clone(), reason: e.to_string() };
    let Messages { fields, refused, cut_off } = match file.local() {
        Some(file) => messages_of(file).map_err(unreadable)?,
        None => {
            let walkable = file.walkable(tokio::runtime::Handle::current()).await?;
            let walk = tokio::task::spawn_blocking(move || messages_of(&walkable));
            walk.await.map_err(Error::repository("looking for messages"))?.map_err(unreadable)?
        }
    };
    scanned.fields = fields;
    scanned.refused.extend(refused);
    Ok(cut_off)
}

#[derive(Default)]
struct Messages {
    fields: Vec<ScannedField>,
    refused: Vec<RefusedField>,
    cut_off: Option<u64>,
}

fn messages_of<R: RangedRead>(file: &R) -> std::io::Result<Messages> {
    let mut memory = KeyMemory::default();
    let mut found = Messages::default();
    for item in walk::ranged_messages(file) {
        match item? {
            Found::Message(message) => {
                let submessages = message.fields().count() as u32;
                for (submessage, field) in (0..).zip(message.fields()) {
                    match field.and_then(|sections| FieldKey::with_memory(&sections, &mut memory)) {
                        Ok(key) => found.fields.push(ScannedField {
                            offset: message.offset,
                            length: message.length,
                            submessage,
                            submessages,
                            key,
                        }),
                        Err(error) => found.refused.push(refused(message.offset, submessage, error.to_string())),
                    }
                }
            }
            Found::Broken(broken) => {
                if broken.offset.saturating_add(broken.claimed_length) > file.size() {
                    found.cut_off = Some(broken.offset);
                }
                found.refused.push(refused(broken.offset, 0, broken.reason.to_string()));
            }
        }
    }
    Ok(found)
}

fn refused(offset: u64, submessage: u32, reason: String) -> RefusedField {
    RefusedField { offset, submessage, field: String::new(), slot: None, reason }
}

async fn scan_index(
    file: &Reader,
    index: index::Index,
    memory: Option<&SampleMemory>,
    scanned: &mut ScannedFile,
) -> Result<()> {
    let mut past_end = Vec::new();
    for problem in &index.problems {
        let text = format!("index line {}: {}", problem.line, problem.reason);
        let line = || RefusedField { field: problem.text.chars().take(60).collect(), ..refused(0, 0, text.clone()) };
        match problem.reason {
            index::Reason::WrappedOffsets | index::Reason::Overlap { .. } | index::Reason::Duplicate { .. } => {
                scanned.warnings.push(text);
            }
            index::Reason::PastEnd { .. } => past_end.push(line()),
            _ => scanned.refused.push(line()),
        }
    }
    // Lines of one message: their order is the order of its fields.
    let mut by_offset: BTreeMap<u64, u32> = BTreeMap::new();
    for entry in &index.entries {
        *by_offset.entry(entry.offset).or_default() += 1;
    }
    let mut groups: HashMap<index::GroupKey, Vec<usize>> = HashMap::new();
    for (i, entry) in index.entries.iter().enumerate() {
        groups.entry(entry.group()).or_default().push(i);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    groups.sort();
    let samples: HashSet<usize> = index.samples().into_iter().collect();
    let mut waiting = Vec::with_capacity(groups.len());
    for mut members in groups {
        // The line that speaks for the others comes first.
        members.sort_by_key(|i| !samples.contains(i));
        let entries: Vec<&Entry> = members.iter().filter_map(|&i| index.entries.get(i)).collect();
        waiting.push(entries);
    }
    // Each round decides what the headers that are there can decide, and fetches what it found wanting all at once; local
    // headers are read when they are wanted, in one round.
    let mut headers = Headers { local: file.local(), fetched: HashMap::new(), wanted: BTreeMap::new() };
    let mut rounds = 0;
    while !waiting.is_empty() {
        let mut undecided = Vec::new();
        for entries in waiting {
            match scan_group(&mut headers, &entries, &by_offset, memory, &scanned.url) {
                Some(group) => {
                    scanned.fields.extend(group.fields);
                    scanned.refused.extend(group.refused);
                    scanned.warnings.extend(group.warnings);
                }
                None => undecided.push(entries),
            }
        }
        waiting = undecided;
        rounds += 1;
        if !waiting.is_empty() && (rounds > MOST_ROUNDS || !headers.fetch(file).await) {
            return Err(Error::Source {
                location: scanned.url.clone(),
                reason: "its headers cannot be settled".into(),
            });
        }
    }
    if !scanned.refused.is_empty() || !past_end.is_empty() {
        add_messages_without_a_line(file, past_end, scanned).await?;
    }
    scanned.fields.sort_by_key(|f| (f.offset, f.submessage));
    Ok(())
}

/// What the index could not say, the file says itself: messages that no good line points to. The bad lines are warnings
/// then, except those for bytes of a file that is cut off: they name the fields that are not there yet.
async fn add_messages_without_a_line(
    file: &Reader,
    past_end: Vec<RefusedField>,
    scanned: &mut ScannedFile,
) -> Result<()> {
    if file.local().is_none() && file.size() > SEARCHED_REMOTE_BYTES {
        scanned.refused.extend(past_end);
        return Ok(());
    }
    let by_lines = std::mem::take(&mut scanned.fields);
    let bad_lines = std::mem::take(&mut scanned.refused);
    scanned.warnings.extend(bad_lines.into_iter().map(|line| format!("{}; the file was read instead", line.reason)));
    let cut_off = scan_messages(file, scanned).await?;
    let known: HashSet<(u64, u32)> = by_lines.iter().map(|f| (f.offset, f.submessage)).collect();
    scanned.fields.retain(|field| !known.contains(&(field.offset, field.submessage)));
    scanned.fields.extend(by_lines);
    match cut_off {
        Some(offset) if !past_end.is_empty() => {
            scanned.refused.retain(|refused| refused.offset != offset);
            scanned.refused.extend(past_end);
        }
        _ => scanned.warnings.extend(past_end.into_iter().map(|line| line.reason)),
    }
    Ok(())
}

/// Samples, the lines that these do not speak for, all lines of a group that is wrong, and each again for long headers.
const MOST_ROUNDS: usize = 16;

/// Beginnings of messages: of a local file, or fetched before they are looked at.
struct Headers<'a> {
    local: Option<&'a LocalFile>,
    fetched: HashMap<u64, std::result::Result<Bytes, String>>,
    /// Length by offset.
    wanted: BTreeMap<u64, u64>,
}

impl Headers<'_> {
    /// `None` when it must be fetched first.
    fn get(&mut self, offset: u64, length: u64) -> Option<std::result::Result<Bytes, String>> {
        if let Some(file) = self.local {
            return Some(file.read_exact(offset, length).map(Bytes::from).map_err(|e| e.to_string()));
        }
        match self.fetched.get(&offset) {
            Some(Ok(bytes)) if bytes.len() as u64 >= length => Some(Ok(bytes.slice(..length as usize))),
            Some(Err(reason)) => Some(Err(reason.clone())),
            _ => {
                let wanted = self.wanted.entry(offset).or_default();
                *wanted = length.max(*wanted);
                None
            }
        }
    }

    /// Fetches what was wanted; whether there was anything.
    async fn fetch(&mut self, file: &Reader) -> bool {
        let wanted: Vec<(u64, u64)> = std::mem::take(&mut self.wanted).into_iter().collect();
        let read = file.read_many(&wanted, HEADER_GAP).await;
        for ((offset, _), bytes) in wanted.iter().zip(read) {
            self.fetched.insert(*offset, bytes.map_err(|e| e.to_string()));
        }
        !wanted.is_empty()
    }
}

/// What a group of lines gave.
#[derive(Default)]
struct Group {
    fields: Vec<ScannedField>,
    refused: Vec<RefusedField>,
    warnings: Vec<String>,
}

/// One group of lines: the first header speaks for all, unless it says that the index is wrong. `None` when headers must
/// be fetched first.
fn scan_group(
    headers: &mut Headers<'_>,
    entries: &[&Entry],
    by_offset: &BTreeMap<u64, u32>,
    memory: Option<&SampleMemory>,
    url: &str,
) -> Option<Group> {
    let mut group = Group::default();
    let mut sample: Option<(Entry, FieldKey)> = None;
    let mut trusted = true;
    let mut incomplete = false;
    let known = entries.first().and_then(|first| memory?.sample(url, first));
    for &entry in entries {
        let submessages = by_offset.get(&entry.offset).copied().unwrap_or(1);
        let from_known = known.as_ref().filter(|_| trusted && submessages == 1 && sample.is_none());
        let from_sample = match (&sample, from_known) {
            (Some((sample_entry, sample_key)), _) if trusted && !entry.overlaps => {
                entry.key_from_sample(sample_entry, sample_key).ok()
            }
            (None, Some((sample_entry, sample_key))) => entry.key_from_other_file(sample_entry, sample_key).ok(),
            _ => None,
        };
        let was_derived = from_sample.is_some();
        let key = match from_sample {
            Some(key) => Ok(key),
            None => match read_header(headers, entry, submessages) {
                Some(key) => key,
                None if sample.is_none() => return None,
                None => {
                    incomplete = true;
                    continue;
                }
            },
        };
        match key {
            Ok(key) => {
                if !was_derived {
                    let disagreements = entry.disagreement(&key);
                    if !disagreements.is_empty() {
                        // One line is wrong: read the header of every other line too.
                        trusted = false;
                        group.warnings.push(format!(
                            "index line {} disagrees with its message at byte {}, which wins: {}",
                            entry.line,
                            entry.offset,
                            disagreements.join("; ")
                        ));
                    }
                    if sample.is_none() {
                        sample = Some((entry.clone(), key.clone()));
                    }
                }
                let Some(length) = entry.length else { continue };
                group.fields.push(ScannedField {
                    offset: entry.offset,
                    length,
                    submessage: entry.submessage.unwrap_or(0),
                    submessages,
                    key,
                });
            }
            Err(reason) => group.refused.push(RefusedField {
                offset: entry.offset,
                submessage: entry.submessage.unwrap_or(0),
                field: entry.keys.text.param.to_string(),
                slot: None,
                reason: format!("index line {}: {reason}", entry.line),
            }),
        }
    }
    if incomplete {
        return None;
    }
    if let (Some(memory), Some((entry, key)), true) = (memory, sample, trusted) {
        memory.keep(url, &entry, &key);
    }
    Some(group)
}

/// The key of the message that a line points to; `None` when its header must be fetched first.
fn read_header(
    headers: &mut Headers<'_>,
    entry: &Entry,
    submessages: u32,
) -> Option<std::result::Result<FieldKey, String>> {
    let Some(length) = entry.length else { return Some(Err("the line gives no length".into())) };
    let key = |sections: &FieldSections<'_>| FieldKey::from_sections(sections).map_err(|e| e.to_string());
    if submessages > 1 {
        let bytes = headers.get(entry.offset, length)?;
        return Some(bytes.and_then(|bytes| {
            let fields = crate::grib::decode::fields_of(&bytes).map_err(|e| e.to_string())?;
            key(fields.get(entry.submessage.unwrap_or(0) as usize).ok_or("the message has fewer fields")?)
        }));
    }
    // Long local sections or lists of points: everything before the data may not fit into the usual header.
    for wanted in [HEADER_BYTES, LONG_HEADER_BYTES, length] {
        let wanted = wanted.min(length);
        let bytes = match headers.get(entry.offset, wanted)? {
            Ok(bytes) => bytes,
            Err(reason) => return Some(Err(reason)),
        };
        match first_field(&bytes, length) {
            Ok(sections) => {
                // A remote object is there as a whole or not at all; a local file may still be growing.
                if headers.local.is_some() {
                    match headers.get(entry.offset + length.saturating_sub(4), 4)? {
                        Ok(end) if end == b"7777"[..] => {}
                        Ok(_) => {
                            let reason = "the message does not end where the index says: is the file complete?";
                            return Some(Err(reason.into()));
                        }
                        Err(reason) => return Some(Err(reason)),
                    }
                }
                return Some(key(&sections));
            }
            Err(_) if wanted < length && bytes.starts_with(b"GRIB") => {}
            Err(error) => return Some(Err(error.to_string())),
        }
    }
    Some(Err("no field in it".into()))
}

fn first_field(prefix: &[u8], length: u64) -> crate::grib::Result<FieldSections<'_>> {
    let nothing = crate::grib::GribError::NotGrib { offset: 0 };
    sections::fields_of_prefix(prefix, length).next().unwrap_or(Err(nothing))
}
