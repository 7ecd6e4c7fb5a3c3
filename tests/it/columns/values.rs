//! Types, lengths and padding of values.

use serde::{Deserialize, Serialize};
use strongroom::columns::{Column, ColumnKeys, Encrypted, Json, MAX_VALUE_BYTES, RowId};
use strongroom::{ErrorKind, SecretBytes};

use super::support::{Mode, TestResult, kms_with_key};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Address {
    street: String,
    floor: Option<i8>,
}

#[test]
fn each_type_is_read_as_it_was_written() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    let row = RowId::new(1);
    for mode in Mode::ALL {
        let text = mode.column::<String>(&keys, "t", "text")?;
        for value in ["", "a", "é\u{1F511}\0"] {
            assert_eq!(text.decrypt(&row, &text.encrypt(&row, value)?)?, value);
        }
        let bytes = mode.column::<Vec<u8>>(&keys, "t", "bytes")?;
        for value in [&b""[..], b"\0\0\x80", &[0x80; 9], &[0; 4_096]] {
            assert_eq!(bytes.decrypt(&row, &bytes.encrypt(&row, value)?)?, value);
        }
        let secret = mode.column::<SecretBytes>(&keys, "t", "secret")?;
        assert_eq!(secret.decrypt(&row, &secret.encrypt(&row, b"\x07")?)?.expose_secret(), b"\x07");
        let address = mode.column::<Json<Address>>(&keys, "t", "address")?;
        let value = Address { street: "12 Long Lane".to_owned(), floor: Some(-1) };
        assert_eq!(address.decrypt(&row, &address.encrypt(&row, &value)?)?, Json(value));
        let number = mode.column::<Json<Option<u64>>>(&keys, "t", "number")?;
        for value in [None, Some(0), Some(u64::MAX)] {
            assert_eq!(number.decrypt(&row, &number.encrypt(&row, &value)?)?, Json(value));
        }
    }
    Ok(())
}

#[test]
fn a_value_of_another_type_is_an_error_that_does_not_show_it() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    let row = RowId::new(1);
    let text = Column::<String>::new(&keys, "t", "c")?;
    let address = Column::<Json<Address>>::new(&keys, "t", "c")?;
    let stored = text.encrypt(&row, r#"{"street": 4711}"#)?;
    let as_address = Encrypted::from_bytes(stored.into_bytes())?;
    let refused = address.decrypt(&row, &as_address).unwrap_err();
    let text_of = format!("{refused} {refused:?}");
    assert!(refused.kind() == ErrorKind::Validation && !text_of.contains("4711"), "{text_of}");
    assert!(text_of.starts_with("cannot decrypt a value of t.c: its JSON does not fit the type (data error)"));

    let bytes = Column::<Vec<u8>>::new(&keys, "t", "c")?;
    let not_text = Encrypted::from_bytes(bytes.encrypt(&row, b"\xFF")?.into_bytes())?;
    assert_eq!(
        text.decrypt(&row, &not_text).unwrap_err().to_string(),
        "cannot decrypt a value of t.c: it is not UTF-8 text"
    );
    let unmappable = Column::<Json<std::collections::BTreeMap<(u8, u8), u8>>>::new(&keys, "t", "c")?;
    let failed = unmappable.encrypt(&row, &[((1, 2), 3)].into()).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Validation);
    Ok(())
}

#[test]
fn values_of_any_length_up_to_the_limit_are_stored_in_both_modes() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    let row = RowId::new(1);
    // The sizes that the manual states: one byte of padding, one of the format, and the rest.
    for (mode, length, format, overhead) in [
        (Mode::Blobs, 0, 1, 96),
        (Mode::Blobs, 4_095, 1, 96),
        (Mode::Blobs, 4_096, 2, 202),
        (Mode::CachedDataKeys, 0, 2, 202),
        (Mode::CachedDataKeys, MAX_VALUE_BYTES - 1, 2, 202),
        (Mode::Blobs, MAX_VALUE_BYTES - 1, 2, 202),
    ] {
        let column = mode.column::<Vec<u8>>(&keys, "t", "c")?;
        let value = vec![0x80; length];
        let stored = column.encrypt(&row, &value)?;
        assert_eq!((stored.format(), stored.as_bytes().len()), (format, length + overhead), "{mode:?}, {length}");
        assert_eq!(column.decrypt(&row, &stored)?, value);
    }
    for mode in Mode::ALL {
        let column = mode.column::<Vec<u8>>(&keys, "t", "c")?;
        let refused = column.encrypt(&row, &vec![0; MAX_VALUE_BYTES]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Validation);
    }
    Ok(())
}

#[test]
fn padding_hides_the_length_and_may_change_later() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    let row = RowId::new(1);
    let padded = |multiple| Column::<String>::builder(&keys, "t", "c").pad_to(multiple).build();
    let by_32 = padded(32)?;
    let lengths = |range: std::ops::Range<usize>| {
        range
            .map(|length| Ok(by_32.encrypt(&row, &"x".repeat(length))?.as_bytes().len()))
            .collect::<TestResult<Vec<_>>>()
    };
    assert!(lengths(0..32)?.iter().all(|length| *length == 32 + 95));
    assert!(lengths(32..64)?.iter().all(|length| *length == 64 + 95));
    let stored = by_32.encrypt(&row, "x")?;
    for other in [1, 16, 4_096] {
        assert_eq!(padded(other)?.decrypt(&row, &stored)?, "x");
    }
    for refused in [0, 4_097] {
        assert_eq!(padded(refused).unwrap_err().kind(), ErrorKind::Validation);
    }
    Ok(())
}

#[test]
fn a_blob_that_no_column_encrypted_is_rejected() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let column = Column::<String>::new(&ColumnKeys::new(&kms, key)?, "t", "c")?;
    let context = strongroom::EncryptionContext::from([("table", "t"), ("column", "c"), ("row", "1")]);
    let request = strongroom::request::EncryptRequest::new(key, b"by hand").context(&context);
    let blob = kms.encrypt(request)?.ciphertext_blob;
    let refused = column.decrypt(&RowId::new(1), &Encrypted::from_bytes([&[1][..], &blob].concat())?).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
    assert!(refused.to_string().contains("its padding is missing"), "{refused}");
    Ok(())
}

#[test]
fn settings_outside_their_range_are_rejected() -> TestResult {
    let (kms, key) = kms_with_key()?;
    let keys = ColumnKeys::new(&kms, key)?;
    let builder = || Column::<String>::builder(&keys, "t", "c");
    let second = std::time::Duration::from_secs(1);
    let long = "x".repeat(256);
    let refused = [
        Column::<String>::new(&keys, "", "c").map(drop),
        Column::<String>::new(&keys, "t", "").map(drop),
        Column::<String>::new(&keys, "t\n", "c").map(drop),
        Column::<String>::new(&keys, long, "c").map(drop),
        builder().cached_data_keys(std::time::Duration::ZERO).build().map(drop),
        builder().cached_data_keys(second).max_values_per_data_key(0).build().map(drop),
        builder().cached_data_keys(second).max_values_per_data_key((1 << 32) + 1).build().map(drop),
        builder().cache(&strongroom::envelope::DataKeyCache::default()).build().map(drop),
        builder().context("table", "other").build().map(drop),
        builder().context("row.7", "other").build().map(drop),
        builder().context("tenant", "acme").build().map(drop),
        builder().context("aws-crypto-public-key", "x").build().map(drop),
        builder().context("", "x").build().map(drop),
    ];
    for (number, result) in refused.into_iter().enumerate() {
        assert_eq!(result.expect_err("out of range").kind(), ErrorKind::Validation, "case {number}");
    }
    Ok(())
}
