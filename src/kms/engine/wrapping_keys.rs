//! Wrapping keys that were made ahead of time, as an RSA key takes up to seconds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::algorithm::WrappingKeySpec;
use crate::birthplace::Birthplace;
use crate::crypto::{CryptoBackend, PrivateKey};
use crate::error::Result;
use crate::provider::public_key_kind;

/// Keys of each size, of which none is given out twice, not by a child that was forked either. Only sizes that somebody asked for
/// are kept ready.
pub(in crate::kms) struct WrappingKeys {
    most: usize,
    shelves: ArcSwap<Shelves>,
}

/// The keys of one process.
#[derive(Default)]
struct Shelves {
    birthplace: Birthplace,
    of_sizes: [Mutex<Shelf>; WrappingKeySpec::ALL.len()],
}

#[derive(Default)]
struct Shelf {
    is_wanted: bool,
    ready: Vec<Box<dyn PrivateKey>>,
}

impl WrappingKeys {
    /// None yet, and at most so many of each size.
    pub(in crate::kms) fn new(most: usize) -> Self {
        Self { most, shelves: ArcSwap::default() }
    }

    /// A key that nobody else gets: from the shelf or, if it is empty, made now.
    pub(in crate::kms) fn take(&self, backend: &CryptoBackend, spec: WrappingKeySpec) -> Result<Box<dyn PrivateKey>> {
        let ready = self.with_shelf(spec, |shelf| {
            shelf.is_wanted = true;
            shelf.ready.pop()
        });
        match ready {
            Some(key) => Ok(key),
            None => make(backend, spec),
        }
    }

    /// Makes keys of the sizes that were asked for until there are enough.
    pub(in crate::kms) fn refill(&self, backend: &CryptoBackend) -> Result<()> {
        for &spec in WrappingKeySpec::ALL {
            while self.with_shelf(spec, |shelf| shelf.is_wanted && shelf.ready.len() < self.most) {
                let key = make(backend, spec)?;
                self.with_shelf(spec, |shelf| shelf.ready.push(key));
            }
        }
        Ok(())
    }

    /// Looks at a shelf; nothing slow is done meanwhile.
    fn with_shelf<T>(&self, spec: WrappingKeySpec, look: impl FnOnce(&mut Shelf) -> T) -> T {
        let place = WrappingKeySpec::ALL.iter().position(|other| *other == spec).expect("all sizes are listed");
        // A thread that panicked left the shelf as good as it was.
        look(&mut self.shelves().of_sizes[place].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The shelves of the process that calls. What its parent has prepared belongs to the parent, and so do the locks.
    fn shelves(&self) -> Arc<Shelves> {
        let shelves = self.shelves.load_full();
        if shelves.birthplace.is_here() {
            return shelves;
        }
        self.shelves.compare_and_swap(&shelves, Arc::default());
        std::mem::forget(shelves);
        self.shelves.load_full()
    }
}

impl fmt::Debug for WrappingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappingKeys").field("most", &self.most).finish_non_exhaustive()
    }
}

fn make(backend: &CryptoBackend, spec: WrappingKeySpec) -> Result<Box<dyn PrivateKey>> {
    Ok(backend.key_pairs().generate(public_key_kind(spec), backend.random())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::FASTEST;

    fn ready(keys: &WrappingKeys, spec: WrappingKeySpec) -> usize {
        keys.with_shelf(spec, |shelf| shelf.ready.len())
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
        let prepared = keys.with_shelf(spec, |shelf| shelf.ready[0].public_key_der());
        let child = || i32::from(keys.take(&FASTEST, spec).is_ok_and(|key| key.public_key_der() != prepared));
        let ended = strongroom_pkcs11_faults::in_child(std::panic::AssertUnwindSafe(child));
        assert_eq!(ended, 1, "it is the same key");
        assert_eq!(keys.take(&FASTEST, spec)?.public_key_der(), prepared, "the parent still has it");
        Ok(())
    }
}
