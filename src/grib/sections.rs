//! From a message to the sections of its fields.
//!
//! GRIB 2 messages may repeat sections 2-7, 3-7 or 4-7: each section 7 (data) ends one field, which keeps whatever was
//! not repeated. Section lengths are checked against the message before anything is sliced.

use super::error::{GribError, Result};
use super::octets::{u8_at, u24_at, u32_at, u64_at};

/// One field of a message: the sections that describe it, as slices of the message, nothing decoded.
///
/// Every slice starts at the section's first octet (its length), so octet numbers of the WMO manual are index + 1.
/// A message that was read only in part (headers for an index) has `data: None` and perhaps `bitmap: None`.
#[derive(Debug, Clone, Copy)]
pub struct FieldSections<'a> {
    /// 1 or 2.
    pub edition: u8,
    /// GRIB 2: section 0's discipline. GRIB 1: 255.
    pub discipline: u8,
    /// The field's position among the fields of its message, from 0.
    pub submessage: u32,
    /// GRIB 2: section 1. GRIB 1: section 1 (product definition).
    pub identification: &'a [u8],
    /// GRIB 2: section 2.
    pub local: Option<&'a [u8]>,
    /// GRIB 2: section 3. GRIB 1: section 2 (grid description), empty when absent.
    pub grid: &'a [u8],
    /// GRIB 2: section 4. GRIB 1: section 1 again.
    pub product: &'a [u8],
    /// GRIB 2: section 5. GRIB 1: section 4 (binary data) from its start.
    pub representation: &'a [u8],
    /// GRIB 2: section 6 with indicator 0 that applies to this field (for 254: the earlier one it points to); None when
    /// the field has no bitmap. GRIB 1: section 3.
    pub bitmap: Option<&'a [u8]>,
    /// GRIB 2: section 7. GRIB 1: section 4 (same slice as `representation`). None when the bytes were not read.
    pub data: Option<&'a [u8]>,
}

/// The fields of one whole message, in order. After an error the iterator ends.
///
/// # Errors
/// `NotGrib`, `Truncated` or `Malformed`; offsets count from the start of the message.
#[must_use]
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields::new(SectionReader { bytes: message, total: message.len() as u64, position: 0, whole: true, spans: None })
}

/// The first field of a message of which only the first bytes were read, for its key and header.
///
/// The prefix must reach into section 6 (GRIB 1: a few octets into section 4); `data` is `None` then, and `bitmap` unless
/// all of it is there. A prefix that holds complete further fields gives them too.
///
/// # Errors
/// As [`fields`]; a prefix that is too short gives `Truncated`, whose `needed` says how many bytes of the message to read.
#[must_use]
pub fn fields_of_prefix(prefix: &[u8], total_length: u64) -> Fields<'_> {
    let whole = prefix.len() as u64 >= total_length;
    Fields::new(SectionReader { bytes: prefix, total: total_length, position: 0, whole, spans: None })
}

/// Fields of a message whose section headers were read one by one: `bytes` holds section 0 and what `spans` describes.
pub(crate) fn fields_of_spans<'a>(bytes: &'a [u8], spans: &'a [SectionSpan], total_length: u64) -> Fields<'a> {
    Fields::new(SectionReader { bytes, total: total_length, position: 0, whole: false, spans: Some(spans) })
}

/// Where the available part of a section is in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SectionSpan {
    /// Of the section in the message.
    pub offset: u64,
    /// As the section declares it.
    pub length: u64,
    pub start: usize,
    pub available: usize,
}

/// Iterator over the fields of a message, see [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    reader: SectionReader<'a>,
    state: State<'a>,
    done: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct State<'a> {
    edition: u8,
    discipline: u8,
    submessage: u32,
    last: u8,
    identification: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
    grid: Option<&'a [u8]>,
    product: Option<&'a [u8]>,
    representation: Option<&'a [u8]>,
    bitmap: Option<&'a [u8]>,
    /// The last section 6 with indicator 0: what indicator 254 points to.
    defined_bitmap: Option<&'a [u8]>,
    /// Octets of the grid descriptions of all fields so far.
    described: u64,
}

/// Fields may share a grid description, and each of them is looked at: in all so many times the message's length, and so
/// many bytes more. A small message must not cost as much as a large file.
const DESCRIPTION_TIMES: u64 = 16;
const DESCRIPTION_BYTES: u64 = 64 << 20;

impl<'a> Fields<'a> {
    fn new(reader: SectionReader<'a>) -> Self {
        Fields { reader, state: State::default(), done: false }
    }

    fn start(&mut self) -> Result<()> {
        let bytes = self.reader.bytes;
        if bytes.get(..4) != Some(b"GRIB") {
            return Err(GribError::NotGrib { offset: 0 });
        }
        self.state.edition = u8_at(bytes, 7).ok_or_else(|| self.short(0, 16))?;
        match self.state.edition {
            1 => Ok(()),
            2 => {
                let declared = u64_at(bytes, 8).ok_or_else(|| self.short(0, 16))?;
                if declared != self.reader.total {
                    return Err(malformed(8, 0, format!("says {declared} bytes but is {}", self.reader.total)));
                }
                self.state.discipline = u8_at(bytes, 6).unwrap_or(255);
                self.reader.position = 16;
                Ok(())
            }
            edition => Err(malformed(7, 0, format!("edition {edition} is neither 1 nor 2"))),
        }
    }

    fn short(&self, section: u8, needed: u64) -> GribError {
        GribError::Truncated { offset: 0, section, needed, available: self.reader.bytes.len() as u64 }
    }

    fn next_grib2(&mut self) -> Result<Option<FieldSections<'a>>> {
        loop {
            let section = match self.reader.next_section()? {
                Next::Section(section) => section,
                Next::End if self.state.last == 7 => return Ok(None),
                Next::End => {
                    return Err(malformed(
                        self.reader.total.saturating_sub(4),
                        8,
                        format!("message ends after section {}", self.state.last),
                    ));
                }
                Next::Beyond { needed } => {
                    // A prefix: the field is described once its data representation is there.
                    self.done = true;
                    return match self.state.last {
                        5 | 6 => self.emit(None).map(Some),
                        7 => Ok(None),
                        last => Err(self.short(last.saturating_add(1), needed)),
                    };
                }
            };
            if !may_follow(self.state.last, section.number) {
                let what = format!("section {} follows section {}", section.number, self.state.last);
                return Err(malformed(section.offset, section.number, what));
            }
            self.state.last = section.number;
            match section.number {
                6 => self.take_bitmap(&section)?,
                7 => {
                    let data = section.whole();
                    return self.emit(data).map(Some);
                }
                number => {
                    let Some(bytes) = section.whole() else {
                        return Err(self.short(number, section.offset.saturating_add(section.length)));
                    };
                    let minimum = match number {
                        1 => 21,
                        3 => 14,
                        4 => 9,
                        5 => 11,
                        _ => 5,
                    };
                    if bytes.len() < minimum {
                        let what = format!("{} octets are fewer than {minimum}", bytes.len());
                        return Err(malformed(section.offset, number, what));
                    }
                    match number {
                        1 => self.state.identification = Some(bytes),
                        2 => self.state.local = Some(bytes),
                        3 => self.state.grid = Some(bytes),
                        4 => self.state.product = Some(bytes),
                        _ => self.state.representation = Some(bytes),
                    }
                }
            }
        }
    }

    fn take_bitmap(&mut self, section: &Section<'a>) -> Result<()> {
        let Some(indicator) = section.bytes.get(5).copied() else {
            if section.length < 6 {
                return Err(malformed(section.offset, 6, "no bitmap indicator".to_owned()));
            }
            // A prefix that ends before the indicator.
            self.state.bitmap = None;
            return Ok(());
        };
        self.state.bitmap = match indicator {
            255 => None,
            0 => {
                self.state.defined_bitmap = section.whole();
                self.state.defined_bitmap
            }
            254 => {
                if self.state.defined_bitmap.is_none() && self.reader.whole {
                    return Err(malformed(section.offset, 6, "uses an earlier bitmap, but there is none".to_owned()));
                }
                self.state.defined_bitmap
            }
            centre_bitmap => {
                return Err(GribError::Unsupported {
                    section: 6,
                    template: u16::from(centre_bitmap),
                    what: "bitmap predefined by the originating centre".to_owned(),
                });
            }
        };
        Ok(())
    }

    fn emit(&mut self, data: Option<&'a [u8]>) -> Result<FieldSections<'a>> {
        let missing = |section| move || malformed(0, section, "section is missing".to_owned());
        let state = &mut self.state;
        let field = FieldSections {
            edition: 2,
            discipline: state.discipline,
            submessage: state.submessage,
            identification: state.identification.ok_or_else(missing(1))?,
            local: state.local,
            grid: state.grid.ok_or_else(missing(3))?,
            product: state.product.ok_or_else(missing(4))?,
            representation: state.representation.ok_or_else(missing(5))?,
            bitmap: state.bitmap,
            data,
        };
        state.submessage = state.submessage.saturating_add(1);
        state.described = state.described.saturating_add(field.grid.len() as u64);
        let limit = self.reader.total.saturating_mul(DESCRIPTION_TIMES).saturating_add(DESCRIPTION_BYTES);
        if state.described > limit {
            let what = "octets of grid descriptions that the fields of a message share";
            return Err(GribError::TooLarge { what, declared: state.described, limit });
        }
        Ok(field)
    }

    fn grib1(&self) -> Result<FieldSections<'a>> {
        let bytes = self.reader.bytes;
        let layout = Grib1Layout::read(bytes, self.reader.total).map_err(|error| match error {
            LayoutError::Needs { section, bytes: needed } => self.short(section, needed),
            LayoutError::Wrong(error) => error,
        })?;
        let identification = bytes.get(layout.section1..layout.section1_end).ok_or_else(|| self.short(1, 36))?;
        let grid = match layout.section2 {
            Some((start, end)) => bytes.get(start..end).ok_or_else(|| self.short(2, end as u64))?,
            None => &[],
        };
        // Header-only reads may end inside the bitmap: then there is no section 4 to look at either.
        let bitmap = layout.section3.and_then(|(start, end)| bytes.get(start..end));
        let (representation, data) = match bytes.get(layout.section4..layout.section4_end) {
            Some(section) => (section, Some(section)),
            None if self.reader.whole => return Err(self.short(4, layout.section4_end as u64)),
            None => (bytes.get(layout.section4..).unwrap_or(&[]), None),
        };
        Ok(FieldSections {
            edition: 1,
            discipline: 255,
            submessage: 0,
            identification,
            local: None,
            grid,
            product: identification,
            representation,
            bitmap,
            data,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<FieldSections<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.state.edition == 0
            && let Err(error) = self.start()
        {
            self.done = true;
            return Some(Err(error));
        }
        if self.state.edition == 1 {
            self.done = true;
            return Some(self.grib1());
        }
        match self.next_grib2() {
            Ok(Some(field)) => Some(Ok(field)),
            Ok(None) => {
                self.done = true;
                None
            }
            Err(error) => {
                self.done = true;
                Some(Err(error))
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Section<'a> {
    pub number: u8,
    pub offset: u64,
    pub length: u64,
    /// The section's bytes as far as they were read.
    pub bytes: &'a [u8],
}

impl<'a> Section<'a> {
    fn whole(&self) -> Option<&'a [u8]> {
        (self.bytes.len() as u64 == self.length).then_some(self.bytes)
    }
}

enum Next<'a> {
    Section(Section<'a>),
    /// `7777` is here.
    End,
    /// The next section was not read.
    Beyond {
        needed: u64,
    },
}

#[derive(Debug, Clone)]
struct SectionReader<'a> {
    bytes: &'a [u8],
    total: u64,
    position: u64,
    whole: bool,
    spans: Option<&'a [SectionSpan]>,
}

impl<'a> SectionReader<'a> {
    fn next_section(&mut self) -> Result<Next<'a>> {
        if let Some(spans) = self.spans {
            let Some((span, rest)) = spans.split_first() else { return Ok(Next::End) };
            self.spans = Some(rest);
            let bytes = self.bytes.get(span.start..span.start.saturating_add(span.available)).unwrap_or(&[]);
            let number = u8_at(bytes, 4).unwrap_or(0);
            return Ok(Next::Section(Section { number, offset: span.offset, length: span.length, bytes }));
        }
        let end = self.total.saturating_sub(4);
        if self.position == end {
            return Ok(Next::End);
        }
        let offset = self.position;
        let rest = usize::try_from(offset).ok().and_then(|start| self.bytes.get(start..)).unwrap_or(&[]);
        let (length, number) = match (u32_at(rest, 0), u8_at(rest, 4)) {
            (Some(length), Some(number)) => (u64::from(length), number),
            _ if self.whole => return Err(malformed(offset, 8, "sections do not end at 7777".to_owned())),
            _ => return Ok(Next::Beyond { needed: offset.saturating_add(64) }),
        };
        check_section_length(offset, number, length, end)?;
        self.position = offset.saturating_add(length);
        let available = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        let bytes = rest.get(..available).unwrap_or(&[]);
        Ok(Next::Section(Section { number, offset, length, bytes }))
    }
}

/// Sections come in order; 2 may be absent, and after 7 they repeat from 2, 3 or 4.
pub(crate) fn may_follow(last: u8, number: u8) -> bool {
    match number {
        3 if last == 1 => true,
        2..=4 if last == 7 => true,
        1..=7 => last == number - 1,
        _ => false,
    }
}

/// A GRIB 2 section must have a header and end before the end section.
pub(crate) fn check_section_length(offset: u64, number: u8, length: u64, end: u64) -> Result<()> {
    if length < 5 {
        return Err(malformed(offset, number, format!("length {length} is impossible")));
    }
    let available = end.saturating_sub(offset);
    if length > available {
        return Err(GribError::Truncated { offset, section: number, needed: length, available });
    }
    Ok(())
}

pub(crate) fn malformed(offset: u64, section: u8, what: String) -> GribError {
    GribError::Malformed { offset, section, what }
}

/// Where the sections of a GRIB 1 message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grib1Layout {
    pub section1: usize,
    pub section1_end: usize,
    pub section2: Option<(usize, usize)>,
    pub section3: Option<(usize, usize)>,
    pub section4: usize,
    pub section4_end: usize,
}

#[derive(Debug)]
pub(crate) enum LayoutError {
    /// So many bytes from the start of the message are needed to know.
    Needs {
        section: u8,
        bytes: u64,
    },
    Wrong(GribError),
}

impl Grib1Layout {
    /// `total` is the length of the message; section 4 of a message above 8 MiB does not say its own length.
    pub(crate) fn read(bytes: &[u8], total: u64) -> Result<Self, LayoutError> {
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let end = total.saturating_sub(4);
        let section = |number: u8, start: usize, minimum: usize| {
            let length =
                u24_at(bytes, start).ok_or(LayoutError::Needs { section: number, bytes: start as u64 + 64 })? as usize;
            let section_end = start.saturating_add(length);
            if length < minimum || section_end > end {
                let what = format!("length {length} is impossible");
                return Err(LayoutError::Wrong(malformed(start as u64, number, what)));
            }
            Ok(section_end)
        };
        let section1_end = section(1, 8, 28)?;
        let flags = u8_at(bytes, 15).ok_or(LayoutError::Needs { section: 1, bytes: 64 })?;
        let mut position = section1_end;
        let mut optional = |present: bool, number: u8, minimum: usize| {
            if !present {
                return Ok(None);
            }
            let start = position;
            position = section(number, start, minimum)?;
            Ok(Some((start, position)))
        };
        let section2 = optional(flags & 0x80 != 0, 2, 6)?;
        let section3 = optional(flags & 0x40 != 0, 3, 6)?;
        let section4 = position;
        let section4_length =
            u24_at(bytes, section4).ok_or(LayoutError::Needs { section: 4, bytes: section4 as u64 + 64 })? as usize;
        let declared = u24_at(bytes, 4).unwrap_or(0);
        let section4_end = if is_above_8_mebibytes(declared, section4_length as u32) {
            end
        } else {
            section4.saturating_add(section4_length)
        };
        if section4_end > end || section4_end.saturating_sub(section4) < 11 {
            let what = format!("length {section4_length} is impossible");
            return Err(LayoutError::Wrong(malformed(section4 as u64, 4, what)));
        }
        Ok(Grib1Layout { section1: 8, section1_end, section2, section3, section4, section4_end })
    }
}

/// ECMWF's convention for GRIB 1 messages that three octets cannot measure: the length of section 0 has its highest bit
/// set and counts units of 120 octets, and the "length" of section 4 (below 120) is what to subtract.
pub(crate) fn is_above_8_mebibytes(declared_length: u32, section4_length: u32) -> bool {
    declared_length & 0x80_0000 != 0 && section4_length < 120
}

/// The length of a GRIB 1 message from the numbers in sections 0 and 4.
pub(crate) fn grib1_length(declared_length: u32, section4_length: u32) -> u64 {
    if is_above_8_mebibytes(declared_length, section4_length) {
        (u64::from(declared_length & 0x7f_ffff) * 120).saturating_sub(u64::from(section4_length)).saturating_add(4)
    } else {
        u64::from(declared_length)
    }
}

#[cfg(test)]
pub(crate) mod tests;
