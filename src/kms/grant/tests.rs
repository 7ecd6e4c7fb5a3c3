//! As many grants on one key as there can be. They are put into the store a thousand at a time, as so many calls take minutes.
//! `STRONGROOM_GRANTS` says how many; without it there are 2,500, and the quota is as low.

use super::*;
use crate::identity::AccountId;
use crate::key::KeyId;
use crate::kms::{EncryptRequest, KmsLimits};

/// Grantees of the grants, one after the other.
const GRANTEES: usize = 50;

/// Puts grants on a key, of which the last alone allows something but DescribeKey. Returns the last, with its grantee.
fn fill(kms: &Kms, key_id: KeyId, count: usize) -> Result<(GrantId, Principal)> {
    let (registry, account) = (&kms.core.registry, kms.account());
    let mut last = None;
    let numbers: Vec<usize> = (1..=count).collect();
    for batch in numbers.chunks(MAX_SCAN) {
        let mut edits = Vec::new();
        for &number in batch {
            let grantee = Principal::user(account, &format!("user{}", number % GRANTEES))?;
            let operation = if number == count { Operation::Encrypt } else { Operation::DescribeKey };
            let terms = GrantTerms::new(grantee.clone(), [operation])?;
            let grant = GrantRecord { created: kms.core.now(), issuing_account: account, terms, name: None };
            let id = registry.new_grant_id(key_id, &grantee, kms.core.backend.random())?;
            edits.push(Edit::Put { id: record_id(account, key_id, id), body: grant.encode()?, expected: None });
            last = Some((id, grantee));
        }
        registry.commit(&edits)?;
    }
    let held = registry.key(account, key_id)?.expect("it was made");
    let mut record = held.0.value.record.clone();
    record.grants = u32::try_from(count).expect("few enough");
    registry.commit(&[Edit::PutKey { record, expected: Some(held.0.revision) }])?;
    Ok(last.expect("some were made"))
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

#[test]
fn a_key_has_as_many_grants_as_its_quota_and_no_more() -> Result<()> {
    let most = std::env::var("STRONGROOM_GRANTS").map_or(2_500, |text| text.parse().expect("a number"));
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
    let refused = one_more().expect_err("there are as many as there can be");
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
    assert!(refused.to_string().contains(&format!("has {most} grants")), "{refused}");
    assert!(encrypt(&another).is_err(), "nothing was granted");
    kms.revoke_grant(key_id, last, DryRun::No)?;
    one_more()?;
    encrypt(&another)?;
    assert!(encrypt(&grantee).is_err(), "it was revoked");
    Ok(())
}
