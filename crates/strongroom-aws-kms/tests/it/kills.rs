//! Processes that are killed between a call to AWS KMS and the commit of the store.
//!
//! The endpoint of the test kills the process at a chosen request. The process is this program, which
//! runs one test again with a variable of the environment.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use strongroom::envelope::{BranchKeyStore, BranchKeyVersion};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{ErrorKind, Kms, Result};
use strongroom_aws_kms::{AwsKmsBranchKeyWrapper, AwsKmsProvider, AwsKmsRootKey};

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::server::ACCESS_KEY;
use crate::support::{PLAINTEXT, config, context, of_config};

/// The variable with the folder, the endpoint and the key, separated by line breaks.
const VARIABLE: &str = "STRONGROOM_AWS_KMS_CHILD";
const LOCAL: &str = "local";

/// The calls for a new version of a branch key, and whether the process is killed after or before one.
const CALLS: [(&str, bool); 4] = [
    ("GenerateDataKeyWithoutPlaintext", false),
    ("GenerateDataKeyWithoutPlaintext", true),
    ("ReEncrypt", false),
    ("ReEncrypt", true),
];

/// The number of rotations by each process.
const ROTATIONS: usize = 4;

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

    /// Returns the command that runs a test of this file in a process.
    fn command(&self, test: &str) -> Command {
        let value = format!("{}\n{}\n{}", self.folder.path().display(), self.endpoint.url(), self.key);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("kills::{test}"), "--exact"]).env(VARIABLE, value).stdout(Stdio::null());
        command
    }

    /// Runs a test of this file in a process, until the endpoint kills it.
    fn kill(&self, test: &str) {
        let mut command = self.command(test);
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

fn branch_keys(folder: &Path, url: &str, key: &str) -> BranchKeyStore {
    let store = SqliteStore::open(folder.join("branch-keys.db"), &Default::default()).unwrap();
    let aws = of_config(config(url, LOCAL, ACCESS_KEY));
    BranchKeyStore::new(store, "branch-keys", AwsKmsBranchKeyWrapper::new(&aws, key).unwrap()).unwrap()
}

#[test]
fn child_creates_a_branch_key() {
    if let Some([folder, url, key]) = parameters() {
        branch_keys(Path::new(&folder), &url, &key).create_branch_key_as("a", &context()).unwrap();
    }
}

#[test]
fn child_rotates_a_branch_key() {
    if let Some([folder, url, key]) = parameters() {
        let keys = branch_keys(Path::new(&folder), &url, &key);
        for _ in 0..ROTATIONS {
            keys.rotate("a").unwrap();
        }
    }
}

/// Requires that a branch key is complete: all its versions and its beacon key can be unwrapped.
fn is_complete(keys: &BranchKeyStore, items: usize) {
    let exported = keys.export("a").unwrap();
    assert_eq!(exported.len(), items);
    let active = keys.active("a").unwrap();
    assert_eq!(keys.version("a", active.version()).unwrap().expose_secret(), active.expose_secret());
    let versions = exported.iter().filter_map(|item| item.item_type().strip_prefix("branch:version:"));
    for version in versions {
        keys.version("a", BranchKeyVersion::parse(version).unwrap()).unwrap();
    }
    keys.beacon("a").unwrap();
}

#[test]
fn an_interrupted_creation_of_a_branch_key_leaves_nothing_behind() {
    for (operation, after) in CALLS {
        let world = World::start(operation, after);
        world.kill("child_creates_a_branch_key");
        let keys = branch_keys(world.folder.path(), &world.endpoint.url(), &world.key);
        assert_eq!(keys.export("a").unwrap_err().kind(), ErrorKind::NotFound, "{operation} {after}");
        keys.create_branch_key_as("a", &context()).unwrap();
        is_complete(&keys, 3);
    }
}

#[test]
fn an_interrupted_rotation_of_a_branch_key_leaves_it_as_it_was() {
    for (operation, after) in CALLS {
        let world = World::start(operation, after);
        let keys = branch_keys(world.folder.path(), &world.endpoint.url(), &world.key);
        keys.create_branch_key_as("a", &context()).unwrap();
        let version = keys.active("a").unwrap().version();
        world.kill("child_rotates_a_branch_key");
        assert_eq!(keys.active("a").unwrap().version(), version, "{operation} {after}");
        is_complete(&keys, 3);
        keys.rotate("a").unwrap();
        is_complete(&keys, 4);
    }
}

#[test]
fn processes_that_rotate_a_branch_key_lose_no_version() {
    let world = World::start("none", false);
    let keys = branch_keys(world.folder.path(), &world.endpoint.url(), &world.key);
    keys.create_branch_key_as("a", &context()).unwrap();
    let mut children = [world.command("child_rotates_a_branch_key"), world.command("child_rotates_a_branch_key")]
        .map(|mut command| command.spawn().unwrap());
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    is_complete(&keys, 3 + 2 * ROTATIONS);
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
