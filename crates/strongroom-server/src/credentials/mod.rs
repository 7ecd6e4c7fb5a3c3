//! Access keys: the file that maps them to principals, and their secrets.
//!
//! The file contains the secret of each access key encrypted under a KMS key of the store, the alias
//! of which is [`KEY_ALIAS`]. The encryption context contains everything else that the file states
//! about the access key, so nobody who can write the file can give an access key another principal,
//! extend its lifetime, or replace its session token. They can delete entries, and restore an
//! earlier file, which restores deleted access keys: protect the file like the store.
//!
//! Only the root of the account may use that KMS key, because its key policy denies all others.
//! Session tokens are random and stored as their SHA-256 hash.
//!
//! ```json
//! {
//!   "version": 1,
//!   "credentials": [
//!     {
//!       "accessKeyId": "AKIAQF3TRWZ6EXAMPLE7",
//!       "principal": "arn:aws:iam::000000000000:user/alice",
//!       "created": "2026-11-30T12:00:00Z",
//!       "encryptedSecret": "AQIB..."
//!     }
//!   ]
//! }
//! ```
//!
//! Optional members are `expires`, a time, and `sessionTokenSha256`, 64 hexadecimal digits.

mod access_key;
mod file;
mod issue;
mod sealing;

pub use access_key::{AccessKey, AccessKeys};
pub use file::{CredentialsFile, Entry};
pub use issue::{IssueOptions, Issued, issue};
pub use sealing::KEY_ALIAS;
