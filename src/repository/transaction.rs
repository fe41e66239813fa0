//! A transaction: chunk changes that become visible together, or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use icechunk::Store;
use icechunk::conflicts::ConflictSolver;
use icechunk::conflicts::basic_solver::{BasicConflictSolver, VersionSelection};
use icechunk::conflicts::detector::ConflictDetector;
use icechunk::format::manifest::{ChunkPayload, VirtualChunkRef};
use icechunk::format::{ChunkIndices, SnapshotId};
use icechunk::session::{Session, SessionErrorKind};
use tokio::sync::RwLock;

use crate::cube::extend::Extension;
use crate::cube::layout::Layout;
use crate::cube::metadata::{self, GrownNode};
use crate::cube::place::Slot;
use crate::error::{Error, Result};

use super::ledger::{self, FileRecord};
use super::nodes;

/// What happens when two files bring a field for the same slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Conflict {
    /// The newer one stays.
    #[default]
    Replace,
    /// The one that is there stays.
    Keep,
    /// The newer one is refused, and reported.
    Fail,
}

/// How often a commit is tried again when other writers were faster.
const REBASE_ATTEMPTS: u16 = 200;

/// One Icechunk session of a branch.
pub struct Transaction {
    session: Arc<RwLock<Session>>,
    branch: String,
    layout: Arc<Layout>,
    metadata_changed: bool,
}

impl Transaction {
    pub(super) async fn new(session: Session, branch: &str) -> Result<Self> {
        let layout = Arc::new(nodes::read_layout(&session).await?);
        Ok(Self { session: Arc::new(RwLock::new(session)), branch: branch.into(), layout, metadata_changed: false })
    }

    /// The layout as this transaction sees it.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The Icechunk session, for the store adapters.
    pub fn session(&self) -> &Arc<RwLock<Session>> {
        &self.session
    }

    /// Writes a layout into a repository that has none, or adds groups that are new.
    pub async fn create_layout(&mut self, layout: &Layout) -> Result<()> {
        if self.layout.home.is_some() {
            return Err(Error::AlreadyExists {
                what: "a cube in this repository".into(),
                remedy: "use `allocate` to add times, or another repository for another cube".into(),
            });
        }
        let mut session = self.session.write().await;
        nodes::write_nodes(&mut session, metadata::nodes(layout)?).await?;
        nodes::write_nodes(&mut session, ledger::nodes()).await?;
        drop(session);
        self.layout = Arc::new(layout.clone());
        self.metadata_changed = true;
        Ok(())
    }

    /// Adds reference times to every group. Times that are there already stay where they are; slots never move.
    pub async fn allocate_times(&mut self, times: &[i64]) -> Result<Extension> {
        let (layout, extension) = self.layout.with_times(times);
        self.grow(layout, &extension).await?;
        Ok(extension)
    }

    /// Adds everything that another layout has besides: times, steps, members, levels, variables, groups.
    pub async fn extend(&mut self, other: &Layout) -> Result<Extension> {
        let (layout, extension) = self.layout.extended(other);
        self.grow(layout, &extension).await?;
        Ok(extension)
    }

    async fn grow(&mut self, layout: Layout, extension: &Extension) -> Result<()> {
        if self.layout.home.is_none() {
            return Err(Error::not_found("a cube in this repository", "make one with `gribchunk init`"));
        }
        if extension.is_empty() {
            return Ok(());
        }
        let mut session = self.session.write().await;
        let mut nodes = Vec::new();
        for GrownNode { mut node, exists } in metadata::grown_nodes(&self.layout, &layout)? {
            if exists && let Some((_, existing)) = nodes::node(&session, &node.path).await? {
                keep_existing(&mut node, existing);
            }
            nodes.push(node);
        }
        nodes::write_nodes(&mut session, nodes).await?;
        drop(session);
        self.layout = Arc::new(layout);
        self.metadata_changed = true;
        Ok(())
    }

    /// Gives fully materialised arrays standard codecs: the inner chain of ours. See [`super::Repository::finalise`].
    pub(super) async fn set_standard_codecs(&mut self, arrays: &[String]) -> Result<()> {
        let mut layout = (*self.layout).clone();
        let mut session = self.session.write().await;
        for array in arrays {
            let (path, name) = array.rsplit_once('/').unwrap_or(("", array));
            let missing = || Error::not_found(format!("the array /{array}"), "see `gribchunk show`");
            let variable = layout.groups.get_mut(path).and_then(|g| g.variables.get_mut(name)).ok_or_else(missing)?;
            variable.finalised = true;
            let (_, mut group) = nodes::node(&session, path).await?.ok_or_else(missing)?;
            if let Some(stored) =
                group.pointer_mut("/attributes/gribchunk/group/variables").and_then(|v| v.get_mut(name))
            {
                stored["finalised"] = serde_json::json!(true);
            }
            let (_, mut document) = nodes::node(&session, array).await?.ok_or_else(missing)?;
            let inner = document.pointer("/codecs/0/configuration/codecs").cloned();
            document["codecs"] = inner.unwrap_or_else(metadata::default_inner_codecs);
            let numbers = |value: &serde_json::Value| -> Vec<u64> {
                value.as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect()
            };
            let names = document["dimension_names"].as_array().into_iter().flatten();
            let names = names.map(|n| n.as_str().unwrap_or_default().to_string()).collect();
            let chunk = numbers(&document["chunk_grid"]["configuration"]["chunk_shape"]);
            let shape = (numbers(&document["shape"]), chunk, names);
            let nodes = vec![
                metadata::Node { path: path.into(), metadata: group, array: None, values: None },
                metadata::Node { path: array.clone(), metadata: document, array: Some(shape), values: None },
            ];
            nodes::write_nodes(&mut session, nodes).await?;
        }
        drop(session);
        self.layout = Arc::new(layout);
        self.metadata_changed = true;
        Ok(())
    }

    /// What a slot's chunk is now; `None` for a missing one.
    pub async fn chunk(&self, slot: &Slot) -> Result<Option<ChunkPayload>> {
        let index = self.chunk_indices(slot)?;
        let session = self.session.read().await;
        session
            .get_chunk_ref(&nodes::node_path(&slot.array)?, &index)
            .await
            .map_err(Error::repository(format!("reading the chunk reference of {slot}")))
    }

    /// Points slots of one array at messages.
    pub async fn set_virtual(&mut self, array: &str, references: Vec<(Slot, VirtualChunkRef)>) -> Result<()> {
        let context = format!("setting references of /{array}");
        if self.layout.variable(array).is_some_and(|(_, variable)| variable.finalised) {
            return Err(Error::invalid(
                format!("virtual chunks in /{array}, which was finalised"),
                "its codecs are standard ones: materialise the fields",
            ));
        }
        let references: Vec<(ChunkIndices, VirtualChunkRef)> = references
            .into_iter()
            .map(|(slot, reference)| Ok((self.chunk_indices(&slot)?, reference)))
            .collect::<Result<_>>()?;
        let store = Store::from_session(Arc::clone(&self.session)).await;
        let result = store
            .set_virtual_refs(&nodes::node_path(array)?, true, references)
            .await
            .map_err(Error::repository(context.clone()))?;
        match result {
            icechunk::store::SetVirtualRefsResult::Done => Ok(()),
            icechunk::store::SetVirtualRefsResult::FailedRefs(failed) => Err(Error::invalid(
                format!("{context}: {} lie outside every virtual chunk container", failed.len()),
                "call Repository::add_source with their directory first",
            )),
        }
    }

    /// Uploads an encoded chunk. It belongs to the repository when [`Transaction::set_stored`] has put it into a slot
    /// and the transaction is committed.
    pub async fn upload(&self, slot: &Slot, encoded: Bytes) -> Result<ChunkPayload> {
        let context = format!("storing {slot}");
        let writer = {
            let session = self.session.read().await;
            let index = self.chunk_indices(slot)?;
            session
                .get_chunk_writer(&nodes::node_path(&slot.array)?, &index)
                .map_err(Error::repository(context.clone()))?
        };
        writer(encoded).await.map_err(Error::repository(context))
    }

    /// Puts an uploaded chunk into its slot; `None` makes the slot missing again.
    pub async fn set_stored(&mut self, slot: &Slot, payload: Option<ChunkPayload>) -> Result<()> {
        let index = self.chunk_indices(slot)?;
        let path = nodes::node_path(&slot.array)?;
        let mut session = self.session.write().await;
        session.set_chunk_ref(path, index, payload).await.map_err(Error::repository(format!("setting {slot}")))
    }

    /// The ledger record of a file that was recorded under the same URL.
    pub async fn file_record(&self, url: &str, first_time: Option<i64>) -> Result<Option<FileRecord>> {
        let session = self.session.read().await;
        let records = ledger::read(&session, ledger::element(url, first_time)).await?;
        Ok(records.into_iter().find(|r| r.url == url))
    }

    /// Records what a file brought, replacing an earlier record of its URL. Returns the element.
    pub async fn record_file(&mut self, mut record: FileRecord, first_time: Option<i64>) -> Result<[u32; 2]> {
        record.bound();
        let element = ledger::element(&record.url, first_time);
        let mut session = self.session.write().await;
        let mut records = ledger::read(&session, element).await?;
        records.retain(|r| r.url != record.url);
        records.push(record);
        ledger::write(&mut session, element, &records).await?;
        Ok(element)
    }

    /// Drops the record of a time when nothing of a file could be read: it is kept under no reference time.
    pub async fn forget_bad_file(&mut self, url: &str) -> Result<()> {
        let element = ledger::element(url, None);
        let mut session = self.session.write().await;
        let mut records = ledger::read(&session, element).await?;
        let before = records.len();
        records.retain(|r| r.url != url);
        if records.len() == before { Ok(()) } else { ledger::write(&mut session, element, &records).await }
    }

    /// Whether anything would be committed.
    pub async fn has_changes(&self) -> bool {
        self.session.read().await.has_uncommitted_changes()
    }

    /// Commits. Other writers' changes to other chunks are taken in; the same chunk changed twice is decided by
    /// `conflict`; a change of metadata under our feet is [`Error::Conflict`], to be done again on a new transaction.
    pub async fn commit(
        self,
        message: &str,
        changes: BTreeMap<String, serde_json::Value>,
        conflict: Conflict,
    ) -> Result<SnapshotId> {
        let mut session = self.session.write().await;
        // What was written through a store may have changed metadata too.
        let metadata_changed = self.metadata_changed || changes_metadata(&session).await?;
        let solver: Box<dyn ConflictSolver + Send + Sync> = match conflict {
            Conflict::Replace => Box::new(solver(VersionSelection::UseOurs)),
            Conflict::Keep => Box::new(solver(VersionSelection::UseTheirs)),
            Conflict::Fail => Box::new(ConflictDetector),
        };
        let properties = [("gribchunk".to_string(), serde_json::Value::Object(changes.into_iter().collect()))];
        let builder = session.commit(message).properties(properties.into());
        // Metadata changes are never rebased: Icechunk would let them pass over another writer's new chunks.
        let result = if metadata_changed {
            builder.execute().await
        } else {
            builder.rebase(&*solver, REBASE_ATTEMPTS).execute().await
        };
        result.map_err(|error| match &error.kind {
            SessionErrorKind::Conflict { .. } | SessionErrorKind::RebaseFailed { .. } => Error::Conflict {
                what: format!("another writer changed the same part of {}: {error}", self.branch),
                remedy: "do it again on the new state".into(),
            },
            _ => Error::repository(format!("committing to {}", self.branch))(error),
        })
    }

    /// A slot's chunk index: its own indices, then 0 for the spatial dimensions.
    fn chunk_indices(&self, slot: &Slot) -> Result<ChunkIndices> {
        let Some((group, _)) = self.layout.variable(&slot.array) else {
            return Err(Error::not_found(format!("the array /{}", slot.array), "see `gribchunk show`"));
        };
        let mut index = slot.index.clone();
        index.extend(std::iter::repeat_n(0, group.grid_dimensions.len()));
        Ok(ChunkIndices(index))
    }
}

/// Whether a session changed more than chunks.
async fn changes_metadata(session: &Session) -> Result<bool> {
    let changed = session.status().await.map_err(Error::repository("reading the changes of a transaction"))?;
    let nodes = [
        &changed.new_groups,
        &changed.new_arrays,
        &changed.deleted_groups,
        &changed.deleted_arrays,
        &changed.updated_groups,
        &changed.updated_arrays,
    ];
    Ok(nodes.iter().any(|paths| !paths.is_empty()) || !changed.moved_nodes.is_empty())
}

/// Takes over what stands in an existing `zarr.json`, other people's attributes included, but for what grew.
fn keep_existing(node: &mut metadata::Node, existing: serde_json::Value) {
    let mut grown = std::mem::replace(&mut node.metadata, existing);
    let Some((shape, chunk, _)) = &mut node.array else {
        node.metadata["attributes"]["gribchunk"] = grown["attributes"]["gribchunk"].take();
        return;
    };
    if node.values.is_some() {
        node.metadata["shape"] = grown["shape"].take();
        node.metadata["chunk_grid"] = grown["chunk_grid"].take();
        return;
    }
    let stored = node.metadata["chunk_grid"]["configuration"]["chunk_shape"].as_array();
    *chunk = stored.into_iter().flatten().filter_map(serde_json::Value::as_u64).collect();
    node.metadata["shape"] = serde_json::json!(shape);
}

fn solver(on_chunk_conflict: VersionSelection) -> BasicConflictSolver {
    BasicConflictSolver { on_chunk_conflict, ..Default::default() }
}
