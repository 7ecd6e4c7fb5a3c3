//! A PKCS#11 module that forwards to another one and fails on request.
//!
//! As a `cdylib`, it is a module: it exports `C_GetFunctionList`, forwards each call to the real
//! module, and applies the rules set by a test. It also passes the initialization arguments that
//! NSS requires and safe code cannot pass. As an `rlib`, it contains the code with which tests
//! control it ([`Shim`], [`SoftHsm`], [`Nss`]), and the bare C calls of the benchmarks.

#![allow(non_snake_case, reason = "the functions have the names of the standard")]

mod bare;
mod control;
mod module;
mod process;
mod tokens;

pub use bare::{Bare, SecretKey};
pub use control::{Action, Function, Shim};
pub use process::in_child;
pub use tokens::{Nss, PIN, SoftHsm, nss_module, soft_hsm_module};
