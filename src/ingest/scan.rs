//! Source file -> located fields with their keys; no data section is read.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::{Error, Result};
use crate::grib::KeyMemory;
use crate::grib::key::FieldKey;
use crate::grib::sections;
use crate::grib::sections::FieldSections;
use crate::grib::walk::{self, Found, RangedRead};
use crate::index::{self, Entry};
use crate::read::Fingerprint;
use crate::repository::ledger::RefusedField;
use crate::source::{LocalFile, SourceFile, url_of};

/// Bytes of a message that hold everything before the data, in nearly all files.
const HEADER_BYTES: u64 = 4096;

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
    /// What the file was when it was scanned.
    pub fingerprint: Fingerprint,
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

    /// The file's URL with what it is now in the fragment.
    pub fn location(&self) -> String {
        format!("{}{}", self.url, self.fingerprint.fragment())
    }
}

/// Finds the fields of a file: by its sidecar and one header per group of lines, or by walking all headers.
///
/// # Errors
/// When nothing of the file can be read. Everything smaller is in [`ScannedFile::refused`].
pub fn scan_file(source: &SourceFile) -> Result<ScannedFile> {
    let file = LocalFile::open(&source.path)?;
    let mut scanned = ScannedFile {
        url: url_of(&source.path)?,
        source: source.clone(),
        fingerprint: file.fingerprint(),
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
    match &source.sidecar {
        Some(sidecar) => {
            let text = std::fs::read(sidecar).map_err(Error::io(sidecar))?;
            match index::parse(&text, Some(file.size())) {
                Ok(index) => scan_index(&file, index, &mut scanned)?,
                Err(error) => {
                    scanned.warnings.push(format!("{}: {error}; the messages were read instead", sidecar.display()));
                    scan_messages(&file, &mut scanned)?;
                }
            }
        }
        None => {
            scan_messages(&file, &mut scanned)?;
        }
    }
    if scanned.fields.is_empty() && scanned.refused.is_empty() {
        return Err(Error::Source { location: scanned.url, reason: "no GRIB message in it".into() });
    }
    Ok(scanned)
}

/// Finds fields without an index. Returns where a message begins that the file's end cuts off.
fn scan_messages(file: &LocalFile, scanned: &mut ScannedFile) -> Result<Option<u64>> {
    let mut memory = KeyMemory::default();
    let mut cut_off = None;
    for item in walk::ranged_messages(file) {
        match item.map_err(Error::io(&scanned.source.path))? {
            Found::Message(message) => {
                let submessages = message.fields().count() as u32;
                for (submessage, field) in (0..).zip(message.fields()) {
                    match field.and_then(|sections| FieldKey::with_memory(&sections, &mut memory)) {
                        Ok(key) => scanned.fields.push(ScannedField {
                            offset: message.offset,
                            length: message.length,
                            submessage,
                            submessages,
                            key,
                        }),
                        Err(error) => scanned.refused.push(refused(message.offset, submessage, error.to_string())),
                    }
                }
            }
            Found::Broken(broken) => {
                if broken.offset.saturating_add(broken.claimed_length) > file.size() {
                    cut_off = Some(broken.offset);
                }
                scanned.refused.push(refused(broken.offset, 0, broken.reason.to_string()));
            }
        }
    }
    Ok(cut_off)
}

fn refused(offset: u64, submessage: u32, reason: String) -> RefusedField {
    RefusedField { offset, submessage, field: String::new(), slot: None, reason }
}

fn scan_index(file: &LocalFile, index: index::Index, scanned: &mut ScannedFile) -> Result<()> {
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
    for mut members in groups {
        // The line that speaks for the others comes first.
        members.sort_by_key(|i| !samples.contains(i));
        let entries: Vec<&Entry> = members.iter().filter_map(|&i| index.entries.get(i)).collect();
        scan_group(file, &entries, &by_offset, scanned);
    }
    if !scanned.refused.is_empty() || !past_end.is_empty() {
        add_messages_without_a_line(file, past_end, scanned)?;
    }
    scanned.fields.sort_by_key(|f| (f.offset, f.submessage));
    Ok(())
}

/// What the index could not say, the file says itself: messages that no good line points to. The bad lines are warnings
/// then, except those for bytes of a file that is cut off: they name the fields that are not there yet.
fn add_messages_without_a_line(file: &LocalFile, past_end: Vec<RefusedField>, scanned: &mut ScannedFile) -> Result<()> {
    let by_lines = std::mem::take(&mut scanned.fields);
    let bad_lines = std::mem::take(&mut scanned.refused);
    scanned.warnings.extend(bad_lines.into_iter().map(|line| format!("{}; the file was read instead", line.reason)));
    let cut_off = scan_messages(file, scanned)?;
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

/// One group of lines: the first header speaks for all, unless it says that the index is wrong.
fn scan_group(file: &LocalFile, entries: &[&Entry], by_offset: &BTreeMap<u64, u32>, scanned: &mut ScannedFile) {
    let mut sample: Option<(&Entry, FieldKey)> = None;
    let mut trusted = true;
    for entry in entries {
        let submessages = by_offset.get(&entry.offset).copied().unwrap_or(1);
        let from_sample = match &sample {
            Some((sample_entry, sample_key)) if trusted && !entry.overlaps => {
                entry.key_from_sample(sample_entry, sample_key).ok()
            }
            _ => None,
        };
        let key = match from_sample {
            Some(key) => Ok(key),
            None => read_header(file, entry, submessages),
        };
        match key {
            Ok(key) => {
                if sample.is_none() || !trusted || entry.overlaps {
                    let disagreements = entry.disagreement(&key);
                    if !disagreements.is_empty() {
                        // One line is wrong: read the header of every other line too.
                        trusted = false;
                        scanned.warnings.push(format!(
                            "index line {} disagrees with its message at byte {}, which wins: {}",
                            entry.line,
                            entry.offset,
                            disagreements.join("; ")
                        ));
                    }
                }
                if sample.is_none() {
                    sample = Some((entry, key.clone()));
                }
                let Some(length) = entry.length else { continue };
                scanned.fields.push(ScannedField {
                    offset: entry.offset,
                    length,
                    submessage: entry.submessage.unwrap_or(0),
                    submessages,
                    key,
                });
            }
            Err(reason) => scanned.refused.push(RefusedField {
                offset: entry.offset,
                submessage: entry.submessage.unwrap_or(0),
                field: entry.keys.text.param.to_string(),
                slot: None,
                reason: format!("index line {}: {reason}", entry.line),
            }),
        }
    }
}

/// The key of the message that a line points to.
fn read_header(file: &LocalFile, entry: &Entry, submessages: u32) -> std::result::Result<FieldKey, String> {
    let length = entry.length.ok_or("the line gives no length")?;
    let wanted = if submessages > 1 { length } else { length.min(HEADER_BYTES) };
    let mut bytes = file.read_exact(entry.offset, wanted).map_err(|e| e.to_string())?;
    let key = |sections: &FieldSections<'_>| FieldKey::from_sections(sections).map_err(|e| e.to_string());
    if submessages > 1 {
        let fields = crate::grib::decode::fields_of(&bytes).map_err(|e| e.to_string())?;
        let field = fields.get(entry.submessage.unwrap_or(0) as usize).ok_or("the message has fewer fields")?;
        return key(field);
    }
    let header = match first_field(&bytes, length) {
        Err(_) if wanted < length => {
            // Long local sections or lists of points: everything before the data does not fit into the usual header.
            bytes = file.read_exact(entry.offset, length).map_err(|e| e.to_string())?;
            first_field(&bytes, length)
        }
        header => header,
    };
    let sections = header.map_err(|e| e.to_string())?;
    let end = file.read_exact(entry.offset + length - 4, 4).map_err(|e| e.to_string())?;
    if end != b"7777" {
        return Err("the message does not end where the index says: is the file complete?".into());
    }
    key(&sections)
}

fn first_field(prefix: &[u8], length: u64) -> crate::grib::Result<FieldSections<'_>> {
    let nothing = crate::grib::GribError::NotGrib { offset: 0 };
    sections::fields_of_prefix(prefix, length).next().unwrap_or(Err(nothing))
}
