//! Altered objects, wrong keys, wrong contexts, and downgrades.

use strongroom::envelope::CommitmentPolicy;
use strongroom::s3_encryption::{ObjectCipher, ObjectError, WrappingKey};
use strongroom::{EncryptionContext, ErrorKind};

use super::support::{TestResult, VERSIONS, World, Wrap, context, metadata_of, pairs_of, plaintext, read, reason};

/// Reads every object that its policy could allow.
const LENIENT: CommitmentPolicy = CommitmentPolicy::RequireEncryptAllowDecrypt;

fn lenient(world: &World, wrap: Wrap) -> ObjectCipher {
    let builder = world.builder(wrap, LENIENT).accept_kms_without_algorithm().accept_unauthenticated_cbc();
    builder.build().expect("a cipher")
}

#[test]
fn every_changed_or_missing_byte_of_the_body_is_detected() -> TestResult {
    let world = World::new();
    for ((version, policy), wrap) in VERSIONS.iter().flat_map(|version| Wrap::ALL.map(|wrap| (*version, wrap))) {
        let (cipher, context) = (lenient(&world, wrap), context(wrap));
        let object = world.cipher(wrap, policy).encrypt(&plaintext(40), &context)?;
        let metadata = metadata_of(&object)?;
        let rejected = |body: &[u8]| {
            let error = cipher.decrypt(body, &metadata, &context).expect_err("an altered object");
            assert_eq!(reason(&error), Some(ObjectError::NotAuthentic), "{version:?} {wrap:?}");
        };
        for index in 0..object.body().len() {
            let mut body = object.body().to_vec();
            body[index] ^= 0x80;
            rejected(&body);
            rejected(&object.body()[..index]);
            rejected(&object.body()[index + 1..]);
        }
        rejected(&[object.body(), &[0]].concat());
        assert_eq!(cipher.decrypt(object.body(), &metadata, &context)?, plaintext(40));
    }
    Ok(())
}

#[test]
fn every_changed_character_of_the_metadata_is_detected() -> TestResult {
    let world = World::new();
    for ((version, policy), wrap) in VERSIONS.iter().flat_map(|version| Wrap::ALL.map(|wrap| (*version, wrap))) {
        let (cipher, context) = (lenient(&world, wrap), context(wrap));
        let object = world.cipher(wrap, policy).encrypt(b"text", &context)?;
        let pairs = pairs_of(&object);
        // RSA is slow.
        let bits: &[u8] = if wrap == Wrap::Rsa { &[1] } else { &[1, 2, 4, 8, 16, 32, 64] };
        for (pair, (name, value)) in pairs.iter().enumerate() {
            for (index, bit) in (0..value.len()).flat_map(|index| bits.iter().map(move |bit| (index, bit))) {
                let mut bytes = value.clone().into_bytes();
                bytes[index] ^= bit;
                let mut altered = pairs.clone();
                altered[pair].1 = String::from_utf8(bytes)?;
                let result = read(&altered, None)
                    .map_err(Into::into)
                    .and_then(|metadata| cipher.decrypt(object.body(), &metadata, &context));
                // The material description of a raw key is neither secret nor authenticated.
                let is_description = wrap != Wrap::Kms && ["x-amz-m", "x-amz-matdesc"].contains(&name.as_str());
                match result {
                    Ok(plaintext) => {
                        assert!(is_description && plaintext == b"text", "{version:?} {wrap:?} {name} {index} {bit}");
                    }
                    Err(error) => assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
                }
            }
            let mut without = pairs.clone();
            without.remove(pair);
            let result = read(&without, None)
                .map_err(Into::into)
                .and_then(|metadata| cipher.decrypt(object.body(), &metadata, &context));
            let is_description = wrap != Wrap::Kms && ["x-amz-m", "x-amz-matdesc"].contains(&name.as_str());
            assert_eq!(result.is_ok(), is_description, "{version:?} {wrap:?} without {name}");
        }
    }
    Ok(())
}

#[test]
fn another_key_is_rejected() -> TestResult {
    let world = World::new();
    for ((_, policy), wrap) in VERSIONS.iter().flat_map(|version| Wrap::ALL.map(|wrap| (*version, wrap))) {
        let object = world.cipher(wrap, policy).encrypt(b"text", &context(wrap))?;
        let metadata = metadata_of(&object)?;
        let other = ObjectCipher::builder(world.key(wrap, 1)).commitment_policy(LENIENT).build()?;
        let error = other.decrypt(object.body(), &metadata, &context(wrap)).unwrap_err();
        match wrap {
            Wrap::Kms => assert_eq!(error.kind(), ErrorKind::IncorrectKey),
            Wrap::Aes | Wrap::Rsa => assert_eq!(reason(&error), Some(ObjectError::NotAuthentic)),
        }
        for kind in Wrap::ALL.into_iter().filter(|kind| *kind != wrap) {
            let error = world.cipher(kind, LENIENT).decrypt(object.body(), &metadata, &context(kind)).unwrap_err();
            assert!(matches!(reason(&error), Some(ObjectError::OtherWrap { .. })), "{wrap:?} {kind:?} {error}");
            assert_eq!(error.kind(), ErrorKind::IncorrectKey);
        }
    }
    Ok(())
}

#[test]
fn another_context_is_rejected_and_reserved_names_are_refused() -> TestResult {
    let world = World::new();
    for (_, policy) in VERSIONS {
        let cipher = world.cipher(Wrap::Kms, policy);
        let context = EncryptionContext::from([("object", "a"), ("owner", "ada")]);
        let object = cipher.encrypt(b"text", &context)?;
        let metadata = metadata_of(&object)?;
        let others = [
            EncryptionContext::new(),
            EncryptionContext::from([("object", "a")]),
            EncryptionContext::from([("object", "b"), ("owner", "ada")]),
            EncryptionContext::from([("object", "a"), ("owner", "ada"), ("more", "")]),
        ];
        for other in others {
            let error = cipher.decrypt(object.body(), &metadata, &other).unwrap_err();
            assert_eq!(reason(&error), Some(ObjectError::ContextMismatch));
            assert_eq!(error.kind(), ErrorKind::ContextMismatch);
            assert!(!error.to_string().contains("ada"), "{error}");
        }
        for name in ["aws:x-amz-cek-alg", "kms_cmk_id"] {
            let reserved = context.clone().with(name, "115");
            let refused = [
                cipher.encrypt(b"text", &reserved).map(|_| ()),
                cipher.decrypt(object.body(), &metadata, &reserved).map(|_| ()),
            ];
            for error in refused.map(Result::unwrap_err) {
                assert!(error.kind() == ErrorKind::Validation && error.to_string().contains(name), "{error}");
            }
        }
    }
    Ok(())
}

/// An attacker rewrites the metadata of an object of version 3 as version 2, where nothing commits
/// to the key, or as an older version, where nothing is authenticated.
#[test]
fn an_object_cannot_be_downgraded() -> TestResult {
    let world = World::new();
    for wrap in Wrap::ALL {
        let context = context(wrap);
        let object = world.cipher(wrap, CommitmentPolicy::default()).encrypt(&plaintext(64), &context)?;
        let pairs = pairs_of(&object);
        let value = |name: &str| pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let (key, context_json) =
            (value("x-amz-3").ok_or("a key")?, value("x-amz-t").or(value("x-amz-m")).ok_or("a map")?);
        let name = match wrap {
            Wrap::Kms => "kms+context",
            Wrap::Aes => "AES/GCM",
            Wrap::Rsa => "RSA-OAEP-SHA1",
        };
        let gcm = |map: &str| {
            [
                ("x-amz-key-v2", key),
                ("x-amz-wrap-alg", name),
                ("x-amz-matdesc", map),
                ("x-amz-iv", "AQEBAQEBAQEBAQEB"),
                ("x-amz-cek-alg", "AES/GCM/NoPadding"),
                ("x-amz-tag-len", "128"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        // With the context of version 3, and with that of version 2, which the KMS does not accept.
        let renamed = context_json.replace("\"115\"", "\"AES/GCM/NoPadding\"");
        for map in [context_json, &renamed] {
            let metadata = read(&gcm(map), None)?;
            let strict = world.cipher(wrap, CommitmentPolicy::default());
            let error = strict.decrypt(object.body(), &metadata, &context).unwrap_err();
            assert_eq!(reason(&error), Some(ObjectError::NotCommitting));
            let error = lenient(&world, wrap).decrypt(object.body(), &metadata, &context).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidCiphertext, "{wrap:?} {map} {error}");
        }
        // Names of both versions.
        let both: Vec<_> = pairs.iter().cloned().chain(gcm(context_json)).collect();
        assert!(matches!(read(&both, None), Err(ObjectError::MixedVersions { .. })));
        for added in gcm(context_json) {
            let one: Vec<_> = pairs.iter().cloned().chain([added]).collect();
            assert!(matches!(read(&one, None), Err(ObjectError::MixedVersions { .. })));
        }
        if wrap != Wrap::Kms {
            continue;
        }
        // AES-CBC with the wrapping algorithm that does not bind the algorithm.
        for (version, algorithm) in [("x-amz-key", None), ("x-amz-key-v2", Some("AES/CBC/PKCS5Padding"))] {
            let mut cbc = vec![(version, key), ("x-amz-wrap-alg", "kms"), ("x-amz-matdesc", context_json)];
            cbc.push(("x-amz-iv", "AQEBAQEBAQEBAQEBAQEBAQ=="));
            cbc.extend(algorithm.map(|algorithm| ("x-amz-cek-alg", algorithm)));
            let cbc: Vec<_> = cbc.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let metadata = read(&cbc, None)?;
            let none = EncryptionContext::new();
            let error = lenient(&world, wrap).decrypt(object.body(), &metadata, &none).unwrap_err();
            assert_eq!(reason(&error), Some(ObjectError::AlgorithmMismatch));
            let error = lenient(&world, wrap).decrypt(object.body(), &metadata, &context).unwrap_err();
            assert_eq!(reason(&error), Some(ObjectError::ContextMismatch));
        }
    }
    Ok(())
}

/// An attacker with the public key of an RSA pair, or with permission to encrypt, can write objects,
/// but not ones in which the data key has another length.
#[test]
fn a_data_key_of_another_length_is_rejected() -> TestResult {
    let world = World::new();
    let context = EncryptionContext::new();
    let stored = EncryptionContext::from([("aws:x-amz-cek-alg", "115")]);
    let object = world.cipher(Wrap::Kms, CommitmentPolicy::default()).encrypt(b"text", &context)?;
    let request = strongroom::request::EncryptRequest::new(world.keys[0], &[7; 16]).context(&stored);
    let wrapped = world.kms.encrypt(request)?.ciphertext_blob;
    let mut pairs = pairs_of(&object);
    let key = pairs.iter_mut().find(|(name, _)| name == "x-amz-3").ok_or("a key")?;
    key.1 = <base64ct::Base64 as base64ct::Encoding>::encode_string(&wrapped);
    let error = lenient(&world, Wrap::Kms).decrypt(object.body(), &read(&pairs, None)?, &context).unwrap_err();
    assert_eq!(reason(&error), Some(ObjectError::NotAuthentic));
    Ok(())
}

#[test]
fn previous_keys_and_descriptions_belong_to_one_kind_of_key() -> TestResult {
    let world = World::new();
    let description = EncryptionContext::from([("key", "2026")]);
    assert!(world.key(Wrap::Kms, 0).material_description(description.clone()).is_err());
    assert!(world.key(Wrap::Kms, 0).previous_key("alias/old").is_err());
    for wrap in [Wrap::Aes, Wrap::Rsa] {
        assert!(world.key(wrap, 0).previous_key(world.keys[0]).is_err());
        let cipher = ObjectCipher::new(world.key(wrap, 0).material_description(description.clone())?);
        let object = cipher.encrypt(b"text", &EncryptionContext::new())?;
        assert_eq!(metadata_of(&object)?.description(), Some(&description));
        assert_eq!(cipher.encrypt(b"text", &description).unwrap_err().kind(), ErrorKind::Validation);
        let error = cipher.decrypt(object.body(), &metadata_of(&object)?, &description).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation);
    }
    let rotated = WrappingKey::kms(&world.kms, world.keys[1])?.previous_key(world.keys[0])?;
    let object = world.cipher(Wrap::Kms, CommitmentPolicy::default()).encrypt(b"text", &EncryptionContext::new())?;
    let opened = ObjectCipher::new(rotated).decrypt(object.body(), &metadata_of(&object)?, &EncryptionContext::new());
    assert_eq!(opened?, b"text");
    Ok(())
}
