//! Moving a table to another key, without a change of its files.

use std::collections::HashMap;

use iceberg::TableUpdate;
use iceberg::spec::{EncryptedKey, TableMetadata, TableProperties};
use strongroom::Result;
use strongroom::request::ReEncryptRequest;

use crate::{IcebergKms, blocking, error};

impl IcebergKms {
    /// Returns the updates of a table after which its keys are wrapped with another key, or with the
    /// newest version of the same key.
    ///
    /// The updates replace the key encryption keys in the table metadata, and set `encryption.key-id`.
    /// The data keys and all files of the table stay as they are. The plaintext of the keys does not
    /// leave the KMS. Commit the updates through the catalog of the table, in one commit. Snapshots that
    /// were read before the commit need the old key until their readers have cached its result.
    ///
    /// It calls the KMS once for each key encryption key of the table, of which there is one per two years
    /// and key. `wrapping_key` is a key ID, a key ARN, an alias name or an alias ARN.
    ///
    /// # Errors
    /// - [`PreconditionFailed`](iceberg::ErrorKind::PreconditionFailed) if the table is not encrypted,
    ///   or if the KMS does not allow the use of one of the two keys.
    /// - Every kind of the other calls of [`IcebergKms`].
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use std::collections::HashMap;
    ///
    /// use iceberg::encryption::KeyManagementClient;
    /// use iceberg::spec::{EncryptedKey, FormatVersion, PartitionSpec, Schema, SortOrder, TableMetadataBuilder};
    /// use strongroom::Kms;
    /// use strongroom_iceberg::IcebergKms;
    ///
    /// let kms = Kms::in_memory()?;
    /// let (old, new) = (kms.create_key(Default::default())?.key_id(), kms.create_key(Default::default())?.key_id());
    /// let client = IcebergKms::new(&kms, [("table", "lake.orders")])?;
    /// let generated = client.generate_key(&old.to_string()).await?;
    /// let entry = EncryptedKey::builder()
    ///     .key_id("a")
    ///     .encrypted_key_metadata(generated.wrapped_key())
    ///     .encrypted_by_id(old.to_string())
    ///     .build();
    /// let (unpartitioned, unsorted) = (PartitionSpec::unpartition_spec(), SortOrder::unsorted_order());
    /// let properties = HashMap::from([("encryption.key-id".to_owned(), old.to_string())]);
    /// let (schema, place) = (Schema::builder().build()?, "memory://orders".to_owned());
    /// let table = TableMetadataBuilder::new(schema, unpartitioned, unsorted, place, FormatVersion::V3, properties)?
    ///     .add_encryption_key(entry)
    ///     .build()?
    ///     .metadata;
    ///
    /// let mut builder = table.clone().into_builder(None);
    /// for update in client.rewrap(&table, &new.to_string()).await? {
    ///     builder = update.apply(builder)?;
    /// }
    /// let table = builder.build()?.metadata;
    /// kms.disable_key(old)?;
    /// let wrapped = table.encryption_key("a").expect("it was replaced").encrypted_key_metadata();
    /// assert_eq!(&client.unwrap_key(wrapped, &new.to_string()).await?, generated.key());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn rewrap(&self, table: &TableMetadata, wrapping_key: &str) -> iceberg::Result<Vec<TableUpdate>> {
        let property = TableProperties::PROPERTY_ENCRYPTION_KEY_ID;
        let Some(current) = table.properties().get(property) else {
            let text = format!("cannot rewrap the keys of the table {}: it has no property {property}", table.uuid());
            return Err(iceberg::Error::new(iceberg::ErrorKind::PreconditionFailed, text));
        };
        let mut updates = Vec::new();
        for entry in table.encryption_keys_iter() {
            // Entries that are encrypted by another entry are data keys.
            let Some(source) = entry.encrypted_by_id().filter(|id| table.encryption_key(id).is_none()) else {
                continue;
            };
            let (client, wrapped) = (self.clone(), entry.encrypted_key_metadata().to_owned());
            let (source, target) = (source.to_owned(), wrapping_key.to_owned());
            let wrapped = blocking::call(move || client.re_encrypt(&wrapped, &source, &target)).await;
            let wrapped = wrapped.map_err(|error| error::of_kms("cannot rewrap a key of a table", error))?;
            let encryption_key = EncryptedKey::builder()
                .key_id(entry.key_id())
                .encrypted_key_metadata(wrapped)
                .encrypted_by_id(wrapping_key)
                // With the time of creation, which authenticates the data keys.
                .properties(entry.properties().clone())
                .build();
            updates.push(TableUpdate::RemoveEncryptionKey { key_id: entry.key_id().to_owned() });
            updates.push(TableUpdate::AddEncryptionKey { encryption_key });
        }
        if current != wrapping_key {
            let updates_of_property = HashMap::from([(property.to_owned(), wrapping_key.to_owned())]);
            updates.push(TableUpdate::SetProperties { updates: updates_of_property });
        }
        Ok(updates)
    }

    fn re_encrypt(&self, wrapped: &[u8], source: &str, target: &str) -> Result<Vec<u8>> {
        let request = ReEncryptRequest::new(wrapped, target)
            .source_key(source)?
            .source_context(&self.context)
            .destination_context(&self.context);
        Ok(self.kms.re_encrypt(request)?.ciphertext_blob)
    }
}
