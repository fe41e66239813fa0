//! GRIB 1 second-order packing (section 4 with flag bit 2): groups with a first-order value each and second-order values
//! that are added to it. Four layouts: a group a row, groups by a secondary bitmap with one or several widths, and ECMWF's
//! general extended packing with lengths and spatial differencing.

use super::super::sections::FieldSections;
use super::bitmap::Bitmap;
use super::bits::{bits_at, packed_bytes, sign_magnitude};
use super::header::Octets;
use super::malformed;
use super::rows::Rows;
use super::sample::{Sample, Scale};
use crate::grib::Result;

/// The part of section 4 that all layouts share.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SecondOrderHeader {
    first_order_width: u32,
    flags: u8,
    groups: usize,
    second_order_values: usize,
    /// Of spatial differencing, 0 to 3.
    pub order: u8,
}

const MATRIX: u8 = 0x40;
const SECONDARY_BITMAP: u8 = 0x20;
const DIFFERENT_WIDTHS: u8 = 0x10;
const GENERAL_EXTENDED: u8 = 0x08;
const BOUSTROPHEDONIC: u8 = 0x04;

/// Octets of the header before the widths.
const HEADER: usize = 21;

impl SecondOrderHeader {
    pub fn parse(octets: &Octets<'_>) -> Result<Self> {
        let flags = octets.byte(14)?;
        let groups: usize = octets.narrow(17, 2)?;
        let extra = usize::from(octets.byte(21)?);
        Ok(SecondOrderHeader {
            first_order_width: u32::from(octets.byte(11)?),
            flags,
            groups: groups + 65_536 * extra,
            second_order_values: octets.narrow(19, 2)?,
            order: if flags & GENERAL_EXTENDED == 0 { 0 } else { flags & 3 },
        })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// ecCodes packingType.
    pub fn packing_type(&self) -> &'static str {
        match (self.has(GENERAL_EXTENDED), self.has(SECONDARY_BITMAP), self.has(DIFFERENT_WIDTHS), self.order) {
            (true, false, true, 0) => "grid_second_order_no_SPD",
            (true, false, true, 1) => "grid_second_order_SPD1",
            (true, false, true, 2) => "grid_second_order",
            (true, false, true, _) => "grid_second_order_SPD3",
            (false, false, true, _) => "grid_second_order_row_by_row",
            (false, true, false, _) => "grid_second_order_constant_width",
            (false, true, true, _) => "grid_second_order_general_grib1",
            _ => "unknown",
        }
    }
}

/// Decodes the field's `count` codes to `out`, in the order of the message without boustrophedonic ordering; with a bitmap
/// `out` has all points.
///
/// # Errors
/// A combination of flags that no layout has, groups that do not fit the section or the field.
pub(crate) fn decode<T: Sample>(
    sections: &FieldSections<'_>,
    header: &SecondOrderHeader,
    scale: Scale,
    bitmap: Option<&Bitmap<'_>>,
    out: &mut [T],
) -> Result<usize> {
    let points = out.len();
    let count = bitmap.map_or(points, |bitmap| bitmap.ones(0..points));
    let section = sections.representation;
    let layout = (header.has(GENERAL_EXTENDED), header.has(SECONDARY_BITMAP), header.has(DIFFERENT_WIDTHS));
    let rows = || Rows::of_grib1(sections.grid, points);
    let codes = match layout {
        _ if header.has(MATRIX) => return Err(malformed(4, 13, "a matrix of values at each point")),
        (true, false, true) => general_extended(section, header, count)?,
        (false, false, true) => row_by_row(section, header, &rows()?, bitmap, count)?,
        (false, true, _) => by_secondary_bitmap(section, header, count)?,
        _ => return Err(malformed(4, 13, format!("no second-order packing has the flags {:#04x}", header.flags))),
    };
    let first = points - count;
    for (value, code) in out.iter_mut().skip(first).zip(codes) {
        *value = T::from_f64(scale.value(code as f64));
    }
    if let Some(bitmap) = bitmap {
        bitmap.expand(0..points, out)?;
    }
    if header.has(BOUSTROPHEDONIC) && layout != (false, false, true) {
        rows()?.reverse_every_second(out);
    }
    Ok(points - count)
}

/// Cuts section 4 from octet 22 on.
struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(section: &'a [u8]) -> Self {
        Parts { rest: section.get(HEADER..).unwrap_or_default() }
    }

    /// The bytes that `count` numbers of `width` bits take.
    fn take(&mut self, count: usize, width: u32) -> Result<&'a [u8]> {
        let bytes = packed_bytes(count as u64, width).and_then(|bytes| usize::try_from(bytes).ok());
        let parts = bytes.filter(|_| width <= 32).and_then(|bytes| self.rest.split_at_checked(bytes));
        let (part, rest) = parts.ok_or_else(|| malformed(4, HEADER, "the section is shorter than its groups"))?;
        self.rest = rest;
        Ok(part)
    }

    fn number(&mut self, bytes: usize) -> Result<u32> {
        let width = 8 * u32::try_from(bytes).unwrap_or_default();
        Ok(bits_at(self.take(bytes, 8)?, 0, width) as u32)
    }
}

/// Puts groups of codes together.
struct Groups<'a> {
    data: &'a [u8],
    bit: usize,
    codes: Vec<i64>,
    count: usize,
}

impl<'a> Groups<'a> {
    /// `capacity` values have been checked to be what the caller asked for.
    fn new(data: &'a [u8], count: usize) -> Self {
        Groups { data, bit: 0, codes: Vec::with_capacity(count), count }
    }

    fn push(&mut self, first_order: u64, width: u32, length: usize) -> Result<()> {
        if length > self.count - self.codes.len() {
            return Err(malformed(4, HEADER, "the groups have more values than the field"));
        }
        let behind = length.checked_mul(width as usize).and_then(|bits| bits.checked_add(self.bit));
        let Some(behind) = behind.filter(|behind| width <= 32 && behind.div_ceil(8) <= self.data.len()) else {
            return Err(malformed(4, HEADER, "a group ends behind the section"));
        };
        let (data, bit) = (self.data, self.bit);
        let second_order = |index| bits_at(data, bit + index * width as usize, width);
        self.codes.extend((0..length).map(|index| (first_order + second_order(index)) as i64));
        self.bit = behind;
        Ok(())
    }

    fn finish(self) -> Result<Vec<i64>> {
        if self.codes.len() == self.count {
            Ok(self.codes)
        } else {
            let what = format!("the groups have {} values, the field {}", self.codes.len(), self.count);
            Err(malformed(4, HEADER, what))
        }
    }
}

fn numbers(data: &[u8], width: u32, count: usize) -> impl Iterator<Item = u64> + '_ {
    (0..count).map(move |index| bits_at(data, index * width as usize, width))
}

fn row_by_row(
    section: &[u8],
    header: &SecondOrderHeader,
    rows: &Rows,
    bitmap: Option<&Bitmap<'_>>,
    count: usize,
) -> Result<Vec<i64>> {
    let mut parts = Parts::of(section);
    let widths = parts.take(header.groups, 8)?;
    let first_order = parts.take(header.groups, header.first_order_width)?;
    let mut groups = Groups::new(parts.rest, count);
    let first_order = numbers(first_order, header.first_order_width, header.groups);
    for ((width, first_order), row) in widths.iter().zip(first_order).zip(rows.ranges()) {
        let length = bitmap.map_or(row.len(), |bitmap| bitmap.ones(row));
        groups.push(first_order, u32::from(*width), length)?;
    }
    groups.finish()
}

fn by_secondary_bitmap(section: &[u8], header: &SecondOrderHeader, count: usize) -> Result<Vec<i64>> {
    // The header's number has 16 bits only.
    if count % 65_536 != header.second_order_values {
        let what = format!("{} second-order values for {count}", header.second_order_values);
        return Err(malformed(4, 18, what));
    }
    let mut parts = Parts::of(section);
    let different = header.has(DIFFERENT_WIDTHS);
    let widths = parts.take(if different { header.groups } else { 1 }, 8)?;
    let starts = parts.take(count, 1)?;
    let first_order = parts.take(header.groups, header.first_order_width)?;
    let mut groups = Groups::new(parts.rest, count);
    let mut first_order = numbers(first_order, header.first_order_width, header.groups);
    let mut widths = widths.iter().cycle();
    let is_start = |index: usize| bits_at(starts, index, 1) == 1;
    let mut begin = 0;
    while begin < count {
        let length = 1 + (begin + 1..count).take_while(|index| !is_start(*index)).count();
        let (Some(width), Some(first_order)) = (widths.next(), first_order.next()) else {
            return Err(malformed(4, HEADER, "the secondary bitmap has more groups than there are"));
        };
        groups.push(first_order, u32::from(*width), length)?;
        begin += length;
    }
    groups.finish()
}

fn general_extended(section: &[u8], header: &SecondOrderHeader, count: usize) -> Result<Vec<i64>> {
    let mut parts = Parts::of(section);
    let width_bits = parts.number(1)?;
    let length_bits = parts.number(1)?;
    let _octet_of_lengths = parts.number(2)?;
    let order = usize::from(header.order);
    let (mut given, mut bias) = (Vec::new(), 0);
    if order > 0 {
        let width = parts.number(1)?;
        let numbers = parts.take(order + 1, width)?;
        given = (0..order).map(|index| bits_at(numbers, index * width as usize, width) as i64).collect();
        bias = sign_magnitude(bits_at(numbers, order * width as usize, width), width);
    }
    let widths = parts.take(header.groups, width_bits)?;
    let lengths = parts.take(header.groups, length_bits)?;
    let first_order = parts.take(header.groups, header.first_order_width)?;
    let mut groups = Groups::new(parts.rest, count);
    if order > count {
        return Err(malformed(4, HEADER, "fewer values than the differencing needs"));
    }
    groups.codes.extend(&given);
    let widths = numbers(widths, width_bits, header.groups);
    let lengths = numbers(lengths, length_bits, header.groups);
    let first_order = numbers(first_order, header.first_order_width, header.groups);
    for ((width, length), first_order) in widths.zip(lengths).zip(first_order) {
        groups.push(first_order, width as u32, length as usize)?;
    }
    let mut codes = groups.finish()?;
    sum_differences(&mut codes, order, bias);
    Ok(codes)
}

/// Undoes spatial differencing; the first `order` codes are values. Wrapping as ecCodes' 64-bit arithmetic.
fn sum_differences(codes: &mut [i64], order: usize, bias: i64) {
    let Some((given, differences)) = codes.split_at_mut_checked(order) else { return };
    // sums[k] is the last difference of order k, sums[0] the last value.
    let mut sums = match *given {
        [a] => [a, 0, 0],
        [a, b] => [b, b.wrapping_sub(a), 0],
        [a, b, c] => {
            let (before, last) = (b.wrapping_sub(a), c.wrapping_sub(b));
            [c, last, last.wrapping_sub(before)]
        }
        _ => return,
    };
    for code in differences {
        let mut step = code.wrapping_add(bias);
        for sum in sums.iter_mut().take(order).rev() {
            *sum = sum.wrapping_add(step);
            step = *sum;
        }
        *code = step;
    }
}
