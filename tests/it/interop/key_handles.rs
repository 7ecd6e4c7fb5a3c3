//! OpenSSL and PyCryptodome verify signatures and MACs of messages that are longer than an operation
//! of a KMS accepts. OpenSSL parses signatures that were converted from fixed length.

use std::process::Command;

use signature::{DigestSigner, Keypair, Signer};
use strongroom::algorithm::{SignatureFormat, SigningAlgorithm};
use strongroom::crypto::{CryptoBackend, KeyPairKind, RUST_CRYPTO};
use strongroom::key::{KeyId, KeySpec, KeyUsage};
use strongroom::request::{CreateKeyRequest, GetPublicKeyResponse, SignRequest};
use strongroom::{Kms, KmsAliasSigner, KmsMac, KmsSignature, KmsSigner, KmsVerifyingKey, Result};

use crate::support::backend;
use crate::support::every_key::{KEYS, make};
use crate::support::external_tools;
use crate::support::openssl::{OpenSsl, words};

fn message() -> Vec<u8> {
    (0..1 << 20).map(|index: u32| u8::try_from(index % 241).expect("below 256")).collect()
}

fn public_key(spec: KeySpec) -> Result<GetPublicKeyResponse> {
    KEYS.kms.get_public_key(KEYS.of(spec, KeyUsage::SignVerify))
}

/// Signs the file `message` with both signers, and lets OpenSSL verify the signatures.
fn openssl_verifies<V, S>(openssl: &OpenSsl, spec: KeySpec, message: &[u8], bytes: fn(S) -> Vec<u8>) -> Result<()>
where
    V: KmsVerifyingKey,
    S: KmsSignature<V>,
{
    let key = KEYS.of(spec, KeyUsage::SignVerify);
    let (pinned, following) = (KmsSigner::<V>::new(&KEYS.kms, key)?, KmsAliasSigner::<V>::new(&KEYS.kms, key)?);
    openssl.write("public.pem", public_key(spec)?.to_pem()?.as_bytes());
    let words = words(V::ALGORITHM).expect("OpenSSL supports the algorithm");
    let signatures: [std::result::Result<S, _>; 2] = [pinned.try_sign(message), following.try_sign(message)];
    for signature in signatures {
        openssl.write("signature", &bytes(signature.unwrap_or_else(|error| panic!("{spec}: {error}"))));
        let verify = |file| {
            let start = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", file];
            openssl.run(&[&start[..], &["-sigfile", "signature"], &words].concat())
        };
        let (valid, printed) = verify("message");
        assert!(valid, "{spec} {}: {printed}", V::ALGORITHM);
        assert!(!verify("another").0, "{spec} {}", V::ALGORITHM);
    }
    Ok(())
}

#[test]
fn openssl_verifies_signatures_of_a_mebibyte() -> Result<()> {
    if backend::lacks("openssl_verifies_signatures_of_a_mebibyte", &["Ed25519", "secp256k1"]) {
        return Ok(());
    }
    use rsa::{pkcs1v15, pss};
    use sha2::{Sha256, Sha384, Sha512};
    let Some(openssl) = OpenSsl::start("openssl_verifies_signatures_of_a_mebibyte") else { return Ok(()) };
    let message = message();
    openssl.write("message", &message);
    openssl.write("another", &message[1..]);
    macro_rules! check {
        ($spec:ident, $key:ty, $signature:ty, $bytes:expr) => {
            openssl_verifies::<$key, $signature>(&openssl, KeySpec::$spec, &message, $bytes)?
        };
    }
    check!(EccNistP256, p256::ecdsa::VerifyingKey, p256::ecdsa::Signature, |made| made.to_der().as_bytes().to_vec());
    check!(EccNistP384, p384::ecdsa::VerifyingKey, p384::ecdsa::DerSignature, |made| made.as_bytes().to_vec());
    check!(EccNistP521, p521::ecdsa::VerifyingKey, p521::ecdsa::DerSignature, |made| made.as_bytes().to_vec());
    check!(EccSecgP256k1, k256::ecdsa::VerifyingKey, k256::ecdsa::DerSignature, |made| made.as_bytes().to_vec());
    check!(EccNistEdwards25519, ed25519_dalek::VerifyingKey, ed25519_dalek::Signature, |made| made.to_bytes().to_vec());
    check!(Rsa2048, pkcs1v15::VerifyingKey<Sha256>, pkcs1v15::Signature, |made| Box::<[u8]>::from(made).into_vec());
    check!(Rsa3072, pkcs1v15::VerifyingKey<Sha512>, pkcs1v15::Signature, |made| Box::<[u8]>::from(made).into_vec());
    check!(Rsa2048, pss::VerifyingKey<Sha384>, pss::Signature, |made| Box::<[u8]>::from(made).into_vec());
    check!(Rsa4096, pss::VerifyingKey<Sha512>, pss::Signature, |made| Box::<[u8]>::from(made).into_vec());
    Ok(())
}

#[test]
fn pycryptodome_verifies_ed25519ph_of_a_mebibyte() -> Result<()> {
    if backend::lacks("pycryptodome_verifies_ed25519ph_of_a_mebibyte", &["Ed25519"]) {
        return Ok(());
    }
    let test = "pycryptodome_verifies_ed25519ph_of_a_mebibyte";
    let Some(python) = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has pycryptodome") else {
        return Ok(());
    };
    let spec = KeySpec::EccNistEdwards25519;
    let signer = KmsSigner::<ed25519_dalek::VerifyingKey>::new(&KEYS.kms, KEYS.of(spec, KeyUsage::SignVerify))?;
    let message = message();
    let signature: ed25519_dalek::Signature = signer
        .try_sign_digest(|digest: &mut sha2::Sha512| {
            message.chunks(10_000).for_each(|part| signature::digest::Update::update(digest, part));
            Ok(())
        })
        .expect("the key signs");
    let file = tempfile::NamedTempFile::new().expect("a file");
    for (message, answer) in [(&message[..], "valid"), (&message[1..], "invalid")] {
        std::fs::write(file.path(), message).expect("the file can be written");
        let public = hex::encode(public_key(spec)?.public_key);
        let output = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/ed25519ph.py"))
            .args([public, format!("@{}", file.path().display()), hex::encode(signature.to_bytes())])
            .output()
            .expect("python starts");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim(), answer, "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(signer.verifying_key().as_bytes()[..], public_key(spec)?.public_key[12..]);
    Ok(())
}

#[test]
fn openssl_computes_the_same_mac_of_a_mebibyte() -> Result<()> {
    let Some(openssl) = OpenSsl::start("openssl_computes_the_same_mac_of_a_mebibyte") else { return Ok(()) };
    let message = message();
    openssl.write("message", &message);
    let specs = [
        (KeySpec::Hmac224, "-sha224", 28),
        (KeySpec::Hmac256, "-sha256", 32),
        (KeySpec::Hmac384, "-sha384", 48),
        (KeySpec::Hmac512, "-sha512", 64),
    ];
    for backend in [CryptoBackend::default(), RUST_CRYPTO] {
        let kms = Kms::builder().backend(backend).allow_insecure_test_keys().build()?;
        for (spec, digest, length) in specs {
            let material = vec![0x5C; length];
            let request = CreateKeyRequest::default().spec(spec).usage(KeyUsage::GenerateVerifyMac);
            let id = KeyId::from_random_bytes([u8::try_from(length).expect("short"); 16]);
            let key = kms.create_insecure_test_key(id, request, &[&material])?.key_id();
            let code = KmsMac::new(&kms, key)?.authenticate(&message)?;
            let hex_key = format!("hexkey:{}", "5c".repeat(length));
            let options = ["dgst", digest, "-mac", "HMAC", "-macopt", &hex_key, "-binary", "-out", "code", "message"];
            openssl.must(&options);
            assert_eq!(openssl.read("code"), code, "{spec} with {}", backend.name());
        }
    }
    Ok(())
}

#[test]
fn openssl_parses_what_was_converted_from_the_format_of_tokens() -> Result<()> {
    if backend::lacks("openssl_parses_what_was_converted_from_the_format_of_tokens", &["secp256k1"]) {
        return Ok(());
    }
    let test = "openssl_parses_what_was_converted_from_the_format_of_tokens";
    let Some(openssl) = OpenSsl::start(test) else { return Ok(()) };
    let kms = Kms::in_memory()?;
    openssl.write("message", b"a message");
    let curves = [
        (KeySpec::EccNistP256, KeyPairKind::EccP256, SigningAlgorithm::EcdsaSha256),
        (KeySpec::EccNistP384, KeyPairKind::EccP384, SigningAlgorithm::EcdsaSha384),
        (KeySpec::EccNistP521, KeyPairKind::EccP521, SigningAlgorithm::EcdsaSha512),
        (KeySpec::EccSecgP256k1, KeyPairKind::EccSecp256k1, SigningAlgorithm::EcdsaSha256),
    ];
    for (spec, kind, algorithm) in curves {
        let key = make(&kms, spec, KeyUsage::SignVerify)?;
        openssl.write("public.pem", kms.get_public_key(key)?.to_pem()?.as_bytes());
        for _ in 0..8 {
            let request = SignRequest::new(key, algorithm, b"a message").signature_format(SignatureFormat::P1363);
            let fixed = kms.sign(request)?.signature;
            openssl.write("signature", &kind.signature_from_p1363(&fixed)?);
            let start = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", "message"];
            let words = words(algorithm).expect("OpenSSL supports ECDSA");
            openssl.must(&[&start[..], &["-sigfile", "signature"], &words].concat());
            // The numbers in the DER are those of the fixed-length signature, without leading zeros.
            let (_, parsed) = openssl.run(&["asn1parse", "-inform", "DER", "-in", "signature"]);
            let (r, s) = fixed.split_at(fixed.len() / 2);
            for number in [r, s] {
                let digits = hex::encode_upper(number);
                let digits = digits.trim_start_matches("00");
                assert!(parsed.contains(digits), "{spec}: {digits} in {parsed}");
            }
        }
    }
    Ok(())
}
