#![forbid(unsafe_code)]
//! The program `strongroom-server`: see `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    strongroom_server::command::main()
}
