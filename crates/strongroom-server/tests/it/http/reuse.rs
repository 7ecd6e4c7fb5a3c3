//! Connections that are used again, and the boundaries between their requests.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use strongroom_server::http::Limits;

use super::{call, header, insecure, statuses};
use crate::support::server::{TestServer, read_all};

const LAST: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn a_connection_is_usable_after_a_refusal() {
    let server = insecure(Limits::default());
    let plain = |method: &str, target: &str| format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    let requests = [
        (plain("GET", "/nothing") + "\r\n", "404"),
        (plain("POST", "/nothing") + "Content-Length: 3\r\n\r\nabc", "404"),
        (plain("PUT", "/") + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "405"),
        (plain("POST", "/") + "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", "415"),
        (call("ListKeys", "", "{"), "400"),
        (call("Nothing", "", "{}"), "400"),
        (call("DescribeKey", "", r#"{"KeyId": "alias/missing"}"#), "400"),
        (call("ListKeys", "", "{}"), "200"),
    ];
    let all: String = requests.iter().map(|(request, _)| request.as_str()).chain([LAST]).collect();
    let answers = server.exchange(all.as_bytes());
    let expected: Vec<&str> = requests.iter().map(|(_, status)| *status).chain(["200"]).collect();
    assert_eq!(statuses(&answers), expected, "{answers}");
    assert_eq!(answers.matches("connection: close").count(), 1);
}

#[test]
fn pipelined_calls_are_answered_in_order() {
    let server = insecure(Limits::default());
    // The first call takes much longer than the others.
    let slow = call("CreateKey", "", r#"{"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}"#);
    let aliases: String =
        (0..20).map(|number| call("DescribeKey", "", &format!(r#"{{"KeyId": "alias/number-{number}"}}"#))).collect();
    let answers = server.exchange(format!("{slow}{aliases}{LAST}").as_bytes());
    let bodies: Vec<&str> = answers.split("\r\n\r\n").skip(1).collect();
    assert!(bodies[0].contains("RSA_2048"), "{answers}");
    for number in 0..20 {
        assert!(bodies[number + 1].contains(&format!("alias/number-{number} ")), "{number}: {}", bodies[number + 1]);
    }
    assert_eq!(statuses(&answers).len(), 22);
}

/// A refusal must reach a client that is still sending: if the server closed the socket with unread
/// input, the system would reset the connection and discard the answer.
#[test]
fn the_refusal_of_a_large_body_is_not_lost() {
    let server = TestServer::start();
    for _ in 0..8 {
        let mut stream = server.connect();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 40000000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut sender = stream.try_clone().unwrap();
        let sending = thread::spawn(move || {
            let chunk = [b'x'; 65_536];
            (0..600).take_while(|_| sender.write_all(&chunk).is_ok()).count()
        });
        thread::sleep(Duration::from_millis(100));
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413");
        drop(stream);
        sending.join().unwrap();
    }
}

/// The system of the client refuses to send once the server has reset the connection. Linux still
/// returns the answer then, and others discard it.
#[test]
fn a_client_can_send_while_it_reads_a_refusal() {
    let server = TestServer::start();
    let can_send = || {
        let mut stream = server.connect();
        let head =
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 2000000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        assert!(read_all(&mut stream).starts_with("HTTP/1.1 413 "));
        (0..3).all(|_| {
            thread::sleep(Duration::from_millis(10));
            stream.write_all(b"x").is_ok()
        })
    };
    // A busy machine may need longer than the server waits.
    assert!((0..5).any(|_| can_send()));
}

#[test]
fn lingering_is_limited() {
    let server = TestServer::start();
    let mut stream = server.connect();
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 2000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert!(read_all(&mut stream).starts_with("HTTP/1.1 413 "));
    let started = Instant::now();
    // The client does not close, and sends a byte now and then.
    while stream.write_all(b"x").is_ok() {
        assert!(started.elapsed() < Duration::from_secs(60), "the server never closes");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_body_is_requested_only_if_it_will_be_read() {
    let server = insecure(Limits::default());
    let expecting = |length: usize| {
        call("ListKeys", "Expect: 100-continue\r\nConnection: close\r\n", "")
            .replace("Content-Length: 0", &format!("Content-Length: {length}"))
    };
    let mut stream = server.connect();
    stream.write_all(expecting(2).as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").unwrap();
    assert_eq!(statuses(&read_all(&mut stream)), ["200"]);
    let refused = [
        (expecting(2_000_000), "413"),
        (expecting(2).replace("POST / ", "POST /nothing "), "404"),
        (expecting(2).replace("application/x-amz-json-1.1", "text/plain"), "415"),
    ];
    for (request, status) in refused {
        assert_eq!(statuses(&server.exchange(request.as_bytes())), [status]);
    }
}

/// Two servers in a row must never see different requests in the same bytes.
#[test]
fn ambiguous_lengths_smuggle_no_request() {
    let server = insecure(Limits::default());
    let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let post = |headers: &str, body: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Target: TrentService.ListKeys\r\n{headers}\r\n{body}"
        )
    };
    let refused = [
        ("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
        ("Content-Length: 2, 3\r\n", "{}"),
        ("Content-Length: +2\r\n", "{}"),
        ("Content-Length: 0x2\r\n", "{}"),
        ("Content-Length: 2\r\n: x\r\n", "{}"),
        ("Content-Length : 2\r\n", "{}"),
        ("Content-Length: 99999999999999999999\r\n", "{}"),
        ("Transfer-Encoding: gzip\r\n", "{}"),
        ("Transfer-Encoding: chunked, gzip\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: xchunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "2;\n\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "-2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
    ];
    for (headers, body) in refused {
        let answers = server.exchange(format!("{}{hidden}", post(headers, body)).as_bytes());
        let found = statuses(&answers);
        assert!(found.is_empty() || found == ["400"], "{headers:?}: {answers}");
    }
    // Both lengths: the chunks count, and the connection ends (RFC 9112, section 6.1).
    for headers in
        ["Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"]
    {
        let answers = server.exchange(format!("{}{hidden}", post(headers, "2\r\n{}\r\n0\r\n\r\n")).as_bytes());
        assert_eq!(statuses(&answers), ["200"], "{answers}");
        assert_eq!(header(&answers, "connection"), Some("close"));
    }
    // The same length twice is one length.
    let answers =
        server.exchange(format!("{}{LAST}", post("Content-Length: 2\r\nContent-Length: 2\r\n", "{}")).as_bytes());
    assert_eq!(statuses(&answers), ["200", "200"]);
    // HTTP/1.0 has no chunks.
    let old = post("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(statuses(&server.exchange(old.as_bytes())), ["400"]);
}

#[test]
fn half_closed_connections_end() {
    let server = insecure(Limits::default());
    // Before a request, within its headers, within its body, and after it.
    let request = call("ListKeys", "", "{}");
    for length in [0, 40, request.len() - 1, request.len()] {
        let mut stream = server.connect();
        stream.write_all(&request.as_bytes()[..length]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let started = Instant::now();
        let answer = read_all(&mut stream);
        assert!(started.elapsed() < Duration::from_secs(60), "{length}");
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
    }
    assert_eq!(statuses(&server.exchange(LAST.as_bytes())), ["200"]);
}

#[test]
fn http_1_0_with_and_without_keep_alive() {
    let server = insecure(Limits::default());
    let old = call("ListKeys", "", "{}").replace("HTTP/1.1", "HTTP/1.0");
    let answers = server.exchange(format!("{old}{LAST}").as_bytes());
    assert_eq!(answers.matches(" 200 OK").count(), 1, "{answers}");
    let persistent = call("ListKeys", "Connection: keep-alive\r\n", "{}").replace("HTTP/1.1", "HTTP/1.0");
    let answers = server.exchange(format!("{persistent}{LAST}").as_bytes());
    assert_eq!(answers.matches(" 200 OK").count(), 2, "{answers}");
}
