//! Columns for the tests of this area.

use std::time::Duration;

use strongroom::Kms;
use strongroom::columns::{Column, ColumnKeys, ColumnValue};
use strongroom::key::KeyId;
use strongroom::request::CreateKeyRequest;

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The ways to encrypt values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Blobs,
    CachedDataKeys,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Blobs, Self::CachedDataKeys];

    /// Creates a column in this mode.
    pub(crate) fn column<T: ColumnValue>(self, keys: &ColumnKeys, table: &str, name: &str) -> TestResult<Column<T>> {
        let builder = Column::builder(keys, table, name);
        Ok(match self {
            Self::Blobs => builder.build()?,
            Self::CachedDataKeys => builder.cached_data_keys(Duration::from_secs(300)).build()?,
        })
    }
}

/// Returns a KMS with one key.
pub(crate) fn kms_with_key() -> TestResult<(Kms, KeyId)> {
    let kms = Kms::in_memory()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    Ok((kms, key))
}

/// Returns a KMS with a key for each tenant.
pub(crate) fn kms_with_tenants(tenants: &[&str]) -> TestResult<(Kms, ColumnKeys)> {
    let kms = Kms::in_memory()?;
    for tenant in tenants {
        kms.get_or_create_key(format!("alias/tenant/{tenant}"), CreateKeyRequest::default())?;
    }
    let keys = ColumnKeys::per_tenant(&kms, "alias/tenant/")?;
    Ok((kms, keys))
}
