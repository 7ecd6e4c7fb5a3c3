//! Writing a message without I/O: the caller supplies plaintext and receives ciphertext.

#[cfg(feature = "object_store")]
mod frames;

use zeroize::Zeroizing;

use super::derive;
use super::error::MessageError;
use super::frame::{FINAL_OVERHEAD, FrameCipher, REGULAR_OVERHEAD};
use super::header::{self, HeaderForm, HeaderParts};
use super::parallel::{Parallelism, process_chunks};
use super::signing::MessageSigner;
use super::suite::SuiteSupport;
use crate::crypto::{CryptoBackend, NONCE_LENGTH};
use crate::secret::SecretBytes;

#[cfg(feature = "object_store")]
pub(crate) use frames::{FrameSealer, FrameSpan};

/// The result of one step of [`Sealer::update`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Bytes of plaintext consumed.
    pub(crate) consumed: usize,
    /// Bytes of the message written to the output.
    pub(crate) written: usize,
}

/// A message being written: first the header, then the frames.
///
/// A frame is sealed only once it is known whether another one follows. Therefore, up to one step
/// of plaintext is buffered: one frame, or several frames per thread with multiple threads. The
/// final frame is empty only if the plaintext is empty.
pub(crate) struct Sealer {
    header: Vec<u8>,
    cipher: FrameCipher,
    frame_length: usize,
    parallelism: Parallelism,
    sequence: u32,
    held: Zeroizing<Vec<u8>>,
    signer: Option<MessageSigner>,
}

impl Sealer {
    /// Derives the keys of the message and creates its header. There is a signer if the suite has
    /// signatures. The context of the message contains the signer's public key.
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
        let keys = derive::derive(backend, parts.suite, data_key, parts.message_id, HeaderForm::Standard)?;
        let body = parts.write_body(keys.commitment()).map_err(MessageError::Unwritable)?;
        let key = keys.into_content_key();
        let nonce = [0; NONCE_LENGTH];
        let bound = header::authenticated(body.as_bytes(), parts.omitted_context, HeaderForm::Standard);
        let tag = key.seal(&nonce, &bound, &[], &mut [])?;
        let header = header::append_authentication(body, parts.suite.version(), &nonce, &tag);
        if let Some(signer) = &mut signer {
            signer.update(&header);
        }
        Ok(Self {
            header,
            cipher: FrameCipher::new(key, *parts.message_id),
            frame_length: usize::try_from(parts.frame_length).unwrap_or(usize::MAX),
            parallelism: Parallelism::default(),
            sequence: 1,
            held: Zeroizing::default(),
            signer,
        })
    }

    /// Seals frames on multiple threads.
    pub(crate) fn with_parallelism(mut self, parallelism: Parallelism) -> Self {
        self.parallelism = parallelism;
        self
    }

    /// Returns the header, which must be written first.
    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    /// Returns the length of the complete message for a plaintext of this length, or `None` on
    /// overflow.
    pub(crate) fn message_length(&self, plaintext: usize) -> Option<usize> {
        let regular = plaintext.saturating_sub(1) / self.frame_length;
        let overhead = regular.checked_mul(REGULAR_OVERHEAD)?.checked_add(FINAL_OVERHEAD)?;
        plaintext.checked_add(overhead)?.checked_add(self.header.len())?.checked_add(self.footer_length())
    }

    fn footer_length(&self) -> usize {
        self.signer.as_ref().map_or(0, MessageSigner::footer_length)
    }

    /// Returns the plaintext length of one step of a stream in bytes, a multiple of the frame
    /// length.
    fn step_plaintext(&self) -> usize {
        self.frame_length.saturating_mul(self.parallelism.frames_per_step(self.frame_length))
    }

    /// Returns the encoded length of full regular frames with this plaintext length, in bytes.
    fn sealed_length(&self, plaintext: usize) -> usize {
        plaintext + plaintext / self.frame_length * REGULAR_OVERHEAD
    }

    /// Returns the number of bytes that [`Sealer::update`] writes for this many bytes of plaintext.
    pub(crate) fn update_length(&self, plaintext: usize) -> usize {
        let step = self.step_plaintext();
        let seals = if self.held.is_empty() { plaintext > step } else { self.held.len() == step && plaintext > 0 };
        if seals { self.sealed_length(step) } else { 0 }
    }

    /// Returns the number of bytes that [`Sealer::finish`] writes.
    pub(crate) fn finish_length(&self) -> usize {
        self.end_length(self.held.len())
    }

    /// Returns the length of the message after its header if only this plaintext follows, in bytes.
    fn end_length(&self, plaintext: usize) -> usize {
        let regular = plaintext.saturating_sub(1) / self.frame_length;
        plaintext + regular * REGULAR_OVERHEAD + FINAL_OVERHEAD + self.footer_length()
    }

    /// Writes the complete message to `output`, which has [`Sealer::message_length`] bytes.
    pub(crate) fn seal_whole(self, plaintext: &[u8], output: &mut [u8]) -> Result<(), MessageError> {
        let (header, rest) = output.split_at_mut(self.header.len());
        header.copy_from_slice(&self.header);
        self.seal_rest(plaintext, rest)
    }

    /// Consumes plaintext and seals at most one step into `output`, which has at least
    /// [`Sealer::update_length`] bytes.
    ///
    /// A step that is completely contained in `plaintext` is sealed directly from it; only a
    /// remainder that does not fill a step is buffered.
    pub(crate) fn update(&mut self, plaintext: &[u8], output: &mut [u8]) -> Result<Sealed, MessageError> {
        let step = self.step_plaintext();
        let written = self.update_length(plaintext.len());
        if written > 0 && self.held.is_empty() {
            self.seal_frames(&plaintext[..step], &mut output[..written])?;
            return Ok(Sealed { consumed: step, written });
        }
        if written > 0 {
            let held = std::mem::take(&mut self.held);
            self.seal_frames(&held, &mut output[..written])?;
            self.held = held;
            self.held.clear();
        }
        let consumed = plaintext.len().min(step - self.held.len());
        self.hold(&plaintext[..consumed]);
        Ok(Sealed { consumed, written })
    }

    /// Seals the buffered plaintext as the end of the message into `output`, which has
    /// [`Sealer::finish_length`] bytes.
    pub(crate) fn finish(mut self, output: &mut [u8]) -> Result<(), MessageError> {
        let held = std::mem::take(&mut self.held);
        self.seal_rest(&held, output)
    }

    /// Seals the remaining plaintext: regular frames, the final frame, and the footer of a signed
    /// message.
    fn seal_rest(mut self, plaintext: &[u8], output: &mut [u8]) -> Result<(), MessageError> {
        let regular = plaintext.len().saturating_sub(1) / self.frame_length * self.frame_length;
        let (plaintext, last) = plaintext.split_at(regular);
        let (frames, rest) = output.split_at_mut(self.sealed_length(regular));
        self.seal_frames(plaintext, frames)?;
        let (frame, footer) = rest.split_at_mut(last.len() + FINAL_OVERHEAD);
        self.cipher.seal_final(self.sequence, last, frame)?;
        if let Some(mut signer) = self.signer {
            signer.update(frame);
            footer.copy_from_slice(&signer.finish()?);
        }
        Ok(())
    }

    /// Seals full regular frames into `output`, which has [`Sealer::sealed_length`] bytes.
    fn seal_frames(&mut self, plaintext: &[u8], output: &mut [u8]) -> Result<(), MessageError> {
        let frames = plaintext.len() / self.frame_length;
        let sequence = self.sequence;
        let next = u32::try_from(frames).ok().and_then(|frames| sequence.checked_add(frames));
        self.sequence = next.ok_or(MessageError::TooManyFrames)?;
        let (cipher, frame_length) = (&self.cipher, self.frame_length);
        if !self.parallelism.divides(frames, frame_length) {
            return seal_chunk(cipher, frame_length, sequence, plaintext, output, self.signer.as_mut());
        }
        let per_chunk = self.parallelism.frames_per_chunk(frame_length);
        let plaintexts = plaintext.chunks(per_chunk * frame_length);
        let outputs = output.chunks_mut(per_chunk * (frame_length + REGULAR_OVERHEAD));
        let sequences = (sequence..=u32::MAX).step_by(per_chunk);
        let work = |chunk: &mut (u32, (&[u8], &mut [u8]))| {
            let (sequence, (plaintext, output)) = chunk;
            seal_chunk(cipher, frame_length, *sequence, plaintext, output, None)
        };
        let chunks = sequences.zip(plaintexts.zip(outputs));
        process_chunks(self.parallelism.threads, chunks, work, self.signer.as_mut(), |signer, chunk| {
            signer.update(chunk.1.1);
        })
        .map_err(|failure| failure.error)
    }

    /// Buffers plaintext. A larger buffer is newly allocated, so that the old one is wiped.
    fn hold(&mut self, plaintext: &[u8]) {
        let needed = self.held.len() + plaintext.len();
        if needed > self.held.capacity() {
            let capacity = needed.saturating_mul(2).min(self.step_plaintext());
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&self.held);
            self.held = larger;
        }
        self.held.extend_from_slice(plaintext);
    }
}

/// Seals consecutive regular frames, starting with this sequence number, and passes them to the
/// signer.
fn seal_chunk(
    cipher: &FrameCipher,
    frame_length: usize,
    sequence: u32,
    plaintext: &[u8],
    output: &mut [u8],
    mut signer: Option<&mut MessageSigner>,
) -> Result<(), MessageError> {
    let frames = plaintext.chunks(frame_length).zip(output.chunks_mut(frame_length + REGULAR_OVERHEAD));
    for (sequence, (plaintext, output)) in (sequence..=u32::MAX).zip(frames) {
        cipher.seal_regular(sequence, plaintext, output)?;
        if let Some(signer) = &mut signer {
            signer.update(output);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
