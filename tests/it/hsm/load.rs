//! A load test: 64 threads use, create, and describe keys of a cluster of two tokens, while one
//! token repeatedly fails and recovers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use strongroom::algorithm::SigningAlgorithm;
use strongroom::key::{CustomKeyStoreId, KeyId, KeySpec, KeyState, KeyUsage};
use strongroom::provider::pkcs11::CallMode;
use strongroom::request::{
    CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateDataKeyRequest, PageRequest, SignRequest, VerifyRequest,
};
use strongroom::{EncryptionContext, ErrorKind, Kms, Result};

use crate::hsm::cluster::{World, create, round};

const THREADS: usize = 64;

/// The number of operations per thread.
const TURNS: usize = 12;

/// Far fewer sessions than threads, so that most threads wait for one.
const SESSIONS: usize = 4;

/// The state shared by all threads.
struct Load {
    kms: Kms,
    store: CustomKeyStoreId,
    key: KeyId,
    signing: KeyId,
    sealed: Vec<u8>,
    /// Keys created by the threads.
    made: Mutex<Vec<KeyId>>,
}

/// Counts operations that succeeded and operations that were rejected.
#[derive(Debug, Default)]
struct Tally {
    done: AtomicUsize,
    refused: AtomicUsize,
}

/// Counts a thread when it ends, even if it panics.
struct CountedAtTheEnd<'a>(&'a AtomicUsize);

impl Drop for CountedAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Load {
    /// Performs one operation and checks its result.
    fn turn(&self, thread: usize, turn: usize) -> Result<()> {
        let (kms, text) = (&self.kms, format!("{thread} {turn}"));
        match (thread + turn) % 8 {
            0 => round(kms, self.key, &text),
            1 => self.opens_what_was_sealed_before(),
            2 => self.data_key(&text),
            3 => {
                assert_eq!(kms.describe_key(self.key)?.state(), KeyState::Enabled);
                Ok(())
            }
            4 => self.sign(&text),
            // Runs on eight of the threads, in the same turns.
            5 if thread.is_multiple_of(8) => {
                let made = create(kms, self.store)?;
                self.made.lock().expect("no thread panicked").push(made);
                round(kms, made, &text)
            }
            5 => self.refuses_another_context(&text),
            6 => {
                let newest = self.made.lock().expect("no thread panicked").last().copied();
                round(kms, newest.unwrap_or(self.key), &text)
            }
            _ => kms.describe_custom_key_store(self.store).map(drop),
        }
    }

    fn opens_what_was_sealed_before(&self) -> Result<()> {
        let opened = self.kms.decrypt(DecryptRequest::new(&self.sealed))?;
        assert_eq!(opened.plaintext.expose_secret(), b"sealed before");
        Ok(())
    }

    fn data_key(&self, text: &str) -> Result<()> {
        let context = EncryptionContext::from([("turn", text)]);
        let request = GenerateDataKeyRequest::new(self.key).context(&context);
        let made = self.kms.generate_data_key(request)?;
        let request = DecryptRequest::new(&made.ciphertext_blob).context(&context);
        assert_eq!(self.kms.decrypt(request)?.plaintext.expose_secret(), made.plaintext.expose_secret());
        Ok(())
    }

    fn refuses_another_context(&self, text: &str) -> Result<()> {
        let context = EncryptionContext::from([("turn", text)]);
        let refused =
            self.kms.decrypt(DecryptRequest::new(&self.sealed).context(&context)).expect_err("another context");
        if refused.kind() == ErrorKind::InvalidCiphertext { Ok(()) } else { Err(refused) }
    }

    fn sign(&self, text: &str) -> Result<()> {
        let algorithm = SigningAlgorithm::EcdsaSha256;
        let signature = self.kms.sign(SignRequest::new(self.signing, algorithm, text.as_bytes()))?.signature;
        self.kms.verify(VerifyRequest::new(self.signing, algorithm, text.as_bytes(), &signature)).map(drop)
    }

    /// Runs all turns of all threads. Until they end, the calling thread repeats some other work.
    fn run(&self, meanwhile: impl Fn(), is_refused: impl Fn(ErrorKind) -> bool + Sync) -> Tally {
        let (tally, finished) = (Tally::default(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (tally, finished, is_refused) = (&tally, &finished, &is_refused);
                scope.spawn(move || {
                    let _finished = CountedAtTheEnd(finished);
                    for turn in 0..TURNS {
                        match self.turn(thread, turn) {
                            Ok(()) => tally.done.fetch_add(1, Ordering::Relaxed),
                            Err(error) => {
                                assert!(is_refused(error.kind()), "{error:?}");
                                tally.refused.fetch_add(1, Ordering::Relaxed)
                            }
                        };
                    }
                });
            }
            while finished.load(Ordering::Relaxed) < THREADS {
                meanwhile();
            }
        });
        tally
    }
}

#[test]
fn sixty_four_threads_of_everything_get_right_answers_within_the_sessions_that_there_are() -> Result<()> {
    let Some(world) = World::with_sessions(CallMode::Direct, SESSIONS) else { return Ok(()) };
    let store = world.store()?;
    let (kms, _cluster) = world.process()?;
    let key = create(&kms, store)?;
    let signing = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    let signing = kms.create_key(signing)?.key_id();
    let sealed = kms.encrypt(EncryptRequest::new(key, b"sealed before"))?.ciphertext_blob;
    let load = Load { kms, store, key, signing, sealed, made: Mutex::default() };
    let within_bounds = || {
        let most = [&world.east, &world.west].map(|hsm| hsm.shim().most_sessions());
        // One additional session holds the login.
        let bound = u64::try_from(SESSIONS).expect("the number is small") + 1;
        assert!(most.into_iter().all(|most| most <= bound), "{most:?} sessions");
        most
    };

    within_bounds();
    let well = load.run(|| thread::sleep(Duration::from_millis(5)), |_| false);
    println!("no faults: {well:?}, {:?} sessions", within_bounds());

    let come_and_go = || {
        world.east.shim().vanish();
        thread::sleep(Duration::from_millis(20));
        world.east.shim().clear();
        thread::sleep(Duration::from_millis(20));
    };
    let is_refused = |kind| {
        matches!(
            kind,
            ErrorKind::InvalidState
                | ErrorKind::CustomKeyStoreInvalidState
                | ErrorKind::ClusterInvalidConfiguration
                | ErrorKind::KeyUnavailable
        )
    };
    let lossy = load.run(come_and_go, is_refused);
    println!("one member with intermittent faults: {lossy:?}");
    assert!(
        lossy.done.load(Ordering::Relaxed) > lossy.refused.load(Ordering::Relaxed),
        "the other member still works: {lossy:?}"
    );

    // Interrupted creations have been undone. Completed keys are on both tokens and work.
    world.clock.advance(Duration::from_secs(16 * 60));
    thread::sleep(Duration::from_millis(50));
    load.kms.describe_custom_key_store(store)?;
    let report = load.kms.run_maintenance()?;
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let made = load.made.lock().expect("no thread panicked").clone();
    let listed = all_keys(&load.kms)?;
    assert_eq!(listed, made.len() + 2, "the created keys, the first key, and the signing key");
    assert_eq!(world.objects(), [made.len() + 2; 2], "the created keys, the first key, and the replication key");
    for key in made {
        round(&load.kms, key, "the key works")?;
    }
    // Ignores sessions that were open briefly during the reconnection.
    world.east.shim().most_sessions();
    world.west.shim().most_sessions();
    let after = load.run(|| thread::sleep(Duration::from_millis(5)), |_| false);
    println!("no faults again: {after:?}, {:?} sessions", within_bounds());
    Ok(())
}

fn all_keys(kms: &Kms) -> Result<usize> {
    let (mut count, mut page) = (0, PageRequest::default());
    loop {
        let found = kms.list_keys(page)?;
        count += found.entries.len();
        let Some(marker) = found.next_marker else { return Ok(count) };
        page = PageRequest::default().marker(marker);
    }
}
