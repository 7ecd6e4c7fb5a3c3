//! The keys of each tenant, the encrypted columns, and their blind indexes.
//!
//! Every function may wait for the disk of the audit trail: call it on a blocking thread.

use std::collections::BTreeSet;
use std::time::Duration;

use strongroom::columns::{BlindIndex, Column, ColumnKeys, IndexValue, Json, Normalization, RowId};
use strongroom::envelope::DataKeyCache;
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{DeletionWindow, KeySpec, KeyState, KeyUsage};
use strongroom::request::CreateKeyRequest;
use strongroom::{Kms, Result};

use crate::database::StoredNote;
use crate::note::{Draft, Note};

/// The aliases of a tenant's keys begin with these.
const DATA_KEYS: &str = "alias/notes/data/";
const INDEX_KEYS: &str = "alias/notes/index/";

/// The key under which bearer tokens are stored.
const TOKEN_KEY: &str = "alias/notes/tokens";

/// The time for which a disabled key may still be in use.
const MAX_AGE: Duration = Duration::from_secs(60);

/// All that a handler of requests needs. It can neither create nor delete keys.
const PERMISSIONS: &str = r#"{"Version": "2012-10-17", "Statement": {
    "Effect": "Allow",
    "Action": ["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateMac"],
    "Resource": "*"}}"#;

/// The KMS of the service.
#[derive(Debug)]
pub(crate) struct Vault {
    kms: Kms,
    cache: DataKeyCache,
    pub(crate) author: Column<String>,
    pub(crate) title: Column<String>,
    pub(crate) body: Column<String>,
    pub(crate) tags: Column<Json<Vec<String>>>,
    authors: BlindIndex,
    tag_index: BlindIndex,
    tokens: BlindIndex,
}

/// The index values of a note.
#[derive(Debug)]
pub(crate) struct Indexes {
    pub(crate) author: IndexValue,
    pub(crate) tags: BTreeSet<IndexValue>,
}

impl Vault {
    pub(crate) fn new(kms: &Kms) -> Result<Self> {
        let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
        kms.get_or_create_key(TOKEN_KEY, hmac)?;
        let role = Principal::role(AccountId::default(), "notes")?;
        kms.put_identity_policy(&role, "requests", PERMISSIONS)?;
        let narrowed = kms.as_principal(role)?;

        let cache = DataKeyCache::new(10_000)?;
        let data = ColumnKeys::per_tenant(&narrowed, DATA_KEYS)?;
        let text = |name: &str| Column::builder(&data, "notes", name).cached_data_keys(MAX_AGE).cache(&cache);
        let keys = ColumnKeys::per_tenant(&narrowed, INDEX_KEYS)?;
        let words = Normalization::new().form_c().trim().lower_case();
        let index = |keys: &ColumnKeys, table: &str, name: &str| {
            BlindIndex::builder(keys, table, name).cached_index_keys(MAX_AGE).cache(&cache)
        };
        Ok(Self {
            author: text("author").build()?,
            title: text("title").pad_to(32).build()?,
            body: text("body").pad_to(64).build()?,
            tags: Column::builder(&data, "notes", "tags").cached_data_keys(MAX_AGE).cache(&cache).build()?,
            authors: index(&keys, "notes", "author").normalize(words).build()?,
            tag_index: index(&keys, "note_tags", "tag").normalize(words).build()?,
            tokens: index(&ColumnKeys::new(&narrowed, TOKEN_KEY)?, "tenants", "token").bits(256).build()?,
            kms: kms.clone(),
            cache,
        })
    }

    /// Encrypts a note for its place: no other note, column or tenant can contain these values.
    pub(crate) fn encrypt(&self, tenant: &str, id: String, draft: &Draft) -> Result<(StoredNote, Indexes)> {
        let row = RowId::new(&id).tenant(tenant);
        let title = draft.title.as_deref().map(|title| self.title.encrypt(&row, title)).transpose()?;
        let stored = StoredNote {
            id,
            author: self.author.encrypt(&row, &draft.author)?,
            title,
            body: self.body.encrypt(&row, &draft.body)?,
            tags: self.tags.encrypt(&row, &draft.tags)?,
        };
        let tags = draft.tags.iter().map(|tag| self.tag_index.of_text(Some(tenant), tag)).collect::<Result<_>>()?;
        Ok((stored, Indexes { author: self.authors.of_text(Some(tenant), &draft.author)?, tags }))
    }

    /// Decrypts a note of the request's tenant.
    pub(crate) fn decrypt(&self, tenant: &str, stored: StoredNote) -> Result<Note> {
        let row = RowId::new(&stored.id).tenant(tenant);
        let Json(tags) = self.tags.decrypt(&row, &stored.tags)?;
        let draft = Draft {
            author: self.author.decrypt(&row, &stored.author)?,
            title: stored.title.as_ref().map(|title| self.title.decrypt(&row, title)).transpose()?,
            body: self.body.decrypt(&row, &stored.body)?,
            tags,
        };
        Ok(Note { id: stored.id, draft })
    }

    /// Returns the index values to search for.
    pub(crate) fn search(
        &self,
        tenant: &str,
        author: Option<&str>,
        tag: Option<&str>,
    ) -> Result<(Option<IndexValue>, Option<IndexValue>)> {
        let author = author.map(|author| self.authors.of_text(Some(tenant), author)).transpose()?;
        let tag = tag.map(|tag| self.tag_index.of_text(Some(tenant), tag)).transpose()?;
        Ok((author, tag))
    }

    /// Returns the form in which a bearer token is stored and compared. It does not reveal the token.
    pub(crate) fn token_index(&self, token: &str) -> Result<IndexValue> {
        self.tokens.of_text(None, token)
    }

    /// Creates the keys of a tenant, and returns a new token.
    pub(crate) fn add_tenant(&self, tenant: &str) -> Result<(String, IndexValue)> {
        let of_tenant = || CreateKeyRequest::default().tag("tenant", tenant);
        let hmac = of_tenant().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
        self.kms.get_or_create_key(format!("{DATA_KEYS}{tenant}"), of_tenant())?;
        self.kms.get_or_create_key(format!("{INDEX_KEYS}{tenant}"), hmac)?;
        let token: String =
            self.kms.generate_random(32)?.expose_secret().iter().map(|byte| format!("{byte:02x}")).collect();
        let index = self.token_index(&token)?;
        Ok((token, index))
    }

    /// Creates a new version of a tenant's data key. Old values stay readable.
    pub(crate) fn rotate(&self, tenant: &str) -> Result<()> {
        let key = self.kms.describe_key(&*format!("{DATA_KEYS}{tenant}"))?.key_id();
        self.kms.rotate_key_on_demand(key)?;
        self.cache.clear();
        Ok(())
    }

    /// Schedules the deletion of a tenant's keys, and returns its date. From now on, no value of the
    /// tenant opens. After the date, none ever will: neither here nor in a backup.
    pub(crate) fn delete_keys(&self, tenant: &str) -> Result<Option<String>> {
        let mut date = None;
        for alias in [format!("{DATA_KEYS}{tenant}"), format!("{INDEX_KEYS}{tenant}")] {
            let key = self.kms.describe_key(&*alias)?;
            date = match key.state() {
                KeyState::PendingDeletion => key.deletion_date(),
                _ => Some(self.kms.schedule_key_deletion(key.key_id(), DeletionWindow::MIN)?.deletion_date),
            };
        }
        self.cache.clear();
        Ok(date.map(|date| date.to_string()))
    }
}
