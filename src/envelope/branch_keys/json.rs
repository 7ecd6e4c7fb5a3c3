//! Items in the JSON of DynamoDB.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64ct::{Base64, Encoding};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::item::{BranchKeyItem, HIERARCHY_VERSION, WRAPPED_KEY, invalid};
use crate::error::{Error, ErrorKind, Result};

/// The longest item in bytes.
const MAX_ITEM: usize = 64 << 10;

/// The longest answer in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// A value with its type.
#[derive(serde::Deserialize, serde::Serialize)]
enum AttributeValue<'a> {
    #[serde(borrow)]
    S(Cow<'a, str>),
    #[serde(borrow)]
    N(Cow<'a, str>),
    #[serde(borrow)]
    B(Cow<'a, str>),
}

/// The attributes of an item, each with a different name.
struct Attributes<'a>(BTreeMap<String, AttributeValue<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Attributes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Attributes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the attributes of an item")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut all = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if all.insert(name, value).is_some() {
                        return Err(M::Error::custom("an attribute occurs twice"));
                    }
                }
                Ok(Attributes(all))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

/// An answer to Query or Scan.
#[derive(serde::Deserialize)]
struct Answer<'a> {
    #[serde(rename = "Items", borrow)]
    items: Vec<Attributes<'a>>,
    #[serde(rename = "LastEvaluatedKey", default)]
    last_evaluated_key: Option<serde::de::IgnoredAny>,
    /// Written by the AWS CLI in the place of the key, with `--max-items`.
    #[serde(rename = "NextToken", default)]
    next_token: Option<serde::de::IgnoredAny>,
    #[serde(rename = "Count", default)]
    count: Option<usize>,
}

/// Returns the error for text that is not such JSON. Its cause states the position.
fn malformed(error: &serde_json::Error) -> Error {
    let text =
        format!("an item of a branch key is not JSON of DynamoDB: line {}, column {}", error.line(), error.column());
    Error::new(ErrorKind::Validation, text)
}

fn to_item(attributes: Attributes<'_>) -> Result<BranchKeyItem> {
    let (mut texts, mut wrapped_key) = (BTreeMap::new(), None);
    for (name, value) in attributes.0 {
        match value {
            AttributeValue::B(value) if name == WRAPPED_KEY => wrapped_key = Some(value),
            AttributeValue::N(value) if name == HIERARCHY_VERSION => drop(texts.insert(name, value.into_owned())),
            AttributeValue::S(value) if name != HIERARCHY_VERSION => drop(texts.insert(name, value.into_owned())),
            _ => return Err(invalid("an attribute has another type")),
        }
    }
    let wrapped_key = wrapped_key.ok_or_else(|| invalid("an attribute is missing"))?;
    let wrapped_key = Base64::decode_vec(&wrapped_key).map_err(|_| invalid("its wrapped key is not Base64"))?;
    BranchKeyItem::new(texts, wrapped_key)
}

fn too_long() -> Error {
    invalid("it is longer than 64 KiB")
}

impl BranchKeyItem {
    /// Parses an item in the JSON of DynamoDB.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if it is not JSON of at most 64 KiB, not an item of a branch key,
    ///   or of a hierarchy version other than 1.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        if json.len() > MAX_ITEM {
            return Err(too_long());
        }
        to_item(serde_json::from_slice(json).map_err(|error| malformed(&error))?)
    }

    /// Parses the items in an answer of DynamoDB, for example the output of `aws dynamodb query`.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if it is not JSON of at most 64 MiB, if it is not an answer with
    ///   `Items`, if it is incomplete (a `LastEvaluatedKey`, a `NextToken`, or a `Count` of more items),
    ///   or if an item is invalid.
    pub fn list_from_json(json: &[u8]) -> Result<Vec<Self>> {
        if json.len() > MAX_ANSWER {
            return Err(invalid("the answer of DynamoDB is longer than 64 MiB"));
        }
        let answer: Answer<'_> = serde_json::from_slice(json).map_err(|error| malformed(&error))?;
        if answer.last_evaluated_key.is_some() || answer.next_token.is_some() {
            return Err(invalid("the answer of DynamoDB continues on another page"));
        }
        if answer.count.is_some_and(|count| count != answer.items.len()) {
            return Err(invalid("the answer of DynamoDB does not contain the items that it counts"));
        }
        answer.items.into_iter().map(to_item).collect()
    }

    /// Returns the item in the JSON of DynamoDB, with its attributes in the order of their names.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if the item is longer than 64 KiB.
    pub fn to_json(&self) -> Result<String> {
        let value = |name: &str, text| match name {
            HIERARCHY_VERSION => AttributeValue::N(Cow::Borrowed(text)),
            _ => AttributeValue::S(Cow::Borrowed(text)),
        };
        let mut all: BTreeMap<&str, AttributeValue<'_>> =
            self.attributes.iter().map(|(name, text)| (name.as_str(), value(name, text.as_str()))).collect();
        all.insert(WRAPPED_KEY, AttributeValue::B(Base64::encode_string(self.wrapped_key()).into()));
        let json = serde_json::to_string(&all).map_err(|error| {
            Error::new(ErrorKind::Internal, "an item of a branch key cannot be written as JSON").with_source(error)
        })?;
        if json.len() > MAX_ITEM {
            return Err(too_long());
        }
        Ok(json)
    }
}

#[cfg(test)]
mod tests;
