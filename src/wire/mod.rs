//! The API of AWS KMS as AWS clients call it: AWS JSON 1.1, without sockets.
//!
//! [`call()`] performs one request on a [`Kms`](crate::Kms) and returns the [`Reply`] to send. It
//! reads no network and starts no runtime: use it behind the HTTP server of your choice, in a test
//! with an SDK whose transport is replaced, or in a handler of a cloud function. The server does
//! the rest:
//!
//! | part of the exchange | value |
//! |---|---|
//! | request | `POST /` with the header `X-Amz-Target: TrentService.Decrypt`, where `Decrypt` is the name for [`call()`] |
//! | authentication | the server verifies the signature (Signature Version 4), and passes the handle of its principal ([`Kms::as_principal`](crate::Kms::as_principal)) |
//! | request ID | [`Kms::with_request_id`](crate::Kms::with_request_id) puts it in the audit trail; send it as the header `x-amzn-RequestId` |
//! | `Content-Type` | [`Reply::CONTENT_TYPE`], in both directions |
//! | status and body | [`Reply::status`] and [`Reply::body`] |
//!
//! # What is answered
//!
//! All 56 operations of AWS KMS are known, with the names, types and constraints of its model:
//!
//! - Blobs are base64 with padding, and times are seconds since 1970 with a fraction.
//! - A body that is not JSON, an object with two members of the same name, and a member of the wrong
//!   JSON type are a `SerializationException`. A violated constraint is a `ValidationException` with
//!   the text of AWS. A member that is `null` counts as absent, and unknown members are ignored.
//! - Errors have the exception, the status and the text of AWS, and no text where AWS gives none. A
//!   failure of the store, of the root key or of the audit trail is a `KMSInternalException`, an
//!   unreachable store a `DependencyTimeoutException`, both with status 500 and without details.
//!   Those are in the audit trail.
//! - Features that the library lacks are an `UnsupportedOperationException`, as in a Region that lacks
//!   them: multi-Region keys, ML-KEM and ML-DSA, SM2, external key stores, attested recipients,
//!   grants for services, and dry runs that ignore the ciphertext.
//! - Every request leaves an event in the audit trail, also if it cannot be parsed.
//!
//! With the feature `parameters`, `call_parameters` answers the 13 operations of the Parameter Store of
//! AWS Systems Manager in the same way: `X-Amz-Target: AmazonSSM.GetParameter`, signed for the service
//! `ssm`.
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//!
//! use strongroom::audit::{Action, MemoryTrail, Outcome};
//! use strongroom::key::Operation;
//! use strongroom::{ErrorKind, Kms, wire};
//!
//! let trail = Arc::new(MemoryTrail::default());
//! let kms = Kms::builder().audit(Arc::clone(&trail)).build()?;
//! let request = kms.with_request_id("0d6f5a4c-6f5e-4d5c-9c1d-5d0c2f6b7a10")?;
//!
//! let reply = wire::call(&request, "CreateKey", br#"{"Description": "invoices"}"#);
//! assert_eq!(reply.status(), 200);
//! let answer: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
//! assert_eq!(answer["KeyMetadata"]["Description"], "invoices");
//!
//! let refused = wire::call(&request, "ScheduleKeyDeletion", b"{");
//! assert_eq!((refused.status(), refused.error_code()), (400, Some("SerializationException")));
//! let event = trail.events().pop().unwrap();
//! assert_eq!(event.action, Action::Call(Operation::ScheduleKeyDeletion));
//! assert_eq!(event.outcome, Outcome::Failure(ErrorKind::Serialization));
//! assert_eq!(event.request_id.as_deref(), request.request_id());
//! # Ok::<(), strongroom::Error>(())
//! ```
//!
//! # Parts
//!
//! | part | contains |
//! |---|---|
//! | `json`, `value`, `rejection` | the bounded parser of a body, its tree, and refusals by form |
//! | `constraints` | the members of all operations, and the check of a request |
//! | `members` | the members of a request as types of the library |
//! | `operations`, `route` | one function for each operation, and the table that finds it |
//! | `answer`, `encoding` | the tree of an answer, and its JSON |
//! | `failure`, `error`, `reply` | refusals and errors, their exceptions, and the reply |
//! | `call` | the steps of a call |
//! | `parameters` | the operations of the parameter store (feature `parameters`) |
//! | `fuzzing` | entry points for tests and fuzz targets |

mod answer;
mod call;
mod constraints;
mod encoding;
mod error;
mod failure;
pub(crate) mod fuzzing;
mod json;
mod members;
mod operations;
#[cfg(feature = "parameters")]
pub(crate) mod parameters;
mod rejection;
mod reply;
mod route;
mod value;

pub use call::call;
#[cfg(feature = "parameters")]
pub use parameters::call_parameters;
pub use reply::Reply;
