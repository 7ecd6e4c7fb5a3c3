//! Objects in the format of the Amazon S3 Encryption Client, which its implementations in Java, Go,
//! .NET, C++, PHP, Ruby and Python read and write.
//!
//! | type | purpose |
//! |---|---|
//! | [`ObjectCipher`] | encrypts and decrypts objects |
//! | [`WrappingKey`] | the KMS key, AES key or RSA key that wraps the data key of each object |
//! | [`EncryptedObject`] | content, metadata and instruction file, to upload with any client |
//! | [`ObjectMetadata`] | the metadata of a downloaded object, parsed |
//! | [`ObjectError`] | the reason why an object is rejected |
//!
//! The page [s3_encryption](crate::manual::s3_encryption) of the manual describes what is compatible,
//! what is rejected, and when to choose another format.
//!
//! # Examples
//! ```
//! use strongroom::request::CreateKeyRequest;
//! use strongroom::s3_encryption::{ObjectCipher, ObjectMetadata, WrappingKey};
//! use strongroom::{EncryptionContext, Kms};
//!
//! let kms = Kms::in_memory()?;
//! kms.create_key(CreateKeyRequest::default().alias("alias/documents"))?;
//! let cipher = ObjectCipher::new(WrappingKey::kms(&kms, "alias/documents")?);
//! let context = EncryptionContext::from([("object", "reports/2026.pdf")]);
//!
//! let object = cipher.encrypt(b"a report", &context)?;
//! let metadata = ObjectMetadata::from_pairs(object.metadata())?;
//! assert_eq!(cipher.decrypt(object.body(), &metadata, &context)?, b"a report");
//! # Ok::<(), strongroom::Error>(())
//! ```

mod buffer;
mod cipher;
mod content;
mod description;
mod encoded_words;
mod error;
mod metadata;
mod names;
mod object;
mod wrapping_key;

pub use buffer::ObjectReader;
pub use cipher::{ObjectCipher, ObjectCipherBuilder};
pub use content::MAX_OBJECT_BYTES;
pub use error::ObjectError;
pub use metadata::{MAX_METADATA_BYTES, ObjectMetadata};
pub use names::{ContentAlgorithm, FormatVersion, INSTRUCTION_FILE_MARKER, INSTRUCTION_FILE_SUFFIX, WrapAlgorithm};
pub use object::{EncryptedObject, MAX_PARTS, MIN_PART_BYTES};
pub use wrapping_key::WrappingKey;
