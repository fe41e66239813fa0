//! What a chunk payload is, and values out of one that is a GRIB message.

use std::num::NonZeroU64;
use std::ops::Range;

use zarrs::array::codec::api::{
    ArrayBytes, ArrayPartialDecoderTraits, AsyncArrayPartialDecoderTraits, CodecError, CodecOptions,
};
use zarrs::array::{ChunkShape, DataType, FillValue, Indexer, data_type, transmute_to_bytes_vec};
use zarrs::storage::StorageError;

use super::gribberish::OnlyField;
use crate::grib::decode::{self, DecodeError, FieldSelector};
use crate::grib::packing::Sample;

/// The two kinds of stored chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// Begins with `GRIB`.
    Message,
    /// Made by the inner codec chain.
    Materialised,
}

impl PayloadKind {
    /// The kind of `payload`, by its first four bytes.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        if payload.starts_with(b"GRIB") { Self::Message } else { Self::Materialised }
    }
}

/// Bytes per element: 4 or 8.
///
/// # Errors
/// For any data type other than `float32` and `float64`.
pub fn float_size(data_type: &DataType) -> Result<usize, CodecError> {
    if *data_type == data_type::float32() {
        Ok(4)
    } else if *data_type == data_type::float64() {
        Ok(8)
    } else {
        let reason = "GRIB values are float32 or float64";
        Err(CodecError::Other(format!("data type {data_type:?} is not possible with this codec: {reason}")))
    }
}

/// Which field of a message a chunk is, and in which arrangement.
#[derive(Debug, Clone)]
pub(super) enum FieldPicker {
    /// Codec `gribchunk`.
    Selected(FieldSelector),
    /// Codec `gribberish`: the message's only field.
    Only(OnlyField),
}

impl FieldPicker {
    /// All elements of the chunk, native endian.
    pub(super) fn decode(
        &self,
        message: &[u8],
        shape: &[NonZeroU64],
        data_type: &DataType,
    ) -> Result<ArrayBytes<'static>, CodecError> {
        Ok(ArrayBytes::from(self.decode_elements(message, shape, data_type, 0..element_count(shape)?)?))
    }

    /// Elements `range` of the chunk in array order, native endian.
    pub(super) fn decode_elements(
        &self,
        message: &[u8],
        shape: &[NonZeroU64],
        data_type: &DataType,
        range: Range<usize>,
    ) -> Result<Vec<u8>, CodecError> {
        let elements = element_count(shape)?;
        if float_size(data_type)? == 4 {
            Ok(transmute_to_bytes_vec(self.values::<f32>(message, elements, range)?))
        } else {
            Ok(transmute_to_bytes_vec(self.values::<f64>(message, elements, range)?))
        }
    }

    /// The elements of `range` (array order) of a chunk of `elements`.
    fn values<T: Sample>(&self, message: &[u8], elements: usize, range: Range<usize>) -> Result<Vec<T>, CodecError> {
        let refused = |error: DecodeError| CodecError::Other(format!("GRIB message in the chunk: {error}"));
        match self {
            Self::Selected(selector) => decode::decode_message(message, selector, elements, range).map_err(refused),
            Self::Only(only) => only.values(message, elements, range).map_err(refused),
        }
    }

    fn subset<T: Sample>(
        &self,
        message: &[u8],
        shape: &[NonZeroU64],
        indexer: &dyn Indexer,
    ) -> Result<Vec<T>, CodecError> {
        let elements = element_count(shape)?;
        let dimensions: Vec<u64> = shape.iter().map(|size| size.get()).collect();
        let outside = || CodecError::Other("the subset reaches outside the chunk".into());
        let runs = indexer
            .iter_contiguous_linearised_indices(&dimensions)?
            .map(|(start, count)| {
                let start = usize::try_from(start).ok()?;
                let end = start.checked_add(usize::try_from(count).ok()?)?;
                (end <= elements).then_some(start..end)
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(outside)?;
        let Some(first) = runs.iter().map(|run| run.start).min() else { return Ok(Vec::new()) };
        let last = runs.iter().map(|run| run.end).max().unwrap_or(first);
        let span = self.values::<T>(message, elements, first..last)?;
        if let [_] = runs.as_slice() {
            return Ok(span);
        }
        let mut picked = Vec::with_capacity(usize::try_from(indexer.len()).map_err(|_| outside())?);
        for run in runs {
            picked.extend_from_slice(span.get(run.start - first..run.end - first).ok_or_else(outside)?);
        }
        Ok(picked)
    }
}

/// Elements of a chunk.
pub(crate) fn element_count(shape: &[NonZeroU64]) -> Result<usize, CodecError> {
    shape
        .iter()
        .try_fold(1u64, |product, size| product.checked_mul(size.get()))
        .and_then(|product| usize::try_from(product).ok())
        .ok_or_else(|| CodecError::Other(format!("a chunk of shape {shape:?} has too many elements")))
}

/// Serves subsets of one chunk that is a message, or is not there.
pub(super) struct FieldPartialDecoder {
    picker: FieldPicker,
    /// None: the chunk does not exist, every element is the fill value.
    message: Option<Vec<u8>>,
    shape: ChunkShape,
    data_type: DataType,
    fill_value: FillValue,
}

impl FieldPartialDecoder {
    pub(super) fn new(
        picker: FieldPicker,
        message: Option<Vec<u8>>,
        shape: &[NonZeroU64],
        data_type: &DataType,
        fill_value: &FillValue,
    ) -> Self {
        let (data_type, fill_value) = (data_type.clone(), fill_value.clone());
        Self { picker, message, shape: shape.to_vec(), data_type, fill_value }
    }

    fn subset(&self, indexer: &dyn Indexer) -> Result<ArrayBytes<'static>, CodecError> {
        let Some(message) = &self.message else {
            return Ok(ArrayBytes::new_fill_value(&self.data_type, indexer.len(), &self.fill_value)?);
        };
        let bytes = if float_size(&self.data_type)? == 4 {
            transmute_to_bytes_vec(self.picker.subset::<f32>(message, &self.shape, indexer)?)
        } else {
            transmute_to_bytes_vec(self.picker.subset::<f64>(message, &self.shape, indexer)?)
        };
        Ok(ArrayBytes::from(bytes))
    }

    fn held(&self) -> usize {
        self.message.as_ref().map_or(0, Vec::len)
    }
}

impl ArrayPartialDecoderTraits for FieldPartialDecoder {
    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    fn exists(&self) -> Result<bool, StorageError> {
        Ok(self.message.is_some())
    }

    fn size_held(&self) -> usize {
        self.held()
    }

    fn partial_decode(&self, indexer: &dyn Indexer, _options: &CodecOptions) -> Result<ArrayBytes<'_>, CodecError> {
        self.subset(indexer)
    }

    fn supports_partial_decode(&self) -> bool {
        true
    }
}

#[async_trait::async_trait]
impl AsyncArrayPartialDecoderTraits for FieldPartialDecoder {
    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    async fn exists(&self) -> Result<bool, StorageError> {
        Ok(self.message.is_some())
    }

    fn size_held(&self) -> usize {
        self.held()
    }

    async fn partial_decode<'a>(
        &'a self,
        indexer: &dyn Indexer,
        _options: &CodecOptions,
    ) -> Result<ArrayBytes<'a>, CodecError> {
        self.subset(indexer)
    }

    fn supports_partial_decode(&self) -> bool {
        true
    }
}
