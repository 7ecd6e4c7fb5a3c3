//! Objects in the format of the Amazon S3 Encryption Client: an upload, a download, and what is
//! rejected. The bucket is a map; any client of an object store takes its place.
//!
//!     cargo run --features s3-encryption --example s3_objects

use std::collections::HashMap;
use std::error::Error;

use strongroom::request::CreateKeyRequest;
use strongroom::s3_encryption::{INSTRUCTION_FILE_SUFFIX, ObjectCipher, ObjectError, ObjectMetadata, WrappingKey};
use strongroom::{EncryptionContext, Kms};

/// A stored object: its content, and its metadata without the prefix `x-amz-meta-`.
#[derive(Clone, Default)]
struct Stored {
    body: Vec<u8>,
    metadata: HashMap<String, String>,
}

/// A bucket, and the cipher of its objects.
struct Bucket {
    objects: HashMap<String, Stored>,
    cipher: ObjectCipher,
}

impl Bucket {
    fn new(cipher: ObjectCipher) -> Self {
        Self { objects: HashMap::new(), cipher }
    }

    /// Binds an object to its place.
    fn context(key: &str) -> EncryptionContext {
        EncryptionContext::from([("bucket", "archive"), ("key", key)])
    }

    fn put(&mut self, key: &str, plaintext: &[u8]) -> strongroom::Result<()> {
        let object = self.cipher.encrypt(plaintext, &Self::context(key))?;
        // The file before the object, so that a reader of the object finds it.
        if let Some(file) = object.instruction_file() {
            let stored = Stored { body: file.as_bytes().to_vec(), ..Stored::default() };
            self.objects.insert(format!("{key}{INSTRUCTION_FILE_SUFFIX}"), stored);
        }
        let metadata = object.metadata().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.objects.insert(key.to_owned(), Stored { metadata, body: object.into_body() });
        Ok(())
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let stored = self.objects.get(key).ok_or("no such object")?;
        let mut metadata = ObjectMetadata::from_pairs(&stored.metadata)?;
        if metadata.needs_instruction_file() {
            let file = self.objects.get(&format!("{key}{INSTRUCTION_FILE_SUFFIX}"));
            metadata = metadata.with_instruction_file(&file.ok_or("no instruction file")?.body)?;
        }
        Ok(self.cipher.decrypt(&stored.body, &metadata, &Self::context(key))?)
    }

    /// Returns the reason why an object is rejected.
    fn rejection(&self, key: &str) -> Result<ObjectError, Box<dyn Error>> {
        let error = self.get(key).err().ok_or("the object was accepted")?;
        let error = error.downcast::<strongroom::Error>()?;
        println!("{key}: {error}");
        Ok(*error.downcast_ref::<ObjectError>().ok_or("another reason")?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let kms = Kms::in_memory()?;
    kms.create_key(CreateKeyRequest::default().alias("alias/archive"))?;
    let key = || WrappingKey::kms(&kms, "alias/archive");

    let mut bucket = Bucket::new(ObjectCipher::new(key()?));
    bucket.put("2026.txt", b"a report")?;
    bucket.put("2027.txt", b"a forecast")?;
    assert_eq!(bucket.get("2026.txt")?, b"a report");
    let stored = &bucket.objects["2026.txt"];
    let mut names: Vec<&String> = stored.metadata.keys().collect();
    names.sort();
    println!("2026.txt has {} bytes, and the metadata {names:?}", stored.body.len());

    // An object in the place of another, and an object that was altered.
    let moved = bucket.objects["2027.txt"].clone();
    bucket.objects.insert("2026.txt".to_owned(), moved);
    assert_eq!(bucket.rejection("2026.txt")?, ObjectError::ContextMismatch);
    bucket.objects.get_mut("2027.txt").ok_or("an object")?.body[0] ^= 1;
    assert_eq!(bucket.rejection("2027.txt")?, ObjectError::NotAuthentic);

    // The wrapped data key in a file of its own.
    let mut bucket = Bucket::new(ObjectCipher::builder(key()?).instruction_files().build()?);
    bucket.put("2026.txt", b"a report")?;
    assert_eq!(bucket.get("2026.txt")?, b"a report");
    println!("2026.txt has the file 2026.txt{INSTRUCTION_FILE_SUFFIX}");
    Ok(())
}
