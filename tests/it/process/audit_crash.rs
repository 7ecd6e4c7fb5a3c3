//! Kills a process while it writes its audit log: every acknowledged event is present, and the
//! chain is intact.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use strongroom::Kms;
use strongroom::audit::FileTrail;
use strongroom::crypto::CryptoBackend;
use strongroom::request::PageRequest;
use strongroom::seal::RootKey;
use strongroom::store::SqliteStore;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Marks the process that is to be killed, and sets the folder that it writes to.
const VICTIM: &str = "STRONGROOM_AUDIT_CRASH_DIRECTORY";

fn open(directory: &Path) -> Result<Kms, Box<dyn std::error::Error>> {
    let store = SqliteStore::open(directory.join("keys.db"), &CryptoBackend::default())?;
    let root = RootKey::from_bytes(&[7; 32]);
    Ok(Kms::builder().store(store, root).audit(FileTrail::new(directory.join("trail"))).build()?)
}

/// The number of threads that write.
const THREADS: &str = "STRONGROOM_AUDIT_CRASH_THREADS";

/// Writes events forever, and acknowledges each one after it is stored.
#[test]
fn the_process_that_is_killed() -> TestResult {
    let Some(directory) = std::env::var_os(VICTIM) else { return Ok(()) };
    let threads: u64 = std::env::var(THREADS)?.parse()?;
    let kms = open(Path::new(&directory))?;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for round in 0_u64.. {
                    if round % 8 == 0 {
                        kms.create_key(Default::default()).unwrap();
                    }
                    kms.list_keys(PageRequest::default().limit(1)).unwrap();
                    eprintln!("kept {round}");
                }
            });
        }
    });
    Ok(())
}

#[test]
fn a_process_that_is_killed_while_it_writes_leaves_a_good_chain_with_all_that_was_acknowledged() -> TestResult {
    for (threads, kept) in [(1, 1), (1, 3), (1, 9), (1, 30), (16, 40), (16, 150)] {
        let directory = tempfile::tempdir()?;
        let mut victim = Command::new(std::env::current_exe()?)
            .args(["--exact", "process::audit_crash::the_process_that_is_killed", "--nocapture"])
            .env(VICTIM, directory.path())
            .env(THREADS, threads.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(victim.stderr.take().ok_or("no stderr")?).lines();
        let acknowledged = lines.map_while(Result::ok).filter(|line| line.contains("kept ")).take(kept).count();
        victim.kill()?;
        victim.wait()?;
        assert_eq!(acknowledged, kept, "the process exited on its own");
        let kms = open(directory.path())?;
        let report = kms.verify_audit_trail(directory.path().join("trail"))?;
        assert!(report.is_intact(), "{report}");
        assert!(report.chains.iter().all(|chain| chain.unfinished.is_empty()), "pending changes are distinguished");
        // Each acknowledged round has one event, and every eighth round of a thread has two more
        // for a change.
        assert!(report.records() >= u64::try_from(kept + 2 * kept.div_ceil(8))?, "{report}");
    }
    Ok(())
}
