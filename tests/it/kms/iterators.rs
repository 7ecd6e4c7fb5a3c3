//! Iterators over lists, compared with the pages of the lists.

use std::sync::Arc;

use strongroom::audit::{Action, MemoryTrail, Outcome};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{CustomKeyStoreId, Operation, Tag};
use strongroom::policy::GrantTerms;
use strongroom::request::{CreateGrantRequest, CreateKeyRequest, GrantFilter, IncludeKeyMaterial, Page, PageRequest};
use strongroom::{ErrorKind, Result};

use crate::support::any_store;
use crate::support::custom_key_stores::{request, setup};
use crate::support::policies::user;

/// Returns all entries of a list, page by page.
fn all_pages<T>(list: impl Fn(PageRequest) -> Result<Page<T>>) -> Result<Vec<T>> {
    let (mut entries, mut next) = (Vec::new(), Some(PageRequest::default().limit(1)));
    while let Some(request) = next {
        let page = list(request)?;
        entries.extend(page.entries);
        next = page.next_marker.map(|marker| PageRequest::default().limit(1).marker(marker));
    }
    Ok(entries)
}

#[test]
fn each_iterator_returns_the_entries_of_its_list() -> Result<()> {
    let kms = any_store::kms()?;
    let key = kms.create_key(Default::default())?.key_id();
    for number in 0..110 {
        kms.create_key(CreateKeyRequest::default().alias(format!("alias/{number:03}")))?;
    }
    let bob = user("bob")?;
    for number in 0..60 {
        if number < 50 {
            kms.create_alias(format!("alias/of-key/{number}"), key)?;
            kms.tag_resource(key, [Tag::new(format!("tag {number}"), "x")?])?;
        }
        let grantee = if number % 2 == 0 { bob.clone() } else { user("alice")? };
        let terms = GrantTerms::new(grantee, [Operation::Encrypt])?.with_retiring_principal(bob.clone());
        kms.create_grant(CreateGrantRequest::new(key, terms))?;
    }
    for _ in 0..3 {
        kms.rotate_key_on_demand(key)?;
    }

    let keys = kms.keys().collect::<Result<Vec<_>>>()?;
    assert_eq!((keys.len(), &keys), (111, &all_pages(|page| kms.list_keys(page))?));
    let aliases = kms.aliases().collect::<Result<Vec<_>>>()?;
    assert_eq!((aliases.len(), &aliases), (160, &all_pages(|page| kms.list_aliases(page))?));
    let of_key = kms.aliases_of_key(key).collect::<Result<Vec<_>>>()?;
    assert_eq!((of_key.len(), &of_key), (50, &all_pages(|page| kms.list_aliases_of_key(key, page))?));
    let grants = kms.grants(key, GrantFilter::default()).collect::<Result<Vec<_>>>()?;
    let listed = all_pages(|page| kms.list_grants(key, GrantFilter::default(), page))?;
    assert_eq!((grants.len(), &grants), (60, &listed));
    assert_eq!(kms.grants(key, GrantFilter::default().grantee(&bob)).count(), 30);
    let retirable = kms.retirable_grants(&bob).collect::<Result<Vec<_>>>()?;
    assert_eq!((retirable.len(), &retirable), (60, &all_pages(|page| kms.list_retirable_grants(&bob, page))?));
    let include = IncludeKeyMaterial::AllKeyMaterial;
    let rotations = kms.key_rotations(key, include).collect::<Result<Vec<_>>>()?;
    assert_eq!((rotations.len(), &rotations), (4, &all_pages(|page| kms.list_key_rotations(key, include, page))?));
    let tags = kms.resource_tags(key).collect::<Result<Vec<_>>>()?;
    assert_eq!((tags.len(), &tags), (50, &all_pages(|page| kms.list_resource_tags(key, page))?));
    assert_eq!(kms.key_policies(key).collect::<Result<Vec<_>>>()?, ["default"]);
    Ok(())
}

#[test]
fn custom_key_stores_are_iterated() -> Result<()> {
    let kms = setup()?.kms;
    let mut stores: Vec<CustomKeyStoreId> = Vec::new();
    for (name, cluster) in [("one", "vault"), ("two", "other")] {
        stores.push(kms.create_custom_key_store(request(name, cluster)?)?);
    }
    stores.sort_by_key(|id| id.as_str().to_owned());
    let found = kms.custom_key_stores().map(|store| Ok(store?.custom_key_store_id)).collect::<Result<Vec<_>>>()?;
    assert_eq!(found, stores);
    Ok(())
}

#[test]
fn pages_are_fetched_as_calls_when_they_are_needed_and_an_error_is_the_last_item() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = any_store::builder().audit(Arc::clone(&trail)).build()?;
    for _ in 0..101 {
        kms.create_key(Default::default())?;
    }
    let calls = || {
        let is_call = |operation| move |action: &Action| *action == Action::Call(operation);
        let is_list = is_call(Operation::ListKeys);
        trail
            .events()
            .iter()
            .filter(|event| is_list(&event.action))
            .map(|event| event.outcome.clone())
            .collect::<Vec<_>>()
    };
    let mut keys = kms.keys();
    assert_eq!(calls(), []);
    assert_eq!(keys.by_ref().take(100).filter(Result::is_ok).count(), 100);
    assert_eq!(calls(), [Outcome::Success]);
    assert!(keys.next().is_some_and(|key| key.is_ok()) && keys.next().is_none());
    assert_eq!(calls(), [Outcome::Success, Outcome::Success]);

    let alice = kms.as_principal(user("alice")?)?;
    let mut denied = alice.keys();
    let error = denied.next().and_then(Result::err);
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::AccessDenied));
    assert!(denied.next().is_none());
    assert_eq!(calls().len(), 3);
    let other = Principal::root(AccountId::parse("111122223333")?);
    let refused: Vec<_> = kms.retirable_grants(&other).map(|grant| grant.map_err(|error| error.kind())).collect();
    assert_eq!(refused, [Err(ErrorKind::Validation)]);
    let refused: Vec<_> = kms.resource_tags("alias/none").map(|tag| tag.map_err(|error| error.kind())).collect();
    assert_eq!(refused, [Err(ErrorKind::InvalidArn)]);
    Ok(())
}
