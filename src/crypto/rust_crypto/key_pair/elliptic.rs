//! ECDSA and ECDH over the curves of `p256`, `p384`, `p521` and `k256`.

use std::ops::Add;

use ecdsa::der::{MaxOverhead, MaxSize};
use ecdsa::elliptic_curve::array::ArraySize;
use ecdsa::elliptic_curve::ecdh::diffie_hellman;
use ecdsa::elliptic_curve::ops::Invert;
use ecdsa::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use ecdsa::elliptic_curve::subtle::CtOption;
use ecdsa::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize, Scalar};
use ecdsa::hazmat::sign_prehashed_rfc6979;
use ecdsa::signature::hazmat::PrehashVerifier;
use ecdsa::{DigestAlgorithm, EcdsaCurve};
use subtle::ConstantTimeEq;

use crate::algorithm::SigningAlgorithm;
use crate::crypto::key_encoding::{self, PrivateParts};
use crate::crypto::key_pair::{check_input, check_plaintext};
use crate::crypto::signature::draw_secret;
use crate::crypto::{CryptoError, KeyPairKind, PrivateKey, PublicKey, RsaOaep, SecureRandom, SignatureInput};
use crate::secret::SecretBytes;

pub(super) fn generate<C: Curve>(
    kind: KeyPairKind,
    random: &dyn SecureRandom,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let length = kind.scalar_length().ok_or(CryptoError::UnsuitableKey)?;
    let key = draw_secret(kind.top_bits(), length, random, |scalar| ecdsa::SigningKey::<C>::from_slice(scalar).ok())?;
    Ok(Box::new(Private { kind, key }))
}

pub(super) fn private_key<C: Curve>(
    kind: KeyPairKind,
    parts: &PrivateParts,
) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let key =
        ecdsa::SigningKey::<C>::from_slice(parts.secret.expose_secret()).map_err(|_| CryptoError::InvalidPrivateKey)?;
    if let Some(public) = &parts.public {
        let computed = C::point(key.verifying_key(), Compression::of(public));
        if !bool::from(computed.ct_eq(public)) {
            return Err(CryptoError::InvalidPrivateKey);
        }
    }
    Ok(Box::new(Private { kind, key }))
}

pub(super) fn public_key<C: Curve>(kind: KeyPairKind, point: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
    let key = C::parse_point(point).map_err(|_| CryptoError::InvalidPublicKey)?;
    Ok(Box::new(Public { kind, key }))
}

/// A secret scalar, which the library wipes when it is dropped.
struct Private<C: Curve> {
    kind: KeyPairKind,
    key: ecdsa::SigningKey<C>,
}

impl<C: Curve> PrivateKey for Private<C> {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_pkcs8(&self) -> Result<SecretBytes, CryptoError> {
        let public = C::point(self.key.verifying_key(), Compression::No);
        key_encoding::write_private(self.kind, C::secret(&self.key).expose_secret(), &public)
    }

    fn public_key_der(&self) -> Vec<u8> {
        let point = C::point(self.key.verifying_key(), Compression::No);
        key_encoding::write_public(self.kind, &point).expect("a point is short enough for DER")
    }

    fn sign(&self, algorithm: SigningAlgorithm, input: SignatureInput<'_>) -> Result<Vec<u8>, CryptoError> {
        check_input(self.kind, algorithm, input)?;
        Ok(C::sign(&self.key, &C::digest(input)))
    }

    fn decrypt(&self, _oaep: RsaOaep, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn decrypt_pkcs1_v15_unauthenticated(&self, _ciphertext: &[u8]) -> Result<SecretBytes, CryptoError> {
        Err(CryptoError::UnsuitableKey)
    }

    fn agree(&self, peer: &[u8]) -> Result<SecretBytes, CryptoError> {
        if !self.kind.supports_key_agreement() {
            return Err(CryptoError::UnsuitableKey);
        }
        let point = key_encoding::parse_public(self.kind, peer)?;
        let peer = C::parse_point(&point).map_err(|_| CryptoError::InvalidPublicKey)?;
        Ok(C::agree(&self.key, &peer))
    }
}

struct Public<C: Curve> {
    kind: KeyPairKind,
    key: ecdsa::VerifyingKey<C>,
}

impl<C: Curve> PublicKey for Public<C> {
    fn kind(&self) -> KeyPairKind {
        self.kind
    }

    fn to_spki(&self) -> Vec<u8> {
        let point = C::point(&self.key, Compression::No);
        key_encoding::write_public(self.kind, &point).expect("a point is short enough for DER")
    }

    fn to_compressed_point(&self) -> Option<Vec<u8>> {
        Some(C::point(&self.key, Compression::Yes))
    }

    fn verify(
        &self,
        algorithm: SigningAlgorithm,
        input: SignatureInput<'_>,
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        check_input(self.kind, algorithm, input)?;
        C::verify(&self.key, &C::digest(input), signature).map_err(|_| CryptoError::InvalidSignature)
    }

    fn encrypt(&self, oaep: RsaOaep, plaintext: &[u8], _random: &dyn SecureRandom) -> Result<Vec<u8>, CryptoError> {
        check_plaintext(self.kind, oaep, plaintext)?;
        Err(CryptoError::UnsuitableKey)
    }
}

/// Specifies whether a point is encoded with one coordinate or two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Yes,
    No,
}

impl Compression {
    fn of(point: &[u8]) -> Self {
        if point.first() == Some(&0x04) { Self::No } else { Self::Yes }
    }
}

/// The operations on a curve. There is a single implementation; the trait collects the library's
/// trait bounds in one place.
pub(super) trait Curve: EcdsaCurve + CurveArithmetic {
    fn parse_point(point: &[u8]) -> ecdsa::Result<ecdsa::VerifyingKey<Self>>;

    fn point(key: &ecdsa::VerifyingKey<Self>, compression: Compression) -> Vec<u8>;

    fn secret(key: &ecdsa::SigningKey<Self>) -> SecretBytes;

    fn digest(input: SignatureInput<'_>) -> Vec<u8>;

    /// Signs with the nonce of RFC 6979.
    fn sign(key: &ecdsa::SigningKey<Self>, digest: &[u8]) -> Vec<u8>;

    fn verify(key: &ecdsa::VerifyingKey<Self>, digest: &[u8], signature: &[u8]) -> ecdsa::Result<()>;

    fn agree(key: &ecdsa::SigningKey<Self>, peer: &ecdsa::VerifyingKey<Self>) -> SecretBytes;
}

impl<C> Curve for C
where
    C: EcdsaCurve + CurveArithmetic + DigestAlgorithm,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
    <FieldBytesSize<C> as Add>::Output: Add<MaxOverhead> + ArraySize,
    MaxSize<C>: ArraySize,
    Scalar<C>: Invert<Output = CtOption<Scalar<C>>>,
{
    fn parse_point(point: &[u8]) -> ecdsa::Result<ecdsa::VerifyingKey<Self>> {
        ecdsa::VerifyingKey::from_sec1_bytes(point)
    }

    fn point(key: &ecdsa::VerifyingKey<Self>, compression: Compression) -> Vec<u8> {
        key.to_sec1_point(compression == Compression::Yes).as_bytes().to_vec()
    }

    fn secret(key: &ecdsa::SigningKey<Self>) -> SecretBytes {
        let scalar = zeroize::Zeroizing::new(key.to_bytes());
        SecretBytes::copy_from_slice(&scalar)
    }

    fn digest(input: SignatureInput<'_>) -> Vec<u8> {
        match input {
            SignatureInput::Message(message) => <C::Digest as sha2::Digest>::digest(message).to_vec(),
            // Representatives were rejected before.
            SignatureInput::Digest(digest) | SignatureInput::ExternalMu(digest) => digest.to_vec(),
        }
    }

    fn sign(key: &ecdsa::SigningKey<Self>, digest: &[u8]) -> Vec<u8> {
        let (signature, _) = sign_prehashed_rfc6979::<C, C::Digest>(key.as_nonzero_scalar(), digest, &[]);
        signature.to_der().as_bytes().to_vec()
    }

    fn verify(key: &ecdsa::VerifyingKey<Self>, digest: &[u8], signature: &[u8]) -> ecdsa::Result<()> {
        let signature = ecdsa::Signature::<C>::from_der(signature)?;
        // For secp256k1, the library accepts only the lower of the two values of s, but other
        // software produces either.
        let signature = if C::NORMALIZE_S { signature.normalize_s() } else { signature };
        key.verify_prehash(digest, &signature)
    }

    fn agree(key: &ecdsa::SigningKey<Self>, peer: &ecdsa::VerifyingKey<Self>) -> SecretBytes {
        let secret = diffie_hellman(key.as_nonzero_scalar(), peer.as_affine());
        SecretBytes::copy_from_slice(secret.raw_secret_bytes())
    }
}
