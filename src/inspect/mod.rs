//! What is there and why: plain data that serialises, no printing.

mod coverage;
mod listing;
mod show;

pub use coverage::{
    Coverage, CoverageCounts, FailedField, SlotState, VariableCoverage, chunk_states, coverage, latest_complete,
};
pub use listing::{FieldListing, FieldValues, list_fields, list_fields_of};
pub use show::{ArraySummary, DimensionSummary, GroupSummary, RepositorySummary, show};
