//! OpenSSL verifies our signatures, and we verify OpenSSL's.

use strongroom::crypto::{CryptoBackend, CryptoError, FASTEST, RUST_CRYPTO, SignatureAlgorithm};

use crate::support::openssl::OpenSsl;

const BACKENDS: [CryptoBackend; 2] = [RUST_CRYPTO, FASTEST];

/// Number of messages signed by each side, with each algorithm and backend.
const MESSAGES: u8 = 6;

impl OpenSsl {
    /// Returns `true` if `signature` verifies over the message. Hashes the message itself.
    fn verifies(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        self.write("message", message);
        self.write("signature", signature);
        let (verified, printed) =
            self.run(&["dgst", facts(algorithm).digest, "-verify", "public.pem", "-signature", "signature", "message"]);
        assert_eq!(verified, printed.contains("Verified OK"), "{printed}");
        verified
    }
}

/// OpenSSL's names for the parts of an algorithm, and the part of a SubjectPublicKeyInfo before a
/// compressed point.
struct Facts {
    curve: &'static str,
    digest: &'static str,
    header: &'static str,
}

fn facts(algorithm: SignatureAlgorithm) -> Facts {
    match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => Facts {
            curve: "prime256v1",
            digest: "-sha256",
            header: "3039301306072a8648ce3d020106082a8648ce3d030107032200",
        },
        SignatureAlgorithm::EcdsaP384Sha384 => {
            Facts { curve: "secp384r1", digest: "-sha384", header: "3046301006072a8648ce3d020106052b81040022033200" }
        }
        other => panic!("unknown openssl name for {other:?}"),
    }
}

fn digest(backend: &CryptoBackend, algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
    backend.digest().digest(algorithm.digest_algorithm(), &[message]).as_ref().to_vec()
}

fn message(number: u8) -> Vec<u8> {
    vec![number; usize::from(number) * 1000]
}

#[test]
fn openssl_verifies_our_signatures() -> Result<(), CryptoError> {
    let Some(openssl) = OpenSsl::start("openssl_verifies_our_signatures") else { return Ok(()) };
    let mut verified = 0;
    for backend in &BACKENDS {
        for algorithm in SignatureAlgorithm::ALL {
            let key = backend.signature().generate(*algorithm, backend.random())?;
            let header = hex::decode(facts(*algorithm).header).expect("hexadecimal");
            openssl.write("public.der", &[header, key.public_key()].concat());
            openssl.must(&["pkey", "-pubin", "-inform", "DER", "-in", "public.der", "-out", "public.pem"]);
            for number in 0..MESSAGES {
                let message = message(number);
                let digest = digest(backend, *algorithm, &message);
                for signature in [key.sign_digest(&digest)?, key.sign_digest_to_fixed_length(&digest)?] {
                    let case = format!("{} {algorithm:?} {number}", backend.name());
                    assert!(openssl.verifies(*algorithm, &message, &signature), "{case}");
                    verified += 1;
                }
            }
            let signature = key.sign_digest(&digest(backend, *algorithm, b"this"))?;
            assert!(!openssl.verifies(*algorithm, b"that", &signature), "{} {algorithm:?}", backend.name());
        }
    }
    println!("openssl verified {verified} signatures of this crate");
    assert_eq!(verified, 48);
    Ok(())
}

#[test]
fn we_verify_the_signatures_of_openssl() -> Result<(), CryptoError> {
    let Some(openssl) = OpenSsl::start("we_verify_the_signatures_of_openssl") else { return Ok(()) };
    let mut verified = 0;
    for algorithm in SignatureAlgorithm::ALL {
        let (facts, length) = (facts(*algorithm), algorithm.public_key_length());
        openssl.must(&["ecparam", "-genkey", "-name", facts.curve, "-noout", "-out", "key.pem"]);
        let points = [("compressed", length), ("uncompressed", 2 * length - 1)].map(|(form, length)| {
            let to_file = ["-pubout", "-outform", "DER", "-out", "spki", "-ec_conv_form", form];
            openssl.must(&[&["pkey", "-in", "key.pem"][..], &to_file].concat());
            let spki = openssl.read("spki");
            spki[spki.len() - length..].to_vec()
        });
        for number in 0..MESSAGES {
            let message = message(number);
            openssl.write("message", &message);
            openssl.must(&["dgst", facts.digest, "-sign", "key.pem", "-out", "signature", "message"]);
            let signature = openssl.read("signature");
            for backend in &BACKENDS {
                for point in &points {
                    let key = backend.signature().verifying_key(*algorithm, point)?;
                    key.verify_digest(&digest(backend, *algorithm, &message), &signature)?;
                    let other = key.verify_digest(&digest(backend, *algorithm, b"another"), &signature);
                    assert_eq!(other, Err(CryptoError::InvalidSignature), "{} {algorithm:?}", backend.name());
                    verified += 1;
                }
            }
        }
    }
    println!("this crate verified {verified} signatures of openssl");
    assert_eq!(verified, 48);
    Ok(())
}
