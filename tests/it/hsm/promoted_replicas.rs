//! Keys in HSMs when a replica of the database is promoted: it looks like a copy of the store, whose
//! original may still run.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use strongroom::key::{DeletionWindow, KeyId};
use strongroom::provider::MemoryCluster;
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::{PostgresOptions, PostgresStore};
use strongroom::{Error, ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::custom_key_stores::{request, two_members, vault};
use crate::support::postgres::{self, SUPERUSER};

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// A store with a key in HSMs that is due for deletion, and one that remains.
struct Host {
    kms: Kms,
    cluster: Arc<MemoryCluster>,
    clock: Arc<ManualClock>,
    remains: KeyId,
}

impl Host {
    fn new(options: &PostgresOptions) -> Result<Self> {
        PostgresStore::create_schema(options)?;
        let cluster = two_members();
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
        let builder = Kms::builder().store(PostgresStore::open(options)?, RootKey::from_bytes(&[7; 32]));
        let builder = builder.clock(Arc::clone(&clock)).clock_tolerance(Duration::MAX);
        let kms = builder.cluster(vault(), Arc::clone(&cluster)).build()?;
        let store = kms.create_custom_key_store(request("safe", "vault")?)?;
        kms.connect_custom_key_store(store)?;
        let create = || kms.create_key(CreateKeyRequest::default().custom_key_store(store));
        let (ends, remains) = (create()?.key_id(), create()?.key_id());
        kms.schedule_key_deletion(ends, DeletionWindow::MIN)?;
        clock.advance_days(7);
        Ok(Self { kms, cluster, clock, remains })
    }

    fn encrypt(&self) -> Result<()> {
        self.kms.encrypt(EncryptRequest::new(self.remains, b"data")).map(drop)
    }

    /// Waits until the new primary is used.
    fn follow(&self) {
        let begun = Instant::now();
        while let Err(error) = self.kms.update_key_description(self.remains, "changed on the new primary") {
            assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn keys(&self) -> [usize; 2] {
        [self.cluster.keys_on("hsm-1"), self.cluster.keys_on("hsm-2")]
    }
}

#[test]
fn a_promoted_replica_destroys_nothing_until_it_is_declared_the_successor() -> TestResult {
    let test = "hsm::promoted_replicas::a_promoted_replica_destroys_nothing_until_it_is_declared_the_successor";
    let Some(cluster) = postgres::cluster(test) else { return Ok(()) };
    let (old, new) = (cluster.primary(), cluster.standby());
    let both = format!("host=127.0.0.1,127.0.0.1 port={},{} user={SUPERUSER}", old.port(), new.port());
    let options = PostgresOptions::new(&both)?.timeout(Duration::from_secs(2));
    let careful = Host::new(&options.clone().schema("careful"))?;
    let automatic = Host::new(&options.schema("automatic").promotion_keeps_location())?;
    assert_eq!((careful.keys(), automatic.keys()), ([2, 2], [2, 2]));
    cluster.promote()?;
    old.kill()?;
    careful.follow();
    automatic.follow();

    let report = careful.kms.run_maintenance()?;
    let failed = report.failed.iter().map(|(_, error)| error).chain(&report.unfinished);
    let kinds: Vec<_> = failed.map(Error::kind).collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == ErrorKind::CopiedStore), "{report:?}");
    assert_eq!((report.deleted.len(), careful.keys()), (0, [2, 2]));
    careful.encrypt()?;
    // Deletions that are due are postponed, so that they can still be canceled.
    assert_eq!(careful.kms.declare_successor()?.postponed.len(), 1);
    assert_eq!((careful.kms.run_maintenance()?.deleted.len(), careful.keys()), (0, [2, 2]));
    careful.clock.advance_days(7);
    for host in [&careful, &automatic] {
        assert_eq!(host.kms.run_maintenance()?.deleted.len(), 1);
        assert_eq!(host.keys(), [1, 1]);
        host.encrypt()?;
    }
    Ok(())
}
