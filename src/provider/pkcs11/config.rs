//! Which token, with which PIN, and how it is used.

use std::fmt;
use std::time::Duration;

use crate::crypto::{CryptoBackend, FASTEST};
use crate::error::Result;
use crate::secret::SecretBytes;

/// Gives the PIN of a token's user whenever a login needs it, so that nothing has to keep it.
///
/// A token locks after a few wrong ones: a PIN that was refused is not tried again until
/// [`Token::set_pin`](super::Token::set_pin).
pub trait PinProvider: fmt::Debug + Send + Sync {
    /// The PIN; `None` for a token with a keypad of its own.
    ///
    /// # Errors
    /// Any error, if it cannot be had now.
    fn pin(&self) -> Result<Option<SecretBytes>>;
}

/// A PIN that is kept in memory.
///
/// # Examples
/// ```
/// use strongroom::SecretBytes;
/// use strongroom::provider::pkcs11::{FixedPin, PinProvider};
///
/// let pin = FixedPin::new(SecretBytes::copy_from_slice(b"kmsuser:secret"));
/// assert!(pin.pin()?.is_some());
/// assert!(!format!("{pin:?}").contains("secret"));
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct FixedPin(SecretBytes);

impl FixedPin {
    /// Keeps a PIN.
    pub const fn new(pin: SecretBytes) -> Self {
        Self(pin)
    }
}

impl PinProvider for FixedPin {
    fn pin(&self) -> Result<Option<SecretBytes>> {
        Ok(Some(SecretBytes::copy_from_slice(self.0.expose_secret())))
    }
}

/// By what a token is found. The numbers of slots change, and say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenSelector {
    /// By its serial number.
    Serial(String),
    /// By its label, which must be the only one.
    Label(String),
}

impl fmt::Display for TokenSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(serial) => write!(f, "token with serial number '{serial}'"),
            Self::Label(label) => write!(f, "token '{label}'"),
        }
    }
}

/// How calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallMode {
    /// On the caller's thread. The fastest; a module that hangs hangs its caller.
    Direct,
    /// On a thread of the token, while the caller waits at most so long. A call that does not come back costs a thread.
    Deadline {
        /// How long a caller waits.
        deadline: Duration,
        /// How many calls may be under way at once.
        threads: usize,
    },
}

/// Who makes the initialisation vector of AES-GCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IvMode {
    /// We do, at random.
    Caller,
    /// The token writes it into the parameter of the mechanism, which must be zero before.
    TokenWritten,
    /// The token puts it before the ciphertext (AWS CloudHSM's own mechanism).
    TokenPrepended,
    /// The token puts it after the tag (Luna in FIPS mode).
    TokenAppended,
}

/// Which keys a token is asked to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyTypes {
    /// AES-256, as a cloud KMS offers it in custom key stores.
    Symmetric,
    /// Whatever kind of key the token has all mechanisms for. Attaching takes longer, as key pairs are made to find out.
    All,
}

/// Which token, with which PIN, and how it is used.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::provider::pkcs11::{CallMode, TokenConfig, TokenSelector};
///
/// let config = TokenConfig::new(TokenSelector::Label("payments".into()))
///     .call_mode(CallMode::Deadline { deadline: Duration::from_secs(2), threads: 8 })
///     .max_sessions(8);
/// assert_eq!(config.selector(), &TokenSelector::Label("payments".into()));
/// ```
#[derive(Clone, Debug)]
pub struct TokenConfig {
    pub(super) selector: TokenSelector,
    pub(super) call_mode: CallMode,
    pub(super) max_sessions: usize,
    pub(super) session_wait: Duration,
    pub(super) iv_mode: Option<IvMode>,
    pub(super) key_types: KeyTypes,
    pub(super) breaker_failures: u32,
    pub(super) breaker_pause: Duration,
    pub(super) backend: CryptoBackend,
}

impl TokenConfig {
    /// The usual settings: direct calls, 16 sessions, symmetric keys.
    pub const fn new(selector: TokenSelector) -> Self {
        Self {
            selector,
            call_mode: CallMode::Direct,
            max_sessions: 16,
            session_wait: Duration::from_secs(5),
            iv_mode: None,
            key_types: KeyTypes::Symmetric,
            breaker_failures: 3,
            breaker_pause: Duration::from_secs(5),
            backend: FASTEST,
        }
    }

    /// By what the token is found.
    pub const fn selector(&self) -> &TokenSelector {
        &self.selector
    }

    /// How calls are made.
    #[must_use]
    pub const fn call_mode(mut self, mode: CallMode) -> Self {
        self.call_mode = mode;
        self
    }

    /// The most sessions for operations, besides the one that holds the login; fewer if the token says so.
    #[must_use]
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// How long an operation waits for a session, for a connection that another one makes, and for its turn where a token
    /// makes and finds keys one at a time ([`Quirks::objects_one_at_a_time`](super::Quirks::objects_one_at_a_time)).
    #[must_use]
    pub const fn session_wait(mut self, wait: Duration) -> Self {
        self.session_wait = wait;
        self
    }

    /// Who makes initialisation vectors, instead of what is known of the vendor. Proved when the token is attached.
    #[must_use]
    pub const fn iv_mode(mut self, mode: IvMode) -> Self {
        self.iv_mode = Some(mode);
        self
    }

    /// Which keys the token is asked to make.
    #[must_use]
    pub const fn key_types(mut self, key_types: KeyTypes) -> Self {
        self.key_types = key_types;
        self
    }

    /// After how many failures in a row the token is left alone, and for how long.
    #[must_use]
    pub const fn circuit_breaker(mut self, failures: u32, pause: Duration) -> Self {
        self.breaker_failures = failures;
        self.breaker_pause = pause;
        self
    }

    /// What is done in software (hashing, public keys, random initialisation vectors) with another backend.
    #[must_use]
    pub const fn backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = backend;
        self
    }
}
