//! The state of audit chains in the store, with concurrent writers and after a crash.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use strongroom::audit::{self, AuditSink, ChainState, FileTrail, MemoryTrail};
use strongroom::crypto::CryptoBackend;
use strongroom::request::EncryptRequest;
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, RecordKind};
use strongroom::{Error, ErrorKind, Kms, Result};

use crate::support::any_store;
use crate::support::hooked_store::HookedStore;
use crate::support::interrupted_trail::InterruptedTrail;
use crate::support::stuck_anchor::StuckAnchor;

type TestResult = Result<(), Box<dyn std::error::Error>>;

struct Home {
    store: Arc<HookedStore>,
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self { store: HookedStore::new(any_store::new()?), directory: tempfile::tempdir()? })
    }

    /// Ends a process as if it were killed: nothing of its end reaches the store.
    fn kill(&self, kms: Kms) {
        self.store.fail_after(0);
        drop(kms);
        self.store.fail_after(u64::MAX);
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn trail(&self) -> FileTrail {
        FileTrail::new(self.path())
    }

    fn open(&self, sink: impl AuditSink + 'static) -> Result<Kms> {
        over(Arc::clone(&self.store), sink)
    }

    fn lines_with(&self, word: &str) -> std::io::Result<Vec<String>> {
        let mut found = Vec::new();
        for file in self.files("jsonl")? {
            found.extend(fs::read_to_string(file)?.lines().filter(|line| line.contains(word)).map(str::to_owned));
        }
        Ok(found)
    }

    fn files(&self, extension: &str) -> std::io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path())? {
            found.push(entry?.path());
        }
        found.retain(|path| path.extension().is_some_and(|found| found == extension));
        Ok(found)
    }
}

fn over(store: Arc<impl KeyStore + 'static>, sink: impl AuditSink + 'static) -> Result<Kms> {
    Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).audit(sink).build()
}

fn results(lines: &[String]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line.split("\"result\":").nth(1).and_then(|rest| rest.split('"').nth(1)).expect("a result"))
        .collect()
}

/// One thread is committing while another one announces a change and prepares its own commit.
#[test]
fn what_the_store_knows_of_a_change_is_not_overwritten_by_one_that_was_prepared_beside_it() -> TestResult {
    let home = Home::new()?;
    let store = HookedStore::new(home.store.clone());
    let kms = over(Arc::clone(&store), InterruptedTrail(home.trail()))?;
    let (reached, is_reached) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    store.before_commit(RecordKind::Key, move || {
        reached.send(()).expect("someone waits");
        may_go.recv().expect("the other thread signals");
        Ok(())
    });
    std::thread::scope(|scope| {
        let first = scope.spawn(|| kms.create_key(Default::default()));
        is_reached.recv().expect("the call reaches the commit");
        let second = scope.spawn(|| kms.create_key(Default::default()));
        while home.lines_with("\"intent\"").expect("readable").len() < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Give the second thread time to get as far as it can.
        std::thread::sleep(Duration::from_millis(50));
        go.send(()).expect("the call is waiting");
        for thread in [first, second] {
            thread.join().expect("no thread panicked").expect("created");
        }
    });
    // Simulates a kill: restores the store as it was before the orderly shutdown.
    home.kill(kms);

    let looking = home.open(MemoryTrail::default())?;
    assert_eq!(looking.audit_chains()?[0].records(), 2, "both intents are covered");
    drop(looking);
    let kms = home.open(home.trail())?;
    assert_eq!(results(&home.lines_with("\"reconciled\"")?), ["committed", "committed"]);
    assert!(kms.verify_audit_trail(home.path())?.is_intact());
    Ok(())
}

/// A second process reads the chains, and only then does the first process commit its last change
/// and exit.
#[test]
fn a_chain_is_taken_over_as_its_writer_left_it() -> TestResult {
    let home = Home::new()?;
    let first = home.open(InterruptedTrail(home.trail()))?;
    let store = HookedStore::new(home.store.clone());
    store.after_scan(RecordKind::Audit, move || {
        first.create_key(Default::default())?;
        drop(first);
        Ok(())
    });
    let second = over(Arc::clone(&store), home.trail())?;
    assert_eq!(results(&home.lines_with("\"reconciled\"")?), ["committed"]);
    let report = second.verify_audit_trail(home.path())?;
    assert!(report.is_intact() && report.chains.len() == 1, "{report:?}");
    Ok(())
}

/// A commit whose synchronization fails is reported as failed, but can exist after a crash.
#[test]
fn a_change_that_was_told_as_failed_and_is_there_after_all_is_corrected() -> TestResult {
    let home = Home::new()?;
    let store = HookedStore::new(home.store.clone());
    let kms = over(Arc::clone(&store), home.trail())?;
    store.after_commit(RecordKind::Key, || Err(Error::new(ErrorKind::Store, "the disk failed")));
    kms.create_key(Default::default()).expect_err("the store reported a failure");
    home.kill(kms);
    // A start that is interrupted after it has written the reconciliation to the trail, and before
    // the store knows it.
    for commits in 0.. {
        home.store.fail_after(commits);
        home.open(home.trail()).expect_err("cut off");
        home.store.fail_after(u64::MAX);
        if !home.lines_with("\"reconciled\"")?.is_empty() {
            break;
        }
    }
    for _ in 0..2 {
        let kms = home.open(home.trail())?;
        assert_eq!(results(&home.lines_with("\"reconciled\"")?), ["committed"], "once");
        assert_eq!(kms.list_keys(Default::default())?.entries.len(), 1);
        assert!(kms.verify_audit_trail(home.path())?.is_intact());
    }
    Ok(())
}

#[test]
fn a_start_that_ends_early_leaves_no_chain_that_the_store_does_not_know() -> TestResult {
    let home = Home::new()?;
    let store = HookedStore::new(home.store.clone());
    store.before_commit(RecordKind::Audit, || Err(Error::new(ErrorKind::Store, "the disk is full")));
    assert_eq!(over(Arc::clone(&store), home.trail()).expect_err("refused").kind(), ErrorKind::Store);
    assert_eq!((home.files("jsonl")?.len(), home.files("lock")?.len()), (0, 0));
    let kms = home.open(home.trail())?;
    kms.create_key(Default::default())?;
    let report = kms.verify_audit_trail(home.path())?;
    assert!(report.is_intact() && report.chains.len() == 1, "{report:?}");
    Ok(())
}

/// A process that repeatedly dies between the two steps starts one chain, not several.
#[test]
fn a_chain_that_the_store_knows_and_that_has_no_file_yet_is_begun_by_the_next_start() -> TestResult {
    let home = Home::new()?;
    for _ in 0..3 {
        let kms = home.open(home.trail())?;
        assert!(kms.verify_audit_trail(home.path())?.is_intact());
        drop(kms);
        for file in home.files("jsonl")? {
            fs::remove_file(file)?;
        }
    }
    let kms = home.open(home.trail())?;
    kms.create_key(Default::default())?;
    let report = kms.verify_audit_trail(home.path())?;
    assert!(report.is_intact() && report.chains.len() == 1, "{report:?}");
    // A chain that was started in another directory is left alone.
    let elsewhere = tempfile::tempdir()?;
    let other = home.open(FileTrail::new(elsewhere.path()))?;
    assert_eq!(other.audit_chains()?.len(), 2);
    Ok(())
}

/// Earlier builds created the file before the store knew the chain.
#[test]
fn an_empty_file_of_a_chain_that_nobody_knows_is_no_tampering() -> TestResult {
    let home = Home::new()?;
    fs::write(home.path().join("0123456789abcdef.00000001.jsonl"), "")?;
    fs::write(home.path().join("0123456789abcdef.lock"), "")?;
    let kms = home.open(home.trail())?;
    kms.create_key(Default::default())?;
    assert!(kms.verify_audit_trail(home.path())?.is_intact());
    fs::write(home.path().join("0123456789abcdef.00000001.jsonl"), "a record of somebody else\n")?;
    assert!(!kms.verify_audit_trail(home.path())?.is_intact());
    Ok(())
}

#[test]
fn a_chain_that_another_process_writes_is_not_forgotten_or_taken_up_again() -> TestResult {
    let home = Home::new()?;
    let (writing, other) = (home.open(home.trail())?, home.open(home.trail())?);
    let chain = other.audit_chains()?.iter().map(ChainState::id).find(|chain| {
        other.forget_audit_chain(*chain).is_err_and(|error| error.to_string().contains("another process"))
    });
    let chain = chain.ok_or("the chain of the other process is in use")?;
    assert_eq!(other.forget_audit_chain(chain).map_err(|error| error.kind()), Err(ErrorKind::InvalidState));
    // A KMS without the directory cannot detect the writer.
    let unaware = home.open(MemoryTrail::default())?;
    unaware.forget_audit_chain(chain)?;
    writing.create_key(Default::default())?;
    writing.create_key(Default::default())?;
    assert!(unaware.audit_chains()?.iter().any(|known| known.id() == chain && known.records() >= 3));
    assert!(writing.verify_audit_trail(home.path())?.is_intact());
    drop(writing);
    unaware.forget_audit_chain(chain)?;
    Ok(())
}

/// Otherwise, a trail that is truncated after the latest change would be considered intact.
#[test]
fn deletions_that_are_replayed_note_how_far_the_trail_has_come() -> TestResult {
    let home = Home::new()?;
    let kms = home.open(home.trail())?;
    let key = kms.create_key(Default::default())?.key_id();
    let [file] = &home.files("jsonl")?[..] else { panic!("one chain, one file") };
    let before = fs::read(file)?;
    kms.encrypt(EncryptRequest::new(key, b"x"))?;
    assert!(kms.apply_deletions(&kms.export_deletions()?, &[])?.unconfirmed.is_empty());
    let chains = kms.audit_chains()?;
    let truncated = tempfile::tempdir()?;
    fs::write(truncated.path().join(file.file_name().expect("the file has a name")), before)?;
    let verify = |directory: &Path| audit::verify(directory, &chains, &CryptoBackend::default(), None);
    assert!(verify(home.path())?.is_intact());
    assert!(!verify(truncated.path())?.is_intact());
    Ok(())
}

#[test]
fn a_change_after_which_the_anchor_stays_is_known_as_committed() -> TestResult {
    let (home, anchor) = (Home::new()?, StuckAnchor::new());
    let builder = Kms::builder().store(Arc::clone(&home.store), RootKey::from_bytes(&[7; 32]));
    let kms = builder.anchor(Arc::clone(&anchor)).audit(InterruptedTrail(home.trail())).build()?;
    anchor.stop_after(0);
    kms.create_key(Default::default()).expect_err("the anchor stays");
    anchor.stop_after(u32::MAX);
    kms.create_key(Default::default())?;
    // Simulates a kill before the outcomes were written.
    home.kill(kms);
    let kms = home.open(home.trail())?;
    assert_eq!(results(&home.lines_with("\"reconciled\"")?), ["committed", "committed"]);
    assert_eq!(kms.list_keys(Default::default())?.entries.len(), 2);
    Ok(())
}

#[test]
fn a_change_after_another_process_rotated_the_root_key_is_committed_and_covered() -> TestResult {
    let home = Home::new()?;
    let (writing, other) = (home.open(home.trail())?, home.open(MemoryTrail::default())?);
    let covered = || other.audit_chains().map(|chains| chains[0].records());
    let before = covered()?;
    other.rotate_root_key()?;
    writing.create_key(Default::default())?;
    assert!(covered()? > before);
    assert!(writing.verify_audit_trail(home.path())?.is_intact());
    Ok(())
}

#[test]
fn a_start_covers_what_the_last_writer_of_its_chain_wrote_without_a_change() -> TestResult {
    let home = Home::new()?;
    let kms = home.open(home.trail())?;
    kms.create_key(Default::default())?;
    kms.list_keys(Default::default())?;
    let written = u64::try_from(home.lines_with("\"sequence\"")?.len())?;
    // Simulates a kill.
    home.kill(kms);
    let _writing = home.open(home.trail())?;
    assert_eq!(home.open(MemoryTrail::default())?.audit_chains()?[0].records(), written);
    Ok(())
}
