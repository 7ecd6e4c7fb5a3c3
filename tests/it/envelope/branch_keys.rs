//! The store of branch keys.

use std::sync::Arc;
use std::thread;

use strongroom::envelope::{BranchKeyItem, BranchKeyStore, BranchKeyVersion, BranchKeyWrapper, KmsBranchKeyWrapper};
use strongroom::identity::AccountId;
use strongroom::seal::RootKey;
use strongroom::store::{Change, Expectation, KeyStore, MemoryStore, RecordId, RecordKind, Scan};
use strongroom::{EncryptionContext, Error, ErrorKind, Kms, ManualClock, Result, SecretBytes, Timestamp};

use crate::support::any_store::{self, Place};
use crate::support::kms::kind;

/// The logical name of the stores.
const NAME: &str = "branch-keys";

fn context() -> EncryptionContext {
    EncryptionContext::from([("tenant", "42"), ("Straße", "日本")])
}

/// A KMS with a key that wraps branch keys.
fn wrapper() -> Result<KmsBranchKeyWrapper> {
    let kms = Kms::in_memory()?;
    Ok(KmsBranchKeyWrapper::new(&kms, kms.create_key(Default::default())?.arn()))
}

fn open(store: Arc<dyn KeyStore>, wrapper: &KmsBranchKeyWrapper) -> BranchKeyStore {
    BranchKeyStore::new(store, NAME, wrapper.clone()).expect("the store can be opened")
}

fn all_records(store: &dyn KeyStore) -> Result<Vec<(RecordId, Vec<u8>)>> {
    let found = store.scan(&Scan { kind: RecordKind::BranchKey, account: None, after: None, limit: 1_000 })?;
    Ok(found.into_iter().map(|(id, record)| (id, record.body.to_vec())).collect())
}

/// Replaces a record, as an attacker with write access would.
fn put(store: &dyn KeyStore, id: &RecordId, body: &[u8]) -> Result<()> {
    let revision = store.get(id)?.map(|record| record.revision);
    let expected = Expectation { id: id.clone(), revision };
    store.commit(&[expected], &mut |_| Ok(vec![Change { id: id.clone(), body: Some(body.to_vec()) }]))?;
    Ok(())
}

#[test]
fn every_version_stays_readable_and_the_beacon_key_stays_the_same() -> Result<()> {
    let place = Place::new()?;
    let (store, wrapper) = (place.open()?, wrapper()?);
    let keys = open(Arc::clone(&store), &wrapper);
    keys.create_branch_key_as("tenant/42", &context())?;
    let beacon = keys.beacon("tenant/42")?;
    let mut versions = vec![keys.active("tenant/42")?];
    for _ in 0..3 {
        let version = keys.rotate("tenant/42")?;
        let active = keys.active("tenant/42")?;
        assert_eq!((active.version(), active.encryption_context(), active.id()), (version, &context(), "tenant/42"));
        versions.push(active);
    }
    // Another handle, as in another process.
    let keys = open(place.open()?, &wrapper);
    for (index, version) in versions.iter().enumerate() {
        let stored = keys.version("tenant/42", version.version())?;
        assert_eq!((stored.expose_secret(), stored.encryption_context()), (version.expose_secret(), &context()));
        assert!(versions[..index].iter().all(|earlier| earlier.expose_secret() != version.expose_secret()));
        assert_ne!(version.expose_secret(), beacon.expose_secret());
    }
    assert_eq!(keys.beacon("tenant/42")?.expose_secret(), beacon.expose_secret());
    assert_eq!(keys.export("tenant/42")?.len(), 6);
    assert_eq!(all_records(&*store)?.len(), 6);
    Ok(())
}

#[test]
fn branch_keys_and_stores_are_apart() -> Result<()> {
    let (store, wrapper) = (any_store::new()?, wrapper()?);
    let keys = open(Arc::clone(&store), &wrapper);
    let others = BranchKeyStore::new(Arc::clone(&store), "other-keys", wrapper)?;
    // Texts that are prefixes of each other, and of the names of records.
    for id in ["a", "ab", "b", "a\0b", "branch:ACTIVE"] {
        keys.create_branch_key_as(id, &context())?;
        assert_eq!(kind(keys.create_branch_key_as(id, &context())), ErrorKind::AlreadyExists, "{id:?}");
        assert_eq!(kind(others.active(id)), ErrorKind::NotFound, "{id:?}");
    }
    others.create_branch_key_as("a", &context())?;
    for id in ["a", "ab", "b", "a\0b", "branch:ACTIVE"] {
        let items = keys.export(id)?;
        assert!(items.len() == 3 && items.iter().all(|item| item.branch_key_id() == id), "{items:?}");
    }
    assert_ne!(keys.active("a")?.expose_secret(), others.active("a")?.expose_secret());
    let id = keys.create_branch_key(&EncryptionContext::new())?;
    assert!(keys.active(&id)?.encryption_context().is_empty());
    assert_ne!(keys.create_branch_key(&EncryptionContext::new())?, id);
    for (missing, result) in [
        ("active", keys.active("c").map(drop)),
        ("beacon", keys.beacon("c").map(drop)),
        ("version", keys.version("a", BranchKeyVersion::from_bytes([7; 16])).map(drop)),
        ("rotate", keys.rotate("c").map(drop)),
        ("export", keys.export("c").map(drop)),
    ] {
        assert_eq!(kind(result), ErrorKind::NotFound, "{missing}");
    }
    Ok(())
}

#[test]
fn invalid_names_ids_and_contexts_are_refused() -> Result<()> {
    let (store, wrapper) = (any_store::new()?, wrapper()?);
    for name in [String::new(), "x".repeat(256)] {
        assert_eq!(kind(BranchKeyStore::new(Arc::clone(&store), name, wrapper.clone())), ErrorKind::Validation);
    }
    let keys = open(Arc::clone(&store), &wrapper);
    for id in [String::new(), "x".repeat(513)] {
        let results = [
            keys.create_branch_key_as(&id, &context()),
            keys.active(&id).map(drop),
            keys.rotate(&id).map(drop),
            keys.export(&id).map(drop),
        ];
        results.into_iter().for_each(|result| assert_eq!(kind(result), ErrorKind::Validation, "{} bytes", id.len()));
    }
    assert_eq!(kind(keys.create_branch_key_as("a", &EncryptionContext::new())), ErrorKind::Validation);
    let long = EncryptionContext::from([("a", "x".repeat(66_000))]);
    assert!(keys.create_branch_key_as("a", &long).is_err() && all_records(&*store)?.is_empty());
    keys.create_branch_key_as(&"x".repeat(512), &context())?;
    Ok(())
}

#[test]
fn an_export_can_be_imported_into_another_store() -> Result<()> {
    let wrapper = wrapper()?;
    let from = open(any_store::new()?, &wrapper);
    from.create_branch_key_as("a", &context())?;
    let id = from.create_branch_key(&EncryptionContext::new())?;
    let first = from.active(&id)?;
    from.rotate(&id)?;
    let items = [from.export("a")?, from.export(&id)?].concat();
    let texts: Vec<_> = items.iter().map(BranchKeyItem::to_json).collect::<Result<_>>()?;
    let answer = format!("{{\"Items\": [{}], \"Count\": {}}}", texts.join(", "), items.len());
    let items = BranchKeyItem::list_from_json(answer.as_bytes())?;

    let store = any_store::new()?;
    let to = open(Arc::clone(&store), &wrapper);
    to.import(&items)?;
    assert_eq!([to.export("a")?, to.export(&id)?].concat(), items);
    assert_eq!(to.version(&id, first.version())?.expose_secret(), first.expose_secret());
    assert_eq!(to.beacon("a")?.expose_secret(), from.beacon("a")?.expose_secret());
    // The same again changes nothing, and a rotation is followed.
    let revision = store.revision()?;
    to.import(&items)?;
    assert_eq!(store.revision()?, revision);
    let version = from.rotate(&id)?;
    to.import(&from.export(&id)?)?;
    assert_eq!((to.active(&id)?.version(), to.export(&id)?), (version, from.export(&id)?));
    // Neither back, nor into a store that has versions of its own.
    assert_eq!(kind(to.import(&items)), ErrorKind::AlreadyExists);
    let earlier: Vec<_> = items
        .iter()
        .filter(|item| item.branch_key_id() == id && item.item_type() == "branch:ACTIVE")
        .cloned()
        .collect();
    let back = from.export(&id)?.into_iter().filter(|item| item.item_type() != "branch:ACTIVE").chain(earlier);
    assert_eq!(kind(to.import(&back.collect::<Vec<_>>())), ErrorKind::AlreadyExists);
    from.rotate(&id)?;
    to.rotate(&id)?;
    let before = to.export(&id)?;
    assert_eq!(kind(to.import(&from.export(&id)?)), ErrorKind::AlreadyExists);
    assert_eq!(to.export(&id)?, before);
    Ok(())
}

#[test]
fn an_import_is_complete_and_consistent_or_refused() -> Result<()> {
    let wrapper = wrapper()?;
    let from = open(any_store::new()?, &wrapper);
    from.create_branch_key_as("a", &context())?;
    from.create_branch_key_as("b", &context())?;
    let before = from.export("a")?;
    from.rotate("a")?;
    let (items, store) = (from.export("a")?, any_store::new()?);
    let to = open(Arc::clone(&store), &wrapper);
    let is = |item: &BranchKeyItem, kind: &str| item.item_type() == kind;
    let without = |kind: &str| items.iter().filter(|item| !is(item, kind)).cloned().collect::<Vec<_>>();
    let active = format!("branch:version:{}", from.active("a")?.version());
    for kept in [without("branch:ACTIVE"), without("beacon:ACTIVE"), without(&active)] {
        assert_eq!((kept.len(), kind(to.import(&kept))), (3, ErrorKind::Validation));
    }
    assert_eq!(kind(to.import(&[&items[..], &items[..1]].concat())), ErrorKind::Validation);
    // Two states of a branch key, mixed.
    let mixed: Vec<_> = without("branch:ACTIVE")
        .into_iter()
        .chain(before.into_iter().filter(|item| is(item, "branch:ACTIVE")))
        .collect();
    to.import(&mixed)?;
    let old = to.active("a")?.version();
    assert!(old != from.active("a")?.version(), "an earlier version can be active");

    // One damaged branch key, and nothing is imported.
    let damaged: Vec<_> = from
        .export("b")?
        .iter()
        .map(|item| item.to_json().map(|json| json.replace("日本", "日")))
        .collect::<Result<_>>()?;
    let damaged: Vec<_> =
        damaged.iter().map(|json| BranchKeyItem::from_json(json.as_bytes())).collect::<Result<_>>()?;
    let to = open(any_store::new()?, &wrapper);
    assert_eq!(kind(to.import(&[&items[..], &damaged[..]].concat())), ErrorKind::Integrity);
    assert_eq!(kind(to.export("a")), ErrorKind::NotFound);
    let many = vec![items[0].clone(); 1_001];
    assert_eq!(kind(to.import(&many)), ErrorKind::Validation);
    Ok(())
}

/// Every byte of every record is authenticated or checked.
#[test]
fn modified_items_are_refused() -> Result<()> {
    let (store, wrapper) = (Arc::new(MemoryStore::new(&Default::default())?), wrapper()?);
    let keys = open(store.clone(), &wrapper);
    keys.create_branch_key_as("a", &context())?;
    keys.create_branch_key_as("b", &context())?;
    let version = keys.active("a")?.version();
    let read = |record: &RecordId| match () {
        () if record.name.ends_with(b"branch:ACTIVE") => keys.active("a").map(drop).and(keys.rotate("a").map(drop)),
        () if record.name.ends_with(b"beacon:ACTIVE") => keys.beacon("a").map(drop),
        () => keys.version("a", version).map(drop),
    };
    let all = all_records(&*store)?;
    let (own, other) = all.split_at(3);
    for (record, body) in own {
        for index in 0..body.len() {
            let mut altered = body.clone();
            altered[index] ^= 1;
            put(&*store, record, &altered)?;
            let kind = kind(read(record));
            // A modified ARN names a key that this store does not use.
            assert!(matches!(kind, ErrorKind::Integrity | ErrorKind::IncorrectKey), "byte {index}: {kind:?}");
        }
        for length in 0..body.len() {
            put(&*store, record, &body[..length])?;
            assert_eq!(kind(read(record)), ErrorKind::Integrity, "{length} bytes");
        }
        // The items of the other branch key, and of other roles.
        for (replaced, body) in other.iter().chain(own).filter(|(replaced, _)| replaced != record) {
            put(&*store, record, body)?;
            assert_eq!(kind(read(record)), ErrorKind::Integrity, "{replaced:?}");
        }
        put(&*store, record, body)?;
        read(record)?;
    }
    Ok(())
}

#[test]
fn a_branch_key_of_another_kms_key_is_refused() -> Result<()> {
    let (store, first) = (any_store::new()?, wrapper()?);
    let keys = open(Arc::clone(&store), &first);
    keys.create_branch_key_as("a", &context())?;
    let others = open(store, &wrapper()?);
    let results = [others.active("a").map(drop), others.rotate("a").map(drop), others.beacon("a").map(drop)];
    results.into_iter().for_each(|result| assert_eq!(kind(result), ErrorKind::IncorrectKey));
    assert_eq!(kind(open(any_store::new()?, &wrapper()?).import(&keys.export("a")?)), ErrorKind::IncorrectKey);
    Ok(())
}

/// Each rotation adds a version, whatever the others do, and none is lost.
#[test]
fn concurrent_rotations_and_creations_lose_nothing() -> Result<()> {
    const THREADS: usize = 4;
    let (place, wrapper) = (Place::new()?, wrapper()?);
    let keys = open(place.open()?, &wrapper);
    keys.create_branch_key_as("a", &context())?;
    let outcomes: Vec<_> = thread::scope(|scope| {
        let work = || {
            let keys = open(place.open()?, &wrapper);
            Ok((keys.rotate("a")?, keys.create_branch_key_as("b", &context()).map_err(|error| error.kind())))
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Result<_>>()
    })?;
    let keys = open(place.open()?, &wrapper);
    for (version, _) in &outcomes {
        assert_eq!(keys.version("a", *version)?.version(), *version);
    }
    let active = keys.active("a")?;
    assert!(outcomes.iter().any(|(version, _)| *version == active.version()));
    assert_eq!(keys.version("a", active.version())?.expose_secret(), active.expose_secret());
    assert_eq!(keys.export("a")?.len(), 3 + THREADS);
    let created: Vec<_> = outcomes.iter().map(|(_, created)| *created).collect();
    assert_eq!(created.iter().filter(|created| created.is_ok()).count(), 1, "{created:?}");
    assert!(created.iter().all(|created| matches!(created, Ok(()) | Err(ErrorKind::AlreadyExists))), "{created:?}");
    assert_eq!(keys.export("b")?.len(), 3);
    Ok(())
}

#[test]
fn the_time_of_creation_is_that_of_the_version() -> Result<()> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_123)));
    let keys = open(any_store::new()?, &wrapper()?).with_clock(Arc::clone(&clock));
    keys.create_branch_key_as("a", &context())?;
    clock.advance_days(1);
    keys.rotate("a")?;
    let mut times: Vec<_> = Vec::new();
    for item in keys.export("a")? {
        let json: serde_json::Value = serde_json::from_str(&item.to_json()?).expect("JSON");
        times.push((item.item_type()[..8].to_owned(), json["create-time"]["S"].as_str().map(str::to_owned)));
    }
    let (first, second) = ("2023-11-14T22:13:20.123Z", "2023-11-15T22:13:20.123Z");
    let with = |time: &str| times.iter().filter(|(_, found)| found.as_deref() == Some(time)).count();
    assert_eq!((with(first), with(second)), (2, 2), "{times:?}");
    Ok(())
}

/// A wrapper that fails at a call, counted over all operations.
#[derive(Debug)]
struct Failing(KmsBranchKeyWrapper, std::sync::atomic::AtomicUsize, ErrorKind);

impl Failing {
    fn tick(&self) -> Result<()> {
        match self.1.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Err(Error::new(self.2, "the wrapper fails")),
            _ => Ok(()),
        }
    }
}

impl BranchKeyWrapper for Failing {
    fn key_arn(&self) -> &str {
        self.0.key_arn()
    }

    fn generate(&self, context: &EncryptionContext) -> Result<Vec<u8>> {
        self.tick()?;
        self.0.generate(context)
    }

    fn rewrap(&self, wrapped: &[u8], from: &EncryptionContext, to: &EncryptionContext) -> Result<Vec<u8>> {
        self.tick()?;
        self.0.rewrap(wrapped, from, to)
    }

    fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes> {
        self.tick()?;
        self.0.unwrap(wrapped, context)
    }
}

#[test]
fn an_outage_between_calls_leaves_nothing_behind_and_keeps_its_kind() -> Result<()> {
    let (store, inner) = (any_store::new()?, wrapper()?);
    for (call, outage) in [(0, ErrorKind::KeyUnavailable), (1, ErrorKind::AccessDenied), (2, ErrorKind::Disabled)] {
        let failing = || Failing(inner.clone(), call.into(), outage);
        let keys = BranchKeyStore::new(Arc::clone(&store), NAME, failing())?;
        assert_eq!(kind(keys.create_branch_key_as("a", &context())), outage, "call {call}");
        assert!(all_records(&*store)?.is_empty());
        let sound = open(Arc::clone(&store), &inner);
        sound.create_branch_key_as("b", &context())?;
        let before = all_records(&*store)?;
        let keys = BranchKeyStore::new(Arc::clone(&store), NAME, failing())?;
        assert_eq!(kind(keys.rotate("b")), outage, "call {call}");
        assert_eq!(all_records(&*store)?, before);
        // The next round begins with an empty store.
        for (id, _) in before {
            let expected = Expectation { revision: store.get(&id)?.map(|record| record.revision), id: id.clone() };
            store.commit(&[expected], &mut |_| Ok(vec![Change { id: id.clone(), body: None }]))?;
        }
    }
    let wrong_length = BranchKeyStore::new(Arc::clone(&store), NAME, Short(inner))?;
    wrong_length.create_branch_key_as("a", &context())?;
    assert_eq!(kind(wrong_length.active("a")), ErrorKind::Integrity);
    Ok(())
}

/// A wrapper that returns keys of 31 bytes.
#[derive(Debug)]
struct Short(KmsBranchKeyWrapper);

impl BranchKeyWrapper for Short {
    fn key_arn(&self) -> &str {
        self.0.key_arn()
    }

    fn generate(&self, context: &EncryptionContext) -> Result<Vec<u8>> {
        self.0.generate(context)
    }

    fn rewrap(&self, wrapped: &[u8], from: &EncryptionContext, to: &EncryptionContext) -> Result<Vec<u8>> {
        self.0.rewrap(wrapped, from, to)
    }

    fn unwrap(&self, wrapped: &[u8], context: &EncryptionContext) -> Result<SecretBytes> {
        Ok(SecretBytes::copy_from_slice(&self.0.unwrap(wrapped, context)?.expose_secret()[1..]))
    }
}

/// Neither a KMS nor a store of branch keys damages the store of the other.
#[test]
fn a_kms_and_branch_keys_do_not_share_a_store() -> Result<()> {
    let wrapper = wrapper()?;
    let store = any_store::new()?;
    let keys = open(Arc::clone(&store), &wrapper);
    let root = || RootKey::from_bytes(&[7; 32]);
    let kms = Kms::builder().store(Arc::clone(&store), root()).build()?;
    kms.create_key(Default::default())?;
    assert_eq!(kind(keys.create_branch_key_as("a", &context())), ErrorKind::Validation);
    assert_eq!(kind(BranchKeyStore::new(Arc::clone(&store), NAME, wrapper.clone())), ErrorKind::Validation);
    assert!(kms.verify_store(|_| {})?.is_intact());

    let store = any_store::new()?;
    let keys = open(Arc::clone(&store), &wrapper);
    keys.create_branch_key_as("a", &context())?;
    let refused = Kms::builder().store(Arc::clone(&store), root()).build().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Integrity, "{refused}");
    keys.rotate("a")?;
    let names: Vec<_> = all_records(&*store)?.into_iter().map(|(id, _)| id.account).collect();
    assert_eq!(names, [AccountId::default(); 4]);
    Ok(())
}
