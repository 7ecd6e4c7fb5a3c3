//! The facade: keys with a life cycle, and a single pipeline for all operations on them.
//!
//! A folder imports from and calls only folders in the rows below its own.
//! `tests/it/layering/rows.rs` contains this table.
//!
//! | row | folder | contains |
//! |---|---|---|
//! | 7 | `fuzzing` | entry points for fuzz targets |
//! | 6 | `key_handles` | a key and an algorithm as one value, for code that expects traits rather than a KMS |
//! | 6 | `transfer` | exports of keys, lists of deletions, keys for tests |
//! | 5 | `builder` | `KmsBuilder` and `Kms::open` |
//! | 5 | `operations` | the public methods of `Kms`, one file per topic |
//! | 5 | `maintenance` | due work, verification, rotation of the root key |
//! | 4 | `pipeline` | the only path to a key: resolve, authorize, check, run, record |
//! | 3 | `engine` | the state that all handles share, in parts: material, HSMs, audit log, time, metering |
//! | 2 | `storage` | the registry with its caches, the sealed store with its index and anchor |
//! | 1 | `records` | the layout of each kind of record |
//! | 1 | `request` | requests and responses |

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
pub use key_handles::{KmsAead, KmsAliasSigner, KmsMac, KmsRng, KmsSignature, KmsSigner, KmsVerifyingKey};
pub use maintenance::guard::MaintenanceGuard;
#[cfg(feature = "parameters")]
pub(crate) use operations::parameter_calls::{
    ParameterCall, ParameterConditions, ParameterEdit, ParameterRecordKind, StoredParameterRecord, noted, noted_pairs,
    noted_tags, noted_texts,
};
pub use request::*;
pub use transfer::deletion_list::ApplyDeletionsReport;
pub use transfer::{ExportError, ExportIdentity, ExportRecipient, KeyExport, MAX_EXPORT_BYTES};
