//! A custom provider that keeps material elsewhere and returns a handle to store. When a key is
//! deleted, its material there is deleted too, whatever fails at first. A key whose creation fails
//! leaves nothing behind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use strongroom::audit::{Action, AuditEvent, AuditSink, MemoryTrail, Outcome};
use strongroom::crypto::CryptoBackend;
use strongroom::key::{CustomKeyStoreId, DeletionWindow, KeyId, KeySpec, KeyUsage, Origin, RotationPeriod};
use strongroom::maintenance::MaintenanceReport;
use strongroom::provider::{
    Capabilities, Cipher, CipherScheme, GeneratedMaterial, KeyMaterialProvider, MaterialBinding, MaterialGenerator,
    MaterialImporter, MemoryProvider, OpenedKey, ProviderId,
};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::seal::RootKey;
use strongroom::store::RecordKind;
use strongroom::{Error, ErrorKind, Kms, ManualClock, Result, SecretBytes, Timestamp};

use crate::support::hooked_store::HookedStore;
use crate::support::stuck_anchor::StuckAnchor;
use crate::support::tampering_store::TamperingStore;

/// The vault, which outlives the processes that use it.
#[derive(Debug, Default)]
struct Vault {
    held: Mutex<BTreeMap<u8, SecretBytes>>,
    made: AtomicU8,
    is_down: AtomicBool,
    meanwhile: Mutex<Meanwhile>,
}

/// A concurrent event that happens while the vault creates the next key.
#[derive(Default)]
struct Meanwhile(Option<Box<dyn FnOnce() + Send>>);

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile(..)")
    }
}

impl Vault {
    fn count(&self) -> usize {
        self.held.lock().expect("no thread panics").len()
    }

    fn check(&self) -> Result<()> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::KeyUnavailable, "the vault does not answer")),
            false => Ok(()),
        }
    }
}

/// One process's connection to the vault.
#[derive(Debug)]
struct VaultProvider {
    vault: Arc<Vault>,
    id: ProviderId,
    origin: Origin,
    capabilities: Capabilities,
    software: MemoryProvider,
    /// Converts new material before the provider returns it.
    hands_over: fn(GeneratedMaterial) -> GeneratedMaterial,
    keeps_all: bool,
    /// The number of bytes by which its ciphertexts are longer than the plaintext, if it has its
    /// own ciphertexts.
    padding: Option<usize>,
}

impl VaultProvider {
    fn new(vault: &Arc<Vault>) -> Self {
        let kinds = vec![(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)];
        let (id, software) = (ProviderId::new("vault"), MemoryProvider::default());
        let capabilities = Capabilities::new(kinds, false);
        let (origin, keeps_all) = (Origin::Hsm, false);
        Self {
            vault: Arc::clone(vault),
            id,
            origin,
            capabilities,
            software,
            hands_over: |made| made,
            keeps_all,
            padding: None,
        }
    }
}

impl KeyMaterialProvider for VaultProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        self.vault.check()?;
        if let Some(padding) = self.padding {
            return Ok(OpenedKey::Cipher(Box::new(Padded(padding))));
        }
        let held = self.vault.held.lock().expect("no thread panics");
        let material = held.get(&stored.expose_secret()[0]);
        let material =
            material.ok_or_else(|| Error::new(ErrorKind::KeyUnavailable, "the vault does not have this key"))?;
        self.software.open(backend, binding, material)
    }

    fn destroy(&self, _: &MaterialBinding, stored: &SecretBytes) -> Result<()> {
        self.vault.check()?;
        self.vault.held.lock().expect("no thread panics").remove(&stored.expose_secret()[0]);
        Ok(())
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        Some(self)
    }

    fn unsupported_reason(&self, spec: KeySpec, _: KeyUsage) -> Option<String> {
        Some(format!("{spec} keys are too large for the vault"))
    }

    fn importer(&self) -> Option<&dyn MaterialImporter> {
        self.keeps_all.then_some(&self.software)?.importer()
    }
}

impl MaterialGenerator for VaultProvider {
    fn generate(&self, backend: &CryptoBackend, binding: &MaterialBinding) -> Result<GeneratedMaterial> {
        self.vault.check()?;
        let made = self.software.generator().expect("the provider generates keys").generate(backend, binding)?;
        let handle = self.vault.made.fetch_add(1, Ordering::SeqCst);
        self.vault.held.lock().expect("no thread panics").insert(handle, made.stored);
        let meanwhile = self.vault.meanwhile.lock().expect("no thread panics").0.take();
        meanwhile.into_iter().for_each(|happens| happens());
        Ok((self.hands_over)(GeneratedMaterial::secret(SecretBytes::copy_from_slice(&[handle]))))
    }
}

/// A provider's own ciphertexts, which are merely padded here.
struct Padded(usize);

impl Cipher for Padded {
    fn scheme(&self) -> CipherScheme {
        CipherScheme::Provider
    }

    fn seal(&self, _: &[u8], _: &[u8], plaintext: &[u8], output: &mut Vec<u8>) -> Result<()> {
        output.extend_from_slice(plaintext);
        output.resize(output.len() + self.0, 0);
        Ok(())
    }

    fn open(&self, _: &[u8], _: &[u8], body: &[u8]) -> Result<SecretBytes> {
        Ok(SecretBytes::copy_from_slice(&body[..body.len() - self.0]))
    }

    fn generate(&self, header: &[u8], context: &[u8], length: usize, output: &mut Vec<u8>) -> Result<SecretBytes> {
        let key = SecretBytes::zeroed(length);
        self.seal(header, context, key.expose_secret(), output)?;
        Ok(key)
    }
}

/// An audit sink that fails to record the outcome of deletions while it is set to.
#[derive(Debug, Default)]
struct Forgetful {
    trail: MemoryTrail,
    forgets: AtomicBool,
}

impl AuditSink for Forgetful {
    fn record(&self, event: AuditEvent) -> Result<()> {
        let is_outcome = event.action == Action::DeleteKey && event.outcome == Outcome::Success;
        if is_outcome && self.forgets.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Audit, "no space left"));
        }
        self.trail.record(event)
    }
}

struct World {
    store: Arc<TamperingStore>,
    clock: Arc<ManualClock>,
    vault: Arc<Vault>,
    trail: Arc<Forgetful>,
}

impl World {
    fn new() -> Self {
        Self {
            store: TamperingStore::new(),
            clock: Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000))),
            vault: Arc::default(),
            trail: Arc::default(),
        }
    }

    /// Returns the KMS of a process, with or without the vault.
    fn process(&self, has_vault: bool) -> Result<Kms> {
        let builder = Kms::builder()
            .store(Arc::clone(&self.store), RootKey::from_bytes(&[7; 32]))
            .clock(Arc::clone(&self.clock))
            .clock_tolerance(std::time::Duration::MAX)
            .audit(Arc::clone(&self.trail))
            .allow_insecure_test_keys();
        // In an `Arc`, as applications that share a provider pass it.
        if has_vault { builder.provider(Arc::new(VaultProvider::new(&self.vault))).build() } else { builder.build() }
    }

    /// Creates a key in the vault, uses it, and schedules its deletion.
    fn due_key(&self, kms: &Kms) -> Result<KeyId> {
        let key = kms.create_key(CreateKeyRequest::default().provider("vault"))?.key_id();
        let blob = kms.encrypt(EncryptRequest::new(key, b"text"))?.ciphertext_blob;
        assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"text");
        kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
        self.clock.advance_days(7);
        Ok(key)
    }

    fn destructions(&self) -> usize {
        self.store.state().records.keys().filter(|id| id.kind == RecordKind::Destruction).count()
    }

    /// Returns the vault's events in the audit trail.
    fn told(&self) -> Vec<(Outcome, String)> {
        let additional = |event: AuditEvent| {
            let place = event
                .additional
                .iter()
                .any(|(name, value)| *name == "keyMaterialProvider" && format!("{value:?}").contains("vault"));
            let status = event.additional.iter().find(|(name, _)| *name == "backingKeyDeletionStatus")?;
            place.then(|| (event.outcome, format!("{:?}", status.1)))
        };
        self.trail.trail.events().into_iter().filter_map(additional).collect()
    }
}

#[test]
fn what_a_provider_holds_of_a_deleted_key_is_destroyed_when_it_answers_again() -> Result<()> {
    let world = World::new();
    let kms = world.process(true)?;
    let key = world.due_key(&kms)?;
    world.vault.is_down.store(true, Ordering::SeqCst);
    for deleted in [1, 0] {
        let report = kms.run_maintenance()?;
        assert_eq!((report.deleted.len(), report.failed.len(), report.is_complete()), (deleted, 1, false));
        assert!(report.failed[0].0.to_string().ends_with(&key.to_string()), "{}", report.failed[0].0);
        assert!(report.failed[0].1.to_string().contains("does not answer"), "{}", report.failed[0].1);
        assert_eq!((world.vault.count(), world.destructions()), (1, 1));
    }
    assert_eq!(kms.describe_key(key).expect_err("the key was deleted").kind(), ErrorKind::NotFound);
    world.vault.is_down.store(false, Ordering::SeqCst);
    assert!(kms.run_maintenance()?.is_complete());
    assert_eq!((world.vault.count(), world.destructions()), (0, 0));
    let told = world.told();
    assert_eq!(told.len(), 3, "{told:?}");
    for (told, (outcome, status)) in told.iter().zip([(false, "FAILURE"), (false, "FAILURE"), (true, "SUCCESS")]) {
        assert!((told.0 == Outcome::Success) == outcome && told.1.contains(status), "{told:?}");
    }
    Ok(())
}

#[test]
fn a_destruction_that_cannot_be_noted_as_done_is_told_and_done_again() -> Result<()> {
    let mut done_and_not_noted = 0;
    for cut in 0.. {
        let world = World::new();
        let kms = world.process(true)?;
        world.due_key(&kms)?;
        world.store.fail_after(cut);
        let report = kms.run_maintenance();
        world.store.fail_after(u64::MAX);
        if report.as_ref().is_ok_and(MaintenanceReport::is_complete) {
            assert_eq!((world.vault.count(), world.destructions()), (0, 0));
            break;
        }
        if (world.vault.count(), world.destructions()) == (0, 1) {
            done_and_not_noted += 1;
            let report = report?;
            assert_eq!(report.failed.len(), 1, "{report:?}");
            assert_eq!(report.failed[0].1.kind(), ErrorKind::Store);
        }
        assert!(kms.run_maintenance()?.is_complete());
        assert_eq!((world.vault.count(), world.destructions()), (0, 0));
    }
    assert_eq!(done_and_not_noted, 1);
    Ok(())
}

#[test]
fn a_destruction_after_which_the_anchor_stays_is_done() -> Result<()> {
    let (world, anchor) = (World::new(), StuckAnchor::new());
    let store = HookedStore::new(world.store.clone());
    let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[7; 32]));
    let builder = builder.clock(Arc::clone(&world.clock)).clock_tolerance(std::time::Duration::MAX);
    let kms = builder.provider(VaultProvider::new(&world.vault)).anchor(Arc::clone(&anchor)).build()?;
    world.due_key(&kms)?;
    let (hooked, stuck) = (Arc::clone(&store), Arc::clone(&anchor));
    store.after_commit(RecordKind::Destruction, move || {
        hooked.before_commit(RecordKind::Destruction, move || {
            stuck.stop_after(0);
            Ok(())
        });
        Ok(())
    });
    let report = kms.run_maintenance()?;
    anchor.stop_after(u32::MAX);
    assert_eq!((report.deleted.len(), report.failed.len()), (1, 0), "{report:?}");
    assert_eq!((world.vault.count(), world.destructions()), (0, 0));
    Ok(())
}

#[test]
fn a_damaged_record_of_what_is_to_be_destroyed_keeps_nothing_else() -> Result<()> {
    let world = World::new();
    let kms = world.process(true)?;
    let keys = [world.due_key(&kms)?, world.due_key(&kms)?];
    world.vault.is_down.store(true, Ordering::SeqCst);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 2);
    world.vault.is_down.store(false, Ordering::SeqCst);
    let first = keys.iter().min_by_key(ToString::to_string).expect("there are two versions");
    let flip = || {
        world.store.change(|state| {
            let id =
                state.records.keys().find(|id| id.kind == RecordKind::Destruction).expect("the key exists").clone();
            let record = state.records.get_mut(&id).expect("the entry exists");
            let mut body = record.body.to_vec();
            body[9] ^= 1;
            record.body = body.into();
        });
    };
    flip();
    let report = kms.run_maintenance()?;
    assert_eq!((report.failed.len(), report.unfinished.len(), world.vault.count()), (1, 0, 1), "{report:?}");
    assert_eq!((report.failed[0].0.key_id(), report.failed[0].1.kind()), (*first, ErrorKind::Integrity));
    flip();
    assert!(kms.run_maintenance()?.is_complete());
    assert_eq!((world.vault.count(), world.destructions()), (0, 0));
    Ok(())
}

#[test]
fn a_process_without_the_provider_leaves_its_material_to_one_that_has_it() -> Result<()> {
    let world = World::new();
    world.due_key(&world.process(true)?)?;
    let without = world.process(false)?;
    let report = without.run_maintenance()?;
    assert_eq!((report.deleted.len(), report.failed.len()), (1, 1));
    assert!(report.failed[0].1.to_string().contains("the provider vault"), "{}", report.failed[0].1);
    assert!(without.verify_store(|_| {})?.is_intact());
    assert_eq!(world.vault.count(), 1);
    assert!(world.process(true)?.run_maintenance()?.is_complete());
    assert_eq!((world.vault.count(), world.destructions()), (0, 0));
    Ok(())
}

#[test]
fn a_trail_that_fails_after_a_deletion_keeps_no_material_in_a_provider() -> Result<()> {
    let world = World::new();
    let kms = world.process(true)?;
    let key = world.due_key(&kms)?;
    world.trail.forgets.store(true, Ordering::SeqCst);
    let report = kms.run_maintenance()?;
    assert_eq!((report.deleted.len(), report.failed.len(), report.unfinished.len()), (0, 1, 1));
    assert_eq!(report.unfinished[0].kind(), ErrorKind::Audit);
    for error in [&report.unfinished[0], &report.failed[0].1] {
        assert!(error.to_string().contains("was committed"), "{error}");
    }
    assert_eq!(kms.describe_key(key).expect_err("that was committed").kind(), ErrorKind::NotFound);
    assert_eq!(world.vault.count(), 0);
    world.trail.forgets.store(false, Ordering::SeqCst);
    assert!(kms.run_maintenance()?.is_complete());
    assert_eq!(world.destructions(), 0);
    Ok(())
}

#[test]
fn a_restored_key_that_was_deleted_since_goes_from_its_provider_too() -> Result<()> {
    let world = World::new();
    let kms = world.process(true)?;
    let key = kms.create_key(CreateKeyRequest::default().provider("vault"))?.key_id();
    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    let before = world.store.state();
    world.clock.advance_days(7);
    // The process that deletes the key cannot reach the vault.
    world.process(false)?.run_maintenance()?;
    let deletions = kms.export_deletions()?;
    assert_eq!(world.vault.count(), 1);
    drop(kms);
    world.store.change(|state| *state = before);
    assert_eq!(world.process(true)?.apply_deletions(&deletions, &[])?.deleted.len(), 1);
    assert_eq!((world.vault.count(), world.destructions()), (0, 0));
    Ok(())
}

#[test]
fn material_of_the_store_itself_is_never_written_down_again() -> Result<()> {
    let world = World::new();
    let kms = world.process(true)?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    world.clock.advance_days(7);
    // While the vault is down, any record for a provider would remain in the store.
    world.vault.is_down.store(true, Ordering::SeqCst);
    assert!(kms.run_maintenance()?.is_complete());
    assert_eq!((world.destructions(), world.told().len()), (0, 0));
    Ok(())
}

#[test]
fn a_key_that_is_refused_leaves_nothing_in_its_provider() -> Result<()> {
    let world = World::new();
    let kms = world.process(true)?;
    let request = || CreateKeyRequest::default().provider("vault");
    let locks_out = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*",
        "Principal":{"AWS":"arn:aws:iam::111122223333:user/nobody"}}]}"#;
    for refused in [
        request().policy("no policy"),
        request().policy(locks_out),
        request().description("x".repeat(10_000)),
        request().tag("aws:reserved", "x"),
        request().usage(KeyUsage::SignVerify),
    ] {
        let error = kms.create_key(refused).expect_err("the call is rejected");
        assert_eq!((world.vault.count(), world.vault.made.load(Ordering::SeqCst)), (0, 0), "{error}");
    }
    Ok(())
}

#[test]
fn a_key_whose_alias_is_taken_meanwhile_leaves_nothing_in_its_provider() -> Result<()> {
    let world = World::new();
    let (kms, other) = (world.process(true)?, world.process(true)?);
    let meanwhile = move || {
        other.create_key(CreateKeyRequest::default().alias("alias/a")).expect("no other thread uses the provider");
    };
    world.vault.meanwhile.lock().expect("no thread panics").0 = Some(Box::new(meanwhile));
    let error = kms.create_key(CreateKeyRequest::default().provider("vault").alias("alias/a")).expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!((world.vault.count(), world.vault.made.load(Ordering::SeqCst)), (0, 1));
    Ok(())
}

#[test]
fn material_that_has_no_place_in_a_record_is_refused_and_destroyed() -> Result<()> {
    type Case = (KeySpec, KeyUsage, fn(GeneratedMaterial) -> GeneratedMaterial, &'static str);
    fn padded(made: &GeneratedMaterial, length: usize) -> SecretBytes {
        let mut stored = made.stored.expose_secret().to_vec();
        stored.resize(length, 0);
        SecretBytes::from_vec(stored)
    }
    let (symmetric, encrypt) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
    let (pair, sign) = (KeySpec::EccNistP256, KeyUsage::SignVerify);
    let cases: [Case; 6] = [
        (symmetric, encrypt, |made| GeneratedMaterial::secret(padded(&made, 16_000)), ""),
        (symmetric, encrypt, |made| GeneratedMaterial::secret(padded(&made, 16_001)), "returned 16001 bytes to store"),
        (symmetric, encrypt, |made| GeneratedMaterial::key_pair(made.stored, vec![1]), "returned a public key for"),
        (pair, sign, |made| made, "returned no public key"),
        (pair, sign, |made| GeneratedMaterial::key_pair(made.stored, vec![1; 8_192]), ""),
        (pair, sign, |made| GeneratedMaterial::key_pair(made.stored, vec![1; 8_193]), "a public key of 8193 bytes"),
    ];
    for (spec, usage, hands_over, refusal) in cases {
        let world = World::new();
        let mut provider = VaultProvider::new(&world.vault);
        provider.capabilities.generates.push((pair, sign));
        provider.hands_over = hands_over;
        let kms = Kms::builder().provider(provider).build()?;
        let made = kms.create_key(CreateKeyRequest::default().provider("vault").spec(spec).usage(usage));
        assert_eq!((made.is_ok(), world.vault.count() == 1), (refusal.is_empty(), refusal.is_empty()), "{made:?}");
        if let Err(error) = made {
            assert!(error.kind() == ErrorKind::Internal && error.to_string().contains(refusal), "{error}");
            assert_eq!(world.vault.made.load(Ordering::SeqCst), 1);
        }
    }
    Ok(())
}

#[test]
fn a_ciphertext_that_nobody_would_take_back_is_not_given_out() -> Result<()> {
    for (padding, opens) in [(2_026, true), (2_027, false)] {
        let world = World::new();
        let provider = VaultProvider { padding: Some(padding), ..VaultProvider::new(&world.vault) };
        let kms = Kms::builder().provider(provider).build()?;
        let key = kms.create_key(CreateKeyRequest::default().provider("vault"))?.key_id();
        match kms.encrypt(EncryptRequest::new(key, &[7; 4_096])) {
            Ok(made) => {
                let opened = kms.decrypt(DecryptRequest::new(&made.ciphertext_blob))?;
                assert_eq!((opened.plaintext.expose_secret(), opens), (&[7; 4_096][..], true));
            }
            Err(error) => assert_eq!((error.kind(), opens), (ErrorKind::Internal, false), "{error}"),
        }
    }
    Ok(())
}

#[test]
fn a_kind_of_key_that_a_provider_does_not_make_is_refused_with_its_reason() -> Result<()> {
    let world = World::new();
    let mut provider = VaultProvider::new(&world.vault);
    // No operation requests this of keys of this origin, so such a key would be useless.
    let (pair, agree) = (KeySpec::EccNistP256, KeyUsage::KeyAgreement);
    provider.capabilities.generates.push((pair, agree));
    let kms = Kms::builder().provider(Arc::new(provider)).build()?;
    let hmac = (KeySpec::Hmac256, KeyUsage::GenerateVerifyMac);
    for ((spec, usage), reason) in
        [((pair, agree), "do not support key agreement"), (hmac, "HMAC_256 keys are too large")]
    {
        let refused = kms.create_key(CreateKeyRequest::default().provider("vault").spec(spec).usage(usage));
        let refused = refused.expect_err("the provider does not support such keys");
        assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation);
        assert!(refused.to_string().contains(reason), "{refused}");
    }
    assert_eq!(world.vault.made.load(Ordering::SeqCst), 0);
    Ok(())
}

#[test]
fn a_provider_that_keeps_nothing_elsewhere_is_never_asked_to_destroy() -> Result<()> {
    for was_there in [true, false] {
        let world = World::new();
        let process = || {
            let provider = VaultProvider { keeps_all: true, ..VaultProvider::new(&world.vault) };
            let builder = Kms::builder().store(Arc::clone(&world.store), RootKey::from_bytes(&[7; 32]));
            builder
                .clock(Arc::clone(&world.clock))
                .clock_tolerance(std::time::Duration::MAX)
                .audit(Arc::clone(&world.trail))
                .provider(provider)
                .build()
        };
        let kms = process()?;
        world.due_key(&kms)?;
        let report = if was_there { kms.run_maintenance()? } else { world.process(false)?.run_maintenance()? };
        assert_eq!((report.deleted.len(), world.destructions()), (1, usize::from(!was_there)));
        assert!(process()?.run_maintenance()?.is_complete());
        assert_eq!((world.destructions(), world.vault.count()), (0, 1), "destroy would have removed the key");
    }
    Ok(())
}

#[test]
fn a_key_that_rotates_stays_with_its_provider() -> Result<()> {
    for rotates in [true, false] {
        let world = World::new();
        let mut provider = VaultProvider::new(&world.vault);
        (provider.origin, provider.capabilities.rotates) = (Origin::Kms, rotates);
        let store = (Arc::clone(&world.store), RootKey::from_bytes(&[7; 32]));
        let builder = Kms::builder()
            .store(store.0, store.1)
            .clock(Arc::clone(&world.clock))
            .clock_tolerance(std::time::Duration::MAX);
        let kms = builder.provider(provider).build()?;
        let key = kms.create_key(CreateKeyRequest::default().provider("vault"))?;
        assert_eq!((key.origin(), world.vault.count()), (Origin::Kms, 1));
        let before = kms.encrypt(EncryptRequest::new(key.key_id(), b"before"))?.ciphertext_blob;
        let period = RotationPeriod::from_days(90)?;
        if !rotates {
            for refused in
                [kms.rotate_key_on_demand(key.key_id()).map(drop), kms.enable_key_rotation(key.key_id(), period)]
            {
                assert_eq!(refused.expect_err("one version").kind(), ErrorKind::UnsupportedOperation);
            }
            assert_eq!(world.vault.count(), 1);
            continue;
        }
        kms.rotate_key_on_demand(key.key_id())?;
        kms.enable_key_rotation(key.key_id(), period)?;
        world.clock.advance_days(90);
        assert_eq!(kms.run_maintenance()?.rotated.len(), 1);
        assert_eq!(world.vault.count(), 3);
        let after = kms.encrypt(EncryptRequest::new(key.key_id(), b"after"))?.ciphertext_blob;
        for (blob, text) in [(before, "before"), (after, "after")] {
            assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), text.as_bytes());
        }
        // A key of the library's own provider is not affected by the other provider of its origin.
        kms.create_key(CreateKeyRequest::default())?;
        assert_eq!(world.vault.count(), 3);
        kms.schedule_key_deletion(key.key_id(), DeletionWindow::from_days(7)?)?;
        world.clock.advance_days(7);
        assert!(kms.run_maintenance()?.is_complete());
        assert_eq!(world.vault.count(), 0);
    }
    Ok(())
}

#[test]
fn a_rotation_that_was_announced_and_then_fails_has_an_outcome() -> Result<()> {
    let world = World::new();
    let process = || {
        let mut provider = VaultProvider::new(&world.vault);
        (provider.origin, provider.capabilities.rotates) = (Origin::Kms, true);
        let builder = Kms::builder().store(Arc::clone(&world.store), RootKey::from_bytes(&[7; 32]));
        builder
            .clock(Arc::clone(&world.clock))
            .clock_tolerance(std::time::Duration::MAX)
            .audit(Arc::clone(&world.trail))
            .provider(provider)
            .build()
    };
    let (kms, other) = (process()?, process()?);
    let key = kms.create_key(CreateKeyRequest::default().provider("vault"))?.key_id();
    kms.enable_key_rotation(key, RotationPeriod::from_days(90)?)?;
    world.clock.advance_days(90);
    // Another change is committed first, and the vault does not answer when the rotation is
    // retried.
    let vault = Arc::clone(&world.vault);
    let meanwhile = move || {
        other.update_key_description(key, "changed").expect("no other thread uses the provider");
        vault.is_down.store(true, Ordering::SeqCst);
    };
    world.vault.meanwhile.lock().expect("no thread panics").0 = Some(Box::new(meanwhile));
    assert_eq!(kms.run_maintenance()?.failed.len(), 1);
    let told = world.trail.trail.events().into_iter().filter(|event| event.action == Action::RotateKey);
    let told: Vec<_> = told.map(|event| (event.change.is_some(), event.outcome, event.message.is_some())).collect();
    let failed = Outcome::Failure(ErrorKind::KeyUnavailable);
    assert_eq!(told, [(true, Outcome::Intent, false), (true, failed, true)]);
    Ok(())
}

#[test]
fn a_key_is_made_in_one_place_that_is_known() -> Result<()> {
    let world = World::new();
    let kms = world.process(true)?;
    let request = CreateKeyRequest::default;
    let store = CustomKeyStoreId::parse("cks-1234567890abcdef0")?;
    for refused in [
        request().provider("Vault"),
        request().provider("imported"),
        request().provider("vault").custom_key_store(store),
        request().origin(Origin::Hsm),
    ] {
        let error = kms.create_key(refused).expect_err("the call is rejected");
        assert_eq!((error.kind(), world.vault.count()), (ErrorKind::Validation, 0), "{error}");
    }
    let mut importing = VaultProvider::new(&world.vault);
    importing.origin = Origin::External;
    let refused = Kms::builder().provider(importing).build().expect_err("imported material is stored in the store");
    assert_eq!(refused.kind(), ErrorKind::Validation, "{refused}");
    let export = kms.create_key(request().provider("vault"))?.key_id();
    let created = world.trail.trail.events().into_iter().rfind(|event| event.action.to_string() == "CreateKey");
    assert!(format!("{created:?}").contains("keyMaterialProvider"), "{created:?}");
    let refused = kms.create_insecure_test_key(export, request().provider("vault"), &[&[7; 32]]);
    assert_eq!(refused.expect_err("the provider does not know the material").kind(), ErrorKind::Validation);
    Ok(())
}
