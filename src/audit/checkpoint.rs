//! Signatures over positions of a chain.

use super::chain::{ChainId, RecordMac};
use crate::error::Result;

const LABEL: &[u8] = b"strongroom audit checkpoint v1";

/// Signs checkpoints of a trail with a key that the writing process cannot read, such as a key in
/// an HSM.
///
/// # Examples
/// ```
/// use strongroom::algorithm::SigningAlgorithm::EcdsaSha256;
/// use strongroom::audit::CheckpointSigner;
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, SignRequest};
/// use strongroom::{Kms, Result};
///
/// struct Auditor {
///     kms: Kms, // of another process, or with its keys in an HSM
/// }
///
/// impl CheckpointSigner for Auditor {
///     fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
///         let key = self.kms.describe_key("alias/audit")?;
///         Ok(self.kms.sign(SignRequest::new(key.arn(), EcdsaSha256, message))?.signature)
///     }
/// }
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
/// kms.create_alias("alias/audit", kms.create_key(request)?.key_id())?;
/// assert!(Auditor { kms }.sign(b"a checkpoint").is_ok());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait CheckpointSigner {
    /// Signs `message`.
    ///
    /// # Errors
    /// - any error, if signing fails; the trail then continues without the checkpoint
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;
}

impl<F: Fn(&[u8]) -> Result<Vec<u8>>> CheckpointSigner for F {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self(message)
    }
}

/// Verifies the signatures of a [`CheckpointSigner`].
///
/// # Examples
/// ```
/// use strongroom::Result;
/// use strongroom::audit::CheckpointVerifier;
///
/// /// Accepts the signatures of a toy signer that returns the message itself.
/// struct Toy;
///
/// impl CheckpointVerifier for Toy {
///     fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool> {
///         Ok(message == signature)
///     }
/// }
///
/// assert!(Toy.verify(b"a checkpoint", b"a checkpoint")?);
/// assert!(!Toy.verify(b"a checkpoint", b"another")?);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait CheckpointVerifier {
    /// Returns `true` if `signature` is a valid signature over `message`.
    ///
    /// # Errors
    /// - any error, if the signature cannot be checked
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool>;
}

impl<F: Fn(&[u8], &[u8]) -> Result<bool>> CheckpointVerifier for F {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool> {
        self(message, signature)
    }
}

/// Returns the signed message of a checkpoint:
/// `"strongroom audit checkpoint v1" ‖ 8 chain ‖ u64 record ‖ 32 MAC of that record`.
///
/// The MAC depends on every record up to that position.
pub(super) fn checkpoint_message(chain: ChainId, sequence: u64, mac: &RecordMac) -> Vec<u8> {
    [LABEL, &chain.0, &sequence.to_be_bytes(), mac].concat()
}
