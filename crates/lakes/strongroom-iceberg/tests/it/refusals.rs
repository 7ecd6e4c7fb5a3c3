//! Wrapped keys that are damaged, keys that may not be used, and outages.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};

use iceberg::ErrorKind as IcebergKind;
use iceberg::encryption::KeyManagementClient;
use strongroom::audit::{AuditEvent, AuditSink};
use strongroom::identity::Principal;
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::{EncryptionContext, ErrorKind, Kms};
use strongroom_iceberg::{IcebergKms, error_inside};

use crate::support::{CONTEXT, client, new_key};

fn kinds<T: Debug>(result: iceberg::Result<T>) -> (ErrorKind, IcebergKind) {
    let error = result.map(|_| ()).unwrap_err();
    assert!(!error.retryable(), "{error}");
    (error_inside(&error).unwrap_or_else(|| panic!("{error} has no cause")).kind(), error.kind())
}

const DAMAGED: (ErrorKind, IcebergKind) = (ErrorKind::InvalidCiphertext, IcebergKind::DataInvalid);
const OF_ANOTHER_KEY: (ErrorKind, IcebergKind) = (ErrorKind::IncorrectKey, IcebergKind::DataInvalid);
const OUT_OF_RANGE: (ErrorKind, IcebergKind) = (ErrorKind::Validation, IcebergKind::DataInvalid);

#[tokio::test]
async fn damaged_and_long_wrapped_keys_are_refused() {
    let kms = Kms::in_memory().unwrap();
    let (client, key) = (client(&kms, CONTEXT), new_key(&kms));
    let wrapped = client.wrap_key(&[7; 16], &key).await.unwrap();
    assert_eq!(client.unwrap_key(&wrapped, &key).await.unwrap().as_bytes(), [7; 16]);
    for length in 0..wrapped.len() {
        let expected = if length == 0 { OUT_OF_RANGE } else { DAMAGED };
        assert_eq!(kinds(client.unwrap_key(&wrapped[..length], &key).await), expected, "{length}");
    }
    for index in 0..wrapped.len() {
        let mut altered = wrapped.clone();
        altered[index] ^= 1;
        // The bytes 2 to 17 name the key.
        let expected = if (2..18).contains(&index) { OF_ANOTHER_KEY } else { DAMAGED };
        assert_eq!(kinds(client.unwrap_key(&altered, &key).await), expected, "{index}");
    }
    for length in [6_145, 64 << 20] {
        assert_eq!(kinds(client.unwrap_key(&vec![1; length], &key).await), OUT_OF_RANGE);
    }
}

#[tokio::test]
async fn only_aes_keys_are_wrapped_and_unwrapped() {
    let kms = Kms::in_memory().unwrap();
    let (client, key) = (client(&kms, CONTEXT), new_key(&kms));
    for length in 0..=64 {
        let result = client.wrap_key(&vec![7; length], &key).await;
        if [16, 24, 32].contains(&length) {
            assert_eq!(client.unwrap_key(&result.unwrap(), &key).await.unwrap().as_bytes(), vec![7; length]);
            continue;
        }
        assert_eq!(kinds(result), OUT_OF_RANGE, "{length}");
        if length > 0 {
            // Another secret under the same key and context cannot be read as a key.
            let (plaintext, context) = (vec![7; length], CONTEXT.into());
            let request = EncryptRequest::new(key.as_str(), &plaintext).context(&context);
            let blob = kms.encrypt(request).unwrap().ciphertext_blob;
            assert_eq!(kinds(client.unwrap_key(&blob, &key).await), DAMAGED, "{length}");
        }
    }
}

#[tokio::test]
async fn other_keys_contexts_accounts_and_states_are_refused() {
    let kms = Kms::in_memory().unwrap();
    let (client, key) = (client(&kms, CONTEXT), new_key(&kms));
    let generated = client.generate_key(&key).await.unwrap();
    let wrapped = generated.wrapped_key();
    assert_eq!(kinds(client.unwrap_key(wrapped, &new_key(&kms)).await), OF_ANOTHER_KEY);
    for context in [EncryptionContext::new(), [("table", "lake.customers")].into()] {
        assert_eq!(kinds(crate::support::client(&kms, context).unwrap_key(wrapped, &key).await), DAMAGED);
    }
    let tenant = kms.as_principal(Principal::parse("arn:aws:iam::111122223333:root").unwrap()).unwrap();
    let arn = kms.describe_key(key.as_str()).unwrap().arn().to_string();
    let missing = arn.replace(&key, "00000000-0000-4000-8000-000000000000");
    let foreign = crate::support::client(&tenant, CONTEXT);
    let refused = kinds(foreign.unwrap_key(wrapped, &arn).await);
    assert_eq!(refused, kinds(foreign.unwrap_key(wrapped, &missing).await));

    kms.disable_key(key.as_str()).unwrap();
    let disabled = (ErrorKind::Disabled, IcebergKind::PreconditionFailed);
    assert_eq!(kinds(client.unwrap_key(wrapped, &key).await), disabled);
    assert_eq!(kinds(client.generate_key(&key).await.map(|_| ())), disabled);
    kms.schedule_key_deletion(key.as_str(), Default::default()).unwrap();
    let deleted = (ErrorKind::InvalidState, IcebergKind::PreconditionFailed);
    assert_eq!(kinds(client.unwrap_key(wrapped, &key).await), deleted);
    let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let mac = kms.create_key(request).unwrap().key_id().to_string();
    let usage = (ErrorKind::InvalidKeyUsage, IcebergKind::FeatureUnsupported);
    assert_eq!(kinds(client.wrap_key(&[7; 16], &mac).await), usage);
    let absent = (ErrorKind::NotFound, IcebergKind::PreconditionFailed);
    assert_eq!(kinds(client.wrap_key(&[7; 16], "alias/missing").await), absent);
    assert_eq!(kinds(client.wrap_key(&[7; 16], &"k".repeat(1 << 20)).await), absent);
}

/// An audit trail whose disk is full while a test says so.
#[derive(Debug)]
struct FullDisk(&'static AtomicBool);

impl AuditSink for FullDisk {
    fn record(&self, _: AuditEvent) -> strongroom::Result<()> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(strongroom::Error::new(ErrorKind::Audit, "the disk is full")),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn outages_are_retryable() {
    static FULL: AtomicBool = AtomicBool::new(false);
    let kms = Kms::builder().audit(FullDisk(&FULL)).build().unwrap();
    let key = new_key(&kms);
    let client = IcebergKms::new(&kms, CONTEXT).unwrap();
    let wrapped = client.wrap_key(&[7; 16], &key).await.unwrap();
    FULL.store(true, Ordering::SeqCst);
    let refused = client.unwrap_key(&wrapped, &key).await.unwrap_err();
    assert!(refused.retryable(), "{refused}");
    assert_eq!(refused.kind(), IcebergKind::Unexpected);
    assert_eq!(error_inside(&refused).unwrap().kind(), ErrorKind::Audit);
    FULL.store(false, Ordering::SeqCst);
    assert_eq!(client.unwrap_key(&wrapped, &key).await.unwrap().as_bytes(), [7; 16]);
    assert!(!format!("{client:?}").contains("lake.orders"));
}

#[test]
fn it_works_without_a_runtime() {
    let kms = Kms::in_memory().unwrap();
    let (client, key) = (client(&kms, CONTEXT), new_key(&kms));
    let mut future = std::pin::pin!(client.generate_key(&key));
    // The call is ready at the first poll.
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_ready());
}
