use super::*;
use crate::context::EncryptionContext;
use crate::envelope::branch_keys::item::{MAX_WRAPPED_KEY, Role};
use crate::envelope::branch_keys::key::{BranchKeyVersion, MAX_BRANCH_KEY_ID};

const ITEM: &str = r#"{"aws-crypto-ec:department": {"S": "accounting"}, "branch-key-id": {"S": "tenant-42"},
    "create-time": {"S": "2026-11-30T09:26:53.000123Z"}, "enc": {"B": "AQID"}, "hierarchy-version": {"N": "1"},
    "kms-arn": {"S": "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"},
    "type": {"S": "branch:ACTIVE"}, "version": {"S": "branch:version:1234abcd-12ab-34cd-56ef-1234567890ab"}}"#;

fn parsed(json: &str) -> Result<BranchKeyItem> {
    BranchKeyItem::from_json(json.as_bytes())
}

#[test]
fn an_item_is_read_and_written() {
    let item = parsed(ITEM).unwrap();
    let version = BranchKeyVersion::parse("1234abcd-12ab-34cd-56ef-1234567890ab").unwrap();
    assert_eq!(
        (item.branch_key_id(), item.role(), item.wrapped_key()),
        ("tenant-42", Role::Active(version), &[1, 2, 3][..])
    );
    assert_eq!(item.context(), EncryptionContext::from([("department", "accounting")]));
    assert_eq!(item.own_binding("keys").get("tablename"), Some("keys"));
    assert_eq!(item.own_binding("keys").get("hierarchy-version"), Some("1"));
    assert_eq!(item.own_binding("keys").len(), 8);
    assert_eq!(parsed(&item.to_json().unwrap()).unwrap(), item);
}

#[test]
fn attributes_of_another_role_replace_type_time_and_version() {
    let item = parsed(ITEM).unwrap();
    let beacon = item.attributes_as(Role::Beacon, "later");
    assert_eq!((beacon["type"].as_str(), beacon["create-time"].as_str()), ("beacon:ACTIVE", "later"));
    assert!(!beacon.contains_key("version"));
    let Role::Active(version) = item.role() else { panic!("{:?}", item.role()) };
    let same = item.attributes_as(Role::Active(version), "2026-11-30T09:26:53.000123Z");
    assert_eq!(same, item.attributes);
    let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let new = BranchKeyItem::attributes("tenant-42", item.role(), key, "2026-11-30T09:26:53.000123Z", &item.context());
    assert_eq!(new, item.attributes);
}

#[test]
fn invalid_items_are_refused() {
    let without = |name: &str| {
        let mut value: serde_json::Value = serde_json::from_str(ITEM).unwrap();
        value.as_object_mut().unwrap().remove(name);
        value.to_string()
    };
    for name in ["branch-key-id", "create-time", "enc", "hierarchy-version", "kms-arn", "type", "version"] {
        assert_eq!(parsed(&without(name)).unwrap_err().kind(), ErrorKind::Validation, "{name}");
    }
    let replaced = |from: &str, to: &str| {
        assert!(ITEM.contains(from), "{from}");
        ITEM.replace(from, to)
    };
    let long = "x".repeat(MAX_BRANCH_KEY_ID + 1);
    let wrapped = format!("\"B\": \"{}\"", "AAAA".repeat(MAX_WRAPPED_KEY / 3 + 1));
    for (from, to) in [
        ("\"N\": \"1\"", "\"N\": \"2\""),
        ("\"N\": \"1\"", "\"S\": \"1\""),
        ("tenant-42", ""),
        ("tenant-42", &long),
        ("\"B\": \"AQID\"", "\"S\": \"AQID\""),
        ("AQID", "AQI"),
        ("AQID", ""),
        ("\"B\": \"AQID\"", &wrapped),
        ("branch:ACTIVE", "branch:active"),
        ("branch:ACTIVE", "beacon:ACTIVE"),
        ("branch:ACTIVE", "branch:version:1234abcd-12ab-34cd-56ef-1234567890ab"),
        ("branch:version:1234abcd", "branch:version:1234ABCD"),
        ("branch:version:", "version:"),
        ("aws-crypto-ec:department", "tablename"),
        ("aws-crypto-ec:department", "type"),
        ("{\"S\": \"accounting\"}", "{\"BOOL\": true}"),
        ("{\"S\": \"accounting\"}", "\"accounting\""),
    ] {
        assert_eq!(parsed(&replaced(from, to)).unwrap_err().kind(), ErrorKind::Validation, "{from} {to}");
    }
    for length in 0..ITEM.len() {
        assert!(BranchKeyItem::from_json(&ITEM.as_bytes()[..length]).is_err(), "{length} bytes");
    }
    assert!(parsed(&format!("{ITEM}{}", " ".repeat(64 << 10))).is_err());
}

#[test]
fn an_answer_must_be_complete() {
    let list = |json: String| BranchKeyItem::list_from_json(json.as_bytes());
    assert_eq!(list(format!("{{\"Items\": [{ITEM}, {ITEM}]}}")).unwrap().len(), 2);
    assert!(list(format!("{{\"Items\": [{ITEM}], \"LastEvaluatedKey\": {{}}}}")).is_err());
    assert!(list(format!("{{\"Items\": [{ITEM}], \"Count\": 1}}")).is_ok());
    assert!(list(format!("{{\"Items\": [{ITEM}], \"Count\": 2}}")).is_err());
    assert!(list(format!("{{\"Items\": [{ITEM}], \"NextToken\": \"eyJ\"}}")).is_err());
    assert!(list(ITEM.to_owned()).is_err());
}
