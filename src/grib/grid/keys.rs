//! The grid under ecCodes' key names.

use serde::Serialize;

use super::{Geometry, Grid};

/// Grid keys with ecCodes' names and units; keys that ecCodes does not define for a grid are absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are ecCodes' keys")]
pub struct GridKeys {
    pub grid_definition_template_number: u16,
    pub grid_type: &'static str,
    #[serde(rename = "Ni", skip_serializing_if = "Option::is_none")]
    pub ni: Option<u32>,
    #[serde(rename = "Nj", skip_serializing_if = "Option::is_none")]
    pub nj: Option<u32>,
    #[serde(rename = "Nx", skip_serializing_if = "Option::is_none")]
    pub nx: Option<u32>,
    #[serde(rename = "Ny", skip_serializing_if = "Option::is_none")]
    pub ny: Option<u32>,
    #[serde(rename = "N", skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_octahedral: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanning_mode: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub i_scans_negatively: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub j_scans_positively: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub j_points_are_consecutive: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternative_row_scanning: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latitude_of_first_grid_point_in_degrees: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longitude_of_first_grid_point_in_degrees: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latitude_of_last_grid_point_in_degrees: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longitude_of_last_grid_point_in_degrees: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub i_direction_increment_in_degrees: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub j_direction_increment_in_degrees: Option<f64>,
    pub number_of_data_points: u64,
}

impl From<&Grid> for GridKeys {
    fn from(grid: &Grid) -> Self {
        // ecCodes gives these templates the octet but not all of its flags.
        let all_flags = !matches!(grid.template, 150 | 32768..);
        let two_flags = grid.template < 32768;
        let flag = |defined: bool, get: fn(super::Scanning) -> bool| {
            grid.scanning.filter(|_| defined).map(|scanning| u8::from(get(scanning)))
        };
        Self {
            grid_definition_template_number: grid.template,
            grid_type: grid.grid_type,
            ni: grid.ni,
            nj: grid.nj,
            nx: grid.ni,
            ny: grid.nj.filter(|_| !matches!(grid.geometry, Geometry::Spectral)),
            n: grid.n,
            is_octahedral: grid.is_octahedral.map(u8::from),
            scanning_mode: grid.scanning.map(|scanning| scanning.0),
            i_scans_negatively: flag(two_flags, super::Scanning::i_scans_negatively),
            j_scans_positively: flag(two_flags, super::Scanning::j_scans_positively),
            j_points_are_consecutive: flag(all_flags, super::Scanning::j_points_are_consecutive),
            alternative_row_scanning: flag(all_flags, |scanning| scanning.alternative_row_scanning()),
            latitude_of_first_grid_point_in_degrees: grid.first_latitude.map(|angle| angle.degrees()),
            longitude_of_first_grid_point_in_degrees: grid.first_longitude.map(|angle| angle.degrees()),
            latitude_of_last_grid_point_in_degrees: grid.last_latitude.map(|angle| angle.degrees()),
            longitude_of_last_grid_point_in_degrees: grid.last_longitude.map(|angle| angle.degrees()),
            i_direction_increment_in_degrees: grid.i_increment,
            j_direction_increment_in_degrees: grid.j_increment,
            number_of_data_points: grid.points as u64,
        }
    }
}
