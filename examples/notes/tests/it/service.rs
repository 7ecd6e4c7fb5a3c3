//! The service over HTTP, with each database.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use serde_json::{Value, json};
use sqlx::Row;
use strongroom::columns::Encrypted;

use crate::support::process::{ADMIN, Service, messages_in};
use crate::support::{TestResult, postgres, sql};

/// A service in a temporary folder, with two tenants.
struct Setup {
    folder: tempfile::TempDir,
    /// The URL of the database, and that with which the service starts.
    url: String,
    given: Option<String>,
    service: Service,
    acme: String,
    globex: String,
}

impl Setup {
    fn start(given: Option<String>) -> TestResult<Self> {
        let folder = tempfile::tempdir()?;
        let url = given.clone().unwrap_or_else(|| format!("sqlite://{}", folder.path().join("notes.db").display()));
        let service = Service::start(folder.path(), given.as_deref())?;
        let (acme, globex) = (service.add_tenant("acme")?, service.add_tenant("globex")?);
        Ok(Self { folder, url, given, service, acme, globex })
    }

    fn restarted(self) -> TestResult<Self> {
        self.service.stop()?;
        let service = Service::start(self.folder.path(), self.given.as_deref())?;
        Ok(Self { service, ..self })
    }

    /// Creates a note and returns the path of its resource.
    fn add(&self, token: &str, note: &Value) -> TestResult<String> {
        let created = self.service.expect(201, token, "POST /notes", Some(note.clone()))?;
        Ok(format!("/notes/{}", created["id"].as_str().ok_or("an identifier")?))
    }

    fn read(&self, token: &str, path: &str) -> TestResult<Value> {
        let mut note = self.service.expect(200, token, &format!("GET {path}"), None)?;
        note.as_object_mut().and_then(|note| note.remove("id")).ok_or("an identifier")?;
        Ok(note)
    }

    /// Returns the bodies of the notes that a search finds.
    fn search(&self, token: &str, search: Value) -> TestResult<Vec<String>> {
        bodies(&self.service.expect(200, token, "POST /notes/search", Some(search))?)
    }
}

fn bodies(page: &Value) -> TestResult<Vec<String>> {
    let notes = page["notes"].as_array().ok_or("notes")?;
    Ok(notes.iter().filter_map(|note| note["body"].as_str()).map(str::to_owned).collect())
}

fn note(author: &str, title: Option<&str>, body: &str, tags: &[&str]) -> Value {
    json!({ "author": author, "title": title, "body": body, "tags": tags })
}

/// Runs a test with SQLite, and with PostgreSQL if it is installed.
fn with_each_database(test: &str, run: impl Fn(Setup) -> TestResult) -> TestResult {
    run(Setup::start(None)?)?;
    let Some(server) = postgres::start(test) else { return Ok(()) };
    run(Setup::start(Some(postgres::create_database(&server)?))?)
}

#[test]
fn notes_are_created_read_changed_and_deleted_by_their_tenant_only() -> TestResult {
    with_each_database("service::notes_are_created", |setup| {
        let Setup { service, acme, globex, .. } = &setup;
        let first = note("Ada", Some("Tea"), "two pots of tea", &["kitchen", "Kitchen ", "urgent"]);
        let path = setup.add(acme, &first)?;
        assert_eq!(setup.read(acme, &path)?, first);
        let untitled = note("Grace", None, "", &[]);
        assert_eq!(setup.read(acme, &setup.add(acme, &untitled)?)?, untitled);

        // A note of another tenant is indistinguishable from a missing one.
        let changed = note("Ada", None, "three pots of tea", &["hall"]);
        for (request, body) in [("GET", None), ("DELETE", None), ("PUT", Some(changed.clone()))] {
            let others = service.expect(404, globex, &format!("{request} {path}"), body.clone())?;
            let missing = format!("{request} /notes/00000000-0000-7000-8000-000000000000");
            assert_eq!(service.expect(404, globex, &missing, body)?, others);
        }
        assert_eq!(setup.read(acme, &path)?, first);
        assert!(bodies(&service.expect(200, globex, "GET /notes", None)?)?.is_empty());

        service.expect(204, acme, &format!("PUT {path}"), Some(changed.clone()))?;
        assert_eq!(setup.read(acme, &path)?, changed);
        service.expect(204, acme, &format!("DELETE {path}"), None)?;
        service.expect(404, acme, &format!("GET {path}"), None)?;
        service.expect(404, acme, &format!("DELETE {path}"), None)?;
        setup.service.stop()
    })
}

#[test]
fn searches_find_equal_authors_and_tags_of_the_tenant() -> TestResult {
    with_each_database("service::searches_find", |setup| {
        let Setup { acme, globex, .. } = &setup;
        for (author, body, tags) in
            [("Ada", "1", &["tea", "urgent"][..]), ("Grace", "2", &["tea"]), ("Ada", "3", &[]), ("Adam", "4", &["Tee"])]
        {
            setup.add(acme, &note(author, None, body, tags))?;
        }
        let path = setup.add(globex, &note("Ada", None, "of globex", &["tea"]))?;
        assert_eq!(setup.search(acme, json!({ "author": " ADA" }))?, ["1", "3"]);
        assert_eq!(setup.search(acme, json!({ "tag": "Tea" }))?, ["1", "2"]);
        assert_eq!(setup.search(acme, json!({ "author": "Ada", "tag": "tea" }))?, ["1"]);
        assert!(setup.search(acme, json!({ "author": "Ad" }))?.is_empty());
        assert_eq!(setup.search(globex, json!({ "author": "ada" }))?, ["of globex"]);
        assert_eq!(setup.search(acme, json!({ "author": "Ada", "limit": 1 }))?, ["1"]);

        // A change moves the note in the index.
        setup.service.expect(204, globex, &format!("PUT {path}"), Some(note("Bob", None, "of Bob", &["milk"])))?;
        assert!(setup.search(globex, json!({ "author": "Ada" }))?.is_empty());
        assert!(setup.search(globex, json!({ "tag": "tea" }))?.is_empty());
        assert_eq!(setup.search(globex, json!({ "author": "Bob", "tag": "milk" }))?, ["of Bob"]);
        setup.service.stop()
    })
}

#[test]
fn pages_contain_every_note_once_in_the_order_of_creation() -> TestResult {
    with_each_database("service::pages_contain", |setup| {
        let Setup { service, acme, .. } = &setup;
        let expected: Vec<String> = (0..7).map(|number| format!("note {number}")).collect();
        for body in &expected {
            setup.add(acme, &note("Ada", None, body, &[]))?;
        }
        let (mut found, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = service.expect(200, acme, &format!("GET /notes?limit=3&after={after}"), None)?;
            found.extend(bodies(&page)?);
            pages += 1;
            match page["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        assert_eq!((found, pages), (expected, 3));
        for refused in ["limit=0", "limit=101", "limit=300", "limit=x", "offset=1"] {
            service.expect(400, acme, &format!("GET /notes?{refused}"), None)?;
        }
        setup.service.stop()
    })
}

#[test]
fn requests_without_the_right_token_or_body_are_rejected() -> TestResult {
    let setup = Setup::start(None)?;
    let Setup { service, acme, .. } = &setup;
    for token in ["", "x", ADMIN, &acme[1..], &format!("{acme}0")] {
        service.expect(401, token, "GET /notes", None)?;
        service.expect(401, token, "POST /notes", Some(note("Ada", None, "secret words", &[])))?;
    }
    for request in [
        "PUT /admin/tenants/new",
        "POST /admin/tenants/acme/rotate",
        "DELETE /admin/tenants/acme/keys",
        "POST /admin/sweep",
    ] {
        service.expect(401, acme, request, None)?;
    }
    service.expect(409, ADMIN, "PUT /admin/tenants/acme", None)?;
    service.expect(400, ADMIN, "PUT /admin/tenants/A_b", None)?;
    service.expect(404, ADMIN, "POST /admin/tenants/other/rotate", None)?;
    service.expect(404, ADMIN, "DELETE /admin/tenants/other/keys", None)?;
    let long = "x".repeat(201);
    for body in [
        json!("secret words"),
        json!({ "author": "Ada", "body": ["secret words"] }),
        json!({ "author": "Ada", "body": "x", "secret words": 1 }),
        note("", None, "secret words", &[]),
        note("Ada", Some(&long), "secret words", &[]),
        note("Ada", None, "secret words", &[" "]),
        note("Ada", None, "secret words", &["secret"; 33]),
    ] {
        let error = service.expect(400, acme, "POST /notes", Some(body))?;
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let (status, _) = service.request(acme, "GET /secret", None)?;
    assert_eq!(status, 404);
    assert!(bodies(&service.expect(200, acme, "GET /notes", None)?)?.is_empty());
    setup.service.stop()
}

#[test]
fn values_that_are_copied_within_the_database_are_refused() -> TestResult {
    with_each_database("service::values_that_are_copied", |setup| {
        let Setup { service, acme, globex, url, .. } = &setup;
        let [own, second] = ["own words", "second words"].map(|body| note("Ada", Some("Tea"), body, &["tea"]));
        let paths = [setup.add(acme, &own)?, setup.add(acme, &second)?];
        let other = setup.add(globex, &note("Ada", Some("Tea"), "other words", &["tea"]))?;
        let id = |path: &str| path.trim_start_matches("/notes/").to_owned();
        let [own_id, second_id, other_id] = [id(&paths[0]), id(&paths[1]), id(&other)];
        let copies = [
            ("another tenant's value", format!("body = (SELECT body FROM notes WHERE id = '{other_id}')")),
            ("another note's value", format!("body = (SELECT body FROM notes WHERE id = '{second_id}')")),
            ("swapped columns", "title = body, body = title".to_owned()),
            ("a damaged value", "body = substr(body, 1, 100)".to_owned()),
            ("no value", "tags = substr(body, 3)".to_owned()),
        ];
        for (name, copy) in copies {
            sql(url, "CREATE TABLE backup AS SELECT * FROM notes")?;
            sql(url, &format!("UPDATE notes SET {copy} WHERE id = '{own_id}'"))?;
            for request in [format!("GET {}", paths[0]), "GET /notes".to_owned()] {
                let error = service.expect(500, acme, &request, None)?;
                assert_eq!(error, json!({ "error": "a stored value was altered, or belongs elsewhere" }), "{name}");
            }
            assert_eq!(setup.read(acme, &paths[1])?, second, "{name}");
            let restore =
                "UPDATE notes SET title = b.title, body = b.body, tags = b.tags FROM backup b WHERE b.id = notes.id";
            sql(url, &format!("{restore}; DROP TABLE backup"))?;
            assert_eq!(setup.read(acme, &paths[0])?, own, "{name}");
        }

        // A complete note that was moved to another tenant.
        sql(url, &format!("UPDATE notes SET tenant = 'acme' WHERE id = '{other_id}'"))?;
        service.expect(500, acme, &format!("GET {other}"), None)?;
        assert!(!messages_in(setup.folder.path())?.contains("words"));
        setup.service.stop()
    })
}

#[test]
fn a_restart_keeps_everything_and_a_sweep_renews_every_value() -> TestResult {
    with_each_database("service::a_restart_keeps_everything", |setup| {
        let before = note("Ada", Some("Tea"), "before the restart", &["tea"]);
        let path = setup.add(&setup.acme, &before)?;
        setup.add(&setup.globex, &note("Ada", None, "of globex", &[]))?;
        let setup = setup.restarted()?;
        let Setup { service, acme, url, .. } = &setup;
        assert_eq!(setup.read(acme, &path)?, before);
        assert_eq!(setup.search(acme, json!({ "author": "ada" }))?, ["before the restart"]);

        let versions = |column: &str| -> TestResult<Vec<u32>> {
            let rows = sql(url, &format!("SELECT {column} FROM notes WHERE tenant = 'acme' ORDER BY id"))?;
            rows.iter().map(|row| Ok(row.try_get::<Encrypted<String>, _>(0)?.key_version())).collect()
        };
        service.expect(204, ADMIN, "POST /admin/tenants/acme/rotate", None)?;
        setup.add(acme, &note("Grace", None, "after the rotation", &[]))?;
        assert_eq!(versions("body")?, [1, 2]);
        // The first note of acme has four values. Its second one and that of globex have three each.
        let report = service.expect(200, ADMIN, "POST /admin/sweep", None)?;
        assert_eq!(report, json!({ "examined": 10, "changed": 4, "changed_by_others": 0, "failed": 0 }));
        for column in ["author", "body", "tags"] {
            assert_eq!(versions(column)?, [2, 2], "{column}");
        }
        let again = service.expect(200, ADMIN, "POST /admin/sweep", None)?;
        assert_eq!(again, json!({ "examined": 10, "changed": 0, "changed_by_others": 0, "failed": 0 }));
        assert_eq!(setup.read(acme, &path)?, before);

        let setup = setup.restarted()?;
        assert_eq!(setup.read(&setup.acme, &path)?, before);
        assert_eq!(setup.search(&setup.globex, json!({ "author": "Ada" }))?, ["of globex"]);
        setup.service.stop()
    })
}

#[test]
fn after_the_deletion_of_a_tenants_keys_only_the_others_open() -> TestResult {
    with_each_database("service::after_the_deletion", |setup| {
        let Setup { service, acme, globex, .. } = &setup;
        let own = note("Ada", Some("Tea"), "own words", &["tea"]);
        let paths = [setup.add(acme, &own)?, setup.add(globex, &own)?];
        let scheduled = service.expect(202, ADMIN, "DELETE /admin/tenants/acme/keys", None)?;
        assert!(scheduled["deletion_date"].is_string());
        assert_eq!(service.expect(202, ADMIN, "DELETE /admin/tenants/acme/keys", None)?, scheduled);

        let nothing = json!({ "error": "the keys of this tenant are disabled or deleted" });
        let requests = [
            (format!("GET {}", paths[0]), None),
            ("GET /notes".to_owned(), None),
            ("POST /notes".to_owned(), Some(own.clone())),
            (format!("PUT {}", paths[0]), Some(own.clone())),
            ("POST /notes/search".to_owned(), Some(json!({ "author": "Ada" }))),
            ("POST /notes/search".to_owned(), Some(json!({ "tag": "tea" }))),
        ];
        for (request, body) in &requests {
            assert_eq!(service.expect(410, acme, request, body.clone())?, nothing);
        }
        assert_eq!(setup.read(globex, &paths[1])?, own);
        assert_eq!(setup.search(globex, json!({ "tag": "tea" }))?, ["own words"]);
        let report = service.expect(200, ADMIN, "POST /admin/sweep", None)?;
        assert_eq!(report, json!({ "examined": 8, "changed": 0, "changed_by_others": 0, "failed": 4 }));
        service.expect(410, ADMIN, "POST /admin/tenants/acme/rotate", None)?;

        let setup = setup.restarted()?;
        setup.service.expect(410, &setup.acme, &requests[0].0, None)?;
        assert_eq!(setup.read(&setup.globex, &paths[1])?, own);
        setup.service.stop()
    })
}

/// The service requests a body, receives the signal, and then the body.
#[test]
fn a_request_that_runs_is_answered_before_the_end() -> TestResult {
    let setup = Setup::start(None)?;
    let body = note("Ada", None, "sent after the signal", &[]).to_string();
    let address = setup.service.address().to_owned();
    let mut connection = TcpStream::connect(&address)?;
    let (token, length) = (&setup.acme, body.len());
    write!(
        connection,
        "POST /notes HTTP/1.1\r\nhost: notes\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\
         expect: 100-continue\r\n\r\n"
    )?;
    let mut answers = BufReader::new(connection.try_clone()?);
    let mut line = String::new();
    answers.read_line(&mut line)?;
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");

    setup.service.signal()?;
    // The service has received the signal once it accepts no connections.
    while TcpStream::connect(&address).is_ok() {
        thread::sleep(Duration::from_millis(5));
    }
    connection.write_all(body.as_bytes())?;
    let mut answer = String::new();
    answers.read_to_string(&mut answer)?;
    assert!(answer.contains("HTTP/1.1 201 Created"), "{answer}");
    let Setup { folder, service, acme, .. } = setup;
    service.wait()?;

    let service = Service::start(folder.path(), None)?;
    assert_eq!(bodies(&service.expect(200, &acme, "GET /notes", None)?)?, ["sent after the signal"]);
    service.stop()
}

#[test]
fn no_file_contains_plaintext() -> TestResult {
    let secrets = ["Ada Lovelace", "Two pots of tea", "one for the Analytical Engine", "kitchen cupboard"];
    let [author, title, body, tag] = secrets;
    let scenario = |setup: &Setup| -> TestResult {
        let path = setup.add(&setup.acme, &note(author, Some(title), body, &[tag]))?;
        setup.search(&setup.acme, json!({ "author": author, "tag": tag }))?;
        setup.service.expect(204, &setup.acme, &format!("PUT {path}"), Some(note(author, None, body, &[tag])))?;
        setup.service.expect(404, &setup.globex, &format!("GET {path}"), None).map(drop)
    };
    let check = |folder: &Path, tokens: [&str; 2]| -> TestResult {
        let secrets = secrets.into_iter().chain(tokens).chain([ADMIN]);
        for secret in secrets {
            assert_eq!(files_with(folder, secret.as_bytes())?, Vec::<String>::new(), "{secret}");
        }
        Ok(())
    };

    let setup = Setup::start(None)?;
    scenario(&setup)?;
    let Setup { folder, service, acme, globex, .. } = setup;
    check(folder.path(), [&acme, &globex])?; // with the write-ahead log
    service.stop()?;
    check(folder.path(), [&acme, &globex])?;
    assert!(files_with(folder.path(), b"acme")?.contains(&"notes.db".to_owned()), "the search finds what is there");

    let Some(server) = postgres::start("service::no_file_contains_plaintext") else { return Ok(()) };
    let setup = Setup::start(Some(postgres::create_database(&server)?))?;
    scenario(&setup)?;
    let Setup { folder, service, acme, globex, .. } = setup;
    service.stop()?;
    check(folder.path(), [&acme, &globex])?;
    server.stop()?;
    check(server.folder(), [&acme, &globex])?;
    assert!(!files_with(server.folder(), b"acme")?.is_empty(), "the search finds what is there");
    Ok(())
}

/// Returns the names of the files that contain these bytes, in a folder and below.
fn files_with(folder: &Path, bytes: &[u8]) -> TestResult<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files_with(&entry.path(), bytes)?);
        } else if fs::read(entry.path())?.windows(bytes.len()).any(|part| part == bytes) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}
