//! Data keys for envelope encryption, and random bytes.

use super::cipher::{NO_CONTEXT, produce};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{CustomKeyStoreId, Operation};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::request::{
    DataKeyLength, GenerateDataKeyRequest, GenerateDataKeyResponse, GenerateDataKeyWithoutPlaintextResponse,
    KeyReference, MAX_RANDOM_LENGTH,
};
use crate::secret::SecretBytes;

impl Kms {
    /// Generates a data key and returns it twice: in plaintext, to be used and wiped, and encrypted
    /// under a KMS key, to be stored alongside the data.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the length is not 1 to 1,024 bytes, or the
    ///   context is too long.
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not a symmetric encryption
    ///   key.
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if the key is in an HSM and its current
    ///   version has encrypted 2^32 messages.
    /// - [`Disabled`](ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::{DecryptRequest, GenerateDataKeyRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let data_key = kms.generate_data_key(GenerateDataKeyRequest::new(key.key_id()))?;
    /// assert_eq!(data_key.plaintext.len(), 32);
    /// assert_eq!(kms.decrypt(DecryptRequest::new(&data_key.ciphertext_blob))?.plaintext, data_key.plaintext);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn generate_data_key(
        &self,
        request: GenerateDataKeyRequest<'_, impl KeyReference>,
    ) -> Result<GenerateDataKeyResponse> {
        self.data_key(Operation::GenerateDataKey, &request)
    }

    /// Generates a data key and returns it encrypted only. For callers that prepare storage but
    /// must not read it.
    ///
    /// # Errors
    /// - The errors of [`Kms::generate_data_key`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::DataKeySpec;
    /// use strongroom::request::{DecryptRequest, GenerateDataKeyRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let request = GenerateDataKeyRequest::new(key).key_spec(DataKeySpec::Aes128);
    /// let stored = kms.generate_data_key_without_plaintext(request)?.ciphertext_blob;
    ///
    /// // Later, where the data is encrypted:
    /// let data_key = kms.decrypt(DecryptRequest::new(&stored))?.plaintext;
    /// assert_eq!(data_key.len(), 16);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn generate_data_key_without_plaintext(
        &self,
        request: GenerateDataKeyRequest<'_, impl KeyReference>,
    ) -> Result<GenerateDataKeyWithoutPlaintextResponse> {
        let made = self.data_key(Operation::GenerateDataKeyWithoutPlaintext, &request)?;
        let GenerateDataKeyResponse { ciphertext_blob, key_arn, key_material_id, .. } = made;
        Ok(GenerateDataKeyWithoutPlaintextResponse { ciphertext_blob, key_arn, key_material_id })
    }

    fn data_key(
        &self,
        operation: Operation,
        request: &GenerateDataKeyRequest<'_, impl KeyReference>,
    ) -> Result<GenerateDataKeyResponse> {
        let context = request.context.unwrap_or(&NO_CONTEXT);
        let call =
            CallSpec::new(operation).context(context).grant_tokens(request.grant_tokens).dry_run(request.dry_run);
        let (call, length) = match request.length {
            DataKeyLength::Spec(spec) => (call.parameter("keySpec", spec.as_str()), Ok(spec.length())),
            DataKeyLength::Bytes(bytes) => (call.parameter("numberOfBytes", bytes), checked_length(bytes)),
        };
        let call = call.valid(length.clone().map(drop));
        self.key_call(call, &request.key, |target, _| {
            let length = length?;
            let (ciphertext_blob, key_material_id, plaintext) =
                produce(target, context, length, |cipher, header, context, output| {
                    cipher.generate(header, context, length, output)
                })?;
            Ok(GenerateDataKeyResponse { plaintext, ciphertext_blob, key_arn: target.arn().clone(), key_material_id })
        })
    }

    /// Returns 1 to 1,024 random bytes.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the length is out of range.
    /// - [`Internal`](ErrorKind::Internal) if no randomness is available.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// let kms = strongroom::Kms::in_memory()?;
    /// assert_ne!(kms.generate_random(32)?, kms.generate_random(32)?);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn generate_random(&self, number_of_bytes: u32) -> Result<SecretBytes> {
        let length = checked_length(number_of_bytes);
        let call = CallSpec::new(Operation::GenerateRandom)
            .parameter("numberOfBytes", number_of_bytes)
            .valid(length.clone().map(drop));
        self.account_call(call, |_| {
            let mut bytes = SecretBytes::zeroed(length?);
            self.core.material.backend.random().fill(bytes.expose_secret_mut())?;
            Ok(bytes)
        })
    }
}

impl Kms {
    /// Returns 1 to 1,024 random bytes generated in the cluster of a custom key store, which must
    /// be connected.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the length is out of range.
    /// - [`CustomKeyStoreNotFound`](ErrorKind::CustomKeyStoreNotFound) if the custom key store does
    ///   not exist.
    /// - [`CustomKeyStoreInvalidState`](ErrorKind::CustomKeyStoreInvalidState) if it is not
    ///   connected, or no HSM responds.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::ClusterId;
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::CreateCustomKeyStoreRequest;
    /// use strongroom::{ErrorKind, Kms, SecretBytes};
    ///
    /// let vault = ClusterId::parse("vault")?;
    /// let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    /// let password = SecretBytes::copy_from_slice(b"kmsPswd1");
    /// let request = CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password);
    /// let store = kms.create_custom_key_store(request)?;
    ///
    /// let refused = kms.generate_random_in(store, 16).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::CustomKeyStoreInvalidState); // not connected yet
    /// kms.connect_custom_key_store(store)?;
    /// assert_eq!(kms.generate_random_in(store, 16)?.len(), 16);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn generate_random_in(&self, custom_key_store: CustomKeyStoreId, number_of_bytes: u32) -> Result<SecretBytes> {
        let length = checked_length(number_of_bytes);
        let call = CallSpec::new(Operation::GenerateRandom)
            .parameter("numberOfBytes", number_of_bytes)
            .parameter("customKeyStoreId", custom_key_store.to_string())
            .valid(length.clone().map(drop));
        self.account_call(call, |_| {
            let length = length?;
            self.core.registry.custom_key_store(self.account(), custom_key_store)?;
            let connection = self.core.connection(self.account(), custom_key_store);
            connection.and_then(|connection| connection.cluster.random(length)).map_err(|error| {
                if error.kind() != ErrorKind::KeyUnavailable {
                    return error;
                }
                let text = format!("the custom key store {custom_key_store} cannot generate random bytes: {error}");
                Error::new(ErrorKind::CustomKeyStoreInvalidState, text).with_source(error)
            })
        })
    }
}

fn checked_length(bytes: u32) -> Result<usize> {
    let length = usize::try_from(bytes).ok().filter(|_| (1..=MAX_RANDOM_LENGTH).contains(&bytes));
    length.ok_or_else(|| {
        Error::new(ErrorKind::Validation, format!("the number of bytes must be 1 to {MAX_RANDOM_LENGTH}, not {bytes}"))
    })
}
