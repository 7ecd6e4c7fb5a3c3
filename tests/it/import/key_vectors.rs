//! Every key in `tests/vectors/keys` gets the verdict stated in its file, from every backend. The
//! script `generate.py` in that folder wrote the files.
//!
//! Each file is one case: a comment with its single reason, then `kind` (a name of `KeyPairKind`),
//! `form: private` (PKCS#8) or `form: public` (`SubjectPublicKeyInfo`), `expect: accepted` or
//! `expect: refused`, and the `key` in DER. `expect: faulty` marks a private key that is accepted
//! and computes wrong results.

use strongroom::crypto::{
    CryptoBackend, CryptoError, FASTEST, KeyPairKind, PrivateKey, RUST_CRYPTO, RsaOaep, SignatureInput,
};

use crate::support::vectors::{self, Vector};

const BACKENDS: [CryptoBackend; 2] = [RUST_CRYPTO, FASTEST];

fn kind(vector: &Vector) -> KeyPairKind {
    let name = vector.field("kind");
    let kinds = KeyPairKind::ALL.into_iter();
    kinds.into_iter().find(|kind| format!("{kind:?}") == name).unwrap_or_else(|| panic!("{}: {name}", vector.file))
}

fn accepted(vector: &Vector) -> bool {
    match vector.field("expect") {
        "accepted" | "faulty" => true,
        "refused" => false,
        other => panic!("{}: expect: {other}", vector.file),
    }
}

fn of_form(form: &str, at_least: usize) -> Vec<Vector> {
    let mut vectors = vectors::in_folders(&["keys"]);
    vectors.retain(|vector| vector.field("form") == form);
    assert!(vectors.len() >= at_least, "{} files of form {form}", vectors.len());
    vectors
}

#[test]
fn every_private_key_gets_its_verdict_in_every_backend() {
    for vector in of_form("private", 37) {
        let (kind, pkcs8) = (kind(&vector), vector.bytes("key"));
        let keys = BACKENDS.map(|backend| backend.key_pairs().private_key(kind, &pkcs8));
        for (backend, key) in BACKENDS.iter().zip(&keys) {
            let expected = if accepted(&vector) { Ok(()) } else { Err(CryptoError::InvalidPrivateKey) };
            let verdict = key.as_ref().map(drop).map_err(|error| *error);
            if matches!(verdict, Err(CryptoError::Rejected { algorithm, .. }) if backend.check_allowed(algorithm).is_err())
            {
                continue;
            }
            assert_eq!(verdict, expected, "{} with {}", vector.file, backend.name());
        }
        if let [Ok(one), Ok(two)] = &keys {
            if vector.field("expect") == "faulty" {
                [one, two].into_iter().for_each(|key| assert_faulty(&vector, &**key));
                continue;
            }
            assert_one_key(&vector, &pkcs8, &**one, &**two);
            assert_one_key(&vector, &pkcs8, &**two, &**one);
        }
    }
}

/// Asserts that each backend verifies what the other signs, with every algorithm, and that both
/// decrypt data encrypted to the key.
fn assert_one_key(vector: &Vector, pkcs8: &[u8], one: &dyn PrivateKey, two: &dyn PrivateKey) {
    let file = &vector.file;
    assert_eq!(one.to_pkcs8().expect("the key can be serialized").expose_secret(), pkcs8, "{file}");
    assert_eq!(one.public_key_der(), two.public_key_der(), "{file}");
    for backend in BACKENDS {
        let public = backend.key_pairs().public_key(one.kind(), &two.public_key_der()).expect("its own");
        for algorithm in one.kind().signing_algorithms() {
            let message = SignatureInput::Message(b"a message");
            let signature = one.sign(*algorithm, message).expect("a valid key signs");
            assert_eq!(public.verify(*algorithm, message, &signature), Ok(()), "{file} {algorithm}");
        }
        let sealed = public.encrypt(RsaOaep::Sha256, b"a data key", backend.random()).expect("the plaintext fits");
        assert_eq!(one.decrypt(RsaOaep::Sha256, &sealed).expect("its own").expose_secret(), b"a data key", "{file}");
    }
}

/// Asserts that the result of such a key is checked before it is returned, and that the error does
/// not blame the random number generator.
fn assert_faulty(vector: &Vector, key: &dyn PrivateKey) {
    for algorithm in key.kind().signing_algorithms() {
        let signed = key.sign(*algorithm, SignatureInput::Message(b"a message"));
        assert_eq!(signed, Err(CryptoError::FaultyComputation), "{} {algorithm}", vector.file);
    }
    let public = FASTEST.key_pairs().public_key(key.kind(), &key.public_key_der()).expect("its own");
    let sealed = public.encrypt(RsaOaep::Sha256, b"a data key", FASTEST.random()).expect("the plaintext fits");
    assert_eq!(key.decrypt(RsaOaep::Sha256, &sealed), Err(CryptoError::NotAuthentic), "{}", vector.file);
}

#[test]
fn every_public_key_gets_its_verdict_in_every_backend() {
    for vector in of_form("public", 50) {
        let (kind, spki) = (kind(&vector), vector.bytes("key"));
        let mut written = Vec::new();
        for backend in BACKENDS {
            let verdict = backend.key_pairs().public_key(kind, &spki).map(|key| key.to_spki());
            match (&verdict, accepted(&vector)) {
                (Ok(again), true) => written.push(again.clone()),
                (Err(CryptoError::InvalidPublicKey), false) => {}
                (Err(CryptoError::Rejected { algorithm, .. }), _) if backend.check_allowed(algorithm).is_err() => {}
                _ => panic!("{} with {}: {verdict:?}", vector.file, backend.name()),
            }
        }
        assert!(
            written.windows(2).all(|two| two[0] == two[1]),
            "{}: the backends serialize the key differently",
            vector.file
        );
    }
}

/// A key agreement also parses the peer's public key, which some libraries do themselves.
#[test]
fn no_key_agrees_with_a_public_key_that_is_refused() {
    for vector in of_form("public", 50) {
        let kind = kind(&vector);
        if !kind.supports_key_agreement() {
            continue;
        }
        for backend in BACKENDS {
            let key = backend.key_pairs().generate(kind, backend.random()).expect("random bytes are available");
            let agreed = key.agree(&vector.bytes("key"));
            assert_eq!(agreed.is_ok(), accepted(&vector), "{} with {}", vector.file, backend.name());
        }
    }
}
