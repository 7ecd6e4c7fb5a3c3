//! Clients that cause work or use memory: floods of HTTP/2 frames, answers that nobody reads, and
//! bodies that never end.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use strongroom_server::http::Limits;

use super::frames::{
    COMPLETE, CONTINUATION, ENHANCE_YOUR_CALM, HEADERS, PING, RST_STREAM, SETTINGS, frame, get_health, goaway_codes,
    preface, send,
};
use super::{call, header, insecure, statuses};
use crate::support::server::{TestServer, read_all};

const HEALTH: &[u8] = b"GET /health HTTP/1.0\r\n\r\n";

/// The number of frames of a flood: more in the long version of the tests.
fn frames() -> u32 {
    std::env::var("STRONGROOM_FLOOD").map_or(5_000, |text| text.parse().unwrap())
}

/// Limits with short times, so that tests do not take long.
fn quick() -> Limits {
    Limits {
        first_request_time: Duration::from_secs(1),
        idle_time: Duration::from_secs(1),
        body_time: Duration::from_secs(1),
        ..Limits::default()
    }
}

/// Sends a flood, and returns the error codes with which the server ends the connection.
fn flood(server: &TestServer, beginning: &[u8], next: impl Fn(u32) -> Vec<u8> + Send) -> Vec<u32> {
    let mut stream = server.connect();
    let mut sender = stream.try_clone().unwrap();
    let codes = std::thread::scope(|scope| {
        scope.spawn(move || {
            send(&mut sender, &preface());
            send(&mut sender, beginning);
            let bytes = (0..frames()).collect::<Vec<_>>();
            for numbers in bytes.chunks(500) {
                let batch: Vec<u8> = numbers.iter().flat_map(|number| next(*number)).collect();
                if !send(&mut sender, &batch) {
                    break;
                }
            }
        });
        goaway_codes(&mut stream)
    });
    assert!(server.exchange(HEALTH).contains("200 OK"), "the server answers others");
    codes
}

#[test]
fn streams_that_are_reset_immediately_end_the_connection() {
    let server = TestServer::with(quick(), |state| state);
    let codes = flood(&server, &[], |number| {
        let stream = 2 * number + 1;
        let request = frame(HEADERS, COMPLETE, stream, &get_health());
        [request, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    });
    assert_eq!(codes, [ENHANCE_YOUR_CALM]);
}

#[test]
fn streams_with_errors_end_the_connection() {
    let server = TestServer::with(quick(), |state| state);
    // A request with a method but without a path is an error of its stream, which the server resets.
    let codes = flood(&server, &[], |number| frame(HEADERS, COMPLETE, 2 * number + 1, b"\x82"));
    assert_eq!(codes, [ENHANCE_YOUR_CALM]);
}

#[test]
fn headers_that_never_end_end_the_connection() {
    let server = TestServer::with(quick(), |state| state);
    // A header field that is split into one byte for each frame.
    let beginning = frame(HEADERS, 1, 1, &[0x40]);
    let codes = flood(&server, &beginning, |_| frame(CONTINUATION, 0, 1, &[0x7f]));
    assert!(codes.len() == 1 && codes[0] != 0, "{codes:?}");
}

#[test]
fn large_header_lists_are_refused() {
    let server = TestServer::with(quick(), |state| state);
    // Sixteen bytes become a kilobyte by references to the dynamic table.
    let field = [b"\x40\x01a\x7f\xe9\x06".as_slice(), &[b'x'; 1_000]].concat();
    let block = [get_health(), field, vec![0xbe; 4_000]].concat();
    let mut stream = server.connect();
    send(&mut stream, &preface());
    send(&mut stream, &frame(HEADERS, COMPLETE, 1, &block));
    let started = Instant::now();
    goaway_codes(&mut stream);
    assert!(started.elapsed() < Duration::from_secs(60));
    assert!(server.exchange(HEALTH).contains("200 OK"));
}

#[test]
fn pings_and_settings_do_not_keep_a_connection_open() {
    let server = TestServer::with(quick(), |state| state);
    for flooding in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])] {
        let mut stream = server.connect();
        assert!(send(&mut stream, &preface()));
        ends(&mut stream, &flooding.repeat(100));
    }
    assert!(server.exchange(HEALTH).contains("200 OK"));
}

/// More than the buffers of a connection contain.
const MOST_BYTES: usize = 64 << 20;
const LIMIT: Duration = Duration::from_secs(120);

/// Sends bytes again and again without reading, until the server ends the connection.
fn ends(stream: &mut TcpStream, bytes: &[u8]) {
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let (started, mut progress, mut sent) = (Instant::now(), Instant::now(), 0);
    loop {
        match stream.write(bytes) {
            // The buffers are full, because the server waits for the client to read.
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => return,
            Ok(length) => {
                sent += length;
                progress = Instant::now();
            }
        }
        // A busy machine may need long until the buffers are full.
        let is_early = started.elapsed() < LIMIT || (sent < MOST_BYTES && progress.elapsed() < LIMIT);
        assert!(is_early, "the server keeps the connection after {sent} bytes");
    }
}

#[test]
fn a_client_that_never_reads_is_disconnected() {
    let server = TestServer::with(quick(), |state| state.allow_unsigned_requests().unwrap());
    // With long answers, fewer of them fill the buffers.
    for _ in 0..100 {
        server.kms.create_key(Default::default()).unwrap();
    }
    for request in [call("ListKeys", "", "{}"), "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()] {
        ends(&mut server.connect(), request.as_bytes());
    }
    // The same on a stream of HTTP/2 whose window is closed.
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut stream = server.connect();
    let requests: Vec<u8> =
        (0..40).flat_map(|number| frame(HEADERS, COMPLETE, 2 * number + 1, &get_health())).collect();
    assert!(send(&mut stream, &[preface(), settings, requests].concat()));
    let started = Instant::now();
    read_all(&mut stream);
    assert!(started.elapsed() < Duration::from_secs(60));
}

/// The time after which the server has probably read what was sent. If it had not, a test begins again
/// with the next one: a busy machine may need longer.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(5), Duration::from_secs(30)];

#[test]
fn large_bodies_share_a_limited_memory() {
    assert!(PAUSES.into_iter().any(refuses_a_second_large_body));
}

/// Returns `false` if the server had not read the first body when it read the second.
fn refuses_a_second_large_body(pause: Duration) -> bool {
    let limits = Limits { large_bodies_bytes: 1 << 20, body_time: Duration::from_secs(300), ..Limits::default() };
    let server = insecure(limits);
    let body = format!("{{\"Ignored\": \"{}\"}}", "x".repeat(700_000));
    let request = call("ListKeys", "Connection: close\r\n", &body);
    // Another client has sent all of its body but the last byte.
    let mut other = server.connect();
    other.write_all(&request.as_bytes()[..request.len() - 1]).unwrap();
    std::thread::sleep(pause);
    let answer = server.exchange(request.as_bytes());
    if statuses(&answer) == ["200"] {
        return false;
    }
    assert_eq!(header(&answer, "x-amzn-errortype"), Some("ThrottlingException"), "{answer}");
    assert_eq!((statuses(&answer), header(&answer, "x-amz-retry-after")), (vec!["400"], Some("100")));
    // Small bodies need no share.
    assert_eq!(statuses(&server.exchange(call("ListKeys", "Connection: close\r\n", "{}").as_bytes())), ["200"]);
    other.write_all(b"}").unwrap();
    assert_eq!(statuses(&read_all(&mut other)), ["200"]);
    assert_eq!(statuses(&server.exchange(request.as_bytes())), ["200"]);
    true
}

#[test]
fn the_number_of_requests_is_limited() {
    assert!(PAUSES.into_iter().any(refuses_a_third_request));
}

/// Returns `false` if the server had not read the first two requests when it read the third.
fn refuses_a_third_request(pause: Duration) -> bool {
    let server = insecure(Limits { requests: 2, body_time: Duration::from_secs(300), ..Limits::default() });
    let request = call("ListKeys", "Connection: close\r\n", "{}");
    let begun: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(&request.as_bytes()[..request.len() - 1]).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(pause);
    let answer = server.exchange(request.as_bytes());
    if statuses(&answer) == ["200"] {
        return false;
    }
    assert_eq!(header(&answer, "x-amzn-errortype"), Some("ThrottlingException"), "{answer}");
    for mut stream in begun {
        stream.write_all(b"}").unwrap();
        assert_eq!(statuses(&read_all(&mut stream)), ["200"]);
    }
    assert_eq!(statuses(&server.exchange(request.as_bytes())), ["200"]);
    true
}
