//! Clients of AWS: boto3, with signed requests and keep-alive.

use serde_json::Value;

use crate::support::peer;
use crate::support::server::{ACCESS_KEY, REGION, SECRET, TestServer};

fn boto3(test: &str, server: &TestServer, changes: &[(&str, &str)]) -> Option<Value> {
    let python = peer::python(test)?;
    let url = server.url();
    let mut environment = vec![
        ("ENDPOINT", url.as_str()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    environment.extend(changes);
    Some(serde_json::from_str(&peer::run(&python, "client.py", "", &environment)).unwrap())
}

#[test]
fn boto3_creates_encrypts_decrypts_and_signs() {
    let server = TestServer::start();
    let Some(report) = boto3("boto3_creates_encrypts_decrypts_and_signs", &server, &[]) else { return };
    let done = &report["round_trip"];
    assert_eq!(done["plaintext"], "4711", "{report}");
    assert_eq!((&done["data_key"], &done["verified"], &done["keys"]), (&32.into(), &true.into(), &2.into()));
    assert!(done["arn"].as_str().unwrap().starts_with("arn:aws:kms:eu-central-1:000000000000:key/"));
    assert_eq!(done["has_date"], true);
    // The audit trail contains the ID that the client received.
    let id = done["request_id"].as_str().unwrap();
    assert!(server.trail.events().iter().any(|event| event.request_id.as_deref() == Some(id)));
    assert_eq!(report["missing"]["code"], "NotFoundException");
    for attempt in ["missing_source", "missing_re_encrypt_source"] {
        let text = format!("Key 'arn:aws:kms:eu-central-1:000000000000:key/mrk-{}' does not exist", "0".repeat(32));
        assert_eq!(
            (&report[attempt]["code"], &report[attempt]["message"]),
            (&"NotFoundException".into(), &text.into())
        );
    }
    let identity = &report["identity"];
    assert_eq!(identity["Arn"], "arn:aws:iam::000000000000:root");
    assert_eq!(identity["Account"], "000000000000");
}

#[test]
fn boto3_puts_and_gets_parameters() {
    let server = TestServer::start();
    let Some(report) = boto3("boto3_puts_and_gets_parameters", &server, &[("PARAMETERS", "1")]) else { return };
    let done = &report["parameters"];
    assert_eq!((&done["value"], &done["below"]), (&"correct horse".into(), &1.into()), "{report}");
    assert_eq!(done["arn"], "arn:aws:ssm:eu-central-1:000000000000:parameter/shop/db/password");
    let id = done["request_id"].as_str().unwrap();
    assert!(server.trail.events().iter().any(|event| event.request_id.as_deref() == Some(id)));
    assert_eq!(report["missing_parameter"]["code"], "ParameterNotFound");
    // A signature for one service is none for the other.
    for (service, target) in [("kms", "AmazonSSM.DescribeParameters"), ("ssm", "TrentService.ListKeys")] {
        let curl = std::process::Command::new("curl")
            .args(["--silent", "--aws-sigv4", &format!("aws:amz:{REGION}:{service}")])
            .args(["--user", &format!("{ACCESS_KEY}:{SECRET}"), "--data", "{}"])
            .args(["--header", "Content-Type: application/x-amz-json-1.1"])
            .args(["--header", &format!("X-Amz-Target: {target}"), &format!("{}/", server.url())])
            .output();
        let Ok(output) = curl else {
            peer::missing("boto3_puts_and_gets_parameters", "curl is missing; ./test.sh installs it");
            return;
        };
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.contains("InvalidSignatureException"), "{service} {target}: {answer}");
    }
}

#[test]
fn boto3_understands_refused_signatures() {
    let server = TestServer::start();
    let test = "boto3_understands_refused_signatures";
    let Some(report) = boto3(test, &server, &[("AWS_SECRET_ACCESS_KEY", "wrong")]) else { return };
    assert_eq!(report["missing"]["code"], "InvalidSignatureException", "{report}");
    assert_eq!(report["missing"]["status"], 400);
    assert_eq!(report["identity"]["code"], "SignatureDoesNotMatch");
    assert_eq!(report["identity"]["status"], 403);
    let report = boto3(test, &server, &[("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7UNKNOWN")]).unwrap();
    assert_eq!(report["missing"]["code"], "UnrecognizedClientException");
    assert_eq!(report["identity"]["code"], "InvalidClientTokenId");
    let report = boto3(test, &server, &[("AWS_DEFAULT_REGION", "us-west-2")]).unwrap();
    assert_eq!(report["missing"]["code"], "InvalidSignatureException");
    let text = report["missing"]["message"].as_str().unwrap();
    assert!(text.contains("eu-central-1"), "{text}");
    assert!(server.trail.events().iter().all(|event| event.request_id.is_none()), "no call was performed");
}

/// curl implements Signature Version 4 itself, and sends no header `Host` over HTTP/2.
#[test]
fn curl_signs_over_http_1_and_http_2() {
    let server = TestServer::start();
    for (version, status) in [("--http1.1", "1.1 200"), ("--http2-prior-knowledge", "2 200")] {
        let curl = std::process::Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--output",
                "-",
                "--write-out",
                "\n%{http_version} %{http_code}",
                version,
            ])
            .args(["--aws-sigv4", &format!("aws:amz:{REGION}:kms"), "--user", &format!("{ACCESS_KEY}:{SECRET}")])
            .args(["--header", "Content-Type: application/x-amz-json-1.1"])
            .args(["--header", "X-Amz-Target: TrentService.ListKeys", "--data", "{}", &format!("{}/", server.url())])
            .output();
        let Ok(output) = curl else {
            peer::missing("curl_signs_over_http_1_and_http_2", "curl is missing; ./test.sh installs it");
            return;
        };
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.starts_with(r#"{"Keys":[]"#) && answer.ends_with(status), "{version}: {answer}");
    }
}
