//! Signatures in the header `Authorization`.

use super::headers::SignedRequest;
use super::presented::{ALGORITHM, Place, Presented, check_signature, check_token, split_signed_headers};
use super::refusal::Refusal;
use super::scope::Scope;
use super::time::RequestDate;

/// Parses the header `Authorization`, and the headers with the date and the session token.
pub(super) fn parse(request: &SignedRequest<'_>) -> Result<Presented, Refusal> {
    if request.uri().query().is_some() {
        return Err(Refusal::incomplete("A request with a signature in its headers must not have a query."));
    }
    let header = request.single("authorization")?.unwrap_or_default();
    let Some(components) = header.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' ')) else {
        return Err(Refusal::incomplete(format!("Authorization header requires the algorithm '{ALGORITHM}'.")));
    };
    let [mut credential, mut signed_headers, mut signature] = [None, None, None];
    for component in components.split(',') {
        let (name, value) = component
            .trim_start_matches(' ')
            .split_once('=')
            .ok_or_else(|| Refusal::incomplete("Authorization header contains a component that is not a pair."))?;
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return Err(Refusal::incomplete("Authorization header contains an unknown parameter.")),
        };
        if place.replace(value).is_some() {
            return Err(Refusal::incomplete(format!("Authorization header contains '{name}' twice.")));
        }
    }
    let required = |name: &str, value: Option<&str>| {
        value
            .map(str::to_owned)
            .ok_or_else(|| Refusal::incomplete(format!("Authorization header requires '{name}' parameter.")))
    };
    let date = request
        .single("x-amz-date")?
        .ok_or_else(|| Refusal::incomplete("Authorization header requires existence of an 'X-Amz-Date' header."))?;
    Ok(Presented {
        scope: Scope::parse(&required("Credential", credential)?)?,
        signed_headers: split_signed_headers(&required("SignedHeaders", signed_headers)?)?,
        signature: check_signature(&required("Signature", signature)?)?,
        date: RequestDate::parse(date)?,
        token: request.single("x-amz-security-token")?.map(check_token).transpose()?,
        place: Place::Header,
    })
}
