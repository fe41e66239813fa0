//! Levels: scaled values, and ecCodes' `level`.

use super::key::Decimal;

/// A fixed surface of GRIB 2: code table 4.5, scale factor and scaled value, `None` where missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Surface {
    pub kind: u8,
    pub scale: Option<i8>,
    pub value: Option<u32>,
}

const ISOBARIC: u8 = 100;
const POTENTIAL_VORTICITY: u8 = 109;

impl Surface {
    /// The value in the unit of `typeOfLevel`: hPa (but Pa for isobaricInPa), 10^-9 K m2 kg-1 s-1 (TIGGE: 10^-6) on
    /// surfaces of potential vorticity, otherwise the unit of code table 4.5.
    pub(crate) fn level(&self, is_in_pascals: bool, is_tigge: bool) -> Option<Decimal> {
        let mut scale = i16::from(self.scale.unwrap_or(0));
        match self.kind {
            ISOBARIC if !is_in_pascals => scale += 2,
            POTENTIAL_VORTICITY => scale -= if is_tigge { 6 } else { 9 },
            _ => {}
        }
        Some(Decimal::new(i64::from(self.value?), scale))
    }

    /// ecCodes' integer `level`: 0 when the surface has no value, hPa without a fraction, otherwise rounded half up.
    pub(crate) fn ec_codes_level(&self, is_tigge: bool) -> i64 {
        let Some(value) = self.value else { return 0 };
        let mut scale = i16::from(self.scale.unwrap_or(0));
        if self.kind == POTENTIAL_VORTICITY && self.scale.is_some() {
            scale -= if is_tigge { 6 } else { 9 };
        }
        let mut level = f64::from(value);
        while scale < 0 && level != 0.0 {
            level *= 10.0;
            scale += 1;
        }
        while scale > 0 && level != 0.0 {
            level /= 10.0;
            scale -= 1;
        }
        if self.kind == ISOBARIC {
            let hectopascals = (level / 100.0).trunc();
            if scale != 0 || hectopascals != 0.0 {
                level = hectopascals;
            }
        }
        (level + 0.5) as i64
    }
}

impl Decimal {
    /// `value * 10^-scale`, reduced so that equal numbers are equal; a scale beyond that of `i8` is clamped.
    #[must_use]
    pub fn new(value: i64, scale: i16) -> Self {
        if value == 0 {
            return Decimal { value: 0, scale: 0 };
        }
        let (mut value, mut scale) = (value, scale);
        while value % 10 == 0 && scale > i16::from(i8::MIN) {
            value /= 10;
            scale -= 1;
        }
        // Ordinary whole numbers read better without a negative scale.
        while (-18..0).contains(&scale) {
            let Some(larger) = value.checked_mul(10) else { break };
            value = larger;
            scale += 1;
        }
        Decimal { value, scale: scale.clamp(i16::from(i8::MIN), i16::from(i8::MAX)) as i8 }
    }

    /// The nearest float64.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        let power = 10_f64.powi(i32::from(self.scale.unsigned_abs()));
        if self.scale < 0 { self.value as f64 * power } else { self.value as f64 / power }
    }
}

/// Decimal digits: `850`, `0.1`, `-2.5`; `7e30` where digits would be too many.
impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.scale {
            0 => write!(f, "{}", self.value),
            1..=18 => {
                let power = 10_u64.pow(u32::from(self.scale.unsigned_abs()));
                let magnitude = self.value.unsigned_abs();
                let sign = if self.value < 0 { "-" } else { "" };
                let width = usize::from(self.scale.unsigned_abs());
                write!(f, "{sign}{}.{:0width$}", magnitude / power, magnitude % power)
            }
            scale => write!(f, "{}e{}", self.value, -i16::from(scale)),
        }
    }
}

/// The level of GRIB 1, octets 11 and 12 of section 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grib1Level {
    pub kind: u8,
    pub top_octet: u8,
    pub bottom_octet: u8,
}

impl Grib1Level {
    /// Two octets are the two sides of a layer, instead of one number (code table 3).
    pub(crate) fn is_layer(&self) -> bool {
        matches!(self.kind, 101 | 104 | 106 | 108 | 110 | 112 | 114 | 116 | 120 | 121 | 128 | 141)
    }

    /// ecCodes' `level`; of a layer, its top.
    pub(crate) fn level(&self) -> u16 {
        if self.is_layer() {
            u16::from(self.top_octet)
        } else {
            u16::from_be_bytes([self.top_octet, self.bottom_octet])
        }
    }

    /// Top (or only) and bottom; `None` where the type of level has no value.
    pub(crate) fn values(&self) -> (Option<Decimal>, Option<Decimal>) {
        let level = Decimal::new(i64::from(self.level()), 0);
        if self.is_layer() {
            return (Some(level), Some(Decimal::new(i64::from(self.bottom_octet), 0)));
        }
        let has_value = matches!(self.kind, 20 | 100..=101 | 103..=128 | 141 | 160 | 210 | 235..=238);
        ((has_value || level.value != 0).then_some(level), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(kind: u8, scale: i8, value: u32) -> Surface {
        Surface { kind, scale: Some(scale), value: Some(value) }
    }

    #[test]
    fn equal_numbers_are_equal() {
        assert_eq!(Decimal::new(500, 2), Decimal::new(5, 0));
        assert_eq!(Decimal::new(5, -2), Decimal::new(500, 0));
        assert_eq!(Decimal::new(0, 7), Decimal::new(0, -7));
        assert_eq!(Decimal::new(25, 1).to_string(), "2.5");
        assert_eq!(Decimal::new(-5, 2).to_string(), "-0.05");
        assert_eq!(Decimal::new(7, -30).to_string(), "7e30");
        assert_eq!(Decimal::new(25, 1).to_f64(), 2.5);
    }

    #[test]
    fn pressure_is_in_hectopascals() {
        assert_eq!(surface(100, 0, 85_000).level(false, false), Some(Decimal::new(850, 0)));
        assert_eq!(surface(100, 0, 85_000).ec_codes_level(false), 850);
        assert_eq!(surface(100, 0, 150).level(false, false), Some(Decimal::new(15, 1)));
        assert_eq!(surface(100, 0, 150).ec_codes_level(false), 1);
        assert_eq!(surface(100, 0, 50).level(true, false), Some(Decimal::new(50, 0)));
        assert_eq!(surface(100, 0, 50).ec_codes_level(false), 50);
    }

    #[test]
    fn potential_vorticity_is_scaled() {
        assert_eq!(surface(109, 9, 2000).ec_codes_level(false), 2000);
        assert_eq!(surface(109, 6, 2).ec_codes_level(true), 2);
        assert_eq!(surface(109, 6, 2).level(false, false), Some(Decimal::new(2000, 0)));
    }

    #[test]
    fn extreme_scales_end() {
        for scale in [i8::MIN + 1, -100, 100, i8::MAX] {
            for value in [0, 1, u32::MAX] {
                let _ = surface(103, scale, value).ec_codes_level(false);
                let _ = surface(100, scale, value).level(false, false).map(Decimal::to_f64);
            }
        }
        assert_eq!(Surface { kind: 1, scale: None, value: None }.level(false, false), None);
    }

    #[test]
    fn layers_of_grib1_have_two_sides() {
        let layer = Grib1Level { kind: 112, top_octet: 7, bottom_octet: 28 };
        assert_eq!(layer.values(), (Some(Decimal::new(7, 0)), Some(Decimal::new(28, 0))));
        let surface = Grib1Level { kind: 1, top_octet: 0, bottom_octet: 0 };
        assert_eq!(surface.values(), (None, None));
        let height = Grib1Level { kind: 105, top_octet: 1, bottom_octet: 0 };
        assert_eq!(height.level(), 256);
    }
}
