//! Direct access for tests and fuzz targets to the parser of bodies and the tables of members.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

use super::constraints;
use super::json;
use super::value::{Number, Object, Value};

/// Parses the body of a request. Returns `None` if parsing fails.
pub fn parsed_body(body: &[u8]) -> Option<Json> {
    json::parse(body).ok().map(|object| Json::Object(members(&object)))
}

/// Returns what `serde_json` reads from the body of a request that the parser must accept: an object
/// within the limits, in which all names differ.
pub fn acceptable_body(body: &[u8]) -> Option<Json> {
    let Plain(value) = serde_json::from_slice(body).ok()?;
    Some(value).filter(|value| {
        let extent = Extent::of(value);
        value.is_object()
            && body.len() <= json::MAX_BODY_BYTES
            && extent.members + extent.elements <= json::MAX_VALUES
            && extent.depth <= json::MAX_DEPTH
            // `serde_json` retains one of several members of the same name.
            && extent.members == members_written(body)
    })
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

/// A tree in which the names that `serde_json` reserves for itself have no meaning. A `serde_json`
/// value parses the text of `$serde_json::private::RawValue` again.
struct Plain(Json);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Self)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(Plain(value)) = values.next_element()? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Map::new();
        while let Some((name, Plain(value))) = members.next_entry()? {
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

/// The size of a tree.
#[derive(Default)]
struct Extent {
    depth: usize,
    members: usize,
    elements: usize,
}

impl Extent {
    fn of(value: &Json) -> Self {
        let (inner, mut extent): (Vec<Self>, Self) = match value {
            Json::Array(values) => {
                (values.iter().map(Self::of).collect(), Self { depth: 1, members: 0, elements: values.len() })
            }
            Json::Object(members) => {
                (members.values().map(Self::of).collect(), Self { depth: 1, members: members.len(), elements: 0 })
            }
            _ => return Self::default(),
        };
        extent.depth += inner.iter().map(|inner| inner.depth).max().unwrap_or_default();
        extent.members += inner.iter().map(|inner| inner.members).sum::<usize>();
        extent.elements += inner.iter().map(|inner| inner.elements).sum::<usize>();
        extent
    }
}

/// Returns the number of members in valid JSON: the colons outside of strings.
fn members_written(body: &[u8]) -> usize {
    let (mut members, mut in_string, mut escaped) = (0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => members += 1,
            _ => {}
        }
    }
    members
}
