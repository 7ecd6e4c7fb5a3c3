//! Sweeps in processes that are killed at random instants, alongside writers.
//!
//! Writers insert, update and delete rows, like a program of the present release that encrypts, and
//! one of an earlier release that writes plaintext. After each kill, every row has the value of its
//! last acknowledged write. At the end, a sweep without interruption completes: all rows are under the
//! newest version of their key, and have the right index value. `STRONGROOM_SWEEP_KILLS` sets the number
//! of kills of each kind of sweep in each database.

mod database;
mod kind;
mod ledger;
#[cfg(all(feature = "columns-tokio-postgres", feature = "postgres", unix))]
mod postgres;
mod sqlite;
mod writers;

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use strongroom::Result;
use strongroom::crypto::CryptoBackend;

use self::database::Database;
use self::kind::{Kind, Place};
use self::ledger::Ledger;
use self::writers::Writer;
use super::support::{Mode, TestResult};
use crate::support::child_process::{child, fast_folder};

/// The default number of kills of each kind of sweep in each database.
const KILLS: usize = 8;

/// The number of sweeps that are killed together.
const PROCESSES: usize = 2;

const WRITERS: u64 = 3;

/// The kind of sweep of a child.
const KIND: &str = "STRONGROOM_TEST_SWEEP_KIND";

/// The database of a child, unless it is a file in its folder.
const URL: &str = "STRONGROOM_TEST_URL";

/// Kills sweeps of one kind. `connect` opens the database, also in each child.
fn kills<D: Database + Send>(
    kind: Kind,
    program: &str,
    url: &str,
    connect: impl Fn(&Path, &str) -> TestResult<D> + Sync,
) -> TestResult {
    let kills: usize = env::var("STRONGROOM_SWEEP_KILLS").map_or(Ok(KILLS), |text| text.parse())?;
    let folder = fast_folder()?;
    let place = Place::create(folder.path())?;
    let mut database = connect(folder.path(), url)?;
    database.create_table()?;
    let ledger = Ledger::new();
    let (gate, ends) = (RwLock::new(()), AtomicBool::new(false));
    thread::scope(|scope| -> TestResult {
        let end = End(&ends);
        let mut workers = Vec::new();
        for _ in 0..WRITERS {
            let (mut own, place) = (connect(folder.path(), url)?, place.clone());
            let (ledger, gate, ends) = (&ledger, &gate, &ends);
            workers.push(scope.spawn(move || -> Result<u64, String> {
                let mut writer = Writer::new(kind, &place).map_err(|error| error.to_string())?;
                while !ends.load(Ordering::Relaxed) {
                    let _open = gate.read().expect("no thread panicked");
                    writer.write(&mut own, ledger).map_err(|error| format!("a writer failed: {error}"))?;
                }
                Ok(writer.writes())
            }));
        }
        let killed = (0..kills.div_ceil(PROCESSES)).try_for_each(|round| -> TestResult {
            if round % 4 == 0 {
                place.rotate()?;
            }
            kill_together(kind, program, folder.path(), url)?;
            let _closed = gate.write().expect("no thread panicked");
            ledger.check(kind, &place, &database.rows()?).map_err(|error| format!("round {round}: {error}").into())
        });
        drop(end);
        for worker in workers {
            let writes = worker.join().expect("no thread panicked")?;
            assert!(writes > 0, "each writer wrote");
        }
        killed
    })?;
    place.rotate()?;
    for mode in Mode::ALL {
        // The second time, nothing is left.
        for changes in [true, false] {
            for sweep in kind.completing_sweeps(&place, mode)? {
                let report = database.sweep(sweep.0, sweep.1)?;
                assert!(report.is_complete() && (changes || report.changed() == 0), "{kind:?}: {report:?}");
            }
        }
        ledger.check_complete(kind, &place, &database.rows()?)?;
        place.rotate()?;
    }
    Ok(())
}

/// Ends the writers, also if the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts sweeps, and kills them at a random instant.
fn kill_together(kind: Kind, program: &str, folder: &Path, url: &str) -> TestResult {
    let start = || -> TestResult<Child> {
        let mut command = child(program, folder)?;
        command.env(KIND, kind.name()).env(URL, url).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Ok(command.spawn()?)
    };
    let mut children = (0..PROCESSES).map(|_| start()).collect::<TestResult<Vec<_>>>()?;
    let at_work = children.iter_mut().try_for_each(|child| -> TestResult {
        let mut lines = BufReader::new(child.stdout.take().ok_or("a pipe")?).lines();
        while !lines.next().ok_or("a sweep ended")??.contains("sweeps") {}
        Ok(())
    });
    thread::sleep(Duration::from_micros(random()? % 30_000));
    for child in &mut children {
        child.kill()?;
        let status = child.wait()?;
        assert!(status.code().is_none(), "a sweep ended before it was killed: {status}");
    }
    at_work
}

/// Sweeps until it is killed, in a child.
fn sweep_forever<D: Database>(connect: impl Fn(&Path, &str) -> TestResult<D>) -> TestResult {
    let folder = env::var_os(crate::support::child_process::STORE).ok_or("the folder")?;
    let kind = Kind::named(&env::var(KIND)?).ok_or("a kind")?;
    let place = Place::open(Path::new(&folder))?;
    let mut database = connect(Path::new(&folder), &env::var(URL)?)?;
    println!("sweeps");
    for mode in Mode::ALL.into_iter().cycle() {
        for sweep in kind.sweeps(&place, mode)? {
            let report = database.sweep(sweep.0, sweep.1)?;
            // Writers change rows in between, but no row fails.
            assert_eq!(report.failed(), 0, "{report:?}");
        }
    }
    Ok(())
}

/// Returns a random number.
fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    CryptoBackend::default().random().fill(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}
