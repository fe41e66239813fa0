//! What reading one field's key leaves for the next.

use super::grib2::Product;
use super::key::GridDigests;
use super::names::ParameterNames;

/// Remembers the last grid and the last names, so that the keys of many fields cost little. It changes no key.
#[derive(Debug, Clone, Default)]
pub struct KeyMemory {
    pub(crate) grids: GridDigests,
    /// Direct-mapped by a hash of the input.
    names: Vec<Entry>,
    /// Whether there is a next field.
    is_for_one_field: bool,
    scratch: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    /// Empty: not used.
    input: Vec<u8>,
    names: Option<&'static ParameterNames>,
    type_of_level: &'static str,
}

/// Names of a few files' worth of parameters and levels.
const ENTRIES: usize = 512;
/// Longer templates (lists of wave directions, ...) are not kept.
const LONGEST_INPUT: usize = 256;

impl KeyMemory {
    pub(crate) fn for_one_field() -> Self {
        KeyMemory { is_for_one_field: true, ..KeyMemory::default() }
    }

    /// The parameter's names and ecCodes' `typeOfLevel` ("unknown" without).
    pub(crate) fn names(&mut self, product: &Product<'_>) -> (Option<&'static ParameterNames>, &'static str) {
        if self.is_for_one_field {
            return (product.names(), product.type_of_level().unwrap_or("unknown"));
        }
        product.write_names_input(&mut self.scratch);
        self.names.resize_with(ENTRIES, Entry::default);
        let place = hash(&self.scratch) % ENTRIES;
        match self.names.get_mut(place) {
            Some(entry) if entry.input == self.scratch => (entry.names, entry.type_of_level),
            entry => {
                let (names, type_of_level) = (product.names(), product.type_of_level().unwrap_or("unknown"));
                if let Some(entry) = entry.filter(|_| self.scratch.len() <= LONGEST_INPUT) {
                    entry.input.clear();
                    entry.input.extend_from_slice(&self.scratch);
                    (entry.names, entry.type_of_level) = (names, type_of_level);
                }
                (names, type_of_level)
            }
        }
    }
}

fn hash(bytes: &[u8]) -> usize {
    let mut hash = 0_u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    (hash >> 32) as usize
}
