//! A store with parameters in every build, also in those without the feature `parameters`: they lose
//! no record, and rotate, verify and back up records that they cannot read.

use std::sync::Arc;

use crate::support::stored_parameters::{COUNTS, KINDS, builder, counts, in_memory, use_without_parameters};

type TestResult = Result<(), Box<dyn std::error::Error>>;

#[test]
fn every_build_keeps_the_records_of_parameters() -> TestResult {
    let store = in_memory()?;
    let before = store.state();
    assert_eq!(counts(&store)?, COUNTS);
    use_without_parameters(&builder(Arc::clone(&store)).build()?, &store, false)?;
    for (id, record) in &before.records {
        if KINDS.contains(&id.kind) {
            assert_ne!(store.state().records[id].body, record.body, "sealed under the new root key: {:?}", id.kind);
        }
    }
    Ok(())
}

#[test]
fn every_build_notices_a_lost_or_altered_record_of_a_parameter() -> TestResult {
    let store = in_memory()?;
    let before = store.state();
    for id in before.records.keys().filter(|id| KINDS.contains(&id.kind)) {
        for is_lost in [true, false] {
            store.change(|state| match is_lost {
                true => _ = state.records.remove(id),
                false => {
                    let record = state.records.get_mut(id).expect("the entry exists");
                    let mut body = record.body.to_vec();
                    *body.last_mut().expect("a body is never empty") ^= 1;
                    record.body = body.into();
                }
            });
            let kms = builder(Arc::clone(&store)).build()?;
            assert!(!kms.verify_store(|_| {})?.is_intact(), "{:?}", id.kind);
            // A rotation discards no root key that a damaged record may still need.
            assert!(kms.rotate_root_key().is_err(), "{:?}", id.kind);
            store.change(|state| state.clone_from(&before));
        }
    }
    assert!(builder(Arc::clone(&store)).build()?.verify_store(|_| {})?.is_intact());
    Ok(())
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::sync::Arc;

    use strongroom::audit::FileTrail;
    use strongroom::crypto::CryptoBackend;
    use strongroom::store::SqliteStore;

    use super::TestResult;
    use crate::support::stored_parameters::{COUNTS, TRAIL, builder, copied_to, counts, use_without_parameters};

    #[test]
    fn every_build_backs_parameters_up_and_verifies_their_events() -> TestResult {
        let home = tempfile::tempdir()?;
        let path = copied_to(home.path())?;
        let open = |path| SqliteStore::open(path, &CryptoBackend::default()).map(Arc::new);
        let (store, trail) = (open(path.as_path())?, home.path().join(TRAIL));
        let kms = builder(Arc::clone(&store)).audit(FileTrail::new(&trail)).build()?;
        let report = kms.verify_audit_trail(&trail)?;
        assert!(report.is_intact() && report.records() > 10, "{report}");
        use_without_parameters(&kms, &store, true)?;
        assert!(kms.verify_audit_trail(&trail)?.is_intact());

        let copy = home.path().join("backup");
        store.back_up(&copy)?;
        let backup = open(copy.as_path())?;
        assert_eq!(counts(&backup)?, COUNTS);
        use_without_parameters(&builder(Arc::clone(&backup)).build()?, &backup, true)
    }
}
