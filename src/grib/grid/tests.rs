//! Grids against ecCodes: keys of all fields of shared data, and points of the grids in vectors.json.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broken;
mod coordinates;
mod order;
mod shared;
mod vectors;
