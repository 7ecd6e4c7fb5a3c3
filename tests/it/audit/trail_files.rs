//! The file trail, together with the store that records its progress.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom::audit::{AuditSink, FileTrail, MemoryTrail, Problem};
use strongroom::identity::{AccountId, Principal};
use strongroom::request::{EncryptRequest, GenerateDataKeyRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, RecordKind};
use strongroom::{EncryptionContext, Error, ErrorKind, Kms, Result};

use crate::support::any_store;
use crate::support::hooked_store::HookedStore;
use crate::support::interrupted_trail::InterruptedTrail;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn root() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}

/// A store and a root key that outlive the `Kms`.
struct Home {
    store: Arc<dyn KeyStore>,
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self { store: any_store::new()?, directory: tempfile::tempdir()? })
    }

    fn open(&self) -> Result<Kms> {
        self.open_with(FileTrail::new(self.path()))
    }

    fn open_with(&self, sink: impl AuditSink + 'static) -> Result<Kms> {
        Kms::builder().store(Arc::clone(&self.store), root()).audit(sink).build()
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self) -> Result<PathBuf, Box<dyn std::error::Error>> {
        let mut files = fs::read_dir(self.path())?.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(files.find(|path| path.extension().is_some_and(|extension| extension == "jsonl")).ok_or("no trail")?)
    }
}

#[test]
fn the_trail_of_several_lives_of_a_kms_is_one_chain() -> TestResult {
    let home = Home::new()?;
    let key = {
        let kms = home.open()?;
        kms.create_key(Default::default())?
    };
    let kms = home.open()?;
    kms.disable_key(key.key_id())?;
    let report = kms.verify_audit_trail(home.path())?;
    // The intent and the outcome of two changes.
    assert_eq!((report.is_intact(), report.chains.len(), report.records()), (true, 1, 4));
    assert_eq!(report.to_string(), "4 records in 1 chains, all intact");
    Ok(())
}

#[test]
fn the_trail_tells_who_did_what_and_holds_no_secret() -> TestResult {
    let home = Home::new()?;
    let kms = home.open()?;
    let key = kms.create_key(Default::default())?;
    let context = EncryptionContext::from([("tenant", "42")]);
    kms.encrypt(EncryptRequest::new(key.key_id(), b"the launch code").context(&context))?;
    let alice = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    assert_eq!(
        alice.encrypt(EncryptRequest::new(key.key_id(), b"x")).map_err(|e| e.kind()),
        Err(ErrorKind::AccessDenied)
    );
    let text = fs::read_to_string(home.file()?)?;
    let events: Vec<serde_json::Value> = text.lines().skip(1).map(serde_json::from_str).collect::<Result<_, _>>()?;
    let encrypt = &events[2]["event"];
    assert_eq!(encrypt["eventName"], "Encrypt");
    assert_eq!(encrypt["requestParameters"]["encryptionContext"]["tenant"], "42");
    assert_eq!(encrypt["resources"][0]["ARN"], key.arn().to_string());
    let refused = &events[3]["event"];
    assert_eq!(refused["userIdentity"]["arn"], "arn:aws:iam::000000000000:user/alice");
    assert_eq!(refused["errorCode"], "AccessDeniedException");
    assert!(!text.contains("launch code"));
    Ok(())
}

#[test]
fn an_altered_record_is_named() -> TestResult {
    let home = Home::new()?;
    let kms = home.open()?;
    let key = kms.create_key(Default::default())?;
    kms.generate_data_key(GenerateDataKeyRequest::new(key.key_id()))?;
    let file = home.file()?;
    let altered = fs::read_to_string(&file)?.replace("GenerateDataKey", "DescribeKey");
    fs::write(&file, altered)?;
    let report = kms.verify_audit_trail(home.path())?;
    let finding = report.first_finding().ok_or("nothing was found")?;
    assert_eq!((finding.problem, finding.expected, finding.line), (Problem::Changed, 3, 4));
    assert_eq!(finding.file.as_deref(), Some(&*file));
    Ok(())
}

#[test]
fn a_tail_that_is_cut_off_shows_after_a_change_maintenance_or_a_proper_end() -> TestResult {
    for end in ["change", "maintenance", "end"] {
        let home = Home::new()?;
        let kms = home.open()?;
        kms.create_key(Default::default())?;
        kms.list_keys(Default::default())?;
        match end {
            "change" => drop(kms.create_key(Default::default())?),
            "maintenance" => drop(kms.run_maintenance()?),
            _ => {}
        }
        drop(kms);
        let file = home.file()?;
        let text = fs::read_to_string(&file)?;
        let lines: Vec<_> = text.lines().take(3).collect(); // the header and the two records of the first key
        fs::write(&file, format!("{}\n", lines.join("\n")))?;
        let refused = home.open().map(|_| ()).map_err(|error| error.to_string());
        assert!(refused.as_ref().is_err_and(|text| text.contains("missing")), "{end}: {refused:?}");
    }
    Ok(())
}

#[test]
fn changes_that_were_under_way_are_told_apart_when_the_kms_is_opened_again() -> TestResult {
    let home = Home::new()?;
    home.open_with(InterruptedTrail(FileTrail::new(home.path())))?.create_key(Default::default())?;
    let store = HookedStore::new(home.store.clone());
    store.before_commit(RecordKind::Key, || Err(Error::new(ErrorKind::Store, "out of order")));
    let refusing = Kms::builder().store(store, root()).audit(InterruptedTrail(FileTrail::new(home.path()))).build()?;
    assert_eq!(refusing.create_key(Default::default()).map_err(|error| error.kind()), Err(ErrorKind::Store));
    drop(refusing);
    let kms = home.open()?;
    let text = fs::read_to_string(home.file()?)?;
    let results: Vec<_> = text.lines().filter(|line| line.contains("\"reconciled\"")).collect();
    assert_eq!(results.len(), 2, "{text}");
    assert!(results[0].contains("\"committed\"") && results[1].contains("\"not committed\""), "{results:?}");
    assert!(kms.verify_audit_trail(home.path())?.is_intact());
    Ok(())
}

#[test]
fn a_trail_that_cannot_be_written_stops_everything_and_changes_nothing() -> TestResult {
    let home = Home::new()?;
    let blocked = home.path().join("a file");
    fs::write(&blocked, "in the way")?;
    assert_eq!(home.open_with(FileTrail::new(&blocked)).map_err(|e| e.kind()).map(|_| ()), Err(ErrorKind::Audit));
    Ok(())
}

#[test]
fn a_signed_trail_is_verified_with_the_public_side() -> TestResult {
    let home = Home::new()?;
    let trail = Arc::new(FileTrail::new(home.path()));
    let kms = home.open_with(Arc::clone(&trail))?;
    kms.create_key(Default::default())?;
    trail.checkpoint(&|message: &[u8]| Ok(message.iter().rev().copied().collect()))?;
    let good = |message: &[u8], signature: &[u8]| Ok(signature.iter().rev().eq(message));
    let report = kms.verify_signed_audit_trail(home.path(), &good)?;
    assert_eq!((report.is_intact(), report.chains[0].signed), (true, 2));
    assert!(!kms.verify_signed_audit_trail(home.path(), &|_: &[u8], _: &[u8]| Ok(false))?.is_intact());
    Ok(())
}

#[test]
fn a_chain_is_forgotten_only_when_nobody_writes_it() -> TestResult {
    let home = Home::new()?;
    let kms = home.open()?;
    let id = kms.audit_chains()?[0].id();
    assert_eq!(kms.forget_audit_chain(id).map_err(|error| error.kind()), Err(ErrorKind::InvalidState));
    drop(kms);
    let kms = home.open_with(MemoryTrail::default())?;
    kms.forget_audit_chain(id)?;
    assert_eq!(kms.audit_chains()?.len(), 0);
    assert_eq!(kms.forget_audit_chain(id).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    let alice = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    assert_eq!(alice.audit_chains().map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::AccessDenied));
    assert!(alice.verify_audit_trail(home.path()).is_err());
    Ok(())
}
