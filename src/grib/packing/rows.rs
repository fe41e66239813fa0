//! The rows of a GRIB 1 grid, as far as unpacking needs them.

use std::ops::Range;

use super::bits::unsigned;
use super::malformed;
use crate::grib::Result;

/// Lengths of the rows in the order of the message.
pub(crate) struct Rows {
    lengths: Vec<usize>,
}

impl Rows {
    /// Reads section 2. Rows are columns where points along j are consecutive.
    ///
    /// # Errors
    /// A grid without rows, or whose rows do not have `points` points.
    pub fn of_grib1(grid: &[u8], points: usize) -> Result<Self> {
        let field = |octet: usize, size: usize| {
            unsigned(grid, octet - 1, size)
                .map(|number| number as usize)
                .ok_or_else(|| malformed(2, octet, "too short"))
        };
        let (ni, nj, scanning) = (field(7, 2)?, field(9, 2)?, field(28, 1)?);
        let (rows, columns) = if scanning & 0x20 == 0 { (nj, ni) } else { (ni, nj) };
        let lengths = if columns == 0xffff {
            // A reduced grid: the numbers of points stand behind the vertical coordinates, which have four octets each.
            let list = field(5, 1)? + 4 * field(4, 1)?;
            (0..rows).map(|row| field(list + 2 * row, 2)).collect::<Result<Vec<_>>>()?
        } else {
            vec![columns; rows]
        };
        let sum = lengths.iter().try_fold(0usize, |sum, length| sum.checked_add(*length));
        if sum != Some(points) {
            return Err(malformed(2, 6, format!("{rows} rows of {columns} for {points} points")));
        }
        Ok(Rows { lengths })
    }

    /// The points of each row.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.lengths.iter().scan(0, |end, length| {
            let start = *end;
            *end += length;
            Some(start..*end)
        })
    }

    /// Boustrophedonic ordering to the order of the grid: turns the second, fourth, ... row round.
    pub fn reverse_every_second<T>(&self, values: &mut [T]) {
        for row in self.ranges().skip(1).step_by(2) {
            if let Some(row) = values.get_mut(row) {
                row.reverse();
            }
        }
    }
}
