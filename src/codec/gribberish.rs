//! The codec `gribberish`: arrays that VirtualiZarr and others write. Read only.
//!
//! A chunk is one GRIB message with one field. Without a layout nothing says which field belongs there, so a value is
//! only as certain as the reference: `unverified`.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
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

use super::payload::{FieldPartialDecoder, FieldPicker, float_size};
use crate::grib::decode::{self, DecodeError};
use crate::grib::error::GribError;
use crate::grib::grid::{Coordinates, Grid, GridShape};
use crate::grib::packing::Sample;

zarrs::plugin::impl_extension_aliases!(GribberishCodec, v3: "gribberish");

inventory::submit! {
    CodecPluginV3::new::<GribberishCodec>()
}

/// The configuration as VirtualiZarr writes it; every entry may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GribberishCodecConfiguration {
    /// `latitude` or `longitude`: the chunk is that coordinate of the grid, in degrees. Anything else: the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub var: Option<String>,
    /// Columns of a global grid in 0..360 are rolled so that longitudes ascend in -180..180.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adjust_longitude_range: bool,
    /// Rows are turned so that the northernmost (largest y) is the first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub north_up: bool,
}

/// The codec `gribberish`: see the module `codec`.
#[derive(Debug, Clone)]
pub struct GribberishCodec {
    configuration: GribberishCodecConfiguration,
}

impl GribberishCodec {
    /// The codec of `configuration`.
    #[must_use]
    pub fn new(configuration: GribberishCodecConfiguration) -> Self {
        Self { configuration }
    }

    /// Elements `elements` (array order, native endian) of the chunk that the message `payload` is.
    ///
    /// # Errors
    /// When the payload is not a message with one field, or damaged, or of another size.
    pub fn decode_elements(
        &self,
        payload: &[u8],
        shape: &[NonZeroU64],
        data_type: &DataType,
        elements: Range<usize>,
    ) -> Result<Vec<u8>, CodecError> {
        self.picker().decode_elements(payload, shape, data_type, elements)
    }

    fn picker(&self) -> FieldPicker {
        FieldPicker::Only(OnlyField { configuration: self.configuration.clone() })
    }
}

/// The only field of a message, arranged as the configuration says.
#[derive(Debug, Clone)]
pub(super) struct OnlyField {
    configuration: GribberishCodecConfiguration,
}

impl OnlyField {
    /// Elements `range` of the chunk.
    pub(super) fn values<T: Sample>(
        &self,
        message: &[u8],
        elements: usize,
        range: Range<usize>,
    ) -> Result<Vec<T>, DecodeError> {
        let fields = decode::fields_of(message)?;
        let [sections] = fields.as_slice() else {
            let wanted = "the only field of a message".into();
            return Err(DecodeError::OtherField { wanted, found: format!("{} fields", fields.len()) });
        };
        let grid = Grid::from_sections(sections)?;
        let coordinate = match self.configuration.var.as_deref() {
            Some("latitude") => Some(Coordinate::Latitude),
            Some("longitude") => Some(Coordinate::Longitude),
            _ => None,
        };
        let plain = !self.configuration.adjust_longitude_range && !self.configuration.north_up;
        if coordinate.is_none() && plain {
            return decode::decode_range(sections, &grid, elements, range);
        }
        let arrangement = Arrangement::of(&self.configuration, &grid)?;
        let all = match coordinate {
            None => arrangement.values(decode::decode_range(sections, &grid, elements, 0..elements)?),
            Some(coordinate) => arrangement.coordinate(&grid, coordinate)?.into_iter().map(T::from_f64).collect(),
        };
        if all.len() != elements {
            return Err(DecodeError::WrongSize { found: all.len(), expected: elements });
        }
        all.get(range.clone()).map(<[T]>::to_vec).ok_or(DecodeError::WrongSize { found: elements, expected: range.end })
    }
}

/// How rows and columns move.
struct Arrangement {
    columns: usize,
    /// Columns to the left of the one that becomes the first, when longitudes are put into -180..180.
    roll: Option<usize>,
    flip_rows: bool,
}

impl Arrangement {
    fn of(configuration: &GribberishCodecConfiguration, grid: &Grid) -> Result<Self, DecodeError> {
        let columns = match grid.shape() {
            GridShape::Rows { nx, .. } => nx.max(1),
            GridShape::Values { .. } => grid.points().max(1),
        };
        let mut arrangement = Self { columns, roll: None, flip_rows: false };
        match grid.coordinates()? {
            Some(Coordinates::Axes { latitude, longitude }) => {
                arrangement.flip_rows = configuration.north_up && ascending(&latitude);
                if configuration.adjust_longitude_range {
                    arrangement.roll = roll_of(&longitude);
                }
            }
            Some(Coordinates::Projected { y, .. }) => arrangement.flip_rows = configuration.north_up && ascending(&y),
            Some(Coordinates::Points { .. }) | None => {}
        }
        Ok(arrangement)
    }

    fn values<T: Sample>(&self, mut values: Vec<T>) -> Vec<T> {
        for row in values.chunks_exact_mut(self.columns) {
            let roll = self.roll.unwrap_or(0).min(row.len());
            row.rotate_left(roll);
        }
        if !self.flip_rows {
            return values;
        }
        values.chunks(self.columns).rev().flatten().copied().collect()
    }

    /// Degrees of every row or column where the grid has axes, of every point otherwise.
    fn coordinate(&self, grid: &Grid, coordinate: Coordinate) -> Result<Vec<f64>, DecodeError> {
        let unknown = || GribError::Unsupported {
            section: 3,
            template: 0,
            what: grid.coordinates_note().unwrap_or("the message holds no coordinates").to_string(),
        };
        match (grid.coordinates()?.ok_or_else(unknown)?, coordinate) {
            (Coordinates::Axes { mut latitude, .. }, Coordinate::Latitude) => {
                if self.flip_rows {
                    latitude.reverse();
                }
                Ok(latitude)
            }
            (Coordinates::Axes { mut longitude, .. }, Coordinate::Longitude) => {
                match self.roll {
                    Some(roll) => {
                        let roll = roll.min(longitude.len());
                        longitude.rotate_left(roll);
                        longitude.iter_mut().for_each(|degrees| *degrees = from_antimeridian(*degrees));
                    }
                    // Our axes ascend whatever their sign, those of this codec stay in 0..360.
                    None => longitude.iter_mut().for_each(|degrees| *degrees = degrees.rem_euclid(360.0)),
                }
                Ok(longitude)
            }
            (Coordinates::Projected { latitude, .. } | Coordinates::Points { latitude, .. }, Coordinate::Latitude) => {
                Ok(self.values(latitude))
            }
            (
                Coordinates::Projected { longitude, .. } | Coordinates::Points { longitude, .. },
                Coordinate::Longitude,
            ) => Ok(self.values(longitude)),
        }
    }
}

#[derive(Clone, Copy)]
enum Coordinate {
    Latitude,
    Longitude,
}

fn ascending(axis: &[f64]) -> bool {
    matches!((axis.first(), axis.last()), (Some(first), Some(last)) if first < last)
}

/// Columns to roll an eastward axis that goes round the globe once, so that it ascends from -180; None for other axes.
fn roll_of(longitudes: &[f64]) -> Option<usize> {
    let (first, second) = (longitudes.first()?, longitudes.get(1)?);
    let step = second - first;
    let global = step > 0.0 && (longitudes.len() as f64 * step - 360.0).abs() < step / 4.0;
    let westernmost = longitudes
        .iter()
        .enumerate()
        .min_by(|(_, one), (_, other)| from_antimeridian(**one).total_cmp(&from_antimeridian(**other)));
    westernmost.filter(|_| global).map(|(column, _)| column)
}

/// The longitude in -180..180.
fn from_antimeridian(degrees: f64) -> f64 {
    (degrees + 180.0).rem_euclid(360.0) - 180.0
}

impl CodecTraitsV3 for GribberishCodec {
    fn create(metadata: &MetadataV3) -> Result<Codec, PluginCreateError> {
        let configuration: GribberishCodecConfiguration = metadata.to_typed_configuration()?;
        Ok(Codec::ArrayToBytes(Arc::new(Self::new(configuration))))
    }
}

impl CodecTraits for GribberishCodec {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn configuration(&self, _version: ZarrVersion, _options: &CodecMetadataOptions) -> Option<Configuration> {
        let json = match serde_json::to_value(&self.configuration) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        };
        Some(json.into())
    }

    fn partial_decoder_capability(&self) -> PartialDecoderCapability {
        PartialDecoderCapability { partial_read: true, partial_decode: true }
    }

    fn partial_encoder_capability(&self) -> PartialEncoderCapability {
        PartialEncoderCapability { partial_encode: false }
    }
}

impl ArrayCodecTraits for GribberishCodec {
    fn recommended_concurrency(
        &self,
        _shape: &[NonZeroU64],
        _data_type: &DataType,
    ) -> Result<RecommendedConcurrency, CodecError> {
        Ok(RecommendedConcurrency::new_maximum(1))
    }
}

#[async_trait::async_trait]
impl ArrayToBytesCodecTraits for GribberishCodec {
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
        Ok(BytesRepresentation::UnboundedSize)
    }

    fn encode<'a>(
        &self,
        _bytes: ArrayBytes<'a>,
        _shape: &[NonZeroU64],
        _data_type: &DataType,
        _fill_value: &FillValue,
        _options: &CodecOptions,
    ) -> Result<ArrayBytesRaw<'a>, CodecError> {
        Err(CodecError::Other(
            "codec gribberish cannot encode: make the array with codec gribchunk to write to it".into(),
        ))
    }

    fn decode<'a>(
        &self,
        bytes: ArrayBytesRaw<'a>,
        shape: &[NonZeroU64],
        data_type: &DataType,
        _fill_value: &FillValue,
        _options: &CodecOptions,
    ) -> Result<ArrayBytes<'a>, CodecError> {
        self.picker().decode(&bytes, shape, data_type)
    }

    fn partial_decoder(
        self: Arc<Self>,
        input_handle: Arc<dyn BytesPartialDecoderTraits>,
        shape: &[NonZeroU64],
        data_type: &DataType,
        fill_value: &FillValue,
        options: &CodecOptions,
    ) -> Result<Arc<dyn ArrayPartialDecoderTraits>, CodecError> {
        let message = input_handle.decode(options)?.map(Cow::into_owned);
        Ok(Arc::new(FieldPartialDecoder::new(self.picker(), message, shape, data_type, fill_value)))
    }

    async fn async_partial_decoder(
        self: Arc<Self>,
        input_handle: Arc<dyn AsyncBytesPartialDecoderTraits>,
        shape: &[NonZeroU64],
        data_type: &DataType,
        fill_value: &FillValue,
        options: &CodecOptions,
    ) -> Result<Arc<dyn AsyncArrayPartialDecoderTraits>, CodecError> {
        let message = input_handle.decode(options).await?.map(Cow::into_owned);
        Ok(Arc::new(FieldPartialDecoder::new(self.picker(), message, shape, data_type, fill_value)))
    }
}
