//! Errors of the parameter store, with the names of the exceptions of AWS.

use super::kinds::{MAX_LABELS, MAX_LEVELS, MAX_NAME_LENGTH, MAX_VERSIONS};
use crate::error::{Error, ErrorKind};

/// The precise reason why a call of the parameter store failed. [`Error::downcast_ref`] returns it.
///
/// # Examples
/// ```
/// use strongroom::parameters::{ParameterError, Parameters};
/// use strongroom::{ErrorKind, Kms};
///
/// let parameters = Parameters::new(&Kms::in_memory()?);
/// let error = parameters.get("/shop/missing").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// let reason: &ParameterError = error.downcast_ref().unwrap();
/// assert_eq!(reason.exception_name(), "ParameterNotFound");
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// The parameter does not exist, or has expired.
    #[error("parameter {name} does not exist")]
    NotFound {
        /// The name in the request.
        name: String,
    },
    /// The parameter has no such version or label.
    #[error("parameter {name} has no version '{selector}'")]
    VersionNotFound {
        /// The name in the request.
        name: String,
        /// The version or label.
        selector: String,
    },
    /// The parameter exists, and the request does not allow to overwrite it.
    #[error("parameter {name} already exists: set overwrite to create a new version")]
    AlreadyExists {
        /// The name in the request.
        name: String,
    },
    /// The account has as many parameters of the tier as it can have.
    #[error("the account already has {limit} parameters of the tier {tier}: delete parameters that are not in use")]
    LimitExceeded {
        /// The tier.
        tier: &'static str,
        /// The number of parameters that an account can have.
        limit: u32,
    },
    /// The oldest version would be deleted, but it has a label.
    #[error(
        "cannot create version {next} of {name}: it has {MAX_VERSIONS} versions, and the oldest, {oldest}, has a \
         label: move the label to a newer version"
    )]
    MaxVersionLimitExceeded {
        /// The name of the parameter.
        name: String,
        /// The version that has a label.
        oldest: u64,
        /// The version that was not created.
        next: u64,
    },
    /// The name has more than 15 levels.
    #[error("the name has more than {MAX_LEVELS} levels: use fewer slashes")]
    HierarchyLevelLimitExceeded,
    /// The request changes the type of a parameter.
    #[error("cannot change the type of {name}, which is {existing}: delete the parameter, or use another name")]
    HierarchyTypeMismatch {
        /// The name of the parameter.
        name: String,
        /// The type that the parameter has.
        existing: &'static str,
    },
    /// Two policies of the request contradict each other.
    #[error("the policies contradict each other: {reason}")]
    IncompatiblePolicy {
        /// The contradiction.
        reason: &'static str,
    },
    /// A policy has an unknown type or version.
    #[error("invalid parameter policy: {reason}")]
    InvalidPolicyType {
        /// The problem.
        reason: String,
    },
    /// A policy has a missing, unknown or invalid attribute.
    #[error("invalid attribute of a parameter policy: {reason}")]
    InvalidPolicyAttribute {
        /// The problem.
        reason: String,
    },
    /// The request has more than 10 policies.
    #[error("a parameter can have at most {limit} policies")]
    PoliciesLimitExceeded {
        /// The number of policies that a parameter can have.
        limit: usize,
    },
    /// The allowed pattern is not a regular expression, or is too complex.
    #[error("invalid allowed pattern: {reason}")]
    InvalidAllowedPattern {
        /// The problem.
        reason: String,
    },
    /// The value does not match the allowed pattern.
    #[error("the value of {name} does not match the allowed pattern: change the value or the pattern")]
    PatternMismatch {
        /// The name of the parameter.
        name: String,
    },
    /// A new parameter needs a type.
    #[error("a new parameter needs a type: String, StringList or SecureString")]
    UnsupportedParameterType,
    /// The key that encrypts or decrypts the value cannot be used.
    #[error("cannot use the key {key_id}")]
    InvalidKeyId {
        /// The key in the request, or of the stored version.
        key_id: String,
        /// The refusal of the KMS.
        source: Error,
    },
    /// The version would have more than 10 labels.
    #[error("version {version} of {name} would have more than {MAX_LABELS} labels: remove labels first")]
    VersionLabelLimitExceeded {
        /// The name of the parameter.
        name: String,
        /// The version.
        version: u64,
    },
    /// The request has an unknown or repeated filter.
    #[error("invalid filter key '{key}': {reason}")]
    InvalidFilterKey {
        /// The key of the filter.
        key: String,
        /// The problem.
        reason: &'static str,
    },
    /// The option does not suit the filter.
    #[error("the filter '{key}' has an invalid option: use one of {options}")]
    InvalidFilterOption {
        /// The key of the filter.
        key: String,
        /// The valid options.
        options: &'static str,
    },
    /// A value does not suit the filter.
    #[error("the filter '{key}' has an invalid value: {reason}")]
    InvalidFilterValue {
        /// The key of the filter.
        key: String,
        /// The problem.
        reason: &'static str,
    },
    /// The token was not returned by an earlier page of the same list.
    #[error("the token was not returned by an earlier page of this list")]
    InvalidNextToken,
    /// Concurrent changes of the same parameter kept succeeding first.
    #[error("too many concurrent changes of {name}; nothing was changed: try again")]
    TooManyUpdates {
        /// The name of the parameter.
        name: String,
    },
    /// The parameter whose tags are requested does not exist.
    #[error("parameter {name} does not exist")]
    InvalidResourceId {
        /// The name in the request.
        name: String,
    },
    /// The tags of a resource other than a parameter are requested.
    #[error("only parameters have tags here: use the resource type Parameter")]
    InvalidResourceType,
    /// The parameter would have more than 50 tags.
    #[error("cannot add the tags: {reason}")]
    TooManyTags {
        /// The problem.
        reason: String,
    },
    /// The name is malformed, too long, or reserved.
    #[error("invalid parameter name: {reason}; a name has at most {MAX_NAME_LENGTH} characters with its ARN")]
    InvalidName {
        /// The problem.
        reason: &'static str,
    },
}

impl ParameterError {
    /// Returns the name of the exception of AWS Systems Manager.
    pub const fn exception_name(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "ParameterNotFound",
            Self::VersionNotFound { .. } => "ParameterVersionNotFound",
            Self::AlreadyExists { .. } => "ParameterAlreadyExists",
            Self::LimitExceeded { .. } => "ParameterLimitExceeded",
            Self::MaxVersionLimitExceeded { .. } => "ParameterMaxVersionLimitExceeded",
            Self::HierarchyLevelLimitExceeded => "HierarchyLevelLimitExceededException",
            Self::HierarchyTypeMismatch { .. } => "HierarchyTypeMismatchException",
            Self::IncompatiblePolicy { .. } => "IncompatiblePolicyException",
            Self::InvalidPolicyType { .. } => "InvalidPolicyTypeException",
            Self::InvalidPolicyAttribute { .. } => "InvalidPolicyAttributeException",
            Self::PoliciesLimitExceeded { .. } => "PoliciesLimitExceededException",
            Self::InvalidAllowedPattern { .. } => "InvalidAllowedPatternException",
            Self::PatternMismatch { .. } => "ParameterPatternMismatchException",
            Self::UnsupportedParameterType => "UnsupportedParameterType",
            Self::InvalidKeyId { .. } => "InvalidKeyId",
            Self::VersionLabelLimitExceeded { .. } => "ParameterVersionLabelLimitExceeded",
            Self::InvalidFilterKey { .. } => "InvalidFilterKey",
            Self::InvalidFilterOption { .. } => "InvalidFilterOption",
            Self::InvalidFilterValue { .. } => "InvalidFilterValue",
            Self::InvalidNextToken => "InvalidNextToken",
            Self::TooManyUpdates { .. } => "TooManyUpdates",
            Self::InvalidResourceId { .. } => "InvalidResourceId",
            Self::InvalidResourceType => "InvalidResourceType",
            Self::TooManyTags { .. } => "TooManyTagsError",
            Self::InvalidName { .. } => "ValidationException",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::VersionNotFound { .. } | Self::InvalidResourceId { .. } => {
                ErrorKind::NotFound
            }
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::LimitExceeded { .. }
            | Self::MaxVersionLimitExceeded { .. }
            | Self::HierarchyLevelLimitExceeded
            | Self::PoliciesLimitExceeded { .. }
            | Self::VersionLabelLimitExceeded { .. } => ErrorKind::LimitExceeded,
            Self::InvalidKeyId { source, .. } => source.kind(),
            Self::InvalidNextToken => ErrorKind::InvalidMarker,
            Self::TooManyUpdates { .. } => ErrorKind::Conflict,
            Self::TooManyTags { .. } => ErrorKind::Tag,
            Self::HierarchyTypeMismatch { .. }
            | Self::IncompatiblePolicy { .. }
            | Self::InvalidPolicyType { .. }
            | Self::InvalidPolicyAttribute { .. }
            | Self::InvalidAllowedPattern { .. }
            | Self::PatternMismatch { .. }
            | Self::UnsupportedParameterType
            | Self::InvalidFilterKey { .. }
            | Self::InvalidFilterOption { .. }
            | Self::InvalidFilterValue { .. }
            | Self::InvalidResourceType
            | Self::InvalidName { .. } => ErrorKind::Validation,
        }
    }
}

impl From<ParameterError> for Error {
    fn from(error: ParameterError) -> Self {
        let text = match &error {
            ParameterError::InvalidKeyId { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        Self::new(error.kind(), text).with_source(error)
    }
}
