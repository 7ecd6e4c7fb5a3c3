//! `kill -9` at every call that creating and deleting a key issues to either token of a two-token
//! cluster.
//!
//! A child, which is this test binary run again, opens the store and the tokens. The module in
//! front of one token kills the child at the n-th call: before the call is forwarded, or after the
//! token has performed it but before the child receives the result. Afterwards there must be either
//! no key or exactly one, identical in both tokens, and no trace of any other.
//!
//! With `STRONGROOM_HSM_FAULTS=all`, every call is tested instead of a selection.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strongroom::crypto::{CryptoBackend, RUST_CRYPTO};
use strongroom::key::{ClusterId, CustomKeyStoreId, DeletionWindow, KeyId, KeyState};
use strongroom::provider::pkcs11::{Module, ModuleOptions, Pkcs11Cluster, TokenConfig, TokenSelector};
use strongroom::provider::{CryptoUserCredential, FixedCredential, HsmCluster};
use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest, DecryptRequest, EncryptRequest, PageRequest};
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{Clock, ErrorKind, Kms, ManualClock, SecretBytes, Timestamp};
use strongroom_pkcs11_faults::{Action, Bare, PIN, SecretKey, SoftHsm};

use crate::support::child_process;
use crate::support::kms::kind;
use crate::support::soft_tokens::two_soft_hsms;

type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

const REPLICATION_KEY: &[u8] = b"replication key";
const MEMBERS: [&str; 2] = ["east", "west"];

/// The libtest name of the child, and the variable that contains its instructions:
/// `work|store|custom key store|now|folder of east|folder of west|member|call|before or after`.
const CHILD: &str = "hsm::kills::works_until_it_is_killed";
const ORDERS: &str = "STRONGROOM_HSM_KILL";

/// The distance between two tested calls if not every call is tested.
const STEP: usize = 29;

/// Longer than the time for which an intent is left alone because its process may still be running.
const LONG_AFTER: Duration = Duration::from_secs(16 * 60);

/// The operation during which the child is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Create,
    Delete,
}

/// The point at which the child is killed.
#[derive(Clone, Copy, Debug)]
struct Death {
    member: usize,
    /// The zero-based index of the call.
    call: u64,
    action: Action,
}

/// A file-backed store and two tokens, as seen by one process.
struct World {
    store: PathBuf,
    hsms: [SoftHsm; 2],
    clock: Arc<ManualClock>,
    backend: CryptoBackend,
}

impl World {
    fn cluster(&self) -> TestResult<Pkcs11Cluster> {
        let mut cluster = Pkcs11Cluster::from_members(REPLICATION_KEY);
        for (hsm, name) in self.hsms.iter().zip(MEMBERS) {
            let options = ModuleOptions::default().reinitialize_interval(Duration::from_millis(5));
            let module = Module::load_with(hsm.shim().path(), options)?;
            let config = TokenConfig::new(TokenSelector::Label(name.to_owned())).backend(self.backend);
            cluster = cluster.member(name, &format!("zone of {name}"), &module, config);
        }
        Ok(cluster)
    }

    /// Opens the store and connects to the tokens, like a process that starts.
    fn open(&self) -> TestResult<(Kms, Pkcs11Cluster)> {
        let cluster = self.cluster()?;
        let store = SqliteStore::open(&self.store, &self.backend)?;
        let builder = Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).backend(self.backend);
        let kms = builder
            .clock(Arc::clone(&self.clock))
            .clock_tolerance(Duration::MAX)
            .cluster(ClusterId::parse("vault")?, cluster.clone())
            .build()?;
        Ok((kms, cluster))
    }

    /// Returns every secret key of both tokens, as reported by the tokens themselves. The
    /// tokens must be connected.
    fn secret_keys(&self) -> [Vec<SecretKey>; 2] {
        [0, 1].map(|member| Bare::secret_keys(&self.hsms[member].bare_path(), MEMBERS[member]))
    }
}

/// A world with a custom key store that contains one untouched key, the witness.
struct Parent {
    world: World,
    custom: CustomKeyStoreId,
    witness: KeyId,
    sealed: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Parent {
    /// Returns `None` if SoftHSM is not installed. Reports this, or fails if SoftHSM is required.
    fn new(test: &str) -> TestResult<Option<Self>> {
        let Some(hsms) = two_soft_hsms(test, MEMBERS) else { return Ok(None) };
        let folder = child_process::fast_folder()?;
        let world = World {
            store: folder.path().join("keys.strongroom"),
            hsms,
            clock: Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000))),
            backend: CryptoBackend::default(),
        };
        let cluster = world.cluster()?;
        let pin = || SecretBytes::copy_from_slice(PIN.as_bytes());
        let credential: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(pin()));
        cluster.connect(&credential).map_err(|failure| failure.error)?;
        cluster.install_replication_key(&SecretBytes::copy_from_slice(&[0x5A; 32]))?;
        cluster.disconnect();
        let (kms, _) = world.open()?;
        let request = CreateCustomKeyStoreRequest::new("safe", ClusterId::parse("vault")?).key_store_password(pin());
        let custom = kms.create_custom_key_store(request)?;
        kms.connect_custom_key_store(custom)?;
        let witness = create(&kms, custom)?;
        let sealed = kms.encrypt(EncryptRequest::new(witness, b"sealed before"))?.ciphertext_blob;
        Ok(Some(Self { world, custom, witness, sealed, _folder: folder }))
    }

    /// Runs a child that is to be killed, and returns its output.
    fn run_child(&self, work: Work, death: Death) -> TestResult<Vec<String>> {
        let World { store, hsms: [east, west], clock, .. } = &self.world;
        let orders = format!(
            "{work:?}|{}|{}|{}|{}|{}|{}|{}|{:?}",
            store.display(),
            self.custom,
            clock.now().unix_millis(),
            east.folder().display(),
            west.folder().display(),
            death.member,
            death.call,
            death.action,
        );
        let output = child_process::child(CHILD, store)?.env(ORDERS, orders).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<String> = said.lines().filter_map(|line| line.strip_prefix("> ")).map(str::to_owned).collect();
        let finished = lines.last().is_some_and(|line| line == "end");
        // The child is killed or finishes. It never fails.
        let killed = output.status.code().is_none();
        assert!(killed != finished, "{work:?} {death:?}: {lines:?}\n{}", String::from_utf8_lossy(&output.stderr));
        Ok(lines)
    }

    /// Creates a key and schedules its deletion. The deletion is then due.
    fn doom_a_key(&self) -> TestResult<KeyId> {
        let (kms, _) = self.world.open()?;
        let key = create(&kms, self.custom)?;
        kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
        drop(kms);
        self.world.clock.advance_days(8);
        Ok(key)
    }

    /// Starts a process long enough after the death of another one and checks that the store and
    /// the tokens are intact. Returns the keys that it finds in addition to the witness, which it
    /// leaves alone.
    fn check(&self, what: &str) -> TestResult<Vec<KeyId>> {
        self.world.clock.advance(LONG_AFTER);
        let (kms, _cluster) = self.world.open()?;
        let report = kms.run_maintenance()?;
        assert!(report.failed.is_empty(), "{what}: {:?}", report.failed);
        // Connects if there was nothing to reconcile.
        kms.describe_custom_key_store(self.custom)?;
        let sound = kms.verify_store(|_| {})?;
        assert!(sound.is_intact(), "{what}: {sound:?}");
        let mut keys = key_ids(&kms)?;
        self.check_tokens(&keys, what);
        for key in &keys {
            assert_eq!(kms.describe_key(*key)?.state(), KeyState::Enabled, "{what}");
            round(&kms, *key)?;
        }
        let opened = kms.decrypt(DecryptRequest::new(&self.sealed))?;
        assert_eq!(opened.plaintext.expose_secret(), b"sealed before", "{what}");
        // The process keeps working: it uses another key and deletes every key except the witness.
        round(&kms, create(&kms, self.custom)?)?;
        keys.retain(|key| *key != self.witness);
        for key in key_ids(&kms)?.into_iter().filter(|key| *key != self.witness) {
            kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
        }
        self.world.clock.advance_days(8);
        let report = kms.run_maintenance()?;
        assert!(report.failed.is_empty(), "{what}: {:?}", report.failed);
        self.check_tokens(&[self.witness], what);
        Ok(keys)
    }

    /// Checks that both tokens hold exactly the keys with these IDs and the replication key, and
    /// that none of them can be extracted.
    fn check_tokens(&self, keys: &[KeyId], what: &str) {
        let version = 1_u32.to_be_bytes();
        let mut ids: Vec<Vec<u8>> = keys.iter().map(|key| [&key.as_bytes()[..], &version].concat()).collect();
        ids.push(REPLICATION_KEY.to_vec());
        ids.sort();
        for (found, member) in self.world.secret_keys().into_iter().zip(MEMBERS) {
            let unprotected: Vec<_> = found.iter().filter(|key| key.extractable || !key.sensitive).collect();
            assert!(unprotected.is_empty(), "{what}, {member}: {unprotected:?}");
            assert_eq!(found.into_iter().map(|key| key.id).collect::<Vec<_>>(), ids, "{what}, {member}");
        }
    }
}

fn create(kms: &Kms, custom: CustomKeyStoreId) -> strongroom::Result<KeyId> {
    Ok(kms.create_key(CreateKeyRequest::default().custom_key_store(custom))?.key_id())
}

fn round(kms: &Kms, key: KeyId) -> TestResult {
    let sealed = kms.encrypt(EncryptRequest::new(key, b"whole"))?.ciphertext_blob;
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"whole");
    Ok(())
}

fn key_ids(kms: &Kms) -> TestResult<Vec<KeyId>> {
    Ok(kms.list_keys(PageRequest::default())?.entries.iter().map(|entry| entry.key_id).collect())
}

fn say(text: &str) {
    // Lines of this test have a prefix, because libtest writes to the same pipe.
    println!("\n> {text}");
}

#[test]
#[ignore = "run only as the child process of a test that kills it"]
fn works_until_it_is_killed() -> TestResult {
    let orders = env::var(ORDERS).map_err(|_| "run only by a test that kills it")?;
    let orders: Vec<&str> = orders.split('|').collect();
    let [work, store, custom, now, east, west, member, call, action] = orders[..] else {
        return Err("the orders have nine parts".into());
    };
    let world = World {
        store: store.into(),
        hsms: [east, west].map(|folder| SoftHsm::of_other_process(Path::new(folder))),
        clock: Arc::new(ManualClock::new(Timestamp::from_unix_millis(now.parse()?))),
        // This backend has no startup cost.
        backend: RUST_CRYPTO,
    };
    let (kms, cluster) = world.open()?;
    let custom = CustomKeyStoreId::parse(custom)?;
    kms.describe_custom_key_store(custom)?; // connects
    let shim = world.hsms[member.parse::<usize>()?].shim();
    let action = if action == "Kill" { Action::Kill } else { Action::KillAfter };
    let before = shim.all_calls();
    shim.rule_for_all(call.parse()?, 1, action);
    match work {
        "Create" => say(&format!("done {}", create(&kms, custom)?)),
        _ => {
            let report = kms.run_maintenance()?;
            assert!(report.failed.is_empty(), "{:?}", report.failed);
            report.deleted.iter().for_each(|arn| say(&format!("done {}", arn.key_id())));
        }
    }
    // Closing sessions and finalizing the modules also issues calls.
    drop((kms, cluster));
    say(&format!("{} calls", shim.all_calls() - before));
    shim.clear();
    say("end");
    Ok(())
}

/// Returns the deaths to test: at every call of a child that finishes, or at a selection of them.
fn deaths(calls: [u64; 2]) -> Vec<Death> {
    let at_length = env::var_os("STRONGROOM_HSM_FAULTS").is_some_and(|value| value == "all");
    let all = (0..2).flat_map(|member| {
        let each = move |call| [Action::Kill, Action::KillAfter].map(|action| Death { member, call, action });
        (0..calls[member]).flat_map(each)
    });
    all.step_by(if at_length { 1 } else { STEP }).collect()
}

/// Counts the calls to each member by a child that is not killed.
fn count_calls(parent: &Parent, work: Work) -> TestResult<[u64; 2]> {
    let mut calls = [0; 2];
    for (member, count) in calls.iter_mut().enumerate() {
        if work == Work::Delete {
            parent.doom_a_key()?;
        }
        let lines = parent.run_child(work, Death { member, call: u64::MAX, action: Action::Kill })?;
        assert!(lines[0].starts_with("done "), "{lines:?}");
        let text = lines[1].strip_suffix(" calls").ok_or("the child reports the number of its calls")?;
        *count = text.parse()?;
        let left = parent.check("no death")?;
        assert_eq!(left.len(), usize::from(work == Work::Create));
    }
    Ok(calls)
}

#[test]
fn a_process_that_is_killed_while_it_makes_a_key_leaves_none_or_exactly_one() -> TestResult {
    let test = "hsm::kills::a_process_that_is_killed_while_it_makes_a_key_leaves_none_or_exactly_one";
    let Some(parent) = Parent::new(test)? else { return Ok(()) };
    let calls = count_calls(&parent, Work::Create)?;
    let deaths = deaths(calls);
    let mut whole = 0;
    for death in &deaths {
        let what = format!("{death:?} of {calls:?}");
        let lines = parent.run_child(Work::Create, *death)?;
        assert!(lines.is_empty() || lines[0].starts_with("done "), "{what}: {lines:?}");
        let keys = parent.check(&what)?;
        match lines.first() {
            Some(done) => assert_eq!(*done, format!("done {}", keys[0]), "{what}"),
            None => assert!(keys.len() <= 1, "{what}: {keys:?}"),
        }
        whole += keys.len();
    }
    println!(
        "killed {} times in {calls:?} calls of a creation: {whole} complete keys, otherwise no trace of a key",
        deaths.len()
    );
    Ok(())
}

#[test]
fn a_process_that_is_killed_while_it_deletes_a_key_has_it_deleted_by_the_next() -> TestResult {
    let test = "hsm::kills::a_process_that_is_killed_while_it_deletes_a_key_has_it_deleted_by_the_next";
    let Some(parent) = Parent::new(test)? else { return Ok(()) };
    let calls = count_calls(&parent, Work::Delete)?;
    let deaths = deaths(calls);
    for death in &deaths {
        let what = format!("{death:?} of {calls:?}");
        let doomed = parent.doom_a_key()?;
        parent.run_child(Work::Delete, *death)?;
        assert_eq!(parent.check(&what)?, [], "{what}");
        let (kms, _) = parent.world.open()?;
        assert_eq!(kind(kms.describe_key(doomed)), ErrorKind::NotFound, "{what}");
    }
    println!("killed {} times in {calls:?} calls of a deletion: finished by the next process each time", deaths.len());
    Ok(())
}
