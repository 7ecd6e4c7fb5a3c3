//! Grants that are created by means of grants: no principal ever delegates more than it holds.

use proptest::prelude::*;
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{KeyId, KeyManager, KeySpec, KeyUsage, Operation, Origin};
use strongroom::policy::{
    AttachedPolicies, GrantConstraints, GrantId, GrantTerms, KeyFacts, PolicyEvaluation, PolicyRequest,
    RequestParameter, evaluate,
};
use strongroom::{EncryptionContext, ErrorKind, Result};

/// The operations that the generated grants allow.
const OPERATIONS: [Operation; 6] = [
    Operation::Encrypt,
    Operation::Decrypt,
    Operation::ReEncryptTo,
    Operation::DescribeKey,
    Operation::RetireGrant,
    Operation::CreateGrant,
];
/// The possible values of a name in a context: absent, or one of two values.
const VALUES: [Option<&str>; 3] = [None, Some("1"), Some("2")];
const NAMES: [&str; 2] = ["a", "b"];

fn account() -> AccountId {
    AccountId::default()
}

fn principals() -> Vec<Principal> {
    ["alice", "bob", "carol"].map(|name| Principal::user(account(), name).expect("a name")).to_vec()
}

/// Returns all contexts over the two names.
fn contexts() -> Vec<EncryptionContext> {
    let pair = |name: &str, value: Option<&str>| value.map(|value| (name.to_owned(), value.to_owned()));
    let both = VALUES.iter().flat_map(|a| VALUES.iter().map(move |b| (*a, *b)));
    both.map(|(a, b)| pair(NAMES[0], a).into_iter().chain(pair(NAMES[1], b)).collect()).collect()
}

fn constraint() -> impl Strategy<Value = Option<EncryptionContext>> {
    prop::option::of(prop::sample::select(contexts())).prop_map(|context| context.filter(|context| !context.is_empty()))
}

fn terms() -> impl Strategy<Value = GrantTerms> {
    let operations = prop::sample::subsequence(OPERATIONS.to_vec(), 1..=OPERATIONS.len());
    (prop::sample::select(principals()), operations, constraint(), constraint()).prop_map(
        |(grantee, operations, equals, subset)| {
            let mut limits = GrantConstraints::new();
            if let Some(pairs) = equals {
                limits = limits.with_encryption_context_equals(pairs).expect("one or two pairs");
            }
            if let Some(pairs) = subset {
                limits = limits.with_encryption_context_subset(pairs).expect("one or two pairs");
            }
            GrantTerms::new(grantee, operations).expect("operations that grants can hold").with_constraints(limits)
        },
    )
}

fn facts() -> KeyFacts<'static> {
    let key_id = KeyId::from_bytes([7; 16]);
    KeyFacts::new(key_id, KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt, Origin::Kms, KeyManager::Customer)
}

/// Returns `true` if grants alone allow an operation.
fn may(grants: &[(GrantId, GrantTerms)], who: &Principal, operation: Operation, context: &EncryptionContext) -> bool {
    // The grant to be created delegates nothing, so that only CreateGrant itself is tested.
    let least = GrantTerms::new(who.clone(), [Operation::CreateGrant]).expect("one operation");
    let strictest = contexts().pop().expect("the contexts are not none");
    let least =
        least.with_constraints(GrantConstraints::new().with_encryption_context_equals(strictest).expect("two pairs"));
    let parameters = [RequestParameter::Grant(&least)];
    let mut request = PolicyRequest::new(who, operation, account()).with_key(facts()).with_context(Some(context));
    if operation == Operation::CreateGrant {
        request = request.with_parameters(&parameters);
    }
    let source = Grants(grants);
    let outcome = evaluate(&request, &AttachedPolicies::none().with_grants(&source)).expect("a decision");
    outcome.is_allowed()
}

#[derive(Debug)]
struct Grants<'a>(&'a [(GrantId, GrantTerms)]);

impl strongroom::policy::GrantSource for Grants<'_> {
    fn find(&self, accept: &mut dyn FnMut(&GrantTerms) -> bool) -> Result<Option<GrantId>> {
        self.0.find(accept)
    }
}

/// Lets `who` create a grant by means of the existing ones. Returns `None` if it is not allowed to.
fn create(grants: &[(GrantId, GrantTerms)], who: &Principal, wanted: &GrantTerms) -> Option<GrantId> {
    let parameters = [RequestParameter::Grant(wanted)];
    let request =
        PolicyRequest::new(who, Operation::CreateGrant, account()).with_key(facts()).with_parameters(&parameters);
    let source = Grants(grants);
    match evaluate(&request, &AttachedPolicies::none().with_grants(&source)).expect("a decision") {
        PolicyEvaluation::AllowedByGrant(id) => Some(id),
        other => {
            assert!(!other.is_allowed());
            None
        }
    }
}

proptest! {
    #[test]
    fn no_sequence_of_grants_lets_a_grantee_do_what_its_grantor_could_not(
        first in prop::collection::vec(terms(), 1..3),
        attempts in prop::collection::vec((prop::sample::select(principals()), terms()), 0..24),
    ) {
        let id = |number: usize| GrantId::from_bytes([u8::try_from(number).expect("few grants"); 32]);
        let mut grants: Vec<(GrantId, GrantTerms)> = first.into_iter().enumerate().map(|(at, terms)| (id(at), terms)).collect();
        let given = grants.clone();
        for (grantor, wanted) in attempts {
            let Some(by) = create(&grants, &grantor, &wanted) else { continue };
            let (_, parent) = grants.iter().find(|(known, _)| *known == by).expect("the grant exists").clone();
            prop_assert_eq!(parent.grantee(), &grantor);
            // Whatever the new grant allows, that very grant already allows the grantor itself.
            for operation in OPERATIONS {
                for context in contexts() {
                    if wanted.allows(wanted.grantee(), operation, Some(&context)) {
                        prop_assert!(parent.allows(&grantor, operation, Some(&context)), "{:?} from {:?}: {} {:?}", wanted, parent, operation, context);
                    }
                }
            }
            grants.push((id(grants.len()), wanted));
        }
        // Therefore, all principals together can do nothing that the first grantees could not.
        for operation in OPERATIONS.into_iter().filter(|operation| operation.required_usage().is_some()) {
            for context in contexts() {
                let at_first = principals().iter().any(|who| may(&given, who, operation, &context));
                let in_the_end = principals().iter().any(|who| may(&grants, who, operation, &context));
                prop_assert!(at_first || !in_the_end, "{} {:?}", operation, context);
            }
        }
    }

    /// The order of strictness matches its definition: it holds exactly if every context that meets
    /// the one also meets the other.
    #[test]
    fn stricter_constraints_let_fewer_contexts_through(one in terms(), other in terms()) {
        let (one, other) = (one.constraints(), other.constraints());
        let implied = contexts().iter().all(|context| !one.are_met_by(context) || other.are_met_by(context));
        if one.are_at_least_as_strict_as(other) {
            prop_assert!(implied, "{:?} {:?}", one, other);
        }
    }

    #[test]
    fn every_grant_may_be_handed_on_as_it_is(terms in terms()) {
        prop_assert_eq!(terms.may_delegate(&terms), terms.operations().contains(Operation::CreateGrant));
    }
}

#[test]
fn terms_that_no_grant_can_have_are_refused() -> Result<()> {
    let alice = Principal::user(account(), "alice")?;
    let kind = |operations: &[Operation]| {
        GrantTerms::new(alice.clone(), operations.iter().copied()).map(drop).map_err(|error| error.kind())
    };
    assert_eq!(kind(&[]), Err(ErrorKind::Validation));
    for &operation in Operation::ALL {
        let expected = if operation.is_grantable() { Ok(()) } else { Err(ErrorKind::Validation) };
        assert_eq!(kind(&[operation]), expected, "{operation}");
        assert_eq!(kind(&[Operation::Encrypt, operation]), expected, "{operation}");
    }
    Ok(())
}

#[test]
fn a_constraint_has_one_to_eight_pairs_and_short_values() {
    let pairs =
        |count: usize| (0..count).map(|number| (number.to_string(), String::new())).collect::<EncryptionContext>();
    let kind = |context: EncryptionContext| {
        let both = [
            GrantConstraints::new().with_encryption_context_equals(context.clone()),
            GrantConstraints::new().with_encryption_context_subset(context),
        ];
        both.map(|constraint| constraint.map(drop).map_err(|error| error.kind()))
    };
    let (accepted, refused) = ([Ok(()); 2], [Err(ErrorKind::Validation); 2]);
    assert_eq!(kind(pairs(0)), refused);
    assert_eq!(kind(pairs(1)), accepted);
    assert_eq!(kind(pairs(8)), accepted);
    assert_eq!(kind(pairs(9)), refused);
    assert_eq!(kind(EncryptionContext::from([("a", "é".repeat(384))])), accepted);
    assert_eq!(kind(EncryptionContext::from([("a", "é".repeat(385))])), refused);
    assert_eq!(kind(EncryptionContext::from([("", "1")])), refused);
}

#[test]
fn a_grant_must_suit_the_kind_of_its_key() -> Result<()> {
    use {KeySpec as Spec, KeyUsage as Usage, Operation as Op};
    let alice = Principal::user(account(), "alice")?;
    let rows = [
        (Op::Encrypt, Spec::SymmetricDefault, Usage::EncryptDecrypt, true),
        (Op::GenerateDataKeyPair, Spec::SymmetricDefault, Usage::EncryptDecrypt, true),
        (Op::GetPublicKey, Spec::SymmetricDefault, Usage::EncryptDecrypt, false),
        (Op::Sign, Spec::SymmetricDefault, Usage::EncryptDecrypt, false),
        (Op::Encrypt, Spec::Rsa2048, Usage::EncryptDecrypt, true),
        (Op::GetPublicKey, Spec::Rsa2048, Usage::EncryptDecrypt, true),
        (Op::GenerateDataKey, Spec::Rsa2048, Usage::EncryptDecrypt, false),
        (Op::Encrypt, Spec::Rsa2048, Usage::SignVerify, false),
        (Op::Verify, Spec::Rsa2048, Usage::SignVerify, true),
        (Op::DeriveSharedSecret, Spec::EccNistP256, Usage::KeyAgreement, true),
        (Op::Sign, Spec::EccNistP256, Usage::KeyAgreement, false),
        (Op::Encapsulate, Spec::MlKem768, Usage::EncapsulateDecapsulate, true),
        (Op::Decapsulate, Spec::MlKem512, Usage::EncapsulateDecapsulate, true),
        (Op::GetPublicKey, Spec::MlKem1024, Usage::EncapsulateDecapsulate, true),
        (Op::Encrypt, Spec::MlKem768, Usage::EncapsulateDecapsulate, false),
        (Op::DeriveSharedSecret, Spec::MlKem768, Usage::EncapsulateDecapsulate, false),
        (Op::Decapsulate, Spec::MlDsa65, Usage::SignVerify, false),
        (Op::Sign, Spec::MlDsa65, Usage::SignVerify, true),
        (Op::VerifyMac, Spec::Hmac256, Usage::GenerateVerifyMac, true),
        (Op::GetPublicKey, Spec::Hmac256, Usage::GenerateVerifyMac, false),
        (Op::DescribeKey, Spec::Hmac256, Usage::GenerateVerifyMac, true),
        (Op::CreateGrant, Spec::EccNistP256, Usage::KeyAgreement, true),
    ];
    for (operation, spec, usage, fits) in rows {
        let terms = GrantTerms::new(alice.clone(), [operation])?;
        assert_eq!(terms.check_key(spec, usage).is_ok(), fits, "{operation} {spec} {usage}");
        let limits = GrantConstraints::new().with_encryption_context_subset(EncryptionContext::from([("a", "1")]))?;
        let limited = terms.with_constraints(limits);
        assert_eq!(
            limited.check_key(spec, usage).is_ok(),
            fits && spec == Spec::SymmetricDefault,
            "{operation} {spec}"
        );
    }
    Ok(())
}

#[test]
fn ids_of_grants_are_64_digits_in_lower_case() -> Result<()> {
    let id = GrantId::from_bytes([0xab; 32]);
    assert_eq!(id.to_string(), "ab".repeat(32));
    assert_eq!(GrantId::parse(&id.to_string())?, id);
    assert_eq!(id.to_string().parse::<GrantId>()?, id);
    let json = serde_json::to_string(&id).expect("a grant id is a text");
    assert_eq!(json, format!("\"{id}\""));
    assert_eq!(serde_json::from_str::<GrantId>(&json).ok(), Some(id));
    assert!(serde_json::from_str::<GrantId>("\"1f\"").is_err());
    for text in ["", "ab", &"AB".repeat(32), &"ab".repeat(33), &"ab".repeat(31), &"xy".repeat(32)] {
        assert_eq!(GrantId::parse(text).map_err(|error| error.kind()), Err(ErrorKind::InvalidGrantId), "{text}");
    }
    Ok(())
}
