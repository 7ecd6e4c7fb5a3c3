use std::collections::BTreeSet;
use std::fmt::Display;

use super::*;
use crate::error::Result;
use crate::key::check_usage;

/// Transcribed from the reference: spec, usage, algorithms of keys with both, and the maximum
/// plaintext size of each algorithm.
const TABLE: &str = "
SYMMETRIC_DEFAULT     ENCRYPT_DECRYPT     SYMMETRIC_DEFAULT:4096
RSA_2048              ENCRYPT_DECRYPT     RSAES_OAEP_SHA_1:214 RSAES_OAEP_SHA_256:190
RSA_2048              SIGN_VERIFY         RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512
RSA_3072              ENCRYPT_DECRYPT     RSAES_OAEP_SHA_1:342 RSAES_OAEP_SHA_256:318
RSA_3072              SIGN_VERIFY         RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512
RSA_4096              ENCRYPT_DECRYPT     RSAES_OAEP_SHA_1:470 RSAES_OAEP_SHA_256:446
RSA_4096              SIGN_VERIFY         RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512
ECC_NIST_P256         SIGN_VERIFY         ECDSA_SHA_256
ECC_NIST_P256         KEY_AGREEMENT       ECDH
ECC_NIST_P384         SIGN_VERIFY         ECDSA_SHA_384
ECC_NIST_P384         KEY_AGREEMENT       ECDH
ECC_NIST_P521         SIGN_VERIFY         ECDSA_SHA_512
ECC_NIST_P521         KEY_AGREEMENT       ECDH
ECC_SECG_P256K1       SIGN_VERIFY         ECDSA_SHA_256
ECC_NIST_EDWARDS25519 SIGN_VERIFY         ED25519_SHA_512 ED25519_PH_SHA_512
ML_DSA_44             SIGN_VERIFY         ML_DSA_SHAKE_256
ML_DSA_65             SIGN_VERIFY         ML_DSA_SHAKE_256
ML_DSA_87             SIGN_VERIFY         ML_DSA_SHAKE_256
ML_KEM_512            ENCAPSULATE_DECAPSULATE ML_KEM
ML_KEM_768            ENCAPSULATE_DECAPSULATE ML_KEM
ML_KEM_1024           ENCAPSULATE_DECAPSULATE ML_KEM
HMAC_224              GENERATE_VERIFY_MAC HMAC_SHA_224
HMAC_256              GENERATE_VERIFY_MAC HMAC_SHA_256
HMAC_384              GENERATE_VERIFY_MAC HMAC_SHA_384
HMAC_512              GENERATE_VERIFY_MAC HMAC_SHA_512
";

fn texts<T: Display>(algorithms: &[T]) -> impl Iterator<Item = String> {
    algorithms.iter().map(ToString::to_string)
}

/// Returns all algorithms of a key. Encryption algorithms include their size limit.
fn algorithms(spec: KeySpec, usage: KeyUsage) -> BTreeSet<String> {
    let limit = |algorithm: &EncryptionAlgorithm| spec.max_plaintext(*algorithm).unwrap();
    let encryption = spec.encryption_algorithms(usage).iter().map(|name| format!("{name}:{}", limit(name)));
    encryption
        .chain(texts(spec.signing_algorithms(usage)))
        .chain(texts(spec.mac_algorithms(usage)))
        .chain(texts(spec.key_agreement_algorithms(usage)))
        .chain(texts(spec.encapsulation_algorithms(usage)))
        .collect()
}

#[test]
fn specs_usages_algorithms_and_limits_are_those_of_the_reference() -> Result<()> {
    let mut allowed = BTreeSet::new();
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (spec, usage) = (words.next().unwrap(), words.next().unwrap());
        let (spec, usage) = (KeySpec::parse(spec)?, KeyUsage::parse(usage)?);
        assert_eq!(algorithms(spec, usage), words.map(str::to_owned).collect(), "{spec} {usage}");
        assert!(allowed.insert((spec, usage)), "duplicate line {line}");
    }
    for &spec in KeySpec::ALL {
        for &usage in KeyUsage::ALL {
            let listed = allowed.contains(&(spec, usage));
            assert_eq!(check_usage(spec, usage).is_ok(), listed, "{spec} {usage}");
            assert_eq!(algorithms(spec, usage).is_empty(), !listed, "{spec} {usage}");
        }
    }
    assert_eq!((allowed.len(), KeySpec::ALL.len() * KeyUsage::ALL.len()), (25, 95));
    Ok(())
}

#[test]
fn usages_are_the_columns_that_have_algorithms() {
    for spec in KeySpec::ALL {
        let row = spec.row();
        let columns = [
            (KeyUsage::EncryptDecrypt, row.encryption.is_empty()),
            (KeyUsage::SignVerify, row.signing.is_empty()),
            (KeyUsage::GenerateVerifyMac, row.mac.is_empty()),
            (KeyUsage::KeyAgreement, row.agreement.is_empty()),
            (KeyUsage::EncapsulateDecapsulate, row.encapsulation.is_empty()),
        ];
        let filled: Vec<KeyUsage> = columns.into_iter().filter(|(_, empty)| !empty).map(|(usage, _)| usage).collect();
        assert_eq!(spec.usages(), filled, "{spec}");
    }
}

#[test]
fn only_symmetric_keys_have_a_usage_by_default() {
    for &spec in KeySpec::ALL {
        let expected = (spec == KeySpec::SymmetricDefault).then_some(KeyUsage::EncryptDecrypt);
        assert_eq!(spec.default_usage(), expected, "{spec}");
    }
}

#[test]
fn the_class_follows_from_the_name() {
    for spec in KeySpec::ALL {
        let expected = match spec.as_str().split('_').next() {
            Some("SYMMETRIC") => SpecClass::Symmetric,
            Some("HMAC") => SpecClass::Hmac,
            _ => SpecClass::Asymmetric,
        };
        assert_eq!(spec.class(), expected, "{spec}");
    }
}

#[test]
fn origins_managers_and_data_keys_have_the_names_of_the_service() {
    let names = |texts: &[&str]| texts.join(" ");
    assert_eq!(
        names(&Origin::ALL.iter().map(|origin| origin.as_str()).collect::<Vec<_>>()),
        "AWS_KMS EXTERNAL AWS_CLOUDHSM"
    );
    assert_eq!(
        names(&KeyManager::ALL.iter().map(|manager| manager.as_str()).collect::<Vec<_>>()),
        "CUSTOMER AWS OWNED"
    );
    assert_eq!(DataKeySpec::parse("AES_128").map(DataKeySpec::length).ok(), Some(16));
    assert_eq!(DataKeySpec::parse("AES_256").map(DataKeySpec::length).ok(), Some(32));
    assert!(DataKeySpec::parse("AES_192").is_err());
    let pairs: Vec<_> = DataKeyPairSpec::ALL.iter().map(|spec| (spec.as_str(), spec.key_spec().class())).collect();
    let asymmetric = KeySpec::ALL.iter().filter(|spec| spec.class() == SpecClass::Asymmetric);
    let asymmetric = asymmetric.filter(|spec| !spec.as_str().starts_with("ML_DSA"));
    assert_eq!(pairs, asymmetric.map(|spec| (spec.as_str(), SpecClass::Asymmetric)).collect::<Vec<_>>());
}

#[test]
fn only_keys_that_encapsulate_have_a_length_of_the_ciphertext() {
    for spec in KeySpec::ALL {
        let kind = crate::provider::key_pair_kind(*spec);
        let length = kind.and_then(crate::crypto::KeyPairKind::encapsulation_length);
        assert_eq!(spec.encapsulation_length(), length, "{spec}");
        assert_eq!(length.is_some(), spec.usages().contains(&KeyUsage::EncapsulateDecapsulate), "{spec}");
    }
}

#[test]
fn a_key_for_a_mac_is_as_long_as_the_hash_or_up_to_its_block() {
    for &spec in KeySpec::ALL {
        let algorithm = spec.mac_algorithms(KeyUsage::GenerateVerifyMac).first();
        let least = spec.mac_key_lengths().map(|lengths| *lengths.start());
        assert_eq!(algorithm.map(|algorithm| algorithm.tag_length()), least, "{spec}");
    }
}
