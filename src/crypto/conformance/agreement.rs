//! Agreement of all backends with the pure-Rust backend on random input.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::signatures::{Fixed, digest_of};
use super::{BACKENDS, signing_backends};
use crate::crypto::{AeadAlgorithm, CryptoError, DigestAlgorithm, RUST_CRYPTO, SignatureAlgorithm};

fn hash() -> impl Strategy<Value = DigestAlgorithm> {
    select(&DigestAlgorithm::ALL[..])
}

fn parts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..200), 0..5)
}

fn slices(parts: &[Vec<u8>]) -> Vec<&[u8]> {
    parts.iter().map(Vec::as_slice).collect()
}

proptest! {
    #[test]
    fn aes_gcm_agrees(
        algorithm in select(&AeadAlgorithm::ALL[..]),
        key: [u8; 32],
        nonce: [u8; 12],
        aad in vec(any::<u8>(), 0..100),
        plaintext in vec(any::<u8>(), 0..2000),
    ) {
        let key = &key[..algorithm.key_length()];
        let mut expected = vec![0; plaintext.len()];
        let expected_tag = RUST_CRYPTO.aead().bind(algorithm, key)?.seal(&nonce, &aad, &plaintext, &mut expected)?;
        for backend in BACKENDS {
            let bound = backend.aead().bind(algorithm, key)?;
            let mut ciphertext = vec![0; plaintext.len()];
            let tag = bound.seal(&nonce, &aad, &plaintext, &mut ciphertext)?;
            prop_assert_eq!((&ciphertext, tag), (&expected, expected_tag), "{}", backend.name());
            let mut opened = vec![0; plaintext.len()];
            bound.open(&nonce, &aad, &expected, &expected_tag, &mut opened)?;
            prop_assert_eq!(&opened, &plaintext, "{}", backend.name());
        }
    }

    #[test]
    fn sha_2_agrees_whole_and_in_pieces(algorithm in hash(), parts in parts()) {
        let expected = RUST_CRYPTO.digest().digest(algorithm, &[&parts.concat()]);
        for backend in BACKENDS {
            prop_assert_eq!(backend.digest().digest(algorithm, &slices(&parts)), expected, "{}", backend.name());
            let mut hasher = backend.digest().hasher(algorithm);
            parts.iter().for_each(|part| hasher.update(part));
            prop_assert_eq!(hasher.finish(), expected, "{}", backend.name());
        }
    }

    #[test]
    fn hmac_agrees(algorithm in hash(), key in vec(any::<u8>(), 0..300), parts in parts()) {
        let expected = RUST_CRYPTO.mac().bind(algorithm, &key).authenticate(&[&parts.concat()]);
        for backend in BACKENDS {
            let bound = backend.mac().bind(algorithm, &key);
            // Run twice: a prepared key must not carry state from one message to the next.
            for _ in 0..2 {
                prop_assert!(bound.authenticate(&slices(&parts)) == expected, "{}", backend.name());
            }
            prop_assert!(bound.verify(&slices(&parts), expected.expose_secret()), "{}", backend.name());
        }
    }

    #[test]
    fn hkdf_agrees(
        algorithm in hash(),
        salt in vec(any::<u8>(), 0..200),
        input in vec(any::<u8>(), 0..200),
        info in parts(),
        length in 0_usize..600,
    ) {
        let mut expected = vec![0; length];
        RUST_CRYPTO.kdf().extract(algorithm, &salt, &input).expand(&[&info.concat()], &mut expected)?;
        // HKDF-Extract is an HMAC under the salt (RFC 5869, section 2.2).
        let key = RUST_CRYPTO.mac().bind(algorithm, &salt).authenticate(&[&input]);
        for backend in BACKENDS {
            let extracted = backend.kdf().extract(algorithm, &salt, &input);
            let bound = backend.kdf().bind(algorithm, key.expose_secret())?;
            for prepared in [extracted, bound] {
                let mut output = vec![0; length];
                prepared.expand(&slices(&info), &mut output)?;
                prop_assert_eq!(&output, &expected, "{}", backend.name());
            }
        }
    }
}

proptest! {
    // Each case costs a hundred thousand times as much as those above.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn ecdsa_of_each_is_verified_by_all(
        algorithm in select(SignatureAlgorithm::ALL),
        secret in vec(any::<u8>(), 48),
        message in vec(any::<u8>(), 0..100),
        flip: proptest::sample::Index,
    ) {
        // A compressed point is a tag followed by as many bytes as the secret has.
        let secret = secret[..algorithm.public_key_length() - 1].to_vec();
        let digest = digest_of(algorithm, &message);
        let expected = RUST_CRYPTO.signature().generate(algorithm, &Fixed::new([secret.clone()]))?.public_key();
        for signing in signing_backends() {
            let signer = signing.signature().generate(algorithm, &Fixed::new([secret.clone()]))?;
            prop_assert_eq!(&signer.public_key(), &expected, "{}", signing.name());
            for signature in [signer.sign_digest(&digest)?, signer.sign_digest_to_fixed_length(&digest)?] {
                let mut flipped = signature.clone();
                let bit = flip.index(8 * flipped.len());
                flipped[bit / 8] ^= 1 << (bit % 8);
                for backend in signing_backends() {
                    let verifier = backend.signature().verifying_key(algorithm, &expected)?;
                    verifier.verify_digest(&digest, &signature)?;
                    let refused = verifier.verify_digest(&digest, &flipped);
                    prop_assert_eq!(refused, Err(CryptoError::InvalidSignature), "{}", backend.name());
                }
            }
        }
    }

    #[test]
    fn all_give_the_same_verdict_on_any_bytes(
        algorithm in select(SignatureAlgorithm::ALL),
        prefix in select(&[0_u8, 2, 3, 4, 5, 6, 7, 0x30][..]),
        point in vec(any::<u8>(), 0..100),
        signature in vec(any::<u8>(), 0..120),
        fitting: bool,
    ) {
        let mut point = [&[prefix][..], &point].concat();
        if fitting {
            point.resize(algorithm.public_key_length(), 7);
        }
        let digest = digest_of(algorithm, &point);
        let verdicts: Vec<_> = signing_backends()
            .map(|backend| {
                let verifier = backend.signature().verifying_key(algorithm, &point);
                verifier.map(|verifier| verifier.verify_digest(&digest, &signature))
            })
            .collect();
        let same = verdicts.iter().all(|verdict| *verdict == verdicts[0]);
        prop_assert!(same, "{:?}", verdicts);
        prop_assert!(matches!(
            verdicts[0],
            Err(CryptoError::InvalidPublicKey) | Ok(Err(CryptoError::InvalidSignature))
        ));
    }
}
