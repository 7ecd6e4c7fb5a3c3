//! Metadata and instruction files of objects are parsed without panics, and an object opens only
//! unchanged and with its own metadata.
//!
//! Input: lines of metadata, each a name, a tab and a value, then a zero byte and an instruction file.
//! Otherwise a case: how an object is written, and modifications of each of its parts.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use strongroom::envelope::CommitmentPolicy;
use strongroom::s3_encryption::{ObjectCipher, ObjectError, ObjectMetadata, WrappingKey};
use strongroom::{EncryptionContext, Kms, SecretBytes};
use strongroom_fuzz::{Edit, backend, context};

#[derive(Arbitrary, Debug)]
struct Case {
    raw: bool,
    version_2: bool,
    instruction_file: bool,
    pairs: Vec<(String, String)>,
    plaintext: Vec<u8>,
    body: Vec<Edit>,
    /// The number of a pair, and modifications of its value.
    value: (u8, Vec<Edit>),
    file: Vec<Edit>,
}

/// For a KMS key and a raw key, ciphers that write version 3 and version 2, without and with
/// instruction files. All read everything.
static CIPHERS: LazyLock<Vec<ObjectCipher>> = LazyLock::new(|| make().expect("ciphers"));

fn make() -> strongroom::Result<Vec<ObjectCipher>> {
    let kms = Kms::builder().backend(backend()).build()?;
    let id = kms.create_key(Default::default())?.key_id();
    let mut ciphers = Vec::new();
    for number in 0..8 {
        let key = match number & 4 {
            0 => WrappingKey::kms(&kms, id)?,
            _ => WrappingKey::aes(SecretBytes::copy_from_slice(&[7; 32]))?,
        };
        let policy = match number & 2 {
            0 => CommitmentPolicy::RequireEncryptAllowDecrypt,
            _ => CommitmentPolicy::ForbidEncryptAllowDecrypt,
        };
        let builder = ObjectCipher::builder(key).commitment_policy(policy).backend(backend());
        let builder = builder.accept_kms_without_algorithm().accept_unauthenticated_cbc();
        ciphers.push(if number & 1 == 0 { builder } else { builder.instruction_files() }.build()?);
    }
    Ok(ciphers)
}

fuzz_target!(|bytes: &[u8]| {
    parsed(bytes);
    if let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(bytes)) {
        tampered(&case);
    }
});

/// Parses the input as metadata of an object that was never encrypted.
fn parsed(bytes: &[u8]) {
    let (metadata, file) = bytes.iter().position(|byte| *byte == 0).map_or((bytes, &[][..]), |at| {
        let (metadata, file) = bytes.split_at(at);
        (metadata, &file[1..])
    });
    let Ok(text) = std::str::from_utf8(metadata) else { return };
    let Ok(metadata) = read(text.lines().filter_map(|line| line.split_once('\t')), Some(file)) else { return };
    if metadata.needs_instruction_file() {
        return;
    }
    assert!(metadata.version().is_some() && metadata.wrap_algorithm().is_some());
    assert_eq!(metadata.clone().with_instruction_file(file), Err(ObjectError::UnexpectedInstructionFile));
    for cipher in [&CIPHERS[0], &CIPHERS[4]] {
        assert!(cipher.decrypt(&[0; 32], &metadata, &EncryptionContext::new()).is_err(), "nothing was encrypted");
    }
}

/// Parses metadata like a client that fetches the file only if it is needed.
fn read<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    file: Option<&[u8]>,
) -> Result<ObjectMetadata, ObjectError> {
    let metadata = ObjectMetadata::from_pairs(pairs)?;
    match file {
        Some(file) if metadata.needs_instruction_file() => metadata.with_instruction_file(file),
        _ => Ok(metadata),
    }
}

fn tampered(case: &Case) {
    let number = 4 * usize::from(case.raw) + 2 * usize::from(case.version_2) + usize::from(case.instruction_file);
    let cipher = &CIPHERS[number];
    let context = if case.raw { EncryptionContext::new() } else { context(&case.pairs) };
    let Ok(object) = cipher.encrypt(&case.plaintext, &context) else { return };
    let mut pairs: Vec<(String, String)> =
        object.metadata().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut file = object.instruction_file().map(|file| file.as_bytes().to_vec());
    let mut body = object.body().to_vec();

    case.body.iter().for_each(|edit| edit.apply(&mut body));
    let count = pairs.len().max(1);
    if let Some((_, value)) = pairs.get_mut(usize::from(case.value.0) % count) {
        let mut bytes = std::mem::take(value).into_bytes();
        case.value.1.iter().for_each(|edit| edit.apply(&mut bytes));
        *value = String::from_utf8_lossy(&bytes).into_owned();
    }
    if let Some(file) = &mut file {
        case.file.iter().for_each(|edit| edit.apply(file));
    }
    let metadata = read(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())), file.as_deref());
    let opened =
        metadata.map_err(strongroom::Error::from).and_then(|metadata| cipher.decrypt(&body, &metadata, &context));
    match opened {
        // JSON can be written in several ways.
        Ok(plaintext) => assert!(plaintext == case.plaintext && body == object.body(), "an altered object opens"),
        Err(_) => assert!(
            body != object.body()
                || file.as_deref() != object.instruction_file().map(str::as_bytes)
                || !object.metadata().eq(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            "an unchanged object does not open"
        ),
    }
}
