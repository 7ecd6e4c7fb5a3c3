//! Stored values as parameters and columns of `sqlx`, for every database that has bytes.

use sqlx::database::Database;
use sqlx::decode::Decode;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::types::Type;

use super::blind_index::IndexValue;
use super::stored::Encrypted;

/// Implements the traits of parameters for a type with `as_bytes` and `into_bytes`.
macro_rules! stored_as_bytes {
    ($name:ty $(, $parameter:ident)?) => {
        /// Accepts bytes only (`BYTEA`, `BLOB`, `VARBINARY`): text is plaintext, or was encoded by another
        /// program.
        impl<DB: Database $(, $parameter)?> Type<DB> for $name
        where
            Vec<u8>: Type<DB>,
            String: Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <Vec<u8> as Type<DB>>::type_info()
            }

            fn compatible(kind: &DB::TypeInfo) -> bool {
                is_bytes::<DB>(kind)
            }
        }

        /// Stores the bytes. An `Option` is `NULL` if it is `None`.
        impl<'q, DB: Database $(, $parameter)?> Encode<'q, DB> for $name
        where
            Vec<u8>: Encode<'q, DB>,
            for<'a> &'a [u8]: Encode<'a, DB>,
        {
            fn encode(self, out: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
                self.into_bytes().encode(out)
            }

            fn encode_by_ref(&self, out: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
                self.as_bytes().encode(out)
            }

            fn produces(&self) -> Option<DB::TypeInfo> {
                self.as_bytes().produces()
            }

            fn size_hint(&self) -> usize {
                self.as_bytes().len()
            }
        }
    };
}

stored_as_bytes!(Encrypted<T>, T);
stored_as_bytes!(IndexValue);

/// Checks that the bytes are a stored value. Only decryption shows that they are authentic.
impl<'r, DB: Database, T> Decode<'r, DB> for Encrypted<T>
where
    Vec<u8>: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        // A slice cannot be decoded from the text protocol of PostgreSQL.
        Ok(Self::from_bytes(<Vec<u8> as Decode<'r, DB>>::decode(value)?)?)
    }
}

/// Returns `true` for a type of bytes that is no type of text. The drivers of SQLite and MySQL also
/// read text as bytes.
fn is_bytes<DB: Database>(kind: &DB::TypeInfo) -> bool
where
    Vec<u8>: Type<DB>,
    String: Type<DB>,
{
    <Vec<u8> as Type<DB>>::compatible(kind) && !<String as Type<DB>>::compatible(kind)
}
