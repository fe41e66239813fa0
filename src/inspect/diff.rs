//! What changed between two snapshots, in coordinates.
//!
//! Where one is an ancestor of the other, the transaction logs between them name the chunks that were written, and only
//! the references of these are compared. Otherwise (after a reset, or on another branch) all references are.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use icechunk::format::manifest::ChunkPayload;
use icechunk::repository::VersionInfo;
use icechunk::session::SessionErrorKind;
use serde::Serialize;

use crate::cube::layout::{Group, Layout, Variable};
use crate::cube::place::join;
use crate::cube::ranges::{SlotRange, collapse};
use crate::error::{Error, Result};
use crate::read::Snapshot;
use crate::repository::{Reference, Repository};

/// Arrays whose references are compared at a time.
const CONCURRENT_ARRAYS: usize = 8;

/// What a slot's chunk is in one of the two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ReferenceKind {
    /// No chunk: nothing arrived.
    Missing,
    /// A message elsewhere.
    Virtual,
    /// Stored in the repository.
    Materialised,
}

impl ReferenceKind {
    fn of(payload: Option<&ChunkPayload>) -> Self {
        match payload {
            None => Self::Missing,
            Some(ChunkPayload::Virtual(_)) => Self::Virtual,
            Some(_) => Self::Materialised,
        }
    }
}

impl std::fmt::Display for ReferenceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Virtual => "virtual",
            Self::Materialised => "materialised",
        })
    }
}

/// A block of slots to which the same happened. Equal kinds before and after: the chunk was replaced by another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotChange {
    /// What the slots were.
    pub before: ReferenceKind,
    /// What they are now.
    pub after: ReferenceKind,
    /// First and last index of each dimension.
    pub range: SlotRange,
    /// The same in coordinates: `time 2026112100 step 6:48 number 3`.
    pub coordinates: String,
    /// How many slots.
    pub slots: u64,
}

/// What changed in the chunks of one array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArrayDiff {
    /// Path below `/`.
    pub array: String,
    /// Names of the dimensions of the ranges.
    pub dimensions: Vec<String>,
    /// What happened to which slots; no slot is in two of them.
    pub changes: Vec<SlotChange>,
}

/// What happened to a group or an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MetadataChangeKind {
    /// A product was added.
    NewGroup,
    /// A product is no longer there.
    RemovedGroup,
    /// An array of a cube was added.
    NewVariable,
    /// An array of a cube is no longer there.
    RemovedVariable,
    /// Reference times were allocated.
    NewTimes,
    /// Reference times are no longer there.
    RemovedTimes,
    /// Steps were added.
    NewSteps,
    /// Steps are no longer there.
    RemovedSteps,
    /// Ensemble members were added.
    NewMembers,
    /// Ensemble members are no longer there.
    RemovedMembers,
    /// Levels of a level dimension were added.
    NewLevels,
    /// Levels are no longer there.
    RemovedLevels,
    /// The variable has standard Zarr codecs now.
    Finalised,
    /// An array outside of the cube, as other programs write them.
    NewArray,
    /// An array outside of the cube is no longer there.
    RemovedArray,
    /// `zarr.json` differs in something else.
    OtherMetadata,
}

/// A change that is not one of chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetadataChange {
    /// Path of the group or array below `/`.
    pub path: String,
    /// What happened.
    pub change: MetadataChangeKind,
    /// The coordinate values that came or went.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How the changed chunks were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DiffBasis {
    /// The snapshots are the same.
    Same,
    /// From the transaction logs between the two.
    TransactionLogs,
    /// All references of both were compared.
    AllReferences,
}

/// What changed from one snapshot to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The snapshot before.
    pub from: String,
    /// The snapshot after.
    pub to: String,
    /// How the changed chunks were found.
    pub basis: DiffBasis,
    /// What happened to groups and arrays.
    pub metadata: Vec<MetadataChange>,
    /// Arrays with changed chunks, by path.
    pub arrays: Vec<ArrayDiff>,
}

impl Diff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.metadata.is_empty() && self.arrays.is_empty()
    }

    /// How many slots changed.
    pub fn slots(&self) -> u64 {
        self.arrays.iter().flat_map(|a| &a.changes).map(|c| c.slots).sum()
    }
}

/// Compares two snapshots of a repository.
///
/// # Errors
/// When a reference names nothing or the manifests cannot be read.
pub async fn diff(repository: &Repository, from: &Reference, to: &Reference) -> Result<Diff> {
    let (from, to) = (repository.snapshot(from).await?, repository.snapshot(to).await?);
    diff_snapshots(repository, &from, &to).await
}

/// [`diff`] of snapshots that are open.
pub(crate) async fn diff_snapshots(repository: &Repository, from: &Snapshot, to: &Snapshot) -> Result<Diff> {
    let mut result =
        Diff { from: from.id(), to: to.id(), basis: DiffBasis::Same, metadata: Vec::new(), arrays: Vec::new() };
    if result.from == result.to {
        return Ok(result);
    }
    let logged = logged(repository, from, to).await?;
    result.basis = if logged.is_some() { DiffBasis::TransactionLogs } else { DiffBasis::AllReferences };
    let (before, after): (BTreeSet<String>, BTreeSet<String>) =
        (from.arrays().await?.into_iter().collect(), to.arrays().await?.into_iter().collect());
    result.metadata = layout_changes(from.layout(), to.layout());
    result.metadata.extend(array_changes(from, to, &before, &after, logged.as_ref()).await?);
    let candidates: Vec<(String, Option<BTreeSet<Vec<u32>>>)> = match logged {
        Some(logged) => logged.chunks.into_iter().map(|(array, chunks)| (array, Some(chunks))).collect(),
        None => before.union(&after).map(|array| (array.clone(), None)).collect(),
    };
    // Coordinates that came or changed with the layout are said there.
    let speaks = |array: &String| {
        let in_layout = |snapshot: &Snapshot| snapshot.layout().variable(array).is_some();
        let group = array.rsplit_once('/').map_or("", |(group, _)| group);
        let of_a_cube = |snapshot: &Snapshot| snapshot.layout().groups.contains_key(group);
        in_layout(from) || in_layout(to) || !(of_a_cube(from) || of_a_cube(to))
    };
    let arrays: Vec<Option<ArrayDiff>> = futures::stream::iter(candidates)
        .filter(|(array, _)| futures::future::ready(speaks(array)))
        .map(|(array, chunks)| array_diff(from, to, array, chunks))
        .buffered(CONCURRENT_ARRAYS)
        .try_collect()
        .await?;
    result.arrays.extend(arrays.into_iter().flatten());
    Ok(result)
}

/// What the transaction logs between two snapshots name.
struct Logged {
    /// Chunk indices by path of the array below `/`.
    chunks: BTreeMap<String, BTreeSet<Vec<u32>>>,
    updated_arrays: BTreeSet<String>,
}

/// `None` when neither is an ancestor of the other.
async fn logged(repository: &Repository, from: &Snapshot, to: &Snapshot) -> Result<Option<Logged>> {
    let icechunk = repository.icechunk().await;
    let version = |snapshot: &Snapshot| VersionInfo::SnapshotId(snapshot.session().snapshot_id().clone());
    for (ancestor, descendant) in [(from, to), (to, from)] {
        match icechunk.diff(&version(ancestor), &version(descendant)).await {
            // Nodes that were moved keep their chunks under another path: the logs do not say all.
            Ok(diff) if !diff.moved_nodes.is_empty() => return Ok(None),
            Ok(diff) => {
                let name = |path: &icechunk::format::Path| path.to_string().trim_matches('/').to_string();
                let visible = |name: &String| !name.starts_with("_gribchunk");
                let chunks = diff.updated_chunks.into_iter().map(|(path, chunks)| {
                    (name(&path), chunks.into_iter().map(|c| c.0).collect::<BTreeSet<Vec<u32>>>())
                });
                return Ok(Some(Logged {
                    chunks: chunks.filter(|(array, _)| visible(array)).collect(),
                    updated_arrays: diff.updated_arrays.iter().map(name).filter(visible).collect(),
                }));
            }
            Err(error) if matches!(error.kind, SessionErrorKind::BadSnapshotChainForDiff) => {}
            Err(error) => return Err(Error::repository("reading the transaction logs")(error)),
        }
    }
    Ok(None)
}

async fn array_diff(
    from: &Snapshot,
    to: &Snapshot,
    array: String,
    chunks: Option<BTreeSet<Vec<u32>>>,
) -> Result<Option<ArrayDiff>> {
    let mut changed: BTreeMap<(ReferenceKind, ReferenceKind), Vec<Vec<u32>>> = BTreeMap::new();
    let mut compare = |index: Vec<u32>, before: Option<&ChunkPayload>, after: Option<&ChunkPayload>| {
        if before != after {
            changed.entry((ReferenceKind::of(before), ReferenceKind::of(after))).or_default().push(index);
        }
    };
    match chunks {
        Some(chunks) => {
            for index in chunks {
                let (before, after) = (payload(from, &array, &index).await?, payload(to, &array, &index).await?);
                compare(index, before.as_ref(), after.as_ref());
            }
        }
        None => {
            let (mut before, after) = (payloads(from, &array).await?, payloads(to, &array).await?);
            for (index, payload) in after {
                compare(index.clone(), before.remove(&index).as_ref(), Some(&payload));
            }
            for (index, payload) in before {
                compare(index, Some(&payload), None);
            }
        }
    }
    if changed.is_empty() {
        return Ok(None);
    }
    // Indices never change their meaning, and the later layout has all coordinates.
    let layout = if to.layout().variable(&array).is_some() { to.layout() } else { from.layout() };
    let variable = layout.variable(&array);
    let info = match to.array(&array).await {
        Ok(info) => info,
        Err(_) => from.array(&array).await?,
    };
    let dimensions = variable.map_or(info.shape.len(), |(group, variable)| group.slot_shape(variable).len());
    let mut changes = Vec::new();
    for ((before, after), mut slots) in changed {
        slots.iter_mut().for_each(|slot| slot.truncate(dimensions));
        for range in collapse(slots) {
            let coordinates = match variable {
                Some((group, variable)) => group.describe_range(variable, &range),
                None => chunk_indices(&info.dimension_names, &range),
            };
            changes.push(SlotChange { before, after, coordinates, slots: range.count(), range });
        }
    }
    changes.sort_by(|a, b| a.range.cmp(&b.range));
    let names = info.dimension_names.get(..dimensions).unwrap_or_default().to_vec();
    Ok(Some(ArrayDiff { array, dimensions: names, changes }))
}

/// For arrays whose coordinates we do not know: `x chunk 0:3`.
fn chunk_indices(names: &[String], range: &SlotRange) -> String {
    let one = |(name, (first, last)): (&String, &(u32, u32))| {
        if first == last { format!("{name} chunk {first}") } else { format!("{name} chunk {first}:{last}") }
    };
    names.iter().zip(&range.bounds).map(one).collect::<Vec<_>>().join(" ")
}

/// A chunk's reference; `None` when there is no chunk, the index lies outside, or the array is not there.
async fn payload(snapshot: &Snapshot, array: &str, index: &[u32]) -> Result<Option<ChunkPayload>> {
    let info = match snapshot.array(array).await {
        Ok(info) => info,
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let chunks = info.shape.iter().zip(&info.chunk_shape).map(|(n, c)| n.div_ceil(*c));
    if index.len() != info.shape.len() || index.iter().zip(chunks).any(|(&i, n)| u64::from(i) >= n) {
        return Ok(None);
    }
    snapshot.payload(&info, index).await
}

async fn payloads(snapshot: &Snapshot, array: &str) -> Result<BTreeMap<Vec<u32>, ChunkPayload>> {
    let info = match snapshot.array(array).await {
        Ok(info) => info,
        Err(Error::NotFound { .. }) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let session = std::sync::Arc::clone(snapshot.session());
    let chunks = session.array_chunk_iterator(&info.path).await;
    let chunks = chunks.map_err(|error| Error::repository(format!("listing the chunks of /{array}"))(error));
    chunks.map_ok(|chunk| (chunk.coord.0, chunk.payload)).try_collect().await
}

fn layout_changes(from: &Layout, to: &Layout) -> Vec<MetadataChange> {
    use MetadataChangeKind::*;
    let mut changes = Vec::new();
    let mut say = |path: &str, change, values: Vec<String>| {
        changes.push(MetadataChange { path: path.to_string(), change, values });
    };
    let paths: BTreeSet<&String> = from.groups.keys().chain(to.groups.keys()).collect();
    for path in paths {
        let (before, after) = match (from.groups.get(path), to.groups.get(path)) {
            (Some(before), Some(after)) => (before, after),
            (None, Some(after)) => {
                say(path, NewGroup, Vec::new());
                after.variables.keys().for_each(|name| say(&join(path, name), NewVariable, Vec::new()));
                continue;
            }
            _ => {
                say(path, RemovedGroup, Vec::new());
                continue;
            }
        };
        for (name, variable) in &after.variables {
            match before.variables.get(name) {
                None => say(&join(path, name), NewVariable, Vec::new()),
                Some(old) => {
                    if variable.finalised && !old.finalised {
                        say(&join(path, name), Finalised, Vec::new());
                    }
                    if layout_differs(from, to, &join(path, name)) {
                        say(&join(path, name), OtherMetadata, Vec::new());
                    }
                }
            }
        }
        let gone = before.variables.keys().filter(|name| !after.variables.contains_key(*name));
        gone.for_each(|name| say(&join(path, name), RemovedVariable, Vec::new()));
        if before.cycles != after.cycles || before.product != after.product {
            say(path, OtherMetadata, Vec::new());
        }
        for (new, removed, values) in coordinates(before, after) {
            let (came, went) = values;
            if !came.is_empty() {
                say(path, new, came);
            }
            if !went.is_empty() {
                say(path, removed, went);
            }
        }
    }
    changes
}

type CameAndWent = (Vec<String>, Vec<String>);

fn coordinates(before: &Group, after: &Group) -> Vec<(MetadataChangeKind, MetadataChangeKind, CameAndWent)> {
    use MetadataChangeKind::*;
    fn compare<T: PartialEq>(before: &[T], after: &[T], text: impl Fn(&T) -> String) -> CameAndWent {
        let only = |these: &[T], those: &[T]| these.iter().filter(|v| !those.contains(v)).map(&text).collect();
        (only(after, before), only(before, after))
    }
    let mut all = vec![
        (NewTimes, RemovedTimes, compare(&before.times, &after.times, |t| crate::time::compact(*t))),
        (NewSteps, RemovedSteps, compare(&before.steps, &after.steps, |s| crate::cube::name::duration(*s))),
        (NewMembers, RemovedMembers, compare(&before.members, &after.members, ToString::to_string)),
    ];
    let kinds: BTreeSet<&String> = before.levels.keys().chain(after.levels.keys()).collect();
    for kind in kinds {
        let of = |group: &Group| group.levels.get(kind).cloned().unwrap_or_default();
        all.push((NewLevels, RemovedLevels, compare(&of(before), &of(after), |level| format!("{kind} {level}"))));
    }
    all
}

/// Arrays outside of the layout that came or went, and metadata that differ in more than the length.
async fn array_changes(
    from: &Snapshot,
    to: &Snapshot,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
    logged: Option<&Logged>,
) -> Result<Vec<MetadataChange>> {
    use MetadataChangeKind::*;
    let mut changes = Vec::new();
    let foreign = |array: &str| {
        let group = array.rsplit_once('/').map_or("", |(group, _)| group);
        !from.layout().groups.contains_key(group) && !to.layout().groups.contains_key(group)
    };
    let change = |path: &String, change| MetadataChange { path: path.clone(), change, values: Vec::new() };
    changes.extend(after.difference(before).filter(|a| foreign(a)).map(|a| change(a, NewArray)));
    changes.extend(before.difference(after).filter(|a| foreign(a)).map(|a| change(a, RemovedArray)));
    for array in before.intersection(after) {
        if logged.is_some_and(|logged| !logged.updated_arrays.contains(array)) {
            continue;
        }
        let finalised = |snapshot: &Snapshot| snapshot.layout().variable(array).is_some_and(|(_, v)| v.finalised);
        let (old, new) = (from.array(array).await?, to.array(array).await?);
        let differs = ["attributes", "codecs", "data_type", "fill_value", "dimension_names"].iter().any(|key| {
            // Finalising is said already.
            old.metadata[key] != new.metadata[key] && !(*key == "codecs" && finalised(from) != finalised(to))
        });
        let said = layout_differs(from.layout(), to.layout(), array);
        if (differs && !said) || (foreign(array) && old.shape != new.shape) {
            changes.push(change(array, OtherMetadata));
        }
    }
    Ok(changes)
}

/// Whether [`layout_changes`] says already that a variable's metadata changed.
fn layout_differs(from: &Layout, to: &Layout, array: &str) -> bool {
    match (from.variable(array), to.variable(array)) {
        (Some((_, old)), Some((_, new))) => *old != (Variable { finalised: old.finalised, ..new.clone() }),
        _ => false,
    }
}
