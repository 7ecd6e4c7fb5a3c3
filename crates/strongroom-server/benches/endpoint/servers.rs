//! The servers, their keys, and signed requests to them.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Operation;
use crate::client::Client;

pub(crate) const MOTO: &str = "moto";
pub(crate) const REGION: &str = "us-east-1";

/// A running server with keys. Dropping it ends the server.
pub(crate) struct Endpoint {
    pub(crate) name: &'static str,
    pub(crate) is_ours: bool,
    pub(crate) address: SocketAddr,
    pub(crate) access_key: String,
    pub(crate) secret: String,
    /// A body for each operation, in the order of [`crate::OPERATIONS`].
    bodies: Vec<String>,
    key: String,
    child: Child,
    _directory: TempDir,
}

/// Starts this server with a store in memory and with one in a file, and the other servers that the
/// environment names.
pub(crate) fn start() -> Vec<Endpoint> {
    let mut endpoints = vec![ours("strongroom, memory", "memory"), ours("strongroom, SQLite and trail", "keys.db")];
    if let Ok(program) = env::var("STRONGROOM_BENCH_MOTO") {
        endpoints.push(moto(&program));
    }
    if let Ok(python) = env::var("STRONGROOM_BENCH_LOCALSTACK") {
        endpoints.push(localstack(&python));
    }
    endpoints
}

/// Returns a folder on the disk of the sources, because `/tmp` may be in memory.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn ours(name: &'static str, store: &str) -> Endpoint {
    let directory = directory();
    let mut child = Command::new(env!("CARGO_BIN_EXE_strongroom-server"))
        .args(["--store", store, "--listen", "127.0.0.1:0", "--region", REGION, "--profile", "profile"])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(directory.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| line.strip_prefix("listening on http://")?.parse().ok()).unwrap();
    let profile = fs::read_to_string(directory.path().join("profile")).unwrap();
    let value = |name: &str| {
        let prefix = format!("{name} = ");
        profile.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
    };
    let (access_key, secret) = (value("aws_access_key_id"), value("aws_secret_access_key"));
    Endpoint::new(name, true, address, (access_key, secret), child, directory)
}

fn moto(program: &str) -> Endpoint {
    let address = free_address();
    let directory = directory();
    let mut command = Command::new(program);
    command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
    other(MOTO, command, address, directory)
}

fn localstack(python: &str) -> Endpoint {
    let address = free_address();
    let directory = directory();
    let mut command = Command::new(python);
    command
        .args(["-m", "localstack.runtime.main"])
        .env("SERVICES", "kms")
        .env("STRICT_SERVICE_LOADING", "1")
        .env("EAGER_SERVICE_LOADING", "1")
        .env("GATEWAY_LISTEN", address.to_string())
        .env("LOCALSTACK_HOST", address.to_string())
        .env("DNS_ADDRESS", "0")
        .env("DISABLE_EVENTS", "1")
        .env("SKIP_SSL_CERT_DOWNLOAD", "1")
        .env("FILESYSTEM_ROOT", directory.path().join("root"));
    other("LocalStack", command, address, directory)
}

fn other(name: &'static str, mut command: Command, address: SocketAddr, directory: TempDir) -> Endpoint {
    let log = File::create(directory.path().join("log")).unwrap();
    let mut child = command
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    wait_for(&mut child, address, directory.path());
    Endpoint::new(name, false, address, ("test".to_owned(), "test".to_owned()), child, directory)
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn wait_for(child: &mut Child, address: SocketAddr, directory: &Path) {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        let has_ended = child.try_wait().unwrap().is_some() || started.elapsed() > Duration::from_secs(120);
        assert!(!has_ended, "{}", fs::read_to_string(directory.join("log")).unwrap());
        thread::sleep(Duration::from_millis(100));
    }
}

impl Endpoint {
    fn new(
        name: &'static str,
        is_ours: bool,
        address: SocketAddr,
        (access_key, secret): (String, String),
        child: Child,
        directory: TempDir,
    ) -> Self {
        let mut endpoint = Self {
            name,
            is_ours,
            address,
            access_key,
            secret,
            bodies: Vec::new(),
            key: String::new(),
            child,
            _directory: directory,
        };
        let mut client = Client::new(address);
        endpoint.bodies =
            bodies(|operation, body| serde_json::from_slice(&client.call(&endpoint.signed(operation, body))).unwrap());
        let encrypt: Value = serde_json::from_str(&endpoint.bodies[0]).unwrap();
        endpoint.key = encrypt["KeyId"].as_str().unwrap().to_owned();
        endpoint
    }

    /// Returns the ID of the symmetric key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Returns a request that is signed now.
    pub(crate) fn request(&self, operation: Operation) -> Vec<u8> {
        let number = crate::OPERATIONS.iter().position(|other| *other == operation).unwrap();
        self.signed(operation.name(), &self.bodies[number])
    }

    fn signed(&self, operation: &str, body: &str) -> Vec<u8> {
        let host = self.address.to_string();
        let mut request = String::from("POST / HTTP/1.1\r\n");
        for (name, value) in headers(&self.access_key, &self.secret, &host, operation, body) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        request.into_bytes()
    }

    /// Returns the resident memory of the process, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Creates the keys with `call`, and returns a body for each operation.
pub(crate) fn bodies(mut call: impl FnMut(&str, &str) -> Value) -> Vec<String> {
    let mut create = |body: Value| call("CreateKey", &body.to_string())["KeyMetadata"]["KeyId"].clone();
    let key = create(json!({}));
    let ecdsa = create(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}));
    let rsa = create(json!({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}));
    let encrypt = json!({"KeyId": key, "Plaintext": "NDcxMQ=="}).to_string();
    let encrypted = call("Encrypt", &encrypt);
    let sign = |key: &Value, algorithm: &str| json!({"KeyId": key, "Message": "bWVzc2FnZQ==", "MessageType": "RAW", "SigningAlgorithm": algorithm});
    vec![
        encrypt,
        json!({"KeyId": key, "CiphertextBlob": encrypted["CiphertextBlob"]}).to_string(),
        json!({"KeyId": key, "KeySpec": "AES_256"}).to_string(),
        sign(&ecdsa, "ECDSA_SHA_256").to_string(),
        sign(&rsa, "RSASSA_PSS_SHA_256").to_string(),
    ]
}

/// Returns the headers of a request, with its signature.
pub(crate) fn headers(
    access_key: &str,
    secret: &str,
    host: &str,
    operation: &str,
    body: &str,
) -> Vec<(String, String)> {
    let mut headers = vec![
        ("host".to_owned(), host.to_owned()),
        ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
        ("x-amz-target".to_owned(), format!("TrentService.{operation}")),
    ];
    let identity: Identity = Credentials::new(access_key, secret, None, None, "bench").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("kms")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let borrowed = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signable =
        SignableRequest::new("POST", format!("http://{host}/"), borrowed, SignableBody::Bytes(body.as_bytes()))
            .unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let (added, _) = instructions.into_parts();
    headers.extend(added.iter().map(|header| (header.name().to_owned(), header.value().to_owned())));
    headers
}
