//! Forks of a transaction: several processes write chunks, and one of them commits.
//!
//! What travels is ours: a snapshot id to the workers, and references to chunks back. An Icechunk session that is serialised
//! would hold credentials; workers open the repository with their own.

use std::collections::HashMap;
use std::sync::Arc;

use icechunk::format::manifest::ChunkPayload;
use icechunk::format::{ChunkIndices, SnapshotId};
use icechunk::session::Session;
use icechunk::virtual_chunks::VirtualChunkResolver;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::read::Snapshot;

use super::{Repository, Transaction, nodes};

/// The version of [`Changes`]: workers and the process that merges need the same.
const VERSION: u32 = 1;

/// Chunks that a fork set or erased.
#[derive(Debug, Serialize, Deserialize)]
struct Changes {
    version: u32,
    /// The snapshot that the fork began with.
    base: String,
    /// Path of an array, index of a chunk, and what it is now: `None` when it was erased.
    chunks: Vec<(String, Vec<u32>, Option<ChunkPayload>)>,
}

impl Transaction {
    /// A snapshot that holds what this transaction has so far, for [`Repository::fork`]. Nobody sees it on a branch.
    pub async fn fork_point(&self) -> Result<String> {
        let session = self.session().read().await;
        let fork = session.fork().await.map_err(Error::repository("forking a transaction"))?;
        Ok(fork.snapshot_id().to_string())
    }

    /// What this fork changed, for [`Transaction::merge`] in another process.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it changed more than chunks.
    pub async fn changes(&self) -> Result<Vec<u8>> {
        let context = "reading the changes of a fork";
        let session = self.session().read().await;
        let changed = session.status().await.map_err(Error::repository(context))?;
        if super::transaction::is_metadata_changed(&changed) {
            return Err(Error::invalid(
                "a fork that changed metadata",
                "make arrays and change their shapes and attributes in the transaction before it is forked",
            ));
        }
        let mut chunks = Vec::new();
        for (path, indices) in &changed.updated_chunks {
            for index in indices {
                let payload = session.get_chunk_ref(path, index).await.map_err(Error::repository(context))?;
                chunks.push((path.to_string(), index.0.clone(), payload));
            }
        }
        let changes = Changes { version: VERSION, base: session.snapshot_id().to_string(), chunks };
        rmp_serde::to_vec(&changes).map_err(|error| Error::invalid(format!("{context}: {error}"), "report this"))
    }

    /// Takes over what a fork changed: chunks that other forks changed too are those of the last one. Returns how many.
    ///
    /// # Errors
    /// [`Error::Invalid`] when these are not the changes of a fork.
    pub async fn merge(&self, changes: &[u8]) -> Result<usize> {
        let changes: Changes = rmp_serde::from_slice(changes)
            .map_err(|error| Error::invalid(format!("the changes of a fork: {error}"), "give what a fork returned"))?;
        if changes.version != VERSION {
            return Err(Error::invalid(
                format!("changes of version {}", changes.version),
                "use the same version of gribchunk in all processes",
            ));
        }
        let mut session = self.session().write().await;
        let count = changes.chunks.len();
        for (path, index, payload) in changes.chunks {
            let context = format!("merging chunk {index:?} of {path}");
            let node = nodes::node_path(&path)?;
            session.set_chunk_ref(node, ChunkIndices(index), payload).await.map_err(Error::repository(context))?;
        }
        Ok(count)
    }
}

impl Repository {
    /// A fork that begins with the state of [`Transaction::fork_point`], and that state to read from. It cannot be
    /// committed; its [`Transaction::changes`] are merged into the transaction that it came from.
    pub async fn fork(&self, point: &str) -> Result<(Transaction, Snapshot)> {
        let id = SnapshotId::try_from(point)
            .map_err(|why| Error::invalid(format!("fork point {point}: {why}"), "give what fork_point returned"))?;
        let repository = self.icechunk().await;
        let settings = repository.storage_settings().clone();
        // Our own reader fetches virtual chunks, Icechunk's needs no credentials.
        let resolver = Arc::new(VirtualChunkResolver::new(
            repository.config().virtual_chunk_containers().cloned().collect::<Vec<_>>().into_iter(),
            HashMap::new(),
            settings.clone(),
        ));
        let reading = Session::create_readonly_session(
            repository.config().clone(),
            settings.clone(),
            Arc::clone(repository.storage()),
            Arc::clone(repository.asset_manager()),
            Arc::clone(&resolver),
            id.clone(),
        );
        let writing = Session::create_writable_session(
            repository.config().clone(),
            settings,
            Arc::clone(repository.storage()),
            Arc::clone(repository.asset_manager()),
            resolver,
            None,
            id,
            Default::default(),
        );
        let snapshot = Snapshot::new(reading, Arc::clone(&self.access), &self.options).await?;
        Ok((Transaction::new(writing, "(fork)").await?, snapshot))
    }
}
