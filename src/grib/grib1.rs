//! What sections 1 and 2 of a GRIB 1 field say.

use super::error::{GribError, Result};
use super::key::{Decimal, Derived, FieldKey, Mars, ParameterNumbers, StepType};
use super::level::Grib1Level;
use super::memory::KeyMemory;
use super::names::{self, Key, KeySource};
use super::octets::{i8_at, i16_at, short_digest, u8_at, u16_at, u32_at};
use super::sections::{FieldSections, malformed};
use super::time::{grib1_unit_seconds, hours_and_minutes, seconds_since_1970};

const ECMWF: u16 = 98;
const NCEP: u16 = 7;
const DWD: u16 = 78;
const JMA: u16 = 34;
const MADRID: u16 = 214;
/// Code 1 of the table of centres ("WMO Secretariat"), whose local definitions ecCodes reads as ECMWF's.
const OFFICIAL_USE: u16 = 1;

/// Section 1 of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product<'a> {
    pub sections: FieldSections<'a>,
}

impl<'a> Product<'a> {
    pub(crate) fn new(sections: &FieldSections<'a>) -> Result<Self> {
        if sections.product.len() < 28 {
            return Err(malformed(8, 1, format!("{} octets are fewer than 28", sections.product.len())));
        }
        Ok(Product { sections: *sections })
    }

    /// An octet of section 1, by its number in the manual.
    pub(crate) fn octet(&self, number: usize) -> u8 {
        number.checked_sub(1).and_then(|index| u8_at(self.sections.product, index)).unwrap_or(0)
    }

    fn pair(&self, number: usize) -> u16 {
        u16::from_be_bytes([self.octet(number), self.octet(number + 1)])
    }

    pub(crate) fn centre(&self) -> u16 {
        u16::from(self.octet(5))
    }

    pub(crate) fn sub_centre(&self) -> u16 {
        u16::from(self.octet(26))
    }

    pub(crate) fn parameter(&self) -> ParameterNumbers {
        ParameterNumbers::Grib1 { table2_version: self.octet(4), indicator: self.octet(9) }
    }

    pub(crate) fn level(&self) -> Grib1Level {
        Grib1Level { kind: self.octet(10), top_octet: self.octet(11), bottom_octet: self.octet(12) }
    }

    pub(crate) fn time_range_indicator(&self) -> u8 {
        self.octet(21)
    }

    /// Reference time; `None` when it is missing (climatologies) or not a time.
    pub(crate) fn time(&self) -> Option<i64> {
        if self.octet(13) == 255 {
            return None;
        }
        let year = (i64::from(self.octet(25)) - 1) * 100 + i64::from(self.octet(13));
        seconds_since_1970(year, self.octet(14), self.octet(15), self.octet(16), self.octet(17), 0)
    }

    /// ecCodes `dataDate`: YYYYMMDD; MMDD or MM where year or day are missing.
    pub(crate) fn data_date(&self) -> i64 {
        let (year, month, day) = (i64::from(self.octet(13)), i64::from(self.octet(14)), i64::from(self.octet(15)));
        if year == 255 && day == 255 && (1..=12).contains(&month) {
            month
        } else if year == 255 && month != 255 {
            month * 100 + day
        } else {
            ((i64::from(self.octet(25)) - 1) * 100 + year) * 10_000 + month * 100 + day
        }
    }

    /// ecCodes `dataTime`: HHMM.
    pub(crate) fn data_time(&self) -> i64 {
        hours_and_minutes(self.octet(16), self.octet(17))
    }

    /// ecCodes `stepType`, from the time range indicator (table 5), and for DWD's fields from the parameter.
    pub(crate) fn step_type(&self) -> StepType {
        let indicator = self.time_range_indicator();
        if self.centre() == DWD
            && let Some(step_type) = dwd_step_type(indicator, self.octet(4), self.octet(9))
        {
            return step_type;
        }
        match indicator {
            0 | 1 | 10 => StepType::Instant,
            14 if matches!(self.centre(), ECMWF | DWD) => StepType::Instant,
            // GRIB 1 has no code for extremes: ECMWF's convention.
            2 if self.centre() == ECMWF => StepType::Maximum,
            2 | 4 => StepType::Accumulation,
            3 => StepType::Average,
            5 => StepType::Difference,
            118 => StepType::Maximum,
            119 => StepType::Minimum,
            120 => StepType::RootMeanSquare,
            121 => StepType::StandardDeviation,
            122 => StepType::Covariance,
            other => StepType::Other(other),
        }
    }

    /// Start and end of the step in seconds after the reference time.
    pub(crate) fn step(&self) -> Result<(i64, i64)> {
        let (p1, p2) = (i64::from(self.octet(19)), i64::from(self.octet(20)));
        let (start, end) = match (self.time_range_indicator(), self.step_type()) {
            (10, _) => {
                let both = i64::from(self.pair(19));
                (both, both)
            }
            (0, StepType::Accumulation) => (0, p1),
            (_, StepType::Instant) => (p1, p1),
            (6, _) => (-p1, -p2),
            (7, _) => (-p1, p2),
            // Averages and the like of fields at one step, over several reference times.
            (51 | 113 | 114 | 117 | 123 | 124 | 132, _) => (p1, p1),
            _ => (p1, p2),
        };
        if start == 0 && end == 0 {
            return Ok((0, 0));
        }
        let unit = self.octet(18);
        let Some(length) = grib1_unit_seconds(unit) else {
            let what = format!("unit of time {unit} of GRIB 1 table 4");
            return Err(GribError::Unsupported { section: 1, template: u16::from(unit), what });
        };
        Ok((start.saturating_mul(length), end.saturating_mul(length)))
    }

    /// The number of the local definition in ECMWF's sense, where section 1 has one. Other centres use some of them.
    pub(crate) fn local_definition(&self) -> Option<u8> {
        if self.sections.product.len() < 49 {
            return None;
        }
        let number = self.octet(41);
        match self.centre() {
            ECMWF | OFFICIAL_USE => Some(number),
            _ if self.sub_centre() == ECMWF => Some(number),
            JMA if number == 1 => Some(1),
            // Madrid's 244 and 245 begin like 1.
            MADRID if matches!(number, 1 | 244 | 245) => Some(1),
            _ => None,
        }
    }

    pub(crate) fn mars(&self) -> Option<Mars> {
        self.local_definition()?;
        let expver = self.sections.product.get(45..)?.first_chunk::<4>()?;
        Some(Mars::from_codes(u16::from(self.octet(42)), u16::from(self.octet(43)), self.pair(44), *expver))
    }

    /// Number of the member, iteration, cluster, ... (ecCodes `number`), and how many there are.
    pub(crate) fn numbers(&self) -> Numbers {
        let octet = |number: usize| u8_at(self.sections.product, number - 1).map(u32::from);
        let pair = |number: usize| u16_at(self.sections.product, number - 1).map(u32::from);
        let is_ocean = self.pair(44) == 1090;
        let (kind, number, total) = match self.local_definition() {
            Some(1 | 13 | 14 | 17 | 18 | 19 | 26 | 27 | 28 | 30 | 31 | 36 | 37 | 40 | 50 | 218) => {
                (NumberKind::Member, octet(50), octet(51))
            }
            Some(12) => (NumberKind::Member, pair(50), pair(63)),
            Some(15) => (NumberKind::Member, pair(50), pair(56)),
            Some(16) => (NumberKind::Member, pair(50), pair(63)),
            Some(23) => (NumberKind::Member, pair(50), pair(81)),
            Some(4) => (NumberKind::Member, if is_ocean { pair(50) } else { octet(50) }, None),
            Some(49) => (NumberKind::Member, octet(50), octet(51)),
            Some(2 | 29 | 32) => (NumberKind::Cluster, octet(50), octet(51)),
            Some(5) => (NumberKind::Probability, octet(50), octet(51)),
            Some(7) => (NumberKind::Iteration, octet(50), octet(51)),
            Some(25 | 39) => (NumberKind::Component, octet(50), octet(51)),
            Some(10) => (NumberKind::Tube, octet(50), octet(51)),
            _ => (NumberKind::None, None, None),
        };
        Numbers { kind, number, total }
    }

    /// NCEP's ensemble extension: type, identification number, product (octets 42 to 44).
    fn ncep_ensemble(&self) -> Option<(u8, u8, u8)> {
        let has_extension = self.centre() == NCEP && self.sections.product.len() >= 45 && self.octet(41) == 1;
        has_extension.then(|| (self.octet(42), self.octet(43), self.octet(44)))
    }

    /// NCEP's extension for probabilities: kind (octet 47) and both limits.
    pub(crate) fn ncep_probability(&self) -> Option<(u8, &'a [u8])> {
        self.ncep_ensemble()?;
        let description = self.sections.product.get(45..)?;
        Some((u8_at(description, 1)?, description.get(..10).unwrap_or(description)))
    }

    fn derived(&self) -> Derived {
        // Octet 46 names a product; 0 is none.
        if let Some((kind, description)) = self.ncep_probability()
            && description.first().is_some_and(|product| *product != 0)
        {
            return Derived::Probability { kind, lower: None, upper: None };
        }
        if let Some((5, _, product)) = self.ncep_ensemble() {
            return match product {
                1 => Derived::Ensemble(0),
                2 => Derived::Ensemble(1),
                11 => Derived::Ensemble(2),
                12 => Derived::Ensemble(3),
                product => Derived::Other(u16::from(product)),
            };
        }
        let Some(definition) = self.local_definition() else { return Derived::Forecast };
        match (definition, self.octet(43)) {
            (2 | 10 | 29 | 32, _) => Derived::Other(u16::from(definition)),
            (5, _) => {
                let scale = i8_at(self.sections.product, 51).map_or(0, i16::from);
                let limit = |index: usize, used: bool| {
                    i16_at(self.sections.product, index).filter(|_| used).map(|v| Decimal::new(i64::from(v), scale))
                };
                // 1: above the lower, 2: below the upper, 3: between both.
                let threshold = self.octet(53);
                let (lower, upper) = (limit(53, threshold != 2), limit(55, threshold != 1));
                Derived::Probability { kind: threshold, lower, upper }
            }
            (_, 17) => Derived::Ensemble(0),
            (_, 18) => Derived::Ensemble(4),
            (19, 27..=32) => Derived::Other(u16::from(self.octet(43))),
            _ => Derived::Forecast,
        }
    }

    fn number(&self) -> Option<u32> {
        match self.ncep_ensemble() {
            Some((1, ..)) => return Some(0),
            Some((2 | 3, number, _)) => return Some(u32::from(number)),
            Some((4, cluster, _)) => return Some(u32::from(cluster)),
            Some(_) => return None,
            None => {}
        }
        let numbers = self.numbers();
        // A deterministic forecast in the local definition of ensembles says member 0 of 0. Seasonal and monthly systems,
        // and fields of type cf or pf (MARS types 10 and 11), are ensembles whatever their total says.
        let is_ensemble =
            matches!(self.local_definition(), Some(12 | 15 | 16 | 18 | 23)) || matches!(self.octet(43), 10 | 11);
        let zero_of_zero = numbers.number == Some(0) && numbers.total.unwrap_or(0) == 0;
        if numbers.kind == NumberKind::Member && zero_of_zero && !is_ensemble {
            return None;
        }
        if matches!(self.derived(), Derived::Ensemble(_)) {
            return None;
        }
        numbers.number
    }

    /// What else the local definition says that tells fields apart.
    fn extra(&self) -> Vec<(&'static str, i64)> {
        let mut extra = Vec::new();
        let mut octet = |name: &'static str, number: usize| {
            extra.extend(u8_at(self.sections.product, number - 1).map(|value| (name, i64::from(value))));
        };
        match self.local_definition() {
            Some(13) => {
                octet("directionNumber", 52);
                octet("frequencyNumber", 53);
            }
            Some(14 | 37) => octet("channelNumber", 52),
            Some(20 | 38) => octet("iterationNumber", 50),
            Some(18) => octet("dataOrigin", 52),
            Some(3) => octet("band", 50),
            _ => {}
        }
        let mut pair = |name: &'static str, number: usize| {
            extra.extend(u16_at(self.sections.product, number - 1).map(|value| (name, i64::from(value))));
        };
        match self.local_definition() {
            Some(9 | 21) => pair("forecastOrSingularVectorNumber", 50),
            Some(12 | 15 | 16 | 23) => {
                pair("systemNumber", 52);
                pair("methodNumber", 54);
            }
            Some(24) => {
                pair("satelliteIdentifier", 50);
                pair("instrumentIdentifier", 52);
                pair("channelNumber", 54);
            }
            _ => {}
        }
        if matches!(self.local_definition(), Some(12 | 16 | 23)) {
            pair("forecastMonth", 61);
        }
        let mut four = |name: &'static str, number: usize| {
            extra.extend(u32_at(self.sections.product, number - 1).map(|value| (name, i64::from(value))));
        };
        match self.local_definition() {
            Some(26) => four("referenceDate", 52),
            Some(30) => four("referenceDate", 63),
            Some(13) if self.octet(62) >= 2 => four("referenceDate", 67),
            _ => {}
        }
        // 0 and numbers with all bits set stand for "none".
        extra.retain(|&(name, value)| name != "referenceDate" || (1_000_000..99_999_999).contains(&value));
        if let (Derived::Probability { .. }, Some((_, description))) = (self.derived(), self.ncep_probability()) {
            extra.push(("probability", short_digest(description)));
        }
        if let Some((2, ..)) = self.ncep_ensemble() {
            extra.push(("negativePerturbation", 1));
        }
        let indicator = self.time_range_indicator();
        if matches!(indicator, 51 | 113..=125 | 128..=133) {
            extra.push(("timeRangeIndicator", i64::from(indicator)));
            extra.push(("P2", i64::from(self.octet(20))));
            extra.push(("numberIncludedInAverage", i64::from(self.pair(22))));
        }
        if self.time().is_none() {
            extra.push(("dataDate", self.data_date()));
            extra.push(("dataTime", self.data_time()));
        }
        extra.sort_unstable();
        extra
    }

    pub(crate) fn names(&self) -> Option<&'static names::ParameterNames> {
        names::parameter(1, self.centre(), self.sub_centre(), self)
    }

    pub(crate) fn type_of_level(&self) -> &'static str {
        names::type_of_level(1, self.centre(), self.sub_centre(), self).unwrap_or("unknown")
    }

    pub(crate) fn key(&self, memory: &mut KeyMemory) -> Result<FieldKey> {
        let (start, end) = self.step()?;
        let step_type = self.step_type();
        let (level, level2) = self.level().values();
        Ok(FieldKey {
            edition: 1,
            centre: self.centre(),
            sub_centre: self.sub_centre(),
            mars: self.mars(),
            generating_process: Some(self.octet(6)),
            parameter: self.parameter(),
            names: self.names(),
            type_of_level: self.type_of_level(),
            surfaces: (self.octet(10), 0),
            level,
            level2,
            derived: self.derived(),
            number: self.number(),
            time: self.time(),
            step: end,
            step_start: (step_type != StepType::Instant).then_some(start),
            step_type,
            extra: self.extra(),
            grid: memory.grids.of(&self.sections),
        })
    }
}

/// What `number` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberKind {
    None,
    Member,
    Cluster,
    Probability,
    Iteration,
    Component,
    Tube,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub kind: NumberKind,
    pub number: Option<u32>,
    pub total: Option<u32>,
}

/// DWD's tables 2 and 201 to 208 say with the parameter how values are made (ecCodes localConcepts/edzw/stepType.def).
fn dwd_step_type(indicator: u8, table: u8, parameter: u8) -> Option<StepType> {
    Some(match (table, parameter, indicator) {
        (204, 1..=16, _) => StepType::RootMeanSquare,
        (2, 57, 1) => StepType::Maximum,
        (2, 57, 0 | 13) | (2, 61 | 78 | 79 | 90, 0 | 1 | 13) => StepType::Accumulation,
        (201, 42, 1) => StepType::Maximum,
        (201, 42 | 132, 0 | 13) | (201, 102 | 113, 0 | 1 | 13) => StepType::Accumulation,
        (2, 111..=114 | 121 | 122 | 124 | 125, 1 | 13) => StepType::Average,
        (201, 5 | 22..=24, 1 | 13) | (202, 231..=233, 1 | 13) => StepType::Average,
        (2, 15, 0..=2 | 13) | (201, 187, 0..=2 | 13) => StepType::Maximum,
        (2, 16, 0..=2 | 13) | (202, 68 | 70, 0) => StepType::Minimum,
        (202, 67 | 69, 0 | 2) | (202, 78 | 243 | 248, 0) | (203, 55, 2) | (206, 15, 2) => StepType::Maximum,
        (203, 56, 2) | (206, 16, 2) => StepType::Minimum,
        (208, ..) => StepType::Maximum,
        (_, _, 11 | 13) => StepType::Instant,
        _ => return None,
    })
}

impl KeySource for Product<'_> {
    fn get(&self, key: Key) -> Option<i64> {
        let level = self.level();
        let number = match key {
            Key::Table2Version => i64::from(self.octet(4)),
            Key::IndicatorOfParameter => i64::from(self.octet(9)),
            Key::IndicatorOfTypeOfLevel => i64::from(self.octet(10)),
            Key::Level => i64::from(level.level()),
            Key::TopLevel if level.is_layer() => i64::from(level.top_octet),
            Key::BottomLevel if level.is_layer() => i64::from(level.bottom_octet),
            Key::TopLevel | Key::BottomLevel => i64::from(level.level()),
            Key::TimeRangeIndicator => i64::from(self.time_range_indicator()),
            Key::GeneratingProcessIdentifier => i64::from(self.octet(6)),
            Key::MarsClass => i64::from(self.local_definition().map(|_| self.octet(42))?),
            _ => return None,
        };
        Some(number)
    }
}
