//! A conformance test suite for implementations of [`Keyring`].
//!
//! Run it in the tests of your own keyring. If encryption and decryption require different keys,
//! pass two keyrings: one with the public key as the writer, and one with the private key as the
//! reader.
//!
//! # Examples
//! ```
//! use strongroom::crypto::{CryptoBackend, KeyPairKind};
//! use strongroom::envelope::{RawEcdhKeyring, conformance};
//!
//! let backend = CryptoBackend::default();
//! let pair = backend.key_pairs().generate(KeyPairKind::EccP256, backend.random())?;
//! let writer = RawEcdhKeyring::ephemeral(&pair.public_key_der())?;
//! let reader = RawEcdhKeyring::discovery(pair.to_pkcs8()?.expose_secret())?;
//! conformance::run(&writer, &reader)?;
//! # Ok::<(), strongroom::Error>(())
//! ```

use super::{DecryptionMaterials, EncryptionMaterials, Keyring};
use crate::context::EncryptionContext;
use crate::crypto::CryptoBackend;
use crate::error::{ErrorKind, Result};
use crate::message::{AlgorithmSuite, EncryptedDataKey};
use crate::secret::SecretBytes;

/// Runs the whole suite for data keys of every length. `reader` must unwrap what `writer` wraps,
/// and nothing else. A keyring that stores data keys externally must put a reference to them into
/// the ciphertext. An empty ciphertext is rejected.
///
/// # Errors
/// - Any error from a call that a keyring should have accepted.
///
/// # Panics
/// Panics if a keyring violates the contract. The message describes the violation.
///
/// # Examples
/// ```
/// use strongroom::SecretBytes;
/// use strongroom::envelope::{RawAesKeyring, conformance};
///
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// conformance::run(&keyring, &keyring)?;
/// conformance::run_context(&keyring, &keyring)?;
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn run(writer: &dyn Keyring, reader: &dyn Keyring) -> Result<()> {
    for suite in [AlgorithmSuite::default(), AlgorithmSuite::Aes192GcmHkdfSha256, AlgorithmSuite::Aes128GcmHkdfSha256] {
        println!("keyring: data keys of {} bytes", suite.data_key_length());
        a_data_key_is_made_wrapped_and_found(writer, reader, suite)?;
        a_data_key_that_is_there_is_kept(writer, reader, suite)?;
        what_others_wrapped_is_left_alone(writer, reader, suite)?;
        what_was_altered_does_not_open(writer, reader, suite)?;
    }
    Ok(())
}

/// Runs the additional tests for keyrings whose kind of key can bind a data key to the encryption
/// context. The data key must not unwrap under a different context.
///
/// # Errors
/// - Any error from a call that a keyring should have accepted.
///
/// # Panics
/// Panics if a data key unwraps under a different context.
///
/// # Examples
/// ```
/// use strongroom::envelope::{RawAesKeyring, conformance};
/// use strongroom::SecretBytes;
///
/// // In a test of your own keyring.
/// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
/// conformance::run_context(&keyring, &keyring)?; // a writer and a reader
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn run_context(writer: &dyn Keyring, reader: &dyn Keyring) -> Result<()> {
    println!("keyring: data keys are bound to their encryption context");
    let suite = AlgorithmSuite::default();
    let wrapped = wrap(writer, suite, None, &[])?;
    for other in [
        EncryptionContext::new(),
        EncryptionContext::from([("tenant", "43")]),
        EncryptionContext::from([("tenant", "42"), ("table", "users")]),
    ] {
        let mut materials = DecryptionMaterials::new(suite, other, CryptoBackend::default())?;
        refused(reader, &mut materials, wrapped.encrypted_data_keys(), "different encryption context");
    }
    Ok(())
}

fn context() -> EncryptionContext {
    EncryptionContext::from([("tenant", "42")])
}

/// Lets a keyring complete materials, which may already contain a data key and wrapped data keys
/// from other keyrings.
fn wrap(
    writer: &dyn Keyring,
    suite: AlgorithmSuite,
    data_key: Option<&SecretBytes>,
    before: &[EncryptedDataKey],
) -> Result<EncryptionMaterials> {
    let mut materials = EncryptionMaterials::new(suite, context(), CryptoBackend::default())?;
    if let Some(data_key) = data_key {
        materials.set_data_key(SecretBytes::copy_from_slice(data_key.expose_secret()))?;
    }
    // Untrusted messages may contain empty wrapped data keys, but materials for writing reject
    // them.
    let before: Vec<_> = before.iter().filter(|data_key| !data_key.ciphertext().is_empty()).cloned().collect();
    before.iter().try_for_each(|data_key| materials.push(data_key.clone()))?;
    writer.on_encrypt(&mut materials)?;
    let wrapped = materials.encrypted_data_keys();
    assert_eq!(&wrapped[..before.len()], before, "data keys wrapped by other keyrings keep their positions");
    assert!(wrapped.len() > before.len(), "the keyring adds at least one wrapped data key");
    Ok(materials)
}

fn empty(suite: AlgorithmSuite) -> Result<DecryptionMaterials> {
    DecryptionMaterials::new(suite, context(), CryptoBackend::default())
}

fn refused(reader: &dyn Keyring, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey], what: &str) {
    let Err(error) = reader.on_decrypt(materials, data_keys) else {
        panic!("a data key was unwrapped despite: {what}")
    };
    assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped, "{what}: {error}");
    assert_eq!(materials.data_key(), None, "a data key is set after a failure: {what}");
}

fn a_data_key_is_made_wrapped_and_found(
    writer: &dyn Keyring,
    reader: &dyn Keyring,
    suite: AlgorithmSuite,
) -> Result<()> {
    let (one, other) = (wrap(writer, suite, None, &[])?, wrap(writer, suite, None, &[])?);
    let made = one.data_key().expect("the keyring generates a data key if there is none");
    assert_ne!(Some(made), other.data_key(), "each message has its own data key");
    for data_key in one.encrypted_data_keys() {
        let lies_open = |bytes: &[u8]| bytes.windows(made.len()).any(|part| part == made.expose_secret());
        assert!(
            !lies_open(data_key.ciphertext()) && !lies_open(data_key.provider_info()),
            "the data key is stored in plaintext"
        );
    }
    for materials in [&one, &other] {
        let mut found = empty(suite)?;
        reader.on_decrypt(&mut found, materials.encrypted_data_keys())?;
        assert_eq!(found.data_key(), materials.data_key());
        let again = reader.on_decrypt(&mut found, one.encrypted_data_keys());
        assert!(again.is_err(), "materials that already have a data key are rejected");
        assert_eq!(found.data_key(), materials.data_key());
    }
    Ok(())
}

fn a_data_key_that_is_there_is_kept(writer: &dyn Keyring, reader: &dyn Keyring, suite: AlgorithmSuite) -> Result<()> {
    let given = SecretBytes::copy_from_slice(&vec![0xA5; suite.data_key_length()]);
    let materials = match wrap(writer, suite, Some(&given), &[]) {
        // The keyring wraps only data keys that it generated, and reports this correctly.
        Err(error) if error.kind() == ErrorKind::Validation => return Ok(()),
        wrapped => wrapped?,
    };
    assert_eq!(materials.data_key(), Some(&given));
    let mut found = empty(suite)?;
    reader.on_decrypt(&mut found, materials.encrypted_data_keys())?;
    assert_eq!(found.data_key(), Some(&given));
    Ok(())
}

fn what_others_wrapped_is_left_alone(writer: &dyn Keyring, reader: &dyn Keyring, suite: AlgorithmSuite) -> Result<()> {
    let foreign = |provider: &str, info: &[u8], bytes: &[u8]| EncryptedDataKey::new(provider, info, bytes);
    let mut before = vec![
        foreign("somebody-else", b"key 1", &[0x17; 60]),
        foreign("somebody-else", b"", b""),
        foreign("", b"\xFF\0", &[0; 500]),
    ];
    refused(reader, &mut empty(suite)?, &[], "no wrapped data keys");
    refused(reader, &mut empty(suite)?, &before, "all data keys belong to other keyrings");
    // These have the names of this keyring, but it did not wrap them.
    for own in wrap(writer, suite, None, &[])?.encrypted_data_keys() {
        for bytes in [&b""[..], b"\0", &[0x5A; 48], &[0xFF; 700]] {
            before.push(foreign(own.provider_id(), own.provider_info(), bytes));
        }
    }
    refused(reader, &mut empty(suite)?, &before, "all data keys belong to other keyrings or are corrupt");
    let materials = wrap(writer, suite, None, &before)?;
    let mut found = empty(suite)?;
    reader.on_decrypt(&mut found, materials.encrypted_data_keys())?;
    assert_eq!(
        found.data_key(),
        materials.data_key(),
        "the first data key that can be unwrapped is used, whatever precedes it"
    );
    Ok(())
}

fn what_was_altered_does_not_open(writer: &dyn Keyring, reader: &dyn Keyring, suite: AlgorithmSuite) -> Result<()> {
    let materials = wrap(writer, suite, None, &[])?;
    let intact = materials.encrypted_data_keys();
    let longest = intact.iter().map(|data_key| data_key.ciphertext().len()).max().unwrap_or_default();
    let all = |change: &dyn Fn(&[u8]) -> Vec<u8>| -> Vec<_> {
        let changed = |data_key: &EncryptedDataKey| {
            EncryptedDataKey::new(data_key.provider_id(), data_key.provider_info(), change(data_key.ciphertext()))
        };
        intact.iter().map(changed).collect()
    };
    for at in (0..longest).step_by(longest.div_ceil(24)) {
        let altered = all(&|bytes| {
            let mut bytes = bytes.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1;
            bytes
        });
        refused(reader, &mut empty(suite)?, &altered, &format!("a flipped bit in byte {at}"));
    }
    refused(reader, &mut empty(suite)?, &all(&|bytes| bytes[..bytes.len() - 1].to_vec()), "a missing last byte");
    refused(reader, &mut empty(suite)?, &all(&|bytes| [bytes, &[0]].concat()), "a trailing byte");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{KeyPairKind, RsaOaep};
    use crate::envelope::operations::Envelope;
    use crate::envelope::{KmsContextKeyring, KmsKeyring, MultiKeyring, RawAesKeyring, RawEcdhKeyring, RawRsaKeyring};
    use crate::kms::Kms;

    #[test]
    fn keyrings_of_secret_keys_meet_the_contract() -> Result<()> {
        let kms = Kms::in_memory()?;
        let managed = KmsKeyring::new(&kms, kms.create_key(Default::default())?.key_id())?;
        for tenant in ["42", "43"] {
            kms.create_alias(format!("alias/tenant/{tenant}"), kms.create_key(Default::default())?.key_id())?;
        }
        let of_tenants = KmsContextKeyring::with_alias_prefix(&kms, "tenant", "alias/tenant/")?;
        let raw = RawAesKeyring::new("laboratory", "key 1", SecretBytes::copy_from_slice(&[7; 32]))?;
        let keyrings: [&dyn Keyring; 3] = [&managed, &of_tenants, &raw];
        for keyring in keyrings {
            run(keyring, keyring)?;
            run_context(keyring, keyring)?;
        }
        run(&managed, &KmsKeyring::discovery(&kms))?;
        let several = MultiKeyring::new(raw).with_child(managed);
        run(&several, &several)?;
        run_context(&several, &several)
    }

    /// A keyring that stores the data key elsewhere and wraps it to an empty ciphertext. If `tells`
    /// is set, it returns the resulting error.
    #[derive(Debug)]
    struct WrapsToNothing {
        tells: bool,
    }

    impl Keyring for WrapsToNothing {
        fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
            materials.data_key_or_generate()?;
            let pushed = materials.push(EncryptedDataKey::new("nothing", *b"key 1", []));
            if self.tells { pushed } else { Ok(()) }
        }

        fn on_decrypt(&self, materials: &mut DecryptionMaterials, _: &[EncryptedDataKey]) -> Result<()> {
            materials.set_data_key(SecretBytes::zeroed(32))
        }
    }

    #[test]
    fn a_keyring_that_wraps_to_nothing_does_not_pass_and_writes_no_message() -> Result<()> {
        for tells in [true, false] {
            let keyring = WrapsToNothing { tells };
            let passed = std::panic::catch_unwind(|| run(&keyring, &keyring));
            assert!(!matches!(passed, Ok(Ok(()))), "{keyring:?}");
            let raw = RawAesKeyring::new("laboratory", "key 1", SecretBytes::copy_from_slice(&[7; 32]))?;
            let both = MultiKeyring::new(raw).with_child(WrapsToNothing { tells });
            for envelope in [Envelope::new(keyring), Envelope::new(both)] {
                let error = envelope.encrypt(b"text", &context()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
            }
        }
        Ok(())
    }

    #[test]
    fn keyrings_of_key_pairs_meet_the_contract() -> Result<()> {
        let backend = CryptoBackend::default();
        let pair = |kind| backend.key_pairs().generate(kind, backend.random());
        let rsa = pair(KeyPairKind::Rsa2048)?;
        let oaep = RsaOaep::Sha256;
        run(
            &RawRsaKeyring::with_public_key("laboratory", "pair 1", oaep, &rsa.public_key_der())?,
            &RawRsaKeyring::with_private_key("laboratory", "pair 1", oaep, rsa.to_pkcs8()?.expose_secret())?,
        )?;
        let curve = pair(KeyPairKind::EccP256)?;
        let writer = RawEcdhKeyring::ephemeral(&curve.public_key_der())?;
        let reader = RawEcdhKeyring::discovery(curve.to_pkcs8()?.expose_secret())?;
        run(&writer, &reader)?;
        run_context(&writer, &reader)
    }
}
