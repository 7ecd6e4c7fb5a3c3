//! Each cell of the capability report, with a second library that must not be called.

use super::module::mode;
use super::name::MODULE;
use super::rejected::{ED25519, EXTERNAL_MU, ML_DSA, ML_KEM, REJECTIONS, SECP256K1};
use super::{AwsLcKdf, AwsLcKeyPairs, FIPS, FipsModule, kdf, key_pairs};
use crate::algorithm::SigningAlgorithm;
use crate::crypto::{
    AeadAlgorithm, CryptoBackend, CryptoError, DigestAlgorithm, Kdf, KeyPairKind, KeyPairs, KeyWrapMode, PrivateKey,
    PseudoRandomKey, PublicKey, REJECTED, RUST_CRYPTO, RsaOaep, SecureRandom, SignatureAlgorithm, SignatureInput,
};
use crate::error::{Error, ErrorKind};

/// Takes the place of the second library.
#[derive(Debug)]
struct Poisoned;

const TEXT: &str = "a primitive outside the module ran";

impl Kdf for Poisoned {
    fn library(&self) -> &'static str {
        panic!("{TEXT}")
    }
    fn extract(&self, _: DigestAlgorithm, _: &[u8], _: &[u8]) -> Box<dyn PseudoRandomKey> {
        panic!("{TEXT}")
    }
    fn bind(&self, _: DigestAlgorithm, _: &[u8]) -> Result<Box<dyn PseudoRandomKey>, CryptoError> {
        panic!("{TEXT}")
    }
}

impl KeyPairs for Poisoned {
    fn library(&self, _: KeyPairKind) -> &'static str {
        panic!("{TEXT}")
    }
    fn generate(&self, _: KeyPairKind, _: &dyn SecureRandom) -> Result<Box<dyn PrivateKey>, CryptoError> {
        panic!("{TEXT}")
    }
    fn private_key(&self, _: KeyPairKind, _: &[u8]) -> Result<Box<dyn PrivateKey>, CryptoError> {
        panic!("{TEXT}")
    }
    fn public_key(&self, _: KeyPairKind, _: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
        panic!("{TEXT}")
    }
    fn public_key_of_point(&self, _: KeyPairKind, _: &[u8]) -> Result<Box<dyn PublicKey>, CryptoError> {
        panic!("{TEXT}")
    }
}

/// A generator outside the module, which is never used.
#[derive(Debug)]
struct Outside;

impl SecureRandom for Outside {
    fn library(&self) -> &'static str {
        "outside"
    }
    fn fill(&self, _: &mut [u8]) -> Result<(), CryptoError> {
        panic!("{TEXT}")
    }
}

const POISONED: CryptoBackend = CryptoBackend {
    kdf: &kdf::FipsKdf { module: AwsLcKdf { library: MODULE, elsewhere: &Poisoned } },
    key_pairs: &key_pairs::FipsKeyPairs { module: AwsLcKeyPairs { library: MODULE, elsewhere: &Poisoned } },
    ..FIPS
};

#[test]
fn each_cell_of_the_report_runs_in_the_module_or_is_rejected() {
    let parts = POISONED.parts();
    assert_eq!(parts, FIPS.parts());
    for (part, library) in parts {
        let result = exercise(part);
        match library {
            REJECTED => {
                let refused = matches!(result, Err(CryptoError::Rejected { algorithm, .. }) if algorithm == part);
                assert!(refused, "{part}: {result:?}");
                assert_eq!(POISONED.check_allowed(part), result, "{part}");
            }
            library => {
                assert_eq!((library, result), (MODULE, Ok(())), "{part}");
                assert_eq!(POISONED.check_allowed(part), Ok(()), "{part}");
            }
        }
    }
}

/// Uses everything that a cell of the report stands for.
fn exercise(part: &str) -> Result<(), CryptoError> {
    match part {
        "AES-GCM" => aes_gcm(AeadAlgorithm::Aes128Gcm).and_then(|()| aes_gcm(AeadAlgorithm::Aes256Gcm)),
        "AES-192-GCM" => aes_gcm(AeadAlgorithm::Aes192Gcm),
        "SHA-2" => {
            for algorithm in DigestAlgorithm::ALL {
                let mut hasher = POISONED.digest().hasher(algorithm);
                hasher.update(b"ab");
                hasher.update(b"c");
                let expected = RUST_CRYPTO.digest().digest(algorithm, &[b"abc"]);
                assert_eq!(
                    (hasher.finish(), POISONED.digest().digest(algorithm, &[b"a", b"bc"])),
                    (expected, expected)
                );
            }
            Ok(())
        }
        "HMAC" => {
            for algorithm in DigestAlgorithm::ALL {
                let [ours, theirs] = [POISONED, RUST_CRYPTO].map(|backend| backend.mac().bind(algorithm, &[7; 32]));
                assert_eq!(ours.authenticate(&[b"message"]), theirs.authenticate(&[b"message"]));
            }
            Ok(())
        }
        "HKDF" => DigestAlgorithm::ALL
            .into_iter()
            .filter(|algorithm| *algorithm != DigestAlgorithm::Sha224)
            .try_for_each(|algorithm| hkdf(algorithm, b"info")),
        "HKDF with SHA-224" => hkdf(DigestAlgorithm::Sha224, b"info"),
        "HKDF without info" => hkdf(DigestAlgorithm::Sha256, b""),
        "ECDSA of messages" => SignatureAlgorithm::ALL.iter().try_for_each(|algorithm| message_signature(*algorithm)),
        "RSA-2048" => key_pair(KeyPairKind::Rsa2048),
        "RSA-3072" => key_pair(KeyPairKind::Rsa3072),
        "RSA-4096" => key_pair(KeyPairKind::Rsa4096),
        "P-256" => key_pair(KeyPairKind::EccP256),
        "P-384" => key_pair(KeyPairKind::EccP384),
        "P-521" => key_pair(KeyPairKind::EccP521),
        SECP256K1 => key_pair(KeyPairKind::EccSecp256k1),
        ED25519 => key_pair(KeyPairKind::Ed25519),
        ML_DSA => [KeyPairKind::MlDsa44, KeyPairKind::MlDsa65, KeyPairKind::MlDsa87].into_iter().try_for_each(key_pair),
        ML_KEM => {
            [KeyPairKind::MlKem512, KeyPairKind::MlKem768, KeyPairKind::MlKem1024].into_iter().try_for_each(key_pair)
        }
        EXTERNAL_MU => message_representative(),
        "AES-KW" => key_wrap(&[7; 16]).and_then(|()| key_wrap(&[7; 32])),
        "AES-KW with 192-bit keys" => key_wrap(&[7; 24]),
        "random" => {
            let (mut one, mut two) = ([0; 32], [0; 32]);
            POISONED.random().fill(&mut one)?;
            POISONED.random().fill(&mut two)?;
            assert!(one != two && one != [0; 32]);
            Ok(())
        }
        "signatures of hash values" => {
            let key = POISONED.key_pairs().generate(KeyPairKind::EccP256, FIPS.random())?;
            let (algorithm, hash) = (SigningAlgorithm::EcdsaSha256, SignatureInput::Digest(&[7; 32]));
            let public = POISONED.key_pairs().public_key(key.kind(), &key.public_key_der())?;
            let signed = key.sign(algorithm, hash);
            assert_eq!(public.verify(algorithm, hash, &[0; 70]), signed.clone().map(drop));
            signed.map(drop)
        }
        "RSAES-PKCS1-v1_5 decryption" => {
            let key = POISONED.key_pairs().generate(KeyPairKind::Rsa2048, FIPS.random())?;
            key.decrypt_pkcs1_v15_unauthenticated(&[1; 256]).map(drop)
        }
        "RSA keys beyond FIPS 186-5" => {
            let vector = include_str!("../../../tests/vectors/keys/rsa_composite_prime.txt");
            let key = vector.lines().find_map(|line| line.strip_prefix("key: ")).expect("the key");
            let key = hex::decode(key).expect("hexadecimal");
            POISONED.key_pairs().private_key(KeyPairKind::Rsa2048, &key).map(drop)
        }
        "other random number generators" => {
            let pair = POISONED.key_pairs().generate(KeyPairKind::EccP256, &Outside).map(drop);
            let key = POISONED.signature().generate(SignatureAlgorithm::EcdsaP256Sha256, &Outside).map(drop);
            assert_eq!((&pair, &key), (&key, &POISONED.with_random(&Outside).check_ready()));
            pair
        }
        // Not algorithms of a part: the code that uses them asks first.
        "Ed25519ph" | "Argon2id" | "HPKE" | "AES-XTS" | "AES-CBC" => POISONED.check_allowed(part),
        _ => panic!("{part} is not exercised"),
    }
}

fn aes_gcm(algorithm: AeadAlgorithm) -> Result<(), CryptoError> {
    let key = vec![7; algorithm.key_length()];
    let [ours, theirs] = [POISONED, RUST_CRYPTO].map(|backend| backend.aead().bind(algorithm, &key));
    let (ours, theirs) = (ours?, theirs?);
    let (mut sealed, mut expected, mut opened) = ([0; 100], [0; 100], [0; 100]);
    let tag = ours.seal(&[1; 12], b"aad", &[5; 100], &mut sealed)?;
    assert_eq!((theirs.seal(&[1; 12], b"aad", &[5; 100], &mut expected)?, expected), (tag, sealed));
    ours.open(&[1; 12], b"aad", &sealed, &tag, &mut opened)?;
    assert_eq!(opened, [5; 100]);
    Ok(())
}

/// Derives with a salt, without one, and without the extract step.
fn hkdf(algorithm: DigestAlgorithm, info: &[u8]) -> Result<(), CryptoError> {
    let derive = |backend: &CryptoBackend| {
        let key = vec![7; algorithm.output_length()];
        let with_salt = backend.kdf().extract(algorithm, b"salt", b"input");
        let without = backend.kdf().extract(algorithm, b"", b"input");
        [Ok(with_salt), Ok(without), backend.kdf().bind(algorithm, &key)].map(|key| {
            let mut output = [0; 80];
            key?.expand(&[info], &mut output).map(|()| output)
        })
    };
    for (ours, theirs) in derive(&POISONED).into_iter().zip(derive(&RUST_CRYPTO)) {
        assert_eq!(ours?, theirs?);
    }
    Ok(())
}

fn message_signature(algorithm: SignatureAlgorithm) -> Result<(), CryptoError> {
    let key = POISONED.signature().generate(algorithm, FIPS.random())?;
    let digest = POISONED.digest().digest(algorithm.digest_algorithm(), &[b"message"]);
    let public = POISONED.signature().verifying_key(algorithm, &key.public_key())?;
    public.verify_digest(digest.as_ref(), &key.sign_digest(digest.as_ref())?)?;
    public.verify_digest(digest.as_ref(), &key.sign_digest_to_fixed_length(digest.as_ref())?)
}

fn key_pair(kind: KeyPairKind) -> Result<(), CryptoError> {
    let pairs = POISONED.key_pairs();
    let key = match pairs.generate(kind, FIPS.random()) {
        Ok(key) => key,
        Err(refused) => {
            let key = RUST_CRYPTO.key_pairs().generate(kind, RUST_CRYPTO.random())?;
            assert_eq!(pairs.private_key(kind, key.to_pkcs8()?.expose_secret()).err(), Some(refused));
            assert_eq!(pairs.public_key(kind, &key.public_key_der()).err(), Some(refused));
            assert_eq!(pairs.public_key_of_point(kind, &[2; 33]).err(), Some(refused));
            return Err(refused);
        }
    };
    let key = pairs.private_key(kind, key.to_pkcs8()?.expose_secret())?;
    let public = pairs.public_key(kind, &key.public_key_der())?;
    let theirs = RUST_CRYPTO.key_pairs().public_key(kind, &key.public_key_der())?;
    let message = SignatureInput::Message(b"message");
    for algorithm in kind.signing_algorithms() {
        let signature = key.sign(*algorithm, message)?;
        public.verify(*algorithm, message, &signature)?;
        theirs.verify(*algorithm, message, &signature)?;
        let other = public.verify(*algorithm, SignatureInput::Message(b"another"), &signature);
        assert_eq!(other, Err(CryptoError::InvalidSignature));
    }
    if kind.supports_key_agreement() {
        let point = public.to_compressed_point().ok_or(CryptoError::InvalidPublicKey)?;
        let same = pairs.public_key_of_point(kind, &point)?;
        let peer = pairs.generate(kind, FIPS.random())?;
        assert_eq!(key.agree(&peer.public_key_der())?, peer.agree(&same.to_spki())?);
    }
    if kind.modulus_bits().is_some() {
        for oaep in RsaOaep::ALL {
            let sealed = public.encrypt(oaep, b"a key", FIPS.random())?;
            assert_eq!(key.decrypt(oaep, &sealed)?.expose_secret(), b"a key");
        }
    }
    Ok(())
}

fn message_representative() -> Result<(), CryptoError> {
    let (algorithm, mu) = (SigningAlgorithm::MlDsaShake256, SignatureInput::ExternalMu(&[7; 64]));
    let key = match POISONED.key_pairs().generate(KeyPairKind::MlDsa44, FIPS.random()) {
        Ok(key) => key,
        // Without ML-DSA, no key exists that could be used so.
        Err(_) => return POISONED.check_allowed(EXTERNAL_MU),
    };
    let public = POISONED.key_pairs().public_key(key.kind(), &key.public_key_der())?;
    let signed = key.sign(algorithm, mu).map(drop);
    assert_eq!(public.verify(algorithm, mu, &[0; 2420]), signed);
    signed
}

fn key_wrap(wrapping_key: &[u8]) -> Result<(), CryptoError> {
    let mut lengths = vec![(KeyWrapMode::Plain, 32), (KeyWrapMode::Plain, 2_400)];
    lengths.extend([1, 7, 8, 20, 32, 2_375].map(|length| (KeyWrapMode::Padded, length)));
    for (mode, length) in lengths {
        let key = vec![5; length];
        let wrapped = POISONED.key_wrap().wrap(mode, wrapping_key, &key)?;
        assert_eq!(wrapped, RUST_CRYPTO.key_wrap().wrap(mode, wrapping_key, &key)?, "{mode:?} {length}");
        assert_eq!(POISONED.key_wrap().unwrap(mode, wrapping_key, &wrapped)?.expose_secret(), key);
        let mut altered = wrapped.clone();
        altered[9] ^= 1;
        for bad in [&altered[..], &wrapped[..wrapped.len() - 8], &wrapped[1..], &[], &[0; 8]] {
            let refused = POISONED.key_wrap().unwrap(mode, wrapping_key, bad);
            assert_eq!(refused, Err(CryptoError::NotAuthentic), "{mode:?} {length} {}", bad.len());
        }
    }
    for (mode, length) in [(KeyWrapMode::Plain, 8), (KeyWrapMode::Plain, 30), (KeyWrapMode::Padded, 0)] {
        let refused = POISONED.key_wrap().wrap(mode, wrapping_key, &vec![5; length]);
        assert!(matches!(refused, Err(CryptoError::InvalidLength { .. })), "{mode:?} {length}");
    }
    Ok(())
}

#[test]
fn each_refusal_names_the_algorithm_and_says_what_to_do() {
    for (algorithm, instead) in REJECTIONS {
        let error = Error::from(FIPS.check_allowed(algorithm).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::UnsupportedOperation);
        assert!(error.to_string().contains(&format!("rejects {algorithm}")), "{error}");
        assert!(instead.len() > 5 && error.to_string().contains(instead), "{error}");
    }
}

#[test]
fn a_library_outside_fips_mode_is_refused() {
    assert_eq!(mode(Err("FIPS mode not enabled!")), Err(CryptoError::NotInFipsMode));
    let error = Error::from(CryptoError::NotInFipsMode);
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains("feature fips"), "{error}");

    let refused = CryptoBackend { ready: || Err(CryptoError::NotInFipsMode), ..FIPS };
    assert_eq!(refused.check_ready(), Err(CryptoError::NotInFipsMode));
}

#[test]
fn the_module_has_a_version() -> Result<(), CryptoError> {
    let module = FipsModule::loaded()?;
    assert_eq!(CryptoBackend::fips()?.name(), FIPS.name());
    let major = module.version().split('.').next().and_then(|number| number.parse().ok());
    assert_eq!(module.major_version(), major, "{module}");
    Ok(())
}

#[test]
fn the_strict_backend_is_the_default() {
    assert_eq!(CryptoBackend::default().name(), FIPS.name());
    assert_eq!(CryptoBackend::default().parts(), FIPS.parts());
}

#[test]
fn the_manual_has_the_report_of_the_strict_backend() {
    let page = include_str!("../../manual/fips.md");
    for (part, library) in FIPS.parts() {
        let instead = REJECTIONS.iter().find(|(name, _)| *name == part).map(|(_, instead)| *instead);
        let row = match instead {
            Some(instead) => format!("| {part} | {library} | {instead} |"),
            None => format!("| {part} | in the module | "),
        };
        assert!(page.contains(&row), "expected the row:\n{row}");
    }
}
