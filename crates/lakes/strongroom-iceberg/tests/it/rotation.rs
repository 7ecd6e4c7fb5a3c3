//! Rotation of keys, and moves to other keys.

use iceberg::ErrorKind as IcebergKind;
use iceberg::encryption::KeyManagementClient;
use strongroom::{ErrorKind, Kms};
use strongroom_iceberg::error_inside;

use crate::support::{CONTEXT, client, new_key, table};

#[tokio::test]
async fn a_rotation_needs_no_change_of_a_table() {
    let kms = Kms::in_memory().unwrap();
    let (client, key) = (client(&kms, CONTEXT), new_key(&kms));
    let folder = tempfile::tempdir().unwrap();
    let empty = table::create(folder.path(), &key).unwrap();
    let first = table::append(&table::open(empty, &client).unwrap(), &[1]).await.unwrap();
    kms.rotate_key_on_demand(key.as_str()).unwrap();
    assert_eq!(table::read(&table::open(first.clone(), &client).unwrap()).await.unwrap(), [1]);
    let second = table::append(&table::open(first, &client).unwrap(), &[2]).await.unwrap();
    assert_eq!(table::read(&table::open(second, &client).unwrap()).await.unwrap(), [1, 2]);

    let version = |wrapped: &[u8]| u32::from_be_bytes(wrapped[18..22].try_into().unwrap());
    let before = client.generate_key(&key).await.unwrap();
    kms.rotate_key_on_demand(key.as_str()).unwrap();
    let after = client.generate_key(&key).await.unwrap();
    assert_eq!(version(after.wrapped_key()), version(before.wrapped_key()) + 1);
}

#[tokio::test]
async fn a_table_moves_to_another_key_without_a_change_of_its_files() {
    let kms = Kms::in_memory().unwrap();
    let (client, old, new) = (client(&kms, CONTEXT), new_key(&kms), new_key(&kms));
    let folder = tempfile::tempdir().unwrap();
    let empty = table::create(folder.path(), &old).unwrap();
    let first = table::append(&table::open(empty, &client).unwrap(), &[1]).await.unwrap();
    let table = table::append(&table::open(first, &client).unwrap(), &[2]).await.unwrap();

    // First to the newest version of the same key, and then to another.
    kms.rotate_key_on_demand(old.as_str()).unwrap();
    let mut moved = table.clone();
    for target in [&old, &new] {
        let updates = client.rewrap(&moved, target).await.unwrap();
        let mut builder = moved.clone().into_builder(None);
        for update in updates {
            builder = update.apply(builder).unwrap();
        }
        let next = builder.build().unwrap().metadata;
        let keys = |table: &iceberg::spec::TableMetadata| {
            let mut keys: Vec<_> = table.encryption_keys_iter().map(|key| key.key_id().to_owned()).collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&next), keys(&table));
        assert_ne!(next, moved);
        moved = next;
        assert_eq!(table::read(&table::open(moved.clone(), &client).unwrap()).await.unwrap(), [1, 2]);
    }
    assert_eq!(moved.properties()["encryption.key-id"], new);
    kms.disable_key(old.as_str()).unwrap();
    assert_eq!(table::read(&table::open(moved.clone(), &client).unwrap()).await.unwrap(), [1, 2]);
    // Appending needs no new key encryption key.
    let appended = table::append(&table::open(moved, &client).unwrap(), &[3]).await.unwrap();
    assert_eq!(appended.encryption_keys_iter().len(), 4);
    let refused = table::read(&table::open(table, &client).unwrap()).await.unwrap_err();
    assert_eq!(error_inside(refused.as_ref()).unwrap().kind(), ErrorKind::Disabled);
}

#[tokio::test]
async fn a_refused_move_returns_no_updates() {
    let kms = Kms::in_memory().unwrap();
    let (client, old, new) = (client(&kms, CONTEXT), new_key(&kms), new_key(&kms));
    let folder = tempfile::tempdir().unwrap();
    let empty = table::create(folder.path(), &old).unwrap();
    let table = table::append(&table::open(empty, &client).unwrap(), &[1]).await.unwrap();
    for disabled in [&old, &new] {
        kms.disable_key(disabled.as_str()).unwrap();
        let refused = client.rewrap(&table, &new).await.unwrap_err();
        assert_eq!(refused.kind(), IcebergKind::PreconditionFailed);
        kms.enable_key(disabled.as_str()).unwrap();
    }
    let other = crate::support::client(&kms, [("table", "lake.customers")]);
    assert_eq!(other.rewrap(&table, &new).await.unwrap_err().kind(), IcebergKind::DataInvalid);
    let property = ["encryption.key-id".to_owned()];
    let plain = table.into_builder(None).remove_properties(&property).unwrap().build().unwrap().metadata;
    assert_eq!(client.rewrap(&plain, &new).await.unwrap_err().kind(), IcebergKind::PreconditionFailed);
}
