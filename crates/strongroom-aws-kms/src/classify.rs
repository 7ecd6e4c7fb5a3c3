//! Turns errors of the official client into failures.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;

use crate::error::{AwsKmsError, AwsKmsFailure};

/// Limits the walk along a chain of causes.
const LONGEST_CHAIN: usize = 64;

/// A call that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedCall<'a> {
    pub(crate) operation: &'static str,
    /// The key that the request named.
    pub(crate) key: &'a str,
    /// The Region in the name of the key.
    pub(crate) key_region: Option<&'a str>,
    pub(crate) client_region: Option<&'a str>,
}

impl FailedCall<'_> {
    /// Returns the failure for an error of the client.
    pub(crate) fn classify<E>(&self, error: &SdkError<E, HttpResponse>) -> AwsKmsError
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let failed = |failure| AwsKmsError::new(failure, self.operation, self.key);
        let local = |failure| failed(failure).with_detail(&causes(error));
        match error {
            _ if lacks_credentials(error) => local(AwsKmsFailure::Credentials),
            SdkError::TimeoutError(_) => failed(AwsKmsFailure::TimedOut),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => failed(AwsKmsFailure::TimedOut),
            SdkError::DispatchFailure(_) => local(AwsKmsFailure::Unreachable),
            SdkError::ConstructionFailure(_) => local(AwsKmsFailure::Rejected),
            SdkError::ResponseError(response) => failed(unparsed(response.raw().status().as_u16())),
            SdkError::ServiceError(service) => {
                let (metadata, status) = (service.err().meta(), service.raw().status().as_u16());
                let (code, message) = (metadata.code(), metadata.message().unwrap_or_default());
                let failure = code.map_or_else(|| unparsed(status), |code| self.exception(code, message, status));
                let error = failed(failure).with_code(code, metadata.request_id());
                // The text of a rejected request may contain its values, also those of the context.
                if failure == AwsKmsFailure::Rejected { error } else { error.with_detail(message) }
            }
            _ => local(AwsKmsFailure::Unreachable),
        }
    }

    fn exception(&self, code: &str, message: &str, status: u16) -> AwsKmsFailure {
        match code {
            "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException" => AwsKmsFailure::Throttled,
            "KMSInternalException"
            | "DependencyTimeoutException"
            | "KeyUnavailableException"
            | "InternalFailure"
            | "InternalServerError"
            | "ServiceUnavailable"
            | "ServiceUnavailableException" => AwsKmsFailure::ServiceFault,
            "AccessDeniedException" | "AccessDenied" | "NotAuthorizedException" | "UnauthorizedOperation" => {
                AwsKmsFailure::AccessDenied
            }
            // The signature names the Region of the client, and the endpoint is in another.
            "InvalidSignatureException" | "SignatureDoesNotMatch" | "IncompleteSignatureException"
                if message.contains("scoped to a valid region") =>
            {
                AwsKmsFailure::WrongRegion
            }
            "ExpiredTokenException"
            | "ExpiredToken"
            | "RequestExpired"
            | "TokenRefreshRequired"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "AuthFailure"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "RequestTimeTooSkewed" => AwsKmsFailure::Credentials,
            "DisabledException" => AwsKmsFailure::KeyDisabled,
            "KMSInvalidStateException" => AwsKmsFailure::KeyState,
            "NotFoundException" if self.is_elsewhere(message) => AwsKmsFailure::WrongRegion,
            "NotFoundException" => AwsKmsFailure::KeyNotFound,
            "InvalidKeyUsageException" => AwsKmsFailure::KeyUsage,
            "InvalidCiphertextException" => AwsKmsFailure::InvalidCiphertext,
            "IncorrectKeyException" => AwsKmsFailure::IncorrectKey,
            _ if status >= 500 => AwsKmsFailure::ServiceFault,
            _ if status == 429 => AwsKmsFailure::Throttled,
            _ => AwsKmsFailure::Rejected,
        }
    }

    /// Returns `true` if the key was not found because it is in another Region. AWS KMS then answers
    /// `Invalid arn eu-west-1`.
    fn is_elsewhere(&self, message: &str) -> bool {
        let differs = |key: &str| self.client_region.is_some_and(|client| client != key);
        message.starts_with("Invalid arn ") || self.key_region.is_some_and(differs)
    }
}

/// Returns the failure for a response without an exception of AWS KMS.
const fn unparsed(status: u16) -> AwsKmsFailure {
    match status {
        429 => AwsKmsFailure::Throttled,
        500.. => AwsKmsFailure::ServiceFault,
        _ => AwsKmsFailure::InvalidResponse,
    }
}

/// Returns `true` if a provider of credentials has none.
fn lacks_credentials<E: StdError + 'static>(error: &SdkError<E, HttpResponse>) -> bool {
    chain(error).any(<dyn StdError>::is::<CredentialsError>)
}

/// Returns the texts of the causes. The first text, that of the client, only says which step failed.
fn causes<E: StdError + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    let texts: Vec<_> = chain(error).map(ToString::to_string).collect();
    texts.join(": ")
}

fn chain<E: StdError + 'static>(error: &SdkError<E, HttpResponse>) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&error| error.source()).take(LONGEST_CHAIN)
}
