//! Parameters in the store: attacks on records, rotation of the root key, and counts.

use std::sync::Arc;

use strongroom::parameters::{ParameterTier, Parameters, PutParameterRequest};
use strongroom::seal::RootKey;
use strongroom::store::{RecordId, RecordKind};
use strongroom::{ErrorKind, Kms, Result};

use super::{TestResult, exception};
use crate::support::any_store;
use crate::support::kms::kind;
use crate::support::tampering_store::TamperingStore;

const KINDS: [RecordKind; 3] = [RecordKind::Parameter, RecordKind::ParameterVersion, RecordKind::ParameterCount];

fn open(store: &Arc<TamperingStore>) -> Result<Kms> {
    Kms::builder().store(Arc::clone(store), RootKey::from_bytes(&[7; 32])).build()
}

fn filled(store: &Arc<TamperingStore>) -> TestResult<Parameters> {
    let parameters = Parameters::new(&open(store)?);
    parameters.put(PutParameterRequest::secure_string("/a", "1"))?;
    parameters.put(PutParameterRequest::new("/a", "2").overwrite())?;
    Ok(parameters)
}

fn ids(store: &Arc<TamperingStore>, kind: RecordKind) -> Vec<RecordId> {
    store.state().records.into_keys().filter(|id| id.kind == kind).collect()
}

#[test]
fn altered_records_are_noticed_when_they_are_read_and_by_verification() -> TestResult {
    for kind_of in KINDS {
        let store = TamperingStore::new();
        drop(filled(&store)?);
        let id = ids(&store, kind_of).pop().expect("there is one record");
        let bodies = store.state().records[&id].body.len();
        for place in [0, 9, bodies / 2, bodies - 1] {
            let before = store.state();
            store.change(|state| {
                let record = state.records.get_mut(&id).expect("the entry exists");
                let mut body = record.body.to_vec();
                body[place] ^= 1;
                record.body = body.into();
            });
            let kms = open(&store)?;
            let parameters = Parameters::new(&kms);
            let touched = match kind_of {
                RecordKind::Parameter => kind(parameters.get("/a")),
                RecordKind::ParameterVersion => kind(parameters.get("/a:1")),
                _ => kind(parameters.put(PutParameterRequest::string("/b", "1"))),
            };
            assert_eq!(touched, ErrorKind::Integrity, "{kind_of:?} {place}");
            assert!(!kms.verify_store(|_| {})?.is_intact());
            store.change(|state| *state = before);
        }
        assert!(open(&store)?.verify_store(|_| {})?.is_intact());
    }
    Ok(())
}

#[test]
fn an_older_state_of_a_record_and_a_moved_record_are_noticed() -> TestResult {
    let store = TamperingStore::new();
    let parameters = filled(&store)?;
    let before = store.state();
    parameters.put(PutParameterRequest::new("/a", "3").overwrite())?;
    parameters.put(PutParameterRequest::secure_string("/b", "other"))?;
    let after = store.state();
    let id = ids(&store, RecordKind::Parameter).remove(0);
    store.change(|state| _ = state.records.insert(id.clone(), before.records[&id].clone()));
    assert_eq!(kind(Parameters::new(&open(&store)?).get("/a")), ErrorKind::Integrity);
    store.change(|state| *state = after.clone());

    let all = ids(&store, RecordKind::Parameter);
    let [one, two] = all.as_slice() else { panic!("two parameters") };
    store.change(|state| {
        state.records.insert(one.clone(), after.records[two].clone());
        state.records.insert(two.clone(), after.records[one].clone());
    });
    for name in ["/a", "/b"] {
        assert_eq!(kind(Parameters::new(&open(&store)?).get(name)), ErrorKind::Integrity);
    }
    store.change(|state| *state = after.clone());
    store.change(|state| _ = state.records.remove(one));
    let parameters = Parameters::new(&open(&store)?);
    assert_eq!(kind(parameters.get("/a")), ErrorKind::Integrity, "removed, not missing");
    assert_eq!(kind(parameters.put(PutParameterRequest::string("/a", "1"))), ErrorKind::Integrity);
    Ok(())
}

#[test]
fn a_new_root_key_seals_parameters_too() -> TestResult {
    let store = TamperingStore::new();
    let parameters = filled(&store)?;
    let kms = open(&store)?;
    let before = store.state();
    kms.rotate_root_key()?;
    let after = store.state();
    for id in KINDS.into_iter().flat_map(|kind| ids(&store, kind)) {
        assert_ne!(before.records[&id].body, after.records[&id].body, "{:?}", id.kind);
    }
    for parameters in [parameters, Parameters::new(&open(&store)?)] {
        assert_eq!(parameters.get("/a")?.expose_value(), "2");
        assert_eq!(parameters.get("/a:1")?.expose_value(), "1");
    }
    assert!(kms.verify_store(|_| {})?.is_intact());
    assert_eq!(
        Kms::builder().store(store, RootKey::from_bytes(&[8; 32])).build().map(drop).map_err(|it| it.kind()),
        Err(ErrorKind::RootKey)
    );
    Ok(())
}

#[test]
fn a_failed_commit_changes_nothing() -> TestResult {
    let store = TamperingStore::new();
    let parameters = filled(&store)?;
    let before = store.state();
    store.fail_after(0);
    assert!(parameters.put(PutParameterRequest::new("/a", "3").overwrite()).is_err());
    assert!(parameters.label("/a", None, ["x"]).is_err());
    assert!(parameters.delete("/a").is_err());
    assert_eq!(store.state().records.len(), before.records.len());
    store.fail_after(u64::MAX);
    assert_eq!(Parameters::new(&open(&store)?).get("/a")?.expose_value(), "2");
    Ok(())
}

#[test]
fn deleted_parameters_leave_no_record() -> TestResult {
    let store = TamperingStore::new();
    let parameters = filled(&store)?;
    for _ in 0..5 {
        parameters.put(PutParameterRequest::new("/a", "x").overwrite())?;
    }
    parameters.delete("/a")?;
    assert!(ids(&store, RecordKind::Parameter).is_empty() && ids(&store, RecordKind::ParameterVersion).is_empty());
    Ok(())
}

#[test]
fn the_number_of_parameters_is_bounded() -> TestResult {
    let kms = any_store::builder().build()?;
    let parameters = Parameters::new(&kms);
    let put = |name: String| parameters.put(PutParameterRequest::string(name, "1"));
    if !any_store::is_in_memory() {
        return Ok(());
    }
    for number in 0..10_000 {
        put(format!("/{number}"))?;
    }
    assert_eq!(exception(put("/more".to_owned())), "ParameterLimitExceeded");
    let intelligent = PutParameterRequest::string("/more", "1").tier(ParameterTier::IntelligentTiering);
    assert_eq!(parameters.put(intelligent)?.tier, ParameterTier::Advanced);
    parameters.put(PutParameterRequest::new("/1", "2").overwrite())?;
    parameters.put(PutParameterRequest::new("/2", "2").overwrite().tier(ParameterTier::Advanced))?;
    put("/room".to_owned())?;
    parameters.delete("/3")?;
    put("/room2".to_owned())?;
    assert_eq!(exception(put("/more2".to_owned())), "ParameterLimitExceeded");
    Ok(())
}
