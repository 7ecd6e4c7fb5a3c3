//! Re-encryption of messages under other keys.

use std::io;

use zeroize::Zeroizing;

use super::envelope::Envelope;
use crate::context::{EncryptionContext, RESERVED_CONTEXT_PREFIX};
use crate::envelope::stream::EnvelopeReader;
use crate::error::{Error, ErrorKind, Result};

/// Number of plaintext bytes in transit at a time, in addition to one frame on either side.
const STEP: usize = 64 * 1024;

impl Envelope {
    /// Reads a message from `message` and writes its plaintext to `output` as a new message of
    /// another envelope: under other keys, in another suite, or with another frame length. The
    /// context stays the same. The complete plaintext is never in memory.
    ///
    /// If the operation fails, the output is an incomplete message, which every reader rejects.
    ///
    /// Replacing only the wrapped data keys in the header would be cheaper, but it is not secure.
    /// The header's tag would be computed a second time under the same key and nonce, which reveals
    /// the authentication key.
    ///
    /// # Errors
    /// - The errors of [`Envelope::reader`] and of reading, and those of [`Envelope::writer`] and
    ///   of writing.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let old = Envelope::new(RawAesKeyring::new("laboratory", "2025", SecretBytes::copy_from_slice(&[1; 32]))?);
    /// let new = Envelope::new(RawAesKeyring::new("laboratory", "2026", SecretBytes::copy_from_slice(&[2; 32]))?);
    /// let context = EncryptionContext::from([("tenant", "42")]);
    /// let message = old.encrypt(b"attack at dawn", &context)?;
    ///
    /// let moved = old.re_encrypt(&message[..], &context, &new, Vec::new())?;
    /// assert_eq!(new.decrypt(&moved, &context)?, b"attack at dawn");
    /// assert!(old.decrypt(&moved, &context).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn re_encrypt<R: io::Read, W: io::Write>(
        &self,
        message: R,
        expect_context: &EncryptionContext,
        to: &Self,
        output: W,
    ) -> Result<W> {
        move_plaintext(self.reader(message, expect_context)?, &EncryptionContext::new(), to, output)
    }

    /// Re-encrypts a message whose header omits a part of its context, which the caller supplies:
    /// see [`Envelope::decrypt_with_reproduced_context`]. The new message has the complete context,
    /// and `to` determines which pairs its header omits.
    ///
    /// # Errors
    /// - The errors of [`Envelope::re_encrypt`] and, concerning the context, those of
    ///   [`Envelope::decrypt_with_reproduced_context`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{DefaultMaterialsManager, RawAesKeyring, RequiredContextManager};
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = |name: &str| RawAesKeyring::new("laboratory", name, SecretBytes::zeroed(32));
    /// let manager = RequiredContextManager::new(DefaultMaterialsManager::new(keyring("2025")?), ["patient"])?;
    /// let (old, new) = (Envelope::new(manager), Envelope::new(keyring("2026")?));
    /// let patient = EncryptionContext::from([("patient", "Doe")]);
    /// let letter = old.encrypt(b"all is well", &patient)?;
    ///
    /// let moved = old.re_encrypt_with_reproduced_context(&letter[..], &patient, &new, Vec::new())?;
    /// assert_eq!(new.decrypt(&moved, &patient)?, b"all is well"); // the header contains the pair now
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn re_encrypt_with_reproduced_context<R: io::Read, W: io::Write>(
        &self,
        message: R,
        reproduced: &EncryptionContext,
        to: &Self,
        output: W,
    ) -> Result<W> {
        move_plaintext(self.reader_with_reproduced_context(message, reproduced)?, reproduced, to, output)
    }
}

/// Writes the plaintext of a reader as a message of an envelope, with the context of its header and
/// additional pairs.
fn move_plaintext<R: io::Read, W: io::Write>(
    mut reader: EnvelopeReader<R>,
    beside: &EncryptionContext,
    to: &Envelope,
    output: W,
) -> Result<W> {
    // The public key of a signed message belongs to its signature.
    let pairs = reader.header().context().iter().chain(beside.iter());
    let context = pairs.filter(|(name, _)| !name.starts_with(RESERVED_CONTEXT_PREFIX)).collect();
    let mut writer = to.writer(output, &context)?;
    let mut buffer = Zeroizing::new(vec![0; STEP]);
    loop {
        match io::Read::read(&mut reader, &mut buffer) {
            Ok(0) => return writer.finish(),
            Ok(length) => io::Write::write_all(&mut writer, &buffer[..length]).map_err(unwrapped)?,
            // This is never an interruption, because the reader retries those itself.
            Err(error) => return Err(unwrapped(error)),
        }
    }
}

/// Returns the error of this crate inside, if there is one.
fn unwrapped(error: io::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|error| {
        Error::new(ErrorKind::Io, format!("cannot copy the message: {error}")).with_source(error)
    })
}
