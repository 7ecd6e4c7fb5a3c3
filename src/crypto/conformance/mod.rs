//! The conformance suite that every backend must pass. This module tests limits. The submodules
//! contain known answers from the standards, third-party vectors, signatures, and agreement between
//! the backends.

mod agreement;
mod key_pair_answers;
mod key_pairs;
mod known_answers;
mod lattice_keys;
mod signatures;
mod third_party;

#[cfg(any(feature = "aws-lc-rs", feature = "fips"))]
use super::AWS_LC;
// The tests of the strict backend are in `fips`, because it lacks algorithms.
#[cfg(feature = "fips")]
use super::AWS_LC as FASTEST;
#[cfg(not(feature = "fips"))]
use super::FASTEST;
#[cfg(not(any(feature = "aws-lc-rs", feature = "fips")))]
use super::RUST_CRYPTO as AWS_LC;
use super::{AeadAlgorithm, CryptoBackend, CryptoError, DigestAlgorithm, RUST_CRYPTO};

/// Without AWS-LC, all three are the same backend.
const BACKENDS: &[CryptoBackend] = &[RUST_CRYPTO, AWS_LC, FASTEST];

/// Returns the backends whose signature parts differ. Unoptimized ECDSA is too slow to test the
/// same library twice.
fn signing_backends() -> impl Iterator<Item = &'static CryptoBackend> {
    let library = |backend: &CryptoBackend| backend.signature().library();
    BACKENDS
        .iter()
        .enumerate()
        .filter(move |(index, backend)| BACKENDS[..*index].iter().all(|earlier| library(earlier) != library(backend)))
        .map(|(_, backend)| backend)
}

const NONCE: [u8; 12] = [1; 12];

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).expect("vectors are hexadecimal")
}

fn is_invalid_length<T>(result: &Result<T, CryptoError>) -> bool {
    matches!(result, Err(CryptoError::InvalidLength { .. }))
}

#[test]
fn aead_takes_keys_of_exactly_its_length() {
    for backend in BACKENDS {
        for algorithm in AeadAlgorithm::ALL {
            for length in 0..=65 {
                let bound = backend.aead().bind(algorithm, &vec![0; length]);
                let fits = length == algorithm.key_length();
                assert_eq!(bound.is_ok(), fits, "{} {algorithm:?} {length}", backend.name());
                assert_eq!(is_invalid_length(&bound), !fits);
            }
        }
    }
}

#[test]
fn aead_refuses_buffers_of_different_lengths_and_writes_nothing() -> Result<(), CryptoError> {
    for backend in BACKENDS {
        for algorithm in AeadAlgorithm::ALL {
            let key = backend.aead().bind(algorithm, &vec![7; algorithm.key_length()])?;
            for (input, output) in [(0, 1), (1, 0), (16, 15), (16, 17), (64, 65)] {
                let mut buffer = vec![0xEE; output];
                let sealed = key.seal(&NONCE, &[], &vec![1; input], &mut buffer);
                assert!(is_invalid_length(&sealed), "{} {algorithm:?}", backend.name());
                let opened = key.open(&NONCE, &[], &vec![1; input], &[0; 16], &mut buffer);
                assert!(is_invalid_length(&opened), "{} {algorithm:?}", backend.name());
                assert_eq!(buffer, vec![0xEE; output], "{} {algorithm:?}", backend.name());
            }
        }
    }
    Ok(())
}

#[test]
fn failed_open_leaves_zeros() -> Result<(), CryptoError> {
    for backend in BACKENDS {
        for algorithm in AeadAlgorithm::ALL {
            let key = backend.aead().bind(algorithm, &vec![7; algorithm.key_length()])?;
            for length in [0, 1, 15, 16, 17, 100, 4096] {
                let mut ciphertext = vec![0; length];
                let mut tag = key.seal(&NONCE, b"aad", &vec![0xA5; length], &mut ciphertext)?;
                let mut opened = vec![0xEE; length];
                key.open(&NONCE, b"aad", &ciphertext, &tag, &mut opened)?;
                assert_eq!(opened, vec![0xA5; length]);
                tag[15] ^= 1;
                let refused = key.open(&NONCE, b"aad", &ciphertext, &tag, &mut opened);
                assert_eq!(refused, Err(CryptoError::NotAuthentic), "{} {algorithm:?}", backend.name());
                assert_eq!(opened, vec![0; length], "{} {algorithm:?}", backend.name());
            }
        }
    }
    Ok(())
}

#[test]
fn every_part_of_an_aead_message_is_bound() -> Result<(), CryptoError> {
    for backend in BACKENDS {
        for algorithm in AeadAlgorithm::ALL {
            let key = backend.aead().bind(algorithm, &vec![7; algorithm.key_length()])?;
            let other_key = backend.aead().bind(algorithm, &vec![8; algorithm.key_length()])?;
            let mut ciphertext = [0; 20];
            let tag = key.seal(&NONCE, b"aad", &[0xA5; 20], &mut ciphertext)?;
            let mut altered = ciphertext;
            altered[19] ^= 0x80;
            let mut out = [0; 20];
            let refusals = [
                other_key.open(&NONCE, b"aad", &ciphertext, &tag, &mut out),
                key.open(&[2; 12], b"aad", &ciphertext, &tag, &mut out),
                key.open(&NONCE, b"aae", &ciphertext, &tag, &mut out),
                key.open(&NONCE, b"", &ciphertext, &tag, &mut out),
                key.open(&NONCE, b"aad", &altered, &tag, &mut out),
                key.open(&NONCE, b"aad", &ciphertext[..19], &tag, &mut out[..19]),
            ];
            assert_eq!(refusals, [Err(CryptoError::NotAuthentic); 6], "{} {algorithm:?}", backend.name());
        }
    }
    Ok(())
}

#[test]
fn key_derivation_takes_pseudo_random_keys_of_exactly_the_hash_length() {
    for backend in BACKENDS {
        for algorithm in DigestAlgorithm::ALL {
            for length in 0..=130 {
                let bound = backend.kdf().bind(algorithm, &vec![1; length]);
                let fits = length == algorithm.output_length();
                assert_eq!(bound.is_ok(), fits, "{} {algorithm:?} {length}", backend.name());
                assert_eq!(is_invalid_length(&bound), !fits);
            }
        }
    }
}

#[test]
fn key_derivation_stops_at_255_blocks() -> Result<(), CryptoError> {
    for backend in BACKENDS {
        for algorithm in DigestAlgorithm::ALL {
            let limit = 255 * algorithm.output_length();
            let bound = backend.kdf().bind(algorithm, &vec![1; algorithm.output_length()])?;
            for key in [bound, backend.kdf().extract(algorithm, b"salt", b"input")] {
                let mut whole = vec![0; limit];
                key.expand(&[b"info"], &mut whole)?;
                let mut start = vec![0; 100];
                key.expand(&[b"in", b"", b"fo"], &mut start)?;
                assert_eq!(start, whole[..100], "{} {algorithm:?}", backend.name());
                assert_ne!(whole[limit - 32..], [0; 32]);
                let refused = key.expand(&[b"info"], &mut vec![0; limit + 1]);
                assert!(is_invalid_length(&refused), "{} {algorithm:?}", backend.name());
            }
        }
    }
    Ok(())
}

#[test]
fn a_derived_key_may_be_empty_and_its_info_long() -> Result<(), CryptoError> {
    for backend in BACKENDS {
        for algorithm in DigestAlgorithm::ALL {
            let key = backend.kdf().extract(algorithm, &[], &[]);
            key.expand(&[b"info"], &mut [])?;
            let (mut whole, mut parts, mut shorter) = ([0; 32], [0; 32], [0; 32]);
            let info = vec![0x5A; 100_000];
            key.expand(&[&info], &mut whole)?;
            key.expand(&[&info[..1], &info[1..99_999], &info[99_999..]], &mut parts)?;
            key.expand(&[&info[1..]], &mut shorter)?;
            assert_eq!(whole, parts, "{} {algorithm:?}", backend.name());
            assert_ne!(whole, shorter, "{} {algorithm:?}", backend.name());
        }
    }
    Ok(())
}

#[test]
fn a_mac_is_verified_whole() {
    for backend in BACKENDS {
        for algorithm in DigestAlgorithm::ALL {
            let key = backend.mac().bind(algorithm, b"key");
            let tag = key.authenticate(&[b"message"]);
            let tag = tag.expose_secret();
            assert_eq!(tag.len(), algorithm.output_length());
            assert!(key.verify(&[b"mess", b"", b"age"], tag), "{} {algorithm:?}", backend.name());
            assert!(!key.verify(&[b"message"], &tag[..tag.len() - 1]), "{} {algorithm:?}", backend.name());
            assert!(!key.verify(&[b"message"], &[]), "{} {algorithm:?}", backend.name());
            assert!(!key.verify(&[b"messagE"], tag), "{} {algorithm:?}", backend.name());
        }
    }
}

#[test]
fn random_bytes_fill_every_length_and_do_not_repeat() -> Result<(), CryptoError> {
    for backend in BACKENDS {
        for length in [0, 1, 16, 31, 32, 33, 255, 256, 257, 100_000] {
            // With 100 tries, the last byte is nonzero at least once, except with probability
            // 2^-800.
            let mut last_was_set = length == 0;
            for _ in 0..100 {
                let mut output = vec![0; length];
                backend.random().fill(&mut output)?;
                last_was_set |= output.last().is_some_and(|last| *last != 0);
            }
            assert!(last_was_set, "{} {length}", backend.name());
        }
        let (mut one, mut two) = ([0; 32], [0; 32]);
        backend.random().fill(&mut one)?;
        backend.random().fill(&mut two)?;
        assert_ne!(one, two, "{}", backend.name());
    }
    Ok(())
}

#[test]
fn the_report_of_parts_names_the_library_of_each() {
    for backend in BACKENDS {
        let text = format!("{backend:?}");
        for (part, library) in backend.parts() {
            assert!(text.contains(part) && text.contains(library), "{text}");
        }
    }
}

#[cfg(not(feature = "fips"))]
#[test]
fn the_fastest_backend_is_the_default() {
    assert_eq!(CryptoBackend::default().name(), FASTEST.name());
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "fips")))]
#[test]
fn the_manual_has_the_report_of_parts() {
    let [rust_crypto, aws_lc, fastest] = [RUST_CRYPTO, AWS_LC, FASTEST].map(|backend| backend.parts());
    let library = |parts: &[(&str, &'static str)], part: &str| {
        parts.iter().find(|(name, _)| *name == part).map_or("as above", |(_, library)| *library)
    };
    let rows: Vec<_> = aws_lc
        .iter()
        .map(|(part, aws_lc)| {
            let [rust_crypto, fastest] = [&rust_crypto, &fastest].map(|parts| library(parts, part));
            format!("| {part} | {rust_crypto} | {aws_lc} | {fastest} |")
        })
        .collect();
    let table = rows.join("\n");
    assert!(include_str!("../../manual/backends.md").contains(&table), "expected the table:\n{table}");
}

#[test]
fn a_random_generator_can_be_replaced() -> Result<(), CryptoError> {
    #[derive(Debug)]
    struct Broken;
    impl super::SecureRandom for Broken {
        fn library(&self) -> &'static str {
            "broken"
        }
        fn fill(&self, _: &mut [u8]) -> Result<(), CryptoError> {
            Err(CryptoError::RandomFailed)
        }
    }
    for backend in BACKENDS {
        let replaced = backend.with_random(&Broken);
        assert_eq!(replaced.random().fill(&mut [0; 8]), Err(CryptoError::RandomFailed));
        assert_eq!(replaced.aead().library(), backend.aead().library());
        backend.random().fill(&mut [0; 8])?;
    }
    Ok(())
}
