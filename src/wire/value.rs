//! The parsed body of a request: a tree that borrows from the body, with typed accessors.
//!
//! | JSON type | accessor |
//! |---|---|
//! | string | [`Object::text`] |
//! | string in base64 | [`Object::blob`] |
//! | number | [`Object::integer`], [`Object::timestamp`] (seconds since 1970) |
//! | `true` or `false` | [`Object::boolean`] |
//! | array | [`Object::list`], [`Object::texts`], [`Object::objects`] |
//! | object | [`Object::object`], [`Object::string_map`] |
//!
//! A member that is `null` counts as absent, as in AWS KMS. A value of the wrong type is refused
//! with the text of AWS.

use std::borrow::Cow;
use std::fmt;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::rejection::Rejection;
use crate::clock::Timestamp;
use crate::secret::SecretBytes;

/// A JSON value.
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text<'a>),
    List(Vec<Value<'a>>),
    Object(Object<'a>),
}

/// A JSON number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// A number without fraction and exponent, exactly.
    Integer(i128),
    /// Any other number; always finite.
    Float(f64),
}

/// A JSON string: a part of the body or, if it has escapes, a copy that is wiped when dropped. The
/// buffer in which the parser resolves escapes is not wiped.
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Unescaped(Zeroizing<String>),
}

/// A JSON object, whose members have different names.
pub(super) struct Object<'a> {
    members: Vec<(Text<'a>, Value<'a>)>,
}

impl Text<'_> {
    /// Returns the characters.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Unescaped(text) => text,
        }
    }
}

/// Shows no characters, which may be secret.
impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.as_str().len())
    }
}

/// Shows only the type.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Bool(_) => "Bool",
            Self::Number(_) => "Number",
            Self::Text(_) => "Text",
            Self::List(_) => "List",
            Self::Object(_) => "Object",
        })
    }
}

/// Shows only the number of members.
impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} members)", self.members.len())
    }
}

impl Number {
    /// Returns the integer, if the number is one. A float counts if it has no fraction; one beyond
    /// the range becomes the end of the range.
    pub(super) fn as_integer(self) -> Option<i128> {
        match self {
            Self::Integer(value) => Some(value),
            Self::Float(value) if value.fract() == 0.0 => {
                let end = if value < 0.0 { i128::MIN } else { i128::MAX };
                // Every integral float has an exact decimal form without a point.
                Some(format!("{value:.0}").parse().unwrap_or(end))
            }
            Self::Float(_) => None,
        }
    }

    /// Returns the number of milliseconds in this number of seconds, rounded toward the past.
    fn to_unix_millis(self) -> Option<i64> {
        match self {
            Self::Integer(seconds) => i64::try_from(seconds.checked_mul(1000)?).ok(),
            // Rounds to a microsecond first, because most fractions have no exact binary form.
            Self::Float(seconds) => {
                let micros: i128 = format!("{:.0}", seconds * 1e6).parse().ok()?;
                i64::try_from(micros.div_euclid(1000)).ok()
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

impl Value<'_> {
    /// Returns the characters of a string.
    pub(super) fn as_text(&self) -> Result<&str, Rejection> {
        match self {
            Self::Text(text) => Ok(text.as_str()),
            other => Err(other.not_a("a String")),
        }
    }

    /// Returns the value of `true` or `false`.
    pub(super) fn as_bool(&self) -> Result<bool, Rejection> {
        match self {
            Self::Bool(value) => Ok(*value),
            // AWS has this article for strings only.
            Self::Text(_) => Err(self.not_a("an Boolean")),
            other => Err(other.not_a("a Boolean")),
        }
    }

    /// Returns an integer. Its bounds are a matter of the constraints.
    pub(super) fn as_integer(&self) -> Result<i128, Rejection> {
        match self {
            Self::Number(number) => number.as_integer().ok_or_else(|| self.not_a("an Integer")),
            other => Err(other.not_a("an Integer")),
        }
    }

    /// Returns a time, which JSON specifies in seconds since 1970, possibly with a fraction. Digits
    /// beyond milliseconds are dropped.
    pub(super) fn as_timestamp(&self) -> Result<Timestamp, Rejection> {
        match self {
            Self::Number(number) => {
                let millis = number.to_unix_millis().ok_or_else(|| self.not_a("milliseconds since epoch"))?;
                Ok(Timestamp::from_unix_millis(millis))
            }
            other => Err(other.not_a("milliseconds since epoch")),
        }
    }

    /// Returns the bytes of a blob: standard base64 with padding (RFC 4648, section 4).
    pub(super) fn to_blob(&self) -> Result<SecretBytes, Rejection> {
        let Self::Text(text) = self else { return Err(self.not_a("a Blob")) };
        let bytes = Base64::decode_vec(text.as_str()).map_err(|_| {
            Rejection::wrong_type("STRING_VALUE can not be converted to a Blob: it is not base64 with padding")
        })?;
        Ok(SecretBytes::from_vec(bytes))
    }

    /// Returns the elements of an array.
    pub(super) fn as_list(&self) -> Result<&[Self], Rejection> {
        match self {
            Self::List(values) => Ok(values),
            Self::Object(_) => Err(Rejection::wrong_type(MISPLACED_STRUCTURE)),
            _ => Err(Rejection::wrong_type("Expected list or null")),
        }
    }

    /// Returns the error for a value of another type than a scalar.
    fn not_a(&self, target: &str) -> Rejection {
        let found = match self {
            Self::Null => "NULL_VALUE",
            Self::Bool(true) => "TRUE_VALUE",
            Self::Bool(false) => "FALSE_VALUE",
            Self::Number(_) => "NUMBER_VALUE",
            Self::Text(_) => "STRING_VALUE",
            Self::List(_) => return Rejection::wrong_type(MISPLACED_LIST),
            Self::Object(_) => return Rejection::wrong_type(MISPLACED_STRUCTURE),
        };
        Rejection::wrong_type(format!("{found} can not be converted to {target}"))
    }
}

/// Texts of AWS for an array or object in a wrong place.
const MISPLACED_LIST: &str = "Start of list found where not expected";
const MISPLACED_STRUCTURE: &str = "Start of structure or map found where not expected.";

impl<'a> Value<'a> {
    /// Returns the members of an object that is a structure of the model.
    pub(super) fn as_structure(&self) -> Result<&Object<'a>, Rejection> {
        self.as_object("Expected null")
    }

    /// Returns the members of an object that is a map of the model.
    pub(super) fn as_map(&self) -> Result<&Object<'a>, Rejection> {
        self.as_object("Expected map or null")
    }

    fn as_object(&self, otherwise: &'static str) -> Result<&Object<'a>, Rejection> {
        match self {
            Self::Object(object) => Ok(object),
            Self::List(_) => Err(Rejection::wrong_type(MISPLACED_LIST)),
            _ => Err(Rejection::wrong_type(otherwise)),
        }
    }
}

impl<'a> Object<'a> {
    /// Creates an object. The caller has checked that all names differ.
    pub(super) const fn new(members: Vec<(Text<'a>, Value<'a>)>) -> Self {
        Self { members }
    }

    /// Returns all members in the order of the body, including those that are `null`.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value<'a>)> {
        self.members.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns a member, unless it is absent or `null`.
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let (_, value) = self.members.iter().find(|(member, _)| member.as_str() == name)?;
        (!matches!(value, Value::Null)).then_some(value)
    }

    /// Returns the characters of a member.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Rejection> {
        self.read(name, Value::as_text)
    }

    /// Returns the value of a boolean member.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Rejection> {
        self.read(name, Value::as_bool)
    }

    /// Returns a number. A value outside the range of `T` is refused like a wrong type; the
    /// constraints of the member are narrower.
    pub(super) fn integer<T: TryFrom<i128>>(&self, name: &str) -> Result<Option<T>, Rejection> {
        self.read(name, |value| {
            T::try_from(value.as_integer()?).map_err(|_| Rejection::wrong_type("the number is out of range"))
        })
    }

    /// Returns a time.
    pub(super) fn timestamp(&self, name: &str) -> Result<Option<Timestamp>, Rejection> {
        self.read(name, Value::as_timestamp)
    }

    /// Returns the decoded bytes of a blob.
    pub(super) fn blob(&self, name: &str) -> Result<Option<SecretBytes>, Rejection> {
        self.read(name, Value::to_blob)
    }

    /// Returns the elements of a list.
    pub(super) fn list(&self, name: &str) -> Result<Option<&[Value<'a>]>, Rejection> {
        self.read(name, Value::as_list)
    }

    /// Returns the elements of a list of strings; none if the member is absent.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, Rejection> {
        self.elements(name, Value::as_text)
    }

    /// Returns the elements of a list of structures; none if the member is absent.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<&Self>, Rejection> {
        self.elements(name, Value::as_structure)
    }

    /// Returns a structure.
    pub(super) fn object(&self, name: &str) -> Result<Option<&Self>, Rejection> {
        self.read(name, Value::as_structure)
    }

    /// Returns the names and values of a map of strings, in the order of the body.
    pub(super) fn string_map(&self, name: &str) -> Result<Option<Vec<(&str, &str)>>, Rejection> {
        let Some(map) = self.read(name, Value::as_map)? else { return Ok(None) };
        let pairs = map.iter().map(|(key, value)| Ok((key, value.as_text()?))).collect::<Result<_, Rejection>>();
        pairs.map(Some).map_err(|rejection| rejection.at(&lower_camel(name)))
    }

    /// Reads a member with a conversion, and adds its path to an error.
    fn read<'s, T>(
        &'s self,
        name: &str,
        convert: impl FnOnce(&'s Value<'a>) -> Result<T, Rejection>,
    ) -> Result<Option<T>, Rejection> {
        self.get(name).map(convert).transpose().map_err(|rejection| rejection.at(&lower_camel(name)))
    }

    fn elements<'s, T>(
        &'s self,
        name: &str,
        convert: impl Fn(&'s Value<'a>) -> Result<T, Rejection>,
    ) -> Result<Vec<T>, Rejection> {
        let values = self.list(name)?.unwrap_or_default();
        let element = |(at, value)| {
            convert(value).map_err(|rejection| rejection.at(&format!("{}.{}.member", lower_camel(name), at + 1)))
        };
        values.iter().enumerate().map(element).collect()
    }
}

/// Returns the name of a member as in error texts of AWS: with a lower-case first letter.
pub(super) fn lower_camel(name: &str) -> Cow<'_, str> {
    match name.chars().next() {
        Some(first) if first.is_ascii_uppercase() => {
            Cow::Owned(format!("{}{}", first.to_ascii_lowercase(), &name[1..]))
        }
        _ => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests;
