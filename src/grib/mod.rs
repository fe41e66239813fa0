//! GRIB bytes, no I/O: messages, fields, keys, names, grids, values.
//!
//! ```text
//! bytes -> walk (messages) -> sections (fields) -> key (what it is) / grid (where) / packing (how) -> decode (values)
//! ```
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Fields are named after the ecCodes keys that they hold; those need no second word.
#![allow(missing_docs)]

pub mod decode;
pub mod error;
mod grib1;
mod grib2;
mod grib2_keys;
pub mod grid;
pub mod header;
pub mod key;
mod level;
mod memory;
pub mod names;
mod octets;
pub mod packing;
pub mod sections;
mod template;
mod template_table;
pub mod time;
pub mod walk;

pub use error::{GribError, Result};
pub use header::FieldHeader;
pub use key::{FieldKey, GridDigests};
pub use memory::KeyMemory;
pub use sections::{FieldSections, fields, fields_of_prefix};
