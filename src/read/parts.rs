//! Parts of messages: what was learnt of a message when it was read first lets later reads take the bytes and decode the
//! points that a block needs, and no others.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::grib::GribError;
use crate::grib::decode::DecodeError;
use crate::grib::grid::Grid;
use crate::grib::packing::{self, Offsets};
use crate::grib::sections::{self, FieldSections};

use super::region::Block;

/// Bytes of a message that hold everything before the packed values, in nearly all messages without a bitmap.
pub(super) const HEADER_BYTES: u64 = 4096;
/// Octets of the data section that describe the packed values: GRIB 2 section 7 has 5, GRIB 1 section 4 at most 25.
const DATA_HEADER: u64 = 32;

/// What a snapshot remembers of a message that holds one field, once the field was seen to be the slot's.
#[derive(Debug)]
pub(super) struct Known {
    /// The message up to its packed values.
    header: Bytes,
    /// Bytes of the message.
    length: u64,
    /// Where the data section begins (GRIB 2: section 7, GRIB 1: section 4), bytes into the message.
    data: u64,
    grid: Arc<Grid>,
    /// Where decoding can begin. None: codes of a fixed width.
    offsets: Option<Offsets>,
}

impl Known {
    /// What the first bytes of a message tell, if they are enough to read parts of it: codes of a fixed width. The bytes
    /// are those that [`header_length`] asks for.
    pub fn of_header(header: Bytes, length: u64, grid: Arc<Grid>) -> Option<Self> {
        let sections = sections::fields_of_prefix(&header, length).next()?.ok()?;
        let data = data_offset(&header, &sections)?;
        let points = grid.points();
        let fixed = packing::byte_range_for(&sections, points, 0..points, None).is_some();
        let offsets = packing::offsets_of_bitmap(&sections, points).ok()?;
        (fixed && grid.order().is_in_place()).then(|| Self { data, length, grid, offsets, header: header.clone() })
    }

    /// What a whole message of one field and its decoding tell. None: its packing is always decoded whole.
    pub fn of_message(message: &[u8], sections: &FieldSections<'_>, grid: Arc<Grid>, offsets: Offsets) -> Option<Self> {
        let points = grid.points();
        let fixed = packing::byte_range_for(sections, points, 0..points, None).is_some();
        let data = offset_in(message, sections.data?)?;
        if !grid.order().is_in_place() || header_length(message, message.len() as u64).is_none() {
            return None;
        }
        let header = message.get(..(data + DATA_HEADER).min(message.len() as u64) as usize)?;
        (fixed || offsets.are_known()).then(|| Self {
            header: Bytes::copy_from_slice(header),
            length: message.len() as u64,
            data,
            grid,
            offsets: Some(offsets),
        })
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.header.len() + self.offsets.as_ref().map_or(0, Offsets::bytes)
    }

    fn sections(&self) -> std::result::Result<FieldSections<'_>, GribError> {
        let nothing = || GribError::NotGrib { offset: 0 };
        sections::fields_of_prefix(&self.header, self.length).next().ok_or_else(nothing)?
    }

    /// The bytes of the message that a block needs: perhaps none, perhaps all of the data section.
    pub fn bytes_for(&self, block: &Block) -> std::result::Result<Range<u64>, DecodeError> {
        let sections = self.sections()?;
        let mut span: Option<Range<usize>> = None;
        for (range, _) in self.runs(block)? {
            span = Some(span.map_or(range.clone(), |s| s.start.min(range.start)..s.end.max(range.end)));
        }
        let points = self.grid.points();
        let needed = packing::byte_range_for(&sections, points, span.unwrap_or(0..0), self.offsets.as_ref());
        let all = self.data..self.length.saturating_sub(4).max(self.data);
        Ok(needed.map_or(all.clone(), |needed| {
            (self.data + needed.start).min(all.end)..self.data.saturating_add(needed.end).min(all.end)
        }))
    }

    /// The points of the message that each row of a block is, and whether they come backwards.
    fn runs(&self, block: &Block) -> std::result::Result<Vec<(Range<usize>, bool)>, DecodeError> {
        let order = self.grid.order();
        let runs = block.runs(order.is_identity());
        let wrong = || DecodeError::WrongSize { found: self.grid.points(), expected: block.chunk_elements };
        runs.into_iter().map(|run| order.run(run).ok_or_else(wrong)).collect()
    }

    /// The values of a block, from the bytes that [`Known::bytes_for`] names; `start` is where they are in the message.
    pub fn decode(
        &self,
        start: u64,
        bytes: &[u8],
        block: &Block,
        out: &mut [f32],
    ) -> std::result::Result<(), DecodeError> {
        let points = self.grid.points();
        if points != block.chunk_elements {
            return Err(DecodeError::WrongSize { found: points, expected: block.chunk_elements });
        }
        let mut sections = self.sections()?;
        if start == self.data {
            sections.data = Some(bytes);
        }
        let mut out = out;
        for (range, backwards) in self.runs(block)? {
            let (row, rest) = out.split_at_mut_checked(range.len()).unwrap_or_default();
            out = rest;
            match packing::byte_range_for(&sections, points, range.clone(), self.offsets.as_ref()) {
                Some(needed) => {
                    let skipped = (self.data + needed.start).saturating_sub(start) as usize;
                    let length = (needed.end - needed.start) as usize;
                    let bytes = bytes.get(skipped..).unwrap_or_default();
                    let bytes = bytes.get(..length).unwrap_or(bytes);
                    packing::decode_range_from(&sections, points, range, self.offsets.as_ref(), (bytes, row))?;
                }
                None => {
                    packing::decode_range(&sections, points, range, self.offsets.as_ref(), row)?;
                }
            }
            if backwards {
                row.reverse();
            }
        }
        Ok(())
    }
}

/// How many bytes of a message its header takes, from its first [`HEADER_BYTES`]. None: they do not tell, or the message
/// holds further fields.
pub(super) fn header_length(prefix: &[u8], length: u64) -> Option<u64> {
    let sections = sections::fields_of_prefix(prefix, length).next()?.ok()?;
    let data = data_offset(prefix, &sections)?;
    let header = data.checked_add(DATA_HEADER)?.min(length);
    // The only data section must end where `7777` begins. (GRIB 1 messages of 8 MiB and more count their lengths otherwise.)
    let section = match *prefix.get(data as usize..(data as usize).checked_add(4)?)? {
        [a, b, c, _] if sections.edition == 1 => u32::from_be_bytes([0, a, b, c]),
        [a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
        _ => return None,
    };
    (data.checked_add(u64::from(section) + 4)? == length).then_some(header)
}

/// Where the data section of the only field begins.
fn data_offset(prefix: &[u8], sections: &FieldSections<'_>) -> Option<u64> {
    let representation = offset_in(prefix, sections.representation)?;
    if sections.edition == 1 {
        return Some(representation);
    }
    let bitmap = usize::try_from(representation).ok()?.checked_add(sections.representation.len())?;
    match *prefix.get(bitmap..bitmap.checked_add(5)?)? {
        [a, b, c, d, 6] => (bitmap as u64).checked_add(u64::from(u32::from_be_bytes([a, b, c, d]))),
        _ => None,
    }
}

/// Where `part`, a slice of `whole`, begins in it.
fn offset_in(whole: &[u8], part: &[u8]) -> Option<u64> {
    let offset = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (offset.checked_add(part.len())? <= whole.len()).then_some(offset as u64)
}

/// A message whose values are wanted in part, read for the first time: its header, if its size makes that worth a request
/// of its own.
pub(super) fn first_header(length: u64) -> Option<Range<u64>> {
    (length > 4 * HEADER_BYTES).then_some(0..HEADER_BYTES)
}
