//! A layout as Zarr metadata and coordinate arrays, and back.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::grib::grid::Coordinates;
use crate::grib::key::StepType;

use super::layout::{Group, LAYOUT_VERSION, Layout, Level, LevelChoice, StoredGroup, StoredRoot, Variable};
use super::name::Window;
use super::place::join;

/// One node to write: `zarr.json` and, for coordinates, the one chunk that holds all values.
#[derive(Debug, Clone)]
pub struct Node {
    /// Path below `/`, "" for the root.
    pub path: String,
    /// The document `zarr.json`.
    pub metadata: Value,
    /// `(shape, dimension names)` of an array.
    pub array: Option<(Vec<u64>, Vec<u64>, Vec<String>)>,
    /// Little-endian values of a coordinate array, not compressed yet.
    pub values: Option<Vec<u8>>,
}

/// All nodes of a layout, groups before what is in them.
pub fn nodes(layout: &Layout) -> Result<Vec<Node>> {
    let mut nodes = nodes_of_groups(layout)?;
    for (path, group) in &layout.groups {
        nodes.extend(group_arrays(path, group)?);
    }
    Ok(nodes)
}

/// The root group and all groups on the way to products.
fn nodes_of_groups(layout: &Layout) -> Result<Vec<Node>> {
    let Some(home) = &layout.home else {
        return Err(Error::Layout { group: String::new(), reason: "no product".into() });
    };
    let root = StoredRoot {
        version: LAYOUT_VERSION,
        home: home.clone(),
        home_group: layout.home_group.clone(),
        select: layout.select.clone(),
        control: layout.control.clone(),
        groups: layout.groups.keys().cloned().collect(),
    };
    let mut nodes = vec![group_node("", layout.groups.get(""), Some(&root))?];
    let mut made = std::collections::BTreeSet::from([String::new()]);
    for path in layout.groups.keys() {
        let mut parent = String::new();
        for part in path.split('/').filter(|p| !p.is_empty()) {
            parent = join(&parent, part);
            if made.insert(parent.clone()) {
                nodes.push(group_node(&parent, layout.groups.get(&parent), None)?);
            }
        }
    }
    Ok(nodes)
}

/// A node of a layout that grew: an existing one keeps everything of its `zarr.json` but what grew.
pub struct GrownNode {
    /// What is written if it is new.
    pub node: Node,
    /// Whether the node is there already.
    pub exists: bool,
}

/// The nodes that differ between a layout and the same with additions.
pub fn grown_nodes(old: &Layout, new: &Layout) -> Result<Vec<GrownNode>> {
    let mut grown = Vec::new();
    for node in nodes_of_groups(new)? {
        // Group attributes hold the layout; they are written again with every change.
        let exists = node.path.is_empty() || old.groups.contains_key(&node.path) || is_parent(old, &node.path);
        grown.push(GrownNode { node, exists });
    }
    for (path, group) in &new.groups {
        let Some(before) = old.groups.get(path) else {
            grown.extend(group_arrays(path, group)?.into_iter().map(|node| GrownNode { node, exists: false }));
            continue;
        };
        if before == group {
            continue;
        }
        let mut add = |node: Node, exists: bool| grown.push(GrownNode { node, exists });
        let timed = before.times != group.times || before.steps != group.steps;
        if timed {
            time_coordinates(path, group).into_iter().for_each(|node| add(node, true));
        }
        if before.steps != group.steps {
            step_coordinates(path, group).into_iter().for_each(|node| {
                let exists = node.path == join(path, "step") || bounds_names(before).contains(&node.path);
                add(node, exists);
            });
        } else {
            let known = bounds_names(before);
            let new_bounds = step_coordinates(path, group).into_iter().filter(|n| n.path.contains("step_bounds"));
            new_bounds.filter(|n| !known.contains(&n.path)).for_each(|node| add(node, false));
        }
        let had_members = before.variables.values().any(|v| v.number);
        if before.members != group.members || !had_members {
            member_coordinate(path, group).into_iter().for_each(|node| add(node, had_members));
        }
        for (kind, levels) in &group.levels {
            let then = before.levels.get(kind);
            if then != Some(levels) {
                level_coordinate(path, kind, levels).into_iter().for_each(|node| add(node, then.is_some()));
            }
        }
        let scalars = scalar_levels(before);
        for scalar in scalar_levels(group).into_iter().filter(|s| !scalars.contains(s)) {
            add(scalar_coordinate(path, &scalar), false);
        }
        for (name, variable) in &group.variables {
            let there = before.variables.get(name);
            if there.is_none_or(|there| before.slot_shape(there) != group.slot_shape(variable)) {
                add(variable_node(path, group, name, variable), there.is_some());
            }
        }
    }
    Ok(grown)
}

fn is_parent(layout: &Layout, path: &str) -> bool {
    layout.groups.keys().any(|group| group.starts_with(&format!("{path}/")))
}

fn group_node(path: &str, group: Option<&Group>, root: Option<&StoredRoot>) -> Result<Node> {
    let mut ours = Map::new();
    let to_value = |value: serde_json::Result<Value>| {
        value.map_err(|e| Error::Layout { group: path.to_string(), reason: e.to_string() })
    };
    if let Some(root) = root {
        ours.insert("root".into(), to_value(serde_json::to_value(root))?);
    }
    if let Some(group) = group {
        let stored = StoredGroup {
            version: LAYOUT_VERSION,
            product: group.product.clone(),
            grid_type: group.grid_type.clone(),
            variables: group.variables.clone(),
            levels: group.levels.clone(),
            cycles: group.cycles.clone(),
        };
        ours.insert("group".into(), to_value(serde_json::to_value(stored))?);
    }
    let mut attributes = Map::new();
    attributes.insert("Conventions".into(), json!("CF-1.11"));
    if !ours.is_empty() {
        attributes.insert("gribchunk".into(), Value::Object(ours));
    }
    if let Some(group) = group {
        let centre = crate::grib::names::centre(group.product.centre);
        attributes.insert("GRIB_centre".into(), json!(centre.map_or(group.product.centre.to_string(), String::from)));
        attributes.insert("GRIB_gridType".into(), json!(group.grid_type));
    }
    let metadata = json!({"zarr_format": 3, "node_type": "group", "attributes": attributes});
    Ok(Node { path: path.to_string(), metadata, array: None, values: None })
}

/// Reads the stored layout out of the root group's attributes; `None` when there is none.
pub fn stored_root(metadata: &Value) -> Result<Option<StoredRoot>> {
    stored(metadata, "root", "")
}

/// Reads a group's part of the layout; `None` when the group holds no product.
pub fn stored_group(metadata: &Value, path: &str) -> Result<Option<StoredGroup>> {
    stored(metadata, "group", path)
}

fn stored<T: serde::de::DeserializeOwned>(metadata: &Value, part: &str, path: &str) -> Result<Option<T>> {
    let Some(value) = metadata.pointer(&format!("/attributes/gribchunk/{part}")) else { return Ok(None) };
    let bad = |reason: String| Error::Layout { group: path.to_string(), reason };
    let version = value.get("version").and_then(Value::as_u64).unwrap_or(0);
    if version > u64::from(LAYOUT_VERSION) {
        return Err(bad(format!("layout version {version} is newer than {LAYOUT_VERSION}: use a newer gribchunk")));
    }
    serde_json::from_value(value.clone()).map(Some).map_err(|e| bad(format!("its layout cannot be read: {e}")))
}

fn group_arrays(path: &str, group: &Group) -> Result<Vec<Node>> {
    let mut nodes = time_coordinates(path, group);
    nodes.extend(step_coordinates(path, group));
    nodes.extend(member_coordinate(path, group));
    for (kind, levels) in &group.levels {
        nodes.extend(level_coordinate(path, kind, levels));
    }
    nodes.extend(scalar_levels(group).iter().map(|scalar| scalar_coordinate(path, scalar)));
    nodes.extend(grid_coordinates(path, group)?);
    nodes.extend(group.variables.iter().map(|(name, variable)| variable_node(path, group, name, variable)));
    Ok(nodes)
}

/// `step`, and for variables of intervals the interval of each step.
fn step_coordinates(path: &str, group: &Group) -> Vec<Node> {
    let timedelta = |long_name: &str| json!({"long_name": long_name, "units": "seconds", "dtype": "timedelta64[ns]"});
    let mut attributes = timedelta("time since forecast_reference_time");
    if let Some(object) = attributes.as_object_mut() {
        object.insert("standard_name".into(), json!("forecast_period"));
    }
    let length = group.steps.len();
    let mut nodes =
        vec![coordinate(join(path, "step"), &[("step", length)], Data::Int(group.steps.clone()), attributes)];
    let windows: std::collections::BTreeSet<Window> =
        group.variables.values().map(|v| v.selector.window).filter(|w| *w != Window::Instant).collect();
    for window in windows {
        let Some(name) = bounds_name(window) else { continue };
        let bounds = group.steps.iter().flat_map(|&step| match window {
            Window::Length(seconds) => [step - seconds, step],
            _ => [0, step],
        });
        let dimensions = [("step", length), ("bounds", 2)];
        nodes.push(coordinate(
            join(path, &name),
            &dimensions,
            Data::Int(bounds.collect()),
            timedelta("start and end of the interval"),
        ));
    }
    nodes
}

/// `step_bounds` of run totals, `step_bounds_6h` of 6-hour buckets.
fn bounds_name(window: Window) -> Option<String> {
    match window {
        Window::Instant => None,
        Window::FromStart => Some("step_bounds".into()),
        Window::Length(seconds) => Some(format!("step_bounds_{}", super::name::duration(seconds))),
    }
}

/// Paths of a group's interval coordinates.
fn bounds_names(group: &Group) -> std::collections::BTreeSet<String> {
    group.variables.values().filter_map(|v| bounds_name(v.selector.window)).collect()
}

fn member_coordinate(path: &str, group: &Group) -> Option<Node> {
    if !group.variables.values().any(|v| v.number) {
        return None;
    }
    let members: Vec<i64> = group.members.iter().map(|&m| i64::from(m)).collect();
    Some(coordinate(
        join(path, "number"),
        &[("number", members.len())],
        Data::Int(members),
        json!({"standard_name": "realization", "long_name": "ensemble member numerical id", "units": "1"}),
    ))
}

fn scalar_coordinate(path: &str, (name, kind, level): &(String, String, Level)) -> Node {
    coordinate(join(path, name), &[], Data::Float(vec![level.level.to_f64()]), level_attributes(kind))
}

fn time_coordinates(path: &str, group: &Group) -> Vec<Node> {
    let units = "seconds since 1970-01-01";
    let valid: Vec<i64> = group.times.iter().flat_map(|t| group.steps.iter().map(move |s| t + s)).collect();
    let (nt, ns) = (group.times.len(), group.steps.len());
    vec![
        coordinate(
            join(path, "time"),
            &[("time", nt)],
            Data::Int(group.times.clone()),
            json!({"standard_name": "forecast_reference_time", "long_name": "initial time of forecast", "units": units, "calendar": "proleptic_gregorian"}),
        ),
        coordinate(
            join(path, "valid_time"),
            &[("time", nt), ("step", ns)],
            Data::Int(valid),
            json!({"standard_name": "time", "long_name": "time", "units": units, "calendar": "proleptic_gregorian"}),
        ),
    ]
}

fn level_coordinate(path: &str, kind: &str, levels: &[Level]) -> Vec<Node> {
    let mut attributes = level_attributes(kind);
    let mut nodes = Vec::new();
    if levels.iter().any(|l| l.level2.is_some()) {
        let bounds_name = format!("{kind}_bounds");
        if let Some(object) = attributes.as_object_mut() {
            object.insert("bounds".into(), json!(bounds_name));
        }
        let bounds = levels.iter().flat_map(|l| [l.level.to_f64(), l.level2.unwrap_or(l.level).to_f64()]).collect();
        nodes.push(coordinate(
            join(path, &bounds_name),
            &[(kind, levels.len()), ("bounds", 2)],
            Data::Float(bounds),
            json!({}),
        ));
    }
    let values = levels.iter().map(|l| l.level.to_f64()).collect();
    nodes.push(coordinate(join(path, kind), &[(kind, levels.len())], Data::Float(values), attributes));
    nodes
}

fn level_attributes(kind: &str) -> Value {
    match kind {
        "isobaricInhPa" => {
            json!({"standard_name": "air_pressure", "long_name": "pressure", "units": "hPa", "positive": "down"})
        }
        "isobaricInPa" => {
            json!({"standard_name": "air_pressure", "long_name": "pressure", "units": "Pa", "positive": "down"})
        }
        "heightAboveGround" => {
            json!({"standard_name": "height", "long_name": "height above the surface", "units": "m", "positive": "up"})
        }
        "heightAboveSea" => json!({"standard_name": "height_above_mean_sea_level", "units": "m", "positive": "up"}),
        "depthBelowLand" | "depthBelowLandLayer" => {
            json!({"standard_name": "depth", "long_name": "soil depth", "units": "m", "positive": "down"})
        }
        "hybrid" => {
            json!({"standard_name": "atmosphere_hybrid_sigma_pressure_coordinate", "long_name": "hybrid level", "units": "1", "positive": "down"})
        }
        other => json!({"long_name": other, "GRIB_typeOfLevel": other}),
    }
}

/// Scalar coordinates of variables with one level: `heightAboveGround2`, `isobaricInhPa500`.
fn scalar_levels(group: &Group) -> std::collections::BTreeSet<(String, String, Level)> {
    group
        .variables
        .values()
        .filter_map(|v| match v.selector.level {
            LevelChoice::One(level) => {
                Some((scalar_name(&v.selector.type_of_level, &level), v.selector.type_of_level.clone(), level))
            }
            _ => None,
        })
        .collect()
}

fn scalar_name(kind: &str, level: &Level) -> String {
    format!("{kind}{level}").replace('-', "_")
}

fn grid_coordinates(path: &str, group: &Group) -> Result<Vec<Node>> {
    let Some(grid) = &group.grid else {
        return Err(Error::Layout { group: path.to_string(), reason: "no grid to make coordinates of".into() });
    };
    let coordinates = grid.coordinates().map_err(Error::grib(format!("/{path}")))?;
    let latitude = json!({"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north"});
    let longitude = json!({"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east"});
    let mut nodes = Vec::new();
    match coordinates {
        Some(Coordinates::Axes { latitude: lat, longitude: lon }) => {
            nodes.push(coordinate(join(path, "latitude"), &[("latitude", lat.len())], Data::Float(lat), latitude));
            nodes.push(coordinate(join(path, "longitude"), &[("longitude", lon.len())], Data::Float(lon), longitude));
        }
        Some(Coordinates::Projected { y, x, latitude: lat, longitude: lon }) => {
            let dims = [("y", y.len()), ("x", x.len())];
            let rotated = group.grid_type.starts_with("rotated");
            let (ya, xa) = if rotated {
                (
                    json!({"standard_name": "grid_latitude", "units": "degrees"}),
                    json!({"standard_name": "grid_longitude", "units": "degrees"}),
                )
            } else {
                (
                    json!({"standard_name": "projection_y_coordinate", "units": "m"}),
                    json!({"standard_name": "projection_x_coordinate", "units": "m"}),
                )
            };
            nodes.push(coordinate(join(path, "y"), &[("y", y.len())], Data::Float(y), ya));
            nodes.push(coordinate(join(path, "x"), &[("x", x.len())], Data::Float(x), xa));
            nodes.push(coordinate(join(path, "latitude"), &dims, Data::Float(lat), latitude));
            nodes.push(coordinate(join(path, "longitude"), &dims, Data::Float(lon), longitude));
        }
        Some(Coordinates::Points { latitude: lat, longitude: lon }) => {
            nodes.push(coordinate(join(path, "latitude"), &[("values", lat.len())], Data::Float(lat), latitude));
            nodes.push(coordinate(join(path, "longitude"), &[("values", lon.len())], Data::Float(lon), longitude));
        }
        None => {}
    }
    if let Some((name, attributes)) = grid.grid_mapping() {
        let attributes = Value::Object(attributes.into_iter().collect());
        nodes.push(coordinate(join(path, name), &[], Data::Int(vec![0]), attributes));
    }
    Ok(nodes)
}

fn variable_node(path: &str, group: &Group, name: &str, variable: &Variable) -> Node {
    let mut shape = group.slot_shape(variable);
    let mut chunk: Vec<u64> = vec![1; shape.len()];
    shape.extend(&group.grid_shape);
    chunk.extend(&group.grid_shape);
    let dimensions = group.dimensions(variable);
    let selector = &variable.selector;

    let mut attributes = Map::new();
    let mut put = |key: &str, value: Value| attributes.insert(key.to_string(), value);
    if !variable.name.is_empty() {
        put("long_name", json!(variable.name));
    }
    if !variable.cf_name.is_empty() && variable.cf_name != "unknown" {
        put("standard_name", json!(variable.cf_name));
    }
    if !variable.units.is_empty() {
        put("units", json!(cf_units(&variable.units)));
        put("GRIB_units", json!(variable.units));
    }
    put("GRIB_shortName", json!(variable.short_name));
    put("GRIB_paramId", json!(variable.param_id));
    put("GRIB_typeOfLevel", json!(selector.type_of_level));
    put("GRIB_stepType", json!(selector.step_type.ec_codes_name()));
    let mut coordinates = vec!["valid_time".to_string()];
    if let Some(bounds) = bounds_name(selector.window) {
        let method = match selector.step_type {
            StepType::Accumulation | StepType::Sum => "sum",
            StepType::Average => "mean",
            StepType::Maximum => "maximum",
            StepType::Minimum => "minimum",
            StepType::StandardDeviation => "standard_deviation",
            _ => "point",
        };
        put("cell_methods", json!(format!("step: {method}")));
        coordinates.push(bounds);
    }
    if let LevelChoice::One(level) = selector.level {
        put("GRIB_level", json!(level.level.to_f64()));
        coordinates.push(scalar_name(&selector.type_of_level, &level));
    }
    if let Some(grid) = &group.grid {
        if let Some((mapping, _)) = grid.grid_mapping() {
            put("grid_mapping", json!(mapping));
            coordinates.push(mapping.to_string());
        }
        if group.grid_dimensions.first().is_some_and(|d| d == "y" || d == "values") && grid.coordinates_note().is_none()
        {
            coordinates.extend(["latitude".to_string(), "longitude".to_string()]);
        }
    }
    put("coordinates", json!(coordinates.join(" ")));

    let codec = json!({
        "name": "gribchunk",
        "configuration": {
            "parameter": selector.parameter,
            "typeOfLevel": selector.type_of_level,
            "grid": group.product.grid.to_string(),
            "codecs": default_inner_codecs(),
        }
    });
    let metadata =
        array_metadata(&shape, &chunk, "float32", json!("NaN"), json!([codec]), &dimensions, attributes.into());
    Node { path: join(path, name), metadata, array: Some((shape, chunk, dimensions)), values: None }
}

/// The chain of materialised chunks: what plain Zarr would store.
pub fn default_inner_codecs() -> Value {
    json!([
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 3, "checksum": true}}
    ])
}

enum Data {
    Int(Vec<i64>),
    Float(Vec<f64>),
}

fn coordinate(path: String, dimensions: &[(&str, usize)], data: Data, attributes: Value) -> Node {
    let shape: Vec<u64> = dimensions.iter().map(|d| d.1 as u64).collect();
    let names: Vec<String> = dimensions.iter().map(|d| d.0.to_string()).collect();
    // One chunk holds all values. `time` grows: its chunk is as long as the array, and both are written anew.
    let chunk: Vec<u64> = shape.iter().map(|&n| n.max(1)).collect();
    let (data_type, fill, values) = match data {
        Data::Int(values) => ("int64", json!(0), values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Data::Float(values) => ("float64", json!("NaN"), values.iter().flat_map(|v| v.to_le_bytes()).collect()),
    };
    let metadata = array_metadata(&shape, &chunk, data_type, fill, default_inner_codecs(), &names, attributes);
    Node { path, metadata, array: Some((shape, chunk, names)), values: Some(values) }
}

pub(crate) fn array_metadata(
    shape: &[u64],
    chunk: &[u64],
    data_type: &str,
    fill_value: Value,
    codecs: Value,
    dimension_names: &[String],
    attributes: Value,
) -> Value {
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill_value,
        "codecs": codecs,
        "dimension_names": dimension_names,
        "attributes": attributes,
    })
}

/// ecCodes writes `m s**-1`; CF wants `m s-1`.
fn cf_units(units: &str) -> String {
    match units {
        "(0 - 1)" | "~" | "Numeric" | "Proportion" => "1".to_string(),
        other => other.replace("**", ""),
    }
}
