//! Key policies and identity policies as the KMS applies them.

use std::sync::Arc;

use strongroom::algorithm::{
    KeyAgreementAlgorithm, MacAlgorithm, SigningAlgorithm, WrappingAlgorithm, WrappingKeySpec,
};
use strongroom::audit::MemoryTrail;
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{
    AliasArn, DataKeyPairSpec, DeletionWindow, KeyId, KeySpec, KeyUsage, Operation, Origin, RotationPeriod, Tag,
};
use strongroom::policy::{AttachedPolicies, Decision, GrantTerms, Policy, PolicyRequest, RequestParameter};
use strongroom::request::{
    CreateGrantRequest, CreateKeyRequest, DecryptRequest, DeriveSharedSecretRequest, EncryptRequest,
    GenerateDataKeyPairRequest, GenerateDataKeyRequest, GenerateMacRequest, GetParametersForImportRequest,
    ImportKeyMaterialRequest, PageRequest, PutKeyPolicyRequest, ReEncryptRequest, SignRequest,
};
use strongroom::{EncryptionContext, ErrorKind, Kms, Result, Timestamp};

use crate::support::any_store;
use crate::support::kms::kind;
use crate::support::policies::{identity_policy, key_policy, user};

#[test]
fn a_user_without_any_policy_can_do_nothing() -> Result<()> {
    let kms = any_store::kms()?;
    let alice = kms.as_principal(user("alice")?)?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    assert_eq!(kind(alice.create_key(CreateKeyRequest::default())), ErrorKind::AccessDenied);
    assert_eq!(kind(alice.list_keys(PageRequest::default())), ErrorKind::AccessDenied);
    assert_eq!(kind(alice.generate_random(8)), ErrorKind::AccessDenied);
    assert_eq!(kind(alice.describe_key(key)), ErrorKind::AccessDenied);
    Ok(())
}

/// Tagging a new key requires a separate permission on this key, subject to the conditions on tags
/// in the request.
#[test]
fn a_key_with_tags_is_made_by_whoever_may_tag_keys() -> Result<()> {
    let kms = any_store::kms()?;
    let alice = kms.as_principal(user("alice")?)?;
    let tagged = |team: &str| alice.create_key(CreateKeyRequest::default().tag("team", team));
    let may_tag = |statement: &str| {
        let document =
            format!(r#"{{"Version": "2012-10-17", "Statement": {{"Action": "kms:TagResource", {statement}}}}}"#);
        kms.put_identity_policy(&user("alice")?, "tags", &document)
    };
    kms.put_identity_policy(&user("alice")?, "makes-keys", &identity_policy("Allow", "kms:CreateKey"))?;
    alice.create_key(CreateKeyRequest::default())?;
    let allowing_policy = key_policy(&[r#"{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}"#]);
    let with_policy = CreateKeyRequest::default().tag("team", "billing").policy(allowing_policy);
    assert_eq!(
        kind(alice.create_key(with_policy)),
        ErrorKind::AccessDenied,
        "the policy of the new key does not apply"
    );
    let refused = tagged("billing").expect_err("she may not tag").to_string();
    assert!(refused.contains("kms:TagResource"), "{refused}");
    assert_eq!(kms.list_keys(PageRequest::default())?.entries.len(), 1, "nothing was created");
    may_tag(
        r#""Effect": "Allow", "Resource": "arn:aws:kms:*:000000000000:key/*",
        "Condition": {"StringEquals": {"aws:RequestTag/team": "billing"}}"#,
    )?;
    let made = tagged("billing")?.key_id();
    assert_eq!(kms.list_resource_tags(made, PageRequest::default())?.entries, [Tag::new("team", "billing")?]);
    assert_eq!(kind(tagged("sales")), ErrorKind::AccessDenied);
    may_tag(r#""Effect": "Allow", "Resource": "*", "Condition": {"Null": {"aws:ResourceTag/team": "true"}}"#)?;
    tagged("sales")?;
    may_tag(r#""Effect": "Deny", "Resource": "*""#)?;
    assert_eq!(kind(tagged("sales")), ErrorKind::AccessDenied);
    kms.create_key(CreateKeyRequest::default().tag("team", "billing"))?;
    Ok(())
}

#[test]
fn an_identity_policy_decides_what_has_no_key_and_every_key_that_is_left_to_the_account() -> Result<()> {
    let kms = any_store::kms()?;
    let alice = kms.as_principal(user("alice")?)?;
    kms.put_identity_policy(&user("alice")?, "makes-keys", &identity_policy("Allow", "kms:CreateKey"))?;
    let key = alice.create_key(CreateKeyRequest::default())?.key_id();
    assert_eq!(kind(alice.encrypt(EncryptRequest::new(key, b"x"))), ErrorKind::AccessDenied);
    kms.put_identity_policy(&user("alice")?, "writes", &identity_policy("Allow", "kms:Encrypt"))?;
    let blob = alice.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    assert_eq!(kind(alice.decrypt(DecryptRequest::new(&blob))), ErrorKind::AccessDenied);
    let bob = kms.as_principal(user("bob")?)?;
    assert_eq!(
        kind(bob.encrypt(EncryptRequest::new(key, b"x"))),
        ErrorKind::AccessDenied,
        "only alice can use the key"
    );
    kms.delete_identity_policy(&user("alice")?, "writes")?;
    assert_eq!(kind(alice.encrypt(EncryptRequest::new(key, b"x"))), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn of_a_principal_without_policies_nothing_is_left_in_the_store() -> Result<()> {
    let (kms, alice) = (any_store::kms()?, user("alice")?);
    let records = || kms.verify_store(|_| {}).map(|report| report.records());
    kms.put_identity_policy(&alice, "a", &identity_policy("Allow", "kms:*"))?;
    let one = records()?;
    kms.put_identity_policy(&alice, "b", &identity_policy("Allow", "kms:*"))?;
    kms.delete_identity_policy(&alice, "a")?;
    assert_eq!(records()?, one);
    kms.delete_identity_policy(&alice, "b")?;
    assert_eq!(records()?, one - 1);
    Ok(())
}

#[test]
fn an_identity_policy_says_nothing_where_the_key_policy_does_not_leave_it_to_the_account() -> Result<()> {
    let kms = any_store::kms()?;
    let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:user/keeper"}, "Action": "kms:*", "Resource": "*"}}"#;
    kms.put_identity_policy(&user("keeper")?, "all", &identity_policy("Allow", "kms:CreateKey"))?;
    let keeper = kms.as_principal(user("keeper")?)?;
    let key = keeper.create_key(CreateKeyRequest::default().policy(policy))?.key_id();
    kms.put_identity_policy(&user("alice")?, "all", &identity_policy("Allow", "kms:*"))?;
    let alice = kms.as_principal(user("alice")?)?;
    assert_eq!(kind(alice.describe_key(key)), ErrorKind::AccessDenied);
    assert_eq!(kind(kms.describe_key(key)), ErrorKind::AccessDenied, "nor may the account itself");
    assert!(keeper.describe_key(key).is_ok());
    Ok(())
}

#[test]
fn an_explicit_deny_ends_it_wherever_it_stands() -> Result<()> {
    let kms = any_store::kms()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let (alice, denied) = (kms.as_principal(user("alice")?)?, identity_policy("Deny", "kms:Encrypt"));
    kms.put_identity_policy(&user("alice")?, "all", &identity_policy("Allow", "kms:*"))?;
    assert!(alice.encrypt(EncryptRequest::new(key, b"x")).is_ok());
    kms.put_identity_policy(&user("alice")?, "not-this", &denied)?;
    assert_eq!(kind(alice.encrypt(EncryptRequest::new(key, b"x"))), ErrorKind::AccessDenied);
    kms.delete_identity_policy(&user("alice")?, "not-this")?;
    let deny = r#"{"Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"}"#;
    kms.put_key_policy(PutKeyPolicyRequest::new(key, &key_policy(&[deny])))?;
    assert_eq!(kind(alice.encrypt(EncryptRequest::new(key, b"x"))), ErrorKind::AccessDenied);
    assert_eq!(kind(kms.encrypt(EncryptRequest::new(key, b"x"))), ErrorKind::AccessDenied, "the account, too");
    Ok(())
}

#[test]
fn identity_policies_are_managed_by_the_authority_and_the_root_of_the_account() -> Result<()> {
    let kms = any_store::kms()?;
    let other = AccountId::parse("111122223333")?;
    let (root, stranger) = (Principal::root(other), Principal::user(other, "eve")?);
    let policy = identity_policy("Allow", "kms:ListKeys");
    kms.put_identity_policy(&stranger, "b", &policy)?;
    let theirs = kms.as_principal(root.clone())?;
    theirs.put_identity_policy(&stranger, "a", &policy)?;
    assert_eq!(theirs.list_identity_policies(&stranger)?, ["a", "b"]);
    assert_eq!(theirs.get_identity_policy(&stranger, "a")?, policy);
    let eve = kms.as_principal(stranger.clone())?;
    eve.list_keys(PageRequest::default())?;
    for refused in [&eve, &kms.as_service("s3")?.on_behalf_of(&theirs)?] {
        assert_eq!(kind(refused.put_identity_policy(&stranger, "c", &policy)), ErrorKind::AccessDenied);
        assert_eq!(kind(refused.get_identity_policy(&stranger, "a")), ErrorKind::AccessDenied);
        assert_eq!(kind(refused.list_identity_policies(&stranger)), ErrorKind::AccessDenied);
        assert_eq!(kind(refused.delete_identity_policy(&stranger, "a")), ErrorKind::AccessDenied);
    }
    assert_eq!(kind(theirs.put_identity_policy(&user("alice")?, "c", &policy)), ErrorKind::AccessDenied);
    assert_eq!(kind(kms.put_identity_policy(&root, "c", &policy)), ErrorKind::Validation);
    assert_eq!(kind(kms.put_identity_policy(&stranger, "no spaces", &policy)), ErrorKind::Validation);
    assert_eq!(kind(kms.put_identity_policy(&stranger, "c", "{}")), ErrorKind::MalformedPolicyDocument);
    assert_eq!(kind(kms.get_identity_policy(&stranger, "c")), ErrorKind::NotFound);
    assert_eq!(kind(kms.delete_identity_policy(&stranger, "c")), ErrorKind::NotFound);
    for number in 2..10 {
        kms.put_identity_policy(&stranger, &format!("p{number}"), &policy)?;
    }
    assert_eq!(kind(kms.put_identity_policy(&stranger, "eleventh", &policy)), ErrorKind::LimitExceeded);
    Ok(())
}

#[test]
fn every_call_about_identity_policies_is_on_the_trail() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = any_store::builder().audit(Arc::clone(&trail)).build()?;
    let alice = user("alice")?;
    kms.put_identity_policy(&alice, "a", &identity_policy("Allow", "kms:*"))?;
    kms.get_identity_policy(&alice, "a")?;
    kms.list_identity_policies(&alice)?;
    kms.delete_identity_policy(&alice, "a")?;
    let seen: Vec<_> = trail.events().iter().map(|event| event.action.to_string()).collect();
    let twice = |name: &'static str| [name, name];
    let expected = [
        &twice("PutIdentityPolicy")[..],
        &["GetIdentityPolicy", "ListIdentityPolicies"],
        &twice("DeleteIdentityPolicy"),
    ]
    .concat();
    assert_eq!(seen, expected, "a change has an intent and an outcome");
    Ok(())
}

#[test]
fn a_policy_that_locks_its_caller_out_is_refused_unless_the_caller_insists() -> Result<()> {
    let kms = any_store::kms()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let lockout = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"}, "Action": "kms:*", "Resource": "*"}}"#;
    let before = kms.get_key_policy(key)?;
    assert_eq!(kind(kms.put_key_policy(PutKeyPolicyRequest::new(key, lockout))), ErrorKind::MalformedPolicyDocument);
    assert_eq!(kms.get_key_policy(key)?, before);
    let request = CreateKeyRequest::default().policy(lockout);
    assert_eq!(kind(kms.create_key(request.clone())), ErrorKind::MalformedPolicyDocument);
    kms.create_key(request.bypass_policy_lockout_safety_check())?;
    kms.put_key_policy(PutKeyPolicyRequest::new(key, lockout).bypass_policy_lockout_safety_check())?;
    assert_eq!(kind(kms.get_key_policy(key)), ErrorKind::AccessDenied);
    assert_eq!(kms.as_principal(user("alice")?)?.get_key_policy(key)?, lockout);
    Ok(())
}

#[test]
fn a_policy_is_given_back_as_it_was_put_and_listed_as_default() -> Result<()> {
    let kms = any_store::kms()?;
    let policy = key_policy(&[]);
    let key = kms.create_key(CreateKeyRequest::default().policy(&policy))?.key_id();
    assert_eq!(kms.get_key_policy(key)?, policy);
    assert_eq!(kms.list_key_policies(key, PageRequest::default())?.entries, ["default"]);
    assert_eq!(kind(kms.put_key_policy(PutKeyPolicyRequest::new(key, "{"))), ErrorKind::MalformedPolicyDocument);
    assert_eq!(kind(kms.put_key_policy(PutKeyPolicyRequest::new("alias/x", &policy))), ErrorKind::InvalidArn);
    Ok(())
}

#[test]
fn another_account_needs_the_key_policy_and_a_policy_of_its_own() -> Result<()> {
    let kms = any_store::kms()?;
    let other = AccountId::parse("111122223333")?;
    let to_account = r#"{"Effect": "Allow", "Principal": {"AWS": "111122223333"},
        "Action": ["kms:Encrypt", "kms:DescribeKey"], "Resource": "*"}"#;
    let key = kms.create_key(CreateKeyRequest::default().policy(key_policy(&[to_account])))?;
    let eve = Principal::user(other, "eve")?;
    let (theirs, as_eve) = (kms.as_principal(Principal::root(other))?, kms.as_principal(eve.clone())?);
    let encrypt = |kms: &Kms| kms.encrypt(EncryptRequest::new(key.arn(), b"x"));
    assert!(encrypt(&theirs).is_ok());
    assert_eq!(kind(encrypt(&as_eve)), ErrorKind::NotFound, "the account of the caller has not allowed the call");
    kms.put_identity_policy(&eve, "all", &identity_policy("Allow", "kms:*"))?;
    let blob = encrypt(&as_eve)?.ciphertext_blob;
    assert_eq!(kind(as_eve.decrypt(DecryptRequest::new(&blob).key(key.arn())?)), ErrorKind::NotFound);
    Ok(())
}

#[test]
fn an_alias_takes_a_permission_on_itself_and_one_on_each_key() -> Result<()> {
    let kms = any_store::kms()?;
    let alice = user("alice")?;
    let as_alice = kms.as_principal(alice.clone())?;
    let on = |resource: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
            "Action": ["kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias"], "Resource": "{resource}"}}}}"#
        )
    };
    let (one, two) = (kms.create_key(CreateKeyRequest::default())?, kms.create_key(CreateKeyRequest::default())?);
    let alias = AliasArn::new(kms.locality().clone(), one.account(), "alias/x".parse()?).to_string();
    kms.put_identity_policy(&alice, "key", &on(&one.arn().to_string()))?;
    assert_eq!(kind(as_alice.create_alias("alias/x", one.arn())), ErrorKind::AccessDenied, "the alias");
    kms.put_identity_policy(&alice, "alias", &on(&alias))?;
    as_alice.create_alias("alias/x", one.arn())?;
    assert_eq!(kind(as_alice.create_alias("alias/y", one.arn())), ErrorKind::AccessDenied, "another alias");
    assert_eq!(kind(as_alice.update_alias("alias/x", two.arn())), ErrorKind::AccessDenied, "the new key");
    kms.put_identity_policy(&alice, "key", &on(&two.arn().to_string()))?;
    assert_eq!(kind(as_alice.update_alias("alias/x", two.arn())), ErrorKind::AccessDenied, "the old key");
    assert_eq!(kind(as_alice.delete_alias("alias/x")), ErrorKind::AccessDenied, "the key it points to");
    kms.put_identity_policy(&alice, "other-key", &on(&one.arn().to_string()))?;
    as_alice.update_alias("alias/x", two.arn())?;
    as_alice.delete_alias("alias/x")
}

/// Runs a call with a policy that allows it only under a condition.
fn under(
    condition: &str,
    spec: KeySpec,
    usage: KeyUsage,
    origin: Origin,
    run: &dyn Fn(&Kms, KeyId) -> Result<()>,
) -> bool {
    let statement = format!(
        r#"{{"Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::000000000000:user/alice"}}, "Action": "kms:*",
        "Resource": "*", "Condition": {condition}}}"#
    );
    let kms = any_store::kms().expect("memory");
    let request = CreateKeyRequest::default().spec(spec).usage(usage).origin(origin).policy(key_policy(&[&statement]));
    let key = kms.create_key(request).expect("a key").key_id();
    let decrypts = key_policy(&[
        &statement,
        r#"{"Effect": "Allow", "Principal": "*", "Action": "kms:ReEncryptFrom", "Resource": "*"}"#,
    ]);
    kms.put_key_policy(PutKeyPolicyRequest::new(key, &decrypts)).expect("a policy");
    kms.create_alias("alias/one", key).expect("an alias");
    let alice = kms.as_principal(user("alice").expect("a name")).expect("the authority");
    match run(&alice, key).map_err(|error| error.kind()) {
        Err(ErrorKind::AccessDenied) => false,
        Err(ErrorKind::Internal) => panic!("{condition}: the request lacks a value that the policy refers to"),
        _ => true,
    }
}

/// A condition, a call that meets it, and a call that does not.
macro_rules! condition {
    ($name:ident, $key:expr, $value:expr, $spec:expr, $usage:expr, $meets:expr, $misses:expr) => {
        #[test]
        fn $name() {
            let condition = format!(r#"{{"StringEquals": {{"{}": "{}"}}}}"#, $key, $value);
            let origin =
                if $key.contains("Wrapping") || $key.contains("Expiration") { Origin::External } else { Origin::Kms };
            assert!(under(&condition, $spec, $usage, origin, &$meets), "{condition} is met");
            assert!(!under(&condition, $spec, $usage, origin, &$misses), "{condition} is not met");
        }
    };
}

const AES: (KeySpec, KeyUsage) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
const HMAC: (KeySpec, KeyUsage) = (KeySpec::Hmac256, KeyUsage::GenerateVerifyMac);
const P256: (KeySpec, KeyUsage) = (KeySpec::EccNistP256, KeyUsage::SignVerify);

fn with_context(kms: &Kms, key: KeyId, context: &[(&str, &str)]) -> Result<()> {
    let context: EncryptionContext = context.iter().copied().collect();
    kms.generate_data_key(GenerateDataKeyRequest::new(key).context(&context)).map(drop)
}

condition!(
    the_encryption_context_is_told,
    "kms:EncryptionContext:tenant",
    "42",
    AES.0,
    AES.1,
    |kms, key| with_context(kms, key, &[("tenant", "42"), ("more", "x")]),
    |kms, key| with_context(kms, key, &[("tenant", "43")])
);
condition!(
    the_request_alias_is_told,
    "kms:RequestAlias",
    "alias/one",
    AES.0,
    AES.1,
    |kms, _| kms.generate_data_key(GenerateDataKeyRequest::new("alias/one")).map(drop),
    |kms, key| kms.generate_data_key(GenerateDataKeyRequest::new(key)).map(drop)
);
condition!(
    the_data_key_pair_spec_is_told,
    "kms:DataKeyPairSpec",
    "ECC_NIST_P256",
    AES.0,
    AES.1,
    |kms, key| kms.generate_data_key_pair(GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::EccNistP256)).map(drop),
    |kms, key| kms.generate_data_key_pair(GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::EccNistP384)).map(drop)
);
condition!(
    the_encryption_algorithm_is_told,
    "kms:EncryptionAlgorithm",
    "SYMMETRIC_DEFAULT",
    AES.0,
    AES.1,
    |kms, key| kms.encrypt(EncryptRequest::new(key, b"x")).map(drop),
    |kms, key| kms.describe_key(key).map(drop)
);
condition!(
    the_mac_algorithm_is_told,
    "kms:MacAlgorithm",
    "HMAC_SHA_256",
    HMAC.0,
    HMAC.1,
    |kms, key| kms.generate_mac(GenerateMacRequest::new(key, MacAlgorithm::HmacSha256, b"x")).map(drop),
    |kms, key| kms.generate_mac(GenerateMacRequest::new(key, MacAlgorithm::HmacSha512, b"x")).map(drop)
);
condition!(
    the_signing_algorithm_is_told,
    "kms:SigningAlgorithm",
    "ECDSA_SHA_256",
    P256.0,
    P256.1,
    |kms, key| kms.sign(SignRequest::new(key, SigningAlgorithm::EcdsaSha256, b"x")).map(drop),
    |kms, key| kms.sign(SignRequest::new(key, SigningAlgorithm::EcdsaSha384, b"x")).map(drop)
);
condition!(
    the_message_type_is_told,
    "kms:MessageType",
    "RAW",
    P256.0,
    P256.1,
    |kms, key| kms.sign(SignRequest::new(key, SigningAlgorithm::EcdsaSha256, b"x")).map(drop),
    |kms, key| kms
        .sign(
            SignRequest::new(key, SigningAlgorithm::EcdsaSha256, &[7; 32])
                .message_type(strongroom::algorithm::MessageType::Digest)
        )
        .map(drop)
);
condition!(
    the_wrapping_algorithm_is_told,
    "kms:WrappingAlgorithm",
    "RSAES_OAEP_SHA_256",
    AES.0,
    AES.1,
    |kms, key| parameters_for_import(kms, key, WrappingKeySpec::Rsa2048),
    |kms, key| kms
        .get_parameters_for_import(GetParametersForImportRequest::new(
            key,
            WrappingAlgorithm::RsaesOaepSha1,
            WrappingKeySpec::Rsa2048
        ))
        .map(drop)
);
condition!(
    the_expiration_model_is_told,
    "kms:ExpirationModel",
    "KEY_MATERIAL_DOES_NOT_EXPIRE",
    AES.0,
    AES.1,
    |kms, key| kms.import_key_material(ImportKeyMaterialRequest::new(key, b"x", b"x").does_not_expire()).map(drop),
    |kms, key| kms.import_key_material(ImportKeyMaterialRequest::new(key, b"x", b"x")).map(drop)
);
condition!(
    the_wrapping_key_spec_is_told,
    "kms:WrappingKeySpec",
    "RSA_2048",
    AES.0,
    AES.1,
    |kms, key| parameters_for_import(kms, key, WrappingKeySpec::Rsa2048),
    |kms, key| parameters_for_import(kms, key, WrappingKeySpec::Rsa3072)
);
condition!(
    the_key_agreement_algorithm_is_told,
    "kms:KeyAgreementAlgorithm",
    "ECDH",
    KeySpec::EccNistP256,
    KeyUsage::KeyAgreement,
    derive_shared_secret,
    |kms, key| kms.get_public_key(key).map(drop)
);

fn parameters_for_import(kms: &Kms, key: KeyId, spec: WrappingKeySpec) -> Result<()> {
    let request = GetParametersForImportRequest::new(key, WrappingAlgorithm::RsaesOaepSha256, spec);
    kms.get_parameters_for_import(request).map(drop)
}

fn derive_shared_secret(kms: &Kms, key: KeyId) -> Result<()> {
    kms.derive_shared_secret(DeriveSharedSecretRequest::new(key, KeyAgreementAlgorithm::Ecdh, b"no key")).map(drop)
}

#[test]
fn another_key_agreement_algorithm_than_the_one_in_use_is_not_met() {
    for (operator, met) in [("StringEquals", false), ("StringNotEquals", true)] {
        let condition = format!(r#"{{"{operator}": {{"kms:KeyAgreementAlgorithm": "SM2DSA"}}}}"#);
        let spec = KeySpec::EccNistP256;
        assert_eq!(
            under(&condition, spec, KeyUsage::KeyAgreement, Origin::Kms, &derive_shared_secret),
            met,
            "{condition}"
        );
    }
}

#[test]
fn the_time_until_which_imported_material_is_valid_is_told() {
    let valid_to = |seconds: i64| {
        move |kms: &Kms, key: KeyId| {
            let time = Timestamp::from_unix_millis(seconds * 1_000);
            kms.import_key_material(ImportKeyMaterialRequest::new(key, b"x", b"x").valid_to(time)).map(drop)
        }
    };
    let does_not_expire = |kms: &Kms, key: KeyId| {
        kms.import_key_material(ImportKeyMaterialRequest::new(key, b"x", b"x").does_not_expire()).map(drop)
    };
    for condition in [
        r#"{"NumericLessThanEquals": {"kms:ValidTo": "1893456000"}}"#,
        r#"{"DateLessThanEquals": {"kms:ValidTo": "2030-01-01T00:00:00Z"}}"#,
    ] {
        let allows = |run: &dyn Fn(&Kms, KeyId) -> Result<()>| under(condition, AES.0, AES.1, Origin::External, run);
        assert!(allows(&valid_to(1_893_456_000)), "{condition} is met");
        assert!(!allows(&valid_to(1_893_456_001)), "{condition} is not met by a later time");
        assert!(!allows(&does_not_expire), "{condition} is not met without a time");
    }
}

#[test]
fn numbers_lists_and_truth_values_of_a_request_are_told() {
    let rotation = |days| move |kms: &Kms, key: KeyId| kms.enable_key_rotation(key, RotationPeriod::from_days(days)?);
    let condition = r#"{"NumericLessThan": {"kms:RotationPeriodInDays": "200"}}"#;
    assert!(under(condition, AES.0, AES.1, Origin::Kms, &rotation(180)));
    assert!(!under(condition, AES.0, AES.1, Origin::Kms, &rotation(365)));

    let deletion =
        |days| move |kms: &Kms, key: KeyId| kms.schedule_key_deletion(key, DeletionWindow::from_days(days)?).map(drop);
    let condition = r#"{"NumericGreaterThanEquals": {"kms:ScheduleKeyDeletionPendingWindowInDays": "20"}}"#;
    assert!(under(condition, AES.0, AES.1, Origin::Kms, &deletion(20)));
    assert!(!under(condition, AES.0, AES.1, Origin::Kms, &deletion(19)));

    let tag = |name: &'static str| move |kms: &Kms, key: KeyId| kms.tag_resource(key, [Tag::new(name, "x")?]);
    let untag = |name: &'static str| move |kms: &Kms, key: KeyId| kms.untag_resource(key, [name]);
    let condition = r#"{"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}"#;
    assert!(under(condition, AES.0, AES.1, Origin::Kms, &tag("team")));
    assert!(!under(condition, AES.0, AES.1, Origin::Kms, &tag("stage")));
    assert!(under(condition, AES.0, AES.1, Origin::Kms, &untag("team")));
    assert!(!under(condition, AES.0, AES.1, Origin::Kms, &untag("stage")));

    let aliases = r#"{"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/one"}}"#;
    assert!(under(aliases, AES.0, AES.1, Origin::Kms, &|kms, key| kms.describe_key(key).map(drop)));
    let aliases = r#"{"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/two"}}"#;
    assert!(!under(aliases, AES.0, AES.1, Origin::Kms, &|kms, key| kms.describe_key(key).map(drop)));

    let re_encrypt = |kms: &Kms, key: KeyId| {
        let blob = kms.encrypt(EncryptRequest::new(key, b"x"));
        let blob = blob.map_or_else(|_| [&[1, 1][..], key.as_bytes(), &[0; 77]].concat(), |made| made.ciphertext_blob);
        match kms.re_encrypt(ReEncryptRequest::new(&blob, key)) {
            Err(error) if error.kind() == ErrorKind::InvalidCiphertext => Ok(()),
            other => other.map(drop),
        }
    };
    let same = r#"{"Bool": {"kms:ReEncryptOnSameKey": "true"}}"#;
    assert!(under(same, AES.0, AES.1, Origin::Kms, &re_encrypt));
}

#[test]
fn a_call_through_a_service_tells_which_and_for_whom() -> Result<()> {
    let kms = any_store::kms()?;
    let statement = r#"{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:GenerateDataKey", "Resource": "*",
        "Condition": {"StringEquals": {"kms:ViaService": "s3.local.amazonaws.com", "kms:CallerAccount": "000000000000"}}}"#;
    let key = kms.create_key(CreateKeyRequest::default().policy(key_policy(&[statement])))?;
    let alice = kms.as_principal(user("alice")?)?;
    let data_key = |kms: &Kms| kms.generate_data_key(GenerateDataKeyRequest::new(key.arn()));
    assert!(data_key(&kms.as_service("s3")?.on_behalf_of(&alice)?).is_ok());
    assert_eq!(kind(data_key(&kms.as_service("rds")?.on_behalf_of(&alice)?)), ErrorKind::AccessDenied);
    assert_eq!(kind(data_key(&alice)), ErrorKind::AccessDenied);
    let eve = kms.as_principal(Principal::user(AccountId::parse("111122223333")?, "eve")?)?;
    assert_eq!(kind(data_key(&kms.as_service("s3")?.on_behalf_of(&eve)?)), ErrorKind::NotFound);
    Ok(())
}

#[test]
fn any_principal_of_the_account_uses_the_service_managed_key_through_its_service() -> Result<()> {
    let kms = any_store::kms()?;
    let alice = kms.as_principal(user("alice")?)?;
    let through = kms.as_service("s3")?.on_behalf_of(&alice)?;
    let made = through.generate_data_key(GenerateDataKeyRequest::new("alias/aws/s3"))?;
    assert_eq!(through.decrypt(DecryptRequest::new(&made.ciphertext_blob))?.plaintext, made.plaintext);
    assert_eq!(kind(alice.describe_key("alias/aws/s3")), ErrorKind::AccessDenied);
    assert!(kms.get_key_policy(made.key_arn)?.contains("kms:ViaService"), "the account may read the policy");
    Ok(())
}

#[test]
fn why_a_call_was_refused_is_on_the_trail_and_not_in_the_error() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = any_store::builder().audit(Arc::clone(&trail)).build()?;
    let deny = r#"{"Sid": "NobodyHere", "Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"}"#;
    let key = kms.create_key(CreateKeyRequest::default().policy(key_policy(&[deny])))?.key_id();
    trail.clear();
    let refused = kms.encrypt(EncryptRequest::new(key, b"x")).expect_err("the policy denies the call");
    assert!(!refused.to_string().contains("NobodyHere"), "{refused}");
    let [event] = &trail.events()[..] else { panic!("one event") };
    assert!(format!("{:?}", event.additional).contains("NobodyHere"), "{event:?}");
    Ok(())
}

/// Decides by the origin alone, for every principal including the root of an account.
#[derive(Debug)]
struct GeneratedKeysOnly;

impl Policy for GeneratedKeysOnly {
    fn decide(&self, request: &PolicyRequest<'_>, _: &AttachedPolicies<'_>) -> Result<Decision> {
        let brought = |parameter: &RequestParameter<'_>| matches!(parameter, RequestParameter::NewKey(_, _, origin) if *origin != Origin::Kms);
        Ok(if request.parameters.iter().any(brought) { Decision::Deny } else { Decision::Allow })
    }
}

#[test]
fn a_bypass_of_the_lockout_check_is_told() -> Result<()> {
    let kms = any_store::kms()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kms:PutKeyPolicy", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:PutKeyPolicy", "Resource": "*",
         "Condition": {"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "true"}}}]}"#;
    kms.put_identity_policy(&user("alice")?, "careful", policy)?;
    let alice = kms.as_principal(user("alice")?)?;
    let policy = key_policy(&[]);
    alice.put_key_policy(PutKeyPolicyRequest::new(key, &policy))?;
    let bypassing = PutKeyPolicyRequest::new(key, &policy).bypass_policy_lockout_safety_check();
    assert_eq!(kind(alice.put_key_policy(bypassing)), ErrorKind::AccessDenied);
    Ok(())
}

/// Allows everything to the root of each account, and to all other principals only what a grant
/// allows.
#[derive(Debug)]
struct GrantsAlone;

impl Policy for GrantsAlone {
    fn decide(&self, request: &PolicyRequest<'_>, attached: &AttachedPolicies<'_>) -> Result<Decision> {
        let is_theirs = &mut |terms: &GrantTerms| terms.grantee() == request.principal;
        let grant = attached.grants.map(|grants| grants.find(is_theirs)).transpose()?.flatten();
        let is_root = *request.principal == Principal::root(request.principal.account());
        Ok(if is_root || grant.is_some() { Decision::Allow } else { Decision::Deny })
    }
}

#[test]
fn a_policy_of_ones_own_finds_the_grants_of_who_asks() -> Result<()> {
    let kms = any_store::builder().policy(GrantsAlone).build()?;
    let [granted, other] = [(); 2].map(|()| kms.create_key(CreateKeyRequest::default()).expect("a key").arn().clone());
    let terms = GrantTerms::new(user("alice")?, [Operation::DescribeKey])?;
    kms.create_grant(CreateGrantRequest::new(&granted, terms))?;
    let [alice, bob] = [kms.as_principal(user("alice")?)?, kms.as_principal(user("bob")?)?];
    alice.describe_key(&granted)?;
    for refused in [alice.describe_key(&other), bob.describe_key(&granted)] {
        assert_eq!(kind(refused), ErrorKind::AccessDenied);
    }
    Ok(())
}

#[test]
fn a_key_of_known_material_needs_the_authority_the_builder_and_a_policy_for_imported_keys() -> Result<()> {
    let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
    let known = |kms: &Kms| kms.create_insecure_test_key(id, CreateKeyRequest::default(), &[&[7; 32]]);
    let kms = any_store::builder().allow_insecure_test_keys().build()?;
    let alice = user("alice")?;
    let generated_only = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*",
        "Resource": "*", "Condition": {"StringEqualsIfExists": {"kms:KeyOrigin": "AWS_KMS"}}}}"#;
    kms.put_identity_policy(&alice, "generated", generated_only)?;
    let as_alice = kms.as_principal(alice)?;
    as_alice.create_key(CreateKeyRequest::default())?;
    assert_eq!(
        kind(as_alice.create_key(CreateKeyRequest::default().origin(Origin::External))),
        ErrorKind::AccessDenied
    );
    assert_eq!(kind(known(&as_alice)), ErrorKind::AccessDenied);
    assert_eq!(kind(known(&kms.as_service("s3")?)), ErrorKind::AccessDenied);
    assert_eq!(kind(known(&kms.as_principal(Principal::root(AccountId::default()))?)), ErrorKind::AccessDenied);

    let careful = any_store::builder().allow_insecure_test_keys().policy(GeneratedKeysOnly).build()?;
    careful.create_key(CreateKeyRequest::default())?;
    assert_eq!(kind(known(&careful)), ErrorKind::AccessDenied);
    assert_eq!(kind(known(&any_store::kms()?)), ErrorKind::UnsupportedOperation);
    known(&kms).map(drop)
}

#[test]
fn a_bare_statement_is_told_to_stand_in_a_policy() -> Result<()> {
    let statement = r#""Effect": "Allow", "Action": "kms:*", "Resource": "*""#;
    let kms = any_store::kms()?;
    for bare in [format!("{{{statement}}}"), format!(r#"{{"Version": "2012-10-17", {statement}}}"#)] {
        let refused = kms.put_identity_policy(&user("alice")?, "bare", &bare).expect_err("no policy");
        assert_eq!(refused.kind(), ErrorKind::MalformedPolicyDocument);
        let text = refused.to_string();
        assert!(text.contains("Effect: belongs to a statement: put the statement into"), "{text}");
    }
    let unknown =
        kms.put_identity_policy(&user("alice")?, "bare", r#"{"Versoin": "2012-10-17"}"#).expect_err("no policy");
    assert!(unknown.to_string().ends_with("Versoin: unknown element"), "{unknown}");
    Ok(())
}
