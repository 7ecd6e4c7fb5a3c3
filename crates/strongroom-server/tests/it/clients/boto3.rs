//! boto3: all operations, with every member and value of its model.

use serde_json::Value;
use strongroom::ErrorKind;
use strongroom::audit::Outcome;

use crate::clients::{events_by_request, server_with_clusters};
use crate::support::peer;
use crate::support::server::ACCESS_KEY;

/// The script is also used for the tests of the library, without a server. It generates the calls
/// from botocore's model, and checks the answers. This side checks that each call left one event,
/// with its outcome.
#[test]
fn boto3_calls_every_operation_with_every_member_over_http() {
    let test = "boto3_calls_every_operation_with_every_member_over_http";
    let Some(python) = peer::python(test) else { return };
    let server = server_with_clusters();
    let script = peer::in_repository("tests/interop/boto3_peer.py");
    let output = peer::script(&python, &script, &server.environment(ACCESS_KEY)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems: Vec<&str> = report["problems"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(report["cases"].as_u64() > Some(1_500), "{}", report["cases"]);

    let events = events_by_request(&server);
    let calls = report["calls"].as_array().unwrap();
    assert!(calls.len() > 1_500);
    for call in calls {
        let [event] = &events[call["id"].as_str().unwrap()][..] else { panic!("{call} left several events") };
        let expected = match &event.outcome {
            Outcome::Success => "ok",
            // A rejected password is sent as an exception that clients do not retry.
            Outcome::Failure(ErrorKind::KeyUnavailable) if call["operation"] == "ConnectCustomKeyStore" => {
                ErrorKind::CustomKeyStoreInvalidState.aws_name()
            }
            Outcome::Failure(kind) => kind.aws_name(),
            other => panic!("{call}: {other:?}"),
        };
        assert_eq!(call["outcome"], expected, "{call}");
    }
    println!("{test}: {} calls with botocore {}", calls.len(), report["done"]);
}
