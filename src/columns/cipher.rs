//! Encryption and decryption of encoded values.

use super::data_keys::DataKeys;
use super::padding::{pad, unpad};
use super::row_id::{RowId, TENANT};
use super::stored::{BLOB, DATA_KEY, Encrypted, MAX_VALUE_BYTES, Parts};
use crate::context::{EncryptionContext, too_long};
use crate::crypto::CryptoError;
use crate::error::{Error, ErrorKind, Result};
use crate::key::MAX_PLAINTEXT_BYTES;
use crate::kms::{DecryptRequest, EncryptRequest};
use crate::seal::{CommittingKey, OVERHEAD};
use crate::secret::SecretBytes;

/// The label of values under a data key.
const LABEL: &[u8] = b"strongroom column v1";

/// The settings of a column.
#[derive(Clone)]
pub(super) struct Cipher {
    pub(super) table: String,
    pub(super) name: String,
    /// The context of all values: table, column, and the pairs of the builder.
    pub(super) context: EncryptionContext,
    pub(super) data_keys: DataKeys,
    /// The multiple to which values are padded.
    pub(super) padding: usize,
}

impl Cipher {
    /// Returns the contexts of a column and tenant, and of a row.
    fn contexts(&self, row: &RowId) -> Result<(EncryptionContext, EncryptionContext)> {
        let column = self.column_context(row.tenant_name());
        let mut of_row = column.clone();
        row.add_to(&mut of_row)?;
        Ok((column, of_row))
    }

    fn column_context(&self, tenant: Option<&str>) -> EncryptionContext {
        let mut column = self.context.clone();
        if let Some(tenant) = tenant {
            column.insert(TENANT, tenant);
        }
        column
    }

    /// Encrypts an empty value that belongs to no row, to learn the key for new values of a tenant.
    pub(super) fn encrypt_probe(&self, tenant: Option<&str>) -> Result<Vec<u8>> {
        let column = self.column_context(tenant);
        self.encrypt_in(&column, &column, &pad(&[], self.padding))
    }

    /// Encrypts a value, and returns the bytes to store.
    pub(super) fn encrypt(&self, row: &RowId, encoded: &SecretBytes) -> Result<Vec<u8>> {
        // The padding adds at least one byte. Checked before the padding is allocated.
        let length = encoded.len().saturating_add(1).next_multiple_of(self.padding);
        if length > MAX_VALUE_BYTES {
            let text = format!("it has {length} bytes with its padding, but at most {MAX_VALUE_BYTES} are allowed");
            return Err(Error::new(ErrorKind::Validation, text));
        }
        let (column, of_row) = self.contexts(row)?;
        self.encrypt_in(&column, &of_row, &pad(encoded.expose_secret(), self.padding))
    }

    /// Encrypts a padded value in the context of a row.
    fn encrypt_in(
        &self,
        column: &EncryptionContext,
        of_row: &EncryptionContext,
        padded: &SecretBytes,
    ) -> Result<Vec<u8>> {
        if self.data_keys.caching.is_none() && padded.len() <= MAX_PLAINTEXT_BYTES {
            let key = self.data_keys.keys.current(column)?;
            let request = EncryptRequest::new(&key, padded.expose_secret()).context(of_row);
            let blob = self.data_keys.keys.kms().encrypt(request)?.ciphertext_blob;
            return Ok([&[BLOB][..], &blob].concat());
        }
        let data_key = self.data_keys.for_encryption(column, u64::try_from(padded.len()).unwrap_or(u64::MAX))?;
        let wrapped = data_key.wrapped();
        let wrapped_length = u16::try_from(wrapped.len())
            .map_err(|_| Error::new(ErrorKind::Internal, "the KMS returned a wrapped data key that is too long"))?;
        let mut bytes = Vec::with_capacity(3 + wrapped.len() + OVERHEAD + padded.len());
        bytes.push(DATA_KEY);
        bytes.extend_from_slice(&wrapped_length.to_be_bytes());
        bytes.extend_from_slice(wrapped);
        let context = of_row.to_canonical_bytes().map_err(too_long)?;
        let key = CommittingKey::new(&self.data_keys.backend, data_key.expose_secret())?;
        key.seal(LABEL, &[DATA_KEY], &context, padded.expose_secret(), &mut bytes)?;
        Ok(bytes)
    }

    /// Decrypts a value.
    pub(super) fn decrypt<T>(&self, row: &RowId, stored: &Encrypted<T>) -> Result<SecretBytes> {
        let padded = self.open(row, stored)?;
        let value = unpad(padded.expose_secret()).ok_or_else(|| {
            Error::new(ErrorKind::InvalidCiphertext, "its padding is missing: it was not encrypted by a column")
        })?;
        Ok(SecretBytes::copy_from_slice(value))
    }

    /// Decrypts a value, which still has its padding.
    fn open<T>(&self, row: &RowId, stored: &Encrypted<T>) -> Result<SecretBytes> {
        let (column, of_row) = self.contexts(row)?;
        match stored.parts()? {
            Parts::Blob { blob, .. } => {
                let key = self.data_keys.keys.expected(&column, stored.key_id())?;
                let request = DecryptRequest::new(blob).key(&key)?.context(&of_row);
                self.data_keys.keys.kms().decrypt(request).map(|opened| opened.plaintext)
            }
            Parts::DataKey { wrapped, body, .. } => {
                let data_key = self.data_keys.for_decryption(&column, wrapped, stored.key_id())?;
                let context = of_row.to_canonical_bytes().map_err(too_long)?;
                let key = CommittingKey::new(&self.data_keys.backend, data_key.expose_secret())?;
                key.open(LABEL, &[DATA_KEY], &context, body).map_err(|error| match error {
                    CryptoError::NotAuthentic => Error::new(
                        ErrorKind::InvalidCiphertext,
                        "it is damaged, or was encrypted for another row, column, table or tenant",
                    ),
                    error => error.into(),
                })
            }
        }
    }

    /// Adds table and column to an error. The text contains neither the row nor a value.
    pub(super) fn failed(&self, verb: &str, error: &Error) -> Error {
        let text = format!("cannot {verb} a value of {}.{}: {error}", self.table, self.name);
        Error::new(error.kind(), text).with_source(error.clone())
    }
}
