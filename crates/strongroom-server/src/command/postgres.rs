//! Stores in a PostgreSQL database.

use strongroom::seal::RootKey;
use strongroom::store::{PostgresOptions, PostgresStore};
use strongroom::{Kms, KmsBuilder, SecretBytes};

use crate::error::Result;

/// The environment variable with the password of the role, as in libpq.
const PASSWORD: &str = "PGPASSWORD";

/// Opens the store in the schema `strongroom`, which must exist.
pub(super) fn open(builder: KmsBuilder, url: &str, root: RootKey) -> Result<Kms> {
    let mut options = PostgresOptions::new(url)?;
    if let Ok(password) = std::env::var(PASSWORD) {
        let password = SecretBytes::from_vec(password.into_bytes());
        options = options.password(password.expose_secret());
    }
    let store = PostgresStore::open(&options)?;
    Ok(builder.store(store, root).build()?)
}
