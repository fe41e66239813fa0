//! Polar stereographic (GRIB 2 template 3.20, GRIB 1 type 5).

use std::f64::consts::FRAC_PI_2;

use super::conformal;
use super::earth::Earth;

/// Angles in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolarStereographic {
    /// True when the plane touches the South Pole.
    pub south: bool,
    /// ecCodes LaDInDegrees, positive: the latitude at which lengths are true, in the hemisphere of the pole.
    pub standard_parallel: f64,
    /// ecCodes orientationOfTheGridInDegrees: the meridian parallel to the y axis.
    pub orientation: f64,
}

pub(super) struct Plane {
    eccentricity: f64,
    sign: f64,
    orientation: f64,
    scale: f64,
}

impl PolarStereographic {
    pub(super) fn plane(&self, earth: Earth) -> Plane {
        let eccentricity = earth.eccentricity();
        let parallel = self.standard_parallel.to_radians();
        // Snyder 21-33 and 21-34: radius = scale * t.
        let scale = if (parallel - FRAC_PI_2).abs() > 1e-10 {
            earth.major * conformal::m(eccentricity, parallel) / conformal::t(eccentricity, parallel)
        } else {
            let (plus, minus) = (1.0 + eccentricity, 1.0 - eccentricity);
            2.0 * earth.major / (plus.powf(plus) * minus.powf(minus)).sqrt()
        };
        let sign = if self.south { -1.0 } else { 1.0 };
        Plane { eccentricity, sign, orientation: self.orientation.to_radians(), scale }
    }
}

impl super::Projection for Plane {
    fn forward(&self, latitude: f64, longitude: f64) -> (f64, f64) {
        let radius = self.scale * conformal::t(self.eccentricity, self.sign * latitude);
        let angle = longitude - self.orientation;
        (radius * angle.sin(), -self.sign * radius * angle.cos())
    }

    fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let radius = x.hypot(y);
        let latitude = self.sign * conformal::latitude(self.eccentricity, radius / self.scale);
        let angle = if radius == 0.0 { 0.0 } else { x.atan2(-self.sign * y) };
        (latitude, self.orientation + angle)
    }
}
