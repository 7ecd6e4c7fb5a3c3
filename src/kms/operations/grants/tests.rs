//! The maximum number of grants on one key. Grants are written to the store in batches of a
//! thousand, because individual calls would take minutes. `STRONGROOM_GRANTS` sets the number of
//! grants and the quota, 2,500 by default.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::context::EncryptionContext;
use crate::crypto::CryptoBackend;
use crate::identity::AccountId;
use crate::key::{DeletionWindow, KeyId};
use crate::kms::{EncryptRequest, KmsLimits};
use crate::policy::GrantConstraints;
use crate::seal::RootKey;
use crate::store::{
    CommitError, Expectation, KeyStore, MemoryStore, Record, RecordKind, Revision, Scan, StoreId, WriteChanges,
};

/// The number of grantees, which receive the grants in turn.
const GRANTEES: usize = 50;

/// Writes grants on a key. Only the last one allows an operation other than DescribeKey. Returns
/// that grant and its grantee.
fn fill(kms: &Kms, key_id: KeyId, count: usize) -> Result<(GrantId, Principal)> {
    let (registry, account) = (&kms.core.registry, kms.account());
    let mut last = None;
    let numbers: Vec<usize> = (1..=count).collect();
    for batch in numbers.chunks(MAX_SCAN) {
        let mut edits = Vec::new();
        for &number in batch {
            let grantee = Principal::user(account, &format!("user{}", number % GRANTEES))?;
            let operation = if number == count { Operation::Encrypt } else { Operation::DescribeKey };
            let terms =
                GrantTerms::new(grantee.clone(), [operation])?.with_retiring_principal(Principal::root(account));
            let grant = GrantRecord { created: kms.core.time.now(), issuing_account: account, terms, name: None };
            let id = registry.new_grant_id(key_id, &grantee, kms.core.material.backend.random())?;
            let place = GrantRecord::record_id(account, key_id, id);
            edits.extend(registry.put_retirable(&grant.terms, &place)?);
            edits.push(Edit::put_grant(place, &grant)?);
            last = Some((id, grantee));
        }
        registry.commit(&edits)?;
    }
    let held = registry.key(account, key_id)?.expect("the grant was created");
    let mut record = held.record.clone();
    record.grants = u32::try_from(count).expect("few enough");
    registry.commit(&[Edit::put_key(record, Some(held.revision()))])?;
    Ok(last.expect("some grants were created"))
}

fn listed(kms: &Kms, key_id: KeyId) -> Result<Vec<GrantId>> {
    let (mut ids, mut page) = (Vec::new(), PageRequest::default().limit(100));
    loop {
        let part = kms.list_grants(key_id, GrantFilter::default(), page)?;
        ids.extend(part.entries.iter().map(|entry| entry.grant_id));
        let Some(marker) = part.next_marker else { return Ok(ids) };
        page = PageRequest::default().limit(100).marker(marker);
    }
}

/// A store that counts scans of grants.
#[derive(Debug)]
struct Counting {
    store: MemoryStore,
    scans: AtomicUsize,
}

impl KeyStore for Counting {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn revision(&self) -> Result<Revision> {
        self.store.revision()
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        self.store.get_all(ids)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        if scan.kind == RecordKind::Grant {
            self.scans.fetch_add(1, Ordering::SeqCst);
        }
        self.store.scan(scan)
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        self.store.commit(expected, changes)
    }

    fn commit_prefetching(
        &self,
        expected: &[Expectation],
        prefetch: &[RecordId],
        changes: &mut WriteChanges<'_>,
    ) -> Result<Revision, CommitError> {
        self.store.commit_prefetching(expected, prefetch, changes)
    }
}

#[test]
fn grants_are_read_once_and_every_change_counts_at_once() -> Result<()> {
    let store = MemoryStore::new(&CryptoBackend::default())?;
    let store = Arc::new(Counting { store, scans: AtomicUsize::new(0) });
    let open = || Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).build();
    let kms = open()?;
    let key_id = kms.create_key(Default::default())?.key_id();
    let name = Principal::user(AccountId::default(), "alice")?;
    let alice = kms.as_principal(name.clone())?;
    let make = |kms: &Kms, number: u32| {
        let tenant = EncryptionContext::from([("tenant", number.to_string().as_str())]);
        let terms = GrantTerms::new(name.clone(), [Operation::Encrypt])?;
        let terms = terms.with_constraints(GrantConstraints::new().with_encryption_context_subset(tenant)?);
        Ok::<_, Error>(kms.create_grant(CreateGrantRequest::new(key_id, terms).name(format!("n{number}")))?.grant_id)
    };
    let may = |number: u32| {
        let tenant = EncryptionContext::from([("tenant", number.to_string().as_str()), ("other", "x")]);
        alice.encrypt(EncryptRequest::new(key_id, b"x").context(&tenant)).is_ok()
    };
    let ids = (0..20).map(|number| make(&kms, number)).collect::<Result<Vec<_>>>()?;
    assert!((0..20).all(may) && !may(20));
    let scans = store.scans.load(Ordering::SeqCst);
    for (number, id) in (0..20).zip(&ids) {
        assert_eq!(make(&kms, number)?, *id, "a repeated request");
        kms.update_key_description(key_id, format!("after {number}"))?;
        assert!(may(number));
        kms.revoke_grant(key_id, *id, DryRun::No)?;
        assert!(!may(number), "the grant was revoked");
        assert!(number == 19 || may(number + 1));
        make(&kms, 100 + number)?;
        assert!(may(100 + number));
    }
    assert_eq!(store.scans.load(Ordering::SeqCst), scans, "a process sees its own changes");

    let other = open()?;
    let id = make(&other, 200)?;
    assert!(may(200), "a grant created by another process");
    other.revoke_grant(key_id, id, DryRun::No)?;
    assert!(!may(200) && may(100), "a grant revoked by another process");
    make(&kms, 201)?;
    assert!(may(201) && !may(200));
    Ok(())
}

fn most() -> usize {
    std::env::var("STRONGROOM_GRANTS").map_or(2_500, |text| text.parse().expect("a number"))
}

#[test]
fn a_key_is_deleted_with_all_its_grants_in_one_commit() -> Result<()> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let store = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
    let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]));
    let kms = builder.clock(Arc::clone(&clock)).clock_tolerance(Duration::MAX).build()?;
    let key_id = kms.create_key(Default::default())?.key_id();
    fill(&kms, key_id, most())?;
    kms.schedule_key_deletion(key_id, DeletionWindow::MIN)?;
    clock.advance_days(7);
    let before = store.revision()?;
    assert!(kms.core.delete_if_due(kms.account(), key_id, clock.now())?);
    assert_eq!(store.revision()?.0, before.0 + 1);
    for kind in [RecordKind::Grant, RecordKind::RetirableGrant, RecordKind::Key] {
        assert!(store.scan(&Scan { kind, account: None, after: None, limit: 1 })?.is_empty(), "{kind:?}");
    }
    Ok(())
}

#[test]
fn a_key_has_as_many_grants_as_its_quota_and_no_more() -> Result<()> {
    let most = most();
    let kms = Kms::builder().limits(KmsLimits { grants_per_key: most, ..KmsLimits::default() }).build()?;
    let key_id = kms.create_key(Default::default())?.key_id();
    let (last, grantee) = fill(&kms, key_id, most)?;
    let encrypt = |name: &Principal| kms.as_principal(name.clone())?.encrypt(EncryptRequest::new(key_id, b"x"));
    encrypt(&grantee)?;
    let another = Principal::user(AccountId::default(), "user1")?;
    assert_eq!(encrypt(&another).map_err(|error| error.kind()), Err(ErrorKind::AccessDenied));

    let ids = listed(&kms, key_id)?;
    assert_eq!(ids.len(), most);
    assert!(ids.is_sorted_by(|one, next| one < next) && ids.contains(&last));

    let one_more = || {
        let terms = GrantTerms::new(another.clone(), [Operation::Encrypt])?;
        kms.create_grant(CreateGrantRequest::new(key_id, terms))
    };
    let refused = one_more().expect_err("the number of grants is at its maximum");
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
    assert!(refused.to_string().contains(&format!("has {most} grants")), "{refused}");
    assert!(encrypt(&another).is_err(), "nothing was granted");
    kms.revoke_grant(key_id, last, DryRun::No)?;
    one_more()?;
    encrypt(&another)?;
    assert!(encrypt(&grantee).is_err(), "the grant was revoked");
    Ok(())
}
