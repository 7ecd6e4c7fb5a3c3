//! The keys of columns.

use std::fmt;
use std::sync::Arc;

use super::row_id::TENANT;
use crate::context::EncryptionContext;
use crate::envelope::KeyChoice;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyId, KeyIdentifier};
use crate::kms::{KeyReference, Kms};

/// The keys of one or more columns: a [`Kms`] handle, and the rule that chooses the key of a value.
///
/// Every use has the permissions of the handle. Cheap to clone.
///
/// | constructor | key |
/// |---|---|
/// | [`ColumnKeys::new`] | the same for all values |
/// | [`ColumnKeys::per_tenant`] | the alias that ends with the tenant of the row |
/// | [`ColumnKeys::chosen_by`] | whatever a function returns for table, column and tenant |
///
/// # Examples
/// ```
/// use strongroom::columns::{Column, ColumnKeys, RowId};
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// for tenant in ["acme", "globex"] {
///     kms.get_or_create_key(format!("alias/tenant/{tenant}"), CreateKeyRequest::default())?;
/// }
/// let notes = Column::<String>::new(&ColumnKeys::per_tenant(&kms, "alias/tenant/")?, "notes", "body")?;
/// let stored = notes.encrypt(&RowId::new(1).tenant("acme"), "call back")?;
/// assert_eq!(notes.decrypt(&RowId::new(1).tenant("acme"), &stored)?, "call back");
/// assert_eq!(notes.decrypt(&RowId::new(1).tenant("globex"), &stored).unwrap_err().kind(), ErrorKind::IncorrectKey);
/// assert_eq!(notes.encrypt(&RowId::new(1), "of nobody").unwrap_err().kind(), ErrorKind::Validation);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct ColumnKeys {
    kms: Kms,
    rule: Rule,
    previous: Arc<[KeyIdentifier]>,
}

#[derive(Clone)]
enum Rule {
    Always(KeyIdentifier),
    Chosen(KeyChoice),
}

impl ColumnKeys {
    /// Uses one key. An alias is resolved for each call, so a value that was encrypted before the
    /// alias moved needs [`previous_key`](Self::previous_key).
    ///
    /// # Errors
    /// - The errors of [`KeyIdentifier::parse`] for text that cannot identify a key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::columns::ColumnKeys;
    ///
    /// let kms = Kms::in_memory()?;
    /// assert!(ColumnKeys::new(&kms, "alias/users").is_ok()); // not used yet, so it need not exist
    /// assert!(ColumnKeys::new(&kms, "users").is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn new(kms: &Kms, key: impl KeyReference) -> Result<Self> {
        Ok(Self::with_rule(kms, Rule::Always(key.to_key_identifier()?)))
    }

    /// Uses the key whose alias is `prefix`, followed by the tenant of the row.
    ///
    /// Deleting a tenant's key makes its values unreadable. A tenant must consist of letters and
    /// digits of ASCII, `_`, and `-`. All others are rejected, and so are rows without a tenant.
    ///
    /// # Errors
    /// - The errors of
    ///   [`KmsContextKeyring::with_alias_prefix`](crate::envelope::KmsContextKeyring::with_alias_prefix).
    pub fn per_tenant(kms: &Kms, prefix: impl Into<String>) -> Result<Self> {
        Ok(Self::with_rule(kms, Rule::Chosen(KeyChoice::with_alias_prefix(TENANT.to_owned(), prefix.into())?)))
    }

    /// Uses the key that a function returns for the context of a column: the pairs `table`, `column`,
    /// and `tenant` if the row has one.
    ///
    /// It is called for each value and may block. It must return the same key for decryption as for
    /// encryption, unless the older key is a [`previous_key`](Self::previous_key).
    ///
    /// # Examples
    /// ```
    /// use strongroom::columns::{Column, ColumnKeys, RowId};
    /// use strongroom::{EncryptionContext, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// let (health, other) = (kms.create_key(Default::default())?, kms.create_key(Default::default())?);
    /// let (health_id, other_id) = (health.key_id(), other.key_id());
    /// let keys = ColumnKeys::chosen_by(&kms, move |context: &EncryptionContext| {
    ///     Ok(if context.get("table") == Some("diagnoses") { health_id } else { other_id })
    /// });
    /// let stored = Column::<String>::new(&keys, "diagnoses", "code")?.encrypt(&RowId::new(1), "J45")?;
    /// assert_eq!(stored.key_id(), health.key_id());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn chosen_by<K: KeyReference>(
        kms: &Kms,
        choose: impl Fn(&EncryptionContext) -> Result<K> + Send + Sync + 'static,
    ) -> Self {
        Self::with_rule(kms, Rule::Chosen(KeyChoice::by(choose)))
    }

    fn with_rule(kms: &Kms, rule: Rule) -> Self {
        Self { kms: kms.clone(), rule, previous: Arc::new([]) }
    }

    /// Also decrypts values of an earlier key, until a [sweep](super::Sweep) has re-encrypted them.
    ///
    /// The context still binds each value to its tenant, so one list of earlier keys serves all
    /// tenants. A rotation of a key does not need this: it keeps the key.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the key is identified by an alias. Use its ID or
    ///   ARN, because the ID is compared with that in the stored value.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::columns::{Column, ColumnKeys, RowId};
    ///
    /// let kms = Kms::in_memory()?;
    /// let (old, new) = (kms.create_key(Default::default())?, kms.create_key(Default::default())?);
    /// let column = |keys: ColumnKeys| Column::<String>::new(&keys, "users", "phone");
    /// let stored = column(ColumnKeys::new(&kms, old.key_id())?)?.encrypt(&RowId::new(1), "+49 30 901820")?;
    ///
    /// let only_new = ColumnKeys::new(&kms, new.key_id())?;
    /// assert!(column(only_new.clone())?.decrypt(&RowId::new(1), &stored).is_err());
    /// let both = only_new.previous_key(old.key_id())?;
    /// assert_eq!(column(both)?.decrypt(&RowId::new(1), &stored)?, "+49 30 901820");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn previous_key(mut self, key: impl KeyReference) -> Result<Self> {
        let key = key.to_key_identifier()?;
        if id_of(&key).is_none() {
            let text = "a previous key must be identified by its ID or ARN: an alias may have moved to another key";
            return Err(Error::new(ErrorKind::Validation, text));
        }
        self.previous = self.previous.iter().cloned().chain([key]).collect();
        Ok(self)
    }

    /// Returns the handle.
    pub(super) const fn kms(&self) -> &Kms {
        &self.kms
    }

    /// Returns the key for new values of a column and tenant.
    pub(super) fn current(&self, context: &EncryptionContext) -> Result<KeyIdentifier> {
        match &self.rule {
            Rule::Always(key) => Ok(key.clone()),
            Rule::Chosen(choice) => choice.choose(context),
        }
    }

    /// Returns the key that must have encrypted a value with this key ID in its prefix.
    pub(super) fn expected(&self, context: &EncryptionContext, stored: KeyId) -> Result<KeyIdentifier> {
        match self.previous.iter().find(|key| id_of(key) == Some(stored)) {
            Some(previous) => Ok(previous.clone()),
            None => self.current(context),
        }
    }
}

fn id_of(key: &KeyIdentifier) -> Option<KeyId> {
    match key {
        KeyIdentifier::KeyId(id) => Some(*id),
        KeyIdentifier::KeyArn(arn) => Some(arn.key_id()),
        _ => None,
    }
}

impl fmt::Debug for ColumnKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ColumnKeys");
        match &self.rule {
            Rule::Always(key) => out.field("key", key),
            Rule::Chosen(choice) => out.field("choice", choice),
        };
        out.field("previous", &self.previous).finish_non_exhaustive()
    }
}
