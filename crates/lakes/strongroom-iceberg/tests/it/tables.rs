//! Tables that are written and read, and the limits of `iceberg` that the README states.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use futures_util::TryStreamExt;
use iceberg::io::{FileIO, LocalFsStorageFactory};
use iceberg::memory::{MEMORY_CATALOG_WAREHOUSE, MemoryCatalogBuilder};
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Catalog, CatalogBuilder, ErrorKind, NamespaceIdent, TableIdent};
use strongroom::Kms;

use crate::support::{CONTEXT, client, new_key, table};

#[tokio::test]
async fn a_table_is_encrypted_and_read_again() {
    let kms = Kms::in_memory().unwrap();
    let (client, key) = (client(&kms, CONTEXT), new_key(&kms));
    let folder = tempfile::tempdir().unwrap();
    let empty = table::create(folder.path(), &key).unwrap();
    let first = table::append(&table::open(empty, &client).unwrap(), &[1, 2, 3]).await.unwrap();
    let second = table::append(&table::open(first, &client).unwrap(), &[4]).await.unwrap();

    // As another process would find it.
    let stored = serde_json::to_vec(&second).unwrap();
    let opened = table::open(serde_json::from_slice(&stored).unwrap(), &client).unwrap();
    assert_eq!(table::read(&opened).await.unwrap(), [1, 2, 3, 4]);
    let mut files = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let (path, contents) = (entry.as_ref().unwrap().path(), fs::read(entry.unwrap().path()).unwrap());
        // Parquet with an encrypted footer, or a stream of Iceberg.
        assert!(contents.starts_with(b"PARE") || contents.starts_with(b"AGS1"), "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 6);
}

#[tokio::test]
async fn iceberg_plans_scans_of_encrypted_tables_and_does_not_read_their_data_files() {
    let kms = Kms::in_memory().unwrap();
    let (client, key) = (client(&kms, CONTEXT), new_key(&kms));
    let folder = tempfile::tempdir().unwrap();
    let empty = table::create(folder.path(), &key).unwrap();
    let metadata = table::append(&table::open(empty, &client).unwrap(), &[1, 2, 3]).await.unwrap();
    let opened = table::open(metadata, &client).unwrap();
    let scan = opened.scan().build().unwrap();
    let tasks: Vec<_> = scan.plan_files().await.unwrap().try_collect().await.unwrap();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].record_count, Some(3));
    let read = async { scan.to_arrow().await?.try_collect::<Vec<_>>().await };
    assert!(read.await.is_err(), "scans read encrypted data files now, which README.md denies");
}

#[tokio::test]
async fn iceberg_does_not_commit_to_encrypted_tables_and_catalogs_do_not_load_them() {
    let kms = Kms::in_memory().unwrap();
    let (client, key) = (client(&kms, CONTEXT), new_key(&kms));
    let folder = tempfile::tempdir().unwrap();
    let empty = table::create(folder.path(), &key).unwrap();
    let warehouse = HashMap::from([(MEMORY_CATALOG_WAREHOUSE.to_owned(), folder.path().display().to_string())]);
    let builder = MemoryCatalogBuilder::default().with_storage_factory(Arc::new(LocalFsStorageFactory));
    let catalog = builder.load("memory", warehouse).await.unwrap();
    catalog.create_namespace(&NamespaceIdent::new("lake".to_owned()), HashMap::new()).await.unwrap();

    let transaction = Transaction::new(&table::open(empty.clone(), &client).unwrap());
    let change = transaction.update_table_properties().set("a".to_owned(), "b".to_owned());
    let refused = change.apply(transaction).unwrap().commit(&catalog).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FeatureUnsupported, "commits work now, which README.md denies: {refused}");

    let location = format!("{}/v1.metadata.json", folder.path().display());
    let output = FileIO::new_with_fs().new_output(&location).unwrap();
    output.write(serde_json::to_vec(&empty).unwrap().into()).await.unwrap();
    let name = TableIdent::from_strs(["lake", "orders"]).unwrap();
    let refused = catalog.register_table(&name, location).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        ErrorKind::PreconditionFailed,
        "catalogs load them now, which README.md denies: {refused}"
    );
}
