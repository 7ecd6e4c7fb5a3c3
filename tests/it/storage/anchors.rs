//! Anchors that are moved concurrently, cannot be moved, or are removed.

use std::sync::{Arc, Mutex};

use strongroom::crypto::CryptoBackend;
use strongroom::key::KeyId;
use strongroom::seal::RootKey;
use strongroom::store::{
    Anchor, AnchorPoint, FileAnchor, KeyStore, MemoryAnchor, MemoryStore, RecordKind, StoreAnchor,
};
use strongroom::{ErrorKind, Kms, Result};

use crate::support::hooked_store::HookedStore;
use crate::support::stuck_anchor::StuckAnchor;
use crate::support::tampering_store::TamperingStore;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// More commits than a store may be ahead of its anchor.
const MANY: usize = 70;

fn anchored(store: Arc<impl KeyStore + 'static>, anchor: Arc<impl Anchor + 'static>) -> Result<Kms> {
    Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).anchor(anchor).build()
}

fn change_often(kms: &Kms, key: KeyId) -> Result<()> {
    (0..MANY).try_for_each(|number| kms.update_key_description(key, number.to_string()))
}

#[test]
fn what_others_commit_while_one_waits_for_its_turn_is_no_tampering() -> Result<()> {
    let (inner, anchor) = (TamperingStore::new(), Arc::new(MemoryAnchor::default()));
    let store = HookedStore::new(inner.clone());
    let waiting = anchored(Arc::clone(&store), Arc::clone(&anchor))?;
    let other = anchored(inner, anchor)?;
    let key = other.create_key(Default::default())?.key_id();
    store.before_commit(RecordKind::Key, move || change_often(&other, key));
    waiting.create_key(Default::default())?;
    Ok(())
}

/// An anchor that runs a hook once, immediately after it was read.
struct Slow {
    anchor: Arc<MemoryAnchor>,
    after_reading: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Slow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Slow").field(&self.anchor).finish()
    }
}

impl Anchor for Slow {
    fn last(&self) -> Result<Option<AnchorPoint>> {
        let last = self.anchor.last();
        let work = self.after_reading.lock().expect("no thread panicked").take();
        if let Some(work) = work {
            work();
        }
        last
    }

    fn advance(&self, point: &AnchorPoint) -> Result<()> {
        self.anchor.advance(point)
    }
}

#[test]
fn what_others_commit_while_a_store_is_opened_or_verified_is_no_tampering() -> Result<()> {
    let (store, anchor) = (TamperingStore::new(), Arc::new(MemoryAnchor::default()));
    let other = anchored(Arc::clone(&store), Arc::clone(&anchor))?;
    let key = other.create_key(Default::default())?.key_id();
    let slow = Arc::new(Slow { anchor, after_reading: Mutex::default() });
    let be_slow = || {
        let other = other.clone();
        let work = move || change_often(&other, key).expect("changed");
        *slow.after_reading.lock().expect("no thread panicked") = Some(Box::new(work));
    };
    be_slow();
    let opened = anchored(store, Arc::clone(&slow))?;
    be_slow();
    assert!(opened.verify_store(|_| {})?.is_intact());
    Ok(())
}

#[test]
fn a_store_never_runs_so_far_ahead_of_an_anchor_that_stays_that_it_looks_altered() -> Result<()> {
    let (store, anchor) = (TamperingStore::new(), StuckAnchor::new());
    let kms = anchored(Arc::clone(&store), Arc::clone(&anchor))?;
    let key = kms.create_key(Default::default())?.key_id();
    anchor.stop_after(0);
    let mut last = String::new();
    for number in 0..3 * MANY {
        let error = kms.update_key_description(key, number.to_string()).expect_err("the anchor does not move");
        assert_eq!(error.kind(), ErrorKind::Store, "{number}: {error}");
        last = error.to_string();
    }
    assert!(last.contains("nothing was changed") && !last.contains("was committed"), "{last}");
    let revision = store.state().revision;
    kms.update_key_description(key, "once more").expect_err("the anchor does not move");
    assert_eq!(store.state().revision, revision);
    anchor.stop_after(u32::MAX);
    kms.update_key_description(key, "it moves")?;
    drop(kms);
    assert!(anchored(store, anchor)?.verify_store(|_| {})?.is_intact());
    Ok(())
}

#[test]
fn an_anchor_that_is_removed_in_use_is_missed_and_not_dropped_anew() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("anchor");
    let store = TamperingStore::new();
    let open = || anchored(Arc::clone(&store), Arc::new(FileAnchor::new(&path)));
    let kms = open()?;
    let key = kms.create_key(Default::default())?.key_id();
    std::fs::remove_file(&path)?;
    for _ in 0..2 {
        let refused = kms.disable_key(key).expect_err("the anchor is missing");
        assert!(refused.kind() == ErrorKind::Integrity && refused.to_string().contains("removed"), "{refused}");
        assert!(kms.verify_store(|_| {}).is_err() && !path.exists());
    }
    drop(kms);
    // Opening the store again accepts its state, as documented in the manual.
    open()?.disable_key(key)?;
    Ok(())
}

#[test]
fn an_anchor_that_must_exist_is_not_made() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("anchor");
    let other = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
    let anchors: [(Arc<dyn Anchor>, Arc<dyn Anchor>); 2] = [
        (Arc::new(FileAnchor::new(&path)), Arc::new(FileAnchor::new(&path).must_exist())),
        (Arc::new(StoreAnchor::new(other.clone())), Arc::new(StoreAnchor::new(other).must_exist())),
    ];
    for (may, must) in anchors {
        let store = TamperingStore::new();
        let refused = anchored(Arc::clone(&store), Arc::new(Arc::clone(&must))).expect_err("there is no anchor");
        assert_eq!(refused.kind(), ErrorKind::Store, "{refused}");
        assert!(refused.to_string().contains("is missing but must exist"), "{refused}");
        let point = AnchorPoint { store: store.id(), revision: strongroom::store::Revision(1), digest: [0; 32] };
        must.advance(&point).expect_err("moving the anchor does not help either");
        assert_eq!(may.last()?, None);
        let key = anchored(Arc::clone(&store), Arc::new(may))?.create_key(Default::default())?.key_id();
        anchored(store, Arc::new(must))?.disable_key(key)?;
    }
    Ok(())
}
