//! The contract of keyrings, the requests, and names of keys.

use std::sync::Arc;

use serde_json::Value;
use strongroom::envelope::{EncryptionMaterials, Keyring, MultiKeyring, RawAesKeyring, UnwrapFailures, conformance};
use strongroom::identity::Principal;
use strongroom::key::Operation;
use strongroom::message::{AlgorithmSuite, EncryptedDataKey, inspect};
use strongroom::policy::GrantTerms;
use strongroom::request::{CreateGrantRequest, EncryptRequest};
use strongroom::{EncryptionContext, Envelope, ErrorKind, Kms, SecretBytes};
use strongroom_aws_kms::{AwsKmsKeyring, DiscoveryFilter};

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::server::{ACCESS_KEY, ALICE, ALICE_ACCESS_KEY, REGION, TestServer};
use crate::support::{PLAINTEXT, aws_kms, config, context, new_key, of_config};

#[test]
fn the_keyring_meets_the_contract() {
    let server = TestServer::start();
    let (kms, key) = (aws_kms(&server, ACCESS_KEY), new_key(&server));
    let alias = format!("arn:aws:kms:{REGION}:000000000000:alias/orders");
    server.kms.create_alias("alias/orders", key.as_str()).unwrap();
    let id = key.rsplit_once('/').unwrap().1;
    let writer = AwsKmsKeyring::new(&kms, &key).unwrap();
    conformance::run(&writer, &writer).unwrap();
    conformance::run_context(&writer, &writer).unwrap();
    let readers = [
        AwsKmsKeyring::multi_region(&kms, &key).unwrap(),
        AwsKmsKeyring::discovery(&kms, DiscoveryFilter::any()),
        AwsKmsKeyring::multi_region_discovery(&kms, DiscoveryFilter::any()).unwrap(),
        AwsKmsKeyring::new(&kms, id).unwrap(),
        AwsKmsKeyring::new(&kms, "alias/orders").unwrap(),
        AwsKmsKeyring::new(&kms, &alias).unwrap(),
        AwsKmsKeyring::multi_region(&kms, &alias).unwrap(),
    ];
    let message = Envelope::new(writer).encrypt(PLAINTEXT, &context()).unwrap();
    for reader in readers {
        let name = format!("{reader:?}");
        assert_eq!(Envelope::new(reader).decrypt(&message, &context()).unwrap(), PLAINTEXT, "{name}");
    }
}

/// The requests have exactly the members that the official keyrings send.
#[test]
fn requests_are_those_of_the_official_keyrings() {
    let kms = Kms::in_memory().unwrap();
    let key = kms.create_key(Default::default()).unwrap().arn().to_string();
    let endpoint = Endpoint::start(move |request| Answer::of(&kms, request));
    let aws = of_config(config(&endpoint.url(), "local", ACCESS_KEY));
    let keyring = || AwsKmsKeyring::new(&aws, &key).unwrap().with_grant_tokens(["token"]);
    // No grant has this token.
    let error = Envelope::new(keyring().unwrap()).encrypt(PLAINTEXT, &context()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidGrantToken, "{error}");
    assert_eq!(body(&endpoint)["GrantTokens"], serde_json::json!(["token"]));

    let raw = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32)).unwrap();
    let plain = || AwsKmsKeyring::new(&aws, &key).unwrap();
    let envelope = Envelope::new(plain());
    let message = envelope.encrypt(PLAINTEXT, &context()).unwrap();
    let header = inspect(&message).unwrap();
    let [data_key] = header.data_keys() else { panic!("one data key") };
    assert_eq!((data_key.provider_id(), data_key.provider_info()), ("aws-kms", key.as_bytes()));
    let pairs = serde_json::json!({"invoice": "17", "Straße": "日本"});
    let expected = serde_json::json!({"KeyId": key, "NumberOfBytes": 32, "EncryptionContext": pairs});
    assert_eq!(body(&endpoint), expected);

    envelope.decrypt(&message, &context()).unwrap();
    let decrypt = body(&endpoint);
    let blob = decrypt["CiphertextBlob"].clone();
    assert_eq!(decrypt, serde_json::json!({"KeyId": key, "CiphertextBlob": blob, "EncryptionContext": pairs}));

    let several = MultiKeyring::new(raw).with_child(plain());
    Envelope::new(several).encrypt(PLAINTEXT, &EncryptionContext::new()).unwrap();
    let encrypt = body(&endpoint);
    let plaintext = encrypt["Plaintext"].clone();
    assert_eq!(encrypt, serde_json::json!({"KeyId": key, "Plaintext": plaintext}));
    let operations: Vec<_> = endpoint.requests().into_iter().map(|request| request.operation).collect();
    assert_eq!(operations, ["GenerateDataKey", "GenerateDataKey", "Decrypt", "Encrypt"]);
}

/// Returns the body of the latest request.
fn body(endpoint: &Endpoint) -> Value {
    serde_json::from_str(&endpoint.requests().pop().unwrap().body).unwrap()
}

/// The permissions are those of the credentials, and a grant token adds to them.
#[test]
fn grant_tokens_give_permission() {
    let server = TestServer::start();
    let key = new_key(&server);
    let alice = aws_kms(&server, ALICE_ACCESS_KEY);
    let keyring = AwsKmsKeyring::new(&alice, &key).unwrap();
    let error = Envelope::new(keyring.clone()).encrypt(PLAINTEXT, &context()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
    assert!(keyring.clone().with_grant_tokens(["token"; 11]).is_err());

    let operations = [Operation::GenerateDataKey, Operation::Decrypt];
    let terms = GrantTerms::new(Principal::parse(ALICE).unwrap(), operations).unwrap();
    let granted = server.kms.create_grant(CreateGrantRequest::new(key.as_str(), terms)).unwrap();
    let token = granted.grant_token.as_str().to_owned();
    let envelope = Envelope::new(keyring.with_grant_tokens([token]).unwrap());
    let message = envelope.encrypt(PLAINTEXT, &context()).unwrap();
    assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT);
}

/// AWS KMS must confirm the key, the length, and that there is an answer at all.
#[test]
fn an_answer_for_another_key_is_rejected() {
    let kms = Kms::in_memory().unwrap();
    let [key, other] = [0, 1].map(|_| kms.create_key(Default::default()).unwrap().arn().to_string());
    let replaced = std::sync::Mutex::new([String::new(), String::new()]);
    let replaced = Arc::new(replaced);
    let (inside, set) = (Arc::clone(&replaced), |from: &str, to: &str| {
        *replaced.lock().unwrap() = [from.to_owned(), to.to_owned()];
    });
    let endpoint = Endpoint::start(move |request| match Answer::of(&kms, request) {
        Answer::Reply(status, kind, body) => {
            let [from, to] = &*inside.lock().unwrap();
            let body = String::from_utf8(body).unwrap();
            let body = if from.is_empty() { body } else { body.replace(from, to) };
            Answer::Reply(status, kind, body.into_bytes())
        }
        answer => answer,
    });
    let aws = of_config(config(&endpoint.url(), "local", ACCESS_KEY));
    let envelope = Envelope::new(AwsKmsKeyring::new(&aws, &key).unwrap());
    let message = envelope.encrypt(PLAINTEXT, &context()).unwrap();

    set(&key, &other);
    assert_eq!(envelope.encrypt(PLAINTEXT, &context()).unwrap_err().kind(), ErrorKind::Internal);
    let error = envelope.decrypt(&message, &context()).unwrap_err();
    let failures: &UnwrapFailures = error.downcast_ref().unwrap();
    assert_eq!(failures.kind(), ErrorKind::IncorrectKey, "{error}");
    for (from, to) in [("\"KeyId\"", "\"Key\""), ("\"Plaintext\"", "\"Text\""), (key.as_str(), "alias/orders")] {
        set(from, to);
        assert_eq!(envelope.encrypt(PLAINTEXT, &context()).unwrap_err().kind(), ErrorKind::KeyUnavailable, "{from}");
        let error = envelope.decrypt(&message, &context()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{from}: {error}");
    }
    set("", "");
    assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT);
}

/// A caller with permission to encrypt under the key can wrap bytes that are no data key of the suite.
#[test]
fn a_data_key_of_another_length_is_rejected() {
    let server = TestServer::start();
    let (kms, key) = (aws_kms(&server, ACCESS_KEY), new_key(&server));
    let keyring = AwsKmsKeyring::new(&kms, &key).unwrap();
    let request = EncryptRequest::new(key.as_str(), &[7; 16]);
    let blob = server.kms.encrypt(request).unwrap().ciphertext_blob;
    let short = EncryptedDataKey::new("aws-kms", key.as_str(), blob);
    let backend = strongroom::crypto::CryptoBackend::default();
    let suite = AlgorithmSuite::default();
    let mut written = EncryptionMaterials::new(suite, EncryptionContext::new(), backend).unwrap();
    keyring.on_encrypt(&mut written).unwrap();
    let read = || strongroom::envelope::DecryptionMaterials::new(suite, EncryptionContext::new(), backend).unwrap();
    let error = keyring.on_decrypt(&mut read(), std::slice::from_ref(&short)).unwrap_err();
    let failures: &UnwrapFailures = error.downcast_ref().unwrap();
    assert_eq!(failures.kind(), ErrorKind::InvalidCiphertext, "{error}");
    let mut materials = read();
    keyring.on_decrypt(&mut materials, &[short, written.encrypted_data_keys()[0].clone()]).unwrap();
    assert_eq!(materials.data_key(), written.data_key());
}
