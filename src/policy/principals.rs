//! The `Principal` element: the principals to which a statement of a key policy applies.

use std::collections::BTreeSet;

use super::effect::Effect;
use super::json::Json;
use super::parse_error::PolicyParseError;
use crate::identity::{AccountId, Locality, Principal, PrincipalKind};
use crate::text::sanitize_for_error;

/// The principals to which a statement applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Principals {
    named: Box<[Named]>,
    /// The partitions of their ARNs other than `aws`.
    partitions: BTreeSet<String>,
}

/// One principal that a statement names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    /// `"*"`: every principal in every account.
    Everybody,
    /// An account, specified by its number or by the ARN of its root.
    Account(AccountId),
    /// A user, a role, a session of a role, or a federated user.
    Identity(Principal),
    /// A service, regardless of the account that it acts for.
    Service(Box<str>),
}

/// The relation between a statement and a principal, from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Relation {
    /// The statement names the principal's account, which may delegate what the statement allows.
    Account,
    /// The statement applies to everybody.
    Everybody,
    /// The statement names the principal itself.
    Itself,
}

/// The accepted forms of an account, a user, a role, or a session.
const IDENTITIES: &str = "an ARN such as arn:aws:iam::111122223333:user/alice, an account id, or *";

impl Principals {
    /// Parses the value of the element.
    pub(super) fn parse(value: Json) -> Result<Self, PolicyParseError> {
        if value == Json::Text("*".to_owned()) {
            return Ok(Self { named: Box::new([Named::Everybody]), partitions: BTreeSet::new() });
        }
        let members = value.members().map_err(|error| {
            error.within(r#"neither '*' nor an object such as {"AWS": "arn:aws:iam::111122223333:user/alice"}"#)
        })?;
        if members.is_empty() {
            return Err(PolicyParseError::new("must name at least one principal"));
        }
        let (mut named, mut partitions) = (Vec::new(), BTreeSet::new());
        for (kind, value) in members {
            let (parse, expected): (fn(&str) -> Option<Named>, &str) = match kind.as_str() {
                "AWS" => (Named::parse_identity, IDENTITIES),
                "Service" => (Named::parse_service, "its domain, such as s3.amazonaws.com"),
                // Users of identity providers and anonymous users do not exist in this crate.
                _ => return Err(PolicyParseError::new(format!("'{}' is not supported", sanitize_for_error(&kind)))),
            };
            for text in value.texts().map_err(|error| error.within(&kind))? {
                named.push(parse(&text).ok_or_else(|| {
                    let text = format!("'{}' is not a principal: write {expected}", sanitize_for_error(&text));
                    PolicyParseError::new(text).within(&kind)
                })?);
                partitions.extend(Principal::parse(&text).ok().map(|principal| principal.partition().to_owned()));
            }
        }
        partitions.remove(Locality::default().partition());
        Ok(Self { named: named.into_boxed_slice(), partitions })
    }

    /// Returns the partitions of the named ARNs other than `aws`.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &str> {
        self.partitions.iter().map(String::as_str)
    }

    /// Returns the users, roles and sessions, or `None` if there are other principals too.
    pub(super) fn named_identities(&self) -> Option<impl Iterator<Item = &Principal>> {
        let identity = |named: &'_ Named| matches!(named, Named::Identity(_));
        self.named.iter().all(identity).then(|| {
            self.named.iter().filter_map(|named| match named {
                Named::Identity(principal) => Some(principal),
                _ => None,
            })
        })
    }

    /// Returns the strongest relation between a statement with this effect and a principal, or
    /// `None` if the statement does not apply to it.
    pub(super) fn relation_to(&self, principal: &Principal, effect: Effect) -> Option<Relation> {
        self.named.iter().filter_map(|named| named.relation_to(principal, effect)).max()
    }
}

impl Named {
    fn parse_identity(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everybody);
        }
        if let Ok(account) = AccountId::parse(text) {
            return Some(Self::Account(account));
        }
        let principal = Principal::parse(text).ok()?;
        Some(if principal.is_account_root() { Self::Account(principal.account()) } else { Self::Identity(principal) })
    }

    fn parse_service(text: &str) -> Option<Self> {
        let principal = Principal::parse_on_behalf_of(AccountId::default(), text).ok()?;
        match principal.kind() {
            PrincipalKind::Service => principal.name().map(|name| Self::Service(name.into())),
            _ => None,
        }
    }

    fn relation_to(&self, principal: &Principal, effect: Effect) -> Option<Relation> {
        let (holds, relation) = match self {
            Self::Everybody => (true, Relation::Everybody),
            Self::Account(account) => (*account == principal.account(), Relation::Account),
            Self::Identity(named) => {
                let applies = match effect {
                    Effect::Allow => named.covers(principal),
                    Effect::Deny => named.may_cover(principal),
                };
                (applies, Relation::Itself)
            }
            Self::Service(name) => {
                (principal.kind() == PrincipalKind::Service && principal.name() == Some(name), Relation::Itself)
            }
        };
        holds.then_some(relation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<Principals, PolicyParseError> {
        Principals::parse(Json::parse(json)?)
    }

    #[test]
    fn the_strongest_relation_counts() -> Result<(), Box<dyn std::error::Error>> {
        let account = AccountId::parse("111122223333")?;
        let (alice, bob) = (Principal::user(account, "alice")?, Principal::user(account, "bob")?);
        let text =
            r#"{"AWS": ["111122223333", "arn:aws:iam::111122223333:user/alice"], "Service": "s3.amazonaws.com"}"#;
        let named = parsed(text).map_err(|error| format!("{error:?}"))?;
        assert_eq!(named.relation_to(&alice, Effect::Allow), Some(Relation::Itself));
        assert_eq!(named.relation_to(&bob, Effect::Allow), Some(Relation::Account));
        assert_eq!(named.relation_to(&Principal::root(account), Effect::Allow), Some(Relation::Account));
        assert_eq!(named.relation_to(&Principal::root(AccountId::default()), Effect::Allow), None);
        assert_eq!(
            named.relation_to(&Principal::service(AccountId::default(), "s3")?, Effect::Allow),
            Some(Relation::Itself)
        );
        assert_eq!(named.relation_to(&Principal::service(AccountId::default(), "rds")?, Effect::Allow), None);
        Ok(())
    }

    #[test]
    fn a_role_names_its_sessions_and_a_session_itself() -> Result<(), Box<dyn std::error::Error>> {
        let account = AccountId::parse("111122223333")?;
        let with = |text: &str, principal: &Principal, effect: Effect| {
            let named = parsed(&format!(r#"{{"AWS": "{text}"}}"#)).map_err(|error| format!("{error:?}"))?;
            Ok::<_, Box<dyn std::error::Error>>(named.relation_to(principal, effect))
        };
        let relation = |text: &str, principal: &Principal| with(text, principal, Effect::Allow);
        let session = Principal::assumed_role(account, "worker", "job-7")?;
        let of_path = Principal::assumed_role(account, "a/worker", "job-7")?;
        let guest = Principal::federated_user(account, "guest")?;
        for (text, principal, expected) in [
            ("arn:aws:iam::111122223333:role/worker", &session, Some(Relation::Itself)),
            ("arn:aws:iam::111122223333:role/a/worker", &session, None),
            ("arn:aws:iam::111122223333:role/a/worker", &of_path, Some(Relation::Itself)),
            ("arn:aws:iam::111122223333:role/worker", &of_path, None),
            ("arn:aws:sts::111122223333:assumed-role/worker/job-7", &of_path, Some(Relation::Itself)),
            ("arn:aws:sts::111122223333:assumed-role/worker/job-7", &session, Some(Relation::Itself)),
            ("arn:aws-cn:sts::111122223333:assumed-role/worker/job-7", &session, Some(Relation::Itself)),
            ("arn:aws:sts::111122223333:assumed-role/worker/job-8", &session, None),
            ("arn:aws:iam::111122223333:role/other", &session, None),
            ("arn:aws:iam::111122223333:user/worker", &session, None),
            ("arn:aws:iam::111122223333:root", &session, Some(Relation::Account)),
            ("*", &session, Some(Relation::Everybody)),
            ("arn:aws:sts::111122223333:federated-user/guest", &guest, Some(Relation::Itself)),
            ("arn:aws:iam::111122223333:user/guest", &guest, None),
            ("111122223333", &guest, Some(Relation::Account)),
        ] {
            assert_eq!(relation(text, principal)?, expected, "{text} {principal}");
        }
        // The ARN of a session has no path, so a denial reaches it whatever the path of its role.
        for (text, principal, expected) in [
            ("arn:aws:iam::111122223333:role/a/worker", &session, Some(Relation::Itself)),
            ("arn:aws:iam::111122223333:role/a/worker", &of_path, Some(Relation::Itself)),
            ("arn:aws:iam::111122223333:role/b/worker", &of_path, None),
            ("arn:aws:iam::111122223333:role/other", &session, None),
            ("arn:aws:iam::444455556666:role/a/worker", &session, None),
        ] {
            assert_eq!(with(text, principal, Effect::Deny)?, expected, "{text} {principal}");
        }
        let role = Principal::role(account, "worker")?;
        assert_eq!(relation("arn:aws:sts::111122223333:assumed-role/worker/job-7", &role)?, None);
        Ok(())
    }

    #[test]
    fn the_partitions_of_arns_are_known() -> Result<(), Box<dyn std::error::Error>> {
        let text = r#"{"AWS": ["111122223333", "*", "arn:aws:iam::111122223333:root",
            "arn:aws-us-gov:iam::111122223333:root", "arn:aws-cn:iam::111122223333:user/alice"]}"#;
        let named = parsed(text).map_err(|error| format!("{error:?}"))?;
        assert_eq!(named.partitions().collect::<Vec<_>>(), ["aws-cn", "aws-us-gov"]);
        Ok(())
    }

    #[test]
    fn a_refusal_says_what_to_write() {
        for (json, expected) in [
            (
                r#"{"AWS": "alice"}"#,
                "'alice' is not a principal: write an ARN such as arn:aws:iam::111122223333:user/alice",
            ),
            (r#"{"Service": "s3"}"#, "'s3' is not a principal: write its domain, such as s3.amazonaws.com"),
            (r#""alice""#, r#"such as {"AWS": "#),
        ] {
            let error = format!("{:?}", parsed(json).expect_err("no principal"));
            assert!(error.replace("\\\"", "\"").contains(expected), "{error}");
        }
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for text in [
            r#""alice""#,
            r#""arn:aws:iam::111122223333:root""#,
            r#"["*"]"#,
            r#"{}"#,
            r#"{"AWS": []}"#,
            r#"{"AWS": "arn:aws:iam::111122223333:user/*"}"#,
            r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/a/*"}"#,
            r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/a"}"#,
            r#"{"AWS": "11112222333"}"#,
            r#"{"AWS": 111122223333}"#,
            r#"{"AWS": "s3.amazonaws.com"}"#,
            r#"{"Service": "*"}"#,
            r#"{"Service": "s3"}"#,
            r#"{"Service": "arn:aws:iam::111122223333:root"}"#,
            r#"{"Federated": "cognito-identity.amazonaws.com"}"#,
            r#"{"CanonicalUser": "79a5"}"#,
            r#"{"aws": "*"}"#,
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
