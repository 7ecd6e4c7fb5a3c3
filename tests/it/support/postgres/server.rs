//! One server.

use std::fmt::Write;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::installation::{self, Installation};
use super::supervisor::Supervisor;
use super::{Result, SUPERUSER};
use crate::support::child_process::fast_folder;

/// The time for a start, for a stop, and for a state of replication.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Space that a server may need. Some containers have less of it in memory.
const SPACE: u64 = 1 << 30;

/// Below the ports that systems assign to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Settings of every server.
const SETTINGS: [(&str, &str); 7] = [
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("shared_buffers", "16MB"),
    ("max_connections", "150"),
    ("log_checkpoints", "off"),
    ("jit", "off"),
    // In the folder, where nothing remains of a server that was killed.
    ("dynamic_shared_memory_type", "mmap"),
];

/// The name of the folder of a small disk.
const DISK: &str = "disk";

/// The part of a server's data on its small disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDisk {
    /// The folder `tables` for a tablespace.
    Tables,
    /// The write-ahead log.
    Log,
}

/// A server that belongs to a test, in a folder that is removed with it.
#[derive(Debug)]
pub(crate) struct Server {
    installation: &'static Installation,
    folder: PathBuf,
    port: u16,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    supervisor: Supervisor,
    /// The process of a server that was started and not stopped.
    process: Option<Pid>,
}

impl Server {
    /// Starts a new server with additional settings.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let server = Self::create(settings)?;
        server.start_again()?;
        Ok(server)
    }

    /// Creates a server that does not run yet, from a copy of the same data as every other.
    pub(super) fn create(settings: &[(&str, &str)]) -> Result<Self> {
        let server = Self::in_new_folder()?;
        server.copy_data(settings)?;
        Ok(server)
    }

    fn copy_data(&self, settings: &[(&str, &str)]) -> Result<()> {
        let copied = self.installation.command("cp").arg("-R").arg(template()?.data()).arg(self.data()).status()?;
        assert!(copied.success(), "the data of a server can be copied");
        self.configure(&SETTINGS)?;
        self.configure(settings)?;
        self.configure(&[("port", &self.port.to_string())])
    }

    fn in_new_folder() -> Result<Self> {
        Self::supervised_by(Supervisor::start)
    }

    /// Starts a new server with additional settings, and with a disk of this size in bytes. Returns
    /// `None` if this process may not mount a disk.
    pub(super) fn start_with_disk(size: u64, on_disk: OnDisk, settings: &[(&str, &str)]) -> Result<Option<Self>> {
        if !installation::found()?.may_mount() {
            return Ok(None);
        }
        let server = Self::supervised_by(|installation, folder| {
            let place = folder.join(DISK);
            fs::create_dir(&place)?;
            Supervisor::start_with(installation.command_with_disk(&place, size, folder), installation, folder)
        })?;
        // The first answer shows that the disk is mounted.
        server.state().supervisor.end_server("INT")?;
        server.copy_data(settings)?;
        let disk = server.disk();
        match on_disk {
            OnDisk::Tables => {
                fs::create_dir(disk.join("tables"))?;
                server.installation.give(&disk.join("tables"))?;
            }
            OnDisk::Log => {
                let log = server.data().join("pg_wal");
                // The disk is visible to root only. The files keep their owner.
                let moved = Command::new("cp").arg("-Rp").arg(&log).arg(disk.join("log")).status()?;
                assert!(moved.success(), "the write-ahead log can be moved");
                fs::remove_dir_all(&log)?;
                symlink(server.folder.join(DISK).join("log"), &log)?;
            }
        }
        server.start_again()?;
        Ok(Some(server))
    }

    /// Returns the path of the disk of a server that has one.
    pub(crate) fn disk(&self) -> PathBuf {
        self.state().supervisor.path(&self.folder.join(DISK))
    }

    fn supervised_by(start: impl FnOnce(&Installation, &Path) -> io::Result<Supervisor>) -> Result<Self> {
        let installation = installation::found()?;
        let folder = if has_space(Path::new("/dev/shm")) { fast_folder()? } else { tempfile::tempdir()? };
        installation.give(folder.path())?;
        let supervisor = start(installation, folder.path())?;
        let (port, state) = (free_port()?, Mutex::new(State { supervisor, process: None }));
        // From here on, the supervisor removes the folder.
        Ok(Self { installation, folder: folder.keep(), port, state })
    }

    /// Adds settings, for the next start or after [`reload`](Self::reload).
    pub(crate) fn configure(&self, settings: &[(&str, &str)]) -> Result<()> {
        let lines = settings.iter().fold(String::new(), |mut lines, (name, value)| {
            writeln!(lines, "{name} = '{}'", value.replace('\'', "''")).expect("a string accepts every line");
            lines
        });
        let mut file = OpenOptions::new().append(true).open(self.data().join("postgresql.conf"))?;
        Ok(io::Write::write_all(&mut file, lines.as_bytes())?)
    }

    /// Applies changed settings to a running server.
    pub(crate) fn reload(&self) -> Result<()> {
        self.sql(SUPERUSER, "SELECT pg_reload_conf()").map(drop)
    }

    /// Creates an empty file in the folder of the data.
    pub(super) fn create_file(&self, name: &str) -> Result<()> {
        let path = self.data().join(name);
        fs::write(&path, [])?;
        Ok(self.installation.give(&path)?)
    }

    /// Starts a server that was stopped or killed, and waits until it accepts connections.
    pub(crate) fn start_again(&self) -> Result<()> {
        let mut state = self.state();
        assert!(state.process.is_none(), "the server runs");
        let begun = Instant::now();
        loop {
            let logged = self.log().len();
            let process = state.supervisor.start_server()?;
            state.process = Pid::from_raw(process);
            match self.wait_until_ready(process, logged) {
                Ok(()) => return Ok(()),
                // The port is in use, or processes of the killed server have not ended yet.
                Err(error) if error.kind() == ErrorKind::AddrInUse && begun.elapsed() < PATIENCE => {
                    self.end(&mut state, "QUIT")?;
                    thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(format!("the server does not start: {error}\n{}", self.log()).into()),
            }
        }
    }

    fn wait_until_ready(&self, process: i32, logged: usize) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let state = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let lines: Vec<&str> = state.lines().map(str::trim).collect();
            let is_own = lines.first().is_some_and(|first| *first == process.to_string());
            if is_own && lines.get(7).is_some_and(|status| matches!(*status, "ready" | "standby")) {
                return Ok(());
            }
            let log = self.log();
            let new = log.get(logged..).unwrap_or_default();
            if ["could not create any TCP/IP sockets", "is still in use"].iter().any(|reason| new.contains(reason)) {
                return Err(ErrorKind::AddrInUse.into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err(ErrorKind::TimedOut.into())
    }

    /// Stops the server in an orderly way: connections are closed, and a checkpoint is written.
    pub(crate) fn stop(&self) -> Result<()> {
        self.end(&mut self.state(), "INT")
    }

    fn end(&self, state: &mut State, signal: &str) -> Result<()> {
        state.process = None;
        Ok(state.supervisor.end_server(signal)?)
    }

    /// Kills all processes of the server with SIGKILL, as when they are out of memory.
    pub(crate) fn kill(&self) -> Result<()> {
        let mut state = self.state();
        let server = state.process.expect("the server runs");
        // A stopped server neither starts processes nor reacts to the end of one.
        kill_process(server, Signal::STOP)?;
        let children = children(server);
        for process in children.iter().copied().chain([server]) {
            match kill_process(process, Signal::KILL) {
                Err(rustix::io::Errno::SRCH) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.end(&mut state, "KILL")?;
        let begun = Instant::now();
        while children.iter().any(|child| is_alive(*child)) {
            assert!(begun.elapsed() < PATIENCE, "killed processes end");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Returns `true` if the server was started and neither stopped nor killed.
    pub(crate) fn is_running(&self) -> bool {
        self.state().process.is_some()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL with which the superuser connects to a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Executes SQL statements in a database as the superuser, and returns the rows that they
    /// print: a line per row, with `|` between columns.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> Result<String> {
        psql(&self.url(database), statements)
    }

    /// Waits until a query prints a text.
    pub(super) fn wait_for(&self, query: &str, text: &str) -> Result<()> {
        let begun = Instant::now();
        while self.sql(SUPERUSER, query)? != text {
            if begun.elapsed() > PATIENCE {
                return Err(format!("{query} does not become {text}\n{}", self.log()).into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Returns what the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Returns the folder that is removed at the end.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panicked")
    }
}

/// Executes SQL statements over a connection of their own, and returns the rows that they print.
pub(crate) fn psql(url: &str, statements: &str) -> Result<String> {
    let output = Command::new(installation::found()?.path("psql"))
        .args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statements])
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(format!("{statements}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// Returns a server that never runs. Its data is initialized, which takes half a second, once.
fn template() -> Result<&'static Server> {
    static TEMPLATE: OnceLock<Result<Server, String>> = OnceLock::new();
    Ok(TEMPLATE.get_or_init(|| initialize().map_err(|error| error.to_string())).as_ref().map_err(Clone::clone)?)
}

fn initialize() -> Result<Server> {
    let server = Server::in_new_folder()?;
    let output = server
        .installation
        .command(server.installation.path("initdb"))
        .args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--wal-segsize=1", "-D"])
        .arg(server.data())
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(server)
}

fn has_space(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|system| system.f_bavail.saturating_mul(system.f_frsize) >= SPACE)
}

/// Returns a port that no process of this machine uses, and no other call of this process returned.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Several processes of tests may run at the same time.
    let first = u16::try_from(process::id() % 600)? * 20;
    for _ in PORTS {
        let offset = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, PORTS.start + offset)).is_ok() {
            return Ok(PORTS.start + offset);
        }
    }
    Err("no port is free".into())
}

/// Returns the direct children of a process, where the system lists them. Elsewhere, the processes
/// of a killed server end by themselves.
fn children(process: Pid) -> Vec<Pid> {
    let number = process.as_raw_nonzero();
    let listed = fs::read_to_string(format!("/proc/{number}/task/{number}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)).collect()
}

/// Returns `true` unless the process has ended or waits only for its parent to notice.
fn is_alive(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    let is_zombie = status.is_ok_and(|status| status.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")));
    !is_zombie && test_kill_process(process).is_ok()
}
