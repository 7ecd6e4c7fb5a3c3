//! Grants: permissions of a principal on a key, in addition to policies.

use crate::audit::ParameterValue;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Principal;
use crate::key::{KeyArn, KeyIdentifier, Operation};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::authorized_key::AuthorizedKey;
use crate::kms::pipeline::call::{AuthzRequest, CallSpec, truncated_for_audit};
use crate::kms::pipeline::change::commit_change;
use crate::kms::records::grant::{GrantRecord, place_bytes, read_place};
use crate::kms::request::pagination::{self, PageLimits};
use crate::kms::request::{
    CreateGrantRequest, CreateGrantResponse, DryRun, GrantFilter, GrantListEntry, GrantToken, KeyReference, NamedGrant,
    Page, PageRequest,
};
use crate::kms::storage::edit::Edit;
use crate::kms::storage::stored_grants::{FoundGrant, GrantRange};
use crate::policy::{GrantId, GrantTerms, RequestParameter};
use crate::store::{MAX_SCAN, RecordId};
use crate::text::sanitize_for_error;

/// Page sizes of [`Kms::list_grants`] and [`Kms::list_retirable_grants`].
const GRANT_PAGES: PageLimits = PageLimits { most: 100, default: 50 };

/// The maximum length, in bytes, of a context name in a constraint before the audit trail truncates
/// it.
const MAX_NOTED_NAME: usize = 2_048;

/// The maximum length of a grant name, in characters.
const MAX_GRANT_NAME: usize = 256;

impl GrantFilter<'_> {
    fn accepts(&self, grant: &FoundGrant) -> bool {
        self.grant_id.is_none_or(|id| id == grant.id)
            && self.grantee.is_none_or(|grantee| grantee.as_named() == *grant.record.terms.grantee())
    }

    fn with_parameters<'c>(&self, mut call: CallSpec<'c>) -> CallSpec<'c> {
        if let Some(id) = self.grant_id {
            call = call.parameter("grantId", id.to_string());
        }
        if let Some(grantee) = self.grantee {
            call = call.parameter("granteePrincipal", grantee.to_string());
        }
        call
    }
}

impl Kms {
    /// Allows a principal to use a key in specified ways, effective immediately and until the grant
    /// is retired or revoked. A key can have up to 50,000 grants.
    ///
    /// A grant only allows: an explicit denial in a policy takes precedence. A principal that may
    /// create grants only because of a grant can allow no more than that grant does. Deleting a key
    /// also deletes its grants.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the key does not support such an operation or
    ///   context, or if a name is malformed.
    /// - [`InvalidArn`](ErrorKind::InvalidArn) if a principal is in another partition.
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if the key has the maximum number of grants.
    /// - [`InvalidGrantToken`](ErrorKind::InvalidGrantToken) if a grant token is invalid.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) unless the key is customer
    ///   managed.
    /// - [`Disabled`](ErrorKind::Disabled) if the key is disabled.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key state does not allow the operation.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::key::Operation;
    /// use strongroom::policy::GrantTerms;
    /// use strongroom::request::{CreateGrantRequest, EncryptRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let bob = Principal::user(AccountId::default(), "bob")?;
    /// let grant = kms.create_grant(CreateGrantRequest::new(
    ///     key.key_id(),
    ///     GrantTerms::new(bob.clone(), [Operation::Encrypt])?,
    /// ))?;
    /// let as_bob = kms.as_principal(bob)?;
    /// assert!(as_bob.encrypt(EncryptRequest::new(key.key_id(), b"data")).is_ok());
    /// kms.revoke_grant(key.key_id(), grant.grant_id, Default::default())?;
    /// assert!(as_bob.encrypt(EncryptRequest::new(key.key_id(), b"data")).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn create_grant(&self, request: CreateGrantRequest<'_, impl KeyReference>) -> Result<CreateGrantResponse> {
        let terms = request.terms.clone().with_partition_of(self.locality());
        let conditions = [RequestParameter::Grant(&terms)];
        let call = terms_noted(CallSpec::new(Operation::CreateGrant), &terms, request.name.as_deref())
            .conditions(&conditions)
            .valid(request.name.as_deref().map_or(Ok(()), check_name))
            .grant_tokens(request.grant_tokens)
            .dry_run(request.dry_run);
        self.key_change(call, &request.key, |target, call_context| {
            let record = target.record();
            let named = [Some(request.terms.grantee()), request.terms.retiring_principal()];
            named.into_iter().flatten().try_for_each(|named| self.check_partition(ErrorKind::InvalidArn, named))?;
            terms.check_key(record.spec, record.usage)?;
            let response = |id| {
                let named = NamedGrant { account: record.account, key_id: record.key_id, id };
                Ok::<_, Error>(CreateGrantResponse {
                    grant_id: id,
                    grant_token: self.core.registry.new_grant_token(self.core.material.backend.random(), named)?,
                })
            };
            if let Some(id) = Self::same_grant(target, request.name.as_deref(), &terms)? {
                return Ok((Vec::new(), response(id)?));
            }
            let most = self.core.settings.limits.grants_per_key;
            if usize::try_from(record.grants).is_ok_and(|grants| grants >= most) {
                let text = format!("{} already has {most} grants, the maximum", target.arn());
                return Err(Error::new(ErrorKind::LimitExceeded, text));
            }
            let random = self.core.material.backend.random();
            let id = self.core.registry.new_grant_id(record.key_id, terms.grantee(), random)?;
            let grant = GrantRecord {
                created: call_context.now(),
                issuing_account: self.account(),
                terms: terms.clone(),
                name: request.name.clone(),
            };
            let mut counted = record.clone();
            counted.grants += 1;
            let mut edits = target.put(counted);
            let place = GrantRecord::record_id(record.account, record.key_id, id);
            edits.extend(self.core.registry.put_retirable(&grant.terms, &place)?);
            edits.push(Edit::put_grant(place, &grant)?);
            call_context.set_param("grantId", id.to_string());
            Ok((edits, response(id)?))
        })
    }

    /// Lists the grants on a key that match a [`GrantFilter`]; the default filter matches all. A
    /// page has 1 to 100 entries, 50 by default.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - [`InvalidArn`](ErrorKind::InvalidArn) if the grantee is in another partition.
    /// - [`Validation`](ErrorKind::Validation) if the page limit is out of range.
    /// - [`InvalidMarker`](ErrorKind::InvalidMarker) if the marker was not returned by an earlier
    ///   page.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
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
    /// for name in ["alice", "bob"] {
    ///     let terms = GrantTerms::new(Principal::user(AccountId::default(), name)?, [Operation::Encrypt])?;
    ///     kms.create_grant(CreateGrantRequest::new(key, terms))?;
    /// }
    /// assert_eq!(kms.list_grants(key, GrantFilter::default(), Default::default())?.entries.len(), 2);
    /// let bob = Principal::user(AccountId::default(), "bob")?;
    /// let of_bob = kms.list_grants(key, GrantFilter::default().grantee(&bob), Default::default())?;
    /// assert_eq!(of_bob.entries[0].terms.grantee(), &bob);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn list_grants(
        &self,
        key: impl KeyReference,
        filter: GrantFilter<'_>,
        page: PageRequest,
    ) -> Result<Page<GrantListEntry>> {
        let call = filter.with_parameters(CallSpec::new(Operation::ListGrants).valid(GRANT_PAGES.valid(&page)));
        self.key_call(call, &key, |target, _| {
            let limit = GRANT_PAGES.check(&page)?;
            filter.grantee.map_or(Ok(()), |grantee| self.check_partition(ErrorKind::InvalidArn, grantee))?;
            let key @ (account, key_id) = (target.record().account, target.record().key_id);
            let after = page.marker.as_deref().map(|marker| {
                let id: [u8; 32] = pagination::name_in(marker)?.try_into().map_err(|_| pagination::bad())?;
                Ok::<_, Error>(GrantRecord::record_id(account, key_id, GrantId::from_bytes(id)))
            });
            let after = after.transpose()?;
            let found = match filter.grant_id {
                Some(id) => {
                    let found = self.core.registry.grant(account, key_id, id)?;
                    let wanted = |grant: &FoundGrant| filter.accepts(grant) && Some(grant.record_id()) > after;
                    found.into_iter().filter(wanted).collect()
                }
                None => {
                    let range = GrantRange { key, grantee: filter.grantee };
                    self.grants_where(range, after, limit + 1, |grant| filter.accepts(grant))?
                }
            };
            let entries = found.into_iter().map(|grant| self.grant_entry(grant)).collect();
            Ok(pagination::cut(entries, limit, |entry: &GrantListEntry| entry.grant_id.as_bytes()))
        })
    }

    /// Lists the grants that a principal of the caller's account may retire as their retiring
    /// principal, on the keys of any account. A page has 1 to 100 entries, 50 by default. Other
    /// grants are not read, however many there are.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the principal belongs to another account, or the
    ///   page limit is out of range.
    /// - [`InvalidArn`](ErrorKind::InvalidArn) if the principal is in another partition.
    /// - [`InvalidMarker`](ErrorKind::InvalidMarker) if the marker was not returned by an earlier
    ///   page.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
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
    /// let operator = Principal::role(AccountId::default(), "operator")?;
    /// let terms = GrantTerms::new(worker, [Operation::Decrypt])?.with_retiring_principal(operator.clone());
    /// let grant = kms.create_grant(CreateGrantRequest::new(key, terms))?;
    ///
    /// let retirable = kms.list_retirable_grants(&operator, Default::default())?.entries;
    /// assert_eq!(retirable[0].grant_id, grant.grant_id);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn list_retirable_grants(
        &self,
        retiring_principal: &Principal,
        page: PageRequest,
    ) -> Result<Page<GrantListEntry>> {
        let call = CallSpec::new(Operation::ListRetirableGrants)
            .valid(GRANT_PAGES.valid(&page))
            .parameter("retiringPrincipal", retiring_principal.to_string());
        self.account_call(call, |_| {
            let limit = GRANT_PAGES.check(&page)?;
            self.check_partition(ErrorKind::InvalidArn, retiring_principal)?;
            if retiring_principal.account() != self.account() {
                let text = format!("{retiring_principal} is not a principal of your account");
                return Err(Error::new(ErrorKind::Validation, text));
            }
            let after = page.marker.as_deref().map(place_in).transpose()?;
            let registry = &self.core.registry;
            let found =
                registry.retirable_grants(retiring_principal, after.as_ref(), limit + 1, self.core.time.confirmed())?;
            let named: Vec<_> =
                found.into_iter().map(|grant| (place_bytes(&grant.record_id()), self.grant_entry(grant))).collect();
            let page = pagination::cut(named, limit, |(name, _)| name.as_slice());
            let entries = page.entries.into_iter().map(|(_, entry)| entry).collect();
            Ok(Page { entries, next_marker: page.next_marker })
        })
    }

    /// Retires a grant. The caller must be one of the following:
    ///
    /// - the retiring principal of the grant;
    /// - its grantee, if the grant allows RetireGrant;
    /// - the root of the account that created it;
    /// - a principal that the key policy allows.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the key or the grant does not exist.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
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
    /// let worker = Principal::role(AccountId::default(), "worker")?;
    /// let terms = GrantTerms::new(worker.clone(), [Operation::Decrypt, Operation::RetireGrant])?;
    /// let grant = kms.create_grant(CreateGrantRequest::new(key, terms))?;
    ///
    /// // The worker returns the permission when it is done.
    /// let as_worker = kms.as_principal(worker)?;
    /// let checked = as_worker.retire_grant(key, grant.grant_id, DryRun::Yes).unwrap_err();
    /// assert_eq!(checked.kind(), ErrorKind::DryRun); // it would succeed
    /// as_worker.retire_grant(key, grant.grant_id, DryRun::No)?;
    /// assert!(kms.list_grants(key, Default::default(), Default::default())?.entries.is_empty());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn retire_grant(&self, key: impl KeyReference, grant_id: GrantId, dry_run: DryRun) -> Result<()> {
        self.end_grant(Operation::RetireGrant, &key, grant_id, dry_run)
    }

    /// Retires the grant that a token identifies, like [`Kms::retire_grant`].
    ///
    /// # Errors
    /// - [`InvalidGrantToken`](ErrorKind::InvalidGrantToken) if the token is invalid.
    /// - The errors of [`Kms::retire_grant`].
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
    /// let token = kms.create_grant(CreateGrantRequest::new(key, terms))?.grant_token;
    /// kms.retire_grant_by_token(&token, DryRun::No)?;
    /// let gone = kms.retire_grant_by_token(&token, DryRun::No).unwrap_err();
    /// assert_eq!(gone.kind(), ErrorKind::NotFound);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn retire_grant_by_token(&self, token: &GrantToken, dry_run: DryRun) -> Result<()> {
        match self.core.registry.named_grant(token) {
            Ok(NamedGrant { account, key_id, id }) => {
                let arn = KeyArn::new(self.locality().clone(), account, key_id);
                self.end_grant(Operation::RetireGrant, &KeyIdentifier::KeyArn(arn), id, dry_run)
            }
            Err(error) => self.refused(CallSpec::new(Operation::RetireGrant), error),
        }
    }

    /// Revokes a grant, if the key policy allows it.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the key or the grant does not exist.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) unless the key is customer
    ///   managed.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::key::Operation;
    /// use strongroom::policy::GrantTerms;
    /// use strongroom::request::{CreateGrantRequest, DryRun, GenerateDataKeyRequest};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let worker = Principal::role(AccountId::default(), "worker")?;
    /// let terms = GrantTerms::new(worker.clone(), [Operation::GenerateDataKey])?;
    /// let grant = kms.create_grant(CreateGrantRequest::new(key.key_id(), terms))?;
    /// let as_worker = kms.as_principal(worker)?;
    /// as_worker.generate_data_key(GenerateDataKeyRequest::new(key.key_id()))?;
    ///
    /// kms.revoke_grant(key.key_id(), grant.grant_id, DryRun::No)?;
    /// let refused = as_worker.generate_data_key(GenerateDataKeyRequest::new(key.key_id())).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::AccessDenied);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn revoke_grant(&self, key: impl KeyReference, grant_id: GrantId, dry_run: DryRun) -> Result<()> {
        self.end_grant(Operation::RevokeGrant, &key, grant_id, dry_run)
    }

    fn end_grant(&self, operation: Operation, key: &dyn KeyReference, id: GrantId, dry_run: DryRun) -> Result<()> {
        let call = CallSpec::new(operation).dry_run(dry_run == DryRun::Yes).parameter("grantId", id.to_string());
        self.audited_on_key(call, key, |identifier, call_context| {
            commit_change(&self.core, call_context, |call_context| {
                // Authorization depends on the content of the grant. A failure to read it is
                // reported only to callers that may see the grant.
                let grant = match self.known(identifier) {
                    Some((account, key_id)) => self.core.registry.grant(account, key_id, id),
                    None => Ok(None),
                };
                let known = grant.as_ref().ok().and_then(Option::as_ref);
                let conditions: Vec<_> = known.into_iter().flat_map(|grant| grant.record.conditions()).collect();
                let question = AuthzRequest::new(operation).conditions(&conditions);
                let target = self.authorize(call_context, &question, identifier)?;
                let Some(grant) = &grant? else {
                    return Err(Error::new(ErrorKind::NotFound, format!("{} has no grant {id}", target.arn())));
                };
                let mut counted = target.record().clone();
                counted.grants = counted.grants.saturating_sub(1);
                let mut edits = target.put(counted);
                edits.extend(self.core.registry.delete_grant(grant)?);
                Ok((edits, ()))
            })
            .inspect(|_| self.count_change(call_context, operation))
        })
    }

    /// Returns the grant that an earlier request with the same name and terms created.
    fn same_grant(target: &AuthorizedKey<'_>, name: Option<&str>, terms: &GrantTerms) -> Result<Option<GrantId>> {
        let Some(name) = name else { return Ok(None) };
        Ok(target.grants(terms.grantee()).index()?.and_then(|index| index.named(name, terms)))
    }

    /// Returns the first grants of a range that match `wanted`.
    fn grants_where(
        &self,
        range: GrantRange<'_>,
        mut after: Option<RecordId>,
        limit: usize,
        wanted: impl Fn(&FoundGrant) -> bool,
    ) -> Result<Vec<FoundGrant>> {
        let mut found = Vec::new();
        loop {
            let batch = self.core.registry.grants(range, after.as_ref(), MAX_SCAN)?;
            let more = batch.len() == MAX_SCAN;
            after = batch.last().map(FoundGrant::record_id);
            found.extend(batch.into_iter().filter(&wanted));
            if !more || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    fn grant_entry(&self, grant: FoundGrant) -> GrantListEntry {
        GrantListEntry {
            key_arn: KeyArn::new(self.locality().clone(), grant.account, grant.key_id),
            grant_id: grant.id,
            name: grant.record.name,
            creation_date: grant.record.created,
            issuing_account: grant.record.issuing_account,
            terms: grant.record.terms.with_partition_of(self.locality()),
        }
    }
}

/// Records the same properties of a grant in the audit trail as CloudTrail does.
fn terms_noted<'a>(call: CallSpec<'a>, terms: &GrantTerms, name: Option<&str>) -> CallSpec<'a> {
    let operations = ParameterValue::texts(terms.operations().iter().map(Operation::as_str));
    let mut call = call.parameter("granteePrincipal", terms.grantee().to_string()).parameter("operations", operations);
    if let Some(retiring) = terms.retiring_principal() {
        call = call.parameter("retiringPrincipal", retiring.to_string());
    }
    let (equals, subset) =
        (terms.constraints().encryption_context_equals(), terms.constraints().encryption_context_subset());
    for (kind, context) in [("encryptionContextEquals", equals), ("encryptionContextSubset", subset)] {
        if let Some(context) = context {
            // Truncated, so that no event is too long to write: the length of these names is not
            // limited otherwise.
            let shown =
                |name: &str| if name.len() <= MAX_NOTED_NAME { name.to_owned() } else { sanitize_for_error(name) };
            let pairs = context.iter().map(|(name, value)| (shown(name), value.to_owned()));
            call = call.parameter(kind, ParameterValue::pairs(pairs));
        }
    }
    match name {
        Some(name) => call.parameter("name", truncated_for_audit(name)),
        None => call,
    }
}

fn check_name(name: &str) -> Result<()> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte);
    if (1..=MAX_GRANT_NAME).contains(&name.len()) && name.bytes().all(known) {
        return Ok(());
    }
    let text = format!("the name of a grant must be 1 to {MAX_GRANT_NAME} letters, digits and :/_-");
    Err(Error::new(ErrorKind::Validation, text))
}

/// Returns the grant that a marker of [`Kms::list_retirable_grants`] identifies.
fn place_in(marker: &str) -> Result<RecordId> {
    read_place(&pagination::name_in(marker)?).ok_or_else(pagination::bad)
}

#[cfg(test)]
mod tests;
