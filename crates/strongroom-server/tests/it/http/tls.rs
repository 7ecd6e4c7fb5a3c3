//! TLS: handshakes that do not end, and the version of HTTP that a client chooses.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use strongroom_server::http::Limits;
use strongroom_server::tls::TlsFiles;
use tempfile::TempDir;

use crate::support::certificate;
use crate::support::peer;
use crate::support::server::{ACCESS_KEY, REGION, SECRET, TestServer, read_all};

/// Starts a server with a certificate of OpenSSL.
fn server(limits: Limits) -> (TestServer, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate::create(directory.path(), "certificate");
    let config = TlsFiles::new(&certificate, key).load().unwrap();
    (TestServer::with(limits, |state| state.tls(config)), directory)
}

#[test]
fn handshakes_that_do_not_end_are_closed() {
    let (server, _directory) = server(Limits { first_request_time: Duration::from_millis(600), ..Limits::default() });
    // Nothing, the beginning of a ClientHello, and a record that announces more than it contains.
    for beginning in [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00"] {
        let started = Instant::now();
        let mut stream = server.connect();
        stream.write_all(beginning).unwrap();
        read_all(&mut stream);
        assert!(started.elapsed() >= Duration::from_millis(590), "{beginning:?}");
    }
    // Plain HTTP is refused immediately.
    assert!(!server.exchange(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").contains("HTTP/1.1"));
}

#[test]
fn a_new_connection_takes_the_place_of_an_unfinished_handshake() {
    let limits = Limits { connections: 2, first_request_time: Duration::from_secs(60), ..Limits::default() };
    let (server, directory) = server(limits);
    let mut silent = [server.connect(), server.connect()];
    let Some(answer) = curl(&server, &directory, &[]) else { return };
    assert_eq!(answer, "2 200");
    // The oldest connection had to leave.
    assert_eq!(read_all(&mut silent[0]), "");
}

#[test]
fn clients_choose_the_version_of_http() {
    let (server, directory) = server(Limits::default());
    for (option, expected) in [(&["--http2"][..], "2 200"), (&["--http1.1"], "1.1 200"), (&["--no-alpn"], "1.1 200")] {
        let Some(answer) = curl(&server, &directory, option) else { return };
        assert_eq!(answer, expected, "{option:?}");
    }
}

/// Sends a signed call with curl, and returns the version of HTTP and the status.
fn curl(server: &TestServer, directory: &TempDir, options: &[&str]) -> Option<String> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"])
        .args(options)
        .arg("--cacert")
        .arg(directory.path().join("certificate.pem"))
        .args(["--aws-sigv4", &format!("aws:amz:{REGION}:kms"), "--user", &format!("{ACCESS_KEY}:{SECRET}")])
        .args([
            "--header",
            "Content-Type: application/x-amz-json-1.1",
            "--header",
            "X-Amz-Target: TrentService.ListKeys",
        ])
        .args(["--data", "{}", &format!("https://{}/", server.address)])
        .output();
    let Ok(output) = output else {
        peer::missing("a test of TLS", "curl is missing; ./test.sh installs it");
        return None;
    };
    Some(String::from_utf8(output.stdout).unwrap())
}
