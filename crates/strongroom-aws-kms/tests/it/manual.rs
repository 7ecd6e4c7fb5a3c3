//! The page `migrating` of the manual: its programs are these.

use std::path::Path;
use std::{fs, io};

use aws_sdk_kms::primitives::Blob;
use serde_json::json;
use strongroom::envelope::{KmsKeyring, MultiKeyring};
use strongroom::key::KeyArn;
use strongroom::request::{DecryptRequest, EncryptRequest};
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms, Result, SecretBytes, message};
use strongroom_aws_kms::{AwsKms, AwsKmsKeyring};

use crate::support::server::{ACCESS_KEY, REGION, TestServer};
use crate::support::{PLAINTEXT, Sdk, aws_kms, config, context, environment, new_key};

/// The envelopes of a migration.
struct Envelopes {
    aws: Envelope,
    both: Envelope,
    here: Envelope,
}

impl Envelopes {
    fn new(aws: &AwsKms, arn: &str, kms: &Kms, key: &str) -> Result<Self> {
        let (there, here) = (AwsKmsKeyring::new(aws, arn)?, KmsKeyring::new(kms, key)?);
        // The keyring of the store is tried first, so messages of both sides cost no call to AWS KMS.
        let both = MultiKeyring::new(here.clone()).with_child(there.clone());
        Ok(Self { aws: Envelope::new(there), both: Envelope::new(both), here: Envelope::new(here) })
    }
}

/// Re-encrypts a message in a file, unless it has a data key of this key. Returns `true` if it did.
fn move_file(path: &Path, envelopes: &Envelopes, key: &KeyArn, context: &EncryptionContext) -> Result<bool> {
    let failed = |error: io::Error| Error::new(ErrorKind::Io, format!("cannot move {}: {error}", path.display()));
    let message = fs::read(path).map_err(failed)?;
    let names = message::inspect(&message)?;
    if names.data_keys().iter().any(|data_key| data_key.provider_info() == key.to_string().as_bytes()) {
        return Ok(false);
    }
    let next = path.with_extension("next");
    let file = fs::File::create(&next).map_err(failed)?;
    let file = envelopes.aws.re_encrypt(&message[..], context, &envelopes.both, file)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&next, path).map_err(failed)?;
    Ok(true)
}

/// Returns a ciphertext of the store with the plaintext of a ciphertext of AWS KMS.
async fn move_ciphertext(
    aws: &aws_sdk_kms::Client,
    (arn, blob): (&str, Vec<u8>),
    (kms, key): (&Kms, &str),
    context: &EncryptionContext,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let pairs = context.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let decrypt = aws.decrypt().key_id(arn).ciphertext_blob(Blob::new(blob));
    let answer = decrypt.set_encryption_context(Some(pairs.collect())).send().await?;
    let plaintext = SecretBytes::from_vec(answer.plaintext.ok_or("no plaintext")?.into_inner());
    let request = EncryptRequest::new(key, plaintext.expose_secret()).context(context);
    Ok(kms.encrypt(request)?.ciphertext_blob)
}

#[test]
fn the_page_shows_these_programs() {
    let source = include_str!("manual.rs").split("#[test]").next().unwrap();
    let page = include_str!("../../../../src/manual/migrating.md");
    // The sections that follow are those of the package `strongroom-vault`.
    let (page, _) = page.split_once("## From HashiCorp Vault and OpenBao\n").unwrap();
    let blocks: Vec<_> = page.split("```rust,ignore\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        assert!(source.contains(block.trim_end()), "{block}");
    }
}

/// A server in the place of AWS KMS, and a store.
struct World {
    server: TestServer,
    arn: String,
    kms: Kms,
    key: KeyArn,
    envelopes: Envelopes,
}

impl World {
    fn start() -> Self {
        let (server, kms) = (TestServer::start(), Kms::in_memory().unwrap());
        let (arn, key) = (new_key(&server), kms.create_key(Default::default()).unwrap().arn().clone());
        let envelopes = Envelopes::new(&aws_kms(&server, ACCESS_KEY), &arn, &kms, &key.to_string()).unwrap();
        Self { server, arn, kms, key, envelopes }
    }
}

#[test]
fn messages_are_readable_in_every_phase() {
    let world = World::start();
    let Envelopes { aws, both, here } = &world.envelopes;
    let reads = |envelope: &Envelope, message: &[u8]| {
        envelope.decrypt(message, &context()).is_ok_and(|plaintext| plaintext == PLAINTEXT)
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.message");

    // Phase 1.
    let first = aws.encrypt(PLAINTEXT, &context()).unwrap();
    assert!(reads(aws, &first) && reads(both, &first) && !reads(here, &first));
    fs::write(&path, &first).unwrap();
    // Phase 2. Reading a message of both sides costs no call.
    let second = both.encrypt(PLAINTEXT, &context()).unwrap();
    assert!(reads(aws, &second) && reads(here, &second));
    let calls = world.server.trail.events().len();
    assert!(reads(both, &second));
    assert_eq!(world.server.trail.events().len(), calls);
    // Phase 3, interrupted by an outage, and by a process that died.
    world.server.kms.disable_key(world.arn.as_str()).unwrap();
    assert!(move_file(&path, &world.envelopes, &world.key, &context()).is_err());
    assert_eq!(fs::read(&path).unwrap(), first);
    world.server.kms.enable_key(world.arn.as_str()).unwrap();
    fs::write(path.with_extension("next"), b"half of a message").unwrap();
    assert!(move_file(&path, &world.envelopes, &world.key, &context()).unwrap());
    assert!(!move_file(&path, &world.envelopes, &world.key, &context()).unwrap());
    let moved = fs::read(&path).unwrap();
    assert!(reads(aws, &moved) && reads(both, &moved) && reads(here, &moved));
    for mut sdk in Sdk::all("messages_are_readable_in_every_phase", &environment(&world.server)) {
        assert_eq!(sdk.decrypt(&json!({"kind": "kms", "key": world.arn}), &moved).as_deref(), Ok(PLAINTEXT));
    }
    // Phase 4: AWS KMS is no longer needed.
    let last = here.encrypt(PLAINTEXT, &context()).unwrap();
    world.server.stop();
    assert!(reads(here, &moved) && reads(here, &last));
}

#[test]
fn ciphertexts_move_with_their_context() {
    let world = World::start();
    let request = EncryptRequest::new(world.arn.as_str(), PLAINTEXT);
    let blob = world.server.kms.encrypt(request.context(&context())).unwrap().ciphertext_blob;
    let client = aws_sdk_kms::Client::from_conf(config(&world.server.url(), REGION, ACCESS_KEY).build());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (key, context) = (world.key.to_string(), context());
    let moved = move_ciphertext(&client, (&world.arn, blob.clone()), (&world.kms, &key), &context);
    let moved = runtime.block_on(moved).unwrap();
    let opened = world.kms.decrypt(DecryptRequest::new(&moved).context(&context)).unwrap();
    assert_eq!(opened.plaintext.expose_secret(), PLAINTEXT);
    assert!(world.kms.decrypt(DecryptRequest::new(&moved)).is_err(), "bound to the context");
    let other = EncryptionContext::from([("invoice", "18")]);
    let refused = move_ciphertext(&client, (&world.arn, blob), (&world.kms, &key), &other);
    assert!(runtime.block_on(refused).is_err());
}
