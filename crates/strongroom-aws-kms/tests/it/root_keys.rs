//! Root keys of stores under a key in AWS KMS.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strongroom::identity::Locality;
use strongroom::request::{DecryptRequest, EncryptRequest, PutKeyPolicyRequest};
use strongroom::seal::{RootKey, RootKeyHolder, conformance};
use strongroom::{ErrorKind, Kms, Result};
use strongroom_aws_kms::{AwsKms, AwsKmsError, AwsKmsFailure, AwsKmsRootKey};

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::server::{ACCESS_KEY, ALICE_ACCESS_KEY, TestServer};
use crate::support::{PLAINTEXT, aws_kms, config, new_key, of_config};

const LOCAL: &str = "local";

/// A KMS in the place of AWS KMS, which can be out of order, and a folder for a store.
struct World {
    upper: Kms,
    key: String,
    endpoint: Endpoint,
    works: Arc<AtomicBool>,
    folder: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let upper = Kms::in_memory().unwrap();
        let key = upper.create_key(Default::default()).unwrap().arn().to_string();
        let works = Arc::new(AtomicBool::new(true));
        let (kms, answers) = (upper.clone(), Arc::clone(&works));
        let endpoint = Endpoint::start(move |request| match answers.load(Ordering::SeqCst) {
            true => Answer::of(&kms, request),
            false => Answer::exception(500, "KMSInternalException", ""),
        });
        Self { upper, key, endpoint, works, folder: tempfile::tempdir().unwrap() }
    }

    fn aws(&self) -> AwsKms {
        let retries = aws_sdk_kms::config::retry::RetryConfig::disabled();
        of_config(config(&self.endpoint.url(), LOCAL, ACCESS_KEY).retry_config(retries))
    }

    fn holder(&self) -> AwsKmsRootKey {
        AwsKmsRootKey::new(&self.aws(), &self.key).unwrap()
    }

    fn open(&self) -> Result<Kms> {
        open(self.folder.path(), self.holder())
    }

    fn requests(&self) -> Vec<String> {
        self.endpoint.requests().into_iter().map(|request| request.operation).collect()
    }
}

fn open(folder: &Path, holder: impl RootKeyHolder + 'static) -> Result<Kms> {
    Kms::open(folder.join("keys.db"), RootKey::from_holder(holder))
}

fn failure(error: &strongroom::Error) -> AwsKmsFailure {
    error.downcast_ref::<AwsKmsError>().unwrap_or_else(|| panic!("no failure of AWS KMS: {error}")).failure()
}

#[test]
fn the_holder_meets_the_contract() {
    let server = TestServer::start();
    let key = new_key(&server);
    conformance::run(&AwsKmsRootKey::new(&aws_kms(&server, ACCESS_KEY), &key).unwrap()).unwrap();
}

#[test]
fn operations_of_a_store_never_call_aws() {
    let world = World::start();
    let kms = world.open().unwrap();
    assert_eq!(world.requests(), ["Encrypt", "Decrypt"], "a new store also checks that it can be opened");
    let key = kms.create_key(Default::default()).unwrap().key_id();
    let blob = kms.encrypt(EncryptRequest::new(key, PLAINTEXT)).unwrap().ciphertext_blob;
    drop(kms);
    let kms = world.open().unwrap();
    assert_eq!(world.requests(), ["Encrypt", "Decrypt", "Decrypt"]);
    world.works.store(false, Ordering::SeqCst);
    let opened = kms.decrypt(DecryptRequest::new(&blob)).unwrap().plaintext;
    assert_eq!(opened.expose_secret(), PLAINTEXT);
    kms.create_key(Default::default()).unwrap();
    assert_eq!(world.requests().len(), 3, "an outage does not affect the keys of an open store");

    let error = world.open().unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::KeyUnavailable, AwsKmsFailure::ServiceFault), "{error}");
    assert_eq!(kms.rotate_root_key().unwrap_err().kind(), ErrorKind::KeyUnavailable);
    world.works.store(true, Ordering::SeqCst);
    kms.rotate_root_key().unwrap();
    let opened = world.open().unwrap().decrypt(DecryptRequest::new(&blob)).unwrap().plaintext;
    assert_eq!(opened.expose_secret(), PLAINTEXT);
}

/// Nothing but a wrong key is the wrong root key.
#[test]
fn a_key_that_cannot_be_used_is_unavailable() {
    let world = World::start();
    drop(world.open().unwrap());
    let unavailable = |expected: AwsKmsFailure| {
        let error = world.open().unwrap_err();
        assert_eq!((error.kind(), failure(&error)), (ErrorKind::KeyUnavailable, expected), "{error}");
    };
    world.upper.disable_key(world.key.as_str()).unwrap();
    unavailable(AwsKmsFailure::KeyDisabled);
    world.upper.schedule_key_deletion(world.key.as_str(), Default::default()).unwrap();
    unavailable(AwsKmsFailure::KeyState);
    world.upper.cancel_key_deletion(world.key.as_str()).unwrap();
    world.upper.enable_key(world.key.as_str()).unwrap();
    drop(world.open().unwrap());

    let other = world.upper.create_key(Default::default()).unwrap().arn().to_string();
    let other = AwsKmsRootKey::new(&world.aws(), &other).unwrap();
    let error = open(world.folder.path(), other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RootKey, "{error}");
    assert!(error.to_string().contains(&world.key), "it names the key that holds the root key: {error}");
}

#[test]
fn a_caller_without_permission_opens_nothing() {
    let server = TestServer::start();
    let (key, folder) = (new_key(&server), tempfile::tempdir().unwrap());
    let holder = |access_key| AwsKmsRootKey::new(&aws_kms(&server, access_key), &key).unwrap();
    drop(open(folder.path(), holder(ACCESS_KEY)).unwrap());
    let error = open(folder.path(), holder(ALICE_ACCESS_KEY)).unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::KeyUnavailable, AwsKmsFailure::AccessDenied), "{error}");
    // The policy that the documentation recommends.
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::000000000000:root"}}, "Action": "kms:*", "Resource": "*"}},
            {{"Effect": "Allow", "Principal": {{"AWS": "{}"}}, "Resource": "*", "Action": ["kms:Encrypt", "kms:Decrypt"],
              "Condition": {{"StringEquals": {{"kms:EncryptionContext:strongroom-purpose": "root-key"}}}}}}]}}"#,
        crate::support::server::ALICE
    );
    server.kms.put_key_policy(PutKeyPolicyRequest::new(key.as_str(), &policy)).unwrap();
    drop(open(folder.path(), holder(ALICE_ACCESS_KEY)).unwrap());
    let alice = strongroom::identity::Principal::parse(crate::support::server::ALICE).unwrap();
    let alice = server.kms.as_principal(alice).unwrap();
    let error = alice.encrypt(EncryptRequest::new(key.as_str(), PLAINTEXT)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "only for root keys");
}

#[test]
fn a_root_key_moves_to_aws_and_back() {
    let world = World::start();
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
    assert_eq!(kms.root_key_status().unwrap().holder(), format!("aws-kms {}", world.key));
    drop(kms);
    assert_eq!(Kms::open(&path, local()).unwrap_err().kind(), ErrorKind::RootKey);
    let kms = world.open().unwrap();
    assert_eq!(read(&kms).expose_secret(), PLAINTEXT);
    kms.move_root_key(local()).unwrap();
    drop(kms);
    assert_eq!(world.open().unwrap_err().kind(), ErrorKind::RootKey);
    assert_eq!(read(&Kms::open(&path, local()).unwrap()).expose_secret(), PLAINTEXT);
}

/// Another process that notices the rotation calls AWS KMS. During an outage it fails, and works
/// afterwards.
#[test]
fn a_rotation_by_another_process_is_followed_after_an_outage() {
    let world = World::start();
    let (one, other) = (world.open().unwrap(), world.open().unwrap());
    let key = one.create_key(Default::default()).unwrap().key_id();
    let blob = one.encrypt(EncryptRequest::new(key, PLAINTEXT)).unwrap().ciphertext_blob;
    other.decrypt(DecryptRequest::new(&blob)).unwrap();
    one.rotate_root_key().unwrap();
    world.works.store(false, Ordering::SeqCst);
    // The revision of a store is at most this old.
    std::thread::sleep(Duration::from_millis(50));
    let error = other.create_key(Default::default()).unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::KeyUnavailable, AwsKmsFailure::ServiceFault), "{error}");
    world.works.store(true, Ordering::SeqCst);
    other.create_key(Default::default()).unwrap();
    assert_eq!(other.decrypt(DecryptRequest::new(&blob)).unwrap().plaintext.expose_secret(), PLAINTEXT);
}

/// A copy of the store opens in another Region, with the replica there.
#[test]
fn a_multi_region_key_opens_a_store_in_every_region() {
    let regions = ["eu-west-1", "us-east-1"];
    let upper = Kms::builder().locality(Locality::new("aws", regions[0]).unwrap()).build().unwrap();
    let key = upper.create_key(Default::default()).unwrap().arn().to_string();
    let replicas = regions.map(|region| format!("arn:aws:kms:{region}:000000000000:key/mrk-1234abcd"));
    let endpoints = replicas.each_ref().map(|replica| Endpoint::region(&upper, &key, replica));
    let holders = [0, 1].map(|index: usize| {
        let aws = of_config(config(&endpoints[index].url(), regions[index], ACCESS_KEY));
        AwsKmsRootKey::new(&aws, &replicas[index]).unwrap()
    });
    let folder = tempfile::tempdir().unwrap();
    for holder in holders {
        drop(open(folder.path(), holder.clone()).unwrap());
        conformance::run(&holder).unwrap();
    }
    assert!(endpoints.iter().all(|endpoint| !endpoint.requests().is_empty()));
}
