//! ML-DSA and ML-KEM keys of a KMS and those of OpenSSL, through the Python package cryptography. The
//! peer for ML-KEM-512, which that package lacks, is PyCryptodome.

use std::path::PathBuf;

use serde_json::{Value, json};
use strongroom::algorithm::EncapsulationAlgorithm::MlKem;
use strongroom::algorithm::{MessageType, SigningAlgorithm::MlDsaShake256};
use strongroom::crypto::{CryptoBackend, KeyPairKind, RUST_CRYPTO, SignatureInput};
use strongroom::key::{DataKeyPairSpec, KeySpec, KeyUsage};
use strongroom::request::{
    DecapsulateRequest, EncapsulateRequest, GenerateDataKeyPairRequest, SignRequest, VerifyRequest,
};
use strongroom::{Kms, Result};

use super::jwk::answers;
use crate::support::backend;
use crate::support::every_key::{KEYS, make, representative};
use crate::support::external_tools;

const SIGNING: [(KeySpec, KeyPairKind); 3] = [
    (KeySpec::MlDsa44, KeyPairKind::MlDsa44),
    (KeySpec::MlDsa65, KeyPairKind::MlDsa65),
    (KeySpec::MlDsa87, KeyPairKind::MlDsa87),
];

const ENCAPSULATING: [(KeySpec, KeyPairKind, DataKeyPairSpec); 3] = [
    (KeySpec::MlKem512, KeyPairKind::MlKem512, DataKeyPairSpec::MlKem512),
    (KeySpec::MlKem768, KeyPairKind::MlKem768, DataKeyPairSpec::MlKem768),
    (KeySpec::MlKem1024, KeyPairKind::MlKem1024, DataKeyPairSpec::MlKem1024),
];

/// Both backends, which may be the same.
fn backends() -> [CryptoBackend; 2] {
    [CryptoBackend::default(), RUST_CRYPTO]
}

fn python(test: &str) -> Option<PathBuf> {
    external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has cryptography and pycryptodome")
}

/// Asks the peer, and returns the parts of each answer.
fn ask(python: &std::path::Path, requests: &[Value]) -> Vec<Vec<String>> {
    let answers = answers(python, "post_quantum_peer.py", requests);
    answers.iter().map(|answer| answer.split(' ').map(str::to_owned).collect()).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).expect("the peer answers in hexadecimal")
}

fn public_key(spec: KeySpec, usage: KeyUsage) -> Result<Vec<u8>> {
    Ok(KEYS.kms.get_public_key(KEYS.of(spec, usage))?.public_key)
}

#[test]
fn openssl_verifies_what_an_ml_dsa_key_signs_in_either_form() -> Result<()> {
    if backend::lacks("openssl_verifies_what_an_ml_dsa_key_signs_in_either_form", &["ML-DSA with EXTERNAL_MU"]) {
        return Ok(());
    }
    let Some(python) = python("openssl_verifies_what_an_ml_dsa_key_signs_in_either_form") else { return Ok(()) };
    let message = b"a contract".repeat(300);
    let (mut requests, mut expected) = (Vec::new(), Vec::new());
    for (spec, _) in SIGNING {
        let (key, public) = (KEYS.of(spec, KeyUsage::SignVerify), public_key(spec, KeyUsage::SignVerify)?);
        let mu = representative(&public, &message);
        requests.push(json!({"do": "mu", "public": hex::encode(&public), "message": hex::encode(&message)}));
        expected.push(hex::encode(&mu));
        for (form, input) in [(MessageType::Raw, &message), (MessageType::ExternalMu, &mu)] {
            let request = SignRequest::new(key, MlDsaShake256, input).message_type(form);
            let signature = hex::encode(KEYS.kms.sign(request)?.signature);
            for (name, value, answer) in
                [("message", &message[..], "valid"), ("mu", &mu, "valid"), ("message", b"another", "invalid")]
            {
                let mut request = json!({"do": "verify", "public": hex::encode(&public), "signature": signature});
                request[name] = json!(hex::encode(value));
                requests.push(request);
                expected.push(answer.to_owned());
            }
        }
    }
    assert_eq!(ask(&python, &requests).concat(), expected);
    Ok(())
}

#[test]
fn ml_dsa_key_of_openssl_is_imported_and_its_signatures_are_verified() -> Result<()> {
    if backend::lacks("ml_dsa_key_of_openssl_is_imported_and_its_signatures_are_verified", &["ML-DSA with EXTERNAL_MU"])
    {
        return Ok(());
    }
    let test = "ml_dsa_key_of_openssl_is_imported_and_its_signatures_are_verified";
    let Some(python) = python(test) else { return Ok(()) };
    for (spec, kind) in SIGNING {
        let made = ask(&python, &[json!({"do": "generate", "kind": spec.as_str()})]);
        let [private, public] = &made[0][..] else { panic!("two keys") };
        let mu = representative(&bytes(public), b"message");
        let signed = ask(
            &python,
            &[
                json!({"do": "sign", "private": private, "message": hex::encode(b"message")}),
                json!({"do": "sign", "private": private, "mu": hex::encode(&mu)}),
            ],
        );
        for backend in backends() {
            let key = backend.key_pairs().private_key(kind, &bytes(private))?;
            assert_eq!(hex::encode(key.to_pkcs8()?.expose_secret()), *private, "the same encoding");
            assert_eq!(hex::encode(key.public_key_der()), *public);
            let public = backend.key_pairs().public_key(kind, &bytes(public))?;
            for signature in signed.iter().flatten() {
                for input in [SignatureInput::Message(b"message"), SignatureInput::ExternalMu(&mu)] {
                    public.verify(MlDsaShake256, input, &bytes(signature))?;
                }
            }
        }
        let kms = Kms::builder().allow_insecure_test_keys().build()?;
        let request = strongroom::request::CreateKeyRequest::default().spec(spec).usage(KeyUsage::SignVerify);
        let id = strongroom::key::KeyId::from_random_bytes([7; 16]);
        let key = kms.create_insecure_test_key(id, request, &[&bytes(private)])?.key_id();
        let signature = bytes(&signed[0][0]);
        kms.verify(VerifyRequest::new(key, MlDsaShake256, b"message", &signature))?;
        let signature = kms.sign(SignRequest::new(key, MlDsaShake256, b"message"))?.signature;
        let request = json!({"do": "verify", "public": public, "message": hex::encode(b"message"),
            "signature": hex::encode(signature)});
        assert_eq!(ask(&python, &[request]).concat(), ["valid"]);
    }
    Ok(())
}

#[test]
fn openssl_and_an_ml_kem_key_share_secrets_in_both_directions() -> Result<()> {
    if backend::lacks("openssl_and_an_ml_kem_key_share_secrets_in_both_directions", &["ML-KEM"]) {
        return Ok(());
    }
    let test = "openssl_and_an_ml_kem_key_share_secrets_in_both_directions";
    let Some(python) = python(test) else { return Ok(()) };
    let usage = KeyUsage::EncapsulateDecapsulate;
    for (spec, kind, pair_spec) in ENCAPSULATING {
        // The peer encapsulates for the key.
        let (key, public) = (KEYS.of(spec, usage), public_key(spec, usage)?);
        let sent = ask(&python, &[json!({"do": "encapsulate", "public": hex::encode(&public)})]);
        let [secret, ciphertext] = &sent[0][..] else { panic!("a secret and a ciphertext") };
        let ciphertext = bytes(ciphertext);
        let received = KEYS.kms.decapsulate(DecapsulateRequest::new(key, MlKem, &ciphertext))?;
        assert_eq!(hex::encode(received.shared_secret.expose_secret()), *secret, "{spec}");

        // The peer has the private key, which is that of a data key pair.
        let symmetric = make(&KEYS.kms, KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)?;
        let pair = KEYS.kms.generate_data_key_pair(GenerateDataKeyPairRequest::new(symmetric, pair_spec))?;
        let private = hex::encode(pair.private_key_plaintext.expose_secret());
        let converted = ask(&python, &[json!({"do": "convert", "private": private})]);
        assert_eq!(converted[0], [private.clone(), hex::encode(&pair.public_key)], "{spec}: the same encoding");
        for backend in backends() {
            let public = backend.key_pairs().public_key(kind, &pair.public_key)?;
            let sent = public.encapsulate(backend.random())?;
            let mut altered = sent.ciphertext.clone();
            altered[0] ^= 1;
            let opened = ask(
                &python,
                &[
                    json!({"do": "decapsulate", "private": private, "ciphertext": hex::encode(&sent.ciphertext)}),
                    json!({"do": "decapsulate", "private": private, "ciphertext": hex::encode(&altered)}),
                ],
            );
            // Implicit rejection gives the same bytes in each implementation.
            let own = backend.key_pairs().private_key(kind, pair.private_key_plaintext.expose_secret())?;
            let rejected = own.decapsulate(&altered)?;
            let expected = [&sent.shared_secret, &rejected].map(|secret| hex::encode(secret.expose_secret()));
            assert_eq!(opened.concat(), expected, "{spec} {}", backend.name());
        }
    }
    Ok(())
}

#[test]
fn ml_kem_key_of_openssl_decapsulates_what_the_kms_encapsulates() -> Result<()> {
    if backend::lacks("ml_kem_key_of_openssl_decapsulates_what_the_kms_encapsulates", &["ML-KEM"]) {
        return Ok(());
    }
    let test = "ml_kem_key_of_openssl_decapsulates_what_the_kms_encapsulates";
    let Some(python) = python(test) else { return Ok(()) };
    for (spec, _, _) in ENCAPSULATING {
        let made = ask(&python, &[json!({"do": "generate", "kind": spec.as_str()})]);
        let [private, public] = &made[0][..] else { panic!("two keys") };
        let kms = Kms::builder().allow_insecure_test_keys().build()?;
        let usage = KeyUsage::EncapsulateDecapsulate;
        let request = strongroom::request::CreateKeyRequest::default().spec(spec).usage(usage);
        let id = strongroom::key::KeyId::from_random_bytes([9; 16]);
        let key = kms.create_insecure_test_key(id, request, &[&bytes(private)])?.key_id();
        assert_eq!(hex::encode(kms.get_public_key(key)?.public_key), *public);
        let sent = kms.encapsulate(EncapsulateRequest::new(key, MlKem))?;
        let ciphertext = hex::encode(&sent.shared_secret_ciphertext_blob);
        let opened = ask(&python, &[json!({"do": "decapsulate", "private": private, "ciphertext": ciphertext})]);
        assert_eq!(opened.concat(), [hex::encode(sent.shared_secret.expose_secret())], "{spec}");
    }
    Ok(())
}
