//! The program: its options, its start, and its commands.
//!
//! | part | contains |
//! |---|---|
//! | `arguments` | the command line |
//! | `opening` | the store, the root key, and the KMS on them |
//! | `first_start` | the first access key of a new store |
//! | `credentials`, `policies` | the commands that manage access keys, and policies of users and roles |
//! | `anchor` | the anchor of a store |
//! | `checkpoints`, `signer` | signed checkpoints of the audit trail, and the program that signs them |
//! | `verify` | the command that verifies the store and the audit trail |
//! | `postgres` | stores in PostgreSQL |
//! | `serve`, `signals` | the command that serves, and its signals |
//! | `service_manager` | messages to systemd |
//! | `log` | the log |

mod anchor;
mod arguments;
mod checkpoints;
mod credentials;
mod first_start;
mod log;
mod opening;
mod policies;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(not(feature = "postgres"))]
#[path = "postgres_missing.rs"]
mod postgres;
mod serve;
#[cfg(target_os = "linux")]
mod service_manager;
#[cfg(not(target_os = "linux"))]
#[path = "service_manager_elsewhere.rs"]
mod service_manager;
#[cfg(unix)]
mod signals;
#[cfg(not(unix))]
#[path = "signals_elsewhere.rs"]
mod signals;
mod signer;
mod verify;

use std::io::{self, Write};
use std::process::ExitCode;

use arguments::{Arguments, Command};

use crate::error::{Error, Result};

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let result = match Arguments::parse_command() {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Credentials(arguments) => credentials::run(&arguments),
        Command::Policies(arguments) => policies::run(&arguments),
        Command::BackUp { store, copy } => opening::back_up(&store, &copy),
        Command::Verify(arguments) => verify::run(&arguments),
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

/// Writes the result of a command.
fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| Error::new("cannot write to standard output").with_source(error))
}
