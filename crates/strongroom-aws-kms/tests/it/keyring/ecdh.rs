//! The keyring with an elliptic-curve key, and its counterpart in the AWS Encryption SDK for Python.
//! The SDK for JavaScript has none.

use serde_json::json;
use strongroom::crypto::{CryptoBackend, KeyPairKind};
use strongroom::envelope::{RawEcdhKeyring, UnwrapFailures, conformance};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::message::AlgorithmSuite;
use strongroom::request::CreateKeyRequest;
use strongroom::{Envelope, ErrorKind, Kms, Result};
use strongroom_aws_kms::{AwsKms, AwsKmsEcdhKeyring, AwsKmsError, AwsKmsFailure};

use crate::outages::{Fault, quick};
use crate::support::endpoint::{Answer, Endpoint};
use crate::support::server::{ACCESS_KEY, ALICE_ACCESS_KEY, TestServer};
use crate::support::{PLAINTEXT, Sdk, aws_kms, context, environment, of_config};

/// The curves, with their names in the other SDK.
const CURVES: [(KeySpec, KeyPairKind, &str); 3] = [
    (KeySpec::EccNistP256, KeyPairKind::EccP256, "ECC_NIST_P256"),
    (KeySpec::EccNistP384, KeyPairKind::EccP384, "ECC_NIST_P384"),
    (KeySpec::EccNistP521, KeyPairKind::EccP521, "ECC_NIST_P521"),
];

/// A key in AWS KMS.
struct Key {
    arn: String,
    public: Vec<u8>,
}

impl Key {
    fn new(kms: &Kms, spec: KeySpec) -> Self {
        let request = CreateKeyRequest::default().spec(spec).usage(KeyUsage::KeyAgreement);
        let key = kms.create_key(request).unwrap();
        Self { arn: key.arn().to_string(), public: kms.get_public_key(key.key_id()).unwrap().public_key }
    }

    fn with(&self, aws: &AwsKms, peer: &[u8]) -> AwsKmsEcdhKeyring {
        AwsKmsEcdhKeyring::static_keys(aws, &self.arn, &self.public, peer).unwrap()
    }

    fn alone(&self, aws: &AwsKms) -> AwsKmsEcdhKeyring {
        AwsKmsEcdhKeyring::discovery(aws, &self.arn, &self.public).unwrap()
    }
}

#[test]
fn the_ecdh_keyring_meets_the_contract() {
    let server = TestServer::start();
    let aws = aws_kms(&server, ACCESS_KEY);
    for (spec, _, _) in CURVES {
        let (own, peer) = (Key::new(&server.kms, spec), Key::new(&server.kms, spec));
        assert_eq!(AwsKmsEcdhKeyring::public_key(&aws, &own.arn).unwrap(), own.public);
        let writer = own.with(&aws, &peer.public);
        for reader in [own.with(&aws, &peer.public), peer.with(&aws, &own.public), peer.alone(&aws)] {
            conformance::run(&writer, &reader).unwrap();
            conformance::run_context(&writer, &reader).unwrap();
        }
    }
}

#[test]
fn the_python_sdk_and_the_ecdh_keyring_read_each_other() {
    let server = TestServer::start();
    let aws = aws_kms(&server, ACCESS_KEY);
    let test = "the_python_sdk_and_the_ecdh_keyring_read_each_other";
    for mut sdk in Sdk::python(test, &environment(&server)) {
        for (spec, _, curve) in CURVES {
            let (own, peer) = (Key::new(&server.kms, spec), Key::new(&server.kms, spec));
            let hexadecimal = |key: &Key| base16ct::lower::encode_string(&key.public);
            let theirs = |key: &Key, peer: &Key| json!({"kind": "ecdh", "key": key.arn, "peer": hexadecimal(peer), "curve": curve});
            let alone = |key: &Key| json!({"kind": "ecdh", "key": key.arn, "curve": curve});
            let message = Envelope::new(own.with(&aws, &peer.public)).encrypt(PLAINTEXT, &context()).unwrap();
            for reader in [theirs(&own, &peer), theirs(&peer, &own), alone(&peer)] {
                assert_eq!(sdk.decrypt(&reader, &message).as_deref(), Ok(PLAINTEXT), "{curve}");
            }
            assert!(sdk.decrypt(&alone(&own), &message).is_err(), "{curve}");
            let signed = AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384;
            for suite in [AlgorithmSuite::default(), signed] {
                let message = sdk.encrypt(&theirs(&own, &peer), Some(suite.id())).unwrap();
                for reader in [own.with(&aws, &peer.public), peer.with(&aws, &own.public), peer.alone(&aws)] {
                    assert_eq!(
                        Envelope::new(reader).decrypt(&message, &context()).unwrap(),
                        PLAINTEXT,
                        "{curve} {suite}"
                    );
                }
            }
        }
    }
}

/// The owner of a raw private key needs no AWS KMS.
#[test]
fn a_raw_key_and_a_key_in_aws_kms_read_each_other() {
    let server = TestServer::start();
    let (aws, backend) = (aws_kms(&server, ACCESS_KEY), CryptoBackend::default());
    for (spec, kind, _) in CURVES {
        let own = Key::new(&server.kms, spec);
        let peer = backend.key_pairs().generate(kind, backend.random()).unwrap();
        let pkcs8 = peer.to_pkcs8().unwrap();
        let there = Envelope::new(RawEcdhKeyring::static_keys(pkcs8.expose_secret(), &own.public).unwrap());
        let here = Envelope::new(own.with(&aws, &peer.public_key_der()));
        let message = here.encrypt(PLAINTEXT, &context()).unwrap();
        assert_eq!(there.decrypt(&message, &context()).unwrap(), PLAINTEXT);
        let message = there.encrypt(PLAINTEXT, &context()).unwrap();
        assert_eq!(here.decrypt(&message, &context()).unwrap(), PLAINTEXT);
        let anybody = Envelope::new(RawEcdhKeyring::ephemeral(&own.public).unwrap());
        let message = anybody.encrypt(PLAINTEXT, &context()).unwrap();
        assert_eq!(Envelope::new(own.alone(&aws)).decrypt(&message, &context()).unwrap(), PLAINTEXT);
        assert!(here.decrypt(&message, &context()).is_err(), "it is from another sender");
    }
}

#[test]
fn failures_of_an_agreement_keep_their_kind() {
    use AwsKmsFailure::{AccessDenied, KeyDisabled, Throttled, Unreachable};
    let kms = Kms::in_memory().unwrap();
    let (own, peer) = (Key::new(&kms, KeySpec::EccNistP256), Key::new(&kms, KeySpec::EccNistP256));
    let sound = {
        let kms = kms.clone();
        Endpoint::start(move |request| Answer::of(&kms, request))
    };
    let message = Envelope::new(own.with(&of_config(quick(&sound.url())), &peer.public));
    let message = message.encrypt(PLAINTEXT, &context()).unwrap();
    let rows: [(Fault, AwsKmsFailure, ErrorKind, usize); 4] = [
        (|| Answer::Close, Unreachable, ErrorKind::KeyUnavailable, 3),
        (|| Answer::exception(400, "ThrottlingException", "Rate exceeded"), Throttled, ErrorKind::KeyUnavailable, 3),
        (|| Answer::exception(400, "AccessDeniedException", "no"), AccessDenied, ErrorKind::AccessDenied, 1),
        (|| Answer::exception(400, "DisabledException", "disabled"), KeyDisabled, ErrorKind::Disabled, 1),
    ];
    for (fault, expected, kind, attempts) in rows {
        let endpoint = Endpoint::start(move |_| fault());
        let envelope = Envelope::new(own.with(&of_config(quick(&endpoint.url())), &peer.public));
        let written = envelope.encrypt(PLAINTEXT, &context()).unwrap_err();
        let read = envelope.decrypt(&message, &context()).unwrap_err();
        assert_eq!((written.kind(), read.downcast_ref().map(UnwrapFailures::kind)), (kind, Some(kind)), "{read}");
        for error in [&written, &read] {
            let found = AwsKmsError::find(error).unwrap();
            assert_eq!((found.failure(), found.operation()), (expected, "DeriveSharedSecret"), "{error}");
        }
        assert_eq!(endpoint.requests().len(), 2 * attempts, "{expected:?}");
    }
    // Another key than that of the keyring, and an answer of another length.
    let other = Key::new(&kms, KeySpec::EccNistP256).arn;
    for (from, to) in
        [(own.arn.clone(), other), (String::from("\"SharedSecret\":\""), String::from("\"SharedSecret\":\"AAAA"))]
    {
        let kms = kms.clone();
        let endpoint = Endpoint::start(move |request| match Answer::of(&kms, request) {
            Answer::Reply(status, kind, body) => {
                Answer::Reply(status, kind, String::from_utf8(body).unwrap().replace(&from, &to).into_bytes())
            }
            other => other,
        });
        let envelope = Envelope::new(own.with(&of_config(quick(&endpoint.url())), &peer.public));
        let kind = envelope.encrypt(PLAINTEXT, &context()).unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::IncorrectKey | ErrorKind::Internal), "{kind:?}");
    }
}

#[test]
fn keys_of_other_kinds_are_rejected() {
    let server = TestServer::start();
    let aws = aws_kms(&server, ACCESS_KEY);
    let (own, peer) = (Key::new(&server.kms, KeySpec::EccNistP256), Key::new(&server.kms, KeySpec::EccNistP384));
    let refused = |result: Result<AwsKmsEcdhKeyring>| result.unwrap_err().kind();
    let between = |arn: &str, peer: &[u8]| AwsKmsEcdhKeyring::static_keys(&aws, arn, &own.public, peer);
    assert_eq!(refused(between(&own.arn, &peer.public)), ErrorKind::Validation, "another curve");
    assert_eq!(refused(between(&own.arn, b"no key")), ErrorKind::Validation);
    for arn in ["alias/orders", "1234abcd", "arn:aws:kms:eu-west-1:111122223333:alias/orders"] {
        assert_eq!(refused(between(arn, &own.public)), ErrorKind::InvalidArn, "{arn}");
        assert_eq!(AwsKmsEcdhKeyring::public_key(&aws, arn).unwrap_err().kind(), ErrorKind::InvalidArn, "{arn}");
    }
    assert!(own.alone(&aws).with_grant_tokens(["token"; 11]).is_err());
    // Alice has no permission for the key.
    let alice = aws_kms(&server, ALICE_ACCESS_KEY);
    let denied = Envelope::new(own.with(&alice, &own.public)).encrypt(PLAINTEXT, &context()).unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::AccessDenied, "{denied}");
    assert_eq!(AwsKmsEcdhKeyring::public_key(&alice, &own.arn).unwrap_err().kind(), ErrorKind::AccessDenied);
}
