//! The service as a process on loopback.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

use super::TestResult;

/// The token of the administrator.
pub(crate) const ADMIN: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";

/// The name of the file with the messages of the service, in its folder.
const MESSAGES: &str = "messages.log";

/// A running service.
#[derive(Debug)]
pub(crate) struct Service {
    process: Child,
    address: String,
    agent: Agent,
}

impl Service {
    /// Starts the service in a folder, and waits until it listens. Without a URL, it uses SQLite.
    pub(crate) fn start(folder: &Path, database: Option<&str>) -> TestResult<Self> {
        let messages = OpenOptions::new().create(true).append(true).open(folder.join(MESSAGES))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_notes"));
        command.env("NOTES_ADMIN_TOKEN", ADMIN).env("NOTES_FOLDER", folder).env("NOTES_ADDRESS", "127.0.0.1:0");
        match database {
            Some(url) => command.env("NOTES_DATABASE", url),
            None => command.env_remove("NOTES_DATABASE"),
        };
        let mut process = command.stdout(Stdio::piped()).stderr(messages).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line)?;
        let address = line.trim_end().strip_prefix("listening on ").map(str::to_owned);
        let agent = Agent::config_builder().http_status_as_error(false).build().new_agent();
        let service = Self { process, address: address.unwrap_or_default(), agent };
        match service.address.is_empty() {
            true => Err(format!("the service does not start: {}", messages_in(folder)?).into()),
            false => Ok(service),
        }
    }

    /// Sends a request, and returns the status and the JSON of the response.
    pub(crate) fn request(&self, token: &str, line: &str, body: Option<Value>) -> TestResult<(u16, Value)> {
        let (method, path) = line.split_once(' ').ok_or("a method and a path")?;
        let request = Request::builder().method(method).uri(format!("{}{path}", self.address));
        let request = request.header("authorization", format!("Bearer {token}"));
        let mut response = match body {
            Some(body) => self.agent.run(request.body(body.to_string())?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string()?;
        Ok((status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? }))
    }

    /// Sends a request that must have this status, and returns the JSON of the response.
    pub(crate) fn expect(&self, status: u16, token: &str, line: &str, body: Option<Value>) -> TestResult<Value> {
        let (found, answer) = self.request(token, line, body)?;
        assert_eq!(found, status, "{line}: {answer}");
        Ok(answer)
    }

    /// Creates a tenant and returns its token.
    pub(crate) fn add_tenant(&self, name: &str) -> TestResult<String> {
        let created = self.expect(201, ADMIN, &format!("PUT /admin/tenants/{name}"), None)?;
        Ok(created["token"].as_str().ok_or("a token")?.to_owned())
    }

    /// Returns the address and port of the service.
    pub(crate) fn address(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    /// Sends SIGTERM, and requires an orderly end.
    pub(crate) fn stop(self) -> TestResult {
        self.signal()?;
        self.wait()
    }

    /// Sends SIGTERM.
    pub(crate) fn signal(&self) -> TestResult {
        Ok(kill_process(Pid::from_child(&self.process), Signal::TERM)?)
    }

    /// Waits for an orderly end.
    pub(crate) fn wait(mut self) -> TestResult {
        let status = self.process.wait()?;
        assert!(status.success(), "{status}");
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A test has failed, or the process has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the messages that the service wrote for its operator.
pub(crate) fn messages_in(folder: &Path) -> TestResult<String> {
    Ok(fs::read_to_string(folder.join(MESSAGES))?)
}
