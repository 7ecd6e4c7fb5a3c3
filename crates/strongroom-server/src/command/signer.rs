//! The program that signs checkpoints.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The maximum length of a signature: RSA signatures of 4,096 bits have 512 bytes.
const MAX_SIGNATURE: usize = 1_024;

/// The maximum length of the text of a failed signer that the error repeats.
const MAX_TEXT: usize = 256;

/// The time between two looks at a running signer.
const PAUSE: Duration = Duration::from_millis(10);

/// A program that reads a message from standard input and writes its signature to standard output.
#[derive(Clone, Debug)]
pub(super) struct SigningProgram {
    path: PathBuf,
    /// Environment variables with secrets of the server, which the program does not get.
    hidden: Vec<String>,
    time: Duration,
}

impl SigningProgram {
    pub(super) fn new(path: impl Into<PathBuf>, hidden: Vec<String>, time: Duration) -> Self {
        Self { path: path.into(), hidden, time }
    }

    /// Runs the program, and ends it if it takes too long.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let shown = self.path.display();
        let mut command = Command::new(&self.path);
        self.hidden.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| Error::new(format!("cannot start the signer {shown}")).with_source(error))?;
        let deadline = Instant::now() + self.time;
        let signature = child.stdout.take().map(|stream| read(stream, MAX_SIGNATURE + 1));
        let text = child.stderr.take().map(|stream| read(stream, MAX_TEXT));
        // The message fits into the pipe. A signer that does not read it signs something else.
        if let Some(mut input) = child.stdin.take() {
            let _ = input.write_all(message);
        }
        let waited = wait(&mut child, deadline);
        let status = waited.map_err(|error| Error::new(format!("cannot run the signer {shown}")).with_source(error))?;
        let Some(status) = status else {
            return Err(Error::new(format!("the signer {shown} did not end within {} ms", self.time.as_millis())));
        };
        let signature = signature.map(|reader| reader.recv_timeout(remaining(deadline)).unwrap_or_default());
        if !status.success() {
            let text = text.map(|reader| reader.recv_timeout(remaining(deadline)).unwrap_or_default());
            let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
            return Err(Error::new(format!("the signer {shown} failed ({status}): {}", text.trim().escape_debug())));
        }
        match signature.unwrap_or_default() {
            signature if (1..=MAX_SIGNATURE).contains(&signature.len()) => Ok(signature),
            other => Err(Error::new(format!("the signer {shown} wrote {} bytes, which are no signature", other.len()))),
        }
    }
}

/// Reads up to a limit on another thread, because the program may leave its output open. Discards
/// the rest, so that the program is not blocked.
fn read(mut stream: impl Read + Send + 'static, limit: usize) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let _ = stream.by_ref().take(limit).read_to_end(&mut bytes);
        let _ = io::copy(&mut stream, &mut io::sink());
        let _ = sender.send(bytes);
    });
    receiver
}

/// Waits for the end of a process until a time, and ends it then.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(PAUSE)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn sign(script: &str, hidden: &[&str], time: Duration) -> Result<Vec<u8>> {
        let directory = tempfile::tempdir().expect("a folder can be created");
        let path = directory.path().join("sign");
        // Another process writes it: a file that this process has open for writing may be inherited
        // by the processes of other tests, and cannot be started until they close it.
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod 700 \"$0\"";
        let written = Command::new("sh").args(["-c", write]).arg(&path).arg(script).status();
        assert!(written.expect("the shell runs").success());
        SigningProgram::new(path, hidden.iter().map(ToString::to_string).collect(), time).sign(b"a message")
    }

    #[test]
    fn the_program_gets_the_message_and_no_secrets() {
        let time = Duration::from_secs(60);
        assert_eq!(sign("cat", &[], time).unwrap(), b"a message");
        let count = "/usr/bin/env | /usr/bin/grep -c ^PATH= || true";
        assert_eq!(sign(count, &[], time).unwrap(), b"1\n");
        assert_eq!(sign(count, &["PATH"], time).unwrap(), b"0\n");
    }

    #[test]
    fn failures_are_reported() {
        let time = Duration::from_secs(60);
        let error = |script: &str, time| sign(script, &[], time).unwrap_err().to_string();
        let failed = error("echo 'no token' >&2; exit 3", time);
        assert!(failed.ends_with("failed (exit status: 3): no token"), "{failed}");
        assert!(error("cat > /dev/null", time).ends_with("wrote 0 bytes, which are no signature"));
        assert!(error("head -c 100000 /dev/zero", time).ends_with("wrote 1025 bytes, which are no signature"));
        let slow = error("exec sleep 60", Duration::from_millis(300));
        assert!(slow.ends_with("did not end within 300 ms"), "{slow}");
        // A process of the program that remains keeps the output open.
        let open = error("sleep 60 & exit 0", Duration::from_millis(300));
        assert!(open.ends_with("wrote 0 bytes, which are no signature") || open.contains("within"), "{open}");
        let missing = SigningProgram::new("/missing/signer", Vec::new(), time).sign(b"a message").unwrap_err();
        assert!(missing.to_string().starts_with("cannot start the signer /missing/signer: "), "{missing}");
    }
}
