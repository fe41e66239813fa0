//! What a field *is*.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::Result;
use super::memory::KeyMemory;
use super::names::ParameterNames;
use super::octets::u8_at;
use super::sections::FieldSections;
use super::time::{CivilTime, StepUnit, range_text, step_text};
use super::{grib1, grib2, names};

/// `value * 10^-scale`, with trailing zeros removed so that equal numbers are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decimal {
    pub value: i64,
    pub scale: i8,
}

/// The numbers that name a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ParameterNumbers {
    /// GRIB 2: section 0 octet 7, section 4 octets 10 and 11, and section 1's table versions.
    Grib2 { discipline: u8, category: u8, number: u8, tables_version: u8, local_tables_version: u8 },
    /// GRIB 1: section 1 octets 4 and 9.
    Grib1 { table2_version: u8, indicator: u8 },
}

/// What makes a field of an ensemble or of its products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Derived {
    /// A forecast or analysis: deterministic, control or member.
    Forecast,
    /// Code table 4.7 (0 unweighted mean, 4 spread, ...).
    Ensemble(u8),
    /// Code table 4.9 with the limits.
    Probability { kind: u8, lower: Option<Decimal>, upper: Option<Decimal> },
    /// 0-100.
    Percentile(u8),
    /// A product template that says something else (clusters, ...): its number.
    Other(u16),
}

/// MARS keys: from ECMWF's local section, or from an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mars {
    pub class: Cow<'static, str>,
    pub stream: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    pub expver: [u8; 4],
}

/// ecCodes `stepType`: how values are made from the interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepType {
    Instant,
    Average,
    Accumulation,
    Maximum,
    Minimum,
    Difference,
    RootMeanSquare,
    StandardDeviation,
    Covariance,
    Ratio,
    Sum,
    Other(u8),
}

/// 128 bits of SHA-256 over the edition and the grid section without its length: equal for equal grids.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GridDigest(pub [u8; 16]);

/// What a field is. Two fields with equal keys are the same field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldKey {
    pub edition: u8,
    pub centre: u16,
    pub sub_centre: u16,
    pub mars: Option<Mars>,
    pub generating_process: Option<u8>,
    pub parameter: ParameterNumbers,
    /// None: not in the tables; `short_name()` etc. then speak the numbers.
    pub names: Option<&'static ParameterNames>,
    /// ecCodes `typeOfLevel`, "unknown" when there is none.
    pub type_of_level: &'static str,
    /// Code table 4.5 (GRIB 1: table 3 and 0).
    pub surfaces: (u8, u8),
    /// In the unit that `type_of_level` implies (hPa for isobaricInhPa, m, K, layer number, ...). None: the surface has no value.
    pub level: Option<Decimal>,
    /// The other side of a layer (top is `level` ... as ecCodes' topLevel / bottomLevel: level = topLevel, level2 = bottomLevel).
    pub level2: Option<Decimal>,
    pub derived: Derived,
    /// ecCodes `number` (perturbationNumber); None when the product is not a member of an ensemble.
    pub number: Option<u32>,
    /// Reference time, seconds since 1970-01-01T00:00:00Z; None when the message says missing.
    pub time: Option<i64>,
    /// End of the step in seconds after `time` (ecCodes endStep).
    pub step: i64,
    /// Start of the interval in seconds after `time`; None for an instant.
    pub step_start: Option<i64>,
    pub step_type: StepType,
    /// Anything else that tells fields apart: ecCodes key and number (constituentType, directionNumber, frequencyNumber,
    /// hindcast dates, a digest of an unknown template, ...), sorted by key. Usually empty.
    pub extra: Vec<(&'static str, i64)>,
    pub grid: GridDigest,
}

impl FieldKey {
    /// What the sections say the field is.
    ///
    /// # Errors
    /// `Malformed` or `Unsupported`, with the section, when sections are shorter than their templates or the step cannot
    /// be told.
    pub fn from_sections(sections: &FieldSections<'_>) -> Result<Self> {
        Self::with_memory(sections, &mut KeyMemory::for_one_field())
    }

    /// As [`from_sections`](Self::from_sections), remembering grid and names for the next field: most fields of a file
    /// share them.
    ///
    /// # Errors
    /// Those of `from_sections`.
    pub fn with_memory(sections: &FieldSections<'_>, memory: &mut KeyMemory) -> Result<Self> {
        if sections.edition == 1 {
            grib1::Product::new(sections)?.key(memory)
        } else {
            grib2::Product::new(sections)?.key(memory)
        }
    }

    /// ecCodes `shortName`. A parameter that has none is spoken by its numbers: `p0.1.193.98` is discipline, category,
    /// number and centre, `p128.167.98` (GRIB 1) is table, indicator and centre.
    #[must_use]
    pub fn short_name(&self) -> Cow<'static, str> {
        self.named(|names| names.short_name, '.')
    }

    /// ecCodes `cfVarName`, which is cfgrib's name of the variable: a valid name in Zarr. Without one, `p0_1_193_98`.
    #[must_use]
    pub fn cf_var_name(&self) -> Cow<'static, str> {
        self.named(|names| names.cf_var_name, '_')
    }

    fn named(&self, name: impl Fn(&'static ParameterNames) -> &'static str, separator: char) -> Cow<'static, str> {
        match self.names.map(name).filter(|name| !name.is_empty() && *name != "unknown") {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(self.parameter.text(self.centre, separator)),
        }
    }

    /// ecCodes `stepRange`: `6`, `0-6`, `30m`, `0m-30m`; hours unless suffixed.
    #[must_use]
    pub fn step_range(&self) -> String {
        let start = self.step_start.unwrap_or(self.step);
        let unit = StepUnit::of(start, self.step);
        range_text(start, self.step, |seconds| match self.edition {
            // ecCodes prints steps of GRIB 1 as integers.
            1 => {
                format!("{}{}", seconds / unit.seconds(), if unit == StepUnit::Hour { "" } else { unit.abbreviation() })
            }
            _ => step_text(seconds, unit),
        })
    }

    /// The end of the step in hours.
    #[must_use]
    pub fn step_hours(&self) -> f64 {
        self.step as f64 / 3600.0
    }

    /// ecCodes `level` as a number with its fraction: the top of a layer, but the bottom of layers that are numbered by it
    /// (soil, snow, sea ice, ocean model). 0 where the surface has no value.
    #[must_use]
    pub fn level_f64(&self) -> f64 {
        let level = if is_numbered_by_bottom(self.edition, self.surfaces) { self.level2 } else { self.level };
        level.map_or(0.0, Decimal::to_f64)
    }
}

/// Layers whose number, in ecCodes, is that of their lower side.
pub(crate) fn is_numbered_by_bottom(edition: u8, surfaces: (u8, u8)) -> bool {
    edition == 2 && surfaces.0 == surfaces.1 && matches!(surfaces.0, 114 | 151 | 152 | 168)
}

impl ParameterNumbers {
    /// `p0.1.193.98` or `p128.167.98`, with any separator.
    fn text(self, centre: u16, separator: char) -> String {
        match self {
            ParameterNumbers::Grib2 { discipline, category, number, .. } => {
                format!("p{discipline}{separator}{category}{separator}{number}{separator}{centre}")
            }
            ParameterNumbers::Grib1 { table2_version, indicator } => {
                format!("p{table2_version}{separator}{indicator}{separator}{centre}")
            }
        }
    }
}

impl StepType {
    /// Code table 4.10.
    pub(crate) fn from_grib2(code: u8) -> Self {
        match code {
            0 => StepType::Average,
            1 => StepType::Accumulation,
            2 => StepType::Maximum,
            3 => StepType::Minimum,
            4 => StepType::Difference,
            5 => StepType::RootMeanSquare,
            6 => StepType::StandardDeviation,
            7 => StepType::Covariance,
            9 => StepType::Ratio,
            11 => StepType::Sum,
            255 => StepType::Instant,
            other => StepType::Other(other),
        }
    }

    /// ecCodes `stepType`; a code without a name is its number.
    #[must_use]
    pub fn ec_codes_name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            StepType::Instant => "instant",
            StepType::Average => "avg",
            StepType::Accumulation => "accum",
            StepType::Maximum => "max",
            StepType::Minimum => "min",
            StepType::Difference => "diff",
            StepType::RootMeanSquare => "rms",
            StepType::StandardDeviation => "sd",
            StepType::Covariance => "cov",
            StepType::Ratio => "ratio",
            StepType::Sum => "sum",
            // GRIB 2, code table 4.10.
            StepType::Other(8) => "sdiff",
            StepType::Other(10) => "stdanom",
            StepType::Other(100) => "severity",
            StepType::Other(101) => "mode",
            StepType::Other(102) => "index",
            // GRIB 1, code table 5.
            StepType::Other(113) => "avgfc",
            StepType::Other(123) => "avgua",
            StepType::Other(124) => "avgia",
            StepType::Other(128) => "avgas",
            StepType::Other(129) => "varas",
            StepType::Other(130) => "avgad",
            StepType::Other(131) => "varad",
            StepType::Other(132) => "varins",
            StepType::Other(133) => "avgid",
            StepType::Other(other) => return Cow::Owned(other.to_string()),
        })
    }
}

/// Reads well in errors: `t isobaricInhPa 500, time 2026-11-21T00, step 6 h, number 3, ecmf`.
impl fmt::Display for FieldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.short_name())?;
        if self.type_of_level == "unknown" {
            write!(f, " level type {}/{}", self.surfaces.0, self.surfaces.1)?;
        } else {
            write!(f, " {}", self.type_of_level)?;
        }
        match (self.level, self.level2) {
            (Some(level), Some(level2)) => write!(f, " {level}-{level2}")?,
            (Some(level), None) => write!(f, " {level}")?,
            (None, Some(level2)) => write!(f, " to {level2}")?,
            (None, None) => {}
        }
        match self.time {
            Some(time) => write!(f, ", time {}", CivilTime::from_seconds_since_1970(time))?,
            None => write!(f, ", no time")?,
        }
        let step = self.step_range();
        let unit = if step.ends_with(|c: char| c.is_ascii_digit()) { " h" } else { "" };
        write!(f, ", step {step}{unit}")?;
        if self.step_type != StepType::Instant {
            write!(f, " {}", self.step_type.ec_codes_name())?;
        }
        if let Some(number) = self.number {
            write!(f, ", number {number}")?;
        }
        match self.derived {
            Derived::Forecast => {}
            Derived::Ensemble(0 | 1) => write!(f, ", ensemble mean")?,
            Derived::Ensemble(2..=4) => write!(f, ", ensemble spread")?,
            Derived::Ensemble(code) => write!(f, ", derived forecast {code}")?,
            Derived::Percentile(percentile) => write!(f, ", percentile {percentile}")?,
            Derived::Probability { kind, lower, upper } => {
                write!(f, ", probability type {kind}")?;
                if let Some(lower) = lower {
                    write!(f, " lower {lower}")?;
                }
                if let Some(upper) = upper {
                    write!(f, " upper {upper}")?;
                }
            }
            Derived::Other(template) => write!(f, ", product {template}")?,
        }
        for (name, value) in &self.extra {
            match *value {
                // A digest: enough of it to see that two differ.
                digest if digest > i64::from(u32::MAX) => write!(f, ", {name} #{:06x}", digest >> 39)?,
                value => write!(f, ", {name} {value}")?,
            }
        }
        match names::centre(self.centre) {
            Some(centre) => write!(f, ", {centre}"),
            None => write!(f, ", centre {}", self.centre),
        }
    }
}

/// Digests grids and remembers the last one.
#[derive(Debug, Clone, Default)]
pub struct GridDigests {
    /// What was hashed last.
    hashed: Vec<u8>,
    digest: Option<GridDigest>,
}

impl GridDigests {
    /// The digest of a field's grid.
    ///
    /// GRIB 1 keeps the vertical coordinates of a model level in the grid section: they are not part of the grid. Without a
    /// grid section, the grid is the centre's catalogue number.
    pub fn of(&mut self, sections: &FieldSections<'_>) -> GridDigest {
        let catalogue;
        let (before, after): (&[u8], &[u8]) = match (sections.edition, sections.grid) {
            (1, []) => {
                let octet = |index| u8_at(sections.product, index).unwrap_or(0);
                catalogue = [octet(4), octet(6)];
                (&catalogue, &[])
            }
            (1, grid) => without_vertical_coordinates(grid),
            (_, grid) => (grid.get(4..).unwrap_or(&[]), &[]),
        };
        let is_same = self.hashed.split_first().is_some_and(|(edition, hashed)| {
            *edition == sections.edition
                && hashed.len() == before.len() + after.len()
                && hashed.starts_with(before)
                && hashed.ends_with(after)
        });
        match self.digest {
            Some(digest) if is_same => digest,
            _ => {
                self.hashed.clear();
                self.hashed.push(sections.edition);
                self.hashed.extend_from_slice(before);
                self.hashed.extend_from_slice(after);
                let mut digest = GridDigest([0; 16]);
                digest.0.iter_mut().zip(Sha256::digest(&self.hashed)).for_each(|(to, from)| *to = from);
                self.digest = Some(digest);
                digest
            }
        }
    }
}

/// Section 2 of GRIB 1 without its length, the number and place of lists (octets 4 and 5) and the vertical coordinates.
fn without_vertical_coordinates(grid: &[u8]) -> (&[u8], &[u8]) {
    let coordinates = usize::from(u8_at(grid, 3).unwrap_or(0));
    let place = usize::from(u8_at(grid, 4).unwrap_or(255));
    let whole = grid.get(5..).unwrap_or(&[]);
    if coordinates == 0 || place < 6 || place == 255 {
        return (whole, &[]);
    }
    let start = place - 1;
    match (grid.get(5..start), grid.get(start + 4 * coordinates..)) {
        (Some(before), Some(after)) => (before, after),
        _ => (whole, &[]),
    }
}

impl fmt::Display for GridDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for GridDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GridDigest({self})")
    }
}

#[cfg(test)]
mod tests;
