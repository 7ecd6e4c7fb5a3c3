//! Servers of PostgreSQL in temporary folders.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use tempfile::TempDir;

use crate::Result;

/// A server in a temporary folder. It is stopped when it is dropped.
pub(crate) struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts a server, or returns `None` if PostgreSQL is not installed.
    pub(crate) fn start() -> Result<Option<Self>> {
        let Some(programs) = programs() else { return Ok(None) };
        let server = Self::in_new_folder(programs)?;
        run(server.command("initdb")?.args(["-U", "postgres", "-A", "trust", "--no-sync", "-D"]).arg(server.data()))?;
        server.run_on()?;
        Ok(Some(server))
    }

    /// Starts a replica, which the server does not wait for.
    pub(crate) fn start_replica(&self) -> Result<Self> {
        let replica = Self::in_new_folder(self.programs.clone())?;
        let mut copy = replica.command("pg_basebackup")?;
        copy.args([
            "-U",
            "postgres",
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
        ]);
        run(copy.arg("-D").arg(replica.data()))?;
        replica.run_on()?;
        Ok(replica)
    }

    /// Returns the port, on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends all processes of the server, as a crash would.
    pub(crate) fn crash(&self) -> Result<()> {
        run(self.command("pg_ctl")?.arg("-D").arg(self.data()).args(["-m", "immediate", "stop"]))
    }

    /// Makes a replica a primary, and returns when it is one.
    pub(crate) fn promote(&self) -> Result<()> {
        run(self.command("pg_ctl")?.arg("-D").arg(self.data()).args(["-w", "promote"]))
    }

    fn in_new_folder(programs: PathBuf) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Self { programs, folder: tempfile::tempdir()?, port };
        if let Some((user, group)) = unprivileged()? {
            chown(server.folder.path(), Some(user), Some(group))?;
        }
        Ok(server)
    }

    fn run_on(&self) -> Result<()> {
        let options = format!("-p {} -k {} -c listen_addresses=127.0.0.1", self.port, self.folder.path().display());
        let mut start = self.command("pg_ctl")?;
        start.arg("-D").arg(self.data()).arg("-l").arg(self.folder.path().join("log"));
        run(start.args(["-w", "-o", &options, "start"]))
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
        if self.data().join("postmaster.pid").exists()
            && let Err(error) = self.crash()
        {
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
