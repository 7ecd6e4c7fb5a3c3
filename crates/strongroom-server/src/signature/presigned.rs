//! Signatures in the query of a presigned request.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::headers::SignedRequest;
use super::presented::{ALGORITHM, Place, Presented, check_signature, check_token, split_signed_headers};
use super::refusal::Refusal;
use super::scope::Scope;
use super::time::RequestDate;

/// The longest lifetime of a presigned request, as in AWS: seven days.
const MAX_EXPIRES: u64 = 7 * 24 * 60 * 60;
/// The maximum number of parameters.
const MAX_PARAMETERS: usize = 32;

const PARAMETERS: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// Returns `true` if the query contains a signature.
pub(super) fn is_signed(query: &str) -> bool {
    query.split('&').any(|parameter| PARAMETERS.iter().any(|name| parameter.starts_with(name)))
}

/// Parses the query.
pub(super) fn parse(request: &SignedRequest<'_>) -> Result<Presented, Refusal> {
    if request.headers().contains_key("authorization") {
        return Err(Refusal::incomplete("A request must have one signature: in its headers or in its query."));
    }
    let query = Query::parse(request.uri().query().unwrap_or_default())?;
    if query.required("X-Amz-Algorithm")? != ALGORITHM {
        return Err(Refusal::incomplete(format!("X-Amz-Algorithm must be '{ALGORITHM}'.")));
    }
    let expires = query.required("X-Amz-Expires")?;
    // The signer writes the number without leading zeros.
    let is_valid = |seconds: &u64| (1..=MAX_EXPIRES).contains(seconds) && seconds.to_string() == expires;
    let seconds = expires
        .parse()
        .ok()
        .filter(is_valid)
        .ok_or_else(|| Refusal::incomplete(format!("X-Amz-Expires must be 1 to {MAX_EXPIRES} seconds.")))?;
    Ok(Presented {
        scope: Scope::parse(query.required("X-Amz-Credential")?)?,
        signed_headers: split_signed_headers(query.required("X-Amz-SignedHeaders")?)?,
        signature: check_signature(query.required("X-Amz-Signature")?)?,
        date: RequestDate::parse(query.required("X-Amz-Date")?)?,
        token: query.value("X-Amz-Security-Token").map(check_token).transpose()?,
        place: Place::Query { expires: Duration::from_secs(seconds), rest: query.rest() },
    })
}

/// A query whose encoding is the only possible one.
struct Query<'a> {
    parameters: Vec<Parameter<'a>>,
}

struct Parameter<'a> {
    encoded: &'a str,
    name: String,
    value: String,
}

impl<'a> Query<'a> {
    fn parse(query: &'a str) -> Result<Self, Refusal> {
        let mut parameters: Vec<Parameter<'a>> = Vec::new();
        for encoded in query.split('&') {
            let (name, value) = encoded
                .split_once('=')
                .ok_or_else(|| Refusal::incomplete("The query contains a parameter without a value."))?;
            let (name, value) = (decode(name)?, decode(value)?);
            if parameters.len() == MAX_PARAMETERS || parameters.iter().any(|other| other.name == name) {
                return Err(Refusal::incomplete("The query contains a parameter twice, or too many parameters."));
            }
            parameters.push(Parameter { encoded, name, value });
        }
        Ok(Self { parameters })
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.value.as_str())
    }

    fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.value(name).ok_or_else(|| Refusal::incomplete(format!("The query requires the parameter '{name}'.")))
    }

    /// Returns the parameters that are not part of the signature, as they were sent.
    fn rest(&self) -> String {
        let others = self.parameters.iter().filter(|parameter| !PARAMETERS.contains(&parameter.name.as_str()));
        others.map(|parameter| parameter.encoded).collect::<Vec<_>>().join("&")
    }
}

/// Decodes a name or value. Rejects every encoding except the one that signers use: all bytes but
/// unreserved characters (RFC 3986, section 2.3) as `%XX` in upper case.
fn decode(text: &str) -> Result<String, Refusal> {
    let malformed = || Refusal::incomplete("The query is not percent-encoded as Signature Version 4 requires.");
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| malformed())?.into_owned();
    if encode(&decoded) == text { Ok(decoded) } else { Err(malformed()) }
}

fn encode(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}
