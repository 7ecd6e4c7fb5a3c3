//! Signatures over places of a chain.

use super::chain::{ChainId, RecordMac};
use crate::error::Result;

const LABEL: &[u8] = b"strongroom audit checkpoint v1";

/// Signs checkpoints of a trail: with a key that the process that writes the trail cannot read, an HSM's for example.
pub trait CheckpointSigner {
    /// Signs `message`.
    ///
    /// # Errors
    /// Any error, if it cannot; the trail goes on without the checkpoint.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;
}

impl<F: Fn(&[u8]) -> Result<Vec<u8>>> CheckpointSigner for F {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self(message)
    }
}

/// Verifies the signatures of a [`CheckpointSigner`].
pub trait CheckpointVerifier {
    /// Whether `signature` is a good one over `message`.
    ///
    /// # Errors
    /// Any error, if that cannot be told.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool>;
}

impl<F: Fn(&[u8], &[u8]) -> Result<bool>> CheckpointVerifier for F {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool> {
        self(message, signature)
    }
}

/// What a checkpoint signs: `"strongroom audit checkpoint v1" ‖ 8 chain ‖ u64 record ‖ 32 MAC of that record`.
///
/// The MAC depends on every record up to there.
pub(super) fn checkpoint_message(chain: ChainId, sequence: u64, mac: &RecordMac) -> Vec<u8> {
    [LABEL, &chain.0, &sequence.to_be_bytes(), mac].concat()
}
