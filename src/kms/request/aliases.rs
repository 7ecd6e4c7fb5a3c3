//! Parameters and results of the operations on aliases.

use crate::clock::Timestamp;
use crate::key::{AliasArn, AliasName, KeyId};

/// An alias in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AliasListEntry {
    /// Its name.
    pub alias_name: AliasName,
    /// Its ARN.
    pub alias_arn: AliasArn,
    /// The key it stands for.
    pub target_key_id: KeyId,
    /// When it was made.
    pub creation_date: Timestamp,
    /// When it was made or last pointed elsewhere.
    pub last_updated_date: Timestamp,
}
