//! Names of parameters, paths, and selectors of versions.

use super::error::ParameterError;
use super::kinds::{MAX_LEVELS, MAX_NAME_LENGTH};
use crate::error::Result;
use crate::identity::{AccountId, Locality};
use crate::text::sanitize_for_error;

/// Maximum length of a name in a request, in bytes.
const MAX_REQUEST_LENGTH: usize = 2_048;
/// Prefixes that names cannot have, in any case.
const RESERVED: [&str; 2] = ["aws", "ssm"];
/// Number of colons in the ARN of a parameter.
const ARN_COLONS: usize = 5;
/// The resource type in an ARN.
const RESOURCE: &str = "parameter/";

/// A valid name, as the request contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParameterName(String);

/// A version of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    Current,
    Version(u64),
    Label(String),
}

impl Selector {
    /// Returns the selector as a request contains it.
    pub(super) fn to_text(&self) -> Option<String> {
        match self {
            Self::Current => None,
            Self::Version(version) => Some(version.to_string()),
            Self::Label(label) => Some(label.clone()),
        }
    }
}

impl ParameterName {
    /// Parses a name, or the ARN of a parameter of the account. Removes spaces around it. Returns
    /// `None` for an ARN of another account, partition or region.
    pub(super) fn parse(text: &str, locality: &Locality, account: AccountId) -> Result<Option<Self>> {
        let text = bounded(text)?;
        if !is_arn(text) {
            return Self::checked(text).map(Some);
        }
        match text.strip_prefix(&arn_prefix(locality, account)) {
            Some(rest) if rest.contains('/') => Self::checked(&format!("/{rest}")).map(Some),
            Some(rest) => Self::checked(rest).map(Some),
            None => Ok(None),
        }
    }

    /// Parses a name with an optional version or label after a colon.
    pub(super) fn parse_with_selector(
        text: &str,
        locality: &Locality,
        account: AccountId,
    ) -> Result<Option<(Self, Selector)>> {
        let text = bounded(text)?;
        let colons = if is_arn(text) { ARN_COLONS + 1 } else { 1 };
        let split = text.match_indices(':').nth(colons - 1).map(|(place, _)| text.split_at(place));
        let (name, selector) = match split {
            Some((name, selector)) => (name, Selector::parse(&selector[1..])?),
            None => (text, Selector::Current),
        };
        Ok(Self::parse(name, locality, account)?.map(|name| (name, selector)))
    }

    fn checked(text: &str) -> Result<Self> {
        let invalid = |reason| Err(ParameterError::InvalidName { reason }.into());
        if text.is_empty() || text == "/" {
            return invalid("it is empty");
        }
        if !text.bytes().all(is_allowed) {
            return invalid("it may contain only letters, digits and the characters _.-/");
        }
        if text.contains('/') && !text.starts_with('/') {
            return invalid("a name with levels must begin with a slash");
        }
        if text.ends_with('/') || text.contains("//") {
            return invalid("a level must not be empty");
        }
        Ok(Self(text.to_owned()))
    }

    /// Checks the rules for a parameter that is created: its length, its levels and its prefix.
    pub(super) fn check_creatable(&self, locality: &Locality, account: AccountId) -> Result<()> {
        let invalid = |reason| Err(ParameterError::InvalidName { reason }.into());
        if self.arn(locality, account).len() > MAX_NAME_LENGTH {
            return invalid("it is too long");
        }
        if self.key().matches('/').count() > MAX_LEVELS {
            return Err(ParameterError::HierarchyLevelLimitExceeded.into());
        }
        let is_reserved = |prefix: &&str| {
            let start = self.key().get(1..=prefix.len()).map(str::to_owned);
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        if RESERVED.iter().any(is_reserved) {
            return invalid("it begins with aws or ssm, which is reserved");
        }
        Ok(())
    }

    /// Returns the name as the request contains it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name with a slash in front. A name of one level is the same with and without it,
    /// because both have the same ARN.
    pub(super) fn key(&self) -> String {
        if self.0.starts_with('/') { self.0.clone() } else { format!("/{}", self.0) }
    }

    /// Returns the ARN of the parameter.
    pub(super) fn arn(&self, locality: &Locality, account: AccountId) -> String {
        arn_of(&self.key(), locality, account)
    }
}

impl Selector {
    fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(ParameterError::InvalidName { reason: "the version after the colon is missing" }.into());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that is too large for a version is no version of any parameter.
            return Ok(Self::Version(text.parse().unwrap_or(u64::MAX)));
        }
        Ok(Self::Label(sanitize_for_error(text)))
    }
}

/// A path of GetParametersByPath: the parameters below it have names that begin with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParameterPath(String);

impl ParameterPath {
    /// Parses a path with or without a slash at its end.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = bounded(text)?;
        let invalid = |reason| Err(ParameterError::InvalidName { reason }.into());
        if !text.starts_with('/') {
            return invalid("a path must begin with a slash");
        }
        if text == "/" {
            return Ok(Self(text.to_owned()));
        }
        let name = ParameterName::checked(text.strip_suffix('/').unwrap_or(text))?;
        Ok(Self(format!("{}/", name.0)))
    }

    /// Returns the path with a slash at its end.
    pub(super) fn prefix(&self) -> &str {
        &self.0
    }

    /// Returns the ARN that policies test.
    pub(super) fn arn(&self, locality: &Locality, account: AccountId) -> String {
        arn_of(self.0.strip_suffix('/').unwrap_or(&self.0), locality, account)
    }
}

/// Returns the ARN for a name with a slash in front.
pub(super) fn arn_of(key: &str, locality: &Locality, account: AccountId) -> String {
    format!("{}{}", arn_prefix(locality, account), key.strip_prefix('/').unwrap_or(key))
}

fn arn_prefix(locality: &Locality, account: AccountId) -> String {
    format!("arn:{}:ssm:{}:{account}:{RESOURCE}", locality.partition(), locality.region())
}

/// Returns the ARN that policies test for an operation on all parameters.
pub(super) fn account_arn(locality: &Locality, account: AccountId) -> String {
    format!("arn:{}:ssm:{}:{account}:*", locality.partition(), locality.region())
}

const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/')
}

/// Returns `true` for the form of an ARN. `arn:3` is version 3 of the parameter `arn`.
fn is_arn(text: &str) -> bool {
    text.starts_with("arn:") && text.matches(':').count() >= ARN_COLONS
}

fn bounded(text: &str) -> Result<&str> {
    if text.len() > MAX_REQUEST_LENGTH {
        return Err(ParameterError::InvalidName { reason: "it is too long" }.into());
    }
    Ok(text.trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::{Error, ErrorKind};

    fn parse(text: &str) -> Result<Option<(ParameterName, Selector)>> {
        ParameterName::parse_with_selector(text, &Locality::default(), AccountId::default())
    }

    fn creatable(text: &str) -> Result<(), Error> {
        let (name, _) = parse(text)?.expect("no ARN of another account");
        name.check_creatable(&Locality::default(), AccountId::default())
    }

    #[test]
    fn names_follow_every_rule() {
        for good in
            ["a", "a.b-c_D9", "/a", "/a/b/c", "/a.b/C-d", "a\u{20}\u{20}", " /a/b ", "-", "/.", "xaws", "/a/aws/ssm"]
        {
            assert!(creatable(good).is_ok(), "{good}");
        }
        let invalid = [
            "", " ", "/", "//", "a/b", "/a/", "/a//b", "a b", "/a/b c", "a\tb", "é", "a$", "a\\b", "{{a}}", "a,b",
            "aws", "awsx", "AWS-x", "/aws/x", "/AwS", "ssm", "SSM.x", "/ssm/x", "a:",
        ];
        for bad in invalid {
            let error = creatable(bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Validation, "{bad}");
        }
    }

    #[test]
    fn length_and_levels_are_bounded() {
        let prefix = arn_prefix(&Locality::default(), AccountId::default()).len();
        let longest = MAX_NAME_LENGTH - prefix;
        assert!(creatable(&"a".repeat(longest)).is_ok() && creatable(&format!("/{}", "a".repeat(longest))).is_ok());
        assert!(creatable(&"a".repeat(longest + 1)).is_err());
        assert!(creatable(&"a".repeat(3_000)).is_err());
        assert!(creatable(&"/a".repeat(15)).is_ok());
        let error = creatable(&"/a".repeat(16)).expect_err("16 levels");
        assert!(matches!(error.downcast_ref(), Some(ParameterError::HierarchyLevelLimitExceeded)));
    }

    #[test]
    fn a_name_has_an_arn_and_an_arn_a_name() -> Result<()> {
        let arn = "arn:aws:ssm:local:000000000000:parameter/";
        for (name, rest) in [("a", "a"), ("/a", "a"), ("/a/b", "a/b")] {
            let (parsed, _) = parse(name)?.expect("a name");
            assert_eq!(parsed.arn(&Locality::default(), AccountId::default()), format!("{arn}{rest}"));
            let (again, _) = parse(&format!("{arn}{rest}"))?.expect("an ARN of this account");
            assert_eq!(again.key(), parsed.key());
        }
        for other in
            ["arn:aws:ssm:local:111122223333:parameter/a", "arn:aws:ssm:eu-west-1:000000000000:parameter/a", "arn:::::"]
        {
            assert_eq!(parse(other)?, None, "{other}");
        }
        Ok(())
    }

    #[test]
    fn a_selector_is_a_version_or_a_label() -> Result<()> {
        let selector = |text: &str| parse(text).map(|parsed| parsed.map(|(name, selector)| (name.0, selector)));
        let label = |text: &str| Selector::Label(text.to_owned());
        assert_eq!(selector("/a:3")?, Some(("/a".to_owned(), Selector::Version(3))));
        assert_eq!(selector("a:prod")?, Some(("a".to_owned(), label("prod"))));
        assert_eq!(selector("a:99999999999999999999999")?, Some(("a".to_owned(), Selector::Version(u64::MAX))));
        let arn = "arn:aws:ssm:local:000000000000:parameter/a/b";
        assert_eq!(selector(&format!("{arn}:prod"))?, Some(("/a/b".to_owned(), label("prod"))));
        assert_eq!(selector(arn)?, Some(("/a/b".to_owned(), Selector::Current)));
        // A parameter may have the name with which ARNs begin.
        for (text, expected) in [("arn", Selector::Current), ("arn:3", Selector::Version(3)), ("arn:aws", label("aws"))]
        {
            assert_eq!(selector(text)?, Some(("arn".to_owned(), expected)), "{text}");
        }
        assert!(ParameterName::parse("arn:3", &Locality::default(), AccountId::default()).is_err());
        Ok(())
    }

    #[test]
    fn a_path_begins_with_a_slash_and_may_end_with_one() -> Result<()> {
        assert_eq!(ParameterPath::parse("/")?.prefix(), "/");
        assert_eq!(ParameterPath::parse("/a/b")?, ParameterPath::parse("/a/b/")?);
        let arn = ParameterPath::parse("/a/b/")?.arn(&Locality::default(), AccountId::default());
        assert_eq!(arn, "arn:aws:ssm:local:000000000000:parameter/a/b");
        for bad in ["", "a", "a/b", "//", "/a//", "/a b", "/a:1"] {
            assert!(ParameterPath::parse(bad).is_err(), "{bad}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in "\\PC{0,40}", tail in "[a-z/:. 0-9é]{0,40}") {
            for text in [text.clone(), tail.clone(), format!("arn:aws:ssm:local:000000000000:parameter/{tail}")] {
                if let Ok(Some((name, _))) = parse(&text) {
                    prop_assert!(name.key().starts_with('/') && !name.key().ends_with('/'));
                    let again = ParameterName::parse(name.as_str(), &Locality::default(), AccountId::default());
                    prop_assert_eq!(again.ok().flatten(), Some(name));
                }
                let _ = ParameterPath::parse(&text);
            }
        }
    }
}
