//! The AWS CLI.

use std::path::Path;

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::{HeldServer, events_by_request};
use crate::support::peer::{self, Conversation};
use crate::support::server::{ACCESS_KEY, ALICE_ACCESS_KEY, TestServer};

/// The AWS CLI, in a folder with files for its arguments.
pub(super) struct CommandLine {
    process: Conversation,
    folder: TempDir,
}

/// The outcome of a command.
pub(super) struct Output {
    pub(super) code: i64,
    stdout: String,
    stderr: String,
}

impl CommandLine {
    pub(super) fn start(python: &Path, server: &TestServer, access_key: &str) -> Self {
        Self::with(python, &server.environment(access_key))
    }

    fn with(python: &Path, environment: &[(&str, String)]) -> Self {
        let process = Conversation::start(python, "command_line.py", environment);
        Self { process, folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn run(&mut self, command: &str) -> Output {
        let arguments: Vec<&str> = command.split(' ').collect();
        let answer = self.process.ask(&json!(arguments));
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Output { code: answer["code"].as_i64().unwrap(), stdout: text("stdout"), stderr: text("stderr") }
    }

    /// Runs a command that must succeed, and returns its JSON, or `null` if it prints nothing.
    pub(super) fn must(&mut self, command: &str) -> Value {
        let output = self.run(command);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "aws {command}");
        if output.stdout.is_empty() { Value::Null } else { serde_json::from_str(&output.stdout).unwrap() }
    }

    /// Runs a command that must succeed without output.
    pub(super) fn nothing(&mut self, command: &str) {
        assert_eq!(self.must(command), Value::Null, "aws {command}");
    }

    /// Runs a command that must succeed, and returns its output as text.
    pub(super) fn text(&mut self, command: &str) -> String {
        let output = self.run(&format!("{command} --output text"));
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "aws {command}");
        output.stdout.trim().to_owned()
    }

    /// Runs a command that must fail with an exception.
    pub(super) fn refused(&mut self, command: &str, exception: &str) {
        let output = self.run(command);
        // 255 in version 1 of the AWS CLI, 254 in version 2.
        assert_eq!((output.code, output.stdout.as_str()), (255, ""), "aws {command}");
        let expected = format!("An error occurred ({exception}) when calling the ");
        assert!(output.stderr.contains(&expected), "aws {command}: {}", output.stderr);
        assert!(!output.stderr.contains("reached max retries"), "aws {command}: {}", output.stderr);
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        format!("fileb://{}", path.display())
    }
}

fn decoded(text: &str) -> Vec<u8> {
    Base64::decode_vec(text).unwrap()
}

#[test]
fn aws_cli_creates_encrypts_decrypts_and_signs() {
    let Some(python) = peer::python("aws_cli_creates_encrypts_decrypts_and_signs") else { return };
    let server = TestServer::start();
    let mut aws = CommandLine::start(&python, &server, ACCESS_KEY);

    let created = aws.must("kms create-key --description invoices --tags TagKey=team,TagValue=billing");
    let arn = created["KeyMetadata"]["Arn"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:kms:eu-central-1:000000000000:key/"), "{arn}");
    aws.nothing(&format!("kms create-alias --alias-name alias/invoices --target-key-id {arn}"));
    let described = aws.must("kms describe-key --key-id alias/invoices");
    assert_eq!(described["KeyMetadata"], created["KeyMetadata"]);
    let tags = aws.must(&format!("kms list-resource-tags --key-id {arn}"));
    assert_eq!(tags["Tags"], json!([{"TagKey": "team", "TagValue": "billing"}]));

    let plaintext: Vec<u8> = (0..=255).collect();
    let (file, context) = (aws.file("plaintext", &plaintext), "--encryption-context invoice=17,customer=acme");
    let ciphertext =
        aws.text(&format!("kms encrypt --key-id alias/invoices --plaintext {file} {context} --query CiphertextBlob"));
    let file = aws.file("ciphertext", &decoded(&ciphertext));
    let decrypt = format!("kms decrypt --ciphertext-blob {file}");
    assert_eq!(decoded(&aws.text(&format!("{decrypt} {context} --query Plaintext"))), plaintext);
    let opened = aws.must(&format!("{decrypt} {context} --key-id alias/invoices"));
    assert_eq!(
        (opened["KeyId"].as_str(), opened["EncryptionAlgorithm"].as_str()),
        (Some(arn), Some("SYMMETRIC_DEFAULT"))
    );
    aws.refused(&decrypt, "InvalidCiphertextException");
    aws.refused(&format!("{decrypt} {context} --dry-run"), "DryRunOperationException");

    let key = aws.must("kms generate-data-key --key-id alias/invoices --key-spec AES_256");
    assert_eq!(decoded(key["Plaintext"].as_str().unwrap()).len(), 32);
    assert_eq!(key["KeyId"], arn);
    assert_eq!(decoded(&aws.text("kms generate-random --number-of-bytes 12 --query Plaintext")).len(), 12);

    let signing = aws.text("kms create-key --key-spec RSA_2048 --key-usage SIGN_VERIFY --query KeyMetadata.KeyId");
    let message = aws.file("message", b"I owe you 17 euros");
    let which = format!("--key-id {signing} --message {message} --signing-algorithm RSASSA_PSS_SHA_256");
    let signature = decoded(&aws.text(&format!("kms sign {which} --query Signature")));
    let good = aws.file("signature", &signature);
    assert_eq!(aws.must(&format!("kms verify {which} --signature {good}"))["SignatureValid"], true);
    let bad = aws.file("signature", &signature.iter().map(|byte| byte ^ 1).collect::<Vec<_>>());
    aws.refused(&format!("kms verify {which} --signature {bad}"), "KMSInvalidSignatureException");
}

#[test]
fn aws_cli_pages_and_queries() {
    let Some(python) = peer::python("aws_cli_pages_and_queries") else { return };
    let server = TestServer::start();
    let mut ids = std::collections::BTreeSet::new();
    for number in 0..105 {
        let key = server.kms.create_key(Default::default()).unwrap();
        server.kms.create_alias(format!("alias/key-{number}"), key.key_id()).unwrap();
        ids.insert(key.key_id().to_string());
    }
    let mut aws = CommandLine::start(&python, &server, ACCESS_KEY);
    // The server sends pages of 100, which the CLI follows, in pages of another size, too.
    let mut requests = 0;
    for (flags, pages) in [("", 2), ("--page-size 40", 3)] {
        let listed = aws.must(format!("kms list-keys {flags}").trim());
        let listed: Vec<&str> =
            listed["Keys"].as_array().unwrap().iter().map(|key| key["KeyId"].as_str().unwrap()).collect();
        assert!(listed.len() == 105 && listed.iter().all(|id| ids.contains(*id)), "{flags}");
        requests += pages;
        assert_eq!(events_by_request(&server).len(), requests, "{flags}");
    }
    // A page for the user.
    let first = aws.must("kms list-aliases --max-items 70 --page-size 20");
    assert_eq!(first["Aliases"].as_array().unwrap().len(), 70);
    let token = first["NextToken"].as_str().unwrap();
    let second = aws.must(&format!("kms list-aliases --max-items 70 --starting-token {token}"));
    assert_eq!((second["Aliases"].as_array().unwrap().len(), &second["NextToken"]), (35, &Value::Null));
    let page = aws.must("kms list-keys --no-paginate --limit 3");
    assert_eq!((page["Keys"].as_array().unwrap().len(), &page["Truncated"]), (3, &json!(true)));
    assert_eq!(aws.must("kms list-aliases --query length(Aliases)"), 105);
    // As text, the CLI also prints the token of the next page, of which the query selects nothing.
    let two = aws.text("kms list-keys --max-items 2 --query Keys[].KeyId");
    assert!(two.split_whitespace().count() == 3 && two.ends_with("None"), "{two}");
}

#[test]
fn aws_cli_reports_errors_and_exit_codes() {
    let Some(python) = peer::python("aws_cli_reports_errors_and_exit_codes") else { return };
    let server = TestServer::start();
    let key = server.kms.create_key(Default::default()).unwrap();
    let id = key.key_id();
    let mut aws = CommandLine::start(&python, &server, ACCESS_KEY);
    aws.refused("kms describe-key --key-id alias/missing", "NotFoundException");
    aws.refused(&format!("kms create-alias --alias-name alias/aws/s3 --target-key-id {id}"), "NotAuthorizedException");
    aws.refused(&format!("kms create-alias --alias-name billing --target-key-id {id}"), "ValidationException");
    aws.refused("kms create-key --key-spec AES_512", "ValidationException");
    aws.refused("kms create-key --multi-region", "UnsupportedOperationException");
    aws.nothing(&format!("kms disable-key --key-id {id}"));
    aws.refused(&format!("kms encrypt --key-id {id} --plaintext fileb:///dev/null"), "ValidationException");
    aws.refused(&format!("kms generate-data-key --key-id {id} --key-spec AES_256"), "DisabledException");
    // The CLI refuses this without a request.
    assert_eq!(aws.run("kms describe-key").code, 2);
    let identity = aws.must("sts get-caller-identity");
    assert_eq!(identity["Arn"], "arn:aws:iam::000000000000:root");

    let mut alice = CommandLine::start(&python, &server, ALICE_ACCESS_KEY);
    alice.refused(&format!("kms describe-key --key-id {id}"), "AccessDeniedException");
    alice.refused("kms create-key", "AccessDeniedException");
    assert_eq!(alice.must("sts get-caller-identity")["UserId"], "alice");
    let mut unknown = CommandLine::start(&python, &server, "AKIAIOSFODNN7UNKNOWN");
    unknown.refused("kms list-keys", "UnrecognizedClientException");
    unknown.refused("sts get-caller-identity", "InvalidClientTokenId");
}

/// The process of a user: its exit code, and no retry in its log.
#[test]
fn aws_cli_needs_one_attempt() {
    let Some(python) = peer::python("aws_cli_needs_one_attempt") else { return };
    let server = TestServer::start();
    let aws = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&python);
        command.args(["-m", "awscli"]).args(arguments).envs(server.environment(ACCESS_KEY)).output().unwrap()
    };
    let output = aws(&["kms", "create-key", "--debug"]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    assert!(log.contains("No retry needed.") && !log.contains("Retry needed"), "{log}");
    assert_eq!(log.matches("Response headers").count(), 1, "{log}");
    let output = aws(&["kms", "describe-key", "--key-id", "alias/missing"]);
    assert_eq!(output.status.code(), Some(255));
    assert_eq!(events_by_request(&server).len(), 2);
}

#[test]
fn aws_cli_waits_if_it_is_throttled() {
    let Some(python) = peer::python("aws_cli_waits_if_it_is_throttled") else { return };
    let held = HeldServer::start();
    let environment = held.server.environment(ACCESS_KEY);
    held.hold_while(|| {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let mut aws = CommandLine::with(&python, &environment);
                scope.spawn(move || assert_eq!(aws.must("kms list-keys")["Keys"], json!([])));
            }
        });
    });
}
