//! The fields of GRIB files, like `grib_ls`.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::grib::grid::{Grid, GridKeys};
use crate::grib::header::FieldHeader;
use crate::grib::packing::{Packing, PackingKeys};
use crate::grib::sections::FieldSections;
use crate::grib::walk::RangedRead;
use crate::grib::{packing, sections, walk};
use crate::source::{self, MESSAGE_GAP, PatternValues, Reader, Remote, SourceFile};

/// Messages that are held at a time.
const READ_AT_A_TIME: usize = 16;

/// Statistics of a field's values, in the order of the message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldValues {
    /// Points of the grid.
    pub count: usize,
    /// Masked points.
    pub missing: usize,
    /// Over the values that are not missing, of the float64 values.
    pub min: Option<f64>,
    /// The largest value that is not masked.
    pub max: Option<f64>,
    /// The mean of the values that are not masked.
    pub mean: Option<f64>,
    /// SHA-256 of the values as little-endian float32, missing as 0x7fc00000.
    pub sha256_f32le: String,
}

/// One field, with ecCodes' key names.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldListing {
    /// Path of the GRIB file.
    pub file: String,
    /// The message's number in its file, from 1.
    pub message: usize,
    /// First byte of the message.
    pub offset: u64,
    /// Length of the message in bytes.
    pub length: u64,
    /// The field's number in its message, from 1; left out when the message has one field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submessage: Option<u32>,
    /// The name of its variable in a cube.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// What the field is; `None` for a broken message.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub header: Option<FieldHeader>,
    /// Where its points are.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub grid: Option<GridKeys>,
    /// How its values are packed.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub packing: Option<PackingKeys>,
    /// Masked points, when the values were asked for: not every packing's headers say how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_missing: Option<usize>,
    /// Statistics of the values, when they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<FieldValues>,
    /// Which decoder was used for the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// Why the field, or its values, cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Calls `found` with each field of the sources, in order. With `values` the fields are decoded.
///
/// # Errors
/// When a source does not exist. What cannot be read is listed with its reason.
pub fn list_fields(sources: &[String], values: bool, found: impl FnMut(FieldListing)) -> Result<()> {
    let sources = sources.to_vec();
    let listed = crate::store::block_on(async move {
        let mut listed = Vec::new();
        list_fields_of(&sources, &Remote::default(), values, &mut |field| listed.push(field)).await?;
        Ok::<_, Error>(listed)
    })??;
    listed.into_iter().for_each(found);
    Ok(())
}

/// [`list_fields`], with remote sources reached as the user says.
pub async fn list_fields_of(
    sources: &[String],
    remote: &Remote,
    values: bool,
    found: &mut impl FnMut(FieldListing),
) -> Result<()> {
    for file in source::find(sources, remote, &PatternValues::default()).await?.files {
        list_file(&file, remote, values, found).await?;
    }
    Ok(())
}

async fn list_file(
    source: &SourceFile,
    remote: &Remote,
    values: bool,
    found: &mut impl FnMut(FieldListing),
) -> Result<()> {
    let name = source.location.to_string();
    let empty = |offset, length, error: Option<String>| FieldListing {
        file: name.clone(),
        message: 0,
        offset,
        length,
        submessage: None,
        variables: Vec::new(),
        header: None,
        grid: None,
        packing: None,
        number_of_missing: None,
        values: None,
        decoder: None,
        error,
    };
    let file = match Reader::open(&source.location, source.listed.as_ref(), remote).await {
        Ok(file) => file,
        Err(error) => {
            found(empty(0, 0, Some(error.to_string())));
            return Ok(());
        }
    };
    let unreadable = |e: std::io::Error| Error::Source { location: name.clone(), reason: e.to_string() };
    let places: Vec<Place> = match file.local() {
        Some(file) => places(file).map_err(unreadable)?,
        None => {
            let walkable = file.walkable(tokio::runtime::Handle::current()).await?;
            let walk = tokio::task::spawn_blocking(move || places(&walkable));
            walk.await.map_err(Error::repository("looking for messages"))?.map_err(unreadable)?
        }
    };
    let mut message_number = 0;
    for places in places.chunks(READ_AT_A_TIME) {
        let messages: Vec<(u64, u64)> = places.iter().filter(|p| p.2.is_none()).map(|p| (p.0, p.1)).collect();
        let mut read = file.read_many(&messages, MESSAGE_GAP).await.into_iter();
        for (offset, length, broken) in places {
            if broken.is_some() {
                found(empty(*offset, *length, broken.clone()));
                continue;
            }
            message_number += 1;
            let Some(bytes) = read.next().transpose()? else { continue };
            let fields: Vec<_> = sections::fields(&bytes).collect();
            let several = fields.len() > 1;
            for (number, field) in (1..).zip(fields) {
                let mut listing = empty(*offset, *length, None);
                listing.message = message_number;
                listing.submessage = several.then_some(number);
                match field {
                    Ok(sections) => describe(&sections, values, &mut listing),
                    Err(error) => listing.error = Some(error.to_string()),
                }
                found(listing);
            }
        }
    }
    if message_number == 0 {
        let reason = if file.fingerprint().size == 0 { "the file is empty" } else { "no whole GRIB message" };
        found(empty(0, 0, Some(reason.into())));
    }
    Ok(())
}

/// Offset and length of a message, or of what looks like one, and why it is none.
type Place = (u64, u64, Option<String>);

fn places<R: RangedRead>(file: &R) -> std::io::Result<Vec<Place>> {
    walk::ranged_messages(file)
        .map(|item| {
            Ok(match item? {
                walk::Found::Broken(broken) => (broken.offset, broken.claimed_length, Some(broken.reason.to_string())),
                walk::Found::Message(message) => (message.offset, message.length, None),
            })
        })
        .collect()
}

fn describe(sections: &FieldSections<'_>, values: bool, listing: &mut FieldListing) {
    let mut errors = Vec::new();
    match FieldHeader::from_sections(sections) {
        Ok(header) => listing.header = Some(header),
        Err(error) => errors.push(error.to_string()),
    }
    if let Ok(key) = crate::grib::key::FieldKey::from_sections(sections) {
        listing.variables = crate::cube::select::variable_names(&key);
    }
    match Grid::keys_of(sections) {
        Ok(keys) => listing.grid = Some(keys),
        Err(error) => errors.push(error.to_string()),
    }
    match Packing::from_sections(sections) {
        Ok(packing) => listing.packing = Some(packing.keys().clone()),
        Err(error) => errors.push(error.to_string()),
    }
    if values && errors.is_empty() {
        match field_values(sections) {
            Ok((values, decoder)) => {
                listing.number_of_missing = Some(values.missing);
                listing.values = Some(values);
                listing.decoder = Some(decoder);
            }
            Err(error) => errors.push(error),
        }
    }
    errors.dedup();
    listing.error = (!errors.is_empty()).then(|| errors.join("; "));
}

/// The statistics of a field's values, and the decoder that made them.
pub(super) fn field_values(sections: &FieldSections<'_>) -> std::result::Result<(FieldValues, String), String> {
    let grid = Grid::from_sections(sections).map_err(|e| e.to_string())?;
    let mut values = vec![f64::NAN; grid.points()];
    let report = packing::decode(sections, grid.points(), &mut values).map_err(|e| e.to_string())?;
    Ok((statistics(&values), report.decoder.to_string()))
}

/// Statistics of values that are NaN where they are missing.
pub(super) fn statistics(values: &[f64]) -> FieldValues {
    let mut statistics =
        FieldValues { count: values.len(), missing: 0, min: None, max: None, mean: None, sha256_f32le: String::new() };
    let mut hash = Sha256::new();
    let mut bytes = Vec::with_capacity(values.len().min(1 << 16) * 4);
    let mut sum = 0.0;
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for part in values.chunks(1 << 16) {
        bytes.clear();
        for &value in part {
            // One rounding from float64; missing is the quiet NaN with no payload.
            let single = if value.is_nan() { f32::from_bits(0x7fc0_0000) } else { value as f32 };
            bytes.extend_from_slice(&single.to_le_bytes());
            if value.is_nan() {
                statistics.missing += 1;
            } else {
                sum += value;
                min = min.min(value);
                max = max.max(value);
            }
        }
        hash.update(&bytes);
    }
    let present = statistics.count - statistics.missing;
    if present > 0 {
        (statistics.min, statistics.max) = (Some(min), Some(max));
        statistics.mean = Some(sum / present as f64);
    }
    statistics.sha256_f32le = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    statistics
}
