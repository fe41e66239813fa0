//! The numbers of a GRIB 2 field that names depend on.

use super::grib2::{MISSING_OCTET, Product};
use super::names::{Key, KeySource, MISSING};
use super::octets::{i8_at, i32_at, u8_at, u16_at, u32_at};
use super::template::Block;

impl KeySource for Product<'_> {
    fn get(&self, key: Key) -> Option<i64> {
        let section = self.sections.product;
        let octet = |block, index| self.octet(block, index).map(i64::from);
        let pair = |block, index| self.pair(block, index).map(i64::from);
        let scale = |block, index| {
            let at = self.at(block, index)?;
            if u8_at(section, at)? == MISSING_OCTET { Some(MISSING) } else { i8_at(section, at).map(i64::from) }
        };
        let unsigned = |block, index| {
            self.four(block, index).map(|value| if value == u32::MAX { MISSING } else { i64::from(value) })
        };
        let signed = |block, index| {
            let at = self.at(block, index)?;
            if u32_at(section, at)? == u32::MAX { Some(MISSING) } else { i32_at(section, at).map(i64::from) }
        };
        let band = |index: usize| {
            let (start, size) = [(Block::Satellite, 11), (Block::Satellite30, 10), (Block::SatelliteExtended, 19)]
                .into_iter()
                .find_map(|(block, size)| self.layout.start(block).map(|start| (start, size)))?;
            let last = usize::from(u8_at(section, start)?).checked_sub(1)?;
            Some((start + 1 + last * size + index, size))
        };
        let last = || self.time_ranges().last();
        let limit = |limit: Option<i64>| Some(limit.unwrap_or(MISSING));
        match key {
            Key::Discipline => Some(i64::from(self.sections.discipline)),
            Key::ParameterCategory => octet(Block::Parameter, 0),
            Key::ParameterNumber => octet(Block::Parameter, 1),
            Key::TablesVersion => Some(i64::from(self.identification().octet(9))),
            Key::LocalTablesVersion => Some(i64::from(self.identification().octet(10))),
            Key::ProductionStatusOfProcessedData => Some(i64::from(self.identification().octet(19))),
            Key::ProductDefinitionTemplateNumber => Some(i64::from(self.template)),
            Key::TypeOfGeneratingProcess => octet(Block::GeneratingProcess, 0).or_else(|| octet(Block::Observation, 0)),
            Key::BackgroundProcess => octet(Block::GeneratingProcess, 1),
            Key::GeneratingProcessIdentifier => self.generating_process().map(i64::from),
            Key::TypeOfFirstFixedSurface => octet(Block::Horizontal, 0),
            Key::ScaleFactorOfFirstFixedSurface => scale(Block::Horizontal, 1),
            Key::ScaledValueOfFirstFixedSurface => unsigned(Block::Horizontal, 2),
            Key::TypeOfSecondFixedSurface => octet(Block::Horizontal, 6),
            Key::ScaleFactorOfSecondFixedSurface => scale(Block::Horizontal, 7),
            Key::ScaledValueOfSecondFixedSurface => unsigned(Block::Horizontal, 8),
            Key::TypeOfStatisticalProcessing => {
                last().map(|range| i64::from(range.process)).or_else(|| octet(Block::LocalTimeStatistical, 0))
            }
            Key::IndicatorOfUnitForTimeRange => {
                last().map(|range| i64::from(range.unit)).or_else(|| octet(Block::LocalTimeStatistical, 1))
            }
            Key::LengthOfTimeRange => {
                last().map(|range| i64::from(range.length)).or_else(|| unsigned(Block::LocalTimeStatistical, 2))
            }
            Key::NumberOfTimeRanges => octet(Block::Statistical, 7),
            Key::FirstTypeOfStatisticalProcessing => self.time_ranges().get(0).map(|range| i64::from(range.process)),
            Key::ProbabilityType => self.probability().map(|probability| i64::from(probability.kind)),
            Key::ScaleFactorOfLowerLimit => limit(self.probability()?.lower.scale.map(i64::from)),
            Key::ScaledValueOfLowerLimit => limit(self.probability()?.lower.value.map(i64::from)),
            Key::ConstituentType => pair(Block::Constituent, 0).or_else(|| pair(Block::Aerosol, 0)),
            Key::AerosolType => pair(Block::Aerosol, 0),
            Key::SourceSinkChemicalPhysicalProcess => octet(Block::Source, 0),
            Key::ModeNumber => pair(Block::Distribution, 2),
            Key::TypeOfDistributionFunction => pair(Block::Distribution, 4),
            Key::TypeOfSizeInterval => octet(Block::AerosolSize, 0),
            Key::ScaleFactorOfFirstSize => scale(Block::AerosolSize, 1),
            Key::ScaledValueOfFirstSize => signed(Block::AerosolSize, 2),
            Key::ScaleFactorOfSecondSize => scale(Block::AerosolSize, 6),
            Key::ScaledValueOfSecondSize => signed(Block::AerosolSize, 7),
            Key::TypeOfWavelengthInterval => octet(Block::Optical, 0),
            Key::ScaleFactorOfFirstWavelength => scale(Block::Optical, 1),
            Key::ScaledValueOfFirstWavelength => signed(Block::Optical, 2),
            Key::ScaleFactorOfSecondWavelength => scale(Block::Optical, 6),
            Key::ScaledValueOfSecondWavelength => signed(Block::Optical, 7),
            Key::TypeOfWavePeriodInterval => octet(Block::WavePeriodRange, 0),
            Key::ScaleFactorOfLowerWavePeriodLimit => scale(Block::WavePeriodRange, 1),
            Key::ScaledValueOfLowerWavePeriodLimit => unsigned(Block::WavePeriodRange, 2),
            Key::ScaleFactorOfUpperWavePeriodLimit => scale(Block::WavePeriodRange, 6),
            Key::ScaledValueOfUpperWavePeriodLimit => unsigned(Block::WavePeriodRange, 7),
            Key::SatelliteSeries => u16_at(section, band(0)?.0).map(i64::from),
            Key::SatelliteNumber => u16_at(section, band(2)?.0).map(i64::from),
            Key::InstrumentType => match band(4)? {
                (at, 10) => u8_at(section, at).map(i64::from),
                (at, _) => u16_at(section, at).map(i64::from),
            },
            Key::ScaledValueOfCentralWaveNumber => {
                // After the instrument (one or two octets), perhaps a channel, and the scale factor.
                let (at, size) = band(6)?;
                let at = match size {
                    10 => at,
                    11 => at + 1,
                    _ => at + 3,
                };
                u32_at(section, at).map(|value| if value == u32::MAX { MISSING } else { i64::from(value) })
            }
            Key::RandomFieldNumber => pair(Block::RandomPatterns, 0),
            Key::TypeOfRelationToReferenceDataset => octet(Block::ReferencePeriod, 1),
            Key::NumberOfAdditionalParametersForReferencePeriod => octet(Block::ReferencePeriod, 2),
            Key::GridDefinitionTemplateNumber => u16_at(self.sections.grid, 12).map(i64::from),
            Key::NumberOfGridInReference => (u16_at(self.sections.grid, 12) == Some(101))
                .then(|| u8_at(self.sections.grid, 18).map(i64::from))
                .flatten(),
            Key::NumberOfVerticalCoordinateValues => u16_at(section, 5).map(i64::from),
            Key::InputProcessIdentifier => pair(Block::PostProcessing, 0),
            Key::InputOriginatingCentre => pair(Block::PostProcessing, 2),
            Key::TypeOfPostProcessing => octet(Block::PostProcessing, 4),
            Key::MarsClass => u16_at(self.sections.local?, self.mars_offset()? + 2).map(i64::from),
            Key::Generation => {
                let is_climate =
                    matches!(self.identification().octet(19), 12 | 13) && u16_at(self.sections.local?, 7) == Some(1);
                is_climate.then(|| u8_at(self.sections.local?, 13).map(i64::from)).flatten()
            }
            _ => None,
        }
    }
}
