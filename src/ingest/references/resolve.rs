//! The URLs of a list -> files that are there.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::index::references::run_hour_in;
use crate::read::parse_location;
use crate::repository::Access;

/// Finds the files that the URLs of one list mean, and remembers what had to be guessed.
pub(super) struct Resolver<'a> {
    /// Relative paths start here.
    base: PathBuf,
    /// When set, one of these must allow a place.
    access: Option<Vec<&'a Access>>,
    with_suffix: Guesses,
    other_hour: Guesses,
    hour_differs: Guesses,
    changed: Guesses,
    elsewhere: Guesses,
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
    pub fn new(base: PathBuf) -> Self {
        Self {
            base,
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

    /// The canonical path of the file that a URL means.
    ///
    /// Lists made from index files lack `.grib2`, and some have the run hour 00 in the file name whatever the run: both
    /// are tried, and told in [`notes`](Self::notes).
    pub fn resolve(&mut self, url: &str) -> Result<PathBuf> {
        let (plain, fingerprint) = if url.contains("://") { parse_location(url) } else { (url, None) };
        if let Some((folder, name)) = run_hour_in(plain)
            && folder != name
        {
            self.hour_differs.add(|| plain.to_string());
        }
        let path = self.local(plain)?;
        let candidates = candidates(&path);
        let found = candidates.iter().find(|(candidate, _)| candidate.metadata().is_ok_and(|m| m.is_file()));
        let Some((file, guess)) = found else {
            let is_there = path.exists();
            return Err(Error::Source {
                location: url.to_string(),
                reason: match (is_there, candidates.len()) {
                    (true, _) => "not a regular file".into(),
                    (false, 1) => "there is no such file".into(),
                    (false, _) => {
                        let tried: Vec<String> =
                            candidates.iter().skip(1).map(|(c, _)| c.display().to_string()).collect();
                        format!("there is no such file, nor {}", tried.join(" nor "))
                    }
                },
            });
        };
        if let Some(access) = &self.access {
            let location = crate::source::url_of(file)?;
            if !access.iter().any(|access| access.check(&location).is_ok()) {
                return Err(Error::NotAllowed { location });
            }
        }
        if guess.suffix {
            self.with_suffix.add(|| plain.to_string());
        }
        if guess.hour {
            self.other_hour.add(|| file.display().to_string());
        }
        let real = file.canonicalize().map_err(Error::io(file))?;
        if self.access.is_none() && !real.starts_with(&self.base) {
            self.elsewhere.add(|| real.parent().unwrap_or(&real).display().to_string());
        }
        if let Some(then) = fingerprint
            && std::fs::metadata(&real).map(|m| crate::read::Fingerprint::of(&m)).is_ok_and(|now| now != then)
        {
            self.changed.add(|| plain.to_string());
        }
        Ok(real)
    }

    fn local(&self, url: &str) -> Result<PathBuf> {
        if url.starts_with("file://") {
            return crate::repository::access::local_path(url);
        }
        if url.contains("://") {
            return Err(Error::Source {
                location: url.to_string(),
                reason: "references to remote sources cannot be followed yet; make the list with local paths".into(),
            });
        }
        if url.contains('\0') {
            return Err(Error::Source { location: url.to_string(), reason: "not a path".into() });
        }
        Ok(self.base.join(url))
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

fn candidates(path: &Path) -> Vec<(PathBuf, Guess)> {
    let mut found = vec![(path.to_path_buf(), Guess { suffix: false, hour: false })];
    let with_suffix = |path: &Path, hour: bool, found: &mut Vec<_>| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // `20260106000000-0h-enfo-ef`: from an index whose name lost its ending.
        if !name.is_empty() && !name.contains('.') {
            found.push((path.with_file_name(format!("{name}.grib2")), Guess { suffix: true, hour }));
        }
    };
    with_suffix(path, false, &mut found);
    let text = path.to_string_lossy();
    if let Some((folder, name)) = run_hour_in(&text)
        && folder != name
        && let Some(file_name) = path.file_name().map(|n| n.to_string_lossy().into_owned())
        && let (Some(date), Some(rest)) = (file_name.get(..8), file_name.get(10..))
    {
        let fixed = path.with_file_name(format!("{date}{folder:02}{rest}"));
        found.push((fixed.clone(), Guess { suffix: false, hour: true }));
        with_suffix(&fixed, true, &mut found);
    }
    found
}
