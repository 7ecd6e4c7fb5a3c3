//! The work of the children, and the checks afterwards.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use strongroom::crypto::{CryptoBackend, RUST_CRYPTO};
use strongroom::key::{DeletionWindow, KeyState};
use strongroom::request::{DecryptRequest, EncryptRequest, PageRequest};
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{ErrorKind, Kms, KmsLimits, ManualClock, Timestamp};

use super::TestResult;

/// Start time of the children.
const START: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

/// Number of days until a deletion is due.
const DAYS: u32 = 8;

/// Opens a store as the children do: with the backend that starts without delay. A process with
/// AWS-LC takes time to seed its own random generator.
fn open(path: &Path, clock: Arc<ManualClock>) -> strongroom::Result<Kms> {
    open_with(path, clock, RUST_CRYPTO)
}

fn open_with(path: &Path, clock: Arc<ManualClock>, backend: CryptoBackend) -> strongroom::Result<Kms> {
    let store = SqliteStore::open(path, &backend)?;
    let limits = KmsLimits { aliases_per_key: 1_000_000, ..KmsLimits::default() };
    Kms::builder()
        .store(store, RootKey::from_bytes(&[7; 32]))
        .limits(limits)
        .clock(clock)
        .clock_tolerance(std::time::Duration::MAX)
        .backend(backend)
        .build()
}

/// Opens a store to check it afterwards.
fn open_afterwards(path: &Path) -> strongroom::Result<Kms> {
    let clock = Arc::new(ManualClock::new(START));
    clock.advance_days(DAYS);
    open_with(path, clock, CryptoBackend::default())
}

/// Creates the key that all endless children change.
pub(super) fn prepare(path: &Path) -> strongroom::Result<()> {
    let kms = open(path, Arc::new(ManualClock::new(START)))?;
    let key = kms.create_key(Default::default())?;
    kms.create_alias("alias/shared", key.key_id())
}

pub(super) fn say(text: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush()).expect("the parent listens");
}

/// Reports that it is ready, waits for a line or the end of its input, opens the store, and reports
/// that. Then works until it is killed. A failure ends it.
pub(super) fn without_end(path: &Path) -> TestResult {
    say("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let kms = open(path, Arc::new(ManualClock::new(START)))?;
    let shared = kms.describe_key("alias/shared")?;
    say("opened");
    loop {
        let key = kms.create_key(Default::default())?;
        let id = key.key_id();
        let blob = kms.encrypt(EncryptRequest::new(id, id.to_string().as_bytes()))?.ciphertext_blob;
        say(&format!("done create {id} {}", hex::encode(blob)));
        kms.create_alias(format!("alias/{id}").as_str(), id)?;
        say(&format!("done alias {id} alias/{id}"));
        kms.create_alias(format!("alias/shared-{id}").as_str(), shared.key_id())?;
        say(&format!("done alias {} alias/shared-{id}", shared.key_id()));
        kms.rotate_key_on_demand(id)?;
        let other = kms.create_key(Default::default())?;
        kms.disable_key(other.key_id())?;
        say(&format!("done disable {}", other.key_id()));
    }
}

/// Creates a store, changes it in every way, closes it, reopens it and changes it once more.
/// Reports each failed operation and continues with the rest.
pub(super) fn to_the_end(path: &Path) {
    let clock = Arc::new(ManualClock::new(START));
    if let Some(kms) = said("open", open(path, Arc::clone(&clock))) {
        first_part(&kms, &clock);
        drop(kms);
    }
    if let Some(kms) = said("open", open(path, clock)) {
        create(&kms);
    }
    say("end");
}

pub(super) fn said<T>(what: &str, result: strongroom::Result<T>) -> Option<T> {
    result.inspect_err(|error| say(&format!("refused {what}: {error:?}"))).ok()
}

fn first_part(kms: &Kms, clock: &ManualClock) {
    if let Some(id) = create(kms) {
        let name = format!("alias/{id}");
        if said("alias", kms.create_alias(name.as_str(), id)).is_some() {
            say(&format!("done alias {id} {name}"));
        }
        if said("rotate", kms.rotate_key_on_demand(id)).is_some() {
            encrypt(kms, id);
        }
        if said("disable", kms.disable_key(id)).is_some() {
            say(&format!("done disable {id}"));
        }
    }
    if let Some(doomed) = create_quietly(kms)
        && said("schedule", kms.schedule_key_deletion(doomed, DeletionWindow::MIN)).is_some()
    {
        say(&format!("done schedule {doomed}"));
        clock.advance_days(DAYS);
        let report = said("maintain", kms.run_maintenance());
        if report.is_some_and(|report| report.deleted.iter().any(|arn| arn.key_id() == doomed)) {
            say(&format!("done delete {doomed}"));
        }
    }
    create(kms);
}

fn create_quietly(kms: &Kms) -> Option<strongroom::key::KeyId> {
    said("create", kms.create_key(Default::default())).map(|key| key.key_id())
}

fn create(kms: &Kms) -> Option<strongroom::key::KeyId> {
    let id = create_quietly(kms)?;
    encrypt(kms, id);
    Some(id)
}

fn encrypt(kms: &Kms, id: strongroom::key::KeyId) {
    if let Some(sealed) = said("encrypt", kms.encrypt(EncryptRequest::new(id, id.to_string().as_bytes()))) {
        say(&format!("done create {id} {}", hex::encode(sealed.ciphertext_blob)));
    }
}

/// Checks that all acknowledged changes are present, that everything else present is intact, and
/// that the store accepts another change.
pub(super) fn check(path: &Path, acknowledged: &[String], what: &str) -> TestResult {
    check_lines(path, acknowledged).map_err(|error| format!("after {what}: {error}\n{acknowledged:#?}").into())
}

fn check_lines(path: &Path, acknowledged: &[String]) -> TestResult {
    let kms = open_afterwards(path)?;
    check_acknowledged(&kms, acknowledged)?;
    check_whole(&kms)
}

/// Checks that the latest acknowledged changes are present, that no earlier one is missing, and
/// that the store is sound.
pub(super) fn check_latest(path: &Path, before: &[String], latest: &[String], what: &str) -> TestResult {
    let check = || {
        let kms = open_afterwards(path)?;
        check_acknowledged(&kms, latest)?;
        check_sound(&kms)?;
        let (keys, aliases) = (key_ids(&kms)?, aliases(|page| kms.list_aliases(page))?);
        for words in before.iter().map(|line| line.split(' ').collect::<Vec<_>>()) {
            let is_there = match words[1] {
                "alias" => aliases.contains(&(words[3].to_owned(), words[2].to_owned())),
                _ => keys.contains(words[2]),
            };
            assert!(is_there, "{words:?} is lost");
        }
        Ok(())
    };
    check().map_err(|error: Box<dyn std::error::Error>| format!("after {what}: {error}\n{latest:#?}").into())
}

fn check_acknowledged(kms: &Kms, acknowledged: &[String]) -> TestResult {
    let disabled: BTreeSet<&str> = acknowledged.iter().filter_map(|line| line.strip_prefix("done disable ")).collect();
    for line in acknowledged {
        let words: Vec<&str> = line.split(' ').collect();
        let id = words[2];
        match words[1] {
            "create" if disabled.contains(id) => {
                kms.enable_key(id)?;
                check_blob(kms, id, words[3])?;
                kms.disable_key(id)?;
            }
            "create" => check_blob(kms, id, words[3])?,
            "alias" => assert_eq!(kms.describe_key(words[3])?.key_id().to_string(), id),
            "disable" => assert_eq!(kms.describe_key(id)?.state(), KeyState::Disabled),
            // Its waiting period has ended, whether or not the key has been deleted.
            "schedule" | "delete" => assert_eq!(kms.describe_key(id).expect_err("gone").kind(), ErrorKind::NotFound),
            other => return Err(format!("unexpected output of the child: {other}").into()),
        }
    }
    Ok(())
}

fn check_blob(kms: &Kms, id: &str, blob: &str) -> TestResult {
    let blob = hex::decode(blob)?;
    match kms.decrypt(DecryptRequest::new(&blob)) {
        Ok(opened) => assert_eq!(opened.plaintext.expose_secret(), id.as_bytes()),
        // The child was killed between two of its own changes, and had not reported the second.
        Err(error) if error.kind() == ErrorKind::Disabled => {
            kms.enable_key(id)?;
            assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), id.as_bytes());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Checks that every record and all material open, and that the lists are complete.
fn check_sound(kms: &Kms) -> TestResult {
    let sound = kms.verify_store(|_| {})?;
    assert!(sound.is_intact(), "{sound:?}");
    Ok(())
}

/// Checks that there is no partial change: every key works, and keys and aliases refer to each
/// other.
fn check_whole(kms: &Kms) -> TestResult {
    check_sound(kms)?;
    let report = kms.run_maintenance()?;
    assert!(report.failed.is_empty() && report.not_scrubbed.is_none(), "{report:?}");
    let mut by_key = BTreeSet::new();
    for id in &key_ids(kms)? {
        let key = kms.describe_key(id)?;
        match key.state() {
            KeyState::Enabled => {
                let sealed = kms.encrypt(EncryptRequest::new(id, b"whole"))?;
                let opened = kms.decrypt(DecryptRequest::new(&sealed.ciphertext_blob))?;
                assert_eq!(opened.plaintext.expose_secret(), b"whole");
            }
            state => assert!(matches!(state, KeyState::Disabled | KeyState::PendingDeletion), "{key:?}"),
        }
        by_key.extend(aliases(|page| kms.list_aliases_of_key(id, page))?);
    }
    assert_eq!(by_key, aliases(|page| kms.list_aliases(page))?);
    kms.create_key(Default::default())?;
    Ok(())
}

fn behind(marker: Option<String>) -> PageRequest {
    marker.map_or_else(PageRequest::default, |marker| PageRequest::default().marker(marker))
}

/// Returns all pages of a list.
fn all<T>(
    list: impl Fn(PageRequest) -> strongroom::Result<strongroom::request::Page<T>>,
) -> strongroom::Result<Vec<T>> {
    let mut found = Vec::new();
    let mut marker = None;
    loop {
        let page = list(behind(marker))?;
        found.extend(page.entries);
        marker = page.next_marker;
        if marker.is_none() {
            return Ok(found);
        }
    }
}

fn key_ids(kms: &Kms) -> strongroom::Result<BTreeSet<String>> {
    Ok(all(|page| kms.list_keys(page))?.iter().map(|entry| entry.key_id.to_string()).collect())
}

/// Returns aliases with the keys that they refer to.
fn aliases(
    list: impl Fn(PageRequest) -> strongroom::Result<strongroom::request::Page<strongroom::request::AliasListEntry>>,
) -> strongroom::Result<BTreeSet<(String, String)>> {
    let name_and_key =
        |entry: &strongroom::request::AliasListEntry| (entry.alias_name.to_string(), entry.target_key_id.to_string());
    Ok(all(list)?.iter().map(name_and_key).collect())
}
