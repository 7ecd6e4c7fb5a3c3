//! Stored values of a column are parsed without panics, and open only unchanged and in their place.
//!
//! Input: a byte that chooses the form of a value, modifications of it, and a row. Without valid
//! modifications, the input itself is a stored value.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use strongroom::columns::{Column, ColumnKeys, Encrypted, RowId};
use strongroom::{Kms, Result as KmsResult};
use strongroom_fuzz::{Edit, backend};

#[derive(Arbitrary, Debug)]
struct Case {
    cached: bool,
    edits: Vec<Edit>,
    plaintext: Vec<u8>,
    row: u8,
    other_row: u8,
}

/// The same column with blobs, and with cached data keys.
static COLUMNS: LazyLock<[Column<Vec<u8>>; 2]> = LazyLock::new(|| make().expect("a KMS in memory"));

fn make() -> KmsResult<[Column<Vec<u8>>; 2]> {
    let kms = Kms::builder().backend(backend()).build()?;
    let keys = ColumnKeys::new(&kms, kms.create_key(Default::default())?.key_id())?;
    let builder = || Column::builder(&keys, "t", "c").backend(backend());
    Ok([builder().build()?, builder().cached_data_keys(Duration::from_secs(1 << 20)).build()?])
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = Encrypted::<Vec<u8>>::try_from(bytes) {
        assert_eq!(value.as_bytes(), bytes);
        assert!(matches!(value.format(), 1 | 2));
        assert!(COLUMNS[0].decrypt(&RowId::new(1), &value).is_err(), "a value that was never encrypted opens");
    }
    if let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(bytes)) {
        tampered(&case);
    }
});

fn tampered(case: &Case) {
    let (writer, reader) = (&COLUMNS[usize::from(case.cached)], &COLUMNS[usize::from(!case.cached)]);
    let (row, other) = (RowId::new(case.row), RowId::new(case.other_row));
    let sealed = writer.encrypt(&row, &case.plaintext).expect("short enough").into_bytes();
    let mut received = sealed.clone();
    case.edits.iter().for_each(|edit| edit.apply(&mut received));
    let Ok(value) = Encrypted::from_bytes(received) else { return };
    match reader.decrypt(&row, &value) {
        Ok(plaintext) => assert!(value.as_bytes() == sealed && plaintext == case.plaintext, "a tampered value opens"),
        Err(_) => assert_ne!(value.as_bytes(), sealed),
    }
    assert_eq!(reader.decrypt(&other, &value).is_ok(), value.as_bytes() == sealed && case.row == case.other_row);
}
