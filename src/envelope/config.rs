//! The settings of an envelope.

use super::policy::{CommitmentPolicy, SignaturePolicy};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{
    AlgorithmSuite, DEFAULT_FRAME_LENGTH, LARGEST_WRITABLE_FRAME_LENGTH, Limits, MAX_THREADS, Parallelism,
};

/// The maximum chunk size of a thread. Streams buffer several chunks for each thread.
const MAX_CHUNK_SIZE: usize = 16 << 20;

/// The validated settings of an envelope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    pub(super) backend: CryptoBackend,
    /// The suite that was requested. If `None`, the commitment policy determines the suite.
    pub(super) suite: Option<AlgorithmSuite>,
    pub(super) commitment_policy: CommitmentPolicy,
    pub(super) signature_policy: SignaturePolicy,
    pub(super) frame_length: u32,
    pub(super) limits: Limits,
    pub(super) parallelism: Parallelism,
    pub(super) accepts_javascript_context_order: bool,
    pub(super) accepts_dotnet_4_0_0: bool,
}

impl Config {
    /// Returns the suite for new messages.
    pub(super) fn suite(&self) -> AlgorithmSuite {
        self.suite.unwrap_or(self.commitment_policy.default_suite())
    }

    /// Validates the settings.
    pub(super) fn validated(self) -> Result<Self> {
        self.backend.check_ready()?;
        self.commitment_policy.check_encrypt(self.suite())?;
        let Parallelism { threads, chunk_size } = self.parallelism;
        if !(1..=MAX_THREADS).contains(&threads) {
            let text = format!("the number of threads must be 1 to {MAX_THREADS}, not {threads}");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        if !(1..=MAX_CHUNK_SIZE).contains(&chunk_size) {
            let text = format!("the chunk size must be 1 to {MAX_CHUNK_SIZE} bytes, not {chunk_size}");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        // A frame above the limit would create messages that the same envelope cannot read.
        let largest = LARGEST_WRITABLE_FRAME_LENGTH.min(self.limits.max_frame_length());
        if (1..=largest).contains(&self.frame_length) {
            return Ok(self);
        }
        let text = format!("the frame length must be 1 to {largest} bytes, not {}", self.frame_length);
        Err(Error::new(ErrorKind::Validation, text))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            backend: CryptoBackend::default(),
            suite: None,
            commitment_policy: CommitmentPolicy::default(),
            signature_policy: SignaturePolicy::default(),
            frame_length: DEFAULT_FRAME_LENGTH,
            limits: Limits::default(),
            parallelism: Parallelism::default(),
            accepts_javascript_context_order: false,
            accepts_dotnet_4_0_0: false,
        }
    }
}
