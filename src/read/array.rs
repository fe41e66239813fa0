//! What a reader needs to know of an array.

use icechunk::format::Path;
use serde_json::Value;

use crate::error::{Error, Result};

/// How an array's chunks are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Our codec with the default inner chain: `bytes` little-endian and `zstd`.
    Default,
    /// Our codec with another inner chain.
    Gribchunk,
    /// The codec `gribberish` of VirtualiZarr and others.
    Gribberish,
    /// Standard Zarr codecs in an array of a cube, and they are our default inner chain: it was finalised.
    Finalised,
    /// Standard Zarr codecs.
    Standard,
}

/// An array's `zarr.json`, read.
#[derive(Debug, Clone)]
pub struct ArrayInfo {
    /// Path below `/`.
    pub name: String,
    /// The same, as Icechunk has it.
    pub path: Path,
    /// Elements in each dimension.
    pub shape: Vec<u64>,
    /// Elements of a chunk in each dimension.
    pub chunk_shape: Vec<u64>,
    /// Zarr's name of the data type.
    pub data_type: String,
    /// `dim_0`, ... where the array names none.
    pub dimension_names: Vec<String>,
    /// How the chunks are stored.
    pub storage: Storage,
    /// As stored.
    pub attributes: serde_json::Map<String, Value>,
    /// The document as stored.
    pub metadata: Value,
}

impl ArrayInfo {
    pub(crate) fn parse(name: &str, path: Path, metadata: Value) -> Result<Self> {
        let bad = |reason: &str| Error::Layout { group: name.to_string(), reason: reason.to_string() };
        let numbers = |value: &Value| -> Option<Vec<u64>> { value.as_array()?.iter().map(Value::as_u64).collect() };
        if metadata["node_type"] != "array" {
            return Err(Error::not_found(format!("the array /{name}"), "this is a group; name one of its arrays"));
        }
        let shape = numbers(&metadata["shape"]).ok_or_else(|| bad("zarr.json has no shape"))?;
        let chunk_shape = numbers(&metadata["chunk_grid"]["configuration"]["chunk_shape"])
            .ok_or_else(|| bad("its chunk grid is not regular"))?;
        if chunk_shape.len() != shape.len() || chunk_shape.contains(&0) {
            return Err(bad("its chunk grid does not fit its shape"));
        }
        let names = metadata["dimension_names"].as_array().cloned().unwrap_or_default();
        let dimension_names = (0..shape.len())
            .map(|i| names.get(i).and_then(Value::as_str).map_or_else(|| format!("dim_{i}"), String::from))
            .collect();
        let storage = storage(&metadata["codecs"]);
        Ok(Self {
            name: name.to_string(),
            path,
            shape,
            chunk_shape,
            data_type: metadata["data_type"].as_str().unwrap_or("").to_string(),
            dimension_names,
            storage,
            attributes: metadata["attributes"].as_object().cloned().unwrap_or_default(),
            metadata,
        })
    }

    /// The number of leading dimensions whose chunks have one element and whose trailing ones are one chunk: the shape of
    /// our cubes. `None` for another chunk grid.
    pub(crate) fn slot_dimensions(&self) -> Option<usize> {
        let slots = self.chunk_shape.iter().take_while(|&&c| c == 1).count();
        // A spatial dimension of length 1 looks like a slot dimension, and works as one.
        let rest = self.chunk_shape.iter().zip(&self.shape).skip(slots);
        rest.into_iter().all(|(chunk, length)| chunk == length).then_some(slots)
    }

    /// Whether the codecs are the default inner chain and missing chunks are NaN, as in a finalised array.
    pub(crate) fn has_default_chain(&self) -> bool {
        is_default_chain(&self.metadata["codecs"]) && self.metadata["fill_value"] == "NaN"
    }

    /// Elements of one chunk.
    pub(crate) fn chunk_elements(&self) -> Option<usize> {
        let elements = self.chunk_shape.iter().try_fold(1u64, |n, &c| n.checked_mul(c))?;
        usize::try_from(elements).ok()
    }
}

fn storage(codecs: &Value) -> Storage {
    let first = codecs.get(0).unwrap_or(&Value::Null);
    match first["name"].as_str() {
        Some("gribchunk") => {
            let inner = &first["configuration"]["codecs"];
            if inner.is_null() || is_default_chain(inner) { Storage::Default } else { Storage::Gribchunk }
        }
        Some("gribberish") => Storage::Gribberish,
        _ => Storage::Standard,
    }
}

/// `bytes` little-endian, then `zstd` of any level.
fn is_default_chain(codecs: &Value) -> bool {
    let is = |i: usize, name: &str| codecs.get(i).is_some_and(|c| c["name"] == name);
    let little = codecs.get(0).is_some_and(|c| c["configuration"]["endian"] == "little");
    codecs.as_array().is_some_and(|c| c.len() == 2) && is(0, "bytes") && little && is(1, "zstd")
}
