//! The extension module of the Python package: arguments in, one call of the crate, results out.
//!
//! Every call that does work releases the interpreter, runs on threads of our own, and stops within a moment of Ctrl-C.

mod buffer;
mod codec;
#[path = "../../src/bin/gribchunk/main.rs"]
#[allow(dead_code)]
mod command_line;
mod errors;
mod repository;
mod runtime;
mod snapshot;
mod store;
mod transaction;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
mod _gribchunk {
    #[pymodule_export]
    use super::buffer::Bytes;
    #[pymodule_export]
    use super::codec::FieldCodec;
    #[pymodule_export]
    use super::repository::Repository;
    #[pymodule_export]
    use super::snapshot::Snapshot;
    #[pymodule_export]
    use super::store::Store;
    #[pymodule_export]
    use super::transaction::Transaction;

    #[pymodule_export]
    use super::command;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}

/// Runs the command with these arguments, the first being its name; the exit code.
#[pyfunction]
fn command(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
    py.detach(|| command_line::command(arguments))
}
