//! An envelope over one raw AES key, and the reason of a refusal.

use strongroom::message::MessageError;
use strongroom::{Envelope, Error, RawAesKeyring, SecretBytes};

pub(crate) fn keyring() -> RawAesKeyring {
    RawAesKeyring::new("ns", "kn", SecretBytes::from_vec((0..32).collect())).expect("a keyring")
}

pub(crate) fn envelope(frame_length: u32) -> Envelope {
    Envelope::builder(keyring()).frame_length(frame_length).build().expect("an envelope")
}

pub(crate) fn refusal(error: &Error) -> Option<&MessageError> {
    error.downcast_ref()
}
