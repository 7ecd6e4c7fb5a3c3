//! Discovery: the keys that a message may choose.

use serde_json::json;
use strongroom::envelope::{MultiKeyring, UnwrapFailures};
use strongroom::{Envelope, ErrorKind};
use strongroom_aws_kms::{AwsKmsKeyring, DiscoveryFilter};

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::server::{ACCESS_KEY, REGION, TestServer};
use crate::support::{PLAINTEXT, Sdk, aws_kms, config, context, environment, new_key, of_config};

#[test]
fn a_filter_decides_before_any_call() {
    let server = TestServer::start();
    let (kms, key) = (aws_kms(&server, ACCESS_KEY), new_key(&server));
    let message = Envelope::new(AwsKmsKeyring::new(&kms, &key).unwrap()).encrypt(PLAINTEXT, &context()).unwrap();
    let calls = || server.trail.events().len();
    let filters = [
        (DiscoveryFilter::any(), true),
        (DiscoveryFilter::accounts("aws", ["111122223333", "000000000000"]).unwrap(), true),
        (DiscoveryFilter::accounts("aws", ["111122223333"]).unwrap(), false),
        (DiscoveryFilter::accounts("aws-cn", ["000000000000"]).unwrap(), false),
    ];
    for (filter, allowed) in filters {
        let readers = [
            AwsKmsKeyring::discovery(&kms, filter.clone()),
            AwsKmsKeyring::multi_region_discovery(&kms, filter.clone()).unwrap(),
        ];
        for reader in readers {
            let before = calls();
            let opened = Envelope::new(reader).decrypt(&message, &context());
            assert_eq!(calls() > before, allowed, "{filter:?}");
            match opened {
                Ok(plaintext) => assert!(allowed && plaintext == PLAINTEXT, "{filter:?}"),
                Err(error) => {
                    assert!(!allowed && error.kind() == ErrorKind::NoDataKeyUnwrapped, "{error}");
                    assert!(error.to_string().contains("is excluded by the discovery filter"), "{error}");
                }
            }
        }
    }
    // The official SDKs decide alike.
    for mut sdk in Sdk::all("a_filter_decides_before_any_call", &environment(&server)) {
        for kind in ["discovery", "mrk_discovery"] {
            let allowed = json!({"kind": kind, "accounts": ["000000000000"]});
            assert_eq!(sdk.decrypt(&allowed, &message).as_deref(), Ok(PLAINTEXT));
            assert!(sdk.decrypt(&json!({"kind": kind, "accounts": ["111122223333"]}), &message).is_err());
        }
    }
}

#[test]
fn a_key_of_another_region_costs_no_call() {
    let server = TestServer::start();
    let (kms, key) = (aws_kms(&server, ACCESS_KEY), new_key(&server));
    let message = Envelope::new(AwsKmsKeyring::new(&kms, &key).unwrap()).encrypt(PLAINTEXT, &context()).unwrap();
    let endpoint = Endpoint::start(|_| Answer::exception(400, "NotFoundException", "Invalid arn eu-central-1"));
    let elsewhere = of_config(config(&endpoint.url(), "us-east-1", ACCESS_KEY));
    let readers = [
        AwsKmsKeyring::discovery(&elsewhere, DiscoveryFilter::any()),
        AwsKmsKeyring::multi_region_discovery(&elsewhere, DiscoveryFilter::any()).unwrap(),
    ];
    for reader in &readers {
        let error = Envelope::new(reader.clone()).decrypt(&message, &context()).unwrap_err();
        let failures: &UnwrapFailures = error.downcast_ref().unwrap();
        assert_eq!(failures.kind(), ErrorKind::IncorrectKey);
        assert!(error.to_string().contains("is in another Region than the client"), "{error}");
    }
    assert!(endpoint.requests().is_empty());
    // A keyring for each Region finds it.
    let [first, _] = readers;
    let regions = MultiKeyring::without_generator([first, AwsKmsKeyring::discovery(&kms, DiscoveryFilter::any())]);
    assert_eq!(Envelope::new(regions.unwrap()).decrypt(&message, &context()).unwrap(), PLAINTEXT);
    assert!(endpoint.requests().is_empty());
}

/// A sender can add data keys with any names. They change nothing.
#[test]
fn names_that_are_no_key_arns_are_skipped() {
    use strongroom::crypto::CryptoBackend;
    use strongroom::envelope::{DecryptionMaterials, EncryptionMaterials, Keyring};
    use strongroom::message::{AlgorithmSuite, EncryptedDataKey};

    let server = TestServer::start();
    let (kms, key) = (aws_kms(&server, ACCESS_KEY), new_key(&server));
    let (suite, backend) = (AlgorithmSuite::default(), CryptoBackend::default());
    let mut written = EncryptionMaterials::new(suite, context(), backend).unwrap();
    AwsKmsKeyring::new(&kms, &key).unwrap().on_encrypt(&mut written).unwrap();
    let own = &written.encrypted_data_keys()[0];
    let alias = format!("arn:aws:kms:{REGION}:000000000000:alias/orders");
    server.kms.create_alias("alias/orders", key.as_str()).unwrap();
    let id = key.rsplit_once('/').unwrap().1;
    let mut data_keys = Vec::new();
    for name in [&b"\xFF"[..], b"", b"arn:aws:kms", alias.as_bytes(), b"alias/orders", id.as_bytes()] {
        data_keys.push(EncryptedDataKey::new("aws-kms", name, own.ciphertext()));
    }
    data_keys.push(EncryptedDataKey::new("aws-kms-hierarchy", key.as_str(), own.ciphertext()));
    let before = server.trail.events().len();
    let strict = AwsKmsKeyring::new(&kms, &key).unwrap();
    let discovery = AwsKmsKeyring::discovery(&kms, DiscoveryFilter::any());
    for keyring in [&strict, &discovery] {
        let mut read = DecryptionMaterials::new(suite, context(), backend).unwrap();
        let error = keyring.on_decrypt(&mut read, &data_keys).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped, "{error}");
    }
    assert_eq!(server.trail.events().len(), before, "no call");
    data_keys.push(own.clone());
    for keyring in [&strict, &discovery] {
        let mut read = DecryptionMaterials::new(suite, context(), backend).unwrap();
        keyring.on_decrypt(&mut read, &data_keys).unwrap();
        assert_eq!(read.data_key(), written.data_key());
    }
}
