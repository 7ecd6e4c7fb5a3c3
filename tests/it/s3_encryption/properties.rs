//! Properties of objects and of the parser.

use proptest::prelude::*;
use strongroom::EncryptionContext;
use strongroom::s3_encryption::{FormatVersion, ObjectMetadata};

use super::support::{VERSIONS, World, Wrap, metadata_of, pairs_of, read};

fn context() -> impl Strategy<Value = EncryptionContext> {
    let pairs = proptest::collection::vec((any::<String>(), any::<String>()), 0..4);
    pairs.prop_map(|pairs| pairs.into_iter().filter(|(name, _)| !name.is_empty()).collect())
}

/// Names of the format, in different cases, and others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["x-amz-(key|key-v2|3|w|c|d|i|t|m|iv|wrap-alg|cek-alg|matdesc|tag-len)", "X-AMZ-[3CDIMTW]", ".{0,12}"]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9+/]{0,40}={0,2}",
        "(12|02|22|115|128|kms|kms\\+context|AES/GCM|AES/GCM/NoPadding|AES/CBC/PKCS5Padding)",
        "\\{(\"[a-z]\": ?\"[a-z]\",?){0,2}\\}",
        "=\\?UTF-8\\?[QB]\\?[A-Za-z0-9=_]{0,12}\\?=",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn objects_with_any_content_and_context_are_read(
        plaintext in proptest::collection::vec(any::<u8>(), 0..200),
        context in context(),
        version in 0..2_usize,
        instruction_files: bool,
    ) {
        let world = World::new();
        let builder = world.builder(Wrap::Kms, VERSIONS[version].1);
        let cipher = if instruction_files { builder.instruction_files() } else { builder }.build().unwrap();
        let object = cipher.encrypt(&plaintext, &context).unwrap();
        let metadata = metadata_of(&object).unwrap();
        prop_assert_eq!(cipher.decrypt(object.body(), &metadata, &context).unwrap(), plaintext);
        // The metadata is a fixed point: what was read is what was written.
        let stored: EncryptionContext = metadata.description().unwrap().iter()
            .filter(|(name, _)| *name != "aws:x-amz-cek-alg").collect();
        prop_assert_eq!(stored, context);
    }

    #[test]
    fn one_changed_bit_is_detected(
        length in 0..100_usize,
        at: prop::sample::Index,
        bit in 0..8_u8,
        version in 0..2_usize,
    ) {
        let world = World::new();
        let cipher = world.cipher(Wrap::Aes, VERSIONS[version].1);
        let object = cipher.encrypt(&vec![7; length], &EncryptionContext::new()).unwrap();
        let mut body = object.body().to_vec();
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        prop_assert!(cipher.decrypt(&body, &metadata_of(&object).unwrap(), &EncryptionContext::new()).is_err());
    }

    #[test]
    fn any_metadata_is_parsed_or_rejected(
        pairs in proptest::collection::vec((name(), value()), 0..12),
        file in proptest::option::of(prop_oneof![any::<String>(), "\\{(\"x-amz-[3wt]\": ?\"[a-z0-9]{0,4}\",?){0,3}\\}"]),
    ) {
        if let Ok(metadata) = read(&pairs, file.as_deref()) {
            prop_assert_eq!(metadata.version().is_none(), metadata.needs_instruction_file());
            prop_assert_eq!(metadata.description().is_none(), metadata.needs_instruction_file());
            if metadata.version() == Some(FormatVersion::V3) {
                prop_assert!(pairs.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-amz-d")));
            }
        }
    }

    #[test]
    fn other_metadata_and_the_order_do_not_matter(
        others in proptest::collection::vec(("[a-w]{1,8}", any::<String>()), 0..4),
        seed in 0..7_u8,
    ) {
        let world = World::new();
        let object = world.cipher(Wrap::Aes, VERSIONS[1].1).encrypt(b"text", &EncryptionContext::new()).unwrap();
        let expected = metadata_of(&object).unwrap();
        let mut pairs = pairs_of(&object);
        pairs.extend(others);
        let middle = usize::from(seed).min(pairs.len());
        pairs.rotate_left(middle);
        prop_assert_eq!(ObjectMetadata::from_pairs(pairs).unwrap(), expected);
    }
}
