//! Direct access for tests and fuzz targets to the parser of bodies and the tables of members.

use serde_json::{Map, Value as Json};

use super::constraints;
use super::json;
use super::value::{Number, Object, Value};

/// The longest body that is parsed, in bytes.
pub const MAX_REQUEST_BYTES: usize = json::MAX_BODY_BYTES;

/// The deepest nesting that is parsed.
pub const MAX_REQUEST_DEPTH: usize = json::MAX_DEPTH;

/// The largest number of members and elements that is parsed.
pub const MAX_REQUEST_VALUES: usize = json::MAX_VALUES;

/// Parses the body of a request. Returns `None` if parsing fails.
pub fn parsed_body(body: &[u8]) -> Option<Json> {
    json::parse(body).ok().map(|object| Json::Object(members(&object)))
}

/// Parses the body of a request and checks its constraints. Returns the name of the exception and
/// the message of a request that is refused.
///
/// # Errors
/// - The name of the exception and the message, if the request is refused.
pub fn checked_request(operation: &str, body: &[u8]) -> Result<(), (&'static str, Option<String>)> {
    let checked = json::parse(body).and_then(|object| constraints::check(operation, &object));
    checked.map_err(|rejection| (rejection.code(), rejection.message().map(str::to_owned)))
}

/// Describes the table of operations and members: for each operation an object of its members, each
/// with its type, bounds, pattern, values, and the flags `required` and `sensitive`.
pub fn request_shapes() -> Json {
    let shapes = constraints::operation_names().map(|name| (name.to_owned(), constraints::described(name)));
    Json::Object(shapes.collect())
}

fn members(object: &Object<'_>) -> Map<String, Json> {
    object.iter().map(|(name, value)| (name.to_owned(), tree(value))).collect()
}

fn tree(value: &Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(Number::Integer(value)) => {
            u64::try_from(*value).map(Json::from).or_else(|_| i64::try_from(*value).map(Json::from)).unwrap_or_default()
        }
        Value::Number(Number::Float(value)) => (*value).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(values) => values.iter().map(tree).collect(),
        Value::Object(object) => members(object).into(),
    }
}
