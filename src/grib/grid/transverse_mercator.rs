//! Transverse Mercator (GRIB 2 template 3.12). ecCodes computes no points for it; the series are Krueger's to the
//! fourth order of the third flattening (Karney 2011, equations 35 and 36), good to a millimetre for thousands of km.

use super::conformal;
use super::earth::Earth;

/// Lengths in metres, angles in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransverseMercator {
    /// ecCodes latitudeOfReferencePointInDegrees.
    pub origin_latitude: f64,
    /// ecCodes longitudeOfReferencePointInDegrees.
    pub central_meridian: f64,
    /// ecCodes scaleFactorAtReferencePoint.
    pub scale_factor: f64,
    /// ecCodes XRInMetres.
    pub false_easting: f64,
    /// ecCodes YRInMetres.
    pub false_northing: f64,
}

pub(super) struct Cylinder {
    parameters: TransverseMercator,
    eccentricity: f64,
    radius: f64,
    origin: f64,
    alpha: [f64; 4],
    beta: [f64; 4],
}

impl TransverseMercator {
    pub(super) fn cylinder(&self, earth: Earth) -> Cylinder {
        let eccentricity = earth.eccentricity();
        let n = (earth.major - earth.minor) / (earth.major + earth.minor);
        let (n2, n3, n4) = (n * n, n.powi(3), n.powi(4));
        let alpha = [
            n / 2.0 - 2.0 / 3.0 * n2 + 5.0 / 16.0 * n3 + 41.0 / 180.0 * n4,
            13.0 / 48.0 * n2 - 3.0 / 5.0 * n3 + 557.0 / 1440.0 * n4,
            61.0 / 240.0 * n3 - 103.0 / 140.0 * n4,
            49561.0 / 161_280.0 * n4,
        ];
        let beta = [
            n / 2.0 - 2.0 / 3.0 * n2 + 37.0 / 96.0 * n3 - n4 / 360.0,
            n2 / 48.0 + n3 / 15.0 - 437.0 / 1440.0 * n4,
            17.0 / 480.0 * n3 - 37.0 / 840.0 * n4,
            4397.0 / 161_280.0 * n4,
        ];
        let radius = self.scale_factor * earth.major / (1.0 + n) * (1.0 + n2 / 4.0 + n4 / 64.0);
        let conformal_latitude = conformal_latitude(eccentricity, self.origin_latitude.to_radians());
        let origin = series(&alpha, conformal_latitude, 0.0).0 + conformal_latitude;
        Cylinder { parameters: *self, eccentricity, radius, origin, alpha, beta }
    }
}

impl super::Projection for Cylinder {
    fn forward(&self, latitude: f64, longitude: f64) -> (f64, f64) {
        let angle = conformal::difference(longitude, self.parameters.central_meridian.to_radians());
        let conformal_latitude = conformal_latitude(self.eccentricity, latitude);
        let xi = conformal_latitude.tan().atan2(angle.cos());
        let eta = (conformal_latitude.cos() * angle.sin()).atanh();
        let (d_xi, d_eta) = series(&self.alpha, xi, eta);
        (
            self.parameters.false_easting + self.radius * (eta + d_eta),
            self.parameters.false_northing + self.radius * (xi + d_xi - self.origin),
        )
    }

    fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let xi = (y - self.parameters.false_northing) / self.radius + self.origin;
        let eta = (x - self.parameters.false_easting) / self.radius;
        let (d_xi, d_eta) = series(&self.beta, xi, eta);
        let (xi, eta) = (xi - d_xi, eta - d_eta);
        let conformal_latitude = (xi.sin() / eta.cosh()).clamp(-1.0, 1.0).asin();
        let t = (std::f64::consts::FRAC_PI_4 - conformal_latitude / 2.0).tan();
        let longitude = self.parameters.central_meridian.to_radians() + eta.sinh().atan2(xi.cos());
        (conformal::latitude(self.eccentricity, t), longitude)
    }
}

fn conformal_latitude(eccentricity: f64, latitude: f64) -> f64 {
    std::f64::consts::FRAC_PI_2 - 2.0 * conformal::t(eccentricity, latitude).atan()
}

/// Sums of coefficient * sin(2 j xi) cosh(2 j eta) and coefficient * cos(2 j xi) sinh(2 j eta).
fn series(coefficients: &[f64; 4], xi: f64, eta: f64) -> (f64, f64) {
    coefficients.iter().zip([2.0, 4.0, 6.0, 8.0]).fold((0.0, 0.0), |(d_xi, d_eta), (coefficient, multiple)| {
        let (sine, cosine) = (multiple * xi).sin_cos();
        let angle = multiple * eta;
        (d_xi + coefficient * sine * angle.cosh(), d_eta + coefficient * cosine * angle.sinh())
    })
}
