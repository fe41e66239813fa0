//! New snapshots of a branch, one after the other, with what each changed; and waiting for a selection to be complete.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::inspect::{Diff, coverage, diff_snapshots};
use crate::read::Snapshot;
use crate::repository::{LogEntry, Reference, Repository};
use crate::selection::Selection;

/// How often a branch on a local disk is looked at.
const POLL_LOCAL: Duration = Duration::from_millis(10);
/// How often a branch elsewhere is looked at.
const POLL_REMOTE: Duration = Duration::from_millis(500);
/// Commits that are looked up at a time. Who is further behind gets the difference to the last of them as one change.
const MOST_BEHIND: usize = 20_000;

/// One commit, as its followers see it.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The snapshot: its id, time and message.
    #[serde(flatten)]
    pub entry: LogEntry,
    /// True when it is not the commit after the one that was reported last: history was reset or expired, or the follower
    /// fell too far behind. The difference is that of all commits between.
    pub gap: bool,
    /// What changed, in coordinates.
    pub diff: Diff,
}

/// Follows a branch: every commit is reported, in order, none twice.
#[derive(Debug)]
pub struct Follower {
    repository: Repository,
    branch: Reference,
    /// The snapshot that was reported last.
    last: Snapshot,
    waiting: VecDeque<(LogEntry, bool)>,
    poll: Duration,
}

impl Repository {
    /// Follows a branch from its current snapshot on.
    ///
    /// # Errors
    /// When the branch is not there.
    pub async fn follow(&self, branch: &str) -> Result<Follower> {
        self.follow_since(branch, &Reference::from(branch)).await
    }

    /// Follows a branch from a snapshot on: what was committed after it is reported first.
    ///
    /// # Errors
    /// When the branch or the snapshot is not there.
    pub async fn follow_since(&self, branch: &str, since: &Reference) -> Result<Follower> {
        let branch = Reference::Named(branch.to_string());
        self.snapshot_id(&branch).await?;
        let last = self.snapshot(since).await?;
        let poll = if self.path().is_some() { POLL_LOCAL } else { POLL_REMOTE };
        Ok(Follower { repository: self.clone(), branch, last, waiting: VecDeque::new(), poll })
    }

    /// The first snapshot of `main`, the current one included, in which every expected slot of a selection has arrived.
    /// The snapshots are looked at in their order; `latest` means the last reference time that the snapshot has.
    ///
    /// # Errors
    /// [`Error::TimedOut`] after `timeout`, with how much is missing; when the selection takes nothing that the cube of
    /// the last snapshot has.
    pub async fn wait_for(&self, selection: &Selection, timeout: Option<Duration>) -> Result<Snapshot> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut follower = self.follow("main").await?;
        loop {
            // A selection may take nothing yet: its time may still be allocated.
            let missing = match coverage(&follower.last, Some(selection)).await {
                Ok(coverage) if coverage.total.expected > 0 && coverage.total.is_complete() => return Ok(follower.last),
                Ok(coverage) => Ok(coverage.total),
                Err(error) => Err(error),
            };
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if follower.next_snapshot(left).await?.is_none() {
                let counts = missing?;
                let arrived = counts.virtual_ + counts.materialised;
                let what = match counts.expected {
                    0 => format!("waiting for {selection}: no slot of the cube is expected there"),
                    expected => format!(
                        "waiting for {selection}: {arrived} of {expected} slots arrived, {} are missing, {} failed",
                        counts.missing, counts.failed
                    ),
                };
                return Err(Error::TimedOut { what, remedy: "see `gribchunk coverage`, or wait longer".into() });
            }
        }
    }
}

impl Follower {
    /// Sets how often the branch is looked at: every 10 ms on a local disk, twice a second elsewhere.
    #[must_use]
    pub fn poll_every(mut self, interval: Duration) -> Self {
        self.poll = interval.max(Duration::from_millis(1));
        self
    }

    /// The snapshot that was reported last; before the first, the one that following began with.
    pub fn snapshot(&self) -> &Snapshot {
        &self.last
    }

    /// The next commit; `None` when there was none within `timeout`. Waits for ever without one.
    ///
    /// # Errors
    /// When the branch cannot be read. The next call tries again; nothing is skipped.
    pub async fn next(&mut self, timeout: Option<Duration>) -> Result<Option<Change>> {
        let Some((entry, gap)) = self.wait(timeout).await? else { return Ok(None) };
        let to = self.repository.snapshot(&Reference::Named(entry.id.clone())).await?;
        let diff = diff_snapshots(&self.repository, &self.last, &to).await?;
        self.last = to;
        self.waiting.pop_front();
        Ok(Some(Change { entry, gap, diff }))
    }

    /// As [`Follower::next`], without looking at what changed.
    async fn next_snapshot(&mut self, timeout: Option<Duration>) -> Result<Option<()>> {
        let Some((entry, _)) = self.wait(timeout).await? else { return Ok(None) };
        self.last = self.repository.snapshot(&Reference::Named(entry.id)).await?;
        self.waiting.pop_front();
        Ok(Some(()))
    }

    /// The first commit that was not reported; it stays in front of the queue until it was.
    async fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<(LogEntry, bool)>> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if let Some(first) = self.waiting.front() {
                return Ok(Some(first.clone()));
            }
            let head = self.repository.snapshot_id(&self.branch).await?.to_string();
            if head != self.last.id() {
                self.queue(&head).await?;
                continue;
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(None);
            }
            let pause = deadline.map_or(self.poll, |deadline| self.poll.min(deadline - now));
            tokio::time::sleep(pause).await;
        }
    }

    /// Queues the commits between the last one that was reported and `head`.
    async fn queue(&mut self, head: &str) -> Result<()> {
        let head = Reference::Named(head.to_string());
        let last = self.last.id();
        // Most often there is one.
        let mut limit = 8;
        loop {
            let mut entries = self.repository.log(&head, limit).await?;
            if let Some(known) = entries.iter().position(|entry| entry.id == last) {
                entries.truncate(known);
                self.waiting.extend(entries.into_iter().rev().map(|entry| (entry, false)));
                return Ok(());
            }
            if entries.len() < limit || limit >= MOST_BEHIND {
                self.waiting.extend(entries.into_iter().next().map(|entry| (entry, true)));
                return Ok(());
            }
            limit = MOST_BEHIND.min(limit * 16);
        }
    }
}
