//! Requests over sockets.

mod clients;
mod limits;
mod routes;
mod shutdown;
mod unsigned;
