//! A signature as a request presents it.

use std::time::Duration;

use super::refusal::Refusal;
use super::scope::Scope;
use super::time::RequestDate;

/// The name of the algorithm.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The length of a signature, in hexadecimal digits.
pub(super) const SIGNATURE_CHARACTERS: usize = 64;
/// The maximum length of a session token, in characters.
const MAX_TOKEN: usize = 8_192;

/// The place of a signature.
#[derive(Debug)]
pub(super) enum Place {
    /// The header `Authorization`.
    Header,
    /// The query. Contains the parameters that are not part of the signature, still encoded.
    Query { expires: Duration, rest: String },
}

/// A signature and everything that is needed to compute it again.
pub(super) struct Presented {
    pub(super) scope: Scope,
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: String,
    pub(super) date: RequestDate,
    pub(super) token: Option<String>,
    pub(super) place: Place,
}

/// Checks the form of a signature.
pub(super) fn check_signature(text: &str) -> Result<String, Refusal> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == SIGNATURE_CHARACTERS && text.bytes().all(is_digit) {
        Ok(text.to_owned())
    } else {
        Err(Refusal::incomplete("Signature must be 64 hexadecimal digits in lower case."))
    }
}

/// Splits the list of signed headers. It must be sorted and in lower case, without repetitions.
pub(super) fn split_signed_headers(text: &str) -> Result<Vec<String>, Refusal> {
    let names: Vec<String> = text.split(';').map(str::to_owned).collect();
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(is_known);
    if names.iter().all(is_name) && names.is_sorted_by(|one, next| one < next) {
        Ok(names)
    } else if names.iter().any(|name| name == ":authority") {
        let text = "SignedHeaders must contain 'host' instead of ':authority'. Use HTTP/1.1 with this client.";
        Err(Refusal::incomplete(text))
    } else {
        Err(Refusal::incomplete("SignedHeaders must be names in lower case, sorted and without repetitions."))
    }
}

/// Checks the form of a session token.
pub(super) fn check_token(text: &str) -> Result<String, Refusal> {
    if (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(Refusal::unrecognized())
    }
}
