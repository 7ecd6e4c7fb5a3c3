//! Errors that all reading and writing modes share.

use std::io;

use crate::error::{Error, ErrorKind};
use crate::message::MessageError;

pub(super) fn failed_before() -> Error {
    Error::new(ErrorKind::Io, "the message was abandoned after an earlier error")
}

/// Converts an error of the message, or of its source, to the error that readers return.
pub(super) fn as_io(error: Error) -> io::Error {
    let kind = match error.downcast_ref() {
        Some(MessageError::Truncated { .. }) => io::ErrorKind::UnexpectedEof,
        Some(_) => io::ErrorKind::InvalidData,
        None => error.downcast_ref().map_or(io::ErrorKind::Other, io::Error::kind),
    };
    io::Error::new(kind, error)
}
