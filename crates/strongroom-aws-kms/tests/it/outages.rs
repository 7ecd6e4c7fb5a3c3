//! Every failure of AWS KMS: its kind, if another attempt helps, and how often the client tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_kms::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{Builder, Credentials, ProvideCredentials, SharedCredentialsProvider};
use strongroom::envelope::{CachingMaterialsManager, MultiKeyring, RawAesKeyring, UnwrapFailures};
use strongroom::{Envelope, Error, ErrorKind, Kms, ManualClock, SecretBytes, Timestamp};
use strongroom_aws_kms::{AwsKms, AwsKmsError, AwsKmsFailure, AwsKmsKeyring, Retry};

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::server::{ACCESS_KEY, TestServer};
use crate::support::{PLAINTEXT, aws_kms, config, context, new_key, of_config};

const LOCAL: &str = "local";

/// A KMS behind an endpoint with a fault, which a test can repair.
struct World {
    kms: Kms,
    key: String,
    message: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let kms = Kms::in_memory().unwrap();
        let key = kms.create_key(Default::default()).unwrap().arn().to_string();
        let local = strongroom::envelope::KmsKeyring::new(&kms, key.as_str()).unwrap();
        let message = Envelope::new(local).encrypt(PLAINTEXT, &context()).unwrap();
        Self { kms, key, message }
    }

    /// Starts an endpoint whose first answers have a fault. `None` is the answer of the KMS.
    fn endpoint(&self, fault: impl Fn(usize) -> Option<Answer> + Send + Sync + 'static) -> Endpoint {
        let (kms, count) = (self.kms.clone(), AtomicUsize::new(0));
        Endpoint::start(move |request| {
            fault(count.fetch_add(1, Ordering::SeqCst)).unwrap_or_else(|| Answer::of(&kms, request))
        })
    }

    fn envelope(&self, kms: &AwsKms) -> Envelope {
        Envelope::new(AwsKmsKeyring::new(kms, &self.key).unwrap())
    }

    /// Asserts that both directions fail, and returns the error of each.
    fn fail(&self, kms: &AwsKms) -> [Error; 2] {
        let envelope = self.envelope(kms);
        let written = envelope.encrypt(PLAINTEXT, &context()).unwrap_err();
        [written, envelope.decrypt(&self.message, &context()).unwrap_err()]
    }
}

/// Returns the configuration of a client that hardly waits before retries, and whose budget of retries
/// no other test uses.
pub(crate) fn quick(url: &str) -> Builder {
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    config(url, LOCAL, ACCESS_KEY).retry_config(retries).retry_partition(RetryPartition::new(url.to_owned()))
}

pub(crate) type Fault = fn() -> Answer;

fn failure(error: &Error) -> &AwsKmsError {
    AwsKmsError::find(error).unwrap_or_else(|| panic!("no failure of AWS KMS: {error}"))
}

/// Returns the kind that `Envelope::decrypt` reports for a kind of the keyring.
fn decrypted(kind: ErrorKind) -> ErrorKind {
    if kind == ErrorKind::KeyUnavailable { kind } else { ErrorKind::NoDataKeyUnwrapped }
}

/// Asserts one row of the matrix, and the number of attempts of each call.
fn row(world: &World, fault: Fault, expected: AwsKmsFailure, kind: ErrorKind, attempts: usize) {
    let endpoint = world.endpoint(move |_| Some(fault()));
    let errors = world.fail(&of_config(quick(&endpoint.url())));
    let kinds = [kind, decrypted(kind)];
    for ((error, kind), operation) in errors.iter().zip(kinds).zip(["GenerateDataKey", "Decrypt"]) {
        let found = failure(error);
        assert_eq!((found.failure(), found.operation()), (expected, operation), "{error}");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&world.key), "{error}");
        assert!(!error.to_string().contains("日本"), "{error}");
    }
    let inner = errors[1].downcast_ref().map(UnwrapFailures::kind);
    assert_eq!(inner, Some(kind), "{}", errors[1]);
    assert_eq!(endpoint.requests().len(), 2 * attempts, "{expected:?}");
}

fn exception(status: u16, code: &str, message: &str) -> Answer {
    Answer::exception(status, code, message)
}

fn page(status: u16) -> Answer {
    Answer::Reply(status, "text/html", b"<html><body>the gateway is closed</body></html>".to_vec())
}

#[test]
fn outages_are_retried_and_keep_their_kind() {
    use AwsKmsFailure::{InvalidResponse, ServiceFault, Throttled, Unreachable};
    let world = World::new();
    let rows: [(Fault, AwsKmsFailure, usize); 11] = [
        (|| Answer::Close, Unreachable, 3),
        (|| exception(400, "ThrottlingException", "Rate exceeded"), Throttled, 3),
        (|| exception(503, "ThrottlingException", "Rate exceeded"), Throttled, 3),
        (|| exception(500, "KMSInternalException", ""), ServiceFault, 3),
        (|| exception(500, "DependencyTimeoutException", ""), ServiceFault, 3),
        (|| exception(500, "KeyUnavailableException", ""), ServiceFault, 3),
        (|| exception(503, "NewException", ""), ServiceFault, 3),
        (|| page(503), ServiceFault, 3),
        (|| page(403), InvalidResponse, 1),
        (|| page(200), InvalidResponse, 1),
        (|| Answer::Reply(200, "application/x-amz-json-1.1", b"{}".to_vec()), InvalidResponse, 1),
    ];
    for (fault, expected, attempts) in rows {
        row(&world, fault, expected, ErrorKind::KeyUnavailable, attempts);
        assert_eq!(expected.retry(), Retry::Later);
    }
}

#[test]
fn refusals_are_not_retried_and_keep_their_kind() {
    use AwsKmsFailure as F;
    use ErrorKind as K;
    let world = World::new();
    let rows: [(Fault, F, K, Retry); 14] = [
        (
            || exception(400, "ExpiredTokenException", "The token expired"),
            F::Credentials,
            K::KeyUnavailable,
            Retry::AfterChange,
        ),
        (|| exception(400, "UnrecognizedClientException", ""), F::Credentials, K::KeyUnavailable, Retry::AfterChange),
        (
            || exception(403, "InvalidSignatureException", "Expired"),
            F::Credentials,
            K::KeyUnavailable,
            Retry::AfterChange,
        ),
        (
            || exception(400, "InvalidSignatureException", "Credential should be scoped to a valid region."),
            F::WrongRegion,
            K::NotFound,
            Retry::AfterChange,
        ),
        (
            || exception(400, "AccessDeniedException", "User: alice"),
            F::AccessDenied,
            K::AccessDenied,
            Retry::AfterChange,
        ),
        (|| exception(400, "DisabledException", ""), F::KeyDisabled, K::Disabled, Retry::AfterChange),
        (
            || exception(400, "KMSInvalidStateException", "is pending deletion"),
            F::KeyState,
            K::InvalidState,
            Retry::AfterChange,
        ),
        (|| exception(400, "NotFoundException", "Key does not exist"), F::KeyNotFound, K::NotFound, Retry::AfterChange),
        (
            || exception(400, "NotFoundException", "Invalid arn eu-west-1"),
            F::WrongRegion,
            K::NotFound,
            Retry::AfterChange,
        ),
        (|| exception(400, "InvalidKeyUsageException", ""), F::KeyUsage, K::InvalidKeyUsage, Retry::Never),
        (|| exception(400, "InvalidCiphertextException", ""), F::InvalidCiphertext, K::InvalidCiphertext, Retry::Never),
        (|| exception(400, "IncorrectKeyException", ""), F::IncorrectKey, K::IncorrectKey, Retry::Never),
        // Its text repeats values of the encryption context.
        (|| exception(400, "ValidationException", "Value '日本' failed"), F::Rejected, K::Validation, Retry::Never),
        (|| exception(400, "InvalidGrantTokenException", ""), F::Rejected, K::InvalidGrantToken, Retry::Never),
    ];
    for (fault, expected, kind, retry) in rows {
        row(&world, fault, expected, kind, 1);
        assert_eq!(expected.retry(), retry, "{expected:?}");
    }
}

#[test]
fn an_endpoint_without_a_listener_is_unreachable() {
    let world = World::new();
    let endpoint = world.endpoint(|_| None);
    let kms = of_config(quick(&endpoint.url()));
    assert_eq!(world.envelope(&kms).decrypt(&world.message, &context()).unwrap(), PLAINTEXT);
    drop(endpoint);
    for error in world.fail(&kms) {
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
        assert_eq!(failure(&error).failure(), AwsKmsFailure::Unreachable, "{error}");
    }
}

/// A truncated answer is never a plaintext.
#[test]
fn a_truncated_answer_is_an_outage() {
    let world = World::new();
    let endpoint = world.endpoint(|_| Some(Answer::Cut));
    for error in world.fail(&of_config(quick(&endpoint.url()))) {
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
        assert_eq!(failure(&error).failure().retry(), Retry::Later, "{error}");
    }
}

#[test]
fn the_deadline_ends_a_call_without_an_answer() {
    let world = World::new();
    let hangs = Arc::new(AtomicBool::new(true));
    let fault = Arc::clone(&hangs);
    let endpoint = world.endpoint(move |_| fault.load(Ordering::SeqCst).then_some(Answer::Hang));
    let kms = of_config(quick(&endpoint.url()));
    for error in world.fail(&kms.with_deadline(Duration::from_secs(1)).unwrap()) {
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
        assert_eq!(failure(&error).failure(), AwsKmsFailure::TimedOut, "{error}");
    }
    // The requests were cancelled, and the same handle works as soon as the endpoint does.
    wait_until(|| endpoint.abandoned() == endpoint.requests().len());
    hangs.store(false, Ordering::SeqCst);
    assert_eq!(world.envelope(&kms).decrypt(&world.message, &context()).unwrap(), PLAINTEXT);
}

/// The deadline applies to all data keys of a message together.
#[test]
fn the_deadline_covers_all_data_keys_of_a_message() {
    let world = World::new();
    let key = || strongroom::envelope::KmsKeyring::new(&world.kms, world.key.as_str()).unwrap();
    let several = MultiKeyring::from_keyrings([key(), key(), key(), key()]).unwrap();
    let message = Envelope::new(several).encrypt(PLAINTEXT, &context()).unwrap();
    let endpoint = world.endpoint(|_| Some(Answer::Hang));
    let kms = of_config(quick(&endpoint.url())).with_deadline(Duration::from_millis(300)).unwrap();
    let error = world.envelope(&kms).decrypt(&message, &context()).unwrap_err();
    let failures: &UnwrapFailures = error.downcast_ref().unwrap();
    assert_eq!(failures.iter().filter(|failure| failure.kind() == ErrorKind::KeyUnavailable).count(), 4, "{error}");
    assert!(endpoint.requests().len() <= 1, "no time is left for the others");
}

#[test]
fn a_slow_attempt_is_repeated() {
    let world = World::new();
    let endpoint = world.endpoint(|count| (count == 0).then_some(Answer::Hang));
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(2)).build();
    // A busy machine may need several attempts.
    let retries = RetryConfig::standard().with_max_attempts(20).with_initial_backoff(Duration::from_millis(1));
    let kms = of_config(quick(&endpoint.url()).timeout_config(timeouts).retry_config(retries));
    assert_eq!(world.envelope(&kms).decrypt(&world.message, &context()).unwrap(), PLAINTEXT);
    assert!(endpoint.requests().len() >= 2);
}

#[test]
fn a_throttled_call_succeeds_after_a_pause() {
    let world = World::new();
    let throttled = || Answer::exception(400, "ThrottlingException", "Rate exceeded");
    let endpoint = world.endpoint(move |count| (count % 3 < 2).then(throttled));
    let kms = of_config(quick(&endpoint.url()));
    let message = world.envelope(&kms).encrypt(PLAINTEXT, &context()).unwrap();
    assert_eq!(world.envelope(&kms).decrypt(&message, &context()).unwrap(), PLAINTEXT);
    assert_eq!(endpoint.requests().len(), 6);
}

/// A provider of credentials that has some only after a while.
#[derive(Debug)]
struct Renewed(AtomicUsize);

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        use aws_credential_types::provider::error::CredentialsError;
        use aws_credential_types::provider::future::ProvideCredentials as Provided;
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Provided::ready(Err(CredentialsError::not_loaded("the session expired"))),
            _ => Provided::ready(Ok(Credentials::new(ACCESS_KEY, "secret", None, None, "test"))),
        }
    }
}

#[test]
fn credentials_that_are_missing_can_be_renewed() {
    let world = World::new();
    let endpoint = world.endpoint(|_| None);
    let provider = SharedCredentialsProvider::new(Renewed(AtomicUsize::new(0)));
    let kms = of_config(quick(&endpoint.url()).credentials_provider(provider));
    let error = world.envelope(&kms).decrypt(&world.message, &context()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    assert_eq!(failure(&error).failure(), AwsKmsFailure::Credentials, "{error}");
    assert!(error.to_string().contains("the session expired"), "{error}");
    assert!(endpoint.requests().is_empty());
    assert_eq!(world.envelope(&kms).decrypt(&world.message, &context()).unwrap(), PLAINTEXT);
}

/// With the server: real states of a key, real refusals.
#[test]
fn states_of_a_key_have_their_kind() {
    let server = TestServer::start();
    let (kms, key) = (aws_kms(&server, ACCESS_KEY), new_key(&server));
    let envelope = Envelope::new(AwsKmsKeyring::new(&kms, &key).unwrap());
    let message = envelope.encrypt(PLAINTEXT, &context()).unwrap();
    let found = |expected: AwsKmsFailure| {
        let error = envelope.decrypt(&message, &context()).unwrap_err();
        assert_eq!(failure(&error).failure(), expected, "{error}");
        assert_eq!(failure(&error).request_id().map(str::len), Some(36), "{error}");
        let error = envelope.encrypt(PLAINTEXT, &context()).unwrap_err();
        assert_eq!(failure(&error).failure(), expected, "{error}");
    };
    server.kms.disable_key(key.as_str()).unwrap();
    found(AwsKmsFailure::KeyDisabled);
    server.kms.schedule_key_deletion(key.as_str(), Default::default()).unwrap();
    found(AwsKmsFailure::KeyState);
    server.kms.cancel_key_deletion(key.as_str()).unwrap();
    server.kms.enable_key(key.as_str()).unwrap();
    assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT);

    // A key of another Region than the client's, and a client with an unknown access key.
    let elsewhere = key.replace("eu-central-1", "eu-west-1");
    let error =
        Envelope::new(AwsKmsKeyring::new(&kms, &elsewhere).unwrap()).encrypt(PLAINTEXT, &context()).unwrap_err();
    assert_eq!(failure(&error).failure(), AwsKmsFailure::WrongRegion, "{error}");
    let stranger = aws_kms(&server, "AKIAIOSFODNN7UNKNOWN");
    let error = Envelope::new(AwsKmsKeyring::new(&stranger, &key).unwrap()).decrypt(&message, &context()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert_eq!(failure(&error).code(), Some("UnrecognizedClientException"), "{error}");
}

/// Cached data keys work during an outage, until their maximum age.
#[test]
fn cached_data_keys_ride_out_an_outage_for_their_maximum_age() {
    let world = World::new();
    let endpoint = world.endpoint(|_| None);
    let kms = of_config(quick(&endpoint.url()));
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
    let keyring = AwsKmsKeyring::new(&kms, &world.key).unwrap();
    let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(86_400));
    let envelope = Envelope::new(manager.clock(Arc::clone(&clock)).build().unwrap());
    let message = envelope.encrypt(PLAINTEXT, &context()).unwrap();
    assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT);
    assert_eq!(endpoint.requests().len(), 2);
    drop(endpoint);
    for _ in 0..100 {
        let during = envelope.encrypt(PLAINTEXT, &context()).unwrap();
        assert_eq!(envelope.decrypt(&during, &context()).unwrap(), PLAINTEXT);
    }
    // The cache does not cover another context, or a message with another data key.
    let other = [("invoice", "18")].into_iter().collect();
    assert_eq!(envelope.encrypt(PLAINTEXT, &other).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    assert_eq!(envelope.decrypt(&world.message, &context()).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    clock.advance_days(2);
    assert_eq!(envelope.encrypt(PLAINTEXT, &context()).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    assert_eq!(envelope.decrypt(&message, &context()).unwrap_err().kind(), ErrorKind::KeyUnavailable);
}

/// The table of the README, with fewer messages.
#[test]
fn a_cache_saves_calls() {
    let world = World::new();
    for (share, calls) in [(None, 200), (Some(20), 10), (Some(100), 2)] {
        let endpoint = world.endpoint(|_| None);
        let keyring = AwsKmsKeyring::new(&of_config(quick(&endpoint.url())), &world.key).unwrap();
        let envelope = match share {
            None => Envelope::new(keyring),
            Some(messages) => {
                let manager = CachingMaterialsManager::builder(keyring, Duration::from_secs(3_600));
                Envelope::new(manager.max_messages(messages).build().unwrap())
            }
        };
        let messages: Vec<_> = (0..200).map(|_| envelope.encrypt(PLAINTEXT, &context()).unwrap()).collect();
        assert_eq!(endpoint.requests().len(), calls);
        for message in &messages {
            assert_eq!(envelope.decrypt(message, &context()).unwrap(), PLAINTEXT);
        }
        assert_eq!(endpoint.requests().len(), 2 * calls);
    }
}

/// With several data keys, the failure for which another attempt helps soonest is found.
#[test]
fn the_most_hopeful_failure_is_found() {
    let world = World::new();
    let other = world.kms.create_key(Default::default()).unwrap().arn().to_string();
    let local = |key: &str| strongroom::envelope::KmsKeyring::new(&world.kms, key).unwrap();
    let message = Envelope::new(MultiKeyring::new(local(&world.key)).with_child(local(&other)));
    let message = message.encrypt(PLAINTEXT, &context()).unwrap();
    let codes = ["InvalidCiphertextException", "DisabledException", "ThrottlingException"];
    for (first, second, expected) in [(0, 1, Retry::AfterChange), (1, 2, Retry::Later), (2, 0, Retry::Later)] {
        for order in [[first, second], [second, first]] {
            let own = world.key.clone();
            let endpoint = Endpoint::start(move |request| {
                let code = codes[order[usize::from(!request.body.contains(&own))]];
                Answer::exception(400, code, "")
            });
            let kms = of_config(quick(&endpoint.url()));
            let keyring = |key: &str| AwsKmsKeyring::new(&kms, key).unwrap();
            let both = MultiKeyring::new(keyring(&world.key)).with_child(keyring(&other));
            let error = Envelope::new(both).decrypt(&message, &context()).unwrap_err();
            assert_eq!(failure(&error).failure().retry(), expected, "{error}");
        }
    }
    let raw = RawAesKeyring::new("safe", "paper copy", SecretBytes::zeroed(32)).unwrap();
    assert!(AwsKmsError::find(&Envelope::new(raw).decrypt(&message, &context()).unwrap_err()).is_none());
}

/// Another key of the message is used, and the outage is no error.
#[test]
fn another_keyring_takes_over_during_an_outage() {
    let world = World::new();
    let endpoint = world.endpoint(|_| None);
    let kms = of_config(quick(&endpoint.url()));
    let raw = || RawAesKeyring::new("safe", "paper copy", SecretBytes::zeroed(32)).unwrap();
    let both = || MultiKeyring::new(AwsKmsKeyring::new(&kms, &world.key).unwrap()).with_child(raw());
    let message = Envelope::new(both()).encrypt(PLAINTEXT, &context()).unwrap();
    drop(endpoint);
    assert_eq!(Envelope::new(both()).decrypt(&message, &context()).unwrap(), PLAINTEXT);
    let error = Envelope::new(both()).encrypt(PLAINTEXT, &context()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "a message must have all its data keys: {error}");
}

pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..30_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("five minutes passed");
}
