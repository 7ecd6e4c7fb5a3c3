//! Shutdown: requests are answered, and idle connections are closed.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use strongroom_server::http::Limits;

use crate::support::server::{TestServer, read_all};

#[test]
fn requests_in_flight_are_answered() {
    let mut server = TestServer::with(Limits::default(), |state| state.allow_unsigned_requests().unwrap());
    let mut idle = server.connect();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 4_096]).unwrap() > 0);
    let mut busy = server.connect();
    busy.write_all(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n\
          X-Amz-Target: TrentService.ListKeys\r\nContent-Length: 2\r\n\r\n{",
    )
    .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    server.begin_stop();
    assert_eq!(read_all(&mut idle), "");
    busy.write_all(b"}").unwrap();
    let answer = read_all(&mut busy);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(server.stop());
}

#[test]
fn the_time_for_shutdown_is_limited() {
    let limits = Limits { shutdown_time: Duration::from_millis(300), ..Limits::default() };
    let server = TestServer::with(limits, |state| state);
    let mut stuck = server.connect();
    stuck
        .write_all(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n\r\n",
        )
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    server.stop();
    assert!(started.elapsed() < Duration::from_secs(8));
}
