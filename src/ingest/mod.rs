//! Ingest: source -> field keys -> slots -> references, committed.

mod commit;
mod init;
mod materialise;
mod place;
pub mod references;
mod report;
mod samples;
mod scan;

pub use commit::{IngestOptions, NewTimes, ingest, ingest_inputs};
pub use init::{allocate, allocate_from, init, sample, sample_inputs};
pub use materialise::{MaterialiseOptions, MaterialiseReport, materialise, materialise_within};
pub use report::{FileReport, IngestReport};
pub use scan::{ScannedField, ScannedFile, scan_file};
