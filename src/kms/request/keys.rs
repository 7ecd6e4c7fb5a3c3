//! Parameters and results of key operations.

use super::grant_token::GrantToken;
use super::key_reference::KeyReference;
use super::setters::grant_tokens_setter;
use crate::error::Result;
use crate::key::{CustomKeyStoreId, KeyArn, KeyId, KeySpec, KeyUsage, Origin, Tag, check_tag_count};
use crate::provider::ProviderId;

/// Parameters for [`Kms::create_key`](crate::kms::Kms::create_key). By default, creates a symmetric
/// encryption key with locally generated material.
///
/// # Examples
/// ```
/// use strongroom::key::{KeySpec, KeyUsage, Origin};
/// use strongroom::request::CreateKeyRequest;
/// use strongroom::{ErrorKind, Kms};
///
/// let kms = Kms::in_memory()?;
/// let request = CreateKeyRequest::default().description("invoices").tag("team", "billing");
/// let key = kms.create_key(request)?;
/// assert_eq!((key.spec(), key.description().as_str()), (KeySpec::SymmetricDefault, "invoices"));
///
/// let request = CreateKeyRequest::default().spec(KeySpec::Rsa2048).origin(Origin::External);
/// let refused = kms.create_key(request.clone()).unwrap_err(); // for signatures or for encryption?
/// assert_eq!(refused.kind(), ErrorKind::Validation);
/// assert_eq!(kms.create_key(request.usage(KeyUsage::SignVerify))?.usage(), KeyUsage::SignVerify);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CreateKeyRequest {
    pub(in crate::kms) spec: KeySpec,
    pub(in crate::kms) usage: Option<KeyUsage>,
    pub(in crate::kms) origin: Origin,
    pub(in crate::kms) description: String,
    pub(in crate::kms) tags: Vec<(String, String)>,
    pub(in crate::kms) policy: Option<String>,
    pub(in crate::kms) bypass_lockout_check: bool,
    pub(in crate::kms) custom_key_store: Option<CustomKeyStoreId>,
    pub(in crate::kms) provider: Option<ProviderId>,
    pub(in crate::kms) alias: Option<String>,
}

impl Default for CreateKeyRequest {
    fn default() -> Self {
        Self {
            spec: KeySpec::SymmetricDefault,
            usage: None,
            origin: Origin::Kms,
            description: String::new(),
            tags: Vec::new(),
            policy: None,
            bypass_lockout_check: false,
            custom_key_store: None,
            provider: None,
            alias: None,
        }
    }
}

impl CreateKeyRequest {
    /// Sets the key spec. Defaults to `SYMMETRIC_DEFAULT`.
    #[must_use]
    pub const fn spec(mut self, spec: KeySpec) -> Self {
        self.spec = spec;
        self
    }

    /// Sets the key usage. Required for every spec except symmetric encryption keys; it can never
    /// be changed.
    #[must_use]
    pub const fn usage(mut self, usage: KeyUsage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Sets the origin of the key material. Defaults to `AWS_KMS`: the material is generated
    /// locally.
    #[must_use]
    pub const fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Sets the [provider](crate::provider::KeyMaterialProvider) that generates and holds the
    /// material, by the name given to [`KmsBuilder::provider`](crate::KmsBuilder::provider). By
    /// default, a built-in provider is used. The provider determines the origin of the key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::Origin;
    /// use strongroom::request::CreateKeyRequest;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let kms = Kms::in_memory()?;
    /// // A name that the builder was not given:
    /// let refused = kms.create_key(CreateKeyRequest::default().provider("vault")).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Validation);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(ProviderId::new(name));
        self
    }

    /// Creates the key in the HSMs of a custom key store, which must be connected. Sets the origin
    /// to `AWS_CLOUDHSM`.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{ClusterId, Origin};
    /// use strongroom::provider::MemoryCluster;
    /// use strongroom::request::{CreateCustomKeyStoreRequest, CreateKeyRequest};
    /// use strongroom::{Kms, SecretBytes};
    ///
    /// # let vault = ClusterId::parse("vault")?;
    /// # let cluster = MemoryCluster::new([("hsm-1", "zone-a"), ("hsm-2", "zone-b")], b"kmsPswd1");
    /// # let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    /// # let password = SecretBytes::copy_from_slice(b"kmsPswd1");
    /// # let request = CreateCustomKeyStoreRequest::new("safe", vault).key_store_password(password);
    /// # let store = kms.create_custom_key_store(request)?;
    /// kms.connect_custom_key_store(store)?;
    /// let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?;
    /// assert_eq!((key.origin(), key.custom_key_store_id()), (Origin::Hsm, Some(store)));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn custom_key_store(mut self, id: CustomKeyStoreId) -> Self {
        self.custom_key_store = Some(id);
        self.origin = Origin::Hsm;
        self
    }

    /// Creates an alias for the key in the same commit: `alias/` followed by up to 250 characters.
    /// Either both become visible or neither does. Also requires permission for CreateAlias, on the
    /// alias and on the key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().alias("alias/invoices"))?;
    /// assert_eq!(kms.describe_key("alias/invoices")?.key_id(), key.key_id());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.alias = Some(name.into());
        self
    }

    /// Sets a human-readable description of up to 8,192 characters.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// Sets the key policy, in JSON. The default policy allows the account everything and lets it
    /// delegate permissions to its principals.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::{AccountId, Principal};
    /// use strongroom::request::{CreateKeyRequest, EncryptRequest};
    ///
    /// let policy = r#"{"Version": "2012-10-17", "Statement": [
    ///     {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "kms:*", "Resource": "*"},
    ///     {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:role/writer"},
    ///      "Action": "kms:Encrypt", "Resource": "*"}]}"#;
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().policy(policy))?.key_id();
    /// let writer = kms.as_principal(Principal::role(AccountId::default(), "writer")?)?;
    /// assert!(writer.encrypt(EncryptRequest::new(key, b"data")).is_ok());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn policy(mut self, document: impl Into<String>) -> Self {
        self.policy = Some(document.into());
        self
    }

    /// Accepts a policy even if it locks out the caller (`BypassPolicyLockoutSafetyCheck`). This
    /// may be irreversible.
    ///
    /// # Examples
    /// ```
    /// use strongroom::request::CreateKeyRequest;
    /// use strongroom::{ErrorKind, Kms};
    ///
    /// let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    ///     "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"}, "Action": "kms:*", "Resource": "*"}}"#;
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().policy(policy);
    /// let refused = kms.create_key(request.clone()).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::MalformedPolicyDocument);
    /// let key = kms.create_key(request.bypass_policy_lockout_safety_check())?.key_id();
    /// assert_eq!(kms.disable_key(key).unwrap_err().kind(), ErrorKind::AccessDenied); // only Alice may
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn bypass_policy_lockout_safety_check(mut self) -> Self {
        self.bypass_lockout_check = true;
        self
    }

    /// [Accepts](Self::bypass_policy_lockout_safety_check) a policy that locks out the caller if
    /// `bypass` is `true`, for callers that pass on a flag.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    ///     "Principal": {"AWS": "arn:aws:iam::000000000000:user/alice"}, "Action": "kms:*", "Resource": "*"}}"#;
    /// let kms = Kms::in_memory()?;
    /// let request = CreateKeyRequest::default().policy(policy);
    /// assert!(kms.create_key(request.clone().bypass_policy_lockout_safety_check_if(false)).is_err());
    /// assert!(kms.create_key(request.bypass_policy_lockout_safety_check_if(true)).is_ok());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub const fn bypass_policy_lockout_safety_check_if(mut self, bypass: bool) -> Self {
        self.bypass_lockout_check = bypass;
        self
    }
}

/// Validates tag pairs.
pub(in crate::kms) fn checked_tags(pairs: &[(String, String)]) -> Result<Vec<Tag>> {
    check_tag_count(pairs.len())?;
    pairs.iter().map(|(key, value)| Tag::new(key, value)).collect()
}

/// Parameters for [`Kms::describe_key`](crate::Kms::describe_key) and
/// [`Kms::get_public_key`](crate::Kms::get_public_key) that include more than the key.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::identity::{AccountId, Principal};
/// use strongroom::key::Operation;
/// use strongroom::policy::GrantTerms;
/// use strongroom::request::{CreateGrantRequest, KeyRequest};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// let bob = Principal::user(AccountId::default(), "bob")?;
/// let terms = GrantTerms::new(bob.clone(), [Operation::DescribeKey])?;
/// let token = kms.create_grant(CreateGrantRequest::new(key, terms))?.grant_token;
/// let described = kms.as_principal(bob)?.describe_key(KeyRequest::new(key).grant_tokens(&[token]))?;
/// assert_eq!(described.key_id(), key);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KeyRequest<'a, K> {
    pub(in crate::kms) key: K,
    pub(in crate::kms) grant_tokens: &'a [GrantToken],
}

impl<'a, K: KeyReference> KeyRequest<'a, K> {
    /// Creates a request for a key.
    pub const fn new(key: K) -> Self {
        Self { key, grant_tokens: &[] }
    }

    grant_tokens_setter!();
}

/// Conversion into a [`KeyRequest`], implemented for `KeyRequest` itself and for every
/// [`KeyReference`].
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::request::{IntoKeyRequest, KeyRequest};
///
/// /// Accepts what `Kms::describe_key` accepts.
/// fn describes<'a>(kms: &Kms, key: impl IntoKeyRequest<'a>) -> bool {
///     kms.describe_key(key.into_key_request()).is_ok()
/// }
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// assert!(describes(&kms, key) && describes(&kms, KeyRequest::new(key)) && !describes(&kms, "alias/missing"));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait IntoKeyRequest<'a> {
    /// The type that identifies the key.
    type Key: KeyReference;

    /// Returns the request.
    fn into_key_request(self) -> KeyRequest<'a, Self::Key>;
}

impl<K: KeyReference> IntoKeyRequest<'_> for K {
    type Key = K;

    fn into_key_request(self) -> KeyRequest<'static, K> {
        KeyRequest::new(self)
    }
}

impl<'a, K: KeyReference> IntoKeyRequest<'a> for KeyRequest<'a, K> {
    type Key = K;

    fn into_key_request(self) -> Self {
        self
    }
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyListEntry {
    /// The ID of the key.
    pub key_id: KeyId,
    /// The ARN of the key.
    pub key_arn: KeyArn,
}
