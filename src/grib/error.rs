//! Why bytes could not be read as GRIB.

/// An error of the `grib` module: where in the message, and why. Offsets are bytes from the start of the buffer
/// (walk) or of the message (everything else).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GribError {
    /// No `GRIB` at the given place.
    #[error("byte {offset}: not a GRIB message")]
    NotGrib { offset: u64 },
    /// The message or a section ends before the bytes that its header promises.
    #[error("byte {offset}, section {section}: truncated, {needed} bytes needed but {available} there")]
    Truncated { offset: u64, section: u8, needed: u64, available: u64 },
    /// The bytes contradict the specification or each other.
    #[error("byte {offset}, section {section}: {what}")]
    Malformed { offset: u64, section: u8, what: String },
    /// A valid message that this crate does not decode (yet), with the reason.
    #[error("section {section}, template {template}: {what}")]
    Unsupported { section: u8, template: u16, what: String },
    /// More points or bytes than the message can hold.
    #[error("{what}: {declared} is more than the limit of {limit}")]
    TooLarge { what: &'static str, declared: u64, limit: u64 },
}

pub type Result<T, E = GribError> = std::result::Result<T, E>;
