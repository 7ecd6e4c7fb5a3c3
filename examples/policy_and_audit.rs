//! Two users, a policy, a grant and a denied request. The audit trail is printed and verified, then
//! tampered with, and the tampering is detected.
//!
//! `cargo run --example policy_and_audit`

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use strongroom::audit::FileTrail;
use strongroom::identity::{AccountId, Principal};
use strongroom::key::Operation;
use strongroom::policy::{GrantConstraints, GrantTerms};
use strongroom::request::{CreateGrantRequest, CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::{EncryptionContext, Kms};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let kms = Kms::builder().audit(FileTrail::new(directory.path())).build()?;
    let account = AccountId::default();
    let (alice, bob) = (Principal::user(account, "alice")?, Principal::user(account, "bob")?);

    // The key's policy allows the account everything, and allows alice to encrypt.
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Effect": "Allow", "Principal": {{"AWS": "{root}"}}, "Action": "kms:*", "Resource": "*"}},
            {{"Sid": "AliceWrites", "Effect": "Allow", "Principal": {{"AWS": "{alice}"}},
              "Action": "kms:Encrypt", "Resource": "*"}}]}}"#,
        root = Principal::root(account)
    );
    let key = kms.create_key(CreateKeyRequest::default().description("letters").policy(policy))?.key_id();

    // A grant allows bob to decrypt, but only messages addressed to him.
    let to_bob = EncryptionContext::from([("to", "bob")]);
    let terms = GrantTerms::new(bob.clone(), [Operation::Decrypt])?
        .with_constraints(GrantConstraints::new().with_encryption_context_subset(to_bob.clone())?);
    kms.create_grant(CreateGrantRequest::new(key, terms))?;

    let (as_alice, as_bob) = (kms.as_principal(alice)?, kms.as_principal(bob)?);
    let letter = as_alice.encrypt(EncryptRequest::new(key, b"see you at noon").context(&to_bob))?.ciphertext_blob;
    let read = as_bob.decrypt(DecryptRequest::new(&letter).context(&to_bob))?;
    println!("bob reads:       {}", String::from_utf8_lossy(read.plaintext.expose_secret()));
    let refused = as_alice.decrypt(DecryptRequest::new(&letter).context(&to_bob)).expect_err("alice only writes");
    println!("alice gets:      {refused}");

    println!("\nthe trail:");
    let file = trail_file(&directory)?;
    let trail = fs::read_to_string(&file)?;
    for line in trail.lines().skip(1) {
        let record: serde_json::Value = serde_json::from_str(line)?;
        let (event, number) = (&record["event"], &record["sequence"]);
        let who = event["userIdentity"]["arn"].as_str().unwrap_or_default();
        println!("{number:>4} {} {} {who}", event["eventName"], event["outcome"]);
    }
    println!("\nverified:        {}", kms.verify_audit_trail(directory.path())?);

    // The owner of the file can rewrite it, but cannot hide the change.
    fs::write(&file, trail.replacen("user/bob", "user/eve", 1))?;
    let report = kms.verify_audit_trail(directory.path())?;
    let finding = report.first_finding().ok_or("the change was not detected")?;
    println!("tampered with:   record {} was altered: {}", finding.expected, finding.problem);
    Ok(())
}

fn trail_file(directory: &tempfile::TempDir) -> Result<PathBuf, Box<dyn Error>> {
    let mut files = fs::read_dir(directory.path())?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.extension().is_some_and(|ending| ending == "jsonl")).ok_or_else(|| "no trail".into())
}
