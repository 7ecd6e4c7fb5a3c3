//! Keys of a store whose material is in AWS KMS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom::algorithm::SigningAlgorithm;
use strongroom::crypto::CryptoBackend;
use strongroom::key::{KeySpec, KeyState, KeyUsage};
use strongroom::provider::conformance;
use strongroom::request::{
    CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateDataKeyRequest, SignRequest, VerifyRequest,
};
use strongroom::{EncryptionContext, ErrorKind, Kms, ManualClock, Timestamp};
use strongroom_aws_kms::{AwsKmsError, AwsKmsFailure, AwsKmsProvider};

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::server::{ACCESS_KEY, TestServer};
use crate::support::{PLAINTEXT, aws_kms, config, of_config};

const LOCAL: &str = "local";

#[test]
fn the_provider_meets_the_contract() {
    let server = TestServer::start();
    let provider = AwsKmsProvider::new(&aws_kms(&server, ACCESS_KEY), "aws");
    let quick = |spec, _| !matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096);
    conformance::run(&provider, &CryptoBackend::default(), quick).unwrap();
}

/// A KMS in the place of AWS KMS, which can be out of order, and a KMS that uses its keys.
struct World {
    upper: Kms,
    endpoint: Endpoint,
    works: Arc<AtomicBool>,
    clock: Arc<ManualClock>,
    kms: Kms,
}

impl World {
    fn start() -> Self {
        let upper = Kms::in_memory().unwrap();
        let works = Arc::new(AtomicBool::new(true));
        let (answering, answers) = (upper.clone(), Arc::clone(&works));
        let endpoint = Endpoint::start(move |request| match answers.load(Ordering::SeqCst) {
            true => Answer::of(&answering, request),
            false => Answer::exception(500, "KMSInternalException", ""),
        });
        let aws = of_config(config(&endpoint.url(), LOCAL, ACCESS_KEY));
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
        let builder = Kms::builder().clock(Arc::clone(&clock)).provider(AwsKmsProvider::new(&aws, "aws"));
        Self { upper, endpoint, works, clock, kms: builder.build().unwrap() }
    }

    fn create(&self, request: CreateKeyRequest) -> strongroom::key::KeyId {
        self.kms.create_key(request.provider("aws")).unwrap().key_id()
    }

    /// Returns the states of the keys in AWS KMS, and the values of their tags.
    fn above(&self) -> Vec<(KeyState, Vec<String>)> {
        let keys = self.upper.list_keys(Default::default()).unwrap();
        let describe = |id: strongroom::key::KeyId| {
            let state = self.upper.describe_key(id).unwrap().state();
            let tags = self.upper.list_resource_tags(id, Default::default()).unwrap();
            (state, tags.entries.iter().map(|tag| format!("{} {}", tag.key(), tag.value())).collect())
        };
        keys.entries.iter().map(|entry| describe(entry.key_id)).collect()
    }
}

#[test]
fn keys_of_a_store_are_used_in_aws() {
    let world = World::start();
    let (kms, context) = (&world.kms, EncryptionContext::from([("tenant", "42")]));
    let key = world.create(CreateKeyRequest::default());
    let blob = kms.encrypt(EncryptRequest::new(key, PLAINTEXT).context(&context)).unwrap().ciphertext_blob;
    let open = |blob: &[u8], context: &EncryptionContext| kms.decrypt(DecryptRequest::new(blob).context(context));
    assert_eq!(open(&blob, &context).unwrap().plaintext.expose_secret(), PLAINTEXT);
    let refused = open(&blob, &EncryptionContext::new()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
    let made = kms.generate_data_key(GenerateDataKeyRequest::new(key).context(&context)).unwrap();
    assert_eq!(open(&made.ciphertext_blob, &context).unwrap().plaintext, made.plaintext);
    let operations: Vec<_> = world.endpoint.requests().into_iter().map(|request| request.operation).collect();
    assert_eq!(operations, ["CreateKey", "Encrypt", "Decrypt", "Decrypt", "GenerateDataKey", "Decrypt"]);
    // The context of the caller does not leave the process.
    assert!(world.endpoint.requests().iter().all(|request| !request.body.contains("tenant")));

    // A rotation adds a key in AWS KMS, and earlier ciphertexts remain.
    kms.rotate_key_on_demand(key).unwrap();
    assert_eq!(world.above().len(), 2);
    let next = kms.encrypt(EncryptRequest::new(key, PLAINTEXT).context(&context)).unwrap().ciphertext_blob;
    for blob in [&blob, &next] {
        assert_eq!(open(blob, &context).unwrap().plaintext.expose_secret(), PLAINTEXT);
    }

    let pair = world.create(CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify));
    let algorithm = SigningAlgorithm::EcdsaSha256;
    let long = vec![7; 4_096];
    let signature = kms.sign(SignRequest::new(pair, algorithm, &long)).unwrap().signature;
    kms.verify(VerifyRequest::new(pair, algorithm, &long, &signature)).unwrap();
    let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let error = kms.create_key(hmac.provider("aws")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedOperation);
    assert!(error.to_string().contains("4,096 bytes"), "{error}");
}

#[test]
fn an_outage_makes_keys_unavailable() {
    let world = World::start();
    let key = world.create(CreateKeyRequest::default());
    let blob = world.kms.encrypt(EncryptRequest::new(key, PLAINTEXT)).unwrap().ciphertext_blob;
    world.works.store(false, Ordering::SeqCst);
    let error = world.kms.decrypt(DecryptRequest::new(&blob)).unwrap_err();
    let failure = error.downcast_ref().map(AwsKmsError::failure);
    assert_eq!((error.kind(), failure), (ErrorKind::KeyUnavailable, Some(AwsKmsFailure::ServiceFault)), "{error}");
    // The creation of a key is not repeated, as each attempt could create one.
    let before = world.endpoint.requests().len();
    let error = world.kms.create_key(CreateKeyRequest::default().provider("aws")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    assert_eq!(world.endpoint.requests().len(), before + 1);
    world.works.store(true, Ordering::SeqCst);
    let opened = world.kms.decrypt(DecryptRequest::new(&blob)).unwrap();
    assert_eq!(opened.plaintext.expose_secret(), PLAINTEXT);

    // A key that was disabled or deleted in AWS KMS is unavailable, and never gone.
    let above = world.upper.list_keys(Default::default()).unwrap().entries[0].key_id;
    world.upper.disable_key(above).unwrap();
    let error = world.kms.decrypt(DecryptRequest::new(&blob)).unwrap_err();
    let failure = error.downcast_ref().map(AwsKmsError::failure);
    assert_eq!((error.kind(), failure), (ErrorKind::KeyUnavailable, Some(AwsKmsFailure::KeyDisabled)), "{error}");
}

#[test]
fn a_deleted_key_is_deleted_in_aws_after_an_outage() {
    let world = World::start();
    let key = world.create(CreateKeyRequest::default());
    let [(KeyState::Enabled, tags)] = &world.above()[..] else { panic!("one key") };
    assert!(tags.contains(&format!("strongroom-key {key}")), "{tags:?}");
    assert!(tags.contains(&"strongroom-version 1".to_owned()), "{tags:?}");
    world.kms.schedule_key_deletion(key, Default::default()).unwrap();
    world.works.store(false, Ordering::SeqCst);
    world.clock.advance_days(31);
    world.kms.confirm_clock(strongroom::Clock::now(&*world.clock)).unwrap();
    assert!(!world.kms.run_maintenance().unwrap().is_complete(), "AWS KMS does not respond");
    assert_eq!(world.above()[0].0, KeyState::Enabled);
    world.works.store(true, Ordering::SeqCst);
    assert!(world.kms.run_maintenance().unwrap().is_complete());
    assert_eq!(world.above()[0].0, KeyState::PendingDeletion);
}
