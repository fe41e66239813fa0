//! Objects behind URLs: what is there, and conditional reads of their bytes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::sync::Semaphore;

use super::connection::Connector;
use super::options::{RemoteOptions, Settings};
use super::{RemoteUrl, Scheme, failure, stores};
use crate::error::{Error, Result};

/// Parts of one object that are merged into a request have at most so many bytes together.
const LARGEST_REQUEST: u64 = 32 << 20;
/// An index, or a listing page, larger than this is not read.
const LARGEST_WHOLE: u64 = 1 << 30;

/// What a remote object was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Bytes.
    pub size: u64,
    /// As the server gives it, with its quotes.
    pub etag: Option<String>,
    /// Nanoseconds since 1970; 0 when the server does not say.
    pub modified_ns: u64,
}

impl ObjectInfo {
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        let modified = meta.last_modified.timestamp_nanos_opt().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Self { size: meta.size, etag: meta.e_tag.clone(), modified_ns: modified }
    }

    /// What a read of the object as it is now must find.
    pub fn condition(&self) -> Condition {
        match (&self.etag, self.modified_ns) {
            (Some(etag), _) => Condition::ETag(etag.clone()),
            (None, 0) => Condition::None,
            (None, modified) => Condition::NotModifiedSince(modified.div_ceil(1_000_000_000)),
        }
    }
}

/// What an object must be to be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Nothing is known of it.
    None,
    /// The version with this entity tag.
    ETag(String),
    /// Seconds since 1970.
    NotModifiedSince(u64),
}

/// The remote storage of this process, reached as its user says.
///
/// Cheap to clone; clones share connections and the bound on requests.
#[derive(Debug, Clone)]
pub struct Remote {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    connector: Connector,
    stores: Mutex<HashMap<(Scheme, String, bool), Store>>,
    /// What this user's earlier ingests said about prefixes.
    remembered: Mutex<Vec<(RemoteUrl, Remembered)>>,
    permits: Semaphore,
}

/// A bucket, and how it is reached.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub store: Arc<dyn ObjectStore>,
    pub reached: Remembered,
}

/// How a place was reached, without secrets: kept beside the prefix in the user's state directory, and used when a later
/// process does not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Remembered {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    /// Without credentials.
    pub anonymous: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// The server, where it is not the provider's own.
    pub endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// The bucket's region.
    pub region: Option<String>,
    /// The Azure storage account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

impl Default for Remote {
    /// Environment only.
    fn default() -> Self {
        // Empty options are always understood.
        Self::new(&RemoteOptions::default()).unwrap_or_else(|_| unreachable!("empty options"))
    }
}

impl Remote {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an option that no storage has.
    pub fn new(options: &RemoteOptions) -> Result<Self> {
        let settings = Settings::of(options)?;
        let connector = Connector { limits: settings.limits, requests: Arc::new(AtomicU64::new(0)) };
        let permits = Semaphore::new(settings.concurrent_requests);
        let (stores, remembered) = (Mutex::default(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { settings, connector, stores, remembered, permits }) })
    }

    /// Requests that were sent, repeated ones included.
    pub fn requests(&self) -> u64 {
        self.inner.connector.requests.load(Ordering::Relaxed)
    }

    /// Uses what an earlier process of this user knew about a prefix.
    pub(crate) fn remember(&self, prefix: RemoteUrl, how: Remembered) {
        let mut remembered = lock(&self.inner.remembered);
        remembered.retain(|(known, _)| *known != prefix);
        remembered.push((prefix, how));
    }

    /// How a place is reached.
    pub(crate) async fn reached(&self, url: &RemoteUrl) -> Result<Remembered> {
        Ok(self.store(url).await?.reached)
    }

    /// Size and validators of an object, by one request.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none; [`Error::Source`] with the reason and what to do about it otherwise.
    pub async fn head(&self, url: &RemoteUrl) -> Result<ObjectInfo> {
        let path = path_of(url)?;
        let store = self.store(url).await?;
        let _permit = self.permit().await?;
        match store.store.head(&path).await {
            Ok(meta) => Ok(ObjectInfo::of(&meta)),
            Err(error) => Err(failure::of(url, error, &store.reached)),
        }
    }

    /// [`head`](Self::head) of an object that references were made of.
    ///
    /// # Errors
    /// [`Error::SourceChanged`] when it is another version than the condition says; [`Error::Source`] when it is gone.
    pub async fn head_of(&self, url: &RemoteUrl, condition: &Condition) -> Result<ObjectInfo> {
        match self.head(url).await {
            Ok(info) => check_condition(url, condition, &info).map(|()| info),
            Err(Error::NotFound { .. }) => Err(failure::gone(url)),
            Err(error) => Err(error),
        }
    }

    /// All objects below a prefix, sorted by key.
    pub async fn list(&self, prefix: &RemoteUrl) -> Result<Vec<(RemoteUrl, ObjectInfo)>> {
        if prefix.scheme.is_http() {
            return self.list_page(prefix).await;
        }
        let store = self.store(prefix).await?;
        let path = path_of(prefix)?;
        let _permit = self.permit().await?;
        let mut objects = Vec::new();
        let mut listed = store.store.list(Some(&path));
        while let Some(meta) = listed.try_next().await.map_err(|e| failure::of(prefix, e, &store.reached))? {
            // A key that we would not read (`..`, control characters) is none of a source.
            if let Ok(url) = prefix.with_key(meta.location.as_ref()) {
                objects.push((url, ObjectInfo::of(&meta)));
            }
        }
        objects.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(objects)
    }

    /// The links on an HTTP server's page of a directory. What they lead to is not looked at yet: the sizes are 0.
    async fn list_page(&self, prefix: &RemoteUrl) -> Result<Vec<(RemoteUrl, ObjectInfo)>> {
        let client = self.inner.connector.client().map_err(|e| failure::source(prefix, e.to_string()))?;
        self.inner.connector.requests.fetch_add(1, Ordering::Relaxed);
        let _permit = self.permit().await?;
        let unreadable = |e: reqwest::Error| failure::source(prefix, failure::chain(&e));
        let response = client.get(prefix.to_string()).send().await.map_err(unreadable)?;
        let status = response.status();
        if !status.is_success() {
            let reason = format!("the server answers {status} for its directory page; name the files instead");
            return Err(failure::source(prefix, reason));
        }
        let page = response.text().await.map_err(unreadable)?;
        let mut found: Vec<RemoteUrl> = super::listing::links(prefix, &page);
        found.sort();
        found.dedup();
        Ok(found.into_iter().map(|url| (url, ObjectInfo { size: 0, etag: None, modified_ns: 0 })).collect())
    }

    /// A whole object, such as an index; `None` when there is none.
    pub async fn get(&self, url: &RemoteUrl) -> Result<Option<(Bytes, ObjectInfo)>> {
        let path = path_of(url)?;
        let store = self.store(url).await?;
        let _permit = self.permit().await?;
        let result = match store.store.get(&path).await {
            Ok(result) => result,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failure::of(url, error, &store.reached)),
        };
        if result.meta.size > LARGEST_WHOLE {
            return Err(failure::source(url, format!("{} bytes are too many for this kind of file", result.meta.size)));
        }
        let info = ObjectInfo::of(&result.meta);
        let bytes = result.bytes().await.map_err(|e| failure::of(url, e, &store.reached))?;
        Ok(Some((bytes, info)))
    }

    /// Exactly the bytes of a range of an object that is what the condition says.
    ///
    /// # Errors
    /// [`Error::SourceChanged`] when it is another version or shorter; [`Error::Source`] when it is gone or cannot be read.
    pub async fn read(&self, url: &RemoteUrl, range: Range<u64>, condition: &Condition) -> Result<Bytes> {
        let path = path_of(url)?;
        let store = self.store(url).await?;
        let _permit = self.permit().await?;
        let mut options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..Default::default() };
        match condition {
            // A weak ETag never matches a condition; it is compared below.
            Condition::ETag(etag) if !etag.starts_with("W/") => options.if_match = Some(quoted(etag)),
            Condition::NotModifiedSince(seconds) => {
                let seconds = i64::try_from(*seconds).unwrap_or(i64::MAX);
                options.if_unmodified_since = chrono::DateTime::from_timestamp(seconds, 0);
            }
            _ => {}
        }
        let result = match store.store.get_opts(&path, options).await {
            Ok(result) => result,
            Err(error) => return Err(failure::of_read(url, &range, error, &store.reached)),
        };
        // Servers may ignore conditions: what they say about their answer counts.
        check_condition(url, condition, &ObjectInfo::of(&result.meta))?;
        if result.range != range {
            let reason = format!("it ends at byte {}, the wanted bytes at {}", result.meta.size, range.end);
            return Err(Error::SourceChanged { location: url.to_string(), reason });
        }
        let bytes = result.bytes().await.map_err(|error| failure::of_read(url, &range, error, &store.reached))?;
        if bytes.len() as u64 != range.end - range.start {
            let reason = format!("{} bytes were sent instead of {}", bytes.len(), range.end - range.start);
            return Err(failure::source(url, reason));
        }
        Ok(bytes)
    }

    /// Many ranges of one object, at the same time. Ranges less than `gap` bytes apart share a request. The results are in
    /// the order of `ranges`.
    pub async fn read_many(
        &self,
        url: &RemoteUrl,
        ranges: &[Range<u64>],
        condition: &Condition,
        gap: u64,
    ) -> Vec<Result<Bytes>> {
        let merged = merge(ranges, gap);
        let reads: Vec<_> = merged.iter().map(|(range, _)| self.read(url, range.clone(), condition)).collect();
        let concurrent = self.inner.settings.concurrent_requests;
        let read: Vec<Result<Bytes>> = futures::stream::iter(reads).buffered(concurrent).collect().await;
        let mut results: Vec<Option<Result<Bytes>>> = ranges.iter().map(|_| None).collect();
        for ((whole, members), bytes) in merged.into_iter().zip(read) {
            for member in members {
                let Some((range, result)) = ranges.get(member).zip(results.get_mut(member)) else { continue };
                *result = Some(match &bytes {
                    Ok(bytes) => {
                        let (start, end) = ((range.start - whole.start) as usize, (range.end - whole.start) as usize);
                        Ok(bytes.slice(start..end))
                    }
                    Err(error) => Err(failure::again(error)),
                });
            }
        }
        let lost = || Err(failure::source(url, "no answer".to_string()));
        results.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
    }

    async fn permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        self.inner.permits.acquire().await.map_err(|_| Error::invalid("remote sources", "the process is ending"))
    }

    async fn store(&self, url: &RemoteUrl) -> Result<Store> {
        let known = {
            let remembered = lock(&self.inner.remembered);
            let best = remembered.iter().filter(|(prefix, _)| prefix.holds(url) || url.holds(prefix));
            best.max_by_key(|(prefix, _)| prefix.key.len()).map(|(_, how)| how.clone()).unwrap_or_default()
        };
        let anonymous = self.inner.settings.is_anonymous(url) || known.anonymous;
        let key = (url.scheme, url.authority.clone(), anonymous);
        if let Some(store) = lock(&self.inner.stores).get(&key) {
            return Ok(store.clone());
        }
        let store = stores::open(url, anonymous, &known, &self.inner.settings, &self.inner.connector).await?;
        lock(&self.inner.stores).insert(key, store.clone());
        Ok(store)
    }
}

fn check_condition(url: &RemoteUrl, condition: &Condition, is: &ObjectInfo) -> Result<()> {
    let changed = |reason: String| Err(Error::SourceChanged { location: url.to_string(), reason });
    match condition {
        Condition::None => Ok(()),
        Condition::ETag(then) => match &is.etag {
            Some(now) if bare(now) == bare(then) => Ok(()),
            Some(now) => changed(format!("its ETag was {then} and is {now}")),
            None => changed("the server gives no ETag any more".to_string()),
        },
        Condition::NotModifiedSince(then) => match is.modified_ns {
            0 => changed("the server gives no modification time any more".to_string()),
            now if now.div_ceil(1_000_000_000) > *then => changed("it was modified later".to_string()),
            _ => Ok(()),
        },
    }
}

/// Weak or not, quoted or not: the tag itself.
fn bare(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

fn quoted(etag: &str) -> String {
    format!("\"{}\"", bare(etag))
}

/// Ranges that are read together, and which these are.
fn merge(ranges: &[Range<u64>], gap: u64) -> Vec<(Range<u64>, Vec<usize>)> {
    let mut order: Vec<(usize, &Range<u64>)> = ranges.iter().enumerate().collect();
    order.sort_by_key(|(_, range)| range.start);
    let mut merged: Vec<(Range<u64>, Vec<usize>)> = Vec::new();
    for (index, range) in order {
        if let Some((last, members)) = merged.last_mut() {
            let end = last.end.max(range.end);
            if range.start <= last.end.saturating_add(gap) && end - last.start <= LARGEST_REQUEST {
                last.end = end;
                members.push(index);
                continue;
            }
        }
        merged.push((range.clone(), vec![index]));
    }
    merged
}

fn path_of(url: &RemoteUrl) -> Result<Path> {
    let key = url.key.strip_suffix('/').unwrap_or(&url.key);
    Path::parse(key).map_err(|error| Error::invalid(format!("the URL {url}"), error.to_string()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_ranges_share_a_request() {
        let ranges = [100..200, 0..50, 190..260, 10_000..10_010];
        assert_eq!(merge(&ranges, 64), [(0..260, vec![1, 0, 2]), (10_000..10_010, vec![3])]);
        assert_eq!(merge(&ranges, 0).len(), 3);
        let large = [0..LARGEST_REQUEST, LARGEST_REQUEST..LARGEST_REQUEST + 1];
        assert_eq!(merge(&large, 10).len(), 2);
    }

    #[test]
    fn an_answer_of_another_version_is_not_taken() {
        let url = RemoteUrl::parse("s3://b/k").unwrap();
        let is = ObjectInfo { size: 1, etag: Some("\"a\"".into()), modified_ns: 5_000_000_001 };
        assert!(check_condition(&url, &Condition::ETag("a".into()), &is).is_ok());
        assert!(check_condition(&url, &Condition::ETag("W/\"a\"".into()), &is).is_ok());
        assert!(check_condition(&url, &Condition::ETag("\"b\"".into()), &is).is_err());
        assert!(check_condition(&url, &Condition::NotModifiedSince(6), &is).is_ok());
        assert!(check_condition(&url, &Condition::NotModifiedSince(5), &is).is_err());
        let silent = ObjectInfo { size: 1, etag: None, modified_ns: 0 };
        assert!(check_condition(&url, &Condition::ETag("a".into()), &silent).is_err());
        assert!(check_condition(&url, &Condition::NotModifiedSince(6), &silent).is_err());
    }
}
