//! Transfer of keys between stores: keys with their material and all their properties, sealed for
//! one recipient.
//!
//! Files, lowest first: `error` contains the reasons why an export cannot be opened. `file` is the
//! format around the sealed part, and `payload` is the format of the keys in it. `recipient` and
//! `passphrase` are the kinds of recipients. `outgoing` and `incoming` are the operations.

pub(super) mod deletion_list;
mod deletion_list_file;
mod error;
mod file;
mod incoming;
mod outgoing;
#[cfg(feature = "passphrase")]
mod passphrase;
mod payload;
mod recipient;
mod test_key;

/// Parses the sealed part of an export and serializes it again. Returns `None` if parsing fails.
pub(in crate::kms) fn rewritten_payload(bytes: &[u8]) -> Option<Vec<u8>> {
    let keys = payload::decode(bytes).ok()?;
    let rewritten = payload::encode(&keys).expect("parsed values fit their length fields");
    Some(rewritten.expose_secret().to_vec())
}

pub use error::ExportError;
pub use file::MAX_EXPORT_BYTES;
pub use outgoing::KeyExport;
pub use recipient::{ExportIdentity, ExportRecipient};
