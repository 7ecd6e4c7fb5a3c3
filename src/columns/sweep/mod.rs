//! Re-encryption of stored rows, in batches.

#[cfg(any(feature = "columns-rusqlite", feature = "columns-tokio-postgres"))]
mod column_names;
mod error;
mod failure;
mod plan;
#[cfg(feature = "columns-tokio-postgres")]
mod postgres;
mod report;
mod rows;
mod run;
#[cfg(feature = "columns-rusqlite")]
mod sqlite;

#[cfg(any(feature = "columns-rusqlite", feature = "columns-tokio-postgres"))]
pub use column_names::SweepColumns;
pub use error::SweepError;
pub use failure::SweepFailure;
#[cfg(feature = "columns-tokio-postgres")]
pub use postgres::PostgresSweepTable;
pub use report::SweepReport;
pub use rows::{SweepChange, SweepPlan, SweepRow, SweepTable};
pub use run::Sweep;
#[cfg(feature = "columns-rusqlite")]
pub use sqlite::SqliteSweepTable;
