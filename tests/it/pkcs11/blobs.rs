//! Blobs of scheme 2 under a token key of known value: stored vectors, and blobs of a second
//! implementation.

use serde_json::{Value, json};
use strongroom::EncryptionContext;
use strongroom::blob::{BlobPrefix, Scheme};
use strongroom::provider::pkcs11::{ErrorClass, Token, TokenKeyHandle, TokenKeyKind};
use strongroom_pkcs11_faults::Bare;

use super::{soft_hsm, token};
use crate::support::blobs::{of_scheme, reference, verdict};

const KEY_ID: [u8; 16] = [0xA5; 16];

/// Puts a key with this value into a token.
fn known_key(hsm: &strongroom_pkcs11_faults::SoftHsm, material: [u8; 32]) -> (Token, TokenKeyHandle) {
    let token = token(hsm, "one");
    token.connect().expect("the token connects");
    Bare::create_cipher_key(hsm.shim().path(), "one", &KEY_ID, &material);
    let key = token.adopt_key(&KEY_ID, "known", TokenKeyKind::Aes256).expect("the key exists");
    (token, key)
}

#[test]
fn a_token_gives_every_kept_blob_its_verdict() {
    let Some(hsm) = soft_hsm("a_token_gives_every_kept_blob_its_verdict", &["one"]) else { return };
    let vectors = of_scheme(Scheme::Provider);
    let material = vectors[0].bytes("material").try_into().expect("32 bytes");
    let (token, key) = known_key(&hsm, material);
    for vector in vectors {
        assert_eq!(vector.bytes("material"), material, "{}: one key for all cases", vector.file);
        let verdict =
            verdict(&vector, &|prefix, context, body| match token.decrypt(&key, &[prefix, context].concat(), body) {
                Ok(opened) => Some(opened.expose_secret().to_vec()),
                Err(error) => {
                    assert_eq!(error.class(), ErrorClass::BadInput, "{}: {error}", vector.file);
                    None
                }
            });
        assert_eq!(verdict, vector.expected(), "{}", vector.file);
    }
}

/// Returns lengths and contexts for the blobs that are exchanged.
fn cases() -> Vec<(BlobPrefix, EncryptionContext, Vec<u8>)> {
    let contexts = [
        EncryptionContext::new(),
        EncryptionContext::from([("tenant", "42"), ("purpose", "backup"), ("", "")]),
        EncryptionContext::from([("\u{10000}", "🔑"), ("\u{FF61}", "é"), ("long", &"x".repeat(9000))]),
    ];
    let mut cases = Vec::new();
    for (context, key_version) in contexts.into_iter().zip([1, 0x0102_0304, u32::MAX]) {
        for length in [1, 15, 16, 17, 4096] {
            let prefix = BlobPrefix { scheme: Scheme::Provider, key_id: KEY_ID, key_version };
            cases.push((prefix, context.clone(), (0..=250).cycle().take(length).collect()));
        }
    }
    cases
}

fn bound(prefix: &BlobPrefix, context: &EncryptionContext) -> Vec<u8> {
    [&prefix.to_bytes()[..], &context.to_canonical_bytes().expect("short enough")].concat()
}

fn pairs(context: &EncryptionContext) -> Value {
    context.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

#[test]
fn a_token_and_the_reference_open_what_the_other_makes() {
    let test = "a_token_and_the_reference_open_what_the_other_makes";
    let Some(hsm) = soft_hsm(test, &["one"]) else { return };
    let material = [0x42; 32];
    let (token, key) = known_key(&hsm, material);
    let to_open: Vec<Value> = cases()
        .iter()
        .map(|(prefix, context, plaintext)| {
            let body = token.encrypt(&key, &bound(prefix, context), plaintext).expect("encryption succeeds");
            let blob = [&prefix.to_bytes()[..], &body].concat();
            json!({"material": hex::encode(material), "blob": hex::encode(blob), "context": pairs(context)})
        })
        .collect();
    let Some(opened) = reference(test, "open", &to_open) else { return };
    let plaintexts: Vec<String> = cases().iter().map(|case| hex::encode(&case.2)).collect();
    assert_eq!(opened, plaintexts);
    let to_seal: Vec<Value> = cases()
        .iter()
        .zip(1_u8..)
        .map(|((prefix, context, plaintext), number)| {
            json!({
                "material": hex::encode(material), "key_id": hex::encode(KEY_ID), "key_version": prefix.key_version,
                "iv": hex::encode([number; 12]), "plaintext": hex::encode(plaintext), "context": pairs(context),
            })
        })
        .collect();
    let sealed = reference(test, "seal", &to_seal).expect("the reference ran before");
    assert_eq!(sealed.len(), cases().len());
    for ((prefix, context, plaintext), blob) in cases().iter().zip(sealed) {
        let blob = hex::decode(blob).expect("hexadecimal");
        let (found, body) = BlobPrefix::parse(&blob).expect("a blob");
        assert_eq!(found, *prefix);
        let opened = token.decrypt(&key, &bound(prefix, context), body).expect("decryption succeeds");
        assert_eq!(opened.expose_secret(), plaintext);
    }
}
