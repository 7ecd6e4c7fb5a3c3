//! Parameters and results of alias operations.

use crate::clock::Timestamp;
use crate::key::{AliasArn, AliasName, KeyId};

/// An alias in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AliasListEntry {
    /// The name of the alias.
    pub alias_name: AliasName,
    /// The ARN of the alias.
    pub alias_arn: AliasArn,
    /// The key that the alias refers to.
    pub target_key_id: KeyId,
    /// The time at which the alias was created.
    pub creation_date: Timestamp,
    /// The time at which the alias was created or last updated.
    pub last_updated_date: Timestamp,
}
