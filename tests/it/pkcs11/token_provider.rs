//! A single token, without a cluster, as the key provider of a `Kms`.

use std::sync::Arc;

use signature::{Keypair, Signer, Verifier};
use strongroom::algorithm::SigningAlgorithm;
use strongroom::crypto::CryptoBackend;
use strongroom::envelope::KmsKeyring;
use strongroom::key::{DeletionWindow, KeySpec, KeyUsage, Origin, RotationPeriod};
use strongroom::provider::pkcs11::{KeyTypes, Pkcs11Provider, Token};
use strongroom::provider::{InstanceMark, KeyMaterialProvider, ProviderId};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest, SignRequest, VerifyRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, MemoryStore};
use strongroom::{EncryptionContext, Envelope, ErrorKind, Kms, KmsSigner, ManualClock, Result, Timestamp};
use strongroom_pkcs11_faults::{Bare, SoftHsm};

use super::{config, module, pin, soft_hsm, token};

struct World {
    hsm: SoftHsm,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new(test: &str) -> Option<Self> {
        let hsm = soft_hsm(test, &["home"])?;
        let store = Arc::new(MemoryStore::new(&CryptoBackend::default()).expect("random bytes are available"));
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
        Some(Self { hsm, store, clock })
    }

    /// Returns the number of secret keys on the token.
    fn secret_keys(&self) -> usize {
        // Bare calls see them while this process is logged in.
        let token = token(&self.hsm, "home");
        token.connect().expect("the token connects");
        Bare::secret_keys(&self.hsm.bare_path(), "home").len()
    }

    fn process(&self) -> Result<Kms> {
        let token = Token::new(&module(&self.hsm), config("home").key_types(KeyTypes::All), pin());
        Kms::builder()
            .store(Arc::clone(&self.store), RootKey::from_bytes(&[7; 32]))
            .clock(Arc::clone(&self.clock))
            .clock_tolerance(std::time::Duration::MAX)
            .provider(Pkcs11Provider::new(ProviderId::new("home"), token)?)
            .build()
    }
}

#[test]
fn keys_are_made_and_used_in_a_token_and_found_by_the_next_process() -> Result<()> {
    let Some(world) = World::new("keys_are_made_and_used_in_a_token_and_found_by_the_next_process") else {
        return Ok(());
    };
    let kms = world.process()?;
    let key = kms.create_key(CreateKeyRequest::default().provider("home"))?;
    assert_eq!((key.origin(), key.custom_key_store_id()), (Origin::Hsm, None));
    let pair = CreateKeyRequest::default().provider("home").spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    let pair = kms.create_key(pair)?.key_id();
    kms.create_alias("alias/home", key.key_id())?;
    let envelope = Envelope::new(KmsKeyring::new(&kms, "alias/home")?);
    let context = EncryptionContext::from([("tenant", "42")]);
    let message = envelope.encrypt(b"attack at dawn", &context)?;
    let blob = kms.encrypt(EncryptRequest::new(key.key_id(), b"text").context(&context))?.ciphertext_blob;
    drop((envelope, kms));

    let kms = world.process()?;
    let envelope = Envelope::new(KmsKeyring::new(&kms, "alias/home")?);
    assert_eq!(envelope.decrypt(&message, &context)?, b"attack at dawn");
    let opened = kms.decrypt(DecryptRequest::new(&blob).context(&context))?;
    assert_eq!(opened.plaintext.expose_secret(), b"text");
    assert!(kms.decrypt(DecryptRequest::new(&blob)).is_err(), "it is bound to its context");
    let signed = kms.sign(SignRequest::new(pair, SigningAlgorithm::EcdsaSha256, b"message"))?;
    kms.verify(VerifyRequest::new(pair, SigningAlgorithm::EcdsaSha256, b"message", &signed.signature))?;
    // A handle passes only the digest of a long message to the token.
    let (signer, long) = (KmsSigner::<p256::ecdsa::VerifyingKey>::new(&kms, pair)?, vec![7; 1 << 20]);
    let signature: p256::ecdsa::Signature = signer.try_sign(&long).expect("the token signs");
    signer.verifying_key().verify(&long, &signature).expect("it is valid");

    // Unsupported keys are rejected and leave nothing on the token.
    assert_eq!(world.secret_keys(), 1);
    let mac = CreateKeyRequest::default().provider("home").spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let refused = kms.create_key(mac).expect_err("no HMAC keys");
    assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation);
    assert!(
        refused.to_string().contains("provider home") && refused.to_string().contains("CKM_SHA256_HMAC"),
        "{refused}"
    );
    for refused in [
        kms.rotate_key_on_demand(key.key_id()).map(drop),
        kms.enable_key_rotation(key.key_id(), RotationPeriod::default()),
    ] {
        assert_eq!(refused.expect_err("one version").kind(), ErrorKind::UnsupportedOperation);
    }
    assert_eq!(world.secret_keys(), 1);
    let unknown = kms.create_key(CreateKeyRequest::default().provider("hom")).expect_err("there is none of that name");
    assert_eq!(unknown.kind(), ErrorKind::Validation, "{unknown}");
    Ok(())
}

#[test]
fn a_token_keeps_the_marks_of_a_store_that_has_made_a_key_in_it() -> Result<()> {
    let Some(world) = World::new("a_token_keeps_the_marks_of_a_store_that_has_made_a_key_in_it") else {
        return Ok(());
    };
    let id = world.store.id().0;
    let provider = Pkcs11Provider::new(ProviderId::new("another"), token(&world.hsm, "home"))?;
    let marks = || provider.instance_marks().expect("tokens hold marks");
    assert_eq!(marks().marks(id)?, []);
    let kms = world.process()?;
    kms.create_key(CreateKeyRequest::default().provider("home"))?;
    assert!(!marks().marks(id)?.is_empty());
    marks().add_mark(id, InstanceMark { generation: 1_000, nonce: [1; 16] })?;
    let refused = kms.create_key(CreateKeyRequest::default().provider("home")).expect_err("another copy has");
    assert_eq!(refused.kind(), ErrorKind::CopiedStore, "{refused}");
    Ok(())
}

#[test]
fn a_token_that_is_away_makes_its_keys_unavailable_and_loses_a_deleted_one_later() -> Result<()> {
    let Some(world) = World::new("a_token_that_is_away_makes_its_keys_unavailable_and_loses_a_deleted_one_later")
    else {
        return Ok(());
    };
    let kms = world.process()?;
    let key = kms.create_key(CreateKeyRequest::default().provider("home"))?.key_id();
    let blob = kms.encrypt(EncryptRequest::new(key, b"text"))?.ciphertext_blob;
    world.hsm.shim().vanish();
    let away = kms.decrypt(DecryptRequest::new(&blob)).expect_err("the token is away");
    assert_eq!(away.kind(), ErrorKind::KeyUnavailable, "{away}");
    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    world.clock.advance_days(7);
    let report = kms.run_maintenance()?;
    assert_eq!((report.deleted.len(), report.failed.len()), (1, 1), "{report:?}");
    world.hsm.shim().clear();
    assert_eq!(world.secret_keys(), 1);
    // Deleted by another process, which learns of the pending deletion from the store.
    drop(kms);
    let kms = world.process()?;
    assert!(kms.run_maintenance()?.is_complete());
    assert_eq!(world.secret_keys(), 0);
    Ok(())
}
