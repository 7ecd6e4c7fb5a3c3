//! Keys in tokens as seen by other software: pkcs11-tool, p11tool, python-pkcs11, OpenSSL and NSS
//! softokn.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use strongroom::algorithm::SigningAlgorithm;
use strongroom::crypto::{AeadAlgorithm, FASTEST, KeyPairKind, RsaOaep, SignatureInput};
use strongroom::provider::pkcs11::{
    ErrorClass, KeyTypes, Module, NewKey, Token, TokenConfig, TokenKeyKind, TokenSelector, quirks_of,
};
use strongroom_pkcs11_faults::{Bare, Nss, PIN, SoftHsm, soft_hsm_module};

use super::{aes, config, module, nss, options, pin, soft_hsm, token};
use crate::support::external_tools;
use crate::support::openssl::OpenSsl;

/// Puts the same wrapping key into one of our tokens by a bare call, as the vendor's tools would.
pub(super) fn create_wrapping_key(hsm: &SoftHsm, selector: &TokenSelector, id: &[u8]) {
    let TokenSelector::Label(label) = selector else { panic!("tests find tokens by label") };
    // A login applies to the entire process.
    let token = token(hsm, label);
    token.connect().expect("the token connects");
    Bare::create_wrapping_key(hsm.shim().path(), label, id, &[0x77; 32]);
}

/// Runs a program on the tokens. Returns `None` if the program is not installed.
fn tool(test: &str, hsm: &SoftHsm, program: &str, arguments: &[&str]) -> Option<String> {
    let run = Command::new(program).args(arguments).env("SOFTHSM2_CONF", hsm.configuration()).output();
    let Ok(output) = run else {
        external_tools::missing(test, &format!("{program} is not installed; ./test.sh installs it"));
        return None;
    };
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {printed}");
    Some(printed)
}

fn pkcs11_tool(test: &str, hsm: &SoftHsm, arguments: &[&str]) -> Option<String> {
    let module = soft_hsm_module().expect("SoftHSM is installed");
    let module = module.to_str().expect("a path in UTF-8");
    let common = ["--module", module, "--token-label", "one", "--login", "--pin", PIN];
    tool(test, hsm, "pkcs11-tool", &[&common[..], arguments].concat())
}

/// Checks why NSS cannot encrypt. Asked for the length of a ciphertext, NSS omits the tag. The
/// bindings ask for it and allocate that many bytes. A caller that does not ask gets the correct
/// AES-GCM output.
fn check_why_nss_does_not_encrypt(nss: &Nss) {
    let (iv, data, plaintext, material) = ([7; 12], b"context", b"plaintext", [0x42; 32]);
    Bare::create_cipher_key(nss.shim().path(), Nss::LABEL, &[9; 32], &material);
    let bare = || Bare::new(nss.shim().path(), Nss::LABEL, &[9; 32], false);
    let asked = bare().asked_length(&iv, data, plaintext);
    assert_eq!(asked, plaintext.len());
    assert_eq!(bare().encrypt_into(&iv, data, plaintext, asked), Err(0x150), "CKR_BUFFER_TOO_SMALL");
    let mut expected = vec![0; plaintext.len()];
    let key = FASTEST.aead().bind(AeadAlgorithm::Aes256Gcm, &material).expect("32 bytes");
    let tag = key.seal(&iv, data, plaintext, &mut expected).expect("it fits");
    expected.extend(tag);
    assert_eq!(bare().encrypt_into(&iv, data, plaintext, asked + 16), Ok(expected));
}

#[test]
fn pkcs11_tool_signs_and_lists_what_we_made_and_we_use_what_it_made() {
    let test = "pkcs11_tool_signs_and_lists_what_we_made_and_we_use_what_it_made";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let Some(openssl) = OpenSsl::start(test) else { return };
    let ours = Token::new(&module(&hsm), config("one").key_types(KeyTypes::All), pin());
    let new = NewKey::new(&[0xEC; 32], "our curve", TokenKeyKind::Signing(KeyPairKind::EccP256));
    let key = ours.generate_key(&new).expect("a key pair");
    let secret = aes(&ours, 0xAE);
    let Some(listed) = pkcs11_tool(test, &hsm, &["--list-objects"]) else { return };
    for text in
        ["our curve", "a key", &"ec".repeat(32), &"ae".repeat(32), "sensitive, always sensitive, never extractable"]
    {
        assert!(listed.contains(text), "{text}: {listed}");
    }
    ours.verify_key(&secret).expect("the key still exists");

    // It signs with our key, and OpenSSL verifies the signature with the public key that we export.
    let folder = tempfile::tempdir().expect("a folder");
    let [hash, signature] = ["hash", "signature"].map(|name| folder.path().join(name).to_string_lossy().into_owned());
    fs::write(&hash, [0x11; 32]).expect("a file");
    let id = "ec".repeat(32);
    let sign = ["--sign", "--mechanism", "ECDSA", "--signature-format", "openssl", "--id", &id];
    let files = ["--input-file", &hash, "--output-file", &signature];
    pkcs11_tool(test, &hsm, &[&sign[..], &files].concat());
    openssl.write("key.der", &ours.export_public_key(&key).expect("a public key"));
    openssl.write("hash", &[0x11; 32]);
    openssl.write("signature", &fs::read(&signature).expect("the file was written"));
    openssl.must(&[
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.der",
        "-keyform",
        "DER",
        "-in",
        "hash",
        "-sigfile",
        "signature",
    ]);

    // In reverse: a key that it generated.
    let id = "bb".repeat(16);
    pkcs11_tool(test, &hsm, &["--keypairgen", "--key-type", "rsa:2048", "--id", &id, "--label", "their key"]);
    let theirs = ours.adopt_key(&[0xBB; 16], "their key", TokenKeyKind::Signing(KeyPairKind::Rsa2048));
    let theirs = theirs.expect("the tool succeeds");
    let signature = ours.sign(&theirs, SigningAlgorithm::RsassaPssSha256, SignatureInput::Message(b"message"));
    openssl.write("rsa.der", &ours.export_public_key(&theirs).expect("a public key"));
    openssl.write("message", b"message");
    openssl.write("pss", &signature.expect("a signature"));
    openssl.must(&[
        "dgst",
        "-sha256",
        "-verify",
        "rsa.der",
        "-keyform",
        "DER",
        "-sigopt",
        "rsa_padding_mode:pss",
        "-sigopt",
        "rsa_pss_saltlen:32",
        "-signature",
        "pss",
        "message",
    ]);
}

#[test]
fn p11tool_exports_the_public_key_that_we_export() {
    let test = "p11tool_exports_the_public_key_that_we_export";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let ours = Token::new(&module(&hsm), config("one").key_types(KeyTypes::All), pin());
    let module_path = soft_hsm_module().expect("SoftHSM is installed");
    for (id, pair) in [(1, KeyPairKind::EccP256), (2, KeyPairKind::EccP384), (3, KeyPairKind::Rsa2048)] {
        let key = ours.generate_key(&NewKey::new(&[id; 4], "pair", TokenKeyKind::Signing(pair))).expect("a key pair");
        let url = format!("pkcs11:token=one;type=public;id=%0{id}%0{id}%0{id}%0{id};pin-value={PIN}");
        let provider = module_path.to_string_lossy();
        let arguments = ["--provider", &provider, "--login", "--export", "--outder", &url];
        let run = Command::new("p11tool").args(arguments).env("SOFTHSM2_CONF", hsm.configuration()).output();
        let Ok(output) = run else {
            external_tools::missing(test, "p11tool is not installed; ./test.sh installs it");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, ours.export_public_key(&key).expect("a public key"), "{pair:?}");
    }
}

/// Sends one request to python-pkcs11.
fn python(test: &str, hsm: &SoftHsm, request: &Value) -> Option<Value> {
    let python = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has python-pkcs11")?;
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/pkcs11_peer.py"))
        .arg(soft_hsm_module().expect("SoftHSM is installed"))
        .args(["one", PIN])
        .env("SOFTHSM2_CONF", hsm.configuration())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    child.stdin.take().expect("a pipe").write_all(request.to_string().as_bytes()).expect("the process reads its input");
    let output = child.wait_with_output().expect("the process exits");
    assert!(output.status.success(), "{request}");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn python_opens_what_we_encrypted_and_the_reverse() {
    let test = "python_opens_what_we_encrypted_and_the_reverse";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let ours = token(&hsm, "one");
    let key = aes(&ours, 0xAE);
    let sealed = ours.encrypt(&key, b"context", b"of ours").expect("encryption succeeds");
    let request = |id: u8, what: &str, iv: &[u8], data: &[u8]| {
        json!({"do": what, "id": hex::encode([id; 32]), "iv": hex::encode(iv), "aad": hex::encode(b"context"),
            "data": hex::encode(data)})
    };
    let Some(opened) = python(test, &hsm, &request(0xAE, "decrypt", &sealed[..12], &sealed[12..])) else { return };
    assert_eq!(opened["data"], hex::encode(b"of ours"));
    let theirs = python(test, &hsm, &request(0xAE, "encrypt", &[7; 12], b"of theirs")).expect("the tool succeeds");
    let theirs = hex::decode(theirs["data"].as_str().expect("text")).expect("digits");
    let opened = ours.decrypt(&key, b"context", &[&[7; 12][..], &theirs].concat()).expect("decryption succeeds");
    assert_eq!(opened.expose_secret(), b"of theirs");

    // A key that python generated.
    python(test, &hsm, &request(0xBB, "generate", &[], &[]));
    let adopted = ours.adopt_key(&[0xBB; 32], "of python", TokenKeyKind::Aes256).expect("the key exists");
    let sealed = ours.encrypt(&adopted, b"context", b"text").expect("encryption succeeds");
    let opened =
        python(test, &hsm, &request(0xBB, "decrypt", &sealed[..12], &sealed[12..])).expect("the tool succeeds");
    assert_eq!(opened["data"], hex::encode(b"text"));
}

#[test]
fn nss_softokn_gives_a_second_opinion() {
    let test = "nss_softokn_gives_a_second_opinion";
    let Some(nss) = nss(test) else { return };
    let Some(openssl) = OpenSsl::start(test) else { return };
    let module = Module::load_with(nss.shim().path(), options()).expect("a module");
    let selector = TokenSelector::Label(Nss::LABEL.into());
    let token = Token::new(&module, TokenConfig::new(selector).key_types(KeyTypes::All), pin());
    let able = token.connect().expect("the token passes its self-test");
    println!(
        "{test}: {} {}, {} mechanisms, {:?}, {:?}",
        able.manufacturer,
        able.model,
        able.mechanisms.len(),
        able.oaep,
        able.curves
    );
    assert_eq!(quirks_of(&able.manufacturer).product, "NSS softokn");
    assert_eq!(able.oaep, RsaOaep::ALL);
    check_why_nss_does_not_encrypt(&nss);
    assert_eq!(able.iv_mode, None);
    let refused = token
        .generate_key(&NewKey::new(&[1; 32], "x", TokenKeyKind::Aes256))
        .expect_err("the token rejects the operation");
    assert_eq!(refused.missing_mechanism(), Some("CKM_AES_GCM"), "{refused}");
    assert!(refused.to_string().contains("CKR_BUFFER_TOO_SMALL"), "{refused}");
    let rsa = NewKey::new(&[3; 32], "rsa", TokenKeyKind::Decryption(KeyPairKind::Rsa2048));
    let rsa = token.generate_key(&rsa).expect("a key pair");
    openssl.write("rsa.der", &token.export_public_key(&rsa).expect("a public key"));
    openssl.write("text", b"text");
    openssl.must(&[
        "pkeyutl",
        "-encrypt",
        "-pubin",
        "-inkey",
        "rsa.der",
        "-keyform",
        "DER",
        "-in",
        "text",
        "-out",
        "encrypted",
        "-pkeyopt",
        "rsa_padding_mode:oaep",
        "-pkeyopt",
        "rsa_oaep_md:sha256",
    ]);
    let opened = token.decrypt_oaep(&rsa, RsaOaep::Sha256, &openssl.read("encrypted")).expect("decryption succeeds");
    assert_eq!(opened.expose_secret(), b"text");
    let refused =
        token.decrypt_oaep(&rsa, RsaOaep::Sha256, &[0x17; 256]).expect_err("the input does not match the key");
    assert_eq!(refused.class(), ErrorClass::BadInput, "{refused}");
    let pair = NewKey::new(&[2; 32], "curve", TokenKeyKind::Signing(KeyPairKind::EccP256));
    let pair = token.generate_key(&pair).expect("a key pair");
    let signature = token.sign(&pair, SigningAlgorithm::EcdsaSha256, SignatureInput::Message(b"message"));
    openssl.write("key.der", &token.export_public_key(&pair).expect("a public key"));
    openssl.write("message", b"message");
    openssl.write("signature", &signature.expect("a signature"));
    openssl.must(&["dgst", "-sha256", "-verify", "key.der", "-keyform", "DER", "-signature", "signature", "message"]);
}
