//! All operations through boto3, whose requests and responses are those that it exchanges with AWS.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::external_tools;
use crate::wire::{Endpoint, base64};

/// The peer generates the cases from botocore's model, and checks the answers. This side answers
/// through [`Endpoint::send`], which also checks the audit event of each call.
#[test]
fn boto3_calls_every_operation_with_every_member() {
    let test = "boto3_calls_every_operation_with_every_member";
    let Some(python) = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has boto3") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/boto3_peer.py");
    let mut command = Command::new(&python);
    // No configuration file of the user and no metadata service has a part in the test.
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_CONFIG_FILE", "").env("AWS_SHARED_CREDENTIALS_FILE", "");
    command.arg(script).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let mut answers = child.stdin.take().expect("a pipe");
    let requests = BufReader::new(child.stdout.take().expect("a pipe"));

    // The time of the machine, because the peer computes dates.
    let endpoint = Endpoint::new();
    endpoint.clock.set(std::time::SystemTime::now().into());
    let mut result = None;
    for line in requests.lines() {
        let line: Value = serde_json::from_str(&line.expect("the peer writes text")).expect("the peer writes JSON");
        let Some(operation) = line["operation"].as_str() else {
            result = Some(line);
            break;
        };
        let reply = endpoint.send(operation, line["body"].as_str().expect("a text").as_bytes());
        let answer = json!({"status": reply.status(), "body": base64(reply.body())});
        writeln!(answers, "{answer}").expect("the peer listens");
    }
    drop(answers);
    assert!(child.wait().expect("the peer ends").success(), "the peer failed");
    let result = result.expect("the peer reports a result");
    println!("{test}: {} calls with botocore {}", result["cases"], result["done"]);
    let problems: Vec<&str> = result["problems"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(result["cases"].as_u64() > Some(1_500), "{result}");
}
