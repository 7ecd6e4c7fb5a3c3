//! Policy documents: parsed, validated and compiled once.

use std::fmt;
use std::sync::Arc;

use super::document_kind::PolicyKind;
use super::json::Json;
use super::parse_error::PolicyParseError;
use super::statement::Statement;
use super::statement_index::StatementIndex;
use crate::error::Result;
use crate::identity::{AccountId, Locality, Principal};
use crate::text::sanitize_for_error;

/// The versions of the policy language. They differ only in policy variables, which are rejected in
/// both.
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];

/// The maximum total length, in characters, of the pattern parts of a document that contain `?`
/// between two `*`. A decision may compare such a part at every position of a value, so this limit
/// bounds the time of a decision.
const MAX_SEARCH_LENGTH: usize = 1024;

/// A compiled policy in the JSON policy language of AWS.
///
/// The original text is preserved. Unsupported elements are rejected when the document is parsed
/// and are never silently ignored; the [manual](crate::manual::policies) lists supported and
/// unsupported elements. Cloning copies a single pointer.
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
    index: StatementIndex,
    needs_aliases: bool,
}

impl PolicyDocument {
    /// The maximum length of a document, in bytes.
    pub const MAX_LENGTH: usize = 32_768;
    /// The only name that a key policy can have.
    pub const KEY_POLICY_NAME: &'static str = "default";

    /// Parses the policy of a key.
    ///
    /// # Errors
    /// - [`MalformedPolicyDocument`](crate::ErrorKind::MalformedPolicyDocument) if `text` is longer
    ///   than 32,768 bytes, contains control characters or characters outside Latin-1, is not valid
    ///   JSON, repeats a member, or uses anything that this crate does not support
    pub fn key_policy(text: &str) -> Result<Self> {
        Ok(Self::parse(PolicyKind::Key, text)?)
    }

    /// Parses a policy to be attached to a principal.
    ///
    /// # Errors
    /// - The errors of [`PolicyDocument::key_policy`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::policy::{PolicyDocument, PolicyKind};
    ///
    /// let text = r#"{"Version": "2012-10-17",
    ///     "Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}}"#;
    /// assert_eq!(PolicyDocument::identity_policy(text)?.kind(), PolicyKind::Identity);
    /// // A key policy must name its principals.
    /// assert!(PolicyDocument::key_policy(text).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn identity_policy(text: &str) -> Result<Self> {
        Ok(Self::parse(PolicyKind::Identity, text)?)
    }

    /// Returns the policy of a key that is created without one. It allows every operation to the
    /// account and to the principals that its identity policies authorize. The ARN of the account is
    /// in the partition of `locality`.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::identity::AccountId;
    /// use strongroom::policy::PolicyDocument;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// let default = PolicyDocument::default_key_policy(AccountId::default(), kms.locality());
    /// assert_eq!(kms.get_key_policy(key.key_id())?, default.as_str());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "the document is valid by construction")]
    pub fn default_key_policy(account: AccountId, locality: &Locality) -> Self {
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
            Principal::root(account).with_partition_of(locality)
        );
        Self::key_policy(&text).expect("an account id requires no escaping in JSON")
    }

    /// Returns the policy of a key that a service manages in an account. All principals of the
    /// account may use the key through the service and may view its metadata. `service` is the
    /// short name of the service.
    ///
    /// # Errors
    /// - [`Validation`](crate::ErrorKind::Validation) if `service` is not a valid service name, as
    ///   for [`Principal::service`]
    ///
    /// # Examples
    /// ```
    /// use strongroom::identity::{AccountId, Locality};
    /// use strongroom::policy::PolicyDocument;
    ///
    /// let policy = PolicyDocument::service_managed_key_policy(AccountId::default(), &Locality::default(), "s3")?;
    /// assert!(policy.as_str().contains(r#""kms:ViaService" : "s3.local.amazonaws.com""#));
    /// assert!(PolicyDocument::service_managed_key_policy(AccountId::default(), &Locality::default(), "S3!").is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn service_managed_key_policy(account: AccountId, locality: &Locality, service: &str) -> Result<Self> {
        Principal::service(account, service)?;
        let (root, region) = (Principal::root(account).with_partition_of(locality), locality.region());
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

    /// Returns the text that the document was parsed from.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Returns the kind of entity that the document is attached to.
    pub fn kind(&self) -> PolicyKind {
        self.0.kind
    }

    /// Returns `true` if evaluating this document requires the aliases of the key.
    ///
    /// # Examples
    /// ```
    /// use strongroom::policy::PolicyDocument;
    ///
    /// let policy = |condition: &str| {
    ///     PolicyDocument::identity_policy(&format!(
    ///         r#"{{"Version": "2012-10-17", "Statement":
    ///             {{"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Condition": {condition}}}}}"#
    ///     ))
    /// };
    /// let by_alias = r#"{"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/reports"}}"#;
    /// assert!(policy(by_alias)?.needs_aliases());
    /// assert!(!policy(r#"{"StringEquals": {"kms:KeyUsage": "SIGN_VERIFY"}}"#)?.needs_aliases());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn needs_aliases(&self) -> bool {
        self.0.needs_aliases
    }

    /// Rejects a policy that names principals of another partition, which cannot be callers.
    /// Principals of the partition `aws` are accepted everywhere: they were the only ones that
    /// earlier releases accepted, and [`Principal`] creates them by default.
    ///
    /// # Errors
    /// - [`MalformedPolicyDocument`](crate::ErrorKind::MalformedPolicyDocument) if there is such a
    ///   principal.
    pub(crate) fn check_partition(&self, locality: &Locality) -> Result<()> {
        let mut partitions = self.statements().iter().flat_map(Statement::partitions);
        match partitions.find(|partition| *partition != locality.partition()) {
            None => Ok(()),
            Some(other) => {
                let text = format!("it names a principal of the partition {other}, not {}", locality.partition());
                Err(PolicyParseError::new(text).within("Principal").into())
            }
        }
    }

    /// Returns the statements in document order.
    pub(super) fn statements(&self) -> &[Statement] {
        &self.0.statements
    }

    /// Returns the index of the statements.
    pub(super) fn index(&self) -> &StatementIndex {
        &self.0.index
    }

    fn parse(kind: PolicyKind, text: &str) -> Result<Self, PolicyParseError> {
        check_text(text)?;
        let statements = parse_document(kind, Json::parse(text)?)?;
        let search_length: usize = statements.iter().map(Statement::search_length).sum();
        if search_length > MAX_SEARCH_LENGTH {
            let text = format!("it has more than {MAX_SEARCH_LENGTH} characters in patterns with ? between two *");
            return Err(PolicyParseError::new(text));
        }
        let needs_aliases = statements.iter().any(Statement::needs_aliases);
        let index = StatementIndex::new(&statements);
        Ok(Self(Arc::new(Compiled { kind, text: text.into(), statements, index, needs_aliases })))
    }
}

fn check_text(text: &str) -> Result<(), PolicyParseError> {
    if text.len() > PolicyDocument::MAX_LENGTH {
        return Err(PolicyParseError::new(format!("it must have at most {} bytes", PolicyDocument::MAX_LENGTH)));
    }
    let known = |character: char| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{ff}');
    match text.char_indices().find(|(_, character)| !known(*character)) {
        None => Ok(()),
        Some((place, _)) => {
            Err(PolicyParseError::new(format!("the character at byte {place} is not a printable Latin-1 character")))
        }
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
    Err(PolicyParseError::new(format!("must be {}, not '{}'", VERSIONS[0], sanitize_for_error(&version))))
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

/// Two documents are equal if they have the same kind and the same text.
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
