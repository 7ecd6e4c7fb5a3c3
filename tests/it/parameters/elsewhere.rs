//! A store with parameters after a program used it that knows nothing about parameters.

use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fs};

use strongroom::audit::FileTrail;
use strongroom::crypto::CryptoBackend;
use strongroom::key::Tag;
use strongroom::parameters::{
    GetParameterHistoryRequest, ParameterHistoryEntry, ParameterTier, Parameters, PutParameterRequest,
};
use strongroom::request::CreateKeyRequest;
use strongroom::store::SqliteStore;
use strongroom::{ErrorKind, Kms};

use super::TestResult;
use crate::support::kms::kind;
use crate::support::stored_parameters::{
    FILE, POLICY, RECORDS, TRAIL, alice, builder, copied_to, in_memory, listed, use_without_parameters, write_blob,
};
use crate::support::tampering_store::TamperingStore;

const EXPIRATION: &str =
    r#"[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2100-01-01T00:00:00.000Z"}}]"#;

fn fill(kms: &Kms) -> TestResult {
    kms.create_key(CreateKeyRequest::default().alias("alias/shop"))?;
    kms.put_identity_policy(&alice()?, "shop", POLICY)?;
    let parameters = Parameters::new(kms);
    let password = PutParameterRequest::secure_string("/shop/db/password", "correct horse 1").description("größe");
    parameters.put(password.tags([Tag::new("team", "shop")?]))?;
    for value in ["correct horse 2", "correct horse 3"] {
        parameters.put(PutParameterRequest::new("/shop/db/password", value).overwrite())?;
    }
    parameters.label("/shop/db/password", Some(1), ["first"])?;
    let token = PutParameterRequest::secure_string("/shop/token", "t".repeat(8_192)).key_id("alias/shop");
    parameters.put(token.tier(ParameterTier::Advanced).policies(EXPIRATION))?;
    parameters.put(PutParameterRequest::string("url", "https://one.example"))?;
    parameters.put(PutParameterRequest::new("url", "https://two.example").overwrite())?;
    parameters.put(PutParameterRequest::string_list("/shop/hosts", "a,b"))?;
    parameters.put(PutParameterRequest::string("/shop/limit", "1").allowed_pattern(r"\d+"))?;
    for value in ["2", "3"] {
        parameters.put(PutParameterRequest::new("/shop/limit", value).overwrite())?;
    }
    Ok(())
}

fn check(kms: &Kms) -> TestResult {
    let parameters = Parameters::new(kms);
    for version in 1..=3 {
        let found = parameters.get(&format!("/shop/db/password:{version}"))?;
        assert_eq!(found.expose_value(), format!("correct horse {version}"));
    }
    assert_eq!(parameters.get("/shop/db/password:first")?.version(), 1);
    assert_eq!(parameters.list_tags("/shop/db/password")?.get("team"), Some("shop"));
    assert_eq!(parameters.get("/shop/token")?.expose_value(), "t".repeat(8_192));
    assert_eq!(parameters.get("/url:1")?.expose_value(), "https://one.example");
    assert_eq!(parameters.get("/shop/hosts")?.expose_value(), "a,b");
    let history = parameters.history(GetParameterHistoryRequest::new("/shop/limit"))?;
    assert_eq!(history.entries.iter().map(ParameterHistoryEntry::expose_value).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(parameters.describe(Default::default())?.entries.len(), 5);
    let as_alice = Parameters::new(&kms.as_principal(alice()?)?);
    assert_eq!(as_alice.get("/shop/limit")?.expose_value(), "3");
    assert_eq!(kind(as_alice.get("url")), ErrorKind::AccessDenied);
    // The store remains usable, and the number of parameters is right.
    parameters.put(PutParameterRequest::new("/shop/limit", "4").overwrite())?;
    parameters.delete("url")?;
    parameters.put(PutParameterRequest::string("url", "https://three.example"))?;
    assert!(kms.verify_store(|_| {})?.is_intact());
    Ok(())
}

#[test]
fn values_are_the_same_after_another_build_used_the_store() -> TestResult {
    let store = in_memory()?;
    check(&builder(Arc::clone(&store)).build()?)?;
    let store = in_memory()?;
    let kms = builder(Arc::clone(&store)).build()?;
    use_without_parameters(&kms, &store, false)?;
    check(&kms)?;

    let home = tempfile::tempdir()?;
    let store = Arc::new(SqliteStore::open(copied_to(home.path())?, &CryptoBackend::default())?);
    let kms = builder(Arc::clone(&store)).audit(FileTrail::new(home.path().join(TRAIL))).build()?;
    use_without_parameters(&kms, &store, true)?;
    let copy = home.path().join("backup");
    store.back_up(&copy)?;
    check(&kms)?;
    check(&builder(SqliteStore::open(copy, &CryptoBackend::default())?).build()?)
}

#[test]
#[ignore = "writes files"]
fn writes_the_stores() -> TestResult {
    let target = PathBuf::from(env::var_os("STRONGROOM_WRITE_PARAMETERS").ok_or("not set")?);
    fs::create_dir(&target)?;
    let file = SqliteStore::open(target.join(FILE), &CryptoBackend::default())?;
    let kms = builder(file).audit(FileTrail::new(target.join(TRAIL))).build()?;
    fill(&kms)?;
    write_blob(&kms, &target, true)?;
    kms.close()?;
    drop(kms); // leaves one file

    let store = TamperingStore::new();
    let kms = builder(Arc::clone(&store)).build()?;
    fill(&kms)?;
    write_blob(&kms, &target, false)?;
    drop(kms);
    Ok(fs::write(target.join(RECORDS), listed(&store))?)
}
