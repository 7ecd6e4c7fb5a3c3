//! How many messages were encrypted under a key in an HSM.
//!
//! Its ciphertexts carry initialisation vectors of 96 bits that are drawn at random, by us or by the token. After 2^32
//! of them under one key a repetition is no longer improbable enough (NIST SP 800-38D, section 8.3), so the version of
//! the key refuses to encrypt more. Messages are counted in blocks that are written down before they are used: a process
//! that dies only skips numbers, and a child of `fork` starts a block of its own.
//!
//! A store that was restored or copied does not know how many messages the original has counted since. So each count carries
//! the tag of the store's instance, and a store with another tag first raises the count by [`MARGIN`].

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::edit::Edit;
use super::registry::Registry;
use super::retry::{commit_with_retry, retriable};
use super::sealed::only_prepared;
use crate::error::{Error, ErrorKind, Result};
use crate::fork_guard::ForkGuard;
use crate::identity::AccountId;
use crate::key::{KeyId, KeyVersion};
use crate::kms::records::message_count::MessageCount;
use crate::lock::{Mutex, MutexGuard};
use crate::store::RecordId;

/// The most messages under one version of a key.
pub(in crate::kms) const MAX_MESSAGES: u64 = 1 << 32;

/// By how much a count is raised when the store was restored, copied or moved: messages that the original may have made
/// since.
pub(in crate::kms) const MARGIN: u64 = 1 << 26;

/// Tells the instance of a store from its copies.
type Tag = [u8; 16];

/// The first block of a process is small, so that many short-lived processes do not use a key up; each one after it is
/// twice as large, up to the second number, so that a busy one seldom waits for the store.
const BLOCKS: (u64, u64) = (256, 65_536);

/// A version of a key.
type Version = (AccountId, KeyId, KeyVersion);

/// The blocks that this process counts in.
#[derive(Debug, Default)]
pub(in crate::kms) struct MessageCounts(ArcSwap<Blocks>);

/// The blocks of one process.
#[derive(Debug, Default)]
struct Blocks {
    fork_guard: ForkGuard,
    map: Mutex<HashMap<Version, Arc<Mutex<Block>>>>,
}

/// Numbers that belong to this process.
#[derive(Debug)]
struct Block {
    left: u64,
    next_length: u64,
}

impl Default for Block {
    fn default() -> Self {
        Self { left: 0, next_length: BLOCKS.0 }
    }
}

impl MessageCounts {
    /// Counts one message that is about to be made.
    ///
    /// # Errors
    /// [`LimitExceeded`](ErrorKind::LimitExceeded) if the version has made all that it may;
    /// [`Store`](ErrorKind::Store) if a block cannot be written down.
    pub(in crate::kms) fn count(
        &self,
        registry: &Registry,
        account: AccountId,
        key_id: KeyId,
        version: KeyVersion,
        tag: impl FnOnce() -> Result<Tag>,
    ) -> Result<()> {
        let block = Arc::clone(lock(&self.blocks().map).entry((account, key_id, version)).or_default());
        let mut block = lock(&block);
        if block.left == 0 {
            block.left =
                reserve(registry, &MessageCount::record_id(account, key_id, version), block.next_length, tag()?)?;
            block.next_length = (block.next_length * 2).min(BLOCKS.1);
        }
        block.left -= 1;
        Ok(())
    }

    /// The blocks of the process that calls. Those of its parent are left alone, with their locks, which threads may hold that
    /// this process does not have.
    fn blocks(&self) -> Arc<Blocks> {
        let blocks = self.0.load_full();
        if blocks.fork_guard.is_here() {
            return blocks;
        }
        self.0.compare_and_swap(&blocks, Arc::default());
        std::mem::forget(blocks);
        self.0.load_full()
    }
}

/// Writes down that a block of at most `length` numbers is taken, and returns how many it has.
fn reserve(registry: &Registry, id: &RecordId, length: u64, tag: Tag) -> Result<u64> {
    commit_with_retry(contended, || {
        let (expected, taken) = match registry.read(id)? {
            Some((revision, MessageCount { taken, tag: Some(other) })) if other != tag => {
                (Some(revision), taken.saturating_add(MARGIN))
            }
            Some((revision, MessageCount { taken, .. })) => (Some(revision), taken),
            None => (None, 0),
        };
        let granted = length.min(MAX_MESSAGES.saturating_sub(taken));
        if granted == 0 {
            let text = format!("the key has encrypted {MAX_MESSAGES} messages in its HSM: make another one");
            return Err(Error::new(ErrorKind::LimitExceeded, text));
        }
        let put = Edit::put(id.clone(), &MessageCount { taken: taken + granted, tag: Some(tag) }, expected)?;
        let committed = retriable(registry.commit(&[put])).map_err(only_prepared)?;
        Ok(committed.map(|_| granted))
    })
}

fn contended<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Conflict, "other processes kept taking numbers of the same key first"))
}

/// The write that forgets the count of a key that is deleted.
pub(in crate::kms) fn forget(
    registry: &Registry,
    account: AccountId,
    key_id: KeyId,
    version: KeyVersion,
) -> Result<Option<Edit>> {
    let id = MessageCount::record_id(account, key_id, version);
    Ok(registry.revision_of(&id)?.map(|expected| Edit::delete(id, expected)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Numbers that a thread took before it panicked are skipped, which is what a crash does too.
    mutex.lock()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::FASTEST;
    use crate::identity::Locality;
    use crate::key::ClusterId;
    use crate::kms::{
        CreateCustomKeyStoreRequest, CreateKeyRequest, EncryptRequest, GenerateDataKeyRequest, Kms, ReEncryptRequest,
    };
    use crate::provider::MemoryCluster;
    use crate::seal::RootKey;
    use crate::secret::SecretBytes;
    use crate::store::MemoryStore;

    const ACCOUNT: fn() -> AccountId = AccountId::default;

    fn registry() -> Result<Registry> {
        let store = Arc::new(MemoryStore::new(&FASTEST)?);
        Registry::new((store, RootKey::from_bytes(&[7; 32])), None, &FASTEST, Locality::default(), 16)
    }

    fn key() -> KeyId {
        KeyId::from_random_bytes([1; 16])
    }

    fn tag() -> Result<Tag> {
        Ok([1; 16])
    }

    fn taken(registry: &Registry) -> Result<u64> {
        let found = registry.read::<MessageCount>(&MessageCount::record_id(ACCOUNT(), key(), KeyVersion::FIRST))?;
        Ok(found.map_or(0, |(_, count)| count.taken))
    }

    fn set_taken(registry: &Registry, taken: u64) -> Result<()> {
        let id = MessageCount::record_id(ACCOUNT(), key(), KeyVersion::FIRST);
        let expected = registry.revision_of(&id)?;
        registry.commit(&[Edit::put(id, &MessageCount { taken, tag: Some([1; 16]) }, expected)?])?;
        Ok(())
    }

    #[test]
    fn a_block_is_written_down_before_its_first_number_is_used() -> Result<()> {
        let (registry, counts) = (registry()?, MessageCounts::default());
        for message in 1..=300_u64 {
            counts.count(&registry, ACCOUNT(), key(), KeyVersion::FIRST, tag)?;
            assert!(taken(&registry)? >= message, "{message}");
        }
        assert_eq!(taken(&registry)?, 256 + 512);
        Ok(())
    }

    #[test]
    fn another_process_starts_behind_the_block_of_the_first() -> Result<()> {
        let registry = registry()?;
        for process in 1..=3_u64 {
            MessageCounts::default().count(&registry, ACCOUNT(), key(), KeyVersion::FIRST, tag)?;
            assert_eq!(taken(&registry)?, 256 * process);
        }
        Ok(())
    }

    #[test]
    fn the_last_number_is_given_out_and_none_after_it() -> Result<()> {
        let (registry, counts) = (registry()?, MessageCounts::default());
        set_taken(&registry, MAX_MESSAGES - 2)?;
        for _ in 0..2 {
            counts.count(&registry, ACCOUNT(), key(), KeyVersion::FIRST, tag)?;
        }
        for counts in [&counts, &MessageCounts::default()] {
            let refused = counts.count(&registry, ACCOUNT(), key(), KeyVersion::FIRST, tag).expect_err("all are used");
            assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
        }
        assert_eq!(taken(&registry)?, MAX_MESSAGES);
        Ok(())
    }

    #[test]
    fn threads_and_processes_never_share_a_number() -> Result<()> {
        let registry = registry()?;
        let processes = [MessageCounts::default(), MessageCounts::default()];
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (registry, counts) = (&registry, &processes[thread % 2]);
                scope.spawn(move || {
                    for _ in 0..500 {
                        counts.count(registry, ACCOUNT(), key(), KeyVersion::FIRST, tag).expect("there are enough");
                    }
                });
            }
        });
        let left: u64 = processes
            .iter()
            .map(|process| lock(&process.blocks().map).values().map(|block| lock(block).left).sum::<u64>())
            .sum();
        assert_eq!(taken(&registry)? - left, 8 * 500, "every number that was taken was used once");
        Ok(())
    }

    #[test]
    fn a_store_of_another_tag_raises_the_count_once_and_what_has_no_tag_is_taken_over() -> Result<()> {
        let registry = registry()?;
        let id = MessageCount::record_id(ACCOUNT(), key(), KeyVersion::FIRST);
        let old = MessageCount { taken: 1_000, tag: None };
        registry.commit(&[Edit::put(id, &old, None)?])?;
        MessageCounts::default().count(&registry, ACCOUNT(), key(), KeyVersion::FIRST, tag)?;
        assert_eq!(taken(&registry)?, 1_000 + 256);
        for process in 2..4 {
            MessageCounts::default().count(&registry, ACCOUNT(), key(), KeyVersion::FIRST, || Ok([2; 16]))?;
            assert_eq!(taken(&registry)?, 1_000 + MARGIN + 256 * process, "once");
        }
        set_taken(&registry, MAX_MESSAGES - MARGIN)?;
        let refused = MessageCounts::default().count(&registry, ACCOUNT(), key(), KeyVersion::FIRST, || Ok([2; 16]));
        assert_eq!(refused.expect_err("it may have made all").kind(), ErrorKind::LimitExceeded);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_child_that_is_forked_counts_in_a_block_of_its_own() -> Result<()> {
        let (registry, counts) = (registry()?, MessageCounts::default());
        counts.count(&registry, ACCOUNT(), key(), KeyVersion::FIRST, tag)?;
        // Whatever the parent holds at that moment, it does not hold up the child.
        let blocks = counts.blocks();
        let _held = lock(&blocks.map);
        let child = || {
            let counted = counts.count(&registry, ACCOUNT(), key(), KeyVersion::FIRST, tag);
            i32::from(counted.and_then(|()| taken(&registry)).is_ok_and(|taken| taken == 2 * 256))
        };
        let ended = strongroom_pkcs11_faults::in_child(std::panic::AssertUnwindSafe(child));
        assert_eq!(ended, 1, "it has used a number of its parent");
        Ok(())
    }

    /// A KMS with a key in a cluster.
    fn kms_with_key() -> Result<(Kms, KeyId)> {
        let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
        let vault = ClusterId::parse("vault")?;
        let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
        let password = SecretBytes::copy_from_slice(b"kmsPswd1");
        let request = CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password);
        let store = kms.create_custom_key_store(request)?;
        kms.connect_custom_key_store(store)?;
        let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id();
        Ok((kms, key))
    }

    #[test]
    fn every_way_to_encrypt_in_a_cluster_counts_and_is_refused_when_all_numbers_are_used() -> Result<()> {
        type Way = fn(&Kms, KeyId) -> Result<()>;
        let ways: [Way; 4] = [
            |kms, key| kms.encrypt(EncryptRequest::new(key, b"text")).map(drop),
            |kms, key| kms.generate_data_key(GenerateDataKeyRequest::new(key)).map(drop),
            |kms, key| kms.generate_data_key_without_plaintext(GenerateDataKeyRequest::new(key)).map(drop),
            |kms, key| {
                let other = kms.create_key(CreateKeyRequest::default())?.key_id();
                let blob = kms.encrypt(EncryptRequest::new(other, b"text"))?.ciphertext_blob;
                kms.re_encrypt(ReEncryptRequest::new(&blob, key)).map(drop)
            },
        ];
        for (number, way) in ways.into_iter().enumerate() {
            let (kms, key) = kms_with_key()?;
            let (registry, id) = (&kms.core.registry, MessageCount::record_id(ACCOUNT(), key, KeyVersion::FIRST));
            let expected = registry.revision_of(&id)?;
            let count = MessageCount { taken: MAX_MESSAGES - 1, tag: Some(kms.core.copy_guard().instance_tag()?) };
            registry.commit(&[Edit::put(id.clone(), &count, expected)?])?;
            way(&kms, key)?;
            let refused = way(&kms, key).expect_err("the last number is used");
            assert_eq!(refused.kind(), ErrorKind::LimitExceeded, "way {number}: {refused}");
        }
        Ok(())
    }
}
