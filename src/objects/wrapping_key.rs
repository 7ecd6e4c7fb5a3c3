//! The keys that wrap the data key of an object, for the comparison of old and new objects.

use super::binding::wrapping_entries;
use crate::blob::BlobPrefix;
use crate::envelope::KMS_PROVIDER_ID;
use crate::message::{EncryptedDataKey, Header};

/// The end of the information of a raw AES key: tag length, IV length, and a random IV.
const RAW_AES_SUFFIX: [u8; 8] = [0, 0, 0, 128, 0, 0, 0, 12];

/// Keyrings whose entries name the public keys of two parties: a version byte, and the points of
/// recipient and sender, each after its length in 4 bytes.
const ECDH_PROVIDER_IDS: [&str; 2] = ["raw-ecdh", "aws-kms-ecdh"];

/// The position of the version of the key in the ciphertexts of a keyring: of a branch key, between IV
/// and data key, and of a key in Vault.
const VERSIONS: [(&str, std::ops::Range<usize>); 2] = [("aws-kms-hierarchy", 28..44), ("strongroom-vault", 0..4)];

/// The identity of a wrapping key, without what differs between its ciphertexts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrappingKey {
    provider_id: String,
    provider_info: Vec<u8>,
    /// The version of the key, if the ciphertext contains it.
    version: Option<Vec<u8>>,
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
fn version(entry: &EncryptedDataKey) -> Option<Vec<u8>> {
    if let Some((_, range)) = VERSIONS.iter().find(|(provider, _)| *provider == entry.provider_id()) {
        return entry.ciphertext().get(range.clone()).map(<[u8]>::to_vec);
    }
    let (prefix, _) = BlobPrefix::parse(entry.ciphertext()).ok()?;
    let key_id = uuid::Uuid::from_bytes(prefix.key_id).to_string();
    let is_own = entry.provider_id() == KMS_PROVIDER_ID && entry.provider_info().ends_with(key_id.as_bytes());
    is_own.then(|| prefix.key_version.to_be_bytes().to_vec())
}

impl WrappingKey {
    /// Returns `true` if the key is agreed between a recipient and a sender.
    pub(super) fn is_agreed(&self) -> bool {
        ECDH_PROVIDER_IDS.contains(&&*self.provider_id)
    }

    /// Removes the sender from the identity of an agreed key: it differs between messages if the
    /// sender has no static key pair.
    pub(super) fn forget_sender(&mut self) {
        let length = self.provider_info.get(1..5).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let end = length.and_then(|length| usize::try_from(length).ok()).and_then(|length| length.checked_add(5));
        if let Some(end) = end.filter(|_| self.is_agreed()) {
            self.provider_info.truncate(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(provider: &str, info: &[u8], ciphertext: &[u8]) -> WrappingKey {
        of_entry(&EncryptedDataKey::new(provider, info, ciphertext))
    }

    #[test]
    fn versions_in_ciphertexts_distinguish_keys_and_nothing_else_does() {
        for (provider, range) in VERSIONS {
            for position in 0..60 {
                let mut other = [7; 60];
                other[position] = 8;
                let is_equal = key(provider, b"a", &[7; 60]) == key(provider, b"a", &other);
                assert_eq!(is_equal, !range.contains(&position), "{provider} {position}");
            }
        }
        assert_eq!(key("other", b"a", &[7; 60]), key("other", b"a", &[8; 60]));
        assert_ne!(key("other", b"a", &[7; 60]), key("other", b"b", &[7; 60]));
    }

    #[test]
    fn an_agreed_key_without_its_sender_is_that_of_the_recipient() {
        let info = |recipient: &[u8], sender: &[u8]| {
            let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(0).to_be_bytes();
            [&[1], &length(recipient)[..], recipient, &length(sender), sender].concat()
        };
        let without_sender = |provider, recipient, sender| {
            let mut key = key(provider, &info(recipient, sender), b"wrapped");
            key.forget_sender();
            key
        };
        for provider in ECDH_PROVIDER_IDS {
            assert_eq!(without_sender(provider, &[2; 33], &[3; 33]), without_sender(provider, &[2; 33], &[4; 49]));
            assert_ne!(without_sender(provider, &[2; 33], &[3; 33]), without_sender(provider, &[5; 33], &[3; 33]));
        }
        assert_ne!(without_sender("other", &[2; 33], &[3; 33]), without_sender("other", &[2; 33], &[4; 33]));
        for length in 0..9 {
            let mut key = key("raw-ecdh", &[255; 9][..length], b"wrapped");
            key.forget_sender();
            assert_eq!(key.provider_info.len(), length, "no point has this length");
        }
    }
}
