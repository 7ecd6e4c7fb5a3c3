//! What is stored, and what Vault authenticates with it: formats that later versions must read.

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use strongroom::crypto::{CryptoBackend, DigestAlgorithm};
use strongroom::envelope::{DecryptionMaterials, Keyring};
use strongroom::message::{AlgorithmSuite, EncryptedDataKey};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::seal::RootKeyHolder;
use strongroom::{EncryptionContext, Kms, SecretBytes};
use strongroom_vault::{VAULT_PROVIDER_ID, VaultKeyring, VaultProvider, VaultRootKey};

use crate::support::endpoint::Endpoint;
use crate::support::{PLAINTEXT, ROOT, Vault, data, transit};

/// Version 258 of a key, and a ciphertext of three bytes.
const STORED: &[u8] = &[0, 0, 1, 2, 7, 8, 9];

/// Starts an endpoint that decrypts everything to 32 zeros.
fn endpoint() -> Endpoint {
    Endpoint::start(|_| data(json!({"plaintext": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="})))
}

/// Asserts the only request, whose associated data is a text in Base64.
fn asked(endpoint: &Endpoint, key: &str, ciphertext: &str, associated_data: &str) {
    let [request] = &endpoint.requests()[..] else { panic!("one request") };
    assert_eq!(request.operation, format!("POST /v1/transit/decrypt/{key}"));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body, json!({"ciphertext": ciphertext, "associated_data": associated_data}));
}

#[test]
fn a_root_key_is_bound_to_its_store() {
    let endpoint = endpoint();
    let holder = VaultRootKey::new(&transit(&endpoint.url(), ROOT), "root").unwrap();
    assert_eq!(holder.unwrap(b"store", STORED).unwrap(), SecretBytes::zeroed(32));
    // "strongroom root key v1", 0, "store"
    asked(&endpoint, "root", "vault:v258:BwgJ", "c3Ryb25ncm9vbSByb290IGtleSB2MQBzdG9yZQ==");
}

#[test]
fn a_data_key_is_bound_to_its_context() {
    let endpoint = endpoint();
    let keyring = VaultKeyring::new(&transit(&endpoint.url(), ROOT), "orders").unwrap();
    let context = EncryptionContext::from([("a", "b")]);
    let mut materials = DecryptionMaterials::new(AlgorithmSuite::default(), context, CryptoBackend::default()).unwrap();
    let data_key = EncryptedDataKey::new(VAULT_PROVIDER_ID, "transit/orders", STORED.to_vec());
    keyring.on_decrypt(&mut materials, &[data_key]).unwrap();
    assert_eq!(VAULT_PROVIDER_ID, "strongroom-vault");
    // "strongroom data key v1", 0, and the canonical context: 1 pair, 1 byte "a", 1 byte "b"
    asked(&endpoint, "orders", "vault:v258:BwgJ", "c3Ryb25ncm9vbSBkYXRhIGtleSB2MQAAAQABYQABYg==");
}

/// A ciphertext of a store: its header of 22 bytes, and the nonce, the ciphertext, and the tag of Vault.
#[test]
fn a_ciphertext_is_bound_to_header_and_context() {
    let Some(vault) = Vault::start("a_ciphertext_is_bound_to_header_and_context") else { return };
    let endpoint = Endpoint::start(move |request| vault.forward(request));
    let provider = VaultProvider::new(&transit(&endpoint.url(), ROOT), "vault");
    let kms = Kms::builder().provider(provider).build().unwrap();
    let key = kms.create_key(CreateKeyRequest::default().provider("vault")).unwrap().key_id();
    let context = EncryptionContext::from([("a", "b")]);
    let blob = kms.encrypt(EncryptRequest::new(key, PLAINTEXT).context(&context)).unwrap().ciphertext_blob;
    kms.decrypt(DecryptRequest::new(&blob).context(&context)).unwrap();
    let (header, sealed) = blob.split_at(22);
    let canonical = context.to_canonical_bytes().unwrap();
    let hash = CryptoBackend::default().digest().digest(DigestAlgorithm::Sha384, &[&canonical]);
    let bound = [&b"strongroom cipher v1\0"[..], hash.as_ref(), header].concat();
    let requests = endpoint.requests();
    let [.., encrypt, decrypt] = &requests[..] else { panic!("two requests") };
    let [encrypt, decrypt] = [encrypt, decrypt].map(|request| serde_json::from_str::<Value>(&request.body).unwrap());
    let [plaintext, bound] = [PLAINTEXT, &bound[..]].map(Base64::encode_string);
    assert_eq!(encrypt, json!({"plaintext": plaintext, "associated_data": bound, "key_version": 1}));
    let ciphertext = format!("vault:v1:{}", Base64::encode_string(sealed));
    assert_eq!(decrypt, json!({"ciphertext": ciphertext, "associated_data": bound}));
    assert_eq!(sealed.len(), 12 + PLAINTEXT.len() + 16);
}
