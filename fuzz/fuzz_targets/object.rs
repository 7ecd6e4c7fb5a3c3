//! The sizes of objects are computed without overflow and agree with each other, and stored objects are
//! parsed without panics and open only unchanged and in their place. A sweep finds the keys of unchanged
//! objects current.
//!
//! Input: lengths and a range, modifications of an object, and its plaintext.

#![no_main]

use std::sync::{Arc, LazyLock};

use futures_util::FutureExt;
use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use strongroom::SecretBytes;
use strongroom::envelope::RawAesKeyring;
use strongroom::fuzzing::{object_range, object_stored_size};
use strongroom::objects::{EncryptedStore, ObjectSweep, PathBinding};
use strongroom_fuzz::{Edit, backend};

#[derive(Arbitrary, Debug)]
struct Case {
    header: u32,
    frame: u32,
    stored: u64,
    start: u64,
    end: u64,
    binding: u8,
    edits: Vec<Edit>,
    plaintext: Vec<u8>,
    first: u8,
    last: u8,
}

const FRAME: u32 = 32;

/// The same bucket with each binding of the path.
static STORES: LazyLock<[EncryptedStore<Arc<InMemory>>; 3]> = LazyLock::new(|| {
    [PathBinding::Context, PathBinding::Header, PathBinding::Movable].map(|binding| {
        let keyring = RawAesKeyring::new("fuzz", "key", SecretBytes::zeroed(32));
        let keyring = keyring.and_then(|keyring| keyring.with_backend(backend())).expect("a valid key");
        let builder = EncryptedStore::builder(Arc::new(InMemory::new()), "bucket", keyring);
        let builder = builder.header_length(300).frame_length(FRAME).threads(1).backend(backend());
        builder.path_binding(binding).build().expect("valid settings")
    })
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(bytes)) {
        sizes(&case);
        now(tampered(&case));
    }
});

/// Without a runtime, everything runs in place.
fn now<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("memory never waits")
}

fn sizes(case: &Case) {
    if let Some((size, stored, frames)) = object_range(case.header, case.frame, case.stored, case.start..case.end) {
        assert!(case.end <= size && size < case.stored);
        assert!(stored.start >= u64::from(case.header) && stored.end <= case.stored);
        let sealed = u64::from(case.frame) + 32;
        assert!(frames >= 1 && stored.end - stored.start <= frames * sealed + 8);
        // An object that was written in one call, or in parts.
        let written = object_stored_size(case.header, case.frame, size).expect("not larger than the stored size");
        assert!(case.stored == written || case.stored == written + 32);
    }
}

async fn tampered(case: &Case) {
    let store = &STORES[usize::from(case.binding % 3)];
    let path = Path::from("object");
    store.put(&path, case.plaintext.clone().into()).await.expect("a write");
    let sealed = store.inner().get(&path).await.expect("an object").bytes().await.expect("bytes");
    let mut received = sealed.to_vec();
    case.edits.iter().for_each(|edit| edit.apply(&mut received));
    let unchanged = received == sealed;
    store.inner().put(&path, received.into()).await.expect("a write");
    let read = match store.get(&path).await {
        Ok(found) => found.bytes().await,
        Err(error) => Err(error),
    };
    match read {
        Ok(plaintext) => assert!(unchanged && plaintext == case.plaintext, "a tampered object opens"),
        Err(_) => assert!(!unchanged),
    }
    // The keys of any header can be compared.
    let swept = ObjectSweep::new(store).dry_run().run().await.expect("a listing");
    assert!(swept.examined() == 1 && (swept.current() == 1 || !unchanged));
    // A range may succeed, if only other frames were changed.
    let range = u64::from(case.first)..u64::from(case.last);
    let options = GetOptions::new().with_range(Some(GetRange::Bounded(range.clone())));
    if let Ok(found) = store.get_opts(&path, options).await {
        let (start, end) = (found.range.start, found.range.end);
        if let Ok(part) = found.bytes().await {
            let (start, end) = (usize::try_from(start).expect("short"), usize::try_from(end).expect("short"));
            assert_eq!(case.plaintext.get(start..end), Some(&part[..]), "a range of other bytes");
        }
    }
}
