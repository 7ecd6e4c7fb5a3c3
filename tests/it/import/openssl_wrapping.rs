//! OpenSSL wraps key material as the manual describes, and the imported key is the same key.

use serde_json::json;
use strongroom::algorithm::{MacAlgorithm, SigningAlgorithm, WrappingAlgorithm, WrappingKeySpec};
use strongroom::key::{KeyId, KeySpec, KeyUsage};
use strongroom::request::{EncryptRequest, GenerateMacRequest, ImportKeyMaterialRequest, SignRequest};
use strongroom::{EncryptionContext, Kms, Result};

use crate::import::key_material::{SYMMETRIC, makes_rsa_keys_quickly, parameters, waiting};
use crate::support::backend;
use crate::support::blobs::reference;
use crate::support::openssl::OpenSsl;

/// Returns the manual's commands for one wrapping algorithm, by the file names that they use.
fn commands(algorithm: WrappingAlgorithm) -> Vec<String> {
    let page = include_str!("../../../src/manual/bring_your_own_key.md");
    let heading = format!("### `{algorithm}`");
    let section = page.split(heading.as_str()).nth(1).unwrap_or_else(|| panic!("the manual has no {heading}"));
    let block = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of commands");
    block.replace("\\\n", " ").lines().map(str::to_owned).collect()
}

impl OpenSsl {
    /// Wraps the file `KeyMaterial.bin` with the manual's commands, and imports it.
    fn import(&self, kms: &Kms, key: KeyId, algorithm: WrappingAlgorithm, size: WrappingKeySpec) -> Result<()> {
        let made = parameters(kms, key, algorithm, size)?;
        self.write("WrappingPublicKey.bin", &made.public_key);
        for command in commands(algorithm) {
            self.shell(&command);
        }
        let wrapped = self.read("EncryptedKeyMaterial.bin");
        let request = ImportKeyMaterialRequest::new(key, &made.import_token, &wrapped).does_not_expire();
        kms.import_key_material(request).map(drop)
    }
}

#[test]
fn an_aes_key_that_openssl_wrapped_makes_the_blobs_of_that_key() -> Result<()> {
    let test = "an_aes_key_that_openssl_wrapped_makes_the_blobs_of_that_key";
    let Some(openssl) = OpenSsl::start(test) else { return Ok(()) };
    let kms = Kms::in_memory()?;
    let context = EncryptionContext::from([("purpose", "import")]);
    let mut requests = Vec::new();
    let sizes = if makes_rsa_keys_quickly() { WrappingKeySpec::ALL } else { &WrappingKeySpec::ALL[..1] };
    for (&algorithm, &size) in WrappingAlgorithm::ALL.iter().zip(sizes.iter().cycle()) {
        let key = waiting(&kms, SYMMETRIC)?;
        openssl.must(&["rand", "-out", "KeyMaterial.bin", "32"]);
        openssl.import(&kms, key, algorithm, size)?;
        let blob = kms.encrypt(EncryptRequest::new(key, b"for the owner").context(&context))?.ciphertext_blob;
        let material = hex::encode(openssl.read("KeyMaterial.bin"));
        requests.push(json!({"material": material, "blob": hex::encode(blob), "context": {"purpose": "import"}}));
    }
    let Some(answers) = reference(test, "open", &requests) else { return Ok(()) };
    assert_eq!(answers, vec![hex::encode("for the owner"); 4]);
    Ok(())
}

/// A key spec, how OpenSSL generates such a key, how it signs, how the key is wrapped, and the hash
/// function passed to OpenSSL.
type Case = (KeySpec, &'static [&'static str], SigningAlgorithm, WrappingAlgorithm, Option<&'static str>);

#[test]
fn a_private_key_that_openssl_wrapped_signs_for_its_public_key() -> Result<()> {
    if backend::lacks(
        "a_private_key_that_openssl_wrapped_signs_for_its_public_key",
        &["Ed25519", "secp256k1", "signatures of hash values"],
    ) {
        return Ok(());
    }
    let test = "a_private_key_that_openssl_wrapped_signs_for_its_public_key";
    let Some(openssl) = OpenSsl::start(test) else { return Ok(()) };
    let kms = Kms::in_memory()?;
    let two_steps = WrappingAlgorithm::RsaAesKeyWrapSha256;
    let cases: [Case; 9] = [
        (
            KeySpec::Rsa2048,
            &["RSA", "rsa_keygen_bits:2048"],
            SigningAlgorithm::RsassaPkcs1V15Sha256,
            two_steps,
            Some("sha256"),
        ),
        (
            KeySpec::Rsa4096,
            &["RSA", "rsa_keygen_bits:4096"],
            SigningAlgorithm::RsassaPkcs1V15Sha512,
            WrappingAlgorithm::RsaAesKeyWrapSha1,
            Some("sha512"),
        ),
        (
            KeySpec::EccNistP256,
            &["EC", "ec_paramgen_curve:P-256"],
            SigningAlgorithm::EcdsaSha256,
            WrappingAlgorithm::RsaesOaepSha256,
            Some("sha256"),
        ),
        (
            KeySpec::EccNistP384,
            &["EC", "ec_paramgen_curve:P-384"],
            SigningAlgorithm::EcdsaSha384,
            WrappingAlgorithm::RsaesOaepSha1,
            Some("sha384"),
        ),
        (
            KeySpec::EccNistP521,
            &["EC", "ec_paramgen_curve:P-521"],
            SigningAlgorithm::EcdsaSha512,
            WrappingAlgorithm::RsaesOaepSha256,
            Some("sha512"),
        ),
        (
            KeySpec::EccNistP521,
            &["EC", "ec_paramgen_curve:P-521"],
            SigningAlgorithm::EcdsaSha512,
            two_steps,
            Some("sha512"),
        ),
        (
            KeySpec::EccSecgP256k1,
            &["EC", "ec_paramgen_curve:secp256k1"],
            SigningAlgorithm::EcdsaSha256,
            two_steps,
            Some("sha256"),
        ),
        (
            KeySpec::EccNistEdwards25519,
            &["ED25519"],
            SigningAlgorithm::Ed25519Sha512,
            WrappingAlgorithm::RsaesOaepSha256,
            None,
        ),
        (KeySpec::EccNistEdwards25519, &["ED25519"], SigningAlgorithm::Ed25519Sha512, two_steps, None),
    ];
    openssl.write("message", b"a contract");
    for (spec, made, signing, wrapping, digest) in cases {
        let key = waiting(&kms, (spec, KeyUsage::SignVerify))?;
        let options: Vec<&str> = made[1..].iter().flat_map(|option| ["-pkeyopt", option]).collect();
        openssl.must(&[&["genpkey", "-algorithm", made[0], "-out", "key.pem"], &options[..]].concat());
        openssl.must(&["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "KeyMaterial.bin"]);
        openssl.must(&["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
        let sha_1 = wrapping == WrappingAlgorithm::RsaesOaepSha1;
        let too_short = spec == KeySpec::EccNistP521 && wrapping == WrappingAlgorithm::RsaesOaepSha256;
        let size = if sha_1 || too_short { WrappingKeySpec::Rsa3072 } else { WrappingKeySpec::Rsa2048 };
        openssl.import(&kms, key, wrapping, size)?;
        openssl.write("signature", &kms.sign(SignRequest::new(key, signing, b"a contract"))?.signature);
        let digest: Vec<&str> = digest.iter().flat_map(|digest| ["-digest", *digest]).collect();
        let verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", "message"];
        openssl.must(&[&verify[..], &["-sigfile", "signature"], &digest].concat());
        assert_eq!(kms.get_public_key(key)?.to_pem()?, String::from_utf8_lossy(&openssl.read("public.pem")));
    }
    Ok(())
}

#[test]
fn an_hmac_key_that_openssl_wrapped_gives_its_codes() -> Result<()> {
    let test = "an_hmac_key_that_openssl_wrapped_gives_its_codes";
    let Some(openssl) = OpenSsl::start(test) else { return Ok(()) };
    let kms = Kms::in_memory()?;
    openssl.write("message", b"session 42");
    let key = waiting(&kms, (KeySpec::Hmac384, KeyUsage::GenerateVerifyMac))?;
    openssl.must(&["rand", "-out", "KeyMaterial.bin", "100"]);
    openssl.import(&kms, key, WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa2048)?;
    let hex_key = format!("hexkey:{}", hex::encode(openssl.read("KeyMaterial.bin")));
    openssl.must(&["dgst", "-sha384", "-mac", "HMAC", "-macopt", &hex_key, "-binary", "-out", "code", "message"]);
    let request = GenerateMacRequest::new(key, MacAlgorithm::HmacSha384, b"session 42");
    assert_eq!(kms.generate_mac(request)?.mac, openssl.read("code"));
    Ok(())
}

#[test]
fn other_hash_functions_and_initial_values_do_not_unwrap() -> Result<()> {
    let test = "other_hash_functions_and_initial_values_do_not_unwrap";
    let Some(openssl) = OpenSsl::start(test) else { return Ok(()) };
    let kms = Kms::in_memory()?;
    let key = waiting(&kms, SYMMETRIC)?;
    openssl.must(&["rand", "-out", "KeyMaterial.bin", "32"]);
    // Java's default: SHA-256 for the label, SHA-1 for the mask. Also PKCS#1 v1.5, SHA-1, and
    // another IV.
    let wrong: [(WrappingAlgorithm, &str, &str); 4] = [
        (WrappingAlgorithm::RsaesOaepSha256, "rsa_mgf1_md:sha256", "rsa_mgf1_md:sha1"),
        (WrappingAlgorithm::RsaesOaepSha256, "rsa_padding_mode:oaep", "rsa_padding_mode:pkcs1"),
        (WrappingAlgorithm::RsaesOaepSha1, "sha1", "sha256"),
        (WrappingAlgorithm::RsaAesKeyWrapSha256, "A65959A6", "A65959A7"),
    ];
    for (algorithm, from, to) in wrong {
        let made = parameters(&kms, key, algorithm, WrappingKeySpec::Rsa2048)?;
        openssl.write("WrappingPublicKey.bin", &made.public_key);
        for command in commands(algorithm) {
            let mut altered = command.replace(from, to);
            if to.ends_with("pkcs1") {
                altered = altered.replace("-pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256", "");
            }
            openssl.shell(&altered);
        }
        let wrapped = openssl.read("EncryptedKeyMaterial.bin");
        let request = ImportKeyMaterialRequest::new(key, &made.import_token, &wrapped).does_not_expire();
        let refused = kms.import_key_material(request).expect_err("wrapped otherwise");
        assert_eq!(refused.kind(), strongroom::ErrorKind::InvalidCiphertext, "{algorithm} {to}");
    }
    Ok(())
}

#[test]
fn an_encrypted_private_key_is_refused_as_what_it_is() -> Result<()> {
    let test = "an_encrypted_private_key_is_refused_as_what_it_is";
    let Some(openssl) = OpenSsl::start(test) else { return Ok(()) };
    let kms = Kms::in_memory()?;
    let key = waiting(&kms, (KeySpec::EccNistP256, KeyUsage::SignVerify))?;
    openssl.must(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem"]);
    let to_file = ["-outform", "DER", "-out", "KeyMaterial.bin", "-passout", "pass:word"];
    openssl.must(&[&["pkcs8", "-topk8", "-in", "key.pem", "-v2", "aes256"][..], &to_file].concat());
    let refused = openssl.import(&kms, key, WrappingAlgorithm::RsaAesKeyWrapSha256, WrappingKeySpec::Rsa2048);
    let refused = refused.expect_err("encrypted");
    assert_eq!(refused.kind(), strongroom::ErrorKind::IncorrectKeyMaterial);
    assert!(refused.to_string().contains("encrypted PKCS#8"), "{refused}");
    Ok(())
}
