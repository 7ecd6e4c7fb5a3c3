//! The payload: a signature must cover the complete body.

use sha2::{Digest, Sha256};

use super::headers::SignedRequest;
use super::refusal::Refusal;

/// Checks that the headers do not describe a body that the signature does not cover.
pub(super) fn check(request: &SignedRequest<'_>) -> Result<(), Refusal> {
    if request.single("content-encoding")?.is_some_and(|encoding| encoding != "identity") {
        return Err(Refusal::incomplete(
            "The body must not have a Content-Encoding: compressed and 'aws-chunked' bodies are not supported.",
        ));
    }
    let Some(stated) = request.single("x-amz-content-sha256")? else { return Ok(()) };
    if stated == "UNSIGNED-PAYLOAD" || stated.starts_with("STREAMING-") {
        return Err(Refusal::incomplete(
            "The signature must cover the body: unsigned and streamed payloads are not supported.",
        ));
    }
    if stated == base16ct::lower::encode_string(&Sha256::digest(request.body())) {
        Ok(())
    } else {
        Err(Refusal::invalid("The provided 'x-amz-content-sha256' header does not match what was computed."))
    }
}
