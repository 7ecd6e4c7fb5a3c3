//! A stored value opens only in its place, and only unchanged.

use proptest::prelude::*;
use strongroom::ErrorKind;
use strongroom::columns::{Column, ColumnKeys, Encrypted, RowId};

use super::support::{Mode, TestResult, kms_with_key};

#[test]
fn a_value_opens_only_in_its_table_column_row_and_tenant() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    for mode in Mode::ALL {
        let column = |table, name| mode.column::<String>(&keys, table, name);
        let home = column("users", "phone")?;
        let place = RowId::new(1).tenant("acme");
        let stored = home.encrypt(&place, "+44 20 7946 0123")?;
        assert_eq!(home.decrypt(&place, &stored)?, "+44 20 7946 0123");
        assert_eq!(column("users", "phone")?.decrypt(&place, &stored)?, "+44 20 7946 0123");

        let elsewhere = [
            ("row", home.clone(), RowId::new(2).tenant("acme")),
            ("tenant", home.clone(), RowId::new(1).tenant("globex")),
            ("no tenant", home.clone(), RowId::new(1)),
            ("composite key", home.clone(), RowId::new(1).part(1).tenant("acme")),
            ("column", column("users", "mobile")?, place.clone()),
            ("table", column("admins", "phone")?, place.clone()),
            ("names moved", column("user", "sphone")?, place.clone()),
        ];
        for (what, other, row) in elsewhere {
            let refused = other.decrypt(&row, &stored).expect_err(what);
            assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext, "{mode:?}, {what}: {refused}");
            let text = refused.to_string();
            let named = format!("cannot decrypt a value of {}.{}: ", other.table(), other.name());
            assert!(text.starts_with(&named) && !text.contains("7946"), "{text}");
        }
        // A pair that the column adds to every context counts as well.
        let with_pair = Column::<String>::builder(&keys, "users", "phone").context("service", "crm").build()?;
        assert!(with_pair.decrypt(&place, &stored).is_err());
    }
    Ok(())
}

#[test]
fn the_parts_of_a_composite_key_are_separate() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    for mode in Mode::ALL {
        let column = mode.column::<String>(&keys, "orders", "note")?;
        let stored = column.encrypt(&RowId::new("a").part("bc"), "fragile")?;
        assert_eq!(column.decrypt(&RowId::new("a").part("bc"), &stored)?, "fragile");
        for other in [RowId::new("ab").part("c"), RowId::new("abc"), RowId::new("bc").part("a"), RowId::new("a")] {
            assert!(column.decrypt(&other, &stored).is_err());
        }
        for empty in [RowId::new(""), RowId::new("a").part("")] {
            assert_eq!(column.encrypt(&empty, "fragile").unwrap_err().kind(), ErrorKind::Validation);
        }
    }
    Ok(())
}

/// The wrapped data key of one value, and the body of another.
#[test]
fn parts_of_two_values_do_not_combine() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    let new = || Mode::CachedDataKeys.column::<String>(&keys, "users", "phone");
    let (one, other) = (new()?, new()?);
    let row = RowId::new(1);
    let (first, second) = (one.encrypt(&row, "first")?, other.encrypt(&row, "second")?);
    let end = 3 + usize::from(u16::from_be_bytes([first.as_bytes()[1], first.as_bytes()[2]]));
    assert_ne!(first.as_bytes()[..end], second.as_bytes()[..end], "each column has its own data keys");
    let mixed = Encrypted::from_bytes([&first.as_bytes()[..end], &second.as_bytes()[end..]].concat())?;
    assert_eq!(one.decrypt(&row, &mixed).unwrap_err().kind(), ErrorKind::InvalidCiphertext);

    // A wrapped data key that is presented as a value is none, although it is a blob of the key.
    let wrapped = Encrypted::from_bytes([&[1][..], &first.as_bytes()[3..end]].concat())?;
    assert_eq!(one.decrypt(&row, &wrapped).unwrap_err().kind(), ErrorKind::InvalidCiphertext);
    Ok(())
}

#[test]
fn every_flipped_bit_and_every_truncation_is_rejected() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    for mode in Mode::ALL {
        let column = mode.column::<String>(&keys, "users", "phone")?;
        let row = RowId::new(1);
        let whole = column.encrypt(&row, "+49 30 901820")?.into_bytes();
        let rejected = |bytes: Vec<u8>| match Encrypted::from_bytes(bytes) {
            Ok(value) => column.decrypt(&row, &value).is_err(),
            Err(_) => true,
        };
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(rejected(flipped), "{mode:?}: bit {bit}");
        }
        for length in 0..whole.len() {
            assert!(rejected(whole[..length].to_vec()), "{mode:?}: {length} bytes");
        }
        assert!(rejected([&whole[..], &[0]].concat()), "{mode:?}: one more byte");
        assert!(!rejected(whole));
    }
    Ok(())
}

#[test]
fn a_value_of_another_key_is_rejected_before_it_is_opened() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let other = kms.create_key(Default::default())?.key_id();
    for mode in Mode::ALL {
        let column = |key| mode.column::<String>(&ColumnKeys::new(&kms, key)?, "users", "phone");
        let stored = column(other)?.encrypt(&RowId::new(1), "planted")?;
        let refused = column(key)?.decrypt(&RowId::new(1), &stored).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::IncorrectKey, "{mode:?}: {refused}");

        let both = ColumnKeys::new(&kms, key)?.previous_key(kms.describe_key(other)?.arn())?;
        assert_eq!(mode.column::<String>(&both, "users", "phone")?.decrypt(&RowId::new(1), &stored)?, "planted");
    }
    let by_alias = ColumnKeys::new(&kms, key)?.previous_key("alias/users").unwrap_err();
    assert_eq!(by_alias.kind(), ErrorKind::Validation);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encrypted_is_decrypted_in_its_place_only(
        value in prop::collection::vec(any::<u8>(), 0..5000),
        padding in 1_usize..100,
        (row, other) in (".{1,20}", ".{1,20}"),
        tenant in prop::option::of(".{0,10}"),
        cached in any::<bool>(),
    ) {
        let (kms, key) = kms_with_key().map_err(|error| TestCaseError::fail(error.to_string()))?;
        let keys = ColumnKeys::new(&kms, key)?;
        let mut builder = Column::<Vec<u8>>::builder(&keys, "t", "c").pad_to(padding);
        if cached {
            builder = builder.cached_data_keys(std::time::Duration::from_secs(60));
        }
        let column = builder.build()?;
        let place = |row: &str| tenant.iter().fold(RowId::new(row), RowId::tenant);
        let stored = column.encrypt(&place(&row), &value)?;
        prop_assert_eq!(column.decrypt(&place(&row), &stored)?, value);
        prop_assert_eq!(column.decrypt(&place(&other), &stored).is_ok(), row == other);
    }
}
