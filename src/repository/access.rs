//! Which places virtual chunks may be read from.
//!
//! A repository is data that may come from anybody, and its references may point anywhere. So a place is read only if
//! this user allowed it: by ingesting from it (remembered outside the repository, per repository), by `--allow`, or by
//! `GRIBCHUNK_ALLOW` (prefixes separated by `:` for paths, or by spaces or commas).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The prefixes that one user allowed for one repository.
#[derive(Debug, Default)]
pub struct Access {
    /// Canonical directories (or single files).
    prefixes: RwLock<BTreeSet<PathBuf>>,
    /// Where ingested prefixes are remembered; `None` for repositories in memory.
    state_file: Option<PathBuf>,
}

impl Access {
    /// Everything remembered for a repository, allowed by the environment and by the caller.
    pub fn load(repository: Option<&Path>, allow: &[String]) -> Result<Self> {
        let state_file = repository.and_then(state_file);
        let access = Self { prefixes: RwLock::default(), state_file };
        access.recall();
        let environment = std::env::var("GRIBCHUNK_ALLOW").unwrap_or_default();
        let environment = environment.split([':', ',', ' ']).filter(|p| !p.is_empty()).map(String::from);
        for prefix in environment {
            // A directory that is gone now allows nothing.
            let _ = access.allow(Path::new(&prefix));
        }
        for prefix in allow {
            let path = prefix.strip_prefix("file://").unwrap_or(prefix);
            access.allow(Path::new(path)).map_err(|_| {
                Error::not_found(format!("the allowed prefix {prefix}"), "--allow takes an existing directory or file")
            })?;
        }
        Ok(access)
    }

    /// Allows what this user's processes remembered for the repository, up to now.
    fn recall(&self) {
        let remembered = self.state_file.as_ref().and_then(|f| std::fs::read_to_string(f).ok()).unwrap_or_default();
        let remembered: Vec<String> = serde_json::from_str(&remembered).unwrap_or_default();
        for prefix in remembered {
            let _ = self.allow(Path::new(&prefix));
        }
    }

    fn is_allowed(&self, real: &Path) -> bool {
        let prefixes = self.prefixes.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        prefixes.iter().any(|prefix| real.starts_with(prefix))
    }

    /// Allows a directory with all that is below it, or a file, for this process.
    pub fn allow(&self, path: &Path) -> Result<()> {
        let path = path.canonicalize().map_err(Error::io(path))?;
        self.prefixes.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(path);
        Ok(())
    }

    /// Allows a directory and remembers that for later processes of this user.
    pub fn remember(&self, path: &Path) -> Result<()> {
        self.allow(path)?;
        let Some(file) = &self.state_file else { return Ok(()) };
        // Only what was ingested from: prefixes that the caller or the environment allows end with this process.
        let path = path.canonicalize().map_err(Error::io(path))?;
        let mut prefixes: BTreeSet<PathBuf> =
            std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        if !prefixes.insert(path) {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&prefixes)
            .map_err(|e| Error::invalid(format!("{}", file.display()), e.to_string()))?;
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
        }
        let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&temporary, text).map_err(Error::io(&temporary))?;
        std::fs::rename(&temporary, file).map_err(Error::io(file))
    }

    /// The real path behind a `file://` location, if it may be read: `..`, symbolic links and fragments are resolved
    /// before the comparison.
    pub fn check(&self, location: &str) -> Result<PathBuf> {
        let path = local_path(location)?;
        let real = path.canonicalize().map_err(|e| Error::Source {
            location: location.to_string(),
            reason: match e.kind() {
                std::io::ErrorKind::NotFound => {
                    "the source file is gone; restore it, or ingest its fields again".into()
                }
                _ => e.to_string(),
            },
        })?;
        if !self.is_allowed(&real) {
            // Another process of this user may have ingested from there since the repository was opened here.
            self.recall();
            if !self.is_allowed(&real) {
                return Err(Error::NotAllowed { location: location.to_string() });
            }
        }
        Ok(real)
    }
}

/// The path of a `file://` URL, without its fragment.
pub fn local_path(location: &str) -> Result<PathBuf> {
    let bad = |reason: &str| Error::Source { location: location.to_string(), reason: reason.to_string() };
    let url = url::Url::parse(location).map_err(|e| bad(&format!("not a URL: {e}")))?;
    if url.scheme() != "file" {
        return Err(bad("only local files can be read by this version"));
    }
    url.to_file_path().map_err(|()| bad("not a local path"))
}

fn state_file(repository: &Path) -> Option<PathBuf> {
    let directory = match (std::env::var_os("GRIBCHUNK_STATE"), std::env::var_os("XDG_STATE_HOME")) {
        (Some(directory), _) => PathBuf::from(directory),
        (None, Some(directory)) => PathBuf::from(directory).join("gribchunk"),
        (None, None) => PathBuf::from(std::env::var_os("HOME")?).join(".local/state/gribchunk"),
    };
    let repository = repository.canonicalize().unwrap_or_else(|_| repository.to_path_buf());
    let digest = Sha256::digest(repository.as_os_str().as_encoded_bytes());
    let name: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
    Some(directory.join("access").join(format!("{name}.json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_places_are_read_whatever_the_spelling() {
        let dir = std::env::temp_dir().join(format!("gribchunk-access-{}", std::process::id()));
        let (inside, outside) = (dir.join("in"), dir.join("out"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(inside.join("a.grib2"), b"x").unwrap();
        std::fs::write(outside.join("b.grib2"), b"x").unwrap();
        let _ = std::os::unix::fs::symlink(outside.join("b.grib2"), inside.join("link.grib2"));
        let access = Access::default();
        access.allow(&inside).unwrap();
        let url = |p: &str| format!("file://{}/{p}", dir.display());
        assert!(access.check(&url("in/a.grib2#size=1&mtime_ns=2")).is_ok());
        for refused in ["out/b.grib2", "in/../out/b.grib2", "in/%2e%2e/out/b.grib2", "in/link.grib2"] {
            assert!(matches!(access.check(&url(refused)), Err(Error::NotAllowed { .. })), "{refused}");
        }
        assert!(access.check("s3://bucket/a.grib2").is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn only_sources_are_remembered() {
        let dir = std::env::temp_dir().join(format!("gribchunk-remember-{}", std::process::id()));
        let (source, other, allowed) = (dir.join("source"), dir.join("other"), dir.join("allowed"));
        for directory in [&source, &other, &allowed] {
            std::fs::create_dir_all(directory).unwrap();
        }
        let file = dir.join("state.json");
        let opened = || Access { prefixes: RwLock::default(), state_file: Some(file.clone()) };
        let (first, second) = (opened(), opened());
        first.allow(&allowed).unwrap();
        first.remember(&source).unwrap();
        // Another process, which was open before.
        second.remember(&other).unwrap();
        let remembered: BTreeSet<PathBuf> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(remembered, [source, other].map(|directory| directory.canonicalize().unwrap()).into());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
