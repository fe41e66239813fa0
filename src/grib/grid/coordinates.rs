//! Latitudes and longitudes of a grid's points, in array order.

use super::{Geometry, Grid, GridShape, Projection, gaussian, latitude_longitude};
use crate::grib::GribError;

/// Points for which [`Grid::coordinates`] makes coordinates: 2 GiB of latitudes and longitudes.
pub const DEFAULT_POINT_LIMIT: usize = 1 << 27;

/// Coordinates in array order (see [`super::Order`]). Latitudes in degrees north, longitudes in degrees east.
#[derive(Debug, Clone, PartialEq)]
pub enum Coordinates {
    /// One latitude a row and one longitude a column. Longitudes increase and never wrap: they start in [-180, 360).
    Axes { latitude: Vec<f64>, longitude: Vec<f64> },
    /// `y` (a value a row) and `x` (a value a column) in metres of the projection, or degrees of the rotated sphere,
    /// and latitude and longitude of every point, rows first. Longitudes as ecCodes gives them.
    Projected { y: Vec<f64>, x: Vec<f64>, latitude: Vec<f64>, longitude: Vec<f64> },
    /// Latitude and longitude of every point of a reduced grid.
    Points { latitude: Vec<f64>, longitude: Vec<f64> },
}

impl Grid {
    /// Coordinates in array order, None when this crate has none for the grid ([`Grid::coordinates_note`] says why).
    ///
    /// # Errors
    /// `Malformed` when the numbers of the grid contradict each other, `TooLarge` for more than
    /// [`DEFAULT_POINT_LIMIT`] points (use [`Grid::coordinates_within`]).
    pub fn coordinates(&self) -> Result<Option<Coordinates>, GribError> {
        self.coordinates_within(DEFAULT_POINT_LIMIT)
    }

    /// As [`Grid::coordinates`], with the number of points that may be allocated.
    ///
    /// # Errors
    /// As [`Grid::coordinates`].
    pub fn coordinates_within(&self, point_limit: usize) -> Result<Option<Coordinates>, GribError> {
        if self.coordinates_note().is_some() || matches!(self.geometry, Geometry::Unstructured) {
            return Ok(None);
        }
        if self.points == 0 {
            // One of the axes may be long.
            return Err(self.malformed("a grid without points"));
        }
        if self.points > point_limit {
            let (declared, limit) = (self.points as u64, point_limit as u64);
            return Err(GribError::TooLarge { what: "points of the grid", declared, limit });
        }
        match (self.shape(), self.geometry) {
            (GridShape::Rows { ny, nx }, Geometry::LatitudeLongitude { rotation: None }) => {
                let latitude = latitude_longitude::latitudes(self, ny)?;
                Ok(Some(Coordinates::Axes { latitude, longitude: latitude_longitude::longitudes(self, nx)? }))
            }
            (GridShape::Rows { ny, nx }, Geometry::LatitudeLongitude { rotation: Some(rotation) }) => {
                let y = latitude_longitude::latitudes(self, ny)?;
                let x = latitude_longitude::longitudes(self, nx)?;
                Ok(Some(every_point(y, x, |x, y| rotation.unrotate(y, x))))
            }
            (GridShape::Rows { ny, nx }, Geometry::Gaussian { n, rotation: None }) => {
                let latitude = gaussian::row_latitudes(self, n, ny)?;
                Ok(Some(Coordinates::Axes { latitude, longitude: latitude_longitude::longitudes(self, nx)? }))
            }
            (GridShape::Rows { ny, nx }, _) => self.projected(ny, nx).map(Some),
            (GridShape::Values { .. }, Geometry::Gaussian { n, rotation }) => {
                let rows = gaussian::rows(self).ok_or_else(|| self.row_mismatch())?;
                let latitudes = gaussian::row_latitudes(self, n, rows.len())?;
                Ok(Some(self.points_of(&latitudes, &rows, |latitude, longitude| {
                    rotation.map_or((latitude, longitude), |rotation| rotation.unrotate(latitude, longitude))
                })))
            }
            (GridShape::Values { .. }, _) => {
                let rows = latitude_longitude::reduced_rows(self).ok_or_else(|| self.row_mismatch())?;
                let latitudes = latitude_longitude::reduced_latitudes(self, rows.len());
                Ok(Some(self.points_of(&latitudes, &rows, |latitude, longitude| (latitude, longitude))))
            }
        }
    }

    /// Why there are no coordinates; None when there are, and for unstructured grids, whose messages hold none.
    pub fn coordinates_note(&self) -> Option<&'static str> {
        match self.geometry {
            Geometry::Other { note } => Some(note),
            Geometry::Spectral => Some("spherical harmonics have no grid points"),
            Geometry::Unstructured => None,
            Geometry::Gaussian { rotation: Some(_), .. } if self.points_per_row.is_empty() => {
                Some("coordinates of rotated regular Gaussian grids are not computed")
            }
            Geometry::LatitudeLongitude { .. } | Geometry::Gaussian { .. } => {
                let reversed = |scanning: super::Scanning| {
                    scanning.i_scans_negatively()
                        || scanning.j_points_are_consecutive()
                        || scanning.alternative_row_scanning()
                };
                let reduced = !self.points_per_row.is_empty();
                (reduced && self.scanning.is_some_and(reversed))
                    .then_some("a reduced grid whose rows do not all run eastwards")
            }
            _ if self.earth.is_none() => Some("the message does not give the size of the earth"),
            _ => None,
        }
    }

    fn row_mismatch(&self) -> GribError {
        self.malformed(format!("the rows of the reduced grid do not add up to its {} points", self.points))
    }

    fn points_of(
        &self,
        latitudes: &[f64],
        rows: &[gaussian::Row],
        place: impl Fn(f64, f64) -> (f64, f64),
    ) -> Coordinates {
        let (mut latitude, mut longitude) = (Vec::with_capacity(self.points), Vec::with_capacity(self.points));
        for (&row_latitude, row) in latitudes.iter().zip(rows) {
            for index in 0..row.points {
                let point = place(row_latitude, row.first + f64::from(index) * row.increment);
                latitude.push(point.0);
                longitude.push(point.1);
            }
        }
        Coordinates::Points { latitude, longitude }
    }

    fn projected(&self, ny: usize, nx: usize) -> Result<Coordinates, GribError> {
        let (Some(earth), Some(spacing)) = (self.earth, self.spacing) else {
            return Err(self.malformed("a projected grid without earth or increments"));
        };
        match self.geometry {
            Geometry::Lambert(lambert) => self.project(&lambert.cone(earth), spacing, ny, nx),
            Geometry::Mercator(mercator) => self.project(&mercator.cylinder(earth), spacing, ny, nx),
            Geometry::PolarStereographic(stereographic) => self.project(&stereographic.plane(earth), spacing, ny, nx),
            Geometry::TransverseMercator { projection, first_x, first_y } => {
                self.project_from(&projection.cylinder(earth), (first_x, first_y), spacing, ny, nx)
            }
            _ => Err(self.malformed("not a projected grid")),
        }
    }

    fn project(
        &self,
        projection: &impl Projection,
        spacing: (f64, f64),
        ny: usize,
        nx: usize,
    ) -> Result<Coordinates, GribError> {
        let radians = |angle: Option<super::Angle>| angle.map_or(f64::NAN, |angle| angle.degrees().to_radians());
        let first = projection.forward(radians(self.first_latitude), radians(self.first_longitude));
        self.project_from(projection, first, spacing, ny, nx)
    }

    /// `first`: x and y of the first point of the message, as the WMO manual defines it for every scanning mode.
    fn project_from(
        &self,
        projection: &impl Projection,
        first: (f64, f64),
        spacing: (f64, f64),
        ny: usize,
        nx: usize,
    ) -> Result<Coordinates, GribError> {
        let (latitude, longitude) = projection.inverse(first.0, first.1);
        if ![first.0, first.1, spacing.0, spacing.1, latitude, longitude].iter().all(|number| number.is_finite()) {
            return Err(self.malformed("the projection of the grid cannot be computed"));
        }
        let scanning = self.scanning.unwrap_or(super::Scanning(0x40));
        let west = if scanning.i_scans_negatively() { first.0 - (nx as f64 - 1.0) * spacing.0 } else { first.0 };
        let step = if scanning.j_scans_positively() { spacing.1 } else { -spacing.1 };
        let x: Vec<f64> = (0..nx).map(|column| west + column as f64 * spacing.0).collect();
        let y: Vec<f64> = (0..ny).map(|row| first.1 + row as f64 * step).collect();
        Ok(every_point(y, x, |x, y| {
            let (latitude, longitude) = projection.inverse(x, y);
            (latitude.to_degrees(), longitude.to_degrees().rem_euclid(360.0))
        }))
    }
}

/// `place`: latitude and longitude in degrees of (x, y).
fn every_point(y: Vec<f64>, x: Vec<f64>, place: impl Fn(f64, f64) -> (f64, f64)) -> Coordinates {
    let points = y.len().saturating_mul(x.len());
    let (mut latitude, mut longitude) = (Vec::with_capacity(points), Vec::with_capacity(points));
    for &y in &y {
        for &x in &x {
            let point = place(x, y);
            latitude.push(point.0);
            longitude.push(point.1);
        }
    }
    Coordinates::Projected { y, x, latitude, longitude }
}
