//! The constraints that the model of AWS KMS states for every member of a request.
//!
//! | module | contains |
//! |---|---|
//! | `operations` | the operations with their members |
//! | `members` | the members with their types and bounds |
//! | `enums`, `pattern` | what a string may be |
//! | `parameters` | the operations of the parameter store with their members |
//! | `shape` | the vocabulary of these tables |
//! | `violation` | the text of a violated constraint, in the form of AWS |
//! | `describe` | the tables as JSON, for a comparison with the model |
//!
//! The tables contain only the constraints of shapes. Rules that the model states in prose, such as
//! exactly one of `KeySpec` and `NumberOfBytes`, belong to the operations.

mod describe;
mod enums;
mod members;
mod operations;
#[cfg(feature = "parameters")]
pub(super) mod parameters;
mod pattern;
mod shape;
mod violation;

use self::operations::Operation;
use self::shape::{Field, Shape};
use self::violation::{Constraint, Path, Report, Shown};
use super::rejection::Rejection;
use super::value::{Object, Value};

/// Checks the members of a request. The first member of the wrong JSON type is reported alone. If
/// all types are right, all violated constraints are reported together.
///
/// Members that the operation does not have are ignored, and `null` counts as absent, as in AWS KMS.
pub(super) fn check(operation: &str, members: &Object<'_>) -> Result<(), Rejection> {
    check_members(operations::find(operation).ok_or_else(Rejection::unknown_operation)?, members)
}

fn check_members(operation: &'static Operation, members: &Object<'_>) -> Result<(), Rejection> {
    let mut report = Report::default();
    for (name, value) in members.iter() {
        if let Some(shape) = operation.shape(name) {
            check_value(shape, value, Path::Member(None, name), &mut report)?;
        }
    }
    let required =
        operation.required.iter().filter_map(|entry| Some((members::name_of(entry), (operation.type_of)(entry)?)));
    check_present(required, members, None, &mut report);
    if operations::requires_ciphertext(operation.name) && !ignores_ciphertext(members) {
        let ciphertext = members::find(CIPHERTEXT).map(|shape| (CIPHERTEXT, shape));
        check_present(ciphertext.into_iter(), members, None, &mut report);
    }
    report.into_result()
}

/// The member that [`operations::requires_ciphertext`] is about.
const CIPHERTEXT: &str = "CiphertextBlob";

/// Returns `true` for a dry run without ciphertext.
fn ignores_ciphertext(members: &Object<'_>) -> bool {
    members.boolean("DryRun") == Ok(Some(true))
        && members.texts("DryRunModifiers").is_ok_and(|modifiers| modifiers.contains(&"IGNORE_CIPHERTEXT"))
}

/// Returns `true` if requests of an operation can have a member.
pub(super) fn has_member(operation: &str, member: &str) -> bool {
    operations::find(operation).is_some_and(|operation| operation.shape(member).is_some())
}

/// Returns the names of all operations of AWS KMS, sorted.
pub(super) fn operation_names() -> impl Iterator<Item = &'static str> {
    operations::OPERATIONS.iter().map(|operation| operation.name)
}

/// Describes the members of an operation in JSON; `null` for an operation that does not exist.
pub(super) fn described(operation: &str) -> serde_json::Value {
    operations::find(operation).map_or(serde_json::Value::Null, describe::operation)
}

impl Operation {
    /// Returns the type of a member of this operation.
    fn shape(&self, member: &str) -> Option<&'static Shape> {
        let entry = self.required.iter().chain(self.optional).find(|entry| members::name_of(entry) == member)?;
        (self.type_of)(entry)
    }
}

/// Checks a value, its elements and its members.
fn check_value(shape: &Shape, value: &Value<'_>, path: Path<'_>, report: &mut Report) -> Result<(), Rejection> {
    if matches!(value, Value::Null) {
        return Ok(());
    }
    for constraint in broken(shape, value).map_err(|rejection| rejection.at(&path.to_string()))? {
        report.add(shown(shape, value, path), path, format_args!("{constraint}"));
    }
    match *shape {
        Shape::Structure(fields) => check_structure(fields, value, path, report),
        Shape::List { element: Shape::Structure(fields), .. } => check_structures(fields, value, path, report),
        Shape::List { element, .. } => check_scalars(element, value, shown(shape, value, path), path, report),
        Shape::StringMap => check_string_map(value, path, report),
        _ => Ok(()),
    }
}

/// Returns the violated constraints of a value, without those of its elements and members.
fn broken(shape: &Shape, value: &Value<'_>) -> Result<Vec<Constraint>, Rejection> {
    let mut constraints = Constraint::of(shape);
    match shape {
        Shape::Text { .. } | Shape::Enum(_) => {
            let text = value.as_text()?;
            constraints.retain(|constraint| !constraint.allows_text(text));
        }
        Shape::Blob { .. } => {
            let length = value.to_blob()?.len();
            constraints.retain(|constraint| !constraint.allows_length(length));
        }
        Shape::Integer { .. } => {
            let integer = value.as_integer()?;
            constraints.retain(|constraint| !constraint.allows_integer(integer));
        }
        Shape::List { .. } => {
            let length = value.as_list()?.len();
            constraints.retain(|constraint| !constraint.allows_length(length));
        }
        Shape::Boolean => _ = value.as_bool()?,
        Shape::Timestamp => _ = value.as_timestamp()?,
        Shape::StringMap => _ = value.as_map()?,
        Shape::Structure(_) => _ = value.as_structure()?,
    }
    Ok(constraints)
}

/// Members whose values no message contains, because it is also written to the audit trail, although
/// the model does not mark them as sensitive.
const UNSHOWN: [&str; 2] = ["GrantToken", "GrantTokens"];

/// Returns the form in which a message may contain the value.
fn shown<'v>(shape: &Shape, value: &'v Value<'v>, path: Path<'_>) -> Shown<'v> {
    match shape {
        _ if matches!(path, Path::Member(None, name) if UNSHOWN.contains(&name)) => Shown::Hidden,
        Shape::Text { sensitive: false, .. } | Shape::Enum(_) | Shape::Integer { .. } => Shown::Value(value),
        Shape::List { element: Shape::Text { sensitive: false, .. } | Shape::Enum(_), .. } => Shown::Value(value),
        _ => Shown::Hidden,
    }
}

fn check_structure(
    fields: &'static [Field],
    value: &Value<'_>,
    path: Path<'_>,
    report: &mut Report,
) -> Result<(), Rejection> {
    let object = value.as_structure().map_err(|rejection| rejection.at(&path.to_string()))?;
    for (name, value) in object.iter() {
        if let Some(field) = fields.iter().find(|field| field.name == name) {
            check_value(&field.shape, value, Path::Member(Some(&path), name), report)?;
        }
    }
    let required = fields.iter().filter(|field| field.required).map(|field| (field.name, &field.shape));
    check_present(required, object, Some(&path), report);
    Ok(())
}

fn check_structures(
    fields: &'static [Field],
    list: &Value<'_>,
    path: Path<'_>,
    report: &mut Report,
) -> Result<(), Rejection> {
    for (at, value) in list.as_list()?.iter().enumerate() {
        let path = Path::Element(&path, at);
        match value {
            Value::Null => report.add(Shown::Missing, path, format_args!("{}", Constraint::NotNull)),
            value => check_structure(fields, value, path, report)?,
        }
    }
    Ok(())
}

/// Checks the elements of a list of scalars. AWS reports their constraints once for the list, all of
/// them together.
fn check_scalars(
    element: &Shape,
    list: &Value<'_>,
    shown: Shown<'_>,
    path: Path<'_>,
    report: &mut Report,
) -> Result<(), Rejection> {
    let (mut valid, mut complete) = (true, true);
    for (at, value) in list.as_list()?.iter().enumerate() {
        if matches!(value, Value::Null) {
            complete = false;
        } else {
            let refused = |rejection: Rejection| rejection.at(&Path::Element(&path, at).to_string());
            valid &= broken(element, value).map_err(refused)?.is_empty();
        }
    }
    if !(valid && complete) {
        let rules = Constraint::of(element).into_iter().filter(|_| !valid);
        let rules: Vec<String> =
            rules.chain((!complete).then_some(Constraint::NotNull)).map(|rule| rule.to_string()).collect();
        report.add(shown, path, format_args!("Member must satisfy constraint: [{}]", rules.join(", ")));
    }
    Ok(())
}

/// Checks a map of strings. No text contains its values.
fn check_string_map(value: &Value<'_>, path: Path<'_>, report: &mut Report) -> Result<(), Rejection> {
    let mut complete = true;
    for (_, value) in value.as_map()?.iter() {
        match value {
            Value::Null => complete = false,
            value => _ = value.as_text().map_err(|rejection| rejection.at(&path.to_string()))?,
        }
    }
    if !complete {
        let rule = Constraint::NotNull;
        report.add(Shown::Hidden, path, format_args!("Map value must satisfy constraint: [{rule}]"));
    }
    Ok(())
}

/// Reports required members that are absent.
fn check_present(
    required: impl Iterator<Item = (&'static str, &'static Shape)>,
    members: &Object<'_>,
    parent: Option<&Path<'_>>,
    report: &mut Report,
) {
    for (name, shape) in required.filter(|(name, _)| members.get(name).is_none()) {
        let shown = if shape.is_sensitive() { Shown::Hidden } else { Shown::Missing };
        report.add(shown, Path::Member(parent, name), format_args!("{}", Constraint::NotNull));
    }
}

#[cfg(test)]
mod tests;
