//! The random bytes of a KMS as a generator for other crates.

use rand_core::utils::next_word_via_fill;
use rand_core::{TryCryptoRng, TryRng};

use crate::error::{Error, Result};
use crate::key::CustomKeyStoreId;
use crate::kms::engine::handle::Kms;
use crate::kms::request::MAX_RANDOM_LENGTH;

/// The random bytes of a [`Kms`] as a generator of `rand_core` 0.10, for other crates that generate
/// keys or nonces.
///
/// Each request is a call to [`Kms::generate_random`] for up to 1,024 bytes, with its permission
/// and its audit event. No bytes are generated in advance. For frequent small requests, such as the
/// generation of RSA keys, use [`CryptoBackend::rng`](crate::crypto::CryptoBackend::rng) instead.
///
/// It implements the fallible traits. For code that requires `CryptoRng`, wrap it in
/// `rand_core::UnwrapErr`, which panics if a call fails.
///
/// # Examples
/// ```
/// use p256::elliptic_curve::Generate;
/// use strongroom::{Kms, KmsRng};
///
/// let kms = Kms::in_memory()?;
/// let key = p256::SecretKey::try_generate_from_rng(&mut KmsRng::new(&kms))?;
/// assert_eq!(key.to_bytes().len(), 32);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KmsRng {
    kms: Kms,
    custom_key_store: Option<CustomKeyStoreId>,
}

impl KmsRng {
    /// Creates a generator that returns bytes from the backend of the KMS.
    pub fn new(kms: &Kms) -> Self {
        Self { kms: kms.clone(), custom_key_store: None }
    }

    /// Creates a generator that returns bytes from the HSMs of a custom key store, with
    /// [`Kms::generate_random_in`].
    ///
    /// # Examples
    /// ```
    /// use rand_core::TryRng;
    /// use strongroom::key::CustomKeyStoreId;
    /// use strongroom::{Kms, KmsRng};
    ///
    /// let kms = Kms::in_memory()?;
    /// let missing: CustomKeyStoreId = "cks-1234567890abcdef0".parse()?;
    /// let mut rng = KmsRng::in_custom_key_store(&kms, missing);
    /// assert!(rng.try_next_u64().is_err()); // there is no such custom key store
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn in_custom_key_store(kms: &Kms, custom_key_store: CustomKeyStoreId) -> Self {
        Self { kms: kms.clone(), custom_key_store: Some(custom_key_store) }
    }
}

impl TryRng for KmsRng {
    type Error = Error;

    fn try_next_u32(&mut self) -> Result<u32> {
        next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64> {
        next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, output: &mut [u8]) -> Result<()> {
        let most = usize::try_from(MAX_RANDOM_LENGTH).unwrap_or(usize::MAX);
        for part in output.chunks_mut(most) {
            let length = u32::try_from(part.len()).unwrap_or(MAX_RANDOM_LENGTH);
            let random = match self.custom_key_store {
                Some(id) => self.kms.generate_random_in(id, length)?,
                None => self.kms.generate_random(length)?,
            };
            part.copy_from_slice(random.expose_secret());
        }
        Ok(())
    }
}

impl TryCryptoRng for KmsRng {}
