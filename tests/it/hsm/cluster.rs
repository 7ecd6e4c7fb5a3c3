//! A cluster of two tokens. Each token has its own copy of SoftHSM and of the fault-injecting
//! module in front of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use strongroom::crypto::CryptoBackend;
use strongroom::key::{ClusterId, ConnectionErrorCode, CustomKeyStoreId, DeletionWindow, KeyId};
use strongroom::provider::pkcs11::{
    CallMode, HsmRootKey, Module, ModuleOptions, Pkcs11Cluster, TokenConfig, TokenError, TokenSelector,
};
use strongroom::provider::{CryptoUserCredential, FixedCredential, HsmCluster, InstanceMark, MemberState};
use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest, DecryptRequest, EncryptRequest, PageRequest};
use strongroom::seal::{RootKey, RootKeyHolder};
use strongroom::store::{KeyStore, MemoryStore};
use strongroom::{ErrorKind, Kms, ManualClock, Result, SecretBytes, Timestamp};
use strongroom_pkcs11_faults::{Action, Function, PIN, SoftHsm};

use crate::support::kms::kind;
use crate::support::soft_tokens::two_soft_hsms;

const REPLICATION_KEY: &[u8] = b"replication key";

/// The return code of a token that was unplugged (CKR_DEVICE_REMOVED).
const DEVICE_REMOVED: u64 = 0x32;

fn vault() -> ClusterId {
    ClusterId::parse("vault").expect("a cluster id")
}

fn pin() -> SecretBytes {
    SecretBytes::copy_from_slice(PIN.as_bytes())
}

/// Two tokens, with the store and the clock that the processes share.
pub(crate) struct World {
    pub(crate) east: SoftHsm,
    pub(crate) west: SoftHsm,
    file: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
    calls: CallMode,
    sessions: usize,
}

impl World {
    /// Returns `None` if SoftHSM is not installed. Reports this, or fails if SoftHSM is required.
    fn new(calls: CallMode) -> Option<Self> {
        Self::with_sessions(calls, 16)
    }

    /// Like [`World::new`], with a maximum number of sessions per token, not counting the one that
    /// holds the login.
    pub(crate) fn with_sessions(calls: CallMode, sessions: usize) -> Option<Self> {
        let [east, west] = two_soft_hsms("the tests of a cluster of two tokens", ["east", "west"])?;
        let file = Arc::new(MemoryStore::new(&CryptoBackend::default()).expect("random bytes are available"));
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
        let world = Self { east, west, file, clock, calls, sessions };
        let cluster = world.cluster();
        connect(&cluster);
        cluster.install_replication_key(&SecretBytes::copy_from_slice(&[0x5A; 32])).expect("the tokens accept the PIN");
        cluster.disconnect();
        Some(world)
    }

    fn cluster(&self) -> Pkcs11Cluster {
        let module = |hsm: &SoftHsm| {
            let options = ModuleOptions::default().reinitialize_interval(Duration::from_millis(5));
            Module::load_with(hsm.shim().path(), options).expect("the shim can be loaded as a module")
        };
        let config = |label: &str| {
            let config = TokenConfig::new(TokenSelector::Label(label.to_owned()));
            let config = config.call_mode(self.calls).max_sessions(self.sessions);
            // A token that vanishes is retried soon. A token that hangs costs a deadline on each
            // attempt.
            let pause =
                if self.calls == CallMode::Direct { Duration::from_millis(10) } else { Duration::from_secs(60) };
            config.circuit_breaker(3, pause)
        };
        Pkcs11Cluster::from_members(REPLICATION_KEY)
            .member("east", "zone-a", &module(&self.east), config("east"))
            .member("west", "zone-b", &module(&self.west), config("west"))
    }

    pub(crate) fn process(&self) -> Result<(Kms, Pkcs11Cluster)> {
        let cluster = self.cluster();
        let builder = Kms::builder().store(Arc::clone(&self.file), RootKey::from_bytes(&[7; 32]));
        Ok((
            builder
                .clock(Arc::clone(&self.clock))
                .clock_tolerance(Duration::MAX)
                .cluster(vault(), cluster.clone())
                .build()?,
            cluster,
        ))
    }

    pub(crate) fn store(&self) -> Result<CustomKeyStoreId> {
        let (kms, _) = self.process()?;
        let request = CreateCustomKeyStoreRequest::new("safe", vault()).key_store_password(pin());
        let store = kms.create_custom_key_store(request)?;
        kms.connect_custom_key_store(store)?;
        Ok(store)
    }

    fn revive(&self) {
        self.east.shim().clear();
        self.west.shim().clear();
    }

    /// Returns the number of key objects in each token, including the replication key.
    pub(crate) fn objects(&self) -> [usize; 2] {
        [&self.east, &self.west].map(|hsm| {
            let folder = hsm.configuration().with_file_name("tokens");
            let tokens = std::fs::read_dir(folder).expect("a folder");
            let files = tokens.flat_map(|token| std::fs::read_dir(token.expect("an entry").path()).expect("a folder"));
            // The token itself is also an object.
            let objects = files.filter(|file| {
                let file = file.as_ref().expect("an entry");
                let name = file.file_name();
                name.to_string_lossy().ends_with(".object") && name != "token.object" && !is_data(&file.path())
            });
            objects.count()
        })
    }
}

/// Returns `true` if a SoftHSM file contains a data object, such as the mark of a store. The class
/// follows the generation number of the file and is 0 for data objects.
fn is_data(file: &std::path::Path) -> bool {
    let class: [u8; 24] = [[0; 8], 2_u64.to_be_bytes(), [0; 8]].concat().try_into().expect("24 bytes");
    std::fs::read(file).is_ok_and(|bytes| bytes.get(8..32) == Some(&class[..]))
}

fn connect(cluster: &Pkcs11Cluster) {
    let credential: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(pin()));
    cluster.connect(&credential).expect("the tokens exist");
}

pub(crate) fn round(kms: &Kms, key: KeyId, text: &str) -> Result<()> {
    let sealed = kms.encrypt(EncryptRequest::new(key, text.as_bytes()))?.ciphertext_blob;
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), text.as_bytes());
    Ok(())
}

pub(crate) fn create(kms: &Kms, store: CustomKeyStoreId) -> Result<KeyId> {
    Ok(kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id())
}

#[test]
fn a_key_is_on_both_members_and_each_opens_what_the_other_sealed() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let store = world.store()?;
    let (kms, cluster) = world.process()?;
    let key = create(&kms, store)?;
    assert_eq!(world.objects(), [2, 2]);
    let sealed: Vec<_> =
        (0..4).map(|_| Ok(kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob)).collect::<Result<_>>()?;
    for away in [&world.east, &world.west] {
        away.shim().vanish();
        for blob in &sealed {
            assert_eq!(kms.decrypt(DecryptRequest::new(blob))?.plaintext.expose_secret(), b"data");
        }
        assert!(cluster.members().iter().any(|member| member.state != MemberState::Active));
        away.shim().clear();
    }
    let mut altered = sealed[0].clone();
    for at in 0..altered.len() {
        altered[at] ^= 1;
        assert!(kms.decrypt(DecryptRequest::new(&altered)).is_err(), "byte {at}");
        altered[at] ^= 1;
    }
    Ok(())
}

#[test]
fn a_store_marks_the_tokens_and_creates_no_key_once_another_copy_has() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let store = world.store()?;
    let (kms, cluster) = world.process()?;
    create(&kms, store)?;
    let marks = cluster.provider().instance_marks().expect("tokens hold marks");
    assert!(!marks.marks(world.file.id().0)?.is_empty());
    marks.add_mark(world.file.id().0, InstanceMark { generation: 1_000, nonce: [1; 16] })?;
    let refused = kms.create_key(CreateKeyRequest::default().custom_key_store(store));
    assert_eq!(kind(refused), ErrorKind::CopiedStore);
    Ok(())
}

#[test]
fn tokens_that_go_and_come_back_under_load_never_cost_a_wrong_plaintext() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let store = world.store()?;
    let (kms, _) = world.process()?;
    let key = create(&kms, store)?;
    let finished = AtomicUsize::new(0);
    let (done, failed) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let (kms, finished) = (&kms, &finished);
                scope.spawn(move || {
                    let results: Vec<_> = (0..150).map(|turn| round(kms, key, &format!("{thread} {turn}"))).collect();
                    finished.fetch_add(1, Ordering::SeqCst);
                    results
                })
            })
            .collect();
        while finished.load(Ordering::SeqCst) < 16 {
            world.east.take_away();
            std::thread::sleep(Duration::from_millis(20));
            world.east.bring_back();
            std::thread::sleep(Duration::from_millis(20));
        }
        let results =
            threads.into_iter().flat_map(|thread| thread.join().expect("decryption never returns a wrong plaintext"));
        results.fold((0, 0), |(done, failed), result| match result {
            Ok(()) => (done + 1, failed),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidState, "{error}");
                (done, failed + 1)
            }
        })
    });
    println!("{done} rounds succeeded, {failed} failed");
    assert!(done > failed, "the other member continues: {done} succeeded, {failed} failed");
    for turn in 0..20 {
        round(&kms, key, &format!("after {turn}"))?;
    }
    Ok(())
}

#[test]
fn a_member_that_hangs_does_not_stop_the_other() -> Result<()> {
    let calls = CallMode::Deadline { deadline: Duration::from_secs(2), threads: 4 };
    let Some(world) = World::new(calls) else { return Ok(()) };
    let store = world.store()?;
    let (kms, cluster) = world.process()?;
    let key = create(&kms, store)?;
    world.east.shim().rule(Function::EncryptInit, 0, u64::MAX, Action::Hang);
    let before = world.east.shim().calls(Function::EncryptInit);
    for turn in 0..5 {
        round(&kms, key, &format!("{turn}"))?;
        // The members take turns, so each of them receives some of the encryptions.
        kms.encrypt(EncryptRequest::new(key, b"once more"))?;
    }
    assert!(world.east.shim().calls(Function::EncryptInit) > before, "the member was tried");
    let described = cluster.members();
    assert!(described[0].reason.is_some(), "the hanging member is reported: {described:?}");
    world.east.shim().clear();
    Ok(())
}

#[test]
fn a_member_that_failed_takes_part_again_when_it_is_back() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let store = world.store()?;
    let (kms, cluster) = world.process()?;
    let key = create(&kms, store)?;
    let active = || cluster.members().iter().filter(|member| member.state == MemberState::Active).count();
    for with_traffic in [true, false] {
        world.east.shim().vanish();
        for turn in 0..4 {
            round(&kms, key, &format!("{turn}"))?;
        }
        assert_eq!(active(), 1);
        assert_eq!(kind(create(&kms, store)), ErrorKind::ClusterInvalidConfiguration);
        world.east.shim().clear();
        // Longer than the delay between two initializations of its module.
        std::thread::sleep(Duration::from_millis(50));
        if with_traffic {
            for turn in 0..4 {
                round(&kms, key, &format!("{turn}"))?;
            }
            assert_eq!(active(), 2, "{:?}", cluster.members());
        }
        create(&kms, store)?;
        assert_eq!(active(), 2);
    }
    Ok(())
}

#[test]
fn a_cluster_without_a_connection_looks_for_its_tokens_and_logs_in_to_none() {
    let Some(world) = World::new(CallMode::Direct) else { return };
    let cluster = world.cluster();
    let logins = || [&world.east, &world.west].map(|hsm| hsm.shim().calls(Function::Login));
    let (before, states) = (logins(), || {
        cluster.probe();
        [0, 1].map(|member| cluster.members()[member].state)
    });
    assert_eq!(states(), [MemberState::Active; 2]);
    world.west.shim().vanish();
    assert_eq!(states(), [MemberState::Active, MemberState::Unreachable]);
    let reason = cluster.members()[1].reason.clone().expect("it is not there");
    assert!(reason.contains("cannot find"), "{reason}");
    world.revive();
    assert_eq!(states(), [MemberState::Active; 2]);
    assert_eq!(logins(), before);
}

#[test]
fn a_member_that_failed_is_active_after_a_probe_once_it_is_back() {
    let Some(world) = World::new(CallMode::Direct) else { return };
    let cluster = world.cluster();
    connect(&cluster);
    world.east.shim().vanish();
    let state = || cluster.members()[0].state;
    for _ in 0..4 {
        cluster.random(16).expect("the other member responds");
    }
    assert_eq!(state(), MemberState::Unreachable);
    cluster.probe();
    assert_eq!(state(), MemberState::Unreachable);
    world.revive();
    // Longer than the delay between two initializations of its module.
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(state(), MemberState::Unreachable, "nothing has called it");
    cluster.probe();
    assert_eq!(state(), MemberState::Active, "{:?}", cluster.members());
}

#[test]
fn a_member_whose_module_hangs_is_not_called() {
    let calls = CallMode::Deadline { deadline: Duration::from_millis(1_500), threads: 4 };
    let Some(world) = World::new(calls) else { return };
    let cluster = world.cluster();
    connect(&cluster);
    let east = world.east.shim();
    east.rule(Function::GenerateRandom, 0, u64::MAX, Action::Hang);
    for _ in 0..2 {
        cluster.random(16).expect("the other member responds");
    }
    assert_eq!(cluster.members()[0].state, MemberState::Unresponsive);
    let before = east.all_calls();
    cluster.probe();
    for _ in 0..4 {
        cluster.random(16).expect("the other member responds");
    }
    assert_eq!(east.all_calls(), before, "another call would hang too");
    east.clear();
}

#[test]
fn a_probe_does_not_connect_a_member_of_a_cluster_that_is_not_connected() {
    let Some(world) = World::new(CallMode::Direct) else { return };
    let cluster = world.cluster();
    let error = cluster.token("east").expect("a member").check().expect_err("there is no password yet");
    assert!(error.to_string().contains("the cluster is not connected"), "{error}");
    assert_eq!(cluster.members()[0].state, MemberState::Unreachable);
    let before = world.east.shim().all_calls();
    cluster.probe();
    assert_eq!(world.east.shim().all_calls(), before);
}

/// Returns the calls at which tokens die, for one way of dying. The full run covers every call. The
/// short run covers every seventh call, with a different offset for each way, so that the ways cover
/// different calls.
fn cut_offs(way: usize) -> impl Iterator<Item = u64> {
    let at_length = std::env::var_os("STRONGROOM_HSM_FAULTS").is_some_and(|value| value == "all");
    let first = if at_length { 0 } else { 2 * u64::try_from(way).expect("the number is small") };
    (first..).step_by(if at_length { 1 } else { 7 })
}

/// From the n-th call on, the tokens are dead for the process: one member or both, for every n.
#[test]
fn a_creation_that_is_cut_off_at_any_call_leaves_none_or_exactly_one_key() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let store = world.store()?;
    let mut cut_off = 0;
    for (way, dying) in [[true, false], [false, true], [true, true]].into_iter().enumerate() {
        for call in cut_offs(way) {
            let (kms, _) = world.process()?;
            kms.describe_custom_key_store(store)?; // connects
            let dead = Action::Return(DEVICE_REMOVED);
            for (hsm, _) in [&world.east, &world.west].into_iter().zip(dying).filter(|(_, dies)| *dies) {
                hsm.shim().rule_for_all(call, u64::MAX, dead);
            }
            let made = create(&kms, store);
            world.revive();
            drop(kms);
            world.clock.advance(Duration::from_secs(16 * 60));
            let (kms, _) = world.process()?;
            let report = kms.run_maintenance()?;
            assert!(report.failed.is_empty(), "{dying:?} {call}: {:?}", report.failed);
            let keys = kms.list_keys(PageRequest::default())?.entries;
            assert_eq!(keys.len(), usize::from(made.is_ok()), "{dying:?} {call}");
            assert_eq!(world.objects(), [1 + keys.len(); 2], "{dying:?} {call}");
            let Ok(key) = made else {
                cut_off += 1;
                continue;
            };
            round(&kms, key, "the key works")?;
            kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
            world.clock.advance_days(7);
            assert!(kms.run_maintenance()?.failed.is_empty());
            assert_eq!(world.objects(), [1, 1]);
            break;
        }
    }
    println!("{cut_off} interrupted creations");
    assert!(cut_off > 10);
    Ok(())
}

#[test]
fn a_deletion_that_is_cut_off_at_any_call_is_finished_later() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let store = world.store()?;
    for (way, dying) in [[true, false], [false, true], [true, true]].into_iter().enumerate() {
        for call in cut_offs(way) {
            let (kms, _) = world.process()?;
            let key = create(&kms, store)?;
            kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
            world.clock.advance_days(7);
            for (hsm, _) in [&world.east, &world.west].into_iter().zip(dying).filter(|(_, dies)| *dies) {
                hsm.shim().rule_for_all(call, u64::MAX, Action::Return(DEVICE_REMOVED));
            }
            let whole = kms.run_maintenance()?.failed.is_empty();
            world.revive();
            drop(kms);
            let (kms, _) = world.process()?;
            assert!(kms.run_maintenance()?.failed.is_empty(), "{dying:?} {call}");
            assert_eq!(world.objects(), [1, 1], "{dying:?} {call}");
            assert_eq!(kind(kms.describe_key(key)), ErrorKind::NotFound);
            if whole {
                break;
            }
        }
    }
    Ok(())
}

#[test]
fn a_wrong_password_is_tried_once_on_each_member() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let (kms, _) = world.process()?;
    let wrong = SecretBytes::copy_from_slice(b"9999");
    let request = CreateCustomKeyStoreRequest::new("safe", vault()).key_store_password(wrong);
    let store = kms.create_custom_key_store(request)?;
    let before = [world.east.shim().calls(Function::Login), world.west.shim().calls(Function::Login)];
    let refused = kms.connect_custom_key_store(store).expect_err("the PIN is wrong");
    assert!(refused.to_string().contains("INVALID_CREDENTIALS"), "{refused}");
    assert_eq!(kind(kms.connect_custom_key_store(store)), ErrorKind::CustomKeyStoreInvalidState);
    let after = [world.east.shim().calls(Function::Login), world.west.shim().calls(Function::Login)];
    assert_eq!(after, before.map(|calls| calls + 1));
    Ok(())
}

#[test]
fn a_member_whose_pin_could_be_locked_is_not_logged_in_to() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let cluster = world.cluster();
    let shims = [&world.east, &world.west].map(SoftHsm::shim);
    let logins = || shims.map(|shim| shim.calls(Function::Login));
    let before = logins();
    // CKF_USER_PIN_FINAL_TRY, then also CKF_USER_PIN_LOCKED.
    shims[1].token_flags(0x2_0000);
    connect(&cluster);
    let west = &cluster.members()[1];
    assert!(west.reason.as_ref().is_some_and(|why| why.contains("CKF_USER_PIN_FINAL_TRY")), "{west:?}");
    assert_eq!(logins(), [before[0] + 1, before[1]]);
    cluster.disconnect();
    shims[0].token_flags(0x4_0000);
    let credential: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(pin()));
    let failure = cluster.connect(&credential).expect_err("no member is logged in to");
    assert_eq!(failure.code, ConnectionErrorCode::UserLockedOut, "{failure:?}");
    assert_eq!(logins(), [before[0] + 1, before[1]]);
    Ok(())
}

#[test]
fn the_credential_is_kept_no_longer_than_the_connection() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let cluster = world.cluster();
    let credential: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(pin()));
    let kept = Arc::downgrade(&credential);
    cluster.connect(&credential).expect("the tokens exist");
    drop(credential);
    assert!(kept.upgrade().is_some(), "the password is used for a token that returns");
    cluster.disconnect();
    assert!(kept.upgrade().is_none());
    Ok(())
}

/// Some tokens answer a wrong password with the same code as any other failure.
#[test]
fn a_login_that_may_have_been_a_wrong_password_is_not_repeated_often() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let key = create(&world.process()?.0, world.store()?)?;
    let (kms, _) = world.process()?;
    let shims = [world.east.shim(), world.west.shim()];
    let before = shims.map(|shim| shim.calls(Function::Login));
    shims.iter().for_each(|shim| shim.rule(Function::Login, 0, u64::MAX, Action::Return(0x06)));
    for _ in 0..10 {
        let error = kms.encrypt(EncryptRequest::new(key, b"text")).expect_err("nobody is logged in");
        assert_eq!(error.kind(), ErrorKind::InvalidState, "{error}");
        assert!(error.to_string().contains("C_Login returned CKR_FUNCTION_FAILED"), "{error}");
        world.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(shims.map(|shim| shim.calls(Function::Login)), before.map(|calls| calls + 3));
    world.revive();
    assert_eq!(kind(kms.encrypt(EncryptRequest::new(key, b"text"))), ErrorKind::InvalidState, "not automatically");
    let store = kms.describe_custom_key_stores(PageRequest::default())?.entries[0].custom_key_store_id;
    kms.disconnect_custom_key_store(store)?;
    kms.connect_custom_key_store(store)?;
    round(&kms, key, "the password was correct")
}

#[test]
fn a_root_key_in_the_cluster_opens_the_store_and_survives_a_member() -> Result<()> {
    let Some(world) = World::new(CallMode::Direct) else { return Ok(()) };
    let cluster = world.cluster();
    connect(&cluster);
    let file = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
    let open = |root: HsmRootKey| Kms::builder().store(Arc::clone(&file), RootKey::from_holder(root)).build();
    let root = HsmRootKey::generate(&cluster, "root 1")?;
    assert_eq!(root.id(), "hsm root 1");
    let kms = open(root)?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    drop(kms);
    assert_eq!(kind(HsmRootKey::generate(&cluster, "root 1").map(drop)), ErrorKind::AlreadyExists);
    world.east.shim().vanish();
    round(&open(HsmRootKey::find(&cluster, "root 1")?)?, key, "through the other member")?;
    let absent = HsmRootKey::find(&cluster, "root 2").expect_err("no member has the key");
    let cause = absent.downcast_ref::<TokenError>().expect("the error of the member that was asked first");
    assert!(absent.to_string().contains(&cause.to_string()), "{absent}");
    assert_eq!(HsmRootKey::find(&cluster, "root 1")?.id(), "hsm root 1");
    world.east.shim().clear();
    cluster.disconnect();
    assert_eq!(kind(HsmRootKey::find(&cluster, "root 1").map(drop)), ErrorKind::KeyUnavailable);
    Ok(())
}
