//! Limits on the resources that a message may consume.

/// The default maximum number of encrypted data keys in a message. Each key can cost a call to a
/// key provider, so a message must not be able to cause thousands. Messages for dozens of
/// recipients are still accepted.
pub const DEFAULT_MAX_ENCRYPTED_DATA_KEYS: u16 = 64;

/// The default maximum length of a header in bytes. It has room for the largest encryption context
/// (64 KiB) and 64 encrypted data keys of 3 KB each. The format itself would allow 12 GiB.
pub const DEFAULT_MAX_HEADER_BYTES: usize = 256 * 1024;

/// The default maximum length of an accepted frame in bytes. An open stream must hold one frame in
/// memory. Existing writers use 4 KiB to 1 MiB.
pub const DEFAULT_MAX_FRAME_LENGTH: u32 = 16 * 1024 * 1024;

/// The default maximum length of an accepted unframed body in bytes. The body has a single tag, so
/// all of it must be held in memory before any byte may be released. Only old software writes such
/// messages.
pub const DEFAULT_MAX_UNFRAMED_BODY: u64 = 64 * 1024 * 1024;

/// The default frame length of written messages in bytes. Longer frames are at most 3 % faster;
/// shorter frames cost up to a quarter of the speed. Every reader of the format accepts any length.
pub const DEFAULT_FRAME_LENGTH: u32 = 64 * 1024;

/// The maximum length of a written frame in bytes, regardless of the limits. Some readers store the
/// length in a signed 32-bit number.
pub const LARGEST_WRITABLE_FRAME_LENGTH: u32 = 0x7FFF_FFFF;

/// The maximum length of an unframed body in the format, in bytes: the limit of a single AES-GCM
/// call (2^36 - 32 bytes).
pub(crate) const LARGEST_UNFRAMED_BODY: u64 = (1 << 36) - 32;

/// Limits on what a message may cause this program to allocate, hold, and request. Every limit is
/// checked before the resource is used.
///
/// # Examples
/// ```
/// use strongroom::message::Limits;
///
/// let strict = Limits::default().with_max_encrypted_data_keys(3).with_max_frame_length(65_536);
/// assert_eq!((strict.max_encrypted_data_keys(), strict.max_frame_length()), (3, 65_536));
/// assert_eq!((strict.max_header_bytes(), strict.max_unframed_body()), (256 << 10, 64 << 20)); // the defaults
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_encrypted_data_keys: u16,
    max_header_bytes: usize,
    max_frame_length: u32,
    max_unframed_body: u64,
}

impl Limits {
    /// Sets the maximum number of encrypted data keys in a message, for reading and writing.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::{MultiKeyring, RawAesKeyring};
    /// use strongroom::message::{Limits, MessageError};
    /// use strongroom::{EncryptionContext, Envelope, SecretBytes};
    ///
    /// let keyring = |name: &str| RawAesKeyring::new("laboratory", name, SecretBytes::zeroed(32));
    /// let both = MultiKeyring::new(keyring("key 1")?).with_child(keyring("key 2")?);
    /// let message = Envelope::new(both).encrypt(b"text", &EncryptionContext::new())?;
    ///
    /// let limits = Limits::default().with_max_encrypted_data_keys(1);
    /// let reader = Envelope::builder(keyring("key 1")?).limits(limits).build()?;
    /// let refused = reader.decrypt(&message, &EncryptionContext::new()).unwrap_err();
    /// assert_eq!(refused.downcast_ref(), Some(&MessageError::TooManyDataKeys { count: 2, limit: 1 }));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn with_max_encrypted_data_keys(mut self, count: u16) -> Self {
        self.max_encrypted_data_keys = count;
        self
    }

    /// Sets the maximum length of a header in bytes, for reading and writing.
    ///
    /// # Examples
    /// ```
    /// use strongroom::message::{DEFAULT_MAX_HEADER_BYTES, Limits};
    ///
    /// assert_eq!(DEFAULT_MAX_HEADER_BYTES, 262_144);
    /// assert_eq!(Limits::default().with_max_header_bytes(4_096).max_header_bytes(), 4_096);
    /// ```
    #[must_use]
    pub const fn with_max_header_bytes(mut self, bytes: usize) -> Self {
        self.max_header_bytes = bytes;
        self
    }

    /// Sets the maximum length of a frame in bytes of plaintext, for reading and writing.
    ///
    /// # Examples
    /// ```
    /// use strongroom::envelope::RawAesKeyring;
    /// use strongroom::message::Limits;
    /// use strongroom::{Envelope, SecretBytes};
    ///
    /// let keyring = RawAesKeyring::new("laboratory", "key 1", SecretBytes::zeroed(32))?;
    /// let limits = Limits::default().with_max_frame_length(65_536);
    /// // The limit applies to written frames as well.
    /// assert!(Envelope::builder(keyring).limits(limits).frame_length(65_537).build().is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn with_max_frame_length(mut self, bytes: u32) -> Self {
        self.max_frame_length = bytes;
        self
    }

    /// Sets the maximum length of an unframed body that is read.
    ///
    /// # Examples
    /// ```
    /// use strongroom::message::Limits;
    ///
    /// assert_eq!(Limits::default().max_unframed_body(), 64 * 1024 * 1024);
    /// assert_eq!(Limits::default().with_max_unframed_body(0).max_unframed_body(), 0);
    /// ```
    #[must_use]
    pub const fn with_max_unframed_body(mut self, bytes: u64) -> Self {
        self.max_unframed_body = bytes;
        self
    }

    /// Returns the maximum number of encrypted data keys in a message.
    pub const fn max_encrypted_data_keys(&self) -> u16 {
        self.max_encrypted_data_keys
    }

    /// Returns the maximum length of a header in bytes.
    pub const fn max_header_bytes(&self) -> usize {
        self.max_header_bytes
    }

    /// Returns the maximum length of a frame in bytes of plaintext.
    pub const fn max_frame_length(&self) -> u32 {
        self.max_frame_length
    }

    /// Returns the maximum length of an unframed body.
    pub const fn max_unframed_body(&self) -> u64 {
        self.max_unframed_body
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_encrypted_data_keys: DEFAULT_MAX_ENCRYPTED_DATA_KEYS,
            max_header_bytes: DEFAULT_MAX_HEADER_BYTES,
            max_frame_length: DEFAULT_MAX_FRAME_LENGTH,
            max_unframed_body: DEFAULT_MAX_UNFRAMED_BODY,
        }
    }
}
