//! The HTTP server: connections, limits, routes, and answers.
//!
//! | part | contains |
//! |---|---|
//! | `limits` | the bounds of sizes, numbers and times |
//! | `listener` | accepts connections, and ends them at shutdown |
//! | `connections` | the places of connections, and which of them must leave |
//! | `connection` | TLS, HTTP/1.1 and HTTP/2 on one connection, and its timeouts |
//! | `lingering` | closes a connection without losing the last answer |
//! | `service` | the routes, and the steps of a request |
//! | `body` | reads a body within its limits |
//! | `budget` | the memory of all requests |
//! | `workers` | threads for calls, with a bounded queue |
//! | `answer` | answers and errors of the server itself |
//! | `state` | everything that the requests share |

mod activity;
mod answer;
mod body;
mod budget;
mod call;
mod connection;
mod connections;
mod limits;
mod lingering;
mod listener;
mod service;
mod state;
mod workers;

pub use limits::Limits;
pub use listener::Server;
pub use state::State;
