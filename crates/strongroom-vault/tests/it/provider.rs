//! Keys of a store whose material is in Vault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use strongroom::algorithm::{MacAlgorithm, SigningAlgorithm};
use strongroom::crypto::CryptoBackend;
use strongroom::envelope::KmsKeyring;
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::provider::conformance;
use strongroom::request::{
    CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateDataKeyRequest, GenerateMacRequest, SignRequest,
    VerifyRequest,
};
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms, ManualClock, Timestamp};
use strongroom_vault::{VaultError, VaultFailure, VaultProvider};

use crate::support::endpoint::{Answer, Endpoint, Request};
use crate::support::{PLAINTEXT, ROOT, Vault, refusal, transit};

#[test]
fn the_provider_meets_the_contract() {
    let Some(vault) = Vault::start("the_provider_meets_the_contract") else { return };
    let provider = VaultProvider::new(&vault.transit(), "vault");
    let quick = |spec, _| !matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096);
    conformance::run(&provider, &CryptoBackend::default(), quick).unwrap();
    assert!(vault.keys().is_empty(), "every key was deleted: {:?}", vault.keys());
}

/// A server that can be out of order, and a KMS that uses its keys.
struct World {
    vault: Arc<Vault>,
    endpoint: Endpoint,
    works: Arc<AtomicBool>,
    clock: Arc<ManualClock>,
    kms: Kms,
}

impl World {
    fn start(test: &str) -> Option<Self> {
        let vault = Arc::new(Vault::start(test)?);
        let works = Arc::new(AtomicBool::new(true));
        let (answering, answers) = (Arc::clone(&vault), Arc::clone(&works));
        let endpoint = Endpoint::start(move |request| match answers.load(Ordering::SeqCst) {
            true => answering.forward(request),
            false => refusal(503, &["Vault is sealed"]),
        });
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
        let provider = VaultProvider::new(&transit(&endpoint.url(), ROOT), "vault");
        let kms = Kms::builder().clock(Arc::clone(&clock)).provider(provider).build().unwrap();
        Some(Self { vault, endpoint, works, clock, kms })
    }

    fn create(&self, request: CreateKeyRequest) -> strongroom::key::KeyId {
        self.kms.create_key(request.provider("vault")).unwrap().key_id()
    }

    /// Returns the methods and the paths of the requests so far, without the names of keys.
    fn requests(&self) -> Vec<String> {
        let name = |request: Request| {
            let parts: Vec<_> = request.operation.split('/').map(str::trim_end).collect();
            let parts = parts.iter().skip(3).filter(|part| !part.starts_with("strongroom-"));
            parts.copied().collect::<Vec<_>>().join("/")
        };
        self.endpoint.requests().into_iter().map(name).collect()
    }
}

fn failure(error: &Error) -> Option<VaultFailure> {
    VaultError::find(error).map(VaultError::failure)
}

#[test]
fn keys_of_a_store_are_used_in_vault() {
    let Some(world) = World::start("keys_of_a_store_are_used_in_vault") else { return };
    let (kms, context) = (&world.kms, EncryptionContext::from([("tenant", "42")]));
    let key = world.create(CreateKeyRequest::default());
    // Creates and reads the key, and proves that associated data is authenticated.
    assert_eq!(world.requests(), ["keys", "keys", "encrypt", "decrypt"]);
    let blob = kms.encrypt(EncryptRequest::new(key, PLAINTEXT).context(&context)).unwrap().ciphertext_blob;
    let open = |blob: &[u8], context: &EncryptionContext| kms.decrypt(DecryptRequest::new(blob).context(context));
    assert_eq!(open(&blob, &context).unwrap().plaintext.expose_secret(), PLAINTEXT);
    let refused = open(&blob, &EncryptionContext::new()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
    let made = kms.generate_data_key(GenerateDataKeyRequest::new(key).context(&context)).unwrap();
    assert_eq!(open(&made.ciphertext_blob, &context).unwrap().plaintext, made.plaintext);
    assert_eq!(world.requests()[4..], ["encrypt", "decrypt", "decrypt", "encrypt", "decrypt"]);

    // A rotation adds a key in Vault, and earlier ciphertexts remain.
    kms.rotate_key_on_demand(key).unwrap();
    assert_eq!(world.vault.keys().len(), 2);
    let next = kms.encrypt(EncryptRequest::new(key, PLAINTEXT).context(&context)).unwrap().ciphertext_blob;
    for blob in [&blob, &next] {
        assert_eq!(open(blob, &context).unwrap().plaintext.expose_secret(), PLAINTEXT);
    }
    let [one, _] = &world.vault.keys()[..] else { panic!("two keys") };
    assert!(one.contains(&format!("-{key}-")), "{one}");
    let described = world.vault.admin("GET", &format!("transit/keys/{one}"), &Value::Null);
    assert_eq!((&described["type"], &described["exportable"]), (&json!("aes256-gcm96"), &json!(false)));

    let hmac = world.create(CreateKeyRequest::default().spec(KeySpec::Hmac384).usage(KeyUsage::GenerateVerifyMac));
    let request = GenerateMacRequest::new(hmac, MacAlgorithm::HmacSha384, PLAINTEXT);
    assert_eq!(kms.generate_mac(request).unwrap().mac.len(), 48);
    let curve = CreateKeyRequest::default().spec(KeySpec::EccSecgP256k1).usage(KeyUsage::SignVerify);
    let error = kms.create_key(curve.provider("vault")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedOperation);
    assert!(error.to_string().contains("no keys on this curve"), "{error}");
}

/// An administrator rotates the key in Vault, against the advice. The public key in the store stays valid.
#[test]
fn a_rotation_in_vault_changes_nothing() {
    let Some(world) = World::start("a_rotation_in_vault_changes_nothing") else { return };
    let cipher = world.create(CreateKeyRequest::default());
    let blob = world.kms.encrypt(EncryptRequest::new(cipher, PLAINTEXT)).unwrap().ciphertext_blob;
    let pair = world.create(CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify));
    let public_key = world.kms.get_public_key(pair).unwrap().public_key;
    for name in world.vault.keys() {
        world.vault.admin("POST", &format!("transit/keys/{name}/rotate"), &json!({}));
    }
    let algorithm = SigningAlgorithm::EcdsaSha256;
    let signature = world.kms.sign(SignRequest::new(pair, algorithm, PLAINTEXT)).unwrap().signature;
    world.kms.verify(VerifyRequest::new(pair, algorithm, PLAINTEXT, &signature)).unwrap();
    assert_eq!(world.kms.get_public_key(pair).unwrap().public_key, public_key);
    let next = world.kms.encrypt(EncryptRequest::new(cipher, PLAINTEXT)).unwrap().ciphertext_blob;
    let open = |blob: &[u8]| world.kms.decrypt(DecryptRequest::new(blob));
    assert!([&blob, &next].into_iter().all(|blob| open(blob).is_ok()));
    // Version 1 is no longer allowed: the key is unavailable, until the setting is lowered.
    let name = world.vault.keys().into_iter().find(|name| name.contains(&cipher.to_string())).unwrap();
    let configure = |version: u32| {
        let body = json!({"min_decryption_version": version});
        world.vault.admin("POST", &format!("transit/keys/{name}/config"), &body);
    };
    configure(2);
    let error = open(&blob).unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::KeyUnavailable, Some(VaultFailure::KeyVersion)), "{error}");
    let error = world.kms.encrypt(EncryptRequest::new(cipher, PLAINTEXT)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    configure(1);
    assert!(open(&blob).is_ok());
}

#[test]
fn an_outage_makes_keys_unavailable() {
    let Some(world) = World::start("an_outage_makes_keys_unavailable") else { return };
    let key = world.create(CreateKeyRequest::default());
    let blob = world.kms.encrypt(EncryptRequest::new(key, PLAINTEXT)).unwrap().ciphertext_blob;
    let envelope = Envelope::new(KmsKeyring::new(&world.kms, key).unwrap());
    let message = envelope.encrypt(PLAINTEXT, &EncryptionContext::new()).unwrap();
    world.works.store(false, Ordering::SeqCst);
    let create = || world.kms.create_key(CreateKeyRequest::default().provider("vault")).map(drop);
    let errors = [
        world.kms.decrypt(DecryptRequest::new(&blob)).map(drop).unwrap_err(),
        world.kms.encrypt(EncryptRequest::new(key, PLAINTEXT)).map(drop).unwrap_err(),
        create().unwrap_err(),
        // An envelope passes the failure on.
        envelope.decrypt(&message, &EncryptionContext::new()).unwrap_err(),
        envelope.encrypt(PLAINTEXT, &EncryptionContext::new()).unwrap_err(),
    ];
    for error in errors {
        let found = (error.kind(), failure(&error));
        assert_eq!(found, (ErrorKind::KeyUnavailable, Some(VaultFailure::Sealed)), "{error}");
    }
    world.works.store(true, Ordering::SeqCst);
    let opened = world.kms.decrypt(DecryptRequest::new(&blob)).unwrap();
    assert_eq!(opened.plaintext.expose_secret(), PLAINTEXT);
    assert_eq!(envelope.decrypt(&message, &EncryptionContext::new()).unwrap(), PLAINTEXT);

    // A key that was deleted in Vault is unavailable, and never gone.
    let [name] = &world.vault.keys()[..] else { panic!("one key") };
    world.vault.admin("POST", &format!("transit/keys/{name}/config"), &json!({"deletion_allowed": true}));
    world.vault.admin("DELETE", &format!("transit/keys/{name}"), &Value::Null);
    let error = world.kms.decrypt(DecryptRequest::new(&blob)).unwrap_err();
    let found = (error.kind(), failure(&error));
    assert_eq!(found, (ErrorKind::KeyUnavailable, Some(VaultFailure::KeyNotFound)), "{error}");
}

#[test]
fn a_deleted_key_is_deleted_in_vault_after_an_outage() {
    let Some(world) = World::start("a_deleted_key_is_deleted_in_vault_after_an_outage") else { return };
    let key = world.create(CreateKeyRequest::default());
    world.kms.schedule_key_deletion(key, Default::default()).unwrap();
    world.works.store(false, Ordering::SeqCst);
    world.clock.advance_days(31);
    world.kms.confirm_clock(strongroom::Clock::now(&*world.clock)).unwrap();
    assert!(!world.kms.run_maintenance().unwrap().is_complete(), "Vault is sealed");
    assert_eq!(world.vault.keys().len(), 1);
    world.works.store(true, Ordering::SeqCst);
    assert!(world.kms.run_maintenance().unwrap().is_complete());
    assert!(world.vault.keys().is_empty());
}

/// The deletion is allowed and then not performed, because of a policy or another administrator.
#[test]
fn a_refused_deletion_is_tried_again() {
    let Some(vault) = Vault::start("a_refused_deletion_is_tried_again") else { return };
    let vault = Arc::new(vault);
    let (answering, refuses) = (Arc::clone(&vault), Arc::new(AtomicBool::new(true)));
    let refusing = Arc::clone(&refuses);
    let endpoint = Endpoint::start(move |request| match request.operation.starts_with("DELETE ") {
        true if refusing.load(Ordering::SeqCst) => {
            refusal(400, &["error deleting policy a: deletion is not allowed for this key"])
        }
        _ => answering.forward(request),
    });
    let provider = VaultProvider::new(&transit(&endpoint.url(), ROOT), "vault");
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let kms = Kms::builder().clock(Arc::clone(&clock)).provider(provider).build().unwrap();
    let key = kms.create_key(CreateKeyRequest::default().provider("vault")).unwrap().key_id();
    kms.schedule_key_deletion(key, Default::default()).unwrap();
    clock.advance_days(31);
    kms.confirm_clock(strongroom::Clock::now(&*clock)).unwrap();
    assert!(!kms.run_maintenance().unwrap().is_complete());
    assert_eq!(vault.keys().len(), 1);
    refuses.store(false, Ordering::SeqCst);
    assert!(kms.run_maintenance().unwrap().is_complete());
    assert!(vault.keys().is_empty());
}

/// If the answer describes another key than the requested one, the new key is deleted again.
#[test]
fn an_answer_about_another_key_is_refused() {
    let Some(vault) = Vault::start("an_answer_about_another_key_is_refused") else { return };
    let vault = Arc::new(vault);
    let answering = Arc::clone(&vault);
    let endpoint = Endpoint::start(move |request| {
        let Answer::Reply(status, kind, body) = answering.forward(request) else { panic!("a reply") };
        let text = String::from_utf8(body).unwrap().replace("aes256-gcm96", "aes128-gcm96");
        Answer::Reply(status, kind, text.into_bytes())
    });
    let provider = VaultProvider::new(&transit(&endpoint.url(), ROOT), "vault");
    let kms = Kms::builder().provider(provider).build().unwrap();
    let error = kms.create_key(CreateKeyRequest::default().provider("vault")).unwrap_err();
    assert_eq!(failure(&error), Some(VaultFailure::InvalidResponse), "{error}");
    assert!(vault.keys().is_empty(), "{:?}", vault.keys());
}

#[test]
fn a_token_needs_what_the_documentation_lists() {
    let Some(vault) = Vault::start("a_token_needs_what_the_documentation_lists") else { return };
    let documented = include_str!("../../src/provider/mod.rs").replace("/// ", "");
    let policy: Vec<_> = documented.lines().filter(|line| line.starts_with("path \"")).collect();
    assert_eq!(policy.len(), 6);
    let provider = VaultProvider::new(&transit(&vault.url(), &vault.token(&policy.join("\n"))), "vault");
    let quick = |spec, _| !matches!(spec, KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096);
    conformance::run(&provider, &CryptoBackend::default(), quick).unwrap();
}
