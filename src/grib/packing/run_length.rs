//! Run length packing with level values: GRIB 2 template 5.200 (JMA).

use super::bits::{bits_at, sign_magnitude};
use super::header::Octets;
use super::malformed;
use super::sample::{Sample, power};
use crate::grib::Result;

/// Template 5.200.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunLengthHeader {
    pub bits: u32,
    /// The highest code that is a level; greater ones are digits of run lengths.
    highest_level: u64,
    /// Values of level 1, 2, ...; level 0 is missing.
    levels: Vec<f64>,
}

impl RunLengthHeader {
    pub fn parse(octets: &Octets<'_>) -> Result<Self> {
        let bits = u32::from(octets.byte(12)?);
        let highest_level = octets.unsigned(13, 2)?;
        let count: usize = octets.narrow(15, 2)?;
        let decimal_scale_factor = sign_magnitude(octets.unsigned(17, 1)?, 8) as i32;
        let factor = power(10.0, -decimal_scale_factor);
        let levels =
            (0..count).map(|level| Ok(octets.unsigned(18 + 2 * level, 2)? as f64 * factor)).collect::<Result<_>>()?;
        Ok(RunLengthHeader { bits, highest_level, levels })
    }
}

/// Decodes all of `out`; returns the number of missing values.
///
/// # Errors
/// Runs that do not sum to the number of values, or levels that are not in the list.
pub(crate) fn decode<T: Sample>(data: &[u8], header: &RunLengthHeader, out: &mut [T]) -> Result<usize> {
    let RunLengthHeader { bits, highest_level, levels } = header;
    let codes = (data.len() as u64 * 8).checked_div(u64::from(*bits)).unwrap_or_default();
    if codes == 0 || *highest_level == 0 {
        // No level occurs in the field.
        out.fill(T::MISSING);
        return Ok(out.len());
    }
    if *bits > 32 || *highest_level > levels.len() as u64 || (1u64 << bits) - 1 <= *highest_level {
        let what =
            format!("{bits} bits, highest level {highest_level} of {} cannot be run length packed", levels.len());
        return Err(malformed(5, 11, what));
    }
    let base = (1u64 << bits) - 1 - highest_level;
    let code = |index: u64| (index < codes).then(|| bits_at(data, (index * u64::from(*bits)) as usize, *bits));
    let mismatch = || malformed(7, 5, "the runs do not sum to the number of values");
    let (mut index, mut written, mut missing) = (0u64, 0usize, 0usize);
    while let Some(level) = code(index) {
        if written == out.len() {
            // Bits that fill the last byte.
            break;
        }
        if level > *highest_level {
            return Err(malformed(7, 5, "a run length without a level"));
        }
        index += 1;
        let (mut run, mut factor) = (1u64, 1u64);
        while let Some(digit) = code(index).filter(|digit| digit > highest_level) {
            run = run.saturating_add(factor.saturating_mul(digit - highest_level - 1));
            factor = factor.saturating_mul(base);
            index += 1;
        }
        let value = match level {
            0 => T::MISSING,
            _ => T::from_f64(levels.get(level as usize - 1).copied().ok_or_else(mismatch)?),
        };
        let run = usize::try_from(run).map_err(|_| mismatch())?;
        let end = written.checked_add(run).ok_or_else(mismatch)?;
        out.get_mut(written..end).ok_or_else(mismatch)?.fill(value);
        written = end;
        if level == 0 {
            missing += run;
        }
    }
    if written == out.len() { Ok(missing) } else { Err(mismatch()) }
}
