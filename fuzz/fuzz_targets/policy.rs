//! Every document is either compiled or rejected. A compiled document decides on every request in
//! bounded time, with the same result as its text without whitespace. A statement that denies
//! everything overrides it.
//!
//! Input: a document. After a zero byte, which no document can contain, the names and values of an
//! encryption context follow, separated by zero bytes.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strongroom::algorithm::EncryptionAlgorithm;
use strongroom::identity::{AccountId, Locality, Principal};
use strongroom::key::{AliasName, KeyId, KeyManager, KeySpec, KeyUsage, Operation, Origin, Tag, TagSet};
use strongroom::policy::{
    AttachedPolicies, GrantConstraints, GrantTerms, KeyFacts, PolicyDocument, PolicyEvaluation, PolicyKind,
    PolicyRequest, RequestParameter, evaluate, passes_lockout_safety_check,
};
use strongroom::{EncryptionContext, ErrorKind, Timestamp};

struct World {
    account: AccountId,
    locality: Locality,
    principals: Vec<Principal>,
    tags: TagSet,
    aliases: [AliasName; 2],
    denial: PolicyDocument,
    default: PolicyDocument,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let account = AccountId::parse("111122223333").expect("an account");
    let other = AccountId::parse("444455556666").expect("an account");
    let tag = Tag::new("Project", "Alpha").expect("a tag");
    let denial = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}"#;
    World {
        account,
        locality: Locality::new("aws", "eu-central-1").expect("a region"),
        principals: vec![
            Principal::root(account),
            Principal::user(account, "alice").expect("a user"),
            Principal::role(account, "ops").expect("a role"),
            Principal::root(other),
            Principal::user(other, "carol").expect("a user"),
            Principal::service(account, "s3").expect("a service"),
        ],
        tags: TagSet::from_tags([tag]).expect("one tag"),
        aliases: ["alias/app", "alias/Project"].map(|name| AliasName::parse(name).expect("an alias")),
        denial: PolicyDocument::identity_policy(denial).expect("a document"),
        default: PolicyDocument::default_key_policy(account, &Locality::default()),
    }
});

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let text = parts.next().unwrap_or_default();
    let words: Vec<String> = parts.map(|part| part.into_owned()).collect();
    let context: EncryptionContext = words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    for kind in [PolicyKind::Key, PolicyKind::Identity] {
        match parse(kind, &text) {
            Ok(document) => check(kind, &document, &context),
            Err(error) => assert_eq!(error.kind(), ErrorKind::MalformedPolicyDocument),
        }
    }
});

fn parse(kind: PolicyKind, text: &str) -> strongroom::Result<PolicyDocument> {
    match kind {
        PolicyKind::Key => PolicyDocument::key_policy(text),
        PolicyKind::Identity => PolicyDocument::identity_policy(text),
    }
}

fn check(kind: PolicyKind, document: &PolicyDocument, context: &EncryptionContext) {
    let text = document.as_str();
    assert!(text.len() <= PolicyDocument::MAX_LENGTH);
    assert_eq!(parse(kind, text).expect("the document was parsed before"), *document);
    let value: serde_json::Value = serde_json::from_str(text).expect("a document is JSON");
    // An escape may represent a character that is not allowed unescaped.
    let compact = parse(kind, &value.to_string()).ok();

    for principal in &WORLD.principals {
        for &operation in Operation::ALL {
            ask(principal, operation, context, |request| {
                let outcome = decide(kind, document, request);
                if let Some(compact) = &compact {
                    assert_eq!(decide(kind, compact, request), outcome, "{operation}");
                }
            });
        }
    }
}

/// Returns the decision of the document alone or, if it is attached to the principal, in
/// combination with the default policy of a key.
fn decide(kind: PolicyKind, document: &PolicyDocument, request: &PolicyRequest<'_>) -> Option<String> {
    let identity = std::slice::from_ref(document);
    let attached = match kind {
        PolicyKind::Key => AttachedPolicies::none().with_key_policy(document),
        PolicyKind::Identity => {
            AttachedPolicies::none().with_key_policy(&WORLD.default).with_identity_policies(identity)
        }
    };
    let outcome = match evaluate(request, &attached) {
        Ok(outcome) => outcome,
        // Requests of this target do not provide everything that a document may refer to.
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Internal);
            return None;
        }
    };
    let denied = [document.clone(), WORLD.denial.clone()];
    let identity = if kind == PolicyKind::Key { &denied[1..] } else { &denied[..] };
    let outweighed =
        evaluate(request, &attached.with_identity_policies(identity)).expect("the evaluation succeeded before");
    assert!(matches!(outweighed, PolicyEvaluation::DeniedByKeyPolicy(_) | PolicyEvaluation::DeniedByIdentityPolicy(_)));
    if kind == PolicyKind::Key && request.operation == Operation::PutKeyPolicy && request.alias.is_none() {
        if let Ok(control) = passes_lockout_safety_check(request, document, &[]) {
            assert!(control || !outcome.is_allowed() || !request.parameters.is_empty());
        }
    }
    Some(outcome.to_string())
}

fn ask(
    principal: &Principal,
    operation: Operation,
    context: &EncryptionContext,
    mut answer: impl FnMut(&PolicyRequest<'_>),
) {
    let World { account, locality, tags, aliases, .. } = &*WORLD;
    let facts = KeyFacts::new(
        KeyId::from_bytes([7; 16]),
        KeySpec::SymmetricDefault,
        KeyUsage::EncryptDecrypt,
        Origin::Kms,
        KeyManager::Customer,
    );
    let limits = GrantConstraints::new()
        .with_encryption_context_subset(EncryptionContext::from([("tenant", "North")]))
        .expect("one pair");
    let terms =
        GrantTerms::new(principal.clone(), [Operation::Encrypt]).expect("one operation").with_constraints(limits);
    let parameters = [
        RequestParameter::EncryptionAlgorithm(EncryptionAlgorithm::SymmetricDefault),
        RequestParameter::Grant(&terms),
        RequestParameter::ReEncryptOnSameKey(true),
        RequestParameter::RotationPeriodInDays(365),
        RequestParameter::ScheduleKeyDeletionPendingWindowInDays(7),
        RequestParameter::RequestAlias(&aliases[0]),
    ];
    let request = PolicyRequest::new(principal, operation, *account)
        .at(locality, Timestamp::from_unix_millis(1_900_000_000_000))
        .with_context(Some(context))
        .with_parameters(&parameters);
    if operation.acts_on_key() {
        answer(&request.with_key(facts.with_tags(tags).with_aliases(aliases)));
    } else {
        answer(&request);
    }
    if matches!(operation, Operation::CreateAlias | Operation::UpdateAlias | Operation::DeleteAlias) {
        answer(&request.with_alias(&aliases[0]));
    }
}
