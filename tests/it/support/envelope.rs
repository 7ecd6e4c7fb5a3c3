//! An envelope with one raw AES key, reading in steps, and the reason for a rejection.

use std::io::{self, Read};

use strongroom::envelope::RawAesKeyring;
use strongroom::message::MessageError;
use strongroom::{EncryptionContext, Envelope, Error, Result, SecretBytes};

pub(crate) fn keyring() -> RawAesKeyring {
    RawAesKeyring::new("ns", "kn", SecretBytes::from_vec((0..32).collect())).expect("a keyring")
}

pub(crate) fn envelope(frame_length: u32) -> Envelope {
    Envelope::builder(keyring()).frame_length(frame_length).build().expect("an envelope")
}

pub(crate) fn refusal(error: &Error) -> Option<&MessageError> {
    error.downcast_ref()
}

pub(crate) fn none() -> EncryptionContext {
    EncryptionContext::new()
}

/// Reads to the end or to a failure in steps of the given length. Returns the released plaintext
/// and the result.
pub(crate) fn drain(mut reader: impl Read, step: usize) -> (Vec<u8>, io::Result<()>) {
    let (mut released, mut buffer) = (Vec::new(), vec![0; step]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return (released, Ok(())),
            Ok(length) => released.extend_from_slice(&buffer[..length]),
            Err(error) => return (released, Err(error)),
        }
    }
}

/// Like [`drain`], but with the error of this crate. A reader that cannot be opened releases
/// nothing.
pub(crate) fn read_in_steps(reader: Result<impl Read>, step: usize) -> (Vec<u8>, Result<()>) {
    let (released, end) = match reader {
        Ok(reader) => drain(reader, step),
        Err(error) => return (Vec::new(), Err(error)),
    };
    (released, end.map_err(|error| error.downcast::<Error>().expect("an error of this crate")))
}
