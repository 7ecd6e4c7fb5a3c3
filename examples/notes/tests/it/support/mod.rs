//! Helpers of the tests.

pub(crate) mod process;

// The PostgreSQL servers that the tests of the library start.
#[path = "../../../../../tests/it/support/child_process.rs"]
#[allow(dead_code, reason = "tests of the library use the rest")]
pub(crate) mod child_process;
#[path = "../../../../../tests/it/support/external_tools.rs"]
#[allow(dead_code, reason = "tests of the library use the rest")]
pub(crate) mod external_tools;
pub(crate) mod postgres;

use sqlx::any::{AnyRow, install_default_drivers};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Runs a test on a runtime.
pub(crate) fn block_on<T>(test: impl Future<Output = TestResult<T>>) -> TestResult<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(test)
}

/// Executes statements over a separate connection, and returns the rows.
pub(crate) fn sql(url: &str, statements: &str) -> TestResult<Vec<AnyRow>> {
    install_default_drivers();
    block_on(async {
        let mut connection = AnyConnection::connect(url).await?;
        let rows = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows)
    })
}
