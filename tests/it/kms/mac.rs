//! Message authentication: OpenSSL computes the same MACs, and no other MAC verifies.

use std::process::Command;

use strongroom::algorithm::MacAlgorithm;
use strongroom::crypto::{CryptoError, FASTEST, RUST_CRYPTO, SecureRandom};
use strongroom::key::{KeyId, KeySpec, KeyUsage};
use strongroom::request::{CreateKeyRequest, GenerateMacRequest, VerifyMacRequest};
use strongroom::{EncryptionContext, ErrorKind, Kms, KmsAead, KmsMac, Result};

use crate::support::backend;
use crate::support::external_tools;
use crate::support::kms::kind;

const SPECS: [(KeySpec, MacAlgorithm, &str); 4] = [
    (KeySpec::Hmac224, MacAlgorithm::HmacSha224, "-sha224"),
    (KeySpec::Hmac256, MacAlgorithm::HmacSha256, "-sha256"),
    (KeySpec::Hmac384, MacAlgorithm::HmacSha384, "-sha384"),
    (KeySpec::Hmac512, MacAlgorithm::HmacSha512, "-sha512"),
];

fn mac_key(kms: &Kms, spec: KeySpec) -> Result<KeyId> {
    Ok(kms.create_key(CreateKeyRequest::default().spec(spec).usage(KeyUsage::GenerateVerifyMac))?.key_id())
}

/// Returns the same byte repeatedly, so that the test knows the key.
#[derive(Debug)]
struct SameByte;

impl SecureRandom for SameByte {
    fn library(&self) -> &'static str {
        "none"
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        bytes.fill(0x5C);
        Ok(())
    }
}

#[test]
fn openssl_computes_the_same_codes() -> Result<()> {
    if backend::lacks("openssl_computes_the_same_codes", &["other random number generators"]) {
        return Ok(());
    }
    let test = "openssl_computes_the_same_codes";
    let Some(program) =
        external_tools::tool_on_path(test, "STRONGROOM_OPENSSL", "openssl", &["OpenSSL 3", "OpenSSL 4"])
    else {
        return Ok(());
    };
    let message = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(message.path(), b"a message").expect("the file can be written");
    for backend in [FASTEST, RUST_CRYPTO] {
        for (spec, algorithm, digest) in SPECS {
            let kms = Kms::builder().backend(backend.with_random(&SameByte)).build()?;
            let key = mac_key(&kms, spec)?;
            let ours = kms.generate_mac(GenerateMacRequest::new(key, algorithm, b"a message"))?.mac;
            let hex_key = format!("hexkey:{}", "5c".repeat(algorithm.tag_length()));
            let output = Command::new(&program)
                .args(["dgst", digest, "-mac", "HMAC", "-macopt", &hex_key, "-binary"])
                .arg(message.path())
                .output()
                .expect("openssl runs");
            assert_eq!(output.stdout, ours, "{spec}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(())
}

#[test]
fn only_the_whole_code_of_the_same_message_and_key_passes() -> Result<()> {
    let kms = Kms::in_memory()?;
    for (spec, algorithm, _) in SPECS {
        let (key, other) = (mac_key(&kms, spec)?, mac_key(&kms, spec)?);
        let message = [7; 4096];
        let made = kms.generate_mac(GenerateMacRequest::new(key, algorithm, &message))?;
        assert_eq!((made.mac.len(), made.mac_algorithm), (algorithm.tag_length(), algorithm));
        let verified = kms.verify_mac(VerifyMacRequest::new(key, algorithm, &message, &made.mac))?;
        assert_eq!((verified.key_arn, verified.mac_algorithm), (made.key_arn, algorithm));

        let refused = |key, message: &[u8], mac: &[u8]| {
            let verified = kms.verify_mac(VerifyMacRequest::new(key, algorithm, message, mac));
            assert_eq!(kind(verified), ErrorKind::InvalidMac, "{spec}");
        };
        refused(other, &message, &made.mac);
        refused(key, &message[1..], &made.mac);
        refused(key, &message, &[0]);
        refused(key, &message, &[0; 6_144]);
        for impossible in [&[][..], &[0; 6_145]] {
            let verified = kms.verify_mac(VerifyMacRequest::new(key, algorithm, &message, impossible));
            assert_eq!(kind(verified), ErrorKind::Validation, "{spec}");
        }
        refused(key, &message, &made.mac[1..]);
        refused(key, &message, &[&made.mac[..], &[0]].concat());
        for at in 0..made.mac.len() {
            let mut altered = made.mac.clone();
            altered[at] ^= 0x80;
            refused(key, &message, &altered);
        }
    }
    Ok(())
}

#[test]
fn the_algorithm_is_the_one_of_the_spec_and_a_message_has_1_to_4096_bytes() -> Result<()> {
    let kms = Kms::in_memory()?;
    for (spec, algorithm, _) in SPECS {
        let key = mac_key(&kms, spec)?;
        for &other in MacAlgorithm::ALL.iter().filter(|other| **other != algorithm) {
            let refused = kms.generate_mac(GenerateMacRequest::new(key, other, b"x")).expect_err("another algorithm");
            let text = format!("Algorithm {other} is incompatible with key spec {spec}.");
            assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::InvalidKeyUsage, text));
            let verified = kms.verify_mac(VerifyMacRequest::new(key, other, b"x", b"x"));
            assert_eq!(kind(verified), ErrorKind::InvalidKeyUsage);
        }
        for message in [&[][..], &[0; 4097]] {
            let refused = kms.generate_mac(GenerateMacRequest::new(key, algorithm, message));
            assert_eq!(kind(refused), ErrorKind::Validation);
            let refused = kms.verify_mac(VerifyMacRequest::new(key, algorithm, message, b"x"));
            assert_eq!(kind(refused), ErrorKind::Validation);
        }
    }
    Ok(())
}

#[test]
fn a_dry_run_of_verification_still_tells_a_wrong_code() -> Result<()> {
    let kms = Kms::in_memory()?;
    let key = mac_key(&kms, KeySpec::Hmac256)?;
    let algorithm = MacAlgorithm::HmacSha256;
    let mac = kms.generate_mac(GenerateMacRequest::new(key, algorithm, b"x"))?.mac;
    let right = kms.verify_mac(VerifyMacRequest::new(key, algorithm, b"x", &mac).dry_run());
    let wrong = kms.verify_mac(VerifyMacRequest::new(key, algorithm, b"y", &mac).dry_run());
    assert_eq!((kind(right), kind(wrong)), (ErrorKind::DryRun, ErrorKind::InvalidMac));
    let generated = kms.generate_mac(GenerateMacRequest::new(key, algorithm, b"x").dry_run());
    assert_eq!(kind(generated), ErrorKind::DryRun);
    Ok(())
}

#[test]
fn keys_bound_to_one_task_do_what_the_calls_do() -> Result<()> {
    let kms = Kms::in_memory()?;
    let mac = KmsMac::new(&kms, mac_key(&kms, KeySpec::Hmac256)?)?;
    let code = mac.authenticate(b"text")?;
    mac.verify(b"text", &code)?;
    assert_eq!(kind(mac.verify(b"texts", &code)), ErrorKind::InvalidMac);
    assert_eq!(kind(mac.verify(b"text", &code[1..])), ErrorKind::InvalidMac);
    kms.verify_mac(VerifyMacRequest::new(mac.key_arn(), MacAlgorithm::HmacSha256, b"text", &code))?;

    let aead = KmsAead::new(&kms, kms.create_key(CreateKeyRequest::default())?.key_id())?;
    let context = EncryptionContext::new().with("row", "7");
    let sealed = aead.encrypt(b"text", &context)?;
    assert_eq!(aead.decrypt(&sealed, &context)?.expose_secret(), b"text");
    assert_eq!(kind(aead.decrypt(&sealed, &EncryptionContext::new())), ErrorKind::InvalidCiphertext);
    Ok(())
}
