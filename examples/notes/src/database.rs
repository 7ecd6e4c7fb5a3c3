//! The tables. SQLite and PostgreSQL understand the same statements.

use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{Any, AnyPool, AssertSqlSafe, Row, Transaction};
use strongroom::columns::{Encrypted, IndexValue, Json, RowId, SweepChange, SweepRow};

use crate::vault::Indexes;

/// `{bytes}` is the type of a column of bytes. A note and its tags are of one tenant.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS tenants (name TEXT PRIMARY KEY, token_index {bytes} NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS notes (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenants (name), author {bytes} NOT NULL,
        author_index {bytes} NOT NULL, title {bytes}, body {bytes} NOT NULL, tags {bytes} NOT NULL
    );
    CREATE INDEX IF NOT EXISTS notes_by_id ON notes (tenant, id);
    CREATE INDEX IF NOT EXISTS notes_by_author ON notes (tenant, author_index, id);
    CREATE TABLE IF NOT EXISTS note_tags (
        tag_index {bytes} NOT NULL, note TEXT NOT NULL REFERENCES notes (id), PRIMARY KEY (tag_index, note)
    );
    CREATE INDEX IF NOT EXISTS note_tags_by_note ON note_tags (note);";

/// A query for a page of notes, with a condition.
macro_rules! page {
    ($condition:literal) => {
        concat!(
            "SELECT id, author, title, body, tags FROM notes WHERE tenant = $1 AND id > $2 ",
            $condition,
            " ORDER BY id LIMIT $3"
        )
    };
}

/// A row of the table of notes.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct StoredNote {
    pub(crate) id: String,
    pub(crate) author: Encrypted<String>,
    pub(crate) title: Option<Encrypted<String>>,
    pub(crate) body: Encrypted<String>,
    pub(crate) tags: Encrypted<Json<Vec<String>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Database {
    pool: AnyPool,
}

impl Database {
    pub(crate) async fn connect(url: &str) -> sqlx::Result<Self> {
        install_default_drivers();
        let pool = AnyPoolOptions::new().max_connections(8).connect(url).await?;
        let is_sqlite = url.starts_with("sqlite:");
        if is_sqlite {
            // Readers do not wait for a writer.
            sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&pool).await?;
        }
        let tables = TABLES.replace("{bytes}", if is_sqlite { "BLOB" } else { "BYTEA" });
        sqlx::raw_sql(AssertSqlSafe(tables)).execute(&pool).await?;
        Ok(Self { pool })
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Stores a tenant. Returns `false` if it exists.
    pub(crate) async fn insert_tenant(&self, name: &str, token: IndexValue) -> sqlx::Result<bool> {
        let insert = sqlx::query("INSERT INTO tenants (name, token_index) VALUES ($1, $2) ON CONFLICT DO NOTHING");
        Ok(insert.bind(name.to_owned()).bind(token).execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Returns the tenant of a token.
    pub(crate) async fn tenant_of(&self, token: IndexValue) -> sqlx::Result<Option<String>> {
        let select = sqlx::query_scalar("SELECT name FROM tenants WHERE token_index = $1");
        select.bind(token).fetch_optional(&self.pool).await
    }

    /// Returns `true` if a tenant exists.
    pub(crate) async fn has_tenant(&self, name: &str) -> sqlx::Result<bool> {
        let select = sqlx::query("SELECT name FROM tenants WHERE name = $1").bind(name.to_owned());
        Ok(select.fetch_optional(&self.pool).await?.is_some())
    }

    pub(crate) async fn insert(&self, tenant: &str, note: StoredNote, indexes: Indexes) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        let insert = "INSERT INTO notes (tenant, author_index, author, title, body, tags, id)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let insert = sqlx::query(insert).bind(tenant.to_owned()).bind(indexes.author).bind(note.author);
        let insert = insert.bind(note.title).bind(note.body).bind(note.tags).bind(note.id.clone());
        insert.execute(&mut *transaction).await?;
        insert_tags(&mut transaction, &note.id, indexes.tags).await?;
        transaction.commit().await
    }

    /// Replaces a note. Returns `false` if the tenant has no such note.
    pub(crate) async fn update(&self, tenant: &str, note: StoredNote, indexes: Indexes) -> sqlx::Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let update = "UPDATE notes SET author_index = $2, author = $3, title = $4, body = $5, tags = $6
            WHERE tenant = $1 AND id = $7";
        let update = sqlx::query(update).bind(tenant.to_owned()).bind(indexes.author).bind(note.author);
        let update = update.bind(note.title).bind(note.body).bind(note.tags).bind(note.id.clone());
        if update.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM note_tags WHERE note = $1").bind(note.id.clone()).execute(&mut *transaction).await?;
        insert_tags(&mut transaction, &note.id, indexes.tags).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes a note. Returns `false` if the tenant has no such note.
    pub(crate) async fn delete(&self, tenant: &str, id: &str) -> sqlx::Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let of_note = "DELETE FROM note_tags WHERE note = (SELECT id FROM notes WHERE tenant = $1 AND id = $2)";
        let (tenant, id) = (tenant.to_owned(), id.to_owned());
        sqlx::query(of_note).bind(tenant.clone()).bind(id.clone()).execute(&mut *transaction).await?;
        let delete = sqlx::query("DELETE FROM notes WHERE tenant = $1 AND id = $2").bind(tenant).bind(id);
        let deleted = delete.execute(&mut *transaction).await?.rows_affected() == 1;
        transaction.commit().await?;
        Ok(deleted)
    }

    pub(crate) async fn get(&self, tenant: &str, id: &str) -> sqlx::Result<Option<StoredNote>> {
        let select = "SELECT id, author, title, body, tags FROM notes WHERE tenant = $1 AND id = $2";
        sqlx::query_as(select).bind(tenant.to_owned()).bind(id.to_owned()).fetch_optional(&self.pool).await
    }

    /// Returns the notes after an identifier, with this author and this tag.
    pub(crate) async fn page(
        &self,
        tenant: &str,
        after: &str,
        limit: i64,
        (author, tag): (Option<IndexValue>, Option<IndexValue>),
    ) -> sqlx::Result<Vec<StoredNote>> {
        let statement = match (&author, &tag) {
            (None, None) => page!(""),
            (Some(_), None) => page!("AND author_index = $4"),
            (None, Some(_)) => page!("AND id IN (SELECT note FROM note_tags WHERE tag_index = $4)"),
            (Some(_), Some(_)) => {
                page!("AND author_index = $4 AND id IN (SELECT note FROM note_tags WHERE tag_index = $5)")
            }
        };
        let mut select = sqlx::query_as(statement).bind(tenant.to_owned()).bind(after.to_owned()).bind(limit);
        for index in [author, tag].into_iter().flatten() {
            select = select.bind(index);
        }
        select.fetch_all(&self.pool).await
    }

    /// Returns the values of a column after a row, for a sweep. `column` is a name from the program.
    pub(crate) async fn sweep_rows(&self, column: &str, after: &str, limit: i64) -> sqlx::Result<Vec<SweepRow>> {
        let select = format!(
            "SELECT id, tenant, {column} FROM notes WHERE {column} IS NOT NULL AND id > $1 ORDER BY id LIMIT $2"
        );
        let select = sqlx::query(AssertSqlSafe(select)).bind(after.to_owned()).bind(limit);
        let rows = select.fetch_all(&self.pool).await?;
        let row_of = |row: sqlx::any::AnyRow| {
            let (id, tenant): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok(SweepRow::new(id.clone(), RowId::new(id).tenant(tenant), row.try_get(2)?))
        };
        rows.into_iter().map(row_of).collect()
    }

    /// Makes the changes of a sweep, each only if no request has changed the value since it was read.
    /// Returns the number of rows that changed.
    pub(crate) async fn replace(&self, column: &str, changes: &[SweepChange]) -> sqlx::Result<u64> {
        let update = format!("UPDATE notes SET {column} = $1 WHERE id = $2 AND {column} = $3");
        let mut transaction = self.pool.begin().await?;
        let mut replaced = 0;
        for change in changes {
            let query = sqlx::query(AssertSqlSafe(update.clone()));
            let query = query.bind(change.new_bytes().to_vec()).bind(change.cursor().to_owned());
            replaced += query.bind(change.old_bytes().to_vec()).execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        Ok(replaced)
    }
}

async fn insert_tags(
    transaction: &mut Transaction<'_, Any>,
    note: &str,
    tags: impl IntoIterator<Item = IndexValue>,
) -> sqlx::Result<()> {
    for tag in tags {
        let insert = sqlx::query("INSERT INTO note_tags (tag_index, note) VALUES ($1, $2)");
        insert.bind(tag).bind(note.to_owned()).execute(&mut **transaction).await?;
    }
    Ok(())
}
