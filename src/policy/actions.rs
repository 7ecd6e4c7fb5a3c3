//! The `Action` and `NotAction` elements: sets of operations, named with optional wildcards.

use super::document_kind::PolicyKind;
use super::json::Json;
use super::operation_set::OperationSet;
use super::parse_error::PolicyParseError;
use super::pattern::Pattern;
use crate::key::{Operation, ParameterOperation};
use crate::text::sanitize_for_error;

/// The prefixes of the actions of both services, matched case-insensitively.
const KMS: &str = "kms:";
const PARAMETERS: &str = "ssm:";

/// Actions of AWS KMS that have no operation in this crate. A policy written for AWS may name them.
const ABSENT: [&str; 3] = ["ReplicateKey", "SynchronizeMultiRegionKey", "UpdatePrimaryRegion"];

/// The operations that an element names: those on keys, and those of the parameter store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Actions {
    pub(super) operations: OperationSet,
    pub(super) parameters: ParameterOperationSet,
}

impl Actions {
    const ALL: Self = Self { operations: OperationSet::ALL, parameters: ParameterOperationSet::ALL };

    fn union(self, other: Self) -> Self {
        Self {
            operations: self.operations.union(other.operations),
            parameters: self.parameters.union(other.parameters),
        }
    }

    pub(super) const fn complement(self) -> Self {
        Self { operations: self.operations.complement(), parameters: self.parameters.complement() }
    }
}

/// A set of operations of the parameter store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ParameterOperationSet(u16);

// Each operation has one bit.
const _: () = assert!(ParameterOperation::ALL.len() <= 16);

impl ParameterOperationSet {
    const ALL: Self = Self(u16::MAX >> (16 - ParameterOperation::ALL.len()));

    pub(super) fn contains(self, operation: ParameterOperation) -> bool {
        self.0 & Self::bit(operation) != 0
    }

    const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn complement(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }

    fn bit(operation: ParameterOperation) -> u16 {
        let place = ParameterOperation::ALL.iter().position(|known| *known == operation);
        place.map_or(0, |place| 1 << place)
    }
}

/// Parses the value of the element into the operations that it names.
pub(super) fn parse(kind: PolicyKind, value: Json) -> Result<Actions, PolicyParseError> {
    value.texts()?.iter().try_fold(Actions::default(), |set, action| Ok(set.union(named_by(kind, action)?)))
}

fn named_by(kind: PolicyKind, action: &str) -> Result<Actions, PolicyParseError> {
    if action == "*" {
        return Ok(Actions::ALL);
    }
    let unknown =
        || PolicyParseError::new(format!("'{}' is not an action of this service", sanitize_for_error(action)));
    let after = |service: &str| {
        let prefix = action.get(..service.len()).filter(|prefix| prefix.eq_ignore_ascii_case(service));
        prefix.map(|_| action[service.len()..].to_ascii_lowercase())
    };
    if let Some(name) = after(KMS) {
        let pattern = Pattern::new(&name);
        let matches = |known: &str| pattern.matches(&known.to_ascii_lowercase());
        let set: OperationSet =
            Operation::ALL.iter().copied().filter(|operation| matches(operation.as_str())).collect();
        // Reject misspelled names, which would otherwise silently allow or deny nothing.
        if set.is_empty() && !ABSENT.into_iter().any(matches) {
            return Err(unknown());
        }
        return Ok(Actions { operations: set, ..Actions::default() });
    }
    let name = after(PARAMETERS).ok_or_else(unknown)?;
    if kind == PolicyKind::Key {
        let text = "a key policy applies only to its key: put actions on parameters into an identity policy";
        return Err(PolicyParseError::new(text));
    }
    let pattern = Pattern::new(&name);
    let named = ParameterOperation::ALL.iter().filter(|known| pattern.matches(&known.as_str().to_ascii_lowercase()));
    let parameters = named.fold(0, |set, operation| set | ParameterOperationSet::bit(*operation));
    if parameters == 0 {
        return Err(unknown());
    }
    Ok(Actions { parameters: ParameterOperationSet(parameters), ..Actions::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(action: &str) -> Option<Vec<&'static str>> {
        let set = parse(PolicyKind::Identity, Json::Text(action.to_owned())).ok()?;
        let parameters = ParameterOperation::ALL.iter().filter(|operation| set.parameters.contains(**operation));
        Some(set.operations.iter().map(Operation::as_str).chain(parameters.map(|one| one.as_str())).collect())
    }

    #[test]
    fn names_have_wildcards_and_no_case() {
        assert_eq!(parsed("kms:Encrypt"), Some(vec!["Encrypt"]));
        assert_eq!(parsed("KMS:encrypt"), Some(vec!["Encrypt"]));
        assert_eq!(parsed("kms:ReEncrypt*"), Some(vec!["ReEncryptFrom", "ReEncryptTo"]));
        assert_eq!(parsed("kms:?ign"), Some(vec!["Sign"]));
        assert_eq!(parsed("kms:*").map(|all| all.len()), Some(Operation::ALL.len()));
        let both = Operation::ALL.len() + ParameterOperation::ALL.len();
        assert_eq!(parsed("*").map(|all| all.len()), Some(both));
        assert_eq!(parsed("ssm:*").map(|all| all.len()), Some(ParameterOperation::ALL.len()));
        assert_eq!(parsed("ssm:GetParameter"), Some(vec!["GetParameter"]));
        assert_eq!(
            parsed("SSM:getparameter*"),
            Some(vec!["GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory"])
        );
    }

    #[test]
    fn a_complement_is_within_both_services() -> Result<(), PolicyParseError> {
        let all = parse(PolicyKind::Identity, Json::Text("*".into()))?;
        let none = all.complement();
        assert_eq!(none, Actions::default());
        let get = parse(PolicyKind::Identity, Json::Text("ssm:GetParameter".into()))?;
        assert!(get.complement().operations == OperationSet::ALL);
        for &operation in ParameterOperation::ALL {
            assert_eq!(get.parameters.contains(operation), operation == ParameterOperation::GetParameter);
            assert_ne!(get.parameters.contains(operation), get.complement().parameters.contains(operation));
        }
        Ok(())
    }

    #[test]
    fn a_key_policy_names_no_action_on_parameters() {
        for action in ["ssm:*", "ssm:GetParameter"] {
            assert!(parse(PolicyKind::Key, Json::Text(action.to_owned())).is_err(), "{action}");
        }
        assert!(parse(PolicyKind::Key, Json::Text("*".to_owned())).is_ok());
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for action in [
            "kms:Encrpyt",
            "kms:ReEncrypt",
            "s3:GetObject",
            "s3:*",
            "Encrypt",
            "kms",
            "kms:",
            "",
            "kmsx*",
            "é",
            "ssm:",
            "ssm:GetParam",
        ] {
            assert_eq!(parsed(action), None, "{action}");
        }
    }

    #[test]
    fn an_action_of_aws_that_does_not_exist_here_names_nothing_and_is_accepted() {
        for action in ABSENT {
            assert_eq!(parsed(&format!("kms:{action}")), Some(vec![]), "{action}");
        }
        assert_eq!(parsed("kms:Replicate*"), Some(vec![]));
    }
}
