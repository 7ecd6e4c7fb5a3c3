//! Copies of a store over the same HSMs. Whatever a copy considers due, the keys that the original
//! uses remain until the copy is declared the successor.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strongroom::audit::MemoryTrail;
use strongroom::crypto::CryptoBackend;
use strongroom::key::{CustomKeyStoreId, DeletionWindow, KeyId, KeyState, Origin};
use strongroom::provider::{
    CryptoUserCredential, FixedCredential, HsmCluster, InstanceMark, InstanceMarks, MemoryCluster,
};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, SqliteStore};
use strongroom::{ErrorKind, Kms, ManualClock, Result, SecretBytes, Timestamp};

use crate::support::custom_key_stores::{request, two_members, vault};
use crate::support::hooked_cluster::{HookedCluster, Moment};
use crate::support::kms::kind;
use crate::support::tampering_store::TamperingStore;

type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const WEEK: DeletionWindow = DeletionWindow::MIN;

/// The HSMs and the clock that all copies of a store share.
struct World {
    cluster: Arc<MemoryCluster>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
        Self { cluster: two_members(), clock }
    }

    fn open(&self, store: impl KeyStore + 'static) -> Result<Kms> {
        self.open_over(store, Arc::clone(&self.cluster))
    }

    fn open_over(&self, store: impl KeyStore + 'static, cluster: impl HsmCluster + 'static) -> Result<Kms> {
        let builder = Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).clock(Arc::clone(&self.clock));
        builder.clock_tolerance(Duration::MAX).cluster(vault(), cluster).build()
    }

    fn keys(&self) -> [usize; 2] {
        [self.cluster.keys_on("hsm-1"), self.cluster.keys_on("hsm-2")]
    }

    fn pass(&self, days: u32) {
        self.clock.advance_days(days);
    }
}

fn sqlite(path: &Path) -> Result<SqliteStore> {
    SqliteStore::open(path, &CryptoBackend::default())
}

/// Creates and connects a custom key store with one key in it.
fn key_in_store(kms: &Kms) -> Result<(CustomKeyStoreId, KeyId)> {
    let store = kms.create_custom_key_store(request("safe", "vault")?)?;
    kms.connect_custom_key_store(store)?;
    Ok((store, kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id()))
}

/// Returns `true` if maintenance reports that the store is a copy. Asserts that it destroyed no
/// key.
fn refuses_as_copy(kms: &Kms) -> Result<bool> {
    let report = kms.run_maintenance()?;
    assert!(report.deleted.is_empty(), "{report:?}");
    let failed = report.failed.iter().map(|(_, error)| error).chain(&report.unfinished);
    let kinds: Vec<ErrorKind> = failed.map(strongroom::Error::kind).collect();
    assert!(kinds.iter().all(|kind| *kind == ErrorKind::CopiedStore), "{report:?}");
    Ok(!kinds.is_empty())
}

/// Copies the file of a store.
fn back_up(from: &Path, to: &Path) -> TestResult {
    Ok(sqlite(from)?.back_up(to)?)
}

fn copy_file(from: &Path, to: &Path) -> TestResult {
    sqlite(from)?.scrub()?;
    fs::copy(from, to)?;
    Ok(())
}

#[test]
fn a_copy_of_a_file_does_not_destroy_what_the_original_has_rescued() -> TestResult {
    for make_copy in [back_up, copy_file] {
        let (world, folder) = (World::new(), tempfile::tempdir()?);
        let (file, copy) = (folder.path().join("keys"), folder.path().join("copy"));
        let kms = world.open(sqlite(&file)?)?;
        let (_, key) = key_in_store(&kms)?;
        let sealed = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
        kms.schedule_key_deletion(key, WEEK)?;
        make_copy(&file, &copy)?;
        kms.cancel_key_deletion(key)?;
        kms.enable_key(key)?;
        world.pass(8);

        let copied = world.open(sqlite(&copy)?)?;
        assert!(refuses_as_copy(&copied)?);
        assert_eq!(world.keys(), [1, 1]);
        assert_eq!(kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"data");
        assert!(kms.run_maintenance()?.is_complete(), "the original is not disturbed");

        // Once declared the successor, the copy is treated as the original, and the original as a
        // copy.
        assert!(copied.declare_successor()?.is_complete());
        world.pass(7);
        assert_eq!(copied.run_maintenance()?.deleted.len(), 1);
        assert_eq!(world.keys(), [0, 0]);
        kms.schedule_key_deletion(key, WEEK)?;
        world.pass(8);
        assert!(refuses_as_copy(&kms)?);
    }
    Ok(())
}

#[test]
fn a_copy_of_a_file_creates_and_destroys_nothing_of_its_own_accord_and_still_decrypts() -> TestResult {
    let (world, folder) = (World::new(), tempfile::tempdir()?);
    let (file, copy) = (folder.path().join("keys"), folder.path().join("copy"));
    let kms = world.open(sqlite(&file)?)?;
    let (store, key) = key_in_store(&kms)?;
    let sealed = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    copy_file(&file, &copy)?;
    let copied = world.open(sqlite(&copy)?)?;
    assert_eq!(copied.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"data");
    copied.encrypt(EncryptRequest::new(key, b"data"))?;
    let refused = copied.create_key(CreateKeyRequest::default().custom_key_store(store));
    assert_eq!(kind(refused), ErrorKind::CopiedStore);
    copied.schedule_key_deletion(key, WEEK)?;
    world.pass(8);
    assert!(refuses_as_copy(&copied)?, "the original has done nothing in the meantime");
    assert_eq!(world.keys(), [1, 1]);

    // Once declared the successor, it restarts all waiting periods.
    let report = copied.declare_successor()?;
    assert!(report.postponed.len() == 1 && report.postponed[0].to_string().ends_with(&key.to_string()));
    assert!(copied.run_maintenance()?.deleted.is_empty());
    assert_eq!(copied.describe_key(key)?.state(), KeyState::PendingDeletion);
    copied.cancel_key_deletion(key)?;
    world.pass(8);
    assert!(copied.run_maintenance()?.is_complete());
    assert_eq!((world.keys(), copied.describe_key(key)?.state()), ([1, 1], KeyState::Disabled));
    Ok(())
}

#[test]
fn a_copy_from_before_the_first_key_is_known_as_a_copy() -> TestResult {
    let (world, folder) = (World::new(), tempfile::tempdir()?);
    let (file, copy) = (folder.path().join("keys"), folder.path().join("copy"));
    drop(world.open(sqlite(&file)?)?);
    copy_file(&file, &copy)?;
    assert_eq!(key_in_store(&world.open(sqlite(&copy)?)?).map_err(|error| error.kind()), Err(ErrorKind::CopiedStore));
    key_in_store(&world.open(sqlite(&file)?)?)?;
    assert_eq!(world.keys(), [1, 1]);
    Ok(())
}

/// Clones a store as copying a virtual machine does. Only the marks in the HSMs distinguish the
/// clone from the original.
fn clone_of(store: &Arc<TamperingStore>) -> Arc<TamperingStore> {
    let clone = TamperingStore::new();
    clone.change(|state| *state = store.state());
    clone
}

#[test]
fn a_clone_that_lies_in_the_same_place_is_left_behind_by_what_the_original_does() -> TestResult {
    let world = World::new();
    let original = TamperingStore::new();
    let kms = world.open(Arc::clone(&original))?;
    let (_, key) = key_in_store(&kms)?;
    kms.schedule_key_deletion(key, WEEK)?;
    let clone = clone_of(&original);
    kms.cancel_key_deletion(key)?;
    world.pass(8);
    let copied = world.open(clone)?;
    assert!(refuses_as_copy(&copied)?);
    assert_eq!(world.keys(), [1, 1]);

    // A clone that schedules a deletion itself destroys nothing either, because maintenance moves
    // the mark every day.
    let clone = world.open(clone_of(&original))?;
    clone.schedule_key_deletion(key, WEEK)?;
    for _ in 0..8 {
        world.pass(1);
        assert!(kms.run_maintenance()?.is_complete());
    }
    assert!(refuses_as_copy(&clone)?);
    assert_eq!(world.keys(), [1, 1]);
    Ok(())
}

#[test]
fn the_mark_moves_later_if_no_hsm_answers_when_a_deletion_is_cancelled() -> TestResult {
    let world = World::new();
    let original = TamperingStore::new();
    let kms = world.open(Arc::clone(&original))?;
    let (_, key) = key_in_store(&kms)?;
    kms.schedule_key_deletion(key, WEEK)?;
    let clone = clone_of(&original);
    for member in ["hsm-1", "hsm-2"] {
        world.cluster.set_active(member, false);
    }
    kms.cancel_key_deletion(key)?;
    for member in ["hsm-1", "hsm-2"] {
        world.cluster.set_active(member, true);
    }
    assert!(kms.run_maintenance()?.is_complete());
    world.pass(8);
    assert!(refuses_as_copy(&world.open(clone)?)?);
    assert_eq!(world.keys(), [1, 1]);
    Ok(())
}

#[test]
fn when_a_clone_moves_the_mark_first_the_original_is_told_and_can_take_over_again() -> TestResult {
    let world = World::new();
    let original = TamperingStore::new();
    let kms = world.open(Arc::clone(&original))?;
    let (store, key) = key_in_store(&kms)?;
    let clone = world.open(clone_of(&original))?;
    clone.schedule_key_deletion(key, WEEK)?;
    world.pass(2);
    clone.encrypt(EncryptRequest::new(key, b"data")).expect_err("its deletion is pending");
    clone.describe_custom_key_store(store)?;
    assert!(clone.run_maintenance()?.is_complete(), "it is not yet known which store is the copy");
    assert!(refuses_as_copy(&kms)?, "now the original can");
    assert_eq!(kind(kms.create_key(CreateKeyRequest::default().custom_key_store(store))), ErrorKind::CopiedStore);
    assert!(kms.declare_successor()?.is_complete());
    world.pass(8);
    assert!(refuses_as_copy(&clone)?);
    assert!(kms.run_maintenance()?.is_complete());
    kms.create_key(CreateKeyRequest::default().custom_key_store(store))?;
    assert_eq!(world.keys(), [2, 2]);
    Ok(())
}

#[test]
fn a_clone_from_the_middle_of_a_creation_does_not_undo_it() -> TestResult {
    let world = World::new();
    let original = TamperingStore::new();
    // Copies the store during every creation. The last copy is used.
    let clone = Arc::new(Mutex::new(None));
    let (from, to) = (Arc::clone(&original), Arc::clone(&clone));
    let cluster = HookedCluster::new(&world.cluster, move |moment| {
        if moment == Moment::AfterGenerate {
            *to.lock().expect("no thread panics") = Some(clone_of(&from));
        }
    });
    let kms = world.open_over(Arc::clone(&original), cluster)?;
    let (store, _) = key_in_store(&kms)?;
    let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id();
    assert_eq!(world.keys(), [2, 2]);
    world.clock.advance(Duration::from_secs(16 * 60));
    let clone = clone.lock().expect("no thread panics").take().expect("the store was copied");
    let copied = world.open(clone)?;
    assert!(refuses_as_copy(&copied)?);
    assert_eq!(world.keys(), [2, 2]);
    kms.encrypt(EncryptRequest::new(key, b"data"))?;
    Ok(())
}

#[test]
fn keys_from_before_there_were_marks_work_on_and_are_marked_with_the_next_change() -> TestResult {
    let world = World::new();
    let original = TamperingStore::new();
    let older = HookedCluster::new(&world.cluster, |_| {}).with_marks(false);
    let kms = world.open_over(Arc::clone(&original), older)?;
    let (store, key) = key_in_store(&kms)?;
    let sealed = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    drop(kms);
    let kms = world.open(Arc::clone(&original))?;
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"data");
    assert_eq!(world.cluster.marks(original.id().0)?, []);
    kms.create_key(CreateKeyRequest::default().custom_key_store(store))?;
    assert!(!world.cluster.marks(original.id().0)?.is_empty());
    kms.schedule_key_deletion(key, WEEK)?;
    world.pass(8);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    assert_eq!(world.keys(), [1, 1]);
    Ok(())
}

#[test]
fn marks_that_are_gone_or_of_nobody_stop_what_destroys() -> TestResult {
    let world = World::new();
    let original = TamperingStore::new();
    let kms = world.open(Arc::clone(&original))?;
    let (store, _) = key_in_store(&kms)?;
    kms.create_key(CreateKeyRequest::default().custom_key_store(store))?;
    // The HSMs are restored from a backup of another copy.
    let foreign = InstanceMark { generation: 1_000, nonce: [1; 16] };
    world.cluster.add_mark(original.id().0, foreign)?;
    let refused =
        kms.create_key(CreateKeyRequest::default().custom_key_store(store)).expect_err("created by another program");
    assert_eq!(refused.kind(), ErrorKind::CopiedStore);
    assert!(refused.to_string().contains("has taken over the cluster 'vault',"), "{refused}");
    kms.declare_successor()?;
    kms.create_key(CreateKeyRequest::default().custom_key_store(store))?;
    let marks = world.cluster.marks(original.id().0)?;
    assert!(marks.iter().all(|mark| mark.generation > 1_000), "{marks:?}");
    Ok(())
}

#[test]
fn marks_that_are_hidden_for_a_moment_are_read_again() -> TestResult {
    let world = World::new();
    let cluster = Arc::new(HookedCluster::new(&world.cluster, |_| {}));
    let kms = world.open_over(TamperingStore::new(), Arc::clone(&cluster))?;
    let (store, _) = key_in_store(&kms)?;
    let create = || kms.create_key(CreateKeyRequest::default().custom_key_store(store));
    cluster.hide_marks(3);
    create()?;
    cluster.hide_marks(4);
    let refused = create().expect_err("the marks are missing");
    assert_eq!(refused.kind(), ErrorKind::CopiedStore);
    assert!(refused.to_string().contains("missing from the cluster 'vault',"), "{refused}");
    assert_eq!(world.keys(), [2, 2]);
    create()?;
    Ok(())
}

#[test]
fn a_store_may_take_over_a_cluster_that_it_never_used_from_its_copy() -> TestResult {
    let world = World::new();
    let original = TamperingStore::new();
    let kms = world.open(Arc::clone(&original))?;
    let copied = world.open(clone_of(&original))?;
    let (store, _) = key_in_store(&copied)?;
    key_in_store(&kms)?;
    assert_eq!(world.keys(), [2, 2]);
    assert_eq!(kind(copied.create_key(CreateKeyRequest::default().custom_key_store(store))), ErrorKind::CopiedStore);
    Ok(())
}

#[test]
fn a_successor_says_which_cluster_it_could_not_mark() -> TestResult {
    let world = World::new();
    let kms = world.open(TamperingStore::new())?;
    key_in_store(&kms)?;
    let set_active = |active| ["hsm-1", "hsm-2"].map(|member| world.cluster.set_active(member, active));
    set_active(false);
    let report = kms.declare_successor()?;
    assert!(!report.is_complete() && report.not_marked.len() == 1 && report.not_marked[0].0 == "vault", "{report:?}");
    set_active(true);
    assert!(kms.declare_successor()?.is_complete());
    Ok(())
}

#[test]
fn a_custom_key_store_that_is_deleted_and_made_again_works_on_over_the_same_cluster() -> TestResult {
    let world = World::new();
    let kms = world.open(TamperingStore::new())?;
    let (store, key) = key_in_store(&kms)?;
    kms.schedule_key_deletion(key, WEEK)?;
    world.pass(8);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    kms.disconnect_custom_key_store(store)?;
    kms.delete_custom_key_store(store)?;
    key_in_store(&kms)?;
    assert_eq!(world.keys(), [1, 1]);
    Ok(())
}

#[test]
fn a_provider_is_protected_as_a_cluster_is() -> TestResult {
    for has_marks in [true, false] {
        let (world, folder) = (World::new(), tempfile::tempdir()?);
        let (file, copy) = (folder.path().join("keys"), folder.path().join("copy"));
        let credential: Arc<dyn CryptoUserCredential> =
            Arc::new(FixedCredential::new(SecretBytes::copy_from_slice(b"kmsPswd1")));
        world.cluster.connect(&credential).expect("the token responds");
        let open = |file: &Path| -> TestResult<Kms> {
            let vault = HookedCluster::new(&world.cluster, |_| {}).with_marks(has_marks);
            let builder = Kms::builder().store(sqlite(file)?, RootKey::from_bytes(&[7; 32]));
            Ok(builder.clock(Arc::clone(&world.clock)).clock_tolerance(Duration::MAX).provider(vault).build()?)
        };
        let kms = open(&file)?;
        let made = kms.create_key(CreateKeyRequest::default().provider("memory cluster").origin(Origin::Hsm))?;
        let (key, other) = (made.key_id(), kms.create_key(CreateKeyRequest::default())?.key_id());
        kms.schedule_key_deletion(key, WEEK)?;
        kms.schedule_key_deletion(other, WEEK)?;
        back_up(&file, &copy)?;
        kms.cancel_key_deletion(key)?;
        kms.enable_key(key)?;
        world.pass(8);
        let copied = open(&copy)?;
        let report = copied.run_maintenance()?;
        assert_eq!(report.deleted.len(), 1, "a key created by the copy: {report:?}");
        assert_eq!(report.failed.iter().map(|(_, error)| error.kind()).collect::<Vec<_>>(), [ErrorKind::CopiedStore]);
        kms.encrypt(EncryptRequest::new(key, b"data"))?;
        copied.declare_successor()?;
        world.pass(7);
        assert_eq!(copied.run_maintenance()?.deleted.len(), 1);
        assert_eq!(world.keys(), [0, 0]);
    }
    Ok(())
}

#[test]
fn a_provider_with_the_mark_of_another_copy_destroys_nothing_and_is_named() -> TestResult {
    let (world, original) = (World::new(), TamperingStore::new());
    let credential: Arc<dyn CryptoUserCredential> =
        Arc::new(FixedCredential::new(SecretBytes::copy_from_slice(b"kmsPswd1")));
    world.cluster.connect(&credential).expect("the token responds");
    let builder = Kms::builder().store(Arc::clone(&original), RootKey::from_bytes(&[7; 32]));
    let builder = builder.clock(Arc::clone(&world.clock)).clock_tolerance(Duration::MAX);
    let kms = builder.provider(HookedCluster::new(&world.cluster, |_| {})).build()?;
    let create = || kms.create_key(CreateKeyRequest::default().provider("memory cluster").origin(Origin::Hsm));
    let (first, second) = (create()?.key_id(), create()?.key_id());
    kms.schedule_key_deletion(first, WEEK)?;
    world.pass(8);
    assert!(kms.run_maintenance()?.is_complete());
    kms.schedule_key_deletion(second, WEEK)?;
    world.cluster.add_mark(original.id().0, InstanceMark { generation: 1_000, nonce: [1; 16] })?;
    world.pass(8);
    let report = kms.run_maintenance()?;
    assert!(report.deleted.is_empty() && report.failed.len() == 1, "{report:?}");
    let refused = &report.failed[0].1;
    assert!(refused.to_string().contains("has taken over the provider 'memory cluster',"), "{refused}");
    assert_eq!(world.keys(), [1, 1]);
    Ok(())
}

#[test]
fn a_declaration_needs_the_authority_and_is_in_the_trail() -> TestResult {
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().audit(Arc::clone(&trail)).cluster(vault(), two_members()).build()?;
    let alice =
        kms.as_principal(strongroom::identity::Principal::user(strongroom::identity::AccountId::default(), "alice")?)?;
    assert_eq!(kind(alice.declare_successor()), ErrorKind::AccessDenied);
    trail.clear();
    kms.declare_successor()?;
    let told: Vec<String> =
        trail.events().iter().map(|event| format!("{:?} {:?}", event.action, event.outcome)).collect();
    assert_eq!(told, [r#"Authority("declare_successor") Intent"#, r#"Authority("declare_successor") Success"#]);
    Ok(())
}
