//! CCSDS 121.0-B (Rice / adaptive entropy coding): GRIB 2 template 5.42.
//!
//! The stream is a sequence of reference sample intervals (RSI) of `rsi` blocks. A block's option says how its samples are
//! coded: as zeros, as pairs ("second extension"), as unary code plus low bits ("split samples"), or as they are. With the
//! preprocessor the samples are mapped differences to the sample before, and the first sample of each interval stands as it
//! is. Decoding can begin at any block whose place and whose sample before are known.

use std::ops::Range;

use super::bits::bits_at;
use super::header::Octets;
use super::kernel::{self, Job, Kernel, SPARE};
use super::malformed;
use super::sample::{Sample, Scale};
use super::staging::Staging;
use super::unary::{read_unary, unary_ends};
use crate::grib::{GribError, Result};

/// Samples between two recorded offsets, at least.
const OFFSET_SAMPLES: usize = 2048;
/// Pairs that the second extension option has: those with a sum of up to 12.
const PAIR_COUNT: usize = 91;
/// The run of zero blocks that means "to the end of the segment".
const REMAINDER_OF_SEGMENT: usize = 5;
const SEGMENT_BLOCKS: usize = 64;
const LARGEST_BLOCK: usize = 256;

const SIGNED: u8 = 1;
const PREPROCESS: u8 = 8;
const RESTRICTED: u8 = 16;
const PAD_INTERVALS: u8 = 32;
const ANY_BLOCK_SIZE: u8 = 64;

/// Template 5.42 behind the scale. The flags for the byte order and size of samples in memory (2 and 4) mean nothing for
/// the stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CcsdsHeader {
    bits: u32,
    flags: u8,
    block: usize,
    interval: usize,
}

impl CcsdsHeader {
    pub fn parse(octets: &Octets<'_>, bits: u32) -> Result<Self> {
        let flags = octets.byte(22)?;
        Ok(CcsdsHeader { bits, flags, block: usize::from(octets.byte(23)?), interval: octets.narrow(24, 2)? })
    }

    fn check(&self) -> Result<()> {
        let block = if self.flags & ANY_BLOCK_SIZE == 0 {
            matches!(self.block, 8 | 16 | 32 | 64)
        } else {
            self.block > 0 && self.block.is_multiple_of(2)
        };
        let restricted = self.flags & RESTRICTED == 0 || self.bits > 8 || self.bits <= 4;
        if (1..=32).contains(&self.bits) && block && (1..=4096).contains(&self.interval) && restricted {
            return Ok(());
        }
        let CcsdsHeader { bits, flags, block, interval } = self;
        Err(malformed(5, 21, format!("CCSDS: {bits} bits, flags {flags}, blocks of {block}, intervals of {interval}")))
    }

    fn option_bits(&self) -> u32 {
        match self.bits {
            17.. => 5,
            9.. => 4,
            3..=4 if self.flags & RESTRICTED != 0 => 2,
            ..=2 if self.flags & RESTRICTED != 0 => 1,
            _ => 3,
        }
    }
}

/// A place between two blocks where decoding can begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BlockOffset {
    bit: u64,
    /// Number of the sample that follows.
    sample: u32,
    /// The sample before, in the form that the preprocessor needs.
    last: u32,
}

impl BlockOffset {
    /// The last of `offsets` at or before sample `sample`.
    fn before(offsets: &[BlockOffset], sample: usize) -> BlockOffset {
        let behind = offsets.partition_point(|offset| offset.sample as usize <= sample);
        offsets.get(behind.wrapping_sub(1)).copied().unwrap_or_default()
    }

    /// The bytes between which the samples `range` lie: first byte, and the byte behind the last where it is known.
    pub fn around(offsets: &[BlockOffset], range: &Range<usize>) -> (u64, Option<u64>) {
        let behind = offsets.partition_point(|offset| (offset.sample as usize) < range.end);
        let end = offsets.get(behind).map(|offset| offset.bit.div_ceil(8));
        (Self::before(offsets, range.start).bit / 8, end)
    }

    /// The last of `offsets` at or before sample `sample`, for data of which only those from byte `start` on are at hand.
    pub fn in_part(offsets: &[BlockOffset], sample: usize, start: u64) -> BlockOffset {
        let offset = Self::before(offsets, sample);
        BlockOffset { bit: offset.bit.saturating_sub(8 * start), ..offset }
    }
}

/// Decodes the samples `range`. `from` are offsets of an earlier decoding, `record` collects new ones.
///
/// # Errors
/// Parameters that the standard does not have, a stream that ends early or has codes that no encoder makes.
pub(crate) fn decode<T: Sample>(
    data: &[u8],
    header: &CcsdsHeader,
    scale: Scale,
    range: Range<usize>,
    (from, record): (&[BlockOffset], Option<&mut Vec<BlockOffset>>),
    out: &mut [T],
) -> Result<()> {
    header.check()?;
    let from = BlockOffset::before(from, range.start);
    let staging = Staging::new(scale, from.sample as usize, range, out).with_full_range(header.full_range());
    let stream = Stream { data, bit: from.bit as usize, end: data.len().saturating_mul(8) };
    kernel::run(Ccsds { stream, last: from.last, header, staging, record })
}

impl CcsdsHeader {
    /// Whether samples may have the highest bit of 32 set. Signed samples are read as unsigned of whole bytes, as ecCodes
    /// does.
    fn full_range(&self) -> bool {
        self.bits > 31 || (self.flags & SIGNED != 0 && self.bits > 16)
    }
}

/// A position in the bits of section 7.
struct Stream<'a> {
    data: &'a [u8],
    bit: usize,
    end: usize,
}

impl Stream<'_> {
    #[inline(always)]
    fn take(&mut self, width: u32) -> Result<u32> {
        let value = bits_at(self.data, self.bit, width) as u32;
        self.bit += width as usize;
        if self.bit > self.end { Err(ends_early()) } else { Ok(value) }
    }

    #[inline(always)]
    fn unary(&mut self) -> Result<u32> {
        let (zeros, bit) = read_unary(self.data, self.bit).ok_or_else(ends_early)?;
        self.bit = bit;
        Ok(zeros)
    }
}

#[cold]
fn ends_early() -> GribError {
    malformed(7, 5, "the CCSDS stream ends early")
}

#[cold]
fn no_such_code(what: &str) -> GribError {
    malformed(7, 5, format!("CCSDS: {what}"))
}

struct Ccsds<'a, 'b, T> {
    stream: Stream<'a>,
    header: &'a CcsdsHeader,
    staging: Staging<'b, T>,
    record: Option<&'b mut Vec<BlockOffset>>,
    /// The sample before the first.
    last: u32,
}

impl<T: Sample> Job for Ccsds<'_, '_, T> {
    type Output = Result<()>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Result<()> {
        let Ccsds { mut stream, header, mut staging, mut record, mut last } = self;
        let block = header.block;
        let option_bits = header.option_bits();
        let uncompressed = (1u32 << option_bits) - 1;
        let preprocess = header.flags & PREPROCESS != 0;
        let mapping = Mapping::of(header);
        let mut next_record = 0;
        let mut ends = [0i32; LARGEST_BLOCK + 1 + SPARE];
        let mut number = staging.position() / block % header.interval;
        while !staging.is_done() {
            while number < header.interval && !staging.is_done() {
                let position = staging.position();
                if let (Some(record), Ok(sample)) = (record.as_deref_mut(), u32::try_from(position))
                    && position >= next_record
                {
                    record.push(BlockOffset { bit: stream.bit as u64, sample, last });
                    next_record = position + OFFSET_SAMPLES;
                }
                let reference = usize::from(preprocess && number == 0);
                let option = stream.take(option_bits)?;
                if option == 0 && stream.take(1)? == 0 {
                    if reference == 1 {
                        last = mapping.reference(stream.take(header.bits)?);
                    }
                    let run = zero_run(stream.unary()?, number, header.interval)?;
                    let code = if preprocess { last } else { 0 };
                    staging.repeat(kernel, i64::from(mapping.stored(code)), run * block);
                    number += run;
                    continue;
                }
                let room = staging.room(kernel, block);
                if option == uncompressed {
                    if stream.bit + block * header.bits as usize > stream.end {
                        return Err(ends_early());
                    }
                    kernel.unpack(stream.data, stream.bit, header.bits, 0, room, block);
                    stream.bit += block * header.bits as usize;
                } else {
                    if let (1, Some(first)) = (reference, room.first_mut()) {
                        *first = stream.take(header.bits)? as i32;
                    }
                    let coded = room.get_mut(reference..).unwrap_or_default();
                    let count = block - reference;
                    if option == 0 {
                        second_extension(&mut stream, reference, coded, count)?;
                    } else {
                        let width = option - 1;
                        stream.bit = unary_ends(stream.data, stream.bit, count, &mut ends).ok_or_else(ends_early)?;
                        let behind = stream.bit + count * width as usize;
                        if behind > stream.end {
                            return Err(ends_early());
                        }
                        kernel.join_split(stream.data, stream.bit, width, &ends, coded, count);
                        stream.bit = behind;
                    }
                }
                if preprocess {
                    let samples = room.get_mut(..block).unwrap_or_default();
                    last = mapping.undo(kernel, samples, reference, last);
                }
                if header.flags & SIGNED != 0 {
                    let samples = room.iter_mut().take(block);
                    samples.for_each(|sample| *sample = mapping.stored(*sample as u32) as i32);
                }
                staging.advance(block);
                number += 1;
            }
            if header.flags & PAD_INTERVALS != 0 {
                stream.bit = stream.bit.next_multiple_of(8);
            }
            number = 0;
        }
        staging.flush(kernel);
        Ok(())
    }
}

/// Blocks that a run of zero blocks has, from its unary code, at block `number` of an interval.
#[inline(always)]
fn zero_run(zeros: u32, number: usize, interval: usize) -> Result<usize> {
    let code = zeros as usize + 1;
    let left = interval - number;
    let run = match code {
        REMAINDER_OF_SEGMENT => left.min(SEGMENT_BLOCKS - number % SEGMENT_BLOCKS),
        ..REMAINDER_OF_SEGMENT => code,
        _ => code - 1,
    };
    if run > left { Err(no_such_code("zero blocks beyond the interval")) } else { Ok(run) }
}

/// The pairs of samples, numbered along the diagonals of equal sums.
static PAIRS: [[u8; 2]; PAIR_COUNT] = pairs();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler
const fn pairs() -> [[u8; 2]; PAIR_COUNT] {
    let mut pairs = [[0; 2]; PAIR_COUNT];
    let (mut code, mut sum) = (0, 0);
    while code < PAIR_COUNT {
        let mut second = 0;
        while second <= sum {
            pairs[code] = [sum - second, second];
            second += 1;
            code += 1;
        }
        sum += 1;
    }
    pairs
}

#[inline(always)]
fn second_extension(stream: &mut Stream<'_>, reference: usize, out: &mut [i32], count: usize) -> Result<()> {
    let mut put = 0;
    while put < count {
        let code = stream.unary()?;
        let Some(pair) = PAIRS.get(code as usize) else {
            return Err(no_such_code("a pair of samples with too great a sum"));
        };
        // Together with a reference sample, the first pair is only its second half.
        let skip = usize::from(reference == 1 && put == 0);
        for sample in pair.iter().skip(skip) {
            if let Some(value) = out.get_mut(put) {
                *value = i32::from(*sample);
            }
            put += 1;
        }
    }
    Ok(())
}

/// The preprocessor's inverse and the form in which samples are stored.
#[derive(Clone, Copy)]
struct Mapping {
    signed: bool,
    bits: u32,
    /// The greatest sample.
    maximum: u32,
    /// Bits of the memory that a sample is stored in.
    storage: u32,
}

impl Mapping {
    fn of(header: &CcsdsHeader) -> Self {
        let signed = header.flags & SIGNED != 0;
        let maximum = u32::MAX >> (32 - header.bits);
        let storage = match header.bits {
            ..=8 => 8,
            9..=16 => 16,
            _ => 32,
        };
        Mapping { signed, bits: header.bits, maximum: if signed { maximum >> 1 } else { maximum }, storage }
    }

    /// A reference sample as it takes part in the sums.
    #[inline(always)]
    fn reference(self, sample: u32) -> u32 {
        if !self.signed {
            return sample;
        }
        let sign = 1u32 << (self.bits - 1);
        (sample ^ sign).wrapping_sub(sign)
    }

    /// The unsigned number that is stored for a sample.
    #[inline(always)]
    fn stored(self, sample: u32) -> u32 {
        if self.signed { sample & (u32::MAX >> (32 - self.storage)) } else { sample }
    }

    #[inline(always)]
    fn undo<K: Kernel>(self, kernel: K, samples: &mut [i32], reference: usize, last: u32) -> u32 {
        let mut last = last;
        if let (1, Some(first)) = (reference, samples.first_mut()) {
            last = self.reference(*first as u32);
            *first = last as i32;
        }
        let differences = samples.get_mut(reference..).unwrap_or_default();
        if !self.signed {
            return kernel.undo_preprocessor(differences, last, self.maximum);
        }
        let mut value = last as i32;
        let maximum = self.maximum as i32;
        for sample in differences {
            let mapped = *sample as u32;
            let half = (mapped >> 1).wrapping_add(mapped & 1);
            let room =
                if value < 0 { maximum.wrapping_add(value).wrapping_add(1) } else { maximum.wrapping_sub(value) };
            value = if half <= room as u32 {
                value.wrapping_add(((mapped >> 1) ^ (mapped & 1).wrapping_neg()) as i32)
            } else if value < 0 {
                (mapped as i32).wrapping_sub(maximum).wrapping_sub(1)
            } else {
                maximum.wrapping_sub(mapped as i32)
            };
            *sample = value;
        }
        value as u32
    }
}
