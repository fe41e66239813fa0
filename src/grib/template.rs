//! Section 4 of GRIB 2, taken apart.
//!
//! A product definition template is a sequence of blocks (parameter, generating process, forecast time, surfaces, ...)
//! that templates share; some repeat a part as often as an octet before it says. [`Layout`] is where the blocks of one
//! section begin.

use super::octets::{u8_at, u16_at};
use super::template_table::blocks;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Block {
    Parameter,
    GeneratingProcess,
    /// Generating process of observations: type and identifier, without a background process.
    Observation,
    Quality,
    ForecastTime,
    /// Template 4.44 as first published had a forecast time of two octets.
    ForecastTime44,
    Horizontal,
    Ensemble,
    EnsembleWithoutType,
    LargeEnsemble,
    Derived,
    LargeDerived,
    Probability,
    LargeProbability,
    Percentile,
    Quantile,
    Statistical,
    StatisticalWithoutEnd,
    Constituent,
    Aerosol,
    AerosolSize,
    Optical,
    Source,
    Radionuclides,
    Distribution,
    Partition,
    Tile,
    GeneralisedTile,
    PostProcessing,
    Reforecast,
    ReferencePeriod,
    Wave,
    WaveSpectraList,
    WaveSpectraFormula,
    WavePeriodRange,
    Satellite,
    Satellite30,
    SatelliteExtended,
    Categorical,
    RectangularCluster,
    CircularCluster,
    ClusterMembers,
    LocalTime,
    LocalTimeStatistical,
    FocalStatistics,
    VerificationScores,
    RandomPatterns,
    Spatial,
}

const BLOCKS: usize = Block::Spatial as usize + 1;

/// Where the blocks of a section 4 begin (index into the section).
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// 0: not in this template. The first block begins at 9.
    starts: [u16; BLOCKS],
    /// After the last block; vertical coordinates may follow.
    pub end: usize,
    /// False: a template that is not in the table. It is read as if it began like 4.0, where its parameter is.
    pub known: bool,
    pub blocks: &'static [Block],
}

impl Layout {
    /// `None`: the section is shorter than its template.
    pub(crate) fn of(section: &[u8], template: u16) -> Option<Self> {
        let known = blocks(template);
        let blocks = known.unwrap_or(&[Block::Parameter]);
        let mut layout = Layout { starts: [0; BLOCKS], end: 9, known: known.is_some(), blocks };
        for block in blocks {
            let size = layout.size(section, *block)?;
            if let Some(start) = layout.starts.get_mut(*block as usize) {
                *start = u16::try_from(layout.end).ok()?;
            }
            layout.end = layout.end.checked_add(size)?;
            if layout.end > section.len() {
                return None;
            }
        }
        Some(layout)
    }

    /// Index of the block's first octet.
    pub(crate) fn start(&self, block: Block) -> Option<usize> {
        self.starts.get(block as usize).map(|start| usize::from(*start)).filter(|start| *start != 0)
    }

    /// The block's bytes.
    pub(crate) fn bytes<'a>(&self, section: &'a [u8], block: Block) -> Option<&'a [u8]> {
        let start = self.start(block)?;
        let end = self.blocks.iter().filter_map(|other| self.start(*other)).filter(|other| *other > start).min();
        section.get(start..end.unwrap_or(self.end))
    }

    fn size(&self, section: &[u8], block: Block) -> Option<usize> {
        let octet = |index: usize| u8_at(section, self.end.checked_add(index)?).map(usize::from);
        Some(match block {
            Block::Parameter | Block::Observation | Block::EnsembleWithoutType | Block::Derived => 2,
            Block::Constituent | Block::Aerosol => 2,
            Block::Quality | Block::Percentile | Block::Source => 1,
            Block::GeneratingProcess | Block::Ensemble | Block::Spatial => 3,
            Block::Quantile => 4,
            Block::LargeDerived | Block::PostProcessing => 5,
            Block::Tile => 6,
            Block::Reforecast | Block::LocalTimeStatistical => 7,
            Block::ForecastTime | Block::Wave => 8,
            Block::ForecastTime44 => {
                let coordinates = u16_at(section, 5).map(usize::from)?;
                if section.len() == coordinates.checked_mul(4)?.checked_add(45)? { 6 } else { 8 }
            }
            Block::LargeEnsemble => 9,
            Block::AerosolSize | Block::Optical | Block::WavePeriodRange => 11,
            Block::Horizontal => 12,
            Block::Probability => 13,
            Block::LargeProbability | Block::RandomPatterns => 18,
            Block::StatisticalWithoutEnd => 16,
            Block::Radionuclides => 22,
            Block::RectangularCluster => 32,
            Block::CircularCluster => 28,
            Block::Statistical => 12 + 12 * octet(7)?,
            Block::Distribution => 7 + 5 * octet(6)?,
            Block::Partition => 4 + 2 * octet(1)?,
            Block::GeneralisedTile => 24 + octet(5)?,
            Block::ReferencePeriod => {
                let parameters = 5 * octet(2)?;
                15 + parameters + 6 * octet(14 + parameters)?
            }
            Block::WaveSpectraList => {
                let wave = self.start(Block::Wave)?;
                let (directions, frequencies) = (u16_at(section, wave + 2)?, u16_at(section, wave + 6)?);
                2 + 4 * (usize::from(directions) + usize::from(frequencies))
            }
            Block::WaveSpectraFormula => {
                let directions = 5 * octet(1)?;
                4 + directions + 5 * octet(3 + directions)?
            }
            Block::Satellite => 1 + 11 * octet(0)?,
            Block::Satellite30 => 1 + if section.len() > 14 { 10 * octet(0)? } else { 0 },
            Block::SatelliteExtended => 1 + 19 * octet(0)?,
            Block::Categorical => 1 + 12 * octet(0)?,
            Block::ClusterMembers => {
                let count = match (self.start(Block::RectangularCluster), self.start(Block::CircularCluster)) {
                    (Some(start), _) => start + 21,
                    (_, start) => start? + 17,
                };
                usize::from(u8_at(section, count)?)
            }
            Block::LocalTime => 2 + 18 * octet(1)?,
            Block::FocalStatistics => 18 + 4 * octet(1)?,
            Block::VerificationScores => {
                let arguments = 5 * octet(6)?;
                17 + arguments + 11 * octet(14 + arguments)?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(template: u16, length: usize) -> Vec<u8> {
        let mut section = vec![0; length];
        section[7..9].copy_from_slice(&template.to_be_bytes());
        section
    }

    #[test]
    fn lengths_are_those_of_the_manual() {
        // Octets of the templates in the manual on codes, with one repetition where something repeats.
        for (template, length) in [(0, 34), (1, 37), (2, 36), (5, 47), (6, 35), (15, 37), (40, 36), (48, 58), (60, 44)]
        {
            let layout = Layout::of(&section(template, 400), template).unwrap();
            assert_eq!(layout.end, length, "4.{template}");
            assert!(Layout::of(&section(template, length - 1), template).is_none());
        }
        for (template, range_count, length) in [(8, 41, 58), (9, 54, 71), (11, 44, 61), (12, 43, 60), (61, 51, 68)] {
            let mut bytes = section(template, 400);
            bytes[range_count] = 1;
            assert_eq!(Layout::of(&bytes, template).unwrap().end, length, "4.{template}");
        }
    }

    #[test]
    fn no_count_leads_past_the_section() {
        for template in 0..=1200 {
            for length in [9, 11, 20, 34, 58, 90, 200] {
                for fill in [0, 1, 2, 127, 255] {
                    let mut bytes = vec![fill; length];
                    bytes[7..9].copy_from_slice(&u16::to_be_bytes(template));
                    if let Some(layout) = Layout::of(&bytes, template) {
                        assert!(layout.end <= length);
                        for block in layout.blocks {
                            assert!(layout.bytes(&bytes, *block).is_some());
                        }
                    }
                }
            }
        }
    }
}
