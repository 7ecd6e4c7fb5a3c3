//! The answer to a store in PostgreSQL if the server was built without it.

use std::sync::Arc;

use strongroom::seal::RootKey;
use strongroom::store::KeyStore;
use strongroom::{Kms, KmsBuilder};

use super::arguments::StoreArguments;
use crate::error::{Error, Result};

/// The environment variable with the password of the role, which other programs need not see.
pub(super) const PASSWORD: &str = "PGPASSWORD";

pub(super) fn open<P>(_: &str, _: &StoreArguments, _: P) -> Result<(Kms, bool)>
where
    P: FnOnce(bool) -> Result<(KmsBuilder, RootKey)>,
{
    Err(missing())
}

pub(super) fn open_anchor(_: &str, _: &StoreArguments) -> Result<Arc<dyn KeyStore>> {
    Err(missing())
}

pub(super) fn create_schema(_: &str, _: &StoreArguments, _: Option<&str>) -> Result<()> {
    Err(missing())
}

fn missing() -> Error {
    Error::new("cannot use a store in PostgreSQL: build the server with --features postgres")
}
