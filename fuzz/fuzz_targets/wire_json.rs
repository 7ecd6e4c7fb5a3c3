//! The body of a request in the protocol of AWS KMS. The parser accepts what `serde_json` accepts,
//! with the same values, except for bodies beyond its limits and objects with two members of the
//! same name. A body that violates constraints is refused with a text of bounded length.
//!
//! Input: a body, which is checked as a request of every operation.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strongroom::fuzzing::{acceptable_body, checked_request, parsed_body, request_shapes};

/// The longest text of ten violations: each contains at most 256 characters of a value, and a
/// constraint.
const LONGEST_TEXT: usize = 20_000;

static OPERATIONS: LazyLock<Vec<String>> =
    LazyLock::new(|| request_shapes().as_object().expect("a table").keys().cloned().collect());

fuzz_target!(|body: &[u8]| {
    let parsed = parsed_body(body);
    assert_eq!(parsed, acceptable_body(body));
    for operation in &*OPERATIONS {
        if let Err((exception, message)) = checked_request(operation, body) {
            assert!(matches!(exception, "SerializationException" | "ValidationException"), "{exception}");
            assert!(message.is_none_or(|message| message.len() < LONGEST_TEXT));
        } else {
            assert!(parsed.is_some(), "{operation} accepts what the parser refuses");
        }
    }
});
