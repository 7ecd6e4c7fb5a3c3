//! The root key of a store, as supplied by the caller.

use std::env::{self, VarError};
use std::fmt;
use std::sync::Arc;

use base64ct::{Base64, Encoding};

use super::holder::{self, RootKeyHolder, SecretHolder};
use crate::crypto::CryptoBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// Length in bytes of a root key that is supplied directly.
pub(super) const SECRET_LENGTH: usize = 32;

/// The root key of a store. Everything in the store is ultimately sealed under it.
///
/// | created by | location of the secret |
/// |---|---|
/// | [`RootKey::generate_file`], [`RootKey::from_file`] | in a file that only its owner may read |
/// | [`RootKey::from_environment`] | in an environment variable, as hexadecimal digits or Base64 |
/// | `RootKey::from_passphrase`, with the feature `passphrase` | remembered by a person |
/// | [`RootKey::from_bytes`] | wherever the program obtains it |
/// | [`RootKey::from_holder`] | with a [`RootKeyHolder`]: an HSM, another KMS |
/// | [`RootKey::generate`] | in memory only: for stores in memory |
///
/// Keep the root key separate from the store. Anyone who has both can read all keys, and without
/// the root key the store is lost.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::seal::RootKey;
/// use strongroom::store::MemoryStore;
///
/// let kms = Kms::builder().store(MemoryStore::new(&Default::default())?, RootKey::from_bytes(&[7; 32])).build()?;
/// kms.create_key(Default::default())?;
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct RootKey(Box<dyn RootKeySource>);

impl RootKey {
    /// Generates a root key that exists only as long as this value, for a store in memory.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::MemoryStore;
    ///
    /// let kms = Kms::builder().store(MemoryStore::new(&Default::default())?, RootKey::generate()).build()?;
    /// assert_eq!(kms.root_key_status()?.version(), 1);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn generate() -> Self {
        Self::from_source(Generated)
    }

    /// Creates a root key from 32 uniformly random bytes. Do not pass a passphrase.
    ///
    /// # Examples
    /// A root key from a secret manager:
    /// ```
    /// use std::sync::Arc;
    ///
    /// use strongroom::seal::RootKey;
    /// use strongroom::store::MemoryStore;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let secret = [7; 32]; // as received
    /// let store = Arc::new(MemoryStore::new(&Default::default())?);
    /// let open = |secret: &[u8; 32]| Kms::builder().store(store.clone(), RootKey::from_bytes(secret)).build();
    /// let key = open(&secret)?.create_key(Default::default())?.key_id();
    /// assert_eq!(open(&secret)?.describe_key(key)?.key_id(), key);
    /// assert_eq!(open(&[8; 32]).unwrap_err().kind(), ErrorKind::RootKey);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self::from_source(Secret(SecretBytes::copy_from_slice(secret)))
    }

    /// Reads the root key from an environment variable that contains 32 bytes as 64 hexadecimal
    /// digits or as Base64 (RFC 4648, section 4). `openssl rand -hex 32` and
    /// `openssl rand -base64 32` print these forms. Surrounding whitespace is ignored.
    ///
    /// Other processes of the same user may be able to read the environment of this process, and
    /// child processes inherit it. Prefer a file.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the variable is missing or does not contain 32
    ///   bytes in one of these forms.
    ///
    /// # Examples
    /// ```
    /// use strongroom::ErrorKind;
    /// use strongroom::seal::RootKey;
    ///
    /// let refused = RootKey::from_environment("NO_SUCH_VARIABLE").unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation);
    /// assert_eq!(refused.to_string(), "the environment variable NO_SUCH_VARIABLE for the root key is not set");
    /// ```
    pub fn from_environment(name: &str) -> Result<Self> {
        let source = format!("the environment variable {name} for the root key");
        let text = match env::var(name) {
            Ok(text) => SecretBytes::from_vec(text.into_bytes()),
            Err(VarError::NotPresent) => return Err(invalid(format!("{source} is not set"))),
            Err(VarError::NotUnicode(_)) => return Err(invalid(format!("{source} is not valid UTF-8"))),
        };
        Ok(Self::from_source(Secret(decode(&text, &source, FORMS)?)))
    }

    /// Uses a custom holder, which wraps the root key for the store.
    pub fn from_holder(holder: impl RootKeyHolder + 'static) -> Self {
        Self::from_source(Held(Arc::new(holder)))
    }

    pub(super) fn from_source(source: impl RootKeySource + 'static) -> Self {
        Self(Box::new(source))
    }

    pub(super) fn secret(secret: SecretBytes) -> Self {
        Self::from_source(Secret(secret))
    }

    /// Returns the holder. If it performs cryptography in this process, it uses `backend`.
    pub(crate) fn into_holder(self, backend: &CryptoBackend) -> Result<Arc<dyn RootKeyHolder>> {
        self.0.holder(backend)
    }
}

/// Creates a holder once the cryptographic backend is known.
pub(super) trait RootKeySource: fmt::Debug + Send + Sync {
    fn holder(self: Box<Self>, backend: &CryptoBackend) -> Result<Arc<dyn RootKeyHolder>>;
}

#[derive(Debug)]
struct Generated;

impl RootKeySource for Generated {
    fn holder(self: Box<Self>, backend: &CryptoBackend) -> Result<Arc<dyn RootKeyHolder>> {
        Ok(Arc::new(SecretHolder::new(backend, &holder::draw(backend)?)?))
    }
}

#[derive(Debug)]
struct Secret(SecretBytes);

impl RootKeySource for Secret {
    fn holder(self: Box<Self>, backend: &CryptoBackend) -> Result<Arc<dyn RootKeyHolder>> {
        Ok(Arc::new(SecretHolder::new(backend, &self.0)?))
    }
}

#[derive(Debug)]
struct Held(Arc<dyn RootKeyHolder>);

impl RootKeySource for Held {
    fn holder(self: Box<Self>, _: &CryptoBackend) -> Result<Arc<dyn RootKeyHolder>> {
        Ok(self.0)
    }
}

/// The forms that [`decode`] accepts, as listed in error messages.
const FORMS: &str = "as 64 hexadecimal digits or as 44 characters of Base64";

/// Decodes 32 bytes from 64 hexadecimal digits or 44 characters of Base64. Error messages start
/// with `source` and end with `forms`, all forms that the caller accepts.
pub(super) fn decode(text: &SecretBytes, source: &str, forms: &str) -> Result<SecretBytes> {
    let text = text.expose_secret().trim_ascii();
    let mut secret = SecretBytes::zeroed(SECRET_LENGTH);
    let out = secret.expose_secret_mut();
    let decoded = match text.len() {
        64 => base16ct::mixed::decode(text, out).ok().map(<[u8]>::len),
        44 => Base64::decode(text, out).ok().map(<[u8]>::len),
        _ => None,
    };
    if decoded != Some(SECRET_LENGTH) {
        return Err(invalid(format!("{source} does not contain 32 bytes {forms}")));
    }
    Ok(secret)
}

pub(super) fn invalid(text: String) -> Error {
    Error::new(ErrorKind::Validation, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(root: RootKey) -> Result<String> {
        Ok(root.into_holder(&crate::crypto::FASTEST)?.id().to_owned())
    }

    #[test]
    fn the_same_secret_has_the_same_name_however_it_is_written() -> Result<()> {
        let expected = id(RootKey::from_bytes(&[0xAB; 32]))?;
        let forms =
            ["ab".repeat(32), "AB".repeat(32), Base64::encode_string(&[0xAB; 32]), format!(" {}\r\n", "aB".repeat(32))];
        for form in forms {
            let secret = decode(&SecretBytes::copy_from_slice(form.as_bytes()), "the test", FORMS)?;
            assert_eq!(id(RootKey::secret(secret))?, expected, "{form}");
        }
        assert_ne!(id(RootKey::from_bytes(&[0xAC; 32]))?, expected);
        assert_ne!(id(RootKey::generate())?, id(RootKey::generate())?);
        Ok(())
    }

    #[test]
    fn anything_but_32_bytes_is_refused_and_not_repeated() {
        let wrong =
            ["", "secret!!", &"ab".repeat(31), &"ab".repeat(33), &"zz".repeat(32), &"=".repeat(44), &"ä".repeat(32)];
        for text in wrong {
            let refused = decode(&SecretBytes::copy_from_slice(text.as_bytes()), "the variable X", FORMS)
                .expect_err("not 32 bytes");
            assert_eq!(refused.kind(), ErrorKind::Validation);
            assert!(refused.to_string().starts_with("the variable X does not contain 32 bytes"), "{refused}");
            assert!(text.is_empty() || !format!("{refused:?}").contains(text));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", RootKey::from_bytes(&[0xAB; 32]));
        assert_eq!(shown, "RootKey(Secret(SecretBytes(32 bytes)))");
    }
}
