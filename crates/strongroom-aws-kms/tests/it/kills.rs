//! Processes that are killed between a call to AWS KMS and the commit of the store.
//!
//! The endpoint of the test kills the process at a chosen request. The process is this program, which
//! runs one test again with a variable of the environment.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{Kms, Result};
use strongroom_aws_kms::{AwsKmsProvider, AwsKmsRootKey};

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::server::ACCESS_KEY;
use crate::support::{PLAINTEXT, config, of_config};

/// The variable with the folder, the endpoint and the key, separated by line breaks.
const VARIABLE: &str = "STRONGROOM_AWS_KMS_CHILD";
const LOCAL: &str = "local";

/// A KMS in the place of AWS KMS, which kills a process.
struct World {
    upper: Kms,
    key: String,
    endpoint: Endpoint,
    victim: Arc<Mutex<Option<Child>>>,
    folder: tempfile::TempDir,
}

impl World {
    /// Kills the process at its first request of an operation, before or after AWS KMS performs it.
    fn start(operation: &'static str, after: bool) -> Self {
        let upper = Kms::in_memory().unwrap();
        let key = upper.create_key(Default::default()).unwrap().arn().to_string();
        let victim: Arc<Mutex<Option<Child>>> = Arc::default();
        let (answering, killing) = (upper.clone(), Arc::clone(&victim));
        let endpoint = Endpoint::start(move |request| {
            let mut victim = killing.lock().unwrap();
            if request.operation == operation && victim.is_some() {
                let answer = after.then(|| Answer::of(&answering, request));
                let mut child = victim.take().unwrap();
                child.kill().unwrap();
                child.wait().unwrap();
                return answer.unwrap_or(Answer::Close);
            }
            Answer::of(&answering, request)
        });
        Self { upper, key, endpoint, victim, folder: tempfile::tempdir().unwrap() }
    }

    /// Runs a test of this file in a process, until the endpoint kills it.
    fn kill(&self, test: &str) {
        let value = format!("{}\n{}\n{}", self.folder.path().display(), self.endpoint.url(), self.key);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("kills::{test}"), "--exact"]).env(VARIABLE, value).stdout(Stdio::null());
        // The endpoint waits for the lock, so it cannot miss the process.
        let mut victim = self.victim.lock().unwrap();
        *victim = Some(command.spawn().unwrap());
        drop(victim);
        crate::outages::wait_until(|| self.victim.lock().unwrap().is_none());
    }

    fn open(&self) -> Result<Kms> {
        open(self.folder.path(), &self.endpoint.url())
    }

    fn root_key(&self) -> AwsKmsRootKey {
        root_key(&self.endpoint.url(), &self.key)
    }

    /// Returns the number of keys in AWS KMS whose tags name this store.
    fn above(&self) -> usize {
        let keys = self.upper.list_keys(Default::default()).unwrap().entries;
        let is_ours = |key: &strongroom::key::KeyId| {
            let tags = self.upper.list_resource_tags(key, Default::default()).unwrap().entries;
            tags.iter().any(|tag| tag.key() == "strongroom-store")
        };
        keys.iter().filter(|entry| is_ours(&entry.key_id)).count()
    }
}

fn local() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}

fn open(folder: &Path, url: &str) -> Result<Kms> {
    let store = SqliteStore::open(folder.join("keys.db"), &Default::default())?;
    let provider = AwsKmsProvider::new(&of_config(config(url, LOCAL, ACCESS_KEY)), "aws");
    Kms::builder().store(store, local()).provider(provider).build()
}

fn root_key(url: &str, key: &str) -> AwsKmsRootKey {
    AwsKmsRootKey::new(&of_config(config(url, LOCAL, ACCESS_KEY)), key).unwrap()
}

fn request() -> CreateKeyRequest {
    CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify).provider("aws")
}

/// Returns the folder, the endpoint and the key of a process that is to be killed.
fn parameters() -> Option<[String; 3]> {
    let value = std::env::var(VARIABLE).ok()?;
    let parts: Vec<_> = value.lines().map(str::to_owned).collect();
    parts.try_into().ok()
}

#[test]
fn child_creates_a_key() {
    if let Some([folder, url, _]) = parameters() {
        open(Path::new(&folder), &url).unwrap().create_key(request()).unwrap();
    }
}

#[test]
fn child_moves_the_root_key() {
    if let Some([folder, url, key]) = parameters() {
        open(Path::new(&folder), &url).unwrap().move_root_key(RootKey::from_holder(root_key(&url, &key))).unwrap();
    }
}

/// The key in AWS KMS exists, and the store does not know it.
#[test]
fn a_key_without_its_commit_is_found_by_its_tags() {
    for (operation, after, left) in [("CreateKey", false, 0), ("CreateKey", true, 1), ("GetPublicKey", true, 1)] {
        let world = World::start(operation, after);
        world.kill("child_creates_a_key");
        assert_eq!(world.above(), left, "{operation}");
        let kms = world.open().unwrap();
        assert!(kms.list_keys(Default::default()).unwrap().entries.is_empty(), "{operation}");
        assert!(kms.verify_store(|_| {}).unwrap().is_intact(), "{operation}");
        kms.create_key(request()).unwrap();
        assert_eq!(world.above(), left + 1, "{operation}");
        assert!(kms.run_maintenance().unwrap().is_complete(), "{operation}");
    }
}

/// The store opens with its previous holder, and the move is repeated.
#[test]
fn an_interrupted_move_of_the_root_key_loses_nothing() {
    for (operation, after) in [("Encrypt", false), ("Encrypt", true)] {
        let world = World::start(operation, after);
        let kms = world.open().unwrap();
        let key = kms.create_key(Default::default()).unwrap().key_id();
        let blob = kms.encrypt(EncryptRequest::new(key, PLAINTEXT)).unwrap().ciphertext_blob;
        drop(kms);
        world.kill("child_moves_the_root_key");
        let kms = world.open().unwrap();
        let read = |kms: &Kms| {
            let opened = kms.decrypt(strongroom::request::DecryptRequest::new(&blob)).unwrap();
            assert_eq!(opened.plaintext.expose_secret(), PLAINTEXT);
        };
        read(&kms);
        kms.move_root_key(RootKey::from_holder(world.root_key())).unwrap();
        drop(kms);
        read(&Kms::open(world.folder.path().join("keys.db"), RootKey::from_holder(world.root_key())).unwrap());
    }
}
