//! Mercator (GRIB 2 template 3.10, GRIB 1 type 1).

use super::conformal;
use super::earth::Earth;

/// Angles in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mercator {
    /// ecCodes LaDInDegrees: the latitude at which lengths are true.
    pub standard_parallel: f64,
    /// ecCodes orientationOfTheGridInDegrees, which ecCodes takes as the longitude of x = 0.
    pub orientation: f64,
}

pub(super) struct Cylinder {
    eccentricity: f64,
    orientation: f64,
    radius: f64,
}

impl Mercator {
    pub(super) fn cylinder(&self, earth: Earth) -> Cylinder {
        let eccentricity = earth.eccentricity();
        let radius = earth.major * conformal::m(eccentricity, self.standard_parallel.to_radians());
        Cylinder { eccentricity, orientation: self.orientation.to_radians(), radius }
    }
}

impl super::Projection for Cylinder {
    fn forward(&self, latitude: f64, longitude: f64) -> (f64, f64) {
        let x = self.radius * conformal::difference(longitude, self.orientation);
        (x, -self.radius * conformal::t(self.eccentricity, latitude).ln())
    }

    fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let latitude = conformal::latitude(self.eccentricity, (-y / self.radius).exp());
        (latitude, self.orientation + x / self.radius)
    }
}
