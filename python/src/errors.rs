//! The crate's errors as exceptions of `gribchunk.errors`.

use std::error::Error as _;

use gribchunk::Error;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use zarrs_storage::StorageError;

/// A crate error as the exception of its kind.
pub fn exception(error: Error) -> PyErr {
    raise(class_of(&error), &chain(&error))
}

/// A store error; those that wrap one of the crate are of its kind.
pub fn store_exception(error: StorageError) -> PyErr {
    if let Some(cause) = gribchunk::store::cause(&error) {
        return raise(class_of(cause), &chain(cause));
    }
    match &error {
        StorageError::ReadOnly => raise("ReadOnlyError", "the store is read-only; write in a transaction"),
        StorageError::InvalidByteRangeError(_)
        | StorageError::InvalidStoreKey(_)
        | StorageError::StorePrefixError(_)
        | StorageError::Unsupported(_) => raise("InvalidError", &error.to_string()),
        _ => raise("StorageError", &error.to_string()),
    }
}

/// An argument that cannot be used.
pub fn invalid(message: impl AsRef<str>) -> PyErr {
    raise("InvalidError", message.as_ref())
}

fn class_of(error: &Error) -> &'static str {
    match error {
        Error::NotFound { .. } => "NotFoundError",
        Error::AlreadyExists { .. } => "AlreadyExistsError",
        Error::Invalid { .. } => "InvalidError",
        Error::Grib { .. } => "GribError",
        Error::Source { .. } => "SourceError",
        Error::SourceChanged { .. } => "SourceChangedError",
        Error::NotAllowed { .. } => "NotAllowedError",
        Error::WrongField { .. } => "WrongFieldError",
        Error::Unverified { .. } => "UnverifiedError",
        Error::Ambiguous { .. } => "AmbiguousError",
        Error::Conflict { .. } => "ConflictError",
        Error::Layout { .. } => "LayoutError",
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => "NotFoundError",
        Error::Io { .. } => "StorageError",
        Error::Repository { .. } => "RepositoryError",
        _ => "Error",
    }
}

/// An error with its causes, each said once.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(more.trim()) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text.lines().next().unwrap_or_default().to_string()
}

/// The exception `gribchunk.errors.<class>`.
pub fn raise(class: &str, message: &str) -> PyErr {
    Python::attach(|py| {
        let made = py.import("gribchunk.errors").and_then(|module| module.getattr(class)?.call1((message,)));
        match made {
            Ok(value) => PyErr::from_value(value),
            Err(_) => PyRuntimeError::new_err(message.to_string()),
        }
    })
}
