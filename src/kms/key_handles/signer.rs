//! A signing key of a KMS as a signer for the RustCrypto traits.

use std::fmt;

use pkcs8::DecodePublicKey;
use pkcs8::spki::{AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, SignatureAlgorithmIdentifier};
use sha2::{Sha256, Sha384, Sha512};
use signature::hazmat::PrehashSigner;
use signature::{Keypair, Signer};

use crate::algorithm::{MessageType, SigningAlgorithm};
use crate::crypto::DigestAlgorithm;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, check_signing_algorithm};
use crate::kms::engine::handle::Kms;
use crate::kms::request::{KeyReference, SignRequest};

/// A signing key of a [`Kms`] as a value, for code that expects a [`signature::Signer`], such as
/// certificates, tokens, and handshakes. The private key never leaves the KMS. Each signature is a
/// call to [`Kms::sign`], with all its checks and its audit event.
///
/// The type of the verifying key determines the algorithm. It is defined by one of the crates
/// `p256`, `p384`, `p521`, `k256`, `rsa`, and `ed25519-dalek`. The public key is read once, when
/// the value is created.
///
/// Signatures over secp256k1 use the lower of the two possible values of `s`, as the `k256` crate
/// and users of that curve in ledgers require. [`Kms::sign`] returns either.
///
/// Messages may have any length, because only their digest is signed. Ed25519 is the exception: it
/// signs the message itself, which is therefore limited to 4,096 bytes.
///
/// # Examples
/// ```
/// use signature::{Keypair, Signer, Verifier};
/// use strongroom::algorithm::SigningAlgorithm;
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::{Kms, KmsSigner};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
/// let key = kms.create_key(request)?;
///
/// let signer = KmsSigner::<p256::ecdsa::VerifyingKey>::new(&kms, key.key_id())?;
/// let signature: p256::ecdsa::Signature = signer.try_sign(b"a message")?;
/// signer.verifying_key().verify(b"a message", &signature)?;
/// assert!(signer.verifying_key().verify(b"another", &signature).is_err());
/// assert_eq!((signer.key_arn(), signer.algorithm()), (key.arn(), SigningAlgorithm::EcdsaSha256));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KmsSigner<V> {
    kms: Kms,
    key_arn: KeyArn,
    verifying_key: V,
}

impl<V: KmsVerifyingKey> KmsSigner<V> {
    /// Creates a signer for a key.
    ///
    /// # Errors
    /// - The errors of [`Kms::get_public_key`].
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not for signing, or does not
    ///   match `V`.
    pub fn new(kms: &Kms, key: impl KeyReference) -> Result<Self> {
        let public = kms.get_public_key(key)?;
        if public.signing_algorithms.is_empty() {
            let text = format!("{} key usage is {} which is not valid for Sign.", public.key_arn, public.key_usage);
            return Err(Error::new(ErrorKind::InvalidKeyUsage, text));
        }
        check_signing_algorithm(public.key_spec, V::ALGORITHM)?;
        let verifying_key = V::from_public_key_der(&public.public_key).map_err(|error| {
            let text = format!("{} is a {} key, which this signer does not support", public.key_arn, public.key_spec);
            Error::new(ErrorKind::InvalidKeyUsage, text).with_source(error)
        })?;
        Ok(Self { kms: kms.clone(), key_arn: public.key_arn, verifying_key })
    }

    /// Returns the ARN of the key.
    pub const fn key_arn(&self) -> &KeyArn {
        &self.key_arn
    }

    /// Returns the signing algorithm.
    pub const fn algorithm(&self) -> SigningAlgorithm {
        V::ALGORITHM
    }

    fn sign_message<S: KmsSignature<V>>(&self, message: &[u8]) -> Result<S> {
        match digest_algorithm(V::ALGORITHM) {
            None => self.sign_bytes(MessageType::Raw, message),
            Some(hash) => {
                let digest = self.kms.core.material.backend.digest().digest(hash, &[message]);
                self.sign_bytes(MessageType::Digest, digest.as_ref())
            }
        }
    }

    fn sign_bytes<S: KmsSignature<V>>(&self, form: MessageType, bytes: &[u8]) -> Result<S> {
        let request = SignRequest::new(&self.key_arn, V::ALGORITHM, bytes).message_type(form);
        let signature = self.kms.sign(request)?.signature;
        S::from_kms(&signature).map_err(|error| {
            let text = format!("the provider of {} returned a malformed signature", self.key_arn);
            Error::new(ErrorKind::Internal, text).with_source(error)
        })
    }
}

impl<V: KmsVerifyingKey> Keypair for KmsSigner<V> {
    type VerifyingKey = V;

    fn verifying_key(&self) -> V {
        self.verifying_key.clone()
    }
}

impl<V: KmsVerifyingKey, S: KmsSignature<V>> Signer<S> for KmsSigner<V> {
    fn try_sign(&self, message: &[u8]) -> Result<S, signature::Error> {
        self.sign_message(message).map_err(signature::Error::from_source)
    }
}

/// For code that computes the digest itself. Not supported for Ed25519, which signs whole messages.
impl<V: KmsVerifyingKey, S: KmsSignature<V>> PrehashSigner<S> for KmsSigner<V> {
    fn sign_prehash(&self, prehash: &[u8]) -> Result<S, signature::Error> {
        self.sign_bytes(MessageType::Digest, prehash).map_err(signature::Error::from_source)
    }
}

impl<V: KmsVerifyingKey + SignatureAlgorithmIdentifier> DynSignatureAlgorithmIdentifier for KmsSigner<V> {
    fn signature_algorithm_identifier(&self) -> pkcs8::spki::Result<AlgorithmIdentifierOwned> {
        self.verifying_key.signature_algorithm_identifier()
    }
}

impl<V> fmt::Debug for KmsSigner<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsSigner").field("key_arn", &self.key_arn).finish_non_exhaustive()
    }
}

/// Returns the hash function whose digest a signer signs, or `None` if the signer signs the message
/// itself.
const fn digest_algorithm(algorithm: SigningAlgorithm) -> Option<DigestAlgorithm> {
    match algorithm {
        SigningAlgorithm::Ed25519Sha512 | SigningAlgorithm::Ed25519PhSha512 => None,
        _ => match algorithm.digest_length() {
            32 => Some(DigestAlgorithm::Sha256),
            48 => Some(DigestAlgorithm::Sha384),
            _ => Some(DigestAlgorithm::Sha512),
        },
    }
}

mod sealed {
    /// Restricts implementations to this crate, so that the list of types can grow.
    pub trait Sealed {}
}

/// A public key whose type determines the signing algorithm of its private key in the KMS.
pub trait KmsVerifyingKey: DecodePublicKey + Clone + sealed::Sealed {
    /// The signing algorithm.
    const ALGORITHM: SigningAlgorithm;
}

/// A signature type of a verifying key.
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
    /// Converts the result of [`Kms::sign`].
    ///
    /// # Errors
    /// - [`signature::Error`] if the bytes are not such a signature.
    fn from_kms(signature: &[u8]) -> Result<Self, signature::Error>;
}

macro_rules! verifying_key {
    ($key:ty, $algorithm:ident, $($signature:ty, $parse:expr;)+) => {
        impl sealed::Sealed for $key {}

        impl KmsVerifyingKey for $key {
            const ALGORITHM: SigningAlgorithm = SigningAlgorithm::$algorithm;
        }

        $(impl KmsSignature<$key> for $signature {
            fn from_kms(signature: &[u8]) -> Result<Self, signature::Error> {
                $parse(signature)
            }
        })+
    };
}

macro_rules! curve {
    ($curve:ident, $algorithm:ident) => {
        verifying_key! {
            $curve::ecdsa::VerifyingKey, $algorithm,
            $curve::ecdsa::Signature, $curve::ecdsa::Signature::from_der;
            $curve::ecdsa::DerSignature, $curve::ecdsa::DerSignature::try_from;
        }
    };
}

macro_rules! rsa {
    ($scheme:ident, $hash:ident, $algorithm:ident) => {
        verifying_key! {
            rsa::$scheme::VerifyingKey<$hash>, $algorithm,
            rsa::$scheme::Signature, rsa::$scheme::Signature::try_from;
        }
    };
}

curve!(p256, EcdsaSha256);
curve!(p384, EcdsaSha384);
curve!(p521, EcdsaSha512);
rsa!(pkcs1v15, Sha256, RsassaPkcs1V15Sha256);
rsa!(pkcs1v15, Sha384, RsassaPkcs1V15Sha384);
rsa!(pkcs1v15, Sha512, RsassaPkcs1V15Sha512);
rsa!(pss, Sha256, RsassaPssSha256);
rsa!(pss, Sha384, RsassaPssSha384);
rsa!(pss, Sha512, RsassaPssSha512);
verifying_key! {
    k256::ecdsa::VerifyingKey, EcdsaSha256,
    k256::ecdsa::Signature, low_s;
    k256::ecdsa::DerSignature, |signature| low_s(signature).map(|signature| signature.to_der());
}
verifying_key! {
    ed25519_dalek::VerifyingKey, Ed25519Sha512,
    ed25519_dalek::Signature, ed25519_dalek::Signature::try_from;
}

/// Returns the signature with the lower of its two values of `s`. Both are valid, but users of
/// secp256k1 accept only that one.
fn low_s(signature: &[u8]) -> Result<k256::ecdsa::Signature, signature::Error> {
    k256::ecdsa::Signature::from_der(signature).map(|signature| signature.normalize_s())
}
