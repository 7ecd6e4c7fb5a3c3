//! Policies of a parameter: its expiration, and the notifications about it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::error::ParameterError;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::text::sanitize_for_error;

/// Maximum number of policies of a parameter.
const MAX_POLICIES: usize = 10;
/// Maximum length of the policies of a parameter, in bytes.
pub(super) const MAX_POLICIES_LENGTH: usize = 4_096;
/// The only version of policies.
const VERSION: &str = "1.0";
/// Longest time before or after which a notification is due.
const MAX_DAYS: u64 = 36_500;

/// A policy of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParameterPolicy {
    /// The parameter is deleted at this time.
    Expiration(Timestamp),
    /// A notification is due this long before the expiration.
    ExpirationNotification(Duration),
    /// A notification is due if the parameter was not changed for this long.
    NoChangeNotification(Duration),
}

impl ParameterPolicy {
    /// Returns the type in a request.
    pub(super) const fn type_name(self) -> &'static str {
        match self {
            Self::Expiration(_) => "Expiration",
            Self::ExpirationNotification(_) => "ExpirationNotification",
            Self::NoChangeNotification(_) => "NoChangeNotification",
        }
    }
}

/// The policies of a parameter, with the text of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ParameterPolicies(Vec<(ParameterPolicy, String)>);

impl ParameterPolicies {
    /// Parses the array of a request. An empty array, or one with an empty object, has no policies.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let malformed = || ParameterError::InvalidPolicyType {
            reason: "the policies must be a JSON array of objects with Type, Version and Attributes".to_owned(),
        };
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > MAX_POLICIES_LENGTH {
            let reason = format!("the policies must have at most {MAX_POLICIES_LENGTH} characters");
            return Err(ParameterError::InvalidPolicyType { reason }.into());
        }
        let objects: Vec<Map<String, Value>> = serde_json::from_str(text).map_err(|_| malformed())?;
        if objects.len() > MAX_POLICIES {
            return Err(ParameterError::PoliciesLimitExceeded { limit: MAX_POLICIES }.into());
        }
        let mut policies = Vec::new();
        for object in objects.into_iter().filter(|object| !object.is_empty()) {
            policies.push(parse_policy(&object)?);
        }
        let expirations =
            policies.iter().filter(|(policy, _)| matches!(policy, ParameterPolicy::Expiration(_))).count();
        let announced = policies.iter().any(|(policy, _)| matches!(policy, ParameterPolicy::ExpirationNotification(_)));
        let reason = match (expirations, announced) {
            (2.., _) => "there can be only one Expiration",
            (0, true) => "an ExpirationNotification needs an Expiration",
            _ => return Ok(Self(policies)),
        };
        Err(ParameterError::IncompatiblePolicy { reason }.into())
    }

    /// Rejects an expiration that is not in the future.
    pub(super) fn check_future(&self, now: Timestamp) -> Result<()> {
        match self.expiration() {
            Some(time) if time <= now => {
                let reason = "the Timestamp of an Expiration must be in the future".to_owned();
                Err(ParameterError::InvalidPolicyAttribute { reason }.into())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the time at which the parameter expires.
    pub(super) fn expiration(&self) -> Option<Timestamp> {
        self.0.iter().find_map(|(policy, _)| match policy {
            ParameterPolicy::Expiration(time) => Some(*time),
            _ => None,
        })
    }

    /// Returns the policies with their texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ParameterPolicy, &str)> {
        self.0.iter().map(|(policy, text)| (*policy, text.as_str()))
    }

    /// Returns the array that [`ParameterPolicies::parse`] accepts, or an empty text.
    pub(super) fn to_text(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let texts: Vec<&str> = self.0.iter().map(|(_, text)| text.as_str()).collect();
        format!("[{}]", texts.join(","))
    }
}

/// Parses a policy, and returns it with its text. The order of members in the text does not depend on
/// the request, nor on the features of `serde_json`.
fn parse_policy(object: &Map<String, Value>) -> Result<(ParameterPolicy, String)> {
    let invalid = |reason: String| ParameterError::InvalidPolicyType { reason };
    if let Some(name) = object.keys().find(|name| !["Type", "Version", "Attributes"].contains(&name.as_str())) {
        return Err(invalid(format!("unknown member '{}'", sanitize_for_error(name))).into());
    }
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    if text("Version") != Some(VERSION) {
        return Err(invalid(format!("the Version must be {VERSION}")).into());
    }
    let attributes = object.get("Attributes").and_then(Value::as_object);
    let attributes = attributes.ok_or_else(|| invalid("the Attributes are missing".to_owned()))?;
    match text("Type") {
        Some("Expiration") => {
            let [time] = exactly(attributes, ["Timestamp"])?;
            let parsed =
                time.parse().map_err(|_| attribute("the Timestamp must be a time with a zone, in ISO 8601"))?;
            Ok(with_text(ParameterPolicy::Expiration(parsed), &[("Timestamp", time)]))
        }
        Some("ExpirationNotification") => {
            let [before, unit] = exactly(attributes, ["Before", "Unit"])?;
            let policy = ParameterPolicy::ExpirationNotification(duration(before, unit)?);
            Ok(with_text(policy, &[("Before", before), ("Unit", unit)]))
        }
        Some("NoChangeNotification") => {
            let [after, unit] = exactly(attributes, ["After", "Unit"])?;
            let policy = ParameterPolicy::NoChangeNotification(duration(after, unit)?);
            Ok(with_text(policy, &[("After", after), ("Unit", unit)]))
        }
        _ => {
            let known = "Expiration, ExpirationNotification or NoChangeNotification";
            Err(invalid(format!("the Type must be {known}")).into())
        }
    }
}

fn with_text(policy: ParameterPolicy, attributes: &[(&str, &str)]) -> (ParameterPolicy, String) {
    let attributes: Vec<String> =
        attributes.iter().map(|(name, value)| format!(r#""{name}":{}"#, Value::from(*value))).collect();
    let (attributes, name) = (attributes.join(","), policy.type_name());
    (policy, format!(r#"{{"Attributes":{{{attributes}}},"Type":"{name}","Version":"{VERSION}"}}"#))
}

/// Returns the values of the attributes, which must be exactly these.
fn exactly<'a, const N: usize>(attributes: &'a Map<String, Value>, names: [&str; N]) -> Result<[&'a str; N]> {
    if let Some(name) = attributes.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(attribute(&format!("unknown attribute '{}'", sanitize_for_error(name))));
    }
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        let text = attributes.get(name).and_then(Value::as_str);
        *value = text.ok_or_else(|| attribute(&format!("the attribute {name} must be a text")))?;
    }
    Ok(values)
}

fn duration(number: &str, unit: &str) -> Result<Duration> {
    let hours: u64 = match unit {
        "Days" => 24,
        "Hours" => 1,
        _ => return Err(attribute("the Unit must be Days or Hours")),
    };
    let number: u64 = number.parse().map_err(|_| attribute("Before and After must be whole numbers"))?;
    let total = number.checked_mul(hours).filter(|total| (1..=MAX_DAYS * 24).contains(total));
    let total = total.ok_or_else(|| attribute("Before and After must be from 1 hour to 100 years"))?;
    Ok(Duration::from_secs(total * 3_600))
}

fn attribute(reason: &str) -> crate::error::Error {
    ParameterError::InvalidPolicyAttribute { reason: reason.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRATION: &str =
        r#"{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2030-01-02T03:04:05.000Z"}}"#;

    fn exception(text: &str) -> &'static str {
        let error = ParameterPolicies::parse(text).expect_err(text);
        error.downcast_ref::<ParameterError>().expect("a typed error").exception_name()
    }

    #[test]
    fn policies_of_every_type_are_parsed_and_written() -> Result<()> {
        let text = format!(
            r#"[{EXPIRATION},{{"Type":"ExpirationNotification","Version":"1.0","Attributes":{{"Before":"15","Unit":"Days"}}}},
               {{"Type":"NoChangeNotification","Version":"1.0","Attributes":{{"After":"20","Unit":"Hours"}}}}]"#
        );
        let policies = ParameterPolicies::parse(&text)?;
        assert_eq!(policies.expiration(), Some("2030-01-02T03:04:05Z".parse()?));
        let kinds: Vec<_> = policies.iter().map(|(policy, _)| policy).collect();
        assert_eq!(kinds[1], ParameterPolicy::ExpirationNotification(Duration::from_secs(15 * 86_400)));
        assert_eq!(kinds[2], ParameterPolicy::NoChangeNotification(Duration::from_secs(20 * 3_600)));
        assert_eq!(ParameterPolicies::parse(&policies.to_text())?, policies);
        let reordered =
            r#"[{"Version": "1.0", "Attributes": {"Unit": "Hours", "After": "20"}, "Type": "NoChangeNotification"}]"#;
        let last = policies.iter().last().map(|(_, text)| text);
        assert_eq!(ParameterPolicies::parse(reordered)?.iter().next().map(|(_, text)| text), last);
        for none in ["", "[]", "[{}]"] {
            assert!(ParameterPolicies::parse(none)?.is_empty(), "{none}");
        }
        Ok(())
    }

    #[test]
    fn each_problem_has_its_exception() {
        let with = |kind: &str, attributes: &str| {
            exception(&format!(r#"[{{"Type":"{kind}","Version":"1.0","Attributes":{attributes}}}]"#))
        };
        for malformed in ["{}", "x", "[1]", r#"[{"Type":"Expiration"}]"#, "[[]]", r#"[{"Other":1}]"#] {
            assert_eq!(exception(malformed), "InvalidPolicyTypeException", "{malformed}");
        }
        assert_eq!(with("Other", "{}"), "InvalidPolicyTypeException");
        for attributes in ["{}", r#"{"Timestamp":"tomorrow"}"#, r#"{"Timestamp":"2030-01-02T03:04:05Z","X":"1"}"#] {
            assert_eq!(with("Expiration", attributes), "InvalidPolicyAttributeException", "{attributes}");
        }
        for (number, unit) in
            [("0", "Days"), ("-1", "Days"), ("1", "Weeks"), ("36501", "Days"), ("99999999999999999999", "Hours")]
        {
            let attributes = format!(r#"{{"After":"{number}","Unit":"{unit}"}}"#);
            assert_eq!(with("NoChangeNotification", &attributes), "InvalidPolicyAttributeException", "{attributes}");
        }
        assert_eq!(exception(&format!("[{EXPIRATION},{EXPIRATION}]")), "IncompatiblePolicyException");
        assert_eq!(with("ExpirationNotification", r#"{"Before":"1","Unit":"Days"}"#), "IncompatiblePolicyException");
        assert_eq!(exception(&format!("[{}]", ["{}"; 11].join(","))), "PoliciesLimitExceededException");
        assert_eq!(exception(&format!("[{}]", " ".repeat(5_000))), "InvalidPolicyTypeException");
    }

    #[test]
    fn an_expiration_is_in_the_future() -> Result<()> {
        let policies = ParameterPolicies::parse(&format!("[{EXPIRATION}]"))?;
        let time: Timestamp = "2030-01-02T03:04:05Z".parse()?;
        assert!(policies.check_future(Timestamp::from_unix_millis(time.unix_millis() - 1)).is_ok());
        assert!(policies.check_future(time).is_err());
        Ok(())
    }
}
