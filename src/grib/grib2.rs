//! What sections 1 to 4 of a GRIB 2 field say.

use std::borrow::Cow;

use super::error::{GribError, Result};
use super::key::{Decimal, Derived, FieldKey, Mars, ParameterNumbers, StepType};
use super::level::Surface;
use super::memory::KeyMemory;
use super::names::{self, Key, KeySource};
use super::octets::{i8_at, i32_at, short_digest, u8_at, u16_at, u32_at};
use super::sections::{FieldSections, malformed};
use super::template::{Block, Layout};
use super::time::{grib2_unit_seconds, hours_and_minutes, seconds_since_1970};

/// Sections of a field with the layout of section 4 worked out.
#[derive(Debug, Clone)]
pub(crate) struct Product<'a> {
    pub sections: FieldSections<'a>,
    pub template: u16,
    pub layout: Layout,
}

/// A code is written in an octet as 255 when it is missing.
pub(crate) const MISSING_OCTET: u8 = 255;

impl<'a> Product<'a> {
    pub(crate) fn new(sections: &FieldSections<'a>) -> Result<Self> {
        let short = || malformed(0, 4, "shorter than its product definition template".to_owned());
        let template = u16_at(sections.product, 7).ok_or_else(short)?;
        let layout = Layout::of(sections.product, template).ok_or_else(short)?;
        Ok(Product { sections: *sections, template, layout })
    }

    pub(crate) fn identification(&self) -> Identification<'a> {
        Identification(self.sections.identification)
    }

    /// Index in section 4 of an octet of a block.
    pub(crate) fn at(&self, block: Block, index: usize) -> Option<usize> {
        self.layout.start(block)?.checked_add(index)
    }

    pub(crate) fn octet(&self, block: Block, index: usize) -> Option<u8> {
        u8_at(self.sections.product, self.at(block, index)?)
    }

    pub(crate) fn pair(&self, block: Block, index: usize) -> Option<u16> {
        u16_at(self.sections.product, self.at(block, index)?)
    }

    pub(crate) fn four(&self, block: Block, index: usize) -> Option<u32> {
        u32_at(self.sections.product, self.at(block, index)?)
    }

    pub(crate) fn parameter(&self) -> ParameterNumbers {
        let identification = self.identification();
        ParameterNumbers::Grib2 {
            discipline: self.sections.discipline,
            category: self.octet(Block::Parameter, 0).unwrap_or(MISSING_OCTET),
            number: self.octet(Block::Parameter, 1).unwrap_or(MISSING_OCTET),
            tables_version: identification.octet(9),
            local_tables_version: identification.octet(10),
        }
    }

    /// First and second fixed surface, where the template has them.
    pub(crate) fn surfaces(&self) -> Option<(Surface, Surface)> {
        let surface = |index: usize| {
            let kind = self.octet(Block::Horizontal, index)?;
            let scale_at = self.at(Block::Horizontal, index + 1)?;
            let scale = i8_at(self.sections.product, scale_at)
                .filter(|_| u8_at(self.sections.product, scale_at) != Some(MISSING_OCTET));
            let value = self.four(Block::Horizontal, index + 2).filter(|value| *value != u32::MAX);
            Some(Surface { kind, scale, value })
        };
        Some((surface(0)?, surface(6)?))
    }

    pub(crate) fn is_tigge(&self) -> bool {
        matches!(self.identification().octet(19), 4 | 5)
    }

    pub(crate) fn generating_process(&self) -> Option<u8> {
        self.octet(Block::GeneratingProcess, 2).or_else(|| self.octet(Block::Observation, 1))
    }

    /// Perturbation number and ensemble size.
    pub(crate) fn ensemble(&self) -> Option<(u32, u32)> {
        if let (Some(number), Some(size)) = (self.octet(Block::Ensemble, 1), self.octet(Block::Ensemble, 2)) {
            return Some((u32::from(number), u32::from(size)));
        }
        if let (Some(number), Some(size)) = (self.four(Block::LargeEnsemble, 1), self.four(Block::LargeEnsemble, 5)) {
            return Some((number, size));
        }
        let number = self.octet(Block::EnsembleWithoutType, 0)?;
        Some((u32::from(number), u32::from(self.octet(Block::EnsembleWithoutType, 1)?)))
    }

    /// Code of table 4.7 and ensemble size.
    pub(crate) fn derived_forecast(&self) -> Option<(u8, u32)> {
        if let (Some(code), Some(size)) = (self.octet(Block::Derived, 0), self.octet(Block::Derived, 1)) {
            return Some((code, u32::from(size)));
        }
        Some((self.octet(Block::LargeDerived, 0)?, self.four(Block::LargeDerived, 1)?))
    }

    pub(crate) fn cluster(&self) -> Option<u8> {
        self.octet(Block::RectangularCluster, 0).or_else(|| self.octet(Block::CircularCluster, 0))
    }

    pub(crate) fn probability(&self) -> Option<Probability> {
        let (start, ensemble_size) = match self.at(Block::Probability, 0) {
            Some(start) => (start, None),
            None => (self.at(Block::LargeProbability, 5)?, self.four(Block::LargeProbability, 1)),
        };
        let section = self.sections.product;
        let limit = |index: usize| Limit {
            scale: i8_at(section, index).filter(|_| u8_at(section, index) != Some(MISSING_OCTET)),
            value: i32_at(section, index + 1).filter(|_| u32_at(section, index + 1) != Some(u32::MAX)),
        };
        let kind = u8_at(section, start + 2)?;
        Some(Probability { kind, lower: limit(start + 3), upper: limit(start + 8), ensemble_size })
    }

    fn derived(&self) -> Derived {
        if let Some(probability) = self.probability() {
            let lower = probability.lower.decimal();
            return Derived::Probability { kind: probability.kind, lower, upper: probability.upper.decimal() };
        }
        if let Some(percentile) = self.octet(Block::Percentile, 0) {
            return Derived::Percentile(percentile);
        }
        if let Some(total) = self.pair(Block::Quantile, 0) {
            let value = self.pair(Block::Quantile, 2).and_then(|value| u8::try_from(value).ok());
            return match value {
                Some(value) if total == 100 => Derived::Percentile(value),
                _ => Derived::Other(self.template),
            };
        }
        if self.cluster().is_some() || !self.layout.known {
            return Derived::Other(self.template);
        }
        self.derived_forecast().map_or(Derived::Forecast, |(code, _)| Derived::Ensemble(code))
    }

    pub(crate) fn time_ranges(&self) -> TimeRanges<'a> {
        let section = self.sections.product;
        let ranges = match (self.at(Block::Statistical, 12), self.at(Block::StatisticalWithoutEnd, 4)) {
            (Some(start), _) => self.layout.bytes(section, Block::Statistical).and_then(|block| {
                let length = block.len().checked_sub(12)?;
                section.get(start..start.checked_add(length)?)
            }),
            (None, Some(start)) => section.get(start..start.saturating_add(12)),
            (None, None) => None,
        };
        TimeRanges(ranges.unwrap_or(&[]))
    }

    pub(crate) fn forecast_time(&self) -> Option<(u8, i64)> {
        if let Some(start) = self.at(Block::ForecastTime44, 3) {
            let unit = u8_at(self.sections.product, start)?;
            let after = self.layout.bytes(self.sections.product, Block::ForecastTime44)?.len();
            let value = if after == 6 {
                i64::from(u16_at(self.sections.product, start + 1)?)
            } else {
                i64::from(i32_at(self.sections.product, start + 1)?)
            };
            return Some((unit, value));
        }
        let start = self.at(Block::ForecastTime, 3)?;
        Some((u8_at(self.sections.product, start)?, i64::from(i32_at(self.sections.product, start + 1)?)))
    }

    /// End of the overall time interval: year, month, day, hour, minute, second.
    pub(crate) fn interval_end(&self) -> Option<(u16, [u8; 5])> {
        date_at(self.sections.product, self.at(Block::Statistical, 0)?)
    }

    pub(crate) fn step(&self) -> Result<Step> {
        let (unit, value) = self.forecast_time().unwrap_or((1, 0));
        let start = seconds(unit, value)?;
        let ranges = self.time_ranges();
        let interval_end = || {
            let (year, [month, day, hour, minute, second]) = self.interval_end()?;
            let end = seconds_since_1970(i64::from(year), month, day, hour, minute, second)?;
            end.checked_sub(self.identification().time()?)
        };
        let end = match ranges.count() {
            0 => start,
            // The reference times vary, the forecast time does not.
            1 if ranges.get(0).is_some_and(|range| range.increment == 1) => start,
            1 => match ranges.get(0).map(|range| seconds(range.unit, i64::from(range.length))) {
                Some(Ok(length)) => start.saturating_add(length),
                Some(Err(error)) => interval_end().ok_or(error)?,
                None => start,
            },
            _ => match ranges
                .iter()
                .find(|range| range.increment == 2)
                .map(|range| seconds(range.unit, i64::from(range.length)))
            {
                Some(Ok(length)) => start.saturating_add(length),
                _ => interval_end().unwrap_or(start),
            },
        };
        Ok(Step { start, end, is_interval: ranges.count() > 0 })
    }

    /// ecCodes `stepType`; of several time ranges, the last says it.
    pub(crate) fn step_type(&self) -> StepType {
        self.time_ranges().last().map_or(StepType::Instant, |range| StepType::from_grib2(range.process))
    }

    pub(crate) fn mars_offset(&self) -> Option<usize> {
        let local = self.sections.local?;
        let prefix = match self.identification().octet(19) {
            4 | 5 => 4,
            8 | 9 => 6,
            10 | 11 => match u16_at(local, 5)? {
                1 => 4,
                2 => 8,
                _ if self.identification().centre() != 98 => 10,
                _ => 8,
            },
            12 | 13 => {
                let data_set = match u16_at(local, 7)? {
                    1 => 10,
                    4 => 8,
                    _ => 0,
                };
                4 + data_set + if u16_at(local, 5)? == 2 { 2 } else { 0 }
            }
            14..=17 => 2,
            _ => 0,
        };
        let identification = self.identification();
        let is_ecmwf = identification.centre() == 98 || identification.sub_centre() == 98;
        let start = 5 + prefix;
        // Local section 0 is empty.
        (is_ecmwf && u16_at(local, start)? != 0).then_some(start)
    }

    pub(crate) fn mars(&self) -> Option<Mars> {
        let local = self.sections.local?;
        let start = self.mars_offset()?;
        let expver = local.get(start + 8..)?.first_chunk::<4>()?;
        Some(Mars::from_codes(u16_at(local, start + 2)?, u16_at(local, start + 4)?, u16_at(local, start + 6)?, *expver))
    }

    pub(crate) fn names(&self) -> Option<&'static names::ParameterNames> {
        let identification = self.identification();
        names::parameter(2, identification.centre(), identification.sub_centre(), self)
    }

    /// Writes what names can depend on (the keys of [`Key`]): everything but the forecast time, the member, the end of the
    /// interval, the grid's numbers and most of the local section.
    pub(crate) fn write_names_input(&self, input: &mut Vec<u8>) {
        input.clear();
        let identification = self.sections.identification;
        input.extend_from_slice(identification.get(5..11).unwrap_or(&[]));
        input.extend([self.identification().octet(19), self.sections.discipline]);
        for key in [Key::MarsClass, Key::Generation, Key::GridDefinitionTemplateNumber, Key::NumberOfGridInReference] {
            input.extend(self.get(key).unwrap_or(-1).to_be_bytes());
        }
        let start = input.len();
        // Without the vertical coordinates.
        input.extend_from_slice(self.sections.product.get(..self.layout.end).unwrap_or(self.sections.product));
        for (block, index, length) in [
            (Block::ForecastTime, 3, 5),
            (Block::Ensemble, 1, 1),
            (Block::LargeEnsemble, 1, 4),
            (Block::Statistical, 0, 7),
        ] {
            if let Some(at) = self.at(block, index)
                && let Some(octets) = input.get_mut(start + at..start + at + length)
            {
                octets.fill(0);
            }
        }
    }

    /// ecCodes `typeOfLevel`; `None` where the template has no surfaces.
    pub(crate) fn type_of_level(&self) -> Option<&'static str> {
        self.layout.start(Block::Horizontal)?;
        let identification = self.identification();
        Some(names::type_of_level(2, identification.centre(), identification.sub_centre(), self).unwrap_or("unknown"))
    }

    pub(crate) fn key(&self, memory: &mut KeyMemory) -> Result<FieldKey> {
        let identification = self.identification();
        let step = self.step()?;
        let (names, type_of_level) = memory.names(self);
        let (first, second) = self.surfaces().unwrap_or_default();
        let level = |surface: Surface| surface.level(type_of_level == "isobaricInPa", self.is_tigge());
        Ok(FieldKey {
            edition: 2,
            centre: identification.centre(),
            sub_centre: identification.sub_centre(),
            mars: self.mars(),
            generating_process: self.generating_process(),
            parameter: self.parameter(),
            names,
            type_of_level,
            surfaces: (first.kind, second.kind),
            level: level(first),
            level2: level(second),
            derived: self.derived(),
            number: self.ensemble().map(|(number, _)| number).or(self.cluster().map(u32::from)),
            time: identification.time(),
            step: step.end,
            step_start: step.is_interval.then_some(step.start),
            step_type: self.step_type(),
            extra: self.extra(),
            grid: memory.grids.of(&self.sections),
        })
    }

    /// Whatever else the template says that tells fields apart.
    fn extra(&self) -> Vec<(&'static str, i64)> {
        let mut extra = Vec::new();
        let mut block_digest = |block: Block, name: &'static str| {
            if let Some(bytes) = self.layout.bytes(self.sections.product, block) {
                extra.push((name, short_digest(bytes)));
            }
        };
        for block in self.layout.blocks {
            match block {
                Block::AerosolSize => block_digest(*block, "size"),
                Block::Optical => block_digest(*block, "wavelength"),
                Block::Radionuclides => block_digest(*block, "radionuclides"),
                Block::Distribution => block_digest(*block, "distribution"),
                Block::Partition => block_digest(*block, "partition"),
                Block::Tile | Block::GeneralisedTile => block_digest(*block, "tile"),
                Block::PostProcessing => block_digest(*block, "postProcessing"),
                Block::Reforecast => block_digest(*block, "modelVersion"),
                Block::ReferencePeriod => block_digest(*block, "referencePeriod"),
                Block::WavePeriodRange => block_digest(*block, "wavePeriod"),
                Block::Satellite | Block::Satellite30 | Block::SatelliteExtended => {
                    block_digest(*block, "spectralBands")
                }
                Block::Categorical => block_digest(*block, "categories"),
                Block::LocalTime => block_digest(*block, "localTime"),
                Block::LocalTimeStatistical => block_digest(*block, "localTimeStatistics"),
                Block::FocalStatistics => block_digest(*block, "vicinity"),
                Block::VerificationScores => block_digest(*block, "verificationScore"),
                Block::RandomPatterns => block_digest(*block, "randomPattern"),
                Block::Spatial => block_digest(*block, "spatialProcessing"),
                _ => {}
            }
        }
        let mut number = |name: &'static str, value: Option<i64>| extra.extend(value.map(|value| (name, value)));
        number("constituentType", self.pair(Block::Constituent, 0).or(self.pair(Block::Aerosol, 0)).map(i64::from));
        number("sourceSinkChemicalPhysicalProcess", self.octet(Block::Source, 0).map(i64::from));
        number("directionNumber", self.pair(Block::Wave, 0).map(i64::from));
        number("frequencyNumber", self.pair(Block::Wave, 4).map(i64::from));
        if matches!(self.derived(), Derived::Other(_)) {
            number("totalNumberOfQuantiles", self.pair(Block::Quantile, 0).map(i64::from));
            number("quantileValue", self.pair(Block::Quantile, 2).map(i64::from));
        }
        if !self.layout.known {
            let digest = self.sections.product.get(7..).map(short_digest);
            number("productDefinitionTemplate", digest);
        }
        let ranges = self.time_ranges();
        if ranges.count() > 1 || ranges.get(0).is_some_and(|range| range.increment == 1) {
            // Means over several reference times and the like: the step says only part of it.
            number("timeRanges", Some(short_digest(ranges.0)));
        }
        if self.identification().time().is_none() {
            number("dataDate", Some(self.identification().data_date()));
            number("dataTime", Some(self.identification().data_time()));
        }
        if let Some(local) = self.sections.local {
            match self.identification().octet(19) {
                4 | 5 | 10 | 11 => number("suiteName", u16_at(local, 7).map(i64::from)),
                12 | 13 => number("destine", local.get(5..self.mars_offset().unwrap_or(5)).map(short_digest)),
                _ => {}
            }
            if let Some(start) = self.mars_offset() {
                let reference = match u16_at(local, start) {
                    Some(26) => u32_at(local, start + 12),
                    Some(30) => u32_at(local, start + 20),
                    _ => None,
                };
                number("referenceDate", reference.map(i64::from));
            }
        }
        extra.sort_unstable();
        extra
    }
}

/// Start and end in seconds after the reference time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub start: i64,
    pub end: i64,
    pub is_interval: bool,
}

fn seconds(unit: u8, value: i64) -> Result<i64> {
    if value == 0 {
        return Ok(0);
    }
    let Some(length) = grib2_unit_seconds(unit) else {
        return Err(GribError::Unsupported {
            section: 4,
            template: 0,
            what: format!("unit of time {unit} of code table 4.4"),
        });
    };
    value.checked_mul(length).ok_or_else(|| malformed(0, 4, format!("{value} units of {length} s are too long")))
}

/// Limits of a probability, as coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probability {
    /// Code table 4.9.
    pub kind: u8,
    pub lower: Limit,
    pub upper: Limit,
    pub ensemble_size: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub scale: Option<i8>,
    pub value: Option<i32>,
}

impl Limit {
    fn decimal(self) -> Option<Decimal> {
        self.value.map(|value| Decimal::new(i64::from(value), i16::from(self.scale.unwrap_or(0))))
    }
}

/// The time range specifications of a statistical block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeRanges<'a>(&'a [u8]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRange {
    /// Code table 4.10.
    pub process: u8,
    /// Code table 4.11.
    pub increment: u8,
    /// Code table 4.4.
    pub unit: u8,
    pub length: u32,
}

impl TimeRanges<'_> {
    pub(crate) fn count(&self) -> usize {
        self.0.len() / 12
    }

    pub(crate) fn get(&self, index: usize) -> Option<TimeRange> {
        let start = index.checked_mul(12)?;
        Some(TimeRange {
            process: u8_at(self.0, start)?,
            increment: u8_at(self.0, start + 1)?,
            unit: u8_at(self.0, start + 2)?,
            length: u32_at(self.0, start + 3)?,
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = TimeRange> {
        (0..self.count()).filter_map(|index| self.get(index))
    }

    pub(crate) fn last(&self) -> Option<TimeRange> {
        self.get(self.count().checked_sub(1)?)
    }
}

/// Section 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identification<'a>(&'a [u8]);

impl Identification<'_> {
    pub(crate) fn octet(&self, index: usize) -> u8 {
        u8_at(self.0, index).unwrap_or(MISSING_OCTET)
    }

    pub(crate) fn centre(&self) -> u16 {
        u16_at(self.0, 5).unwrap_or(u16::MAX)
    }

    pub(crate) fn sub_centre(&self) -> u16 {
        u16_at(self.0, 7).unwrap_or(u16::MAX)
    }

    /// Reference time; `None` when it is missing or not a time.
    pub(crate) fn time(&self) -> Option<i64> {
        let (year, [month, day, hour, minute, second]) = date_at(self.0, 12)?;
        seconds_since_1970(i64::from(year), month, day, hour, minute, second)
    }

    /// ecCodes `dataDate`: YYYYMMDD, whatever the octets say.
    pub(crate) fn data_date(&self) -> i64 {
        let (year, [month, day, ..]) = date_at(self.0, 12).unwrap_or((0, [0; 5]));
        i64::from(year) * 10_000 + i64::from(month) * 100 + i64::from(day)
    }

    /// ecCodes `dataTime`: HHMM.
    pub(crate) fn data_time(&self) -> i64 {
        hours_and_minutes(self.octet(16), self.octet(17))
    }
}

fn date_at(section: &[u8], index: usize) -> Option<(u16, [u8; 5])> {
    let rest = section.get(index.checked_add(2)?..)?.first_chunk::<5>()?;
    Some((u16_at(section, index)?, *rest))
}

impl Mars {
    pub(crate) fn from_codes(class: u16, kind: u16, stream: u16, expver: [u8; 4]) -> Self {
        let name =
            |name: Option<&'static str>, code: u16| name.map_or_else(|| Cow::Owned(code.to_string()), Cow::Borrowed);
        Mars {
            class: name(names::mars_class(class), class),
            stream: name(names::mars_stream(stream), stream),
            kind: name(names::mars_type(kind), kind),
            expver,
        }
    }
}
