//! ML-DSA and ML-KEM: forms of private keys, and decapsulation in every backend.

use pkcs8::der::Encode;
use pkcs8::der::asn1::{BitStringRef, OctetStringRef};
use pkcs8::{PrivateKeyInfoRef, SubjectPublicKeyInfoRef};

use super::BACKENDS;
use super::key_pairs::{Constant, Pair, pairs, pkcs8};
use crate::crypto::key_explain::{explain_private, explain_public};
use crate::crypto::{
    CryptoBackend, CryptoError, DigestAlgorithm, KeyPairFamily, KeyPairKind, RUST_CRYPTO, key_encoding,
};

fn lattices() -> impl Iterator<Item = KeyPairKind> {
    KeyPairKind::ALL.into_iter().filter(|kind| kind.lattice_lengths().is_some())
}

fn encapsulating() -> impl Iterator<Item = KeyPairKind> {
    KeyPairKind::ALL.into_iter().filter(|kind| kind.family() == KeyPairFamily::MlKem)
}

fn backend(pair: &Pair) -> &'static CryptoBackend {
    pair.0
}

/// The object identifiers and the lengths of keys in the tables of RFC 9881 and RFC 9935.
#[test]
fn keys_have_the_identifiers_and_lengths_of_the_standards() {
    let table = [
        (KeyPairKind::MlDsa44, "2.16.840.1.101.3.4.3.17", 32, 1_312),
        (KeyPairKind::MlDsa65, "2.16.840.1.101.3.4.3.18", 32, 1_952),
        (KeyPairKind::MlDsa87, "2.16.840.1.101.3.4.3.19", 32, 2_592),
        (KeyPairKind::MlKem512, "2.16.840.1.101.3.4.4.1", 64, 800),
        (KeyPairKind::MlKem768, "2.16.840.1.101.3.4.4.2", 64, 1_184),
        (KeyPairKind::MlKem1024, "2.16.840.1.101.3.4.4.3", 64, 1_568),
    ];
    assert_eq!(lattices().collect::<Vec<_>>(), table.map(|row| row.0));
    for (kind, identifier, seed, public) in table {
        let private = PrivateKeyInfoRef::try_from(pkcs8(kind)).expect("PKCS#8");
        assert_eq!(private.algorithm.oid.to_string(), identifier);
        assert_eq!((private.algorithm.parameters, private.public_key), (None, None));
        let content = private.private_key.as_bytes();
        assert_eq!((content[0], usize::from(content[1]), content.len()), (0x80, seed, 2 + seed));
        let spki = pairs(kind)[0].2.to_spki();
        let spki = SubjectPublicKeyInfoRef::try_from(&spki[..]).expect("SubjectPublicKeyInfo");
        assert_eq!(spki.algorithm, private.algorithm);
        assert_eq!(spki.subject_public_key.raw_bytes().len(), public);
    }
}

/// The seeds count from zero, as in the examples of RFC 9881, appendix C, and RFC 9935, appendix C.
/// The SHA-256 digests of the public keys were computed with OpenSSL 4.0.3, and that of ML-KEM-512
/// with PyCryptodome 4.4.0.
#[test]
fn seeds_of_the_examples_in_the_rfcs_give_the_public_keys_of_other_libraries() -> Result<(), CryptoError> {
    let answers = [
        (KeyPairKind::MlDsa44, "837832708c5236d951581f1fddf2b79991b3424a0486d16da1ddad0fd69701be"),
        (KeyPairKind::MlDsa65, "b8b62131bfbe84433efb2273d7f5b87f7a22854a2cfd366fc2aead86d837c52d"),
        (KeyPairKind::MlDsa87, "07e57c4f14dbad1267f621ec3777b4e2e6c4fbc4c22fbb87510ff8e0b3c6a642"),
        (KeyPairKind::MlKem512, "0e3c8b89b54202d2545f7aba2e2aaa3cffa7b6191919ad738fab35b4f313cf71"),
        (KeyPairKind::MlKem768, "c23e23dd3d485a9256cda09358a4a286e00b373db10761eadf99f710649ca31c"),
        (KeyPairKind::MlKem1024, "d2b7480ae006a14b37c1e8a8e45ea39022e32a9b1a7b90d594c84d869c6ac420"),
    ];
    for (kind, answer) in answers {
        let length = u8::try_from(kind.lattice_lengths().expect("a lattice").seed).expect("short");
        let seed: Vec<u8> = (0..length).collect();
        let pkcs8 = key_encoding::write_private(kind, &seed, &[])?;
        for backend in BACKENDS {
            let key = backend.key_pairs().private_key(kind, pkcs8.expose_secret())?;
            let digest = backend.digest().digest(DigestAlgorithm::Sha256, &[&key.public_key_der()]);
            assert_eq!(hex::encode(digest.as_ref()), answer, "{kind:?} with {}", backend.name());
        }
    }
    Ok(())
}

/// Encodes a private key with any content, and optionally a public key.
fn encode(kind: KeyPairKind, content: &[u8], public: Option<&[u8]>) -> Vec<u8> {
    let template = PrivateKeyInfoRef::try_from(pkcs8(kind)).expect("PKCS#8");
    let public_key = public.map(|public| BitStringRef::from_bytes(public).expect("short"));
    let mut info = PrivateKeyInfoRef::new(template.algorithm, OctetStringRef::new(content).expect("short"));
    info.public_key = public_key;
    info.to_der().expect("short")
}

fn octets(content: &[u8]) -> Vec<u8> {
    OctetStringRef::new(content).expect("short").to_der().expect("short")
}

/// Encodes both the seed and the expanded key.
fn both(seed: &[u8], expanded: &[u8]) -> Vec<u8> {
    let content = [octets(seed), octets(expanded)].concat();
    let length = u16::try_from(content.len()).expect("short").to_be_bytes();
    [&[0x30, 0x82], &length[..], &content].concat()
}

/// Returns the seed of the key of a kind, its expanded key, and its public key.
fn parts(kind: KeyPairKind) -> [Vec<u8>; 3] {
    let seed = key_encoding::parse_private(kind, pkcs8(kind)).expect("valid").secret.expose_secret().to_vec();
    #[expect(deprecated, reason = "the expanded key that other software writes")]
    let expanded = {
        use ml_kem::ExpandedKeyEncoding;
        fn dsa<P: ml_dsa::MlDsaParams>(seed: &[u8]) -> Vec<u8> {
            let seed = seed.try_into().expect("32 bytes");
            ml_dsa::ExpandedSigningKey::<P>::from_seed(seed).to_expanded().to_vec()
        }
        let kem = || seed[..].try_into().expect("64 bytes");
        match kind {
            KeyPairKind::MlDsa44 => dsa::<ml_dsa::MlDsa44>(&seed),
            KeyPairKind::MlDsa65 => dsa::<ml_dsa::MlDsa65>(&seed),
            KeyPairKind::MlDsa87 => dsa::<ml_dsa::MlDsa87>(&seed),
            KeyPairKind::MlKem512 => ml_kem::DecapsulationKey512::from_seed(kem()).to_expanded_bytes().to_vec(),
            KeyPairKind::MlKem768 => ml_kem::DecapsulationKey768::from_seed(kem()).to_expanded_bytes().to_vec(),
            _ => ml_kem::DecapsulationKey1024::from_seed(kem()).to_expanded_bytes().to_vec(),
        }
    };
    let spki = pairs(kind)[0].2.to_spki();
    let public = SubjectPublicKeyInfoRef::try_from(&spki[..]).expect("valid").subject_public_key.raw_bytes().to_vec();
    [seed, expanded, public]
}

#[test]
fn private_key_is_read_from_its_seed_alone_and_with_what_belongs_to_it() -> Result<(), CryptoError> {
    for kind in lattices() {
        let [seed, expanded, public] = parts(kind);
        let lengths = kind.lattice_lengths().expect("a lattice");
        assert_eq!((expanded.len(), public.len()), (lengths.expanded, lengths.public));
        let alone = &pkcs8(kind)[pkcs8(kind).len() - 2 - seed.len()..];
        for content in [alone, &both(&seed, &expanded)] {
            for public in [None, Some(&public[..])] {
                let der = encode(kind, content, public);
                for backend in BACKENDS {
                    let key = backend.key_pairs().private_key(kind, &der)?;
                    assert_eq!(key.to_pkcs8()?.expose_secret(), pkcs8(kind), "{} {kind:?}", backend.name());
                }
            }
        }
    }
    Ok(())
}

/// Each key has one flaw, which the explanation names, and every backend rejects it.
#[test]
fn private_key_in_another_form_or_with_what_belongs_to_another_is_refused_with_the_reason() {
    for kind in lattices() {
        let [seed, expanded, public] = parts(kind);
        let tagged = |seed: &[u8]| [&[0x80, u8::try_from(seed.len()).expect("short")], seed].concat();
        let flip = |bytes: &[u8], index: usize| {
            let mut flipped = bytes.to_vec();
            flipped[index] ^= 1;
            flipped
        };
        let last = expanded.len() - 1;
        let cases = [
            (octets(&expanded), None, "only the expanded key"),
            (expanded.clone(), None, "only the expanded key"),
            (seed.clone(), None, "tag [0]"),
            (octets(&seed), None, "tag [0]"),
            (octets(&expanded[1..]), None, "neither a seed nor"),
            (tagged(&seed[1..]), None, "must have"),
            ([tagged(&seed), vec![0]].concat(), None, "neither a seed nor"),
            ([both(&seed, &expanded), vec![0]].concat(), None, "neither a seed nor"),
            (both(&expanded, &seed), None, "must have"),
            (both(&seed, &expanded[1..]), None, "must have"),
            (both(&seed, &flip(&expanded, 0)), None, "expanded key does not match"),
            (both(&seed, &flip(&expanded, last)), None, "expanded key does not match"),
            (both(&flip(&seed, 0), &expanded), None, "expanded key does not match"),
            (both(&seed, &flip(&expanded, 0)), Some(public.clone()), "expanded key does not match"),
            (tagged(&seed), Some(flip(&public, 9)), "public key does not match"),
            (both(&seed, &expanded), Some(flip(&public, 9)), "public key does not match"),
            (vec![], None, "neither a seed nor"),
            (vec![0x30, 0], None, "neither a seed nor"),
        ];
        for (content, public, reason) in cases {
            let der = encode(kind, &content, public.as_deref());
            for backend in BACKENDS {
                let refused = backend.key_pairs().private_key(kind, &der).map(drop);
                assert_eq!(refused, Err(CryptoError::InvalidPrivateKey), "{} {kind:?}: {reason}", backend.name());
                let explained = explain_private(backend.key_pairs(), &[kind], &der);
                assert!(explained.contains(reason), "{kind:?}: {explained} instead of {reason}");
            }
        }
    }
}

#[test]
fn public_key_of_another_length_or_with_numbers_that_are_not_reduced_is_refused() -> Result<(), CryptoError> {
    for kind in lattices() {
        let [_, _, public] = parts(kind);
        // All bits set are the number 4095, which exceeds the prime 3329 of ML-KEM. Every string of
        // bits is a public key of ML-DSA.
        let highest = key_encoding::write_public(kind, &vec![0xff; public.len()])?;
        for backend in BACKENDS {
            let read = |spki: &[u8]| backend.key_pairs().public_key(kind, spki).map(drop);
            for length in [0, 1, public.len() - 1] {
                let spki = key_encoding::write_public(kind, &public[..length])?;
                assert_eq!(read(&spki), Err(CryptoError::InvalidPublicKey), "{kind:?} {length}");
                assert!(explain_public(&[kind], &spki).contains("must have"), "{kind:?}");
            }
            let is_kem = kind.family() == KeyPairFamily::MlKem;
            assert_eq!(read(&highest).is_err(), is_kem, "{} {kind:?}", backend.name());
            if is_kem {
                assert!(explain_public(&[kind], &highest).contains("not reduced"), "{kind:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn secret_encapsulated_by_any_backend_is_decapsulated_by_all() -> Result<(), CryptoError> {
    for kind in encapsulating() {
        for (sender, _, public) in pairs(kind) {
            let (first, second) = (public.encapsulate(sender.random())?, public.encapsulate(sender.random())?);
            assert_ne!(first.shared_secret, second.shared_secret, "{}", sender.name());
            assert_ne!(first.ciphertext, second.ciphertext);
            for sent in [first, second] {
                assert_eq!(Some(sent.ciphertext.len()), kind.encapsulation_length());
                assert_eq!(sent.shared_secret.len(), 32);
                for (recipient, private, _) in pairs(kind) {
                    let name = format!("{kind:?} {} {}", sender.name(), recipient.name());
                    assert_eq!(private.decapsulate(&sent.ciphertext)?, sent.shared_secret, "{name}");
                }
            }
        }
    }
    Ok(())
}

/// A ciphertext that does not belong to the key gives a secret that depends on both, and no error.
#[test]
fn every_other_ciphertext_is_rejected_implicitly_and_alike_in_all_backends() -> Result<(), CryptoError> {
    for kind in encapsulating() {
        let all = pairs(kind);
        let sent = all[0].2.encapsulate(backend(&all[0]).random())?;
        let stranger = RUST_CRYPTO.key_pairs().generate(kind, RUST_CRYPTO.random())?;
        let length = sent.ciphertext.len();
        let mut seen = vec![sent.shared_secret];
        let flipped = |index: usize| {
            let mut altered = sent.ciphertext.clone();
            altered[index] ^= 0x80;
            altered
        };
        let others = [flipped(0), flipped(length / 2), flipped(length - 1), vec![0; length], vec![0xff; length]];
        for ciphertext in others {
            let secret = all[0].1.decapsulate(&ciphertext)?;
            for (recipient, private, _) in &all {
                assert_eq!(private.decapsulate(&ciphertext)?, secret, "{kind:?} {}", recipient.name());
            }
            assert_ne!(stranger.decapsulate(&ciphertext)?, secret, "{kind:?}: it depends on the key");
            assert_eq!(secret.len(), 32);
            assert!(!seen.contains(&secret), "{kind:?}: it depends on the ciphertext");
            seen.push(secret);
        }
        assert!(!seen.contains(&stranger.decapsulate(&sent.ciphertext)?));
    }
    Ok(())
}

#[test]
fn ciphertext_of_another_length_is_refused() {
    for kind in encapsulating() {
        let length = kind.encapsulation_length().expect("ML-KEM");
        for (backend, private, _) in pairs(kind) {
            for wrong in [0, 1, length - 1, length + 1, 768, 1_088, 1_568] {
                let opened = private.decapsulate(&vec![7; wrong]);
                let expected = CryptoError::InvalidLength { what: "ciphertext", length: wrong };
                assert_eq!(opened.err(), (wrong != length).then_some(expected), "{kind:?} {}", backend.name());
            }
        }
    }
}

#[test]
fn encapsulation_draws_from_the_generator_that_is_given() -> Result<(), CryptoError> {
    for kind in encapsulating() {
        let (_, _, public) = &pairs(kind)[0];
        let [one, two] = [0x11, 0x22].map(|byte| public.encapsulate(&Constant(byte)));
        let (one, two) = (one?, two?);
        assert_eq!(public.encapsulate(&Constant(0x11))?, one);
        assert_ne!(one, two);
    }
    Ok(())
}
