//! Bodies of requests, within their limits, and bodies of responses.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use strongroom::SecretBytes;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::budget::Share;
use super::limits::Limits;

/// The body of a response.
pub(super) type ResponseBody = Full<Bytes>;

/// The reason why a body is not complete.
#[derive(Debug)]
pub(super) enum Incomplete {
    /// The body is larger than the limit.
    TooLarge,
    /// The bodies of other requests use all memory.
    NoMemory,
    /// The body did not arrive in time.
    TooSlow,
    /// The connection failed.
    Aborted,
}

/// Reads a body. It may contain a plaintext, so it is wiped when dropped.
pub(super) async fn read(body: Incoming, limits: &Limits, share: &mut Share) -> Result<Zeroizing<Vec<u8>>, Incomplete> {
    let limit = u64::try_from(limits.body_bytes).unwrap_or(u64::MAX);
    if body.size_hint().lower() > limit {
        return Err(Incomplete::TooLarge);
    }
    timeout(limits.body_time, collect(body, limits.body_bytes, share)).await.unwrap_or(Err(Incomplete::TooSlow))
}

async fn collect(mut body: Incoming, limit: usize, share: &mut Share) -> Result<Zeroizing<Vec<u8>>, Incomplete> {
    // A body whose length is known is never moved, so that no copy remains.
    let expected = body.size_hint().exact().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    let mut collected = Zeroizing::new(Vec::with_capacity(expected.min(limit)));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Incomplete::Aborted)?.into_data() else { continue };
        if data.len() > limit - collected.len() {
            return Err(Incomplete::TooLarge);
        }
        if !share.reserve(collected.len() + data.len()) {
            return Err(Incomplete::NoMemory);
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected)
}

/// Sends a secret, which is wiped once the transport has copied it.
pub(super) fn secret(content: SecretBytes) -> Bytes {
    struct Owner(SecretBytes);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            self.0.expose_secret()
        }
    }
    Bytes::from_owner(Owner(content))
}
