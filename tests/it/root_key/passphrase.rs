//! Normalization of passphrases, and limits on the cost that a file can request.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use strongroom::crypto::{DigestAlgorithm, FASTEST};
use strongroom::export::{ExportError, ExportIdentity, ExportRecipient};
use strongroom::seal::{PassphraseCost, RootKey, SealError, UnsuitablePassphrase};
use strongroom::store::{KeyStore, MemoryStore};
use strongroom::{Error, ErrorKind, Kms, Result};

use crate::support::backend;

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// A text with one code point per letter and the same text with several, including a no-break
/// space.
const COMPOSED: &str = "gr\u{fc}ne\u{a0}M\u{fc}tze";
const DECOMPOSED: &str = "gru\u{308}ne\u{a0}Mu\u{308}tze";

/// The offset of the wrapped file key in an export: after the header and a length.
const WRAPPED: usize = 8 + 1 + 1 + 16 + 8 + 2;

fn cost() -> Result<PassphraseCost> {
    PassphraseCost::new(64, 1, 1)
}

fn root(passphrase: &str) -> Result<RootKey> {
    RootKey::from_passphrase_with_cost(passphrase, cost()?)
}

fn source<E: std::error::Error + Clone + 'static>(error: &Error) -> Option<E> {
    error.downcast_ref::<E>().cloned()
}

#[test]
fn every_spelling_of_a_passphrase_opens_the_store_and_the_export() -> TestResult {
    if backend::lacks("every_spelling_of_a_passphrase_opens_the_store_and_the_export", &["Argon2id"]) {
        return Ok(());
    }
    let spellings = [COMPOSED, DECOMPOSED, "gr\u{fc}ne M\u{fc}tze", "gru\u{308}ne\u{3000}M\u{fc}tze"];
    for written in spellings {
        let store = Arc::new(MemoryStore::new(&FASTEST)?);
        let open = |passphrase| Kms::builder().store(Arc::clone(&store), root(passphrase)?).build();
        let kms = open(written)?;
        let key = kms.create_key(Default::default())?.key_id();
        let export = kms.export_key(key, &ExportRecipient::passphrase_with_cost(written, cost()?)?)?.file;
        for read in spellings {
            open(read)?.describe_key(key)?;
            Kms::in_memory()?.import_keys(&export, &ExportIdentity::passphrase(read))?;
        }
        assert_eq!(open("gr\u{fc}ne m\u{fc}tze").expect_err("another case").kind(), ErrorKind::RootKey);
        let other = Kms::in_memory()?.import_keys(&export, &ExportIdentity::passphrase("grune Mutze"));
        assert_eq!(source(&other.expect_err("other letters")), Some(ExportError::WrongPassphrase));
    }
    Ok(())
}

#[test]
fn what_is_no_passphrase_is_refused_with_the_reason() -> TestResult {
    if backend::lacks("what_is_no_passphrase_is_refused_with_the_reason", &["Argon2id"]) {
        return Ok(());
    }
    for (text, reason) in [
        ("", UnsuitablePassphrase::Empty),
        ("words\n", UnsuitablePassphrase::ControlCharacter),
        ("\u{feff}words", UnsuitablePassphrase::InvisibleCharacter),
        ("words\u{e000}", UnsuitablePassphrase::UnassignedCharacter),
    ] {
        for refused in [RootKey::from_passphrase(text).map(drop), ExportRecipient::passphrase(text).map(drop)] {
            let refused = refused.expect_err("no passphrase");
            assert_eq!((refused.kind(), source(&refused)), (ErrorKind::Validation, Some(reason)));
        }
    }
    let kms = Kms::in_memory()?;
    let key = kms.create_key(Default::default())?.key_id();
    let export = kms.export_key(key, &ExportRecipient::passphrase_with_cost("words", cost()?)?)?.file;
    let refused = Kms::in_memory()?.import_keys(&export, &ExportIdentity::passphrase("words\n")).expect_err("line end");
    assert!(matches!(source(&refused), Some(ExportError::UnsuitablePassphrase { .. })), "{refused}");
    assert!(refused.to_string().contains("line end"), "{refused}");
    Ok(())
}

/// Returns a file that the first release wrote under passphrases as typed.
fn earlier(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/passphrase").join(name)
}

#[cfg(feature = "sqlite")]
#[test]
fn a_store_from_before_normalization_opens_as_it_was_typed_and_is_normalized_by_a_rotation() -> TestResult {
    if backend::lacks(
        "a_store_from_before_normalization_opens_as_it_was_typed_and_is_normalized_by_a_rotation",
        &["Argon2id"],
    ) {
        return Ok(());
    }
    use strongroom::request::DecryptRequest;
    use strongroom::store::SqliteStore;

    let folder = tempfile::tempdir()?;
    let copy = |name: &str| -> std::result::Result<PathBuf, std::io::Error> {
        let path = folder.path().join(name);
        fs::copy(earlier(name), &path)?;
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(path)
    };
    let check = |kms: &Kms, blob: &str| -> TestResult {
        let opened = kms.decrypt(DecryptRequest::new(&fs::read(earlier(blob))?))?;
        assert_eq!(opened.plaintext.expose_secret(), b"text");
        Ok(())
    };
    let path = copy("decomposed.strongroom")?;
    let open = |root| Kms::builder().store(SqliteStore::open(&path, &FASTEST)?, root).build();
    assert_eq!(open(root(COMPOSED)?).expect_err("typed otherwise").kind(), ErrorKind::RootKey);
    let kms = open(root(DECOMPOSED)?)?;
    check(&kms, "decomposed.blob")?;
    kms.rotate_root_key()?;
    drop(kms);
    for passphrase in [COMPOSED, DECOMPOSED] {
        check(&open(root(passphrase)?)?, "decomposed.blob")?;
    }

    let path = copy("line_end.strongroom")?;
    let open = |root| Kms::builder().store(SqliteStore::open(&path, &FASTEST)?, root).build();
    assert_eq!(open(root("words")?).expect_err("without the line ending").kind(), ErrorKind::RootKey);
    let kms = open(RootKey::from_unnormalized_passphrase("words\n", cost()?)?)?;
    check(&kms, "line_end.blob")?;
    kms.rotate_root_key()?;
    kms.move_root_key(root("words")?)?;
    drop(kms);
    check(&open(root("words")?)?, "line_end.blob")
}

#[test]
fn an_export_from_before_normalization_opens_as_it_was_typed() -> TestResult {
    if backend::lacks("an_export_from_before_normalization_opens_as_it_was_typed", &["Argon2id"]) {
        return Ok(());
    }
    for (name, typed, otherwise) in [("decomposed", DECOMPOSED, COMPOSED), ("line_end", "words\n", "words")] {
        let file = fs::read(earlier(&format!("{name}.export")))?;
        assert_eq!(file[WRAPPED], 1, "the format of passphrases in that release");
        let kms = Kms::in_memory()?;
        let refused = kms.import_keys(&file, &ExportIdentity::passphrase(otherwise)).expect_err("typed otherwise");
        assert_eq!(source(&refused), Some(ExportError::WrongPassphrase));
        assert_eq!(kms.import_keys(&file, &ExportIdentity::passphrase(typed))?.len(), 1);
    }
    Ok(())
}

/// Sets the cost in an export to any value that the format can express, and corrects the checksum.
fn with_cost(mut file: Vec<u8>, memory_kib: u32, passes: u32, lanes: u32) -> Vec<u8> {
    for (place, number) in [memory_kib, passes, lanes].into_iter().enumerate() {
        file[WRAPPED + 1 + 4 * place..][..4].copy_from_slice(&number.to_be_bytes());
    }
    let content = file.len() - 32;
    let digest = FASTEST.digest().digest(DigestAlgorithm::Sha256, &[&file[..content]]);
    file[content..].copy_from_slice(digest.as_ref());
    file
}

#[test]
fn a_hostile_export_costs_nothing() -> TestResult {
    if backend::lacks("a_hostile_export_costs_nothing", &["Argon2id"]) {
        return Ok(());
    }
    let file = fs::read(earlier("decomposed.export"))?;
    let kms = Kms::in_memory()?;
    for (memory_kib, passes, lanes) in [(2 << 20, 64, 64), (256 * 1024 + 1, 1, 1), (64, 11, 1), (u32::MAX, 1, 1)] {
        let hostile = with_cost(file.clone(), memory_kib, passes, lanes);
        let started = Instant::now();
        let refused = kms.import_keys(&hostile, &ExportIdentity::passphrase(DECOMPOSED)).expect_err("too much");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
        let expected = ExportError::TooCostly {
            memory_kib,
            passes,
            lanes,
            memory_limit_kib: 256 * 1024,
            pass_limit: 10,
            lane_limit: 64,
        };
        assert_eq!(source(&refused), Some(expected));
    }
    let identity = ExportIdentity::passphrase_with_limit(DECOMPOSED, PassphraseCost::new(63, 1, 1)?);
    assert!(matches!(
        source(&kms.import_keys(&file, &identity).expect_err("over it")),
        Some(ExportError::TooCostly { .. })
    ));
    Ok(())
}

#[test]
fn a_store_that_asks_for_more_than_is_allowed_is_not_tried() -> TestResult {
    if backend::lacks("a_store_that_asks_for_more_than_is_allowed_is_not_tried", &["Argon2id"]) {
        return Ok(());
    }
    let store = Arc::new(MemoryStore::new(&FASTEST)?);
    let open = |root| Kms::builder().store(Arc::clone(&store), root).build();
    let costly = || RootKey::from_passphrase_with_cost("words", PassphraseCost::new(64, 11, 1)?);
    open(costly()?)?;
    let refused = open(RootKey::from_passphrase("words")?).expect_err("over the default limit");
    assert_eq!(refused.kind(), ErrorKind::RootKey);
    assert!(matches!(source(&refused), Some(SealError::TooCostly { passes: 11, pass_limit: 10, .. })), "{refused:?}");
    open(costly()?)?;
    Ok(())
}

#[test]
#[ignore = "run only as the child process of another test"]
fn tries_passphrases_without_memory() -> TestResult {
    let most = PassphraseCost::new(2 << 20, 1, 1)?;
    let hostile = with_cost(fs::read(earlier("decomposed.export"))?, most.memory_kib(), 1, 1);
    let identity = ExportIdentity::passphrase_with_limit(DECOMPOSED, most);
    let refused = Kms::in_memory()?.import_keys(&hostile, &identity).expect_err("no memory");
    assert_eq!(source(&refused), Some(ExportError::OutOfMemory { memory_kib: 2 << 20 }));

    let store = Arc::new(MemoryStore::new(&FASTEST)?);
    let costly = RootKey::from_passphrase_with_cost("words", most)?;
    let refused = Kms::builder().store(Arc::clone(&store), costly).build().expect_err("no memory");
    assert_eq!(refused.kind(), ErrorKind::KeyUnavailable, "{refused}");
    assert_eq!(source(&refused), Some(SealError::OutOfMemory { memory_kib: 2 << 20 }));
    assert_eq!(store.revision()?.0, 0, "nothing was stored");
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn too_little_memory_is_no_wrong_passphrase() -> TestResult {
    if backend::lacks("too_little_memory_is_no_wrong_passphrase", &["Argon2id"]) {
        return Ok(());
    }
    let child = Command::new("sh")
        .args(["-c", "ulimit -v 1500000; exec \"$@\"", "limited"])
        .arg(env::current_exe()?)
        .args(["root_key::passphrase::tries_passphrases_without_memory", "--exact", "--ignored", "--nocapture"])
        .output()?;
    assert!(child.status.success(), "{child:?}");
    Ok(())
}
