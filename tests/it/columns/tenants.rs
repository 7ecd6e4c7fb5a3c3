//! One key for each tenant, and the destruction of one.

use std::sync::Arc;
use std::time::Duration;

use strongroom::columns::{Column, ColumnKeys, Encrypted, RowId};
use strongroom::envelope::DataKeyCache;
use strongroom::key::DeletionWindow;
use strongroom::request::CreateKeyRequest;
use strongroom::{Clock, ErrorKind, Kms, ManualClock, Timestamp};

use super::support::{Mode, TestResult, kms_with_tenants};

#[test]
fn each_tenant_has_its_own_key() -> TestResult {
    let (kms, keys) = kms_with_tenants(&["acme", "globex"])?;
    for mode in Mode::ALL {
        let column = mode.column::<String>(&keys, "notes", "body")?;
        for tenant in ["acme", "globex"] {
            let stored = column.encrypt(&RowId::new(1).tenant(tenant), "call back")?;
            assert_eq!(stored.key_id(), kms.describe_key(format!("alias/tenant/{tenant}"))?.key_id());
            let other = if tenant == "acme" { "globex" } else { "acme" };
            let refused = column.decrypt(&RowId::new(1).tenant(other), &stored).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::IncorrectKey, "{mode:?}");
        }
        for bad in [RowId::new(1), RowId::new(1).tenant(""), RowId::new(1).tenant("acme/../globex")] {
            assert_eq!(column.encrypt(&bad, "call back").unwrap_err().kind(), ErrorKind::Validation);
        }
        let unknown = column.encrypt(&RowId::new(1).tenant("initech"), "call back").unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::NotFound);
        assert!(!unknown.to_string().contains("call back"));
    }
    Ok(())
}

/// The application, a second process that reads, and a backup of the table.
#[test]
fn nothing_of_a_deleted_tenant_opens() -> TestResult {
    for mode in Mode::ALL {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
        let kms = Kms::builder().clock(Arc::clone(&clock)).build()?;
        for tenant in ["acme", "globex"] {
            kms.create_key(CreateKeyRequest::default().alias(format!("alias/tenant/{tenant}")))?;
        }
        let keys = ColumnKeys::per_tenant(&kms, "alias/tenant/")?;
        let columns = [mode.column::<String>(&keys, "notes", "body")?, mode.column(&keys, "notes", "body")?];
        let row = |tenant: &str, number| RowId::new(number).tenant(tenant);
        let mut table: Vec<(&str, u32, Encrypted<String>)> = Vec::new();
        for tenant in ["acme", "globex"] {
            for number in 0..5 {
                let stored = columns[0].encrypt(&row(tenant, number), tenant)?;
                columns[1].decrypt(&row(tenant, number), &stored)?;
                table.push((tenant, number, stored));
            }
        }
        let backup = table.clone();

        let key = kms.describe_key("alias/tenant/acme")?.key_id();
        kms.disable_key(key)?;
        kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
        clock.advance_days(7);
        kms.confirm_clock(clock.now())?;
        let report = kms.run_maintenance()?;
        assert!(report.is_complete() && report.deleted.len() == 1);
        // A cached data key ends with its age, or at once:
        columns.iter().filter_map(Column::cache).for_each(DataKeyCache::clear);

        // A new key under the old alias, and the old one as a previous key, restore nothing.
        kms.create_key(CreateKeyRequest::default().alias("alias/tenant/acme"))?;
        let renewed = mode.column::<String>(&keys, "notes", "body")?;
        let with_previous = mode.column::<String>(&keys.clone().previous_key(key)?, "notes", "body")?;
        let readers = [&columns[0], &columns[1], &renewed, &with_previous];
        for (tenant, number, stored) in table.iter().chain(&backup) {
            for reader in readers {
                let opened = reader.decrypt(&row(tenant, *number), stored);
                assert_eq!(opened.is_ok(), *tenant == "globex", "{mode:?}, {tenant}: {opened:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn cached_data_keys_of_a_deleted_tenant_end_with_their_age() -> TestResult {
    let (kms, keys) = kms_with_tenants(&["acme"])?;
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let builder = Column::<String>::builder(&keys, "notes", "body").cached_data_keys(Duration::from_secs(60));
    let column = builder.clock(Arc::clone(&clock)).build()?;
    let row = RowId::new(1).tenant("acme");
    let stored = column.encrypt(&row, "call back")?;
    column.decrypt(&row, &stored)?;
    kms.schedule_key_deletion(kms.describe_key("alias/tenant/acme")?.key_id(), DeletionWindow::MIN)?;
    assert!(column.decrypt(&row, &stored).is_ok());
    clock.advance(Duration::from_secs(61));
    assert_eq!(column.decrypt(&row, &stored).unwrap_err().kind(), ErrorKind::InvalidState);
    Ok(())
}
