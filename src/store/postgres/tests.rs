use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::store::conformance;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A server of its own in a temporary folder. It is stopped when it is dropped.
struct Server {
    folder: TempDir,
    bin: PathBuf,
    port: u16,
}

impl Server {
    /// Starts a server, or returns `None` if PostgreSQL is missing.
    fn start() -> io::Result<Option<Self>> {
        let Some(bin) = programs()? else {
            println!("not run: PostgreSQL is missing");
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Self { folder, bin, port };
        let data = server.folder.path().join("data");
        run(server.program("initdb").arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "--no-sync"]))?;
        let options =
            format!("-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off", server.folder.path().display());
        let log = server.folder.path().join("log");
        run(server
            .program("pg_ctl")
            .arg("-D")
            .arg(&data)
            .arg("-w")
            .arg("-l")
            .arg(log)
            .arg("-o")
            .arg(options)
            .arg("start"))?;
        Ok(Some(server))
    }

    /// Returns a command that runs a program of the server. PostgreSQL rejects root.
    fn program(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        if !rustix::process::geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
        command
    }

    fn options(&self) -> PostgresOptions {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let schema = format!("s{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let conninfo = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port);
        let options = PostgresOptions::new(&conninfo).expect("well-formed").schema(&schema);
        options.staleness(Duration::ZERO)
    }

    fn create(&self) -> Result<PostgresOptions> {
        let options = self.options();
        PostgresStore::create_schema(&options)?;
        Ok(options)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        let _ = run(self.program("pg_ctl").arg("-D").arg(data).args(["-m", "immediate", "stop"]));
    }
}

fn programs() -> io::Result<Option<PathBuf>> {
    let Ok(versions) = fs::read_dir("/usr/lib/postgresql") else { return Ok(None) };
    let versions = versions.map(|entry| Ok(entry?.path().join("bin"))).collect::<io::Result<Vec<_>>>()?;
    Ok(versions.into_iter().filter(|bin| bin.join("initdb").exists()).max())
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}

#[test]
fn postgres_store_meets_the_contract() -> TestResult {
    let Some(server) = Server::start()? else { return Ok(()) };
    conformance::run(|| Ok(Box::new(PostgresStore::open(server.create()?)?)))?;
    let options = server.create()?;
    conformance::run_durable(|| Ok(Box::new(PostgresStore::open(options.clone())?)))?;
    let options = server.create()?;
    conformance::run_shared(|| Ok(Box::new(PostgresStore::open(options.clone())?)))?;
    Ok(())
}
