//! The `Sign` calls of both signers.

use crate::algorithm::SigningAlgorithm;
use crate::crypto::SignatureInput;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, KeyIdentifier};
use crate::kms::engine::handle::Kms;
use crate::kms::key_handles::signature_types::{KmsSignature, KmsVerifyingKey, digest_algorithm};

/// A reference to a signing key. Each signature is one call to the KMS, which resolves it.
#[derive(Clone)]
pub(super) struct SigningKey {
    pub(super) kms: Kms,
    pub(super) key: KeyIdentifier,
}

impl SigningKey {
    /// Signs a message in parts. For algorithms that sign a digest, hashes the message here.
    pub(super) fn sign_message<V: KmsVerifyingKey, S: KmsSignature<V>>(&self, parts: &[&[u8]]) -> Result<(S, KeyArn)> {
        match (digest_algorithm(V::ALGORITHM), parts) {
            (Some(hash), _) => {
                let digest = self.kms.core.material.backend.digest().digest(hash, parts);
                self.sign::<V, S>(V::ALGORITHM, SignatureInput::Digest(digest.as_ref()))
            }
            (None, [message]) => self.sign::<V, S>(V::ALGORITHM, SignatureInput::Message(message)),
            (None, _) => self.sign::<V, S>(V::ALGORITHM, SignatureInput::Message(&parts.concat())),
        }
    }

    /// Signs a message or its digest.
    pub(super) fn sign<V: KmsVerifyingKey, S: KmsSignature<V>>(
        &self,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
    ) -> Result<(S, KeyArn)> {
        let signed = self.kms.sign_with_handle(&self.key, algorithm, input, V::supports)?;
        let signature = S::from_kms(&signed.signature).map_err(|error| {
            let text = format!("the provider of {} returned a malformed signature", signed.key_arn);
            Error::new(ErrorKind::Internal, text).with_source(error)
        })?;
        Ok((signature, signed.key_arn))
    }
}

/// Implements the traits of `signature` for a type with a field `key: SigningKey`.
macro_rules! signer_traits {
    ($signer:ident) => {
        impl<V: KmsVerifyingKey, S: KmsSignature<V>> signature::Signer<S> for $signer<V> {
            fn try_sign(&self, message: &[u8]) -> Result<S, signature::Error> {
                self.key.sign_message::<V, S>(&[message]).map(|(signature, _)| signature).map_err(from_source)
            }
        }

        /// For messages in several parts.
        impl<V: KmsVerifyingKey, S: KmsSignature<V>> signature::MultipartSigner<S> for $signer<V> {
            fn try_multipart_sign(&self, message: &[&[u8]]) -> Result<S, signature::Error> {
                self.key.sign_message::<V, S>(message).map(|(signature, _)| signature).map_err(from_source)
            }
        }

        /// For messages that are read as a stream. For Ed25519, this is Ed25519ph. Not supported for
        /// ML-DSA.
        impl<V: KmsVerifyingKey, S: KmsSignature<V>> signature::DigestSigner<V::Digest, S> for $signer<V> {
            fn try_sign_digest<F>(&self, write: F) -> Result<S, signature::Error>
            where
                F: Fn(&mut V::Digest) -> Result<(), signature::Error>,
            {
                let mut digest = <V::Digest as sha2::Digest>::new();
                write(&mut digest)?;
                let digest = sha2::Digest::finalize(digest);
                let signed = self.key.sign::<V, S>(V::DIGEST_ALGORITHM, SignatureInput::Digest(&digest));
                signed.map(|(signature, _)| signature).map_err(from_source)
            }
        }

        /// For code that computes the digest itself. Not supported for Ed25519 and ML-DSA, which sign
        /// whole messages.
        impl<V: KmsVerifyingKey, S: KmsSignature<V>> signature::hazmat::PrehashSigner<S> for $signer<V> {
            fn sign_prehash(&self, prehash: &[u8]) -> Result<S, signature::Error> {
                let signed = self.key.sign::<V, S>(V::ALGORITHM, SignatureInput::Digest(prehash));
                signed.map(|(signature, _)| signature).map_err(from_source)
            }
        }
    };
}

pub(super) use signer_traits;

/// Wraps an error of the KMS for the traits of `signature`, which expose it as the source.
pub(super) fn from_source(error: Error) -> signature::Error {
    signature::Error::from_source(error)
}
