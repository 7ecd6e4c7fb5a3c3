//! Instruction files that are missing, swapped, altered, or misplaced.

use strongroom::envelope::CommitmentPolicy;
use strongroom::s3_encryption::{ObjectError, ObjectMetadata};

use super::support::{TestResult, VERSIONS, World, Wrap, context, metadata_of, pairs_of, plaintext, read, reason};

const LENIENT: CommitmentPolicy = CommitmentPolicy::RequireEncryptAllowDecrypt;

#[test]
fn instruction_files_of_two_objects_cannot_be_swapped() -> TestResult {
    let world = World::new();
    for ((version, policy), wrap) in VERSIONS.iter().flat_map(|version| Wrap::ALL.map(|wrap| (*version, wrap))) {
        let cipher = world.builder(wrap, policy).instruction_files().build()?;
        let [one, two] =
            [cipher.encrypt(&plaintext(40), &context(wrap))?, cipher.encrypt(&plaintext(40), &context(wrap))?];
        let metadata = read(&pairs_of(&one), two.instruction_file())?;
        let error = world.cipher(wrap, LENIENT).decrypt(one.body(), &metadata, &context(wrap)).unwrap_err();
        assert_eq!(reason(&error), Some(ObjectError::NotAuthentic), "{version:?} {wrap:?}");
    }
    Ok(())
}

#[test]
fn every_changed_byte_of_an_instruction_file_is_detected() -> TestResult {
    let world = World::new();
    for ((version, policy), wrap) in
        VERSIONS.iter().flat_map(|version| [Wrap::Kms, Wrap::Aes].map(|wrap| (*version, wrap)))
    {
        let (cipher, context) = (world.cipher(wrap, LENIENT), context(wrap));
        let object = world.builder(wrap, policy).instruction_files().build()?.encrypt(b"text", &context)?;
        let file = object.instruction_file().ok_or("a file")?;
        let decrypt = |file: &str| {
            let metadata = read(&pairs_of(&object), Some(file))?;
            cipher.decrypt(object.body(), &metadata, &context)
        };
        assert_eq!(decrypt(file)?, b"text");
        // A raw key does not authenticate its description, so a change of its braces may only be
        // detected by the parser.
        for (index, bit) in (0..file.len()).flat_map(|index| [1, 4, 16, 64].map(|bit| (index, bit))) {
            let mut bytes = file.as_bytes().to_vec();
            bytes[index] ^= bit;
            assert!(decrypt(&String::from_utf8(bytes)?).is_err(), "{version:?} {wrap:?} {index} {bit} {file}");
        }
        for end in 0..file.len() {
            assert!(decrypt(&file[..end]).is_err());
        }
        assert!(decrypt(&format!("{file} ")).is_ok(), "whitespace has no meaning in JSON");
        assert!(decrypt(&format!("{file}{{}}")).is_err());
    }
    Ok(())
}

#[test]
fn names_in_the_wrong_place_are_rejected() -> TestResult {
    let world = World::new();
    let cipher = world.builder(Wrap::Kms, CommitmentPolicy::default()).instruction_files().build()?;
    let object = cipher.encrypt(b"text", &context(Wrap::Kms))?;
    let (pairs, file) = (pairs_of(&object), object.instruction_file().ok_or("a file")?);
    assert_eq!(pairs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-amz-c", "x-amz-i", "x-amz-d"]);
    // The content of version 3 belongs into the metadata, where a file cannot replace it.
    for (name, value) in &pairs {
        let moved: Vec<_> = pairs.iter().filter(|(other, _)| other != name).cloned().collect();
        let into_file = format!("{},\"{name}\":\"{value}\"}}", file.trim_end_matches('}'));
        for pairs in [&pairs, &moved] {
            let error = read(pairs, Some(&into_file)).unwrap_err();
            assert!(matches!(error, ObjectError::Misplaced { name: found } if found == name), "{error}");
        }
    }
    // The wrapped key belongs into the file.
    let extra: Vec<_> = pairs.iter().cloned().chain([("x-amz-w".to_owned(), "12".to_owned())]).collect();
    assert_eq!(read(&extra, Some(file)), Err(ObjectError::Misplaced { name: "x-amz-w" }));
    // Version 2 has everything in the file.
    let old =
        world.builder(Wrap::Kms, VERSIONS[0].1).instruction_files().build()?.encrypt(b"text", &context(Wrap::Kms))?;
    let old_file = old.instruction_file().ok_or("a file")?;
    assert_eq!(pairs_of(&old), []);
    let iv = [("x-amz-iv".to_owned(), "AQEBAQEBAQEBAQEB".to_owned())];
    assert_eq!(read(&iv, Some(old_file)), Err(ObjectError::Misplaced { name: "x-amz-iv" }));
    // The file of version 2 with the content of version 3.
    assert!(matches!(read(&pairs, Some(old_file)), Err(ObjectError::MixedVersions { .. })));
    // The marker of an instruction file has no meaning.
    let marked: Vec<_> = pairs.iter().cloned().chain([("x-amz-crypto-instr-file".to_owned(), String::new())]).collect();
    assert!(read(&marked, Some(file)).is_ok());
    Ok(())
}

#[test]
fn instruction_files_are_needed_only_without_a_wrapped_key() -> TestResult {
    let world = World::new();
    let cipher = world.cipher(Wrap::Kms, CommitmentPolicy::default());
    let object = cipher.encrypt(b"text", &context(Wrap::Kms))?;
    let metadata = metadata_of(&object)?;
    assert!(!metadata.needs_instruction_file());
    assert_eq!(metadata.with_instruction_file(b"{}"), Err(ObjectError::UnexpectedInstructionFile));
    let plain = ObjectMetadata::from_pairs([("owner", "ada")])?;
    assert!(plain.needs_instruction_file());
    let error = cipher.decrypt(object.body(), &plain, &context(Wrap::Kms)).unwrap_err();
    assert_eq!(reason(&error), Some(ObjectError::InstructionFileNeeded));
    for (file, expected) in [
        ("", ObjectError::MalformedInstructionFile),
        ("[]", ObjectError::MalformedInstructionFile),
        (r#"{"x-amz-iv": 1}"#, ObjectError::MalformedInstructionFile),
        (r#"{"x-amz-iv": "a", "x-amz-iv": "a"}"#, ObjectError::MalformedInstructionFile),
        (r#"{"owner": "ada"}"#, ObjectError::UnknownName),
        (r#"{"X-Amz-Iv": "a"}"#, ObjectError::UnknownName),
        ("{}", ObjectError::Missing { name: "x-amz-key-v2" }),
    ] {
        assert_eq!(plain.clone().with_instruction_file(file.as_bytes()), Err(expected), "{file}");
    }
    let long = format!("{{}}{}", " ".repeat(70_000));
    assert!(matches!(plain.with_instruction_file(long.as_bytes()), Err(ObjectError::TooLong { .. })));
    Ok(())
}
