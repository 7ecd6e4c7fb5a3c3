//! A conformance test suite for the contract of [`KeyMaterialProvider`], shared by all
//! implementations.
//!
//! Run it in the tests of your own provider. For an [`HsmCluster`](super::HsmCluster), connect the
//! cluster and pass its [`provider`](super::HsmCluster::provider).
//!
//! # Examples
//! ```
//! use strongroom::crypto::CryptoBackend;
//! use strongroom::key::KeySpec;
//! use strongroom::provider::{MemoryProvider, conformance};
//!
//! let only_aes = |spec, _| spec == KeySpec::SymmetricDefault;
//! conformance::run(&MemoryProvider::default(), &CryptoBackend::default(), only_aes)?;
//! # Ok::<(), strongroom::Error>(())
//! ```

use super::{
    Agreement, Cipher, Decapsulation, Decryption, GeneratedMaterial, InstanceMark, InstanceMarks, KeyMaterialProvider,
    MacGeneration, MaterialBinding, OpenedKey, Signing, key_pair_kind, oaep,
};
use crate::algorithm::SigningAlgorithm;
use crate::crypto::{CryptoBackend, KeyPairKind, PublicKey, SignatureInput};
use crate::error::{ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{KeyId, KeySpec, KeyUsage, KeyVersion, SpecClass};
use crate::secret::SecretBytes;

/// Length in bytes of a message that is longer than an operation of a KMS accepts.
const LONG_MESSAGE: usize = 100_000;

/// Runs the suite for every kind of key that the provider reports as supported and for which
/// `wanted` returns `true`. A quick test can skip slow kinds, such as 4,096-bit RSA keys.
///
/// The suite generates, uses and destroys material under a single key id. If it fails, anything
/// left behind can be found by that id.
///
/// # Errors
/// - Any error that the provider returns for an operation that should have succeeded.
///
/// # Panics
/// Panics if the provider violates the contract. The message identifies the violation.
///
/// # Examples
/// ```
/// use strongroom::crypto::CryptoBackend;
/// use strongroom::key::KeySpec;
/// use strongroom::provider::{MemoryProvider, conformance};
///
/// let quick = |spec, _| !matches!(spec, KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096);
/// conformance::run(&MemoryProvider::default(), &CryptoBackend::default(), quick)?;
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn run(
    provider: &dyn KeyMaterialProvider,
    backend: &CryptoBackend,
    wanted: impl Fn(KeySpec, KeyUsage) -> bool,
) -> Result<()> {
    if let Some(marks) = provider.instance_marks() {
        marks_only_move_forward(marks)?;
    }
    let generates = &provider.capabilities().generates;
    for &spec in KeySpec::ALL {
        for &usage in KeyUsage::ALL {
            let kind = binding(provider, spec, usage);
            match generates.contains(&(spec, usage)) {
                true if wanted(spec, usage) => {
                    println!("provider {}: {spec} for {usage}", provider.id().as_str());
                    a_kind_that_is_offered_works(provider, backend, &kind)?;
                }
                true => {}
                false => a_kind_that_is_not_offered_is_refused(provider, backend, &kind),
            }
        }
    }
    Ok(())
}

/// Uses two stores of the suite, whose last marks remain.
fn marks_only_move_forward(marks: &dyn InstanceMarks) -> Result<()> {
    let (ours, other) = ([0xC1; 16], [0xC2; 16]);
    let found = |store: [u8; 16]| {
        let mut found = marks.marks(store)?;
        found.sort_unstable();
        found.dedup();
        Ok::<_, crate::Error>(found)
    };
    let start = found(ours)?.into_iter().chain(found(other)?).map(|mark| mark.generation).max().unwrap_or(0);
    let mark = |step: u64, nonce: u8| InstanceMark { generation: start + step, nonce: [nonce; 16] };
    marks.add_mark(other, mark(1, 9))?;
    for next in [mark(1, 1), mark(1, 1), mark(3, 2)] {
        marks.add_mark(ours, next)?;
        assert_eq!(found(ours)?, [next], "a mark replaces the lower ones and is stored once");
    }
    marks.add_mark(ours, mark(3, 3))?;
    assert_eq!(found(ours)?, [mark(3, 2), mark(3, 3)], "a mark of the same generation is retained");
    marks.add_mark(ours, mark(2, 4))?;
    let after = found(ours)?;
    assert!(after.ends_with(&[mark(3, 2), mark(3, 3)]), "a higher mark is retained: {after:?}");
    assert_eq!(found(other)?, [mark(1, 9)], "the marks of another store are retained");
    Ok(())
}

fn binding(provider: &dyn KeyMaterialProvider, spec: KeySpec, usage: KeyUsage) -> MaterialBinding {
    MaterialBinding {
        store: [1; 16],
        account: AccountId::default(),
        key_id: KeyId::from_random_bytes([2; 16]),
        version: KeyVersion::FIRST,
        spec,
        usage,
        origin: provider.origin(),
    }
}

fn a_kind_that_is_not_offered_is_refused(
    provider: &dyn KeyMaterialProvider,
    backend: &CryptoBackend,
    kind: &MaterialBinding,
) {
    if let Some(generator) = provider.generator() {
        let refused = generator.generate(backend, kind).expect_err("the kind is not among the capabilities");
        assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation, "{} {}", kind.spec, kind.usage);
    }
}

fn a_kind_that_is_offered_works(
    provider: &dyn KeyMaterialProvider,
    backend: &CryptoBackend,
    kind: &MaterialBinding,
) -> Result<()> {
    let generator = provider.generator().expect("a provider with generated kinds has a generator");
    let made = generator.generate(backend, kind)?;
    let opened = provider.open(backend, kind, &made.stored)?;
    let again = provider.open(backend, kind, &made.stored)?;
    assert_eq!(opened.usage(), kind.usage);
    assert_eq!(made.public_key.is_some(), kind.spec.class() == SpecClass::Asymmetric);
    match (&opened, &again) {
        (OpenedKey::Cipher(one), OpenedKey::Cipher(two)) => a_cipher_opens_what_it_sealed(&**one, &**two)?,
        (OpenedKey::Mac(one), OpenedKey::Mac(two)) => a_mac_depends_on_key_and_message(&**one, &**two, kind.spec)?,
        (OpenedKey::Decryption(one), OpenedKey::Decryption(two)) => {
            what_was_encrypted_with_the_public_key_opens(&[&**one, &**two], &made, backend, kind.spec)?;
        }
        (OpenedKey::Signing(one), OpenedKey::Signing(two)) => {
            the_public_key_verifies_every_algorithm(&[&**one, &**two], &made, backend, kind.spec)?;
        }
        (OpenedKey::Agreement(one), OpenedKey::Agreement(two)) => {
            both_sides_agree(&[&**one, &**two], &made, &generator.generate(backend, kind)?, provider, backend, kind)?;
        }
        (OpenedKey::Decapsulation(one), OpenedKey::Decapsulation(two)) => {
            what_was_encapsulated_with_the_public_key_opens(&[&**one, &**two], &made, backend, kind.spec)?;
        }
        (one, two) => panic!("{one:?} and {two:?} must be the same key"),
    }
    material_of_nobody_is_refused(provider, backend, kind);
    provider.destroy(kind, &made.stored)?;
    // A caller that did not receive the response calls again.
    provider.destroy(kind, &made.stored)
}

/// Stored state comes from a sealed record, so unknown bytes can only be caused by a bug. The
/// provider must return an error, and never panic.
fn material_of_nobody_is_refused(provider: &dyn KeyMaterialProvider, backend: &CryptoBackend, kind: &MaterialBinding) {
    for foreign in [&[][..], &[0], &[0x30, 0x82, 0xFF, 0xFF], &[0xA5; 5_000]] {
        let refused = provider.open(backend, kind, &SecretBytes::copy_from_slice(foreign));
        let refused = refused.expect_err("the provider never returned these bytes");
        assert_eq!(refused.kind(), ErrorKind::Internal, "{} {} bytes", kind.spec, foreign.len());
    }
}

fn a_cipher_opens_what_it_sealed(one: &dyn Cipher, two: &dyn Cipher) -> Result<()> {
    assert_eq!(one.scheme(), two.scheme());
    let mut body = Vec::new();
    one.seal(b"header", b"context", b"plaintext", &mut body)?;
    assert_eq!(two.open(b"header", b"context", &body)?.expose_secret(), b"plaintext");
    let mut generated = Vec::new();
    let data_key = one.generate(b"header", b"context", 32, &mut generated)?;
    assert_eq!((data_key.len(), two.open(b"header", b"context", &generated)?), (32, data_key));
    let mut altered = body.clone();
    altered[body.len() / 2] ^= 1;
    let refused = [
        one.open(b"other", b"context", &body),
        one.open(b"header", b"other", &body),
        one.open(b"header", b"context", &altered),
        one.open(b"header", b"context", &body[..body.len() - 1]),
        one.open(b"header", b"context", &[]),
    ];
    for refused in refused {
        assert_eq!(
            refused.expect_err("the arguments do not match the ciphertext").kind(),
            ErrorKind::InvalidCiphertext
        );
    }
    Ok(())
}

fn a_mac_depends_on_key_and_message(one: &dyn MacGeneration, two: &dyn MacGeneration, spec: KeySpec) -> Result<()> {
    let code = one.authenticate(b"message")?;
    assert_eq!(code, two.authenticate(b"message")?);
    assert_ne!(code, one.authenticate(b"massage")?);
    let long = vec![0x42; LONG_MESSAGE];
    assert_eq!(one.authenticate(&long)?, two.authenticate(&long)?);
    assert_ne!(one.authenticate(&long)?, one.authenticate(&long[1..])?);
    let algorithms = spec.mac_algorithms(KeyUsage::GenerateVerifyMac);
    assert_eq!(algorithms.iter().map(|algorithm| algorithm.tag_length()).collect::<Vec<_>>(), [code.len()]);
    Ok(())
}

fn public_key(made: &GeneratedMaterial, backend: &CryptoBackend, spec: KeySpec) -> Result<Box<dyn PublicKey>> {
    let kind = key_pair_kind(spec).expect("an asymmetric key");
    Ok(backend.key_pairs().public_key(kind, made.public_key.as_deref().expect("an asymmetric key"))?)
}

fn what_was_encrypted_with_the_public_key_opens(
    opened: &[&dyn Decryption],
    made: &GeneratedMaterial,
    backend: &CryptoBackend,
    spec: KeySpec,
) -> Result<()> {
    let public = public_key(made, backend, spec)?;
    for &algorithm in spec.encryption_algorithms(KeyUsage::EncryptDecrypt) {
        let padding = oaep(algorithm).expect("the algorithm is for RSA");
        let most = spec.max_plaintext(algorithm).expect("the spec has this algorithm");
        for length in [0, 1, most] {
            let plaintext = vec![0x42; length];
            let ciphertext = public.encrypt(padding, &plaintext, backend.random())?;
            for private in opened {
                assert_eq!(private.decrypt(algorithm, &ciphertext)?.expose_secret(), plaintext);
            }
            let altered: Vec<u8> = ciphertext.iter().map(|byte| byte ^ 1).collect();
            let beyond_modulus = vec![0xff; ciphertext.len()];
            for wrong in [&altered[..], &beyond_modulus, &ciphertext[1..], &[&ciphertext[..], &[0]].concat(), &[]] {
                let refused =
                    opened[0].decrypt(algorithm, wrong).expect_err("the arguments do not match the ciphertext");
                assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext, "{algorithm}");
            }
        }
    }
    Ok(())
}

fn the_public_key_verifies_every_algorithm(
    opened: &[&dyn Signing],
    made: &GeneratedMaterial,
    backend: &CryptoBackend,
    spec: KeySpec,
) -> Result<()> {
    let public = public_key(made, backend, spec)?;
    for &algorithm in spec.signing_algorithms(KeyUsage::SignVerify) {
        let digest = vec![0x17; algorithm.digest_length()];
        let long = vec![0x42; LONG_MESSAGE];
        let messages = [&b"a message"[..], &[], &long];
        let mut inputs: Vec<_> = messages.into_iter().map(SignatureInput::Message).collect();
        match algorithm {
            SigningAlgorithm::Ed25519Sha512 => {}
            SigningAlgorithm::MlDsaShake256 => inputs.push(SignatureInput::ExternalMu(&digest)),
            _ => inputs.push(SignatureInput::Digest(&digest)),
        }
        for input in inputs {
            for private in opened {
                let signature = private.sign(algorithm, input)?;
                public.verify(algorithm, input, &signature)?;
                assert!(public.verify(algorithm, SignatureInput::Message(b"another"), &signature).is_err());
            }
        }
    }
    Ok(())
}

fn what_was_encapsulated_with_the_public_key_opens(
    opened: &[&dyn Decapsulation],
    made: &GeneratedMaterial,
    backend: &CryptoBackend,
    spec: KeySpec,
) -> Result<()> {
    let sent = public_key(made, backend, spec)?.encapsulate(backend.random())?;
    let mut altered = sent.ciphertext.clone();
    altered[0] ^= 1;
    let rejected = opened[0].decapsulate(&altered)?;
    assert_eq!(rejected.len(), sent.shared_secret.len());
    assert_ne!(rejected, sent.shared_secret, "an altered ciphertext is rejected implicitly");
    for private in opened {
        assert_eq!(private.decapsulate(&sent.ciphertext)?, sent.shared_secret);
        assert_eq!(private.decapsulate(&altered)?, rejected, "the result depends only on key and ciphertext");
    }
    Ok(())
}

fn both_sides_agree(
    opened: &[&dyn Agreement],
    made: &GeneratedMaterial,
    peer: &GeneratedMaterial,
    provider: &dyn KeyMaterialProvider,
    backend: &CryptoBackend,
    kind: &MaterialBinding,
) -> Result<()> {
    let OpenedKey::Agreement(other) = provider.open(backend, kind, &peer.stored)? else { panic!("the same kind") };
    let theirs = other.agree(made.public_key.as_deref().expect("an asymmetric key"))?;
    let peer = peer.public_key.as_deref().expect("an asymmetric key").to_vec();
    for private in opened {
        assert_eq!(private.agree(&peer)?, theirs);
        for wrong in [&peer[1..], &[&peer[..], &[0]].concat(), &peer[..peer.len() - 1], &[]] {
            assert_eq!(private.agree(wrong).expect_err("the bytes are not a key").kind(), ErrorKind::Validation);
        }
        let foreign = match kind.spec {
            KeySpec::EccNistP256 => KeyPairKind::EccSecp256k1,
            _ => KeyPairKind::EccP256,
        };
        let foreign = backend.key_pairs().generate(foreign, backend.random())?.public_key_der();
        assert_eq!(private.agree(&foreign).expect_err("another curve").kind(), ErrorKind::Validation);
    }
    Ok(())
}
