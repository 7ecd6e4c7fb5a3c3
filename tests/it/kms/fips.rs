//! A KMS and envelopes with the strict backend of FIPS, which is the default of this build.

use strongroom::algorithm::{MessageType, SigningAlgorithm};
use strongroom::crypto::{CryptoBackend, CryptoError, FIPS, KeyPairKind, REJECTED, RUST_CRYPTO, SignatureInput};
use strongroom::envelope::{CommitmentPolicy, KmsKeyring, RawAesKeyring};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::message::{AlgorithmSuite, SuiteSupport};
use strongroom::request::{CreateKeyRequest, SignRequest, VerifyRequest};
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms, Result, SecretBytes};

use crate::support::backend;

/// Asserts that an error is a refusal of the backend that names the algorithm and the alternative.
fn assert_refused(error: &Error, algorithm: &str, instead: &str) {
    assert_eq!(error.kind(), ErrorKind::UnsupportedOperation, "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("rejects {algorithm}")) && text.contains(instead), "{text}");
    assert!(backend::is_rejection(error), "{text}");
    assert!(FIPS.parts().contains(&(algorithm, REJECTED)) || FIPS.check_allowed(algorithm).is_err());
}

#[test]
fn keys_that_the_module_lacks_cannot_be_created() -> Result<()> {
    let kms = Kms::builder().backend(CryptoBackend::fips()?).build()?;
    for &spec in KeySpec::ALL {
        let usage = spec.usages()[0];
        let created = kms.create_key(CreateKeyRequest::default().spec(spec).usage(usage));
        match spec {
            KeySpec::EccSecgP256k1 => assert_refused(&created.unwrap_err(), "secp256k1", "use P-256"),
            KeySpec::EccNistEdwards25519 => assert_refused(&created.unwrap_err(), "Ed25519", "use P-256"),
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => {
                assert_refused(&created.unwrap_err(), "ML-KEM", "P-256");
            }
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 if !backend::allows(spec) => {
                assert_refused(&created.unwrap_err(), "ML-DSA", "1.18");
            }
            _ => assert!(created.is_ok(), "{spec}: {created:?}"),
        }
    }
    Ok(())
}

#[test]
fn messages_are_signed_and_hash_values_are_refused() -> Result<()> {
    let kms = Kms::in_memory()?;
    for spec in [KeySpec::EccNistP256, KeySpec::Rsa2048] {
        let key = kms.create_key(CreateKeyRequest::default().spec(spec).usage(KeyUsage::SignVerify))?.key_id();
        let algorithm = match spec {
            KeySpec::Rsa2048 => SigningAlgorithm::RsassaPssSha256,
            _ => SigningAlgorithm::EcdsaSha256,
        };
        let signature = kms.sign(SignRequest::new(key, algorithm, b"a message"))?.signature;
        kms.verify(VerifyRequest::new(key, algorithm, b"a message", &signature))?;
        let refused =
            kms.sign(SignRequest::new(key, algorithm, &[7; 32]).message_type(MessageType::Digest)).unwrap_err();
        assert_refused(&refused, "signatures of hash values", "sign or verify the message");
        let request = VerifyRequest::new(key, algorithm, &[7; 32], &signature).message_type(MessageType::Digest);
        assert_refused(&kms.verify(request).unwrap_err(), "signatures of hash values", "sign or verify the message");
    }
    Ok(())
}

#[test]
fn ml_dsa_signs_messages_and_no_representatives() -> Result<()> {
    if backend::lacks("ml_dsa_signs_messages_and_no_representatives", &["ML-DSA"]) {
        return Ok(());
    }
    let kms = Kms::in_memory()?;
    for (spec, kind) in [
        (KeySpec::MlDsa44, KeyPairKind::MlDsa44),
        (KeySpec::MlDsa65, KeyPairKind::MlDsa65),
        (KeySpec::MlDsa87, KeyPairKind::MlDsa87),
    ] {
        let key = kms.create_key(CreateKeyRequest::default().spec(spec).usage(KeyUsage::SignVerify))?.key_id();
        let algorithm = SigningAlgorithm::MlDsaShake256;
        let signature = kms.sign(SignRequest::new(key, algorithm, b"a message"))?.signature;
        kms.verify(VerifyRequest::new(key, algorithm, b"a message", &signature))?;
        let public = RUST_CRYPTO.key_pairs().public_key(kind, &kms.get_public_key(key)?.public_key)?;
        public.verify(algorithm, SignatureInput::Message(b"a message"), &signature)?;
        let request = SignRequest::new(key, algorithm, &[7; 64]).message_type(MessageType::ExternalMu);
        assert_refused(&kms.sign(request).unwrap_err(), "ML-DSA with EXTERNAL_MU", "RAW");
        let request = VerifyRequest::new(key, algorithm, &[7; 64], &signature).message_type(MessageType::ExternalMu);
        assert_refused(&kms.verify(request).unwrap_err(), "ML-DSA with EXTERNAL_MU", "RAW");
    }
    Ok(())
}

#[test]
fn every_suite_without_192_bit_keys_is_written_and_read() -> Result<()> {
    let kms = Kms::in_memory()?;
    let key = kms.create_key(Default::default())?.key_id();
    let none = EncryptionContext::new();
    let (mut written, mut refused) = (0, 0);
    for &suite in AlgorithmSuite::ALL.iter().filter(|suite| suite.support() == SuiteSupport::Full) {
        let policy = match suite.is_committing() {
            true => CommitmentPolicy::RequireEncryptRequireDecrypt,
            false => CommitmentPolicy::ForbidEncryptAllowDecrypt,
        };
        let build = |backend| {
            let keyring = KmsKeyring::new(&kms, key)?;
            Envelope::builder(keyring).backend(backend).algorithm_suite(suite).commitment_policy(policy).build()
        };
        let (strict, other) = (build(FIPS)?, build(RUST_CRYPTO)?);
        let of_other = other.encrypt(b"two pots of tea", &none)?;
        if suite.data_key_length() == 24 {
            assert_refused(&strict.encrypt(b"two pots of tea", &none).unwrap_err(), "AES-192-GCM", "AES-256-GCM");
            assert_refused(&strict.decrypt(&of_other, &none).unwrap_err(), "AES-192-GCM", "AES-256-GCM");
            refused += 1;
            continue;
        }
        let of_strict = strict.encrypt(b"two pots of tea", &none)?;
        assert_eq!(strict.decrypt(&of_other, &none)?, b"two pots of tea", "{suite}");
        assert_eq!(other.decrypt(&of_strict, &none)?, b"two pots of tea", "{suite}");
        written += 1;
    }
    assert_eq!((written, refused), (6, 2));
    Ok(())
}

#[test]
fn raw_keys_of_192_bits_and_other_generators_are_refused() -> Result<()> {
    let refused = RawAesKeyring::new("ns", "kn", SecretBytes::zeroed(24)).map(drop).unwrap_err();
    assert_refused(&refused, "AES-192-GCM", "AES-256-GCM");

    let outside = FIPS.with_rng(RUST_CRYPTO.rng());
    let keyring = RawAesKeyring::new("ns", "kn", SecretBytes::zeroed(32))?;
    let refusals = [
        Kms::builder().backend(outside).build().map(drop),
        Envelope::builder(keyring).backend(outside).build().map(drop),
        outside.key_pairs().generate(KeyPairKind::EccP256, outside.random()).map(drop).map_err(Error::from),
    ];
    for refusal in refusals {
        assert_refused(&refusal.unwrap_err(), "other random number generators", "generator of the module");
    }
    Ok(())
}

#[test]
fn a_named_backend_has_what_the_default_lacks() -> Result<()> {
    let kms = Kms::builder().backend(RUST_CRYPTO).build()?;
    let key =
        kms.create_key(CreateKeyRequest::default().spec(KeySpec::EccNistEdwards25519).usage(KeyUsage::SignVerify))?;
    let signed = kms.sign(SignRequest::new(key.key_id(), SigningAlgorithm::Ed25519Sha512, b"a message"))?;
    assert_eq!(signed.signature.len(), 64);
    let refused = CryptoBackend::default().check_allowed("Ed25519");
    assert!(matches!(refused, Err(CryptoError::Rejected { algorithm: "Ed25519", .. })));
    Ok(())
}
