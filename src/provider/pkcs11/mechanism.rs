//! Mechanisms by the names of the standard, and what they are needed for.

use cryptoki::mechanism::MechanismType;

/// What a mechanism is good for, by its flags (PKCS#11 v3.1, section 3.5).
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
    /// CKF_HW: it is done by a device.
    pub in_hardware: bool,
}

/// What an operation needs of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needed {
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

impl Needed {
    /// The mechanism, its name, and which of its flags counts.
    pub(super) fn facts(self) -> (MechanismType, &'static str, fn(&MechanismUse) -> bool) {
        match self {
            Self::AesKeyGeneration => (MechanismType::AES_KEY_GEN, "CKM_AES_KEY_GEN", |found| found.generates),
            Self::Gcm => (MechanismType::AES_GCM, "CKM_AES_GCM", |found| found.ciphers),
            Self::KeyWrap => (MechanismType::AES_KEY_WRAP, "CKM_AES_KEY_WRAP", |found| found.wraps),
            Self::RsaKeyPairGeneration => {
                (MechanismType::RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN", |found| found.generates)
            }
            Self::EcKeyPairGeneration => {
                (MechanismType::ECC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN", |found| found.generates)
            }
            Self::Pkcs1 => (MechanismType::RSA_PKCS, "CKM_RSA_PKCS", |found| found.signs),
            Self::Pss => (MechanismType::RSA_PKCS_PSS, "CKM_RSA_PKCS_PSS", |found| found.signs),
            Self::Oaep => (MechanismType::RSA_PKCS_OAEP, "CKM_RSA_PKCS_OAEP", |found| found.ciphers),
            Self::Ecdsa => (MechanismType::ECDSA, "CKM_ECDSA", |found| found.signs),
        }
    }
}
