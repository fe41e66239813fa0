//! Complex packing: GRIB 2 templates 5.2 and 5.3 (with spatial differencing).
//!
//! Section 7 holds the first values and the bias of the differences, then the reference, width and length of all groups,
//! then the groups' codes. A code is `reference of the group + number`; with spatial differencing these are differences of
//! first or second order whose running sums are the codes that are scaled.

use std::ops::Range;

use super::bits::{bits_at, packed_bytes, sign_magnitude};
use super::differencing::{Differencing, Sums};
use super::header::Octets;
use super::kernel::{self, Job, Kernel, MISSING_CODE, SPARE};
use super::malformed;
use super::sample::{Sample, Scale};
use super::staging::{STAGE, Staging};
use crate::grib::{GribError, Result};

/// Points between two checkpoints, at least.
const CHECKPOINT_POINTS: usize = 2048;

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
    differencing: Option<Differencing>,
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
        let mut differencing = None;
        if header.order > 0 {
            let octets = header.descriptor_octets;
            let mut number = || Ok(bits_at(take(Some(u64::from(octets)))?, 0, 8 * octets));
            let mut first = [0; 2];
            for value in first.iter_mut().take(usize::from(header.order)) {
                *value = number()? as i64;
            }
            let bias = sign_magnitude(number()?, 8 * octets);
            differencing = Some(Differencing { order: header.order, first, bias });
        }
        Ok(Layout {
            references: take(packed_bytes(header.groups, header.bits))?,
            widths: take(packed_bytes(header.groups, header.width_bits))?,
            lengths: take(packed_bytes(header.groups, header.length_bits))?,
            codes: rest,
            differencing,
        })
    }
}

/// A group's description.
#[derive(Clone, Copy)]
struct Group {
    reference: i64,
    width: u32,
    length: u64,
}

/// Groups whose descriptions are unpacked at once.
const BATCH: usize = 128;

/// Unpacked descriptions of the groups from `first` on.
struct Groups {
    first: u64,
    references: [i32; BATCH + SPARE],
    widths: [i32; BATCH + SPARE],
    lengths: [i32; BATCH + SPARE],
}

impl Groups {
    fn new() -> Self {
        let none = [0; BATCH + SPARE];
        // No group has this number.
        Groups { first: u64::MAX - BATCH as u64, references: none, widths: none, lengths: none }
    }

    #[inline(always)]
    fn get<K: Kernel>(&mut self, kernel: K, layout: &Layout<'_>, header: &ComplexHeader, number: u64) -> Group {
        if number.wrapping_sub(self.first) >= BATCH as u64 {
            self.first = number;
            // The layout was cut to size, so these bit positions are those of bytes that are there.
            let count = BATCH.min((header.groups - number) as usize);
            let unpack = |data, bits: u32, out: &mut [i32]| {
                kernel.unpack(data, number as usize * bits as usize, bits, 0, out, count);
            };
            unpack(layout.references, header.bits, &mut self.references);
            unpack(layout.widths, header.width_bits, &mut self.widths);
            unpack(layout.lengths, header.length_bits, &mut self.lengths);
        }
        let index = (number - self.first) as usize;
        let of = |list: &[i32]| list.get(index).map_or(0, |number| u64::from(*number as u32));
        let length = if number + 1 == header.groups {
            header.last_length
        } else {
            header.length_reference + header.length_increment * of(&self.lengths)
        };
        Group {
            reference: of(&self.references) as i64,
            // A width that does not fit is none of the widths that are possible.
            width: u32::try_from(u64::from(header.width_reference) + of(&self.widths)).unwrap_or(u32::MAX),
            length,
        }
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
        let Checkpoint { mut group, mut bit, code, sums } = wanted.from;
        let range = wanted.range.clone();
        let mut staging = Staging::new(scale, code, range.clone(), out).with_missing(managed != 0);
        staging = staging.with_differencing(layout.differencing, sums);
        let bias = layout.differencing.map_or(0, |differencing| differencing.bias);
        let mut groups = Groups::new();
        let mut next_checkpoint = code;
        let available = layout.codes.len().saturating_mul(8);
        while group < header.groups && !staging.is_done() {
            let position = staging.position();
            if let Some(checkpoints) = wanted.checkpoints.as_deref_mut()
                && position >= next_checkpoint
            {
                staging.flush(kernel);
                checkpoints.push(Checkpoint { group, bit, code: position, sums: staging.sums() });
                next_checkpoint = position + CHECKPOINT_POINTS;
            }
            let Group { reference, width, length } = groups.get(kernel, &layout, header, group);
            if width > 32 || length > (wanted.count - position) as u64 {
                return Err(impossible(group, width, length));
            }
            let length = length as usize;
            let end = length.checked_mul(width as usize).and_then(|bits| bits.checked_add(bit));
            let Some(end) = end.filter(|end| *end <= available) else {
                return Err(truncated(&layout, group));
            };
            let codes = Codes { data: layout.codes, bit, width, reference, length };
            if managed != 0 {
                codes.with_missing(kernel, header, bias, &mut staging);
            } else {
                codes.plain(kernel, bias, &mut staging);
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
fn impossible(group: u64, width: u32, length: u64) -> GribError {
    malformed(7, 5, format!("group {group} has {length} codes of {width} bits, more than the field or than 32 bits"))
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
    /// What is added to the group's numbers, if no sum of the two leaves 32 bits.
    #[inline(always)]
    fn addend(&self, bias: i64) -> Option<i32> {
        let least = self.reference.wrapping_add(bias);
        let greatest = least.checked_add((1i64 << self.width) - 1)?;
        // The least number would be taken for `MISSING_CODE`.
        (least > i64::from(i32::MIN) && greatest <= i64::from(i32::MAX)).then_some(least as i32)
    }

    /// Without missing values.
    #[inline(always)]
    fn plain<T: Sample, K: Kernel>(&self, kernel: K, bias: i64, staging: &mut Staging<'_, T>) {
        if !staging.is_summing() && staging.position() + self.length <= staging.wanted().start {
            return staging.skip(kernel, self.length);
        }
        match self.addend(bias) {
            Some(add) if self.width == 0 && !staging.is_summing() => {
                staging.repeat(kernel, i64::from(add), self.length);
            }
            Some(add) => self.pieces(kernel, staging, add, |_| ()),
            None => self.one_by_one(kernel, bias, [-1, -1], staging),
        }
    }

    /// With marks for missing values.
    #[inline(always)]
    fn with_missing<T: Sample, K: Kernel>(
        &self,
        kernel: K,
        header: &ComplexHeader,
        bias: i64,
        staging: &mut Staging<'_, T>,
    ) {
        let width = if self.width == 0 { header.bits } else { self.width };
        let marks = missing_marks(width, header.missing_value_management);
        if self.width == 0 {
            if marks.contains(&self.reference) {
                staging.repeat_missing(kernel, self.length);
            } else {
                self.plain(kernel, bias, staging);
            }
            return;
        }
        let Some(add) = self.addend(bias).filter(|_| self.width < 32) else {
            return self.one_by_one(kernel, bias, marks, staging);
        };
        let [mark, other] = marks.map(|mark| mark as i32);
        self.pieces(kernel, staging, 0, |codes| {
            for code in codes {
                let missing = (*code == mark) | (*code == other);
                *code = if missing { MISSING_CODE } else { code.wrapping_add(add) };
            }
        });
    }

    /// Codes or differences that do not fit 32 bits.
    #[cold]
    fn one_by_one<T: Sample, K: Kernel>(&self, kernel: K, bias: i64, marks: [i64; 2], staging: &mut Staging<'_, T>) {
        for index in 0..self.length {
            let number = bits_at(self.data, self.bit + index * self.width as usize, self.width) as i64;
            let code = self.reference.wrapping_add(bias).wrapping_add(number);
            staging.one(kernel, (!marks.contains(&number)).then_some(code));
        }
    }

    /// Unpacks the group to the stage and lets `finish` work on it (and on up to `SPARE` elements behind), in pieces that
    /// fit.
    #[inline(always)]
    fn pieces<T: Sample, K: Kernel>(
        &self,
        kernel: K,
        staging: &mut Staging<'_, T>,
        add: i32,
        finish: impl Fn(&mut [i32; 8]),
    ) {
        let mut done = 0;
        while done < self.length {
            if staging.free() == 0 {
                staging.flush(kernel);
            }
            let count = (self.length - done).min(staging.free()).min(STAGE);
            let room = staging.room(kernel, count);
            kernel.unpack(self.data, self.bit + done * self.width as usize, self.width, add, room, count);
            room.as_chunks_mut::<SPARE>().0.iter_mut().take(count.div_ceil(SPARE)).for_each(&finish);
            staging.advance(count);
            done += count;
        }
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
