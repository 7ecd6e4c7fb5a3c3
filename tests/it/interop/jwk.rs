//! Node.js and PyJWT verify signatures and tokens with the JSON Web Keys of KMS keys.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use strongroom::algorithm::{SignatureFormat, SigningAlgorithm};
use strongroom::crypto::{FASTEST, KeyPairKind};
use strongroom::jose::{JoseAlgorithm, Jwk, JwkSet};
use strongroom::key::{KeySpec, KeyUsage};
use strongroom::request::SignRequest;
use strongroom::{ErrorKind, Result};

use crate::support::backend;
use crate::support::every_key::KEYS;
use crate::support::external_tools;

/// Runs a script of `tests/interop`, and returns the answer to each request.
pub(super) fn answers(interpreter: &Path, script: &str, requests: &[Value]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script);
    let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let mut command = Command::new(interpreter);
    command.arg(script).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", interpreter.display()));
    let mut input = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("the script runs");
    writer.join().expect("no thread panicked").expect("the script reads its input");
    let answers: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), requests.len(), "{answers:?}");
    answers
}

/// Returns the JSON Web Keys of all signing keys, with each algorithm that the key has a name for.
fn signing_keys() -> Result<Vec<(KeySpec, Jwk, JoseAlgorithm, SigningAlgorithm)>> {
    let mut all = Vec::new();
    for &(spec, _, key) in KEYS.all.iter().filter(|key| key.1 == KeyUsage::SignVerify) {
        let public = KEYS.kms.get_public_key(key)?;
        if spec.as_str().starts_with("ML_DSA") {
            assert_eq!(public.to_jwk().map(drop).map_err(|error| error.kind()), Err(ErrorKind::UnsupportedOperation));
            continue;
        }
        let jwk = public.to_jwk()?;
        for &name in JoseAlgorithm::ALL {
            if let (Some(signing), Ok(jwk)) = (name.signing_algorithm(), jwk.clone().with_algorithm(name)) {
                all.push((spec, jwk, name, signing));
            }
        }
    }
    // Six for each size of RSA, one for each of four curves, and two names for Ed25519.
    assert_eq!(all.len(), 3 * 6 + 4 + 2);
    Ok(all)
}

fn sign(spec: KeySpec, algorithm: SigningAlgorithm, message: &[u8], format: SignatureFormat) -> Result<Vec<u8>> {
    let key = KEYS.of(spec, KeyUsage::SignVerify);
    let request = SignRequest::new(key, algorithm, message).signature_format(format);
    Ok(KEYS.kms.sign(request)?.signature)
}

fn node(test: &str) -> Option<std::path::PathBuf> {
    external_tools::tool(test, "STRONGROOM_NODE", "a node for which tests/interop/node_modules is installed")
}

#[test]
fn node_verifies_signatures_with_the_json_web_key_of_every_key() -> Result<()> {
    if backend::lacks("node_verifies_signatures_with_the_json_web_key_of_every_key", &["secp256k1"]) {
        return Ok(());
    }
    let Some(node) = node("node_verifies_signatures_with_the_json_web_key_of_every_key") else { return Ok(()) };
    let mut requests = Vec::new();
    let mut expected = Vec::new();
    for (spec, jwk, name, algorithm) in signing_keys()? {
        let signature = sign(spec, algorithm, b"a message", SignatureFormat::P1363)?;
        let der = sign(spec, algorithm, b"a message", SignatureFormat::Der)?;
        let is_ecdsa = jwk.key_type() == "EC";
        for (message, signature, valid) in [
            (&b"a message"[..], &signature, true),
            (&b"another"[..], &signature, false),
            (&b"a message"[..], &der, !is_ecdsa),
        ] {
            let (message, signature) = (hex::encode(message), hex::encode(signature));
            requests.push(json!({"jwk": jwk, "alg": name, "message": message, "signature": signature}));
            expected.push((spec, name, if valid { "valid" } else { "invalid" }));
        }
    }
    let answers = answers(&node, "jwk_verifier.js", &requests);
    for ((spec, name, expected), answer) in expected.iter().zip(&answers) {
        assert_eq!(answer, expected, "{spec} {name}");
    }
    println!("node gave {} expected answers", answers.len());
    Ok(())
}

/// A coordinate that starts with a zero must be written in full, and only some keys have one.
#[test]
fn node_reads_many_keys_of_every_curve() {
    if backend::lacks("node_reads_many_keys_of_every_curve", &["secp256k1"]) {
        return;
    }
    let Some(node) = node("node_reads_many_keys_of_every_curve") else { return };
    let algorithm = |kind: KeyPairKind| match kind {
        KeyPairKind::EccSecp256k1 => JoseAlgorithm::Es256K,
        KeyPairKind::EccP384 => JoseAlgorithm::Es384,
        KeyPairKind::EccP521 => JoseAlgorithm::Es512,
        KeyPairKind::Ed25519 => JoseAlgorithm::EdDsa,
        _ => JoseAlgorithm::Es256,
    };
    let mut requests = Vec::new();
    let is_rsa_or_post_quantum = |kind: KeyPairKind| {
        kind.modulus_bits().is_some()
            || kind.encapsulation_length().is_some()
            || kind.signing_algorithms() == [SigningAlgorithm::MlDsaShake256]
    };
    for kind in KeyPairKind::ALL.into_iter().filter(|kind| !is_rsa_or_post_quantum(*kind)) {
        let name = algorithm(kind);
        let signing = name.signing_algorithm().expect("it signs");
        for _ in 0..100 {
            let pair = FASTEST.key_pairs().generate(kind, FASTEST.random()).expect("a key pair");
            let jwk = Jwk::from_public_key(kind, &pair.public_key_der()).expect("a JWK");
            let signature = pair.sign(signing, strongroom::crypto::SignatureInput::Message(b"x")).expect("a signature");
            let signature = kind.signature_to_p1363(&signature).expect("a valid signature");
            let (message, signature) = (hex::encode(b"x"), hex::encode(signature));
            requests.push(json!({"jwk": jwk, "alg": name, "message": message, "signature": signature}));
        }
    }
    let answers = answers(&node, "jwk_verifier.js", &requests);
    assert!(answers.iter().all(|answer| answer == "valid"), "{answers:?}");
}

/// Returns a token in the compact form (RFC 7515, section 3.1).
fn token(spec: KeySpec, jwk: &Jwk, name: JoseAlgorithm, algorithm: SigningAlgorithm) -> Result<String> {
    let encode = |value: Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    let header = encode(json!({"alg": name, "kid": jwk.kid(), "typ": "JWT"}));
    let input = format!("{header}.{}", encode(json!({"sub": "42", "spec": spec.as_str()})));
    let signature = sign(spec, algorithm, input.as_bytes(), SignatureFormat::P1363)?;
    Ok(format!("{input}.{}", Base64UrlUnpadded::encode_string(&signature)))
}

#[test]
fn pyjwt_accepts_tokens_of_every_key_in_one_published_set() -> Result<()> {
    if backend::lacks("pyjwt_accepts_tokens_of_every_key_in_one_published_set", &["secp256k1"]) {
        return Ok(());
    }
    let test = "pyjwt_accepts_tokens_of_every_key_in_one_published_set";
    let Some(python) = external_tools::tool(test, "STRONGROOM_PYTHON", "a python that has PyJWT") else {
        return Ok(());
    };
    // PyJWT does not know the name of RFC 9864.
    let keys: Vec<_> = signing_keys()?.into_iter().filter(|key| key.2 != JoseAlgorithm::Ed25519).collect();
    let mut requests = Vec::new();
    for (spec, jwk, name, algorithm) in &keys {
        // Each key once, with this algorithm for the key of the token.
        let others = keys.iter().map(|key| &key.1).filter(|other| other.kid() != jwk.kid());
        let set: JwkSet = std::iter::once(jwk).chain(others).cloned().collect();
        let token = token(*spec, jwk, *name, *algorithm)?;
        let altered = token.replacen('.', ".A", 1);
        for token in [token, altered] {
            requests.push(json!({"jwks": set, "token": token, "alg": name}));
        }
    }
    let answers = answers(&python, "jwt_verifier.py", &requests);
    for ((spec, _, name, _), answers) in keys.iter().zip(answers.chunks(2)) {
        let claims: Value = serde_json::from_str(&answers[0]).unwrap_or_else(|_| panic!("{spec} {name}: {answers:?}"));
        assert_eq!(claims, json!({"sub": "42", "spec": spec.as_str()}));
        assert!(answers[1].starts_with("invalid: "), "{spec} {name}: {answers:?}");
    }
    println!("PyJWT accepted {} tokens", keys.len());
    Ok(())
}
