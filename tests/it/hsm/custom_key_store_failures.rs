//! Keys in HSMs when the process dies during an operation or a member misses one. No key is lost,
//! and no key is left behind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use strongroom::audit::{Action, AuditEvent};
use strongroom::key::{
    ConnectionState, CustomKeyStoreId, CustomKeyStoreMode, DeletionWindow, KeyId, KeySpec, KeyUsage,
};
use strongroom::provider::MemoryCluster;
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, PageRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, Record, RecordId, RecordKind, Scan};
use strongroom::{Error, ErrorKind, Kms, KmsBuilder, ManualClock, Result, Timestamp};

use crate::support::any_store::{self, Place};
use crate::support::custom_key_stores::{Setup, request, setup, two_members, vault};
use crate::support::hooked_cluster::{HookedCluster, Moment};
use crate::support::hooked_store::HookedStore;
use crate::support::kms::kind;
use crate::support::stuck_anchor::StuckAnchor;
use crate::support::tampering_store::TamperingStore;

/// A store and a cluster that outlive the processes that use them.
struct World {
    place: Place,
    store: Arc<dyn KeyStore>,
    inner: Arc<MemoryCluster>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Result<Self> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
        let place = Place::new()?;
        Ok(Self { store: place.open()?, place, inner: two_members(), clock })
    }

    /// Opens a process that dies at the given call that generates or erases a key, before or after
    /// the call takes effect. If `dies_at` is 0, it survives.
    fn process(&self, dies_at: usize) -> Result<Kms> {
        // Counts down. The process dies at the moment that finds the counter at 1.
        let left = AtomicUsize::new(dies_at);
        self.open(move |moment| {
            if moment != Moment::BeforeConnect && left.load(Ordering::SeqCst) > 0 {
                assert_ne!(left.fetch_sub(1, Ordering::SeqCst), 1, "the process dies here");
            }
        })
    }

    /// Opens a process that runs a hook, over a cluster without marks.
    fn open(&self, hook: impl Fn(Moment) + Send + Sync + 'static) -> Result<Kms> {
        self.builder(self.place.open()?, hook).build()
    }

    fn builder(&self, store: impl KeyStore + 'static, hook: impl Fn(Moment) + Send + Sync + 'static) -> KmsBuilder {
        let cluster = HookedCluster::new(&self.inner, hook).with_marks(false);
        let builder = Kms::builder().store(store, RootKey::from_bytes(&[7; 32]));
        builder
            .clock(Arc::clone(&self.clock))
            .clock_tolerance(std::time::Duration::MAX)
            .cluster(vault(), Arc::new(cluster))
    }

    /// Leaves material that a deletion has not destroyed because a member was unavailable.
    fn with_deleted_key(&self) -> Result<CustomKeyStoreId> {
        let store = self.with_store()?;
        let kms = self.process(0)?;
        let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id();
        kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
        self.clock.advance_days(7);
        self.inner.set_active("hsm-2", false);
        assert_eq!(kms.run_maintenance()?.failed.len(), 1);
        self.inner.set_active("hsm-2", true);
        assert_eq!((self.objects(), self.intents()?), ([0, 1], 1));
        Ok(store)
    }

    /// Returns the number of intents in the store.
    fn intents(&self) -> Result<usize> {
        self.records(RecordKind::Intent)
    }

    fn records(&self, kind: RecordKind) -> Result<usize> {
        Ok(self.store.scan(&Scan { kind, account: None, after: None, limit: 100 })?.len())
    }

    fn with_store(&self) -> Result<CustomKeyStoreId> {
        let kms = self.process(0)?;
        let store = kms.create_custom_key_store(request("safe", "vault")?)?;
        kms.connect_custom_key_store(store)?;
        Ok(store)
    }

    fn objects(&self) -> [usize; 2] {
        [self.inner.keys_on("hsm-1"), self.inner.keys_on("hsm-2")]
    }
}

#[test]
fn a_member_that_is_back_is_looked_for_before_a_key_is_refused() -> Result<()> {
    let world = World::new()?;
    world.inner.set_active("hsm-2", false);
    let kms = world.process(0)?;
    let make = || kms.create_custom_key_store(request("safe", "vault")?);
    assert_eq!(kind(make()), ErrorKind::ClusterInvalidConfiguration);
    world.inner.set_active("hsm-2", true);
    let store = make()?;
    kms.connect_custom_key_store(store)?;

    // A process that starts during the outage finds one member. It checks the members again before
    // it creates a key.
    world.inner.set_active("hsm-2", false);
    let kms = world.process(0)?;
    let create = || kms.create_key(CreateKeyRequest::default().custom_key_store(store));
    assert_eq!(kind(create()), ErrorKind::ClusterInvalidConfiguration);
    world.inner.set_active("hsm-2", true);
    create()?;
    assert_eq!(world.objects(), [1, 1]);
    Ok(())
}

#[test]
fn a_store_that_another_process_connected_is_not_deleted() -> Result<()> {
    let world = World::new()?;
    let store = world.with_store()?;
    let kms = world.process(0)?;
    assert_eq!(kind(kms.delete_custom_key_store(store)), ErrorKind::CustomKeyStoreInvalidState);
    kms.disconnect_custom_key_store(store)?;
    kms.delete_custom_key_store(store)?;
    Ok(())
}

#[test]
fn what_a_cluster_lacks_is_said_with_the_refusal() -> Result<()> {
    let world = World::new()?;
    let kms = world.process(0)?;
    let store = kms.create_custom_key_store(request("wide", "vault")?.mode(CustomKeyStoreMode::Extended))?;
    kms.connect_custom_key_store(store)?;
    let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let refused = kms.create_key(hmac.custom_key_store(store)).expect_err("the cluster does not support such keys");
    assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation);
    assert!(refused.to_string().ends_with(": HMAC_256 keys are not supported by the test"), "{refused}");
    Ok(())
}

#[test]
fn a_creation_that_is_cut_off_leaves_none_or_exactly_one_key() -> Result<()> {
    for dies_at in 1..=3 {
        let world = World::new()?;
        let store = world.with_store()?;
        let kms = world.process(dies_at)?;
        let create = || kms.create_key(CreateKeyRequest::default().custom_key_store(store)).is_ok();
        let made = catch_unwind(AssertUnwindSafe(create));
        assert_eq!(made.is_ok(), dies_at == 3, "a creation has two steps");
        drop(kms);
        let after = world.process(0)?;
        after.run_maintenance()?;
        let young = world.objects();
        assert_eq!(young, if dies_at == 1 { [0, 0] } else { [1, 1] }, "recent creations may still complete");
        world.clock.advance(std::time::Duration::from_secs(16 * 60));
        assert!(after.run_maintenance()?.failed.is_empty());
        let keys = after.list_keys(PageRequest::default())?.entries;
        assert_eq!(world.objects(), [keys.len(); 2], "dies at {dies_at}");
        assert_eq!(keys.len(), usize::from(dies_at == 3));
        for key in keys {
            after.encrypt(EncryptRequest::new(key.key_id, b"data"))?;
        }
        after.disconnect_custom_key_store(store)?;
        assert_eq!(after.delete_custom_key_store(store).is_ok(), dies_at != 3, "only real keys count");
    }
    Ok(())
}

#[test]
fn a_deletion_that_is_cut_off_is_finished_later() -> Result<()> {
    for dies_at in 1..=2 {
        let world = World::new()?;
        let store = world.with_store()?;
        let kms = world.process(0)?;
        let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id();
        kms.encrypt(EncryptRequest::new(key, b"data"))?;
        kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
        world.clock.advance_days(7);
        assert_eq!(world.records(RecordKind::MessageCount)?, 1);
        let mortal = world.process(dies_at)?;
        assert!(catch_unwind(AssertUnwindSafe(|| mortal.run_maintenance().is_ok())).is_err());
        drop((kms, mortal));
        assert_eq!(world.objects(), if dies_at == 1 { [1, 1] } else { [0, 0] });
        let after = world.process(0)?;
        assert!(after.run_maintenance()?.failed.is_empty());
        assert_eq!((world.objects(), after.list_keys(PageRequest::default())?.entries.len()), ([0, 0], 0));
        assert_eq!(world.records(RecordKind::MessageCount)?, 0);
        after.disconnect_custom_key_store(store)?;
        after.delete_custom_key_store(store)?;
    }
    Ok(())
}

#[test]
fn a_member_that_missed_a_deletion_is_asked_again_until_it_answers() -> Result<()> {
    let setup = setup()?;
    let (_, key) = setup.store_with_key()?;
    let kms = &setup.kms;
    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    setup.clock.advance_days(7);
    setup.cluster.set_active("hsm-2", false);
    let report = kms.run_maintenance()?;
    assert_eq!((report.deleted.len(), report.failed.len()), (1, 1));
    assert_eq!((setup.cluster.keys_on("hsm-1"), setup.cluster.keys_on("hsm-2")), (0, 1));
    assert_eq!(kind(kms.describe_key(key)), ErrorKind::NotFound);
    setup.cluster.set_active("hsm-2", true);
    assert!(kms.run_maintenance()?.failed.is_empty());
    assert_eq!((setup.cluster.keys_on("hsm-1"), setup.cluster.keys_on("hsm-2")), (0, 0));
    let told = destructions(&setup);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("FAILURE") && told[1].contains("FAILURE") && told[2].contains("SUCCESS"), "{told:?}");
    Ok(())
}

/// Returns the audit events for material that was to be destroyed.
fn destructions(setup: &Setup) -> Vec<String> {
    let of_keys = |event: &AuditEvent| event.action == Action::DeleteKey;
    let status = |event: AuditEvent| {
        event.additional.into_iter().find(|(name, _)| *name == "backingKeyDeletionStatus").map(|(_, status)| status)
    };
    let told = setup.trail.events().into_iter().filter(of_keys).filter_map(status);
    told.map(|status| format!("{status:?}")).collect()
}

#[test]
fn material_in_the_cluster_of_a_deleted_store_is_never_called_destroyed() -> Result<()> {
    let setup = setup()?;
    let (store, key) = setup.store_with_key()?;
    let kms = &setup.kms;
    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    setup.clock.advance_days(7);
    setup.cluster.set_active("hsm-2", false);
    kms.run_maintenance()?;
    kms.disconnect_custom_key_store(store)?;
    kms.delete_custom_key_store(store)?;
    setup.trail.clear();
    assert_eq!(kms.run_maintenance()?.failed.len(), 1, "the failure is reported once");
    assert_eq!(setup.cluster.keys_on("hsm-2"), 1);
    let told = destructions(&setup);
    assert!(told.len() == 1 && told[0].contains("FAILURE"), "{told:?}");
    assert!(kms.run_maintenance()?.is_complete(), "and not again");
    Ok(())
}

#[test]
fn a_creation_that_maintenance_took_over_is_not_finished_after_all() -> Result<()> {
    let world = Arc::new(World::new()?);
    let store = world.with_store()?;
    // The creator is slow. During its creation, another process considers the intent expired and
    // undoes it.
    let (other, clock) = (world.process(0)?, Arc::clone(&world.clock));
    let kms = world.open(move |moment| {
        if moment == Moment::BeforeGenerate {
            clock.advance(std::time::Duration::from_secs(20 * 60));
            other.run_maintenance().expect("maintenance runs");
        }
    })?;
    assert_eq!(kind(kms.create_key(CreateKeyRequest::default().custom_key_store(store))), ErrorKind::Conflict);
    let after = world.process(0)?;
    after.run_maintenance()?;
    assert_eq!(after.list_keys(PageRequest::default())?.entries.len(), 0);
    assert_eq!(world.objects(), [0, 0], "the created objects are not left behind");
    Ok(())
}

#[test]
fn a_connection_in_the_making_is_seen_refuses_keys_and_can_be_given_up() -> Result<()> {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let waiting = Arc::clone(&gate);
    let wait_to_connect = move |moment| {
        if moment == Moment::BeforeConnect {
            let open = waiting.0.lock().expect("no thread panics");
            drop(waiting.1.wait_while(open, |open| !*open).expect("no thread panics"));
        }
    };
    let kms = any_store::builder().cluster(vault(), HookedCluster::new(&two_members(), wait_to_connect)).build()?;
    let store = kms.create_custom_key_store(request("safe", "vault")?)?;
    let state = || kms.describe_custom_key_store(store).map(|entry| entry.connection_state);
    let open = || {
        *gate.0.lock().expect("no thread panics") = true;
        gate.1.notify_all();
    };
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| kms.connect_custom_key_store(store).map_err(|error| error.kind()));
        while state().expect("the custom key store exists") != ConnectionState::Connecting {
            std::thread::yield_now();
        }
        let refused = kms.create_key(CreateKeyRequest::default().custom_key_store(store));
        assert_eq!(kind(refused), ErrorKind::CustomKeyStoreInvalidState);
        assert_eq!(kind(kms.delete_custom_key_store(store)), ErrorKind::CustomKeyStoreInvalidState);
        let disconnecting = scope.spawn(|| kms.disconnect_custom_key_store(store).map_err(|error| error.kind()));
        while state().expect("the custom key store exists") != ConnectionState::Disconnecting {
            std::thread::yield_now();
        }
        assert_eq!(kind(kms.connect_custom_key_store(store)), ErrorKind::CustomKeyStoreInvalidState);
        assert_eq!(kind(kms.disconnect_custom_key_store(store)), ErrorKind::CustomKeyStoreInvalidState);
        open();
        assert_eq!(disconnecting.join().expect("no thread panicked"), Ok(()));
        assert_eq!(connecting.join().expect("no thread panicked"), Err(ErrorKind::KeyUnavailable));
    });
    assert_eq!(state()?, ConnectionState::Disconnected);
    kms.connect_custom_key_store(store)?;
    assert_eq!(state()?, ConnectionState::Connected);
    Ok(())
}

#[test]
fn sixteen_threads_never_see_a_wrong_plaintext_while_members_come_and_go() -> Result<()> {
    let setup = setup()?;
    let (_, key) = setup.store_with_key()?;
    let (kms, cluster) = (&setup.kms, &setup.cluster);
    let done = AtomicUsize::new(0);
    let round = |key: KeyId, thread: usize, number: usize| -> Result<()> {
        let plaintext = format!("{thread} {number}");
        let sealed = kms.encrypt(EncryptRequest::new(key, plaintext.as_bytes()))?.ciphertext_blob;
        let opened = kms.decrypt(DecryptRequest::new(&sealed))?;
        assert_eq!(opened.plaintext.expose_secret(), plaintext.as_bytes());
        Ok(())
    };
    let (answers, outages) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let (round, done) = (&round, &done);
                scope.spawn(move || {
                    let results: Vec<_> = (0..200).map(|number| round(key, thread, number)).collect();
                    done.fetch_add(1, Ordering::SeqCst);
                    results
                })
            })
            .collect();
        let mut turn = 0_usize;
        while done.load(Ordering::SeqCst) < 16 {
            // One member is unavailable, then the other, then both.
            cluster.set_active("hsm-1", turn.is_multiple_of(3));
            cluster.set_active("hsm-2", turn % 3 == 1);
            turn += 1;
            std::thread::yield_now();
        }
        let results =
            threads.into_iter().flat_map(|thread| thread.join().expect("decryption never returns a wrong plaintext"));
        results.fold((0, 0), |(answers, outages), result| match result {
            Ok(()) => (answers + 1, outages),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidState);
                (answers, outages + 1)
            }
        })
    });
    assert_eq!(answers + outages, 16 * 200);
    cluster.set_active("hsm-1", true);
    round(key, 0, 0)
}

#[test]
fn a_key_whose_commit_is_reported_as_failed_and_took_effect_keeps_its_material() -> Result<()> {
    let store = HookedStore::new(any_store::new()?);
    let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]));
    let kms = builder.cluster(vault(), two_members()).build()?;
    let safe = kms.create_custom_key_store(request("safe", "vault")?)?;
    kms.connect_custom_key_store(safe)?;
    store.after_commit(RecordKind::Key, || Err(Error::new(ErrorKind::Store, "the disk failed")));
    let failed =
        kms.create_key(CreateKeyRequest::default().custom_key_store(safe)).expect_err("the store reported a failure");
    assert_eq!(failed.kind(), ErrorKind::Store);
    kms.run_maintenance()?;
    let keys = kms.list_keys(PageRequest::default())?.entries;
    assert_eq!(keys.len(), 1, "the commit took effect");
    kms.encrypt(EncryptRequest::new(keys[0].key_id, b"data"))?;
    Ok(())
}

#[test]
fn a_creation_is_finished_although_another_one_is_finished_just_before() -> Result<()> {
    let world = World::new()?;
    let safe = world.with_store()?;
    let (store, other) = (HookedStore::new(world.place.open()?), Arc::new(world.process(0)?));
    let create = move |kms: &Kms| kms.create_key(CreateKeyRequest::default().custom_key_store(safe));
    let creator = Arc::clone(&other);
    store.before_commit(RecordKind::Key, move || create(&creator).map(drop));
    let kms = world.builder(Arc::clone(&store), |_| {}).build()?;
    create(&kms)?;
    assert_eq!((world.objects(), world.intents()?), ([2, 2], 0));
    let keys = kms.list_keys(PageRequest::default())?.entries;
    assert_eq!(keys.len(), 2);
    for key in keys {
        kms.encrypt(EncryptRequest::new(key.key_id, b"data"))?;
        other.encrypt(EncryptRequest::new(key.key_id, b"data"))?;
    }
    Ok(())
}

/// The first call decides. The other one leaves nothing.
#[test]
fn a_store_that_one_host_deletes_while_another_creates_a_key_loses_neither() -> Result<()> {
    let world = World::new()?;
    let [creating, deleting] = [world.process(0)?, world.process(0)?];
    for _ in 0..6 {
        let safe = creating.create_custom_key_store(request("safe", "vault")?)?;
        creating.connect_custom_key_store(safe)?;
        let (created, deleted) = std::thread::scope(|scope| {
            let created = scope.spawn(|| creating.create_key(CreateKeyRequest::default().custom_key_store(safe)));
            let deleted = scope.spawn(|| {
                deleting.disconnect_custom_key_store(safe)?;
                deleting.delete_custom_key_store(safe)
            });
            (created.join().expect("no panic"), deleted.join().expect("no panic"))
        });
        if let Err(refused) = &created {
            // The last one if the store was disconnected after it was checked.
            let kinds =
                [ErrorKind::CustomKeyStoreInvalidState, ErrorKind::CustomKeyStoreNotFound, ErrorKind::InvalidState];
            assert!(kinds.contains(&refused.kind()), "{refused:?}");
        }
        if let Err(refused) = &deleted {
            assert_eq!(refused.kind(), ErrorKind::CustomKeyStoreHasKeys, "{refused:?}");
        }
        // An interrupted creation is undone by either host, if the store is connected.
        if deleted.is_err() {
            deleting.connect_custom_key_store(safe)?;
        }
        world.clock.advance(std::time::Duration::from_secs(16 * 60));
        assert!(deleting.run_maintenance()?.is_complete());
        match (created, deleted) {
            (Ok(_), Ok(())) => panic!("the store was deleted with a key in it"),
            (Ok(key), Err(_)) => {
                for host in [&creating, &deleting] {
                    host.encrypt(EncryptRequest::new(key.key_id(), b"data"))?;
                }
                creating.schedule_key_deletion(key.key_id(), DeletionWindow::MIN)?;
                world.clock.advance_days(7);
                assert_eq!(deleting.run_maintenance()?.deleted.len(), 1);
            }
            (Err(_), _) => {}
        }
        assert_eq!((world.objects(), world.intents()?), ([0, 0], 0));
        if creating.describe_custom_key_store(safe).is_ok() {
            creating.disconnect_custom_key_store(safe)?;
            creating.delete_custom_key_store(safe)?;
        }
        assert_eq!(kind(deleting.describe_custom_key_store(safe)), ErrorKind::CustomKeyStoreNotFound);
    }
    Ok(())
}

#[test]
fn a_destruction_that_two_processes_finish_at_once_is_no_failure() -> Result<()> {
    let world = World::new()?;
    world.with_deleted_key()?;
    let other = world.process(0)?;
    let kms = world.open(move |moment| {
        if moment == Moment::AfterErase {
            assert!(other.run_maintenance().expect("maintenance runs").failed.is_empty());
        }
    })?;
    let report = kms.run_maintenance()?;
    assert!(report.failed.is_empty(), "{report:?}");
    assert_eq!((world.objects(), world.intents()?), ([0, 0], 0));
    Ok(())
}

#[test]
fn an_undone_creation_is_forgotten_although_another_key_is_created() -> Result<()> {
    let world = World::new()?;
    let safe = world.with_store()?;
    let create = move |kms: &Kms| kms.create_key(CreateKeyRequest::default().custom_key_store(safe));
    let mortal = world.process(2)?;
    assert!(catch_unwind(AssertUnwindSafe(|| create(&mortal).is_ok())).is_err());
    drop(mortal);
    world.clock.advance(std::time::Duration::from_secs(16 * 60));
    let (store, other) = (HookedStore::new(world.place.open()?), Arc::new(world.process(0)?));
    let (hooked, creator) = (Arc::clone(&store), Mutex::new(Some(Arc::clone(&other))));
    let builder = world.builder(store, move |moment| {
        let creator = creator.lock().expect("no thread panics").take_if(|_| moment == Moment::AfterErase);
        if let Some(creator) = creator {
            hooked.before_commit(RecordKind::CustomKeyStore, move || create(&creator).map(drop));
        }
    });
    let kms = builder.build()?;
    let report = kms.run_maintenance()?;
    assert!(report.failed.is_empty(), "{report:?}");
    let keys = kms.list_keys(PageRequest::default())?.entries;
    assert_eq!((world.objects(), world.intents()?, keys.len()), ([1, 1], 0, 1));
    other.encrypt(EncryptRequest::new(keys[0].key_id, b"data"))?;
    // Of the two keys, only the existing one counts toward its store.
    kms.schedule_key_deletion(keys[0].key_id, DeletionWindow::MIN)?;
    world.clock.advance_days(7);
    assert!(kms.run_maintenance()?.is_complete());
    kms.disconnect_custom_key_store(safe)?;
    kms.delete_custom_key_store(safe)?;
    Ok(())
}

#[test]
fn a_destruction_is_finished_once_its_intent_is_deleted_and_not_before() -> Result<()> {
    for is_committed in [true, false] {
        let world = World::new()?;
        world.with_deleted_key()?;
        let (store, anchor) = (HookedStore::new(world.place.open()?), StuckAnchor::new());
        let (hooked, stuck) = (Arc::clone(&store), Arc::clone(&anchor));
        let builder = world.builder(store, move |moment| {
            let stuck = Arc::clone(&stuck);
            // Either the anchor cannot follow the commit, or the commit does not happen.
            let fail = move || match is_committed {
                true => {
                    stuck.stop_after(0);
                    Ok(())
                }
                false => Err(Error::new(ErrorKind::Store, "the disk is full")),
            };
            if moment == Moment::AfterErase {
                hooked.before_commit(RecordKind::Intent, fail);
            }
        });
        let kms = builder.anchor(Arc::clone(&anchor)).build()?;
        let failed = kms.run_maintenance()?.failed;
        anchor.stop_after(u32::MAX);
        let (left, intents) = if is_committed { (0, 0) } else { (1, 1) };
        assert_eq!((failed.len(), world.objects(), world.intents()?), (left, [0, 0], intents), "{failed:?}");
    }
    Ok(())
}

#[test]
fn a_damaged_record_of_the_custom_key_stores_forgets_no_material() -> Result<()> {
    let world = World::new()?;
    let store = TamperingStore::new();
    let open = || world.builder(Arc::clone(&store), |_| {}).build();
    let kms = open()?;
    let safe = kms.create_custom_key_store(request("safe", "vault")?)?;
    kms.connect_custom_key_store(safe)?;
    let key = kms.create_key(CreateKeyRequest::default().custom_key_store(safe))?.key_id();
    kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    world.clock.advance_days(7);
    world.inner.set_active("hsm-2", false);
    assert_eq!(kms.run_maintenance()?.failed.len(), 1);
    world.inner.set_active("hsm-2", true);
    drop(kms);
    let flip = || {
        store.change(|state| {
            let of_kind = |(id, _): &(&RecordId, &mut Record)| id.kind == RecordKind::CustomKeyStore;
            for (_, record) in state.records.iter_mut().filter(of_kind) {
                let mut body = record.body.to_vec();
                body.iter_mut().for_each(|byte| *byte ^= 1);
                record.body = body.into();
            }
        });
    };
    flip();
    assert!(!open()?.run_maintenance()?.is_complete());
    flip();
    let kms = open()?;
    assert_eq!(world.objects(), [0, 1]);
    assert!(kms.run_maintenance()?.is_complete());
    assert_eq!(world.objects(), [0, 0]);
    Ok(())
}

#[test]
fn a_process_that_never_connected_does_not_disconnect_the_cluster_of_another_one() -> Result<()> {
    let world = World::new()?;
    let safe = world.with_store()?;
    let kms = world.process(0)?;
    let key = kms.create_key(CreateKeyRequest::default().custom_key_store(safe))?.key_id();
    drop(world.process(0)?);
    kms.encrypt(EncryptRequest::new(key, b"data"))?;
    Ok(())
}

#[test]
fn the_failure_of_a_deleted_store_does_not_delay_the_next_one_over_its_cluster() -> Result<()> {
    let world = World::new()?;
    let first = world.with_store()?;
    let (kms, other) = (world.process(0)?, world.process(0)?);
    kms.connect_custom_key_store(first)?;
    let set_active = |active| ["hsm-1", "hsm-2"].map(|member| world.inner.set_active(member, active));
    set_active(false);
    assert_eq!(other.describe_custom_key_store(first)?.connection_state, ConnectionState::Failed);
    set_active(true);
    kms.disconnect_custom_key_store(first)?;
    kms.delete_custom_key_store(first)?;
    let second = kms.create_custom_key_store(request("next", "vault")?)?;
    kms.connect_custom_key_store(second)?;
    other.create_key(CreateKeyRequest::default().custom_key_store(second))?;
    Ok(())
}
