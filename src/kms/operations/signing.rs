//! Signatures under a KMS key.

use crate::algorithm::{MessageType, SigningAlgorithm};
use crate::crypto::SignatureInput;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, Operation, check_message_length, check_signing_algorithm};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::request::{KeyReference, SignRequest, SignResponse, VerifyRequest, VerifyResponse};
use crate::policy::RequestParameter;

/// The most bytes of a signature, as in the API of AWS KMS; the longest that is valid has 512.
const MAX_SIGNATURE_BYTES: usize = 6_144;

impl Kms {
    /// Signs a message of at most 4,096 bytes, or the digest of a message of any length.
    ///
    /// A signature of a message and one of its digest are signatures of the same thing. `ED25519_SHA_512` takes messages
    /// only. `ED25519_PH_SHA_512` takes digests only, of SHA-512, and as in AWS KMS such a digest is the message of
    /// Ed25519ph (RFC 8032, section 5.1): it is hashed once more.
    ///
    /// # Errors
    /// [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not for signing, or does not have the algorithm;
    /// [`Validation`](ErrorKind::Validation) for an over-long message, a message type that the algorithm does not take,
    /// or a digest of the wrong length;
    /// [`Disabled`](ErrorKind::Disabled), [`InvalidState`](ErrorKind::InvalidState), [`NotFound`](ErrorKind::NotFound).
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::SigningAlgorithm::EcdsaSha256;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, SignRequest, VerifyRequest};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    /// let key = kms.create_key(request)?.key_id();
    /// let signature = kms.sign(SignRequest::new(key, EcdsaSha256, b"a contract"))?.signature;
    /// kms.verify(VerifyRequest::new(key, EcdsaSha256, b"a contract", &signature))?;
    /// let refused = kms.verify(VerifyRequest::new(key, EcdsaSha256, b"another", &signature)).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidSignature);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn sign(&self, request: SignRequest<'_, impl KeyReference>) -> Result<SignResponse> {
        let conditions = conditions(request.algorithm, request.message_type);
        let call = call(Operation::Sign, request.algorithm, request.message_type)
            .conditions(&conditions)
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run);
        self.key_call(call, &request.key, |target, _| {
            let SignRequest { algorithm, message, message_type, .. } = request;
            let input = checked_input(target.record().spec, algorithm, message_type, message)?;
            let signature = target.signing()?.sign(algorithm, input)?;
            Ok(SignResponse { signature, key_arn: target.arn().clone(), signing_algorithm: request.algorithm })
        })
    }

    /// Verifies a signature, with the public key alone. A wrong one is an error.
    ///
    /// # Errors
    /// [`InvalidSignature`](ErrorKind::InvalidSignature) if the signature is malformed, or not one of the message; else
    /// those of [`Kms::sign`].
    pub fn verify(&self, request: VerifyRequest<'_, impl KeyReference>) -> Result<VerifyResponse> {
        let conditions = conditions(request.algorithm, request.message_type);
        let call = call(Operation::Verify, request.algorithm, request.message_type)
            .conditions(&conditions)
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run);
        self.key_call(call, &request.key, |target, _| {
            let VerifyRequest { algorithm, message, message_type, .. } = request;
            let input = checked_input(target.record().spec, algorithm, message_type, message)?;
            if request.signature.len() > MAX_SIGNATURE_BYTES {
                return Err(does_not_verify());
            }
            target.public_key()?.verify(algorithm, input, request.signature)?;
            Ok(VerifyResponse { key_arn: target.arn().clone(), signing_algorithm: request.algorithm })
        })
    }
}

const fn conditions(algorithm: SigningAlgorithm, form: MessageType) -> [RequestParameter<'static>; 2] {
    [RequestParameter::SigningAlgorithm(algorithm), RequestParameter::MessageType(form)]
}

fn call<'a>(operation: Operation, algorithm: SigningAlgorithm, form: MessageType) -> CallSpec<'a> {
    CallSpec::new(operation).parameter("signingAlgorithm", algorithm.as_str()).parameter("messageType", form.as_str())
}

/// Checks a message against key and algorithm, and says what of it is signed.
fn checked_input(
    spec: KeySpec,
    algorithm: SigningAlgorithm,
    form: MessageType,
    message: &[u8],
) -> Result<SignatureInput<'_>> {
    check_signing_algorithm(spec, algorithm)?;
    check_message_length(message, 0)?;
    algorithm.check_message(form, message.len())?;
    Ok(match (algorithm, form) {
        // A digest is the message of Ed25519ph, as AWS KMS has it, and is hashed once more.
        (SigningAlgorithm::Ed25519PhSha512, _) | (_, MessageType::Raw) => SignatureInput::Message(message),
        (_, MessageType::Digest) => SignatureInput::Digest(message),
    })
}

/// The one text for a signature that is refused, whatever the reason.
pub(in crate::kms) fn does_not_verify() -> Error {
    Error::new(ErrorKind::InvalidSignature, "the signature is not one of the message under this key and algorithm")
}
