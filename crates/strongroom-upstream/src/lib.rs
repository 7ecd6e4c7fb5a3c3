#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

mod deadline;
mod failure;
mod worker;

pub use deadline::{DEFAULT_DEADLINE, MAX_DEADLINE, check_deadline};
pub use failure::{Retry, find_failure, shown, unavailable};
pub use worker::{Interruption, Worker};
