//! Frames: independently sealed parts of a body.
//!
//! [`FrameCipher`] keeps no state between frames. Whole messages, streams, multiple threads, and
//! random access differ only in the order of the same two calls. Both calls write from one buffer
//! to another, so frames are never copied first.

use super::aad::{BodyAad, FrameKind, nonce};
use super::error::MessageError;
use super::message_id::MessageId;
use super::signing::read_footer;
use crate::codec::Reader;
use crate::crypto::{AeadKey, CryptoError, NONCE_LENGTH, TAG_LENGTH};

/// The marker of the final frame, in place of the sequence number of a regular frame.
const FINAL_MARKER: u32 = u32::MAX;

/// The largest sequence number of a regular frame.
const LAST_REGULAR_SEQUENCE: u32 = FINAL_MARKER - 1;

/// Overhead of a regular frame in bytes: sequence number, IV, and tag.
pub(super) const REGULAR_OVERHEAD: usize = 4 + NONCE_LENGTH + TAG_LENGTH;

/// Overhead of the final frame in bytes: marker, sequence number, IV, length, and tag.
pub(super) const FINAL_OVERHEAD: usize = 4 + 4 + NONCE_LENGTH + 4 + TAG_LENGTH;

/// Overhead of an unframed body in bytes: IV, length, and tag.
pub(super) const SINGLE_OVERHEAD: usize = NONCE_LENGTH + 8 + TAG_LENGTH;

/// A frame of a message, not yet opened.
pub(crate) struct Frame<'a> {
    pub(super) kind: FrameKind,
    pub(super) sequence: u32,
    nonce: [u8; NONCE_LENGTH],
    ciphertext: &'a [u8],
    tag: [u8; TAG_LENGTH],
    /// The frame as it was received.
    pub(super) encoded: &'a [u8],
    /// The signature after the last frame of a signed message.
    pub(super) signature: Option<&'a [u8]>,
    encoded_length: usize,
}

impl<'a> Frame<'a> {
    /// Parses the frame at the start of `bytes`, which must be frame number `sequence` of a message
    /// with this frame length.
    ///
    /// # Errors
    /// - [`MessageError::Truncated`] if the frame is incomplete
    /// - [`MessageError::BadSequence`] or [`MessageError::BadFinalLength`] as soon as the field is
    ///   available
    pub(super) fn read(bytes: &'a [u8], sequence: u32, frame_length: u32) -> Result<Self, MessageError> {
        let mut reader = Reader::new(bytes);
        let mut found = reader.u32("frame sequence number").map_err(MessageError::cut_off)?;
        let kind = if found == FINAL_MARKER { FrameKind::Final } else { FrameKind::Regular };
        if kind == FrameKind::Final {
            found = reader.u32("final frame sequence number").map_err(MessageError::cut_off)?;
        }
        if found != sequence {
            return Err(MessageError::BadSequence { expected: sequence, found });
        }
        let nonce = reader.array("frame IV").map_err(MessageError::cut_off)?;
        let mut length = frame_length;
        if kind == FrameKind::Final {
            length = reader.u32("final frame length").map_err(MessageError::cut_off)?;
            if length > frame_length {
                return Err(MessageError::BadFinalLength { length, frame_length });
            }
        }
        Self::read_sealed(bytes, reader, kind, sequence, nonce, length.into())
    }

    /// Parses an unframed body.
    ///
    /// # Errors
    /// - [`MessageError::Truncated`] if the body is incomplete
    /// - [`MessageError::BodyTooLong`] as soon as its length is available
    pub(super) fn read_single(bytes: &'a [u8], limit: u64) -> Result<Self, MessageError> {
        let mut reader = Reader::new(bytes);
        let nonce = reader.array("body IV").map_err(MessageError::cut_off)?;
        let length = reader.u64("body length").map_err(MessageError::cut_off)?;
        if length > limit {
            return Err(MessageError::BodyTooLong { length, limit });
        }
        Self::read_sealed(bytes, reader, FrameKind::Single, 1, nonce, length)
    }

    fn read_sealed(
        bytes: &'a [u8],
        mut reader: Reader<'a>,
        kind: FrameKind,
        sequence: u32,
        nonce: [u8; NONCE_LENGTH],
        length: u64,
    ) -> Result<Self, MessageError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        // The ciphertext and tag are requested together, so that a stream waits for the complete
        // frame.
        let sealed = reader.take(length.saturating_add(TAG_LENGTH), "frame").map_err(MessageError::cut_off)?;
        let (ciphertext, tag) = sealed.split_at(length);
        let tag = Reader::new(tag).array("frame tag").map_err(MessageError::cut_off)?;
        let encoded_length = reader.position();
        let encoded = &bytes[..encoded_length];
        Ok(Self { kind, sequence, nonce, ciphertext, tag, encoded, signature: None, encoded_length })
    }

    /// Parses the footer after the last frame. `bytes` are those that the frame was parsed from.
    ///
    /// # Errors
    /// - [`MessageError::Truncated`] if the footer is incomplete
    pub(super) fn with_footer(mut self, bytes: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(bytes);
        reader.take(self.encoded_length, "frame").map_err(MessageError::cut_off)?;
        self.signature = Some(read_footer(&mut reader)?);
        self.encoded_length = reader.position();
        Ok(self)
    }

    /// Returns `true` if this is the last frame of the message.
    pub(crate) fn is_last(&self) -> bool {
        self.kind != FrameKind::Regular
    }

    /// Returns the length of the plaintext in bytes.
    pub(crate) const fn plaintext_length(&self) -> usize {
        self.ciphertext.len()
    }

    /// Returns the encoded length in bytes, including the footer after the last frame.
    pub(crate) const fn encoded_length(&self) -> usize {
        self.encoded_length
    }
}

/// Seals and opens individual frames of a message.
pub(crate) struct FrameCipher {
    key: Box<dyn AeadKey>,
    message_id: MessageId,
}

impl FrameCipher {
    pub(super) fn new(key: Box<dyn AeadKey>, message_id: MessageId) -> Self {
        Self { key, message_id }
    }

    /// Seals a regular frame into `output`, which is [`REGULAR_OVERHEAD`] bytes longer than the
    /// plaintext.
    pub(super) fn seal_regular(&self, sequence: u32, plaintext: &[u8], output: &mut [u8]) -> Result<(), MessageError> {
        if sequence > LAST_REGULAR_SEQUENCE {
            return Err(MessageError::TooManyFrames);
        }
        let nonce = nonce(sequence);
        let rest = put(output, &sequence.to_be_bytes())?;
        let rest = put(rest, &nonce)?;
        self.seal(FrameKind::Regular, sequence, &nonce, plaintext, rest)
    }

    /// Seals the final frame into `output`, which is [`FINAL_OVERHEAD`] bytes longer than the
    /// plaintext.
    pub(super) fn seal_final(&self, sequence: u32, plaintext: &[u8], output: &mut [u8]) -> Result<(), MessageError> {
        let length = u32::try_from(plaintext.len()).map_err(|_| wrong_length("final frame", plaintext.len()))?;
        let nonce = nonce(sequence);
        let rest = put(output, &FINAL_MARKER.to_be_bytes())?;
        let rest = put(rest, &sequence.to_be_bytes())?;
        let rest = put(rest, &nonce)?;
        let rest = put(rest, &length.to_be_bytes())?;
        self.seal(FrameKind::Final, sequence, &nonce, plaintext, rest)
    }

    fn seal(
        &self,
        kind: FrameKind,
        sequence: u32,
        nonce: &[u8; NONCE_LENGTH],
        plaintext: &[u8],
        output: &mut [u8],
    ) -> Result<(), MessageError> {
        let aad = BodyAad::new(&self.message_id, kind, sequence, wide(plaintext.len()));
        let (ciphertext, rest) = output
            .split_at_mut_checked(plaintext.len())
            .ok_or_else(|| wrong_length("frame output", plaintext.len()))?;
        let tag = self.key.seal(nonce, aad.as_ref(), plaintext, ciphertext)?;
        put(rest, &tag)?;
        Ok(())
    }

    /// Opens a frame into `plaintext`, which has [`Frame::plaintext_length`] bytes. The received IV
    /// is used, because some writers do not derive it from the sequence number.
    ///
    /// # Errors
    /// - [`MessageError::BodyAuth`] if the frame is not authentic; `plaintext` is then all zeros
    pub(super) fn open(&self, frame: &Frame<'_>, plaintext: &mut [u8]) -> Result<(), MessageError> {
        let aad = BodyAad::new(&self.message_id, frame.kind, frame.sequence, wide(frame.ciphertext.len()));
        self.key.open(&frame.nonce, aad.as_ref(), frame.ciphertext, &frame.tag, plaintext).map_err(
            |error| match error {
                CryptoError::NotAuthentic => MessageError::BodyAuth { sequence: frame.sequence },
                other => MessageError::Backend(other),
            },
        )
    }
}

/// Writes a field at the front and returns the remaining buffer.
fn put<'a>(output: &'a mut [u8], field: &[u8]) -> Result<&'a mut [u8], MessageError> {
    let length = output.len();
    let (front, rest) = output.split_at_mut_checked(field.len()).ok_or_else(|| wrong_length("frame output", length))?;
    front.copy_from_slice(field);
    Ok(rest)
}

fn wrong_length(what: &'static str, length: usize) -> MessageError {
    MessageError::Backend(CryptoError::InvalidLength { what, length })
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
