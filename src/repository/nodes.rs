//! Nodes of a session: metadata and coordinate values, read and written without a Zarr library in between.

use std::collections::BTreeMap;

use bytes::Bytes;
use icechunk::format::snapshot::{ArrayShape, DimensionName, NodeSnapshot};
use icechunk::format::{ByteRange, ChunkIndices, Path};
use icechunk::session::{Session, SessionError, SessionErrorKind};
use serde_json::Value;

use crate::cube::layout::{Group, Layout};
use crate::cube::metadata::{self, Node};
use crate::cube::place::join;
use crate::error::{Error, Result};

/// The largest coordinate array that is read: 2^27 values.
const LARGEST_COORDINATE: u64 = 1 << 27;

/// `/path`, checked.
pub fn node_path(path: &str) -> Result<Path> {
    let trimmed = path.trim_matches('/');
    Path::new(&format!("/{trimmed}")).map_err(|e| Error::invalid(format!("path {path:?}"), e.to_string()))
}

/// A node and its `zarr.json`; `None` when there is no such node.
pub async fn node(session: &Session, path: &str) -> Result<Option<(NodeSnapshot, Value)>> {
    match session.get_node(&node_path(path)?).await {
        Ok(node) => {
            let json = serde_json::from_slice(&node.user_data)
                .map_err(|e| Error::Layout { group: path.into(), reason: format!("zarr.json cannot be read: {e}") })?;
            Ok(Some((node, json)))
        }
        Err(SessionError { kind: SessionErrorKind::NodeNotFound { .. }, .. }) => Ok(None),
        Err(e) => Err(Error::repository(format!("reading the node /{path}"))(e)),
    }
}

/// The layout that a session holds; an empty one for a repository without our attributes.
pub async fn read_layout(session: &Session) -> Result<Layout> {
    let Some((_, root_json)) = node(session, "").await? else { return Ok(Layout::default()) };
    let Some(root) = metadata::stored_root(&root_json)? else { return Ok(Layout::default()) };
    let mut layout = Layout {
        home: Some(root.home),
        home_group: root.home_group,
        select: root.select,
        control: root.control,
        groups: BTreeMap::new(),
    };
    for path in root.groups {
        let missing =
            || Error::Layout { group: path.clone(), reason: "the layout names it, but it is not there".into() };
        let (_, json) = node(session, &path).await?.ok_or_else(missing)?;
        let stored = metadata::stored_group(&json, &path)?.ok_or_else(missing)?;
        let integers = |values: Option<Vec<u8>>| -> Vec<i64> {
            values.unwrap_or_default().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
        };
        let times = integers(coordinate_values(session, &join(&path, "time")).await?);
        let steps = integers(coordinate_values(session, &join(&path, "step")).await?);
        let members = integers(coordinate_values(session, &join(&path, "number")).await?);
        let mut group = Group {
            product: stored.product,
            times,
            steps,
            cycles: stored.cycles,
            members: members.into_iter().filter_map(|m| u32::try_from(m).ok()).collect(),
            levels: stored.levels,
            variables: stored.variables,
            grid_type: stored.grid_type,
            grid_shape: Vec::new(),
            grid_dimensions: Vec::new(),
            grid: None,
        };
        if let Some((name, variable)) = group.variables.first_key_value()
            && let Some((_, array)) = node(session, &join(&path, name)).await?
        {
            let slots = group.slot_shape(variable).len();
            let shape: Vec<u64> = array["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            let names = array["dimension_names"].as_array().into_iter().flatten();
            let names: Vec<String> = names.filter_map(|n| n.as_str().map(String::from)).collect();
            group.grid_shape = shape.get(slots..).unwrap_or_default().to_vec();
            group.grid_dimensions = names.get(slots..).unwrap_or_default().to_vec();
        }
        layout.groups.insert(path, group);
    }
    Ok(layout)
}

/// The raw little-endian values of one of our coordinate arrays (one chunk, `bytes` + `zstd`); `None` when the array is
/// not there.
pub async fn coordinate_values(session: &Session, path: &str) -> Result<Option<Vec<u8>>> {
    let Some((node, json)) = node(session, path).await? else { return Ok(None) };
    let dimensions = json["shape"].as_array().map_or(0, Vec::len);
    let points: u64 = json["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).product();
    if points > LARGEST_COORDINATE {
        return Err(Error::Layout { group: path.into(), reason: format!("a coordinate of {points} values") });
    }
    let Some(bytes) = chunk_bytes(session, &node.path, &vec![0; dimensions]).await? else { return Ok(None) };
    let mut values = Vec::new();
    let limit = points as usize * 8;
    let bad =
        |reason: String| Error::Layout { group: path.into(), reason: format!("its values cannot be read: {reason}") };
    let mut decoder = zstd::Decoder::new(bytes.as_ref()).map_err(|e| bad(e.to_string()))?;
    std::io::Read::read_to_end(&mut std::io::Read::take(&mut decoder, limit as u64 + 1), &mut values)
        .map_err(|e| bad(e.to_string()))?;
    if values.len() != limit {
        return Err(bad(format!("{} bytes instead of {limit}", values.len())));
    }
    Ok(Some(values))
}

/// The stored bytes of a chunk that is not virtual.
pub async fn chunk_bytes(session: &Session, path: &Path, index: &[u32]) -> Result<Option<Bytes>> {
    let context = || format!("reading chunk {index:?} of {path}");
    let reader = session
        .get_chunk_reader(path, &ChunkIndices(index.to_vec()), &ByteRange::ALL)
        .await
        .map_err(Error::repository(context()))?;
    match reader {
        Some(reader) => reader.await.map(Some).map_err(Error::repository(context())),
        None => Ok(None),
    }
}

/// Writes nodes: new ones are added, existing ones get the new metadata and shape.
pub async fn write_nodes(session: &mut Session, nodes: Vec<Node>) -> Result<()> {
    for Node { path, metadata, array, values } in nodes {
        let node_path = node_path(&path)?;
        let there = node(session, &path).await?;
        let context = format!("writing the node /{path}");
        let document = serde_json::to_vec_pretty(&metadata)
            .map_err(|e| Error::Layout { group: path.clone(), reason: e.to_string() })?;
        let Some((shape, chunk, names)) = array else {
            let result = match there {
                Some(_) => session.update_group(&node_path, document.into()).await,
                None => session.add_group(node_path, document.into()).await,
            };
            result.map_err(Error::repository(context))?;
            continue;
        };
        let grid = shape.iter().zip(&chunk).map(|(&n, &c)| (n, n.div_ceil(c.max(1)) as u32));
        let Some(array_shape) = ArrayShape::new(grid) else {
            return Err(Error::Layout { group: path, reason: format!("shape {shape:?} is too large") });
        };
        let names = Some(names.iter().map(|n| DimensionName::Name(n.clone())).collect());
        let result = match there {
            Some(_) => session.update_array(&node_path, array_shape, names, document.into()).await,
            None => session.add_array(node_path.clone(), array_shape, names, document.into()).await,
        };
        result.map_err(Error::repository(context.clone()))?;
        if let Some(values) = values {
            let index = ChunkIndices(vec![0; shape.len()]);
            let encoded = encode(&values)?;
            let writer = session.get_chunk_writer(&node_path, &index).map_err(Error::repository(context.clone()))?;
            let payload = writer(encoded).await.map_err(Error::repository(context.clone()))?;
            session.set_chunk_ref(node_path, index, Some(payload)).await.map_err(Error::repository(context))?;
        }
    }
    Ok(())
}

/// `zstd` as the default inner chain writes it: level 3, checksum.
pub fn encode(values: &[u8]) -> Result<Bytes> {
    let write = || -> std::io::Result<Vec<u8>> {
        let mut encoder = zstd::Encoder::new(Vec::with_capacity(values.len() / 2 + 64), 3)?;
        encoder.include_checksum(true)?;
        encoder.set_pledged_src_size(Some(values.len() as u64))?;
        std::io::Write::write_all(&mut encoder, values)?;
        encoder.finish()
    };
    write().map(Bytes::from).map_err(Error::repository("compressing a chunk"))
}
