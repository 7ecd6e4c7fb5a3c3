//! Values, types, tiers, versions, labels and expiration.

use std::sync::Arc;

use strongroom::key::Tag;
use strongroom::parameters::{
    GetParameterHistoryRequest, ParameterTier, ParameterType, Parameters, PutParameterRequest, SecureStringForm,
};
use strongroom::{ErrorKind, Kms, ManualClock, Timestamp};

use super::{TestResult, exception};
use crate::support::any_store;
use crate::support::kms::kind;

fn parameters() -> TestResult<Parameters> {
    Ok(Parameters::new(&any_store::kms()?))
}

#[test]
fn values_of_every_type_are_returned_as_they_were_put() -> TestResult {
    let parameters = parameters()?;
    let requests = [
        (PutParameterRequest::string("/a/text", " text, with é "), ParameterType::String),
        (PutParameterRequest::string_list("/a/list", "a,b,,c"), ParameterType::StringList),
        (PutParameterRequest::secure_string("/a/secret", "correct horse"), ParameterType::SecureString),
        (
            PutParameterRequest::secure_string("/a/long", "x".repeat(8_192)).tier(ParameterTier::Advanced),
            ParameterType::SecureString,
        ),
    ];
    for (request, kind) in requests {
        let debug = format!("{request:?}");
        assert!(!debug.contains("correct") && !debug.contains("text, with"), "{debug}");
        assert_eq!(parameters.put(request)?.version, 1);
        let page = parameters.describe(Default::default())?;
        assert!(page.entries.iter().any(|entry| entry.parameter_type() == kind));
    }
    assert_eq!(parameters.get("/a/text")?.expose_value(), " text, with é ");
    assert_eq!(parameters.get("/a/list")?.expose_value(), "a,b,,c");
    assert_eq!(parameters.get("/a/secret")?.expose_value(), "correct horse");
    assert_eq!(parameters.get("/a/long")?.expose_value(), "x".repeat(8_192));
    let stored = parameters.get_as("/a/secret", SecureStringForm::AsStored)?;
    assert!(!stored.expose_value().contains("horse"));
    assert_eq!(parameters.get_as("/a/text", SecureStringForm::AsStored)?.expose_value(), " text, with é ");
    Ok(())
}

#[test]
fn a_name_of_one_level_is_the_same_with_and_without_a_slash() -> TestResult {
    let parameters = parameters()?;
    parameters.put(PutParameterRequest::string("url", "one"))?;
    assert_eq!(parameters.get("/url")?.name(), "url");
    assert_eq!(exception(parameters.put(PutParameterRequest::string("/url", "two"))), "ParameterAlreadyExists");
    let arn = parameters.get("url")?.arn().to_owned();
    assert_eq!(parameters.get(&arn)?.expose_value(), "one");
    assert_eq!(parameters.get(&format!("{arn}:1"))?.selector(), Some("1"));
    assert_eq!(exception(parameters.get("arn:aws:ssm:local:111122223333:parameter/url")), "ParameterNotFound");
    parameters.delete("/url")?;
    assert_eq!(exception(parameters.get("url")), "ParameterNotFound");
    // Also the one that looks like the beginning of an ARN.
    parameters.put(PutParameterRequest::string("arn", "one"))?;
    parameters.label("arn", None, ["live"])?;
    for name in ["arn", "/arn", "arn:1", "arn:live", &arn.replace("/url", "/arn:1")] {
        assert_eq!(parameters.get(name)?.name(), "arn", "{name}");
    }
    Ok(())
}

#[test]
fn a_version_is_created_only_if_the_request_allows_it() -> TestResult {
    let parameters = parameters()?;
    let put = |value: &str| PutParameterRequest::new("/a", value);
    assert_eq!(exception(parameters.put(put("one"))), "UnsupportedParameterType");
    assert_eq!(parameters.put(put("one").parameter_type(ParameterType::String))?.version, 1);
    assert_eq!(exception(parameters.put(put("two"))), "ParameterAlreadyExists");
    assert_eq!(parameters.put(put("two").overwrite())?.version, 2);
    let other = put("three").overwrite().parameter_type(ParameterType::StringList);
    assert_eq!(exception(parameters.put(other)), "HierarchyTypeMismatchException");
    let tagged = put("three").overwrite().tags([Tag::new("a", "b")?]);
    assert_eq!(exception(parameters.put(tagged)), "ValidationException");
    assert_eq!(parameters.get("/a")?.expose_value(), "two");
    parameters.delete("/a")?;
    assert_eq!(exception(parameters.delete("/a")), "ParameterNotFound");
    // Versions begin again, and those before do not return.
    assert_eq!(parameters.put(put("new").parameter_type(ParameterType::StringList))?.version, 1);
    assert_eq!(exception(parameters.get("/a:2")), "ParameterVersionNotFound");
    Ok(())
}

#[test]
fn the_next_version_keeps_what_the_request_does_not_set() -> TestResult {
    let kms = any_store::kms()?;
    let key = kms.create_key(Default::default())?.key_id();
    let parameters = Parameters::new(&kms);
    let first = PutParameterRequest::secure_string("/a", "first")
        .key_id(key.to_string())
        .description("a text")
        .allowed_pattern("[a-z]+");
    parameters.put(first)?;
    assert_eq!(
        exception(parameters.put(PutParameterRequest::new("/a", "2nd").overwrite())),
        "ParameterPatternMismatchException"
    );
    parameters.put(PutParameterRequest::new("/a", "second").overwrite())?;
    let described = || parameters.describe(Default::default()).map(|page| page.entries[0].clone());
    let metadata = described()?;
    assert_eq!((metadata.key_id(), metadata.description()), (Some(key.to_string().as_str()), Some("a text")));
    parameters.put(PutParameterRequest::new("/a", "3rd").overwrite().allowed_pattern("").description(""))?;
    let metadata = described()?;
    assert_eq!((metadata.allowed_pattern(), metadata.description(), metadata.version()), (None, None, 3));
    Ok(())
}

#[test]
fn a_tier_only_rises_and_bounds_the_value() -> TestResult {
    let parameters = parameters()?;
    let put = |name: &str, length: usize| PutParameterRequest::string(name, "x".repeat(length));
    assert_eq!(parameters.put(put("/s", 4_096))?.tier, ParameterTier::Standard);
    assert_eq!(kind(parameters.put(put("/t", 4_097))), ErrorKind::Validation);
    assert_eq!(kind(parameters.put(put("/t", 8_193).tier(ParameterTier::Advanced))), ErrorKind::Validation);
    let intelligent = |name, length| put(name, length).tier(ParameterTier::IntelligentTiering);
    assert_eq!(parameters.put(intelligent("/i", 4_096))?.tier, ParameterTier::Standard);
    assert_eq!(parameters.put(intelligent("/j", 4_097))?.tier, ParameterTier::Advanced);
    assert_eq!(parameters.put(put("/j", 1).overwrite())?.tier, ParameterTier::Advanced);
    assert_eq!(kind(parameters.put(put("/j", 1).overwrite().tier(ParameterTier::Standard))), ErrorKind::Validation);
    assert_eq!(
        parameters.put(put("/s", 8_192).overwrite().tier(ParameterTier::Advanced))?.tier,
        ParameterTier::Advanced
    );
    // Each version is read in the tier in which it was written.
    assert_eq!(parameters.get("/s:1")?.expose_value().len(), 4_096);
    let secret = |length: usize| PutParameterRequest::secure_string("/secret", "x".repeat(length));
    parameters.put(secret(4_096))?;
    parameters.put(secret(8_192).tier(ParameterTier::Advanced).overwrite())?;
    assert_eq!(parameters.get("/secret:1")?.expose_value().len(), 4_096);
    assert_eq!(parameters.get("/secret:2")?.expose_value().len(), 8_192);
    Ok(())
}

#[test]
fn the_oldest_of_a_hundred_versions_is_deleted_unless_it_has_a_label() -> TestResult {
    let parameters = parameters()?;
    parameters.put(PutParameterRequest::string("/a", "1"))?;
    for number in 2..=100 {
        parameters.put(PutParameterRequest::new("/a", number.to_string()).overwrite())?;
    }
    parameters.label("/a", Some(1), ["first"])?;
    let next = || parameters.put(PutParameterRequest::new("/a", "next").overwrite());
    assert_eq!(exception(next()), "ParameterMaxVersionLimitExceeded");
    assert_eq!(parameters.get("/a")?.version(), 100);
    parameters.unlabel("/a", 1, ["first"])?;
    assert_eq!(next()?.version, 101);
    assert_eq!(exception(parameters.get("/a:1")), "ParameterVersionNotFound");
    assert_eq!(parameters.get("/a:2")?.expose_value(), "2");
    let (mut versions, mut token) = (Vec::new(), None::<String>);
    loop {
        let mut request = GetParameterHistoryRequest::new("/a").max_results(33);
        if let Some(token) = token {
            request = request.next_token(token);
        }
        let page = parameters.history(request)?;
        versions.extend(page.entries.iter().map(|entry| entry.metadata().version()));
        token = page.next_marker;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(versions, (2..=101).collect::<Vec<_>>());
    parameters.delete("/a")?;
    assert_eq!(exception(parameters.history(GetParameterHistoryRequest::new("/a"))), "ParameterNotFound");
    Ok(())
}

#[test]
fn a_label_belongs_to_one_version_and_moves() -> TestResult {
    let parameters = parameters()?;
    for value in ["1", "2"] {
        parameters.put(PutParameterRequest::string("/a", value).overwrite())?;
    }
    assert_eq!(parameters.label("/a", Some(1), ["live"])?.parameter_version, 1);
    assert_eq!(parameters.get("/a:live")?.expose_value(), "1");
    assert_eq!(parameters.label("/a", None, ["live"])?.parameter_version, 2);
    assert_eq!(parameters.get("/a:live")?.expose_value(), "2");
    let labeled = parameters.label("/a", None, ["1st", "awsome", "SSM", "good"])?;
    assert_eq!(labeled.invalid_labels, ["1st", "awsome", "SSM"]);
    let page = parameters.history(GetParameterHistoryRequest::new("/a"))?;
    assert_eq!(
        (page.entries[0].labels().len(), page.entries[1].labels()),
        (0, &["good".to_owned(), "live".to_owned()][..])
    );
    let nine: Vec<String> = (0..9).map(|number| format!("label-{number}")).collect();
    assert_eq!(exception(parameters.label("/a", None, nine.clone())), "ParameterVersionLabelLimitExceeded");
    parameters.label("/a", Some(1), nine)?;
    let removed = parameters.unlabel("/a", 2, ["label-0", "live"])?;
    assert_eq!((removed.removed_labels, removed.invalid_labels), (vec!["live".to_owned()], vec!["label-0".to_owned()]));
    assert_eq!(exception(parameters.get("/a:live")), "ParameterVersionNotFound");
    assert_eq!(exception(parameters.label("/a", Some(3), ["x"])), "ParameterVersionNotFound");
    assert_eq!(exception(parameters.label("/b", None, ["x"])), "ParameterNotFound");
    assert_eq!(kind(parameters.label("/a", None, [""; 0])), ErrorKind::Validation);
    assert_eq!(kind(parameters.label("/a", None, ["x"; 11])), ErrorKind::Validation);
    Ok(())
}

#[test]
fn an_expired_parameter_does_not_exist_and_is_deleted() -> TestResult {
    let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse::<Timestamp>()?));
    let kms = any_store::builder().clock(Arc::clone(&clock)).build()?;
    let parameters = Parameters::new(&kms);
    let policies = r#"[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2026-01-03T00:00:00Z"}},
        {"Type":"ExpirationNotification","Version":"1.0","Attributes":{"Before":"1","Unit":"Days"}},
        {"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"6","Unit":"Hours"}}]"#;
    let request = || PutParameterRequest::string("/a", "1").policies(policies);
    assert_eq!(kind(parameters.put(request())), ErrorKind::Validation);
    parameters.put(request().tier(ParameterTier::Advanced))?;
    parameters.put(PutParameterRequest::new("/a", "2").overwrite())?;
    assert_eq!(parameters.run_maintenance()?, Default::default());
    clock.advance_days(1);
    let report = parameters.run_maintenance()?;
    let arn = parameters.get("/a")?.arn().to_owned();
    assert_eq!((&report.expiring, &report.unchanged), (&vec![arn.clone()], &vec![arn.clone()]));
    let statuses: Vec<_> = parameters.describe(Default::default())?.entries[0]
        .policies()
        .iter()
        .map(|policy| policy.policy_status)
        .collect();
    assert_eq!(statuses, ["Pending", "Finished", "Finished"]);

    clock.advance_days(1);
    assert_eq!(exception(parameters.get("/a")), "ParameterNotFound");
    assert_eq!(exception(parameters.get("/a:1")), "ParameterNotFound");
    assert!(parameters.describe(Default::default())?.entries.is_empty());
    // A new parameter of the name has nothing of the expired one.
    let replaced = parameters.put(PutParameterRequest::string("/a", "new"))?;
    assert_eq!((replaced.version, replaced.tier), (1, ParameterTier::Standard));
    assert!(parameters.run_maintenance()?.deleted.is_empty());
    parameters.put(request().overwrite().tier(ParameterTier::Advanced).policies("[]"))?;
    let later = policies.replace("2026-01-03", "2026-01-04");
    parameters.put(PutParameterRequest::string("/b", "1").policies(later).tier(ParameterTier::Advanced))?;
    clock.advance_days(1);
    assert_eq!(parameters.run_maintenance()?.deleted, [arn.replace("/a", "/b")]);
    assert_eq!(parameters.get("/a")?.expose_value(), "1");
    assert!(kms.verify_store(|_| {})?.is_intact());
    Ok(())
}

#[test]
fn nothing_is_deleted_while_the_clock_is_not_trusted() -> TestResult {
    let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse::<Timestamp>()?));
    let parameters = Parameters::new(&Kms::builder().clock(Arc::clone(&clock)).build()?);
    let policies = r#"[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2026-06-01T00:00:00Z"}}]"#;
    parameters.put(PutParameterRequest::string("/a", "1").policies(policies).tier(ParameterTier::Advanced))?;
    clock.advance_days(365);
    let report = parameters.run_maintenance()?;
    assert_eq!((report.deleted.len(), report.postponed.len()), (0, 1));
    assert_eq!(exception(parameters.get("/a")), "ParameterNotFound");
    assert_eq!(exception(parameters.delete("/a")), "ParameterNotFound");
    assert_eq!(kind(parameters.put(PutParameterRequest::string("/a", "2"))), ErrorKind::InvalidState);
    clock.set("2026-01-02T00:00:00Z".parse()?); // the clock was wrong
    assert_eq!(parameters.get("/a")?.expose_value(), "1");
    Ok(())
}

#[test]
fn patterns_descriptions_and_types_are_checked() -> TestResult {
    let parameters = parameters()?;
    let put = |value: &str| PutParameterRequest::string("/a", value);
    assert_eq!(exception(parameters.put(put("1").allowed_pattern("("))), "InvalidAllowedPatternException");
    assert_eq!(exception(parameters.put(put("x1").allowed_pattern(r"\d+"))), "ParameterPatternMismatchException");
    assert_eq!(kind(parameters.put(put("{{b}}"))), ErrorKind::Validation);
    assert_eq!(kind(parameters.put(put(""))), ErrorKind::Validation);
    assert_eq!(kind(parameters.put(put("1").description("x".repeat(1_025)))), ErrorKind::Validation);
    assert_eq!(kind(parameters.put(put("1").data_type("aws:ec2:image"))), ErrorKind::Validation);
    assert_eq!(kind(parameters.put(put("1").key_id("alias/a"))), ErrorKind::Validation);
    assert_eq!(
        exception(parameters.put(PutParameterRequest::string("/x".repeat(16), "1"))),
        "HierarchyLevelLimitExceededException"
    );
    assert_eq!(exception(parameters.put(PutParameterRequest::string("/aws/x", "1"))), "ValidationException");
    assert_eq!(parameters.put(put("1").data_type("text").allowed_pattern(r"\d+"))?.version, 1);
    Ok(())
}
