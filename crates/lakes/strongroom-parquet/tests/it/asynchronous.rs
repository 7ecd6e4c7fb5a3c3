//! The asynchronous client.

use std::sync::Arc;

use futures_util::TryStreamExt;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::arrow::async_writer::AsyncArrowWriter;
use parquet::file::properties::WriterProperties;
use parquet_key_management::crypto_factory::CryptoFactory;
use parquet_key_management::kms::AsyncKmsClient;
use strongroom::{ErrorKind, Kms};
use strongroom_parquet::{AsyncParquetKms, ParquetKms, error_inside};
use tokio::fs::File;

use crate::support::{CONTEXT, configuration, factory, new_key, read, rows};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_written_and_read_asynchronously() {
    let kms = Kms::in_memory().unwrap();
    let (footer, salary) = (new_key(&kms), new_key(&kms));
    let client = AsyncParquetKms::new(ParquetKms::new(&kms, CONTEXT).unwrap());
    let asynchronous = CryptoFactory::new_async_with_tokio(client);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("employees.parquet");

    let configuration = configuration(&footer, &salary);
    let encryption = asynchronous.file_encryption_properties(Arc::default(), &configuration).unwrap();
    let properties = WriterProperties::builder().with_file_encryption_properties(encryption).build();
    let file = File::create(&path).await.unwrap();
    let mut writer = AsyncArrowWriter::try_new(file, rows().schema(), Some(properties)).unwrap();
    writer.write(&rows()).await.unwrap();
    writer.close().await.unwrap();

    let decryption = asynchronous.file_decryption_properties(Arc::default(), Default::default()).unwrap();
    let options = ArrowReaderOptions::new().with_file_decryption_properties(decryption);
    let file = File::open(&path).await.unwrap();
    let stream = ParquetRecordBatchStreamBuilder::new_with_options(file, options).await.unwrap().build().unwrap();
    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap(), [rows()]);
    assert_eq!(read(&path, &factory(&kms)).unwrap(), rows());
}

#[test]
fn it_works_on_every_runtime_and_without_one() {
    let kms = Kms::in_memory().unwrap();
    let key = new_key(&kms);
    let client = AsyncParquetKms::new(ParquetKms::new(&kms, CONTEXT).unwrap());
    let round_trip = async || {
        let wrapped = client.wrap_key(&[7; 16], &key).await.unwrap();
        assert_eq!(client.unwrap_key(&wrapped, &key).await.unwrap(), [7; 16]);
        let refused = client.unwrap_key(&wrapped[1..], &key).await.unwrap_err();
        assert_eq!(error_inside(&refused).unwrap().kind(), ErrorKind::InvalidCiphertext);
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(round_trip());
    // Every call is ready at the first poll.
    let mut future = std::pin::pin!(round_trip());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_ready());
}
