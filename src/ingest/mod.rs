//! Ingest: source -> field keys -> slots -> references, committed.

mod commit;
mod init;
mod materialise;
mod place;
mod report;
mod samples;
mod scan;

pub use commit::{IngestOptions, NewTimes, ingest, ingest_files};
pub use init::{allocate, allocate_from, init, sample, sample_files};
pub use materialise::{MaterialiseOptions, MaterialiseReport, materialise};
pub use report::{FileReport, IngestReport};
pub use scan::{ScannedField, ScannedFile, scan_file};
