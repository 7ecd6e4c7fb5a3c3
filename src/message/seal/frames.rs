//! Sealing the frames of a message in any order, for objects whose parts are uploaded concurrently.

use std::sync::Arc;

use super::{Sealer, seal_chunk};
use crate::message::error::MessageError;
use crate::message::frame::{FINAL_OVERHEAD, FrameCipher, REGULAR_OVERHEAD};

/// Assigns sequence numbers to the frames of an unsigned message, each of them once.
///
/// The IV of a frame is its sequence number. Two plaintexts must therefore never be sealed under the
/// same number: a [`FrameSpan`] is consumed when it is sealed, and cannot be cloned.
pub(crate) struct FrameSealer {
    cipher: Arc<FrameCipher>,
    frame_length: usize,
    next: u32,
}

/// Consecutive regular frames, not yet sealed.
pub(crate) struct FrameSpan {
    cipher: Arc<FrameCipher>,
    frame_length: usize,
    first: u32,
    frames: usize,
}

impl Sealer {
    /// Returns the header and the sealer of the frames of an unsigned message that has no frames yet.
    ///
    /// # Errors
    /// - [`MessageError::Signature`] if the message is signed, which requires the frames in order
    pub(crate) fn into_frames(self) -> Result<(Vec<u8>, FrameSealer), MessageError> {
        if self.signer.is_some() || self.sequence != 1 {
            return Err(MessageError::Signature);
        }
        let cipher = Arc::new(self.cipher);
        Ok((self.header, FrameSealer { cipher, frame_length: self.frame_length, next: 1 }))
    }
}

impl FrameSealer {
    /// Reserves the next regular frames.
    ///
    /// # Errors
    /// - [`MessageError::TooManyFrames`] if the message would have more frames than the format allows
    pub(crate) fn reserve(&mut self, frames: usize) -> Result<FrameSpan, MessageError> {
        let first = self.next;
        let next = u32::try_from(frames).ok().and_then(|frames| first.checked_add(frames));
        self.next = next.ok_or(MessageError::TooManyFrames)?;
        Ok(FrameSpan { cipher: Arc::clone(&self.cipher), frame_length: self.frame_length, first, frames })
    }

    /// Seals the final frame, whose plaintext has at most the length of a frame, and appends it to
    /// `output`.
    pub(crate) fn finish(self, plaintext: &[u8], output: &mut Vec<u8>) -> Result<(), MessageError> {
        let start = output.len();
        output.resize(start + plaintext.len() + FINAL_OVERHEAD, 0);
        self.cipher.seal_final(self.next, plaintext, &mut output[start..])
    }
}

impl FrameSpan {
    /// Splits off the first frames.
    pub(crate) fn split_to(&mut self, frames: usize) -> Self {
        let frames = frames.min(self.frames);
        let front = Self { cipher: Arc::clone(&self.cipher), frames, ..*self };
        self.frames -= frames;
        // Cannot overflow: the sum is a number that was reserved.
        self.first = self.first.saturating_add(u32::try_from(frames).unwrap_or(u32::MAX));
        front
    }

    /// Returns the number of frames.
    pub(crate) const fn frames(&self) -> usize {
        self.frames
    }

    /// Seals the frames and appends them to `output`. The plaintext has the length of all frames.
    pub(crate) fn seal(self, plaintext: &[u8], output: &mut Vec<u8>) -> Result<(), MessageError> {
        let start = output.len();
        output.resize(start + self.frames * (self.frame_length + REGULAR_OVERHEAD), 0);
        debug_assert_eq!(plaintext.len(), self.frames * self.frame_length);
        seal_chunk(&self.cipher, self.frame_length, self.first, plaintext, &mut output[start..], None)
    }
}
