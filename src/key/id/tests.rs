use proptest::prelude::*;

use super::*;

#[test]
fn a_new_id_is_a_uuid_of_version_4() {
    for byte in [0x00, 0x5a, 0xff] {
        let text = KeyId::from_random_bytes([byte; 16]).to_string();
        assert_eq!(text.as_bytes()[14], b'4', "{text}");
        assert!(b"89ab".contains(&text.as_bytes()[19]), "{text}");
    }
}

#[test]
fn an_id_has_one_spelling() {
    let text = "1234abcd-12ab-34cd-56ef-1234567890ab";
    assert_eq!(KeyId::parse(text).map(|id| id.to_string()).ok().as_deref(), Some(text));
    for other in [
        "1234ABCD-12AB-34CD-56EF-1234567890AB",
        "1234abcd12ab34cd56ef1234567890ab",
        "{1234abcd-12ab-34cd-56ef-1234567890ab}",
        "urn:uuid:1234abcd-12ab-34cd-56ef-1234567890ab",
        "mrk-1234abcd12ab34cd56ef1234567890ab",
        "1234abcd-12ab-34cd-56ef-1234567890a",
        "",
    ] {
        let error = KeyId::parse(other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), format!("Invalid keyId '{other}'"));
    }
}

#[test]
fn an_alias_begins_with_its_prefix() {
    for text in ["", "backup", "Alias/backup", "/alias/backup", "alias"] {
        let error = AliasName::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation, "{text}");
        let expected = "Alias must start with the prefix \"alias/\". Please see \
                        https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html";
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn an_alias_of_other_characters_is_refused() {
    for text in ["alias/", "alias/a b", "alias/a:b", "alias/é", "alias/a*", "alias/a.b", "alias/a\n"] {
        assert_eq!(AliasName::parse(text).map_err(|error| error.kind()), Err(ErrorKind::InvalidAliasName), "{text}");
    }
}

#[test]
fn an_alias_has_at_most_256_characters() {
    let longest = format!("alias/{}", "a".repeat(250));
    assert!(AliasName::parse(&longest).is_ok());
    let kind = AliasName::parse(&format!("{longest}a")).map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::Validation));
}

#[test]
fn names_under_aws_are_reserved() -> Result<()> {
    assert!(AliasName::parse("alias/aws/s3")?.is_reserved());
    for open in ["alias/aws", "alias/awsome", "alias/AWS/s3", "alias/my/aws/s3"] {
        assert!(!AliasName::parse(open)?.is_reserved(), "{open}");
    }
    Ok(())
}

#[test]
fn ids_go_through_json() -> Result<(), serde_json::Error> {
    let id = KeyId::from_bytes([7; 16]);
    assert_eq!(serde_json::from_str::<KeyId>(&serde_json::to_string(&id)?)?, id);
    assert!(serde_json::from_str::<AliasName>("\"backup\"").is_err());
    Ok(())
}

proptest! {
    #[test]
    fn every_id_is_read_back(bytes: [u8; 16]) {
        let id = KeyId::from_bytes(bytes);
        prop_assert_eq!(*KeyId::parse(&id.to_string())?.as_bytes(), bytes);
    }

    #[test]
    fn reading_an_id_is_total(text in "\\PC{0,40}|[0-9a-fA-F-]{36}") {
        if let Ok(id) = KeyId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn reading_an_alias_is_total(text in "(alias/)?\\PC{0,20}|alias/[a-zA-Z0-9/_-]{1,260}") {
        if let Ok(name) = AliasName::parse(&text) {
            prop_assert!(text.len() <= 256);
            prop_assert_eq!(name.as_str(), text);
        }
    }

    #[test]
    fn aliases_of_allowed_characters_are_taken(text in "alias/[a-zA-Z0-9/_-]{1,250}") {
        prop_assert_eq!(AliasName::parse(&text)?.to_string(), text);
    }
}
