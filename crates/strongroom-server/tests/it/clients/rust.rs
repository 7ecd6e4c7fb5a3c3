//! The AWS SDK for Rust.

use std::time::{Duration, SystemTime};

use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::operation::describe_key::DescribeKeyError;
use aws_sdk_kms::operation::list_keys::ListKeysOutput;
use aws_sdk_kms::primitives::{Blob, DateTime};
use aws_sdk_kms::types::{
    DataKeySpec, GrantOperation, KeySpec, KeyState, KeyUsageType, MacAlgorithmSpec, SigningAlgorithmSpec, Tag,
};
use aws_sdk_kms::{Client, Config};
use aws_smithy_async::time::StaticTimeSource;
use aws_smithy_http_client::Builder as HttpClientBuilder;

use crate::clients::HeldServer;
use crate::support::server::{ACCESS_KEY, ALICE, ALICE_ACCESS_KEY, REGION, SECRET, TestServer};

fn config(server: &TestServer, access_key: &str) -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(server.url())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(access_key, SECRET, None, None, "test"))
        .http_client(HttpClientBuilder::new().build_http())
}

fn client(server: &TestServer, access_key: &str) -> Client {
    Client::from_conf(config(server, access_key).build())
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

async fn new_key(kms: &Client) -> String {
    kms.create_key().send().await.unwrap().key_metadata.unwrap().key_id
}

fn is_about(time: Option<&DateTime>, days: u64) -> bool {
    let expected = SystemTime::now() + Duration::from_secs(days * 86_400);
    time.is_some_and(|time| time.secs().abs_diff(DateTime::from(expected).secs()) < 3_600)
}

/// Returns the number of requests with this result.
fn requests(server: &TestServer, result: &str) -> u64 {
    let page = server.exchange(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let label = format!("strongroom_server_requests_total{{result=\"{result}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(label.as_str())).map_or(0, |count| count.trim().parse().unwrap())
}

#[test]
fn rust_sdk_uses_keys() {
    let server = TestServer::start();
    let kms = client(&server, ACCESS_KEY);
    run(async {
        let tag = Tag::builder().tag_key("team").tag_value("billing").build().unwrap();
        let created = kms.create_key().description("invoices").tags(tag.clone()).send().await.unwrap();
        let request_id = created.request_id().unwrap().to_owned();
        assert!(server.trail.events().iter().any(|event| event.request_id.as_deref() == Some(request_id.as_str())));
        let metadata = created.key_metadata.unwrap();
        assert!(is_about(metadata.creation_date(), 0));
        let key = metadata.key_id();
        assert_eq!(kms.describe_key().key_id(key).send().await.unwrap().key_metadata.unwrap(), metadata);
        assert_eq!(kms.list_resource_tags().key_id(key).send().await.unwrap().tags(), [tag]);
        kms.create_alias().alias_name("alias/rust").target_key_id(key).send().await.unwrap();

        let encrypt = kms.encrypt().key_id("alias/rust").encryption_context("tenant", "42");
        let sealed = encrypt.plaintext(Blob::new("4711")).send().await.unwrap().ciphertext_blob.unwrap();
        let decrypt = kms.decrypt().ciphertext_blob(sealed.clone()).encryption_context("tenant", "42");
        let opened = decrypt.send().await.unwrap();
        assert_eq!((opened.plaintext().unwrap().as_ref(), opened.key_id()), (b"4711".as_slice(), metadata.arn()));
        let data_key = kms.generate_data_key().key_id(key).key_spec(DataKeySpec::Aes256).send().await.unwrap();
        assert_eq!(data_key.plaintext().unwrap().as_ref().len(), 32);
        assert!(!format!("{data_key:?}").contains("plaintext: Some(Blob"));
        assert_eq!(kms.generate_random().number_of_bytes(7).send().await.unwrap().plaintext.unwrap().as_ref().len(), 7);

        let leaving = kms.schedule_key_deletion().key_id(key).pending_window_in_days(7).send().await.unwrap();
        assert!(is_about(leaving.deletion_date(), 7));
        assert_eq!(leaving.key_state(), Some(&KeyState::PendingDeletion));
        kms.cancel_key_deletion().key_id(key).send().await.unwrap();
        kms.enable_key().key_id(key).send().await.unwrap();
        kms.enable_key_rotation().key_id(key).rotation_period_in_days(100).send().await.unwrap();
        assert!(is_about(kms.get_key_rotation_status().key_id(key).send().await.unwrap().next_rotation_date(), 100));
        let policy = kms.get_key_policy().key_id(key).send().await.unwrap().policy.unwrap();
        kms.put_key_policy().key_id(key).policy(policy).send().await.unwrap();
    });
}

#[test]
fn rust_sdk_signs_and_authenticates() {
    let server = TestServer::start();
    let kms = client(&server, ACCESS_KEY);
    run(async {
        let create = kms.create_key().key_spec(KeySpec::EccNistP256).key_usage(KeyUsageType::SignVerify);
        let key = create.send().await.unwrap().key_metadata.unwrap().key_id;
        let algorithm = SigningAlgorithmSpec::EcdsaSha256;
        let sign = kms.sign().key_id(&key).message(Blob::new("text")).signing_algorithm(algorithm.clone());
        let signature = sign.send().await.unwrap().signature.unwrap();
        let verify = kms.verify().key_id(&key).signature(signature).signing_algorithm(algorithm);
        assert!(verify.clone().message(Blob::new("text")).send().await.unwrap().signature_valid);
        let error = verify.message(Blob::new("tent")).send().await.unwrap_err();
        assert!(error.as_service_error().unwrap().is_kms_invalid_signature_exception(), "{error:?}");

        let create = kms.create_key().key_spec(KeySpec::Hmac256).key_usage(KeyUsageType::GenerateVerifyMac);
        let key = create.send().await.unwrap().key_metadata.unwrap().key_id;
        let generate = kms.generate_mac().key_id(&key).message(Blob::new("text"));
        let mac = generate.mac_algorithm(MacAlgorithmSpec::HmacSha256).send().await.unwrap().mac.unwrap();
        let verify = kms.verify_mac().key_id(&key).mac(mac).mac_algorithm(MacAlgorithmSpec::HmacSha256);
        assert!(verify.clone().message(Blob::new("text")).send().await.unwrap().mac_valid);
        let error = verify.message(Blob::new("tent")).send().await.unwrap_err();
        assert!(error.as_service_error().unwrap().is_kms_invalid_mac_exception(), "{error:?}");
    });
}

#[test]
fn rust_sdk_has_typed_errors() {
    let server = TestServer::start();
    let (kms, alice) = (client(&server, ACCESS_KEY), client(&server, ALICE_ACCESS_KEY));
    run(async {
        let error = kms.describe_key().key_id("alias/missing").send().await.unwrap_err();
        let SdkError::ServiceError(context) = &error else { panic!("{error:?}") };
        assert_eq!(context.raw().status().as_u16(), 400);
        assert!(context.err().is_not_found_exception(), "{error:?}");
        assert!(matches!(context.err(), DescribeKeyError::NotFoundException(_)));
        let text = "Alias arn:aws:kms:eu-central-1:000000000000:alias/missing is not found.";
        assert_eq!((error.code(), error.message()), (Some("NotFoundException"), Some(text)));
        assert_eq!(error.request_id().map(str::len), Some(36));

        let key = new_key(&kms).await;
        let sealed =
            kms.encrypt().key_id(&key).plaintext(Blob::new("x")).send().await.unwrap().ciphertext_blob.unwrap();
        let decrypt = kms.decrypt().ciphertext_blob(sealed.clone());
        let error = decrypt.clone().encryption_context("a", "b").send().await.unwrap_err().into_service_error();
        assert!(matches!(error, DecryptError::InvalidCiphertextException(_)), "{error:?}");
        let other = new_key(&kms).await;
        let error = decrypt.clone().key_id(&other).send().await.unwrap_err().into_service_error();
        assert!(error.is_incorrect_key_exception(), "{error:?}");
        let error = decrypt.clone().dry_run(true).send().await.unwrap_err().into_service_error();
        assert!(error.is_dry_run_operation_exception(), "{error:?}");
        kms.disable_key().key_id(&key).send().await.unwrap();
        let error = decrypt.send().await.unwrap_err().into_service_error();
        assert!(error.is_disabled_exception(), "{error:?}");

        // The model has no class for these.
        let error = kms.create_key().key_spec("AES_512".into()).send().await.unwrap_err();
        assert_eq!(error.code(), Some("ValidationException"));
        let error = alice.encrypt().key_id(&other).plaintext(Blob::new("x")).send().await.unwrap_err();
        assert_eq!(error.code(), Some("AccessDeniedException"));
        let error = kms.create_key().multi_region(true).send().await.unwrap_err().into_service_error();
        assert!(error.is_unsupported_operation_exception(), "{error:?}");
        let unknown = client(&server, "AKIAIOSFODNN7UNKNOWN");
        let error = unknown.list_keys().send().await.unwrap_err();
        assert_eq!(error.code(), Some("UnrecognizedClientException"));
        // No refusal was retried.
        assert_eq!((requests(&server, "refused"), requests(&server, "unauthenticated")), (8, 1));
    });
}

#[test]
fn rust_sdk_pages() {
    let server = TestServer::start();
    let (kms, alice) = (client(&server, ACCESS_KEY), client(&server, ALICE_ACCESS_KEY));
    run(async {
        let mut created = Vec::new();
        for number in 0..7 {
            let key = new_key(&kms).await;
            kms.create_alias().alias_name(format!("alias/{number}")).target_key_id(&key).send().await.unwrap();
            created.push(key);
        }
        created.sort();
        let pages = kms.list_keys().into_paginator().page_size(3).send().collect::<Result<Vec<_>, _>>().await.unwrap();
        assert_eq!(pages.len(), 3);
        let mut found: Vec<_> = pages.iter().flat_map(ListKeysOutput::keys).map(|key| key.key_id().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, created);
        let aliases = kms.list_aliases().into_paginator().page_size(2).items().send();
        assert_eq!(aliases.collect::<Result<Vec<_>, _>>().await.unwrap().len(), 7);

        let grant = || kms.create_grant().key_id(&created[0]).grantee_principal(ALICE).retiring_principal(ALICE);
        for _ in 0..3 {
            let token = grant().operations(GrantOperation::Encrypt).send().await.unwrap().grant_token.unwrap();
            let encrypt = alice.encrypt().key_id(&created[0]).plaintext(Blob::new("x"));
            encrypt.grant_tokens(token).send().await.unwrap();
        }
        let grants = kms.list_grants().key_id(&created[0]).into_paginator().page_size(2).items().send();
        let grants = grants.collect::<Result<Vec<_>, _>>().await.unwrap();
        assert!(grants.len() == 3 && grants.iter().all(|grant| is_about(grant.creation_date(), 0)));
        let retirable = kms.list_retirable_grants().retiring_principal(ALICE);
        assert_eq!(retirable.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap().len(), 3);
    });
}

/// The SDK compares its clock with the header `Date` of the refusal, and tries again.
#[test]
fn rust_sdk_corrects_its_clock() {
    let server = TestServer::start();
    let off = Duration::from_secs(600);
    for time in [SystemTime::now() - off, SystemTime::now() + off] {
        let before = requests(&server, "unauthenticated");
        let config = config(&server, ACCESS_KEY).time_source(StaticTimeSource::new(time));
        let kms = Client::from_conf(config.clone().build());
        let once = Client::from_conf(config.retry_config(RetryConfig::disabled()).build());
        run(async {
            kms.list_keys().send().await.unwrap();
            let refused = requests(&server, "unauthenticated");
            assert_eq!(refused, before + 1);
            let error = once.list_keys().send().await.unwrap_err();
            assert_eq!(error.code(), Some("InvalidSignatureException"));
        });
    }
}

#[test]
fn rust_sdk_waits_if_it_is_throttled() {
    let held = HeldServer::start();
    let kms = client(&held.server, ACCESS_KEY);
    held.hold_while(|| {
        run(async {
            let (first, second) = tokio::join!(kms.list_keys().send(), kms.list_keys().send());
            assert!(first.unwrap().keys().is_empty() && second.unwrap().keys().is_empty());
        });
    });
}

/// The calls of sops, which encrypts a file with a data key of 32 bytes, and the data key with each
/// of its KMS keys. It specifies the key by its ARN, or by the ARN of an alias, and an encryption
/// context. Since sops itself is a program in Go, this test makes its calls with another SDK.
#[test]
fn data_key_is_wrapped_as_sops_does() {
    let server = TestServer::start();
    let (kms, alice) = (client(&server, ACCESS_KEY), client(&server, ALICE_ACCESS_KEY));
    run(async {
        let data_key: Vec<u8> = (0..32).collect();
        let mut wrapped = Vec::new();
        for name in ["alias/production", "alias/escrow"] {
            let key = kms.create_key().send().await.unwrap().key_metadata.unwrap();
            kms.create_alias().alias_name(name).target_key_id(key.key_id()).send().await.unwrap();
            let alias = format!("arn:aws:kms:{REGION}:000000000000:{name}");
            for arn in [key.arn().unwrap().to_owned(), alias] {
                let encrypt = kms.encrypt().key_id(&arn).plaintext(Blob::new(data_key.clone()));
                let answer = encrypt.encryption_context("app", "shop").encryption_context("stage", "live").send().await;
                wrapped.push((arn, answer.unwrap().ciphertext_blob.unwrap()));
            }
        }
        let decrypt = |kms: &Client, arn: &str, blob: &Blob| {
            kms.decrypt().key_id(arn).ciphertext_blob(blob.clone()).encryption_context("app", "shop")
        };
        for (arn, blob) in &wrapped {
            let opened = decrypt(&kms, arn, blob).encryption_context("stage", "live").send().await.unwrap();
            assert_eq!(opened.plaintext.unwrap().as_ref(), data_key, "{arn}");
            let error = decrypt(&kms, arn, blob).send().await.unwrap_err().into_service_error();
            assert!(error.is_invalid_ciphertext_exception(), "{error:?}");
            let error = decrypt(&alice, arn, blob).encryption_context("stage", "live").send().await.unwrap_err();
            assert_eq!(error.code(), Some("AccessDeniedException"));
        }
        let (first, other) = (&wrapped[0], &wrapped[2]);
        let mixed = decrypt(&kms, &first.0, &other.1).encryption_context("stage", "live").send().await.unwrap_err();
        assert!(mixed.into_service_error().is_incorrect_key_exception());
    });
}
