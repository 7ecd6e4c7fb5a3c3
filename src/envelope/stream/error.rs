//! Errors that all reading and writing modes share.

use std::io;

use crate::error::{Error, ErrorKind};
use crate::message::MessageError;

pub(super) fn failed_before() -> Error {
    Error::new(ErrorKind::Io, "the message was abandoned after an earlier error")
}

/// Returns the error for a source of a message that cannot be read.
pub(super) fn cannot_read(error: io::Error) -> Error {
    of_inner("cannot read the message", error)
}

/// Returns the error for a message that cannot be written to its destination.
pub(super) fn cannot_write(error: io::Error) -> Error {
    of_inner("cannot write the message", error)
}

/// Converts an error of an inner reader or writer. If that uses this crate, too, its error is kept,
/// or at least the kind, so that an altered message is not reported as an outage.
fn of_inner(text: &str, error: io::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|error| {
        let kind = Error::from_io(&error).map_or(ErrorKind::Io, Error::kind);
        Error::new(kind, format!("{text}: {error}")).with_source(error)
    })
}

/// Converts an error of the message, its source, or its destination to the error that readers and
/// writers return. [`Error::from_io`] reverses it.
pub(super) fn as_io(error: Error) -> io::Error {
    match error.downcast_ref() {
        Some(MessageError::Truncated { .. }) => io::Error::new(io::ErrorKind::UnexpectedEof, error),
        _ => error.into(),
    }
}
