//! Local files: found, and read in ranges.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Location, Sidecar, SourceFile, named_like_grib};
use crate::error::{Error, Result};
use crate::grib::walk::RangedRead;
use crate::index;
use crate::read::Fingerprint;

/// How much of a file is searched for `GRIB` when its name does not say what it is.
const SNIFFED_BYTES: u64 = 4096;
/// Directories deeper than this are not searched.
const DEEPEST: usize = 32;

/// The files that an argument without a URL's scheme means.
pub(super) fn expand(argument: &str) -> Result<Vec<SourceFile>> {
    paths(argument)?.iter().map(|path| with_sidecar(path)).collect()
}

fn paths(argument: &str) -> Result<Vec<PathBuf>> {
    let path = Path::new(argument);
    if path.is_dir() {
        let mut found = Vec::new();
        search(path, DEEPEST, &mut found)?;
        if found.is_empty() {
            return Err(Error::not_found(format!("a GRIB file in {argument}"), "no file below it holds GRIB messages"));
        }
        return Ok(found);
    }
    if path.exists() {
        return Ok(vec![path.to_path_buf()]);
    }
    if argument.contains(['*', '?', '[']) {
        let pattern =
            glob::glob(argument).map_err(|e| Error::invalid(format!("the pattern {argument}"), e.to_string()))?;
        let mut found = Vec::new();
        for path in pattern {
            let path = path.map_err(|e| {
                let path = e.path().to_path_buf();
                Error::Io { path, source: e.into() }
            })?;
            if path.is_dir() {
                search(&path, DEEPEST, &mut found)?;
            } else if looks_like_grib(&path) || !index::grib_of_sidecar(&path.to_string_lossy()).is_empty() {
                found.push(path);
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(Error::not_found(
        format!("the source {argument}"),
        "give a file, a directory that is there, or a glob that matches GRIB files",
    ))
}

fn search(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(directory).map_err(Error::io(directory))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            // A link to a directory above would be searched for ever: the depth bounds that, and links are not followed.
            if depth > 0 && !path.is_symlink() {
                search(&path, depth - 1, found)?;
            }
        } else if looks_like_grib(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// A name that says GRIB, or content that does.
pub(crate) fn looks_like_grib(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(says) = named_like_grib(&name) {
        return says;
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|f| f.take(SNIFFED_BYTES).read_to_end(&mut head));
    read.is_ok() && head.windows(4).any(|w| w == b"GRIB")
}

pub(super) fn with_sidecar(path: &Path) -> Result<SourceFile> {
    let name = path.to_string_lossy();
    let file = |grib: PathBuf, sidecar: Option<PathBuf>| SourceFile {
        location: Location::Local(grib),
        sidecar: sidecar.map(|path| Sidecar::At(Location::Local(path))),
        listed: None,
    };
    if !index::grib_of_sidecar(&name).is_empty() {
        let beside = index::grib_of_sidecar(&name).into_iter().map(PathBuf::from).find(|p| p.is_file());
        let Some(grib) = beside else {
            return Err(Error::not_found(
                format!("the GRIB file of the sidecar {name}"),
                "an index describes the messages of a file beside it; put both into one directory",
            ));
        };
        let grib = grib.canonicalize().map_err(Error::io(&grib))?;
        return Ok(file(grib, Some(path.to_path_buf())));
    }
    let real = path.canonicalize().map_err(Error::io(path))?;
    let sidecar = index::sidecar_candidates(&name).into_iter().map(PathBuf::from).find(|p| p.is_file());
    Ok(file(real, sidecar))
}

/// `file:///...`, without a fragment.
pub fn url_of(path: &Path) -> Result<String> {
    url::Url::from_file_path(path)
        .map(|url| url.to_string())
        .map_err(|()| Error::invalid(format!("{}", path.display()), "an absolute path is needed"))
}

/// A local file that is read in ranges.
#[derive(Debug)]
pub struct LocalFile {
    file: File,
    path: PathBuf,
    fingerprint: Fingerprint,
}

impl LocalFile {
    /// Opens a regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let metadata = file.metadata().map_err(Error::io(path))?;
        if !metadata.is_file() {
            return Err(Error::Source { location: path.display().to_string(), reason: "not a regular file".into() });
        }
        Ok(Self { file, path: path.to_path_buf(), fingerprint: Fingerprint::of(&metadata) })
    }

    /// What the file was when it was opened.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Exactly `length` bytes.
    pub fn read_exact(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        if offset.checked_add(length).is_none_or(|end| end > self.fingerprint.size) {
            return Err(Error::Source {
                location: self.path.display().to_string(),
                reason: format!("{length} bytes at {offset} lie behind its end at {}", self.fingerprint.size),
            });
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, offset).map_err(Error::io(&self.path))?;
        Ok(bytes)
    }
}

impl RangedRead for LocalFile {
    fn size(&self) -> u64 {
        self.fingerprint.size
    }

    fn read(&self, offset: u64, length: usize) -> std::io::Result<Cow<'_, [u8]>> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.fingerprint.size) {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(Cow::Owned(bytes))
    }
}
