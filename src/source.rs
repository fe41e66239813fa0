//! Sources: GRIB files and the index sidecars beside them, on local disks and behind URLs.
//!
//! SOURCE is a file, a directory or prefix (searched with all that is below it; a remote one ends in `/`), a glob, a
//! pattern with `{time:%Y%m%d}`, `{step}` and `{member}` ([`PatternValues`]), or `-` for a list on standard input, one
//! source a line. Paths are local; `s3://`, `gs://`, `az://` (`abfss://`), `https://` and `http://` are remote
//! ([`Remote`]). A sidecar beside a GRIB file is used without being named, and a file that is reached twice (by itself, by
//! its sidecar, by its directory) counts once.

mod connection;
mod failure;
mod listing;
mod local;
mod location;
mod options;
mod pattern;
mod reader;
mod remote;
mod stores;

use std::collections::BTreeSet;
use std::path::Path;

use futures::future::BoxFuture;

pub(crate) use local::looks_like_grib;
pub use local::{LocalFile, url_of};
pub use location::{Location, RemoteUrl, Scheme};
pub use options::RemoteOptions;
pub use pattern::PatternValues;
pub use reader::Reader;
pub(crate) use reader::{HEADER_GAP, MESSAGE_GAP, RemoteRanges};
pub use remote::{Condition, ObjectInfo, Remembered, Remote};

use crate::error::{Error, Result};

/// A GRIB file and the sidecar that describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The GRIB file.
    pub location: Location,
    /// The index beside it; `None` when there is none.
    pub sidecar: Option<Sidecar>,
    /// What a listing said about a remote file.
    pub listed: Option<ObjectInfo>,
}

/// The index beside a GRIB file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sidecar {
    /// Where it is.
    At(Location),
    /// Nobody looked yet whether there is one.
    Unknown,
}

impl SourceFile {
    /// The path of a local file.
    pub fn path(&self) -> Option<&Path> {
        self.location.path()
    }
}

/// What arguments mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// In the order of the arguments, those of a directory or glob sorted by name.
    pub files: Vec<SourceFile>,
    /// What patterns would have as well, but is not there.
    pub not_there: Vec<String>,
}

/// The names that GRIB files end in.
const GRIB_SUFFIXES: &[&str] = &["grib", "grib2", "grib1", "grb", "grb2", "grb1", "gb2", "gb1"];
const OTHER_SUFFIXES: &[&str] =
    &["index", "idx", "inv", "json", "txt", "md", "py", "par", "parq", "parquet", "html", "sha256", "md5"];
/// A list on standard input has at most so many bytes.
const LONGEST_LIST: u64 = 256 << 20;

/// All files that the arguments mean, with the environment's way to remote storage; waits for [`find`].
///
/// # Errors
/// [`Error::NotFound`] when an argument matches nothing.
pub fn expand(arguments: &[String]) -> Result<Vec<SourceFile>> {
    let arguments = arguments.to_vec();
    crate::store::block_on(
        async move { Ok(find(&arguments, &Remote::default(), &PatternValues::default()).await?.files) },
    )?
}

/// All files that the arguments mean, with the values of the patterns' placeholders. Placeholders without values match
/// whatever is there.
///
/// # Errors
/// [`Error::NotFound`] when an argument matches nothing; whatever stops a remote place from being looked at.
pub fn find<'a>(
    arguments: &'a [String],
    remote: &'a Remote,
    values: &'a PatternValues,
) -> BoxFuture<'a, Result<Expanded>> {
    // Boxed: the compiler cannot see otherwise that futures which await it are `Send`.
    Box::pin(find_all(arguments, remote, values))
}

async fn find_all(arguments: &[String], remote: &Remote, values: &PatternValues) -> Result<Expanded> {
    let mut expanded = Expanded::default();
    let mut known = BTreeSet::new();
    for argument in with_standard_input(arguments)? {
        let Expanded { files, not_there } = expand_one(&argument, remote, values).await?;
        expanded.files.extend(files.into_iter().filter(|file| known.insert(file.location.clone())));
        expanded.not_there.extend(not_there);
    }
    Ok(expanded)
}

/// A local file that is there, with the sidecar beside it.
pub(crate) fn local_file(path: &Path) -> Result<SourceFile> {
    local::with_sidecar(path)
}

async fn expand_one(argument: &str, remote: &Remote, values: &PatternValues) -> Result<Expanded> {
    let argument = argument.strip_prefix("file://").unwrap_or(argument);
    let is_remote = argument.contains("://");
    if !pattern::is_pattern(argument) {
        let files = if is_remote { listing::expand(argument, remote).await? } else { local::expand(argument)? };
        return Ok(Expanded { files, not_there: Vec::new() });
    }
    let names = pattern::expand(argument, values)?;
    let expanded = if is_remote {
        listing::expand_names(&names, remote).await?
    } else {
        let mut expanded = Expanded::default();
        for name in names {
            match local::expand(&name) {
                Ok(files) => expanded.files.extend(files),
                Err(Error::NotFound { .. }) => expanded.not_there.push(name),
                Err(error) => return Err(error),
            }
        }
        expanded
    };
    if expanded.files.is_empty() {
        let example = expanded.not_there.first().cloned().unwrap_or_default();
        return Err(Error::not_found(
            format!("the source {argument}"),
            format!("none of its {} files is there, such as {example}", expanded.not_there.len()),
        ));
    }
    Ok(expanded)
}

/// The arguments, with `-` replaced by the lines of standard input.
fn with_standard_input(arguments: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::with_capacity(arguments.len());
    for argument in arguments {
        if argument != "-" {
            all.push(argument.clone());
            continue;
        }
        let mut text = String::new();
        let mut input = std::io::Read::take(std::io::stdin(), LONGEST_LIST);
        std::io::Read::read_to_string(&mut input, &mut text)
            .map_err(|e| Error::invalid("the list on standard input", e.to_string()))?;
        all.extend(text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(String::from));
    }
    Ok(all)
}

/// Whether a file's name says that it is GRIB or that it is not; `None` when it says neither.
fn named_like_grib(name: &str) -> Option<bool> {
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix.to_lowercase()).unwrap_or_default();
    match suffix.as_str() {
        suffix if GRIB_SUFFIXES.contains(&suffix) => Some(true),
        suffix if OTHER_SUFFIXES.contains(&suffix) => Some(false),
        _ => None,
    }
}
