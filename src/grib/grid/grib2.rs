//! GRIB 2 section 3: the grid definition templates of the WMO manual, with octet numbers as printed there.

use super::octets::Octets;
use super::{
    Angle, Earth, Geometry, Grid, Lambert, Mercator, PolarStereographic, Rotation, Scanning, TransverseMercator,
};
use crate::grib::GribError;

const MICRODEGREES: (u32, u32) = (1, 1_000_000);

pub(super) fn parse(section: &[u8]) -> Result<Grid, GribError> {
    let octets = Octets::new(section, 3)?;
    if octets.byte(5)? != 3 {
        return Err(octets.malformed(5, format!("section {} where section 3 should be", octets.byte(5)?)));
    }
    let template = (octets.unsigned(13, 2)? & 0xffff) as u16;
    let grid = Grid {
        edition: 2,
        grid_type: "unknown",
        template,
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
        geometry: Geometry::Other { note: "grid definition template without known coordinates" },
        points_per_row: Vec::new(),
        spacing: None,
        points: octets.unsigned(7, 4)? as usize,
    };
    Parser { octets, grid }.template()?.checked()
}

struct Parser<'a> {
    octets: Octets<'a>,
    grid: Grid,
}

impl Parser<'_> {
    fn template(mut self) -> Result<Grid, GribError> {
        match self.grid.template {
            0 => self.latitude_longitude(72, "regular_ll", "reduced_ll", None)?,
            1 => {
                let rotation = self.rotation()?;
                self.latitude_longitude(84, "rotated_ll", "reduced_rotated_ll", Some(rotation))?;
            }
            2 => self.other_latitude_longitude("stretched_ll")?,
            3 => self.other_latitude_longitude("stretched_rotated_ll")?,
            4 => self.plane("varres_ll", 48, "coordinates of variable-resolution grids are not computed")?,
            5 => self.plane("varres_rotated_ll", 48, "coordinates of variable-resolution grids are not computed")?,
            10 => self.mercator()?,
            12 => self.transverse_mercator()?,
            13 => self.local_area("mercator_lam", 60)?,
            20 => self.polar_stereographic()?,
            23 => self.local_area("polar_stereographic_lam", 65)?,
            30 => self.lambert()?,
            31 => {
                self.plane("albers", 65, "coordinates of Albers equal-area grids are not computed")?;
                self.first_point(39, 43)?;
            }
            33 => self.local_area("lambert_lam", 65)?,
            40 => self.gaussian(72, "regular_gg", "reduced_gg", None)?,
            41 => {
                let rotation = self.rotation()?;
                self.gaussian(84, "rotated_gg", "reduced_rotated_gg", Some(rotation))?;
            }
            42 => self.stretched_gaussian(84, "stretched_gg", "reduced_stretched_gg")?,
            43 => self.stretched_gaussian(96, "stretched_rotated_gg", "reduced_stretched_rotated_gg")?,
            50 => self.spectral("sh"),
            51 => self.spectral("rotated_sh"),
            52 => self.spectral("stretched_sh"),
            53 => self.spectral("stretched_rotated_sh"),
            61 => self.spectral("mercator_bf"),
            62 => self.spectral("polar_stereographic_bf"),
            63 => self.spectral("lambert_bf"),
            90 => self.plane("space_view", 64, "coordinates of space view grids are not computed")?,
            100 => self.values("triangular_grid", "coordinates of triangular grids are not computed"),
            101 => {
                self.grid.grid_type = "unstructured_grid";
                self.grid.geometry = Geometry::Unstructured;
            }
            110 => {
                self.plane("equatorial_azimuthal_equidistant", 57, "coordinates of azimuthal grids are not computed")?
            }
            120 => self.values("azimuth_range", "coordinates of radar grids are not computed"),
            130 => self.values("irregular_latlon", "coordinates of irregular grids are not computed"),
            140 => {
                let note = "coordinates of Lambert azimuthal equal-area grids are not computed";
                self.plane("lambert_azimuthal_equal_area", 64, note)?;
                self.first_point(39, 43)?;
            }
            150 => self.healpix()?,
            1000 => self.values("cross_section", "a cross section has no horizontal coordinates"),
            1100 => self.values("Hovmoller", "a Hovmoller diagram has no horizontal coordinates"),
            1200 => self.values("time_section", "a time section has no horizontal coordinates"),
            32769 => {
                self.plane("ncep_32769", 72, "coordinates of NCEP's rotated Arakawa grids are not computed")?;
                self.first_point(47, 51)?;
                self.last_point(56, 60)?;
            }
            _ => {}
        }
        Ok(self.grid)
    }

    fn latitude_longitude(
        &mut self,
        end: usize,
        regular: &'static str,
        reduced: &'static str,
        rotation: Option<Rotation>,
    ) -> Result<(), GribError> {
        self.common_grid()?;
        let flags = self.octets.byte(55)?;
        self.grid.i_increment = self.increment(64, flags & 0x20 != 0)?;
        self.grid.j_increment = self.increment(68, flags & 0x10 != 0)?;
        self.grid.scanning = Some(Scanning(self.octets.byte(72)?));
        self.grid.geometry = Geometry::LatitudeLongitude { rotation };
        self.grid.grid_type = regular;
        if self.read_points_per_row(end)? {
            self.grid.grid_type = reduced;
            if rotation.is_some() {
                self.grid.geometry = Geometry::Other {
                    note: "coordinates of rotated reduced latitude/longitude grids are not computed",
                };
            }
        }
        Ok(())
    }

    fn other_latitude_longitude(&mut self, grid_type: &'static str) -> Result<(), GribError> {
        self.latitude_longitude(96, grid_type, grid_type, None)?;
        self.grid.geometry = Geometry::Other { note: "coordinates of stretched grids are not computed" };
        Ok(())
    }

    fn gaussian(
        &mut self,
        end: usize,
        regular: &'static str,
        reduced: &'static str,
        rotation: Option<Rotation>,
    ) -> Result<(), GribError> {
        self.common_grid()?;
        self.grid.i_increment = self.increment(64, self.octets.byte(55)? & 0x20 != 0)?;
        let n = self.octets.unsigned(68, 4)?;
        self.grid.n = Some(n);
        self.grid.scanning = Some(Scanning(self.octets.byte(72)?));
        self.grid.geometry = Geometry::Gaussian { n, rotation };
        let is_reduced = self.read_points_per_row(end)?;
        self.grid.grid_type = if is_reduced { reduced } else { regular };
        self.grid.is_octahedral = Some(is_reduced && super::gaussian::is_octahedral(&self.grid.points_per_row));
        Ok(())
    }

    fn stretched_gaussian(
        &mut self,
        end: usize,
        regular: &'static str,
        reduced: &'static str,
    ) -> Result<(), GribError> {
        self.gaussian(end, regular, reduced, None)?;
        self.grid.geometry = Geometry::Other { note: "coordinates of stretched grids are not computed" };
        Ok(())
    }

    fn mercator(&mut self) -> Result<(), GribError> {
        self.plane("mercator", 60, "")?;
        self.first_point(39, 43)?;
        self.last_point(52, 56)?;
        self.grid.geometry = Geometry::Mercator(Mercator {
            standard_parallel: self.degrees(48)?,
            orientation: f64::from(self.octets.unsigned(61, 4)?) / 1e6,
        });
        self.spacing(65, 69, 1000.0)
    }

    fn transverse_mercator(&mut self) -> Result<(), GribError> {
        self.plane("transverse_mercator", 60, "")?;
        // Beyond 10 000 km a length is taken for one in two's complement.
        let metres = |octet| Ok::<f64, GribError>(self.octets.signed_or_complement(octet, 1 << 30)? as f64 / 100.0);
        let degrees = |octet, limit: i64| {
            Ok::<f64, GribError>(self.octets.signed_or_complement(octet, limit * 1_000_000)? as f64 / 1e6)
        };
        let projection = TransverseMercator {
            origin_latitude: degrees(39, 90)?,
            central_meridian: degrees(43, 360)?,
            scale_factor: self.octets.ieee(48)?,
            false_easting: metres(52)?,
            false_northing: metres(56)?,
        };
        self.grid.geometry = Geometry::TransverseMercator { projection, first_x: metres(69)?, first_y: metres(73)? };
        self.spacing(61, 65, 100.0)
    }

    fn polar_stereographic(&mut self) -> Result<(), GribError> {
        self.plane("polar_stereographic", 65, "")?;
        self.first_point(39, 43)?;
        let parallel = self.degrees(48)?;
        self.grid.geometry = Geometry::PolarStereographic(PolarStereographic {
            south: self.octets.byte(64)? & 0x80 != 0 || parallel < 0.0,
            standard_parallel: parallel,
            orientation: self.degrees(52)?,
        });
        self.spacing(56, 60, 1000.0)
    }

    fn lambert(&mut self) -> Result<(), GribError> {
        self.plane("lambert", 65, "")?;
        self.first_point(39, 43)?;
        self.grid.geometry = Geometry::Lambert(Lambert {
            origin_latitude: self.degrees(48)?,
            central_meridian: f64::from(self.octets.unsigned(52, 4)?) / 1e6,
            first_parallel: self.degrees(66)?,
            second_parallel: self.degrees(70)?,
        });
        self.spacing(56, 60, 1000.0)
    }

    fn local_area(&mut self, grid_type: &'static str, scanning: usize) -> Result<(), GribError> {
        self.plane(grid_type, scanning, "coordinates of limited-area grids with an extension zone are not computed")?;
        self.first_point(39, 43)?;
        if self.grid.template == 13 {
            self.last_point(52, 56)?;
        }
        Ok(())
    }

    fn healpix(&mut self) -> Result<(), GribError> {
        self.values("healpix", "coordinates of HEALPix grids are not computed");
        self.grid.n = Some(self.octets.unsigned(32, 4)?);
        self.grid.first_longitude = Some(self.angle(36, MICRODEGREES)?);
        self.grid.scanning = Some(Scanning(self.octets.byte(42)?));
        Ok(())
    }

    fn spectral(&mut self, grid_type: &'static str) {
        self.grid.grid_type = grid_type;
        self.grid.geometry = Geometry::Spectral;
    }

    fn values(&mut self, grid_type: &'static str, note: &'static str) {
        self.grid.grid_type = grid_type;
        self.grid.geometry = Geometry::Other { note };
    }

    /// Templates with earth, numbers of columns and rows in octets 31 and 35, and a scanning mode.
    fn plane(&mut self, grid_type: &'static str, scanning: usize, note: &'static str) -> Result<(), GribError> {
        self.values(grid_type, note);
        self.grid.earth = Earth::from_grib2(&self.octets)?;
        self.grid.ni = self.octets.optional(31, 4)?;
        self.grid.nj = self.octets.optional(35, 4)?;
        self.grid.scanning = Some(Scanning(self.octets.byte(scanning)?));
        Ok(())
    }

    /// Octets 15 to 63 of templates 3.0 to 3.3 and 3.40 to 3.43.
    fn common_grid(&mut self) -> Result<(), GribError> {
        self.grid.earth = Earth::from_grib2(&self.octets)?;
        self.grid.ni = self.octets.optional(31, 4)?;
        self.grid.nj = self.octets.optional(35, 4)?;
        let unit = self.angle_unit()?;
        self.grid.first_latitude = Some(self.angle(47, unit)?);
        self.grid.first_longitude = Some(self.angle(51, unit)?);
        self.grid.last_latitude = Some(self.angle(56, unit)?);
        self.grid.last_longitude = Some(self.angle(60, unit)?);
        Ok(())
    }

    /// Basic angle of the initial production domain and its subdivisions, microdegrees when not given.
    fn angle_unit(&self) -> Result<(u32, u32), GribError> {
        let basic = self.octets.unsigned(39, 4)?.max(1);
        let subdivisions = self.octets.optional(43, 4)?.filter(|&number| number > 0);
        Ok((basic, subdivisions.unwrap_or(MICRODEGREES.1)))
    }

    fn angle(&self, octet: usize, unit: (u32, u32)) -> Result<Angle, GribError> {
        Ok(Angle { value: self.octets.signed(octet, 4)?, multiplier: unit.0, divisor: unit.1 })
    }

    fn degrees(&self, octet: usize) -> Result<f64, GribError> {
        Ok(self.angle(octet, MICRODEGREES)?.degrees())
    }

    fn increment(&self, octet: usize, is_given: bool) -> Result<Option<f64>, GribError> {
        let (multiplier, divisor) = self.angle_unit()?;
        let value = self.octets.optional(octet, 4)?.filter(|_| is_given);
        Ok(value.map(|value| Angle { value: i64::from(value), multiplier, divisor }.degrees()))
    }

    fn first_point(&mut self, latitude: usize, longitude: usize) -> Result<(), GribError> {
        self.grid.first_latitude = Some(self.angle(latitude, MICRODEGREES)?);
        self.grid.first_longitude = Some(self.angle(longitude, MICRODEGREES)?);
        Ok(())
    }

    fn last_point(&mut self, latitude: usize, longitude: usize) -> Result<(), GribError> {
        self.grid.last_latitude = Some(self.angle(latitude, MICRODEGREES)?);
        self.grid.last_longitude = Some(self.angle(longitude, MICRODEGREES)?);
        Ok(())
    }

    fn spacing(&mut self, x: usize, y: usize, per_metre: f64) -> Result<(), GribError> {
        let metres = |octet| Ok::<f64, GribError>(f64::from(self.octets.unsigned(octet, 4)?) / per_metre);
        self.grid.spacing = Some((metres(x)?, metres(y)?));
        Ok(())
    }

    fn rotation(&self) -> Result<Rotation, GribError> {
        Ok(Rotation {
            south_pole_latitude: self.degrees(73)?,
            south_pole_longitude: f64::from(self.octets.unsigned(77, 4)?) / 1e6,
            angle: self.octets.ieee(81)?,
        })
    }

    /// The list of points per row after octet `end`; true for a reduced grid. Its length is bounded by the section.
    fn read_points_per_row(&mut self, end: usize) -> Result<bool, GribError> {
        let size = usize::from(self.octets.byte(11)?);
        if size == 0 || self.grid.ni.is_some() {
            return Ok(false);
        }
        if size > 4 {
            return Err(self.octets.malformed(11, format!("{size} octets for a number of points")));
        }
        let rows = self.grid.nj.unwrap_or(0) as usize;
        match self.octets.list(end + 1, size, rows) {
            Some(list) if !list.is_empty() => {
                self.grid.points_per_row = list;
                Ok(true)
            }
            _ => Err(self.octets.malformed(end + 1, format!("no list of points for the {rows} rows"))),
        }
    }
}
