use proptest::prelude::*;

use super::*;

const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
const KEY: &str = "arn:aws:kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const ALIAS: &str = "arn:aws-cn:kms:cn-north-1:111122223333:alias/backup/2030";

#[test]
fn the_four_forms_are_told_apart() -> Result<()> {
    assert!(matches!(KeyIdentifier::parse(ID)?, KeyIdentifier::KeyId(_)));
    assert!(matches!(KeyIdentifier::parse(KEY)?, KeyIdentifier::KeyArn(_)));
    assert!(matches!(KeyIdentifier::parse("alias/backup")?, KeyIdentifier::AliasName(_)));
    assert!(matches!(KeyIdentifier::parse(ALIAS)?, KeyIdentifier::AliasArn(_)));
    for (text, alias) in [(ID, false), (KEY, false), ("alias/backup", true), (ALIAS, true)] {
        assert_eq!(KeyIdentifier::parse(text)?.is_alias(), alias, "{text}");
        assert_eq!(KeyIdentifier::parse(text)?.to_string(), text);
    }
    Ok(())
}

#[test]
fn an_arn_gives_its_parts() -> Result<()> {
    let key = KeyArn::parse(KEY)?;
    assert_eq!(
        (key.locality(), key.account(), key.key_id()),
        (&Locality::default(), AccountId::default(), KeyId::parse(ID)?)
    );
    let alias = AliasArn::parse(ALIAS)?;
    assert_eq!((alias.locality().partition(), alias.locality().region()), ("aws-cn", "cn-north-1"));
    assert_eq!((alias.account().as_str(), alias.name().as_str()), ("111122223333", "alias/backup/2030"));
    assert_eq!(KmsArn::from(key).to_string(), KEY);
    assert_eq!(KmsArn::from(alias), KmsArn::parse(ALIAS)?);
    Ok(())
}

#[test]
fn the_arn_of_a_key_is_not_that_of_an_alias() {
    assert_eq!(KeyArn::parse(ALIAS).map_err(|error| error.kind()), Err(ErrorKind::InvalidArn));
    assert_eq!(AliasArn::parse(KEY).map_err(|error| error.kind()), Err(ErrorKind::InvalidArn));
}

#[test]
fn malformed_arns_are_refused() {
    for text in [
        "arn:",
        "arn:aws:kms:local:000000000000",
        "arn:aws:kms:local:000000000000:",
        "arn:aws:kms:local:000000000000:key",
        "arn:aws:kms:local:000000000000:key/",
        "arn:aws:kms:local:000000000000:alias/",
        "arn:aws:kms:local:000000000000:alias/a:b",
        "arn:aws:kms:local:00000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms::000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn::kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:s3:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ] {
        assert_eq!(KeyIdentifier::parse(text).map_err(|error| error.kind()), Err(ErrorKind::InvalidArn), "{text}");
    }
}

#[test]
fn an_arn_with_a_malformed_key_id_is_not_found() {
    for id in ["foo", "alias/backup", &format!("{ID}:x"), &format!("{ID} ")] {
        let arn = format!("arn:aws:kms:local:000000000000:key/{id}");
        for error in [KeyIdentifier::parse(&arn).unwrap_err(), KeyArn::parse(&arn).unwrap_err()] {
            // Unlike the text about a key ID alone, without quotes.
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, format!("Invalid keyId {id}")));
        }
    }
}

#[test]
fn an_id_that_only_aws_has_is_well_formed_and_missing() {
    for id in ["mrk-1234abcd12ab34cd56ef1234567890ab", &ID.to_uppercase()] {
        let arn = format!("arn:aws:kms:local:000000000000:key/{id}");
        let error = KeyIdentifier::parse(&arn).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, format!("Key '{arn}' does not exist")));
        let error = KeyIdentifier::parse(id).unwrap_err();
        assert_eq!(error.downcast_ref::<ForeignKeyId>().map(|cause| cause.0.as_str()), Some(id));
    }
    for id in ["mrk-1234", "MRK-1234abcd12ab34cd56ef1234567890ab", "mrk-1234ABCD12ab34cd56ef1234567890ab", "foo"] {
        assert!(KeyIdentifier::parse(id).unwrap_err().downcast_ref::<ForeignKeyId>().is_none(), "{id}");
    }
}

#[test]
fn text_that_names_no_key_is_not_found() {
    for text in ["", " ", "backup", "alias", "alias/", "alias/a b", "ARN:aws:kms", "key/1234", "1234abcd"] {
        let error = KeyIdentifier::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), format!("Invalid keyId '{text}'"));
        assert!(error.cause().is_some_and(|advice| advice.to_string().contains("alias/NAME")), "{error:?}");
    }
}

#[test]
fn arns_go_through_json() -> Result<(), serde_json::Error> {
    let json = format!("\"{KEY}\"");
    assert_eq!(serde_json::to_string(&serde_json::from_str::<KeyArn>(&json)?)?, json);
    assert!(serde_json::from_str::<AliasArn>(&json).is_err());
    Ok(())
}

proptest! {
    #[test]
    fn arns_are_read_back(
        partition in "[a-z0-9-]{1,31}",
        region in "[a-z0-9-]{1,31}",
        account in "[0-9]{12}",
        id: [u8; 16],
        name in "alias/[a-zA-Z0-9/_-]{1,250}",
    ) {
        let locality = Locality::new(&partition, &region)?;
        let account = AccountId::parse(&account)?;
        let key = KeyArn::new(locality.clone(), account, KeyId::from_bytes(id));
        prop_assert_eq!(&KeyArn::parse(&key.to_string())?, &key);
        prop_assert_eq!(KeyIdentifier::parse(&key.to_string())?, KeyIdentifier::KeyArn(key));
        let alias = AliasArn::new(locality, account, AliasName::parse(&name)?);
        prop_assert_eq!(&AliasArn::parse(&alias.to_string())?, &alias);
        prop_assert_eq!(KeyIdentifier::parse(&alias.to_string())?, KeyIdentifier::AliasArn(alias));
    }

    #[test]
    fn reading_an_identifier_is_total(
        text in "\\PC{0,60}|(arn|alias|[a-z:/0-9-]){0,12}|arn:aws:kms:[a-z:/0-9-]{0,60}",
    ) {
        if let Ok(identifier) = KeyIdentifier::parse(&text) {
            prop_assert_eq!(identifier.to_string(), text);
        }
    }

    #[test]
    fn one_changed_character_is_another_key_or_none(position in 0..KEY.len(), other in "[ -~]") {
        let mut text = KEY.to_owned();
        text.replace_range(position..=position, &other);
        let same = KeyIdentifier::parse(&text).is_ok_and(|read| read.to_string() == KEY);
        prop_assert_eq!(same, text == KEY);
    }
}
