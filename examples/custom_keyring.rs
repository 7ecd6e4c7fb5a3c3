//! A custom keyring, which wraps data keys with your own key service. Here the service is a vault
//! that is only accessible through two functions, like the client of a remote service.
//!
//! `cargo run --example custom_keyring`

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use strongroom::envelope::{
    DecryptionMaterials, EncryptionMaterials, Keyring, MultiKeyring, RawAesKeyring, UnwrapFailures,
};
use strongroom::message::EncryptedDataKey;
use strongroom::{EncryptionContext, Envelope, ErrorKind, Result, SecretBytes};

/// Stores secrets, each under a ticket and its encryption context. A real vault would encrypt them
/// and authenticate the caller.
#[derive(Debug, Default)]
struct Vault(Mutex<HashMap<[Vec<u8>; 2], SecretBytes>>);

impl Vault {
    fn store(&self, ticket: &[u8], context: &[u8], secret: &SecretBytes) {
        let mut shelves = self.0.lock().expect("no thread panicked");
        shelves.insert([ticket, context].map(<[u8]>::to_vec), SecretBytes::copy_from_slice(secret.expose_secret()));
    }

    fn fetch(&self, ticket: &[u8], context: &[u8]) -> Option<SecretBytes> {
        let shelves = self.0.lock().expect("no thread panicked");
        let place = [ticket, context].map(<[u8]>::to_vec);
        shelves.get(&place).map(|secret| SecretBytes::copy_from_slice(secret.expose_secret()))
    }
}

const PROVIDER: &str = "example-vault";

/// The keyring, in a dozen lines. As every keyring should, it passes the test suites of
/// `envelope::conformance`.
#[derive(Debug)]
struct VaultKeyring(Arc<Vault>);

impl Keyring for VaultKeyring {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        let mut ticket = [0; 16]; // Random, so an altered ticket never matches another one.
        materials.fill_random(&mut ticket)?;
        materials.data_key_or_generate()?;
        let data_key = materials.data_key().expect("just made");
        self.0.store(&ticket, materials.canonical_context(), data_key);
        materials.push(EncryptedDataKey::new(PROVIDER, *b"main", ticket))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        materials.expect_no_data_key()?;
        let mut failures = UnwrapFailures::default();
        for data_key in data_keys.iter().filter(|data_key| data_key.provider_id() == PROVIDER) {
            match self.0.fetch(data_key.ciphertext(), materials.canonical_context()) {
                Some(secret) => return materials.set_data_key(secret),
                None => failures.push(data_key, unknown_ticket()),
            }
        }
        Err(failures.into_error())
    }
}

/// Programs act on the error kind. A vault that does not respond would return
/// `ErrorKind::KeyUnavailable`.
fn unknown_ticket() -> strongroom::Error {
    strongroom::Error::new(ErrorKind::NotFound, "the vault has no data key for this ticket and encryption context")
}

fn main() -> Result<(), Box<dyn Error>> {
    let vault = Arc::new(Vault::default());
    let context = EncryptionContext::from([("purpose", "example")]);

    let envelope = Envelope::new(VaultKeyring(Arc::clone(&vault)));
    let message = envelope.encrypt(b"a secret", &context)?;
    let opened = envelope.decrypt(&message, &context)?;
    println!(
        "1. Encrypted under a data key that is stored in the vault, and decrypted: {:?}",
        String::from_utf8_lossy(&opened)
    );

    let safe = || RawAesKeyring::new("safe", "paper copy", SecretBytes::copy_from_slice(&[7; 32]));
    let both = MultiKeyring::new(VaultKeyring(Arc::clone(&vault))).with_child(safe()?);
    let message = Envelope::new(both).encrypt(b"another secret", &context)?;
    let opened = Envelope::new(safe()?).decrypt(&message, &context)?;
    println!(
        "2. With a second keyring, the message can be decrypted without the vault: {:?}",
        String::from_utf8_lossy(&opened)
    );

    let elsewhere = Envelope::new(VaultKeyring(Arc::default()));
    match elsewhere.decrypt(&message, &context) {
        Err(refusal) => println!("3. An empty vault reports why it cannot decrypt the message:\n   {refusal}"),
        Ok(_) => return Err("an empty vault decrypted a message".into()),
    }
    Ok(())
}
