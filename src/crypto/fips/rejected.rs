//! Algorithms and uses that the strict backend rejects.

use super::name::MODULE;
use crate::crypto::aws_lc::HAS_ML_DSA;
use crate::crypto::{CryptoError, SecureRandom};

pub(super) const AES_192_GCM: &str = "AES-192-GCM";
pub(super) const AES_192_KW: &str = "AES-KW with 192-bit keys";
pub(super) const HKDF_SHA_224: &str = "HKDF with SHA-224";
pub(super) const HKDF_WITHOUT_INFO: &str = "HKDF without info";
pub(super) const SECP256K1: &str = "secp256k1";
pub(super) const ED25519: &str = "Ed25519";
pub(super) const ML_DSA: &str = "ML-DSA";
pub(super) const EXTERNAL_MU: &str = "ML-DSA with EXTERNAL_MU";
pub(super) const ML_KEM: &str = "ML-KEM";
pub(super) const RSA_KEYS: &str = "RSA keys beyond FIPS 186-5";
pub(super) const HASH_VALUES: &str = "signatures of hash values";
pub(super) const GENERATORS: &str = "other random number generators";
pub(super) const PKCS1_DECRYPTION: &str = "RSAES-PKCS1-v1_5 decryption";

/// Each algorithm or use with what to do instead.
pub(super) const REJECTIONS: &[(&str, &str)] = if HAS_ML_DSA { ALWAYS } else { WITHOUT_ML_DSA };

/// Algorithms that every version of the module lacks.
const ALWAYS: &[(&str, &str)] = WITHOUT_ML_DSA.split_at(1).1;

/// Algorithms that the module of `aws-lc-rs` 1.17 lacks, with ML-DSA as the first.
const WITHOUT_ML_DSA: &[(&str, &str)] = &[
    (ML_DSA, "use ECDSA, or aws-lc-rs 1.18 or later"),
    (SECP256K1, "use P-256, P-384 or P-521"),
    (ED25519, "use P-256, P-384 or P-521"),
    ("Ed25519ph", "use P-256, P-384 or P-521"),
    (EXTERNAL_MU, "sign or verify the message, with message type RAW"),
    (ML_KEM, "agree on a secret with P-256, P-384 or P-521"),
    (AES_192_GCM, "use an algorithm with AES-128-GCM or AES-256-GCM"),
    (AES_192_KW, "use a wrapping key of 128 or 256 bits"),
    (HKDF_SHA_224, "use SHA-256, SHA-384 or SHA-512"),
    (HKDF_WITHOUT_INFO, "state the purpose of the key as info"),
    (RSA_KEYS, "use an RSA key with two primes that the module accepts"),
    (HASH_VALUES, "sign or verify the message, which the module hashes"),
    (PKCS1_DECRYPTION, "use RSA-OAEP"),
    (GENERATORS, "use the generator of the module, without with_random and with_rng"),
    ("Argon2id", "use a file, an HSM, another KMS or a key of 32 bytes in place of a passphrase"),
    ("HPKE", "use an RSA or ECDH key pair"),
    ("AES-XTS", "encrypt files as messages or objects in place of volumes"),
    ("AES-CBC", "re-encrypt objects of the first version of the Amazon S3 Encryption Client elsewhere"),
];

/// Rejects a generator outside the module.
pub(super) fn check_generator(random: &dyn SecureRandom) -> Result<(), CryptoError> {
    if random.library() == MODULE { Ok(()) } else { Err(rejected(GENERATORS)) }
}

/// Returns the error for an entry of the table.
pub(super) fn rejected(algorithm: &'static str) -> CryptoError {
    let instead = REJECTIONS.iter().find(|(name, _)| *name == algorithm).map_or("", |(_, instead)| *instead);
    CryptoError::Rejected { algorithm, instead }
}
