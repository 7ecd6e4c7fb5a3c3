//! The body of a request in the protocol of AWS KMS. The parser accepts what `serde_json` accepts,
//! with the same values, except for bodies beyond its limits and objects with two members of the
//! same name. A body that violates constraints is refused with a text of bounded length.
//!
//! Input: a body, which is checked as a request of every operation.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use strongroom::fuzzing::{
    MAX_REQUEST_BYTES, MAX_REQUEST_DEPTH, MAX_REQUEST_VALUES, checked_request, parsed_body, request_shapes,
};

/// The longest text of ten violations: each contains at most 256 characters of a value, and a
/// constraint.
const LONGEST_TEXT: usize = 20_000;

/// The member that the parser reads as a number, as `serde_json` itself does with one of its features.
const PRIVATE_NUMBER: &str = "$serde_json::private::Number";

static OPERATIONS: LazyLock<Vec<String>> =
    LazyLock::new(|| request_shapes().as_object().expect("a table").keys().cloned().collect());

fuzz_target!(|body: &[u8]| {
    let parsed = parsed_body(body);
    let value: Option<Value> = serde_json::from_slice(body).ok();
    if !value.as_ref().is_some_and(|value| value.to_string().contains(PRIVATE_NUMBER)) {
        assert_eq!(parsed, value.filter(|value| is_allowed(body, value)));
    }
    for operation in &*OPERATIONS {
        if let Err((exception, message)) = checked_request(operation, body) {
            assert!(matches!(exception, "SerializationException" | "ValidationException"), "{exception}");
            assert!(message.is_none_or(|message| message.len() < LONGEST_TEXT));
        } else {
            assert!(parsed.is_some(), "{operation} accepts what the parser refuses");
        }
    }
});

/// Returns `true` if a body that `serde_json` accepts is within the limits of the parser.
fn is_allowed(body: &[u8], value: &Value) -> bool {
    let extent = Extent::of(value);
    value.is_object()
        && body.len() <= MAX_REQUEST_BYTES
        && extent.depth <= MAX_REQUEST_DEPTH
        && extent.members + extent.elements <= MAX_REQUEST_VALUES
        // `serde_json` retains one of several members of the same name.
        && extent.members == members_written(body)
}

/// The size of a tree.
#[derive(Default)]
struct Extent {
    depth: usize,
    members: usize,
    elements: usize,
}

impl Extent {
    fn of(value: &Value) -> Self {
        let (inner, mut extent): (Vec<Self>, Self) = match value {
            Value::Array(values) => {
                (values.iter().map(Self::of).collect(), Self { depth: 1, members: 0, elements: values.len() })
            }
            Value::Object(members) => {
                (members.values().map(Self::of).collect(), Self { depth: 1, members: members.len(), elements: 0 })
            }
            _ => return Self::default(),
        };
        extent.depth += inner.iter().map(|inner| inner.depth).max().unwrap_or_default();
        extent.members += inner.iter().map(|inner| inner.members).sum::<usize>();
        extent.elements += inner.iter().map(|inner| inner.elements).sum::<usize>();
        extent
    }
}

/// Returns the number of members in valid JSON: the colons outside of strings.
fn members_written(body: &[u8]) -> usize {
    let (mut members, mut in_string, mut escaped) = (0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => members += 1,
            _ => {}
        }
    }
    members
}
