//! The protocol of AWS Systems Manager: boto3, the model of botocore, and the audit of refusals.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::audit::{Action, MemoryTrail, Outcome};
use strongroom::fuzzing::parameter_request_shapes;
use strongroom::key::ParameterOperation;
use strongroom::{ErrorKind, Kms, ManualClock, wire};

use super::TestResult;
use crate::support::external_tools;

#[test]
fn boto3_calls_every_operation() -> TestResult {
    use base64ct::{Base64, Encoding};

    let test = "parameters::protocol::boto3_calls_every_operation";
    let Some(python) = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has boto3") else {
        return Ok(());
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/ssm_peer.py");
    let mut command = Command::new(&python);
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_CONFIG_FILE", "").env("AWS_SHARED_CREDENTIALS_FILE", "");
    command.arg(script).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut answers = child.stdin.take().expect("a pipe");
    let requests = BufReader::new(child.stdout.take().expect("a pipe"));
    let trail = Arc::new(MemoryTrail::default());
    // The trail returns events in the order of their times, which are those of the calls' starts.
    let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse()?));
    let kms = Kms::builder().audit(Arc::clone(&trail)).clock(clock).build()?;
    let mut result = None;
    for line in requests.lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let Some(operation) = line["operation"].as_str() else {
            result = Some(line);
            break;
        };
        trail.clear();
        let reply = wire::call_parameters(&kms, operation, line["body"].as_str().expect("a text").as_bytes());
        let events = trail.events();
        let last = events.last().expect("every call leaves an event");
        let known = ParameterOperation::parse(operation).map(Action::Parameter);
        assert_eq!(last.action, known.unwrap_or(Action::UnsupportedParameter("UnknownOperation")));
        assert_eq!(last.outcome == Outcome::Success, reply.status() == 200, "{operation}: {last:?}");
        assert!(events.iter().all(|event| !format!("{event:?}").contains("horse")), "{events:?}");
        writeln!(answers, "{}", json!({"status": reply.status(), "body": Base64::encode_string(reply.body())}))?;
    }
    drop(answers);
    assert!(child.wait()?.success(), "the peer failed");
    let result = result.expect("the peer reports a result");
    let problems: Vec<&str> = result["problems"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(result["cases"].as_u64() > Some(60), "{result}");
    Ok(())
}

#[test]
fn every_member_is_that_of_the_model() -> TestResult {
    let test = "parameters::protocol::every_member_is_that_of_the_model";
    let Some(python) = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has botocore") else {
        return Ok(());
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/aws_model.py");
    let names = ParameterOperation::ALL.iter().map(|operation| operation.as_str());
    let output = Command::new(python).arg(script).arg("ssm").args(names).env("PYTHONUTF8", "1").output()?;
    assert!(output.status.success(), "the script failed: {}", String::from_utf8_lossy(&output.stderr));
    let model: Value = serde_json::from_slice(&output.stdout)?;
    let (ours, theirs) = (parameter_request_shapes(), &model["operations"]);
    for operation in ParameterOperation::ALL {
        let (one, other) = (&ours[operation.as_str()], &theirs[operation.as_str()]);
        assert!(one.is_object());
        for name in other.as_object().expect("members").keys().chain(one.as_object().expect("members").keys()) {
            assert_eq!(one[name.as_str()], other[name.as_str()], "{operation}.{name}");
        }
    }
    assert_eq!(ours.as_object().map(serde_json::Map::len), Some(ParameterOperation::ALL.len()));
    Ok(())
}

#[test]
fn a_refused_request_leaves_an_event_with_what_is_known() -> TestResult {
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    for (operation, body, code, kind) in [
        ("GetParameter", "{", "SerializationException", ErrorKind::Serialization),
        ("GetParameter", r#"{"Name": 5}"#, "SerializationException", ErrorKind::Serialization),
        ("PutParameter", r#"{"Name": "/a"}"#, "ValidationException", ErrorKind::Validation),
        ("StartAutomationExecution", "{}", "UnknownOperationException", ErrorKind::UnknownOperation),
        ("getparameter", "{}", "UnknownOperationException", ErrorKind::UnknownOperation),
    ] {
        trail.clear();
        let reply = wire::call_parameters(&kms, operation, body.as_bytes());
        assert_eq!((reply.status(), reply.error_code()), (400, Some(code)), "{operation} {body}");
        let [event] = trail.events().try_into().expect("one event");
        assert_eq!(event.outcome, Outcome::Failure(kind), "{operation} {body}");
        if operation == "PutParameter" {
            assert_eq!(event.parameters, [("name", "/a".into())]);
        }
    }
    Ok(())
}
