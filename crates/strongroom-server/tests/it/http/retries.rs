//! Retries of SDKs. As in AWS, they are new requests: the header `amz-sdk-invocation-id` changes
//! nothing, and an operation that has succeeded before answers as the state of the key requires.

use serde_json::Value;
use strongroom_server::http::Limits;

use super::{call, insecure};
use crate::support::server::TestServer;

/// Sends the same request twice, as an SDK does if it has lost the first answer.
fn twice(server: &TestServer, operation: &str, body: &str) -> [(u16, Value); 2] {
    let id = "amz-sdk-invocation-id: 9bd1f3a0-2a4f-4c39-9d07-0b6f4c1f5f0e\r\n";
    [1, 2].map(|attempt| {
        let headers = format!("Connection: close\r\n{id}amz-sdk-request: attempt={attempt}; max=3\r\n");
        let answer = server.exchange(call(operation, &headers, body).as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    })
}

fn create_key(server: &TestServer) -> String {
    server.kms.create_key(Default::default()).unwrap().key_id().to_string()
}

#[test]
fn a_retried_create_key_creates_another_key() {
    let server = insecure(Limits::default());
    let [one, two] = twice(&server, "CreateKey", "{}");
    assert_eq!((one.0, two.0), (200, 200));
    assert_ne!(one.1["KeyMetadata"]["KeyId"], two.1["KeyMetadata"]["KeyId"]);
}

#[test]
fn a_retried_create_alias_finds_the_alias() {
    let server = insecure(Limits::default());
    let body = format!(r#"{{"AliasName": "alias/orders", "TargetKeyId": "{}"}}"#, create_key(&server));
    let [one, two] = twice(&server, "CreateAlias", &body);
    assert_eq!((one.0, two.0, &two.1["__type"]), (200, 400, &"AlreadyExistsException".into()));
    // UpdateAlias and DeleteAlias, with which Terraform continues.
    let [one, two] = twice(&server, "UpdateAlias", &body);
    assert_eq!((one.0, two.0), (200, 200));
    let [one, two] = twice(&server, "DeleteAlias", r#"{"AliasName": "alias/orders"}"#);
    assert_eq!((one.0, two.0, &two.1["__type"]), (200, 400, &"NotFoundException".into()));
}

#[test]
fn a_retried_deletion_finds_the_key_pending() {
    let server = insecure(Limits::default());
    let key = create_key(&server);
    let [one, two] =
        twice(&server, "ScheduleKeyDeletion", &format!(r#"{{"KeyId": "{key}", "PendingWindowInDays": 7}}"#));
    assert_eq!((one.0, two.0, &two.1["__type"]), (200, 400, &"KMSInvalidStateException".into()));
    let [one, two] = twice(&server, "CancelKeyDeletion", &format!(r#"{{"KeyId": "{key}"}}"#));
    assert_eq!((one.0, two.0, &two.1["__type"]), (200, 400, &"KMSInvalidStateException".into()));
}

#[test]
fn changes_to_a_state_can_be_retried() {
    let server = insecure(Limits::default());
    let key = create_key(&server);
    for (operation, members) in [
        ("DisableKey", ""),
        ("EnableKey", ""),
        ("EnableKeyRotation", ""),
        ("DisableKeyRotation", ""),
        ("UpdateKeyDescription", r#", "Description": "orders""#),
        ("TagResource", r#", "Tags": [{"TagKey": "a", "TagValue": "b"}]"#),
        ("UntagResource", r#", "TagKeys": ["a"]"#),
    ] {
        let [one, two] = twice(&server, operation, &format!(r#"{{"KeyId": "{key}"{members}}}"#));
        assert_eq!((one.0, two.0), (200, 200), "{operation}: {} {}", one.1, two.1);
    }
    // With a name, a grant is created once.
    let body = format!(
        r#"{{"KeyId": "{key}", "Name": "worker", "Operations": ["Encrypt"],
             "GranteePrincipal": "arn:aws:iam::000000000000:user/alice"}}"#
    );
    let [one, two] = twice(&server, "CreateGrant", &body);
    assert_eq!((one.0, two.0), (200, 200));
    assert_eq!(one.1["GrantId"], two.1["GrantId"]);
}
