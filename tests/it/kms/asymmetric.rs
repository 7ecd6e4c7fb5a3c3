//! Keys of every spec and usage: each key supports its own operations and no others.

use signature::{Keypair, Signer, Verifier};
use strongroom::algorithm::{
    EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, MacAlgorithm, MessageType, SigningAlgorithm,
};
use strongroom::crypto::{CryptoBackend, SignatureInput};
use strongroom::key::{DataKeyPairSpec, DeletionWindow, KeyId, KeySpec, KeyUsage, SpecClass};
use strongroom::request::{
    DecapsulateRequest, DecryptRequest, DeriveSharedSecretRequest, EncapsulateRequest, EncryptRequest,
    GenerateDataKeyPairRequest, GenerateDataKeyRequest, GenerateMacRequest, ReEncryptRequest, SignRequest,
    VerifyMacRequest, VerifyRequest,
};
use strongroom::{EncryptionContext, ErrorKind, Kms, KmsSignature, KmsSigner, KmsVerifyingKey, Result};

use crate::support::backend;
use crate::support::every_key::{KEYS, digest, make, representative};
use crate::support::kms::kind;

/// Returns the ways to sign or verify a message with a key of [`KEYS`]: the algorithm, the message
/// type, and the bytes to pass in.
fn forms(spec: KeySpec, message: &[u8]) -> Vec<(SigningAlgorithm, MessageType, Vec<u8>)> {
    let mut forms = Vec::new();
    for &algorithm in spec.signing_algorithms(KeyUsage::SignVerify) {
        for &form in algorithm.message_types() {
            let bytes = match form {
                MessageType::Raw => message.to_vec(),
                MessageType::Digest => digest(algorithm, message),
                _ => {
                    let public = KEYS.kms.get_public_key(KEYS.of(spec, KeyUsage::SignVerify)).expect("a public key");
                    representative(&public.public_key, message)
                }
            };
            forms.push((algorithm, form, bytes));
        }
    }
    forms
}

#[test]
fn what_is_signed_in_one_form_verifies_in_every_form_and_nothing_else_does() -> Result<()> {
    if backend::lacks(
        "what_is_signed_in_one_form_verifies_in_every_form_and_nothing_else_does",
        &["signatures of hash values"],
    ) {
        return Ok(());
    }
    let keys = &*KEYS;
    let mut tried = 0;
    for (spec, key) in keys.for_usage(KeyUsage::SignVerify) {
        for (algorithm, form, bytes) in forms(spec, b"a contract") {
            let made = keys.kms.sign(SignRequest::new(key, algorithm, &bytes).message_type(form))?;
            assert_eq!((made.key_arn.key_id(), made.signing_algorithm), (key, algorithm));
            for (by, form, bytes) in forms(spec, b"a contract") {
                let request = VerifyRequest::new(key, by, &bytes, &made.signature).message_type(form);
                match by == algorithm {
                    true => assert_eq!(keys.kms.verify(request)?.signing_algorithm, algorithm),
                    false => {
                        assert_eq!(kind(keys.kms.verify(request)), ErrorKind::InvalidSignature, "{algorithm} {by}");
                    }
                }
                tried += 1;
            }
            for (by, form, bytes) in forms(spec, b"another contract").into_iter().filter(|form| form.0 == algorithm) {
                let request = VerifyRequest::new(key, by, &bytes, &made.signature).message_type(form);
                assert_eq!(kind(keys.kms.verify(request)), ErrorKind::InvalidSignature, "{algorithm}");
            }
        }
    }
    // RSA: 3 specs of 12 forms, each against 12. Curves: 4 of 2 against 2. Ed25519: 2 against 2.
    // ML-DSA: 3 of 2 against 2.
    assert_eq!(tried, 3 * 144 + 4 * 4 + 4 + 3 * 4);
    Ok(())
}

#[test]
fn a_signature_of_another_key_is_refused() -> Result<()> {
    if backend::lacks("a_signature_of_another_key_is_refused", &["signatures of hash values"]) {
        return Ok(());
    }
    let (keys, elsewhere) = (&*KEYS, Kms::in_memory()?);
    for (spec, key) in keys.for_usage(KeyUsage::SignVerify) {
        let other = make(&elsewhere, spec, KeyUsage::SignVerify)?;
        for (algorithm, form, bytes) in forms(spec, b"a contract") {
            let signature = elsewhere.sign(SignRequest::new(other, algorithm, &bytes).message_type(form))?.signature;
            let request = VerifyRequest::new(key, algorithm, &bytes, &signature).message_type(form);
            assert_eq!(kind(keys.kms.verify(request)), ErrorKind::InvalidSignature, "{spec} {algorithm}");
        }
    }
    Ok(())
}

#[test]
fn an_altered_signature_is_refused_whatever_was_altered() -> Result<()> {
    if backend::lacks("an_altered_signature_is_refused_whatever_was_altered", &["signatures of hash values"]) {
        return Ok(());
    }
    let keys = &*KEYS;
    for (spec, key) in keys.for_usage(KeyUsage::SignVerify) {
        for (algorithm, form, bytes) in forms(spec, b"a contract") {
            let signature = keys.kms.sign(SignRequest::new(key, algorithm, &bytes).message_type(form))?.signature;
            let refused = |signature: &[u8]| {
                let request = VerifyRequest::new(key, algorithm, &bytes, signature).message_type(form);
                assert_eq!(kind(keys.kms.verify(request)), ErrorKind::InvalidSignature, "{spec} {algorithm}");
            };
            for at in (0..signature.len()).step_by(7) {
                let mut altered = signature.clone();
                altered[at] ^= 1 << (at % 8);
                refused(&altered);
            }
            refused(&signature[1..]);
            refused(&signature[..signature.len() - 1]);
            refused(&[&signature[..], &[0]].concat());
            refused(&[&[0], &signature[..]].concat());
            refused(&vec![0; signature.len()]);
            refused(&vec![0xff; signature.len()]);
            refused(&vec![0x30; 6_144]);
            for impossible in [&[][..], &[0x30; 6_145]] {
                let request = VerifyRequest::new(key, algorithm, &bytes, impossible).message_type(form);
                assert_eq!(kind(keys.kms.verify(request)), ErrorKind::Validation, "{spec} {algorithm}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_message_has_1_to_4096_bytes_and_a_digest_or_representative_exactly_its_own() -> Result<()> {
    if backend::lacks(
        "a_message_has_1_to_4096_bytes_and_a_digest_or_representative_exactly_its_own",
        &["signatures of hash values"],
    ) {
        return Ok(());
    }
    let keys = &*KEYS;
    for (spec, key) in keys.for_usage(KeyUsage::SignVerify) {
        for &algorithm in spec.signing_algorithms(KeyUsage::SignVerify) {
            let sign = |form, bytes: &[u8]| keys.kms.sign(SignRequest::new(key, algorithm, bytes).message_type(form));
            let verify = |form, bytes: &[u8]| {
                keys.kms.verify(VerifyRequest::new(key, algorithm, bytes, b"signature").message_type(form))
            };
            for form in MessageType::ALL.iter().copied() {
                assert_eq!(kind(sign(form, &[0; 4_097])), ErrorKind::Validation);
                assert_eq!(kind(verify(form, &[0; 4_097])), ErrorKind::Validation);
                assert_eq!(kind(sign(form, &[])), ErrorKind::Validation);
                assert_eq!(kind(verify(form, &[])), ErrorKind::Validation);
                if !algorithm.message_types().contains(&form) {
                    assert_eq!(kind(sign(form, &[0; 64])), ErrorKind::Validation, "{algorithm} {form}");
                    assert_eq!(kind(verify(form, &[0; 64])), ErrorKind::Validation, "{algorithm} {form}");
                }
            }
            if algorithm.message_types().contains(&MessageType::Raw) {
                sign(MessageType::Raw, &[0; 4_096])?;
                sign(MessageType::Raw, &[0])?;
            }
            for length in [20, 28, 32, 48, 64, 65, 4_096] {
                if length != algorithm.digest_length() {
                    let text = format!("Digest is invalid length for algorithm {algorithm}.");
                    let refused = sign(MessageType::Digest, &vec![0; length]).expect_err("of the wrong length");
                    assert_eq!(refused.kind(), ErrorKind::Validation);
                    let takes_digests = algorithm.message_types().contains(&MessageType::Digest);
                    assert_eq!(refused.to_string() == text, takes_digests, "{algorithm}: {refused}");

                    let text = format!("Message representative is invalid length for algorithm {algorithm}.");
                    let refused = sign(MessageType::ExternalMu, &vec![0; length]).expect_err("of the wrong length");
                    assert_eq!(refused.kind(), ErrorKind::Validation);
                    let is_ml_dsa = algorithm == SigningAlgorithm::MlDsaShake256;
                    assert_eq!(refused.to_string() == text, is_ml_dsa, "{algorithm}: {refused}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn an_algorithm_of_another_spec_is_refused() -> Result<()> {
    let keys = &*KEYS;
    for (spec, key) in keys.for_usage(KeyUsage::SignVerify) {
        let mine = spec.signing_algorithms(KeyUsage::SignVerify);
        for &algorithm in SigningAlgorithm::ALL.iter().filter(|algorithm| !mine.contains(algorithm)) {
            let text = format!("Algorithm {algorithm} is incompatible with key spec {spec}.");
            let signed = keys.kms.sign(SignRequest::new(key, algorithm, b"x")).expect_err("not of this spec");
            assert_eq!((signed.kind(), signed.to_string()), (ErrorKind::InvalidKeyUsage, text));
            let verified = keys.kms.verify(VerifyRequest::new(key, algorithm, b"x", b"x"));
            assert_eq!(kind(verified), ErrorKind::InvalidKeyUsage);
        }
    }
    Ok(())
}

const OAEP: [(EncryptionAlgorithm, usize); 2] =
    [(EncryptionAlgorithm::RsaesOaepSha1, 2 * 20 + 2), (EncryptionAlgorithm::RsaesOaepSha256, 2 * 32 + 2)];

const RSA: [(KeySpec, usize); 3] = [(KeySpec::Rsa2048, 256), (KeySpec::Rsa3072, 384), (KeySpec::Rsa4096, 512)];

#[test]
fn rsa_encrypts_up_to_the_modulus_less_twice_the_hash_less_2() -> Result<()> {
    let keys = &*KEYS;
    for (spec, modulus) in RSA {
        let key = keys.of(spec, KeyUsage::EncryptDecrypt);
        for (algorithm, overhead) in OAEP {
            let encrypt = |length: usize| {
                let plaintext = vec![0xA5; length];
                keys.kms.encrypt(EncryptRequest::new(key, &plaintext).algorithm(algorithm))
            };
            for length in [1, modulus - overhead] {
                let made = encrypt(length)?;
                assert_eq!((made.ciphertext_blob.len(), made.encryption_algorithm), (modulus, algorithm));
                let request = DecryptRequest::new(&made.ciphertext_blob).key(key)?.algorithm(algorithm);
                let opened = keys.kms.decrypt(request)?;
                assert_eq!(opened.plaintext.expose_secret(), vec![0xA5; length]);
                assert_eq!((opened.encryption_algorithm, opened.key_material_id), (algorithm, None));
            }
            for length in [0, modulus - overhead + 1, 4_096] {
                assert_eq!(kind(encrypt(length)), ErrorKind::Validation, "{spec} {algorithm} {length}");
            }
        }
    }
    Ok(())
}

#[test]
fn rsa_decrypts_only_with_its_key_its_algorithm_and_no_context() -> Result<()> {
    let keys = &*KEYS;
    let kms = &keys.kms;
    let (key, other) =
        (keys.of(KeySpec::Rsa2048, KeyUsage::EncryptDecrypt), make(kms, KeySpec::Rsa2048, KeyUsage::EncryptDecrypt)?);
    let [(sha_1, _), (sha_256, _)] = OAEP;
    let context = EncryptionContext::from([("a", "b")]);
    let blob = kms.encrypt(EncryptRequest::new(key, b"x").algorithm(sha_256))?.ciphertext_blob;

    let decrypt = |key: KeyId, algorithm, blob: &[u8]| {
        kms.decrypt(DecryptRequest::new(blob).key(key)?.algorithm(algorithm)).map(|opened| opened.plaintext)
    };
    assert_eq!(decrypt(key, sha_256, &blob)?.expose_secret(), b"x");
    let mut texts = Vec::new();
    for wrong in [
        decrypt(other, sha_256, &blob),
        decrypt(key, sha_1, &blob),
        decrypt(key, sha_256, &blob[1..]),
        decrypt(key, sha_256, &[&blob[..], &[0]].concat()),
        decrypt(key, sha_256, &[0xff; 256]),
        decrypt(key, sha_256, &[0; 256]),
        decrypt(key, sha_256, &[0]),
        decrypt(key, sha_256, &[0; 6_144]),
    ] {
        let refused = wrong.expect_err("the ciphertext cannot be decrypted");
        assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
        texts.push(refused.to_string());
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    for impossible in [&[][..], &[0; 6_145]] {
        assert_eq!(kind(decrypt(key, sha_256, impossible)), ErrorKind::Validation);
    }

    assert_eq!(kind(kms.decrypt(DecryptRequest::new(&blob).algorithm(sha_256))), ErrorKind::Validation);
    assert_eq!(kind(decrypt(key, EncryptionAlgorithm::SymmetricDefault, &blob)), ErrorKind::InvalidCiphertext);
    let with_context = DecryptRequest::new(&blob).key(key)?.algorithm(sha_256).context(&context);
    assert_eq!(kind(kms.decrypt(with_context)), ErrorKind::Validation);
    let with_context = EncryptRequest::new(key, b"x").algorithm(sha_256).context(&context);
    assert_eq!(kind(kms.encrypt(with_context)), ErrorKind::Validation);
    assert_eq!(kind(kms.encrypt(EncryptRequest::new(key, b"x"))), ErrorKind::InvalidKeyUsage);
    Ok(())
}

#[test]
fn re_encryption_leads_from_any_kind_of_encryption_key_to_any_other() -> Result<()> {
    let keys = &*KEYS;
    let kms = &keys.kms;
    let context = EncryptionContext::from([("a", "b")]);
    let symmetric = keys.of(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
    let rsa = keys.of(KeySpec::Rsa3072, KeyUsage::EncryptDecrypt);
    let oaep = EncryptionAlgorithm::RsaesOaepSha256;
    let blob = kms.encrypt(EncryptRequest::new(symmetric, b"x").context(&context))?.ciphertext_blob;

    let to_rsa = ReEncryptRequest::new(&blob, rsa).source_context(&context).destination_algorithm(oaep);
    let made = kms.re_encrypt(to_rsa)?;
    assert!(made.source_key_material_id.is_some() && made.destination_key_material_id.is_none());
    let request = DecryptRequest::new(&made.ciphertext_blob).key(rsa)?.algorithm(oaep);
    assert_eq!(kms.decrypt(request)?.plaintext.expose_secret(), b"x");

    let back = ReEncryptRequest::new(&made.ciphertext_blob, symmetric)
        .source_key(rsa)?
        .source_algorithm(oaep)
        .destination_context(&context);
    let made = kms.re_encrypt(back)?;
    assert_eq!(made.source_encryption_algorithm, oaep);
    let request = DecryptRequest::new(&made.ciphertext_blob).context(&context);
    assert_eq!(kms.decrypt(request)?.plaintext.expose_secret(), b"x");
    Ok(())
}

#[test]
fn both_sides_of_a_key_agreement_derive_the_same_secret() -> Result<()> {
    let keys = &*KEYS;
    for (spec, length) in [(KeySpec::EccNistP256, 32), (KeySpec::EccNistP384, 48), (KeySpec::EccNistP521, 66)] {
        let ours = keys.of(spec, KeyUsage::KeyAgreement);
        let kms = Kms::in_memory()?;
        let theirs = make(&kms, spec, KeyUsage::KeyAgreement)?;
        let agree = |kms: &Kms, key, public: &[u8]| {
            kms.derive_shared_secret(DeriveSharedSecretRequest::new(key, KeyAgreementAlgorithm::Ecdh, public))
        };
        let (our_public, their_public) =
            (keys.kms.get_public_key(ours)?.public_key, kms.get_public_key(theirs)?.public_key);
        let here = agree(&keys.kms, ours, &their_public)?.shared_secret;
        assert_eq!((here.len(), &here), (length, &agree(&kms, theirs, &our_public)?.shared_secret));

        let foreign = if spec == KeySpec::EccNistP256 { KeySpec::EccNistP384 } else { KeySpec::EccNistP256 };
        let foreign = keys.kms.get_public_key(keys.of(foreign, KeyUsage::KeyAgreement))?.public_key;
        let at_infinity = [&their_public[..their_public.len() - 2 * length - 1], &[0]].concat();
        let mut off_curve = their_public.clone();
        *off_curve.last_mut().expect("not empty") ^= 1;
        let wrong: [&[u8]; 8] = [
            &[],
            &their_public[1..],
            &their_public[..their_public.len() - 1],
            &[&their_public[..], &[0]].concat(),
            &foreign,
            &off_curve,
            &at_infinity,
            &[0x30; 8_193],
        ];
        for public in wrong {
            assert_eq!(kind(agree(&keys.kms, ours, public)), ErrorKind::Validation, "{spec} {}", hex::encode(public));
        }
    }
    Ok(())
}

#[test]
fn a_data_key_pair_is_whole_and_only_its_encrypted_half_needs_the_kms() -> Result<()> {
    if backend::lacks("a_data_key_pair_is_whole_and_only_its_encrypted_half_needs_the_kms", &["secp256k1"]) {
        return Ok(());
    }
    let kms = Kms::in_memory()?;
    let key = make(&kms, KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)?;
    let context = EncryptionContext::from([("purpose", "pairs")]);
    let backend = CryptoBackend::default();
    for &spec in DataKeyPairSpec::ALL {
        let request = GenerateDataKeyPairRequest::new(key, spec).context(&context);
        let pair = kms.generate_data_key_pair(request.clone())?;
        let opened = kms.decrypt(DecryptRequest::new(&pair.private_key_ciphertext_blob).context(&context))?;
        assert_eq!(
            (&opened.plaintext, opened.key_material_id),
            (&pair.private_key_plaintext, Some(pair.key_material_id))
        );
        let without = DecryptRequest::new(&pair.private_key_ciphertext_blob);
        assert_eq!(kind(kms.decrypt(without)), ErrorKind::InvalidCiphertext);

        let kind = strongroom::crypto::KeyPairKind::ALL.into_iter();
        let (private, public) = kind
            .filter_map(|kind| {
                let private = backend.key_pairs().private_key(kind, pair.private_key_plaintext.expose_secret()).ok()?;
                Some((private, backend.key_pairs().public_key(kind, &pair.public_key).ok()?))
            })
            .next()
            .unwrap_or_else(|| panic!("{spec} is a key pair"));
        match private.kind().signing_algorithms().first() {
            Some(&algorithm) => {
                let signature = private.sign(algorithm, SignatureInput::Message(b"m"))?;
                public.verify(algorithm, SignatureInput::Message(b"m"), &signature)?;
            }
            None => {
                let sent = public.encapsulate(backend.random())?;
                assert_eq!(private.decapsulate(&sent.ciphertext)?, sent.shared_secret);
                // A seed of 64 bytes in PKCS#8, as long for every spec.
                assert_eq!(pair.private_key_plaintext.len(), 86);
            }
        }

        let dry = kms.generate_data_key_pair(request.clone().dry_run()).expect_err("a dry run");
        assert_eq!(dry.kind(), ErrorKind::DryRun);
        if private.kind().modulus_bits().is_none() {
            let sealed = kms.generate_data_key_pair_without_plaintext(request)?;
            let opened = kms.decrypt(DecryptRequest::new(&sealed.private_key_ciphertext_blob).context(&context))?;
            let private = backend.key_pairs().private_key(private.kind(), opened.plaintext.expose_secret())?;
            assert_eq!(private.public_key_der(), sealed.public_key);
            assert_ne!(sealed.public_key, pair.public_key);
        }
    }
    Ok(())
}

#[test]
fn a_public_key_says_what_it_is_for_and_secret_keys_have_none() -> Result<()> {
    let keys = &*KEYS;
    for &(spec, usage, key) in &keys.all {
        let public = keys.kms.get_public_key(key);
        if spec.class() != SpecClass::Asymmetric {
            assert_eq!(kind(public), ErrorKind::UnsupportedOperation, "{spec}");
            continue;
        }
        let public = public?;
        assert_eq!((public.key_spec, public.key_usage), (spec, usage));
        assert_eq!(public.encryption_algorithms, spec.encryption_algorithms(usage));
        assert_eq!(public.signing_algorithms, spec.signing_algorithms(usage));
        assert_eq!(public.key_agreement_algorithms, spec.key_agreement_algorithms(usage));
        assert_eq!(public.encapsulation_algorithms, spec.encapsulation_algorithms(usage));
        assert_eq!(public.key_arn.key_id(), key);
    }
    Ok(())
}

/// An operation, and the key usage that it requires.
type Attempt = (&'static str, KeyUsage, fn(&Kms, KeySpec, KeyId) -> Result<()>);

/// Every cryptographic operation, as requested by a caller who knows the spec but not the usage of
/// the key.
const ATTEMPTS: [Attempt; 12] = [
    ("Encrypt", KeyUsage::EncryptDecrypt, |kms, spec, key| {
        kms.encrypt(EncryptRequest::new(key, b"x").algorithm(encryption(spec))).map(drop)
    }),
    ("Decrypt", KeyUsage::EncryptDecrypt, |kms, spec, key| {
        kms.decrypt(DecryptRequest::new(&[1; 512]).key(key)?.algorithm(encryption(spec))).map(drop)
    }),
    ("ReEncrypt", KeyUsage::EncryptDecrypt, |kms, spec, key| {
        let source = KEYS.of(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
        let blob = kms.encrypt(EncryptRequest::new(source, b"x"))?.ciphertext_blob;
        kms.re_encrypt(ReEncryptRequest::new(&blob, key).destination_algorithm(encryption(spec))).map(drop)
    }),
    ("GenerateDataKey", KeyUsage::EncryptDecrypt, |kms, _, key| {
        kms.generate_data_key(GenerateDataKeyRequest::new(key)).map(drop)
    }),
    ("GenerateDataKeyPair", KeyUsage::EncryptDecrypt, |kms, _, key| {
        kms.generate_data_key_pair(GenerateDataKeyPairRequest::new(key, DataKeyPairSpec::EccNistP256)).map(drop)
    }),
    ("Sign", KeyUsage::SignVerify, |kms, spec, key| {
        kms.sign(SignRequest::new(key, signing(spec), &digest(signing(spec), b"x")).message_type(form(spec))).map(drop)
    }),
    ("Verify", KeyUsage::SignVerify, |kms, spec, key| {
        kms.verify(VerifyRequest::new(key, signing(spec), b"x", b"x")).map(drop)
    }),
    ("GenerateMac", KeyUsage::GenerateVerifyMac, |kms, spec, key| {
        kms.generate_mac(GenerateMacRequest::new(key, mac(spec), b"x")).map(drop)
    }),
    ("VerifyMac", KeyUsage::GenerateVerifyMac, |kms, spec, key| {
        kms.verify_mac(VerifyMacRequest::new(key, mac(spec), b"x", b"x")).map(drop)
    }),
    ("DeriveSharedSecret", KeyUsage::KeyAgreement, |kms, _, key| {
        let peer = kms.get_public_key(KEYS.of(KeySpec::EccNistP256, KeyUsage::KeyAgreement))?.public_key;
        kms.derive_shared_secret(DeriveSharedSecretRequest::new(key, KeyAgreementAlgorithm::Ecdh, &peer)).map(drop)
    }),
    ("Encapsulate", KeyUsage::EncapsulateDecapsulate, |kms, _, key| {
        kms.encapsulate(EncapsulateRequest::new(key, EncapsulationAlgorithm::MlKem)).map(drop)
    }),
    ("Decapsulate", KeyUsage::EncapsulateDecapsulate, |kms, spec, key| {
        let ciphertext = vec![1; spec.encapsulation_length().unwrap_or(768)];
        kms.decapsulate(DecapsulateRequest::new(key, EncapsulationAlgorithm::MlKem, &ciphertext)).map(drop)
    }),
];

fn encryption(spec: KeySpec) -> EncryptionAlgorithm {
    let first = spec.encryption_algorithms(KeyUsage::EncryptDecrypt).first();
    first.copied().unwrap_or(EncryptionAlgorithm::SymmetricDefault)
}

fn signing(spec: KeySpec) -> SigningAlgorithm {
    spec.signing_algorithms(KeyUsage::SignVerify).first().copied().unwrap_or(SigningAlgorithm::EcdsaSha256)
}

fn form(spec: KeySpec) -> MessageType {
    if signing(spec).message_types().contains(&MessageType::Digest) { MessageType::Digest } else { MessageType::Raw }
}

fn mac(spec: KeySpec) -> MacAlgorithm {
    let first = spec.mac_algorithms(KeyUsage::GenerateVerifyMac).first();
    first.copied().unwrap_or(MacAlgorithm::HmacSha256)
}

#[test]
fn a_key_serves_its_one_usage_and_no_other() {
    if backend::lacks("a_key_serves_its_one_usage_and_no_other", &["signatures of hash values"]) {
        return;
    }
    let keys = &*KEYS;
    let (mut served, mut refused) = (0, 0);
    for &(spec, usage, key) in &keys.all {
        for (operation, needed, run) in ATTEMPTS {
            let result = run(&keys.kms, spec, key);
            let makes_data_keys = operation.starts_with("GenerateData");
            if needed == usage && (!makes_data_keys || spec == KeySpec::SymmetricDefault) {
                // Garbage is rejected as garbage, which shows that the operation was reached.
                let reached = match result.map_err(|error| error.kind()) {
                    Ok(()) => true,
                    Err(ErrorKind::InvalidCiphertext | ErrorKind::IncorrectKey) => operation == "Decrypt",
                    Err(ErrorKind::InvalidSignature) => operation == "Verify",
                    Err(ErrorKind::Validation) => operation == "Verify" || spec != KeySpec::EccNistP256,
                    Err(ErrorKind::InvalidMac) => operation == "VerifyMac",
                    Err(_) => false,
                };
                assert!(reached, "{operation} with {spec} for {usage}");
                served += 1;
            } else {
                let why = result.expect_err("not its usage").kind();
                // A key that cannot decrypt cannot have produced the ciphertext.
                let expected =
                    if operation == "Decrypt" { ErrorKind::IncorrectKey } else { ErrorKind::InvalidKeyUsage };
                assert_eq!(why, expected, "{operation} with {spec} for {usage}");
                refused += 1;
            }
        }
    }
    println!("usages: {served} attempts served, {refused} refused");
    assert_eq!(served + refused, keys.all.len() * ATTEMPTS.len());
}

#[test]
fn no_usage_survives_disabling_or_scheduled_deletion() -> Result<()> {
    let kms = Kms::in_memory()?;
    // One or two specs for each usage, because the rest of the test does not depend on the spec.
    let kinds = [
        (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt),
        (KeySpec::Rsa2048, KeyUsage::EncryptDecrypt),
        (KeySpec::EccNistP256, KeyUsage::SignVerify),
        (KeySpec::EccNistP256, KeyUsage::KeyAgreement),
        (KeySpec::MlDsa65, KeyUsage::SignVerify),
        (KeySpec::MlKem768, KeyUsage::EncapsulateDecapsulate),
        (KeySpec::Hmac256, KeyUsage::GenerateVerifyMac),
    ];
    for (spec, usage) in kinds.into_iter().filter(|kind| backend::allows(kind.0)) {
        let key = make(&kms, spec, usage)?;
        // GenerateData needs a symmetric key, ReEncrypt a source key of the same KMS.
        let attempts: Vec<_> =
            ATTEMPTS.iter().filter(|attempt| attempt.1 == usage && attempt.0 != "ReEncrypt").collect();
        let all_are = |expected: ErrorKind| {
            for (operation, _, run) in &attempts {
                if operation.starts_with("GenerateData") && spec != KeySpec::SymmetricDefault
                    || *operation == "DeriveSharedSecret"
                {
                    continue;
                }
                let refused = run(&kms, spec, key).expect_err("not in this state").kind();
                // The blob of another key is reported in every state.
                let is_foreign = *operation == "Decrypt" && spec == KeySpec::SymmetricDefault;
                let expected = if is_foreign { ErrorKind::IncorrectKey } else { expected };
                assert_eq!(refused, expected, "{operation} with {spec}");
            }
            if usage == KeyUsage::KeyAgreement {
                let peer = KEYS.kms.get_public_key(KEYS.of(spec, usage)).expect("the key is enabled").public_key;
                let request = DeriveSharedSecretRequest::new(key, KeyAgreementAlgorithm::Ecdh, &peer);
                assert_eq!(kind(kms.derive_shared_secret(request)), expected);
            }
        };
        kms.disable_key(key)?;
        all_are(ErrorKind::Disabled);
        kms.schedule_key_deletion(key, DeletionWindow::default())?;
        all_are(ErrorKind::InvalidState);
    }
    Ok(())
}

/// Signs with a key as a value of type `V`, and verifies the signature with the type's own crate.
fn sign_as<V, S>(spec: KeySpec) -> Result<()>
where
    V: KmsVerifyingKey + Verifier<S>,
    S: KmsSignature<V>,
{
    let key = KEYS.of(spec, KeyUsage::SignVerify);
    let signer = KmsSigner::<V>::new(&KEYS.kms, key)?;
    // Longer than a message of an operation may be.
    let message = [0x42; 10_000];
    let signature: S = signer.try_sign(&message).unwrap_or_else(|error| panic!("{spec}: {error}"));
    signer.verifying_key().verify(&message, &signature).unwrap_or_else(|error| panic!("{spec}: {error}"));
    assert!(signer.verifying_key().verify(b"another", &signature).is_err());
    assert_eq!(signer.key_arn().key_id(), key);
    Ok(())
}

#[test]
fn a_signer_of_every_type_makes_signatures_that_its_own_crate_verifies() -> Result<()> {
    if backend::lacks("a_signer_of_every_type_makes_signatures_that_its_own_crate_verifies", &["Ed25519"]) {
        return Ok(());
    }
    use sha2::{Sha256, Sha384, Sha512};
    sign_as::<p256::ecdsa::VerifyingKey, p256::ecdsa::Signature>(KeySpec::EccNistP256)?;
    sign_as::<p256::ecdsa::VerifyingKey, p256::ecdsa::DerSignature>(KeySpec::EccNistP256)?;
    sign_as::<p384::ecdsa::VerifyingKey, p384::ecdsa::Signature>(KeySpec::EccNistP384)?;
    sign_as::<p521::ecdsa::VerifyingKey, p521::ecdsa::Signature>(KeySpec::EccNistP521)?;
    sign_as::<ed25519_dalek::VerifyingKey, ed25519_dalek::Signature>(KeySpec::EccNistEdwards25519)?;
    sign_as::<ml_dsa::VerifyingKey<ml_dsa::MlDsa44>, ml_dsa::Signature<ml_dsa::MlDsa44>>(KeySpec::MlDsa44)?;
    sign_as::<ml_dsa::VerifyingKey<ml_dsa::MlDsa65>, ml_dsa::Signature<ml_dsa::MlDsa65>>(KeySpec::MlDsa65)?;
    sign_as::<ml_dsa::VerifyingKey<ml_dsa::MlDsa87>, ml_dsa::Signature<ml_dsa::MlDsa87>>(KeySpec::MlDsa87)?;
    for spec in [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096] {
        sign_as::<rsa::pkcs1v15::VerifyingKey<Sha256>, rsa::pkcs1v15::Signature>(spec)?;
        sign_as::<rsa::pkcs1v15::VerifyingKey<Sha384>, rsa::pkcs1v15::Signature>(spec)?;
        sign_as::<rsa::pkcs1v15::VerifyingKey<Sha512>, rsa::pkcs1v15::Signature>(spec)?;
        sign_as::<rsa::pss::VerifyingKey<Sha256>, rsa::pss::Signature>(spec)?;
        sign_as::<rsa::pss::VerifyingKey<Sha384>, rsa::pss::Signature>(spec)?;
        sign_as::<rsa::pss::VerifyingKey<Sha512>, rsa::pss::Signature>(spec)?;
    }
    Ok(())
}

#[test]
fn a_signature_over_secp256k1_verifies_in_its_own_crate_in_many_tries() -> Result<()> {
    if backend::lacks("a_signature_over_secp256k1_verifies_in_its_own_crate_in_many_tries", &["secp256k1"]) {
        return Ok(());
    }
    // That crate accepts only the lower of the two values of s, so half of all signatures would not
    // verify.
    for _ in 0..16 {
        sign_as::<k256::ecdsa::VerifyingKey, k256::ecdsa::Signature>(KeySpec::EccSecgP256k1)?;
        sign_as::<k256::ecdsa::VerifyingKey, k256::ecdsa::DerSignature>(KeySpec::EccSecgP256k1)?;
    }
    Ok(())
}

#[test]
fn a_signer_of_another_type_or_usage_is_not_made() {
    if backend::lacks("a_signer_of_another_type_or_usage_is_not_made", &["Ed25519"]) {
        return;
    }
    type P256 = p256::ecdsa::VerifyingKey;
    for &(spec, usage, key) in &KEYS.all {
        let made = KmsSigner::<P256>::new(&KEYS.kms, key);
        match made {
            Ok(signer) => {
                assert_eq!((spec, usage), (KeySpec::EccNistP256, KeyUsage::SignVerify));
                assert!(format!("{signer:?}").contains(&key.to_string()));
            }
            Err(error) => {
                let expected = match spec.class() {
                    SpecClass::Asymmetric => ErrorKind::InvalidKeyUsage,
                    _ => ErrorKind::UnsupportedOperation,
                };
                assert_eq!(error.kind(), expected, "{spec} for {usage}");
            }
        }
    }
}
