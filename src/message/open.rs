//! Opening a message without I/O. Nothing is released before it is authenticated.
//!
//! Opening takes these steps: [`HeaderParser`](super::header::HeaderParser) parses the header, and
//! [`check_readable`] checks whether this release can read the message. A keyring finds the data
//! key, and [`Opener::in_form`] verifies the commitment and the header. The frames follow one by
//! one.

#[cfg(feature = "object_store")]
mod frames;

use zeroize::Zeroize;

use super::aad::FrameKind;
use super::buffer::prepare_secret;
use super::derive;
use super::error::MessageError;
use super::frame::{FINAL_OVERHEAD, Frame, FrameCipher, REGULAR_OVERHEAD, SINGLE_OVERHEAD};
use super::header::{Header, HeaderForm, PUBLIC_KEY_NAME, authenticated};
use super::limits::{LARGEST_UNFRAMED_BODY, Limits};
use super::parallel::{Failure, Parallelism, process_chunks};
use super::signing::MessageVerifier;
use crate::crypto::{CryptoBackend, CryptoError};
use crate::secret::SecretBytes;

#[cfg(feature = "object_store")]
pub(crate) use frames::FrameOpener;

/// Rejects contradictory headers before any key is requested.
pub(crate) fn check_readable(header: &Header) -> Result<(), MessageError> {
    let suite = header.suite();
    // A public key with an unsigned suite indicates a stripped signature.
    if header.context().get(PUBLIC_KEY_NAME).is_some() != suite.signature().is_some() {
        return Err(MessageError::PublicKeyPresence(suite));
    }
    Ok(())
}

/// A message being read, starting at its first frame.
pub(crate) struct Opener {
    cipher: FrameCipher,
    frame_length: Option<u32>,
    max_unframed_body: u64,
    /// The next expected sequence number, or `None` after the end.
    next: Option<u32>,
    verifier: Option<MessageVerifier>,
    parallelism: Parallelism,
}

/// Consecutive frames that are opened by one thread.
struct Chunk<'a> {
    /// The sequence number of the first frame.
    sequence: u32,
    encoded: &'a [u8],
    plaintext: &'a mut [u8],
    /// The number of opened frames.
    opened: usize,
    /// The encoded length of the opened frames in bytes.
    opened_bytes: usize,
}

impl Chunk<'_> {
    /// Returns the opened frames as received.
    fn opened_encoded(&self) -> &[u8] {
        &self.encoded[..self.opened_bytes]
    }
}

impl Opener {
    /// Calls [`Opener::in_form`] with the standard form.
    #[cfg(test)]
    pub(crate) fn new(
        backend: &CryptoBackend,
        header: &Header,
        omitted_context: &[u8],
        data_key: &SecretBytes,
        limits: &Limits,
    ) -> Result<Self, MessageError> {
        Self::in_form(HeaderForm::Standard, backend, header, omitted_context, data_key, limits)
    }

    /// Verifies that the header commits to the data key, then authenticates the header together
    /// with `omitted_context`, the canonical serialization of the context pairs that it omits.
    pub(crate) fn in_form(
        form: HeaderForm,
        backend: &CryptoBackend,
        header: &Header,
        omitted_context: &[u8],
        data_key: &SecretBytes,
        limits: &Limits,
    ) -> Result<Self, MessageError> {
        let verifier = verifier(backend, header)?;
        let keys = derive::derive(backend, header.suite(), data_key, header.message_id(), form)?;
        if !keys.commits_to(header.commitment()) {
            return Err(MessageError::CommitmentMismatch);
        }
        let key = keys.into_content_key();
        let bound = authenticated(header.body(), omitted_context, form);
        key.open(header.nonce(), &bound, &[], header.tag(), &mut []).map_err(|error| match error {
            CryptoError::NotAuthentic => MessageError::HeaderAuth,
            other => MessageError::Backend(other),
        })?;
        Ok(Self {
            cipher: FrameCipher::new(key, *header.message_id()),
            frame_length: header.frame_length(),
            max_unframed_body: limits.max_unframed_body().min(LARGEST_UNFRAMED_BODY),
            next: Some(1),
            verifier,
            parallelism: Parallelism::default(),
        })
    }

    /// Opens frames on multiple threads.
    pub(crate) fn with_parallelism(mut self, parallelism: Parallelism) -> Self {
        self.parallelism = parallelism;
        self
    }

    /// Returns `true` if a signature at the end of the message remains to be verified.
    #[cfg(test)]
    pub(crate) const fn is_signed(&self) -> bool {
        self.verifier.is_some()
    }

    /// Returns `true` if the end of the message has been opened.
    pub(crate) const fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// Parses the next frame at the start of `bytes`.
    ///
    /// # Errors
    /// - [`MessageError::Truncated`] with the number of bytes needed to continue, until the frame
    ///   is complete
    /// - [`MessageError::TrailingData`] after the end
    pub(crate) fn read<'a>(&self, bytes: &'a [u8]) -> Result<Frame<'a>, MessageError> {
        let sequence = self.next.ok_or(MessageError::TrailingData)?;
        let frame = match self.frame_length {
            Some(frame_length) => Frame::read(bytes, sequence, frame_length)?,
            None => Frame::read_single(bytes, self.max_unframed_body)?,
        };
        if frame.is_last() && self.verifier.is_some() { frame.with_footer(bytes) } else { Ok(frame) }
    }

    /// Opens the frame that [`Opener::read`] returned into `plaintext`, which has
    /// [`Frame::plaintext_length`] bytes. The last frame of a signed message is opened only if the
    /// signature over the whole message verifies.
    pub(crate) fn open(&mut self, frame: &Frame<'_>, plaintext: &mut [u8]) -> Result<(), MessageError> {
        if self.next != Some(frame.sequence) {
            return Err(MessageError::BadSequence { expected: self.next.unwrap_or(0), found: frame.sequence });
        }
        self.cipher.open(frame, plaintext)?;
        self.verify(frame).inspect_err(|_| plaintext.zeroize())?;
        self.next = match frame.kind {
            FrameKind::Regular => frame.sequence.checked_add(1),
            FrameKind::Final | FrameKind::Single => None,
        };
        Ok(())
    }

    fn verify(&mut self, frame: &Frame<'_>) -> Result<(), MessageError> {
        let Some(verifier) = &mut self.verifier else { return Ok(()) };
        verifier.update(frame.encoded);
        match (frame.is_last(), frame.signature, self.verifier.take()) {
            (true, Some(signature), Some(verifier)) => verifier.finish(signature),
            (true, _, _) => Err(MessageError::Signature),
            (false, _, verifier) => {
                self.verifier = verifier;
                Ok(())
            }
        }
    }

    /// Returns the plaintext length and the encoded length of one step of a multi-threaded stream,
    /// in bytes. Returns `None` if there is one thread or the body is unframed.
    pub(crate) fn step(&self) -> Option<(usize, usize)> {
        let frame_length = self.frame_length.and_then(|length| usize::try_from(length).ok())?;
        let frames = self.parallelism.frames_per_step(frame_length);
        let plaintext = frames.checked_mul(frame_length)?;
        let encoded = plaintext.checked_add(frames.checked_mul(REGULAR_OVERHEAD)?)?;
        (self.parallelism.threads > 1).then_some((plaintext, encoded))
    }

    /// Opens complete regular frames at the start of `bytes` on all threads, up to the capacity of
    /// `plaintext`. Returns the number of opened frames, or 0 if there are too few to be divided.
    ///
    /// Stops before the first frame that is not a valid regular frame, without reporting the
    /// reason. [`Opener::read`] and [`Opener::open`] return the same result for that frame as if
    /// they had opened the preceding ones. The remainder of `plaintext` is zero.
    pub(crate) fn open_chunks(&mut self, bytes: &[u8], plaintext: &mut [u8]) -> usize {
        let (Some(sequence), Some(length)) = (self.next, self.frame_length) else { return 0 };
        let Ok(frame_length) = usize::try_from(length) else { return 0 };
        let encoded_length = frame_length.saturating_add(REGULAR_OVERHEAD);
        let frames = (bytes.len() / encoded_length).min(plaintext.len() / frame_length);
        if !self.parallelism.divides(frames, frame_length) {
            return 0;
        }
        let per_chunk = self.parallelism.frames_per_chunk(frame_length);
        let encoded = bytes[..frames * encoded_length].chunks(per_chunk * encoded_length);
        let plaintexts = plaintext[..frames * frame_length].chunks_mut(per_chunk * frame_length);
        let chunks = (sequence..=u32::MAX)
            .step_by(per_chunk)
            .zip(encoded.zip(plaintexts))
            .map(|(sequence, (encoded, plaintext))| Chunk { sequence, encoded, plaintext, opened: 0, opened_bytes: 0 });
        let work = |chunk: &mut Chunk<'_>| open_chunk(&self.cipher, length, chunk);
        let verify = |verifier: &mut &mut MessageVerifier, chunk: &Chunk<'_>| verifier.update(chunk.opened_encoded());
        let result = process_chunks(self.parallelism.threads, chunks, work, self.verifier.as_mut(), verify);
        let mut opened = frames;
        if let Err(Failure { chunk, .. }) = result {
            opened = usize::try_from(chunk.sequence - sequence).unwrap_or(usize::MAX) + chunk.opened;
            if let Some(verifier) = &mut self.verifier {
                verifier.update(chunk.opened_encoded());
            }
            plaintext[opened * frame_length..].zeroize();
        }
        self.next = u32::try_from(opened).ok().and_then(|opened| sequence.checked_add(opened));
        opened
    }

    /// Returns the plaintext length that [`Opener::open_chunks`] could open from this many bytes,
    /// or 0 if they are too few to be divided.
    pub(crate) fn chunked_plaintext(&self, bytes: usize) -> usize {
        let (frame_length, encoded_length) = self.regular_lengths(1);
        let frames = bytes / encoded_length;
        if self.parallelism.divides(frames, frame_length) { frames * frame_length } else { 0 }
    }

    /// Returns the plaintext length and the encoded length of regular frames that are held in
    /// memory, in bytes.
    pub(crate) fn regular_lengths(&self, frames: usize) -> (usize, usize) {
        let frame_length = self.frame_length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        (frames * frame_length, frames * (frame_length + REGULAR_OVERHEAD))
    }

    /// The overhead of a final frame in bytes.
    pub(crate) const FINAL_FRAME_OVERHEAD: usize = FINAL_OVERHEAD;

    /// The difference in length between a full final frame and a regular frame, in bytes.
    pub(crate) const FINAL_EXTRA: u64 = 8;

    /// Returns the encoded length of a regular frame in bytes, or zero for an unframed body.
    pub(crate) fn regular_frame_bytes(&self) -> u64 {
        self.frame_length.map_or(0, |frame_length| u64::from(frame_length) + wide(REGULAR_OVERHEAD))
    }

    /// Returns the number of regular frames in a body of this length, and the plaintext length of
    /// its final frame. Returns `None` if the body is unframed or too short for any frame.
    pub(crate) fn layout(&self, body: u64) -> Option<(u64, u64)> {
        let sealed = body.checked_sub(wide(FINAL_OVERHEAD))?;
        let regular = Some(self.regular_frame_bytes()).filter(|bytes| *bytes > 0)?;
        Some((sealed / regular, sealed % regular))
    }

    /// Opens the frame with this sequence number, at any position, into `plaintext`. `bytes`
    /// contain exactly this frame, except that the length of the final frame is only known after it
    /// has been opened.
    pub(crate) fn open_at(
        &self,
        bytes: &[u8],
        sequence: u32,
        is_last: bool,
        plaintext: &mut Vec<u8>,
    ) -> Result<(), MessageError> {
        let frame = Frame::read(bytes, sequence, self.frame_length.ok_or(MessageError::NotFramed)?)?;
        // A final frame before the end would truncate the message; a regular frame at the end would
        // promise another frame.
        if frame.is_last() != is_last {
            return Err(MessageError::BadSequence { expected: sequence, found: sequence.saturating_add(1) });
        }
        prepare_secret(plaintext, frame.plaintext_length());
        self.cipher.open(&frame, plaintext).inspect_err(|_| plaintext.zeroize())
    }

    /// Opens the complete body into `plaintext`, replacing its contents and reusing its allocation.
    ///
    /// If any check fails, nothing is released and the plaintext opened so far is wiped.
    pub(crate) fn open_whole(self, body: &[u8], plaintext: &mut Vec<u8>) -> Result<(), MessageError> {
        prepare_secret(plaintext, self.plaintext_length(body.len()));
        let opened = self.open_frames(body, plaintext);
        match opened {
            Ok(length) => plaintext.truncate(length),
            Err(_) => plaintext.zeroize(),
        }
        opened.map(|_| ())
    }

    fn open_frames(mut self, mut body: &[u8], plaintext: &mut Vec<u8>) -> Result<usize, MessageError> {
        let opened = self.open_chunks(body, plaintext);
        let (mut length, encoded_length) = self.regular_lengths(opened);
        body = &body[encoded_length..];
        while !self.is_done() {
            let frame = self.read(body)?;
            let end = length + frame.plaintext_length();
            // Only a truncated message contains more frames than its length indicates.
            if end > plaintext.len() {
                plaintext.resize(end, 0);
            }
            self.open(&frame, &mut plaintext[length..end])?;
            body = &body[frame.encoded_length()..];
            length = end;
        }
        if body.is_empty() { Ok(length) } else { Err(MessageError::TrailingData) }
    }

    /// Returns the plaintext length of a well-formed body of this length, in bytes. It never
    /// exceeds the length of the body.
    fn plaintext_length(&self, body: usize) -> usize {
        let Some(frame_length) = self.frame_length else {
            return body.saturating_sub(SINGLE_OVERHEAD);
        };
        let frame_length = usize::try_from(frame_length).unwrap_or(usize::MAX);
        let sealed = body.saturating_sub(FINAL_OVERHEAD);
        let regular = frame_length.saturating_add(REGULAR_OVERHEAD);
        (sealed / regular).saturating_mul(frame_length).saturating_add((sealed % regular).min(frame_length))
    }
}

/// Opens frames up to the first one that is not a valid regular frame.
fn open_chunk(cipher: &FrameCipher, frame_length: u32, chunk: &mut Chunk<'_>) -> Result<(), ()> {
    let mut bytes = chunk.encoded;
    let plaintexts = chunk.plaintext.chunks_mut(usize::try_from(frame_length).unwrap_or(usize::MAX));
    for (sequence, plaintext) in (chunk.sequence..=u32::MAX).zip(plaintexts) {
        let frame = Frame::read(bytes, sequence, frame_length).map_err(|_| ())?;
        if frame.is_last() {
            return Err(());
        }
        cipher.open(&frame, plaintext).map_err(|_| ())?;
        bytes = &bytes[frame.encoded_length()..];
        chunk.opened += 1;
        chunk.opened_bytes += frame.encoded_length();
    }
    Ok(())
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Creates the verifier for the signature of a message and feeds it the header.
fn verifier(backend: &CryptoBackend, header: &Header) -> Result<Option<MessageVerifier>, MessageError> {
    let Some(signature) = header.suite().signature() else { return Ok(None) };
    let public_key = header.context().get(PUBLIC_KEY_NAME).ok_or(MessageError::PublicKeyPresence(header.suite()))?;
    let mut verifier = MessageVerifier::new(backend, signature, public_key)?;
    header.received().into_iter().for_each(|part| verifier.update(part));
    Ok(Some(verifier))
}

#[cfg(test)]
mod tests;
