//! What an ingest did, for people and programs.

use serde::Serialize;

use crate::repository::ledger::RefusedField;

/// What one source file brought.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileReport {
    /// `file:///...`
    pub url: String,
    /// Bytes.
    pub size: u64,
    /// Fields found.
    pub fields: u64,
    /// Fields that have their slots now.
    pub placed: u64,
    /// Of these, decoded and stored.
    pub materialised: u64,
    /// Fields that stay out because another field is there (`--on-conflict keep`).
    pub kept: u64,
    /// Fields of variables that the cube was made without (`init --select`).
    pub not_selected: u64,
    /// Identical copies of another field.
    pub duplicates: u64,
    /// Fields without a place, and why.
    pub refused: Vec<RefusedField>,
    /// The file is the one that was ingested before: nothing was done.
    pub unchanged: bool,
    /// What is odd but did not keep a field out: lines of the index that disagree with their messages, bytes between
    /// messages, and the like.
    pub warnings: Vec<String>,
    /// Why nothing of the file could be read.
    pub error: Option<String>,
}

impl FileReport {
    /// Whether every field of the file has its place.
    pub fn is_complete(&self) -> bool {
        self.error.is_none() && self.refused.is_empty()
    }
}

/// What an ingest did.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IngestReport {
    /// In the order in which they were committed.
    pub files: Vec<FileReport>,
    /// Snapshot ids of the commits that were made.
    pub snapshots: Vec<String>,
}

impl IngestReport {
    /// [`FileReport::placed`] of all files.
    pub fn placed(&self) -> u64 {
        self.files.iter().map(|f| f.placed).sum()
    }

    /// [`FileReport::materialised`] of all files.
    pub fn materialised(&self) -> u64 {
        self.files.iter().map(|f| f.materialised).sum()
    }

    /// Number of refused fields of all files.
    pub fn refused(&self) -> u64 {
        self.files.iter().map(|f| f.refused.len() as u64).sum()
    }

    /// Whether every field of every file has its place (or was there already).
    pub fn is_complete(&self) -> bool {
        self.files.iter().all(FileReport::is_complete)
    }

    /// Whether anything was usable: placed now, or there already.
    pub fn brought_anything(&self) -> bool {
        self.files.iter().any(|f| f.placed > 0 || f.unchanged || f.kept > 0)
    }
}
