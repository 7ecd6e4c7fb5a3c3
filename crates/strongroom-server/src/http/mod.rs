//! The HTTP server: connections, limits, routes, and answers.
//!
//! | part | contains |
//! |---|---|
//! | `limits` | the bounds of sizes, numbers and times |
//! | `listener` | accepts connections, and ends them at shutdown |
//! | `connection` | TLS, HTTP/1.1 and HTTP/2 on one connection, and its timeouts |
//! | `service` | the routes, and the steps of a request |
//! | `body` | reads a body within its limits |
//! | `workers` | threads for calls, with a bounded queue |
//! | `answer` | answers and errors of the server itself |
//! | `state` | everything that the requests share |

mod activity;
mod answer;
mod body;
mod call;
mod connection;
mod limits;
mod listener;
mod service;
mod state;
mod workers;

pub use limits::Limits;
pub use listener::Server;
pub use state::State;
