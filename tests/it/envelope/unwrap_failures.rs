//! The error that a service receives if the data key of a message cannot be unwrapped: retry,
//! reject, or give up.

use std::io::{self, Cursor};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use strongroom::envelope::{
    CachingMaterialsManager, DecryptionMaterials, EncryptionMaterials, Keyring, KmsKeyring, MultiKeyring,
    UnwrapFailure, UnwrapFailures,
};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::DeletionWindow;
use strongroom::message::EncryptedDataKey;
use strongroom::request::CreateKeyRequest;
use strongroom::{Envelope, Error, ErrorKind, Kms, Result};

use crate::support::custom_key_stores::setup;
use crate::support::envelope::{keyring, none};
use crate::support::kms::{with_clock, with_key};
use crate::support::rejecting_sink::RejectingSink;

/// Returns the error of all reading modes, which must be the same.
fn refused(envelope: &Envelope, message: &[u8]) -> Error {
    let error = envelope.decrypt(message, &none()).expect_err("the ciphertext cannot be decrypted");
    let (mut decryptor, mut plaintext) = (envelope.decryptor(&none()), Vec::new());
    let others = [
        envelope.decrypt_into(message, &none(), &mut plaintext).map(drop),
        envelope.decrypt_with_header(message, &none()).map(drop),
        envelope.decrypt_with_reproduced_context(message, &none()).map(drop),
        envelope.reader(message, &none()).map(drop),
        decryptor.update(message, &mut plaintext),
        envelope.random_access_reader(Cursor::new(message), &none()).map(drop),
        envelope.re_encrypt(message, &none(), &Envelope::new(keyring()), io::sink()).map(drop),
    ];
    for other in others {
        let other = other.expect_err("the ciphertext cannot be decrypted");
        assert_eq!((other.kind(), other.to_string()), (error.kind(), error.to_string()));
        assert_eq!(reasons(&other), reasons(&error));
    }
    assert!(plaintext.is_empty());
    error
}

/// Returns the kind that decides, and the kinds of all failures of an error.
fn reasons(error: &Error) -> Option<(ErrorKind, Vec<ErrorKind>)> {
    let failures = error.downcast_ref::<UnwrapFailures>()?;
    Some((failures.kind(), failures.iter().map(UnwrapFailure::kind).collect()))
}

fn only(kind: ErrorKind) -> Option<(ErrorKind, Vec<ErrorKind>)> {
    Some((kind, vec![kind]))
}

#[test]
fn what_keeps_a_key_from_being_used_is_told_by_its_kind() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let message = Envelope::new(KmsKeyring::new(&kms, key)?).encrypt(b"text", &none())?;
    let discovery = Envelope::new(KmsKeyring::discovery(&kms));
    let told = |envelope: &Envelope| {
        let error = refused(envelope, &message);
        assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped);
        reasons(&error)
    };
    let user = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    assert_eq!(told(&Envelope::new(KmsKeyring::new(&user, key)?)), only(ErrorKind::AccessDenied));
    let other = kms.create_key(CreateKeyRequest::default())?.key_id();
    assert_eq!(told(&Envelope::new(KmsKeyring::new(&kms, other)?)), only(ErrorKind::IncorrectKey));
    assert_eq!(told(&Envelope::new(keyring())), only(ErrorKind::IncorrectKey));
    kms.disable_key(key)?;
    assert_eq!(told(&discovery), only(ErrorKind::Disabled));
    kms.schedule_key_deletion(key, DeletionWindow::default())?;
    assert_eq!(told(&discovery), only(ErrorKind::InvalidState));
    clock.advance(Duration::from_secs(31 * 86_400));
    // Only a caller that names the key learns that it was deleted: a blob must not reveal to
    // strangers which keys exist.
    assert_eq!(told(&Envelope::new(KmsKeyring::new(&kms, key)?)), only(ErrorKind::NotFound));
    assert_eq!(told(&discovery), only(ErrorKind::AccessDenied));
    Ok(())
}

#[test]
fn a_trail_that_takes_no_event_is_no_fault_of_the_message() -> Result<()> {
    let sink = Arc::new(RejectingSink::default());
    let kms = Kms::builder().audit(Arc::clone(&sink)).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let keys = MultiKeyring::new(KmsKeyring::new(&kms, key)?).with_child(keyring());
    let message = Envelope::new(keys.clone()).encrypt(b"text", &none())?;
    sink.0.store(true, Ordering::SeqCst);
    let error = refused(&Envelope::new(KmsKeyring::discovery(&kms)), &message);
    assert_eq!(error.kind(), ErrorKind::Audit);
    assert_eq!(reasons(&error), Some((ErrorKind::Audit, vec![ErrorKind::Audit, ErrorKind::IncorrectKey])));
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(Envelope::new(keys).decrypt(&message, &none())?, b"text", "another keyring still unwraps the data key");
    Ok(())
}

#[test]
fn hsms_that_do_not_answer_are_an_outage_and_no_state_of_the_key() -> Result<()> {
    let setup = setup()?;
    let key = setup.kms.create_key(CreateKeyRequest::default().custom_key_store(setup.store()?))?.key_id();
    let envelope = Envelope::new(KmsKeyring::new(&setup.kms, key)?);
    let message = envelope.encrypt(b"text", &none())?;
    ["hsm-1", "hsm-2"].iter().for_each(|member| setup.cluster.set_active(member, false));
    let error = refused(&envelope, &message);
    assert_eq!((error.kind(), reasons(&error)), (ErrorKind::KeyUnavailable, only(ErrorKind::KeyUnavailable)));
    let failures = error.downcast_ref::<UnwrapFailures>().expect("the failures");
    let kinds: Vec<_> = failures.iter().map(|failure| failure.error().kind()).collect();
    assert_eq!(kinds, [ErrorKind::InvalidState], "the kind that AWS KMS reports");
    ["hsm-1", "hsm-2"].iter().for_each(|member| setup.cluster.set_active(member, true));
    assert_eq!(envelope.decrypt(&message, &none())?, b"text");
    Ok(())
}

/// A custom key source that fails as configured, for each wrapped data key or immediately.
#[derive(Debug)]
pub(crate) struct Vault {
    pub(crate) kind: ErrorKind,
    pub(crate) for_each: bool,
}

impl Keyring for Vault {
    fn on_encrypt(&self, _: &mut EncryptionMaterials) -> Result<()> {
        Err(self.error())
    }

    fn on_decrypt(&self, _: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        if !self.for_each {
            return Err(self.error());
        }
        let mut failures = UnwrapFailures::default();
        data_keys.iter().for_each(|data_key| failures.push(data_key, self.error()));
        Err(failures.into_error())
    }
}

impl Vault {
    fn error(&self) -> Error {
        Error::new(self.kind, "the vault says no").with_source(io::Error::other("status 503"))
    }
}

#[test]
fn a_keyring_of_ones_own_reports_an_outage_through_every_stack() -> Result<()> {
    let message = Envelope::new(keyring()).encrypt(b"text", &none())?;
    for kind in [ErrorKind::KeyUnavailable, ErrorKind::Store, ErrorKind::Audit, ErrorKind::Conflict, ErrorKind::Io] {
        for for_each in [false, true] {
            let vault = || Vault { kind, for_each };
            let stacked =
                MultiKeyring::new(keyring_of_another_name()).with_child(MultiKeyring::without_generator([vault()])?);
            let cached = CachingMaterialsManager::builder(vault(), Duration::from_secs(60)).build()?;
            let envelopes = [Envelope::new(vault()), Envelope::new(stacked), Envelope::new(cached)];
            for envelope in envelopes {
                let error = refused(&envelope, &message);
                assert_eq!(error.kind(), kind, "{envelope:?}");
                let failures = error.downcast_ref::<UnwrapFailures>();
                let cause = failures.and_then(|failures| failures.iter().find(|failure| failure.kind() == kind));
                let cause = cause.map_or(&error, UnwrapFailure::error).downcast_ref::<io::Error>();
                assert_eq!(cause.map(ToString::to_string).as_deref(), Some("status 503"), "{envelope:?}");
            }
            // A keyring that opens the message ends the search, before or after the failing one.
            for keys in
                [MultiKeyring::new(vault()).with_child(keyring()), MultiKeyring::new(keyring()).with_child(vault())]
            {
                assert_eq!(Envelope::new(keys).decrypt(&message, &none())?, b"text");
            }
        }
    }
    Ok(())
}

fn keyring_of_another_name() -> impl Keyring {
    strongroom::envelope::RawAesKeyring::new("ns", "another", strongroom::SecretBytes::zeroed(32)).expect("a keyring")
}

#[test]
fn of_several_aliases_the_failure_that_decides_is_told() -> Result<()> {
    let (kms, key) = with_key()?;
    let (second, third) =
        (kms.create_key(CreateKeyRequest::default())?.key_id(), kms.create_key(Default::default())?.key_id());
    for (name, key) in [("alias/gone", second), ("alias/off", key), ("alias/other", third)] {
        kms.create_alias(name, key)?;
    }
    let keys = KmsKeyring::new(&kms, "alias/gone")?.with_key("alias/off")?.with_key("alias/other")?;
    let message = Envelope::new(KmsKeyring::new(&kms, key)?).encrypt(b"text", &none())?;
    let envelope = Envelope::new(keys);
    assert_eq!(envelope.decrypt(&message, &none())?, b"text");
    kms.delete_alias("alias/gone")?;
    assert_eq!(envelope.decrypt(&message, &none())?, b"text");
    kms.disable_key(key)?;
    assert_eq!(reasons(&refused(&envelope, &message)), only(ErrorKind::Disabled), "not that an alias is missing");
    let envelope = Envelope::new(KmsKeyring::new(&kms, "alias/off")?.with_key("alias/gone")?);
    assert_eq!(reasons(&refused(&envelope, &message)), only(ErrorKind::Disabled), "in whatever order");
    Ok(())
}
