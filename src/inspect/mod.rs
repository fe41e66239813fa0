//! What is there and why: plain data that serialises, no printing.

mod check;
mod coverage;
mod diff;
mod explain;
mod listing;
mod show;

pub use check::{CheckOptions, CheckReport, Problem, check};
pub use coverage::{
    Coverage, CoverageCounts, FailedField, SlotState, VariableCoverage, chunk_states, coverage, latest_complete,
};
pub(crate) use diff::diff_snapshots;
pub use diff::{ArrayDiff, Diff, DiffBasis, MetadataChange, MetadataChangeKind, ReferenceKind, SlotChange, diff};
pub use explain::{ExplainedCheck, ExplainedReference, Explanation, explain};
pub use listing::{FieldListing, FieldValues, list_fields, list_fields_of};
pub use show::{ArraySummary, DimensionSummary, GroupSummary, RepositorySummary, show};
