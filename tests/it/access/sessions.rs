//! Sessions of roles, and federated users: the policies and grants that apply to them.

use std::sync::Arc;

use strongroom::audit::{MemoryTrail, to_json};
use strongroom::crypto::CryptoBackend;
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{KeyId, Operation};
use strongroom::policy::GrantTerms;
use strongroom::request::{
    CreateGrantRequest, CreateKeyRequest, DryRun, EncryptRequest, GrantFilter, PageRequest, PutKeyPolicyRequest,
};
use strongroom::seal::RootKey;
use strongroom::store::MemoryStore;
use strongroom::{ErrorKind, Kms, Result};

use crate::support::kms::{kind, with_key};
use crate::support::policies::{identity_policy, key_policy};

fn role(name: &str) -> Result<Principal> {
    Principal::role(AccountId::default(), name)
}

fn session(role: &str, name: &str) -> Result<Principal> {
    Principal::assumed_role(AccountId::default(), role, name)
}

fn guest() -> Result<Principal> {
    Principal::federated_user(AccountId::default(), "guest")
}

fn encrypt(kms: &Kms, key: KeyId) -> Result<()> {
    kms.encrypt(EncryptRequest::new(key, b"x")).map(drop)
}

/// Sets a key policy of one more statement, and returns whether each principal may encrypt.
fn encrypts<const N: usize>(kms: &Kms, key: KeyId, statement: &str, principals: [Principal; N]) -> Result<[bool; N]> {
    kms.put_key_policy(PutKeyPolicyRequest::new(key, &key_policy(&[statement])))?;
    let mut allowed = [false; N];
    for (allowed, principal) in allowed.iter_mut().zip(principals) {
        *allowed = match encrypt(&kms.as_principal(principal)?, key) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AccessDenied => false,
            Err(error) => return Err(error),
        };
    }
    Ok(allowed)
}

fn statement(effect: &str, principal: &str, condition: &str) -> String {
    format!(
        r#"{{"Effect": "{effect}", "Principal": {{"AWS": "{principal}"}}, "Action": "kms:Encrypt", "Resource": "*",
            "Condition": {condition}}}"#
    )
}

#[test]
fn a_key_policy_for_a_role_applies_to_its_sessions_and_one_for_a_session_to_it_alone() -> Result<()> {
    let (kms, key) = with_key()?;
    let callers = || Ok::<_, strongroom::Error>([session("worker", "a")?, session("worker", "b")?, role("worker")?]);
    for (named, expected) in [
        ("arn:aws:iam::000000000000:role/worker", [true, true, true]),
        ("arn:aws:iam::000000000000:role/path/worker", [false, false, false]),
        ("arn:aws:iam::000000000000:role/worker2", [false, false, false]),
        ("arn:aws:sts::000000000000:assumed-role/worker/a", [true, false, false]),
        ("arn:aws:iam::000000000000:user/worker", [false, false, false]),
    ] {
        assert_eq!(encrypts(&kms, key, &statement("Allow", named, "{}"), callers()?)?, expected, "{named}");
    }
    let with_path = [session("path/worker", "a")?, session("other/worker", "a")?];
    let named = statement("Allow", "arn:aws:iam::000000000000:role/path/worker", "{}");
    assert_eq!(encrypts(&kms, key, &named, with_path)?, [true, false]);
    let federated = statement("Allow", "arn:aws:sts::000000000000:federated-user/guest", "{}");
    let callers = [guest()?, Principal::user(AccountId::default(), "guest")?];
    assert_eq!(encrypts(&kms, key, &federated, callers)?, [true, false]);
    Ok(())
}

#[test]
fn a_denial_to_a_role_reaches_its_sessions() -> Result<()> {
    let (kms, key) = with_key()?;
    kms.put_identity_policy(&role("worker")?, "all", &identity_policy("Allow", "kms:*"))?;
    let callers = || Ok::<_, strongroom::Error>([session("worker", "a")?, session("worker", "b")?]);
    let harmless = statement("Deny", "arn:aws:iam::000000000000:role/other", "{}");
    assert_eq!(encrypts(&kms, key, &harmless, callers()?)?, [true, true]);
    let to_role = statement("Deny", "arn:aws:iam::000000000000:role/worker", "{}");
    assert_eq!(encrypts(&kms, key, &to_role, callers()?)?, [false, false]);
    let to_session = statement("Deny", "arn:aws:sts::000000000000:assumed-role/worker/b", "{}");
    assert_eq!(encrypts(&kms, key, &to_session, callers()?)?, [true, false]);
    Ok(())
}

#[test]
fn a_session_without_a_path_gets_no_right_of_a_role_with_one_and_escapes_no_denial_to_it() -> Result<()> {
    let (kms, key) = with_key()?;
    let callers = || Ok::<_, strongroom::Error>([session("path/worker", "a")?, session("worker", "a")?]);
    let to_role = statement("Allow", "arn:aws:iam::000000000000:role/path/worker", "{}");
    assert_eq!(encrypts(&kms, key, &to_role, callers()?)?, [true, false]);
    let terms = GrantTerms::new(role("path/worker")?, [Operation::Encrypt, Operation::RetireGrant])?;
    let grant = kms.create_grant(CreateGrantRequest::new(key, terms))?.grant_id;
    let nothing = statement("Allow", "arn:aws:iam::000000000000:role/other", "{}");
    assert_eq!(encrypts(&kms, key, &nothing, callers()?)?, [true, false]);
    let without_path = kms.as_principal(session("worker", "a")?)?;
    assert_eq!(kind(without_path.retire_grant(key, grant, DryRun::No)), ErrorKind::AccessDenied);

    // The session without a path could belong to either role, so a denial to either reaches it.
    for (name, expected) in [("path/worker", [false, false]), ("other/worker", [true, false]), ("other", [true, true])]
    {
        let everybody = statement("Allow", "*", "{}");
        let denied = statement("Deny", &role(name)?.to_string(), "{}");
        kms.put_key_policy(PutKeyPolicyRequest::new(key, &key_policy(&[&everybody, &denied])))?;
        let results = callers()?.map(|caller| kms.as_principal(caller).and_then(|kms| encrypt(&kms, key)).is_ok());
        assert_eq!(results, expected, "{name}");
    }
    Ok(())
}

#[test]
fn sessions_of_different_roles_differ_and_are_named_by_one_arn() -> Result<()> {
    let (kms, key) = with_key()?;
    let (of_path, other) = (session("path/worker", "a")?, session("other/worker", "a")?);
    assert_ne!(of_path, other);
    assert_eq!(std::collections::HashSet::from([of_path.clone(), other.clone(), session("worker", "a")?]).len(), 3);
    // A grant names a session by its ARN, which has no path.
    let terms = || {
        Ok::<_, strongroom::Error>(
            GrantTerms::new(session("path/worker", "a")?, [Operation::Encrypt])?
                .with_retiring_principal(session("path/worker", "a")?),
        )
    };
    assert_eq!(terms()?.grantee(), &session("worker", "a")?);
    let grant = |name| kms.create_grant(CreateGrantRequest::new(key, terms()?).name(name)).map(|made| made.grant_id);
    let id = grant("one")?;
    assert_eq!(grant("one")?, id, "the same grant");
    encrypt(&kms.as_principal(of_path.clone())?, key)?;
    let found = kms.list_grants(key, GrantFilter::default().grantee(&of_path), PageRequest::default())?;
    assert_eq!(found.entries.len(), 1);
    assert_eq!(kms.list_retirable_grants(&of_path, PageRequest::default())?.entries.len(), 1);
    kms.as_principal(of_path)?.retire_grant(key, id, DryRun::No)
}

#[test]
fn conditions_see_the_role_of_a_session() -> Result<()> {
    let (kms, key) = with_key()?;
    let arn = |value: &str| format!(r#"{{"ArnEquals": {{"aws:PrincipalArn": "{value}"}}}}"#);
    let kind = |value: &str| format!(r#"{{"StringEquals": {{"aws:PrincipalType": "{value}"}}}}"#);
    for (condition, expected) in [
        (arn("arn:aws:iam::000000000000:role/path/worker"), [true, false]),
        (arn("arn:aws:sts::000000000000:assumed-role/worker/a"), [false, false]),
        (arn("arn:aws:sts::000000000000:federated-user/guest"), [false, true]),
        (kind("AssumedRole"), [true, false]),
        (kind("FederatedUser"), [false, true]),
        (r#"{"Null": {"aws:username": "true"}}"#.to_owned(), [true, true]),
    ] {
        let callers = [session("path/worker", "a")?, guest()?];
        assert_eq!(encrypts(&kms, key, &statement("Allow", "*", &condition), callers)?, expected, "{condition}");
    }
    Ok(())
}

#[test]
fn the_identity_policies_of_a_role_apply_to_its_sessions() -> Result<()> {
    let (kms, key) = with_key()?;
    kms.put_identity_policy(&role("path/worker")?, "encrypt", &identity_policy("Allow", "kms:Encrypt"))?;
    encrypt(&kms.as_principal(session("path/worker", "a")?)?, key)?;
    for other in [session("worker", "a")?, session("path/other", "a")?, guest()?] {
        assert_eq!(kind(encrypt(&kms.as_principal(other)?, key)), ErrorKind::AccessDenied);
    }
    for principal in [session("path/worker", "a")?, guest()?] {
        let attached = kms.put_identity_policy(&principal, "encrypt", &identity_policy("Allow", "kms:Encrypt"));
        assert_eq!(kind(attached), ErrorKind::Validation);
    }
    Ok(())
}

#[test]
fn grants_to_a_role_apply_to_its_sessions_and_grants_to_a_session_survive_a_restart() -> Result<()> {
    let store = Arc::new(MemoryStore::new(&CryptoBackend::default())?);
    let open = || Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32])).build();
    let kms = open()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let grant = |to: Principal, retiring: Principal| {
        let terms = GrantTerms::new(to, [Operation::Encrypt])?.with_retiring_principal(retiring);
        kms.create_grant(CreateGrantRequest::new(key, terms)).map(|made| made.grant_id)
    };
    let to_role = grant(role("worker")?, role("cleaner")?)?;
    let to_session = grant(session("batch", "a")?, session("cleaner", "night")?)?;
    let to_guest = grant(guest()?, guest()?)?;
    drop(kms);
    let kms = open()?;
    for (caller, allowed) in [
        (role("worker")?, true),
        (session("worker", "a")?, true),
        (session("worker", "b")?, true),
        (session("batch", "a")?, true),
        (session("batch", "b")?, false),
        (role("batch")?, false),
        (guest()?, true),
        (session("other", "a")?, false),
    ] {
        let result = encrypt(&kms.as_principal(caller.clone())?, key);
        assert_eq!(result.map_err(|error| error.kind()), if allowed { Ok(()) } else { Err(ErrorKind::AccessDenied) });
    }
    let listed =
        kms.list_grants(key, GrantFilter::default().grantee(&session("batch", "a")?), PageRequest::default())?;
    assert_eq!(listed.entries.len(), 1);
    assert_eq!(listed.entries[0].terms.grantee().to_string(), "arn:aws:sts::000000000000:assumed-role/batch/a");
    let retirable = kms.list_retirable_grants(&session("cleaner", "night")?, PageRequest::default())?;
    assert_eq!(retirable.entries.iter().map(|entry| entry.grant_id).collect::<Vec<_>>(), [to_session]);

    // A session may retire what its role may, but not what another session may.
    let (night, day) = (kms.as_principal(session("cleaner", "night")?)?, kms.as_principal(session("cleaner", "day")?)?);
    assert_eq!(kind(day.retire_grant(key, to_session, DryRun::No)), ErrorKind::AccessDenied);
    day.retire_grant(key, to_role, DryRun::No)?;
    night.retire_grant(key, to_session, DryRun::No)?;
    kms.as_principal(guest()?)?.retire_grant(key, to_guest, DryRun::No)?;
    assert_eq!(kind(encrypt(&kms.as_principal(session("worker", "a")?)?, key)), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn the_trail_names_the_session() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    for (principal, kind) in [(session("path/worker", "a")?, "AssumedRole"), (guest()?, "FederatedUser")] {
        let text = principal.to_string();
        assert!(kms.as_principal(principal)?.generate_random(8).is_err());
        let event = trail.events().pop().expect("a refusal leaves an event");
        let json: serde_json::Value = serde_json::from_str(&to_json(&event, kms.locality())?).expect("JSON");
        assert_eq!(json["userIdentity"]["type"], kind);
        assert_eq!(json["userIdentity"]["arn"], text);
    }
    Ok(())
}
