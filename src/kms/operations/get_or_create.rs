//! The key behind an alias, created together with the alias if it does not exist.

use crate::error::{Error, ErrorKind, Result};
use crate::key::{AliasName, CustomKeyStoreId, KeyMetadata, Operation};
use crate::kms::engine::handle::Kms;
use crate::kms::operations::aliases::unreserved;
use crate::kms::operations::key_creation::requested_usage;
use crate::kms::pipeline::authorized_key::AuthorizedKey;
use crate::kms::pipeline::call::CallSpec;
use crate::kms::request::CreateKeyRequest;
use crate::provider::ProviderId;

/// Maximum number of attempts while other callers keep creating and deleting the alias.
const MAX_ATTEMPTS: usize = 64;

impl Kms {
    /// Returns the metadata of the key that an alias of the caller's account refers to. If the
    /// alias does not exist, creates a key and the alias in one commit.
    ///
    /// Any number of threads and processes can call this at the same time: one of them creates the
    /// key, and all of them return it. An existing key is returned as it is, in any state. It must
    /// have the requested spec, usage and origin, and the custom key store or provider if the
    /// request names one. The description, tags and policy of the request are used only for a new
    /// key.
    ///
    /// An existing key requires permission for DescribeKey. A new key requires the permissions of
    /// [`Kms::create_key`] with an alias. The audit trail contains a call of the operation that was
    /// performed.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists) if the alias refers to a key that is not like
    ///   the requested one, or to one whose waiting period before deletion has ended.
    /// - [`Validation`](ErrorKind::Validation) if the request contains another alias.
    /// - [`Conflict`](ErrorKind::Conflict) if other callers kept creating and deleting the alias.
    /// - The errors of [`Kms::describe_key`] and [`Kms::create_key`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{KeySpec, KeyUsage};
    /// use strongroom::request::CreateKeyRequest;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.get_or_create_key("alias/invoices", CreateKeyRequest::default())?;
    /// let same = kms.get_or_create_key("alias/invoices", CreateKeyRequest::default())?;
    /// assert_eq!(same.key_id(), key.key_id());
    ///
    /// let signing = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    /// let refused = kms.get_or_create_key("alias/invoices", signing).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn get_or_create_key(&self, alias_name: impl AsRef<str>, request: CreateKeyRequest) -> Result<KeyMetadata> {
        let alias_name = alias_name.as_ref();
        if request.alias.as_ref().is_some_and(|alias| alias != alias_name) {
            let text = "the request contains another alias than the one of the key: omit it";
            return self.refused(CallSpec::new(Operation::CreateKey), Error::new(ErrorKind::Validation, text));
        }
        let mut request = request.alias(alias_name);
        if let Some(provider) = request.provider.as_ref().and_then(|name| self.core.material.provider(name).ok()) {
            request.origin = provider.origin();
        }
        // A key cannot be created with a malformed or reserved name, so the call below is rejected.
        let Ok(name) = unreserved(alias_name) else { return self.create_key(request) };
        for _ in 0..MAX_ATTEMPTS {
            if self.may_exist(&name) {
                match self.existing_key(&name, &request) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    found => return found,
                }
            }
            match self.create_key(request.clone()) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && !self.is_left_behind(&name) => {}
                created => return created,
            }
        }
        let text = format!("other callers kept creating and deleting {name}; nothing was changed: try again");
        Err(Error::new(ErrorKind::Conflict, text))
    }

    /// Returns `false` if the alias does not exist. This only chooses the operation that is
    /// performed next, with all its checks. That operation also reports an alias that cannot be
    /// read.
    fn may_exist(&self, name: &AliasName) -> bool {
        !matches!(self.core.registry.alias(self.account(), name), Ok(None))
    }

    /// Returns `true` if maintenance must delete the alias before it can be created again.
    fn is_left_behind(&self, name: &AliasName) -> bool {
        let alias = self.core.registry.alias(self.account(), name).ok().flatten();
        alias.is_some_and(|alias| self.is_past_deletion(self.account(), alias.target))
    }

    fn existing_key(&self, name: &AliasName, request: &CreateKeyRequest) -> Result<KeyMetadata> {
        self.key_call(CallSpec::new(Operation::DescribeKey), name, |target, call_context| {
            check_like_requested(target, name, request)?;
            self.core.registry.metadata(target.record(), target.arn(), call_context.now())
        })
    }
}

/// Rejects an existing key whose fixed properties are not the requested ones.
fn check_like_requested(target: &AuthorizedKey<'_>, name: &AliasName, request: &CreateKeyRequest) -> Result<()> {
    let record = target.record();
    let usage = requested_usage(request)?;
    let provider = record.current_version().map(|version| version.provider.as_str());
    let named_provider = request.provider.as_ref().map(ProviderId::as_str);
    let text = |value: Option<&str>| value.unwrap_or("none").to_owned();
    let facts = [
        ("KeySpec", record.spec.to_string(), request.spec.to_string()),
        ("KeyUsage", record.usage.to_string(), usage.to_string()),
        ("Origin", record.origin.to_string(), request.origin.to_string()),
        (
            "CustomKeyStoreId",
            text(record.custom_key_store.as_ref().map(CustomKeyStoreId::as_str)),
            text(request.custom_key_store.as_ref().map(CustomKeyStoreId::as_str)),
        ),
        ("provider", text(provider.filter(|_| named_provider.is_some())), text(named_provider)),
    ];
    match facts.iter().find(|(_, found, wanted)| found != wanted) {
        None => Ok(()),
        Some((what, found, wanted)) => {
            let text = format!(
                "{name} already exists for {}, which has {what} {found} instead of {wanted}: choose another alias, or \
                 request a key like this one",
                target.arn()
            );
            Err(Error::new(ErrorKind::AlreadyExists, text))
        }
    }
}
