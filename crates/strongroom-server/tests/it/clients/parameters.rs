//! The parameter store with the AWS CLI.

use serde_json::{Value, json};
use strongroom::ErrorKind;
use strongroom::audit::{Action, AuditEvent, Outcome};
use strongroom::identity::Principal;
use strongroom::key::ParameterOperation;

use crate::clients::command_line::CommandLine;
use crate::clients::events_by_request;
use crate::support::peer;
use crate::support::server::{ACCESS_KEY, ALICE, ALICE_ACCESS_KEY, TestServer};

const ARN: &str = "arn:aws:ssm:eu-central-1:000000000000:parameter";

fn names(list: &Value) -> Vec<&str> {
    list["Parameters"].as_array().unwrap().iter().map(|entry| entry["Name"].as_str().unwrap()).collect()
}

#[test]
fn aws_cli_puts_and_gets_parameters() {
    let Some(python) = peer::python("aws_cli_puts_and_gets_parameters") else { return };
    let server = TestServer::start();
    let mut aws = CommandLine::start(&python, &server, ACCESS_KEY);
    let put = "ssm put-parameter --name /shop/db/password --type SecureString --description database";
    let done = aws.must(&format!("{put} --value horse-1 --tags Key=team,Value=shop"));
    assert_eq!(done, json!({"Version": 1, "Tier": "Standard"}));
    aws.refused(&format!("{put} --value horse-2"), "ParameterAlreadyExists");
    assert_eq!(aws.must(&format!("{put} --value horse-2 --overwrite"))["Version"], 2);

    let get = "ssm get-parameter --name /shop/db/password";
    let found = aws.must(&format!("{get} --with-decryption"));
    let found = &found["Parameter"];
    assert_eq!(
        (&found["Value"], &found["Version"], &found["Type"]),
        (&json!("horse-2"), &json!(2), &json!("SecureString"))
    );
    assert_eq!(found["ARN"], format!("{ARN}/shop/db/password"));
    let stored = aws.text(&format!("{get} --query Parameter.Value"));
    assert!(stored.len() > 100 && !stored.contains("horse"), "{stored}");
    let earlier = aws.must(&format!("{get}:1 --with-decryption"));
    assert_eq!((&earlier["Parameter"]["Value"], &earlier["Parameter"]["Selector"]), (&json!("horse-1"), &json!(":1")));
    let by_arn =
        aws.text(&format!("ssm get-parameter --name {ARN}/shop/db/password --with-decryption --query Parameter.Value"));
    assert_eq!(by_arn, "horse-2");

    let long = "x".repeat(8_192);
    let advanced =
        aws.must(&format!("ssm put-parameter --name /shop/long --type SecureString --tier Advanced --value {long}"));
    assert_eq!(advanced["Tier"], "Advanced");
    aws.must("ssm put-parameter --name /shop/hosts --type StringList --value a,b");
    let several = aws.must("ssm get-parameters --names /shop/long /shop/hosts /shop/missing --with-decryption");
    let values: Vec<&Value> = several["Parameters"].as_array().unwrap().iter().map(|entry| &entry["Value"]).collect();
    assert_eq!((values, &several["InvalidParameters"]), (vec![&json!(long), &json!("a,b")], &json!(["/shop/missing"])));

    aws.nothing("ssm delete-parameter --name /shop/hosts");
    let deleted = aws.must("ssm delete-parameters --names /shop/long /shop/hosts");
    assert_eq!(deleted, json!({"DeletedParameters": ["/shop/long"], "InvalidParameters": ["/shop/hosts"]}));
    aws.refused("ssm get-parameter --name /shop/long", "ParameterNotFound");
    let events = events_by_request(&server);
    let all = events.values().flatten().chain(&[]);
    assert!(all.clone().count() > 12 && all.clone().all(|event: &AuditEvent| !format!("{event:?}").contains("horse")));
    // The key is used by the parameter store, in the same request.
    let used = all.filter(|event| event.via_service.as_ref().is_some_and(|service| service.as_str() == "ssm"));
    assert!(used.count() >= 6);
}

#[test]
fn aws_cli_lists_parameters_in_pages() {
    let Some(python) = peer::python("aws_cli_lists_parameters_in_pages") else { return };
    let server = TestServer::start();
    let mut aws = CommandLine::start(&python, &server, ACCESS_KEY);
    for number in 10..35 {
        aws.must(&format!("ssm put-parameter --name /shop/{number} --type String --value {number}"));
    }
    aws.must("ssm put-parameter --name /shop/db/password --type SecureString --value horse --tags Key=team,Value=shop");
    aws.must("ssm put-parameter --name mail --type String --value 1 --tier Advanced");

    // The CLI follows the pages, of which each has at most ten parameters.
    let by_path = "ssm get-parameters-by-path --path /shop";
    let found = aws.must(by_path);
    assert_eq!(names(&found), (10..35).map(|number| format!("/shop/{number}")).collect::<Vec<_>>());
    let found = aws.must(&format!("{by_path} --recursive --with-decryption --page-size 3"));
    assert_eq!((names(&found).len(), &found["Parameters"][25]["Value"]), (26, &json!("horse")));
    // A page for the user.
    let first = aws.must(&format!("{by_path} --max-items 7 --page-size 3"));
    let token = first["NextToken"].as_str().unwrap();
    let second = aws.must(&format!("{by_path} --max-items 100 --starting-token {token}"));
    assert_eq!((names(&first).len(), names(&second).len()), (7, 18));
    let page = aws.must(&format!("{by_path} --no-paginate --max-results 2"));
    let token = page["NextToken"].as_str().unwrap().to_owned();
    assert_eq!(
        names(&aws.must(&format!("{by_path} --no-paginate --max-results 2 --next-token {token}"))),
        ["/shop/12", "/shop/13"]
    );
    aws.refused(&format!("ssm get-parameters-by-path --path / --no-paginate --next-token {token}"), "InvalidNextToken");
    let secrets = aws.must(&format!("{by_path} --recursive --parameter-filters Key=Type,Values=SecureString"));
    assert_eq!(names(&secrets), ["/shop/db/password"]);

    let described = aws.must("ssm describe-parameters");
    assert_eq!(names(&described).len(), 27);
    for (filters, expected) in [
        ("Key=Name,Option=Contains,Values=ass", vec!["/shop/db/password"]),
        (
            "Key=Name,Option=BeginsWith,Values=/shop/1,mail Key=Type,Values=String Key=Tier,Values=Advanced",
            vec!["mail"],
        ),
        ("Key=Path,Option=Recursive,Values=/shop/db", vec!["/shop/db/password"]),
        ("Key=tag:team,Values=shop", vec!["/shop/db/password"]),
        ("Key=KeyId,Values=alias/aws/ssm", vec!["/shop/db/password"]),
        ("Key=Name,Values=/shop/99", vec![]),
    ] {
        let found = aws.must(&format!("ssm describe-parameters --parameter-filters {filters}"));
        assert_eq!(names(&found), expected, "{filters}");
    }
    let events = events_by_request(&server);
    let filtered = events.values().flatten().filter(|event| {
        event.action == Action::Parameter(ParameterOperation::DescribeParameters)
            && event.parameters.iter().any(|(name, _)| *name == "parameterFilters")
    });
    assert_eq!(filtered.count(), 6);
}

#[test]
fn aws_cli_labels_and_tags_versions() {
    let Some(python) = peer::python("aws_cli_labels_and_tags_versions") else { return };
    let server = TestServer::start();
    let mut aws = CommandLine::start(&python, &server, ACCESS_KEY);
    for number in 1..=12 {
        aws.must(&format!("ssm put-parameter --name url --type String --value {number} --overwrite"));
    }
    let label = "ssm label-parameter-version --name url --labels";
    assert_eq!(aws.must(&format!("{label} live 1st")), json!({"InvalidLabels": ["1st"], "ParameterVersion": 12}));
    aws.must(&format!("{label} live --parameter-version 3"));
    let found = aws.must("ssm get-parameter --name url:live");
    assert_eq!((&found["Parameter"]["Value"], &found["Parameter"]["Selector"]), (&json!("3"), &json!(":live")));
    aws.refused(&format!("{label} x --parameter-version 13"), "ParameterVersionNotFound");

    let history = aws.must("ssm get-parameter-history --name url --page-size 5");
    let history = history["Parameters"].as_array().unwrap();
    assert_eq!(
        history.iter().map(|entry| entry["Version"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=12).collect::<Vec<_>>()
    );
    assert_eq!((&history[2]["Labels"], &history[11]["Labels"]), (&json!(["live"]), &json!([])));
    let removed = aws.must("ssm unlabel-parameter-version --name url --parameter-version 3 --labels live other");
    assert_eq!(removed, json!({"RemovedLabels": ["live"], "InvalidLabels": ["other"]}));
    aws.refused("ssm get-parameter --name url:live", "ParameterVersionNotFound");

    let resource = "--resource-type Parameter --resource-id url";
    aws.nothing(&format!("ssm add-tags-to-resource {resource} --tags Key=team,Value=shop Key=stage,Value=live"));
    aws.nothing(&format!("ssm remove-tags-from-resource {resource} --tag-keys team"));
    let tags = aws.must(&format!("ssm list-tags-for-resource {resource}"));
    assert_eq!(tags["TagList"], json!([{"Key": "stage", "Value": "live"}]));
    aws.refused("ssm list-tags-for-resource --resource-type Document --resource-id url", "InvalidResourceType");
    aws.refused("ssm list-tags-for-resource --resource-type Parameter --resource-id other", "InvalidResourceId");
}

#[test]
fn aws_cli_reports_errors_of_parameters() {
    let Some(python) = peer::python("aws_cli_reports_errors_of_parameters") else { return };
    let server = TestServer::start();
    let mut aws = CommandLine::start(&python, &server, ACCESS_KEY);
    aws.must("ssm put-parameter --name /shop/url --type String --value 1");
    let put = "ssm put-parameter --value 1 --type String --name";
    for (command, exception) in [
        ("ssm put-parameter --name /x --value 1", "UnsupportedParameterType"),
        (&format!("{put} /aws/x"), "ValidationException"),
        (&format!("{put} {}", "/x".repeat(16)), "HierarchyLevelLimitExceededException"),
        (&format!("{put} /x --allowed-pattern [a-z]+"), "ParameterPatternMismatchException"),
        ("ssm put-parameter --name /x --type SecureString --value 1 --key-id alias/missing", "InvalidKeyId"),
        (
            "ssm put-parameter --name /shop/url --type StringList --value 1 --overwrite",
            "HierarchyTypeMismatchException",
        ),
        ("ssm get-parameter --name /missing", "ParameterNotFound"),
        ("ssm get-parameter --name /shop/url:2", "ParameterVersionNotFound"),
        ("ssm delete-parameter --name /missing", "ParameterNotFound"),
        ("ssm get-parameter-history --name /missing", "ParameterNotFound"),
        ("ssm describe-parameters --parameter-filters Key=Label,Values=x", "InvalidFilterKey"),
        ("ssm describe-parameters --no-paginate --next-token x", "InvalidNextToken"),
        ("ssm list-commands", "UnknownOperationException"),
    ] {
        aws.refused(command, exception);
    }
    // The CLI refuses this without a request.
    assert_eq!(aws.run("ssm get-parameter").code, 2);

    let mut alice = CommandLine::start(&python, &server, ALICE_ACCESS_KEY);
    let get = "ssm get-parameter --name /shop/url";
    alice.refused(get, "AccessDeniedException");
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "{ARN}/shop/*"}}}}"#
    );
    server.kms.put_identity_policy(&Principal::parse(ALICE).unwrap(), "shop", &policy).unwrap();
    assert_eq!(alice.must(get)["Parameter"]["Value"], "1");
    alice.refused("ssm get-parameter --name /mail/url", "AccessDeniedException");
    alice.refused(&format!("{put} /shop/new"), "AccessDeniedException");
    let mut unknown = CommandLine::start(&python, &server, "AKIAIOSFODNN7UNKNOWN");
    unknown.refused(get, "UnrecognizedClientException");

    let denied = |event: &AuditEvent| event.outcome == Outcome::Failure(ErrorKind::AccessDenied);
    let events = events_by_request(&server);
    assert_eq!(events.values().flatten().filter(|event| denied(event)).count(), 3);
}
