//! One damaged byte anywhere in a store is either detected or harmless. One key is never confused
//! with another.
//!
//! `STRONGROOM_BIT_ROT_STEP=1` damages every byte in turn instead of a sample.

use std::path::{Path, PathBuf};
use std::{env, fs};

use strongroom::crypto::CryptoBackend;
use strongroom::request::{DecryptRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::{FileAnchor, SqliteStore, StoreError};
use strongroom::{ErrorKind, Kms};

use crate::support::child_process::fast_folder;
use crate::support::parallel;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const NAME: &str = "keys.strongroom";

/// The suffix of an anchor's file name, appended to the name of its store.
const ANCHOR: &str = ".anchor";

/// Opens the store, with an anchor if the file exists.
fn open(folder: &Path) -> strongroom::Result<Kms> {
    let store = SqliteStore::open(folder.join(NAME), &CryptoBackend::default())?;
    let builder = Kms::builder().store(store, RootKey::from_bytes(&[7; 32]));
    match folder.join(format!("{NAME}{ANCHOR}")) {
        anchor if anchor.exists() => builder.anchor(FileAnchor::new(anchor)).build(),
        _ => builder.build(),
    }
}

/// Plaintexts and their ciphertexts, each under a separate key.
type Sealed = Vec<(&'static [u8], Vec<u8>)>;

fn fill(kms: &Kms) -> strongroom::Result<Sealed> {
    let mut sealed: Sealed = Vec::new();
    for text in [b"first", b"other"] {
        let key = kms.create_key(Default::default())?;
        sealed.push((text, kms.encrypt(EncryptRequest::new(key.key_id(), text))?.ciphertext_blob));
    }
    Ok(sealed)
}

/// The files of a store, by their suffixes to the name of the store.
type Files = Vec<(&'static str, Vec<u8>)>;

fn files_in(folder: &Path) -> std::io::Result<Files> {
    let path = |ending: &str| folder.join(format!("{NAME}{ending}"));
    ["", "-wal", ANCHOR]
        .into_iter()
        .filter(|ending| path(ending).exists())
        .map(|ending| Ok((ending, fs::read(path(ending))?)))
        .collect()
}

fn put(folder: &Path, files: &Files) -> std::io::Result<()> {
    for (ending, bytes) in files {
        let path: PathBuf = folder.join(format!("{NAME}{ending}"));
        fs::write(&path, bytes)?;
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok(())
}

/// The effect of a damaged byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The store, or a key in it, is rejected.
    Noticed,
    /// All data is present.
    Harmless,
}

/// Opens the store and decrypts everything. A wrong plaintext fails the test immediately.
fn effect(folder: &Path, sealed: &Sealed, what: &str) -> Effect {
    let Ok(kms) = open(folder) else { return Effect::Noticed };
    for (text, blob) in sealed {
        match kms.decrypt(DecryptRequest::new(blob)) {
            Ok(opened) => assert_eq!(opened.plaintext.expose_secret(), *text, "{what}"),
            Err(_) => return Effect::Noticed,
        }
    }
    Effect::Harmless
}

/// Damages bytes of one file in turn, `step` apart, with the other files unchanged. Returns the
/// number of detected and of harmless cases.
fn damage_each(
    files: &Files,
    ending: &str,
    sealed: &Sealed,
    step: usize,
) -> Result<(usize, usize), Box<dyn std::error::Error>> {
    let length = files.iter().find(|(name, _)| *name == ending).map_or(0, |(_, bytes)| bytes.len());
    let places: Vec<usize> = (0..length).step_by(step).collect();
    let effects = parallel::run(&places, |&at| {
        let mut damaged = files.clone();
        damaged.iter_mut().filter(|(name, _)| *name == ending).for_each(|(_, bytes)| bytes[at] ^= 0xFF);
        let folder = fast_folder()?;
        put(folder.path(), &damaged)?;
        Ok(effect(folder.path(), sealed, &format!("byte {at} of '{NAME}{ending}'")))
    })?;
    let noticed = effects.iter().filter(|effect| **effect == Effect::Noticed).count();
    Ok((noticed, effects.len() - noticed))
}

fn step(default: usize) -> usize {
    env::var("STRONGROOM_BIT_ROT_STEP").map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn a_damaged_byte_of_the_file_is_noticed_or_harmless() -> TestResult {
    let folder = fast_folder()?;
    let kms = open(folder.path())?;
    let sealed = fill(&kms)?;
    drop(kms); // checkpoints the log into the file and removes it
    let files = files_in(folder.path())?;
    assert_eq!(files.len(), 1);
    let (noticed, harmless) = damage_each(&files, "", &sealed, step(101))?;
    println!(
        "a file of {} bytes, damaged one byte at a time: {noticed} detected, {harmless} harmless",
        files[0].1.len()
    );
    assert!(noticed > 0 && harmless > 0);
    Ok(())
}

#[test]
fn every_damaged_byte_of_the_log_is_noticed_with_an_anchor() -> TestResult {
    let folder = fast_folder()?;
    // Opening the store for the first time creates the anchor.
    let anchor = folder.path().join(format!("{NAME}{ANCHOR}"));
    let store = SqliteStore::open(folder.path().join(NAME), &CryptoBackend::default())?;
    let kms = Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).anchor(FileAnchor::new(anchor)).build()?;
    let sealed = fill(&kms)?;
    // The state after a crash: nothing from the log is in the main file yet.
    let mut files = files_in(folder.path())?;
    assert_eq!(files.len(), 3);
    let length = files[1].1.len();
    let (noticed, harmless) = damage_each(&files, "-wal", &sealed, step(509))?;
    println!(
        "a log of {length} bytes with an anchor, damaged one byte at a time: {noticed} detected, {harmless} \
         harmless"
    );
    assert!(noticed > 0 && harmless == 0);

    // Without an anchor, SQLite silently discards the log from the damaged position on. Keys are
    // missing, but none is wrong.
    files.retain(|(ending, _)| *ending != ANCHOR);
    damage_each(&files, "-wal", &sealed, step(509).max(101))?;
    Ok(())
}

/// Reads a number from the file of a store, in SQLite's encoding.
fn number(file: &[u8], at: usize) -> usize {
    let bytes = file[at..at + 4].try_into().expect("four bytes");
    u32::from_be_bytes(bytes).try_into().expect("the number is small")
}

#[test]
fn a_page_in_use_in_the_list_of_free_pages_is_noticed_before_it_is_overwritten() -> TestResult {
    /// The offset of the first free-list page number in the file header.
    const FIRST_FREE: usize = 32;
    /// The offset of the page size in the file header.
    const PAGE_SIZE: usize = 16;

    let folder = fast_folder()?;
    let kms = open(folder.path())?;
    let key = kms.create_key(Default::default())?.key_id();
    // A value that is too long for a page of the table gets overflow pages, which are freed when
    // the value is short again.
    kms.update_key_description(key, "x".repeat(8_192))?;
    kms.update_key_description(key, "")?;
    let sealed = fill(&kms)?;
    drop(kms);
    let mut files = files_in(folder.path())?;
    assert!(open(folder.path())?.verify_store(|_| {})?.is_intact());

    // A free-list page contains the number of the next such page, the number of its entries, and
    // the entries.
    let file = &mut files[0].1;
    let page = usize::from(u16::from_be_bytes([file[PAGE_SIZE], file[PAGE_SIZE + 1]]));
    let list = (number(file, FIRST_FREE) - 1) * page;
    assert!(number(file, list + 4) > 0, "the list contains a page");
    // Replace an entry with the first page of a table. SQLite would overwrite that page the next
    // time it needs one.
    file[list + 8..list + 12].copy_from_slice(&2_u32.to_be_bytes());
    let damaged = fast_folder()?;
    put(damaged.path(), &files)?;

    assert_eq!(effect(damaged.path(), &sealed, "the list of free pages"), Effect::Harmless);
    let report = open(damaged.path())?.verify_store(|_| {})?;
    let problem = report.problems().first().ok_or("no damage was detected")?;
    assert_eq!(problem.kind(), ErrorKind::Store);
    let reason = problem.downcast_ref::<StoreError>();
    assert!(matches!(reason, Some(StoreError::Damaged(_))), "{problem:?}");
    Ok(())
}
