//! Bounded reading and fallible writing of big-endian binary formats.
//!
//! Every format of the crate is parsed with [`Reader`] and written with [`Writer`]. Nothing is
//! allocated before its length is known to be present, nothing is truncated silently, and
//! [`Reader::finish`] rejects trailing bytes.

use crate::error::{Error, ErrorKind};

/// Reasons why bytes do not conform to a format. Offsets are relative to the first byte of the
/// reader's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The input ends inside a field.
    #[error("{field} is truncated: {needed} bytes are required, but only {available} are available")]
    Truncated {
        /// The truncated field.
        field: &'static str,
        /// The input length, in bytes, that this field requires.
        needed: usize,
        /// The actual input length in bytes.
        available: usize,
    },
    /// There are trailing bytes after the end of the format.
    #[error("{count} trailing bytes")]
    Trailing {
        /// The number of trailing bytes.
        count: usize,
    },
    /// A value is longer than its length field or the limit allows.
    #[error("{field} is too long: {length} bytes, but at most {limit} are allowed")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The length of the value in bytes.
        length: usize,
        /// The maximum length.
        limit: usize,
    },
    /// A field holds an invalid value.
    #[error("{field} has an invalid value")]
    Invalid {
        /// The field.
        field: &'static str,
    },
}

impl From<CodecError> for Error {
    fn from(error: CodecError) -> Self {
        match error {
            // The error usually concerns a value to be written: lengths read back were written by
            // this crate.
            CodecError::TooLong { field, .. } => Self::new(ErrorKind::Validation, format!("the {field} is too long")),
            _ => Self::new(ErrorKind::Internal, "a stored record is malformed"),
        }
        .with_source(error)
    }
}

/// Reads fields from the front of a byte slice.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Creates a reader at the first byte.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Returns the number of bytes read so far.
    pub(crate) const fn position(&self) -> usize {
        self.position
    }

    /// Returns the number of bytes left.
    pub(crate) const fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Reads `length` bytes.
    ///
    /// # Errors
    /// - [`CodecError::Truncated`] if fewer bytes are left. The position does not change.
    pub(crate) fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], CodecError> {
        let needed = self.position.saturating_add(length);
        let taken = self.bytes.get(self.position..needed).ok_or(CodecError::Truncated {
            field,
            needed,
            available: self.bytes.len(),
        })?;
        self.position = needed;
        Ok(taken)
    }

    /// Reads an array.
    ///
    /// # Errors
    /// - [`CodecError::Truncated`] if fewer than `N` bytes are left.
    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], CodecError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, field)?);
        Ok(array)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// - [`CodecError::Truncated`] if no bytes are left.
    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, CodecError> {
        Ok(u8::from_be_bytes(self.array(field)?))
    }

    /// Reads a 16-bit number.
    ///
    /// # Errors
    /// - [`CodecError::Truncated`] if fewer than 2 bytes are left.
    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, CodecError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    /// Reads a 32-bit number.
    ///
    /// # Errors
    /// - [`CodecError::Truncated`] if fewer than 4 bytes are left.
    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, CodecError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    /// Reads a 64-bit number.
    ///
    /// # Errors
    /// - [`CodecError::Truncated`] if fewer than 8 bytes are left.
    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, CodecError> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    /// Reads a 16-bit length and that many bytes.
    ///
    /// # Errors
    /// - [`CodecError::Truncated`] if the length or the bytes are incomplete.
    pub(crate) fn prefixed_u16(&mut self, field: &'static str) -> Result<&'a [u8], CodecError> {
        let length = self.u16(field)?;
        self.take(usize::from(length), field)
    }

    /// Reads a 32-bit length and that many bytes.
    ///
    /// # Errors
    /// - [`CodecError::TooLong`] if the length exceeds `limit`.
    /// - [`CodecError::Truncated`] if the length or the bytes are incomplete.
    pub(crate) fn prefixed_u32(&mut self, limit: usize, field: &'static str) -> Result<&'a [u8], CodecError> {
        let length = usize::try_from(self.u32(field)?).unwrap_or(usize::MAX);
        if length > limit {
            return Err(CodecError::TooLong { field, length, limit });
        }
        self.take(length, field)
    }

    /// Finishes parsing.
    ///
    /// # Errors
    /// - [`CodecError::Trailing`] if bytes are left.
    pub(crate) const fn finish(self) -> Result<(), CodecError> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(CodecError::Trailing { count }),
        }
    }
}

/// Appends fields to a byte vector.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Creates an empty writer with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Appends bytes without a length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Appends a 16-bit number.
    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a 32-bit number.
    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a 64-bit number.
    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a 16-bit length and the bytes.
    ///
    /// # Errors
    /// - [`CodecError::TooLong`] if there are more than 65,535 bytes. Nothing is appended.
    pub(crate) fn prefixed_u16(&mut self, bytes: &[u8], field: &'static str) -> Result<&mut Self, CodecError> {
        let length = u16::try_from(bytes.len()).map_err(|_| CodecError::TooLong {
            field,
            length: bytes.len(),
            limit: usize::from(u16::MAX),
        })?;
        Ok(self.u16(length).bytes(bytes))
    }

    /// Appends a 32-bit length and the bytes.
    ///
    /// # Errors
    /// - [`CodecError::TooLong`] if there are more than `limit` bytes. Nothing is appended.
    pub(crate) fn prefixed_u32(
        &mut self,
        bytes: &[u8],
        limit: usize,
        field: &'static str,
    ) -> Result<&mut Self, CodecError> {
        let too_long = CodecError::TooLong { field, length: bytes.len(), limit };
        if bytes.len() > limit {
            return Err(too_long);
        }
        let length = u32::try_from(bytes.len()).map_err(|_| too_long)?;
        Ok(self.u32(length).bytes(bytes))
    }

    /// Returns the bytes written so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the written bytes.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_that_is_too_long_is_no_malformed_record() {
        let too_long = CodecError::TooLong { field: "encryption context", length: 70_000, limit: 65_535 };
        let error = Error::from(too_long);
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Validation, "the encryption context is too long")
        );
        assert_eq!(Error::from(CodecError::Trailing { count: 1 }).kind(), ErrorKind::Internal);
    }

    #[test]
    fn a_field_that_does_not_fit_takes_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u8("a"), Ok(1));
        let refusal = Err(CodecError::Truncated { field: "b", needed: 5, available: 3 });
        assert_eq!(reader.u32("b"), refusal);
        assert_eq!(reader.u16("c"), Ok(0x0203));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn bytes_left_over_are_refused() {
        assert_eq!(Reader::new(&[0; 4]).finish(), Err(CodecError::Trailing { count: 4 }));
    }

    #[test]
    fn an_over_long_value_is_refused_and_not_truncated() {
        let mut writer = Writer::default();
        assert!(matches!(writer.prefixed_u16(&[0; 65_536], "x"), Err(CodecError::TooLong { length: 65_536, .. })));
        assert!(matches!(writer.prefixed_u32(&[0; 9], 8, "x"), Err(CodecError::TooLong { limit: 8, .. })));
        assert!(writer.as_bytes().is_empty());
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_the_bytes_are_there() {
        let refusal = Reader::new(&[0xFF; 4]).prefixed_u32(1024, "x");
        assert!(matches!(refusal, Err(CodecError::TooLong { limit: 1024, .. })));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u8, b: u16, c: u32, d: u64, e: Vec<u8>, f: Vec<u8>) {
            let mut writer = Writer::default();
            writer.u8(a).u16(b).u32(c).u64(d).prefixed_u16(&e, "e")?.prefixed_u32(&f, 1 << 20, "f")?;
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.u8("a")?, a);
            prop_assert_eq!(reader.u16("b")?, b);
            prop_assert_eq!(reader.u32("c")?, c);
            prop_assert_eq!(reader.u64("d")?, d);
            prop_assert_eq!(reader.prefixed_u16("e")?, &e[..]);
            prop_assert_eq!(reader.prefixed_u32(1 << 20, "f")?, &f[..]);
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn reading_is_total(bytes: Vec<u8>, steps: Vec<(u8, u16)>) {
            let mut reader = Reader::new(&bytes);
            for (kind, length) in steps {
                let before = reader.position();
                let taken = match kind % 7 {
                    0 => reader.u8("x").is_ok(),
                    1 => reader.u16("x").is_ok(),
                    2 => reader.u32("x").is_ok(),
                    3 => reader.u64("x").is_ok(),
                    4 => reader.take(usize::from(length), "x").is_ok(),
                    5 => reader.prefixed_u16("x").is_ok(),
                    _ => reader.prefixed_u32(usize::from(length), "x").is_ok(),
                };
                prop_assert!(reader.position() <= bytes.len());
                prop_assert!(taken || reader.position() >= before);
            }
        }
    }
}
