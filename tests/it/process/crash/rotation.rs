//! A root key rotation that is interrupted at any call: the store opens as the manual says, no key
//! is lost, and the next caller resumes it. In every other run, a second process reads throughout.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs, thread};

use strongroom::crypto::{CryptoBackend, RUST_CRYPTO};
use strongroom::request::{DecryptRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;
use strongroom::{ErrorKind, Kms};

use super::{TestResult, path_in, work};
use crate::support::child_process::{STORE, child, fast_folder};
use crate::support::disk_faults::{self, Fault, Run, Shim};
use crate::support::parallel;

const CHILD: &str = "process::crash::rotation::rotates_to_the_end";

/// Tells the child which root key the store should have afterwards: the same one or another.
const TO: &str = "STRONGROOM_CRASH_ROOT_KEY";

/// The current root key, and the one that it moves to.
const OLD: u8 = 7;
const NEXT: u8 = 8;

/// Number of keys, each with an alias. It is small, because every record adds calls.
const KEYS: usize = 3;

/// The kind of rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rotation {
    /// To a new version with the current wrapper.
    Stay,
    /// To a new version with another wrapper.
    Move,
}

impl Rotation {
    const BOTH: [Self; 2] = [Self::Stay, Self::Move];

    /// Returns the root key that opens the store once the rotation is complete.
    const fn holder(self) -> u8 {
        match self {
            Self::Stay => OLD,
            Self::Move => NEXT,
        }
    }

    /// Starts or resumes the rotation, unless it is complete. Returns `true` if one was in
    /// progress.
    fn bring_to_an_end(self, kms: &Kms) -> strongroom::Result<bool> {
        let status = kms.root_key_status()?;
        if status.version() == 2 && !status.is_rotating() {
            return Ok(false);
        }
        let done = match self {
            Self::Stay => kms.rotate_root_key(),
            Self::Move => kms.move_root_key(RootKey::from_bytes(&[NEXT; 32])),
        }?;
        assert_eq!(done.version(), 2);
        Ok(done.was_resumed())
    }
}

fn open(path: &Path, root: u8, backend: CryptoBackend) -> strongroom::Result<Kms> {
    let store = SqliteStore::open(path, &backend)?;
    Kms::builder().store(store, RootKey::from_bytes(&[root; 32])).backend(backend).build()
}

/// Opens the store with the previous root key or, if that is no longer valid, with the next one.
fn open_with_either(path: &Path, backend: CryptoBackend) -> strongroom::Result<Kms> {
    match open(path, OLD, backend) {
        Err(error) if error.kind() == ErrorKind::RootKey => open(path, NEXT, backend),
        opened => opened,
    }
}

/// Rotates, and retries once after an error, as an operator would.
#[test]
#[ignore = "run only as the child process of a crash test"]
fn rotates_to_the_end() -> TestResult {
    let path = env::var_os(STORE).ok_or("run only by a crash test")?;
    let wanted = env::var(TO)?;
    let rotation = Rotation::BOTH.into_iter().find(|rotation| format!("{rotation:?}") == wanted).ok_or("no such")?;
    for _ in 0..2 {
        let opened = work::said("open", open_with_either(Path::new(&path), RUST_CRYPTO));
        let done = opened.and_then(|kms| work::said("rotate", rotation.bring_to_an_end(&kms)));
        if done.is_some() {
            work::say("done rotate");
            break;
        }
    }
    work::say("end");
    Ok(())
}

/// Ciphertexts with the id of their key, which is the plaintext.
type Sealed = Vec<(String, Vec<u8>)>;

/// Creates a store with keys of two versions each, and closes it.
fn prepare(path: &Path) -> strongroom::Result<Sealed> {
    let kms = open(path, OLD, CryptoBackend::default())?;
    let mut sealed = Vec::new();
    for number in 0..KEYS {
        let id = kms.create_key(Default::default())?.key_id();
        kms.create_alias(format!("alias/{number}").as_str(), id)?;
        for _ in 0..2 {
            let text = id.to_string();
            let blob = kms.encrypt(EncryptRequest::new(id, text.as_bytes()))?.ciphertext_blob;
            sealed.push((text, blob));
            kms.rotate_key_on_demand(id)?;
        }
    }
    Ok(sealed)
}

/// Checks that every key decrypts, and that every record opens and is the latest one.
fn check_sound(kms: &Kms, sealed: &Sealed) -> strongroom::Result<()> {
    for (text, blob) in sealed {
        assert_eq!(kms.decrypt(DecryptRequest::new(blob))?.plaintext.expose_secret(), text.as_bytes());
    }
    let report = kms.verify_store(|_| {})?;
    assert!(report.is_intact(), "{report:?}");
    Ok(())
}

/// Runs the rotating child with the fault.
fn run(shim: &Shim, path: &Path, rotation: Rotation, fault: Fault) -> std::io::Result<Run> {
    shim.run(child(CHILD, path)?.env(TO, format!("{rotation:?}")), path, fault)
}

/// Runs the child while this process reads every key repeatedly, from before the start until after
/// the end. Returns the number of complete passes.
fn run_while_reading(
    shim: &Shim,
    path: &Path,
    rotation: Rotation,
    fault: Fault,
    sealed: &Sealed,
) -> Result<(Run, usize), Box<dyn std::error::Error>> {
    let reader = open(path, OLD, CryptoBackend::default())?;
    check_sound(&reader, sealed)?;
    let ended = AtomicBool::new(false);
    let (run, read) = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            for round in 1.. {
                let was_last = ended.load(Ordering::SeqCst);
                if let Err(error) = check_sound(&reader, sealed) {
                    return Err((round, error));
                }
                if was_last {
                    return Ok(round);
                }
            }
            unreachable!("the last number is unknown")
        });
        let run = run(shim, path, rotation, fault);
        ended.store(true, Ordering::SeqCst);
        (run, reading.join().expect("decryption never returns a wrong plaintext"))
    });
    drop(reader);
    match read {
        Ok(rounds) => Ok((run?, rounds)),
        // A reader that was idle while the root key moved does not know its new wrapper.
        Err((rounds, error)) if rotation == Rotation::Move && error.kind() == ErrorKind::RootKey => {
            assert_eq!(
                open(path, OLD, CryptoBackend::default()).expect_err("the root key was moved").kind(),
                ErrorKind::RootKey
            );
            Ok((run?, rounds - 1))
        }
        Err((_, error)) => Err(error.into()),
    }
}

/// Checks the store after a run.
fn check_afterwards(path: &Path, rotation: Rotation, was_acknowledged: bool, sealed: &Sealed) -> TestResult {
    let backend = CryptoBackend::default();
    let kms = open_with_either(path, backend)?;
    check_sound(&kms, sealed)?;
    let status = kms.root_key_status()?;
    let is_done = status.version() == 2 && !status.is_rotating();
    assert!(is_done || !was_acknowledged, "{status:?}");
    // The previous root key stays valid until a move is complete. The next one is valid from the
    // start of the move.
    for (root, opens) in [
        (OLD, rotation == Rotation::Stay || !is_done),
        (NEXT, rotation == Rotation::Move && (is_done || status.is_rotating())),
    ] {
        match open(path, root, backend) {
            Ok(_) => assert!(opens, "root key {root} opens the store: {status:?}"),
            Err(error) => {
                assert!(!opens && error.kind() == ErrorKind::RootKey, "root key {root}: {error:?}, {status:?}");
            }
        }
    }
    kms.create_key(Default::default())?;
    assert_eq!(rotation.bring_to_an_end(&kms)?, status.is_rotating());
    drop(kms);
    let kms = open(path, rotation.holder(), backend)?;
    check_sound(&kms, sealed)?;
    let status = kms.root_key_status()?;
    assert_eq!((status.version(), status.is_rotating()), (2, false));
    Ok(())
}

#[test]
fn a_root_key_rotation_that_is_hit_at_any_call_loses_nothing_and_can_be_finished() -> TestResult {
    let Some(shim) = disk_faults::built(
        "process::crash::rotation::a_root_key_rotation_that_is_hit_at_any_call_loses_nothing_and_can_be_finished",
    ) else {
        return Ok(());
    };
    let template = fast_folder()?;
    let sealed = prepare(&path_in(&template))?;
    let copy = || {
        let folder = fast_folder()?;
        fs::copy(path_in(&template), path_in(&folder))?;
        Ok::<_, std::io::Error>(folder)
    };
    for rotation in Rotation::BOTH {
        let folder = copy()?;
        let whole = run(&shim, &path_in(&folder), rotation, Fault { kind: "none", at: 0, seed: 0 })?;
        assert_eq!((whole.acknowledged.len(), whole.refused.len()), (1, 0), "{whole:?}");
        check_afterwards(&path_in(&folder), rotation, true, &sealed)?;
        let calls = whole.calls.len();
        let faults = disk_faults::faults(calls, 3)?;
        let runs = parallel::run(&faults, |&fault| {
            let folder = copy()?;
            let path = path_in(&folder);
            let what = format!("{fault:?} of {calls} calls of {rotation:?}");
            // No reader survives a power cut. A call with a reader in one kind of rotation has none
            // in the other.
            let is_read = !fault.cuts_power() && (fault.at / 2 % 2 == 0) == (rotation == Rotation::Stay);
            let (run, read) = match is_read {
                true => run_while_reading(&shim, &path, rotation, fault, &sealed)?,
                false => (run(&shim, &path, rotation, fault)?, 0),
            };
            // Alongside a reader, it need not create the log, so it makes fewer calls.
            if is_read && run.calls.len() < usize::try_from(fault.at)? {
                assert!(run.finished && run.refused.is_empty(), "{what}: {run:?}");
            } else {
                disk_faults::check_ending(&fault, &run, &what);
            }
            let is_acknowledged = !run.acknowledged.is_empty();
            // A step that fails once succeeds when it is retried.
            assert!(is_acknowledged || !fault.is_over_at_once(), "{what}: {run:?}");
            check_afterwards(&path, rotation, is_acknowledged, &sealed).map_err(|error| format!("{what}: {error}"))?;
            Ok((is_acknowledged, read))
        })?;
        let finished = runs.iter().filter(|(is_acknowledged, _)| *is_acknowledged).count();
        let read: usize = runs.iter().map(|(_, read)| read).sum();
        println!(
            "{rotation:?}: a rotation of the root key performs {calls} calls; {} runs with a fault, {finished} \
             completed, the others were resumed; all keys were read {read} times during the runs",
            runs.len()
        );
    }
    Ok(())
}
