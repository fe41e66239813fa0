//! Which places virtual chunks may be read from.
//!
//! A repository is data that may come from anybody, and its references may point anywhere. So a place is read only if
//! this user allowed it: by ingesting from it (remembered outside the repository, per repository), by `--allow`, or by
//! `GRIBCHUNK_ALLOW` (prefixes separated by spaces or commas; paths also by `:`). How a place is reached (endpoint,
//! region, credentials) comes from the user as well ([`Remote`]), never from the repository's containers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::source::{Location, Remembered, Remote, RemoteUrl};

/// The prefixes that one user allowed for one repository.
#[derive(Debug, Default)]
pub struct Access {
    /// Canonical directories (or single files).
    paths: RwLock<BTreeSet<PathBuf>>,
    /// Remote prefixes.
    urls: RwLock<BTreeSet<RemoteUrl>>,
    /// Where ingested prefixes are remembered; `None` for repositories in memory.
    state_file: Option<PathBuf>,
    remote: Remote,
}

/// A line of the state file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
enum Prefix {
    Path(String),
    Url {
        url: String,
        #[serde(flatten)]
        how: Remembered,
    },
}

impl Access {
    /// Everything remembered for a repository, allowed by the environment and by the caller.
    pub fn load(repository: Option<&Path>, allow: &[String], remote: Remote) -> Result<Self> {
        let state_file = repository.and_then(state_file);
        let access = Self { state_file, remote, ..Self::default() };
        access.recall();
        for prefix in split_prefixes(&std::env::var("GRIBCHUNK_ALLOW").unwrap_or_default()) {
            let _ = access.allow_prefix(prefix);
        }
        for prefix in allow {
            access.allow_prefix(prefix)?;
        }
        Ok(access)
    }

    /// Allows what this user's processes remembered for the repository, up to now.
    fn recall(&self) {
        for prefix in self.remembered() {
            // A directory that is gone now allows nothing.
            let _ = match prefix {
                Prefix::Path(path) => self.allow(Path::new(&path)),
                Prefix::Url { url, how } => RemoteUrl::parse(&url).map(|url| {
                    self.remote.remember(url.clone(), how.clone());
                    self.allow_url(url);
                }),
            };
        }
    }

    fn is_allowed(&self, place: &Location) -> bool {
        match place {
            Location::Local(real) => {
                let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
                paths.iter().any(|prefix| real.starts_with(prefix))
            }
            Location::Remote(url) => {
                let urls = self.urls.read().unwrap_or_else(PoisonError::into_inner);
                urls.iter().any(|prefix| prefix.holds(url))
            }
        }
    }

    /// Allows a directory with all that is below it, or a file, for this process.
    pub fn allow(&self, path: &Path) -> Result<()> {
        let path = path.canonicalize().map_err(Error::io(path))?;
        self.paths.write().unwrap_or_else(PoisonError::into_inner).insert(path);
        Ok(())
    }

    /// Allows a path or a URL with all that is below it, for this process.
    pub fn allow_prefix(&self, prefix: &str) -> Result<()> {
        if prefix.contains("://") && !prefix.starts_with("file://") {
            self.allow_url(RemoteUrl::parse(prefix)?);
            return Ok(());
        }
        let path = match prefix.strip_prefix("file://") {
            Some(_) => local_path(prefix)?,
            None => PathBuf::from(prefix),
        };
        self.allow(&path).map_err(|_| {
            Error::not_found(
                format!("the allowed prefix {prefix}"),
                "--allow takes an existing directory or file, or a URL such as s3://bucket/",
            )
        })
    }

    /// Allows a directory and remembers that for later processes of this user.
    pub fn remember(&self, path: &Path) -> Result<()> {
        self.allow(path)?;
        let path = path.canonicalize().map_err(Error::io(path))?;
        let Some(text) = path.to_str() else {
            return Err(Error::invalid(format!("the source {}", path.display()), "its path must be UTF-8"));
        };
        self.save(Prefix::Path(text.to_string()))
    }

    /// Allows a remote prefix and remembers it, and how it was reached, for later processes of this user.
    pub async fn remember_url(&self, prefix: &RemoteUrl) -> Result<()> {
        let how = self.remote.reached(prefix).await?;
        self.allow_url(prefix.clone());
        self.save(Prefix::Url { url: prefix.to_string(), how })
    }

    /// The user's way to remote storage.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The real place behind a location, if it may be read. `vcc://` must be resolved before.
    ///
    /// For a local file `..`, symbolic links and fragments are resolved before the comparison; a URL in a spelling that
    /// could be understood as another place is refused.
    pub fn check(&self, location: &str) -> Result<Location> {
        let place = if is_file(location) {
            let real = local_path(location)?.canonicalize().map_err(|e| Error::Source {
                location: location.to_string(),
                reason: match e.kind() {
                    std::io::ErrorKind::NotFound => {
                        "the source file is gone; restore it, or ingest its fields again".into()
                    }
                    _ => e.to_string(),
                },
            })?;
            Location::Local(real)
        } else {
            let unreadable = |e: Error| Error::Source { location: location.to_string(), reason: e.to_string() };
            Location::Remote(RemoteUrl::parse(location).map_err(unreadable)?)
        };
        if matches!(&place, Location::Remote(url) if url.is_prefix()) {
            return Err(Error::NotAllowed { location: location.to_string() });
        }
        if !self.is_allowed(&place) {
            // Another process of this user may have ingested from there since the repository was opened here.
            self.recall();
            if !self.is_allowed(&place) {
                return Err(Error::NotAllowed { location: location.to_string() });
            }
        }
        Ok(place)
    }

    fn allow_url(&self, url: RemoteUrl) {
        self.urls.write().unwrap_or_else(PoisonError::into_inner).insert(url);
    }

    fn remembered(&self) -> Vec<Prefix> {
        let text = self.state_file.as_ref().and_then(|file| std::fs::read(file).ok());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Only what was ingested from is kept: prefixes that the caller or the environment allows end with this process.
    fn save(&self, new: Prefix) -> Result<()> {
        let Some(file) = &self.state_file else { return Ok(()) };
        let mut prefixes = self.remembered();
        if prefixes.contains(&new) {
            return Ok(());
        }
        if let Prefix::Url { url: new, .. } = &new {
            prefixes.retain(|prefix| !matches!(prefix, Prefix::Url { url, .. } if url == new));
        }
        prefixes.push(new);
        prefixes.sort();
        let text = serde_json::to_vec_pretty(&prefixes)
            .map_err(|e| Error::invalid(format!("{}", file.display()), e.to_string()))?;
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
        }
        // Tasks of one process may write at the same time.
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let temporary = file.with_extension(format!("{}-{number}.tmp", std::process::id()));
        std::fs::write(&temporary, text).map_err(Error::io(&temporary))?;
        std::fs::rename(&temporary, file).map_err(Error::io(file))
    }
}

/// Whether a location is a local file's.
pub(crate) fn is_file(location: &str) -> bool {
    location.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("file"))
}

/// The path of a `file://` URL, without its fragment.
pub fn local_path(location: &str) -> Result<PathBuf> {
    let bad = |reason: &str| Error::Source { location: location.to_string(), reason: reason.to_string() };
    let url = url::Url::parse(location).map_err(|e| bad(&format!("not a URL: {e}")))?;
    if url.scheme() != "file" {
        return Err(bad("not a local file"));
    }
    url.to_file_path().map_err(|()| bad("not a local path"))
}

/// Prefixes separated by spaces or commas; paths also by colons, as in PATH.
fn split_prefixes(text: &str) -> Vec<&str> {
    let mut prefixes = Vec::new();
    for mut part in text.split([',', ' ', '\n', '\t']) {
        while !part.is_empty() {
            // `/data:s3://bucket`: up to the first colon if that is not the one of a URL's scheme.
            let end = match part.find(':') {
                Some(colon) if part.get(colon..).is_some_and(|rest| rest.starts_with("://")) => part.len(),
                Some(colon) => colon,
                None => part.len(),
            };
            let (prefix, rest) = part.split_at(end);
            if !prefix.is_empty() {
                prefixes.push(prefix);
            }
            part = rest.strip_prefix(':').unwrap_or(rest);
        }
    }
    prefixes
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
        assert!(access.check(&url("in/a.grib2").replace("file:", "FILE:")).is_ok());
        assert!(access.check("file://host/etc/passwd").is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn only_allowed_urls_are_read_whatever_the_spelling() {
        let access = Access::default();
        access.allow_prefix("s3://bucket/in/").unwrap();
        access.allow_prefix("https://host/data").unwrap();
        for allowed in ["s3://bucket/in/a", "S3://bucket/in/b/c", "https://HOST:443/data/x", "https://host/data"] {
            assert!(access.check(allowed).is_ok(), "{allowed}");
        }
        for refused in [
            "s3://bucket/a",
            "s3://bucket/in",
            "s3://bucket/in/",
            "s3://bucket/inside/a",
            "s3://bucket/in/../a",
            "s3://bucket/in/%2e%2e/a",
            "s3://bucket/in/%252e%252e/a",
            "s3://bucket/in/..%2fa",
            "s3://bucket-2/in/a",
            "s3://Bucket/in/a",
            "gs://bucket/in/a",
            "http://host/data/x",
            "https://host:444/data/x",
            "https://host.evil.org/data/x",
            "https://host@evil.org/data/x",
            "https://evil.org#host/data/x",
            "https://evil.org?host/data/x",
            "https://host/data/x?to=https://evil.org",
            "https://host/data/../secret",
            "https://host/database",
            "vcc://container/x",
            "/etc/passwd",
            "etc/passwd",
            "file:/etc/passwd",
            "",
        ] {
            assert!(access.check(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn prefixes_of_the_environment() {
        assert_eq!(split_prefixes("/a:/b,s3://c/d https://e:8080/f"), ["/a", "/b", "s3://c/d", "https://e:8080/f"]);
        assert_eq!(split_prefixes("/a:s3://b/ /c"), ["/a", "s3://b/", "/c"]);
        assert!(split_prefixes(" , :").is_empty());
    }

    #[test]
    fn only_sources_are_remembered() {
        let dir = std::env::temp_dir().join(format!("gribchunk-remember-{}", std::process::id()));
        let (source, other, allowed) = (dir.join("source"), dir.join("other"), dir.join("allowed"));
        for directory in [&source, &other, &allowed] {
            std::fs::create_dir_all(directory).unwrap();
        }
        let file = dir.join("state.json");
        let opened = || Access { state_file: Some(file.clone()), ..Access::default() };
        let (first, second) = (opened(), opened());
        first.allow(&allowed).unwrap();
        first.allow_prefix("s3://allowed/").unwrap();
        first.remember(&source).unwrap();
        // Another process, which was open before.
        second.remember(&other).unwrap();
        let how = Remembered { region: Some("eu-central-1".into()), ..Default::default() };
        first.save(Prefix::Url { url: "s3://bucket/x/".into(), how }).unwrap();
        let paths = [other, source].map(|d| Prefix::Path(d.canonicalize().unwrap().to_str().unwrap().to_string()));
        let remembered = opened().remembered();
        assert_eq!(remembered[..2], paths);
        assert_eq!(remembered.len(), 3);
        assert!(second.check("s3://bucket/x/y").is_ok());
        assert!(second.check("s3://allowed/y").is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
