//! The order of values in a message, and how to put them into the order of the array.

use std::ops::Range;

use crate::grib::GribError;

/// Scanning mode (GRIB 2 flag table 3.4, GRIB 1 table 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanning(pub u8);

impl Scanning {
    /// ecCodes iScansNegatively: points of a row run westwards (-x).
    pub fn i_scans_negatively(self) -> bool {
        self.0 & 0x80 != 0
    }
    /// ecCodes jScansPositively: rows run northwards (+y).
    pub fn j_scans_positively(self) -> bool {
        self.0 & 0x40 != 0
    }
    /// ecCodes jPointsAreConsecutive: neighbours in the message are neighbours in y.
    pub fn j_points_are_consecutive(self) -> bool {
        self.0 & 0x20 != 0
    }
    /// ecCodes alternativeRowScanning: every second row runs backwards. GRIB 1 has no such flag.
    pub fn alternative_row_scanning(self) -> bool {
        self.0 & 0x10 != 0
    }
    /// GRIB 2 bits 5 to 8: points or rows offset by half an increment, or rows of unequal length.
    pub fn rows_are_offset(self) -> bool {
        self.0 & 0x0f != 0
    }
}

/// A permutation between message order and array order.
///
/// Array order: rows in the sequence in which the message scans them (the latitude or y coordinate says the direction),
/// x fastest and always increasing (west to east). Data that are no rows stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    nx: usize,
    ny: usize,
    flip_x: bool,
    transposed: bool,
    alternate: bool,
}

impl Order {
    /// Message order is array order.
    pub(super) fn identity(points: usize) -> Self {
        Self { nx: points, ny: 1, flip_x: false, transposed: false, alternate: false }
    }

    pub(super) fn of_rows(ny: usize, nx: usize, scanning: Scanning) -> Self {
        Self {
            nx,
            ny,
            flip_x: scanning.i_scans_negatively(),
            transposed: scanning.j_points_are_consecutive(),
            alternate: scanning.alternative_row_scanning(),
        }
    }

    /// Points of message and array.
    pub fn points(&self) -> usize {
        self.nx.saturating_mul(self.ny)
    }

    /// True when nothing has to be moved.
    pub fn is_identity(&self) -> bool {
        self.nx < 2 || !self.flip_x && (self.ny < 2 || !self.transposed && !self.alternate)
    }

    /// True when [`Order::rearrange`] needs no second buffer.
    pub fn is_in_place(&self) -> bool {
        self.is_identity() || !self.transposed
    }

    /// Where in the message the value of an array index (row * nx + column) is. An index outside of the array is
    /// returned as it is.
    pub fn message_index(&self, array_index: usize) -> usize {
        if self.is_identity() || array_index >= self.points() {
            return array_index;
        }
        // nx > 0 here: the array has a point.
        let (row, column) = (array_index / self.nx.max(1), array_index % self.nx.max(1));
        self.place(row, column)
    }

    /// Where in the message a run of array elements within one row is, and whether it comes backwards there. None: the
    /// elements are not next to each other, or not in one row.
    pub fn run(&self, elements: Range<usize>) -> Option<(Range<usize>, bool)> {
        if elements.start > elements.end || elements.end > self.points() {
            return None;
        }
        if self.is_identity() || elements.is_empty() {
            return Some((elements, false));
        }
        if self.transposed {
            return None;
        }
        let nx = self.nx.max(1);
        let (row, column) = (elements.start / nx, elements.start % nx);
        if column + elements.len() > nx {
            return None;
        }
        if !self.is_backwards(row) {
            return Some((elements, false));
        }
        let start = row * nx + (nx - column - elements.len());
        Some((start..start + elements.len(), true))
    }

    /// Copies values from message order to array order.
    ///
    /// # Errors
    /// `Malformed` when either slice is not as long as the grid has points; nothing is written then.
    pub fn to_array<T: Copy>(&self, message_values: &[T], out: &mut [T]) -> Result<(), GribError> {
        self.check(message_values.len())?;
        self.check(out.len())?;
        if self.is_identity() {
            out.copy_from_slice(message_values);
            return Ok(());
        }
        let nx = self.nx.max(1);
        if self.transposed {
            self.transpose(message_values, out);
            return Ok(());
        }
        for (row, (from, to)) in message_values.chunks_exact(nx).zip(out.chunks_exact_mut(nx)).enumerate() {
            to.copy_from_slice(from);
            if self.is_backwards(row) {
                to.reverse();
            }
        }
        Ok(())
    }

    /// As [`Order::to_array`], in the buffer itself; a second buffer is made only for transposed grids.
    ///
    /// # Errors
    /// `Malformed` when the slice is not as long as the grid has points.
    pub fn rearrange<T: Copy>(&self, values: &mut [T]) -> Result<(), GribError> {
        self.check(values.len())?;
        if self.is_identity() {
            return Ok(());
        }
        if self.transposed {
            let message = values.to_vec();
            self.transpose(&message, values);
            return Ok(());
        }
        for (row, values) in values.chunks_exact_mut(self.nx.max(1)).enumerate() {
            if self.is_backwards(row) {
                values.reverse();
            }
        }
        Ok(())
    }

    fn is_backwards(&self, row: usize) -> bool {
        self.flip_x != (self.alternate && row % 2 == 1)
    }

    fn place(&self, row: usize, column: usize) -> usize {
        if self.transposed {
            // "Rows" of the message are columns of the array, and alternate among themselves.
            let line = if self.flip_x { self.nx.saturating_sub(column + 1) } else { column };
            let within = if self.alternate && line % 2 == 1 { self.ny.saturating_sub(row + 1) } else { row };
            line * self.ny + within
        } else {
            row * self.nx + if self.is_backwards(row) { self.nx.saturating_sub(column + 1) } else { column }
        }
    }

    fn transpose<T: Copy>(&self, message: &[T], out: &mut [T]) {
        // Tiles keep both sides within the cache.
        const TILE: usize = 32;
        for first_column in (0..self.nx).step_by(TILE) {
            let columns = first_column..(first_column + TILE).min(self.nx);
            for (row, values) in out.chunks_exact_mut(self.nx.max(1)).enumerate() {
                for column in columns.clone() {
                    if let (Some(to), Some(from)) = (values.get_mut(column), message.get(self.place(row, column))) {
                        *to = *from;
                    }
                }
            }
        }
    }

    fn check(&self, length: usize) -> Result<(), GribError> {
        if length == self.points() {
            return Ok(());
        }
        let what = format!("{length} values for a grid of {} points", self.points());
        Err(GribError::Malformed { offset: 0, section: 7, what })
    }
}
