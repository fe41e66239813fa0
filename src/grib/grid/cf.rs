//! CF 1.11 attributes of grids and coordinates.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Geometry, Grid};

/// Attributes of a Zarr array, ready for its metadata.
pub type Attributes = BTreeMap<String, Value>;

impl Grid {
    /// The CF grid mapping: its `grid_mapping_name` and all attributes (that name among them; CF 1.11, appendix F),
    /// with the shape of the earth. None for grids without coordinates.
    pub fn grid_mapping(&self) -> Option<(&'static str, Attributes)> {
        if self.coordinates_note().is_some() {
            return None;
        }
        let rotated = |rotation: super::Rotation| {
            // 360 is 0 in CF's examples; a turn about the new pole is its own attribute.
            json!({
                "grid_north_pole_latitude": -rotation.south_pole_latitude,
                "grid_north_pole_longitude": within_180(rotation.south_pole_longitude + 180.0),
                "north_pole_grid_longitude": rotation.angle,
            })
        };
        let (name, parameters) = match self.geometry {
            Geometry::LatitudeLongitude { rotation: Some(rotation) }
            | Geometry::Gaussian { rotation: Some(rotation), .. } => ("rotated_latitude_longitude", rotated(rotation)),
            Geometry::LatitudeLongitude { .. } | Geometry::Gaussian { .. } | Geometry::Unstructured => {
                ("latitude_longitude", json!({}))
            }
            Geometry::Lambert(lambert) => {
                let parallels = if lambert.first_parallel == lambert.second_parallel {
                    json!(lambert.first_parallel)
                } else {
                    json!([lambert.first_parallel, lambert.second_parallel])
                };
                let parameters = json!({
                    "standard_parallel": parallels,
                    "longitude_of_central_meridian": within_180(lambert.central_meridian),
                    "latitude_of_projection_origin": lambert.origin_latitude,
                    "false_easting": 0.0,
                    "false_northing": 0.0,
                });
                ("lambert_conformal_conic", parameters)
            }
            Geometry::Mercator(mercator) => {
                let parameters = json!({
                    "standard_parallel": mercator.standard_parallel,
                    "longitude_of_projection_origin": within_180(mercator.orientation),
                    "false_easting": 0.0,
                    "false_northing": 0.0,
                });
                ("mercator", parameters)
            }
            Geometry::PolarStereographic(projection) => {
                let sign = if projection.south { -1.0 } else { 1.0 };
                let parameters = json!({
                    "straight_vertical_longitude_from_pole": within_180(projection.orientation),
                    "latitude_of_projection_origin": sign * 90.0,
                    "standard_parallel": sign * projection.standard_parallel,
                    "false_easting": 0.0,
                    "false_northing": 0.0,
                });
                ("polar_stereographic", parameters)
            }
            Geometry::TransverseMercator { projection, .. } => {
                let parameters = json!({
                    "latitude_of_projection_origin": projection.origin_latitude,
                    "longitude_of_central_meridian": within_180(projection.central_meridian),
                    "scale_factor_at_central_meridian": projection.scale_factor,
                    "false_easting": projection.false_easting,
                    "false_northing": projection.false_northing,
                });
                ("transverse_mercator", parameters)
            }
            Geometry::Spectral | Geometry::Other { .. } => return None,
        };
        let mut attributes = attributes(parameters);
        attributes.insert("grid_mapping_name".into(), json!(name));
        match self.earth {
            Some(earth) if earth.is_sphere() => {
                attributes.insert("earth_radius".into(), json!(earth.major));
            }
            Some(earth) => {
                attributes.insert("semi_major_axis".into(), json!(earth.major));
                attributes.insert("semi_minor_axis".into(), json!(earth.minor));
            }
            None => {}
        }
        Some((name, attributes))
    }

    /// CF attributes of the coordinate arrays `latitude`, `longitude`, `y` and `x`; empty for another name.
    pub fn coordinate_attributes(&self, name: &str) -> Attributes {
        let rotated = matches!(self.geometry, Geometry::LatitudeLongitude { rotation: Some(_) });
        attributes(match (name, rotated) {
            ("latitude", _) => json!({"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north"}),
            ("longitude", _) => {
                json!({"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east"})
            }
            ("y", true) => axis("Y", "grid_latitude", "latitude in rotated pole grid", "degrees"),
            ("x", true) => axis("X", "grid_longitude", "longitude in rotated pole grid", "degrees"),
            ("y", false) => axis("Y", "projection_y_coordinate", "y coordinate of projection", "m"),
            ("x", false) => axis("X", "projection_x_coordinate", "x coordinate of projection", "m"),
            _ => json!({}),
        })
    }
}

fn axis(axis: &str, standard_name: &str, long_name: &str, units: &str) -> Value {
    json!({"axis": axis, "standard_name": standard_name, "long_name": long_name, "units": units})
}

fn attributes(object: Value) -> Attributes {
    match object {
        Value::Object(object) => object.into_iter().collect(),
        _ => Attributes::new(),
    }
}

/// A longitude in [-180, 180).
fn within_180(longitude: f64) -> f64 {
    (longitude + 180.0).rem_euclid(360.0) - 180.0
}
