//! Changes per second of a store in PostgreSQL, with several threads and over networks of different
//! latency, compared with a store that waits for the answer to each statement.
//!
//! Run it with `cargo bench --features postgres --bench postgres`. It starts a server in a temporary
//! folder, and needs the programs of PostgreSQL in `STRONGROOM_POSTGRES` or in the folder of Debian.
//! A proxy delays every byte by half of the latency in each direction. Every thread disables and
//! enables its own key. One row of the results is one combination.

use std::error::Error;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use strongroom::Kms;
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, PostgresOptions, PostgresStore};
use tempfile::TempDir;

use self::latency::Proxy;
use self::sequential::SequentialStore;

#[path = "support/latency.rs"]
mod latency;
#[path = "support/sequential.rs"]
mod sequential;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// The duration of each measurement.
const SPAN: Duration = Duration::from_secs(3);

fn main() -> Result<()> {
    let Some(server) = Server::start()? else {
        println!("not run: PostgreSQL is not installed, and STRONGROOM_POSTGRES is not set to its programs");
        return Ok(());
    };
    println!("| round trip | threads | one statement at a time | `PostgresStore` | times |\n|---|---|---|---|---|");
    for latency in [0, 500, 1_000].map(Duration::from_micros) {
        let proxy = Proxy::start(server.port, latency / 2)?;
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

/// A server in a temporary folder. It is stopped when it is dropped.
struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts a server, or returns `None` if PostgreSQL is not installed.
    fn start() -> Result<Option<Arc<Self>>> {
        let Some(programs) = programs() else { return Ok(None) };
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Self { programs, folder: tempfile::tempdir()?, port };
        if let Some((user, group)) = unprivileged()? {
            chown(server.folder.path(), Some(user), Some(group))?;
        }
        run(server.command("initdb")?.args(["-U", "postgres", "-A", "trust", "--no-sync", "-D"]).arg(server.data()))?;
        let options = format!("-p {port} -k {} -c listen_addresses=127.0.0.1", server.folder.path().display());
        let mut start = server.command("pg_ctl")?;
        start.arg("-D").arg(server.data()).arg("-l").arg(server.folder.path().join("log"));
        run(start.args(["-w", "-o", &options, "start"]))?;
        Ok(Some(Arc::new(server)))
    }

    /// Returns a command that does not run as root, which PostgreSQL refuses.
    fn command(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(self.programs.join(name));
        if let Some((user, group)) = unprivileged()? {
            command.uid(user).gid(group);
        }
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = self
            .command("pg_ctl")
            .and_then(|mut command| run(command.arg("-D").arg(self.data()).args(["-m", "immediate", "stop"])));
        if let Err(error) = stopped {
            eprintln!("the server still runs: {error}");
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// Returns the folder with the programs of a server, of the latest version.
fn programs() -> Option<PathBuf> {
    if let Some(folder) = env::var_os("STRONGROOM_POSTGRES") {
        return Some(PathBuf::from(folder));
    }
    let version = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let latest = folders.filter(|folder| folder.join("bin/initdb").is_file()).max_by_key(|folder| version(folder))?;
    Some(latest.join("bin"))
}

/// Returns the user and group of `nobody` if this process runs as root.
fn unprivileged() -> Result<Option<(u32, u32)>> {
    let number = |of: &[&str]| -> Result<u32> {
        Ok(String::from_utf8(Command::new("id").args(of).output()?.stdout)?.trim().parse()?)
    };
    Ok(if number(&["-u"])? == 0 { Some((number(&["-u", "nobody"])?, number(&["-g", "nobody"])?)) } else { None })
}
