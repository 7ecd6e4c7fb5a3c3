//! Setters that many requests have.

/// The setter of grants that may allow a call.
macro_rules! grant_tokens_setter {
    () => {
        /// Names grants that may allow the call, 10 at most.
        #[must_use]
        pub const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
            self.grant_tokens = tokens;
            self
        }
    };
}

/// The setter by which a call is only tried.
macro_rules! dry_run_setter {
    () => {
        /// Goes through every check and then fails with [`DryRun`](crate::ErrorKind::DryRun).
        #[must_use]
        pub const fn dry_run(mut self) -> Self {
            self.dry_run = true;
            self
        }
    };
}

pub(super) use {dry_run_setter, grant_tokens_setter};
