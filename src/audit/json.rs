//! Events as JSON, with the AWS CloudTrail names of the fields that are meaningful inside a
//! process.

use std::io;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::Formatter;

use super::{Action, AuditEvent, Outcome, ParameterValue};
use crate::context::EncryptionContext;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{Locality, PrincipalKind};
use crate::key::KeyArn;

/// The version of the JSON format.
const EVENT_VERSION: &str = "1.0";
const EVENT_SOURCE: &str = "kms.amazonaws.com";
const PARAMETERS_SOURCE: &str = "ssm.amazonaws.com";
const KEY_TYPE: &str = "AWS::KMS::Key";

/// Serializes an event as one JSON object without line breaks.
///
/// Characters that are invisible or change how the surrounding text is displayed are escaped:
/// control characters, line and paragraph separators, bidirectional and other format characters. A
/// terminal therefore displays every line as it is.
///
/// | field | content |
/// |---|---|
/// | `eventVersion` | `1.0`, the version of this format |
/// | `eventTime` | RFC 3339, UTC, milliseconds |
/// | `eventType` | `AwsApiCall`, or `AwsServiceEvent` for automatic actions of the library |
/// | `eventSource`, `eventName` | `kms.amazonaws.com`, or `ssm.amazonaws.com` for parameters; the operation |
/// | `awsRegion` | the region of the `Kms` |
/// | `userIdentity` | `type`, `arn`, `accountId`; `invokedBy` names a service that acts on its own or forwards the call |
/// | `requestID` | the ID of the request, if the handle of the call has one |
/// | `outcome` | `intent`, `success`, `failure`, or `ambiguous` for a change that may or may not have taken effect; for the last two, `errorCode` is the name of the exception and `errorMessage` is its text |
/// | `change` | links the intent of a change to its outcome; only in events about a change |
/// | `readOnly`, `dryRun` | true or false |
/// | `requestParameters` | parameters and encryption context (a repeated name has an array of its values); `keyId` if the request named an alias or no key; `serviceEventDetails` for a service event |
/// | `additionalEventData` | relevant information that was not part of the request, such as the grant that allowed it; omitted if empty |
/// | `resources` | the keys: `accountId`, `type`, `ARN` |
///
/// # Errors
/// - [`Internal`](ErrorKind::Internal) if the event cannot be serialized as JSON, which no event of
///   this crate causes
///
/// # Examples
/// ```
/// use strongroom::Timestamp;
/// use strongroom::audit::{Action, AuditEvent, to_json};
/// use strongroom::identity::{AccountId, Locality, Principal};
/// use strongroom::key::Operation;
///
/// let root = Principal::root(AccountId::default());
/// let event = AuditEvent::new(Timestamp::from_unix_millis(0), Action::Call(Operation::ListKeys), root);
/// let json: serde_json::Value = serde_json::from_str(&to_json(&event, &Locality::default())?)?;
/// assert_eq!(json["eventName"], "ListKeys");
/// assert_eq!(json["eventTime"], "1970-01-01T00:00:00Z");
/// assert_eq!(json["userIdentity"]["arn"], "arn:aws:iam::000000000000:root");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_json(event: &AuditEvent, locality: &Locality) -> Result<String> {
    let mut text = Vec::new();
    let written = Json { event, locality }.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Visible));
    let internal = || Error::new(ErrorKind::Internal, "cannot serialize an audit event as JSON");
    written.map_err(|error| internal().with_source(error))?;
    String::from_utf8(text).map_err(|error| internal().with_source(error))
}

/// A JSON formatter that writes a single line and escapes every invisible character.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((start, hidden)) = rest.char_indices().find(|(_, character)| is_hidden(*character)) {
            writer.write_all(&rest.as_bytes()[..start])?;
            hidden.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            rest = &rest[start + hidden.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Returns `true` for the control characters that JSON does not escape, the two separators, and the
/// characters of category Cf (format) that Unicode 16 gives a function in any text.
const fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

struct Json<'a> {
    event: &'a AuditEvent,
    locality: &'a Locality,
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.event;
        let (event_type, details) = match event.action {
            Action::Call(_)
            | Action::Parameter(_)
            | Action::PutIdentityPolicy
            | Action::GetIdentityPolicy
            | Action::ListIdentityPolicies
            | Action::DeleteIdentityPolicy
            | Action::Authority(_)
            | Action::Unsupported(_)
            | Action::UnsupportedParameter(_) => ("AwsApiCall", "requestParameters"),
            Action::RotateKey
            | Action::DeleteExpiredKeyMaterial
            | Action::DeleteKey
            | Action::CreateServiceKey
            | Action::ExportKey
            | Action::ImportKeys
            | Action::RefuseRequests => ("AwsServiceEvent", "serviceEventDetails"),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("eventVersion", EVENT_VERSION)?;
        map.serialize_entry("eventTime", &Displayed(event.time))?;
        map.serialize_entry("eventType", event_type)?;
        map.serialize_entry("eventSource", source_of(event.action))?;
        map.serialize_entry("eventName", &Displayed(event.action))?;
        map.serialize_entry("awsRegion", self.locality.region())?;
        map.serialize_entry("userIdentity", &Identity(event))?;
        if let Some(id) = &event.request_id {
            map.serialize_entry("requestID", &**id)?;
        }
        map.serialize_entry("outcome", outcome_name(&event.outcome))?;
        if let Outcome::Failure(kind) | Outcome::Ambiguous(kind) = event.outcome {
            map.serialize_entry("errorCode", &Displayed(kind))?;
        }
        if let Some(message) = &event.message {
            map.serialize_entry("errorMessage", message)?;
        }
        if let Some(change) = event.change {
            map.serialize_entry("change", &Displayed(change))?;
        }
        map.serialize_entry("readOnly", &event.read_only())?;
        map.serialize_entry("dryRun", &event.dry_run)?;
        map.serialize_entry(details, &Parameters(event))?;
        if !event.additional.is_empty() {
            map.serialize_entry("additionalEventData", &Pairs(&event.additional))?;
        }
        map.serialize_entry("resources", &Resources { event, locality: self.locality })?;
        map.end()
    }
}

/// Returns the service that performs an action.
const fn source_of(action: Action) -> &'static str {
    match action {
        Action::Parameter(_) | Action::UnsupportedParameter(_) => PARAMETERS_SOURCE,
        _ => EVENT_SOURCE,
    }
}

const fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Intent => "intent",
        Outcome::Success => "success",
        Outcome::Failure(_) => "failure",
        Outcome::Ambiguous(_) => "ambiguous",
    }
}

struct Displayed<T>(T);

impl<T: std::fmt::Display> Serialize for Displayed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Identity<'a>(&'a AuditEvent);

impl Serialize for Identity<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (principal, via) = (&self.0.principal, self.0.via_service.as_ref());
        let (kind, name) = match principal.kind() {
            PrincipalKind::Root => ("Root", "arn"),
            PrincipalKind::User => ("IAMUser", "arn"),
            PrincipalKind::Role | PrincipalKind::AssumedRole => ("AssumedRole", "arn"),
            PrincipalKind::FederatedUser => ("FederatedUser", "arn"),
            PrincipalKind::Service => ("AWSService", "invokedBy"),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", kind)?;
        map.serialize_entry(name, &Displayed(principal))?;
        map.serialize_entry("accountId", principal.account().as_str())?;
        if let Some(service) = via {
            map.serialize_entry("invokedBy", &service.domain())?;
        }
        map.end()
    }
}

struct Parameters<'a>(&'a AuditEvent);

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut map = serializer.serialize_map(None)?;
        event.parameters.iter().try_for_each(|(name, value)| map.serialize_entry(name, &Value(value)))?;
        // Re-encryption has two contexts, for which the API uses different names.
        let name = if event.source_context.is_some() { "destinationEncryptionContext" } else { "encryptionContext" };
        if let Some(context) = &event.context {
            map.serialize_entry(name, &Context(context))?;
        }
        if let Some(context) = &event.source_context {
            map.serialize_entry("sourceEncryptionContext", &Context(context))?;
        }
        map.end()
    }
}

struct Value<'a>(&'a ParameterValue);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ParameterValue::Text(text) => serializer.serialize_str(text),
            ParameterValue::Number(number) => serializer.serialize_u64(*number),
            ParameterValue::Bool(value) => serializer.serialize_bool(*value),
            ParameterValue::Texts(texts) => serializer.collect_seq(texts),
            ParameterValue::Counts(counts) => serializer.collect_map(counts.iter().map(|(name, count)| (name, count))),
            ParameterValue::Pairs(pairs) => {
                let mut map = serializer.serialize_map(None)?;
                for (place, (name, value)) in pairs.iter().enumerate() {
                    // A request that names a tag twice is rejected, but its event still records
                    // this, with each name once.
                    if pairs[..place].iter().any(|(earlier, _)| earlier == name) {
                        continue;
                    }
                    let same = pairs[place + 1..].iter().filter(|(later, _)| later == name).map(|(_, value)| value);
                    let values: Vec<&str> = std::iter::once(value).chain(same).map(AsRef::as_ref).collect();
                    match values[..] {
                        [value] => map.serialize_entry(name, value)?,
                        _ => map.serialize_entry(name, &values)?,
                    }
                }
                map.end()
            }
        }
    }
}

struct Pairs<'a>(&'a [(&'static str, ParameterValue)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Value(value))))
    }
}

struct Context<'a>(&'a EncryptionContext);

impl Serialize for Context<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

struct Resources<'a> {
    event: &'a AuditEvent,
    locality: &'a Locality,
}

impl Serialize for Resources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.event.keys.iter().flatten().map(|key| Resource {
            account: key.account.as_str(),
            arn: KeyArn::new(self.locality.clone(), key.account, key.key_id),
        }))
    }
}

struct Resource<'a> {
    account: &'a str,
    arn: KeyArn,
}

impl Serialize for Resource<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("accountId", self.account)?;
        map.serialize_entry("type", KEY_TYPE)?;
        map.serialize_entry("ARN", &Displayed(&self.arn))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{ChangeId, KeyResource};
    use crate::clock::Timestamp;
    use crate::identity::{AccountId, Principal, ServiceName};
    use crate::key::{KeyId, Operation};

    #[test]
    fn every_field_of_an_event_is_in_its_json() -> Result<(), Box<dyn std::error::Error>> {
        let account = AccountId::parse("111122223333")?;
        let key_id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab")?;
        let principal = Principal::user(account, "alice")?;
        let mut event =
            AuditEvent::new(Timestamp::from_unix_millis(1_234), Action::Call(Operation::ReEncryptTo), principal);
        event.via_service = Some(ServiceName::parse("s3")?);
        event.request_id = Some("5a1f-\"1\"".into());
        event.message = Some("the key is disabled".into());
        event.additional = vec![("grantId", "00".into()), ("count", 2_u32.into())];
        event.outcome = Outcome::Failure(ErrorKind::Disabled);
        event.change = Some(ChangeId(*b"0123456789abcdef"));
        event.keys[0] = Some(KeyResource { account, key_id });
        event.context = Some(EncryptionContext::from([("line\n", "\"quoted\"")]));
        event.source_context = Some(EncryptionContext::from([("a", "b")]));
        event.parameters = vec![
            ("keySpec", "AES_256".into()),
            ("numberOfBytes", 32_u32.into()),
            ("bypass", true.into()),
            ("operations", ParameterValue::texts(["Encrypt", "Decrypt"])),
            ("tags", ParameterValue::pairs([("team", "one")])),
        ];
        let text = to_json(&event, &Locality::new("aws", "eu-central-1")?)?;
        assert!(!text.contains('\n'), "{text}");
        let expected = serde_json::json!({
            "eventVersion": "1.0", "eventTime": "1970-01-01T00:00:01.234Z", "eventType": "AwsApiCall",
            "eventSource": "kms.amazonaws.com", "eventName": Operation::ReEncryptTo.api_name(),
            "awsRegion": "eu-central-1",
            "userIdentity": {
                "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/alice", "accountId": "111122223333",
                "invokedBy": "s3.amazonaws.com"
            },
            "requestID": "5a1f-\"1\"", "outcome": "failure", "errorCode": "DisabledException",
            "errorMessage": "the key is disabled", "additionalEventData": {"grantId": "00", "count": 2}, "change": "30313233343536373839616263646566",
            "readOnly": true, "dryRun": false,
            "requestParameters": {
                "keySpec": "AES_256", "numberOfBytes": 32, "bypass": true, "operations": ["Encrypt", "Decrypt"], "tags": {"team": "one"},
                "destinationEncryptionContext": {"line\n": "\"quoted\""}, "sourceEncryptionContext": {"a": "b"}
            },
            "resources": [{
                "accountId": "111122223333", "type": "AWS::KMS::Key",
                "ARN": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
            }]
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text)?, expected);
        Ok(())
    }

    fn with_parameter(value: ParameterValue) -> Result<String> {
        let principal = Principal::root(AccountId::default());
        let mut event =
            AuditEvent::new(Timestamp::from_unix_millis(0), Action::Call(Operation::TagResource), principal);
        event.parameters = vec![("tags", value)];
        to_json(&event, &Locality::default())
    }

    #[test]
    fn characters_that_do_not_show_are_escaped_and_come_back() -> Result<(), Box<dyn std::error::Error>> {
        let hidden: String = ('\0'..=char::MAX).filter(|character| is_hidden(*character)).collect();
        for expected in
            ['\u{7f}', '\u{85}', '\u{9b}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}', '\u{e0041}']
        {
            assert!(hidden.contains(expected), "{expected:?}");
        }
        let text = format!("é{hidden}🔑 \"\\\n{hidden}");
        let written = with_parameter(ParameterValue::pairs([(text.clone(), text.clone())]))?;
        assert!(!written.chars().any(|character| character.is_control() || is_hidden(character)), "{written}");
        assert!(
            written.contains("é\\u007f") && written.contains("🔑") && written.contains("\\udb40\\udc41"),
            "{written}"
        );
        let read: serde_json::Value = serde_json::from_str(&written)?;
        assert_eq!(read["requestParameters"]["tags"][&text], serde_json::Value::String(text));
        Ok(())
    }

    #[test]
    fn a_name_that_is_given_twice_stands_once_in_the_json() -> Result<(), Box<dyn std::error::Error>> {
        let pairs = ParameterValue::pairs([("a", "1"), ("b", "2"), ("a", "3"), ("a", "1")]);
        let written = with_parameter(pairs)?;
        assert!(written.contains(r#""tags":{"a":["1","3","1"],"b":"2"}"#), "{written}");
        Ok(())
    }

    #[test]
    fn a_service_event_has_details_instead_of_parameters() -> Result<(), Box<dyn std::error::Error>> {
        let principal = Principal::root(AccountId::default());
        let mut event = AuditEvent::new(Timestamp::from_unix_millis(0), Action::DeleteKey, principal);
        event.parameters = vec![("keyOrigin", "AWS_KMS".into())];
        let json: serde_json::Value = serde_json::from_str(&to_json(&event, &Locality::default())?)?;
        assert_eq!(json["eventType"], "AwsServiceEvent");
        assert_eq!(json["serviceEventDetails"]["keyOrigin"], "AWS_KMS");
        assert_eq!(json.get("requestParameters"), None);
        Ok(())
    }
}
