//! The keyring with an RSA key, and its counterpart in the AWS Encryption SDK for Python. The SDK for
//! JavaScript has none.

use base64ct::{Base64, Encoding};
use serde_json::json;
use strongroom::crypto::RsaOaep;
use strongroom::envelope::{UnwrapFailures, conformance};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::message::AlgorithmSuite;
use strongroom::request::CreateKeyRequest;
use strongroom::{EncryptionContext, Envelope, ErrorKind};
use strongroom_aws_kms::AwsKmsRsaKeyring;

use crate::support::server::{ACCESS_KEY, TestServer};
use crate::support::{PLAINTEXT, Sdk, aws_kms, context, environment};

/// A server with an RSA key.
struct World {
    server: TestServer,
    arn: String,
    public_key: Vec<u8>,
}

impl World {
    fn start() -> Self {
        let server = TestServer::start();
        let request = CreateKeyRequest::default().spec(KeySpec::Rsa2048).usage(KeyUsage::EncryptDecrypt);
        let key = server.kms.create_key(request).unwrap();
        let public_key = server.kms.get_public_key(key.key_id()).unwrap().public_key;
        Self { arn: key.arn().to_string(), server, public_key }
    }

    fn keyring(&self, oaep: RsaOaep) -> AwsKmsRsaKeyring {
        AwsKmsRsaKeyring::new(&aws_kms(&self.server, ACCESS_KEY), &self.arn, oaep).unwrap()
    }

    fn writer(&self, oaep: RsaOaep) -> AwsKmsRsaKeyring {
        AwsKmsRsaKeyring::encrypt_only(&self.arn, oaep, &self.public_key).unwrap()
    }
}

#[test]
fn the_rsa_keyring_meets_the_contract() {
    let world = World::start();
    for oaep in [RsaOaep::Sha1, RsaOaep::Sha256] {
        let (writer, reader) = (world.writer(oaep), world.keyring(oaep));
        conformance::run(&writer, &reader).unwrap();
        conformance::run_context(&writer, &reader).unwrap();
    }
}

#[test]
fn the_python_sdk_and_the_rsa_keyring_read_each_other() {
    let world = World::start();
    let lines = Base64::encode_string(&world.public_key);
    let lines: Vec<_> = lines.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let envelope = Envelope::new(world.keyring(RsaOaep::Sha256).with_public_key(&world.public_key).unwrap());
    let test = "the_python_sdk_and_the_rsa_keyring_read_each_other";
    for mut sdk in Sdk::python(test, &environment(&world.server)) {
        let theirs = json!({"kind": "rsa", "key": world.arn, "public": pem});
        let message = sdk.encrypt(&theirs, Some(AlgorithmSuite::default().id())).unwrap();
        assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT);
        let ours = envelope.encrypt(PLAINTEXT, &context()).unwrap();
        assert_eq!(sdk.decrypt(&json!({"kind": "rsa", "key": world.arn}), &ours).as_deref(), Ok(PLAINTEXT));
    }
}

#[test]
fn writing_needs_no_call_and_reading_needs_the_key() {
    let world = World::start();
    let message = Envelope::new(world.writer(RsaOaep::Sha256)).encrypt(PLAINTEXT, &context()).unwrap();
    let decrypts = world.server.trail.events().iter().filter(|event| format!("{event:?}").contains("Decrypt")).count();
    assert_eq!(decrypts, 0);
    let read = |keyring: AwsKmsRsaKeyring| Envelope::new(keyring).decrypt(&message, &context());
    assert_eq!(read(world.keyring(RsaOaep::Sha256)).unwrap(), PLAINTEXT);
    assert_eq!(read(world.writer(RsaOaep::Sha256)).unwrap_err().kind(), ErrorKind::Validation);
    // Another hash function, and another key.
    let error = read(world.keyring(RsaOaep::Sha1)).unwrap_err();
    assert_eq!(error.downcast_ref().map(UnwrapFailures::kind), Some(ErrorKind::InvalidCiphertext), "{error}");
    let other = World::start().arn;
    let other = AwsKmsRsaKeyring::new(&aws_kms(&world.server, ACCESS_KEY), &other, RsaOaep::Sha256).unwrap();
    let error = read(other).unwrap_err();
    assert_eq!(error.downcast_ref().map(UnwrapFailures::kind), Some(ErrorKind::IncorrectKey), "{error}");
    // Without its public key, the keyring does not write. With a signature, neither side does.
    let reader = Envelope::new(world.keyring(RsaOaep::Sha256));
    assert_eq!(reader.encrypt(PLAINTEXT, &EncryptionContext::new()).unwrap_err().kind(), ErrorKind::Validation);
    let signed = AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384;
    let signed = Envelope::builder(world.writer(RsaOaep::Sha256)).algorithm_suite(signed).build().unwrap();
    assert_eq!(signed.encrypt(PLAINTEXT, &context()).unwrap_err().kind(), ErrorKind::Validation);
}

#[test]
fn keys_of_other_kinds_are_rejected() {
    let world = World::start();
    let refused = |result: strongroom::Result<AwsKmsRsaKeyring>| result.unwrap_err().kind();
    for oaep in [RsaOaep::Sha384, RsaOaep::Sha512] {
        assert_eq!(refused(AwsKmsRsaKeyring::encrypt_only(&world.arn, oaep, &world.public_key)), ErrorKind::Validation);
    }
    let curve = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    let curve = world.server.kms.create_key(curve).unwrap().key_id();
    let curve = world.server.kms.get_public_key(curve).unwrap().public_key;
    for key in [&curve[..], &world.public_key[1..], b""] {
        assert_eq!(refused(AwsKmsRsaKeyring::encrypt_only(&world.arn, RsaOaep::Sha256, key)), ErrorKind::Validation);
    }
    for arn in ["alias/orders", "1234abcd", "arn:aws:kms:eu-west-1:111122223333:alias/orders"] {
        let refusal = refused(AwsKmsRsaKeyring::encrypt_only(arn, RsaOaep::Sha256, &world.public_key));
        assert_eq!(refusal, ErrorKind::InvalidArn, "{arn}");
    }
    assert!(world.writer(RsaOaep::Sha256).with_grant_tokens(["token"; 11]).is_err());
}
