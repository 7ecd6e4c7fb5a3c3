//! A keyring with an elliptic-curve key pair whose private key is elsewhere.

use std::fmt;
use std::sync::Arc;

use super::contract::Keyring;
use super::ecdh_scheme::{KINDS, KMS_PROVIDER_ID, Party, Points, Scheme, not_opened};
use super::failures::UnwrapFailures;
use crate::crypto::CryptoBackend;
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::error::{Error, ErrorKind, Result};
use crate::message::EncryptedDataKey;
use crate::secret::SecretBytes;

/// A private key on P-256, P-384, or P-521 that agrees on secrets elsewhere: in a KMS or an HSM. It is
/// used by a [`KeyAgreementKeyring`]. The package `strongroom-aws-kms` implements it for AWS KMS.
///
/// # Examples
/// A key of a [`Kms`](crate::Kms):
/// ```
/// use strongroom::algorithm::KeyAgreementAlgorithm::Ecdh;
/// use strongroom::envelope::{KeyAgreement, KeyAgreementKeyring, RawEcdhKeyring};
/// use strongroom::key::{KeyArn, KeySpec, KeyUsage};
/// use strongroom::request::{CreateKeyRequest, DeriveSharedSecretRequest};
/// use strongroom::{EncryptionContext, Envelope, Kms, Result, SecretBytes};
///
/// #[derive(Debug)]
/// struct KmsAgreement {
///     kms: Kms,
///     key: KeyArn,
/// }
///
/// impl KeyAgreement for KmsAgreement {
///     fn agree(&self, public_key: &[u8]) -> Result<SecretBytes> {
///         let request = DeriveSharedSecretRequest::new(&self.key, Ecdh, public_key);
///         Ok(self.kms.derive_shared_secret(request)?.shared_secret)
///     }
/// }
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::KeyAgreement);
/// let key = kms.create_key(request)?;
/// let public_key = kms.get_public_key(key.key_id())?.public_key;
/// let agreement = KmsAgreement { kms, key: key.arn().clone() };
///
/// let anybody = Envelope::new(RawEcdhKeyring::ephemeral(&public_key)?);
/// let message = anybody.encrypt(b"a report", &EncryptionContext::new())?;
/// let owner = Envelope::new(KeyAgreementKeyring::discovery(agreement, &public_key)?);
/// assert_eq!(owner.decrypt(&message, &EncryptionContext::new())?, b"a report");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait KeyAgreement: fmt::Debug + Send + Sync {
    /// Returns the secret that is shared with the owner of a public key, a `SubjectPublicKeyInfo` in
    /// DER: the x-coordinate of the shared point, with all leading zeros (SP 800-56A, section
    /// 5.7.1.2).
    ///
    /// # Errors
    /// - Any error of the KMS. The keyring returns it.
    fn agree(&self, public_key: &[u8]) -> Result<SecretBytes>;
}

impl<A: KeyAgreement + ?Sized> KeyAgreement for Arc<A> {
    fn agree(&self, public_key: &[u8]) -> Result<SecretBytes> {
        (**self).agree(public_key)
    }
}

/// Wraps data keys under a secret that is agreed between a key pair in a KMS and another key pair,
/// like the AWS KMS ECDH keyring of the AWS Encryption SDK. Each reads the messages of the other.
///
/// | created with | writes | reads |
/// |---|---|---|
/// | [`static_keys`](Self::static_keys): own key in a KMS, peer's public key | for the peer | messages that either of the two wrote for the other |
/// | [`discovery`](Self::discovery): own key in a KMS | nothing | messages that any sender wrote for its owner |
///
/// A message costs one agreement of the KMS. A [`RawEcdhKeyring`](super::RawEcdhKeyring) with the
/// peer's private key reads the messages, and writes messages for this keyring.
///
/// Provider ID: `aws-kms-ecdh`. The rest is the format of a [`RawEcdhKeyring`](super::RawEcdhKeyring).
///
/// # Examples
/// ```
/// use std::fmt;
///
/// use strongroom::crypto::{CryptoBackend, KeyPairKind, PrivateKey};
/// use strongroom::envelope::{KeyAgreement, KeyAgreementKeyring, RawEcdhKeyring};
/// use strongroom::{EncryptionContext, Envelope, Result, SecretBytes};
///
/// /// Stands for a key in a KMS.
/// struct Elsewhere(Box<dyn PrivateKey>);
///
/// impl fmt::Debug for Elsewhere {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         f.debug_struct("Elsewhere").finish_non_exhaustive()
///     }
/// }
///
/// impl KeyAgreement for Elsewhere {
///     fn agree(&self, public_key: &[u8]) -> Result<SecretBytes> {
///         Ok(self.0.agree(public_key)?)
///     }
/// }
///
/// let backend = CryptoBackend::default();
/// let new = || backend.key_pairs().generate(KeyPairKind::EccP384, backend.random());
/// let (own, peer) = (new()?, new()?);
/// let (own_public, peer_public) = (own.public_key_der(), peer.public_key_der());
/// let here = Envelope::new(KeyAgreementKeyring::static_keys(Elsewhere(own), &own_public, &peer_public)?);
/// let there = RawEcdhKeyring::static_keys(peer.to_pkcs8()?.expose_secret(), &own_public)?;
///
/// let message = here.encrypt(b"a report", &EncryptionContext::new())?;
/// assert_eq!(Envelope::new(there).decrypt(&message, &EncryptionContext::new())?, b"a report");
/// assert_eq!(here.decrypt(&message, &EncryptionContext::new())?, b"a report");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct KeyAgreementKeyring {
    agreement: Arc<dyn KeyAgreement>,
    backend: CryptoBackend,
    own: Party,
    peer: Option<Party>,
}

impl KeyAgreementKeyring {
    /// Creates a keyring between the owner of a private key and the owner of another public key. Both
    /// public keys are `SubjectPublicKeyInfo`, in DER or PEM.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if a public key is malformed, or if the two are not on the same one
    ///   of the three curves.
    pub fn static_keys(agreement: impl KeyAgreement + 'static, own_public: &[u8], peer_public: &[u8]) -> Result<Self> {
        let keyring = Self::discovery(agreement, own_public)?;
        let peer = Party::read(&keyring.backend, &[keyring.own.kind], peer_public)?;
        Ok(Self { peer: Some(peer), ..keyring })
    }

    /// Creates a keyring that reads messages from any sender to the owner of a private key.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the public key is malformed, or not on one of the three curves.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{KeyAgreement, KeyAgreementKeyring};
    /// use strongroom::{ErrorKind, Result, SecretBytes};
    ///
    /// #[derive(Debug)]
    /// struct Never;
    ///
    /// impl KeyAgreement for Never {
    ///     fn agree(&self, _: &[u8]) -> Result<SecretBytes> {
    ///         unreachable!("the keyring is not used")
    ///     }
    /// }
    ///
    /// let refused = KeyAgreementKeyring::discovery(Never, b"no key").unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation);
    /// ```
    pub fn discovery(agreement: impl KeyAgreement + 'static, own_public: &[u8]) -> Result<Self> {
        let backend = CryptoBackend::default();
        let own = Party::read(&backend, &KINDS, own_public)?;
        Ok(Self { agreement: Arc::new(agreement), backend, own, peer: None })
    }

    fn scheme(&self) -> Scheme<'_> {
        Scheme { backend: &self.backend, kind: self.own.kind }
    }

    /// Agrees on a secret, which has the length of a coordinate.
    fn agree(&self, public_key: &[u8]) -> Result<SecretBytes> {
        let secret = self.agreement.agree(public_key)?;
        let length = self.own.point.len() - 1;
        if secret.len() == length {
            return Ok(secret);
        }
        let text = format!("the agreed secret has {} bytes instead of {length}", secret.len());
        Err(Error::new(ErrorKind::Internal, text))
    }

    fn unwrap(&self, materials: &DecryptionMaterials, data_key: &EncryptedDataKey) -> Result<SecretBytes> {
        let points = Points::of(data_key)?;
        let other = points.other(&self.own.point, self.peer.as_ref().map(|peer| &peer.point[..]))?;
        // The KMS never sees a point that is not on the curve.
        let other = self.backend.key_pairs().public_key_of_point(self.own.kind, other).map_err(not_opened)?;
        self.scheme().unwrap(&points, || self.agree(&other.to_spki()), materials, data_key)
    }
}

impl Keyring for KeyAgreementKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        let peer = self.peer.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Validation, "a discovery keyring can only decrypt, because it has no recipient")
        })?;
        let points = Points { recipient: &peer.point, sender: &self.own.point };
        let secret = self.agree(&peer.spki)?;
        self.scheme().wrap(&points, &secret, materials, KMS_PROVIDER_ID)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let mut failures = UnwrapFailures::default();
        for data_key in data_keys {
            match self.unwrap(materials, data_key) {
                Ok(plaintext) => return materials.set_data_key(plaintext),
                Err(error) => failures.push(data_key, error),
            }
        }
        Err(failures.into_error())
    }
}

impl fmt::Debug for KeyAgreementKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyAgreementKeyring")
            .field("agreement", &self.agreement)
            .field("curve", &self.own.kind)
            .field("writes", &self.peer.is_some())
            .finish_non_exhaustive()
    }
}
