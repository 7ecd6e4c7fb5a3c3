//! Policies for the messages that an envelope writes and reads.

use crate::error::{Error, ErrorKind, Result};
use crate::message::{AlgorithmSuite, MessageError, SuiteSupport};

/// Specifies which messages must commit to their key.
///
/// Without commitment, one ciphertext can decrypt to different plaintexts under different data
/// keys. Its author can then show different texts to different recipients. The suites of version 1
/// do not commit. The values are those of the Encryption SDK.
///
/// # Examples
/// ```
/// use strongroom::envelope::CommitmentPolicy;
/// use strongroom::message::AlgorithmSuite;
///
/// let old = AlgorithmSuite::Aes256GcmHkdfSha256;
/// assert!(!CommitmentPolicy::default().allows_decrypt(old));
/// let migrating = CommitmentPolicy::RequireEncryptAllowDecrypt;
/// assert!(migrating.allows_decrypt(old) && !migrating.allows_encrypt(old));
/// assert_eq!(migrating.default_suite(), AlgorithmSuite::Aes256GcmHkdfSha512Commit);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommitmentPolicy {
    /// Writes suites without commitment and reads all suites. Use this while some recipients
    /// support only version 1.
    ForbidEncryptAllowDecrypt,
    /// Writes suites with commitment and reads all suites. Use this while old messages still exist.
    RequireEncryptAllowDecrypt,
    /// Writes and reads suites with commitment. The default.
    #[default]
    RequireEncryptRequireDecrypt,
}

impl CommitmentPolicy {
    /// All values.
    pub const ALL: &'static [Self] =
        &[Self::ForbidEncryptAllowDecrypt, Self::RequireEncryptAllowDecrypt, Self::RequireEncryptRequireDecrypt];

    /// Returns the default suite for new messages: AES-256-GCM, unsigned.
    pub const fn default_suite(self) -> AlgorithmSuite {
        match self {
            Self::ForbidEncryptAllowDecrypt => AlgorithmSuite::Aes256GcmHkdfSha256,
            Self::RequireEncryptAllowDecrypt | Self::RequireEncryptRequireDecrypt => {
                AlgorithmSuite::Aes256GcmHkdfSha512Commit
            }
        }
    }

    /// Returns `true` if messages of the suite may be written.
    pub const fn allows_encrypt(self, suite: AlgorithmSuite) -> bool {
        match self {
            Self::ForbidEncryptAllowDecrypt => !suite.is_committing(),
            Self::RequireEncryptAllowDecrypt | Self::RequireEncryptRequireDecrypt => suite.is_committing(),
        }
    }

    /// Returns `true` if messages of the suite may be read.
    pub const fn allows_decrypt(self, suite: AlgorithmSuite) -> bool {
        match self {
            Self::ForbidEncryptAllowDecrypt | Self::RequireEncryptAllowDecrypt => true,
            Self::RequireEncryptRequireDecrypt => suite.is_committing(),
        }
    }

    /// Rejects a suite that may not be written.
    pub(super) fn check_encrypt(self, suite: AlgorithmSuite) -> Result<()> {
        if suite.support() == SuiteSupport::ReadOnly {
            return Err(MessageError::SuiteNotWritten(suite).into());
        }
        if self.allows_encrypt(suite) {
            return Ok(());
        }
        let text = format!("the commitment policy {self:?} does not allow messages with suite {suite} to be encrypted");
        Err(Error::new(ErrorKind::Validation, text))
    }

    /// Rejects a suite that may not be read.
    pub(super) fn check_decrypt(self, suite: AlgorithmSuite) -> Result<()> {
        if self.allows_decrypt(suite) { Ok(()) } else { Err(MessageError::CommitmentPolicy(suite).into()) }
    }
}

/// Specifies how much of a signed message is released before its signature, at the end of the
/// message, is verified.
///
/// Until then, a frame is only known to come from a party that has the data key. That includes, for
/// example, a recipient who is not meant to write.
///
/// # Examples
/// ```
/// use std::io::Read;
/// use strongroom::envelope::{RawAesKeyring, SignaturePolicy};
/// use strongroom::message::AlgorithmSuite;
/// use strongroom::{EncryptionContext, Envelope, SecretBytes};
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// let envelope = Envelope::builder(keyring)
///     .algorithm_suite(AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384)
///     .signature_policy(SignaturePolicy::ReleaseBeforeVerification)
///     .build()?;
/// let message = envelope.encrypt(&[b'.'; 200_000], &EncryptionContext::new())?;
/// let mut plaintext = Vec::new();
/// envelope.reader(&message[..], &EncryptionContext::new())?.read_to_end(&mut plaintext)?; // the end verifies the signature
/// assert_eq!(plaintext.len(), 200_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignaturePolicy {
    /// Nothing: signed messages are decrypted completely before release, and readers reject them.
    /// The default.
    #[default]
    VerifyBeforeRelease,
    /// Readers release each frame of a signed message once the frame itself is authenticated. Only
    /// the last frame is withheld until the signature is verified. If an error occurs, discard
    /// everything read so far.
    ReleaseBeforeVerification,
    /// Signed messages are rejected, for applications that should never receive one.
    ForbidSigned,
}

/// How the plaintext of a message is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReleaseMode {
    /// Completely, at the end of the message.
    Buffered,
    /// Frame by frame.
    Streaming,
}

impl SignaturePolicy {
    /// Rejects a suite that may not be read in this mode.
    pub(super) fn check_decrypt(self, suite: AlgorithmSuite, mode: ReleaseMode) -> Result<()> {
        let allowed = match self {
            _ if suite.signature().is_none() => true,
            Self::VerifyBeforeRelease => mode == ReleaseMode::Buffered,
            Self::ReleaseBeforeVerification => true,
            Self::ForbidSigned => false,
        };
        if allowed { Ok(()) } else { Err(MessageError::SignaturePolicy(suite).into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_commitment_policy() {
        for &suite in AlgorithmSuite::ALL {
            let (commits, read_only) = (suite.id() >= 0x0400, suite.id() < 0x0100);
            for (policy, writes, reads) in [
                (CommitmentPolicy::ForbidEncryptAllowDecrypt, !commits && !read_only, true),
                (CommitmentPolicy::RequireEncryptAllowDecrypt, commits, true),
                (CommitmentPolicy::RequireEncryptRequireDecrypt, commits, commits),
            ] {
                assert_eq!(policy.check_encrypt(suite).is_ok(), writes, "{policy:?} {suite}");
                assert_eq!(policy.check_decrypt(suite).is_ok(), reads, "{policy:?} {suite}");
            }
        }
        assert!(CommitmentPolicy::ALL.iter().all(|policy| policy.check_encrypt(policy.default_suite()).is_ok()));
        assert_eq!(CommitmentPolicy::default(), CommitmentPolicy::RequireEncryptRequireDecrypt);
    }

    #[test]
    fn the_table_of_the_signature_policy() {
        use SignaturePolicy::{ForbidSigned, ReleaseBeforeVerification, VerifyBeforeRelease};
        for &suite in AlgorithmSuite::ALL {
            let unsigned = suite.signature().is_none();
            for (policy, whole, streamed) in [
                (VerifyBeforeRelease, true, false),
                (ReleaseBeforeVerification, true, true),
                (ForbidSigned, false, false),
            ] {
                let allowed = |mode| policy.check_decrypt(suite, mode).is_ok();
                assert_eq!(allowed(ReleaseMode::Buffered), unsigned || whole, "{policy:?} {suite}");
                assert_eq!(allowed(ReleaseMode::Streaming), unsigned || streamed, "{policy:?} {suite}");
            }
        }
    }
}
