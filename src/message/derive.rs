//! Derivation of the content key and the commitment from the data key.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::error::MessageError;
use super::header::{COMMITMENT_LENGTH, HeaderForm};
use super::message_id::MessageId;
use super::suite::{AlgorithmSuite, KeyDerivation};
use crate::crypto::{AeadKey, CryptoBackend, CryptoError};
use crate::secret::SecretBytes;

/// The length of the longest content key, that of AES-256.
const MAX_KEY_LENGTH: usize = 32;

/// The keys derived for a message.
pub(super) struct ContentKeys {
    content_key: Box<dyn AeadKey>,
    commitment: Option<[u8; COMMITMENT_LENGTH]>,
}

impl ContentKeys {
    /// Returns the content key, ready for use.
    pub(super) fn into_content_key(self) -> Box<dyn AeadKey> {
        self.content_key
    }

    /// Returns the commitment that the header contains so that no other data key opens the message,
    /// or `None` for a suite without commitment.
    pub(super) const fn commitment(&self) -> Option<&[u8; COMMITMENT_LENGTH]> {
        self.commitment.as_ref()
    }

    /// Compares the commitment with that of a header in constant time. A header without a
    /// commitment matches only a suite without one, and vice versa.
    pub(super) fn commits_to(&self, shown: Option<&[u8; COMMITMENT_LENGTH]>) -> bool {
        match (&self.commitment, shown) {
            (Some(commitment), Some(shown)) => commitment.ct_eq(shown).into(),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// Derives the keys of a message according to its suite.
///
/// ```text
/// no derivation   content key = data key
/// HKDF            content key = HKDF(no salt, data key, suite id ‖ message id)
/// with commitment prk = HKDF-Extract(salt = message id, data key)
///                 content key = HKDF-Expand(prk, suite id ‖ "DERIVEKEY"), commitment = HKDF-Expand(prk, "COMMITKEY")
/// ```
pub(super) fn derive(
    backend: &CryptoBackend,
    suite: AlgorithmSuite,
    data_key: &SecretBytes,
    message_id: &MessageId,
    form: HeaderForm,
) -> Result<ContentKeys, MessageError> {
    let (data_key, suite_id) = (data_key.expose_secret(), suite.id().to_be_bytes());
    let mut content_key = Zeroizing::new([0; MAX_KEY_LENGTH]);
    let content_key = &mut content_key[..suite.data_key_length()];
    let mut commitment = None;
    match suite.derivation() {
        KeyDerivation::None if data_key.len() == content_key.len() => content_key.copy_from_slice(data_key),
        KeyDerivation::None => {
            return Err(CryptoError::InvalidLength { what: "data key", length: data_key.len() }.into());
        }
        KeyDerivation::Hkdf(hash) => {
            let extracted = backend.kdf().extract(hash, &[], data_key);
            let message_id: &[u8] = match form {
                HeaderForm::Standard => message_id.as_ref(),
                HeaderForm::DotNet400 => &[],
            };
            extracted.expand(&[&suite_id, message_id], content_key)?;
        }
        KeyDerivation::HkdfCommit(hash) => {
            let extracted = backend.kdf().extract(hash, message_id.as_ref(), data_key);
            extracted.expand(&[&suite_id, b"DERIVEKEY"], content_key)?;
            extracted.expand(&[b"COMMITKEY"], commitment.insert([0; COMMITMENT_LENGTH]))?;
        }
    }
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
            let keys = derive(&backend, suite, &example_data_key(), &message_id(suite), HeaderForm::Standard)?;
            let expected = "bbe9a13c6144de6db8a0b1a0e8f11783cd66fc015b916c8c1ee27fb7953e8fad";
            assert_eq!(keys.commitment().map(hex::encode).as_deref(), Some(expected));
            assert!(keys.commits_to(keys.commitment()) && !keys.commits_to(Some(&[0; COMMITMENT_LENGTH])));
            assert!(!keys.commits_to(None));

            let content_key = hex::decode("42b9038b9bd3e8ab73591b447a13c9fd236d8227076a7150e0d6f7d6da207193").unwrap();
            let expected = backend.aead().bind(suite.aead(), &content_key)?.seal(&[0; 12], b"bound", &[], &mut [])?;
            assert_eq!(keys.into_content_key().seal(&[0; 12], b"bound", &[], &mut [])?, expected);
        }
        Ok(())
    }

    #[test]
    fn the_content_key_of_version_1_is_that_of_the_worked_example() -> Result<(), MessageError> {
        let suite = AlgorithmSuite::Aes256GcmHkdfSha256;
        for backend in [FASTEST, RUST_CRYPTO] {
            let keys = derive(&backend, suite, &example_data_key(), &message_id(suite), HeaderForm::Standard)?;
            assert!(keys.commitment().is_none() && keys.commits_to(None));
            assert!(!keys.commits_to(Some(&[0; COMMITMENT_LENGTH])));
            let content_key = hex::decode("6eda12ab907f0718a267636b8ae6162c42f68795fb08db92b2bb5850bbedcd16").unwrap();
            let expected = backend.aead().bind(suite.aead(), &content_key)?.seal(&[0; 12], b"bound", &[], &mut [])?;
            assert_eq!(keys.into_content_key().seal(&[0; 12], b"bound", &[], &mut [])?, expected);
        }
        Ok(())
    }

    #[test]
    fn a_data_key_that_is_used_as_it_is_has_the_length_of_the_content_key() {
        let suite = AlgorithmSuite::Aes128Gcm;
        assert!(derive(&FASTEST, suite, &SecretBytes::zeroed(16), &message_id(suite), HeaderForm::Standard).is_ok());
        assert!(derive(&FASTEST, suite, &SecretBytes::zeroed(32), &message_id(suite), HeaderForm::Standard).is_err());
    }
}
