//! The request whose signature is verified, and the headers that a signature must cover.

use std::fmt;

use hyper::{HeaderMap, Method, Uri};

use super::presented::{Place, Presented};
use super::refusal::Refusal;

/// A complete request.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    body: &'a [u8],
}

impl fmt::Debug for SignedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest").field("method", self.method).finish_non_exhaustive()
    }
}

impl<'a> SignedRequest<'a> {
    /// Creates a request from its parts. The URI may be relative.
    pub const fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        Self { method, uri, headers, body }
    }

    pub(super) const fn method(&self) -> &'a Method {
        self.method
    }

    pub(super) const fn uri(&self) -> &'a Uri {
        self.uri
    }

    pub(super) const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    pub(super) const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Returns the value of a header, or `None` if it is missing. A repeated header is refused.
    pub(super) fn single(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next();
        if values.next().is_some() {
            return Err(Refusal::incomplete(format!("The header '{name}' must not be repeated.")));
        }
        let text = |value: &'a hyper::header::HeaderValue| {
            value
                .to_str()
                .map_err(|_| Refusal::incomplete(format!("The header '{name}' must consist of ASCII characters.")))
        };
        first.map(text).transpose()
    }

    /// Returns the host: the header `Host`, or the authority of HTTP/2. If both exist, they are
    /// equal.
    fn host(&self) -> Result<&'a str, Refusal> {
        let authority = self.uri.authority().map(hyper::http::uri::Authority::as_str);
        match (self.single("host")?, authority) {
            (Some(host), Some(authority)) if host != authority => {
                Err(Refusal::incomplete("The header 'Host' contradicts the authority of the request."))
            }
            (Some(host), _) | (None, Some(host)) => Ok(host),
            (None, None) => Err(Refusal::incomplete("The request has no host.")),
        }
    }

    /// Returns the headers that the signer must sign. It inserts the date and the token itself.
    pub(super) fn covered_by<'p>(&'p self, presented: &'p Presented) -> Result<Vec<(&'p str, &'p str)>, Refusal> {
        let is_in_header = matches!(presented.place, Place::Header);
        for name in self.headers.keys().map(hyper::header::HeaderName::as_str) {
            if must_be_signed(name, is_in_header) && !presented.signed_headers.iter().any(|signed| signed == name) {
                return Err(Refusal::incomplete(format!("The header '{name}' must be signed.")));
            }
        }
        let mut covered: Vec<(&str, &str)> = Vec::with_capacity(presented.signed_headers.len());
        for name in &presented.signed_headers {
            let missing = || Refusal::incomplete(format!("The signed header '{name}' is missing from the request."));
            if name == "host" {
                covered.push((name, self.host()?));
                continue;
            }
            let value = self.single(name)?.ok_or_else(missing)?;
            if !(is_in_header && INSERTED.contains(&name.as_str())) {
                covered.push((name, value));
            }
        }
        let has = |name: &str| presented.signed_headers.iter().any(|signed| signed == name);
        if !has("host") || (is_in_header && !has("x-amz-date")) {
            return Err(Refusal::incomplete("'Host' and 'X-Amz-Date' must be signed."));
        }
        Ok(covered)
    }
}

/// Headers that the signer inserts if the signature is in a header.
const INSERTED: [&str; 2] = ["x-amz-date", "x-amz-security-token"];

/// Returns `true` for headers on which the server acts. Presigned requests cannot sign
/// `x-amz-user-agent` and `x-amz-checksum-mode`, which it ignores.
fn must_be_signed(name: &str, is_in_header: bool) -> bool {
    let is_ignored = matches!(name, "x-amz-user-agent" | "x-amz-checksum-mode");
    matches!(name, "content-type" | "content-encoding") || (name.starts_with("x-amz-") && (is_in_header || !is_ignored))
}
