//! Permissions for parameters and their keys, and the events in the audit trail.

use std::sync::Arc;

use strongroom::audit::{Action, AuditEvent, MemoryTrail, Outcome, ParameterValue};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{Operation, ParameterOperation, Tag};
use strongroom::parameters::{
    DescribeParametersRequest, GetParameterHistoryRequest, GetParametersByPathRequest, ParameterFilter, ParameterTier,
    Parameters, PutParameterRequest, SecureStringForm,
};
use strongroom::policy::AccountOwnerOnly;
use strongroom::{Error, ErrorKind, Kms, ManualClock};

use super::{TestResult, exception};
use crate::support::any_store;
use crate::support::kms::kind;
use crate::support::policies::user;

type Attempt = Box<dyn Fn(&Parameters) -> Result<(), Error>>;

/// Every operation, on the parameter `/shop/db`.
fn attempts() -> Vec<(ParameterOperation, Attempt)> {
    use ParameterOperation as Op;
    fn attempt(run: impl Fn(&Parameters) -> Result<(), Error> + 'static) -> Attempt {
        Box::new(run)
    }
    vec![
        (Op::PutParameter, attempt(|it| it.put(PutParameterRequest::new("/shop/db", "x").overwrite()).map(drop))),
        (Op::GetParameter, attempt(|it| it.get("/shop/db").map(drop))),
        (Op::GetParameters, attempt(|it| it.get_all(&["/shop/db"], SecureStringForm::Decrypted).map(drop))),
        (Op::GetParametersByPath, attempt(|it| it.by_path(GetParametersByPathRequest::new("/shop")).map(drop))),
        (Op::GetParameterHistory, attempt(|it| it.history(GetParameterHistoryRequest::new("/shop/db")).map(drop))),
        (Op::DescribeParameters, attempt(|it| it.describe(Default::default()).map(drop))),
        (Op::LabelParameterVersion, attempt(|it| it.label("/shop/db", None, ["x"]).map(drop))),
        (Op::UnlabelParameterVersion, attempt(|it| it.unlabel("/shop/db", 1, ["x"]).map(drop))),
        (Op::AddTagsToResource, attempt(|it| it.add_tags("/shop/db", [Tag::new("a", "b")?]))),
        (Op::RemoveTagsFromResource, attempt(|it| it.remove_tags("/shop/db", &["a"]))),
        (Op::ListTagsForResource, attempt(|it| it.list_tags("/shop/db").map(drop))),
        (Op::DeleteParameters, attempt(|it| it.delete_all(&["/shop/db"]).map(drop))),
        (Op::DeleteParameter, attempt(|it| it.delete("/shop/db"))),
    ]
}

fn policy(action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "{action}", "Resource": "{resource}"}}}}"#
    )
}

#[test]
fn each_operation_is_allowed_by_its_own_action_alone() -> TestResult {
    let kms = any_store::kms()?;
    let alice = user("alice")?;
    let own = Parameters::new(&kms);
    let as_alice = Parameters::new(&kms.as_principal(alice.clone())?);
    let attempts = attempts();
    assert_eq!(attempts.len(), ParameterOperation::ALL.len());
    for (operation, attempt) in &attempts {
        let _ = own.put(PutParameterRequest::string("/shop/db", "1"));
        assert_eq!(kind(attempt(&as_alice)), ErrorKind::AccessDenied, "{operation}");
        for &other in ParameterOperation::ALL.iter().filter(|other| *other != operation) {
            kms.put_identity_policy(&alice, "one", &policy(&format!("ssm:{other}"), "*"))?;
            assert_eq!(kind(attempt(&as_alice)), ErrorKind::AccessDenied, "{operation} with {other}");
        }
        kms.put_identity_policy(&alice, "one", &policy(&format!("ssm:{operation}"), "*"))?;
        attempt(&as_alice).map_err(|error| format!("{operation}: {error}"))?;
        kms.delete_identity_policy(&alice, "one")?;
    }
    Ok(())
}

#[test]
fn resources_bound_what_a_policy_allows() -> TestResult {
    let kms = any_store::kms()?;
    let own = Parameters::new(&kms);
    for name in ["/shop/db", "/mail/db"] {
        own.put(PutParameterRequest::string(name, "1"))?;
    }
    let alice = user("alice")?;
    kms.put_identity_policy(&alice, "shop", &policy("ssm:*", "arn:aws:ssm:*:*:parameter/shop*"))?;
    let as_alice = Parameters::new(&kms.as_principal(alice)?);
    assert!(as_alice.get("/shop/db").is_ok());
    assert_eq!(kind(as_alice.get("/mail/db")), ErrorKind::AccessDenied);
    // A refusal does not reveal if the parameter exists.
    let (there, missing) = (as_alice.get("/mail/db").unwrap_err(), as_alice.get("/mail/dx").unwrap_err());
    assert_eq!(there.to_string().replace("/mail/db", "/mail/dx"), missing.to_string());
    assert_eq!(exception(as_alice.get("/shop/missing")), "ParameterNotFound");
    assert!(as_alice.by_path(GetParametersByPathRequest::new("/shop")).is_ok());
    assert_eq!(kind(as_alice.by_path(GetParametersByPathRequest::new("/"))), ErrorKind::AccessDenied);
    assert_eq!(kind(as_alice.get_all(&["/shop/db", "/mail/db"], SecureStringForm::Decrypted)), ErrorKind::AccessDenied);
    assert_eq!(kind(as_alice.delete_all(&["/shop/db", "/mail/db"])), ErrorKind::AccessDenied);
    assert_eq!(kind(as_alice.describe(Default::default())), ErrorKind::AccessDenied);
    assert!(own.get("/shop/db").is_ok(), "nothing was deleted");
    Ok(())
}

#[test]
fn tags_of_a_new_parameter_need_their_own_permission() -> TestResult {
    let kms = any_store::kms()?;
    let alice = user("alice")?;
    let as_alice = Parameters::new(&kms.as_principal(alice.clone())?);
    kms.put_identity_policy(&alice, "put", &policy("ssm:PutParameter", "*"))?;
    let request = || Ok::<_, Error>(PutParameterRequest::string("/a", "1").tags([Tag::new("team", "shop")?]));
    assert_eq!(kind(as_alice.put(request()?)), ErrorKind::AccessDenied);
    kms.put_identity_policy(&alice, "tag", &policy("ssm:AddTagsToResource", "*"))?;
    as_alice.put(request()?)?;
    // A policy can test the tags of the parameter.
    let denied = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"},
        {"Effect": "Deny", "Action": "ssm:GetParameter", "Resource": "*",
            "Condition": {"StringEquals": {"ssm:resourceTag/team": "shop"}}}]}"#;
    kms.put_identity_policy(&alice, "get", denied)?;
    assert_eq!(kind(as_alice.get("/a")), ErrorKind::AccessDenied);
    Parameters::new(&kms).remove_tags("/a", &["team"])?;
    assert!(as_alice.get("/a").is_ok());
    Ok(())
}

#[test]
fn accounts_do_not_see_parameters_of_each_other() -> TestResult {
    let kms = any_store::kms()?;
    let other = AccountId::parse("111122223333")?;
    let (ours, theirs) = (Parameters::new(&kms), Parameters::new(&kms.as_principal(Principal::root(other))?));
    ours.put(PutParameterRequest::secure_string("/a", "ours"))?;
    assert_eq!(exception(theirs.get("/a")), "ParameterNotFound");
    assert_eq!(exception(theirs.get(ours.get("/a")?.arn())), "ParameterNotFound");
    theirs.put(PutParameterRequest::secure_string("/a", "theirs"))?;
    assert_eq!((ours.get("/a")?.expose_value(), theirs.get("/a")?.expose_value()), ("ours", "theirs"));
    assert_eq!(theirs.describe(Default::default())?.entries.len(), 1);
    theirs.delete("/a")?;
    assert_eq!(ours.get("/a")?.expose_value(), "ours");
    assert_eq!(kind(theirs.run_maintenance()), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn a_secure_string_needs_permission_for_its_key() -> TestResult {
    let kms = any_store::kms()?;
    let key = kms.create_key(Default::default())?;
    let alice = user("alice")?;
    kms.put_identity_policy(&alice, "parameters", &policy("ssm:*", "*"))?;
    let as_alice = Parameters::new(&kms.as_principal(alice.clone())?);
    let secret = |name: &str| PutParameterRequest::secure_string(name, "1").key_id(key.arn().to_string());
    // The default key allows every principal of the account to use it through the parameter store.
    as_alice.put(PutParameterRequest::secure_string("/default", "1"))?;
    assert_eq!(as_alice.get("/default")?.expose_value(), "1");
    assert!(kms.decrypt(strongroom::request::DecryptRequest::new(b"x").key("alias/aws/ssm")?).is_err());

    for (tier, action) in [(ParameterTier::Standard, "kms:Encrypt"), (ParameterTier::Advanced, "kms:GenerateDataKey")] {
        let name = format!("/{tier}");
        assert_eq!(kind(as_alice.put(secret(&name).tier(tier))), ErrorKind::AccessDenied, "{tier}");
        assert_eq!(exception(as_alice.get(&name)), "ParameterNotFound");
        kms.put_identity_policy(&alice, "write", &policy(action, "*"))?;
        as_alice.put(secret(&name).tier(tier))?;
        assert_eq!(kind(as_alice.get(&name)), ErrorKind::AccessDenied, "{tier}");
        assert!(as_alice.get_as(&name, SecureStringForm::AsStored).is_ok());
        let arn = as_alice.get_as(&name, SecureStringForm::AsStored)?.arn().to_owned();
        let only_here = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
                "Condition": {{"StringEquals": {{"kms:ViaService": "ssm.local.amazonaws.com",
                    "kms:EncryptionContext:PARAMETER_ARN": "{arn}"}}}}}}}}"#
        );
        kms.put_identity_policy(&alice, "read", &only_here)?;
        assert_eq!(as_alice.get(&name)?.expose_value(), "1");
        kms.delete_identity_policy(&alice, "read")?;
        kms.delete_identity_policy(&alice, "write")?;
    }
    Ok(())
}

#[test]
fn a_key_that_cannot_be_used_is_named() -> TestResult {
    let kms = any_store::kms()?;
    let key = kms.create_key(Default::default())?.key_id();
    let parameters = Parameters::new(&kms);
    for tier in [ParameterTier::Standard, ParameterTier::Advanced] {
        let name = format!("/{tier}");
        let put = |key: &str| parameters.put(PutParameterRequest::secure_string(&*name, "1").key_id(key).tier(tier));
        for wrong in ["alias/missing", "1234abcd-12ab-34cd-56ef-1234567890ab", "no key", "arn:x"] {
            assert_eq!(exception(put(wrong)), "InvalidKeyId", "{wrong}");
        }
        put(&key.to_string())?;
        kms.disable_key(key)?;
        let refused = parameters.get(&name).unwrap_err();
        assert_eq!((refused.kind(), exception(parameters.get(&name))), (ErrorKind::Disabled, "InvalidKeyId"));
        let again = PutParameterRequest::new(&*name, "2").overwrite();
        assert_eq!(exception(parameters.put(again)), "InvalidKeyId");
        assert!(parameters.get_as(&name, SecureStringForm::AsStored).is_ok());
        kms.enable_key(key)?;
        assert_eq!((parameters.get(&name)?.expose_value(), parameters.get(&name)?.version()), ("1", 1));
    }
    Ok(())
}

#[test]
fn a_service_cannot_act_on_parameters() -> TestResult {
    let kms = any_store::kms()?;
    let forwarded = kms.as_service("s3")?.on_behalf_of(&kms)?;
    for handle in [kms.as_service("ssm")?, forwarded] {
        assert_eq!(kind(Parameters::new(&handle).get("/a")), ErrorKind::AccessDenied);
    }
    Ok(())
}

#[test]
fn a_custom_policy_decides_and_denies_by_default() -> TestResult {
    #[derive(Debug)]
    struct KeysOnly;
    impl strongroom::policy::Policy for KeysOnly {
        fn decide(
            &self,
            _: &strongroom::policy::PolicyRequest<'_>,
            _: &strongroom::policy::AttachedPolicies<'_>,
        ) -> Result<strongroom::policy::Decision, Error> {
            Ok(strongroom::policy::Decision::Allow)
        }
    }
    let put = |kms: &Kms| Parameters::new(kms).put(PutParameterRequest::string("/a", "1"));
    assert_eq!(kind(put(&any_store::builder().policy(KeysOnly).build()?)), ErrorKind::AccessDenied);
    let owner_only = any_store::builder().policy(AccountOwnerOnly).build()?;
    put(&owner_only)?;
    assert_eq!(kind(put(&owner_only.as_principal(user("alice")?)?)), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn every_call_leaves_an_event_without_the_value() -> TestResult {
    let trail = Arc::new(MemoryTrail::default());
    // The trail returns events in the order of their times, which are those of the calls' starts.
    let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse()?));
    let kms = any_store::builder().audit(Arc::clone(&trail)).clock(clock).build()?;
    let parameters = Parameters::new(&kms.with_request_id("request-1")?);
    parameters.put(PutParameterRequest::secure_string("/shop/db", "correct horse"))?;
    let events = trail.events();
    let told = |event: &AuditEvent| (event.action, event.outcome.clone());
    let steps: Vec<_> = events.iter().map(told).collect();
    let put = Action::Parameter(ParameterOperation::PutParameter);
    assert!(steps.contains(&(Action::Call(Operation::Encrypt), Outcome::Success)));
    assert_eq!(steps[steps.len() - 2..], [(put, Outcome::Intent), (put, Outcome::Success)]);
    assert!(events.iter().all(|event| !format!("{event:?}").contains("horse")));
    let last = events.last().expect("the outcome");
    assert_eq!(last.request_id.as_deref(), Some("request-1"));
    assert!(last.parameters.contains(&("name", ParameterValue::from("/shop/db"))) && !last.read_only());
    let encrypted = events.iter().find(|event| event.action == Action::Call(Operation::Encrypt)).expect("one");
    assert_eq!(encrypted.via_service.as_ref().map(strongroom::identity::ServiceName::as_str), Some("ssm"));
    let context = encrypted.context.as_ref().and_then(|context| context.get("PARAMETER_ARN"));
    assert_eq!(context, Some("arn:aws:ssm:local:000000000000:parameter/shop/db"));

    trail.clear();
    for (operation, attempt) in attempts() {
        let _ = parameters.put(PutParameterRequest::secure_string("/shop/db", "correct horse"));
        trail.clear();
        attempt(&parameters)?;
        let found = trail.events();
        let last = found.last().expect("an event");
        assert_eq!((last.action, &last.outcome), (Action::Parameter(operation), &Outcome::Success));
        assert_eq!(last.read_only(), operation.is_read_only(), "{operation}");
        let refused = attempt(&Parameters::new(&kms.as_principal(user("alice")?)?)).unwrap_err();
        let found = trail.events();
        let last = found.last().expect("an event");
        assert_eq!((last.action, &last.outcome), (Action::Parameter(operation), &Outcome::Failure(refused.kind())));
        assert!(found.iter().all(|event| !format!("{event:?}").contains("horse")));
    }
    let _ = parameters.get("/missing");
    let found = trail.events();
    let additional = &found.last().expect("an event").additional;
    assert!(additional.contains(&("exception", "ParameterNotFound".into())));
    Ok(())
}

#[test]
fn filters_are_in_the_event_of_their_call() -> TestResult {
    let trail = Arc::new(MemoryTrail::default());
    let kms = any_store::builder().audit(Arc::clone(&trail)).build()?;
    let parameters = Parameters::new(&kms);
    let noted = |name: &str| {
        let event = trail.events().pop().expect("an event");
        event.parameters.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone())
    };
    let filters = [
        ParameterFilter::new("Name", ["/shop", "/mail"]).option("BeginsWith"),
        ParameterFilter::new("Type", ["SecureString"]),
        ParameterFilter::new::<String>("tag:team", []),
    ];
    parameters.describe(DescribeParametersRequest::default().filters(filters))?;
    let expected =
        [("Name BeginsWith", "/shop"), ("Name BeginsWith", "/mail"), ("Type", "SecureString"), ("tag:team", "")];
    assert_eq!(noted("parameterFilters"), Some(ParameterValue::pairs(expected)));
    let labeled = [ParameterFilter::new("Label", ["live"])];
    parameters.by_path(GetParametersByPathRequest::new("/shop").filters(labeled.clone()))?;
    assert_eq!(noted("parameterFilters"), Some(ParameterValue::pairs([("Label", "live")])));
    // A refused call records them, too.
    assert!(parameters.describe(DescribeParametersRequest::default().filters(labeled)).is_err());
    assert_eq!(noted("parameterFilters"), Some(ParameterValue::pairs([("Label", "live")])));
    parameters.describe(Default::default())?;
    assert_eq!(noted("parameterFilters"), None);

    // An event is bounded, and contains the number of the omitted values.
    let keys = ["Name", "KeyId", "tag:a", "tag:b", "tag:c"];
    for (length, expected, omitted) in [(1, 200, 50), (650, 100, 150)] {
        let value = "x".repeat(length);
        let many = keys.map(|key| ParameterFilter::new(key, vec![value.as_str(); 50]));
        parameters.describe(DescribeParametersRequest::default().filters(many))?;
        let Some(ParameterValue::Pairs(pairs)) = noted("parameterFilters") else { panic!("the filters are missing") };
        assert_eq!((pairs.len(), noted("omittedFilterValues")), (expected, Some(ParameterValue::Number(omitted))));
    }
    Ok(())
}
