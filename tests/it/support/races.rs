//! Threads that look up or create the same keys at the same time.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use strongroom::key::KeyId;
use strongroom::request::CreateKeyRequest;
use strongroom::{Kms, Result};

pub(crate) const NAMES: [&str; 8] =
    ["alias/a", "alias/b", "alias/c", "alias/d", "alias/e", "alias/f", "alias/g", "alias/h"];

const THREADS_PER_KMS: usize = 4;

/// Calls `get_or_create_key` on every KMS from several threads at the same time, for all
/// [`NAMES`], and returns the keys of each name.
pub(crate) fn race_for_keys(all: &[Kms]) -> Result<Vec<BTreeSet<KeyId>>> {
    let start = Barrier::new(all.len() * THREADS_PER_KMS);
    let keys_of = |kms: &Kms| -> Result<Vec<KeyId>> {
        start.wait();
        NAMES.iter().map(|name| Ok(kms.get_or_create_key(name, CreateKeyRequest::default())?.key_id())).collect()
    };
    let found: Vec<Vec<KeyId>> = thread::scope(|scope| {
        let keys_of = &keys_of;
        let threads = all.iter().flat_map(|kms| (0..THREADS_PER_KMS).map(move |_| scope.spawn(move || keys_of(kms))));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panicked")).collect::<Result<_>>()
    })?;
    Ok((0..NAMES.len()).map(|name| found.iter().map(|keys| keys[name]).collect()).collect())
}
