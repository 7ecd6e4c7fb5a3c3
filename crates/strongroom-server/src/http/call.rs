//! A call on a worker: authentication, and the operation.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use hyper::StatusCode;
use hyper::http::request::Parts;
use strongroom::{Kms, wire};
use zeroize::Zeroizing;

use super::answer::{Answer, Protocol};
use super::budget::Share;
use super::state::State;
use crate::signature::{Expected, Refusal, RefusalKind, SignedRequest, verify};
use crate::sts;

const TARGET_PREFIX: &str = "TrentService.";
/// The prefix of targets of the parameter store.
const PARAMETERS_PREFIX: &str = "AmazonSSM.";

/// A complete request.
pub(super) struct Call {
    pub(super) protocol: Protocol,
    pub(super) parts: Parts,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) peer: IpAddr,
    pub(super) request_id: String,
    /// The memory of the body.
    pub(super) _share: Share,
}

/// The party that signed a request.
struct Caller {
    access_key_id: Option<String>,
    handle: Kms,
}

impl Call {
    /// Authenticates the request and performs its operation. Blocks.
    pub(super) fn run(&self, state: &Arc<State>) -> Answer {
        let id = &self.request_id;
        let mut answer = match self.authenticate(state) {
            Err(refusal) => {
                let named = refusal.access_key_id().filter(|id| state.keys.current().find(id).is_some());
                state.refusals.count(refusal.kind().exception(), named, self.peer);
                Answer::refusal(self.protocol, &refusal, id)
            }
            Ok(caller) => {
                let mut answer = match caller.handle.with_request_id(id) {
                    Ok(handle) => self.perform(&handle),
                    Err(error) => Answer::failure(self.protocol, self.failure_name(), &error.to_string(), id),
                };
                answer.access_key_id = caller.access_key_id;
                answer.principal = Some(caller.handle.principal().to_string());
                answer
            }
        };
        answer.operation = self.operation();
        answer
    }

    fn authenticate(&self, state: &State) -> Result<Caller, Refusal> {
        let service = match self.protocol {
            Protocol::Json if self.parameter_operation().is_some() => "ssm",
            Protocol::Json => "kms",
            Protocol::Query => "sts",
        };
        let request = SignedRequest::new(&self.parts.method, &self.parts.uri, &self.parts.headers, &self.body);
        let keys = state.keys.current();
        let verified = verify(&request, &Expected::new(&state.region, service), &keys, SystemTime::now());
        match (verified, &state.unsigned) {
            (Ok(key), _) => Ok(Caller { access_key_id: Some(key.id().to_owned()), handle: key.handle().clone() }),
            (Err(refusal), Some(root)) if is_without_key(&refusal) && self.is_sent_to_this_machine() => {
                Ok(Caller { access_key_id: None, handle: root.clone() })
            }
            (Err(refusal), _) => Err(refusal),
        }
    }

    fn perform(&self, handle: &Kms) -> Answer {
        match self.protocol {
            Protocol::Json => Answer::of_kms(match self.parameter_operation() {
                Some(operation) => wire::call_parameters(handle, operation, &self.body),
                None => wire::call(handle, &self.target(), &self.body),
            }),
            Protocol::Query => match sts::call(self.form(), handle.principal(), &self.request_id) {
                sts::Outcome::Answer(xml) => Answer::xml(xml),
                sts::Outcome::Error(code, text) => {
                    Answer::exception(Protocol::Query, StatusCode::BAD_REQUEST, code, &text, &self.request_id)
                }
            },
        }
    }

    /// Returns the name of the operation in the header `X-Amz-Target`. A name of another API is
    /// returned completely, so that it is unknown.
    fn target(&self) -> String {
        let target = self.target_header();
        target.strip_prefix(TARGET_PREFIX).unwrap_or(target).to_owned()
    }

    /// Returns the name of the operation of the parameter store, if the header has one.
    fn parameter_operation(&self) -> Option<&str> {
        self.target_header().strip_prefix(PARAMETERS_PREFIX)
    }

    /// Returns the name of the exception with which the service of the call reports a failure of its own.
    pub(super) fn failure_name(&self) -> &'static str {
        match self.protocol {
            Protocol::Json if self.parameter_operation().is_some() => "InternalServerError",
            Protocol::Json => "KMSInternalException",
            Protocol::Query => "InternalFailure",
        }
    }

    fn target_header(&self) -> &str {
        self.parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn form(&self) -> &[u8] {
        if self.body.is_empty() { self.parts.uri.query().unwrap_or_default().as_bytes() } else { &self.body }
    }

    /// Returns the operation for the log, shortened, because an unknown one is text of the client.
    fn operation(&self) -> Option<String> {
        const MAX_CHARACTERS: usize = 64;
        let name = match self.protocol {
            Protocol::Json => Some(self.target()).filter(|name| !name.is_empty()),
            Protocol::Query => sts::action(self.form()),
        };
        let is_short = |name: &str| name.len() <= MAX_CHARACTERS && name.bytes().all(|byte| byte.is_ascii_graphic());
        name.map(|name| match is_short(&name) {
            true => name,
            false => name.chars().filter(char::is_ascii_graphic).take(MAX_CHARACTERS).collect(),
        })
    }

    /// Returns `true` if the client used a name of the local machine, and is not a web page. Pages of
    /// other origins cannot otherwise be kept out, because browsers run on the same machine.
    fn is_sent_to_this_machine(&self) -> bool {
        let host = self.parts.headers.get("host").and_then(|host| host.to_str().ok());
        let authority = host.map(str::to_owned).or_else(|| self.parts.uri.authority().map(ToString::to_string));
        !self.parts.headers.contains_key("origin") && authority.as_deref().is_some_and(is_local)
    }
}

fn is_without_key(refusal: &Refusal) -> bool {
    matches!(refusal.kind(), RefusalKind::MissingAuthenticationToken | RefusalKind::UnrecognizedClient)
}

fn is_local(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<hyper::http::uri::Authority>() else { return false };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;
    use crate::http::budget::Budget;
    use crate::http::limits::Limits;

    #[test]
    fn a_failure_has_the_name_that_its_service_uses() {
        let name = |protocol, target: &str| {
            let request = Request::builder().header("x-amz-target", target).body(()).expect("a valid request");
            let call = Call {
                protocol,
                parts: request.into_parts().0,
                body: Zeroizing::default(),
                peer: IpAddr::from([127, 0, 0, 1]),
                request_id: String::new(),
                _share: Budget::new(&Limits::default()).request().expect("memory for one request"),
            };
            call.failure_name()
        };
        assert_eq!(name(Protocol::Json, "TrentService.Encrypt"), "KMSInternalException");
        assert_eq!(name(Protocol::Json, "AmazonSSM.GetParameter"), "InternalServerError");
        assert_eq!(name(Protocol::Query, ""), "InternalFailure");
    }
}
