//! The state and the version of the FIPS module.

use std::fmt;
use std::sync::OnceLock;

use crate::crypto::CryptoError;

/// The FIPS module of AWS-LC that the process uses.
///
/// Its version states which module it is. It does not state that a certificate exists for it: see the
/// [manual](crate::manual::fips).
///
/// # Examples
/// ```
/// use strongroom::crypto::FipsModule;
///
/// let module = FipsModule::loaded()?;
/// assert_eq!(module.name(), "AWS-LC FIPS");
/// assert!(module.major_version().is_some_and(|major| major >= 3));
/// assert_eq!(module.to_string(), format!("AWS-LC FIPS {}", module.version()));
/// # Ok::<(), strongroom::crypto::CryptoError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FipsModule {
    version: &'static str,
    major_version: Option<u32>,
}

impl FipsModule {
    /// Returns the module, if it is in FIPS mode.
    ///
    /// # Errors
    /// - [`CryptoError::NotInFipsMode`] if it is not.
    pub fn loaded() -> Result<Self, CryptoError> {
        check_mode()?;
        Ok(Self { version: aws_lc_rs::awslc_version(), major_version: aws_lc_rs::fips_version() })
    }

    /// Returns the name of the module, as its certificates state it, without the version.
    pub const fn name(&self) -> &'static str {
        "AWS-LC FIPS"
    }

    /// Returns the version of the library that is linked, such as `3.6.0`.
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// Returns the number of the module's branch, such as 3, for which there is one certificate. The
    /// library states it when it is compiled.
    pub const fn major_version(&self) -> Option<u32> {
        self.major_version
    }
}

impl fmt::Display for FipsModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.version)
    }
}

/// Checks that the module is in FIPS mode. Its self-tests run when it is loaded, and its mode does not
/// change afterwards: a failed self-test ends the process.
pub(super) fn check_mode() -> Result<(), CryptoError> {
    static MODE: OnceLock<Result<(), CryptoError>> = OnceLock::new();
    *MODE.get_or_init(|| mode(aws_lc_rs::try_fips_mode()))
}

pub(super) fn mode(reported: Result<(), &'static str>) -> Result<(), CryptoError> {
    reported.map_err(|_| CryptoError::NotInFipsMode)
}
