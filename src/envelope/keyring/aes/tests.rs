use super::*;
use crate::context::EncryptionContext;
use crate::crypto::RUST_CRYPTO;
use crate::envelope::materials::{DecryptionMaterials, EncryptionMaterials};
use crate::message::AlgorithmSuite;

fn keyring(namespace: &str, name: &str, key: u8) -> RawAesKeyring {
    RawAesKeyring::new(namespace, name, SecretBytes::copy_from_slice(&[key; 32])).unwrap()
}

fn context() -> EncryptionContext {
    EncryptionContext::from([("tenant", "42")])
}

fn wrapped(keyring: &RawAesKeyring) -> (Vec<u8>, Vec<EncryptedDataKey>) {
    let mut materials =
        EncryptionMaterials::new(AlgorithmSuite::default(), context(), CryptoBackend::default()).unwrap();
    keyring.on_encrypt(&mut materials).unwrap();
    (materials.data_key().unwrap().expose_secret().to_vec(), materials.encrypted_data_keys().to_vec())
}

fn unwrapped(keyring: &RawAesKeyring, context: EncryptionContext, keys: &[EncryptedDataKey]) -> Result<Vec<u8>> {
    let mut materials = DecryptionMaterials::new(AlgorithmSuite::default(), context, CryptoBackend::default())?;
    keyring.on_decrypt(&mut materials, keys)?;
    Ok(materials.data_key().unwrap().expose_secret().to_vec())
}

#[test]
fn a_wrapped_data_key_comes_back() -> Result<()> {
    let keyring = keyring("ns", "kn", 1);
    let (data_key, keys) = wrapped(&keyring);
    assert_eq!(keys[0].provider_id(), "ns");
    assert_eq!(keys[0].provider_info().len(), 2 + 20);
    assert_eq!(keys[0].provider_info()[..10], *b"kn\0\0\0\x80\0\0\0\x0c");
    assert_eq!(keys[0].ciphertext().len(), 48);
    assert_eq!(unwrapped(&keyring, context(), &keys)?, data_key);
    Ok(())
}

#[test]
fn a_data_key_that_is_there_is_wrapped_and_not_replaced() -> Result<()> {
    let mut materials = EncryptionMaterials::new(AlgorithmSuite::default(), context(), CryptoBackend::default())?;
    materials.set_data_key(SecretBytes::copy_from_slice(&[5; 32]))?;
    let (first, second) = (keyring("ns", "kn", 1), keyring("ns", "kn2", 2));
    first.on_encrypt(&mut materials)?;
    second.on_encrypt(&mut materials)?;
    let keys = materials.encrypted_data_keys();
    assert_eq!(keys.len(), 2);
    // Each keyring finds its own wrapped data key among the two, in either position.
    for keyring in [first, second] {
        assert_eq!(unwrapped(&keyring, context(), keys)?, [5; 32]);
    }
    Ok(())
}

#[test]
fn another_key_context_namespace_or_name_does_not_open() {
    let (_, keys) = wrapped(&keyring("ns", "kn", 1));
    let cases = [
        (keyring("ns", "kn", 2), context()),
        (keyring("ns", "kn", 1), EncryptionContext::new()),
        (keyring("ns2", "kn", 1), context()),
        (keyring("ns", "k", 1), context()),
        (keyring("ns", "kn1", 1), context()),
    ];
    for (keyring, context) in cases {
        let error = unwrapped(&keyring, context, &keys).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoDataKeyUnwrapped, "{keyring:?}");
    }
}

#[test]
fn every_failure_is_reported() {
    let (_, mut keys) = wrapped(&keyring("ns", "kn", 1));
    keys.extend(wrapped(&keyring("other", "kn", 1)).1);
    keys.push(EncryptedDataKey::new("ns", keys[0].provider_info(), [0; 40]));
    let text = unwrapped(&keyring("ns", "kn", 2), context(), &keys).unwrap_err().to_string();
    let expected = "no data key of the message could be unwrapped: key of provider \"ns\": it was wrapped with \
                    another key or for another encryption context, or altered; key of provider \"other\": it was \
                    wrapped in another namespace, not \"ns\"; key of provider \"ns\": it does not contain a data \
                    key of 32 bytes";
    assert_eq!(text, expected);
}

#[test]
fn a_key_of_another_name_is_told_by_both_names() {
    let reasons = |name: &str, written: &str| {
        let (_, keys) = wrapped(&keyring("ns", written, 1));
        let error = unwrapped(&keyring("ns", name, 1), context(), &keys).unwrap_err();
        let failures = error.downcast_ref::<UnwrapFailures>().unwrap();
        let failure = failures.iter().next().unwrap();
        assert_eq!(failure.kind(), ErrorKind::IncorrectKey);
        failure.reason().to_owned()
    };
    let expected = r#"it was wrapped with the key "2026", but this keyring has the key "2025""#;
    assert_eq!(reasons("2025", "2026"), expected);
    // One name is a prefix of the other, in either direction, or there is no name.
    assert!(reasons("key", "key1").contains(r#""key1", but this keyring has the key "key""#));
    assert!(reasons("key1", "key").contains(r#""key", but this keyring has the key "key1""#));
    assert!(reasons("key", "").contains(r#"the key "", but"#));
    let hostile = reasons("key", &format!("a\n\u{1b}[31m{}", "y".repeat(1000)));
    assert!(!hostile.contains(['\n', '\u{1b}']) && hostile.len() < 200, "{hostile}");
}

#[test]
fn a_key_behind_failures_is_found() -> Result<()> {
    let keyring = keyring("ns", "kn", 1);
    let (data_key, mut keys) = wrapped(&keyring);
    let info = keys[0].provider_info().to_vec();
    keys.insert(0, EncryptedDataKey::new("ns", info, [0; 48]));
    assert_eq!(unwrapped(&keyring, context(), &keys)?, data_key);
    Ok(())
}

#[test]
fn provider_info_with_other_lengths_is_not_ours() {
    let keyring = keyring("ns", "kn", 1);
    let (_, keys) = wrapped(&keyring);
    for (offset, value) in [(5, 0x60), (9, 16), (0, b'K')] {
        let mut info = keys[0].provider_info().to_vec();
        info[offset] = value;
        let altered = EncryptedDataKey::new("ns", info, keys[0].ciphertext());
        assert_eq!(keyring.nonce_of(&altered), None, "{offset}");
    }
    let longer = [keys[0].provider_info(), &[0]].concat();
    assert_eq!(keyring.nonce_of(&EncryptedDataKey::new("ns", longer, [])), None);
}

#[test]
fn materials_with_a_data_key_are_refused_on_decrypt() -> Result<()> {
    let keyring = keyring("ns", "kn", 1);
    let (_, keys) = wrapped(&keyring);
    let mut materials = DecryptionMaterials::new(AlgorithmSuite::default(), context(), CryptoBackend::default())?;
    keyring.on_decrypt(&mut materials, &keys)?;
    assert_eq!(keyring.on_decrypt(&mut materials, &keys).unwrap_err().kind(), ErrorKind::Internal);
    Ok(())
}

#[test]
fn all_three_key_lengths_wrap() -> Result<()> {
    if crate::crypto::default_lacks("all_three_key_lengths_wrap", &["AES-192-GCM"]) {
        return Ok(());
    }
    for length in [16, 24, 32] {
        let keyring = RawAesKeyring::new("ns", "kn", SecretBytes::zeroed(length))?;
        let (data_key, keys) = wrapped(&keyring);
        assert_eq!(unwrapped(&keyring, context(), &keys)?, data_key);
    }
    Ok(())
}

#[test]
fn every_backend_opens_what_the_others_wrapped() -> Result<()> {
    let backends = [CryptoBackend::default(), RUST_CRYPTO];
    for (writer, reader) in backends.iter().flat_map(|one| backends.iter().map(move |other| (one, other))) {
        let keyring = |backend: &CryptoBackend| keyring("ns", "kn", 7).with_backend(*backend);
        let (data_key, wrapped) = wrapped(&keyring(writer)?);
        assert_eq!(unwrapped(&keyring(reader)?, context(), &wrapped)?, data_key);
    }
    Ok(())
}

#[test]
fn what_cannot_be_a_keyring_is_refused() {
    let key = || SecretBytes::zeroed(32);
    let refused = [
        RawAesKeyring::new("ns", "kn", SecretBytes::zeroed(31)),
        RawAesKeyring::new("ns", "kn", SecretBytes::zeroed(0)),
        RawAesKeyring::new("", "kn", key()),
        RawAesKeyring::new("aws-kms", "kn", key()),
        RawAesKeyring::new("aws-kms-mine", "kn", key()),
        RawAesKeyring::new("n".repeat(65_536), "kn", key()),
        RawAesKeyring::new("ns", "k".repeat(65_516), key()),
    ];
    for keyring in refused {
        assert_eq!(keyring.unwrap_err().kind(), ErrorKind::Validation);
    }
    assert!(RawAesKeyring::new("ns", "k".repeat(65_515), key()).is_ok());
}

#[test]
fn debug_shows_no_key() {
    let text = format!("{:?}", keyring("ns", "kn", 0xAB));
    assert_eq!(text, "RawAesKeyring { namespace: \"ns\", name: kn, .. }");
}

/// Wraps a data key bound to a serialization in a different order.
fn wrapped_in_order(keyring: &RawAesKeyring, serialized: &[u8]) -> EncryptedDataKey {
    let (nonce, mut ciphertext) = ([9; NONCE_LENGTH], vec![0; 32]);
    let tag = keyring.key.seal(&nonce, serialized, &[5; 32], &mut ciphertext).unwrap();
    EncryptedDataKey::new("ns", keyring.provider_info(&nonce), [&ciphertext[..], &tag].concat())
}

#[test]
fn the_order_of_the_header_opens_where_it_is_accepted_and_nothing_else_does() -> Result<()> {
    let keyring = keyring("ns", "kn", 1);
    // More names than the limit for trying every order, in an order that cannot be guessed.
    let names: Vec<String> = (0..12).map(|index| format!("ключ {}", (index * 5) % 12)).collect();
    let pair = |name: &String| [&[0, 11 - u8::from(name.len() == 10)][..], name.as_bytes(), b"\0\x01x"].concat();
    let serialized = [&[0, 12][..], &names.iter().flat_map(pair).collect::<Vec<_>>()].concat();
    let context = EncryptionContext::from_bytes(&serialized).unwrap();
    assert_eq!(context.len(), 12);
    let keys = [wrapped_in_order(&keyring, &serialized)];
    let materials = || DecryptionMaterials::new(AlgorithmSuite::default(), context.clone(), CryptoBackend::default());

    let mut accepting = materials()?.with_context_as_received(&serialized);
    keyring.on_decrypt(&mut accepting, &keys)?;
    assert_eq!(accepting.data_key().map(SecretBytes::expose_secret), Some(&[5; 32][..]));

    let error = keyring.on_decrypt(&mut materials()?, &keys).unwrap_err();
    assert!(error.to_string().contains("utf8Sorting"), "{error}");
    let other = context.clone().with("ключ 3", "y");
    let other = DecryptionMaterials::new(AlgorithmSuite::default(), other, CryptoBackend::default())?;
    let received = other.canonical_context().to_vec();
    let mut other = other.with_context_as_received(&received);
    assert!(keyring.on_decrypt(&mut other, &keys).is_err(), "another context");
    Ok(())
}
