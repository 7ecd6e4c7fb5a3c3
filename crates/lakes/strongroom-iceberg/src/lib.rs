#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | module | contains |
//! |---|---|
//! | `client` | [`IcebergKms`] |
//! | `rewrap` | [`IcebergKms::rewrap`] |
//! | `blocking` | calls on blocking threads |
//! | `error` | [`error_inside`], and the kinds of errors |

mod blocking;
mod client;
mod error;
mod rewrap;

pub use client::IcebergKms;
pub use error::error_inside;
