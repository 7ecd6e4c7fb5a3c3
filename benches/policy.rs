//! Authorization decisions: `policy/<case>/...`. The row `account_owner_only` evaluates no policy
//! document, so the difference from it is the cost of the other rows.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use strongroom::identity::{AccountId, Locality, Principal};
use strongroom::key::{KeyId, KeyManager, KeySpec, KeyUsage, Operation, Origin};
use strongroom::policy::{
    AccountOwnerOnly, AttachedPolicies, GrantId, GrantSource, GrantTerms, KeyFacts, Policy, PolicyDocument,
    PolicyRequest, evaluate,
};
use strongroom::{EncryptionContext, Result};

/// Returns typical key policy statements. Only the last one applies to the requesting principal.
fn ten_statements() -> String {
    let user = |number: usize| {
        format!(
            r#"{{"Sid": "User {number}", "Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::000000000000:user/user{number}"}},
               "Action": ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*",
               "Condition": {{"StringEquals": {{"kms:EncryptionContext:tenant": ["{number}", "all"]}}}}}}"#
        )
    };
    let mut statements: Vec<String> = (0..6).map(user).collect();
    statements.push(deny(r#"{"StringNotEquals": {"kms:CallerAccount": "000000000000"}}"#));
    statements.push(deny(r#"{"ForAnyValue:StringLike": {"kms:EncryptionContextKeys": ["secret*", "salary"]}}"#));
    statements.push(deny(r#"{"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::000000000000:user/*"}}"#));
    statements.push(
        r#"{"Sid": "Alice", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"},
           "Action": "kms:*", "Resource": "arn:aws:kms:*:000000000000:key/*",
           "Condition": {"StringLike": {"kms:EncryptionContext:tenant": "4*"}}}"#
            .to_owned(),
    );
    format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(", "))
}

/// Returns a key policy of 200 statements about other users, and one about the requesting principal.
fn other_principals() -> String {
    let user = |name: &str| {
        format!(
            r#"{{"Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::000000000000:user/{name}"}},
               "Action": "kms:*", "Resource": "*"}}"#
        )
    };
    let mut statements: Vec<String> = (0..200).map(|number| user(&format!("user{number}"))).collect();
    statements.push(user("alice"));
    format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(", "))
}

/// Returns ten identity policies that together have 1,000 statements about other operations, and one
/// about the requested one.
fn other_operations() -> Result<Vec<PolicyDocument>> {
    let statement = |action: &str| format!(r#"{{"Effect": "Allow", "Action": "kms:{action}", "Resource": "*"}}"#);
    let document = |number: usize| {
        let mut statements = vec![statement("Sign"); 100];
        if number == 9 {
            statements.push(statement("Decrypt"));
        }
        let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(", "));
        PolicyDocument::identity_policy(&text)
    };
    (0..10).map(document).collect()
}

fn deny(condition: &str) -> String {
    format!(r#"{{"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": {condition}}}"#)
}

/// Returns grants. Only the last one belongs to the requesting principal.
fn grants(count: usize) -> Result<Vec<(GrantId, GrantTerms)>> {
    let account = AccountId::default();
    let grant = |number: usize| {
        let name = if number + 1 == count { "alice".to_owned() } else { format!("user{number}") };
        let terms = GrantTerms::new(Principal::user(account, &name)?, [Operation::Decrypt])?;
        Ok((GrantId::from_bytes([u8::try_from(number % 256).unwrap_or_default(); 32]), terms))
    };
    (0..count).map(grant).collect()
}

#[derive(Debug)]
struct Grants(Vec<(GrantId, GrantTerms)>);

impl GrantSource for Grants {
    fn find(&self, accept: &mut dyn FnMut(&GrantTerms) -> bool) -> Result<Option<GrantId>> {
        self.0.find(accept)
    }
}

fn decisions(criterion: &mut Criterion) {
    run(criterion).expect("principals and documents are valid");
}

fn run(criterion: &mut Criterion) -> Result<()> {
    let account = AccountId::default();
    let (root, alice) = (Principal::root(account), Principal::user(account, "alice")?);
    let context = EncryptionContext::from([("tenant", "42"), ("purpose", "backup")]);
    let facts = KeyFacts::new(
        KeyId::from_bytes([7; 16]),
        KeySpec::SymmetricDefault,
        KeyUsage::EncryptDecrypt,
        Origin::Kms,
        KeyManager::Customer,
    );
    let ask = |principal| {
        PolicyRequest::new(principal, Operation::Decrypt, account).with_key(facts).with_context(Some(&context))
    };
    let default = PolicyDocument::default_key_policy(account, &Locality::default());
    let text = ten_statements();
    let ten = PolicyDocument::key_policy(&text)?;
    let identity = [PolicyDocument::identity_policy(
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}}"#,
    )?];
    let (by_root, by_alice) = (ask(&root), ask(&alice));

    let mut group = criterion.benchmark_group("policy");
    group.bench_function("account_owner_only", |bencher| {
        bencher.iter(|| AccountOwnerOnly.decide(black_box(&by_root), &AttachedPolicies::none()));
    });
    let mut decide = |name: &str, request: &PolicyRequest<'_>, attached: AttachedPolicies<'_>| {
        assert!(evaluate(request, &attached).is_ok_and(|outcome| outcome.is_allowed()), "{name}");
        group.bench_function(name, |bencher| bencher.iter(|| evaluate(black_box(request), black_box(&attached))));
    };
    decide("default", &by_root, AttachedPolicies::none().with_key_policy(&default));
    let with_identity = AttachedPolicies::none().with_key_policy(&default).with_identity_policies(&identity);
    decide("default_and_identity", &by_alice, with_identity);
    decide("ten_statements", &by_alice, AttachedPolicies::none().with_key_policy(&ten));
    let others = PolicyDocument::key_policy(&other_principals())?;
    decide("other_principals/200", &by_alice, AttachedPolicies::none().with_key_policy(&others));
    let others = other_operations()?;
    let with_identity = AttachedPolicies::none().with_key_policy(&default).with_identity_policies(&others);
    decide("other_operations/1000", &by_alice, with_identity);
    for count in [1, 100] {
        let grants = Grants(grants(count)?);
        let attached = AttachedPolicies::none().with_key_policy(&default).with_grants(&grants);
        decide(&format!("grants/{count}"), &by_alice, attached);
    }
    group.bench_function("parse/default", |bencher| bencher.iter(|| PolicyDocument::key_policy(default.as_str())));
    group.bench_function("parse/ten_statements", |bencher| bencher.iter(|| PolicyDocument::key_policy(&text)));
    group.finish();
    Ok(())
}

criterion_group!(benches, decisions);
criterion_main!(benches);
