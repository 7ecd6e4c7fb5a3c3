//! From scratch to an encrypted file: a key, an alias, an envelope, a rotation, and two denied
//! requests.
//!
//! `cargo run --example quickstart [PATH]` encrypts PATH, or the README of this crate.

use std::error::Error;
use std::fs;
use std::path::Path;

use strongroom::envelope::KmsKeyring;
use strongroom::request::CreateKeyRequest;
use strongroom::{EncryptionContext, Envelope, Kms};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md").into());
    let file = fs::read(&path).map_err(|error| format!("cannot read {path}: {error}"))?;

    println!("1. A key management service in this process. Its keys are stored in memory.");
    let kms = Kms::in_memory()?;

    let key = kms.create_key(CreateKeyRequest::default().alias("alias/quickstart"))?;
    println!("2. A key, {}\n   and an alias that remains valid when the key is replaced: alias/quickstart", key.arn());

    let envelope = Envelope::new(KmsKeyring::new(&kms, "alias/quickstart")?);
    let name = Path::new(&path).file_name().unwrap_or_default().to_string_lossy();
    let context = EncryptionContext::from([("file", name.as_ref()), ("purpose", "quickstart")]);
    let message = envelope.encrypt(&file, &context)?;
    println!(
        "3. {name}: {} bytes became a message of {} bytes, in the format of the AWS Encryption SDK.\n   \
         A fresh data key encrypted the file; the KMS key encrypted the data key, which travels in the message.\n   \
         Bound to it, and not secret, is its context: file={name}, purpose=quickstart.",
        file.len(),
        message.len(),
    );

    kms.rotate_key_on_demand(key.key_id())?;
    if envelope.decrypt(&message, &context)? != file {
        return Err("the decrypted file differs from the original".into());
    }
    println!(
        "4. The key was rotated: new messages use new material. The old message still decrypts to the same bytes."
    );

    let wrong = EncryptionContext::from([("purpose", "something else")]);
    match envelope.decrypt(&message, &wrong) {
        Err(refusal) => println!("5. A recipient that expects another context is rejected:\n   {refusal}"),
        Ok(_) => return Err("a wrong context was accepted".into()),
    }

    kms.disable_key(key.key_id())?;
    match envelope.decrypt(&message, &context) {
        Err(refusal) => println!("6. With the key disabled, no message can be decrypted:\n   {refusal}"),
        Ok(_) => return Err("a disabled key was used".into()),
    }

    kms.enable_key(key.key_id())?;
    envelope.decrypt(&message, &context)?;
    println!("7. With the key enabled again, the message can be decrypted. Nothing was lost.");
    Ok(())
}
