//! Root keys of stores, held by a key in Vault.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::request::{DecryptRequest, EncryptRequest};
use strongroom::seal::{RootKey, RootKeyHolder, conformance};
use strongroom::{ErrorKind, Kms, Result, SecretBytes};
use strongroom_vault::{VaultError, VaultFailure, VaultRootKey};

use crate::support::endpoint::{Endpoint, Request};
use crate::support::{PLAINTEXT, ROOT, Vault, in_namespace, refusal, transit};

/// A server behind an endpoint that can be out of order, a key, and a folder for stores.
struct World {
    vault: Arc<Vault>,
    works: Arc<AtomicBool>,
    endpoint: Endpoint,
    folder: tempfile::TempDir,
}

impl World {
    fn start(test: &str) -> Option<Self> {
        let vault = Arc::new(Vault::start(test)?);
        vault.create("root", "aes256-gcm96");
        let works = Arc::new(AtomicBool::new(true));
        let (answering, answers) = (Arc::clone(&vault), Arc::clone(&works));
        let endpoint = Endpoint::start(move |request| match answers.load(Ordering::SeqCst) {
            true => answering.forward(request),
            false => refusal(500, &["local node not active but active cluster node not found"]),
        });
        Some(Self { vault, works, endpoint, folder: tempfile::tempdir().unwrap() })
    }

    fn holder(&self) -> VaultRootKey {
        holder(&self.endpoint.url(), ROOT)
    }

    fn open(&self) -> Result<Kms> {
        open(self.folder.path(), self.holder())
    }

    /// Returns the operations so far.
    fn requests(&self) -> Vec<String> {
        let name = |request: Request| request.operation.split('/').nth(3).unwrap().to_owned();
        self.endpoint.requests().into_iter().map(name).collect()
    }

    fn configure(&self, settings: &Value) {
        self.vault.admin("POST", "transit/keys/root/config", settings);
    }

    fn rotate(&self) {
        self.vault.admin("POST", "transit/keys/root/rotate", &json!({}));
    }

    /// Asserts that the store cannot be opened, because the key is unavailable.
    fn unavailable(&self, expected: VaultFailure) {
        let error = self.open().unwrap_err();
        assert_eq!((error.kind(), failure(&error)), (ErrorKind::KeyUnavailable, expected), "{error}");
    }
}

fn holder(url: &str, token: &str) -> VaultRootKey {
    VaultRootKey::new(&transit(url, token), "root").unwrap()
}

fn open(folder: &Path, holder: impl RootKeyHolder + 'static) -> Result<Kms> {
    Kms::open(folder.join("keys.db"), RootKey::from_holder(holder))
}

fn failure(error: &strongroom::Error) -> VaultFailure {
    VaultError::find(error).unwrap_or_else(|| panic!("no failure of Vault: {error}")).failure()
}

#[test]
fn the_holder_meets_the_contract() {
    let Some(vault) = Vault::start("the_holder_meets_the_contract") else { return };
    for key_type in ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305"] {
        vault.create(key_type, key_type);
        conformance::run(&VaultRootKey::new(&vault.transit(), key_type).unwrap()).unwrap();
    }
}

#[test]
fn operations_of_a_store_never_call_vault() {
    let Some(world) = World::start("operations_of_a_store_never_call_vault") else { return };
    let kms = world.open().unwrap();
    // Reads the key, encrypts, proves that the associated data is authenticated, and opens it again.
    assert_eq!(world.requests(), ["keys", "encrypt", "decrypt", "decrypt"]);
    let key = kms.create_key(Default::default()).unwrap().key_id();
    let blob = kms.encrypt(EncryptRequest::new(key, PLAINTEXT)).unwrap().ciphertext_blob;
    drop(kms);
    let kms = world.open().unwrap();
    assert_eq!(world.requests().len(), 5, "one call opens a store");
    world.works.store(false, Ordering::SeqCst);
    let opened = kms.decrypt(DecryptRequest::new(&blob)).unwrap().plaintext;
    assert_eq!(opened.expose_secret(), PLAINTEXT);
    kms.create_key(Default::default()).unwrap();
    assert_eq!(world.requests().len(), 5, "an outage does not affect the keys of an open store");

    world.unavailable(VaultFailure::Standby);
    assert_eq!(kms.rotate_root_key().unwrap_err().kind(), ErrorKind::KeyUnavailable);
    world.works.store(true, Ordering::SeqCst);
    kms.rotate_root_key().unwrap();
    let opened = world.open().unwrap().decrypt(DecryptRequest::new(&blob)).unwrap().plaintext;
    assert_eq!(opened.expose_secret(), PLAINTEXT);
}

/// The table of the documentation: rotations, `min_decryption_version`, trims, and deletions.
#[test]
fn versions_of_the_key_in_vault_are_respected() {
    let Some(world) = World::start("versions_of_the_key_in_vault_are_respected") else { return };
    let kms = world.open().unwrap();
    let backup = tempfile::tempdir().unwrap();
    drop(kms);
    std::fs::copy(world.folder.path().join("keys.db"), backup.path().join("keys.db")).unwrap();

    // After a rotation in Vault, the store opens as before, until the version is not allowed any more.
    world.rotate();
    drop(world.open().unwrap());
    world.configure(&json!({"min_decryption_version": 2}));
    world.unavailable(VaultFailure::KeyVersion);
    world.configure(&json!({"min_decryption_version": 1}));
    let kms = world.open().unwrap();
    kms.rotate_root_key().unwrap();
    drop(kms);
    world.configure(&json!({"min_decryption_version": 2, "min_encryption_version": 2}));
    drop(world.open().unwrap());

    // A backup from before needs version 1. A trim deletes it.
    let before = || failure(&open(backup.path(), world.holder()).unwrap_err());
    assert_eq!(before(), VaultFailure::KeyVersion);
    world.vault.admin("POST", "transit/keys/root/trim", &json!({"min_available_version": 2}));
    assert_eq!(before(), VaultFailure::VersionTrimmed);
    drop(world.open().unwrap());

    // Without the permission to read the key, a trim is not noticed.
    let token = world.vault.token(r#"path "transit/decrypt/root" { capabilities = ["update"] }"#);
    let error = open(backup.path(), holder(&world.vault.url(), &token)).unwrap_err();
    assert_eq!(failure(&error), VaultFailure::KeyVersion);

    world.configure(&json!({"deletion_allowed": true}));
    world.vault.admin("DELETE", "transit/keys/root", &Value::Null);
    world.unavailable(VaultFailure::KeyNotFound);
    // Another key with the name has no such version, and after a rotation it has another material.
    world.vault.create("root", "aes256-gcm96");
    let error = world.open().unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::RootKey, VaultFailure::IncorrectKey), "{error}");
    world.rotate();
    let error = world.open().unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::RootKey, VaultFailure::InvalidCiphertext), "{error}");
}

/// Types without associated data, derived keys, and missing keys. Nothing is created.
#[test]
fn a_key_that_cannot_bind_is_refused() {
    let Some(vault) = Vault::start("a_key_that_cannot_bind_is_refused") else { return };
    for key_type in ["rsa-2048", "ecdsa-p256", "ed25519", "hmac"] {
        vault.create(key_type, key_type);
    }
    vault.admin("POST", "transit/keys/derived", &json!({"type": "aes256-gcm96", "derived": true}));
    let transit = vault.transit();
    let wrap = |name: &str| {
        let holder = VaultRootKey::new(&transit, name).unwrap();
        holder.wrap(b"binding", &SecretBytes::zeroed(32)).unwrap_err()
    };
    for name in ["rsa-2048", "ecdsa-p256", "ed25519", "hmac", "derived"] {
        let error = wrap(name);
        assert_eq!(error.kind(), ErrorKind::InvalidKeyUsage, "{error}");
        assert!(error.to_string().contains("create a key of the type aes256-gcm96"), "{error}");
    }
    let error = wrap("missing");
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::NotFound, VaultFailure::KeyNotFound), "{error}");
    assert!(!vault.keys().contains(&"missing".to_owned()), "the root token could have created it");
    let long = VaultRootKey::new(&transit, "root").unwrap();
    assert_eq!(long.wrap(&[0; 3_001], &SecretBytes::zeroed(32)).unwrap_err().kind(), ErrorKind::Validation);
}

/// A Vault before version 1.13 ignores associated data.
#[test]
fn a_vault_that_ignores_the_binding_is_refused() {
    let Some(vault) = Vault::start("a_vault_that_ignores_the_binding_is_refused") else { return };
    vault.create("root", "aes256-gcm96");
    let endpoint = Endpoint::start(move |request| {
        let mut body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            members.remove("associated_data");
        }
        vault.forward(&Request { body: body.to_string(), ..request.clone() })
    });
    let error = holder(&endpoint.url(), ROOT).wrap(b"binding", &SecretBytes::zeroed(32)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedOperation, "{error}");
    assert!(error.to_string().contains("upgrade"), "{error}");
}

#[test]
fn a_token_needs_what_the_documentation_lists() {
    let Some(vault) = Vault::start("a_token_needs_what_the_documentation_lists") else { return };
    vault.create("root", "aes256-gcm96");
    let documented = include_str!("../../src/root_key.rs").replace("/// ", "").replace("/orders", "/root");
    let policy: Vec<_> = documented.lines().filter(|line| line.starts_with("path \"")).collect();
    assert_eq!(policy.len(), 3);
    let folder = tempfile::tempdir().unwrap();
    let token = vault.token(&policy.join("\n"));
    let kms = open(folder.path(), holder(&vault.url(), &token)).unwrap();
    kms.rotate_root_key().unwrap();
    drop(kms);
    drop(open(folder.path(), holder(&vault.url(), &token)).unwrap());
    for missing in 0..policy.len() {
        let mut policy = policy.clone();
        policy.remove(missing);
        let token = vault.token(&policy.join("\n"));
        let error = open(tempfile::tempdir().unwrap().path(), holder(&vault.url(), &token)).unwrap_err();
        assert_eq!(failure(&error), VaultFailure::AccessDenied, "{error}");
    }
    let error = open(folder.path(), holder(&vault.url(), "hvs.revoked")).unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::KeyUnavailable, VaultFailure::Token), "{error}");
}

/// A token expires, and the program sets another.
#[test]
fn a_token_is_replaced_for_all_clones() {
    let Some(vault) = Vault::start("a_token_is_replaced_for_all_clones") else { return };
    vault.create("root", "aes256-gcm96");
    let token = vault.token(r#"path "transit/*" { capabilities = ["read", "update"] }"#);
    let transit = transit(&vault.url(), &token);
    let holder = VaultRootKey::new(&transit, "root").unwrap();
    let wrapped = holder.wrap(b"binding", &SecretBytes::zeroed(32)).unwrap();
    vault.admin("POST", "auth/token/revoke", &json!({"token": token}));
    let error = holder.unwrap(b"binding", &wrapped).unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::KeyUnavailable, VaultFailure::Token), "{error}");
    transit.set_token(ROOT).unwrap();
    assert_eq!(holder.unwrap(b"binding", &wrapped).unwrap(), SecretBytes::zeroed(32));
    assert_eq!(transit.set_token("hvs.a\n").unwrap_err().kind(), ErrorKind::Validation);
    assert!(!format!("{transit:?}").contains("hvs."), "{transit:?}");
}

#[test]
fn namespaces_and_mounts_have_their_own_keys() {
    let Some(vault) = Vault::start("namespaces_and_mounts_have_their_own_keys") else { return };
    vault.create("root", "aes256-gcm96");
    let key = SecretBytes::zeroed(32);
    let wrapped = holder(&vault.url(), ROOT).wrap(b"binding", &key).unwrap();
    let elsewhere = in_namespace(&vault.url(), ROOT, Some("shop"));
    let elsewhere = VaultRootKey::new(&elsewhere, "root").unwrap();
    let found = |error: strongroom::Error| (error.kind(), failure(&error));
    let unwrapped = || elsewhere.unwrap(b"binding", &wrapped).unwrap_err();
    assert_eq!(found(unwrapped()), (ErrorKind::KeyUnavailable, VaultFailure::MountNotFound), "no namespace");
    assert_eq!(
        found(elsewhere.wrap(b"binding", &key).unwrap_err()),
        (ErrorKind::NotFound, VaultFailure::MountNotFound)
    );
    vault.admin("POST", "sys/namespaces/shop", &json!({}));
    assert_eq!(found(unwrapped()).1, VaultFailure::MountNotFound, "no engine");
    let shop = |path: &str, body: Value| {
        let headers = ["X-Vault-Token", "X-Vault-Namespace"].map(str::to_owned).into_iter();
        let headers = headers.zip([ROOT.to_owned(), "shop".to_owned()]).collect();
        vault.forward(&Request { operation: format!("POST /v1/{path}"), body: body.to_string(), headers });
    };
    shop("sys/mounts/transit", json!({"type": "transit"}));
    assert_eq!(found(unwrapped()).1, VaultFailure::KeyNotFound, "no key");
    shop("transit/keys/root", json!({}));
    let error = elsewhere.unwrap(b"binding", &wrapped).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidCiphertext, "another key: {error}");
    conformance::run(&elsewhere).unwrap();
}

#[test]
fn a_root_key_moves_to_vault_and_back() {
    let Some(world) = World::start("a_root_key_moves_to_vault_and_back") else { return };
    let path = world.folder.path().join("keys.db");
    let local = || RootKey::from_bytes(&[7; 32]);
    let kms = Kms::open(&path, local()).unwrap();
    let key = kms.create_key(Default::default()).unwrap().key_id();
    let blob = kms.encrypt(EncryptRequest::new(key, PLAINTEXT)).unwrap().ciphertext_blob;
    let read = |kms: &Kms| kms.decrypt(DecryptRequest::new(&blob)).unwrap().plaintext;

    world.works.store(false, Ordering::SeqCst);
    let error = kms.move_root_key(RootKey::from_holder(world.holder())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    read(&Kms::open(&path, local()).unwrap());
    world.works.store(true, Ordering::SeqCst);
    kms.move_root_key(RootKey::from_holder(world.holder())).unwrap();
    assert_eq!(kms.root_key_status().unwrap().holder(), "vault transit/root");
    drop(kms);
    assert_eq!(Kms::open(&path, local()).unwrap_err().kind(), ErrorKind::RootKey);
    let kms = world.open().unwrap();
    assert_eq!(read(&kms).expose_secret(), PLAINTEXT);
    kms.move_root_key(local()).unwrap();
    drop(kms);
    assert_eq!(world.open().unwrap_err().kind(), ErrorKind::RootKey);
    assert_eq!(read(&Kms::open(&path, local()).unwrap()).expose_secret(), PLAINTEXT);
}

/// Another process that notices the rotation calls Vault. During an outage it fails, and works afterwards.
#[test]
fn a_rotation_by_another_process_is_followed_after_an_outage() {
    let Some(world) = World::start("a_rotation_by_another_process_is_followed_after_an_outage") else { return };
    let (one, other) = (world.open().unwrap(), world.open().unwrap());
    let key = one.create_key(Default::default()).unwrap().key_id();
    let blob = one.encrypt(EncryptRequest::new(key, PLAINTEXT)).unwrap().ciphertext_blob;
    other.decrypt(DecryptRequest::new(&blob)).unwrap();
    one.rotate_root_key().unwrap();
    world.works.store(false, Ordering::SeqCst);
    // The revision of a store is at most this old.
    std::thread::sleep(Duration::from_millis(50));
    let error = other.create_key(Default::default()).unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::KeyUnavailable, VaultFailure::Standby), "{error}");
    world.works.store(true, Ordering::SeqCst);
    other.create_key(Default::default()).unwrap();
    assert_eq!(other.decrypt(DecryptRequest::new(&blob)).unwrap().plaintext.expose_secret(), PLAINTEXT);
}
