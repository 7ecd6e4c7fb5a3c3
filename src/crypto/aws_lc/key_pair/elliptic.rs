//! ECDSA and ECDH with AWS-LC.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521};
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, EcPublicKeyCompressedBin, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1, ECDSA_P256K1_SHA256_ASN1_SIGNING,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair, ParsedPublicKey,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::algorithm::SigningAlgorithm;
use crate::crypto::key_encoding::{self, PrivateParts};
use crate::crypto::key_pair::check_input;
use crate::crypto::signature::draw_secret;
use crate::crypto::{CryptoError, KeyPairKind, PrivateKey, PublicKey, RsaOaep, SecureRandom, SignatureInput};
use crate::secret::SecretBytes;

/// The library's names of a curve in its different roles.
struct LibraryCurve {
    signing: &'static EcdsaSigningAlgorithm,
    verification: &'static EcdsaVerificationAlgorithm,
    digest: &'static digest::Algorithm,
    agreement: Option<&'static agreement::Algorithm>,
}

fn curve(kind: KeyPairKind) -> Result<LibraryCurve, CryptoError> {
    Ok(match kind {
        KeyPairKind::EccP256 => LibraryCurve {
            signing: &ECDSA_P256_SHA256_ASN1_SIGNING,
            verification: &ECDSA_P256_SHA256_ASN1,
            digest: &SHA256,
            agreement: Some(&ECDH_P256),
        },
        KeyPairKind::EccP384 => LibraryCurve {
            signing: &ECDSA_P384_SHA384_ASN1_SIGNING,
            verification: &ECDSA_P384_SHA384_ASN1,
            digest: &SHA384,
            agreement: Some(&ECDH_P384),
        },
        KeyPairKind::EccP521 => LibraryCurve {
            signing: &ECDSA_P521_SHA512_ASN1_SIGNING,
            verification: &ECDSA_P521_SHA512_ASN1,
            digest: &SHA512,
            agreement: Some(&ECDH_P521),
        },
        KeyPairKind::EccSecp256k1 => LibraryCurve {
            signing: &ECDSA_P256K1_SHA256_ASN1_SIGNING,
            verification: &ECDSA_P256K1_SHA256_ASN1,
            digest: &SHA256,
            agreement: None,
        },
        _ => return Err(CryptoError::UnsuitableKey),
    })
}

pub(super) fn generate(kind: KeyPairKind, random: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let length = kind.scalar_length().ok_or(CryptoError::UnsuitableKey)?;
    let key = draw_secret(kind.top_bits(), length, random, |scalar| Private::new(kind, scalar).ok())?;
    Ok(Box::new(key))
}

pub(super) fn private_key(kind: KeyPairKind, parts: &PrivateParts) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let key = Private::new(kind, parts.secret.expose_secret()).map_err(|_| CryptoError::InvalidPrivateKey)?;
    if let Some(public) = &parts.public {
        let computed = if public.first() == Some(&0x04) { key.point() } else { key.compressed_point() };
        if !bool::from(computed.ct_eq(public)) {
            return Err(CryptoError::InvalidPrivateKey);
        }
    }
    Ok(Box::new(key))
}

pub(super) fn public_key(kind: KeyPairKind, point: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
    let key = ParsedPublicKey::new(curve(kind)?.verification, point).map_err(|_| CryptoError::InvalidPublicKey)?;
    Ok(Box::new(Public { kind, key, point: point.to_vec() }))
}

/// A secret scalar, which the library wipes when it is dropped.
struct Private {
    kind: KeyPairKind,
    key: EcdsaKeyPair,
    agreement: Option<agreement::PrivateKey>,
}

impl Private {
    /// Creates a key pair from a secret scalar. Rejects a scalar that is zero or not below the
    /// order of the curve.
    ///
    /// If an `ECPrivateKey` (RFC 5915) contains only a scalar, the library computes the public key.
    fn new(kind: KeyPairKind, scalar: &[u8]) -> Result<Self, CryptoError> {
        let invalid = CryptoError::InvalidPrivateKey;
        let curve = curve(kind)?;
        let length = u8::try_from(scalar.len()).map_err(|_| invalid)?;
        let mut der = Zeroizing::new(Vec::with_capacity(7 + scalar.len()));
        der.extend_from_slice(&[0x30, length.checked_add(5).ok_or(invalid)?, 0x02, 0x01, 0x01, 0x04, length]);
        der.extend_from_slice(scalar);
        let key = EcdsaKeyPair::from_private_key_der(curve.signing, &der).map_err(|_| invalid)?;
        let agreement = match curve.agreement {
            Some(algorithm) => Some(agreement::PrivateKey::from_private_key(algorithm, scalar).map_err(|_| invalid)?),
            None => None,
        };
        Ok(Self { kind, key, agreement })
    }

    fn point(&self) -> Vec<u8> {
        // The library returns the public key of a key pair as an uncompressed point.
        self.key.public_key().as_ref().to_vec()
    }

    fn compressed_point(&self) -> Vec<u8> {
        let point: EcPublicKeyCompressedBin<'_> =
            self.key.public_key().as_be_bytes().expect("the public point is computed together with the key pair");
        point.as_ref().to_vec()
    }
}

impl PrivateKey for Private {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        let scalar: EcPrivateKeyBin<'_> =
            self.key.private_key().as_be_bytes().map_err(|_| CryptoError::InvalidPrivateKey)?;
        key_encoding::write_private(self.kind, scalar.as_ref(), &self.point())
    }

    fn public_key_der(&self) -> Vec<u8> {
        key_encoding::write_public(self.kind, &self.point()).expect("a point is short enough for DER")
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_input(self.kind, algorithm, input)?;
        let signature = match input {
            // Hashing and signing in one call is the form that the FIPS module approves.
            SignatureInput::Message(message) => self.key.sign(&SystemRandom::new(), message),
            SignatureInput::Digest(value) => self.key.sign_digest(&library_digest(self.kind, value)?),
            SignatureInput::ExternalMu(_) => return Err(CryptoError::UnsuitableKey),
        };
        // The only possible failure is the generation of the nonce.
        Ok(signature.map_err(|_| CryptoError::RandomFailed)?.as_ref().to_vec())
    }

    fn decrypt(&self, _oaep: RsaOaep, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn decrypt_pkcs1_v15_unauthenticated(&self, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn agree(&self, peer: &[u8]) -> Result<SecretBytes, CryptoError> {
        let key = self.agreement.as_ref().ok_or(CryptoError::UnsuitableKey)?;
        let point = key_encoding::parse_public(self.kind, peer)?;
        let peer = agreement::UnparsedPublicKey::new(key.algorithm(), point);
        agreement::agree(key, peer, CryptoError::InvalidPublicKey, |secret| Ok(SecretBytes::copy_from_slice(secret)))
    }
}

struct Public {
    kind: KeyPairKind,
    key: ParsedPublicKey,
    /// The point as supplied, compressed or uncompressed.
    point: Vec<u8>,
}

impl PublicKey for Public {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_spki(&self) -> Vec<u8> {
        if self.point.first() == Some(&0x04) {
            return key_encoding::write_public(self.kind, &self.point).expect("a point is short enough for DER");
        }
        // The library computed the y coordinate of a compressed point when it parsed the point.
        let spki: PublicKeyX509Der<'_> = self.key.as_der().expect("a parsed key can be serialized");
        spki.as_ref().to_vec()
    }

    fn to_compressed_point(&self) -> Option<Vec<u8>> {
        let length = self.kind.scalar_length()?;
        match self.point.split_first()? {
            (0x04, coordinates) => {
                let parity = 0x02 + coordinates.last()? % 2;
                Some([&[parity], coordinates.get(..length)?].concat())
            }
            _ => Some(self.point.clone()),
        }
    }

    fn verify(
        &self,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        check_input(self.kind, algorithm, input)?;
        let verified = match input {
            SignatureInput::Message(message) => self.key.verify_sig(message, signature),
            SignatureInput::Digest(value) => self.key.verify_digest_sig(&library_digest(self.kind, value)?, signature),
            SignatureInput::ExternalMu(_) => return Err(CryptoError::UnsuitableKey),
        };
        verified.map_err(|_| CryptoError::InvalidSignature)
    }

    fn encrypt(&self, _oaep: RsaOaep, _plaintext: &[u8], _random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }
}

fn library_digest(kind: KeyPairKind, value: &[u8]) -> Result<digest::Digest, CryptoError> {
    digest::Digest::import_less_safe(value, curve(kind)?.digest)
        .map_err(|_| CryptoError::InvalidLength { what: "hash value", length: value.len() })
}
