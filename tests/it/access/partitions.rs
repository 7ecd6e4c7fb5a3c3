//! Principals of a KMS in another partition than `aws`.

use std::sync::Arc;

use strongroom::audit::{MemoryTrail, to_json};
use strongroom::crypto::CryptoBackend;
use strongroom::identity::{AccountId, Locality, Principal};
use strongroom::key::{DeletionWindow, Operation};
use strongroom::policy::GrantTerms;
use strongroom::request::{
    CreateGrantRequest, CreateKeyRequest, EncryptRequest, GenerateDataKeyRequest, GrantFilter, PageRequest,
    PutKeyPolicyRequest,
};
use strongroom::seal::RootKey;
use strongroom::store::MemoryStore;
use strongroom::{Error, ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::kms::kind;
use crate::support::policies::{identity_policy, user};

fn government() -> Result<Locality> {
    Locality::new("aws-us-gov", "us-gov-west-1")
}

fn policy(partition: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Effect": "Allow", "Principal": {{"AWS": "000000000000"}}, "Action": "kms:*", "Resource": "*"}},
            {{"Effect": "Allow", "Principal": {{"AWS": "arn:{partition}:iam::000000000000:user/alice"}},
              "Action": "kms:Encrypt", "Resource": "*"}}]}}"#
    )
}

#[test]
fn everything_that_names_a_principal_is_in_the_partition_of_the_kms() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let kms = Kms::builder()
        .locality(government()?)
        .audit(Arc::clone(&trail))
        .clock(Arc::clone(&clock))
        .clock_tolerance(std::time::Duration::MAX)
        .build()?;
    assert_eq!(kms.principal().to_string(), "arn:aws-us-gov:iam::000000000000:root");
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let root = r#""AWS" : "arn:aws-us-gov:iam::000000000000:root""#;
    assert!(kms.get_key_policy(key)?.contains(root));
    kms.as_service("s3")?.on_behalf_of(&kms)?.generate_data_key(GenerateDataKeyRequest::new("alias/aws/s3"))?;
    let managed = kms.describe_key("alias/aws/s3")?.key_id();
    assert!(kms.get_key_policy(managed)?.contains(root));

    let terms = GrantTerms::new(user("bob")?, [Operation::Encrypt])?.with_retiring_principal(user("bob")?);
    kms.create_grant(CreateGrantRequest::new(key, terms))?;
    let listed = kms.list_grants(key, GrantFilter::default(), PageRequest::default())?.entries;
    let bob = "arn:aws-us-gov:iam::000000000000:user/bob";
    assert_eq!(listed[0].terms.grantee().to_string(), bob);
    assert_eq!(listed[0].terms.retiring_principal().map(ToString::to_string).as_deref(), Some(bob));
    let alice = kms.as_principal(user("alice")?)?;
    assert_eq!(alice.principal().to_string(), "arn:aws-us-gov:iam::000000000000:user/alice");
    assert!(alice.generate_random(8).is_err());

    kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    clock.advance_days(8);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    for event in trail.events() {
        let json = to_json(&event, kms.locality())?;
        assert!(!json.contains("arn:aws:"), "{json}");
    }
    Ok(())
}

#[test]
fn a_policy_names_principals_of_its_own_partition_or_of_the_default_one() -> Result<()> {
    let kms = Kms::builder().locality(government()?).build()?;
    let alice = kms.as_principal(Principal::parse("arn:aws-us-gov:iam::000000000000:user/alice")?)?;
    for partition in ["aws-us-gov", "aws"] {
        let key = kms.create_key(CreateKeyRequest::default().policy(policy(partition)))?.key_id();
        alice.encrypt(EncryptRequest::new(key, b"x"))?;
    }
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let foreign = kms.put_key_policy(PutKeyPolicyRequest::new(key, &policy("aws-cn"))).expect_err("foreign");
    assert_eq!(foreign.kind(), ErrorKind::MalformedPolicyDocument);
    assert!(foreign.to_string().contains("aws-cn"), "{foreign}");
    let created = kms.create_key(CreateKeyRequest::default().policy(policy("aws-cn")));
    assert_eq!(kind(created), ErrorKind::MalformedPolicyDocument);

    let stranger = Principal::parse("arn:aws-cn:iam::000000000000:user/alice")?;
    assert_eq!(kind(kms.as_principal(stranger.clone())), ErrorKind::Validation);
    let attached = kms.put_identity_policy(&stranger, "encrypt", &identity_policy("Allow", "kms:Encrypt"));
    assert_eq!(kind(attached), ErrorKind::Validation);
    assert_eq!(kind(kms.list_retirable_grants(&stranger, PageRequest::default())), ErrorKind::InvalidArn);
    let filter = GrantFilter::default().grantee(&stranger);
    assert_eq!(kind(kms.list_grants(key, filter, PageRequest::default())), ErrorKind::InvalidArn);
    for terms in [
        GrantTerms::new(stranger.clone(), [Operation::Encrypt])?,
        GrantTerms::new(user("bob")?, [Operation::Encrypt])?.with_retiring_principal(stranger),
    ] {
        assert_eq!(kind(kms.create_grant(CreateGrantRequest::new(key, terms))), ErrorKind::InvalidArn);
    }
    Ok(())
}

/// Policies of earlier releases contain ARNs in the partition `aws`, whatever the locality was.
#[test]
fn conditions_accept_the_partition_of_the_kms_and_the_default_one() -> Result<()> {
    let kms = Kms::builder().locality(government()?).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let alice = kms.as_principal(user("alice")?)?;
    for (partition, is_named) in [("aws-us-gov", true), ("aws", true), ("aws-cn", false)] {
        for (operator, allowed) in [("ArnEquals", is_named), ("ArnNotEquals", !is_named)] {
            let text = format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*",
                    "Condition": {{"{operator}": {{"aws:PrincipalArn": "arn:{partition}:iam::000000000000:user/alice"}}}}}}}}"#
            );
            kms.put_identity_policy(&user("alice")?, "encrypt", &text)?;
            assert_eq!(alice.encrypt(EncryptRequest::new(key, b"x")).is_ok(), allowed, "{operator} {partition}");
        }
        let text = format!(
            r#"{{"Version": "2012-10-17", "Statement": [
                {{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}},
                {{"Effect": "Deny", "Action": "kms:CreateGrant", "Resource": "*", "Condition": {{"ArnEquals": {{
                  "kms:GranteePrincipal": "arn:{partition}:iam::000000000000:user/mallory"}}}}}},
                {{"Effect": "Deny", "Action": "kms:CreateGrant", "Resource": "*", "Condition": {{"ArnEquals": {{
                  "kms:RetiringPrincipal": "arn:{partition}:iam::000000000000:user/mallory"}}}}}}]}}"#
        );
        kms.put_identity_policy(&user("alice")?, "encrypt", &text)?;
        let grant = |to: &str, retiring: &str| {
            let terms = GrantTerms::new(user(to)?, [Operation::Encrypt])?.with_retiring_principal(user(retiring)?);
            alice.create_grant(CreateGrantRequest::new(key, terms))
        };
        assert_eq!(grant("mallory", "bob").is_err(), is_named, "{partition}");
        assert_eq!(grant("bob", "mallory").is_err(), is_named, "{partition}");
        grant("bob", "bob")?;
    }
    Ok(())
}

#[test]
fn what_was_stored_for_a_principal_applies_to_it_whatever_the_partition() -> Result<()> {
    let store = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
    let open = |locality: Locality| {
        let kms = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).locality(locality).build()?;
        Ok::<_, Error>(kms)
    };
    // As an earlier release did, whatever its locality.
    let kms = open(Locality::default())?;
    let (granted, left) = (kms.create_key(CreateKeyRequest::default())?, kms.create_key(CreateKeyRequest::default())?);
    let (granted, left) = (granted.key_id(), left.key_id());
    let terms = GrantTerms::new(user("bob")?, [Operation::Encrypt])?.with_retiring_principal(user("bob")?);
    kms.create_grant(CreateGrantRequest::new(granted, terms))?;
    kms.put_identity_policy(&user("alice")?, "encrypt", &identity_policy("Allow", "kms:Encrypt"))?;
    drop(kms);

    let kms = open(government()?)?;
    let as_user = |name: &str| kms.as_principal(user(name)?.with_partition_of(&government()?));
    as_user("bob")?.encrypt(EncryptRequest::new(granted, b"x"))?;
    as_user("alice")?.encrypt(EncryptRequest::new(left, b"x"))?;
    assert_eq!(kind(as_user("carol")?.encrypt(EncryptRequest::new(left, b"x"))), ErrorKind::AccessDenied);
    let retirable = kms.list_retirable_grants(&as_user("bob")?.principal().clone(), PageRequest::default())?;
    assert_eq!(retirable.entries[0].terms.grantee().partition(), "aws-us-gov");
    assert_eq!(kms.principal().account(), AccountId::default());
    assert!(kms.verify_store(|_| {})?.is_intact());
    Ok(())
}
