//! Refused signatures in the audit trail.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::Program;
use crate::support::peer;

/// Returns the events about refused requests in the audit trail, after it was verified.
fn events(program: &Program) -> Vec<Value> {
    let mut lines = String::new();
    for file in fs::read_dir(program.path("keys.db.audit")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let text = fs::read_to_string(path).unwrap();
            // The server may be writing the last line.
            lines.push_str(&text[..text.rfind('\n').map_or(0, |end| end + 1)]);
        }
    }
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events = events.map(|line| if line["event"].is_object() { line["event"].clone() } else { line });
    events.filter(|event| event["eventName"] == "RefuseRequests").collect()
}

fn requests(event: &Value) -> u64 {
    event["serviceEventDetails"]["requests"].as_u64().unwrap()
}

#[test]
fn refused_requests_are_counted_in_the_audit_trail() {
    let program = Program::new();
    let running = program.serve(&["--refusal-interval", "1"]);
    let started = Instant::now();
    for _ in 0..7 {
        let (status, body) = running.call("ListKeys", "{}").unwrap();
        assert!(status == 400 && body.contains("MissingAuthenticationTokenException"), "{body}");
    }
    let asked = started.elapsed();
    let started = Instant::now();
    while events(&program).iter().map(requests).sum::<u64>() < 7 {
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", events(&program));
        std::thread::sleep(Duration::from_millis(50));
    }
    // Longer than another interval.
    std::thread::sleep(Duration::from_millis(1_500));
    let recorded = events(&program);
    assert_eq!(recorded.iter().map(requests).sum::<u64>(), 7, "{recorded:?}");
    // Usually all are in one or two intervals.
    assert!(recorded.len() < 7 || asked > Duration::from_secs(5), "{recorded:?}");
    let event = &recorded[0];
    assert_eq!((&event["eventType"], &event["outcome"]), (&"AwsServiceEvent".into(), &"success".into()), "{event}");
    let details = &event["serviceEventDetails"];
    assert_eq!(details["reasons"]["MissingAuthenticationTokenException"], requests(event));
    assert_eq!(details["sourceIPAddresses"]["127.0.0.1"], requests(event));
    assert_eq!(details["claimedAccessKeyIds"], serde_json::json!({}));
    assert!(details["since"].as_str() < event["eventTime"].as_str());
    running.stop("TERM");
    assert_eq!(events(&program).len(), recorded.len(), "an interval without refusals has no event");
}

#[test]
fn known_access_keys_are_named_and_the_last_interval_is_recorded() {
    let test = "known_access_keys_are_named_and_the_last_interval_is_recorded";
    let Some(python) = peer::python(test) else { return };
    let program = Program::new();
    let running = program.serve(&["--refusal-interval", "3600"]);
    let profile = fs::read_to_string(program.path("keys.db.aws")).unwrap();
    let id = profile.lines().find_map(|line| line.strip_prefix("aws_access_key_id = ")).unwrap();
    for id in [id, "AKIAIOSFODNN7UNKNOWN"] {
        let environment = [
            ("ENDPOINT", running.url.as_str()),
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", "wrong"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ];
        let codes = peer::run(&python, "calls.py", "[\"list_keys\", {}]", &environment);
        assert!(codes.contains("Exception"), "{codes}");
    }
    assert_eq!(events(&program), Vec::<Value>::new());
    let id = id.to_owned();
    running.stop("TERM");
    let recorded = events(&program);
    assert_eq!(recorded.len(), 1);
    let details = &recorded[0]["serviceEventDetails"];
    assert_eq!(details["claimedAccessKeyIds"], serde_json::json!({ id: 1 }), "{details}");
    let reasons = serde_json::json!({"InvalidSignatureException": 1, "UnrecognizedClientException": 1});
    assert_eq!((&details["reasons"], requests(&recorded[0])), (&reasons, 2));
}
