//! The program as a process, in a temporary folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{certificate, peer};

/// The folder with the store.
pub(crate) struct Program {
    directory: TempDir,
}

/// A running server.
pub(crate) struct Running {
    child: Child,
    /// The text that it printed at its start.
    pub(crate) output: String,
    pub(crate) url: String,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom-server"));
    command.args(arguments).stdin(Stdio::null());
    command
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn store(&self) -> String {
        self.path("keys.db").to_str().unwrap().to_owned()
    }

    pub(crate) fn serve(&self, arguments: &[&str]) -> Running {
        self.serve_store(&self.store(), arguments)
    }

    pub(crate) fn serve_store(&self, store: &str, arguments: &[&str]) -> Running {
        self.start(store, arguments, &[])
    }

    /// Serves with these environment variables.
    pub(crate) fn serve_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        self.start(&self.store(), arguments, variables)
    }

    fn start(&self, store: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut child = command(&["--store", store, "--listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(self.directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|length| length > 0) {
                shared.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let mut output = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        while !output.lines().any(|line| line.starts_with("try: ")) {
            let length = stdout.read_line(&mut output).unwrap();
            assert!(length > 0, "the server does not start: {output} {}", log.lock().unwrap());
        }
        let url = output.lines().find_map(|line| line.strip_prefix("listening on ")).unwrap().to_owned();
        Running { child, output, url, log, reader: Some(reader) }
    }

    /// Runs the program, which must fail, and returns its error.
    pub(crate) fn fail(&self, arguments: &[&str]) -> String {
        let output = command(&["--store", &self.store()]).args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs `verify`, and returns its output, with the error if it fails.
    pub(crate) fn verify(&self, arguments: &[&str]) -> Result<String, String> {
        let output = command(&["verify", "--store", &self.store()]).args(arguments).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    /// Creates a script for the shell, and returns its path. Another process writes it: a file that
    /// this process has open for writing may be inherited by the processes of other tests, and cannot
    /// be started until they close it.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name).to_str().unwrap().to_owned();
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod 700 \"$0\"";
        assert!(Command::new("sh").args(["-c", write, &path, text]).status().unwrap().success());
        path
    }

    pub(crate) fn credentials(&self, arguments: &[&str]) -> String {
        let (action, rest) = arguments.split_first().unwrap();
        let output = command(&["credentials", action, "--store", &self.store()]).args(rest).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `policies`, which must succeed, and returns its output.
    pub(crate) fn policies(&self, action: &str, principal: &str, rest: &[&str]) -> String {
        let output = self.run_policies(action, principal, rest);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `policies`, which must fail, and returns its error.
    pub(crate) fn policies_fail(&self, action: &str, principal: &str, rest: &[&str]) -> String {
        let output = self.run_policies(action, principal, rest);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    fn run_policies(&self, action: &str, principal: &str, rest: &[&str]) -> Output {
        command(&["policies", action, "--store", &self.store(), "--principal", principal]).args(rest).output().unwrap()
    }

    /// Creates a certificate, and returns the paths of the certificate and its key.
    pub(crate) fn certificate(&self, name: &str) -> (String, String) {
        certificate::create(self.directory.path(), name)
    }

    pub(crate) fn copy(&self, from: &str, name: &str) -> String {
        let to = self.path(name);
        std::fs::copy(from, &to).unwrap();
        to.to_str().unwrap().to_owned()
    }
}

impl Running {
    pub(crate) fn boto3(&self, python: &PathBuf, profile: &Path) -> Value {
        self.try_boto3(python, profile, None).unwrap()
    }

    /// Runs boto3 with a profile. Returns `None` if it does not trust the server.
    pub(crate) fn try_boto3(&self, python: &PathBuf, profile: &Path, ca: Option<&str>) -> Option<Value> {
        let mut environment = vec![
            ("ENDPOINT", self.url.as_str()),
            ("AWS_SHARED_CREDENTIALS_FILE", profile.to_str().unwrap()),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ];
        environment.extend(ca.map(|ca| ("CA_FILE", ca)));
        let output = peer::try_run(python, "client.py", "", &environment)?;
        Some(serde_json::from_str(&output).unwrap())
    }

    /// Returns the ID of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Sends SIGHUP, and waits for a line in the log.
    pub(crate) fn reload(&self, expected: &str) {
        let seen = |log: &str| log.matches(expected).count();
        let before = seen(&self.log.lock().unwrap());
        self.signal("HUP");
        let started = Instant::now();
        while seen(&self.log.lock().unwrap()) == before {
            assert!(started.elapsed() < Duration::from_secs(60), "{expected}: {}", self.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal, waits for the end, and returns the log.
    pub(crate) fn stop(mut self, signal: &str) -> String {
        self.signal(signal);
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let log = self.log.lock().unwrap().clone();
        assert!(status.success(), "{status}: {log}");
        log
    }

    /// Sends an unsigned call. Returns its status and body, or `None` if the server is gone.
    pub(crate) fn call(&self, operation: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).ok()?;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Target: TrentService.{operation}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
