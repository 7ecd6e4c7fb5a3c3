//! Limits the keys that a discovery keyring uses.

use std::collections::BTreeSet;

use strongroom::{Error, ErrorKind, Result};

use crate::arn::KeyArn;

/// Limits a discovery keyring to keys of a partition and of accounts.
///
/// A message names its keys, and its sender chooses them. Without a filter, the keyring calls AWS KMS
/// for keys of any account, including that of an attacker.
///
/// # Examples
/// ```
/// use strongroom_aws_kms::DiscoveryFilter;
///
/// let ours = DiscoveryFilter::accounts("aws", ["111122223333", "444455556666"])?;
/// assert_ne!(ours, DiscoveryFilter::any());
/// assert!(DiscoveryFilter::accounts("aws", [""; 0]).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryFilter(Option<Accounts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Accounts {
    partition: String,
    accounts: BTreeSet<String>,
}

impl DiscoveryFilter {
    /// Allows keys of these accounts in a partition: `aws`, `aws-us-gov`, or `aws-cn`.
    ///
    /// # Errors
    /// - [`ErrorKind::Validation`] if there is no account, or if a name is empty.
    pub fn accounts(
        partition: impl Into<String>,
        accounts: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self> {
        let (partition, accounts) = (partition.into(), accounts.into_iter().map(Into::into).collect::<BTreeSet<_>>());
        if partition.is_empty() || accounts.is_empty() || accounts.contains("") {
            let text = "a discovery filter must have a partition and at least one account, which are not empty";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        Ok(Self(Some(Accounts { partition, accounts })))
    }

    /// Allows all keys that the credentials may use.
    pub const fn any() -> Self {
        Self(None)
    }

    pub(crate) fn allows(&self, arn: &KeyArn) -> bool {
        self.0
            .as_ref()
            .is_none_or(|allowed| allowed.partition == arn.partition() && allowed.accounts.contains(arn.account()))
    }
}
