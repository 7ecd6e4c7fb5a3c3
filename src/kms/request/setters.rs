//! Setters that many requests share.

/// Generates the setter for grants that may authorize a call.
macro_rules! grant_tokens_setter {
    () => {
        /// Names up to 10 grants that may authorize the call.
        #[must_use]
        pub const fn grant_tokens(mut self, tokens: &'a [GrantToken]) -> Self {
            self.grant_tokens = tokens;
            self
        }
    };
}

/// Generates the setter for dry runs.
macro_rules! dry_run_setter {
    () => {
        /// Performs every check and then fails with [`DryRun`](crate::ErrorKind::DryRun).
        #[must_use]
        pub const fn dry_run(mut self) -> Self {
            self.dry_run = true;
            self
        }

        /// Performs a [dry run](Self::dry_run) if `dry_run` is `true`, for callers that pass on a
        /// flag.
        #[must_use]
        pub const fn dry_run_if(mut self, dry_run: bool) -> Self {
            self.dry_run = dry_run;
            self
        }
    };
}

/// Generates the accessor of the key ID for responses with a `key_arn`.
macro_rules! key_id_accessor {
    ($($response:ident),+ $(,)?) => {$(
        impl $response {
            /// Returns the ID of the key, which is a part of `key_arn`.
            pub const fn key_id(&self) -> $crate::key::KeyId {
                self.key_arn.key_id()
            }
        }
    )+};
}

pub(super) use {dry_run_setter, grant_tokens_setter, key_id_accessor};
