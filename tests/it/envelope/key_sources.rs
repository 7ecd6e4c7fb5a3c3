//! An envelope and the managers of the crate accept a keyring or a materials manager.

use std::sync::Arc;
use std::time::Duration;

use strongroom::envelope::{
    CachingMaterialsManager, DecryptionMaterials, DefaultMaterialsManager, EncryptionMaterials, Keyring,
    MaterialsManager, RequiredContextManager,
};
use strongroom::message::EncryptedDataKey;
use strongroom::{EncryptionContext, Envelope, ErrorKind, Result};

use crate::support::envelope::{keyring, none};

#[test]
fn every_kind_of_source_writes_what_every_other_reads() -> Result<()> {
    let boxed: Box<dyn Keyring> = Box::new(keyring());
    let shared: Arc<dyn Keyring> = Arc::new(keyring());
    let boxed_manager: Box<dyn MaterialsManager> = Box::new(DefaultMaterialsManager::new(keyring()));
    let shared_manager: Arc<dyn MaterialsManager> = Arc::new(DefaultMaterialsManager::new(keyring()));
    let cached = || CachingMaterialsManager::builder(keyring(), Duration::from_secs(60)).build();
    let envelopes = [
        Envelope::new(keyring()),
        Envelope::builder(boxed).build()?,
        Envelope::new(shared),
        Envelope::builder(boxed_manager).build()?,
        Envelope::new(Arc::clone(&shared_manager)),
        Envelope::new(cached()?),
        Envelope::builder(CachingMaterialsManager::builder(shared_manager, Duration::from_secs(60)).build()?)
            .build()?,
    ];
    for (writer, reader) in envelopes.iter().flat_map(|one| envelopes.iter().map(move |other| (one, other))) {
        let message = writer.encrypt(b"text", &none())?;
        assert_eq!(reader.decrypt(&message, &none())?, b"text", "{writer:?} {reader:?}");
    }
    Ok(())
}

#[test]
fn a_manager_applies_its_rule_whatever_it_is_stacked_on() -> Result<()> {
    let over_keyring = RequiredContextManager::new(keyring(), ["tenant"])?;
    let cached = CachingMaterialsManager::builder(keyring(), Duration::from_secs(60)).build()?;
    let over_manager = RequiredContextManager::new(cached, ["tenant"])?;
    let tenant = EncryptionContext::from([("tenant", "42")]);
    for envelope in [Envelope::new(over_keyring), Envelope::builder(over_manager).build()?] {
        assert_eq!(envelope.encrypt(b"text", &none()).expect_err("no tenant").kind(), ErrorKind::Validation);
        let message = envelope.encrypt(b"text", &tenant)?;
        assert_eq!(envelope.decrypt_with_reproduced_context(&message, &tenant)?, b"text");
    }
    Ok(())
}

/// A keyring that is a materials manager, too. The latter requires a context.
#[derive(Debug)]
struct Both;

impl Keyring for Both {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        keyring().on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        keyring().on_decrypt(materials, data_keys)
    }
}

impl MaterialsManager for Both {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        materials.require_context("tenant")?;
        Keyring::on_encrypt(self, materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        Keyring::on_decrypt(self, materials, data_keys)
    }
}

#[test]
fn a_type_that_is_both_is_used_as_the_specified_kind() {
    assert!(Envelope::new::<dyn Keyring>(Both).encrypt(b"text", &none()).is_ok());
    let refused = Envelope::new::<dyn MaterialsManager>(Both).encrypt(b"text", &none());
    assert_eq!(refused.expect_err("no tenant").kind(), ErrorKind::Validation);
}
