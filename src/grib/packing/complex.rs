//! Complex packing: GRIB 2 templates 5.2 and 5.3 (with spatial differencing).
//!
//! Section 7 holds the first values and the bias of the differences, then the reference, width and length of all groups,
//! then the groups' codes. A code is `reference of the group + number`; with spatial differencing these are differences of
//! first or second order whose running sums are the codes that are scaled.

use std::ops::Range;

use super::bits::{bits_at, packed_bytes, sign_magnitude};
use super::header::Octets;
use super::kernel::{self, Job, Kernel, MISSING_CODE};
use super::malformed;
use super::sample::{Sample, Scale};
use super::staging::{STAGE, Staging};
use crate::grib::{GribError, Result};

/// Points between two checkpoints, at least.
const CHECKPOINT_POINTS: usize = 4096;

/// Templates 5.2 and 5.3 behind the scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ComplexHeader {
    bits: u32,
    pub missing_value_management: u8,
    pub groups: u64,
    width_reference: u32,
    width_bits: u32,
    length_reference: u64,
    length_increment: u64,
    last_length: u64,
    length_bits: u32,
    /// 0: no spatial differencing.
    pub order: u8,
    descriptor_octets: u32,
}

impl ComplexHeader {
    pub fn parse(octets: &Octets<'_>, differencing: bool) -> Result<Self> {
        Ok(ComplexHeader {
            bits: u32::from(octets.byte(20)?),
            missing_value_management: octets.byte(23)?,
            groups: octets.unsigned(32, 4)?,
            width_reference: u32::from(octets.byte(36)?),
            width_bits: u32::from(octets.byte(37)?),
            length_reference: octets.unsigned(38, 4)?,
            length_increment: octets.unsigned(42, 1)?,
            last_length: octets.unsigned(43, 4)?,
            length_bits: u32::from(octets.byte(47)?),
            order: if differencing { octets.byte(48)? } else { 0 },
            descriptor_octets: if differencing { u32::from(octets.byte(49)?) } else { 0 },
        })
    }
}

/// A place between two groups where decoding can begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    group: u64,
    /// Bit position of the group's codes.
    bit: usize,
    /// Number of the first code of the group.
    code: usize,
    sums: Sums,
}

impl Checkpoint {
    /// The last of `checkpoints` at or before code `code`.
    pub fn before(checkpoints: &[Checkpoint], code: usize) -> Checkpoint {
        let after = checkpoints.partition_point(|checkpoint| checkpoint.code <= code);
        checkpoints.get(after.wrapping_sub(1)).copied().unwrap_or_default()
    }
}

/// The running sums of spatial differencing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    value: i64,
    difference: i64,
    /// How many values that are not missing came before, up to 2: the first ones are given, not summed.
    known: u8,
}

/// Decodes the codes `range` of a field with `count` codes. `from` is a checkpoint at or before the range, `checkpoints`
/// collects new ones. Returns the number of missing values in the range.
///
/// # Errors
/// Groups that do not sum to `count` or are not all in `data`, codes of more than 32 bits.
pub(crate) fn decode<T: Sample>(
    data: &[u8],
    header: &ComplexHeader,
    scale: Scale,
    wanted: Wanted<'_>,
    out: &mut [T],
) -> Result<usize> {
    let layout = Layout::of(data, header)?;
    if header.groups > wanted.count as u64 && header.bits + header.width_bits + header.length_bits == 0 {
        // Nothing else bounds groups that take no bits.
        return Err(malformed(5, 31, format!("{} groups for {} values", header.groups, wanted.count)));
    }
    let missing = kernel::run(Complex { layout, header, scale, wanted, out: &mut *out })?;
    Ok(if missing { out.iter().filter(|value| value.is_missing()).count() } else { 0 })
}

/// What of a field is decoded.
pub(crate) struct Wanted<'a> {
    /// Codes of the whole field.
    pub count: usize,
    pub range: Range<usize>,
    pub from: Checkpoint,
    pub checkpoints: Option<&'a mut Vec<Checkpoint>>,
}

/// The parts of section 7.
struct Layout<'a> {
    references: &'a [u8],
    widths: &'a [u8],
    lengths: &'a [u8],
    codes: &'a [u8],
    first: [i64; 2],
    bias: i64,
}

impl<'a> Layout<'a> {
    fn of(data: &'a [u8], header: &ComplexHeader) -> Result<Self> {
        if header.bits > 32 || header.width_bits > 32 || header.length_bits > 32 || header.descriptor_octets > 7 {
            return Err(malformed(5, 19, "a width of more than 32 bits"));
        }
        if header.order > 2 {
            return Err(malformed(5, 47, format!("spatial differencing of order {}", header.order)));
        }
        let mut rest = data;
        let mut take = |bytes: Option<u64>| -> Result<&'a [u8]> {
            let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
            let part = bytes.and_then(|bytes| rest.split_at_checked(bytes));
            let (part, behind) = part.ok_or_else(|| malformed(7, 5, "shorter than the descriptions of its groups"))?;
            rest = behind;
            Ok(part)
        };
        let (mut first, mut bias) = ([0; 2], 0);
        if header.order > 0 {
            let octets = header.descriptor_octets;
            for value in first.iter_mut().take(usize::from(header.order)) {
                *value = bits_at(take(Some(u64::from(octets)))?, 0, 8 * octets) as i64;
            }
            bias = sign_magnitude(bits_at(take(Some(u64::from(octets)))?, 0, 8 * octets), 8 * octets);
        }
        Ok(Layout {
            references: take(packed_bytes(header.groups, header.bits))?,
            widths: take(packed_bytes(header.groups, header.width_bits))?,
            lengths: take(packed_bytes(header.groups, header.length_bits))?,
            codes: rest,
            first,
            bias,
        })
    }
}

/// A group's description.
struct Group {
    reference: i64,
    width: u32,
    length: usize,
}

impl Layout<'_> {
    #[inline(always)]
    fn group(&self, header: &ComplexHeader, number: u64) -> Option<Group> {
        // The layout was cut to size, so these bit positions are below 2^64.
        let at = |bits: u32| number as usize * bits as usize;
        let width = header.width_reference + bits_at(self.widths, at(header.width_bits), header.width_bits) as u32;
        let length = if number + 1 == header.groups {
            header.last_length
        } else {
            let scaled = bits_at(self.lengths, at(header.length_bits), header.length_bits);
            header.length_reference + header.length_increment * scaled
        };
        let reference = bits_at(self.references, at(header.bits), header.bits) as i64;
        (width <= 32).then_some(Group { reference, width, length: usize::try_from(length).ok()? })
    }
}

struct Complex<'a, 'b, T> {
    layout: Layout<'a>,
    header: &'a ComplexHeader,
    scale: Scale,
    wanted: Wanted<'b>,
    out: &'b mut [T],
}

impl<T: Sample> Job for Complex<'_, '_, T> {
    type Output = Result<bool>;

    /// Returns whether there may be missing values.
    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Result<bool> {
        let Complex { layout, header, scale, mut wanted, out } = self;
        let managed = header.missing_value_management;
        let Checkpoint { mut group, mut bit, code, mut sums } = wanted.from;
        let range = wanted.range.clone();
        let mut staging = Staging::new(scale, code, range.clone(), out).with_missing(managed != 0);
        let mut next_checkpoint = code;
        let available = layout.codes.len().saturating_mul(8);
        while group < header.groups && !staging.is_done() {
            let position = staging.position();
            if let Some(checkpoints) = wanted.checkpoints.as_deref_mut()
                && position >= next_checkpoint
            {
                checkpoints.push(Checkpoint { group, bit, code: position, sums });
                next_checkpoint = position + CHECKPOINT_POINTS;
            }
            let Some(Group { reference, width, length }) = layout.group(header, group) else {
                return Err(malformed(7, 5, format!("group {group}: codes of more than 32 bits")));
            };
            if length > wanted.count - position {
                return Err(malformed(7, 5, format!("group {group}: more values than the field has")));
            }
            let end = length.checked_mul(width as usize).and_then(|bits| bits.checked_add(bit));
            let Some(end) = end.filter(|end| *end <= available) else {
                return Err(truncated(&layout, group));
            };
            let codes = Codes { data: layout.codes, bit, width, reference, length };
            if managed != 0 {
                sums = codes.with_missing(kernel, &layout, header, sums, &mut staging);
            } else if header.order == 0 {
                codes.plain(kernel, &mut staging);
            } else {
                sums = codes.summed(kernel, &layout, header.order, sums, &mut staging);
            }
            bit = end;
            group += 1;
        }
        if !staging.is_done() || (group == header.groups && staging.position() != wanted.count) {
            return Err(malformed(7, 5, "the groups have fewer values than the field"));
        }
        staging.flush(kernel);
        Ok(managed != 0)
    }
}

#[cold]
fn truncated(layout: &Layout<'_>, group: u64) -> GribError {
    malformed(7, 5, format!("group {group} ends behind the {} bytes of codes", layout.codes.len()))
}

/// The codes of one group.
struct Codes<'a> {
    data: &'a [u8],
    bit: usize,
    width: u32,
    reference: i64,
    length: usize,
}

impl Codes<'_> {
    #[inline(always)]
    fn number(&self, index: usize) -> i64 {
        bits_at(self.data, self.bit + index * self.width as usize, self.width) as i64
    }

    /// The greatest code of the group, at most.
    #[inline(always)]
    fn greatest(&self) -> i64 {
        self.reference + ((1i64 << self.width) - 1)
    }

    /// Without differencing.
    #[inline(always)]
    fn plain<T: Sample, K: Kernel>(&self, kernel: K, staging: &mut Staging<'_, T>) {
        let (position, wanted) = (staging.position(), staging.wanted().clone());
        if position + self.length <= wanted.start {
            staging.skip(kernel, self.length);
        } else if self.width == 0 {
            staging.repeat(kernel, self.reference, self.length);
        } else if self.greatest() > i64::from(i32::MAX) {
            (0..self.length).for_each(|index| staging.wide(kernel, Some(self.reference + self.number(index))));
        } else {
            self.pieces(kernel, staging, self.reference as i32, |_| ());
        }
    }

    /// With spatial differencing.
    #[inline(always)]
    fn summed<T: Sample, K: Kernel>(
        &self,
        kernel: K,
        layout: &Layout<'_>,
        order: u8,
        mut sums: Sums,
        staging: &mut Staging<'_, T>,
    ) -> Sums {
        if sums.known < order || !self.sums_fit(layout.bias, order, &sums) {
            for index in 0..self.length {
                let code = sums.next(layout, order, self.reference + self.number(index));
                staging.wide(kernel, Some(code));
            }
            return sums;
        }
        let add = (self.reference + layout.bias) as i32;
        let (mut value, mut difference) = (sums.value as i32, sums.difference as i32);
        if order == 1 {
            self.pieces(kernel, staging, add, |codes| {
                for code in codes {
                    value = value.wrapping_add(*code);
                    *code = value;
                }
            });
        } else {
            self.pieces(kernel, staging, add, |codes| {
                for code in codes {
                    difference = difference.wrapping_add(*code);
                    value = value.wrapping_add(difference);
                    *code = value;
                }
            });
        }
        Sums { value: i64::from(value), difference: i64::from(difference), known: sums.known }
    }

    /// With marks for missing values.
    #[inline(always)]
    fn with_missing<T: Sample, K: Kernel>(
        &self,
        kernel: K,
        layout: &Layout<'_>,
        header: &ComplexHeader,
        mut sums: Sums,
        staging: &mut Staging<'_, T>,
    ) -> Sums {
        let order = header.order;
        let width = if self.width == 0 { header.bits } else { self.width };
        let marks = missing_marks(width, header.missing_value_management);
        if self.width == 0 && marks.contains(&self.reference) {
            staging.repeat_missing(kernel, self.length);
            return sums;
        }
        // Without bits of their own, values are not compared with the marks again.
        let marks = if self.width == 0 { [-1, -1] } else { marks };
        if sums.known < order || !self.sums_fit(layout.bias, order, &sums) {
            for index in 0..self.length {
                let number = self.number(index);
                let missing = marks.contains(&number);
                staging.wide(kernel, (!missing).then(|| sums.next(layout, order, self.reference + number)));
            }
            return sums;
        }
        // All bits set does not fit an i32 at width 32, but then the sums do not fit either.
        let [mark, other] = marks.map(|mark| mark as i32);
        let bias = if order == 0 { 0 } else { layout.bias };
        let add = (self.reference + bias) as i32;
        let (mut value, mut difference) = (sums.value as i32, sums.difference as i32);
        self.pieces(kernel, staging, 0, |codes| match order {
            0 => codes.iter_mut().for_each(|code| {
                let missing = *code == mark || *code == other;
                *code = if missing { MISSING_CODE } else { code.wrapping_add(add) };
            }),
            1 => codes.iter_mut().for_each(|code| {
                let missing = *code == mark || *code == other;
                value = value.wrapping_add(if missing { 0 } else { code.wrapping_add(add) });
                *code = if missing { MISSING_CODE } else { value };
            }),
            _ => codes.iter_mut().for_each(|code| {
                let missing = *code == mark || *code == other;
                difference = difference.wrapping_add(if missing { 0 } else { code.wrapping_add(add) });
                value = value.wrapping_add(if missing { 0 } else { difference });
                *code = if missing { MISSING_CODE } else { value };
            }),
        });
        Sums { value: i64::from(value), difference: i64::from(difference), known: sums.known }
    }

    /// Unpacks the group to the stage and lets `finish` work on it, in pieces that fit.
    #[inline(always)]
    fn pieces<T: Sample, K: Kernel>(
        &self,
        kernel: K,
        staging: &mut Staging<'_, T>,
        add: i32,
        mut finish: impl FnMut(&mut [i32]),
    ) {
        let mut done = 0;
        while done < self.length {
            if staging.free() == 0 {
                staging.flush(kernel);
            }
            let count = (self.length - done).min(staging.free()).min(STAGE);
            let room = staging.room(kernel, count);
            kernel.unpack(self.data, self.bit + done * self.width as usize, self.width, add, room, count);
            if let Some(codes) = room.get_mut(..count) {
                finish(codes);
            }
            staging.advance(count);
            done += count;
        }
    }

    /// Whether no sum in the group can leave 32 bits (and none is `MISSING_CODE`).
    #[inline(always)]
    fn sums_fit(&self, bias: i64, order: u8, sums: &Sums) -> bool {
        let limit = i128::from(i32::MAX);
        let length = self.length as i128;
        let step = i128::from(self.greatest().max(self.reference)) + i128::from(bias.unsigned_abs());
        if step > limit {
            return false;
        }
        let value = i128::from(sums.value.unsigned_abs());
        let difference = i128::from(sums.difference.unsigned_abs());
        match order {
            0 => true,
            1 => value + length * step <= limit,
            _ => value + length * (difference + length * step) <= limit,
        }
    }
}

impl Sums {
    /// The value that follows, given its difference; wrapping as ecCodes' 64-bit arithmetic.
    #[inline(always)]
    fn next(&mut self, layout: &Layout<'_>, order: u8, code: i64) -> i64 {
        if order == 0 {
            return code;
        }
        let [first, second] = layout.first;
        let step = code.wrapping_add(layout.bias);
        match (order, self.known) {
            (_, 0) => self.value = first,
            (1, _) => self.value = self.value.wrapping_add(step),
            (_, 1) => {
                self.difference = second.wrapping_sub(first);
                self.value = second;
            }
            _ => {
                self.difference = self.difference.wrapping_add(step);
                self.value = self.value.wrapping_add(self.difference);
            }
        }
        self.known = (self.known + 1).min(2);
        self.value
    }
}

/// The codes of `width` bits that mean missing: all bits set, with management 2 also the one below. -1: no such.
fn missing_marks(width: u32, management: u8) -> [i64; 2] {
    let primary = (1i64 << width) - 1;
    match management {
        1 => [primary, -1],
        2 => [primary, primary - 1],
        _ => [-1, -1],
    }
}
