//! How eight codes of one width are taken from 32 bytes by a byte shuffle and a shift.

/// The widest code that lies within four bytes wherever it begins.
pub(crate) const WIDEST: u32 = 25;

/// Codes 0-3 come from 16 bytes at the first code's first byte, codes 4-7 from the 16 bytes `second` further on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shuffle {
    /// For each code the four bytes that it lies in, last one first.
    pub bytes: [u8; 32],
    /// Bits behind the code in its four bytes.
    pub shifts: [i32; 8],
    pub second: u8,
}

const ENTRIES: usize = (WIDEST as usize + 1) * 8;

static TABLE: [Shuffle; ENTRIES] = build();

/// By width * 8 + the bit of the byte that the first code begins at.
pub(crate) fn table() -> &'static [Shuffle] {
    &TABLE
}

#[allow(clippy::indexing_slicing)] // evaluated by the compiler
const fn build() -> [Shuffle; ENTRIES] {
    let mut table = [Shuffle { bytes: [0; 32], shifts: [0; 8], second: 0 }; ENTRIES];
    let mut entry = 8;
    while entry < ENTRIES {
        let (width, offset) = (entry / 8, entry % 8);
        let second = (offset + 4 * width) / 8;
        table[entry].second = second as u8;
        let mut code = 0;
        while code < 8 {
            let bit = offset + code * width - if code < 4 { 0 } else { 8 * second };
            let mut byte = 0;
            while byte < 4 {
                table[entry].bytes[4 * code + byte] = (bit / 8 + 3 - byte) as u8;
                byte += 1;
            }
            table[entry].shifts[code] = (32 - width - bit % 8) as i32;
            code += 1;
        }
        entry += 1;
    }
    table
}
