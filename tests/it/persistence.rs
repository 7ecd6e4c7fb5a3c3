//! Keys in a file: opened again, killed at any instant, damaged, deleted, backed up.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use strongroom::crypto::CryptoBackend;
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{
    CreateKeyRequest, DecryptRequest, DeletionWindow, EncryptRequest, ErrorKind, KeyState, Kms, KmsLimits, ManualClock,
    Timestamp,
};
use tempfile::TempDir;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Tells the child of a crash test where its store is.
const STORE: &str = "STRONGROOM_CRASH_STORE";

fn root() -> RootKey {
    RootKey::from_bytes(&[7; 32])
}

fn path_in(folder: &TempDir) -> PathBuf {
    folder.path().join("keys.strongroom")
}

fn number_from(variable: &str, default: usize) -> usize {
    env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn keys_are_there_when_the_store_is_opened_again() -> TestResult {
    let folder = tempfile::tempdir()?;
    let kms = Kms::open(path_in(&folder), root())?;
    let key = kms.create_key(CreateKeyRequest::default().description("kept"))?;
    kms.create_alias("alias/kept", key.key_id())?;
    let sealed = kms.encrypt(EncryptRequest::new("alias/kept", b"text"))?;
    kms.rotate_key_on_demand(key.key_id())?;
    drop(kms);

    let kms = Kms::open(path_in(&folder), root())?;
    assert_eq!(kms.describe_key("alias/kept")?.description().as_str(), "kept");
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed.ciphertext_blob))?.plaintext.expose_secret(), b"text");
    Ok(())
}

#[test]
fn another_root_key_is_refused_and_changes_nothing() -> TestResult {
    let folder = tempfile::tempdir()?;
    drop(Kms::open(path_in(&folder), root())?);
    let before = fs::read(path_in(&folder))?;
    let other = RootKey::from_bytes(&[8; 32]);
    assert_eq!(Kms::open(path_in(&folder), other).expect_err("refused").kind(), ErrorKind::RootKey);
    assert_eq!(fs::read(path_in(&folder))?, before);
    Ok(())
}

#[test]
fn a_change_by_one_kms_is_seen_by_another_over_the_same_file() -> TestResult {
    let folder = tempfile::tempdir()?;
    let (one, other) = (Kms::open(path_in(&folder), root())?, Kms::open(path_in(&folder), root())?);
    let key = one.create_key(Default::default())?;
    let encrypt = || other.encrypt(EncryptRequest::new(key.key_id(), b"text"));
    encrypt()?;
    one.disable_key(key.key_id())?;
    std::thread::sleep(Duration::from_millis(10)); // the bound that `SqliteOptions::staleness` states
    assert_eq!(encrypt().expect_err("disabled").kind(), ErrorKind::Disabled);
    Ok(())
}

#[test]
fn nothing_is_left_of_a_deleted_key_on_the_disk() -> TestResult {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let store = SqliteStore::open(path_in(&folder), &CryptoBackend::default())?;
    let kms = Kms::builder().store(store, root()).clock(Arc::clone(&clock)).build()?;
    let key = kms.create_key(Default::default())?;
    // Its id is the name of its record, and its record is all that holds its material.
    let id = uuid_bytes(&key.key_id().to_string());
    kms.schedule_key_deletion(key.key_id(), DeletionWindow::default())?;
    assert!(holds(&folder, &id)?);
    clock.advance_days(30);
    let report = kms.run_maintenance()?;
    assert!(report.deleted.len() == 1 && report.not_scrubbed.is_none(), "{report:?}");
    assert!(!holds(&folder, &id)?);
    Ok(())
}

fn uuid_bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace('-', "")).expect("hexadecimal digits")
}

/// Whether the store or its log holds the bytes.
fn holds(folder: &TempDir, wanted: &[u8]) -> std::io::Result<bool> {
    for ending in ["", "-wal"] {
        let mut name = path_in(folder).into_os_string();
        name.push(ending);
        let bytes = if Path::new(&name).exists() { fs::read(name)? } else { Vec::new() };
        if bytes.windows(wanted.len()).any(|window| window == wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every damaged byte is noticed, or does no harm: no key is ever taken for another one. `STRONGROOM_BIT_ROT_STEP=1` damages
/// every byte, not only some.
#[test]
fn a_damaged_byte_is_noticed_or_harmless() -> TestResult {
    let folder = tempfile::tempdir()?;
    let kms = Kms::open(path_in(&folder), root())?;
    let mut sealed = Vec::new();
    for text in [b"first", b"other"] {
        let key = kms.create_key(Default::default())?;
        sealed.push((text, kms.encrypt(EncryptRequest::new(key.key_id(), text))?.ciphertext_blob));
    }
    drop(kms); // which plays the log into the file and removes it
    let whole = fs::read(path_in(&folder))?;
    let (mut noticed, mut harmless) = (0, 0);
    for at in (0..whole.len()).step_by(number_from("STRONGROOM_BIT_ROT_STEP", 101)) {
        let damaged = tempfile::tempdir()?;
        let mut bytes = whole.clone();
        bytes[at] ^= 0xFF;
        fs::write(path_in(&damaged), bytes)?;
        private(&path_in(&damaged))?;
        let all_opened = Kms::open(path_in(&damaged), root()).is_ok_and(|kms| {
            sealed.iter().all(|(text, blob)| match kms.decrypt(DecryptRequest::new(blob)) {
                Ok(opened) => {
                    assert_eq!(opened.plaintext.expose_secret(), &text[..], "byte {at}");
                    true
                }
                Err(_) => false,
            })
        });
        if all_opened { harmless += 1 } else { noticed += 1 }
    }
    println!("of {} bytes: {noticed} noticed, {harmless} harmless", whole.len());
    assert!(noticed > 0 && harmless > 0);
    Ok(())
}

#[cfg(unix)]
fn private(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
}

#[cfg(not(unix))]
fn private(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Two processes work on one file and are killed at a random instant. `STRONGROOM_CRASH_RUNS` says how often.
#[test]
fn what_was_acknowledged_survives_a_kill_at_any_instant() -> TestResult {
    const RUNS_OF_A_STORE: usize = 20;
    let runs = number_from("STRONGROOM_CRASH_RUNS", 6);
    let (mut folder, mut acknowledged) = (tempfile::tempdir()?, Vec::new());
    let mut total = 0;
    for run in 0..runs {
        if run % RUNS_OF_A_STORE == 0 {
            folder = tempfile::tempdir()?;
            acknowledged.clear();
            open_shared(&path_in(&folder))?;
        }
        let children = [spawn(&path_in(&folder))?, spawn(&path_in(&folder))?];
        std::thread::sleep(instant()?);
        for child in children {
            let lines = kill(child)?;
            total += lines.len();
            acknowledged.extend(lines);
        }
        check_all(&path_in(&folder), &acknowledged)?;
    }
    println!("{runs} runs of two processes, {total} acknowledged changes, all there");
    assert!(total > 0, "the children never got to work");
    Ok(())
}

/// A process whose files may not grow beyond a limit gets short writes first and errors then, wherever the limit falls: in
/// the log, in the file, in the middle of a page.
#[cfg(unix)]
#[test]
fn what_was_acknowledged_survives_writes_that_fail() -> TestResult {
    let mut total = 0;
    for blocks in [60, 97, 150, 333] {
        let folder = tempfile::tempdir()?;
        open_shared(&path_in(&folder))?;
        // The signal is ignored, so that the write fails; blocks have 512 or 1,024 bytes.
        let script =
            "trap '' XFSZ; ulimit -f $0; exec \"$1\" persistence::works_until_killed --exact --ignored --nocapture";
        let child = Command::new("sh")
            .args(["-c", script, &blocks.to_string()])
            .arg(env::current_exe()?)
            .env(STORE, path_in(&folder))
            .output()?;
        let (output, error) = (String::from_utf8(child.stdout)?, String::from_utf8_lossy(&child.stderr).into_owned());
        assert!(!child.status.success() && error.contains("kind: Store"), "{error}");
        let acknowledged: Vec<String> =
            output.lines().filter(|line| line.starts_with("done ")).map(str::to_owned).collect();
        total += acknowledged.len();
        check_all(&path_in(&folder), &acknowledged)?;
    }
    assert!(total > 0, "nothing was written before the limit");
    Ok(())
}

/// Between nothing and 63 ms, after both children have begun.
fn instant() -> Result<Duration, strongroom::Error> {
    let mut byte = [0; 2];
    CryptoBackend::default().random().fill(&mut byte)?;
    Ok(Duration::from_micros(u64::from(u16::from_be_bytes(byte)) & 0xFFFF))
}

fn spawn(path: &Path) -> std::io::Result<(Child, BufReader<std::process::ChildStdout>)> {
    let mut child = Command::new(env::current_exe()?)
        .args(["persistence::works_until_killed", "--exact", "--ignored", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.ends_with("ready\n") {
        line.clear();
        assert!(output.read_line(&mut line)? > 0, "the child ended before it began");
    }
    Ok((child, output))
}

/// Kills the child and returns what it had acknowledged by then.
fn kill((mut child, mut output): (Child, BufReader<std::process::ChildStdout>)) -> std::io::Result<Vec<String>> {
    child.kill()?;
    child.wait()?;
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    assert!(lines.iter().all(|line| line.starts_with("done ")), "the child failed: {text}");
    Ok(lines)
}

fn open_many_aliases(path: &Path) -> strongroom::Result<Kms> {
    let store = SqliteStore::open(path, &CryptoBackend::default())?;
    let limits = KmsLimits { aliases_per_key: 1_000_000, ..KmsLimits::default() };
    Kms::builder().store(store, root()).limits(limits).build()
}

/// Makes the key that both children change.
fn open_shared(path: &Path) -> strongroom::Result<()> {
    let kms = open_many_aliases(path)?;
    let key = kms.create_key(Default::default())?;
    kms.create_alias("alias/shared", key.key_id())
}

#[test]
#[ignore = "the child of a crash test"]
fn works_until_killed() -> TestResult {
    let path = env::var_os(STORE).ok_or("run by a crash test only")?;
    let kms = open_many_aliases(Path::new(&path))?;
    let shared = kms.describe_key("alias/shared")?;
    let mut out = std::io::stdout();
    let mut say = |text: String| out.write_all(text.as_bytes()).and_then(|()| out.flush());
    say("ready\n".to_owned())?;
    loop {
        let key = kms.create_key(Default::default())?;
        let id = key.key_id();
        let blob = kms.encrypt(EncryptRequest::new(id, id.to_string().as_bytes()))?.ciphertext_blob;
        say(format!("done create {id} {}\n", hex::encode(blob)))?;
        kms.create_alias(format!("alias/{id}").as_str(), id)?;
        say(format!("done alias {id}\n"))?;
        kms.create_alias(format!("alias/shared-{id}").as_str(), shared.key_id())?;
        say(format!("done shared {id}\n"))?;
        kms.rotate_key_on_demand(id)?;
        let other = kms.create_key(Default::default())?;
        kms.disable_key(other.key_id())?;
        say(format!("done disable {}\n", other.key_id()))?;
    }
}

/// Everything acknowledged is there, and whatever else is there is whole.
fn check_all(path: &Path, acknowledged: &[String]) -> TestResult {
    let kms = open_many_aliases(path)?;
    let shared = kms.describe_key("alias/shared")?;
    for line in acknowledged {
        let words: Vec<&str> = line.split(' ').collect();
        let id = words[2];
        match words[1] {
            "create" => {
                let blob = hex::decode(words[3])?;
                assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), id.as_bytes());
            }
            "alias" => {
                let name = format!("alias/{id}");
                assert_eq!(kms.describe_key(name.as_str())?.key_id().to_string(), id);
            }
            "shared" => {
                let name = format!("alias/shared-{id}");
                assert_eq!(kms.describe_key(name.as_str())?.key_id(), shared.key_id());
            }
            _ => assert_eq!(kms.describe_key(id)?.state(), KeyState::Disabled),
        }
    }
    // The sweep reads and opens every key.
    let report = kms.run_maintenance()?;
    assert!(report.failed.is_empty(), "{report:?}");
    Ok(())
}
