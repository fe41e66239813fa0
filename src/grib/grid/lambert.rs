//! Lambert conformal conic (GRIB 2 template 3.30, GRIB 1 types 3 and 13).

use super::conformal;
use super::earth::Earth;

/// Angles in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lambert {
    /// ecCodes LaDInDegrees (GRIB 1: Latin1).
    pub origin_latitude: f64,
    /// ecCodes LoVInDegrees.
    pub central_meridian: f64,
    /// ecCodes Latin1InDegrees.
    pub first_parallel: f64,
    /// ecCodes Latin2InDegrees.
    pub second_parallel: f64,
}

/// Constants of the cone.
pub(super) struct Cone {
    eccentricity: f64,
    central_meridian: f64,
    n: f64,
    scale: f64,
    origin_radius: f64,
}

impl Lambert {
    pub(super) fn cone(&self, earth: Earth) -> Cone {
        let eccentricity = earth.eccentricity();
        let (first, second) = (self.first_parallel.to_radians(), self.second_parallel.to_radians());
        let (m1, t1) = (conformal::m(eccentricity, first), conformal::t(eccentricity, first));
        let n = if (first - second).abs() > 1e-10 {
            let (m2, t2) = (conformal::m(eccentricity, second), conformal::t(eccentricity, second));
            (m1 / m2).ln() / (t1 / t2).ln()
        } else {
            first.sin()
        };
        let scale = earth.major * m1 / (n * t1.powf(n));
        let origin_radius = scale * conformal::t(eccentricity, self.origin_latitude.to_radians()).powf(n);
        Cone { eccentricity, central_meridian: self.central_meridian.to_radians(), n, scale, origin_radius }
    }
}

impl super::Projection for Cone {
    fn forward(&self, latitude: f64, longitude: f64) -> (f64, f64) {
        let radius = self.scale * conformal::t(self.eccentricity, latitude).powf(self.n);
        let angle = self.n * conformal::difference(longitude, self.central_meridian);
        (radius * angle.sin(), self.origin_radius - radius * angle.cos())
    }

    fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let sign = self.n.signum();
        let (x, y) = (sign * x, sign * (self.origin_radius - y));
        let radius = sign * x.hypot(y);
        if radius == 0.0 {
            return (sign * std::f64::consts::FRAC_PI_2, self.central_meridian);
        }
        let latitude = conformal::latitude(self.eccentricity, (radius / self.scale).powf(1.0 / self.n));
        (latitude, self.central_meridian + x.atan2(y) / self.n)
    }
}
