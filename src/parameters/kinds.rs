//! Types and tiers of parameters, and limits.

use crate::text::string_enum;

/// Maximum length of a name in characters, together with the ARN before it.
pub(super) const MAX_NAME_LENGTH: usize = 1_011;
/// Maximum number of levels of a name: the parts between slashes.
pub(super) const MAX_LEVELS: usize = 15;
/// Maximum number of retained versions of a parameter.
pub(super) const MAX_VERSIONS: u64 = 100;
/// Maximum number of labels of a version.
pub(super) const MAX_LABELS: usize = 10;

string_enum! {
    /// The type of a parameter. It never changes.
    ///
    /// # Examples
    /// ```
    /// use strongroom::parameters::ParameterType;
    ///
    /// assert_eq!(ParameterType::parse("SecureString")?, ParameterType::SecureString);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub enum ParameterType as "parameter type" {
        /// A text.
        String => "String",
        /// Texts separated by commas.
        StringList => "StringList",
        /// A text that is encrypted under a KMS key.
        SecureString => "SecureString",
    }
}

string_enum! {
    /// The tier of a parameter, which limits its value. A tier can only rise.
    ///
    /// # Examples
    /// ```
    /// use strongroom::parameters::ParameterTier;
    ///
    /// assert_eq!(ParameterTier::IntelligentTiering.as_str(), "Intelligent-Tiering");
    /// ```
    pub enum ParameterTier as "parameter tier" {
        /// Values of up to 4,096 bytes, and 10,000 parameters per account.
        Standard => "Standard",
        /// Values of up to 8,192 bytes, policies, and 100,000 parameters per account.
        Advanced => "Advanced",
        /// In requests: `Standard` if it suffices, otherwise `Advanced`.
        IntelligentTiering => "Intelligent-Tiering",
    }
}

impl ParameterType {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::String => 1,
            Self::StringList => 2,
            Self::SecureString => 3,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::String),
            2 => Some(Self::StringList),
            3 => Some(Self::SecureString),
            _ => None,
        }
    }
}

/// The tier of a stored version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StoredTier {
    Standard,
    Advanced,
}

impl StoredTier {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Standard => 1,
            Self::Advanced => 2,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Standard),
            2 => Some(Self::Advanced),
            _ => None,
        }
    }

    pub(super) const fn public(self) -> ParameterTier {
        match self {
            Self::Standard => ParameterTier::Standard,
            Self::Advanced => ParameterTier::Advanced,
        }
    }

    /// Returns the maximum length of a value, in bytes.
    pub(super) const fn max_value(self) -> usize {
        match self {
            Self::Standard => 4_096,
            Self::Advanced => 8_192,
        }
    }

    /// Returns the maximum number of parameters of an account.
    pub(super) const fn max_parameters(self) -> u32 {
        match self {
            Self::Standard => 10_000,
            Self::Advanced => 100_000,
        }
    }
}
