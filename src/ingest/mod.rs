//! Ingest: source -> field keys -> slots -> references, committed.

mod commit;
mod init;
mod materialise;
mod place;
mod report;
mod scan;

pub use commit::{IngestOptions, NewTimes, ingest};
pub use init::{allocate, allocate_from, init, sample};
pub use materialise::{MaterialiseOptions, MaterialiseReport, materialise, materialise_within};
pub use report::{FileReport, IngestReport};
pub use scan::{ScannedField, ScannedFile, scan_file};
