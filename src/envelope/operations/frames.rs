//! Messages whose frames are sealed and opened individually, for objects.

use super::envelope::Envelope;
use crate::context::EncryptionContext;
use crate::envelope::policy::ReleaseMode;
use crate::envelope::start::KnownContext;
use crate::error::Result;
use crate::message::{FrameOpener, FrameSealer, Header};

impl Envelope {
    /// Starts an unsigned message and returns its header. `plaintext_length` is the length of the
    /// plaintext, if known.
    pub(crate) fn begin_frames(
        &self,
        context: &EncryptionContext,
        plaintext_length: Option<usize>,
    ) -> Result<(Vec<u8>, FrameSealer)> {
        Ok(self.starter.begin_encrypt(context, plaintext_length)?.into_frames()?)
    }

    /// Verifies the header of an unsigned message.
    pub(crate) fn open_frames(&self, header: &Header, expected: &EncryptionContext) -> Result<FrameOpener> {
        let opener = self.starter.begin_decrypt(header, KnownContext::Expected(expected), ReleaseMode::Streaming)?;
        Ok(opener.into_frames()?)
    }
}
