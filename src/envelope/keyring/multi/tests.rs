use super::*;
use crate::context::EncryptionContext;
use crate::crypto::CryptoBackend;
use crate::envelope::UnwrapFailure;
use crate::envelope::operations::Envelope;
use crate::envelope::{KmsKeyring, RawAesKeyring};
use crate::kms::Kms;
use crate::message::{AlgorithmSuite, inspect};
use crate::secret::SecretBytes;

fn raw(name: &str, key: u8) -> RawAesKeyring {
    RawAesKeyring::new("ns", name, SecretBytes::copy_from_slice(&[key; 32])).unwrap()
}

fn none() -> EncryptionContext {
    EncryptionContext::new()
}

fn encryption_materials() -> EncryptionMaterials {
    EncryptionMaterials::new(AlgorithmSuite::default(), none(), CryptoBackend::default()).unwrap()
}

fn decryption_materials() -> DecryptionMaterials {
    DecryptionMaterials::new(AlgorithmSuite::default(), none(), CryptoBackend::default()).unwrap()
}

/// A keyring that violates the contract in the specified way.
#[derive(Debug)]
enum Odd {
    Fails,
    DoesNothing,
    MakesADataKeyOnly,
    Panics,
}

impl Keyring for Odd {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        match self {
            Self::Fails => Err(Error::new(ErrorKind::KeyUnavailable, "the vault is sealed")),
            Self::DoesNothing => Ok(()),
            Self::MakesADataKeyOnly => materials.data_key_or_generate().map(|_| ()),
            Self::Panics => panic!("this keyring must not be called"),
        }
    }

    fn on_decrypt(&self, _: &mut DecryptionMaterials, _: &[EncryptedDataKey]) -> Result<()> {
        match self {
            Self::Fails => Err(Error::new(ErrorKind::KeyUnavailable, "the vault is sealed")),
            Self::DoesNothing | Self::MakesADataKeyOnly => Ok(()),
            Self::Panics => panic!("this keyring must not be called"),
        }
    }
}

#[test]
fn every_member_alone_opens_what_all_wrapped() -> Result<()> {
    let kms = Kms::in_memory()?;
    let key = kms.create_key(Default::default())?.key_id();
    let kms_keyring = || KmsKeyring::new(&kms, key);
    for multi in [
        MultiKeyring::new(kms_keyring()?).with_child(raw("a", 1)).with_child(raw("b", 2)),
        MultiKeyring::new(raw("a", 1)).with_child(kms_keyring()?).with_child(raw("b", 2)),
    ] {
        let message = Envelope::new(multi.clone()).encrypt(b"text", &none())?;
        assert_eq!(inspect(&message)?.data_keys().len(), 3);
        let members: [Arc<dyn Keyring>; 4] =
            [Arc::new(kms_keyring()?), Arc::new(raw("a", 1)), Arc::new(raw("b", 2)), Arc::new(multi)];
        for member in members {
            assert_eq!(Envelope::new(member).decrypt(&message, &none())?, b"text");
        }
    }
    Ok(())
}

#[test]
fn wrapped_data_keys_stand_in_the_order_of_the_keyrings() -> Result<()> {
    let mut materials = encryption_materials();
    MultiKeyring::new(raw("generator", 1))
        .with_child(raw("x", 2))
        .with_child(raw("y", 3))
        .on_encrypt(&mut materials)?;
    let names: Vec<_> = materials
        .encrypted_data_keys()
        .iter()
        .map(|key| key.provider_info().split_last_chunk::<20>().unwrap().0)
        .collect();
    assert_eq!(names, [b"generator".as_slice(), b"x", b"y"]);
    Ok(())
}

#[test]
fn a_list_is_the_same_as_its_members_one_by_one() -> Result<()> {
    let names = |keyring: MultiKeyring| -> Result<Vec<Vec<u8>>> {
        let mut materials = encryption_materials();
        keyring.on_encrypt(&mut materials)?;
        let info = |key: &EncryptedDataKey| key.provider_info().split_last_chunk::<20>().unwrap().0.to_vec();
        Ok(materials.encrypted_data_keys().iter().map(info).collect())
    };
    let one_by_one = MultiKeyring::new(raw("a", 1)).with_child(raw("b", 2)).with_child(raw("c", 3));
    let from_list = MultiKeyring::from_keyrings([raw("a", 1), raw("b", 2), raw("c", 3)])?;
    let with_children = MultiKeyring::new(raw("a", 1)).with_children(vec![raw("b", 2), raw("c", 3)]);
    let boxed: Vec<Box<dyn Keyring>> = vec![Box::new(raw("a", 1)), Box::new(raw("b", 2)), Box::new(raw("c", 3))];
    for keyring in [one_by_one, from_list, with_children, MultiKeyring::from_keyrings(boxed)?] {
        assert_eq!(names(keyring)?, [b"a", b"b", b"c"]);
    }
    let nothing = MultiKeyring::new(raw("a", 1)).with_children(Vec::<RawAesKeyring>::new());
    assert_eq!(names(nothing)?, [b"a"]);
    assert_eq!(names(MultiKeyring::from_keyrings([raw("a", 1)])?)?, [b"a"]);
    Ok(())
}

#[test]
fn an_empty_list_is_refused() {
    let nothing = Vec::<RawAesKeyring>::new;
    for refused in [MultiKeyring::from_keyrings(nothing()), MultiKeyring::without_generator(nothing())] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Validation);
    }
}

#[test]
fn a_generator_refuses_a_data_key_that_is_there() {
    let mut materials = encryption_materials();
    materials.set_data_key(SecretBytes::zeroed(32)).unwrap();
    let error = MultiKeyring::new(Odd::Panics).on_encrypt(&mut materials).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert_eq!(materials.encrypted_data_keys().len(), 0);
}

#[test]
fn without_a_generator_a_data_key_must_be_there() -> Result<()> {
    let mut materials = encryption_materials();
    let error = MultiKeyring::without_generator([Odd::Panics])?.on_encrypt(&mut materials).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    materials.set_data_key(SecretBytes::zeroed(32))?;
    MultiKeyring::without_generator([raw("a", 1), raw("b", 2)])?.on_encrypt(&mut materials)?;
    assert_eq!(materials.encrypted_data_keys().len(), 2);
    Ok(())
}

#[test]
fn a_multi_keyring_without_generator_can_be_a_child() -> Result<()> {
    let pair = MultiKeyring::without_generator([raw("b", 2), raw("c", 3)])?;
    let envelope = Envelope::new(MultiKeyring::new(raw("a", 1)).with_child(pair.clone()));
    let message = envelope.encrypt(b"text", &none())?;
    assert_eq!(Envelope::new(pair).decrypt(&message, &none())?, b"text");
    Ok(())
}

#[test]
fn any_member_that_fails_fails_the_message() {
    let cases = [
        (MultiKeyring::new(Odd::Fails).with_child(Odd::Panics), ErrorKind::KeyUnavailable),
        (MultiKeyring::new(Odd::DoesNothing).with_child(Odd::Panics), ErrorKind::Internal),
        (MultiKeyring::new(Odd::MakesADataKeyOnly).with_child(Odd::Panics), ErrorKind::Internal),
        (MultiKeyring::new(raw("a", 1)).with_child(Odd::Fails).with_child(Odd::Panics), ErrorKind::KeyUnavailable),
        (MultiKeyring::new(raw("a", 1)).with_child(Odd::DoesNothing).with_child(raw("b", 2)), ErrorKind::Internal),
    ];
    for (keyring, kind) in cases {
        assert_eq!(Envelope::new(keyring.clone()).encrypt(b"x", &none()).unwrap_err().kind(), kind, "{keyring:?}");
    }
}

#[test]
fn the_first_success_ends_the_search_and_failures_before_it_do_not_matter() -> Result<()> {
    let message = Envelope::new(raw("a", 1)).encrypt(b"text", &none())?;
    let keyring = MultiKeyring::new(Odd::Fails).with_child(Odd::DoesNothing).with_child(raw("a", 1));
    assert_eq!(Envelope::new(keyring.with_child(Odd::Panics)).decrypt(&message, &none())?, b"text");
    Ok(())
}

#[test]
fn a_data_key_that_is_there_is_refused_on_decrypt() {
    let mut materials = decryption_materials();
    materials.set_data_key(SecretBytes::zeroed(32)).unwrap();
    let error = MultiKeyring::new(Odd::Panics).on_decrypt(&mut materials, &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[test]
fn all_reasons_of_all_members_are_told() {
    let mut made = encryption_materials();
    MultiKeyring::new(raw("a", 1)).with_child(raw("b", 2)).on_encrypt(&mut made).unwrap();
    let inner = MultiKeyring::without_generator([raw("c", 3)]).unwrap();
    let keyring = MultiKeyring::new(Odd::Fails).with_child(raw("b", 9)).with_child(Odd::DoesNothing).with_child(inner);
    let error = keyring.on_decrypt(&mut decryption_materials(), made.encrypted_data_keys()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "the message can be decrypted once the vault responds");
    let failures = UnwrapFailures::of(&error).unwrap();
    let told: Vec<_> = failures.iter().map(|failure| (failure.provider_id(), failure.reason())).collect();
    let named = |keyring| format!("{keyring}: it was wrapped with the key \"a\", but this keyring has the key");
    let other = |keyring| named(keyring).replace("the key \"a\"", "the key \"b\"");
    let (first, third) = (named("keyring 2") + " \"b\"", named("keyring 4: keyring 1") + " \"c\"");
    let fourth = other("keyring 4: keyring 1") + " \"c\"";
    let expected = [
        (None, "keyring 1: the vault is sealed"),
        (Some("ns"), first.as_str()),
        (Some("ns"), "keyring 2: it was wrapped with another key or for another encryption context, or altered"),
        (None, "keyring 3: it reported no failure but returned no data key"),
        (Some("ns"), third.as_str()),
        (Some("ns"), fourth.as_str()),
    ];
    assert_eq!(told, expected);
    let kinds: Vec<_> = failures.iter().map(UnwrapFailure::kind).collect();
    let (missing, altered) = (ErrorKind::IncorrectKey, ErrorKind::InvalidCiphertext);
    assert_eq!(kinds, [ErrorKind::KeyUnavailable, missing, altered, ErrorKind::Internal, missing, missing]);
    let text = error.to_string();
    assert!(
        text.contains("could be unwrapped: keyring 1: the vault is sealed; key of provider \"ns\": keyring 2"),
        "{text}"
    );
}
