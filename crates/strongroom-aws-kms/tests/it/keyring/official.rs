//! The AWS Encryption SDK for Python and for JavaScript exchange messages with this keyring. Both call
//! the server.

use serde_json::json;
use strongroom::envelope::{KmsKeyring, MultiKeyring, RawAesKeyring};
use strongroom::message::{AlgorithmSuite, SuiteSupport, inspect};
use strongroom::{Envelope, SecretBytes};
use strongroom_aws_kms::{AwsKmsKeyring, DiscoveryFilter};

use crate::support::server::{ACCESS_KEY, TestServer};
use crate::support::{PLAINTEXT, Sdk, aws_kms, context, environment, new_key};

/// The keyrings of both SDKs.
const KINDS: [&str; 6] = ["kms", "multi", "discovery", "mrk", "mrk_multi", "mrk_discovery"];

#[test]
fn official_sdks_and_this_keyring_read_each_other() {
    let server = TestServer::start();
    let (kms, key, other) = (aws_kms(&server, ACCESS_KEY), new_key(&server), new_key(&server));
    let keyring = |key: &str| AwsKmsKeyring::new(&kms, key).unwrap();
    for mut sdk in Sdk::all("official_sdks_and_this_keyring_read_each_other", &environment(&server)) {
        for kind in KINDS {
            let theirs = json!({"kind": kind, "key": key, "others": [other], "accounts": ["000000000000"]});
            let several = MultiKeyring::new(keyring(&key)).with_child(keyring(&other));
            let ours = Envelope::new(several).encrypt(PLAINTEXT, &context()).unwrap();
            assert_eq!(sdk.decrypt(&theirs, &ours).as_deref(), Ok(PLAINTEXT), "{kind}");
            if kind.contains("discovery") {
                continue;
            }
            let message = sdk.encrypt(&theirs, None).unwrap_or_else(|error| panic!("{kind}: {error}"));
            let readers = [
                keyring(&key),
                AwsKmsKeyring::multi_region(&kms, &key).unwrap(),
                AwsKmsKeyring::discovery(&kms, DiscoveryFilter::any()),
                AwsKmsKeyring::multi_region_discovery(&kms, DiscoveryFilter::any()).unwrap(),
            ];
            for reader in readers {
                assert_eq!(Envelope::new(reader).decrypt(&message, &context()).unwrap(), PLAINTEXT, "{kind}");
            }
            let escrow = Envelope::new(keyring(&other)).decrypt(&message, &context());
            assert_eq!(escrow.is_ok(), kind.contains("multi"), "{kind}");
        }
        suites(&mut sdk, &kms, &key);
    }
}

/// Every committing suite in both directions, signed ones included. The data keys have 32 bytes.
fn suites(sdk: &mut Sdk, kms: &strongroom_aws_kms::AwsKms, key: &str) {
    let theirs = json!({"kind": "kms", "key": key});
    let committing = AlgorithmSuite::ALL.iter().filter(|suite| suite.is_committing());
    for &suite in committing.filter(|suite| suite.support() == SuiteSupport::Full) {
        let keyring = AwsKmsKeyring::new(kms, key).unwrap();
        let envelope = Envelope::builder(keyring).algorithm_suite(suite).build().unwrap();
        let message = envelope.encrypt(PLAINTEXT, &context()).unwrap();
        assert_eq!(sdk.decrypt(&theirs, &message).as_deref(), Ok(PLAINTEXT), "{suite}");
        let message = sdk.encrypt(&theirs, Some(suite.id())).unwrap();
        assert_eq!(inspect(&message).unwrap().suite(), suite);
        assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT, "{suite}");
    }
}

/// During a migration, a message has a data key for AWS KMS and one for the local store, and each side
/// reads it alone.
#[test]
fn keyrings_of_aws_and_of_strongroom_wrap_one_data_key() {
    let server = TestServer::start();
    let (kms, key) = (aws_kms(&server, ACCESS_KEY), new_key(&server));
    let local = strongroom::Kms::in_memory().unwrap();
    let own = local.create_key(Default::default()).unwrap().key_id();
    let (aws, here) = (AwsKmsKeyring::new(&kms, &key).unwrap(), KmsKeyring::new(&local, own).unwrap());
    let raw = || RawAesKeyring::new("safe", "paper copy", SecretBytes::zeroed(32)).unwrap();
    for both in [
        MultiKeyring::new(aws.clone()).with_child(here.clone()).with_child(raw()),
        MultiKeyring::new(here.clone()).with_child(raw()).with_child(aws.clone()),
    ] {
        let message = Envelope::new(both).encrypt(PLAINTEXT, &context()).unwrap();
        assert_eq!(inspect(&message).unwrap().data_keys().len(), 3);
        for mut sdk in Sdk::all("keyrings_of_aws_and_of_strongroom_wrap_one_data_key", &environment(&server)) {
            assert_eq!(sdk.decrypt(&json!({"kind": "kms", "key": key}), &message).as_deref(), Ok(PLAINTEXT));
        }
        assert_eq!(Envelope::new(aws.clone()).decrypt(&message, &context()).unwrap(), PLAINTEXT);
        assert_eq!(Envelope::new(here.clone()).decrypt(&message, &context()).unwrap(), PLAINTEXT);
    }
}
