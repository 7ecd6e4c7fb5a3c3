//! The public key of a KMS key.

use crate::error::Result;
use crate::key::Operation;
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::request::{GetPublicKeyResponse, IntoKeyRequest, KeyRequest};

impl Kms {
    /// Returns the public key of an asymmetric key, for verification, encryption, or key agreement
    /// without strongroom. The private key is not exported or even unsealed.
    ///
    /// # Errors
    /// - [`UnsupportedOperation`](crate::ErrorKind::UnsupportedOperation) if the key is not
    ///   asymmetric.
    /// - [`Disabled`](crate::ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) if the key state does not allow the
    ///   operation.
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the key does not exist.
    /// - [`InvalidGrantToken`](crate::ErrorKind::InvalidGrantToken) if a grant token is invalid.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    /// let key = kms.create_key(request)?.key_id();
    /// let public = kms.get_public_key(key)?;
    /// assert!(public.to_pem()?.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    /// assert_eq!(public.public_key.len(), 91);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn get_public_key<'a>(&self, request: impl IntoKeyRequest<'a>) -> Result<GetPublicKeyResponse> {
        let KeyRequest { key, grant_tokens } = request.into_key_request();
        let call = CallSpec::new(Operation::GetPublicKey).grant_tokens(grant_tokens);
        self.key_call(call, &key, |target, _| {
            let (spec, usage) = (target.record().spec, target.record().usage);
            Ok(GetPublicKeyResponse {
                public_key: target.public_key_info()?.to_vec(),
                key_arn: target.arn().clone(),
                key_spec: spec,
                key_usage: usage,
                encryption_algorithms: spec.encryption_algorithms(usage),
                signing_algorithms: spec.signing_algorithms(usage),
                key_agreement_algorithms: spec.key_agreement_algorithms(usage),
                encapsulation_algorithms: spec.encapsulation_algorithms(usage),
            })
        })
    }
}
