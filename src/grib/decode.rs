//! Values of one field, in the array's order, from the bytes of its message.
//!
//! [`decode_message`] finds the field that a [`FieldSelector`] describes and decodes it; [`decode_field`] does so for sections
//! that are at hand. Values are put into the array's order (rows as the grid's coordinates say, x fastest); missing
//! values are NaN.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::GribError;
use super::grid::Grid;
use super::key::{FieldKey, GridDigest, ParameterNumbers};
use super::packing::{self, DecodeReport, Offsets, Sample};
use super::sections::FieldSections;
use super::walk::{self, Found};

/// Which field of a message is meant: what the configuration of the codec `gribchunk` holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldSelector {
    /// What is measured.
    pub parameter: ParameterIdentity,
    /// ecCodes `typeOfLevel`.
    #[serde(rename = "typeOfLevel")]
    pub type_of_level: String,
    /// The grid, as 32 hexadecimal digits in JSON.
    #[serde(serialize_with = "write_digest", deserialize_with = "read_digest")]
    pub grid: GridDigest,
}

impl FieldSelector {
    /// The selector that matches `key` and every field that differs from it only in time, step, level, member or statistic.
    #[must_use]
    pub fn of(key: &FieldKey) -> Self {
        let parameter = ParameterIdentity::of(key);
        Self { parameter, type_of_level: key.type_of_level.to_string(), grid: key.grid }
    }

    /// Whether the field of `key` is meant.
    #[must_use]
    pub fn matches(&self, key: &FieldKey) -> bool {
        self.grid == key.grid && self.type_of_level == key.type_of_level && self.parameter.matches(key)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}, grid {}", self.parameter, self.type_of_level, self.grid)
    }
}

/// What is measured: ecCodes' paramId, or the message's own numbers where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "ParameterForm", from = "ParameterForm")]
pub enum ParameterIdentity {
    /// ecCodes `paramId`.
    ParamId(u32),
    /// GRIB 2: section 1 octets 6-7, section 0 octet 7, section 4 octets 10 and 11.
    Grib2 { centre: u16, discipline: u8, category: u8, number: u8 },
    /// GRIB 1: section 1 octets 5, 4 and 9.
    Grib1 { centre: u16, table2_version: u8, indicator: u8 },
}

impl ParameterIdentity {
    /// The paramId of the field if it is known, otherwise its numbers.
    #[must_use]
    pub fn of(key: &FieldKey) -> Self {
        match key.names {
            Some(names) if names.param_id != 0 => Self::ParamId(names.param_id),
            _ => Self::numbers_of(key),
        }
    }

    /// Whether the field of `key` has this parameter. Numbers are compared with the message's numbers even if the tables
    /// know a paramId for them: an array keeps its identity when the tables grow.
    #[must_use]
    pub fn matches(&self, key: &FieldKey) -> bool {
        match self {
            Self::ParamId(_) => *self == Self::of(key),
            Self::Grib2 { .. } | Self::Grib1 { .. } => *self == Self::numbers_of(key),
        }
    }

    fn numbers_of(key: &FieldKey) -> Self {
        let centre = key.centre;
        match key.parameter {
            ParameterNumbers::Grib2 { discipline, category, number, .. } => {
                Self::Grib2 { centre, discipline, category, number }
            }
            ParameterNumbers::Grib1 { table2_version, indicator } => Self::Grib1 { centre, table2_version, indicator },
        }
    }
}

impl fmt::Display for ParameterIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ParamId(id) => write!(f, "paramId {id}"),
            Self::Grib2 { centre, discipline, category, number } => {
                write!(f, "parameter {discipline}/{category}/{number} of centre {centre}")
            }
            Self::Grib1 { centre, table2_version, indicator } => {
                write!(f, "parameter {indicator} of table {table2_version} of centre {centre}")
            }
        }
    }
}

/// The JSON forms of [`ParameterIdentity`], with ecCodes' key names.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ParameterForm {
    ParamId(ParamIdForm),
    Grib2(Grib2Form),
    Grib1(Grib1Form),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ParamIdForm {
    param_id: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Grib2Form {
    centre: u16,
    discipline: u8,
    parameter_category: u8,
    parameter_number: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grib1Form {
    centre: u16,
    #[serde(rename = "table2Version")]
    table2_version: u8,
    #[serde(rename = "indicatorOfParameter")]
    indicator: u8,
}

impl From<ParameterIdentity> for ParameterForm {
    fn from(identity: ParameterIdentity) -> Self {
        match identity {
            ParameterIdentity::ParamId(param_id) => Self::ParamId(ParamIdForm { param_id }),
            ParameterIdentity::Grib2 { centre, discipline, category, number } => {
                let (parameter_category, parameter_number) = (category, number);
                Self::Grib2(Grib2Form { centre, discipline, parameter_category, parameter_number })
            }
            ParameterIdentity::Grib1 { centre, table2_version, indicator } => {
                Self::Grib1(Grib1Form { centre, table2_version, indicator })
            }
        }
    }
}

impl From<ParameterForm> for ParameterIdentity {
    fn from(form: ParameterForm) -> Self {
        match form {
            ParameterForm::ParamId(form) => Self::ParamId(form.param_id),
            ParameterForm::Grib2(form) => Self::Grib2 {
                centre: form.centre,
                discipline: form.discipline,
                category: form.parameter_category,
                number: form.parameter_number,
            },
            ParameterForm::Grib1(form) => {
                Self::Grib1 { centre: form.centre, table2_version: form.table2_version, indicator: form.indicator }
            }
        }
    }
}

/// A digest as 32 hexadecimal digits.
pub(crate) fn write_digest<S: Serializer>(digest: &GridDigest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

/// A digest from 32 hexadecimal digits.
pub(crate) fn read_digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GridDigest, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_digest(&text).ok_or_else(|| serde::de::Error::custom(format!("grid {text:?} is not 32 hexadecimal digits")))
}

/// The digest that is written as 32 hexadecimal digits, lower or upper case.
#[must_use]
pub fn parse_digest(text: &str) -> Option<GridDigest> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(|value| GridDigest(value.to_be_bytes()))
}

/// Why the values of a field were not returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not a message, or not one that can be decoded.
    #[error(transparent)]
    Grib(#[from] GribError),
    /// No field of the message is the one asked for.
    #[error("the array holds {wanted}; the message holds {found}")]
    OtherField { wanted: String, found: String },
    /// Several fields of the message are the one asked for.
    #[error("the array holds {wanted}; {count} fields of the message are that: {found}")]
    Ambiguous { wanted: String, count: usize, found: String },
    /// The field has another number of values than the chunk.
    #[error("the field has {found} grid points, but the chunk has {expected} elements")]
    WrongSize { found: usize, expected: usize },
}

/// A field that was found in a message.
#[derive(Debug)]
pub struct SelectedField<'a> {
    /// Its sections, as slices of the message.
    pub sections: FieldSections<'a>,
    /// What it is.
    pub key: FieldKey,
}

/// THE field of `message` that `selector` describes.
///
/// # Errors
/// [`DecodeError::OtherField`] and [`DecodeError::Ambiguous`] with both sides named; [`DecodeError::Grib`] when `message` is
/// not exactly one whole message.
pub fn select_field<'a>(message: &'a [u8], selector: &FieldSelector) -> Result<SelectedField<'a>, DecodeError> {
    let mut found = Vec::new();
    let mut others = Vec::new();
    for sections in fields_of(message)? {
        let key = FieldKey::from_sections(&sections)?;
        if selector.matches(&key) {
            found.push(SelectedField { sections, key });
        } else {
            others.push(describe(&key));
        }
    }
    match (found.len(), found.pop()) {
        (1, Some(field)) => Ok(field),
        (0, _) | (_, None) => Err(DecodeError::OtherField { wanted: selector.to_string(), found: listed(others) }),
        (count, Some(last)) => {
            let mut names: Vec<_> = found.iter().map(|field| describe(&field.key)).collect();
            names.push(describe(&last.key));
            Err(DecodeError::Ambiguous { wanted: selector.to_string(), count, found: listed(names) })
        }
    }
}

/// The fields of `message`, which must be exactly one whole message: no byte more or less.
///
/// # Errors
/// [`DecodeError::Grib`] when it is not.
pub fn fields_of(message: &[u8]) -> Result<Vec<FieldSections<'_>>, DecodeError> {
    match walk::messages(message).next() {
        Some(Found::Message(found)) if found.offset == 0 && found.bytes.len() == message.len() => {
            Ok(found.fields().collect::<Result<_, _>>()?)
        }
        Some(Found::Message(found)) if found.offset == 0 => {
            let what = format!("the message has {} bytes, {} are there", found.bytes.len(), message.len());
            Err(GribError::Malformed { offset: found.length(), section: 8, what }.into())
        }
        Some(Found::Broken(broken)) if broken.offset == 0 => Err(broken.reason.into()),
        _ => Err(GribError::NotGrib { offset: 0 }.into()),
    }
}

/// The values of elements `range` (array order) of the field of `message` that `selector` describes.
///
/// `elements` is the size of the whole chunk: the field must have as many grid points.
///
/// # Errors
/// As [`select_field`]; [`DecodeError::WrongSize`] when the grid has another size.
pub fn decode_message<T: Sample>(
    message: &[u8],
    selector: &FieldSelector,
    elements: usize,
    range: Range<usize>,
) -> Result<Vec<T>, DecodeError> {
    let field = select_field(message, selector)?;
    let grid = Grid::from_sections(&field.sections)?;
    decode_range(&field.sections, &grid, elements, range)
}

/// The values of elements `range` (array order) of one field of `elements` grid points.
///
/// # Errors
/// [`DecodeError::WrongSize`] when the grid has another size or `range` ends behind it; [`DecodeError::Grib`] when the values
/// cannot be unpacked.
pub fn decode_range<T: Sample>(
    sections: &FieldSections<'_>,
    grid: &Grid,
    elements: usize,
    range: Range<usize>,
) -> Result<Vec<T>, DecodeError> {
    let points = grid.points();
    if points != elements || range.end > elements || range.start > range.end {
        return Err(DecodeError::WrongSize { found: points, expected: elements.max(range.end) });
    }
    if range.len() < points && grid.order().is_identity() {
        let mut part = vec![T::MISSING; range.len()];
        match packing::decode_range(sections, points, range.clone(), None, &mut part) {
            Ok(_) => return Ok(part),
            Err(GribError::Unsupported { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut all = vec![T::MISSING; points];
    decode_field(sections, grid, &mut all)?;
    all.truncate(range.end);
    all.drain(..range.start);
    Ok(all)
}

/// All values of one field into `out`, in the array's order; missing values are NaN.
///
/// # Errors
/// [`DecodeError::WrongSize`] when `out` has not one element per grid point; [`DecodeError::Grib`] when the values cannot be
/// unpacked.
pub fn decode_field<T: Sample>(
    sections: &FieldSections<'_>,
    grid: &Grid,
    out: &mut [T],
) -> Result<DecodeReport, DecodeError> {
    let points = check_size(grid, out.len())?;
    let report = packing::decode(sections, points, out)?;
    grid.order().rearrange(out)?;
    Ok(report)
}

/// As [`decode_field`], with the offsets at which decoding can begin in the middle. They count in message order.
///
/// # Errors
/// As [`decode_field`].
pub fn decode_field_with_offsets<T: Sample>(
    sections: &FieldSections<'_>,
    grid: &Grid,
    out: &mut [T],
) -> Result<(DecodeReport, Offsets), DecodeError> {
    let points = check_size(grid, out.len())?;
    let decoded = packing::decode_with_offsets(sections, points, out)?;
    grid.order().rearrange(out)?;
    Ok(decoded)
}

fn check_size(grid: &Grid, expected: usize) -> Result<usize, DecodeError> {
    let found = grid.points();
    if found == expected { Ok(found) } else { Err(DecodeError::WrongSize { found, expected }) }
}

fn describe(key: &FieldKey) -> String {
    let selector = FieldSelector::of(key);
    match key.names {
        Some(names) => format!("{} ({selector})", names.short_name),
        None => selector.to_string(),
    }
}

fn listed(mut names: Vec<String>) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let text = names.join("; ");
    if more > 0 { format!("{text}; and {more} more") } else { text }
}

#[cfg(test)]
mod tests;
