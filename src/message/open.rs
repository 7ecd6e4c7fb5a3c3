//! Reading a message, without input or output of its own, and releasing nothing that is not authentic.
//!
//! The steps: [`HeaderParser`](super::header::HeaderParser) gives a header, [`check_readable`] says whether this release
//! reads such messages, a keyring finds the data key, [`Opener::new`] verifies commitment and header, and the frames
//! follow one by one.

use zeroize::Zeroize;

use super::aad::FrameKind;
use super::buffer::prepare;
use super::derive;
use super::error::MessageError;
use super::frame::{FINAL_OVERHEAD, Frame, FrameCipher, REGULAR_OVERHEAD, SINGLE_OVERHEAD};
use super::header::{Header, PUBLIC_KEY_NAME, authenticated};
use super::limits::{LARGEST_UNFRAMED_BODY, Limits};
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
}

impl Opener {
    /// Verifies that the header commits to the data key, and then that it is authentic, together with the canonical
    /// serialization of the pairs of the context that it leaves out.
    pub(crate) fn new(
        backend: &CryptoBackend,
        header: &Header,
        omitted_context: &[u8],
        data_key: &SecretBytes,
        limits: &Limits,
    ) -> Result<Self, MessageError> {
        let verifier = verifier(backend, header)?;
        let keys = derive::derive(backend, header.suite(), data_key, header.message_id())?;
        if !keys.commits_to(header.commitment()) {
            return Err(MessageError::CommitmentMismatch);
        }
        let key = keys.into_content_key();
        let bound = authenticated(header.body(), omitted_context);
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
        })
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
        prepare(plaintext, frame.plaintext_length());
        self.cipher.open(&frame, plaintext).inspect_err(|_| plaintext.zeroize())
    }

    /// Opens the whole body into `plaintext`, whose contents are replaced; its allocation is used again.
    ///
    /// If anything is refused, nothing is released: what was opened before is wiped.
    pub(crate) fn open_whole(self, body: &[u8], plaintext: &mut Vec<u8>) -> Result<(), MessageError> {
        prepare(plaintext, self.plaintext_length(body.len()));
        let opened = self.open_frames(body, plaintext);
        match opened {
            Ok(length) => plaintext.truncate(length),
            Err(_) => plaintext.zeroize(),
        }
        opened.map(|_| ())
    }

    fn open_frames(mut self, mut body: &[u8], plaintext: &mut Vec<u8>) -> Result<usize, MessageError> {
        let mut length = 0;
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
