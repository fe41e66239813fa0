//! An array whose chunks are fields: how it is presented in the decoded view, and its values.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use zarrs::array::codec::api::{ArrayBytes, ArrayToBytesCodecTraits, CodecOptions};
use zarrs::array::{Array, ArrayMetadata, DataType, FillValue};

use crate::codec::{GribberishCodec, GribchunkCodec, element_count, float_size};
use crate::error::{Error, Result};

/// The codec of a field array.
#[derive(Debug, Clone)]
pub enum FieldCodec {
    /// Ours: reads and writes.
    Gribchunk(GribchunkCodec),
    /// Other people's: reads, unverified.
    Gribberish(GribberishCodec),
}

/// An array whose only codec is `gribchunk` or `gribberish`.
#[derive(Debug)]
pub struct FieldArray {
    codec: FieldCodec,
    chunk_shape: Vec<NonZeroU64>,
    data_type: DataType,
    fill_value: FillValue,
    element_size: usize,
    elements: usize,
}

impl FieldArray {
    /// The field array that the metadata of `node` describes; None for groups and for arrays with other codecs.
    ///
    /// # Errors
    /// When it has one of these codecs, but the metadata are not valid, or the chunk grid is not regular.
    pub fn from_metadata(node: &str, metadata: &[u8]) -> Result<Option<Self>> {
        let value = parse(node, metadata)?;
        if !is_field_array(&value) {
            return Ok(None);
        }
        let metadata: ArrayMetadata =
            serde_json::from_value(value).map_err(|error| invalid(node, error.to_string()))?;
        let array =
            Array::new_with_metadata(Arc::new(()), node, metadata).map_err(|error| invalid(node, error.to_string()))?;
        let codecs = array.codecs();
        let codec = codecs.array_to_bytes_codec().as_any();
        let codec = if let Some(codec) = codec.downcast_ref::<GribchunkCodec>() {
            FieldCodec::Gribchunk(codec.clone())
        } else if let Some(codec) = codec.downcast_ref::<GribberishCodec>() {
            FieldCodec::Gribberish(codec.clone())
        } else {
            return Err(invalid(node, "another library registered a codec of this name"));
        };
        let refuse = |error: zarrs::array::codec::api::CodecError| invalid(node, error.to_string());
        let origin = vec![0; array.dimensionality()];
        let chunk_shape = array.chunk_shape(&origin).map_err(|error| invalid(node, error.to_string()))?.to_vec();
        let element_size = float_size(array.data_type()).map_err(refuse)?;
        let elements = element_count(&chunk_shape).map_err(refuse)?;
        if elements.checked_mul(element_size).is_none() {
            return Err(invalid(node, "its chunks are too large"));
        }
        let (data_type, fill_value) = (array.data_type().clone(), array.fill_value().clone());
        Ok(Some(Self { codec, chunk_shape, data_type, fill_value, element_size, elements }))
    }

    /// The codec and its configuration.
    #[must_use]
    pub fn codec(&self) -> &FieldCodec {
        &self.codec
    }

    /// Elements of a chunk in every dimension; chunks at the upper edges of the array have it, too.
    #[must_use]
    pub fn chunk_shape(&self) -> &[NonZeroU64] {
        &self.chunk_shape
    }

    /// `float32` or `float64`.
    #[must_use]
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Bytes of an element: 4 or 8.
    #[must_use]
    pub fn element_size(&self) -> usize {
        self.element_size
    }

    /// Elements of a chunk.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Bytes of a decoded chunk.
    #[must_use]
    pub fn chunk_bytes(&self) -> u64 {
        (self.elements as u64).saturating_mul(self.element_size as u64)
    }

    /// Elements `elements` (array order) of the chunk with this payload, little-endian.
    ///
    /// # Errors
    /// With `name`, the chunk's key, when the payload is not the array's field, or damaged.
    pub fn decode(&self, name: &str, payload: &[u8], elements: Range<usize>) -> Result<Bytes> {
        let (shape, data_type) = (self.chunk_shape.as_slice(), &self.data_type);
        let decoded = match &self.codec {
            FieldCodec::Gribchunk(codec) => {
                codec.decode_elements(payload, shape, data_type, &self.fill_value, elements)
            }
            FieldCodec::Gribberish(codec) => codec.decode_elements(payload, shape, data_type, elements),
        };
        decoded
            .map(|bytes| Bytes::from(self.swapped_on_big_endian(bytes)))
            .map_err(|error| Error::Source { location: name.into(), reason: error.to_string() })
    }

    /// The payload of a materialised chunk with these little-endian values.
    ///
    /// # Errors
    /// When `values` is not a whole chunk, or the codec cannot write.
    pub fn encode(&self, name: &str, values: &[u8]) -> Result<Bytes> {
        if values.len() as u64 != self.chunk_bytes() {
            let what = format!("{name}: {} bytes were written, a chunk has {}", values.len(), self.chunk_bytes());
            return Err(Error::invalid(what, "write whole chunks"));
        }
        let native = ArrayBytes::from(self.swapped_on_big_endian(values.to_vec()));
        let options = CodecOptions::default();
        let (shape, data_type, fill_value) = (self.chunk_shape.as_slice(), &self.data_type, &self.fill_value);
        let encoded = match &self.codec {
            FieldCodec::Gribchunk(codec) => codec.encode(native, shape, data_type, fill_value, &options),
            FieldCodec::Gribberish(codec) => codec.encode(native, shape, data_type, fill_value, &options),
        };
        encoded
            .map(|bytes| Bytes::from(bytes.into_owned()))
            .map_err(|error| Error::Source { location: name.into(), reason: error.to_string() })
    }

    /// A decoded chunk of nothing but the fill value, little-endian.
    pub(super) fn filled_chunk(&self) -> Vec<u8> {
        self.swapped_on_big_endian(self.fill_value.as_ne_bytes().repeat(self.elements))
    }

    /// The elements that the bytes `bytes` of a decoded chunk touch.
    pub(super) fn elements_of(&self, bytes: Range<u64>) -> Range<usize> {
        let size = self.element_size as u64;
        let element = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.elements);
        element(bytes.start / size)..element(bytes.end.div_ceil(size))
    }

    /// Where element `element` of a decoded chunk begins.
    pub(super) fn bytes_before(&self, element: usize) -> u64 {
        (element as u64).saturating_mul(self.element_size as u64)
    }

    fn swapped_on_big_endian(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(self.element_size).for_each(<[u8]>::reverse);
        }
        bytes
    }
}

/// `zarr.json` as the decoded view shows it.
///
/// Consolidated metadata of groups are left out: they would show the stored codecs, and nobody keeps them up to date.
pub(super) fn presented_metadata(node: &str, stored: &Bytes) -> Result<Bytes> {
    let mut value = parse(node, stored)?;
    if is_field_array(&value) {
        if let Some(codecs) = value.get_mut("codecs") {
            *codecs = presented_codecs();
        }
    } else if !drop_consolidated(&mut value) {
        return Ok(stored.clone());
    }
    written(node, &value)
}

/// What to store for metadata that were written in the decoded view: the codecs of a field array stay as they are.
pub(super) fn stored_metadata(node: &str, stored: Option<&[u8]>, new: &Bytes) -> Result<Bytes> {
    let mut value = parse(node, new)?;
    let kept = match stored {
        Some(stored) => Some(parse(node, stored)?).filter(is_field_array),
        None => None,
    };
    let Some(kept) = kept.filter(|_| value.get("node_type") == Some(&json!("array"))) else {
        return if drop_consolidated(&mut value) { written(node, &value) } else { Ok(new.clone()) };
    };
    let (Some(stored_codecs), Some(codecs)) = (kept.get("codecs"), value.get_mut("codecs")) else {
        return Err(invalid(node, "zarr.json of an array without codecs"));
    };
    if *codecs != *stored_codecs && *codecs != presented_codecs() {
        let what = format!("{node}: its codecs cannot be changed here, its chunks are encoded with others");
        return Err(Error::invalid(what, "write `bytes` little-endian as it is shown, or make a new array"));
    }
    *codecs = stored_codecs.clone();
    written(node, &value)
}

fn presented_codecs() -> Value {
    json!([{"name": "bytes", "configuration": {"endian": "little"}}])
}

fn is_field_array(metadata: &Value) -> bool {
    let codecs = metadata.get("codecs").and_then(Value::as_array).map(Vec::as_slice);
    let Some([codec]) = codecs else { return false };
    let name = codec.as_str().or_else(|| codec.get("name").and_then(Value::as_str));
    metadata.get("node_type") == Some(&json!("array")) && matches!(name, Some("gribchunk" | "gribberish"))
}

fn drop_consolidated(metadata: &mut Value) -> bool {
    metadata.as_object_mut().is_some_and(|object| object.remove("consolidated_metadata").is_some())
}

fn parse(node: &str, metadata: &[u8]) -> Result<Value> {
    serde_json::from_slice(metadata).map_err(|error| invalid(node, error.to_string()))
}

fn written(node: &str, metadata: &Value) -> Result<Bytes> {
    serde_json::to_vec(metadata).map(Bytes::from).map_err(|error| invalid(node, error.to_string()))
}

fn invalid(node: &str, why: impl std::fmt::Display) -> Error {
    Error::Source { location: format!("{node}: zarr.json"), reason: why.to_string() }
}
