//! Where a source is: a local path, or an object behind a URL.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::error::{Error, Result};

/// The kinds of remote storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `s3://bucket/key`
    S3,
    /// `gs://bucket/key`
    Gcs,
    /// `az://container/key`; `abfss://container@account.dfs.core.windows.net/key` is read too.
    Azure,
    /// `https://host/path`
    Https,
    /// `http://host/path`
    Http,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "s3" | "s3a" => Self::S3,
            "gs" | "gcs" => Self::Gcs,
            "az" | "azure" | "abfs" | "abfss" => Self::Azure,
            "https" => Self::Https,
            "http" => Self::Http,
            _ => return None,
        })
    }

    /// As it stands in URLs.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// Whether it is a plain HTTP server.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// An object, or all objects whose keys begin with `key`. There is one spelling for each: equal places are equal here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteUrl {
    /// The kind of storage.
    pub scheme: Scheme,
    /// Bucket, container, or host with its port.
    pub authority: String,
    /// Without the slash in front, percent-decoded. Never holds `.`, `..` or empty segments, except that it may be empty
    /// or end in a slash.
    pub key: String,
}

/// Characters that a key's URL must not show as they are.
const ENCODED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

impl RemoteUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is not one of our schemes, and for every spelling that a server could understand as
    /// another place: user information, queries, `.`, `..` and empty segments, encoded or not.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_with_account(text).map(|(url, _)| url)
    }

    /// The URL, and the storage account that an `abfss://` URL names.
    pub fn parse_with_account(text: &str) -> Result<(Self, Option<String>)> {
        let bad = |remedy: &str| Error::invalid(format!("the URL {text}"), remedy);
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        let scheme = Scheme::parse(scheme).ok_or_else(|| {
            bad("the schemes are s3, gs, az (abfs, abfss), https, http, and file or no scheme for local paths")
        })?;
        if rest.contains(['?', '#']) {
            return Err(bad("queries and fragments cannot be used; encode ? and # in a key as %3F and %23"));
        }
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let (authority, account) = match (scheme, authority.split_once('@')) {
            (Scheme::Azure, Some((container, host))) => {
                let account = host.split('.').next().filter(|a| !a.is_empty());
                (container, Some(account.ok_or_else(|| bad("the account is missing after @"))?.to_string()))
            }
            (_, Some(_)) => return Err(bad("user information cannot be used; give credentials in the environment")),
            (_, None) => (authority, None),
        };
        let authority = if scheme.is_http() {
            let parsed = url::Url::parse(&format!("{}://{authority}/", scheme.name()))
                .map_err(|error| bad(&format!("its host cannot be understood: {error}")))?;
            let host = parsed.host_str().ok_or_else(|| bad("it has no host"))?;
            parsed.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"))
        } else {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if authority.is_empty() || !authority.chars().all(plain) || authority.contains("..") {
                return Err(bad("the name of the bucket or container cannot be understood"));
            }
            authority.to_string()
        };
        let key = percent_decode_str(key).decode_utf8().map_err(|_| bad("its key is not UTF-8"))?.into_owned();
        check_key(&key).map_err(bad)?;
        Ok((Self { scheme, authority, key }, account))
    }

    /// Another object of the same bucket, container or host.
    pub fn with_key(&self, key: impl Into<String>) -> Result<Self> {
        let key = key.into();
        check_key(&key).map_err(|reason| Error::invalid(format!("the key {key:?} of {self}"), reason))?;
        Ok(Self { scheme: self.scheme, authority: self.authority.clone(), key })
    }

    /// The whole bucket, container or host.
    pub fn root(&self) -> Self {
        Self { scheme: self.scheme, authority: self.authority.clone(), key: String::new() }
    }

    /// The part of the key behind its last slash.
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(&self.key)
    }

    /// All objects beside this one: the key up to its last slash.
    pub fn parent(&self) -> Self {
        let directory = self.key.rfind('/').and_then(|end| self.key.get(..=end)).unwrap_or_default();
        Self { scheme: self.scheme, authority: self.authority.clone(), key: directory.to_string() }
    }

    /// Whether this is all objects below a key, rather than one object.
    pub fn is_prefix(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// Whether `other` is this place or lies below it. Whole segments are compared: `s3://b/data` holds `s3://b/data/x`,
    /// not `s3://b/data-of-others`.
    pub fn holds(&self, other: &Self) -> bool {
        if (self.scheme, &self.authority) != (other.scheme, &other.authority) {
            return false;
        }
        match other.key.strip_prefix(self.key.as_str()) {
            Some(rest) => rest.is_empty() || self.is_prefix() || rest.starts_with('/'),
            None => false,
        }
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.scheme.name(), self.authority, utf8_percent_encode(&self.key, ENCODED))
    }
}

fn check_key(key: &str) -> std::result::Result<(), &'static str> {
    let inner = key.strip_suffix('/').unwrap_or(key);
    if !key.is_empty() && inner.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err("keys with empty, `.` or `..` segments are not read");
    }
    if key.chars().any(|c| c.is_control() || c == '\\') {
        return Err("keys with control characters or backslashes are not read");
    }
    let lower = key.to_ascii_lowercase();
    if ["%2e", "%2f", "%5c"].iter().any(|encoded| lower.contains(encoded)) {
        return Err("keys with dots or slashes that are encoded twice are not read");
    }
    Ok(())
}

/// A place that bytes are read from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// Canonical path.
    Local(PathBuf),
    /// A canonical URL.
    Remote(RemoteUrl),
}

impl Location {
    /// `file:///...` or the remote URL.
    pub fn url(&self) -> Result<String> {
        match self {
            Self::Local(path) => super::url_of(path),
            Self::Remote(url) => Ok(url.to_string()),
        }
    }

    /// The path of a local file.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::Remote(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Remote(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_places_have_one_spelling() {
        for (text, url) in [
            ("S3://bucket/a b.grib2", "s3://bucket/a%20b.grib2"),
            ("s3://bucket/a%20b.grib2", "s3://bucket/a%20b.grib2"),
            ("gcs://bucket", "gs://bucket/"),
            ("HTTPS://Example.ORG:443/x", "https://example.org/x"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("abfss://container@account.dfs.core.windows.net/x", "az://container/x"),
        ] {
            assert_eq!(RemoteUrl::parse(text).unwrap().to_string(), url, "{text}");
        }
        let (_, account) = RemoteUrl::parse_with_account("abfss://c@acc.dfs.core.windows.net/x").unwrap();
        assert_eq!(account.as_deref(), Some("acc"));
    }

    #[test]
    fn spellings_that_could_mean_another_place_are_refused() {
        for text in [
            "s3://bucket/a/../b",
            "s3://bucket/a/%2e%2e/b",
            "s3://bucket/a/%2E./b",
            "s3://bucket/a/%252e%252e/b",
            "s3://bucket/a//b",
            "s3://bucket/a%2f..%2fb",
            "s3://bucket/..",
            "s3://allowed@other/x",
            "https://allowed.org@evil.org/x",
            "https://user:password@host/x",
            "https://host/x?token=1",
            "https://host/x#y",
            "https:///x",
            "https://host\\@evil.org/x",
            "s3://buc ket/x",
            "s3:///x",
            "s3://../x",
            "ftp://host/x",
            "vcc://name/x",
            "s3://bucket/a\\..\\b",
            "s3://bucket/a%00b",
        ] {
            assert!(RemoteUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_holds_whole_segments_of_its_own_bucket() {
        let holds = |prefix, url| RemoteUrl::parse(prefix).unwrap().holds(&RemoteUrl::parse(url).unwrap());
        assert!(holds("s3://b/data", "s3://b/data/x"));
        assert!(holds("s3://b/data/", "s3://b/data/x"));
        assert!(holds("s3://b", "s3://b/x"));
        assert!(holds("https://host/a.grib2", "https://host/a.grib2"));
        assert!(!holds("s3://b/data", "s3://b/data-of-others/x"));
        assert!(!holds("s3://b/data/", "s3://b/data"));
        assert!(!holds("s3://b", "s3://b-2/x"));
        assert!(!holds("https://host", "http://host/x"));
        assert!(!holds("https://host", "https://host.evil.org/x"));
        assert!(!holds("https://host", "https://host:8443/x"));
    }
}
