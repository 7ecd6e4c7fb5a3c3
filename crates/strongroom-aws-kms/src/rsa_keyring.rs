//! A keyring that wraps data keys with the public key of an RSA key in AWS KMS.

use std::fmt;
use std::sync::Arc;

use strongroom::crypto::{CryptoBackend, DigestAlgorithm, DigestValue, KeyPairKind, PublicKey, RsaOaep};
use strongroom::envelope::{DecryptionMaterials, EncryptionMaterials, Keyring, UnwrapFailures};
use strongroom::message::{AlgorithmSuite, EncryptedDataKey};
use strongroom::{Error, ErrorKind, Result, SecretBytes};

use crate::arn::{KeyArn, KeyName};
use crate::client::{AwsKms, Session};
use crate::keyring::checked_grant_tokens;

/// The provider ID of its data keys, as in the AWS Encryption SDK.
const PROVIDER_ID: &str = "aws-kms-rsa";

/// The kinds of RSA keys in AWS KMS.
const KINDS: [KeyPairKind; 3] = [KeyPairKind::Rsa2048, KeyPairKind::Rsa3072, KeyPairKind::Rsa4096];

/// Wraps data keys with an RSA key in AWS KMS, like the AWS KMS RSA keyring of the AWS Encryption SDK.
/// Each reads the messages of the other.
///
/// Writing needs only the public key and never calls AWS KMS. Reading calls Decrypt. Anyone with the
/// public key can write messages, so a message does not show who wrote it. As in the official keyring,
/// suites with a signature are rejected: use the default suite.
///
/// A multi-Region key also reads messages of its replicas in other Regions.
///
/// Provider ID: `aws-kms-rsa`. Provider information: the key ARN. Ciphertext: RSA-OAEP (RFC 8017) of the
/// SHA-384 hash of the canonical encryption context, followed by the data key.
///
/// # Examples
/// ```
/// use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
/// use strongroom::{EncryptionContext, Envelope, message};
/// use strongroom_aws_kms::AwsKmsRsaKeyring;
///
/// # let backend = CryptoBackend::default();
/// # let pair = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?;
/// # let public_key = pair.public_key_der();
/// let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// // `public_key` comes from GetPublicKey. No client is needed.
/// let writer = Envelope::new(AwsKmsRsaKeyring::encrypt_only(key, RsaOaep::Sha256, &public_key)?);
/// let message = writer.encrypt(b"a report", &EncryptionContext::new())?;
/// assert_eq!(message::inspect(&message)?.data_keys()[0].provider_id(), "aws-kms-rsa");
/// assert!(writer.decrypt(&message, &EncryptionContext::new()).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct AwsKmsRsaKeyring {
    kms: Option<AwsKms>,
    key: KeyArn,
    name: KeyName,
    oaep: RsaOaep,
    public_key: Option<Arc<dyn PublicKey>>,
    grant_tokens: Vec<String>,
}

impl AwsKmsRsaKeyring {
    /// Creates a keyring that decrypts with the key of an ARN. With [`with_public_key`](Self::with_public_key)
    /// it also encrypts.
    ///
    /// The hash function of OAEP is SHA-1 or SHA-256, the same for writing and reading.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidArn`] if it is not the ARN of a key.
    /// - [`ErrorKind::Validation`] for another hash function, which AWS KMS does not support.
    pub fn new(kms: &AwsKms, key: &str, oaep: RsaOaep) -> Result<Self> {
        let keyring = Self::without_keys(key, oaep)?;
        Ok(Self { kms: Some(kms.clone()), ..keyring })
    }

    /// Creates a keyring that only encrypts, with a public key as in
    /// [`with_public_key`](Self::with_public_key).
    ///
    /// # Errors
    /// - The errors of [`new`](Self::new) and [`with_public_key`](Self::with_public_key).
    pub fn encrypt_only(key: &str, oaep: RsaOaep, public_key: &[u8]) -> Result<Self> {
        Self::without_keys(key, oaep)?.with_public_key(public_key)
    }

    /// Sets the public key, a SubjectPublicKeyInfo in DER (RFC 5280), as GetPublicKey returns it. Get it
    /// from a source that you trust: the owner of the private key reads the messages.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if it is not a public RSA key of 2048, 3072, or 4096 bits.
    pub fn with_public_key(self, public_key: &[u8]) -> Result<Self> {
        let backend = CryptoBackend::default();
        let parse = |kind| backend.key_pairs().public_key(kind, public_key).ok();
        let text = "the public key is not an RSA key of 2048, 3072, or 4096 bits in DER";
        let public_key = KINDS.into_iter().find_map(parse).ok_or_else(|| Error::new(ErrorKind::Validation, text))?;
        Ok(Self { public_key: Some(public_key.into()), ..self })
    }

    /// Sets grant tokens, which each call presents to AWS KMS.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if there are more than 10.
    pub fn with_grant_tokens(self, tokens: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        Ok(Self { grant_tokens: checked_grant_tokens(tokens)?, ..self })
    }

    fn without_keys(key: &str, oaep: RsaOaep) -> Result<Self> {
        let refused = || Error::new(ErrorKind::InvalidArn, "an RSA key in AWS KMS must be specified by its key ARN");
        let key = KeyArn::parse(key).ok_or_else(refused)?;
        algorithm(oaep)?;
        let name = KeyName::Key(key.clone());
        Ok(Self { kms: None, key, name, oaep, public_key: None, grant_tokens: Vec::new() })
    }

    fn unwrap(
        &self,
        session: &Session<'_>,
        data_key: &EncryptedDataKey,
        digest: &[u8],
        length: usize,
    ) -> Result<SecretBytes> {
        if data_key.provider_id() != PROVIDER_ID {
            return Err(Error::new(ErrorKind::IncorrectKey, "it was not wrapped by an RSA key in AWS KMS"));
        }
        let named = std::str::from_utf8(data_key.provider_info()).ok().and_then(KeyArn::parse);
        let named = named.ok_or_else(|| Error::new(ErrorKind::InvalidArn, "it does not name a key by its ARN"))?;
        if !self.key.is_replica_of(&named) {
            return Err(Error::new(ErrorKind::IncorrectKey, format!("{named} is not the key of this keyring")));
        }
        let algorithm = algorithm(self.oaep)?;
        let opened = session.decrypt_asymmetric(&self.name, algorithm, data_key.ciphertext(), &self.grant_tokens)?;
        if opened.key != self.key {
            let text = format!("AWS KMS decrypted a data key of {} with {}", self.key, opened.key);
            return Err(Error::new(ErrorKind::IncorrectKey, text));
        }
        let data_key = opened.value.expose_secret().strip_prefix(digest).filter(|data_key| data_key.len() == length);
        let text = "it contains no data key for this suite and encryption context";
        data_key.map(SecretBytes::copy_from_slice).ok_or_else(|| Error::new(ErrorKind::InvalidCiphertext, text))
    }
}

/// Returns the name of an algorithm in AWS KMS.
fn algorithm(oaep: RsaOaep) -> Result<&'static str> {
    match oaep {
        RsaOaep::Sha1 => Ok("RSAES_OAEP_SHA_1"),
        RsaOaep::Sha256 => Ok("RSAES_OAEP_SHA_256"),
        _ => Err(Error::new(ErrorKind::Validation, "AWS KMS supports RSA-OAEP with SHA-1 and SHA-256 only")),
    }
}

/// Rejects suites with a signature, as the official keyring does.
fn check_suite(suite: AlgorithmSuite) -> Result<()> {
    match suite.signature() {
        None => Ok(()),
        Some(_) => {
            let text = format!("an RSA key in AWS KMS cannot be used with the signed suite {suite}");
            Err(Error::new(ErrorKind::Validation, text))
        }
    }
}

fn digest(backend: &CryptoBackend, canonical_context: &[u8]) -> DigestValue {
    backend.digest().digest(DigestAlgorithm::Sha384, &[canonical_context])
}

impl Keyring for AwsKmsRsaKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        let text = "the keyring has no public key, so it can only decrypt messages";
        let public_key = self.public_key.as_ref().ok_or_else(|| Error::new(ErrorKind::Validation, text))?;
        check_suite(materials.suite())?;
        let backend = *materials.backend();
        let digest = digest(&backend, materials.canonical_context());
        let data_key = materials.data_key_or_generate()?.expose_secret();
        let plaintext = SecretBytes::from_vec([digest.as_ref(), data_key].concat());
        let wrapped = public_key.encrypt(self.oaep, plaintext.expose_secret(), backend.random())?;
        materials.push(EncryptedDataKey::new(PROVIDER_ID, self.key.as_str(), wrapped))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let text = "the keyring has no client of AWS KMS, so it can only encrypt messages";
        let kms = self.kms.as_ref().ok_or_else(|| Error::new(ErrorKind::Validation, text))?;
        check_suite(materials.suite())?;
        let (session, length) = (kms.begin(), materials.suite().data_key_length());
        let digest = digest(materials.backend(), materials.canonical_context());
        let mut failures = UnwrapFailures::default();
        for data_key in data_keys {
            match self.unwrap(&session, data_key, digest.as_ref(), length) {
                Ok(plaintext) => return materials.set_data_key(plaintext),
                Err(error) => failures.push(data_key, error),
            }
        }
        Err(failures.into_error())
    }
}

impl fmt::Debug for AwsKmsRsaKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("AwsKmsRsaKeyring");
        out.field("key", &self.key).field("oaep", &self.oaep);
        out.field("encrypts", &self.public_key.is_some()).field("decrypts", &self.kms.is_some());
        out.finish_non_exhaustive()
    }
}
