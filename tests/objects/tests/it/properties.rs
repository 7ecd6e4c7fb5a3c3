//! Random objects, lengths and ranges.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetRange, ObjectStore, ObjectStoreExt, PutPayload};
use proptest::collection::vec;
use proptest::prelude::{Just, any, prop_oneof};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use strongroom::objects::{EncryptedStore, PathBinding};

use crate::support::{TestResult, keyring, plaintext, range_options, run};

fn bindings() -> impl Strategy<Value = PathBinding> {
    prop_oneof![Just(PathBinding::Context), Just(PathBinding::Header), Just(PathBinding::Movable)]
}

#[test]
fn any_object_is_read_as_it_was_written() -> TestResult {
    let ranges = (any::<prop_index>(), any::<prop_index>());
    let strategy = (vec(0..400_usize, 0..8), 16..200_u32, 300..2_000_u32, bindings(), ranges);
    let mut runner = TestRunner::new(Config { cases: 256, failure_persistence: None, ..Config::default() });
    runner.run(&strategy, |(chunks, frame, header, binding, (one, other))| {
        let bytes = plaintext(chunks.iter().sum());
        let mut rest = &bytes[..];
        let payload: PutPayload = chunks
            .iter()
            .map(|length| {
                let (chunk, after) = rest.split_at(*length);
                rest = after;
                bytes::Bytes::copy_from_slice(chunk)
            })
            .collect();
        let (one, other) = (one.index(bytes.len() + 1), other.index(bytes.len() + 1));
        let (start, end) = (one.min(other), one.max(other));
        let found = run(async {
            let builder = EncryptedStore::builder(Arc::new(InMemory::new()), "bucket", keyring());
            let builder = builder.header_length(header).frame_length(frame).path_binding(binding);
            let (store, path) = (builder.build()?, Path::from("object"));
            store.put(&path, payload).await?;
            let all = store.get(&path).await?.bytes().await?;
            let stored = store.inner().head(&path).await?.size;
            let range = GetRange::Bounded(u64::try_from(start)?..u64::try_from(end)?);
            let part = match store.get_opts(&path, range_options(range)).await {
                Ok(found) => Some(found.bytes().await?),
                Err(_) => None,
            };
            Ok::<_, Box<dyn std::error::Error>>((
                all,
                part,
                store.stored_size(u64::try_from(bytes.len())?) == Some(stored),
            ))
        });
        let (all, part, is_predicted) = found.map_err(|error| TestCaseError::fail(error.to_string()))?;
        assert!(is_predicted);
        assert_eq!(all, bytes);
        assert_eq!(part.as_deref(), bytes.get(start..end).filter(|part| !part.is_empty()));
        Ok(())
    })?;
    Ok(())
}

#[allow(non_camel_case_types)]
type prop_index = proptest::sample::Index;
