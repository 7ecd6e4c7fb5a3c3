//! OpenSSL uses the public keys and data key pairs of a KMS, and both sides agree. PyCryptodome is
//! used where OpenSSL's command line has no support.

use std::process::Command;

use strongroom::Result;
use strongroom::algorithm::{EncryptionAlgorithm, KeyAgreementAlgorithm, MessageType, SigningAlgorithm};
use strongroom::crypto::{CryptoBackend, KeyPairKind, SignatureInput};
use strongroom::key::{DataKeyPairSpec, KeyId, KeySpec, KeyUsage};
use strongroom::request::{
    DecryptRequest, DeriveSharedSecretRequest, EncryptRequest, GenerateDataKeyPairRequest, SignRequest,
};

use crate::support::backend;
use crate::support::every_key::{KEYS, digest, make};
use crate::support::external_tools;
use crate::support::openssl::{OpenSsl, words};

const fn oaep_words(algorithm: EncryptionAlgorithm) -> Option<[&'static str; 6]> {
    let digest = match algorithm {
        EncryptionAlgorithm::RsaesOaepSha1 => "rsa_oaep_md:sha1",
        EncryptionAlgorithm::RsaesOaepSha256 => "rsa_oaep_md:sha256",
        _ => return None,
    };
    let mask = match algorithm {
        EncryptionAlgorithm::RsaesOaepSha1 => "rsa_mgf1_md:sha1",
        _ => "rsa_mgf1_md:sha256",
    };
    Some(["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", digest, "-pkeyopt", mask])
}

impl OpenSsl {
    fn take_public_key(&self, key: KeyId) -> Result<()> {
        self.write("public.pem", KEYS.kms.get_public_key(key)?.to_pem()?.as_bytes());
        Ok(())
    }
}

#[test]
fn openssl_verifies_what_a_key_signs() -> Result<()> {
    if backend::lacks("openssl_verifies_what_a_key_signs", &["signatures of hash values"]) {
        return Ok(());
    }
    let Some(openssl) = OpenSsl::start("openssl_verifies_what_a_key_signs") else { return Ok(()) };
    let message = b"a contract, as long as needed".repeat(40);
    let (mut verified, mut without_words) = (0, Vec::new());
    openssl.write("message", &message);
    openssl.write("another", b"another");
    for &(spec, _, key) in KEYS.all.iter().filter(|key| key.1 == KeyUsage::SignVerify) {
        openssl.take_public_key(key)?;
        for &algorithm in spec.signing_algorithms(KeyUsage::SignVerify) {
            let Some(words) = words(algorithm) else {
                without_words.push(algorithm.as_str());
                continue;
            };
            for &form in algorithm.message_types() {
                let input = if form == MessageType::Raw { message.clone() } else { digest(algorithm, &message) };
                let request = SignRequest::new(key, algorithm, &input).message_type(form);
                openssl.write("signature", &KEYS.kms.sign(request)?.signature);
                let verify = |file| {
                    let start = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", file];
                    openssl.run(&[&start[..], &["-sigfile", "signature"], &words].concat())
                };
                let (right, printed) = verify("message");
                assert!(right && printed.contains("Verified Successfully"), "{spec} {algorithm} {form}: {printed}");
                assert!(!verify("another").0, "{spec} {algorithm}");
                verified += 1;
            }
        }
    }
    println!("openssl verified {verified} signatures; its command line does not support {without_words:?}");
    assert_eq!((verified, without_words.len()), (3 * 12 + 4 * 2 + 1, 4));
    Ok(())
}

#[test]
fn a_key_decrypts_what_openssl_encrypts_with_its_public_half() -> Result<()> {
    let test = "a_key_decrypts_what_openssl_encrypts_with_its_public_half";
    let Some(openssl) = OpenSsl::start(test) else { return Ok(()) };
    openssl.write("plaintext", b"for the holder of the private key");
    for spec in [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096] {
        let key = KEYS.of(spec, KeyUsage::EncryptDecrypt);
        openssl.take_public_key(key)?;
        for &algorithm in spec.encryption_algorithms(KeyUsage::EncryptDecrypt) {
            let words = oaep_words(algorithm).expect("an algorithm of RSA");
            let start = ["pkeyutl", "-encrypt", "-pubin", "-inkey", "public.pem", "-in", "plaintext", "-out", "sealed"];
            openssl.must(&[&start[..], &words].concat());
            let sealed = openssl.read("sealed");
            let opened = KEYS.kms.decrypt(DecryptRequest::new(&sealed).key(key)?.algorithm(algorithm))?;
            assert_eq!(opened.plaintext.expose_secret(), b"for the holder of the private key", "{spec} {algorithm}");
        }
    }
    Ok(())
}

#[test]
fn openssl_agrees_on_the_same_secret() -> Result<()> {
    let Some(openssl) = OpenSsl::start("openssl_agrees_on_the_same_secret") else { return Ok(()) };
    let curves = [(KeySpec::EccNistP256, "P-256"), (KeySpec::EccNistP384, "P-384"), (KeySpec::EccNistP521, "P-521")];
    for (spec, curve) in curves {
        let key = KEYS.of(spec, KeyUsage::KeyAgreement);
        openssl.take_public_key(key)?;
        let group = format!("ec_paramgen_curve:{curve}");
        openssl.must(&["genpkey", "-algorithm", "EC", "-pkeyopt", &group, "-out", "peer.pem"]);
        openssl.must(&["pkeyutl", "-derive", "-inkey", "peer.pem", "-peerkey", "public.pem", "-out", "secret"]);
        for form in ["uncompressed", "compressed"] {
            let start = ["pkey", "-in", "peer.pem", "-pubout", "-outform", "DER", "-out", "peer.der"];
            openssl.must(&[&start[..], &["-ec_conv_form", form]].concat());
            let peer = openssl.read("peer.der");
            let request = DeriveSharedSecretRequest::new(key, KeyAgreementAlgorithm::Ecdh, &peer);
            let derived = KEYS.kms.derive_shared_secret(request);
            assert_eq!(derived?.shared_secret.expose_secret(), openssl.read("secret"), "{spec} {form}");
        }
    }
    Ok(())
}

const fn kind(spec: DataKeyPairSpec) -> KeyPairKind {
    match spec {
        DataKeyPairSpec::Rsa3072 => KeyPairKind::Rsa3072,
        DataKeyPairSpec::Rsa4096 => KeyPairKind::Rsa4096,
        DataKeyPairSpec::EccNistP256 => KeyPairKind::EccP256,
        DataKeyPairSpec::EccNistP384 => KeyPairKind::EccP384,
        DataKeyPairSpec::EccNistP521 => KeyPairKind::EccP521,
        DataKeyPairSpec::EccSecgP256k1 => KeyPairKind::EccSecp256k1,
        DataKeyPairSpec::EccNistEdwards25519 => KeyPairKind::Ed25519,
        _ => KeyPairKind::Rsa2048,
    }
}

#[test]
fn openssl_signs_and_decrypts_with_a_data_key_pair() -> Result<()> {
    if backend::lacks("openssl_signs_and_decrypts_with_a_data_key_pair", &["secp256k1"]) {
        return Ok(());
    }
    let test = "openssl_signs_and_decrypts_with_a_data_key_pair";
    let Some(openssl) = OpenSsl::start(test) else { return Ok(()) };
    let (kms, backend) = (&KEYS.kms, CryptoBackend::default());
    let key = make(kms, KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)?;
    let message = b"signed outside";
    openssl.write("message", message);
    let mut signed = 0;
    // This version of OpenSSL has no ML-KEM, which `post_quantum.rs` covers.
    for &spec in DataKeyPairSpec::ALL.iter().filter(|spec| !spec.as_str().starts_with("ML_KEM")) {
        let pair = kms.generate_data_key_pair(GenerateDataKeyPairRequest::new(key, spec))?;
        openssl.write("private.der", pair.private_key_plaintext.expose_secret());
        openssl.must(&["pkey", "-inform", "DER", "-in", "private.der", "-out", "private.pem", "-check"]);
        openssl.must(&["pkey", "-in", "private.pem", "-pubout", "-outform", "DER", "-out", "public.der"]);
        assert_eq!(openssl.read("public.der"), pair.public_key, "{spec}");

        let public = backend.key_pairs().public_key(kind(spec), &pair.public_key)?;
        for &algorithm in kind(spec).signing_algorithms() {
            let Some(words) = words(algorithm) else { continue };
            let start = ["pkeyutl", "-sign", "-rawin", "-inkey", "private.pem", "-in", "message", "-out", "signature"];
            openssl.must(&[&start[..], &words].concat());
            let signature = openssl.read("signature");
            public.verify(algorithm, SignatureInput::Message(message), &signature)?;
            signed += 1;
        }
    }
    println!("{signed} signatures of openssl were verified");
    assert_eq!(signed, 3 * 6 + 4 + 1);
    Ok(())
}

#[test]
fn openssl_opens_what_a_key_encrypts_for_the_owner_of_a_pair() -> Result<()> {
    // The private half of a KMS key never leaves the KMS, so this test uses a data key pair on both
    // sides.
    let test = "openssl_opens_what_a_key_encrypts_for_the_owner_of_a_pair";
    let Some(openssl) = OpenSsl::start(test) else { return Ok(()) };
    let (kms, backend) = (&KEYS.kms, CryptoBackend::default());
    let key = make(kms, KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)?;
    let pair = kms.generate_data_key_pair(GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::Rsa2048))?;
    let private = kms.decrypt(DecryptRequest::new(&pair.private_key_ciphertext_blob))?.plaintext;
    openssl.write("private.der", private.expose_secret());
    let public = backend.key_pairs().public_key(KeyPairKind::Rsa2048, &pair.public_key)?;
    for &algorithm in KeySpec::Rsa2048.encryption_algorithms(KeyUsage::EncryptDecrypt) {
        let padding = match algorithm {
            EncryptionAlgorithm::RsaesOaepSha1 => strongroom::crypto::RsaOaep::Sha1,
            _ => strongroom::crypto::RsaOaep::Sha256,
        };
        openssl.write("sealed", &public.encrypt(padding, b"for outside", backend.random())?);
        let words = oaep_words(algorithm).expect("an algorithm of RSA");
        let start =
            ["pkeyutl", "-decrypt", "-keyform", "DER", "-inkey", "private.der", "-in", "sealed", "-out", "opened"];
        openssl.must(&[&start[..], &words].concat());
        assert_eq!(openssl.read("opened"), b"for outside", "{algorithm}");
    }
    // A KMS key's ciphertext has the same form: a single bare ciphertext, as long as the modulus.
    let rsa = KEYS.of(KeySpec::Rsa2048, KeyUsage::EncryptDecrypt);
    let request = EncryptRequest::new(rsa, b"x").algorithm(EncryptionAlgorithm::RsaesOaepSha256);
    assert_eq!(kms.encrypt(request)?.ciphertext_blob.len(), 256);
    Ok(())
}

#[test]
fn pycryptodome_verifies_what_a_key_signs_with_ed25519ph() -> Result<()> {
    if backend::lacks("pycryptodome_verifies_what_a_key_signs_with_ed25519ph", &["Ed25519"]) {
        return Ok(());
    }
    let test = "pycryptodome_verifies_what_a_key_signs_with_ed25519ph";
    let Some(python) = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has pycryptodome") else {
        return Ok(());
    };
    let key = KEYS.of(KeySpec::EccNistEdwards25519, KeyUsage::SignVerify);
    let (algorithm, message) = (SigningAlgorithm::Ed25519PhSha512, [0x5A; 64]);
    let request = SignRequest::new(key, algorithm, &message).message_type(MessageType::Digest);
    let signature = KEYS.kms.sign(request)?.signature;
    let public = KEYS.kms.get_public_key(key)?.public_key;
    // As with AWS KMS, the digest that is passed in is the message of Ed25519ph.
    for (message, answer) in [([0x5A; 64], "valid"), ([0x5B; 64], "invalid")] {
        let output = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/ed25519ph.py"))
            .args([&public[..], &message, &signature].map(hex::encode))
            .output()
            .expect("python starts");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim(), answer, "{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
