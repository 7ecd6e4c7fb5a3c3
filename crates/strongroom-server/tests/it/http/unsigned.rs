//! Unsigned requests, which only a local server for development accepts.

use std::sync::Arc;

use strongroom::Kms;
use strongroom_server::credentials::AccessKeys;
use strongroom_server::http::{Limits, Server, State};
use strongroom_server::metrics::Metrics;

use crate::support::server::TestServer;

fn insecure() -> TestServer {
    TestServer::with(Limits::default(), |state| state.allow_unsigned_requests().unwrap())
}

fn list_keys(server: &TestServer, headers: &str) -> String {
    let request = format!(
        "POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\nContent-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Target: TrentService.ListKeys\r\n{headers}\r\n{{}}"
    );
    server.exchange(request.as_bytes())
}

#[test]
fn they_act_as_the_root_if_allowed() {
    let server = insecure();
    for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080"] {
        let answer = list_keys(&server, &format!("Host: {host}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
        assert!(answer.ends_with(r#""Truncated":false}"#), "{answer}");
    }
}

#[test]
fn web_pages_cannot_send_them() {
    let server = insecure();
    // A page of any origin, and a name that its owner has pointed to this machine.
    for headers in [
        "Host: localhost\r\nOrigin: https://example.com\r\n",
        "Host: rebound.example\r\n",
        "Host: 127.0.0.1.example\r\n",
    ] {
        let answer = list_keys(&server, headers);
        assert!(answer.contains("MissingAuthenticationTokenException"), "{headers}: {answer}");
    }
}

#[test]
fn they_are_never_accepted_from_other_machines() {
    let kms = Kms::in_memory().unwrap();
    let state = || State::new(kms.clone(), AccessKeys::default(), Arc::new(Metrics::default()), Limits::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bind = |state| runtime.block_on(Server::bind("0.0.0.0:0".parse().unwrap(), Arc::new(state)));
    let refused = bind(state().allow_unsigned_requests().unwrap()).unwrap_err().to_string();
    assert!(refused.contains("not a loopback address"), "{refused}");
    let refused = bind(state()).unwrap_err().to_string();
    assert!(refused.contains("without TLS"), "{refused}");
}
