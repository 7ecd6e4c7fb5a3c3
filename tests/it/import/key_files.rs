//! Key files as users have them: files written by OpenSSL are read, and other formats are named in
//! the error.

use base64ct::{Base64, Encoding};
use strongroom::crypto::{FASTEST, KeyPairKind, RsaOaep};
use strongroom::envelope::{RawEcdhKeyring, RawRsaKeyring};
use strongroom::export::{ExportIdentity, ExportRecipient};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::{ErrorKind, Kms, Result, SecretBytes};

use crate::import::key_material::{import_bytes, waiting};
use crate::support::backend;
use crate::support::openssl::OpenSsl;

type Read = fn(&[u8]) -> Result<()>;

fn rsa_private(key: &[u8]) -> Result<()> {
    ExportIdentity::rsa(&SecretBytes::copy_from_slice(key))?;
    RawRsaKeyring::with_private_key("space", "name", RsaOaep::Sha256, key).map(drop)
}

fn rsa_public(key: &[u8]) -> Result<()> {
    ExportRecipient::rsa(key)?;
    RawRsaKeyring::with_public_key("space", "name", RsaOaep::Sha256, key).map(drop)
}

fn ec_private(key: &[u8]) -> Result<()> {
    RawEcdhKeyring::discovery(key).map(drop)
}

fn ec_public(key: &[u8]) -> Result<()> {
    RawEcdhKeyring::ephemeral(key).map(drop)
}

/// Rewraps a PEM block to another line length.
fn in_lines(pem: &[u8], width: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(pem);
    let lines: Vec<&str> = text.lines().collect();
    let digits = lines[1..lines.len() - 1].concat();
    let body: Vec<&str> =
        digits.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    [lines[0], &body.join("\n"), lines[lines.len() - 1]].join("\n").into_bytes()
}

impl OpenSsl {
    /// Generates an RSA and an EC key, in every file format that OpenSSL writes.
    fn make_keys(&self) {
        self.must(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem"]);
        self.must(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "ec.pem"]);
        for name in ["rsa", "ec"] {
            for line in [
                "openssl req -x509 -new -key NAME.pem -subj /CN=someone -days 2 -out NAME.certificate",
                "openssl pkcs12 -export -inkey NAME.pem -in NAME.certificate -name 'a friend' -passout pass:word -out NAME.p12",
                "openssl pkcs12 -in NAME.p12 -passin pass:word -nodes -out NAME.bag",
                "openssl pkey -in NAME.pem -text -out NAME.text",
                "openssl pkey -in NAME.pem -pubout -out NAME.public",
                "openssl x509 -in NAME.certificate -text -pubkey -out NAME.public-and-certificate",
                "openssl pkcs8 -topk8 -nocrypt -in NAME.pem -outform DER -out NAME.der",
                "openssl pkcs8 -topk8 -in NAME.pem -passout pass:word -out NAME.encrypted",
                "openssl pkcs8 -topk8 -in NAME.pem -passout pass:word -outform DER -out NAME.encrypted-der",
                "openssl pkey -in NAME.pem -traditional -out NAME.traditional",
                "openssl pkey -in NAME.pem -traditional -outform DER -out NAME.traditional-der",
                "openssl pkey -in NAME.pem -traditional -aes256 -passout pass:word -out NAME.traditional-encrypted",
            ] {
                self.shell(&line.replace("NAME", name));
            }
        }
    }
}

#[test]
fn pem_is_read_as_openssl_and_people_write_it() -> Result<()> {
    let Some(openssl) = OpenSsl::start("pem_is_read_as_openssl_and_people_write_it") else { return Ok(()) };
    openssl.make_keys();
    let bag = String::from_utf8_lossy(&openssl.read("rsa.bag")).into_owned();
    assert!(bag.contains("Bag Attributes") && bag.contains("CERTIFICATE"), "{bag}");
    let readers: [(&str, Read, Read); 2] = [("rsa", rsa_private, rsa_public), ("ec", ec_private, ec_public)];
    for (name, private, public) in readers {
        let file = |kind: &str| openssl.read(&format!("{name}.{kind}"));
        let pem = file("pem");
        let crlf = String::from_utf8_lossy(&pem).replace('\n', "\r\n").into_bytes();
        let indented = String::from_utf8_lossy(&pem).replace('\n', "\n    ").into_bytes();
        let around = [b"the key of the branch:\n", &pem[..], b"\nkeep it safe\n"].concat();
        let texts = [
            pem.clone(),
            file("bag"),
            file("text"),
            file("der"),
            in_lines(&pem, 76),
            in_lines(&pem, 100_000),
            in_lines(&pem, 63),
            crlf,
            indented,
            around,
            [b"\xef\xbb\xbf", &pem[..]].concat(),
        ];
        for (case, text) in texts.iter().enumerate() {
            private(text).unwrap_or_else(|error| panic!("{name}, private, case {case}: {error}"));
        }
        let pem = file("public");
        let texts = [pem.clone(), file("public-and-certificate"), in_lines(&pem, 76), in_lines(&pem, 100_000)];
        for (case, text) in texts.iter().enumerate() {
            public(text).unwrap_or_else(|error| panic!("{name}, public, case {case}: {error}"));
        }
    }
    Ok(())
}

#[test]
fn what_is_no_such_key_is_named() -> Result<()> {
    let Some(openssl) = OpenSsl::start("what_is_no_such_key_is_named") else { return Ok(()) };
    openssl.make_keys();
    openssl.shell("openssl rsa -in rsa.pem -RSAPublicKey_out -out rsa.pkcs1-public");
    openssl.shell("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out short.pem");
    openssl.shell("openssl pkey -in short.pem -pubout -out short.public");
    openssl.shell("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out other.pem");
    openssl.shell("openssl pkey -in other.pem -pubout -out other.public");
    openssl.shell("openssl ecparam -name prime256v1 -genkey -out ec.parameters");
    openssl.shell("openssl genpkey -algorithm X25519 -out x25519.pem");
    let file = |name: &str| openssl.read(name);
    let pem = file("rsa.pem");
    let base64 = Base64::encode_string(&file("rsa.der"));
    let utf_16: Vec<u8> = String::from_utf8_lossy(&pem).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(Read, Vec<u8>, &str); 30] = [
        (rsa_private, file("rsa.traditional"), "PKCS#1"),
        (rsa_private, file("rsa.traditional-der"), "PKCS#1"),
        (ec_private, file("ec.traditional"), "SEC 1"),
        (ec_private, file("ec.traditional-der"), "SEC 1"),
        (ec_private, file("ec.parameters"), "SEC 1"),
        (rsa_private, file("rsa.encrypted"), "is encrypted"),
        (rsa_private, file("rsa.encrypted-der"), "encrypted PKCS#8"),
        (rsa_private, file("rsa.traditional-encrypted"), "is encrypted"),
        (ec_private, file("ec.traditional-encrypted"), "is encrypted"),
        (rsa_private, file("rsa.public"), "a public key, but the private key is required"),
        (rsa_public, file("rsa.pem"), "a private key, but the public key is required"),
        (rsa_public, file("rsa.der"), "a private key, but the public key is required"),
        (rsa_public, file("rsa.traditional"), "a private key, but the public key is required"),
        (rsa_private, file("rsa.certificate"), "a certificate, but the private key is required"),
        (rsa_public, file("rsa.certificate"), "openssl x509 -pubkey"),
        (rsa_public, file("rsa.pkcs1-public"), "PKCS#1"),
        (rsa_private, file("short.pem"), "modulus has 1024 bits"),
        (rsa_public, file("short.public"), "modulus has 1024 bits"),
        (ec_private, file("other.pem"), "the curve secp256k1"),
        (ec_public, file("other.public"), "the curve secp256k1"),
        (ec_private, pem.clone(), "a key for RSA"),
        (rsa_private, file("ec.pem"), "a key for an elliptic curve"),
        (ec_private, file("x25519.pem"), "a key for X25519"),
        (rsa_private, [&pem[..], &pem[..]].concat(), "several such keys"),
        (rsa_private, pem[..pem.len() - 10].to_vec(), "truncated"),
        (rsa_private, base64.into_bytes(), "this is Base64"),
        (rsa_private, [&[0xff, 0xfe][..], &utf_16].concat(), "UTF-16"),
        (rsa_private, [&file("rsa.der")[..], b"\n"].concat(), "ends with a line end"),
        (rsa_private, [&file("rsa.der")[..], b"more"].concat(), "followed by 4 trailing bytes"),
        (rsa_private, b"-----BEGIN PRIVATE KEY-----\nA*\n-----END PRIVATE KEY-----\n".to_vec(), "not Base64"),
    ];
    let mut followed = 0;
    for (case, (read, key, named)) in cases.into_iter().enumerate() {
        let refused = read(&key).expect_err("no such key");
        assert_eq!(refused.kind(), ErrorKind::Validation, "case {case}");
        let refused = refused.to_string();
        assert!(refused.contains(named), "case {case}, {named}: {refused}");
        // The command that the error recommends works.
        if let Some(command) = refused.split('`').nth(1).filter(|command| command.starts_with("openssl")) {
            openssl.write("given", &key);
            openssl.shell(&format!("{command} -in given -out taken -passin pass:word"));
            read(&file("taken")).unwrap_or_else(|error| panic!("case {case}, {command}: {error}"));
            followed += 1;
        }
    }
    assert_eq!(followed, 14);
    Ok(())
}

/// Returns the PKCS#8 of an RSA key without the NULL of its algorithm identifier.
fn without_null(pkcs8: &[u8]) -> Vec<u8> {
    let identifier =
        pkcs8.windows(4).position(|window| window == [0x01, 0x01, 0x05, 0x00]).expect("the entry exists") + 2;
    let mut altered = [&pkcs8[..identifier], &pkcs8[identifier + 2..]].concat();
    // The lengths of the complete structure (two bytes) and of the identifier.
    altered[3] -= 2;
    altered[8] -= 2;
    altered
}

#[test]
fn imported_material_is_refused_with_the_reason() -> Result<()> {
    if backend::lacks("imported_material_is_refused_with_the_reason", &["Ed25519"]) {
        return Ok(());
    }
    let Some(openssl) = OpenSsl::start("imported_material_is_refused_with_the_reason") else { return Ok(()) };
    let make = |options: &str| {
        openssl.shell(&format!("openssl genpkey {options} -outform DER -out made.key"));
        openssl.shell("openssl pkcs8 -topk8 -nocrypt -inform DER -in made.key -outform DER -out made.der");
        openssl.read("made.der")
    };
    let rsa = |options: &str| make(&format!("-algorithm RSA -pkeyopt rsa_keygen_bits:2048 {options}"));
    let good = rsa("");
    let generate = |kind| FASTEST.key_pairs().generate(kind, FASTEST.random());
    let (one, two) = (generate(KeyPairKind::EccP256)?, generate(KeyPairKind::EccP256)?);
    let mut other_public = one.to_pkcs8()?.expose_secret().to_vec();
    let place = other_public.len() - 64;
    other_public[place..].copy_from_slice(&two.public_key_der()[27..]);
    let mut zero = one.to_pkcs8()?.expose_secret().to_vec();
    let place = zero.windows(4).position(|window| window == [0x02, 0x01, 0x01, 0x04]).expect("the scalar") + 5;
    zero[place..place + 32].fill(0);

    // Ed25519 with its public key: as in RFC 5958, as ring wrote it, with another key, and in a
    // version that has none.
    let seed = make("-algorithm ED25519");
    let public = generate(KeyPairKind::Ed25519)?.public_key_der()[12..].to_vec();
    let with_public = |version: u8, tag: &[u8]| {
        let inner = [&[0x02, 0x01, version], &seed[5..], tag, &public].concat();
        [&[0x30, u8::try_from(inner.len()).expect("short")], &inner[..]].concat()
    };
    let old_identifier = {
        let identifier = b"\x30\x0b\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01";
        let inner = [&[0x02, 0x01, 0x00], &identifier[..], &seed[12..]].concat();
        [&[0x30, u8::try_from(inner.len()).expect("short")], &inner[..]].concat()
    };
    let bare_seed = {
        let inner = [&seed[2..12], &[0x04, 0x20], &seed[16..]].concat();
        [&[0x30, u8::try_from(inner.len()).expect("short")], &inner[..]].concat()
    };
    let ed25519 = KeySpec::EccNistEdwards25519;
    let cases = [
        (KeySpec::Rsa2048, rsa("-pkeyopt rsa_keygen_pubexp:3"), "its public exponent is 3"),
        (KeySpec::Rsa2048, make("-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048"), "RSASSA-PSS only"),
        (KeySpec::Rsa2048, make("-algorithm RSA -pkeyopt rsa_keygen_bits:2047"), "its modulus has 2047 bits"),
        (KeySpec::Rsa2048, rsa("-pkeyopt rsa_keygen_primes:3"), "more than two primes"),
        (KeySpec::Rsa2048, without_null(&good), "the NULL"),
        (KeySpec::Rsa3072, good, "its modulus has 2048 bits"),
        (KeySpec::EccNistP256, other_public, "its public key does not match its private key"),
        (KeySpec::EccNistP256, zero, "zero or exceeds the order"),
        (
            KeySpec::EccNistP256,
            make("-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit"),
            "specified by explicit parameters",
        ),
        (KeySpec::EccNistP256, make("-algorithm EC -pkeyopt ec_paramgen_curve:P-384"), "the curve P-384"),
        (ed25519, with_public(1, &[0xa1, 0x23, 0x03, 0x21, 0x00]), "an explicit tag"),
        (ed25519, with_public(1, &[0x81, 0x21, 0x00]), "its public key does not match its private key"),
        (ed25519, with_public(0, &[0x81, 0x21, 0x00]), "contradict each other"),
        (ed25519, old_identifier, "predates RFC 8410"),
        (ed25519, bare_seed, "that RFC 8410, section 7, requires"),
        (ed25519, make("-algorithm ED448"), "a key for Ed448"),
        (ed25519, make("-algorithm X25519"), "a key for X25519"),
    ];
    let mut texts = std::collections::BTreeSet::new();
    let kms = Kms::in_memory()?;
    for (spec, material, named) in cases {
        let key = waiting(&kms, (spec, KeyUsage::SignVerify))?;
        let refused = import_bytes(&kms, key, &material, None).expect_err(named);
        assert_eq!(refused.kind(), ErrorKind::IncorrectKeyMaterial, "{refused}");
        assert!(refused.to_string().contains(named), "{named}: {refused}");
        texts.insert(refused.to_string());
    }
    assert_eq!(texts.len(), 17, "each flaw has its own message: {texts:#?}");
    Ok(())
}
