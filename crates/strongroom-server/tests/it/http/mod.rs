//! Requests over sockets.

mod clients;
mod floods;
mod frames;
mod limits;
mod methods;
mod retries;
mod reuse;
mod routes;
mod shutdown;
mod skew;
#[cfg(unix)]
mod tls;
mod unsigned;

use strongroom_server::http::Limits;

use crate::support::server::TestServer;

/// Starts a server that accepts unsigned requests.
fn insecure(limits: Limits) -> TestServer {
    TestServer::with(limits, |state| state.allow_unsigned_requests().unwrap())
}

/// Returns an unsigned call, with further headers.
fn call(operation: &str, headers: &str, body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Target: TrentService.{operation}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// Returns the statuses of the answers on a connection, in their order.
fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}

/// Returns the value of a header of the first answer.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}
