//! Tables, and the files that they are in.

// The endpoint that answers boto3, and the interpreter.
#[path = "../../../../../strongroom-aws-kms/tests/it/support/endpoint.rs"]
#[allow(dead_code, reason = "tests of other packages use the rest")]
pub(crate) mod endpoint;
#[path = "../../../../../strongroom-server/tests/it/support/peer.rs"]
#[allow(dead_code, reason = "tests of other packages use the rest")]
pub(crate) mod peer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet_key_management::crypto_factory::{CryptoFactory, EncryptionConfiguration};
use strongroom::Kms;
use strongroom_parquet::ParquetKms;

/// The encryption context of the tests.
pub(crate) const CONTEXT: [(&str, &str); 1] = [("table", "employees")];

pub(crate) fn new_key(kms: &Kms) -> String {
    kms.create_key(Default::default()).unwrap().key_id().to_string()
}

pub(crate) fn factory(kms: &Kms) -> CryptoFactory {
    CryptoFactory::new(ParquetKms::new(kms, CONTEXT).unwrap())
}

/// Encrypts the column `salary` with one key, and everything else with another.
pub(crate) fn configuration(footer: &str, salary: &str) -> EncryptionConfiguration {
    EncryptionConfiguration::builder(footer.to_owned())
        .add_column_key(salary.to_owned(), vec!["salary".to_owned()])
        .build()
        .unwrap()
}

pub(crate) fn rows() -> RecordBatch {
    let column = |values: [i64; 3]| -> ArrayRef { Arc::new(Int64Array::from_iter_values(values)) };
    RecordBatch::try_from_iter([("id", column([1, 2, 3])), ("salary", column([5_100, 4_900, 6_000]))]).unwrap()
}

pub(crate) fn write(path: &Path, factory: &CryptoFactory, configuration: &EncryptionConfiguration) -> Result<()> {
    let encryption = factory.file_encryption_properties(Arc::default(), configuration)?;
    let properties = WriterProperties::builder().with_file_encryption_properties(encryption).build();
    let rows = rows();
    let mut writer = ArrowWriter::try_new(File::create(path)?, rows.schema(), Some(properties))?;
    writer.write(&rows)?;
    writer.close()?;
    Ok(())
}

pub(crate) fn read(path: &Path, factory: &CryptoFactory) -> Result<RecordBatch> {
    let decryption = factory.file_decryption_properties(Arc::default(), Default::default())?;
    let options = ArrowReaderOptions::new().with_file_decryption_properties(decryption);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(path)?, options)?;
    let mut batches = builder.build()?.collect::<std::result::Result<Vec<_>, _>>()?;
    assert_eq!(batches.len(), 1);
    Ok(batches.remove(0))
}
