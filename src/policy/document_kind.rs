//! The two kinds of policy documents.

/// The kind of entity that a policy document is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// A key: the statements name principals.
    Key,
    /// A principal: the statements name keys.
    Identity,
}
