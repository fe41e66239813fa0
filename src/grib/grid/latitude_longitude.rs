//! Axes of latitude/longitude grids, with ecCodes' arithmetic: longitudes from the first and last, latitudes by the
//! coded increment from the first with the last put in its place.

use super::gaussian::Row;
use super::{Angle, Grid};
use crate::grib::GribError;

/// Latitudes of the rows in the sequence in which they are scanned.
pub(super) fn latitudes(grid: &Grid, rows: usize) -> Result<Vec<f64>, GribError> {
    let (first, last) = ends(grid, grid.first_latitude, grid.last_latitude)?;
    let positive = grid.scanning.is_some_and(|scanning| scanning.j_scans_positively());
    if rows > 1 && (if positive { first > last } else { first < last }) {
        let way = if positive { "northwards" } else { "southwards" };
        return Err(grid.malformed(format!("rows scan {way} from latitude {first} to {last}")));
    }
    let increment = match grid.j_increment {
        Some(increment) => increment,
        None => (last - first).abs() / (rows.max(2) - 1) as f64,
    };
    let step = if positive { increment } else { -increment };
    let mut latitudes: Vec<f64> = (0..rows).map(|row| first + row as f64 * step).collect();
    if let Some(latitude) = latitudes.last_mut() {
        *latitude = last;
    }
    Ok(latitudes)
}

/// Longitudes of the columns, west to east. They start in [-180, 360), below 0 where they would pass 360 otherwise.
pub(super) fn longitudes(grid: &Grid, columns: usize) -> Result<Vec<f64>, GribError> {
    let (first, last) = ends(grid, grid.first_longitude, grid.last_longitude)?;
    if columns < 2 {
        return Ok(vec![last; columns]);
    }
    let negative = grid.scanning.is_some_and(|scanning| scanning.i_scans_negatively());
    let (west, east) = if negative { (last, first) } else { (first, last) };
    let mut span = east - west;
    if span <= 0.0 {
        // Equal ends go round the earth.
        span += 360.0;
    }
    let step = span / (columns - 1) as f64;
    // Smaller steps than any unit of GRIB can say are broken numbers, and so is more than two turns.
    if !(1e-9..=720.0).contains(&step) || span > 720.0 {
        return Err(grid.malformed(format!("{columns} columns from longitude {first} to {last}")));
    }
    let mut start = if (-180.0..360.0).contains(&west) { west } else { west.rem_euclid(360.0) };
    if start + span > 360.0 + 1e-6 && start >= 180.0 {
        start -= 360.0;
    }
    Ok((0..columns).map(|column| start + column as f64 * step).collect())
}

/// Rows of a reduced latitude/longitude grid; None when they do not add up to its points.
pub(super) fn reduced_rows(grid: &Grid) -> Option<Vec<Row>> {
    let (first, last) = (grid.first_longitude?.degrees(), grid.last_longitude?.degrees());
    let longest = f64::from(*grid.points_per_row.iter().max()?);
    let sum: u64 = grid.points_per_row.iter().map(|&points| u64::from(points)).sum();
    if sum != grid.points as u64 {
        return None;
    }
    // Within two increments of the whole circle a row has no point at its end that it also has at its start.
    let (span, ends) = if 360.0 - (last - first).abs() < 720.0 / longest {
        (360.0, 0)
    } else if last < first {
        (last + 360.0 - first, 1)
    } else {
        (last - first, 1)
    };
    let row = |&points: &u32| Row { first, increment: span / f64::from(points.saturating_sub(ends).max(1)), points };
    Some(grid.points_per_row.iter().map(row).collect())
}

pub(super) fn reduced_latitudes(grid: &Grid, rows: usize) -> Vec<f64> {
    let degrees = |angle: Option<Angle>| angle.map_or(f64::NAN, |angle| angle.degrees());
    let (first, last) = (degrees(grid.first_latitude), degrees(grid.last_latitude));
    let increment = grid.j_increment.unwrap_or((last - first).abs() / (rows.max(2) - 1) as f64);
    let step = if first > last { -increment } else { increment };
    (0..rows).map(|row| first + row as f64 * step).collect()
}

fn ends(grid: &Grid, first: Option<Angle>, last: Option<Angle>) -> Result<(f64, f64), GribError> {
    match (first, last) {
        (Some(first), Some(last)) => Ok((first.degrees(), last.degrees())),
        _ => Err(grid.malformed("a latitude/longitude grid without first or last point")),
    }
}
