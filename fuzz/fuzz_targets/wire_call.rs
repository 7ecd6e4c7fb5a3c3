//! Every call in the protocol of AWS gets a reply, never a panic. The reply is a JSON object, or
//! empty; a refusal names its exception; the audit trail has an event with the same outcome.
//!
//! Input: the name of an operation, a line break, and the body of the request. The KMS has keys
//! behind the aliases `alias/sym`, `alias/ecc` and `alias/mac`, and is the same in every run.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use strongroom::audit::{MemoryTrail, Outcome};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::CreateKeyRequest;
use strongroom::wire;
use strongroom::{Kms, ManualClock, Timestamp};
use strongroom_fuzz::backend;

fuzz_target!(|bytes: &[u8]| {
    let split = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let operation = String::from_utf8_lossy(&bytes[..split]);
    let body = bytes.get(split + 1..).unwrap_or_default();
    if body.windows(4).any(|name| name == b"RSA_") {
        return; // generating an RSA key takes longer than a run may
    }

    let trail = Arc::new(MemoryTrail::default());
    let kms = kms(&trail);
    trail.clear();
    let reply = wire::call(&kms, &operation, body);

    let answer: Option<serde_json::Value> = match reply.body() {
        [] => None,
        body => Some(serde_json::from_slice(body).expect("a body is JSON")),
    };
    let events = trail.events();
    let event = events.iter().rfind(|event| event.outcome != Outcome::Intent).expect("a call leaves an event");
    match reply.error_code() {
        None => {
            assert_eq!(reply.status(), 200);
            assert_eq!(event.outcome, Outcome::Success);
            assert!(answer.is_none_or(|answer| answer.get("__type").is_none()));
        }
        Some(code) => {
            // No request causes a failure of the server.
            assert_eq!(reply.status(), 400, "{code}");
            let Outcome::Failure(kind) = event.outcome else { panic!("{:?} of a refused call", event.outcome) };
            assert_eq!(kind.aws_name(), code);
            assert_eq!(answer.expect("a refusal has a body")["__type"], code);
        }
    }
});

fn kms(trail: &Arc<MemoryTrail>) -> Kms {
    let clock = ManualClock::new(Timestamp::from_unix_millis(1_900_000_000_000));
    let builder = Kms::builder().backend(backend()).clock(clock).audit(Arc::clone(trail));
    let kms = builder.build().expect("a KMS in memory");
    for (alias, spec, usage) in [
        ("alias/sym", KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt),
        ("alias/ecc", KeySpec::EccNistP256, KeyUsage::SignVerify),
        ("alias/mac", KeySpec::Hmac256, KeyUsage::GenerateVerifyMac),
    ] {
        let request = CreateKeyRequest::default().spec(spec).usage(usage).alias(alias);
        kms.create_key(request).expect("a key");
    }
    kms
}
