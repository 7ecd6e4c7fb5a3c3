use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Encoding};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::fuzzing::checked_request;
use super::super::rejection::{SERIALIZATION, UNKNOWN_OPERATION, VALIDATION};
use super::shape::Shape;
use super::*;
use crate::wire::json::parse;

const KEY: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

fn valid(operation: &str, body: &Json) {
    assert_eq!(checked_request(operation, body.to_string().as_bytes()), Ok(()), "{operation} {body}");
}

/// Returns the message of a request that violates constraints.
fn invalid(operation: &str, body: &Json) -> String {
    let refused = checked_request(operation, body.to_string().as_bytes());
    let (code, message) = refused.expect_err("a constraint is violated");
    assert_eq!(code, VALIDATION, "{operation} {body}: {message:?}");
    message.expect("AWS has a text")
}

/// Returns the message of a request with a wrong type.
fn wrong_type(operation: &str, body: &Json) -> String {
    let refused = checked_request(operation, body.to_string().as_bytes());
    let (code, message) = refused.expect_err("a type is wrong");
    assert_eq!(code, SERIALIZATION, "{operation} {body}: {message:?}");
    message.expect("AWS has a text")
}

#[test]
fn tables_are_sorted_and_complete() {
    assert!(members::MEMBERS.is_sorted_by(|one, other| one.0 < other.0));
    assert!(operations::OPERATIONS.is_sorted_by(|one, other| one.name < other.name));
    assert_eq!(operations::OPERATIONS.len(), 56);
    assert_eq!(operation_names().next(), Some("CancelKeyDeletion"));
    let mut used = BTreeSet::new();
    for operation in operations::OPERATIONS {
        for entry in operation.required.iter().chain(operation.optional) {
            assert!(members::find(entry).is_some(), "{}: {entry}", operation.name);
            used.insert(*entry);
        }
    }
    assert_eq!(used, members::MEMBERS.iter().map(|(name, _)| *name).collect());
}

#[test]
fn operation_that_does_not_exist_is_unknown() {
    for name in ["", "encrypt", "Encrypt ", "CreateTable"] {
        assert_eq!(checked_request(name, b"{}"), Err((UNKNOWN_OPERATION, None)));
    }
}

/// Most of these texts are answers of AWS KMS. The others combine parts of them.
#[test]
fn violations_have_the_texts_of_aws() {
    for (operation, body, text) in [
        (
            "Encrypt",
            json!({"KeyId": KEY, "Plaintext": ""}),
            "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length \
             greater than or equal to 1",
        ),
        (
            "CreateKey",
            json!({"Tags": [{"TagKey": "", "TagValue": "v"}]}),
            "1 validation error detected: Value '' at 'tags.1.member.tagKey' failed to satisfy constraint: Member \
             must have length greater than or equal to 1",
        ),
        (
            "GenerateRandom",
            json!({"NumberOfBytes": 1025}),
            "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must \
             have value less than or equal to 1024",
        ),
        (
            "GenerateRandom",
            json!({"NumberOfBytes": 0}),
            "1 validation error detected: Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have \
             value greater than or equal to 1",
        ),
        (
            "DescribeKey",
            json!({}),
            "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null",
        ),
        (
            "GenerateDataKey",
            json!({"KeyId": KEY, "KeySpec": "AES_512"}),
            "1 validation error detected: Value 'AES_512' at 'keySpec' failed to satisfy constraint: Member must \
             satisfy enum value set: [AES_256, AES_128]",
        ),
        (
            "CreateAlias",
            json!({"AliasName": "alias/a b", "TargetKeyId": KEY}),
            "1 validation error detected: Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$",
        ),
        (
            "DescribeKey",
            json!({"KeyId": "キー"}),
            "1 validation error detected: Value 'キー' at 'keyId' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: ^\\p{ASCII}+$",
        ),
        (
            "GetPublicKey",
            json!({"KeyId": ""}),
            "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length \
             greater than or equal to 1; Value '' at 'keyId' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: ^\\p{ASCII}+$",
        ),
        (
            "Encrypt",
            json!({"KeyId": KEY}),
            "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must not be null",
        ),
        (
            "Verify",
            json!({"KeyId": KEY, "Message": "bWVzc2FnZQ==", "SigningAlgorithm": "ECDSA_SHA_256"}),
            "1 validation error detected: Value null at 'signature' failed to satisfy constraint: Member must not be \
             null",
        ),
        (
            "VerifyMac",
            json!({"KeyId": KEY, "Message": "bWVzc2FnZQ==", "Mac": "", "MacAlgorithm": "HMAC_SHA_256"}),
            "1 validation error detected: Value at 'mac' failed to satisfy constraint: Member must have length greater \
             than or equal to 1",
        ),
        (
            "EnableKeyRotation",
            json!({"KeyId": KEY, "RotationPeriodInDays": 89}),
            "1 validation error detected: Value '89' at 'rotationPeriodInDays' failed to satisfy constraint: Member must \
             have value greater than or equal to 90",
        ),
        (
            "Sign",
            json!({"KeyId": KEY, "Message": "bWVzc2FnZQ==", "SigningAlgorithm": "ECDSA_SHA_256", "MessageType": "FOO"}),
            "1 validation error detected: Value 'FOO' at 'messageType' failed to satisfy constraint: Member must satisfy \
             enum value set: [RAW, DIGEST, EXTERNAL_MU]",
        ),
        (
            "CreateGrant",
            json!({"KeyId": KEY, "Operations": ["Sign", "Steal"]}),
            "1 validation error detected: Value '[Sign, Steal]' at 'operations' failed to satisfy constraint: Member \
             must satisfy constraint: [Member must satisfy enum value set: [Decrypt, Encrypt, GenerateDataKey, \
             GenerateDataKeyWithoutPlaintext, ReEncryptFrom, ReEncryptTo, Sign, Verify, GetPublicKey, CreateGrant, \
             RetireGrant, DescribeKey, GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext, GenerateMac, \
             VerifyMac, DeriveSharedSecret, Encapsulate, Decapsulate]]",
        ),
        (
            "UntagResource",
            json!({"KeyId": KEY, "TagKeys": ["a", ""]}),
            "1 validation error detected: Value '[a, ]' at 'tagKeys' failed to satisfy constraint: Member must \
             satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater \
             than or equal to 1]",
        ),
        (
            "DescribeKey",
            json!({"KeyId": KEY, "GrantTokens": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]}),
            "1 validation error detected: Value at 'grantTokens' failed to satisfy constraint: Member must have length \
             less than or equal to 10",
        ),
    ] {
        assert_eq!(invalid(operation, &body), text);
    }
}

#[test]
fn all_violations_of_a_request_are_reported_together() {
    let body = json!({"KeyId": "", "Limit": 0, "Marker": "\u{100}"});
    assert_eq!(
        invalid("ListGrants", &body),
        "4 validation errors detected: \
         Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; \
         Value '' at 'keyId' failed to satisfy constraint: Member must satisfy regular expression pattern: \
         ^\\p{ASCII}+$; \
         Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1; \
         Value '\u{100}' at 'marker' failed to satisfy constraint: Member must satisfy regular expression pattern: \
         [\\u0020-\\u00FF]*"
    );
    assert_eq!(
        invalid("CreateAlias", &json!({"AliasName": ""})),
        "3 validation errors detected: \
         Value '' at 'aliasName' failed to satisfy constraint: Member must have length greater than or equal to 1; \
         Value '' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: \
         ^[a-zA-Z0-9:/_-]+$; \
         Value null at 'targetKeyId' failed to satisfy constraint: Member must not be null"
    );
}

/// Recorded answers of AWS never report more.
#[test]
fn at_most_ten_violations_are_reported() {
    let tags: Vec<Json> = (0..9).map(|_| json!({})).collect();
    let text = invalid("TagResource", &json!({"KeyId": KEY, "Tags": tags}));
    assert!(text.starts_with("10 validation errors detected: Value null at 'tags.1.member.tagKey' "), "{text}");
    assert_eq!(text.matches("failed to satisfy constraint").count(), 10);
    assert!(text.contains("'tags.5.member.tagValue'") && !text.contains("tags.6"), "{text}");
}

#[test]
fn wrong_type_precedes_every_violation() {
    for (body, text) in [
        (json!({"KeyId": "", "Limit": "1"}), "STRING_VALUE can not be converted to an Integer"),
        (json!({"Limit": 0, "KeyId": 7}), "NUMBER_VALUE can not be converted to a String"),
        (json!({"Limit": 0, "KeyId": ["a"]}), "Start of list found where not expected"),
    ] {
        assert_eq!(wrong_type("ListGrants", &body), text);
    }
    for (operation, body, text) in [
        (
            "CreateKey",
            json!({"Tags": [{"TagKey": ""}, {"TagKey": 1}]}),
            "NUMBER_VALUE can not be converted to a String",
        ),
        ("CreateKey", json!({"Tags": ["a"]}), "Expected null"),
        ("CreateKey", json!({"Tags": {}}), "Start of structure or map found where not expected."),
        ("CreateGrant", json!({"Operations": "Sign"}), "Expected list or null"),
        ("CreateGrant", json!({"Operations": [1]}), "NUMBER_VALUE can not be converted to a String"),
        ("Encrypt", json!({"EncryptionContext": {"a": 1}}), "NUMBER_VALUE can not be converted to a String"),
        ("Encrypt", json!({"EncryptionContext": "a"}), "Expected map or null"),
        ("Encrypt", json!({"DryRun": 1}), "NUMBER_VALUE can not be converted to a Boolean"),
        ("CreateGrant", json!({"Constraints": {"SourceArn": true}}), "TRUE_VALUE can not be converted to a String"),
        (
            "CreateGrant",
            json!({"Constraints": {"EncryptionContextEquals": []}}),
            "Start of list found where not expected",
        ),
        ("GetParametersForImport", json!({"WrappingAlgorithm": 1}), "NUMBER_VALUE can not be converted to a String"),
        (
            "ImportKeyMaterial",
            json!({"ValidTo": "2026-12-31T00:00:00Z"}),
            "STRING_VALUE can not be converted to milliseconds since epoch",
        ),
    ] {
        assert_eq!(wrong_type(operation, &body), text, "{operation} {body}");
    }
}

#[test]
fn place_of_a_wrong_type_is_in_the_text_for_the_audit_trail() {
    for (operation, body, detail) in [
        ("DescribeKey", json!({"KeyId": 1}), "keyId: NUMBER_VALUE can not be converted to a String"),
        (
            "CreateKey",
            json!({"Tags": [{}, {"TagKey": 1}]}),
            "tags.2.member.tagKey: NUMBER_VALUE can not be converted to a String",
        ),
        ("CreateKey", json!({"Tags": ["a"]}), "tags.1.member: Expected null"),
        (
            "CreateGrant",
            json!({"Operations": ["Sign", {}]}),
            "operations.2.member: Start of structure or map found where not expected.",
        ),
        (
            "Encrypt",
            json!({"EncryptionContext": {"secret": 1}}),
            "encryptionContext: NUMBER_VALUE can not be converted to a String",
        ),
    ] {
        let body = body.to_string();
        let refused = check(operation, &parse(body.as_bytes()).expect("valid JSON")).expect_err("a wrong type");
        assert_eq!(refused.detail(), detail);
    }
}

#[test]
fn null_counts_as_absent_and_unknown_members_are_ignored() {
    valid("ListKeys", &json!({"Limit": null, "Marker": null, "Foo": 1, "Bar": {"KeyId": []}}));
    valid("CreateKey", &json!({"Tags": [{"TagKey": "a", "TagValue": "", "Foo": {}}], "Recipient": 7}));
    valid("GenerateDataKey", &json!({"KeyId": KEY, "Recipient": {"AttestationDocument": null, "Foo": 1}}));
    let text = invalid("Encrypt", &json!({"KeyId": null, "Plaintext": null, "EncryptionContext": null}));
    assert!(text.starts_with("2 validation errors detected: Value null at 'keyId' "), "{text}");
    // An element that is null is not absent.
    assert_eq!(
        invalid("TagResource", &json!({"KeyId": KEY, "Tags": [null]})),
        "1 validation error detected: Value null at 'tags.1.member' failed to satisfy constraint: Member must not be null"
    );
    assert_eq!(
        invalid("UntagResource", &json!({"KeyId": KEY, "TagKeys": ["a", null]})),
        "1 validation error detected: Value '[a, null]' at 'tagKeys' failed to satisfy constraint: Member must satisfy \
         constraint: [Member must not be null]"
    );
    assert_eq!(
        invalid("Encrypt", &json!({"KeyId": KEY, "Plaintext": "AA==", "EncryptionContext": {"secret": null}})),
        "1 validation error detected: Value at 'encryptionContext' failed to satisfy constraint: Map value must \
         satisfy constraint: [Member must not be null]"
    );
}

/// `KeySpec` is the only member that depends on the operation.
#[test]
fn key_spec_of_a_data_key_differs_from_that_of_a_key() {
    valid("CreateKey", &json!({"KeySpec": "RSA_2048"}));
    valid("GenerateDataKey", &json!({"KeyId": KEY, "KeySpec": "AES_128"}));
    valid("GenerateDataKeyWithoutPlaintext", &json!({"KeyId": KEY, "KeySpec": "AES_256"}));
    for (operation, spec) in [("CreateKey", "AES_128"), ("GenerateDataKey", "RSA_2048")] {
        let text = invalid(operation, &json!({"KeyId": KEY, "KeySpec": spec}));
        assert!(text.starts_with(&format!("1 validation error detected: Value '{spec}' at 'keySpec' ")), "{text}");
    }
    // The entry of the table is no name of a member.
    valid("CreateKey", &json!({members::DATA_KEY_SPEC: 1}));
    valid("GenerateDataKey", &json!({"KeyId": KEY, members::DATA_KEY_SPEC: 1}));
}

#[test]
fn lengths_count_characters_of_strings_and_bytes_of_blobs() {
    let (fits, exceeds) = ("🔑".repeat(8192), "é".repeat(8193));
    valid("UpdateKeyDescription", &json!({"KeyId": KEY, "Description": fits}));
    assert!(invalid("UpdateKeyDescription", &json!({"KeyId": KEY, "Description": exceeds})).contains("8192"));
    let blob = |length: usize| Base64::encode_string(&vec![0xff; length]);
    for length in [1, 2, 3, 4095, 4096] {
        valid("Encrypt", &json!({"KeyId": KEY, "Plaintext": blob(length)}));
    }
    assert!(invalid("Encrypt", &json!({"KeyId": KEY, "Plaintext": blob(4097)})).ends_with("or equal to 4096"));
    for value in ["AA", "A", "====", "AA==\n", "*", "AB=="] {
        let text = wrong_type("Encrypt", &json!({"KeyId": KEY, "Plaintext": value}));
        assert_eq!(text, "STRING_VALUE can not be converted to a Blob: it is not base64 with padding");
    }
}

#[test]
fn long_values_are_cut_and_control_characters_escaped() {
    let text = invalid("DescribeKey", &json!({"KeyId": "k".repeat(100_000)}));
    assert!(text.contains(&format!("Value '{}…' at 'keyId'", "k".repeat(256))), "{text}");
    let text = invalid("UntagResource", &json!({"KeyId": KEY, "TagKeys": ["t".repeat(129), "t".repeat(129)]}));
    assert!(text.contains(&format!("Value '[{}, {}…' at", "t".repeat(129), "t".repeat(124))), "{text}");
    let text = invalid("GetKeyPolicy", &json!({"KeyId": KEY, "PolicyName": "a\n\u{7}\u{85}'"}));
    assert!(text.contains("Value 'a\\n\\u{7}\\u{85}'' at 'policyName'"), "{text}");
    let text = invalid("GenerateRandom", &json!({"NumberOfBytes": 1e300}));
    assert!(text.len() < 500, "{text}");
}

#[test]
fn no_text_contains_a_blob_or_a_sensitive_value() {
    let secret = "hunter2!".repeat(8);
    let blob = Base64::encode_string(&[b's'; 9000]);
    for (operation, body) in [
        ("CreateCustomKeyStore", json!({"CustomKeyStoreName": "a", "KeyStorePassword": secret})),
        (
            "CreateCustomKeyStore",
            json!({"CustomKeyStoreName": "a", "XksProxyAuthenticationCredential": {
            "AccessKeyId": secret, "RawSecretAccessKey": format!("{secret} ")}}),
        ),
        ("DescribeKey", json!({"KeyId": KEY, "GrantTokens": [secret, ""]})),
        ("RetireGrant", json!({"GrantToken": "hunter2!".repeat(1_025)})),
        ("Encrypt", json!({"KeyId": KEY, "Plaintext": blob})),
        ("Decrypt", json!({"CiphertextBlob": blob})),
        ("GenerateMac", json!({"KeyId": KEY, "MacAlgorithm": "HMAC_SHA_256", "Message": blob})),
        ("DeriveSharedSecret", json!({"KeyId": KEY, "KeyAgreementAlgorithm": "ECDH", "PublicKey": blob})),
        ("Encrypt", json!({"KeyId": KEY, "Plaintext": "AA==", "EncryptionContext": {"a": "hunter2", "b": null}})),
        (
            "CreateGrant",
            json!({"KeyId": KEY, "Operations": [], "Constraints": {"SourceArn": "",
            "EncryptionContextEquals": {"hunter2": null}}}),
        ),
    ] {
        let body = body.to_string();
        let refused = check(operation, &parse(body.as_bytes()).expect("valid JSON")).expect_err("too long");
        let text = format!("{refused:?}");
        assert!(text.contains("Value at '"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains(&blob[..16]), "{text}");
    }
}

#[test]
fn nested_structures_are_checked() {
    assert_eq!(
        invalid(
            "CreateGrant",
            &json!({"KeyId": KEY, "Operations": ["Sign"], "Constraints": {"SourceArn": "arn:aws:s3:::b"}})
        ),
        "2 validation errors detected: Value 'arn:aws:s3:::b' at 'constraints.sourceArn' failed to satisfy constraint: \
         Member must have length greater than or equal to 20; Value 'arn:aws:s3:::b' at 'constraints.sourceArn' failed \
         to satisfy constraint: Member must satisfy regular expression pattern: \
         ^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$"
    );
    assert_eq!(
        invalid("UpdateCustomKeyStore", &json!({"CustomKeyStoreId": "cks-1", "XksProxyAuthenticationCredential": {}})),
        "2 validation errors detected: Value at 'xksProxyAuthenticationCredential.accessKeyId' failed to satisfy \
         constraint: Member must not be null; Value at 'xksProxyAuthenticationCredential.rawSecretAccessKey' failed \
         to satisfy constraint: Member must not be null"
    );
    let text =
        invalid("GenerateRandom", &json!({"Recipient": {"KeyEncryptionAlgorithm": "RSA", "AttestationDocument": ""}}));
    assert!(text.starts_with("2 validation errors detected: Value "), "{text}");
}

/// Returns a value of a type at one of its bounds, if every string of that length is valid.
fn sized(shape: &Shape, size: usize) -> Option<Json> {
    match shape {
        Shape::Text { pattern: None, .. } => Some("x".repeat(size).into()),
        Shape::Text { pattern: Some(pattern), .. } => {
            let value = ["a", "A"].map(|character| character.repeat(size));
            value.into_iter().find(|value| pattern.matches(value)).map(Json::from)
        }
        Shape::Blob { .. } => Some(Base64::encode_string(&vec![1; size]).into()),
        Shape::Integer { .. } => Some(size.into()),
        Shape::List { element, .. } => Some(vec![smallest(element); size].into()),
        _ => None,
    }
}

/// Returns a valid value of a type.
fn smallest(shape: &Shape) -> Json {
    match shape {
        Shape::Enum(values) => values[0].into(),
        Shape::Text { min, .. } => "a".repeat(*min).into(),
        Shape::Structure(fields) => fields
            .iter()
            .map(|field| (field.name.to_owned(), smallest(&field.shape)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => panic!("no element of a list has the type {other:?}"),
    }
}

/// Every bound of every operation, on both sides.
#[test]
fn bounds_are_inclusive_in_every_operation() {
    let mut checked = 0;
    for operation in operations::OPERATIONS {
        for entry in operation.required.iter().chain(operation.optional) {
            let shape = members::find(entry).expect("in the table");
            let (min, max) = match *shape {
                Shape::Text { min, max, .. } | Shape::Blob { min, max, .. } | Shape::List { min, max, .. } => {
                    (min, max)
                }
                Shape::Integer { min, max } => {
                    (usize::try_from(min).expect("positive"), usize::try_from(max).expect("small"))
                }
                _ => continue,
            };
            let outside = [min.checked_sub(1), max.checked_add(1)].into_iter().flatten().map(|size| (size, false));
            let inside = [min, max].into_iter().filter(|size| *size != usize::MAX).map(|size| (size, true));
            for (size, allowed) in inside.chain(outside) {
                let Some(value) = sized(shape, size) else { continue };
                let name = members::name_of(entry);
                let body = json!({name: value}).to_string();
                let path = format!("at '{}'", crate::wire::value::lower_camel(name));
                let refused = checked_request(operation.name, body.as_bytes());
                let message = refused.err().and_then(|(_, message)| message).unwrap_or_default();
                assert_eq!(!message.contains(&path), allowed, "{} {entry} {size}: {message}", operation.name);
                checked += 1;
            }
        }
    }
    assert!(checked > 450, "{checked}");
}

/// Every enum of every operation, with values in another case, with a space, and empty.
#[test]
fn enums_are_closed_and_case_sensitive() {
    for operation in operations::OPERATIONS {
        for entry in operation.required.iter().chain(operation.optional) {
            let Some(Shape::Enum(values)) = members::find(entry) else { continue };
            let name = members::name_of(entry);
            let path = format!("' at '{}'", crate::wire::value::lower_camel(name));
            let refused = |value: &str| {
                let body = json!({name: value}).to_string();
                let refused = checked_request(operation.name, body.as_bytes());
                refused.err().and_then(|(_, message)| message).is_some_and(|message| message.contains(&path))
            };
            for value in *values {
                assert!(!refused(value), "{} {value}", operation.name);
                assert!(refused(&value.to_lowercase()), "{} {value}", operation.name);
                assert!(refused(&format!("{value} ")), "{} {value}", operation.name);
            }
            assert!(refused(""), "{} {name}", operation.name);
        }
    }
}

/// Every required member of every operation.
#[test]
fn required_members_are_reported_when_absent() {
    for operation in operations::OPERATIONS {
        let required = operation.required.iter().copied();
        let ciphertext = operations::requires_ciphertext(operation.name).then_some("CiphertextBlob");
        let texts = required.chain(ciphertext).map(|name| {
            let value = if matches!(name, "Plaintext" | "Message") { "Value" } else { "Value null" };
            let path = crate::wire::value::lower_camel(name);
            format!("{value} at '{path}' failed to satisfy constraint: Member must not be null")
        });
        let texts: Vec<String> = texts.collect();
        let errors = if texts.len() == 1 { "error" } else { "errors" };
        let expected = format!("{} validation {errors} detected: {}", texts.len(), texts.join("; "));
        let expected = if texts.is_empty() { Ok(()) } else { Err((VALIDATION, Some(expected))) };
        assert_eq!(checked_request(operation.name, b"{}"), expected, "{}", operation.name);
    }
}

#[test]
fn only_a_dry_run_that_ignores_the_ciphertext_needs_none() {
    let ignored = json!({"DryRun": true, "DryRunModifiers": ["IGNORE_CIPHERTEXT"], "DestinationKeyId": KEY});
    for operation in ["Decrypt", "ReEncrypt"] {
        valid(operation, &ignored);
        for (name, value) in [("DryRun", json!(false)), ("DryRun", Json::Null), ("DryRunModifiers", json!([]))] {
            let mut body = ignored.clone();
            body[name] = value;
            let text = invalid(operation, &body);
            assert_eq!(
                text,
                "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must \
                 not be null"
            );
        }
    }
}

/// Values of every JSON type, among them some that are valid for a member.
fn values() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        (0..3000_u32).prop_map(Json::from),
        any::<String>().prop_map(Json::String),
        proptest::collection::vec(any::<u8>(), 0..70).prop_map(|bytes| Base64::encode_string(&bytes).into()),
        proptest::sample::select(vec!["RAW", "AES_256", "Sign", "SYMMETRIC_DEFAULT", "SELF", "us-east-1"])
            .prop_map(Json::from),
    ];
    let names = proptest::sample::select(vec!["TagKey", "TagValue", "SourceArn", "AccessKeyId", "AttestationDocument"]);
    scalar.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..12).prop_map(Json::Array),
            proptest::collection::btree_map(names.clone(), inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    /// A refusal is one of two exceptions. Its text is bounded, and states the number of violations.
    #[test]
    fn any_request_is_accepted_or_refused_with_a_bounded_text(
        operation in (0..operations::OPERATIONS.len()).prop_map(|at| &operations::OPERATIONS[at]),
        picks in proptest::collection::vec((any::<proptest::sample::Index>(), values()), 0..8),
    ) {
        let entries: Vec<_> = operation.required.iter().chain(operation.optional).copied().collect();
        let members: BTreeMap<_, _> = picks.iter().map(|(at, value)| (members::name_of(entries[at.index(entries.len())]), value)).collect();
        match checked_request(operation.name, json!(members).to_string().as_bytes()) {
            Ok(()) => {}
            Err((SERIALIZATION, text)) => prop_assert!(text.is_some_and(|text| text.len() < 100)),
            Err((code, text)) => {
                prop_assert_eq!(code, VALIDATION);
                let text = text.expect("AWS has a text");
                let reported = text.matches("failed to satisfy constraint: ").count();
                prop_assert!((1..=10).contains(&reported) && text.len() < 20_000, "{}", text);
                prop_assert!(text.starts_with(&format!("{reported} validation error")), "{}", text);
            }
        }
    }
}
