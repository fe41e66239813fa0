#![allow(clippy::field_reassign_with_default)]
//! Scenarios: one file each; its header says which promise or which bug it guards.
//!
//! The files of `fixtures/` are always there. Scenarios that also run over the larger collection of real files take it from
//! `GRIBCHUNK_SHARED_DATA`, and say `skipped: no shared data` when it is not there.

mod support;

mod bad_input;
mod cube_names;
mod cubes;
mod live;
mod made_cycle;
mod missing_is_not_nan;
mod never_lost;
mod never_wrong;
mod nothing_panics;
mod one_snapshot;
mod other_repositories;
mod parts;
mod standard_on_disk;
mod values;
mod whole_files;
