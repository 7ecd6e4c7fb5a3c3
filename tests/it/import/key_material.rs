//! Import of key material: accepted and rejected material, and the resulting state of the key.

use std::sync::{Arc, LazyLock};

use base64ct::Encoding;
use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use strongroom::audit::{MemoryTrail, Outcome};
use strongroom::crypto::{CryptoBackend, FASTEST, KeyPairKind, KeyWrapMode, RUST_CRYPTO, RsaOaep};
use strongroom::key::{
    DeletionWindow, ExpirationModel, ImportState, ImportType, KeyId, KeyMaterialState, KeySpec, KeyState, KeyUsage,
    Origin, RotationPeriod,
};
use strongroom::request::{
    CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateMacRequest, GetParametersForImportRequest,
    GetParametersForImportResponse, ImportKeyMaterialRequest, IncludeKeyMaterial, PageRequest, RotationListEntry,
    SignRequest, VerifyRequest,
};
use strongroom::seal::RootKey;
use strongroom::{ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::any_store;
use crate::support::backend;
use crate::support::kms::{kind, with_clock};

pub(crate) const SYMMETRIC: (KeySpec, KeyUsage) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);

/// Creates a key that is pending import.
pub(crate) fn waiting(kms: &Kms, (spec, usage): (KeySpec, KeyUsage)) -> Result<KeyId> {
    let request = CreateKeyRequest::default().spec(spec).usage(usage).origin(Origin::External);
    Ok(kms.create_key(request)?.key_id())
}

pub(crate) fn parameters(
    kms: &Kms,
    key: KeyId,
    algorithm: WrappingAlgorithm,
    spec: WrappingKeySpec,
) -> Result<GetParametersForImportResponse> {
    kms.get_parameters_for_import(GetParametersForImportRequest::new(key, algorithm, spec))
}

const OAEP_256: WrappingAlgorithm = WrappingAlgorithm::RsaesOaepSha256;

/// Wraps material as an external party does.
fn wrap(algorithm: WrappingAlgorithm, spki: &[u8], material: &[u8]) -> Result<Vec<u8>> {
    let backend = CryptoBackend::default();
    let key = KeyPairKind::ALL.into_iter().find_map(|kind| backend.key_pairs().public_key(kind, spki).ok());
    let key = key.expect("a wrapping key");
    let (oaep, two_steps) = match algorithm {
        WrappingAlgorithm::RsaesOaepSha1 => (RsaOaep::Sha1, false),
        WrappingAlgorithm::RsaAesKeyWrapSha1 => (RsaOaep::Sha1, true),
        WrappingAlgorithm::RsaAesKeyWrapSha256 => (RsaOaep::Sha256, true),
        _ => (RsaOaep::Sha256, false),
    };
    if !two_steps {
        return Ok(key.encrypt(oaep, material, backend.random())?);
    }
    let mut aes_key = [0; 32];
    backend.random().fill(&mut aes_key)?;
    let wrapped = backend.key_wrap().wrap(KeyWrapMode::Padded, &aes_key, material)?;
    Ok([key.encrypt(oaep, &aes_key, backend.random())?, wrapped].concat())
}

/// A single import with its own wrapping key.
struct Attempt {
    parameters: GetParametersForImportResponse,
    wrapped: Vec<u8>,
}

impl Attempt {
    fn of(kms: &Kms, key: KeyId, material: &[u8]) -> Result<Self> {
        let parameters = parameters(kms, key, WrappingAlgorithm::RsaAesKeyWrapSha256, WrappingKeySpec::Rsa2048)?;
        let wrapped = wrap(WrappingAlgorithm::RsaAesKeyWrapSha256, &parameters.public_key, material)?;
        Ok(Self { parameters, wrapped })
    }

    fn request(&self, key: KeyId) -> ImportKeyMaterialRequest<'_, KeyId> {
        ImportKeyMaterialRequest::new(key, &self.parameters.import_token, &self.wrapped)
    }
}

fn import(kms: &Kms, key: KeyId, material: &[u8]) -> Result<()> {
    let attempt = Attempt::of(kms, key, material)?;
    kms.import_key_material(attempt.request(key).does_not_expire()).map(drop)
}

fn import_new(kms: &Kms, key: KeyId, material: &[u8]) -> Result<()> {
    let attempt = Attempt::of(kms, key, material)?;
    let request = attempt.request(key).does_not_expire().import_type(ImportType::NewKeyMaterial);
    kms.import_key_material(request).map(drop)
}

fn materials(kms: &Kms, key: KeyId) -> Result<Vec<RotationListEntry>> {
    let all = IncludeKeyMaterial::AllKeyMaterial;
    Ok(kms.list_key_rotations(key, all, PageRequest::default())?.entries)
}

/// Material for a key of every spec, as its owner has it.
pub(crate) static MATERIAL: LazyLock<Vec<(KeySpec, Vec<u8>)>> = LazyLock::new(|| {
    let backend = CryptoBackend::default();
    let material = |spec: KeySpec| {
        let pair = |kind| {
            let key = backend.key_pairs().generate(kind, backend.random()).expect("a key pair");
            key.to_pkcs8().expect("a key pair").expose_secret().to_vec()
        };
        match spec {
            KeySpec::Rsa2048 => pair(KeyPairKind::Rsa2048),
            KeySpec::Rsa3072 => pair(KeyPairKind::Rsa3072),
            KeySpec::Rsa4096 => pair(KeyPairKind::Rsa4096),
            KeySpec::EccNistP256 => pair(KeyPairKind::EccP256),
            KeySpec::EccNistP384 => pair(KeyPairKind::EccP384),
            KeySpec::EccNistP521 => pair(KeyPairKind::EccP521),
            KeySpec::EccSecgP256k1 => pair(KeyPairKind::EccSecp256k1),
            KeySpec::EccNistEdwards25519 => pair(KeyPairKind::Ed25519),
            KeySpec::MlDsa44 => pair(KeyPairKind::MlDsa44),
            KeySpec::MlDsa65 => pair(KeyPairKind::MlDsa65),
            KeySpec::MlDsa87 => pair(KeyPairKind::MlDsa87),
            KeySpec::MlKem512 => pair(KeyPairKind::MlKem512),
            KeySpec::MlKem768 => pair(KeyPairKind::MlKem768),
            KeySpec::MlKem1024 => pair(KeyPairKind::MlKem1024),
            KeySpec::Hmac384 | KeySpec::Hmac512 => vec![0x5A; 64],
            _ => vec![0x5A; 32],
        }
    };
    KeySpec::ALL.iter().map(|spec| (*spec, material(*spec))).collect()
});

pub(crate) fn material(spec: KeySpec) -> &'static [u8] {
    &MATERIAL.iter().find(|made| made.0 == spec).expect("material of every spec").1
}

#[test]
fn every_kind_of_material_comes_in_by_every_way_that_it_fits_and_by_no_other() -> Result<()> {
    if backend::lacks("every_kind_of_material_comes_in_by_every_way_that_it_fits_and_by_no_other", &["secp256k1"]) {
        return Ok(());
    }
    let kms = Kms::in_memory()?;
    let (mut taken, mut refused) = (0, 0);
    for &spec in KeySpec::ALL {
        let usage = spec.usages()[0];
        for &algorithm in WrappingAlgorithm::ALL {
            for &size in WrappingKeySpec::ALL {
                let key = waiting(&kms, (spec, usage))?;
                let is_rsa = matches!(spec, KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096);
                let one_step = matches!(algorithm, WrappingAlgorithm::RsaesOaepSha1 | OAEP_256);
                let too_long =
                    one_step && (is_rsa || (spec == KeySpec::EccNistP521 && size == WrappingKeySpec::Rsa2048));
                if too_long {
                    let made = parameters(&kms, key, algorithm, size);
                    assert_eq!(kind(made), ErrorKind::Validation, "{spec} {algorithm} {size}");
                    refused += 1;
                    continue;
                }
                if size != WrappingKeySpec::Rsa2048 && !is_worth_a_large_wrapping_key(spec, algorithm) {
                    continue;
                }
                let made = parameters(&kms, key, algorithm, size)?;
                assert!(made.import_token.len() <= 6_144, "{}", made.import_token.len());
                let wrapped = wrap(algorithm, &made.public_key, material(spec))?;
                let request = ImportKeyMaterialRequest::new(key, &made.import_token, &wrapped).does_not_expire();
                kms.import_key_material(request)?;
                assert_eq!(kms.describe_key(key)?.state(), KeyState::Enabled);
                taken += 1;
            }
        }
    }
    println!("import: {taken} combinations of spec, algorithm and size accepted, {refused} rejected");
    let large = if makes_rsa_keys_quickly() { 2 * 3 } else { 0 };
    assert_eq!((taken, refused), (19 * 4 - 6 - 2 + large, 18 + 2));
    Ok(())
}

/// Returns `true` if large wrapping keys are worth testing here. They take seconds to generate (many
/// seconds in pure Rust), and the rest of the import does not depend on their size.
fn is_worth_a_large_wrapping_key(spec: KeySpec, algorithm: WrappingAlgorithm) -> bool {
    let shortest_and_longest = match algorithm {
        OAEP_256 => [KeySpec::SymmetricDefault, KeySpec::EccNistP521],
        WrappingAlgorithm::RsaAesKeyWrapSha256 => [KeySpec::Rsa4096; 2],
        _ => return false,
    };
    shortest_and_longest.contains(&spec) && makes_rsa_keys_quickly()
}

pub(crate) fn makes_rsa_keys_quickly() -> bool {
    CryptoBackend::default().key_pairs().library(KeyPairKind::Rsa4096) != "rsa"
}

#[test]
fn a_key_waits_until_its_material_comes_and_then_works() -> Result<()> {
    let kms = any_store::kms()?;
    let key = waiting(&kms, SYMMETRIC)?;
    let metadata = kms.describe_key(key)?;
    assert_eq!((metadata.state(), metadata.origin()), (KeyState::PendingImport, Origin::External));
    assert_eq!((metadata.expiration_model(), metadata.current_key_material_id()), (None, None));
    assert_eq!(kind(kms.encrypt(EncryptRequest::new(key, b"x"))), ErrorKind::InvalidState);
    assert_eq!(kind(kms.enable_key(key)), ErrorKind::InvalidState);

    import(&kms, key, &[7; 32])?;
    let metadata = kms.describe_key(key)?;
    assert_eq!((metadata.state(), metadata.origin()), (KeyState::Enabled, Origin::External));
    assert_eq!((metadata.expiration_model(), metadata.valid_to()), (Some(ExpirationModel::DoesNotExpire), None));
    let blob = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"x");

    // Another key with the same material is a different key.
    let other = waiting(&kms, SYMMETRIC)?;
    import(&kms, other, &[7; 32])?;
    assert_ne!(kms.describe_key(other)?.current_key_material_id(), metadata.current_key_material_id());
    assert_eq!(kind(kms.enable_key_rotation(key, RotationPeriod::default())), ErrorKind::UnsupportedOperation);
    Ok(())
}

#[test]
fn imported_material_gives_the_same_answers_as_outside() -> Result<()> {
    if backend::lacks(
        "imported_material_gives_the_same_answers_as_outside",
        &["secp256k1", "signatures of hash values"],
    ) {
        return Ok(());
    }
    let kms = Kms::in_memory()?;
    let backend = CryptoBackend::default();
    let key = waiting(&kms, (KeySpec::EccNistP384, KeyUsage::SignVerify))?;
    import(&kms, key, material(KeySpec::EccNistP384))?;
    let owned = backend.key_pairs().private_key(KeyPairKind::EccP384, material(KeySpec::EccNistP384))?;
    assert_eq!(kms.get_public_key(key)?.public_key, owned.public_key_der());
    let algorithm = strongroom::algorithm::SigningAlgorithm::EcdsaSha384;
    let signature = owned.sign(algorithm, strongroom::crypto::SignatureInput::Message(b"m"))?;
    kms.verify(VerifyRequest::new(key, algorithm, b"m", &signature))?;
    kms.sign(SignRequest::new(key, algorithm, b"m"))?;

    for (spec, mac) in
        [(KeySpec::Hmac224, 224), (KeySpec::Hmac256, 256), (KeySpec::Hmac384, 384), (KeySpec::Hmac512, 512)]
    {
        let key = waiting(&kms, (spec, KeyUsage::GenerateVerifyMac))?;
        import(&kms, key, material(spec))?;
        let algorithm = spec.mac_algorithms(KeyUsage::GenerateVerifyMac)[0];
        let hash = match mac {
            224 => strongroom::crypto::DigestAlgorithm::Sha224,
            256 => strongroom::crypto::DigestAlgorithm::Sha256,
            384 => strongroom::crypto::DigestAlgorithm::Sha384,
            _ => strongroom::crypto::DigestAlgorithm::Sha512,
        };
        let expected = backend.mac().bind(hash, material(spec)).authenticate(&[b"m"]);
        assert_eq!(kms.generate_mac(GenerateMacRequest::new(key, algorithm, b"m"))?.mac, expected.expose_secret());
    }
    Ok(())
}

/// Returns everything that a failed import must leave unchanged.
fn snapshot(kms: &Kms, key: KeyId) -> Result<String> {
    let list = kms.list_key_rotations(key, IncludeKeyMaterial::AllKeyMaterial, PageRequest::default());
    Ok(format!("{:?} {list:?}", kms.describe_key(key)?))
}

#[test]
fn a_refused_import_leaves_key_and_store_as_they_were() -> Result<()> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
    let store = any_store::new()?;
    let kms = any_store::builder()
        .clock(Arc::clone(&clock))
        .clock_tolerance(std::time::Duration::MAX)
        .store(Arc::clone(&store), RootKey::generate())
        .build()?;
    let key = waiting(&kms, SYMMETRIC)?;
    for has_material in [false, true] {
        if has_material {
            import(&kms, key, &[7; 32])?;
        }
        let before = snapshot(&kms, key)?;
        let attempt = Attempt::of(&kms, key, &[8; 32])?;
        let (token, wrapped) = (&attempt.parameters.import_token, &attempt.wrapped);
        let request = |token: &[u8], wrapped: &[u8]| {
            let request = ImportKeyMaterialRequest::new(key, token, wrapped).does_not_expire();
            let refused = kms.import_key_material(request).expect_err("the call must be rejected");
            (refused.kind(), refused.to_string())
        };
        let invalid = (ErrorKind::Validation, ErrorKind::InvalidImportToken, ErrorKind::InvalidCiphertext);

        let without_expiration = ImportKeyMaterialRequest::new(key, token, wrapped);
        let refused = kms.import_key_material(without_expiration).expect_err("does it expire?");
        let text = "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES";
        assert_eq!((refused.kind(), refused.to_string().as_str()), (invalid.0, text));

        // Lengths.
        for (token, wrapped) in [(&[][..], &wrapped[..]), (token, &[]), (&[1; 6_145], wrapped), (token, &[1; 6_145])] {
            assert_eq!(request(token, wrapped).0, invalid.0);
        }
        // Tokens: altered, truncated, extended, of another key, of another store.
        let other_key = Attempt::of(&kms, waiting(&kms, SYMMETRIC)?, &[8; 32])?.parameters.import_token;
        let elsewhere = any_store::kms()?;
        let other_store = Attempt::of(&elsewhere, waiting(&elsewhere, SYMMETRIC)?, &[8; 32])?.parameters.import_token;
        let mut tokens = vec![other_key, other_store, token[1..].to_vec(), [&token[..], &[0]].concat(), vec![0; 6_144]];
        for at in (0..token.len()).step_by(61) {
            let mut altered = token.clone();
            altered[at] ^= 0x10;
            tokens.extend([altered, token[..at.max(1)].to_vec()]);
        }
        for token in &tokens {
            assert_eq!(request(token, wrapped).0, invalid.1);
        }
        // Wrapped material: altered anywhere, truncated, extended, for another wrapping key,
        // garbage. All fail alike.
        let revision = store.revision()?;
        let other_wrapping = Attempt::of(&kms, key, &[8; 32])?.wrapped;
        let mut texts = Vec::new();
        let mut bad =
            vec![other_wrapping, wrapped[1..].to_vec(), [&wrapped[..], &[0; 8]].concat(), vec![7; 6_144], vec![1]];
        // The value that unwraps to empty material under every key, and the longest input.
        bad.push([&wrapped[..256], &[0xA6, 0x59, 0x59, 0xA6, 0, 0, 0, 0]].concat());
        bad.push(wrapped[..256].to_vec());
        for at in (0..wrapped.len()).step_by(17) {
            let mut altered = wrapped.clone();
            altered[at] ^= 0x10;
            bad.extend([altered, wrapped[..at.max(1)].to_vec()]);
        }
        for wrapped in &bad {
            let (kind, text) = request(token, wrapped);
            assert_eq!(kind, invalid.2);
            match wrapped.len() >= 256 + 16 && wrapped.len() % 8 == 0 {
                true => texts.push(text),
                false => assert!(text.contains("must have 256 bytes followed by"), "{text}"),
            }
        }
        assert!(texts.len() > 15);
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        // Expiration, and the error texts about it.
        let with = |request: ImportKeyMaterialRequest<'_, KeyId>| kind(kms.import_key_material(request));
        let now = Timestamp::from_unix_millis(1_700_000_000_000);
        assert_eq!(with(attempt.request(key)), ErrorKind::Validation);
        for wrong in [now, now.plus_days(366), Timestamp::from_unix_millis(0)] {
            assert_eq!(with(attempt.request(key).valid_to(wrong)), ErrorKind::Validation);
        }
        let text = "x".repeat(257);
        let described = attempt.request(key).does_not_expire().key_material_description(&text);
        assert_eq!(with(described), ErrorKind::Validation);
        let named = attempt.request(key).does_not_expire().import_type(ImportType::NewKeyMaterial);
        let id = strongroom::key::KeyMaterialId::from_bytes([1; 32]);
        assert_eq!(with(named.key_material_id(id)), ErrorKind::Validation);
        let existing = attempt.request(key).does_not_expire().import_type(ImportType::ExistingKeyMaterial);
        assert_eq!(with(existing), ErrorKind::IncorrectKeyMaterial);
        let named = attempt.request(key).does_not_expire().key_material_id(id);
        assert_eq!(
            with(named),
            ErrorKind::IncorrectKeyMaterial,
            "a request with a material id refers to existing material"
        );
        assert_eq!((snapshot(&kms, key)?, store.revision()?), (before, revision));
    }
    // A token is valid for 24 hours, to the millisecond.
    let (attempt, late) = (Attempt::of(&kms, key, &[7; 32])?, Attempt::of(&kms, key, &[7; 32])?);
    clock.set(Timestamp::from_unix_millis(attempt.parameters.parameters_valid_to.unix_millis() - 1));
    kms.import_key_material(attempt.request(key).does_not_expire())?;
    let before = snapshot(&kms, key)?;
    clock.set(late.parameters.parameters_valid_to);
    assert_eq!(kind(kms.import_key_material(late.request(key).does_not_expire())), ErrorKind::ExpiredImportToken);
    assert_eq!(snapshot(&kms, key)?, before);
    Ok(())
}

/// Errors name only properties that are visible without a key.
#[test]
fn text_and_lengths_that_no_wrapping_has_are_named() -> Result<()> {
    let kms = any_store::kms()?;
    let key = waiting(&kms, SYMMETRIC)?;
    for algorithm in [OAEP_256, WrappingAlgorithm::RsaAesKeyWrapSha256] {
        let made = parameters(&kms, key, algorithm, WrappingKeySpec::Rsa2048)?;
        let wrapped = wrap(algorithm, &made.public_key, &[7; 32])?;
        let (base64, hex) = (base64ct::Base64::encode_string(&wrapped), hex::encode(&wrapped));
        let with_line_end = [&wrapped[..], b"\n"].concat();
        let longer = [&wrapped[..], &[0; 8]].concat();
        let cases: [(&[u8], &str); 8] = [
            (base64.as_bytes(), "this is Base64"),
            (&[base64.as_bytes(), b"\n"].concat(), "this is Base64"),
            (hex.as_bytes(), "hexadecimal digits"),
            (&with_line_end, "ends with a line end"),
            (&wrapped[1..], &format!("not {}", wrapped.len() - 1)),
            (&[&wrapped[..], &[0]].concat(), &format!("not {}", wrapped.len() + 1)),
            (&[&wrapped[..], b"x\n"].concat(), &format!("not {}", wrapped.len() + 2)),
            // AES-KWP output is always longer than 8 bytes.
            (&longer[..256 + 8], "not 264"),
        ];
        for (wrapped, named) in cases {
            let request = ImportKeyMaterialRequest::new(key, &made.import_token, wrapped).does_not_expire();
            let refused = kms.import_key_material(request).expect_err("the wrapped material was altered");
            assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
            assert!(refused.to_string().contains(named), "{refused}: {named}");
            assert_eq!(refused.to_string().contains("line end"), named.contains("line end"), "{refused}");
        }
        let token = base64ct::Base64::encode_string(&made.import_token);
        let request = ImportKeyMaterialRequest::new(key, token.as_bytes(), &wrapped).does_not_expire();
        let refused = kms.import_key_material(request).expect_err("a token in Base64");
        assert_eq!(refused.kind(), ErrorKind::InvalidImportToken);
        assert!(refused.to_string().contains("this is Base64"), "{refused}");
    }
    Ok(())
}

#[test]
fn both_backends_refuse_wrapped_material_alike() -> Result<()> {
    let mut texts = Vec::new();
    let mut others = Vec::new();
    for backend in [RUST_CRYPTO, FASTEST] {
        let kms = Kms::builder().backend(backend).build()?;
        let key = waiting(&kms, SYMMETRIC)?;
        for &algorithm in WrappingAlgorithm::ALL {
            let made = parameters(&kms, key, algorithm, WrappingKeySpec::Rsa2048)?;
            for wrapped in [vec![1], vec![0; 256], vec![0xff; 256], vec![0x11; 296], vec![0x11; 6_144]] {
                let request = ImportKeyMaterialRequest::new(key, &made.import_token, &wrapped).does_not_expire();
                let refused = kms.import_key_material(request).expect_err("garbage");
                let two_steps = !matches!(algorithm, WrappingAlgorithm::RsaesOaepSha1 | OAEP_256);
                let refused = (refused.kind(), refused.to_string());
                if if two_steps { wrapped.len() > 256 } else { wrapped.len() == 256 } {
                    texts.push(refused);
                } else {
                    others.push(refused);
                }
            }
        }
    }
    assert!(texts.iter().all(|text| *text == texts[0] && text.0 == ErrorKind::InvalidCiphertext), "{texts:?}");
    let (pure, fastest) = others.split_at(others.len() / 2);
    assert_eq!((texts.len(), pure), (2 * 4 * 2, fastest));
    Ok(())
}

#[test]
fn a_repeated_request_succeeds_again_and_changes_nothing() -> Result<()> {
    let store = any_store::new()?;
    let clock = ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000));
    let kms = Kms::builder().store(Arc::clone(&store), RootKey::from_bytes(&[3; 32])).clock(clock).build()?;
    let key = waiting(&kms, SYMMETRIC)?;
    let first = Attempt::of(&kms, key, &[7; 32])?;
    let new = |attempt: &Attempt| {
        let request = attempt.request(key).does_not_expire().import_type(ImportType::NewKeyMaterial);
        kms.import_key_material(request)
    };
    let imported = new(&first)?;
    let before = (snapshot(&kms, key)?, store.revision()?);
    assert_eq!(new(&first)?, imported);
    assert_eq!(kms.import_key_material(first.request(key).does_not_expire())?, imported);
    assert_eq!((snapshot(&kms, key)?, store.revision()?), before);
    // The same material with another token is not a retry: it is not new material.
    assert_eq!(kind(import_new(&kms, key, &[7; 32])), ErrorKind::IncorrectKeyMaterial);

    let second = Attempt::of(&kms, key, &[8; 32])?;
    let imported = new(&second)?;
    assert_eq!(new(&second)?, imported);
    assert_eq!(materials(&kms, key)?.len(), 2);
    Ok(())
}

#[test]
fn what_is_not_material_of_the_key_is_refused_and_named() -> Result<()> {
    if backend::lacks("what_is_not_material_of_the_key_is_refused_and_named", &["Ed25519", "secp256k1"]) {
        return Ok(());
    }
    let kms = any_store::kms()?;
    let p256 = material(KeySpec::EccNistP256);
    let hex = hex::encode([7; 32]);
    let base64 = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";
    let pem = "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n";
    let inner = pkcs8::PrivateKeyInfoRef::try_from(p256).expect("PKCS#8").private_key.as_bytes();
    let rsa = material(KeySpec::Rsa2048);
    let rsa_inner = pkcs8::PrivateKeyInfoRef::try_from(rsa).expect("PKCS#8").private_key.as_bytes();
    let trailing = [p256, b"\n"].concat();
    let public = CryptoBackend::default().key_pairs().private_key(KeyPairKind::EccP256, p256)?.public_key_der();
    let ecc = (KeySpec::EccNistP256, KeyUsage::SignVerify);
    let cases: [((KeySpec, KeyUsage), &[u8], &str); 20] = [
        (SYMMETRIC, &[7; 31], "must have 32 bytes, not 31"),
        (SYMMETRIC, &[7; 33], "must have 32 bytes, not 33"),
        (SYMMETRIC, hex.as_bytes(), "hexadecimal digits"),
        (SYMMETRIC, base64.as_bytes(), "Base64"),
        (SYMMETRIC, &[&[0x80; 32][..], b"\n"].concat(), "line end"),
        (SYMMETRIC, &[&[0x80; 32][..], b"\r\n"].concat(), "line end"),
        ((KeySpec::Hmac512, KeyUsage::GenerateVerifyMac), &[&[0x80; 128][..], b"\n"].concat(), "line end"),
        ((KeySpec::Hmac224, KeyUsage::GenerateVerifyMac), &[7; 27], "28 to 64"),
        ((KeySpec::Hmac512, KeyUsage::GenerateVerifyMac), &[7; 129], "64 to 128"),
        (ecc, &[0x80; 32], "bare secret number"),
        (ecc, &[0x80; 33], "must be unencrypted DER"),
        (ecc, pem.as_bytes(), "PEM"),
        (ecc, inner, "SEC 1"),
        ((KeySpec::Rsa2048, KeyUsage::SignVerify), rsa_inner, "PKCS#1"),
        (ecc, &trailing, "line end"),
        (ecc, &public, "public key"),
        (ecc, material(KeySpec::EccNistP384), "the curve P-384"),
        (ecc, material(KeySpec::EccSecgP256k1), "the curve secp256k1"),
        ((KeySpec::Rsa3072, KeyUsage::SignVerify), material(KeySpec::Rsa2048), "2048 bits"),
        ((KeySpec::EccNistEdwards25519, KeyUsage::SignVerify), p256, "an elliptic curve"),
    ];
    for (spec, material, named) in cases {
        let key = waiting(&kms, spec)?;
        let refused = import(&kms, key, material).expect_err("not its material");
        assert_eq!(refused.kind(), ErrorKind::IncorrectKeyMaterial, "{refused}");
        assert!(refused.to_string().contains(named), "{refused}: {named}");
        assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingImport);
    }
    Ok(())
}

#[test]
fn an_asymmetric_or_hmac_key_keeps_its_first_material_for_ever() -> Result<()> {
    if backend::lacks("an_asymmetric_or_hmac_key_keeps_its_first_material_for_ever", &["secp256k1"]) {
        return Ok(());
    }
    let kms = any_store::kms()?;
    let kinds = [
        (KeySpec::EccNistP256, KeyUsage::SignVerify, CryptoBackend::default()),
        (KeySpec::Hmac256, KeyUsage::GenerateVerifyMac, CryptoBackend::default()),
    ];
    for (spec, usage, backend) in kinds {
        let key = waiting(&kms, (spec, usage))?;
        import(&kms, key, material(spec))?;
        let other = match spec {
            KeySpec::EccNistP256 => {
                let pair = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random())?;
                pair.to_pkcs8()?.expose_secret().to_vec()
            }
            _ => vec![0x77; 32],
        };
        let before = snapshot(&kms, key)?;
        assert_eq!(kind(import(&kms, key, &other)), ErrorKind::IncorrectKeyMaterial);
        assert_eq!(kind(import_new(&kms, key, &other)), ErrorKind::IncorrectKeyMaterial);
        assert_eq!(snapshot(&kms, key)?, before);

        kms.delete_imported_key_material(key, None)?;
        assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingImport);
        assert_eq!(kind(import(&kms, key, &other)), ErrorKind::IncorrectKeyMaterial);
        import(&kms, key, material(spec))?;
        assert_eq!(kms.describe_key(key)?.state(), KeyState::Enabled);
    }
    Ok(())
}

#[test]
fn a_symmetric_key_takes_new_material_which_rotation_makes_current() -> Result<()> {
    use KeyMaterialState::{Current, NonCurrent, PendingRotation};
    let kms = any_store::kms()?;
    let key = waiting(&kms, SYMMETRIC)?;
    import(&kms, key, &[1; 32])?;
    let old = kms.encrypt(EncryptRequest::new(key, b"old"))?.ciphertext_blob;
    assert_eq!(kind(kms.rotate_key_on_demand(key)), ErrorKind::InvalidState);
    assert_eq!(kind(import(&kms, key, &[2; 32])), ErrorKind::IncorrectKeyMaterial);

    let states =
        || -> Result<Vec<_>> { Ok(materials(&kms, key)?.iter().map(|entry| entry.key_material_state).collect()) };
    let first = kms.describe_key(key)?.current_key_material_id();
    import_new(&kms, key, &[2; 32])?;
    assert_eq!((states()?, kms.describe_key(key)?.current_key_material_id()), (vec![Current, PendingRotation], first));
    let refused = import_new(&kms, key, &[3; 32]).expect_err("other material is already pending rotation");
    assert_eq!(refused.kind(), ErrorKind::InvalidState);
    assert!(refused.to_string().contains("another key material"), "{refused}");

    // New ciphertexts use the first material until the rotation.
    let made = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    assert_eq!(kms.decrypt(DecryptRequest::new(&made))?.key_material_id, first);
    kms.rotate_key_on_demand(key)?;
    assert_eq!(states()?, [NonCurrent, Current]);
    let second = kms.describe_key(key)?.current_key_material_id();
    assert_ne!(second, first);
    let new = kms.encrypt(EncryptRequest::new(key, b"new"))?.ciphertext_blob;
    for (blob, text, id) in [(&old, b"old", first), (&new, b"new", second)] {
        let opened = kms.decrypt(DecryptRequest::new(blob))?;
        assert_eq!((opened.plaintext.expose_secret(), opened.key_material_id), (&text[..], id));
    }
    let rotated = kms.list_key_rotations(key, IncludeKeyMaterial::RotationsOnly, PageRequest::default())?.entries;
    assert_eq!(rotated.iter().map(|entry| Some(entry.key_material_id)).collect::<Vec<_>>(), [second]);

    // All material that belongs to the key must be present. Pending material does not belong to it.
    import_new(&kms, key, &[3; 32])?;
    kms.delete_imported_key_material(key, Some(materials(&kms, key)?[2].key_material_id))?;
    assert_eq!((states()?, kms.describe_key(key)?.state()), (vec![NonCurrent, Current], KeyState::Enabled));
    kms.delete_imported_key_material(key, first)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingImport);
    assert_eq!(kind(kms.decrypt(DecryptRequest::new(&new))), ErrorKind::InvalidState);
    let missing: Vec<_> = materials(&kms, key)?.iter().map(|entry| entry.import_state).collect();
    assert_eq!(missing, [Some(ImportState::PendingImport), Some(ImportState::Imported)]);
    assert_eq!(kind(import(&kms, key, &[9; 32])), ErrorKind::IncorrectKeyMaterial);

    let attempt = Attempt::of(&kms, key, &[1; 32])?;
    let wrong_name = attempt.request(key).does_not_expire().key_material_id(second.expect("a symmetric key"));
    assert_eq!(kind(kms.import_key_material(wrong_name)), ErrorKind::IncorrectKeyMaterial);
    let named = attempt.request(key).does_not_expire().key_material_id(first.expect("a symmetric key"));
    kms.import_key_material(named)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Enabled);
    assert_eq!(kms.decrypt(DecryptRequest::new(&old))?.plaintext.expose_secret(), b"old");
    Ok(())
}

#[test]
fn a_version_number_is_never_used_again() -> Result<()> {
    let kms = any_store::kms()?;
    let key = waiting(&kms, SYMMETRIC)?;
    import(&kms, key, &[1; 32])?;
    import_new(&kms, key, &[2; 32])?;
    kms.delete_imported_key_material(key, Some(materials(&kms, key)?[1].key_material_id))?;
    import_new(&kms, key, &[3; 32])?;
    kms.rotate_key_on_demand(key)?;
    let blob = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;
    assert_eq!(strongroom::blob::BlobPrefix::parse(&blob)?.0.key_version, 3);
    Ok(())
}

#[test]
fn deleted_material_comes_back_and_with_it_the_old_ciphertexts() -> Result<()> {
    let kms = any_store::kms()?;
    let key = waiting(&kms, SYMMETRIC)?;
    import(&kms, key, &[7; 32])?;
    let id = kms.describe_key(key)?.current_key_material_id();
    let blob = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;

    let deleted = kms.delete_imported_key_material(key, None)?;
    assert_eq!((deleted.key_id(), deleted.key_material_id), (key, id));
    assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingImport);
    assert_eq!(kind(kms.decrypt(DecryptRequest::new(&blob))), ErrorKind::InvalidState);
    kms.delete_imported_key_material(key, None)?;
    let unknown = strongroom::key::KeyMaterialId::from_bytes([1; 32]);
    assert_eq!(kind(kms.delete_imported_key_material(key, Some(unknown))), ErrorKind::NotFound);

    import(&kms, key, &[7; 32])?;
    assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"x");
    assert_eq!(kms.describe_key(key)?.current_key_material_id(), id);
    let never_imported = waiting(&kms, SYMMETRIC)?;
    let nothing = kms.delete_imported_key_material(never_imported, None)?;
    assert_eq!((nothing.key_id(), nothing.key_material_id), (never_imported, None));
    let made_here = kms.create_key(Default::default())?.key_id();
    assert_eq!(kind(kms.delete_imported_key_material(made_here, None)), ErrorKind::UnsupportedOperation);
    let refused = parameters(&kms, made_here, OAEP_256, WrappingKeySpec::Rsa2048);
    assert_eq!(kind(refused), ErrorKind::UnsupportedOperation);
    Ok(())
}

#[test]
fn expired_material_is_gone_at_once_and_deleted_by_maintenance() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
    let kms = any_store::builder()
        .clock(Arc::clone(&clock))
        .clock_tolerance(std::time::Duration::MAX)
        .audit(Arc::clone(&trail))
        .build()?;
    let key = waiting(&kms, SYMMETRIC)?;
    let end = Timestamp::from_unix_millis(1_700_000_000_000).plus_days(10);
    let attempt = Attempt::of(&kms, key, &[7; 32])?;
    kms.import_key_material(attempt.request(key).valid_to(end).key_material_description("of the safe"))?;
    let metadata = kms.describe_key(key)?;
    assert_eq!((metadata.expiration_model(), metadata.valid_to()), (Some(ExpirationModel::Expires), Some(end)));
    let listed = &materials(&kms, key)?[0];
    assert_eq!((listed.valid_to, listed.key_material_description.as_deref()), (Some(end), Some("of the safe")));
    let blob = kms.encrypt(EncryptRequest::new(key, b"x"))?.ciphertext_blob;

    clock.set(Timestamp::from_unix_millis(end.unix_millis() - 1));
    kms.decrypt(DecryptRequest::new(&blob))?;
    assert!(kms.run_maintenance()?.expired.is_empty());
    clock.set(end);
    let metadata = kms.describe_key(key)?;
    assert_eq!((metadata.state(), metadata.valid_to()), (KeyState::PendingImport, None));
    assert_eq!(kind(kms.decrypt(DecryptRequest::new(&blob))), ErrorKind::InvalidState);
    assert_eq!(kind(kms.disable_key(key)), ErrorKind::InvalidState);
    assert_eq!(materials(&kms, key)?[0].import_state, Some(ImportState::PendingImport));

    trail.clear();
    let report = kms.run_maintenance()?;
    assert_eq!(report.expired, [kms.describe_key(key)?.arn().clone()]);
    let events = trail.events();
    let named: Vec<_> = events.iter().map(|event| (event.action.to_string(), event.outcome.clone())).collect();
    let action = "DeleteExpiredKeyMaterial".to_owned();
    assert_eq!(named[..2], [(action.clone(), Outcome::Intent), (action, Outcome::Success)]);
    assert!(kms.run_maintenance()?.expired.is_empty());
    // Setting the clock back does not restore anything.
    clock.set(Timestamp::from_unix_millis(1_700_000_000_000));
    assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingImport);
    import(&kms, key, &[7; 32])?;
    assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"x");
    Ok(())
}

#[test]
fn material_that_expires_while_it_waits_for_a_rotation_is_forgotten() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = waiting(&kms, SYMMETRIC)?;
    import(&kms, key, &[1; 32])?;
    let attempt = Attempt::of(&kms, key, &[2; 32])?;
    let end = Timestamp::from_unix_millis(1_700_000_000_000).plus_days(1);
    kms.import_key_material(attempt.request(key).valid_to(end).import_type(ImportType::NewKeyMaterial))?;
    assert_eq!(kms.describe_key(key)?.expiration_model(), Some(ExpirationModel::DoesNotExpire));
    clock.set(end);
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Enabled);
    assert_eq!(kind(kms.rotate_key_on_demand(key)), ErrorKind::InvalidState);
    import_new(&kms, key, &[3; 32])?;
    assert_eq!(materials(&kms, key)?.len(), 2);
    kms.rotate_key_on_demand(key)?;
    Ok(())
}

#[test]
fn a_new_expiration_is_set_by_importing_again_and_a_disabled_key_stays_disabled() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = waiting(&kms, SYMMETRIC)?;
    import(&kms, key, &[7; 32])?;
    kms.disable_key(key)?;
    let attempt = Attempt::of(&kms, key, &[7; 32])?;
    let end = Timestamp::from_unix_millis(1_700_000_000_000).plus_days(365);
    kms.import_key_material(attempt.request(key).valid_to(end))?;
    let metadata = kms.describe_key(key)?;
    assert_eq!((metadata.state(), metadata.valid_to()), (KeyState::Disabled, Some(end)));
    clock.set(end);
    assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingImport);
    Ok(())
}

#[test]
fn deletion_of_a_key_without_material_can_be_called_off() -> Result<()> {
    let kms = any_store::kms()?;
    for has_material in [true, false] {
        let key = waiting(&kms, SYMMETRIC)?;
        if has_material {
            import(&kms, key, &[7; 32])?;
        }
        kms.schedule_key_deletion(key, DeletionWindow::default())?;
        let attempt = parameters(&kms, key, OAEP_256, WrappingKeySpec::Rsa2048);
        assert_eq!(kind(attempt), ErrorKind::InvalidState);
        kms.cancel_key_deletion(key)?;
        let expected = if has_material { KeyState::Disabled } else { KeyState::PendingImport };
        assert_eq!(kms.describe_key(key)?.state(), expected);
    }
    let key = waiting(&kms, SYMMETRIC)?;
    import(&kms, key, &[7; 32])?;
    kms.schedule_key_deletion(key, DeletionWindow::default())?;
    kms.delete_imported_key_material(key, None)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingDeletion);
    kms.cancel_key_deletion(key)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingImport);
    Ok(())
}

#[test]
fn a_key_with_missing_material_is_deleted_when_its_time_comes() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let keys = [waiting(&kms, SYMMETRIC)?, waiting(&kms, SYMMETRIC)?];
    import(&kms, keys[0], &[7; 32])?;
    kms.delete_imported_key_material(keys[0], None)?;
    for key in keys {
        kms.schedule_key_deletion(key, DeletionWindow::MIN)?;
    }
    clock.advance_days(7);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 2);
    Ok(())
}

#[test]
fn racing_imports_leave_one_material() -> Result<()> {
    let kms = any_store::kms()?;
    let key = waiting(&kms, SYMMETRIC)?;
    let attempts: Vec<_> = (0..6).map(|seed| Attempt::of(&kms, key, &[seed; 32])).collect::<Result<_>>()?;
    let succeeded = std::thread::scope(|scope| {
        let run = |attempt: &Attempt| {
            let request = attempt.request(key).does_not_expire().import_type(ImportType::NewKeyMaterial);
            kms.import_key_material(request).is_ok()
        };
        let threads: Vec<_> = attempts.iter().map(|attempt| scope.spawn(move || run(attempt))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|done| *done).count()
    });
    // The first becomes current, the second is pending rotation, and all others are rejected.
    assert_eq!((succeeded, materials(&kms, key)?.len()), (2, 2));
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Enabled);
    Ok(())
}

#[test]
fn parameters_are_good_for_a_day_and_a_description_stays_until_another_comes() -> Result<()> {
    let (kms, _) = with_clock()?;
    let key = waiting(&kms, SYMMETRIC)?;
    let now = Timestamp::from_unix_millis(1_700_000_000_000);
    let attempt = Attempt::of(&kms, key, &[1; 32])?;
    assert_eq!(attempt.parameters.parameters_valid_to, now.plus_days(1));
    let description = || Ok::<_, strongroom::Error>(materials(&kms, key)?[0].key_material_description.clone());
    let longest = "a".repeat(256);
    kms.import_key_material(attempt.request(key).does_not_expire().key_material_description(&longest))?;
    assert_eq!(description()?.as_deref(), Some(longest.as_str()));
    kms.import_key_material(attempt.request(key).valid_to(now.plus_days(3)))?;
    assert_eq!(description()?.as_deref(), Some(longest.as_str()));
    kms.import_key_material(attempt.request(key).does_not_expire().key_material_description("another"))?;
    assert_eq!(description()?.as_deref(), Some("another"));
    Ok(())
}

#[test]
fn a_key_expires_with_the_first_of_its_materials() -> Result<()> {
    let (kms, clock) = with_clock()?;
    let key = waiting(&kms, SYMMETRIC)?;
    let now = Timestamp::from_unix_millis(1_700_000_000_000);
    let expiration = || {
        let metadata = kms.describe_key(key)?;
        Ok::<_, strongroom::Error>((metadata.expiration_model(), metadata.valid_to()))
    };
    for (number, end, first) in
        [(1, None, None), (2, Some(20), Some(20)), (3, Some(10), Some(10)), (4, Some(30), Some(10))]
    {
        let attempt = Attempt::of(&kms, key, &[number; 32])?;
        let request = attempt.request(key).import_type(ImportType::NewKeyMaterial);
        kms.import_key_material(match end {
            Some(days) => request.valid_to(now.plus_days(days)),
            None => request.does_not_expire(),
        })?;
        if number > 1 {
            kms.rotate_key_on_demand(key)?;
        }
        let model = if first.is_some() { ExpirationModel::Expires } else { ExpirationModel::DoesNotExpire };
        assert_eq!(expiration()?, (Some(model), first.map(|days| now.plus_days(days))), "material {number}");
    }
    clock.set(now.plus_days(10));
    assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingImport);
    Ok(())
}

/// Imports material in the simplest way, for tests of other features.
pub(crate) fn import_bytes(kms: &Kms, key: KeyId, material: &[u8], valid_to: Option<Timestamp>) -> Result<()> {
    let attempt = Attempt::of(kms, key, material)?;
    let request = match valid_to {
        Some(time) => attempt.request(key).valid_to(time),
        None => attempt.request(key).does_not_expire(),
    };
    kms.import_key_material(request).map(drop)
}
