//! Sources of root keys, and errors for unsuitable ones.

use std::fs;
use std::process::Command;

use strongroom::crypto::CryptoBackend;
use strongroom::seal::{RootKey, SealError};
use strongroom::store::MemoryStore;
use strongroom::{ErrorKind, Kms, Result};

use crate::support::any_store::Place;

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// The secret of [`RootKey::from_environment`] in a child process.
const VARIABLE: &str = "STRONGROOM_TEST_ROOT_KEY";

fn holder(root: RootKey) -> Result<String> {
    let store = MemoryStore::new(&CryptoBackend::default())?;
    Ok(Kms::builder().store(store, root).build()?.root_key_status()?.holder().to_owned())
}

#[test]
fn a_root_key_file_is_made_once_for_its_owner_alone() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("root.key");
    let made = holder(RootKey::generate_file(&path)?)?;
    assert_eq!(holder(RootKey::from_file(&path)?)?, made);
    let before = fs::read(&path)?;
    assert_eq!(RootKey::generate_file(&path).expect_err("the file exists").kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path)?, before);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o620, 0o610, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            let refused = RootKey::from_file(&path).expect_err("other users may read the file");
            assert_eq!(refused.kind(), ErrorKind::Validation);
            assert!(refused.to_string().contains(&format!("mode {mode:03o}")), "{refused}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400))?;
        assert_eq!(holder(RootKey::from_file(&path)?)?, made);
    }
    Ok(())
}

#[test]
fn a_root_key_file_holds_bytes_digits_or_base64_and_nothing_else() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("root.key");
    drop(RootKey::generate_file(&path)?);
    let expected = holder(RootKey::from_bytes(&[0xAB; 32]))?;
    let digits = "ab".repeat(32);
    for content in [&[0xAB; 32][..], digits.as_bytes(), b"q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n"] {
        fs::write(&path, content)?;
        assert_eq!(holder(RootKey::from_file(&path)?)?, expected);
    }
    for content in [&b""[..], &[0xAB; 31], &[0xAB; 33], &[b' '; 10_000], "correct horse battery staple".as_bytes()] {
        fs::write(&path, content)?;
        assert_eq!(RootKey::from_file(&path).expect_err("no root key").kind(), ErrorKind::Validation);
    }
    let refused = RootKey::from_file(&path).expect_err("a passphrase").to_string();
    assert!(
        refused
            .ends_with("does not contain 32 bytes in binary, as 64 hexadecimal digits, or as 44 characters of Base64")
    );
    fs::write(&path, "")?;
    assert!(RootKey::from_file(&path).expect_err("the file is truncated").to_string().contains("is empty"));
    assert_eq!(RootKey::from_file(folder.path()).expect_err("a directory").kind(), ErrorKind::Validation);
    let missing = RootKey::from_file(folder.path().join("missing")).expect_err("no file");
    assert_eq!(missing.kind(), ErrorKind::Io);
    Ok(())
}

/// 16 bytes in hexadecimal and 24 bytes in Base64 both have 32 characters.
#[test]
fn a_root_key_file_of_printable_characters_is_refused_unless_it_is_asked_for() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("root.key");
    drop(RootKey::generate_file(&path)?);
    let texts = [
        b"00112233445566778899aabbccddeeff",
        b"q83vASNFZ4mrze8BI0VniavN7wEjRWeJ",
        b"correct horse battery staple ...",
        b"0123456789abcdef0123456789abcde\n",
    ];
    for text in texts {
        fs::write(&path, text)?;
        let refused = RootKey::from_file(&path).expect_err("text");
        assert_eq!(refused.kind(), ErrorKind::Validation);
        let shown = String::from_utf8_lossy(text).into_owned();
        assert!(refused.to_string().contains("from_file_as_bytes") && !format!("{refused:?}").contains(&shown));

        // A store that already uses such a file can be opened and moved to another root key.
        let place = Place::new()?;
        let open = |root| Kms::builder().store(place.open()?, root).build();
        let key = open(RootKey::from_bytes(text))?.create_key(Default::default())?.key_id();
        let kms = open(RootKey::from_file_as_bytes(&path)?)?;
        kms.move_root_key(RootKey::from_bytes(&[0xAB; 32]))?;
        open(RootKey::from_bytes(&[0xAB; 32]))?.describe_key(key)?;
    }
    // With one nonprintable byte, the content is used as raw bytes.
    fs::write(&path, b"\x7f0112233445566778899aabbccddeeff")?;
    assert_eq!(holder(RootKey::from_file(&path)?)?, holder(RootKey::from_file_as_bytes(&path)?)?);
    for content in ["ab".repeat(32).as_bytes(), &[0xAB; 31], b""] {
        fs::write(&path, content)?;
        assert_eq!(RootKey::from_file_as_bytes(&path).expect_err("not 32 bytes").kind(), ErrorKind::Validation);
    }
    Ok(())
}

/// The file in which a child process should generate a root key.
const FILE: &str = "STRONGROOM_TEST_ROOT_KEY_FILE";

#[test]
#[ignore = "run only as the child process of another test"]
fn makes_a_root_key_where_nothing_can_be_written() -> TestResult {
    let path = std::env::var_os(FILE).ok_or("run only by another test")?;
    assert_eq!(RootKey::generate_file(path).expect_err("no room").kind(), ErrorKind::Io);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_root_key_file_that_cannot_be_written_is_not_left_behind() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("root.key");
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "limited"])
        .arg(std::env::current_exe()?)
        .args([
            "root_key::sources::makes_a_root_key_where_nothing_can_be_written",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(FILE, &path)
        .output()?;
    assert!(child.status.success(), "{child:?}");
    assert!(!path.exists(), "a file without a root key would block the next attempt");
    Ok(())
}

#[test]
fn the_environment_gives_a_root_key() -> TestResult {
    for value in ["cd".repeat(32), "zc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc0=".to_owned()] {
        let child = Command::new(std::env::current_exe()?)
            .args(["root_key::sources::reads_the_environment", "--exact", "--ignored", "--nocapture"])
            .env(VARIABLE, value)
            .output()?;
        assert!(child.status.success(), "{child:?}");
    }
    let refused = RootKey::from_environment("PATH").expect_err("no root key");
    assert_eq!(refused.kind(), ErrorKind::Validation);
    assert!(refused.to_string().contains("PATH"), "{refused}");
    Ok(())
}

#[test]
#[ignore = "run only as the child process of another test"]
fn reads_the_environment() -> TestResult {
    assert_eq!(holder(RootKey::from_environment(VARIABLE)?)?, holder(RootKey::from_bytes(&[0xCD; 32]))?);
    Ok(())
}

#[test]
fn a_wrong_root_key_is_named_and_the_store_stays_whole() -> TestResult {
    let place = Place::new()?;
    let open = |secret: u8| Kms::builder().store(place.open()?, RootKey::from_bytes(&[secret; 32])).build();
    let key = open(1)?.create_key(Default::default())?.key_id();
    let refused = open(2).expect_err("another root key");
    assert_eq!(refused.kind(), ErrorKind::RootKey);
    let reason = refused.downcast_ref::<SealError>();
    let (right, wrong) = (holder(RootKey::from_bytes(&[1; 32]))?, holder(RootKey::from_bytes(&[2; 32]))?);
    assert_eq!(reason, Some(&SealError::HolderMismatch { expected: right, given: wrong }));
    open(1)?.describe_key(key)?;
    Ok(())
}
