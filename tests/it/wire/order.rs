//! The order in which AWS KMS judges a request: its form, the identifier of the key, its existence,
//! access, the ciphertext, usage, origin, state, class, and last what depends on the key.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::Result;
use strongroom::identity::{AccountId, Principal};
use strongroom::key::Operation;

use crate::wire::{Endpoint, base64, blob};

const DENIED: &str = "AccessDeniedException";
const INVALID: &str = "ValidationException";
const MISSING: &str = "NotFoundException";
const STATE: &str = "KMSInvalidStateException";
const UNSUPPORTED: &str = "UnsupportedOperationException";
const USAGE: &str = "InvalidKeyUsageException";

/// A key ID that no key has.
const NO_KEY: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

/// A request for one key, which is valid apart from its key.
struct Case {
    operation: &'static str,
    /// The member that names the key.
    key: &'static str,
    members: Value,
    /// A member with a value that the model excludes. Without one, it is the key.
    invalid: (&'static str, Value),
}

impl Case {
    fn request(&self, key: &str) -> Value {
        let mut request = self.members.clone();
        request[self.key] = key.into();
        request
    }

    fn invalid_request(&self, key: &str) -> Value {
        let mut request = self.request(key);
        request[self.invalid.0] = self.invalid.1.clone();
        request
    }

    fn accepts_alias(&self) -> bool {
        let operations = Operation::ALL.iter().filter(|operation| operation.api_name() == self.operation);
        operations.into_iter().any(|operation| operation.accepts_alias())
    }
}

/// Returns a request for every operation on a key but DeleteAlias, which names no key.
fn cases(ciphertext: &Value) -> Vec<Case> {
    let (byte, zeros) = ("eA==", "0".repeat(64));
    let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"}}}"#;
    let signing = json!({"Message": byte, "SigningAlgorithm": "ECDSA_SHA_256"});
    let verifying = json!({"Message": byte, "SigningAlgorithm": "ECDSA_SHA_256", "Signature": byte});
    let mac = json!({"Message": byte, "MacAlgorithm": "HMAC_SHA_256"});
    let verifying_mac = json!({"Message": byte, "MacAlgorithm": "HMAC_SHA_256", "Mac": byte});
    let grant = json!({"Operations": ["DescribeKey"], "GranteePrincipal": "arn:aws:iam::000000000000:user/alice"});
    let wrapping = json!({"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"});
    let import = json!({"ImportToken": byte, "EncryptedKeyMaterial": byte,
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"});
    let agreement = json!({"KeyAgreementAlgorithm": "ECDH", "PublicKey": byte});
    let decapsulation = json!({"EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": byte});
    let case = |operation, members: Value, name, value: Value| {
        let key = match operation {
            "CreateAlias" | "UpdateAlias" => "TargetKeyId",
            "ReEncrypt" => "DestinationKeyId",
            _ => "KeyId",
        };
        Case { operation, key, members, invalid: (name, value) }
    };
    let only_key = |operation| case(operation, json!({}), "KeyId", "ключ".into());
    let page = |operation| case(operation, json!({}), "Limit", 0.into());
    vec![
        only_key("CancelKeyDeletion"),
        case("CreateAlias", json!({"AliasName": "alias/new"}), "AliasName", "alias/!".into()),
        case("CreateGrant", grant, "Name", "!".into()),
        case("Decapsulate", decapsulation, "SharedSecretCiphertextBlob", "".into()),
        case("Decrypt", json!({"CiphertextBlob": ciphertext}), "CiphertextBlob", "".into()),
        case("DeleteImportedKeyMaterial", json!({}), "KeyMaterialId", "a".into()),
        case("DeriveSharedSecret", agreement, "PublicKey", "".into()),
        case("DescribeKey", json!({}), "GrantTokens", json!([""])),
        only_key("DisableKey"),
        only_key("DisableKeyRotation"),
        only_key("EnableKey"),
        case("EnableKeyRotation", json!({}), "RotationPeriodInDays", 89.into()),
        case("Encapsulate", json!({"EncapsulationAlgorithm": "ML_KEM"}), "EncapsulationAlgorithm", "RSA".into()),
        case("Encrypt", json!({"Plaintext": byte}), "Plaintext", "".into()),
        case("GenerateDataKey", json!({"NumberOfBytes": 32}), "NumberOfBytes", 0.into()),
        case("GenerateDataKeyWithoutPlaintext", json!({"KeySpec": "AES_256"}), "KeySpec", "AES_257".into()),
        case("GenerateDataKeyPair", json!({"KeyPairSpec": "ECC_NIST_P256"}), "KeyPairSpec", "P256".into()),
        case("GenerateDataKeyPairWithoutPlaintext", json!({"KeyPairSpec": "RSA_2048"}), "KeyPairSpec", "RSA".into()),
        case("GenerateMac", mac, "Message", "".into()),
        only_key("GetKeyLastUsage"),
        case("GetKeyPolicy", json!({}), "PolicyName", "!".into()),
        only_key("GetKeyRotationStatus"),
        case("GetParametersForImport", wrapping, "WrappingKeySpec", "RSA_1024".into()),
        case("GetPublicKey", json!({}), "GrantTokens", json!(vec!["a"; 11])),
        case("ImportKeyMaterial", import, "KeyMaterialDescription", "!".into()),
        page("ListAliases"),
        page("ListGrants"),
        page("ListKeyPolicies"),
        page("ListKeyRotations"),
        page("ListResourceTags"),
        case("PutKeyPolicy", json!({"Policy": policy}), "Policy", "".into()),
        case("ReEncrypt", json!({"CiphertextBlob": ciphertext}), "CiphertextBlob", "".into()),
        case("RetireGrant", json!({"GrantId": zeros}), "GrantId", "".into()),
        case("RevokeGrant", json!({"GrantId": zeros}), "GrantId", "".into()),
        only_key("RotateKeyOnDemand"),
        case("ScheduleKeyDeletion", json!({}), "PendingWindowInDays", 6.into()),
        case("Sign", signing, "MessageType", "TEXT".into()),
        case("TagResource", json!({"Tags": [{"TagKey": "a", "TagValue": ""}]}), "Tags", json!([{"TagKey": "a"}])),
        case("UntagResource", json!({"TagKeys": ["a"]}), "TagKeys", json!([""])),
        case("UpdateAlias", json!({"AliasName": "alias/a"}), "AliasName", "".into()),
        case("UpdateKeyDescription", json!({"Description": "x"}), "Description", "x".repeat(8_193).into()),
        case("Verify", verifying, "Signature", "".into()),
        case("VerifyMac", verifying_mac, "Mac", "".into()),
    ]
}

/// An endpoint, the same endpoint for a caller without permissions, and an encrypted byte with the ID
/// of its key.
struct Scene {
    endpoint: Endpoint,
    guest: Endpoint,
    key: String,
    ciphertext: Value,
}

impl Scene {
    fn new() -> Result<Self> {
        let endpoint = Endpoint::new();
        let kms = endpoint.kms.as_principal(Principal::federated_user(AccountId::default(), "guest")?)?;
        let (trail, clock) = (Arc::clone(&endpoint.trail), Arc::clone(&endpoint.clock));
        let guest = Endpoint { kms, trail, clock, answered: Default::default() };
        let key = endpoint.key(json!({}));
        let ciphertext = endpoint.must("Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}))["CiphertextBlob"].take();
        endpoint.must("CreateAlias", json!({"AliasName": "alias/a", "TargetKeyId": key}));
        Ok(Self { endpoint, guest, key, ciphertext })
    }

    fn cases(&self) -> Vec<Case> {
        cases(&self.ciphertext)
    }

    /// Returns the ID of a key that is pending deletion.
    fn pending_deletion(&self, request: Value) -> String {
        let key = self.endpoint.key(request);
        self.endpoint.must("ScheduleKeyDeletion", json!({"KeyId": key}));
        key
    }

    fn disabled(&self, request: Value) -> String {
        let key = self.endpoint.key(request);
        self.endpoint.must("DisableKey", json!({"KeyId": key}));
        key
    }
}

/// Returns the exception and its text.
#[track_caller]
fn refused(endpoint: &Endpoint, operation: &str, request: &Value) -> (&'static str, String) {
    match endpoint.call(operation, request.clone()) {
        Ok(answer) => panic!("{operation} {request} was answered: {answer}"),
        Err(refused) => refused,
    }
}

fn of(spec: &str, usage: &str) -> Value {
    json!({"KeySpec": spec, "KeyUsage": usage})
}

#[test]
fn the_table_has_every_operation_on_a_key() -> Result<()> {
    let scene = Scene::new()?;
    let listed: BTreeSet<_> = scene.cases().iter().map(|case| case.operation).collect();
    let on_keys = Operation::ALL.iter().filter(|operation| operation.acts_on_key());
    let mut expected: BTreeSet<_> = on_keys.map(|operation| operation.api_name()).collect();
    assert!(expected.remove("DeleteAlias"));
    assert_eq!((listed, scene.cases().len()), (expected, 43));
    Ok(())
}

#[test]
fn the_form_of_a_request_is_judged_before_its_key_is_looked_up() -> Result<()> {
    let scene = Scene::new()?;
    for case in scene.cases() {
        for endpoint in [&scene.endpoint, &scene.guest] {
            for key in [NO_KEY, &scene.key, "alias/missing", "nonsense", "arn:nonsense"] {
                let request = case.invalid_request(key);
                assert_eq!(refused(endpoint, case.operation, &request).0, INVALID, "{} {request}", case.operation);
            }
        }
    }
    Ok(())
}

#[test]
fn a_missing_key_is_reported_before_missing_permissions() -> Result<()> {
    let scene = Scene::new()?;
    for case in scene.cases() {
        let request = case.request(NO_KEY);
        let text = format!("Key 'arn:aws:kms:local:000000000000:key/{NO_KEY}' does not exist");
        assert_eq!(refused(&scene.endpoint, case.operation, &request), (MISSING, text), "{}", case.operation);
        // ReEncrypt decrypts first.
        let expected = if case.operation == "ReEncrypt" { DENIED } else { MISSING };
        assert_eq!(refused(&scene.guest, case.operation, &request).0, expected, "{}", case.operation);
    }
    Ok(())
}

#[test]
fn an_alias_is_reported_before_it_is_looked_up_where_none_is_accepted() -> Result<()> {
    let scene = Scene::new()?;
    for case in scene.cases() {
        for name in ["alias/a", "alias/missing", "arn:aws:kms:local:000000000000:alias/a"] {
            let request = case.request(name);
            if case.accepts_alias() {
                let missing = case.request("alias/missing");
                assert_eq!(refused(&scene.endpoint, case.operation, &missing).0, MISSING, "{}", case.operation);
                continue;
            }
            let expected = match case.operation {
                "CreateAlias" | "UpdateAlias" => (INVALID, "Aliases must refer to keys. Not aliases"),
                _ => ("InvalidArnException", "Key Aliases are not supported for this operation."),
            };
            for endpoint in [&scene.endpoint, &scene.guest] {
                let (code, text) = refused(endpoint, case.operation, &request);
                assert_eq!((code, text.as_str()), expected, "{} {request}", case.operation);
            }
        }
    }
    Ok(())
}

#[test]
fn missing_permissions_are_reported_before_usage_state_and_class() -> Result<()> {
    let scene = Scene::new()?;
    let keys = [
        scene.key.clone(),
        scene.pending_deletion(json!({})),
        scene.pending_deletion(of("ECC_NIST_P256", "SIGN_VERIFY")),
        scene.disabled(of("HMAC_256", "GENERATE_VERIFY_MAC")),
        scene.endpoint.key(json!({"Origin": "EXTERNAL"})),
    ];
    for case in scene.cases() {
        for key in &keys {
            let request = case.request(key);
            assert_eq!(refused(&scene.guest, case.operation, &request).0, DENIED, "{} {request}", case.operation);
        }
    }
    Ok(())
}

#[test]
fn the_usage_of_a_key_is_judged_before_its_state() -> Result<()> {
    let scene = Scene::new()?;
    let hmac = of("HMAC_256", "GENERATE_VERIFY_MAC");
    let unusable = [scene.pending_deletion(hmac.clone()), scene.disabled(hmac)];
    let ecc = of("ECC_NIST_P256", "SIGN_VERIFY");
    let unusable_for_macs = [scene.pending_deletion(ecc.clone()), scene.disabled(ecc)];
    let arn = |key: &str| format!("arn:aws:kms:local:000000000000:key/{key}");
    let mut judged = 0;
    for case in scene.cases() {
        let operation = Operation::ALL.iter().rfind(|operation| operation.api_name() == case.operation);
        if operation.is_none_or(|operation| operation.required_usage().is_none()) {
            continue;
        }
        let is_mac = case.operation.ends_with("Mac");
        let (keys, usage) = match is_mac {
            true => (&unusable_for_macs, "SIGN_VERIFY"),
            false => (&unusable, "GENERATE_VERIFY_MAC"),
        };
        for key in keys {
            let (code, text) = refused(&scene.endpoint, case.operation, &case.request(key));
            if case.operation == "Decrypt" {
                let expected = "The key ID in the request does not identify a CMK that can perform this operation.";
                assert_eq!((code, text.as_str()), ("IncorrectKeyException", expected));
            } else {
                let expected = format!("{} key usage is {usage} which is not valid for {}.", arn(key), case.operation);
                assert_eq!((code, text), (USAGE, expected));
            }
            judged += 1;
        }
    }
    assert_eq!(judged, 2 * 14);
    Ok(())
}

#[test]
fn the_state_of_a_key_is_judged_before_its_class_and_after_its_origin() -> Result<()> {
    let scene = Scene::new()?;
    let rsa = of("RSA_2048", "ENCRYPT_DECRYPT");
    let (disabled, pending) = (scene.disabled(rsa.clone()), scene.pending_deletion(rsa));
    let symmetric = scene.pending_deletion(json!({}));
    let external = scene.endpoint.key(json!({"Origin": "EXTERNAL"}));
    let data_key = json!({"KeySpec": "AES_256"});
    let wrapping = json!({"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"});
    for (operation, key, members, expected) in [
        ("GenerateDataKey", &disabled, data_key.clone(), "DisabledException"),
        ("GenerateDataKeyWithoutPlaintext", &pending, data_key, STATE),
        ("EnableKeyRotation", &disabled, json!({}), "DisabledException"),
        ("DisableKeyRotation", &disabled, json!({}), "DisabledException"),
        ("RotateKeyOnDemand", &disabled, json!({}), "DisabledException"),
        ("EnableKeyRotation", &pending, json!({}), STATE),
        ("DisableKeyRotation", &pending, json!({}), STATE),
        ("RotateKeyOnDemand", &pending, json!({}), STATE),
        ("GetPublicKey", &symmetric, json!({}), STATE),
        ("GetPublicKey", &external, json!({}), STATE),
        ("RotateKeyOnDemand", &external, json!({}), STATE),
        ("EnableKeyRotation", &external, json!({}), UNSUPPORTED),
        ("DisableKeyRotation", &external, json!({}), UNSUPPORTED),
        ("GetKeyRotationStatus", &external, json!({}), UNSUPPORTED),
        ("GetParametersForImport", &symmetric, wrapping, UNSUPPORTED),
        ("DeleteImportedKeyMaterial", &symmetric, json!({}), UNSUPPORTED),
    ] {
        let mut request = members;
        request["KeyId"] = json!(key);
        let (code, text) = refused(&scene.endpoint, operation, &request);
        assert_eq!(code, expected, "{operation} {request}");
        assert_eq!(text.contains(" origin is "), expected == UNSUPPORTED, "{operation} {text}");
    }
    Ok(())
}

#[test]
fn what_depends_on_the_key_is_judged_last() -> Result<()> {
    let scene = Scene::new()?;
    let p256 = scene.endpoint.key(of("ECC_NIST_P256", "SIGN_VERIFY"));
    let disabled = scene.disabled(of("ECC_NIST_P256", "SIGN_VERIFY"));
    let hmac = scene.disabled(of("HMAC_256", "GENERATE_VERIFY_MAC"));
    let symmetric = scene.disabled(json!({}));
    let (oaep, short) = ("RSAES_OAEP_SHA_256", base64([0; 20]));
    for (operation, request, expected) in [
        (
            "Sign",
            json!({"KeyId": disabled, "Message": "eA==", "SigningAlgorithm": "ECDSA_SHA_384"}),
            ("DisabledException", "is disabled."),
        ),
        (
            "GenerateMac",
            json!({"KeyId": hmac, "Message": "eA==", "MacAlgorithm": "HMAC_SHA_512"}),
            ("DisabledException", "is disabled."),
        ),
        (
            "Encrypt",
            json!({"KeyId": symmetric, "Plaintext": "eA==", "EncryptionAlgorithm": oaep}),
            ("DisabledException", "is disabled."),
        ),
        (
            "Sign",
            json!({"KeyId": p256, "Message": short, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_384"}),
            (USAGE, "Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256."),
        ),
        (
            "Verify",
            json!({"KeyId": p256, "Message": short, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256",
                "Signature": "eA=="}),
            (INVALID, "Digest is invalid length for algorithm ECDSA_SHA_256."),
        ),
    ] {
        let (code, text) = refused(&scene.endpoint, operation, &request);
        assert_eq!(code, expected.0, "{operation} {request}");
        assert!(text.ends_with(expected.1), "{operation} {request}: {text}");
    }
    Ok(())
}

/// A key that did not encrypt the ciphertext is reported whatever else is wrong with it, but only to
/// callers that may use it.
#[test]
fn the_key_of_a_ciphertext_is_judged_before_usage_state_and_algorithm() -> Result<()> {
    let scene = Scene::new()?;
    let rsa = scene.endpoint.key(of("RSA_2048", "ENCRYPT_DECRYPT"));
    let others = [
        scene.endpoint.key(json!({})),
        scene.disabled(json!({})),
        scene.pending_deletion(json!({})),
        scene.endpoint.key(json!({"Origin": "EXTERNAL"})),
        rsa.clone(),
        scene.disabled(of("RSA_2048", "SIGN_VERIFY")),
    ];
    for other in &others {
        let decrypt = json!({"KeyId": other, "CiphertextBlob": scene.ciphertext});
        let re_encrypt =
            json!({"SourceKeyId": other, "CiphertextBlob": scene.ciphertext, "DestinationKeyId": scene.key});
        for (operation, request) in [("Decrypt", decrypt), ("ReEncrypt", re_encrypt)] {
            let (code, text) = refused(&scene.endpoint, operation, &request);
            let expected = "The key ID in the request does not identify a CMK that can perform this operation.";
            assert_eq!((code, text.as_str()), ("IncorrectKeyException", expected), "{operation} {request}");
            assert_eq!(refused(&scene.guest, operation, &request).0, DENIED, "{operation} {request}");
        }
    }
    // The ciphertext of an RSA key without the algorithm, and bytes that are no ciphertext.
    let request = json!({"KeyId": rsa, "Plaintext": "eA==", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"});
    // Nearly all start with a byte that no ciphertext blob starts with.
    let raw = loop {
        let raw = scene.endpoint.must("Encrypt", request.clone())["CiphertextBlob"].take();
        if blob(&raw)[0] > 16 {
            break raw;
        }
    };
    for ciphertext in [raw, base64([99; 10])] {
        for key in [&others[0], &rsa] {
            let request = json!({"KeyId": key, "CiphertextBlob": ciphertext});
            assert_eq!(refused(&scene.endpoint, "Decrypt", &request), ("InvalidCiphertextException", String::new()));
        }
    }
    Ok(())
}
