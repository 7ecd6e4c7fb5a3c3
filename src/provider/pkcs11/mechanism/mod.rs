//! Mechanisms, with their standard names and required flags.

pub(in crate::provider::pkcs11) mod gcm;
pub(in crate::provider::pkcs11) mod signing;

/// The uses of a mechanism, as reported by its flags (PKCS#11 v3.1, section 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MechanismUse {
    /// CKF_ENCRYPT and CKF_DECRYPT.
    pub ciphers: bool,
    /// CKF_SIGN.
    pub signs: bool,
    /// CKF_WRAP and CKF_UNWRAP.
    pub wraps: bool,
    /// CKF_GENERATE or CKF_GENERATE_KEY_PAIR.
    pub generates: bool,
    /// CKF_HW: performed by a hardware device.
    pub in_hardware: bool,
}

/// The mechanism that an operation requires of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::pkcs11) enum RequiredMechanism {
    AesKeyGeneration,
    Gcm,
    KeyWrap,
    RsaKeyPairGeneration,
    EcKeyPairGeneration,
    Pkcs1,
    Pss,
    Oaep,
    Ecdsa,
}

impl RequiredMechanism {
    /// Returns the name of the mechanism and a test of its required flag.
    pub(in crate::provider::pkcs11) fn facts(self) -> (&'static str, fn(&MechanismUse) -> bool) {
        match self {
            Self::AesKeyGeneration => ("CKM_AES_KEY_GEN", |found| found.generates),
            Self::Gcm => ("CKM_AES_GCM", |found| found.ciphers),
            Self::KeyWrap => ("CKM_AES_KEY_WRAP", |found| found.wraps),
            Self::RsaKeyPairGeneration => ("CKM_RSA_PKCS_KEY_PAIR_GEN", |found| found.generates),
            Self::EcKeyPairGeneration => ("CKM_EC_KEY_PAIR_GEN", |found| found.generates),
            Self::Pkcs1 => ("CKM_RSA_PKCS", |found| found.signs),
            Self::Pss => ("CKM_RSA_PKCS_PSS", |found| found.signs),
            Self::Oaep => ("CKM_RSA_PKCS_OAEP", |found| found.ciphers),
            Self::Ecdsa => ("CKM_ECDSA", |found| found.signs),
        }
    }
}
