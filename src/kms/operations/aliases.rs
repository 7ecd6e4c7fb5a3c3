//! Aliases of keys.

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::AccountId;
use crate::key::{AliasArn, AliasName, KeyId, KeyIdentifier, Operation};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::{AuthzRequest, CallSpec, truncated_for_audit};
use crate::kms::pipeline::change::{CallContext, commit_change};
use crate::kms::records::alias::AliasRecord;
use crate::kms::records::key::KeyRecord;
use crate::kms::request::pagination::{self, PageLimits};
use crate::kms::request::{AliasListEntry, KeyReference, Page, PageRequest};
use crate::kms::storage::cache::Cached;
use crate::kms::storage::edit::Edit;
use crate::kms::storage::loaded_key::LoadedKey;

/// Page sizes of [`Kms::list_aliases`].
const ALIAS_PAGES: PageLimits = PageLimits { most: 100, default: 50 };

impl Kms {
    /// Creates an alias for a key: `alias/` followed by up to 250 characters, unique within the
    /// account.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) or [`InvalidAliasName`](ErrorKind::InvalidAliasName)
    ///   if the name is malformed.
    /// - [`NotAuthorized`](ErrorKind::NotAuthorized) if the name begins with `alias/aws/`.
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if the alias exists.
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if the key already has 50 aliases.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key is pending deletion.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.create_alias("alias/reports", key.key_id())?;
    /// assert_eq!(kms.describe_key("alias/reports")?.key_id(), key.key_id());
    /// let refused = kms.create_alias("alias/reports", key.key_id()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn create_alias(&self, alias_name: impl AsRef<str>, target_key: impl KeyReference) -> Result<()> {
        let call = alias_call(Operation::CreateAlias, alias_name.as_ref());
        let name = match unreserved(alias_name.as_ref()) {
            Ok(name) => name,
            Err(error) => return self.refused(call, error),
        };
        self.key_change(call, &target_key, |target, call_context| {
            self.permit_alias(call_context, Operation::CreateAlias, &name)?;
            let record = target.record();
            self.check_alias_free(record.account, &name)?;
            let mut edits = target.put(self.with_alias(record, &name)?);
            edits.push(first_alias_edit(record, &name, call_context.now())?);
            Ok((edits, ()))
        })
    }

    /// Points an alias to another key of the same class and usage.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) or [`InvalidAliasName`](ErrorKind::InvalidAliasName)
    ///   if the name is malformed.
    /// - [`NotAuthorized`](ErrorKind::NotAuthorized) if the name begins with `alias/aws/`.
    /// - [`NotFound`](ErrorKind::NotFound) if the alias or the key does not exist.
    /// - [`Validation`](ErrorKind::Validation) if the keys differ in class (symmetric, asymmetric,
    ///   HMAC) or usage.
    /// - [`LimitExceeded`](ErrorKind::LimitExceeded) if the new key already has 50 aliases.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the new key is pending deletion.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let (old, new) = (kms.create_key(Default::default())?, kms.create_key(Default::default())?);
    /// kms.create_alias("alias/reports", old.key_id())?;
    /// kms.update_alias("alias/reports", new.key_id())?;
    /// assert_eq!(kms.describe_key("alias/reports")?.key_id(), new.key_id());
    ///
    /// let signing = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    /// let signing = kms.create_key(signing)?;
    /// let refused = kms.update_alias("alias/reports", signing.key_id()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn update_alias(&self, alias_name: impl AsRef<str>, target_key: impl KeyReference) -> Result<()> {
        let call = alias_call(Operation::UpdateAlias, alias_name.as_ref());
        let name = match unreserved(alias_name.as_ref()) {
            Ok(name) => name,
            Err(error) => return self.refused(call, error),
        };
        self.key_change(call, &target_key, |target, call_context| {
            self.permit_alias(call_context, Operation::UpdateAlias, &name)?;
            let new = target.record();
            let alias = self.core.registry.alias(new.account, &name)?.ok_or_else(|| self.no_alias(&name))?;
            let old = self.core.registry.key(new.account, alias.target)?;
            let is_alive = |old: &Cached<LoadedKey>| !self.core.time.is_over(&old.record);
            let old = old.filter(is_alive).ok_or_else(|| self.no_alias(&name))?;
            let left = KeyIdentifier::KeyId(alias.target);
            self.permit(call_context, &AuthzRequest::new(Operation::UpdateAlias), &left, &old)?;
            if alias.target == new.key_id {
                return Ok((Vec::new(), ()));
            }
            check_same_kind(&old.record, new)?;
            let moved = AliasRecord { target: new.key_id, updated: call_context.now(), ..*alias };
            let mut edits = target.put(self.with_alias(new, &name)?);
            let (account, expected) = (new.account, Some(alias.revision()));
            edits.push(Edit::put(AliasRecord::record_id(account, &name), &moved, expected)?);
            let record = without_alias(&old.record, &name);
            edits.push(Edit::put_key(record, Some(old.revision())));
            Ok((edits, ()))
        })
    }

    /// Deletes an alias. The key is not affected.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) or [`InvalidAliasName`](ErrorKind::InvalidAliasName)
    ///   if the name is malformed.
    /// - [`NotFound`](ErrorKind::NotFound) if the alias does not exist.
    /// - [`NotAuthorized`](ErrorKind::NotAuthorized) if the name begins with `alias/aws/`.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.create_alias("alias/reports", key.key_id())?;
    /// kms.delete_alias("alias/reports")?;
    /// assert!(kms.describe_key(key.key_id())?.is_enabled());
    /// assert_eq!(kms.describe_key("alias/reports").unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn delete_alias(&self, alias_name: impl AsRef<str>) -> Result<()> {
        let call = alias_call(Operation::DeleteAlias, alias_name.as_ref());
        let name = match unreserved(alias_name.as_ref()) {
            Ok(name) => name,
            Err(error) => return self.refused(call, error),
        };
        self.audited(call, |call_context| {
            commit_change(&self.core, call_context, |call_context: &mut CallContext| {
                self.permit_alias(call_context, Operation::DeleteAlias, &name)?;
                let account = self.account();
                let alias = self.core.registry.alias(account, &name)?.ok_or_else(|| self.no_alias(&name))?;
                if !self.is_alive(alias.target)? {
                    return Err(self.no_alias(&name));
                }
                let key = KeyIdentifier::KeyId(alias.target);
                let target = self.authorize(call_context, &AuthzRequest::new(Operation::DeleteAlias), &key)?;
                let mut edits = target.put(without_alias(target.record(), &name));
                edits.push(Edit::delete(AliasRecord::record_id(account, &name), alias.revision()));
                Ok((edits, ()))
            })
        })
    }

    /// Lists the aliases of the caller's account in the order of their names. A page has 1 to 100
    /// entries, 50 by default.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the page limit is out of range.
    /// - [`InvalidMarker`](ErrorKind::InvalidMarker) if the marker was not returned by an earlier
    ///   page.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::PageRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// for name in ["alias/reports", "alias/backups", "alias/invoices"] {
    ///     kms.create_alias(name, key.key_id())?;
    /// }
    /// let page = kms.list_aliases(PageRequest::default().limit(2))?;
    /// let names: Vec<&str> = page.entries.iter().map(|entry| entry.alias_name.as_str()).collect();
    /// assert_eq!(names, ["alias/backups", "alias/invoices"]);
    /// assert!(page.next_marker.is_some());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn list_aliases(&self, page: PageRequest) -> Result<Page<AliasListEntry>> {
        self.account_call(CallSpec::new(Operation::ListAliases).valid(ALIAS_PAGES.valid(&page)), |_| {
            let limit = ALIAS_PAGES.check(&page)?;
            let mut after = page.marker.as_deref().map(alias_in).transpose()?;
            let mut entries = Vec::new();
            // Aliases of keys whose waiting period has ended are skipped, so one scan may not fill
            // the page.
            loop {
                let found = self.core.registry.aliases(self.account(), after.as_ref(), limit + 1)?;
                let is_last = found.len() <= limit;
                after = found.last().map(|(name, _)| name.clone()).or(after);
                for (name, record) in found {
                    if self.is_alive(record.target)? {
                        entries.push(self.entry(name, record));
                    }
                }
                if is_last || entries.len() > limit {
                    return Ok(pagination::cut(entries, limit, |entry: &AliasListEntry| {
                        entry.alias_name.as_str().as_bytes()
                    }));
                }
            }
        })
    }

    /// Returns `true` if the target of an alias of the caller's account exists and its waiting
    /// period has not ended.
    fn is_alive(&self, target: KeyId) -> Result<bool> {
        let key = self.core.registry.key(self.account(), target)?;
        Ok(key.is_some_and(|key| !self.core.time.is_over(&key.record)))
    }

    /// Lists the aliases of a key, in the same order and pages as [`Kms::list_aliases`].
    ///
    /// # Errors
    /// - The errors of [`Kms::list_aliases`].
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// let (first, second) = (kms.create_key(Default::default())?, kms.create_key(Default::default())?);
    /// kms.create_alias("alias/first", first.key_id())?;
    /// kms.create_alias("alias/second", second.key_id())?;
    /// let aliases = kms.list_aliases_of_key(second.key_id(), Default::default())?.entries;
    /// assert_eq!(aliases.len(), 1);
    /// assert_eq!(aliases[0].alias_name.as_str(), "alias/second");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn list_aliases_of_key(&self, key: impl KeyReference, page: PageRequest) -> Result<Page<AliasListEntry>> {
        self.key_call(CallSpec::new(Operation::ListAliases).valid(ALIAS_PAGES.valid(&page)), &key, |target, _| {
            let account = target.record().account;
            let mut entries = Vec::new();
            for name in &target.record().aliases {
                if let Some(alias) = self.core.registry.alias(account, name)? {
                    entries.push(self.entry(name.clone(), *alias));
                }
            }
            pagination::page_of(entries.into_iter(), &page, ALIAS_PAGES, |entry| entry.alias_name.as_str().as_bytes())
        })
    }

    fn entry(&self, alias_name: AliasName, record: AliasRecord) -> AliasListEntry {
        AliasListEntry {
            alias_arn: AliasArn::new(self.locality().clone(), self.account(), alias_name.clone()),
            alias_name,
            target_key_id: record.target,
            creation_date: record.created,
            last_updated_date: record.updated,
        }
    }

    /// Returns a key's record with another alias, unless the key has too many.
    pub(in crate::kms) fn with_alias(&self, record: &KeyRecord, name: &AliasName) -> Result<KeyRecord> {
        let most = self.core.settings.limits.aliases_per_key;
        if record.aliases.len() >= most {
            let text = format!("key {} already has {most} aliases, the maximum", record.key_id);
            return Err(Error::new(ErrorKind::LimitExceeded, text));
        }
        let mut record = record.clone();
        record.aliases.insert(name.clone());
        Ok(record)
    }

    /// Rejects the name of an alias that exists.
    pub(in crate::kms) fn check_alias_free(&self, account: AccountId, name: &AliasName) -> Result<()> {
        match self.core.registry.alias(account, name)? {
            Some(alias) => Err(self.taken(account, name, alias.target)),
            None => Ok(()),
        }
    }

    fn taken(&self, account: AccountId, name: &AliasName, by: KeyId) -> Error {
        let arn = AliasArn::new(self.locality().clone(), account, name.clone());
        let mut text = format!("An alias with the name {arn} already exists");
        if self.is_past_deletion(account, by) {
            text.push_str(": the waiting period of its key has ended, and run_maintenance deletes both");
        }
        Error::new(ErrorKind::AlreadyExists, text)
    }

    /// Returns `true` if the waiting period of a key has ended, and maintenance has yet to delete it
    /// with its aliases.
    pub(in crate::kms) fn is_past_deletion(&self, account: AccountId, key_id: KeyId) -> bool {
        let key = self.core.registry.key(account, key_id).ok().flatten();
        key.is_some_and(|key| self.core.time.is_over(&key.record))
    }

    fn no_alias(&self, name: &AliasName) -> Error {
        let arn = AliasArn::new(self.locality().clone(), self.account(), name.clone());
        Error::new(ErrorKind::NotFound, format!("Alias {arn} is not found."))
    }
}

fn alias_call(operation: Operation, alias_name: &str) -> CallSpec<'static> {
    CallSpec::new(operation).parameter("aliasName", truncated_for_audit(alias_name))
}

/// Returns the write that creates an alias of a key. The same commit must add the alias to the
/// key's record.
pub(in crate::kms) fn first_alias_edit(record: &KeyRecord, name: &AliasName, now: Timestamp) -> Result<Edit> {
    let alias = AliasRecord { target: record.key_id, created: now, updated: now };
    Edit::put(AliasRecord::record_id(record.account, name), &alias, None)
}

fn without_alias(record: &KeyRecord, name: &AliasName) -> KeyRecord {
    let mut record = record.clone();
    record.aliases.remove(name);
    record
}

fn check_same_kind(old: &KeyRecord, new: &KeyRecord) -> Result<()> {
    if old.spec.class() == new.spec.class() && old.usage == new.usage {
        return Ok(());
    }
    let text =
        format!("cannot move an alias of a {} key for {} to a {} key for {}", old.spec, old.usage, new.spec, new.usage);
    Err(Error::new(ErrorKind::Validation, text))
}

/// Parses the name of an alias that a caller may create, change or delete.
pub(in crate::kms) fn unreserved(name: &str) -> Result<AliasName> {
    let name = AliasName::parse(name)?;
    if name.is_reserved() {
        let text = format!("'{name}' is reserved: names under alias/aws/ belong to services");
        return Err(Error::new(ErrorKind::NotAuthorized, text));
    }
    Ok(name)
}

fn alias_in(marker: &str) -> Result<AliasName> {
    let name = String::from_utf8(pagination::name_in(marker)?).map_err(|_| pagination::bad())?;
    AliasName::parse(&name).map_err(|_| pagination::bad())
}
