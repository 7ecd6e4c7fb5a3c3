//! A process that starts and stops one server, and that outlives the process of the tests by as
//! long as it takes to stop the server and to remove its folder.
//!
//! It reads commands from a pipe. However the process of the tests ends, the pipe closes.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::installation::Installation;

/// `$0` is the program of the server, and `$1` the folder. A server that was killed leaves a small
/// segment of shared memory, which only its next start or `ipcrm` removes.
const SCRIPT: &str = r#"
end() {
    if [ -n "$server" ]; then
        kill -s CONT "$server"
        kill -s "$1" "$server"
        wait "$server"
        server=
    fi
}
server=
while read -r command argument; do
    case $command in
    start)
        "$0" -D "$1/data" >>"$1/log" 2>&1 </dev/null &
        server=$!
        echo "$server"
        ;;
    stop)
        end "$argument"
        echo
        ;;
    esac
done
end QUIT
if [ -f "$1/data/postmaster.pid" ]; then
    ipcrm -m "$(sed -n '7s/.* //p' "$1/data/postmaster.pid")"
fi
rm -rf "$1"
"#;

#[derive(Debug)]
pub(super) struct Supervisor {
    process: Child,
    /// Dropped at the end, which stops the server.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Starts it for a folder, which it removes at the end.
    pub(super) fn start(installation: &Installation, folder: &Path) -> io::Result<Self> {
        Self::start_with(installation.command("sh"), installation, folder)
    }

    /// Starts it with a command that runs the shell with additional arguments.
    pub(super) fn start_with(mut shell: Command, installation: &Installation, folder: &Path) -> io::Result<Self> {
        let mut process = shell
            .args(["-c", SCRIPT])
            .arg(installation.path("postgres"))
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C reaches only the process of the tests.
            .process_group(0)
            .spawn()?;
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        Ok(Self { process, commands, answers })
    }

    /// Starts the server, and returns the number of its process.
    pub(super) fn start_server(&mut self) -> io::Result<i32> {
        self.ask("start")?.parse().map_err(io::Error::other)
    }

    /// Sends the server a signal that ends it, such as `INT`, and waits until it has ended.
    pub(super) fn end_server(&mut self, signal: &str) -> io::Result<()> {
        self.ask(&format!("stop {signal}")).map(drop)
    }

    /// Returns a path to a file as the server sees it, which may have other disks.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.process.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn ask(&mut self, command: &str) -> io::Result<String> {
        let commands = self.commands.as_mut().expect("taken only at the end");
        writeln!(commands, "{command}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.process.wait();
    }
}
