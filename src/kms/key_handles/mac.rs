//! A KMS key as a value that authenticates messages.

use crate::algorithm::MacAlgorithm;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyArn, KeyUsage};
use crate::kms::engine::handle::Kms;
use crate::kms::request::{GenerateMacRequest, KeyReference, VerifyMacRequest};

/// An HMAC key of a [`Kms`] as a value. Each code is a call of [`Kms::generate_mac`] or [`Kms::verify_mac`].
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
    /// Binds a key. Its spec says which algorithm it is.
    ///
    /// # Errors
    /// Those of [`Kms::describe_key`]; [`InvalidKeyUsage`](ErrorKind::InvalidKeyUsage) if the key is not for authentication.
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

    /// The key.
    pub const fn key_arn(&self) -> &KeyArn {
        &self.key_arn
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> MacAlgorithm {
        self.algorithm
    }

    /// Computes the code of 1 to 4,096 bytes.
    ///
    /// # Errors
    /// Those of [`Kms::generate_mac`].
    pub fn authenticate(&self, message: &[u8]) -> Result<Vec<u8>> {
        let request = GenerateMacRequest::new(&self.key_arn, self.algorithm, message);
        self.kms.generate_mac(request).map(|made| made.mac)
    }

    /// Verifies the code of a message.
    ///
    /// # Errors
    /// Those of [`Kms::verify_mac`]; a wrong code is of kind [`InvalidMac`](ErrorKind::InvalidMac).
    pub fn verify(&self, message: &[u8], mac: &[u8]) -> Result<()> {
        let request = VerifyMacRequest::new(&self.key_arn, self.algorithm, message, mac);
        self.kms.verify_mac(request).map(drop)
    }
}
