//! Creating, describing, listing, enabling, and disabling keys.

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Description, KeyArn, KeyEvent, KeyId, KeyManager, KeyMetadata, KeyState, Operation, Origin};
use crate::kms::engine::handle::Kms;
use crate::kms::operations::key_creation::{creation_call, creation_conditions};
use crate::kms::pipeline::authorized_key::AuthorizedKey;
use crate::kms::pipeline::call::{CallSpec, truncated_for_audit};
use crate::kms::pipeline::change::commit_change;
use crate::kms::records::key::KeyRecord;
use crate::kms::request::pagination::{self, PageLimits};
use crate::kms::request::{
    CreateKeyRequest, IntoKeyRequest, KeyListEntry, KeyReference, KeyRequest, Page, PageRequest, checked_tags,
};
use crate::kms::storage::edit::Edit;
use crate::provider::ProviderId;
use crate::store::MAX_SCAN;

/// Page sizes of [`Kms::list_keys`].
const KEY_PAGES: PageLimits = PageLimits { most: 1_000, default: 100 };

impl Kms {
    /// Creates a key in the caller's account and returns its metadata. The key is enabled
    /// immediately. A key of origin `EXTERNAL` is enabled after its material is imported
    /// ([`Kms::import_key_material`]).
    ///
    /// A service ([`Kms::as_service`]) creates keys that it owns and that no account sees. A
    /// request with tags also requires permission for TagResource, and one with an alias permission
    /// for CreateAlias.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the usage is missing or does not fit the spec,
    ///   the description or a tag is too long, no provider has the name, or the request specifies
    ///   both a provider and a custom key store, or neither although the origin is `AWS_CLOUDHSM`.
    /// - [`Tag`](ErrorKind::Tag) if a tag key is duplicated or reserved, or there are more than 50
    ///   tags.
    /// - [`MalformedPolicyDocument`](ErrorKind::MalformedPolicyDocument) if the policy is
    ///   malformed, uses an unsupported feature, or locks the caller out.
    /// - [`UnsupportedOperation`](ErrorKind::UnsupportedOperation) if the provider does not support
    ///   such keys.
    /// - [`CustomKeyStoreNotFound`](ErrorKind::CustomKeyStoreNotFound) if the custom key store does
    ///   not exist.
    /// - [`CustomKeyStoreInvalidState`](ErrorKind::CustomKeyStoreInvalidState) if the custom key
    ///   store is not connected, or no HSM responds.
    /// - [`ClusterInvalidConfiguration`](ErrorKind::ClusterInvalidConfiguration) if the cluster of
    ///   the custom key store has too few active HSMs or zones.
    /// - [`CopiedStore`](ErrorKind::CopiedStore) if this store is a copy, and the key would be
    ///   created in an HSM or by a custom provider.
    /// - The errors of the provider, if it cannot create a key now.
    /// - The errors of [`Kms::create_alias`] that concern the name, if the request has an alias.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::{KeyState, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().description("backups"))?;
    /// assert_eq!((key.state(), key.usage()), (KeyState::Enabled, KeyUsage::EncryptDecrypt));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn create_key(&self, mut request: CreateKeyRequest) -> Result<KeyMetadata> {
        if let Some(provider) = request.provider.as_ref().and_then(|name| self.core.material.provider(name).ok()) {
            request.origin = provider.origin();
        }
        // A missing usage and duplicate tags are rejected later. Whether the caller may create keys
        // is decided first.
        let tags = checked_tags(&request.tags).unwrap_or_default();
        let conditions = creation_conditions(&request, &tags);
        let call = creation_call(&request, &tags, &conditions);
        self.account_call(call, |call_context| {
            match (request.custom_key_store, &request.provider) {
                (Some(_), Some(_)) => {
                    let text = "cannot create a key both in a custom key store and with a provider: specify only one";
                    return Err(Error::new(ErrorKind::Validation, text));
                }
                (Some(store), None) => return self.create_key_in_store(&request, store, call_context),
                (None, _) => {}
            }
            // Generated once, before anything is written. An RSA key takes seconds, during which no
            // other call is blocked.
            let mut record = self.new_key(&request, call_context.now())?;
            self.permit_first_tags(call_context, &record)?;
            // Checked before generating the material, so that a rejection leaves no material behind
            // in an external provider.
            self.set_first_policy(call_context, &mut record, &request)?;
            self.set_first_alias(call_context, &mut record, &request)?;
            self.make_material(&mut record, request.provider.as_ref(), call_context.now())?;
            call_context.record_key(record.account, record.key_id);
            let arn = KeyArn::new(self.locality().clone(), record.account, record.key_id);
            let now = call_context.now();
            commit_change(&self.core, call_context, |_| {
                let mut edits = self.first_alias_edits(&record, now)?;
                edits.push(Edit::put_key(record.clone(), None));
                Ok((edits, record.metadata(&arn, now)))
            })
            .inspect_err(|error| {
                // Another caller was faster. Nothing refers to the material.
                if error.kind() == ErrorKind::AlreadyExists {
                    self.core.discard_material(&record);
                }
            })
        })
    }

    fn make_material(&self, record: &mut KeyRecord, provider: Option<&ProviderId>, now: Timestamp) -> Result<()> {
        let made = match (provider, record.origin) {
            (Some(_), Origin::External) => {
                let text =
                    format!("a key of origin {} cannot have a provider: its material is imported", record.origin);
                return Err(Error::new(ErrorKind::Validation, text));
            }
            (Some(name), Origin::Kms | Origin::Hsm) => {
                self.core.add_first_version(record, name, now)?;
                KeyEvent::CreatedWithMaterial
            }
            (None, Origin::External) => KeyEvent::CreatedWithoutMaterial,
            (None, Origin::Kms) => {
                self.core.add_version(record, now, None)?;
                KeyEvent::CreatedWithMaterial
            }
            (None, Origin::Hsm) => {
                let text = format!("a key of origin {} requires a custom key store or a provider", record.origin);
                return Err(Error::new(ErrorKind::Validation, text));
            }
        };
        record.state = record.state.next(made).unwrap_or(record.state);
        Ok(())
    }

    /// Returns the metadata of a key, excluding its aliases, tags, and rotation settings. Allowed
    /// in every key state.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the key or the alias does not exist.
    /// - [`InvalidGrantToken`](ErrorKind::InvalidGrantToken) if a grant token is invalid.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{KeySpec, KeyState, Origin};
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key_id = kms.create_key(Default::default())?.key_id();
    /// kms.create_alias("alias/reports", key_id)?;
    /// let key = kms.describe_key("alias/reports")?;
    /// assert_eq!((key.key_id(), key.state()), (key_id, KeyState::Enabled));
    /// assert_eq!((key.spec(), key.origin()), (KeySpec::SymmetricDefault, Origin::Kms));
    /// assert_eq!(kms.describe_key("alias/missing").unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn describe_key<'a>(&self, request: impl IntoKeyRequest<'a>) -> Result<KeyMetadata> {
        let KeyRequest { key, grant_tokens } = request.into_key_request();
        let call = CallSpec::new(Operation::DescribeKey).grant_tokens(grant_tokens);
        self.key_call(call, &key, |target, call_context| {
            self.core.registry.metadata(target.record(), target.arn(), call_context.now())
        })
    }

    /// Lists the keys of the caller's account in the order of their IDs. A page has 1 to 1,000
    /// entries, 100 by default.
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
    /// for _ in 0..3 {
    ///     kms.create_key(Default::default())?;
    /// }
    /// let first = kms.list_keys(PageRequest::default().limit(2))?;
    /// let rest = kms.list_keys(PageRequest::default().marker(first.next_marker.unwrap_or_default()))?;
    /// assert_eq!((first.entries.len(), rest.entries.len(), rest.next_marker), (2, 1, None));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn list_keys(&self, page: PageRequest) -> Result<Page<KeyListEntry>> {
        self.account_call(CallSpec::new(Operation::ListKeys).valid(KEY_PAGES.valid(&page)), |_| {
            let limit = KEY_PAGES.check(&page)?;
            let mut after = match &page.marker {
                Some(marker) => {
                    Some(KeyId::from_bytes(pagination::name_in(marker)?.try_into().map_err(|_| pagination::bad())?))
                }
                None => None,
            };
            let mut entries = Vec::new();
            let wanted = (limit + 1).min(MAX_SCAN);
            // Keys whose waiting period has ended are skipped, so one scan may not fill the page.
            loop {
                let batch = self.core.registry.keys(
                    Some(self.account()),
                    after.map(|key_id| (self.account(), key_id)),
                    wanted,
                )?;
                let last_batch = batch.len() < wanted;
                after = batch.last().map(|(_, key_id, ..)| *key_id).or(after);
                // All services share one account, and each sees only its own keys.
                let visible = |record: &KeyRecord| {
                    record.manager != KeyManager::Owned || record.service.as_ref() == self.principal.as_service()
                };
                let alive = batch.into_iter().filter(|(.., record)| !self.core.time.is_over(record) && visible(record));
                entries.extend(alive.map(|(account, key_id, ..)| KeyListEntry {
                    key_id,
                    key_arn: KeyArn::new(self.locality().clone(), account, key_id),
                }));
                if last_batch || entries.len() > limit {
                    return Ok(pagination::cut(entries, limit, |entry| entry.key_id.as_bytes()));
                }
            }
        })
    }

    /// Replaces the description of a key.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the description is longer than 8,192 characters.
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key is pending deletion.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().description("invoices"))?.key_id();
    /// kms.update_key_description(key, "invoices until 2026")?;
    /// assert_eq!(kms.describe_key(key)?.description().as_str(), "invoices until 2026");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn update_key_description(&self, key: impl KeyReference, description: impl AsRef<str>) -> Result<()> {
        let description = description.as_ref();
        let parsed = Description::parse(description);
        let call = CallSpec::new(Operation::UpdateKeyDescription)
            .parameter("description", truncated_for_audit(description))
            .valid(parsed.clone().map(drop));
        self.key_change(call, &key, |target, _| {
            let mut record = target.record().clone();
            record.description = parsed.clone()?;
            Ok((target.put(record), ()))
        })
    }

    /// Enables a key. Enabling an enabled key has no effect.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key is pending deletion or pending
    ///   import.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::{DecryptRequest, EncryptRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let blob = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    /// kms.disable_key(key)?;
    /// assert!(kms.decrypt(DecryptRequest::new(&blob)).is_err());
    /// kms.enable_key(key)?;
    /// assert_eq!(kms.decrypt(DecryptRequest::new(&blob))?.plaintext.expose_secret(), b"data");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn enable_key(&self, key: impl KeyReference) -> Result<()> {
        self.set_state(Operation::EnableKey, KeyEvent::Enable, key)
    }

    /// Disables a key: it cannot be used until it is enabled again. Disabling a disabled key has no
    /// effect.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the key does not exist.
    /// - [`InvalidState`](ErrorKind::InvalidState) if the key is pending deletion or pending
    ///   import.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::request::EncryptRequest;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.disable_key(key.key_id())?;
    /// let refused = kms.encrypt(EncryptRequest::new(key.key_id(), b"data")).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Disabled);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn disable_key(&self, key: impl KeyReference) -> Result<()> {
        self.set_state(Operation::DisableKey, KeyEvent::Disable, key)
    }

    fn set_state(&self, operation: Operation, event: KeyEvent, key: impl KeyReference) -> Result<()> {
        self.key_change(CallSpec::new(operation), &key, |target, call_context| {
            let mut record = target.record().clone();
            record.state = next_state(target, event, call_context.now())?;
            Ok((target.put(record), ()))
        })
    }
}

/// Returns the state after an event. It exists, because the state table of operations has allowed
/// the call.
pub(in crate::kms) fn next_state(target: &AuthorizedKey<'_>, event: KeyEvent, now: Timestamp) -> Result<KeyState> {
    let state = target.record().state_at(now);
    state.next(event).ok_or_else(|| {
        let text = format!("{event:?} is not allowed while {} is {state}", target.arn());
        Error::new(ErrorKind::InvalidState, text)
    })
}
