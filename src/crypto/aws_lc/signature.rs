//! ECDSA with AWS-LC.

use aws_lc_rs::digest::{self, SHA256, SHA384};
use aws_lc_rs::encoding::{AsBigEndian, EcPublicKeyCompressedBin};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair, ParsedPublicKey,
};
use zeroize::Zeroizing;

use crate::crypto::rust_crypto::to_fixed_length;
use crate::crypto::signature::{check_digest, check_point, draw_scalar};
use crate::crypto::{CryptoError, SecureRandom, Signature, SignatureAlgorithm, SigningKey, VerifyingKey};

#[derive(Debug)]
pub(in crate::crypto) struct AwsLcSignature {
    pub(in crate::crypto) library: &'static str,
}

impl Signature for AwsLcSignature {
    fn library(&self) -> &'static str {
        self.library
    }

    fn generate(
        &self,
        algorithm: SignatureAlgorithm,
        random: &dyn SecureRandom,
    ) -> Result<Box<dyn SigningKey>, CryptoError> {
        let key = draw_scalar(algorithm, random, |scalar| key_pair(algorithm, scalar))?;
        Ok(Box::new(Secret { algorithm, key }))
    }

    fn verifying_key(
        &self,
        algorithm: SignatureAlgorithm,
        public_key: &[u8],
    ) -> Result<Box<dyn VerifyingKey>, CryptoError> {
        check_point(algorithm, public_key)?;
        let key = ParsedPublicKey::new(library_algorithm(algorithm).verification, public_key)
            .map_err(|_| CryptoError::InvalidPublicKey)?;
        Ok(Box::new(Public { algorithm, key }))
    }
}

/// The library's names of an algorithm in its three roles.
struct LibraryAlgorithm {
    signing: &'static EcdsaSigningAlgorithm,
    verification: &'static EcdsaVerificationAlgorithm,
    digest: &'static digest::Algorithm,
}

fn library_algorithm(algorithm: SignatureAlgorithm) -> LibraryAlgorithm {
    match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => LibraryAlgorithm {
            signing: &ECDSA_P256_SHA256_ASN1_SIGNING,
            verification: &ECDSA_P256_SHA256_ASN1,
            digest: &SHA256,
        },
        SignatureAlgorithm::EcdsaP384Sha384 => LibraryAlgorithm {
            signing: &ECDSA_P384_SHA384_ASN1_SIGNING,
            verification: &ECDSA_P384_SHA384_ASN1,
            digest: &SHA384,
        },
    }
}

/// Creates a key pair from a secret scalar. Rejects a scalar that is zero or not below the order of
/// the curve.
///
/// The library's key generation accepts no generator, and its import of a scalar also requires the
/// public key. If an `ECPrivateKey` (RFC 5915) contains only a scalar, the library computes the
/// public key.
fn key_pair(algorithm: SignatureAlgorithm, scalar: &[u8]) -> Option<EcdsaKeyPair> {
    let length = u8::try_from(scalar.len()).ok()?;
    let mut der = Zeroizing::new(Vec::with_capacity(7 + scalar.len()));
    der.extend_from_slice(&[0x30, length.checked_add(5)?, 0x02, 0x01, 0x01, 0x04, length]);
    der.extend_from_slice(scalar);
    EcdsaKeyPair::from_private_key_der(library_algorithm(algorithm).signing, &der).ok()
}

/// Wraps a hash value that was computed elsewhere.
fn library_digest(algorithm: SignatureAlgorithm, digest: &[u8]) -> Result<digest::Digest, CryptoError> {
    check_digest(algorithm, digest)?;
    digest::Digest::import_less_safe(digest, library_algorithm(algorithm).digest)
        .map_err(|_| CryptoError::InvalidLength { what: "hash value", length: digest.len() })
}

/// A secret scalar, which the library wipes when it is dropped.
pub(super) struct Secret {
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) key: EcdsaKeyPair,
}

impl SigningKey for Secret {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn public_key(&self) -> Vec<u8> {
        let point: EcPublicKeyCompressedBin<'_> =
            self.key.public_key().as_be_bytes().expect("the public point is computed together with the key pair");
        point.as_ref().to_vec()
    }

    fn sign_digest(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let digest = library_digest(self.algorithm, digest)?;
        // The only possible failure is the generation of the nonce.
        let signature = self.key.sign_digest(&digest).map_err(|_| CryptoError::RandomFailed)?;
        Ok(signature.as_ref().to_vec())
    }

    fn sign_digest_to_fixed_length(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        to_fixed_length(self.algorithm, |_| self.sign_digest(digest))
    }
}

struct Public {
    algorithm: SignatureAlgorithm,
    key: ParsedPublicKey,
}

impl VerifyingKey for Public {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn verify_digest(&self, digest: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let digest = library_digest(self.algorithm, digest)?;
        self.key.verify_digest_sig(&digest, signature).map_err(|_| CryptoError::InvalidSignature)
    }
}
