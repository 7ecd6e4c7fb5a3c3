//! Several processes that change the same parameters, killed at random moments: no acknowledged change
//! is lost, no version is missing or exists twice, and the audit trail agrees with the store.
//!
//! `STRONGROOM_PARAMETER_KILLS` sets the number of kills. The default is small.

#[cfg(all(feature = "postgres", unix))]
mod postgres;
mod report;
mod sqlite;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, thread};

use strongroom::audit::FileTrail;
use strongroom::crypto::CryptoBackend;
use strongroom::parameters::{GetParameterHistoryRequest, Parameters, PutParameterRequest};
use strongroom::seal::RootKey;
use strongroom::store::KeyStore;
use strongroom::{Kms, Result};

use self::report::{Report, read_trail};
use self::worker::{PROCESSES, RACES, SHARED, Worker, own_label};
use super::{TestResult, exception};
use crate::support::child_process::fast_folder;

const KILLS: usize = 6;

/// Opens a store, and an audit trail in a folder that all processes share.
fn open(store: Arc<dyn KeyStore>, trail: &Path) -> Result<Kms> {
    Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).audit(FileTrail::new(trail)).build()
}

fn trail_in(folder: &Path) -> PathBuf {
    folder.join("trail")
}

/// Runs processes on a store, kills one after the other, and checks the store and the trail. `start`
/// returns the command for a process, which finds the trail in the folder.
fn run(
    open_store: &dyn Fn() -> Result<Arc<dyn KeyStore>>,
    start: &dyn Fn(&Path) -> io::Result<std::process::Command>,
) -> TestResult {
    let kills = env::var("STRONGROOM_PARAMETER_KILLS").map_or(Ok(KILLS), |text| text.parse())?;
    let folder = fast_folder()?;
    let folder = folder.path();
    let parameters = Parameters::new(&open(open_store()?, &trail_in(folder))?);
    parameters.put(PutParameterRequest::string(SHARED[0], "first").description("first"))?;
    parameters.put(PutParameterRequest::secure_string(SHARED[1], "first").description("first"))?;
    drop(parameters);

    let mut workers = (0..PROCESSES).map(|slot| Worker::start(start(folder)?, slot)).collect::<io::Result<Vec<_>>>()?;
    let mut reports = Vec::new();
    for _ in 0..kills {
        let worker = workers.swap_remove(random(PROCESSES)?);
        // Some are killed at any moment, even while they open the store, and most during changes.
        if random(4)? > 0 {
            worker.wait_for_change()?;
        }
        thread::sleep(Duration::from_millis(u64::try_from(random(150)?)?));
        let slot = worker.slot();
        reports.push(worker.kill()?);
        workers.push(Worker::start(start(folder)?, slot)?);
    }
    // The last process of each slot ends by itself, after at least one change.
    workers.iter().try_for_each(Worker::wait_for_change)?;
    for worker in workers {
        reports.push(worker.end()?);
    }
    check(open_store, folder, &reports, kills)
}

fn random(limit: usize) -> TestResult<usize> {
    let mut bytes = [0; 4];
    CryptoBackend::default().random().fill(&mut bytes)?;
    Ok(usize::try_from(u32::from_be_bytes(bytes))? % limit)
}

fn check(
    open_store: &dyn Fn() -> Result<Arc<dyn KeyStore>>,
    folder: &Path,
    reports: &[Report],
    kills: usize,
) -> TestResult {
    // Each of these handles takes the next free chain of the trail, and completes it.
    let mut opened = vec![open(open_store()?, &trail_in(folder))?];
    while opened.len() < opened[0].audit_chains()?.len() {
        opened.push(open(open_store()?, &trail_in(folder))?);
    }
    let kms = &opened[0];
    let trail = kms.verify_audit_trail(trail_in(folder))?;
    assert!(trail.is_intact() && trail.chains.iter().all(|chain| chain.unfinished.is_empty()), "{trail:?}");
    assert!(kms.verify_store(|_| {})?.is_intact());

    let (parameters, committed) = (Parameters::new(kms), read_trail(&trail_in(folder))?);
    let mut versions = 0;
    for name in SHARED {
        versions += check_shared(&parameters, name, reports, committed.puts_of(name))?;
        check_labels(&parameters, name, reports)?;
    }
    for race in 0..RACES {
        check_race(&parameters, race, reports, &committed)?;
    }
    let acknowledged: usize = reports.iter().map(Report::changes).sum();
    println!("{kills} kills of {PROCESSES} processes: {acknowledged} acknowledged changes, {versions} versions");
    assert!(acknowledged >= PROCESSES);
    Ok(())
}

/// Checks a parameter that all processes overwrite. Returns its current version.
fn check_shared(
    parameters: &Parameters,
    name: &str,
    reports: &[Report],
    committed: &BTreeSet<String>,
) -> TestResult<u64> {
    let history = history(parameters, name)?;
    let (first, last) = (history.keys().next().copied().unwrap_or(0), history.keys().last().copied().unwrap_or(0));
    assert!(history.keys().copied().eq(first..=last), "a version is missing: {:?}", history.keys());
    assert_eq!(parameters.get(name)?.version(), last);
    // The trail has every version as one committed change, apart from the first.
    assert_eq!(u64::try_from(committed.len())?, last, "{name}: the trail and the store disagree");
    assert!(history.values().all(|id| committed.contains(id)), "{name} has a version that the trail lacks");

    let mut acknowledged = BTreeMap::new();
    for (version, id) in reports.iter().flat_map(|report| report.puts_of(name)) {
        assert_eq!(acknowledged.insert(*version, id), None, "{name}:{version} was acknowledged twice");
        assert!(committed.contains(id), "the trail lacks {name}:{version}");
        assert!(*version < first || history.get(version) == Some(id), "{name}:{version} is not what was put: {id}");
        assert!(*version <= last, "{name}:{version} is lost");
    }
    Ok(last)
}

/// Returns the retained versions with the unique text that each of them has as its value and as its
/// description.
fn history(parameters: &Parameters, name: &str) -> TestResult<BTreeMap<u64, String>> {
    let (mut found, mut token) = (BTreeMap::new(), None::<String>);
    loop {
        let mut request = GetParameterHistoryRequest::new(name);
        if let Some(token) = token {
            request = request.next_token(token);
        }
        let page = parameters.history(request)?;
        for entry in &page.entries {
            assert_eq!(entry.metadata().description(), Some(entry.expose_value()));
            found.insert(entry.metadata().version(), entry.expose_value().to_owned());
        }
        token = page.next_marker;
        if token.is_none() {
            return Ok(found);
        }
    }
}

/// Checks that each slot's label is where its last process has put it.
fn check_labels(parameters: &Parameters, name: &str, reports: &[Report]) -> TestResult {
    for slot in 0..PROCESSES {
        let Some(expected) =
            reports.iter().rev().filter(|report| report.slot == slot).find_map(|one| one.label_of(name))
        else {
            continue;
        };
        let found = parameters.get(&format!("{name}:{}", own_label(slot)))?.version();
        assert_eq!(found, expected, "the label of slot {slot} on {name}");
        let passing = parameters.get(&format!("{name}:passing-{slot}"));
        assert_eq!(exception(passing), "ParameterVersionNotFound", "a label that was removed is back");
    }
    Ok(())
}

/// Checks a name that only one process at a time can create.
fn check_race(parameters: &Parameters, race: usize, reports: &[Report], committed: &report::Committed) -> TestResult {
    let name = format!("/race/{race}");
    let present = match parameters.get(&name) {
        Ok(found) => Some(found.expose_value().to_owned()),
        Err(_) => None,
    };
    // The trail has one deletion for each creation, apart from the parameter that is present.
    let (created, deleted) = (committed.puts_of(&name).len(), committed.deletions_of(&name));
    assert_eq!(created, deleted + usize::from(present.is_some()), "{name}: the trail and the store disagree");
    if let Some(id) = &present {
        assert!(committed.puts_of(&name).contains(id), "the trail lacks the creation of {name}: {id}");
        assert!(!reports.iter().any(|report| report.has_deleted(id)), "{name} was deleted: {id}");
    }
    for id in reports.iter().flat_map(|report| report.created(&name)) {
        let may_be_deleted = reports.iter().any(|report| report.has_begun_to_delete(id));
        assert!(may_be_deleted || present.as_ref() == Some(id), "{name} is lost: {id}");
    }
    Ok(())
}
