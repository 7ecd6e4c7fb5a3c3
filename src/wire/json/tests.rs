use proptest::prelude::*;
use serde_json::Value as Json;

use super::super::fuzzing::{acceptable_body, parsed_body};
use super::*;
use crate::wire::rejection::SERIALIZATION;

/// Returns the text for the audit trail of a body that is refused without a message.
fn refused(body: impl AsRef<[u8]>) -> String {
    let rejection = parse(body.as_ref()).expect_err("the body is not valid");
    assert_eq!((rejection.code(), rejection.message()), (SERIALIZATION, None));
    rejection.detail().to_owned()
}

fn nested(depth: usize) -> String {
    // The body itself is the first level.
    format!("{{\"a\": {}1{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1))
}

#[test]
fn body_is_one_object_and_nothing_else() {
    assert!(parse(b"{}").is_ok());
    assert!(parse(b" \t\r\n{ \"a\" : 1 } \n").is_ok());
    for body in
        ["", " ", "{", "{}}", "{} {}", "{}x", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\" 1}", "\u{feff}{}", "nul"]
    {
        assert!(refused(body).starts_with("the body is not valid: "), "{body}");
    }
    for body in ["null", "true", "1", "\"text\""] {
        assert_eq!(refused(body), "the body is not a JSON object");
    }
}

/// A recorded answer of AWS, unlike other wrong bodies.
#[test]
fn body_that_is_a_list_has_the_message_of_aws() {
    let rejection = parse(b"[]").expect_err("a list");
    assert_eq!(rejection.code(), SERIALIZATION);
    assert_eq!(rejection.message(), Some("Start of list found where not expected"));
}

#[test]
fn strings_are_valid_unicode() {
    for body in [
        &b"{\"a\": \"\xff\"}"[..],
        b"{\"\xc3\x28\": 1}",
        b"{\"a\": \"\xed\xa0\x80\"}",
        b"{\"a\": \"\xc0\x80\"}",
        b"\xff",
    ] {
        refused(body);
    }
    for body in
        [r#"{"a": "\ud800"}"#, r#"{"a": "\udc00"}"#, r#"{"a": "\ud800\u0041"}"#, r#"{"a": "\u12"}"#, r#"{"a": "\x"}"#]
    {
        refused(body);
    }
    refused("{\"a\": \"\n\"}");
    let body = br#"{"a": "\ud83d\udd11\u0000\/"}"#;
    assert_eq!(parse(body).expect("valid").text("a").expect("a string"), Some("🔑\0/"));
}

#[test]
fn size_is_bounded() {
    let body = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
    assert!(parse(body(MAX_BODY_BYTES).as_bytes()).is_ok());
    assert_eq!(refused(body(MAX_BODY_BYTES + 1)), "the body has 1048577 bytes, more than the maximum of 1048576");
}

#[test]
fn depth_is_bounded() {
    assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert!(refused(nested(MAX_DEPTH + 1)).contains("it is nested deeper than 32 levels"));
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let body = format!("{{\"a\":{}", open.repeat(MAX_BODY_BYTES / 8));
        assert!(refused(body).contains("it is nested deeper than 32 levels"));
    }
}

#[test]
fn number_of_values_is_bounded() {
    let list = |count: usize| format!("{{\"a\":[{}]}}", vec!["0"; count].join(","));
    assert!(parse(list(MAX_VALUES - 1).as_bytes()).is_ok());
    assert!(refused(list(MAX_VALUES)).contains("it has more than 10000 values"));
    let members: Vec<String> = (0..=MAX_VALUES).map(|number| format!("\"{number}\":0")).collect();
    assert!(parse(format!("{{{}}}", members[1..].join(",")).as_bytes()).is_ok());
    assert!(refused(format!("{{{}}}", members.join(","))).contains("it has more than 10000 values"));
}

#[test]
fn two_members_of_the_same_name_are_refused() {
    for body in [
        r#"{"KeyId": "a", "KeyId": "a"}"#,
        r#"{"KeyId": "a", "KeyI\u0064": "b"}"#,
        r#"{"KeyId": null, "KeyId": "b"}"#,
        r#"{"Unknown": [{"a": 1, "b": 2, "a": 3}]}"#,
        r#"{"EncryptionContext": {"secret": "1", "secret": "2"}}"#,
    ] {
        let detail = refused(body);
        assert!(detail.contains("an object has two members of the same name"), "{detail}");
        assert!(!detail.contains("secret"), "{detail}");
    }
    assert!(parse(r#"{"KeyId": 1, "keyId": 2, "a": {"KeyId": 3}}"#.as_bytes()).is_ok());
}

#[test]
fn integers_are_exact_and_other_numbers_finite() {
    let number = |text: &str| match parse(format!("{{\"a\":{text}}}").as_bytes()).expect("valid").get("a") {
        Some(Value::Number(number)) => *number,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(number("18446744073709551615"), Number::Integer(u64::MAX.into()));
    assert_eq!(number("-9223372036854775808"), Number::Integer(i64::MIN.into()));
    assert_eq!(number("9007199254740993"), Number::Integer(9_007_199_254_740_993));
    assert_eq!(number("1e2"), Number::Float(100.0));
    assert_eq!(number("18446744073709551616"), Number::Float(18_446_744_073_709_551_616.0));
    for text in ["1e400", "-1e400", "01", "+1", "1.", ".5", "0x10", "NaN", "Infinity", "1_000"] {
        refused(format!("{{\"a\":{text}}}"));
    }
}

/// The form in which the parser presents numbers if another crate enables `arbitrary_precision`: a
/// map with one member, whose value is an owned string.
#[test]
fn numbers_of_arbitrary_precision_are_numbers() {
    let number = |digits: &str| {
        let members = [(NUMBER, digits.to_owned())].into_iter();
        let presented = serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(members);
        let value = Level { depth: 0, remaining: &Cell::new(1) }.deserialize(presented).ok()?;
        match value {
            Value::Number(number) => Some(number),
            other => panic!("{digits}: {other:?}"),
        }
    };
    assert_eq!(number("18446744073709551615"), Some(Number::Integer(u64::MAX.into())));
    assert_eq!(number("-7"), Some(Number::Integer(-7)));
    assert_eq!(number("-1.5e1"), Some(Number::Float(-15.0)));
    assert_eq!(number("1e400"), None);
    assert_eq!(number("x"), None);
}

/// Names that `serde_json` reserves for itself are ordinary names in a body.
#[test]
fn private_names_of_the_parser_are_ordinary_names() {
    for name in [NUMBER, "$serde_json::private::RawValue"] {
        for value in [r#""5""#, r#""5\u0030""#, "5", "-5", "1.5", "null", "true", r#"{"b": 1}"#, r#"["5"]"#] {
            let body = format!(r#"{{"a": {{"{name}": {value}, "c": 2}}, "d": [{{"{name}": {value}}}]}}"#);
            let object = parse(body.as_bytes()).expect("valid");
            let inner = object.object("a").expect("an object").expect("present");
            assert_eq!(inner.iter().map(|(name, _)| name).collect::<Vec<_>>(), [name, "c"], "{body}");
            assert_eq!(inner.integer("c"), Ok(Some(2)));
            let expected =
                format!("{:?}", parse(format!(r#"{{"x": {value}}}"#).as_bytes()).expect("valid").iter().next());
            let read = format!("{:?}", inner.iter().next());
            assert_eq!(read.replace(name, "x"), expected);
            let listed = object.objects("d").expect("a list of objects");
            assert_eq!(listed[0].iter().next().map(|(name, _)| name), Some(name), "{body}");
            compare(body.as_bytes());
        }
        let twice = format!(r#"{{"a": {{"{name}": "1", "{name}": "2"}}}}"#);
        assert!(refused(twice).contains("two members of the same name"));
        let body = format!(r#"{{"{name}": "{{}}"}}"#);
        assert_eq!(parse(body.as_bytes()).expect("valid").text(name), Ok(Some("{}")));
    }
}

#[test]
fn strings_without_escapes_are_not_copied() {
    let body = br#"{"Plain": "c2VjcmV0", "Escaped": "a\/b"}"#;
    let object = parse(body).expect("valid");
    let place = |name| object.text(name).expect("a string").expect("present").as_ptr();
    assert!(body.as_ptr_range().contains(&place("Plain")));
    assert!(!body.as_ptr_range().contains(&place("Escaped")));
}

/// Requires the verdict of `serde_json`, within the limits and for names that differ.
fn compare(body: &[u8]) {
    assert_eq!(parsed_body(body), acceptable_body(body), "{}", String::from_utf8_lossy(body));
}

fn trees() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::String),
    ];
    scalar.prop_recursive(8, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Writes all characters of strings as escapes.
fn escaped(text: &str) -> String {
    let unit = |unit: u16| format!("\\u{unit:04x}");
    let mut inside = false;
    let escape = |character: char| {
        inside ^= character == '"';
        let other = inside && character.is_alphanumeric() || !character.is_ascii();
        if other {
            character.encode_utf16(&mut [0; 2]).iter().copied().map(unit).collect()
        } else {
            character.to_string()
        }
    };
    text.chars().map(escape).collect()
}

proptest! {
    #[test]
    fn bodies_are_read_as_by_serde_json(tree in trees()) {
        let body = serde_json::json!({"a": tree}).to_string();
        prop_assert!(parse(body.as_bytes()).is_ok());
        compare(body.as_bytes());
        if !body.contains('\\') {
            compare(escaped(&body).as_bytes());
        }
    }

    #[test]
    fn damaged_bodies_are_judged_as_by_serde_json(
        tree in trees(), at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut body = serde_json::json!({"a": tree}).to_string().into_bytes();
        let at = at.index(body.len());
        if cut { _ = body.remove(at) } else { body[at] = byte }
        compare(&body);
    }

    #[test]
    fn any_bytes_are_judged_as_by_serde_json(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        compare(&bytes);
    }
}
