//! Gaussian latitudes and the rows of reduced grids.

use super::{Angle, Grid};
use crate::grib::GribError;

/// Largest N (parallels between pole and equator) whose latitudes are computed: the work grows with its square.
pub const MAXIMUM_N: u32 = 8_000;

/// The 2 N Gaussian latitudes in degrees, north to south: arcsines of the roots of the Legendre polynomial of degree
/// 2 N, by Newton's method to double precision.
///
/// # Errors
/// `TooLarge` above [`MAXIMUM_N`], `Malformed` for 0.
pub fn latitudes(n: u32) -> Result<Vec<f64>, GribError> {
    check(n)?;
    let north: Vec<f64> = (0..n).map(|index| latitude(n, index)).collect();
    Ok(north.iter().copied().chain(north.iter().rev().map(|latitude| -latitude)).collect())
}

/// Latitudes of the rows of a Gaussian grid in the sequence in which they are scanned. Only these are computed, so that
/// the work is bounded by the grid's rows.
pub(super) fn row_latitudes(grid: &Grid, n: u32, rows: usize) -> Result<Vec<f64>, GribError> {
    check(n)?;
    let first = grid.first_latitude.map_or(f64::NAN, |angle| angle.degrees());
    let off = || grid.malformed(format!("{rows} rows from latitude {first} are not on a Gaussian grid with N = {n}"));
    let count = u32::try_from(rows).ok().filter(|&rows| rows <= 2 * n).ok_or_else(off)?;
    let northwards = grid.scanning.is_some_and(|scanning| scanning.j_scans_positively());
    if count == 2 * n {
        let mut all = latitudes(n)?;
        if northwards {
            all.reverse();
        }
        return Ok(all);
    }
    // First guesses of latitudes are within 2 % of their spacing.
    let position = (90.0 - first) * (2.0 * f64::from(n) + 0.5) / 180.0 - 0.75;
    if (position - position.round()).abs() > 0.45 || position.round() < 0.0 || position > f64::from(2 * n) {
        return Err(off());
    }
    let start = position.round() as u32;
    // North of the equator by symmetry.
    let of = |index: u32| if index < n { latitude(n, index) } else { -latitude(n, 2 * n - 1 - index) };
    if northwards {
        let end = (start + 1).checked_sub(count).ok_or_else(off)?;
        Ok((end..=start).rev().map(of).collect())
    } else if start + count <= 2 * n {
        Ok((start..start + count).map(of).collect())
    } else {
        Err(off())
    }
}

fn check(n: u32) -> Result<(), GribError> {
    if n == 0 {
        return Err(GribError::Malformed { offset: 0, section: 3, what: "Gaussian grid with N = 0".into() });
    }
    if n > MAXIMUM_N {
        let (declared, limit) = (u64::from(n), u64::from(MAXIMUM_N));
        return Err(GribError::TooLarge { what: "N of a Gaussian grid", declared, limit });
    }
    Ok(())
}

/// The latitude in degrees with the given index, counted from the north, north of the equator.
fn latitude(n: u32, index: u32) -> f64 {
    let degree = 2 * n;
    let order = f64::from(degree);
    let mut root = (std::f64::consts::PI * (f64::from(index) + 0.75) / (order + 0.5)).cos();
    for _ in 0..10 {
        let (mut before, mut value) = (1.0, root);
        for k in 2..=degree {
            let k = f64::from(k);
            (before, value) = (value, ((2.0 * k - 1.0) * root * value - (k - 1.0) * before) / k);
        }
        let slope = order * (before - root * value) / (1.0 - root * root);
        let change = value / slope;
        root -= change;
        if change.abs() < 1e-15 {
            break;
        }
    }
    root.asin().to_degrees()
}

/// First longitude, increment and number of points of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    pub(super) first: f64,
    pub(super) increment: f64,
    pub(super) points: u32,
}

/// Rows of a reduced Gaussian grid whose points add up to the grid's, by the first of these rules that does: whole rows;
/// the points between the first and last longitude; these and points that are outside by the rounding of the coded
/// longitudes; the count that ECMWF's old dissemination made.
pub(super) fn rows(grid: &Grid) -> Option<Vec<Row>> {
    let (first, last) = (grid.first_longitude?, grid.last_longitude?);
    let (west, east) = (first.degrees(), last.degrees());
    let whole = |points: u32| Row { first: west, increment: 360.0 / f64::from(points), points };
    let within = |points: u32| row_within(points, first, last, Rounding::None);
    let rounded = |points: u32| row_within(points, first, last, Rounding::OneUnit);
    let legacy = |points: u32| legacy_row_within(points, west, east);
    // Rows that start elsewhere than at 0 have their points at multiples of their increment all the same.
    let lists: [&dyn Fn(u32) -> Row; 4] =
        if west == 0.0 { [&whole, &within, &rounded, &legacy] } else { [&within, &rounded, &legacy, &whole] };
    lists.iter().find_map(|make| {
        let mut sum: u64 = 0;
        let rows = grid.points_per_row.iter().map(|&points| {
            let row = if points == 0 { Row { first: west, increment: 0.0, points: 0 } } else { make(points) };
            sum += u64::from(row.points);
            row
        });
        let rows: Vec<Row> = rows.collect();
        (sum == grid.points as u64).then_some(rows)
    })
}

/// How far points may be outside of the coded longitudes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rounding {
    None,
    /// By less than one unit of the coded angles.
    OneUnit,
}

/// Number of points of the grid when the message does not say (GRIB 1).
pub(super) fn count_within(points_per_row: &[u32], first: Angle, last: Angle, rounding: Rounding) -> u64 {
    let within =
        |&points: &u32| if points == 0 { 0 } else { u64::from(row_within(points, first, last, rounding).points) };
    points_per_row.iter().map(within).sum()
}

/// As [`count_within`], by the rule of old ECMWF products.
pub(super) fn legacy_count_within(points_per_row: &[u32], first: Angle, last: Angle) -> u64 {
    let (west, east) = (first.degrees(), last.degrees());
    let within = |&points: &u32| if points == 0 { 0 } else { u64::from(legacy_row_within(points, west, east).points) };
    points_per_row.iter().map(within).sum()
}

/// The points i * 360 / points between two longitudes, compared as exact fractions.
fn row_within(points: u32, first: Angle, last: Angle, rounding: Rounding) -> Row {
    // Both angles have one unit: they come from one section. In these fractions it is the multiplier.
    let turn = 360 * i128::from(first.divisor());
    let unit = i128::from(first.multiplier());
    let mut west = i128::from(first.value) * unit;
    let mut east = i128::from(last.value) * unit;
    if west < 0 {
        west = west.rem_euclid(turn);
    }
    if east < west {
        east = west + (east - west).rem_euclid(turn);
    }
    let count = i128::from(points);
    let slack = if rounding == Rounding::OneUnit { count * unit - 1 } else { 0 };
    let start = -(slack - west * count).div_euclid(turn);
    let end = (east * count + slack).div_euclid(turn);
    let number = (end - start + 1).clamp(0, count);
    Row {
        first: start as f64 * 360.0 / f64::from(points),
        increment: 360.0 / f64::from(points),
        points: u32::try_from(number).unwrap_or(0),
    }
}

/// As ECMWF's old dissemination counted, with truncation of floating-point products.
fn legacy_row_within(points: u32, west: f64, east: f64) -> Row {
    let count = f64::from(points);
    let west = if west < 0.0 { west + 360.0 } else { west };
    let east = if east < 0.0 { east + 360.0 } else { east };
    let (west, range) = if east < west { (west - 360.0, east - west + 360.0) } else { (west, east - west) };
    let longitude = |index: f64| index * 360.0 / count;
    let mut number = (range * count / 360.0 + 1.0).trunc();
    let mut start = (west * count / 360.0).trunc();
    let end = (east * count / 360.0).trunc();
    if end - start + 1.0 >= number {
        if longitude(start) < west {
            start += 1.0;
        }
    } else if longitude(start - 1.0) > west {
        start -= 1.0;
    } else if longitude(end + 1.0) >= east {
        number -= 1.0;
    }
    let points = number.clamp(0.0, count) as u32;
    Row { first: longitude(start), increment: 360.0 / count, points }
}

/// ecCodes isOctahedral: rows grow by 4 towards the equator and shrink by 4 after it.
pub(super) fn is_octahedral(points_per_row: &[u32]) -> bool {
    let mut before: Option<i64> = None;
    for (&row, &next) in points_per_row.iter().zip(points_per_row.iter().skip(1)) {
        let difference = i64::from(next) - i64::from(row);
        let follows = match difference {
            0 | 4 => matches!(before, None | Some(4)),
            -4 => matches!(before, None | Some(-4 | 0)),
            _ => false,
        };
        if !follows {
            return false;
        }
        before = Some(difference);
    }
    true
}
