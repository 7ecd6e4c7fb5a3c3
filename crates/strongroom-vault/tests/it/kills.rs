//! Processes that are killed between a call to Vault and the commit of the store.
//!
//! The endpoint of the test kills the process at a chosen request. The process is this program, which
//! runs one test again with a variable of the environment.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{Kms, Result};
use strongroom_vault::{VaultProvider, VaultRootKey};

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::{PLAINTEXT, ROOT, Vault, transit, wait_until};

/// The variable with the folder and the endpoint, separated by line breaks.
const VARIABLE: &str = "STRONGROOM_VAULT_CHILD";

/// A server behind an endpoint that kills a process.
struct World {
    vault: Arc<Vault>,
    endpoint: Endpoint,
    victim: Arc<Mutex<Option<Child>>>,
    folder: tempfile::TempDir,
}

impl World {
    /// Kills the process at its first request whose method and path contain these, before or after Vault
    /// performs it.
    fn start(test: &str, method: &'static str, path: &'static str, after: bool) -> Option<Self> {
        let vault = Arc::new(Vault::start(test)?);
        vault.create("root", "aes256-gcm96");
        let victim: Arc<Mutex<Option<Child>>> = Arc::default();
        let (answering, killing) = (Arc::clone(&vault), Arc::clone(&victim));
        let endpoint = Endpoint::start(move |request| {
            let mut victim = killing.lock().unwrap();
            let is_chosen = request.operation.starts_with(method) && request.operation.contains(path);
            if is_chosen && victim.is_some() {
                let answer = after.then(|| answering.forward(request));
                let mut child = victim.take().unwrap();
                child.kill().unwrap();
                child.wait().unwrap();
                return answer.unwrap_or(Answer::Close);
            }
            answering.forward(request)
        });
        Some(Self { vault, endpoint, victim, folder: tempfile::tempdir().unwrap() })
    }

    /// Runs a test of this file in a process, until the endpoint kills it.
    fn kill(&self, test: &str) {
        let value = format!("{}\n{}", self.folder.path().display(), self.endpoint.url());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("kills::{test}"), "--exact"]).env(VARIABLE, value).stdout(Stdio::null());
        // The endpoint waits for the lock, so it cannot miss the process.
        let mut victim = self.victim.lock().unwrap();
        *victim = Some(command.spawn().unwrap());
        drop(victim);
        wait_until(|| self.victim.lock().unwrap().is_none());
    }

    fn open(&self) -> Result<Kms> {
        open(self.folder.path(), &self.endpoint.url())
    }

    fn root_key(&self) -> VaultRootKey {
        VaultRootKey::new(&transit(&self.endpoint.url(), ROOT), "root").unwrap()
    }

    /// Returns the number of keys in Vault of the store.
    fn above(&self) -> usize {
        self.vault.keys().iter().filter(|name| name.starts_with("strongroom-")).count()
    }
}

fn local() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}

fn open(folder: &Path, url: &str) -> Result<Kms> {
    let store = SqliteStore::open(folder.join("keys.db"), &Default::default())?;
    let provider = VaultProvider::new(&transit(url, ROOT), "vault");
    Kms::builder().store(store, local()).provider(provider).build()
}

fn request() -> CreateKeyRequest {
    CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify).provider("vault")
}

/// Returns the folder and the endpoint of a process that is to be killed.
fn parameters() -> Option<[String; 2]> {
    let value = std::env::var(VARIABLE).ok()?;
    let parts: Vec<_> = value.lines().map(str::to_owned).collect();
    parts.try_into().ok()
}

#[test]
fn child_creates_a_key() {
    if let Some([folder, url]) = parameters() {
        open(Path::new(&folder), &url).unwrap().create_key(request()).unwrap();
    }
}

#[test]
fn child_moves_the_root_key() {
    if let Some([folder, url]) = parameters() {
        let holder = VaultRootKey::new(&transit(&url, ROOT), "root").unwrap();
        open(Path::new(&folder), &url).unwrap().move_root_key(RootKey::from_holder(holder)).unwrap();
    }
}

/// The key in Vault exists, and the store does not know it.
#[test]
fn a_key_without_its_commit_is_found_by_its_name() {
    let test = "a_key_without_its_commit_is_found_by_its_name";
    for (method, after, left) in [("POST", false, 0), ("POST", true, 1), ("GET", true, 1)] {
        let Some(world) = World::start(test, method, "/keys/strongroom-", after) else { return };
        world.kill("child_creates_a_key");
        assert_eq!(world.above(), left, "{method}");
        let kms = world.open().unwrap();
        assert!(kms.list_keys(Default::default()).unwrap().entries.is_empty(), "{method}");
        assert!(kms.verify_store(|_| {}).unwrap().is_intact(), "{method}");
        kms.create_key(request()).unwrap();
        assert_eq!(world.above(), left + 1, "{method}");
        assert!(kms.run_maintenance().unwrap().is_complete(), "{method}");
    }
}

/// The store opens with its previous holder, and the move is repeated.
#[test]
fn an_interrupted_move_of_the_root_key_loses_nothing() {
    let test = "an_interrupted_move_of_the_root_key_loses_nothing";
    for after in [false, true] {
        let Some(world) = World::start(test, "POST", "/encrypt/root", after) else { return };
        let kms = world.open().unwrap();
        let key = kms.create_key(Default::default()).unwrap().key_id();
        let blob = kms.encrypt(EncryptRequest::new(key, PLAINTEXT)).unwrap().ciphertext_blob;
        drop(kms);
        world.kill("child_moves_the_root_key");
        let kms = world.open().unwrap();
        let read = |kms: &Kms| {
            let opened = kms.decrypt(DecryptRequest::new(&blob)).unwrap();
            assert_eq!(opened.plaintext.expose_secret(), PLAINTEXT);
        };
        read(&kms);
        kms.move_root_key(RootKey::from_holder(world.root_key())).unwrap();
        drop(kms);
        read(&Kms::open(world.folder.path().join("keys.db"), RootKey::from_holder(world.root_key())).unwrap());
    }
}
