//! The contents of the trail: an event for every call, with the information that a later reader
//! needs.

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::audit::{Action, AuditEvent, FileTrail, MemoryTrail, Outcome, RefusedRequests, to_json};
use strongroom::identity::{AccountId, Locality, Principal};
use strongroom::key::{KeySpec, KeyUsage, Operation, RotationPeriod, Tag};
use strongroom::policy::{GrantConstraints, GrantTerms};
use strongroom::request::{
    CreateGrantRequest, CreateKeyRequest, DecryptRequest, DryRun, EncryptRequest, PutKeyPolicyRequest, ReEncryptRequest,
};
use strongroom::{EncryptionContext, ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::any_store;
use crate::support::kms::kind;

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

struct Watched {
    kms: Kms,
    trail: Arc<MemoryTrail>,
    clock: Arc<ManualClock>,
}

impl Watched {
    fn new() -> Result<Self> {
        let trail = Arc::new(MemoryTrail::default());
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
        let kms = any_store::builder().audit(Arc::clone(&trail)).clock(Arc::clone(&clock)).build()?;
        Ok(Self { kms, trail, clock })
    }

    /// Returns the last event and clears the trail.
    fn last(&self) -> AuditEvent {
        let last = self.trail.events().pop().expect("a call writes an event");
        self.trail.clear();
        last
    }

    /// Returns the last event in its JSON form.
    fn json(&self) -> std::result::Result<Value, Box<dyn std::error::Error>> {
        Ok(serde_json::from_str(&to_json(&self.last(), &Locality::default())?)?)
    }
}

/// A request that nobody is known to have sent appears in no event of a principal.
#[test]
fn requests_that_a_server_refused_are_counted_in_one_event() -> TestResult {
    let watched = Watched::new()?;
    let mut refused = RefusedRequests::since(Timestamp::from_unix_millis(1_600_000_000_000));
    watched.kms.record_refused_requests(&refused)?;
    assert_eq!(watched.trail.events(), []);
    for source in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        refused.add("InvalidSignatureException", Some("AKIAIOSFODNN7EXAMPLE"), source);
    }
    watched.kms.record_refused_requests(&refused)?;
    let event = watched.json()?;
    assert_eq!((&event["eventType"], &event["eventName"]), (&json!("AwsServiceEvent"), &json!("RefuseRequests")));
    assert_eq!(
        (&event["outcome"], &event["readOnly"], &event["resources"]),
        (&json!("success"), &json!(false), &json!([]))
    );
    let details = json!({
        "since": "2020-09-13T12:26:40Z", "requests": 3, "reasons": {"InvalidSignatureException": 3},
        "claimedAccessKeyIds": {"AKIAIOSFODNN7EXAMPLE": 3}, "sourceIPAddresses": {"192.0.2.1": 2, "192.0.2.2": 1},
    });
    assert_eq!(event["serviceEventDetails"], details);

    let narrowed = watched.kms.as_principal(watched.kms.principal().clone())?;
    assert_eq!(kind(narrowed.record_refused_requests(&refused)), ErrorKind::AccessDenied);
    assert_eq!(watched.json()?["eventName"], "RecordRefusedRequests");

    let folder = tempfile::tempdir()?;
    let kms = any_store::builder().audit(FileTrail::new(folder.path())).build()?;
    kms.record_refused_requests(&refused)?;
    assert!(kms.verify_audit_trail(folder.path())?.is_intact());
    Ok(())
}

/// The ID is that of the handle: every event of its calls has it, refused or not, also of handles
/// that were created from it. Other handles are not affected.
#[test]
fn every_event_of_a_request_has_its_id() -> TestResult {
    let watched = Watched::new()?;
    let request = watched.kms.with_request_id("a-1")?;
    let alice = request.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    let key = request.create_key(Default::default())?.key_id();
    assert!(request.describe_key("alias/missing").is_err());
    assert!(alice.describe_key(key).is_err());
    assert!(alice.as_principal(Principal::root(AccountId::default())).is_err());
    request.list_identity_policies(alice.principal())?;
    request.as_service("s3")?.on_behalf_of(&alice)?.list_keys(Default::default()).ok();
    request.as_service("s3")?.on_behalf_of(&watched.kms)?.list_keys(Default::default())?;
    let events = watched.trail.events();
    assert!(events.len() >= 7, "{events:?}");
    for event in &events[..events.len() - 1] {
        assert_eq!(event.request_id.as_deref(), Some("a-1"), "{event:?}");
    }
    assert_eq!(watched.json()?["requestID"], "a-1");
    watched.kms.list_keys(Default::default())?;
    assert_eq!(watched.json()?.get("requestID"), None);

    let longest = "x".repeat(128);
    assert_eq!(request.with_request_id(&longest)?.request_id(), Some(longest.as_str()));
    for id in ["", "a b", "a\n", "é", &"x".repeat(129)] {
        assert_eq!(kind(watched.kms.with_request_id(id)), ErrorKind::Validation, "{id:?}");
    }
    Ok(())
}

/// Names that look alike when escaped remain distinct, and a repeated name appears only once.
#[test]
fn no_name_appears_twice_in_the_json_of_an_event() -> TestResult {
    let watched = Watched::new()?;
    let key = watched.kms.create_key(Default::default())?.key_id();
    let pairs = EncryptionContext::from([("a\n", "1"), ("a\\n", "2"), ("\u{202e}", "3"), ("\\u{202e}", "4")]);
    let constraints =
        GrantConstraints::new().with_encryption_context_equals(pairs.clone())?.with_encryption_context_subset(pairs)?;
    watched.kms.create_grant(CreateGrantRequest::new(key, terms()?.with_constraints(constraints)))?;
    let parameters = &watched.json()?["requestParameters"];
    let expected = json!({"a\n": "1", "a\\n": "2", "\u{202e}": "3", "\\u{202e}": "4"});
    assert_eq!(parameters["encryptionContextEquals"], expected);
    assert_eq!(parameters["encryptionContextSubset"], expected);

    let twice = watched.kms.tag_resource(key, [Tag::new("team", "one")?, Tag::new("team", "two")?]);
    assert_eq!(kind(twice), ErrorKind::Tag);
    assert_eq!(watched.json()?["requestParameters"]["tags"], json!({"team": ["one", "two"]}));
    Ok(())
}

#[test]
fn a_call_that_names_no_key_or_a_reserved_alias_leaves_its_event() -> Result<()> {
    let watched = Watched::new()?;
    let kms = &watched.kms;
    let key = kms.create_key(Default::default())?.key_id();
    let id = kms.create_grant(CreateGrantRequest::new(key, terms()?))?.grant_id;
    let blob = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    let bad = "no key at all";
    let left = |refused: Result<()>, kind: ErrorKind, operation: Operation| {
        assert_eq!(refused.expect_err("the call is rejected").kind(), kind, "{operation}");
        let event = watched.last();
        assert_eq!((event.action, event.outcome), (Action::Call(operation), Outcome::Failure(kind)));
    };
    watched.trail.clear();
    left(kms.describe_key(bad).map(drop), ErrorKind::NotFound, Operation::DescribeKey);
    left(kms.encrypt(EncryptRequest::new(bad, b"x")).map(drop), ErrorKind::NotFound, Operation::Encrypt);
    left(kms.disable_key(bad), ErrorKind::NotFound, Operation::DisableKey);
    left(kms.re_encrypt(ReEncryptRequest::new(&blob, bad)).map(drop), ErrorKind::NotFound, Operation::ReEncryptTo);
    left(kms.retire_grant(bad, id, DryRun::No), ErrorKind::NotFound, Operation::RetireGrant);
    left(kms.revoke_grant(bad, id, DryRun::No), ErrorKind::NotFound, Operation::RevokeGrant);
    for (alias, kind) in [("alias/aws/s3", ErrorKind::NotAuthorized), ("reports", ErrorKind::Validation)] {
        left(kms.create_alias(alias, key), kind, Operation::CreateAlias);
        left(kms.update_alias(alias, key), kind, Operation::UpdateAlias);
        left(kms.delete_alias(alias), kind, Operation::DeleteAlias);
    }
    Ok(())
}

fn terms() -> Result<GrantTerms> {
    GrantTerms::new(Principal::user(AccountId::default(), "bob")?, [Operation::Encrypt, Operation::Decrypt])
}

const OPEN_POLICY: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}]}"#;

#[test]
fn the_trail_tells_with_what_a_key_was_made_and_what_became_of_that() -> TestResult {
    let watched = Watched::new()?;
    let kms = &watched.kms;
    let request = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    let request =
        request.description("orders").tag("team", "blue").policy(OPEN_POLICY).bypass_policy_lockout_safety_check();
    let key = kms.create_key(request)?.key_id();
    let expected = json!({
        "keySpec": "ECC_NIST_P256", "keyUsage": "SIGN_VERIFY", "origin": "AWS_KMS", "description": "orders",
        "tags": {"team": "blue"}, "policy": OPEN_POLICY, "bypassPolicyLockoutSafetyCheck": true,
    });
    assert_eq!(watched.json()?["requestParameters"], expected);

    kms.update_key_description(key, "returns")?;
    assert_eq!(watched.json()?["requestParameters"], json!({"description": "returns"}));
    kms.tag_resource(key, [Tag::new("stage", "test")?])?;
    assert_eq!(watched.json()?["requestParameters"], json!({"tags": {"stage": "test"}}));
    kms.untag_resource(key, ["stage", "team"])?;
    assert_eq!(watched.json()?["requestParameters"], json!({"tagKeys": ["stage", "team"]}));
    kms.put_key_policy(PutKeyPolicyRequest::new(key, OPEN_POLICY))?;
    let put = json!({"policyName": "default", "policy": OPEN_POLICY, "bypassPolicyLockoutSafetyCheck": false});
    assert_eq!(watched.json()?["requestParameters"], put);

    let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}"#;
    kms.put_identity_policy(&Principal::user(AccountId::default(), "bob")?, "all", policy)?;
    assert_eq!(watched.json()?["requestParameters"]["policyDocument"], policy);
    Ok(())
}

#[test]
fn the_trail_tells_a_grant_with_its_name_and_constraints() -> TestResult {
    let watched = Watched::new()?;
    let key = watched.kms.create_key(Default::default())?.key_id();
    let tenant = GrantConstraints::new().with_encryption_context_subset(EncryptionContext::from([("tenant", "42")]))?;
    let request = CreateGrantRequest::new(key, terms()?.with_constraints(tenant)).name("nightly");
    watched.kms.create_grant(request)?;
    let expected = json!({
        "granteePrincipal": "arn:aws:iam::000000000000:user/bob", "operations": ["Encrypt", "Decrypt"],
        "encryptionContextSubset": {"tenant": "42"}, "name": "nightly",
    });
    assert_eq!(watched.json()?["requestParameters"], expected);
    Ok(())
}

#[test]
fn the_trail_tells_the_name_by_which_a_key_was_asked_for() -> TestResult {
    let (watched, elsewhere) = (Watched::new()?, any_store::kms()?);
    let kms = &watched.kms;
    let key = kms.create_key(Default::default())?;
    kms.create_alias("alias/a", key.key_id())?;
    kms.create_alias("alias/b", key.key_id())?;
    let blob = kms.encrypt(EncryptRequest::new("alias/a", b"x"))?.ciphertext_blob;
    assert_eq!(watched.json()?["requestParameters"]["keyId"], "alias/a");
    kms.encrypt(EncryptRequest::new(key.key_id(), b"x"))?;
    assert_eq!(watched.json()?["requestParameters"].get("keyId"), None, "the resource identifies the key");
    kms.re_encrypt(ReEncryptRequest::new(&blob, "alias/b").source_key("alias/a")?)?;
    let parameters = watched.json()?["requestParameters"].clone();
    assert_eq!((&parameters["sourceKeyId"], &parameters["destinationKeyId"]), (&json!("alias/a"), &json!("alias/b")));

    let stranger = elsewhere.create_key(Default::default())?.key_id();
    let foreign = elsewhere.encrypt(EncryptRequest::new(stranger, b"x"))?.ciphertext_blob;
    assert_eq!(kind(kms.decrypt(DecryptRequest::new(&foreign))), ErrorKind::AccessDenied);
    let event = watched.json()?;
    assert_eq!(
        event["requestParameters"]["keyId"],
        stranger.to_string(),
        "the audit trail contains the key, the error does not"
    );
    assert!(!event["errorMessage"].as_str().unwrap_or_default().contains(&stranger.to_string()));
    Ok(())
}

#[test]
fn the_trail_tells_which_material_followed_which() -> TestResult {
    let watched = Watched::new()?;
    let kms = &watched.kms;
    let key = kms.create_key(Default::default())?;
    let material = || -> Result<String> {
        Ok(kms.describe_key(key.key_id())?.current_key_material_id().map(|id| id.to_string()).unwrap_or_default())
    };
    let first = material()?;
    kms.rotate_key_on_demand(key.key_id())?;
    let event = watched.json()?;
    let second = material()?;
    assert_ne!(first, second);
    let told = json!({"previousKeyMaterialId": first, "currentKeyMaterialId": second});
    assert_eq!(event["additionalEventData"], told);

    kms.enable_key_rotation(key.key_id(), RotationPeriod::from_days(90)?)?;
    watched.clock.advance_days(90);
    watched.trail.clear();
    kms.encrypt(EncryptRequest::new(key.key_id(), b"x"))?;
    let rotations: Vec<_> =
        watched.trail.events().into_iter().filter(|event| event.action == Action::RotateKey).collect();
    let [intent, done] = &rotations[..] else { panic!("{rotations:?}") };
    assert_eq!(intent.parameters, done.parameters);
    let done: Value = serde_json::from_str(&to_json(done, &Locality::default())?)?;
    let told = json!({
        "rotationType": "AUTOMATIC", "keyOrigin": "AWS_KMS", "previousKeyMaterialId": second,
        "currentKeyMaterialId": material()?,
    });
    assert_eq!(done["serviceEventDetails"], told);
    Ok(())
}

#[test]
fn what_only_the_authority_may_do_is_on_the_trail_where_it_matters() -> TestResult {
    let watched = Watched::new()?;
    let kms = &watched.kms;
    let alice = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    let refused = [
        ("AsPrincipal", alice.as_principal(Principal::root(AccountId::default())).map(drop)),
        ("RunMaintenance", alice.run_maintenance().map(drop)),
        ("RotateRootKey", alice.rotate_root_key().map(drop)),
        ("AuditChains", alice.audit_chains().map(drop)),
    ];
    let names: Vec<_> = watched.trail.events().iter().map(|event| event.action.to_string()).collect();
    for (name, refused) in refused {
        assert_eq!(kind(refused), ErrorKind::AccessDenied);
        assert!(names.contains(&name.to_owned()), "{name}");
    }
    assert!(watched.trail.events().iter().all(|event| event.principal == *alice.principal()));
    watched.trail.clear();

    kms.rotate_root_key()?;
    let outcomes: Vec<_> = watched.trail.events().into_iter().map(|event| event.outcome).collect();
    assert_eq!(outcomes, [Outcome::Intent, Outcome::Success]);
    let event = watched.json()?;
    assert_eq!(
        (&event["eventName"], &event["additionalEventData"]["rootKeyVersion"]),
        (&json!("RotateRootKey"), &json!(2))
    );
    kms.audit_chains()?;
    assert_eq!(watched.json()?["eventName"], "AuditChains");
    Ok(())
}

#[test]
fn the_trail_tells_every_encryption_context_that_an_operation_takes() -> TestResult {
    let watched = Watched::new()?;
    let key = watched.kms.create_key(Default::default())?.key_id();
    let long = "x".repeat(30_000);
    for (name, value) in [("tenant", "42"), ("tenant", ""), (long.as_str(), long.as_str())] {
        let context = EncryptionContext::from([(name, value)]);
        watched.kms.encrypt(EncryptRequest::new(key, b"x").context(&context))?;
        assert_eq!(watched.json()?["requestParameters"]["encryptionContext"], json!({name: value}));
    }
    watched.kms.encrypt(EncryptRequest::new(key, b"x").context(&EncryptionContext::new()))?;
    assert_eq!(watched.json()?["requestParameters"].get("encryptionContext"), None);
    Ok(())
}

/// The longest event is far shorter than the longest line, so that no caller escapes the trail with
/// a long request.
#[test]
fn what_is_too_long_for_every_operation_is_refused_as_that_and_on_the_trail() -> TestResult {
    let directory = tempfile::tempdir()?;
    let kms = any_store::builder().audit(FileTrail::new(directory.path())).build()?;
    let key = kms.create_key(Default::default())?.key_id();
    let long = "\u{1}".repeat(2 << 20);
    let context = EncryptionContext::from([("a", long.as_str())]);
    let tags = || (0..10_000).map(|number| Tag::new(format!("{number:0128}"), "\u{1}".repeat(256)));
    let bob = Principal::user(AccountId::default(), "bob")?;
    let refused = [
        kind(kms.encrypt(EncryptRequest::new(key, b"x").context(&context))),
        kind(kms.create_key(CreateKeyRequest::default().policy(long.as_str()))),
        kind(kms.create_key(CreateKeyRequest::default().description(long.as_str()))),
        kind(kms.update_key_description(key, &long)),
        kind(kms.put_key_policy(PutKeyPolicyRequest::new(key, &long))),
        kind(kms.put_identity_policy(&bob, &long, &long)),
        kind(kms.tag_resource(key, tags().collect::<Result<Vec<_>>>()?)),
        kind(kms.create_alias(&long, key)),
        kind(kms.create_grant(CreateGrantRequest::new(key, terms()?).name(long.as_str())).map(drop)),
        kind(kms.untag_resource(key, [&long; 50])),
        kind(kms.untag_resource(key, ["a"; 10_000])),
    ];
    assert!(!refused.contains(&ErrorKind::Audit), "{refused:?}");
    let report = kms.verify_audit_trail(directory.path())?;
    assert!(report.is_intact());
    // Two for creating the key, and one for each rejected call.
    assert_eq!(report.records(), 2 + u64::try_from(refused.len())?);
    Ok(())
}

#[test]
fn a_chain_that_is_forgotten_is_remembered_by_the_next_one() -> TestResult {
    use strongroom::seal::RootKey;

    let store = any_store::new()?;
    let open = |directory: &std::path::Path| {
        let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]));
        builder.audit(FileTrail::new(directory)).build()
    };
    let (old, new) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let gone = open(old.path())?.audit_chains()?[0].id();
    let kms = open(new.path())?;
    assert_eq!(kms.audit_chains()?.len(), 2);
    kms.forget_audit_chain(gone)?;
    assert_eq!(kms.audit_chains()?.len(), 1);
    let report = kms.verify_audit_trail(new.path())?;
    assert!(report.is_intact() && report.chains[0].unfinished.is_empty(), "{report}");
    let mut text = String::new();
    for entry in std::fs::read_dir(new.path())? {
        text.push_str(&std::fs::read_to_string(entry?.path())?);
    }
    assert_eq!(text.matches("\"ForgetAuditChain\"").count(), 2, "intent and outcome");
    assert!(text.contains(&format!("\"chain\":\"{gone}\"")));
    Ok(())
}
