//! The cube: which field goes where.
//!
//! A [`Layout`] is made from samples ([`build()`]), written into the repository as group attributes and coordinate arrays
//! ([`metadata`]), and maps a field key to its slots ([`place`]).

pub mod build;
pub mod extend;
pub mod layout;
pub mod metadata;
pub mod name;
pub mod place;
pub mod ranges;
pub mod select;

pub use build::{LayoutOptions, SampleField, build};
pub use extend::Extension;
pub use layout::{Group, Layout, Level, Product, Selector, Variable};
pub use name::Window;
pub use place::{Refusal, Slot};
pub use ranges::SlotRange;
