//! Numbers as `serde_json` presents them to a visitor if another crate of the program enables its
//! feature `arbitrary_precision`: a map with one member, whose value are the digits.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// The name of that member. A JSON text can contain it too.
pub(crate) const NUMBER: &str = "$serde_json::private::Number";

/// Reads the value of the first member of a map if its name is [`NUMBER`]: `Ok` with the digits of a
/// number, or `Err` with the result of the enclosed visitor for an ordinary value.
///
/// The digits are an owned string. The reader of a slice passes strings of the text in every other
/// way, so that the member of a text is not mistaken for a number.
pub(crate) struct DigitsOr<V>(pub(crate) V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for DigitsOr<V> {
    type Value = Result<String, V::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for DigitsOr<V> {
    type Value = Result<String, V::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_string<E: serde::de::Error>(self, digits: String) -> Result<Self::Value, E> {
        Ok(Ok(digits))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        self.0.visit_unit().map(Err)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.0.visit_bool(value).map(Err)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.0.visit_u64(value).map(Err)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.0.visit_i64(value).map(Err)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.0.visit_f64(value).map(Err)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<Self::Value, E> {
        self.0.visit_borrowed_str(value).map(Err)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
        self.0.visit_str(value).map(Err)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<Self::Value, A::Error> {
        self.0.visit_seq(values).map(Err)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        self.0.visit_map(members).map(Err)
    }
}
