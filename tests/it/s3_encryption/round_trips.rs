//! Every version, wrapping key, length and context.

use std::io::{self, Read};

use strongroom::crypto::RUST_CRYPTO;
use strongroom::envelope::CommitmentPolicy;
use strongroom::s3_encryption::{MIN_PART_BYTES, ObjectCipher, ObjectError, WrappingKey};
use strongroom::{EncryptionContext, ErrorKind, SecretBytes};

use super::support::{LENGTHS, TestResult, VERSIONS, World, Wrap, context, contexts, metadata_of, plaintext, reason};

#[test]
fn every_version_and_wrapping_key_reads_what_it_writes() -> TestResult {
    let world = World::new();
    for ((version, policy), wrap) in VERSIONS.iter().flat_map(|version| Wrap::ALL.map(|wrap| (*version, wrap))) {
        for instruction_files in [false, true] {
            let builder = world.builder(wrap, policy);
            let builder = if instruction_files { builder.instruction_files() } else { builder };
            // One backend reads what the other writes.
            let (writer, reader) = (builder.build()?, world.builder(wrap, policy).backend(RUST_CRYPTO).build()?);
            for (length, context) in LENGTHS.iter().flat_map(|length| contexts(wrap).into_iter().map(|c| (*length, c)))
            {
                let plaintext = plaintext(length);
                let object = writer.encrypt(&plaintext, &context)?;
                assert_eq!(object.body().len(), length + 16);
                assert_eq!(object.instruction_file().is_some(), instruction_files);
                assert!(object.metadata().all(|(name, value)| name.is_ascii() && value.is_ascii()));
                let metadata = metadata_of(&object)?;
                assert_eq!(metadata.version(), Some(version));
                assert_eq!(reader.decrypt(object.body(), &metadata, &context)?, plaintext);

                let streamed = writer.encrypt_from(&plaintext[..], &context)?;
                let metadata = metadata_of(&streamed)?;
                let mut read = Vec::new();
                reader.reader(streamed.body(), &metadata, &context)?.read_to_end(&mut read)?;
                assert_eq!(read, plaintext);
                read.clear();
                let written = reader.decrypt_to(streamed.body(), &metadata, &context, &mut read)?;
                assert_eq!((read, usize::try_from(written)?), (plaintext, length));
            }
        }
    }
    Ok(())
}

#[test]
fn every_length_of_a_raw_aes_key_works() -> TestResult {
    let none = EncryptionContext::new();
    for length in [16, 24, 32] {
        let cipher = ObjectCipher::new(WrappingKey::aes(SecretBytes::copy_from_slice(&[3; 32][..length]))?);
        let object = cipher.encrypt(b"text", &none)?;
        assert_eq!(cipher.decrypt(object.body(), &metadata_of(&object)?, &none)?, b"text");
    }
    assert_eq!(WrappingKey::aes(SecretBytes::zeroed(31)).unwrap_err().kind(), ErrorKind::Validation);
    Ok(())
}

#[test]
fn parts_are_the_body_with_the_tag_in_the_last() -> TestResult {
    let world = World::new();
    let cipher = world.cipher(Wrap::Kms, CommitmentPolicy::default());
    for length in [0, 1, MIN_PART_BYTES - 17, MIN_PART_BYTES - 16, MIN_PART_BYTES, 2 * MIN_PART_BYTES + 1] {
        let object = cipher.encrypt(&plaintext(length), &EncryptionContext::new())?;
        let parts: Vec<&[u8]> = object.parts(MIN_PART_BYTES)?.collect();
        assert_eq!(parts.concat(), object.body());
        let (last, others) = parts.split_last().expect("at least the tag");
        assert!(others.iter().all(|part| part.len() == MIN_PART_BYTES) && !last.is_empty());
    }
    Ok(())
}

/// A source that fails after some bytes, or that returns one byte at a time.
struct Slow<'a>(&'a [u8], Option<io::ErrorKind>);

impl Read for Slow<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        match (self.0.split_first(), self.1, output.first_mut()) {
            (Some((byte, rest)), _, Some(first)) => {
                *first = *byte;
                self.0 = rest;
                Ok(1)
            }
            (None, Some(kind), _) => Err(kind.into()),
            _ => Ok(0),
        }
    }
}

#[test]
fn streams_are_limited_and_fail_with_their_source() -> TestResult {
    let (world, limit) = (World::new(), 100_000_usize);
    let cipher = world.builder(Wrap::Kms, CommitmentPolicy::default()).max_buffered_bytes(100_000).build()?;
    let context = context(Wrap::Kms);
    for length in [limit - 1, limit, limit + 1] {
        let plaintext = plaintext(length);
        let object = cipher.encrypt(&plaintext, &context)?; // in memory, so not limited
        let metadata = metadata_of(&object)?;
        let streamed = cipher.encrypt_from(Slow(&plaintext, None), &context);
        let read = cipher.decrypt_to(Slow(object.body(), None), &metadata, &context, io::sink());
        if length <= limit {
            streamed?;
            assert_eq!(usize::try_from(read?)?, length);
        } else {
            let too_long = |limit: u64| Some(ObjectError::TooLong { what: "content", limit });
            assert_eq!(reason(&streamed.unwrap_err()), too_long(100_000));
            assert_eq!(reason(&read.unwrap_err()), too_long(100_016));
        }
    }
    let broken = cipher.encrypt_from(Slow(&[7; 10], Some(io::ErrorKind::ConnectionReset)), &context).unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::Io);
    assert_eq!(broken.downcast_ref::<io::Error>().map(io::Error::kind), Some(io::ErrorKind::ConnectionReset));
    Ok(())
}

#[test]
fn metadata_that_is_not_allowed_is_rejected_before_the_body_is_read() -> TestResult {
    let world = World::new();
    let object = world.cipher(Wrap::Aes, VERSIONS[0].1).encrypt(b"text", &EncryptionContext::new())?;
    let strict = world.cipher(Wrap::Aes, CommitmentPolicy::default());
    let unreadable = || Slow(&[], Some(io::ErrorKind::ConnectionReset));
    let error = strict.reader(unreadable(), &metadata_of(&object)?, &EncryptionContext::new()).unwrap_err();
    assert_eq!(reason(&error), Some(ObjectError::NotCommitting));
    Ok(())
}

#[test]
fn each_object_has_its_own_key() -> TestResult {
    let world = World::new();
    for ((_, policy), wrap) in VERSIONS.iter().flat_map(|version| Wrap::ALL.map(|wrap| (*version, wrap))) {
        let (cipher, context) = (world.cipher(wrap, policy), context(wrap));
        let [one, two] = [cipher.encrypt(b"same text", &context)?, cipher.encrypt(b"same text", &context)?];
        assert_ne!(one.body(), two.body());
        assert!(cipher.decrypt(one.body(), &metadata_of(&two)?, &context).is_err());
    }
    Ok(())
}

#[test]
fn debug_output_contains_no_key() -> TestResult {
    let world = World::new();
    for wrap in Wrap::ALL {
        let cipher = world.cipher(wrap, CommitmentPolicy::default());
        let object = cipher.encrypt(b"attack at dawn", &EncryptionContext::new())?;
        let reader = cipher.reader(object.body(), &metadata_of(&object)?, &EncryptionContext::new())?;
        let text = format!("{cipher:?} {reader:?} {:?}", world.builder(wrap, CommitmentPolicy::default()));
        assert!(!text.contains("attack") && !text.contains("[0, 0") && text.len() < 2_000, "{text}");
    }
    Ok(())
}
