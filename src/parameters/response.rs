//! Responses of the parameter store.

use std::fmt;

use super::kinds::{ParameterTier, ParameterType};
use super::value::DATA_TYPE;
use crate::clock::Timestamp;
use crate::secret::SecretBytes;

/// The result of [`Parameters::put`](super::Parameters::put).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutParameterResponse {
    /// The version that was created.
    pub version: u64,
    /// The tier of the parameter: `Standard` or `Advanced`.
    pub tier: ParameterTier,
}

/// A parameter with a value.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::parameters::{ParameterType, Parameters, PutParameterRequest};
///
/// let parameters = Parameters::new(&Kms::in_memory()?);
/// parameters.put(PutParameterRequest::string_list("/shop/hosts", "a.example,b.example"))?;
/// let hosts = parameters.get("/shop/hosts:1")?;
/// assert_eq!((hosts.name(), hosts.version(), hosts.selector()), ("/shop/hosts", 1, Some("1")));
/// assert_eq!(hosts.arn(), "arn:aws:ssm:local:000000000000:parameter/shop/hosts");
/// assert_eq!((hosts.parameter_type(), hosts.data_type()), (ParameterType::StringList, "text"));
/// assert_eq!(hosts.expose_value().split(',').count(), 2);
/// assert!(hosts.last_modified().unix_millis() > 0);
/// assert!(!format!("{hosts:?}").contains("a.example"));
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct Parameter {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) kind: ParameterType,
    pub(super) value: SecretText,
    pub(super) version: u64,
    pub(super) selector: Option<String>,
    pub(super) last_modified: Timestamp,
}

impl Parameter {
    /// Returns the name, without a selector.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Returns the type.
    pub const fn parameter_type(&self) -> ParameterType {
        self.kind
    }

    /// Returns the value. The caller is responsible for every copy of it.
    pub fn expose_value(&self) -> &str {
        self.value.expose()
    }

    /// Returns the version.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Returns the version or label by which the request selected the version.
    pub fn selector(&self) -> Option<&str> {
        self.selector.as_deref()
    }

    /// Returns the time at which the version was created.
    pub const fn last_modified(&self) -> Timestamp {
        self.last_modified
    }

    /// Returns the data type, which is always `text`.
    pub const fn data_type(&self) -> &'static str {
        DATA_TYPE
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameter")
            .field("name", &self.name)
            .field("type", &self.kind)
            .field("version", &self.version)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

/// A text that is wiped when dropped and not printed.
pub(super) struct SecretText(SecretBytes);

impl SecretText {
    /// Checks that the bytes are UTF-8.
    pub(super) fn new(bytes: SecretBytes) -> Option<Self> {
        std::str::from_utf8(bytes.expose_secret()).is_ok().then_some(Self(bytes))
    }

    fn expose(&self) -> &str {
        std::str::from_utf8(self.0.expose_secret()).expect("checked by the constructor")
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The result of [`Parameters::get_all`](super::Parameters::get_all).
#[derive(Debug)]
#[non_exhaustive]
pub struct GetParametersResponse {
    /// The parameters that exist.
    pub parameters: Vec<Parameter>,
    /// The names in the request that are no parameters, or versions that do not exist.
    pub invalid_parameters: Vec<String>,
}

/// The result of [`Parameters::delete_all`](super::Parameters::delete_all).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteParametersResponse {
    /// The names in the request that were deleted.
    pub deleted_parameters: Vec<String>,
    /// The names in the request that do not exist.
    pub invalid_parameters: Vec<String>,
}

/// The result of [`Parameters::label`](super::Parameters::label).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelParameterVersionResponse {
    /// The version to which the valid labels are attached.
    pub parameter_version: u64,
    /// The labels that do not follow the rules, and were not attached.
    pub invalid_labels: Vec<String>,
}

/// The result of [`Parameters::unlabel`](super::Parameters::unlabel).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnlabelParameterVersionResponse {
    /// The labels that were removed.
    pub removed_labels: Vec<String>,
    /// The labels that the version did not have.
    pub invalid_labels: Vec<String>,
}

/// A policy of a parameter, as returned with its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParameterInlinePolicy {
    /// The policy, in JSON.
    pub policy_text: String,
    /// The type of the policy.
    pub policy_type: &'static str,
    /// `Pending`, or `Finished` for a notification that is due.
    pub policy_status: &'static str,
}

/// The metadata of a version of a parameter, without its value.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::parameters::{ParameterTier, ParameterType, Parameters, PutParameterRequest};
///
/// let kms = Kms::in_memory()?;
/// let parameters = Parameters::new(&kms);
/// let request = PutParameterRequest::secure_string("/shop/db", "correct horse").description("database");
/// parameters.put(request.allowed_pattern("[a-z ]+"))?;
/// let page = parameters.describe(Default::default())?;
/// let metadata = &page.entries[0];
/// assert_eq!((metadata.name(), metadata.version()), ("/shop/db", 1));
/// assert!(metadata.arn().ends_with(":parameter/shop/db"));
/// assert_eq!((metadata.parameter_type(), metadata.tier()), (ParameterType::SecureString, ParameterTier::Standard));
/// assert_eq!((metadata.key_id(), metadata.description()), (Some("alias/aws/ssm"), Some("database")));
/// assert_eq!((metadata.allowed_pattern(), metadata.data_type()), (Some("[a-z ]+"), "text"));
/// assert_eq!(metadata.last_modified_user(), kms.principal().to_string());
/// assert!(metadata.policies().is_empty() && metadata.last_modified().unix_millis() > 0);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterMetadata {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) kind: ParameterType,
    pub(super) key_id: String,
    pub(super) last_modified: Timestamp,
    pub(super) user: String,
    pub(super) description: String,
    pub(super) allowed_pattern: String,
    pub(super) version: u64,
    pub(super) tier: ParameterTier,
    pub(super) policies: Vec<ParameterInlinePolicy>,
}

impl ParameterMetadata {
    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Returns the type.
    pub const fn parameter_type(&self) -> ParameterType {
        self.kind
    }

    /// Returns the key of a SecureString, as the request named it.
    pub fn key_id(&self) -> Option<&str> {
        some(&self.key_id)
    }

    /// Returns the time at which the version was created.
    pub const fn last_modified(&self) -> Timestamp {
        self.last_modified
    }

    /// Returns the ARN of the principal that created the version.
    pub fn last_modified_user(&self) -> &str {
        &self.user
    }

    /// Returns the description.
    pub fn description(&self) -> Option<&str> {
        some(&self.description)
    }

    /// Returns the pattern that values must match.
    pub fn allowed_pattern(&self) -> Option<&str> {
        some(&self.allowed_pattern)
    }

    /// Returns the version.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Returns the tier.
    pub const fn tier(&self) -> ParameterTier {
        self.tier
    }

    /// Returns the policies.
    pub fn policies(&self) -> &[ParameterInlinePolicy] {
        &self.policies
    }

    /// Returns the data type, which is always `text`.
    pub const fn data_type(&self) -> &'static str {
        DATA_TYPE
    }
}

/// A retained version of a parameter.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::parameters::{GetParameterHistoryRequest, Parameters, PutParameterRequest};
///
/// let parameters = Parameters::new(&Kms::in_memory()?);
/// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
/// parameters.label("/shop/url", Some(1), ["live"])?;
/// let page = parameters.history(GetParameterHistoryRequest::new("/shop/url"))?;
/// assert_eq!(page.entries[0].metadata().version(), 1);
/// assert_eq!(page.entries[0].labels(), ["live"]);
/// assert_eq!(page.entries[0].expose_value(), "https://shop.example");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug)]
pub struct ParameterHistoryEntry {
    pub(super) metadata: ParameterMetadata,
    pub(super) value: SecretText,
    pub(super) labels: Vec<String>,
}

impl ParameterHistoryEntry {
    /// Returns the metadata of the version.
    pub const fn metadata(&self) -> &ParameterMetadata {
        &self.metadata
    }

    /// Returns the value. The caller is responsible for every copy of it.
    pub fn expose_value(&self) -> &str {
        self.value.expose()
    }

    /// Returns the labels of the version, in order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }
}

/// The result of [`Parameters::run_maintenance`](super::Parameters::run_maintenance).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParameterMaintenanceReport {
    /// The ARNs of parameters that expired and were deleted.
    pub deleted: Vec<String>,
    /// The ARNs of parameters whose ExpirationNotification is due.
    pub expiring: Vec<String>,
    /// The ARNs of parameters whose NoChangeNotification is due.
    pub unchanged: Vec<String>,
    /// The ARNs of expired parameters that remain until the clock is trusted.
    pub postponed: Vec<String>,
    /// The names of records that cannot be read or deleted, and the reasons.
    pub failed: Vec<(String, String)>,
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
