//! Points of made grids (every supported type, edition and direction) agree with ecCodes, or with PROJ where ecCodes
//! computes none or takes another pole or direction, or with exact fractions where it loses points.

use serde::Deserialize;

use super::super::{Coordinates, Geometry, Grid};
use crate::grib::GribError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vector {
    pub(super) name: String,
    pub(super) edition: u8,
    grid_type: String,
    section: String,
    source: String,
    points: usize,
    at: Vec<usize>,
    latitude: Vec<f64>,
    longitude: Vec<f64>,
}

impl Vector {
    pub(super) fn section(&self) -> Vec<u8> {
        let digits = self.section.as_bytes().chunks_exact(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }
}

pub(super) fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../vectors.json")).unwrap()
}

pub(super) fn parse(edition: u8, section: &[u8]) -> Result<Grid, GribError> {
    if edition == 1 { Grid::from_grib1(section, &[]) } else { Grid::from_grib2(section) }
}

/// Latitude and longitude of an array index.
pub(super) fn point(coordinates: &Coordinates, index: usize) -> (f64, f64) {
    match coordinates {
        Coordinates::Axes { latitude, longitude } => {
            (latitude[index / longitude.len()], longitude[index % longitude.len()])
        }
        Coordinates::Projected { latitude, longitude, .. } | Coordinates::Points { latitude, longitude } => {
            (latitude[index], longitude[index])
        }
    }
}

#[test]
fn points_agree_to_a_microdegree() {
    let vectors = vectors();
    assert!(vectors.len() > 40);
    let mut failures = Vec::new();
    for vector in &vectors {
        let grid = parse(vector.edition, &vector.section()).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert_eq!(grid.grid_type, vector.grid_type, "{}", vector.name);
        assert_eq!(grid.points(), vector.points, "{}", vector.name);
        let coordinates = grid.coordinates().unwrap_or_else(|error| panic!("{}: {error}", vector.name)).unwrap();
        // Axes and points were listed in message order; projected points as arrays hold them.
        let order = grid.order();
        let listed_in_message_order = vector.source == "ecCodes"
            && matches!(grid.geometry, Geometry::LatitudeLongitude { .. } | Geometry::Gaussian { .. });
        let mut compared = 0;
        for index in 0..grid.points() {
            let listed = if listed_in_message_order { order.message_index(index) } else { index };
            let Some(place) = vector.at.iter().position(|&at| at == listed) else { continue };
            compared += 1;
            let (latitude, longitude) = point(&coordinates, index);
            let turned = (longitude - vector.longitude[place] + 180.0).rem_euclid(360.0) - 180.0;
            let off = (latitude - vector.latitude[place]).abs().max(turned.abs());
            if off.is_nan() || off > 1e-6 {
                let expected = (vector.latitude[place], vector.longitude[place]);
                failures.push(format!("{} at {listed}: ({latitude}, {longitude}), not {expected:?}", vector.name));
            }
        }
        assert_eq!(compared, vector.at.len(), "{}", vector.name);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
