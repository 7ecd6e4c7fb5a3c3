//! The asynchronous KMS client of Parquet files.

use std::panic;
use std::sync::Arc;

use parquet_key_management::errors::Result as ParquetResult;
use parquet_key_management::kms::{AsyncKmsClient, AsyncKmsClientFactory, AsyncKmsClientRef, KmsConnectionInfo};
use strongroom::{Error, ErrorKind, Result, SecretBytes};
use tokio::runtime::Handle;

use crate::client::{ParquetKms, external};

/// A [`ParquetKms`] for programs on Tokio. The KMS runs on the threads of
/// [`spawn_blocking`](tokio::task::spawn_blocking); without a runtime, it runs in place.
///
/// Pass it to
/// [`CryptoFactory::new_async_with_tokio`](parquet_key_management::crypto_factory::CryptoFactory::new_async_with_tokio),
/// which requires a multi-threaded runtime. The errors are those of [`ParquetKms`]. A call that was
/// dropped runs to its end.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_multi_thread().build()?.block_on(async {
/// use parquet_key_management::kms::AsyncKmsClient;
/// use strongroom::Kms;
/// use strongroom_parquet::{AsyncParquetKms, ParquetKms};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id().to_string();
/// let client = AsyncParquetKms::new(ParquetKms::new(&kms, [("table", "orders")])?);
/// let wrapped = client.wrap_key(&[7; 16], &key).await?;
/// assert_eq!(client.unwrap_key(&wrapped, &key).await?, [7; 16]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AsyncParquetKms(ParquetKms);

impl AsyncParquetKms {
    /// Calls a client on blocking threads.
    pub const fn new(client: ParquetKms) -> Self {
        Self(client)
    }

    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&ParquetKms) -> Result<T> + Send + 'static,
    ) -> ParquetResult<T> {
        let Ok(runtime) = Handle::try_current() else { return call(&self.0).map_err(external) };
        let client = self.0.clone();
        match runtime.spawn_blocking(move || call(&client)).await {
            Ok(result) => result.map_err(external),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => panic::resume_unwind(panic),
                Err(error) => {
                    let stopped = Error::new(ErrorKind::Io, "the runtime is shutting down, so the KMS was not called");
                    Err(external(stopped.with_source(error)))
                }
            },
        }
    }
}

#[async_trait::async_trait]
impl AsyncKmsClient for AsyncParquetKms {
    async fn wrap_key(&self, key_bytes: &[u8], master_key_identifier: &str) -> ParquetResult<String> {
        let (key, master_key) = (SecretBytes::copy_from_slice(key_bytes), master_key_identifier.to_owned());
        self.call(move |client| client.wrap(key.expose_secret(), &master_key)).await
    }

    async fn unwrap_key(&self, wrapped_key: &str, master_key_identifier: &str) -> ParquetResult<Vec<u8>> {
        let (wrapped, master_key) = (wrapped_key.to_owned(), master_key_identifier.to_owned());
        self.call(move |client| client.unwrap(&wrapped, &master_key)).await
    }
}

#[async_trait::async_trait]
impl AsyncKmsClientFactory for AsyncParquetKms {
    async fn create_client(&self, _: &KmsConnectionInfo) -> ParquetResult<AsyncKmsClientRef> {
        Ok(Arc::new(self.clone()))
    }
}
