//! The steps of a verification.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest, SignatureLocation,
    SigningParams, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use subtle::ConstantTimeEq;

use super::headers::SignedRequest;
use super::presented::{Place, Presented};
use super::refusal::{Refusal, RefusalKind};
use super::scope::Expected;
use super::{authorization, payload, presigned};
use crate::credentials::{AccessKey, AccessKeys};

/// The secret that is used for unknown access keys. No access key has it: it has 41 characters.
const NO_SECRET: &str = "00000000000000000000000000000000000000000";

/// Returns `true` if the query of a request contains a signature.
pub fn is_presigned(query: Option<&str>) -> bool {
    query.is_some_and(presigned::is_signed)
}

/// Verifies the signature of a request, and returns the access key that signed it.
///
/// # Errors
/// - [`MissingAuthenticationToken`](RefusalKind::MissingAuthenticationToken) if the request is not
///   signed.
/// - [`IncompleteSignature`](RefusalKind::IncompleteSignature) if the signature is malformed or
///   does not cover everything that it must cover.
/// - [`InvalidSignature`](RefusalKind::InvalidSignature) if the signature is wrong, for another
///   Region or service, or if its time is more than 5 minutes from `now`.
/// - [`UnrecognizedClient`](RefusalKind::UnrecognizedClient) if the access key or its session token
///   is unknown.
/// - [`ExpiredToken`](RefusalKind::ExpiredToken) if the access key has expired.
pub fn verify<'k>(
    request: &SignedRequest<'_>,
    expected: &Expected<'_>,
    keys: &'k AccessKeys,
    now: SystemTime,
) -> Result<&'k AccessKey, Refusal> {
    let presented = parse(request)?;
    check(request, &presented, expected, keys, now).map_err(|refusal| refusal.naming(&presented.scope.access_key_id))
}

fn check<'k>(
    request: &SignedRequest<'_>,
    presented: &Presented,
    expected: &Expected<'_>,
    keys: &'k AccessKeys,
    now: SystemTime,
) -> Result<&'k AccessKey, Refusal> {
    if request.uri().path() != "/" {
        return Err(Refusal::incomplete("The path of a request must be '/'."));
    }
    presented.scope.check(expected, &presented.date.text)?;
    match &presented.place {
        Place::Header => presented.date.check_skew(now)?,
        Place::Query { expires, .. } => presented.date.check_presigned(now, *expires)?,
    }
    payload::check(request)?;
    let headers = request.covered_by(presented)?;

    let key = keys.find(&presented.scope.access_key_id);
    let secret = key.map_or(NO_SECRET, AccessKey::expose_secret);
    let computed = sign_again(request, presented, &headers, expected, secret)?;
    let is_signed = bool::from(computed.as_bytes().ct_eq(presented.signature.as_bytes()));
    match key {
        None => Err(Refusal::unrecognized()),
        Some(_) if !is_signed => Err(Refusal::mismatch()),
        Some(key) if !key.has_token(presented.token.as_deref()) => Err(Refusal::unrecognized()),
        Some(key) if key.is_expired(now) => {
            Err(Refusal::new(RefusalKind::ExpiredToken, "The security token included in the request is expired"))
        }
        Some(key) => Ok(key),
    }
}

fn parse(request: &SignedRequest<'_>) -> Result<Presented, Refusal> {
    if is_presigned(request.uri().query()) {
        presigned::parse(request)
    } else if request.headers().contains_key("authorization") {
        authorization::parse(request)
    } else {
        Err(Refusal::new(RefusalKind::MissingAuthenticationToken, "Missing Authentication Token"))
    }
}

/// Returns the signature that the request must have.
fn sign_again(
    request: &SignedRequest<'_>,
    presented: &Presented,
    headers: &[(&str, &str)],
    expected: &Expected<'_>,
    secret: &str,
) -> Result<String, Refusal> {
    let identity: Identity = Credentials::new(
        presented.scope.access_key_id.as_str(),
        secret,
        presented.token.clone(),
        None,
        "strongroom-server",
    )
    .into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Double;
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.session_token_mode = SessionTokenMode::Include;
    settings.excluded_headers = None;
    let target = match &presented.place {
        Place::Header => "/".to_owned(),
        Place::Query { expires, rest } => {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(*expires);
            if rest.is_empty() { "/".to_owned() } else { format!("/?{rest}") }
        }
    };
    let unsignable = || Refusal::incomplete("The request cannot be signed.");
    let params: SigningParams<'_> = v4::SigningParams::builder()
        .identity(&identity)
        .region(expected.region())
        .name(expected.service())
        .time(presented.date.time)
        .settings(settings)
        .build()
        .map_err(|_| unsignable())?
        .into();
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new(request.method().as_str(), target, headers.iter().copied(), body)
        .map_err(|_| unsignable())?;
    let (_, signature) = sign(signable, &params).map_err(|_| unsignable())?.into_parts();
    Ok(signature)
}
