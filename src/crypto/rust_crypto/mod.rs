//! The pure-Rust backend, built on the crates of the RustCrypto project.
//!
//! Their `zeroize` features are enabled, so that key schedules, hash states, and MAC states are
//! wiped when they are dropped.

mod aead;
mod digest;
mod kdf;
mod key_pair;
mod key_wrap;
mod mac;
mod random;
mod signature;

#[cfg(any(feature = "aws-lc-rs", feature = "fips"))]
pub(super) use key_pair::expansion::expand_ml_kem;
#[cfg(any(feature = "aws-lc-rs", feature = "fips"))]
pub(super) use signature::to_fixed_length;

use super::CryptoBackend;

/// The pure-Rust backend. It is always available, needs no C compiler, and contains no assembly of
/// its own.
///
/// # Examples
/// ```
/// use strongroom::crypto::RUST_CRYPTO;
///
/// assert_eq!(RUST_CRYPTO.name(), "RustCrypto");
/// let mut key = [0; 32];
/// RUST_CRYPTO.random().fill(&mut key)?;
/// # Ok::<(), strongroom::crypto::CryptoError>(())
/// ```
pub const RUST_CRYPTO: CryptoBackend = CryptoBackend {
    name: "RustCrypto",
    aead: &aead::RustCryptoAead,
    digest: &digest::RustCryptoDigest,
    mac: &mac::RustCryptoMac,
    kdf: &kdf::RustCryptoKdf,
    signature: &signature::RustCryptoSignature,
    key_pairs: &key_pair::RustCryptoKeyPairs,
    key_wrap: &key_wrap::RustCryptoKeyWrap,
    random: &random::SystemRandom,
    rejected: &[],
    ready: || Ok(()),
    ready_with_random: || Ok(()),
};
