//! The AWS JSON 1.1 protocol of AWS KMS, without sockets.
//!
//! | module | contains |
//! |---|---|
//! | `json` | the bounded parser of a body |
//! | `value` | the parsed tree, with typed accessors |
//! | `rejection` | a request that is refused because of its form |
//! | `constraints` | the members of all operations, and the check of a request |

mod constraints;
mod json;
mod rejection;
mod value;
