//! Codecs for fields that many records share.
//!
//! Numbers are big-endian. A time is an `i64` of milliseconds since 1970. A text carries a 16-bit
//! length. An optional field is preceded by a byte 0 or 1, and a flag is such a byte alone. A list
//! carries a 16-bit count. The first byte of a record is the version of its layout.

use crate::clock::Timestamp;
use crate::codec::{CodecError, Reader, Writer};
use crate::error::Result;
use crate::identity::AccountId;

/// The layout version of all records except [`MessageCount`](super::message_count::MessageCount).
pub(in crate::kms) const LAYOUT: u8 = 1;

/// Length of an account number in bytes.
pub(in crate::kms) const ACCOUNT_LENGTH: usize = 12;

pub(in crate::kms) fn check_layout(reader: &mut Reader<'_>) -> Result<(), CodecError> {
    match reader.u8("record layout")? {
        LAYOUT => Ok(()),
        _ => Err(CodecError::Invalid { field: "record layout" }),
    }
}

pub(in crate::kms) fn put_timestamp(writer: &mut Writer, time: Timestamp) {
    writer.bytes(&time.unix_millis().to_be_bytes());
}

pub(in crate::kms) fn timestamp(reader: &mut Reader<'_>) -> Result<Timestamp, CodecError> {
    Ok(Timestamp::from_unix_millis(i64::from_be_bytes(reader.array("time")?)))
}

pub(in crate::kms) fn put_text(writer: &mut Writer, text: &str, field: &'static str) -> Result<(), CodecError> {
    writer.prefixed_u16(text.as_bytes(), field).map(drop)
}

pub(in crate::kms) fn text<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<&'a str, CodecError> {
    utf8(reader.prefixed_u16(field)?, field)
}

/// Checks that the bytes are valid UTF-8.
pub(in crate::kms) fn utf8<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, CodecError> {
    std::str::from_utf8(bytes).map_err(|_| CodecError::Invalid { field })
}

/// Reads the digits of an account number, which carry no length prefix.
pub(in crate::kms) fn account(reader: &mut Reader<'_>) -> Result<AccountId> {
    AccountId::parse(utf8(reader.take(ACCOUNT_LENGTH, "account")?, "account")?)
}

pub(in crate::kms) fn put_flag(writer: &mut Writer, flag: bool) {
    writer.u8(u8::from(flag));
}

pub(in crate::kms) fn flag(reader: &mut Reader<'_>) -> Result<bool, CodecError> {
    match reader.u8("presence")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CodecError::Invalid { field: "presence" }),
    }
}

pub(in crate::kms) fn put_optional<T>(
    writer: &mut Writer,
    value: Option<T>,
    put: impl FnOnce(&mut Writer, T) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    put_flag(writer, value.is_some());
    value.map_or(Ok(()), |value| put(writer, value))
}

pub(in crate::kms) fn optional<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T>,
) -> Result<Option<T>> {
    if flag(reader)? { read(reader).map(Some) } else { Ok(None) }
}

pub(in crate::kms) fn put_count(writer: &mut Writer, length: usize, field: &'static str) -> Result<(), CodecError> {
    let too_long = CodecError::TooLong { field, length, limit: usize::from(u16::MAX) };
    writer.u16(u16::try_from(length).map_err(|_| too_long)?);
    Ok(())
}

/// Checks that a list is in strictly ascending order, so that each record has exactly one encoding.
pub(in crate::kms) fn check_order<T: PartialOrd>(
    last: Option<T>,
    next: T,
    field: &'static str,
) -> Result<(), CodecError> {
    if last.is_none_or(|last| last < next) { Ok(()) } else { Err(CodecError::Invalid { field }) }
}
