//! Directions, digests and CF attributes.

use serde_json::json;

use super::super::{Coordinates, Grid, GridShape, gaussian_latitudes};
use super::vectors::{parse, vectors};
use crate::grib::key::GridDigests;
use crate::grib::sections::FieldSections;

fn grid(name: &str) -> Grid {
    let vector = vectors().into_iter().find(|vector| vector.name == name).unwrap_or_else(|| panic!("{name}"));
    parse(vector.edition, &vector.section()).unwrap()
}

fn axes(name: &str) -> (Vec<f64>, Vec<f64>) {
    match grid(name).coordinates().unwrap().unwrap() {
        Coordinates::Axes { latitude, longitude } => (latitude, longitude),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn longitudes_increase_and_start_where_they_need_not_wrap() {
    let (latitude, longitude) = axes("global, southwards, from 180 E");
    assert_eq!((latitude[0], latitude[18]), (90.0, -90.0));
    assert_eq!((longitude[0], longitude[1], longitude[35]), (-180.0, -170.0, 170.0));
    assert_eq!(axes("area across Greenwich, northwards").1[..2], [-10.0, -7.5]);
    // Scanned from 20 E to 10 W; rows northwards.
    let (latitude, longitude) = axes("westwards");
    assert_eq!((latitude[0], latitude[8]), (30.0, 50.0));
    assert_eq!((longitude[0], longitude[12]), (-10.0, 20.0));
    assert_eq!(grid("westwards").order().message_index(0), 12);
    assert_eq!(axes("GRIB 1, southwards, negative longitudes").1[0], -20.0);
}

#[test]
fn dimensions_follow_the_kind_of_grid() {
    assert_eq!(grid("Gaussian F32").dimension_names(), ["latitude", "longitude"]);
    assert_eq!(grid("rotated").dimension_names(), ["y", "x"]);
    assert_eq!(grid("Mercator, sphere").dimension_names(), ["y", "x"]);
    let octahedral = grid("octahedral O24");
    assert_eq!(octahedral.dimension_names(), ["values"]);
    assert_eq!(octahedral.shape(), GridShape::Values { points: octahedral.points() });
    assert_eq!(octahedral.is_octahedral, Some(true));
}

#[test]
fn gaussian_latitudes_are_symmetric_and_known() {
    let n1 = gaussian_latitudes(1).unwrap();
    assert!((n1[0] - 35.264_389_682_754_65).abs() < 1e-13, "{n1:?}");
    let n32 = gaussian_latitudes(32).unwrap();
    assert_eq!(n32.len(), 64);
    assert!((n32[0] - 87.863_798_839_232_7).abs() < 1e-11);
    assert!(n32.windows(2).all(|pair| pair[0] > pair[1]));
    assert!(n32.iter().zip(n32.iter().rev()).all(|(north, south)| north == &-south));
    assert!(gaussian_latitudes(0).is_err() && gaussian_latitudes(u32::MAX).is_err());
}

#[test]
fn grid_mappings_have_the_attributes_of_cf() {
    let (name, attributes) = grid("Lambert, two parallels, WGS84").grid_mapping().unwrap();
    assert_eq!(name, "lambert_conformal_conic");
    assert_eq!(attributes["grid_mapping_name"], json!(name));
    assert_eq!(attributes["standard_parallel"], json!([44.0, 49.0]));
    assert_eq!(attributes["semi_minor_axis"], json!(6_356_752.314));
    let (name, attributes) = grid("rotated").grid_mapping().unwrap();
    assert_eq!(name, "rotated_latitude_longitude");
    assert_eq!(attributes["grid_north_pole_latitude"], json!(40.0));
    assert_eq!(attributes["grid_north_pole_longitude"], json!(-170.0));
    assert_eq!(grid("rotated").coordinate_attributes("x")["standard_name"], json!("grid_longitude"));
    let (name, attributes) = grid("polar stereographic, south").grid_mapping().unwrap();
    assert_eq!((name, &attributes["standard_parallel"]), ("polar_stereographic", &json!(-60.0)));
    assert_eq!(grid("Mercator, sphere").coordinate_attributes("y")["units"], json!("m"));
}

/// Guards that fields on model levels and surface fields of one GRIB 1 grid share its digest.
#[test]
fn the_digest_is_of_the_horizontal_grid() {
    let vector = vectors().into_iter().find(|vector| vector.name == "GRIB 1 reduced N32").unwrap();
    let plain = vector.section();
    let mut levels = plain.clone();
    levels.splice(32..32, [0x42, 1, 2, 3, 0x42, 4, 5, 6]);
    levels[3] = 2;
    levels[4] = 33;
    let length = levels.len() as u16;
    levels[1..3].copy_from_slice(&length.to_be_bytes());
    let with_levels = Grid::from_grib1(&levels, &[]).unwrap();
    let without = Grid::from_grib1(&plain, &[]).unwrap();
    assert_eq!(with_levels.points_per_row, without.points_per_row);
    let digest = |grid: &[u8]| {
        let empty: &[u8] = &[];
        GridDigests::default().of(&FieldSections {
            edition: 1,
            discipline: 255,
            submessage: 0,
            identification: empty,
            local: None,
            grid,
            product: empty,
            representation: empty,
            bitmap: None,
            data: None,
        })
    };
    assert_eq!(digest(&levels), digest(&plain));
    let mut other = plain.clone();
    other[11] ^= 1;
    assert_ne!(digest(&other), digest(&plain));
}

/// Guards producers that write negative numbers in two's complement.
#[test]
fn a_central_meridian_in_twos_complement_is_understood() {
    let vector = vectors().into_iter().find(|vector| vector.name.starts_with("transverse Mercator, Airy")).unwrap();
    let mut section = vector.section();
    let expected = parse(2, &section).unwrap();
    section[42..46].copy_from_slice(&(-2_000_000_i32).to_be_bytes());
    section[68..72].copy_from_slice(&(-23_900_000_i32).to_be_bytes());
    assert_eq!(parse(2, &section).unwrap().geometry, expected.geometry);
}
