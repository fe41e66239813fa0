//! The modules of gribchunk that read bytes from outside, and nothing else: they are the crate's own files (links).
//!
//! The crate depends on Icechunk and its object stores: a quarter of an hour of compiling for each sanitizer, and Miri and
//! a compiler for another processor cannot build them at all. These modules do not need them.
#![allow(dead_code)]

pub mod calendar;
#[allow(unused_imports)]
pub mod codec;
pub mod grib;
pub mod index;
