//! Keys as values: signers and MACs of long messages, signers that follow an alias, and the formats
//! of signatures.

use std::sync::Arc;

use signature::hazmat::PrehashSigner;
use signature::{DigestSigner, DigestVerifier, Keypair, MultipartSigner, Signer, Verifier};
use strongroom::algorithm::{MacAlgorithm, MessageType, SignatureFormat, SigningAlgorithm};
use strongroom::audit::{Action, MemoryTrail, Outcome, ParameterValue};
use strongroom::crypto::KeyPairKind;
use strongroom::identity::{AccountId, Principal};
use strongroom::jose::{JoseAlgorithm, JwkUse};
use strongroom::key::{DeletionWindow, KeyId, KeySpec, KeyUsage, Operation, SpecClass};
use strongroom::request::{GenerateMacRequest, SignRequest, VerifyMacRequest, VerifyRequest};
use strongroom::{ErrorKind, Kms, KmsAliasSigner, KmsMac, KmsSignature, KmsSigner, KmsVerifyingKey, Result};

use crate::support::backend;
use crate::support::every_key::{KEYS, digest, make};
use crate::support::kms::kind;

type P256 = p256::ecdsa::VerifyingKey;
type P256Signature = p256::ecdsa::Signature;

/// Longer than an operation of a KMS accepts.
const LONG: usize = 1 << 20;

fn long_message() -> Vec<u8> {
    (0..LONG).map(|index| u8::try_from(index % 251).expect("below 256")).collect()
}

/// Returns the kind of the KMS error that the traits of `signature` wrap.
fn signing_kind<S>(result: std::result::Result<S, signature::Error>) -> ErrorKind {
    let error = result.err().expect("the call must be rejected");
    let source = std::error::Error::source(&error).expect("the error of the KMS");
    source.downcast_ref::<strongroom::Error>().expect("the error of the KMS").kind()
}

/// Signs a long message with every trait of both signers, and verifies it with the crate of the type.
fn sign_long<V, S>(spec: KeySpec) -> Result<()>
where
    V: KmsVerifyingKey + Verifier<S> + DigestVerifier<V::Digest, S>,
    S: KmsSignature<V>,
{
    let key = KEYS.of(spec, KeyUsage::SignVerify);
    let (pinned, following) = (KmsSigner::<V>::new(&KEYS.kms, key)?, KmsAliasSigner::<V>::new(&KEYS.kms, key)?);
    let (message, public) = (long_message(), pinned.verifying_key());
    let parts = [&message[..7], &[], &message[7..70_000], &message[70_000..]];
    let write = |digest: &mut V::Digest| {
        parts.iter().for_each(|part| signature::digest::Update::update(digest, part));
        Ok(())
    };
    let verified = |signature: std::result::Result<S, signature::Error>| {
        let signature = signature.unwrap_or_else(|error| panic!("{spec}: {error}"));
        public.verify(&message, &signature).unwrap_or_else(|error| panic!("{spec}: {error}"));
        assert!(public.verify(&message[1..], &signature).is_err(), "{spec}");
    };
    verified(pinned.try_sign(&message));
    verified(following.try_sign(&message));
    verified(pinned.try_multipart_sign(&parts));
    verified(following.try_multipart_sign(&parts));
    for signature in [pinned.try_sign_digest(write), following.try_sign_digest(write)] {
        let signature = signature.unwrap_or_else(|error| panic!("{spec}: {error}"));
        public.verify_digest(write, &signature).unwrap_or_else(|error| panic!("{spec}: {error}"));
        // Ed25519ph is another algorithm than Ed25519.
        assert_eq!(public.verify(&message, &signature).is_ok(), V::ALGORITHM == V::DIGEST_ALGORITHM, "{spec}");
    }
    let refused: std::result::Result<S, _> = pinned.try_sign_digest(|_| Err(signature::Error::new()));
    assert!(refused.is_err(), "the error of the caller is returned");
    Ok(())
}

#[test]
fn signers_of_every_type_sign_messages_of_any_length() -> Result<()> {
    if backend::lacks("signers_of_every_type_sign_messages_of_any_length", &["Ed25519", "secp256k1"]) {
        return Ok(());
    }
    use sha2::{Sha256, Sha384, Sha512};
    sign_long::<P256, P256Signature>(KeySpec::EccNistP256)?;
    sign_long::<P256, p256::ecdsa::DerSignature>(KeySpec::EccNistP256)?;
    sign_long::<p384::ecdsa::VerifyingKey, p384::ecdsa::Signature>(KeySpec::EccNistP384)?;
    sign_long::<p521::ecdsa::VerifyingKey, p521::ecdsa::Signature>(KeySpec::EccNistP521)?;
    sign_long::<k256::ecdsa::VerifyingKey, k256::ecdsa::Signature>(KeySpec::EccSecgP256k1)?;
    sign_long::<ed25519_dalek::VerifyingKey, ed25519_dalek::Signature>(KeySpec::EccNistEdwards25519)?;
    sign_long::<rsa::pkcs1v15::VerifyingKey<Sha256>, rsa::pkcs1v15::Signature>(KeySpec::Rsa2048)?;
    sign_long::<rsa::pkcs1v15::VerifyingKey<Sha384>, rsa::pkcs1v15::Signature>(KeySpec::Rsa3072)?;
    sign_long::<rsa::pkcs1v15::VerifyingKey<Sha512>, rsa::pkcs1v15::Signature>(KeySpec::Rsa4096)?;
    sign_long::<rsa::pss::VerifyingKey<Sha256>, rsa::pss::Signature>(KeySpec::Rsa4096)?;
    sign_long::<rsa::pss::VerifyingKey<Sha384>, rsa::pss::Signature>(KeySpec::Rsa3072)?;
    sign_long::<rsa::pss::VerifyingKey<Sha512>, rsa::pss::Signature>(KeySpec::Rsa2048)?;
    Ok(())
}

#[test]
fn a_digest_is_no_message_of_ed25519() -> Result<()> {
    if backend::lacks("a_digest_is_no_message_of_ed25519", &["Ed25519"]) {
        return Ok(());
    }
    let key = KEYS.of(KeySpec::EccNistEdwards25519, KeyUsage::SignVerify);
    let signer = KmsSigner::<ed25519_dalek::VerifyingKey>::new(&KEYS.kms, key)?;
    let refused: std::result::Result<ed25519_dalek::Signature, _> = signer.sign_prehash(&[7; 64]);
    assert_eq!(signing_kind(refused), ErrorKind::Validation);
    let signer = KmsSigner::<P256>::new(&KEYS.kms, KEYS.of(KeySpec::EccNistP256, KeyUsage::SignVerify))?;
    for length in [0, 31, 33, 64] {
        let refused: std::result::Result<P256Signature, _> = signer.sign_prehash(&vec![7; length]);
        assert_eq!(signing_kind(refused), ErrorKind::Validation, "{length}");
    }
    Ok(())
}

#[test]
fn the_operations_of_the_kms_keep_the_limit_of_aws() -> Result<()> {
    if backend::lacks("the_operations_of_the_kms_keep_the_limit_of_aws", &["Ed25519"]) {
        return Ok(());
    }
    let (key, message) = (KEYS.of(KeySpec::EccNistEdwards25519, KeyUsage::SignVerify), vec![0; 4_097]);
    let algorithm = SigningAlgorithm::Ed25519Sha512;
    KEYS.kms.sign(SignRequest::new(key, algorithm, &message[1..]))?;
    assert_eq!(kind(KEYS.kms.sign(SignRequest::new(key, algorithm, &message))), ErrorKind::Validation);
    let verified = KEYS.kms.verify(VerifyRequest::new(key, algorithm, &message, &[0; 64]));
    assert_eq!(kind(verified), ErrorKind::Validation);
    Ok(())
}

#[test]
fn a_mac_covers_messages_of_any_length_but_zero() -> Result<()> {
    for spec in [KeySpec::Hmac224, KeySpec::Hmac256, KeySpec::Hmac384, KeySpec::Hmac512] {
        let key = KEYS.of(spec, KeyUsage::GenerateVerifyMac);
        let (mac, mut message) = (KmsMac::new(&KEYS.kms, key)?, long_message());
        let code = mac.authenticate(&message)?;
        mac.verify(&message, &code)?;
        assert_eq!(kind(mac.verify(&message[1..], &code)), ErrorKind::InvalidMac);
        message[LONG - 1] ^= 1;
        assert_eq!(kind(mac.verify(&message, &code)), ErrorKind::InvalidMac);
        assert_eq!(kind(mac.authenticate(&[])), ErrorKind::Validation);
        assert_eq!(kind(mac.verify(&[], &code)), ErrorKind::Validation);
        for wrong in [&[][..], &[0; 6_145]] {
            assert_eq!(kind(mac.verify(b"a message", wrong)), ErrorKind::InvalidMac);
        }
        let request = GenerateMacRequest::new(key, mac.algorithm(), &message);
        assert_eq!(kind(KEYS.kms.generate_mac(request)), ErrorKind::Validation);
        let request = VerifyMacRequest::new(key, mac.algorithm(), &message, &code);
        assert_eq!(kind(KEYS.kms.verify_mac(request)), ErrorKind::Validation);
    }
    Ok(())
}

/// A KMS with an audit trail.
fn audited() -> Result<(Kms, Arc<MemoryTrail>)> {
    let trail = Arc::new(MemoryTrail::default());
    Ok((Kms::builder().audit(Arc::clone(&trail)).build()?, trail))
}

#[test]
fn each_use_of_a_handle_is_one_event_and_is_authorized() -> Result<()> {
    if backend::lacks("each_use_of_a_handle_is_one_event_and_is_authorized", &["Ed25519"]) {
        return Ok(());
    }
    let (kms, trail) = audited()?;
    let (ed25519, hmac) = (
        make(&kms, KeySpec::EccNistEdwards25519, KeyUsage::SignVerify)?,
        make(&kms, KeySpec::Hmac256, KeyUsage::GenerateVerifyMac)?,
    );
    kms.create_alias("alias/signing", ed25519)?;
    let signer = KmsAliasSigner::<ed25519_dalek::VerifyingKey>::new(&kms, "alias/signing")?;
    let (pinned, mac, message) = (signer.pin()?, KmsMac::new(&kms, hmac)?, long_message());
    let code = mac.authenticate(&message)?;

    type Signature = ed25519_dalek::Signature;
    let text = |value: &str| ParameterValue::from(value.to_owned());
    let one_event = |operation: Operation, key: KeyId, parameters: &[(&'static str, &str)], run: &dyn Fn() -> bool| {
        trail.clear();
        assert!(run(), "{operation}");
        let events = trail.events();
        let [event] = &events[..] else { panic!("{operation}: {events:?}") };
        assert_eq!((&event.action, &event.outcome), (&Action::Call(operation), &Outcome::Success));
        assert_eq!(event.keys[0].map(|resource| resource.key_id), Some(key));
        let expected: Vec<_> = parameters.iter().map(|(name, value)| (*name, text(value))).collect();
        assert!(expected.iter().all(|parameter| event.parameters.contains(parameter)), "{:?}", event.parameters);
    };
    let raw = [("signingAlgorithm", "ED25519_SHA_512"), ("messageType", "RAW")];
    one_event(Operation::Sign, ed25519, &raw, &|| Signer::<Signature>::try_sign(&signer, &message).is_ok());
    one_event(Operation::Sign, ed25519, &raw, &|| Signer::<Signature>::try_sign(&pinned, &message).is_ok());
    let ph = [("signingAlgorithm", "ED25519_PH_SHA_512"), ("messageType", "DIGEST")];
    one_event(Operation::Sign, ed25519, &ph, &|| {
        DigestSigner::<sha2::Sha512, Signature>::try_sign_digest(&signer, |_| Ok(())).is_ok()
    });
    let sha256 = [("macAlgorithm", MacAlgorithm::HmacSha256.as_str())];
    one_event(Operation::GenerateMac, hmac, &sha256, &|| mac.authenticate(&message).is_ok());
    one_event(Operation::VerifyMac, hmac, &sha256, &|| mac.verify(&message, &code).is_ok());

    kms.disable_key(ed25519)?;
    kms.disable_key(hmac)?;
    assert_eq!(signing_kind(Signer::<Signature>::try_sign(&signer, b"x")), ErrorKind::Disabled);
    assert_eq!(signing_kind(Signer::<Signature>::try_sign(&pinned, b"x")), ErrorKind::Disabled);
    assert_eq!(kind(mac.authenticate(&message)), ErrorKind::Disabled);
    assert_eq!(kind(mac.verify(&message, &code)), ErrorKind::Disabled);
    let refused = trail.events().iter().filter(|event| matches!(event.outcome, Outcome::Failure(_))).count();
    assert_eq!(refused, 4);

    kms.enable_key(ed25519)?;
    let alice = kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    let made = KmsAliasSigner::<ed25519_dalek::VerifyingKey>::new(&alice, "alias/signing");
    assert_eq!(kind(made), ErrorKind::AccessDenied);
    Ok(())
}

#[test]
fn ml_dsa_signer_takes_whole_messages_of_any_length_and_no_digests() -> Result<()> {
    if backend::lacks("ml_dsa_signer_takes_whole_messages_of_any_length_and_no_digests", &["ML-DSA"]) {
        return Ok(());
    }
    type Key = ml_dsa::VerifyingKey<ml_dsa::MlDsa65>;
    type Signature = ml_dsa::Signature<ml_dsa::MlDsa65>;
    let (spec, message) = (KeySpec::MlDsa65, long_message());
    let signer = KmsSigner::<Key>::new(&KEYS.kms, KEYS.of(spec, KeyUsage::SignVerify))?;
    let (start, end) = message.split_at(70_000);
    let signature: Signature = signer.try_multipart_sign(&[start, end]).expect("the key signs");
    assert!(signer.verifying_key().verify(&message, &signature).is_ok());
    assert!(signer.verifying_key().verify(&message[1..], &signature).is_err());

    let refused: std::result::Result<Signature, _> = signer.try_sign_digest(|_: &mut sha2::Sha512| Ok(()));
    assert_eq!(signing_kind(refused), ErrorKind::Validation);
    let refused: std::result::Result<Signature, _> = signer.sign_prehash(&[7; 64]);
    assert_eq!(signing_kind(refused), ErrorKind::Validation);
    assert_eq!(kind(signer.to_jwk()), ErrorKind::UnsupportedOperation);
    let identifier = signature_algorithm(&signer);
    assert_eq!(identifier, "2.16.840.1.101.3.4.3.18", "as certificates name it");
    Ok(())
}

/// Returns the identifier of the signature algorithm in a certificate.
fn signature_algorithm(signer: &impl pkcs8::spki::DynSignatureAlgorithmIdentifier) -> String {
    signer.signature_algorithm_identifier().expect("an identifier").oid.to_string()
}

#[test]
fn a_signer_follows_its_alias_and_a_pinned_one_does_not() -> Result<()> {
    if backend::lacks("a_signer_follows_its_alias_and_a_pinned_one_does_not", &["Ed25519", "secp256k1"]) {
        return Ok(());
    }
    let kms = Kms::in_memory()?;
    let sign_verify = |spec| make(&kms, spec, KeyUsage::SignVerify);
    let (old, new, ledger) =
        (sign_verify(KeySpec::EccNistP256)?, sign_verify(KeySpec::EccNistP256)?, sign_verify(KeySpec::EccSecgP256k1)?);
    kms.create_alias("alias/tokens", old)?;
    let following = KmsAliasSigner::<P256>::new(&kms, "alias/tokens")?;
    let pinned = KmsSigner::<P256>::new(&kms, "alias/tokens")?;
    let clone = following.clone();
    assert_eq!(following.key().to_string(), "alias/tokens");
    assert_eq!(following.algorithm(), SigningAlgorithm::EcdsaSha256);
    assert_eq!(format!("{following:?}"), format!("{clone:?}"));

    let signed_by = |expected: KeyId| -> Result<()> {
        let (signature, key) = following.sign_with_arn::<P256Signature>(b"message")?;
        assert_eq!((key.key_id(), following.pin()?.key_arn().key_id()), (expected, expected));
        following.pin()?.verifying_key().verify(b"message", &signature).expect("the key of the alias");
        let by_old = pinned.verifying_key().verify(b"message", &signature).is_ok();
        assert_eq!(by_old, expected == old);
        let signature: P256Signature = pinned.try_sign(b"message").expect("it is pinned");
        pinned.verifying_key().verify(b"message", &signature).expect("the same key as ever");
        Ok(())
    };
    signed_by(old)?;
    kms.update_alias("alias/tokens", new)?;
    signed_by(new)?;
    kms.update_alias("alias/tokens", old)?;
    signed_by(old)?;

    // The same algorithm on another curve. Its signatures have the same length, and would parse.
    kms.update_alias("alias/tokens", ledger)?;
    assert_eq!(signing_kind(Signer::<P256Signature>::try_sign(&following, b"x")), ErrorKind::InvalidKeyUsage);
    assert_eq!(kind(following.pin()), ErrorKind::InvalidKeyUsage);
    let prehashed: std::result::Result<P256Signature, _> = clone.sign_prehash(&[7; 32]);
    assert_eq!(signing_kind(prehashed), ErrorKind::InvalidKeyUsage);
    let ed25519 = sign_verify(KeySpec::EccNistEdwards25519)?;
    kms.update_alias("alias/tokens", ed25519)?;
    assert_eq!(signing_kind(Signer::<P256Signature>::try_sign(&following, b"x")), ErrorKind::InvalidKeyUsage);

    kms.update_alias("alias/tokens", new)?;
    signed_by(new)?;
    kms.delete_alias("alias/tokens")?;
    assert_eq!(signing_kind(Signer::<P256Signature>::try_sign(&following, b"x")), ErrorKind::NotFound);
    assert_eq!(kind(KmsAliasSigner::<P256>::new(&kms, "alias/tokens")), ErrorKind::NotFound);
    kms.schedule_key_deletion(old, DeletionWindow::default())?;
    assert_eq!(signing_kind(Signer::<P256Signature>::try_sign(&pinned, b"x")), ErrorKind::InvalidState);
    Ok(())
}

fn signature_kind(spec: KeySpec) -> KeyPairKind {
    match spec {
        KeySpec::Rsa2048 => KeyPairKind::Rsa2048,
        KeySpec::Rsa3072 => KeyPairKind::Rsa3072,
        KeySpec::Rsa4096 => KeyPairKind::Rsa4096,
        KeySpec::EccNistP256 => KeyPairKind::EccP256,
        KeySpec::EccNistP384 => KeyPairKind::EccP384,
        KeySpec::EccNistP521 => KeyPairKind::EccP521,
        KeySpec::EccSecgP256k1 => KeyPairKind::EccSecp256k1,
        KeySpec::EccNistEdwards25519 => KeyPairKind::Ed25519,
        KeySpec::MlDsa44 => KeyPairKind::MlDsa44,
        KeySpec::MlDsa65 => KeyPairKind::MlDsa65,
        KeySpec::MlDsa87 => KeyPairKind::MlDsa87,
        other => panic!("{other} does not sign"),
    }
}

#[test]
fn signatures_have_either_format_and_verify_in_that_format_only() -> Result<()> {
    if backend::lacks("signatures_have_either_format_and_verify_in_that_format_only", &["signatures of hash values"]) {
        return Ok(());
    }
    use SignatureFormat::{Der, P1363};
    for &(spec, _, key) in KEYS.all.iter().filter(|key| key.1 == KeyUsage::SignVerify) {
        for &algorithm in spec.signing_algorithms(KeyUsage::SignVerify) {
            let form = *algorithm.message_types().last().expect("at least one");
            let message = if form == MessageType::Raw { b"message".to_vec() } else { digest(algorithm, b"message") };
            let sign = |format| {
                let request = SignRequest::new(key, algorithm, &message).message_type(form).signature_format(format);
                KEYS.kms.sign(request).map(|signed| signed.signature)
            };
            let verify = |format, signature: &[u8]| {
                let request = VerifyRequest::new(key, algorithm, &message, signature).message_type(form);
                KEYS.kms.verify(request.signature_format(format)).map(drop)
            };
            let (der, fixed) = (sign(Der)?, sign(P1363)?);
            assert_eq!(fixed.len(), signature_kind(spec).p1363_signature_length(), "{spec} {algorithm}");
            verify(Der, &der)?;
            verify(P1363, &fixed)?;
            verify(P1363, &signature_kind(spec).signature_to_p1363(&der)?)?;
            verify(Der, &signature_kind(spec).signature_from_p1363(&fixed)?)?;
            let is_ecdsa = algorithm.as_str().starts_with("ECDSA");
            for (format, other) in [(Der, &fixed), (P1363, &der)] {
                match is_ecdsa {
                    true => assert_eq!(kind(verify(format, other)), ErrorKind::InvalidSignature, "{spec}"),
                    false => verify(format, other)?,
                }
            }
            let longer = [&fixed[..], &[0]].concat();
            assert_eq!(kind(verify(P1363, &[])), ErrorKind::Validation, "{spec}");
            for wrong in [&fixed[1..], &fixed[..fixed.len() - 1], &longer, &vec![0; fixed.len()]] {
                assert_eq!(kind(verify(P1363, wrong)), ErrorKind::InvalidSignature, "{spec} {}", wrong.len());
            }
        }
    }
    Ok(())
}

#[test]
fn every_asymmetric_key_except_ml_dsa_and_ml_kem_has_a_json_web_key() -> Result<()> {
    if backend::lacks("every_asymmetric_key_except_ml_dsa_and_ml_kem_has_a_json_web_key", &["Ed25519", "secp256k1"]) {
        return Ok(());
    }
    for &(spec, usage, key) in &KEYS.all {
        if spec.class() != SpecClass::Asymmetric {
            assert_eq!(kind(KEYS.kms.get_public_key(key)), ErrorKind::UnsupportedOperation);
            continue;
        }
        let mut public = KEYS.kms.get_public_key(key)?;
        if spec.as_str().starts_with("ML_") {
            assert_eq!(kind(public.to_jwk()), ErrorKind::UnsupportedOperation, "{spec}");
            continue;
        }
        let jwk = public.to_jwk()?;
        let (key_use, signs) = match usage {
            KeyUsage::SignVerify => (JwkUse::Signature, true),
            _ => (JwkUse::Encryption, false),
        };
        let algorithm = match (spec, signs) {
            (KeySpec::EccNistP256, true) => Some(JoseAlgorithm::Es256),
            (KeySpec::EccNistP384, true) => Some(JoseAlgorithm::Es384),
            (KeySpec::EccNistP521, true) => Some(JoseAlgorithm::Es512),
            (KeySpec::EccSecgP256k1, true) => Some(JoseAlgorithm::Es256K),
            _ => None,
        };
        assert_eq!((jwk.key_use(), jwk.algorithm()), (Some(key_use), algorithm), "{spec} {usage}");
        for &name in JoseAlgorithm::ALL {
            let has = name.signing_algorithm().is_some_and(|signing| public.signing_algorithms.contains(&signing))
                || name.encryption_algorithm().is_some_and(|cipher| public.encryption_algorithms.contains(&cipher));
            let is_of_curve = !matches!(
                (spec, name),
                (KeySpec::EccNistP256, JoseAlgorithm::Es256K) | (KeySpec::EccSecgP256k1, JoseAlgorithm::Es256)
            );
            assert_eq!(jwk.clone().with_algorithm(name).is_ok(), has && is_of_curve, "{spec} {usage} {name}");
        }
        public.public_key.push(0);
        assert_eq!(kind(public.to_jwk()), ErrorKind::Validation);
        // The record of a key of another spec.
        public.public_key.pop();
        public.key_spec = KeySpec::Hmac256;
        assert_eq!(kind(public.to_jwk()), ErrorKind::UnsupportedOperation);
    }
    let ed25519 = KEYS.of(KeySpec::EccNistEdwards25519, KeyUsage::SignVerify);
    let signer = KmsSigner::<ed25519_dalek::VerifyingKey>::new(&KEYS.kms, ed25519)?;
    assert_eq!(signer.to_jwk()?, KEYS.kms.get_public_key(ed25519)?.to_jwk()?);
    let rsa = KEYS.of(KeySpec::Rsa2048, KeyUsage::SignVerify);
    let signer = KmsSigner::<rsa::pkcs1v15::VerifyingKey<sha2::Sha384>>::new(&KEYS.kms, rsa)?;
    assert_eq!(signer.to_jwk()?.algorithm(), Some(JoseAlgorithm::Rs384));
    assert_eq!(signer.to_jwk()?.kid(), KEYS.kms.get_public_key(rsa)?.to_jwk()?.kid());
    Ok(())
}
