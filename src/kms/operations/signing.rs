//! Signatures under a KMS key.

use std::borrow::Cow;

use crate::algorithm::{MessageType, SignatureFormat, SigningAlgorithm};
use crate::crypto::{KeyPairKind, SignatureInput};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeySpec, Operation, check_message_length, check_signing_algorithm};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::authorized_key::AuthorizedKey;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::request::{KeyReference, SignRequest, SignResponse, VerifyRequest, VerifyResponse};
use crate::policy::RequestParameter;
use crate::provider::key_pair_kind;

/// The maximum size of a signature, as in the AWS KMS API. The longest valid signature has 512
/// bytes.
const MAX_SIGNATURE_BYTES: usize = 6_144;

impl Kms {
    /// Signs a message of up to 4,096 bytes, or the digest of a message of any length.
    ///
    /// Signing a message and signing its digest produce signatures of the same message.
    /// `ED25519_SHA_512` accepts only messages. `ED25519_PH_SHA_512` accepts only SHA-512 digests.
    /// As in AWS KMS, such a digest is the message of Ed25519ph (RFC 8032, section 5.1) and is
    /// hashed again.
    ///
    /// An ECDSA signature is in DER, or in the fixed-length format of tokens
    /// ([`SignRequest::signature_format`]).
    ///
    /// # Errors
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not for signing or does not
    ///   support the algorithm.
    /// - [`Validation`](ErrorKind::Validation) if the message is empty or too long, the algorithm
    ///   does not accept the message type, or the digest has the wrong length. A
    ///   [`KmsSigner`](crate::KmsSigner) accepts messages of any length.
    /// - [`Disabled`](ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
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
            .dry_run(request.dry_run)
            .valid(check_message_length(request.message));
        self.key_call(call, &request.key, |target, _| {
            let SignRequest { algorithm, message, message_type, .. } = request;
            let input = checked_input(target.record().spec, algorithm, message_type, message)?;
            let signature = target.signing()?.sign(algorithm, input)?;
            let signature = match request.signature_format {
                SignatureFormat::Der => signature,
                SignatureFormat::P1363 => kind(target)?.signature_to_p1363(&signature).map_err(|error| {
                    let text = format!("the provider of {} returned a malformed signature", target.arn());
                    Error::new(ErrorKind::Internal, text).with_source(error)
                })?,
            };
            Ok(SignResponse { signature, key_arn: target.arn().clone(), signing_algorithm: request.algorithm })
        })
    }

    /// Signs for a key handle. Unlike [`Kms::sign`], this accepts messages of any length, rejects
    /// keys that the handle does not accept, and signs a digest with Ed25519ph as the digest of a
    /// message (RFC 8032, section 5.1).
    pub(in crate::kms) fn sign_with_handle(
        &self,
        key: &dyn KeyReference,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
        accepts: fn(KeySpec) -> bool,
    ) -> Result<SignResponse> {
        let (form, length) = match input {
            SignatureInput::Message(message) => (MessageType::Raw, message.len()),
            SignatureInput::Digest(digest) => (MessageType::Digest, digest.len()),
            SignatureInput::ExternalMu(mu) => (MessageType::ExternalMu, mu.len()),
        };
        let conditions = conditions(algorithm, form);
        let call = call(Operation::Sign, algorithm, form).conditions(&conditions);
        self.key_call(call, key, |target, _| {
            let spec = target.record().spec;
            check_signing_algorithm(spec, algorithm)?;
            if !accepts(spec) {
                let text = format!("{} is a {spec} key, and the signer is for another type", target.arn());
                return Err(Error::new(ErrorKind::InvalidKeyUsage, text));
            }
            algorithm.check_message(form, length)?;
            let signature = target.signing()?.sign(algorithm, input)?;
            Ok(SignResponse { signature, key_arn: target.arn().clone(), signing_algorithm: algorithm })
        })
    }

    /// Verifies a signature using only the public key. An incorrect signature is an error.
    ///
    /// # Errors
    /// - [`InvalidSignature`](ErrorKind::InvalidSignature) if the signature is malformed or does
    ///   not match the message.
    /// - The errors of [`Kms::sign`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::{MessageType, SigningAlgorithm::RsassaPssSha256};
    /// use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::{CreateKeyRequest, SignRequest, VerifyRequest};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::Rsa2048).usage(KeyUsage::SignVerify);
    /// let key = kms.create_key(request)?.key_id();
    /// let contract = vec![b'.'; 1_000_000]; // too long to be passed as a message
    /// let digest = CryptoBackend::default().digest().digest(DigestAlgorithm::Sha256, &[&contract]);
    /// let request = SignRequest::new(key, RsassaPssSha256, digest.as_ref()).message_type(MessageType::Digest);
    /// let signature = kms.sign(request)?.signature;
    ///
    /// let request = VerifyRequest::new(key, RsassaPssSha256, digest.as_ref(), &signature);
    /// assert!(kms.verify(request.clone().message_type(MessageType::Digest)).is_ok());
    /// assert_eq!(kms.verify(request).unwrap_err().kind(), ErrorKind::InvalidSignature); // not a message
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn verify(&self, request: VerifyRequest<'_, impl KeyReference>) -> Result<VerifyResponse> {
        let conditions = conditions(request.algorithm, request.message_type);
        let call = call(Operation::Verify, request.algorithm, request.message_type)
            .conditions(&conditions)
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run)
            .valid(check_message_length(request.message))
            .valid(check_signature_length(request.signature));
        self.key_call(call, &request.key, |target, _| {
            let VerifyRequest { algorithm, message, message_type, .. } = request;
            let input = checked_input(target.record().spec, algorithm, message_type, message)?;
            let signature = match request.signature_format {
                SignatureFormat::Der => Cow::Borrowed(request.signature),
                SignatureFormat::P1363 => {
                    kind(target)?.signature_from_p1363(request.signature).map_err(|_| does_not_verify())?.into()
                }
            };
            target.public_key()?.verify(algorithm, input, &signature)?;
            Ok(VerifyResponse { key_arn: target.arn().clone(), signing_algorithm: request.algorithm })
        })
    }
}

fn check_signature_length(signature: &[u8]) -> Result<()> {
    let length = signature.len();
    if (1..=MAX_SIGNATURE_BYTES).contains(&length) {
        return Ok(());
    }
    let text = format!("a signature must have 1 to {MAX_SIGNATURE_BYTES} bytes, not {length}");
    Err(Error::new(ErrorKind::Validation, text))
}

const fn conditions(algorithm: SigningAlgorithm, form: MessageType) -> [RequestParameter<'static>; 2] {
    [RequestParameter::SigningAlgorithm(algorithm), RequestParameter::MessageType(form)]
}

fn call<'a>(operation: Operation, algorithm: SigningAlgorithm, form: MessageType) -> CallSpec<'a> {
    CallSpec::new(operation).parameter("signingAlgorithm", algorithm.as_str()).parameter("messageType", form.as_str())
}

fn kind(target: &AuthorizedKey<'_>) -> Result<KeyPairKind> {
    key_pair_kind(target.record().spec)
        .ok_or_else(|| Error::new(ErrorKind::Internal, format!("{} has no key pair", target.arn())))
}

/// Checks a message against the key and algorithm, and returns the input to sign.
fn checked_input(
    spec: KeySpec,
    algorithm: SigningAlgorithm,
    form: MessageType,
    message: &[u8],
) -> Result<SignatureInput<'_>> {
    check_signing_algorithm(spec, algorithm)?;
    algorithm.check_message(form, message.len())?;
    Ok(match (algorithm, form) {
        // As in AWS KMS, a digest is the message of Ed25519ph and is hashed again.
        (SigningAlgorithm::Ed25519PhSha512, _) | (_, MessageType::Raw) => SignatureInput::Message(message),
        (_, MessageType::Digest) => SignatureInput::Digest(message),
        (_, MessageType::ExternalMu) => SignatureInput::ExternalMu(message),
    })
}

/// Returns the same error for every reason why a signature is rejected.
pub(in crate::kms) fn does_not_verify() -> Error {
    Error::new(ErrorKind::InvalidSignature, "the signature does not match the message, key, and algorithm")
}
