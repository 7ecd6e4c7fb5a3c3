//! The answers of all operations: names, types and values.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
use strongroom::key::Operation;

use crate::wire::{CLUSTERS, Endpoint, PASSWORD, START, base64, blob, text};

/// Checks that an answer has exactly these members.
#[track_caller]
fn assert_members(answer: &Value, names: &[&str]) {
    let found: BTreeSet<&str> = answer.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(found, names.iter().copied().collect(), "{answer}");
}

fn arn(key: &str) -> String {
    format!("arn:aws:kms:local:000000000000:key/{key}")
}

/// Each function makes successful calls of the operations of one area; together, of all.
#[test]
fn every_operation_has_an_answer() {
    let endpoint = Endpoint::new();
    keys(&endpoint);
    deletion_and_usage(&endpoint);
    encryption(&endpoint);
    data_keys(&endpoint);
    signatures(&endpoint);
    codes_and_secrets(&endpoint);
    aliases_tags_and_policies(&endpoint);
    grants(&endpoint);
    rotation(&endpoint);
    import(&endpoint);
    custom_key_stores(&endpoint);
    let expected: BTreeSet<String> = Operation::ALL.iter().map(|operation| operation.api_name().to_owned()).collect();
    assert_eq!(*endpoint.answered.lock().expect("no panic"), expected);
}

fn keys(endpoint: &Endpoint) {
    let made =
        endpoint.must("CreateKey", json!({"Description": "invoices", "Tags": [{"TagKey": "a", "TagValue": ""}]}));
    let key = text(&made["KeyMetadata"]["KeyId"]);
    let expected = json!({"KeyMetadata": {
        "AWSAccountId": "000000000000", "KeyId": key, "Arn": arn(&key), "CreationDate": 1_700_000_000.25,
        "Enabled": true, "Description": "invoices", "KeyUsage": "ENCRYPT_DECRYPT", "KeyState": "Enabled",
        "Origin": "AWS_KMS", "KeyManager": "CUSTOMER", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT", "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"], "MultiRegion": false,
        "CurrentKeyMaterialId": made["KeyMetadata"]["CurrentKeyMaterialId"]
    }});
    assert_eq!(made, expected);
    assert_eq!(text(&made["KeyMetadata"]["CurrentKeyMaterialId"]).len(), 64);
    assert_eq!(endpoint.must("DescribeKey", json!({"KeyId": arn(&key), "GrantTokens": []})), expected);

    let algorithms = |request| {
        let made = endpoint.must("CreateKey", request)["KeyMetadata"].take();
        let names = ["Encryption", "Signing", "Mac", "KeyAgreement", "Encapsulation"];
        names
            .map(|name| format!("{name}Algorithms"))
            .map(|name| made.get(name).map_or(0, |list| list.as_array().expect("a list").len()))
    };
    assert_eq!(
        algorithms(json!({"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT", "Origin": "EXTERNAL"})),
        [2, 0, 0, 0, 0]
    );
    assert_eq!(
        algorithms(json!({"CustomerMasterKeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"})),
        [0, 1, 0, 0, 0]
    );
    assert_eq!(algorithms(json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"})), [0, 0, 1, 0, 0]);
    assert_eq!(algorithms(json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "KEY_AGREEMENT"})), [0, 0, 0, 1, 0]);
    assert_eq!(algorithms(json!({"KeySpec": "ML_DSA_87", "KeyUsage": "SIGN_VERIFY"})), [0, 1, 0, 0, 0]);
    assert_eq!(algorithms(json!({"KeySpec": "ML_KEM_512", "KeyUsage": "ENCAPSULATE_DECAPSULATE"})), [0, 0, 0, 0, 1]);

    let listed = endpoint.must("ListKeys", json!({}));
    assert_members(&listed, &["Keys", "Truncated"]);
    assert!(listed["Keys"].as_array().expect("a list").contains(&json!({"KeyId": key, "KeyArn": arn(&key)})));
    let shared = endpoint.must("ListKeys", json!({"ResourceOwners": ["OTHER_ACCOUNTS_VIA_RAM"]}));
    assert_eq!(shared, json!({"Keys": [], "Truncated": false}));

    assert_eq!(endpoint.must("UpdateKeyDescription", json!({"KeyId": key, "Description": "orders"})), Value::Null);
    assert_eq!(endpoint.must("DisableKey", json!({"KeyId": key})), Value::Null);
    let disabled = endpoint.must("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].take();
    assert_eq!(
        (&disabled["Description"], &disabled["Enabled"], &disabled["KeyState"]),
        (&json!("orders"), &json!(false), &json!("Disabled"))
    );
    assert_eq!(endpoint.must("EnableKey", json!({"KeyId": key})), Value::Null);
}

fn deletion_and_usage(endpoint: &Endpoint) {
    let key = endpoint.key(json!({}));
    let unused = endpoint.must("GetKeyLastUsage", json!({"KeyId": key}));
    assert_eq!(
        unused,
        json!({"KeyId": key, "KeyLastUsage": {}, "TrackingStartDate": 1_700_000_000.25, "KeyCreationDate": 1_700_000_000.25})
    );
    endpoint.must("Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}));
    let used = endpoint.must("GetKeyLastUsage", json!({"KeyId": key}))["KeyLastUsage"].take();
    assert_eq!(used, json!({"Operation": "Encrypt", "Timestamp": 1_700_000_000.25}));

    let day = 86_400.0;
    let scheduled = endpoint.must("ScheduleKeyDeletion", json!({"KeyId": key, "PendingWindowInDays": 7}));
    assert_eq!(
        scheduled,
        json!({"KeyId": arn(&key), "DeletionDate": 1_700_000_000.25 + 7.0 * day, "KeyState": "PendingDeletion",
            "PendingWindowInDays": 7})
    );
    let pending = endpoint.must("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].take();
    assert_eq!(pending["DeletionDate"], scheduled["DeletionDate"]);
    // Only multi-Region primary keys that wait for their replicas have it.
    assert_eq!(pending.get("PendingDeletionWindowInDays"), None);
    assert_eq!(endpoint.must("CancelKeyDeletion", json!({"KeyId": key})), json!({"KeyId": arn(&key)}));
    let scheduled = endpoint.must("ScheduleKeyDeletion", json!({"KeyId": key, "PendingWindowInDays": null}));
    assert_eq!(scheduled["PendingWindowInDays"], 30);
}

fn encryption(endpoint: &Endpoint) {
    let key = endpoint.key(json!({}));
    let context = json!({"table": "users", "aws-crypto-public-key": "A"});
    let request = json!({"KeyId": key, "Plaintext": base64("four words"), "EncryptionContext": context});
    let sealed = endpoint.must("Encrypt", request);
    assert_members(&sealed, &["CiphertextBlob", "KeyId", "EncryptionAlgorithm"]);
    assert_eq!((text(&sealed["KeyId"]), &sealed["EncryptionAlgorithm"]), (arn(&key), &json!("SYMMETRIC_DEFAULT")));

    let request = json!({"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": context, "KeyId": key});
    let opened = endpoint.must("Decrypt", request);
    let metadata = endpoint.must("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].take();
    assert_eq!(
        opened,
        json!({"KeyId": arn(&key), "Plaintext": base64("four words"), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "KeyMaterialId": metadata["CurrentKeyMaterialId"]})
    );

    let other = endpoint.key(json!({}));
    let moved = endpoint.must(
        "ReEncrypt",
        json!({"CiphertextBlob": sealed["CiphertextBlob"], "SourceEncryptionContext": context, "SourceKeyId": key,
            "DestinationKeyId": other, "DestinationEncryptionContext": {"row": "1"}}),
    );
    let other_metadata = endpoint.must("DescribeKey", json!({"KeyId": other}))["KeyMetadata"].take();
    assert_eq!(
        moved,
        json!({"CiphertextBlob": moved["CiphertextBlob"], "SourceKeyId": arn(&key), "KeyId": arn(&other),
            "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT", "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "SourceKeyMaterialId": metadata["CurrentKeyMaterialId"],
            "DestinationKeyMaterialId": other_metadata["CurrentKeyMaterialId"]})
    );
    let opened =
        endpoint.must("Decrypt", json!({"CiphertextBlob": moved["CiphertextBlob"], "EncryptionContext": {"row": "1"}}));
    assert_eq!(blob(&opened["Plaintext"]), b"four words");
}

fn data_keys(endpoint: &Endpoint) {
    let key = endpoint.key(json!({}));
    let open = |sealed: &Value| blob(&endpoint.must("Decrypt", json!({"CiphertextBlob": sealed}))["Plaintext"]);
    let made = endpoint.must("GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_128"}));
    assert_members(&made, &["CiphertextBlob", "Plaintext", "KeyId", "KeyMaterialId"]);
    assert_eq!(open(&made["CiphertextBlob"]), blob(&made["Plaintext"]));
    assert_eq!(blob(&made["Plaintext"]).len(), 16);
    let made = endpoint.must("GenerateDataKeyWithoutPlaintext", json!({"KeyId": key, "NumberOfBytes": 1024}));
    assert_members(&made, &["CiphertextBlob", "KeyId", "KeyMaterialId"]);
    assert_eq!(open(&made["CiphertextBlob"]).len(), 1024);

    let request = json!({"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"});
    let made = endpoint.must("GenerateDataKeyPair", request.clone());
    let shared = ["PrivateKeyCiphertextBlob", "PublicKey", "KeyId", "KeyPairSpec", "KeyMaterialId"];
    assert_members(&made, &[&shared[..], &["PrivateKeyPlaintext"]].concat());
    assert_eq!(open(&made["PrivateKeyCiphertextBlob"]), blob(&made["PrivateKeyPlaintext"]));
    let made = endpoint.must("GenerateDataKeyPairWithoutPlaintext", request);
    assert_members(&made, &shared);
    assert_eq!((text(&made["KeyId"]), &made["KeyPairSpec"]), (arn(&key), &json!("ECC_NIST_P256")));

    let random = endpoint.must("GenerateRandom", json!({"NumberOfBytes": 5}));
    assert_members(&random, &["Plaintext"]);
    assert_eq!(blob(&random["Plaintext"]).len(), 5);
}

fn signatures(endpoint: &Endpoint) {
    let key = endpoint.key(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}));
    let request = json!({"KeyId": key, "Message": base64([7; 32]), "SigningAlgorithm": "ECDSA_SHA_256"});
    let with = |name: &str, value: Value| {
        let mut request = request.clone();
        request[name] = value;
        request
    };
    let signed = endpoint.must("Sign", with("MessageType", "DIGEST".into()));
    assert_members(&signed, &["KeyId", "Signature", "SigningAlgorithm"]);
    let mut verify = with("MessageType", "DIGEST".into());
    verify["Signature"] = signed["Signature"].clone();
    let verified = endpoint.must("Verify", verify);
    assert_eq!(verified, json!({"KeyId": arn(&key), "SignatureValid": true, "SigningAlgorithm": "ECDSA_SHA_256"}));

    let public = endpoint.must("GetPublicKey", json!({"KeyId": key}));
    assert_eq!(
        public,
        json!({"KeyId": arn(&key), "PublicKey": public["PublicKey"], "CustomerMasterKeySpec": "ECC_NIST_P256",
            "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": ["ECDSA_SHA_256"]})
    );
    assert_eq!(blob(&public["PublicKey"]).len(), 91);
}

fn codes_and_secrets(endpoint: &Endpoint) {
    let key = endpoint.key(json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}));
    let mut request = json!({"KeyId": key, "Message": base64("text"), "MacAlgorithm": "HMAC_SHA_256"});
    let made = endpoint.must("GenerateMac", request.clone());
    assert_members(&made, &["Mac", "KeyId", "MacAlgorithm"]);
    request["Mac"] = made["Mac"].clone();
    let verified = endpoint.must("VerifyMac", request);
    assert_eq!(verified, json!({"KeyId": arn(&key), "MacValid": true, "MacAlgorithm": "HMAC_SHA_256"}));

    let key = endpoint.key(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}));
    let backend = CryptoBackend::default();
    let peer = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random()).expect("a key pair");
    let request = json!({"KeyId": key, "KeyAgreementAlgorithm": "ECDH", "PublicKey": base64(peer.public_key_der())});
    let derived = endpoint.must("DeriveSharedSecret", request);
    assert_eq!(
        derived,
        json!({"KeyId": arn(&key), "SharedSecret": derived["SharedSecret"], "KeyAgreementAlgorithm": "ECDH",
            "KeyOrigin": "AWS_KMS"})
    );
    assert_eq!(blob(&derived["SharedSecret"]).len(), 32);

    let key = endpoint.key(json!({"KeySpec": "ML_KEM_768", "KeyUsage": "ENCAPSULATE_DECAPSULATE"}));
    let mut request = json!({"KeyId": key, "EncapsulationAlgorithm": "ML_KEM"});
    let sent = endpoint.must("Encapsulate", request.clone());
    assert_members(&sent, &["KeyId", "SharedSecret", "SharedSecretCiphertextBlob", "EncapsulationAlgorithm"]);
    assert_eq!((&sent["KeyId"], &sent["EncapsulationAlgorithm"]), (&json!(arn(&key)), &json!("ML_KEM")));
    assert_eq!(blob(&sent["SharedSecretCiphertextBlob"]).len(), 1_088);
    request["SharedSecretCiphertextBlob"] = sent["SharedSecretCiphertextBlob"].clone();
    let received = endpoint.must("Decapsulate", request);
    assert_eq!(
        received,
        json!({"KeyId": arn(&key), "SharedSecret": sent["SharedSecret"], "EncapsulationAlgorithm": "ML_KEM"})
    );
    let public = endpoint.must("GetPublicKey", json!({"KeyId": key}));
    assert_eq!(public["EncapsulationAlgorithms"], json!(["ML_KEM"]));

    let key = endpoint.key(json!({"KeySpec": "ML_DSA_65", "KeyUsage": "SIGN_VERIFY"}));
    for (form, message) in [("RAW", vec![7; 4_096]), ("EXTERNAL_MU", vec![7; 64])] {
        let mut request = json!({"KeyId": key, "Message": base64(message), "MessageType": form,
            "SigningAlgorithm": "ML_DSA_SHAKE_256"});
        let signed = endpoint.must("Sign", request.clone());
        assert_eq!(blob(&signed["Signature"]).len(), 3_309);
        request["Signature"] = signed["Signature"].clone();
        assert_eq!(endpoint.must("Verify", request)["SignatureValid"], json!(true));
    }
}

fn aliases_tags_and_policies(endpoint: &Endpoint) {
    let (key, other) = (endpoint.key(json!({})), endpoint.key(json!({})));
    let alias = json!({"AliasName": "alias/a", "TargetKeyId": key});
    assert_eq!(endpoint.must("CreateAlias", alias), Value::Null);
    let listed = endpoint.must("ListAliases", json!({"KeyId": key}));
    let entry = json!({"AliasName": "alias/a", "AliasArn": "arn:aws:kms:local:000000000000:alias/a", "TargetKeyId": key,
        "CreationDate": 1_700_000_000.25, "LastUpdatedDate": 1_700_000_000.25});
    assert_eq!(listed, json!({"Aliases": [entry], "Truncated": false}));
    let moved = json!({"AliasName": "alias/a", "TargetKeyId": other});
    assert_eq!(endpoint.must("UpdateAlias", moved), Value::Null);
    assert_eq!(endpoint.must("ListAliases", json!({}))["Aliases"][0]["TargetKeyId"], other);
    assert_eq!(endpoint.must("DeleteAlias", json!({"AliasName": "alias/a"})), Value::Null);

    let tags = json!([{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": ""}]);
    assert_eq!(endpoint.must("TagResource", json!({"KeyId": key, "Tags": tags})), Value::Null);
    assert_eq!(endpoint.must("ListResourceTags", json!({"KeyId": key})), json!({"Tags": tags, "Truncated": false}));
    assert_eq!(endpoint.must("UntagResource", json!({"KeyId": key, "TagKeys": ["b", "c"]})), Value::Null);
    assert_eq!(endpoint.must("ListResourceTags", json!({"KeyId": key}))["Tags"], json!([tags[0]]));

    let policy = endpoint.must("GetKeyPolicy", json!({"KeyId": key, "PolicyName": "default"}));
    assert_members(&policy, &["Policy", "PolicyName"]);
    assert_eq!(policy["PolicyName"], "default");
    let document = text(&policy["Policy"]).replace("Enable IAM User Permissions", "é");
    let request = json!({"KeyId": key, "Policy": document, "BypassPolicyLockoutSafetyCheck": true});
    assert_eq!(endpoint.must("PutKeyPolicy", request), Value::Null);
    assert_eq!(endpoint.must("GetKeyPolicy", json!({"KeyId": key}))["Policy"], document);
    let names = endpoint.must("ListKeyPolicies", json!({"KeyId": key}));
    assert_eq!(names, json!({"PolicyNames": ["default"], "Truncated": false}));
}

fn grants(endpoint: &Endpoint) {
    let key = endpoint.key(json!({}));
    let [alice, bob] = ["alice", "bob"].map(|name| format!("arn:aws:iam::000000000000:user/{name}"));
    let request = json!({"KeyId": key, "GranteePrincipal": alice, "RetiringPrincipal": bob, "Name": "n",
        "Operations": ["Decrypt", "Encrypt"], "Constraints": {"EncryptionContextSubset": {"a": "1"}}});
    let made = endpoint.must("CreateGrant", request);
    assert_members(&made, &["GrantId", "GrantToken"]);
    let entry = json!({"KeyId": arn(&key), "GrantId": made["GrantId"], "Name": "n", "CreationDate": 1_700_000_000.25,
        "GranteePrincipal": alice, "RetiringPrincipal": bob, "IssuingAccount": "arn:aws:iam::000000000000:root",
        "Operations": ["Encrypt", "Decrypt"], "Constraints": {"EncryptionContextSubset": {"a": "1"}}});
    let expected = json!({"Grants": [entry], "Truncated": false});
    assert_eq!(endpoint.must("ListGrants", json!({"KeyId": key, "GrantId": made["GrantId"]})), expected);
    assert_eq!(endpoint.must("ListGrants", json!({"KeyId": key, "GranteePrincipal": alice})), expected);
    assert_eq!(endpoint.must("ListRetirableGrants", json!({"RetiringPrincipal": bob})), expected);
    let dry = json!({"KeyId": key, "GrantId": made["GrantId"], "DryRun": true});
    assert_eq!(endpoint.call("RevokeGrant", dry).map_err(|(code, _)| code), Err("DryRunOperationException"));
    assert_eq!(endpoint.must("RevokeGrant", json!({"KeyId": key, "GrantId": made["GrantId"]})), Value::Null);

    let request = json!({"KeyId": key, "GranteePrincipal": alice, "Operations": ["DescribeKey"]});
    let made = endpoint.must("CreateGrant", request);
    let entry = endpoint.must("ListGrants", json!({"KeyId": key}))["Grants"][0].take();
    assert_members(&entry, &["KeyId", "GrantId", "CreationDate", "GranteePrincipal", "IssuingAccount", "Operations"]);
    assert_eq!(endpoint.must("RetireGrant", json!({"GrantToken": made["GrantToken"]})), Value::Null);
    assert_eq!(endpoint.must("ListGrants", json!({"KeyId": key}))["Grants"], json!([]));
}

fn rotation(endpoint: &Endpoint) {
    let key = endpoint.key(json!({}));
    assert_eq!(endpoint.must("EnableKeyRotation", json!({"KeyId": key})), Value::Null);
    let status = endpoint.must("GetKeyRotationStatus", json!({"KeyId": key}));
    assert_eq!(
        status,
        json!({"KeyId": key, "KeyRotationEnabled": true, "RotationPeriodInDays": 365,
            "NextRotationDate": 1_700_000_000.25 + 365.0 * 86_400.0})
    );
    assert_eq!(endpoint.must("DisableKeyRotation", json!({"KeyId": key})), Value::Null);
    let status = endpoint.must("GetKeyRotationStatus", json!({"KeyId": key}));
    assert_eq!(status, json!({"KeyId": key, "KeyRotationEnabled": false}));
    assert_eq!(endpoint.must("RotateKeyOnDemand", json!({"KeyId": key})), json!({"KeyId": key}));
    let rotated = endpoint.must("ListKeyRotations", json!({"KeyId": key}));
    let material = &rotated["Rotations"][0]["KeyMaterialId"];
    let entry = json!({"KeyId": key, "KeyMaterialId": material, "KeyMaterialState": "CURRENT",
        "RotationDate": 1_700_000_000.25, "RotationType": "ON_DEMAND"});
    assert_eq!(rotated, json!({"Rotations": [entry], "Truncated": false}));
    let all = endpoint.must("ListKeyRotations", json!({"KeyId": key, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"}));
    assert_members(&all["Rotations"][0], &["KeyId", "KeyMaterialId", "KeyMaterialState"]);
    assert_eq!(all["Rotations"].as_array().map(Vec::len), Some(2));
}

fn import(endpoint: &Endpoint) {
    let key = endpoint.key(json!({"Origin": "EXTERNAL"}));
    let request = json!({"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"});
    let parameters = endpoint.must("GetParametersForImport", request);
    assert_members(&parameters, &["KeyId", "ImportToken", "PublicKey", "ParametersValidTo"]);
    assert_eq!(parameters["ParametersValidTo"], 1_700_000_000.25 + 86_400.0);
    assert_eq!(text(&parameters["KeyId"]), arn(&key));
    let nothing = endpoint.must("DeleteImportedKeyMaterial", json!({"KeyId": key}));
    assert_eq!(nothing, json!({"KeyId": arn(&key)}));

    let backend = CryptoBackend::default();
    let wrapping = backend.key_pairs().public_key(KeyPairKind::Rsa2048, &blob(&parameters["PublicKey"]));
    let material = wrapping.and_then(|key| key.encrypt(RsaOaep::Sha256, &[9; 32], backend.random()));
    let material = material.expect("an RSA key wraps the material");
    let imported = endpoint.must(
        "ImportKeyMaterial",
        json!({"KeyId": key, "ImportToken": parameters["ImportToken"], "EncryptedKeyMaterial": base64(material),
            "ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": 1_700_000_060.5, "KeyMaterialDescription": "vault 1"}),
    );
    assert_members(&imported, &["KeyId", "KeyMaterialId"]);
    let metadata = endpoint.must("DescribeKey", json!({"KeyId": key}))["KeyMetadata"].take();
    assert_eq!(
        (&metadata["ValidTo"], &metadata["ExpirationModel"], &metadata["CurrentKeyMaterialId"]),
        (&json!(1_700_000_060.5), &json!("KEY_MATERIAL_EXPIRES"), &imported["KeyMaterialId"])
    );
    let all = endpoint.must("ListKeyRotations", json!({"KeyId": key, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"}));
    let entry = json!({"KeyId": key, "KeyMaterialId": imported["KeyMaterialId"], "KeyMaterialState": "CURRENT",
        "KeyMaterialDescription": "vault 1", "ImportState": "IMPORTED", "ExpirationModel": "KEY_MATERIAL_EXPIRES",
        "ValidTo": 1_700_000_060.5});
    assert_eq!(all["Rotations"], json!([entry]));
    assert_eq!(endpoint.must("DeleteImportedKeyMaterial", json!({"KeyId": key})), imported);
}

fn custom_key_stores(endpoint: &Endpoint) {
    let request = json!({"CustomKeyStoreName": "safe", "CloudHsmClusterId": CLUSTERS[0], "KeyStorePassword": PASSWORD,
        "TrustAnchorCertificate": "not used"});
    let made = endpoint.must("CreateCustomKeyStore", request);
    assert_members(&made, &["CustomKeyStoreId"]);
    let id = &made["CustomKeyStoreId"];
    assert_eq!(
        endpoint.must("UpdateCustomKeyStore", json!({"CustomKeyStoreId": id, "NewCustomKeyStoreName": "vault"})),
        json!({})
    );
    assert_eq!(endpoint.must("ConnectCustomKeyStore", json!({"CustomKeyStoreId": id})), json!({}));
    let expected = json!({"CustomKeyStores": [{"CustomKeyStoreId": id, "CustomKeyStoreName": "vault",
        "CloudHsmClusterId": CLUSTERS[0], "ConnectionState": "CONNECTED", "CreationDate": 1_700_000_000.25,
        "CustomKeyStoreType": "AWS_CLOUDHSM"}], "Truncated": false});
    for filter in [json!({}), json!({"CustomKeyStoreId": id}), json!({"CustomKeyStoreName": "vault"})] {
        assert_eq!(endpoint.must("DescribeCustomKeyStores", filter), expected);
    }
    let request = json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": id});
    let key = endpoint.must("CreateKey", request)["KeyMetadata"].take();
    assert_eq!((&key["CustomKeyStoreId"], &key["CloudHsmClusterId"]), (id, &json!(CLUSTERS[0])));
    assert_eq!((&key["Origin"], key.get("CurrentKeyMaterialId")), (&json!("AWS_CLOUDHSM"), None));
    assert_eq!(endpoint.must("DisconnectCustomKeyStore", json!({"CustomKeyStoreId": id})), json!({}));
    let refused = endpoint.call("DeleteCustomKeyStore", json!({"CustomKeyStoreId": id})).map_err(|(code, _)| code);
    assert_eq!(refused, Err("CustomKeyStoreHasCMKsException"));

    let request =
        json!({"CustomKeyStoreName": "other", "CloudHsmClusterId": CLUSTERS[1], "KeyStorePassword": PASSWORD});
    let other = endpoint.must("CreateCustomKeyStore", request)["CustomKeyStoreId"].take();
    assert_eq!(endpoint.must("DeleteCustomKeyStore", json!({"CustomKeyStoreId": other})), json!({}));
}

/// Times have the precision of the library, also where floating-point numbers are not exact.
#[test]
fn times_are_exact_to_the_millisecond() {
    for millis in [START, START + 1, START + 749, 1_734_567_890_123] {
        let endpoint = Endpoint::new();
        endpoint.clock.set(strongroom::Timestamp::from_unix_millis(millis));
        let made = endpoint.must("CreateKey", json!({}))["KeyMetadata"]["CreationDate"].take();
        assert_eq!(made.as_f64(), format!("{}.{:03}", millis / 1000, millis % 1000).parse().ok());
    }
}

/// An answer may contain a plaintext; `Debug` must not show it.
#[test]
fn debug_of_a_reply_shows_no_body() {
    let endpoint = Endpoint::new();
    let reply = endpoint.send("GenerateRandom", br#"{"NumberOfBytes": 32}"#);
    let plaintext = text(&super::json_of(&reply)["Plaintext"]);
    let shown = format!("{reply:?}");
    assert!(shown.contains("200") && shown.contains("SecretBytes(") && !shown.contains(&plaintext), "{shown}");
    assert_eq!(reply.into_body().expose_secret(), format!(r#"{{"Plaintext":"{plaintext}"}}"#).as_bytes());
}
