use super::*;
use crate::wire::json::parse;
use crate::wire::rejection::{SERIALIZATION, VALIDATION};

/// Returns the message for a value that an accessor refuses.
fn message<T: fmt::Debug>(value: &str, read: impl Fn(&Object<'_>) -> Result<T, Rejection>) -> String {
    let body = format!("{{\"Member\": {value}}}");
    let object = parse(body.as_bytes()).expect("valid JSON");
    let rejection = read(&object).expect_err("the type is wrong");
    assert_eq!(rejection.code(), SERIALIZATION);
    let message = rejection.message().expect("a message").to_owned();
    assert!(rejection.detail().ends_with(&format!(": {message}")), "{}", rejection.detail());
    assert!(rejection.detail().starts_with("member"), "{}", rejection.detail());
    message
}

/// Recorded answers of several services that share the protocol.
#[test]
fn wrong_types_have_the_texts_of_aws() {
    const LIST: &str = "Start of list found where not expected";
    const STRUCTURE: &str = "Start of structure or map found where not expected.";
    for (value, string, integer, boolean, list, structure, map) in [
        (
            "\"1\"",
            None,
            Some("STRING_VALUE"),
            Some("STRING_VALUE"),
            "Expected list or null",
            "Expected null",
            "Expected map or null",
        ),
        (
            "1",
            Some("NUMBER_VALUE"),
            None,
            Some("NUMBER_VALUE"),
            "Expected list or null",
            "Expected null",
            "Expected map or null",
        ),
        (
            "true",
            Some("TRUE_VALUE"),
            Some("TRUE_VALUE"),
            None,
            "Expected list or null",
            "Expected null",
            "Expected map or null",
        ),
        ("[]", Some(LIST), Some(LIST), Some(LIST), "", LIST, LIST),
        ("{}", Some(STRUCTURE), Some(STRUCTURE), Some(STRUCTURE), STRUCTURE, "", ""),
    ] {
        let full = |found: &str, target: &str| match found.ends_with("_VALUE") {
            true => format!("{found} can not be converted to {target}"),
            false => found.to_owned(),
        };
        if let Some(found) = string {
            assert_eq!(message(value, |object| object.text("Member").map(drop)), full(found, "a String"));
            assert_eq!(message(value, |object| object.blob("Member").map(drop)), full(found, "a Blob"));
        }
        if let Some(found) = integer {
            assert_eq!(message(value, |object| object.integer::<u32>("Member")), full(found, "an Integer"));
            let target = "milliseconds since epoch";
            assert_eq!(message(value, |object| object.timestamp("Member")), full(found, target));
        }
        if let Some(found) = boolean {
            let target = if found == "STRING_VALUE" { "an Boolean" } else { "a Boolean" };
            assert_eq!(message(value, |object| object.boolean("Member")), full(found, target));
        }
        if !list.is_empty() {
            assert_eq!(message(value, |object| object.texts("Member").map(drop)), list);
        }
        if !structure.is_empty() {
            assert_eq!(message(value, |object| object.object("Member").map(drop)), structure);
            assert_eq!(message(value, |object| object.string_map("Member").map(drop)), map);
        }
    }
}

#[test]
fn elements_have_the_type_of_their_list() {
    assert_eq!(
        message("[\"a\", 1]", |object| object.texts("Member").map(drop)),
        "NUMBER_VALUE can not be converted to a String"
    );
    assert_eq!(message("[{}, \"a\"]", |object| object.objects("Member").map(drop)), "Expected null");
    assert_eq!(
        message("{\"a\": null}", |object| object.string_map("Member").map(drop)),
        "NULL_VALUE can not be converted to a String"
    );
    let object = parse(br#"{"Tags": [{}, {}, 7]}"#).expect("valid");
    assert_eq!(object.objects("Tags").expect_err("a number").detail(), "tags.3.member: Expected null");
}

#[test]
fn null_counts_as_absent() {
    let object = parse(br#"{"A": null}"#).expect("valid");
    for name in ["A", "B"] {
        assert_eq!(object.text(name), Ok(None));
        assert_eq!(object.boolean(name), Ok(None));
        assert_eq!(object.integer::<u8>(name), Ok(None));
        assert_eq!(object.timestamp(name), Ok(None));
        assert_eq!(object.blob(name), Ok(None));
        assert_eq!(object.texts(name), Ok(vec![]));
        assert_eq!(object.string_map(name), Ok(None));
        assert!(object.list(name).expect("absent").is_none());
        assert!(object.object(name).expect("absent").is_none());
        assert!(object.objects(name).expect("absent").is_empty());
    }
}

#[test]
fn values_of_the_right_type_are_returned() {
    let body = br#"{"Text": "x", "Flag": false, "Count": 7, "Whole": 1e2, "Blob": "AAEC/w==", "List": ["b", "a"],
        "Tags": [{"TagKey": "k"}], "Map": {"z": "1", "a": ""}, "Structure": {"Inner": "y"}}"#;
    let object = parse(body).expect("valid");
    assert_eq!(object.text("Text"), Ok(Some("x")));
    assert_eq!(object.boolean("Flag"), Ok(Some(false)));
    assert_eq!(object.integer::<u16>("Count"), Ok(Some(7)));
    assert_eq!(object.integer::<u16>("Whole"), Ok(Some(100)));
    assert_eq!(object.blob("Blob").expect("a blob").expect("present").expose_secret(), [0, 1, 2, 255]);
    assert_eq!(object.texts("List"), Ok(vec!["b", "a"]));
    assert_eq!(object.string_map("Map"), Ok(Some(vec![("z", "1"), ("a", "")])));
    assert_eq!(object.objects("Tags").expect("structures")[0].text("TagKey"), Ok(Some("k")));
    assert_eq!(object.object("Structure").expect("an object").expect("present").text("Inner"), Ok(Some("y")));
}

#[test]
fn integers_have_no_fraction_and_fit_their_type() {
    let number = "NUMBER_VALUE can not be converted to an Integer";
    assert_eq!(message("1.5", |object| object.integer::<u32>("Member")), number);
    assert_eq!(message("256", |object| object.integer::<u8>("Member")), "the number is out of range");
    assert_eq!(message("-1", |object| object.integer::<u8>("Member")), "the number is out of range");
    assert_eq!(Number::Float(1e300).as_integer(), Some(i128::MAX));
    assert_eq!(Number::Float(-1e300).as_integer(), Some(i128::MIN));
    assert_eq!(message("1e300", |object| object.integer::<i64>("Member")), "the number is out of range");
    assert_eq!(Number::Float(-0.0).as_integer(), Some(0));
    assert_eq!(Number::Float(1e20).as_integer(), Some(100_000_000_000_000_000_000));
}

#[test]
fn times_are_seconds_with_a_fraction() {
    let time = |text: &str| {
        let body = format!("{{\"ValidTo\": {text}}}");
        parse(body.as_bytes()).expect("valid").timestamp("ValidTo").map(|time| time.expect("present").unix_millis())
    };
    assert_eq!(time("1700000000"), Ok(1_700_000_000_000));
    assert_eq!(time("1700000000.5"), Ok(1_700_000_000_500));
    assert_eq!(time("1.7e9"), Ok(1_700_000_000_000));
    assert_eq!(time("0"), Ok(0));
    assert_eq!(time("-1.5"), Ok(-1500));
    assert_eq!(time("-0.0005"), Ok(-1));
    for millis in [1_699_999_999_001_i64, 1_700_000_000_123, 1_700_000_000_999, 253_402_300_799_999] {
        assert_eq!(time(&format!("{}.{:03}", millis / 1000, millis % 1000)), Ok(millis));
    }
    for text in ["1e300", "-1e300", "9223372036854775807", "1e16"] {
        assert_eq!(
            time(text).expect_err("too far").detail(),
            "validTo: NUMBER_VALUE can not be converted to milliseconds since epoch"
        );
    }
}

/// The text does not repeat the value, unlike that of AWS: it may be a plaintext.
#[test]
fn blobs_are_standard_base64_with_padding() {
    let text = "STRING_VALUE can not be converted to a Blob: it is not base64 with padding";
    for value in ["AAE", "AA=", "AAEC/w", "AA==AA==", "=AAE", "AA E", "AAE\\n", "A-_A", "AAF=AAE=", "AB==", "\u{e9}AAA"]
    {
        assert_eq!(message(&format!("\"{value}\""), |object| object.blob("Member").map(drop)), text, "{value}");
    }
    assert!(parse(br#"{"A": ""}"#).expect("valid").blob("A").expect("a blob").expect("present").is_empty());
}

#[test]
fn debug_shows_no_content() {
    let object = parse(br#"{"Plaintext": "c2VjcmV0", "secret": {"secret": "\u0073ecret"}}"#).expect("valid");
    let mut shown = format!("{object:?}");
    for (name, value) in object.iter() {
        shown += &format!("{value:?} {:?} {:?}", name.len(), Text::Borrowed(name));
    }
    assert!(!shown.contains("secret") && !shown.contains("c2Vj"), "{shown}");
    assert!(shown.starts_with("Object(2 members)"), "{shown}");
}

#[test]
fn names_in_paths_start_in_lower_case() {
    for (name, path) in [("KeyId", "keyId"), ("keyId", "keyId"), ("", ""), ("É", "É"), ("XksKeyId", "xksKeyId")] {
        assert_eq!(lower_camel(name), path);
    }
}

#[test]
fn text_for_the_audit_trail_is_the_message_or_more() {
    assert_eq!(Rejection::malformed("why").detail(), "why");
    assert_eq!(Rejection::invalid("text").detail(), "text");
    assert_eq!(Rejection::invalid("text").code(), VALIDATION);
    assert_eq!(Rejection::wrong_type("text").at("keyId").detail(), "keyId: text");
    assert_eq!(Rejection::wrong_type("text").at("keyId").message(), Some("text"));
    assert_eq!(Rejection::unknown_operation().detail(), "");
}
