//! The key management client of Iceberg tables.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::encryption::{GeneratedKey, KeyManagementClient, SensitiveBytes};
use strongroom::request::{DecryptRequest, EncryptRequest, GenerateDataKeyRequest, KeyReference};
use strongroom::{EncryptionContext, Error, ErrorKind, Kms, Result, SecretBytes};

use crate::{blocking, error};

/// Lengths of AES keys in bytes. Iceberg has no other keys.
const KEY_LENGTHS: [usize; 3] = [16, 24, 32];

/// Wraps the key encryption keys of Iceberg tables with keys of a [`Kms`].
///
/// Pass it to [`TableBuilder::kms_client`](iceberg::table::TableBuilder::kms_client). A clone is cheap
/// and uses the same KMS, with the permissions of the same principal. Calls run on blocking threads of
/// Tokio. A call that was dropped runs to its end.
///
/// The property `encryption.key-id` of a table is a key ID, a key ARN, an alias name or an alias ARN.
/// A wrapped key is the ciphertext of [`Kms::encrypt`] or [`Kms::generate_data_key`], of at most
/// 6,144 bytes. A client of the AWS KMS API can create and read it.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use iceberg::encryption::KeyManagementClient;
/// use strongroom::Kms;
/// use strongroom_iceberg::IcebergKms;
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id().to_string();
/// let client = IcebergKms::new(&kms, [("table", "lake.orders")])?;
///
/// assert!(client.supports_key_generation());
/// let generated = client.generate_key(&key).await?;
/// assert_eq!(generated.key().len(), 32);
/// assert_eq!(&client.unwrap_key(generated.wrapped_key(), &key).await?, generated.key());
///
/// let other = IcebergKms::new(&kms, [("table", "lake.customers")])?;
/// assert!(other.unwrap_key(generated.wrapped_key(), &key).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct IcebergKms {
    pub(crate) kms: Kms,
    pub(crate) context: Arc<EncryptionContext>,
}

impl IcebergKms {
    /// Uses the keys of a KMS, and binds every wrapped key to an encryption context.
    ///
    /// The context is the only binding to a table, because the trait passes no name of a table. Create
    /// a client for each table, with its name or UUID in the context. Every reader must supply the same
    /// context. The client `AwsKeyManagementClient` of Iceberg for Java supplies none: for tables that it
    /// also reads, the context must be empty.
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

    fn wrap(&self, key: &[u8], wrapping_key: &str) -> Result<Vec<u8>> {
        if !KEY_LENGTHS.contains(&key.len()) {
            let text = format!("cannot wrap {} bytes: a key of a table has 16, 24 or 32 bytes", key.len());
            return Err(Error::new(ErrorKind::Validation, text));
        }
        let request = EncryptRequest::new(wrapping_key, key).context(&self.context);
        Ok(self.kms.encrypt(request)?.ciphertext_blob)
    }

    fn unwrap(&self, wrapped: &[u8], wrapping_key: &str) -> Result<SecretBytes> {
        let wrapping_key = wrapping_key.to_key_identifier()?;
        let request = DecryptRequest::new(wrapped).key(wrapping_key.clone())?.context(&self.context);
        let key = self.kms.decrypt(request)?.plaintext;
        if !KEY_LENGTHS.contains(&key.len()) {
            let length = key.len();
            let text = format!(
                "cannot unwrap a key of a table under {wrapping_key}: it contains {length} bytes, which is no AES key"
            );
            return Err(Error::new(ErrorKind::InvalidCiphertext, text));
        }
        Ok(key)
    }

    fn generate(&self, wrapping_key: &str) -> Result<(SecretBytes, Vec<u8>)> {
        let request = GenerateDataKeyRequest::new(wrapping_key).context(&self.context);
        let generated = self.kms.generate_data_key(request)?;
        Ok((generated.plaintext, generated.ciphertext_blob))
    }
}

/// Calls run on blocking threads. The source of an error is an [`Error`], which
/// [`error_inside`](crate::error_inside) returns:
///
/// | cause | kind of Iceberg | retryable |
/// |---|---|---|
/// | the key does not exist, also if it belongs to another account; access denied, key disabled, pending deletion | `PreconditionFailed` | no |
/// | the wrapped key is damaged, of another key, or has another encryption context; a malformed ARN; a key of another length than 16, 24 or 32 bytes | `DataInvalid` | no |
/// | the key cannot encrypt, such as an HMAC key | `FeatureUnsupported` | no |
/// | the material, the store or the audit trail is unreachable | `Unexpected` | yes |
#[async_trait]
impl KeyManagementClient for IcebergKms {
    async fn wrap_key(&self, key: &[u8], wrapping_key_id: &str) -> iceberg::Result<Vec<u8>> {
        let (client, key, id) = (self.clone(), SecretBytes::copy_from_slice(key), wrapping_key_id.to_owned());
        let wrapped = blocking::call(move || client.wrap(key.expose_secret(), &id)).await;
        wrapped.map_err(|error| error::of_kms("cannot wrap a key of a table", error))
    }

    async fn unwrap_key(&self, wrapped_key: &[u8], wrapping_key_id: &str) -> iceberg::Result<SensitiveBytes> {
        let (client, wrapped, id) = (self.clone(), wrapped_key.to_owned(), wrapping_key_id.to_owned());
        let key = blocking::call(move || client.unwrap(&wrapped, &id)).await;
        let key = key.map_err(|error| error::of_kms("cannot unwrap a key of a table", error))?;
        Ok(SensitiveBytes::new(key.expose_secret()))
    }

    /// Returns `true`: the KMS generates keys of 256 bits.
    fn supports_key_generation(&self) -> bool {
        true
    }

    async fn generate_key(&self, wrapping_key_id: &str) -> iceberg::Result<GeneratedKey> {
        let (client, id) = (self.clone(), wrapping_key_id.to_owned());
        let generated = blocking::call(move || client.generate(&id)).await;
        let (key, wrapped) = generated.map_err(|error| error::of_kms("cannot generate a key of a table", error))?;
        Ok(GeneratedKey::new(SensitiveBytes::new(key.expose_secret()), wrapped))
    }
}

impl fmt::Debug for IcebergKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IcebergKms").field("kms", &self.kms).finish_non_exhaustive()
    }
}
