//! A signing key of a KMS as a signer for the RustCrypto traits.

use std::fmt;

use pkcs8::spki::{AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, SignatureAlgorithmIdentifier};
use signature::Keypair;

use crate::algorithm::SigningAlgorithm;
use crate::crypto::SignatureInput;
use crate::error::{Error, ErrorKind, Result};
use crate::jose::Jwk;
use crate::key::{KeyArn, KeyIdentifier, check_signing_algorithm};
use crate::kms::engine::handle::Kms;
use crate::kms::key_handles::signature_types::{KmsSignature, KmsVerifyingKey};
use crate::kms::key_handles::signing_key::{SigningKey, from_source, signer_traits};
use crate::kms::request::{GetPublicKeyResponse, KeyReference};

/// A signing key of a [`Kms`] as a value, for code that expects a [`signature::Signer`], such as
/// certificates, tokens, and handshakes. The private key never leaves the KMS. Each signature is a
/// `Sign` call, with all its checks and its audit event.
///
/// The type of the verifying key determines the algorithm. It is defined by one of the crates
/// `p256`, `p384`, `p521`, `k256`, `rsa`, `ed25519-dalek`, and `ml-dsa`, in the version that
/// [`KmsVerifyingKey`] names.
///
/// The signer is **pinned**: it resolves its key once, when it is created, and keeps the ARN and the
/// public key. If its alias is moved later, it continues to use the same key, so
/// [`verifying_key`](Keypair::verifying_key) always verifies its signatures. A [`KmsAliasSigner`]
/// follows the alias.
///
/// Signatures over secp256k1 use the lower of the two possible values of `s`, as the `k256` crate
/// and users of that curve in ledgers require. [`Kms::sign`] returns either.
///
/// Messages may have any length. Their digest is computed in this process, and only the digest is
/// signed. Ed25519 and ML-DSA are the exceptions: they sign the message itself, which must be in
/// memory, and ML-DSA rejects digests. For a message that is read as a stream, use
/// [`signature::DigestSigner`]. For Ed25519, this is Ed25519ph (RFC 8032, section 5.1) of the
/// message, which is a different algorithm and needs a verifier that supports it, such as
/// `DigestVerifier` of `ed25519-dalek`. [`Kms::verify`] cannot verify it, since it treats a digest
/// as the message of Ed25519ph, as AWS KMS does.
///
/// [`KmsAliasSigner`]: crate::KmsAliasSigner
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
    key: SigningKey,
    public: GetPublicKeyResponse,
    verifying_key: V,
}

impl<V> KmsSigner<V> {
    /// Creates a signer for the key to which the reference currently refers.
    ///
    /// # Errors
    /// - The errors of [`Kms::get_public_key`].
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not for signing, or does not
    ///   match `V`.
    pub fn new(kms: &Kms, key: impl KeyReference) -> Result<Self>
    where
        V: KmsVerifyingKey, // here, so that the compiler shows the advice of the trait
    {
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
        let key = SigningKey { kms: kms.clone(), key: KeyIdentifier::KeyArn(public.key_arn.clone()) };
        Ok(Self { key, public, verifying_key })
    }
}

impl<V: KmsVerifyingKey> KmsSigner<V> {
    /// Returns the ARN of the key.
    pub const fn key_arn(&self) -> &KeyArn {
        &self.public.key_arn
    }

    /// Returns the signing algorithm.
    pub const fn algorithm(&self) -> SigningAlgorithm {
        V::ALGORITHM
    }

    /// Returns the public key as a JSON Web Key with the algorithm of this signer, without a call to
    /// the KMS. For Ed25519, whose algorithm has two names, it has no `alg`.
    ///
    /// # Errors
    /// - The errors of [`GetPublicKeyResponse::to_jwk`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::jose::JoseAlgorithm;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    /// use strongroom::{Kms, KmsSigner};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().spec(KeySpec::Rsa2048).usage(KeyUsage::SignVerify))?;
    /// let signer = KmsSigner::<rsa::pss::VerifyingKey<sha2::Sha256>>::new(&kms, key.key_id())?;
    /// assert_eq!(signer.to_jwk()?.algorithm(), Some(JoseAlgorithm::Ps256));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn to_jwk(&self) -> Result<Jwk> {
        self.public.to_jwk_for(V::ALGORITHM)
    }
}

signer_traits!(KmsSigner);

impl<V: KmsVerifyingKey> Keypair for KmsSigner<V> {
    type VerifyingKey = V;

    fn verifying_key(&self) -> V {
        self.verifying_key.clone()
    }
}

impl<V: KmsVerifyingKey + SignatureAlgorithmIdentifier> DynSignatureAlgorithmIdentifier for KmsSigner<V> {
    fn signature_algorithm_identifier(&self) -> pkcs8::spki::Result<AlgorithmIdentifierOwned> {
        self.verifying_key.signature_algorithm_identifier()
    }
}

impl<V> fmt::Debug for KmsSigner<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsSigner").field("key_arn", &self.public.key_arn).finish_non_exhaustive()
    }
}
