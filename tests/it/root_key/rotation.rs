//! Rotation of the root key: everything is sealed again, despite interruptions and concurrent
//! changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use strongroom::audit::FileTrail;
use strongroom::key::{KeyId, Origin};
use strongroom::request::{
    CreateKeyRequest, DecryptRequest, EncryptRequest, GetParametersForImportRequest, ImportKeyMaterialRequest,
};
use strongroom::seal::{RootKey, RootKeyHolder};
use strongroom::store::{
    CommitError, Expectation, KeyStore, Record, RecordId, RecordKind, Revision, Scan, StoreId, WriteChanges,
};
use strongroom::{Error, ErrorKind, Kms, Result, SecretBytes};

use crate::support::any_store::{self, Place};
#[cfg(feature = "passphrase")]
use crate::support::backend;
use crate::support::hooked_store::HookedStore;
use crate::support::tampering_store::TamperingStore;

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// Opens a store as another process would.
fn open(place: &Place, secret: u8) -> Result<Kms> {
    over(place.open()?, secret)
}

/// Opens a store like [`open`], as a process that is the only one while it runs.
fn alone(place: &Place, secret: u8) -> Result<Kms> {
    over(place.open_alone()?, secret)
}

fn over(store: impl KeyStore + 'static, secret: u8) -> Result<Kms> {
    Kms::builder().store(store, RootKey::from_bytes(&[secret; 32])).build()
}

/// Creates keys with several versions and an alias, and encrypts under each version.
fn furnish(kms: &Kms, count: usize) -> Result<Vec<(KeyId, Vec<u8>)>> {
    let mut blobs = Vec::new();
    for number in 0..count {
        let key = kms.create_key(CreateKeyRequest::default().alias(format!("alias/{number}")))?.key_id();
        let mut encrypt = || -> Result<()> {
            blobs.push((key, kms.encrypt(EncryptRequest::new(key, key.to_string().as_bytes()))?.ciphertext_blob));
            Ok(())
        };
        encrypt()?;
        kms.rotate_key_on_demand(key)?;
        encrypt()?;
    }
    Ok(blobs)
}

fn decrypt(kms: &Kms, blobs: &[(KeyId, Vec<u8>)]) -> Result<()> {
    for (key, blob) in blobs {
        assert_eq!(kms.decrypt(DecryptRequest::new(blob))?.plaintext.expose_secret(), key.to_string().as_bytes());
    }
    Ok(())
}

fn check(kms: &Kms, blobs: &[(KeyId, Vec<u8>)]) -> TestResult {
    decrypt(kms, blobs)?;
    let report = kms.verify_store(|_| {})?;
    assert!(report.is_intact(), "{report:?}");
    Ok(())
}

/// Returns every record of a store.
fn records(store: &impl KeyStore) -> Result<BTreeMap<RecordId, Record>> {
    let mut records = BTreeMap::new();
    for kind in (0..=u8::MAX).filter_map(RecordKind::from_code) {
        let scan = Scan { kind, account: None, after: None, limit: 1_000 };
        records.extend(store.scan(&scan)?);
    }
    Ok(records)
}

/// Returns the root key versions that sealed records specify.
fn versions(store: &impl KeyStore) -> Result<BTreeSet<u8>> {
    let sealed = records(store)?.into_iter().filter(|(id, _)| id.name != b"root");
    Ok(sealed.map(|(_, record)| record.body[4]).collect())
}

#[test]
fn everything_is_sealed_under_the_new_version_alone() -> TestResult {
    let place = Place::new()?;
    let store = place.open()?;
    let kms = open(&place, 1)?;
    let blobs = furnish(&alone(&place, 1)?, 40)?;
    let before = records(&store)?;
    let rotation = kms.rotate_root_key()?;
    assert_eq!((rotation.version(), rotation.was_resumed()), (2, false));
    assert_eq!(rotation.resealed(), 122, "keys, their usage, aliases, the identity and the time");
    assert_eq!(versions(&store)?, [2].into());
    assert!(!kms.root_key_status()?.is_rotating());
    check(&kms, &blobs)?;
    check(&alone(&place, 1)?, &blobs)?;
    let after = records(&store)?;
    assert!(before.iter().all(|(id, record)| after[id].body != record.body));

    assert_eq!(open(&place, 1)?.rotate_root_key()?.version(), 3);
    assert_eq!(versions(&store)?, [3].into());
    check(&kms, &blobs)
}

#[test]
fn a_rotation_that_is_cut_off_after_any_commit_can_be_finished() -> TestResult {
    cut_off_after_any_commit(false)
}

#[test]
fn a_move_that_is_cut_off_after_any_commit_can_be_finished() -> TestResult {
    cut_off_after_any_commit(true)
}

/// Interrupts a rotation of the root key, or its move to another one, after each number of commits.
fn cut_off_after_any_commit(is_moved: bool) -> TestResult {
    let place = Place::new()?;
    let store = HookedStore::new(place.open()?);
    let blobs = furnish(&alone(&place, 1)?, 66)?;
    let some: Vec<_> = blobs.iter().step_by(33).cloned().collect();
    let (mut secret, mut version) = (1, 1);
    for cut in (0..).step_by(if any_store::is_in_memory() { 1 } else { 3 }) {
        let to = if is_moved { secret + 1 } else { secret };
        let kms = over(Arc::clone(&store), secret)?;
        store.fail_after(cut);
        let rotate = |kms: &Kms| match is_moved {
            true => kms.move_root_key(RootKey::from_bytes(&[to; 32])),
            false => kms.rotate_root_key(),
        };
        let cut_off = rotate(&kms).is_err();
        drop(kms);
        store.fail_after(u64::MAX);
        version += 1;
        if !cut_off {
            assert!(cut > 4, "begin, several batches, finish");
            secret = to;
            break;
        }
        // The next process opens the store with the current root key. During a move, the new
        // root key works as well.
        let kms = alone(&place, secret)?;
        decrypt(&kms, &some)?;
        let is_rotating = kms.root_key_status()?.is_rotating();
        assert_eq!(is_rotating, cut > 0);
        assert_eq!(open(&place, secret + 1).is_ok(), is_rotating && is_moved);
        kms.create_key(Default::default())?;
        let rotation = rotate(&kms)?;
        assert_eq!((rotation.version(), rotation.was_resumed()), (version, is_rotating));
        assert_eq!(versions(&store)?, [u8::try_from(version)?].into());
        check(&alone(&place, to)?, &some)?;
        secret = to;
    }
    check(&alone(&place, secret)?, &blobs)
}

/// Waits until a call that begins now has ended.
fn wait_for_a_call(calls: &AtomicU64) -> Result<()> {
    let (begun, before) = (Instant::now(), calls.load(Ordering::SeqCst));
    // The first one to end may have begun before.
    while calls.load(Ordering::SeqCst) < before + 2 {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(Error::new(ErrorKind::Internal, "the other process makes no calls"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A process that makes no call during the move would be refused afterwards, so that the rotation and
/// the move wait for a call after they have begun.
#[test]
fn others_keep_working_while_the_root_key_moves() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = Place::new()?;
    let trail = FileTrail::new(folder.path());
    let other = Kms::builder().store(place.open()?, RootKey::from_bytes(&[1; 32])).audit(trail).build()?;
    let hooked = HookedStore::new(place.open()?);
    let kms = over(Arc::clone(&hooked), 1)?;
    let blobs = furnish(&alone(&place, 1)?, 30)?;
    let (done, calls) = (AtomicBool::new(false), Arc::new(AtomicU64::new(0)));
    let made = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let count = || calls.fetch_add(1, Ordering::SeqCst);
            let mut made = Vec::new();
            while !done.load(Ordering::SeqCst) || made.len() < 5 {
                let key = other.create_key(Default::default())?.key_id();
                count();
                let text = key.to_string();
                made.push((key, other.encrypt(EncryptRequest::new(key, text.as_bytes()))?.ciphertext_blob));
                count();
                other.rotate_key_on_demand(key)?;
                count();
                for (key, blob) in &blobs {
                    other.decrypt(DecryptRequest::new(blob))?;
                    count();
                    other.update_key_description(*key, text.as_str())?;
                    count();
                }
            }
            Ok::<_, Error>(made)
        });
        let after_the_beginning = || {
            let (place, calls) = (place.clone(), Arc::clone(&calls));
            hooked.after_commit(RecordKind::Store, move || {
                assert!(open(&place, 1)?.root_key_status()?.is_rotating());
                wait_for_a_call(&calls)
            });
        };
        after_the_beginning();
        let rotated = kms.rotate_root_key().and_then(|_| {
            after_the_beginning();
            kms.move_root_key(RootKey::from_bytes(&[2; 32]))
        });
        done.store(true, Ordering::SeqCst);
        let made = worker.join().expect("no thread panicked");
        // If the worker ended with an error, that is the reason for the other.
        made.and_then(|made| rotated.map(|_| made))
    })?;
    assert_eq!(versions(&place.open()?)?, [3].into());
    // This handle was opened with the previous holder and can still change keys.
    other.disable_key(made[0].0)?;
    other.enable_key(made[0].0)?;
    other.run_maintenance()?;
    drop(other);
    check(&open(&place, 2)?, &[blobs, made].concat())?;
    assert_eq!(open(&place, 1).expect_err("the root key was moved").kind(), ErrorKind::RootKey);
    Ok(())
}

#[test]
fn processes_that_rotate_at_the_same_time_leave_one_version() -> TestResult {
    let place = Place::new()?;
    let hosts = [open(&place, 1)?, open(&place, 1)?, open(&place, 1)?];
    let blobs = furnish(&hosts[0], 6)?;
    for round in 1..=2 {
        let rotated = std::thread::scope(|scope| {
            let threads = hosts.each_ref().map(|host| scope.spawn(|| host.rotate_root_key()));
            threads.map(|thread| thread.join().expect("no thread panicked"))
        });
        for rotation in rotated {
            assert!(rotation?.version() > round);
        }
        assert_eq!(versions(&place.open()?)?.len(), 1);
        for host in &hosts {
            assert!(!host.root_key_status()?.is_rotating());
            check(host, &blobs)?;
        }
    }
    check(&open(&place, 1)?, &blobs)
}

/// Another process changes the next key just before each commit of the rotation.
#[test]
fn a_rotation_ends_although_others_change_each_key_just_before_it_is_sealed() -> TestResult {
    fn disturb(hooked: &Arc<HookedStore>, other: &Arc<Kms>, keys: &[KeyId]) {
        let [next, rest @ ..] = keys else { return };
        let (next, rest) = (*next, rest.to_vec());
        let (again, with) = (Arc::clone(hooked), Arc::clone(other));
        hooked.before_commit(RecordKind::Key, move || {
            disturb(&again, &with, &rest);
            with.update_key_description(next, "changed")
        });
    }
    let place = Place::new()?;
    let hooked = HookedStore::new(place.open()?);
    let kms = over(Arc::clone(&hooked), 1)?;
    let blobs = furnish(&kms, 8)?;
    let mut keys: Vec<KeyId> = blobs.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable_by_key(|key| *key.as_bytes());
    keys.dedup();
    disturb(&hooked, &Arc::new(open(&place, 1)?), &keys);
    assert_eq!(kms.rotate_root_key()?.version(), 2);
    assert_eq!(versions(&hooked)?, [2].into());
    check(&kms, &blobs)?;
    for key in keys {
        assert_eq!(kms.describe_key(key)?.description().as_str(), "changed");
    }
    Ok(())
}

/// The earlier version must not be removed while a record needs it.
#[test]
fn a_record_that_comes_back_before_the_end_is_sealed_anew_too() -> TestResult {
    let store = TamperingStore::new();
    let hooked = HookedStore::new(Arc::<TamperingStore>::clone(&store));
    let kms = over(Arc::clone(&hooked), 1)?;
    let blobs = furnish(&kms, 3)?;
    let state = store.state();
    let id = state.records.keys().find(|id| id.kind == RecordKind::Key).expect("there is one version").clone();
    store.change(|state| _ = state.records.remove(&id));
    let back = Arc::clone(&store);
    hooked.after_scan(RecordKind::Key, move || {
        back.change(|now| _ = now.records.insert(id.clone(), state.records[&id].clone()));
        Ok(())
    });
    assert_eq!(kms.rotate_root_key()?.version(), 2);
    assert_eq!(versions(&store)?, [2].into());
    check(&over(store, 1)?, &blobs)
}

/// A store in which a record has changed whenever a write is attempted. Counts the attempts.
#[derive(Debug)]
struct Restless {
    store: Arc<dyn KeyStore>,
    changing: RecordId,
    attempts: Arc<AtomicU32>,
}

impl KeyStore for Restless {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn revision(&self) -> Result<Revision> {
        self.store.revision()
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        self.store.get_all(ids)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        self.store.scan(scan)
    }

    fn commit(&self, _: &[Expectation], _: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        assert!(self.attempts.fetch_add(1, Ordering::SeqCst) < 100_000, "the change is retried indefinitely");
        Err(CommitError::Conflict(self.changing.clone()))
    }
}

/// A change is prepared up to 256 times. If only the root key has changed, it is sealed again up to
/// 16 times each.
#[test]
fn a_change_that_meets_another_one_at_every_try_is_given_up() -> TestResult {
    let place = Place::new()?;
    let store = place.open()?;
    let key = open(&place, 1)?.create_key(Default::default())?.key_id();
    let ids: Vec<_> = records(&store)?.into_keys().collect();
    let find = |is_it: &dyn Fn(&RecordId) -> bool| ids.iter().find(|id| is_it(id)).expect("it is there").clone();
    let root = find(&|id| id.kind == RecordKind::Store && id.name == b"root");
    for (changing, expected) in [(root, 256 * 17), (find(&|id| id.kind == RecordKind::Key), 256)] {
        let attempts = Arc::new(AtomicU32::new(0));
        let restless = Restless { store: Arc::clone(&store), changing, attempts: Arc::clone(&attempts) };
        let kms = over(restless, 1)?;
        attempts.store(0, Ordering::SeqCst);
        assert_eq!(kms.disable_key(key).expect_err("every attempt conflicts").kind(), ErrorKind::Conflict);
        assert_eq!(attempts.load(Ordering::SeqCst), expected);
        assert!(open(&place, 1)?.describe_key(key)?.is_enabled());
    }
    Ok(())
}

#[test]
fn a_move_under_way_is_not_turned_elsewhere() -> TestResult {
    let place = Place::new()?;
    let store = HookedStore::new(place.open()?);
    let kms = over(Arc::clone(&store), 1)?;
    store.fail_after(1);
    assert!(kms.move_root_key(RootKey::from_bytes(&[2; 32])).is_err());
    store.fail_after(u64::MAX);
    let refused = open(&place, 1)?
        .move_root_key(RootKey::from_bytes(&[3; 32]))
        .expect_err("the rotation moves to another root key");
    assert_eq!(refused.kind(), ErrorKind::InvalidState);
    assert!(open(&place, 2)?.rotate_root_key()?.was_resumed());
    assert_eq!(open(&place, 1).expect_err("the root key was moved").kind(), ErrorKind::RootKey);
    Ok(())
}

#[cfg(feature = "passphrase")]
#[test]
fn one_passphrase_takes_the_place_of_another() -> TestResult {
    if backend::lacks("one_passphrase_takes_the_place_of_another", &["Argon2id"]) {
        return Ok(());
    }
    let place = Place::new()?;
    let root = |text| RootKey::from_passphrase_with_cost(text, strongroom::seal::PassphraseCost::new(64, 1, 1)?);
    let open = |text| Kms::builder().store(place.open()?, root(text)?).build();
    let store = HookedStore::new(place.open()?);
    let kms = Kms::builder().store(Arc::clone(&store), root("one")?).build()?;
    let blobs = furnish(&kms, 1)?;
    store.fail_after(1);
    assert!(kms.move_root_key(root("two")?).is_err());
    store.fail_after(u64::MAX);
    assert_eq!(kms.move_root_key(root("three")?).expect_err("another root key").kind(), ErrorKind::InvalidState);
    check(&open("two")?, &blobs)?;
    kms.move_root_key(root("two")?)?;
    assert_eq!(open("one").expect_err("replaced").kind(), ErrorKind::RootKey);
    assert_eq!(open("two")?.rotate_root_key()?.version(), 3);
    assert_eq!(kms.rotate_root_key()?.version(), 4);
    check(&open("two")?, &blobs)
}

/// Both passphrases have the same name, so the one that opens the store identifies it.
#[cfg(feature = "passphrase")]
#[test]
fn a_rotation_keeps_the_passphrase_that_another_process_moved_back_to() -> TestResult {
    if backend::lacks("a_rotation_keeps_the_passphrase_that_another_process_moved_back_to", &["Argon2id"]) {
        return Ok(());
    }
    let place = Place::new()?;
    let root = |text| RootKey::from_passphrase_with_cost(text, strongroom::seal::PassphraseCost::new(64, 1, 1)?);
    let open = |text| Kms::builder().store(place.open()?, root(text)?).build();
    let kms = open("one")?;
    let blobs = furnish(&kms, 1)?;
    kms.move_root_key(root("two")?)?;
    open("two")?.move_root_key(root("one")?)?;
    kms.rotate_root_key()?;
    assert_eq!(open("two").expect_err("given up").kind(), ErrorKind::RootKey);
    check(&open("one")?, &blobs)
}

#[test]
fn who_finishes_a_move_goes_on_with_the_new_holder() -> TestResult {
    let place = Place::new()?;
    let store = HookedStore::new(place.open()?);
    let kms = over(Arc::clone(&store), 1)?;
    store.fail_after(1);
    assert!(kms.move_root_key(RootKey::from_bytes(&[2; 32])).is_err());
    store.fail_after(u64::MAX);
    let later = open(&place, 1)?;
    assert!(later.move_root_key(RootKey::from_bytes(&[2; 32]))?.was_resumed());
    assert_eq!(later.rotate_root_key()?.version(), 3);
    open(&place, 2)?;
    Ok(())
}

/// The earlier version is preserved as long as an unreadable record may be sealed under it.
#[test]
fn a_missing_or_altered_record_keeps_the_earlier_version() -> TestResult {
    let store = TamperingStore::new();
    let kms = over(Arc::clone(&store), 1)?;
    let blobs = furnish(&kms, 3)?;
    let state = store.state();
    let id = state.records.keys().find(|id| id.kind == RecordKind::Key).expect("there is one version").clone();
    store.change(|state| _ = state.records.remove(&id));
    assert_eq!(kms.rotate_root_key().expect_err("one version is missing").kind(), ErrorKind::Integrity);
    store.change(|now| _ = now.records.insert(id.clone(), state.records[&id].clone()));
    assert!(kms.root_key_status()?.is_rotating());
    check(&over(Arc::clone(&store), 1)?, &blobs)?;
    assert!(kms.rotate_root_key()?.was_resumed());
    check(&over(Arc::clone(&store), 1)?, &blobs)
}

/// A holder that counts its calls.
#[derive(Debug, Default)]
struct Counting {
    wrapped: AtomicU32,
    unwrapped: AtomicU32,
}

impl Counting {
    /// Returns the number of wraps and unwraps since the previous call.
    fn asked(&self) -> (u32, u32) {
        (self.wrapped.swap(0, Ordering::SeqCst), self.unwrapped.swap(0, Ordering::SeqCst))
    }
}

#[derive(Debug)]
struct Held(Arc<Counting>);

impl RootKeyHolder for Held {
    fn id(&self) -> &str {
        "counting"
    }

    fn wrap(&self, _: &[u8], key: &SecretBytes) -> Result<Vec<u8>> {
        self.0.wrapped.fetch_add(1, Ordering::SeqCst);
        Ok(key.expose_secret().iter().map(|byte| !byte).collect())
    }

    fn unwrap(&self, _: &[u8], wrapped: &[u8]) -> Result<SecretBytes> {
        self.0.unwrapped.fetch_add(1, Ordering::SeqCst);
        Ok(SecretBytes::from_vec(wrapped.iter().map(|byte| !byte).collect()))
    }
}

#[test]
fn a_holder_is_asked_when_a_store_is_opened_or_rotated_and_not_for_keys() -> TestResult {
    let (place, holder) = (Place::new()?, Arc::new(Counting::default()));
    let open = || Kms::builder().store(place.open()?, RootKey::from_holder(Held(Arc::clone(&holder)))).build();
    let kms = open()?;
    assert_eq!(holder.asked(), (1, 1));
    let other = open()?;
    assert_eq!(holder.asked(), (0, 1));
    let blobs = furnish(&kms, 2)?;
    kms.run_maintenance()?;
    check(&other, &blobs)?;
    assert_eq!(holder.asked(), (0, 0));
    kms.rotate_root_key()?;
    let (wrapped, unwrapped) = holder.asked();
    assert!(wrapped == 1 && unwrapped > 0, "{unwrapped}");
    // The other process discovers the rotation with its next operation. No other operation calls
    // the holder.
    other.describe_key(blobs[0].0)?;
    assert_eq!(holder.asked(), (0, 1));
    check(&other, &blobs)?;
    check(&kms, &blobs)?;
    assert_eq!(holder.asked(), (0, 0));
    Ok(())
}

#[test]
fn a_process_that_rests_while_the_root_key_moves_is_refused() -> TestResult {
    let place = Place::new()?;
    let (kms, resting) = (open(&place, 1)?, open(&place, 1)?);
    let key = kms.create_key(Default::default())?.key_id();
    resting.encrypt(EncryptRequest::new(key, b"text"))?;
    kms.move_root_key(RootKey::from_bytes(&[2; 32]))?;
    for refused in [
        resting.encrypt(EncryptRequest::new(key, b"text")).map(drop),
        resting.create_key(Default::default()).map(drop),
        resting.run_maintenance().map(drop),
    ] {
        assert_eq!(refused.expect_err("the process cannot obtain the new root key").kind(), ErrorKind::RootKey);
    }
    open(&place, 2)?.encrypt(EncryptRequest::new(key, b"text"))?;
    Ok(())
}

#[test]
fn an_import_token_from_before_is_refused_and_a_new_one_works() -> TestResult {
    let place = Place::new()?;
    let kms = open(&place, 1)?;
    let key = kms.create_key(CreateKeyRequest::default().origin(Origin::External))?.key_id();
    let parameters = || {
        let (algorithm, spec) = (WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa2048);
        kms.get_parameters_for_import(GetParametersForImportRequest::new(key, algorithm, spec))
    };
    let before = parameters()?.import_token;
    kms.rotate_root_key()?;
    let other = open(&place, 1)?;
    let import = |process: &Kms, token: &[u8]| {
        let request = ImportKeyMaterialRequest::new(key, token, &[1; 256]).does_not_expire();
        process.import_key_material(request).map(|_| ()).map_err(|error| error.kind())
    };
    let after = parameters()?.import_token;
    // This includes the process that still has the version under which the token was created.
    for process in [&kms, &other] {
        assert_eq!(import(process, &before), Err(ErrorKind::InvalidImportToken));
        assert_eq!(import(process, &after), Err(ErrorKind::InvalidCiphertext), "the token is valid");
    }
    Ok(())
}
