use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::context::EncryptionContext;
use crate::crypto::{CryptoBackend, DigestAlgorithm, FASTEST, RUST_CRYPTO};
use crate::seal::{COMMITMENT_LENGTH, CommittingKey, SALT_LENGTH};

const LABEL: &[u8] = b"strongroom blob v1";

/// Returns the values of the worked example, read from the manual page that contains it.
fn worked_example() -> HashMap<&'static str, Vec<u8>> {
    let page = include_str!("../manual/blob_format.md");
    let (_, section) = page.split_once("## Worked example").expect("the page contains the section");
    let block = section.split("```").nth(1).expect("the section contains a code block").strip_prefix("text\n");
    let (mut values, mut name) = (HashMap::<_, Vec<u8>>::new(), "");
    for line in block.expect("the block is UTF-8").lines() {
        let mut words = line.split_whitespace();
        if !line.starts_with(' ') {
            name = words.next().expect("each line starts with a name");
        }
        let value = hex::decode(words.next().expect("each line has a value")).expect("values are hexadecimal");
        values.entry(name).or_default().extend(value);
    }
    values
}

fn prefix_of_example() -> BlobPrefix {
    let key_id = hex::decode("1f0e2d3c4b5a49788796a5b4c3d2e1f0").expect("hexadecimal").try_into();
    BlobPrefix { scheme: Scheme::Committing, key_id: key_id.expect("16 bytes"), key_version: 3 }
}

#[test]
fn every_value_of_the_worked_example_is_what_the_code_makes() -> Result<(), Box<dyn std::error::Error>> {
    let page = worked_example();
    let value = |name: &str| page[name].as_slice();
    let context = EncryptionContext::from([("tenant", "42"), ("purpose", "backup")]).to_canonical_bytes()?;
    let prefix = prefix_of_example().to_bytes();
    assert_eq!((value("prefix"), value("context")), (&prefix[..], &context[..]));
    assert_eq!(value("plaintext"), b"open sesame");
    let salt: &[u8; SALT_LENGTH] = value("salt").try_into()?;

    let hash = FASTEST.digest().digest(DigestAlgorithm::Sha256, &[&prefix, salt, &context]);
    assert_eq!((value("hash"), value("info")), (hash.as_ref(), [LABEL, hash.as_ref()].concat().as_slice()));
    let mut derived = [0; 64];
    FASTEST.kdf().bind(DigestAlgorithm::Sha256, value("material"))?.expand(&[value("info")], &mut derived)?;
    assert_eq!((value("k"), value("commitment")), derived.split_at(32));

    let mut blob = prefix.to_vec();
    let key = CommittingKey::new(&FASTEST, value("material"))?;
    key.seal_with_salt(LABEL, &prefix, &context, salt, value("plaintext"), &mut blob)?;
    let fields = [value("prefix"), value("salt"), value("commitment"), value("ciphertext"), value("tag")];
    assert_eq!(fields.concat(), blob);
    assert_eq!(value("blob"), blob);
    let (parsed, body) = BlobPrefix::parse(&blob)?;
    assert_eq!(parsed, prefix_of_example());
    assert_eq!(key.open(LABEL, &prefix, &context, body)?.expose_secret(), value("plaintext"));
    Ok(())
}

/// A blob of the committing scheme with a plaintext of `length` bytes.
fn sealed(backend: &CryptoBackend, length: usize) -> Vec<u8> {
    let prefix = prefix_of_example().to_bytes();
    let mut blob = prefix.to_vec();
    let key = CommittingKey::new(backend, &[9; 32]).expect("32 bytes");
    key.seal(LABEL, &prefix, b"context", &vec![0x41; length], &mut blob).expect("random bytes are available");
    blob
}

/// Returns `true` if a blob parses and opens.
fn opens(key: &CommittingKey, blob: &[u8]) -> bool {
    BlobPrefix::parse(blob).is_ok_and(|(prefix, body)| key.open(LABEL, &prefix.to_bytes(), b"context", body).is_ok())
}

#[test]
fn every_flipped_bit_every_truncation_and_every_extension_is_refused() -> Result<(), Box<dyn std::error::Error>> {
    for backend in [RUST_CRYPTO, FASTEST] {
        let key = CommittingKey::new(&backend, &[9; 32])?;
        for length in [1, 17] {
            let blob = sealed(&backend, length);
            assert!(opens(&key, &blob));
            for bit in 0..blob.len() * 8 {
                let mut flipped = blob.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(!opens(&key, &flipped), "bit {bit}");
            }
            for end in 0..blob.len() {
                assert!(!opens(&key, &blob[..end]), "truncated to {end}");
            }
            for byte in [0, 1, 0xFF] {
                assert!(!opens(&key, &[&blob[..], &[byte]].concat()), "extended by {byte}");
            }
        }
    }
    Ok(())
}

#[test]
fn length_limits_are_exact() {
    let parse = |scheme: u8, length: usize| {
        let mut blob = vec![0; length];
        for (byte, value) in blob.iter_mut().zip([1, scheme]) {
            *byte = value;
        }
        BlobPrefix::parse(&blob).map(|(_, body)| body.len())
    };
    assert_eq!(parse(1, 0), Err(BlobError::TooShort { length: 0, needed: 22 }));
    assert_eq!(parse(1, 21), Err(BlobError::TooShort { length: 21, needed: 22 }));
    assert_eq!(parse(1, 94), Err(BlobError::TooShort { length: 94, needed: 95 }));
    assert_eq!(parse(1, 95), Ok(73));
    assert_eq!(parse(1, 94 + 4096), Ok(72 + 4096));
    assert_eq!(parse(1, 94 + 4097), Err(BlobError::TooLong { length: 94 + 4097, limit: 94 + 4096 }));
    assert_eq!(parse(2, 22), Err(BlobError::TooShort { length: 22, needed: 23 }));
    assert_eq!(parse(2, 23), Ok(1));
    assert_eq!(parse(2, 6144), Ok(6122));
    assert_eq!(parse(2, 6145), Err(BlobError::TooLong { length: 6145, limit: 6144 }));
    assert_eq!(parse(0, 95), Err(BlobError::Scheme { scheme: 0 }));
    assert_eq!(parse(3, 95), Err(BlobError::Scheme { scheme: 3 }));
}

#[test]
fn another_version_is_named() {
    for version in [0, 2, 255] {
        let mut blob = sealed(&FASTEST, 1);
        blob[0] = version;
        assert_eq!(BlobPrefix::parse(&blob), Err(BlobError::Version { version }));
    }
}

#[test]
fn a_base64_encoded_blob_is_recognised() {
    // The first two bits of a key id affect the third character: try all four values for both
    // schemes, truncated to any length.
    for scheme in [Scheme::Committing, Scheme::Provider] {
        for first in [0x00, 0x40, 0x80, 0xC0] {
            let mut prefix = BlobPrefix { scheme, ..prefix_of_example() };
            prefix.key_id[0] = first;
            let encoded = base64(&prefix.to_bytes());
            for end in 3..encoded.len() {
                assert_eq!(BlobPrefix::parse(&encoded[..end]), Err(BlobError::Base64), "{encoded:?}");
            }
        }
    }
}

/// Encodes complete groups of three bytes in base64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let number = three.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| ALPHABET[number >> shift & 63])
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}

#[test]
fn a_refusal_tells_its_reason() {
    let errors = [
        BlobError::Base64,
        BlobError::EnvelopeMessage,
        BlobError::TooLong { length: 7000, limit: 6144 },
        BlobError::TooShort { length: 1, needed: 22 },
        BlobError::Version { version: 9 },
        BlobError::Scheme { scheme: 9 },
    ];
    for reason in errors {
        let error = Error::from(reason);
        assert_eq!(error.kind(), ErrorKind::InvalidCiphertext);
        assert_eq!(error.to_string(), format!("the bytes are not a ciphertext blob: {reason}"));
        assert_eq!(error.downcast_ref(), Some(&reason));
    }
}

#[test]
fn lengths_are_those_of_the_page() {
    assert_eq!((PREFIX_LENGTH, SALT_LENGTH, COMMITMENT_LENGTH, OVERHEAD, MAX_BLOB_LENGTH), (22, 24, 32, 72, 6144));
}

proptest! {
    #[test]
    fn parsing_is_total(mut blob in prop::collection::vec(any::<u8>(), 0..7000), version in 0_u8..3, scheme in 0_u8..4) {
        let _ = BlobPrefix::parse(&blob).map(|(prefix, _)| prefix.to_bytes());
        if let [first, second, ..] = blob.as_mut_slice() {
            (*first, *second) = (version, scheme);
        }
        if let Ok((prefix, body)) = BlobPrefix::parse(&blob) {
            prop_assert_eq!(&prefix.to_bytes()[..], &blob[..PREFIX_LENGTH]);
            prop_assert_eq!(body, &blob[PREFIX_LENGTH..]);
            prop_assert!(blob.len() <= MAX_BLOB_LENGTH);
        }
    }

    #[test]
    fn what_is_written_is_read(
        committing: bool,
        key_id: [u8; 16],
        key_version: u32,
        body in prop::collection::vec(any::<u8>(), 73..=72 + 4096),
    ) {
        let scheme = if committing { Scheme::Committing } else { Scheme::Provider };
        let prefix = BlobPrefix { scheme, key_id, key_version };
        let blob = [&prefix.to_bytes()[..], &body].concat();
        prop_assert_eq!(BlobPrefix::parse(&blob), Ok((prefix, &body[..])));
    }

    #[test]
    fn what_is_sealed_opens(
        material: [u8; 32],
        context in prop::collection::vec(any::<u8>(), 0..100),
        plaintext in prop::collection::vec(any::<u8>(), 1..=4096),
    ) {
        let prefix = prefix_of_example().to_bytes();
        let mut blob = prefix.to_vec();
        CommittingKey::new(&FASTEST, &material)?.seal(LABEL, &prefix, &context, &plaintext, &mut blob)?;
        let (parsed, body) = BlobPrefix::parse(&blob)?;
        // Open the blob with the other backend: a blob does not depend on the backend that created
        // it.
        let opened = CommittingKey::new(&RUST_CRYPTO, &material)?.open(LABEL, &parsed.to_bytes(), &context, body)?;
        prop_assert_eq!(opened.expose_secret(), &plaintext[..]);
    }
}
