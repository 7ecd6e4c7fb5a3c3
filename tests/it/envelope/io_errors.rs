//! Every `io::Error` of a reader or writer contains an error of the crate.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use strongroom::message::{MessageError, inspect};
use strongroom::{Error, ErrorKind, Result};

use crate::support::envelope::{envelope, none};

/// An error that other software returns.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("status {0}")]
struct Status(u16);

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, Status(503))
}

/// Returns the kinds of an I/O error and of the error inside it.
fn kinds(error: &io::Error) -> (io::ErrorKind, ErrorKind) {
    let inside = Error::from_io(error).expect("an error of this crate");
    assert_eq!(error.to_string(), inside.to_string());
    assert_eq!(MessageError::from_io(error), inside.downcast_ref());
    (error.kind(), inside.kind())
}

/// Checks the error for a source or destination that failed with [`reset`].
fn check_outside(error: &io::Error) {
    assert_eq!(kinds(error), (io::ErrorKind::ConnectionReset, ErrorKind::Io));
    let inside = Error::from_io(error).expect("an error of this crate");
    assert_eq!(inside.downcast_ref(), Some(&Status(503)));
    assert!(inside.to_string().ends_with(": status 503"), "{inside}");
}

/// Returns its data and fails repeatedly at its end.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        match self.0.read(output)? {
            0 => Err(reset()),
            length => Ok(length),
        }
    }
}

/// Accepts this many bytes and then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.len().min(self.0) {
            0 => Err(reset()),
            length => {
                self.0 -= length;
                Ok(length)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(reset())
    }
}

fn read_all(mut reader: impl Read) -> [io::Error; 2] {
    [(); 2].map(|()| reader.read_to_end(&mut Vec::new()).expect_err("must fail"))
}

#[test]
fn of_a_reader() -> Result<()> {
    let envelope = envelope(16);
    let message = envelope.encrypt(&[7; 40], &none())?;
    let mut altered = message.clone();
    altered[message.len() - 1] ^= 1;
    for error in read_all(envelope.reader(&altered[..], &none())?) {
        assert_eq!(kinds(&error), (io::ErrorKind::InvalidData, ErrorKind::InvalidMessage));
        assert_eq!(MessageError::from_io(&error), Some(&MessageError::BodyAuth { sequence: 3 }));
    }
    for error in read_all(envelope.reader(&message[..message.len() - 1], &none())?) {
        assert_eq!(kinds(&error), (io::ErrorKind::UnexpectedEof, ErrorKind::InvalidMessage));
    }
    for end in inspect(&message)?.encoded_length()..=message.len() {
        read_all(envelope.reader(Broken(&message[..end]), &none())?).iter().for_each(check_outside);
    }
    let error = envelope.reader(Broken(&message[..10]), &none()).expect_err("the header is incomplete");
    assert_eq!((error.kind(), error.downcast_ref()), (ErrorKind::Io, Some(&Status(503))));
    Ok(())
}

/// Encloses the errors of a reader, as a library does.
struct Enclosing<R>(R);

#[derive(Debug, thiserror::Error)]
#[error("cannot fetch the object")]
struct Fetch(#[source] io::Error);

impl<R: Read> Read for Enclosing<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        self.0.read(output).map_err(|error| io::Error::other(Fetch(error)))
    }
}

/// The altered message is the outer one. An error of kind `Io` would look like an outage.
#[test]
fn of_a_message_inside_a_message() -> Result<()> {
    let envelope = envelope(16);
    let inner = envelope.encrypt(&[7; 400], &none())?;
    let mut outer = envelope.encrypt(&inner, &none())?;
    let last = outer.len() - 1;
    outer[last] ^= 1;
    let outer = || envelope.reader(&outer[..], &none());
    for error in read_all(envelope.reader(outer()?, &none())?) {
        assert_eq!(kinds(&error), (io::ErrorKind::InvalidData, ErrorKind::InvalidMessage));
        assert!(matches!(MessageError::from_io(&error), Some(MessageError::BodyAuth { .. })));
    }
    for error in read_all(envelope.reader(Enclosing(outer()?), &none())?) {
        assert_eq!(kinds(&error), (io::ErrorKind::InvalidData, ErrorKind::InvalidMessage));
        assert!(error.to_string().contains("cannot fetch the object"), "{error}");
    }
    Ok(())
}

#[test]
fn of_random_access() -> Result<()> {
    let envelope = envelope(16);
    let mut message = envelope.encrypt(&[7; 40], &none())?;
    let header = inspect(&message)?.encoded_length();
    message[header + 20] ^= 1;
    let mut reader = envelope.random_access_reader(Cursor::new(&message), &none())?;
    let error = reader.read(&mut [0; 10]).expect_err("altered");
    assert_eq!(kinds(&error), (io::ErrorKind::InvalidData, ErrorKind::InvalidMessage));
    let error = reader.seek(SeekFrom::Current(-1)).expect_err("before the start");
    assert_eq!(kinds(&error), (io::ErrorKind::InvalidInput, ErrorKind::Validation));
    Ok(())
}

#[test]
fn of_a_writer() -> Result<()> {
    let envelope = envelope(16);
    let header = envelope.encrypt(&[], &none())?.len() - 40;
    let mut writer = envelope.writer(Full(header + 20), &none())?;
    check_outside(&writer.write_all(&[7; 40]).expect_err("full"));
    let after = [writer.write_all(&[7; 40]), writer.flush()].map(|result| result.expect_err("it failed before"));
    assert_eq!(after.map(|error| kinds(&error)), [(io::ErrorKind::Other, ErrorKind::Io); 2]);
    let mut writer = envelope.writer(Full(1000), &none())?;
    check_outside(&writer.flush().expect_err("flushing fails"));
    for room in [header + 20, 1000] {
        let error = envelope.writer(Full(room), &none())?.finish().map(drop).expect_err("full, or cannot be flushed");
        assert_eq!((error.kind(), error.downcast_ref()), (ErrorKind::Io, Some(&Status(503))));
    }
    Ok(())
}

#[cfg(feature = "tokio")]
mod asynchronous;
