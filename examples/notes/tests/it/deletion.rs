//! The end of a tenant: keys that were destroyed, not only scheduled for it.

use std::sync::Arc;

use sqlx::Row;
use strongroom::columns::{Column, ColumnKeys, Encrypted, RowId};
use strongroom::seal::RootKey;
use strongroom::{Clock, ErrorKind, Kms, ManualClock, SystemClock};

use crate::support::process::{ADMIN, Service};
use crate::support::{TestResult, sql};

/// The waiting period passes on a manual clock, in this process, after the service has stopped.
#[test]
fn a_destroyed_key_never_opens_a_value_again() -> TestResult {
    let folder = tempfile::tempdir()?;
    let service = Service::start(folder.path(), None)?;
    for tenant in ["acme", "globex"] {
        let token = service.add_tenant(tenant)?;
        let note = serde_json::json!({ "author": "Ada", "body": format!("words of {tenant}") });
        service.expect(201, &token, "POST /notes", Some(note))?;
    }
    service.expect(202, ADMIN, "DELETE /admin/tenants/acme/keys", None)?;
    service.stop()?;

    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let root = RootKey::from_file(folder.path().join("root.key"))?;
    let kms = Kms::builder().clock(Arc::clone(&clock)).open(folder.path().join("keys.strongroom"), root)?;
    clock.advance_days(8);
    kms.confirm_clock(clock.now())?;
    let report = kms.run_maintenance()?;
    assert!(report.is_complete() && report.deleted.len() == 2, "{report:?}");

    let body = Column::<String>::new(&ColumnKeys::per_tenant(&kms, "alias/notes/data/")?, "notes", "body")?;
    let url = format!("sqlite://{}", folder.path().join("notes.db").display());
    let rows = sql(&url, "SELECT id, tenant, body FROM notes ORDER BY tenant")?;
    assert_eq!(rows.len(), 2);
    for row in rows {
        let (id, tenant): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let stored: Encrypted<String> = row.try_get("body")?;
        let opened = body.decrypt(&RowId::new(id).tenant(&tenant), &stored);
        match tenant.as_str() {
            "acme" => assert_eq!(opened.expect_err("destroyed").kind(), ErrorKind::NotFound),
            _ => assert_eq!(opened?, "words of globex"),
        }
    }
    Ok(())
}
