//! Cached data keys: calls to the KMS, and when a disabled key takes effect.

use std::sync::Arc;
use std::time::Duration;

use strongroom::audit::{Action, MemoryTrail};
use strongroom::columns::{Column, ColumnKeys, RowId};
use strongroom::envelope::DataKeyCache;
use strongroom::identity::{AccountId, Principal};
use strongroom::key::Operation;
use strongroom::{ErrorKind, Kms, ManualClock, Timestamp};

use super::support::{Mode, TestResult, kms_with_tenants};

/// Counts the events of an operation.
fn count(trail: &MemoryTrail, operation: Operation) -> usize {
    trail.events().iter().filter(|event| event.action == Action::Call(operation)).count()
}

#[test]
fn blobs_leave_an_event_for_each_value_and_cached_data_keys_one_for_each_tenant() -> TestResult {
    for mode in Mode::ALL {
        let trail = Arc::new(MemoryTrail::default());
        let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
        for tenant in ["acme", "globex"] {
            kms.get_or_create_key(format!("alias/tenant/{tenant}"), Default::default())?;
        }
        let column = mode.column::<String>(&ColumnKeys::per_tenant(&kms, "alias/tenant/")?, "notes", "body")?;
        for tenant in ["acme", "globex"] {
            for row in 0..10 {
                let place = RowId::new(row).tenant(tenant);
                let stored = column.encrypt(&place, "call back")?;
                assert_eq!(column.decrypt(&place, &stored)?, "call back");
            }
        }
        let counts = [Operation::Encrypt, Operation::GenerateDataKey, Operation::Decrypt].map(|op| count(&trail, op));
        let expected = if mode == Mode::Blobs { [20, 0, 20] } else { [0, 2, 2] };
        assert_eq!(counts, expected, "{mode:?}");
    }
    Ok(())
}

#[test]
fn a_disabled_key_takes_effect_after_the_maximum_age() -> TestResult {
    let (kms, keys) = kms_with_tenants(&["acme"])?;
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let builder = Column::<String>::builder(&keys, "notes", "body").cached_data_keys(Duration::from_secs(60));
    let column = builder.clock(Arc::clone(&clock)).build()?;
    let row = RowId::new(1).tenant("acme");
    let stored = column.encrypt(&row, "call back")?;
    column.decrypt(&row, &stored)?;
    kms.disable_key(kms.describe_key("alias/tenant/acme")?.key_id())?;

    clock.advance(Duration::from_secs(60));
    assert_eq!(column.decrypt(&row, &stored)?, "call back");
    assert!(column.encrypt(&row, "call back").is_ok());
    clock.advance(Duration::from_millis(1));
    for refused in [column.decrypt(&row, &stored).map(drop), column.encrypt(&row, "call back").map(drop)] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Disabled);
    }
    Ok(())
}

/// Two handles with different permissions share a cache, but no data key.
#[test]
fn a_shared_cache_gives_no_column_the_permissions_of_another() -> TestResult {
    let kms = Kms::in_memory()?;
    let key = kms.create_key(Default::default())?.key_id();
    let stranger = kms.as_principal(Principal::role(AccountId::default(), "stranger")?)?;
    let cache = DataKeyCache::default();
    let column = |kms: &Kms| -> TestResult<_> {
        let keys = ColumnKeys::new(kms, key)?;
        let builder = Column::<String>::builder(&keys, "t", "c").cached_data_keys(Duration::from_secs(60));
        Ok(builder.cache(&cache).build()?)
    };
    let (owner, other) = (column(&kms)?, column(&stranger)?);
    let stored = owner.encrypt(&RowId::new(1), "secret")?;
    owner.decrypt(&RowId::new(1), &stored)?;
    assert_eq!(other.decrypt(&RowId::new(1), &stored).unwrap_err().kind(), ErrorKind::AccessDenied);
    assert_eq!(other.encrypt(&RowId::new(1), "x").unwrap_err().kind(), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn a_column_changes_its_mode_and_reads_what_it_wrote_before() -> TestResult {
    let (_kms, keys) = kms_with_tenants(&["acme"])?;
    let row = RowId::new(1).tenant("acme");
    for (before, after) in [(Mode::Blobs, Mode::CachedDataKeys), (Mode::CachedDataKeys, Mode::Blobs)] {
        let stored = before.column::<String>(&keys, "t", "c")?.encrypt(&row, "kept")?;
        assert_eq!(after.column::<String>(&keys, "t", "c")?.decrypt(&row, &stored)?, "kept");
    }
    Ok(())
}
