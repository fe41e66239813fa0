//! Rotated spheres (GRIB 2 templates 3.1 and 3.41, GRIB 1 types 10 and 14).

/// Rotation that brings the southern pole to a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotation {
    /// ecCodes latitudeOfSouthernPoleInDegrees.
    pub south_pole_latitude: f64,
    /// ecCodes longitudeOfSouthernPoleInDegrees.
    pub south_pole_longitude: f64,
    /// ecCodes angleOfRotationInDegrees, about the new polar axis.
    pub angle: f64,
}

impl Rotation {
    /// True latitude and longitude, degrees, of a point in rotated degrees.
    pub(super) fn unrotate(&self, latitude: f64, longitude: f64) -> (f64, f64) {
        let (sin_latitude, cos_latitude) = latitude.to_radians().sin_cos();
        let (sin_longitude, cos_longitude) = longitude.to_radians().sin_cos();
        let point = (cos_longitude * cos_latitude, sin_longitude * cos_latitude, sin_latitude);
        // Tilt about the y axis, then turn about the z axis.
        let (sin_tilt, cos_tilt) = (90.0 + self.south_pole_latitude).to_radians().sin_cos();
        let (sin_turn, cos_turn) = self.south_pole_longitude.to_radians().sin_cos();
        let tilted_x = cos_tilt * point.0 - sin_tilt * point.2;
        let x = cos_turn * tilted_x - sin_turn * point.1;
        let y = sin_turn * tilted_x + cos_turn * point.1;
        let z = (sin_tilt * point.0 + cos_tilt * point.2).clamp(-1.0, 1.0);
        (round(z.asin().to_degrees()), round(y.atan2(x).to_degrees()) - self.angle)
    }
}

/// ecCodes rounds to a microdegree in 32-bit arithmetic, which moves points by up to 8e-6 degrees; followed so that
/// both give the same place to a point.
fn round(degrees: f64) -> f64 {
    f64::from((degrees * 1e6) as f32).round() / 1e6
}
