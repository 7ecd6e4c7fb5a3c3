//! Direct access for tests to the table of members.

use crate::wire::constraints::parameters as constraints;

/// Describes the table of operations and members for a comparison with the model of AWS, like that of
/// AWS KMS.
pub fn parameter_request_shapes() -> serde_json::Value {
    let shapes = constraints::operation_names().map(|name| (name.to_owned(), constraints::described(name)));
    serde_json::Value::Object(shapes.collect())
}
