//! The backend of AWS-LC through `aws-lc-rs`, whose parts also form the strict backend.

mod aead;
mod digest;
mod kdf;
mod key_pair;
mod mac;
mod ml_kem;
mod out_of_place;
mod random;
mod signature;

// The build script sets it, because features cannot depend on the version of a library.
#[cfg(aws_lc_ml_dsa)]
mod ml_dsa;
#[cfg(not(aws_lc_ml_dsa))]
mod no_ml_dsa;

#[cfg(feature = "fips")]
mod in_module;
#[cfg(feature = "fips")]
mod key_wrap;

#[cfg(not(aws_lc_ml_dsa))]
use no_ml_dsa as ml_dsa;

use super::{CryptoBackend, RUST_CRYPTO};

pub(super) use aead::AwsLcAead;
pub(super) use digest::AwsLcDigest;
#[cfg(feature = "fips")]
pub(super) use in_module::{generate_ml_dsa, generate_on_curve, generate_signing_key, is_approved_rsa_key};
pub(super) use kdf::AwsLcKdf;
pub(super) use key_pair::AwsLcKeyPairs;
#[cfg(feature = "fips")]
pub(super) use key_wrap::AwsLcKeyWrap;
pub(super) use mac::AwsLcMac;
#[cfg(feature = "fips")]
pub(super) use ml_dsa::HAS_ML_DSA;
pub(super) use random::AwsLcRandom;
pub(super) use signature::AwsLcSignature;

/// The name used in reports.
const LIBRARY: &str = "aws-lc-rs";

/// The backend that uses AWS-LC for all parts, and other libraries for what AWS-LC lacks. With the
/// feature `fips`, AWS-LC is its FIPS module, but only the backend `FIPS` restricts itself to it.
///
/// # Examples
/// ```
/// use strongroom::crypto::{AWS_LC, CryptoBackend};
///
/// let elsewhere = AWS_LC.parts().into_iter().filter(|(_, library)| *library != "aws-lc-rs").map(|(part, _)| part);
/// let expected = [
///     "AES-KW",
///     "HKDF with SHA-224",
///     "Ed25519ph",
///     "RSAES-PKCS1-v1_5 decryption",
///     "ML-DSA with EXTERNAL_MU",
///     "checks and seeds of ML-KEM keys",
/// ];
/// assert_eq!(elsewhere.collect::<Vec<_>>(), expected);
/// assert_ne!(CryptoBackend::default().name(), AWS_LC.name());
/// ```
pub const AWS_LC: CryptoBackend = CryptoBackend {
    name: "AWS-LC",
    aead: &AwsLcAead { library: LIBRARY },
    digest: &AwsLcDigest { library: LIBRARY },
    mac: &AwsLcMac { library: LIBRARY },
    kdf: &AwsLcKdf { library: LIBRARY, elsewhere: RUST_CRYPTO.kdf },
    signature: &AwsLcSignature { library: LIBRARY },
    key_pairs: &AwsLcKeyPairs { library: LIBRARY, elsewhere: RUST_CRYPTO.key_pairs },
    // The library has key wrapping, but before 1.18 it keeps a copy of the wrapping key that it does
    // not wipe.
    key_wrap: RUST_CRYPTO.key_wrap,
    random: &AwsLcRandom { library: LIBRARY },
    rejected: &[],
    ready: RUST_CRYPTO.ready,
    ready_with_random: RUST_CRYPTO.ready_with_random,
};
