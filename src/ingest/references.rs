//! Sources that name messages in other files: lists of references and other repositories.
//!
//! A list is turned around: each GRIB file that it names becomes a source with the messages that were asked for, and is
//! scanned, placed and committed like any other. What a field is, its message says; the names of the list are compared
//! with it and differences reported.

mod repository;
mod resolve;
mod wanted;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::index::references::ArrayLabels;
use crate::index::{ReferenceList, ReferencesError, parse_lazy_references, parse_references};
use crate::repository::Access;
use crate::repository::ledger::RefusedField;
use crate::source::{self, SourceFile};

use super::report::FileReport;
use super::scan::{ScannedFile, scan_file};
use wanted::WantedReference;

/// Problems of a list beyond this many are counted, not listed.
const LISTED: usize = 1000;

/// A GRIB file to ingest, and which of its messages.
#[derive(Debug, Clone)]
pub struct Input {
    pub file: SourceFile,
    /// `None`: all.
    wanted: Option<Vec<WantedReference>>,
}

impl Input {
    /// Whether a list of references named the file, rather than the user.
    pub fn is_referred_to(&self) -> bool {
        self.wanted.is_some()
    }

    /// The fields of the file, or those of its messages that were asked for.
    ///
    /// # Errors
    /// Those of [`scan_file`].
    pub fn scan(&self) -> Result<ScannedFile> {
        match &self.wanted {
            None => scan_file(&self.file),
            Some(wanted) => wanted::scan(&self.file, wanted),
        }
    }
}

/// What the arguments of `init` and `ingest` mean.
#[derive(Debug, Default)]
pub struct Inputs {
    pub files: Vec<Input>,
    /// What the lists of references are, and what of them cannot be carried.
    pub lists: Vec<FileReport>,
}

/// Files, directories and globs as [`source::expand`] takes them; beside these lists of references (kerchunk JSON and
/// parquet, tables of key and value) and other Icechunk repositories, whose references are taken.
///
/// References of a list are followed wherever they lead on this machine: the list was named by the user. Those of a
/// repository are followed only to places that `access` or the user's memory of that repository allows.
///
/// # Errors
/// When an argument matches nothing, or is a single list that cannot be read.
pub fn expand(arguments: &[String], access: &Access) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    let mut plain = Vec::new();
    let mut lists = Vec::new();
    for argument in arguments {
        match recognise(argument)? {
            found if found.is_empty() => plain.push(argument.clone()),
            found => lists.extend(found),
        }
    }
    if !plain.is_empty() {
        let files = source::expand(&plain)?;
        inputs.files.extend(files.into_iter().map(|file| Input { file, wanted: None }));
    }
    let mut by_file: BTreeMap<PathBuf, Vec<WantedReference>> = BTreeMap::new();
    let only = lists.len() == 1 && plain.is_empty();
    for path in &lists {
        match take_list(path, access, &mut by_file) {
            Ok(reports) => inputs.lists.extend(reports),
            Err(error) if only => return Err(error),
            Err(error) => inputs.lists.push(FileReport {
                url: source_url(path),
                error: Some(error.to_string()),
                ..Default::default()
            }),
        }
    }
    for (path, wanted) in by_file {
        let argument = [path.display().to_string()];
        // Found again so that a sidecar beside it is used.
        let files = source::expand(&argument)?;
        inputs.files.extend(files.into_iter().map(|file| Input { file, wanted: Some(wanted.clone()) }));
    }
    Ok(inputs)
}

/// The lists that an argument means; none for an argument of another kind.
fn recognise(argument: &str) -> Result<Vec<PathBuf>> {
    let argument = argument.strip_prefix("file://").unwrap_or(argument);
    let path = Path::new(argument);
    if path.is_dir() {
        return Ok(if is_lazy(path) || is_repository(path) { vec![path.to_path_buf()] } else { Vec::new() });
    }
    if path.is_file() {
        return Ok(if is_list_name(argument) { vec![path.to_path_buf()] } else { Vec::new() });
    }
    if !argument.contains(['*', '?', '[']) || argument.contains("://") {
        return Ok(Vec::new());
    }
    let found: Vec<PathBuf> = glob::glob(argument).into_iter().flatten().flatten().collect();
    let is_list = |path: &PathBuf| match path.is_dir() {
        true => is_lazy(path),
        false => is_list_name(&path.to_string_lossy()),
    };
    // A mixed glob is one of GRIB files with lists beside them: those are found by their own names only.
    Ok(if !found.is_empty() && found.iter().all(is_list) { found } else { Vec::new() })
}

fn is_list_name(name: &str) -> bool {
    let name = name.to_lowercase();
    let plain = [".gz", ".zst", ".zstd"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(&name);
    plain.ends_with(".json") || [".par", ".parq", ".parquet"].iter().any(|suffix| name.ends_with(suffix))
}

fn is_lazy(path: &Path) -> bool {
    path.join(".zmetadata").is_file()
}

fn is_repository(path: &Path) -> bool {
    path.join("snapshots").is_dir() && (path.join("repo").is_file() || path.join("refs").is_dir())
}

fn source_url(path: &Path) -> String {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    source::url_of(&absolute).unwrap_or_else(|_| path.display().to_string())
}

/// Reads one list and adds its references to the files that they lead to.
fn take_list(
    path: &Path,
    access: &Access,
    by_file: &mut BTreeMap<PathBuf, Vec<WantedReference>>,
) -> Result<Vec<FileReport>> {
    let (list, guard) = if path.is_dir() && !is_lazy(path) {
        let (list, other) = repository::references(path)?;
        (list, Some(other))
    } else {
        (read_list(path)?, None)
    };
    let base = path.canonicalize().map_err(Error::io(path))?;
    let base = base.parent().unwrap_or(Path::new("/")).to_path_buf();
    let mut report = describe(path, &list);
    let mut resolver = resolve::Resolver::new(base);
    if let Some(other) = &guard {
        resolver.restrict(vec![access, other]);
    }
    let labels = Arc::new(list.arrays);
    let mut failed: BTreeMap<String, (u64, Error)> = BTreeMap::new();
    let mut resolved: HashMap<Arc<str>, Option<PathBuf>> = HashMap::new();
    for entry in list.entries {
        let file = match resolved.get(&entry.url) {
            Some(file) => file.clone(),
            None => {
                let file = match resolver.resolve(&entry.url) {
                    Ok(file) => Some(file),
                    Err(error) => {
                        failed.insert(entry.url.to_string(), (0, error));
                        None
                    }
                };
                resolved.insert(Arc::clone(&entry.url), file.clone());
                file
            }
        };
        match file {
            Some(file) => by_file.entry(file).or_default().push(WantedReference {
                offset: entry.offset,
                length: entry.length,
                key: entry.key,
                labels: Arc::clone(&labels),
            }),
            None => {
                if let Some((count, _)) = failed.get_mut(&*entry.url) {
                    *count += 1;
                }
            }
        }
    }
    report.warnings.extend(resolver.notes());
    let mut reports = vec![report];
    reports.extend(failed.into_iter().map(|(url, (count, error))| FileReport {
        error: Some(format!("{error} ({count} references)")),
        url,
        ..Default::default()
    }));
    Ok(reports)
}

fn read_list(path: &Path) -> Result<ReferenceList> {
    let unusable = |error: ReferencesError| {
        let remedy = "give kerchunk JSON, a directory with .zmetadata, or a parquet table of references";
        Error::invalid(format!("{}: {error}", path.display()), remedy)
    };
    if path.is_dir() {
        let metadata = path.join(".zmetadata");
        let metadata = std::fs::read(&metadata).map_err(Error::io(&metadata))?;
        return parse_lazy_references(&metadata, |name| match std::fs::read(path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .map_err(unusable);
    }
    parse_references(std::fs::read(path).map_err(Error::io(path))?).map_err(unusable)
}

/// What a list holds and what of it is not carried, by name and count.
fn describe(path: &Path, list: &ReferenceList) -> FileReport {
    let mut report = FileReport {
        url: source_url(path),
        size: std::fs::metadata(path).map_or(0, |m| if m.is_file() { m.len() } else { 0 }),
        references: Some(list.entries.len() as u64),
        ..Default::default()
    };
    let mut kinds: BTreeMap<_, (u64, Vec<&str>)> = BTreeMap::new();
    for not_carried in &list.not_carried {
        let kind = kinds.entry(not_carried.kind).or_default();
        kind.0 += not_carried.count;
        kind.1.push(&not_carried.array);
    }
    for (kind, (count, arrays)) in kinds {
        if kind.is_loss() {
            for not_carried in list.not_carried.iter().filter(|n| n.kind == kind).take(LISTED) {
                let reason = format!("not carried: {} ({})", kind.text(), not_carried.count);
                report.refused.push(refused(&not_carried.array, reason));
            }
        } else {
            report.warnings.push(format!("not carried: {count} x {}: {}", kind.text(), names(&arrays)));
        }
    }
    report.refused.extend(list.problems.iter().take(LISTED).map(|p| refused(&p.key, p.reason.clone())));
    report.warnings.extend(step_gaps(list));
    if list.entries.is_empty() {
        report.refused.push(refused("", "no reference to a GRIB message in it".into()));
    }
    report
}

fn refused(key: &str, reason: String) -> RefusedField {
    RefusedField { offset: 0, submessage: 0, field: key.to_string(), slot: None, reason }
}

/// The last parts of paths, each once: `latitude, longitude (9 arrays)`.
fn names(arrays: &[&str]) -> String {
    let mut names: Vec<&str> = arrays.iter().map(|a| a.rsplit('/').next().unwrap_or(a)).collect();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(20);
    names.truncate(20);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more} ({} arrays)", names.join(", "), arrays.len())
}

/// Steps that keys of the form `step_003/..` leave out: a distance larger than those before and behind it.
fn step_gaps(list: &ReferenceList) -> Vec<String> {
    let hours = |key: &str| key.strip_prefix("step_")?.split('/').next()?.parse::<u32>().ok();
    let mut steps: Vec<u32> = list.entries.iter().filter_map(|e| hours(&e.key)).collect();
    steps.sort_unstable();
    steps.dedup();
    let gaps = steps.windows(4).filter_map(|window| match window {
        [a, b, c, d] if c - b > b - a && c - b > d - c => {
            Some(format!("no step between {b} and {c} hours: was one dropped?"))
        }
        _ => None,
    });
    gaps.collect()
}

/// What a list says about its arrays.
type AllLabels = Arc<BTreeMap<String, ArrayLabels>>;
