//! Files that arrive -> commits, for ever.
//!
//! A single file is committed at once. What arrives while a commit is made goes into the next one, so that a burst needs
//! few commits; how many files share one is bounded by the time that it would take.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::mpsc::{Receiver, channel};

use crate::error::{Error, Result};
use crate::ingest::references::Inputs;
use crate::ingest::{FileReport, IngestOptions, ingest_inputs};
use crate::inspect::{CoverageCounts, coverage};
use crate::repository::{Reference, Repository};
use crate::selection::Selection;
use crate::source::{self, Location, ObjectInfo, PatternValues, SourceFile};

use super::arrivals::Arrivals;

/// Files in one commit, at most.
const MOST_FILES: usize = 4096;
/// Waits after a commit that failed as a whole, at first and at most.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How a watch works.
#[derive(Debug, Clone)]
#[must_use]
pub struct WatchOptions {
    /// How the files are ingested.
    pub ingest: IngestOptions,
    /// A file that nobody says is finished counts as whole after this time without a change.
    pub settle: Duration,
    /// About how long a commit of many files may take.
    pub max_delay: Duration,
    /// How often prefixes, globs and patterns are listed.
    pub interval: Duration,
    /// End when every expected slot of this selection has arrived. An empty selection: of the last reference time.
    pub until_complete: Option<Selection>,
    /// End after this time.
    pub timeout: Option<Duration>,
    /// End when the files that are there were ingested, and nothing is still written.
    pub once: bool,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            ingest: IngestOptions::default(),
            settle: Duration::from_secs(2),
            max_delay: Duration::from_millis(500),
            interval: Duration::from_secs(10),
            until_complete: None,
            timeout: None,
            once: false,
        }
    }
}

/// What a watch tells while it runs.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
#[non_exhaustive]
pub enum WatchEvent {
    /// It looks at these places now.
    #[serde(rename_all = "camelCase")]
    Watching {
        /// As they were given.
        landings: Vec<String>,
        /// Why the file system does not tell of changes; the directories are listed instead.
        #[serde(skip_serializing_if = "Option::is_none")]
        without_events: Option<String>,
    },
    /// A commit was made, or files brought nothing new.
    #[serde(rename_all = "camelCase")]
    Committed {
        /// The snapshot that readers see from now on; `None` when nothing changed.
        snapshot: Option<String>,
        /// The files, with what each brought.
        files: Vec<FileReport>,
        /// From the moment in which the first of them was known to be whole.
        seconds: f64,
    },
    /// Nothing could be committed, or a place could not be listed. It is tried again.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// What happened and where.
        error: String,
        /// When it is tried again.
        retry_seconds: f64,
    },
}

/// What a watch did until it ended.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchSummary {
    /// Files that were looked at; one that arrived twice counts twice.
    pub files: u64,
    /// Files of which a part or all was refused when they arrived last.
    pub bad_files: u64,
    /// Fields that were placed.
    pub fields: u64,
    /// Commits that were made.
    pub commits: u64,
    /// Whether everything that was waited for is there; `None` when nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// The slots that were waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<CoverageCounts>,
}

/// Where files come from.
struct Landings {
    directories: Option<Arrivals>,
    /// Prefixes, globs and patterns.
    listed: Vec<String>,
    /// What the listings said of the files when they were given out.
    versions: HashMap<Location, Option<ObjectInfo>>,
    list_at: Instant,
    /// Lines of standard input.
    lines: Option<Receiver<String>>,
}

/// A file that waits for its commit, and since when.
struct Ready {
    file: SourceFile,
    since: Instant,
}

/// Ingests what arrives in `landings`: directories, remote prefixes (`s3://bucket/prefix/`), globs, patterns (as for
/// [`crate::ingest()`]), and `-` for standard input, one path, URL or storage notification (S3, Event Grid) a line. `told`
/// hears of every commit.
///
/// Files that are there already are ingested first; one that was ingested before and did not change changes nothing. A
/// file that changes later is ingested again. A commit that fails is tried again until it succeeds.
///
/// # Errors
/// When a directory is not there or the repository has no cube.
pub async fn watch(
    repository: &Repository,
    landings: &[String],
    options: &WatchOptions,
    mut told: impl FnMut(&WatchEvent),
) -> Result<WatchSummary> {
    let began = Instant::now();
    let deadline = options.timeout.map(|timeout| began + timeout);
    if repository.snapshot(&Reference::default()).await?.layout().home.is_none() {
        return Err(Error::not_found(
            format!("a cube in {}", repository.location()),
            "make one with `gribchunk init` from samples of what will arrive, such as yesterday's run",
        ));
    }
    let mut landings = Landings::open(landings, options, &mut told)?;
    let mut summary = WatchSummary::default();
    let mut bad: HashMap<String, bool> = HashMap::new();
    let mut queue: VecDeque<Ready> = VecDeque::new();
    let mut per_file = options.max_delay;
    let mut pause = FIRST_RETRY;
    let mut idle_listings = 0;
    loop {
        if let Some(selection) = &options.until_complete
            && queue.is_empty()
        {
            let counts = arrived(repository, selection).await?;
            let complete = counts.expected > 0 && counts.is_complete();
            (summary.complete, summary.slots) = (Some(complete), Some(counts));
            if complete {
                break;
            }
        }
        let patience = deadline.map_or(Duration::from_secs(3600), |d| d.saturating_duration_since(Instant::now()));
        if deadline.is_some() && patience.is_zero() && queue.is_empty() {
            break;
        }
        let wait = if queue.is_empty() { patience } else { Duration::ZERO };
        let wait = if options.once { wait.min(options.settle / 4) } else { wait };
        match landings.next(repository, wait, options).await {
            Ok(arrived) => arrived.into_iter().for_each(|ready| join(&mut queue, ready)),
            Err(error) => {
                let retry_seconds = options.interval.as_secs_f64();
                told(&WatchEvent::Failed { error: error.to_string(), retry_seconds });
            }
        }
        if queue.is_empty() {
            idle_listings += 1;
            if landings.ended() || (options.once && idle_listings > 1 && landings.waiting() == 0) {
                break;
            }
            continue;
        }
        idle_listings = 0;
        let fit = (options.max_delay.as_secs_f64() / per_file.as_secs_f64().max(1e-5)) as usize;
        let batch: Vec<Ready> = queue.drain(..queue.len().min(fit.clamp(1, MOST_FILES))).collect();
        let since = batch.iter().map(|ready| ready.since).min().unwrap_or_else(Instant::now);
        let (start, count) = (Instant::now(), batch.len() as u32);
        let files = batch.iter().map(|ready| ready.file.clone().into()).collect();
        let inputs = Inputs { files, ..Default::default() };
        match ingest_inputs(repository, inputs, &options.ingest, |_| {}).await {
            Ok(report) => {
                per_file = (per_file + 3 * start.elapsed() / count) / 4;
                pause = FIRST_RETRY;
                summary.files += report.files.len() as u64;
                summary.fields += report.placed();
                summary.commits += report.snapshots.len() as u64;
                bad.extend(report.files.iter().map(|file| (file.url.clone(), !file.is_complete())));
                told(&WatchEvent::Committed {
                    snapshot: report.snapshots.last().cloned(),
                    files: report.files,
                    seconds: since.elapsed().as_secs_f64(),
                });
            }
            Err(error) => {
                // Nothing of the batch is lost: it waits in front of what came later.
                batch.into_iter().rev().for_each(|ready| queue.push_front(ready));
                queue.retain(|ready| ready.file.path().is_none_or(std::path::Path::exists));
                told(&WatchEvent::Failed { error: error.to_string(), retry_seconds: pause.as_secs_f64() });
                if deadline.is_some_and(|deadline| Instant::now() + pause > deadline) {
                    break;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_RETRY);
            }
        }
    }
    summary.bad_files = bad.values().filter(|bad| **bad).count() as u64;
    Ok(summary)
}

/// A file that waits already waits once, as what it is now.
fn join(queue: &mut VecDeque<Ready>, ready: Ready) {
    match queue.iter_mut().find(|waiting| waiting.file.location == ready.file.location) {
        Some(waiting) => waiting.file = ready.file,
        None => queue.push_back(ready),
    }
}

async fn arrived(repository: &Repository, selection: &Selection) -> Result<CoverageCounts> {
    let snapshot = repository.snapshot(&Reference::default()).await?;
    let latest = Selection::parse("time=latest").ok();
    let selection = if selection.is_everything() { latest.as_ref() } else { Some(selection) };
    match coverage(&snapshot, selection).await {
        Ok(coverage) => Ok(coverage.total),
        // Its time may still be allocated.
        Err(Error::NotFound { .. } | Error::Invalid { .. }) => Ok(CoverageCounts::default()),
        Err(error) => Err(error),
    }
}

impl Landings {
    fn open(landings: &[String], options: &WatchOptions, told: &mut impl FnMut(&WatchEvent)) -> Result<Self> {
        let (mut directories, mut listed, mut lines) = (Vec::new(), Vec::new(), None);
        for landing in landings {
            let local = landing.strip_prefix("file://").unwrap_or(landing);
            if landing == "-" {
                lines = Some(standard_input());
            } else if std::path::Path::new(local).is_dir() {
                directories.push(PathBuf::from(local));
            } else if local.contains("://") || local.contains(['*', '?', '[', '{']) {
                listed.push(landing.clone());
            } else {
                return Err(Error::not_found(
                    format!("the landing place {landing}"),
                    "give a directory that is there, a remote prefix, a glob, a pattern, or - for standard input",
                ));
            }
        }
        let directories =
            if directories.is_empty() { None } else { Some(Arrivals::watch(directories, options.settle)?) };
        told(&WatchEvent::Watching {
            landings: landings.to_vec(),
            without_events: directories.as_ref().and_then(|arrivals| arrivals.without_events.clone()),
        });
        Ok(Self { directories, listed, versions: HashMap::new(), list_at: Instant::now(), lines })
    }

    /// Whether nothing can arrive any longer: standard input was all, and it ended.
    fn ended(&self) -> bool {
        self.directories.is_none() && self.listed.is_empty() && self.lines.is_none()
    }

    /// Files that are perhaps still written.
    fn waiting(&self) -> usize {
        self.directories.as_ref().map_or(0, Arrivals::waiting)
    }

    /// Files that are whole now. Waits up to `patience` for one.
    async fn next(
        &mut self,
        repository: &Repository,
        patience: Duration,
        options: &WatchOptions,
    ) -> Result<Vec<Ready>> {
        if !self.listed.is_empty() && Instant::now() >= self.list_at {
            // First, so that a place that cannot be listed is not tried again at once.
            self.list_at = Instant::now() + options.interval;
            let found = self.list(repository).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let patience = match self.listed.is_empty() {
            true => patience,
            false => patience.min(self.list_at.saturating_duration_since(Instant::now())),
        };
        let lines = self.lines.as_mut();
        let arrived = async {
            match &mut self.directories {
                Some(arrivals) => arrivals.next(patience).await,
                None => {
                    tokio::time::sleep(patience).await;
                    Vec::new()
                }
            }
        };
        let line = async {
            match lines {
                Some(lines) => lines.recv().await,
                None => std::future::pending().await,
            }
        };
        let line = tokio::select! {
            biased;
            line = line => line,
            arrived = arrived => {
                let mut ready = Vec::with_capacity(arrived.len());
                for arrival in arrived {
                    let path = arrival.path.display().to_string();
                    ready.extend(found(repository, &path, arrival.noticed).await?);
                }
                return Ok(ready);
            }
        };
        match line {
            Some(line) => {
                let mut ready = Vec::new();
                for source in sources_of(&line) {
                    ready.extend(found(repository, &source, Instant::now()).await?);
                }
                Ok(ready)
            }
            None => {
                self.lines = None;
                Ok(Vec::new())
            }
        }
    }

    /// Files of prefixes, globs and patterns that are new, or others than before. Objects become visible when they are
    /// whole; a local file of a glob is taken when it is listed twice as the same.
    async fn list(&mut self, repository: &Repository) -> Result<Vec<Ready>> {
        let mut ready = Vec::new();
        let noticed = Instant::now();
        for place in &self.listed {
            let expanded = match source::find(
                std::slice::from_ref(place),
                repository.access().remote(),
                &PatternValues::default(),
            )
            .await
            {
                Ok(expanded) => expanded,
                // Nothing has arrived yet.
                Err(Error::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            for file in expanded.files {
                let version = match file.path() {
                    Some(path) => std::fs::metadata(path).ok().map(|metadata| {
                        let now = crate::read::Fingerprint::of(&metadata);
                        ObjectInfo { size: now.size, etag: None, modified_ns: now.mtime_ns }
                    }),
                    None => file.listed.clone(),
                };
                let known = self.versions.insert(file.location.clone(), version.clone());
                if known.is_none_or(|known| known != version) {
                    ready.push(Ready { file, since: noticed });
                }
            }
        }
        Ok(ready)
    }
}

/// A named file, as the sources see it. One that is gone again, or not there yet, is nobody's.
async fn found(repository: &Repository, name: &str, since: Instant) -> Result<Vec<Ready>> {
    let found = source::find(&[name.to_string()], repository.access().remote(), &PatternValues::default()).await;
    match found {
        Ok(expanded) => Ok(expanded.files.into_iter().map(|file| Ready { file, since }).collect()),
        Err(Error::NotFound { .. }) => Ok(Vec::new()),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn standard_input() -> Receiver<String> {
    let (sender, receiver) = channel(1024);
    // A thread of its own: a read of a terminal cannot be called off.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The files that a line of standard input names: a path or URL, or a notification of S3 (also through SQS and SNS) or of
/// Azure's Event Grid as JSON on one line.
fn sources_of(line: &str) -> Vec<String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Vec::new();
    }
    if !line.starts_with(['{', '[']) {
        return vec![line.to_string()];
    }
    let mut sources = BTreeMap::new();
    if let Ok(value) = serde_json::from_str(line) {
        notification(&value, 0, &mut sources);
    }
    sources.into_values().collect()
}

fn notification(value: &serde_json::Value, depth: usize, sources: &mut BTreeMap<usize, String>) {
    // SNS and SQS put the notification as text into another; nobody does so more than a few times.
    if depth > 4 {
        return;
    }
    let text = |value: &serde_json::Value| value.as_str().map(String::from);
    for event in value.as_array().into_iter().flatten() {
        notification(event, depth + 1, sources);
    }
    for record in value["Records"].as_array().into_iter().flatten() {
        let created = record["eventName"].as_str().is_none_or(|name| name.contains("ObjectCreated"));
        let (bucket, key) = (&record["s3"]["bucket"]["name"], &record["s3"]["object"]["key"]);
        if let (true, Some(bucket), Some(key)) = (created, bucket.as_str(), key.as_str()) {
            // Keys are encoded as in a query.
            let key = key.replace('+', " ");
            let key = percent_encoding::percent_decode_str(&key).decode_utf8_lossy();
            sources.insert(sources.len(), format!("s3://{bucket}/{key}"));
        }
        if let Some(body) = text(&record["body"]).or_else(|| text(&record["Sns"]["Message"])) {
            inner(&body, depth, sources);
        }
    }
    for key in ["Message", "Body", "body"] {
        if let Some(body) = value[key].as_str() {
            inner(body, depth, sources);
        }
    }
    let created = value["eventType"].as_str().or(value["type"].as_str()).is_some_and(|t| t.ends_with("BlobCreated"));
    if let (true, Some(url)) = (created, value["data"]["url"].as_str()) {
        sources.insert(sources.len(), url.to_string());
    }
}

fn inner(body: &str, depth: usize, sources: &mut BTreeMap<usize, String>) {
    if let Ok(value) = serde_json::from_str(body) {
        notification(&value, depth + 1, sources);
    }
}

#[cfg(test)]
mod tests {
    use super::sources_of;

    #[test]
    fn lines_of_standard_input() {
        assert_eq!(sources_of(" /data/a.grib2 "), ["/data/a.grib2"]);
        assert!(sources_of("# nothing").is_empty() && sources_of("{broken").is_empty());
        let record = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"run/a+b%3D1.grib2"}}}]}"#;
        assert_eq!(sources_of(record), ["s3://b/run/a b=1.grib2"]);
        let removed = record.replace("ObjectCreated:Put", "ObjectRemoved:Delete");
        assert!(sources_of(&removed).is_empty());
        let queued = serde_json::json!({"Body": serde_json::json!({"Message": record}).to_string()}).to_string();
        assert_eq!(sources_of(&queued), ["s3://b/run/a b=1.grib2"]);
        let blob = r#"[{"eventType":"Microsoft.Storage.BlobCreated","data":{"url":"https://a.blob.core.windows.net/c/f.grib2"}}]"#;
        assert_eq!(sources_of(blob), ["https://a.blob.core.windows.net/c/f.grib2"]);
        let nested = "[".repeat(2000);
        assert!(sources_of(&nested).is_empty());
    }
}
