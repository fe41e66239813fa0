//! The Zarr v3 array-to-bytes codec `gribchunk`, and `gribberish` for reading what others write.
//!
//! This module is the only place that tells the two kinds of chunk payload apart:
//!
//! - a payload that begins with `GRIB` is a GRIB message. It is complete (its own length is the payload's, it ends in
//!   `7777`), and one of its fields has the parameter, the type of level and the grid of the configuration. That field is
//!   decoded in the array's order; missing values become NaN. See [`crate::grib::decode`].
//! - anything else is a materialised chunk: a standard Zarr chunk made by the inner codec chain of the configuration,
//!   which must end in `zstd` or `gzip`, whose output starts with other fixed bytes than `GRIB`.
//!
//! Encoding always goes through the inner chain. The data type is `float32` or `float64`.
//!
//! Both codecs register themselves: any [`zarrs::array::Array`] opens arrays that name them.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod configuration;
mod gribberish;
mod payload;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use zarrs::array::codec::CodecChain;
use zarrs::array::codec::api::{
    ArrayBytes, ArrayBytesRaw, ArrayCodecTraits, ArrayPartialDecoderTraits, ArrayToBytesCodecTraits,
    AsyncArrayPartialDecoderTraits, AsyncBytesPartialDecoderTraits, BytesPartialDecoderTraits, BytesRepresentation,
    Codec, CodecError, CodecMetadataOptions, CodecOptions, CodecPluginV3, CodecTraits, CodecTraitsV3,
    PartialDecoderCapability, PartialEncoderCapability, RecommendedConcurrency,
};
use zarrs::array::{DataType, FillValue};
use zarrs::metadata::Configuration;
use zarrs::metadata::v3::MetadataV3;
use zarrs::plugin::{PluginCreateError, ZarrVersion};

pub use configuration::{GribchunkCodecConfiguration, default_inner_codecs};
pub use gribberish::{GribberishCodec, GribberishCodecConfiguration};
pub(crate) use payload::element_count;
use payload::{FieldPartialDecoder, FieldPicker};
pub use payload::{PayloadKind, float_size};

zarrs::plugin::impl_extension_aliases!(GribchunkCodec, v3: "gribchunk");

inventory::submit! {
    CodecPluginV3::new::<GribchunkCodec>()
}

/// The codec `gribchunk`: see the [module](self) for what it reads and writes.
#[derive(Debug, Clone)]
pub struct GribchunkCodec {
    configuration: GribchunkCodecConfiguration,
    inner: Arc<CodecChain>,
}

impl GribchunkCodec {
    /// The codec of `configuration`.
    ///
    /// # Errors
    /// When the inner chain is not `bytes` little-endian followed by codecs of which the last is `zstd` or `gzip`, or one
    /// of its codecs is unknown.
    pub fn new(configuration: GribchunkCodecConfiguration) -> Result<Self, PluginCreateError> {
        let inner = Arc::new(configuration.inner_chain()?);
        Ok(Self { configuration, inner })
    }

    /// What the codec was made of.
    #[must_use]
    pub fn gribchunk_configuration(&self) -> &GribchunkCodecConfiguration {
        &self.configuration
    }

    /// The standard codecs of materialised chunks.
    #[must_use]
    pub fn inner_chain(&self) -> &Arc<CodecChain> {
        &self.inner
    }

    /// Elements `elements` (array order, native endian) of the chunk that `payload` is.
    ///
    /// # Errors
    /// When the payload is not the array's field or damaged, or the range ends behind the chunk.
    pub fn decode_elements(
        &self,
        payload: &[u8],
        shape: &[NonZeroU64],
        data_type: &DataType,
        fill_value: &FillValue,
        elements: Range<usize>,
    ) -> Result<Vec<u8>, CodecError> {
        let size = float_size(data_type)?;
        if PayloadKind::of(payload) == PayloadKind::Message {
            return self.picker().decode_elements(payload, shape, data_type, elements);
        }
        let options = CodecOptions::default();
        let all = self.inner.decode(Cow::Borrowed(payload), shape, data_type, fill_value, &options)?.into_fixed()?;
        let range = elements.start.saturating_mul(size)..elements.end.saturating_mul(size);
        if range.start == 0 && range.end == all.len() {
            return Ok(all.into_owned());
        }
        let outside = || CodecError::Other(format!("elements {elements:?} reach outside the chunk"));
        all.get(range).map(<[u8]>::to_vec).ok_or_else(outside)
    }

    fn picker(&self) -> FieldPicker {
        FieldPicker::Selected(self.configuration.selector.clone())
    }
}

impl CodecTraitsV3 for GribchunkCodec {
    fn create(metadata: &MetadataV3) -> Result<Codec, PluginCreateError> {
        let configuration: GribchunkCodecConfiguration = metadata.to_typed_configuration()?;
        Ok(Codec::ArrayToBytes(Arc::new(Self::new(configuration)?)))
    }
}

impl CodecTraits for GribchunkCodec {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn configuration(&self, _version: ZarrVersion, _options: &CodecMetadataOptions) -> Option<Configuration> {
        Some(self.configuration.to_json().into())
    }

    fn partial_decoder_capability(&self) -> PartialDecoderCapability {
        // Reads the whole payload once, when the partial decoder is made: a further cache would be a second copy.
        PartialDecoderCapability { partial_read: true, partial_decode: true }
    }

    fn partial_encoder_capability(&self) -> PartialEncoderCapability {
        PartialEncoderCapability { partial_encode: false }
    }
}

impl ArrayCodecTraits for GribchunkCodec {
    fn recommended_concurrency(
        &self,
        _shape: &[NonZeroU64],
        _data_type: &DataType,
    ) -> Result<RecommendedConcurrency, CodecError> {
        Ok(RecommendedConcurrency::new_maximum(1))
    }
}

#[async_trait::async_trait]
impl ArrayToBytesCodecTraits for GribchunkCodec {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn ArrayToBytesCodecTraits> {
        self
    }

    fn encoded_representation(
        &self,
        _shape: &[NonZeroU64],
        data_type: &DataType,
        _fill_value: &FillValue,
    ) -> Result<BytesRepresentation, CodecError> {
        float_size(data_type)?;
        // A GRIB message may be shorter or (with local sections, or 32-bit codes) longer than the values.
        Ok(BytesRepresentation::UnboundedSize)
    }

    fn encode<'a>(
        &self,
        bytes: ArrayBytes<'a>,
        shape: &[NonZeroU64],
        data_type: &DataType,
        fill_value: &FillValue,
        options: &CodecOptions,
    ) -> Result<ArrayBytesRaw<'a>, CodecError> {
        float_size(data_type)?;
        let encoded = self.inner.encode(bytes, shape, data_type, fill_value, options)?;
        match PayloadKind::of(&encoded) {
            PayloadKind::Materialised => Ok(encoded),
            PayloadKind::Message => Err(CodecError::Other(
                "the inner codecs made a chunk that begins with GRIB: it could not be told from a message".into(),
            )),
        }
    }

    fn decode<'a>(
        &self,
        bytes: ArrayBytesRaw<'a>,
        shape: &[NonZeroU64],
        data_type: &DataType,
        fill_value: &FillValue,
        options: &CodecOptions,
    ) -> Result<ArrayBytes<'a>, CodecError> {
        float_size(data_type)?;
        match PayloadKind::of(&bytes) {
            PayloadKind::Message => self.picker().decode(&bytes, shape, data_type),
            PayloadKind::Materialised => self.inner.decode(bytes, shape, data_type, fill_value, options),
        }
    }

    fn partial_decoder(
        self: Arc<Self>,
        input_handle: Arc<dyn BytesPartialDecoderTraits>,
        shape: &[NonZeroU64],
        data_type: &DataType,
        fill_value: &FillValue,
        options: &CodecOptions,
    ) -> Result<Arc<dyn ArrayPartialDecoderTraits>, CodecError> {
        float_size(data_type)?;
        let payload = input_handle.decode(options)?.map(Cow::into_owned);
        match payload {
            Some(payload) if PayloadKind::of(&payload) == PayloadKind::Materialised => {
                let held: Arc<dyn BytesPartialDecoderTraits> = Arc::new(payload);
                self.inner.clone().partial_decoder(held, shape, data_type, fill_value, options)
            }
            message => Ok(Arc::new(FieldPartialDecoder::new(self.picker(), message, shape, data_type, fill_value))),
        }
    }

    async fn async_partial_decoder(
        self: Arc<Self>,
        input_handle: Arc<dyn AsyncBytesPartialDecoderTraits>,
        shape: &[NonZeroU64],
        data_type: &DataType,
        fill_value: &FillValue,
        options: &CodecOptions,
    ) -> Result<Arc<dyn AsyncArrayPartialDecoderTraits>, CodecError> {
        float_size(data_type)?;
        let payload = input_handle.decode(options).await?.map(Cow::into_owned);
        match payload {
            Some(payload) if PayloadKind::of(&payload) == PayloadKind::Materialised => {
                let held: Arc<dyn AsyncBytesPartialDecoderTraits> = Arc::new(payload);
                self.inner.clone().async_partial_decoder(held, shape, data_type, fill_value, options).await
            }
            message => Ok(Arc::new(FieldPartialDecoder::new(self.picker(), message, shape, data_type, fill_value))),
        }
    }
}
