//! Encryption of the values of SecureString parameters, as in AWS Systems Manager.

use base64ct::{Base64, Encoding};

use super::error::ParameterError;
use super::kinds::StoredTier;
use super::record::VersionRecord;
use crate::context::EncryptionContext;
use crate::envelope::operations::Envelope;
use crate::envelope::{KmsKeyring, UnwrapFailures};
use crate::error::{Error, ErrorKind, Result};
use crate::kms::{DecryptRequest, EncryptRequest, Kms};
use crate::message;
use crate::secret::SecretBytes;

/// The key of new SecureString parameters.
pub(super) const DEFAULT_KEY: &str = "alias/aws/ssm";
/// The name in the encryption context that binds a value to its parameter.
const CONTEXT_NAME: &str = "PARAMETER_ARN";

/// An encrypted value.
pub(super) struct EncryptedValue {
    pub(super) ciphertext: SecretBytes,
    /// The ARN of the key that encrypted it.
    pub(super) key_arn: String,
}

/// Encrypts a value as the caller for whom the handle acts.
pub(super) fn encrypt(
    kms: &Kms,
    key_id: &str,
    arn: &str,
    tier: StoredTier,
    value: &SecretBytes,
) -> Result<EncryptedValue> {
    let context = EncryptionContext::from([(CONTEXT_NAME, arn)]);
    let encrypted = match tier {
        StoredTier::Standard => {
            let request = EncryptRequest::new(key_id, value.expose_secret()).context(&context);
            kms.encrypt(request).map(|made| (made.ciphertext_blob, made.key_arn.to_string()))
        }
        StoredTier::Advanced => encrypt_message(kms, key_id, &context, value),
    };
    let (ciphertext, key_arn) = encrypted.map_err(|error| key_error(key_id, error))?;
    Ok(EncryptedValue { ciphertext: SecretBytes::from_vec(ciphertext), key_arn })
}

fn encrypt_message(
    kms: &Kms,
    key_id: &str,
    context: &EncryptionContext,
    value: &SecretBytes,
) -> Result<(Vec<u8>, String)> {
    let message = Envelope::new(KmsKeyring::new(kms, key_id)?).encrypt(value.expose_secret(), context)?;
    let header = message::inspect(&message)?;
    let key_arn = header.data_keys().first().and_then(|data_key| std::str::from_utf8(data_key.provider_info()).ok());
    let key_arn = key_arn.ok_or_else(|| Error::new(ErrorKind::Internal, "the new message has no data key"))?;
    let key_arn = key_arn.to_owned();
    Ok((message, key_arn))
}

/// Decrypts the value of a version as the caller for whom the handle acts.
pub(super) fn decrypt(kms: &Kms, arn: &str, version: &VersionRecord) -> Result<SecretBytes> {
    let context = EncryptionContext::from([(CONTEXT_NAME, arn)]);
    let ciphertext = version.value.expose_secret();
    let decrypted = match version.tier {
        StoredTier::Standard => decrypt_blob(kms, &version.key_arn, &context, ciphertext),
        StoredTier::Advanced => KmsKeyring::new(kms, version.key_arn.as_str())
            .and_then(|keyring| Envelope::new(keyring).decrypt(ciphertext, &context))
            .map(SecretBytes::from_vec),
    };
    decrypted.map_err(|error| key_error(&version.key_id, cause_of(error)))
}

fn decrypt_blob(kms: &Kms, key_arn: &str, context: &EncryptionContext, ciphertext: &[u8]) -> Result<SecretBytes> {
    let request = DecryptRequest::new(ciphertext).context(context).key(key_arn)?;
    Ok(kms.decrypt(request)?.plaintext)
}

/// Returns a ciphertext as text.
pub(super) fn as_text(ciphertext: &SecretBytes) -> SecretBytes {
    SecretBytes::from_vec(Base64::encode_string(ciphertext.expose_secret()).into_bytes())
}

/// Returns the refusal of the key, if no data key of a message could be unwrapped.
fn cause_of(error: Error) -> Error {
    let failures: Option<&UnwrapFailures> = error.downcast_ref();
    failures.and_then(|failures| failures.iter().next().map(|failure| failure.error().clone())).unwrap_or(error)
}

/// Reports a key that cannot be used. Denied permissions and failures of the KMS stay as they are.
fn key_error(key_id: &str, error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::InvalidArn
        | ErrorKind::InvalidAliasName
        | ErrorKind::Validation
        | ErrorKind::Disabled
        | ErrorKind::InvalidState
        | ErrorKind::InvalidKeyUsage
        | ErrorKind::UnsupportedOperation
        | ErrorKind::IncorrectKey => ParameterError::InvalidKeyId { key_id: key_id.to_owned(), source: error }.into(),
        _ => error,
    }
}
