//! Requests that are refused: by their form, by the library, and by the KMS.

use serde_json::{Value, json};
use strongroom::audit::{Action, Outcome, to_json};
use strongroom::identity::{AccountId, Locality, Principal};
use strongroom::key::Operation;
use strongroom::wire;
use strongroom::{ErrorKind, Kms};

use crate::wire::{CLUSTERS, Endpoint, PASSWORD, base64, blob, json_of, text};

const UNSUPPORTED: &str = "UnsupportedOperationException";
const INVALID: &str = "ValidationException";
const SERIALIZATION: &str = "SerializationException";

/// Returns the exception of a refused call.
#[track_caller]
fn code(endpoint: &Endpoint, operation: &str, request: Value) -> &'static str {
    match endpoint.call(operation, request.clone()) {
        Ok(answer) => panic!("{operation} {request} was answered: {answer}"),
        Err((code, _)) => code,
    }
}

#[test]
fn an_unknown_operation_is_refused_and_its_event_names_it() {
    let endpoint = Endpoint::new();
    for name in ["MakeCoffee", "", "decrypt", "TrentService.Decrypt", "ReEncryptTo", "Decrypt\n", &"x".repeat(1 << 20)]
    {
        let reply = endpoint.send(name, b"{}");
        assert_eq!((reply.status(), reply.error_code()), (400, Some("UnknownOperationException")), "{name:.20}");
        let event = endpoint.trail.events().pop().expect("an event");
        assert_eq!(event.action, Action::Unsupported("UnknownOperation"));
        let (member, noted) = &event.parameters[0];
        assert!(*member == "operation" && format!("{noted:?}").len() < 2_000, "{noted:?}");
    }
}

#[test]
fn operations_that_the_library_lacks_are_refused_after_validation() {
    let endpoint = Endpoint::new();
    let key = endpoint.key(json!({}));
    for (name, members) in [
        ("ReplicateKey", json!({"ReplicaRegion": "eu-central-1"})),
        ("UpdatePrimaryRegion", json!({"PrimaryRegion": "eu-central-1"})),
    ] {
        let mut request = members;
        assert_eq!(code(&endpoint, name, request.clone()), INVALID, "{name} without KeyId");
        request["KeyId"] = json!(key);
        assert_eq!(code(&endpoint, name, request), UNSUPPORTED, "{name}");
        assert_eq!(endpoint.trail.events()[0].action.to_string(), name);
    }
}

#[test]
fn features_that_the_library_lacks_are_refused() {
    let endpoint = Endpoint::new();
    let key = endpoint.key(json!({}));
    let sealed = endpoint.must("Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}))["CiphertextBlob"].take();
    let recipient = json!({"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": "eA=="});
    let alice = "arn:aws:iam::000000000000:user/alice";
    let grant = |name: &str, value: Value| {
        let mut request = json!({"KeyId": key, "GranteePrincipal": alice, "Operations": ["Decrypt"]});
        request[name] = value;
        request
    };
    for (operation, request) in [
        ("CreateKey", json!({"MultiRegion": true})),
        ("CreateKey", json!({"KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY"})),
        ("CreateKey", json!({"Origin": "EXTERNAL_KEY_STORE", "XksKeyId": "a"})),
        ("Decrypt", json!({"CiphertextBlob": sealed, "Recipient": recipient})),
        ("GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_256", "Recipient": recipient})),
        ("GenerateRandom", json!({"NumberOfBytes": 1, "Recipient": recipient})),
        ("Encrypt", json!({"KeyId": key, "Plaintext": "eA==", "EncryptionAlgorithm": "SM2PKE"})),
        ("Sign", json!({"KeyId": key, "Message": "eA==", "SigningAlgorithm": "SM2DSA"})),
        ("CreateGrant", grant("GranteeServicePrincipal", "s3.amazonaws.com".into())),
        ("CreateGrant", grant("RetiringServicePrincipal", "s3.amazonaws.com".into())),
        ("CreateGrant", grant("Constraints", json!({"SourceArn": "arn:aws:s3:::000000000000:a"}))),
        ("CreateCustomKeyStore", json!({"CustomKeyStoreName": "x", "CustomKeyStoreType": "EXTERNAL_KEY_STORE"})),
    ] {
        let refused = endpoint.call(operation, request.clone()).map_err(|(code, _)| code);
        let expected = if request.to_string().contains("arn:aws:s3:::") { INVALID } else { UNSUPPORTED };
        assert_eq!(refused, Err(expected), "{operation} {request}");
    }
}

/// A member of the wrong type is no validation error, and unknown members are ignored.
#[test]
fn wrong_types_are_refused_and_unknown_members_ignored() {
    let endpoint = Endpoint::new();
    let key = endpoint.key(json!({}));
    for (operation, request) in [
        ("DescribeKey", json!({"KeyId": 5})),
        ("DescribeKey", json!({"KeyId": [key]})),
        ("DescribeKey", json!({"KeyId": {}})),
        ("DescribeKey", json!({"KeyId": key, "GrantTokens": "a"})),
        ("DescribeKey", json!({"KeyId": key, "GrantTokens": [5]})),
        ("Encrypt", json!({"KeyId": key, "Plaintext": "no base64"})),
        ("Encrypt", json!({"KeyId": key, "Plaintext": 5})),
        ("Encrypt", json!({"KeyId": key, "Plaintext": "eA==", "DryRun": "yes"})),
        ("Encrypt", json!({"KeyId": key, "Plaintext": "eA==", "EncryptionContext": ["a"]})),
        ("Encrypt", json!({"KeyId": key, "Plaintext": "eA==", "EncryptionContext": {"a": {}}})),
        ("GenerateRandom", json!({"NumberOfBytes": "5"})),
        ("GenerateRandom", json!({"NumberOfBytes": 5.5})),
        ("ListKeys", json!({"Limit": true})),
        ("CreateKey", json!({"Tags": {"TagKey": "a", "TagValue": "b"}})),
        ("CreateKey", json!({"Tags": ["a"]})),
        ("CreateKey", json!([])),
        ("CreateKey", json!("text")),
    ] {
        assert_eq!(code(&endpoint, operation, request.clone()), SERIALIZATION, "{operation} {request}");
    }
    for body in [&b""[..], b"{", b"{\"a\":}", b"{} {}", b"\xff", b"{\"KeyId\":\"a\",\"KeyId\":\"b\"}", b"null"] {
        let reply = endpoint.send("DescribeKey", body);
        assert_eq!(reply.error_code(), Some(SERIALIZATION), "{}", String::from_utf8_lossy(body));
    }
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    assert_eq!(endpoint.send("DescribeKey", &deep).error_code(), Some(SERIALIZATION));
    let request = json!({"KeyId": key, "Color": {"a": [1, null]}, "GrantTokens": null});
    endpoint.must("DescribeKey", request);
}

/// The manual describes these bodies.
#[test]
fn deviating_bodies_are_treated_as_documented() {
    let endpoint = Endpoint::new();
    let random = |number: &str| endpoint.send("GenerateRandom", format!("{{\"NumberOfBytes\": {number}}}").as_bytes());
    for number in ["5", "5.0", "5e0", "0.5e1"] {
        let reply = random(number);
        assert_eq!((reply.status(), blob(&json_of(&reply)["Plaintext"]).len()), (200, 5), "{number}");
    }
    for number in ["5.5", "\"5\"", "true", "1e400", "-1e400", "[5]", "{}", "05", "+5"] {
        assert_eq!(random(number).error_code(), Some(SERIALIZATION), "{number}");
    }
    for number in ["0", "-1", "1025", "1e300", "18446744073709551616", "-9223372036854775809"] {
        let reply = random(number);
        assert_eq!(reply.error_code(), Some(INVALID), "{number}");
        let text = text(&json_of(&reply)["message"]);
        let ending =
            if number.starts_with(['0', '-']) { "greater than or equal to 1" } else { "less than or equal to 1024" };
        assert!(text.ends_with(ending), "{number}: {text}");
    }
    let key = endpoint.key(json!({}));
    for flag in ["\"true\"", "1", "0", "\"\"", "[]"] {
        let body = format!("{{\"KeyId\": \"{key}\", \"Plaintext\": \"eA==\", \"DryRun\": {flag}}}");
        assert_eq!(endpoint.send("Encrypt", body.as_bytes()).error_code(), Some(SERIALIZATION), "{flag}");
    }
    endpoint.must("DescribeKey", json!({"KeyId": key, "GrantTokens": null, "Unknown": {"a": [null]}}));
    assert_eq!(code(&endpoint, "DescribeKey", json!({"KeyId": null})), INVALID);
    assert_eq!(code(&endpoint, "DescribeKey", json!({"KeyId": key, "GrantTokens": [null]})), INVALID);
    let context = json!({"KeyId": key, "Plaintext": "eA==", "EncryptionContext": {"a": null}});
    assert_eq!(code(&endpoint, "Encrypt", context), INVALID);
}

#[test]
fn a_violated_constraint_has_the_text_of_aws() {
    let endpoint = Endpoint::new();
    let (code, message) = endpoint.call("DescribeKey", json!({})).expect_err("KeyId is required");
    let expected =
        "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null";
    assert_eq!((code, message.as_str()), (INVALID, expected));
    let (code, message) = endpoint
        .call("Encrypt", json!({"KeyId": "x", "Plaintext": base64([0; 4097])}))
        .expect_err("a plaintext has at most 4,096 bytes");
    let expected = "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have \
                    length less than or equal to 4096";
    assert_eq!((code, message.as_str()), (INVALID, expected));
    let event = endpoint.trail.events().pop().expect("an event");
    assert_eq!(event.parameters, [("keyId", "x".to_owned().into())]);
    assert!(event.message.is_some_and(|text| text.contains("'plaintext'")));
}

/// Rules that connect several members, which the model states only in words.
#[test]
fn combinations_that_make_no_sense_are_invalid() {
    let endpoint = Endpoint::new();
    let key = endpoint.key(json!({}));
    let external = endpoint.key(json!({"Origin": "EXTERNAL"}));
    let later = 1_700_000_100;
    let import = json!({"KeyId": external, "ImportToken": "eA==", "EncryptedKeyMaterial": "eA=="});
    let import_with = |model: &str, time: Value| {
        let mut request = import.clone();
        request["ExpirationModel"] = model.into();
        request["ValidTo"] = time;
        request
    };
    for (operation, request) in [
        ("CreateKey", json!({"KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT"})),
        ("CreateKey", json!({"KeySpec": "RSA_2048", "KeyUsage": "KEY_AGREEMENT"})),
        ("CreateKey", json!({"CustomKeyStoreId": "cks-0123456789abcdef0"})),
        ("GenerateDataKey", json!({"KeyId": key})),
        ("GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_256", "NumberOfBytes": 32})),
        ("GenerateRandom", json!({})),
        ("Decrypt", json!({"KeyId": key})),
        ("Decrypt", json!({"CiphertextBlob": "eA==", "DryRunModifiers": ["IGNORE_CIPHERTEXT"]})),
        ("ReEncrypt", json!({"DestinationKeyId": key})),
        ("CreateGrant", json!({"KeyId": key, "Operations": ["Decrypt"]})),
        ("RetireGrant", json!({})),
        ("RetireGrant", json!({"KeyId": key})),
        ("RetireGrant", json!({"KeyId": key, "GrantId": "0".repeat(64), "GrantToken": "a"})),
        ("ListRetirableGrants", json!({})),
        ("ImportKeyMaterial", import.clone()),
        ("ImportKeyMaterial", import_with("KEY_MATERIAL_EXPIRES", Value::Null)),
        ("ImportKeyMaterial", import_with("KEY_MATERIAL_DOES_NOT_EXPIRE", later.into())),
        ("ScheduleKeyDeletion", json!({"KeyId": key, "PendingWindowInDays": 6})),
        ("ScheduleKeyDeletion", json!({"KeyId": key, "PendingWindowInDays": 31})),
        ("DescribeCustomKeyStores", json!({"CustomKeyStoreId": "cks-0123456789abcdef0", "CustomKeyStoreName": "a"})),
        ("CreateCustomKeyStore", json!({"CustomKeyStoreName": "x", "KeyStorePassword": PASSWORD})),
    ] {
        assert_eq!(code(&endpoint, operation, request.clone()), INVALID, "{operation} {request}");
    }
    let (_, text) = endpoint.call("GenerateRandom", json!({})).expect_err("a length is required");
    assert_eq!(text, "NumberOfBytes is required.");
}

/// Exceptions of the KMS itself, with the texts of AWS or none.
#[test]
fn errors_have_the_exceptions_of_aws() {
    let endpoint = Endpoint::new();
    let key = endpoint.key(json!({}));
    let disabled = endpoint.key(json!({}));
    endpoint.must("DisableKey", json!({"KeyId": disabled}));
    let ecc = endpoint.key(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}));
    let hmac = endpoint.key(json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}));
    endpoint.must("CreateAlias", json!({"AliasName": "alias/a", "TargetKeyId": key}));
    let mut damaged = blob(&endpoint.must("Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}))["CiphertextBlob"]);
    *damaged.last_mut().expect("a ciphertext") ^= 1;
    let missing = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let zeros = "0".repeat(64);
    for (operation, request, expected, has_text) in [
        ("DescribeKey", json!({"KeyId": missing}), "NotFoundException", true),
        ("DescribeKey", json!({"KeyId": "alias/missing"}), "NotFoundException", true),
        ("DescribeKey", json!({"KeyId": "arn:aws:kms:x"}), "InvalidArnException", true),
        ("DescribeKey", json!({"KeyId": key, "GrantTokens": ["a"]}), "InvalidGrantTokenException", true),
        ("EnableKeyRotation", json!({"KeyId": "alias/a"}), "InvalidArnException", true),
        ("Encrypt", json!({"KeyId": disabled, "Plaintext": "eA=="}), "DisabledException", true),
        ("Encrypt", json!({"KeyId": ecc, "Plaintext": "eA=="}), "InvalidKeyUsageException", true),
        ("Encrypt", json!({"KeyId": key, "Plaintext": "eA==", "DryRun": true}), "DryRunOperationException", true),
        ("Decrypt", json!({"CiphertextBlob": base64([9; 100])}), "InvalidCiphertextException", false),
        ("Decrypt", json!({"CiphertextBlob": base64(damaged)}), "InvalidCiphertextException", false),
        (
            "Verify",
            json!({"KeyId": ecc, "Message": "eA==", "Signature": "eA==", "SigningAlgorithm": "ECDSA_SHA_256"}),
            "KMSInvalidSignatureException",
            false,
        ),
        (
            "VerifyMac",
            json!({"KeyId": hmac, "Message": "eA==", "Mac": "eA==", "MacAlgorithm": "HMAC_SHA_256"}),
            "KMSInvalidMacException",
            false,
        ),
        ("CreateAlias", json!({"AliasName": "alias/a", "TargetKeyId": key}), "AlreadyExistsException", true),
        ("CreateAlias", json!({"AliasName": "alias/aws/s3", "TargetKeyId": key}), "NotAuthorizedException", false),
        ("CreateAlias", json!({"AliasName": "name", "TargetKeyId": key}), INVALID, true),
        ("CreateKey", json!({"Tags": [{"TagKey": "aws:a", "TagValue": ""}]}), "TagException", true),
        ("CreateKey", json!({"Policy": "{}"}), "MalformedPolicyDocumentException", true),
        ("GetKeyPolicy", json!({"KeyId": key, "PolicyName": "other"}), "NotFoundException", true),
        ("PutKeyPolicy", json!({"KeyId": key, "Policy": "{}", "PolicyName": "other"}), "NotFoundException", true),
        ("CancelKeyDeletion", json!({"KeyId": key}), "KMSInvalidStateException", true),
        ("RotateKeyOnDemand", json!({"KeyId": ecc}), UNSUPPORTED, false),
        ("EnableKeyRotation", json!({"KeyId": hmac}), UNSUPPORTED, false),
        ("ListKeyRotations", json!({"KeyId": hmac}), UNSUPPORTED, false),
        ("GetPublicKey", json!({"KeyId": key}), UNSUPPORTED, false),
        ("ListKeys", json!({"Marker": "a"}), "InvalidMarkerException", true),
        ("RevokeGrant", json!({"KeyId": key, "GrantId": zeros}), "NotFoundException", true),
        ("RevokeGrant", json!({"KeyId": key, "GrantId": "a"}), "InvalidGrantIdException", true),
        ("ListGrants", json!({"KeyId": key, "GrantId": "a"}), "InvalidGrantIdException", true),
        (
            "CreateCustomKeyStore",
            json!({"CustomKeyStoreName": "x", "CloudHsmClusterId": "cluster-4c56d7efghi", "KeyStorePassword": PASSWORD}),
            "CloudHsmClusterNotFoundException",
            true,
        ),
        ("ConnectCustomKeyStore", json!({"CustomKeyStoreId": "x"}), "CustomKeyStoreNotFoundException", true),
    ] {
        let (code, text) = endpoint.call(operation, request.clone()).expect_err(operation);
        assert_eq!((code, !text.is_empty()), (expected, has_text), "{operation} {request}: {text}");
    }
}

/// Texts that AWS KMS was recorded to give, word for word.
#[test]
fn texts_are_those_of_aws() {
    let endpoint = Endpoint::new();
    let key = endpoint.key(json!({}));
    let external = endpoint.key(json!({"Origin": "EXTERNAL"}));
    endpoint.must("CreateAlias", json!({"AliasName": "alias/a", "TargetKeyId": key}));
    let missing = "arn:aws:kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let elsewhere = missing.replace("local", "eu-central-1");
    let arn = format!("arn:aws:kms:local:000000000000:key/{key}");
    let prefix = "arn:aws:kms:local:000000000000:key/";
    let (multi_region, upper_case) = ("mrk-1234567812341234123412345678901a", "786CA7CD-B74B-42B3-B887-902AD7AB6429");
    let blob = endpoint.must("Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}))["CiphertextBlob"].take();
    let external_arn = format!("arn:aws:kms:local:000000000000:key/{external}");
    let alias = |name: &str| format!("arn:aws:kms:local:000000000000:alias/{name}");
    let rsa = endpoint.key(json!({"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}));
    let ed25519 = endpoint.key(json!({"KeySpec": "ECC_NIST_EDWARDS25519", "KeyUsage": "SIGN_VERIFY"}));
    for (operation, request, expected) in [
        ("DescribeKey", json!({"KeyId": missing}), format!("Key '{missing}' does not exist")),
        ("DescribeKey", json!({"KeyId": elsewhere}), "Invalid arn eu-central-1".into()),
        ("DescribeKey", json!({"KeyId": "x"}), "Invalid keyId 'x'".into()),
        (
            "DescribeKey",
            json!({"KeyId": format!("{missing}x")}),
            "Invalid keyId 1234abcd-12ab-34cd-56ef-1234567890abx".into(),
        ),
        ("DescribeKey", json!({"KeyId": "mrk-1234"}), "Invalid keyId 'mrk-1234'".into()),
        ("DescribeKey", json!({"KeyId": multi_region}), format!("Key '{prefix}{multi_region}' does not exist")),
        (
            "Decrypt",
            json!({"KeyId": multi_region, "CiphertextBlob": blob}),
            format!("Key '{prefix}{multi_region}' does not exist"),
        ),
        (
            "ReEncrypt",
            json!({"SourceKeyId": multi_region, "DestinationKeyId": key, "CiphertextBlob": blob}),
            format!("Key '{prefix}{multi_region}' does not exist"),
        ),
        (
            "ReEncrypt",
            json!({"DestinationKeyId": multi_region, "CiphertextBlob": blob}),
            format!("Key '{prefix}{multi_region}' does not exist"),
        ),
        ("DisableKey", json!({"KeyId": upper_case}), format!("Key '{prefix}{upper_case}' does not exist")),
        (
            "DescribeKey",
            json!({"KeyId": format!("{prefix}{upper_case}")}),
            format!("Key '{prefix}{upper_case}' does not exist"),
        ),
        (
            "CreateKey",
            json!({"KeySpec": "HMAC_256"}),
            "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.".into(),
        ),
        ("Encrypt", json!({"KeyId": "alias/b", "Plaintext": "eA=="}), format!("Alias {} is not found.", alias("b"))),
        ("DescribeKey", json!({"KeyId": alias("aws/b")}), format!("Alias {} is not found.", alias("aws/b"))),
        ("DeleteAlias", json!({"AliasName": "alias/b"}), format!("Alias {} is not found.", alias("b"))),
        (
            "GenerateDataKey",
            json!({"KeyId": rsa, "KeySpec": "AES_256"}),
            "You cannot generate a data key with an asymmetric CMK".into(),
        ),
        ("GenerateDataKey", json!({"KeyId": rsa}), "Please specify either number of bytes or key spec.".into()),
        (
            "Encrypt",
            json!({"KeyId": rsa, "Plaintext": "eA=="}),
            "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.".into(),
        ),
        (
            "Encrypt",
            json!({"KeyId": rsa, "Plaintext": base64([0; 191]), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}),
            "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes.".into(),
        ),
        (
            "Sign",
            json!({"KeyId": ed25519, "Message": "eA==", "MessageType": "DIGEST", "SigningAlgorithm": "ED25519_SHA_512"}),
            "Message type DIGEST is incompatible with algorithm ED25519_SHA_512.".into(),
        ),
        (
            "Sign",
            json!({"KeyId": ed25519, "Message": "eA==", "SigningAlgorithm": "ED25519_PH_SHA_512"}),
            "Message type RAW is incompatible with algorithm ED25519_PH_SHA_512.".into(),
        ),
        (
            "Verify",
            json!({"KeyId": ed25519, "Message": "eA==", "MessageType": "DIGEST", "Signature": "eA==",
                "SigningAlgorithm": "ED25519_PH_SHA_512"}),
            "Digest is invalid length for algorithm ED25519_PH_SHA_512.".into(),
        ),
        (
            "DisableKeyRotation",
            json!({"KeyId": external}),
            format!("{external_arn} origin is EXTERNAL which is not valid for this operation."),
        ),
        (
            "GenerateMac",
            json!({"KeyId": external, "Message": "eA==", "MacAlgorithm": "HMAC_SHA_256"}),
            format!("{external_arn} key usage is ENCRYPT_DECRYPT which is not valid for GenerateMac."),
        ),
        ("Encrypt", json!({"KeyId": external, "Plaintext": "eA=="}), format!("{external_arn} is pending import.")),
        (
            "CreateAlias",
            json!({"AliasName": "x", "TargetKeyId": key}),
            "Alias must start with the prefix \"alias/\". Please see \
             https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
                .into(),
        ),
        (
            "CreateAlias",
            json!({"AliasName": "alias/a", "TargetKeyId": key}),
            "An alias with the name arn:aws:kms:local:000000000000:alias/a already exists".into(),
        ),
        (
            "ImportKeyMaterial",
            json!({"KeyId": external, "ImportToken": "eA==", "EncryptedKeyMaterial": "eA=="}),
            "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES".into(),
        ),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": "eA==", "DryRun": true}),
            "The request would have succeeded, but the DryRun option is set.".into(),
        ),
        (
            "Sign",
            json!({"KeyId": key, "Message": "eA==", "SigningAlgorithm": "ECDSA_SHA_256"}),
            format!("{arn} key usage is ENCRYPT_DECRYPT which is not valid for Sign."),
        ),
        ("CancelKeyDeletion", json!({"KeyId": key}), format!("{arn} is not pending deletion.")),
    ] {
        let (_, text) = endpoint.call(operation, request.clone()).expect_err(operation);
        assert_eq!(text, expected, "{operation} {request}");
    }
}

/// The state of a custom key store is not that of a key, of which there is none yet.
#[test]
fn a_key_in_a_store_that_is_not_connected_is_refused_for_the_state_of_the_store() {
    let endpoint = Endpoint::new();
    let request = json!({"CustomKeyStoreName": "x", "CloudHsmClusterId": CLUSTERS[0], "KeyStorePassword": PASSWORD});
    let id = endpoint.must("CreateCustomKeyStore", request)["CustomKeyStoreId"].take();
    let create = json!({"CustomKeyStoreId": id, "Origin": "AWS_CLOUDHSM"});
    let not_connected = ("CustomKeyStoreInvalidStateException", "The custom key store is not connected.".to_owned());
    assert_eq!(endpoint.call("CreateKey", create.clone()), Err(not_connected.clone()));
    let random = json!({"CustomKeyStoreId": id, "NumberOfBytes": 8});
    assert_eq!(endpoint.call("GenerateRandom", random.clone()), Err(not_connected.clone()));
    endpoint.must("ConnectCustomKeyStore", json!({"CustomKeyStoreId": id}));
    let key = endpoint.key(create.clone());
    endpoint.must("DisconnectCustomKeyStore", json!({"CustomKeyStoreId": id}));
    assert_eq!(endpoint.call("CreateKey", create), Err(not_connected.clone()));
    assert_eq!(endpoint.call("GenerateRandom", random), Err(not_connected));
    let encrypt = json!({"KeyId": key, "Plaintext": "eA=="});
    assert_eq!(code(&endpoint, "Encrypt", encrypt), "KMSInvalidStateException");
}

/// A rejected password is no failure of the server: clients would repeat the request until the user
/// is locked out.
#[test]
fn a_failed_connection_is_not_repeated_by_clients() {
    let endpoint = Endpoint::new();
    let request =
        json!({"CustomKeyStoreName": "x", "CloudHsmClusterId": CLUSTERS[0], "KeyStorePassword": "wrong password"});
    let id = endpoint.must("CreateCustomKeyStore", request)["CustomKeyStoreId"].take();
    let reply = endpoint.send("ConnectCustomKeyStore", json!({"CustomKeyStoreId": id}).to_string().as_bytes());
    assert_eq!((reply.status(), reply.error_code()), (400, Some("CustomKeyStoreInvalidStateException")));
    assert!(!text(&json_of(&reply)["message"]).contains("wrong"), "{reply:?}");
    let found = endpoint.must("DescribeCustomKeyStores", json!({}))["CustomKeyStores"][0].take();
    assert_eq!(
        (&found["ConnectionState"], &found["ConnectionErrorCode"]),
        (&json!("FAILED"), &json!("INVALID_CREDENTIALS"))
    );
}

/// Neither the answer nor the audit trail may contain a password that violates a constraint.
#[test]
fn a_password_is_in_no_text() {
    let endpoint = Endpoint::new();
    let password = "hunter2-".repeat(9);
    let request = json!({"CustomKeyStoreName": "x", "CloudHsmClusterId": CLUSTERS[0], "KeyStorePassword": password});
    let (code, text) =
        endpoint.call("CreateCustomKeyStore", request).expect_err("a password has at most 32 characters");
    assert!(code == INVALID && !text.contains("hunter2"), "{text}");
    let events = format!("{:?}", endpoint.trail.events());
    assert!(events.contains("keyStorePassword") && !events.contains("hunter2"), "{events}");
}

#[test]
fn the_event_of_a_refused_request_has_the_members_of_its_operation_and_can_be_stored() {
    let endpoint = Endpoint::new();
    let long = "\u{7f}".repeat(32_768);
    let members =
        ["KeyId", "SourceKeyId", "DestinationKeyId", "TargetKeyId", "AliasName", "GrantId", "CustomKeyStoreId"];
    let body = Value::Object(members.iter().map(|name| ((*name).to_owned(), json!(long))).collect());
    assert_eq!(code(&endpoint, "RevokeGrant", body), "ValidationException");
    let event = endpoint.trail.events().pop().expect("an event");
    let names: Vec<_> = event.parameters.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["keyId", "grantId"]);
    assert!(to_json(&event, endpoint.kms.locality()).expect("JSON").len() < 20_000);
}

#[test]
fn a_service_is_no_grantee() {
    let endpoint = Endpoint::new();
    let key = endpoint.key(json!({}));
    for member in ["GranteePrincipal", "RetiringPrincipal"] {
        let mut request =
            json!({"KeyId": key, "Operations": ["Encrypt"], "GranteePrincipal": "arn:aws:iam::000000000000:root"});
        request[member] = json!("s3.amazonaws.com");
        assert_eq!(code(&endpoint, "CreateGrant", request), "InvalidArnException");
    }
}

#[test]
fn the_principal_of_the_handle_decides_and_is_in_the_event() -> strongroom::Result<()> {
    let endpoint = Endpoint::new();
    let key = endpoint.key(json!({}));
    let alice = endpoint.kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    for (body, kind) in [
        (json!({"KeyId": key}).to_string(), ErrorKind::AccessDenied),
        (json!({}).to_string(), ErrorKind::Validation),
        ("{".to_owned(), ErrorKind::Serialization),
    ] {
        endpoint.trail.clear();
        let reply = wire::call(&alice, "DescribeKey", body.as_bytes());
        assert_eq!(reply.error_code(), Some(kind.aws_name()));
        let events = endpoint.trail.events();
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((&event.principal, event.action), (alice.principal(), Action::Call(Operation::DescribeKey)));
        assert_eq!(event.outcome, Outcome::Failure(kind));
    }
    Ok(())
}

/// No result and no refusal is released that the audit trail does not have.
#[test]
fn without_an_audit_trail_every_call_fails_without_details() -> strongroom::Result<()> {
    let kms = Kms::builder().audit(crate::support::rejecting_sink::RejectingSink(true.into())).build()?;
    for (operation, body) in [("ListKeys", "{}"), ("DescribeKey", "{}"), ("DescribeKey", "{"), ("MakeCoffee", "{}")] {
        let reply = wire::call(&kms, operation, body.as_bytes());
        assert_eq!((reply.status(), reply.error_code()), (500, Some("KMSInternalException")), "{operation} {body}");
        assert!(!text(&json_of(&reply)["message"]).contains("audit"));
    }
    let kms = Kms::in_memory()?;
    kms.close()?;
    for (operation, body) in [("ListKeys", "{}"), ("DescribeKey", "{}")] {
        assert_eq!(wire::call(&kms, operation, body.as_bytes()).status(), 500);
    }
    Ok(())
}

/// Policies do not compare values of a context that no operation accepts, and the answer does not
/// reveal whether the key exists.
#[test]
fn a_context_that_is_too_long_is_refused_before_authorization() -> strongroom::Result<()> {
    let endpoint = Endpoint::new();
    let key = endpoint.key(json!({}));
    let guest = endpoint.kms.as_principal(Principal::federated_user(AccountId::default(), "guest")?)?;
    for key in [&key, "9dbbd6a2-1b9d-4e0c-8a0f-1d2d4b8a7c11"] {
        for (length, expected) in [(70_000, "ValidationException"), (100, "AccessDeniedException")] {
            let context = json!({"name": "x".repeat(length)});
            let body = json!({"KeyId": key, "Plaintext": "AA==", "EncryptionContext": context}).to_string();
            let code = wire::call(&guest, "Encrypt", body.as_bytes()).error_code();
            let missing = length == 100 && code == Some("NotFoundException");
            assert!(code == Some(expected) || missing, "{code:?}");
        }
    }
    Ok(())
}

#[test]
fn answers_name_principals_in_the_partition_of_the_kms() -> strongroom::Result<()> {
    let kms = Kms::builder().locality(Locality::new("aws-us-gov", "us-gov-west-1")?).build()?;
    let key = kms.create_key(Default::default())?.key_id().to_string();
    let body =
        json!({"KeyId": key, "Operations": ["Encrypt"], "GranteePrincipal": "arn:aws:iam::000000000000:user/bob"});
    assert_eq!(wire::call(&kms, "CreateGrant", body.to_string().as_bytes()).status(), 200);
    let listed = wire::call(&kms, "ListGrants", json!({"KeyId": key}).to_string().as_bytes());
    let text = String::from_utf8(listed.body().to_vec()).expect("UTF-8");
    assert!(text.contains("arn:aws-us-gov:iam::000000000000:root") && !text.contains("arn:aws:"), "{text}");
    Ok(())
}
