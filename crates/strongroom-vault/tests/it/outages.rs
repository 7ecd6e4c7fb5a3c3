//! Every failure of Vault: its kind, if another attempt helps, and how often a request was sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use strongroom::seal::RootKeyHolder;
use strongroom::{Error, ErrorKind, SecretBytes};
use strongroom_vault::{DEFAULT_ATTEMPTS, MAX_ATTEMPTS, Retry, VaultError, VaultFailure, VaultRootKey, VaultTransit};

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::{PATIENCE, ROOT, data, refusal, transit, wait_until};

/// A wrapped root key in the form of the store: version 1, and bytes.
const WRAPPED: &[u8] = &[0, 0, 0, 1, 17, 17, 17];

type Fault = fn() -> Answer;

fn holder(transit: &VaultTransit) -> VaultRootKey {
    VaultRootKey::new(transit, "root").unwrap()
}

/// Wraps a key, whose first request reads the key in Vault, and unwraps another.
fn errors(transit: &VaultTransit) -> [Error; 2] {
    let holder = holder(transit);
    let wrapped = holder.wrap(b"binding", &SecretBytes::zeroed(32)).unwrap_err();
    [wrapped, holder.unwrap(b"binding", WRAPPED).unwrap_err()]
}

fn failure(error: &Error) -> &VaultError {
    VaultError::find(error).unwrap_or_else(|| panic!("no failure of Vault: {error}"))
}

/// Asserts one row of the matrix, and the number of attempts of each call.
fn row(fault: Fault, expected: VaultFailure, kind: ErrorKind, retry: Retry, attempts: usize) {
    let endpoint = Endpoint::start(move |_| fault());
    for (error, operation) in errors(&transit(&endpoint.url(), ROOT)).iter().zip(["read", "decrypt"]) {
        let found = failure(error);
        assert_eq!((found.failure(), found.operation()), (expected, operation), "{error}");
        // Of a holder, only a key that Vault has tried is wrong. Everything else is unavailable.
        let was_tried = matches!(expected, VaultFailure::InvalidCiphertext | VaultFailure::IncorrectKey);
        let kind = if operation == "decrypt" && !was_tried { ErrorKind::KeyUnavailable } else { kind };
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("transit/root") && !error.to_string().contains(ROOT), "{error}");
    }
    let requests = endpoint.requests();
    // After a version that is too old, another request finds out whether versions were trimmed.
    let extra = usize::from(expected == VaultFailure::KeyVersion);
    assert_eq!(requests.len(), 2 * attempts + extra, "{expected:?}");
    assert_eq!(expected.retry(), retry);
}

fn page(status: u16) -> Answer {
    Answer::Reply(status, "text/html", b"<html><body>the gateway is closed</body></html>".to_vec())
}

#[test]
fn outages_are_retried_and_keep_their_kind() {
    use VaultFailure::{InvalidResponse, Sealed, ServiceFault, Standby, Throttled, Unreachable};
    let rows: [(Fault, VaultFailure, usize); 18] = [
        (|| Answer::Close, Unreachable, 3),
        (|| Answer::Cut, Unreachable, 3),
        (|| refusal(503, &["Vault is sealed"]), Sealed, 3),
        (|| refusal(503, &["Namespace is sealed"]), Sealed, 3),
        (|| refusal(429, &["request path \"transit/keys/root\": rate limit quota exceeded"]), Throttled, 3),
        (|| refusal(429, &["standby"]), Standby, 3),
        (|| refusal(472, &[]), Standby, 3),
        (|| refusal(473, &[]), Standby, 3),
        (|| page(473), Standby, 3),
        (|| refusal(412, &["required index state not present"]), Standby, 3),
        (|| refusal(500, &["local node not active but active cluster node not found"]), Standby, 3),
        (|| refusal(500, &["1 error occurred:\n\t* cannot write to readonly storage\n\n"]), Standby, 3),
        (|| refusal(400, &["path disabled in replication DR secondary mode"]), Standby, 3),
        (|| refusal(500, &["internal error"]), ServiceFault, 3),
        (|| page(502), ServiceFault, 3),
        (|| page(200), InvalidResponse, 1),
        (|| page(403), InvalidResponse, 1),
        (|| page(404), InvalidResponse, 1),
    ];
    std::thread::scope(|scope| {
        for (fault, expected, attempts) in rows {
            scope.spawn(move || row(fault, expected, ErrorKind::KeyUnavailable, Retry::Later, attempts));
        }
    });
}

#[test]
fn refusals_are_not_retried_and_keep_their_kind() {
    use ErrorKind as K;
    use Retry::{AfterChange, Never};
    use VaultFailure as F;
    let rows: [(Fault, F, K, Retry); 18] = [
        (
            || refusal(403, &["1 error occurred:\n\t* permission denied\n\n"]),
            F::AccessDenied,
            K::AccessDenied,
            AfterChange,
        ),
        (
            || refusal(403, &["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]),
            F::Token,
            K::KeyUnavailable,
            AfterChange,
        ),
        (|| refusal(403, &["bad token"]), F::Token, K::KeyUnavailable, AfterChange),
        (|| refusal(400, &["missing client token"]), F::Token, K::KeyUnavailable, AfterChange),
        (
            || refusal(503, &["API access to this namespace has been locked by an administrator"]),
            F::NamespaceLocked,
            K::KeyUnavailable,
            AfterChange,
        ),
        (|| refusal(404, &[]), F::KeyNotFound, K::NotFound, AfterChange),
        (|| refusal(400, &["encryption key not found"]), F::KeyNotFound, K::NotFound, AfterChange),
        (|| refusal(400, &["signing key not found"]), F::KeyNotFound, K::NotFound, AfterChange),
        (|| refusal(400, &["no existing key named root could be found"]), F::KeyNotFound, K::NotFound, AfterChange),
        (
            || refusal(404, &["no handler for route \"transit/keys/root\". route entry not found."]),
            F::MountNotFound,
            K::NotFound,
            AfterChange,
        ),
        (
            || refusal(400, &["ciphertext or signature version is disallowed by policy (too old)"]),
            F::KeyVersion,
            K::InvalidState,
            AfterChange,
        ),
        (|| refusal(400, &["invalid ciphertext: version is too new"]), F::IncorrectKey, K::IncorrectKey, AfterChange),
        (
            || refusal(400, &["error deleting policy root: deletion is not allowed for this key"]),
            F::DeletionRefused,
            K::InvalidState,
            AfterChange,
        ),
        (
            || refusal(400, &["cipher: message authentication failed"]),
            F::InvalidCiphertext,
            K::InvalidCiphertext,
            Never,
        ),
        (|| refusal(400, &["invalid ciphertext: no prefix"]), F::InvalidCiphertext, K::InvalidCiphertext, Never),
        (
            || refusal(400, &["message encryption not supported for key type ecdsa-p256"]),
            F::KeyUsage,
            K::InvalidKeyUsage,
            Never,
        ),
        (|| refusal(400, &["invalid request"]), F::Rejected, K::Validation, Never),
        (|| refusal(413, &["http: request body too large"]), F::Rejected, K::Validation, Never),
    ];
    for (fault, expected, kind, retry) in rows {
        row(fault, expected, kind, retry, 1);
    }
}

/// The text of a rejected request may repeat values, so it is not repeated.
#[test]
fn a_rejected_request_is_not_quoted() {
    let endpoint = Endpoint::start(|_| refusal(400, &["illegal base64 data: c2VjcmV0"]));
    for error in errors(&transit(&endpoint.url(), ROOT)) {
        assert_eq!(failure(&error).failure(), VaultFailure::Rejected);
        assert!(!error.to_string().contains("c2VjcmV0"), "{error}");
        assert_eq!(failure(&error).status(), Some(400));
    }
}

#[test]
fn a_missing_endpoint_is_unreachable() {
    let endpoint = Endpoint::start(|_| Answer::Close);
    let url = endpoint.url();
    drop(endpoint);
    for error in errors(&transit(&url, ROOT)) {
        assert_eq!((error.kind(), failure(&error).failure()), (ErrorKind::KeyUnavailable, VaultFailure::Unreachable));
        assert!(!error.to_string().contains(ROOT), "{error}");
    }
}

/// Without an answer, the call ends at its deadline, and the connection is closed.
#[test]
fn a_slow_vault_times_out() {
    let endpoint = Endpoint::start(|_| Answer::Hang);
    let transit = transit(&endpoint.url(), ROOT).with_deadline(Duration::from_millis(300)).unwrap();
    for error in errors(&transit) {
        assert_eq!((error.kind(), failure(&error).failure()), (ErrorKind::KeyUnavailable, VaultFailure::TimedOut));
    }
    wait_until(|| endpoint.abandoned() == endpoint.requests().len());
}

/// A pause that would pass the deadline is not begun, so the failure is that of Vault.
#[test]
fn a_deadline_does_not_hide_the_failure() {
    let endpoint = Endpoint::start(|_| refusal(503, &["Vault is sealed"]));
    let transit = transit(&endpoint.url(), ROOT).with_deadline(Duration::from_secs(1)).unwrap();
    let error = holder(&transit.with_attempts(MAX_ATTEMPTS).unwrap()).unwrap(b"binding", WRAPPED).unwrap_err();
    let found = failure(&error).failure();
    assert!(matches!(found, VaultFailure::Sealed | VaultFailure::TimedOut), "{error}");
    let requests = endpoint.requests().len();
    assert!(requests < usize::try_from(MAX_ATTEMPTS).unwrap(), "{requests}");
}

/// Vault recovers before the attempts end.
#[test]
fn a_short_outage_is_not_noticed() {
    for (attempts, succeeds) in [(DEFAULT_ATTEMPTS, true), (2, false), (1, false)] {
        let count = AtomicUsize::new(0);
        let endpoint = Endpoint::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::Close,
            1 => refusal(503, &["Vault is sealed"]),
            _ => data(json!({"plaintext": "c2VjcmV0"})),
        });
        let holder = holder(&transit(&endpoint.url(), ROOT).with_attempts(attempts).unwrap());
        let opened = holder.unwrap(b"binding", WRAPPED);
        match succeeds {
            true => assert_eq!(opened.unwrap().expose_secret(), b"secret"),
            false => assert_eq!(opened.unwrap_err().kind(), ErrorKind::KeyUnavailable),
        }
        assert_eq!(endpoint.requests().len(), usize::try_from(attempts).unwrap());
    }
}

/// Answers with the form of Vault, and members that make no sense.
#[test]
fn invalid_answers_are_refused() {
    let answers: [Fault; 6] = [
        || data(json!({})),
        || data(json!(null)),
        || data(json!({"plaintext": 17})),
        || data(json!({"plaintext": "not Base64"})),
        || data(json!({"plaintext": "c2VjcmV0\n"})),
        || Answer::Reply(200, "application/json", b"{}".to_vec()),
    ];
    for answer in answers {
        let endpoint = Endpoint::start(move |_| answer());
        let error = holder(&transit(&endpoint.url(), ROOT)).unwrap(b"binding", WRAPPED).unwrap_err();
        assert_eq!(failure(&error).failure(), VaultFailure::InvalidResponse, "{error}");
        assert_eq!(endpoint.requests().len(), 1);
    }
    // A wrapped root key must have the form of Vault too.
    for ciphertext in ["", "vault:v1:", "vault:v0:AAAA", "vault:v1:A-_A", "ciphertext"] {
        let endpoint = Endpoint::start(move |request| match request.operation.contains("/encrypt/") {
            true => data(json!({"ciphertext": ciphertext, "key_version": 1})),
            false => data(json!({"type": "aes256-gcm96", "latest_version": 1, "keys": {"1": 17}})),
        });
        let error = holder(&transit(&endpoint.url(), ROOT)).wrap(b"binding", &SecretBytes::zeroed(32)).unwrap_err();
        assert_eq!(failure(&error).failure(), VaultFailure::InvalidResponse, "{ciphertext}: {error}");
    }
}

#[test]
fn settings_are_bounded() {
    let transit = transit("http://127.0.0.1:1", ROOT);
    for deadline in [Duration::ZERO, strongroom_vault::MAX_DEADLINE + Duration::from_nanos(1), Duration::MAX] {
        assert_eq!(transit.with_deadline(deadline).unwrap_err().kind(), ErrorKind::Validation);
    }
    for attempts in [0, MAX_ATTEMPTS + 1, u32::MAX] {
        assert_eq!(transit.with_attempts(attempts).unwrap_err().kind(), ErrorKind::Validation);
    }
    assert_eq!((transit.deadline(), transit.attempts()), (PATIENCE, DEFAULT_ATTEMPTS));
}
