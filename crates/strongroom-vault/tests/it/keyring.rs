//! Data keys of messages, wrapped by a key in Vault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use strongroom::envelope::{KmsKeyring, MultiKeyring, UnwrapFailures, conformance};
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms, message};
use strongroom_vault::{VAULT_PROVIDER_ID, VaultError, VaultFailure, VaultKeyring};

use crate::support::endpoint::Endpoint;
use crate::support::{PLAINTEXT, ROOT, Vault, context, refusal, transit};

fn keyring(url: &str, key: &str) -> VaultKeyring {
    VaultKeyring::new(&transit(url, ROOT), key).unwrap()
}

fn failure(error: &Error) -> Option<VaultFailure> {
    VaultError::find(error).map(VaultError::failure)
}

#[test]
fn the_keyring_meets_the_contract() {
    let Some(vault) = Vault::start("the_keyring_meets_the_contract") else { return };
    vault.create("orders", "aes256-gcm96");
    let (writer, reader) = (keyring(&vault.url(), "orders"), keyring(&vault.url(), "orders"));
    conformance::run(&writer, &reader).unwrap();
    conformance::run_context(&writer, &reader).unwrap();
}

#[test]
fn messages_name_the_key_and_its_version() {
    let Some(vault) = Vault::start("messages_name_the_key_and_its_version") else { return };
    vault.create("orders", "aes256-gcm96");
    let vault = Arc::new(vault);
    let answering = Arc::clone(&vault);
    let endpoint = Endpoint::start(move |request| answering.forward(request));
    let envelope = Envelope::new(keyring(&endpoint.url(), "orders"));
    let first = envelope.encrypt(PLAINTEXT, &context()).unwrap();
    assert_eq!(endpoint.requests().len(), 3, "the first message also checks the key");
    vault.admin("POST", "transit/keys/orders/rotate", &json!({}));
    let second = envelope.encrypt(PLAINTEXT, &context()).unwrap();
    assert_eq!(endpoint.requests().len(), 4, "one call for a message");
    for (message, version) in [(&first, 1), (&second, 2)] {
        let header = message::inspect(message).unwrap();
        let [data_key] = header.data_keys() else { panic!("one data key") };
        assert_eq!((data_key.provider_id(), data_key.provider_info()), (VAULT_PROVIDER_ID, &b"transit/orders"[..]));
        assert_eq!(data_key.ciphertext()[..4], [0, 0, 0, version]);
        assert_eq!(envelope.decrypt(message, &context()).unwrap(), PLAINTEXT);
    }
    vault.admin("POST", "transit/keys/orders/config", &json!({"min_decryption_version": 2}));
    let error = envelope.decrypt(&first, &context()).unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::NoDataKeyUnwrapped, Some(VaultFailure::KeyVersion)));
    assert_eq!(envelope.decrypt(&second, &context()).unwrap(), PLAINTEXT);
}

#[test]
fn an_outage_has_its_kind_and_another_keyring_takes_over() {
    let test = "an_outage_has_its_kind_and_another_keyring_takes_over";
    let Some(vault) = Vault::start(test) else { return };
    vault.create("orders", "aes256-gcm96");
    let works = Arc::new(AtomicBool::new(true));
    let answers = Arc::clone(&works);
    let endpoint = Endpoint::start(move |request| match answers.load(Ordering::SeqCst) {
        true => vault.forward(request),
        false => refusal(503, &["Vault is sealed"]),
    });
    let there = || keyring(&endpoint.url(), "orders");
    let kms = Kms::in_memory().unwrap();
    let key = kms.create_key(Default::default()).unwrap().key_id();
    let here = || KmsKeyring::new(&kms, key).unwrap();
    let both = Envelope::new(MultiKeyring::new(there()).with_child(here()));
    let (alone, store) = (Envelope::new(there()), Envelope::new(here()));
    let shared = both.encrypt(PLAINTEXT, &context()).unwrap();
    let own = alone.encrypt(PLAINTEXT, &context()).unwrap();
    // A migration: both sides read what both wrote, and re-encrypted messages need Vault no more.
    for envelope in [&both, &alone, &store] {
        assert_eq!(envelope.decrypt(&shared, &context()).unwrap(), PLAINTEXT);
    }
    assert!(store.decrypt(&own, &context()).is_err());
    let moved = alone.re_encrypt(&own[..], &context(), &store, Vec::new()).unwrap();
    works.store(false, Ordering::SeqCst);
    assert_eq!(both.decrypt(&shared, &context()).unwrap(), PLAINTEXT);
    assert_eq!(store.decrypt(&moved, &context()).unwrap(), PLAINTEXT);
    let errors = [
        both.encrypt(PLAINTEXT, &context()).unwrap_err(),
        alone.encrypt(PLAINTEXT, &context()).unwrap_err(),
        alone.decrypt(&own, &context()).unwrap_err(),
    ];
    for error in &errors {
        assert_eq!((error.kind(), failure(error)), (ErrorKind::KeyUnavailable, Some(VaultFailure::Sealed)), "{error}");
    }
    let inner = errors[2].downcast_ref().map(UnwrapFailures::kind);
    assert_eq!(inner, Some(ErrorKind::KeyUnavailable));
}

#[test]
fn keys_that_cannot_bind_and_missing_keys_are_refused() {
    let Some(vault) = Vault::start("keys_that_cannot_bind_and_missing_keys_are_refused") else { return };
    vault.create("pair", "rsa-2048");
    vault.create("orders", "aes256-gcm96");
    let write = |key: &str| Envelope::new(keyring(&vault.url(), key)).encrypt(PLAINTEXT, &context());
    assert_eq!(write("pair").unwrap_err().kind(), ErrorKind::InvalidKeyUsage);
    let error = write("missing").unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::NotFound, Some(VaultFailure::KeyNotFound)), "{error}");
    assert_eq!(vault.keys(), ["orders", "pair"]);
    let message = write("orders").unwrap();
    let reader = Envelope::new(keyring(&vault.url(), "orders"));
    let other = EncryptionContext::from([("invoice", "18")]);
    assert!(reader.decrypt(&message, &other).is_err());
    let another = Envelope::new(keyring(&vault.url(), "pair")).decrypt(&message, &context()).unwrap_err();
    assert_eq!(another.kind(), ErrorKind::NoDataKeyUnwrapped);
    assert!(failure(&another).is_none(), "Vault is not asked");
}
