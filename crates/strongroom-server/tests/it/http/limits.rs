//! Clients that send too much, too slowly, or nothing.

use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use strongroom::Kms;
use strongroom_server::http::Limits;

use crate::support::server::{GatedClock, TestServer, read_all};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-amz-json-1.1\r\n";

fn quick() -> Limits {
    Limits {
        body_time: Duration::from_millis(400),
        first_request_time: Duration::from_millis(400),
        idle_time: Duration::from_millis(800),
        ..Limits::default()
    }
}

#[test]
fn large_bodies_are_refused() {
    let server = TestServer::start();
    let announced = format!("{HEAD}Content-Length: 1048577\r\n\r\n");
    assert!(server.exchange(announced.as_bytes()).starts_with("HTTP/1.1 413 "));
    let chunk = format!("{:x}\r\n{}\r\n", 65_536, "x".repeat(65_536));
    let chunked = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(17));
    assert!(server.exchange(chunked.as_bytes()).starts_with("HTTP/1.1 413 "));
    let allowed = format!("{HEAD}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(16));
    assert!(server.exchange(allowed.as_bytes()).starts_with("HTTP/1.1 400 "));
}

#[test]
fn large_and_numerous_headers_are_refused() {
    let server = TestServer::start();
    let large = format!("{HEAD}X-Large: {}\r\n\r\n", "x".repeat(20_000));
    let answer = server.exchange(large.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many: String = (0..80).map(|number| format!("X-{number}: 1\r\n")).collect();
    assert!(server.exchange(format!("{HEAD}{many}\r\n").as_bytes()).starts_with("HTTP/1.1 431 "));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(20_000));
    let answer = server.exchange(long.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn malformed_requests_are_refused() {
    let server = TestServer::start();
    for request in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], // a TLS handshake
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"\x00\x00\x00\r\n\r\n",
    ] {
        let answer = server.exchange(request);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert!(server.exchange(b"GET /health HTTP/1.0\r\n\r\n").contains("200 OK"), "the server still answers");
}

#[test]
fn silent_and_slow_connections_are_closed() {
    let server = TestServer::with(quick(), |state| state);
    // Nothing; a part of the preface of HTTP/2; a part of the headers; HTTP/2 without a request.
    let settings: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    for beginning in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n", b"POST / HTTP/1.1\r\nHost: a\r\n", settings] {
        let started = Instant::now();
        let mut stream = server.connect();
        stream.write_all(beginning).unwrap();
        read_all(&mut stream);
        assert!(started.elapsed() >= Duration::from_millis(390), "{beginning:?}");
    }
}

#[test]
fn headers_that_arrive_byte_by_byte_do_not_extend_the_time() {
    let server = TestServer::with(quick(), |state| state);
    let mut stream = server.connect();
    let head = format!("{HEAD}X-Slow: {}\r\n\r\n", "x".repeat(600));
    let closed = head.bytes().any(|byte| {
        std::thread::sleep(Duration::from_millis(10));
        stream.write_all(&[byte]).is_err()
    });
    assert!(closed, "the server waits for slow headers");
}

#[test]
fn bodies_that_stall_are_refused() {
    let server = TestServer::with(quick(), |state| state);
    let started = Instant::now();
    let answer = server.exchange(format!("{HEAD}Content-Length: 10\r\n\r\n{{").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(started.elapsed() >= Duration::from_millis(390));
}

#[test]
fn idle_connections_are_closed_and_busy_ones_are_kept() {
    use std::io::Read;
    let times = (Duration::from_millis(1_500), Duration::from_secs(4));
    let limits = Limits { first_request_time: times.0, idle_time: times.1, ..Limits::default() };
    let server = TestServer::with(limits, |state| state);
    let mut stream = server.connect();
    // Longer than the time for the first request: each request extends the time.
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(450));
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut buffer = [0; 4_096];
        let length = stream.read(&mut buffer).unwrap();
        assert!(buffer[..length].starts_with(b"HTTP/1.1 200 OK"));
    }
    assert_eq!(read_all(&mut stream), "", "an idle connection is closed without an answer");
}

#[test]
fn a_new_connection_takes_the_place_of_the_oldest_idle_one() {
    use std::io::Read;
    let long = Duration::from_secs(300);
    let limits =
        Limits { connections: 4, first_request_time: long, idle_time: long, body_time: long, ..Limits::default() };
    let server = TestServer::with(limits, |state| state);
    let health = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let answered = |stream: &mut std::net::TcpStream| {
        stream.write_all(health).unwrap();
        stream.read(&mut [0; 4_096]).unwrap() > 0
    };
    // A connection whose body is incomplete, a silent one, and two that have been used.
    let mut connections: Vec<_> = (0..4).map(|_| server.connect()).collect();
    // The server accepts them in their order.
    assert!(answered(&mut connections[3]));
    let expecting = format!("{HEAD}Expect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    connections[0].write_all(expecting.as_bytes()).unwrap();
    let mut interim = [0; 25];
    connections[0].read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(answered(&mut connections[2]) && answered(&mut connections[3]) && answered(&mut connections[2]));
    for oldest in [1, 0, 3] {
        let mut new = server.connect();
        assert!(answered(&mut new));
        assert_eq!(read_all(&mut connections[oldest]), "", "{oldest}");
        connections.push(new);
    }
    assert!(answered(&mut connections[2]), "a connection that was used recently keeps its place");
}

#[test]
fn a_queued_call_keeps_its_connection() {
    // A busy machine may read the calls late, and until then their connections are idle.
    assert!([300, 3_000, 20_000].into_iter().any(|millis| keep_connections(Duration::from_millis(millis))));
}

/// Holds a call and queues another one, connects others often, and returns `true` if both calls are
/// answered.
fn keep_connections(pause: Duration) -> bool {
    let limits = Limits { connections: 3, workers: 1, queue: 8, ..Limits::default() };
    let gate = Arc::new(Mutex::new(()));
    let builder = Kms::builder().clock(GatedClock(Arc::clone(&gate)));
    let server = TestServer::of(builder, limits, |state| state.allow_unsigned_requests().unwrap());
    let request = super::call("CreateKey", "Connection: close\r\n", "{}");
    let closed = gate.lock().unwrap();
    let mut calling: Vec<_> = (0..2).map(|_| server.connect()).collect();
    calling.iter_mut().for_each(|stream| stream.write_all(request.as_bytes()).unwrap());
    std::thread::sleep(pause);
    for _ in 0..20 {
        assert!(server.exchange(b"GET /health HTTP/1.0\r\n\r\n").contains("200 OK"));
    }
    drop(closed);
    calling.iter_mut().all(|stream| read_all(stream).starts_with("HTTP/1.1 200 "))
}

#[test]
fn a_thousand_silent_connections_do_not_stop_others() {
    let server = TestServer::start();
    let silent: Vec<_> = (0..1_000).map_while(|_| std::net::TcpStream::connect(server.address).ok()).collect();
    assert!(silent.len() > 400, "{} connections", silent.len());
    assert!(server.exchange(b"GET /health HTTP/1.0\r\n\r\n").contains("200 OK"));
}

#[test]
fn calls_beyond_the_queue_are_throttled() {
    let limits = Limits { workers: 1, queue: 1, ..Limits::default() };
    let gate = Arc::new(Mutex::new(()));
    let builder = Kms::builder().clock(GatedClock(Arc::clone(&gate)));
    let server = TestServer::of(builder, limits, |state| state.allow_unsigned_requests().unwrap());
    let call = super::call("CreateKey", "Connection: close\r\n", "{}");
    let closed = gate.lock().unwrap();
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (server, call, sender) = (&server, call.as_bytes(), sender.clone());
            scope.spawn(move || sender.send(server.exchange(call)).unwrap());
        }
        // One call runs, and one is queued, until the others have been refused.
        for answer in answers.iter().take(6) {
            assert!(answer.contains("ThrottlingException") && answer.contains("x-amz-retry-after: 100"), "{answer}");
        }
        drop(closed);
        for answer in answers.iter().take(2) {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    });
}
