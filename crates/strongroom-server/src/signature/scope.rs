//! The scope of a signature: `<access key>/<date>/<Region>/<service>/aws4_request`.

use super::refusal::Refusal;

/// The Region and service for which a request must be signed.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    region: &'a str,
    service: &'a str,
}

impl<'a> Expected<'a> {
    /// Creates the expectation.
    pub const fn new(region: &'a str, service: &'a str) -> Self {
        Self { region, service }
    }

    /// Returns the Region.
    pub const fn region(&self) -> &'a str {
        self.region
    }

    /// Returns the service.
    pub const fn service(&self) -> &'a str {
        self.service
    }
}

/// The maximum length of an access key ID, as in AWS.
const MAX_ACCESS_KEY_ID: usize = 128;
const TERMINATOR: &str = "aws4_request";

/// A parsed credential with its scope.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) access_key_id: String,
    date: String,
    region: String,
    service: String,
    terminator: String,
}

impl Scope {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let parts: Vec<&str> = text.split('/').collect();
        let [access_key_id, date, region, service, terminator] = parts[..] else {
            return Err(Refusal::incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, which the request does not have",
            ));
        };
        let is_known = access_key_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if access_key_id.is_empty() || access_key_id.len() > MAX_ACCESS_KEY_ID || !is_known {
            return Err(Refusal::incomplete("The access key ID in the request is malformed."));
        }
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            terminator: terminator.to_owned(),
        })
    }

    /// Checks the scope against the expected one and the date of the request.
    pub(super) fn check(&self, expected: &Expected<'_>, date_time: &str) -> Result<(), Refusal> {
        if self.terminator != TERMINATOR {
            return Err(Refusal::invalid(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}'."
            )));
        }
        if self.service != expected.service {
            return Err(Refusal::invalid(format!(
                "Credential should be scoped to correct service: '{}'.",
                expected.service
            )));
        }
        if self.region != expected.region {
            return Err(Refusal::invalid(format!(
                "Credential should be scoped to a valid region: this endpoint is in '{}'.",
                expected.region
            )));
        }
        match date_time.get(..8) {
            Some(date) if date == self.date => Ok(()),
            _ => Err(Refusal::invalid(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
            )),
        }
    }
}
