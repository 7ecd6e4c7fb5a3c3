//! Lists by path and by filters, in pages, and tags.

use strongroom::key::Tag;
use strongroom::parameters::{
    DescribeParametersRequest, GetParameterHistoryRequest, GetParametersByPathRequest, ParameterFilter, Parameters,
    PutParameterRequest,
};
use strongroom::{ErrorKind, Result};

use super::{TestResult, exception};
use crate::support::any_store;
use crate::support::kms::kind;

/// Returns the names below a path, and the number of pages.
fn below(parameters: &Parameters, request: &GetParametersByPathRequest) -> Result<(Vec<String>, usize)> {
    let (mut names, mut pages, mut token) = (Vec::new(), 0, None::<String>);
    loop {
        let mut request = request.clone();
        if let Some(token) = token {
            request = request.next_token(token);
        }
        let page = parameters.by_path(request)?;
        pages += 1;
        names.extend(page.entries.iter().map(|parameter| parameter.name().to_owned()));
        token = page.next_marker;
        if token.is_none() {
            return Ok((names, pages));
        }
    }
}

fn filled(names: &[&str]) -> TestResult<Parameters> {
    let parameters = Parameters::new(&any_store::kms()?);
    for name in names {
        parameters.put(PutParameterRequest::string(*name, "value"))?;
    }
    Ok(parameters)
}

#[test]
fn a_path_has_one_level_or_all_of_them() -> TestResult {
    let parameters = filled(&["a", "/b", "/a/b", "/a/b/c", "/a/b0", "/a/b-", "/a/d/e/f", "/a.b/c", "/A/b", "/a/z"])?;
    let names = |path: &str, recursive: bool, size: u32| {
        let request = GetParametersByPathRequest::new(path).max_results(size);
        below(&parameters, &if recursive { request.recursive() } else { request }).map(|(names, _)| names)
    };
    for size in [1, 2, 3, 10] {
        assert_eq!(names("/a", false, size)?, ["/a/b", "/a/b-", "/a/b0", "/a/z"]);
        assert_eq!(names("/a/", false, size)?, ["/a/b", "/a/b-", "/a/b0", "/a/z"]);
        assert_eq!(names("/a", true, size)?, ["/a/b", "/a/b-", "/a/b/c", "/a/b0", "/a/d/e/f", "/a/z"]);
        assert_eq!(names("/a/d", true, size)?, ["/a/d/e/f"]);
        assert_eq!(names("/a/d", false, size)?, [""; 0]);
        assert_eq!(names("/", false, size)?, ["a", "/b"]);
        assert_eq!(names("/", true, size)?.len(), 10);
        assert_eq!(names("/missing", true, size)?, [""; 0]);
    }
    Ok(())
}

#[test]
fn a_page_may_be_empty_and_the_list_goes_on() -> TestResult {
    let parameters = Parameters::new(&any_store::kms()?);
    for number in 0..1_050 {
        parameters.put(PutParameterRequest::string(format!("/a/{number:04}"), "value"))?;
    }
    parameters.put(PutParameterRequest::secure_string("/a/last", "value"))?;
    let filter = ParameterFilter::new("Type", ["SecureString"]);
    let request = GetParametersByPathRequest::new("/a").filters([filter.clone()]);
    let first = parameters.by_path(request.clone())?;
    assert!(first.entries.is_empty() && first.next_marker.is_some());
    assert_eq!(below(&parameters, &request)?, (vec!["/a/last".to_owned()], 2));
    let described = parameters.describe(DescribeParametersRequest::default().filters([filter]))?;
    assert!(described.entries.is_empty() && described.next_marker.is_some());
    Ok(())
}

#[test]
fn a_token_of_another_path_is_refused() -> TestResult {
    let parameters = filled(&["/a/1", "/a/2", "/b/1", "/b/2"])?;
    let page = parameters.by_path(GetParametersByPathRequest::new("/a").max_results(1))?;
    let token = page.next_marker.expect("there is one more");
    let request = |path: &str, token: &str| GetParametersByPathRequest::new(path).next_token(token);
    assert_eq!(exception(parameters.by_path(request("/b", &token))), "InvalidNextToken");
    assert_eq!(exception(parameters.by_path(request("/a", "p1"))), "InvalidNextToken");
    assert_eq!(kind(parameters.by_path(GetParametersByPathRequest::new("/a").max_results(11))), ErrorKind::Validation);
    assert_eq!(kind(parameters.by_path(GetParametersByPathRequest::new("a"))), ErrorKind::Validation);
    assert_eq!(kind(parameters.describe(DescribeParametersRequest::default().max_results(51))), ErrorKind::Validation);
    Ok(())
}

/// Each token of the left list is refused by every other one: with it, the other list would silently
/// omit entries.
#[test]
fn a_token_belongs_to_one_list() -> TestResult {
    let parameters = filled(&["/a/1", "/a/2", "/a/b/c", "/version", "/another"])?;
    for name in ["/version", "/another"] {
        parameters.put(PutParameterRequest::new(name, "2").overwrite())?;
    }
    let by_path = || GetParametersByPathRequest::new("/a").max_results(1);
    let below = |request: GetParametersByPathRequest| parameters.by_path(request).map(|page| page.next_marker);
    let described = |filters: Vec<ParameterFilter>, token: Option<&str>| {
        let request = DescribeParametersRequest::default().max_results(1).filters(filters);
        let request = if let Some(token) = token { request.next_token(token) } else { request };
        parameters.describe(request).map(|page| page.next_marker)
    };
    let versions = |name: &str, token: Option<&str>| {
        let request = GetParameterHistoryRequest::new(name).max_results(1);
        let request = if let Some(token) = token { request.next_token(token) } else { request };
        parameters.history(request).map(|page| page.next_marker)
    };
    let strings = || ParameterFilter::new("Type", ["String"]);
    let with = |request: GetParametersByPathRequest, token: Option<&str>| match token {
        Some(token) => request.next_token(token),
        None => request,
    };
    type List<'a> = Box<dyn Fn(Option<&str>) -> Result<Option<String>> + 'a>;
    let lists: Vec<List<'_>> = vec![
        Box::new(|token| below(with(by_path(), token))),
        Box::new(|token| below(with(by_path().recursive(), token))),
        Box::new(|token| below(with(by_path().filters([strings()]), token))),
        Box::new(|token| below(with(GetParametersByPathRequest::new("/").recursive().max_results(1), token))),
        Box::new(|token| described(Vec::new(), token)),
        Box::new(|token| described(vec![strings()], token)),
        Box::new(|token| described(vec![strings().option("Equals")], token)),
        Box::new(|token| versions("/version", token)),
        Box::new(|token| versions("/another", token)),
    ];
    for (place, list) in lists.iter().enumerate() {
        let token = list(None)?.expect("one more page");
        for (other, list) in lists.iter().enumerate() {
            let continued = list(Some(&token));
            match place == other {
                true => assert!(continued.is_ok(), "{place}"),
                false => assert_eq!(exception(continued), "InvalidNextToken", "{place} in {other}"),
            }
        }
    }
    // A page of another size continues the same list, and so does the name with or without a slash.
    let token = below(by_path())?.expect("one more page");
    assert!(below(GetParametersByPathRequest::new("/a/").max_results(2).next_token(token)).is_ok());
    let token = versions("version", None)?.expect("one more page");
    assert!(versions("/version", Some(&token)).is_ok());
    Ok(())
}

#[test]
fn filters_select_by_every_property() -> TestResult {
    let kms = any_store::kms()?;
    let key = kms.create_key(Default::default())?.key_id().to_string();
    let parameters = Parameters::new(&kms);
    parameters.put(PutParameterRequest::string("/shop/url", "1").tags([Tag::new("team", "shop")?]))?;
    parameters.put(PutParameterRequest::secure_string("/shop/db/password", "1").key_id(key.as_str()))?;
    parameters.put(PutParameterRequest::secure_string("mail", "1").tags([Tag::new("team", "mail")?]))?;
    let names = |filters: Vec<ParameterFilter>| {
        let page = parameters.describe(DescribeParametersRequest::default().filters(filters))?;
        Ok::<_, strongroom::Error>(page.entries.iter().map(|entry| entry.name().to_owned()).collect::<Vec<_>>())
    };
    let one = |key: &str, option: Option<&str>, value: &str| {
        let filter = ParameterFilter::new(key, [value]);
        names(vec![match option {
            Some(option) => filter.option(option),
            None => filter,
        }])
    };
    assert_eq!(one("Name", None, "/shop/url")?, ["/shop/url"]);
    assert_eq!(one("Name", Some("BeginsWith"), "/shop")?, ["/shop/db/password", "/shop/url"]);
    assert_eq!(one("Name", Some("Contains"), "ai")?, ["mail"]);
    // A name of one level is the same with and without a slash.
    assert_eq!(
        (one("Name", None, "/mail")?, one("Name", Some("BeginsWith"), "/m")?),
        (one("Name", None, "mail")?, one("Name", None, "mail")?)
    );
    assert_eq!(one("Name", Some("BeginsWith"), "/")?.len(), 3);
    assert_eq!(one("Name", None, "shop/url")?, [""; 0]);
    assert_eq!(one("Path", None, "/shop")?, ["/shop/url"]);
    assert_eq!(one("Path", Some("Recursive"), "/shop")?, ["/shop/db/password", "/shop/url"]);
    assert_eq!(one("Type", None, "SecureString")?, ["mail", "/shop/db/password"]);
    assert_eq!(one("KeyId", None, &key)?, ["/shop/db/password"]);
    assert_eq!(one("KeyId", Some("BeginsWith"), "alias/aws/")?, ["mail"]);
    assert_eq!(one("Tier", None, "Advanced")?, [""; 0]);
    assert_eq!(one("DataType", None, "text")?.len(), 3);
    assert_eq!(one("tag:team", None, "mail")?, ["mail"]);
    assert_eq!(names(vec![ParameterFilter::new::<String>("tag:team", [])])?.len(), 2);
    let both = vec![ParameterFilter::new("Type", ["String", "SecureString"]), ParameterFilter::new("Path", ["/shop"])];
    assert_eq!(names(both)?, ["/shop/url"]);
    parameters.label("/shop/url", None, ["live"])?;
    parameters.put(PutParameterRequest::new("/shop/url", "2").overwrite())?;
    let labeled =
        GetParametersByPathRequest::new("/shop").recursive().filters([ParameterFilter::new("Label", ["live"])]);
    let page = parameters.by_path(labeled)?;
    assert_eq!(
        (page.entries.len(), page.entries[0].expose_value(), page.entries[0].selector()),
        (1, "1", Some("live"))
    );
    Ok(())
}

#[test]
fn several_are_read_and_deleted_at_once() -> TestResult {
    use strongroom::parameters::SecureStringForm::Decrypted;

    let parameters = filled(&["/a", "/b", "/c"])?;
    let found = parameters.get_all(&["/a", "/b:1", "/b:2", "/x", "not a name"], Decrypted)?;
    assert_eq!(found.parameters.len(), 2);
    assert_eq!(found.invalid_parameters, ["/b:2", "/x", "not a name"]);
    assert_eq!(kind(parameters.get_all(&[""; 0], Decrypted)), ErrorKind::Validation);
    assert_eq!(kind(parameters.get_all(&["/a"; 2], Decrypted)), ErrorKind::Validation);
    let eleven: Vec<String> = (0..11).map(|number| format!("/{number}")).collect();
    assert_eq!(kind(parameters.get_all(&eleven, Decrypted)), ErrorKind::Validation);
    let deleted = parameters.delete_all(&["/a", "b", "/b", "/x"])?;
    assert_eq!(deleted.deleted_parameters, ["/a", "b"]);
    assert_eq!(deleted.invalid_parameters, ["/b", "/x"]);
    assert_eq!(parameters.describe(Default::default())?.entries.len(), 1);
    Ok(())
}

#[test]
fn tags_are_added_and_removed() -> TestResult {
    let parameters = filled(&["/a"])?;
    parameters.add_tags("/a", [Tag::new("team", "shop")?, Tag::new("stage", "test")?])?;
    parameters.add_tags("/a", [Tag::new("stage", "live")?])?;
    parameters.remove_tags("/a", &["team", "missing"])?;
    assert!(parameters.list_tags("/a")?.iter().eq([("stage", "live")]));
    assert_eq!(parameters.get("/a")?.version(), 1, "tags create no version");
    let many = (0..50).map(|number| Tag::new(format!("tag{number}"), "")).collect::<Result<Vec<_>>>()?;
    assert_eq!(exception(parameters.add_tags("/a", many)), "TooManyTagsError");
    for missing in [exception(parameters.list_tags("/b")), exception(parameters.remove_tags("/b", &["x"]))] {
        assert_eq!(missing, "InvalidResourceId");
    }
    Ok(())
}
