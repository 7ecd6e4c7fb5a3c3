//! The `Action` and `NotAction` elements: sets of operations, named with optional wildcards.

use super::json::Json;
use super::operation_set::OperationSet;
use super::parse_error::PolicyParseError;
use super::pattern::Pattern;
use crate::key::Operation;
use crate::text::sanitize_for_error;

/// The prefix of every action of this service, matched case-insensitively.
const SERVICE: &str = "kms:";

/// Actions of AWS KMS that have no operation in this crate. A policy written for AWS may name them.
const ABSENT: [&str; 5] =
    ["Decapsulate", "Encapsulate", "ReplicateKey", "SynchronizeMultiRegionKey", "UpdatePrimaryRegion"];

/// Parses the value of the element into the set of operations that it names.
pub(super) fn parse(value: Json) -> Result<OperationSet, PolicyParseError> {
    value.texts()?.iter().try_fold(OperationSet::EMPTY, |set, action| Ok(set.union(named_by(action)?)))
}

fn named_by(action: &str) -> Result<OperationSet, PolicyParseError> {
    if action == "*" {
        return Ok(OperationSet::ALL);
    }
    let unknown =
        || PolicyParseError::new(format!("'{}' is not an action of this service", sanitize_for_error(action)));
    let prefix = action.get(..SERVICE.len()).filter(|prefix| prefix.eq_ignore_ascii_case(SERVICE));
    let name = prefix.map(|_| action[SERVICE.len()..].to_ascii_lowercase()).ok_or_else(unknown)?;
    let pattern = Pattern::new(&name);
    let matches = |known: &str| pattern.matches(&known.to_ascii_lowercase());
    let set: OperationSet = Operation::ALL.iter().copied().filter(|operation| matches(operation.as_str())).collect();
    // Reject misspelled names, which would otherwise silently allow or deny nothing.
    if set.is_empty() && !ABSENT.into_iter().any(matches) {
        return Err(unknown());
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(action: &str) -> Option<Vec<&'static str>> {
        let set = parse(Json::Text(action.to_owned())).ok()?;
        Some(set.iter().map(Operation::as_str).collect())
    }

    #[test]
    fn names_have_wildcards_and_no_case() {
        assert_eq!(parsed("kms:Encrypt"), Some(vec!["Encrypt"]));
        assert_eq!(parsed("KMS:encrypt"), Some(vec!["Encrypt"]));
        assert_eq!(parsed("kms:ReEncrypt*"), Some(vec!["ReEncryptFrom", "ReEncryptTo"]));
        assert_eq!(parsed("kms:?ign"), Some(vec!["Sign"]));
        assert_eq!(parsed("kms:*").map(|all| all.len()), Some(Operation::ALL.len()));
        assert_eq!(parsed("*").map(|all| all.len()), Some(Operation::ALL.len()));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for action in
            ["kms:Encrpyt", "kms:ReEncrypt", "s3:GetObject", "s3:*", "Encrypt", "kms", "kms:", "", "kmsx*", "é"]
        {
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
