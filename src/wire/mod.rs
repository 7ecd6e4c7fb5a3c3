//! The AWS JSON 1.1 protocol of AWS KMS, without sockets.
//!
//! | module | contains |
//! |---|---|
//! | `json` | the bounded parser of a body |
//! | `value` | the parsed tree, with typed accessors |
//! | `rejection` | a request that is refused because of its form |
//! | `fuzzing` | entry points for tests and fuzz targets |
//! | `constraints` | the members of all operations, and the check of a request |

mod constraints;
pub(crate) mod fuzzing;
mod json;
mod rejection;
mod value;
