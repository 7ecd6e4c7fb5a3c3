//! Tests of the service as a process, and of the values of strongroom as types of sqlx.

mod adapter;
mod deletion;
mod service;
mod support;
