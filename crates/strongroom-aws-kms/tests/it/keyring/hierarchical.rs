//! The hierarchical keyring with branch keys under a key in AWS KMS, and the official keyrings with their
//! key store in DynamoDB.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::envelope::{
    BranchKeyItem, BranchKeyStore, BranchKeyVersion, BranchKeyWrapper, CachingMaterialsManager, HierarchicalKeyring,
    KmsBranchKeyWrapper, UnwrapFailures,
};
use strongroom::key::KeyArn;
use strongroom::message::{AlgorithmSuite, SuiteSupport, inspect};
use strongroom::store::MemoryStore;
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms};
use strongroom_aws_kms::{AwsKms, AwsKmsBranchKeyWrapper, AwsKmsError, AwsKmsFailure, AwsKmsKeyring};

use crate::outages::{Fault, quick};
use crate::support::endpoint::{Answer, Endpoint};
use crate::support::peer::{self, Conversation};
use crate::support::server::{ACCESS_KEY, ALICE_ACCESS_KEY, TestServer};
use crate::support::{PLAINTEXT, aws_kms, context, environment, new_key, of_config};

const TTL: Duration = Duration::from_secs(600);
/// The logical name of the key stores.
const NAME: &str = "logical-name-of-branch-keys";

/// The official keyring and its key store.
struct Official(Conversation);

impl Official {
    fn start(test: &str, server: &TestServer, key: &str) -> Option<Self> {
        Some(Self::of(&peer::python(test)?, "hierarchical_keyring.py", server, key))
    }

    /// Starts the one for JavaScript, whose key store only reads.
    fn in_javascript(test: &str, server: &TestServer, key: &str) -> Option<Self> {
        Some(Self::of(&peer::node(test)?, "hierarchical_keyring.js", server, key))
    }

    fn of(interpreter: &Path, script: &str, server: &TestServer, key: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/peers").join(script);
        let mut opened = Self(Conversation::start(interpreter, script.to_str().unwrap(), &environment(server)));
        opened.ask(&json!({"do": "open", "key": key, "name": NAME})).unwrap();
        opened
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let answer = self.0.ask(request);
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }

    /// Returns all items of a branch key.
    fn items(&mut self, id: &str) -> Vec<BranchKeyItem> {
        let answer = self.ask(&json!({"do": "query", "id": id})).unwrap();
        BranchKeyItem::list_from_json(answer.to_string().as_bytes()).unwrap()
    }

    /// Stores items, which may replace others.
    fn put(&mut self, items: &[BranchKeyItem]) {
        let parsed = |item: &BranchKeyItem| serde_json::from_str::<Value>(&item.to_json().unwrap()).unwrap();
        let items: Vec<_> = items.iter().map(parsed).collect();
        self.ask(&json!({"do": "put", "items": items})).unwrap();
    }

    fn encrypt(&mut self, id: Option<&str>, suite: AlgorithmSuite, context: &EncryptionContext) -> Vec<u8> {
        let context: Value = context.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        let plaintext = base16ct::lower::encode_string(PLAINTEXT);
        let request =
            json!({"do": "encrypt", "id": id, "suite": suite.id(), "context": context, "plaintext": plaintext});
        bytes(&self.ask(&request).unwrap()["ciphertext"])
    }

    fn decrypt(&mut self, id: Option<&str>, message: &[u8], context: &EncryptionContext) -> Result<Vec<u8>, String> {
        let context: Value = context.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        let message = base16ct::lower::encode_string(message);
        let request = json!({"do": "decrypt", "id": id, "context": context, "ciphertext": message});
        Ok(bytes(&self.ask(&request)?["plaintext"]))
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    base16ct::lower::decode_vec(value.as_str().unwrap()).unwrap()
}

fn open(wrapper: impl BranchKeyWrapper + 'static) -> BranchKeyStore {
    BranchKeyStore::new(MemoryStore::new(&Default::default()).unwrap(), NAME, wrapper).unwrap()
}

fn envelope(keys: &BranchKeyStore, id: &str, suite: AlgorithmSuite) -> Envelope {
    let keyring = HierarchicalKeyring::new(keys, id, TTL).unwrap();
    Envelope::builder(keyring).algorithm_suite(suite).build().unwrap()
}

fn of(tenant: &str) -> EncryptionContext {
    context().with("tenant", tenant)
}

/// Asserts that both sides have the same keys.
fn same_keys(official: &mut Official, keys: &BranchKeyStore, id: &str) {
    let (active, beacon) = (keys.active(id).unwrap(), keys.beacon(id).unwrap());
    let theirs = official.ask(&json!({"do": "active", "id": id})).unwrap();
    assert_eq!(
        (bytes(&theirs["key"]), &theirs["version"]),
        (active.expose_secret().to_vec(), &json!(active.version().to_string()))
    );
    let context: Value =
        active.encryption_context().iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    assert_eq!(theirs["context"], context);
    assert_eq!(bytes(&official.ask(&json!({"do": "beacon", "id": id})).unwrap()["key"]), beacon.expose_secret());
    for item in keys.export(id).unwrap() {
        let Some(version) = item.item_type().strip_prefix("branch:version:") else { continue };
        let theirs = official.ask(&json!({"do": "version", "id": id, "version": version})).unwrap();
        let version = BranchKeyVersion::parse(version).unwrap();
        assert_eq!(bytes(&theirs["key"]), keys.version(id, version).unwrap().expose_secret());
    }
}

/// Runs a test with a key that a local `Kms` and AWS KMS hold.
fn both(test: &str, run: impl Fn(&mut Official, &dyn Fn() -> BranchKeyStore)) {
    let server = TestServer::start();
    let key = new_key(&server);
    let Some(mut official) = Official::start(test, &server, &key) else { return };
    let local = KmsBranchKeyWrapper::new(&server.kms, &KeyArn::parse(&key).unwrap());
    run(&mut official, &|| open(local.clone()));
    let mut official = Official::start(test, &server, &key).unwrap();
    let aws = AwsKmsBranchKeyWrapper::new(&aws_kms(&server, ACCESS_KEY), &key).unwrap();
    run(&mut official, &|| open(aws.clone()));
}

#[test]
fn the_python_sdk_and_the_hierarchical_keyring_read_each_other() {
    both("the_python_sdk_and_the_hierarchical_keyring_read_each_other", |official, new| {
        // A branch key of this crate, and one of the official key store.
        let keys = new();
        keys.create_branch_key_as("tenant/42", &of("42")).unwrap();
        official.put(&keys.export("tenant/42").unwrap());
        official.ask(&json!({"do": "create", "id": "tenant/41", "context": {"Straße": "日本"}})).unwrap();
        keys.import(&official.items("tenant/41")).unwrap();
        let id = official.ask(&json!({"do": "create", "id": null, "context": null})).unwrap();
        let id = id["id"].as_str().unwrap();
        keys.import(&official.items(id)).unwrap();
        for id in ["tenant/42", "tenant/41", id] {
            same_keys(official, &keys, id);
            assert_eq!(official.items(id).len(), 3);
            let committing = AlgorithmSuite::ALL.iter().filter(|suite| suite.is_committing());
            for &suite in committing.filter(|suite| suite.support() == SuiteSupport::Full) {
                let ours = envelope(&keys, id, suite);
                let message = ours.encrypt(PLAINTEXT, &context()).unwrap();
                assert_eq!(official.decrypt(Some(id), &message, &context()).as_deref(), Ok(PLAINTEXT), "{id} {suite}");
                let message = official.encrypt(Some(id), suite, &context());
                assert_eq!(inspect(&message).unwrap().data_keys()[0].provider_info(), id.as_bytes());
                assert_eq!(ours.decrypt(&message, &context()).unwrap(), PLAINTEXT, "{id} {suite}");
            }
        }
    });
}

#[test]
fn the_javascript_sdk_and_the_hierarchical_keyring_read_each_other() {
    let test = "the_javascript_sdk_and_the_hierarchical_keyring_read_each_other";
    let server = TestServer::start();
    let key = new_key(&server);
    let Some(mut official) = Official::in_javascript(test, &server, &key) else { return };
    let keys = open(AwsKmsBranchKeyWrapper::new(&aws_kms(&server, ACCESS_KEY), &key).unwrap());
    keys.create_branch_key_as("tenant/42", &of("42")).unwrap();
    for suite in AlgorithmSuite::ALL.iter().filter(|suite| suite.is_committing()) {
        if suite.support() != SuiteSupport::Full {
            continue;
        }
        // With the first version, and after a rotation with two of them.
        official.put(&keys.export("tenant/42").unwrap());
        let ours = envelope(&keys, "tenant/42", *suite);
        for id in [Some("tenant/42"), None] {
            let message = ours.encrypt(PLAINTEXT, &of("42")).unwrap();
            assert_eq!(official.decrypt(id, &message, &of("42")).as_deref(), Ok(PLAINTEXT), "{suite}");
            let message = official.encrypt(id, *suite, &of("42"));
            assert_eq!(ours.decrypt(&message, &of("42")).unwrap(), PLAINTEXT, "{suite}");
        }
        let earlier = official.encrypt(Some("tenant/42"), *suite, &of("42"));
        keys.rotate("tenant/42").unwrap();
        assert_eq!(ours.decrypt(&earlier, &of("42")).unwrap(), PLAINTEXT, "{suite}");
        official.put(&keys.export("tenant/42").unwrap());
        assert_eq!(official.decrypt(Some("tenant/42"), &earlier, &of("42")).as_deref(), Ok(PLAINTEXT), "{suite}");
    }
    keys.create_branch_key_as("tenant/43", &of("43")).unwrap();
    official.put(&keys.export("tenant/43").unwrap());
    let message = envelope(&keys, "tenant/43", AlgorithmSuite::default()).encrypt(PLAINTEXT, &of("43")).unwrap();
    assert!(official.decrypt(Some("tenant/42"), &message, &of("43")).is_err());
    assert_eq!(official.decrypt(None, &message, &of("43")).as_deref(), Ok(PLAINTEXT));
}

#[test]
fn versions_that_either_side_created_open_in_the_other() {
    both("versions_that_either_side_created_open_in_the_other", |official, new| {
        let (keys, suite) = (new(), AlgorithmSuite::default());
        keys.create_branch_key_as("a", &of("42")).unwrap();
        official.put(&keys.export("a").unwrap());
        let mut messages = vec![
            envelope(&keys, "a", suite).encrypt(PLAINTEXT, &context()).unwrap(),
            official.encrypt(Some("a"), suite, &context()),
        ];
        // Rotated here, and then there.
        keys.rotate("a").unwrap();
        official.put(&keys.export("a").unwrap());
        messages.push(envelope(&keys, "a", suite).encrypt(PLAINTEXT, &context()).unwrap());
        messages.push(official.encrypt(Some("a"), suite, &context()));
        official.ask(&json!({"do": "rotate", "id": "a"})).unwrap();
        keys.import(&official.items("a")).unwrap();
        messages.push(envelope(&keys, "a", suite).encrypt(PLAINTEXT, &context()).unwrap());
        messages.push(official.encrypt(Some("a"), suite, &context()));
        assert_eq!(keys.export("a").unwrap().len(), 5);
        same_keys(official, &keys, "a");
        let version = |message: &[u8]| inspect(message).unwrap().data_keys()[0].ciphertext()[28..44].to_vec();
        for (index, message) in messages.iter().enumerate() {
            assert_eq!(version(message), version(&messages[index / 2 * 2]));
            assert!(index < 2 || version(message) != version(&messages[index - 2]));
            assert_eq!(envelope(&keys, "a", suite).decrypt(message, &context()).unwrap(), PLAINTEXT);
            assert_eq!(official.decrypt(Some("a"), message, &context()).as_deref(), Ok(PLAINTEXT));
        }
    });
}

#[test]
fn both_sides_choose_the_branch_key_of_a_tenant() {
    both("both_sides_choose_the_branch_key_of_a_tenant", |official, new| {
        let keys = new();
        for tenant in ["41", "42"] {
            keys.create_branch_key_as(&format!("tenant/{tenant}"), &of(tenant)).unwrap();
            official.put(&keys.export(&format!("tenant/{tenant}")).unwrap());
        }
        let keyring = HierarchicalKeyring::with_supplier(&keys, TTL, |context| {
            let missing = || Error::new(ErrorKind::Validation, "no tenant");
            context.get("tenant").map(|tenant| format!("tenant/{tenant}")).ok_or_else(missing)
        });
        let ours = Envelope::new(keyring.unwrap());
        for tenant in ["41", "42"] {
            let message = ours.encrypt(PLAINTEXT, &of(tenant)).unwrap();
            assert_eq!(official.decrypt(None, &message, &of(tenant)).as_deref(), Ok(PLAINTEXT));
            let message = official.encrypt(None, AlgorithmSuite::default(), &of(tenant));
            assert_eq!(ours.decrypt(&message, &of(tenant)).unwrap(), PLAINTEXT);
        }
        let message = ours.encrypt(PLAINTEXT, &of("41")).unwrap();
        assert!(official.decrypt(Some("tenant/42"), &message, &of("41")).is_err());
        let other = envelope(&keys, "tenant/42", AlgorithmSuite::default()).decrypt(&message, &of("41")).unwrap_err();
        assert_eq!(other.downcast_ref().map(UnwrapFailures::kind), Some(ErrorKind::IncorrectKey));
    });
}

/// The table of the README, with fewer messages.
#[test]
fn branch_keys_save_calls_for_all_contexts() {
    let kms = Kms::in_memory().unwrap();
    let key = kms.create_key(Default::default()).unwrap().arn().to_string();
    let answering = kms.clone();
    let endpoint = Endpoint::start(move |request| Answer::of(&answering, request));
    let keys = open(AwsKmsBranchKeyWrapper::new(&of_config(quick(&endpoint.url())), &key).unwrap());
    let operations = |from: usize| {
        let requests = endpoint.requests();
        requests[from..].iter().map(|request| request.operation.clone()).collect::<Vec<_>>()
    };
    let id = keys.create_branch_key(&EncryptionContext::new()).unwrap();
    let new = ["GenerateDataKeyWithoutPlaintext", "ReEncrypt", "GenerateDataKeyWithoutPlaintext"];
    assert_eq!(operations(0), new);
    let ours = envelope(&keys, &id, AlgorithmSuite::default());
    let of = |row: usize| context().with("row", row.to_string());
    let messages: Vec<_> = (0..200).map(|row| ours.encrypt(PLAINTEXT, &of(row)).unwrap()).collect();
    assert_eq!(operations(3), ["Decrypt"]);
    for (row, message) in messages.iter().enumerate() {
        assert_eq!(ours.decrypt(message, &of(row)).unwrap(), PLAINTEXT);
    }
    assert_eq!(operations(4), ["Decrypt"]);
    // A cached data key serves one context.
    let manager =
        CachingMaterialsManager::builder(AwsKmsKeyring::new(&of_config(quick(&endpoint.url())), &key).unwrap(), TTL);
    let cached = Envelope::new(manager.build().unwrap());
    let before = endpoint.requests().len();
    (0..20).for_each(|row| drop(cached.encrypt(PLAINTEXT, &of(row)).unwrap()));
    assert_eq!(operations(before), ["GenerateDataKey"; 20]);
    let before = endpoint.requests().len();
    keys.rotate(&id).unwrap();
    assert_eq!(operations(before), ["ReEncrypt", "GenerateDataKeyWithoutPlaintext", "ReEncrypt"]);
}

#[test]
fn failures_of_aws_kms_keep_their_kind() {
    use AwsKmsFailure::{AccessDenied, InvalidResponse, KeyDisabled, Throttled, Unreachable};
    let kms = Kms::in_memory().unwrap();
    let key = kms.create_key(Default::default()).unwrap();
    let sound = open(KmsBranchKeyWrapper::new(&kms, key.arn()));
    sound.create_branch_key_as("a", &context()).unwrap();
    let message = envelope(&sound, "a", AlgorithmSuite::default()).encrypt(PLAINTEXT, &context()).unwrap();
    let rows: [(Fault, AwsKmsFailure, ErrorKind, usize); 5] = [
        (|| Answer::Close, Unreachable, ErrorKind::KeyUnavailable, 3),
        (|| Answer::exception(400, "ThrottlingException", "Rate exceeded"), Throttled, ErrorKind::KeyUnavailable, 3),
        (|| Answer::exception(400, "AccessDeniedException", "no"), AccessDenied, ErrorKind::AccessDenied, 1),
        (|| Answer::exception(400, "DisabledException", "disabled"), KeyDisabled, ErrorKind::Disabled, 1),
        (
            || Answer::Reply(200, "application/x-amz-json-1.1", b"{}".to_vec()),
            InvalidResponse,
            ErrorKind::KeyUnavailable,
            1,
        ),
    ];
    let wrapper = |kms: &AwsKms| AwsKmsBranchKeyWrapper::new(kms, &key.arn().to_string()).unwrap();
    for (fault, expected, kind, attempts) in rows {
        let (answering, healthy) = (kms.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true)));
        let switch = std::sync::Arc::clone(&healthy);
        let endpoint = Endpoint::start(move |request| match switch.load(std::sync::atomic::Ordering::SeqCst) {
            true => Answer::of(&answering, request),
            false => fault(),
        });
        let keys = open(wrapper(&of_config(quick(&endpoint.url()))));
        keys.import(&sound.export("a").unwrap()).unwrap();
        healthy.store(false, std::sync::atomic::Ordering::SeqCst);
        let before = endpoint.requests().len();
        let ours = envelope(&keys, "a", AlgorithmSuite::default());
        let read = ours.decrypt(&message, &context()).unwrap_err();
        assert_eq!(read.downcast_ref().map(UnwrapFailures::kind), Some(kind), "{read}");
        let others = [
            ours.encrypt(PLAINTEXT, &context()).unwrap_err(),
            keys.create_branch_key(&context()).unwrap_err(),
            keys.rotate("a").unwrap_err(),
        ];
        assert_eq!(endpoint.requests().len() - before, 4 * attempts, "{expected:?}");
        others.iter().for_each(|error| assert_eq!(error.kind(), kind, "{error}"));
        let operations = ["Decrypt", "Decrypt", "GenerateDataKeyWithoutPlaintext", "ReEncrypt"];
        for (error, operation) in std::iter::once(&read).chain(&others).zip(operations) {
            let found = AwsKmsError::find(error).unwrap();
            assert_eq!((found.failure(), found.operation()), (expected, operation), "{error}");
        }
        assert_eq!(keys.export("a").unwrap(), sound.export("a").unwrap());
    }
}

#[test]
fn keys_and_replicas_are_told_apart() {
    let server = TestServer::start();
    let (aws, key) = (aws_kms(&server, ACCESS_KEY), new_key(&server));
    for arn in ["alias/orders", "1234abcd", "arn:aws:kms:eu-west-1:111122223333:alias/orders"] {
        assert_eq!(AwsKmsBranchKeyWrapper::new(&aws, arn).unwrap_err().kind(), ErrorKind::InvalidArn, "{arn}");
    }
    let wrapper = AwsKmsBranchKeyWrapper::new(&aws, &key).unwrap();
    assert!(wrapper.clone().with_grant_tokens(["token"; 11]).is_err());
    let keys = open(wrapper);
    keys.create_branch_key_as("a", &context()).unwrap();
    let denied = open(AwsKmsBranchKeyWrapper::new(&aws_kms(&server, ALICE_ACCESS_KEY), &key).unwrap());
    assert_eq!(denied.import(&keys.export("a").unwrap()).unwrap_err().kind(), ErrorKind::AccessDenied);
    let other = open(AwsKmsBranchKeyWrapper::new(&aws, &new_key(&server)).unwrap());
    assert_eq!(other.import(&keys.export("a").unwrap()).unwrap_err().kind(), ErrorKind::IncorrectKey);
}

/// Branch keys that a replica in another Region wrapped.
#[test]
fn a_multi_region_key_unwraps_branch_keys_of_its_replicas() {
    let kms = Kms::in_memory().unwrap();
    let key = kms.create_key(Default::default()).unwrap().arn().to_string();
    let (here, there) =
        ("arn:aws:kms:eu-west-1:000000000000:key/mrk-1234abcd", "arn:aws:kms:us-east-1:000000000000:key/mrk-1234abcd");
    // The encryption context contains the ARN too, so only the key of the request is replaced.
    let region = |replica: &'static str| {
        let (kms, key) = (kms.clone(), key.clone());
        Endpoint::start(move |request| {
            let named = |member: &str, arn: &str| format!("\"{member}\":\"{arn}\"");
            let mut request = request.clone();
            for member in ["KeyId", "SourceKeyId", "DestinationKeyId"] {
                request.body = request.body.replace(&named(member, replica), &named(member, &key));
            }
            match Answer::of(&kms, &request) {
                Answer::Reply(status, kind, body) => {
                    let body = String::from_utf8(body).unwrap().replace(&key, replica);
                    Answer::Reply(status, kind, body.into_bytes())
                }
                other => other,
            }
        })
    };
    let (europe, america) = (region(here), region(there));
    let europe = of_config(quick(&europe.url()));
    let there_kms = of_config(quick(&america.url()));
    let from = open(AwsKmsBranchKeyWrapper::new(&there_kms, there).unwrap());
    from.create_branch_key_as("a", &context()).unwrap();
    let message = envelope(&from, "a", AlgorithmSuite::default()).encrypt(PLAINTEXT, &context()).unwrap();
    let items = from.export("a").unwrap();
    let one = open(AwsKmsBranchKeyWrapper::new(&europe, here).unwrap());
    assert_eq!(one.import(&items).unwrap_err().kind(), ErrorKind::IncorrectKey);
    let replicas = open(AwsKmsBranchKeyWrapper::multi_region(&europe, here).unwrap());
    replicas.import(&items).unwrap();
    let ours = envelope(&replicas, "a", AlgorithmSuite::default());
    assert_eq!(ours.decrypt(&message, &context()).unwrap(), PLAINTEXT);
    replicas.rotate("a").unwrap();
    assert!(replicas.export("a").unwrap().iter().all(|item| item.key_arn() == there), "the origin stays");
    assert_eq!(ours.decrypt(&message, &context()).unwrap(), PLAINTEXT);
}
