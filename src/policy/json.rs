//! A JSON tree that rejects duplicate object members.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::parse_error::PolicyParseError;
use crate::json_number::{DigitsOr, NUMBER};
use crate::text::sanitize_for_error;

/// A JSON value. In conditions, numbers and booleans may be used in place of their text form.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses a complete JSON text. The parser itself rejects nesting deeper than 127 levels.
    pub(super) fn parse(text: &str) -> Result<Self, PolicyParseError> {
        serde_json::from_str(text).map_err(|error| PolicyParseError::new(error.to_string()))
    }

    /// Returns the members of an object.
    pub(super) fn members(self) -> Result<Vec<(String, Self)>, PolicyParseError> {
        match self {
            Self::Object(members) => Ok(members),
            other => Err(PolicyParseError::new(format!("must be an object, not {}", other.kind()))),
        }
    }

    /// Returns the value of a string.
    pub(super) fn text(self) -> Result<String, PolicyParseError> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(PolicyParseError::new(format!("must be a string, not {}", other.kind()))),
        }
    }

    /// Returns a single string or a non-empty list of strings.
    pub(super) fn texts(self) -> Result<Vec<String>, PolicyParseError> {
        self.one_or_more()?.into_iter().map(Self::text).collect()
    }

    /// Returns a single value or a non-empty list of values.
    pub(super) fn one_or_more(self) -> Result<Vec<Self>, PolicyParseError> {
        match self {
            Self::List(values) if values.is_empty() => Err(PolicyParseError::new("must not be an empty list")),
            Self::List(values) => Ok(values),
            one => Ok(vec![one]),
        }
    }

    /// Returns the text of a condition value, which may also be a number or a boolean.
    pub(super) fn scalar(self) -> Result<String, PolicyParseError> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Number(number) => Ok(number.to_string()),
            Self::Bool(value) => Ok(value.to_string()),
            other => {
                Err(PolicyParseError::new(format!("must be a string, a number, or a boolean, not {}", other.kind())))
            }
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        serde_json::Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = match object.is_empty() && name == NUMBER {
                true => match members.next_value_seed(DigitsOr(Self))? {
                    Ok(digits) => return digits.parse().map(Json::Number).map_err(A::Error::custom),
                    Err(value) => value,
                },
                false => members.next_value()?,
            };
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("duplicate member '{}' in an object", sanitize_for_error(&name))));
            }
            object.push((name, value));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error, MapDeserializer};

    use super::*;

    /// As `serde_json` presents numbers if another crate enables its feature `arbitrary_precision`.
    #[test]
    fn a_number_of_arbitrary_precision_is_a_number() {
        let read = |digits: &str| {
            let members = [(NUMBER, digits.to_owned())].into_iter();
            Json::deserialize(MapDeserializer::<_, Error>::new(members)).ok().map(Json::scalar)
        };
        assert_eq!(read("5"), Some(Ok("5".to_owned())));
        assert_eq!(read("-1.5"), Some(Ok("-1.5".to_owned())));
        assert_eq!(read("x"), None);
    }

    #[test]
    fn private_names_of_the_parser_are_ordinary_names() -> Result<(), PolicyParseError> {
        for name in [NUMBER, "$serde_json::private::RawValue"] {
            let members = Json::parse(&format!(r#"{{"{name}": "5", "a": {{"{name}": 1}}}}"#))?.members()?;
            assert_eq!(members[0], (name.to_owned(), Json::Text("5".to_owned())));
            assert_eq!(members[1].1, Json::Object(vec![(name.to_owned(), Json::Number(1.into()))]));
        }
        Ok(())
    }
}
