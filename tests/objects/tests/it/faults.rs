//! Responses that break off, and bounded memory.

use std::sync::Arc;

use futures_util::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use strongroom::objects::EncryptedStore;

use crate::support::{Fault, Faulty, TestResult, keyring, kind, plaintext, run};

#[test]
fn a_response_that_breaks_off_is_an_error_of_the_store_below() -> TestResult {
    run(async {
        let below = Faulty::new();
        let store = EncryptedStore::builder(Arc::clone(&below), "bucket", keyring()).frame_length(100).build()?;
        let path = Path::from("object");
        store.put(&path, plaintext(10_000).into()).await?;
        below.set_fault(Some(Fault::Stream));
        let error = store.get(&path).await?.bytes().await.err().ok_or("an error")?;
        assert!(error.to_string().contains("injected fault"), "{error}");
        assert_eq!(kind(&error), None, "not an error of this crate");
        assert!(store.copy(&path, &Path::from("copy")).await.is_err());
        below.set_fault(None);
        assert!(store.head(&Path::from("copy")).await.is_err(), "no part of a copy remains");
        Ok(())
    })
}

#[test]
fn plaintext_is_released_in_pieces_of_bounded_size() -> TestResult {
    run(async {
        let store = EncryptedStore::new(Faulty::new(), "bucket", keyring())?;
        let (path, bytes) = (Path::from("object"), plaintext(20 << 20));
        store.put(&path, bytes.clone().into()).await?;
        let mut stream = store.get(&path).await?.into_stream();
        let (mut received, mut longest) = (Vec::new(), 0);
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            longest = longest.max(piece.len());
            received.extend_from_slice(&piece);
        }
        assert!(received == bytes);
        assert!(longest <= 1 << 20, "{longest}");
        Ok(())
    })
}
