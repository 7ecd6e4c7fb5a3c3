//! Writes and reads an encrypted Iceberg table, rotates its key, and moves it to another key, without a
//! change of its files.
//!
//!     cargo run --manifest-path crates/lakes/Cargo.toml --package strongroom-iceberg --example encrypted_table

mod table;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use iceberg::spec::TableMetadata;
use strongroom::Kms;
use strongroom_iceberg::{IcebergKms, error_inside};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let kms = Kms::in_memory()?;
    let key = || Ok::<_, strongroom::Error>(kms.create_key(Default::default())?.key_id().to_string());
    let (old, new) = (key()?, key()?);
    let folder = tempfile::tempdir()?;
    let client = IcebergKms::new(&kms, [("table", "lake.orders")])?;

    let metadata = table::create(folder.path(), &old)?;
    let metadata = table::append(&table::open(metadata, &client)?, &[1, 2, 3]).await?;
    assert_eq!(table::read(&table::open(metadata.clone(), &client)?).await?, [1, 2, 3]);
    println!("wrote and read an encrypted table in {}", folder.path().display());

    // The key gets a new version. Old snapshots stay readable, and new ones are written as before.
    kms.rotate_key_on_demand(old.as_str())?;
    let metadata = table::append(&table::open(metadata, &client)?, &[4, 5]).await?;
    assert_eq!(table::read(&table::open(metadata.clone(), &client)?).await?, [1, 2, 3, 4, 5]);
    println!("rotated the key, and appended to the table");

    // The table moves to another key: only its metadata change.
    let files = files(folder.path())?;
    let mut builder = metadata.clone().into_builder(None);
    for update in client.rewrap(&metadata, &new).await? {
        builder = update.apply(builder)?;
    }
    let moved: TableMetadata = builder.build()?.metadata;
    kms.disable_key(old.as_str())?;
    assert_eq!(table::read(&table::open(moved, &client)?).await?, [1, 2, 3, 4, 5]);
    assert_eq!(self::files(folder.path())?, files);
    println!("moved the table to another key, without a change of its {} files", files.len());

    let refused = table::read(&table::open(metadata, &client)?).await.err().ok_or("the old key is disabled")?;
    let cause = error_inside(refused.as_ref()).ok_or("the KMS refused")?;
    println!("the earlier metadata need the disabled key: {cause}");
    Ok(())
}

/// Returns the names and contents of the files of a table.
fn files(folder: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries
        .iter()
        .map(|entry| Ok((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?)))
        .collect()
}
