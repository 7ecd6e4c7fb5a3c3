//! Key encapsulation: both parties get the same secret, or one that the other does not have.

use std::sync::Arc;

use strongroom::algorithm::EncapsulationAlgorithm::MlKem;
use strongroom::audit::{Action, MemoryTrail};
use strongroom::crypto::{CryptoBackend, KeyPairKind, RUST_CRYPTO};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{KeyId, KeySpec, KeyUsage, Operation};
use strongroom::policy::GrantTerms;
use strongroom::request::{CreateGrantRequest, DecapsulateRequest, EncapsulateRequest};
use strongroom::{ErrorKind, Kms, Result};

use crate::support::backend;
use crate::support::every_key::{KEYS, make};
use crate::support::kms::kind;

const USAGE: KeyUsage = KeyUsage::EncapsulateDecapsulate;

/// The specs with the kind of their key pairs and the length of their ciphertexts.
const SPECS: [(KeySpec, KeyPairKind, usize); 3] = [
    (KeySpec::MlKem512, KeyPairKind::MlKem512, 768),
    (KeySpec::MlKem768, KeyPairKind::MlKem768, 1_088),
    (KeySpec::MlKem1024, KeyPairKind::MlKem1024, 1_568),
];

#[test]
fn secret_is_shared_with_the_owner_of_the_key_and_with_whoever_has_its_public_key() -> Result<()> {
    if backend::lacks("secret_is_shared_with_the_owner_of_the_key_and_with_whoever_has_its_public_key", &["ML-KEM"]) {
        return Ok(());
    }
    for (spec, pair, length) in SPECS {
        let key = KEYS.of(spec, USAGE);
        let sent = KEYS.kms.encapsulate(EncapsulateRequest::new(key, MlKem))?;
        assert_eq!((sent.key_id(), sent.encapsulation_algorithm), (key, MlKem));
        assert_eq!((sent.shared_secret.len(), sent.shared_secret_ciphertext_blob.len()), (32, length));
        let request = DecapsulateRequest::new(key, MlKem, &sent.shared_secret_ciphertext_blob);
        let received = KEYS.kms.decapsulate(request)?;
        assert_eq!((received.key_id(), received.encapsulation_algorithm), (key, MlKem));
        assert_eq!(received.shared_secret, sent.shared_secret, "{spec}");

        let public = KEYS.kms.get_public_key(key)?;
        assert_eq!(public.encapsulation_algorithms, [MlKem]);
        for backend in [CryptoBackend::default(), RUST_CRYPTO] {
            let sent = backend.key_pairs().public_key(pair, &public.public_key)?.encapsulate(backend.random())?;
            let received = KEYS.kms.decapsulate(DecapsulateRequest::new(key, MlKem, &sent.ciphertext))?;
            assert_eq!(received.shared_secret, sent.shared_secret, "{spec} {}", backend.name());
        }
        assert_eq!(KEYS.kms.describe_key(key)?.encapsulation_algorithms(), [MlKem]);
    }
    Ok(())
}

#[test]
fn altered_ciphertext_and_that_of_another_key_give_another_secret_and_no_error() -> Result<()> {
    if backend::lacks("altered_ciphertext_and_that_of_another_key_give_another_secret_and_no_error", &["ML-KEM"]) {
        return Ok(());
    }
    let kms = Kms::in_memory()?;
    for (spec, _, length) in SPECS {
        let (key, other) = (make(&kms, spec, USAGE)?, make(&kms, spec, USAGE)?);
        let sent = kms.encapsulate(EncapsulateRequest::new(key, MlKem))?;
        let open = |key: KeyId, ciphertext: &[u8]| {
            kms.decapsulate(DecapsulateRequest::new(key, MlKem, ciphertext)).map(|received| received.shared_secret)
        };
        let mut altered = sent.shared_secret_ciphertext_blob.clone();
        altered[length - 1] ^= 1;
        let rejected = open(key, &altered)?;
        assert_eq!(rejected, open(key, &altered)?, "{spec}: the same each time");
        let foreign = open(other, &sent.shared_secret_ciphertext_blob)?;
        let noise = open(key, &vec![0xa5; length])?;
        let all = [&sent.shared_secret, &rejected, &foreign, &noise];
        for (index, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 32);
            assert!(!all[..index].contains(one), "{spec}: each input has a secret of its own");
        }
    }
    Ok(())
}

#[test]
fn ciphertext_of_another_length_is_refused_with_its_length() -> Result<()> {
    if backend::lacks("ciphertext_of_another_length_is_refused_with_its_length", &["ML-KEM"]) {
        return Ok(());
    }
    for (spec, _, length) in SPECS {
        let key = KEYS.of(spec, USAGE);
        for wrong in [1, 32, length - 1, length + 1, 768, 1_088, 1_568, 6_144] {
            let opened = KEYS.kms.decapsulate(DecapsulateRequest::new(key, MlKem, &vec![1; wrong]));
            if wrong == length {
                opened?;
                continue;
            }
            let refused = opened.expect_err("of another length");
            assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext, "{spec} {wrong}");
            assert!(refused.to_string().contains(&format!("{length} bytes, not {wrong}")), "{refused}");
        }
    }
    Ok(())
}

#[test]
fn dry_run_of_either_half_reveals_no_secret() -> Result<()> {
    if backend::lacks("dry_run_of_either_half_reveals_no_secret", &["ML-KEM"]) {
        return Ok(());
    }
    let (spec, _, length) = SPECS[1];
    let key = KEYS.of(spec, USAGE);
    assert_eq!(kind(KEYS.kms.encapsulate(EncapsulateRequest::new(key, MlKem).dry_run())), ErrorKind::DryRun);
    let ciphertext = vec![1; length];
    let request = DecapsulateRequest::new(key, MlKem, &ciphertext).dry_run();
    assert_eq!(kind(KEYS.kms.decapsulate(request)), ErrorKind::DryRun);
    let request = DecapsulateRequest::new(key, MlKem, &ciphertext[1..]).dry_run();
    assert_eq!(kind(KEYS.kms.decapsulate(request)), ErrorKind::InvalidCiphertext);
    Ok(())
}

#[test]
fn grant_can_allow_one_half_alone() -> Result<()> {
    if backend::lacks("grant_can_allow_one_half_alone", &["ML-KEM"]) {
        return Ok(());
    }
    let kms = Kms::in_memory()?;
    let key = make(&kms, KeySpec::MlKem768, USAGE)?;
    let sender = Principal::user(AccountId::default(), "sender")?;
    let recipient = Principal::user(AccountId::default(), "recipient")?;
    for (grantee, operation) in [(&sender, Operation::Encapsulate), (&recipient, Operation::Decapsulate)] {
        kms.create_grant(CreateGrantRequest::new(key, GrantTerms::new(grantee.clone(), [operation])?))?;
    }
    let (sender, recipient) = (kms.as_principal(sender)?, kms.as_principal(recipient)?);

    let sent = sender.encapsulate(EncapsulateRequest::new(key, MlKem))?;
    let blob = &sent.shared_secret_ciphertext_blob;
    let received = recipient.decapsulate(DecapsulateRequest::new(key, MlKem, blob))?;
    assert_eq!(received.shared_secret, sent.shared_secret);
    assert_eq!(kind(sender.decapsulate(DecapsulateRequest::new(key, MlKem, blob))), ErrorKind::AccessDenied);
    assert_eq!(kind(recipient.encapsulate(EncapsulateRequest::new(key, MlKem))), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn both_halves_are_metered_and_recorded_without_the_secret() -> Result<()> {
    if backend::lacks("both_halves_are_metered_and_recorded_without_the_secret", &["ML-KEM"]) {
        return Ok(());
    }
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
    let key = make(&kms, KeySpec::MlKem512, USAGE)?;
    let requests = || -> Result<u64> {
        let metered = kms.metered_keys(AccountId::default())?;
        Ok(metered.iter().find(|metered| metered.key_id() == key).map_or(0, |metered| metered.requests))
    };
    let before = requests()?;
    let sent = kms.encapsulate(EncapsulateRequest::new(key, MlKem))?;
    kms.decapsulate(DecapsulateRequest::new(key, MlKem, &sent.shared_secret_ciphertext_blob))?;
    assert_eq!(requests()?, before + 2);

    for operation in [Operation::Encapsulate, Operation::Decapsulate] {
        let events = trail.events();
        let event = events.iter().find(|event| event.action == Action::Call(operation)).expect("recorded");
        assert!(event.parameters.iter().any(|(name, _)| *name == "encapsulationAlgorithm"), "{event:?}");
        let text = format!("{event:?}");
        assert!(!text.contains(&hex::encode(sent.shared_secret.expose_secret())), "{text}");
    }
    Ok(())
}
