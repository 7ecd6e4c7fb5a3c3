//! Rules for single values of the metadata.

use strongroom::EncryptionContext;
use strongroom::envelope::CommitmentPolicy;
use strongroom::s3_encryption::{ContentAlgorithm, FormatVersion, ObjectError, ObjectMetadata, WrapAlgorithm};

use super::support::{Pairs, TestResult, VERSIONS, World, Wrap, context, pairs_of, read};

const KEY: &str = "AAAA";
const ID: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

fn version_2() -> Pairs {
    owned(&[
        ("x-amz-key-v2", KEY),
        ("x-amz-wrap-alg", "kms+context"),
        ("x-amz-matdesc", r#"{"aws:x-amz-cek-alg":"AES/GCM/NoPadding"}"#),
        ("x-amz-iv", "AAAAAAAAAAAAAAAA"),
        ("x-amz-cek-alg", "AES/GCM/NoPadding"),
        ("x-amz-tag-len", "128"),
    ])
}

fn version_3() -> Pairs {
    owned(&[
        ("x-amz-3", KEY),
        ("x-amz-w", "12"),
        ("x-amz-t", r#"{"aws:x-amz-cek-alg":"115"}"#),
        ("x-amz-c", "115"),
        ("x-amz-i", ID),
        ("x-amz-d", ID),
    ])
}

fn owned(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn with(mut pairs: Pairs, name: &str, value: &str) -> Result<ObjectMetadata, ObjectError> {
    match pairs.iter_mut().find(|(found, _)| found == name) {
        Some(pair) => value.clone_into(&mut pair.1),
        None => pairs.push((name.to_owned(), value.to_owned())),
    }
    read(&pairs, None)
}

#[test]
fn complete_metadata_is_described() -> TestResult {
    let two = read(&version_2(), None)?;
    assert_eq!((two.version(), two.content_algorithm()), (Some(FormatVersion::V2), Some(ContentAlgorithm::Aes256Gcm)));
    let three = read(&version_3(), None)?;
    assert_eq!(three.content_algorithm(), Some(ContentAlgorithm::Aes256GcmCommitting));
    for (code, wrap) in
        [("12", WrapAlgorithm::KmsContext), ("02", WrapAlgorithm::AesGcm), ("22", WrapAlgorithm::RsaOaepSha1)]
    {
        assert_eq!(with(version_3(), "x-amz-w", code)?.wrap_algorithm(), Some(wrap));
        assert_eq!(with(version_2(), "x-amz-wrap-alg", wrap.as_str())?.wrap_algorithm(), Some(wrap));
    }
    // Names of headers are case-insensitive, and other metadata does not matter.
    let upper: Vec<_> = version_3().into_iter().map(|(name, value)| (name.to_uppercase(), value)).collect();
    assert_eq!(read(&upper, None)?, three);
    assert_eq!(with(version_3(), "owner", "ada")?, three);
    assert_eq!(with(version_3(), "x-amz-unencrypted-content-length", "17")?, three);
    Ok(())
}

/// Metadata, the name of a value, and malformed values.
type Case = (fn() -> Pairs, &'static str, &'static [&'static str]);

#[test]
fn malformed_values_are_rejected_by_name() {
    let cases: [Case; 11] = [
        (version_3, "x-amz-3", &["!", "AAA", "AA==\n"]),
        (version_3, "x-amz-w", &["", "12 ", "32", "kms+context"]),
        (version_3, "x-amz-t", &["", "[]", r#"{"a":1}"#, r#"{"a":"b","a":"b"}"#, "=?UTF-8?X?e30=?="]),
        (version_3, "x-amz-c", &["", "114", "0115", "AES/GCM/NoPadding"]),
        (version_3, "x-amz-i", &["", "AAAA", KEY, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=="]),
        (version_3, "x-amz-d", &["", "AAAA"]),
        (version_2, "x-amz-iv", &["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA=="]),
        (version_2, "x-amz-tag-len", &["", "96", "0128", "128 "]),
        (version_2, "x-amz-cek-alg", &["", "115", "AES/CTR/NoPadding", "aes/gcm/nopadding"]),
        (version_2, "x-amz-wrap-alg", &["", "12", "AESWrap", "RSA", "KMS"]),
        (version_2, "x-amz-matdesc", &["", "{", "null"]),
    ];
    for (pairs, name, values) in cases {
        for value in values {
            let error = with(pairs(), name, value).expect_err(name);
            let named = matches!(error, ObjectError::Malformed { name: found, .. } | ObjectError::Unsupported { name: found, .. } if found == name);
            assert!(named, "{name} {value:?} {error}");
            assert!(
                value.is_empty() || *value == "128 " || !error.to_string().contains(&format!("\"{value}\"")),
                "{error}"
            );
        }
    }
}

#[test]
fn missing_and_repeated_names_are_rejected() {
    for (pairs, optional) in [(version_2(), "x-amz-matdesc"), (version_3(), "x-amz-t")] {
        for index in 0..pairs.len() {
            let (name, value) = pairs[index].clone();
            let mut without = pairs.clone();
            without.remove(index);
            let result = read(&without, None);
            // Without the wrapped key, the metadata is that of an object with an instruction file.
            if ["x-amz-key-v2", "x-amz-3", optional].contains(&name.as_str()) {
                assert!(result.is_ok_and(|metadata| metadata.needs_instruction_file() == (name != optional)));
            } else {
                assert!(
                    matches!(result, Err(ObjectError::Missing { name: found }) if found == name),
                    "{name} {result:?}"
                );
            }
            for repeated in [name.clone(), name.to_uppercase()] {
                let twice: Vec<_> = pairs.iter().cloned().chain([(repeated, value.clone())]).collect();
                assert!(matches!(read(&twice, None), Err(ObjectError::Repeated { name: found }) if found == name));
            }
        }
    }
    assert!(matches!(with(version_2(), "x-amz-key", KEY), Err(ObjectError::MixedVersions { .. })));
    assert!(matches!(with(version_2(), "x-amz-3", KEY), Err(ObjectError::MixedVersions { .. })));
    assert!(matches!(with(version_3(), "x-amz-key", KEY), Err(ObjectError::MixedVersions { .. })));
}

/// S3 returns metadata outside ASCII in its own encoding, and other clients write such metadata.
#[test]
fn contexts_outside_ascii_are_decoded() -> TestResult {
    let expected = EncryptionContext::from([("Straße", "日本"), ("aws:x-amz-cek-alg", "115")]);
    let json = r#"{"Straße":"日本","aws:x-amz-cek-alg":"115"}"#;
    // Each byte of the UTF-8 as a character, whose UTF-8 is encoded.
    let twice: String = json.bytes().map(char::from).collect();
    let base64 = |text: &str| <base64ct::Base64 as base64ct::Encoding>::encode_string(text.as_bytes());
    let quoted = |text: &str| text.bytes().map(|byte| format!("={byte:02X}")).collect::<String>();
    let escaped = r#"{"Stra\u00dfe":"\u65e5\u672c","aws:x-amz-cek-alg":"115"}"#;
    for value in [
        json.to_owned(),
        escaped.to_owned(),
        format!("=?UTF-8?B?{}?=", base64(&twice)),
        format!("=?UTF-8?Q?{}?=", quoted(&twice)),
        format!("=?UTF-8?B?{}?=", base64(json)),
        // The words are separated within a character.
        format!("=?UTF-8?Q?{}?= =?UTF-8?Q?{}?=", &quoted(&twice)[..27], &quoted(&twice)[27..]),
    ] {
        assert_eq!(with(version_3(), "x-amz-t", &value)?.description(), Some(&expected), "{value}");
    }
    Ok(())
}

#[test]
fn an_object_is_read_with_its_context_in_the_encoding_of_s3() -> TestResult {
    let world = World::new();
    let context = EncryptionContext::from([("Straße", "日本 \u{1F511}")]);
    for (_, policy) in VERSIONS {
        let cipher = world.cipher(Wrap::Kms, policy);
        let object = cipher.encrypt(b"text", &context)?;
        let mut pairs = pairs_of(&object);
        let pair =
            pairs.iter_mut().find(|(name, _)| name == "x-amz-t" || name == "x-amz-matdesc").ok_or("a context")?;
        let map: serde_json::Value = serde_json::from_str(&pair.1)?;
        let as_characters: String = map.to_string().bytes().map(char::from).collect();
        pair.1 = format!(
            "=?UTF-8?B?{}?=",
            <base64ct::Base64 as base64ct::Encoding>::encode_string(as_characters.as_bytes())
        );
        assert_eq!(cipher.decrypt(object.body(), &read(&pairs, None)?, &context)?, b"text");
    }
    Ok(())
}

/// The layout of the format, as in its specification.
#[test]
fn written_metadata_has_the_names_of_its_version() -> TestResult {
    let world = World::new();
    let names = |wrap, policy: CommitmentPolicy| -> Result<Vec<String>, strongroom::Error> {
        let object = world.cipher(wrap, policy).encrypt(b"text", &context(wrap))?;
        Ok(pairs_of(&object).into_iter().map(|(name, _)| name).collect())
    };
    for wrap in Wrap::ALL {
        let map = if wrap == Wrap::Kms { "x-amz-t" } else { "x-amz-m" };
        assert_eq!(names(wrap, VERSIONS[1].1)?, ["x-amz-c", "x-amz-w", "x-amz-3", map, "x-amz-i", "x-amz-d"]);
        let version_2 =
            ["x-amz-key-v2", "x-amz-wrap-alg", "x-amz-matdesc", "x-amz-iv", "x-amz-cek-alg", "x-amz-tag-len"];
        assert_eq!(names(wrap, VERSIONS[0].1)?, version_2);
    }
    Ok(())
}
