//! ECDSA with `ecdsa`, over the curves of `p256` and `p384`.

use std::ops::Add;

use ecdsa::der::{MaxOverhead, MaxSize};
use ecdsa::elliptic_curve::array::ArraySize;
use ecdsa::elliptic_curve::ops::Invert;
use ecdsa::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use ecdsa::elliptic_curve::subtle::CtOption;
use ecdsa::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize, Scalar};
use ecdsa::hazmat::sign_prehashed_rfc6979;
use ecdsa::signature::hazmat::PrehashVerifier;
use ecdsa::{DigestAlgorithm, EcdsaCurve};
use p256::NistP256;
use p384::NistP384;

use crate::crypto::signature::{check_digest, check_point, draw_scalar};
use crate::crypto::{CryptoError, SecureRandom, Signature, SignatureAlgorithm, SigningKey, VerifyingKey};

#[derive(Debug)]
pub(super) struct RustCryptoSignature;

impl Signature for RustCryptoSignature {
    fn library(&self) -> &'static str {
        "ecdsa"
    }

    fn generate(
        &self,
        algorithm: SignatureAlgorithm,
        random: &dyn SecureRandom,
    ) -> Result<Box<dyn SigningKey>, CryptoError> {
        match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => generate::<NistP256>(algorithm, random),
            SignatureAlgorithm::EcdsaP384Sha384 => generate::<NistP384>(algorithm, random),
        }
    }

    fn verifying_key(
        &self,
        algorithm: SignatureAlgorithm,
        public_key: &[u8],
    ) -> Result<Box<dyn VerifyingKey>, CryptoError> {
        check_point(algorithm, public_key)?;
        match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => verifying_key::<NistP256>(algorithm, public_key),
            SignatureAlgorithm::EcdsaP384Sha384 => verifying_key::<NistP384>(algorithm, public_key),
        }
    }
}

fn generate<C: Curve>(
    algorithm: SignatureAlgorithm,
    random: &dyn SecureRandom,
) -> Result<Box<dyn SigningKey>, CryptoError> {
    let key = draw_scalar(algorithm, random, |scalar| ecdsa::SigningKey::<C>::from_slice(scalar).ok())?;
    Ok(Box::new(Secret { algorithm, key }))
}

fn verifying_key<C: Curve>(
    algorithm: SignatureAlgorithm,
    public_key: &[u8],
) -> Result<Box<dyn VerifyingKey>, CryptoError> {
    let key = C::parse_point(public_key).map_err(|_| CryptoError::InvalidPublicKey)?;
    Ok(Box::new(Public { algorithm, key }))
}

/// A secret scalar, which the library wipes when it is dropped.
struct Secret<C: Curve> {
    algorithm: SignatureAlgorithm,
    key: ecdsa::SigningKey<C>,
}

impl<C: Curve> SigningKey for Secret<C> {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn public_key(&self) -> Vec<u8> {
        C::compressed_point(self.key.verifying_key())
    }

    fn sign_digest(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        check_digest(self.algorithm, digest)?;
        Ok(C::sign(&self.key, digest, &[]))
    }

    fn sign_digest_to_fixed_length(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        check_digest(self.algorithm, digest)?;
        to_fixed_length(self.algorithm, |attempt| match attempt {
            0 => Ok(C::sign(&self.key, digest, &[])),
            // The nonce depends only on the key and the hash value, so it would be the same again.
            again => Ok(C::sign(&self.key, digest, &[again])),
        })
    }
}

struct Public<C: Curve> {
    algorithm: SignatureAlgorithm,
    key: ecdsa::VerifyingKey<C>,
}

impl<C: Curve> VerifyingKey for Public<C> {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn verify_digest(&self, digest: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        check_digest(self.algorithm, digest)?;
        C::verify(&self.key, digest, signature).map_err(|_| CryptoError::InvalidSignature)
    }
}

/// Calls `sign` with 0, 1, 2, and so on, until the signature or its twin, with `n - s` in place of
/// `s`, has the fixed length.
///
/// The twin is equally valid, and of the two values of `s`, one needs a leading zero byte and the
/// other does not. One attempt is therefore enough unless `r` or `s` is a whole byte shorter, which
/// happens about once in 250 times.
pub(in crate::crypto) fn to_fixed_length(
    algorithm: SignatureAlgorithm,
    mut sign: impl FnMut(u8) -> Result<Vec<u8>, CryptoError>,
) -> Result<Vec<u8>, CryptoError> {
    for attempt in 0..=u8::MAX {
        let signature = sign(attempt)?;
        if signature.len() == algorithm.fixed_signature_length() {
            return Ok(signature);
        }
        let twin = twin(algorithm, &signature)?;
        if twin.len() == algorithm.fixed_signature_length() {
            return Ok(twin);
        }
    }
    Err(CryptoError::RandomFailed)
}

fn twin(algorithm: SignatureAlgorithm, signature: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let twin = match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => NistP256::twin(signature),
        SignatureAlgorithm::EcdsaP384Sha384 => NistP384::twin(signature),
    };
    twin.map_err(|_| CryptoError::InvalidSignature)
}

/// The operations on a curve. There is a single implementation; the trait collects the library's
/// trait bounds in one place.
trait Curve: EcdsaCurve + CurveArithmetic {
    fn parse_point(point: &[u8]) -> ecdsa::Result<ecdsa::VerifyingKey<Self>>;

    fn compressed_point(key: &ecdsa::VerifyingKey<Self>) -> Vec<u8>;

    /// Signs with the nonce of RFC 6979. `further_input` is the additional input of its section
    /// 3.6.
    fn sign(key: &ecdsa::SigningKey<Self>, digest: &[u8], further_input: &[u8]) -> Vec<u8>;

    fn verify(key: &ecdsa::VerifyingKey<Self>, digest: &[u8], signature: &[u8]) -> ecdsa::Result<()>;

    /// Returns the signature with `n - s` in place of `s`.
    fn twin(signature: &[u8]) -> ecdsa::Result<Vec<u8>>;
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

    fn compressed_point(key: &ecdsa::VerifyingKey<Self>) -> Vec<u8> {
        key.to_sec1_point(true).as_bytes().to_vec()
    }

    fn sign(key: &ecdsa::SigningKey<Self>, digest: &[u8], further_input: &[u8]) -> Vec<u8> {
        let (signature, _) = sign_prehashed_rfc6979::<C, C::Digest>(key.as_nonzero_scalar(), digest, further_input);
        signature.to_der().as_bytes().to_vec()
    }

    fn verify(key: &ecdsa::VerifyingKey<Self>, digest: &[u8], signature: &[u8]) -> ecdsa::Result<()> {
        key.verify_prehash(digest, &ecdsa::Signature::from_der(signature)?)
    }

    fn twin(signature: &[u8]) -> ecdsa::Result<Vec<u8>> {
        let (r, s) = ecdsa::Signature::<C>::from_der(signature)?.split_scalars();
        Ok(ecdsa::Signature::<C>::from_scalars(r, -s)?.to_der().as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;

    /// Encodes numbers in DER, each specified by its first byte and its length.
    fn signature(numbers: [(u8, u8); 2]) -> Vec<u8> {
        let mut content = Vec::new();
        for (first, length) in numbers {
            let pad = u8::from(first >= 0x80);
            content.extend_from_slice(&[0x02, length + pad]);
            content.extend(vec![0; pad.into()]);
            content.push(first);
            content.extend(vec![0x11; usize::from(length) - 1]);
        }
        [vec![0x30, u8::try_from(content.len()).expect("short")], content].concat()
    }

    #[test]
    fn a_signature_of_the_fixed_length_is_taken_as_it_is() {
        for numbers in [[(0x80, 32), (0x7F, 32)], [(0x01, 32), (0xFE, 32)]] {
            let taken = to_fixed_length(ALGORITHM, |attempt| {
                assert_eq!(attempt, 0);
                Ok(signature(numbers))
            });
            assert_eq!(taken, Ok(signature(numbers)));
        }
    }

    #[test]
    fn a_signature_of_another_length_is_taken_with_its_other_s() -> Result<(), CryptoError> {
        for numbers in [[(0x80, 32), (0x80, 32)], [(0x7F, 32), (0x7F, 32)], [(0x7F, 32), (0x01, 1)]] {
            let taken = to_fixed_length(ALGORITHM, |attempt| {
                assert_eq!(attempt, 0);
                Ok(signature(numbers))
            })?;
            assert_eq!(taken.len(), 71);
            assert_eq!(twin(ALGORITHM, &taken)?, signature(numbers));
        }
        Ok(())
    }

    #[test]
    fn a_signature_whose_numbers_are_too_short_is_made_anew() {
        // In these cases, r is too short for either s, or neither s has a suitable length.
        for numbers in [[(0x7F, 31), (0x7F, 32)], [(0x80, 32), (0x7F, 31)]] {
            let mut calls = Vec::new();
            let taken = to_fixed_length(ALGORITHM, |attempt| {
                calls.push(attempt);
                Ok(signature(if attempt < 2 { numbers } else { [(0x80, 32), (0x7F, 32)] }))
            });
            assert_eq!((taken, calls), (Ok(signature([(0x80, 32), (0x7F, 32)])), vec![0, 1, 2]));
        }
    }

    #[test]
    fn signing_anew_ends() {
        let mut calls = 0;
        let refused = to_fixed_length(ALGORITHM, |_| {
            calls += 1;
            Ok(signature([(0x01, 1), (0x01, 1)]))
        });
        assert_eq!((refused, calls), (Err(CryptoError::RandomFailed), 256));
        let failed = to_fixed_length(ALGORITHM, |_| Err(CryptoError::RandomFailed));
        assert_eq!(failed, Err(CryptoError::RandomFailed));
    }

    /// RFC 6979 yields one nonce per hash value, so another attempt needs further input to the
    /// nonce.
    #[test]
    fn further_input_changes_the_nonce() {
        let key = ecdsa::SigningKey::<NistP256>::from_slice(&[7; 32]).expect("a scalar");
        let signatures = [&[][..], &[1], &[2]].map(|further| NistP256::sign(&key, &[9; 32], further));
        let r = signatures.each_ref().map(|signature| signature[4..30].to_vec());
        assert!(r[0] != r[1] && r[1] != r[2] && r[0] != r[2]);
        for signature in &signatures {
            assert!(NistP256::verify(key.verifying_key(), &[9; 32], signature).is_ok());
        }
    }
}
