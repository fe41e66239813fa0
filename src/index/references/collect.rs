//! Keys and values of any list -> references, and what is not one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine;
use serde_json::Value;

use super::labels::{ArrayLabels, Coordinate};
use super::{NotCarried, NotCarriedKind, REFERENCE_LIMIT, Reference, ReferenceList, ReferenceProblem, ReferencesError};

/// Problems beyond this many are counted, not listed.
const LISTED_PROBLEMS: usize = 1000;
/// Inline values up to this length are kept until it is known whether they are a coordinate.
const COORDINATE_BYTES: usize = 1 << 20;
/// Names that coordinates have in the lists of kerchunk and others.
const COORDINATES: &[&str] =
    &["time", "step", "valid_time", "number", "latitude", "longitude", "x", "y", "run_times", "valid_times"];

/// Takes keys and values in the order of the list.
#[derive(Default)]
pub(in crate::index) struct Collector {
    /// Put before every key: lists of lists.
    pub prefix: String,
    list: ReferenceList,
    urls: HashMap<String, Arc<str>>,
    array_metadata: BTreeMap<String, Value>,
    attributes: BTreeMap<String, Value>,
    inline: BTreeMap<String, Vec<(String, Vec<u8>)>>,
    inline_count: BTreeMap<String, (u64, bool)>,
    more_problems: usize,
}

impl Collector {
    /// A key with its value as kerchunk writes it: text, `[url]` or `[url, offset, length]`, an object of metadata.
    pub fn value(&mut self, key: &str, value: Value) -> Result<(), ReferencesError> {
        match value {
            Value::String(text) => self.inline(key, inline_bytes(text)),
            Value::Object(object) => self.metadata(key, Value::Object(object)),
            Value::Array(parts) => return self.reference_value(key, &parts),
            Value::Null => self.problem(key, "null instead of a reference"),
            other => self.problem(key, format!("{} instead of a reference", excerpt(&other.to_string()))),
        }
        Ok(())
    }

    fn reference_value(&mut self, key: &str, parts: &[Value]) -> Result<(), ReferencesError> {
        match parts {
            [Value::String(url)] => self.reference(key, url, 0, None),
            [Value::Null, ..] => {
                self.problem(key, "no URL");
                Ok(())
            }
            [Value::String(url), offset, length] => match (whole_number(offset), whole_number(length)) {
                // The lazy form writes 0 for a whole object.
                (Some(offset), Some(length)) => self.reference(key, url, offset, (length > 0).then_some(length)),
                _ => {
                    self.problem(key, format!("offset {offset} and length {length} are not whole numbers of bytes"));
                    Ok(())
                }
            },
            parts => {
                let text = excerpt(&Value::Array(parts.to_vec()).to_string());
                self.problem(key, format!("{text} is neither [url] nor [url, offset, length]"));
                Ok(())
            }
        }
    }

    /// A reference.
    pub fn reference(&mut self, key: &str, url: &str, offset: u64, length: Option<u64>) -> Result<(), ReferencesError> {
        if url.is_empty() {
            self.problem(key, "an empty URL");
            return Ok(());
        }
        if length.is_some_and(|length| offset.checked_add(length).is_none()) {
            self.problem(key, format!("{} bytes at {offset} end beyond any file", length.unwrap_or(0)));
            return Ok(());
        }
        if self.list.entries.len() >= REFERENCE_LIMIT {
            return Err(ReferencesError::TooMany { what: "references".into(), limit: REFERENCE_LIMIT as u64 });
        }
        let url = match self.urls.get(url) {
            Some(url) => Arc::clone(url),
            None => {
                let shared: Arc<str> = url.into();
                self.urls.insert(url.to_string(), Arc::clone(&shared));
                shared
            }
        };
        let key = format!("{}{key}", self.prefix);
        self.list.entries.push(Reference { url, offset, length, key });
        Ok(())
    }

    /// Bytes that the list holds itself.
    pub fn inline(&mut self, key: &str, bytes: Vec<u8>) {
        let (array, name) = split_key(key);
        if matches!(name, ".zarray" | ".zattrs" | ".zgroup" | ".zmetadata" | "zarr.json") {
            match serde_json::from_slice(&bytes) {
                Ok(value) => self.metadata(key, value),
                Err(error) => self.problem(key, format!("metadata that are not JSON: {error}")),
            }
            return;
        }
        if key.starts_with('_') && array.is_empty() {
            return;
        }
        let array = format!("{}{array}", self.prefix);
        let count = self.inline_count.entry(array.clone()).or_default();
        count.0 += 1;
        count.1 |= bytes.starts_with(b"GRIB");
        if bytes.len() <= COORDINATE_BYTES {
            self.inline.entry(array).or_default().push((name.to_string(), bytes));
        }
    }

    /// Zarr metadata, version 2.
    pub fn metadata(&mut self, key: &str, value: Value) {
        let (array, name) = split_key(key);
        let array = format!("{}{array}", self.prefix);
        match name {
            ".zarray" => drop(self.array_metadata.insert(array, value)),
            ".zattrs" => drop(self.attributes.insert(array, value)),
            ".zgroup" | ".zmetadata" => {}
            _ if key.starts_with('_') => {}
            _ => self.problem(key, "an object instead of a reference"),
        }
    }

    /// Something that cannot be used.
    pub fn problem(&mut self, key: &str, reason: impl Into<String>) {
        if self.list.problems.len() >= LISTED_PROBLEMS {
            self.more_problems += 1;
            return;
        }
        self.list
            .problems
            .push(ReferenceProblem { key: format!("{}{}", self.prefix, excerpt(key)), reason: reason.into() });
    }

    /// Chunks of an array that are left out, for a reason known to the caller.
    pub fn leave_out(&mut self, array: &str, kind: NotCarriedKind, count: u64) {
        self.list.not_carried.push(NotCarried { array: array.to_string(), kind, count });
    }

    /// The list, with everything that is no GRIB message sorted out.
    pub fn finish(mut self) -> ReferenceList {
        let mut list = std::mem::take(&mut self.list);
        self.describe_arrays(&mut list);
        self.sort_out(&mut list);
        report_collisions(&mut list);
        for (array, (count, is_message)) in &self.inline_count {
            let kind = match is_message {
                true => NotCarriedKind::InlineMessage,
                false if self.is_coordinate(array) => NotCarriedKind::InlineCoordinate,
                false => NotCarriedKind::InlineData,
            };
            list.not_carried.push(NotCarried { array: array.clone(), kind, count: *count });
        }
        let with_chunks: std::collections::HashSet<String> =
            list.entries.iter().map(|e| split_key(&e.key).0.to_string()).collect();
        for (array, metadata) in &self.array_metadata {
            let named = list.not_carried.iter().any(|n| n.array == *array);
            if !named && is_grib(metadata) && !with_chunks.contains(array.as_str()) {
                let kind = NotCarriedKind::NoReference;
                list.not_carried.push(NotCarried { array: array.clone(), kind, count: 1 });
            }
        }
        list.not_carried.sort_by(|a, b| (&a.array, a.kind).cmp(&(&b.array, b.kind)));
        if self.more_problems > 0 {
            let reason = format!("{} more problems", self.more_problems);
            list.problems.push(ReferenceProblem { key: String::new(), reason });
        }
        list
    }

    /// Removes references of arrays that are not fields.
    fn sort_out(&self, list: &mut ReferenceList) {
        let mut left_out: BTreeMap<(String, NotCarriedKind), u64> = BTreeMap::new();
        list.entries.retain(|entry| {
            let array = split_key(&entry.key).0;
            let kind = match self.array_metadata.get(array) {
                Some(metadata) if derived_coordinate(array, metadata) => NotCarriedKind::DerivedCoordinate,
                Some(metadata) if !is_grib(metadata) => NotCarriedKind::OtherCodec,
                _ => return true,
            };
            *left_out.entry((array.to_string(), kind)).or_default() += 1;
            false
        });
        let left_out = left_out.into_iter().map(|((array, kind), count)| NotCarried { array, kind, count });
        list.not_carried.extend(left_out);
    }

    fn is_coordinate(&self, array: &str) -> bool {
        let name = array.rsplit('/').next().unwrap_or(array);
        let group = array.strip_suffix(name).unwrap_or("");
        let listed = |path: &str| {
            let text = self.attributes.get(path).and_then(|a| a.get("coordinates")).and_then(Value::as_str);
            text.is_some_and(|text| text.split(' ').any(|word| word == name))
        };
        COORDINATES.contains(&name)
            || group.trim_end_matches('/').ends_with(name)
            || listed(group.trim_end_matches('/'))
            || self.dimensions(array).iter().any(|d| d == name)
    }

    fn dimensions(&self, array: &str) -> Vec<String> {
        let names = self.attributes.get(array).and_then(|a| a.get("_ARRAY_DIMENSIONS")).and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str).map(String::from).collect()
    }

    fn describe_arrays(&self, list: &mut ReferenceList) {
        let mut coordinates: HashMap<String, Option<Arc<Coordinate>>> = HashMap::new();
        for array in self.array_metadata.keys() {
            let (group, name) = array.rsplit_once('/').unwrap_or(("", array));
            let mut labels = ArrayLabels { dimensions: self.dimensions(array), ..Default::default() };
            let attribute = |name: &str| self.attributes.get(array).and_then(|a| a.get(name));
            labels.param_id = attribute("GRIB_paramId").and_then(Value::as_u64).filter(|id| *id > 0);
            let mut wanted = vec!["time", "step", "valid_time", "number"];
            wanted.extend(attribute("GRIB_typeOfLevel").and_then(Value::as_str));
            for coordinate in wanted.into_iter().filter(|c| *c != name) {
                let path = if group.is_empty() { coordinate.to_string() } else { format!("{group}/{coordinate}") };
                let values = coordinates.entry(path).or_insert_with_key(|path| self.coordinate(path).map(Arc::new));
                if let Some(values) = values {
                    labels.coordinates.insert(coordinate.to_string(), Arc::clone(values));
                }
            }
            list.arrays.insert(array.clone(), labels);
        }
    }

    /// The values of an inline coordinate that is one plain chunk.
    fn coordinate(&self, path: &str) -> Option<Coordinate> {
        let metadata = self.array_metadata.get(path)?;
        let plain = metadata.get("compressor").is_none_or(Value::is_null)
            && metadata.get("filters").and_then(Value::as_array).is_none_or(Vec::is_empty);
        let [(_, bytes)] = self.inline.get(path)?.as_slice() else { return None };
        let units = self.attributes.get(path).and_then(|a| a.get("units")).and_then(Value::as_str);
        let type_name = metadata.get("dtype").and_then(Value::as_str)?;
        if !plain {
            return None;
        }
        Coordinate::read(bytes, type_name, units.unwrap_or(""), self.dimensions(path))
    }
}

/// Keys that two different references have: a label of the list is not unique, so levels or members met in one place.
fn report_collisions(list: &mut ReferenceList) {
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(list.entries.len());
    let mut repeated = Vec::new();
    let mut problems = Vec::new();
    for (position, entry) in list.entries.iter().enumerate() {
        let Some(&first) = seen.get(entry.key.as_str()) else {
            seen.insert(&entry.key, position);
            continue;
        };
        let Some(earlier) = list.entries.get(first) else { continue };
        if (&earlier.url, earlier.offset, earlier.length) == (&entry.url, entry.offset, entry.length) {
            repeated.push(position);
        } else if problems.len() < LISTED_PROBLEMS {
            problems.push(ReferenceProblem {
                key: entry.key.clone(),
                reason: format!(
                    "one key for two references, both are taken: {} at byte {} and {} at byte {}",
                    earlier.url, earlier.offset, entry.url, entry.offset
                ),
            });
        }
    }
    let mut repeated = repeated.into_iter().peekable();
    let mut position = 0;
    list.entries.retain(|_| {
        let goes = repeated.next_if_eq(&position).is_some();
        position += 1;
        !goes
    });
    list.problems.extend(problems);
}

/// `a/b/0.0` -> `a/b`, `0.0`; keys with `/` between chunk indices too.
pub(super) fn split_key(key: &str) -> (&str, &str) {
    let mut array = key;
    // `t/0/0/1`: all trailing numbers are the chunk's; `0.0.0` and names of metadata are one part.
    loop {
        let (parent, name) = array.rsplit_once('/').unwrap_or(("", array));
        let is_index = !name.is_empty()
            && name.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        let is_metadata = array.len() == key.len() && (name.starts_with('.') || name == "zarr.json");
        if !(is_index || is_metadata) || array.is_empty() {
            break;
        }
        array = parent;
        if is_metadata {
            break;
        }
    }
    if array.len() == key.len() {
        // Not a chunk key: the last part is the name.
        return key.rsplit_once('/').unwrap_or(("", key));
    }
    (array, key.get(array.len()..).unwrap_or("").trim_start_matches('/'))
}

/// Whether an array's chunks are GRIB messages by its filters.
fn is_grib(metadata: &Value) -> bool {
    let filters = metadata.get("filters").and_then(Value::as_array);
    let compressor = metadata.get("compressor").filter(|c| !c.is_null());
    let mut ids = filters.into_iter().flatten().chain(compressor).filter_map(|f| f.get("id").and_then(Value::as_str));
    ids.any(|id| id.to_lowercase().contains("grib"))
}

fn derived_coordinate(array: &str, metadata: &Value) -> bool {
    let name = array.rsplit('/').next().unwrap_or(array);
    let filters = metadata.get("filters").and_then(Value::as_array);
    let of_grid = |f: &Value| matches!(f.get("var").and_then(Value::as_str), Some("latitude" | "longitude"));
    is_grib(metadata) && (COORDINATES.contains(&name) || filters.is_some_and(|f| f.iter().any(of_grid)))
}

/// Raw text, or `base64:...`.
fn inline_bytes(text: String) -> Vec<u8> {
    let decoded = text.strip_prefix("base64:").map(|t| base64::engine::general_purpose::STANDARD.decode(t.trim()));
    match decoded {
        Some(Ok(bytes)) => bytes,
        // Python writes bytes as one character each.
        _ if text.chars().all(|c| (c as u32) < 256) && !text.is_ascii() => {
            text.chars().map(|c| c as u32 as u8).collect()
        }
        _ => text.into_bytes(),
    }
}

/// A number, or one in a text, as templates give it.
fn whole_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().filter(|f| f.fract() == 0.0 && (0.0..9e15).contains(f)).map(|f| f as u64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(120).collect()
}
