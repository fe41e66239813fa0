//! Branches, tags, snapshots and what each commit did.

use std::fmt;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use icechunk::format::SnapshotId;
use icechunk::repository::VersionInfo;
use serde::Serialize;

use crate::error::{Error, Result};

/// Which snapshot: a branch, a tag, a snapshot id, or a moment on the main branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A branch, tag or snapshot id, looked up in that order.
    Named(String),
    /// The last snapshot of `main` at or before this moment.
    Moment(DateTime<Utc>),
}

impl Default for Reference {
    fn default() -> Self {
        Self::Named("main".into())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Moment(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.3fZ")),
        }
    }
}

impl From<&str> for Reference {
    /// A date-time (`2026-11-21T06:00:00Z`) is a moment, everything else a name.
    fn from(text: &str) -> Self {
        let precise = DateTime::parse_from_rfc3339(text).ok().map(|t| t.with_timezone(&Utc));
        let looks_like_a_time = text.len() >= 10 && text.as_bytes().get(4) == Some(&b'-');
        let moment = precise.or_else(|| {
            looks_like_a_time.then(|| crate::time::parse(text)).flatten().and_then(|s| DateTime::from_timestamp(s, 0))
        });
        moment.map_or_else(|| Self::Named(text.to_string()), Self::Moment)
    }
}

/// One snapshot of a history.
#[derive(Debug, Clone, Serialize)]
pub struct LogEntry {
    /// Snapshot id.
    pub id: String,
    /// Id of the snapshot before; `None` for the first.
    pub parent: Option<String>,
    /// When it was committed, RFC 3339.
    pub time: String,
    /// One line.
    pub message: String,
    /// Counts of what the commit did; empty for commits of other programs.
    #[serde(flatten)]
    pub changes: serde_json::Map<String, serde_json::Value>,
}

pub(super) async fn resolve(repository: &icechunk::Repository, at: &Reference, location: &str) -> Result<VersionInfo> {
    let name = match at {
        Reference::Moment(at) => {
            let version = VersionInfo::AsOf { branch: "main".into(), at: *at };
            let id = repository.resolve_version(&version).await.map_err(|_| {
                Error::not_found(
                    format!("a snapshot of main at or before {}", Reference::Moment(*at)),
                    "see `gribchunk log`",
                )
            })?;
            return Ok(VersionInfo::SnapshotId(id));
        }
        Reference::Named(name) => name,
    };
    let branches = repository.list_branches().await.map_err(Error::repository("listing branches"))?;
    if branches.contains(name) {
        let id = repository.lookup_branch(name).await.map_err(Error::repository(format!("reading branch {name}")))?;
        return Ok(VersionInfo::SnapshotId(id));
    }
    let tags = repository.list_tags().await.map_err(Error::repository("listing tags"))?;
    if tags.contains(name) {
        return Ok(VersionInfo::TagRef(name.clone()));
    }
    if let Ok(id) = SnapshotId::try_from(name.as_str())
        && repository.lookup_snapshot(&id).await.is_ok()
    {
        return Ok(VersionInfo::SnapshotId(id));
    }
    let known: Vec<&str> = branches.iter().chain(&tags).map(String::as_str).collect();
    Err(Error::not_found(
        format!("branch, tag or snapshot {name:?} in {location}"),
        format!("there are {}, and the snapshots that `gribchunk log` lists", known.join(", ")),
    ))
}

pub(super) async fn log(
    repository: &icechunk::Repository,
    version: &VersionInfo,
    limit: usize,
) -> Result<Vec<LogEntry>> {
    let ancestry = repository.ancestry(version).await.map_err(Error::repository("reading the history"))?;
    let mut ancestry = std::pin::pin!(ancestry);
    let mut entries = Vec::new();
    while entries.len() < limit {
        let next = ancestry.try_next().await.map_err(Error::repository("reading the history"))?;
        let Some(info) = next else { break };
        let changes = match info.metadata.get("gribchunk") {
            Some(serde_json::Value::Object(changes)) => changes.clone(),
            _ => serde_json::Map::new(),
        };
        entries.push(LogEntry {
            id: info.id.to_string(),
            parent: info.parent_id.map(|id| id.to_string()),
            time: info.flushed_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            message: info.message,
            changes,
        });
    }
    Ok(entries)
}
