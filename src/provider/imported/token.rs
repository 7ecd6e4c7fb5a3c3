//! The import token: the sealed private half of a wrapping key, and its parameters.

use crate::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::crypto::text_form;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::KeyId;
use crate::seal::RootKeyVersions;
use crate::secret::SecretBytes;

/// Format version of the token. The bytes after it are sealed under the root key.
const FORMAT: u8 = 1;

/// Maximum length of the private key in a token. An RSA-4096 key has about 2,400 bytes.
const MAX_PRIVATE_KEY: usize = 4_096;

/// The key that a token is for. A token for another key or another store does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenBinding {
    /// The identity of the store.
    pub(crate) store: [u8; 16],
    /// The account that owns the key.
    pub(crate) account: AccountId,
    /// The key.
    pub(crate) key_id: KeyId,
}

impl TokenBinding {
    fn to_bytes(self) -> Result<Vec<u8>, CodecError> {
        let mut writer = Writer::with_capacity(80);
        writer.bytes(b"strongroom import token v1").bytes(&self.store);
        writer.prefixed_u16(self.account.as_str().as_bytes(), "account")?;
        writer.bytes(self.key_id.as_bytes());
        Ok(writer.into_bytes())
    }
}

/// Everything that is needed to unwrap the material. The store contains none of it.
///
/// ```text
/// token = u8 format = 1 ‖ sealed(u16 spec ‖ u16 algorithm ‖ i64 valid to, in milliseconds ‖ u32 private key in PKCS#8)
/// ```
///
/// Strings and the private key are preceded by their length, as encoded by the codec.
#[derive(Debug)]
pub(crate) struct ImportToken {
    /// Kind and size of the wrapping key.
    pub(crate) wrapping_key_spec: WrappingKeySpec,
    /// The algorithm with which the material must be wrapped.
    pub(crate) algorithm: WrappingAlgorithm,
    /// Expiry time, 24 hours after the token was issued.
    pub(crate) valid_to: Timestamp,
    /// The private half of the wrapping key, as PKCS#8.
    pub(crate) private_key: SecretBytes,
}

impl ImportToken {
    /// Writes and seals the token.
    pub(crate) fn seal(&self, root: &RootKeyVersions, binding: &TokenBinding) -> Result<Vec<u8>> {
        let mut writer = Writer::with_capacity(128 + self.private_key.len());
        writer.prefixed_u16(self.wrapping_key_spec.as_str().as_bytes(), "wrapping key spec")?;
        writer.prefixed_u16(self.algorithm.as_str().as_bytes(), "wrapping algorithm")?;
        writer.bytes(&self.valid_to.unix_millis().to_be_bytes());
        writer.prefixed_u32(self.private_key.expose_secret(), MAX_PRIVATE_KEY, "private key")?;
        let plain = SecretBytes::from_vec(writer.into_bytes());
        let mut token = vec![FORMAT];
        token.extend_from_slice(&root.seal(&binding.to_bytes()?, plain.expose_secret())?);
        Ok(token)
    }

    /// Opens a token that was issued for the key under the current version of the root key.
    ///
    /// # Errors
    /// - [`InvalidImportToken`](ErrorKind::InvalidImportToken) for every invalid token. The error
    ///   gives no details, unless the token is text.
    pub(crate) fn open(token: &[u8], root: &RootKeyVersions, binding: &TokenBinding) -> Result<Self> {
        if let Some(form) = text_form(token) {
            let text = format!("the import token differs from the one that this KMS returned: {form}");
            return Err(Error::new(ErrorKind::InvalidImportToken, text));
        }
        // Earlier root key versions that this process still knows are not accepted: a party whose
        // access ended with the rotation may have one.
        let sealed = token.strip_prefix(&[FORMAT]).filter(|sealed| root.is_current(sealed)).ok_or_else(invalid)?;
        let plain = root.open(&binding.to_bytes()?, sealed).map_err(|_| invalid())?;
        Self::decode(plain.expose_secret()).map_err(|_| invalid())
    }

    fn decode(plain: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(plain);
        let token = Self {
            wrapping_key_spec: WrappingKeySpec::parse(text(&mut reader)?)?,
            algorithm: WrappingAlgorithm::parse(text(&mut reader)?)?,
            valid_to: Timestamp::from_unix_millis(i64::from_be_bytes(reader.array("valid to")?)),
            private_key: SecretBytes::copy_from_slice(reader.prefixed_u32(MAX_PRIVATE_KEY, "private key")?),
        };
        reader.finish()?;
        Ok(token)
    }
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, CodecError> {
    std::str::from_utf8(reader.prefixed_u16("name")?).map_err(|_| CodecError::Invalid { field: "name" })
}

fn invalid() -> Error {
    Error::new(ErrorKind::InvalidImportToken, "the import token was not issued by this KMS for this key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::CryptoBackend;

    fn versions(secret: u8) -> Result<RootKeyVersions> {
        RootKeyVersions::new(&CryptoBackend::default(), 1, [(1, SecretBytes::copy_from_slice(&[secret; 32]))])
    }

    const STORE: [u8; 16] = [1; 16];

    fn binding() -> TokenBinding {
        TokenBinding { store: STORE, account: AccountId::default(), key_id: KeyId::from_bytes([2; 16]) }
    }

    fn token() -> ImportToken {
        ImportToken {
            wrapping_key_spec: WrappingKeySpec::Rsa3072,
            algorithm: WrappingAlgorithm::RsaAesKeyWrapSha1,
            valid_to: Timestamp::from_unix_millis(-7),
            private_key: SecretBytes::copy_from_slice(&[3; 1_700]),
        }
    }

    #[test]
    fn a_token_opens_as_it_was_sealed_and_not_otherwise() -> Result<()> {
        let root = versions(4)?;
        let sealed = token().seal(&root, &binding())?;
        let opened = ImportToken::open(&sealed, &root, &binding())?;
        assert_eq!(
            (opened.wrapping_key_spec, opened.algorithm, opened.valid_to),
            (WrappingKeySpec::Rsa3072, WrappingAlgorithm::RsaAesKeyWrapSha1, Timestamp::from_unix_millis(-7))
        );
        assert_eq!(opened.private_key, token().private_key);

        let refused = |token: &[u8], root: &RootKeyVersions, binding: &TokenBinding| {
            let refused = ImportToken::open(token, root, binding).expect_err("a token of another key is rejected");
            assert_eq!((refused.kind(), refused.to_string()), (invalid().kind(), invalid().to_string()));
        };
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            refused(&altered, &root, &binding());
            refused(&sealed[..at], &root, &binding());
        }
        refused(&[&sealed[..], &[0]].concat(), &root, &binding());
        refused(&sealed, &root, &TokenBinding { key_id: KeyId::from_bytes([9; 16]), ..binding() });
        refused(&sealed, &root, &TokenBinding { store: [9; 16], ..binding() });
        refused(&sealed, &root, &TokenBinding { account: AccountId::parse("123456789012")?, ..binding() });
        refused(&sealed, &versions(5)?, &binding());
        Ok(())
    }

    #[test]
    fn a_sealed_token_of_another_layout_is_refused() -> Result<()> {
        let root = versions(4)?;
        for plain in [&b""[..], b"\0\x08RSA_2048", b"\0\x08RSA_2048\0\x10RSAES_OAEP_SHA_1\0\0\0\0\0\0\0\0\0\0\0\x01kk"]
        {
            let sealed = [&[FORMAT], &root.seal(&binding().to_bytes()?, plain)?[..]].concat();
            assert!(ImportToken::open(&sealed, &root, &binding()).is_err());
        }
        Ok(())
    }
}
