use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Names transcribed from the AWS KMS API reference, not from the code.
const SIGNING: &str = "RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512 RSASSA_PKCS1_V1_5_SHA_256 \
    RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 ECDSA_SHA_256 ECDSA_SHA_384 ECDSA_SHA_512 ED25519_SHA_512 \
    ED25519_PH_SHA_512 ML_DSA_SHAKE_256";

#[test]
fn signing_algorithms_are_those_of_the_service() {
    let ours: BTreeSet<&str> = SigningAlgorithm::ALL.iter().map(|algorithm| algorithm.as_str()).collect();
    assert_eq!(ours, SIGNING.split_whitespace().collect());
}

#[test]
fn digest_length_is_that_of_the_hash_in_the_name() {
    for algorithm in SigningAlgorithm::ALL {
        // SHAKE256 has no length of its own. A message representative has 64 bytes.
        let bits = match algorithm {
            SigningAlgorithm::MlDsaShake256 => Some(512),
            _ => algorithm.as_str().rsplit('_').next().and_then(|bits| bits.parse::<usize>().ok()),
        };
        assert_eq!(Some(algorithm.digest_length() * 8), bits, "{algorithm}");
    }
    for algorithm in MacAlgorithm::ALL {
        let bits = algorithm.as_str().rsplit('_').next().and_then(|bits| bits.parse::<usize>().ok());
        assert_eq!(Some(algorithm.tag_length() * 8), bits, "{algorithm}");
    }
}

#[test]
fn ed25519_takes_the_message_and_its_prehashed_kind_the_digest() {
    assert!(SigningAlgorithm::Ed25519Sha512.check_message(MessageType::Raw, 5).is_ok());
    assert!(SigningAlgorithm::Ed25519Sha512.check_message(MessageType::Digest, 64).is_err());
    assert!(SigningAlgorithm::Ed25519PhSha512.check_message(MessageType::Digest, 64).is_ok());
    assert!(SigningAlgorithm::Ed25519PhSha512.check_message(MessageType::Raw, 64).is_err());
}

#[test]
fn ml_dsa_takes_the_message_and_its_representative_of_64_bytes() {
    let check = |form, length| SigningAlgorithm::MlDsaShake256.check_message(form, length);
    assert!(check(MessageType::Raw, 5).is_ok() && check(MessageType::ExternalMu, 64).is_ok());
    let refused = check(MessageType::Digest, 64).unwrap_err();
    assert_eq!(refused.to_string(), "Message type DIGEST is incompatible with algorithm ML_DSA_SHAKE_256.");
    for length in [0, 32, 63, 65, 4_096] {
        let refused = check(MessageType::ExternalMu, length).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Validation);
        let text = "Message representative is invalid length for algorithm ML_DSA_SHAKE_256.";
        assert_eq!(refused.to_string(), text);
    }
    for algorithm in SigningAlgorithm::ALL.iter().filter(|algorithm| **algorithm != SigningAlgorithm::MlDsaShake256) {
        assert!(algorithm.check_message(MessageType::ExternalMu, 64).is_err(), "{algorithm}");
    }
}

#[test]
fn a_digest_of_another_length_is_refused_in_the_words_of_the_service() {
    let error = SigningAlgorithm::EcdsaSha384.check_message(MessageType::Digest, 32).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert_eq!(error.to_string(), "Digest is invalid length for algorithm ECDSA_SHA_384.");
    assert!(SigningAlgorithm::EcdsaSha384.check_message(MessageType::Digest, 48).is_ok());
    assert!(SigningAlgorithm::EcdsaSha384.check_message(MessageType::Raw, 32).is_ok());
}

#[test]
fn names_go_through_json_and_unknown_ones_do_not() -> Result<(), serde_json::Error> {
    let json = serde_json::to_string(&EncryptionAlgorithm::RsaesOaepSha256)?;
    assert_eq!(json, "\"RSAES_OAEP_SHA_256\"");
    assert_eq!(serde_json::from_str::<EncryptionAlgorithm>(&json)?, EncryptionAlgorithm::RsaesOaepSha256);
    let error = serde_json::from_str::<WrappingKeySpec>("\"RSA_1024\"").unwrap_err();
    assert!(error.to_string().contains("RSA_2048, RSA_3072, RSA_4096"), "{error}");
    Ok(())
}

#[test]
fn case_matters() {
    assert!("ecdh".parse::<KeyAgreementAlgorithm>().is_err());
    assert_eq!("ECDH".parse::<KeyAgreementAlgorithm>().ok(), Some(KeyAgreementAlgorithm::Ecdh));
}

#[test]
fn an_error_shows_hostile_text_escaped_and_cut() {
    let text = MacAlgorithm::parse(&format!("line\nbreak{}", "x".repeat(10_000))).unwrap_err().to_string();
    assert!(text.starts_with("'line\\nbreakxxx") && text.len() < 500, "{text}");
}

proptest! {
    #[test]
    fn parsing_is_total_and_takes_only_the_names(text in "\\PC{0,30}|[A-Z0-9_]{0,30}") {
        if let Ok(algorithm) = SigningAlgorithm::parse(&text) {
            prop_assert_eq!(algorithm.to_string(), text);
        }
    }

    #[test]
    fn every_name_is_read_back(index in 0..SigningAlgorithm::ALL.len()) {
        let algorithm = SigningAlgorithm::ALL[index];
        prop_assert_eq!(SigningAlgorithm::parse(algorithm.as_str())?, algorithm);
    }
}
