//! Limits on what a message may make this program do.

/// The largest number of encrypted data keys that a message may have by default: each of them can cost a call to a key
/// provider, so a message must not command thousands. Messages for dozens of recipients still pass.
pub const DEFAULT_MAX_ENCRYPTED_DATA_KEYS: u16 = 64;

/// The most bytes that a header may have by default: the largest encryption context (64 KiB) beside 64 encrypted data
/// keys of 3 KB each. The format itself would allow 12 GiB.
pub const DEFAULT_MAX_HEADER_BYTES: usize = 256 * 1024;

/// The longest frame that is accepted by default: it is what one open stream must hold in memory. Writers in use choose
/// 4 KiB to 1 MiB.
pub const DEFAULT_MAX_FRAME_LENGTH: u32 = 16 * 1024 * 1024;

/// The longest body without frames that is accepted by default: it has one tag for the whole, so all of it must be held
/// in memory before a byte may be released. Only old software writes such messages.
pub const DEFAULT_MAX_UNFRAMED_BODY: u64 = 64 * 1024 * 1024;

/// Frame length of messages that are written, unless told otherwise: longer ones bring at most 3 % more speed, shorter
/// ones cost up to a quarter. Every reader of the format takes any length.
pub const DEFAULT_FRAME_LENGTH: u32 = 64 * 1024;

/// The longest frame that can be written, whatever the limits: some readers hold the length in a signed 32-bit number.
pub const LARGEST_WRITABLE_FRAME_LENGTH: u32 = 0x7FFF_FFFF;

/// The longest body without frames that the format allows: what one call of AES-GCM takes (2^36 - 32 bytes).
pub(crate) const LARGEST_UNFRAMED_BODY: u64 = (1 << 36) - 32;

/// What a message may make this program allocate, hold and ask for. Every limit is checked before the thing it limits.
///
/// # Examples
/// ```
/// use strongroom::message::Limits;
///
/// let strict = Limits::default().with_max_encrypted_data_keys(3).with_max_frame_length(65_536);
/// assert_eq!(strict.max_encrypted_data_keys(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_encrypted_data_keys: u16,
    max_header_bytes: usize,
    max_frame_length: u32,
    max_unframed_body: u64,
}

impl Limits {
    /// Sets how many encrypted data keys a message may have, in either direction.
    #[must_use]
    pub const fn with_max_encrypted_data_keys(mut self, count: u16) -> Self {
        self.max_encrypted_data_keys = count;
        self
    }

    /// Sets how many bytes a header may have, in either direction.
    #[must_use]
    pub const fn with_max_header_bytes(mut self, bytes: usize) -> Self {
        self.max_header_bytes = bytes;
        self
    }

    /// Sets the longest frame, in bytes of plaintext, in either direction.
    #[must_use]
    pub const fn with_max_frame_length(mut self, bytes: u32) -> Self {
        self.max_frame_length = bytes;
        self
    }

    /// Sets the longest body without frames that is read.
    #[must_use]
    pub const fn with_max_unframed_body(mut self, bytes: u64) -> Self {
        self.max_unframed_body = bytes;
        self
    }

    /// How many encrypted data keys a message may have.
    pub const fn max_encrypted_data_keys(&self) -> u16 {
        self.max_encrypted_data_keys
    }

    /// How many bytes a header may have.
    pub const fn max_header_bytes(&self) -> usize {
        self.max_header_bytes
    }

    /// The longest frame, in bytes of plaintext.
    pub const fn max_frame_length(&self) -> u32 {
        self.max_frame_length
    }

    /// The longest body without frames.
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
