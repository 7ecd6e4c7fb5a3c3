//! Shutdown: requests are answered, and idle connections are closed.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use std::net::TcpStream;

use strongroom_server::http::Limits;

use crate::support::server::{TestServer, read_all};

/// Sends a call without its body, and waits until the server asks for that.
fn begin_call(server: &TestServer) -> TcpStream {
    let mut stream = server.connect();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n\
              Expect: 100-continue\r\nX-Amz-Target: TrentService.ListKeys\r\nContent-Length: 2\r\n\r\n",
        )
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn requests_in_flight_are_answered() {
    let limits =
        Limits { body_time: Duration::from_secs(300), shutdown_time: Duration::from_secs(300), ..Limits::default() };
    let mut server = TestServer::with(limits, |state| state.allow_unsigned_requests().unwrap());
    let mut idle = server.connect();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 4_096]).unwrap() > 0);
    let mut busy = begin_call(&server);
    busy.write_all(b"{").unwrap();
    server.begin_stop();
    assert_eq!(read_all(&mut idle), "");
    busy.write_all(b"}").unwrap();
    let answer = read_all(&mut busy);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(server.stop());
}

#[test]
fn the_time_for_shutdown_is_limited() {
    let limits = Limits {
        body_time: Duration::from_secs(3_600),
        shutdown_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = TestServer::with(limits, |state| state.allow_unsigned_requests().unwrap());
    let _stuck = begin_call(&server);
    let started = Instant::now();
    assert!(!server.stop(), "a request is not answered");
    assert!(started.elapsed() < Duration::from_secs(60));
}
