//! Sources that name messages in other files: lists of references and other repositories.
//!
//! A list is turned around: each GRIB file that it names becomes a source with the messages that were asked for, and is
//! scanned, placed and committed like any other. What a field is, its message says; the names of the list are compared
//! with it and differences reported.

mod repository;
mod resolve;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt;

use crate::error::{Error, Result};
use crate::index::references::ArrayLabels;
use crate::index::{ReferenceList, ReferencesError, parse_lazy_references, parse_references};
use crate::repository::Access;
use crate::repository::ledger::RefusedField;
use crate::source::{self, Location, ObjectInfo, PatternValues, Remote, RemoteUrl, Sidecar, SourceFile};

use super::report::FileReport;
use super::samples::SampleMemory;
use super::scan::{self, ScannedFile};
use resolve::{Found, Resolver};
use wanted::WantedReference;

/// Problems of a list beyond this many are counted, not listed.
const LISTED: usize = 1000;
/// URLs that are looked at at a time.
const CONCURRENT_LOOKS: usize = 32;
/// From so many messages of a remote file on, the index beside it is worth a look.
const WORTH_AN_INDEX: usize = 4;

/// A GRIB file to ingest, and which of its messages.
#[derive(Debug, Clone)]
pub struct Input {
    /// The file.
    pub file: SourceFile,
    /// `None`: all.
    wanted: Option<Arc<Vec<WantedReference>>>,
}

impl From<SourceFile> for Input {
    /// All messages of a file.
    fn from(file: SourceFile) -> Self {
        Self { file, wanted: None }
    }
}

impl Input {
    /// Whether a list of references named the file, rather than the user.
    pub fn is_referred_to(&self) -> bool {
        self.wanted.is_some()
    }

    /// The fields of the file, or those of its messages that were asked for.
    ///
    /// # Errors
    /// Those of [`super::scan_file`].
    pub(super) async fn scan(&self, remote: &Remote, memory: Option<&SampleMemory>) -> Result<ScannedFile> {
        match &self.wanted {
            None => scan::scan(&self.file, remote, memory).await,
            Some(wanted) => wanted::scan(&self.file, wanted, remote, memory).await,
        }
    }
}

/// What the arguments of `init` and `ingest` mean.
#[derive(Debug, Default)]
pub struct Inputs {
    /// GRIB files, in the order of the arguments; those that lists name behind them.
    pub files: Vec<Input>,
    /// What patterns would have as well, but is not there.
    pub not_there: Vec<String>,
    /// What the lists of references are, and what of them cannot be carried.
    pub lists: Vec<FileReport>,
}

/// A list that an argument names.
#[derive(Debug, Clone)]
enum List {
    /// A file, a directory with `.zmetadata`, or a repository.
    Local(PathBuf),
    /// A file, or (a prefix) what a directory with `.zmetadata` is on this side.
    Remote(RemoteUrl),
}

impl List {
    fn url(&self) -> String {
        match self {
            Self::Local(path) => source_url(path),
            Self::Remote(url) => url.to_string(),
        }
    }
}

/// Sources as [`source::find`] takes them; beside these lists of references (kerchunk JSON and parquet, tables of key and
/// value) and other Icechunk repositories, whose references are taken.
///
/// References of a list are followed wherever they lead, since the user named the list; those of a remote list not to
/// files of this machine. Those of a repository are followed only to places that `access` or the user's memory of that
/// repository allows.
///
/// # Errors
/// When an argument matches nothing, or is a single list that cannot be read.
pub async fn find(arguments: &[String], access: &Access, values: &PatternValues) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    let mut plain = Vec::new();
    let mut lists = Vec::new();
    for argument in arguments {
        match recognise(argument, access.remote()).await? {
            found if found.is_empty() => plain.push(argument.clone()),
            found => lists.extend(found),
        }
    }
    if !plain.is_empty() {
        let found = source::find(&plain, access.remote(), values).await?;
        inputs.files.extend(found.files.into_iter().map(Input::from));
        inputs.not_there = found.not_there;
    }
    let mut by_file = Wanted::new();
    let only = lists.len() == 1 && plain.is_empty();
    for list in &lists {
        match take_list(list, access, &mut by_file).await {
            Ok(reports) => inputs.lists.extend(reports),
            Err(error) if only => return Err(error),
            Err(error) => {
                inputs.lists.push(FileReport { url: list.url(), error: Some(error.to_string()), ..Default::default() })
            }
        }
    }
    for (location, (listed, wanted)) in by_file {
        let file = match &location {
            Location::Local(path) => source::local_file(path)?,
            Location::Remote(_) => {
                let whole = wanted.iter().any(|reference| reference.length.is_none());
                let sidecar = (whole || wanted.len() >= WORTH_AN_INDEX).then_some(Sidecar::Unknown);
                SourceFile { location, sidecar, listed }
            }
        };
        inputs.files.push(Input { file, wanted: Some(Arc::new(wanted)) });
    }
    Ok(inputs)
}

/// Files that references lead to: what a look at a remote one said, and the references.
type Wanted = BTreeMap<Location, (Option<ObjectInfo>, Vec<WantedReference>)>;

/// The lists that an argument means; none for an argument of another kind.
async fn recognise(argument: &str, remote: &Remote) -> Result<Vec<List>> {
    let argument = argument.strip_prefix("file://").unwrap_or(argument);
    let is_glob = argument.contains(['*', '?', '[', '{']);
    if argument.contains("://") {
        // A directory with `.zmetadata` is told by its name only: nothing is asked for other sources' sake.
        let is_directory = is_list_name(argument.trim_end_matches('/'));
        if is_glob || !is_directory {
            return Ok(Vec::new());
        }
        let url = RemoteUrl::parse(argument)?;
        let lazy = RemoteUrl::parse(&format!("{}/", argument.trim_end_matches('/')))?;
        let metadata = lazy.with_key(format!("{}.zmetadata", lazy.key))?;
        let is_lazy = argument.ends_with('/') || !argument.ends_with(".json") && remote.head(&metadata).await.is_ok();
        return Ok(vec![List::Remote(if is_lazy { lazy } else { url })]);
    }
    let path = Path::new(argument);
    if path.is_dir() {
        let is_list = is_lazy(path) || is_repository(path);
        return Ok(if is_list { vec![List::Local(path.to_path_buf())] } else { Vec::new() });
    }
    if path.is_file() {
        return Ok(if is_list_name(argument) { vec![List::Local(path.to_path_buf())] } else { Vec::new() });
    }
    if !is_glob {
        return Ok(Vec::new());
    }
    let found: Vec<PathBuf> = glob::glob(argument).into_iter().flatten().flatten().collect();
    let is_list = |path: &PathBuf| match path.is_dir() {
        true => is_lazy(path),
        false => is_list_name(&path.to_string_lossy()),
    };
    // A mixed glob is one of GRIB files with lists beside them: those are found by their own names only.
    let all = !found.is_empty() && found.iter().all(is_list);
    Ok(if all { found.into_iter().map(List::Local).collect() } else { Vec::new() })
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
async fn take_list(source: &List, access: &Access, by_file: &mut Wanted) -> Result<Vec<FileReport>> {
    let remote = access.remote();
    let (list, size, guard, base) = match source {
        List::Local(path) => {
            let base = path.canonicalize().map_err(Error::io(path))?;
            let base = Location::Local(base.parent().unwrap_or(Path::new("/")).to_path_buf());
            if path.is_dir() && !is_lazy(path) {
                let (list, other) = repository::references(path).await?;
                (list, 0, Some(other), base)
            } else {
                let size = std::fs::metadata(path).map_or(0, |m| if m.is_file() { m.len() } else { 0 });
                (read_list(path)?, size, None, base)
            }
        }
        List::Remote(url) => {
            let (list, size) = read_remote_list(url, remote).await?;
            let directory =
                if url.is_prefix() { url.with_key(url.key.trim_end_matches('/'))?.parent() } else { url.parent() };
            (list, size, None, Location::Remote(directory))
        }
    };
    let mut report = describe(source.url(), size, &list);
    let mut resolver = Resolver::new(base, remote.clone());
    if let Some(other) = &guard {
        resolver.restrict(vec![access, other]);
    }
    let labels = Arc::new(list.arrays);
    let urls: BTreeSet<Arc<str>> = list.entries.iter().map(|entry| Arc::clone(&entry.url)).collect();
    let found: Vec<(Arc<str>, Result<Found>)> = {
        let resolver = &resolver;
        futures::stream::iter(urls)
            .map(|url| async move {
                let found = resolver.find(&url).await;
                (url, found)
            })
            .buffered(CONCURRENT_LOOKS)
            .collect()
            .await
    };
    let mut failed: BTreeMap<String, (u64, Error)> = BTreeMap::new();
    let mut resolved: HashMap<Arc<str>, Found> = HashMap::new();
    for (url, found) in found {
        match found {
            Ok(found) => {
                resolver.note(&url, &found);
                resolved.insert(url, found);
            }
            Err(error) => drop(failed.insert(url.to_string(), (0, error))),
        }
    }
    for entry in list.entries {
        let Some(found) = resolved.get(&entry.url) else {
            if let Some((count, _)) = failed.get_mut(&*entry.url) {
                *count += 1;
            }
            continue;
        };
        let of_file = by_file.entry(found.location.clone()).or_insert_with(|| (found.listed.clone(), Vec::new()));
        of_file.1.push(WantedReference {
            offset: entry.offset,
            length: entry.length,
            key: entry.key,
            labels: Arc::clone(&labels),
        });
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

fn unusable(list: &str) -> impl Fn(ReferencesError) -> Error + '_ {
    move |error| {
        let remedy = "give kerchunk JSON, a directory with .zmetadata, or a parquet table of references";
        Error::invalid(format!("{list}: {error}"), remedy)
    }
}

fn read_list(path: &Path) -> Result<ReferenceList> {
    let name = path.display().to_string();
    if path.is_dir() {
        let metadata = path.join(".zmetadata");
        let metadata = std::fs::read(&metadata).map_err(Error::io(&metadata))?;
        return parse_lazy_references(&metadata, |name| match std::fs::read(path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .map_err(unusable(&name));
    }
    parse_references(std::fs::read(path).map_err(Error::io(path))?).map_err(unusable(&name))
}

/// A remote list and its size.
async fn read_remote_list(url: &RemoteUrl, remote: &Remote) -> Result<(ReferenceList, u64)> {
    let whole = async |url: &RemoteUrl| {
        let found = remote.get(url).await?;
        found.ok_or_else(|| Error::not_found(url.to_string(), "no such object; check the name of the list"))
    };
    if !url.is_prefix() {
        let (bytes, info) = whole(url).await?;
        return Ok((parse_references(bytes.to_vec()).map_err(unusable(&url.to_string()))?, info.size));
    }
    let (metadata, info) = whole(&url.with_key(format!("{}.zmetadata", url.key))?).await?;
    let (url, remote, runtime) = (url.clone(), remote.clone(), tokio::runtime::Handle::current());
    let parse = move || {
        let read = |name: &str| {
            let part = url.with_key(format!("{}{name}", url.key)).map_err(std::io::Error::other)?;
            let part = runtime.block_on(remote.get(&part)).map_err(std::io::Error::other)?;
            Ok(part.map(|(bytes, _)| bytes.to_vec()))
        };
        parse_lazy_references(&metadata, read).map_err(unusable(&url.to_string()))
    };
    let parsed = tokio::task::spawn_blocking(parse).await;
    Ok((parsed.map_err(Error::repository("reading a list of references"))??, info.size))
}

/// What a list holds and what of it is not carried, by name and count.
fn describe(url: String, size: u64, list: &ReferenceList) -> FileReport {
    let mut report = FileReport { url, size, references: Some(list.entries.len() as u64), ..Default::default() };
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
