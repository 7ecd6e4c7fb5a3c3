//! Objects of the first version of the client, which are only read.

use aes_gcm::aes::Aes256;
use base64ct::{Base64, Encoding};
use cbc::cipher::block_padding::{NoPadding, Pkcs7};
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use strongroom::crypto::{AeadAlgorithm, CryptoBackend};
use strongroom::envelope::CommitmentPolicy;
use strongroom::request::EncryptRequest;
use strongroom::s3_encryption::{FormatVersion, ObjectCipher, ObjectError};
use strongroom::{EncryptionContext, ErrorKind};

use super::support::{LENGTHS, Pairs, TestResult, World, Wrap, plaintext, read, reason};

const LENIENT: CommitmentPolicy = CommitmentPolicy::RequireEncryptAllowDecrypt;
const DATA_KEY: [u8; 32] = [9; 32];
pub(super) const IV: [u8; 16] = [5; 16];

/// The names with which the first version wrote AES-CBC: of the wrapped key, and of the algorithm.
pub(super) const FORMS: [(&str, Option<&str>); 3] =
    [("x-amz-key", None), ("x-amz-key", Some("AES/CBC/PKCS5Padding")), ("x-amz-key-v2", Some("AES/CBC/PKCS5Padding"))];

pub(super) fn encrypt_cbc(plaintext: &[u8]) -> Vec<u8> {
    let mut buffer = [plaintext, &[0; 16]].concat();
    let cipher = cbc::Encryptor::<Aes256>::new(&DATA_KEY.into(), &IV.into());
    cipher.encrypt_padded::<Pkcs7>(&mut buffer, plaintext.len()).expect("room for the padding").to_vec()
}

/// Returns the metadata of an object whose data key is wrapped in the way of the first version.
pub(super) fn metadata(world: &World, key_name: &str, algorithm: Option<&str>, iv: &[u8]) -> Pairs {
    let id = world.keys[0].to_string();
    let context = EncryptionContext::from([("kms_cmk_id", id.as_str())]);
    let request = EncryptRequest::new(world.keys[0], &DATA_KEY).context(&context);
    let wrapped = world.kms.encrypt(request).expect("a wrapped key").ciphertext_blob;
    let mut pairs = vec![
        (key_name, Base64::encode_string(&wrapped)),
        ("x-amz-wrap-alg", "kms".to_owned()),
        ("x-amz-matdesc", format!(r#"{{"kms_cmk_id":"{id}"}}"#)),
        ("x-amz-iv", Base64::encode_string(iv)),
    ];
    pairs.extend(algorithm.map(|algorithm| ("x-amz-cek-alg", algorithm.to_owned())));
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn lenient(world: &World) -> ObjectCipher {
    let builder = world.builder(Wrap::Kms, LENIENT).accept_kms_without_algorithm().accept_unauthenticated_cbc();
    builder.build().expect("a cipher")
}

#[test]
fn old_objects_are_read_in_both_forms_of_metadata() -> TestResult {
    let (world, none) = (World::new(), EncryptionContext::new());
    for (key_name, algorithm) in FORMS {
        let metadata = read(&metadata(&world, key_name, algorithm, &IV), None)?;
        let version = if key_name == "x-amz-key" { FormatVersion::V1 } else { FormatVersion::V2 };
        assert_eq!(metadata.version(), Some(version));
        for length in LENGTHS {
            assert_eq!(lenient(&world).decrypt(&encrypt_cbc(&plaintext(length)), &metadata, &none)?, plaintext(length));
        }
    }
    Ok(())
}

#[test]
fn authenticated_objects_of_the_old_client_need_no_unauthenticated_mode() -> TestResult {
    let (world, none) = (World::new(), EncryptionContext::new());
    let key = CryptoBackend::default().aead().bind(AeadAlgorithm::Aes256Gcm, &DATA_KEY)?;
    let mut body = vec![0; 20];
    let tag = key.seal(&[5; 12], b"", &plaintext(20), &mut body)?;
    body.extend_from_slice(&tag);
    let mut pairs = metadata(&world, "x-amz-key-v2", Some("AES/GCM/NoPadding"), &IV[..12]);
    pairs.push(("x-amz-tag-len".to_owned(), "128".to_owned()));
    let cipher = world.builder(Wrap::Kms, LENIENT).accept_kms_without_algorithm().build()?;
    assert_eq!(cipher.decrypt(&body, &read(&pairs, None)?, &none)?, plaintext(20));
    let error = world.cipher(Wrap::Kms, LENIENT).decrypt(&body, &read(&pairs, None)?, &none).unwrap_err();
    assert_eq!(reason(&error), Some(ObjectError::KmsWithoutAlgorithm));
    Ok(())
}

#[test]
fn each_choice_is_required() -> TestResult {
    let (world, none) = (World::new(), EncryptionContext::new());
    let metadata = read(&metadata(&world, "x-amz-key", None, &IV), None)?;
    let body = encrypt_cbc(b"text");
    let strict = CommitmentPolicy::default();
    let cases = [
        (world.builder(Wrap::Kms, LENIENT), ObjectError::Unauthenticated),
        (world.builder(Wrap::Kms, LENIENT).accept_kms_without_algorithm(), ObjectError::Unauthenticated),
        (world.builder(Wrap::Kms, LENIENT).accept_unauthenticated_cbc(), ObjectError::KmsWithoutAlgorithm),
        (
            world.builder(Wrap::Kms, strict).accept_kms_without_algorithm().accept_unauthenticated_cbc(),
            ObjectError::NotCommitting,
        ),
    ];
    for (builder, expected) in cases {
        let error = builder.build()?.decrypt(&body, &metadata, &none).unwrap_err();
        assert_eq!((error.kind(), reason(&error)), (ErrorKind::MessagePolicy, Some(expected)));
    }
    // The old wrapping has no context of the caller, so nothing can be expected of it.
    let context = EncryptionContext::from([("object", "a")]);
    let error = lenient(&world).decrypt(&body, &metadata, &context).unwrap_err();
    assert_eq!(reason(&error), Some(ObjectError::ContextMismatch));
    Ok(())
}

/// An attacker must not learn from the error why an object was rejected.
#[test]
fn all_failures_of_cbc_look_alike() -> TestResult {
    let (world, none) = (World::new(), EncryptionContext::new());
    let metadata = read(&metadata(&world, "x-amz-key", None, &IV), None)?;
    let cipher = lenient(&world);
    let raw = |block: [u8; 16]| {
        let mut buffer = block;
        cbc::Encryptor::<Aes256>::new(&DATA_KEY.into(), &IV.into())
            .encrypt_padded::<NoPadding>(&mut buffer, 16)
            .expect("whole blocks")
            .to_vec()
    };
    let with_end = |end: &[u8]| {
        let mut block = [0x41; 16];
        block[16 - end.len()..].copy_from_slice(end);
        block
    };
    let bodies = [
        vec![],
        vec![0; 1],
        vec![0; 17],
        encrypt_cbc(b"text")[..15].to_vec(),
        raw(with_end(&[0])),
        raw(with_end(&[17])),
        raw(with_end(&[1, 2])),
        raw(with_end(&[3, 2, 3])),
        raw([0xff; 16]),
    ];
    let mut texts: Vec<String> = Vec::new();
    for body in &bodies {
        let error = cipher.decrypt(body, &metadata, &none).unwrap_err();
        assert_eq!(reason(&error), Some(ObjectError::NotAuthentic));
        texts.push(format!("{error:?}"));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    Ok(())
}
