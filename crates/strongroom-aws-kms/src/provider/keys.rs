//! Keys in AWS KMS, ready for use.

use strongroom::algorithm::{EncryptionAlgorithm, SigningAlgorithm};
use strongroom::crypto::{CryptoBackend, DigestAlgorithm, SignatureInput};
use strongroom::provider::{Agreement, Cipher, CipherScheme, Decryption, Signing};
use strongroom::{EncryptionContext, Error, ErrorKind, Result, SecretBytes};

use crate::arn::KeyName;
use crate::client::AwsKms;
use crate::error::{AwsKmsError, AwsKmsFailure};

/// The names in the encryption context of a ciphertext: the header of strongroom, and the SHA-384 hash
/// of the canonical context of the caller, which may be longer than AWS KMS accepts.
const HEADER: &str = "strongroom-header";
const CONTEXT: &str = "strongroom-context-sha384";

/// The longest body that fits into a ciphertext of strongroom.
const MAX_BODY: usize = 6_122;

/// A key in AWS KMS. Its methods call AWS KMS.
pub(super) struct RemoteKey {
    pub(super) kms: AwsKms,
    pub(super) key: KeyName,
    pub(super) backend: CryptoBackend,
}

impl RemoteKey {
    fn context(&self, header: &[u8], context: &[u8]) -> EncryptionContext {
        let hash = self.backend.digest().digest(DigestAlgorithm::Sha384, &[context]);
        let [header, hash] = [header, hash.as_ref()].map(base16ct::lower::encode_string);
        [(HEADER, header.as_str()), (CONTEXT, hash.as_str())].into_iter().collect()
    }

    /// Requires that AWS KMS used this key.
    fn check(&self, used: &crate::arn::KeyArn) -> Result<()> {
        if used.as_str() == self.key.as_str() {
            return Ok(());
        }
        let text = format!("AWS KMS used {used} instead of {}", self.key.as_str());
        Err(Error::new(ErrorKind::Internal, text))
    }
}

impl Cipher for RemoteKey {
    fn scheme(&self) -> CipherScheme {
        CipherScheme::Provider
    }

    fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()> {
        let plaintext = SecretBytes::copy_from_slice(plaintext);
        let session = self.kms.begin();
        let sealed = session.encrypt(&self.key, &plaintext, &self.context(header, context), &[]);
        let sealed = sealed.map_err(unavailable)?;
        self.check(&sealed.key)?;
        append(output, &sealed.value)
    }

    fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes> {
        let session = self.kms.begin();
        let opened = session.decrypt(&self.key, body, &self.context(header, context), &[]).map_err(refused)?;
        self.check(&opened.key)?;
        Ok(opened.value)
    }

    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes> {
        let session = self.kms.begin();
        let made = session.generate_data_key(&self.key, length, &self.context(header, context), &[]);
        let made = made.map_err(unavailable)?;
        self.check(&made.key)?;
        if made.value.plaintext.len() != length {
            return Err(Error::new(ErrorKind::Internal, "AWS KMS generated a data key of another length"));
        }
        append(output, &made.value.ciphertext)?;
        Ok(made.value.plaintext)
    }
}

impl Decryption for RemoteKey {
    fn decrypt(&self, algorithm: EncryptionAlgorithm, ciphertext: &[u8]) -> Result<SecretBytes> {
        let session = self.kms.begin();
        let opened = session.decrypt_asymmetric(&self.key, algorithm.as_str(), ciphertext, &[]).map_err(refused)?;
        self.check(&opened.key)?;
        Ok(opened.value)
    }
}

impl Signing for RemoteKey {
    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>> {
        let hashed;
        // AWS KMS accepts messages of at most 4,096 bytes, and digests of any message.
        let digest = match input {
            SignatureInput::Digest(digest) => digest,
            SignatureInput::ExternalMu(_) => {
                let text = format!("{algorithm} is not supported for keys in AWS KMS");
                return Err(Error::new(ErrorKind::UnsupportedOperation, text));
            }
            SignatureInput::Message(message) => {
                hashed = self.backend.digest().digest(digest_algorithm(algorithm)?, &[message]);
                hashed.as_ref()
            }
        };
        self.kms.begin().sign_digest(&self.key, algorithm.as_str(), digest).map_err(unavailable)
    }
}

impl Agreement for RemoteKey {
    fn agree(&self, public_key: &[u8]) -> Result<SecretBytes> {
        let shared = self.kms.begin().derive_shared_secret(&self.key, public_key, &[]).map_err(|error| match error
            .downcast_ref()
            .map(AwsKmsError::failure)
        {
            Some(AwsKmsFailure::Rejected) => Error::new(ErrorKind::Validation, error.to_string()).with_source(error),
            _ => unavailable(error),
        })?;
        self.check(&shared.key)?;
        Ok(shared.value)
    }
}

fn digest_algorithm(algorithm: SigningAlgorithm) -> Result<DigestAlgorithm> {
    let known = [DigestAlgorithm::Sha256, DigestAlgorithm::Sha384, DigestAlgorithm::Sha512];
    let digest = known.into_iter().find(|digest| digest.output_length() == algorithm.digest_length());
    digest.ok_or_else(|| Error::new(ErrorKind::Internal, format!("{algorithm} has no known hash function")))
}

fn append(output: &mut Vec<u8>, body: &[u8]) -> Result<()> {
    if body.is_empty() || body.len() > MAX_BODY {
        let text = format!("AWS KMS returned a ciphertext of {} bytes, which does not fit", body.len());
        return Err(Error::new(ErrorKind::Internal, text));
    }
    output.extend_from_slice(body);
    Ok(())
}

/// Returns the error of an operation that every usable key performs: the key is unavailable.
fn unavailable(error: Error) -> Error {
    match error.kind() {
        ErrorKind::KeyUnavailable | ErrorKind::Internal => error,
        _ => Error::new(ErrorKind::KeyUnavailable, error.to_string()).with_source(error),
    }
}

/// Returns the error of a decryption. A ciphertext that AWS KMS rejects gets no details.
fn refused(error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidCiphertext | ErrorKind::IncorrectKey | ErrorKind::Validation => {
            Error::new(ErrorKind::InvalidCiphertext, "the ciphertext cannot be decrypted")
        }
        _ => unavailable(error),
    }
}
