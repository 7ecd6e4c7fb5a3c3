//! The answer of a policy.

/// What a [`Policy`](super::Policy) answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The operation may go on.
    Allow,
    /// The operation is refused.
    Deny,
}
