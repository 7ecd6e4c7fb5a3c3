#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
//! An embeddable KMS and envelope-encryption library.

// L0: foundations
mod clock;
mod codec;
mod error;
mod secret;
mod shard;
// L1: vocabulary
pub mod algorithm;
mod context;
pub mod identity;
// L2: primitives
// L3: parts, strangers to each other
// L4: the facade
// L5: envelope encryption
// L6: prose

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use codec::CodecError;
pub use context::{EncryptionContext, MAX_CONTEXT_BYTES, RESERVED_CONTEXT_PREFIX};
pub use error::{Error, ErrorKind, Result};
pub use identity::{AccountId, Locality, Principal};
pub use secret::SecretBytes;
