//! Encrypted columns: values that are encrypted before they reach a database.
//!
//! | type | purpose |
//! |---|---|
//! | [`Column`] | encrypts and decrypts the values of one column |
//! | [`ColumnKeys`] | the KMS key of a value: one for all, or one for each tenant |
//! | [`RowId`] | the primary key and the tenant that a value is bound to |
//! | [`Encrypted`] | a stored value |
//! | [`ColumnValue`], [`Json`] | what a column can hold |
//! | [`BlindIndex`], [`Normalization`] | equality search |
//! | [`Sweep`], [`SweepTable`] | re-encryption and conversion of the rows of a table |
//!
//! With the feature `columns-rusqlite`, `columns-tokio-postgres` or `columns-sqlx`, [`Encrypted`] and
//! [`IndexValue`] are parameters and columns of the driver. With another driver, use
//! [`Encrypted::as_bytes`] and [`Encrypted::from_bytes`].
//!
//! A database, its replicas and its backups contain ciphertext only. The database cannot compare,
//! sort or aggregate such values. The page [columns](crate::manual::columns) of the manual compares
//! the choices, and describes what an attacker who reads or changes the table learns and can do.
//!
//! # Examples
//! ```
//! use strongroom::columns::{Column, ColumnKeys, RowId};
//! use strongroom::request::CreateKeyRequest;
//! use strongroom::Kms;
//!
//! let kms = Kms::in_memory()?;
//! kms.create_key(CreateKeyRequest::default().alias("alias/users"))?;
//! let phone = Column::<String>::new(&ColumnKeys::new(&kms, "alias/users")?, "users", "phone")?;
//!
//! let stored = phone.encrypt(&RowId::new(1), "+44 20 7946 0123")?;
//! assert_eq!(phone.decrypt(&RowId::new(1), &stored)?, "+44 20 7946 0123");
//! assert!(phone.decrypt(&RowId::new(2), &stored).is_err());
//! # Ok::<(), strongroom::Error>(())
//! ```

mod blind_index;
mod cipher;
mod column;
mod data_keys;
mod keys;
mod names;
mod normalization;
mod padding;
#[cfg(feature = "columns-tokio-postgres")]
mod postgres_values;
mod row_id;
#[cfg(feature = "columns-rusqlite")]
mod sqlite_values;
#[cfg(feature = "columns-sqlx")]
mod sqlx_values;
mod stored;
mod sweep;
mod value;

pub use blind_index::{BlindIndex, BlindIndexBuilder, IndexValue};
pub use column::{Column, ColumnBuilder};
pub use keys::ColumnKeys;
pub use normalization::Normalization;
pub use row_id::RowId;
pub use stored::{Encrypted, MAX_STORED_BYTES, MAX_VALUE_BYTES, StoredValueError};
#[cfg(feature = "columns-tokio-postgres")]
pub use sweep::PostgresSweepTable;
#[cfg(feature = "columns-rusqlite")]
pub use sweep::SqliteSweepTable;
#[cfg(any(feature = "columns-rusqlite", feature = "columns-tokio-postgres"))]
pub use sweep::SweepColumns;
pub use sweep::{Sweep, SweepChange, SweepError, SweepFailure, SweepPlan, SweepReport, SweepRow, SweepTable};
pub use value::{ColumnValue, Json};
