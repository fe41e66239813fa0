//! Where decoding can begin in the middle of a field.

use super::bitmap::Ranks;
use super::ccsds::BlockOffset;
use super::complex::Checkpoint;

/// Places in one field's packed data, by-products of decoding it once: about 32 bytes (CCSDS) or 96 (complex packing) for
/// 4096 points, and 4 more with a bitmap. They belong to one message; with another one decoding gives errors or wrong values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets {
    pub(crate) points: usize,
    /// Bytes of packed data.
    pub(crate) data: usize,
    pub(crate) ranks: Option<Ranks>,
    pub(crate) codes: CodeOffsets,
}

impl Offsets {
    /// Whether decoding can begin in the middle with their help.
    pub fn are_known(&self) -> bool {
        self.codes.blocks.is_some() || self.codes.checkpoints.is_some()
    }

    /// Heap memory, in bytes, for a cache that is bounded.
    pub fn bytes(&self) -> usize {
        self.ranks.as_ref().map_or(0, Ranks::bytes)
            + self.codes.blocks.as_ref().map_or(0, |offsets| offsets.len() * size_of::<BlockOffset>())
            + self.codes.checkpoints.as_ref().map_or(0, |checkpoints| checkpoints.len() * size_of::<Checkpoint>())
    }
}

/// By packing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CodeOffsets {
    pub blocks: Option<Vec<BlockOffset>>,
    pub checkpoints: Option<Vec<Checkpoint>>,
}
