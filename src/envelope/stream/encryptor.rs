//! Writing a message without any input or output: plaintext is pushed in, the message is appended to a vector.

use std::fmt;

use super::error::failed_before;
use crate::error::Result;
use crate::message::Sealer;

/// Encrypts plaintext that is pushed into it: for event loops, foreign buffers, whatever is no
/// [`io::Write`](std::io::Write). Does no input or output and never waits.
///
/// Made by [`Envelope::encryptor`](crate::Envelope::encryptor), and ended with [`finish`](EnvelopeEncryptor::finish): without it every reader refuses
/// the message. Holds what an [`EnvelopeWriter`](super::EnvelopeWriter) holds. After an error the message is lost, and every
/// further call fails.
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
#[must_use = "a message that is not finished is refused by every reader"]
pub struct EnvelopeEncryptor {
    /// Gone after an error.
    sealer: Option<Sealer>,
    header_is_out: bool,
}

impl EnvelopeEncryptor {
    pub(in crate::envelope) const fn new(sealer: Sealer) -> Self {
        Self { sealer: Some(sealer), header_is_out: false }
    }

    /// Takes in all of some plaintext, of any length, and appends to `message` what is ready of it. The first call appends
    /// the header too.
    ///
    /// # Errors
    /// [`ErrorKind::Validation`](crate::ErrorKind::Validation) if the plaintext has more frames than can be numbered, and whatever keeps the backend from
    /// encrypting. Of the frame that failed nothing is appended.
    pub fn update(&mut self, mut plaintext: &[u8], message: &mut Vec<u8>) -> Result<()> {
        // Taken out until all went well: whatever fails, the message cannot go on.
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
    /// As [`EnvelopeEncryptor::update`].
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
