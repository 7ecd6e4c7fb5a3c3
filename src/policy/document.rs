//! Policy documents: parsed, validated and compiled once.

use std::fmt;
use std::sync::Arc;

use super::document_kind::PolicyKind;
use super::json::Json;
use super::parse_error::PolicyParseError;
use super::statement::Statement;
use crate::error::Result;
use crate::identity::{AccountId, Locality, Principal};
use crate::text::sanitize_for_error;

/// The versions of the policy language. They differ in policy variables only, which are refused in either.
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];

/// The most characters of a document's patterns that a decision may have to compare anew at every place of a value, so that
/// its time is bounded: those of parts with `?` between two stars.
const MAX_SEARCH_LENGTH: usize = 1024;

/// A policy in the JSON language of AWS, compiled.
///
/// It keeps the text that it was read from. What is not supported is refused when the document is read, and never ignored
/// afterwards; the [manual](crate::manual::policies) lists both. A clone copies one pointer.
///
/// # Examples
/// ```
/// use strongroom::ErrorKind;
/// use strongroom::policy::PolicyDocument;
///
/// let text = r#"{
///     "Version": "2012-10-17",
///     "Statement": {
///         "Effect": "Allow",
///         "Principal": {"AWS": "arn:aws:iam::111122223333:user/alice"},
///         "Action": ["kms:Encrypt", "kms:Decrypt"],
///         "Resource": "*",
///         "Condition": {"StringEquals": {"kms:EncryptionContext:tenant": "42"}}
///     }
/// }"#;
/// let policy = PolicyDocument::key_policy(text)?;
/// assert_eq!(policy.as_str(), text);
///
/// let error = PolicyDocument::key_policy(&text.replace("Encrypt\"", "Encrpyt\"")).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::MalformedPolicyDocument);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone)]
pub struct PolicyDocument(Arc<Compiled>);

struct Compiled {
    kind: PolicyKind,
    text: Box<str>,
    statements: Box<[Statement]>,
    needs_aliases: bool,
}

impl PolicyDocument {
    /// The most bytes of a document.
    pub const MAX_LENGTH: usize = 32_768;
    /// The one name that a key policy can have.
    pub const KEY_POLICY_NAME: &'static str = "default";

    /// Reads the policy of a key.
    ///
    /// # Errors
    /// Of kind [`MalformedPolicyDocument`](crate::ErrorKind::MalformedPolicyDocument) if it is over 32,768 bytes, holds
    /// characters beyond Latin-1 or control characters, is no JSON, names a member twice, or has anything that this crate
    /// does not support.
    pub fn key_policy(text: &str) -> Result<Self> {
        Ok(Self::parse(PolicyKind::Key, text)?)
    }

    /// Reads a policy that is to be attached to a principal.
    ///
    /// # Errors
    /// As [`PolicyDocument::key_policy`].
    pub fn identity_policy(text: &str) -> Result<Self> {
        Ok(Self::parse(PolicyKind::Identity, text)?)
    }

    /// The policy of a key that is made without one: the account, and whom its identity policies let, may do everything.
    #[expect(clippy::missing_panics_doc, reason = "the document is valid by construction")]
    pub fn default_key_policy(account: AccountId) -> Self {
        let text = format!(
            r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "{}"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#,
            Principal::root(account)
        );
        Self::key_policy(&text).expect("an account id needs no escape in JSON")
    }

    /// The policy of a key that a service manages in an account: everybody of the account may use it through the service,
    /// by its short name, and look at it.
    ///
    /// # Errors
    /// Of kind [`Validation`](crate::ErrorKind::Validation) for the name of a service that is none, as
    /// [`Principal::service`].
    pub fn service_managed_key_policy(account: AccountId, locality: &Locality, service: &str) -> Result<Self> {
        Principal::service(account, service)?;
        let (root, region) = (Principal::root(account), locality.region());
        Self::key_policy(&format!(
            r#"{{
  "Version" : "2012-10-17",
  "Id" : "auto-{service}-1",
  "Statement" : [ {{
    "Sid" : "Allow access through the service for all principals in the account",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "*"
    }},
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {{
      "StringEquals" : {{
        "kms:CallerAccount" : "{account}",
        "kms:ViaService" : "{service}.{region}.amazonaws.com"
      }}
    }}
  }}, {{
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "{root}"
    }},
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant" ],
    "Resource" : "*"
  }} ]
}}"#
        ))
    }

    /// The text that the document was read from.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// What it is to be attached to.
    pub fn kind(&self) -> PolicyKind {
        self.0.kind
    }

    /// Whether a decision by this document needs to know the aliases of the key.
    pub fn needs_aliases(&self) -> bool {
        self.0.needs_aliases
    }

    /// The statements, in order.
    pub(super) fn statements(&self) -> &[Statement] {
        &self.0.statements
    }

    fn parse(kind: PolicyKind, text: &str) -> Result<Self, PolicyParseError> {
        check_text(text)?;
        let statements = parse_document(kind, Json::parse(text)?)?;
        let search_length: usize = statements.iter().map(Statement::search_length).sum();
        if search_length > MAX_SEARCH_LENGTH {
            let text = format!("it has over {MAX_SEARCH_LENGTH} characters in patterns with ? between two *");
            return Err(PolicyParseError::new(text));
        }
        let needs_aliases = statements.iter().any(Statement::needs_aliases);
        Ok(Self(Arc::new(Compiled { kind, text: text.into(), statements, needs_aliases })))
    }
}

fn check_text(text: &str) -> Result<(), PolicyParseError> {
    if text.len() > PolicyDocument::MAX_LENGTH {
        return Err(PolicyParseError::new(format!("it must have at most {} bytes", PolicyDocument::MAX_LENGTH)));
    }
    let known = |character: char| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{ff}');
    match text.char_indices().find(|(_, character)| !known(*character)) {
        None => Ok(()),
        Some((place, _)) => Err(PolicyParseError::new(format!(
            "the character at byte {place} is not among the printable ones of Latin-1"
        ))),
    }
}

fn parse_document(kind: PolicyKind, value: Json) -> Result<Box<[Statement]>, PolicyParseError> {
    let (mut version, mut statements) = (None, None);
    for (name, value) in value.members()? {
        let result = match name.as_str() {
            "Version" => value.text().and_then(check_version).map(|()| version = Some(())),
            "Id" => value.text().map(drop),
            "Statement" => parse_statements(kind, value).map(|parsed| statements = Some(parsed)),
            name if Statement::ELEMENTS.contains(&name) => Err(PolicyParseError::new(
                r#"belongs to a statement: put the statement into {"Version": "2012-10-17", "Statement": [...]}"#,
            )),
            _ => Err(PolicyParseError::new("unknown element")),
        };
        result.map_err(|error| error.within(sanitize_for_error(&name)))?;
    }
    version.ok_or_else(|| PolicyParseError::new("Version is missing"))?;
    statements.ok_or_else(|| PolicyParseError::new("Statement is missing"))
}

fn check_version(version: String) -> Result<(), PolicyParseError> {
    if VERSIONS.contains(&version.as_str()) {
        return Ok(());
    }
    Err(PolicyParseError::new(format!("must be {}, and is '{}'", VERSIONS[0], sanitize_for_error(&version))))
}

fn parse_statements(kind: PolicyKind, value: Json) -> Result<Box<[Statement]>, PolicyParseError> {
    let parse = |(place, value)| Statement::parse(kind, value).map_err(|error| error.within(place + 1));
    value.one_or_more()?.into_iter().enumerate().map(parse).collect()
}

impl fmt::Display for PolicyDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Documents are the same if they are of one kind and have the same text.
impl PartialEq for PolicyDocument {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.as_str() == other.as_str()
    }
}

impl Eq for PolicyDocument {}

impl fmt::Debug for PolicyDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolicyDocument").field(&self.kind()).field(&self.as_str()).finish()
    }
}
