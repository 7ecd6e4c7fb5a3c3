//! An HMAC key of a KMS as a value.

use crate::algorithm::MacAlgorithm;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, KeyUsage};
use crate::kms::engine::handle::Kms;
use crate::kms::operations::mac::MacLimits;
use crate::kms::request::{GenerateMacRequest, KeyReference, VerifyMacRequest};

/// An HMAC key of a [`Kms`] as a value. Each MAC is a `GenerateMac` call, and each verification a
/// `VerifyMac` call, with all their checks and their audit events.
///
/// Messages may have any length, unlike those of [`Kms::generate_mac`]. A custom provider that limits
/// them returns an error. The value is pinned to the key to which its reference refers when the
/// value is created.
///
/// # Examples
/// ```
/// use strongroom::key::{KeySpec, KeyUsage};
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::{Kms, KmsMac};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
/// let mac = KmsMac::new(&kms, kms.create_key(request)?.key_id())?;
/// let code = mac.authenticate(b"session 42")?;
/// mac.verify(b"session 42", &code)?;
/// assert!(mac.verify(b"session 43", &code).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KmsMac {
    kms: Kms,
    key_arn: KeyArn,
    algorithm: MacAlgorithm,
}

impl KmsMac {
    /// Creates a value for a key, whose spec determines the algorithm.
    ///
    /// # Errors
    /// - The errors of [`Kms::describe_key`].
    /// - [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not for message
    ///   authentication.
    pub fn new(kms: &Kms, key: impl KeyReference) -> Result<Self> {
        let key = kms.describe_key(key)?;
        match key.spec().mac_algorithms(KeyUsage::GenerateVerifyMac).first() {
            Some(&algorithm) => Ok(Self { kms: kms.clone(), key_arn: key.arn().clone(), algorithm }),
            None => {
                let text = format!("{} key usage is {} which is not valid for GenerateMac.", key.arn(), key.usage());
                Err(Error::new(ErrorKind::InvalidKeyUsage, text))
            }
        }
    }

    /// Returns the ARN of the key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    /// use strongroom::{Kms, KmsMac};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    /// let key = kms.create_key(request)?;
    /// assert_eq!(KmsMac::new(&kms, key.key_id())?.key_arn(), key.arn());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn key_arn(&self) -> &KeyArn {
        &self.key_arn
    }

    /// Returns the MAC algorithm.
    ///
    /// # Examples
    /// ```
    /// use strongroom::algorithm::MacAlgorithm;
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    /// use strongroom::{Kms, KmsMac};
    ///
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().spec(KeySpec::Hmac384).usage(KeyUsage::GenerateVerifyMac);
    /// let mac = KmsMac::new(&kms, kms.create_key(request)?.key_id())?;
    /// assert_eq!(mac.algorithm(), MacAlgorithm::HmacSha384);
    /// assert_eq!(mac.authenticate(b"a message")?.len(), 48);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub const fn algorithm(&self) -> MacAlgorithm {
        self.algorithm
    }

    /// Computes the MAC of at least one byte.
    ///
    /// # Errors
    /// - The errors of [`Kms::generate_mac`], except that no message is too long.
    pub fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>> {
        let request = GenerateMacRequest::new(&self.key_arn, self.algorithm, message);
        self.kms.compute_mac(request, MacLimits::Handle).map(|made| made.mac)
    }

    /// Verifies the MAC of a message.
    ///
    /// # Errors
    /// - The errors of [`Kms::verify_mac`].
    /// - [`InvalidMac`](ErrorKind::InvalidMac) if the MAC is wrong.
    pub fn verify(&self, message: &[u8], mac: &[u8]) -> Result<()> {
        let request = VerifyMacRequest::new(&self.key_arn, self.algorithm, message, mac);
        self.kms.check_mac(request, MacLimits::Handle).map(drop)
    }
}
