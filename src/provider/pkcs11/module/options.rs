//! How a module is kept going.

use std::time::Duration;

/// How a module is kept going.
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
    /// The least time from one initialisation to the next: it ends every session of every token of the module, so a
    /// token that stays away must not cause it all the time. Up to a quarter is added at random, so that processes do
    /// not fall into step. By default 30 seconds. A module that hides its tokens for moments
    /// ([`Quirks::hidden_by_logins`](crate::provider::pkcs11::Quirks::hidden_by_logins)) is initialised up to six times in such an interval, as
    /// long as the process uses one token of it.
    #[must_use]
    pub const fn reinitialize_interval(mut self, interval: Duration) -> Self {
        self.reinitialize_interval = interval;
        self
    }

    /// How long an initialisation waits for calls that are under way, and a call for an initialisation. By default 5
    /// seconds.
    #[must_use]
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Never finalizes the module: for a process in which another library uses the same module, such as a TLS library with
    /// its key in the HSM.
    ///
    /// A module has one state for the whole process, so C_Finalize ends the sessions of that library too. By default
    /// strongroom finalizes a module that it initialized itself when the last token or cluster of it is dropped or
    /// disconnected, and to recover a token that was lost. With this option it does neither: such a token is unavailable until
    /// the module is initialized again, by the other library or by a restart of the process. A module that another library
    /// initialized first is never finalized, with or without this option.
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
