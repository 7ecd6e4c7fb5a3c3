//! Every prepared statement of an open store.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Statement};

use super::join::Pipeline;

/// The maximum length of a record's body that is read from the server. Longer bodies are reported
/// as damage. The longest that this crate writes are far shorter.
pub(super) const MAX_BODY: i32 = 64 << 20;

/// The statements of one connection.
pub(super) struct Statements {
    pub(super) head: Statement,
    pub(super) get_all: Statement,
    pub(super) revisions_of: Statement,
    pub(super) scan_all: Statement,
    pub(super) scan_account: Statement,
    pub(super) write: Statement,
}

impl Statements {
    /// Prepares all statements in one round trip. `schema` is a quoted identifier.
    pub(super) async fn prepare(client: &Client, schema: &str) -> Result<Self, Error> {
        let body = format!("CASE WHEN octet_length(r.body) <= {MAX_BODY} THEN r.body END");
        let ids = "unnest($1, $2, $3) WITH ORDINALITY AS x (kind, account, name, ord)";
        let of_ids = "(r.kind, r.account, r.name) = (x.kind, x.account, x.name)";
        let names = [Type::INT2_ARRAY, Type::BYTEA_ARRAY, Type::BYTEA_ARRAY];
        let place = [Type::INT2, Type::BYTEA, Type::BYTEA, Type::INT8, Type::INT8];
        let texts = [
            (format!("SELECT revision, token, format FROM {schema}.store"), Vec::new()),
            (format!("SELECT x.ord, r.revision, {body} FROM {ids} JOIN {schema}.record r ON {of_ids}"), names.to_vec()),
            (format!("SELECT x.ord, r.revision FROM {ids} JOIN {schema}.record r ON {of_ids}"), names.to_vec()),
            (
                format!(
                    "SELECT r.account, r.name, r.revision, {body} FROM {schema}.record r \
                     WHERE r.kind = $1 AND (r.account, r.name) >= ($2, $3) AND r.revision > $5 \
                     ORDER BY r.account, r.name LIMIT $4"
                ),
                place.to_vec(),
            ),
            (
                format!(
                    "SELECT r.account, r.name, r.revision, {body} FROM {schema}.record r \
                     WHERE r.kind = $1 AND r.account = $2 AND r.name >= $3 AND r.revision > $5 \
                     ORDER BY r.name LIMIT $4"
                ),
                place.to_vec(),
            ),
            (write(schema), [&names[..], &[Type::INT8_ARRAY, Type::BYTEA_ARRAY], &names, &[Type::INT8; 2]].concat()),
        ];
        let mut pipeline = Pipeline::new();
        for (text, types) in &texts {
            pipeline.add(client.prepare_typed(text, types));
        }
        let prepared = pipeline.run().await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut prepared = prepared.into_iter();
        let mut next = || prepared.next().expect("a statement for each text");
        Ok(Self {
            head: next(),
            get_all: next(),
            revisions_of: next(),
            scan_all: next(),
            scan_account: next(),
            write: next(),
        })
    }
}

/// Returns the statement that writes a commit: upserts ($1 to $5), deletions ($6 to $8) and the new
/// revision ($9). It changes nothing unless the revision is still the expected one ($10).
fn write(schema: &str) -> String {
    format!(
        "WITH step AS (UPDATE {schema}.store SET revision = $9, token = uuid_send(gen_random_uuid()) WHERE revision = $10 RETURNING revision, token), \
         gone AS (DELETE FROM {schema}.record r USING unnest($6, $7, $8) AS d (kind, account, name), step \
           WHERE (r.kind, r.account, r.name) = (d.kind, d.account, d.name)), \
         put AS (INSERT INTO {schema}.record (kind, account, name, revision, body) \
           SELECT p.* FROM unnest($1, $2, $3, $4, $5) AS p (kind, account, name, revision, body), step \
           ON CONFLICT (kind, account, name) DO UPDATE SET revision = excluded.revision, body = excluded.body) \
         SELECT revision, token FROM step"
    )
}
