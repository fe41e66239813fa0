//! Reading: a pinned snapshot, resolve, fetch, decode, assemble.

mod array;
mod fetch;
mod parts;
mod region;
mod select;
mod snapshot;

pub use array::{ArrayInfo, Storage};
pub(crate) use fetch::fetch;
pub use fetch::{Fingerprint, parse_location};
pub use select::Selected;
pub use snapshot::{ChunkState, Snapshot};
pub(crate) use snapshot::{decode_error, describe_slot, field_of_slot};
