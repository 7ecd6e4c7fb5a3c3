//! Errors do not repeat themselves: the causes of an error add information that its text lacks.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use strongroom::algorithm::SigningAlgorithm;
use strongroom::audit::FileTrail;
use strongroom::envelope::{CommitmentPolicy, KmsKeyring};
use strongroom::export::ExportError;
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::message::{AlgorithmSuite, MessageError, inspect};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, SignRequest};
use strongroom::seal::{RootKey, SealError};
use strongroom::store::{MemoryStore, StoreError};
use strongroom::{EncryptionContext, Envelope, Error, ErrorKind, Kms, Result};

use crate::layering::read_sources;
use crate::support::envelope::keyring;

/// Error types with hand-written trait implementations. When adding one, check what its `source`
/// returns, and list it here.
const BY_HAND: [&str; 4] = ["Error", "TokenError", "UnwrapFailure", "UnwrapFailures"];

/// Returns the texts of an error and of its causes, each of which must add information.
fn chain(error: &dyn StdError) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    for (index, text) in texts.iter().enumerate() {
        assert!(!text.is_empty(), "{error:?}");
        for cause in &texts[index + 1..] {
            assert!(!text.contains(cause.as_str()), "{cause:?} is repeated: {texts:?}");
        }
    }
    texts
}

/// Asserts that an error is complete and that nothing in it is repeated, neither with its causes
/// nor as printed by `main`.
fn complete(error: &Error, about: &str) {
    let texts = chain(error);
    assert!(texts[0].contains(about), "{texts:?} does not contain {about:?}");
    assert_eq!(format!("{error:?}").matches(about).count(), 1, "{error:?}");
}

#[test]
fn errors_of_every_layer_say_everything_once() -> Result<()> {
    for error in [
        Error::from(MessageError::LooksBase64),
        Error::from(SealError::DamagedRootRecord),
        Error::from(ExportError::Damaged),
        Error::from(inspect(b"").unwrap_err()),
        Error::from(StoreError::Full(Box::new(io::Error::other("database or disk is full")))),
    ] {
        chain(&error);
    }
    let path = Path::new("/dev/null/x");
    let opened = StoreError::CannotOpen { path: path.to_owned(), source: Box::new(io::Error::other("no such disk")) };
    assert_eq!(chain(&opened), ["cannot open the store /dev/null/x", "no such disk"]);
    complete(&Error::from(opened), "no such disk");
    complete(&RootKey::from_file(path).unwrap_err(), "/dev/null/x");

    let open =
        || Ok::<_, Error>(Kms::builder().store(MemoryStore::new(&Default::default())?, RootKey::from_bytes(&[1; 32])));
    complete(&open()?.audit(FileTrail::new(path)).build().unwrap_err(), "/dev/null/x");

    let (kms, none) = (Kms::in_memory()?, EncryptionContext::new());
    complete(&kms.describe_key("alias/none").unwrap_err(), "alias/none");
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let envelope = Envelope::new(KmsKeyring::new(&kms, key)?);
    let message = envelope.encrypt(b"text", &none)?;
    kms.disable_key(key)?;
    complete(&envelope.decrypt(&message, &none).unwrap_err(), "is disabled");
    complete(&Envelope::new(keyring()).decrypt(&message, &none).unwrap_err(), "another namespace");
    Ok(())
}

/// The errors of a store on a server say what failed, whether anything changed, and what to do.
#[test]
fn errors_of_a_server_say_whether_anything_changed() {
    let cause = || Box::new(io::Error::other("no carrier"));
    let fenced = |source: Option<Box<dyn StdError + Send + Sync>>| StoreError::Fenced {
        age: Duration::from_millis(2_500),
        limit: Duration::from_secs(1),
        source,
    };
    let unreachable = "the server of the store is unreachable; nothing was changed: check the server and the network, \
                       and try again";
    let ambiguous = "the server of the store did not confirm a commit, so the change may or may not have been saved: \
                     read the current state before you repeat the change";
    let not_primary = "the server of the store has not proved for 2.5s that it is still the primary, and the limit is \
                       1s; nothing was changed: check the server, its synchronous replicas, and whether another \
                       server was promoted";
    for (error, text, is_ambiguous) in [
        (StoreError::Unreachable(cause()), unreachable, false),
        (StoreError::Ambiguous(cause()), ambiguous, true),
        (fenced(Some(cause())), not_primary, false),
    ] {
        assert_eq!(chain(&error), [text, "no carrier"]);
        assert_eq!(error.is_ambiguous(), is_ambiguous);
        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Store);
        // The reason is a part of the text, so that it is not lost where only the text is logged.
        assert_eq!(chain(&error), [format!("{text}: no carrier")]);
        assert_eq!(error.downcast_ref().map(StoreError::is_ambiguous), Some(is_ambiguous));
    }
    assert_eq!(chain(&fenced(None)), [not_primary]);
    assert!(StoreError::Unconfirmed(Box::new(StoreError::Io(cause()))).is_ambiguous());
}

/// Asserts that an error advises its reader.
fn advises<T>(result: Result<T>, advice: &str) {
    let text = result.err().expect("an error").to_string();
    assert!(text.contains(advice), "{text:?} does not contain {advice:?}");
}

#[test]
fn common_mistakes_are_answered_with_advice() -> Result<()> {
    let (kms, none) = (Kms::in_memory()?, EncryptionContext::new());
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let blob = kms.encrypt(EncryptRequest::new(key, b"text"))?.ciphertext_blob;
    advises(Envelope::new(keyring()).decrypt(&blob, &none), "decrypt a ciphertext blob with Kms::decrypt");
    for (policy, suite) in [
        (CommitmentPolicy::default(), AlgorithmSuite::default()),
        (CommitmentPolicy::default(), AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384),
        (CommitmentPolicy::ForbidEncryptAllowDecrypt, AlgorithmSuite::Aes256GcmHkdfSha256),
    ] {
        let envelope = Envelope::builder(keyring()).commitment_policy(policy).algorithm_suite(suite).build()?;
        for length in [4, 10_000] {
            let message = envelope.encrypt(&vec![b'.'; length], &none)?;
            advises(kms.decrypt(DecryptRequest::new(&message)), "decrypt it with Envelope::decrypt");
        }
    }
    advises(kms.encrypt(EncryptRequest::new(key, &[b'.'; 4_097])), "an Envelope encrypts any length");
    advises(kms.encrypt(EncryptRequest::new(key, b"")), "an Envelope encrypts any length");
    let signing = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    let signing = kms.create_key(signing)?.key_id();
    let request = SignRequest::new(signing, SigningAlgorithm::EcdsaSha256, &[b'.'; 4_097]);
    advises(kms.sign(request), "KmsSigner and KmsMac accept longer ones");
    Ok(())
}

#[test]
fn mistakes_at_the_first_start_are_answered_with_advice() -> std::result::Result<(), Box<dyn StdError>> {
    let folder = tempfile::tempdir()?;
    let [root, missing] = ["root.key", "missing"].map(|name| folder.path().join(name));
    let generated = RootKey::generate_file(&root)?;
    advises(RootKey::from_file(&missing), "create it for a new store with RootKey::generate_file");
    advises(RootKey::generate_file(&root), "open it with RootKey::from_file");
    complete(&RootKey::from_file(&missing).unwrap_err(), "does not exist");

    let store = Arc::new(MemoryStore::new(&Default::default())?);
    Kms::builder().store(Arc::clone(&store), generated).build()?;
    let wrong = Kms::builder().store(store, RootKey::from_bytes(&[1; 32])).build();
    advises(wrong, "open it with the root key that it was created with");
    #[cfg(feature = "sqlite")]
    {
        let kms = Kms::open(missing.join("keys.db"), RootKey::from_file(&root)?);
        advises(kms, &format!("the directory {} does not exist: create it first", missing.display()));
        assert!(!missing.exists());
    }
    Ok(())
}

#[test]
fn messages_say_everything_once_in_every_way_of_reading_and_writing() -> Result<()> {
    let (envelope, none) = (Envelope::new(keyring()), EncryptionContext::new());
    let mut message = envelope.encrypt(b"text", &none)?;
    for (length, about) in
        [(0, "check that it was copied completely"), (message.len() - 1, "check that it was copied completely")]
    {
        complete(&envelope.decrypt(&message[..length], &none).unwrap_err(), about);
        let whole = envelope.reader(&message[..length], &none).and_then(|mut reader| {
            let read = io::Read::read_to_end(&mut reader, &mut Vec::new()).unwrap_err();
            // `io::Error` does the same: it displays the inner error as its own text.
            chain(&read);
            Err::<(), _>(read.downcast().expect("an error of this crate"))
        });
        complete(&whole.unwrap_err(), about);
    }
    complete(&envelope.writer(Broken, &none).unwrap_err(), "the pipe is broken");
    complete(&envelope.reader(Broken, &none).unwrap_err(), "the pipe is broken");
    complete(&envelope.re_encrypt(Broken, &none, &envelope, Vec::new()).unwrap_err(), "the pipe is broken");
    let last = message.len() - 1;
    message[last] ^= 1;
    complete(&envelope.decrypt(&message, &none).unwrap_err(), "is not authentic");
    Ok(())
}

/// Fails when reading and when writing.
struct Broken;

impl io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the pipe is broken"))
    }
}

impl io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("the pipe is broken"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error with any text and source keeps the rule, whether or not its text already contains that
/// of the cause.
#[test]
fn an_error_that_anyone_makes_keeps_the_rule() {
    let cause = || Error::new(ErrorKind::Io, "the line is cut").with_source(io::Error::other("no carrier"));
    for text in ["cannot read", "cannot read: the line is cut", "cannot read: the line is cut: no carrier"] {
        let error = Error::new(ErrorKind::KeyUnavailable, text).with_source(cause());
        let texts = chain(&error);
        assert!(texts.len() <= 3 && texts.concat().contains("no carrier"), "{texts:?}");
        assert_eq!(error.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::Io));
        assert!(error.downcast_ref::<io::Error>().is_some());
        assert_eq!(chain(&Error::new(ErrorKind::Internal, error.to_string()).with_source(error)), texts);
    }
}

/// Returns the text of each `error` attribute of `thiserror`, with its variant or type.
fn attributes(source: &str) -> impl Iterator<Item = (String, String)> {
    source.split("#[error(").skip(1).map(|rest| {
        let end = rest.find(")]").unwrap_or(rest.len());
        let (attribute, rest) = rest.split_at(end);
        // Up to the next variant or the end of the type.
        let end = ["\n    /// ", "\n}"].iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
        (attribute.to_owned(), rest[..end].to_owned())
    })
}

fn repeats(attribute: &str, variant: &str) -> bool {
    let has_source = ["#[source]", "#[from]", " source:"].iter().any(|mark| variant.contains(mark));
    has_source && ["{0", "{source", ", source"].iter().any(|text| attribute.contains(text))
}

#[test]
fn no_error_type_puts_its_source_into_its_text() {
    let sources = read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("src can be read");
    let (mut by_hand, mut derived) = (BTreeSet::new(), 0);
    for (path, source) in &sources {
        // Tests at the end of a file define their own errors.
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for (attribute, variant) in attributes(source) {
            assert!(!repeats(&attribute, &variant), "{path}: {attribute} {variant}");
            derived += 1;
        }
        let impls = ["impl std::error::Error for ", "impl StdError for "];
        let types = impls.iter().flat_map(|start| source.split(start).skip(1));
        by_hand.extend(types.filter_map(|rest| rest.split([' ', '<']).next()));
    }
    assert_eq!(by_hand, BTreeSet::from(BY_HAND));
    assert!(derived > 50, "found only {derived} error attributes: the scan may be outdated");
    assert!(repeats("\"cannot: {0}", ")]\n    Failed(#[from] io::Error),"));
    assert!(repeats("\"cannot {}: {source}\", path.display()", ")]\n    Failed { path: PathBuf, source: Cause },"));
}
