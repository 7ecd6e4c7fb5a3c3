//! Known answers from the standards for key pairs.

use super::{BACKENDS, bytes};
use crate::algorithm::SigningAlgorithm;
use crate::crypto::{CryptoBackend, CryptoError, KeyPairKind, PrivateKey, SignatureInput, key_encoding};

fn private(backend: &CryptoBackend, kind: KeyPairKind, secret: &str) -> Result<Box<dyn PrivateKey>, CryptoError> {
    let pkcs8 = key_encoding::write_private(kind, &bytes(secret), &[])?;
    backend.key_pairs().private_key(kind, pkcs8.expose_secret())
}

/// RFC 8032, sections 7.1 (tests 1 and 2) and 7.3.
#[test]
fn ed25519_gives_the_answers_of_rfc_8032() -> Result<(), CryptoError> {
    let cases = [
        (
            SigningAlgorithm::Ed25519Sha512,
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465\
             5141438e7a100b",
        ),
        (
            SigningAlgorithm::Ed25519Sha512,
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb0\
             0d291612bb0c00",
        ),
        (
            SigningAlgorithm::Ed25519PhSha512,
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "616263",
            "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaa\
             d11c2a26083406",
        ),
    ];
    for backend in BACKENDS {
        for (algorithm, seed, message, signature) in cases {
            let key = private(backend, KeyPairKind::Ed25519, seed)?;
            let (message, signature) = (bytes(message), bytes(signature));
            let input = SignatureInput::Message(&message);
            assert_eq!(key.sign(algorithm, input)?, signature, "{} {algorithm}", backend.name());
            let public = backend.key_pairs().public_key(KeyPairKind::Ed25519, &key.public_key_der())?;
            public.verify(algorithm, input, &signature)?;
        }
    }
    Ok(())
}

/// RFC 5903, sections 8.1 to 8.3, which use the computation of SP 800-56A, section 5.7.1.2.
#[test]
fn ecdh_gives_the_answers_of_rfc_5903() -> Result<(), CryptoError> {
    let cases = [
        (
            KeyPairKind::EccP256,
            "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
            "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
            "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
        ),
        (
            KeyPairKind::EccP384,
            "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194",
            "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc",
            "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746",
        ),
        (
            KeyPairKind::EccP521,
            "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba9777f5957b2639bab07246\
             2f68c27a57382d4a52",
            "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4ef\
             fc311f5cb151685eb9",
            "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2\
             bee417996d19f3ddea",
        ),
    ];
    for backend in BACKENDS {
        for (kind, one, two, secret) in cases {
            let (one, two) = (private(backend, kind, one)?, private(backend, kind, two)?);
            for (mine, theirs) in [(&one, &two), (&two, &one)] {
                let agreed = mine.agree(&theirs.public_key_der())?;
                assert_eq!(agreed.expose_secret(), bytes(secret), "{} {kind:?}", backend.name());
            }
        }
    }
    Ok(())
}

/// RFC 6979, appendices A.2.5 to A.2.7, message "sample". A deterministic nonce produces exactly
/// this signature (r, s), and every backend must accept it.
#[test]
fn ecdsa_takes_the_signatures_of_rfc_6979() -> Result<(), CryptoError> {
    let cases = [
        (
            KeyPairKind::EccP256,
            "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
            "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
        (
            KeyPairKind::EccP384,
            "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
            "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
            "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
        ),
        (
            KeyPairKind::EccP521,
            "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89\
             ec0c08b0e996b83538",
            "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b534931d7d4e8455cc91f\
             9b15bf05ec36e377fa",
            "00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43\
             997f1ee0e44da4a67a",
        ),
    ];
    for backend in BACKENDS {
        for (kind, secret, r, s) in cases {
            let key = private(backend, kind, secret)?;
            let public = backend.key_pairs().public_key(kind, &key.public_key_der())?;
            let algorithm = kind.signing_algorithms()[0];
            let input = SignatureInput::Message(b"sample");
            let signature = der(&bytes(r), &bytes(s));
            public.verify(algorithm, input, &signature)?;
            assert_eq!(public.verify(algorithm, input, &der(&bytes(s), &bytes(r))), Err(CryptoError::InvalidSignature));
        }
    }
    Ok(())
}

/// Encodes two numbers as `Ecdsa-Sig-Value` (RFC 3279, section 2.2.3).
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        let padded = if digits[0] & 0x80 == 0 { digits.to_vec() } else { [&[0], digits].concat() };
        [&[0x02, u8::try_from(padded.len()).expect("short")][..], &padded].concat()
    };
    let content = [number(r), number(s)].concat();
    let length = u8::try_from(content.len()).expect("short");
    let header = if length < 0x80 { vec![0x30, length] } else { vec![0x30, 0x81, length] };
    [header, content].concat()
}
