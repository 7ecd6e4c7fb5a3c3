//! The contract of [`KeyMaterialProvider`] as a suite: every implementation runs the same bodies.

use super::{Cipher, KeyMaterialProvider, Mac, MaterialBinding, OpenedKey};
use crate::crypto::CryptoBackend;
use crate::error::{ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{KeyId, KeySpec, KeyUsage, KeyVersion, SpecClass};
use crate::secret::SecretBytes;

/// Runs the whole suite with every kind of key that the provider says it makes and `wanted` lets through.
pub(crate) fn run(
    provider: &dyn KeyMaterialProvider,
    backend: &CryptoBackend,
    wanted: impl Fn(KeySpec, KeyUsage) -> bool,
) -> Result<()> {
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
        let refused = generator.generate(backend, kind).expect_err("it is not among the capabilities");
        assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation, "{} {}", kind.spec, kind.usage);
    }
}

fn a_kind_that_is_offered_works(
    provider: &dyn KeyMaterialProvider,
    backend: &CryptoBackend,
    kind: &MaterialBinding,
) -> Result<()> {
    let generator = provider.generator().expect("what can be made needs a generator");
    let made = generator.generate(backend, kind)?;
    let opened = provider.open(backend, kind, &made.kept)?;
    let again = provider.open(backend, kind, &made.kept)?;
    assert_eq!(opened.usage(), kind.usage);
    assert_eq!(made.public_key.is_some(), kind.spec.class() == SpecClass::Asymmetric);
    match (&opened, &again) {
        (OpenedKey::Cipher(one), OpenedKey::Cipher(two)) => a_cipher_opens_what_it_sealed(&**one, &**two)?,
        (OpenedKey::Mac(one), OpenedKey::Mac(two)) => a_mac_depends_on_key_and_message(&**one, &**two, kind.spec)?,
        (one, two) => panic!("{one:?} and {two:?} are one key"),
    }
    material_of_nobody_is_refused(provider, backend, kind);
    provider.destroy(kind, &made.kept)
}

/// Whatever is kept comes back from a sealed record, so this can only be a mistake: an error, and never a panic.
fn material_of_nobody_is_refused(provider: &dyn KeyMaterialProvider, backend: &CryptoBackend, kind: &MaterialBinding) {
    for foreign in [&[][..], &[0], &[0x30, 0x82, 0xFF, 0xFF], &[0xA5; 5_000]] {
        let refused = provider.open(backend, kind, &SecretBytes::copy_of(foreign));
        let refused = refused.expect_err("it was never handed over");
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
        assert_eq!(refused.expect_err("it does not fit").kind(), ErrorKind::InvalidCiphertext);
    }
    Ok(())
}

fn a_mac_depends_on_key_and_message(one: &dyn Mac, two: &dyn Mac, spec: KeySpec) -> Result<()> {
    let code = one.authenticate(b"message")?;
    assert_eq!(code, two.authenticate(b"message")?);
    assert_ne!(code, one.authenticate(b"massage")?);
    let algorithms = spec.mac_algorithms(KeyUsage::GenerateVerifyMac);
    assert_eq!(algorithms.iter().map(|algorithm| algorithm.tag_length()).collect::<Vec<_>>(), [code.len()]);
    Ok(())
}
