//! A custom key material provider. The keys of the KMS are held in a vault, which uses them and
//! never exports them. Here the vault is a map in memory. A real one would be a remote service or a
//! chip.
//!
//! `cargo run --example custom_provider`

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use strongroom::crypto::CryptoBackend;
use strongroom::key::{DeletionWindow, KeySpec, KeyUsage, Origin};
use strongroom::provider::{
    Capabilities, Cipher, CipherScheme, GeneratedMaterial, KeyMaterialProvider, MaterialBinding, MaterialGenerator,
    MemoryProvider, OpenedKey, ProviderId,
};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::{Clock, Error, ErrorKind, Kms, ManualClock, Result, SecretBytes, Timestamp};

/// Keys by number. The vault may be unreachable.
#[derive(Default)]
struct Vault {
    keys: Mutex<HashMap<u64, Arc<OpenedKey>>>,
    made: Mutex<u64>,
    is_away: AtomicBool,
}

impl Vault {
    /// Calls the vault. Every call may fail with this error: the key is unavailable, but never
    /// lost.
    fn ask<T>(&self, question: impl FnOnce(&mut HashMap<u64, Arc<OpenedKey>>) -> T) -> Result<T> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::KeyUnavailable, "the vault does not respond"));
        }
        Ok(question(&mut self.keys.lock().expect("no thread panicked")))
    }

    fn create(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<u64> {
        let inside = MemoryProvider::default();
        let material = inside.generator().expect("the provider generates keys").generate(backend, binding)?;
        let key = Arc::new(inside.open(backend, binding, &material.stored)?);
        let mut made = self.made.lock().expect("no thread panicked");
        *made += 1;
        let number = *made;
        self.ask(|keys| _ = keys.insert(number, key))?;
        Ok(number)
    }

    fn with<T>(&self, number: u64, work: impl FnOnce(&dyn Cipher) -> Result<T>) -> Result<T> {
        let key = self.ask(|keys| keys.get(&number).cloned())?;
        match key.as_deref() {
            Some(OpenedKey::Cipher(cipher)) => work(&**cipher),
            _ => Err(Error::new(ErrorKind::KeyUnavailable, format!("the vault has no key number {number}"))),
        }
    }
}

/// The provider. The store keeps the number of a key in the vault. As every provider should, it
/// passes the test suite of `provider::conformance`.
struct VaultProvider {
    id: ProviderId,
    vault: Arc<Vault>,
    capabilities: Capabilities,
}

impl VaultProvider {
    fn new(vault: Arc<Vault>) -> Self {
        let symmetric = vec![(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)];
        Self { id: ProviderId::new("vault"), vault, capabilities: Capabilities::new(symmetric, false) }
    }
}

impl std::fmt::Debug for VaultProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VaultProvider")
    }
}

fn number(stored: &SecretBytes) -> Result<u64> {
    let bytes = stored.expose_secret().try_into();
    bytes
        .map(u64::from_be_bytes)
        .map_err(|_| Error::new(ErrorKind::Internal, "the stored bytes are not the number of a key in the vault"))
}

impl KeyMaterialProvider for VaultProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn origin(&self) -> Origin {
        Origin::Hsm
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, _: &CryptoBackend, _: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        Ok(OpenedKey::Cipher(Box::new(VaultKey { vault: Arc::clone(&self.vault), number: number(stored)? })))
    }

    fn destroy(&self, _: &MaterialBinding, stored: &SecretBytes) -> Result<()> {
        let number = number(stored)?;
        // Destroying a key that no longer exists succeeds, as the call may be repeated.
        self.vault.ask(|keys| _ = keys.remove(&number))
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }
}

impl MaterialGenerator for VaultProvider {
    fn generate(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial> {
        if !self.capabilities.generates.contains(&(binding.spec, binding.usage)) {
            return Err(Error::new(ErrorKind::UnsupportedOperation, "the vault supports only symmetric keys"));
        }
        let number = self.vault.create(backend, binding)?;
        Ok(GeneratedMaterial::secret(SecretBytes::copy_from_slice(&number.to_be_bytes())))
    }
}

/// A key in the vault. Each use is a call to the vault.
struct VaultKey {
    vault: Arc<Vault>,
    number: u64,
}

impl Cipher for VaultKey {
    fn scheme(&self) -> CipherScheme {
        // The vault of this example encrypts in the format of this crate. A vault with its own
        // format returns `Provider`.
        CipherScheme::Committing
    }

    fn seal(&self, header: &[u8], context: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()> {
        self.vault.with(self.number, |key| key.seal(header, context, plaintext, output))
    }

    fn open(&self, header: &[u8], context: &[u8], body: &[u8]) -> Result<SecretBytes> {
        self.vault.with(self.number, |key| key.open(header, context, body))
    }

    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes> {
        self.vault.with(self.number, |key| key.generate(header, context, length, output))
    }
}

fn main() -> Result<(), Box<dyn StdError>> {
    let vault = Arc::new(Vault::default());
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
    let kms = Kms::builder().clock(Arc::clone(&clock)).provider(VaultProvider::new(Arc::clone(&vault))).build()?;

    let key = kms.create_key(CreateKeyRequest::default().provider("vault").description("orders"))?.key_id();
    let blob = kms.encrypt(EncryptRequest::new(key, b"a secret"))?.ciphertext_blob;
    let opened = kms.decrypt(DecryptRequest::new(&blob))?.plaintext;
    println!(
        "1. A KMS key that is stored in the vault encrypts and decrypts: {:?}",
        String::from_utf8_lossy(opened.expose_secret())
    );

    vault.is_away.store(true, Ordering::SeqCst);
    let Err(refusal) = kms.decrypt(DecryptRequest::new(&blob)) else {
        return Err("a message was decrypted without the vault".into());
    };
    println!("2. The vault is unavailable: {refusal}");

    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    clock.advance_days(7);
    kms.confirm_clock(clock.now())?;
    let report = kms.run_maintenance()?;
    println!(
        "3. The key is deleted ({}), but its material is not destroyed yet: {}",
        report.deleted.len(),
        report.failed[0].1
    );

    vault.is_away.store(false, Ordering::SeqCst);
    assert!(kms.run_maintenance()?.is_complete());
    assert_eq!(vault.ask(|keys| keys.len())?, 0);
    println!("4. The next maintenance reaches the vault again and destroys the material");
    Ok(())
}
