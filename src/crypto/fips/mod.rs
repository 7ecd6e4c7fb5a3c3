//! The strict backend, which uses only the FIPS module of AWS-LC.
//!
//! `aead`, `kdf`, `key_pairs`, `key_wrap`, `random` and `signature` are the parts. Each passes its
//! work to the part of the AWS-LC backend, after it has rejected what the module does not offer as an
//! approved service. `module` queries the module, and `nowhere` takes the place of the second library
//! of the AWS-LC backend.

mod aead;
mod kdf;
mod key_pairs;
mod key_wrap;
mod module;
mod name;
mod nowhere;
mod random;
mod rejected;
mod signature;
#[cfg(test)]
mod tests;

pub use module::FipsModule;

use self::name::MODULE;
use super::aws_lc::{AwsLcDigest, AwsLcKdf, AwsLcKeyPairs, AwsLcMac};
use super::{CryptoBackend, CryptoError};

/// The strict backend: every algorithm runs in the FIPS module of AWS-LC, and everything that the
/// module does not offer as an approved service is rejected, with the exceptions that the
/// [manual](crate::manual::fips) lists. The default with the feature `fips`.
///
/// [`CryptoBackend::fips`] checks first that the module is in FIPS mode. A [`Kms`](crate::Kms) checks
/// it when it is built, and every part checks it before it does something.
///
/// # Examples
/// ```
/// use strongroom::crypto::{AeadAlgorithm, CryptoError, FIPS, REJECTED};
///
/// assert!(FIPS.aead().bind(AeadAlgorithm::Aes256Gcm, &[7; 32]).is_ok());
/// let refused = FIPS.aead().bind(AeadAlgorithm::Aes192Gcm, &[7; 24]).err();
/// assert!(matches!(refused, Some(CryptoError::Rejected { algorithm: "AES-192-GCM", .. })));
/// assert!(FIPS.parts().contains(&("AES-192-GCM", REJECTED)));
/// ```
pub const FIPS: CryptoBackend = CryptoBackend {
    name: "FIPS",
    aead: &aead::FipsAead,
    digest: &AwsLcDigest { library: MODULE },
    mac: &AwsLcMac { library: MODULE },
    kdf: &kdf::FipsKdf { module: AwsLcKdf { library: MODULE, elsewhere: &nowhere::Nowhere } },
    signature: &signature::FipsSignature,
    key_pairs: &key_pairs::FipsKeyPairs { module: AwsLcKeyPairs { library: MODULE, elsewhere: &nowhere::Nowhere } },
    key_wrap: &key_wrap::FipsKeyWrap,
    random: &random::FipsRandom,
    rejected: rejected::REJECTIONS,
    ready: module::check_mode,
    ready_with_random: || Err(rejected::rejected(rejected::GENERATORS)),
};

impl CryptoBackend {
    /// Returns the strict backend [`FIPS`] after checking that its module is in FIPS mode.
    ///
    /// # Errors
    /// - [`CryptoError::NotInFipsMode`] if it is not.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::crypto::{CryptoBackend, FipsModule};
    ///
    /// let kms = Kms::builder().backend(CryptoBackend::fips()?).build()?;
    /// println!("{}", FipsModule::loaded()?); // for example "AWS-LC FIPS 4.2.0"
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn fips() -> Result<Self, CryptoError> {
        FIPS.check_ready()?;
        Ok(FIPS)
    }
}
