//! Wrapped keys that are damaged, and keys that may not be used.

use base64ct::{Base64, Encoding};
use parquet_key_management::errors::Error as ParquetError;
use parquet_key_management::kms::KmsClient;
use strongroom::identity::Principal;
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::{EncryptionContext, ErrorKind, Kms};
use strongroom_parquet::{MAX_WRAPPED_KEY_LENGTH, ParquetKms, error_inside, is_retryable};

use crate::support::{CONTEXT, new_key};

fn kind<T: std::fmt::Debug>(result: Result<T, ParquetError>) -> ErrorKind {
    let error = result.unwrap_err();
    let cause = error_inside(&error).unwrap_or_else(|| panic!("{error} has no cause"));
    assert!(!is_retryable(cause), "{cause}");
    cause.kind()
}

struct World {
    kms: Kms,
    key: String,
    client: ParquetKms,
    wrapped: String,
}

impl World {
    fn new() -> Self {
        let kms = Kms::in_memory().unwrap();
        let (key, client) = (new_key(&kms), ParquetKms::new(&kms, CONTEXT).unwrap());
        let wrapped = client.wrap_key(&[7; 16], &key).unwrap();
        Self { kms, key, client, wrapped }
    }
}

#[test]
fn damaged_wrapped_keys_are_refused() {
    let World { key, client, wrapped, .. } = World::new();
    let blob = Base64::decode_vec(&wrapped).unwrap();
    for length in 0..wrapped.len() {
        // An empty ciphertext is outside the range of the KMS.
        let expected = if length == 0 { ErrorKind::Validation } else { ErrorKind::InvalidCiphertext };
        assert_eq!(kind(client.unwrap_key(&wrapped[..length], &key)), expected, "{length}");
    }
    for length in 1..blob.len() {
        let text = Base64::encode_string(&blob[..length]);
        assert_eq!(kind(client.unwrap_key(&text, &key)), ErrorKind::InvalidCiphertext, "{length}");
    }
    for index in 0..blob.len() {
        let mut altered = blob.clone();
        altered[index] ^= 1;
        // The bytes 2 to 17 name the key.
        let expected = if (2..18).contains(&index) { ErrorKind::IncorrectKey } else { ErrorKind::InvalidCiphertext };
        assert_eq!(kind(client.unwrap_key(&Base64::encode_string(&altered), &key)), expected, "{index}");
    }
    for text in ["no Base64", "====", "日本", "AAAA\n"] {
        assert_eq!(kind(client.unwrap_key(text, &key)), ErrorKind::InvalidCiphertext, "{text}");
    }
}

#[test]
fn long_wrapped_keys_are_refused_before_they_are_decoded() {
    let World { key, client, .. } = World::new();
    let longest = "A".repeat(MAX_WRAPPED_KEY_LENGTH);
    assert_eq!(kind(client.unwrap_key(&longest, &key)), ErrorKind::InvalidCiphertext);
    // The text is not even Base64: its length is checked first.
    let error = client.unwrap_key(&"!".repeat(64 << 20), &key).unwrap_err();
    assert!(error.to_string().contains("67108864 characters exceed 8192"), "{error}");
    assert_eq!(kind(client.wrap_key(&[7; 16], &"k".repeat(1 << 20))), ErrorKind::NotFound);
    assert_eq!(kind(client.unwrap_key(&longest, &"k".repeat(1 << 20))), ErrorKind::NotFound);
}

#[test]
fn other_keys_contexts_and_accounts_are_refused() {
    let World { kms, key, client, wrapped } = World::new();
    assert_eq!(kind(client.unwrap_key(&wrapped, &new_key(&kms))), ErrorKind::IncorrectKey);
    for context in
        [EncryptionContext::new(), [("table", "customers")].into(), [("table", "employees"), ("a", "b")].into()]
    {
        let other = ParquetKms::new(&kms, context).unwrap();
        assert_eq!(kind(other.unwrap_key(&wrapped, &key)), ErrorKind::InvalidCiphertext);
    }
    let tenant = kms.as_principal(Principal::parse("arn:aws:iam::111122223333:root").unwrap()).unwrap();
    let arn = kms.describe_key(key.as_str()).unwrap().arn().to_string();
    let foreign = ParquetKms::new(&tenant, CONTEXT).unwrap();
    let refusals = [&key, &arn].map(|name| kind(foreign.unwrap_key(&wrapped, name)));
    // The same as for a key that does not exist.
    let missing = arn.replace(&key, "00000000-0000-4000-8000-000000000000");
    assert_eq!(refusals[1], kind(foreign.unwrap_key(&wrapped, &missing)));
    assert_eq!(refusals[0], kind(foreign.unwrap_key(&wrapped, "00000000-0000-4000-8000-000000000000")));
    assert_eq!(kind(foreign.wrap_key(&[7; 16], &arn)), kind(foreign.wrap_key(&[7; 16], &missing)));
}

#[test]
fn the_state_and_the_usage_of_a_key_are_respected() {
    let World { kms, key, client, wrapped } = World::new();
    kms.disable_key(key.as_str()).unwrap();
    assert_eq!(kind(client.unwrap_key(&wrapped, &key)), ErrorKind::Disabled);
    assert_eq!(kind(client.wrap_key(&[7; 16], &key)), ErrorKind::Disabled);
    kms.enable_key(key.as_str()).unwrap();
    kms.schedule_key_deletion(key.as_str(), Default::default()).unwrap();
    assert_eq!(kind(client.unwrap_key(&wrapped, &key)), ErrorKind::InvalidState);
    kms.cancel_key_deletion(key.as_str()).unwrap();
    kms.enable_key(key.as_str()).unwrap();
    assert_eq!(client.unwrap_key(&wrapped, &key).unwrap(), [7; 16]);

    let request = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let mac = kms.create_key(request).unwrap().key_id().to_string();
    assert_eq!(kind(client.wrap_key(&[7; 16], &mac)), ErrorKind::InvalidKeyUsage);
    for (name, expected) in [
        ("alias/missing", ErrorKind::NotFound),
        ("reports", ErrorKind::NotFound),
        ("arn:aws:s3:::x", ErrorKind::InvalidArn),
    ] {
        assert_eq!(kind(client.wrap_key(&[7; 16], name)), expected, "{name}");
        assert_eq!(kind(client.unwrap_key(&wrapped, name)), expected, "{name}");
    }
}

#[test]
fn only_aes_keys_are_wrapped_and_unwrapped() {
    let World { kms, key, client, .. } = World::new();
    for length in 0..=64 {
        let result = client.wrap_key(&vec![7; length], &key);
        if [16, 24, 32].contains(&length) {
            assert_eq!(client.unwrap_key(&result.unwrap(), &key).unwrap(), vec![7; length]);
            continue;
        }
        assert_eq!(kind(result), ErrorKind::Validation, "{length}");
        if length > 0 {
            // Another secret under the same key and context cannot be read as a key.
            let (plaintext, context) = (vec![7; length], CONTEXT.into());
            let request = EncryptRequest::new(key.as_str(), &plaintext).context(&context);
            let blob = kms.encrypt(request).unwrap().ciphertext_blob;
            let result = client.unwrap_key(&Base64::encode_string(&blob), &key);
            assert_eq!(kind(result), ErrorKind::InvalidCiphertext, "{length}");
        }
    }
}

#[test]
fn a_context_that_is_too_long_is_refused_early() {
    let refused = ParquetKms::new(&Kms::in_memory().unwrap(), [("table", "x".repeat(70_000))]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Validation);
    assert!(!format!("{:?}", World::new().client).contains("employees"));
}
