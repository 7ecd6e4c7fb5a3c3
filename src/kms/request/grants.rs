//! Parameters and results of grant operations.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::{dry_run_setter, grant_tokens_setter, key_id_accessor};
use crate::clock::Timestamp;
use crate::identity::{AccountId, Principal};
use crate::key::KeyArn;
use crate::policy::{GrantId, GrantTerms};

/// Parameters for [`Kms::create_grant`](crate::Kms::create_grant).
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::Operation;
/// use strongroom::policy::GrantTerms;
/// use strongroom::request::CreateGrantRequest;
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let worker = Principal::role(AccountId::default(), "worker")?;
/// let terms = GrantTerms::new(worker, [Operation::Encrypt, Operation::Decrypt])?;
/// let request = CreateGrantRequest::new(key, terms).name("worker/1");
/// let first = kms.create_grant(request.clone())?;
/// let repeated = kms.create_grant(request)?; // for example because the response was lost
/// assert_eq!(first.grant_id, repeated.grant_id);
/// assert_eq!(kms.list_grants(key, Default::default(), Default::default())?.entries.len(), 1);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CreateGrantRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) terms: GrantTerms,
    pub(in crate::kms) name: Option<String>,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
    pub(in crate::kms) dry_run: bool,
}

impl<'a, K: KeyReference> CreateGrantRequest<'a, K> {
    /// Allows a principal to use a key under these terms.
    pub const fn new(key: K, terms: GrantTerms) -> Self {
        Self { key, terms, name: None, grant_tokens: &[], dry_run: false }
    }

    /// Names the grant, with 1 to 256 letters, digits and `:/_-`. Repeating the request with the
    /// same name returns the existing grant instead of creating another one.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    grant_tokens_setter!();

    dry_run_setter!();
}

/// The result of [`Kms::create_grant`](crate::Kms::create_grant).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreateGrantResponse {
    /// The ID of the grant.
    pub grant_id: GrantId,
    /// A token that names the grant.
    pub grant_token: GrantToken,
}

/// A grant in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantListEntry {
    /// The key.
    pub key_arn: KeyArn,
    /// The ID of the grant.
    pub grant_id: GrantId,
    /// The name of the grant, if it has one.
    pub name: Option<String>,
    /// The time at which the grant was created.
    pub creation_date: Timestamp,
    /// The account that created the grant.
    pub issuing_account: AccountId,
    /// The grantee, the allowed operations, their constraints, and the principal that may retire
    /// the grant.
    pub terms: GrantTerms,
}

/// Selects whether a call is executed or only checked.
///
/// # Examples
/// ```
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::Operation;
/// use strongroom::policy::GrantTerms;
/// use strongroom::request::{CreateGrantRequest, DryRun};
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let terms = GrantTerms::new(Principal::role(AccountId::default(), "worker")?, [Operation::Decrypt])?;
/// let id = kms.create_grant(CreateGrantRequest::new(key, terms))?.grant_id;
/// assert_eq!(kms.revoke_grant(key, id, DryRun::Yes).unwrap_err().kind(), ErrorKind::DryRun);
/// assert!(kms.revoke_grant(key, id, DryRun::No).is_ok()); // it was not revoked before
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DryRun {
    /// Executes the call.
    #[default]
    No,
    /// Performs every check and then fails with [`DryRun`](crate::ErrorKind::DryRun).
    Yes,
}

impl From<bool> for DryRun {
    /// Returns [`DryRun::Yes`] for `true`.
    fn from(dry_run: bool) -> Self {
        if dry_run { Self::Yes } else { Self::No }
    }
}

/// A filter for [`Kms::list_grants`](crate::Kms::list_grants). By default, all grants on the key
/// are listed.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::Operation;
/// use strongroom::policy::GrantTerms;
/// use strongroom::request::{CreateGrantRequest, GrantFilter};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let alice = Principal::user(AccountId::default(), "alice")?;
/// let bob = Principal::user(AccountId::default(), "bob")?;
/// let grant = |to: &Principal| -> strongroom::Result<_> {
///     let terms = GrantTerms::new(to.clone(), [Operation::Encrypt])?;
///     Ok(kms.create_grant(CreateGrantRequest::new(key, terms))?.grant_id)
/// };
/// let (of_alice, of_bob) = (grant(&alice)?, grant(&bob)?);
///
/// let found = |filter| kms.list_grants(key, filter, Default::default()).map(|page| page.entries);
/// assert_eq!(found(GrantFilter::default())?.len(), 2);
/// assert_eq!(found(GrantFilter::default().grantee(&bob))?[0].grant_id, of_bob);
/// assert_eq!(found(GrantFilter::default().grant_id(of_alice))?[0].terms.grantee(), &alice);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GrantFilter<'a> {
    pub(in crate::kms) grant_id: Option<GrantId>,
    pub(in crate::kms) grantee: Option<&'a Principal>,
}

impl<'a> GrantFilter<'a> {
    /// Lists only this grant, or nothing if the key has no such grant.
    #[must_use]
    pub const fn grant_id(mut self, id: GrantId) -> Self {
        self.grant_id = Some(id);
        self
    }

    /// Lists only grants whose grantee is this principal.
    #[must_use]
    pub const fn grantee(mut self, principal: &'a Principal) -> Self {
        self.grantee = Some(principal);
        self
    }
}

key_id_accessor!(GrantListEntry);
