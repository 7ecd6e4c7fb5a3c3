//! The outcome of a policy decision.

/// The outcome of a [`Policy`](super::Policy).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The operation is allowed.
    Allow,
    /// The operation is denied.
    Deny,
}
