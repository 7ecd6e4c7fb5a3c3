//! Configuration of a token: selection, PIN, and call behavior.

use std::fmt;
use std::time::Duration;

use crate::crypto::{CryptoBackend, FASTEST};
use crate::error::Result;
use crate::secret::SecretBytes;

/// Supplies the PIN of a token's user whenever a login needs it, so no other component has to store
/// it.
///
/// A token locks after a few wrong PINs. A rejected PIN is therefore not tried again until
/// [`Token::set_pin`](super::Token::set_pin) is called.
///
/// # Examples
/// ```
/// use strongroom::provider::pkcs11::PinProvider;
/// use strongroom::{Error, ErrorKind, Result, SecretBytes};
///
/// /// Reads the PIN from the environment at each login.
/// #[derive(Debug)]
/// struct PinFromEnvironment(&'static str);
///
/// impl PinProvider for PinFromEnvironment {
///     fn pin(&self) -> Result<Option<SecretBytes>> {
///         let missing = |_| Error::new(ErrorKind::KeyUnavailable, format!("the variable {} is not set", self.0));
///         Ok(Some(SecretBytes::from_vec(std::env::var(self.0).map_err(missing)?.into_bytes())))
///     }
/// }
///
/// let missing = PinFromEnvironment("STRONGROOM_NO_SUCH_PIN").pin().unwrap_err();
/// assert_eq!(missing.kind(), ErrorKind::KeyUnavailable);
/// ```
pub trait PinProvider: fmt::Debug + Send + Sync {
    /// Returns the PIN, or `None` for a token with its own keypad.
    ///
    /// # Errors
    /// - Any error if the PIN is currently unavailable.
    fn pin(&self) -> Result<Option<SecretBytes>>;
}

/// A PIN held in memory.
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
    /// Creates a provider for a PIN.
    pub const fn new(pin: SecretBytes) -> Self {
        Self(pin)
    }
}

impl PinProvider for FixedPin {
    fn pin(&self) -> Result<Option<SecretBytes>> {
        Ok(Some(SecretBytes::copy_from_slice(self.0.expose_secret())))
    }
}

/// Selects a token. Slot numbers change and do not identify a token.
///
/// # Examples
/// ```
/// use strongroom::provider::pkcs11::TokenSelector;
///
/// assert_eq!(TokenSelector::Label("payments".into()).to_string(), "token 'payments'");
/// assert_eq!(TokenSelector::Serial("0011".into()).to_string(), "token with serial number '0011'");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenSelector {
    /// Selects the token by its serial number.
    Serial(String),
    /// Selects the token by its label, which must be unique.
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

/// The thread on which calls into the module run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallMode {
    /// Calls run on the caller's thread. This is the fastest mode, but a module that hangs also
    /// hangs its caller.
    Direct,
    /// Calls run on a thread of the token, and the caller waits at most until the deadline. A call
    /// that does not return occupies a thread.
    Deadline {
        /// Maximum time that a caller waits.
        deadline: Duration,
        /// Maximum number of concurrent calls.
        threads: usize,
    },
}

/// Source of the initialization vector of AES-GCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IvMode {
    /// strongroom generates it at random.
    Caller,
    /// The token writes it into the mechanism parameter, which must be zero before the call.
    TokenWritten,
    /// The token prepends it to the ciphertext (AWS CloudHSM's vendor mechanism).
    TokenPrepended,
    /// The token appends it after the tag (Luna in FIPS mode).
    TokenAppended,
}

/// The kinds of key that a token is asked to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyTypes {
    /// AES-256 only, as in the custom key stores of a cloud KMS.
    Symmetric,
    /// Every kind of key for which the token has all mechanisms. Connecting takes longer, as key
    /// pairs are generated to test the token.
    All,
}

/// Configuration of a token.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use strongroom::provider::pkcs11::{CallMode, KeyTypes, TokenConfig, TokenSelector};
///
/// let config = TokenConfig::new(TokenSelector::Label("payments".into()))
///     .call_mode(CallMode::Deadline { deadline: Duration::from_secs(2), threads: 8 })
///     .max_sessions(8)
///     .session_wait(Duration::from_secs(1))
///     .key_types(KeyTypes::All);
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
    /// Creates the default configuration: direct calls, 16 sessions, symmetric keys.
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

    /// Returns the selector of the token.
    pub const fn selector(&self) -> &TokenSelector {
        &self.selector
    }

    /// Sets the thread on which calls run.
    #[must_use]
    pub const fn call_mode(mut self, mode: CallMode) -> Self {
        self.call_mode = mode;
        self
    }

    /// Sets the maximum number of sessions for operations, in addition to the session that holds
    /// the login. A lower limit of the token takes precedence.
    #[must_use]
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Sets the maximum time that an operation waits for a session, and for a connection that
    /// another operation is establishing. It also limits the wait for object operations of a token
    /// that must run one at a time
    /// ([`Quirks::objects_one_at_a_time`](super::Quirks::objects_one_at_a_time)).
    #[must_use]
    pub const fn session_wait(mut self, wait: Duration) -> Self {
        self.session_wait = wait;
        self
    }

    /// Sets the source of initialization vectors, overriding the default for the vendor. It is
    /// verified when the token is connected.
    #[must_use]
    pub const fn iv_mode(mut self, mode: IvMode) -> Self {
        self.iv_mode = Some(mode);
        self
    }

    /// Sets the kinds of key that the token is asked to generate.
    #[must_use]
    pub const fn key_types(mut self, key_types: KeyTypes) -> Self {
        self.key_types = key_types;
        self
    }

    /// Sets the number of consecutive failures after which the circuit breaker opens, and the time
    /// for which it stays open.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use strongroom::crypto::RUST_CRYPTO;
    /// use strongroom::provider::pkcs11::{IvMode, KeyTypes, TokenConfig, TokenSelector};
    ///
    /// let config = TokenConfig::new(TokenSelector::Serial("0011".into()))
    ///     .session_wait(Duration::from_secs(1))
    ///     .circuit_breaker(5, Duration::from_secs(30))
    ///     .key_types(KeyTypes::All)
    ///     .iv_mode(IvMode::Caller)
    ///     .backend(RUST_CRYPTO);
    /// assert_eq!(config.selector(), &TokenSelector::Serial("0011".into()));
    /// ```
    #[must_use]
    pub const fn circuit_breaker(mut self, failures: u32, pause: Duration) -> Self {
        self.breaker_failures = failures;
        self.breaker_pause = pause;
        self
    }

    /// Sets the backend for operations in software: hashing, public key operations and random
    /// initialization vectors.
    #[must_use]
    pub const fn backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = backend;
        self
    }
}
