//! Options of a module.

use std::time::Duration;

/// Options of a module.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use strongroom::provider::pkcs11::ModuleOptions;
///
/// let patient = ModuleOptions::default().reinitialize_interval(Duration::from_secs(60)).wait(Duration::from_secs(10));
/// assert_ne!(patient, ModuleOptions::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleOptions {
    pub(super) reinitialize_interval: Duration,
    pub(super) wait: Duration,
    pub(super) keep_initialized: bool,
}

impl Default for ModuleOptions {
    fn default() -> Self {
        Self { reinitialize_interval: Duration::from_secs(30), wait: Duration::from_secs(5), keep_initialized: false }
    }
}

impl ModuleOptions {
    /// Sets the minimum time between two initializations, 30 seconds by default.
    ///
    /// An initialization ends all sessions of all tokens of the module, so a token that stays
    /// missing must not trigger it repeatedly. Up to a quarter is added at random, so that
    /// processes do not synchronize. A module that temporarily hides its tokens
    /// ([`Quirks::hidden_by_logins`](crate::provider::pkcs11::Quirks::hidden_by_logins)) is
    /// initialized up to six times per interval, while the process uses only one of its tokens.
    #[must_use]
    pub const fn reinitialize_interval(mut self, interval: Duration) -> Self {
        self.reinitialize_interval = interval;
        self
    }

    /// Sets the maximum time that an initialization waits for calls in progress, and a call for an
    /// initialization. The default is 5 seconds.
    #[must_use]
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Never finalizes the module. Use this in a process in which another library uses the same
    /// module, such as a TLS library with its key in the HSM.
    ///
    /// A module has one state for the whole process, so C_Finalize ends the sessions of that
    /// library too. By default, strongroom finalizes a module that it initialized itself in two
    /// cases: when the module's last token or cluster is dropped or disconnected, and to recover a
    /// lost token. With this option it does neither. A lost token is then unavailable until the
    /// other library or a restart of the process initializes the module again. A module that
    /// another library initialized first is never finalized, with or without this option.
    ///
    /// # Examples
    /// ```
    /// use strongroom::provider::pkcs11::ModuleOptions;
    ///
    /// assert_ne!(ModuleOptions::default().keep_initialized(), ModuleOptions::default());
    /// ```
    #[must_use]
    pub const fn keep_initialized(mut self) -> Self {
        self.keep_initialized = true;
        self
    }
}
