//! Key encapsulation with a KMS key.

use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, Operation, check_encapsulation_algorithm};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::request::{
    DecapsulateRequest, DecapsulateResponse, EncapsulateRequest, EncapsulateResponse, KeyReference,
};

/// The maximum size of a ciphertext, as in the AWS KMS API. The longest valid one has 1,568 bytes.
const MAX_CIPHERTEXT_BYTES: usize = 6_144;

impl Kms {
    /// Generates a shared secret and encapsulates it with the public key of an ML-KEM key (FIPS 203,
    /// section 7.2). The holder of the private key recovers it with [`Kms::decapsulate`].
    ///
    /// The secret has 32 bytes and can be used as a key. It is quantum-safe, but it proves nothing
    /// about the sender.
    ///
    /// # Errors
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not for encapsulation.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) if the key is in an HSM.
    /// - [`Disabled`](ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::algorithm::EncapsulationAlgorithm::MlKem;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, DecapsulateRequest, EncapsulateRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::MlKem1024).usage(KeyUsage::EncapsulateDecapsulate);
    /// let key = kms.create_key(request)?.key_id();
    /// let sent = kms.encapsulate(EncapsulateRequest::new(key, MlKem))?;
    /// let request = DecapsulateRequest::new(key, MlKem, &sent.shared_secret_ciphertext_blob);
    /// assert_eq!(kms.decapsulate(request)?.shared_secret, sent.shared_secret);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn encapsulate(&self, request: EncapsulateRequest<'_, impl KeyReference>) -> Result<EncapsulateResponse> {
        let call = CallSpec::new(Operation::Encapsulate)
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run)
            .parameter("encapsulationAlgorithm", request.algorithm.as_str());
        self.key_call(call, &request.key, |target, _| {
            check_encapsulation_algorithm(target.record().spec, request.algorithm)?;
            let sent = target.public_key()?.encapsulate(self.core.material.backend.random())?;
            Ok(EncapsulateResponse {
                shared_secret: sent.shared_secret,
                shared_secret_ciphertext_blob: sent.ciphertext,
                key_arn: target.arn().clone(),
                encapsulation_algorithm: request.algorithm,
            })
        })
    }

    /// Recovers a shared secret that was encapsulated with the public key of an ML-KEM key (FIPS 203,
    /// section 7.3).
    ///
    /// A ciphertext that was altered or belongs to another key is no error. It yields 32 bytes that
    /// look random and are always the same for this key and ciphertext (implicit rejection). The
    /// parties must therefore confirm that they have the same secret: use it with authenticated
    /// encryption, or exchange a MAC under it.
    ///
    /// # Errors
    /// - [`InvalidCiphertext`](ErrorKind::InvalidCiphertext) if the ciphertext does not have the
    ///   [length](crate::key::KeySpec::encapsulation_length) of the key spec.
    /// - [`Validation`](ErrorKind::Validation) if the ciphertext is empty or longer than 6,144 bytes.
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not for encapsulation.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) if the key is in an HSM.
    /// - [`Disabled`](ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::EncapsulationAlgorithm::MlKem;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, DecapsulateRequest, EncapsulateRequest};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::MlKem768).usage(KeyUsage::EncapsulateDecapsulate);
    /// let key = kms.create_key(request)?.key_id();
    /// let sent = kms.encapsulate(EncapsulateRequest::new(key, MlKem))?;
    ///
    /// let mut altered = sent.shared_secret_ciphertext_blob;
    /// altered[0] ^= 1;
    /// let other = kms.decapsulate(DecapsulateRequest::new(key, MlKem, &altered))?.shared_secret;
    /// assert_ne!(other, sent.shared_secret);
    /// let refused = kms.decapsulate(DecapsulateRequest::new(key, MlKem, &altered[1..])).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn decapsulate(&self, request: DecapsulateRequest<'_, impl KeyReference>) -> Result<DecapsulateResponse> {
        let call = CallSpec::new(Operation::Decapsulate)
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run)
            .valid(check_ciphertext_length(request.ciphertext))
            .parameter("encapsulationAlgorithm", request.algorithm.as_str());
        self.key_call(call, &request.key, |target, _| {
            let spec = target.record().spec;
            check_encapsulation_algorithm(spec, request.algorithm)?;
            check_length_of_spec(spec, request.ciphertext)?;
            Ok(DecapsulateResponse {
                shared_secret: target.decapsulation()?.decapsulate(request.ciphertext)?,
                key_arn: target.arn().clone(),
                encapsulation_algorithm: request.algorithm,
            })
        })
    }
}

fn check_ciphertext_length(ciphertext: &[u8]) -> Result<()> {
    if (1..=MAX_CIPHERTEXT_BYTES).contains(&ciphertext.len()) {
        return Ok(());
    }
    let text = format!("a ciphertext must have 1 to {MAX_CIPHERTEXT_BYTES} bytes, not {}", ciphertext.len());
    Err(Error::new(ErrorKind::Validation, text))
}

fn check_length_of_spec(spec: KeySpec, ciphertext: &[u8]) -> Result<()> {
    match spec.encapsulation_length() {
        Some(length) if length != ciphertext.len() => {
            let text = format!("a ciphertext for a {spec} key must have {length} bytes, not {}", ciphertext.len());
            Err(Error::new(ErrorKind::InvalidCiphertext, text))
        }
        _ => Ok(()),
    }
}
