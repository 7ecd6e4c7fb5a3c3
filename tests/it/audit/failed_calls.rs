//! Every failing call produces an event. Tested for each fallible method of `Kms` that `src/kms`
//! defines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strongroom::algorithm::{
    EncapsulationAlgorithm, KeyAgreementAlgorithm, MacAlgorithm, SigningAlgorithm, WrappingAlgorithm, WrappingKeySpec,
};
use strongroom::audit::{ChainId, FileTrail, MemoryTrail, Outcome, RefusedRequests};
use strongroom::crypto::CryptoBackend;
use strongroom::export::{ExportIdentity, ExportRecipient};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{
    ClusterId, CustomKeyStoreId, DataKeyPairSpec, DeletionWindow, KeyId, Operation, RotationPeriod, Tag,
};
use strongroom::policy::{GrantId, GrantTerms};
use strongroom::request::{
    CreateCustomKeyStoreRequest, CreateGrantRequest, CreateKeyRequest, DecapsulateRequest, DecryptRequest,
    DeriveSharedSecretRequest, DryRun, EncapsulateRequest, EncryptRequest, GenerateDataKeyPairRequest,
    GenerateDataKeyRequest, GenerateMacRequest, GetParametersForImportRequest, GrantFilter, GrantToken,
    ImportKeyMaterialRequest, IncludeKeyMaterial, PageRequest, PutKeyPolicyRequest, ReEncryptRequest, SignRequest,
    UpdateCustomKeyStoreRequest, VerifyMacRequest, VerifyRequest,
};
use strongroom::seal::RootKey;
use strongroom::store::{CommitError, Expectation, KeyStore, Record, RecordId, Revision, Scan, StoreId, WriteChanges};
use strongroom::{Clock, Error, ErrorKind, Kms, Result, SystemClock};

use crate::support::any_store;

/// A store that can be switched off.
#[derive(Debug)]
struct Switched {
    store: Arc<dyn KeyStore>,
    is_off: AtomicBool,
}

impl Switched {
    fn there(&self) -> Result<&dyn KeyStore> {
        match self.is_off.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Store, "switched off")),
            false => Ok(&*self.store),
        }
    }
}

impl KeyStore for Switched {
    fn id(&self) -> StoreId {
        self.store.id()
    }

    fn revision(&self) -> Result<Revision> {
        self.there()?.revision()
    }

    fn get_all(&self, ids: &[RecordId]) -> Result<Vec<Option<Record>>> {
        self.there()?.get_all(ids)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<(RecordId, Record)>> {
        self.there()?.scan(scan)
    }

    fn commit(&self, expected: &[Expectation], changes: &mut WriteChanges<'_>) -> Result<Revision, CommitError> {
        self.there()?.commit(expected, changes)
    }

    fn commit_prefetching(
        &self,
        expected: &[Expectation],
        prefetch: &[RecordId],
        changes: &mut WriteChanges<'_>,
    ) -> Result<Revision, CommitError> {
        self.there()?.commit_prefetching(expected, prefetch, changes)
    }
}

/// Values needed by the calls, created while everything worked.
struct World {
    kms: Kms,
    key: KeyId,
    blob: Vec<u8>,
    foreign_token: GrantToken,
    custom_key_store: CustomKeyStoreId,
    recipient: ExportRecipient,
    identity: ExportIdentity,
    chain: ChainId,
}

type Attempt = fn(&World) -> Result<()>;

const BYTES: [u8; 32] = [7; 32];
const GRANT: GrantId = GrantId::from_bytes(BYTES);
const POLICY: &str =
    r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}"#;

fn page() -> PageRequest {
    PageRequest::default()
}

fn alice() -> Result<Principal> {
    Principal::user(AccountId::default(), "alice")
}

fn pair(world: &World) -> GenerateDataKeyPairRequest<'_, KeyId> {
    GenerateDataKeyPairRequest::new(world.key, DataKeyPairSpec::EccNistP256)
}

/// A failing call of every method. Most fail because the store is switched off, the others because
/// of invalid arguments.
const ATTEMPTS: &[(&str, Attempt)] = &[
    ("as_principal", |w| w.kms.as_principal(Principal::service(AccountId::SERVICES, "unknown")?).map(drop)),
    ("as_service", |w| w.kms.as_service("no service!").map(drop)),
    ("on_behalf_of", |w| w.kms.on_behalf_of(&w.kms).map(drop)),
    ("with_request_id", |w| w.kms.with_request_id("two words").map(drop)),
    ("create_key", |w| w.kms.create_key(CreateKeyRequest::default()).map(drop)),
    ("get_or_create_key", |w| w.kms.get_or_create_key("alias/new", CreateKeyRequest::default()).map(drop)),
    ("create_insecure_test_key", |w| {
        w.kms.create_insecure_test_key(w.key, CreateKeyRequest::default(), &[&BYTES]).map(drop)
    }),
    ("describe_key", |w| w.kms.describe_key(w.key).map(drop)),
    ("list_keys", |w| w.kms.list_keys(page()).map(drop)),
    ("update_key_description", |w| w.kms.update_key_description(w.key, "new")),
    ("enable_key", |w| w.kms.enable_key(w.key)),
    ("disable_key", |w| w.kms.disable_key(w.key)),
    ("schedule_key_deletion", |w| w.kms.schedule_key_deletion(w.key, DeletionWindow::default()).map(drop)),
    ("cancel_key_deletion", |w| w.kms.cancel_key_deletion(w.key).map(drop)),
    ("tag_resource", |w| w.kms.tag_resource(w.key, [Tag::new("a", "b")?])),
    ("untag_resource", |w| w.kms.untag_resource(w.key, ["a"])),
    ("list_resource_tags", |w| w.kms.list_resource_tags(w.key, page()).map(drop)),
    ("create_alias", |w| w.kms.create_alias("alias/new", w.key)),
    ("update_alias", |w| w.kms.update_alias("alias/new", w.key)),
    ("delete_alias", |w| w.kms.delete_alias("alias/new")),
    ("list_aliases", |w| w.kms.list_aliases(page()).map(drop)),
    ("list_aliases_of_key", |w| w.kms.list_aliases_of_key(w.key, page()).map(drop)),
    ("enable_key_rotation", |w| w.kms.enable_key_rotation(w.key, RotationPeriod::default())),
    ("disable_key_rotation", |w| w.kms.disable_key_rotation(w.key)),
    ("get_key_rotation_status", |w| w.kms.get_key_rotation_status(w.key).map(drop)),
    ("rotate_key_on_demand", |w| w.kms.rotate_key_on_demand(w.key).map(drop)),
    ("list_key_rotations", |w| w.kms.list_key_rotations(w.key, IncludeKeyMaterial::AllKeyMaterial, page()).map(drop)),
    ("get_parameters_for_import", |w| {
        let (algorithm, spec) = (WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa2048);
        w.kms.get_parameters_for_import(GetParametersForImportRequest::new(w.key, algorithm, spec)).map(drop)
    }),
    ("import_key_material", |w| {
        w.kms.import_key_material(ImportKeyMaterialRequest::new(w.key, &BYTES, &BYTES).does_not_expire()).map(drop)
    }),
    ("delete_imported_key_material", |w| w.kms.delete_imported_key_material(w.key, None).map(drop)),
    ("encrypt", |w| w.kms.encrypt(EncryptRequest::new(w.key, b"x")).map(drop)),
    ("decrypt", |w| w.kms.decrypt(DecryptRequest::new(&w.blob)).map(drop)),
    ("re_encrypt", |w| w.kms.re_encrypt(ReEncryptRequest::new(&w.blob, w.key)).map(drop)),
    ("generate_data_key", |w| w.kms.generate_data_key(GenerateDataKeyRequest::new(w.key)).map(drop)),
    ("generate_data_key_without_plaintext", |w| {
        w.kms.generate_data_key_without_plaintext(GenerateDataKeyRequest::new(w.key)).map(drop)
    }),
    ("generate_data_key_pair", |w| w.kms.generate_data_key_pair(pair(w)).map(drop)),
    ("generate_data_key_pair_without_plaintext", |w| w.kms.generate_data_key_pair_without_plaintext(pair(w)).map(drop)),
    ("generate_random", |w| w.kms.generate_random(0).map(drop)),
    ("generate_random_in", |w| w.kms.generate_random_in(w.custom_key_store, 8).map(drop)),
    ("generate_mac", |w| {
        w.kms.generate_mac(GenerateMacRequest::new(w.key, MacAlgorithm::HmacSha256, &BYTES)).map(drop)
    }),
    ("verify_mac", |w| {
        w.kms.verify_mac(VerifyMacRequest::new(w.key, MacAlgorithm::HmacSha256, &BYTES, &BYTES)).map(drop)
    }),
    ("sign", |w| w.kms.sign(SignRequest::new(w.key, SigningAlgorithm::EcdsaSha256, &BYTES)).map(drop)),
    ("verify", |w| w.kms.verify(VerifyRequest::new(w.key, SigningAlgorithm::EcdsaSha256, &BYTES, &BYTES)).map(drop)),
    ("derive_shared_secret", |w| {
        let request = DeriveSharedSecretRequest::new(w.key, KeyAgreementAlgorithm::Ecdh, &BYTES);
        w.kms.derive_shared_secret(request).map(drop)
    }),
    ("encapsulate", |w| w.kms.encapsulate(EncapsulateRequest::new(w.key, EncapsulationAlgorithm::MlKem)).map(drop)),
    ("decapsulate", |w| {
        w.kms.decapsulate(DecapsulateRequest::new(w.key, EncapsulationAlgorithm::MlKem, &BYTES)).map(drop)
    }),
    ("get_public_key", |w| w.kms.get_public_key(w.key).map(drop)),
    ("put_key_policy", |w| w.kms.put_key_policy(PutKeyPolicyRequest::new(w.key, POLICY))),
    ("get_key_policy", |w| w.kms.get_key_policy(w.key).map(drop)),
    ("list_key_policies", |w| w.kms.list_key_policies(w.key, page()).map(drop)),
    ("put_identity_policy", |w| w.kms.put_identity_policy(&alice()?, "all", POLICY)),
    ("get_identity_policy", |w| w.kms.get_identity_policy(&alice()?, "all").map(drop)),
    ("list_identity_policies", |w| w.kms.list_identity_policies(&alice()?).map(drop)),
    ("delete_identity_policy", |w| w.kms.delete_identity_policy(&alice()?, "all")),
    ("create_grant", |w| {
        let terms = GrantTerms::new(alice()?, [Operation::Encrypt])?;
        w.kms.create_grant(CreateGrantRequest::new(w.key, terms)).map(drop)
    }),
    ("list_grants", |w| w.kms.list_grants(w.key, GrantFilter::default(), page()).map(drop)),
    ("list_retirable_grants", |w| w.kms.list_retirable_grants(&alice()?, page()).map(drop)),
    ("retire_grant", |w| w.kms.retire_grant(w.key, GRANT, DryRun::No)),
    ("retire_grant_by_token", |w| w.kms.retire_grant_by_token(&w.foreign_token, DryRun::No)),
    ("revoke_grant", |w| w.kms.revoke_grant(w.key, GRANT, DryRun::No)),
    ("create_custom_key_store", |w| {
        w.kms.create_custom_key_store(CreateCustomKeyStoreRequest::new("safe", ClusterId::parse("vault")?)).map(drop)
    }),
    ("describe_custom_key_stores", |w| w.kms.describe_custom_key_stores(page()).map(drop)),
    ("describe_custom_key_store_by_name", |w| w.kms.describe_custom_key_store_by_name("missing").map(drop)),
    ("describe_custom_key_store", |w| w.kms.describe_custom_key_store(w.custom_key_store).map(drop)),
    ("update_custom_key_store", |w| {
        w.kms.update_custom_key_store(UpdateCustomKeyStoreRequest::new(w.custom_key_store).new_name("other"))
    }),
    ("connect_custom_key_store", |w| w.kms.connect_custom_key_store(w.custom_key_store)),
    ("disconnect_custom_key_store", |w| w.kms.disconnect_custom_key_store(w.custom_key_store)),
    ("delete_custom_key_store", |w| w.kms.delete_custom_key_store(w.custom_key_store)),
    ("declare_successor", |w| w.kms.declare_successor().map(drop)),
    ("export_key", |w| w.kms.export_key(w.key, &w.recipient).map(drop)),
    ("export_all_keys", |w| w.kms.export_all_keys(&w.recipient).map(drop)),
    ("import_keys", |w| w.kms.import_keys(b"no export", &w.identity).map(drop)),
    ("export_deletions", |w| w.kms.export_deletions().map(drop)),
    ("apply_deletions", |w| w.kms.apply_deletions(b"no list", &[]).map(drop)),
    ("metered_keys", |w| w.kms.metered_keys(AccountId::default()).map(drop)),
    ("reset_metering", |w| w.kms.reset_metering(AccountId::default())),
    ("get_key_last_usage", |w| w.kms.get_key_last_usage(w.key).map(drop)),
    ("run_maintenance", |w| w.kms.run_maintenance().map(drop)),
    ("confirm_clock", |w| w.kms.confirm_clock(SystemClock.now())),
    ("maintain_every", |w| w.kms.maintain_every(Duration::ZERO, drop).map(drop)),
    ("verify_store", |w| w.kms.verify_store(drop).map(drop)),
    ("rotate_root_key", |w| w.kms.rotate_root_key().map(drop)),
    ("rotate_root_key_with_progress", |w| w.kms.rotate_root_key_with_progress(|_| {}).map(drop)),
    ("move_root_key", |w| w.kms.move_root_key(RootKey::from_bytes(&BYTES)).map(drop)),
    ("move_root_key_with_progress", |w| {
        w.kms.move_root_key_with_progress(RootKey::from_bytes(&BYTES), |_| {}).map(drop)
    }),
    ("root_key_status", |w| w.kms.root_key_status().map(drop)),
    ("verify_audit_trail", |w| w.kms.verify_audit_trail("nowhere").map(drop)),
    ("verify_signed_audit_trail", |w| {
        w.kms.verify_signed_audit_trail("nowhere", &|_: &[u8], _: &[u8]| Ok(true)).map(drop)
    }),
    ("audit_chains", |w| w.kms.audit_chains().map(drop)),
    ("record_refused_requests", |w| {
        let narrowed = w.kms.as_principal(w.kms.principal().clone())?;
        narrowed.record_refused_requests(&RefusedRequests::since(SystemClock.now()))
    }),
    ("forget_audit_chain", |w| w.kms.forget_audit_chain(w.chain)),
    // The last one, because later calls are rejected without an event.
    ("close", |w| w.kms.close()),
];

#[test]
fn every_call_that_fails_leaves_an_event() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let backend = CryptoBackend::default();
    let store = Arc::new(Switched { store: any_store::new()?, is_off: AtomicBool::new(false) });
    let trail = Arc::new(MemoryTrail::default());
    let builder = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[9; 32]));
    let kms = builder.audit(Arc::clone(&trail)).build()?;
    let folder = tempfile::tempdir()?;
    let elsewhere = any_store::builder().audit(FileTrail::new(folder.path())).build()?;
    let terms = GrantTerms::new(alice()?, [Operation::Encrypt])?;
    let foreign = elsewhere.create_key(CreateKeyRequest::default())?.key_id();
    let pair = backend.key_pairs().generate(strongroom::crypto::KeyPairKind::Rsa2048, backend.random())?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let world = World {
        key,
        blob: kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob,
        foreign_token: elsewhere.create_grant(CreateGrantRequest::new(foreign, terms))?.grant_token,
        custom_key_store: CustomKeyStoreId::from_random_bytes([3; 9]),
        recipient: ExportRecipient::rsa(&pair.public_key_der())?,
        identity: ExportIdentity::rsa(&pair.to_pkcs8()?)?,
        chain: elsewhere.audit_chains()?[0].id(),
        kms,
    };
    store.is_off.store(true, Ordering::SeqCst);
    for (name, attempt) in ATTEMPTS {
        trail.clear();
        let error = attempt(&world).expect_err(name);
        let events = trail.events();
        let last = events.last().unwrap_or_else(|| panic!("{name} leaves no event of: {error}"));
        assert_eq!(last.outcome, Outcome::Failure(error.kind()), "{name}: {events:?}");
        assert_eq!(last.message.as_deref(), Some(&*error.to_string()), "{name}");
        assert_eq!(last.principal, *world.kms.principal(), "{name}");
        let outcomes = events.iter().filter(|event| event.outcome != Outcome::Intent).count();
        assert_eq!(outcomes, 1, "{name}: {events:?}");
    }
    Ok(())
}

/// A store failure reveals nothing about a single key, so it is not reported to another account as
/// a missing key.
#[test]
fn a_store_that_fails_is_reported_to_other_accounts_too() -> Result<()> {
    let store = Arc::new(Switched { store: any_store::new()?, is_off: AtomicBool::new(false) });
    let kms = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[9; 32])).build()?;
    let arn = kms.create_key(CreateKeyRequest::default())?.arn().clone();
    let stranger = kms.as_principal(Principal::root(AccountId::parse("111122223333")?))?;
    let kind = || stranger.describe_key(&arn).expect_err("only for authorized callers").kind();
    let absent = kind();
    store.is_off.store(true, Ordering::SeqCst);
    assert_eq!((absent == ErrorKind::Store, kind()), (false, ErrorKind::Store));
    Ok(())
}

#[test]
fn no_method_is_forgotten_where_failures_are_tried() {
    let mut methods = BTreeSet::new();
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kms")) {
        let text = fs::read_to_string(&path).expect("a source file");
        let blocks = text.split("\nimpl Kms {\n").skip(1).map(|rest| rest.split("\n}\n").next().unwrap_or(rest));
        for function in blocks.flat_map(|block| block.split("    pub fn ").skip(1)) {
            let signature = function.split('{').next().unwrap_or(function);
            if signature.contains("&self") && signature.contains("-> Result<") {
                let name = signature.split(['(', '<']).next().unwrap_or(signature);
                methods.insert(name.to_owned());
            }
        }
    }
    let tried: BTreeSet<_> = ATTEMPTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert!(methods.len() > 70, "{methods:?}");
    assert_eq!(methods.difference(&tried).collect::<Vec<_>>(), Vec::<&String>::new(), "not tried");
    assert_eq!(tried.difference(&methods).collect::<Vec<_>>(), Vec::<&String>::new(), "gone");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}
