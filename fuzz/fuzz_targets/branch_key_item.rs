//! Items of branch keys come from a store that an attacker may have written, or from DynamoDB. Their
//! JSON is parsed without panics, and written so that it is read as the same item.
//!
//! Input: an item, or an answer with items.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::envelope::{BranchKeyItem, BranchKeyVersion};

fuzz_target!(|json: &[u8]| {
    if let Ok(item) = BranchKeyItem::from_json(json) {
        check(&item);
    }
    BranchKeyItem::list_from_json(json).unwrap_or_default().iter().for_each(check);
});

fn check(item: &BranchKeyItem) {
    assert!((1..=512).contains(&item.branch_key_id().len()) && !item.key_arn().is_empty());
    if let Some(version) = item.item_type().strip_prefix("branch:version:") {
        let parsed = BranchKeyVersion::parse(version).expect("a version of an item is valid");
        assert_eq!(parsed.to_string(), version);
    }
    // Escapes can make the written form longer than the limit.
    let Ok(json) = item.to_json() else { return };
    let read = BranchKeyItem::from_json(json.as_bytes()).expect("what was written can be read");
    assert!(read == *item && read.to_json().is_ok_and(|again| again == json));
}
