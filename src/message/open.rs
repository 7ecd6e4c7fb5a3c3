//! Reading a message, without input or output of its own, and releasing nothing that is not authentic.
//!
//! The steps: [`HeaderParser`](super::header::HeaderParser) gives a header, [`check_readable`] says whether this release
//! reads such messages, a keyring finds the data key, [`Opener::in_form`] verifies commitment and header, and the frames
//! follow one by one.

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

/// Refuses, before any key is asked for, what contradicts itself.
pub(crate) fn check_readable(header: &Header) -> Result<(), MessageError> {
    let suite = header.suite();
    // A public key under an unsigned suite would be a signature stripped off.
    if header.context().get(PUBLIC_KEY_NAME).is_some() != suite.signature().is_some() {
        return Err(MessageError::PublicKeyPresence(suite));
    }
    Ok(())
}

/// A message being read, from its first frame on.
pub(crate) struct Opener {
    cipher: FrameCipher,
    frame_length: Option<u32>,
    max_unframed_body: u64,
    /// The sequence number that must follow; `None` after the end.
    next: Option<u32>,
    verifier: Option<MessageVerifier>,
    parallelism: Parallelism,
}

/// Consecutive frames that one thread opens.
struct Chunk<'a> {
    /// The sequence number of the first.
    sequence: u32,
    encoded: &'a [u8],
    plaintext: &'a mut [u8],
    /// How many were opened.
    opened: usize,
    /// Bytes that those have in the message.
    opened_bytes: usize,
}

impl Chunk<'_> {
    /// What was opened, as it was received.
    fn opened_encoded(&self) -> &[u8] {
        &self.encoded[..self.opened_bytes]
    }
}

impl Opener {
    /// [`Opener::in_form`] for a header of the usual form.
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

    /// Verifies that the header commits to the data key, and then that it is authentic, together with the canonical
    /// serialization of the pairs of the context that it leaves out.
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

    /// Opens on several threads.
    pub(crate) fn with_parallelism(mut self, parallelism: Parallelism) -> Self {
        self.parallelism = parallelism;
        self
    }

    /// Whether a signature stands at the end of the message, which was not verified yet.
    #[cfg(test)]
    pub(crate) const fn is_signed(&self) -> bool {
        self.verifier.is_some()
    }

    /// Whether the end of the message was opened.
    pub(crate) const fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// Reads the next frame at the start of `bytes`.
    ///
    /// # Errors
    /// [`MessageError::Truncated`], with the number of bytes needed to go further, until the frame is whole;
    /// [`MessageError::TrailingData`] after the end.
    pub(crate) fn read<'a>(&self, bytes: &'a [u8]) -> Result<Frame<'a>, MessageError> {
        let sequence = self.next.ok_or(MessageError::TrailingData)?;
        let frame = match self.frame_length {
            Some(frame_length) => Frame::read(bytes, sequence, frame_length)?,
            None => Frame::read_single(bytes, self.max_unframed_body)?,
        };
        if frame.is_last() && self.verifier.is_some() { frame.with_footer(bytes) } else { Ok(frame) }
    }

    /// Opens the frame that [`Opener::read`] gave into `plaintext`, which has [`Frame::plaintext_length`] bytes. The last
    /// one of a signed message is opened only if the signature over all of the message verifies.
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

    /// Bytes of plaintext and of the message in one step of a stream on several threads. `None` if there is one thread,
    /// or the body is in one piece.
    pub(crate) fn step(&self) -> Option<(usize, usize)> {
        let frame_length = self.frame_length.and_then(|length| usize::try_from(length).ok())?;
        let frames = self.parallelism.frames_per_step(frame_length);
        let plaintext = frames.checked_mul(frame_length)?;
        let encoded = plaintext.checked_add(frames.checked_mul(REGULAR_OVERHEAD)?)?;
        (self.parallelism.threads > 1).then_some((plaintext, encoded))
    }

    /// Opens, on all threads, whole regular frames at the start of `bytes`, as many as `plaintext` has room for. Returns how
    /// many it opened; 0 if they are too few to be divided.
    ///
    /// It stops before the first frame that is not regular or not sound and says nothing of it: [`Opener::read`] and
    /// [`Opener::open`] give the same answer about it as if they had opened the ones before. What lies behind in
    /// `plaintext` is zero.
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

    /// Bytes of plaintext that [`Opener::open_chunks`] could open of so many bytes: none if they are too few to be divided.
    pub(crate) fn chunked_plaintext(&self, bytes: usize) -> usize {
        let (frame_length, encoded_length) = self.regular_lengths(1);
        let frames = bytes / encoded_length;
        if self.parallelism.divides(frames, frame_length) { frames * frame_length } else { 0 }
    }

    /// Bytes of plaintext and of the message that so many regular frames have, which are in memory.
    pub(crate) fn regular_lengths(&self, frames: usize) -> (usize, usize) {
        let frame_length = self.frame_length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        (frames * frame_length, frames * (frame_length + REGULAR_OVERHEAD))
    }

    /// Bytes that a final frame has beside its plaintext.
    pub(crate) const FINAL_FRAME_OVERHEAD: usize = FINAL_OVERHEAD;

    /// How many bytes longer a full final frame is than a regular one.
    pub(crate) const FINAL_EXTRA: u64 = 8;

    /// Bytes of a regular frame with its plaintext; zero for a body in one piece.
    pub(crate) fn regular_frame_bytes(&self) -> u64 {
        self.frame_length.map_or(0, |frame_length| u64::from(frame_length) + wide(REGULAR_OVERHEAD))
    }

    /// How many regular frames a body of so many bytes has, and how many bytes of plaintext its final one. `None` if it
    /// has no frames, or is too short for any.
    pub(crate) fn layout(&self, body: u64) -> Option<(u64, u64)> {
        let sealed = body.checked_sub(wide(FINAL_OVERHEAD))?;
        let regular = Some(self.regular_frame_bytes()).filter(|bytes| *bytes > 0)?;
        Some((sealed / regular, sealed % regular))
    }

    /// Opens the frame with a sequence number, wherever it stands, into `plaintext`. `bytes` hold it and nothing else, but
    /// that of the final frame the length is only known afterwards.
    pub(crate) fn open_at(
        &self,
        bytes: &[u8],
        sequence: u32,
        is_last: bool,
        plaintext: &mut Vec<u8>,
    ) -> Result<(), MessageError> {
        let frame = Frame::read(bytes, sequence, self.frame_length.ok_or(MessageError::NotFramed)?)?;
        // A final frame before the end would cut the message short, and a regular one at its end promises another.
        if frame.is_last() != is_last {
            return Err(MessageError::BadSequence { expected: sequence, found: sequence.saturating_add(1) });
        }
        prepare_secret(plaintext, frame.plaintext_length());
        self.cipher.open(&frame, plaintext).inspect_err(|_| plaintext.zeroize())
    }

    /// Opens the whole body into `plaintext`, whose contents are replaced; its allocation is used again.
    ///
    /// If anything is refused, nothing is released: what was opened before is wiped.
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
            // Only a message that ends too early has a frame more than its length promised.
            if end > plaintext.len() {
                plaintext.resize(end, 0);
            }
            self.open(&frame, &mut plaintext[length..end])?;
            body = &body[frame.encoded_length()..];
            length = end;
        }
        if body.is_empty() { Ok(length) } else { Err(MessageError::TrailingData) }
    }

    /// Bytes of plaintext in a well-formed body of this length; never more than the body has.
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

/// Opens frames until one is not regular or not sound.
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

/// What verifies the signature of a message, which has taken in the header.
fn verifier(backend: &CryptoBackend, header: &Header) -> Result<Option<MessageVerifier>, MessageError> {
    let Some(signature) = header.suite().signature() else { return Ok(None) };
    let public_key = header.context().get(PUBLIC_KEY_NAME).ok_or(MessageError::PublicKeyPresence(header.suite()))?;
    let mut verifier = MessageVerifier::new(backend, signature, public_key)?;
    header.received().into_iter().for_each(|part| verifier.update(part));
    Ok(Some(verifier))
}

#[cfg(test)]
mod tests;
