//! A repository like `ncdump -h`, with what its slots are.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::cube::place::join;
use crate::error::Result;
use crate::read::{ChunkState, Snapshot};

use super::coverage::{CoverageCounts, chunk_states};

/// A dimension of a group.
#[derive(Debug, Clone, Serialize)]
pub struct DimensionSummary {
    /// Name of the dimension.
    pub name: String,
    /// Number of elements.
    pub length: u64,
    /// First and last coordinate value as text, where the layout knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<(String, String)>,
}

/// An array.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArraySummary {
    /// Path below `/`.
    pub array: String,
    /// Zarr's name of the data type.
    pub data_type: String,
    /// Names of the dimensions, in order.
    pub dimensions: Vec<String>,
    /// Their lengths.
    pub shape: Vec<u64>,
    /// As stored.
    pub attributes: serde_json::Map<String, Value>,
    /// For arrays of the cube.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<CoverageCounts>,
    /// Bytes of materialised chunks, as stored.
    pub stored_bytes: u64,
    /// Bytes of the GRIB messages that virtual chunks refer to.
    pub virtual_bytes: u64,
}

/// A group.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupSummary {
    /// Path below `/`, "" for the root.
    pub group: String,
    /// ecCodes `gridType`.
    pub grid_type: String,
    /// All dimensions of the group's arrays.
    pub dimensions: Vec<DimensionSummary>,
    /// The variables.
    pub arrays: Vec<ArraySummary>,
}

/// A snapshot of a repository.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositorySummary {
    /// Id of the snapshot that was looked at.
    pub snapshot: String,
    /// Sorted by path.
    pub groups: Vec<GroupSummary>,
    /// Slots of all variables.
    pub total: CoverageCounts,
    /// Bytes of materialised chunks, as stored.
    pub stored_bytes: u64,
    /// Bytes of messages that virtual chunks refer to.
    pub virtual_bytes: u64,
    /// Arrays outside the cube's groups, as other programs write them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_arrays: Vec<ArraySummary>,
}

/// Describes a snapshot. No data are read: counts and sizes come from the manifests.
pub async fn show(snapshot: &Snapshot) -> Result<RepositorySummary> {
    let mut by_group: BTreeMap<String, Vec<ArraySummary>> = BTreeMap::new();
    let mut other_arrays = Vec::new();
    for array in snapshot.arrays().await? {
        let summary = summarise(snapshot, &array).await?;
        let group = array.rsplit_once('/').map_or("", |(group, _)| group);
        if snapshot.layout().groups.contains_key(group) {
            by_group.entry(group.to_string()).or_default().push(summary);
        } else {
            other_arrays.push(summary);
        }
    }
    let mut result = RepositorySummary {
        snapshot: snapshot.id(),
        groups: Vec::new(),
        total: CoverageCounts::default(),
        stored_bytes: 0,
        virtual_bytes: 0,
        other_arrays,
    };
    for (path, group) in &snapshot.layout().groups {
        let arrays = by_group.remove(path).unwrap_or_default();
        for array in &arrays {
            result.total.add(&array.slots.unwrap_or_default());
            result.stored_bytes += array.stored_bytes;
            result.virtual_bytes += array.virtual_bytes;
        }
        result.groups.push(GroupSummary {
            group: path.clone(),
            grid_type: group.grid_type.clone(),
            dimensions: dimensions(group),
            arrays,
        });
    }
    Ok(result)
}

fn dimensions(group: &crate::cube::layout::Group) -> Vec<DimensionSummary> {
    fn ends<T>(values: &[T], text: impl Fn(&T) -> String) -> Option<(String, String)> {
        Some((text(values.first()?), text(values.last()?)))
    }
    let mut dimensions = vec![
        DimensionSummary {
            name: "time".into(),
            length: group.times.len() as u64,
            range: ends(&group.times, |t| crate::time::format(*t)),
        },
        DimensionSummary {
            name: "step".into(),
            length: group.steps.len() as u64,
            range: ends(&group.steps, |s| crate::cube::name::duration(*s)),
        },
    ];
    if group.variables.values().any(|v| v.number) {
        dimensions.push(DimensionSummary {
            name: "number".into(),
            length: group.members.len() as u64,
            range: ends(&group.members, ToString::to_string),
        });
    }
    dimensions.extend(group.levels.iter().map(|(kind, levels)| DimensionSummary {
        name: kind.clone(),
        length: levels.len() as u64,
        range: ends(levels, ToString::to_string),
    }));
    let spatial = group.grid_dimensions.iter().zip(&group.grid_shape);
    dimensions.extend(spatial.map(|(name, &length)| DimensionSummary { name: name.clone(), length, range: None }));
    dimensions
}

async fn summarise(snapshot: &Snapshot, array: &str) -> Result<ArraySummary> {
    let info = snapshot.array(array).await?;
    let states = chunk_states(snapshot, array).await?;
    let (mut stored_bytes, mut virtual_bytes) = (0, 0);
    let mut counts = CoverageCounts::default();
    for (_, state) in &states {
        match state {
            ChunkState::Virtual { length, .. } => {
                virtual_bytes += length;
                counts.virtual_ += 1;
            }
            ChunkState::Materialised { length } => {
                stored_bytes += length;
                counts.materialised += 1;
            }
            ChunkState::Missing => {}
        }
    }
    let slots = snapshot.layout().variable(&join("", array)).map(|(group, variable)| {
        counts.expected = group.expected_slots(variable);
        let arrived = states.iter().filter(|(index, _)| group.is_expected(variable, index)).count() as u64;
        counts.missing = counts.expected.saturating_sub(arrived);
        counts
    });
    Ok(ArraySummary {
        array: array.to_string(),
        data_type: info.data_type.clone(),
        dimensions: info.dimension_names.clone(),
        shape: info.shape.clone(),
        attributes: info.attributes.clone(),
        slots,
        stored_bytes,
        virtual_bytes,
    })
}
