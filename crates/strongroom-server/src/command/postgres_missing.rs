//! The answer to a store in PostgreSQL if the server was built without it.

use strongroom::seal::RootKey;
use strongroom::{Kms, KmsBuilder};

use super::arguments::StoreArguments;
use crate::error::{Error, Result};

pub(super) fn open<R>(_: KmsBuilder, _: &str, _: &StoreArguments, _: R) -> Result<(Kms, bool)>
where
    R: FnOnce(bool) -> Result<RootKey>,
{
    Err(missing())
}

pub(super) fn create_schema(_: &str, _: &StoreArguments, _: Option<&str>) -> Result<()> {
    Err(missing())
}

fn missing() -> Error {
    Error::new("cannot use a store in PostgreSQL: build the server with --features postgres")
}
