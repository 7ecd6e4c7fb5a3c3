//! The patterns of the parameter store.

use super::{Pattern, Rule};

pub(in crate::wire::constraints) const KEY_ID: Pattern = Pattern {
    text: "^([a-zA-Z0-9:/_-]+)$",
    rule: Rule::Some(&['a'..='z', 'A'..='Z', '0'..='9', ':'..=':', '/'..='/', '_'..='_', '-'..='-']),
};
pub(in crate::wire::constraints) const FILTER_KEY: Pattern =
    Pattern { text: "^(tag:.+|Name|Type|KeyId|Path|Label|Tier|DataType)$", rule: Rule::Special(is_filter_key) };
pub(in crate::wire::constraints) const TAG: Pattern =
    Pattern { text: r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", rule: Rule::Special(is_tag) };

fn is_filter_key(value: &str) -> bool {
    const NAMES: [&str; 7] = ["Name", "Type", "KeyId", "Path", "Label", "Tier", "DataType"];
    let is_tag = |tag: &str| !tag.is_empty() && !tag.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
    NAMES.contains(&value) || value.strip_prefix("tag:").is_some_and(is_tag)
}

/// Also accepts the marks that Unicode counts among the alphabetic characters, such as vowel signs.
/// The standard library has no tables of general categories.
fn is_tag(value: &str) -> bool {
    let is_allowed = |character: char| {
        character.is_alphabetic()
            || character.is_numeric()
            || (character.is_whitespace() && !character.is_control())
            || "_.:/=+-@".contains(character)
    };
    value.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_decide_for_the_whole_value() {
        for (pattern, good, bad) in [
            (KEY_ID, vec!["alias/aws/ssm", "arn:aws:kms:local:000000000000:key/1-2"], vec!["", "a b", "a.b", "é"]),
            (FILTER_KEY, vec!["Name", "tag:x", "tag:a b"], vec!["", "tag:", "name", "Names", "tag:\n"]),
            (TAG, vec!["", "team", "größe 1", "a_.:/=+-@", "数"], vec!["a!", "\t", "a\nb", "<"]),
        ] {
            assert!(good.iter().all(|value| pattern.matches(value)), "{pattern:?}");
            assert!(!bad.iter().any(|value| pattern.matches(value)), "{pattern:?}");
        }
    }
}
