//! From the data key to the content key and the commitment.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::error::MessageError;
use super::header::COMMITMENT_LENGTH;
use super::message_id::MessageId;
use super::suite::{AlgorithmSuite, KeyDerivation};
use crate::crypto::{AeadKey, CryptoBackend, DigestAlgorithm};
use crate::secret::SecretBytes;

/// Longest content key: that of AES-256.
const MAX_KEY_LENGTH: usize = 32;

/// What is derived for one message.
pub(super) struct ContentKeys {
    content_key: Box<dyn AeadKey>,
    commitment: [u8; COMMITMENT_LENGTH],
}

impl ContentKeys {
    /// The content key, ready for use.
    pub(super) fn into_content_key(self) -> Box<dyn AeadKey> {
        self.content_key
    }

    /// What the header shows so that no other data key opens the message.
    pub(super) const fn commitment(&self) -> &[u8; COMMITMENT_LENGTH] {
        &self.commitment
    }

    /// Compares, in constant time, with what a header shows.
    pub(super) fn commits_to(&self, shown: &[u8; COMMITMENT_LENGTH]) -> bool {
        self.commitment.ct_eq(shown).into()
    }
}

/// Derives the keys of a message: one HKDF extract with the message id as salt, two expands.
///
/// # Errors
/// [`MessageError::SuiteNotSupported`] for a suite that derives in another way.
pub(super) fn derive(
    backend: &CryptoBackend,
    suite: AlgorithmSuite,
    data_key: &SecretBytes,
    message_id: &MessageId,
) -> Result<ContentKeys, MessageError> {
    match suite.derivation() {
        KeyDerivation::HkdfCommit(hash) => committing(backend, hash, suite, data_key, message_id),
        KeyDerivation::None | KeyDerivation::Hkdf(_) => Err(MessageError::SuiteNotSupported(suite)),
    }
}

fn committing(
    backend: &CryptoBackend,
    hash: DigestAlgorithm,
    suite: AlgorithmSuite,
    data_key: &SecretBytes,
    message_id: &MessageId,
) -> Result<ContentKeys, MessageError> {
    let extracted = backend.kdf().extract(hash, message_id.as_ref(), data_key.expose_secret());
    let mut content_key = Zeroizing::new([0; MAX_KEY_LENGTH]);
    let content_key = &mut content_key[..suite.data_key_length()];
    extracted.expand(&[&suite.id().to_be_bytes(), b"DERIVEKEY"], content_key)?;
    let mut commitment = [0; COMMITMENT_LENGTH];
    extracted.expand(&[b"COMMITKEY"], &mut commitment)?;
    Ok(ContentKeys { content_key: backend.aead().bind(suite.aead(), content_key)?, commitment })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{FASTEST, RUST_CRYPTO};
    use crate::message::testing::{example_data_key, message_id};

    #[test]
    fn commitment_and_content_key_are_those_of_the_worked_example() -> Result<(), MessageError> {
        let suite = AlgorithmSuite::Aes256GcmHkdfSha512Commit;
        for backend in [FASTEST, RUST_CRYPTO] {
            let keys = derive(&backend, suite, &example_data_key(), &message_id(suite))?;
            let expected = "bbe9a13c6144de6db8a0b1a0e8f11783cd66fc015b916c8c1ee27fb7953e8fad";
            assert_eq!(hex::encode(keys.commitment()), expected);
            assert!(keys.commits_to(keys.commitment()) && !keys.commits_to(&[0; COMMITMENT_LENGTH]));

            let content_key = hex::decode("42b9038b9bd3e8ab73591b447a13c9fd236d8227076a7150e0d6f7d6da207193").unwrap();
            let expected = backend.aead().bind(suite.aead(), &content_key)?.seal(&[0; 12], b"bound", &[], &mut [])?;
            assert_eq!(keys.into_content_key().seal(&[0; 12], b"bound", &[], &mut [])?, expected);
        }
        Ok(())
    }

    #[test]
    fn other_derivations_are_named_as_not_supported() {
        for suite in AlgorithmSuite::ALL.iter().filter(|suite| !suite.is_committing()) {
            let refusal = derive(&FASTEST, *suite, &example_data_key(), &message_id(*suite)).err();
            assert_eq!(refusal, Some(MessageError::SuiteNotSupported(*suite)));
        }
    }
}
