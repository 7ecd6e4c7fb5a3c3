//! Processes that share a store, an audit trail and an anchor, killed at random moments: no false
//! alarm is raised, and the trail agrees with the store.
//!
//! `STRONGROOM_TRAIL_KILLS` sets the number of kills. The default is small.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use strongroom::Kms;
use strongroom::audit::{AuditSink, FileTrail, MemoryTrail};
use strongroom::crypto::CryptoBackend;
use strongroom::request::PageRequest;
use strongroom::seal::RootKey;
use strongroom::store::{FileAnchor, SqliteOptions, SqliteStore};

use crate::support::child_process::{STORE, child, fast_folder};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const CHILD: &str = "process::trail_kills::works_until_killed";

/// The number of threads of the child.
const THREADS: &str = "STRONGROOM_TRAIL_THREADS";

const KILLS: usize = 6;

/// Maximum time until a process on a busy machine reports its first key.
const PATIENCE: Duration = Duration::from_secs(120);

fn store_in(folder: &Path) -> PathBuf {
    folder.join("keys.strongroom")
}

fn trail_in(folder: &Path) -> PathBuf {
    folder.join("trail")
}

fn open(folder: &Path, sink: impl AuditSink + 'static, is_anchored: bool) -> strongroom::Result<Kms> {
    let backend = CryptoBackend::default();
    // With many writers on few processors, SQLite may make one of them wait for a long time.
    let options = SqliteOptions::default().busy_timeout(Duration::from_secs(120));
    let store = SqliteStore::open_with(store_in(folder), &backend, options)?;
    let mut builder = Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).audit(sink);
    if is_anchored {
        builder = builder.anchor(FileAnchor::new(folder.join("anchor")));
    }
    builder.build()
}

#[test]
#[ignore = "run only as the child process of a crash test"]
fn works_until_killed() -> TestResult {
    let folder = PathBuf::from(env::var_os(STORE).ok_or("run only by a crash test")?);
    let threads: usize = env::var(THREADS)?.parse()?;
    let fail = |error: strongroom::Error| -> ! {
        eprintln!("failed {error:?}");
        process::exit(1)
    };
    let kms = open(&folder, FileTrail::new(trail_in(&folder)), true).unwrap_or_else(|error| fail(error));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let key = kms.create_key(Default::default()).unwrap_or_else(|error| fail(error));
                    eprintln!("done {}", key.key_id());
                }
            });
        }
    });
    Ok(())
}

/// A child, with a thread that collects the keys that it reports.
struct Worker {
    process: Child,
    first_key: mpsc::Receiver<()>,
    listener: thread::JoinHandle<Vec<String>>,
}

impl Worker {
    fn start(folder: &Path, threads: usize) -> io::Result<Self> {
        let mut process = child(CHILD, folder)?
            .env(THREADS, threads.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let (reports, first_key) = mpsc::sync_channel(1);
        let listener = thread::spawn(move || {
            let report = |line: &String| {
                if line.starts_with("done ") {
                    // There is room for the first report, and only that one is waited for.
                    let _ = reports.try_send(());
                }
            };
            lines.map_while(Result::ok).inspect(report).collect()
        });
        Ok(Self { process, first_key, listener })
    }

    /// Waits until it has reported a key, or has ended without reporting one.
    fn wait_for_first_key(&self) -> TestResult {
        match self.first_key.recv_timeout(PATIENCE) {
            Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("no key within {PATIENCE:?}").into()),
            // If it has ended, `kill` returns the reason.
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => Ok(()),
        }
    }

    /// Kills it and returns the keys whose creation it reported.
    fn kill(mut self) -> Result<Vec<String>, Box<dyn std::error::Error>> {
        self.process.kill()?;
        self.process.wait()?;
        let lines = self.listener.join().expect("no thread panicked");
        if let Some(failed) = lines.iter().find(|line| line.starts_with("failed")) {
            return Err(failed.clone().into());
        }
        // The last line may be incomplete.
        let whole = |line: &String| line.strip_prefix("done ").filter(|id| id.len() == 36).map(str::to_owned);
        Ok(lines.iter().filter_map(whole).collect())
    }
}

fn random(limit: usize) -> Result<usize, Box<dyn std::error::Error>> {
    let mut bytes = [0; 4];
    CryptoBackend::default().random().fill(&mut bytes)?;
    Ok(usize::try_from(u32::from_be_bytes(bytes))? % limit)
}

/// One change in the trail.
#[derive(Debug, Default)]
struct Change {
    key: String,
    chain: String,
    announced: u64,
    /// `success`, `failure`, or the result of a reconciliation.
    ends: Vec<String>,
}

fn read_trail(folder: &Path) -> Result<BTreeMap<String, Change>, Box<dyn std::error::Error>> {
    let mut changes = BTreeMap::<String, Change>::new();
    for entry in fs::read_dir(trail_in(folder))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let text = fs::read_to_string(path)?;
        // An incomplete line was not acknowledged.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: serde_json::Value = serde_json::from_str(line)?;
            let (event, reconciled) = (&line["event"], &line["reconciled"]);
            let id = event["change"].as_str().or(reconciled["change"].as_str());
            let Some(id) = id else { continue };
            let change = changes.entry(id.to_owned()).or_default();
            match event["outcome"].as_str() {
                Some("intent") => {
                    let arn = event["resources"][0]["ARN"].as_str().ok_or("an intent without a key")?;
                    change.key = arn.rsplit('/').next().unwrap_or_default().to_owned();
                    change.chain = line["chain"].as_str().unwrap_or_default().to_owned();
                    change.announced = line["sequence"].as_u64().ok_or("no number")?;
                }
                Some(outcome) => change.ends.push(outcome.to_owned()),
                None => change.ends.push(reconciled["result"].as_str().unwrap_or_default().to_owned()),
            }
        }
    }
    Ok(changes)
}

fn keys_of(kms: &Kms) -> strongroom::Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    let mut marker = None;
    loop {
        let page = PageRequest::default().limit(1_000);
        let page = kms.list_keys(marker.take().map_or(page.clone(), |marker: String| page.marker(marker)))?;
        keys.extend(page.entries.iter().map(|entry| entry.key_id.to_string()));
        marker = page.next_marker;
        if marker.is_none() {
            return Ok(keys);
        }
    }
}

/// Checks that the store's recorded position of each chain covers every change in the store. Works
/// on a copy, because opening the trail moves that position.
fn check_positions(folder: &Path) -> TestResult {
    let copy = fast_folder()?;
    for suffix in ["", "-wal"] {
        let name = format!("keys.strongroom{suffix}");
        if folder.join(&name).exists() {
            fs::copy(folder.join(&name), copy.path().join(&name))?;
        }
    }
    let kms = open(copy.path(), MemoryTrail::default(), false)?;
    let covered: BTreeMap<String, u64> =
        kms.audit_chains()?.iter().map(|chain| (chain.id().to_string(), chain.records())).collect();
    let changes = read_trail(folder)?;
    let by_key: BTreeMap<&str, &Change> = changes.values().map(|change| (change.key.as_str(), change)).collect();
    for key in keys_of(&kms)? {
        let change = by_key.get(key.as_str()).ok_or_else(|| format!("{key} was never announced"))?;
        let covered = covered.get(&change.chain).copied().unwrap_or(0);
        assert!(change.announced <= covered, "{change:?} is after record {covered}, the last that the store covers");
    }
    Ok(())
}

/// Runs processes, kills one after the other, and compares the trail with the store. Returns a line
/// with counts.
fn run(processes: usize, threads: usize, kills: usize) -> Result<String, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let folder = fast_folder()?;
    let folder = folder.path();
    drop(open(folder, FileTrail::new(trail_in(folder)), true)?);
    let mut workers = (0..processes).map(|_| Worker::start(folder, threads)).collect::<io::Result<Vec<_>>>()?;
    let mut acknowledged = Vec::new();
    // The replacements of killed processes may be killed at any moment, even while they open the
    // store.
    workers.iter().try_for_each(Worker::wait_for_first_key)?;
    for kill in 0..kills {
        thread::sleep(Duration::from_millis(30 + u64::try_from(random(120)?)?));
        acknowledged.extend(workers.swap_remove(random(processes)?).kill()?);
        if processes == 1 {
            check_positions(folder)?;
        }
        if kill + 1 < kills {
            workers.push(Worker::start(folder, threads)?);
        }
    }
    for worker in workers {
        acknowledged.extend(worker.kill()?);
    }
    check_positions(folder)?;

    // Each of these processes takes the next free chain.
    let mut opened = vec![open(folder, FileTrail::new(trail_in(folder)), true)?];
    while opened.len() < opened[0].audit_chains()?.len() {
        opened.push(open(folder, FileTrail::new(trail_in(folder)), true)?);
    }
    let kms = &opened[0];
    let report = kms.verify_audit_trail(trail_in(folder))?;
    assert!(report.is_intact() && report.chains.iter().all(|chain| chain.unfinished.is_empty()), "{report:?}");
    assert!(kms.verify_store(|_| {})?.is_intact());

    let (keys, changes) = (keys_of(kms)?, read_trail(folder)?);
    let mut counts = BTreeMap::<&str, usize>::new();
    for change in changes.values() {
        let [end] = &change.ends[..] else {
            return Err(format!("{change:?} does not have exactly one outcome").into());
        };
        *counts.entry(end).or_default() += 1;
        let is_made = matches!(&**end, "success" | "committed");
        assert_eq!(keys.contains(&change.key), is_made, "the trail and the store disagree about {change:?}");
    }
    assert_eq!(
        counts.iter().filter(|(end, _)| matches!(**end, "success" | "committed")).map(|(_, n)| n).sum::<usize>(),
        keys.len()
    );
    assert!(acknowledged.len() >= processes, "only {} keys were acknowledged", acknowledged.len());
    assert!(acknowledged.iter().all(|key| keys.contains(key)), "an acknowledged key is missing");
    Ok(format!(
        "{processes} processes with {threads} threads, {kills} kills in {} s: {} keys acknowledged, {} chains, \
         outcomes of changes {counts:?}",
        start.elapsed().as_secs(),
        acknowledged.len(),
        opened.len()
    ))
}

#[test]
fn after_kills_of_many_processes_the_trail_agrees_with_the_store_and_nothing_raised_an_alarm() -> TestResult {
    let kills = env::var("STRONGROOM_TRAIL_KILLS").map_or(Ok(KILLS), |text| text.parse())?;
    println!("{}", run(8, 2, kills)?);
    Ok(())
}

#[test]
fn after_kills_of_one_process_the_store_covers_every_change_that_it_has() -> TestResult {
    let kills = env::var("STRONGROOM_TRAIL_KILLS").map_or(Ok(KILLS), |text| text.parse())?;
    println!("{}", run(1, 8, kills.div_ceil(4).max(KILLS))?);
    Ok(())
}
