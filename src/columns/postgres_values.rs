//! Stored values as parameters and columns of `tokio-postgres` and `postgres`.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::blind_index::IndexValue;
use super::stored::Encrypted;

/// Stores the value as `BYTEA`. `Option<Encrypted<T>>` is `NULL` if it is `None`.
impl<T> ToSql for Encrypted<T> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.as_bytes().to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::BYTEA
    }

    to_sql_checked!();
}

/// Accepts `BYTEA` only: text is plaintext, or was encoded by another program.
impl<'a, T> FromSql<'a> for Encrypted<T> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::try_from(raw)?)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::BYTEA
    }
}

/// Stores the index value as `BYTEA`.
impl ToSql for IndexValue {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.as_bytes().to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::BYTEA
    }

    to_sql_checked!();
}
