//! Shape of the earth.

use super::octets::Octets;
use crate::grib::GribError;

/// Axes of the earth in metres; equal for a sphere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Earth {
    /// Semi-major axis (ecCodes earthMajorAxisInMetres, or radius).
    pub major: f64,
    /// Semi-minor axis (ecCodes earthMinorAxisInMetres, or radius).
    pub minor: f64,
}

impl Earth {
    /// GRIB 1's sphere (table 7).
    pub(super) const GRIB1_SPHERE: Self = Self::sphere(6_367_470.0);
    /// IAU 1965, GRIB 1's oblate earth and GRIB 2's code 2.
    pub(super) const IAU_1965: Self = Self { major: 6_378_160.0, minor: 6_356_775.0 };

    const fn sphere(radius: f64) -> Self {
        Self { major: radius, minor: radius }
    }

    /// True when both axes are equal.
    pub fn is_sphere(&self) -> bool {
        self.major == self.minor
    }

    /// First eccentricity, 0 for a sphere.
    pub(super) fn eccentricity(&self) -> f64 {
        let ratio = self.minor / self.major;
        (1.0 - ratio * ratio).max(0.0).sqrt()
    }

    /// Code table 3.2 with the figures of octets 15 to 30; None when the code is unknown or its figures are missing.
    pub(super) fn from_grib2(octets: &Octets<'_>) -> Result<Option<Self>, GribError> {
        let axes = |unit: f64| -> Result<Option<Self>, GribError> {
            Ok(match (scaled(octets, 21)?, scaled(octets, 26)?) {
                (Some(major), Some(minor)) => Some(Self { major: major * unit, minor: minor * unit }),
                _ => None,
            })
        };
        let earth = match octets.byte(15)? {
            0 => Some(Self::GRIB1_SPHERE),
            1 => scaled(octets, 16)?.map(Self::sphere),
            2 => Some(Self::IAU_1965),
            3 => axes(1000.0)?,
            // IAG-GRS80 and WGS84: ecCodes takes one minor axis for both, 0.1 mm from either.
            4 | 5 => Some(Self { major: 6_378_137.0, minor: 6_356_752.314 }),
            6 => Some(Self::sphere(6_371_229.0)),
            7 => axes(1.0)?,
            8 => Some(Self::sphere(6_371_200.0)),
            9 => Some(Self { major: 6_377_563.396, minor: 6_356_256.909 }),
            _ => None,
        };
        Ok(earth.filter(|earth| earth.minor > 0.0 && earth.major >= earth.minor && earth.major.is_finite()))
    }
}

/// Scale factor (one octet) and scaled value (four): None when either is missing.
fn scaled(octets: &Octets<'_>, octet: usize) -> Result<Option<f64>, GribError> {
    let factor = octets.optional(octet, 1)?;
    let value = octets.optional(octet + 1, 4)?;
    let (Some(_), Some(value)) = (factor, value) else { return Ok(None) };
    let factor = octets.signed(octet, 1)?;
    Ok(i32::try_from(factor).ok().map(|factor| f64::from(value) * 10f64.powi(-factor)))
}
