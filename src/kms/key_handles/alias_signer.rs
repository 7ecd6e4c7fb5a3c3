//! A signer that follows an alias.

use std::fmt;
use std::marker::PhantomData;

use crate::algorithm::SigningAlgorithm;
use crate::crypto::SignatureInput;
use crate::error::Result;
use crate::key::{KeyArn, KeyIdentifier};
use crate::kms::engine::handle::Kms;
use crate::kms::key_handles::signature_types::{KmsSignature, KmsVerifyingKey};
use crate::kms::key_handles::signer::KmsSigner;
use crate::kms::key_handles::signing_key::{SigningKey, from_source, signer_traits};
use crate::kms::request::KeyReference;

/// A signer that follows an alias: like [`KmsSigner`], but it resolves its key reference for **each
/// signature**. Once [`Kms::update_alias`] moves the alias to another key, the next signature is by
/// that key, in every process.
///
/// It has no verifying key, because the key can change between any two calls. It therefore does not
/// implement [`signature::Keypair`], and cannot be used to build certificates. Where key and
/// signature must match, such as in a token that names its key, use one of these:
///
/// - [`KmsAliasSigner::pin`] returns a [`KmsSigner`] for the current key.
/// - [`KmsAliasSigner::sign_with_arn`] returns the signature and the ARN of the key that signed.
///
/// The key to which the alias moves must match `V`. If it does not, every signature is refused. A
/// key ID or ARN is also accepted as the reference, and always refers to the same key.
///
/// # Examples
/// ```
/// use signature::{Keypair, Signer, Verifier};
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::{Kms, KmsAliasSigner};
///
/// let kms = Kms::in_memory()?;
/// let create = || kms.create_key(CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify));
/// let (old, new) = (create()?.key_id(), create()?.key_id());
/// kms.create_alias("alias/tokens", old)?;
///
/// let signer = KmsAliasSigner::<p256::ecdsa::VerifyingKey>::new(&kms, "alias/tokens")?;
/// let pinned = signer.pin()?;
/// kms.update_alias("alias/tokens", new)?;
///
/// let (signature, key) = signer.sign_with_arn::<p256::ecdsa::Signature>(b"a message")?;
/// assert_eq!(key.key_id(), new);
/// assert!(pinned.verifying_key().verify(b"a message", &signature).is_err());
/// signer.pin()?.verifying_key().verify(b"a message", &signature)?;
///
/// let signature: p256::ecdsa::Signature = pinned.try_sign(b"a message")?;
/// pinned.verifying_key().verify(b"a message", &signature)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KmsAliasSigner<V> {
    key: SigningKey,
    verifying_key: PhantomData<fn() -> V>,
}

impl<V> KmsAliasSigner<V> {
    /// Creates a signer for a key reference, usually an alias. Checks that it currently refers to a
    /// suitable key.
    ///
    /// # Errors
    /// - The errors of [`KmsSigner::new`].
    pub fn new(kms: &Kms, key: impl KeyReference) -> Result<Self>
    where
        V: KmsVerifyingKey, // here, so that the compiler shows the advice of the trait
    {
        let key = SigningKey { kms: kms.clone(), key: key.to_key_identifier()? };
        let signer = Self { key, verifying_key: PhantomData };
        signer.pin()?;
        Ok(signer)
    }
}

impl<V: KmsVerifyingKey> KmsAliasSigner<V> {
    /// Returns the key reference.
    pub const fn key(&self) -> &KeyIdentifier {
        &self.key.key
    }

    /// Returns the signing algorithm.
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::SigningAlgorithm;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    /// use strongroom::{Kms, KmsAliasSigner};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    /// kms.create_key(request.alias("alias/tokens"))?;
    /// let signer = KmsAliasSigner::<p256::ecdsa::VerifyingKey>::new(&kms, "alias/tokens")?;
    /// assert_eq!(signer.algorithm(), SigningAlgorithm::EcdsaSha256);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn algorithm(&self) -> SigningAlgorithm {
        V::ALGORITHM
    }

    /// Resolves the reference now, and returns a signer for that key. This is a call to
    /// [`Kms::get_public_key`].
    ///
    /// # Errors
    /// - The errors of [`KmsSigner::new`].
    pub fn pin(&self) -> Result<KmsSigner<V>> {
        KmsSigner::new(&self.key.kms, &self.key.key)
    }

    /// Signs a message, and returns the ARN of the key that signed it.
    ///
    /// # Errors
    /// - The errors of [`Kms::sign`].
    /// - [`InvalidKeyUsage`](crate::ErrorKind::InvalidKeyUsage) if the reference now refers to a key
    ///   that does not match `V`.
    pub fn sign_with_arn<S: KmsSignature<V>>(&self, message: &[u8]) -> Result<(S, KeyArn)> {
        self.key.sign_message::<V, S>(&[message])
    }
}

signer_traits!(KmsAliasSigner);

impl<V> fmt::Debug for KmsAliasSigner<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsAliasSigner").field("key", &self.key.key).finish_non_exhaustive()
    }
}
