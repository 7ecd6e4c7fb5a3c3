//! Requests of the parameter store.

use super::filter::ParameterFilter;
use super::kinds::{ParameterTier, ParameterType};
use crate::key::Tag;
use crate::secret::SecretBytes;

/// Parameters for [`Parameters::put`](super::Parameters::put): a new parameter, or a new version of
/// one.
///
/// A new version of an existing parameter has the description, the allowed pattern, the policies and
/// the key of the version before it, unless the request sets them.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::key::Tag;
/// use strongroom::parameters::{ParameterTier, ParameterType, Parameters, PutParameterRequest};
///
/// let parameters = Parameters::new(&Kms::in_memory()?);
/// let request = PutParameterRequest::secure_string("/shop/db/password", "correct horse")
///     .description("the password of the database")
///     .allowed_pattern("[a-z ]{8,}")
///     .tier(ParameterTier::Standard);
/// assert_eq!(parameters.put(request)?.version, 1);
///
/// // The pattern of the first version applies to the next one.
/// let short = PutParameterRequest::new("/shop/db/password", "short").overwrite();
/// assert!(parameters.put(short).is_err());
///
/// let policies = r#"[{"Type": "NoChangeNotification", "Version": "1.0",
///     "Attributes": {"After": "30", "Unit": "Days"}}]"#;
/// let hosts = PutParameterRequest::string_list("/shop/hosts", "a.example,b.example")
///     .tags([Tag::new("team", "shop")?])
///     .tier(ParameterTier::Advanced)
///     .policies(policies)
///     .data_type("text");
/// assert_eq!(parameters.put(hosts)?.tier, ParameterTier::Advanced);
/// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
/// let secret = PutParameterRequest::new("/shop/token", "battery").parameter_type(ParameterType::SecureString);
/// assert!(parameters.put(secret.key_id("alias/missing")).is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct PutParameterRequest {
    pub(super) name: String,
    pub(super) value: SecretBytes,
    pub(super) kind: Option<ParameterType>,
    pub(super) description: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) overwrite: bool,
    pub(super) allowed_pattern: Option<String>,
    pub(super) tags: Vec<Tag>,
    pub(super) tier: Option<ParameterTier>,
    pub(super) policies: Option<String>,
    pub(super) data_type: Option<String>,
}

impl PutParameterRequest {
    /// Creates a request with a value, for a parameter whose type is known.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: SecretBytes::from_vec(value.into().into_bytes()),
            kind: None,
            description: None,
            key_id: None,
            overwrite: false,
            allowed_pattern: None,
            tags: Vec::new(),
            tier: None,
            policies: None,
            data_type: None,
        }
    }

    /// Creates a request for a text.
    pub fn string(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, value).parameter_type(ParameterType::String)
    }

    /// Creates a request for a list of texts separated by commas.
    pub fn string_list(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, value).parameter_type(ParameterType::StringList)
    }

    /// Creates a request for a text that is encrypted.
    pub fn secure_string(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, value).parameter_type(ParameterType::SecureString)
    }

    /// Sets the type. A new parameter needs one.
    #[must_use]
    pub const fn parameter_type(mut self, kind: ParameterType) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Sets a human-readable description of up to 1,024 characters.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the key that encrypts a SecureString, by its ID, ARN or alias. The default is
    /// `alias/aws/ssm`.
    #[must_use]
    pub fn key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Creates a new version if the parameter exists.
    #[must_use]
    pub const fn overwrite(mut self) -> Self {
        self.overwrite = true;
        self
    }

    /// Sets a regular expression that the whole value must match, of up to 1,024 characters.
    #[must_use]
    pub fn allowed_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.allowed_pattern = Some(pattern.into());
        self
    }

    /// Sets the tags of a new parameter. Requires the permission `ssm:AddTagsToResource`.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = Tag>) -> Self {
        self.tags = tags.into_iter().collect();
        self
    }

    /// Sets the tier. The default is that of the version before, or `Standard`.
    #[must_use]
    pub const fn tier(mut self, tier: ParameterTier) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Sets the policies, as a JSON array of up to 4,096 characters. `[]` removes all policies.
    #[must_use]
    pub fn policies(mut self, policies: impl Into<String>) -> Self {
        self.policies = Some(policies.into());
        self
    }

    /// Sets the data type, which must be `text`.
    #[must_use]
    pub fn data_type(mut self, data_type: impl Into<String>) -> Self {
        self.data_type = Some(data_type.into());
        self
    }
}

/// Parameters for [`Parameters::by_path`](super::Parameters::by_path): the path, and which
/// parameters below it to return.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::parameters::{
///     SecureStringForm, GetParametersByPathRequest, ParameterFilter, Parameters, PutParameterRequest,
/// };
///
/// let parameters = Parameters::new(&Kms::in_memory()?);
/// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
/// parameters.put(PutParameterRequest::secure_string("/shop/db/password", "correct horse"))?;
///
/// let page = parameters.by_path(GetParametersByPathRequest::new("/shop"))?;
/// assert_eq!(page.entries.len(), 1); // one level
/// let page = parameters.by_path(GetParametersByPathRequest::new("/shop").recursive())?;
/// assert_eq!(page.entries[0].expose_value(), "correct horse");
///
/// let secrets = GetParametersByPathRequest::new("/")
///     .recursive()
///     .filters([ParameterFilter::new("Type", ["SecureString"])])
///     .decryption(SecureStringForm::AsStored)
///     .max_results(1);
/// let first = parameters.by_path(secrets.clone())?;
/// assert_ne!(first.entries[0].expose_value(), "correct horse");
/// let rest = parameters.by_path(secrets.next_token(first.next_marker.unwrap()))?;
/// assert!(rest.entries.is_empty() && rest.next_marker.is_none());
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GetParametersByPathRequest {
    pub(super) path: String,
    pub(super) recursive: bool,
    pub(super) filters: Vec<ParameterFilter>,
    pub(super) decryption: SecureStringForm,
    pub(super) max_results: Option<u32>,
    pub(super) next_token: Option<String>,
}

impl GetParametersByPathRequest {
    /// Returns the parameters one level below a path, decrypted.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            recursive: false,
            filters: Vec::new(),
            decryption: SecureStringForm::Decrypted,
            max_results: None,
            next_token: None,
        }
    }

    /// Returns the parameters at every level below the path.
    #[must_use]
    pub const fn recursive(mut self) -> Self {
        self.recursive = true;
        self
    }

    /// Returns only parameters that match all filters. Their keys are `Type`, `KeyId` and `Label`.
    #[must_use]
    pub fn filters(mut self, filters: impl IntoIterator<Item = ParameterFilter>) -> Self {
        self.filters = filters.into_iter().collect();
        self
    }

    /// Returns each SecureString decrypted, which is the default, or as stored.
    #[must_use]
    pub const fn decryption(mut self, decryption: SecureStringForm) -> Self {
        self.decryption = decryption;
        self
    }

    /// Sets the maximum number of parameters of the page, from 1 to 10, which is the default.
    #[must_use]
    pub const fn max_results(mut self, max_results: u32) -> Self {
        self.max_results = Some(max_results);
        self
    }

    /// Continues after an earlier page, given its marker.
    #[must_use]
    pub fn next_token(mut self, token: impl Into<String>) -> Self {
        self.next_token = Some(token.into());
        self
    }
}

/// Parameters for [`Parameters::describe`](super::Parameters::describe): which parameters to list.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::parameters::{DescribeParametersRequest, ParameterFilter, Parameters, PutParameterRequest};
///
/// let parameters = Parameters::new(&Kms::in_memory()?);
/// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
/// parameters.put(PutParameterRequest::secure_string("/shop/db/password", "correct horse"))?;
/// let filter = ParameterFilter::new("Type", ["SecureString"]);
/// let page = parameters.describe(DescribeParametersRequest::default().filters([filter]))?;
/// assert_eq!(page.entries[0].name(), "/shop/db/password");
///
/// let one = DescribeParametersRequest::default().max_results(1);
/// let first = parameters.describe(one.clone())?;
/// let second = parameters.describe(one.next_token(first.next_marker.unwrap()))?;
/// assert_eq!(second.entries[0].name(), "/shop/url");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct DescribeParametersRequest {
    pub(super) filters: Vec<ParameterFilter>,
    pub(super) max_results: Option<u32>,
    pub(super) next_token: Option<String>,
}

impl DescribeParametersRequest {
    /// Returns only parameters that match all filters.
    #[must_use]
    pub fn filters(mut self, filters: impl IntoIterator<Item = ParameterFilter>) -> Self {
        self.filters = filters.into_iter().collect();
        self
    }

    /// Sets the maximum number of parameters of the page, from 1 to 50. The default is 10.
    #[must_use]
    pub const fn max_results(mut self, max_results: u32) -> Self {
        self.max_results = Some(max_results);
        self
    }

    /// Continues after an earlier page, given its marker.
    #[must_use]
    pub fn next_token(mut self, token: impl Into<String>) -> Self {
        self.next_token = Some(token.into());
        self
    }
}

/// Parameters for [`Parameters::history`](super::Parameters::history).
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::parameters::{SecureStringForm, GetParameterHistoryRequest, Parameters, PutParameterRequest};
///
/// let parameters = Parameters::new(&Kms::in_memory()?);
/// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
/// parameters.put(PutParameterRequest::new("/shop/url", "https://new.example").overwrite())?;
/// let page = parameters.history(GetParameterHistoryRequest::new("/shop/url"))?;
/// let values: Vec<_> = page.entries.iter().map(|entry| entry.expose_value()).collect();
/// assert_eq!(values, ["https://shop.example", "https://new.example"]);
///
/// let one = GetParameterHistoryRequest::new("/shop/url").decryption(SecureStringForm::AsStored).max_results(1);
/// let first = parameters.history(one.clone())?;
/// let second = parameters.history(one.next_token(first.next_marker.unwrap()))?;
/// assert_eq!(second.entries[0].metadata().version(), 2);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GetParameterHistoryRequest {
    pub(super) name: String,
    pub(super) decryption: SecureStringForm,
    pub(super) max_results: Option<u32>,
    pub(super) next_token: Option<String>,
}

impl GetParameterHistoryRequest {
    /// Returns the retained versions of a parameter, the oldest first, decrypted.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), decryption: SecureStringForm::Decrypted, max_results: None, next_token: None }
    }

    /// Returns each SecureString decrypted, which is the default, or as stored.
    #[must_use]
    pub const fn decryption(mut self, decryption: SecureStringForm) -> Self {
        self.decryption = decryption;
        self
    }

    /// Sets the maximum number of versions of the page, from 1 to 50, which is the default.
    #[must_use]
    pub const fn max_results(mut self, max_results: u32) -> Self {
        self.max_results = Some(max_results);
        self
    }

    /// Continues after an earlier page, given its marker.
    #[must_use]
    pub fn next_token(mut self, token: impl Into<String>) -> Self {
        self.next_token = Some(token.into());
        self
    }
}

/// The form in which the value of a SecureString is returned. Other types are not affected.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::parameters::{SecureStringForm, Parameters, PutParameterRequest};
///
/// let parameters = Parameters::new(&Kms::in_memory()?);
/// parameters.put(PutParameterRequest::secure_string("password", "correct horse"))?;
/// let stored = parameters.get_as("password", SecureStringForm::AsStored)?;
/// assert_ne!(stored.expose_value(), "correct horse"); // base64 of the ciphertext
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureStringForm {
    /// Decrypted, which requires the permission `kms:Decrypt` on its key.
    Decrypted,
    /// The ciphertext in base64.
    AsStored,
}
