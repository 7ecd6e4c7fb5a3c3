//! Condition keys and their names. Unknown names are rejected: a condition is never ignored.

use super::super::parse_error::PolicyParseError;
use super::value::ValueType;
use crate::text::sanitize_for_error;

/// The subject of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum ConditionKey {
    /// A key with a fixed name.
    Named(NamedKey),
    /// `kms:EncryptionContext:<name>`: the value for a name in the encryption context.
    EncryptionContext(Box<str>),
    /// `aws:ResourceTag/<key>`: the value of a tag of the key.
    ResourceTag(Box<str>),
    /// `aws:RequestTag/<key>`: the value of a tag in the request.
    RequestTag(Box<str>),
    /// `ssm:resourceTag/<key>`: the value of a tag of the parameter.
    ParameterTag(Box<str>),
}

/// The number of values that a key has in a request: at most one, or any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arity {
    Single,
    Multi,
}

macro_rules! named_keys {
    ($($variant:ident: $name:literal, $kind:ident, $arity:ident;)+) => {
        /// The keys with fixed names, each with its value type and arity.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::policy) enum NamedKey { $($variant,)+ }

        impl NamedKey {
            /// All keys with fixed names.
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            pub(super) const fn value_type(self) -> ValueType {
                match self { $(Self::$variant => ValueType::$kind,)+ }
            }

            pub(super) const fn arity(self) -> Arity {
                match self { $(Self::$variant => Arity::$arity,)+ }
            }
        }
    };
}

named_keys! {
    BypassPolicyLockoutSafetyCheck: "kms:BypassPolicyLockoutSafetyCheck", Bool, Single;
    CallerAccount: "kms:CallerAccount", Text, Single;
    CustomerMasterKeySpec: "kms:CustomerMasterKeySpec", Text, Single;
    CustomerMasterKeyUsage: "kms:CustomerMasterKeyUsage", Text, Single;
    DataKeyPairSpec: "kms:DataKeyPairSpec", Text, Single;
    EncryptionAlgorithm: "kms:EncryptionAlgorithm", Text, Single;
    EncryptionContextKeys: "kms:EncryptionContextKeys", Text, Multi;
    ExpirationModel: "kms:ExpirationModel", Text, Single;
    GrantConstraintType: "kms:GrantConstraintType", Text, Single;
    GrantIsForAwsResource: "kms:GrantIsForAWSResource", Bool, Single;
    GrantOperations: "kms:GrantOperations", Text, Multi;
    GranteePrincipal: "kms:GranteePrincipal", Arn, Single;
    KeyAgreementAlgorithm: "kms:KeyAgreementAlgorithm", Text, Single;
    KeyOrigin: "kms:KeyOrigin", Text, Single;
    KeySpec: "kms:KeySpec", Text, Single;
    KeyUsage: "kms:KeyUsage", Text, Single;
    MacAlgorithm: "kms:MacAlgorithm", Text, Single;
    MessageType: "kms:MessageType", Text, Single;
    MultiRegion: "kms:MultiRegion", Bool, Single;
    PolicyName: "kms:PolicyName", Text, Single;
    ReEncryptOnSameKey: "kms:ReEncryptOnSameKey", Bool, Single;
    RequestAlias: "kms:RequestAlias", Text, Single;
    ResourceAliases: "kms:ResourceAliases", Text, Multi;
    RetiringPrincipal: "kms:RetiringPrincipal", Arn, Single;
    RotationPeriodInDays: "kms:RotationPeriodInDays", Number, Single;
    ScheduleKeyDeletionPendingWindowInDays: "kms:ScheduleKeyDeletionPendingWindowInDays", Number, Single;
    SigningAlgorithm: "kms:SigningAlgorithm", Text, Single;
    ValidTo: "kms:ValidTo", Epoch, Single;
    ViaService: "kms:ViaService", Text, Single;
    WrappingAlgorithm: "kms:WrappingAlgorithm", Text, Single;
    WrappingKeySpec: "kms:WrappingKeySpec", Text, Single;
    ParameterOverwrite: "ssm:Overwrite", Bool, Single;
    ParameterRecursive: "ssm:Recursive", Bool, Single;
    CurrentTime: "aws:CurrentTime", Date, Single;
    EpochTime: "aws:EpochTime", Epoch, Single;
    PrincipalAccount: "aws:PrincipalAccount", Text, Single;
    PrincipalArn: "aws:PrincipalArn", Arn, Single;
    PrincipalIsAwsService: "aws:PrincipalIsAWSService", Bool, Single;
    PrincipalServiceName: "aws:PrincipalServiceName", Text, Single;
    PrincipalType: "aws:PrincipalType", Text, Single;
    RequestedRegion: "aws:RequestedRegion", Text, Single;
    ResourceAccount: "aws:ResourceAccount", Text, Single;
    SourceAccount: "aws:SourceAccount", Text, Single;
    TagKeys: "aws:TagKeys", Text, Multi;
    Username: "aws:username", Text, Single;
    ViaAwsService: "aws:ViaAWSService", Bool, Single;
}

/// Prefixes of the keys whose remaining name is chosen by the policy.
const ENCRYPTION_CONTEXT: &str = "kms:EncryptionContext:";
const RESOURCE_TAG: &str = "aws:ResourceTag/";
const REQUEST_TAG: &str = "aws:RequestTag/";
const PARAMETER_TAG: &str = "ssm:resourceTag/";

impl ConditionKey {
    /// Parses the name of a key, ignoring case.
    pub(super) fn parse(name: &str) -> Result<Self, PolicyParseError> {
        let after = |prefix: &str| {
            let start = name.get(..prefix.len())?;
            start.eq_ignore_ascii_case(prefix).then(|| &name[prefix.len()..]).filter(|rest| !rest.is_empty())
        };
        if let Some(rest) = after(ENCRYPTION_CONTEXT) {
            return Ok(Self::EncryptionContext(rest.into()));
        }
        if let Some(rest) = after(RESOURCE_TAG) {
            return Ok(Self::ResourceTag(rest.into()));
        }
        if let Some(rest) = after(REQUEST_TAG) {
            return Ok(Self::RequestTag(rest.into()));
        }
        if let Some(rest) = after(PARAMETER_TAG) {
            return Ok(Self::ParameterTag(rest.into()));
        }
        let named = NamedKey::ALL.iter().find(|key| key.name().eq_ignore_ascii_case(name));
        named.map(|key| Self::Named(*key)).ok_or_else(|| {
            PolicyParseError::new(format!("'{}' is not a condition key of this service", sanitize_for_error(name)))
        })
    }

    pub(super) const fn value_type(&self) -> ValueType {
        match self {
            Self::Named(key) => key.value_type(),
            Self::EncryptionContext(_) | Self::ResourceTag(_) | Self::RequestTag(_) | Self::ParameterTag(_) => {
                ValueType::Text
            }
        }
    }

    pub(super) const fn arity(&self) -> Arity {
        match self {
            Self::Named(key) => key.arity(),
            Self::EncryptionContext(_) | Self::ResourceTag(_) | Self::RequestTag(_) | Self::ParameterTag(_) => {
                Arity::Single
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_no_doubles() {
        for (place, key) in NamedKey::ALL.iter().enumerate() {
            for name in [key.name().to_owned(), key.name().to_ascii_uppercase(), key.name().to_ascii_lowercase()] {
                assert_eq!(ConditionKey::parse(&name), Ok(ConditionKey::Named(*key)));
            }
            assert!(NamedKey::ALL[place + 1..].iter().all(|other| !other.name().eq_ignore_ascii_case(key.name())));
        }
        assert_eq!(
            ConditionKey::parse("KMS:encryptioncontext:Dept:x"),
            Ok(ConditionKey::EncryptionContext("Dept:x".into()))
        );
    }

    #[test]
    fn unknown_names_are_refused() {
        let names = [
            "kms:EncryptionContext",
            "kms:EncryptionContext:",
            "aws:ResourceTag/",
            "aws:RequestTag",
            "kms:PrimaryRegion",
            "kms:ReplicaRegion",
            "kms:MultiRegionKeyType",
            "kms:RecipientAttestation:ImageSha384",
            "aws:SourceIp",
            "aws:PrincipalTag/team",
            "aws:PrincipalOrgID",
            "s3:prefix",
            "ViaService",
            "",
            "kms:ViaServices",
            "ékms:",
        ];
        for name in names {
            assert!(ConditionKey::parse(name).is_err(), "{name}");
        }
    }
}
