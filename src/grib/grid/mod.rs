//! Grids: what section 3 (GRIB 2) or section 2 (GRIB 1) says about the points of a field.
//!
//! A [`Grid`] gives the shape of the field's array, the [`Order`] that takes values from the message to the array, and
//! [`Coordinates`] in array order with CF attributes. Latitudes and longitudes follow ecCodes' arithmetic, except:
//!
//! - Grids in a projection start at the first point of the message in the direction of their scanning mode (WMO
//!   manual); ecCodes takes that point for the south-western one in every mode.
//! - The polar stereographic plane touches the pole that the projection centre flag names; ecCodes looks at the sign of
//!   the standard parallel alone.
//! - Where every second row runs backwards, ecCodes' latitude/longitude grids have these rows' points in reverse.
//! - In sub-areas of reduced Gaussian grids ecCodes loses points that only the rounding of the coded longitudes puts
//!   outside, and moves all that follow.
//! - ecCodes computes no points of transverse Mercator grids, nor of polar stereographic ones on an ellipsoid.

mod cf;
mod conformal;
mod coordinates;
mod earth;
mod gaussian;
mod grib1;
mod grib2;
mod keys;
mod lambert;
mod latitude_longitude;
mod mercator;
mod octets;
mod polar_stereographic;
mod rotation;
mod scanning;
mod transverse_mercator;

#[cfg(test)]
mod tests;

pub use cf::Attributes;
pub use coordinates::{Coordinates, DEFAULT_POINT_LIMIT};
pub use earth::Earth;
pub use gaussian::{MAXIMUM_N, latitudes as gaussian_latitudes};
pub use keys::GridKeys;
pub use lambert::Lambert;
pub use mercator::Mercator;
pub use polar_stereographic::PolarStereographic;
pub use rotation::Rotation;
pub use scanning::{Order, Scanning};
pub use transverse_mercator::TransverseMercator;

use super::GribError;
use super::sections::FieldSections;

/// Grids with more points are refused (GRIB 2 could declare 2^32 - 1).
pub const MAXIMUM_POINTS: usize = 1 << 31;

/// The points of a field.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// 1 or 2.
    pub edition: u8,
    /// ecCodes gridType.
    pub grid_type: &'static str,
    /// ecCodes gridDefinitionTemplateNumber (GRIB 1: the number that ecCodes gives the data representation type).
    pub template: u16,
    /// Points of a row; None for grids without rows of one length.
    pub ni: Option<u32>,
    /// Number of rows.
    pub nj: Option<u32>,
    /// Scanning mode; None when the grid has none.
    pub scanning: Option<Scanning>,
    /// Coded latitude of the first point.
    pub first_latitude: Option<Angle>,
    /// Coded longitude of the first point.
    pub first_longitude: Option<Angle>,
    /// Coded latitude of the last point.
    pub last_latitude: Option<Angle>,
    /// Coded longitude of the last point.
    pub last_longitude: Option<Angle>,
    /// ecCodes iDirectionIncrementInDegrees.
    pub i_increment: Option<f64>,
    /// ecCodes jDirectionIncrementInDegrees.
    pub j_increment: Option<f64>,
    /// ecCodes N: parallels between pole and equator; Nside of a HEALPix grid.
    pub n: Option<u32>,
    /// ecCodes isOctahedral, for Gaussian grids.
    pub is_octahedral: Option<bool>,
    /// Shape of the earth; None when the message gives none that is known.
    pub earth: Option<Earth>,
    /// How points get their places.
    pub geometry: Geometry,
    /// ecCodes pl: points of each row of a reduced grid, empty otherwise.
    pub points_per_row: Vec<u32>,
    /// Metres between columns and rows of a projected grid.
    spacing: Option<(f64, f64)>,
    points: usize,
}

/// How points get their places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Geometry {
    /// regular_ll, reduced_ll and rotated_ll.
    LatitudeLongitude { rotation: Option<Rotation> },
    /// regular_gg and reduced_gg, rotated ones too.
    Gaussian { n: u32, rotation: Option<Rotation> },
    /// mercator.
    Mercator(Mercator),
    /// polar_stereographic.
    PolarStereographic(PolarStereographic),
    /// lambert.
    Lambert(Lambert),
    /// transverse_mercator, with x and y of the first point in metres.
    TransverseMercator { projection: TransverseMercator, first_x: f64, first_y: f64 },
    /// unstructured_grid: the points are in a file of their own.
    Unstructured,
    /// Spherical harmonics and bi-Fourier coefficients.
    Spectral,
    /// Coordinates are not computed, for the reason given.
    Other { note: &'static str },
}

/// A coded angle: `value * multiplier / divisor` degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Angle {
    /// The number in the message.
    pub value: i64,
    multiplier: u32,
    divisor: u32,
}

impl Angle {
    /// Degrees, with ecCodes' arithmetic.
    pub fn degrees(&self) -> f64 {
        self.value as f64 / f64::from(self.divisor) * f64::from(self.multiplier)
    }

    fn multiplier(&self) -> u32 {
        self.multiplier
    }

    fn divisor(&self) -> u32 {
        self.divisor.max(1)
    }
}

/// The spatial dimensions of a field's array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridShape {
    /// `ny` rows of `nx` points.
    Rows { ny: usize, nx: usize },
    /// One dimension of points.
    Values { points: usize },
}

/// A map projection; angles in radians, lengths in metres.
trait Projection {
    /// x and y of a latitude and longitude.
    fn forward(&self, latitude: f64, longitude: f64) -> (f64, f64);
    /// Latitude and longitude of x and y.
    fn inverse(&self, x: f64, y: f64) -> (f64, f64);
}

impl Grid {
    /// The grid of a field.
    ///
    /// # Errors
    /// `Truncated` and `Malformed` for a broken section, `TooLarge` above [`MAXIMUM_POINTS`], `Unsupported` for
    /// spherical harmonics, rows that are offset (scanning mode bits 5 to 8) and GRIB 1's predefined grids. Offsets in
    /// errors count from the start of the grid section.
    pub fn from_sections(sections: &FieldSections<'_>) -> Result<Self, GribError> {
        Self::described_by(sections)?.supported()
    }

    /// The grid of a GRIB 2 section 3.
    ///
    /// # Errors
    /// As [`Grid::from_sections`].
    pub fn from_grib2(section3: &[u8]) -> Result<Self, GribError> {
        grib2::parse(section3)?.supported()
    }

    /// The grid of a GRIB 1 section 2; `section1` tells the number of a predefined grid when section 2 is empty.
    ///
    /// # Errors
    /// As [`Grid::from_sections`].
    pub fn from_grib1(section2: &[u8], section1: &[u8]) -> Result<Self, GribError> {
        grib1::parse(section2, section1, None)?.supported()
    }

    /// ecCodes' grid keys of a field, also of one whose grid is refused as unsupported.
    ///
    /// # Errors
    /// `Truncated`, `Malformed` and `TooLarge` as [`Grid::from_sections`].
    pub fn keys_of(sections: &FieldSections<'_>) -> Result<GridKeys, GribError> {
        Ok(GridKeys::from(&Self::described_by(sections)?))
    }

    /// Number of points, those that a bitmap takes out included (ecCodes numberOfDataPoints).
    pub fn points(&self) -> usize {
        self.points
    }

    /// The shape of the field's array.
    pub fn shape(&self) -> GridShape {
        match (self.ni, self.nj) {
            (Some(ni), Some(nj)) if self.points_per_row.is_empty() && self.rows_hold() => {
                GridShape::Rows { ny: nj as usize, nx: ni as usize }
            }
            _ => GridShape::Values { points: self.points },
        }
    }

    /// Names of the dimensions of [`Grid::shape`], slowest first.
    pub fn dimension_names(&self) -> &'static [&'static str] {
        match (self.shape(), self.geometry) {
            (GridShape::Values { .. }, _) => &["values"],
            (_, Geometry::LatitudeLongitude { rotation: None } | Geometry::Gaussian { rotation: None, .. }) => {
                &["latitude", "longitude"]
            }
            _ => &["y", "x"],
        }
    }

    /// How values go from message order to array order.
    pub fn order(&self) -> Order {
        match (self.shape(), self.scanning) {
            (GridShape::Rows { ny, nx }, Some(scanning)) => Order::of_rows(ny, nx, scanning),
            _ => Order::identity(self.points),
        }
    }

    /// ecCodes' keys of the grid.
    pub fn keys(&self) -> GridKeys {
        GridKeys::from(self)
    }

    fn described_by(sections: &FieldSections<'_>) -> Result<Self, GribError> {
        match sections.edition {
            1 => grib1::parse(sections.grid, sections.identification, grib1::number_of_values(sections)),
            _ => grib2::parse(sections.grid),
        }
    }

    fn rows_hold(&self) -> bool {
        let (ni, nj) = (self.ni.unwrap_or(0), self.nj.unwrap_or(0));
        u64::from(ni) * u64::from(nj) == self.points as u64 && self.template != 150
    }

    fn supported(self) -> Result<Self, GribError> {
        let refuse = |what: String| {
            let section = if self.edition == 1 { 2 } else { 3 };
            Err(GribError::Unsupported { section, template: self.template, what })
        };
        if self.geometry == Geometry::Spectral {
            return refuse(format!("{}: spectral coefficients, not values at grid points", self.grid_type));
        }
        // HEALPix has a flag table of its own.
        if self.edition == 2 && self.template != 150 && self.scanning.is_some_and(Scanning::rows_are_offset) {
            let mode = self.scanning.map_or(0, |scanning| scanning.0);
            return refuse(format!("scanning mode {mode}: points or rows are offset by half an increment"));
        }
        Ok(self)
    }

    /// Points and rows must agree where places depend on both.
    fn checked(mut self) -> Result<Self, GribError> {
        if self.points > MAXIMUM_POINTS {
            let (declared, limit) = (self.points as u64, MAXIMUM_POINTS as u64);
            return Err(GribError::TooLarge { what: "points of the grid", declared, limit });
        }
        let by_rows = !matches!(self.geometry, Geometry::Other { .. } | Geometry::Unstructured | Geometry::Spectral);
        if by_rows && self.points_per_row.is_empty() && !self.rows_hold() {
            let number = |count: Option<u32>| count.map_or("missing".into(), |count| count.to_string());
            let (ni, nj) = (number(self.ni), number(self.nj));
            return Err(self.malformed(format!("Ni {ni} and Nj {nj} do not make {} points", self.points)));
        }
        if let Geometry::PolarStereographic(projection) = &mut self.geometry {
            projection.standard_parallel = projection.standard_parallel.abs();
        }
        Ok(self)
    }

    fn malformed(&self, what: impl Into<String>) -> GribError {
        let section = if self.edition == 1 { 2 } else { 3 };
        GribError::Malformed { offset: 0, section, what: what.into() }
    }
}
