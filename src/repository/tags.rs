//! Tags: names of snapshots that never move.

use icechunk::refs::RefErrorKind;
use icechunk::repository::RepositoryErrorKind;
use icechunk::repository::VersionInfo;
use serde::Serialize;

use crate::error::{Error, Result};

use super::{Reference, Repository};

/// A tag that was made.
#[derive(Debug, Clone, Serialize)]
pub struct TagReport {
    /// Its name.
    pub tag: String,
    /// The snapshot that it names.
    pub snapshot: String,
}

impl Repository {
    /// Gives a snapshot a name that never moves. What it holds survives expiry.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when a tag has or had the name (Icechunk never gives a deleted tag's name again);
    /// [`Error::Invalid`] for a name that would be read as something else: a branch, a snapshot id or a date-time.
    pub async fn tag(&self, name: &str, at: &Reference) -> Result<TagReport> {
        let repository = self.icechunk().await;
        self.check_tag_name(name).await?;
        let id = self.snapshot_id(at).await?;
        repository.create_tag(name, &id).await.map_err(|error| match &error.kind {
            RepositoryErrorKind::Ref(RefErrorKind::TagAlreadyExists(_)) => taken(name),
            _ => Error::repository(format!("making the tag {name} in {}", self.location))(error),
        })?;
        Ok(TagReport { tag: name.to_string(), snapshot: id.to_string() })
    }

    async fn check_tag_name(&self, name: &str) -> Result<()> {
        let invalid = |why: &str| Err(Error::invalid(format!("the tag name {name:?}"), why));
        if name.trim().is_empty() || name.contains('/') || name.chars().any(char::is_control) {
            return invalid("a name needs letters or digits, and no /");
        }
        if matches!(Reference::from(name), Reference::Moment(_)) {
            return invalid("it would be read as a moment of the history: put a word before it");
        }
        if icechunk::format::SnapshotId::try_from(name).is_ok() {
            return invalid("it would be read as a snapshot id");
        }
        let repository = self.icechunk().await;
        let branches = repository.list_branches().await.map_err(Error::repository("listing branches"))?;
        if branches.contains(name) {
            return invalid("there is a branch of this name, which would be found first");
        }
        if repository.resolve_version(&VersionInfo::TagRef(name.to_string())).await.is_ok() {
            return Err(taken(name));
        }
        Ok(())
    }
}

fn taken(name: &str) -> Error {
    Error::AlreadyExists {
        what: format!("the tag {name}"),
        remedy: "tags never move, and the name of a deleted one is not given again: choose another name".into(),
    }
}
