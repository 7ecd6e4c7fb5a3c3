//! Spans of `tracing`: each operation runs in one, with its slow steps as children. Spans contain no
//! secrets.

use std::sync::Arc;

use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, ReEncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::MemoryStore;
use strongroom::{EncryptionContext, ErrorKind, Kms, Result};

use crate::support::kms::kind;
use crate::support::spans::{Seen, children};

const CONTEXT_VALUE: &str = "value-of-the-context";
const PLAINTEXT: &[u8] = b"plaintext-of-the-test";

/// Returns the spans that a subscriber sees while `run` runs. None of them contains a secret.
fn during(run: impl FnOnce() -> Result<()>) -> Result<Vec<Seen>> {
    let spans = crate::support::spans::during(run)?;
    for span in &spans {
        assert!(!span.fields.contains(CONTEXT_VALUE) && !span.fields.contains("plaintext-of"), "{span:?}");
    }
    Ok(spans)
}

#[test]
fn an_operation_and_its_slow_steps_are_spans() -> Result<()> {
    let store = Arc::new(MemoryStore::new(&Default::default())?);
    let open = || Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).build();
    let kms = open()?;
    let mut created = None;
    let spans = during(|| {
        created = Some(kms.create_key(CreateKeyRequest::default().description("secret plans"))?.key_id());
        Ok(())
    })?;
    let key = created.expect("it was created");
    assert_eq!((spans[0].name, spans[0].level.as_str()), ("kms", "INFO"));
    let fields = format!("kms.operation=\"CreateKey\" kms.key_id={key} kms.result=\"success\" ");
    assert_eq!(spans[0].fields, fields);
    assert_eq!(children(&spans), ["audit.write", "store.commit", "audit.write"]);
    assert!(spans[1..].iter().all(|span| span.level == "DEBUG" && span.fields.is_empty()), "{spans:?}");

    // Another process reads the key and opens it; the second time, both are cached.
    let kms = open()?;
    let context = EncryptionContext::from([("tenant", CONTEXT_VALUE)]);
    let mut blob = Vec::new();
    let mut encrypt = || {
        blob = kms.encrypt(EncryptRequest::new(key, PLAINTEXT).context(&context))?.ciphertext_blob;
        Ok(())
    };
    let spans = during(&mut encrypt)?;
    assert_eq!(children(&spans), ["store.read", "key.open", "audit.write"]);
    let spans = during(&mut encrypt)?;
    assert_eq!(children(&spans), ["audit.write"]);
    assert_eq!(spans[0].fields, format!("kms.operation=\"Encrypt\" kms.key_id={key} kms.result=\"success\" "));

    let spans = during(|| {
        assert_eq!(kind(kms.decrypt(DecryptRequest::new(&blob))), ErrorKind::InvalidCiphertext);
        Ok(())
    })?;
    let failure = format!(
        "kms.operation=\"Decrypt\" kms.key_id={key} kms.result=\"failure\" error.type=\"InvalidCiphertextException\" "
    );
    assert_eq!(spans[0].fields, failure);

    let other = kms.create_key(Default::default())?.key_id();
    let spans = during(|| {
        let source = ReEncryptRequest::new(&blob, other).source_context(&context);
        kms.re_encrypt(source).map(drop)
    })?;
    let fields = format!("kms.operation=\"ReEncrypt\" kms.key_id={key} {other} kms.result=\"success\" ");
    assert_eq!(spans[0].fields, fields);
    Ok(())
}

#[test]
fn operations_of_the_authority_are_spans_too() -> Result<()> {
    let kms = Kms::in_memory()?;
    let spans = during(|| kms.run_maintenance().map(drop))?;
    assert_eq!(spans[0].fields, "kms.operation=\"run_maintenance\" kms.result=\"success\" ");
    let spans = during(|| {
        assert_eq!(kind(kms.as_service("unknown")), ErrorKind::Validation);
        Ok(())
    })?;
    let last = spans.iter().rfind(|span| span.name == "kms").expect("a span");
    let failure = "kms.operation=\"as_principal\" kms.result=\"failure\" error.type=\"ValidationException\" ";
    assert_eq!(last.fields, failure);
    Ok(())
}

#[test]
fn operations_are_nested_in_the_span_of_the_application() -> Result<()> {
    let kms = Kms::in_memory()?;
    let spans = during(|| tracing::info_span!("request").in_scope(|| kms.list_keys(Default::default()).map(drop)))?;
    let names: Vec<_> = spans.iter().map(|span| (span.name, span.parent)).collect();
    assert_eq!(names, [("request", None), ("kms", Some(0)), ("audit.write", Some(1))]);
    Ok(())
}
