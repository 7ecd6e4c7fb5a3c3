//! A pool of pre-generated wrapping keys for imports. Generating an RSA key can take seconds.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::algorithm::WrappingKeySpec;
use crate::crypto::{CryptoBackend, PrivateKey};
use crate::error::Result;
use crate::fork_guard::ForkGuard;
use crate::lock::Mutex;
use crate::provider::public_key_kind;

/// Pre-generated keys of each size. No key is returned twice, not even by a forked child. Only
/// sizes that were requested before are pre-generated.
pub(in crate::kms) struct WrappingKeys {
    most: usize,
    pools: ArcSwap<ProcessPools>,
}

/// The pools of one process, one per size.
#[derive(Default)]
struct ProcessPools {
    fork_guard: ForkGuard,
    by_size: [Mutex<Pool>; WrappingKeySpec::ALL.len()],
}

#[derive(Default)]
struct Pool {
    is_requested: bool,
    ready: Vec<Box<dyn PrivateKey>>,
}

impl WrappingKeys {
    /// Creates empty pools of at most `most` keys each.
    pub(in crate::kms) fn new(most: usize) -> Self {
        Self { most, pools: ArcSwap::default() }
    }

    /// Returns a key that no other caller receives. It comes from the pool or, if that is empty, is
    /// generated now.
    pub(in crate::kms) fn take(&self, backend: &CryptoBackend, spec: WrappingKeySpec) -> Result<Box<dyn PrivateKey>> {
        let ready = self.with_pool(spec, |pool| {
            pool.is_requested = true;
            pool.ready.pop()
        });
        match ready {
            Some(key) => Ok(key),
            None => generate(backend, spec),
        }
    }

    /// Generates keys of previously requested sizes until the pools are full.
    pub(in crate::kms) fn refill(&self, backend: &CryptoBackend) -> Result<()> {
        for &spec in WrappingKeySpec::ALL {
            while self.with_pool(spec, |pool| pool.is_requested && pool.ready.len() < self.most) {
                let key = generate(backend, spec)?;
                self.with_pool(spec, |pool| pool.ready.push(key));
            }
        }
        Ok(())
    }

    /// Runs `access` on a pool while holding its lock. `access` must be fast.
    fn with_pool<T>(&self, spec: WrappingKeySpec, access: impl FnOnce(&mut Pool) -> T) -> T {
        let index = WrappingKeySpec::ALL.iter().position(|other| *other == spec).expect("all sizes are listed");
        // A thread that panicked left the pool usable.
        access(&mut self.pools().by_size[index].lock())
    }

    /// Returns the pools of the calling process. A forked child uses neither the keys nor the locks
    /// of its parent.
    fn pools(&self) -> Arc<ProcessPools> {
        let pools = self.pools.load_full();
        if pools.fork_guard.is_here() {
            return pools;
        }
        self.pools.compare_and_swap(&pools, Arc::default());
        std::mem::forget(pools);
        self.pools.load_full()
    }
}

impl fmt::Debug for WrappingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappingKeys").field("most", &self.most).finish_non_exhaustive()
    }
}

fn generate(backend: &CryptoBackend, spec: WrappingKeySpec) -> Result<Box<dyn PrivateKey>> {
    Ok(backend.key_pairs().generate(public_key_kind(spec), backend.random())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::FASTEST;

    fn ready(keys: &WrappingKeys, spec: WrappingKeySpec) -> usize {
        keys.with_pool(spec, |pool| pool.ready.len())
    }

    #[test]
    fn only_sizes_that_were_asked_for_are_made_ahead_and_each_key_is_given_out_once() -> Result<()> {
        let keys = WrappingKeys::new(2);
        keys.refill(&FASTEST)?;
        assert!(WrappingKeySpec::ALL.iter().all(|spec| ready(&keys, *spec) == 0));

        let spec = WrappingKeySpec::Rsa2048;
        let mut seen = vec![keys.take(&FASTEST, spec)?.public_key_der()];
        keys.refill(&FASTEST)?;
        assert_eq!(WrappingKeySpec::ALL.iter().map(|spec| ready(&keys, *spec)).collect::<Vec<_>>(), [2, 0, 0]);
        for left in [1, 0, 0] {
            seen.push(keys.take(&FASTEST, spec)?.public_key_der());
            assert_eq!(ready(&keys, spec), left);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 4);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_child_that_is_forked_gets_no_key_that_its_parent_has_prepared() -> Result<()> {
        let (keys, spec) = (WrappingKeys::new(1), WrappingKeySpec::Rsa2048);
        keys.take(&FASTEST, spec)?;
        keys.refill(&FASTEST)?;
        let prepared = keys.with_pool(spec, |pool| pool.ready[0].public_key_der());
        let child = || i32::from(keys.take(&FASTEST, spec).is_ok_and(|key| key.public_key_der() != prepared));
        let ended = strongroom_pkcs11_faults::in_child(std::panic::AssertUnwindSafe(child));
        assert_eq!(ended, 1, "the key stays the same");
        assert_eq!(keys.take(&FASTEST, spec)?.public_key_der(), prepared, "the parent still has the key");
        Ok(())
    }
}
