//! The encryption context: non-secret name-value pairs that a ciphertext is bound to.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::codec::{CodecError, Reader, Writer};
use crate::error::{Error, ErrorKind};
use crate::text::sanitize_for_error;

/// The prefix of names that the AWS Encryption SDK reserves for itself.
pub const RESERVED_CONTEXT_PREFIX: &str = "aws-crypto-";

/// The maximum size of a serialized context in bytes, as limited by its 16-bit length field.
pub const MAX_CONTEXT_BYTES: usize = 65_535;

/// Name-value pairs that a ciphertext is bound to. They are authenticated but not encrypted, and
/// appear in plaintext in the audit trail.
///
/// Decryption requires the same pairs. Order does not matter; case does. Pairs are ordered by the
/// UTF-8 bytes of their names, which is the order of the canonical serialization (AWS Encryption
/// SDK specification, "Structures", encryption context).
///
/// With serde, a context is a map from names to values. Deserialization rejects a name that occurs
/// twice, a name that begins with [`RESERVED_CONTEXT_PREFIX`], and a context that is longer than
/// [`MAX_CONTEXT_BYTES`]. The context of a signed message contains a reserved name, so it can be
/// serialized, but not deserialized.
///
/// # Examples
/// ```
/// use strongroom::EncryptionContext;
///
/// let mut context = EncryptionContext::from([("tenant", "42"), ("purpose", "backup")]);
/// assert_eq!((context.get("tenant"), context.len()), (Some("42"), 2));
/// assert_eq!(context.insert("tenant", "43"), Some("42".to_owned()));
/// // Pairs are ordered by name, and the boundary between name and value counts.
/// assert!(context.iter().eq([("purpose", "backup"), ("tenant", "43")]));
/// assert_ne!(EncryptionContext::from([("a", "bc")]), EncryptionContext::from([("ab", "c")]));
/// assert_eq!(EncryptionContext::new().with("a", "b"), EncryptionContext::from([("a", "b")]));
/// assert!(EncryptionContext::new().is_empty());
///
/// let json = serde_json::to_string(&context)?;
/// assert_eq!(json, r#"{"purpose":"backup","tenant":"43"}"#);
/// assert_eq!(serde_json::from_str::<EncryptionContext>(&json)?, context);
/// assert!(serde_json::from_str::<EncryptionContext>(r#"{"tenant":"42","tenant":"43"}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// Creates an empty context.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a pair, replacing any existing value of the name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.insert(name, value);
        self
    }

    /// Adds a pair and returns the value that it replaced, if any.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Option<String> {
        self.0.insert(name.into(), value.into())
    }

    /// Returns the value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns all pairs, in ascending order of the UTF-8 bytes of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first name in `expected` that is missing here or has a different value.
    ///
    /// # Examples
    /// ```
    /// use strongroom::EncryptionContext;
    ///
    /// let context = EncryptionContext::from([("tenant", "42"), ("row", "7")]);
    /// let (same, other) = (EncryptionContext::from([("tenant", "42")]), EncryptionContext::from([("tenant", "43")]));
    /// assert_eq!(context.first_mismatch(&same), None); // additional pairs do not matter
    /// assert_eq!(context.first_mismatch(&other), Some("tenant"));
    /// ```
    pub fn first_mismatch<'a>(&self, expected: &'a Self) -> Option<&'a str> {
        expected.iter().find(|(name, value)| self.get(name) != Some(value)).map(|(name, _)| name)
    }

    /// Returns the canonical serialization. It is empty for the empty context. Otherwise it is
    /// `u16 count` followed by each pair, in order, as `u16 length ‖ name ‖ u16 length ‖ value`,
    /// big-endian.
    ///
    /// # Errors
    /// - [`CodecError::TooLong`] if a name, a value, or the whole serialization exceeds 65,535
    ///   bytes.
    ///
    /// # Examples
    /// ```
    /// use strongroom::EncryptionContext;
    ///
    /// let context = EncryptionContext::from([("a", "bc")]);
    /// assert_eq!(context.to_canonical_bytes()?, b"\x00\x01\x00\x01a\x00\x02bc");
    /// assert_eq!(EncryptionContext::from_bytes(b"\x00\x01\x00\x01a\x00\x02bc")?, context);
    /// assert!(EncryptionContext::new().to_canonical_bytes()?.is_empty());
    /// assert!(EncryptionContext::from([("a", "x".repeat(65_536))]).to_canonical_bytes().is_err());
    /// # Ok::<(), strongroom::CodecError>(())
    /// ```
    pub fn to_canonical_bytes(&self) -> Result<Vec<u8>, CodecError> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = Writer::with_capacity(self.checked_length()?);
        // A pair takes at least 4 of the 65,535 bytes, so the count fits and this error cannot
        // occur.
        let count = u16::try_from(self.len()).map_err(|_| CodecError::Invalid { field: "encryption context" })?;
        writer.u16(count);
        for (name, value) in self.iter() {
            writer.prefixed_u16(name.as_bytes(), "encryption context name")?;
            writer.prefixed_u16(value.as_bytes(), "encryption context value")?;
        }
        Ok(writer.into_bytes())
    }

    /// Returns the length of the canonical serialization of a context with pairs, in bytes.
    ///
    /// # Errors
    /// - [`CodecError::TooLong`] if it exceeds [`MAX_CONTEXT_BYTES`].
    pub(crate) fn checked_length(&self) -> Result<usize, CodecError> {
        let length = 2 + self.iter().map(|(name, value)| 4 + name.len() + value.len()).sum::<usize>();
        if length > MAX_CONTEXT_BYTES {
            return Err(CodecError::TooLong { field: "encryption context", length, limit: MAX_CONTEXT_BYTES });
        }
        Ok(length)
    }

    /// Parses a serialization. Pairs may be in any order.
    ///
    /// The empty context is either no bytes at all or a lone count of zero, which early writers
    /// produced.
    ///
    /// # Errors
    /// - [`CodecError::Truncated`] if a pair is incomplete.
    /// - [`CodecError::Trailing`] if bytes follow the pairs.
    /// - [`CodecError::Invalid`] if text is not UTF-8 or a name occurs twice.
    ///
    /// # Examples
    /// ```
    /// use strongroom::{CodecError, EncryptionContext};
    ///
    /// assert_eq!(EncryptionContext::from_bytes(b"")?, EncryptionContext::new());
    /// let twice = EncryptionContext::from_bytes(b"\x00\x02\x00\x01a\x00\x01b\x00\x01a\x00\x01c");
    /// assert!(matches!(twice, Err(CodecError::Invalid { .. })));
    /// # Ok::<(), CodecError>(())
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut context = Self::new();
        if bytes.is_empty() {
            return Ok(context);
        }
        let mut reader = Reader::new(bytes);
        for _ in 0..reader.u16("encryption context count")? {
            let name = text(reader.prefixed_u16("encryption context name")?, "encryption context name")?;
            let value = text(reader.prefixed_u16("encryption context value")?, "encryption context value")?;
            if context.insert(name, value).is_some() {
                return Err(CodecError::Invalid { field: "encryption context name (duplicate)" });
            }
        }
        reader.finish()?;
        Ok(context)
    }
}

/// Serializes a map, in ascending order of the names.
impl Serialize for EncryptionContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for EncryptionContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs)
    }
}

/// Deserializes a map from names to values.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = EncryptionContext;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an encryption context: a map from names to values, which are strings")
    }

    /// No error contains a value. Names may appear in errors.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EncryptionContext, A::Error> {
        let (mut context, mut length) = (EncryptionContext::new(), 2_usize);
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            length = length.saturating_add(4 + name.len() + value.len());
            if length > MAX_CONTEXT_BYTES {
                let text = format!("the encryption context is too long: it has more than {MAX_CONTEXT_BYTES} bytes");
                return Err(A::Error::custom(text));
            }
            let shown = sanitize_for_error(&name);
            if name.starts_with(RESERVED_CONTEXT_PREFIX) {
                let text = format!("the name '{shown}' is reserved: an encryption context cannot contain it");
                return Err(A::Error::custom(text));
            }
            if context.insert(name, value).is_some() {
                let text = format!("the name '{shown}' occurs twice in the encryption context");
                return Err(A::Error::custom(text));
            }
        }
        Ok(context)
    }
}

fn text<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, CodecError> {
    std::str::from_utf8(bytes).map_err(|_| CodecError::Invalid { field })
}

/// Returns the error for a context from a caller that is too long.
pub(crate) fn too_long(error: CodecError) -> Error {
    Error::new(ErrorKind::Validation, format!("the encryption context is too long: {error}"))
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for EncryptionContext {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for EncryptionContext {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<K: Into<String>, V: Into<String>> Extend<(K, V)> for EncryptionContext {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        self.0.extend(pairs.into_iter().map(|(name, value)| (name.into(), value.into())));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn serialization_is_that_of_the_worked_example() -> Result<(), CodecError> {
        let context = EncryptionContext::from([("b", "2"), ("a", "é")]);
        let bytes = context.to_canonical_bytes()?;
        assert_eq!(hex::encode(&bytes), "00020001610002c3a9000162000132");
        assert_eq!(EncryptionContext::from_bytes(&bytes)?, context);
        Ok(())
    }

    #[test]
    fn names_sort_by_utf8_bytes_and_not_by_utf16_units() -> Result<(), CodecError> {
        // U+FF61 sorts after U+10000 by UTF-16 code units, but before it by UTF-8 bytes.
        let bytes = EncryptionContext::from([("\u{10000}", ""), ("\u{FF61}", "")]).to_canonical_bytes()?;
        assert_eq!(hex::encode(bytes), "00020003efbda100000004f09080800000");
        Ok(())
    }

    #[test]
    fn both_forms_of_the_empty_context_are_read() {
        assert_eq!(EncryptionContext::from_bytes(&[]), Ok(EncryptionContext::new()));
        assert_eq!(EncryptionContext::from_bytes(&[0, 0]), Ok(EncryptionContext::new()));
        assert!(EncryptionContext::from_bytes(&[0, 0, 0]).is_err());
    }

    #[test]
    fn a_context_over_the_limit_is_refused() {
        let context = EncryptionContext::from([("a", "x".repeat(65_529))]);
        assert_eq!(
            context.to_canonical_bytes().map(|bytes| bytes.len()),
            Err(CodecError::TooLong { field: "encryption context", length: 65_536, limit: MAX_CONTEXT_BYTES })
        );
        assert!(EncryptionContext::from([("a", "x".repeat(65_528))]).to_canonical_bytes().is_ok());
    }

    #[test]
    fn first_mismatch_names_what_is_missing_or_different() {
        let context = EncryptionContext::from([("a", "1"), ("b", "2")]);
        assert_eq!(context.first_mismatch(&EncryptionContext::from([("a", "1")])), None);
        assert_eq!(context.first_mismatch(&EncryptionContext::from([("b", "3")])), Some("b"));
        assert_eq!(context.first_mismatch(&EncryptionContext::from([("c", "")])), Some("c"));
    }

    #[test]
    fn serde_accepts_exactly_the_contexts_that_a_caller_may_use() {
        let parse = |json: &str| serde_json::from_str::<EncryptionContext>(json).map_err(|error| error.to_string());
        assert_eq!(parse("{}"), Ok(EncryptionContext::new()));
        let longest = EncryptionContext::from([("a", "x".repeat(65_528))]);
        assert!(longest.to_canonical_bytes().is_ok());
        let json = serde_json::to_string(&longest).expect("a map");
        assert_eq!(parse(&json), Ok(longest));
        for (json, reason) in [
            (json.replacen('x', "xx", 1), "more than 65535 bytes"),
            (r#"{"aws-crypto-public-key": "secret"}"#.to_owned(), "'aws-crypto-public-key' is reserved"),
            (r#"{"aws-crypto-": "secret"}"#.to_owned(), "is reserved"),
            (r#"{"a": "secret", "b": "", "a": "secret"}"#.to_owned(), "'a' occurs twice"),
            (r#"[["a", "secret"]]"#.to_owned(), "a map from names to values"),
            (r#"{"a": 1}"#.to_owned(), "expected a string"),
            (r#"{"a": null}"#.to_owned(), "expected a string"),
        ] {
            let refused = parse(&json).expect_err(reason);
            assert!(refused.contains(reason) && !refused.contains("secret"), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn what_is_serialized_is_deserialized(pairs in prop::collection::btree_map(".{0,8}", ".{0,8}", 0..5)) {
            let context: EncryptionContext = pairs.into_iter().collect();
            let json = serde_json::to_string(&context).expect("a map");
            prop_assert_eq!(serde_json::from_str::<EncryptionContext>(&json).ok(), Some(context));
        }

        #[test]
        fn what_is_written_is_read(pairs in prop::collection::btree_map(".{0,8}", ".{0,8}", 0..5)) {
            let context: EncryptionContext = pairs.into_iter().collect();
            prop_assert_eq!(EncryptionContext::from_bytes(&context.to_canonical_bytes()?)?, context);
        }

        #[test]
        fn reading_is_total(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(context) = EncryptionContext::from_bytes(&bytes) {
                prop_assert!(context.to_canonical_bytes()?.len() <= bytes.len());
            }
        }
    }
}
