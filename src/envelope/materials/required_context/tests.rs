use std::io::{Read, Write};
use std::time::Duration;

use super::*;
use crate::context::EncryptionContext;
use crate::envelope::materials::{CachingMaterialsManager, DataKeyCache};
use crate::envelope::operations::Envelope;
use crate::envelope::{DefaultMaterialsManager, Keyring, RawAesKeyring};
use crate::message::inspect;
use crate::secret::SecretBytes;

fn raw() -> DefaultMaterialsManager {
    DefaultMaterialsManager::new(RawAesKeyring::new("ns", "kn", SecretBytes::copy_from_slice(&[1; 32])).unwrap())
}

fn required(names: &[&str]) -> RequiredContextManager {
    RequiredContextManager::new(raw(), names.iter().copied()).unwrap()
}

fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    pairs.iter().copied().collect()
}

const FULL: &[(&str, &str)] = &[("a", "1"), ("b", "2"), ("c", "3")];

#[test]
fn the_header_shows_only_what_is_not_required() -> Result<()> {
    let cases = [
        (&["b"][..], context(&[("a", "1"), ("c", "3")])),
        (&["a", "c"], context(&[("b", "2")])),
        (&["a", "b", "c"], context(&[])),
    ];
    for (names, shown) in cases {
        let envelope = Envelope::new(required(names));
        let message = envelope.encrypt(b"text", &context(FULL))?;
        assert_eq!(inspect(&message)?.context(), &shown);
        let omitted: Vec<_> = FULL.iter().copied().filter(|(name, _)| names.contains(name)).collect();
        for reproduced in [context(&omitted), context(FULL)] {
            assert_eq!(envelope.decrypt_with_reproduced_context(&message, &reproduced)?, b"text");
            let plain = Envelope::new(raw());
            assert_eq!(plain.decrypt_with_reproduced_context(&message, &reproduced)?, b"text");
        }
        assert_eq!(
            envelope.decrypt(&message, &EncryptionContext::new()).unwrap_err().kind(),
            ErrorKind::ContextMismatch
        );
    }
    Ok(())
}

#[test]
fn a_context_reproduced_wrongly_does_not_open() -> Result<()> {
    let message = Envelope::new(required(&["b"])).encrypt(b"text", &context(FULL))?;
    let plain = Envelope::new(raw());
    let kind = |pairs: &[(&str, &str)]| {
        plain.decrypt_with_reproduced_context(&message, &context(pairs)).map_err(|error| error.kind())
    };
    assert_eq!(kind(&[("b", "2")]), Ok(b"text".to_vec()));
    assert_eq!(kind(&[]), Err(ErrorKind::NoDataKeyUnwrapped));
    assert_eq!(kind(&[("b", "other")]), Err(ErrorKind::NoDataKeyUnwrapped));
    assert_eq!(kind(&[("b", "2"), ("d", "4")]), Err(ErrorKind::NoDataKeyUnwrapped));
    assert_eq!(kind(&[("a", "other"), ("b", "2")]), Err(ErrorKind::ContextMismatch));
    assert_eq!(kind(&[("b", "2"), ("aws-crypto-public-key", "x")]), Err(ErrorKind::Validation));
    Ok(())
}

/// A keyring that does not bind the context, as keys of some kinds cannot.
#[derive(Debug)]
struct Unbound;

impl Keyring for Unbound {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        materials.set_data_key(SecretBytes::zeroed(32))?;
        materials.push(EncryptedDataKey::new("unbound", [], [0]))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, _: &[EncryptedDataKey]) -> Result<()> {
        materials.set_data_key(SecretBytes::zeroed(32))
    }
}

#[test]
fn the_header_itself_is_bound_to_what_it_leaves_out() -> Result<()> {
    let unbound = || DefaultMaterialsManager::new(Unbound);
    let writer = Envelope::new(RequiredContextManager::new(unbound(), ["b"])?);
    let message = writer.encrypt(b"text", &context(FULL))?;
    let reader = Envelope::new(unbound());
    assert_eq!(reader.decrypt_with_reproduced_context(&message, &context(&[("b", "2")]))?, b"text");
    for wrong in [context(&[]), context(&[("b", "3")]), context(&[("b", "2"), ("d", "")])] {
        let error = reader.decrypt_with_reproduced_context(&message, &wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidMessage);
    }
    Ok(())
}

/// A manager that replaces the materials with others of the same suite and context.
#[derive(Debug)]
struct Forgetful;

impl MaterialsManager for Forgetful {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        *materials = EncryptionMaterials::new(materials.suite(), materials.context().clone(), *materials.backend())?;
        raw().on_encrypt(materials)
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        raw().on_decrypt(materials, data_keys)
    }
}

#[test]
fn materials_that_lost_a_required_name_are_refused() -> Result<()> {
    let envelope = Envelope::new(RequiredContextManager::new(Forgetful, ["b"])?);
    assert_eq!(envelope.encrypt(b"x", &context(FULL)).unwrap_err().kind(), ErrorKind::Internal);
    Ok(())
}

#[test]
fn who_encrypts_must_give_every_required_name() {
    let envelope = Envelope::new(required(&["a", "missing"]));
    let error = envelope.encrypt(b"x", &context(FULL)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn who_decrypts_must_bring_every_required_name_even_if_the_header_shows_it() -> Result<()> {
    let message = Envelope::new(raw()).encrypt(b"text", &context(FULL))?;
    let envelope = Envelope::new(required(&["a", "b"]));
    let error = envelope.decrypt_with_reproduced_context(&message, &context(&[("a", "1")])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert_eq!(envelope.decrypt_with_reproduced_context(&message, &context(&[("a", "1"), ("b", "2")]))?, b"text");
    Ok(())
}

#[test]
fn streams_keep_the_required_context_out_too() -> Result<(), Box<dyn std::error::Error>> {
    let envelope = Envelope::new(required(&["b"]));
    let mut writer = envelope.writer(Vec::new(), &context(FULL))?;
    writer.write_all(b"text")?;
    let message = writer.finish()?;
    let mut text = String::new();
    envelope.reader_with_reproduced_context(&message[..], &context(&[("b", "2")]))?.read_to_string(&mut text)?;
    assert_eq!(text, "text");
    assert!(envelope.reader(&message[..], &EncryptionContext::new()).is_err());
    Ok(())
}

#[test]
fn a_manager_that_is_chosen_at_run_time_is_stacked_like_any_other() -> Result<()> {
    let chosen: [Box<dyn MaterialsManager>; 2] = [Box::new(raw()), Box::new(required(&["a"]))];
    for inner in chosen {
        let outer: Box<dyn MaterialsManager> = Box::new(RequiredContextManager::new(inner, ["b"])?);
        let envelope = Envelope::new(outer);
        let message = envelope.encrypt(b"text", &context(FULL))?;
        assert_eq!(inspect(&message)?.context().get("b"), None);
        assert_eq!(envelope.decrypt_with_reproduced_context(&message, &context(FULL))?, b"text");
    }
    Ok(())
}

#[test]
fn no_names_and_reserved_names_cannot_be_required() {
    for names in [&[][..], &["a", "aws-crypto-public-key"]] {
        let error = RequiredContextManager::new(raw(), names.iter().copied()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
    }
}

#[test]
fn a_cache_on_either_side_keeps_every_rule() -> Result<()> {
    let age = Duration::from_secs(3600);
    let outside = CachingMaterialsManager::builder(required(&["b"]), age).build()?;
    let behind = RequiredContextManager::new(CachingMaterialsManager::builder(raw(), age).build()?, ["b"])?;
    for envelope in [Envelope::new(outside), Envelope::new(behind)] {
        for _ in 0..3 {
            let message = envelope.encrypt(b"text", &context(FULL))?;
            assert_eq!(inspect(&message)?.context(), &context(&[("a", "1"), ("c", "3")]), "on a hit as on a miss");
            assert_eq!(envelope.decrypt_with_reproduced_context(&message, &context(&[("b", "2")]))?, b"text");
            // The full context is the same, so only the names of the supplied pairs distinguish the
            // requests.
            let shown = Envelope::new(raw()).encrypt(b"text", &context(FULL))?;
            assert_eq!(envelope.decrypt_with_reproduced_context(&shown, &context(&[("b", "2")]))?, b"text");
            let error = envelope.decrypt_with_reproduced_context(&shown, &context(&[("a", "1")])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ContextMismatch);
        }
    }
    Ok(())
}

#[test]
fn managers_with_other_required_names_share_no_data_key() -> Result<()> {
    let cache = DataKeyCache::default();
    let shared = || {
        let builder = CachingMaterialsManager::builder(raw(), Duration::from_secs(3600));
        builder.cache(&cache).partition("one").build()
    };
    Envelope::new(shared()?).encrypt(b"x", &context(FULL))?;
    for names in [&["a"][..], &["b"], &["a", "b"]] {
        let manager = RequiredContextManager::new(shared()?, names.iter().copied())?;
        Envelope::new(manager).encrypt(b"x", &context(FULL))?;
    }
    assert_eq!((cache.statistics().misses(), cache.statistics().hits()), (4, 0));
    Ok(())
}
