//! Comparison with the `regex` crate, which no pattern of the library uses.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::string::string_regex;
use regex::Regex;

use super::{ALL, Pattern};

/// Returns the text of the pattern in the syntax of the `regex` crate, with the meaning of Java:
/// classes are ASCII only, and a dot matches no end of a line.
fn translated(pattern: Pattern) -> String {
    [
        (r"\p{ASCII}", "[\\x00-\\x7F]"),
        (r"[\w]", "[0-9A-Za-z_]"),
        (r"[\w+", "[0-9A-Za-z_+"),
        (r"_\s.-]", "_ \\t\\n\\x0B\\f\\r.-]"),
        (r"\d", "[0-9]"),
        (":.+$", ":[^\\n\\r\\x{85}\\x{2028}\\x{2029}]+$"),
        (r"\u0009\u000A\u000D", "\\t\\n\\r"),
        (r"\u0020-\u00FF", "\\x20-\\xFF"),
        (r"\/", "/"),
    ]
    .into_iter()
    .fold(pattern.as_str().to_owned(), |text, (java, here)| text.replace(java, here))
}

/// The patterns with expressions for complete values.
static EXPRESSIONS: LazyLock<Vec<(Pattern, Regex)>> =
    LazyLock::new(|| ALL.iter().map(|pattern| (*pattern, expression(*pattern))).collect());

fn expression(pattern: Pattern) -> Regex {
    let text = translated(pattern);
    assert!(!text.contains(r"\w") && !text.contains(r"\s") && !text.contains(r"\d") && !text.contains(r"\u"), "{text}");
    Regex::new(&format!("^(?:{text})$")).expect("a regular expression")
}

/// The characters at the edges of the classes of all patterns, and some beyond.
const EDGES: &[char] = &[
    'a', 'f', 'g', 'z', 'A', 'F', 'Z', '0', '1', '2', '7', '8', '9', '-', '_', '.', ':', '/', '+', ',', '=', '@', ' ',
    '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{e}', '\0', '\u{1f}', '`', '{', '[', '^', ';', '*', '!', '~', '\u{7f}',
    '\u{85}', '\u{a0}', '\u{ff}', '\u{100}', '\u{660}', 'é', 'ſ', '\u{2028}', '\u{2029}', '🔑',
];

/// Parts of matching values, from which strings close to them are assembled.
const PARTS: &[&str] = &[
    "cluster-",
    "arn:aws:",
    "arn:aws-us-gov:",
    "iam",
    ":",
    "::",
    "111122223333",
    "11112222333",
    "https://",
    "/kms/xks/v1",
    "/kms/xks/v12",
    "/kms/xks/v123",
    "/kms/xks/v",
    "/",
    "com.amazonaws.vpce.",
    "eu.amazonaws.vpce.",
    "us-east-1",
    "us-gov-west-1",
    "us--1",
    "a-b-c-d-1",
    ".vpce-svc-",
    "s3.amazonaws.com",
    "amazonaws",
    ".",
    "..",
    "-",
    "abcdefghijk",
    "abcdefghijklmnop",
    "1",
    "a",
];

/// A single character decides in every class as in the expression.
#[test]
fn classes_are_those_of_the_model() {
    for (pattern, expression) in &*EXPRESSIONS {
        for character in ('\0'..='\u{300}').chain(EDGES.iter().copied()) {
            for value in [character.to_string(), format!("a{character}"), format!("a{character}a")] {
                assert_eq!(pattern.matches(&value), expression.is_match(&value), "{pattern:?} for {value:?}");
            }
        }
        assert_eq!(pattern.matches(""), expression.is_match(""), "{pattern:?} for nothing");
    }
}

fn near_miss(value: &str, at: usize, character: char, edit: u8) -> String {
    let mut characters: Vec<char> = value.chars().collect();
    let at = at % (characters.len() + 1);
    match edit {
        0 => characters.insert(at, character),
        1 if at < characters.len() => characters[at] = character,
        2 if at < characters.len() => _ = characters.remove(at),
        _ => characters.truncate(at),
    }
    characters.into_iter().collect()
}

#[test]
fn values_that_match_the_expression_and_near_misses_decide_the_same() {
    let mut runner = proptest::test_runner::TestRunner::default();
    for (pattern, expression) in &*EXPRESSIONS {
        let text = translated(*pattern);
        let plain = text.replace(['^', '$'], "");
        // A negated class needs its circumflex.
        let plain = plain.replace("[\\n\\r\\x{85}", "[^\\n\\r\\x{85}");
        let values = string_regex(&plain).expect("a regular expression");
        let edits = (values, any::<usize>(), proptest::sample::select(EDGES), 0..4_u8);
        runner
            .run(&edits, |(value, at, character, edit)| {
                prop_assert!(expression.is_match(&value), "{pattern:?} for {value:?}");
                prop_assert!(pattern.matches(&value), "{pattern:?} for {value:?}");
                let other = near_miss(&value, at, character, edit);
                prop_assert_eq!(pattern.matches(&other), expression.is_match(&other), "{:?} for {:?}", pattern, other);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

proptest! {
    #[test]
    fn assembled_values_decide_the_same(parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..9)) {
        let value = parts.concat();
        for (pattern, expression) in &*EXPRESSIONS {
            prop_assert_eq!(pattern.matches(&value), expression.is_match(&value), "{:?} for {:?}", pattern, value);
        }
    }
}
