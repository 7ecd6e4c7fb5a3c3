//! A store in PostgreSQL under load: changes per second with several threads and over networks of
//! different latency, compared with a store that waits for the answer to each statement; encryption
//! while another process changes keys; the time of a failover; and memory.
//!
//! Run it with `cargo bench --features postgres --bench postgres`. It starts servers in temporary
//! folders, and needs the programs of PostgreSQL in `STRONGROOM_POSTGRES` or in the folder of Debian.
//! A proxy delays every byte by half of the latency in each direction. In the first table, every
//! thread disables and enables its own key.

use std::error::Error;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use strongroom::Kms;
use strongroom::key::KeyId;
use strongroom::request::EncryptRequest;
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, PostgresOptions, PostgresStore};

use self::latency::Proxy;
use self::postgres_server::Server;
use self::sequential::SequentialStore;

#[path = "support/latency.rs"]
mod latency;
#[path = "support/postgres_server.rs"]
mod postgres_server;
#[path = "support/sequential.rs"]
mod sequential;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// The duration of each measurement.
const SPAN: Duration = Duration::from_secs(3);

/// Keys in use, all of which are in the cache of opened keys.
const HOT_KEYS: usize = 1_000;

/// The time between two changes of the other process: 50 a second.
const PERIOD: Duration = Duration::from_millis(20);

/// With this variable, the program is the other process and changes a key until it is stopped.
const OTHER_PROCESS: &str = "STRONGROOM_BENCH_CONNINFO";

fn main() -> Result<()> {
    if let Ok(conninfo) = env::var(OTHER_PROCESS) {
        return change_forever(&conninfo);
    }
    let Some(server) = Server::start()? else {
        println!("not run: PostgreSQL is not installed, and STRONGROOM_POSTGRES is not set to its programs");
        return Ok(());
    };
    // First, so that no memory of other measurements is free to be used again.
    encryption_beside_changes(&server)?;
    changes(&server)?;
    failovers(server)
}

/// Changes per second.
fn changes(server: &Server) -> Result<()> {
    println!("\n| round trip | threads | one statement at a time | `PostgresStore` | times |\n|---|---|---|---|---|");
    for latency in [0, 500, 1_000].map(Duration::from_micros) {
        let proxy = Proxy::start(server.port(), latency / 2)?;
        for threads in [1, 4, 16] {
            let schema = format!("s{}_{threads}", latency.as_micros());
            let options = PostgresOptions::new(&conninfo(proxy.port()))?;
            let naive = options.clone().schema(format!("{schema}_sequential"));
            PostgresStore::create_schema(&naive)?;
            let sequential = SequentialStore::open(&conninfo(proxy.port()), &format!("{schema}_sequential"), threads)?;
            let before = measure(sequential, threads)?;
            let options = options.schema(schema).connections(threads);
            PostgresStore::create_schema(&options)?;
            let after = measure(PostgresStore::open(&options)?, threads)?;
            println!("| {latency:?} | {threads} | {before:.0}/s | {after:.0}/s | {:.1} |", after / before);
        }
    }
    Ok(())
}

fn conninfo(port: u16) -> String {
    format!("host=127.0.0.1 port={port} user=postgres dbname=postgres")
}

/// Returns the number of changes per second.
fn measure(store: impl KeyStore + 'static, threads: usize) -> Result<f64> {
    let kms = Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).build()?;
    let keys = (0..threads).map(|_| Ok(kms.create_key(Default::default())?.key_id())).collect::<Result<Vec<_>>>()?;
    let (is_over, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = keys
            .iter()
            .map(|key| {
                scope.spawn(|| -> strongroom::Result<()> {
                    while !is_over.load(Ordering::Relaxed) {
                        kms.disable_key(*key)?;
                        kms.enable_key(*key)?;
                        changes.fetch_add(2, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        thread::sleep(SPAN);
        is_over.store(true, Ordering::Relaxed);
        workers.into_iter().try_for_each(|worker| worker.join().expect("no panic"))
    })?;
    let changes = u32::try_from(changes.load(Ordering::Relaxed))?;
    Ok(f64::from(changes) / begun.elapsed().as_secs_f64())
}

/// Encryption under hot keys, alternately alone and while another process changes a key 50 times a
/// second, and the memory that the store and its keys take.
fn encryption_beside_changes(server: &Server) -> Result<()> {
    let before = resident()?;
    let options = PostgresOptions::new(&conninfo(server.port()))?;
    PostgresStore::create_schema(&options)?;
    let kms = open(&options)?;
    let opened = resident()?;
    let keys = (0..HOT_KEYS).map(|_| Ok(kms.create_key(Default::default())?.key_id())).collect::<Result<Vec<_>>>()?;
    encryptions(&kms, &keys)?;
    let used = resident()?;
    println!("memory: {} KiB for an open store, {} KiB for {HOT_KEYS} keys", opened - before, used - opened);
    println!("\n| encryptions alone | beside 50 changes/s of another process | ratio |\n|---|---|---|");
    for _ in 0..5 {
        let alone = encryptions(&kms, &keys)?;
        let other = OtherProcess::start(&conninfo(server.port()))?;
        let beside = encryptions(&kms, &keys)?;
        drop(other);
        println!("| {alone:.0}/s | {beside:.0}/s | {:.2} |", beside / alone);
    }
    Ok(())
}

fn encryptions(kms: &Kms, keys: &[KeyId]) -> Result<f64> {
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < SPAN {
        for key in keys {
            kms.encrypt(EncryptRequest::new(*key, b"4711"))?;
        }
        count += u32::try_from(keys.len())?;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// The time from a crash of the primary to the first change that the promoted replica accepts.
fn failovers(mut primary: Server) -> Result<()> {
    println!("\n| failover | promotion | first change after the promotion |\n|---|---|---|");
    for number in 1..=5 {
        let replica = primary.start_replica()?;
        let hosts = format!("host=127.0.0.1,127.0.0.1 port={},{}", primary.port(), replica.port());
        let options = PostgresOptions::new(&format!("{hosts} user=postgres dbname=postgres"))?;
        let kms = open(&options)?;
        let key = kms.create_key(Default::default())?.key_id();
        thread::sleep(Duration::from_secs(1));
        primary.crash()?;
        let crashed = Instant::now();
        replica.promote()?;
        let promoted = Instant::now();
        while kms.disable_key(key).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
        println!("| {number} | {:.0?} | {:.0?} |", promoted - crashed, promoted.elapsed());
        drop(kms);
        primary = replica;
    }
    Ok(())
}

/// Another process that changes keys of the store. It is stopped when it is dropped.
struct OtherProcess(Child);

impl OtherProcess {
    fn start(conninfo: &str) -> Result<Self> {
        let child = Command::new(env::current_exe()?).env(OTHER_PROCESS, conninfo).spawn()?;
        thread::sleep(Duration::from_secs(1));
        Ok(Self(child))
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("the other process still runs: {error}");
        }
    }
}

fn change_forever(conninfo: &str) -> Result<()> {
    let kms = open(&PostgresOptions::new(conninfo)?)?;
    let key = kms.create_key(Default::default())?.key_id();
    for change in 0.. {
        let begun = Instant::now();
        if change % 2 == 0 {
            kms.disable_key(key)?;
        } else {
            kms.enable_key(key)?;
        }
        thread::sleep(PERIOD.saturating_sub(begun.elapsed()));
    }
    Ok(())
}

fn open(options: &PostgresOptions) -> Result<Kms> {
    Ok(Kms::builder().store(PostgresStore::open(options)?, RootKey::from_bytes(&[7; 32])).build()?)
}

/// Returns the resident memory of this process, in KiB.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the kernel reports no memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
