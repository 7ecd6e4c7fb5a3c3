//! The blocking KMS client of Parquet files.

use std::fmt;
use std::mem;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use parquet_key_management::errors::{Error as ParquetError, Result as ParquetResult};
use parquet_key_management::kms::{KmsClient, KmsClientFactory, KmsClientRef, KmsConnectionInfo};
use strongroom::key::KeyIdentifier;
use strongroom::request::{DecryptRequest, EncryptRequest, KeyReference};
use strongroom::{EncryptionContext, Error, ErrorKind, Kms, Result};

/// Maximum length of a wrapped key in characters: a ciphertext of 6,144 bytes as Base64.
pub const MAX_WRAPPED_KEY_LENGTH: usize = 8_192;

/// Lengths of AES keys in bytes. Parquet has no other keys.
const KEY_LENGTHS: [usize; 3] = [16, 24, 32];

/// Wraps the keys of Parquet files with keys of a [`Kms`].
///
/// It is both the client and its factory: pass it to
/// [`CryptoFactory::new`](parquet_key_management::crypto_factory::CryptoFactory::new). A clone is
/// cheap and uses the same KMS, with the permissions of the same principal.
///
/// A *master key identifier* is a key ID, a key ARN, an alias name or an alias ARN. The file contains
/// it as given, and unwrapping accepts only ciphertexts of that key. A wrapped key is the ciphertext
/// of [`Kms::encrypt`] as Base64 (RFC 4648, section 4, with padding), of at most
/// [`MAX_WRAPPED_KEY_LENGTH`] characters. A client of the AWS KMS API can create and read it.
///
/// # Examples
/// ```
/// use parquet_key_management::kms::KmsClient;
/// use strongroom::{EncryptionContext, Kms};
/// use strongroom_parquet::ParquetKms;
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id().to_string();
/// let client = ParquetKms::new(&kms, [("table", "orders")])?;
///
/// let wrapped = client.wrap_key(&[7; 16], &key)?;
/// assert_eq!(wrapped.len(), (94 + 16_usize).div_ceil(3) * 4);
/// assert_eq!(client.unwrap_key(&wrapped, &key)?, [7; 16]);
///
/// let other = ParquetKms::new(&kms, [("table", "customers")])?;
/// assert!(other.unwrap_key(&wrapped, &key).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ParquetKms {
    kms: Kms,
    context: Arc<EncryptionContext>,
}

impl ParquetKms {
    /// Uses the keys of a KMS, and binds every wrapped key to an encryption context.
    ///
    /// The context is the only binding to a table or a purpose, because the trait passes neither the
    /// path of a file nor the name of a column. Every reader must supply the same context. The file
    /// does not contain it. With an empty context, keys can be exchanged between all tables under one
    /// KMS key.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the context is longer than 65,535 bytes.
    pub fn new(kms: &Kms, context: impl Into<EncryptionContext>) -> Result<Self> {
        let context = context.into();
        context.to_canonical_bytes().map_err(|error| Error::new(ErrorKind::Validation, error.to_string()))?;
        Ok(Self { kms: kms.clone(), context: Arc::new(context) })
    }

    /// Returns the encryption context.
    pub fn encryption_context(&self) -> &EncryptionContext {
        &self.context
    }

    pub(crate) fn wrap(&self, key: &[u8], master_key: &str) -> Result<String> {
        if !KEY_LENGTHS.contains(&key.len()) {
            let text = format!("cannot wrap {} bytes: a key of a Parquet file has 16, 24 or 32 bytes", key.len());
            return Err(Error::new(ErrorKind::Validation, text));
        }
        let request = EncryptRequest::new(master_key, key).context(&self.context);
        Ok(Base64::encode_string(&self.kms.encrypt(request)?.ciphertext_blob))
    }

    pub(crate) fn unwrap(&self, wrapped: &str, master_key: &str) -> Result<Vec<u8>> {
        let master_key = master_key.to_key_identifier()?;
        if wrapped.len() > MAX_WRAPPED_KEY_LENGTH {
            let length = wrapped.len();
            return Err(damaged(&master_key, &format!("{length} characters exceed {MAX_WRAPPED_KEY_LENGTH}")));
        }
        let blob = Base64::decode_vec(wrapped).map_err(|_| damaged(&master_key, "the text is not Base64"))?;
        let request = DecryptRequest::new(&blob).key(master_key.clone())?.context(&self.context);
        let key = self.kms.decrypt(request)?.plaintext;
        if !KEY_LENGTHS.contains(&key.len()) {
            return Err(damaged(&master_key, &format!("it contains {} bytes, which is no AES key", key.len())));
        }
        Ok(mem::take(&mut *key.into_zeroizing_vec()))
    }
}

fn damaged(master_key: &KeyIdentifier, reason: &str) -> Error {
    let text = format!("cannot unwrap a key of a Parquet file under {master_key}: {reason}");
    Error::new(ErrorKind::InvalidCiphertext, text)
}

pub(crate) fn external(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Errors are [`External`](ParquetError::External), with an [`Error`] inside:
///
/// - [`InvalidCiphertext`](ErrorKind::InvalidCiphertext) if a wrapped key is damaged, too long, or has
///   another encryption context.
/// - [`IncorrectKey`](ErrorKind::IncorrectKey) if it was wrapped with another key.
/// - [`NotFound`](ErrorKind::NotFound) or [`InvalidArn`](ErrorKind::InvalidArn) if the key does not
///   exist, also if it belongs to another account.
/// - [`AccessDenied`](ErrorKind::AccessDenied), [`Disabled`](ErrorKind::Disabled) or
///   [`InvalidState`](ErrorKind::InvalidState) if the KMS does not allow its use.
/// - [`Validation`](ErrorKind::Validation) if a key to wrap does not have 16, 24 or 32 bytes.
/// - Every other kind of [`Kms::encrypt`] and [`Kms::decrypt`].
impl KmsClient for ParquetKms {
    fn wrap_key(&self, key_bytes: &[u8], master_key_identifier: &str) -> ParquetResult<String> {
        self.wrap(key_bytes, master_key_identifier).map_err(external)
    }

    fn unwrap_key(&self, wrapped_key: &str, master_key_identifier: &str) -> ParquetResult<Vec<u8>> {
        self.unwrap(wrapped_key, master_key_identifier).map_err(external)
    }
}

/// Returns a clone. The connection is ignored: neither a file nor a configuration can name another
/// KMS, or another principal.
impl KmsClientFactory for ParquetKms {
    fn create_client(&self, _: &KmsConnectionInfo) -> ParquetResult<KmsClientRef> {
        Ok(Arc::new(self.clone()))
    }
}

impl fmt::Debug for ParquetKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetKms").field("kms", &self.kms).finish_non_exhaustive()
    }
}
