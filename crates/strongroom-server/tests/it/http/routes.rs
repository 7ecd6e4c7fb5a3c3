//! The routes, and the headers of every answer.

use crate::support::server::TestServer;

fn get(server: &TestServer, target: &str) -> String {
    server.exchange(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
}

fn post(server: &TestServer, headers: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    server.exchange(request.as_bytes())
}

#[test]
fn health_and_metrics() {
    let server = TestServer::start();
    assert!(get(&server, "/health").starts_with("HTTP/1.1 200 OK\r\n"));
    post(&server, "Content-Type: application/x-amz-json-1.1\r\n", "{}");
    server.kms.create_key(Default::default()).unwrap();
    let page = get(&server, "/metrics");
    for line in [
        "strongroom_operations_total{operation=\"CreateKey\",result=\"success\"} 1",
        "strongroom_operation_duration_seconds_count{operation=\"CreateKey\"} 1",
        "strongroom_server_requests_total{result=\"unauthenticated\"} 1",
        "# TYPE strongroom_operations counter",
        "# EOF",
    ] {
        assert!(page.contains(line), "{line} is missing in {page}");
    }
    server.kms.close().unwrap();
    assert!(get(&server, "/health").starts_with("HTTP/1.1 503 "));
}

#[test]
fn every_answer_has_a_request_id_and_a_date() {
    let server = TestServer::start();
    let json = "Content-Type: application/x-amz-json-1.1\r\n";
    for answer in [
        get(&server, "/health"),
        get(&server, "/nothing"),
        get(&server, "/"),
        post(&server, json, "{}"),
        post(&server, "Content-Type: text/plain\r\n", "{}"),
        post(&server, "Content-Type: application/x-www-form-urlencoded\r\n", "Action=GetCallerIdentity"),
    ] {
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        assert_eq!(header("x-amzn-requestid: ").unwrap().len(), 36, "{head}");
        assert!(header("date: ").unwrap().ends_with(" gmt"), "{head}");
        assert!(header("content-type: ").is_some(), "{head}");
        assert!(header("cache-control: ").unwrap().contains("no-store"), "{head}");
    }
}

#[test]
fn unsigned_requests_are_refused() {
    let server = TestServer::start();
    let answer =
        post(&server, "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: TrentService.ListKeys\r\n", "{}");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains(r#""__type":"MissingAuthenticationTokenException""#), "{answer}");
    let answer = post(&server, "Content-Type: application/x-www-form-urlencoded\r\n", "Action=GetCallerIdentity");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("<Code>MissingAuthenticationToken</Code>"), "{answer}");
}

#[test]
fn other_routes_and_media_types_are_refused() {
    let server = TestServer::start();
    for (path, status) in [("/keys", "404"), ("/", "405")] {
        let answer = get(&server, path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(names_every_api(&answer), "{answer}");
    }
    for content_type in ["", "Content-Type: text/plain\r\n", "Content-Type: application/cbor\r\n"] {
        let answer = post(&server, content_type, "{}");
        assert!(answer.starts_with("HTTP/1.1 415 "), "{content_type}");
        assert!(names_every_api(&answer), "{answer}");
    }
}

/// Returns `true` if the text of a refusal names the APIs that the server has.
fn names_every_api(answer: &str) -> bool {
    ["AWS KMS", "STS", "Parameter Store"].iter().all(|api| answer.contains(api))
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    use std::io::Write;
    let server = TestServer::start();
    let mut stream = server.connect();
    let one = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let other = "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all([one, one, one, last].concat().as_bytes()).unwrap();
    let answers = crate::support::server::read_all(&mut stream);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 4);
    let answers = server.exchange([one, other, last].concat().as_bytes());
    assert_eq!(super::statuses(&answers), ["200", "404", "200"]);
}
