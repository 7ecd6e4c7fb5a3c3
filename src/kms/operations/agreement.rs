//! Key agreement with a KMS key.

use crate::error::{Error, ErrorKind, Result};
use crate::key::{Operation, check_agreement_algorithm};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::records::key_version::MAX_PUBLIC_KEY;
use crate::kms::request::{DeriveSharedSecretRequest, DeriveSharedSecretResponse, KeyReference};
use crate::policy::RequestParameter;

impl Kms {
    /// Derives a shared secret with the owner of another key pair on the same curve. The other
    /// party computes the same secret from its private key and the public key of this key.
    ///
    /// The result is the raw secret of cofactor Diffie-Hellman (NIST SP 800-56A, section 5.7.1.2).
    /// It is not uniformly random: derive keys from it with a key derivation function, and never
    /// use it as a key itself.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the public key is malformed, is on another curve,
    ///   or is not a point on the curve.
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not for key agreement.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) if the key is in an HSM.
    /// - [`Disabled`](ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::algorithm::KeyAgreementAlgorithm::Ecdh;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, DeriveSharedSecretRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::KeyAgreement);
    /// let (ours, theirs) = (kms.create_key(request.clone())?.key_id(), kms.create_key(request)?.key_id());
    /// let secret = |key, other| {
    ///     let other = kms.get_public_key(other)?.public_key;
    ///     kms.derive_shared_secret(DeriveSharedSecretRequest::new(key, Ecdh, &other)).map(|made| made.shared_secret)
    /// };
    /// assert_eq!(secret(ours, theirs)?, secret(theirs, ours)?);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn derive_shared_secret(
        &self,
        request: DeriveSharedSecretRequest<'_, impl KeyReference>,
    ) -> Result<DeriveSharedSecretResponse> {
        let conditions = [RequestParameter::KeyAgreementAlgorithm(request.algorithm)];
        let call = CallSpec::new(Operation::DeriveSharedSecret)
            .conditions(&conditions)
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run)
            .valid(check_length(request.public_key))
            .parameter("keyAgreementAlgorithm", request.algorithm.as_str());
        self.key_call(call, &request.key, |target, _| {
            check_agreement_algorithm(target.record().spec, request.algorithm)?;
            Ok(DeriveSharedSecretResponse {
                shared_secret: target.agreement()?.agree(request.public_key)?,
                key_arn: target.arn().clone(),
                key_agreement_algorithm: request.algorithm,
                key_origin: target.record().origin,
            })
        })
    }
}

fn check_length(public_key: &[u8]) -> Result<()> {
    if (1..=MAX_PUBLIC_KEY).contains(&public_key.len()) {
        return Ok(());
    }
    let text = format!("a public key must have 1 to {MAX_PUBLIC_KEY} bytes, not {}", public_key.len());
    Err(Error::new(ErrorKind::Validation, text))
}
