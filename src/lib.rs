//! A Zarr v3 store for weather forecasts on Icechunk.
//!
//! One dataset that is there from the first minute of a forecast run, is consistent at every moment, and fills up as files
//! land. Each chunk of an array is *missing* (NaN), *virtual* (a GRIB message somewhere else) or *materialised* (decoded,
//! stored here), and turns from one into the other atomically.
//!
//! ```text
//!  source --> grib / index --> field key --> cube (slot) --> reference --> transaction --> snapshot        (write)
//!  key    --> store --> resolve (slot -> reference) --> fetch --> decode --> assemble --> bytes / array    (read)
//! ```
//!
//! It is not: a weather model's own database (a slot is one field, not a time series), a regridding library (values are
//! those of the message, on its grid), or a GRIB encoder.
//!
//! A cube is made from samples, then files are ingested in any order, and read from a pinned snapshot:
//!
//! ```
//! # let rt = tokio::runtime::Runtime::new()?;
//! # rt.block_on(async {
//! use gribchunk::{IngestOptions, LayoutOptions, OpenOptions, Reference, Repository, ingest, init, sample};
//!
//! let files = vec!["fixtures/ens".to_string()];
//! let repository = Repository::create_in_memory(OpenOptions::default()).await?;
//! let (samples, _) = sample(&files)?;
//! init(&repository, &samples, &LayoutOptions::default()).await?;
//!
//! let before = repository.snapshot(&Reference::default()).await?;
//! let report = ingest(&repository, &files, &IngestOptions::default(), |_| {}).await?;
//! assert!(report.is_complete());
//!
//! let after = repository.snapshot(&Reference::default()).await?;
//! let shape = after.array("t2m").await?.shape.clone();
//! let everything: Vec<_> = shape.iter().map(|&n| 0..n).collect();
//! assert!(after.read("t2m", &everything).await?.iter().all(|value| value.is_finite()));
//! assert!(before.read("t2m", &everything).await?.iter().all(|value| value.is_nan()));
//! # Ok::<_, gribchunk::Error>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! The words (field, slot, cube, chunk, coverage) and the on-disk format are in `storage-spec/`.

pub mod calendar;
pub mod codec;
pub mod cube;
mod error;
pub mod grib;
pub mod index;
pub mod ingest;
pub mod inspect;
pub mod live;
pub mod read;
pub mod repository;
pub mod selection;
pub mod source;
pub mod store;
pub mod time;

pub use cube::{Layout, LayoutOptions};
pub use error::{Error, Result};
pub use ingest::{
    IngestOptions, IngestReport, MaterialiseOptions, NewTimes, allocate, allocate_from, ingest, init, materialise,
    sample,
};
pub use read::{ChunkState, Snapshot};
pub use repository::{Conflict, OpenOptions, Reference, Repository, Transaction};
pub use selection::Selection;

/// The example of the README runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
