//! The configuration of the codec `gribchunk` as it stands in `zarr.json`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use zarrs::array::codec::CodecChain;
use zarrs::metadata::v3::MetadataV3;
use zarrs::plugin::PluginCreateError;

use crate::grib::decode::FieldSelector;

/// `{"parameter": ..., "typeOfLevel": ..., "grid": ..., "codecs": [...]}`.
///
/// The first three say which field of a message belongs into the array ([`FieldSelector`]); `codecs` is the inner chain of
/// materialised chunks, in Zarr's own form, [`default_inner_codecs`] when absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GribchunkCodecConfiguration {
    /// Which field of a message is the array's.
    #[serde(flatten)]
    pub selector: FieldSelector,
    /// The inner chain: `bytes` little-endian, then bytes-to-bytes codecs, the last of them `zstd` or `gzip`.
    #[serde(default = "default_inner_codecs")]
    pub codecs: Vec<MetadataV3>,
}

/// `bytes` little-endian and `zstd` at level 3 with checksum.
#[must_use]
pub fn default_inner_codecs() -> Vec<MetadataV3> {
    let object = |value: Value| if let Value::Object(map) = value { map } else { Map::new() };
    vec![
        MetadataV3::new_with_configuration("bytes", object(json!({"endian": "little"}))),
        MetadataV3::new_with_configuration("zstd", object(json!({"level": 3, "checksum": true}))),
    ]
}

impl GribchunkCodecConfiguration {
    /// The configuration of `selector` with the default inner chain.
    #[must_use]
    pub fn new(selector: FieldSelector) -> Self {
        Self { selector, codecs: default_inner_codecs() }
    }

    /// The JSON object as it is stored: always with `codecs`.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(object)) => object,
            // Strings, numbers and metadata that came from JSON always go back to an object.
            _ => Map::new(),
        }
    }

    /// The entry of `codecs` in an array's metadata.
    #[must_use]
    pub fn to_metadata(&self) -> MetadataV3 {
        MetadataV3::new_with_configuration("gribchunk", self.to_json())
    }

    /// The checked inner chain.
    ///
    /// # Errors
    /// With the reason when a materialised chunk could not be told from a message, or would not be a plain Zarr chunk of
    /// little-endian values; with zarrs' reason when a codec is unknown or wrongly configured.
    pub fn inner_chain(&self) -> Result<CodecChain, PluginCreateError> {
        let refuse = |why: String| Err(PluginCreateError::Other(format!("codec gribchunk: inner codecs: {why}")));
        let Some(array_to_bytes) = self.codecs.iter().find(|codec| is_array_to_bytes(codec.name())) else {
            return refuse(
                "there is no `bytes` codec; it turns the values into bytes before they are compressed".into(),
            );
        };
        if array_to_bytes.name() != "bytes" {
            return refuse(format!(
                "`{}` is not possible, only `bytes`: the chunk must be one compressed block that starts with fixed bytes",
                array_to_bytes.name()
            ));
        }
        let endian = array_to_bytes.configuration().and_then(|c| c.get("endian")).and_then(Value::as_str);
        if endian != Some("little") {
            return refuse(format!("`bytes` must have \"endian\": \"little\", it has {endian:?}"));
        }
        let last = self.codecs.last().map_or("", MetadataV3::name);
        if !matches!(last, "zstd" | "gzip") {
            return refuse(format!(
                "the last one is `{last}`, it must be `zstd` or `gzip`: their output starts with fixed bytes, so that a \
                 materialised chunk is never taken for a GRIB message"
            ));
        }
        CodecChain::from_metadata(&self.codecs)
    }
}

/// Whether `name` is a codec that makes bytes of an array; unknown names are left for zarrs to refuse.
fn is_array_to_bytes(name: &str) -> bool {
    matches!(name, "bytes" | "endian" | "sharding_indexed" | "packbits" | "gribchunk" | "gribberish" | "optional")
        || name.contains("vlen")
        || name.contains("zfp")
        || name.contains("pcodec")
}
