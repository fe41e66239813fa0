//! Broken grid sections give errors: no panic, no allocation beyond what the caller allows, no endless work.

use super::super::{Coordinates, Grid, GridShape};
use super::vectors::{parse, vectors};
use crate::grib::GribError;

const LIMIT: usize = 20_000;

/// Uses everything of a grid that a section gives.
fn exercise(edition: u8, section: &[u8]) {
    let Ok(grid) = parse(edition, section) else { return };
    let order = grid.order();
    assert_eq!(order.points(), grid.points());
    let shape = match grid.shape() {
        GridShape::Rows { ny, nx } => ny * nx,
        GridShape::Values { points } => points,
    };
    assert_eq!(shape, grid.points());
    if grid.points() > 0 {
        assert!(order.message_index(grid.points() - 1) < grid.points());
    }
    let _ = (grid.keys(), grid.grid_mapping(), grid.dimension_names(), grid.coordinates_note());
    match grid.coordinates_within(LIMIT) {
        Ok(Some(Coordinates::Axes { latitude, longitude })) => {
            assert_eq!(latitude.len() * longitude.len(), grid.points());
            assert!(longitude.windows(2).all(|pair| pair[0] < pair[1]), "longitudes wrap");
        }
        Ok(Some(Coordinates::Projected { latitude, longitude, .. } | Coordinates::Points { latitude, longitude })) => {
            assert_eq!((latitude.len(), longitude.len()), (grid.points(), grid.points()));
        }
        Ok(None) | Err(_) => {}
    }
}

#[test]
fn every_byte_may_be_wrong() {
    for vector in vectors() {
        let section = vector.section();
        for place in 0..section.len().min(110) {
            for change in [0x00, 0x01, 0x7f, 0x80, 0xff, section[place] ^ 0x40, section[place].wrapping_add(1)] {
                let mut broken = section.clone();
                broken[place] = change;
                exercise(vector.edition, &broken);
            }
        }
    }
}

#[test]
fn random_bytes_in_every_template() {
    // xorshift64: the same bytes in every run.
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let templates =
        [0, 1, 2, 3, 4, 5, 10, 12, 13, 20, 23, 30, 31, 33, 40, 41, 42, 43, 50, 63, 90, 100, 101, 110, 120, 130];
    for template in templates.into_iter().chain([140, 150, 1000, 1100, 1200, 32769, 65535]) {
        for round in 0..300 {
            let mut section: Vec<u8> = (0..120).map(|_| random() as u8).collect();
            section[..5].copy_from_slice(&[0, 0, 0, 120, 3]);
            section[12..14].copy_from_slice(&u16::to_be_bytes(template));
            if round % 2 == 0 {
                // Small numbers reach the code behind the checks.
                section[6..11].copy_from_slice(&[0, 0, 0, 12, (round % 4) as u8]);
                section[30..38].copy_from_slice(&[0, 0, 0, 3, 0, 0, 0, 4]);
            }
            exercise(2, &section);
        }
    }
    for kind in 0..=255 {
        for _ in 0..50 {
            let mut section: Vec<u8> = (0..80).map(|_| random() as u8).collect();
            section[..3].copy_from_slice(&[0, 0, 80]);
            section[5] = kind;
            section[6..10].copy_from_slice(&[0, 3, 0, 4]);
            exercise(1, &section);
        }
    }
}

#[test]
fn cut_sections_are_truncated() {
    for vector in vectors() {
        let section = vector.section();
        for length in 0..section.len() {
            assert!(parse(vector.edition, &section[..length]).is_err(), "{} cut to {length}", vector.name);
        }
    }
}

#[test]
fn rows_and_points_must_agree() {
    let vector = vectors().into_iter().find(|vector| vector.edition == 2).unwrap();
    let mut section = vector.section();
    section[9] ^= 1;
    assert!(matches!(Grid::from_grib2(&section), Err(GribError::Malformed { .. })));
}

#[test]
fn offset_rows_and_spectral_coefficients_are_refused() {
    let vector = vectors().into_iter().find(|vector| vector.edition == 2).unwrap();
    for bit in [1, 2, 4, 8] {
        let mut section = vector.section();
        section[71] |= bit;
        assert!(matches!(Grid::from_grib2(&section), Err(GribError::Unsupported { template: 0, .. })));
    }
    let mut section = vector.section();
    section[13] = 50;
    assert!(matches!(Grid::from_grib2(&section), Err(GribError::Unsupported { template: 50, .. })));
    assert!(matches!(Grid::from_grib1(&[], &[0, 0, 28, 3, 98, 1, 21]), Err(GribError::Unsupported { .. })));
}

#[test]
fn coordinates_stay_within_the_callers_limit() {
    for vector in vectors() {
        let grid = parse(vector.edition, &vector.section()).unwrap();
        let refused = grid.coordinates_within(grid.points() - 1);
        assert!(matches!(refused, Err(GribError::TooLarge { .. })), "{}", vector.name);
    }
}

#[test]
fn a_grid_without_points_has_no_coordinates_of_its_other_axis() {
    let vector = vectors().into_iter().find(|vector| vector.edition == 2).unwrap();
    let mut section = vector.section();
    section[6..10].fill(0);
    for (columns, rows) in [(0u32, 1u32 << 31), (1 << 31, 0)] {
        section[30..34].copy_from_slice(&columns.to_be_bytes());
        section[34..38].copy_from_slice(&rows.to_be_bytes());
        let grid = Grid::from_grib2(&section).unwrap();
        assert!(matches!(grid.coordinates_within(LIMIT), Err(GribError::Malformed { .. })));
    }
}
