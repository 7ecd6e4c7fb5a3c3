//! Data key pairs, whose private keys are encrypted under a KMS key.

use super::cipher::{NO_CONTEXT, seal};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Operation;
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::pipeline::recording::would_have_succeeded;
use crate::kms::request::{
    GenerateDataKeyPairRequest, GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextResponse, KeyReference,
};
use crate::policy::RequestParameter;
use crate::provider::key_pair_kind;

impl Kms {
    /// Generates a key pair for use outside the KMS and returns its private key twice: in
    /// plaintext, to be used and wiped, and encrypted under a symmetric KMS key, to be stored.
    /// [`Kms::decrypt`] decrypts it.
    ///
    /// Generating RSA pairs is slow: a 4096-bit pair takes several seconds. Other calls are not
    /// blocked.
    ///
    /// # Errors
    /// - [`InvalidKeyUsage`](crate::ErrorKind::InvalidKeyUsage) if the KMS key is not a symmetric
    ///   encryption key.
    /// - [`UnsupportedOperation`](crate::ErrorKind::UnsupportedOperation) if the KMS key is in an
    ///   HSM.
    /// - [`Validation`](crate::ErrorKind::Validation) if the context is too long.
    /// - [`Disabled`](crate::ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) if the key state does not allow the
    ///   operation.
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::DataKeyPairSpec;
    /// use strongroom::request::{DecryptRequest, GenerateDataKeyPairRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let pair = kms.generate_data_key_pair(GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::EccNistP256))?;
    /// let opened = kms.decrypt(DecryptRequest::new(&pair.private_key_ciphertext_blob))?;
    /// assert_eq!(opened.plaintext, pair.private_key_plaintext);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn generate_data_key_pair(
        &self,
        request: GenerateDataKeyPairRequest<'_, impl KeyReference>,
    ) -> Result<GenerateDataKeyPairResponse> {
        self.data_key_pair(Operation::GenerateDataKeyPair, &request)
    }

    /// Generates a key pair and returns its private key encrypted only. For callers that prepare
    /// pairs but must not use them.
    ///
    /// # Errors
    /// - The errors of [`Kms::generate_data_key_pair`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::DataKeyPairSpec;
    /// use strongroom::request::{DecryptRequest, GenerateDataKeyPairRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let request = GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::EccNistP256);
    /// let pair = kms.generate_data_key_pair_without_plaintext(request)?;
    /// assert_eq!(pair.public_key.len(), 91);
    ///
    /// let private_key = kms.decrypt(DecryptRequest::new(&pair.private_key_ciphertext_blob))?.plaintext;
    /// assert_eq!(private_key.expose_secret()[0], 0x30); // PKCS#8 in DER
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn generate_data_key_pair_without_plaintext(
        &self,
        request: GenerateDataKeyPairRequest<'_, impl KeyReference>,
    ) -> Result<GenerateDataKeyPairWithoutPlaintextResponse> {
        let made = self.data_key_pair(Operation::GenerateDataKeyPairWithoutPlaintext, &request)?;
        Ok(GenerateDataKeyPairWithoutPlaintextResponse {
            private_key_ciphertext_blob: made.private_key_ciphertext_blob,
            public_key: made.public_key,
            key_pair_spec: made.key_pair_spec,
            key_arn: made.key_arn,
            key_material_id: made.key_material_id,
        })
    }

    fn data_key_pair(
        &self,
        operation: Operation,
        request: &GenerateDataKeyPairRequest<'_, impl KeyReference>,
    ) -> Result<GenerateDataKeyPairResponse> {
        let context = request.context.unwrap_or(&NO_CONTEXT);
        let conditions = [RequestParameter::DataKeyPairSpec(request.spec)];
        let call = CallSpec::new(operation)
            .context(context)
            .conditions(&conditions)
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run)
            .parameter("keyPairSpec", request.spec.as_str());
        self.key_call(call, &request.key, |target, _| {
            if request.dry_run {
                // A dry run for an RSA pair must not take the seconds needed to generate one.
                seal(target, context, &[])?;
                return Err(would_have_succeeded());
            }
            let kind = key_pair_kind(request.spec.key_spec())
                .ok_or_else(|| Error::new(ErrorKind::Internal, format!("{} is not a key pair spec", request.spec)))?;
            let backend = &self.core.material.backend;
            let pair = backend.key_pairs().generate(kind, backend.random())?;
            let (private_key_plaintext, public_key) = (pair.to_pkcs8()?, pair.public_key_der());
            let (private_key_ciphertext_blob, key_material_id) =
                seal(target, context, private_key_plaintext.expose_secret())?;
            Ok(GenerateDataKeyPairResponse {
                private_key_plaintext,
                private_key_ciphertext_blob,
                public_key,
                key_pair_spec: request.spec,
                key_arn: target.arn().clone(),
                key_material_id,
            })
        })
    }
}
