//! The tables as JSON, for a comparison with the model of AWS.

use serde_json::{Value as Json, json};

use super::members;
use super::operations::Operation;
use super::shape::{Field, Shape};

/// Describes the members of an operation.
pub(super) fn operation(operation: &Operation) -> Json {
    let required = operation.required.iter().map(|entry| (*entry, true));
    let entries = required.chain(operation.optional.iter().map(|entry| (*entry, false)));
    let member = |(entry, required): (&'static str, bool)| {
        let shape = (operation.type_of)(entry).map_or(Json::Null, shape);
        (members::name_of(entry).to_owned(), with_required(shape, required))
    };
    Json::Object(entries.map(member).collect())
}

fn with_required(mut shape: Json, required: bool) -> Json {
    shape["required"] = required.into();
    shape
}

fn shape(shape: &Shape) -> Json {
    match shape {
        Shape::Text { min, max, pattern, sensitive } => {
            let (max, pattern) = ((*max != usize::MAX).then_some(max), pattern.map(|pattern| pattern.as_str()));
            json!({"type": "string", "min": min, "max": max, "pattern": pattern, "sensitive": sensitive})
        }
        Shape::Enum(values) => json!({"type": "string", "enum": values}),
        Shape::Blob { min, max, sensitive } => {
            json!({"type": "blob", "min": min, "max": max, "sensitive": sensitive})
        }
        Shape::Integer { min, max } => {
            json!({"type": "integer", "min": i64::try_from(*min).ok(), "max": i64::try_from(*max).ok()})
        }
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Timestamp => json!({"type": "timestamp"}),
        Shape::StringMap => json!({"type": "map", "key": {"type": "string"}, "value": {"type": "string"}}),
        Shape::List { min, max, element } => {
            let max = (*max != usize::MAX).then_some(max);
            json!({"type": "list", "min": min, "max": max, "member": self::shape(element)})
        }
        Shape::Structure(fields) => {
            let field =
                |field: &Field| (field.name.to_owned(), with_required(self::shape(&field.shape), field.required));
            json!({"type": "structure", "members": Json::Object(fields.iter().map(field).collect())})
        }
    }
}
