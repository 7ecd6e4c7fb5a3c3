//! Keys: creation, description, listing, enabling and disabling, tags, aliases, scheduled deletion.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom::algorithm::EncryptionAlgorithm;
use strongroom::audit::{MemoryTrail, Outcome};
use strongroom::identity::{AccountId, Locality, Principal};
use strongroom::key::{DeletionWindow, KeyId, KeySpec, KeyState, KeyUsage, Origin, RotationPeriod, Tag};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, PageRequest, ReEncryptRequest};
use strongroom::{ErrorKind, Kms, KmsLimits, Result, Timestamp};

use crate::support::any_store;
use crate::support::kms::{kind, with_clock, with_key};

#[test]
fn a_new_key_is_what_was_asked_for() -> Result<()> {
    let account = AccountId::parse("123456789012")?;
    let kms = any_store::builder().account(account).locality(Locality::new("aws", "eu-central-1")?).build()?;
    let key = kms.create_key(CreateKeyRequest::default().description("d").tag("a", "1"))?;
    assert_eq!(key.arn().to_string(), format!("arn:aws:kms:eu-central-1:123456789012:key/{}", key.key_id()));
    assert_eq!((key.state(), key.is_enabled(), key.account()), (KeyState::Enabled, true, account));
    assert_eq!((key.spec(), key.usage()), (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt));
    assert_eq!((key.origin(), key.description().as_str()), (Origin::Kms, "d"));
    assert!(key.current_key_material_id().is_some() && key.deletion_date().is_none());
    assert_eq!(kms.describe_key(key.key_id())?, key);
    assert_eq!(kms.list_resource_tags(key.key_id(), PageRequest::default())?.entries, [Tag::new("a", "1")?]);
    Ok(())
}

/// AWS KMS has such IDs, but no key here can.
#[test]
fn the_id_of_a_multi_region_key_is_that_of_a_missing_key() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = any_store::builder().audit(Arc::clone(&trail)).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let blob = &kms.encrypt(EncryptRequest::new(key, b"4711"))?.ciphertext_blob;
    for id in ["mrk-1234567812341234123412345678901a", "786CA7CD-B74B-42B3-B887-902AD7AB6429"] {
        let oaep = EncryptionAlgorithm::RsaesOaepSha256;
        let refused = [
            ("keyId", kms.describe_key(id).map(drop)),
            ("keyId", kms.encrypt(EncryptRequest::new(id, b"4711")).map(drop)),
            ("keyId", kms.decrypt(DecryptRequest::new(blob).key(id)?).map(drop)),
            ("keyId", kms.decrypt(DecryptRequest::new(blob).key(id)?.algorithm(oaep)).map(drop)),
            ("sourceKeyId", kms.re_encrypt(ReEncryptRequest::new(blob, key).source_key(id)?).map(drop)),
            ("destinationKeyId", kms.re_encrypt(ReEncryptRequest::new(blob, id)).map(drop)),
        ];
        let events = trail.events();
        for ((name, refused), event) in refused.iter().zip(&events[events.len() - refused.len()..]) {
            let error = refused.as_ref().expect_err(name);
            let arn = format!("arn:aws:kms:local:{}:key/{id}", kms.principal().account());
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, format!("Key '{arn}' does not exist")));
            assert_eq!(event.outcome, Outcome::Failure(ErrorKind::NotFound), "{event:?}");
            assert!(event.parameters.contains(&(*name, id.into())), "{event:?}");
        }
    }
    let malformed = DecryptRequest::new(blob).key("mrk-1").expect_err("not an ID");
    assert_eq!((malformed.kind(), malformed.to_string()), (ErrorKind::NotFound, "Invalid keyId 'mrk-1'".to_owned()));
    Ok(())
}

#[test]
fn a_key_that_is_not_there_is_named_by_its_arn() -> Result<()> {
    let kms = any_store::builder().locality(Locality::new("aws", "eu-central-1")?).build()?;
    let id = KeyId::from_random_bytes([9; 16]);
    let refused = kms.describe_key(id).expect_err("the key does not exist");
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    let arn = format!("arn:aws:kms:eu-central-1:{}:key/{id}", kms.principal().account());
    assert_eq!(refused.to_string(), format!("Key '{arn}' does not exist"));
    let elsewhere = arn.replace("eu-central-1", "us-west-2");
    for refused in [kms.describe_key(elsewhere.as_str()).map(drop), kms.disable_key(elsewhere.as_str())] {
        let refused = refused.expect_err("another region");
        assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::NotFound, "Invalid arn us-west-2".to_owned()));
    }
    let alias = format!("arn:aws:kms:eu-central-1:{}:alias/x", kms.principal().account());
    for missing in [
        kms.describe_key("alias/x").expect_err("the alias does not exist"),
        kms.describe_key(alias.as_str()).expect_err("the alias does not exist"),
        kms.delete_alias("alias/x").expect_err("the alias does not exist"),
    ] {
        let expected = (ErrorKind::NotFound, format!("Alias {alias} is not found."));
        assert_eq!((missing.kind(), missing.to_string()), expected);
    }
    let refused = kms.disable_key("alias/x").expect_err("an alias manages no key");
    let expected = "Key Aliases are not supported for this operation.";
    assert_eq!((refused.kind(), refused.to_string().as_str()), (ErrorKind::InvalidArn, expected));
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.create_alias("alias/x", key)?;
    let taken = kms.create_alias("alias/x", key).expect_err("the name is taken");
    assert_eq!(taken.to_string(), format!("An alias with the name {alias} already exists"));
    let checked = kms.encrypt(EncryptRequest::new(key, b"x").dry_run()).expect_err("a dry run");
    assert_eq!(checked.to_string(), "The request would have succeeded, but the DryRun option is set.");
    Ok(())
}

#[test]
fn an_alias_stays_with_keys_of_one_kind() -> Result<()> {
    let kms = any_store::kms()?;
    let make = |spec, usage| -> Result<KeyId> {
        Ok(kms.create_key(CreateKeyRequest::default().spec(spec).usage(usage))?.key_id())
    };
    let symmetric = make(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)?;
    let rsa = make(KeySpec::Rsa2048, KeyUsage::EncryptDecrypt)?;
    let signing = make(KeySpec::EccNistP256, KeyUsage::SignVerify)?;
    let agreement = make(KeySpec::EccNistP256, KeyUsage::KeyAgreement)?;
    for (name, from, to) in [("alias/a", symmetric, rsa), ("alias/b", rsa, signing), ("alias/c", signing, agreement)] {
        kms.create_alias(name, from)?;
        assert_eq!(kind(kms.update_alias(name, to)), ErrorKind::Validation, "{name}");
        assert_eq!(kms.describe_key(name)?.key_id(), from);
    }
    kms.update_alias("alias/c", make(KeySpec::EccNistP384, KeyUsage::SignVerify)?)?;
    Ok(())
}

/// Aliases of keys whose waiting period has ended are not listed and do not count toward a page.
#[test]
fn no_alias_is_lost_behind_those_of_keys_that_are_gone() -> Result<()> {
    let names = ["alias/a", "alias/b", "alias/c", "alias/d", "alias/e", "alias/f"];
    for gone in [&names[..1], &names[..3], &names[1..2], &names[2..5]] {
        let (kms, clock) = with_clock()?;
        for name in names {
            let key = kms.create_key(CreateKeyRequest::default())?.key_id();
            kms.create_alias(name, key)?;
            if gone.contains(&name) {
                kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
            }
        }
        clock.advance_days(7);
        let (mut listed, mut page) = (Vec::new(), PageRequest::default().limit(2));
        loop {
            let found = kms.list_aliases(page)?;
            listed.extend(found.entries.into_iter().map(|entry| entry.alias_name.to_string()));
            let Some(marker) = found.next_marker else { break };
            page = PageRequest::default().limit(2).marker(marker);
        }
        let left: Vec<_> = names.into_iter().filter(|name| !gone.contains(name)).collect();
        assert_eq!(listed, left);
    }
    Ok(())
}

#[test]
fn impossible_keys_are_refused_and_nothing_is_made() -> Result<()> {
    let kms = any_store::kms()?;
    let request = CreateKeyRequest::default;
    let refused = [
        (request().usage(KeyUsage::SignVerify), ErrorKind::Validation),
        (request().spec(KeySpec::Rsa2048), ErrorKind::Validation),
        (request().spec(KeySpec::Rsa2048).usage(KeyUsage::KeyAgreement), ErrorKind::Validation),
        (request().origin(Origin::Hsm), ErrorKind::Validation),
        (request().description("x".repeat(8193)), ErrorKind::Validation),
        (request().tag("aws:a", "1"), ErrorKind::Tag),
        (request().tag("a", "1").tag("a", "2"), ErrorKind::Tag),
        (request().tag("", "1"), ErrorKind::Validation),
        ((0..51).fold(request(), |made, tag| made.tag(tag.to_string(), "")), ErrorKind::Tag),
    ];
    for (request, expected) in refused {
        assert_eq!(kind(kms.create_key(request.clone())), expected, "{request:?}");
    }
    assert!(kms.list_keys(PageRequest::default())?.entries.is_empty());
    Ok(())
}

#[test]
fn pages_cover_every_key_once() -> Result<()> {
    let kms = any_store::kms()?;
    let made: BTreeSet<KeyId> =
        (0..25).map(|_| Ok(kms.create_key(CreateKeyRequest::default())?.key_id())).collect::<Result<_>>()?;
    for limit in [1, 2, 7, 24, 25, 26, 1000] {
        let mut listed = Vec::new();
        let mut page = kms.list_keys(PageRequest::default().limit(limit))?;
        loop {
            assert!(page.entries.len() <= usize::try_from(limit).expect("the number is small"));
            listed.extend(page.entries.iter().map(|entry| entry.key_id));
            let Some(marker) = page.next_marker else { break };
            assert!(!page.entries.is_empty());
            page = kms.list_keys(PageRequest::default().limit(limit).marker(marker))?;
        }
        assert_eq!(listed, made.iter().copied().collect::<Vec<_>>(), "limit {limit}");
    }
    assert_eq!(kind(kms.list_keys(PageRequest::default().limit(0))), ErrorKind::Validation);
    assert_eq!(kind(kms.list_keys(PageRequest::default().limit(1001))), ErrorKind::Validation);
    for marker in ["", &"x".repeat(1_025)] {
        assert_eq!(kind(kms.list_keys(PageRequest::default().marker(marker))), ErrorKind::Validation, "{marker}");
    }
    for marker in ["x", "m1.00", "m1.zz"] {
        assert_eq!(kind(kms.list_keys(PageRequest::default().marker(marker))), ErrorKind::InvalidMarker, "{marker}");
    }
    Ok(())
}

#[test]
fn the_largest_page_loses_no_key() -> Result<()> {
    let (kms, clock) = with_clock()?;
    for number in 0..1_003 {
        let key = kms.create_key(CreateKeyRequest::default())?;
        if number % 100 == 0 {
            kms.schedule_key_deletion(key.key_id(), DeletionWindow::from_days(7)?)?;
        }
    }
    let first = kms.list_keys(PageRequest::default().limit(1000))?;
    let marker = first.next_marker.clone().unwrap_or_default();
    let rest = kms.list_keys(PageRequest::default().limit(1000).marker(marker))?;
    assert_eq!((first.entries.len(), rest.entries.len(), rest.next_marker), (1000, 3, None));
    clock.advance_days(7);
    let alive = kms.list_keys(PageRequest::default().limit(1000))?;
    assert_eq!(
        (alive.entries.len(), alive.next_marker),
        (992, None),
        "deleted keys do not count towards the page limit"
    );
    Ok(())
}

#[test]
fn every_form_of_identifier_finds_the_key_where_it_is_accepted() -> Result<()> {
    let (kms, key) = with_key()?;
    kms.create_alias("alias/a", key)?;
    let arn = kms.describe_key(key)?.arn().to_string();
    let alias_arn = kms.list_aliases(PageRequest::default())?.entries[0].alias_arn.to_string();
    for reference in [&key.to_string(), &arn, "alias/a", &alias_arn] {
        assert_eq!(kms.describe_key(reference)?.key_id(), key);
        let sealed = kms.encrypt(EncryptRequest::new(reference, b"x"))?;
        assert_eq!(sealed.key_arn.to_string(), arn, "responses name the key by its ARN");
    }
    for alias in ["alias/a", &alias_arn] {
        assert_eq!(kind(kms.disable_key(alias)), ErrorKind::InvalidArn);
        assert_eq!(kind(kms.schedule_key_deletion(alias, DeletionWindow::default())), ErrorKind::InvalidArn);
        assert_eq!(kind(kms.enable_key_rotation(alias, RotationPeriod::default())), ErrorKind::InvalidArn);
        for refused in [kms.create_alias("alias/b", alias), kms.update_alias("alias/a", alias)] {
            let refused = refused.expect_err("an alias is no target");
            let expected = (ErrorKind::Validation, "Aliases must refer to keys. Not aliases".to_owned());
            assert_eq!((refused.kind(), refused.to_string()), expected);
        }
    }
    Ok(())
}

#[test]
fn unknown_and_foreign_identifiers_are_not_found() -> Result<()> {
    let (kms, key) = with_key()?;
    let strangers = [
        "".to_owned(),
        "no-such-key".to_owned(),
        "alias/none".to_owned(),
        KeyId::from_random_bytes([9; 16]).to_string(),
        format!("arn:aws:kms:elsewhere:000000000000:key/{key}"),
        format!("arn:aws-cn:kms:local:000000000000:key/{key}"),
        format!("arn:aws:kms:local:999999999999:key/{key}"),
        "arn:aws:kms:local:999999999999:alias/a".to_owned(),
    ];
    for stranger in strangers {
        let refused = kms.describe_key(&stranger).expect_err("the call must be rejected");
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{stranger}: {refused}");
    }
    assert_eq!(kind(kms.describe_key("arn:aws:kms:nonsense")), ErrorKind::InvalidArn);
    Ok(())
}

#[test]
fn switching_is_idempotent_and_bites_at_once() -> Result<()> {
    let (kms, key) = with_key()?;
    let other_handle = kms.clone();
    for _ in 0..2 {
        kms.disable_key(key)?;
        assert_eq!(other_handle.describe_key(key)?.state(), KeyState::Disabled);
        assert_eq!(kind(other_handle.encrypt(EncryptRequest::new(key, b"x"))), ErrorKind::Disabled);
    }
    for _ in 0..2 {
        kms.enable_key(key)?;
        assert!(other_handle.encrypt(EncryptRequest::new(key, b"x")).is_ok());
    }
    Ok(())
}

#[test]
fn tags_follow_the_rules_and_a_refused_request_changes_none() -> Result<()> {
    let (kms, key) = with_key()?;
    let tags = |kms: &Kms| kms.list_resource_tags(key, PageRequest::default()).map(|page| page.entries);
    kms.tag_resource(key, [Tag::new("a", "1")?, Tag::new("b", "2")?])?;
    kms.tag_resource(key, [Tag::new("a", "3")?])?;
    let expected = [Tag::new("a", "3")?, Tag::new("b", "2")?];
    assert_eq!(tags(&kms)?, expected);
    assert_eq!(kind(kms.tag_resource(key, [Tag::new("c", "1")?, Tag::new("c", "2")?])), ErrorKind::Tag);
    let many: Vec<_> = (0..49).map(|tag| Tag::new(format!("n{tag}"), "")).collect::<Result<_>>()?;
    assert_eq!(kind(kms.tag_resource(key, many)), ErrorKind::Tag);
    assert_eq!(tags(&kms)?, expected);
    kms.untag_resource(key, ["a", "absent"])?;
    assert_eq!(tags(&kms)?, [Tag::new("b", "2")?]);
    Ok(())
}

#[test]
fn tags_are_listed_in_pages_however_long_their_keys_are() -> Result<()> {
    let (kms, key) = with_key()?;
    let longest = |digit: char| Tag::new(format!("{}{digit}", "\u{1f511}".repeat(127)), "");
    let tags = [longest('1')?, longest('2')?, longest('3')?];
    kms.tag_resource(key, tags.clone())?;
    let (mut listed, mut page) = (Vec::new(), PageRequest::default().limit(1));
    loop {
        let part = kms.list_resource_tags(key, page)?;
        listed.extend(part.entries);
        let Some(marker) = part.next_marker else { break };
        assert!(marker.len() <= 1_024);
        page = PageRequest::default().limit(1).marker(marker);
    }
    assert_eq!(listed, tags);
    Ok(())
}

#[test]
fn an_alias_is_unique_moves_and_goes() -> Result<()> {
    let (kms, first) = with_key()?;
    let second = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.create_alias("alias/x", first)?;
    assert_eq!(kind(kms.create_alias("alias/x", second)), ErrorKind::AlreadyExists);
    kms.update_alias("alias/x", second)?;
    assert_eq!(kms.describe_key("alias/x")?.key_id(), second);
    assert!(kms.list_aliases_of_key(first, PageRequest::default())?.entries.is_empty());
    assert_eq!(kms.list_aliases_of_key(second, PageRequest::default())?.entries.len(), 1);
    kms.delete_alias("alias/x")?;
    assert_eq!(kind(kms.describe_key("alias/x")), ErrorKind::NotFound);
    assert_eq!(kind(kms.delete_alias("alias/x")), ErrorKind::NotFound);
    assert_eq!(kind(kms.update_alias("alias/x", first)), ErrorKind::NotFound);
    kms.create_alias("alias/x", first)?;
    assert_eq!(kms.describe_key("alias/x")?.key_id(), first);
    Ok(())
}

#[test]
fn alias_names_and_quotas_are_checked() -> Result<()> {
    let limits = KmsLimits { aliases_per_key: 2, ..KmsLimits::default() };
    let kms = any_store::builder().limits(limits).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    assert_eq!(kind(kms.create_alias("reports", key)), ErrorKind::Validation);
    assert_eq!(kind(kms.create_alias("alias/aws/s3", key)), ErrorKind::NotAuthorized);
    assert!(kms.create_alias("alias/with space", key).is_err());
    assert!(kms.create_alias(format!("alias/{}", "x".repeat(251)), key).is_err());
    kms.create_alias("alias/1", key)?;
    kms.create_alias("alias/2", key)?;
    assert_eq!(kind(kms.create_alias("alias/3", key)), ErrorKind::LimitExceeded);
    assert_eq!(kms.list_aliases(PageRequest::default())?.entries.len(), 2);
    Ok(())
}

#[test]
fn aliases_are_listed_in_pages() -> Result<()> {
    let (kms, key) = with_key()?;
    let names = ["alias/a", "alias/a-b", "alias/b", "alias/c/d"];
    names.iter().try_for_each(|name| kms.create_alias(name, key))?;
    let mut listed = Vec::new();
    let mut page = PageRequest::default().limit(3);
    loop {
        let part = kms.list_aliases(page)?;
        listed.extend(part.entries.iter().map(|entry| entry.alias_name.to_string()));
        let Some(marker) = part.next_marker else { break };
        page = PageRequest::default().limit(3).marker(marker);
    }
    assert_eq!(listed, names);
    Ok(())
}

#[test]
fn deletion_waits_can_be_cancelled_and_then_takes_everything() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.create_alias("alias/x", key)?;
    let scheduled = kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    assert_eq!(scheduled.deletion_date, Timestamp::from_unix_millis(1_700_000_000_000).plus_days(7));
    let described = kms.describe_key(key)?;
    assert_eq!(described.deletion_date(), Some(scheduled.deletion_date));
    assert_eq!(kind(kms.encrypt(EncryptRequest::new("alias/x", b"x"))), ErrorKind::InvalidState);
    assert_eq!(kind(kms.enable_key(key)), ErrorKind::InvalidState);
    assert_eq!(kind(kms.schedule_key_deletion(key, DeletionWindow::default())), ErrorKind::InvalidState);
    kms.cancel_key_deletion(key)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Disabled);
    assert_eq!(kind(kms.cancel_key_deletion(key)), ErrorKind::InvalidState);

    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    clock.advance_days(7);
    assert_eq!(kind(kms.describe_key(key)), ErrorKind::NotFound);
    assert_eq!(kind(kms.cancel_key_deletion(key)), ErrorKind::NotFound);
    assert!(kms.list_keys(PageRequest::default())?.entries.is_empty(), "the key is hidden before the next sweep");
    let other = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.create_alias("alias/y", other)?;
    let listed = kms.list_aliases(PageRequest::default().limit(1))?;
    let names: Vec<_> = listed.entries.iter().map(|entry| entry.alias_name.as_str()).collect();
    assert_eq!((names, listed.next_marker), (vec!["alias/y"], None), "its alias is hidden too");
    assert_eq!(kind(kms.update_alias("alias/x", other)), ErrorKind::NotFound);
    assert_eq!(kind(kms.delete_alias("alias/x")), ErrorKind::NotFound);
    assert_eq!(
        kind(kms.create_alias("alias/x", other)),
        ErrorKind::AlreadyExists,
        "the alias name remains in use until the sweep"
    );
    let report = kms.run_maintenance()?;
    assert_eq!((report.deleted.len(), report.failed.len()), (1, 0));
    assert_eq!(kind(kms.describe_key("alias/x")), ErrorKind::NotFound);
    assert_eq!(kms.list_aliases(PageRequest::default())?.entries.len(), 1);
    kms.create_alias("alias/x", other)?;
    assert!(kms.run_maintenance()?.deleted.is_empty());
    Ok(())
}

#[test]
fn an_account_sees_only_its_own() -> Result<()> {
    let (kms, key) = with_key()?;
    kms.create_alias("alias/x", key)?;
    let stranger = kms.as_principal(Principal::root(AccountId::parse("999999999999")?))?;
    assert!(stranger.list_keys(PageRequest::default())?.entries.is_empty());
    assert!(stranger.list_aliases(PageRequest::default())?.entries.is_empty());
    assert_eq!(kind(stranger.describe_key("alias/x")), ErrorKind::NotFound);
    let theirs = stranger.create_key(CreateKeyRequest::default())?.key_id();
    stranger.create_alias("alias/x", theirs)?;
    assert_eq!(kms.describe_key("alias/x")?.key_id(), key, "each account has its own names");
    Ok(())
}

#[test]
fn a_foreign_key_looks_the_same_whether_it_exists_or_not() -> Result<()> {
    let (kms, key) = with_key()?;
    kms.create_alias("alias/x", key)?;
    let stranger = kms.as_principal(Principal::root(AccountId::parse("999999999999")?))?;
    let absent = KeyId::from_random_bytes([1; 16]);
    let arn = |id: KeyId| format!("arn:aws:kms:local:000000000000:key/{id}");
    let (present, absent) = (arn(key), arn(absent));
    let refusals = |reference: &str| {
        [
            stranger.describe_key(reference).unwrap_err(),
            stranger.encrypt(EncryptRequest::new(reference, b"x")).unwrap_err(),
            stranger.disable_key(reference).unwrap_err(),
        ]
        .map(|error| (error.kind(), error.to_string().replace(reference, "ARN")))
    };
    assert_eq!(refusals(&present), refusals(&absent));
    let alias = |name: &str| format!("arn:aws:kms:local:000000000000:alias/{name}");
    assert_eq!(refusals(&alias("x")).map(|(kind, _)| kind), refusals(&alias("y")).map(|(kind, _)| kind),);
    Ok(())
}
