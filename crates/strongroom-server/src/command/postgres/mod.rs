//! Stores in a PostgreSQL database.

mod tls;
mod url;

use std::env;
use std::path::Path;
use std::sync::Arc;

use strongroom::seal::{PrivateFile, RootKey};
use strongroom::store::{KeyStore, PostgresOptions, PostgresStore, Revision};
use strongroom::{ErrorKind, Kms, KmsBuilder, SecretBytes, TrustedUsers};

use self::url::DatabaseUrl;
use super::arguments::StoreArguments;
use super::opening::read_line;
use crate::error::{Error, Result};

/// The environment variable with the password of the role, as in libpq.
pub(super) const PASSWORD: &str = "PGPASSWORD";

/// Opens the store. Its tables must exist. The builder and the root key are requested with `true` if
/// the store is new. Returns the same.
pub(super) fn open<P>(url: &str, arguments: &StoreArguments, prepare: P) -> Result<(Kms, bool)>
where
    P: FnOnce(bool) -> Result<(KmsBuilder, RootKey)>,
{
    let store = PostgresStore::open(&options(url, arguments)?)?;
    let is_new = store.revision()? == Revision::default();
    let (builder, root) = prepare(is_new)?;
    Ok((builder.store(store, root).build()?, is_new))
}

/// Creates the schema and the tables, or updates them. Lets a role use them.
pub(super) fn create_schema(url: &str, arguments: &StoreArguments, role: Option<&str>) -> Result<()> {
    let options = options(url, arguments)?;
    PostgresStore::create_schema(&options)?;
    Ok(role.map_or(Ok(()), |role| PostgresStore::grant_access(&options, role))?)
}

/// Opens the store with the anchor of another store. Its tables must exist.
pub(super) fn open_anchor(url: &str, arguments: &StoreArguments) -> Result<Arc<dyn KeyStore>> {
    let anchor = &arguments.anchor;
    let options = options_of(
        url,
        &anchor.anchor_schema,
        anchor.anchor_password_file.as_deref(),
        None,
        arguments.trusted_users(),
    )?;
    Ok(Arc::new(PostgresStore::open(&options)?))
}

fn options(url: &str, arguments: &StoreArguments) -> Result<PostgresOptions> {
    let file = arguments.postgres.postgres_password_file.as_deref();
    let variable =
        env::var(PASSWORD).ok().filter(|_| file.is_none()).map(String::into_bytes).map(SecretBytes::from_vec);
    options_of(url, &arguments.postgres.postgres_schema, file, variable.as_ref(), arguments.trusted_users())
}

fn options_of(
    url: &str,
    schema: &str,
    password_file: Option<&Path>,
    password: Option<&SecretBytes>,
    trusted: TrustedUsers,
) -> Result<PostgresOptions> {
    let file = password_file.map(|path| PrivateFile::new(path).trusted_users(trusted));
    let url = DatabaseUrl::parse(url, file.is_some() || password.is_some())?;
    let mut options = PostgresOptions::new(url.connection_string())?.schema(schema);
    if let Some(authorities) = url.authorities() {
        options = options.tls(tls::connector(authorities, url.client_certificate(), trusted)?);
    }
    if let Some(password) = password {
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
