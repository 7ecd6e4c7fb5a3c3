//! The program: its options, its start, and its commands.
//!
//! | part | contains |
//! |---|---|
//! | `arguments` | the command line |
//! | `opening` | the store, the root key, and the KMS on them |
//! | `first_start` | the first access key of a new store |
//! | `credentials` | the command that manages access keys |
//! | `postgres` | stores in PostgreSQL |
//! | `serve`, `signals` | the command that serves, and its signals |
//! | `log` | the log |

mod arguments;
mod credentials;
mod first_start;
mod log;
mod opening;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(not(feature = "postgres"))]
#[path = "postgres_missing.rs"]
mod postgres;
mod serve;
#[cfg(unix)]
mod signals;
#[cfg(not(unix))]
#[path = "signals_elsewhere.rs"]
mod signals;

use std::process::ExitCode;

use arguments::{Arguments, Command};

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let result = match Arguments::parse_command() {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Credentials(arguments) => credentials::run(&arguments),
        Command::CreateSchema(arguments) => opening::create_schema(&arguments.store, arguments.grant_to.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("strongroom-server: {error}");
            ExitCode::FAILURE
        }
    }
}
