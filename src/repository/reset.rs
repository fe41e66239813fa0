//! Pointing the branch to another snapshot.

use std::collections::HashSet;

use icechunk::repository::RepositoryErrorKind;
use serde::Serialize;

use crate::error::{Error, Result};

use super::{LogEntry, Reference, Repository};

/// How the branch may move.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ResetOptions {
    /// To a snapshot that is not in the branch's history too.
    pub force: bool,
}

impl ResetOptions {
    /// To a snapshot that is not in the branch's history too.
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }
}

/// Where a branch pointed, where it points now, and what is no longer in its history.
#[derive(Debug, Clone, Serialize)]
pub struct ResetReport {
    /// The branch that moved.
    pub branch: String,
    /// The snapshot before: with it the reset can be undone until garbage is collected.
    pub from: String,
    /// The snapshot now.
    pub to: String,
    /// Commits that the branch no longer holds, newest first.
    pub undone: Vec<LogEntry>,
}

impl Repository {
    /// Points `main` to an earlier snapshot again. Nothing is deleted: the commits that are undone stay until garbage is
    /// collected, and readers that hold them are not disturbed. Files that they brought can be ingested again.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the snapshot is not in the history of `main`, unless [`ResetOptions::force`];
    /// [`Error::Conflict`] when somebody committed meanwhile.
    pub async fn reset(&self, to: &Reference, options: &ResetOptions) -> Result<ResetReport> {
        let branch = "main";
        let repository = self.icechunk().await;
        let from =
            repository.lookup_branch(branch).await.map_err(Error::repository(format!("reading branch {branch}")))?;
        let target = self.snapshot_id(to).await?;
        let at = |id: &icechunk::format::SnapshotId| Reference::Named(id.to_string());
        let kept: HashSet<String> = self.log(&at(&target), usize::MAX).await?.into_iter().map(|e| e.id).collect();
        let history = self.log(&at(&from), usize::MAX).await?;
        let is_ancestor = history.iter().any(|entry| entry.id == target.to_string());
        let undone: Vec<LogEntry> = history.into_iter().take_while(|entry| !kept.contains(&entry.id)).collect();
        if !is_ancestor && !options.force {
            return Err(Error::invalid(
                format!("{to} ({target}) is not in the history of {branch} ({from})"),
                "name a snapshot that `gribchunk log` lists, or use --force to leave this history",
            ));
        }
        if from != target {
            repository.reset_branch(branch, &target, Some(&from)).await.map_err(|error| match &error.kind {
                RepositoryErrorKind::Conflict { .. } => Error::Conflict {
                    what: format!("somebody committed to {branch} meanwhile"),
                    remedy: "look at `gribchunk log` and reset again".into(),
                },
                _ => Error::repository(format!("resetting {branch} of {}", self.location))(error),
            })?;
        }
        Ok(ResetReport { branch: branch.into(), from: from.to_string(), to: target.to_string(), undone })
    }
}
