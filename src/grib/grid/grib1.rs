//! GRIB 1 section 2: the data representation types of table 6.

use super::octets::Octets;
use super::{Angle, Earth, Geometry, Grid, Lambert, Mercator, PolarStereographic, Rotation, Scanning, gaussian};
use crate::grib::GribError;
use crate::grib::sections::FieldSections;

/// Number of values that bitmap or data section hold, where it can be told without decoding.
pub(super) fn number_of_values(sections: &FieldSections<'_>) -> Option<u64> {
    if let Some(bitmap) = sections.bitmap {
        let unused = u64::from(*bitmap.get(3)?);
        let predefined = bitmap.get(4..6)? != [0, 0];
        return if predefined { None } else { ((bitmap.len() as u64).checked_sub(6)? * 8).checked_sub(unused) };
    }
    let data = sections.data?;
    let flags = *data.get(3)?;
    let width = u64::from(*data.get(10)?);
    // Only simple packing of grid points has one number a point.
    if flags & 0xc0 != 0 || width == 0 {
        return None;
    }
    let length = data.get(..3)?.iter().fold(0, |value: u64, &byte| value << 8 | u64::from(byte));
    Some((length.checked_sub(11)? * 8).checked_sub(u64::from(flags & 0x0f))? / width)
}

/// `values`: number of values in the message, which decides how many points old reduced sub-areas have.
pub(super) fn parse(section2: &[u8], section1: &[u8], values: Option<u64>) -> Result<Grid, GribError> {
    if section2.is_empty() {
        let number = u16::from(section1.get(6).copied().unwrap_or(255));
        let what = match number {
            255 => "neither a grid description nor the number of a predefined grid".into(),
            21..=26 | 61..=64 => format!("predefined grid {number}, whose pole row is one value"),
            _ => format!("predefined grid {number}, which has no published description here"),
        };
        return Err(GribError::Unsupported { section: 2, template: number, what });
    }
    let octets = Octets::new(section2, 2)?;
    let grid = Grid {
        edition: 1,
        grid_type: "unknown",
        template: 0,
        ni: None,
        nj: None,
        scanning: None,
        first_latitude: None,
        first_longitude: None,
        last_latitude: None,
        last_longitude: None,
        i_increment: None,
        j_increment: None,
        n: None,
        is_octahedral: None,
        earth: None,
        geometry: Geometry::Other { note: "data representation type without known coordinates" },
        points_per_row: Vec::new(),
        spacing: None,
        points: 0,
    };
    Parser { octets, grid, values }.representation()?.checked()
}

struct Parser<'a> {
    octets: Octets<'a>,
    grid: Grid,
    values: Option<u64>,
}

impl Parser<'_> {
    fn representation(mut self) -> Result<Grid, GribError> {
        let kind = self.octets.byte(6)?;
        match kind {
            0 => self.latitude_longitude(0, "regular_ll", 32, None)?,
            10 => {
                let rotation = self.rotation()?;
                self.latitude_longitude(1, "rotated_ll", 42, Some(rotation))?;
            }
            20 => self.stretched(2, "stretched_ll", 42)?,
            30 => self.stretched(3, "stretched_rotated_ll", 52)?,
            4 => self.gaussian(40, ["regular_gg", "reduced_gg"], 32, None)?,
            14 => {
                let rotation = self.rotation()?;
                self.gaussian(41, ["rotated_gg", "reduced_rotated_gg"], 42, Some(rotation))?;
            }
            24 => self.stretched_gaussian(42, ["stretched_gg", "reduced_stretched_gg"], 42)?,
            34 => self.stretched_gaussian(43, ["stretched_rotated_gg", "reduced_stretched_rotated_gg"], 52)?,
            1 => self.mercator()?,
            3 | 13 => self.lambert(if kind == 3 { "lambert" } else { "unknown" })?,
            5 => self.polar_stereographic()?,
            8 => {
                self.plane(31, "albers")?;
                self.grid.geometry =
                    Geometry::Other { note: "coordinates of Albers equal-area grids are not computed" };
            }
            90 => {
                self.plane(90, "space_view")?;
                (self.grid.first_latitude, self.grid.first_longitude) = (None, None);
                self.grid.geometry = Geometry::Other { note: "coordinates of space view grids are not computed" };
            }
            50 => self.spectral(50, "sh")?,
            60 => self.spectral(51, "rotated_sh")?,
            70 => self.spectral(52, "stretched_sh")?,
            80 => self.spectral(53, "stretched_rotated_sh")?,
            _ => {
                let what = format!("data representation type {kind}");
                return Err(GribError::Unsupported { section: 2, template: u16::from(kind), what });
            }
        }
        Ok(self.grid)
    }

    fn latitude_longitude(
        &mut self,
        template: u16,
        grid_type: &'static str,
        end: usize,
        rotation: Option<Rotation>,
    ) -> Result<(), GribError> {
        self.plane(template, grid_type)?;
        self.last_point()?;
        let given = self.octets.byte(17)? & 0x80 != 0;
        let scanning = self.grid.scanning.unwrap_or(Scanning(0));
        let longitudes = (self.grid.first_longitude, self.grid.last_longitude);
        let latitudes = (self.grid.first_latitude, self.grid.last_latitude);
        self.grid.i_increment = match self.octets.optional(24, 2)?.filter(|_| given) {
            _ if self.grid.ni.is_none() => None,
            Some(value) => Some(f64::from(value) / 1000.0),
            None => between(longitudes, self.grid.ni, !scanning.i_scans_negatively()),
        };
        self.grid.j_increment = match self.octets.optional(26, 2)?.filter(|_| given) {
            Some(value) => Some(f64::from(value) / 1000.0),
            None => between(latitudes, self.grid.nj, scanning.j_scans_positively()),
        };
        self.grid.geometry = Geometry::LatitudeLongitude { rotation };
        if self.read_points_per_row(end)? {
            self.grid.grid_type = if rotation.is_some() { "unknown_PLPresent" } else { "reduced_ll" };
            if rotation.is_some() {
                let note = "coordinates of rotated reduced latitude/longitude grids are not computed";
                self.grid.geometry = Geometry::Other { note };
            }
            self.grid.points = self.sum_of_rows();
        }
        Ok(())
    }

    fn stretched(&mut self, template: u16, grid_type: &'static str, end: usize) -> Result<(), GribError> {
        self.latitude_longitude(template, grid_type, end, None)?;
        self.grid.geometry = Geometry::Other { note: "coordinates of stretched grids are not computed" };
        Ok(())
    }

    /// `grid_types`: without and with a list of points per row.
    fn gaussian(
        &mut self,
        template: u16,
        grid_types: [&'static str; 2],
        end: usize,
        rotation: Option<Rotation>,
    ) -> Result<(), GribError> {
        let [regular, reduced] = grid_types;
        self.plane(template, regular)?;
        self.last_point()?;
        let given = self.octets.byte(17)? & 0x80 != 0;
        let increment = self.octets.optional(24, 2)?;
        self.grid.i_increment = increment.filter(|_| given).map(|value| f64::from(value) / 1000.0);
        let n = self.octets.unsigned(26, 2)?;
        self.grid.n = Some(n);
        self.grid.geometry = Geometry::Gaussian { n, rotation };
        let is_reduced = self.read_points_per_row(end)?;
        if is_reduced {
            self.grid.grid_type = reduced;
            self.grid.points = self.points_of_reduced_rows();
        }
        self.grid.is_octahedral = Some(is_reduced && gaussian::is_octahedral(&self.grid.points_per_row));
        Ok(())
    }

    fn stretched_gaussian(
        &mut self,
        template: u16,
        grid_types: [&'static str; 2],
        end: usize,
    ) -> Result<(), GribError> {
        self.gaussian(template, grid_types, end, None)?;
        self.grid.geometry = Geometry::Other { note: "coordinates of stretched grids are not computed" };
        Ok(())
    }

    fn mercator(&mut self) -> Result<(), GribError> {
        // ecCodes numbers it as polar stereographic.
        self.plane(20, "mercator")?;
        self.last_point()?;
        let standard_parallel = self.octets.signed(24, 3)? as f64 / 1000.0;
        self.grid.geometry = Geometry::Mercator(Mercator { standard_parallel, orientation: 0.0 });
        self.grid.spacing = Some((self.octets.signed(29, 3)? as f64, self.octets.signed(32, 3)? as f64));
        Ok(())
    }

    fn lambert(&mut self, grid_type: &'static str) -> Result<(), GribError> {
        self.plane(30, grid_type)?;
        let degrees = |octet| Ok::<f64, GribError>(self.octets.signed(octet, 3)? as f64 / 1000.0);
        self.grid.geometry = Geometry::Lambert(Lambert {
            origin_latitude: degrees(29)?,
            central_meridian: degrees(18)?,
            first_parallel: degrees(29)?,
            second_parallel: degrees(32)?,
        });
        self.grid.spacing = Some((f64::from(self.octets.unsigned(21, 3)?), f64::from(self.octets.unsigned(24, 3)?)));
        Ok(())
    }

    fn polar_stereographic(&mut self) -> Result<(), GribError> {
        self.plane(20, "polar_stereographic")?;
        self.grid.geometry = Geometry::PolarStereographic(PolarStereographic {
            south: self.octets.byte(27)? & 0x80 != 0,
            // GRIB 1 fixes it.
            standard_parallel: 60.0,
            orientation: self.octets.signed(18, 3)? as f64 / 1000.0,
        });
        self.grid.spacing = Some((f64::from(self.octets.unsigned(21, 3)?), f64::from(self.octets.unsigned(24, 3)?)));
        Ok(())
    }

    /// Triangular, rhomboidal or pentagonal truncation: two numbers a coefficient.
    fn spectral(&mut self, template: u16, grid_type: &'static str) -> Result<(), GribError> {
        self.grid.template = template;
        self.grid.grid_type = grid_type;
        self.grid.geometry = Geometry::Spectral;
        self.grid.nj = Some(0);
        let (j, k, m) = (self.octets.unsigned(7, 2)?, self.octets.unsigned(9, 2)?, self.octets.unsigned(11, 2)?);
        if j == k && k == m {
            self.grid.points = (j as usize + 1) * (j as usize + 2);
        }
        Ok(())
    }

    /// Numbers of columns and rows, first point, earth and scanning mode, where all types but the spectral have them.
    fn plane(&mut self, template: u16, grid_type: &'static str) -> Result<(), GribError> {
        self.grid.template = template;
        self.grid.grid_type = grid_type;
        self.grid.ni = self.octets.optional(7, 2)?;
        self.grid.nj = self.octets.optional(9, 2)?;
        self.grid.first_latitude = Some(self.angle(11)?);
        self.grid.first_longitude = Some(self.angle(14)?);
        let is_oblate = self.octets.byte(17)? & 0x40 != 0;
        self.grid.earth = Some(if is_oblate { Earth::IAU_1965 } else { Earth::GRIB1_SPHERE });
        self.grid.scanning = Some(Scanning(self.octets.byte(28)? & 0xe0));
        self.grid.points = self.grid.ni.unwrap_or(0) as usize * self.grid.nj.unwrap_or(0) as usize;
        Ok(())
    }

    fn last_point(&mut self) -> Result<(), GribError> {
        self.grid.last_latitude = Some(self.angle(18)?);
        self.grid.last_longitude = Some(self.angle(21)?);
        Ok(())
    }

    fn angle(&self, octet: usize) -> Result<Angle, GribError> {
        Ok(Angle { value: self.octets.signed(octet, 3)?, multiplier: 1, divisor: 1000 })
    }

    fn rotation(&self) -> Result<Rotation, GribError> {
        Ok(Rotation {
            south_pole_latitude: self.angle(33)?.degrees(),
            south_pole_longitude: self.angle(36)?.degrees(),
            angle: self.octets.ibm(39)?,
        })
    }

    /// The list of points per row, after the vertical coordinates or after octet `end`; true for a reduced grid. Its
    /// length is bounded by the section.
    fn read_points_per_row(&mut self, end: usize) -> Result<bool, GribError> {
        if self.grid.ni.is_some() {
            return Ok(false);
        }
        let start = match (self.octets.byte(4)?, self.octets.byte(5)?) {
            (0, 255) => end + 1,
            (number, location) => usize::from(location) + 4 * usize::from(number),
        };
        let rows = self.grid.nj.unwrap_or(0) as usize;
        match self.octets.list(start, 2, rows) {
            Some(list) if !list.is_empty() => {
                self.grid.points_per_row = list;
                Ok(true)
            }
            _ => Err(self.octets.malformed(start, format!("no list of points for the {rows} rows"))),
        }
    }

    fn sum_of_rows(&self) -> usize {
        self.grid.points_per_row.iter().map(|&points| points as usize).sum()
    }

    fn points_of_reduced_rows(&self) -> usize {
        let whole = self.sum_of_rows();
        let (Some(first), Some(last)) = (self.grid.first_longitude, self.grid.last_longitude) else { return whole };
        let list = &self.grid.points_per_row;
        let within = gaussian::count_within(list, first, last, gaussian::Rounding::None);
        let rounded = gaussian::count_within(list, first, last, gaussian::Rounding::OneUnit);
        let longest = list.iter().max().copied().unwrap_or(1).max(1);
        // First and last longitude have only milli-degrees, so the last point of the longest row may lie beyond.
        let goes_round = first.value == 0 && last.degrees() + 1e-3 >= 360.0 - 360.0 / f64::from(longest);
        let expected = if goes_round { whole as u64 } else { rounded };
        let candidates = [expected, rounded, within, gaussian::legacy_count_within(list, first, last), whole as u64];
        let found = candidates.into_iter().find(|&count| self.values == Some(count));
        usize::try_from(found.unwrap_or(expected)).unwrap_or(whole)
    }
}

/// Increment from the first and last of `number` coordinates, when the message does not give it.
fn between(ends: (Option<Angle>, Option<Angle>), number: Option<u32>, positive: bool) -> Option<f64> {
    let (first, last) = (ends.0?.degrees(), ends.1?.degrees());
    let number = number.filter(|&number| number > 1)?;
    let (from, to) = if positive { (first, last) } else { (last, first) };
    let span = if to > from { to - from } else { to + 360.0 - from };
    Some(span / f64::from(number - 1))
}
