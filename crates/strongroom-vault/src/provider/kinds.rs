//! Kinds of key that both the key model and the transit engine have.

use strongroom::algorithm::{MacAlgorithm, SigningAlgorithm};
use strongroom::key::{KeySpec, KeyUsage};

/// The length in bytes of a generated HMAC key for HMAC_224, whose 28 bytes Vault does not accept.
const SHORTEST_HMAC_KEY: u16 = 32;

/// The type of a key in Vault, and the size of an HMAC key in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TransitType {
    pub(super) name: &'static str,
    pub(super) size: Option<u16>,
}

/// Returns the type for a kind of key, or the reason why there is none.
pub(super) const fn transit_type(spec: KeySpec, usage: KeyUsage) -> Result<TransitType, &'static str> {
    match (usage, spec) {
        (KeyUsage::EncryptDecrypt, KeySpec::SymmetricDefault) => named("aes256-gcm96"),
        (KeyUsage::EncryptDecrypt, KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096) => {
            Err("Vault decrypts only RSAES_OAEP_SHA_256, and not RSAES_OAEP_SHA_1")
        }
        (KeyUsage::SignVerify, KeySpec::Rsa2048) => named("rsa-2048"),
        (KeyUsage::SignVerify, KeySpec::Rsa3072) => named("rsa-3072"),
        (KeyUsage::SignVerify, KeySpec::Rsa4096) => named("rsa-4096"),
        (KeyUsage::SignVerify, KeySpec::EccNistP256) => named("ecdsa-p256"),
        (KeyUsage::SignVerify, KeySpec::EccNistP384) => named("ecdsa-p384"),
        (KeyUsage::SignVerify, KeySpec::EccNistP521) => named("ecdsa-p521"),
        (KeyUsage::SignVerify, KeySpec::EccNistEdwards25519) => {
            Err("Vault signs only with ED25519_SHA_512, and not with ED25519_PH_SHA_512")
        }
        (KeyUsage::SignVerify, KeySpec::EccSecgP256k1) => Err("Vault has no keys on this curve"),
        (KeyUsage::GenerateVerifyMac, KeySpec::Hmac224) => hmac(SHORTEST_HMAC_KEY),
        (KeyUsage::GenerateVerifyMac, KeySpec::Hmac256) => hmac(32),
        (KeyUsage::GenerateVerifyMac, KeySpec::Hmac384) => hmac(48),
        (KeyUsage::GenerateVerifyMac, KeySpec::Hmac512) => hmac(64),
        (KeyUsage::KeyAgreement, _) => Err("Vault returns no shared secrets"),
        _ => Err("keys of this spec have another usage"),
    }
}

const fn named(name: &'static str) -> Result<TransitType, &'static str> {
    Ok(TransitType { name, size: None })
}

const fn hmac(size: u16) -> Result<TransitType, &'static str> {
    Ok(TransitType { name: "hmac", size: Some(size) })
}

/// Returns the hash function and the RSA padding of a signing algorithm, as Vault names them.
pub(super) const fn signature_names(algorithm: SigningAlgorithm) -> Option<(&'static str, Option<&'static str>)> {
    match algorithm {
        SigningAlgorithm::RsassaPssSha256 => Some(("sha2-256", Some("pss"))),
        SigningAlgorithm::RsassaPssSha384 => Some(("sha2-384", Some("pss"))),
        SigningAlgorithm::RsassaPssSha512 => Some(("sha2-512", Some("pss"))),
        SigningAlgorithm::RsassaPkcs1V15Sha256 => Some(("sha2-256", Some("pkcs1v15"))),
        SigningAlgorithm::RsassaPkcs1V15Sha384 => Some(("sha2-384", Some("pkcs1v15"))),
        SigningAlgorithm::RsassaPkcs1V15Sha512 => Some(("sha2-512", Some("pkcs1v15"))),
        SigningAlgorithm::EcdsaSha256 => Some(("sha2-256", None)),
        SigningAlgorithm::EcdsaSha384 => Some(("sha2-384", None)),
        SigningAlgorithm::EcdsaSha512 => Some(("sha2-512", None)),
        _ => None,
    }
}

/// Returns the hash function of a MAC algorithm, as Vault names it.
pub(super) const fn mac_name(algorithm: MacAlgorithm) -> Option<&'static str> {
    match algorithm {
        MacAlgorithm::HmacSha224 => Some("sha2-224"),
        MacAlgorithm::HmacSha256 => Some("sha2-256"),
        MacAlgorithm::HmacSha384 => Some("sha2-384"),
        MacAlgorithm::HmacSha512 => Some("sha2-512"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_type_or_a_reason() {
        let supported: Vec<_> = KeySpec::ALL
            .iter()
            .flat_map(|&spec| KeyUsage::ALL.iter().map(move |&usage| (spec, usage)))
            .filter_map(|(spec, usage)| transit_type(spec, usage).ok().map(|found| (spec.as_str(), found.name)))
            .collect();
        assert_eq!(supported.len(), 11, "{supported:?}");
        let refused = transit_type(KeySpec::EccSecgP256k1, KeyUsage::SignVerify);
        assert_eq!(refused, Err("Vault has no keys on this curve"));
    }

    #[test]
    fn every_algorithm_of_a_supported_kind_has_a_name() {
        for &spec in KeySpec::ALL {
            if transit_type(spec, KeyUsage::SignVerify).is_ok() {
                let algorithms = spec.signing_algorithms(KeyUsage::SignVerify);
                assert!(
                    !algorithms.is_empty() && algorithms.iter().all(|&one| signature_names(one).is_some()),
                    "{spec}"
                );
            }
            if transit_type(spec, KeyUsage::GenerateVerifyMac).is_ok() {
                let algorithms = spec.mac_algorithms(KeyUsage::GenerateVerifyMac);
                assert!(!algorithms.is_empty() && algorithms.iter().all(|&one| mac_name(one).is_some()), "{spec}");
            }
        }
    }
}
