//! An encrypted Iceberg table with one column, in a folder: the steps that `iceberg` 0.10.1 does not
//! perform itself, according to the specification of Iceberg, version 3.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use bytes::Bytes;
use iceberg::encryption::{EncryptionManager, StandardKeyMetadata};
use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, FormatVersion, ManifestListWriter,
    ManifestWriterBuilder, NestedField, Operation, PartitionSpec, PrimitiveType, Schema, Snapshot, SortOrder, Struct,
    Summary, TableMetadata, TableMetadataBuilder, Type,
};
use iceberg::table::Table;
use iceberg::{Runtime, TableIdent};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::file::properties::WriterProperties;
use strongroom_iceberg::IcebergKms;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Returns the metadata of a new table whose keys are wrapped with a key of the KMS.
pub(crate) fn create(folder: &Path, key: &str) -> Result<TableMetadata> {
    let id = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder().with_fields([id.into()]).build()?;
    let properties = HashMap::from([("encryption.key-id".to_owned(), key.to_owned())]);
    let (unpartitioned, unsorted) = (PartitionSpec::unpartition_spec(), SortOrder::unsorted_order());
    let location = format!("file://{}", folder.display());
    let builder = TableMetadataBuilder::new(schema, unpartitioned, unsorted, location, FormatVersion::V3, properties)?;
    Ok(builder.build()?.metadata)
}

/// Opens a table, as a catalog would if it passed the client of a KMS.
pub(crate) fn open(metadata: TableMetadata, kms: &IcebergKms) -> iceberg::Result<Table> {
    Table::builder()
        .identifier(TableIdent::from_strs(["lake", "orders"])?)
        .metadata(metadata)
        .file_io(FileIO::new_with_fs())
        .runtime(Runtime::current())
        .kms_client(Arc::new(kms.clone()))
        .build()
}

/// Appends rows to a table: an encrypted data file, manifest, and manifest list. Returns the metadata
/// that the catalog is to have.
pub(crate) async fn append(table: &Table, rows: &[i64]) -> Result<TableMetadata> {
    let manager = table.encryption_manager().ok_or("the table has no key")?;
    let metadata = table.metadata();
    let snapshot_id = metadata.last_sequence_number() + 1;
    let count = u64::try_from(rows.len())?;
    let file = |name: &str| table.file_io().new_output(format!("{}/{snapshot_id}-{name}", metadata.location()));

    let data_file = write_data_file(manager, file("data.parquet")?, rows).await?;
    let (schema, partitions) = (metadata.current_schema().clone(), metadata.default_partition_spec().as_ref().clone());
    let output = manager.encrypt(file("manifest.avro")?);
    let writer = ManifestWriterBuilder::new_from_encrypted(output, Some(snapshot_id), schema, partitions)?;
    let mut manifest = writer.build_v3_data();
    manifest.add_file(data_file, snapshot_id)?;
    let manifest = manifest.write_manifest_file().await?;

    let mut manifests = vec![manifest];
    let parent = metadata.current_snapshot();
    if let Some(parent) = parent {
        manifests.extend(table.manifest_list_reader(parent).load().await?.consume_entries());
    }
    let output = manager.encrypt(file("manifest-list.avro")?);
    let parent_id = parent.map(|parent| parent.snapshot_id());
    let first_row = metadata.next_row_id();
    let mut list = ManifestListWriter::v3(output.writer().await?, snapshot_id, parent_id, snapshot_id, Some(first_row));
    list.add_manifests(manifests.into_iter())?;
    list.close().await?;
    let key_of_list = manager.encrypt_manifest_list_key_metadata(output.key_metadata()).await?;

    let snapshot = Snapshot::builder()
        .with_snapshot_id(snapshot_id)
        .with_parent_snapshot_id(parent_id)
        .with_sequence_number(snapshot_id)
        .with_timestamp_ms(metadata.last_updated_ms() + 1)
        .with_manifest_list(output.location())
        .with_summary(Summary { operation: Operation::Append, additional_properties: HashMap::new() })
        .with_schema_id(metadata.current_schema_id())
        .with_encryption_key_id(Some(key_of_list))
        .with_row_range(first_row, count)
        .build();
    let mut builder = metadata.clone().into_builder(None);
    let keys = manager.with_encryption_keys(|keys| keys.values().cloned().collect::<Vec<_>>());
    for key in keys {
        builder = builder.add_encryption_key(key);
    }
    Ok(builder.set_branch_snapshot(snapshot, "main")?.build()?.metadata)
}

/// Writes a data file with the encryption of Parquet, under a separate data key.
async fn write_data_file(
    manager: &EncryptionManager,
    output: iceberg::io::OutputFile,
    rows: &[i64],
) -> Result<DataFile> {
    let output = manager.encrypt(output);
    let keys = output.key_metadata().clone();
    let encryption = FileEncryptionProperties::builder(keys.encryption_key().as_bytes().to_vec())
        .with_aad_prefix(keys.aad_prefix().unwrap_or_default().to_vec())
        .with_aad_prefix_storage(false)
        .build()?;
    let properties = WriterProperties::builder().with_file_encryption_properties(encryption).build();
    let column: ArrayRef = Arc::new(Int64Array::from(rows.to_vec()));
    let rows = RecordBatch::try_from_iter([("id", column)])?;
    let mut stored = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut stored, rows.schema(), Some(properties))?;
    writer.write(&rows)?;
    writer.close()?;
    let length = stored.len();
    // Parquet has encrypted the file, so it is not encrypted as a stream.
    let output = output.into_inner();
    output.write(Bytes::from(stored)).await?;
    let data_file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(output.location().to_owned())
        .file_format(DataFileFormat::Parquet)
        .file_size_in_bytes(u64::try_from(length)?)
        .record_count(u64::try_from(rows.num_rows())?)
        .partition(Struct::empty())
        .key_metadata(Some(keys.encode()?.to_vec()))
        .build()?;
    Ok(data_file)
}

/// Reads the rows of a table, in their order.
pub(crate) async fn read(table: &Table) -> Result<Vec<i64>> {
    let mut rows = Vec::new();
    let Some(snapshot) = table.metadata().current_snapshot() else { return Ok(rows) };
    for manifest in table.manifest_list_reader(snapshot).load().await?.entries() {
        for entry in manifest.load_manifest(table.file_io()).await?.entries() {
            let keys = entry.data_file().key_metadata().ok_or("a data file is not encrypted")?;
            let keys = StandardKeyMetadata::decode(keys)?;
            let decryption = FileDecryptionProperties::builder(keys.encryption_key().as_bytes().to_vec())
                .with_aad_prefix(keys.aad_prefix().unwrap_or_default().to_vec())
                .build()?;
            let options = ArrowReaderOptions::new().with_file_decryption_properties(decryption);
            let stored = table.file_io().new_input(entry.file_path())?.read().await?;
            for batch in ParquetRecordBatchReaderBuilder::try_new_with_options(stored, options)?.build()? {
                let batch = batch?;
                let column = batch.column(0).as_any().downcast_ref::<Int64Array>().ok_or("another type")?;
                rows.extend(column.values());
            }
        }
    }
    rows.sort_unstable();
    Ok(rows)
}
