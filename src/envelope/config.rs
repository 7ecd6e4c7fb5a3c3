//! The settings of an envelope.

use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{AlgorithmSuite, DEFAULT_FRAME_LENGTH, LARGEST_WRITABLE_FRAME_LENGTH, Limits};

/// What an envelope works with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    pub(super) backend: CryptoBackend,
    pub(super) suite: AlgorithmSuite,
    pub(super) frame_length: u32,
    pub(super) limits: Limits,
}

impl Config {
    /// Checks what could be set wrongly.
    pub(super) fn validated(self) -> Result<Self> {
        // A frame over the limit would make messages that the same envelope cannot read.
        let largest = LARGEST_WRITABLE_FRAME_LENGTH.min(self.limits.max_frame_length());
        if (1..=largest).contains(&self.frame_length) {
            return Ok(self);
        }
        let text = format!("the frame length is {}, and 1 to {largest} bytes are allowed", self.frame_length);
        Err(Error::new(ErrorKind::Validation, text))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: CryptoBackend::default(),
            suite: AlgorithmSuite::default(),
            frame_length: DEFAULT_FRAME_LENGTH,
            limits: Limits::default(),
        }
    }
}
