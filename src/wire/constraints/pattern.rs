//! The patterns of string members. Each has the text of the model, which error texts contain, and a
//! function that decides the same for a complete value.
//!
//! The classes `\d`, `\w` and `\s` are those of Java without flags: ASCII only. A dot does not match
//! the end of a line.

#[cfg(feature = "parameters")]
pub(super) mod parameters;

use std::fmt;
use std::ops::RangeInclusive;

/// A regular expression of the model, as text and as a function.
#[derive(Clone, Copy)]
pub(super) struct Pattern {
    text: &'static str,
    rule: Rule,
}

/// The way a pattern decides.
#[derive(Clone, Copy)]
enum Rule {
    /// One or more characters, all in the class.
    Some(Class),
    /// Any number of characters, all in the class.
    Any(Class),
    /// Everything else.
    Special(fn(&str) -> bool),
}

/// A class of characters, as ranges.
type Class = &'static [RangeInclusive<char>];

const DIGIT: Class = &['0'..='9'];
const LOWER: Class = &['a'..='z'];
const LOWER_OR_DIGIT: Class = &['a'..='z', '0'..='9'];
const LABEL: Class = &['a'..='z', 'A'..='Z', '0'..='9', '-'..='-'];
const ARN_PART: Class = &['a'..='z', '0'..='9', '-'..='-'];
const HOST: Class = &['a'..='z', 'A'..='Z', '0'..='9', '.'..='.', '-'..='-'];
const PATH: Class = &['a'..='z', 'A'..='Z', '0'..='9', '/'..='/', '_'..='_', '-'..='-'];
/// Base32, with which identifiers of AWS are written.
const BASE32: Class = &['A'..='Z', '2'..='7'];

pub(super) const ALIAS_NAME: Pattern = Pattern {
    text: "^[a-zA-Z0-9:/_-]+$",
    rule: Rule::Some(&['a'..='z', 'A'..='Z', '0'..='9', ':'..=':', '/'..='/', '_'..='_', '-'..='-']),
};
pub(super) const CLUSTER_ID: Pattern =
    Pattern { text: "cluster-[2-7a-zA-Z]{11,16}", rule: Rule::Special(is_cluster_id) };
pub(super) const SOURCE_ARN: Pattern =
    Pattern { text: "^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$", rule: Rule::Special(is_source_arn) };
pub(super) const PRINCIPAL: Pattern = Pattern {
    text: r"^[\w+=,.@:/-]+$",
    // The range from comma to colon contains hyphen, point, slash and the digits.
    rule: Rule::Some(&['a'..='z', 'A'..='Z', '_'..='_', '+'..='+', '='..='=', ','..=':', '@'..='@']),
};
pub(super) const SERVICE_PRINCIPAL: Pattern = Pattern {
    text: r"^([A-Za-z0-9\-]+)\.([A-Za-z0-9\-]+)(\.[A-Za-z0-9\-]+)+$",
    rule: Rule::Special(is_service_principal),
};
/// The model does not state this pattern, but AWS KMS reports it for identifiers of keys.
pub(super) const KEY_ID: Pattern = Pattern { text: r"^\p{ASCII}+$", rule: Rule::Some(&['\0'..='\x7f']) };
pub(super) const KEY_MATERIAL_DESCRIPTION: Pattern = Pattern {
    text: r"^[a-zA-Z0-9:/_\s.-]+$",
    // The range from hyphen to colon contains point, slash and the digits; that from tab to carriage
    // return contains both ends of a line.
    rule: Rule::Some(&['a'..='z', 'A'..='Z', '-'..=':', '_'..='_', ' '..=' ', '\t'..='\r']),
};
pub(super) const KEY_MATERIAL_ID: Pattern = Pattern { text: "^[a-f0-9]+$", rule: Rule::Some(&['a'..='f', '0'..='9']) };
pub(super) const MARKER: Pattern = Pattern { text: r"[\u0020-\u00FF]*", rule: Rule::Any(&['\u{20}'..='\u{ff}']) };
pub(super) const POLICY: Pattern = Pattern {
    text: r"[\u0009\u000A\u000D\u0020-\u00FF]+",
    rule: Rule::Some(&['\t'..='\n', '\r'..='\r', '\u{20}'..='\u{ff}']),
};
pub(super) const POLICY_NAME: Pattern =
    Pattern { text: r"[\w]+", rule: Rule::Some(&['a'..='z', 'A'..='Z', '0'..='9', '_'..='_']) };
pub(super) const REGION: Pattern = Pattern { text: r"^([a-z]+-){2,3}\d+$", rule: Rule::Special(is_region) };
pub(super) const XKS_KEY_ID: Pattern =
    Pattern { text: "^[a-zA-Z0-9-_.]+$", rule: Rule::Some(&['a'..='z', 'A'..='Z', '0'..='9', '-'..='.', '_'..='_']) };
pub(super) const XKS_ACCESS_KEY_ID: Pattern = Pattern { text: "^[A-Z2-7]+$", rule: Rule::Some(BASE32) };
pub(super) const XKS_SECRET_ACCESS_KEY: Pattern = Pattern {
    text: r"^[a-zA-Z0-9\/+=]+$",
    rule: Rule::Some(&['a'..='z', 'A'..='Z', '0'..='9', '/'..='/', '+'..='+', '='..='=']),
};
pub(super) const XKS_URI_ENDPOINT: Pattern =
    Pattern { text: "^https://[a-zA-Z0-9.-]+$", rule: Rule::Special(is_xks_uri_endpoint) };
pub(super) const XKS_URI_PATH: Pattern = Pattern {
    text: r"^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$",
    rule: Rule::Special(is_xks_uri_path),
};
pub(super) const XKS_VPC_SERVICE_NAME: Pattern = Pattern {
    text: r"^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$",
    rule: Rule::Special(is_xks_vpc_service_name),
};
pub(super) const ACCOUNT_ID: Pattern = Pattern { text: "[0-9]{12}", rule: Rule::Special(is_account_id) };

/// All patterns.
#[cfg(test)]
pub(super) const ALL: [Pattern; 19] = [
    ALIAS_NAME,
    CLUSTER_ID,
    SOURCE_ARN,
    PRINCIPAL,
    SERVICE_PRINCIPAL,
    KEY_ID,
    KEY_MATERIAL_DESCRIPTION,
    KEY_MATERIAL_ID,
    MARKER,
    POLICY,
    POLICY_NAME,
    REGION,
    XKS_KEY_ID,
    XKS_ACCESS_KEY_ID,
    XKS_SECRET_ACCESS_KEY,
    XKS_URI_ENDPOINT,
    XKS_URI_PATH,
    XKS_VPC_SERVICE_NAME,
    ACCOUNT_ID,
];

impl Pattern {
    /// Returns the regular expression as the model states it.
    pub(super) const fn as_str(&self) -> &'static str {
        self.text
    }

    /// Returns `true` if the complete value matches.
    pub(super) fn matches(&self, value: &str) -> bool {
        match self.rule {
            Rule::Some(class) => some(class, value),
            Rule::Any(class) => any(class, value),
            Rule::Special(decide) => decide(value),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

fn any(class: Class, value: &str) -> bool {
    value.chars().all(|character| class.iter().any(|range| range.contains(&character)))
}

fn some(class: Class, value: &str) -> bool {
    !value.is_empty() && any(class, value)
}

fn is_cluster_id(value: &str) -> bool {
    value
        .strip_prefix("cluster-")
        .is_some_and(|id| any(&['2'..='7', 'a'..='z', 'A'..='Z'], id) && (11..=16).contains(&id.len()))
}

fn is_source_arn(value: &str) -> bool {
    let mut parts = value.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service, region, account, resource) = (next(), next(), next(), next(), next(), next());
    arn == "arn"
        && partition.strip_prefix("aws").is_some_and(|rest| any(ARN_PART, rest))
        && some(ARN_PART, service)
        && any(ARN_PART, region)
        && is_account_id(account)
        && !resource.is_empty()
        && !resource.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
}

fn is_service_principal(value: &str) -> bool {
    value.split('.').count() >= 3 && value.split('.').all(|label| some(LABEL, label))
}

fn is_region(value: &str) -> bool {
    let Some((words, number)) = value.rsplit_once('-') else { return false };
    some(DIGIT, number) && words.split('-').all(|word| some(LOWER, word)) && (2..=3).contains(&words.split('-').count())
}

fn is_xks_uri_endpoint(value: &str) -> bool {
    value.strip_prefix("https://").is_some_and(|host| some(HOST, host))
}

fn is_xks_uri_path(value: &str) -> bool {
    let name = value.trim_end_matches(|character: char| character.is_ascii_digit());
    let Some(prefix) = name.strip_suffix("/kms/xks/v") else { return false };
    (1..=2).contains(&(value.len() - name.len()))
        && (prefix.is_empty() || prefix.strip_prefix('/').is_some_and(|path| some(PATH, path)))
}

fn is_xks_vpc_service_name(value: &str) -> bool {
    let mut parts = value.splitn(5, '.');
    let mut next = || parts.next().unwrap_or_default();
    let (domain, company, kind, region, service) = (next(), next(), next(), next(), next());
    matches!(domain, "com" | "eu")
        && company == "amazonaws"
        && kind == "vpce"
        && is_region(region)
        && service.strip_prefix("vpce-svc-").is_some_and(|id| some(LOWER_OR_DIGIT, id))
}

fn is_account_id(value: &str) -> bool {
    value.len() == 12 && any(DIGIT, value)
}

#[cfg(test)]
mod tests;
