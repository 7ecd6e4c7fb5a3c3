//! The keys that wrap the data key of an object, for the comparison of old and new objects.

use super::binding::wrapping_entries;
use crate::blob::BlobPrefix;
use crate::envelope::KMS_PROVIDER_ID;
use crate::message::{EncryptedDataKey, Header};

/// The end of the information of a raw AES key: tag length, IV length, and a random IV.
const RAW_AES_SUFFIX: [u8; 8] = [0, 0, 0, 128, 0, 0, 0, 12];

/// The identity of a wrapping key, without what differs between its ciphertexts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrappingKey {
    provider_id: String,
    provider_info: Vec<u8>,
    /// The version of the key, in a ciphertext of this crate's KMS.
    version: Option<u32>,
}

/// Returns the keys that wrap the data key, in the order of the header.
pub(super) fn of_header(header: &Header) -> Vec<WrappingKey> {
    wrapping_entries(header).map(of_entry).collect()
}

fn of_entry(entry: &EncryptedDataKey) -> WrappingKey {
    let info = entry.provider_info();
    let raw_aes = info.len().checked_sub(20).filter(|start| info[*start..].starts_with(&RAW_AES_SUFFIX));
    WrappingKey {
        provider_id: entry.provider_id().to_owned(),
        provider_info: raw_aes.map_or(info, |start| &info[..start]).to_vec(),
        version: version(entry),
    }
}

/// Returns the version of the key, unless the ciphertext is of another service: the ARN then identifies
/// the key alone.
fn version(entry: &EncryptedDataKey) -> Option<u32> {
    let (prefix, _) = BlobPrefix::parse(entry.ciphertext()).ok()?;
    let key_id = uuid::Uuid::from_bytes(prefix.key_id).to_string();
    let is_own = entry.provider_id() == KMS_PROVIDER_ID && entry.provider_info().ends_with(key_id.as_bytes());
    is_own.then_some(prefix.key_version)
}
