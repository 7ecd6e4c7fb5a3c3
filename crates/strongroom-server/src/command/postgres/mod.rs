//! Stores in a PostgreSQL database.

mod tls;
mod url;

use std::env;

use strongroom::seal::{PrivateFile, RootKey};
use strongroom::store::{KeyStore, PostgresOptions, PostgresStore, Revision};
use strongroom::{ErrorKind, Kms, KmsBuilder, SecretBytes};

use self::url::DatabaseUrl;
use super::arguments::StoreArguments;
use super::opening::read_line;
use crate::error::{Error, Result};

/// The environment variable with the password of the role, as in libpq.
const PASSWORD: &str = "PGPASSWORD";

/// Opens the store. Its tables must exist. The root key is requested with `true` if the store is
/// new. Returns the same.
pub(super) fn open<R>(builder: KmsBuilder, url: &str, arguments: &StoreArguments, root: R) -> Result<(Kms, bool)>
where
    R: FnOnce(bool) -> Result<RootKey>,
{
    let store = PostgresStore::open(&options(url, arguments)?)?;
    let is_new = store.revision()? == Revision::default();
    let root = root(is_new)?;
    Ok((builder.store(store, root).build()?, is_new))
}

/// Creates the schema and the tables, or updates them. Lets a role use them.
pub(super) fn create_schema(url: &str, arguments: &StoreArguments, role: Option<&str>) -> Result<()> {
    let options = options(url, arguments)?;
    PostgresStore::create_schema(&options)?;
    Ok(role.map_or(Ok(()), |role| PostgresStore::grant_access(&options, role))?)
}

fn options(url: &str, arguments: &StoreArguments) -> Result<PostgresOptions> {
    let file = arguments.postgres.postgres_password_file.as_ref();
    let file = file.map(|path| PrivateFile::new(path).trusted_users(arguments.trusted_users()));
    let variable =
        env::var(PASSWORD).ok().filter(|_| file.is_none()).map(String::into_bytes).map(SecretBytes::from_vec);
    let url = DatabaseUrl::parse(url, file.is_some() || variable.is_some())?;
    let mut options = PostgresOptions::new(url.connection_string())?.schema(&arguments.postgres.postgres_schema);
    if let Some(authorities) = url.authorities() {
        options = options.tls(tls::connector(authorities, url.client_certificate(), arguments.trusted_users())?);
    }
    if let Some(password) = variable {
        options = options.password(password.expose_secret());
    }
    if let Some(file) = file {
        read_line(&file)?;
        options = options.password_with(move || read_password(&file));
    }
    Ok(options)
}

/// Reads the password for a connection.
fn read_password(file: &PrivateFile) -> strongroom::Result<SecretBytes> {
    let failed = |error: Error| strongroom::Error::new(ErrorKind::Io, error.to_string());
    Ok(SecretBytes::copy_from_slice(read_line(file).map_err(failed)?.as_bytes()))
}
