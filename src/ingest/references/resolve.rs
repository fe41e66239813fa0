//! The URLs of a list -> files and objects that are there.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::index::references::run_hour_in;
use crate::read::{Fingerprint, parse_location};
use crate::repository::Access;
use crate::repository::access::is_file;
use crate::source::{Location, ObjectInfo, Remote, RemoteUrl};

/// Finds the files that the URLs of one list mean, and remembers what had to be guessed.
pub(super) struct Resolver<'a> {
    /// Relative paths start here.
    base: Location,
    remote: Remote,
    /// When set, one of these must allow a place.
    access: Option<Vec<&'a Access>>,
    with_suffix: Guesses,
    other_hour: Guesses,
    hour_differs: Guesses,
    changed: Guesses,
    elsewhere: Guesses,
}

/// What a URL means.
pub(super) struct Found {
    /// Canonical.
    pub location: Location,
    /// What a remote object is.
    pub listed: Option<ObjectInfo>,
    guess: Guess,
    /// The file changed after the reference was made.
    changed: bool,
}

#[derive(Default)]
struct Guesses {
    count: u64,
    first: String,
}

impl Guesses {
    fn add(&mut self, text: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = text();
        }
        self.count += 1;
    }
}

impl<'a> Resolver<'a> {
    pub fn new(base: Location, remote: Remote) -> Self {
        Self {
            base,
            remote,
            access: None,
            with_suffix: Guesses::default(),
            other_hour: Guesses::default(),
            hour_differs: Guesses::default(),
            changed: Guesses::default(),
            elsewhere: Guesses::default(),
        }
    }

    /// Only places that one of these allows are read.
    pub fn restrict(&mut self, access: Vec<&'a Access>) {
        self.access = Some(access);
    }

    /// The file that a URL means.
    ///
    /// Lists made from index files lack `.grib2`, and some have the run hour 00 in the file name whatever the run: both
    /// are tried, and told in [`notes`](Self::notes).
    pub async fn find(&self, url: &str) -> Result<Found> {
        let plain = if is_file(url) { parse_location(url).0 } else { url };
        match self.place(plain)? {
            Location::Local(path) => self.find_file(url, &path),
            Location::Remote(place) => self.find_object(&place).await,
        }
    }

    fn find_file(&self, url: &str, path: &Path) -> Result<Found> {
        let (_, fingerprint) = if url.contains("://") { parse_location(url) } else { (url, None) };
        let text = path.to_string_lossy();
        let candidates: Vec<(PathBuf, Guess)> =
            candidates(&text).into_iter().map(|(text, guess)| (PathBuf::from(text), guess)).collect();
        let found = candidates.iter().find(|(candidate, _)| candidate.metadata().is_ok_and(|m| m.is_file()));
        let Some((file, guess)) = found else {
            let names: Vec<String> = candidates.iter().map(|(c, _)| c.display().to_string()).collect();
            let reason = if path.exists() { "not a regular file".into() } else { nothing_there("file", &names) };
            return Err(Error::Source { location: url.to_string(), reason });
        };
        self.allow(&crate::source::url_of(file)?)?;
        let real = file.canonicalize().map_err(Error::io(file))?;
        let now = std::fs::metadata(&real).ok().as_ref().map(Fingerprint::of);
        let changed = fingerprint.zip(now).is_some_and(|(then, now)| then != now);
        Ok(Found { location: Location::Local(real), listed: None, guess: *guess, changed })
    }

    async fn find_object(&self, url: &RemoteUrl) -> Result<Found> {
        let mut candidates = candidates(&url.key);
        // A name without an ending is nearly always one that lost it.
        if !url.name().contains('.') {
            candidates.sort_by_key(|(_, guess)| (guess.hour, !guess.suffix));
        }
        let mut tried = Vec::new();
        for (key, guess) in candidates {
            let candidate = url.with_key(key)?;
            self.allow(&candidate.to_string())?;
            match self.remote.head(&candidate).await {
                Ok(info) => {
                    return Ok(Found {
                        location: Location::Remote(candidate),
                        listed: Some(info),
                        guess,
                        changed: false,
                    });
                }
                Err(Error::NotFound { .. }) => tried.push(candidate.to_string()),
                Err(error) => return Err(error),
            }
        }
        tried.sort_by_key(|name| *name != url.to_string());
        Err(Error::Source { location: url.to_string(), reason: nothing_there("object", &tried) })
    }

    fn allow(&self, location: &str) -> Result<()> {
        match &self.access {
            Some(access) if !access.iter().any(|access| access.check(location).is_ok()) => {
                Err(Error::NotAllowed { location: location.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Counts what was guessed of a URL.
    pub fn note(&mut self, url: &str, found: &Found) {
        let plain = if is_file(url) { parse_location(url).0 } else { url };
        if let Some((folder, name)) = run_hour_in(plain)
            && folder != name
        {
            self.hour_differs.add(|| plain.to_string());
        }
        if found.guess.suffix {
            self.with_suffix.add(|| plain.to_string());
        }
        if found.guess.hour {
            self.other_hour.add(|| found.location.to_string());
        }
        let is_elsewhere = match (&self.base, &found.location) {
            (Location::Local(base), Location::Local(real)) => !real.starts_with(base),
            _ => false,
        };
        if self.access.is_none() && is_elsewhere {
            self.elsewhere.add(|| {
                let parent = found.location.path().and_then(Path::parent);
                parent.map_or_else(|| found.location.to_string(), |parent| parent.display().to_string())
            });
        }
        if found.changed {
            self.changed.add(|| plain.to_string());
        }
    }

    /// Where a URL leads, by its text.
    fn place(&self, url: &str) -> Result<Location> {
        let bad = |reason: &str| Error::Source { location: url.to_string(), reason: reason.to_string() };
        match &self.base {
            _ if is_file(url) && matches!(self.base, Location::Remote(_)) => {
                Err(bad("a remote list is not followed to files of this machine; copy the list here"))
            }
            _ if is_file(url) => crate::repository::access::local_path(url).map(Location::Local),
            _ if url.contains("://") => {
                let place = RemoteUrl::parse(url).map_err(|error| bad(&error.to_string()))?;
                if place.is_prefix() {
                    return Err(bad("a prefix, not an object"));
                }
                Ok(Location::Remote(place))
            }
            _ if url.contains('\0') => Err(bad("not a path")),
            Location::Local(base) => Ok(Location::Local(base.join(url))),
            Location::Remote(_) if url.starts_with('/') => {
                Err(bad("a remote list is not followed to files of this machine; copy the list here"))
            }
            Location::Remote(base) => {
                let place = base.with_key(format!("{}{url}", base.key)).map_err(|error| bad(&error.to_string()))?;
                Ok(Location::Remote(place))
            }
        }
    }

    /// What was guessed or odd, with counts of URLs.
    pub fn notes(&self) -> Vec<String> {
        let note = |guesses: &Guesses, text: &str| {
            (guesses.count > 0).then(|| format!("{} URLs {text}; the first: {}", guesses.count, guesses.first))
        };
        [
            note(&self.with_suffix, "lack .grib2, which was added"),
            note(&self.hour_differs, "have another run hour in the file's name than in the folder's"),
            note(&self.other_hour, "have the wrong run hour in the file's name; the folder's was taken"),
            note(
                &self.changed,
                "lead to files that changed after those references were made; they were read as they are now",
            ),
            note(&self.elsewhere, "lead out of the list's own directory"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[derive(Clone, Copy)]
struct Guess {
    suffix: bool,
    hour: bool,
}

/// The names that a name may stand for, itself first.
fn candidates(text: &str) -> Vec<(String, Guess)> {
    let start = text.rfind('/').map_or(0, |slash| slash + 1);
    let (folder_part, name) = text.split_at_checked(start).unwrap_or(("", text));
    let mut found = vec![(text.to_string(), Guess { suffix: false, hour: false })];
    let with_suffix = |name: &str, hour: bool, found: &mut Vec<_>| {
        // `20260106000000-0h-enfo-ef`: from an index whose name lost its ending.
        if !name.is_empty() && !name.contains('.') {
            found.push((format!("{folder_part}{name}.grib2"), Guess { suffix: true, hour }));
        }
    };
    with_suffix(name, false, &mut found);
    if let Some((folder, hour)) = run_hour_in(text)
        && folder != hour
        && let (Some(date), Some(rest)) = (name.get(..8), name.get(10..))
    {
        let fixed = format!("{date}{folder:02}{rest}");
        found.push((format!("{folder_part}{fixed}"), Guess { suffix: false, hour: true }));
        with_suffix(&fixed, true, &mut found);
    }
    found
}

fn nothing_there(kind: &str, tried: &[String]) -> String {
    let others: Vec<&str> = tried.iter().skip(1).map(String::as_str).collect();
    let nor = if others.is_empty() { String::new() } else { format!(", nor {}", others.join(" nor ")) };
    format!("there is no such {kind}{nor}")
}
