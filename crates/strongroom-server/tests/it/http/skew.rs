//! Clients whose clock is wrong. SDKs compare the header `Date` of a refusal with their clock, and
//! sign again with the corrected time, if the exception is one of their codes for clock skew. The
//! SDKs for JavaScript and Rust know `InvalidSignatureException` and `SignatureDoesNotMatch`.

use std::time::SystemTime;

use jiff::Timestamp;

use super::{header, statuses};
use crate::support::server::{ACCESS_KEY, REGION, TestServer};

/// Returns a request that was signed at another time. Its signature is wrong, but the server checks
/// the time first.
fn request(service: &str, seconds_from_now: i64) -> String {
    let time = Timestamp::now().checked_add(jiff::Span::new().seconds(seconds_from_now)).unwrap();
    let (date, date_time) = (time.strftime("%Y%m%d"), time.strftime("%Y%m%dT%H%M%SZ"));
    let (content_type, body) = match service {
        "kms" => ("application/x-amz-json-1.1", "{}"),
        _ => ("application/x-www-form-urlencoded", "Action=GetCallerIdentity&Version=2011-06-15"),
    };
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         X-Amz-Target: TrentService.ListKeys\r\nX-Amz-Date: {date_time}\r\nContent-Length: {}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{date}/{REGION}/{service}/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={}\r\n\r\n{body}",
        body.len(),
        "0".repeat(64)
    )
}

/// Returns the difference between the header `Date` and now, in seconds.
fn skew_of_date(answer: &str) -> i64 {
    let date = header(answer, "date").unwrap();
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).unwrap();
    let now = Timestamp::try_from(SystemTime::now()).unwrap();
    (now.as_second() - time.as_second()).abs()
}

#[test]
fn sdks_can_correct_their_clock() {
    let server = TestServer::start();
    let hour = 3_600;
    for (seconds, beginning) in [(-hour, "Signature expired: "), (hour, "Signature not yet current: ")] {
        let answer = server.exchange(request("kms", seconds).as_bytes());
        assert_eq!(statuses(&answer), ["400"], "{answer}");
        assert_eq!(header(&answer, "x-amzn-errortype"), Some("InvalidSignatureException"));
        assert!(answer.contains(r#"{"__type":"InvalidSignatureException","message":""#), "{answer}");
        assert!(answer.contains(beginning), "{answer}");
        assert!(skew_of_date(&answer) < 60, "{answer}");
        let answer = server.exchange(request("sts", seconds).as_bytes());
        assert_eq!(statuses(&answer), ["403"], "{answer}");
        assert!(answer.contains("<Code>SignatureDoesNotMatch</Code>"), "{answer}");
        assert!(skew_of_date(&answer) < 60, "{answer}");
    }
}

#[test]
fn a_small_skew_is_no_reason_for_a_refusal() {
    let server = TestServer::start();
    for seconds in [-200, 0, 200] {
        let answer = server.exchange(request("kms", seconds).as_bytes());
        assert!(answer.contains("does not match the signature you provided"), "{answer}");
    }
}
