//! Keyrings over raw RSA and elliptic-curve keys, compared with those of the material providers
//! library.

use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};
use strongroom::crypto::{CryptoBackend, CryptoError, FASTEST, KeyPairKind, RUST_CRYPTO, RsaOaep, SecureRandom};
use strongroom::envelope::{DecryptionMaterials, Keyring, MultiKeyring, RawAesKeyring, RawEcdhKeyring, RawRsaKeyring};
use strongroom::message::{AlgorithmSuite, EncryptedDataKey};
use strongroom::{EncryptionContext, Envelope, ErrorKind, Result, SecretBytes};

use crate::support::backend;
use crate::support::sdk_process::{Peer, bytes, failure, json_of};

/// A key pair in the encodings that both sides accept.
pub(crate) struct Pair {
    pub(crate) private: SecretBytes,
    pub(crate) public: Vec<u8>,
}

impl Pair {
    pub(crate) fn make(kind: KeyPairKind) -> Result<Self> {
        let backend = CryptoBackend::default();
        let key = backend.key_pairs().generate(kind, backend.random())?;
        Ok(Self { private: key.to_pkcs8()?, public: key.public_key_der() })
    }

    pub(crate) fn private_pem(&self) -> String {
        let document = pkcs8::SecretDocument::try_from(self.private.expose_secret()).expect("DER");
        document.to_pem("PRIVATE KEY", pkcs8::LineEnding::LF).expect("PEM").to_string()
    }

    pub(crate) fn public_pem(&self) -> String {
        let document = pkcs8::Document::try_from(self.public.as_slice()).expect("DER");
        document.to_pem("PUBLIC KEY", pkcs8::LineEnding::LF).expect("PEM")
    }
}

fn context() -> EncryptionContext {
    EncryptionContext::from([("tenant", "42"), ("ключ", "значение")])
}

/// Asserts that each side reads what the other wrote.
fn agree(
    peer: &mut Peer,
    write: &dyn Fn() -> Result<Envelope>,
    read: &dyn Fn() -> Result<Envelope>,
    theirs: [Value; 2],
    case: &str,
) {
    let [their_writer, their_reader] = theirs;
    let text: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let ask = |peer: &mut Peer, extra: &Value, mut request: Value| {
        request.as_object_mut().expect("a map").extend(extra.as_object().expect("a map").clone());
        request["namespace"] = json!("laboratory");
        request["name"] = json!("key é");
        request["keyring"] = json!(true);
        let answer = peer.ask(&request);
        assert_eq!(failure(&answer), Ok(()), "{case}");
        answer
    };
    let ours = write().and_then(|envelope| envelope.encrypt(&text, &context())).expect("a message");
    let answer = ask(peer, &their_reader, json!({"do": "decrypt", "ciphertext": hex::encode(&ours)}));
    assert_eq!(bytes(&answer["plaintext"]), text, "{case}");

    let request = json!({"do": "encrypt", "plaintext": hex::encode(&text), "context": json_of(&context()),
        "frame_length": 4096});
    let made = bytes(&ask(peer, &their_writer, request)["ciphertext"]);
    let opened = read().and_then(|envelope| envelope.decrypt(&made, &context()));
    assert_eq!(opened.unwrap_or_else(|error| panic!("{case}: {error}")), text, "{case}");
}

#[test]
fn rsa_keyrings_are_the_same_to_the_official_sdk() -> Result<()> {
    if backend::lacks("rsa_keyrings_are_the_same_to_the_official_sdk", &["RSAES-PKCS1-v1_5 decryption"]) {
        return Ok(());
    }
    let Some(mut peer) = Peer::python("rsa_keyrings_are_the_same_to_the_official_sdk") else { return Ok(()) };
    compare_rsa_keyrings(&mut peer)
}

/// Compares each OAEP variant in both directions, and PKCS#1 v1.5 as written by the peer.
pub(crate) fn compare_rsa_keyrings(peer: &mut Peer) -> Result<()> {
    let pairs = [Pair::make(KeyPairKind::Rsa2048)?, Pair::make(KeyPairKind::Rsa3072)?];
    let paddings = [
        (RsaOaep::Sha1, "OAEP_SHA1_MGF1"),
        (RsaOaep::Sha256, "OAEP_SHA256_MGF1"),
        (RsaOaep::Sha384, "OAEP_SHA384_MGF1"),
        (RsaOaep::Sha512, "OAEP_SHA512_MGF1"),
    ];
    for pair in &pairs {
        for (oaep, padding) in paddings {
            let write = || {
                let keyring =
                    RawRsaKeyring::with_public_key("laboratory", "key é", oaep, pair.public_pem().as_bytes())?;
                Ok(Envelope::new(keyring))
            };
            let read = || {
                let key = pair.private.expose_secret();
                Ok(Envelope::new(RawRsaKeyring::with_private_key("laboratory", "key é", oaep, key)?))
            };
            let theirs =
                json!({"rsa": {"padding": padding, "public": pair.public_pem(), "private": pair.private_pem()}});
            agree(peer, &write, &read, [theirs.clone(), theirs], padding);
        }
        // PKCS#1 v1.5 can be read but not written.
        let theirs = json!({"do": "encrypt", "plaintext": "00ff", "context": {}, "frame_length": 4096, "keyring": true,
            "namespace": "laboratory", "name": "key é",
            "rsa": {"padding": "PKCS1", "public": pair.public_pem(), "private": pair.private_pem()}});
        let answer = peer.ask(&theirs);
        assert_eq!(failure(&answer), Ok(()));
        let pem = pair.private_pem();
        let old = Envelope::new(RawRsaKeyring::decrypt_only_pkcs1_v15("laboratory", "key é", pem.as_bytes())?);
        assert_eq!(old.decrypt(&bytes(&answer["ciphertext"]), &EncryptionContext::new())?, [0, 0xff]);
        assert_eq!(
            old.encrypt(b"x", &context()).expect_err("the keyring can only decrypt").kind(),
            ErrorKind::Validation
        );
    }
    Ok(())
}

#[test]
fn ecdh_keyrings_are_the_same_to_the_official_sdk() -> Result<()> {
    let Some(mut peer) = Peer::python("ecdh_keyrings_are_the_same_to_the_official_sdk") else { return Ok(()) };
    let curves = [
        (KeyPairKind::EccP256, "ECC_NIST_P256"),
        (KeyPairKind::EccP384, "ECC_NIST_P384"),
        (KeyPairKind::EccP521, "ECC_NIST_P521"),
    ];
    for (kind, curve) in curves {
        let (one, two) = (Pair::make(kind)?, Pair::make(kind)?);
        let fixed = |own: &Pair, other: &Pair| {
            RawEcdhKeyring::static_keys(own.private_pem().as_bytes(), &other.public).map(Envelope::new)
        };
        let their_static = |own: &Pair, other: &Pair| {
            json!({"ecdh": {"scheme": "static", "curve": curve, "private": own.private_pem(),
                "public": hex::encode(&other.public)}})
        };
        let their_discovery =
            |own: &Pair| json!({"ecdh": {"scheme": "discovery", "curve": curve, "private": own.private_pem()}});
        let their_ephemeral =
            json!({"ecdh": {"scheme": "ephemeral", "curve": curve, "public": hex::encode(&two.public)}});
        let ephemeral = || RawEcdhKeyring::ephemeral(two.public_pem().as_bytes()).map(Envelope::new);
        let discovery = || RawEcdhKeyring::discovery(two.private.expose_secret()).map(Envelope::new);
        // One writes for two, and two reads. Each also reads its own messages.
        let (write, read) = (|| fixed(&one, &two), || fixed(&two, &one));
        agree(&mut peer, &write, &read, [their_static(&one, &two), their_static(&two, &one)], curve);
        agree(&mut peer, &write, &write, [their_static(&one, &two), their_static(&one, &two)], curve);
        agree(&mut peer, &write, &discovery, [their_static(&one, &two), their_discovery(&two)], curve);
        agree(&mut peer, &ephemeral, &discovery, [their_ephemeral, their_discovery(&two)], curve);
    }
    Ok(())
}

fn decrypts(keyring: impl Keyring + 'static, message: &[u8], context: &EncryptionContext) -> Result<Vec<u8>> {
    Envelope::new(keyring).decrypt(message, context)
}

#[test]
fn an_ecdh_keyring_reads_only_what_is_for_it() -> Result<()> {
    if backend::lacks("an_ecdh_keyring_reads_only_what_is_for_it", &["secp256k1"]) {
        return Ok(());
    }
    let [one, two, three] = [(); 3].map(|()| Pair::make(KeyPairKind::EccP256).expect("a pair"));
    let other_curve = Pair::make(KeyPairKind::EccP384)?;
    let nothing = EncryptionContext::new();
    let fixed = |own: &Pair, other: &Pair| RawEcdhKeyring::static_keys(own.private.expose_secret(), &other.public);
    let discovery = |own: &Pair| RawEcdhKeyring::discovery(own.private.expose_secret());
    let message = Envelope::new(fixed(&one, &two)?).encrypt(b"text", &nothing)?;
    assert_eq!(decrypts(discovery(&two)?, &message, &nothing)?, b"text");
    let strangers = [fixed(&three, &two)?, fixed(&two, &three)?, fixed(&one, &three)?];
    let readers = [discovery(&one)?, discovery(&three)?, discovery(&other_curve)?];
    for keyring in strangers.into_iter().chain(readers) {
        let refused = decrypts(keyring, &message, &nothing).expect_err("not for this key");
        assert_eq!(refused.kind(), ErrorKind::NoDataKeyUnwrapped, "{refused}");
        assert!(refused.to_string().contains("it was not wrapped for the keys of this keyring"), "{refused}");
    }
    let writes_only = RawEcdhKeyring::ephemeral(&two.public)?;
    assert_eq!(
        decrypts(writes_only, &message, &nothing).expect_err("writes only").kind(),
        ErrorKind::NoDataKeyUnwrapped
    );
    let reads_only = Envelope::new(discovery(&two)?).encrypt(b"x", &nothing);
    assert_eq!(reads_only.expect_err("reads only").kind(), ErrorKind::Validation);

    // However the wrapped data key is altered, unwrapping fails without a panic.
    let header = strongroom::message::inspect(&message).expect("a header").encoded_length();
    for at in 37..header {
        let mut altered = message.clone();
        altered[at] ^= 1;
        assert!(decrypts(discovery(&two)?, &altered, &nothing).is_err(), "{at}");
    }
    // The context is bound to the data key.
    let bound = Envelope::new(fixed(&one, &two)?).encrypt(b"text", &EncryptionContext::from([("a", "b")]))?;
    let place = bound.windows(6).position(|bytes| bytes == [0, 1, b'a', 0, 1, b'b']).expect("the context");
    let mut altered = bound.clone();
    altered[place + 5] = b'c';
    let refused = decrypts(discovery(&two)?, &altered, &nothing).expect_err("another context");
    assert_eq!(refused.kind(), ErrorKind::NoDataKeyUnwrapped);

    for wrong in [
        fixed(&one, &other_curve).err(),
        RawEcdhKeyring::static_keys(b"garbage", &two.public).err(),
        RawEcdhKeyring::static_keys(one.private.expose_secret(), b"-----BEGIN PUBLIC KEY-----").err(),
        RawEcdhKeyring::ephemeral(&Pair::make(KeyPairKind::EccSecp256k1)?.public).err(),
        RawEcdhKeyring::ephemeral(one.private_pem().as_bytes()).err(),
        RawEcdhKeyring::discovery(one.public_pem().as_bytes()).err(),
    ] {
        assert_eq!(wrong.expect("no key of this keyring").kind(), ErrorKind::Validation);
    }
    assert!(!format!("{:?}", discovery(&one)?).contains(&hex::encode(&one.private.expose_secret()[..8])));
    Ok(())
}

/// Anyone with the public key can wrap bytes that are not a data key and insert them before the
/// real one.
#[test]
fn an_rsa_keyring_passes_over_what_is_no_data_key() -> Result<()> {
    let (pair, backend) = (Pair::make(KeyPairKind::Rsa2048)?, CryptoBackend::default());
    let public = backend.key_pairs().public_key(KeyPairKind::Rsa2048, &pair.public)?;
    let wrapped = |bytes: &[u8]| {
        let ciphertext = public.encrypt(RsaOaep::Sha256, bytes, backend.random())?;
        Ok::<_, strongroom::Error>(EncryptedDataKey::new("ns", *b"kn", ciphertext))
    };
    let keyring = RawRsaKeyring::with_private_key("ns", "kn", RsaOaep::Sha256, pair.private.expose_secret())?;
    let materials = || DecryptionMaterials::new(AlgorithmSuite::default(), EncryptionContext::new(), backend);
    for odd in [&[][..], &[1; 16], &[2; 31], &[3; 33], &[4; 64]] {
        let (mut alone, mut found) = (materials()?, materials()?);
        let refused = keyring.on_decrypt(&mut alone, &[wrapped(odd)?]).expect_err("no data key is present");
        assert_eq!(refused.kind(), ErrorKind::NoDataKeyUnwrapped, "{refused}");
        keyring.on_decrypt(&mut found, &[wrapped(odd)?, wrapped(&[7; 32])?])?;
        assert_eq!(found.data_key().map(SecretBytes::expose_secret), Some(&[7; 32][..]));
    }
    Ok(())
}

#[test]
fn an_rsa_keyring_reads_only_what_is_for_it() -> Result<()> {
    let (one, two) = (Pair::make(KeyPairKind::Rsa2048)?, Pair::make(KeyPairKind::Rsa2048)?);
    let nothing = EncryptionContext::new();
    let with =
        |name: &str, oaep, pair: &Pair| RawRsaKeyring::with_private_key("ns", name, oaep, pair.private.expose_secret());
    let message = Envelope::new(with("kn", RsaOaep::Sha256, &one)?).encrypt(b"text", &nothing)?;
    assert_eq!(decrypts(with("kn", RsaOaep::Sha256, &one)?, &message, &nothing)?, b"text");
    for keyring in [
        with("kn", RsaOaep::Sha256, &two)?,
        with("kn", RsaOaep::Sha1, &one)?,
        with("k", RsaOaep::Sha256, &one)?,
        RawRsaKeyring::with_public_key("ns", "kn", RsaOaep::Sha256, &one.public)?,
    ] {
        let refused = decrypts(keyring, &message, &nothing).expect_err("not for this key");
        assert_eq!(refused.kind(), ErrorKind::NoDataKeyUnwrapped, "{refused}");
    }
    // Without padding authentication, a wrong key yields a wrong data key or none, but never a
    // plaintext.
    for pair in [&one, &two] {
        let old = RawRsaKeyring::decrypt_only_pkcs1_v15("ns", "kn", pair.private.expose_secret())?;
        assert!(decrypts(old, &message, &nothing).is_err());
    }
    // Among several keyrings, each opens its own data key.
    let aes = || RawAesKeyring::new("ns", "aes", SecretBytes::zeroed(32));
    let both = MultiKeyring::new(aes()?).with_child(with("kn", RsaOaep::Sha512, &two)?);
    let message = Envelope::new(both).encrypt(b"text", &nothing)?;
    assert_eq!(decrypts(aes()?, &message, &nothing)?, b"text");
    assert_eq!(decrypts(with("kn", RsaOaep::Sha512, &two)?, &message, &nothing)?, b"text");

    let ecc = Pair::make(KeyPairKind::EccP256)?;
    let private = one.private.expose_secret();
    for wrong in [
        with("kn", RsaOaep::Sha256, &ecc).err(),
        RawRsaKeyring::with_private_key("aws-kms-mine", "kn", RsaOaep::Sha256, private).err(),
        RawRsaKeyring::with_private_key("", "kn", RsaOaep::Sha256, private).err(),
        RawRsaKeyring::with_private_key("ns", vec![0; 65_536], RsaOaep::Sha256, private).err(),
        RawRsaKeyring::with_public_key("ns", "kn", RsaOaep::Sha256, &ecc.public).err(),
        RawRsaKeyring::with_public_key("ns", "kn", RsaOaep::Sha256, one.private_pem().as_bytes()).err(),
    ] {
        assert_eq!(wrong.expect("no keyring").kind(), ErrorKind::Validation);
    }
    Ok(())
}

/// A generator that returns consecutive numbers.
#[derive(Debug, Default)]
struct Counter(AtomicU8);

impl SecureRandom for Counter {
    fn library(&self) -> &'static str {
        "a counter"
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        output.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

/// Returns the message that a keyring writes with an envelope whose generator counts from zero.
fn counted(keyring: impl Keyring + 'static, backend: CryptoBackend) -> Result<Vec<u8>> {
    let random = Box::leak(Box::new(Counter::default()));
    Envelope::builder(keyring).backend(backend.with_random(random)).build()?.encrypt(b"text", &context())
}

#[test]
fn a_key_pair_for_one_message_comes_from_the_generator_of_the_envelope() -> Result<()> {
    if backend::lacks(
        "a_key_pair_for_one_message_comes_from_the_generator_of_the_envelope",
        &["other random number generators"],
    ) {
        return Ok(());
    }
    let pair = Pair::make(KeyPairKind::EccP384)?;
    let message = counted(RawEcdhKeyring::ephemeral(&pair.public)?, FASTEST)?;
    for backend in [FASTEST, RUST_CRYPTO] {
        let keyring = || RawEcdhKeyring::ephemeral(&pair.public)?.with_backend(backend);
        assert_eq!(counted(keyring()?, FASTEST)?, message, "{}", backend.name());
        assert_eq!(counted(keyring()?, RUST_CRYPTO)?, message, "{}", backend.name());
    }
    Ok(())
}

/// RustCrypto draws the seed of OAEP from the generator that it is passed, and AWS-LC from its own.
#[test]
fn an_rsa_keyring_works_with_the_backend_that_it_was_given() -> Result<()> {
    if backend::lacks("an_rsa_keyring_works_with_the_backend_that_it_was_given", &["other random number generators"]) {
        return Ok(());
    }
    let pair = Pair::make(KeyPairKind::Rsa2048)?;
    let writer =
        |backend| RawRsaKeyring::with_public_key("ns", "kn", RsaOaep::Sha256, &pair.public)?.with_backend(backend);
    let message = counted(writer(RUST_CRYPTO)?, FASTEST)?;
    assert_eq!(counted(writer(RUST_CRYPTO)?, FASTEST)?, message);
    let by_library = |part: &&(&str, &str)| part.0 == "RSA-2048" && part.1 == "rsa";
    let is_rust = FASTEST.parts().iter().any(|part| by_library(&part));
    assert_eq!(counted(writer(FASTEST)?, FASTEST)? == counted(writer(FASTEST)?, FASTEST)?, is_rust);
    Ok(())
}

#[test]
fn a_keyring_of_any_backend_reads_and_writes_the_same_messages() -> Result<()> {
    let (rsa, [one, two]) =
        (Pair::make(KeyPairKind::Rsa2048)?, [(); 2].map(|()| Pair::make(KeyPairKind::EccP256).expect("a pair")));
    let private = rsa.private.expose_secret();
    for (write, read) in [(RUST_CRYPTO, FASTEST), (FASTEST, RUST_CRYPTO)] {
        let keyring = |backend| {
            let rsa = RawRsaKeyring::with_private_key("ns", "kn", RsaOaep::Sha384, private)?.with_backend(backend)?;
            let fixed = RawEcdhKeyring::static_keys(one.private.expose_secret(), &two.public)?.with_backend(backend)?;
            let found = RawEcdhKeyring::discovery(two.private.expose_secret())?.with_backend(backend)?;
            Ok::<_, strongroom::Error>((rsa, fixed, found))
        };
        let ((rsa, fixed, _), (rsa_too, fixed_too, found)) = (keyring(write)?, keyring(read)?);
        let message = Envelope::new(rsa).encrypt(b"text", &context())?;
        assert_eq!(decrypts(rsa_too, &message, &context())?, b"text");
        let message = Envelope::new(fixed).encrypt(b"text", &context())?;
        assert_eq!(decrypts(fixed_too, &message, &context())?, b"text");
        assert_eq!(decrypts(found, &message, &context())?, b"text");
    }
    Ok(())
}
