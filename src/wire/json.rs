//! Parses the body of a request: JSON (RFC 8259) in UTF-8, of bounded size, depth and number of
//! values.
//!
//! An object with two members of the same name is refused: the specification leaves the meaning
//! open, parsers disagree about it, and a proxy that inspects requests must read the same request
//! as the KMS. The documentation of AWS does not describe it, and no client sends it.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::rejection::Rejection;
use super::value::{Number, Object, Text, Value};
use crate::json_number::{DigitsOr, NUMBER};

/// The longest accepted body in bytes. The largest member is a policy of 131,072 characters, which
/// some clients write as escapes of six bytes each.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;

/// The deepest accepted nesting. Requests of the model need four levels.
pub(super) const MAX_DEPTH: usize = 32;

/// The largest accepted number of values in a body: members and elements of all levels.
pub(super) const MAX_VALUES: usize = 10_000;

/// Parses a complete body, which must be an object.
pub(super) fn parse(body: &[u8]) -> Result<Object<'_>, Rejection> {
    if body.len() > MAX_BODY_BYTES {
        let text = format!("the body has {} bytes, more than the maximum of {MAX_BODY_BYTES}", body.len());
        return Err(Rejection::malformed(text));
    }
    let remaining = Cell::new(MAX_VALUES);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Level { depth: 0, remaining: &remaining }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    match value.map_err(|error| Rejection::malformed(format!("the body is not valid: {error}")))? {
        Value::Object(object) => Ok(object),
        other @ Value::List(_) => Err(other.as_structure().err().unwrap_or_else(not_an_object)),
        _ => Err(not_an_object()),
    }
}

fn not_an_object() -> Rejection {
    Rejection::malformed("the body is not a JSON object")
}

/// Reads one value at a depth, within the limits of the body.
#[derive(Clone, Copy)]
struct Level<'n> {
    depth: usize,
    remaining: &'n Cell<usize>,
}

impl Level<'_> {
    /// Counts a member or element.
    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let remaining = self.remaining.get().checked_sub(1);
        self.remaining.set(remaining.ok_or_else(|| E::custom(format_args!("it has more than {MAX_VALUES} values")))?);
        Ok(())
    }

    /// Returns the level inside a list or object.
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > MAX_DEPTH {
            return Err(E::custom(format_args!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(Number::Integer(value.into())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(Number::Integer(value.into())))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value<'de>, E> {
        if value.is_finite() { Ok(Value::Number(Number::Float(value))) } else { Err(E::custom("number out of range")) }
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Text::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(unescaped(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value<'de>, A::Error> {
        let inside = self.inside()?;
        let mut list = Vec::new();
        while let Some(value) = values.next_element_seed(inside)? {
            self.count()?;
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value<'de>, A::Error> {
        let inside = self.inside()?;
        let mut object: Vec<(Text<'de>, Value<'de>)> = Vec::new();
        while let Some(name) = members.next_key_seed(Name)? {
            self.count()?;
            if object.is_empty() && name.as_str() == NUMBER {
                match members.next_value_seed(DigitsOr(inside))? {
                    Ok(digits) => return number(&digits).map(Value::Number),
                    Err(value) => object.push((name, value)),
                }
                continue;
            }
            object.push((name, members.next_value_seed(inside)?));
        }
        let mut names = HashSet::with_capacity(object.len());
        if object.iter().all(|(name, _)| names.insert(name.as_str())) {
            return Ok(Value::Object(Object::new(object)));
        }
        Err(A::Error::custom("an object has two members of the same name"))
    }
}

/// Parses the digits of a number, for the feature `arbitrary_precision` of `serde_json`.
fn number<E: serde::de::Error>(digits: &str) -> Result<Number, E> {
    let integer = digits.parse::<u64>().map(i128::from).or_else(|_| digits.parse::<i64>().map(i128::from));
    if let Ok(value) = integer {
        return Ok(Number::Integer(value));
    }
    let value: f64 = digits.parse().map_err(E::custom)?;
    if value.is_finite() { Ok(Number::Float(value)) } else { Err(E::custom("number out of range")) }
}

fn unescaped<'de>(text: &str) -> Text<'de> {
    Text::Unescaped(Zeroizing::new(text.to_owned()))
}

/// The name of a member.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Text<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Text<'de>, E> {
        Ok(Text::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Text<'de>, E> {
        Ok(unescaped(value))
    }
}

#[cfg(test)]
mod tests;
