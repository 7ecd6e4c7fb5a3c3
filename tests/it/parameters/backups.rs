//! A store that is replaced by a backup from before later versions were put.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom::audit::{FileTrail, TrailReport};
use strongroom::crypto::CryptoBackend;
use strongroom::parameters::{GetParameterHistoryRequest, Parameters, PutParameterRequest};
use strongroom::seal::RootKey;
use strongroom::store::{FileAnchor, SqliteOptions, SqliteStore};
use strongroom::{ErrorKind, Kms, Result};
use tempfile::TempDir;

use super::{TestResult, exception};
use crate::support::child_process::fast_folder;
use crate::support::kms::kind;

struct Home(TempDir);

impl Home {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, anchor: bool) -> Result<Kms> {
        // Nothing that another process changed is read from a cache.
        let options = SqliteOptions::default().staleness(Duration::ZERO);
        let store = SqliteStore::open_with(self.path("keys"), &CryptoBackend::default(), options)?;
        let builder =
            Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).audit(FileTrail::new(self.path("trail")));
        if anchor { builder.anchor(FileAnchor::new(self.path("anchor"))) } else { builder }.build()
    }

    /// Fills a store, backs it up, changes it, and replaces it by the backup. Returns the report about
    /// the trail before the replacement.
    fn restored(&self, anchor: bool) -> TestResult<TrailReport> {
        let kms = self.open(anchor)?;
        let parameters = Parameters::new(&kms);
        parameters.put(PutParameterRequest::secure_string("/a", "1"))?;
        parameters.put(PutParameterRequest::new("/a", "2").overwrite())?;
        parameters.label("/a", Some(1), ["live"])?;
        parameters.put(PutParameterRequest::string("/gone", "1"))?;
        parameters.put(PutParameterRequest::new("/gone", "2").overwrite())?;
        SqliteStore::open(self.path("keys"), &CryptoBackend::default())?.back_up(self.path("monday"))?;
        for value in ["3", "4"] {
            parameters.put(PutParameterRequest::new("/a", value).overwrite())?;
        }
        parameters.label("/a", Some(4), ["live"])?;
        parameters.delete("/gone")?;
        parameters.put(PutParameterRequest::string("/new", "1"))?;
        let report = kms.verify_audit_trail(self.path("trail"))?;
        kms.close()?;
        drop((kms, parameters));
        replace(&self.path("keys"), &self.path("monday"))?;
        Ok(report)
    }
}

fn replace(file: &Path, backup: &Path) -> std::io::Result<()> {
    for suffix in ["-wal", "-shm"] {
        let log = PathBuf::from(format!("{}{suffix}", file.display()));
        if log.exists() {
            fs::remove_file(log)?;
        }
    }
    fs::rename(backup, file)
}

#[test]
fn an_anchor_rejects_a_restored_store_until_it_is_removed() -> TestResult {
    let home = Home(fast_folder()?);
    home.restored(true)?;
    assert_eq!(home.open(true).map(drop).map_err(|error| error.kind()), Err(ErrorKind::Integrity));
    fs::remove_file(home.path("anchor"))?;
    let parameters = Parameters::new(&home.open(true)?);
    assert_eq!(parameters.get("/a")?.version(), 2);
    parameters.put(PutParameterRequest::new("/a", "3").overwrite())?;
    Ok(())
}

#[test]
fn a_restored_store_has_the_parameters_of_its_backup() -> TestResult {
    let home = Home(fast_folder()?);
    let before = home.restored(false)?;
    let kms = home.open(false)?;
    let parameters = Parameters::new(&kms);
    assert!(kms.verify_store(|_| {})?.is_intact());
    let history = || {
        let page = parameters.history(GetParameterHistoryRequest::new("/a"))?;
        let entry = |entry: &strongroom::parameters::ParameterHistoryEntry| {
            (entry.metadata().version(), entry.expose_value().to_owned(), entry.labels().to_vec())
        };
        Ok::<_, strongroom::Error>(page.entries.iter().map(entry).collect::<Vec<_>>())
    };
    let live = || vec!["live".to_owned()];
    assert_eq!(history()?, [(1, "1".to_owned(), live()), (2, "2".to_owned(), Vec::new())]);
    for later in ["/a:3", "/a:4"] {
        assert_eq!(exception(parameters.get(later)), "ParameterVersionNotFound");
    }
    assert_eq!((parameters.get("/gone")?.version(), parameters.get("/gone:1")?.expose_value()), (2, "1"));
    assert_eq!(exception(parameters.get("/new")), "ParameterNotFound");

    // The next version has a number that another value had before, as the manual says.
    assert_eq!(parameters.put(PutParameterRequest::new("/a", "other").overwrite())?.version, 3);
    assert_eq!(parameters.get("/a:3")?.expose_value(), "other");
    parameters.delete("/gone")?;
    parameters.put(PutParameterRequest::string("/new", "1"))?;
    assert!(kms.verify_store(|_| {})?.is_intact());

    // The trail, which is stored separately, still has every change, and continues.
    let after = kms.verify_audit_trail(home.path("trail"))?;
    assert!(before.is_intact() && after.records() > before.records(), "{after}");
    let text = fs::read_dir(home.path("trail"))?
        .map(|entry| fs::read_to_string(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?
        .concat();
    let puts = text
        .lines()
        .filter(|line| line.contains(r#""eventName":"PutParameter""#) && line.contains(r#""outcome":"success""#));
    assert_eq!(puts.filter(|line| line.contains(r#""name":"/a""#)).count(), 5);
    Ok(())
}

/// Without an anchor, only a process that has the store open can notice the replacement.
#[test]
fn a_process_that_has_the_store_open_accepts_no_parameter_of_a_backup() -> TestResult {
    let home = Home(fast_folder()?);
    let kms = home.open(false)?;
    let parameters = Parameters::new(&kms);
    parameters.put(PutParameterRequest::string("/a", "1"))?;
    let backup = SqliteStore::open(home.path("keys"), &CryptoBackend::default())?;
    backup.back_up(home.path("monday"))?;
    parameters.put(PutParameterRequest::new("/a", "2").overwrite())?;
    replace(&home.path("keys"), &home.path("monday"))?;
    for refused in [
        kind(parameters.get("/a")),
        kind(parameters.get("/a:1")),
        kind(parameters.put(PutParameterRequest::new("/a", "3").overwrite())),
        kind(parameters.describe(Default::default())),
        kind(parameters.delete("/a")),
    ] {
        assert!(matches!(refused, ErrorKind::Integrity | ErrorKind::Store), "{refused:?}");
    }
    Ok(())
}
