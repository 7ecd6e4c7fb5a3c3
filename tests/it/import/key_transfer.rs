//! Transfer of keys between stores: transferred data, rejected transfers, and atomicity.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use strongroom::algorithm::EncapsulationAlgorithm;
use strongroom::audit::{Action, MemoryTrail, Outcome};
use strongroom::crypto::{CryptoBackend, FASTEST, KeyPairKind, PrivateKey};
use strongroom::export::{ExportError, ExportIdentity, ExportRecipient};
use strongroom::identity::{AccountId, Locality, Principal};
use strongroom::key::{
    AliasArn, DeletionWindow, KeyArn, KeyId, KeySpec, KeyState, KeyUsage, Operation, Origin, RotationPeriod,
};
use strongroom::policy::GrantTerms;
use strongroom::provider::{
    Capabilities, KeyMaterialProvider, MaterialBinding, MaterialGenerator, MaterialImporter, MemoryProvider, OpenedKey,
    ProviderId,
};
use strongroom::request::{
    CreateGrantRequest, CreateKeyRequest, DecapsulateRequest, DecryptRequest, EncapsulateRequest, EncryptRequest,
    IncludeKeyMaterial, PageRequest, SignRequest, VerifyRequest,
};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, Revision};
use strongroom::{ErrorKind, Kms, KmsLimits, ManualClock, Result, SecretBytes, Timestamp};

use crate::import::key_material::{import_bytes, waiting};
use crate::support::any_store;
use crate::support::backend;
use crate::support::custom_key_stores::setup;

/// A shared recipient, because its key is slow to generate.
static RECIPIENT: LazyLock<Box<dyn PrivateKey>> = LazyLock::new(rsa_key);

fn rsa_key() -> Box<dyn PrivateKey> {
    FASTEST.key_pairs().generate(KeyPairKind::Rsa2048, FASTEST.random()).expect("a key")
}

fn recipient() -> ExportRecipient {
    ExportRecipient::rsa(&RECIPIENT.public_key_der()).expect("an RSA key")
}

fn identity() -> ExportIdentity {
    ExportIdentity::rsa(&RECIPIENT.to_pkcs8().expect("a key")).expect("an RSA key")
}

struct Place {
    kms: Kms,
    store: Arc<dyn KeyStore>,
    trail: Arc<MemoryTrail>,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Result<Self> {
        let store = any_store::new()?;
        let trail = Arc::new(MemoryTrail::default());
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_000_000)));
        let kms = Kms::builder()
            .store(Arc::clone(&store), RootKey::generate())
            .audit(Arc::clone(&trail))
            .clock(Arc::clone(&clock))
            .clock_tolerance(std::time::Duration::MAX)
            .allow_insecure_test_keys()
            .build()?;
        Ok(Self { kms, store, trail, clock })
    }

    fn revision(&self) -> Revision {
        self.store.revision().expect("the memory store does not fail")
    }
}

/// Returns the exact reason why an export does not open.
fn reason(result: Result<impl std::fmt::Debug>) -> ExportError {
    let error = result.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidExport, "{error:?}");
    error.downcast_ref::<ExportError>().expect("an ExportError").clone()
}

#[test]
fn everything_that_belongs_to_a_key_goes_along() -> Result<()> {
    let (here, there) = (Place::new()?, Place::new()?);
    let key = here.kms.create_key(CreateKeyRequest::default().description("größer").tag("team", "billing"))?.key_id();
    here.kms.create_alias("alias/one", key)?;
    here.kms.create_alias("alias/two", key)?;
    let old = here.kms.encrypt(EncryptRequest::new(key, b"old"))?.ciphertext_blob;
    here.kms.rotate_key_on_demand(key)?;
    let new = here.kms.encrypt(EncryptRequest::new(key, b"new"))?.ciphertext_blob;
    here.kms.enable_key_rotation(key, RotationPeriod::from_days(100)?)?;

    let export = here.kms.export_key("alias/one", &recipient())?;
    assert_eq!((export.keys.len(), export.omitted.len()), (1, 0));
    there.clock.advance_days(1);
    assert_eq!(there.kms.import_keys(&export.file, &identity())?, export.keys);

    for (blob, text) in [(&old, b"old"), (&new, b"new")] {
        assert_eq!(there.kms.decrypt(DecryptRequest::new(blob))?.plaintext.expose_secret(), text);
    }
    let same = |kms: &Kms| -> Result<_> {
        let all = PageRequest::default();
        let metadata = kms.describe_key(key)?;
        Ok((
            (metadata.arn().clone(), metadata.creation_date(), metadata.state(), metadata.description().clone()),
            kms.list_resource_tags(key, all.clone())?,
            kms.list_aliases_of_key(key, all.clone())?,
            kms.get_key_rotation_status(key)?,
            kms.list_key_rotations(key, IncludeKeyMaterial::RotationsOnly, all)?.entries.len(),
        ))
    };
    assert_eq!(same(&here.kms)?, same(&there.kms)?);
    let ids = |kms: &Kms| Ok::<_, strongroom::Error>(kms.describe_key(key)?.current_key_material_id());
    assert!(ids(&here.kms)?.is_some() && ids(&here.kms)? != ids(&there.kms)?, "each store has its own material ids");
    Ok(())
}

#[test]
fn a_key_is_exported_by_every_name_that_it_has_here_and_by_none_from_elsewhere() -> Result<()> {
    let here = Place::new()?;
    let arn = here.kms.create_key(CreateKeyRequest::default())?.arn().clone();
    here.kms.create_alias("alias/one", &arn)?;
    let named = |locality: &Locality| -> Result<[String; 2]> {
        let alias = AliasArn::new(locality.clone(), arn.account(), "alias/one".parse()?);
        Ok([KeyArn::new(locality.clone(), arn.account(), arn.key_id()).to_string(), alias.to_string()])
    };
    let local = [arn.key_id().to_string(), "alias/one".to_owned()];
    for name in local.iter().chain(&named(here.kms.locality())?) {
        let exported = here.kms.export_key(name.as_str(), &recipient())?;
        assert_eq!(exported.keys, std::slice::from_ref(&arn), "{name}");
    }
    for name in named(&Locality::new("aws", "eu-central-9")?)? {
        let refused = here.kms.export_key(name.as_str(), &recipient()).expect_err("the ARN has another region");
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{name}");
    }
    Ok(())
}

#[test]
fn a_key_in_an_hsm_does_not_leave_and_is_not_made_from_known_material() -> Result<()> {
    let setup = setup()?;
    let (store, in_hsm) = setup.store_with_key()?;
    let kms = &setup.kms;
    let here = kms.create_key(CreateKeyRequest::default())?;
    kms.create_alias("alias/hsm", in_hsm)?;
    for connected in [true, false] {
        let by_id = kms.export_key(in_hsm, &recipient()).expect_err("its material is in the HSM");
        assert_eq!(by_id.kind(), ErrorKind::UnsupportedOperation, "{by_id}");
        let by_alias = kms.export_key("alias/hsm", &recipient()).expect_err("its material is in the HSM");
        assert_eq!((by_alias.kind(), by_alias.to_string()), (by_id.kind(), by_id.to_string()));
        let all = kms.export_all_keys(&recipient())?;
        assert_eq!(all.keys, [here.arn().clone()]);
        assert_eq!(all.omitted, [kms.describe_key(in_hsm)?.arn().clone()]);
        if connected {
            kms.disconnect_custom_key_store(store)?;
        }
    }
    // A key whose waiting period has ended no longer exists, so it is not reported as left behind.
    kms.schedule_key_deletion(in_hsm, DeletionWindow::default())?;
    setup.clock.advance_days(30);
    let all = kms.export_all_keys(&recipient())?;
    assert_eq!((all.keys.len(), all.omitted.len()), (1, 0));
    let exports = setup.trail.events().iter().filter(|event| event.action == Action::ExportKey).count();
    assert_eq!(exports, 3, "each private key is for the other public key");
    let in_store = CreateKeyRequest::default().custom_key_store(store);
    for request in [in_store.clone(), in_store.origin(Origin::Kms)] {
        let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
        let refused =
            kms.create_insecure_test_key(id, request, &[&[7; 32]]).expect_err("the material would not be in the HSM");
        assert_eq!(refused.kind(), ErrorKind::Validation, "{refused}");
    }
    Ok(())
}

/// A software provider whose ID and origin differ from those of `MemoryProvider`.
#[derive(Debug)]
struct Elsewhere {
    id: ProviderId,
    origin: Origin,
    software: MemoryProvider,
    imports: bool,
}

impl Elsewhere {
    fn new(origin: Origin, imports: bool) -> Self {
        Self { id: ProviderId::new("elsewhere"), origin, software: MemoryProvider::default(), imports }
    }
}

impl KeyMaterialProvider for Elsewhere {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn capabilities(&self) -> &Capabilities {
        self.software.capabilities()
    }

    fn open(&self, backend: &CryptoBackend, binding: &MaterialBinding, stored: &SecretBytes) -> Result<OpenedKey> {
        self.software.open(backend, binding, stored)
    }

    fn destroy(&self, binding: &MaterialBinding, stored: &SecretBytes) -> Result<()> {
        self.software.destroy(binding, stored)
    }

    fn generator(&self) -> Option<&dyn MaterialGenerator> {
        self.software.generator()
    }

    fn importer(&self) -> Option<&dyn MaterialImporter> {
        self.imports.then_some(&self.software)?.importer()
    }
}

/// Anything else that a provider stores may be a reference, which is of no use elsewhere.
#[test]
fn a_key_leaves_a_provider_of_software_keys_that_takes_them_back_and_no_other() -> Result<()> {
    for (origin, imports) in [(Origin::Kms, true), (Origin::Kms, false), (Origin::Hsm, true), (Origin::Hsm, false)] {
        let kms = any_store::builder().provider(Elsewhere::new(origin, imports)).build()?;
        let key = kms.create_key(CreateKeyRequest::default().provider("elsewhere"))?;
        let all = kms.export_all_keys(&recipient())?;
        if origin == Origin::Kms && imports {
            assert_eq!((all.keys, all.omitted), (vec![key.arn().clone()], Vec::new()));
            continue;
        }
        let refused = kms.export_key(key.key_id(), &recipient()).expect_err("its material is not in the store");
        assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation, "{origin:?} {imports}: {refused}");
        assert_eq!((all.keys, all.omitted), (Vec::new(), vec![key.arn().clone()]));
    }
    Ok(())
}

#[test]
fn a_key_comes_in_only_where_its_provider_is_configured_with_its_origin() -> Result<()> {
    let here = any_store::builder().provider(Elsewhere::new(Origin::Kms, true)).build()?;
    let key = here.create_key(CreateKeyRequest::default().provider("elsewhere"))?.key_id();
    let sealed = here.encrypt(EncryptRequest::new(key, b"text"))?.ciphertext_blob;
    let file = here.export_key(key, &recipient())?.file;
    let in_hsm = any_store::builder().provider(Elsewhere::new(Origin::Hsm, true)).build()?;
    for there in [any_store::kms()?, in_hsm] {
        let found = reason(there.import_keys(&file, &identity()));
        let ExportError::Malformed { reason } = &found else { panic!("{found:?}") };
        assert!(reason.contains("has material of a provider that is not configured here"), "{reason}");
        assert_eq!(there.describe_key(key).expect_err("it is not there").kind(), ErrorKind::NotFound);
    }
    let there = any_store::builder().provider(Elsewhere::new(Origin::Kms, true)).build()?;
    there.import_keys(&file, &identity())?;
    assert_eq!(there.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"text");
    Ok(())
}

#[test]
fn keys_of_every_spec_do_there_what_they_did_here() -> Result<()> {
    if backend::lacks("keys_of_every_spec_do_there_what_they_did_here", &["secp256k1"]) {
        return Ok(());
    }
    let (here, there) = (Place::new()?, Place::new()?);
    let mut keys = Vec::new();
    for &spec in KeySpec::ALL {
        // The larger RSA keys are slow to generate and take the same code path.
        if !matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096) {
            keys.push(here.kms.create_key(CreateKeyRequest::default().spec(spec).usage(spec.usages()[0]))?);
        }
    }
    let export = here.kms.export_all_keys(&recipient())?;
    assert_eq!(export.keys.len(), keys.len());
    let arrived: BTreeSet<String> =
        there.kms.import_keys(&export.file, &identity())?.iter().map(ToString::to_string).collect();
    assert_eq!(arrived, keys.iter().map(|key| key.arn().to_string()).collect());
    for key in keys {
        if key.usage() == KeyUsage::SignVerify {
            let algorithm = key.spec().signing_algorithms(key.usage())[0];
            let signature = there.kms.sign(SignRequest::new(key.key_id(), algorithm, b"text"))?.signature;
            here.kms.verify(VerifyRequest::new(key.key_id(), algorithm, b"text", &signature))?;
        }
        if key.usage() == KeyUsage::GenerateVerifyMac {
            let mac = |kms: &Kms| {
                let algorithm = key.spec().mac_algorithms(key.usage())[0];
                kms.generate_mac(strongroom::request::GenerateMacRequest::new(key.key_id(), algorithm, b"text"))
            };
            assert_eq!(mac(&here.kms)?.mac, mac(&there.kms)?.mac);
        }
        if key.usage() == KeyUsage::EncapsulateDecapsulate {
            let sent = here.kms.encapsulate(EncapsulateRequest::new(key.key_id(), EncapsulationAlgorithm::MlKem))?;
            let blob = &sent.shared_secret_ciphertext_blob;
            let request = DecapsulateRequest::new(key.key_id(), EncapsulationAlgorithm::MlKem, blob);
            assert_eq!(there.kms.decapsulate(request)?.shared_secret, sent.shared_secret);
        }
    }
    Ok(())
}

#[test]
fn states_and_imported_material_arrive_as_they_were() -> Result<()> {
    let (here, there) = (Place::new()?, Place::new()?);
    let disabled = here.kms.create_key(Default::default())?.key_id();
    here.kms.disable_key(disabled)?;
    let doomed = here.kms.create_key(Default::default())?.key_id();
    here.kms.schedule_key_deletion(doomed, DeletionWindow::MIN)?;
    let symmetric = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
    let empty = waiting(&here.kms, symmetric)?;
    let full = waiting(&here.kms, symmetric)?;
    import_bytes(&here.kms, full, &[5; 32], Some(Timestamp::from_unix_millis(9_000_000_000)))?;
    let sealed = here.kms.encrypt(EncryptRequest::new(full, b"text"))?.ciphertext_blob;

    let export = here.kms.export_all_keys(&recipient())?;
    assert_eq!(export.without_material, [here.kms.describe_key(empty)?.arn().clone()]);
    assert_eq!((export.keys.len(), export.omitted.len()), (4, 0));
    let alone = here.kms.export_key(full, &recipient())?;
    assert_eq!((alone.keys.len(), alone.without_material.len()), (1, 0));
    let shown = format!("{alone:?}");
    assert!(shown.contains(&format!("file: {} bytes", alone.file.len())) && shown.len() < 300, "{shown}");
    there.kms.import_keys(&export.file, &identity())?;
    let state = |key: KeyId| Ok::<_, strongroom::Error>(there.kms.describe_key(key)?.state());
    assert_eq!(state(disabled)?, KeyState::Disabled);
    assert_eq!(state(doomed)?, KeyState::PendingDeletion);
    assert_eq!(state(empty)?, KeyState::PendingImport);
    assert_eq!(there.kms.describe_key(full)?.valid_to(), here.kms.describe_key(full)?.valid_to());
    assert_eq!(there.kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"text");
    // The same material is recognized again, under its id in this store.
    import_bytes(&there.kms, full, &[5; 32], None)?;
    assert!(import_bytes(&there.kms, full, &[6; 32], None).is_err());
    Ok(())
}

#[test]
fn a_key_stays_while_imported_material_of_it_is_not_there() -> Result<()> {
    let here = Place::new()?;
    let key = waiting(&here.kms, (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt))?;
    import_bytes(&here.kms, key, &[5; 32], Some(Timestamp::from_unix_millis(9_000_000_000)))?;
    let sealed = here.kms.encrypt(EncryptRequest::new(key, b"text"))?.ciphertext_blob;
    here.clock.set(Timestamp::from_unix_millis(9_000_000_001));
    let stays = || {
        let refused = here.kms.export_key(key, &recipient()).expect_err("the material is missing").kind();
        Ok::<_, strongroom::Error>((refused, here.kms.export_all_keys(&recipient())?.omitted.len()))
    };
    assert_eq!(stays()?, (ErrorKind::InvalidState, 1), "the material has expired");
    here.kms.run_maintenance()?;
    assert_eq!(stays()?, (ErrorKind::InvalidState, 1), "and deleted");

    import_bytes(&here.kms, key, &[5; 32], None)?;
    let there = Place::new()?;
    there.kms.import_keys(&here.kms.export_key(key, &recipient())?.file, &identity())?;
    there.kms.delete_imported_key_material(key, None)?;
    import_bytes(&there.kms, key, &[5; 32], None)?;
    assert_eq!(there.kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"text");
    Ok(())
}

#[test]
fn grants_stay_and_are_not_counted_elsewhere() -> Result<()> {
    let limits = KmsLimits { grants_per_key: 1, ..KmsLimits::default() };
    let (here, there) = (any_store::builder().limits(limits).build()?, any_store::builder().limits(limits).build()?);
    let key = here.create_key(Default::default())?.key_id();
    let terms = GrantTerms::new(Principal::user(AccountId::default(), "alice")?, [Operation::Encrypt])?;
    let grant = |kms: &Kms| kms.create_grant(CreateGrantRequest::new(key, terms.clone())).map(drop);
    grant(&here)?;
    there.import_keys(&here.export_key(key, &recipient())?.file, &identity())?;
    assert!(there.list_grants(key, Default::default(), Default::default())?.entries.is_empty());
    grant(&there)
}

#[test]
fn a_key_or_an_alias_that_is_there_already_stops_the_whole_import() -> Result<()> {
    let (here, there) = (Place::new()?, Place::new()?);
    let first = here.kms.create_key(Default::default())?;
    let second = here.kms.create_key(Default::default())?;
    here.kms.create_alias("alias/taken", second.key_id())?;
    let all = here.kms.export_all_keys(&recipient())?.file;

    there.kms.import_keys(&here.kms.export_key(first.key_id(), &recipient())?.file, &identity())?;
    let before = there.revision();
    let refused = there.kms.import_keys(&all, &identity()).expect_err("one key already exists");
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert!(refused.to_string().contains(&first.arn().to_string()), "{refused}");

    let elsewhere = Place::new()?;
    let key = elsewhere.kms.create_key(Default::default())?;
    elsewhere.kms.create_alias("alias/taken", key.key_id())?;
    let refused = elsewhere.kms.import_keys(&all, &identity()).expect_err("the alias already exists");
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert!(refused.to_string().contains("alias/taken"), "{refused}");
    assert_eq!(elsewhere.kms.describe_key(first.key_id()).expect_err("not imported").kind(), ErrorKind::NotFound);
    assert_eq!(there.revision(), before);
    assert_eq!(there.kms.describe_key(second.key_id()).expect_err("not imported").kind(), ErrorKind::NotFound);
    Ok(())
}

#[test]
fn a_key_that_was_deleted_does_not_come_back() -> Result<()> {
    let here = Place::new()?;
    let key = here.kms.create_key(Default::default())?.key_id();
    let export = here.kms.export_key(key, &recipient())?.file;
    here.kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    here.clock.advance_days(7);
    assert_eq!(
        here.kms.export_key(key, &recipient()).expect_err("the material has expired").kind(),
        ErrorKind::NotFound
    );
    here.kms.run_maintenance()?;
    let refused = here.kms.import_keys(&export, &identity()).expect_err("deleted");
    assert_eq!(refused.kind(), ErrorKind::InvalidState);
    let seeded = here.kms.create_insecure_test_key(key, Default::default(), &[&[7; 32]]);
    assert_eq!(seeded.expect_err("deleted").kind(), ErrorKind::InvalidState);
    Ok(())
}

#[test]
fn damage_another_key_and_an_alteration_are_told_apart_and_change_nothing() -> Result<()> {
    let (here, there) = (Place::new()?, Place::new()?);
    let key = here.kms.create_key(Default::default())?.key_id();
    let file = here.kms.export_key(key, &recipient())?.file;
    let before = there.revision();
    let import = |file: &[u8]| there.kms.import_keys(file, &identity());

    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        let expected = match at {
            0..8 => ExportError::NotAnExport,
            8 => ExportError::NewerFormat { found: 0, known: 1 },
            _ => ExportError::Damaged,
        };
        assert_eq!(reason(import(&damaged)), expected, "byte {at}");
        let cut = reason(import(&file[..at]));
        assert!(matches!(cut, ExportError::NotAnExport | ExportError::Damaged), "{at} bytes: {cut:?}");
    }
    assert_eq!(reason(import(&[&file[..], &[0]].concat())), ExportError::Damaged);

    // An attacker who alters the file recomputes the checksum.
    for at in 9..file.len() - 32 {
        let mut altered = file.clone();
        altered[at] ^= 1;
        let content = altered.len() - 32;
        let digest = FASTEST.digest().digest(strongroom::crypto::DigestAlgorithm::Sha256, &[&altered[..content]]);
        altered[content..].copy_from_slice(digest.as_ref());
        let found = reason(import(&altered));
        let is_fitting = matches!(
            found,
            ExportError::Altered
                | ExportError::WrongKey
                | ExportError::RecipientMismatch { .. }
                | ExportError::Malformed { .. }
        );
        assert!(is_fitting, "byte {at}: {found:?}");
    }

    let other = ExportIdentity::rsa(&rsa_key().to_pkcs8()?)?;
    assert_eq!(reason(there.kms.import_keys(&file, &other)), ExportError::WrongKey);
    assert_eq!(there.revision(), before);
    assert_eq!(import(&file)?.len(), 1);
    Ok(())
}

#[cfg(feature = "passphrase")]
#[test]
fn a_wrong_passphrase_is_told_apart_from_damage() -> Result<()> {
    if backend::lacks("a_wrong_passphrase_is_told_apart_from_damage", &["Argon2id"]) {
        return Ok(());
    }
    let (here, there) = (Place::new()?, Place::new()?);
    let key = here.kms.create_key(Default::default())?.key_id();
    let cost = strongroom::seal::PassphraseCost::new(64, 1, 1)?;
    let file = here.kms.export_key(key, &ExportRecipient::passphrase_with_cost("correct horse", cost)?)?.file;
    let import = |file: &[u8], passphrase| there.kms.import_keys(file, &ExportIdentity::passphrase(passphrase));
    assert_eq!(reason(import(&file, "correct hose")), ExportError::WrongPassphrase);
    assert!(matches!(reason(import(&file, "")), ExportError::UnsuitablePassphrase { .. }));
    let mut damaged = file.clone();
    damaged[60] ^= 1;
    assert_eq!(reason(import(&damaged, "correct horse")), ExportError::Damaged);
    let other = ExportError::RecipientMismatch { recipient: "a passphrase", given: "an RSA key" };
    assert_eq!(reason(there.kms.import_keys(&file, &identity())), other);
    assert_eq!(import(&file, "correct horse")?.len(), 1);
    assert_eq!(ExportRecipient::passphrase("").expect_err("empty").kind(), ErrorKind::Validation);
    Ok(())
}

#[test]
fn only_the_authority_exports_imports_and_applies_deletions() -> Result<()> {
    let here = Place::new()?;
    let key = here.kms.create_key(Default::default())?.key_id();
    let file = here.kms.export_key(key, &recipient())?.file;
    let narrowed = here.kms.as_principal(Principal::root(Default::default()))?;
    let refused = [
        narrowed.export_key(key, &recipient()).map(drop),
        narrowed.export_all_keys(&recipient()).map(drop),
        narrowed.import_keys(&file, &identity()).map(drop),
        narrowed.export_deletions().map(drop),
        narrowed.apply_deletions(&[], &[]).map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.expect_err("narrowed").kind(), ErrorKind::AccessDenied);
    }
    Ok(())
}

#[test]
fn exports_and_imports_stand_in_the_audit_trail_key_by_key() -> Result<()> {
    let (here, there) = (Place::new()?, Place::new()?);
    let keys: BTreeSet<KeyId> =
        (0..3).map(|_| Ok(here.kms.create_key(Default::default())?.key_id())).collect::<Result<_>>()?;
    let export = here.kms.export_all_keys(&recipient())?;
    there.kms.import_keys(&export.file, &identity())?;
    let keys_of = |trail: &MemoryTrail, action| -> BTreeSet<KeyId> {
        let events = trail.events().into_iter().filter(|event| event.action == action);
        events.filter_map(|event| event.keys[0].map(|key| key.key_id)).collect()
    };
    assert_eq!(keys_of(&here.trail, Action::ExportKey), keys);
    assert_eq!(keys_of(&there.trail, Action::ImportKeys), keys);
    let outcomes: Vec<Outcome> = there
        .trail
        .events()
        .into_iter()
        .filter(|event| event.action == Action::ImportKeys && event.change.is_some())
        .map(|event| event.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::Intent, Outcome::Success]);
    Ok(())
}

#[test]
fn known_keys_are_the_same_in_every_run_and_refuse_what_is_no_key() -> Result<()> {
    let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
    let versions: [&[u8]; 2] = [&[1; 32], &[2; 32]];
    let known = || any_store::builder().allow_insecure_test_keys().build();
    let (one, two) = (known()?, known()?);
    let made = one.create_insecure_test_key(id, CreateKeyRequest::default().description("known"), &versions)?;
    assert_eq!((made.key_id(), made.state(), made.origin()), (id, KeyState::Enabled, Origin::Kms));
    two.create_insecure_test_key(id, CreateKeyRequest::default(), &versions)?;
    let sealed = one.encrypt(EncryptRequest::new(id, b"text"))?.ciphertext_blob;
    assert_eq!(two.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"text");

    let read_only = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "kms:*", "Resource": "*"},
        {"Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"}]}"#;
    let guarded = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ad")?;
    one.create_insecure_test_key(guarded, CreateKeyRequest::default().policy(read_only), &versions)?;
    let refused = one.encrypt(EncryptRequest::new(guarded, b"text")).expect_err("its own policy denies it");
    assert_eq!(refused.kind(), ErrorKind::AccessDenied);

    let kind = |id, request, versions: &[&[u8]]| {
        one.create_insecure_test_key(id, request, versions).expect_err("refused").kind()
    };
    let other = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ac")?;
    let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    assert_eq!(kind(id, CreateKeyRequest::default(), &versions), ErrorKind::AlreadyExists);
    assert_eq!(kind(other, CreateKeyRequest::default(), &[]), ErrorKind::Validation);
    assert_eq!(kind(other, CreateKeyRequest::default(), &[&[1; 31]]), ErrorKind::IncorrectKeyMaterial);
    assert_eq!(kind(other, hmac, &versions), ErrorKind::Validation);
    assert_eq!(kind(other, CreateKeyRequest::default().origin(Origin::External), &versions), ErrorKind::Validation);
    Ok(())
}
