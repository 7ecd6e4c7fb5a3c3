//! Writing a message, without input or output of its own: who calls brings plaintext and takes ciphertext away.

use zeroize::Zeroizing;

use super::derive;
use super::error::MessageError;
use super::frame::{FINAL_OVERHEAD, FrameCipher, REGULAR_OVERHEAD};
use super::header::{self, HeaderParts};
use super::signing::MessageSigner;
use super::suite::SuiteSupport;
use crate::crypto::{CryptoBackend, NONCE_LENGTH};
use crate::secret::SecretBytes;

/// What one step of [`Sealer::update`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Bytes of plaintext taken.
    pub(crate) consumed: usize,
    /// Bytes of the message written to the output.
    pub(crate) written: usize,
}

/// A message being written: header first, then frames.
///
/// A frame is sealed when it is known whether another one follows, so up to one frame of plaintext is held back. The
/// final frame is never empty unless the plaintext is.
pub(crate) struct Sealer {
    header: Vec<u8>,
    cipher: FrameCipher,
    frame_length: usize,
    sequence: u32,
    held: Zeroizing<Vec<u8>>,
    signer: Option<MessageSigner>,
}

impl Sealer {
    /// Derives the keys of the message and makes its header. The public key of the signer stands in the context of the
    /// message; there is a signer if the suite has signatures.
    pub(crate) fn new(
        backend: &CryptoBackend,
        parts: &HeaderParts<'_>,
        data_key: &SecretBytes,
        mut signer: Option<MessageSigner>,
    ) -> Result<Self, MessageError> {
        if parts.suite.support() != SuiteSupport::Full {
            return Err(MessageError::SuiteNotWritten(parts.suite));
        }
        if parts.suite.signature().is_some() != signer.is_some() {
            return Err(MessageError::PublicKeyPresence(parts.suite));
        }
        let keys = derive::derive(backend, parts.suite, data_key, parts.message_id)?;
        let body = parts.write_body(keys.commitment()).map_err(MessageError::Unwritable)?;
        let key = keys.into_content_key();
        let nonce = [0; NONCE_LENGTH];
        let bound = header::authenticated(body.as_bytes(), parts.omitted_context);
        let tag = key.seal(&nonce, &bound, &[], &mut [])?;
        let header = header::append_authentication(body, parts.suite.version(), &nonce, &tag);
        if let Some(signer) = &mut signer {
            signer.update(&header);
        }
        Ok(Self {
            header,
            cipher: FrameCipher::new(key, *parts.message_id),
            frame_length: usize::try_from(parts.frame_length).unwrap_or(usize::MAX),
            sequence: 1,
            held: Zeroizing::default(),
            signer,
        })
    }

    /// The header, to be written before anything else.
    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    /// Bytes of the whole message for a plaintext of this length, if that can be counted.
    pub(crate) fn message_length(&self, plaintext: usize) -> Option<usize> {
        let regular = plaintext.saturating_sub(1) / self.frame_length;
        let overhead = regular.checked_mul(REGULAR_OVERHEAD)?.checked_add(FINAL_OVERHEAD)?;
        plaintext.checked_add(overhead)?.checked_add(self.header.len())?.checked_add(self.footer_length())
    }

    fn footer_length(&self) -> usize {
        self.signer.as_ref().map_or(0, MessageSigner::footer_length)
    }

    /// The most bytes that one [`Sealer::update`] or [`Sealer::finish`] writes.
    pub(crate) fn step_length(&self) -> usize {
        self.frame_length.saturating_add(FINAL_OVERHEAD).saturating_add(self.footer_length())
    }

    /// Writes the whole message into `output`, which has [`Sealer::message_length`] bytes.
    pub(crate) fn seal_whole(mut self, mut plaintext: &[u8], output: &mut [u8]) -> Result<(), MessageError> {
        let (header, mut rest) = output.split_at_mut(self.header.len());
        header.copy_from_slice(&self.header);
        while plaintext.len() > self.frame_length {
            let (frame, later) = plaintext.split_at(self.frame_length);
            let (sealed, behind) = rest.split_at_mut(self.frame_length + REGULAR_OVERHEAD);
            self.seal_regular(frame, sealed)?;
            (plaintext, rest) = (later, behind);
        }
        self.seal_end(plaintext, rest)
    }

    /// Takes some plaintext and seals at most one frame into `output`, which has [`Sealer::step_length`] bytes.
    ///
    /// A frame that lies whole in `plaintext` is sealed from there; only what does not fill one is held.
    pub(crate) fn update(&mut self, plaintext: &[u8], output: &mut [u8]) -> Result<Sealed, MessageError> {
        let frame_length = self.frame_length;
        let sealed_length = frame_length + REGULAR_OVERHEAD;
        if self.held.is_empty() && plaintext.len() > frame_length {
            self.seal_regular(&plaintext[..frame_length], &mut output[..sealed_length])?;
            return Ok(Sealed { consumed: frame_length, written: sealed_length });
        }
        let mut written = 0;
        if self.held.len() == frame_length && !plaintext.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.seal_regular(&held, &mut output[..sealed_length])?;
            self.held = held;
            self.held.clear();
            written = sealed_length;
        }
        let consumed = plaintext.len().min(frame_length - self.held.len());
        self.hold(&plaintext[..consumed]);
        Ok(Sealed { consumed, written })
    }

    /// Seals what is held as the final frame into `output`, which has [`Sealer::step_length`] bytes, and returns how
    /// many were written.
    pub(crate) fn finish(mut self, output: &mut [u8]) -> Result<usize, MessageError> {
        let held = std::mem::take(&mut self.held);
        let written = held.len() + FINAL_OVERHEAD + self.footer_length();
        self.seal_end(&held, &mut output[..written])?;
        Ok(written)
    }

    /// Seals the final frame, and behind it the footer of a signed message.
    fn seal_end(self, plaintext: &[u8], output: &mut [u8]) -> Result<(), MessageError> {
        let (frame, footer) = output.split_at_mut(plaintext.len() + FINAL_OVERHEAD);
        self.cipher.seal_final(self.sequence, plaintext, frame)?;
        if let Some(mut signer) = self.signer {
            signer.update(frame);
            footer.copy_from_slice(&signer.finish()?);
        }
        Ok(())
    }

    fn seal_regular(&mut self, plaintext: &[u8], output: &mut [u8]) -> Result<(), MessageError> {
        self.cipher.seal_regular(self.sequence, plaintext, output)?;
        if let Some(signer) = &mut self.signer {
            signer.update(output);
        }
        self.sequence = self.sequence.checked_add(1).ok_or(MessageError::TooManyFrames)?;
        Ok(())
    }

    /// Keeps plaintext. The buffer grows by moving to a new one, so that the old one is wiped.
    fn hold(&mut self, plaintext: &[u8]) {
        let needed = self.held.len() + plaintext.len();
        if needed > self.held.capacity() {
            let capacity = needed.saturating_mul(2).min(self.frame_length);
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&self.held);
            self.held = larger;
        }
        self.held.extend_from_slice(plaintext);
    }
}

#[cfg(test)]
mod tests;
