//! The types of verifying keys and signatures of signers.

use pkcs8::DecodePublicKey;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::algorithm::SigningAlgorithm;
use crate::crypto::DigestAlgorithm;
use crate::key::KeySpec;

mod sealed {
    /// Restricts implementations to this crate, so that the list of types can grow.
    pub trait Sealed {}
}

/// A public key whose type determines the signing algorithm of its private key in the KMS.
///
/// Implemented for the verifying keys of `p256`, `p384`, `p521` and `k256` 0.14, `rsa` 0.10,
/// `ed25519-dalek` 3, and `ml-dsa` 0.1. The types of other versions of these crates are different types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a verifying key type of the KMS",
    note = "use a `VerifyingKey` of p256, p384, p521 or k256 0.14, rsa 0.10, ed25519-dalek 3, or ml-dsa 0.1",
    note = "other versions of these crates have different types: compare with `cargo tree`"
)]
pub trait KmsVerifyingKey: DecodePublicKey + Clone + sealed::Sealed {
    /// The signing algorithm.
    const ALGORITHM: SigningAlgorithm;

    /// The signing algorithm with which [`signature::DigestSigner`] signs a digest: Ed25519ph for
    /// Ed25519, and otherwise the same algorithm. ML-DSA rejects digests.
    const DIGEST_ALGORITHM: SigningAlgorithm;

    /// The hash function for [`signature::DigestSigner`].
    type Digest: Digest + signature::digest::Update;

    /// Returns `true` if keys of this type have the spec.
    ///
    /// # Examples
    /// ```
    /// use strongroom::KmsVerifyingKey;
    /// use strongroom::key::KeySpec;
    ///
    /// assert!(p256::ecdsa::VerifyingKey::supports(KeySpec::EccNistP256));
    /// assert!(!p256::ecdsa::VerifyingKey::supports(KeySpec::EccNistP384));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    fn supports(spec: KeySpec) -> bool;
}

/// A signature type of a verifying key.
///
/// For ECDSA, `Signature` is the fixed-length form of tokens (`to_bytes`: `r | s`, IEEE P1363), and
/// `DerSignature` the form of certificates.
///
/// # Examples
/// ```
/// use strongroom::algorithm::SigningAlgorithm::EcdsaSha384;
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, SignRequest};
/// use strongroom::{Kms, KmsSignature};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP384).usage(KeyUsage::SignVerify);
/// let key = kms.create_key(request)?.key_id();
/// let der = kms.sign(SignRequest::new(key, EcdsaSha384, b"a message"))?.signature;
/// let signature = p384::ecdsa::Signature::from_kms(&der)?;
/// assert_eq!(signature.to_bytes().len(), 96); // r and s, as in JSON web tokens
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait KmsSignature<V>: Sized {
    /// Converts the result of [`Kms::sign`](crate::Kms::sign).
    ///
    /// # Errors
    /// - [`signature::Error`] if the bytes are not such a signature.
    fn from_kms(signature: &[u8]) -> Result<Self, signature::Error>;
}

/// Returns the hash function whose digest a signer signs, or `None` if the signer signs the message
/// itself.
pub(super) const fn digest_algorithm(algorithm: SigningAlgorithm) -> Option<DigestAlgorithm> {
    match algorithm {
        SigningAlgorithm::Ed25519Sha512 | SigningAlgorithm::Ed25519PhSha512 | SigningAlgorithm::MlDsaShake256 => None,
        _ => match algorithm.digest_length() {
            32 => Some(DigestAlgorithm::Sha256),
            48 => Some(DigestAlgorithm::Sha384),
            _ => Some(DigestAlgorithm::Sha512),
        },
    }
}

macro_rules! verifying_key {
    ($key:ty, $specs:pat, $algorithm:ident, $digest_algorithm:ident, $hash:ident, $($signature:ty, $parse:expr;)+) => {
        impl sealed::Sealed for $key {}

        impl KmsVerifyingKey for $key {
            const ALGORITHM: SigningAlgorithm = SigningAlgorithm::$algorithm;
            const DIGEST_ALGORITHM: SigningAlgorithm = SigningAlgorithm::$digest_algorithm;

            type Digest = $hash;

            fn supports(spec: KeySpec) -> bool {
                matches!(spec, $specs)
            }
        }

        $(impl KmsSignature<$key> for $signature {
            fn from_kms(signature: &[u8]) -> Result<Self, signature::Error> {
                $parse(signature)
            }
        })+
    };
}

macro_rules! curve {
    ($curve:ident, $spec:ident, $algorithm:ident, $hash:ident) => {
        verifying_key! {
            $curve::ecdsa::VerifyingKey, KeySpec::$spec, $algorithm, $algorithm, $hash,
            $curve::ecdsa::Signature, $curve::ecdsa::Signature::from_der;
            $curve::ecdsa::DerSignature, $curve::ecdsa::DerSignature::try_from;
        }
    };
}

macro_rules! rsa {
    ($scheme:ident, $hash:ident, $algorithm:ident) => {
        verifying_key! {
            rsa::$scheme::VerifyingKey<$hash>, KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096,
            $algorithm, $algorithm, $hash,
            rsa::$scheme::Signature, rsa::$scheme::Signature::try_from;
        }
    };
}

macro_rules! ml_dsa {
    ($parameters:ident) => {
        verifying_key! {
            ml_dsa::VerifyingKey<ml_dsa::$parameters>, KeySpec::$parameters, MlDsaShake256, MlDsaShake256, Sha512,
            ml_dsa::Signature<ml_dsa::$parameters>, ml_dsa::Signature::try_from;
        }
    };
}

curve!(p256, EccNistP256, EcdsaSha256, Sha256);
curve!(p384, EccNistP384, EcdsaSha384, Sha384);
curve!(p521, EccNistP521, EcdsaSha512, Sha512);
rsa!(pkcs1v15, Sha256, RsassaPkcs1V15Sha256);
rsa!(pkcs1v15, Sha384, RsassaPkcs1V15Sha384);
rsa!(pkcs1v15, Sha512, RsassaPkcs1V15Sha512);
rsa!(pss, Sha256, RsassaPssSha256);
rsa!(pss, Sha384, RsassaPssSha384);
rsa!(pss, Sha512, RsassaPssSha512);
verifying_key! {
    k256::ecdsa::VerifyingKey, KeySpec::EccSecgP256k1, EcdsaSha256, EcdsaSha256, Sha256,
    k256::ecdsa::Signature, low_s;
    k256::ecdsa::DerSignature, |signature| low_s(signature).map(|signature| signature.to_der());
}
verifying_key! {
    ed25519_dalek::VerifyingKey, KeySpec::EccNistEdwards25519, Ed25519Sha512, Ed25519PhSha512, Sha512,
    ed25519_dalek::Signature, ed25519_dalek::Signature::try_from;
}

ml_dsa!(MlDsa44);
ml_dsa!(MlDsa65);
ml_dsa!(MlDsa87);

/// Returns the signature with the lower of its two values of `s`. Both are valid, but users of
/// secp256k1 accept only that one.
fn low_s(signature: &[u8]) -> Result<k256::ecdsa::Signature, signature::Error> {
    k256::ecdsa::Signature::from_der(signature).map(|signature| signature.normalize_s())
}
