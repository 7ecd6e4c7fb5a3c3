//! The servers of these tests behave as the tests assume.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{env, thread};

use crate::support::child_process::child;
use crate::support::postgres::{self, Database, SUPERUSER};

/// Tells the child to kill its server.
const KILLED: &str = "STRONGROOM_TEST_KILLED_SERVER";

type TestResult = Result<(), Box<dyn std::error::Error>>;

#[test]
fn databases_of_one_server_are_separate() -> TestResult {
    let Some(server) = postgres::shared("postgres::servers::databases_of_one_server_are_separate") else {
        return Ok(());
    };
    let (one, other) = (Database::create(server)?, Database::create(server)?);
    for database in [&one, &other] {
        database.sql("CREATE TABLE t (x int); INSERT INTO t VALUES (1)")?;
        assert_eq!(database.sql("SELECT x FROM t")?, "1");
        assert!(database.url().ends_with(database.name()));
    }
    let name = one.name().to_owned();
    drop(one);
    assert_eq!(server.sql(SUPERUSER, &format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"))?, "0");
    Ok(())
}

#[test]
fn a_killed_server_recovers_what_it_committed() -> TestResult {
    let Some(server) = postgres::own("postgres::servers::a_killed_server_recovers_what_it_committed", &[]) else {
        return Ok(());
    };
    server.sql(SUPERUSER, "CREATE TABLE t (x int)")?;
    for round in 1..=3 {
        server.sql(SUPERUSER, "INSERT INTO t VALUES (1)")?;
        server.kill()?;
        assert!(!server.is_running() && server.sql(SUPERUSER, "SELECT 1").is_err());
        server.start_again()?;
        assert_eq!(server.sql(SUPERUSER, "SELECT sum(x) FROM t")?, round.to_string());
    }
    assert!(server.log().contains("was not properly shut down"), "{}", server.log());
    server.stop()?;
    server.configure(&[("statement_timeout", "1234ms")])?;
    server.start_again()?;
    assert_eq!(server.sql(SUPERUSER, "SHOW statement_timeout")?, "1234ms");
    server.configure(&[("statement_timeout", "4321ms")])?;
    server.reload()?;
    assert_eq!(server.sql(SUPERUSER, "SHOW statement_timeout")?, "4321ms");
    Ok(())
}

/// The facts on which the fence depends: the old primary still answers reads, and no commit.
#[test]
fn an_old_primary_answers_reads_but_acknowledges_no_commit() -> TestResult {
    let Some(cluster) = postgres::cluster("postgres::servers::an_old_primary_answers_reads_but_acknowledges_no_commit")
    else {
        return Ok(());
    };
    let (old, new) = (cluster.primary(), cluster.standby());
    old.sql(SUPERUSER, "CREATE TABLE t (x int); INSERT INTO t VALUES (1)")?;
    cluster.promote()?;
    assert_eq!(new.sql(SUPERUSER, "SELECT x FROM t")?, "1", "acknowledged commits are on the standby");
    new.sql(SUPERUSER, "UPDATE t SET x = 2")?;
    assert_eq!(old.sql(SUPERUSER, "SELECT x, pg_is_in_recovery() FROM t")?, "1|f");
    let waiting = thread::scope(|scope| {
        let commit = scope.spawn(|| old.sql(SUPERUSER, "UPDATE t SET x = 3").is_ok());
        let waits = "SELECT wait_event FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let begun = Instant::now();
        while old.sql(SUPERUSER, waits).expect("the old primary answers") != "SyncRep" {
            assert!(begun.elapsed() < Duration::from_secs(60) && !commit.is_finished(), "the commit does not wait");
            thread::sleep(Duration::from_millis(10));
        }
        // Long enough for an answer, if there were one.
        thread::sleep(Duration::from_millis(300));
        let is_answered = commit.is_finished();
        old.kill().expect("the server can be killed");
        (is_answered, commit.join().expect("no thread panicked"))
    });
    assert_eq!(waiting, (false, false), "the commit is neither answered nor acknowledged");
    Ok(())
}

/// The child is killed, so that nothing of it runs afterwards.
#[test]
fn servers_end_with_the_process_that_started_them() -> TestResult {
    const TEST: &str = "postgres::servers::servers_end_with_the_process_that_started_them";
    if postgres::own(TEST, &[]).is_none() {
        return Ok(());
    }
    for must_recover in [false, true] {
        let mut child = child("postgres::servers::starts_a_server_and_waits", Path::new(""))?
            .env(KILLED, must_recover.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("a pipe")?).lines();
        let folder = loop {
            let line = lines.next().ok_or("the child ended")??;
            if let Some((_, folder)) = line.split_once("folder ") {
                break PathBuf::from(folder);
            }
        };
        assert!(folder.join("data").is_dir());
        child.kill()?;
        child.wait()?;
        let begun = Instant::now();
        while folder.exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} still exists", folder.display());
            thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

#[test]
#[ignore = "run only as the child process of a test"]
fn starts_a_server_and_waits() -> TestResult {
    let server = postgres::own("", &[]).ok_or("PostgreSQL is installed")?;
    if env::var(KILLED)? == "true" {
        server.kill()?;
    }
    println!("folder {}", server.folder().display());
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}
