//! Key pairs and key wrapping: each backend makes what the other one takes, and both take the same.

use std::sync::OnceLock;

use super::{BACKENDS, bytes};
use crate::algorithm::SigningAlgorithm;
use crate::crypto::{
    CryptoBackend, CryptoError, KeyPairKind, KeyWrapMode, PrivateKey, PublicKey, RsaOaep, SecureRandom, SignatureInput,
};
use crate::secret::SecretBytes;

type Pair = (&'static CryptoBackend, Box<dyn PrivateKey>, Box<dyn PublicKey>);

/// One key of each kind, made by the default backend, as it is quicker.
fn pkcs8(kind: KeyPairKind) -> &'static [u8] {
    static KEYS: [OnceLock<SecretBytes>; 8] = [const { OnceLock::new() }; 8];
    let place = KeyPairKind::ALL.iter().position(|other| *other == kind).expect("all kinds are listed");
    let key = KEYS[place].get_or_init(|| {
        let backend = CryptoBackend::default();
        let key = backend.key_pairs().generate(kind, backend.random()).expect("there is randomness");
        key.to_pkcs8().expect("a key can be written")
    });
    key.expose_secret()
}

/// The same key in backends whose libraries differ.
fn pairs(kind: KeyPairKind) -> Vec<Pair> {
    let mut seen = Vec::new();
    let differing = BACKENDS.iter().filter(|backend| {
        let library = backend.key_pairs().library(kind);
        let fresh = !seen.contains(&library);
        seen.push(library);
        fresh
    });
    let open = |backend: &'static CryptoBackend| {
        let private = backend.key_pairs().private_key(kind, pkcs8(kind)).expect("the key is good");
        let public = backend.key_pairs().public_key(kind, &private.public_key_der()).expect("the key is good");
        (backend, private, public)
    };
    differing.map(open).collect()
}

#[test]
fn all_backends_write_one_key_alike() -> Result<(), CryptoError> {
    for kind in KeyPairKind::ALL {
        let public = pairs(kind)[0].1.public_key_der();
        for (backend, private, parsed) in pairs(kind) {
            assert_eq!(private.to_pkcs8()?.expose_secret(), pkcs8(kind), "{} {kind:?}", backend.name());
            assert_eq!(private.public_key_der(), public, "{} {kind:?}", backend.name());
            assert_eq!(parsed.to_spki(), public, "{} {kind:?}", backend.name());
            assert_eq!((private.kind(), parsed.kind()), (kind, kind));
        }
    }
    Ok(())
}

#[test]
fn every_signature_verifies_in_every_backend_as_message_and_as_digest() -> Result<(), CryptoError> {
    let message = b"a message";
    for kind in KeyPairKind::ALL {
        for algorithm in kind.signing_algorithms() {
            let digest = digest(*algorithm, message);
            for (signer, private, _) in pairs(kind) {
                let mut inputs = vec![SignatureInput::Message(message)];
                if *algorithm != SigningAlgorithm::Ed25519Sha512 {
                    inputs.push(SignatureInput::Digest(&digest));
                }
                for input in &inputs {
                    let signature = private.sign(*algorithm, *input)?;
                    for (verifier, _, public) in pairs(kind) {
                        let name = format!("{kind:?} {algorithm} {} {}", signer.name(), verifier.name());
                        for other in &inputs {
                            assert_eq!(public.verify(*algorithm, *other, &signature), Ok(()), "{name}");
                        }
                        assert_refused(&*public, *algorithm, message, &signature, &name);
                    }
                }
            }
        }
    }
    Ok(())
}

fn digest(algorithm: SigningAlgorithm, message: &[u8]) -> Vec<u8> {
    use crate::crypto::DigestAlgorithm::{Sha256, Sha384, Sha512};
    let digest = match algorithm.digest_length() {
        32 => Sha256,
        48 => Sha384,
        _ => Sha512,
    };
    CryptoBackend::default().digest().digest(digest, &[message]).as_ref().to_vec()
}

fn assert_refused(public: &dyn PublicKey, algorithm: SigningAlgorithm, message: &[u8], signature: &[u8], name: &str) {
    let refused = Err(CryptoError::InvalidSignature);
    assert_eq!(public.verify(algorithm, SignatureInput::Message(b"another"), signature), refused, "{name}");
    let input = SignatureInput::Message(message);
    for length in [0, 1, signature.len() / 2, signature.len() - 1] {
        assert_eq!(public.verify(algorithm, input, &signature[..length]), refused, "{name} cut to {length}");
    }
    assert_eq!(public.verify(algorithm, input, &[signature, &[0]].concat()), refused, "{name} with more");
    for index in [0, signature.len() / 3, signature.len() - 1] {
        let mut flipped = signature.to_vec();
        flipped[index] ^= 1;
        assert_eq!(public.verify(algorithm, input, &flipped), refused, "{name} flipped at {index}");
    }
}

#[test]
fn a_key_refuses_what_is_not_its_own() -> Result<(), CryptoError> {
    let unsuitable = CryptoError::UnsuitableKey;
    for kind in KeyPairKind::ALL {
        for (backend, private, public) in pairs(kind) {
            let name = format!("{} {kind:?}", backend.name());
            for algorithm in SigningAlgorithm::ALL {
                let input = SignatureInput::Message(b"x");
                if !kind.signing_algorithms().contains(algorithm) {
                    assert_eq!(private.sign(*algorithm, input), Err(unsuitable), "{name} {algorithm}");
                    assert_eq!(public.verify(*algorithm, input, b""), Err(unsuitable), "{name} {algorithm}");
                    continue;
                }
                for length in [0, 31, 33, 47, 49, 63, 65] {
                    let input = SignatureInput::Digest(&[1; 65][..length]);
                    let signed = private.sign(*algorithm, input);
                    assert!(matches!(signed, Err(CryptoError::InvalidLength { .. })), "{name} {algorithm}");
                    let verified = public.verify(*algorithm, input, b"");
                    assert!(matches!(verified, Err(CryptoError::InvalidLength { .. })), "{name} {algorithm}");
                }
            }
            if kind.modulus_bits().is_none() {
                assert_eq!(private.decrypt(RsaOaep::Sha256, &[1; 256]), Err(unsuitable), "{name}");
                assert_eq!(private.decrypt_pkcs1_v15_unauthenticated(&[1; 256]), Err(unsuitable), "{name}");
                assert_eq!(public.encrypt(RsaOaep::Sha256, b"x", backend.random()), Err(unsuitable), "{name}");
            }
            if !kind.supports_key_agreement() {
                assert_eq!(private.agree(&public.to_spki()), Err(unsuitable), "{name}");
            }
        }
    }
    Ok(())
}

#[test]
fn oaep_opens_in_every_backend_and_any_other_ciphertext_is_refused_alike() -> Result<(), CryptoError> {
    for kind in [KeyPairKind::Rsa2048, KeyPairKind::Rsa3072, KeyPairKind::Rsa4096] {
        for oaep in RsaOaep::ALL {
            let most = oaep.max_plaintext(kind).expect("RSA has a limit");
            for (sealer, _, public) in pairs(kind) {
                for length in [0, 1, 32, most] {
                    let plaintext = vec![7; length];
                    let ciphertext = public.encrypt(oaep, &plaintext, sealer.random())?;
                    for (opener, private, _) in pairs(kind) {
                        let name = format!("{kind:?} {oaep:?} {length} {} {}", sealer.name(), opener.name());
                        assert_eq!(private.decrypt(oaep, &ciphertext)?.expose_secret(), plaintext, "{name}");
                    }
                }
                let over = public.encrypt(oaep, &vec![7; most + 1], sealer.random());
                assert!(matches!(over, Err(CryptoError::InvalidLength { .. })));
                let ciphertext = public.encrypt(oaep, b"data key", sealer.random())?;
                for (_, private, _) in pairs(kind) {
                    let refused = Err(CryptoError::NotAuthentic);
                    let mut flipped = ciphertext.clone();
                    flipped[9] ^= 1;
                    let long = [&ciphertext[..], &[0]].concat();
                    for wrong in [&flipped[..], &ciphertext[1..], &long, &[], &vec![0xff; ciphertext.len()]] {
                        assert_eq!(private.decrypt(oaep, wrong), refused);
                    }
                    let other = if oaep == RsaOaep::Sha1 { RsaOaep::Sha256 } else { RsaOaep::Sha1 };
                    assert_eq!(private.decrypt(other, &ciphertext), refused);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn agreement_gives_one_secret_to_both_sides_in_every_backend() -> Result<(), CryptoError> {
    for kind in KeyPairKind::ALL.into_iter().filter(|kind| kind.supports_key_agreement()) {
        for (backend, private, _) in pairs(kind) {
            let peer = backend.key_pairs().generate(kind, backend.random())?;
            let ours = private.agree(&peer.public_key_der())?;
            assert_eq!(Some(ours.len()), kind.scalar_length());
            for (_, private, _) in pairs(kind) {
                assert_eq!(peer.agree(&private.public_key_der())?, ours);
                assert_eq!(private.agree(&peer.public_key_der())?, ours);
            }
            for other in KeyPairKind::ALL.into_iter().filter(|other| *other != kind) {
                let stranger = pairs(other)[0].1.public_key_der();
                assert_eq!(private.agree(&stranger), Err(CryptoError::InvalidPublicKey), "{kind:?} {other:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn points_are_taken_in_two_forms_and_written_in_one() -> Result<(), CryptoError> {
    for kind in KeyPairKind::ALL {
        for (backend, private, public) in pairs(kind) {
            let Some(compressed) = public.to_compressed_point() else {
                assert!(backend.key_pairs().public_key_of_point(kind, &[2; 33]).is_err());
                continue;
            };
            let again = backend.key_pairs().public_key_of_point(kind, &compressed)?;
            assert_eq!(again.to_spki(), private.public_key_der(), "{} {kind:?}", backend.name());
            assert_eq!(again.to_compressed_point(), Some(compressed.clone()));
            let mut off_curve = public.to_spki();
            *off_curve.last_mut().expect("not empty") ^= 1;
            let refused = backend.key_pairs().public_key(kind, &off_curve);
            assert_eq!(refused.map(|_| ()), Err(CryptoError::InvalidPublicKey), "{} {kind:?}", backend.name());
            for wrong in [&compressed[1..], &[0], &[&compressed[..], &[0]].concat()[..], &[]] {
                assert!(backend.key_pairs().public_key_of_point(kind, wrong).is_err());
            }
        }
    }
    Ok(())
}

#[test]
fn keys_of_another_kind_cut_keys_and_keys_with_more_behind_them_are_refused() {
    for kind in KeyPairKind::ALL {
        for (backend, private, _) in pairs(kind) {
            let (key_pairs, spki) = (backend.key_pairs(), private.public_key_der());
            for other in KeyPairKind::ALL.into_iter().filter(|other| *other != kind) {
                assert_invalid(key_pairs.private_key(other, pkcs8(kind)), CryptoError::InvalidPrivateKey);
                assert_invalid(key_pairs.public_key(other, &spki), CryptoError::InvalidPublicKey);
            }
            for length in (0..pkcs8(kind).len()).step_by(7) {
                assert_invalid(key_pairs.private_key(kind, &pkcs8(kind)[..length]), CryptoError::InvalidPrivateKey);
            }
            for length in (0..spki.len()).step_by(5) {
                assert_invalid(key_pairs.public_key(kind, &spki[..length]), CryptoError::InvalidPublicKey);
            }
            let more = [pkcs8(kind), &[0]].concat();
            assert_invalid(key_pairs.private_key(kind, &more), CryptoError::InvalidPrivateKey);
            let more = [&spki[..], &[0]].concat();
            assert_invalid(key_pairs.public_key(kind, &more), CryptoError::InvalidPublicKey);
        }
    }
}

fn assert_invalid<T>(result: Result<T, CryptoError>, expected: CryptoError) {
    assert_eq!(result.map(|_| ()), Err(expected));
}

/// Any flipped bit of a private key either makes it invalid, or leaves the very same key (the form of a boolean, say).
#[test]
fn a_private_key_that_does_not_fit_itself_is_refused_by_all() {
    for kind in KeyPairKind::ALL.into_iter().filter(|kind| kind.modulus_bits().is_none_or(|bits| bits == 2_048)) {
        let step = if kind.modulus_bits().is_some() { 41 } else { 1 };
        for index in (0..pkcs8(kind).len()).step_by(step) {
            let mut flipped = pkcs8(kind).to_vec();
            flipped[index] ^= 0x01;
            let mut verdicts = pairs(kind).into_iter().map(|(backend, ..)| {
                let taken = backend.key_pairs().private_key(kind, &flipped);
                taken.map(|key| key.public_key_der()).ok()
            });
            let first = verdicts.next().expect("there is a backend");
            assert!(verdicts.all(|verdict| verdict == first), "{kind:?} at {index}");
            // Without a public key beside it, another seed is another key.
            let is_seed = kind == KeyPairKind::Ed25519 && index >= 16;
            assert!(first.is_none() || is_seed, "{kind:?} at {index} was taken");
        }
    }
}

#[test]
fn points_of_small_order_are_no_public_keys() {
    let mut spki = pairs(KeyPairKind::Ed25519)[0].1.public_key_der();
    let start = spki.len() - 32;
    for point in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        spki[start..].copy_from_slice(&point);
        for backend in BACKENDS {
            assert_invalid(backend.key_pairs().public_key(KeyPairKind::Ed25519, &spki), CryptoError::InvalidPublicKey);
        }
    }
}

/// Wrong padding opens to something that depends on key and ciphertext alone, never to an error that tells.
#[test]
fn pkcs1_v15_rejects_implicitly() -> Result<(), CryptoError> {
    for (backend, private, _) in pairs(KeyPairKind::Rsa2048) {
        let mut ciphertext = vec![0x42; 256];
        ciphertext[0] = 0;
        let first = private.decrypt_pkcs1_v15_unauthenticated(&ciphertext)?;
        assert_eq!(private.decrypt_pkcs1_v15_unauthenticated(&ciphertext)?, first, "{}", backend.name());
        assert_eq!(private.decrypt_pkcs1_v15_unauthenticated(&ciphertext[1..]), Err(CryptoError::NotAuthentic));
    }
    Ok(())
}

/// A generator that gives the same bytes again and again.
#[derive(Debug)]
struct Constant(u8);

impl SecureRandom for Constant {
    fn library(&self) -> &'static str {
        "none"
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        output.fill(self.0);
        Ok(())
    }
}

#[test]
fn curves_make_the_same_key_of_the_same_randomness() -> Result<(), CryptoError> {
    for kind in KeyPairKind::ALL.into_iter().filter(|kind| kind.modulus_bits().is_none()) {
        let made: Vec<_> = pairs(kind)
            .into_iter()
            .map(|(backend, ..)| backend.key_pairs().generate(kind, &Constant(0x5a))?.to_pkcs8())
            .collect::<Result<_, _>>()?;
        assert!(made.windows(2).all(|two| two[0] == two[1]), "{kind:?}");
    }
    Ok(())
}

/// RFC 3394, section 4, and RFC 5649, section 6.
#[test]
fn key_wrap_gives_the_answers_of_the_rfcs() -> Result<(), CryptoError> {
    let cases = [
        (
            KeyWrapMode::Plain,
            "000102030405060708090a0b0c0d0e0f",
            "00112233445566778899aabbccddeeff",
            "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5",
        ),
        (
            KeyWrapMode::Plain,
            "000102030405060708090a0b0c0d0e0f1011121314151617",
            "00112233445566778899aabbccddeeff0001020304050607",
            "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2",
        ),
        (
            KeyWrapMode::Plain,
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        ),
        (
            KeyWrapMode::Padded,
            "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8",
            "c37b7e6492584340bed12207808941155068f738",
            "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
        ),
        (
            KeyWrapMode::Padded,
            "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8",
            "466f7250617369",
            "afbeb0f07dfbf5419200f2ccb50bb24f",
        ),
    ];
    for backend in BACKENDS {
        for (mode, wrapping_key, key, wrapped) in cases {
            let (wrapping_key, key) = (bytes(wrapping_key), bytes(key));
            assert_eq!(hex::encode(backend.key_wrap().wrap(mode, &wrapping_key, &key)?), wrapped);
            assert_eq!(backend.key_wrap().unwrap(mode, &wrapping_key, &bytes(wrapped))?.expose_secret(), key);
        }
    }
    Ok(())
}

#[test]
fn what_no_key_was_wrapped_into_is_refused() -> Result<(), CryptoError> {
    let refused = Err(CryptoError::NotAuthentic);
    for backend in BACKENDS {
        for wrapping_key in [&[1; 16][..], &[1; 24], &[1; 32]] {
            let wrap = backend.key_wrap();
            // Both open to an empty key, whatever the wrapping key, in the library itself.
            assert_eq!(wrap.unwrap(KeyWrapMode::Padded, wrapping_key, &bytes("a65959a600000000")), refused);
            assert_eq!(wrap.unwrap(KeyWrapMode::Plain, wrapping_key, &[0xa6; 8]), refused);
            for mode in [KeyWrapMode::Plain, KeyWrapMode::Padded] {
                let wrapped = wrap.wrap(mode, wrapping_key, &[5; 32])?;
                for length in 0..wrapped.len() {
                    assert_eq!(wrap.unwrap(mode, wrapping_key, &wrapped[..length]), refused, "{length}");
                }
                for index in 0..wrapped.len() {
                    let mut flipped = wrapped.clone();
                    flipped[index] ^= 0x80;
                    assert_eq!(wrap.unwrap(mode, wrapping_key, &flipped), refused, "{index}");
                }
                assert_eq!(wrap.unwrap(mode, &[2; 32], &wrapped), refused);
                assert!(matches!(wrap.wrap(mode, wrapping_key, &[]), Err(CryptoError::InvalidLength { .. })));
                assert!(matches!(wrap.wrap(mode, &[1; 31], &[5; 32]), Err(CryptoError::InvalidLength { .. })));
            }
            assert!(matches!(
                wrap.wrap(KeyWrapMode::Plain, wrapping_key, &[5; 17]),
                Err(CryptoError::InvalidLength { .. })
            ));
        }
    }
    Ok(())
}
