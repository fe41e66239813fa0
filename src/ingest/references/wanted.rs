//! The messages of a file that references ask for.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::AllLabels;
use crate::error::{Error, Result};
use crate::grib::KeyMemory;
use crate::grib::key::FieldKey;
use crate::grib::walk::{self, Found, RangedRead};
use crate::index::references::Labels;
use crate::repository::ledger::RefusedField;
use crate::source::{HEADER_GAP, Reader, Remote, RemoteRanges, SourceFile};

use super::super::samples::SampleMemory;
use super::super::scan::{self, ScannedField, ScannedFile};

/// Names of variables in one warning.
const NAMED: usize = 20;
/// Bytes of a message that hold everything before the data, in nearly all files.
const HEADER_BYTES: u64 = 4096;
/// The end of a message: `7777`.
const END_BYTES: u64 = 4;

/// A reference to a message of a file.
#[derive(Debug, Clone)]
pub(in crate::ingest) struct WantedReference {
    pub offset: u64,
    /// `None`: all messages of the file.
    pub length: Option<u64>,
    pub key: String,
    pub labels: AllLabels,
}

/// Finds the fields of the messages that are asked for: by the file's sidecar, with one header for each group of lines, or
/// by one header each.
///
/// # Errors
/// When the file cannot be read at all.
pub(super) async fn scan(
    source: &SourceFile,
    wanted: &Arc<Vec<WantedReference>>,
    remote: &Remote,
    memory: Option<&SampleMemory>,
) -> Result<ScannedFile> {
    let file = Reader::open(&source.location, source.listed.as_ref(), remote).await?;
    let whole = wanted.iter().any(|w| w.length.is_none());
    let known = if whole {
        Some(scan::scan(source, remote, memory).await?)
    } else {
        let mut by_index = scan::empty_scan(source, &file)?;
        let has_index = source.sidecar.is_some() && scan::scan_sidecar(&file, remote, memory, &mut by_index).await?;
        has_index.then_some(by_index)
    };
    let scanned = scan::empty_scan(source, &file)?;
    if let Some(file) = file.local() {
        return collect(file, wanted, known, scanned);
    }
    let indexed: HashSet<u64> = known.iter().flat_map(|known| &known.fields).map(|field| field.offset).collect();
    let fetched = prefetch(&file, wanted.iter().filter(|w| !indexed.contains(&w.offset))).await;
    let Some(rest) = file.rest(tokio::runtime::Handle::current()) else {
        return Err(Error::invalid("a source", "it is neither local nor remote"));
    };
    let wanted = Arc::clone(wanted);
    let collect = move || collect(&Prefetched { fetched, rest }, &wanted, known, scanned);
    tokio::task::spawn_blocking(collect).await.map_err(Error::repository("reading the headers of references"))?
}

/// The beginnings and ends of messages, all fetched at the same time.
async fn prefetch(file: &Reader, wanted: impl Iterator<Item = &WantedReference>) -> BTreeMap<u64, Bytes> {
    let mut parts: BTreeMap<u64, u64> = BTreeMap::new();
    for (offset, length) in wanted.filter_map(|w| Some((w.offset, w.length?))) {
        let inside = offset.checked_add(length).is_some_and(|end| end <= file.size());
        if inside && length > END_BYTES {
            parts.insert(offset, length.min(HEADER_BYTES));
            parts.insert(offset + length - END_BYTES, END_BYTES);
        }
    }
    let parts: Vec<(u64, u64)> = parts.into_iter().collect();
    let read = file.read_many(&parts, HEADER_GAP).await;
    // What could not be read is asked for again when it is needed, and then says why.
    parts.iter().zip(read).filter_map(|((offset, _), bytes)| Some((*offset, bytes.ok()?))).collect()
}

/// A remote file of which parts are here.
struct Prefetched {
    fetched: BTreeMap<u64, Bytes>,
    rest: RemoteRanges,
}

impl RangedRead for Prefetched {
    fn size(&self) -> u64 {
        self.rest.size()
    }

    fn read(&self, offset: u64, length: usize) -> std::io::Result<Cow<'_, [u8]>> {
        let here = self.fetched.range(..=offset).next_back().and_then(|(start, bytes)| {
            let skipped = usize::try_from(offset - start).ok()?;
            bytes.get(skipped..skipped.checked_add(length)?)
        });
        match here {
            Some(bytes) => Ok(Cow::Borrowed(bytes)),
            None => self.rest.read(offset, length),
        }
    }
}

fn collect<R: RangedRead>(
    file: &R,
    wanted: &[WantedReference],
    known: Option<ScannedFile>,
    mut scanned: ScannedFile,
) -> Result<ScannedFile> {
    let whole = wanted.iter().any(|w| w.length.is_none());
    let mut known_fields: HashMap<u64, Vec<ScannedField>> = HashMap::new();
    if let Some(known) = &known {
        for field in &known.fields {
            known_fields.entry(field.offset).or_default().push(field.clone());
        }
        scanned.warnings.extend(known.warnings.iter().cloned());
        scanned.warnings.extend(dropped_variables(known, wanted, whole));
    }
    let mut places: BTreeMap<(u64, Option<u64>), Vec<&WantedReference>> = BTreeMap::new();
    for reference in wanted {
        places.entry((reference.offset, reference.length)).or_default().push(reference);
    }
    let mut memory = KeyMemory::default();
    let mut labels = LabelCheck::default();
    let mut taken: HashSet<(u64, u32)> = HashSet::new();
    for ((offset, length), references) in places {
        let before = scanned.fields.len();
        match (length, known_fields.get(&offset), &known) {
            (None, _, Some(known)) => {
                scanned.fields.extend(known.fields.iter().cloned());
                scanned.refused.extend(known.refused.iter().cloned());
            }
            (None, _, None) => {}
            (Some(_), Some(fields), _) => scanned.fields.extend(fields.iter().cloned()),
            (Some(length), None, _) => read_messages(file, offset, length, &mut memory, &mut scanned)?,
        }
        let found = scanned.fields.get(before..).unwrap_or_default();
        references.iter().for_each(|reference| labels.check(reference, found));
        let mut position = 0;
        scanned.fields.retain(|field| {
            position += 1;
            position <= before || taken.insert((field.offset, field.submessage))
        });
    }
    scanned.fields.sort_by_key(|f| (f.offset, f.submessage));
    scanned.warnings.extend(labels.warnings());
    scanned.subset = Some(digest(wanted));
    if scanned.fields.is_empty() && scanned.refused.is_empty() {
        let reason = "no GRIB message where the references lead".into();
        return Err(Error::Source { location: scanned.url, reason });
    }
    Ok(scanned)
}

/// A part of a file that is read as if it were all of it.
struct Window<'a, R> {
    file: &'a R,
    start: u64,
    size: u64,
}

impl<R: RangedRead> RangedRead for Window<'_, R> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, length: usize) -> std::io::Result<Cow<'_, [u8]>> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        RangedRead::read(self.file, self.start + offset, length)
    }
}

/// The messages in a range, without their data.
fn read_messages<R: RangedRead>(
    file: &R,
    offset: u64,
    length: u64,
    memory: &mut KeyMemory,
    scanned: &mut ScannedFile,
) -> Result<()> {
    let size = file.size();
    let refuse = |reason: String| RefusedField { offset, submessage: 0, field: String::new(), slot: None, reason };
    if offset.checked_add(length).is_none_or(|end| end > size) {
        scanned.refused.push(refuse(format!(
            "the reference ends at byte {}, the file at {size}: is it complete, and the same file?",
            offset.saturating_add(length)
        )));
        return Ok(());
    }
    let before = scanned.fields.len();
    let mut broken = None;
    let url = scanned.url.clone();
    let unreadable = |e: std::io::Error| Error::Source { location: url.clone(), reason: e.to_string() };
    let mut read = |start: u64, length: u64, first_only: bool, scanned: &mut ScannedFile| -> Result<()> {
        let window = Window { file, start, size: length };
        for item in walk::ranged_messages(&window) {
            match item.map_err(&unreadable)? {
                Found::Message(message) => {
                    let place = start + message.offset;
                    if first_only && place != start {
                        break;
                    }
                    let submessages = message.fields().count() as u32;
                    for (submessage, field) in (0..).zip(message.fields()) {
                        match field.and_then(|sections| FieldKey::with_memory(&sections, memory)) {
                            Ok(key) => scanned.fields.push(ScannedField {
                                offset: place,
                                length: message.length,
                                submessage,
                                submessages,
                                key,
                            }),
                            Err(error) => scanned.refused.push(RefusedField {
                                offset: place,
                                submessage,
                                field: String::new(),
                                slot: None,
                                reason: error.to_string(),
                            }),
                        }
                    }
                }
                Found::Broken(found) => broken = Some(found.reason.to_string()),
            }
            if first_only {
                break;
            }
        }
        Ok(())
    };
    let refused_before = scanned.refused.len();
    read(offset, length, false, scanned)?;
    if scanned.fields.len() == before && scanned.refused.len() == refused_before {
        // A length that is too small (kerchunk keeps only 32 bits of it): the message says how long it is.
        read(offset, size - offset, true, scanned)?;
    }
    if scanned.fields.len() == before && scanned.refused.len() == refused_before {
        let reason = broken.unwrap_or_else(|| "no GRIB message there".into());
        scanned.refused.push(refuse(reason));
    }
    if let [field] = scanned.fields.get(before..).unwrap_or_default()
        && (field.offset, field.length) != (offset, length)
    {
        scanned.warnings.push(format!(
            "the reference to {length} bytes at {offset} holds a message of {} bytes at {}, which is taken",
            field.length, field.offset
        ));
    }
    Ok(())
}

/// Variables of the file that no reference asks for: lists lose what their template does not name.
fn dropped_variables(known: &ScannedFile, wanted: &[WantedReference], whole: bool) -> Option<String> {
    if whole {
        return None;
    }
    let offsets: HashSet<u64> = wanted.iter().map(|w| w.offset).collect();
    let name = |field: &ScannedField| field.key.cf_var_name().into_owned();
    let (asked, others): (Vec<_>, Vec<_>) = known.fields.iter().partition(|f| offsets.contains(&f.offset));
    let asked: BTreeSet<String> = asked.into_iter().map(name).collect();
    let dropped: BTreeSet<String> = others.into_iter().map(name).filter(|n| !asked.contains(n)).collect();
    if dropped.is_empty() {
        return None;
    }
    let named: Vec<&str> = dropped.iter().take(NAMED).map(String::as_str).collect();
    Some(format!(
        "{} variables of the file are in no reference ({}{}): ingest the file itself to have them",
        dropped.len(),
        named.join(", "),
        if dropped.len() > NAMED { ", .." } else { "" }
    ))
}

/// Where labels and messages differ, by kind.
#[derive(Default)]
struct LabelCheck {
    differences: BTreeMap<&'static str, (u64, String)>,
    lost_levels: (u64, String),
}

impl LabelCheck {
    fn check(&mut self, reference: &WantedReference, fields: &[ScannedField]) {
        let Some(first) = fields.first() else { return };
        let differences = |field: &ScannedField| {
            let labels = Labels::of(&reference.labels, &reference.key, field.key.type_of_level);
            (labels.disagreements(&field.key), labels.level_is_lost)
        };
        let (mut found, level_is_lost) = differences(first);
        for field in fields.iter().skip(1) {
            if found.is_empty() {
                break;
            }
            found = differences(field).0;
        }
        for (kind, text) in found {
            let entry = self.differences.entry(kind).or_insert_with(|| (0, format!("{}: {text}", reference.key)));
            entry.0 += 1;
        }
        if level_is_lost {
            if self.lost_levels.0 == 0 {
                self.lost_levels.1 = format!("{} holds {}", reference.key, first.key);
            }
            self.lost_levels.0 += 1;
        }
    }

    fn warnings(self) -> Vec<String> {
        let mut warnings: Vec<String> = self
            .differences
            .into_iter()
            .map(|(kind, (count, first))| {
                format!("{count} labels wrong ({kind}), the messages win; the first: {first}")
            })
            .collect();
        let (count, first) = self.lost_levels;
        if count > 0 {
            warnings.push(format!(
                "{count} keys name no level: each stands for one level of several, and the others were lost when the list was made; the first: {first}"
            ));
        }
        warnings
    }
}

/// The same for the same messages: an ingest that was done is known by it.
fn digest(wanted: &[WantedReference]) -> String {
    let places: BTreeSet<(u64, Option<u64>)> = wanted.iter().map(|w| (w.offset, w.length)).collect();
    let mut digest = Sha256::new();
    for (offset, length) in places {
        digest.update(offset.to_le_bytes());
        digest.update(length.unwrap_or(u64::MAX).to_le_bytes());
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
