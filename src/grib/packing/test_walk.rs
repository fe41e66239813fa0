//! A walk over one message for the tests of this module, without any checks.

use super::FieldSections;

pub(crate) struct Field<'a> {
    edition: u8,
    parts: [Option<&'a [u8]>; 8],
    number: u32,
}

impl<'a> Field<'a> {
    pub fn sections(&self) -> FieldSections<'a> {
        let part = |number: usize| self.parts[number].unwrap_or_default();
        let grib1 = self.edition == 1;
        FieldSections {
            edition: self.edition,
            discipline: 255,
            submessage: self.number,
            identification: part(1),
            local: None,
            grid: part(if grib1 { 2 } else { 3 }),
            product: part(if grib1 { 1 } else { 4 }),
            representation: part(if grib1 { 4 } else { 5 }),
            bitmap: self.parts[if grib1 { 3 } else { 6 }],
            data: self.parts[if grib1 { 4 } else { 7 }],
        }
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

pub(crate) fn fields(message: &[u8]) -> Vec<Field<'_>> {
    let mut parts = [None; 8];
    if message[7] == 1 {
        let mut at = 8;
        let flags = message[15];
        for (section, present) in [(1, true), (2, flags & 0x80 != 0), (3, flags & 0x40 != 0), (4, true)] {
            if present {
                let length = if section == 4 { message.len() - 4 - at } else { number(&message[at..at + 3]) };
                parts[section] = Some(&message[at..at + length]);
                at += length;
            }
        }
        return vec![Field { edition: 1, parts, number: 0 }];
    }
    let mut found = Vec::new();
    let mut own_bitmap = None;
    let mut at = 16;
    while at + 5 <= message.len() && &message[at..at + 4] != b"7777" {
        let (length, section) = (number(&message[at..at + 4]), usize::from(message[at + 4]));
        let part = &message[at..at + length];
        parts[section] = Some(part);
        if section == 6 {
            parts[6] = match part[5] {
                0 => Some(part),
                254 => own_bitmap,
                _ => None,
            };
            own_bitmap = parts[6].or(own_bitmap);
        }
        if section == 7 {
            found.push(Field { edition: 2, parts, number: found.len() as u32 });
        }
        at += length;
    }
    found
}
