//! Maps of strings in JSON: encryption contexts, material descriptions, and instruction files.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::context::EncryptionContext;

/// Parses a JSON object of strings. Returns `None` for anything else, and if a name occurs twice.
pub(super) fn parse(text: &[u8]) -> Option<BTreeMap<String, String>> {
    serde_json::from_slice::<UniquePairs>(text).ok().map(|pairs| pairs.0)
}

/// Writes a JSON object in ASCII. S3 would encode other characters, and not every client reverses
/// that.
pub(super) fn write<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: BTreeMap<&str, &str> = pairs.collect();
    // Strings can always be serialized.
    let text = serde_json::to_string(&pairs).unwrap_or_default();
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

/// Converts a parsed map.
pub(super) fn to_context(pairs: BTreeMap<String, String>) -> EncryptionContext {
    pairs.into_iter().collect()
}

/// A map whose names are all different, which `serde_json` does not check.
struct UniquePairs(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for UniquePairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = UniquePairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniquePairs, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if pairs.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name occurs twice"));
                    }
                }
                Ok(UniquePairs(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_maps_are_ascii_and_read_back() {
        let context = EncryptionContext::from([("Straße", "日本 \u{1F511}"), ("a", "\"\\\n")]);
        let text = write(context.iter());
        assert!(text.is_ascii(), "{text}");
        assert_eq!(text, r#"{"Stra\u00dfe":"\u65e5\u672c \ud83d\udd11","a":"\"\\\n"}"#);
        assert_eq!(parse(text.as_bytes()).map(to_context), Some(context));
    }

    #[test]
    fn only_objects_of_strings_with_different_names_are_accepted() {
        assert_eq!(parse(b"{}"), Some(BTreeMap::new()));
        for text in ["", "[]", "null", "{", r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":"b","a":"b"}"#, r#"{"a":"b"} x"#] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
