//! Functions that conformal projections of the ellipsoid share (Snyder, Map Projections: A Working Manual, 1987).

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

/// Equation 15-9: t, for latitude in radians. With eccentricity 0, the sphere's.
pub(super) fn t(eccentricity: f64, latitude: f64) -> f64 {
    let tangent = (FRAC_PI_4 - latitude / 2.0).tan();
    if eccentricity == 0.0 {
        return tangent;
    }
    let sine = eccentricity * latitude.sin();
    tangent / ((1.0 - sine) / (1.0 + sine)).powf(eccentricity / 2.0)
}

/// Equation 14-15: m, radius of a parallel over the major axis.
pub(super) fn m(eccentricity: f64, latitude: f64) -> f64 {
    let sine = eccentricity * latitude.sin();
    latitude.cos() / (1.0 - sine * sine).sqrt()
}

/// Equation 7-9: latitude in radians of t, by iteration.
pub(super) fn latitude(eccentricity: f64, t: f64) -> f64 {
    let mut latitude = FRAC_PI_2 - 2.0 * t.atan();
    if eccentricity == 0.0 {
        return latitude;
    }
    for _ in 0..16 {
        let sine = eccentricity * latitude.sin();
        let next = FRAC_PI_2 - 2.0 * (t * ((1.0 - sine) / (1.0 + sine)).powf(eccentricity / 2.0)).atan();
        let change = (next - latitude).abs();
        latitude = next;
        if change <= 1e-12 {
            break;
        }
    }
    latitude
}

/// Difference of two longitudes in radians, from -pi to pi.
pub(super) fn difference(longitude: f64, from: f64) -> f64 {
    let turn = std::f64::consts::TAU;
    let difference = (longitude - from) % turn;
    if difference > turn / 2.0 {
        difference - turn
    } else if difference < -turn / 2.0 {
        difference + turn
    } else {
        difference
    }
}
