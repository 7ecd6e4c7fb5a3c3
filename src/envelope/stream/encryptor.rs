//! Encryption without input or output: plaintext is pushed in, and the message is appended to a
//! vector.

use std::fmt;

use super::error::failed_before;
use crate::error::Result;
use crate::message::Sealer;

/// Encrypts plaintext that is pushed into it: for event loops, foreign buffers, and anything else
/// that is not an [`io::Write`](std::io::Write). Performs no input or output and never blocks.
///
/// Created by [`Envelope::encryptor`](crate::Envelope::encryptor). Call
/// [`finish`](EnvelopeEncryptor::finish) to complete the message; every reader rejects an
/// incomplete one. Buffers as much as an [`EnvelopeWriter`](super::EnvelopeWriter). After an error,
/// the message is lost and every further call fails.
///
/// # Examples
/// ```
/// use strongroom::envelope::RawAesKeyring;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let envelope = Envelope::new(RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?);
/// let mut encryptor = envelope.encryptor(&EncryptionContext::new())?;
/// let mut message = Vec::new();
/// encryptor.update(b"attack ", &mut message)?;
/// encryptor.update(b"at dawn", &mut message)?;
/// encryptor.finish(&mut message)?;
/// assert_eq!(envelope.decrypt(&message, &EncryptionContext::new())?, b"attack at dawn");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[must_use = "every reader rejects a message that was not finished"]
pub struct EnvelopeEncryptor {
    /// `None` after an error.
    sealer: Option<Sealer>,
    header_is_out: bool,
}

impl EnvelopeEncryptor {
    pub(in crate::envelope) const fn new(sealer: Sealer) -> Self {
        Self { sealer: Some(sealer), header_is_out: false }
    }

    /// Accepts plaintext of any length, and appends the parts of the message that are ready to
    /// `message`. The first call also appends the header.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the plaintext has more frames
    ///   than can be numbered.
    /// - Any error of the backend. Nothing of the failed frame is appended.
    pub fn update(&mut self, mut plaintext: &[u8], message: &mut Vec<u8>) -> Result<()> {
        // The sealer is put back only on success, because the message cannot continue after any
        // failure.
        let mut sealer = self.start(message)?;
        while !plaintext.is_empty() {
            let start = message.len();
            message.resize(start + sealer.update_length(plaintext.len()), 0);
            let sealed = sealer.update(plaintext, &mut message[start..]).inspect_err(|_| message.truncate(start))?;
            plaintext = &plaintext[sealed.consumed..];
        }
        self.sealer = Some(sealer);
        Ok(())
    }

    /// Appends the end of the message.
    ///
    /// # Errors
    /// - The errors of [`EnvelopeEncryptor::update`].
    pub fn finish(mut self, message: &mut Vec<u8>) -> Result<()> {
        let sealer = self.start(message)?;
        let start = message.len();
        message.resize(start + sealer.finish_length(), 0);
        Ok(sealer.finish(&mut message[start..]).inspect_err(|_| message.truncate(start))?)
    }

    fn start(&mut self, message: &mut Vec<u8>) -> Result<Sealer> {
        let sealer = self.sealer.take().ok_or_else(failed_before)?;
        if !self.header_is_out {
            message.extend_from_slice(sealer.header());
            self.header_is_out = true;
        }
        Ok(sealer)
    }
}

impl fmt::Debug for EnvelopeEncryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeEncryptor").field("failed", &self.sealer.is_none()).finish_non_exhaustive()
    }
}
