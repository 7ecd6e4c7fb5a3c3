//! Parsing of stored values.

use proptest::prelude::*;

use super::*;

/// A blob in software with a plaintext of one byte.
fn blob() -> Vec<u8> {
    let prefix = BlobPrefix { scheme: crate::blob::Scheme::Committing, key_id: [7; 16], key_version: 3 };
    [&prefix.to_bytes()[..], &[0; OVERHEAD + 1]].concat()
}

fn with_data_key(wrapped: &[u8], body: usize) -> Vec<u8> {
    let length = u16::try_from(wrapped.len()).expect("a short blob");
    [&[DATA_KEY][..], &length.to_be_bytes(), wrapped, &vec![0; body]].concat()
}

fn parse(bytes: Vec<u8>) -> Result<Encrypted<String>, StoredValueError> {
    let by_slice = Encrypted::<String>::try_from(&bytes[..]);
    let by_vector = Encrypted::from_bytes(bytes);
    assert_eq!(by_slice, by_vector);
    by_vector
}

#[test]
fn both_formats_show_their_key() -> Result<(), StoredValueError> {
    for (format, bytes) in [(1, [&[BLOB][..], &blob()].concat()), (2, with_data_key(&blob(), OVERHEAD + 1))] {
        let value = parse(bytes)?;
        assert_eq!((value.format(), value.key_id(), value.key_version()), (format, KeyId::from_bytes([7; 16]), 3));
    }
    Ok(())
}

#[test]
fn malformed_values_are_rejected_with_the_reason() {
    let whole = with_data_key(&blob(), OVERHEAD + 1);
    let needed = whole.len();
    for (bytes, reason) in [
        (vec![], StoredValueError::Empty),
        (vec![0], StoredValueError::Format { format: 0 }),
        (vec![3, 1, 2], StoredValueError::Format { format: 3 }),
        (vec![b' '], StoredValueError::NotEncrypted),
        (vec![0xFF], StoredValueError::NotEncrypted),
        (vec![1], StoredValueError::Blob(BlobError::TooShort { length: 0, needed: 22 })),
        (vec![2], StoredValueError::Truncated { length: 1, needed: 3 }),
        (vec![2, 0], StoredValueError::Truncated { length: 2, needed: 3 }),
        (whole[..needed - 1].to_vec(), StoredValueError::Truncated { length: needed - 1, needed }),
        (with_data_key(&[], OVERHEAD + 1), StoredValueError::Blob(BlobError::TooShort { length: 0, needed: 22 })),
        (with_data_key(&[0xFF; 100], OVERHEAD + 1), StoredValueError::Blob(BlobError::Version { version: 0xFF })),
    ] {
        assert_eq!(parse(bytes), Err(reason));
        let error = Error::from(reason);
        assert_eq!((error.kind(), error.downcast_ref()), (ErrorKind::InvalidCiphertext, Some(&reason)));
        assert!(error.to_string().starts_with(&format!("the bytes are not an encrypted value: {reason}")));
    }
    let error = Error::from(StoredValueError::Blob(BlobError::Version { version: 0xFF }));
    assert!(error.to_string().ends_with("its blob is malformed: its version is 255, but only version 1 is supported"));
    assert!(std::error::Error::source(&error).is_none(), "the text is complete");
}

#[test]
fn lengths_are_limited() {
    let longest = OVERHEAD + MAX_VALUE_BYTES;
    assert!(parse(with_data_key(&blob(), longest)).is_ok());
    assert_eq!(
        parse(with_data_key(&blob(), longest + 1)),
        Err(StoredValueError::TooLong { length: longest + 1, limit: longest })
    );
    let huge = MAX_STORED_BYTES + 1;
    assert_eq!(parse(vec![2; huge]), Err(StoredValueError::TooLong { length: huge, limit: MAX_STORED_BYTES }));
    let text = serde_json::to_string(&"A".repeat(MAX_STORED_BYTES / 3 * 4 + 8)).expect("text");
    assert!(serde_json::from_str::<Encrypted<String>>(&text).is_err_and(|error| error.to_string().contains("at most")));
}

#[test]
fn debug_output_contains_no_byte_of_the_value() -> Result<(), StoredValueError> {
    let value = parse([&[BLOB][..], &blob()].concat())?;
    let shown = format!("{value:?}");
    assert!(shown.starts_with("Encrypted { format: 1, key_id: ") && shown.ends_with(", length: 96 }"), "{shown}");
    Ok(())
}

#[test]
fn json_is_base64_and_everything_else_is_rejected() -> Result<(), Box<dyn std::error::Error>> {
    let value = parse([&[BLOB][..], &blob()].concat())?;
    let json = serde_json::to_string(&value)?;
    assert_eq!(json, format!("\"{}\"", Base64::encode_string(value.as_bytes())));
    assert_eq!(serde_json::from_str::<Encrypted<String>>(&json)?, value);
    let option: Option<Encrypted<String>> = serde_json::from_str("null")?;
    assert!(option.is_none());
    for (json, reason) in [
        ("\"AQ\"", "not Base64"),
        ("\"\"", "no bytes"),
        ("\"AQEA\"", "its blob is malformed: it has 2 bytes"),
        ("null", "invalid type"),
        ("17", "invalid type"),
    ] {
        let refused = serde_json::from_str::<Encrypted<String>>(json).expect_err("no stored value").to_string();
        assert!(refused.contains(reason), "{json}: {refused}");
    }
    Ok(())
}

#[test]
fn bytes_of_binary_formats_are_accepted() -> Result<(), Box<dyn std::error::Error>> {
    use serde::de::IntoDeserializer;
    use serde::de::value::{BytesDeserializer, Error, SeqDeserializer};

    /// Hides that a deserializer is for people.
    struct Binary<D>(D);

    impl<'de, D: Deserializer<'de>> Deserializer<'de> for Binary<D> {
        type Error = D::Error;

        fn is_human_readable(&self) -> bool {
            false
        }

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.deserialize_any(visitor)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }

    let value = parse([&[BLOB][..], &blob()].concat())?;
    let bytes = BytesDeserializer::<Error>::new(value.as_bytes());
    assert_eq!(Encrypted::deserialize(Binary(bytes))?, value);
    let numbers: SeqDeserializer<_, Error> = value.as_bytes().to_vec().into_deserializer();
    assert_eq!(Encrypted::deserialize(Binary(numbers))?, value);
    Ok(())
}

proptest! {
    #[test]
    fn parsing_is_total(mut bytes in prop::collection::vec(any::<u8>(), 0..400), first in 0_u8..4) {
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        if let Ok(value) = parse(bytes.clone()) {
            prop_assert_eq!(value.into_bytes(), bytes);
        }
    }

    #[test]
    fn every_truncation_is_rejected_or_another_value(cut in 0_usize..300, body in 1_usize..100) {
        let whole = with_data_key(&blob(), OVERHEAD + body);
        let cut = cut.min(whole.len() - 1);
        let short = parse(whole[..cut].to_vec());
        prop_assert_eq!(short.is_ok(), cut > whole.len() - body);
    }
}
