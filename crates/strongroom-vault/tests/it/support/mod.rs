//! Helpers of several areas.

// An endpoint that answers as a test wants, and the programs that we did not write.
#[path = "../../../../strongroom-aws-kms/tests/it/support/endpoint.rs"]
#[allow(dead_code, reason = "tests of the other package use the rest")]
pub(crate) mod endpoint;
#[path = "../../../../strongroom-server/tests/it/support/peer.rs"]
#[allow(dead_code, reason = "tests of the server use the rest")]
pub(crate) mod peer;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::EncryptionContext;
use strongroom_vault::VaultTransit;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

use endpoint::{Answer, Request};

/// The time that a busy machine may need for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) const PLAINTEXT: &[u8] = b"I owe you 17 euros";

/// The token that may do everything.
pub(crate) const ROOT: &str = "hvs.root";

/// A server with the transit API, in a process of its own, with `cryptography` for its cryptography. See
/// `peers/vault.py`. Dropping it ends it.
pub(crate) struct Vault {
    child: Child,
    port: u16,
}

impl Vault {
    /// Starts a server with an engine at `transit`. Returns `None` if the test is skipped, because there
    /// is no Python.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/peers/vault.py");
        let mut command = Command::new(peer::python(test)?);
        let mut child = command.arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Some(Self { child, port: line.trim().parse().unwrap() })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns a handle with all permissions.
    pub(crate) fn transit(&self) -> VaultTransit {
        transit(&self.url(), ROOT)
    }

    /// Sends a request as an administrator, and returns the data of the answer.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.try_admin(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer["data"].clone()
    }

    /// Sends a request as an administrator, and returns the status and the answer.
    pub(crate) fn try_admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let headers = vec![("X-Vault-Token".to_owned(), ROOT.to_owned())];
        let request = Request { operation: format!("{method} /v1/{path}"), body: body.to_string(), headers };
        let (status, answer) = self.exchange(&request);
        (status, serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// Creates a key.
    pub(crate) fn create(&self, name: &str, key_type: &str) {
        self.admin("POST", &format!("transit/keys/{name}"), &json!({"type": key_type}));
    }

    /// Returns the names of the keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        let (_, answer) = self.try_admin("LIST", "transit/keys", &Value::Null);
        let names = answer["data"]["keys"].as_array().cloned().unwrap_or_default();
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// Creates a token with a policy, in the form of the documentation: a path and capabilities in a line.
    pub(crate) fn token(&self, policy: &str) -> String {
        let rule = |line: &str| {
            let (path, capabilities) = line.split_once('{')?;
            let path = path.split('"').nth(1)?.to_owned();
            let (_, capabilities) = capabilities.split_once('=')?;
            let capabilities: Value = serde_json::from_str(capabilities.trim().trim_end_matches('}').trim()).unwrap();
            Some((path, json!({"capabilities": capabilities})))
        };
        let rules: serde_json::Map<_, _> = policy.lines().filter_map(rule).collect();
        assert!(!rules.is_empty(), "{policy}");
        let document = json!({"path": rules}).to_string();
        self.admin("POST", "sys/policies/acl/test", &json!({"policy": document}));
        let (_, answer) = self.try_admin("POST", "auth/token/create", &json!({"policies": ["test"]}));
        answer["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// Returns the answer of this server to a request that an endpoint received.
    pub(crate) fn forward(&self, request: &Request) -> Answer {
        let (status, body) = self.exchange(request);
        Answer::Reply(status, "application/json", body)
    }

    fn exchange(&self, request: &Request) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let body = if request.body == "null" { "" } else { &request.body };
        let mut text = format!("{} HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n", request.operation);
        for (name, value) in &request.headers {
            if name.to_ascii_lowercase().starts_with("x-vault-") {
                text += &format!("{name}: {value}\r\n");
            }
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
        (status, answer[head + 4..].to_vec())
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Returns a handle for an address. Its deadline passes only if a test fails.
pub(crate) fn transit(url: &str, token: &str) -> VaultTransit {
    in_namespace(url, token, None)
}

/// Returns a handle for an address and a namespace.
pub(crate) fn in_namespace(url: &str, token: &str, namespace: Option<&str>) -> VaultTransit {
    let mut settings = VaultClientSettingsBuilder::default();
    let settings = settings.address(url).token(token).namespace(namespace.map(str::to_owned));
    let client = VaultClient::new(settings.build().unwrap()).unwrap();
    VaultTransit::new(&client, "transit").unwrap().with_deadline(PATIENCE).unwrap()
}

/// Returns an error of Vault with these texts.
pub(crate) fn refusal(status: u16, texts: &[&str]) -> Answer {
    Answer::Reply(status, "application/json", json!({"errors": texts}).to_string().into_bytes())
}

/// Returns an answer of Vault with data.
pub(crate) fn data(data: Value) -> Answer {
    let answer = json!({"request_id": "17", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data});
    Answer::Reply(200, "application/json", answer.to_string().into_bytes())
}

pub(crate) fn context() -> EncryptionContext {
    [("invoice", "17"), ("Straße", "日本")].into_iter().collect()
}

pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..30_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("five minutes passed");
}
