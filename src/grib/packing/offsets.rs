//! Where decoding can begin in the middle of a field.

use super::bitmap::Ranks;
use super::ccsds::IntervalOffsets;
use super::complex::Checkpoint;

/// Places in one field's packed data, by-products of decoding it once: about 8 bytes (CCSDS) or 56 (complex packing) for
/// 4096 points, and 4 more with a bitmap. They belong to one message; with another one decoding gives errors or wrong values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets {
    pub(crate) points: usize,
    pub(crate) ranks: Option<Ranks>,
    pub(crate) codes: CodeOffsets,
}

impl Offsets {
    /// Heap memory, in bytes, for a cache that is bounded.
    pub fn bytes(&self) -> usize {
        self.ranks.as_ref().map_or(0, Ranks::bytes)
            + self.codes.intervals.as_ref().map_or(0, |offsets| offsets.bits.len() * size_of::<u64>())
            + self.codes.checkpoints.as_ref().map_or(0, |checkpoints| checkpoints.len() * size_of::<Checkpoint>())
    }
}

/// By packing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CodeOffsets {
    pub intervals: Option<IntervalOffsets>,
    pub checkpoints: Option<Vec<Checkpoint>>,
}
