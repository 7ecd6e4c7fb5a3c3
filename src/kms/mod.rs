//! The facade: keys with a life cycle, and every operation on them through one pipeline.
//!
//! Rows, bottom up; a folder imports only from rows below it:
//!
//! | row | folders | hold |
//! |---|---|---|
//! | 8 | `fuzzing` | entry points for fuzz targets |
//! | 7 | `transfer` | keys and lists of deletions between stores |
//! | 6 | `builder` | `KmsBuilder`, `Kms::open` |
//! | 5 | `operations`, `maintenance` | public methods by theme; what falls due |
//! | 4 | `pipeline`, `key_handles` | the one way into a key; keys as values |
//! | 3 | `engine` | key material, HSMs, the state that all handles share |
//! | 2 | `storage` | the registry and the sealed store under it |
//! | 1 | `records`, `request` | record layouts; shapes of what goes in and comes out |

mod builder;
mod engine;
mod fuzzing;
mod key_handles;
mod maintenance;
mod operations;
mod pipeline;
mod records;
mod request;
mod storage;
mod transfer;

pub use builder::KmsBuilder;
pub use engine::handle::Kms;
pub use engine::limits::KmsLimits;
pub use fuzzing::{rewritten_export_payload, rewritten_key_record, rewritten_root_record};
pub use key_handles::{KmsAead, KmsMac, KmsSignature, KmsSigner, KmsVerifyingKey};
pub use maintenance::guard::MaintenanceGuard;
pub use request::*;
pub use transfer::deletion_list::ApplyDeletionsReport;
pub use transfer::{ExportError, ExportIdentity, ExportRecipient, KeyExport, MAX_EXPORT_BYTES};
