//! The `Resource` and `NotResource` elements: ARN patterns for keys, aliases and parameters.

use super::json::Json;
use super::parse_error::PolicyParseError;
use super::pattern::Pattern;
use crate::text::sanitize_for_error;

/// The number of parts of an ARN; the last part is the resource.
const ARN_PARTS: usize = 6;

/// A list of ARN patterns, at least one of which must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resources {
    patterns: Box<[ArnPattern]>,
    /// `true` for `NotResource`, where none of the patterns may match.
    negated: bool,
}

/// An ARN pattern, compared part by part. `None` represents `*`, which matches everything,
/// including requests without an ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArnPattern(Option<Box<[Pattern]>>);

impl Resources {
    /// Parses the value of the element.
    pub(super) fn parse(value: Json, negated: bool) -> Result<Self, PolicyParseError> {
        let pattern = |text: &String| {
            ArnPattern::parse(text).filter(ArnPattern::is_of_this_service).ok_or_else(|| {
                PolicyParseError::new(format!("'{}' is not an ARN of this service", sanitize_for_error(text)))
            })
        };
        let texts = value.texts()?;
        if let Some(text) = texts.iter().find(|text| text.contains("${")) {
            return Err(PolicyParseError::new(format!(
                "'{}' has a policy variable, which is not supported",
                sanitize_for_error(text)
            )));
        }
        Ok(Self { patterns: texts.iter().map(pattern).collect::<Result<_, _>>()?, negated })
    }

    /// Returns `true` if the element matches an ARN, or, with `None`, an operation on a resource
    /// without an ARN. `arn` is only called if needed.
    pub(super) fn match_arn<'t>(&self, arn: impl Fn() -> Option<&'t str>) -> bool {
        self.negated
            != self
                .patterns
                .iter()
                .any(|pattern| pattern.is_anything() || arn().is_some_and(|arn| pattern.matches(arn)))
    }
}

impl ArnPattern {
    /// Parses a pattern: `*`, six parts separated by colons, or fewer parts if the only wildcard of
    /// the last part is a trailing `*`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<Pattern> = text.splitn(ARN_PARTS, ':').map(Pattern::new).collect();
        match parts.as_slice() {
            [all] if all.is_anything() => return Some(Self(None)),
            [scheme, .., last] if scheme.matches("arn") && (parts.len() == ARN_PARTS || last.is_prefix()) => {}
            _ => return None,
        }
        Some(Self(Some(parts.into_boxed_slice())))
    }

    fn is_anything(&self) -> bool {
        self.0.is_none()
    }

    fn is_of_this_service(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|parts| parts.get(2).is_none_or(|service| service.matches("kms") || service.matches("ssm")))
    }

    pub(super) fn matches(&self, arn: &str) -> bool {
        let Some((last, first)) = self.0.as_ref().and_then(|parts| parts.split_last()) else { return true };
        let mut left = arn;
        for pattern in first {
            // A byte-by-byte search is sufficient because the parts are short.
            let Some(end) = left.bytes().position(|byte| byte == b':') else { return false };
            if !pattern.matches(&left[..end]) {
                return false;
            }
            left = &left[end + 1..];
        }
        // If the pattern has fewer parts, its last part matches the rest of the ARN.
        last.matches(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn parts_are_compared_one_by_one() {
        let rows = [
            ("*", true),
            (KEY, true),
            ("arn:aws:kms:*:111122223333:key/*", true),
            ("arn:aws:kms:eu-*:111122223333:key/1234abcd-????-*", true),
            ("arn:aws:kms:*:*:*", true),
            ("arn:aws:kms:*", true),
            ("arn:*", true),
            ("arn:aws:kms:eu-central-1:111122223333:*", true),
            ("arn:aws:kms:*:444455556666:key/*", false),
            ("arn:aws:kms:*:111122223333:alias/*", false),
            ("arn:aws:kms:us-*:111122223333:key/*", false),
            ("arn:aws-cn:kms:*:111122223333:key/*", false),
            ("arn:aws:kms:*:11112222333?:key/*", true),
            ("arn:aws:kms:*key/*", false),
        ];
        for (pattern, expected) in rows {
            let parsed = ArnPattern::parse(pattern);
            assert_eq!(parsed.is_some_and(|parsed| parsed.matches(KEY)), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_arn_of_this_service_is_refused() {
        for text in [
            "key/*",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:s3:::bucket",
            "arn",
            "",
            "alias/x",
            "arn:aws:kms",
            "arn:aws:kms:eu-central-1:111122223333",
            "arn:aws:kms:*:${aws:PrincipalAccount}:key/*",
        ] {
            assert!(Resources::parse(Json::Text(text.to_owned()), false).is_err(), "{text}");
        }
    }

    #[test]
    fn negation_is_of_the_whole_list() -> Result<(), PolicyParseError> {
        let others = Json::parse(r#"["arn:aws:kms:*:444455556666:key/*", "arn:aws:kms:*:111122223333:alias/*"]"#)?;
        let these = Resources::parse(others.clone(), false)?;
        let all_but_these = Resources::parse(others, true)?;
        assert!(!these.match_arn(|| Some(KEY)) && all_but_these.match_arn(|| Some(KEY)));
        assert!(!these.match_arn(|| None) && all_but_these.match_arn(|| None));
        assert!(Resources::parse(Json::Text("*".into()), false)?.match_arn(|| None));
        Ok(())
    }
}
