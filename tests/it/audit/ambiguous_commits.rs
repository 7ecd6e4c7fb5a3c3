//! Commits that the store does not confirm: neither the error nor the trail states a result before
//! the store shows it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use strongroom::audit::{Action, FileTrail, MemoryTrail, Outcome};
use strongroom::identity::AccountId;
use strongroom::key::{KeyId, KeyState, Operation};
use strongroom::request::EncryptRequest;
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, RecordKind, StoreError};
use strongroom::{Error, ErrorKind, Kms, Result};

use crate::support::ambiguous_store::{AmbiguousStore, Fate};
use crate::support::any_store;
use crate::support::hooked_store::HookedStore;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const FATES: [Fate; 3] = [Fate::Applied, Fate::Lost, Fate::InProgress];

struct World {
    inner: Arc<HookedStore>,
    store: Arc<AmbiguousStore>,
    directory: tempfile::TempDir,
    kms: Kms,
    key: KeyId,
}

impl World {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let (inner, directory) = (HookedStore::new(any_store::new()?), tempfile::tempdir()?);
        let store = AmbiguousStore::new(inner.clone());
        let kms = open(store.clone(), directory.path())?;
        let key = kms.create_key(Default::default())?.key_id();
        Ok(Self { inner, store, directory, kms, key })
    }

    /// Returns the records of a change in the trail: outcomes of events, and results of
    /// reconciliations. The change is the last one that was announced.
    fn records_of_last_change(&self) -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let (mut records, mut last) = (Vec::new(), None);
        for file in fs::read_dir(self.directory.path())? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "jsonl") {
                continue;
            }
            for line in fs::read_to_string(path)?.lines().skip(1) {
                let line: serde_json::Value = serde_json::from_str(line)?;
                let (event, reconciled) = (&line["event"], &line["reconciled"]);
                let Some(change) = event["change"].as_str().or(reconciled["change"].as_str()) else { continue };
                let record = event["outcome"].as_str().or(reconciled["result"].as_str()).unwrap_or_default();
                if record == "intent" {
                    last = Some(change.to_owned());
                }
                records.push((change.to_owned(), record.to_owned()));
            }
        }
        Ok(records.into_iter().filter(|(change, _)| Some(change) == last.as_ref()).map(|(_, record)| record).collect())
    }

    fn disable_without_answer(&self, fate: Fate) -> Error {
        self.store.lose_answer(RecordKind::Key, fate);
        self.kms.disable_key(self.key).expect_err("the answer is lost")
    }

    fn unfinished(&self, kms: &Kms) -> Result<usize> {
        let report = kms.verify_audit_trail(self.directory.path())?;
        assert!(report.is_intact(), "{report}");
        Ok(report.chains.iter().map(|chain| chain.unfinished.len()).sum())
    }
}

fn open(store: Arc<dyn KeyStore>, directory: &Path) -> Result<Kms> {
    Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).audit(FileTrail::new(directory)).build()
}

fn check_ambiguous(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.downcast_ref().is_some_and(StoreError::is_ambiguous), "{error:?}");
    assert!(error.to_string().contains("may or may not"), "{error}");
}

#[test]
fn the_trail_states_the_result_of_an_ambiguous_change_with_the_next_one() -> TestResult {
    for fate in FATES {
        let world = World::new()?;
        check_ambiguous(&world.disable_without_answer(fate));
        assert_eq!(world.records_of_last_change()?, ["intent", "ambiguous"], "{fate:?}");
        world.store.heal();
        // A commit that is still in progress lands before the next one, or never.
        let applied = match fate {
            Fate::InProgress => world.store.land(),
            fate => fate == Fate::Applied,
        };
        assert_eq!(applied, fate != Fate::Lost);
        world.kms.run_maintenance()?;
        let result = if applied { "committed" } else { "not committed" };
        assert_eq!(world.records_of_last_change()?, ["intent", "ambiguous", result], "{fate:?}");
        let expected = if applied { KeyState::Disabled } else { KeyState::Enabled };
        assert_eq!(world.kms.describe_key(world.key)?.state(), expected);
        assert_eq!(world.unfinished(&world.kms)?, 0);
    }
    Ok(())
}

#[test]
fn a_commit_in_progress_can_no_longer_land_once_its_change_is_reported_as_not_committed() -> TestResult {
    let world = World::new()?;
    check_ambiguous(&world.disable_without_answer(Fate::InProgress));
    world.store.heal();
    world.kms.update_key_description(world.key, "settles the change before")?;
    assert!(!world.store.land(), "the next commit has replaced what it expects");
    let text = fs::read_dir(world.directory.path())?
        .filter_map(|file| fs::read_to_string(file.ok()?.path()).ok())
        .collect::<String>();
    assert!(text.contains("\"result\":\"not committed\"") && !text.contains("\"result\":\"committed\""), "{text}");
    assert!(world.kms.describe_key(world.key)?.is_enabled());
    assert_eq!(world.unfinished(&world.kms)?, 0);
    Ok(())
}

/// The process ends, in an orderly way or not, while the store is unreachable.
#[test]
fn a_restart_settles_an_ambiguous_change() -> TestResult {
    for fate in FATES {
        for is_killed in [false, true] {
            let world = World::new()?;
            check_ambiguous(&world.disable_without_answer(fate));
            let World { inner, store, directory, kms, key } = world;
            match is_killed {
                true => {
                    // Keeps the files of the trail as a killed process leaves them, and their lock free.
                    let copy = tempfile::tempdir()?;
                    for file in fs::read_dir(directory.path())? {
                        let file = file?;
                        fs::copy(file.path(), copy.path().join(file.file_name()))?;
                    }
                    inner.fail_after(0);
                    drop(kms);
                    inner.fail_after(u64::MAX);
                    restart(&inner, &store, copy, key, fate)?;
                }
                false => {
                    drop(kms);
                    restart(&inner, &store, directory, key, fate)?;
                }
            }
        }
    }
    Ok(())
}

fn restart(
    inner: &Arc<HookedStore>,
    store: &Arc<AmbiguousStore>,
    directory: tempfile::TempDir,
    key: KeyId,
    fate: Fate,
) -> TestResult {
    store.heal();
    let kms = open(store.clone(), directory.path())?;
    // Opening has settled the change, so a commit that was still in progress comes too late.
    assert!(fate != Fate::InProgress || !store.land());
    let applied = fate == Fate::Applied;
    let world = World { inner: inner.clone(), store: store.clone(), directory, kms, key };
    let result = if applied { "committed" } else { "not committed" };
    assert_eq!(world.records_of_last_change()?, ["intent", "ambiguous", result], "{fate:?}");
    assert_eq!(world.kms.describe_key(key)?.is_enabled(), !applied);
    assert_eq!(world.unfinished(&world.kms)?, 0);
    Ok(())
}

/// The store is reachable again before the call returns, so its head shows the result.
#[test]
fn a_reachable_store_shows_the_result_before_the_call_returns() -> TestResult {
    let inner = any_store::new()?;
    let store = AmbiguousStore::new(inner.clone());
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().store(store.clone(), RootKey::from_bytes(&[7; 32])).audit(Arc::clone(&trail)).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    let other = Kms::builder().store(inner, RootKey::from_bytes(&[7; 32])).build()?;
    store.stay_reachable();
    store.lose_answer(RecordKind::Key, Fate::Applied);
    kms.disable_key(key)?;
    assert!(!kms.describe_key(key)?.is_enabled());
    assert_eq!(
        trail.events().iter().rev().find(|event| event.change.is_some()).map(|event| event.outcome.clone()),
        Some(Outcome::Success)
    );

    // Another process has committed since, so the lost commit is known to be lost.
    store.before_answer(move || other.update_key_description(key, "by another process").map(drop));
    store.lose_answer(RecordKind::Key, Fate::Lost);
    let refused = kms.enable_key(key).expect_err("the commit is lost");
    assert!(matches!(refused.downcast_ref(), Some(StoreError::Unreachable(_))), "{refused:?}");
    assert!(refused.to_string().contains("nothing was changed"), "{refused}");
    assert!(!kms.describe_key(key)?.is_enabled());
    Ok(())
}

/// Without a chain, the trail contains that the result is unknown, and the store is the only
/// witness.
#[test]
fn a_trail_without_a_chain_states_that_the_result_is_unknown() -> TestResult {
    let store = AmbiguousStore::new(any_store::new()?);
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().store(store.clone(), RootKey::from_bytes(&[7; 32])).audit(Arc::clone(&trail)).build()?;
    store.lose_answer(RecordKind::Key, Fate::Applied);
    check_ambiguous(&kms.create_key(Default::default()).expect_err("the answer is lost"));
    store.heal();
    let last = trail.events().pop().expect("the call was recorded");
    assert_eq!(last.action, Action::Call(Operation::CreateKey));
    assert_eq!(last.outcome, Outcome::Ambiguous(ErrorKind::Store));
    assert!(last.change.is_some() && last.message.is_some_and(|text| text.contains("may or may not")));
    assert_eq!(kms.list_keys(Default::default())?.entries.len(), 1);
    Ok(())
}

/// A count in a commit that was not confirmed is added exactly once, however many commits follow.
#[test]
fn uses_in_an_ambiguous_commit_are_counted_once() -> TestResult {
    let open = |store: Arc<dyn KeyStore>| Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).build();
    let counted = |fate: Option<Fate>, later: u32| -> Result<Vec<u64>> {
        let inner = any_store::new()?;
        let store = AmbiguousStore::new(inner.clone());
        let (kms, other) = (open(store.clone())?, open(inner)?);
        let key = kms.create_key(Default::default())?.key_id();
        for _ in 0..3 {
            kms.encrypt(EncryptRequest::new(key, b"text"))?;
        }
        if let Some(fate) = fate {
            store.lose_answer(RecordKind::Usage, fate);
            assert!(!kms.run_maintenance()?.is_complete(), "the commit of the counts is not confirmed");
            store.heal();
            assert!(fate != Fate::InProgress || store.land());
        }
        for number in 0..later {
            other.update_key_description(key, format!("{number}"))?;
        }
        let count = |_| Ok(kms.metered_keys(AccountId::default())?.iter().map(|key| key.requests).sum());
        (0..2).map(count).collect()
    };
    let expected = counted(None, 0)?;
    assert!(expected[0] >= 3 && expected[0] == expected[1], "{expected:?}");
    for fate in FATES {
        for later in [0, 1, 100] {
            assert_eq!(counted(Some(fate), later)?, expected, "{fate:?} and {later} commits");
        }
    }
    Ok(())
}
