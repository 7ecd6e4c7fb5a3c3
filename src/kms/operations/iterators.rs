//! Iterators over lists, which fetch one page after another.

use crate::error::Result;
use crate::identity::Principal;
use crate::key::Tag;
use crate::kms::engine::handle::Kms;
use crate::kms::request::pagination::Entries;
use crate::kms::request::{
    AliasListEntry, CustomKeyStoresListEntry, GrantFilter, GrantListEntry, IncludeKeyMaterial, KeyListEntry,
    KeyReference, RotationListEntry,
};

/// Iterators over the entries of all pages of a list. Each calls the list operation of its name with
/// the default page size, so every page is a call that is authorized and appears in the audit trail.
/// The first page is fetched by the first call of `next`. After an error, an iterator ends.
///
/// As with pages, an entry that is created or deleted while the iterator exists may be missing or
/// present. All other entries are returned exactly once.
impl Kms {
    /// Iterates over the keys of the caller's account, in the order of their IDs. Fetches pages of
    /// [`Kms::list_keys`] when they are needed, and ends after an error.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// for _ in 0..150 {
    ///     kms.create_key(Default::default())?; // more than a page
    /// }
    /// for key in kms.keys() {
    ///     assert!(kms.describe_key(key?.key_id)?.is_enabled());
    /// }
    /// assert_eq!(kms.keys().count(), 150);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = Result<KeyListEntry>> {
        Entries::new(move |page| self.list_keys(page))
    }

    /// Iterates over the aliases of the caller's account, in the order of their names. Fetches
    /// pages of [`Kms::list_aliases`] when they are needed, and ends after an error.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// for name in ["alias/invoices", "alias/drafts"] {
    ///     kms.create_key(CreateKeyRequest::default().alias(name))?;
    /// }
    /// let names: Vec<_> = kms.aliases().map(|alias| Ok(alias?.alias_name)).collect::<strongroom::Result<_>>()?;
    /// assert_eq!(names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["alias/drafts", "alias/invoices"]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn aliases(&self) -> impl Iterator<Item = Result<AliasListEntry>> {
        Entries::new(move |page| self.list_aliases(page))
    }

    /// Iterates over the aliases of a key, in the order of their names. Fetches pages of
    /// [`Kms::list_aliases_of_key`] when they are needed, and ends after an error.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().alias("alias/invoices"))?;
    /// kms.create_key(CreateKeyRequest::default().alias("alias/drafts"))?;
    /// let aliases = kms.aliases_of_key(key.key_id()).collect::<strongroom::Result<Vec<_>>>()?;
    /// assert_eq!(aliases.len(), 1);
    /// assert_eq!(aliases[0].alias_name.as_str(), "alias/invoices");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn aliases_of_key(&self, key: impl KeyReference) -> impl Iterator<Item = Result<AliasListEntry>> {
        Entries::new(move |page| self.list_aliases_of_key(&key, page))
    }

    /// Iterates over the grants on a key that match a filter. Fetches pages of [`Kms::list_grants`]
    /// when they are needed, and ends after an error.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::key::Operation;
    /// use strongroom::policy::GrantTerms;
    /// use strongroom::request::{CreateGrantRequest, DryRun, GrantFilter};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let bob = Principal::user(AccountId::default(), "bob")?;
    /// kms.create_grant(CreateGrantRequest::new(key, GrantTerms::new(bob.clone(), [Operation::Encrypt])?))?;
    /// // Revoke all grants of a principal.
    /// for grant in kms.grants(key, GrantFilter::default().grantee(&bob)) {
    ///     kms.revoke_grant(key, grant?.grant_id, DryRun::No)?;
    /// }
    /// assert_eq!(kms.grants(key, GrantFilter::default()).count(), 0);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn grants(
        &self,
        key: impl KeyReference,
        filter: GrantFilter<'_>,
    ) -> impl Iterator<Item = Result<GrantListEntry>> {
        Entries::new(move |page| self.list_grants(&key, filter, page))
    }

    /// Iterates over the grants that a principal of the caller's account may retire. Fetches pages
    /// of [`Kms::list_retirable_grants`] when they are needed, and ends after an error.
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
    /// let [alice, bob] = ["alice", "bob"].map(|name| Principal::user(AccountId::default(), name));
    /// let (alice, bob) = (alice?, bob?);
    /// let terms = GrantTerms::new(bob, [Operation::Encrypt])?.with_retiring_principal(alice.clone());
    /// kms.create_grant(CreateGrantRequest::new(key, terms))?;
    /// assert_eq!(kms.retirable_grants(&alice).count(), 1);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn retirable_grants(&self, retiring_principal: &Principal) -> impl Iterator<Item = Result<GrantListEntry>> {
        Entries::new(move |page| self.list_retirable_grants(retiring_principal, page))
    }

    /// Iterates over the names of the policies of a key. Fetches pages of
    /// [`Kms::list_key_policies`] when they are needed, and ends after an error.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let names = kms.key_policies(key).collect::<strongroom::Result<Vec<_>>>()?;
    /// assert_eq!(names, ["default"]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn key_policies(&self, key: impl KeyReference) -> impl Iterator<Item = Result<String>> {
        Entries::new(move |page| self.list_key_policies(&key, page))
    }

    /// Iterates over the versions of a key's material, oldest first. Fetches pages of
    /// [`Kms::list_key_rotations`] when they are needed, and ends after an error.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::IncludeKeyMaterial;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// for _ in 0..3 {
    ///     kms.rotate_key_on_demand(key)?;
    /// }
    /// assert_eq!(kms.key_rotations(key, IncludeKeyMaterial::RotationsOnly).count(), 3);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn key_rotations(
        &self,
        key: impl KeyReference,
        include: IncludeKeyMaterial,
    ) -> impl Iterator<Item = Result<RotationListEntry>> {
        Entries::new(move |page| self.list_key_rotations(&key, include, page))
    }

    /// Iterates over the tags of a key, in the order of their keys. Fetches pages of
    /// [`Kms::list_resource_tags`] when they are needed, and ends after an error.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().tag("team", "billing"))?;
    /// let tags = kms.resource_tags(key.key_id()).collect::<strongroom::Result<Vec<_>>>()?;
    /// assert_eq!((tags[0].key(), tags[0].value()), ("team", "billing"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn resource_tags(&self, key: impl KeyReference) -> impl Iterator<Item = Result<Tag>> {
        Entries::new(move |page| self.list_resource_tags(&key, page))
    }

    /// Iterates over the custom key stores of the caller's account, in the order of their IDs.
    /// Fetches pages of [`Kms::describe_custom_key_stores`] when they are needed, and ends after an
    /// error.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    ///
    /// let kms = Kms::in_memory()?;
    /// assert_eq!(kms.custom_key_stores().count(), 0);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn custom_key_stores(&self) -> impl Iterator<Item = Result<CustomKeyStoresListEntry>> {
        Entries::new(move |page| self.describe_custom_key_stores(page))
    }
}
