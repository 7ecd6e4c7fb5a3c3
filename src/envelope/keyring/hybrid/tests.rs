use serde_json::Value;

use super::*;
use crate::context::EncryptionContext;
use crate::crypto::{CryptoError, RUST_CRYPTO, SecureRandom};
use crate::message::AlgorithmSuite;

fn context() -> EncryptionContext {
    EncryptionContext::from([("purpose", "vectors")])
}

fn seed(byte: u8) -> SecretBytes {
    SecretBytes::copy_from_slice(&[byte; 32])
}

fn reader(name: &str, kem: HybridKem, byte: u8) -> RawHybridKeyring {
    RawHybridKeyring::with_private_key(name, kem, &seed(byte)).expect("32 bytes").with_backend(RUST_CRYPTO)
}

/// Wraps a data key for a suite, and returns the plaintext data key and the wrapped one.
fn wrap(keyring: &RawHybridKeyring, suite: AlgorithmSuite) -> Result<(Vec<u8>, EncryptedDataKey)> {
    let mut materials = EncryptionMaterials::new(suite, context(), RUST_CRYPTO)?;
    keyring.on_encrypt(&mut materials)?;
    let data_key = materials.data_key().expect("a data key was generated").expose_secret().to_vec();
    let [wrapped] = materials.encrypted_data_keys() else { panic!("one wrapped data key") };
    Ok((data_key, wrapped.clone()))
}

fn unwrap(
    keyring: &RawHybridKeyring,
    suite: AlgorithmSuite,
    context: EncryptionContext,
    wrapped: &EncryptedDataKey,
) -> Result<Vec<u8>> {
    let mut materials = DecryptionMaterials::new(suite, context, RUST_CRYPTO)?;
    keyring.on_decrypt(&mut materials, std::slice::from_ref(wrapped))?;
    Ok(materials.data_key().expect("a data key was set").expose_secret().to_vec())
}

/// Returns the kind and the reason of the only failure.
fn failure(result: Result<Vec<u8>>) -> (ErrorKind, String) {
    let error = result.expect_err("the data key cannot be unwrapped");
    let failures: &UnwrapFailures = error.downcast_ref().expect("the reasons");
    let reason = failures.iter().next().expect("one").reason().to_owned();
    (failures.kind(), reason)
}

#[test]
fn data_keys_of_every_length_survive_and_have_the_documented_length() -> Result<()> {
    for kem in HybridKem::ALL {
        let keyring = reader("archive", kem, 7);
        let writer =
            RawHybridKeyring::with_public_key("archive", kem, &keyring.public_key())?.with_backend(RUST_CRYPTO);
        assert_eq!(keyring.public_key().len(), kem.public_key_length());
        for suite in AlgorithmSuite::ALL {
            let (data_key, wrapped) = wrap(&writer, *suite)?;
            assert_eq!(wrapped.ciphertext().len(), 3 + kem.encapsulated_key_length() + data_key.len() + 16);
            assert_eq!((wrapped.provider_id(), wrapped.provider_info()), ("strongroom-hybrid", &b"archive"[..]));
            assert_eq!(unwrap(&keyring, *suite, context(), &wrapped)?, data_key);
        }
        let (one, two) = (wrap(&writer, AlgorithmSuite::default())?, wrap(&writer, AlgorithmSuite::default())?);
        assert_ne!(one.1.ciphertext(), two.1.ciphertext(), "each encapsulation is new");
    }
    Ok(())
}

#[test]
fn only_the_private_key_opens() -> Result<()> {
    let suite = AlgorithmSuite::default();
    for kem in HybridKem::ALL {
        let keyring = reader("archive", kem, 7);
        let (_, wrapped) = wrap(&keyring, suite)?;
        let writer =
            RawHybridKeyring::with_public_key("archive", kem, &keyring.public_key())?.with_backend(RUST_CRYPTO);
        assert_eq!(failure(unwrap(&writer, suite, context(), &wrapped)).0, ErrorKind::InvalidKeyUsage);

        let other_key = failure(unwrap(&reader("archive", kem, 8), suite, context(), &wrapped));
        let other_context = failure(unwrap(&keyring, suite, EncryptionContext::new(), &wrapped));
        assert_eq!(other_key, other_context);
        assert_eq!(other_key.0, ErrorKind::InvalidCiphertext);

        let (kind, reason) = failure(unwrap(&reader("other", kem, 7), suite, context(), &wrapped));
        assert_eq!(kind, ErrorKind::IncorrectKey);
        assert!(reason.contains("archive") && reason.contains("other"), "{reason}");
        // The name is bound, not only compared.
        let renamed = EncryptedDataKey::new(PROVIDER_ID, *b"other", wrapped.ciphertext());
        let refused = failure(unwrap(&reader("other", kem, 7), suite, context(), &renamed));
        assert_eq!(refused.0, ErrorKind::InvalidCiphertext);
    }
    let [one, two] = HybridKem::ALL.map(|kem| reader("archive", kem, 7));
    let (_, wrapped) = wrap(&one, suite)?;
    let (_, reason) = failure(unwrap(&two, suite, context(), &wrapped));
    assert_eq!(reason, "it was not wrapped with P-384 and ML-KEM-1024");
    Ok(())
}

#[test]
fn every_altered_byte_and_every_other_length_is_refused() -> Result<()> {
    let suite = AlgorithmSuite::default();
    for kem in HybridKem::ALL {
        let keyring = reader("archive", kem, 7);
        let (_, wrapped) = wrap(&keyring, suite)?;
        let intact = wrapped.ciphertext();
        let refused = |ciphertext: Vec<u8>| {
            let altered = EncryptedDataKey::new(PROVIDER_ID, *b"archive", ciphertext);
            assert_eq!(failure(unwrap(&keyring, suite, context(), &altered)).0, ErrorKind::InvalidCiphertext);
        };
        // The head, the border between the two encapsulated keys, and the tail; every 37th byte between.
        let border = intact.len() - 200;
        for position in (0..8).chain((8..border).step_by(37)).chain(border..intact.len()) {
            let mut altered = intact.to_vec();
            altered[position] ^= 0x10;
            refused(altered);
        }
        for length in [0, 1, 2, 3, 4, 1_000, intact.len() - 1] {
            refused(intact[..length].to_vec());
        }
        refused([intact, &[0]].concat());
    }
    Ok(())
}

#[test]
fn invalid_keys_are_refused_with_a_reason() -> Result<()> {
    for kem in HybridKem::ALL {
        let public = kem.public_key(&seed(7))?;
        let text = |public: &[u8]| {
            let error = RawHybridKeyring::with_public_key("n", kem, public).map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Validation);
            error.to_string()
        };
        assert!(text(&public[1..]).contains(&format!("must have {} bytes", public.len())));
        let mut unreduced = public.clone();
        unreduced[..2].fill(0xff);
        assert!(text(&unreduced).contains("not reduced"));
        if kem == HybridKem::P384MlKem1024 {
            let mut off_curve = public.clone();
            *off_curve.last_mut().expect("not empty") ^= 1;
            assert!(text(&off_curve).contains("not on the curve"));
        }
        for length in [0, 31, 33, 64] {
            let error = kem.public_key(&SecretBytes::zeroed(length)).unwrap_err();
            assert!(error.to_string().contains("must have 32 bytes"), "{error}");
        }
        for name in [vec![], vec![b'n'; 1_025]] {
            let error = RawHybridKeyring::with_private_key(name, kem, &seed(7)).map(drop).unwrap_err();
            assert!(error.to_string().contains("1 to 1024 bytes"), "{error}");
        }
    }
    Ok(())
}

#[test]
fn a_failed_generator_wraps_nothing() -> Result<()> {
    #[derive(Debug)]
    struct Broken;
    impl SecureRandom for Broken {
        fn library(&self) -> &'static str {
            "broken"
        }
        fn fill(&self, _: &mut [u8]) -> std::result::Result<(), CryptoError> {
            Err(CryptoError::RandomFailed)
        }
    }
    for kem in HybridKem::ALL {
        let keyring = reader("archive", kem, 7).with_backend(RUST_CRYPTO.with_random(&Broken));
        let mut materials = EncryptionMaterials::new(AlgorithmSuite::default(), context(), RUST_CRYPTO)?;
        let error = keyring.on_encrypt(&mut materials).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&CryptoError::RandomFailed));
        assert!(materials.encrypted_data_keys().is_empty());
        let failed = kem.generate(&RUST_CRYPTO.with_random(&Broken)).unwrap_err();
        assert_eq!(failed.downcast_ref(), Some(&CryptoError::RandomFailed));
    }
    Ok(())
}

#[cfg(feature = "fips")]
#[test]
fn the_strict_backend_refuses_the_keyring() -> Result<()> {
    use crate::crypto::FIPS;

    let kem = HybridKem::X25519MlKem768;
    let strict = RawHybridKeyring::with_private_key("archive", kem, &seed(7))?.with_backend(FIPS);
    let (_, wrapped) = wrap(&reader("archive", kem, 7), AlgorithmSuite::default())?;
    let refusals = [
        wrap(&strict, AlgorithmSuite::default()).map(drop),
        unwrap(&strict, AlgorithmSuite::default(), context(), &wrapped).map(drop),
        kem.generate(&FIPS).map(drop),
    ];
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedOperation);
        assert!(error.to_string().contains("rejects HPKE") && error.to_string().contains("RSA or ECDH"), "{error}");
    }
    Ok(())
}

#[test]
fn key_pairs_are_those_of_the_draft() -> Result<()> {
    let vectors = vectors(include_str!("../../../../tests/vectors/hybrid/xwing_draft.json"));
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let private = SecretBytes::from_vec(bytes(&vector, "private"));
        assert_eq!(HybridKem::X25519MlKem768.public_key(&private)?, bytes(&vector, "public"));
    }
    Ok(())
}

#[test]
fn data_keys_that_another_implementation_wrapped_are_unwrapped() -> Result<()> {
    let vectors = vectors(include_str!("../../../../tests/vectors/hybrid/wrapped_by_javascript.json"));
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let number = vector["kem"].as_u64().expect("a number");
        let kem = HybridKem::ALL.into_iter().find(|kem| u64::from(kem.hpke_id()) == number).expect("a known KEM");
        let (private, name) =
            (SecretBytes::from_vec(bytes(&vector, "private")), vector["name"].as_str().expect("text"));
        let keyring = RawHybridKeyring::with_private_key(name, kem, &private)?.with_backend(RUST_CRYPTO);
        assert_eq!(keyring.public_key(), bytes(&vector, "public"));
        let wrapped = EncryptedDataKey::new(PROVIDER_ID, name.as_bytes(), bytes(&vector, "wrapped"));
        let data_key = unwrap(&keyring, AlgorithmSuite::default(), context(), &wrapped)?;
        assert_eq!(data_key, bytes(&vector, "data_key"));
    }
    Ok(())
}

fn vectors(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).expect("the file is JSON");
    file["vectors"].as_array().expect("a list").clone()
}

fn bytes(vector: &Value, member: &str) -> Vec<u8> {
    hex::decode(vector[member].as_str().expect("text")).expect("hexadecimal")
}
