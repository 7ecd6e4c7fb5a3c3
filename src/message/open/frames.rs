//! Opening any consecutive frames of a message, for ranges of objects.

use zeroize::Zeroize;

use super::Opener;
use crate::message::error::MessageError;
use crate::message::frame::{FINAL_OVERHEAD, Frame, FrameCipher, REGULAR_OVERHEAD};

/// Opens frames of an unsigned, framed message whose header was verified. Keeps no state between
/// frames.
pub(crate) struct FrameOpener {
    cipher: FrameCipher,
    frame_length: u32,
}

impl Opener {
    /// Returns the opener of individual frames.
    ///
    /// # Errors
    /// - [`MessageError::NotFramed`] for an unframed body
    /// - [`MessageError::Signature`] for a signed message, which must be read in order
    pub(crate) fn into_frames(self) -> Result<FrameOpener, MessageError> {
        if self.verifier.is_some() {
            return Err(MessageError::Signature);
        }
        let frame_length = self.frame_length.ok_or(MessageError::NotFramed)?;
        Ok(FrameOpener { cipher: self.cipher, frame_length })
    }
}

impl FrameOpener {
    /// Opens consecutive frames, of which the first has the sequence number `first`. `bytes` contain
    /// exactly these frames. If `ends`, the last of them is the final frame of the message; otherwise
    /// all are regular.
    ///
    /// # Errors
    /// - [`MessageError::BodyAuth`] if a frame is not authentic
    /// - [`MessageError::BadSequence`] if a frame is in another position, or final where it should not
    ///   be
    /// - [`MessageError::Truncated`] or [`MessageError::TrailingData`] if the length does not match
    pub(crate) fn open(&self, first: u32, frames: usize, ends: bool, bytes: &[u8]) -> Result<Vec<u8>, MessageError> {
        let overhead = frames.saturating_sub(usize::from(ends)).saturating_mul(REGULAR_OVERHEAD)
            + if ends { FINAL_OVERHEAD } else { 0 };
        let length = bytes.len().checked_sub(overhead).ok_or(MessageError::Truncated {
            field: "frames",
            needed: overhead,
            available: bytes.len(),
        })?;
        let mut plaintext = vec![0; length];
        let opened = self.open_into(first, frames, ends, bytes, &mut plaintext);
        if let Err(error) = opened {
            plaintext.zeroize();
            return Err(error);
        }
        Ok(plaintext)
    }

    fn open_into(
        &self,
        first: u32,
        frames: usize,
        ends: bool,
        mut bytes: &[u8],
        mut plaintext: &mut [u8],
    ) -> Result<(), MessageError> {
        for (index, sequence) in (0..frames).zip(first..=u32::MAX) {
            let frame = Frame::read(bytes, sequence, self.frame_length)?;
            // A final frame before the end would truncate the message; a regular frame at the end
            // would promise another one.
            if frame.is_last() != (ends && index + 1 == frames) {
                return Err(MessageError::BadSequence { expected: sequence, found: sequence.saturating_add(1) });
            }
            let (output, rest) =
                plaintext.split_at_mut_checked(frame.plaintext_length()).ok_or(MessageError::TrailingData)?;
            self.cipher.open(&frame, output)?;
            bytes = &bytes[frame.encoded_length()..];
            plaintext = rest;
        }
        if bytes.is_empty() && plaintext.is_empty() { Ok(()) } else { Err(MessageError::TrailingData) }
    }
}
