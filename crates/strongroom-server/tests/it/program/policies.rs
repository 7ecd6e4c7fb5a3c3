//! Policies of users, which the command attaches while a server runs.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::process::{Program, Running};
use crate::support::peer;

const ALICE: &str = "arn:aws:iam::000000000000:user/alice";

/// A running server with a key, and an access key of Alice.
struct Fixture {
    program: Program,
    running: Running,
    python: PathBuf,
    key: String,
    profile: PathBuf,
}

impl Fixture {
    fn new(test: &str) -> Option<Self> {
        let python = peer::python(test)?;
        let program = Program::new();
        let running = program.serve(&["--insecure-local"]);
        let (status, created) = running.call("CreateKey", "{}").unwrap();
        assert_eq!(status, 200, "{created}");
        let created: Value = serde_json::from_str(&created).unwrap();
        let key = created["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
        let profile = program.path("alice.aws");
        fs::write(&profile, program.credentials(&["create", "--principal", ALICE])).unwrap();
        running.reload("reloaded the access keys");
        Some(Self { program, running, python, key, profile })
    }

    /// Writes a policy with these statements, and returns its path.
    fn policy(&self, name: &str, statements: &Value) -> String {
        let path = self.program.path(name);
        fs::write(&path, json!({"Version": "2012-10-17", "Statement": statements}).to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Calls Encrypt as Alice, with each of these encryption contexts.
    fn encrypt<const N: usize>(&self, contexts: [Value; N]) -> [Value; N] {
        let call = |context: &Value| {
            json!(["encrypt", {"KeyId": self.key, "Plaintext": "data", "EncryptionContext": context}]).to_string()
        };
        let calls: Vec<String> = contexts.iter().map(call).collect();
        let environment = [
            ("ENDPOINT", self.running.url.as_str()),
            ("AWS_SHARED_CREDENTIALS_FILE", self.profile.to_str().unwrap()),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ];
        let output = peer::run(&self.python, "calls.py", &calls.join("\n"), &environment);
        serde_json::from_str::<Vec<Value>>(&output).unwrap().try_into().unwrap()
    }
}

#[test]
fn policies_take_effect_in_a_running_server() {
    let Some(fixture) = Fixture::new("policies_take_effect_in_a_running_server") else { return };
    let (orders, other) = (json!({"purpose": "orders"}), json!({"purpose": "other"}));
    let secret = json!({"purpose": "orders", "level": "secret"});
    let denied = || Value::from("AccessDeniedException");
    let contexts = || [orders.clone(), other.clone(), secret.clone()];
    assert_eq!(fixture.encrypt(contexts()), [denied(), denied(), denied()]);

    let allow = json!([{
        "Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*",
        "Condition": {"StringEquals": {"kms:EncryptionContext:purpose": "orders"}},
    }]);
    let path = fixture.policy("writer.json", &allow);
    let policies = |action: &str, rest: &[&str]| fixture.program.policies(action, ALICE, rest);
    assert!(policies("put", &[&path]).contains("attached the policy writer"));
    assert_eq!(fixture.encrypt(contexts()), [Value::Null, denied(), Value::Null]);

    // A denial prevails over what another policy and the policy of the key allow.
    let deny = json!([{
        "Effect": "Deny", "Action": "kms:*", "Resource": "*",
        "Condition": {"StringEquals": {"kms:EncryptionContext:level": "secret"}},
    }]);
    let path = fixture.policy("deny.json", &deny);
    policies("put", &[&path, "--name", "no-secrets"]);
    assert_eq!(fixture.encrypt(contexts()), [Value::Null, denied(), denied()]);

    assert_eq!(policies("list", &[]), "no-secrets\nwriter\n");
    let printed: Value = serde_json::from_str(&policies("get", &["writer"])).unwrap();
    assert_eq!(printed["Statement"], allow);
    policies("delete", &["no-secrets"]);
    assert_eq!(fixture.encrypt(contexts()), [Value::Null, denied(), Value::Null]);
    policies("delete", &["writer"]);
    assert_eq!(fixture.encrypt(contexts()), [denied(), denied(), denied()]);
    let missing = fixture.program.policies_fail("delete", ALICE, &["writer"]);
    assert!(missing.contains("has no policy 'writer'"), "{missing}");

    // The policies are in the store, so they outlive the server.
    policies("put", &[&fixture.policy("writer.json", &allow)]);
    let Fixture { program, running, .. } = fixture;
    running.stop("TERM");
    assert_eq!(program.policies("list", ALICE, &[]), "writer\n");
}

#[test]
fn an_access_key_is_created_with_a_policy() {
    let Some(mut fixture) = Fixture::new("an_access_key_is_created_with_a_policy") else { return };
    let path = fixture.policy("writer.json", &json!([{"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}]));
    let created = fixture.program.credentials(&["create", "--principal", ALICE, "--policy", &path]);
    fixture.profile = fixture.program.path("alice2.aws");
    fs::write(&fixture.profile, created).unwrap();
    fixture.running.reload("reloaded the access keys");
    assert_eq!(fixture.encrypt([json!({})]), [Value::Null]);
    assert_eq!(fixture.program.policies("list", ALICE, &[]), "writer\n");
}

#[test]
fn malformed_policies_are_refused() {
    let program = Program::new();
    program.serve(&[]).stop("TERM");
    let path = program.path("broken.json");
    for (text, reason) in [("{", "cannot attach the policy"), ("{\"Version\": \"2012-10-17\"}", "cannot attach")] {
        fs::write(&path, text).unwrap();
        let refused = program.policies_fail("put", ALICE, &[path.to_str().unwrap()]);
        assert!(refused.contains(reason), "{refused}");
    }
    let missing = program.policies_fail("put", ALICE, &["missing.json"]);
    assert!(missing.contains("cannot read the policy missing.json"), "{missing}");
    let root = "arn:aws:iam::000000000000:root";
    fs::write(&path, r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#)
        .unwrap();
    let refused = program.policies_fail("put", root, &[path.to_str().unwrap()]);
    assert!(refused.contains("only to users and roles"), "{refused}");
    assert_eq!(program.policies("list", ALICE, &[]), "");
}
