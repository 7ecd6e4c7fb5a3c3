//! Signatures of botocore are accepted, and every change of the covered parts is refused.

mod changes;
mod orders;
mod rules;

use std::time::{Duration, SystemTime};

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Uri};
use sha2::{Digest, Sha256};
use strongroom::Kms;
use strongroom_server::credentials::{AccessKey, AccessKeys};
use strongroom_server::signature::{Expected, Refusal, RefusalKind, SignedRequest, verify};

pub(super) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(super) const TEMPORARY: &str = "ASIAIOSFODNN7EXAMPLE";
pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(super) const TOKEN: &str = "FwoGZXIvYXdzEBYaD+/x2Q==";
pub(super) const REGION: &str = "eu-central-1";
/// 2026-11-30T12:00:00Z
pub(super) const NOW: u64 = 1_796_040_000;

/// A request as a server receives it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

pub(super) fn keys() -> AccessKeys {
    let kms = Kms::in_memory().unwrap();
    let handle = || kms.as_principal(kms.principal().clone()).unwrap();
    let permanent = AccessKey::new(ACCESS_KEY, SECRET.to_owned().into(), handle());
    let hash = Sha256::digest(TOKEN.as_bytes()).into();
    let temporary =
        AccessKey::new(TEMPORARY, SECRET.to_owned().into(), handle()).token_hash(Some(hash)).expires(Some(at(86_400)));
    [permanent, temporary].into_iter().collect()
}

/// Returns the time `seconds` after [`NOW`].
pub(super) fn at(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.checked_add_signed(seconds).unwrap())
}

impl Request {
    /// Verifies the request, and returns the ID of the access key. `None` means that HTTP cannot
    /// express the request.
    pub(super) fn verify_at(
        &self,
        keys: &AccessKeys,
        service: &str,
        now: SystemTime,
    ) -> Option<Result<String, Refusal>> {
        let method = Method::from_bytes(self.method.as_bytes()).ok()?;
        let uri: Uri = self.target.parse().ok()?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
        }
        let request = SignedRequest::new(&method, &uri, &headers, &self.body);
        let verified = verify(&request, &Expected::new(REGION, service), keys, now);
        Some(verified.map(|key| key.id().to_owned()))
    }

    pub(super) fn verify(&self, keys: &AccessKeys) -> Option<Result<String, Refusal>> {
        self.verify_at(keys, "kms", at(1))
    }

    pub(super) fn refusal(&self, keys: &AccessKeys) -> RefusalKind {
        self.verify(keys).expect("a request of HTTP").expect_err("a refusal").kind()
    }

    pub(super) fn with_header(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.headers.push((name.to_owned(), value.to_owned()));
        changed
    }

    /// Replaces a text in the target and in all headers.
    pub(super) fn with(&self, old: &str, new: &str) -> Self {
        let mut changed = self.clone();
        changed.target = changed.target.replace(old, new);
        for (_, value) in &mut changed.headers {
            *value = value.replace(old, new);
        }
        assert!(changed.target != self.target || changed.headers != self.headers, "{old} is missing");
        changed
    }
}
