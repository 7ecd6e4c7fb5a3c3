//! The answer to a store in PostgreSQL if the server was built without it.

use strongroom::seal::RootKey;
use strongroom::{Kms, KmsBuilder};

use crate::error::{Error, Result};

pub(super) fn open(_: KmsBuilder, _: &str, _: RootKey) -> Result<Kms> {
    Err(Error::new("cannot open a store in PostgreSQL: build the server with --features postgres"))
}
