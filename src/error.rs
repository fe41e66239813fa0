//! One error for callers: a variant per thing a caller can do about it, always with the place.

use std::path::PathBuf;

use crate::grib::GribError;

/// What went wrong, where, and what to do about it.
///
/// `location` is the URL of a source, with the byte where the message starts if that is known; `slot` is an array and the
/// indices of its chunk; `remedy` says what to do; `source` is the error below.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    /// A repository, array, branch, tag, snapshot, file or selection that is not there.
    #[error("{what} not found: {remedy}")]
    NotFound { what: String, remedy: String },

    /// Something that would be overwritten.
    #[error("{what} exists already: {remedy}")]
    AlreadyExists { what: String, remedy: String },

    /// An argument that cannot be used as it is.
    #[error("{what}: {remedy}")]
    Invalid { what: String, remedy: String },

    /// The bytes of a source are not what they should be.
    #[error("{location}: {error}")]
    Grib {
        location: String,
        #[source]
        error: GribError,
    },

    /// A source cannot be read: gone, no permission, input/output error.
    #[error("{location}: {reason}")]
    Source { location: String, reason: String },

    /// A source is not the one that was ingested.
    #[error(
        "{location}: the source changed after it was ingested ({reason}); ingest it again to use the new version, or restore the old one"
    )]
    SourceChanged { location: String, reason: String },

    /// A source lies outside the prefixes that this user allowed.
    #[error(
        "{location}: reading from there is not allowed; use --allow PREFIX or GRIBCHUNK_ALLOW=PREFIX, or ingest from it yourself"
    )]
    NotAllowed { location: String },

    /// The message at a reference is not the field of its slot.
    #[error("{location}: holds {found}, but the slot {slot} is {expected}; ingest the file again")]
    WrongField { location: String, slot: String, expected: String, found: String },

    /// A reference whose source cannot be verified, while `require_verified` is on.
    #[error("{location}: the reference has no checksum, and verified reads were required")]
    Unverified { location: String },

    /// Two different fields for one slot.
    #[error(
        "two fields for the slot {slot}: {first} and {second}; leave one of them out (--select), or give them different groups"
    )]
    Ambiguous { slot: String, first: String, second: String },

    /// Another writer changed the same thing.
    #[error("{what}: {remedy}")]
    Conflict { what: String, remedy: String },

    /// What was waited for did not come in time.
    #[error("{what}; {remedy}")]
    TimedOut { what: String, remedy: String },

    /// The layout of a group cannot be understood.
    #[error("group /{group}: {reason}")]
    Layout { group: String, reason: String },

    /// A local file or directory operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    /// The repository's storage or Icechunk refused an operation.
    #[error("{context}: {source}")]
    Repository {
        context: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The result of most calls of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn invalid(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn not_found(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::NotFound { what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn grib(location: impl Into<String>) -> impl FnOnce(GribError) -> Self {
        let location = location.into();
        move |error| Self::Grib { location, error }
    }

    /// Wraps an error of Icechunk or zarrs with what was being done.
    pub(crate) fn repository<E>(context: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let context = context.into();
        move |source| Self::Repository { context, source: Box::new(source) }
    }
}
