//! Arguments as an outsider would choose them: at their limits, and beyond.

use strongroom::audit::FileTrail;
use strongroom::identity::AccountId;
use strongroom::key::Tag;
use strongroom::parameters::{
    DescribeParametersRequest, GetParameterHistoryRequest, GetParametersByPathRequest, Parameter, ParameterFilter,
    ParameterTier, ParameterType, Parameters, PutParameterRequest, SecureStringForm,
};
use strongroom::{Error, ErrorKind, Result};

use super::{TestResult, exception};
use crate::support::any_store;
use crate::support::kms::kind;
use crate::support::policies::user;

const ARN: &str = "arn:aws:ssm:local:000000000000:parameter";

fn parameters() -> TestResult<Parameters> {
    Ok(Parameters::new(&any_store::kms()?))
}

#[test]
fn a_name_of_any_length_is_found_missing_or_invalid() -> TestResult {
    let parameters = parameters()?;
    let longest = format!("/{}", "n".repeat(1_011 - ARN.len() - 1));
    parameters.put(PutParameterRequest::string(longest.as_str(), "1"))?;
    for number in 2..=101 {
        parameters.put(PutParameterRequest::new(longest.as_str(), number.to_string()).overwrite())?;
    }
    assert_eq!(parameters.get(&format!("{longest}:2"))?.expose_value(), "2");
    assert_eq!(parameters.get(&format!("{ARN}{longest}:101"))?.name(), longest);
    let page = parameters.by_path(GetParametersByPathRequest::new("/").max_results(1))?;
    let token = page.next_marker.expect("a list does not look ahead");
    assert!(
        parameters.by_path(GetParametersByPathRequest::new("/").max_results(1).next_token(token))?.entries.is_empty()
    );

    let too_long = format!("{longest}n");
    assert_eq!(exception(parameters.put(PutParameterRequest::string(too_long.as_str(), "1"))), "ValidationException");
    // Reading has the limit of requests. Every store looks such names up.
    for name in [too_long.as_str(), &"n".repeat(2_048), &"/n".repeat(1_000)] {
        assert_eq!(exception(parameters.get(name)), "ParameterNotFound", "{name:.10}");
        assert_eq!(exception(parameters.delete(name)), "ParameterNotFound", "{name:.10}");
        assert_eq!(exception(parameters.list_tags(name)), "InvalidResourceId", "{name:.10}");
        let path = format!("/{}", name.trim_start_matches('/')).chars().take(2_048).collect::<String>();
        if !path.ends_with('/') {
            assert!(parameters.by_path(GetParametersByPathRequest::new(path).recursive())?.entries.is_empty());
        }
    }
    for length in [2_049, 1 << 20] {
        let name = format!("/{}", "n".repeat(length - 1));
        let refused = parameters.get(&name).unwrap_err();
        assert!(refused.kind() == ErrorKind::Validation && refused.to_string().len() < 300);
        assert_eq!(kind(parameters.by_path(GetParametersByPathRequest::new(name.as_str()))), ErrorKind::Validation);
        let found = parameters.get_all(&[name.as_str()], SecureStringForm::Decrypted)?;
        assert_eq!(found.invalid_parameters, [name]);
    }
    parameters.delete(&longest)?;
    assert!(parameters.describe(Default::default())?.entries.is_empty());
    Ok(())
}

/// The largest record: a hundred versions with ten labels each, fifty tags, and every text at its
/// limit, in characters of four bytes where they are allowed.
#[test]
fn a_parameter_can_reach_all_its_limits_at_once() -> TestResult {
    let parameters = parameters()?;
    let wide = |length: usize| "\u{10348}".repeat(length);
    let tags =
        (0..50).map(|number| Tag::new(format!("{number:02}{}", wide(126)), wide(256))).collect::<Result<Vec<_>>>()?;
    let policies = format!(
        "[{}]",
        [r#"{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"20","Unit":"Hours"}}"#; 10].join(",")
    );
    let first = PutParameterRequest::secure_string("/a", wide(2_048))
        .tier(ParameterTier::Advanced)
        .description(wide(1_024))
        .allowed_pattern(format!(".*|{}", "x".repeat(1_021)))
        .policies(policies)
        .tags(tags.clone());
    parameters.put(first)?;
    let labels = |version: u64| (0..10).map(move |number| format!("{:-<100}", format!("label-{version}-{number}")));
    parameters.label("/a", Some(1), labels(1))?;
    for version in 2..=100 {
        parameters.put(PutParameterRequest::new("/a", wide(2_048)).overwrite())?;
        parameters.label("/a", Some(version), labels(version))?;
    }
    let next = || parameters.put(PutParameterRequest::new("/a", "next").overwrite());
    assert_eq!(exception(next()), "ParameterMaxVersionLimitExceeded");
    assert_eq!(exception(parameters.label("/a", Some(7), ["one-more"])), "ParameterVersionLabelLimitExceeded");
    assert_eq!(exception(parameters.add_tags("/a", [Tag::new("one-more", "")?])), "TooManyTagsError");
    assert_eq!(parameters.list_tags("/a")?.iter().count(), 50);
    for label in labels(1).chain(labels(100)) {
        assert_eq!(parameters.get(&format!("/a:{label}"))?.expose_value(), wide(2_048));
    }
    let (mut found, mut token) = (0, None::<String>);
    loop {
        let request = GetParameterHistoryRequest::new("/a").max_results(50);
        let page = parameters.history(token.take().map_or(request.clone(), |token| request.next_token(token)))?;
        assert!(page.entries.iter().all(|entry| entry.labels().len() == 10));
        (found, token) = (found + page.entries.len(), page.next_marker);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(found, 100);
    // Any of the labels keeps the oldest version, and the last one to move releases it.
    let mut oldest: Vec<String> = labels(1).collect();
    let last = oldest.pop().expect("ten labels");
    assert_eq!(parameters.unlabel("/a", 1, oldest)?.removed_labels.len(), 9);
    assert_eq!(exception(next()), "ParameterMaxVersionLimitExceeded");
    parameters.unlabel("/a", 2, labels(2).take(1))?;
    parameters.label("/a", Some(2), [last.as_str()])?;
    assert_eq!(next()?.version, 101);
    assert_eq!(exception(next()), "ParameterMaxVersionLimitExceeded");
    assert_eq!(parameters.get(&format!("/a:{last}"))?.version(), 2);
    parameters.delete("/a")?;
    Ok(())
}

#[test]
fn tags_are_bounded_when_a_parameter_is_created_too() -> TestResult {
    let parameters = parameters()?;
    let tags = |count: usize| (0..count).map(|number| Tag::new(format!("tag{number}"), "")).collect::<Result<Vec<_>>>();
    let put = |tags: Vec<Tag>| parameters.put(PutParameterRequest::string("/a", "1").tags(tags));
    assert_eq!(exception(put(tags(51)?)), "TooManyTagsError");
    assert_eq!(exception(put(vec![Tag::new("a", "1")?, Tag::new("a", "2")?])), "TooManyTagsError");
    assert_eq!(exception(parameters.get("/a")), "ParameterNotFound");
    put(tags(50)?)?;
    // A tag that replaces another one needs no room.
    parameters.add_tags("/a", [Tag::new("tag7", "new")?])?;
    assert_eq!(exception(parameters.add_tags("/a", [Tag::new("tag7", "x")?, Tag::new("b", "")?])), "TooManyTagsError");
    assert_eq!(parameters.list_tags("/a")?.get("tag7"), Some("new"), "a refused change has no effect");
    Ok(())
}

#[test]
fn names_and_selectors_of_other_alphabets_do_not_exist() -> TestResult {
    let parameters = parameters()?;
    // The letter Cyrillic a, a ligature, a combining accent, an invisible character, control
    // characters, and the slash of full width.
    let strange =
        ["/\u{430}", "/\u{fb01}", "/e\u{301}", "/a\u{200b}", "/a\0", "/a\n", "\u{ff0f}a", "/a\u{7f}", "/\u{1f511}"];
    for name in strange {
        let refused = parameters.put(PutParameterRequest::string(name, "1")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Validation, "{name:?}");
        assert_eq!(kind(parameters.get(name)), ErrorKind::Validation, "{name:?}");
        assert_eq!(kind(parameters.by_path(GetParametersByPathRequest::new(name))), ErrorKind::Validation, "{name:?}");
    }
    parameters.put(PutParameterRequest::string("/a", "1").description("größe \u{1f511}"))?;
    for selector in ["\u{661}", "live\0", "\u{202e}1", "1\u{301}", "+1", "-1", " 1", "1 2", "01:1", "1:1", ":"] {
        let refused = parameters.get(&format!("/a:{selector}")).unwrap_err();
        assert!(!refused.to_string().contains(|character: char| character.is_control()), "{refused}");
        assert_eq!(exception(parameters.get(&format!("/a:{selector}"))), "ParameterVersionNotFound", "{selector:?}");
    }
    assert_eq!(exception(parameters.get("/a:")), "ValidationException");
    assert_eq!(exception(parameters.get("/a:0")), "ParameterVersionNotFound");
    assert_eq!(parameters.get("/a:1")?.selector(), Some("1"));
    let labeled = parameters.label("/a", None, ["größe", "a b", "", "a:b", "live"])?;
    assert_eq!(labeled.invalid_labels, ["größe", "a b", "", "a:b"]);
    // Changes accept no selector.
    for refused in [
        parameters.delete("/a:1").map(drop),
        parameters.label("/a:1", None, ["x"]).map(drop),
        parameters.put(PutParameterRequest::string("/a:2", "x")).map(drop),
        parameters.history(GetParameterHistoryRequest::new("/a:1")).map(drop),
    ] {
        assert_eq!(exception(refused), "ValidationException");
    }
    Ok(())
}

/// A path is a sequence of whole levels, with or without a slash at its end.
#[test]
fn a_path_is_not_a_prefix_of_letters() -> TestResult {
    let parameters = parameters()?;
    let deep = "/d".repeat(15);
    for name in ["/shop/db", "/shopping/db", "/shop-a/db", "/shop", "/shop0", deep.as_str()] {
        parameters.put(PutParameterRequest::string(name, "1"))?;
    }
    for path in ["/shop", "/shop/", " /shop "] {
        let page = parameters.by_path(GetParametersByPathRequest::new(path).recursive())?;
        let names: Vec<&str> = page.entries.iter().map(Parameter::name).collect();
        assert_eq!(names, ["/shop/db"], "{path}");
        let filter = ParameterFilter::new("Path", [path.trim()]).option("Recursive");
        let described = parameters.describe(DescribeParametersRequest::default().filters([filter]))?;
        assert_eq!(described.entries.len(), 1, "{path}");
    }
    for level in 1..15 {
        let (path, deepest) = ("/d".repeat(level), level == 14);
        let page = parameters.by_path(GetParametersByPathRequest::new(path.as_str()))?;
        assert_eq!(page.entries.len(), usize::from(deepest), "{path}");
        assert_eq!(parameters.by_path(GetParametersByPathRequest::new(path).recursive())?.entries.len(), 1);
    }
    assert_eq!(kind(parameters.by_path(GetParametersByPathRequest::new(format!("{ARN}/shop")))), ErrorKind::Validation);
    Ok(())
}

fn statement(effect: &str, action: &str, resource: &str) -> String {
    format!(r#"{{"Effect": "{effect}", "Action": "{action}", "Resource": "{resource}"}}"#)
}

/// Every form of a name leads to the same decision.
#[test]
fn a_denied_name_is_denied_in_every_form() -> TestResult {
    let kms = any_store::kms()?;
    let own = Parameters::new(&kms);
    for name in ["/shop/db", "/open/db", "url"] {
        own.put(PutParameterRequest::string(name, "1"))?;
        own.put(PutParameterRequest::new(name, "2").overwrite())?;
        own.label(name, Some(1), ["live"])?;
    }
    let alice = user("alice")?;
    let document = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{}, {}, {}]}}"#,
        statement("Allow", "ssm:*", "*"),
        statement("Deny", "ssm:*", &format!("{ARN}/shop/*")),
        statement("Deny", "ssm:*", &format!("{ARN}/url")),
    );
    kms.put_identity_policy(&alice, "all", &document)?;
    let as_alice = Parameters::new(&kms.as_principal(alice)?);
    let forms = |name: &str| {
        let arn = format!("{ARN}/{}", name.trim_start_matches('/'));
        let mut forms = vec![name.to_owned(), format!("  {name} "), arn.clone(), format!(" {arn}")];
        forms.extend(
            ["1", "live", "9", "missing"].iter().flat_map(|one| [format!("{name}:{one}"), format!("{arn}:{one}")]),
        );
        forms
    };
    for name in ["/shop/db", "/shop/missing", "url", "/url"] {
        for form in forms(name) {
            assert_eq!(kind(as_alice.get(&form)), ErrorKind::AccessDenied, "{form}");
            let several = as_alice.get_all(&["/open/db", &form], SecureStringForm::AsStored);
            assert_eq!(kind(several), ErrorKind::AccessDenied, "{form}");
        }
        for form in &forms(name)[..4] {
            type Attempt<'a> = Box<dyn Fn() -> Result<(), Error> + 'a>;
            let attempts: [Attempt<'_>; 8] = [
                Box::new(|| as_alice.put(PutParameterRequest::string(form.as_str(), "x").overwrite()).map(drop)),
                Box::new(|| as_alice.delete(form)),
                Box::new(|| as_alice.delete_all(&["/open/db", form]).map(drop)),
                Box::new(|| as_alice.history(GetParameterHistoryRequest::new(form.as_str())).map(drop)),
                Box::new(|| as_alice.label(form, None, ["x"]).map(drop)),
                Box::new(|| as_alice.unlabel(form, 1, ["live"]).map(drop)),
                Box::new(|| as_alice.add_tags(form, [Tag::new("a", "b")?])),
                Box::new(|| as_alice.list_tags(form).map(drop)),
            ];
            for (number, attempt) in attempts.iter().enumerate() {
                assert_eq!(kind(attempt()), ErrorKind::AccessDenied, "{number} {form}");
            }
        }
    }
    for form in &forms("/open/db")[..6] {
        assert!(as_alice.get(form).is_ok(), "{form}");
    }
    assert_eq!(own.get("/open/db")?.version(), 2, "nothing was changed or deleted");
    Ok(())
}

/// A path is authorized by itself, in every form. The parameters below it have no influence.
#[test]
fn a_denied_path_is_denied_in_every_form() -> TestResult {
    let kms = any_store::kms()?;
    let own = Parameters::new(&kms);
    for name in ["/shop/url", "/shop/secret/db"] {
        own.put(PutParameterRequest::string(name, "1"))?;
    }
    let alice = user("alice")?;
    let document = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{}, {}]}}"#,
        statement("Allow", "ssm:GetParametersByPath", &format!("{ARN}/shop*")),
        statement("Deny", "ssm:GetParametersByPath", &format!("{ARN}/shop/secret*")),
    );
    kms.put_identity_policy(&alice, "shop", &document)?;
    let as_alice = Parameters::new(&kms.as_principal(alice)?);
    let below = |path: &str| as_alice.by_path(GetParametersByPathRequest::new(path).recursive());
    for path in ["/shop/secret", "/shop/secret/", " /shop/secret", "/shop/secret/db", "/", "/other"] {
        assert_eq!(kind(below(path)), ErrorKind::AccessDenied, "{path}");
    }
    // As the manual states: the whole tree below an allowed path is returned, as in AWS.
    assert_eq!(below("/shop")?.entries.len(), 2);
    // A token grants nothing.
    let page = own.by_path(GetParametersByPathRequest::new("/shop/secret").max_results(1))?;
    let token = page.next_marker.expect("a list does not look ahead");
    let continued = as_alice.by_path(GetParametersByPathRequest::new("/shop/secret").max_results(1).next_token(token));
    assert_eq!(kind(continued), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn a_token_of_another_account_leads_nowhere() -> TestResult {
    let kms = any_store::kms()?;
    let ours = Parameters::new(&kms);
    let other = strongroom::identity::Principal::root(AccountId::parse("111122223333")?);
    let theirs = Parameters::new(&kms.as_principal(other)?);
    for name in ["/a", "/b", "/c"] {
        ours.put(PutParameterRequest::string(name, "ours"))?;
    }
    theirs.put(PutParameterRequest::string("/b", "theirs"))?;
    let token = ours.describe(DescribeParametersRequest::default().max_results(1))?.next_marker.expect("more");
    let page = theirs.describe(DescribeParametersRequest::default().next_token(token))?;
    assert!(page.entries.iter().all(|entry| entry.arn().contains("111122223333")));
    Ok(())
}

/// A refused request leaves an event, although a line of the trail has a limit.
#[test]
fn the_event_of_a_request_is_bounded() -> TestResult {
    let folder = tempfile::tempdir()?;
    let kms = any_store::builder().audit(FileTrail::new(folder.path().join("trail"))).build()?;
    let parameters = Parameters::new(&kms);
    // Each character has six in JSON.
    let long = "\u{1}".repeat(4_096);
    let many = vec![long.as_str(); 60];
    let filters: Vec<_> = (0..60).map(|_| ParameterFilter::new(long.as_str(), many.clone())).collect();
    let put = PutParameterRequest::string(long.as_str(), "1").description(&*long).allowed_pattern(&*long);
    for (number, refused) in [
        parameters.get_all(&many, SecureStringForm::Decrypted).map(drop),
        parameters.delete_all(&many).map(drop),
        parameters.label("/a", None, many.clone()).map(drop),
        parameters.remove_tags("/a", &many),
        parameters.describe(DescribeParametersRequest::default().filters(filters)).map(drop),
        parameters.put(put.key_id(&*long).policies(&*long).data_type(&*long)).map(drop),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(kind(refused), ErrorKind::Validation, "{number}");
    }
    assert!(kms.verify_audit_trail(folder.path().join("trail"))?.records() >= 6);
    Ok(())
}

#[test]
fn values_at_their_limits_are_kept_byte_for_byte() -> TestResult {
    let parameters = parameters()?;
    let every: String = ('\0'..='\u{7ff}').collect();
    let values = ["\0", " ", "{{", "}}{{", "a\r\n", "\u{feff}x", "\u{10ffff}", every.as_str()];
    for (number, value) in values.iter().enumerate() {
        for kind in [ParameterType::String, ParameterType::SecureString] {
            let name = format!("/{number}");
            parameters.put(PutParameterRequest::new(name.as_str(), *value).parameter_type(kind))?;
            assert_eq!(parameters.get(&name)?.expose_value(), *value, "{value:.5?}");
            parameters.delete(&name)?;
        }
    }
    Ok(())
}
