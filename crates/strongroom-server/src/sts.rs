//! The operation `GetCallerIdentity` of AWS STS, with which clients test their credentials.
//!
//! Query protocol, version 2011-06-15: the parameters are a form or the query, and the answer is XML
//! in the namespace `https://sts.amazonaws.com/doc/2011-06-15/`.

use strongroom::identity::{Principal, PrincipalKind};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const VERSION: &str = "2011-06-15";

/// The answer to a form, or the reason why there is none.
pub(crate) enum Outcome {
    /// The XML to send.
    Answer(String),
    /// An error code and its text.
    Error(&'static str, String),
}

/// Returns the `Action` of a form, for the log.
pub(crate) fn action(form: &[u8]) -> Option<String> {
    parameter(form, "Action")
}

fn parameter(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// Performs the action of a form as a principal.
pub(crate) fn call(form: &[u8], principal: &Principal, request_id: &str) -> Outcome {
    match (action(form).as_deref(), parameter(form, "Version").as_deref()) {
        (None, _) => Outcome::Error("MissingAction", "The request must contain the parameter Action.".to_owned()),
        (Some("GetCallerIdentity"), Some(VERSION)) => Outcome::Answer(identity(principal, request_id)),
        (Some(_), _) => {
            let text = format!("The server only supports the action GetCallerIdentity in version {VERSION} of STS.");
            Outcome::Error("InvalidAction", text)
        }
    }
}

fn identity(principal: &Principal, request_id: &str) -> String {
    let account = principal.account();
    let user_id = match principal.kind() {
        PrincipalKind::Root => account.as_str(),
        _ => principal.name().unwrap_or_default(),
    };
    format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\">\n  <GetCallerIdentityResult>\n    <Arn>{}</Arn>\n    \
         <UserId>{}</UserId>\n    <Account>{account}</Account>\n  </GetCallerIdentityResult>\n  \
         <ResponseMetadata>\n    <RequestId>{}</RequestId>\n  </ResponseMetadata>\n</GetCallerIdentityResponse>\n",
        escaped(&principal.to_string()),
        escaped(user_id),
        escaped(request_id)
    )
}

/// Returns an error in the form of the query protocol.
pub(crate) fn error(is_fault_of_server: bool, code: &str, message: &str, request_id: &str) -> String {
    let side = if is_fault_of_server { "Receiver" } else { "Sender" };
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\">\n  <Error>\n    <Type>{side}</Type>\n    <Code>{}</Code>\n    \
         <Message>{}</Message>\n  </Error>\n  <RequestId>{}</RequestId>\n</ErrorResponse>\n",
        escaped(code),
        escaped(message),
        escaped(request_id)
    )
}

/// Escapes the characters that are special in XML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            other => escaped.push(other),
        }
    }
    escaped
}
