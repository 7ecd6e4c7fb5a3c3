//! The API of AWS KMS as AWS clients call it.

mod answers;
mod aws_model;
mod boto3;
mod order;
mod pages;
mod refusals;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use base64ct::{Base64, Encoding};
use serde_json::Value;
use strongroom::audit::{MemoryTrail, Outcome};
use strongroom::key::ClusterId;
use strongroom::provider::MemoryCluster;
use strongroom::wire::{self, Reply};
use strongroom::{ErrorKind, Kms, ManualClock, Timestamp};

/// Clusters with IDs as in AWS, and the password of their crypto users.
const CLUSTERS: [&str; 2] = ["cluster-2a34b5cdefg", "cluster-3b45c6defgh"];
const PASSWORD: &str = "kmsPswd1";

/// The start of the clock.
const START: i64 = 1_700_000_000_250;

/// A KMS that is called through its wire protocol only.
struct Endpoint {
    kms: Kms,
    trail: Arc<MemoryTrail>,
    clock: Arc<ManualClock>,
    answered: Mutex<BTreeSet<String>>,
}

impl Endpoint {
    fn new() -> Self {
        let (trail, clock) =
            (Arc::new(MemoryTrail::default()), Arc::new(ManualClock::new(Timestamp::from_unix_millis(START))));
        let mut builder = Kms::builder().audit(Arc::clone(&trail)).clock(Arc::clone(&clock));
        for id in CLUSTERS {
            let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], PASSWORD.as_bytes());
            builder = builder.cluster(ClusterId::parse(id).expect("an ID"), cluster);
        }
        let kms = builder.build().expect("a KMS in memory");
        Self { kms, trail, clock, answered: Mutex::default() }
    }

    /// Makes a call, and checks that it left exactly one event with its outcome.
    fn send(&self, operation: &str, body: &[u8]) -> Reply {
        self.trail.clear();
        let request = self.kms.with_request_id("request-1").expect("an ID");
        let reply = wire::call(&request, operation, body);
        let events = self.trail.events();
        let mut outcomes = events.iter().filter(|event| event.outcome != Outcome::Intent && event.request_id.is_some());
        let event = outcomes.next_back().unwrap_or_else(|| panic!("{operation} left no event"));
        assert_eq!(outcomes.next(), None, "{operation} left several events");
        assert_eq!(event.request_id.as_deref(), Some("request-1"));
        match &event.outcome {
            Outcome::Success => assert_eq!((reply.status(), reply.error_code()), (200, None), "{operation}"),
            // A rejected password is sent as an exception that clients do not retry.
            Outcome::Failure(ErrorKind::KeyUnavailable) if operation == "ConnectCustomKeyStore" => {
                assert_eq!(reply.error_code(), Some(ErrorKind::CustomKeyStoreInvalidState.aws_name()));
            }
            Outcome::Failure(kind) => assert_eq!(reply.error_code(), Some(kind.aws_name()), "{operation}"),
            other => panic!("{operation}: {other:?}"),
        }
        reply
    }

    /// Returns the answer of a call, or its exception and its text, which is empty if there is none.
    fn call(&self, operation: &str, request: Value) -> Result<Value, (&'static str, String)> {
        let reply = self.send(operation, request.to_string().as_bytes());
        let body = if reply.body().is_empty() { Value::Null } else { json_of(&reply) };
        match reply.error_code() {
            None => {
                self.answered.lock().expect("no panic").insert(operation.to_owned());
                Ok(body)
            }
            Some(code) => {
                assert_eq!(body["__type"], code);
                assert!([400, 500].contains(&reply.status()));
                Err((code, body["message"].as_str().unwrap_or_default().to_owned()))
            }
        }
    }

    /// Returns the answer of a call that must succeed.
    fn must(&self, operation: &str, request: Value) -> Value {
        self.call(operation, request).unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    /// Creates a key and returns its ID.
    fn key(&self, request: Value) -> String {
        text(&self.must("CreateKey", request)["KeyMetadata"]["KeyId"])
    }
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(reply.body()).expect("a body is JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn blob(value: &Value) -> Vec<u8> {
    Base64::decode_vec(value.as_str().expect("a text")).expect("base64 with padding")
}

fn base64(bytes: impl AsRef<[u8]>) -> Value {
    Base64::encode_string(bytes.as_ref()).into()
}
