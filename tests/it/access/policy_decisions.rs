//! The decisions of the policy evaluator, compared with tables that were written by hand from the
//! rules of AWS.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use strongroom::identity::{AccountId, Locality, Principal};
use strongroom::key::{
    AliasName, DataKeyPairSpec, ExpirationModel, KeyId, KeyManager, KeySpec, KeyUsage, Operation, Origin, Tag, TagSet,
};
use strongroom::policy::{
    AttachedPolicies, GrantConstraints, GrantId, GrantTerms, KeyFacts, PolicyDocument, PolicyEvaluation, PolicyRequest,
    RequestParameter, evaluate, passes_lockout_safety_check,
};
use strongroom::{EncryptionContext, ErrorKind, Timestamp, algorithm as alg};

type Checked<T> = Result<T, Box<dyn std::error::Error>>;

const ACCOUNT: &str = "111122223333";
const OTHER_ACCOUNT: &str = "444455556666";
const KEY_ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

/// The names used in the tables. If one name is a prefix of another, the longer one comes first.
const NAMES: [(&str, &str); 9] = [
    ("@s3-other", "s3.amazonaws.com"),
    ("@auditor", "arn:aws:iam::444455556666:role/auditor"),
    ("@alice", "arn:aws:iam::111122223333:user/engineering/alice"),
    ("@carol", "arn:aws:iam::444455556666:user/carol"),
    ("@other", "arn:aws:iam::444455556666:root"),
    ("@root", "arn:aws:iam::111122223333:root"),
    ("@bob", "arn:aws:iam::111122223333:user/bob"),
    ("@ops", "arn:aws:iam::111122223333:role/ops"),
    ("@key", "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
];

/// The policies and grants that are attached while the rows of a rule are processed.
#[derive(Default)]
struct Block {
    rule: String,
    key: Vec<Value>,
    identity: Vec<Value>,
    grants: Vec<(GrantId, GrantTerms)>,
}

#[test]
fn every_row_is_decided_as_aws_decides() -> Checked<()> {
    let (mut rows, mut rules, mut outcomes) = (0, 0, BTreeMap::<String, usize>::new());
    let mut wrong = Vec::new();
    for file in ["evaluation", "actions_and_resources", "condition_operators", "condition_keys", "grants"] {
        let text = read(&format!("{file}.txt"))?;
        let mut block = Block::default();
        for (number, line) in text.lines().enumerate() {
            let place = || format!("{file}.txt:{}", number + 1);
            match line.split_once(' ').unwrap_or((line, "")) {
                ("" | "#", _) => {}
                ("rule", name) => {
                    rules += 1;
                    block = Block { rule: name.to_owned(), ..Block::default() };
                }
                ("key", statement) => block.key.push(parse_statement(statement, true)?),
                ("identity", statement) => block.identity.push(parse_statement(statement, false)?),
                ("grant", terms) => {
                    let id = GrantId::from_bytes([u8::try_from(block.grants.len() + 1)?; 32]);
                    block.grants.push((id, parse_grant(terms)?));
                }
                ("-", row) => {
                    rows += 1;
                    let (question, expected) = row.split_once(" -> ").ok_or_else(place)?;
                    let answer = decide(&block, question).map_err(|error| format!("{}: {error}", place()))?;
                    if answer != expected {
                        wrong.push(format!("{} [{}] {question}: {answer}, not {expected}", place(), block.rule));
                    }
                    let kind = expected.trim_end_matches(|character: char| character.is_ascii_digit()).trim_end();
                    *outcomes.entry(kind.to_owned()).or_default() += 1;
                }
                _ => panic!("{}: cannot parse the line '{line}'", place()),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    println!("{rows} rows of {rules} rules: {outcomes:?}");
    // A table cannot become empty, and every kind of outcome must occur.
    assert!(rows >= 600 && outcomes.len() == 10, "{rows} {outcomes:?}");
    Ok(())
}

#[test]
fn documents_are_refused_for_their_faults() -> Checked<()> {
    let mut rows = 0;
    for line in read("documents.txt")?.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (head, text) = line.split_once(" |").ok_or(line)?;
        let (kind, expected) = head.split_once(' ').ok_or(line)?;
        let text = text.trim_start();
        let text = match text.strip_prefix("statement ") {
            Some(statement) => format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]}}"#),
            None => text.to_owned(),
        };
        let parsed = match kind {
            "key" => PolicyDocument::key_policy(&text),
            "identity" => PolicyDocument::identity_policy(&text),
            _ => panic!("{line}"),
        };
        match (parsed, expected) {
            (Ok(document), "ok") => assert_eq!(document.as_str(), text),
            (Ok(_), _) => panic!("accepted: {line}"),
            (Err(error), _) => {
                assert_eq!(error.kind(), ErrorKind::MalformedPolicyDocument, "{line}");
                assert!(error.to_string().contains(expected), "{error}, for {line}");
            }
        }
        rows += 1;
    }
    println!("{rows} documents");
    assert!(rows >= 90, "{rows}");
    Ok(())
}

#[test]
fn a_document_has_a_greatest_length_and_printable_characters() -> Checked<()> {
    let padded = |padding: usize| {
        let statement = r#"{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}"#;
        format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]{}}}"#, " ".repeat(padding))
    };
    let fits = PolicyDocument::MAX_LENGTH - padded(0).len();
    assert_eq!(PolicyDocument::key_policy(&padded(fits))?.as_str().len(), 32_768);
    assert!(PolicyDocument::key_policy(&padded(fits + 1)).is_err());
    for (character, accepted) in [
        ('\t', true),
        ('\n', true),
        ('\r', true),
        ('\0', false),
        ('\u{b}', false),
        ('\u{7f}', false),
        ('\u{85}', false),
    ] {
        let text = padded(1).replace(" }", &format!("{character}}}"));
        assert_eq!(PolicyDocument::key_policy(&text).is_ok(), accepted, "{character:?}");
    }
    Ok(())
}

/// The maximum cost of a decision is limited when a document is parsed.
#[test]
fn patterns_that_would_be_searched_for_at_every_place_are_bounded() -> Checked<()> {
    let with = |patterns: &[String]| {
        let condition = json!({"StringLike": {"kms:EncryptionContext:tenant": patterns}});
        document("key", &[json!({"Effect": "Allow", "Principal": "*", "Condition": condition})]).is_ok()
    };
    assert!(with(&[format!("*{}*", "a?".repeat(512))]));
    assert!(!with(&[format!("*{}*", "a?".repeat(513))]));
    assert!(!with(&[format!("*{}*", "a?".repeat(300)), format!("*{}*", "a?".repeat(300))]));
    // The length of a part does not count if it has a fixed position or contains no `?`.
    assert!(with(&["a?".repeat(2000), format!("{}*", "a?".repeat(2000)), format!("*{}*", "a".repeat(4000))]));
    Ok(())
}

#[test]
fn the_default_policies_are_documents_of_their_own() -> Checked<()> {
    let (account, locality) = (AccountId::parse(ACCOUNT)?, Locality::new("aws", "eu-central-1")?);
    let default: Value =
        serde_json::from_str(PolicyDocument::default_key_policy(account, &Locality::default()).as_str())?;
    let expected = json!({
        "Version": "2012-10-17", "Id": "key-default-1", "Statement": [{
            "Sid": "Enable IAM User Permissions", "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"
        }]
    });
    assert_eq!(default, expected);

    let policy = PolicyDocument::service_managed_key_policy(account, &locality, "ebs")?;
    let facts = KeyFacts::new(
        KeyId::parse(KEY_ID)?,
        KeySpec::SymmetricDefault,
        KeyUsage::EncryptDecrypt,
        Origin::Kms,
        KeyManager::Service,
    );
    let (alice, carol) = (Principal::user(account, "alice")?, Principal::root(AccountId::parse(OTHER_ACCOUNT)?));
    let attached = AttachedPolicies::none().with_key_policy(&policy);
    for (principal, operation, via, allowed) in [
        (&alice, Operation::Decrypt, Some("ebs"), true),
        (&alice, Operation::Decrypt, None, false),
        (&alice, Operation::Decrypt, Some("s3"), false),
        (&alice, Operation::PutKeyPolicy, Some("ebs"), false),
        (&Principal::root(account), Operation::DescribeKey, None, true),
        (&Principal::root(account), Operation::Decrypt, None, false),
        (&Principal::root(account), Operation::DisableKey, None, false),
        (&Principal::service(account, "ebs")?, Operation::Decrypt, None, true),
        (&carol, Operation::Decrypt, Some("ebs"), false),
    ] {
        let request = PolicyRequest::new(principal, operation, account)
            .at(&locality, Timestamp::from_unix_millis(0))
            .with_key(facts)
            .via_service(via);
        assert_eq!(evaluate(&request, &attached)?.is_allowed(), allowed, "{principal} {operation} {via:?}");
    }
    assert!(PolicyDocument::service_managed_key_policy(account, &locality, "e\"bs").is_err());
    Ok(())
}

#[test]
fn who_loses_control_of_a_key_by_a_policy_is_told() -> Checked<()> {
    let account = AccountId::parse(ACCOUNT)?;
    let (root, alice) = (Principal::root(account), Principal::user(account, "engineering/alice")?);
    let everything = [document("identity", &[json!({"Effect": "Allow", "Action": "kms:*", "Resource": "*"})])?];
    let statement = |text: &str| parse_statement(text, true);
    let default = statement("default")?;
    let to_alice = statement(r#"{"Principal": {"AWS": "@alice"}}"#)?;
    let but_put = statement(r#"{"Principal": {"AWS": "@root"}, "Action": "kms:Encrypt"}"#)?;
    let denial = statement(r#"{"Effect": "Deny", "Principal": "*", "Action": "kms:Put*"}"#)?;
    let rows: [(&Principal, &[PolicyDocument], &[&Value], bool); 10] = [
        (&root, &[], &[&default], true),
        (&root, &[], &[&to_alice], false),
        (&root, &[], &[&but_put], false),
        (&root, &[], &[&default, &denial], false),
        (&alice, &[], &[&default], false),
        (&alice, &everything, &[&default], true),
        (&alice, &[], &[&to_alice], true),
        (&alice, &everything, &[&but_put], false),
        (&alice, &[], &[&to_alice, &denial], false),
        (&alice, &everything, &[&to_alice, &default], true),
    ];
    let facts = KeyFacts::new(
        KeyId::parse(KEY_ID)?,
        KeySpec::SymmetricDefault,
        KeyUsage::EncryptDecrypt,
        Origin::Kms,
        KeyManager::Customer,
    );
    for (number, (principal, identity, statements, expected)) in rows.into_iter().enumerate() {
        let statements: Vec<Value> = statements.iter().map(|statement| (*statement).clone()).collect();
        let proposed = document("key", &statements)?;
        // The result is the same for the policy of a new key and for a replacement.
        for operation in [Operation::CreateKey, Operation::PutKeyPolicy] {
            let bypass = [RequestParameter::BypassPolicyLockoutSafetyCheck(false)];
            let request = PolicyRequest::new(principal, operation, account).with_key(facts).with_parameters(&bypass);
            assert_eq!(
                passes_lockout_safety_check(&request, &proposed, identity)?,
                expected,
                "row {number} {operation}"
            );
        }
    }
    Ok(())
}

/// Returns the outcome of one row in the notation of the tables.
fn decide(block: &Block, question: &str) -> Checked<String> {
    let (head, options) = question.split_once(';').unwrap_or((question, ""));
    let (who, operation) = head.trim().split_once(' ').ok_or("the line lacks a principal or an operation")?;
    let row = Row { principal: principal(who)?, options: Options::parse(options)? };
    let key_policy = if block.key.is_empty() { None } else { Some(document("key", &block.key)?) };
    let identity = if block.identity.is_empty() { vec![] } else { vec![document("identity", &block.identity)?] };
    let grants = block.grants.as_slice();

    let mut attached = AttachedPolicies::none().with_identity_policies(&identity);
    let source = Grants(grants);
    attached = attached.with_grants(&source);
    if let Some(policy) = &key_policy {
        attached = attached.with_key_policy(policy);
    }
    let outcome = row.ask(Operation::parse(operation)?, |request| match evaluate(request, &attached) {
        Ok(outcome) => {
            assert_eq!(outcome.is_allowed(), describe(outcome, grants).starts_with("allow"));
            Ok(describe(outcome, grants))
        }
        Err(error) if error.kind() == ErrorKind::Internal => Ok("error".to_owned()),
        Err(error) => Err(error.into()),
    })?;
    Ok(outcome)
}

fn describe(outcome: PolicyEvaluation<'_>, grants: &[(GrantId, GrantTerms)]) -> String {
    match outcome {
        PolicyEvaluation::DeniedByKeyPolicy(statement) => format!("deny key {}", statement.number),
        PolicyEvaluation::DeniedByIdentityPolicy(statement) => format!("deny identity {}", statement.number),
        PolicyEvaluation::AllowedByKeyPolicy(statement) => format!("allow key {}", statement.number),
        PolicyEvaluation::AllowedByIdentityPolicy(statement) => format!("allow identity {}", statement.number),
        PolicyEvaluation::AllowedToAccount => "allow account".to_owned(),
        PolicyEvaluation::AllowedByGrant(id) => {
            let place = grants.iter().position(|(known, _)| *known == id).expect("one of the grants");
            format!("allow grant {}", place + 1)
        }
        PolicyEvaluation::AllowedByRetiredGrant => "allow retired".to_owned(),
        PolicyEvaluation::NotAllowedByKeyPolicy => "none key".to_owned(),
        PolicyEvaluation::NotAllowedByIdentityPolicy => "none identity".to_owned(),
        other => panic!("unknown outcome {other}"),
    }
}

#[derive(Debug)]
struct Grants<'a>(&'a [(GrantId, GrantTerms)]);

impl strongroom::policy::GrantSource for Grants<'_> {
    fn find(&self, accept: &mut dyn FnMut(&GrantTerms) -> bool) -> strongroom::Result<Option<GrantId>> {
        self.0.find(accept)
    }
}

/// The principal of a request and its options.
struct Row {
    principal: Principal,
    options: Options,
}

impl Row {
    /// Sends the request.
    fn ask<T>(&self, operation: Operation, answer: impl FnOnce(&PolicyRequest<'_>) -> Checked<T>) -> Checked<T> {
        let options = &self.options;
        let locality = Locality::new("aws", "eu-central-1")?;
        let context = options.get("context").map(context).transpose()?;
        let tags = TagSet::from_tags(tags(options.get("tags"))?)?;
        let aliases = aliases(options.get("aliases"))?;
        let on = options.get("on").map(AliasName::parse).transpose()?;
        let owned = OwnedParameters::parse(options)?;
        let parameters = owned.parameters(options)?;

        let account = AccountId::parse(ACCOUNT)?;
        let time = options.get("time").unwrap_or("2030-03-01T00:00:00Z");
        let mut request = PolicyRequest::new(&self.principal, operation, account)
            .at(&locality, timestamp(time)?)
            .with_context(context.as_ref())
            .via_service(options.get("via"))
            .with_parameters(&parameters);
        if let Some(alias) = &on {
            request = request.with_alias(alias);
        } else if options.get("nokey").is_none() {
            let (spec, usage, origin) =
                key_parts(options.get("key").unwrap_or("SYMMETRIC_DEFAULT/ENCRYPT_DECRYPT/AWS_KMS"))?;
            let facts = KeyFacts::new(KeyId::parse(KEY_ID)?, spec, usage, origin, KeyManager::Customer);
            request = request.with_key(facts.with_tags(&tags).with_aliases(&aliases));
        }
        answer(&request)
    }
}

/// Values that are borrowed by some parameters.
struct OwnedParameters<'o> {
    alias: Option<AliasName>,
    grant: Option<GrantTerms>,
    new_tags: Vec<Tag>,
    tag_keys: Vec<&'o str>,
}

impl<'o> OwnedParameters<'o> {
    fn parse(options: &'o Options) -> Checked<Self> {
        Ok(Self {
            alias: options.get("alias").map(AliasName::parse).transpose()?,
            grant: options.get("grant").map(parse_grant).transpose()?,
            new_tags: tags(options.get("newtags"))?,
            tag_keys: options.get("tagkeys").map_or(vec![], |keys| keys.split(',').collect()),
        })
    }

    fn parameters(&'o self, options: &Options) -> Checked<Vec<RequestParameter<'o>>> {
        use RequestParameter as P;
        let mut parameters = Vec::new();
        for (name, value) in &options.0 {
            parameters.push(match name.as_str() {
                "encryption" => P::EncryptionAlgorithm(alg::EncryptionAlgorithm::parse(value)?),
                "signing" => P::SigningAlgorithm(alg::SigningAlgorithm::parse(value)?),
                "message" => P::MessageType(alg::MessageType::parse(value)?),
                "mac" => P::MacAlgorithm(alg::MacAlgorithm::parse(value)?),
                "agreement" => P::KeyAgreementAlgorithm(alg::KeyAgreementAlgorithm::parse(value)?),
                "pair" => P::DataKeyPairSpec(DataKeyPairSpec::parse(value)?),
                "same" => P::ReEncryptOnSameKey(value.parse()?),
                "bypass" => P::BypassPolicyLockoutSafetyCheck(value.parse()?),
                "period" => P::RotationPeriodInDays(value.parse()?),
                "window" => P::ScheduleKeyDeletionPendingWindowInDays(value.parse()?),
                "expires" => P::ExpirationModel(ExpirationModel::parse(value)?),
                "valid" => P::ValidTo(timestamp(value)?),
                "wrapping" => P::WrappingAlgorithm(alg::WrappingAlgorithm::parse(value)?),
                "wrappingkey" => P::WrappingKeySpec(alg::WrappingKeySpec::parse(value)?),
                "new" => {
                    let (spec, usage, origin) = key_parts(value)?;
                    P::NewKey(spec, usage, origin)
                }
                "alias" => P::RequestAlias(self.alias.as_ref().ok_or("an alias")?),
                "grant" => P::Grant(self.grant.as_ref().ok_or("a grant")?),
                "issuer" => P::GrantIssuer(AccountId::parse(value)?),
                "newtags" => P::RequestTags(&self.new_tags),
                "tagkeys" => P::TagKeys(&self.tag_keys),
                "context" | "via" | "time" | "nokey" | "key" | "tags" | "aliases" | "on" => continue,
                other => return Err(format!("unknown option {other}").into()),
            });
        }
        Ok(parameters)
    }
}

struct Options(Vec<(String, String)>);

impl Options {
    fn parse(text: &str) -> Checked<Self> {
        let option = |option: &str| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            (name.trim().to_owned(), value.trim().to_owned())
        };
        Ok(Self(text.split(';').filter(|part| !part.trim().is_empty()).map(option).collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Completes a statement with the elements that the tables omit.
fn parse_statement(text: &str, in_key_policy: bool) -> Checked<Value> {
    let text = match text {
        "default" => r#"{"Principal": {"AWS": "@root"}}"#,
        other => other,
    };
    let mut statement = json!({"Effect": "Allow", "Action": "kms:*", "Resource": "*"});
    let given: Map<String, Value> = serde_json::from_str(&replace_names(text))?;
    assert_eq!(given.contains_key("Principal"), in_key_policy, "{text}");
    for (name, value) in given {
        match value {
            Value::Null => _ = statement.as_object_mut().and_then(|members| members.remove(&name)),
            value => statement[name] = value,
        }
    }
    Ok(statement)
}

fn document(kind: &str, statements: &[Value]) -> Checked<PolicyDocument> {
    let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let parsed = if kind == "key" { PolicyDocument::key_policy(&text) } else { PolicyDocument::identity_policy(&text) };
    parsed.map_err(|error| format!("{error}: {text}").into())
}

/// `GRANTEE OPERATIONS [CONSTRAINTS] [retiring=PRINCIPAL]`
fn parse_grant(text: &str) -> Checked<GrantTerms> {
    let (text, retiring) = match text.split_once(" retiring=") {
        Some((text, retiring)) => (text, Some(principal(retiring.trim())?)),
        None => (text, None),
    };
    let (head, constraints) = match text.find('{') {
        Some(at) => (text[..at].trim(), Some(serde_json::from_str::<BTreeMap<String, Value>>(&text[at..])?)),
        None => (text.trim(), None),
    };
    let (grantee, operations) = head.split_once(' ').ok_or("a grantee and operations")?;
    let operations: Vec<Operation> = operations.split('+').map(Operation::parse).collect::<Result<_, _>>()?;
    let mut limits = GrantConstraints::new();
    for (name, pairs) in constraints.unwrap_or_default() {
        let pairs = context(&pairs.to_string())?;
        limits = if name == "equals" {
            limits.with_encryption_context_equals(pairs)?
        } else {
            limits.with_encryption_context_subset(pairs)?
        };
    }
    let terms = GrantTerms::new(principal(grantee)?, operations)?.with_constraints(limits);
    Ok(match retiring {
        Some(retiring) => terms.with_retiring_principal(retiring),
        None => terms,
    })
}

fn principal(name: &str) -> Checked<Principal> {
    let (account, other) = (AccountId::parse(ACCOUNT)?, AccountId::parse(OTHER_ACCOUNT)?);
    Ok(match name {
        "@s3" => Principal::service(account, "s3")?,
        "@rds" => Principal::service(account, "rds")?,
        "@s3-other" => Principal::service(other, "s3")?,
        name => Principal::parse(&replace_names(name))?,
    })
}

fn replace_names(text: &str) -> String {
    NAMES.iter().fold(text.to_owned(), |text, (name, full)| text.replace(name, full))
}

fn context(text: &str) -> Checked<EncryptionContext> {
    Ok(serde_json::from_str::<BTreeMap<String, String>>(text)?.into_iter().collect())
}

fn tags(text: Option<&str>) -> Checked<Vec<Tag>> {
    let pairs: BTreeMap<String, String> = serde_json::from_str(text.unwrap_or("{}"))?;
    Ok(pairs.into_iter().map(|(key, value)| Tag::new(key, value)).collect::<Result<_, _>>()?)
}

fn aliases(text: Option<&str>) -> Checked<Vec<AliasName>> {
    Ok(text
        .map_or(vec![], |names| names.split(',').collect())
        .into_iter()
        .map(AliasName::parse)
        .collect::<Result<_, _>>()?)
}

fn key_parts(text: &str) -> Checked<(KeySpec, KeyUsage, Origin)> {
    let parts: Vec<&str> = text.split('/').collect();
    let [spec, usage, origin] = parts[..] else { return Err(format!("spec, usage and origin: {text}").into()) };
    Ok((KeySpec::parse(spec)?, KeyUsage::parse(usage)?, Origin::parse(origin)?))
}

fn timestamp(text: &str) -> Checked<Timestamp> {
    Ok(Timestamp::from_unix_millis(text.parse::<jiff::Timestamp>()?.as_millisecond()))
}

fn read(file: &str) -> Checked<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/policy_decisions").join(file);
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()).into())
}
