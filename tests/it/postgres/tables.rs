//! The tables of a store: who may create and use them, and which tables are refused.

use strongroom::identity::AccountId;
use strongroom::store::{
    Change, CommitError, Expectation, KeyStore, PostgresOptions, PostgresStore, RecordId, RecordKind, Revision, Scan,
    StoreError,
};
use strongroom::{Error, ErrorKind};

use crate::support::postgres::{self, Database, SUPERUSER};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn id(name: &str) -> RecordId {
    RecordId { kind: RecordKind::Key, account: AccountId::default(), name: name.as_bytes().to_vec() }
}

fn put(store: &PostgresStore, name: &str, revision: Option<Revision>) -> Result<Revision, CommitError> {
    store.commit(&[Expectation { id: id(name), revision }], &mut |_| {
        Ok(vec![Change { id: id(name), body: Some(b"body".to_vec()) }])
    })
}

fn refusal(options: &PostgresOptions) -> Error {
    let error = PostgresStore::open(options).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    error
}

#[test]
fn a_schema_without_a_store_is_reported_and_created_once() -> TestResult {
    let test = "postgres::tables::a_schema_without_a_store_is_reported_and_created_once";
    let Some(server) = postgres::shared(test) else { return Ok(()) };
    let database = Database::create(server)?;
    let options = PostgresOptions::new(&database.url())?;
    let missing = refusal(&options);
    assert!(matches!(missing.downcast_ref(), Some(StoreError::NoSchema { schema }) if schema == "strongroom"));
    assert!(missing.to_string().contains("create_schema"), "{missing}");
    // Every process of a fleet may do so when it starts.
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| PostgresStore::create_schema(&options))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    let store = PostgresStore::open(&options)?;
    put(&store, "a", None).map_err(Error::from)?;
    PostgresStore::create_schema(&options)?;
    let again = PostgresStore::open(&options)?;
    assert_eq!((again.id(), again.revision()?), (store.id(), Revision(1)));
    Ok(())
}

#[test]
fn an_administrator_can_create_the_tables() -> TestResult {
    let Some(server) = postgres::shared("postgres::tables::an_administrator_can_create_the_tables") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let migrations = PostgresStore::MIGRATIONS.concat();
    database.sql(&format!("BEGIN; CREATE SCHEMA keys; SET LOCAL search_path = keys; {migrations}; COMMIT"))?;
    let options = PostgresOptions::new(&database.url())?.schema("keys");
    let store = PostgresStore::open(&options)?;
    put(&store, "a", None).map_err(Error::from)?;
    PostgresStore::create_schema(&options)?;
    assert_eq!(store.revision()?, Revision(1));
    Ok(())
}

#[test]
fn other_tables_are_refused_and_left_unchanged() -> TestResult {
    let Some(server) = postgres::shared("postgres::tables::other_tables_are_refused_and_left_unchanged") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let (owner, store) = ("ALTER TABLE strongroom.record", "ALTER TABLE strongroom.store");
    let alterations = [
        ("CREATE SCHEMA strongroom; CREATE TABLE strongroom.store (id int)".to_owned(), "record"),
        (format!("{owner} ADD COLUMN x int"), "record.x"),
        (format!("{owner} DROP CONSTRAINT record_pkey"), "primary key"),
        (format!("{owner} ENABLE ROW LEVEL SECURITY"), "record: "),
        (format!("{owner} SET UNLOGGED"), "record: "),
        (format!("{owner} ALTER COLUMN kind TYPE int"), "record.kind"),
        (format!("{owner} ALTER COLUMN body DROP NOT NULL"), "record.body"),
        (format!("{store} DROP COLUMN revision"), "store.revision"),
        ("DROP TABLE strongroom.record".to_owned(), "record"),
        (
            "ALTER TABLE strongroom.record RENAME TO r; CREATE VIEW strongroom.record AS SELECT * FROM strongroom.r"
                .to_owned(),
            "record",
        ),
    ];
    for (number, (alteration, named)) in alterations.iter().enumerate() {
        database.sql("DROP SCHEMA IF EXISTS strongroom CASCADE")?;
        let options = PostgresOptions::new(&database.url())?;
        if number > 0 {
            PostgresStore::create_schema(&options)?;
        }
        database.sql(alteration)?;
        let altered = refusal(&options);
        let Some(StoreError::UnknownTables { difference, .. }) = altered.downcast_ref() else {
            panic!("{alteration}: {altered}");
        };
        assert!(difference.contains(named), "{alteration}: {difference}");
        let refused = PostgresStore::create_schema(&options).expect_err(alteration);
        assert!(matches!(refused.downcast_ref(), Some(StoreError::UnknownTables { .. })), "{alteration}: {refused}");
    }
    Ok(())
}

#[test]
fn another_format_is_refused_also_while_the_store_is_open() -> TestResult {
    let test = "postgres::tables::another_format_is_refused_also_while_the_store_is_open";
    let Some(server) = postgres::shared(test) else { return Ok(()) };
    let database = Database::create(server)?;
    let options = PostgresOptions::new(&database.url())?;
    PostgresStore::create_schema(&options)?;
    let store = PostgresStore::open(&options)?;
    let revision = put(&store, "a", None).map_err(Error::from)?;
    for (format, is_newer) in [(9, true), (0, false)] {
        database.sql(&format!("UPDATE strongroom.store SET format = {format}"))?;
        let is_expected = |error: &Error| match error.downcast_ref() {
            Some(StoreError::NewerFormat { found, known: 1 }) => is_newer && *found == format,
            Some(StoreError::OlderFormat { found, known: 1 }) => !is_newer && *found == format,
            _ => false,
        };
        assert!(is_expected(&refusal(&options)));
        let changed = put(&store, "a", Some(revision)).map_err(Error::from).expect_err("no change of another format");
        assert!(is_expected(&changed), "{changed}");
    }
    database.sql("UPDATE strongroom.store SET format = 1")?;
    put(&store, "a", Some(revision)).map_err(Error::from)?;
    Ok(())
}

#[test]
fn the_role_of_a_process_needs_only_what_is_granted() -> TestResult {
    let test = "postgres::tables::the_role_of_a_process_needs_only_what_is_granted";
    let Some(server) = postgres::own(test, &[]) else { return Ok(()) };
    let database = Database::create(&server)?;
    database.sql("CREATE ROLE \"An app\" LOGIN")?;
    let owner = PostgresOptions::new(&database.url())?;
    PostgresStore::create_schema(&owner)?;
    let url = database.url().replace(&format!("//{SUPERUSER}@"), "//An%20app@");
    let app = PostgresOptions::new(&url)?;
    assert!(matches!(refusal(&app).downcast_ref(), Some(StoreError::AccessDenied(_))));
    PostgresStore::grant_access(&owner, "An app")?;

    let store = PostgresStore::open(&app)?;
    let first = put(&store, "a", None).map_err(Error::from)?;
    let second = put(&store, "a", Some(first)).map_err(Error::from)?;
    assert_eq!(store.get(&id("a"))?.map(|record| record.revision), Some(second));
    assert_eq!(store.scan(&Scan { kind: RecordKind::Key, account: None, after: None, limit: 9 })?.len(), 1);
    store
        .commit(&[Expectation { id: id("a"), revision: Some(second) }], &mut |_| {
            Ok(vec![Change { id: id("a"), body: None }])
        })
        .map_err(Error::from)?;
    assert!(store.check_structure()?.is_empty());
    assert_eq!(store.location().map(|place| place.len()), Some(16));
    assert!(PostgresStore::create_schema(&app.clone().schema("other")).is_err(), "it cannot create a schema");
    for statement in ["DROP TABLE strongroom.record", "CREATE TABLE strongroom.x ()", "TRUNCATE strongroom.record"] {
        assert!(database.sql(&format!("SET ROLE \"An app\"; {statement}")).is_err(), "{statement}");
    }

    for (privilege, named) in [
        ("USAGE ON SCHEMA strongroom", "USAGE"),
        ("SELECT ON strongroom.store", "SELECT on store"),
        ("UPDATE (revision) ON strongroom.store", "UPDATE on store"),
        ("UPDATE (token) ON strongroom.store", "UPDATE on store"),
        ("SELECT ON strongroom.record", "SELECT on record"),
        ("INSERT ON strongroom.record", "INSERT on record"),
        ("UPDATE ON strongroom.record", "UPDATE on record"),
        ("DELETE ON strongroom.record", "DELETE on record"),
    ] {
        database.sql(&format!("REVOKE {privilege} FROM \"An app\""))?;
        let refused = refusal(&app);
        assert!(matches!(refused.downcast_ref(), Some(StoreError::AccessDenied(_))), "{privilege}: {refused}");
        assert!(refused.to_string().contains(named), "{privilege}: {refused}");
        PostgresStore::grant_access(&owner, "An app")?;
    }
    Ok(())
}

#[test]
fn a_server_that_loses_commits_is_refused() -> TestResult {
    let Some(server) = postgres::own("postgres::tables::a_server_that_loses_commits_is_refused", &[("fsync", "off")])
    else {
        return Ok(());
    };
    let options = PostgresOptions::new(&server.url(SUPERUSER))?;
    let refused = PostgresStore::create_schema(&options).expect_err("refused");
    assert!(matches!(refused.downcast_ref(), Some(StoreError::UnsuitableServer { setting: "fsync", .. })));
    let accepted = options.accept_unsafe_server();
    PostgresStore::create_schema(&accepted)?;
    PostgresStore::open(&accepted)?;
    Ok(())
}

#[test]
fn an_index_that_misses_a_record_is_found() -> TestResult {
    let Some(server) = postgres::shared("postgres::tables::an_index_that_misses_a_record_is_found") else {
        return Ok(());
    };
    let database = Database::create(server)?;
    let options = PostgresOptions::new(&database.url())?;
    PostgresStore::create_schema(&options)?;
    let store = PostgresStore::open(&options)?;
    for name in ["a", "b", "c"] {
        put(&store, name, None).map_err(Error::from)?;
    }
    assert!(store.check_structure()?.is_empty());
    let ready = |ready| {
        format!("UPDATE pg_index SET indisready = {ready} WHERE indexrelid = 'strongroom.record_pkey'::regclass; ")
    };
    database.sql(&ready(false))?;
    let insert = "INSERT INTO strongroom.record VALUES (1, '000000000000', 'lost', 1, 'x'); ";
    database.sql(insert)?;
    database.sql(&ready(true))?;
    let found = store.check_structure()?;
    assert!(matches!(&found[..], [StoreError::Damaged(_)]), "{found:?}");
    Ok(())
}

#[test]
fn the_location_of_a_copy_differs() -> TestResult {
    let Some(server) = postgres::shared("postgres::tables::the_location_of_a_copy_differs") else { return Ok(()) };
    let (database, other) = (Database::create(server)?, Database::create(server)?);
    let options = PostgresOptions::new(&database.url())?;
    PostgresStore::create_schema(&options)?;
    PostgresStore::create_schema(&options.clone().schema("other"))?;
    let elsewhere = PostgresOptions::new(&other.url())?;
    PostgresStore::create_schema(&elsewhere)?;
    let location = |options: &PostgresOptions| Ok::<_, Error>(PostgresStore::open(options)?.location());
    let here = location(&options)?;
    assert!(here.is_some());
    assert_eq!(here, location(&options)?);
    assert_ne!(here, location(&options.clone().schema("other"))?);
    assert_ne!(here, location(&elsewhere)?);
    let without_timeline = options.promotion_keeps_location();
    assert_ne!(here, location(&without_timeline)?);
    assert_eq!(location(&without_timeline)?, location(&without_timeline)?);
    Ok(())
}
