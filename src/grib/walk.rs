//! Finding the messages in a file or any other run of bytes.
//!
//! Bytes between messages (WMO bulletin headers, padding, anything) are skipped. A place that says `GRIB` but is not a
//! whole message is reported as [`Broken`], and the search goes on four bytes later.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io;

use super::error::{GribError, Result};
use super::octets::{u8_at, u24_at, u32_at, u64_at};
use super::sections::{
    Fields, Grib1Layout, LayoutError, SectionSpan, check_section_length, fields, fields_of_prefix, fields_of_spans,
    grib1_length, malformed, may_follow,
};

/// A whole message in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Of its `GRIB`, from the start of the buffer.
    pub offset: u64,
    /// 1 or 2.
    pub edition: u8,
    pub bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Bytes from `GRIB` to `7777`, both included.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Its fields, see [`fields`].
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        fields(self.bytes)
    }
}

/// A place where a message begins but is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub offset: u64,
    /// 1 or 2; 0 when the bytes end before it.
    pub edition: u8,
    /// What its header says, as far as there is one.
    pub claimed_length: u64,
    pub reason: GribError,
}

/// What is at a place that says `GRIB`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<M> {
    Message(M),
    Broken(Broken),
}

/// The messages of a buffer, in order.
#[must_use]
pub fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages { bytes, position: 0 }
}

/// Iterator of [`messages`].
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Found<Message<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.bytes.get(self.position..)?;
            // Messages usually follow each other without a gap.
            let skip = if rest.starts_with(b"GRIB") { 0 } else { memchr::memmem::find(rest, b"GRIB")? };
            let rest = rest.get(skip..)?;
            let start = self.position.saturating_add(skip);
            let size = self.bytes.len() as u64;
            let Ok(section4_length) = section4_length_of(rest, |place| Ok::<_, Infallible>(u24_at(rest, place)));
            match measure(rest, start as u64, size, section4_length) {
                Measured::NotAMessage => self.position = start.saturating_add(4),
                Measured::Broken(broken) => {
                    self.position = start.saturating_add(4);
                    return Some(Found::Broken(broken));
                }
                Measured::Length { edition, length } => {
                    let message = usize::try_from(length).ok().and_then(|length| rest.get(..length));
                    let ending = message.and_then(|message| message.last_chunk::<4>());
                    let (Some(message), Some(b"7777")) = (message, ending) else {
                        self.position = start.saturating_add(4);
                        return Some(Found::Broken(without_end(start as u64, edition, length)));
                    };
                    self.position = start.saturating_add(message.len());
                    return Some(Found::Message(Message { offset: start as u64, edition, bytes: message }));
                }
            }
        }
    }
}

enum Measured {
    /// The text `GRIB` in something else.
    NotAMessage,
    Broken(Broken),
    Length {
        edition: u8,
        length: u64,
    },
}

/// Reads the length of the message that begins at `head`; `size` is that of the whole file, and `section4_length` the length
/// field of a GRIB 1 message's section 4.
fn measure(head: &[u8], offset: u64, size: u64, section4_length: Option<u32>) -> Measured {
    let available = size.saturating_sub(offset);
    let edition = u8_at(head, 7).unwrap_or(0);
    let truncated = |claimed_length: u64, needed: u64| {
        let reason = GribError::Truncated { offset, section: 0, needed, available };
        Measured::Broken(Broken { offset, edition, claimed_length, reason })
    };
    let length = match edition {
        2 => match u64_at(head, 8) {
            Some(length) => length,
            None => return truncated(0, 16),
        },
        1 => {
            let Some(declared) = u24_at(head, 4) else { return truncated(0, 8) };
            if declared & 0x80_0000 == 0 {
                u64::from(declared)
            } else {
                // Only section 4 tells whether this is a plain length or ECMWF's convention.
                section4_length.map_or(u64::from(declared), |length| grib1_length(declared, length))
            }
        }
        _ if available < 8 => return truncated(0, 16),
        _ => return Measured::NotAMessage,
    };
    if length < 16 {
        let reason = malformed(offset, 0, format!("a message of {length} bytes is impossible"));
        return Measured::Broken(Broken { offset, edition, claimed_length: length, reason });
    }
    if length > available {
        return truncated(length, length);
    }
    Measured::Length { edition, length }
}

fn without_end(offset: u64, edition: u8, length: u64) -> Broken {
    let reason =
        malformed(offset.saturating_add(length).saturating_sub(4), 8, "message does not end in 7777".to_owned());
    Broken { offset, edition, claimed_length: length, reason }
}

/// The length field of section 4 of a GRIB 1 message that may have 8 MiB, found by the lengths of the sections before it.
/// None for any other message. `head` has the first 16 bytes.
/// `length_at` gives the three octets at a place of the message, if they are there.
fn section4_length_of<E>(
    head: &[u8],
    mut length_at: impl FnMut(usize) -> Result<Option<u32>, E>,
) -> Result<Option<u32>, E> {
    let is_large = u8_at(head, 7) == Some(1) && u8_at(head, 4).is_some_and(|octet| octet & 0x80 != 0);
    let Some(flags) = u8_at(head, 15).filter(|_| is_large) else { return Ok(None) };
    let mut position = 8_usize;
    for present in [true, flags & 0x80 != 0, flags & 0x40 != 0] {
        if present {
            let Some(length) = length_at(position)? else { return Ok(None) };
            position = position.saturating_add((length as usize).max(3));
        }
    }
    length_at(position)
}

/// Bytes that are read in ranges: a file, an object in a bucket.
pub trait RangedRead {
    /// Bytes in all.
    fn size(&self) -> u64;
    /// The bytes `offset .. offset + length`, exactly.
    ///
    /// # Errors
    /// Those of the source; a range past the end is one.
    fn read(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>>;
}

impl RangedRead for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let bytes = self.get(start..).and_then(|rest| rest.get(..length)).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Cow::Borrowed(bytes))
    }
}

/// A message of which the descriptions were read and not the data: enough for the keys and headers of all its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageHeaders {
    /// Of its `GRIB`, from the start of the source.
    pub offset: u64,
    /// Bytes from `GRIB` to `7777`, both included.
    pub length: u64,
    /// 1 or 2.
    pub edition: u8,
    bytes: Vec<u8>,
    /// Empty for GRIB 1, whose `bytes` are the first bytes of the message.
    spans: Vec<SectionSpan>,
}

impl MessageHeaders {
    /// Its fields, with `data: None` and mostly `bitmap: None`. See [`fields`].
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        if self.edition == 1 {
            fields_of_prefix(&self.bytes, self.length)
        } else {
            fields_of_spans(&self.bytes, &self.spans, self.length)
        }
    }
}

/// How much is read at a time to find out what a message is: its description is rarely longer.
const WINDOW: usize = 4096;
/// A description (one section other than bitmap and data) longer than this is refused.
const LONGEST_DESCRIPTION: u64 = 64 << 20;
/// Between messages, so much is read at a time to look for the next.
const SEARCH: usize = 64 << 10;

/// The messages of a ranged source. Reads about 4 KiB a message, the four bytes at its end, and for messages of several
/// fields 4 KiB a field; never the data.
///
/// After an error of the source the iterator ends.
#[must_use]
pub fn ranged_messages<R: RangedRead + ?Sized>(source: &R) -> RangedMessages<'_, R> {
    RangedMessages { source, position: 0, window_start: 0, window: Cow::Borrowed(&[]), failed: false }
}

/// Iterator of [`ranged_messages`].
#[derive(Debug)]
pub struct RangedMessages<'a, R: ?Sized> {
    source: &'a R,
    position: u64,
    /// What was read last, and where it begins.
    window_start: u64,
    window: Cow<'a, [u8]>,
    failed: bool,
}

impl<R: RangedRead + ?Sized> Iterator for RangedMessages<'_, R> {
    type Item = io::Result<Found<MessageHeaders>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.find_next() {
            Ok(found) => found.map(Ok),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

impl<'a, R: RangedRead + ?Sized> RangedMessages<'a, R> {
    /// What is at the current position: at least `needed` bytes, or all that are left. Reads `reach` bytes when the window
    /// has fewer.
    fn look(&mut self, needed: usize, reach: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.source.size().saturating_sub(self.position)).unwrap_or(usize::MAX);
        let inside = |start: u64| usize::try_from(self.position.checked_sub(start)?).ok();
        let known = inside(self.window_start).and_then(|skip| self.window.get(skip..)).map_or(0, <[u8]>::len);
        if known < needed.min(left) {
            self.window = self.source.read(self.position, reach.max(needed).min(left))?;
            self.window_start = self.position;
        }
        let skip = usize::try_from(self.position - self.window_start).unwrap_or(usize::MAX);
        Ok(self.window.get(skip..).unwrap_or(&[]))
    }

    fn find_next(&mut self) -> io::Result<Option<Found<MessageHeaders>>> {
        let size = self.source.size();
        let mut reach = WINDOW;
        while self.position < size {
            let window = self.look(16, reach)?;
            let length = window.len();
            let Some(skip) = memchr::memmem::find(window, b"GRIB") else {
                // A `GRIB` may lie across the border of two windows.
                self.position = self.position.saturating_add(length as u64);
                if self.position >= size {
                    break;
                }
                self.position -= length.saturating_sub(1).min(3) as u64;
                reach = SEARCH;
                continue;
            };
            self.position = self.position.saturating_add(skip as u64);
            reach = WINDOW;
            let offset = self.position;
            let is_message = matches!(u8_at(self.look(16, WINDOW)?, 7), None | Some(1 | 2));
            if !is_message {
                self.position = offset.saturating_add(4);
                continue;
            }
            let window = self.look(WINDOW, WINDOW)?.to_vec();
            let section4_length = self.section4_length(&window)?;
            match measure(&window, offset, size, section4_length) {
                Measured::NotAMessage => self.position = offset.saturating_add(4),
                Measured::Broken(broken) => {
                    self.position = offset.saturating_add(4);
                    return Ok(Some(Found::Broken(broken)));
                }
                Measured::Length { edition, length } => {
                    let end = self.source.read(offset.saturating_add(length).saturating_sub(4), 4)?;
                    if end.as_ref() != b"7777" {
                        self.position = offset.saturating_add(4);
                        return Ok(Some(Found::Broken(without_end(offset, edition, length))));
                    }
                    self.position = offset.saturating_add(length);
                    return self.describe(window, offset, edition, length).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// See [`section4_length_of`]. Only the length fields before it are read:
    /// damaged bytes may say `GRIB` often, and each time that much lies between.
    fn section4_length(&self, window: &[u8]) -> io::Result<Option<u32>> {
        section4_length_of(window, |position| {
            let start = self.position.saturating_add(position as u64);
            match u24_at(window, position) {
                None if start.saturating_add(3) <= self.source.size() => Ok(u24_at(&self.source.read(start, 3)?, 0)),
                length => Ok(length),
            }
        })
    }

    fn describe(&self, head: Vec<u8>, offset: u64, edition: u8, length: u64) -> io::Result<Found<MessageHeaders>> {
        let mut message = MessageHeaders { offset, length, edition, bytes: head, spans: Vec::new() };
        let described =
            if edition == 1 { self.describe_grib1(&mut message) } else { self.describe_grib2(&mut message) };
        Ok(match described? {
            Ok(()) => Found::Message(message),
            Err(reason) => Found::Broken(Broken { offset, edition, claimed_length: length, reason }),
        })
    }

    fn describe_grib1(&self, message: &mut MessageHeaders) -> io::Result<Result<()>> {
        let longest = usize::try_from(message.length).unwrap_or(usize::MAX);
        message.bytes.truncate(longest);
        for _ in 0..4 {
            match Grib1Layout::read(&message.bytes, message.length) {
                Ok(layout) if message.bytes.len() >= layout.section4.saturating_add(32).min(longest) => break,
                Ok(layout) => self.extend(message, layout.section4.saturating_add(32))?,
                Err(LayoutError::Wrong(reason)) => return Ok(Err(reason)),
                Err(LayoutError::Needs { bytes, section }) => {
                    if bytes > LONGEST_DESCRIPTION {
                        let what = "bytes before section 4";
                        return Ok(Err(GribError::TooLarge { what, declared: bytes, limit: LONGEST_DESCRIPTION }));
                    }
                    let before = message.bytes.len();
                    self.extend(message, usize::try_from(bytes).unwrap_or(usize::MAX))?;
                    if message.bytes.len() == before {
                        let available = before as u64;
                        return Ok(Err(GribError::Truncated { offset: 0, section, needed: bytes, available }));
                    }
                }
            }
        }
        Ok(Ok(()))
    }

    fn extend(&self, message: &mut MessageHeaders, wanted: usize) -> io::Result<()> {
        let wanted = wanted.min(usize::try_from(message.length).unwrap_or(usize::MAX));
        if let Some(missing) = wanted.checked_sub(message.bytes.len()).filter(|missing| *missing > 0) {
            let more = self.source.read(message.offset.saturating_add(message.bytes.len() as u64), missing)?;
            message.bytes.extend_from_slice(&more);
        }
        Ok(())
    }

    fn describe_grib2(&self, message: &mut MessageHeaders) -> io::Result<Result<()>> {
        let end = message.length.saturating_sub(4);
        // The part of the message that is in memory, and where it begins in the message.
        let mut window: Cow<'_, [u8]> = Cow::Owned(std::mem::take(&mut message.bytes));
        let mut window_start = 0_u64;
        message.bytes.extend_from_slice(window.get(..16).unwrap_or(&[]));
        let mut position = 16_u64;
        while position < end {
            let mut inside = usize::try_from(position - window_start).unwrap_or(usize::MAX);
            if window.get(inside..).is_none_or(|rest| rest.len() < 6) {
                let wanted = usize::try_from(end - position).unwrap_or(usize::MAX).min(WINDOW);
                window = self.source.read(message.offset.saturating_add(position), wanted)?;
                window_start = position;
                inside = 0;
            }
            let rest = window.get(inside..).unwrap_or(&[]);
            let (Some(length), Some(number)) = (u32_at(rest, 0), u8_at(rest, 4)) else {
                return Ok(Err(malformed(position, 8, "sections do not end at 7777".to_owned())));
            };
            let length = u64::from(length);
            let last = message.spans.last().map_or(0, |span| u8_at(&message.bytes, span.start + 4).unwrap_or(0));
            if !may_follow(last, number) {
                // The fields before it are good; after them, the iterator of fields says what is wrong here.
                let (start, header) = (message.bytes.len(), rest.get(..5).unwrap_or(&[]));
                message.bytes.extend_from_slice(header);
                message.spans.push(SectionSpan { offset: position, length, start, available: header.len() });
                break;
            }
            if let Err(reason) = check_section_length(position, number, length, end) {
                return Ok(Err(reason));
            }
            let wanted = match number {
                6 | 7 => length.min(6),
                _ if length > LONGEST_DESCRIPTION => {
                    let what = "bytes in a descriptive section";
                    return Ok(Err(GribError::TooLarge { what, declared: length, limit: LONGEST_DESCRIPTION }));
                }
                _ => length,
            };
            let available = usize::try_from(wanted).unwrap_or(usize::MAX);
            let start = message.bytes.len();
            match rest.get(..available) {
                Some(bytes) => message.bytes.extend_from_slice(bytes),
                None => {
                    let bytes = self.source.read(message.offset.saturating_add(position), available)?;
                    message.bytes.extend_from_slice(&bytes);
                }
            }
            message.spans.push(SectionSpan { offset: position, length, start, available });
            position = position.saturating_add(length);
        }
        message.bytes.shrink_to_fit();
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests;
