//! Keys on their way from one store to another: with their material, sealed for one recipient, and all that belongs to them.
//!
//! Files, lowest first: `error` says why an export does not open; `file` is the format around the sealed part and `payload`
//! the keys in it; `recipient` and `passphrase` are who it can be for; `outgoing` and `incoming` are the operations.

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

/// Reads the sealed part of an export and writes it again; `None` if it is refused.
pub(in crate::kms) fn rewritten_payload(bytes: &[u8]) -> Option<Vec<u8>> {
    let keys = payload::decode(bytes).ok()?;
    let rewritten = payload::encode(&keys).expect("what was read fits its length fields");
    Some(rewritten.expose_secret().to_vec())
}

pub use error::ExportError;
pub use file::MAX_EXPORT_BYTES;
pub use outgoing::KeyExport;
pub use recipient::{ExportIdentity, ExportRecipient};
