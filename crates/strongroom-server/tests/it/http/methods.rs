//! Methods, targets and headers that clients of AWS do not send, or send in another form.

use strongroom_server::http::Limits;

use super::{call, header, insecure, statuses};
use crate::support::server::TestServer;

const CLOSE: &str = "Connection: close\r\n";

fn send(server: &TestServer, method: &str, target: &str) -> String {
    server.exchange(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{CLOSE}\r\n").as_bytes())
}

#[test]
fn other_methods_are_refused_with_the_allowed_ones() {
    let server = TestServer::start();
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "PATCH", "BREW"] {
        let answer = send(&server, method, "/");
        assert_eq!((statuses(&answer), header(&answer, "allow")), (vec!["405"], Some("POST")), "{method}: {answer}");
        assert_eq!(header(&answer, "x-amzn-errortype"), Some("UnknownOperationException"));
    }
    for path in ["/health", "/metrics"] {
        let answer = send(&server, "POST", path);
        assert_eq!((statuses(&answer), header(&answer, "allow")), (vec!["405"], Some("GET, HEAD")), "{answer}");
    }
    assert_eq!(statuses(&send(&server, "OPTIONS", "*")), ["404"]);
    assert_eq!(statuses(&send(&server, "CONNECT", "localhost:443")), ["404"]);
}

#[test]
fn answers_to_head_have_no_body() {
    let server = TestServer::start();
    for (path, status) in [("/health", "200"), ("/metrics", "200"), ("/", "405"), ("/nothing", "404")] {
        let answer = send(&server, "HEAD", path);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!((statuses(head), body), (vec![status], ""), "{path}");
        assert_ne!(header(head, "content-length"), Some("0"), "{path}: the length is that of the answer to GET");
    }
}

#[test]
fn absolute_targets_are_accepted_if_the_host_is_the_same() {
    let server = insecure(Limits::default());
    let request = call("ListKeys", CLOSE, "{}").replace("POST / ", "POST http://localhost/ ");
    assert_eq!(statuses(&server.exchange(request.as_bytes())), ["200"]);
    // An authority without a path is the path `/` (RFC 9112, section 3.2.2).
    let request = call("ListKeys", CLOSE, "{}").replace("POST / ", "POST http://localhost ");
    assert_eq!(statuses(&server.exchange(request.as_bytes())), ["200"]);
    assert_eq!(statuses(&send(&server, "GET", "http://localhost/nothing")), ["404"]);
}

#[test]
fn names_of_headers_have_no_case() {
    let server = insecure(Limits::default());
    let request = call("ListKeys", CLOSE, "{}");
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let names = |change: fn(&str) -> String| {
        let headers: Vec<String> = headers
            .lines()
            .map(|header| header.split_once(':').map(|(name, value)| format!("{}:{value}", change(name))).unwrap())
            .collect();
        format!("{line}\r\n{}\r\n\r\n{body}", headers.join("\r\n"))
    };
    for request in [names(str::to_ascii_lowercase), names(str::to_ascii_uppercase)] {
        assert_eq!(statuses(&server.exchange(request.as_bytes())), ["200"], "{request}");
    }
}

#[test]
fn answers_are_never_compressed() {
    let server = insecure(Limits::default());
    for encoding in ["gzip", "gzip, deflate, br, zstd", "identity;q=0", "*", ""] {
        let headers = format!("{CLOSE}Accept-Encoding: {encoding}\r\n");
        let answer = server.exchange(call("ListKeys", &headers, "{}").as_bytes());
        assert_eq!((statuses(&answer), header(&answer, "content-encoding")), (vec!["200"], None), "{encoding}");
        assert!(answer.ends_with(r#""Truncated":false}"#), "{answer}");
    }
}

#[test]
fn requests_without_a_known_operation() {
    let server = insecure(Limits::default());
    for target in
        ["", "X-Amz-Target: \r\n", "X-Amz-Target: TrentService.\r\n", "X-Amz-Target: DynamoDB_20120810.ListTables\r\n"]
    {
        let request = call("ListKeys", CLOSE, "{}").replace("X-Amz-Target: TrentService.ListKeys\r\n", target);
        let answer = server.exchange(request.as_bytes());
        assert_eq!(statuses(&answer), ["400"], "{target}: {answer}");
        assert_eq!(header(&answer, "x-amzn-errortype"), Some("UnknownOperationException"), "{target}");
        assert!(answer.contains(r#""__type":"UnknownOperationException""#), "{answer}");
    }
}

#[test]
fn media_types_may_have_parameters() {
    let server = insecure(Limits::default());
    for value in ["application/x-amz-json-1.1; charset=utf-8", "Application/X-Amz-JSON-1.1"] {
        let request = call("ListKeys", CLOSE, "{}").replace("application/x-amz-json-1.1", value);
        assert_eq!(statuses(&server.exchange(request.as_bytes())), ["200"], "{value}");
    }
}

#[test]
fn malformed_and_deep_bodies_are_refused() {
    let server = insecure(Limits::default());
    let deep = format!("{}{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let arrays = "[".repeat(900_000);
    for body in ["", "{", "nul", "[]", "\"x\"", "{\"KeyId\": }", "{} {}", "\u{feff}{}", deep.as_str(), arrays.as_str()]
    {
        let answer = server.exchange(call("DescribeKey", CLOSE, body).as_bytes());
        let shown: String = body.chars().take(20).collect();
        assert_eq!(statuses(&answer), ["400"], "{shown}");
        assert!(answer.contains("SerializationException") || body.is_empty(), "{shown}: {answer}");
    }
}
