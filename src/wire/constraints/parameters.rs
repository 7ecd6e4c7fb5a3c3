//! The operations of the parameter store with their members, as the model of AWS Systems Manager
//! states them (version 2014-11-06).

use super::describe;
use super::operations::Operation;
use super::pattern::parameters as pattern;
use super::shape::Shape::{Boolean, Enum, Structure};
use super::shape::{Field, Shape, bounded_list, integer, list, optional, required, secret_text, text, text_like};
use crate::wire::rejection::Rejection;
use crate::wire::value::Object;

/// Checks the members of a request like [`check`](super::check).
pub(in crate::wire) fn check(operation: &str, members: &Object<'_>) -> Result<(), Rejection> {
    super::check_members(find(operation).ok_or_else(Rejection::unknown_operation)?, members)
}

/// Returns `true` if requests of an operation can have a member.
pub(in crate::wire) fn has_member(operation: &str, member: &str) -> bool {
    find(operation).is_some_and(|operation| operation.shape(member).is_some())
}

/// Returns the names of all operations.
pub(in crate::wire) fn operation_names() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|operation| operation.name)
}

/// Describes the members of an operation in JSON; `null` for an operation that does not exist.
pub(in crate::wire) fn described(operation: &str) -> serde_json::Value {
    find(operation).map_or(serde_json::Value::Null, describe::operation)
}

fn find(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

fn type_of(entry: &str) -> Option<&'static Shape> {
    MEMBERS.iter().find(|(name, _)| *name == entry).map(|(_, shape)| shape)
}

/// The entry for the member `MaxResults` of GetParametersByPath.
const FEW_RESULTS: &str = "MaxResults of a path";

static OPERATIONS: &[Operation] = &[
    operation("AddTagsToResource", &["ResourceType", "ResourceId", "Tags"], &[]),
    operation("DeleteParameter", &["Name"], &[]),
    operation("DeleteParameters", &["Names"], &[]),
    operation("DescribeParameters", &[], &["Filters", "ParameterFilters", "MaxResults", "NextToken", "Shared"]),
    operation("GetParameter", &["Name"], &["WithDecryption"]),
    operation("GetParameterHistory", &["Name"], &["WithDecryption", "MaxResults", "NextToken"]),
    operation("GetParameters", &["Names"], &["WithDecryption"]),
    operation(
        "GetParametersByPath",
        &["Path"],
        &["Recursive", "ParameterFilters", "WithDecryption", FEW_RESULTS, "NextToken"],
    ),
    operation("LabelParameterVersion", &["Name", "Labels"], &["ParameterVersion"]),
    operation("ListTagsForResource", &["ResourceType", "ResourceId"], &[]),
    operation(
        "PutParameter",
        &["Name", "Value"],
        &["Description", "Type", "KeyId", "Overwrite", "AllowedPattern", "Tags", "Tier", "Policies", "DataType"],
    ),
    operation("RemoveTagsFromResource", &["ResourceType", "ResourceId", "TagKeys"], &[]),
    operation("UnlabelParameterVersion", &["Name", "ParameterVersion", "Labels"], &[]),
];

const fn operation(
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Operation {
    Operation { name, required, optional, type_of }
}

/// A string without bounds.
const fn any_text() -> Shape {
    text(0, usize::MAX)
}

const NAME: Shape = text(1, 2048);
const LABEL: Shape = text(1, 100);
const TAG_KEY: Shape = text_like(1, 128, pattern::TAG);
const FILTER_VALUE: Shape = text(1, 1024);

#[rustfmt::skip]
static MEMBERS: &[(&str, Shape)] = &[
    ("AllowedPattern", text(0, 1024)),
    ("DataType", text(0, 128)),
    ("Description", text(0, 1024)),
    ("Filters", list(&Structure(FILTER))),
    ("KeyId", text_like(1, 256, pattern::KEY_ID)),
    ("Labels", bounded_list(1, 10, &LABEL)),
    ("MaxResults", integer(1, 50)),
    (FEW_RESULTS, integer(1, 10)),
    ("Name", NAME),
    ("Names", bounded_list(1, 10, &NAME)),
    ("NextToken", any_text()),
    ("Overwrite", Boolean),
    ("ParameterFilters", list(&Structure(STRING_FILTER))),
    ("ParameterVersion", integer(LONG_MIN, LONG_MAX)),
    ("Path", NAME),
    ("Policies", text(1, 4096)),
    ("Recursive", Boolean),
    ("ResourceId", any_text()),
    ("ResourceType", Enum(RESOURCE_TYPES)),
    ("Shared", Boolean),
    ("TagKeys", list(&TAG_KEY)),
    ("Tags", bounded_list(0, 1000, &Structure(TAG))),
    ("Tier", Enum(&["Standard", "Advanced", "Intelligent-Tiering"])),
    ("Type", Enum(&["String", "StringList", "SecureString"])),
    ("Value", secret_text(0, usize::MAX, None)),
    ("WithDecryption", Boolean),
];

/// The bounds of a number of 64 bits.
const LONG_MIN: i128 = -(1 << 63);
const LONG_MAX: i128 = (1 << 63) - 1;

const RESOURCE_TYPES: &[&str] = &[
    "Document",
    "ManagedInstance",
    "MaintenanceWindow",
    "Parameter",
    "PatchBaseline",
    "OpsItem",
    "OpsMetadata",
    "Automation",
    "Association",
    "CloudConnector",
];

static FILTER: &[Field] =
    &[required("Key", Enum(&["Name", "Type", "KeyId"])), required("Values", bounded_list(1, 50, &FILTER_VALUE))];

static STRING_FILTER: &[Field] = &[
    required("Key", text_like(1, 132, pattern::FILTER_KEY)),
    optional("Option", text(1, 10)),
    optional("Values", bounded_list(1, 50, &FILTER_VALUE)),
];

static TAG: &[Field] = &[required("Key", TAG_KEY), required("Value", text_like(0, 256, pattern::TAG))];
