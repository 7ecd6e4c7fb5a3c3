//! Verification of requests that are signed with Signature Version 4, by signing them again.
//!
//! [`verify()`] accepts a signature in the header `Authorization` and a presigned query. It lets the
//! official signer of AWS (`aws-sigv4`) compute the signature that the request should have, and
//! compares both in constant time. No part of the algorithm is implemented here.
//!
//! | rule | reason |
//! |---|---|
//! | the path is `/`, and a signature in a header has no query | the API needs neither, so nothing can be encoded in two ways |
//! | a presigned query is percent-encoded as the signer encodes it, without repeated parameters | otherwise, two different queries would have the same signature |
//! | `host`, `content-type`, `content-encoding` and all `x-amz-*` headers are signed, and sent once | the server acts on them |
//! | the signature covers the whole body | `UNSIGNED-PAYLOAD`, `STREAMING-*` and `aws-chunked` are refused |
//! | the date is at most 5 minutes from the time of the server, and a presigned request has not expired | limits the time in which a recorded request can be sent again |
//! | an unknown access key costs the same work as a known one | the time of the answer does not reveal access keys |
//!
//! # Replay
//!
//! As in AWS, the same request is accepted again until its date is too old: 5 minutes, or the
//! expiry of a presigned request. TLS prevents others from recording it. Operations that must not
//! be repeated need a further condition, such as a grant token or the state of a key.
//!
//! # Parts
//!
//! | part | contains |
//! |---|---|
//! | `authorization`, `presigned` | the two places of a signature |
//! | `scope`, `time`, `headers`, `payload` | one rule each |
//! | `verify` | the steps |
//! | `refusal` | the exceptions of AWS, and their texts |

mod authorization;
mod headers;
mod payload;
mod presented;
mod presigned;
mod refusal;
mod scope;
mod time;
mod verify;

pub use headers::SignedRequest;
pub use refusal::{Refusal, RefusalKind};
pub use scope::Expected;
pub use verify::{is_presigned, verify};
