//! The model of AWS KMS in botocore: the table of operations and members is the same.

use std::process::Command;

use serde_json::{Map, Value};
use strongroom::fuzzing::request_shapes;

use crate::support::external_tools;

/// Returns the requests of the model, in the form of [`request_shapes`].
fn model(test: &str) -> Option<Value> {
    let python = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has botocore")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/aws_model.py");
    let output = Command::new(python).arg(script).env("PYTHONUTF8", "1").output().expect("python starts");
    assert!(output.status.success(), "the script failed: {}", String::from_utf8_lossy(&output.stderr));
    let model: Value = serde_json::from_slice(&output.stdout).expect("the script prints JSON");
    println!("{test}: the model of botocore {}", model["botocore"]);
    Some(model["operations"].clone())
}

/// Collects the differences between two values, each with its place.
fn differences(place: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            let added = other.keys().filter(|name| !one.contains_key(*name));
            for name in one.keys().chain(added) {
                differences(&format!("{place}.{name}"), &ours[name.as_str()], &theirs[name.as_str()], found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{place}: the table has {ours}, the model {theirs}")),
    }
}

/// The pattern of identifiers of keys, which AWS KMS reports although the model lacks it.
const KEY_ID_PATTERN: &str = r"^\p{ASCII}+$";

/// Removes the pattern of identifiers of keys.
fn without_added_pattern(mut shapes: Value) -> Value {
    let mut removed = 0;
    for members in shapes.as_object_mut().expect("operations").values_mut() {
        for name in ["KeyId", "SourceKeyId", "DestinationKeyId", "TargetKeyId"] {
            if let Some(member) = members.get_mut(name) {
                assert_eq!(member["pattern"].take(), KEY_ID_PATTERN, "{name}");
                removed += 1;
            }
        }
    }
    assert!(removed > 40, "{removed}");
    shapes
}

#[test]
fn every_operation_and_member_is_that_of_the_model() {
    let Some(model) = model("every_operation_and_member_is_that_of_the_model") else { return };
    let ours = without_added_pattern(request_shapes());
    let mut found = Vec::new();
    differences("", &ours, &model, &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
    let members: usize =
        ours.as_object().expect("operations").values().filter_map(Value::as_object).map(Map::len).sum();
    assert_eq!((ours.as_object().map(Map::len), members), (Some(56), 225));
}

/// The comparison notices a difference in any property.
#[test]
fn a_difference_is_noticed() {
    let ours = request_shapes();
    for (pointer, value) in [
        ("/Encrypt/KeyId/required", Value::from(false)),
        ("/Encrypt/Plaintext/max", Value::from(4097)),
        ("/CreateAlias/AliasName/pattern", Value::from("")),
        ("/CreateKey/Tags/member/members/TagKey/min", Value::from(0)),
        ("/CreateKey/KeySpec/enum/0", Value::from("RSA_1024")),
        ("/CreateCustomKeyStore/KeyStorePassword/sensitive", Value::from(false)),
        ("/DescribeKey/GrantTokens", Value::Null),
    ] {
        let mut other = ours.clone();
        *other.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is in the table")) = value;
        let mut found = Vec::new();
        differences("", &ours, &other, &mut found);
        assert_eq!(found.len(), 1, "{pointer}: {found:?}");
    }
}
