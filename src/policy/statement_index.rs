//! Finds the statements of a document that can apply to a request, without looking at the others.

use std::hash::{BuildHasher, RandomState};

use super::effect::Effect;
use super::operation_set::OperationSet;
use super::statement::Statement;
use crate::identity::Principal;
use crate::key::Operation;

/// The statements of a document by effect, operation and principal.
pub(super) struct StatementIndex {
    hasher: RandomState,
    allowing: Box<[Entry]>,
    denying: Box<[Entry]>,
}

/// A statement, and one of the principals that it names. Small, because a decision reads all entries
/// with an effect.
struct Entry {
    operations: OperationSet,
    /// The hash of the [`Principal::lookup_key`] of the only callers that the entry is for, or `None`
    /// if it is for callers of several keys.
    caller: Option<u64>,
    place: usize,
}

impl StatementIndex {
    pub(super) fn new(statements: &[Statement]) -> Self {
        let hasher = RandomState::new();
        let entries = |effect| {
            let of_effect = statements.iter().enumerate().filter(|(_, statement)| statement.effect() == effect);
            let entries = of_effect.flat_map(|(place, statement)| {
                let entry = |caller| Entry { operations: statement.operations(), caller, place };
                match statement.named_identities() {
                    Some(named) => named.map(|named| entry(Some(hasher.hash_one(named.lookup_key())))).collect(),
                    None => vec![entry(None)],
                }
            });
            entries.collect()
        };
        Self { allowing: entries(Effect::Allow), denying: entries(Effect::Deny), hasher }
    }

    /// Returns the places, in document order, of all statements with this effect that can apply to an
    /// operation of a principal. They include statements that do not apply.
    pub(super) fn candidates(
        &self,
        effect: Effect,
        operation: Operation,
        principal: &Principal,
    ) -> impl Iterator<Item = usize> {
        let entries = match effect {
            Effect::Allow => &self.allowing,
            Effect::Deny => &self.denying,
        };
        // Many documents name accounts only, and then no hash is necessary.
        let mut hash = None;
        let mut is_caller =
            move |wanted: u64| wanted == *hash.get_or_insert_with(|| self.hasher.hash_one(principal.lookup_key()));
        let mut last = None;
        entries
            .iter()
            .filter(move |entry| entry.operations.contains(operation) && entry.caller.is_none_or(&mut is_caller))
            .map(|entry| entry.place)
            .filter(move |place| last.replace(*place) != Some(*place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::AccountId;
    use crate::policy::PolicyDocument;

    fn document(statements: &[String]) -> PolicyDocument {
        let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(", "));
        PolicyDocument::key_policy(&text).expect("valid statements")
    }

    fn statement(effect: &str, principal: &str, action: &str) -> String {
        format!(r#"{{"Effect": "{effect}", "Principal": {principal}, "Action": "{action}", "Resource": "*"}}"#)
    }

    #[test]
    fn only_statements_of_the_effect_the_operation_and_the_principal_are_candidates() {
        let users = |names: &[&str]| {
            let arns: Vec<_> = names.iter().map(|name| format!(r#""arn:aws:iam::000000000000:user/{name}""#)).collect();
            format!(r#"{{"AWS": [{}]}}"#, arns.join(", "))
        };
        let document = document(&[
            statement("Allow", &users(&["alice"]), "kms:Decrypt"),
            statement("Deny", &users(&["alice"]), "kms:Decrypt"),
            statement("Allow", &users(&["bob"]), "kms:Decrypt"),
            statement("Allow", &users(&["bob", "alice", "alice"]), "kms:*"),
            statement("Allow", r#""*""#, "kms:Encrypt"),
            statement("Allow", r#"{"AWS": ["111122223333", "arn:aws:iam::000000000000:user/bob"]}"#, "kms:Decrypt"),
            statement("Allow", r#"{"Service": "s3.amazonaws.com"}"#, "kms:Decrypt"),
        ]);
        let alice = Principal::user(AccountId::default(), "alice").expect("a name");
        let places = |effect, operation| document.index().candidates(effect, operation, &alice).collect::<Vec<_>>();
        assert_eq!(places(Effect::Allow, Operation::Decrypt), [0, 3, 5, 6]);
        assert_eq!(places(Effect::Deny, Operation::Decrypt), [1]);
        assert_eq!(places(Effect::Allow, Operation::Encrypt), [3, 4]);
        assert!(places(Effect::Deny, Operation::Encrypt).is_empty());
    }

    #[test]
    fn every_statement_that_has_a_relation_to_a_principal_is_a_candidate() {
        let account = AccountId::default();
        let names = [
            "000000000000",
            "*",
            "arn:aws:iam::000000000000:root",
            "arn:aws:iam::000000000000:user/worker",
            "arn:aws:iam::000000000000:role/worker",
            "arn:aws:iam::000000000000:role/a/worker",
            "arn:aws:iam::000000000000:role/b/worker",
            "arn:aws:sts::000000000000:assumed-role/worker/job",
            "arn:aws:sts::000000000000:federated-user/worker",
            "arn:aws-cn:iam::000000000000:role/worker",
            "arn:aws:iam::111122223333:role/worker",
        ];
        let statements: Vec<_> = ["Allow", "Deny"]
            .iter()
            .flat_map(|effect| names.iter().map(|name| statement(effect, &format!(r#"{{"AWS": "{name}"}}"#), "kms:*")))
            .collect();
        let document = document(&statements);
        let callers = [
            Principal::root(account),
            Principal::user(account, "worker").expect("a name"),
            Principal::role(account, "worker").expect("a name"),
            Principal::role(account, "a/worker").expect("a name"),
            Principal::assumed_role(account, "worker", "job").expect("names"),
            Principal::assumed_role(account, "a/worker", "job").expect("names"),
            Principal::federated_user(account, "worker").expect("a name"),
            Principal::service(account, "s3").expect("a name"),
        ];
        let mut related = 0;
        for caller in &callers {
            for (place, statement) in document.statements().iter().enumerate() {
                if statement.relation_to(caller).is_some() {
                    related += 1;
                    let mut found = document.index().candidates(statement.effect(), Operation::Decrypt, caller);
                    assert!(found.any(|candidate| candidate == place), "{caller} {}", statements[place]);
                }
            }
        }
        assert!(related > callers.len() * 6, "{related}");
    }
}
