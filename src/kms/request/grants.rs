//! What the operations on grants take and return.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter};
use crate::clock::Timestamp;
use crate::identity::{AccountId, Principal};
use crate::key::KeyArn;
use crate::policy::{GrantId, GrantTerms};

/// What [`Kms::create_grant`](crate::Kms::create_grant) takes.
#[derive(Clone, Debug)]
pub struct CreateGrantRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) terms: GrantTerms,
    pub(in crate::kms) name: Option<String>,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
    pub(in crate::kms) dry_run: bool,
}

impl<'a, K: KeyReference> CreateGrantRequest<'a, K> {
    /// Lets a principal use a key on these terms.
    pub const fn new(key: K, terms: GrantTerms) -> Self {
        Self { key, terms, name: None, grant_tokens: &[], dry_run: false }
    }

    /// Names the grant: the same request with the same name gives the grant that there is, and makes no second one. 1 to
    /// 256 letters, digits and `:/_-`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// What [`Kms::create_grant`](crate::Kms::create_grant) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreateGrantResponse {
    /// The id of the grant.
    pub grant_id: GrantId,
    /// A token that names it.
    pub grant_token: GrantToken,
}

/// A grant as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantListEntry {
    /// The key.
    pub key_arn: KeyArn,
    /// The id of the grant.
    pub grant_id: GrantId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// When it was made.
    pub creation_date: Timestamp,
    /// The account that made it.
    pub issuing_account: AccountId,
    /// Who may do what, under which constraints, and who may give it back.
    pub terms: GrantTerms,
}

/// Whether a call is only tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DryRun {
    /// It is done.
    #[default]
    No,
    /// It goes through every check and then fails with [`DryRun`](crate::ErrorKind::DryRun).
    Yes,
}

/// Which grants on a key [`Kms::list_grants`](crate::Kms::list_grants) lists; by default all.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrantFilter<'a> {
    pub(in crate::kms) grant_id: Option<GrantId>,
    pub(in crate::kms) grantee: Option<&'a Principal>,
}

impl<'a> GrantFilter<'a> {
    /// Only this grant; none if the key has no such grant.
    #[must_use]
    pub const fn grant_id(mut self, id: GrantId) -> Self {
        self.grant_id = Some(id);
        self
    }

    /// Only grants whose grantee is this principal.
    #[must_use]
    pub const fn grantee(mut self, principal: &'a Principal) -> Self {
        self.grantee = Some(principal);
        self
    }
}
